/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time, as users write them. */
#ifndef MEMOFS_STORE_UTIL_TIMESTAMP_H
#define MEMOFS_STORE_UTIL_TIMESTAMP_H

#include <stddef.h>
#include <stdint.h>

/*
 * Parse `len` bytes of `text` into nanoseconds since 1970-01-01 UTC:
 *  - seconds since then, `1795532640`, `1795532640.25`, with or without an `@`
 *    before them, as date(1) has it;
 *  - ISO 8601: `2026-11-20`, `2026-11-20T15:04`, `2026-11-20T15:04:05.25`, a
 *    blank in place of the T (`date --rfc-3339=ns`), and behind a time `Z`,
 *    `+01:00` or `-05:30`. Without a zone it is UTC, wherever this runs: the
 *    locale and TZ change nothing.
 * White space around it is ignored. Fractions are exact; what is below a
 * nanosecond is rounded down. There is no second 60 and no hour 24.
 *
 * Returns 0, -EINVAL when it is no time, -ERANGE when it does not fit (before
 * September 1677 or after April 2262).
 */
int timestamp_parse(const char *text, size_t len, int64_t *ret_ns);

#endif
