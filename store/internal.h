/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the engine share. Nobody outside store/ includes it.
 *
 * Two halves: names (store, branch, policy, name, rename, tree, attr, list) and
 * content (staged, content, gen, gc, recover). They meet in `struct store`, in
 * the rows, and in the functions below.
 *
 * Locks, in the order in which they may be taken:
 *   names        every change of an INODE, DIRENT or BRANCH row, and of META;
 *                held over read, decide, commit. Nothing syncs under it.
 *   leases       see "store/leases.h"
 *   gens' own    the table of open generations (gen.c)
 *   trees' own   an index being loaded, never under `names`, and the cache of
 *                indexes, which is a leaf (sealed_index.c)
 *   ids          the allocator of numbers
 *   policy shard one line of the policy cache; a leaf
 * Readers of rows take none: one row is one get, and what needs several rows is
 * written so that any order of reading gives an answer that was true during
 * the call (see policy.c).
 */
#ifndef MEMOFS_STORE_INTERNAL_H
#define MEMOFS_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "store/backend.h"
#include "store/room.h"
#include "store/rows.h"
#include "store/store.h"
#include "store/usage.h"

struct keep;
struct resume;
struct census;
struct scrub;
struct evictor;
struct gc;
struct lockfile;
struct gen_table;
struct leases;
struct policy_cache;
struct sealed_cache;
struct verified;

/* What leases are measured by. Another one than the machine's is for tests. */
struct store_clock {
	int64_t (*boot_ns)(void *arg); /* CLOCK_BOOTTIME */
	int64_t (*wall_ns)(void *arg); /* CLOCK_REALTIME */
	void *arg;
	const char *boot_id; /* NULL: the kernel's */
};

struct store {
	struct backend *be;
	struct lockfile *lock; /* NULL: a memory store */
	char *path;	       /* the directory, for messages; ":memory:" */
	const struct store_clock *clock;

	struct keep *keep;     /* NULL: nothing is kept */
	struct resume *resume; /* resume.c; NULL: nothing was left */

	/* Options, with the defaults filled in. */
	uint32_t small_max_bytes;
	uint64_t staged_memory_bytes;

	pthread_mutex_t names;
	uint64_t
	    names_added; /* under names: grows when a name appears or may be live again */
	uint64_t touched_dir;	   /* under names: see batch_touch_dir() */
	int64_t touched_ns;	   /* under names */
	struct store_known *known; /* under names: those who read without opening */

	pthread_mutex_t ids;
	uint64_t ids_next, ids_limit; /* under ids; limit is on disk */

	struct policy_cache *policy;
	struct gen_table *gens;	       /* gen.c */
	struct verified *verified;     /* verified.c; a leaf */
	struct sealed_cache *sealed;   /* sealed_index.c */
	struct gc *gc;		       /* gc.c; NULL until gc_start */
	struct piece_queue *writeback; /* writeback.h; from the beginning on */
	struct ahead *ahead;	       /* NULL: memory has no disk */
	struct scrub *scrub;	       /* scrub.c; NULL: off */
	struct evictor *evictor;       /* evict.c; NULL until evict_new */
	struct census *census;	       /* census.c; NULL until census_start */
	struct leases *leases;
	pthread_rwlock_t watch_lock; /* held for reading while it is called */
	struct store_watch watch;    /* under watch_lock */
	bool seek_orphans; /* extents nobody names may be there: at open, and at close */
	_Atomic uint64_t staged_used_bytes; /* memory of values being written */
	struct room room;
	struct usage usage;
};

#define SMALL_MAX_DEFAULT (32u * 1024)
#define STAGED_MEMORY_DEFAULT (UINT64_C(64) << 20)

/* Hold a mutex to the end of the block. */
static inline pthread_mutex_t *mutex_hold(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}
static inline void mutex_release(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}
#define CLEANUP_UNLOCK __attribute__((cleanup(mutex_release), unused))

static inline struct slice slice_str(const char *text)
{
	return slice(text, strlen(text));
}

static inline int64_t store_wall_ns(const struct store *st)
{
	return st->clock->wall_ns(st->clock->arg);
}

/* Log it and return -EUCLEAN: row `what` of `number` cannot be read. */
int store_damaged(struct store *st, const char *what, uint64_t number);

/* Log it: a row that is passed over. */
void store_damaged_key(struct store *st, enum table table);

/* ---- ids.c ---- */

/* A number that was never given out before, nor will be again. */
int ino_alloc(struct store *st, uint64_t *ret_ino);
/* The first of them; those below are part of the format, as the root's is. */
#define INO_FIRST 16
/* The first that was not given out yet. Once ino_alloc() was called. */
uint64_t ino_end(struct store *st);
/* The largest that a row or an extent has; 0: none. For when it is not known. */
int ids_in_use(struct backend *be, uint64_t *ret_max);

