/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors through sockets: all that were sent, or none; and none is left open. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "store/util/fdpass.h"
#include "tests/unit/open_fds.h"

#define assert_ok(call) assert_int_equal((call), 0)

enum { SENDER, RECEIVER };

struct ends {
	int socket[2];
	int sent[4]; /* to be sent: pipes' ends */
	unsigned int open;
};

static int begin_with(struct ends *e, int type)
{
	*e = (struct ends){0};
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, e->socket) || pipe(e->sent) ||
	    pipe(e->sent + 2))
		return -1;
	e->open = open_fds();
	return 0;
}

static int begin(void **state)
{
	static struct ends e;

	*state = &e;
	return begin_with(&e, SOCK_SEQPACKET);
}

static int begin_stream(void **state)
{
	static struct ends e;

	*state = &e;
	return begin_with(&e, SOCK_STREAM);
}

static int end(void **state)
{
	struct ends *e = *state;

	fdpass_close(e->socket, 2);
	fdpass_close(e->sent, 4);
	return 0;
}

static bool is_same_file(int a, int b)
{
	struct stat sa, sb;

	assert_ok(fstat(a, &sa));
	assert_ok(fstat(b, &sb));
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static void assert_refused(struct ends *e, unsigned int max, int error)
{
	int fds[FDPASS_MAX];
	char data[16];

	memset(fds, 0, sizeof(fds));
	assert_int_equal(
	    fdpass_receive(e->socket[RECEIVER], data, sizeof(data), fds, max), error);
	for (unsigned int i = 0; i < max; i++)
		assert_int_equal(fds[i], -1);
	assert_int_equal(open_fds(), e->open);
}

/* ---- what arrives ---- */

static void several_arrive(void **state)
{
	struct ends *e = *state;
	int fds[FDPASS_MAX];
	char data[16];

	assert_ok(fdpass_send(e->socket[SENDER], "hello", 5, e->sent, 3));
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, sizeof(data), fds, 4),
			 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(fds[3], -1);
	for (int i = 0; i < 3; i++) {
		assert_true(is_same_file(fds[i], e->sent[i]));
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	}
	assert_int_equal(open_fds(), e->open + 3);
	fdpass_close(fds, 4);
	assert_int_equal(fds[0], -1);
	assert_int_equal(open_fds(), e->open);
}

static void as_many_as_may_be_arrive(void **state)
{
	struct ends *e = *state;
	int sent[FDPASS_MAX], fds[FDPASS_MAX];
	char byte;

	for (int i = 0; i < FDPASS_MAX; i++)
		sent[i] = e->sent[i % 4];
	assert_ok(fdpass_send(e->socket[SENDER], "", 1, sent, FDPASS_MAX));
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], &byte, 1, fds, FDPASS_MAX),
			 1);
	for (int i = 0; i < FDPASS_MAX; i++)
		assert_true(is_same_file(fds[i], sent[i]));
	fdpass_close(fds, FDPASS_MAX);
	assert_int_equal(open_fds(), e->open);
}

static void a_message_need_have_none(void **state)
{
	struct ends *e = *state;
	int fds[2] = {0, 0};
	char data[16];

	assert_ok(fdpass_send(e->socket[SENDER], "hello", 5, NULL, 0));
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, sizeof(data), fds, 2),
			 5);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	assert_ok(fdpass_send(e->socket[SENDER], "hi", 2, NULL, 0));
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, sizeof(data), NULL, 0),
			 2);
}

static void a_longer_packet_is_cut(void **state)
{
	struct ends *e = *state;
	char data[4];
	int fd;

	assert_ok(fdpass_send(e->socket[SENDER], "a longer one", 12, e->sent, 1));
	assert_ok(fdpass_send(e->socket[SENDER], "next", 4, NULL, 0));
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, 4, &fd, 1), 4);
	assert_memory_equal(data, "a lo", 4);
	assert_true(is_same_file(fd, e->sent[0]));
	fdpass_close(&fd, 1);
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, 4, &fd, 1), 4);
	assert_memory_equal(data, "next", 4);
}

/* ---- what is refused ---- */

static void more_than_are_wanted(void **state)
{
	struct ends *e = *state;

	for (unsigned int max = 0; max < 4; max++) {
		assert_ok(fdpass_send(e->socket[SENDER], "hello", 5, e->sent, max + 1));
		assert_refused(e, max, -EPROTO);
	}
	assert_ok(fdpass_send(e->socket[SENDER], "hello", 5, e->sent, 4));
	assert_refused(e, 1, -EPROTO);
}

