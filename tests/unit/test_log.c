/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/util/buf.h"
#include "store/util/log_limit.h"

struct fixture {
	char dir[64];
	char path[96];	/* of the log */
	char moved[96]; /* where a rotation puts it */
	struct buf content;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	strcpy(f->dir, "/tmp/memofs-log-XXXXXX");
	if (!mkdtemp(f->dir)) {
		free(f);
		return -1;
	}
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	snprintf(f->moved, sizeof(f->moved), "%s/log.1", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_close();
	log_set_level(LOG_LEVEL_INFO);
	unlink(f->path);
	unlink(f->moved);
	rmdir(f->dir);
	buf_deinit(&f->content);
	free(f);
	return 0;
}

/* The whole file as a string, valid until the next call. */
static const char *content(struct fixture *f, const char *path)
{
	char part[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	buf_clear(&f->content);
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_append(&f->content, part, (size_t)n);
	close(fd);
	assert_int_equal(n, 0);
	assert_int_equal(buf_append(&f->content, "", 1), 0);
	return (const char *)f->content.data;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void test_line(void **state)
{
	struct fixture *f = *state;
	int year, month, day, hour, minute, second, ms, end = 0;
	const char *line;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	log_warning("%s is %d", "it", 42);
	line = content(f, f->path);
	assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ warning: %n", &year,
				&month, &day, &hour, &minute, &second, &ms, &end),
			 7);
	assert_string_equal(line + end, "it is 42\n");
	assert_true(year >= 2024);
}

static void test_level(void **state)
{
	struct fixture *f = *state;
	const char *text;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	log_error("one");
	log_info("two");
	log_debug("too much");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("three");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("too much");
	text = content(f, f->path);
	assert_int_equal(count_lines(text), 3);
	assert_non_null(strstr(text, " error: one\n"));
	assert_non_null(strstr(text, " info: two\n"));
	assert_non_null(strstr(text, " debug: three\n"));
}

static void test_level_names(void **state)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		const char *name = log_level_name((enum log_level)i);

