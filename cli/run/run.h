/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memofs run`: a command's result from the cache, or the command.
 *
 * Whatever is wrong with the cache, the command runs once, as it would have without;
 * only what is wrong with the options keeps it from running.
 */
#ifndef MEMOFS_CLI_RUN_RUN_H
#define MEMOFS_CLI_RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/command.h"
#include "cli/key/key.h"
#include "cli/run/exitcodes.h"

enum run_leader_failure { RUN_TAKEOVER, RUN_SHARE };

struct run_options {
	struct key_options key;
	struct cli_duration ttl, max_age, wait;
	const char *since, *cache, *cache_exit, *status_file, *status_fd;
	bool overwrite, no_wait, stale_while_refresh, dry_run, strict, quiet, verbose;
	int on_leader_failure; /* enum run_leader_failure */
	int mtime;	       /* enum extract_mtime */
};

/* What the texts among the options mean. */
struct run_limits {
	struct exit_codes codes;
	int64_t max_age_ns; /* DURATION_NONE: any */
	int64_t since_ns;   /* INT64_MIN: any */
};

/* Returns what this process is to exit with. `argv` ends with NULL. */
int run_command(const struct run_options *o, const struct run_limits *limits,
		char *const *argv);

#endif
