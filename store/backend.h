/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a storage backend is: ordered tables with atomic batches, and extents.
 *
 * This header is for implementors; callers of the cache use "store/store.h".
 * The engine above calls the wrappers below, never the vtable: they check the
 * contract in debug builds. Every function may be called from any thread at
 * any time between `_new` and `_free`.
 *
 * Nothing here says "local disk": a table is a sorted map, a batch may carry
 * conditions, an extent is an immutable run of bytes reached by a descriptor.
 * A networked backend can implement it.
 */
#ifndef MEMOFS_STORE_BACKEND_H
#define MEMOFS_STORE_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"
#include "store/util/err.h"

/* Each table sorts its keys as unsigned bytes. "store/rows.h" has the rows. */
enum table {
	TABLE_META, /* one-off values: counters of ids, identity of the store */
	TABLE_INODE,
	TABLE_DIRENT,
	TABLE_SMALL,	/* contents of small entries */
	TABLE_SUMS,	/* block checksums of large ones */
	TABLE_BRANCH,	/* versions of directories */
	TABLE_GCQ,	/* what is to be deleted */
	TABLE_UNSYNCED, /* extents that were published without fsync */
	TABLE_INTENT,	/* fsynced, closed, and not yet published */
	TABLE_HEAT,	/* reads counted */
	TABLE_LEASE,	/* reservations with a name */
	TABLE_SHARE,	/* which trees read each other's contents */
	TABLE_SAME,	/* where contents of trees are, by their hashes */
	TABLE_HISTORY,	/* numbers over time, and their totals */
	TABLE_COUNTER,	/* values are u64, little-endian, changed by BATCH_ADD */
	TABLE_COUNT
};

/* The stable name of a table on disk ("meta", "inode", …). */
const char *table_name(enum table table);

/*
 * A batch: changes that are applied all or not at all, in order.
 * A zeroed struct is empty. The bytes are copied in.
 */
enum batch_kind { BATCH_PUT, BATCH_DEL, BATCH_ADD, BATCH_DEL_RANGE };

struct batch {
	struct buf ops; /* encoded; read with batch_next() */
	uint32_t count;
	bool failed; /* an append ran out of memory: commit answers -ENOMEM */
};

#define BATCH_INIT ((struct batch){0})

/* The order of keys: as unsigned bytes, a prefix before what it begins. */
int slice_cmp(struct slice a, struct slice b);

void batch_deinit(struct batch *b);
void batch_clear(struct batch *b);
void batch_put(struct batch *b, enum table t, struct slice key, struct slice value);
void batch_del(struct batch *b, enum table t, struct slice key);
/* Adds to a TABLE_COUNTER row, which is 0 when absent; wraps. */
void batch_add(struct batch *b, struct slice key, int64_t delta);
/* Deletes begin <= key < end; nothing when begin >= end. */
void batch_del_range(struct batch *b, enum table t, struct slice begin, struct slice end);

#define CLEANUP_BATCH __attribute__((cleanup(batch_deinit)))

/* For implementors: walk the operations. */
struct batch_op {
	enum batch_kind kind;
	enum table table;
	struct slice key;
	struct slice value; /* PUT: the value; DEL_RANGE: the end key */
	int64_t delta;	    /* ADD */
};
/* Start with *pos = 0; false at the end. The slices live as long as the batch. */
bool batch_next(const struct batch *b, size_t *pos, struct batch_op *ret_op);

struct backend;
struct backend_iter;

/* What an iterator is for: whether what it reads takes the place of what is cached. */
enum iter_use {
	ITER_FEW,  /* some rows, which may be asked for again: it does */
	ITER_PASS, /* a walk that does not come this way again soon: it does not */
	ITER_MANY, /* the same, over thousands of rows without a pause: it is read ahead
		    */
};

struct backend_stats {
	uint64_t memory_bytes;	/* caches, memtables, readers */
	uint64_t disk_bytes;	/* tables and logs, without extents */
	uint64_t keys_estimate; /* rows in TABLE_INODE, roughly */
};

struct backend_ops {
	const char *name;
	void (*free)(struct backend *be); /* flushes; accepts no more calls */

