/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file under a name of its own that becomes another one whole, or never.
 *
 * In a memofs mount nobody sees a file before its last descriptor is closed. So
 * it gets its final name while it is still open, and the close is what publishes
 * it: it never appears under the name it had first. A signal that ends the
 * program removes the file before; after scratch_keep() has named it, its
 * content is complete. One at a time.
 */
#ifndef MEMOFS_CLI_SCRATCH_H
#define MEMOFS_CLI_SCRATCH_H

struct scratch {
	int fd;
	char *path;
};

/*
 * Make `prefix.PID.RANDOM` beside `target`, for writing, mode 0666 less the
 * umask. -errno of open(2); -ENAMETOOLONG also when the target's name is too
 * long, so that it is known before the content has been read.
 */
int scratch_open(const char *target, const char *prefix, struct scratch *ret_scratch);
/* Rename it to `target` and close it. On failure it is gone. */
int scratch_keep(struct scratch *s, const char *target);
/* Remove it. */
void scratch_drop(struct scratch *s);

/*
 * An empty file that never gets a name, below TMPDIR or /tmp, to read and write.
 * Returns a descriptor, close-on-exec and the caller's, or -errno.
 */
int scratch_unnamed(void);

#endif
