/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/decimal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static struct digits take_digits(const char **pos, const char *end)
{
	struct digits d = {.text = *pos};

	while (*pos < end && **pos >= '0' && **pos <= '9')
		(*pos)++;
	d.len = (size_t)(*pos - d.text);
	return d;
}

bool decimal_take(const char **pos, const char *end, const char *marks,
		  struct decimal *ret_decimal)
{
	const char *p = *pos;
	struct decimal d = {0};

	d.whole = take_digits(&p, end);
	if (d.whole.len == 0)
		return false;
	if (p < end && *p != '\0' && strchr(marks, *p)) {
		p++;
		d.frac = take_digits(&p, end);
		if (d.frac.len == 0)
			return false;
	}
	*pos = p;
	*ret_decimal = d;
	return true;
}

static bool whole_value(const struct digits *d, int64_t *ret_value)
{
	int64_t value = 0;

	for (size_t i = 0; i < d->len; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, d->text[i] - '0', &value))
			return false;
	*ret_value = value;
	return true;
}

/*
 * floor(unit * 0.d1d2…dn), from the last digit to the first. Rounding down at
 * each step gives the same as rounding down once, so any number of digits is
 * exact, and no intermediate value passes 10 * unit.
 */
static int64_t frac_value(const struct digits *d, int64_t unit)
{
	uint64_t value = 0;

	for (size_t i = d->len; i-- > 0;)
		value = ((uint64_t)(d->text[i] - '0') * (uint64_t)unit + value) / 10;
	return (int64_t)value;
}

int decimal_scale(const struct decimal *d, int64_t unit, int64_t *ret_value)
{
	int64_t value;

	assert(unit > 0 && unit <= INT64_C(1) << 60);
	if (!whole_value(&d->whole, &value) ||
	    __builtin_mul_overflow(value, unit, &value) ||
	    __builtin_add_overflow(value, frac_value(&d->frac, unit), &value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}
