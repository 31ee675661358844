/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache engine: names, generations, versions, ttl, contents.
 *
 * It knows nothing of FUSE. Words are those of the design: an entry is what is
 * published under a name; a generation is one immutable content of it with an
 * inode number of its own that is never used again; to publish is the one
 * atomic step that makes a generation current; a branch is the set of children
 * a directory has at one version.
 *
 * Names live in branches, not in directories: `store_branch()` turns a
 * directory and a version into the branch, and every call that names a child
 * takes (branch, name). A branch number is stable and never used again. The
 * number of a directory's unnamed version is the directory's own inode number.
 *
 * All functions may be called from any thread. They return 0 or -errno; outputs
 * are last and untouched on failure. Besides what each one lists, any may
 * return -EIO (the database failed; it is in the log), -ENOMEM, and those that
 * change something -ENOSPC and -EROFS. Times are nanoseconds since the epoch.
 */
#ifndef MEMOFS_STORE_STORE_H
#define MEMOFS_STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"
#include "store/util/duration.h"
#include "store/util/err.h"

#define STORE_ROOT_INO UINT64_C(1)
#define STORE_NAME_MAX 255
#define STORE_VERSION_MAX 255
#define STORE_SYMLINK_MAX 4095
/* Bytes of one entry: its checksums, in memory once all was read, are 64 MiB. */
#define STORE_FILE_MAX (INT64_C(1) << 40)
/* Foreign user.* attributes of one inode: names and values together. */
#define STORE_XATTR_MAX (16 * 1024)

struct keep;
struct store;
struct store_clock;

enum store_kind { STORE_ROCKSDB, STORE_MEMORY };

/* What is evicted first: see "store/priority.h". */
enum store_policy { STORE_GDSF, STORE_LRU };
#define STORE_SIZE_NONE UINT64_MAX

struct store_options {
	enum store_kind kind;
	const char *path;     /* directory; made if its parent exists; NULL for memory */
	uint64_t cache_bytes; /* database cache; 0: default (32 MiB) */
	/* Up to here a value lives in the database, above in an extent. */
	uint32_t small_max_bytes;     /* 0: default */
	uint64_t staged_memory_bytes; /* all values being written; 0: default (64 MiB) */
	/* Of the disk, left free; 0: default (16 MiB). An eighth of it at most. */
	uint64_t reserve_bytes;
	/* See "bounds". 0: defaults. STORE_SIZE_NONE: as much as the disk has. */
	uint64_t size_bytes;
	uint64_t max_entry_bytes;
	enum store_policy policy;
	/* How long what has expired is kept for who asks for it; 0: default (1 h). */
	int64_t keep_expired_ns;
	/* Of the root directory when the store is made. */
	uid_t root_uid;
	gid_t root_gid;
	mode_t root_mode;
	const struct store_clock *clock; /* for tests; NULL: the machine's */
	/*
	 * Called by a thread that begins to wait for room, in a call of its own: that may
	 * take seconds. Whoever it is to serve meanwhile, another has to. NULL: nobody.
	 */
	void (*on_wait)(void);
	/*
	 * See "resuming". NULL: nothing is kept; nor is what is in a store in memory. It
	 * outlives the store.
	 */
	struct keep *keep;
	const uint64_t *kept_inos; /* of generations and files in trees; borrowed */
	size_t kept_count;
};

/*
 * Open or make a store and lock it. A message tells what is wrong and what to
 * do: -EBUSY (another process has it: names it), -EUCLEAN (damaged), -EPROTO
 * (a format this program does not know), -ENOTDIR, -EROFS, -ENOSPC, -EACCES,
 * -ENOENT (parent missing), -ENOTEMPTY (the directory holds something else).
 */
int store_open(const struct store_options *opt, struct store **ret_store,
	       struct errmsg *err);

/*
 * Close: waits for background work, writes counters, syncs. Every struct
 * store_gen, store_staged and store_dir of it must be gone. NULL is fine.
 */
void store_close(struct store *st);

/* Change the lock's text, so that others can be told where it is mounted. */
void store_lock_note(struct store *st, const char *mountpoint);

/* Everything published before this call survives power loss after it. */
int store_sync(struct store *st);

struct store_stats {
	uint64_t entries; /* files and symlinks that exist, expired ones included */
	uint64_t dirs;
	uint64_t bytes;	       /* their contents */
	uint64_t shared_bytes; /* of them, in trees: another one has them, too */
	uint64_t memory_bytes; /* the database's caches and buffers */
	uint64_t staged_bytes; /* in memory, of values being written */
	uint64_t db_disk_bytes;
	uint64_t disk_total_bytes, disk_free_bytes; /* of the file system */
	uint64_t disk_avail_bytes; /* that may be taken: without what is kept free */
};
int store_stats(struct store *st, struct store_stats *ret_stats);

/* ---- what an inode is -------------------------------------------------- */

