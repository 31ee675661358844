/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/util/decimal.h"
#include "store/util/text.h"

/* The powers, from the first; bytes have no letter. */
static const char letters[] = "KMGTPE";

static bool text_is(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static int64_t power(int64_t base, int exponent)
{
	int64_t value = 1;

	while (exponent-- > 0)
		value *= base;
	return value;
}

/* What one of that unit is in bytes; 0 when it is no unit. */
static int64_t unit_bytes(const char *unit, size_t len)
{
	const char *letter;
	int exponent;

	if (len == 0 || text_is(unit, len, "B"))
		return 1;
	letter = memchr(letters, unit[0] & ~0x20, sizeof(letters) - 1);
	if (!letter)
		return 0;
	exponent = (int)(letter - letters) + 1;
	if (len == 1 || text_is(unit + 1, len - 1, "iB"))
		return power(1024, exponent);
	if (text_is(unit + 1, len - 1, "B"))
		return power(1000, exponent);
	return 0;
}

int size_parse(const char *text, size_t len, uint64_t *ret_bytes)
{
	const char *pos, *end;
	struct decimal number;
	int64_t unit, bytes;
	int r;

	text_trim(&text, &len);
	pos = text;
	end = text + len;
	if (!decimal_take(&pos, end, ".", &number))
		return -EINVAL;
	len = (size_t)(end - pos);
	text_trim(&pos, &len);
	unit = unit_bytes(pos, len);
	/* Nobody means half a byte; "1.5" is a unit forgotten. */
	if (unit == 0 || (unit == 1 && number.frac.len))
		return -EINVAL;
	r = decimal_scale(&number, unit, &bytes);
	if (r)
		return r;
	*ret_bytes = (uint64_t)bytes;
	return 0;
}

void size_format(uint64_t bytes, char ret_text[SIZE_TEXT_MAX])
{
	uint64_t unit = 1, whole;
	unsigned int tenth;
	int exponent = 0;

	while (bytes / unit >= 1024) {
		unit *= 1024;
		exponent++;
	}
	whole = bytes / unit;
	/* The remainder is below 2^60, so ten times it fits. */
	tenth = (unsigned int)(bytes % unit * 10 / unit);
	if (exponent == 0)
		snprintf(ret_text, SIZE_TEXT_MAX, "%" PRIu64 "B", whole);
	else if (tenth == 0 || whole >= 100)
		snprintf(ret_text, SIZE_TEXT_MAX, "%" PRIu64 "%ciB", whole,
			 letters[exponent - 1]);
	else
		snprintf(ret_text, SIZE_TEXT_MAX, "%" PRIu64 ".%u%ciB", whole, tenth,
			 letters[exponent - 1]);
}
