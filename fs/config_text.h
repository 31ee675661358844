/* SPDX-License-Identifier: Apache-2.0 */
/* The settings in force, as a configuration file would give them. */
#ifndef MEMOFS_FS_CONFIG_TEXT_H
#define MEMOFS_FS_CONFIG_TEXT_H

#include "fs/config.h"
#include "store/util/buf.h"

/* Appends YAML that config_parse() reads back to the same settings. -ENOMEM. */
int config_format(const struct config *c, struct buf *ret_text);

#endif
