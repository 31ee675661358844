/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/duration.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/util/decimal.h"
#include "store/util/text.h"

#define USEC INT64_C(1000)
#define MSEC (1000 * USEC)
#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WEEK (7 * DAY)

/* Largest first, and ended by a NULL: the order in which they may be written. */
struct unit {
	const char *name;
	int64_t ns;
};

static const struct unit plain_units[] = {
    {"w", WEEK},  {"d", DAY},	{"h", HOUR}, {"m", MINUTE}, {"s", NSEC_PER_SEC},
    {"ms", MSEC}, {"us", USEC}, {"ns", 1},   {NULL, 0},
};
/* Weeks are read, not written: `30d` says more than `4w2d`. */
static const struct unit *const largest_printed = &plain_units[1];

static const struct unit iso_date_units[] = {{"W", WEEK}, {"D", DAY}, {NULL, 0}};
static const struct unit iso_time_units[] = {
    {"H", HOUR}, {"M", MINUTE}, {"S", NSEC_PER_SEC}, {NULL, 0}};

struct parser {
	const char *pos, *end;
	int64_t sum_ns;
	/*
	 * The syntax is checked to the end even so: what is no duration at all
	 * should not be called too long.
	 */
	bool out_of_range;
};

static void add(struct parser *p, const struct decimal *number, int64_t unit_ns)
{
	int64_t ns;

	if (decimal_scale(number, unit_ns, &ns) ||
	    __builtin_add_overflow(p->sum_ns, ns, &p->sum_ns))
		p->out_of_range = true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Take the run of letters; *units moves behind the unit it names. */
static const struct unit *take_unit(struct parser *p, const struct unit **units)
{
	const char *word = p->pos;
	size_t len;

	while (p->pos < p->end && is_letter(*p->pos))
		p->pos++;
	len = (size_t)(p->pos - word);
	for (const struct unit *u = *units; u->name; u++) {
		if (len == strlen(u->name) && memcmp(word, u->name, len) == 0) {
			*units = u + 1;
			return u;
		}
	}
	return NULL;
}

/* `1h30m`, `1h 30m`, `90`. */
static int parse_plain(struct parser *p)
{
	const struct unit *units = plain_units;
	struct decimal number;

	while (decimal_take(&p->pos, p->end, ".", &number)) {
		const struct unit *unit;

		if (p->pos == p->end && units == plain_units) {
			add(p, &number, NSEC_PER_SEC);
			return 0;
		}
		unit = take_unit(p, &units);
		if (!unit)
			return -EINVAL;
		add(p, &number, unit->ns);
		if (p->pos == p->end)
			return 0;
		while (text_is_space(*p->pos)) /* the text ends in no space */
			p->pos++;
	}
	return -EINVAL;
}

/* One half of an ISO duration; *ret_more is false after a fraction, which ends it. */
static int parse_iso_part(struct parser *p, const struct unit *units, bool *ret_more)
{
	struct decimal number;
	bool more = true;

	while (more && decimal_take(&p->pos, p->end, ".,", &number)) {
		const struct unit *unit = NULL;

		/* The designator is one letter: the T may follow at once. */
		for (; p->pos < p->end && units->name && !unit; units++)
			if (*p->pos == units->name[0])
				unit = units;
		if (!unit)
			return -EINVAL;
		p->pos++;
		add(p, &number, unit->ns);
		more = number.frac.len == 0;
	}
	*ret_more = more;
	return 0;
}

/* ISO 8601 behind its `P`: `1DT2H`, `2W`, `T0.5S`. */
static int parse_iso(struct parser *p)
{
	bool more;
	const char *start = p->pos;
	int r = parse_iso_part(p, iso_date_units, &more);

	if (r)
		return r;
	if (more && p->pos < p->end && *p->pos == 'T') {
		start = ++p->pos;
		r = parse_iso_part(p, iso_time_units, &more);
		if (r)
			return r;
	}
	return p->pos == p->end && p->pos > start ? 0 : -EINVAL;
}

int duration_parse(const char *text, size_t len, int64_t *ret_ns)
{
	struct parser p = {0};
	int r;

	text_trim(&text, &len);
	if (len == 4 && memcmp(text, "none", 4) == 0) {
		*ret_ns = DURATION_NONE;
		return 0;
	}
	p.pos = text;
	p.end = text + len;
	if (len && *text == 'P') {
		p.pos++;
		r = parse_iso(&p);
	} else {
		r = parse_plain(&p);
	}
	if (r)
		return r;
	if (p.out_of_range || p.sum_ns == DURATION_NONE)
		return -ERANGE;
	*ret_ns = p.sum_ns;
	return 0;
}

/* "1.5s": all of `ns` in one unit, whose size is a power of ten; or "0s". */
static size_t print_decimal(char *text, size_t cap, uint64_t ns, const struct unit *u)
{
	uint64_t unit_ns = (uint64_t)u->ns, rest = ns % unit_ns;
	size_t n = (size_t)snprintf(text, cap, "%" PRIu64, ns / unit_ns);

	if (rest)
		text[n++] = '.';
	for (; rest; rest = rest * 10 % unit_ns)
		text[n++] = (char)('0' + rest * 10 / unit_ns);
	return n + (size_t)snprintf(text + n, cap - n, "%s", u->name);
}

void duration_format(int64_t ns, char ret_text[DURATION_TEXT_MAX])
{
	const struct unit *u = largest_printed;
	size_t n = 0;

	assert(ns >= 0);
	if (ns == DURATION_NONE) {
		memcpy(ret_text, "none", sizeof("none"));
		return;
	}
	for (; u->ns > NSEC_PER_SEC; u++) {
		if (ns >= u->ns)
			n += (size_t)snprintf(ret_text + n, DURATION_TEXT_MAX - n,
					      "%" PRId64 "%s", ns / u->ns, u->name);
		ns %= u->ns;
	}
	if (ns == 0 && n > 0)
		return;
	/* 250ms rather than 0.25s, but 1m0.25s. */
	while (n == 0 && ns > 0 && ns < u->ns)
		u++;
	print_decimal(ret_text + n, DURATION_TEXT_MAX - n, (uint64_t)ns, u);
}

void duration_format_short(int64_t ns, char ret_text[DURATION_TEXT_MAX])
{
	const struct unit *u = largest_printed;
	uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns, rest;
	size_t n = 0;

	if (ns == DURATION_NONE) {
		memcpy(ret_text, "never", sizeof("never"));
		return;
	}
	if (ns < 0)
		ret_text[n++] = '-';
	while (u->ns > NSEC_PER_SEC && left < (uint64_t)u->ns)
		u++;
	if (u->ns == NSEC_PER_SEC) {
		/* Milliseconds count only where there are few seconds. */
		left -= left % (uint64_t)(left < 10 * (uint64_t)u->ns ? MSEC : u->ns);
		print_decimal(ret_text + n, DURATION_TEXT_MAX - n, left, u);
		return;
	}
	n += (size_t)snprintf(ret_text + n, DURATION_TEXT_MAX - n, "%" PRIu64 "%s",
			      left / (uint64_t)u->ns, u->name);
	rest = left % (uint64_t)u->ns / (uint64_t)u[1].ns;
	if (rest)
		snprintf(ret_text + n, DURATION_TEXT_MAX - n, " %" PRIu64 "%s", rest,
			 u[1].name);
}

int64_t time_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t time_monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}
