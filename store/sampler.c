/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sampler.h"

/* The newest numbers, two to the power of this, are one band. */
#define NEWEST_BITS 10
/* Each look counts as one part in so many of what is known of a band. */
#define LOOK_PART 4
/* So many times as far as they should be; the farthest; and where nothing is known. */
#define UNTIL_PART 4
#define UNTIL_MAX (UINT64_C(1) << 20)
#define UNKNOWN_DENSITY 0.01
/* Every band is chosen at least once in so many times: what it has may change. */
#define SELDOM 500

void sampler_init(struct sampler *s, uint64_t seed)
{
	*s = (struct sampler){.state = seed};
}

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static uint64_t next_random(struct sampler *s)
{
	uint64_t z = s->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t sampler_random(struct sampler *s, uint64_t below)
{
	return next_random(s) % below; /* even enough for a sample */
}

/* ---- bands: of numbers below `end`, by their distance from it ---- */

static unsigned int band_of(uint64_t end, uint64_t ino)
{
	uint64_t far = end - 1 - ino;
	unsigned int bits = far ? 64 - (unsigned int)__builtin_clzll(far) : 0;

	return bits <= NEWEST_BITS ? 0 : bits - NEWEST_BITS;
}

/* The first number behind a band. */
static uint64_t band_end(uint64_t end, unsigned int band)
{
	return band ? end - (UINT64_C(1) << (band + NEWEST_BITS - 1)) : end;
}

static uint64_t band_begin(uint64_t end, unsigned int band, uint64_t first)
{
	unsigned int bits = band + NEWEST_BITS;
	uint64_t far = bits < 64 ? UINT64_C(1) << bits : UINT64_MAX;

	return far < end - first ? end - far : first;
}

/* How many entries it is thought to have. */
static double band_weight(const struct sampler *s, uint64_t first, uint64_t end,
			  unsigned int band)
{
	double width = (double)(band_end(end, band) - band_begin(end, band, first));

	return s->bands[band].known ? width * s->bands[band].density : width;
}

uint64_t sampler_pick(struct sampler *s, uint64_t first, uint64_t end)
{
	unsigned int oldest = band_of(end, first), band = oldest;
	double weights[SAMPLER_BANDS], total = 0, least, at;
	uint64_t begin;

	for (unsigned int i = 0; i <= oldest; i++)
		total += weights[i] = band_weight(s, first, end, i);
	least = total / SELDOM;
	at = (double)(next_random(s) >> 11) * 0x1p-53 * (total + least * (oldest + 1));
	for (unsigned int i = 0; i <= oldest; i++) {
		at -= weights[i] + least;
		if (at < 0) {
			band = i;
			break;
		}
	}
	begin = band_begin(end, band, first);
	return begin + sampler_random(s, band_end(end, band) - begin);
}

static void learn(struct sampler *s, unsigned int band, double density)
{
	if (!s->bands[band].known)
		s->bands[band].density = density;
	else
		s->bands[band].density += (density - s->bands[band].density) / LOOK_PART;
	s->bands[band].known = true;
}

uint64_t sampler_until(const struct sampler *s, uint64_t end, uint64_t from, size_t count)
{
	unsigned int band = band_of(end, from);
	double density = s->bands[band].known ? s->bands[band].density : UNKNOWN_DENSITY;
	uint64_t far = UNTIL_MAX;

	if (UNTIL_PART * (double)count < density * UNTIL_MAX)
		far = (uint64_t)(UNTIL_PART * (double)count / density);
	return far < end - from ? from + far : end;
}

void sampler_saw(struct sampler *s, uint64_t end, uint64_t from, uint64_t to,
		 const uint64_t *inos, size_t count)
{
	bool first = true;
	size_t i = 0;

	while (from < to && from < end) {
		unsigned int band = band_of(end, from);
		uint64_t stop = band_end(end, band) < to ? band_end(end, band) : to;
		size_t found = 0;

		for (; i < count && inos[i] < stop; i++)
			found++;
		/* The last may be no more than the one entry that ended the look. */
		if (first || stop == band_end(end, band))
			learn(s, band, (double)found / (double)(stop - from));
		first = false;
		from = stop;
	}
}
