/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/suggest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 64

/* ASCII only, whatever the locale. */
static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '_' ? '-' : c;
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: three rows of the matrix are enough. */
size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *spare = before;

		before = above;
		above = row;
		row = spare;
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = fold(a[i - 1]) != fold(b[j - 1]);

			row[j] = min(above[j - 1] + cost, min(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]))
				row[j] = min(row[j], before[j - 2] + 1);
		}
	}
	return row[b_len];
}

struct suggest suggest_for(const char *word, size_t len)
{
	/* One mistake in three letters: more, and the names are unrelated. */
	return (struct suggest){.word = word, .len = len, .limit = (len + 2) / 3 + 1};
}

void suggest_offer(struct suggest *s, const char *name)
{
	size_t name_len = strlen(name);
	size_t distance = suggest_distance(s->word, s->len, name, name_len);

	/* A name that shares no letter with the word is not a correction of it. */
	if (distance < s->limit && distance < name_len && distance < s->len) {
		s->best = name;
		s->limit = distance;
	}
}