	int (*get)(struct backend *be, enum table t, struct slice key,
		   struct buf *ret_value);
	int (*commit)(struct backend *be, const struct batch *b);
	int (*sync)(struct backend *be);
	int (*reclaim)(struct backend *be);
	/* NULL: nothing is written twice. */
	uint64_t (*headroom)(struct backend *be);
	uint64_t (*wasted)(struct backend *be);
	bool (*is_shrinking)(struct backend *be);
	/* NULL: deleted rows occupy nothing. */
	int (*compact)(struct backend *be, const atomic_bool *stop);
	/* NULL: nor do they slow anything. */
	int (*tidy)(struct backend *be);
	/* An empty `end`: none. Its bytes are the caller's: copy what you keep. */
	int (*iter_new)(struct backend *be, enum table t, struct slice end,
			enum iter_use use, struct backend_iter **ret_it);
	void (*stats)(struct backend *be, struct backend_stats *ret_stats);

	int (*extent_stage)(struct backend *be, uint64_t ino, int *ret_fd);
	int (*extent_commit)(struct backend *be, uint64_t ino);
	int (*extent_open)(struct backend *be, uint64_t ino, int *ret_fd);
	int (*extent_remove)(struct backend *be, uint64_t ino);
	int (*extent_punch)(struct backend *be, uint64_t ino, uint64_t off, uint64_t len);
	int (*extent_list)(struct backend *be, int (*each)(void *arg, uint64_t ino),
			   void *arg);
	int (*extent_sync_dir)(struct backend *be);
	int (*extent_sync_name)(struct backend *be, uint64_t ino);
	/* NULL: extents do not outlive the process. */
	int (*extent_resume)(struct backend *be, uint64_t ino, bool *ret_committed,
			     int *ret_fd);

	/* What only a store on a disk has; NULL: none. */
	int (*extent_strays)(struct backend *be, int (*each)(void *arg, const char *path),
			     void *arg);
	int (*checkpoint)(struct backend *be, const char *path);
};

struct backend_iter_ops {
	void (*free)(struct backend_iter *it);
	void (*seek)(struct backend_iter *it, struct slice key);
	void (*next)(struct backend_iter *it);
	bool (*valid)(const struct backend_iter *it);
	struct slice (*key)(const struct backend_iter *it);
	struct slice (*value)(const struct backend_iter *it);
	int (*status)(const struct backend_iter *it);
};

/* Implementations embed these as their first member. */
struct backend {
	const struct backend_ops *ops;
	struct commits *commits; /* owned; NULL: nobody keeps copies */
};
struct backend_iter {
	const struct backend_iter_ops *ops;
};

struct backend_options {
	const char *path;     /* the store's directory, which exists; memory: ignored */
	uint64_t cache_bytes; /* for cached rows; 0: the backend's default */
	const uint64_t
	    *staged; /* extents of an earlier process that stay staged; borrowed */
	size_t staged_count;
};

/*
 * Open. Returns 0 or -errno with a message that says what to do:
 * -EUCLEAN damaged, -EROFS, -ENOSPC, -EACCES, -EIO, -ENOMEM, …
 * Staged extents left by an earlier process are dropped, but for those of `staged`.
 */
int backend_rocksdb_new(const struct backend_options *opt, struct backend **ret_be,
			struct errmsg *err);
/* Keeps everything in this process; for tests and `:memory:` stores. */
int backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
		       struct errmsg *err);

/*
 * A database at `path` that cannot be opened, or not be read everywhere: have it put
 * together anew of the files that can be read, in place. What is in others is lost, and
 * what was deleted may be back: rows must be checked against each other afterwards.
 * -EUCLEAN, -ENOSPC, -EIO, … with a message.
 */
int backend_rocksdb_rebuild(const char *path, struct errmsg *err);

void backend_free(struct backend *be); /* NULL is fine */

/*
 * -ENOENT when absent, -EUCLEAN when the row is damaged; ret_value is replaced
 * and is the caller's buffer.
 */
int backend_get(struct backend *be, enum table t, struct slice key,
		struct buf *ret_value);

/*
 * Apply a batch atomically. When it returns 0 the batch survives a crash of
 * this process, not yet a power loss; an empty batch is a success. On failure
 * nothing of it is there.
 * -ENOSPC, -EROFS, -EIO, -ENOMEM, -EUCLEAN.
 */
int backend_commit(struct backend *be, const struct batch *b);

/* Whatever was committed before this call began survives power loss after it. */
int backend_sync(struct backend *be);

/*
 * The disk is short: give back what deleted rows still occupy, as far as that is
 * quickly done; the rest may follow in the background. -ENOSPC: there is too
 * little space even for that.
 */
int backend_reclaim(struct backend *be);
/*
 * Bytes that must be free for what is committed already: to bring to tables what is in
 * the log and in memory, and to write some of those anew. Without them it takes no
 * commits.
 */
