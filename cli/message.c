/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/show.h"
#include "store/util/buf.h"

void cli_error(const char *fmt, ...)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	CLEANUP_FREE char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		must(-ENOMEM);
	}
	must(buf_printf(&line, "memofs: "));
	show_printable(&line, text);
	must(buf_append(&line, "\n", 1));
	/* One write, so that lines of several processes do not mix. */
	fflush(stdout);
	fwrite(line.data, 1, line.len, stderr);
}

void must(int r)
{
	if (r == 0)
		return;
	fputs("memofs: out of memory\n", stderr);
	exit(CLI_FAILED);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	must(p ? 0 : -ENOMEM);
	return p;
}

void *xreallocarray(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n ? n : 1, size ? size : 1);

	must(p ? 0 : -ENOMEM);
	return p;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	must(p ? 0 : -ENOMEM);
	return p;
}

int cli_finish(int status)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) || failed) {
		cli_error("cannot write to standard output: %s",
			  errno ? strerror(errno) : "it failed earlier");
		return cli_worse(status, CLI_FAILED);
	}
	return status;
}

void free_charp(char **p)
{
	free(*p);
	*p = NULL;
}

void close_fdp(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