struct store_attr {
	uint64_t ino;
	mode_t mode; /* type (S_IFREG, S_IFDIR, S_IFLNK) and permissions */
	uid_t uid;
	gid_t gid;
	uint64_t size_bytes; /* a symlink's: length of its target */
	uint64_t disk_bytes; /* for st_blocks */
	int64_t atime_ns, mtime_ns, ctime_ns;
	int64_t created_ns; /* when it was published */
	int64_t expires_ns; /* as it is now, inheritance included; DURATION_NONE: never */
	bool sealed;	    /* a sealed tree, or something in one: cannot be changed */
};

/* True when the entry is no longer a hit. Directories never expire. */
static inline bool store_attr_expired(const struct store_attr *a, int64_t now_ns)
{
	return a->expires_ns <= now_ns;
}

/*
 * -ENOENT: no such inode, unlinked, or replaced. It does answer for expired
 * entries: compare expires_ns.
 */
int store_getattr(struct store *st, uint64_t ino, struct store_attr *ret_attr);

/* Where an inode is: its branch and name. -ENOENT as above, -EINVAL the root. */
int store_where(struct store *st, uint64_t ino, uint64_t *ret_branch,
		struct buf *ret_name);

enum store_set {
	STORE_SET_MODE = 1 << 0, /* permission bits only */
	STORE_SET_UID = 1 << 1,
	STORE_SET_GID = 1 << 2,
	STORE_SET_ATIME = 1 << 3,
	STORE_SET_MTIME = 1 << 4,
};
/* Change what `set` names, from `attr`. ctime becomes now. -ENOENT. */
int store_setattr(struct store *st, uint64_t ino, unsigned int set,
		  const struct store_attr *attr, struct store_attr *ret_attr);

int store_readlink(struct store *st, uint64_t ino, struct buf *ret_target); /* -EINVAL */

/* ---- directories, versions, branches ----------------------------------- */

/*
 * The branch of a directory at `version`; NULL means the directory's current
 * version, "" the unnamed one. With `create`, a version that was never written
 * gets its branch; without, *ret_branch is 0, which every lookup answers with
 * -ENOENT and every listing with nothing. -ENOENT: no such directory; -ENOTDIR;
 * -EINVAL: not a version (see store_version_valid).
 */
int store_branch(struct store *st, uint64_t dir_ino, const char *version, bool create,
		 uint64_t *ret_branch);

/* The directory and version a branch belongs to. -ENOENT. */
int store_branch_owner(struct store *st, uint64_t branch, uint64_t *ret_dir_ino,
		       struct buf *ret_version);

/* 0..255 bytes, no slash, no NUL, no control characters, not "." or "..". */
bool store_version_valid(const char *version, size_t len);

/* Current version; empty when it is the unnamed one. -ENOENT, -ENOTDIR. */
int store_version_get(struct store *st, uint64_t dir_ino, struct buf *ret_version);
/* Switch in O(1). "" is the unnamed version. -EINVAL, -ENOENT, -ENOTDIR. */
int store_version_set(struct store *st, uint64_t dir_ino, const char *version);
/* Call `each` for every named version that has a branch, until non-zero. */
int store_version_list(struct store *st, uint64_t dir_ino,
		       int (*each)(void *arg, const char *version, uint64_t branch),
		       void *arg);

/* The directory that holds `dir_ino` (the root holds itself). -ENOENT, -ENOTDIR. */
int store_parent(struct store *st, uint64_t dir_ino, uint64_t *ret_parent_ino,
		 uint64_t *ret_parent_branch);

/* ---- names -------------------------------------------------------------- */

/* The live entry or directory of that name. -ENOENT: absent or expired. */
int store_lookup(struct store *st, uint64_t branch, const char *name,
		 struct store_attr *ret_attr);

/* The same, but an entry that has expired is answered too: compare expires_ns. */
int store_lookup_expired(struct store *st, uint64_t branch, const char *name,
			 struct store_attr *ret_attr);

/*
 * -EEXIST: a live one is there (an expired one is replaced). -ENOENT: the
 * branch's directory is gone. -ENAMETOOLONG. Ownership and mode are taken as
 * given, except that a set-group-id parent passes on its group (and, to a
 * directory, the bit).
 */
int store_mkdir(struct store *st, uint64_t branch, const char *name, mode_t mode,
		uid_t uid, gid_t gid, struct store_attr *ret_attr);
int store_symlink(struct store *st, uint64_t branch, const char *name, const char *target,
		  uid_t uid, gid_t gid, struct store_attr *ret_attr);

/* -ENOENT absent or expired, -EISDIR: also a sealed tree. */
int store_unlink(struct store *st, uint64_t branch, const char *name);
/*
 * -ENOENT, -ENOTDIR, -ENOTEMPTY: a live child is visible at the current
 * version. What only other versions hold, and what has expired, goes with it,
 * in the background. A sealed tree goes whole.
 */
