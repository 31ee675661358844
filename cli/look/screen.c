/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/copy.h"
#include "cli/message.h"
#include "store/util/duration.h"

/* Another screen, no cursor, no wrapping of long lines; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

/* For the handlers, which can be given nothing. */
static struct {
	struct termios before;
	volatile sig_atomic_t taken;
	bool has_keys; /* stdin is a terminal, too */
	volatile sig_atomic_t end, resized, stopped;
	char keys[32]; /* read, not asked for yet */
	size_t key_at, n_keys;
} screen;

/* Only what may be called in a handler. */
static void put_back(void)
{
	ssize_t n;

	if (!screen.taken)
		return;
	screen.taken = 0;
	n = write(STDOUT_FILENO, LEAVE, strlen(LEAVE));
	(void)n; /* nobody to tell */
	if (screen.has_keys)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen.before);
}

/* ---- signals ------------------------------------------------------------------- */

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int crash_signals[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,	SIGABRT, SIGPIPE,
				    SIGXCPU, SIGXFSZ, SIGALRM, SIGUSR1, SIGUSR2};

static void on_end(int sig)
{
	screen.end = sig;
}

static void on_resize(int sig)
{
	(void)sig;
	screen.resized = 1;
}

static void on_stop(int sig)
{
	(void)sig;
	screen.stopped = 1;
}

/* Its action is the default again, and it is delivered on return. */
static void on_crash(int sig)
{
	put_back();
	raise(sig);
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	sigaction(sig, &sa, NULL);
}

static void handle_all(void)
{
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(*end_signals); i++)
		handle(end_signals[i], on_end, 0);
	for (size_t i = 0; i < sizeof(crash_signals) / sizeof(*crash_signals); i++)
		handle(crash_signals[i], on_crash, (int)SA_RESETHAND);
	handle(SIGWINCH, on_resize, SA_RESTART);
	handle(SIGTSTP, on_stop, 0);
}

/* ---- the terminal -------------------------------------------------------------- */

bool screen_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* Keys come one by one and unseen; Ctrl-C and Ctrl-Z are signals as ever. */
static int take(void)
{
	struct termios keys = screen.before;
	int r;

	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 0;
	keys.c_cc[VTIME] = 0;
	if (screen.has_keys && tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys))
		return -errno;
	screen.taken = 1;
	r = copy_bytes(STDOUT_FILENO, ENTER, strlen(ENTER));
	if (r)
		put_back();
	return r;
}

int screen_enter(void)
{
	screen.has_keys =
	    isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.before) == 0;
	handle_all();
	atexit(put_back);
	return take();
}

void screen_leave(void)
{
	put_back();
}

void screen_size(size_t *ret_columns, size_t *ret_rows)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		size = (struct winsize){0};
	*ret_columns = size.ws_col ? size.ws_col : 80;
	*ret_rows = size.ws_row ? size.ws_row : 24;
}

/* One write, so that nothing is seen half drawn. The last line has no end. */
void screen_show(const struct buf *lines)
{
	const char *at = (const char *)lines->data, *end = at + lines->len;
	CLEANUP_BUF struct buf out = BUF_INIT;
	size_t columns, rows, shown = 0;

	screen_size(&columns, &rows);
	must(buf_append(&out, "\033[H", 3));
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);

		/* Before the text: behind a full line it would take the last character.
		 */
		must(buf_append(&out, "\033[K", 3));
		must(buf_append(&out, at, len));
		at += len + 1;
		shown++;
		if (at < end)
			must(buf_append(&out, "\r\n", 2));
	}
	if (shown < rows) /* nothing stays below the last one */
		must(buf_append(&out, "\r\n\033[J", 5));
	if (copy_bytes(STDOUT_FILENO, out.data, out.len))
		screen.end = SIGHUP;
}

/* Ctrl-Z: the shell gets its terminal, and this one again when it goes on. */
static void stop(void)
{
	screen.stopped = 0;
	put_back();
	raise(SIGSTOP);
	if (take())
		screen.end = SIGHUP;
}

/* False: there will be no more. */
static bool read_keys(void)
{
	ssize_t n = read(STDIN_FILENO, screen.keys, sizeof(screen.keys));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	screen.key_at = 0;
	screen.n_keys = (size_t)n;
	return n > 0;
}

/* Arrows and the like are an escape, a bracket or O, and up to a letter or a tilde. */
static void skip_sequence(void)
{
	const char *keys = screen.keys;

	if (screen.key_at < screen.n_keys && strchr("[O", keys[screen.key_at])) {
		do
			screen.key_at++;
		while (screen.key_at < screen.n_keys &&
		       (keys[screen.key_at] < 0x40 || keys[screen.key_at] == '['));
		screen.key_at += screen.key_at < screen.n_keys;
	}
}

/* 0: there is none (any more). */
static char next_key(void)
{
	while (screen.key_at < screen.n_keys) {
		char key = screen.keys[screen.key_at++];

		if (key != '\033')
			return key;
		skip_sequence();
	}
	return 0;
}

/* Signals are let in only here, so that none is missed between a look and the wait. */
static int wait_input(int64_t timeout_ns, short *ret_events)
{
	struct pollfd pfd = {.fd = screen.has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	struct timespec left = {.tv_sec = timeout_ns / NSEC_PER_SEC,
				.tv_nsec = timeout_ns % NSEC_PER_SEC};
	sigset_t block, old;
	int n;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof(end_signals) / sizeof(*end_signals); i++)
		sigaddset(&block, end_signals[i]);
	sigaddset(&block, SIGWINCH);
	sigaddset(&block, SIGTSTP);
	sigprocmask(SIG_BLOCK, &block, &old);
	if (screen.end || screen.resized || screen.stopped)
		n = 0;
	else
		n = ppoll(&pfd, 1, &left, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
	*ret_events = n > 0 ? pfd.revents : 0;
	return n;
}

static int64_t time_left(int64_t until_ns)
{
	int64_t left_ns = until_ns - time_monotonic_ns();

	return left_ns > 0 ? left_ns : 0;
}

/* What the signals and the terminal said, if anything. */
static bool event_of(short events, enum screen_event *ret_event, char *ret_key)
{
	if (events && !read_keys() && !screen.end)
		screen.end = SIGHUP;
	if (screen.end) {
		*ret_event = SCREEN_END;
		return true;
	}
	if (screen.stopped || screen.resized) {
		screen.resized = 0;
		if (screen.stopped)
			stop();
		*ret_event = SCREEN_RESIZE;
		return true;
	}
	*ret_key = next_key();
	*ret_event = SCREEN_KEY;
	return *ret_key != 0;
}

enum screen_event screen_wait(int64_t timeout_ns, char *ret_key)
{
	int64_t until_ns = time_monotonic_ns() + timeout_ns;
	enum screen_event event;
	short events = 0;

	while (!event_of(events, &event, ret_key)) {
		int64_t left_ns = time_left(until_ns);

		if (wait_input(left_ns, &events) == 0 && !left_ns && !screen.end)
			return SCREEN_TIME;
	}
	return event;
}

int screen_end_signal(void)
{
	return screen.end;
}
