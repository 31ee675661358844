/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libfuse leaves out of its answer to INIT.
 *
 * Before 3.17 it takes FUSE_CAP_PARALLEL_DIROPS and does not pass it on, so that the
 * kernel sends one LOOKUP or READDIR of a directory at a time, whoever asks. So the flag
 * is put into the answer while it is written.
 */
#ifndef MEMOFS_FS_INIT_FLAGS_H
#define MEMOFS_FS_INIT_FLAGS_H

#include <stdbool.h>
#include <sys/uio.h>

struct fs;

/*
 * Before the first request is received, of a session that is mounted. -errno; a libfuse
 * that needs nothing done is left alone.
 */
int init_flags_watch(struct fs *fs);

/* Is it the answer to INIT, a good one? Then the flag is set in it. */
bool init_flags_complete(const struct iovec *iov, int count);

#endif
