/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long work on a store, followed until it ends: a job of the mount it is in, or the
 * daemon itself for a store that nobody has open. Both tell the same lines; see
 * "fs/jobs.h".
 */
#ifndef MEMOFS_CLI_CAREJOB_H
#define MEMOFS_CLI_CAREJOB_H

#include <stdbool.h>

#include "store/util/buf.h"

/* Where a store is, of a path in a mount or of a store's directory. */
struct carestore {
	char *mountpoint; /* NULL: it is not mounted */
	char *store;	  /* as the mount names it, or as given; absolute */
};
#define CARESTORE_INIT ((struct carestore){0})
#define CLEANUP_CARESTORE __attribute__((cleanup(carestore_deinit)))
void carestore_deinit(struct carestore *cs);
/* CLI_OK, or CLI_FAILED after a message: PATH is neither. */
int carestore_find(const char *command, const char *path, struct carestore *ret_cs);

struct carejob {
	const char *command; /* for messages */
	const char *verb;    /* "checking", for the bar */
	const char *unit;    /* of what is counted: "rows" */
	bool quiet;	     /* no bar */
};

/* What came of it. */
struct careresult {
	bool failed;	   /* it did not come to its end; said on stderr */
	bool unopened;	   /* the store could not be opened; the same */
	struct buf result; /* its lines, each ended by NUL */
};
void careresult_deinit(struct careresult *r);
#define CARERESULT_INIT ((struct careresult){0})
#define CLEANUP_CARERESULT __attribute__((cleanup(careresult_deinit)))

/*
 * Start the job `name` with options, or follow the one that runs, until it ends. What is
 * found is printed on stdout. CLI_OK, or CLI_FAILED or CLI_MOUNT after a message.
 */
int carejob_mount(const struct carejob *job, const struct carestore *cs, const char *name,
		  const char *options, struct careresult *ret_result);
/* The same by memofsd; args end with NULL: {"--check", STORE, NULL}. */
int carejob_offline(const struct carejob *job, const struct carestore *cs,
		    const char *const *args, struct careresult *ret_result);

/* What follows `word ` in the last line of the result that begins with it, or NULL. */
const char *careresult_value(const struct careresult *r, const char *word);
/* All lines but those that begin with `but` (NULL: all), on stdout. */
void careresult_print(const struct careresult *r, const char *but);

#endif
