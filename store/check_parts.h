/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the check share: check.c walks, check_names.c and check_rows.c
 * judge rows, check_content.c reads contents.
 */
#ifndef MEMOFS_STORE_CHECK_PARTS_H
#define MEMOFS_STORE_CHECK_PARTS_H

#include "store/check.h"
#include "store/internal.h"

#define CHECK_KNOWN 4096

/* What the counters should say, of the rows of one moment. */
struct check_sums {
	uint64_t entries, dirs, bytes, used;
};

struct check {
	struct store *st;
	const struct store_check_options *opt;
	struct store_check_result result;
	struct store_check_progress progress;
	struct check_sums sums;
	uint64_t branch; /* of the name looked at last */
	/* Branches that were found to lead to the root, by hash: most parents are. */
	uint64_t known[CHECK_KNOWN];
};

/* What is wrong with one row. */
struct fault {
	const char *what;   /* a literal; NULL: nothing */
	const char *repair; /* what the repair does, a literal: "drop it" */
	/* Where: a name in a branch, or an inode, or neither. */
	uint64_t branch;
	struct buf name;
	uint64_t ino;
	/* The repair: a batch, under `names`; then an entry, an extent, a wake of gc. */
	struct batch fix;
	bool fix_dirs;
	uint64_t drop_ino, drop_extent, reap_ino;
};
#define FAULT_INIT ((struct fault){0})
void fault_deinit(struct fault *f);
#define CLEANUP_FAULT __attribute__((cleanup(fault_deinit)))

static inline void fault_set(struct fault *f, const char *what, const char *repair)
{
	f->what = what;
	f->repair = repair;
}
/* The row goes. */
void fault_delete(struct fault *f, enum table table, struct slice key, const char *what);

/*
 * Judge one row. 0 with f->what set or not, or -errno: the row could not be judged.
 * Called once without a lock, and a second time under `names` if something was found.
 */
typedef int (*check_look)(struct check *c, enum table table, struct slice key,
			  struct slice raw, struct fault *f);

/* check_names.c */
int look_branch(struct check *c, enum table table, struct slice key, struct slice raw,
		struct fault *f);
/* Where the branch of a name is: for the first name of each branch. */
int look_place(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f);
int look_name(struct check *c, enum table table, struct slice key, struct slice raw,
	      struct fault *f);
int look_inode(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f);
/* Does the branch lead to the root, or to what is being deleted? Else a fault. */
int check_place(struct check *c, uint64_t branch, struct fault *f);

/* check_rows.c: rows that belong to an inode */
int look_value(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f); /* of an INODE row: is its content there? */
int look_owned(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f);
int look_gcq(struct check *c, enum table table, struct slice key, struct slice raw,
	     struct fault *f);
int look_intent(struct check *c, enum table table, struct slice key, struct slice raw,
		struct fault *f);
int look_lease(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f);
int look_share(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f);
int look_same(struct check *c, enum table table, struct slice key, struct slice raw,
	      struct fault *f);
/* No row names the extent. */
int look_extent(struct check *c, uint64_t ino, struct fault *f);

/* check_content.c */

/* Told of bytes as they are read. Non-zero ends it with that. */
struct check_pace {
	int (*read)(void *arg, uint64_t bytes);
	void *arg;
};
/*
 * Compare a content with all its checksums. -EUCLEAN: *ret_why says what is wrong (a
 * literal). What was removed meanwhile may look damaged: see check_content().
 */
int content_compare(struct store *st, const struct inode_row *row,
		    const struct check_pace *pace, const char **ret_why);
/*
 * The same for an inode, looked at again when it is bad: 0 when it is sound or gone
 * meanwhile.
 */
int check_content(struct store *st, uint64_t ino, const struct check_pace *pace,
		  const char **ret_why);

/* Append the path of a name, or of an inode, as far up as it can be followed. */
void check_path(struct store *st, uint64_t branch, struct slice name,
		struct buf *ret_path);
void check_ino_path(struct store *st, uint64_t ino, struct buf *ret_path);

/* check.c: second look, repair, report. */
int check_fault(struct check *c, struct fault *f);

#endif