uint64_t backend_headroom(struct backend *be);
/*
 * Bytes on the disk that are there twice, and backend_reclaim() gives back. Looks at the
 * files.
 */
uint64_t backend_wasted(struct backend *be);
/* In the background something is written anew, which may give back what was deleted. */
bool backend_is_shrinking(struct backend *be);
/*
 * Give back all that deleted rows occupy, as far as there is room to do it in; takes as
 * long as rewriting them takes. -ECANCELED: `stop` became true.
 */
int backend_compact(struct backend *be, const atomic_bool *stop);
/*
 * To be called every few seconds while anything is deleted, by one thread at a time:
 * after many deletions have come to an end, sees to it that no iterator has to step over
 * them for long. Does nothing most times.
 */
int backend_tidy(struct backend *be);

/*
 * An iterator over one table as it was when the iterator was made: it does not
 * see later commits. It starts nowhere; call seek first. Key and value are
 * valid until the next call. One thread at a time. It is for walking over much: what it
 * reads does not take the place of what is cached.
 */
int backend_iter_new(struct backend *be, enum table t, struct backend_iter **ret_it);
/*
 * The same, ended before `end`, a key. Worth giving wherever it is known: when
 * many rows were just deleted, finding that a range has no more rows can mean
 * walking over all the deleted ones behind it.
 */
int backend_iter_new_until(struct backend *be, enum table t, struct slice end,
			   struct backend_iter **ret_it);
/* The same, for many rows: they are not cached, and read ahead, 256 KiB at a time. */
int backend_iter_new_many(struct backend *be, enum table t, struct slice end,
			  struct backend_iter **ret_it);
void backend_iter_free(struct backend_iter *it);		   /* NULL is fine */
void backend_iter_seek(struct backend_iter *it, struct slice key); /* first >= key */
void backend_iter_next(struct backend_iter *it);
bool backend_iter_valid(const struct backend_iter *it);
struct slice backend_iter_key(const struct backend_iter *it);
struct slice backend_iter_value(const struct backend_iter *it);
int backend_iter_status(const struct backend_iter *it); /* 0, or why it ended early */

void backend_stats(struct backend *be, struct backend_stats *ret_stats);

/*
 * Extents. `extent_stage` makes an empty file that no reader can see, open for
 * reading and writing; the caller owns the descriptor (-EEXIST: that number is
 * being staged already). `extent_commit` gives it its final name, without
 * syncing; the caller has, if it must (-ENOENT: not staged). `extent_open`
 * opens a committed one for reading: -ENOENT. `extent_remove` drops one whether
 * staged or committed; one that is not there is a success, and descriptors that
 * are open stay good. `extent_punch` gives back the space of a part of a committed
 * one, which nobody reads any more and which reads as zeros then (-EOPNOTSUPP: this
 * disk cannot; -ENOENT). `extent_list` calls `each` for every committed extent
 * until it returns non-zero, which becomes the result; `each` may remove any.
 * `extent_sync_dir` makes the names of all that were committed before it durable,
 * `extent_sync_name` that of one of them, which is much less to sync as a rule.
 * `extent_resume` opens one of an earlier process, staged or committed, for reading and
 * writing: -ENOENT.
 */
int backend_extent_stage(struct backend *be, uint64_t ino, int *ret_fd);
int backend_extent_commit(struct backend *be, uint64_t ino);
int backend_extent_open(struct backend *be, uint64_t ino, int *ret_fd);
int backend_extent_remove(struct backend *be, uint64_t ino);
int backend_extent_punch(struct backend *be, uint64_t ino, uint64_t off, uint64_t len);
int backend_extent_list(struct backend *be, int (*each)(void *arg, uint64_t ino),
			void *arg);
int backend_extent_sync_dir(struct backend *be);
int backend_extent_sync_name(struct backend *be, uint64_t ino);
int backend_extent_resume(struct backend *be, uint64_t ino, bool *ret_committed,
			  int *ret_fd);

/*
 * Call `each` for whatever is in the folders of extents and is none of ours, by its
 * path in the store's directory, until non-zero; `each` may move it.
 */
int backend_extent_strays(struct backend *be, int (*each)(void *arg, const char *path),
			  void *arg);
/*
 * A copy of all tables as they are at one moment during the call, with everything
 * committed before it, in a new directory `path` on the same file system: hard links of
 * what does not change any more. Durable when it returns. -EOPNOTSUPP: this backend
 * has none; -EEXIST, -ENOSPC, -EIO, …
 */
int backend_checkpoint(struct backend *be, const char *path);

#endif
