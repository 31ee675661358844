/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases on the disk.
 *
 * A row has two ends. The one of CLOCK_BOOTTIME counts as long as the machine
 * runs on, since nobody can set that clock. It means nothing under another boot,
 * so the row names the boot; then the wall clock decides, once: the row is
 * written anew with an end of this boot's clock when it is loaded.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/leases.h"
#include "store/util/log.h"

#define BATCH_ROWS 512

int leases_new(struct leases **ret_leases)
{
	struct leases *leases = calloc(1, sizeof(*leases));

	if (!leases)
		return -ENOMEM;
	pthread_mutex_init(&leases->change, NULL);
	pthread_mutex_init(&leases->lock, NULL);
	*ret_leases = leases;
	return 0;
}

void leases_free(struct leases *leases)
{
	if (!leases)
		return;
	lease_table_deinit(&leases->table);
	buf_deinit(&leases->boot);
	pthread_mutex_destroy(&leases->lock);
	pthread_mutex_destroy(&leases->change);
	free(leases);
}

/* ---- one row ---- */

static void batch_put_lease(struct store *st, struct batch *b, const struct lease *lease,
			    int64_t duration_ns, int64_t ends_ns)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_dirent(lease->branch, slice_str(lease->name));
	int64_t wall_ns = st->clock->wall_ns(st->clock->arg);
	struct lease_row row = {
	    .owner = slice_str(lease->owner),
	    .token = lease->token,
	    .since_ns = lease->since_ns,
	    .duration_ns = duration_ns,
	    .boot = buf_slice(&st->leases->boot),
	    .boot_ends_ns = ends_ns,
	    .wall_ends_ns = wall_ns + (ends_ns - leases_now_ns(st)),
	    .has_user = lease->has_user,
	    .uid = lease->uid,
	};

	if (lease_encode(&row, &raw))
		b->failed = true;
	batch_put(b, TABLE_LEASE, key_slice(&key), buf_slice(&raw));
}

int lease_row_put(struct store *st, const struct lease *lease, int64_t duration_ns,
		  int64_t ends_ns)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put_lease(st, &b, lease, duration_ns, ends_ns);
	return backend_commit(st->be, &b);
}

static void batch_del_lease(struct batch *b, const struct lease *lease)
{
	struct key key = key_dirent(lease->branch, slice_str(lease->name));

	if (lease->kind == STORE_LEASE_NAMED)
		batch_del(b, TABLE_LEASE, key_slice(&key));
}

int lease_row_del(struct store *st, const struct lease *lease)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_del_lease(&b, lease);
	return backend_commit(st->be, &b);
}

/* ---- loading ---- */

/* When it ends by this boot's clock; that may be in the past. */
static int64_t row_ends_ns(struct store *st, const struct lease_row *row, bool same_boot)
{
	int64_t boot_ns = leases_now_ns(st), left_ns;
	int64_t now_ns = same_boot ? boot_ns : st->clock->wall_ns(st->clock->arg);
	int64_t ends_ns = same_boot ? row->boot_ends_ns : row->wall_ends_ns;

	if (__builtin_sub_overflow(ends_ns, now_ns, &left_ns))
		return 0;
	if (left_ns > row->duration_ns)
		left_ns = row->duration_ns;
	return left_ns > 0 ? boot_ns + left_ns : 0;
}

static struct lease *lease_of_row(uint64_t branch, struct slice name,
				  const struct lease_row *row, int64_t ends_ns)
{
	char text[STORE_NAME_MAX + 1];
	struct lease *lease;

	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	lease = lease_new(STORE_LEASE_NAMED, branch, text, row->owner);
	if (!lease)
		return NULL;
	lease->token = row->token;
	lease->since_ns = row->since_ns;
	lease->duration_ns = row->duration_ns;
	lease->ends_ns = ends_ns;
	lease->has_user = row->has_user;
	lease->uid = row->uid;
	return lease;
}

