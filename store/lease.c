/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations: the rules. What is in memory is the truth while the process
 * lives; a named lease has a row, which is written before the call returns.
 *
 * Every change holds `change` from the decision to its end, over the commit of
 * the row, so that rows are written in the order of the decisions. Memory is
 * changed after the commit, hence a change that failed never was. Tokens are
 * taken under it too: else one that was taken first could be used last.
 *
 * An expired lease stays where it is until somebody takes the name, or the
 * background thread comes by. Its row must be gone or overwritten before another
 * has the lease: after a boot with the wall clock set back it would count again.
 */
#include "store/lease.h"

#include <errno.h>
#include <stdlib.h>

#include "store/leases.h"
#include "store/util/log.h"

static bool is_of(const struct lease *lease, const char *owner)
{
	return lease->kind == STORE_LEASE_NAMED && !lease->released &&
	       !strcmp(lease->owner, owner);
}

/* Who has it now, or NULL. Under either lock. */
static struct lease *find_live(struct store *st, uint64_t branch, const char *name)
{
	struct lease *lease = lease_table_find(&st->leases->table, branch, name);

	return lease && lease_live(lease, leases_now_ns(st)) ? lease : NULL;
}

/* The one that `owner` has now, or NULL. Under either lock. */
static struct lease *find_of(struct store *st, uint64_t branch, const char *name,
			     const char *owner)
{
	struct lease *lease = find_live(st, branch, name);

	return lease && is_of(lease, owner) ? lease : NULL;
}

static void set_ends(struct store *st, int64_t ends_ns, struct store_lease *lease)
{
	int64_t left_ns = ends_ns - leases_now_ns(st);

	if (ends_ns == DURATION_NONE) {
		lease->left_ns = lease->expires_ns = DURATION_NONE;
		return;
	}
	lease->left_ns = left_ns > 0 ? left_ns : 0;
	lease->expires_ns = st->clock->wall_ns(st->clock->arg) + lease->left_ns;
}

static void describe(struct store *st, const struct lease *lease,
		     struct store_lease *ret_lease)
{
	if (!ret_lease)
		return;
	*ret_lease = (struct store_lease){.kind = lease->kind,
					  .token = lease->token,
					  .since_ns = lease->since_ns,
					  .has_user = lease->has_user,
					  .uid = lease->uid};
	memcpy(ret_lease->owner, lease->owner, strlen(lease->owner) + 1);
	set_ends(st, lease->ends_ns, ret_lease);
}

static int check_duration(int64_t duration_ns)
{
	return duration_ns < 1 || duration_ns > STORE_LEASE_MAX_NS ? -EINVAL : 0;
}

/* ---- taking ---- */

/* In memory: it takes the place of `old`, if there is one. Under `change`. */
static int put_in_place(struct store *st, struct lease *old, struct lease *lease)
{
	struct leases *leases = st->leases;
	int r = 0;

	/* Room first, for once the row is written nothing may fail. */
	pthread_mutex_lock(&leases->lock);
	r = lease_table_reserve(&leases->table);
	pthread_mutex_unlock(&leases->lock);
	if (!r && lease->kind == STORE_LEASE_NAMED)
		r = lease_row_put(st, lease, lease->duration_ns, lease->ends_ns);
	else if (!r && old && old->kind == STORE_LEASE_NAMED)
		r = lease_row_del(st, old);
	if (r)
		return r;
	pthread_mutex_lock(&leases->lock);
	if (old)
		lease_table_remove(&leases->table, old);
	lease_table_add(&leases->table, lease);
	pthread_mutex_unlock(&leases->lock);
	return 0;
}

/* `lease` is new; it is freed when that fails. Under `change`. */
static int take(struct store *st, struct lease *lease)
{
	struct lease *old =
	    lease_table_find(&st->leases->table, lease->branch, lease->name);
	int r;

	lease->since_ns = st->clock->wall_ns(st->clock->arg);
	r = put_in_place(st, old, lease);
	if (r)
		free(lease);
	return r;
}

