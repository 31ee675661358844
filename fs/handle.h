/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open descriptor is, behind fi->fh.
 *
 * All of them are on a list, so that a daemon that is told to end while files
 * are open can give back what they hold.
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

enum handle_kind {
	HANDLE_GEN,	/* a published generation, for reading */
	HANDLE_PENDING, /* a value being written, for reading or writing */
	HANDLE_TEXT,	/* a control file, as it was when it was opened */
	HANDLE_DIR,	/* a listing */
};

struct handle {
	enum handle_kind kind;
	bool writer;
	atomic_bool synced;	   /* HANDLE_PENDING: fsync was asked for */
	struct store_gen *gen;	   /* HANDLE_GEN; owned */
	struct pending *pending;   /* HANDLE_PENDING; a reference */
	uint64_t ns_ino;	   /* whose bytes are counted, for metrics_ns() */
	struct buf text;	   /* HANDLE_TEXT */
	size_t counted;		   /* of it, by handle_count_text() */
	struct listing *listing;   /* HANDLE_DIR; owned */
	struct limit_hold hold;	   /* its user's, one of LIMIT_HANDLES */
	struct handle *next, **at; /* under the list's lock */
};

struct handle_list;

int handle_list_new(struct handle_list **ret_list);
/* Frees the handles that are left, without publishing. NULL is fine. */
void handle_list_free(struct handle_list *list);
uint64_t handle_count(struct handle_list *list);

/* A zeroed handle on the list; NULL: no memory. */
struct handle *handle_new(struct handle_list *list, enum handle_kind kind);
/*
 * Call it when `text` is there. Anybody may open the log, as often as his descriptors
 * go: all texts above 16 KiB have 32 MiB together; -ENFILE.
 */
int handle_count_text(struct handle_list *list, struct handle *h);
/* Off the list. Frees what it owns; does not release a writer. NULL is fine. */
void handle_free(struct handle_list *list, struct handle *h);

static inline struct handle *handle_of(uint64_t fh)
{
	return (struct handle *)(uintptr_t)fh;
}

/* op_dir.c */
void listing_free(struct listing *l); /* NULL is fine */

#endif
