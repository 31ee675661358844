/* SPDX-License-Identifier: Apache-2.0 */
/* A memofsd of a later version, whose kept memory is of another layout. */
#include "store/util/keep.h"

#define KEEP_LAYOUT 99
#include "store/util/keep_arena.c"
