/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nearest valid name to one that was mistyped.
 *
 *	struct suggest s = suggest_for(word, len);
 *
 *	for (…)
 *		suggest_offer(&s, table[i].name);
 *	if (s.best)
 *		… did you mean s.best?
 */
#ifndef MEMOFS_STORE_UTIL_SUGGEST_H
#define MEMOFS_STORE_UTIL_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *word; /* borrowed */
	size_t len;
	const char *best; /* one of the offered names, or NULL: none is near */
	size_t limit;	  /* a name must be nearer than this to become the best */
};

/* `word` must outlive the result. */
struct suggest suggest_for(const char *word, size_t len);

/* Of several names equally near, the first offered is kept. */
void suggest_offer(struct suggest *s, const char *name);

/*
 * Letters to insert, delete, replace or swap with their neighbour to make one
 * word of the other. Upper and lower case are the same, and so are '-' and '_'.
 * SIZE_MAX when one is longer than 64 bytes.
 */
size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
