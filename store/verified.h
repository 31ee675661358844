/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks of extents this process knows to be right in the page cache: those it has
 * compared with their checksums, and those it has written and summed itself. It is known
 * beyond the last close, for store_gen_backing().
 *
 * The page cache does not tell who has read a page. So what is known is that of a file
 * that nobody has written to since (its mtime), and all of it is forgotten when a page is
 * found missing. A page that was dropped, and read again before anybody looked, is taken
 * for the one that was checked.
 *
 * A few bytes for each extent, of VERIFIED_BYTES together: the one that was asked for
 * longest ago goes first. All of this is a leaf among the locks.
 *
 * Who compares tells of it later, and meanwhile it may have been forgotten, because
 * damage was found or a page was missing. So it is kept when that was, and what was found
 * out before does not count. Where there is no room to keep that for one extent, it is
 * taken to be so for all that nothing is kept of.
 */
#ifndef MEMOFS_STORE_VERIFIED_H
#define MEMOFS_STORE_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { VERIFIED_BYTES = 4 << 20 };

struct verified;

struct verified *verified_new(void);	/* NULL: no memory */
void verified_free(struct verified *v); /* NULL is fine */

/* An extent as somebody has seen it. */
struct verified_file {
	uint64_t ino;
	uint64_t blocks;
	struct timespec mtime;
	int64_t since_ns; /* monotonic: what is known of it is not older */
};

/*
 * Bits of the blocks from `first` on, which is a multiple of 64, `count` of them. Without
 * memory they are not known, nor if since_ns is not after the last verified_forget().
 */
void verified_add(struct verified *v, const struct verified_file *file, uint64_t first,
		  const uint64_t *bits, size_t count);
/* All of them. */
void verified_add_all(struct verified *v, const struct verified_file *file);
/* Are all blocks known, of the file that has this mtime? */
bool verified_has_all(struct verified *v, uint64_t ino, const struct timespec *mtime);
/* Was any of it found out before that time? */
bool verified_is_older(struct verified *v, uint64_t ino, int64_t than_ns);
/*
 * May all pages be taken to be there still, because they were when somebody looked after
 * `since_ns` (monotonic)? And: somebody has, at `now_ns`.
 */
bool verified_seen(struct verified *v, uint64_t ino, int64_t since_ns);
void verified_see(struct verified *v, uint64_t ino, int64_t now_ns);
/* Nothing counts that was found out until `now_ns` (monotonic). */
void verified_forget(struct verified *v, uint64_t ino, int64_t now_ns);

#endif
