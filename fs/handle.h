/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open descriptor is, behind fi->fh.
 *
 * fi->fh is a place in a table and the number of its use, so that it means the same to
 * a daemon that goes on for this one, and an old one means nothing. Looking it up takes
 * no lock: the kernel names a descriptor only between its open and its RELEASE.
 *
 * All of them are in the table, so that a daemon that is told to end while files are
 * open can give back what they hold.
 */
#ifndef MEMOFS_FS_HANDLE_H
#define MEMOFS_FS_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/pending.h"
#include "fs/user_limits.h"
#include "store/store.h"
#include "store/util/buf.h"
#include "store/util/keep.h"

/* The numbers are kept: they stay. */
enum handle_kind {
	HANDLE_GEN = 1,	    /* a published generation, for reading */
	HANDLE_PENDING = 2, /* a value being written, for reading or writing */
	HANDLE_TEXT = 3,    /* a control file, as it was when it was opened */
	HANDLE_DIR = 4,	    /* a listing */
	HANDLE_LOST = 5,    /* of a daemon before this one, and could not be kept: EIO */
};

/* What the kernel was told with it, to be told again. */
enum handle_told {
	HANDLE_DIRECT_IO = 1 << 0,
	HANDLE_KEEP_CACHE = 1 << 1,
	HANDLE_NOFLUSH = 1 << 2,
	HANDLE_CACHE_READDIR = 1 << 3,
};

/* How fs/backing.h has counted it. */
enum handle_backing {
	BACKING_NONE,
	BACKING_CACHED,
	BACKING_PASSED,
};

struct handle {
	enum handle_kind kind;
	bool writer;
	atomic_bool synced;	 /* HANDLE_PENDING: fsync was asked for */
	uint64_t fh;		 /* fixed */
	struct store_gen *gen;	 /* HANDLE_GEN; owned */
	struct pending *pending; /* HANDLE_PENDING; a reference */
	uint64_t ns_ino;	 /* whose bytes are counted, for metrics_ns() */
	struct buf text;	 /* HANDLE_TEXT */
	size_t counted;		 /* of it, by handle_count_text() */
	struct listing *listing; /* HANDLE_DIR; owned */
	struct limit_hold hold;	 /* its user's, one of LIMIT_HANDLES */
	enum handle_backing backing;

	/* For who goes on. Set before handle_keep(). */
	unsigned int told;  /* enum handle_told */
	uint64_t nodeid;    /* what was opened */
	uint64_t ino;	    /* HANDLE_GEN, HANDLE_PENDING: the number in the store */
	uint64_t unique;    /* of the request that opened it; 0: not known */
	int32_t backing_id; /* what the kernel reads it from; 0: from us */
	struct kept *kept;  /* NULL: it is not kept */
	struct kept *page;  /* of a HANDLE_DIR: see listing_keep.c */
};

struct fs;
struct handle_list;

int handle_list_new(struct handle_list **ret_list);
/* Frees the handles that are left, without publishing, and keeps what is kept. NULL is
 * fine. */
void handle_list_free(struct handle_list *list);
uint64_t handle_count(struct handle_list *list);

/* A zeroed handle in the table; NULL: no memory, or sixteen million are open. */
struct handle *handle_new(struct handle_list *list, enum handle_kind kind);
/* Never NULL: a number that is none here is a HANDLE_LOST. */
struct handle *handle_get(struct handle_list *list, uint64_t fh);
/*
 * Call it when `text` is there. Anybody may open the log, as often as his descriptors
 * go: all texts above 16 KiB have 32 MiB together; -ENFILE.
 */
int handle_count_text(struct handle_list *list, struct handle *h);
/* Off the table, and not kept any more. Frees what it owns; does not release a writer.
 * NULL and what handle_get() did not find are fine. */
void handle_free(struct handle_list *list, struct handle *h);

/* ---- kept; see fs/resume.h ---- */

/* What is opened from now on is kept there; NULL: nowhere. */
void handle_list_keep(struct handle_list *list, struct keep *k);
/*
 * Before it is answered; and again when `extra` has changed, which is kept with it: a
 * HANDLE_TEXT's text, what listing_keep.c has. Without room it is not kept, with a line
 * in the log: a daemon that goes on for this one answers EIO to it.
 */
void handle_keep(struct handle_list *list, struct handle *h, struct slice extra);
/*
 * One that was kept, by a daemon before this one, under its number: with what was set
 * before handle_keep(), and nothing of what it owns. `ret_extra` is good until it is
 * changed. Before anything is opened. -ENOMEM; -EUCLEAN: it is bad.
 */
int handle_resume(struct handle_list *list, struct kept *o, struct handle **ret_h,
		  struct slice *ret_extra);
/* All are there: their neighbours may be given out. -ENOMEM. */
int handle_resume_end(struct handle_list *list);
/* What such an object has open: its kind, and `ino`. -EUCLEAN. */
int handle_kept_ino(struct kept *o, enum handle_kind *ret_kind, uint64_t *ret_ino,
		    uint64_t *ret_nodeid);
/* Its RELEASE was received. Who goes on can tell, until handle_free(). */
void handle_releasing(struct handle *h);
bool handle_was_releasing(const struct handle *h);
/* Is anything open that could not be kept, by this daemon or one before it? */
bool handle_some_unkept(const struct handle_list *list);
/* The one that this request made for a daemon before this one, or NULL. */
struct handle *handle_by_unique(struct handle_list *list, uint64_t unique);
/* All of them; `each` may free the one it is given. For one thread that is alone. */
void handle_each(struct handle_list *list, void (*each)(void *arg, struct handle *h),
		 void *arg);

#endif
