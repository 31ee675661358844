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
	ROW_BYTES = 224, /* longer ones are not kept: many foreign attributes */
};

struct branch_counts {
	_Atomic uint64_t begun, ended;
};

/* A place for one inode of many. */
struct slot {
	uint64_t ino;
	uint64_t mark;
	uint16_t under_way; /* commits */
	bool mixed;	    /* several at once: which of them came last is not known */
	uint16_t len;	    /* 0: of none */
	uint8_t row[ROW_BYTES];
};

struct commits {
	struct branch_counts branches[BRANCHES];
	pthread_mutex_t locks[LOCKS]; /* leaves; slot i: lock i % LOCKS */
	struct slot slots[SLOTS];
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

/* ---- inodes ---- */

static struct slot *lock_slot(struct commits *c, uint64_t ino, pthread_mutex_t **ret_lock)
{
	size_t i = hash_u64(ino) % SLOTS;

	*ret_lock = &c->locks[i % LOCKS];
	pthread_mutex_lock(*ret_lock);
	return &c->slots[i];
}

static void fill(struct slot *s, uint64_t ino, struct slice row)
{
	if (row.len > ROW_BYTES)
		return;
	s->ino = ino;
	s->len = (uint16_t)row.len;
	memcpy(s->row, row.data, row.len);
}

int commits_inode(struct commits *c, uint64_t ino, struct buf *ret_row,
		  uint64_t *ret_mark)
{
	pthread_mutex_t *lock;
	struct slot *s;
	int r = -ENOENT;

	*ret_mark = 0;
	if (!c)
		return r;
	s = lock_slot(c, ino, &lock);
	if (s->len && s->ino == ino)
		r = buf_set(ret_row, s->row, s->len);
	else if (!s->under_way)
		*ret_mark = s->mark + 1;
	pthread_mutex_unlock(lock);
	return r;
}

void commits_offer_inode(struct commits *c, uint64_t ino, struct slice row, uint64_t mark)
{
	pthread_mutex_t *lock;
	struct slot *s;

	if (!mark)
		return;
	s = lock_slot(c, ino, &lock);
	if (s->mark + 1 == mark && !s->under_way)
		fill(s, ino, row);
	pthread_mutex_unlock(lock);
}

static void begin_inode(struct commits *c, uint64_t ino)
{
	pthread_mutex_t *lock;
	struct slot *s = lock_slot(c, ino, &lock);

	s->len = 0;
	s->mark++;
	s->mixed |= s->under_way > 0;
	s->under_way++;
	pthread_mutex_unlock(lock);
}

/* What was written is what the next one will ask for. */
static void end_inode(struct commits *c, uint64_t ino, const struct batch_op *op,
		      bool done)
{
	pthread_mutex_t *lock;
	struct slot *s = lock_slot(c, ino, &lock);

	s->under_way--;
	if (done && op->kind == BATCH_PUT && !s->mixed && !s->under_way)
		fill(s, ino, op->value);
	s->mixed &= s->under_way > 0;
	pthread_mutex_unlock(lock);
}

/* ---- commits ---- */

static void each_op(struct commits *c, const struct batch *b, bool begins, bool done)
{
	struct batch_op op;
	size_t pos = 0;
	uint64_t ino;

	while (c && batch_next(b, &pos, &op)) {
		if (op.table == TABLE_DIRENT)
			count_branch(c, &op, begins);
		if (op.table != TABLE_INODE || key_ino_decode(op.key, &ino))
			continue;
		assert(op.kind != BATCH_DEL_RANGE); /* inodes go one by one */
		if (begins)
			begin_inode(c, ino);
		else
			end_inode(c, ino, &op, done);
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
