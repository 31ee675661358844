/* SPDX-License-Identifier: Apache-2.0 */
/* Bring the namespaces of a configuration about. */
#ifndef MEMOFS_FS_NAMESPACES_H
#define MEMOFS_FS_NAMESPACES_H

#include "fs/config.h"
#include "store/store.h"

/*
 * Make those that are missing, and give each the policy it is to have. What the
 * configuration does not name stays as it is. The message names the namespace;
 * those before it have been done.
 */
int namespaces_apply(struct store *st, const struct config *c, struct errmsg *err);

#endif
