/* SPDX-License-Identifier: Apache-2.0 */
/* The names that are no children: where trees are built. See stage.c. */
#ifndef MEMOFS_STORE_STAGE_H
#define MEMOFS_STORE_STAGE_H

#include <stdbool.h>

#include "store/util/buf.h"

/* The row of it is in the unnamed branch of its directory. */
#define STAGE_NAME ".memofs"

/* To be left out wherever the children of a directory are counted or listed. */
bool name_is_stage(struct slice name);

#endif
