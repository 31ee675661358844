/* SPDX-License-Identifier: Apache-2.0 */
#include "store/notes.h"

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
