/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why values were not stored, for whoever asks for them afterwards.
 *
 * One reason for a (branch, name), the newest FAILURES_MAX in all, in memory only.
 * A later publish of the name takes it away. All may be called from any thread;
 * the table's lock is a leaf.
 */
#ifndef MEMOFS_FS_FAILURES_H
#define MEMOFS_FS_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

enum { FAILURES_MAX = 1024, FAILURE_TEXT_MAX = 160 };

struct failure {
	int64_t at_ns; /* wall clock */
	/* Such as `exit status 1 of sort (pid 123)`: one line, for people. */
	char text[FAILURE_TEXT_MAX];
};

struct failures;

int failures_new(struct failures **ret_f); /* -ENOMEM */
void failures_free(struct failures *f);	   /* NULL is fine */

/* Keep a reason, in the place of an older one. Without memory it is lost. */
void failure_put(struct failures *f, uint64_t branch, const char *name, const char *text);
/* -ENOENT: the name has not failed since it was last published, or long ago. */
int failure_get(struct failures *f, uint64_t branch, const char *name,
		struct failure *ret_failure);
/* The name was published. */
void failure_clear(struct failures *f, uint64_t branch, const char *name);

#endif
