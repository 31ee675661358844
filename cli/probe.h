/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a mount how it is, without being caught by one that does not answer.
 *
 * A request that a FUSE daemon has taken and not answered cannot be interrupted,
 * not even by SIGKILL. So a child does the reading, and is left behind when it
 * takes too long; it ends when the mount is aborted.
 */
#ifndef MEMOFS_CLI_PROBE_H
#define MEMOFS_CLI_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"

#define STATUS_LINES_MAX 64
#define PROBE_TIMEOUT_NS (5 * INT64_C(1000000000))

/* MOUNT/.memofs/status: lines of `key: value`, in the daemon's order. */
struct status {
	struct buf text; /* the lines, cut into strings */
	struct status_line {
		const char *key, *value;
	} line[STATUS_LINES_MAX];
	size_t n;
};

#define STATUS_INIT ((struct status){.n = 0})
#define CLEANUP_STATUS __attribute__((cleanup(status_deinit)))

/*
 * 0, or -ENOTCONN: the daemon has ended; -ETIMEDOUT: it does not answer;
 * -EACCES: the mount is not for this user; or another errno of open or read.
 */
int status_read(const char *mountpoint, int64_t timeout_ns, struct status *ret_status);
/* Take the text over and cut it into lines. */
void status_parse(struct buf *text, struct status *ret_status);
void status_deinit(struct status *st);

/*
 * All bytes of a file in a mount. As status_read(); -EFBIG: more than `max_bytes`. What
 * was read is appended.
 */
int probe_read(const char *path, int64_t timeout_ns, size_t max_bytes,
	       struct buf *ret_bytes);

/* NULL when the daemon does not say. */
const char *status_value(const struct status *st, const char *key);
/* The daemon's process id, or 0. */
pid_t status_pid(const struct status *st);

/* What a failed status_read() means, for people. */
const char *status_trouble(int r);

#endif
