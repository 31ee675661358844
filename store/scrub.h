/* SPDX-License-Identifier: Apache-2.0 */
/* What the rest of the engine tells the scrub; the contract is in "store/check.h". */
#ifndef MEMOFS_STORE_SCRUB_H
#define MEMOFS_STORE_SCRUB_H

#include "store/internal.h"

/* Before the threads that delete end. A success when there is none. */
void scrub_stop(struct store *st);

#endif