int store_rmdir(struct store *st, uint64_t branch, const char *name);

enum store_rename { STORE_RENAME_NOREPLACE = 1 << 0, STORE_RENAME_EXCHANGE = 1 << 1 };
/*
 * rename(2): -ENOENT, -EEXIST, -ENOTEMPTY, -EISDIR, -ENOTDIR, -EINVAL (a
 * directory into itself). The clock of a ttl does not restart. Renaming an
 * inode to itself is a success. `ret_replaced_ino`, if not NULL, gets the inode
 * that lost its name, or 0.
 */
int store_rename(struct store *st, uint64_t from_branch, const char *from,
		 uint64_t to_branch, const char *to, unsigned int flags,
		 uint64_t *ret_replaced_ino);

/*
 * A listing as it was when it was opened; entries that expire are left out from
 * then on. `off` names a position: 0 is the start, others are what
 * store_dir_next() gave, and stay good until the listing is closed.
 * One thread at a time.
 */
struct store_dir;
struct store_dirent {
	const char *name;  /* until the next call */
	uint64_t next_off; /* position after this one */
	struct store_attr attr;
};
int store_dir_open(struct store *st, uint64_t branch, struct store_dir **ret_dir);
int store_dir_seek(struct store_dir *dir, uint64_t off);
/*
 * For who goes on with a listing that another process had open: from now on `off` is the
 * position of the first name that is not before `name`, or of the one after it. In a
 * sealed tree it is the position that it always is.
 */
int store_dir_seek_name(struct store_dir *dir, const char *name, bool after,
			uint64_t off);
/* Does anything come after `off` positions? Then it is at the start again. Sealed trees
 * and what cannot be read: false. */
bool store_dir_reaches(struct store_dir *dir, uint64_t off);
/* -ENOENT at the end. */
int store_dir_next(struct store_dir *dir, struct store_dirent *ret_ent);
/*
 * Have none of its names been changed since it was opened? Then store_lookup() finds what
 * store_dir_next() has just given. False is said too often rather than too seldom, and of
 * sealed trees always.
 */
bool store_dir_is_current(const struct store_dir *dir);
/* Changes when what names inherit does: those that were given before may be others now.
 */
uint64_t store_dir_rules(const struct store_dir *dir);
/*
 * Which names a listing has, and what they inherit. Of two listings with equal ones both
 * give the same names at the same positions, but for those that have expired meanwhile.
 */
struct store_dir_stamp {
	uint64_t branch, names, rules; /* names 0: it equals none */
};
void store_dir_stamp(const struct store_dir *dir, struct store_dir_stamp *ret_stamp);
static inline bool store_dir_stamp_equal(const struct store_dir_stamp *a,
					 const struct store_dir_stamp *b)
{
	return a->names && a->names == b->names && a->branch == b->branch &&
	       a->rules == b->rules;
}
void store_dir_close(struct store_dir *dir); /* NULL is fine */

/* ---- reading a generation ----------------------------------------------- */

/*
 * An open generation. It keeps its content through overwrite, expiry, rename
 * and removal until it is closed. Opens of one inode share one object.
 */
struct store_gen;

/*
 * -ENOENT: gone or replaced; -ETIME: it has expired; -EINVAL: not a file;
 * -EUCLEAN: its content is missing or damaged (logged; the entry has been
 * dropped, so that the next lookup misses).
 */
int store_gen_open(struct store *st, uint64_t ino, struct store_gen **ret_gen);
/* The same, but an entry that has expired is opened too: never -ETIME. */
int store_gen_open_expired(struct store *st, uint64_t ino, struct store_gen **ret_gen);
void store_gen_close(struct store_gen *gen); /* NULL is fine */
/*
 * Another reference to what is open already, even if it was removed or has
 * expired: for opening it again through its descriptor. -ENOENT: not open.
 */
int store_gen_reopen(struct store *st, uint64_t ino, struct store_gen **ret_gen);
/*
 * Read up to `len` bytes; *ret_len is short only at the end. Every block is
 * checked before its bytes are given out: -EUCLEAN drops the entry.
 */
int store_gen_read(struct store_gen *gen, void *data, size_t len, uint64_t off,
		   size_t *ret_len);
/* Of less the kernel reads no faster than we do, and to arrange it costs some calls. */
#define STORE_BACKING_MIN_BYTES (UINT64_C(1) << 20)
/*
 * For who hands reads on to the kernel: can that ever be of this one? It has an extent of
 * its own of STORE_BACKING_MIN_BYTES. The answer stays the same.
 */
bool store_gen_may_back(const struct store_gen *gen);
/* In bytes; the answer stays the same. */
uint64_t store_gen_size(const struct store_gen *gen);
/*
 * May it be now? *ret_fd is its extent, of which every byte is what was published and is
 * in the page cache; the generation's, good until store_gen_close(). -ENODATA: no; who
 * reads by store_gen_read() has each block checked. It may take a millisecond a GiB.
 */
