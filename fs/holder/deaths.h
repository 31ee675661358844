/* SPDX-License-Identifier: Apache-2.0 */
/* When a daemon that died is started again. */
#ifndef MEMOFS_FS_HOLDER_DEATHS_H
#define MEMOFS_FS_HOLDER_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

/* A daemon that was ready for as long as this had a fresh start. */
#define DEATHS_QUICK_NS (10 * INT64_C(1000000000))

struct deaths {
	int64_t quick_ns;   /* DEATHS_QUICK_NS, or another for tests */
	unsigned int quick; /* in a row: before ready, or soon after */
	unsigned int blame; /* of what is kept, for these */
	uint64_t total;
};

/* One died, that long after it was ready; negative: it never was. Returns how long to
 * wait before the next is started, in ns. */
int64_t deaths_note(struct deaths *d, int64_t ready_ns);
/* Then, if that may have been because of what is kept for it; not when somebody killed
 * it, or it said what else is wrong. */
void deaths_blame_keep(struct deaths *d, int64_t ready_ns);
/* So many in a row that who asks meanwhile is to get an error, for they might wait for
 * ever. */
bool deaths_many(const struct deaths *d);
/* And with what is kept there is no hope any more: another program was tried, and all
 * that was under way was answered. */
bool deaths_hopeless(const struct deaths *d);
/* What was kept is given up. */
void deaths_forgive_keep(struct deaths *d);

#endif
