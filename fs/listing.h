/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open directory is.
 *
 *	op_dir.c	the requests: open, read, close; what the kernel may keep
 *	listing.c	begin and end, and the names that are no rows of the store
 *	listing_page.c	what an answer brings
 *	listing_ahead.c	the next answer, before it is asked for
 *	listing_keep.c	what a successor has to know, and what it makes of it
 *
 * Offsets 0 and 1 are before "." and before ".."; from 2 on they are the
 * store's, moved by 2. A listing shows the directory as it was when it was
 * opened (or last rewound), which POSIX allows, so that offsets stay good.
 *
 * Under `stale` the names that were being computed at that moment come last, at
 * offsets of their own: the store's listing leaves out what has expired, and what
 * expires while it is read is neither to be missed nor to come twice.
 */
#ifndef MEMOFS_FS_LISTING_H
#define MEMOFS_FS_LISTING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/dircache.h"
#include "fs/handle.h"
#include "fs/node.h"
#include "store/util/buf.h"

enum { LISTING_FIRST_OFF = 2 };

struct listed {
	char *name;
	mode_t type;
};

/* An answer to a READDIR. */
struct dir_page {
	bool plus, nodes; /* `nodes`: with plus it may name them */
	char *data;	  /* owned */
	size_t size, used;
	uint64_t off, next_off; /* its first name is at, and what comes after it */
	int64_t until_ns;	/* when one of its names expires */
	uint64_t rules;		/* store_dir_rules() from before its names were judged */
	struct buf names;	/* for who goes on: see listing_keep.c */
};

struct listing {
	struct fs *fs;
	atomic_uint refs; /* the handle, and who reads ahead */
	bool control;

	/* A directory of the store. One request at a time: the kernel holds the
	 * directory's lock, exclusively unless it is asked not to; `lock` is for
	 * descriptors shared between processes. */
	pthread_mutex_t lock;
	struct dirref dir;
	uint64_t branch;
	struct store_dir *stream; /* NULL: to be opened */
	uint64_t at;		  /* the position `stream` is at */
	bool held;		  /* `ent` was read and did not fit: it comes next */
	struct store_dirent ent;
	struct dircache *copied; /* the kernel may keep it; NULL: it may not */
	bool copy_begun;	 /* it has asked for names */
	bool has_ahead;
	struct dir_page ahead; /* the answer to what is asked next */

	/* A control directory: all its names. Else those being computed, sorted. */
	struct vnode v;
	struct listed *names;
	size_t count;

	/* For who goes on: see listing_keep.c. */
	struct buf page; /* names given out last */
	bool page_new;	 /* and not kept yet */
	bool resumed;	 /* `stream` is not the one that gave the offsets out */
	bool
	    renumbered; /* and what it counts is not what they were: it may not go back */
};

/* listing.c */
struct listing *listing_new(struct fs *fs); /* NULL: no memory */
/* It is closed; who reads ahead may have it a moment longer. NULL is fine. */
void listing_free(struct listing *d);
void listing_ref(struct listing *d);
void listing_unref(struct listing *d);
/* One more of its own names; `listing` is one, for control_list(). -ENOMEM. */
int listing_add_name(void *listing, const char *name, mode_t type);
/* Anew: what is being computed, if the view shows that. As store_lease_list(). */
int listing_load_computed(struct fs *fs, struct listing *d);
bool listing_is_computed(const struct listing *d, const char *name);

/*
 * listing_page.c. What does not fit any more is left for the next answer. With
 * `d->lock` held.
 */
void dir_page_deinit(struct dir_page *pg);
/* "." and ".."; moves *off on. False: full. */
bool listing_fill_dots(struct fs *fs, struct listing *d, struct dir_page *pg,
		       uint64_t *off);
/* The names of a control directory. */
void listing_fill_control(struct listing *d, struct dir_page *pg, uint64_t off);
/* The names of one of the store from `off` on; opens the stream, or moves it. -errno:
 * what was added before is good. */
int listing_fill_store(fuse_req_t req, struct handle *h, struct dir_page *pg,
		       uint64_t off);
/* The same from where the stream is, which is open. */
int listing_fill_rows(struct fs *fs, struct listing *d, struct dir_page *pg);

/* listing_ahead.c */
/*
 * Moves the answer to `off` into *pg, which has nothing yet. False: there is none, or it
 * is not good any more. With `d->lock` held.
 */
bool listing_take_ahead(struct listing *d, struct dir_page *pg, uint64_t off);
/* Is the next answer, after `pg`, to be made before it is asked for? The same. */
bool listing_may_read_ahead(const struct listing *d, const struct dir_page *pg);
/* Makes it, of `size` bytes at most: after the answer, with a reference, no lock held. */
void listing_read_ahead(struct listing *d, size_t size);
void listing_drop_ahead(struct listing *d);

/* listing_keep.c */
/* The directory and its own names: before OPENDIR is answered, and when they change. */
void listing_keep(struct fs *fs, struct handle *h);
/* The names that listing_note_given() noted last. With `d->lock` held, as the rest. */
void listing_keep_page(struct fs *fs, struct handle *h);
/* `d->ent` was added to the answer; and this answer is given. */
void listing_note_added(const struct listing *d, struct dir_page *pg);
void listing_note_given(struct listing *d, struct dir_page *pg);
/* Where to go on at `off`: at a name, or after it. False: it was not given out last. */
bool listing_find_given(const struct listing *d, uint64_t off,
			char ret_name[STORE_NAME_MAX + 1], bool *ret_after);
/*
 * Of a HANDLE_DIR that was kept: its listing, with what was kept of it. -ENOMEM;
 * -EUCLEAN; or as opendir(3).
 */
int listing_resume(struct fs *fs, struct handle *h, struct slice extra);
/* And what it has given out last: `o`, which it owns from then on. */
void listing_resume_page(struct handle *h, struct kept *o);

#endif