int store_gen_backing(struct store_gen *gen, int *ret_fd);
/* lseek(2) with SEEK_DATA or SEEK_HOLE. -ENXIO. */
int store_gen_seek(struct store_gen *gen, uint64_t off, int whence, uint64_t *ret_off);
/* The attributes of an inode that is open, even if it was removed. -ENOENT: not open. */
int store_gen_attr_by_ino(struct store *st, uint64_t ino, struct store_attr *ret_attr);
/*
 * Where it was when it was opened last, and what it has cost; negative: not known. Of
 * a file in a sealed tree: where the tree is, and its part of the tree's cost, by size.
 */
void store_gen_origin(const struct store_gen *gen, uint64_t *ret_branch,
		      double *ret_cost_s);
/* Count one read of it (the `hits` attribute). Cheap; kept in memory for a while. */
void store_gen_hit(struct store_gen *gen);

/* ---- reading what was not opened ---------------------------------------------- */

/*
 * For who is asked to read by number alone, of files that it has told somebody of. What
 * is known in this way may be evicted, replaced and removed as if it were not; but when
 * it loses its name it is handed over, as an open generation. Linked into the store from
 * store_known_add() to store_known_remove().
 */
struct store_known {
	/*
	 * Is the number known to somebody? A sealed tree counts with all that is in it,
	 * and is asked for by its stream's number. Both are called with locks of the
	 * store held, and may neither wait nor call it, but for store_known_close().
	 */
	bool (*known)(void *arg, uint64_t ino);
	/* It is about to lose its name: `gen` is the callee's, for store_known_close().
	 */
	void (*nameless)(void *arg, uint64_t ino, struct store_gen *gen);
	void *arg;
	struct store_known *next; /* the store's */
};
void store_known_add(struct store *st, struct store_known *known);
void store_known_remove(struct store *st, struct store_known *known);
/*
 * After the number was made known: 0 when it had a name then, so that it is handed over
 * when it loses that; -ENOENT: it may have lost it unnoticed.
 */
int store_known_check(struct store *st, uint64_t ino);
/*
 * The same of what store_dir_next() has given. As long as none of the names in the
 * listing has changed no row is read.
 */
int store_known_check_listed(struct store *st, const struct store_dir *dir, uint64_t ino);
/*
 * Open it wherever it is, in a removed directory, expired, or handed over (then a
 * file in a tree is found by its own number). Errors as store_gen_open().
 */
int store_gen_open_known(struct store *st, uint64_t ino, struct store_gen **ret_gen);
void store_known_close(struct store_gen *gen);

/* ---- writing a generation ------------------------------------------------ */

/*
 * A value being written: private, no name until it is published. It has an
 * inode number from the start and keeps it. Safe from several threads.
 * Memory is spilled to an extent when it grows.
 */
struct store_staged;

struct store_writer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char comm[32];
};

/*
 * Begin. `base_ino`, if not 0, is the generation being overwritten: its mode,
 * owner, ttl and foreign attributes are taken over, and its content too unless
 * `truncate` (-ENOENT, -EUCLEAN: as store_gen_open; expired is fine when
 * truncate is set, else -ETIME). Otherwise mode, uid and gid are as given (a
 * set-group-id directory passes on its group).
 */
struct store_stage_args {
	uint64_t branch; /* where it will be published, unless renamed */
	uint64_t base_ino;
	bool truncate;
	bool sealed; /* a pack is written, and a sealed tree published; see below */
	mode_t mode;
	int64_t before_ns; /* its cost is measured from so long before; 0: from now */
	struct store_writer writer;
};
int store_stage(struct store *st, const struct store_stage_args *args,
		struct store_staged **ret_staged);

uint64_t store_staged_ino(const struct store_staged *sg);
void store_staged_attr(struct store_staged *sg, struct store_attr *ret_attr);
int store_staged_setattr(struct store_staged *sg, unsigned int set,
			 const struct store_attr *attr, struct store_attr *ret_attr);
int store_staged_read(struct store_staged *sg, void *data, size_t len, uint64_t off,
		      size_t *ret_len);
/* -EFBIG, -ENOSPC, -EDQUOT. A failed write also fails the publish. */
int store_staged_write(struct store_staged *sg, const void *data, size_t len,
		       uint64_t off);
/*
 * The same, in two steps. When *ret_turn becomes other than 0 the bytes are written, but
 * not summed: store_staged_sum() must follow soon, with the same bytes. It is for after
 * the answer, so that who writes on need not wait for it; who needs the checksums does,
 * and so do changes elsewhere in the value and store_staged_free().
 */
int store_staged_write_first(struct store_staged *sg, const void *data, size_t len,
			     uint64_t off, uint64_t *ret_turn);
void store_staged_sum(struct store_staged *sg, const void *data, size_t len, uint64_t off,
		      uint64_t turn);
