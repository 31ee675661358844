/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a text of many parts, where one check at the end is enough. */
#ifndef MEMOFS_FS_PUT_H
#define MEMOFS_FS_PUT_H

#include "store/util/buf.h"

/* From the first failure on nothing more is written, and `r` says why. */
struct put {
	struct buf *out;
	int r;
};

void put(struct put *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A string of JSON, with its quotes. A byte that is no UTF-8 becomes U+FFFD. */
void put_string(struct put *p, const char *text);
/* A member of JSON: a point in time, in seconds since the epoch. */
void put_time(struct put *p, const char *key, int64_t ns);

#endif