static bool has_too_many(struct store *st, const struct store_lease_user *user)
{
	return user && lease_table_of_user(&st->leases->table, user->uid) >= user->max;
}

/* `user` may be NULL: it counts for nobody. */
static int take_named(struct store *st, uint64_t branch, const char *name,
		      const char *owner, int64_t duration_ns,
		      const struct store_lease_user *user, struct store_lease *ret_lease)
{
	struct lease *lease;
	uint64_t token;
	int r;

	if (has_too_many(st, user))
		return -EDQUOT;
	r = ino_alloc(st, &token);
	if (r)
		return r;
	lease = lease_new(STORE_LEASE_NAMED, branch, name, slice_str(owner));
	if (!lease)
		return -ENOMEM;
	lease->token = token;
	lease->duration_ns = duration_ns;
	lease->ends_ns = leases_now_ns(st) + duration_ns;
	lease->has_user = user != NULL;
	lease->uid = user ? user->uid : 0;
	r = take(st, lease);
	if (!r)
		describe(st, lease, ret_lease);
	return r;
}

/* Under `change`. */
static int extend(struct store *st, struct lease *lease, int64_t duration_ns,
		  struct store_lease *ret_lease)
{
	struct leases *leases = st->leases;
	int64_t ends_ns = leases_now_ns(st) + duration_ns;
	int r;

	r = lease_row_put(st, lease, duration_ns, ends_ns);
	if (r)
		return r;
	pthread_mutex_lock(&leases->lock);
	lease->duration_ns = duration_ns;
	lease->ends_ns = ends_ns;
	lease_table_reorder(&leases->table, lease);
	pthread_mutex_unlock(&leases->lock);
	describe(st, lease, ret_lease);
	return 0;
}

/*
 * A full disk refuses a new reservation, because its result could not be stored,
 * but takes none away: who has one may extend it.
 */
static int take_room(struct store *st, uint64_t branch, const char *name)
{
	bool taken;

	pthread_mutex_lock(&st->leases->lock);
	taken = find_live(st, branch, name) != NULL;
	pthread_mutex_unlock(&st->leases->lock);
	return taken ? 0 : room_on_disk(st, ROOM_ROWS_BYTES);
}

static int acquire_locked(struct store *st, uint64_t branch, const char *name,
			  const char *owner, int64_t duration_ns,
			  const struct store_lease_user *user,
			  struct store_lease *ret_lease)
{
	struct policy policy;
	struct lease *lease;
	int r;

	/*
	 * Under the lock: a directory that is removed from now on loses its leases
	 * under it too, in leases_drop_branch().
	 */
	r = policy_get(st, branch, &policy);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	lease = find_live(st, branch, name);
	if (lease && !is_of(lease, owner)) {
		describe(st, lease, ret_lease);
		return -EBUSY;
	}
	if (lease)
		return extend(st, lease, duration_ns, ret_lease);
	return take_named(st, branch, name, owner, duration_ns, user, ret_lease);
}

int store_lease_acquire(struct store *st, uint64_t branch, const char *name,
			const char *owner, int64_t duration_ns,
			struct store_lease *ret_lease)
{
	return store_lease_acquire_for(st, branch, name, owner, duration_ns, NULL,
				       ret_lease);
}

int store_lease_acquire_for(struct store *st, uint64_t branch, const char *name,
			    const char *owner, int64_t duration_ns,
			    const struct store_lease_user *user,
			    struct store_lease *ret_lease)
{
	int r = name_check(name);

	if (!r && !store_owner_valid(owner, strlen(owner)))
		r = -EINVAL;
	if (!r)
		r = check_duration(duration_ns);
	if (!r)
		r = take_room(st, branch, name);
	if (r)
		return r;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	return acquire_locked(st, branch, name, owner, duration_ns, user, ret_lease);
}

int store_lease_extend(struct store *st, uint64_t branch, const char *name,
		       const char *owner, int64_t duration_ns,
		       struct store_lease *ret_lease)
{
	struct lease *lease;
	int r = name_check(name);

