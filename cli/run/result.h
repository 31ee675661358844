/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result of a command, as a sealed tree:
 *
 *   key      what it was made from ("cli/key/key.h")
 *   result   `exit N` and `seconds S`, a line each
 *   stdout, stderr, order   what it wrote ("cli/run/recording.h")
 *   files/…  its outputs
 */
#ifndef MEMOFS_CLI_RUN_RESULT_H
#define MEMOFS_CLI_RUN_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run/recording.h"
#include "cli/tree/packread.h"
#include "cli/tree/walk.h"
#include "store/util/buf.h"

struct result {
	int exit_code;
	int64_t ran_ns;
};

struct result_parts {
	struct slice key;
	struct result result;
	struct recording *rec;
	int dirfd; /* the outputs' */
	const struct tree_items *outputs;
	struct filehash *fh;
};

/* The whole pack, to `fd`. -errno with a message. */
int result_write(int fd, const struct result_parts *parts, struct errmsg *err);

/* The text of `result`. -EBADMSG: it is none. Lines that are not known are left out. */
int result_parse(struct slice text, struct result *ret_result);

/* One that was found. */
struct found {
	struct packread pack;
	struct buf key;
	struct result result;
};
#define FOUND_INIT ((struct found){.pack = PACKREAD_INIT})
#define CLEANUP_FOUND __attribute__((cleanup(found_deinit)))

/* Takes `fd` over. -EBADMSG, -EISDIR: what is there is no result; with a message. */
int found_open(int fd, struct found *ret_found, struct errmsg *err);
void found_deinit(struct found *f);
bool found_has_files(const struct found *f);

/*
 * Write what the command wrote to our stdout and stderr, in its order. 0, or -errno:
 * *ret_writing tells whether that was in writing it; ret_shown counts the bytes that
 * were written, also then.
 */
int found_replay(struct found *f, uint64_t ret_shown[STREAMS], bool *ret_writing);

#endif