int store_staged_truncate(struct store_staged *sg, uint64_t size_bytes);
/* fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE; else -EOPNOTSUPP. */
int store_staged_allocate(struct store_staged *sg, int mode, uint64_t off, uint64_t len);
int store_staged_seek(struct store_staged *sg, uint64_t off, int whence,
		      uint64_t *ret_off);
/* Copy from an open generation without passing the bytes through the caller. */
int store_staged_copy(struct store_staged *sg, uint64_t off, struct store_gen *src,
		      uint64_t src_off, size_t len, size_t *ret_len);

/*
 * fsync(2): what was written so far is on disk, and the close that follows will
 * be too (store_staged_flush).
 */
int store_staged_sync(struct store_staged *sg);
/* Has it no extent, so that to sync it now writes nothing? */
bool store_staged_in_memory(struct store_staged *sg);

/*
 * To be called at each close(2) of a descriptor, before the last is known:
 * reports a deferred write error, and, if everything written so far was
 * fsynced, records on disk that the value is complete under (branch, name), so
 * that it is published even if power is lost before store_publish().
 */
int store_staged_flush(struct store_staged *sg, uint64_t branch, const char *name);

/*
 * It is complete now, and is published later: what is counted from the publish, its
 * ttl and its cost, is counted from here. *ret_dir_ns: what the publish will make of
 * its directory's times, if they are not later by then; 0: it leaves them.
 */
void store_staged_complete(struct store_staged *sg, int64_t *ret_dir_ns);
/* A directory's times, as they are once that has been published. */
void store_dir_times(int64_t at_ns, int64_t *mtime_ns, int64_t *ctime_ns);

/*
 * Make it the current generation of (branch, name), atomically. The previous
 * one loses its name (*ret_replaced_ino, or 0; may be NULL). Where a base was
 * given and nothing changed, nothing is published; where only attributes did
 * and the base is still current, the base gets them. *ret_ino, if not NULL, is
 * the inode now at the name. Times: mtime stays as written or set; `created`
 * is now. -ENOENT: the directory is gone; -EISDIR: a directory has the name;
 * -EEXIST: with `noreplace`, a live entry has it; or a deferred write error.
 * In all cases the object stays readable until it is freed.
 */
int store_publish(struct store_staged *sg, uint64_t branch, const char *name,
		  bool noreplace, uint64_t *ret_ino, uint64_t *ret_replaced_ino);

/* Free it; if it was not published, the content is dropped. NULL is fine. */
void store_staged_free(struct store_staged *sg);

/* ---- resuming ------------------------------------------------------------------ */

/*
 * With kept memory ("store/util/keep.h") values being written outlive the death of the
 * process, with every byte that a call has acknowledged: a store that is opened with it
 * rebuilds them. Generations that were open then, as the caller knows, are opened before
 * anything can be deleted, also when they have lost their name: `kept_inos` of the
 * options. Then, for each of them, store_staged_resume() or store_gen_reopen(); and
 * store_resume_end() once.
 */
struct keep *store_keep(struct store *st); /* or NULL */
/*
 * The value of that number, for the caller: as it was, published or not. -ENOENT: there
 * is none, or it was taken already.
 */
int store_staged_resume(struct store *st, uint64_t ino, struct store_staged **ret_staged);
/* Drops the values that were not taken, and closes what was opened. */
void store_resume_end(struct store *st);

/* ---- sealed trees ------------------------------------------------------------ */

/*
 * A sealed tree is an entry that is a directory: published, replaced, expired and
 * removed as one, and never changed. What is stored is a pack ("store/util/pack.h"),
 * a generation like that of a file; directories, files and symlinks in it are shown
 * out of its index.
 *
 * It has two sides. As a directory its number has STORE_TREE_BIT, and what is in it
 * has numbers made of the tree's and of the place in the index; all of them are
 * answered for by the calls above, with `sealed` set and the expiry of the tree, and
 * refused with -EPERM by what would change something. Names and branches below it
 * are those of store_branch(). As a stream its number is store_tree_stream(), a
 * file that holds the pack: store_gen_open() reads it, store_getattr() describes it.
 *
 * What names lead to is the directory: lookups, listings and the numbers that
 * store_publish() and store_rename() return. As an entry it has ttl, cost, owner and
 * foreign attributes as a file has, by either number; its permissions are those of
 * the pack's root which were allowed to the value too, and who may read may search.
 * store_facts() gives the hash of the tree, or of a file in it. ttl and cost of what
 * is in it are the tree's; of foreign attributes it has none.
 *
 * store_rmdir() removes it whole. It takes the place of files, of other trees and, by
 * store_rename(), of an empty directory; a file takes its place as that of any entry;
 * a directory does not (-ENOTEMPTY). Its versions are all the same one.
 *
 * Nothing in it is found or opened any more when it has expired or lost its name.
 * A file in it that is open, and a listing, keep all of it until they are closed; a
 * listing goes on when it expires. store_dir_open() gives one with no names for what
 * is gone, -ENOTDIR for a file in it, and opens an expired one: compare expires_ns.
 *
 * store_stage() of one: -EFBIG: the number is too large to be that of a tree.
 */
