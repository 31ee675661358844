/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/running.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/message.h"
#include "cli/show.h"
#include "store/util/buf.h"

#define RUNNING "MEMOFS_RUNNING"

/* A line: escaped, so that no name breaks it. */
static void append_line(struct buf *out, const char *dir, const char *path)
{
	struct stat st = {0};

	(void)stat(dir, &st);
	must(buf_printf(out, "%ju:%ju/", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino));
	show_printable(out, path);
	must(buf_append(out, "\n", 1));
}

bool running_has(const char *dir, const char *path)
{
	const char *lines = getenv(RUNNING);
	CLEANUP_BUF struct buf line = BUF_INIT;

	if (!lines)
		return false;
	append_line(&line, dir, path);
	for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n') {
		if (strncmp(lines, (char *)line.data, line.len) == 0)
			return true;
	}
	return false;
}

void running_add(const char *dir, const char *path)
{
	const char *lines = getenv(RUNNING);
	CLEANUP_BUF struct buf all = BUF_INIT;

	if (lines)
		must(buf_append(&all, lines, strlen(lines)));
	append_line(&all, dir, path);
	must(buf_append(&all, "", 1));
	setenv(RUNNING, (char *)all.data, 1);
}
