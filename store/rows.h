/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every row of every table: what its key and its value are. Keys are made in
 * "store/keys.h", values are encoded and decoded here.
 *
 *   META      "ids"                 → u64: no number from here on was given out
 *             "root"                → u8 format: the store was made completely
 *             "scrub"               → u64, i64: the inode to go on with, and when the
 *                                     pass began
 *             "clean"               → (empty) the last process closed the store
 *             "boot"                → text: the kernel's id of the boot under which
 *                                     every extent in UNSYNCED was found whole
 *             "usage"               → (empty) "used" and "dead" of COUNTER are kept
 *             "quota" be64(dir)     → (empty) so is "quota" of that directory
 *   INODE     be64(ino)             → struct inode_row
 *   DIRENT    be64(branch) name     → struct row_core, the same as in the inode row
 *   BRANCH    'v' be64(dir) version → u64 branch        (named versions only)
 *             'b' be64(branch)      → u64 dir, version  (the way back)
 *   SMALL     be64(ino)             → the content
 *   SUMS      be64(ino) be32(chunk) → sums of blocks: see "store/sums.h"
 *   GCQ       be64(ino)             → struct gcq_row
 *   UNSYNCED  be64(ino)             → struct unsynced_row
 *   INTENT    be64(ino)             → struct inode_row: what the publish would put
 *   HEAT      be64(ino)             → struct heat_row
 *   LEASE     be64(branch) name     → struct lease_row: a named reservation
 *   SHARE, SAME                     → what sealed trees have in common: see
 *                                     "store/share_rows.h"
 *   HISTORY                         → numbers over time: see "store/history_rows.h"
 *   COUNTER   "entries" "dirs" "bytes" "shared" → u64, by batch_add()
 *             "used" "dead"         → u64, the same: see "store/usage.h"
 *             "quota" be64(dir)     → u64, the same: charges below that directory
 *
 * Keys are big-endian, so that they sort; numbers in values are little-endian.
 * Every value that is a struct starts with a format byte: 1; or 2 for the inode row
 * of a directory that has settings, which are its last field; or 3 for both rows of a
 * sealed tree, which have the fields of a file's; or 2 for a row of GCQ whose content
 * takes other than `size_bytes`. Decoders check every
 * bound and every field that other code relies on, and return -EUCLEAN for
 * anything else: bytes from the disk are input. What they return borrows from
 * the raw row, which must outlive it.
 *
 * Inode numbers, and the numbers of branches that are not a directory's own,
 * come from one space and are never used again.
 */
#ifndef MEMOFS_STORE_ROWS_H
#define MEMOFS_STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/keys.h"
#include "store/lease.h"
#include "store/util/buf.h"

/* ---- inode and dirent ---- */

enum layout {
	LAYOUT_NONE,  /* no content: directories, symlinks, empty files */
	LAYOUT_SMALL, /* TABLE_SMALL */
	LAYOUT_EXTENT,
	LAYOUT_COUNT
};

/* A sealed tree's: what can still be the number of one. */
#define ROW_SEALED_INO_MAX ((UINT64_C(1) << (62 - STORE_TREE_INDEX_BITS)) - 1)

/* The longest text of a ttl that a row holds. */
#define ROW_TTL_TEXT_MAX 255
/* The longest settings of a directory: six, each with name and lengths. */
#define ROW_SETTINGS_MAX 2048

/*
 * What lookup and listing need. An empty file has LAYOUT_NONE, any other file
 * has not; directories and symlinks have LAYOUT_NONE, and a directory no size.
 *
 * A sealed tree is a file here, whose content is a pack. Only at the border of
 * "store/store.h" it becomes a directory: see "store/sealed.h".
 */
struct row_core {
	uint64_t ino;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	enum layout layout;
	uint64_t size_bytes;
	uint64_t disk_bytes;
	int64_t atime_ns, mtime_ns, ctime_ns, created_ns;
	int64_t ttl_ns; /* its own: DURATION_UNSET, DURATION_NONE or a duration */
	bool sealed;	/* a tree; the permissions are those of its root */
};

/* Appends. -ENOMEM. */
int dirent_encode(const struct row_core *core, struct buf *ret_raw);
int dirent_decode(struct slice raw, struct row_core *ret_core); /* -EUCLEAN */

struct inode_row {
	struct row_core core;
	uint64_t parent_branch; /* 0: the root */
	struct slice name;	/* empty: the root */
	struct slice ttl_text;	/* as the user wrote it */
	struct slice xattrs;	/* see "store/xattrs.h" */

	/* Files. */
	bool has_hash;
	uint8_t hash[16]; /* XXH3-128, canonical (big-endian) */

	/* Files and symlinks. */
	double cost_s; /* negative: not known */
	struct store_writer writer;
	struct slice target; /* symlinks */

	/* Directories. */
	uint64_t branch; /* where the current version's children are */
	struct slice version;
	struct slice settings; /* packed: see "store/settings.h" */
};

/* Appends. -ENOMEM. The row must be valid: sizes within the limits of store.h. */
int inode_encode(const struct inode_row *row, struct buf *ret_raw);
int inode_decode(struct slice raw, struct inode_row *ret_row); /* -EUCLEAN */

/* ---- the others ---- */

int branch_owner_encode(uint64_t dir_ino, struct slice version, struct buf *ret_raw);
int branch_owner_decode(struct slice raw, uint64_t *ret_dir_ino,
			struct slice *ret_version);

/*
 * An inode that has lost its name. GCQ_CONTENT: the content goes when nobody
 * has it open. GCQ_TREE: a directory, whose branches and all below them go.
 */
enum gcq_kind { GCQ_CONTENT, GCQ_TREE, GCQ_KIND_COUNT };
struct gcq_row {
	enum gcq_kind kind;
	enum layout layout;
	uint64_t size_bytes;
	uint64_t disk_bytes; /* what it takes of the bounds: core_content_bytes() */
};
int gcq_encode(const struct gcq_row *row, struct buf *ret_raw);
int gcq_decode(struct slice raw, struct gcq_row *ret_row);

struct unsynced_row {
	uint64_t size_bytes;
	int64_t published_ns;
};
int unsynced_encode(const struct unsynced_row *row, struct buf *ret_raw);
int unsynced_decode(struct slice raw, struct unsynced_row *ret_row);

struct heat_row {
	uint64_t hits;
	int64_t last_read_ns;
};
int heat_encode(const struct heat_row *row, struct buf *ret_raw);
int heat_decode(struct slice raw, struct heat_row *ret_row);

/* A kernel's id of a boot is 36 characters and a line break. */
#define ROW_BOOT_MAX 64

/* Where there are two times, `boot` says which counts: see "store/lease.c". */
struct lease_row {
	struct slice owner;
	uint64_t token;
	int64_t since_ns;     /* wall clock */
	int64_t duration_ns;  /* 1..STORE_LEASE_MAX_NS */
	struct slice boot;    /* the boot of the machine; empty: not known */
	int64_t boot_ends_ns; /* CLOCK_BOOTTIME of that boot */
	int64_t wall_ends_ns;
	bool has_user; /* else the row ends here, as all did once */
	uint32_t uid;  /* who has taken it */
};
int lease_encode(const struct lease_row *row, struct buf *ret_raw);
int lease_decode(struct slice raw, struct lease_row *ret_row);

/* A row that is one little-endian u64: META "ids", COUNTER, 'v' of BRANCH. */
int u64_encode(uint64_t value, struct buf *ret_raw);
int u64_decode(struct slice raw, uint64_t *ret_value);

#endif
