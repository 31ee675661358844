/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/message.h"
#include "store/util/duration.h"

/* Set for what is run below: it has been told. */
#define WARNED "MEMOFS_WARNED"

static const char *name_of(enum outcome_status status)
{
	static const char *const names[] = {
	    [OUTCOME_HIT] = "hit",	   [OUTCOME_POPULATED] = "populated",
	    [OUTCOME_MISS] = "miss",	   [OUTCOME_PUT_FAILURE] = "put-failure",
	    [OUTCOME_SKIPPED] = "skipped", [OUTCOME_DISABLED] = "disabled",
	    [OUTCOME_SHARED] = "shared",
	};

	return names[status];
}

static int open_fd(const char *text, struct errmsg *err)
{
	char *end;
	long fd = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || fd > INT_MAX)
		return err_set(err, EINVAL,
			       "--status-fd: \"%s\" is no number of an "
			       "open file",
			       text);
	fd = fcntl((int)fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return err_set(err, EINVAL, "--status-fd: %s: %s", text, strerror(errno));
	return (int)fd;
}

int outcome_open(struct outcome *o, const char *file, const char *fd, struct errmsg *err)
{
	int r = -1;

	if (file && fd)
		return err_set(err, EINVAL,
			       "--status-file and --status-fd: only one of them");
	if (fd) {
		r = open_fd(fd, err);
	} else if (file) {
		r = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
		if (r < 0)
			return err_set(err, EINVAL, "--status-file: %s: %s", file,
				       strerror(errno));
	}
	if (r < 0 && (file || fd))
		return r;
	o->status_fd = r;
	return 0;
}

void outcome_not_cached(struct outcome *o, enum outcome_status status, const char *fmt,
			...)
{
	va_list ap;

	o->status = status;
	if (*o->why.text)
		return;
	va_start(ap, fmt);
	vsnprintf(o->why.text, sizeof(o->why.text), fmt, ap);
	va_end(ap);
	if (o->quiet || getenv(WARNED))
		return;
	cli_error("not cached: %s", o->why.text);
	setenv(WARNED, "1", 1);
	o->told = true;
}

/* One line, so that several in a row can be told apart. */
static void write_line(int fd, const char *json)
{
	size_t len = strlen(json), n = 0;
	char *line = xcalloc(len + 1, 1);

	for (size_t i = 0; i < len; i++) {
		if (json[i] != '\n') {
			line[n++] = json[i];
			continue;
		}
		while (json[i + 1] == ' ')
			i++;
		if (n && line[n - 1] == ',')
			line[n++] = ' ';
	}
	line[n++] = '\n';
	if (write(fd, line, n) != (ssize_t)n)
		cli_error("the status cannot be written: %s", strerror(errno));
	free(line);
}

static void write_status(const struct outcome *o, int exit_code)
{
	CLEANUP_FREE char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct json js = JSON_INIT(out);

	must(out ? 0 : -ENOMEM);
	json_object(&js, NULL);
	json_string(&js, "status", name_of(o->status));
	if (o->path)
		json_name(&js, "path", o->path);
	if (o->id)
		json_string(&js, "id", o->id);
	json_uint(&js, "exit", (uint64_t)exit_code);
	json_seconds(&js, "seconds", o->ran_ns);
	json_seconds(&js, "saved", o->saved_ns);
	json_bool(&js, "stale", o->stale);
	if (*o->why.text)
		json_string(&js, "reason", o->why.text);
	json_object_end(&js);
	fclose(out);
	write_line(o->status_fd, text);
}

static void say(const struct outcome *o)
{
	char span[DURATION_TEXT_MAX];
	const char *name = name_of(o->status), *path = o->path ? o->path : "";

	duration_format_short(o->ran_ns, span);
	if (o->status == OUTCOME_HIT || o->status == OUTCOME_SHARED)
		cli_error("%s %s (saved %s)%s", name, path, span,
			  o->stale ? ", and made anew" : "");
	else
		cli_error("%s%s%s (took %s)", name, *path ? " " : "", path, span);
}

void outcome_tell(const struct outcome *o, int exit_code)
{
	if (o->status_fd >= 0)
		write_status(o, exit_code);
	if (o->verbose)
		say(o);
}
