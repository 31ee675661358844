/* SPDX-License-Identifier: Apache-2.0 */
#include "store/notes.h"

#include <stdlib.h>
#include <string.h>

#define NOTES_MAX 65536 /* numbers kept: half a MiB */

void note_all(struct notes *notes)
{
	buf_clear(&notes->inos);
	notes->all = true;
}

void note(struct notes *notes, uint64_t ino)
{
	if (notes->all)
		return;
	if (notes->inos.len >= NOTES_MAX * sizeof(ino) ||
	    buf_append(&notes->inos, &ino, sizeof(ino)))
		note_all(notes);
}

static int compare_inos(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

void notes_sort(struct notes *notes)
{
	size_t n = note_count(notes), kept = 0;

	if (n < 2)
		return;
	qsort(notes->inos.data, n, sizeof(uint64_t), compare_inos);
	for (size_t i = 0; i < n; i++) {
		uint64_t ino = note_at(notes, i);

		if (kept && note_at(notes, kept - 1) == ino)
			continue;
		memcpy(notes->inos.data + kept * sizeof(ino), &ino, sizeof(ino));
		kept++;
	}
	notes->inos.len = kept * sizeof(uint64_t);
}

size_t note_count(const struct notes *notes)
{
	return notes->inos.len / sizeof(uint64_t);
}

uint64_t note_at(const struct notes *notes, size_t i)
{
	uint64_t ino;

	memcpy(&ino, notes->inos.data + i * sizeof(ino), sizeof(ino));
	return ino;
}

void notes_deinit(struct notes *notes)
{
	buf_deinit(&notes->inos);
	notes->all = false;
}
