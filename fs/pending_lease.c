/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reservation of the name of a value being written.
 */
#include "fs/pending_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/log.h"

/* For people; the number makes it unique where pids are not. */
static void label_of(const struct pending *p, char *ret_label, size_t size)
{
	char comm[PROCESS_COMM_MAX];

	strcpy(comm, *p->comm ? p->comm : "process");
	for (char *c = comm; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '_';
	snprintf(ret_label, size, "%s:%d#%llu", comm, (int)p->tgid,
		 (unsigned long long)p->ino);
}

static void lost(struct pending_table *t, uint64_t branch, const char *name,
		 const char *owner)
{
	struct store_lease lease;

	if (store_lease_get(t->store, branch, name, &lease))
		log_warning("\"%s\": \"%s\" has no reservation, nobody has", name, owner);
	else
		log_warning("\"%s\": \"%s\" has no reservation, \"%s\" has", name, owner,
			    lease.owner);
}

/* -ESTALE: it is not the owner's. */
static int get_owners(struct pending_table *t, uint64_t branch, const char *name,
		      const char *owner, struct store_lease *ret_lease)
{
	int r = store_lease_get(t->store, branch, name, ret_lease);

	if (r && r != -ENOENT)
		return r;
	return r || !store_lease_is_of(ret_lease, owner) ? -ESTALE : 0;
}

int hold_check_owner(struct pending_table *t, const struct pending_args *args,
		     struct store_lease *ret_lease)
{
	int r = get_owners(t, args->branch, args->name, args->owner, ret_lease);

	if (r == -ESTALE)
		lost(t, args->branch, args->name, args->owner);
	return r;
}

/* Under the hold's lock. */
static int hold_free(struct pending *p)
{
	struct hold *h = &p->hold;
	char label[STORE_OWNER_MAX + 1];
	int r;

	label_of(p, label, sizeof(label));
	r = store_lease_hold(p->table->store, h->branch, h->name, label, p->ino);
	h->kind = r ? HOLD_NONE : HOLD_FREE;
	return r;
}

static void tell_reserved(const struct pending *p, uint64_t branch, int r)
{
	const struct pending_events *ev = &p->table->events;

	if (ev->reserved && (!r || r == -EBUSY))
		ev->reserved(ev->arg, branch, r == -EBUSY);
}

int hold_begin(struct pending *p, const struct pending_args *args, uint64_t token)
{
	struct hold *h = &p->hold;
	int r;

	h->branch = args->branch;
	strcpy(h->name, args->name);
	if (args->owner) {
		h->kind = HOLD_OWNER;
		h->token = token;
		h->owner = strdup(args->owner);
		return h->owner ? 0 : -ENOMEM;
	}
	pthread_mutex_lock(&h->lock);
	r = hold_free(p);
	pthread_mutex_unlock(&h->lock);
	if (args->exclusive)
		tell_reserved(p, args->branch, r);
	if (r == -EBUSY)
		return args->exclusive ? -EEXIST : 0;
	return r;
}

/* An owner must have the lease of the new name too: 0 is nobody's token. */
static void move_owner(struct pending *p)
{
	struct hold *h = &p->hold;
	struct store_lease lease;

	h->token =
	    get_owners(p->table, h->branch, h->name, h->owner, &lease) ? 0 : lease.token;
}

void hold_move(struct pending *p, uint64_t branch, const char *name)
{
	struct hold *h = &p->hold;

	pthread_mutex_lock(&h->lock);
	if (!h->over && !h->fenced) {
		if (h->kind == HOLD_FREE)
			store_lease_drop(p->table->store, h->branch, h->name, p->ino);
		h->branch = branch;
		snprintf(h->name, sizeof(h->name), "%s", name);
		if (h->kind == HOLD_OWNER)
			move_owner(p);
		else
			hold_free(p); /* it goes on without, if there is another */
		pending_keep_token(p);
	}
	pthread_mutex_unlock(&h->lock);
}

int hold_check(struct pending *p)
{
	struct hold *h = &p->hold;
	struct store_lease lease;
	int r = 0;

	if (!h->owner)
		return 0;
	pthread_mutex_lock(&h->lock);
	r = get_owners(p->table, h->branch, h->name, h->owner, &lease);
	if (!r && lease.token != h->token)
		r = -ESTALE;
	pthread_mutex_unlock(&h->lock);
	return r;
}

int hold_fence(struct pending *p)
{
	struct hold *h = &p->hold;
	uint64_t token;
	int r;

	if (!h->owner)
		return 0;
	pthread_mutex_lock(&h->lock);
	r = h->over || !h->token
		? -ESTALE
		: store_lease_begin_publish(p->table->store, h->branch, h->name, h->owner,
					    h->token, &token);
	h->fenced = !r;
	pthread_mutex_unlock(&h->lock);
	return r;
}

void hold_again(struct pending *p)
{
	pthread_mutex_lock(&p->hold.lock);
	if (hold_free(p))
		pending_keep_token(p);
	pthread_mutex_unlock(&p->hold.lock);
}

int hold_fence_again(struct pending *p)
{
	struct store_lease lease;
	int r = hold_fence(p);

	/* The fence was up: its end is none as long as nobody else has got it. */
	if (r == -ESTALE && p->hold.token &&
	    store_lease_get(p->table->store, p->branch, p->name, &lease) == -ENOENT)
		return 0;
	return r;
}

void hold_end(struct pending *p, bool published)
{
	struct store *st = p->table->store;
	struct hold *h = &p->hold;

	pthread_mutex_lock(&h->lock);
	if (h->fenced)
		store_lease_end_publish(st, h->branch, h->name, h->token, published);
	if (h->kind == HOLD_FREE)
		store_lease_drop(st, h->branch, h->name, p->ino);
	h->kind = HOLD_NONE;
	h->fenced = false;
	h->over = true;
	pthread_mutex_unlock(&h->lock);
}

void hold_deinit(struct hold *h)
{
	free(h->owner);
	pthread_mutex_destroy(&h->lock);
}