#define STORE_TREE_BIT (UINT64_C(1) << 62)
#define STORE_TREE_INDEX_BITS 21

static inline bool store_ino_in_tree(uint64_t ino)
{
	return ino & STORE_TREE_BIT;
}
/* The tree itself, of anything in it; and the stream of it. */
static inline uint64_t store_tree_root(uint64_t ino)
{
	return ino & ~((UINT64_C(1) << STORE_TREE_INDEX_BITS) - 1);
}
static inline uint64_t store_tree_stream(uint64_t ino)
{
	return (ino & ~STORE_TREE_BIT) >> STORE_TREE_INDEX_BITS;
}
static inline uint64_t store_tree_of_stream(uint64_t stream_ino)
{
	return STORE_TREE_BIT | stream_ino << STORE_TREE_INDEX_BITS;
}

/*
 * What was written to a value that was begun with `sealed` is checked: a whole pack,
 * every content as its hash says. To be called before store_staged_flush() where
 * something was written, so that the writer is told. Cheap when nothing was written
 * since. -EBADMSG, a deferred write error, …, with a message. Two contents may be the
 * same run of bytes, and otherwise do not overlap. store_publish() and
 * store_staged_flush() refuse what was not checked (-EBADMSG).
 */
int store_staged_check(struct store_staged *sg, struct errmsg *err);

/*
 * Who may read a tree as a stream reads all that is in it: *ret_mode has S_IRUSR,
 * S_IRGRP or S_IROTH where every file can be read and every directory be read and
 * searched. Looks at the whole index. -ENOENT, -EUCLEAN.
 */
int store_tree_readable(struct store *st, uint64_t stream_ino, mode_t *ret_mode);

/*
 * The place in a directory where trees are built, a hidden directory with the
 * sticky bit and otherwise the owner and permissions of `dir_ino` when it was made.
 * Its ttl is `none` at first: what is being built does not expire.
 * It is no child for listings and store_rmdir(), and goes with the directory.
 * Without `create` -ENOENT when there is none.
 */
int store_stage_dir(struct store *st, uint64_t dir_ino, bool create, uint64_t *ret_ino);
/* Is a branch below such a place? *ret_staged is false for one that is gone. */
int store_branch_staged(struct store *st, uint64_t branch, bool *ret_staged);

/* Who seals. */
struct store_sealer {
	struct store_writer writer;
	/* May he read this file or directory? What is in a tree is its owner's, whoever's
	 * it was. NULL: everything. */
	bool (*may_read)(void *arg, const struct store_attr *attr);
	void *arg;
};

/*
 * Publish a copy of the directory (from_branch, from) as the sealed tree
 * (branch, name), which replaces an entry as store_publish() does, then remove the
 * directory. What is published in it counts as it is found; takes as long as
 * copying takes. It has the owner, ttl and foreign attributes of the directory. An
 * empty directory is replaced, as by rename(2). A sealed tree is only moved.
 * -ENOTDIR: it is no directory; -ENOENT; -EEXIST as store_publish(); -ENOTEMPTY: a
 * directory with something in it has the name; -EINVAL: the branch is in the directory;
 * -EPERM: or in a sealed tree; -EUCLEAN: a file in it is damaged (the next attempt is
 * without it); -E2BIG: more entries than a pack has; -EFBIG: too many bytes, or a file
 * that has no hash; -EACCES: what `by` may not read. The directory is then as it was.
 */
int store_seal(struct store *st, uint64_t from_branch, const char *from, uint64_t branch,
	       const char *name, bool noreplace, const struct store_sealer *by,
	       uint64_t *ret_ino, uint64_t *ret_replaced_ino);

/* ---- attributes ------------------------------------------------------------ */

/*
 * ttl: DURATION_UNSET (inherited), DURATION_NONE, or a duration. `text` is what
 * the user wrote and is given back. -EINVAL is the caller's to find: parse first.
 */
int store_ttl_set(struct store *st, uint64_t ino, int64_t ttl_ns, const char *text);
/* The inode's own. *ret_ttl_ns is DURATION_UNSET when it has none. */
int store_ttl_get(struct store *st, uint64_t ino, int64_t *ret_ttl_ns,
		  struct buf *ret_text);

/*
 * Settings of a directory; the nearest above an entry applies, as with a ttl.
 *  - lease: how long a reservation is that names no duration: 60s unless set.
 *    A duration in 1..STORE_LEASE_MAX_NS.
 *  - wait: how long who opens a reserved name waits. A duration, or `none`, which
 *    is DURATION_NONE: without end, as it is unless set.
 *  - publish: what becomes of an entry whose producer failed. `on-success`, which
 *    is the default, or `always`.
 *  - quota: what is below the directory, at all its versions, may take so much: see
 *    "bounds". A size, more than 0. Those of the directories above hold, too.
 *  - max-entry: what one entry may take. A size, more than 0.
 *  - pin: `yes`: what is below is never evicted. `no`, as it is unless set.
 */