/* The first one fits, and the kernel leaves the second out. */
static void more_than_the_process_may_have(void **state)
{
	struct ends *e = *state;
	int next = dup(e->sent[0]), fds[2];
	struct rlimit was, narrow;
	char data[16];

	assert_true(next >= 0);
	close(next);
	assert_ok(getrlimit(RLIMIT_NOFILE, &was));
	narrow = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = was.rlim_max};
	assert_ok(fdpass_send(e->socket[SENDER], "hello", 5, e->sent, 2));
	assert_ok(setrlimit(RLIMIT_NOFILE, &narrow));
	next = (int)fdpass_receive(e->socket[RECEIVER], data, sizeof(data), fds, 2);
	assert_ok(setrlimit(RLIMIT_NOFILE, &was));
	assert_int_equal(next, -EPROTO);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	assert_int_equal(open_fds(), e->open);
}

static void descriptors_without_a_message(void **state)
{
	struct ends *e = *state;

	assert_ok(fdpass_send(e->socket[SENDER], "", 0, e->sent, 2));
	assert_refused(e, 2, -EPROTO);
	assert_ok(fdpass_send(e->socket[SENDER], "", 0, e->sent, 2));
	assert_refused(e, 1, -EPROTO);
}

/* ---- the end ---- */

static void the_end(void **state)
{
	struct ends *e = *state;
	char data[16];
	int fd;

	assert_ok(fdpass_send(e->socket[SENDER], "hello", 5, e->sent, 1));
	fdpass_close(&e->socket[SENDER], 1);
	e->open--;
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, sizeof(data), &fd, 1),
			 5);
	fdpass_close(&fd, 1);
	assert_refused(e, 1, -EPIPE);
	/* And no signal. */
	assert_int_equal(fdpass_send(e->socket[RECEIVER], "hello", 5, e->sent, 1),
			 -EPIPE);
}

/* The kernel says something else of one that did not read all. */
static void the_end_of_who_has_not_read_all(void **state)
{
	struct ends *e = *state;

	assert_ok(fdpass_send(e->socket[RECEIVER], "hello", 5, NULL, 0));
	fdpass_close(&e->socket[SENDER], 1);
	e->open--;
	assert_refused(e, 1, -EPIPE);
}

static void what_is_wrong_is_said(void **state)
{
	struct ends *e = *state;
	const int closed = -1;

	assert_int_equal(fdpass_send(e->socket[SENDER], "hello", 5, &closed, 1), -EBADF);
	assert_ok(fcntl(e->socket[RECEIVER], F_SETFL, O_NONBLOCK));
	assert_refused(e, 1, -EAGAIN);
}

/* ---- a signal ---- */

static struct ends *interrupted;

static void send_now(int sig)
{
	(void)fdpass_send(interrupted->socket[SENDER], "hello", 5, interrupted->sent, 1);
}

static void a_signal_is_no_answer(void **state)
{
	const struct sigaction act = {.sa_handler = send_now}; /* no SA_RESTART */
	const struct itimerval soon = {.it_value.tv_usec = 100 * 1000};
	struct ends *e = *state;
	char data[16];
	int fd;

	interrupted = e;
	assert_ok(sigaction(SIGALRM, &act, NULL));
	assert_ok(setitimer(ITIMER_REAL, &soon, NULL));
	assert_int_equal(fdpass_receive(e->socket[RECEIVER], data, sizeof(data), &fd, 1),
			 5);
	fdpass_close(&fd, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
#define STREAM_TEST(fn) cmocka_unit_test_setup_teardown(fn, begin_stream, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(several_arrive),
	    STREAM_TEST(several_arrive),
	    TEST(as_many_as_may_be_arrive),
	    TEST(a_message_need_have_none),
	    TEST(a_longer_packet_is_cut),
	    TEST(more_than_are_wanted),
	    STREAM_TEST(more_than_are_wanted),
	    TEST(more_than_the_process_may_have),
	    TEST(descriptors_without_a_message),
	    TEST(the_end),
	    STREAM_TEST(the_end),
	    TEST(the_end_of_who_has_not_read_all),
	    STREAM_TEST(the_end_of_who_has_not_read_all),
	    TEST(what_is_wrong_is_said),
	    TEST(a_signal_is_no_answer),
	};

	return cmocka_run_group_tests_name("fdpass", tests, NULL, NULL);
}
