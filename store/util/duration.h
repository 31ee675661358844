/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations and points in time, as users write them.
 *
 * All durations are nanoseconds in an int64_t; all points in time are
 * nanoseconds since 1970-01-01 UTC.
 */
#ifndef MEMOFS_STORE_UTIL_DURATION_H
#define MEMOFS_STORE_UTIL_DURATION_H

#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)

/* "none": never expires. Larger than any duration that can be parsed. */
#define DURATION_NONE INT64_MAX
/* No value was given: what applies is inherited. */
#define DURATION_UNSET INT64_C(-1)

/* The longest text duration_format() writes, with its NUL. */
#define DURATION_TEXT_MAX 64

/*
 * Parse `len` bytes of `text`: ISO 8601 (`PT1H`, `P1DT2H30M`, `PT0.5S`,
 * `P2W`), Go style (`1h30m`, `90s`, `250ms`, units w d h m s ms us ns, each at
 * most once and the larger first, with blanks between them if wanted), a bare
 * number of seconds (`3600`, `0.5`), or `none`. White space around it is
 * ignored. Fractions are exact; what is below a nanosecond is rounded down.
 * Years and months are refused: their length is not fixed.
 *
 * Returns 0, -EINVAL when it is not a duration (or negative), -ERANGE when it
 * does not fit (some 292 years).
 */
int duration_parse(const char *text, size_t len, int64_t *ret_ns);

/*
 * Write the exact text that duration_parse() reads back to the same value, days
 * at the most: `1h30m`, `90s` becomes `1m30s`, `250ms`, `none`, `0s`. `ns` is
 * not negative.
 */
void duration_format(int64_t ns, char ret_text[DURATION_TEXT_MAX]);

/*
 * For people: two units at most, rounded down: `3d 4h`, `12m`, `0.25s`.
 * `none` becomes `never`. A time in the future of a clock that was set back is
 * negative: `-3m`.
 */
void duration_format_short(int64_t ns, char ret_text[DURATION_TEXT_MAX]);

/* The wall clock now, CLOCK_REALTIME. */
int64_t time_now_ns(void);
/* A clock that is never set: CLOCK_MONOTONIC, for intervals. */
int64_t time_monotonic_ns(void);

#endif
