/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of inodes to look at; or, when there were too many, all. A zeroed
 * struct has none. Nothing here fails: what does not fit becomes "all".
 */
#ifndef MEMOFS_STORE_NOTES_H
#define MEMOFS_STORE_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "store/util/buf.h"

struct notes {
	struct buf inos; /* u64 */
	bool all;
};

void note(struct notes *notes, uint64_t ino);
void note_all(struct notes *notes);
/* In ascending order, and each once. */
void notes_sort(struct notes *notes);
static inline bool notes_empty(const struct notes *notes)
{
	return !notes->all && !notes->inos.len;
}

/* The numbers; none when it is all. */
size_t note_count(const struct notes *notes);
uint64_t note_at(const struct notes *notes, size_t i);

void notes_deinit(struct notes *notes); /* leaves it empty */
#define CLEANUP_NOTES __attribute__((cleanup(notes_deinit)))

#endif