/* What becomes of the row is put into `b`. */
static int load_row(struct store *st, struct batch *b, struct slice key, struct slice raw)
{
	struct leases *leases = st->leases;
	struct lease_row row;
	struct lease *lease;
	struct slice name;
	uint64_t branch;
	bool same_boot;
	int64_t ends_ns;

	if (key_dirent_decode(key, &branch, &name) || lease_decode(raw, &row)) {
		log_error("%s: a reservation is damaged and taken for free", st->path);
		batch_del(b, TABLE_LEASE, key);
		return 0;
	}
	same_boot = row.boot.len && !slice_cmp(row.boot, buf_slice(&leases->boot));
	ends_ns = row_ends_ns(st, &row, same_boot);
	if (!ends_ns) {
		batch_del(b, TABLE_LEASE, key);
		return 0;
	}
	lease = lease_of_row(branch, name, &row, ends_ns);
	if (!lease || lease_table_reserve(&leases->table)) {
		free(lease);
		return -ENOMEM;
	}
	lease_table_add(&leases->table, lease);
	if (!same_boot)
		batch_put_lease(st, b, lease, lease->duration_ns, ends_ns);
	return 0;
}

static int load_rows(struct store *st, struct backend_iter *it)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r = 0;

	for (backend_iter_seek(it, slice("", 0)); !r && backend_iter_valid(it);
	     backend_iter_next(it)) {
		r = load_row(st, &b, backend_iter_key(it), backend_iter_value(it));
		if (!r && b.count == BATCH_ROWS) {
			r = backend_commit(st->be, &b);
			batch_clear(&b);
		}
	}
	if (!r)
		r = backend_iter_status(it);
	return r ? r : backend_commit(st->be, &b);
}

int leases_load(struct store *st)
{
	struct backend_iter *it;
	int r;

	r = clock_boot_id(st, &st->leases->boot);
	if (!r)
		r = backend_iter_new(st->be, TABLE_LEASE, &it);
	if (r)
		return r;
	r = load_rows(st, it);
	backend_iter_free(it);
	return r;
}

/* ---- leaving ---- */

/*
 * Under `change`: delete the rows of `count` leases, pointers in `gone`, and
 * forget them.
 */
static int forget(struct store *st, struct lease *const *gone, size_t count)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct leases *leases = st->leases;
	int r;

	for (size_t i = 0; i < count; i++)
		batch_del_lease(&b, gone[i]);
	r = backend_commit(st->be, &b);
	if (r)
		return r;
	pthread_mutex_lock(&leases->lock);
	for (size_t i = 0; i < count; i++)
		lease_table_remove(&leases->table, gone[i]);
	pthread_mutex_unlock(&leases->lock);
	return 0;
}

/* Up to BATCH_ROWS of what has ended; *ret_count of them are gone. */
static int expire_some(struct store *st, size_t *ret_count)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	struct lease *gone[BATCH_ROWS];
	size_t count;
	int r;

	count =
	    lease_table_ended(&st->leases->table, leases_now_ns(st), gone, BATCH_ROWS);
	r = forget(st, gone, count);
	if (!r)
		*ret_count = count;
	return r;
}

int leases_expire(struct store *st, const atomic_bool *stop)
{
	size_t count;
	int r;

	do
		r = expire_some(st, &count);
	while (!r && count && !atomic_load(stop));
	return r;
}

int leases_drop_branch(struct store *st, uint64_t branch)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->leases->change);
	CLEANUP_BUF struct buf gone = BUF_INIT;
	struct lease *lease = lease_table_first(&st->leases->table, branch);

	for (; lease; lease = lease->next) {
		if (buf_append(&gone, &lease, sizeof(lease)))
			return -ENOMEM;
	}
	if (!gone.len)
		return 0;
	return forget(st, (struct lease *const *)(void *)gone.data,
		      gone.len / sizeof(lease));
}
