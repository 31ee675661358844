/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of users, as the configuration and the store have them. */
#ifndef MEMOFS_FS_USER_LIMITS_CONFIG_H
#define MEMOFS_FS_USER_LIMITS_CONFIG_H

#include "fs/config.h"
#include "fs/user_limits.h"
#include "store/store.h"

/* At the start, when the store has its bounds, and whenever they change. */
void limits_configure(struct limits *l, struct store *st, const struct config_user *user);

#endif
