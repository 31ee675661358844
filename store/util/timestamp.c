/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/timestamp.h"

#include <errno.h>
#include <stdbool.h>

#include "store/util/decimal.h"
#include "store/util/duration.h"
#include "store/util/text.h"

struct parser {
	const char *pos, *end;
};

static bool take(struct parser *p, char c)
{
	if (p->pos == p->end || *p->pos != c)
		return false;
	p->pos++;
	return true;
}

/* Exactly `count` digits, whose value is in [min, max]. */
static bool take_number(struct parser *p, int count, int min, int max, int *ret_value)
{
	int value = 0;

	if (p->end - p->pos < count)
		return false;
	for (int i = 0; i < count; i++) {
		char c = *p->pos++;

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*ret_value = value;
	return value >= min && value <= max;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Since 1970-01-01, in the Gregorian calendar; `year` is 1 or later. */
static int64_t days_since_epoch(int year, int month, int day)
{
	/* Years that begin in March, so that the leap day is the last of one. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t month_index = (month + 9) % 12;
	int64_t leap_days = y / 4 - y / 100 + y / 400;
	enum { DAYS_TO_EPOCH = 719468 }; /* from 0000-03-01 */

	return y * 365 + leap_days + (month_index * 153 + 2) / 5 + day - 1 -
	       DAYS_TO_EPOCH;
}

static int parse_date(struct parser *p, int64_t *ret_days)
{
	int year, month, day;

	if (!take_number(p, 4, 1, 9999, &year) || !take(p, '-') ||
	    !take_number(p, 2, 1, 12, &month) || !take(p, '-') ||
	    !take_number(p, 2, 1, days_in_month(year, month), &day))
		return -EINVAL;
	*ret_days = days_since_epoch(year, month, day);
	return 0;
}

/* `05`, `05.25`: whole seconds and what is behind them. */
static bool take_seconds(struct parser *p, int64_t *ret_seconds, int64_t *ret_ns)
{
	struct decimal number;
	int64_t ns;

	if (!decimal_take(&p->pos, p->end, ".,", &number) || number.whole.len != 2 ||
	    decimal_scale(&number, NSEC_PER_SEC, &ns) || ns >= 60 * NSEC_PER_SEC)
		return false;
	*ret_seconds = ns / NSEC_PER_SEC;
	*ret_ns = ns % NSEC_PER_SEC;
	return true;
}

/* Nothing, `Z`, or `+hh:mm`: how far its clocks are ahead of UTC. */
static bool take_zone(struct parser *p, int64_t *ret_ahead_seconds)
{
	int hours, minutes;
	bool behind;

	*ret_ahead_seconds = 0;
	if (p->pos == p->end || take(p, 'Z'))
		return true;
	behind = take(p, '-');
	if ((!behind && !take(p, '+')) || !take_number(p, 2, 0, 23, &hours) ||
	    !take(p, ':') || !take_number(p, 2, 0, 59, &minutes))
		return false;
	*ret_ahead_seconds = (hours * 60 + minutes) * (behind ? -60 : 60);
	return true;
}

/* Behind the date: a time of the day, with a zone if wanted. */
static int parse_time(struct parser *p, int64_t *ret_seconds, int64_t *ret_ns)
{
	int hours, minutes;
	int64_t seconds = 0, ahead_seconds;

	*ret_ns = 0;
	if (!take_number(p, 2, 0, 23, &hours) || !take(p, ':') ||
	    !take_number(p, 2, 0, 59, &minutes) ||
	    (take(p, ':') && !take_seconds(p, &seconds, ret_ns)) ||
	    !take_zone(p, &ahead_seconds))
		return -EINVAL;
	*ret_seconds = hours * 3600 + minutes * 60 + seconds - ahead_seconds;
	return 0;
}

/*
 * Seconds may be negative, `ns` is not: both are brought to one sign first, so
 * that the first and the last nanosecond of the range do not overflow halfway.
 */
static int to_ns(int64_t seconds, int64_t ns, int64_t *ret_ns)
{
	if (seconds < 0 && ns > 0) {
		seconds++;
		ns -= NSEC_PER_SEC;
	}
	if (__builtin_mul_overflow(seconds, NSEC_PER_SEC, &seconds) ||
	    __builtin_add_overflow(seconds, ns, &seconds))
		return -ERANGE;
	*ret_ns = seconds;
	return 0;
}

static int parse_iso(struct parser *p, int64_t *ret_ns)
{
	int64_t days, seconds = 0, ns = 0;
	int r = parse_date(p, &days);

	if (!r && (take(p, 'T') || take(p, ' ')))
		r = parse_time(p, &seconds, &ns);
	if (r || p->pos != p->end)
		return -EINVAL;
	return to_ns(days * 86400 + seconds, ns, ret_ns);
}

static int parse_epoch(struct parser *p, int64_t *ret_ns)
{
	struct decimal number;

	take(p, '@');
	if (!decimal_take(&p->pos, p->end, ".", &number) || p->pos != p->end)
		return -EINVAL;
	return decimal_scale(&number, NSEC_PER_SEC, ret_ns);
}

int timestamp_parse(const char *text, size_t len, int64_t *ret_ns)
{
	struct parser p;

	text_trim(&text, &len);
	p = (struct parser){.pos = text, .end = text + len};
	/* A date has its first dash behind the year; seconds have none. */
	if (len > 4 && text[4] == '-')
		return parse_iso(&p, ret_ns);
	return parse_epoch(&p, ret_ns);
}