	if (!r)
		r = check_duration(duration_ns);
	if (r)
		return r;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	lease = find_of(st, branch, name, owner);
	return lease ? extend(st, lease, duration_ns, ret_lease) : -ESTALE;
}

/* ---- ending ---- */

/* Its row is gone; it goes too, with the last that publishes. Under `change`. */
static void end_in_memory(struct store *st, struct lease *lease)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);

	if (lease->publishing)
		lease->released = true;
	else
		lease_table_remove(&st->leases->table, lease);
}

int store_lease_release(struct store *st, uint64_t branch, const char *name,
			const char *owner)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	struct lease *lease = find_of(st, branch, name, owner);
	int r;

	if (!lease)
		return -ESTALE;
	r = lease_row_del(st, lease);
	if (!r)
		end_in_memory(st, lease);
	return r;
}

/* ---- looking ---- */

int store_lease_get(struct store *st, uint64_t branch, const char *name,
		    struct store_lease *ret_lease)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);
	const struct lease *lease = find_live(st, branch, name);

	if (!lease)
		return -ENOENT;
	describe(st, lease, ret_lease);
	return 0;
}

int64_t leases_oldest_ns(struct store *st)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);

	return lease_table_oldest(&st->leases->table, leases_now_ns(st));
}

/* A copy of a lease, followed by its name and owner, each with its NUL. */
struct copy {
	enum store_lease_kind kind;
	uint64_t branch, token;
	int64_t since_ns, ends_ns;
	uint32_t name_len, owner_len;
};

static int copy_one(const struct lease *lease, struct buf *out)
{
	struct copy copy = {.kind = lease->kind,
			    .branch = lease->branch,
			    .token = lease->token,
			    .since_ns = lease->since_ns,
			    .ends_ns = lease->ends_ns,
			    .name_len = (uint32_t)strlen(lease->name),
			    .owner_len = (uint32_t)strlen(lease->owner)};

	if (buf_append(out, &copy, sizeof(copy)) ||
	    buf_append(out, lease->name, copy.name_len + 1) ||
	    buf_append(out, lease->owner, copy.owner_len + 1))
		return -ENOMEM;
	return 0;
}

static int copy_branch(struct store *st, uint64_t branch, struct buf *out)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);
	const struct lease *lease = lease_table_first(&st->leases->table, branch);
	int64_t now_ns = leases_now_ns(st);
	int r = 0;

	for (; !r && lease; lease = lease->next) {
		if (lease_live(lease, now_ns))
			r = copy_one(lease, out);
	}
	return r;
}

static int copy_some(struct store *st, size_t max, struct buf *out)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);
	struct hwalk w = htab_walk(&st->leases->table.names);
	int64_t now_ns = leases_now_ns(st);
	int r = 0;

	for (; !r && w.link && max; hwalk_next(&w)) {
		const struct lease *lease = CONTAINER_OF(w.link, struct lease, link);

		if (!lease_live(lease, now_ns))
			continue;
		r = copy_one(lease, out);
		max--;
	}
	return r;
}

/* Without the lock: `each` may do anything. */
static int each_copy(struct store *st, const struct buf *copies,
		     int (*each)(void *arg, uint64_t branch, const char *name,
				 const struct store_lease *lease),
		     void *arg)
{
	int r = 0;

	for (size_t at = 0; !r && at < copies->len;) {
		const char *name;
		struct store_lease lease;
		struct copy copy;

		memcpy(&copy, copies->data + at, sizeof(copy));
		name = (const char *)copies->data + at + sizeof(copy);
		at += sizeof(copy) + copy.name_len + copy.owner_len + 2;
		lease = (struct store_lease){
		    .kind = copy.kind, .token = copy.token, .since_ns = copy.since_ns};
		memcpy(lease.owner, name + copy.name_len + 1, copy.owner_len + 1);
		set_ends(st, copy.ends_ns, &lease);
		r = each(arg, copy.branch, name, &lease);
	}
	return r;
}

int store_lease_list_all(struct store *st, size_t max,
			 int (*each)(void *arg, uint64_t branch, const char *name,
				     const struct store_lease *lease),
			 void *arg)
{
	CLEANUP_BUF struct buf copies = BUF_INIT;
	int r = copy_some(st, max, &copies);

	return r ? r : each_copy(st, &copies, each, arg);
}

