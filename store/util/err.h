/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message for a person, to go with an errno.
 *
 * Functions whose failure a user must act on (opening a store, reading a
 * configuration) take a `struct errmsg *` and fill it with one line that names
 * the file, the value and the remedy. It may be NULL where nobody looks.
 */
#ifndef MEMOFS_STORE_UTIL_ERR_H
#define MEMOFS_STORE_UTIL_ERR_H

struct errmsg {
	char text[1024]; /* NUL-terminated, no newline at the end */
};

/*
 * Format the message and return -errnum, so that a caller can write
 * `return err_set(err, EINVAL, "...")`. A longer text is cut.
 */
int err_set(struct errmsg *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
