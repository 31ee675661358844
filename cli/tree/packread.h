/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a pack, and putting what is in it into a directory.
 */
#ifndef MEMOFS_CLI_TREE_PACKREAD_H
#define MEMOFS_CLI_TREE_PACKREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "cli/tree/filehash.h"
#include "cli/tree/pattern.h"
#include "store/util/buf.h"
#include "store/util/pack.h"

struct packread {
	int fd; /* the caller's */
	struct pack pack;
	/* A small pack, all of it, so that a hit is one read; empty: not kept. */
	struct buf whole;
};
#define PACKREAD_INIT ((struct packread){.fd = -1, .pack = PACK_INIT})
#define CLEANUP_PACKREAD __attribute__((cleanup(packread_deinit)))

/* -EBADMSG: not a pack, damaged; -errno of read(2); with a message. */
int packread_open(int fd, struct packread *ret_reader, struct errmsg *err);
void packread_deinit(struct packread *r);

/* A file's content, checked against its hash. -ENOENT, -ENOTDIR, -EISDIR (anything that
 * is no file), -EBADMSG, -EFBIG: over `max_bytes`. Appends. */
int packread_bytes(struct packread *r, const char *path, uint64_t max_bytes,
		   struct buf *ret_bytes);
/* Exactly `len` bytes of the contents, from `off` of the pack. -EBADMSG: it has become
 * shorter; -errno of read(2). Any number of threads. */
int packread_at(const struct packread *r, uint64_t off, void *ret_bytes, size_t len);

/* The entry that follows in the tree below `root`, a directory before what is in it;
 * 0: that was the last. */
uint32_t packread_next(const struct pack *p, uint32_t root, uint32_t entry);

enum extract_mtime { EXTRACT_MTIME_KEEP, EXTRACT_MTIME_NOW };

struct extract {
	enum extract_mtime mtime;
	struct filehash *fh; /* may be NULL; what is written is learnt */
	/* Only what these choose, by paths below the prefix; NULL: all. */
	struct patterns *only;
	/*
	 * Directories that were there before keep their permissions and times, unless
	 * these choose them; NULL: all do. One that only leads to what was saved is
	 * the user's own.
	 */
	struct patterns *chosen;
	/*
	 * lstat(2) of what was there a moment ago, by entry: a file or symlink that is
	 * not looked at again. NULL, there or for all: it is looked for.
	 */
	const struct stat *const *seen;
	/* Called now and then with what is done so far, skipped files included, by
	 * the thread that called. */
	void (*progress)(void *arg, uint64_t files, uint64_t bytes);
	void *arg;
	/* Becomes other than 0, by a signal, while threads look: end with -EINTR. NULL:
	 * never. */
	const atomic_int *stop;
};

/* Symlinks count as files. */
struct extract_report {
	uint64_t written_files, written_bytes;
	uint64_t kept_files, kept_bytes; /* were there already, as they should be */
};

/*
 * Put what is below `prefix` ("": all) of the pack into the directory `dirfd`: files,
 * directories, also empty ones, symlinks, permissions (less the umask; nothing gets
 * set-id bits), times. `dirfd` itself keeps its own. A file that is there with the
 * same content is not written again, only its permissions and time are mended; another
 * is replaced by rename, so that nobody sees half of one and nobody's open file or
 * hard link changes. Never leaves `dirfd`: a symlink, or anything else, where a
 * directory should be is replaced; a directory where a file should be, if it is empty,
 * else -ENOTEMPTY. -EBADMSG: a content is damaged; that file is not there then. -errno
 * with a message that names the path; what was done stays, no file is half written and
 * no temporary one is left.
 */
int packread_extract(struct packread *r, const char *prefix, int dirfd,
		     const struct extract *how, struct extract_report *ret_report,
		     struct errmsg *err);

#endif