/* ---- clock.c ---- */

extern const struct store_clock clock_system;
/* Names this boot of the machine; empty when the kernel does not tell. */
int clock_boot_id(struct store *st, struct buf *ret_boot);

/* ---- load.c: reading rows ---- */

/* An inode row with the bytes it borrows from. */
struct inode {
	struct inode_row row;
	struct buf raw;
};
#define INODE_INIT ((struct inode){0})
void inode_deinit(struct inode *in);
#define CLEANUP_INODE __attribute__((cleanup(inode_deinit)))

int inode_load(struct store *st, uint64_t ino, struct inode *ret_in); /* -ENOENT */
struct policy;
/*
 * An inode and what applies to it. The policy is that of the directory it is in;
 * the root, which is in none, has its own. -ENOENT: it or what it is in is gone.
 */
int inode_load_placed(struct store *st, uint64_t ino, struct inode *ret_in,
		      struct policy *ret_policy);
/*
 * A damaged DIRENT row is a miss that is logged, so that the name can be written
 * anew and what holds it can be removed.
 */
int dirent_read(struct store *st, uint64_t branch, struct slice raw,
		struct row_core *ret_core);
/* The row of a name, whether live or expired. -ENOENT. */
int dirent_load(struct store *st, uint64_t branch, struct slice name,
		struct row_core *ret_core);
/* The directory and version of a branch that is not a directory's own. -ENOENT. */
int branch_owner_load(struct store *st, uint64_t branch, uint64_t *ret_dir_ino,
		      struct buf *ret_version);
/* Keys that each hold an inode number. */
struct ino_range {
	enum table table;
	struct key first, end; /* before `end`; empty: to the end of the table */
	int (*decode)(struct slice raw, uint64_t *ret_ino);
};
/* Appends the numbers, as u64. A key that holds none is logged and left out. */
int ino_range_load(struct store *st, const struct ino_range *range, struct buf *ret_inos);
/* The same of a table whose keys are key_ino(). */
int inos_load(struct store *st, enum table table, struct buf *ret_inos);
/* A counter; 0 when absent. */
int counter_load(struct store *st, const char *name, uint64_t *ret_value);

/* ---- policy.c: what applies to the children of a branch ---- */

struct policy {
	uint64_t dir_ino;	 /* whose branch it is */
	uint64_t current_branch; /* of that directory */
	uint64_t parent_branch;	 /* of that directory; 0: the root */
	int64_t ttl_ns; /* what a child without a ttl has: DURATION_NONE or a duration */
	mode_t mode;	/* of the directory */
	gid_t gid;
	uint64_t ns_ino; /* the directory of the root it is, or is below; 0: the root */
	/* The nearest that has a quota, itself or above; 0: none. Above that there may be
	 * others: go on at the branch that it is in, 0: the root. */
	uint64_t quota_ino, quota_bytes, quota_parent_branch;
	bool staged; /* what is in it is part of a tree that is being built */
};
/*
 * -ENOENT: the branch's directory is gone; -ENOTDIR: the number of a file. Under
 * `names` the answer stays true until the lock is dropped.
 */
int policy_get(struct store *st, uint64_t branch, struct policy *ret_policy);
struct settings;
/* The settings that apply in a branch, unset where none does. Errors as above. */
int policy_settings(struct store *st, uint64_t branch, struct settings *ret_settings);
/*
 * The directory of a branch, and the branch that is in (0: the root). Unlike
 * policy_get() it looks no further up: a walk to the root is a row a level.
 */
int policy_place(struct store *st, uint64_t branch, uint64_t *ret_dir_ino,
		 uint64_t *ret_parent_branch);
/*
 * To be called under `names` after a commit that changed or removed a directory:
 * its ttl, version, place, mode or group.
 */
void policy_changed(struct store *st);
/* Moves with every policy_changed(). */
uint64_t policy_epoch(struct store *st);

/* When an entry stops being a hit, given what it inherits. */
int64_t core_expires_ns(const struct row_core *core, int64_t inherited_ttl_ns);
void core_attr(const struct row_core *core, int64_t inherited_ttl_ns,
	       struct store_attr *ret_attr);
/* Mode and group of a new child: a set-group-id directory passes on its group. */
void policy_adopt(const struct policy *policy, mode_t *mode, gid_t *gid);

/* ---- name.c ---- */

/* 0, -ENAMETOOLONG, or -EINVAL: empty, ".", "..", or a slash in it. */
int name_check(const char *name);