		assert_int_equal(log_level_parse(name, &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

/* A file name with a line break in it must not look like a line of the log. */
static void test_one_call_is_one_line(void **state)
{
	struct fixture *f = *state;
	const char *text;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	log_info("name %s", "a\n2026-01-01T00:00:00.000Z error: forged\x1b[2J");
	text = content(f, f->path);
	assert_int_equal(count_lines(text), 1);
	assert_non_null(strstr(text, "a\\n2026"));
	assert_non_null(strstr(text, "forged\\x1b[2J\n"));
}

static void test_long_line_is_cut(void **state)
{
	struct fixture *f = *state;
	char wide[20000];
	const char *text;
	size_t len;

	memset(wide, 'x', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	log_info("%s", wide);
	log_info("next");
	text = content(f, f->path);
	assert_int_equal(count_lines(text), 2);
	len = strcspn(text, "\n");
	assert_in_range(len, 4096, sizeof(wide) / 2);
	assert_memory_equal(text + len - 3, "...", 3);
}

static void test_keeps_errno(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	errno = ENOTTY;
	log_info("%m");
	assert_int_equal(errno, ENOTTY);
	assert_non_null(strstr(content(f, f->path), strerror(ENOTTY)));
}

static void test_appends(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
		log_info("again");
		log_close();
	}
	assert_int_equal(count_lines(content(f, f->path)), 2);
}

static void test_reopen(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	log_info("old");
	assert_int_equal(rename(f->path, f->moved), 0);
	log_info("still old");
	assert_int_equal(log_reopen(NULL), 0);
	log_info("new");
	assert_int_equal(count_lines(content(f, f->moved)), 2);
	assert_int_equal(count_lines(content(f, f->path)), 1);
	assert_non_null(strstr(content(f, f->path), "new"));
}

/* A daemon changes to / after the log was opened by a relative name. */
static void test_reopen_from_another_directory(void **state)
{
	struct fixture *f = *state;
	int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = -1, r2 = -1;

	assert_true(home >= 0);
	if (chdir(f->dir) == 0)
		r = log_open(LOG_SINK_FILE, "log", NULL);
	if (chdir("/") == 0 && rename(f->path, f->moved) == 0)
		r2 = log_reopen(NULL);
	assert_int_equal(fchdir(home), 0);
	close(home);
	assert_int_equal(r, 0);
	assert_int_equal(r2, 0);
	log_info("here");
	assert_int_equal(count_lines(content(f, f->path)), 1);
}

static void test_open_fails(void **state)
{
	struct fixture *f = *state;
	struct errmsg err = {0};

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	assert_int_equal(log_open(LOG_SINK_FILE, "/nonexistent/log", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/log"));
	assert_non_null(strstr(err.text, strerror(ENOENT)));
	assert_int_equal(log_open(LOG_SINK_FILE, f->dir, &err), -EISDIR);
	log_info("the former sink stays");
	assert_int_equal(count_lines(content(f, f->path)), 1);
}

static void test_reopen_fails(void **state)
{
	struct fixture *f = *state;
	struct errmsg err = {0};

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	assert_int_equal(rename(f->path, f->moved), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(log_reopen(&err), -EISDIR);
	assert_int_equal(rmdir(f->path), 0);
	assert_non_null(strstr(err.text, f->path));
	log_info("into the old file");
	assert_int_equal(count_lines(content(f, f->moved)), 1);
}

static void test_stderr(void **state)
{
	struct fixture *f = *state;
	int old = dup(STDERR_FILENO);
	int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(old >= 0 && fd >= 0);
	assert_int_equal(log_open(LOG_SINK_STDERR, NULL, NULL), 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	log_error("to the terminal");
	assert_true(dup2(old, STDERR_FILENO) >= 0);
	close(old);
	close(fd);
	assert_int_equal(log_reopen(NULL), 0);
	assert_non_null(strstr(content(f, f->path), " error: to the terminal\n"));
}

/*
 * The child has a /dev of its own, so that /dev/log can be our socket. Its exit
 * code is 0, the number of the step that failed, or NO_NAMESPACE.
 */
#define NO_NAMESPACE 99

static int syslog_child(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	struct timeval patience = {.tv_sec = 5};
	char line[1024];
	ssize_t n;
	int fd;

	if ((unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS)) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/dev", "tmpfs", 0, NULL))
		return NO_NAMESPACE;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return 1;
	if (log_open(LOG_SINK_SYSLOG, NULL, NULL) || log_reopen(NULL))
		return 2;
	log_debug("too much");
	log_warning("100%% of %s", "it\nforged");
	n = recv(fd, line, sizeof(line) - 1, 0);
	if (n <= 0)
		return 3;
	line[n] = '\0';
	fprintf(stderr, "syslog got: %s\n", line);
	if (strncmp(line, "<28>", 4) != 0) /* LOG_DAEMON and LOG_WARNING */
		return 4;
	return strstr(line, " memofs[") && strstr(line, "]: 100% of it\\nforged") ? 0 : 5;
}

static void test_syslog(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(syslog_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_NAMESPACE)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define THREADS 4
#define LINES 2000

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("<%s %d>", (const char *)arg, i);
	return NULL;
}

static void test_threads_and_rotation(void **state)
{
	static const char *const names[THREADS] = {"aaaaaaaa", "bbbb", "cc",
						   "dddddddddd"};
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	size_t lines;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, write_lines, (void *)names[i]), 0);
	usleep(1000);
	assert_int_equal(rename(f->path, f->moved), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(log_reopen(NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	lines = count_lines(content(f, f->moved));
	for (char *line = strtok((char *)f->content.data, "\n"); line;
	     line = strtok(NULL, "\n"))
		assert_true(strstr(line, " info: <") && line[strlen(line) - 1] == '>');
	assert_int_equal(lines + count_lines(content(f, f->path)), THREADS * LINES);
}

/* ---- the newest lines ---- */

/* The recent lines as a string, valid until the next call. */
static const char *recent_lines(struct fixture *f)
{
	buf_clear(&f->content);
	assert_int_equal(log_recent(&f->content), 0);
	assert_true(f->content.len <= LOG_RECENT_BYTES);
	assert_int_equal(buf_append(&f->content, "", 1), 0);
	return (const char *)f->content.data;
}

static __thread uint64_t tag_now;

static uint64_t answer_tag(void)
{
	log_info("asked for the tag"); /* has none, and does not ask again */
	return tag_now;
}

static const char *tagged_lines(struct fixture *f, uint64_t tag)
{
	buf_clear(&f->content);
	assert_int_equal(log_recent_tagged(tag, &f->content), 0);
	assert_int_equal(buf_append(&f->content, "", 1), 0);
	return (const char *)f->content.data;
}

static void test_lines_of_a_tag(void **state)
{
	struct fixture *f = *state;
	struct errmsg err;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, &err), 0);
	log_set_tagger(answer_tag);
	tag_now = 71;
	log_info("of the first");
	tag_now = 72;
	log_info("of the second");
	tag_now = 71;
	log_info("again of the first");
	log_set_tagger(NULL);
	log_info("of none");
	tagged_lines(f, 71);
	assert_non_null(strstr((char *)f->content.data, "of the first\n"));
	assert_non_null(strstr((char *)f->content.data, "again of the first\n"));
	assert_null(strstr((char *)f->content.data, "second"));
	assert_null(strstr((char *)f->content.data, "asked"));
	assert_non_null(strstr(tagged_lines(f, 72), "of the second\n"));
	assert_int_equal(strlen(tagged_lines(f, 73)), 0);
	assert_non_null(strstr(recent_lines(f), "asked for the tag\n"));
	assert_non_null(strstr(recent_lines(f), "of none\n"));
}

/* What the ring has lost is not there under its tag either. */
static void test_tagged_lines_go_with_the_ring(void **state)
{
	struct fixture *f = *state;
	struct errmsg err;
	size_t before, shown;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, &err), 0);
	log_set_tagger(answer_tag);
	tag_now = 74;
	log_info("the first of many");
	for (int i = 0; i < 10000; i++)
		log_info("x");
	log_set_tagger(NULL);
	assert_null(strstr(tagged_lines(f, 74), "the first of many"));
	shown = strlen(tagged_lines(f, 74));
	before = strlen(recent_lines(f));
	assert_true(shown > 1000 && shown <= before);
}

static void test_recent_lines_are_those_of_the_sink(void **state)
{
	struct fixture *f = *state;
	struct errmsg err;
	char *last;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, &err), 0);
	log_warning("first of two\nforged");
	log_debug("not let through");
	log_error("second of two");
	last = strdup(content(f, f->path));
	assert_non_null(last);
	assert_non_null(strstr(last, "first of two\\nforged\n"));
	/* Behind what the tests before have left. */
	assert_non_null(recent_lines(f));
	assert_true(f->content.len > strlen(last));
	assert_string_equal(
	    (const char *)f->content.data + f->content.len - 1 - strlen(last), last);
	assert_null(strstr((const char *)f->content.data, "not let through"));
	free(last);
}

/* Far more than the ring holds: whole lines, in order, up to the newest. */
static void test_recent_lines_wrap(void **state)
{
	struct fixture *f = *state;
	const char *at;
	struct errmsg err;
	int first = -1, count = 0, n;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, &err), 0);
	for (int i = 0; i < 20000; i++)
		log_info("line %d %.*s.", i, i % 50,
			 "--------------------------------------------------");
	at = recent_lines(f);
	assert_true(f->content.len > LOG_RECENT_BYTES - 200);
	for (; *at; at = strchr(at, '\n') + 1) {
		assert_int_equal(at[0], '2'); /* of the year: a whole line */
		assert_int_equal(sscanf(strstr(at, "line "), "line %d", &n), 1);
		if (first < 0)
			first = n;
		assert_int_equal(n, first + count++);
	}
	assert_int_equal(first + count, 20000);
}