struct list {
	int (*each)(void *arg, const char *name, const struct store_lease *lease);
	void *arg;
};

static int each_of_branch(void *arg, uint64_t branch, const char *name,
			  const struct store_lease *lease)
{
	struct list *list = arg;

	return list->each(list->arg, name, lease);
}

int store_lease_list(struct store *st, uint64_t branch,
		     int (*each)(void *arg, const char *name,
				 const struct store_lease *lease),
		     void *arg)
{
	CLEANUP_BUF struct buf copies = BUF_INIT;
	struct list list = {each, arg};
	int r = copy_branch(st, branch, &copies);

	return r ? r : each_copy(st, &copies, each_of_branch, &list);
}

uint64_t store_lease_count(struct store *st)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);
	const struct lease_table *t = &st->leases->table;

	return lease_table_count(t) -
	       lease_table_ended(t, leases_now_ns(st), NULL, SIZE_MAX);
}

/* ---- for a descriptor ---- */

/* It is shown like one that somebody chose, so it must read like one. */
static void make_valid(const char *owner, char ret_owner[STORE_OWNER_MAX + 1])
{
	size_t len = strnlen(owner, STORE_OWNER_MAX);

	memcpy(ret_owner, owner, len);
	ret_owner[len] = '\0';
	if (store_owner_valid(ret_owner, len))
		return;
	for (size_t i = 0; i < len; i++) {
		if (ret_owner[i] <= ' ' || ret_owner[i] > '~')
			ret_owner[i] = '_';
	}
	if (!store_owner_valid(ret_owner, len))
		memcpy(ret_owner, "_", 2);
}

int store_lease_hold(struct store *st, uint64_t branch, const char *name,
		     const char *owner, uint64_t token)
{
	char valid[STORE_OWNER_MAX + 1];
	struct lease *lease;
	int r = name_check(name);

	if (r)
		return r;
	make_valid(owner, valid);
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	if (find_live(st, branch, name))
		return -EBUSY;
	lease = lease_new(STORE_LEASE_HELD, branch, name, slice_str(valid));
	if (!lease)
		return -ENOMEM;
	lease->token = token;
	return take(st, lease);
}

void store_lease_drop(struct store *st, uint64_t branch, const char *name, uint64_t token)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	struct lease *lease = lease_table_find(&st->leases->table, branch, name);

	if (lease && lease->kind == STORE_LEASE_HELD && lease->token == token)
		end_in_memory(st, lease);
}

/* ---- the fence ---- */

/* Under `change`. */
static void publishing(struct store *st, struct lease *lease, int more)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->lock);

	lease->publishing += (unsigned int)more;
	if (lease->released && !lease->publishing)
		lease_table_remove(&st->leases->table, lease);
	else
		lease_table_reorder(&st->leases->table, lease);
}

int store_lease_begin_publish(struct store *st, uint64_t branch, const char *name,
			      const char *owner, uint64_t token, uint64_t *ret_token)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	struct lease *lease = find_of(st, branch, name, owner);

	if (!lease || (token && lease->token != token))
		return -ESTALE;
	*ret_token = lease->token;
	publishing(st, lease, 1);
	return 0;
}

/* A row that stays ends on its own, and so does what is in memory then. */
static void release_published(struct store *st, struct lease *lease)
{
	int r = lease_row_del(st, lease);

	if (!r)
		end_in_memory(st, lease);
	else
		log_error("%s: the reservation of %s by %s stays until it ends: %s",
			  st->path, lease->name, lease->owner, strerror(-r));
}

void store_lease_end_publish(struct store *st, uint64_t branch, const char *name,
			     uint64_t token, bool release)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	struct lease *lease = lease_table_find(&st->leases->table, branch, name);

	/* Its directory may have been removed, and it with that. */
	if (!lease || !lease->publishing || lease->token != token)
		return;
	if (release && !lease->released)
		release_published(st, lease);
	publishing(st, lease, -1);
}
