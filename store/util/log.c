/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink is one descriptor, whose number never changes while threads run:
 * log_reopen() puts the new file under the old number with dup3(2), which the
 * kernel does atomically. So a line is one write(2) and needs no lock; files
 * are opened for appending, so that lines of several processes do not mix.
 *
 * Beside it the newest lines are kept in memory, a ring under a lock of its own,
 * which is held for a copy of some bytes and nothing else.
 */
#include "store/util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "store/util/buf.h"
#include "store/util/log_limit.h"
#include "store/util/text.h"

/* A longer line is cut. Room for a message with a path of PATH_MAX in it. */
#define LINE_MAX_BYTES 6144

static struct {
	_Atomic enum log_level level;
	enum log_sink sink;
	int fd;
	char *path; /* absolute, so that reopening does not depend on the cwd */
} out = {.level = LOG_LEVEL_INFO, .sink = LOG_SINK_STDERR, .fd = STDERR_FILENO};

static const struct {
	const char *name;
	int priority; /* of syslog(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};
#define LEVEL_COUNT (sizeof(levels) / sizeof(levels[0]))

/* No line is shorter than its head, so that all lines in the ring are known. */
enum { LINE_MIN_BYTES = 32, LINES_MAX = LOG_RECENT_BYTES / LINE_MIN_BYTES };

/* Where a line begins, by `total`. */
struct line {
	uint64_t at, tag;
};

/* `total` counts all bytes ever put in: the ring holds the last of them. */
static struct {
	pthread_mutex_t lock;
	char *data; /* LOG_RECENT_BYTES, from the first line on; all: under lock */
	struct line *lines; /* LINES_MAX, a ring, too */
	uint64_t total, line_total;
} recent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic(uint64_t (*)(void)) tagger;

static int open_file(const char *path, int *ret_fd, struct errmsg *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

	if (fd < 0) {
		int errnum = errno;

		return err_set(err, errnum, "cannot open the log %s: %s", path,
			       strerror(errnum));
	}
	*ret_fd = fd;
	return 0;
}

static char *absolute_path(const char *path)
{
	char *cwd, *abs = NULL;

	if (path[0] == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (cwd && asprintf(&abs, "%s/%s", cwd, path) < 0)
		abs = NULL;
	free(cwd);
	return abs;
}

static int open_file_sink(const char *path, struct errmsg *err)
{
	char *abs = absolute_path(path);
	int fd = -1, r;

	if (!abs)
		return err_set(err, errno, "cannot open the log %s: %m", path);
	r = open_file(abs, &fd, err);
	if (r) {
		free(abs);
		return r;
	}
	log_close();
	out.path = abs;
	out.fd = fd;
	out.sink = LOG_SINK_FILE;
	return 0;
}

int log_open(enum log_sink sink, const char *path, struct errmsg *err)
{
	if (sink == LOG_SINK_FILE)
		return open_file_sink(path, err);
	log_close();
	if (sink == LOG_SINK_SYSLOG)
		openlog("memofs", LOG_PID, LOG_DAEMON);
	out.sink = sink;
	return 0;
}

int log_reopen(struct errmsg *err)
{
	int fd = -1, r;

	if (out.sink != LOG_SINK_FILE)
		return 0;
	r = open_file(out.path, &fd, err);
	if (r)
		return r;
	if (dup3(fd, out.fd, O_CLOEXEC) < 0)
		r = err_set(err, errno, "cannot reopen the log %s: %m", out.path);
	close(fd);
	return r;
}

void log_close(void)
{
	if (out.sink == LOG_SINK_FILE)
		close(out.fd);
	else if (out.sink == LOG_SINK_SYSLOG)
		closelog();
	free(out.path);
	out.path = NULL;
	out.fd = STDERR_FILENO;
	out.sink = LOG_SINK_STDERR;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&out.level, level, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < LEVEL_COUNT; i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

/* "2026-01-31T12:00:00.250Z warning: "; returns its length. */
static size_t print_head(char *line, size_t cap, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, cap - n, ".%03ldZ %s: ", now.tv_nsec / 1000000,
			      levels[level].name);
	return n;
}

/* ---- the newest lines ---- */

/* What the tagger itself says has no tag. */
static uint64_t ask_tag(void)
{
	static __thread bool asking;
	uint64_t (*tag)(void) = atomic_load(&tagger);
	uint64_t answer = 0;

	if (!tag || asking)
		return 0;
	asking = true;
	answer = tag();
	asking = false;
	return answer;
}

/* Under the lock. A line is shorter than the ring. */
static void ring_put(const char *line, size_t len, uint64_t tag)
{
	size_t at = (size_t)(recent.total % LOG_RECENT_BYTES);
	size_t first = LOG_RECENT_BYTES - at < len ? LOG_RECENT_BYTES - at : len;

	memcpy(recent.data + at, line, first);
	memcpy(recent.data, line + first, len - first);
	recent.lines[recent.line_total++ % LINES_MAX] = (struct line){recent.total, tag};
	recent.total += len;
}

/* Under the lock. */
static bool has_memory(void)
{
	if (!recent.data)
		recent.data = malloc(LOG_RECENT_BYTES);
	if (!recent.lines)
		recent.lines = malloc(LINES_MAX * sizeof(*recent.lines));
	return recent.data && recent.lines;
}

static void remember(const char *line, size_t len, uint64_t tag)
{
	pthread_mutex_lock(&recent.lock);
	if (has_memory()) /* else there is only the sink */
		ring_put(line, len, tag);
	pthread_mutex_unlock(&recent.lock);
}

/* Under the lock: append what the ring holds, from the first whole line on. */
static int ring_copy(struct buf *ret_text)
{
	size_t len =
	    recent.total < LOG_RECENT_BYTES ? (size_t)recent.total : LOG_RECENT_BYTES;
	size_t at = (size_t)((recent.total - len) % LOG_RECENT_BYTES);
	bool cut = len < recent.total;

	if (buf_reserve(ret_text, ret_text->len + len))
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		char c = recent.data[(at + i) % LOG_RECENT_BYTES];

		if (!cut)
			ret_text->data[ret_text->len++] = (uint8_t)c;
		else if (c == '\n')
			cut = false;
	}
	return 0;
}

int log_recent(struct buf *ret_text)
{
	int r;

	pthread_mutex_lock(&recent.lock);
	r = recent.data ? ring_copy(ret_text) : 0;
	pthread_mutex_unlock(&recent.lock);
	return r;
}

/* Under the lock: append what is in the ring from `at` to before `end`. */
static int copy_line(uint64_t at, uint64_t end, struct buf *ret_text)
{
	int r = buf_reserve(ret_text, ret_text->len + (size_t)(end - at));

	for (; !r && at < end; at++)
		ret_text->data[ret_text->len++] =
		    (uint8_t)recent.data[at % LOG_RECENT_BYTES];
	return r;
}

struct copied {
	size_t len;
	uint64_t tag;
};

/* Under the lock: all that are whole, and what is known of each. */
static int copy_lines(struct buf *ret_text, struct buf *ret_lines)
{
	uint64_t i = recent.line_total < LINES_MAX ? 0 : recent.line_total - LINES_MAX;
	int r = 0;

	for (; !r && i < recent.line_total; i++) {
		const struct line *line = &recent.lines[i % LINES_MAX];
		bool last = i + 1 == recent.line_total;
		uint64_t end = last ? recent.total : recent.lines[(i + 1) % LINES_MAX].at;
		struct copied copied = {(size_t)(end - line->at), line->tag};

		if (line->at + LOG_RECENT_BYTES < recent.total)
			continue;
		r = copy_line(line->at, end, ret_text);
		if (!r)
			r = buf_append(ret_lines, &copied, sizeof(copied));
	}
	return r;
}

int log_recent_where(bool (*wanted)(void *arg, uint64_t tag), void *arg,
		     struct buf *ret_text)
{
	CLEANUP_BUF struct buf text = BUF_INIT, lines = BUF_INIT;
	size_t at = 0;
	int r;

	pthread_mutex_lock(&recent.lock);
	r = copy_lines(&text, &lines);
	pthread_mutex_unlock(&recent.lock);
	for (size_t i = 0; !r && i < lines.len; i += sizeof(struct copied)) {
		struct copied copied;

		memcpy(&copied, lines.data + i, sizeof(copied));
		if (wanted(arg, copied.tag))
			r = buf_append(ret_text, text.data + at, copied.len);
		at += copied.len;
	}
	return r;
}

static bool is_tag(void *arg, uint64_t tag)
{
	return tag == *(const uint64_t *)arg;
}

int log_recent_tagged(uint64_t tag, struct buf *ret_text)
{
	return log_recent_where(is_tag, &tag, ret_text);
}

void log_set_tagger(uint64_t (*tag)(void))
{
	atomic_store(&tagger, tag);
}

/* ---- one line ---- */

/* A log that cannot be written has nobody to tell. */
static void write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void write_syslog(enum log_level level, const char *text, size_t len)
{
	char line[LINE_MAX_BYTES];

	text_escape(line, sizeof(line), text, len);
	syslog(levels[level].priority, "%s", line);
}

static void write_line(enum log_level level, const char *text, size_t len, uint64_t tag)
{
	char line[LINE_MAX_BYTES + 1];
	size_t n = print_head(line, sizeof(line), level);

	n += text_escape(line + n, sizeof(line) - n - 1, text, len);
	line[n++] = '\n';
	remember(line, n, tag);
	if (out.sink != LOG_SINK_SYSLOG)
		write_all(out.fd, line, n);
}

static void say(enum log_level level, const char *text, size_t len, uint64_t tag)
{
	if (out.sink == LOG_SINK_SYSLOG)
		write_syslog(level, text, len);
	write_line(level, text, len, tag);
}

static void say_left_out(enum log_level level, uint64_t count, uint64_t tag)
{
	char text[80];
	int n = snprintf(text, sizeof(text),
			 "%" PRIu64 " more lines like the next were left out", count);

	say(level, text, (size_t)n, tag);
}

static void say_last(enum log_level level, uint64_t tag)
{
	char text[96];
	int n = snprintf(text, sizeof(text),
			 "further lines like the last are left out for up to %d seconds",
			 (int)(log_limit_while_ns() / 1000000000));

	say(level, text, (size_t)n, tag);
}

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Who wants everything gets it: debug lines are not limited. */
static struct log_verdict judge(enum log_level level, const char *fmt, uint64_t tag)
{
	const struct log_kind kind = {fmt, level, tag};

	if (level == LOG_LEVEL_DEBUG || !log_limit_is_set())
		return (struct log_verdict){.admitted = true};
	return log_limit_judge(&kind, monotonic_ns());
}

static void format_line(enum log_level level, uint64_t tag, const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		n = 0;
	if (n >= (int)sizeof(text))
		n = (int)sizeof(text) - 1;
	say(level, text, (size_t)n, tag);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	struct log_verdict verdict;
	uint64_t tag;
	va_list ap;

	if (level > atomic_load_explicit(&out.level, memory_order_relaxed))
		return;
	tag = ask_tag(); /* under no lock: it may write lines */
	verdict = judge(level, fmt, tag);
	if (verdict.left_out)
		say_left_out(level, verdict.left_out, tag);
	if (verdict.admitted) {
		errno = saved_errno; /* for %m */
		va_start(ap, fmt);
		format_line(level, tag, fmt, ap);
		va_end(ap);
	}
	if (verdict.is_last)
		say_last(level, tag);
	errno = saved_errno;
}
