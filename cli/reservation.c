/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "store/util/duration.h"

/* Longer than any there is: two lines of words, and a reason. */
#define FILE_MAX 16384

void reservation_deinit(struct reservation *rv)
{
	free(rv->owner);
	free(rv->writer);
	free(rv->failure);
	*rv = RESERVATION_INIT;
}

/* ---- reading ------------------------------------------------------------- */

static void replace(char **at, const char *text)
{
	free(*at);
	*at = xstrdup(text);
}

static int parse_time(const char *value, int64_t *ret_ns)
{
	if (strcmp(value, "none") != 0)
		return attr_seconds_parse(value, ret_ns);
	*ret_ns = DURATION_NONE;
	return 0;
}

static int parse_token(const char *value, uint64_t *ret_token)
{
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	*ret_token = strtoull(value, &end, 10);
	return *end ? -EINVAL : 0;
}

static bool is_called(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

/* One `name=value` of a line. */
static int parse_word(struct reservation *rv, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : 0;

	if (!len)
		return 0;
	value++;
	if (is_called(word, len, "owner"))
		replace(&rv->owner, value);
	else if (is_called(word, len, "since"))
		return parse_time(value, &rv->since_ns);
	else if (is_called(word, len, "expires"))
		return parse_time(value, &rv->expires_ns);
	else if (is_called(word, len, "token"))
		return parse_token(value, &rv->token);
	return 0;
}

/* `failed TIME REASON` */
static int parse_failure(struct reservation *rv, char *line)
{
	char *time = line + strlen("failed "), *reason = strchr(time, ' ');

	if (!reason)
		return -EINVAL;
	*reason++ = '\0';
	replace(&rv->failure, reason);
	return parse_time(time, &rv->failure_ns);
}

static int parse_line(struct reservation *rv, char *line)
{
	static const char failed[] = "failed ", writing[] = "writing ";
	static const char expired[] = "expired ";
	char *save, *word;
	int r = 0;

	if (strncmp(line, failed, sizeof(failed) - 1) == 0)
		return parse_failure(rv, line);
	if (strncmp(line, writing, sizeof(writing) - 1) == 0) {
		replace(&rv->writer, line + sizeof(writing) - 1);
		return 0;
	}
	if (strncmp(line, expired, sizeof(expired) - 1) == 0)
		return parse_time(line + sizeof(expired) - 1, &rv->expired_ns);
	for (word = strtok_r(line, " ", &save); word && !r;
	     word = strtok_r(NULL, " ", &save))
		r = parse_word(rv, word);
	return r;
}

int reservation_parse(const char *text, struct reservation *ret_rv)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	CLEANUP_FREE char *copy = xstrdup(text);
	bool held = strncmp(text, "held ", 5) == 0;
	char *save, *line;
	int r = 0;

	if (!held && (strncmp(text, "free", 4) != 0 || !strchr("\n ", text[4])))
		return -EINVAL;
	for (line = strtok_r(copy, "\n", &save); line && !r;
	     line = strtok_r(NULL, "\n", &save))
		r = parse_line(&rv, line);
	if (r || held != !!rv.owner)
		return -EINVAL;
	rv.writing = rv.writer || (held && rv.expires_ns == DURATION_NONE);
	*ret_rv = rv;
	rv = RESERVATION_INIT;
	return 0;
}

static char *file_of(const char *path)
{
	CLEANUP_FREE char *dir = path_parent(path);
	char *file;

	if (asprintf(&file, "%s/.memofs/reservations/%s", dir, path_base(path)) < 0)
		must(-ENOMEM);
	return file;
}

int reservation_read_file(const char *file, struct reservation *ret_rv)
{
	CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char text[FILE_MAX];
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return -errno;
	text[len] = '\0';
	return reservation_parse(text, ret_rv);
}

int reservation_read(const char *path, bool whole, struct reservation *ret_rv)
{
	CLEANUP_FREE char *file = file_of(path);
	CLEANUP_BUF struct buf value = BUF_INIT;
	int r;

	if (whole)
		return reservation_read_file(file, ret_rv);
	r = attr_get(file, "reservation", &value);
	return r ? r : reservation_parse((const char *)value.data, ret_rv);
}

/* ---- changing -------------------------------------------------------------- */

static int set(const char *path, const char *attribute, const char *owner,
	       const char *duration)
{
	CLEANUP_FREE char *file = file_of(path), *value = NULL;

	if (asprintf(&value, "%s%s%s", owner, *duration ? " " : "", duration) < 0)
		must(-ENOMEM);
	return attr_set(file, attribute, value);
}

static int set_for(const char *path, const char *attribute, const char *owner,
		   int64_t duration_ns)
{
	char text[DURATION_TEXT_MAX] = "";

	if (duration_ns)
		duration_format(duration_ns, text);
	return set(path, attribute, owner, text);
}

int reservation_acquire(const char *path, const char *owner, int64_t duration_ns)
{
	return set_for(path, "reservation", owner, duration_ns);
}

int reservation_extend(const char *path, const char *owner, int64_t duration_ns)
{
	return set_for(path, "reservation.extend", owner, duration_ns);
}

int reservation_release(const char *path, const char *owner)
{
	return set(path, "reservation", owner, "0");
}

/* ---- telling ----------------------------------------------------------------- */

int reservation_check_path(const char *command, const char *path)
{
	const char *key = path_base(path);

	if (*key && strcmp(key, ".") != 0 && strcmp(key, "..") != 0)
		return path_check_inside(path);
	cli_error("%s: \"%s\" does not name an entry", command, path);
	return CLI_USAGE;
}

int reservation_failed(const char *path, int r)
{
	if (r == -ENOENT || r == -ENOTDIR)
		cli_error("%s: its directory does not exist", path);
	else if (r == -EINVAL)
		cli_error("%s: refused: not a name of an entry, or the time is too long",
			  path);
	else
		cli_error("%s: %s", path, strerror(-r));
	return CLI_FAILED;
}

static void format_span(int64_t ns, char ret_text[DURATION_TEXT_MAX])
{
	duration_format_short(ns > 0 ? ns : 0, ret_text);
}

char *reservation_describe(const struct reservation *rv)
{
	char age[DURATION_TEXT_MAX], left[DURATION_TEXT_MAX] = "";
	bool ends = rv->expires_ns != DURATION_NONE;
	int64_t now_ns = time_now_ns();
	char *text;

	format_span(now_ns - rv->since_ns, age);
	if (ends)
		format_span(rv->expires_ns - now_ns, left);
	if (asprintf(&text, "by %s, %s ago%s%s%s", rv->owner, age, ends ? ", for " : "",
		     left, ends ? " more" : "") < 0)
		must(-ENOMEM);
	return text;
}

void reservation_say_held(const char *path)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	CLEANUP_FREE char *text = NULL;

	if (reservation_read(path, false, &rv) == 0 && rv.owner)
		text = reservation_describe(&rv);
	/* It may have been freed a moment ago. */
	cli_error("%s: reserved%s%s", path, text ? " " : "", text ? text : "");
}

char *reservation_holder_text(const char *path)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	char *text;

	if (reservation_read(path, false, &rv))
		return xstrdup("");
	if (!rv.owner)
		return xstrdup("; nobody has it now");
	if (asprintf(&text, "; %s has it now", rv.owner) < 0)
		must(-ENOMEM);
	return text;
}
