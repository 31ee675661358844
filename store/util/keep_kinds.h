/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept ("store/util/keep.h"): the kinds of objects, and what their ids are. The
 * numbers stay: a successor may be a newer program.
 */
#ifndef MEMOFS_STORE_UTIL_KEEP_KINDS_H
#define MEMOFS_STORE_UTIL_KEEP_KINDS_H

enum keep_kind {
	/* store/ */
	KEEP_STAGED = 1,  /* a value being written, but its bytes; its inode number */
	KEEP_CONTENT = 2, /* its bytes; the same number */
	KEEP_GEN = 3,	  /* open, and without a name: its attributes; its inode number */
	/* fs/ */
	KEEP_PENDING = 16,     /* who writes it, and as what; its inode number */
	KEEP_VNODE = 17,       /* a virtual node; its number */
	KEEP_HANDLE = 18,      /* an open descriptor; its fh */
	KEEP_HANDLE_TEXT = 19, /* the text it reads; its fh */
	KEEP_HANDLE_DIR = 20,  /* its listing; its fh */
	KEEP_WAIT = 21,	       /* who waits until when; the number of the request */
	KEEP_REQUEST = 22,     /* what must not be done twice; the worker */
};

#endif