/* Put an inode row and, unless it is the root, its dirent. A failure is in `b`. */
void batch_put_inode(struct batch *b, const struct inode_row *row);
/*
 * Delete the row of an inode whose name goes to another, which takes its place in
 * DIRENT and in the counters; and a GCQ row for what else there is to be deleted.
 */
void batch_drop_inode(struct batch *b, const struct row_core *old);
/*
 * Take the name away from what has it: both rows, the counters, and a GCQ row. Not the
 * charge of quotas: usage_batch_charge().
 */
void batch_drop_name(struct batch *b, uint64_t branch, struct slice name,
		     const struct row_core *old);
/* To `entries`, `dirs`, `bytes` and `used`: one inode more (sign 1) or less (-1). */
void batch_count(struct batch *b, const struct row_core *core, int sign);
/*
 * The directory's mtime and ctime become now. Under `names`. Like the kernel's
 * own clock for files it has ticks of some milliseconds: within one, nothing is
 * written.
 */
int batch_touch_dir(struct store *st, struct batch *b, uint64_t dir_ino, int64_t now_ns);
/* What a value that was complete then, and is published later, makes of them. */
int64_t dir_time_ns(int64_t completed_ns);

/*
 * Give (row->parent_branch, row->name) to a new inode: adds both rows, the
 * counters and the removal of the previous owner to `b`, and commits it. The
 * caller holds `names`, and wakes gc when something was replaced and it has
 * dropped the lock. `promise`: as usage_check_quota() has it. `completed_ns`: since when
 * it is complete, 0: now.
 * *ret_replaced_ino is 0 or the inode that lost its name, a sealed tree by its number
 * as a directory.
 * -ENOENT: the directory is gone; -EISDIR: a directory has the name and the new
 * one is none; -EEXIST: with NAME_NOREPLACE, or for a directory: a live one has it;
 * -EPERM: as name_may_replace(); -EDQUOT.
 */
enum name_flags {
	NAME_NOREPLACE = 1 << 0,
	NAME_PROMISED = 1 << 1, /* it was acknowledged: no quota is asked */
};
/*
 * In a directory with the sticky bit only its owner, root, and who has what is live under
 * the name may replace that. The kernel compares only what it has seen: somebody else may
 * have published since the value was begun, or the view not have shown it. -EPERM.
 */
int name_may_replace(struct store *st, const struct inode_row *row, uint64_t branch,
		     struct slice name);
int name_publish(struct store *st, struct batch *b, const struct inode_row *row,
		 unsigned int flags, const struct usage_promise *promise,
		 int64_t completed_ns, uint64_t *ret_replaced_ino);

/*
 * Remove the entry `ino`, wherever it is, because its content is bad. A success
 * when it has no name any more. Takes `names`.
 */
int name_drop_ino(struct store *st, uint64_t ino);

/* ---- tree.c: what rmdir leaves behind ---- */

/*
 * Deletes what is below a removed directory: the key of a GCQ_TREE row. Each
 * step deletes up to `max_rows` names and holds `names` meanwhile; directories
 * below become GCQ_TREE rows of their own. *ret_done: nothing is left, and the
 * GCQ row has gone with the rest. It may be given up at any step and begun anew,
 * which it must be after an error.
 */
struct tree_walk;
int tree_walk_new(struct store *st, uint64_t dir_ino, struct tree_walk **ret_walk);
int tree_walk_step(struct tree_walk *walk, unsigned int max_rows, bool *ret_done);
void tree_walk_free(struct tree_walk *walk); /* NULL is fine */

/* ---- the content half: gen.c, gc.c, recover.c ---- */

int gen_table_new(struct gen_table **ret_gens);
void gen_table_free(struct gen_table *gens); /* NULL is fine; none may be open */
/* The row of an inode that may be open was changed. Under `names`. */
void gen_attr_changed(struct store *st, const struct row_core *core);
/* Reads counted so far: the HEAT row and what is still in memory. */
int heat_hits(struct store *st, uint64_t ino, uint64_t *ret_hits);
/* About the same, and the last one, without those of who has it open; never waits. */
int heat_look(struct store *st, uint64_t ino, struct heat_row *ret_row);

/*
 * Once, before the threads: publish intents, check unsynced extents, and so on.
 * `clean`: the last process closed the store.
 */
int recover_store(struct store *st, bool clean, struct errmsg *err);
int gc_start(struct store *st);
/*
 * Something, or `ino`, was put into TABLE_GCQ. Cheap; from any thread. Where the
 * number is known, gc_reap() saves a walk through the table.
 */
void gc_wake(struct store *st);
void gc_reap(struct store *st, uint64_t ino);
int gc_settle(struct store *st); /* what store_settle() promises */
void gc_stop(struct store *st);	 /* finish what must be finished, end the thread */

#endif