enum store_setting {
	STORE_SETTING_LEASE,
	STORE_SETTING_WAIT,
	STORE_SETTING_PUBLISH,
	STORE_SETTING_QUOTA,
	STORE_SETTING_MAX_ENTRY,
	STORE_SETTING_PIN,
	STORE_SETTING_COUNT
};
/* "" removes it. -EINVAL: not a value; -ENOENT, -ENOTDIR. */
int store_setting_set(struct store *st, uint64_t dir_ino, enum store_setting which,
		      const char *text);
/* The directory's own, as it was written. -ENODATA, -ENOENT, -ENOTDIR. */
int store_setting_get(struct store *st, uint64_t dir_ino, enum store_setting which,
		      struct buf *ret_text);

struct store_settings {
	int64_t lease_ns;
	int64_t wait_ns; /* DURATION_UNSET: none given */
	bool publish_always;
	bool pinned;
	uint64_t max_entry_bytes; /* 0: none but the store's */
	uint64_t max_entry_dir;	  /* where it is set */
};
/* What applies to the children of a branch. -ENOENT. */
int store_settings(struct store *st, uint64_t branch,
		   struct store_settings *ret_settings);

/* Foreign attributes (user.* but not user.cache.*), kept as they are. */
enum store_xattr { STORE_XATTR_CREATE = 1 << 0, STORE_XATTR_REPLACE = 1 << 1 };
/* -EEXIST, -ENODATA, -E2BIG (one value over 16 KiB), -ENOSPC (all together). */
int store_xattr_set(struct store *st, uint64_t ino, const char *name, struct slice value,
		    unsigned int flags);
int store_xattr_get(struct store *st, uint64_t ino, const char *name,
		    struct buf *ret_value);
/* Appends each name with its NUL. */
int store_xattr_list(struct store *st, uint64_t ino, struct buf *ret_names);
int store_xattr_remove(struct store *st, uint64_t ino, const char *name); /* -ENODATA */

/* The same on a value that is still being written. */
int store_staged_ttl_set(struct store_staged *sg, int64_t ttl_ns, const char *text);
int store_staged_ttl_get(struct store_staged *sg, int64_t *ret_ttl_ns,
			 struct buf *ret_text);
int store_staged_xattr_set(struct store_staged *sg, const char *name, struct slice value,
			   unsigned int flags);
int store_staged_xattr_get(struct store_staged *sg, const char *name,
			   struct buf *ret_value);
int store_staged_xattr_list(struct store_staged *sg, struct buf *ret_names);
int store_staged_xattr_remove(struct store_staged *sg, const char *name);

struct store_facts {
	uint8_t hash[16]; /* XXH3-128 of the content, big-endian as xxh128sum prints it */
	bool has_hash;	  /* files only; not with more than 1 GiB of holes */
	uint64_t hits;
	double cost_s; /* negative: not known */
	struct store_writer writer;
};
/* What is asked for by name. Files and symlinks. -ENOENT. */
int store_facts(struct store *st, uint64_t ino, struct store_facts *ret_facts);
int store_cost_set(struct store *st, uint64_t ino, double cost_s);
/*
 * Unless it is set, the cost of a value is measured: the time from store_stage()
 * to store_publish(). A negative one is not known, or, before the publish, measured.
 */
int store_staged_cost_set(struct store_staged *sg, double cost_s);
/*
 * After store_publish(): has it become a generation, and not only changed attributes
 * of another? *ret_cost_s: what it has cost; negative: not known.
 */
bool store_staged_published(struct store_staged *sg, double *ret_cost_s);

/* ---- bounds ------------------------------------------------------------------- */

/*
 * What the store takes, and what it may. Above the high mark entries are evicted
 * until it is below the low one; at `size_bytes` what makes it larger is refused
 * with -ENOSPC. Default: the smaller of 20 GiB and a tenth of the disk.
 *	total = used - shared + dead + staged
 */
struct store_bounds {
	uint64_t size_bytes, high_bytes, low_bytes;
	uint64_t total_bytes;
	uint64_t used_bytes;   /* entries, with what their rows take */
	uint64_t shared_bytes; /* of them, in trees: another one has them, too */
	uint64_t dead_bytes;   /* without a name: to be deleted, or still open */
	uint64_t staged_bytes; /* on disk, of values being written */
	uint64_t max_entry_bytes;
	uint64_t min_free_bytes; /* of the disk, with what the database needs */
	enum store_policy policy;
};
void store_bounds(struct store *st, struct store_bounds *ret_bounds);
/* Of the options size, max entry, reserve, policy and what is kept expired count. */
void store_set_bounds(struct store *st, const struct store_options *opt);
/*
 * How long a writer of so many bytes should be kept waiting, so that eviction keeps
 * up with it: 0 below the high mark, up to a second near the bound. Cheap.
 */
