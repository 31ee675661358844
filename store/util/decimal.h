/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimal numbers times a unit, exactly: what durations and sizes share.
 *
 * No floating point: 0.1 of a unit is the tenth of it, to the last digit.
 */
#ifndef MEMOFS_STORE_UTIL_DECIMAL_H
#define MEMOFS_STORE_UTIL_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits, and perhaps a mark and more digits. Points into the text it came from. */
struct decimal {
	struct digits {
		const char *text;
		size_t len;
	} whole, frac;
};

/*
 * Take a number from *pos, which is moved behind it. `marks` are the characters
 * that may stand before the fraction. There is a digit on both sides of the
 * mark, and no sign. False, and *pos as it was, when there is none.
 */
bool decimal_take(const char **pos, const char *end, const char *marks,
		  struct decimal *ret_decimal);

/*
 * The number times `unit` (at most 2^60), what is below one rounded down.
 * -ERANGE when it is more than INT64_MAX.
 */
int decimal_scale(const struct decimal *d, int64_t unit, int64_t *ret_value);

#endif
