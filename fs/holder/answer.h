/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for a daemon that cannot be started: whoever asks gets EIO, so that nobody
 * waits for ever. What is answered so is lost to a daemon that comes later: also that
 * something was closed or forgotten.
 */
#ifndef MEMOFS_FS_HOLDER_ANSWER_H
#define MEMOFS_FS_HOLDER_ANSWER_H

struct answerer;

/*
 * Begin to answer at this connection, what the dead one had received included. The
 * descriptor stays the caller's. -ENOMEM.
 */
int answerer_new(int fuse_fd, struct answerer **ret_a);
/* The next daemon reads from now on. NULL is fine. */
void answerer_free(struct answerer *a);
/* Answer what waits now. -ENODEV: there is no mount any more. */
int answerer_run(struct answerer *a);

#endif
