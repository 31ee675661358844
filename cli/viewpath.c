/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/viewpath.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/paths.h"

static void append_encoded(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (strchr(",/%", *value) || (unsigned char)*value < 0x20)
			must(buf_printf(out, "%%%02X", (unsigned char)*value));
		else
			must(buf_append(out, value, 1));
	}
}

void view_option(struct buf *options, const char *name, const char *value)
{
	must(buf_printf(options, "%s%s%s", options->len ? "," : "", name,
			value ? "=" : ""));
	if (value)
		append_encoded(options, value);
}

char *view_path(const char *path, const struct buf *options)
{
	CLEANUP_FREE char *dir = path_parent(path);
	char *view;

	if (asprintf(&view, "%s/.memofs/view/%.*s/%s", dir, (int)options->len,
		     (const char *)options->data, path_base(path)) < 0)
		must(-ENOMEM);
	return view;
}
