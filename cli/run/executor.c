/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/message.h"
#include "store/util/duration.h"

/* A page: one write. */
#define PIPE_SIZE 4096
#define READ_BYTES 65536
/* After the command's end: so long a silence is the end of its output, too, */
#define SILENCE_NS (NSEC_PER_SEC / 5)
/* and nobody is listened to for longer. */
#define LISTEN_NS (2 * NSEC_PER_SEC)
/* What epoll calls the signals; the streams are called by their numbers. */
#define SIGNALS STREAMS

struct listening {
	const struct execution *ex;
	struct ending *end;
	pid_t child;
	bool ended;
	int64_t begun_ns, ended_ns, heard_ns; /* monotonic */
	int epoll_fd, signal_fd, exec_fd;
	int in[STREAMS], out[STREAMS]; /* our ends and the command's; -1: closed */
	bool roomy[STREAMS];	       /* this pipe holds more than one write */
	uint64_t skip[STREAMS];
	sigset_t old_mask;
	struct sigaction old_chld;
};

/* ---- signals ------------------------------------------------------------------------
 */

static void handled_signals(sigset_t *ret_set)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT,
				      SIGUSR1, SIGUSR2, SIGCHLD};

	sigemptyset(ret_set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaddset(ret_set, signals[i]);
}

/* A pipe without a reader, and a file as large as may be, are to be errors here; the
 * child gets its own mask. */
static int signals_begin(struct listening *l)
{
	sigset_t handled, blocked;

	handled_signals(&handled);
	blocked = handled;
	sigaddset(&blocked, SIGPIPE);
	sigaddset(&blocked, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &blocked, &l->old_mask);
	/* Ignored, the end of a child would not be told. */
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &l->old_chld);
	l->signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
	return l->signal_fd < 0 ? -errno : 0;
}

/* A pending one was for what is noted in show_errno, or in the recording. */
static void signals_end(struct listening *l)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGPIPE);
	sigaddset(&ours, SIGXFSZ);
	while (sigtimedwait(&ours, NULL, &(struct timespec){0}) > 0)
		;
	sigaction(SIGCHLD, &l->old_chld, NULL);
	sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
}

/* What the terminal sends, it has sent to the command already. */
static void pass_on(const struct listening *l, const struct signalfd_siginfo *info)
{
	if (info->ssi_code == SI_KERNEL && getpgid(l->child) == getpgrp())
		return;
	kill(l->child, (int)info->ssi_signo);
}

static void note_end(struct listening *l)
{
	if (l->ended || waitpid(l->child, &l->end->status, WNOHANG) != l->child)
		return;
	l->ended = true;
	l->ended_ns = l->heard_ns = time_monotonic_ns();
	l->end->ran_ns = l->ended_ns - l->begun_ns;
}

static void handle_signals(struct listening *l)
{
	struct signalfd_siginfo info;

	while (read(l->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			note_end(l);
		else if (!l->ended)
			pass_on(l, &info);
	}
}

/* ---- showing --------------------------------------------------------------------------
 */

/* Somebody may read slowly: signals are handled meanwhile. */
static void wait_writable(struct listening *l, int fd)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLOUT},
			       {.fd = l->signal_fd, .events = POLLIN}};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents)
			handle_signals(l);
		if (fds[0].revents)
			return;
	}
}

