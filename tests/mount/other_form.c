/* SPDX-License-Identifier: Apache-2.0 */
/* A memofsd of a later version, which needs another memofs-holder. */
#include "fs/holder/protocol.h"

#define HOLDER_SPEAKS 99
#define HOLDER_NEEDS 99
#include "fs/held.c"
