/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing; what is deleted is filled by what comes after it. */
#include "fs/known.h"

#include <errno.h>
#include <stdlib.h>

#include "store/util/htab.h"

enum { PLACES_MIN = 64 };

void known_deinit(struct known *k)
{
	free(k->places);
	*k = KNOWN_INIT;
}

/* Where it is, or would be. */
static size_t find(const struct known *k, uint64_t ino)
{
	size_t i = hash_u64(ino) & k->mask;

	while (k->places[i].ino && k->places[i].ino != ino)
		i = (i + 1) & k->mask;
	return i;
}

static int resize(struct known *k, size_t count)
{
	struct known to = {calloc(count, sizeof(*to.places)), count - 1, k->used};

	if (!to.places)
		return -ENOMEM;
	for (size_t i = 0; k->places && i <= k->mask; i++)
		if (k->places[i].ino)
			to.places[find(&to, k->places[i].ino)] = k->places[i];
	free(k->places);
	*k = to;
	return 0;
}

/* Room for one more. */
static int grow(struct known *k)
{
	if (!k->places)
		return resize(k, PLACES_MIN);
	return k->used < (k->mask + 1) / 4 * 3 ? 0 : resize(k, 2 * (k->mask + 1));
}

/* Without memory it stays as large as it is. */
static void shrink(struct known *k)
{
	size_t count = k->mask + 1;

	if (count > PLACES_MIN && k->used < count / 4)
		(void)resize(k, count / 2);
}

int known_add(struct known *k, uint64_t ino, bool *ret_sure)
{
	struct known_place *p;
	int r = grow(k);

	if (r)
		return r;
	p = &k->places[find(k, ino)];
	k->used += !p->ino;
	p->ino = ino;
	p->count++;
	*ret_sure = p->sure;
	return 0;
}

void known_be_sure(struct known *k, uint64_t ino)
{
	struct known_place *p = k->places ? &k->places[find(k, ino)] : NULL;

	if (p && p->ino)
		p->sure = true;
}

/* Those behind the gap that were put off by what is gone move up. */
static void delete_at(struct known *k, size_t gap)
{
	for (size_t i = (gap + 1) & k->mask; k->places[i].ino; i = (i + 1) & k->mask) {
		size_t home = hash_u64(k->places[i].ino) & k->mask;

		if (((i - home) & k->mask) >= ((i - gap) & k->mask)) {
			k->places[gap] = k->places[i];
			gap = i;
		}
	}
	k->places[gap] = (struct known_place){0};
	k->used--;
}

uint64_t known_sub(struct known *k, uint64_t ino, uint64_t n)
{
	size_t i = k->places ? find(k, ino) : 0;

	if (!k->places || !k->places[i].ino)
		return 0;
	if (k->places[i].count > n)
		return k->places[i].count -= n;
	delete_at(k, i);
	shrink(k);
	return 0;
}

uint64_t known_get(const struct known *k, uint64_t ino)
{
	return k->places ? k->places[find(k, ino)].count : 0;
}