int64_t store_pressure_ns(struct store *st, uint64_t bytes);

/* The nearest directory above the children of a branch that has a quota. -ENODATA. */
struct store_quota {
	uint64_t dir_ino;
	uint64_t quota_bytes, used_bytes;
	bool counted; /* false: a count is still under way, and nothing is refused */
};
int store_quota(struct store *st, uint64_t branch, struct store_quota *ret_quota);

/* The directory of the root that a branch is below; 0: it is the root's. -ENOENT. */
int store_namespace(struct store *st, uint64_t branch, uint64_t *ret_dir_ino);

/*
 * An entry that is never evicted; what overwrites it is pinned, too. It may expire.
 * -ENOENT; -EINVAL: a directory, which has a setting; -EPERM: in a sealed tree; -ENOSPC:
 * it has as many foreign attributes as there may be.
 */
int store_pin_set(struct store *st, uint64_t ino, bool pinned);
/* Its own, not that of a directory above. What is in a sealed tree has the tree's. */
int store_pin_get(struct store *st, uint64_t ino, bool *ret_pinned);
/* The same of a value that is still being written. -ENOSPC. */
int store_staged_pin_set(struct store_staged *sg, bool pinned);
bool store_staged_pin_get(struct store_staged *sg);

/* ---- what the store drops by itself -------------------------------------------- */

enum store_drop { STORE_DROP_EVICTED, STORE_DROP_EXPIRED, STORE_DROP_DAMAGED };
struct store_dropped {
	enum store_drop why;
	uint64_t branch;
	const char *name;
	uint64_t ino;	 /* a sealed tree: as a directory */
	uint64_t ns_ino; /* as store_namespace() */
	uint64_t bytes;	 /* its charge */
	double cost_s;	 /* negative: not known */
};
/*
 * Called after the commit, from any thread, by several at once; no lock of the names is
 * held. `what` is good until it returns. It may not call store_watch().
 */
struct store_watch {
	void (*dropped)(void *arg, const struct store_dropped *what);
	void *arg;
};
/* Only one; NULL: none any more, and nobody is being called when this returns. */
void store_watch(struct store *st, const struct store_watch *watch);

/* ---- census ---------------------------------------------------------------------- */

#define STORE_CENSUS_BUCKETS 32
#define STORE_CENSUS_TOP 32
#define STORE_CENSUS_NAMESPACES 4096

/* Bucket i has what is below 2^i of the unit, and not below 2^(i-1); the last the rest.
 */
struct store_histogram {
	uint64_t entries[STORE_CENSUS_BUCKETS];
	uint64_t bytes[STORE_CENSUS_BUCKETS];
};
struct store_census_ns {
	uint64_t
	    ino; /* 0: entries of the root itself, and of namespaces past the limit */
	char name[STORE_NAME_MAX + 1]; /* "" for 0 */
	uint64_t entries, bytes;       /* bytes: charges */
	uint64_t expired_entries, expired_bytes;
	uint64_t quota_bytes; /* 0: none of its own */
};
struct store_census_top {
	uint64_t branch;
	char name[STORE_NAME_MAX + 1];
	uint64_t hits, bytes;
	double cost_s;
};
struct store_census {
	int64_t at_ns; /* when it was complete; 0: there was none yet */
	struct store_histogram age_s, cost_ms, size_bytes; /* of what has not expired */
	struct store_census_ns *namespaces;		   /* largest first */
	size_t namespace_count;
	struct store_census_top hottest[STORE_CENSUS_TOP]; /* by reads */
	struct store_census_top dearest[STORE_CENSUS_TOP]; /* by cost times reads */
	size_t hottest_count, dearest_count;
};
/* A copy of the last one, for store_census_free(). -ENOMEM. */
int store_census(struct store *st, struct store_census **ret_census);
void store_census_free(struct store_census *census); /* NULL is fine */

/*
 * Delete now what may be deleted: what has expired, whatever waits for its deletion,
 * and the database's garbage. Takes as long as it takes. `stop`, if not NULL, ends it
 * early (-ECANCELED).
 */
struct store_reclaimed {
	uint64_t expired_entries, expired_bytes;
	uint64_t deleted_bytes; /* contents that were without a name */
	uint64_t db_bytes;	/* of the database's files */
};
int store_reclaim(struct store *st, const atomic_bool *stop,
		  struct store_reclaimed *ret_reclaimed);

/* ---- background -------------------------------------------------------------- */

/*
 * Work that was put off: deleting old generations, syncing extents, counting
 * hits. A thread of the store does it by itself; tests call this to have all of
 * it done when it returns.
 */
int store_settle(struct store *st);

#endif
