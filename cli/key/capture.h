/* SPDX-License-Identifier: Apache-2.0 */
/* What a program prints. */
#ifndef MEMOFS_CLI_KEY_CAPTURE_H
#define MEMOFS_CLI_KEY_CAPTURE_H

#include <stdint.h>

#include "cli/key/hashtext.h"
#include "store/util/buf.h"
#include "store/util/err.h"

struct capture {
	char *const *argv; /* argv[0] is looked for in PATH */
	const char *dir;   /* where it runs; NULL: here */
	int stdin_fd;	   /* -1: nothing to read */
};

/*
 * Run it and take its stdout; its stderr is ours. -ENOENT, -EACCES, …: it cannot be
 * run; -ECHILD: it failed; with a message that begins with `what`.
 */
int capture_run(const struct capture *c, const char *what, struct buf *ret_output,
		struct errmsg *err);

/*
 * The same of a command line for sh, as a value: `text …`, if it is one short line,
 * else `hash xxh128:…`. Line breaks at the end are left out, as in $(…). Output of any
 * size. The caller frees it.
 */
int capture_value(const char *shell_command, const char *what, char **ret_value,
		  struct errmsg *err);
/* Always `hash xxh128:…`, of all that it prints. */
int capture_hash(const char *shell_command, const char *what, char **ret_value,
		 struct errmsg *err);

#endif
