/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over all entries that counts them and drops what has expired.
 *
 * A thread of its own: gc's may be busy for long with comparing trees. It walks when
 * something may have changed or the next entry is due, in slices, each with iterators of
 * its own so that no old state of the database is kept, and pauses after each for so
 * long that it takes about a tenth of a CPU.
 */
#ifndef MEMOFS_STORE_CENSUS_H
#define MEMOFS_STORE_CENSUS_H

#include "store/internal.h"

/* After gc_start(). */
int census_start(struct store *st);
/* Before gc_stop(). Nothing when it was not started. */
void census_stop(struct store *st);

/*
 * Walk soon, whether anything changed or not: somebody needs the numbers, or what has
 * expired is kept for a shorter time from now on.
 */
void census_wake(struct store *st);

/* Walk now, in this thread, and return when it is done. For tests. */
int census_now(struct store *st);

#endif
