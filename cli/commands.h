/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, one file each. */
#ifndef MEMOFS_CLI_COMMANDS_H
#define MEMOFS_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command cmd_explain;
extern const struct command cmd_backup;
extern const struct command cmd_cache;
extern const struct command cmd_check;
extern const struct command cmd_clear;
extern const struct command cmd_export;
extern const struct command cmd_extend;
extern const struct command cmd_gc;
extern const struct command cmd_get;
extern const struct command cmd_import;
extern const struct command cmd_key;
extern const struct command cmd_ls;
extern const struct command cmd_mount;
extern const struct command cmd_ns;
extern const struct command cmd_pin;
extern const struct command cmd_put;
extern const struct command cmd_release;
extern const struct command cmd_report;
extern const struct command cmd_reservations;
extern const struct command cmd_reserve;
extern const struct command cmd_restore;
extern const struct command cmd_restore_backup;
extern const struct command cmd_rm;
extern const struct command cmd_run;
extern const struct command cmd_save;
extern const struct command cmd_stat;
extern const struct command cmd_stats;
extern const struct command cmd_status;
extern const struct command cmd_top;
extern const struct command cmd_umount;
extern const struct command cmd_unpin;
extern const struct command cmd_upgrade;
extern const struct command cmd_wait;

#endif
