/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was under way when the daemon before this one died, and the kernel sends again:
 * requests that were received and not answered. fs/resume.h has when that is.
 *
 * The kernel is asked for them. All that it sends again comes before what is new, in no
 * order. So all of it is received, and looked at like whatever is received, before any of
 * it is handled; then it is handled before anything else is received, RELEASEs first,
 * since others wait for what they do.
 *
 * A kernel before 6.9 sends nothing again. Then what was under way gets EIO: nobody is to
 * wait for an answer that never comes.
 */
#ifndef MEMOFS_FS_RESEND_H
#define MEMOFS_FS_RESEND_H

#include <stddef.h>
#include <stdint.h>

#include "store/util/err.h"

struct fs;
struct fuse_buf;

/* Set by the kernel in the number of what it sends again; linux/fuse.h has it from 6.9
 * on, as FUSE_UNIQUE_RESEND. */
#define RESEND_BIT (UINT64_C(1) << 63)

/* What was received and is to be handled. For one thread at a time; not to be moved. */
struct resend {
	struct early *first, **releases_end, **end;
};

void resend_init(struct resend *q);
void resend_deinit(struct resend *q);

/*
 * Once, before the session of `fs` has workers: ask the kernel, and receive all that it
 * sends. `receive` does what fuse_session_receive_buf() does, into `buf`, which stays the
 * caller's, and what must be done before the next request is received. -ENOMEM, with a
 * message: the session cannot begin.
 */
int resend_collect(struct resend *q, struct fs *fs, struct fuse_buf *buf,
		   int (*receive)(void *arg, struct fuse_buf *buf), void *arg,
		   struct errmsg *err);

/* The next one to handle, with its header; the caller frees it. NULL: none is left. */
void *resend_take(struct resend *q, size_t *ret_size);

#endif
