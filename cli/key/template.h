/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a result is kept, from a template: `{date:%A}/{task_name}.txt`.
 *
 *   {date} {now} {today} {yesterday} {tomorrow}   with `:FORMAT` as in strftime(3);
 *       without: 2026-11-21, and {now} 2026-11-21T14:05:06
 *   {today_nodash} {yesterday_nodash} {tomorrow_nodash}   20261121
 *   {name} {task_name}   what the results are called
 *   {version}   --version, or a hash of what --version-from found
 *   {id} {hash}   the hash of the key
 *   {NAME} {param:NAME} {parameters[NAME]}   a --param; one that is called
 *       as a date comes before that, but for {date:FORMAT}
 *   {env:NAME}   a variable that was declared with --env
 *   {user} {host}
 *   {{ }}   braces
 *
 * A template is a relative path. Slashes of the template itself, also in a format,
 * divide it; those of values are percent-encoded, and so are `%` and control
 * characters there: a value never makes a part of a path, nor leaves one.
 */
#ifndef MEMOFS_CLI_KEY_TEMPLATE_H
#define MEMOFS_CLI_KEY_TEMPLATE_H

#include <stdint.h>

#include "cli/command.h"
#include "store/util/buf.h"
#include "store/util/err.h"

struct template_values {
	int64_t now_ns;	     /* wall clock; shown in the time zone that TZ says */
	const char *name;    /* never NULL */
	const char *version; /* NULL: there is none */
	const char *id;
	const struct cli_list *params; /* NAME=VALUE */
	const struct cli_list *envs;   /* names; their values are this process's */
};

/*
 * The path, not ended by a NUL. -EINVAL with a message: a field is unknown, has no
 * value or takes no format; a brace is alone; or what comes out is no path in a
 * cache: absolute, with an empty part, `.`, `..` or `.memofs`, or too long.
 */
int template_expand(const char *template, const struct template_values *values,
		    struct buf *ret_path, struct errmsg *err);

/* Append a value so that it is (part of) one name in a path; see above. */
void template_encode(struct buf *out, const char *value);

#endif
