/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commits.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/keys.h"
#include "store/util/htab.h"

enum {
	BRANCHES = 256, /* a branch shares its counts with others */
	SLOTS = 4096,
	LOCKS = 64,
	SLOT_BYTES = 232, /* of key and row; longer ones are not kept */
};

struct branch_counts {
	_Atomic uint64_t begun, ended;
};

/* A place for one row of many. */
struct slot {
	atomic_bool touched; /* see lock_slot() */
	uint64_t mark;
	uint16_t under_way; /* commits */
	bool mixed;	    /* several at once: which of them came last is not known */
	bool absent;	    /* there is no such row */
	uint16_t key_len;   /* 0: of none */
	uint16_t row_len;
	uint8_t bytes[SLOT_BYTES]; /* the key, and the row */
};

struct commits {
	struct branch_counts branches[BRANCHES];
	pthread_mutex_t locks[LOCKS]; /* leaves; slot i: lock i % LOCKS */
	struct slot inodes[SLOTS], names[SLOTS];
};

int commits_new(struct commits **ret_commits)
{
	/* Fresh pages are zero and cost nothing until they are used. */
	struct commits *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&c->locks[i], NULL);
	*ret_commits = c;
	return 0;
}

void commits_free(struct commits *c)
{
	if (!c)
		return;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&c->locks[i]);
	free(c);
}

/* ---- branches ---- */

static struct branch_counts *counts_of(struct commits *c, uint64_t branch)
{
	return &c->branches[hash_u64(branch) % BRANCHES];
}

/* One more, because 0 is none. */
uint64_t commits_mark(struct commits *c, uint64_t branch)
{
	uint64_t ended;

	if (!c)
		return 0;
	/* First what has ended, so that equal means that nothing was under way. */
	ended = atomic_load(&counts_of(c, branch)->ended);
	return atomic_load(&counts_of(c, branch)->begun) == ended ? ended + 1 : 0;
}

bool commits_unchanged(struct commits *c, uint64_t branch, uint64_t mark)
{
	return mark && atomic_load(&counts_of(c, branch)->begun) + 1 == mark;
}

static void count_branch(struct commits *c, const struct batch_op *op, bool begins)
{
	struct branch_counts *first = c->branches, *last = c->branches + BRANCHES;
	struct slice name;
	uint64_t branch;

	/* What cannot be told counts for all. */
	if (op->kind != BATCH_DEL_RANGE &&
	    key_dirent_decode(op->key, &branch, &name) == 0) {
		first = counts_of(c, branch);
		last = first + 1;
	}
	for (; first < last; first++)
		atomic_fetch_add(begins ? &first->begun : &first->ended, 1);
}

/* ---- rows ---- */

static struct slot *lock_slot(struct commits *c, enum table table, struct slice key,
			      pthread_mutex_t **ret_lock)
{
	size_t i = hash_bytes(key.data, key.len, table) % SLOTS;
	struct slot *s = table == TABLE_INODE ? &c->inodes[i] : &c->names[i];

	/*
	 * A page that is read before it is written is the shared page of zeros first, and
	 * to replace that the kernel interrupts all CPUs where threads of ours run: 30 µs
	 * and more in a virtual machine.
	 */
	atomic_store_explicit(&s->touched, true, memory_order_relaxed);
	*ret_lock = &c->locks[i % LOCKS];
	pthread_mutex_lock(*ret_lock);
	return s;
}

static bool is_of(const struct slot *s, struct slice key)
{
	return s->key_len == key.len && memcmp(s->bytes, key.data, key.len) == 0;
}

/* NULL: it is known that there is none. */
static void fill(struct slot *s, struct slice key, const struct slice *row)
{
	size_t len = row ? row->len : 0;

	if (key.len + len > SLOT_BYTES)
		return;
	s->key_len = (uint16_t)key.len;
	s->row_len = (uint16_t)len;
	s->absent = !row;
	memcpy(s->bytes, key.data, key.len);
	if (len)
		memcpy(s->bytes + key.len, row->data, len);
}

int commits_row(struct commits *c, enum table table, struct slice key,
		struct buf *ret_row, uint64_t *ret_mark)
{
	pthread_mutex_t *lock;
	struct slot *s;
	int r = -EAGAIN;

	*ret_mark = 0;
	if (!c)
		return r;
	s = lock_slot(c, table, key, &lock);
	if (is_of(s, key))
		r = s->absent ? -ENOENT
			      : buf_set(ret_row, s->bytes + key.len, s->row_len);
	else if (!s->under_way)
		*ret_mark = s->mark + 1;
	pthread_mutex_unlock(lock);
	return r;
}

void commits_offer(struct commits *c, enum table table, struct slice key,
		   const struct slice *row, uint64_t mark)
{
	pthread_mutex_t *lock;
	struct slot *s;

	if (!mark)
		return;
	s = lock_slot(c, table, key, &lock);
	if (s->mark + 1 == mark && !s->under_way)
		fill(s, key, row);
	pthread_mutex_unlock(lock);
}

/* With its lock. */
static void begin_slot(struct slot *s)
{
	s->key_len = 0;
	s->mark++;
	s->mixed |= s->under_way > 0;
	s->under_way++;
}

/* What was written is what the next one will ask for. `op` NULL: not known what was. */
static void end_slot(struct slot *s, const struct batch_op *op)
{
	s->under_way--;
	if (op && op->kind != BATCH_ADD && !s->mixed && !s->under_way)
		fill(s, op->key, op->kind == BATCH_PUT ? &op->value : NULL);
	s->mixed &= s->under_way > 0;
}

static void change_row(struct commits *c, const struct batch_op *op, bool begins,
		       bool done)
{
	pthread_mutex_t *lock;
	struct slot *s = lock_slot(c, op->table, op->key, &lock);

	if (begins)
		begin_slot(s);
	else
		end_slot(s, done ? op : NULL);
	pthread_mutex_unlock(lock);
}

/* Any name may be in a range. */
static void change_names(struct commits *c, bool begins)
{
	for (size_t i = 0; i < SLOTS; i++) {
		pthread_mutex_lock(&c->locks[i % LOCKS]);
		if (begins)
			begin_slot(&c->names[i]);
		else
			end_slot(&c->names[i], NULL);
		pthread_mutex_unlock(&c->locks[i % LOCKS]);
	}
}

/* ---- commits ---- */

static void each_op(struct commits *c, const struct batch *b, bool begins, bool done)
{
	struct batch_op op;
	size_t pos = 0;

	while (c && batch_next(b, &pos, &op)) {
		if (op.table == TABLE_DIRENT)
			count_branch(c, &op, begins);
		if (op.table != TABLE_INODE && op.table != TABLE_DIRENT)
			continue;
		if (op.kind != BATCH_DEL_RANGE)
			change_row(c, &op, begins, done);
		else if (op.table == TABLE_DIRENT)
			change_names(c, begins);
		else
			assert(false); /* inodes go one by one */
	}
}

void commits_begin(struct commits *c, const struct batch *b)
{
	each_op(c, b, true, false);
}

void commits_end(struct commits *c, const struct batch *b, bool done)
{
	each_op(c, b, false, done);
}
