/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads without opening: what store_known_add() has linked in. */
#ifndef MEMOFS_STORE_KNOWN_H
#define MEMOFS_STORE_KNOWN_H

#include "store/internal.h"

/*
 * The row `ino` is about to lose its name, under `names`: who knows it is given it. What
 * cannot be given, for want of memory, is logged.
 */
void known_hand_over(struct store *st, uint64_t ino);

#endif
