/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of a listing: what stat and the attributes say of a name.
 */
#ifndef MEMOFS_CLI_ENTRY_H
#define MEMOFS_CLI_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define ENTRY_UNKNOWN INT64_MIN /* it has no such attribute */

struct entry {
	char *name; /* path below the directory that is listed */
	char *path; /* usable from here */
	mode_t mode;
	bool pinned;	     /* by itself, not by a directory above */
	bool tree;	     /* a sealed tree; not looked for with ENTRY_NAMES */
	uint64_t size_bytes; /* of a tree: of its pack */
	int64_t mtime_ns;
	int64_t created_ns; /* or ENTRY_UNKNOWN */
	int64_t expires_ns; /* DURATION_NONE: never; or ENTRY_UNKNOWN */
	int64_t hits;	    /* or ENTRY_UNKNOWN */
	char *version;	    /* NULL: none */
	char *ttl;	    /* its own; NULL: inherited */
};

struct entries {
	struct entry *list;
	size_t n, cap;
};

/* How much to read: each attribute is a request to the daemon. */
enum entry_detail {
	ENTRY_NAMES, /* what lstat(2) says */
	ENTRY_TABLE, /* all but the ttl */
	ENTRY_ALL,
};

enum entry_sort {
	ENTRY_BY_NAME,
	ENTRY_BY_SIZE,	  /* the largest first */
	ENTRY_BY_AGE,	  /* the newest first */
	ENTRY_BY_EXPIRES, /* the next to expire first */
	ENTRY_BY_HITS,	  /* the most read first */
};

#define ENTRIES_INIT ((struct entries){0})

/* Add `path`, shown as `name`. -errno of lstat(2). */
int entries_add(struct entries *es, const char *path, const char *name,
		enum entry_detail detail);
void entries_sort(struct entries *es, enum entry_sort by, bool reverse);
void entries_deinit(struct entries *es);

/* Is it a sealed tree itself, and no ordinary directory or one inside a tree? */
bool entry_is_tree(const char *path, mode_t mode);
/* In bytes, 0 when it is gone: a tree is as large as its pack. */
uint64_t entry_tree_size(const char *path);
/* "file", "tree", "directory", "symlink", "other". */
const char *entry_type(mode_t mode, bool tree);

#endif
