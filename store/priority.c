/* SPDX-License-Identifier: Apache-2.0 */
#include "store/priority.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define FORMAT 1
/* Reads of one burst count as spread over so much. */
#define SPAN_MIN_NS (60 * NSEC_PER_SEC)
/* A year: more only makes numbers that cannot be compared any more. */
#define COST_MAX_S (366.0 * 86400)

/* ---- L ---- */

/* The first point that is later; `count` when there is none. */
static size_t first_after(const struct priority_history *h, int64_t at_ns)
{
	size_t low = 0, high = h->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (h->points[mid].at_ns <= at_ns)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Exactly, as long as doubles are: as doubles, times of today are 256 ns apart. */
static double elapsed(int64_t from_ns, int64_t to_ns)
{
	return (double)((uint64_t)to_ns - (uint64_t)from_ns);
}

static double between(const struct priority_point *a, const struct priority_point *b,
		      int64_t at_ns)
{
	double part = elapsed(a->at_ns, at_ns) / elapsed(a->at_ns, b->at_ns);

	return a->level + part * (b->level - a->level);
}

double priority_level(const struct priority_history *h, int64_t at_ns)
{
	size_t i = first_after(h, at_ns);

	if (i == 0)
		return 0;
	if (i == h->count)
		return h->points[i - 1].level;
	return between(&h->points[i - 1], &h->points[i], at_ns);
}

/* What the line without point `i` misses: an area. */
static double missed_without(const struct priority_history *h, size_t i)
{
	const struct priority_point *p = &h->points[i];
	double off = fabs(p->level - between(&p[-1], &p[1], p->at_ns));

	return off * elapsed(p[-1].at_ns, p[1].at_ns);
}

/* The ends stay. */
static void thin(struct priority_history *h)
{
	size_t least = 1;
	double missed = missed_without(h, 1);

	for (size_t i = 2; i + 1 < h->count; i++) {
		double m = missed_without(h, i);

		if (m < missed) {
			missed = m;
			least = i;
		}
	}
	h->count--;
	memmove(&h->points[least], &h->points[least + 1],
		(h->count - least) * sizeof(*h->points));
}

void priority_raise(struct priority_history *h, int64_t now_ns, double level)
{
	if (!isfinite(level) || level <= (h->count ? h->points[h->count - 1].level : 0))
		return;
	/* The clock may have been set back: L does not go back with it. */
	while (h->count && now_ns <= h->points[h->count - 1].at_ns)
		h->count--;
	if (h->count == PRIORITY_POINTS_MAX)
		thin(h);
	h->points[h->count++] = (struct priority_point){now_ns, level};
}

/* ---- as a row ---- */

static void put_u64(uint8_t *p, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

int priority_encode(const struct priority_history *h, struct buf *ret_raw)
{
	const uint8_t format = FORMAT;

	if (buf_set(ret_raw, &format, 1))
		return -ENOMEM;
	for (size_t i = 0; i < h->count; i++) {
		uint8_t raw[16];
		uint64_t bits;

		memcpy(&bits, &h->points[i].level, sizeof(bits));
		put_u64(raw, (uint64_t)h->points[i].at_ns);
		put_u64(raw + 8, bits);
		if (buf_append(ret_raw, raw, sizeof(raw)))
			return -ENOMEM;
	}
	return 0;
}

static bool point_follows(const struct priority_history *h, struct priority_point p)
{
	const struct priority_point *last = h->count ? &h->points[h->count - 1] : NULL;

	if (!isfinite(p.level))
		return false;
	return last ? p.at_ns > last->at_ns && p.level > last->level : p.level > 0;
}

int priority_decode(struct slice raw, struct priority_history *ret_history)
{
	struct priority_history h = {0};
	const uint8_t *p = raw.data;

	if (raw.len % 16 != 1 || p[0] != FORMAT || raw.len / 16 > PRIORITY_POINTS_MAX)
		return -EUCLEAN;
	for (size_t i = 1; i < raw.len; i += 16) {
		struct priority_point point = {.at_ns = (int64_t)get_u64(p + i)};
		uint64_t bits = get_u64(p + i + 8);

		memcpy(&point.level, &bits, sizeof(bits));
		if (!point_follows(&h, point))
			return -EUCLEAN;
		h.points[h.count++] = point;
	}
	*ret_history = h;
	return 0;
}

/* ---- priorities ---- */

static int64_t last_use_ns(const struct priority_facts *f)
{
	return f->last_read_ns > f->created_ns ? f->last_read_ns : f->created_ns;
}

double priority_frequency(const struct priority_facts *f, int64_t now_ns)
{
	int64_t last_ns = last_use_ns(f);
	double span = (double)last_ns - (double)f->created_ns;
	double idle = (double)now_ns - (double)last_ns;

	if (span < SPAN_MIN_NS)
		span = SPAN_MIN_NS;
	if (idle < 0) /* the clock was set back */
		idle = 0;
	return 1 + (double)f->reads * (span / (span + idle));
}

static double cost_of(const struct priority_facts *f)
{
	if (!(f->cost_s >= 0)) /* not a number, too */
		return PRIORITY_COST_UNKNOWN_S;
	if (f->cost_s < PRIORITY_COST_MIN_S)
		return PRIORITY_COST_MIN_S;
	return f->cost_s < COST_MAX_S ? f->cost_s : COST_MAX_S;
}

double priority_of(enum store_policy policy, const struct priority_history *h,
		   const struct priority_facts *f, int64_t now_ns)
{
	double charge = f->charge_bytes ? (double)f->charge_bytes : 1;

	if (policy == STORE_LRU)
		return (double)last_use_ns(f);
	return priority_level(h, last_use_ns(f)) +
	       priority_frequency(f, now_ns) * cost_of(f) / charge;
}
