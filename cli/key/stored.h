/* SPDX-License-Identifier: Apache-2.0 */
/* Results as they lie in the cache, seen as directories. */
#ifndef MEMOFS_CLI_KEY_STORED_H
#define MEMOFS_CLI_KEY_STORED_H

#include <stdint.h>

#include "cli/key/key.h"
#include "store/util/buf.h"

struct stored {
	char *path;	    /* of the entry */
	struct buf key;	    /* what it was made from */
	int exit_code;	    /* of its command */
	int64_t created_ns; /* wall clock; 0: not known */
	int64_t expires_ns; /* DURATION_NONE: never, or not known */
};
#define STORED_INIT ((struct stored){.path = NULL})
#define CLEANUP_STORED __attribute__((cleanup(stored_deinit)))
void stored_deinit(struct stored *st);

/* -ENOENT: there is nothing; -EBADMSG: what is there is no result; else -errno. */
int stored_read(const char *entry, struct stored *ret_stored);

/*
 * Of the newest STORED_LOOKED_AT results beside `entry`, the one that differs from `k`
 * in the fewest parts that --validate is about; of several the newest. *ret_lines and
 * *ret_count as of key_differences(). -ENOENT: there is none.
 */
#define STORED_LOOKED_AT 1000
int stored_nearest(const struct key_options *o, const struct key *k, const char *entry,
		   struct stored *ret_stored, struct buf *ret_lines, int *ret_count);

#endif