static int show(struct listening *l, enum stream to, const char *bytes, size_t len)
{
	int fd = to == STREAM_OUT ? STDOUT_FILENO : STDERR_FILENO;

	while (len) {
		ssize_t n;

		wait_writable(l, fd);
		n = write(fd, bytes, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static void close_stream(struct listening *l, enum stream s)
{
	close_fdp(&l->in[s]); /* epoll forgets it */
}

/* From here on the command finds nobody who reads. */
static void give_up(struct listening *l, enum stream s, int r)
{
	l->end->show_errno = -r;
	if (l->ex->rec && !l->ex->rec->failed)
		l->ex->rec->failed = r;
	close_stream(l, s);
}

static void take(struct listening *l, enum stream s, const char *bytes, size_t len)
{
	uint64_t skip = l->skip[s] < len ? l->skip[s] : len;
	int r = 0;

	recording_add(l->ex->rec, s, bytes, len);
	l->skip[s] -= skip;
	if (!l->ex->silent)
		r = show(l, s, bytes + skip, len - skip);
	if (r)
		give_up(l, s, r);
}

/* ---- listening
 * -------------------------------------------------------------------------- */

/* One write of the command's, or the end. An event is for one write, or the last. */
static void hear(struct listening *l, enum stream s, bool hung_up)
{
	bool to_the_end = hung_up || l->roomy[s];
	char bytes[READ_BYTES];
	ssize_t n;

	do {
		if (l->in[s] < 0)
			return;
		n = read(l->in[s], bytes, sizeof(bytes));
		if (n > 0)
			take(l, s, bytes, (size_t)n);
	} while (n > 0 && to_the_end);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_stream(l, s);
	else
		l->heard_ns = time_monotonic_ns();
}

static bool is_open(const struct listening *l)
{
	return l->in[STREAM_OUT] >= 0 || l->in[STREAM_ERR] >= 0;
}

/* Milliseconds to wait for the next event; -1: however long it takes. */
static int patience_ms(const struct listening *l)
{
	int64_t now_ns = time_monotonic_ns(), until_ns = l->heard_ns + SILENCE_NS;

	if (!l->ended)
		return -1;
	if (until_ns > l->ended_ns + LISTEN_NS)
		until_ns = l->ended_ns + LISTEN_NS;
	return until_ns <= now_ns ? 0 : (int)((until_ns - now_ns) / 1000000) + 1;
}

static void listen_to(struct listening *l)
{
	while (!l->ended || is_open(l)) {
		struct epoll_event event;
		int n = epoll_wait(l->epoll_fd, &event, 1, patience_ms(l));

		if (n > 0 && event.data.u32 == SIGNALS)
			handle_signals(l);
		else if (n > 0)
			hear(l, (enum stream)event.data.u32, event.events & EPOLLHUP);
		else if (n == 0 && patience_ms(l) == 0)
			break;
	}
	l->end->open_still = is_open(l);
}

static int watch(const struct listening *l, int fd, uint32_t events, uint32_t name)
{
	struct epoll_event event = {.events = events, .data.u32 = name};

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_stream(struct listening *l, enum stream s)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_DIRECT))
		return -errno;
	l->in[s] = fds[0];
	l->out[s] = fds[1];
	l->roomy[s] = fcntl(fds[0], F_SETPIPE_SZ, PIPE_SIZE) < 0;
	/* The command's end blocks as usual; flags of two ends are apart. */
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK))
		return -errno;
	return watch(l, fds[0], EPOLLIN | EPOLLET, s);
}

/* The command is to find it closed as well; so what it tries to write is not known. */
static bool is_closed(const struct listening *l, enum stream s)
{
	int flags = fcntl(s == STREAM_OUT ? STDOUT_FILENO : STDERR_FILENO, F_GETFL);

	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY)
		return false;
	if (!l->ex->rec->failed)
		l->ex->rec->failed = -EBADF;
	return true;
}

static int open_streams(struct listening *l)
{
	int r;

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	r = watch(l, l->signal_fd, EPOLLIN, SIGNALS);
	for (int s = 0; s < STREAMS && l->ex->rec && !r; s++) {
		if (!is_closed(l, (enum stream)s))
			r = open_stream(l, (enum stream)s);
	}
	return r;
}

/* ---- who stays behind
 * ------------------------------------------------------------------- */

static bool copy_once(int in, int out)
{
	char bytes[READ_BYTES];
	ssize_t n = read(in, bytes, sizeof(bytes));

	for (ssize_t done = 0, w; done < n; done += w) {
		w = write(out, bytes + done, (size_t)(n - done));
		if (w < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = out, .events = POLLOUT}, 1, -1);
		else if (w < 0)
			return false;
		w = w < 0 ? 0 : w;
	}
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* Nothing else of ours may stay open in it: reservations end by closing. */
static void close_others(const struct listening *l)
{
	unsigned int keep[2] = {(unsigned int)l->in[STREAM_OUT],
				(unsigned int)l->in[STREAM_ERR]};
	unsigned int from = STDERR_FILENO + 1;

	if (keep[0] > keep[1]) {
		keep[0] = keep[1];
		keep[1] = (unsigned int)l->in[STREAM_OUT];
	}
	for (int i = 0; i < 2 && keep[i] != ~0U; i++) {
		if (keep[i] > from)
			close_range(from, keep[i] - 1, 0);
		from = keep[i] + 1;
	}
	close_range(from, ~0U, 0);
}

