/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libfuse leaves out of its answer to INIT.
 *
 * Before 3.17 it takes FUSE_CAP_PARALLEL_DIROPS and does not pass it on, so that the
 * kernel sends one LOOKUP or READDIR of a directory at a time, whoever asks. And it knows
 * nothing of passthrough. So these flags are put into the answer while it is written.
 */
#ifndef MEMOFS_FS_INIT_FLAGS_H
#define MEMOFS_FS_INIT_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct fs;

/*
 * Before the first request is received, of a session that is mounted. -errno; a libfuse
 * that needs nothing done is left alone.
 */
int init_flags_watch(struct fs *fs);

/*
 * INIT, with its header, was received, and is not answered yet: of what is wanted, that
 * stays in `fs` which it offers.
 */
void init_flags_look(struct fs *fs, const void *init, size_t len);

enum init_flags {
	INIT_FLAGS_PARALLEL_DIROPS = 1 << 0,
	INIT_FLAGS_PASSTHROUGH = 1 << 1,
};
/* Is it the answer to INIT, a good one? Then these are set in it. */
bool init_flags_complete(const struct iovec *iov, int count, unsigned int flags);

#endif
