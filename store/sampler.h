/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to look for entries, so that each is found about as often as any other.
 *
 * Entries lie by their numbers, which are never used again: lately given ones close
 * together, old ones wherever one survived. A number chosen evenly would nearly
 * always fall among the few survivors of long ago. So the numbers are divided into
 * bands, each twice as far from the newest number as the one before, and how dense
 * each is is learned from what is found there. A band is chosen by how many entries
 * it has, a place in it evenly.
 *
 * Nothing here locks.
 */
#ifndef MEMOFS_STORE_SAMPLER_H
#define MEMOFS_STORE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLER_BANDS 64

struct sampler {
	uint64_t state; /* of the random numbers */
	struct {
		bool known;
		double density; /* entries for each number */
	} bands[SAMPLER_BANDS];
};

void sampler_init(struct sampler *s, uint64_t seed);

/* In 0..below-1; `below` is at least 1. */
uint64_t sampler_random(struct sampler *s, uint64_t below);

/* Where to look, in first..end-1; there is at least one number. */
uint64_t sampler_pick(struct sampler *s, uint64_t first, uint64_t end);

/*
 * Up to which number to look from there for `count` entries: far enough to find them,
 * most of the time, and no farther, for what was deleted may be slow to pass.
 */
uint64_t sampler_until(const struct sampler *s, uint64_t end, uint64_t from,
		       size_t count);

/* From `from` on, before `to`, `count` entries were found, in order. */
void sampler_saw(struct sampler *s, uint64_t end, uint64_t from, uint64_t to,
		 const uint64_t *inos, size_t count);

#endif