/* ---- how many of a kind ---- */

static void test_limit_by_kind(void **state)
{
	static const struct log_kind a = {"a", LOG_LEVEL_WARNING, 0};
	static const struct log_kind tagged = {"a", LOG_LEVEL_WARNING, 5};
	struct log_verdict v;

	log_limit_set(3, 1000);
	for (int i = 0; i < 3; i++) {
		v = log_limit_judge(&a, 100);
		assert_true(v.admitted);
		assert_int_equal(v.is_last, i == 2);
	}
	assert_false(log_limit_judge(&a, 100).admitted);
	assert_false(log_limit_judge(&a, 1099).admitted);
	assert_true(log_limit_judge(&tagged, 1099).admitted); /* another namespace's */
	v = log_limit_judge(&a, 1100);
	assert_true(v.admitted);
	assert_false(v.is_last);
	assert_int_equal(v.left_out, 2);
	assert_int_equal(log_limit_judge(&a, 1101).left_out, 0);
	log_limit_set(0, 0);
}

static size_t count_of(const struct buf *text, const char *word)
{
	const char *at = (const char *)text->data;
	size_t count = 0;

	while ((at = strstr(at, word))) {
		at++;
		count++;
	}
	return count;
}

static void test_flood(void **state)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct fixture *f = *state;

	assert_int_equal(log_open(LOG_SINK_FILE, f->path, NULL), 0);
	log_limit_set(10, INT64_C(3600) * 1000000000);
	for (int i = 0; i < 5000; i++)
		log_warning("flood %d", i);
	log_warning("something else");
	log_limit_set(0, 0);
	assert_int_equal(log_recent(&text), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	assert_int_equal(count_of(&text, "flood "), 10);
	assert_int_equal(
	    count_of(&text, "further lines like the last are left out for up to 3600"),
	    1);
	assert_int_equal(count_of(&text, "something else"), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_recent_lines_are_those_of_the_sink),
	    TEST(test_lines_of_a_tag),
	    TEST(test_tagged_lines_go_with_the_ring),
	    TEST(test_recent_lines_wrap),
	    TEST(test_line),
	    TEST(test_level),
	    TEST(test_level_names),
	    TEST(test_one_call_is_one_line),
	    TEST(test_long_line_is_cut),
	    TEST(test_keeps_errno),
	    TEST(test_appends),
	    TEST(test_reopen),
	    TEST(test_reopen_from_another_directory),
	    TEST(test_open_fails),
	    TEST(test_reopen_fails),
	    TEST(test_stderr),
	    TEST(test_syslog),
	    TEST(test_threads_and_rotation),
	    TEST(test_limit_by_kind),
	    TEST(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
