/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only mount whose files are opened inside the kernel.
 *
 * OPEN and FLUSH are answered with ENOSYS, once; from then on a file whose pages the
 * kernel has is opened, read and closed without a request. What that takes away is made
 * good here:
 *  - A reader must be able to read on when its file is replaced, evicted, expired or
 *    removed, though nobody has told us that it is open. So the numbers that the kernel
 *    knows are counted, from LOOKUP to FORGET, and one that loses its name meanwhile is
 *    held: the store hands it over (store_known_add).
 *  - READ names the node only. A generation that is read stays open for a moment.
 *  - Reads are counted by samples. A name is good for half a minute at most; the LOOKUP
 *    that comes then, of a file that the kernel knows, counts as a hit, and so does the
 *    first READ.
 *  - A control file has no size before it is opened. Each LOOKUP of one makes a node of
 *    its own, with the text as it is then.
 *
 * Every read-only mount has it, also one that answers OPEN: the daemon before this one
 * may not have.
 */
#ifndef MEMOFS_FS_FAST_H
#define MEMOFS_FS_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"

struct fs;
struct fast;
struct fuse_req;
struct store_dir;
struct store_gen;
struct vnode;

/* For so many seconds the kernel finds a file without asking. */
#define FAST_LOOK_EACH_S 30.0

int fast_new(struct fs *fs, struct fast **ret_fast); /* -ENOMEM */
/* Gives back all that is held; before the store is closed. NULL is fine. */
void fast_free(struct fast *f);
/* About once a second: closes what nobody has read for a moment, and has the kernel told
 * to forget what is held. */
void fast_tick(struct fast *f);
/*
 * Tell it so. It waits for the pages of each that it had asked for, and so for workers:
 * for the thread of fs/kcache.h.
 */
void fast_prune(struct fast *f);

/*
 * The kernel is about to be told of a file of the store (or in a sealed tree): one more
 * lookup of it. -ENOENT: it has just lost its name, and is not counted; -ENOMEM.
 */
int fast_learn(struct fast *f, uint64_t ino);
/* The same of what this listing has given, which costs less; NULL: of no listing. */
int fast_learn_listed(struct fast *f, const struct store_dir *dir, uint64_t ino);
/* Was it told so often, or may have been, by a daemon before this one? */
bool fast_knows(struct fast *f, uint64_t ino, uint64_t times);
/* The kernel has forgotten so many lookups. Of what was not counted: nothing happens. */
void fast_forget(struct fast *f, uint64_t ino, uint64_t nlookup);

/* Somebody goes on using it: count a hit. */
void fast_used(struct fast *f, uint64_t ino);
/*
 * For a READ of what the kernel knows; store_gen_close() it. Its first one counts as a
 * hit. Errors as store_gen_open(), but for -ETIME.
 */
int fast_gen(struct fast *f, uint64_t ino, struct store_gen **ret_gen);

/*
 * The text of a control file as it is now, kept for the node until fast_text_drop(), or
 * for ten seconds where there are many. *ret_len: its length. -ENFILE: all texts are too
 * long together; -ENOMEM; as writing it.
 */
int fast_text_make(struct fast *f, struct fuse_req *req, const struct vnode *v,
		   size_t *ret_len);
/* As pread(2) of it. -ENOENT. */
int fast_text_read(struct fast *f, uint64_t nodeid, void *data, size_t size, uint64_t off,
		   size_t *ret_len);
/* -ENOENT. */
int fast_text_len(struct fast *f, uint64_t nodeid, size_t *ret_len);
void fast_text_drop(struct fast *f, uint64_t nodeid); /* one that has none is fine */
/* Different for each call, among those that are known. */
unsigned int fast_text_serial(struct fast *f);

/* Can the kernel, of any mount, be told to forget what is not open (6.18)? */
bool fast_prunes(struct fs *fs);

/* How many inodes the kernel knows, and how many of them are held: for /.memofs/status.
 */
void fast_counts(struct fast *f, uint64_t *ret_known, uint64_t *ret_held);

#endif