static _Noreturn void stay_behind(const struct listening *l)
{
	struct pollfd fds[STREAMS];

	close_others(l);
	sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
	for (int s = 0; s < STREAMS; s++)
		fds[s] = (struct pollfd){.fd = l->in[s], .events = POLLIN};
	while (fds[STREAM_OUT].fd >= 0 || fds[STREAM_ERR].fd >= 0) {
		if (poll(fds, STREAMS, -1) < 0)
			_exit(1);
		for (int s = 0; s < STREAMS; s++) {
			if (fds[s].fd < 0 || !fds[s].revents ||
			    copy_once(fds[s].fd,
				      s == STREAM_OUT ? STDOUT_FILENO : STDERR_FILENO))
				continue;
			close(fds[s].fd);
			fds[s].fd = -1;
		}
	}
	_exit(0);
}

static void leave_child(const struct listening *l)
{
	if (!l->end->open_still || l->ex->silent)
		return;
	fflush(stdout);
	if (fork() == 0)
		stay_behind(l);
}

/* ---- the command
 * --------------------------------------------------------------------------- */

static int failed_exec(char *const *argv)
{
	int code = errno == ENOENT ? 127 : 126;

	cli_error("%s: %s", argv[0], strerror(errno));
	return code;
}

static _Noreturn void exec_command(const struct listening *l, int failure_fd)
{
	const struct execution *ex = l->ex;
	int code, err;

	if (ex->stdin_fd >= 0)
		dup2(ex->stdin_fd, STDIN_FILENO);
	if (l->out[STREAM_OUT] >= 0)
		dup2(l->out[STREAM_OUT], STDOUT_FILENO);
	if (l->out[STREAM_ERR] >= 0)
		dup2(l->out[STREAM_ERR], STDERR_FILENO);
	sigaction(SIGCHLD, &l->old_chld, NULL);
	sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
	execvp(ex->argv[0], ex->argv);
	err = errno;
	if (write(failure_fd, &err, sizeof(err)) < 0)
		_exit(126);
	errno = err;
	code = failed_exec(ex->argv);
	_exit(code);
}

static int start(struct listening *l)
{
	int failure[2];

	if (pipe2(failure, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	l->exec_fd = failure[0];
	fflush(stdout);
	l->begun_ns = time_monotonic_ns();
	l->child = fork();
	if (l->child == 0)
		exec_command(l, failure[1]);
	close(failure[1]);
	for (int s = 0; s < STREAMS; s++)
		close_fdp(&l->out[s]);
	return l->child < 0 ? -errno : 0;
}

static void listening_end(struct listening *l)
{
	for (int s = 0; s < STREAMS; s++) {
		close_fdp(&l->in[s]);
		close_fdp(&l->out[s]);
	}
	close_fdp(&l->epoll_fd);
	close_fdp(&l->signal_fd);
	close_fdp(&l->exec_fd);
	signals_end(l);
}

int execute(const struct execution *ex, struct ending *ret_ending)
{
	struct ending end = {0};
	struct listening l = {
	    .ex = ex,
	    .end = &end,
	    .epoll_fd = -1,
	    .exec_fd = -1,
	    .in = {-1, -1},
	    .out = {-1, -1},
	    .skip = {ex->skip[STREAM_OUT], ex->skip[STREAM_ERR]},
	};
	int r = signals_begin(&l);

	if (!r)
		r = open_streams(&l);
	if (!r)
		r = start(&l);
	if (!r) {
		listen_to(&l);
		if (read(l.exec_fd, &end.exec_errno, sizeof(int)) != sizeof(int))
			end.exec_errno = 0;
		leave_child(&l);
	}
	listening_end(&l);
	if (!r)
		*ret_ending = end;
	return r;
}

int ending_code(const struct ending *e)
{
	if (WIFSIGNALED(e->status))
		return 128 + WTERMSIG(e->status);
	return WEXITSTATUS(e->status);
}

bool ending_is_exit(const struct ending *e)
{
	return !e->exec_errno && WIFEXITED(e->status);
}

int execute_instead(char *const *argv, int stdin_fd)
{
	if (stdin_fd >= 0)
		dup2(stdin_fd, STDIN_FILENO);
	fflush(stdout);
	execvp(argv[0], argv);
	return failed_exec(argv);
}
