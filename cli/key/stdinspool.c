/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/stdinspool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/copy.h"
#include "cli/key/hashtext.h"
#include "cli/message.h"
#include "cli/scratch.h"

#define CHUNK ((size_t)65536)

static int open_nameless(void)
{
	int fd = scratch_unnamed();

	return fd < 0 ? memfd_create("memofs-stdin", MFD_CLOEXEC) : fd;
}

/* What was read, and where it is. */
struct spooled {
	int fd;
	uint64_t bytes;	   /* in the file */
	char chunk[CHUNK]; /* read last, */
	size_t len;	   /* and not written yet */
	bool reading;	   /* it was reading that failed */
	XXH3_state_t *state;
};

/* As read(2), but it waits also where others have made it an error. */
static ssize_t read_input(char *data)
{
	for (;;) {
		ssize_t n = read(STDIN_FILENO, data, CHUNK);

		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n;
		if (errno == EAGAIN)
			poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1,
			     -1);
	}
}

static int spool(struct spooled *s)
{
	for (;;) {
		ssize_t n = read_input(s->chunk);
		int r;

		if (n == 0)
			return 0;
		s->reading = n < 0;
		if (n < 0)
			return -errno;
		XXH3_128bits_update(s->state, s->chunk, (size_t)n);
		s->len = (size_t)n;
		r = copy_bytes(s->fd, s->chunk, s->len);
		if (r)
			return r;
		s->bytes += s->len;
		s->len = 0;
	}
}

/* ---- when it cannot be kept -----------------------------------------------------------
 *
 * The command is run without the cache, and must not miss what was read: who can go back
 * does, else a process hands it over, and then the rest.
 */

/* Is there somebody who reads the pipe, and something for him? */
static bool wait_for_both(int out)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = out}};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents)
			return false;
		if (fds[0].revents)
			return true;
	}
}

static _Noreturn void hand_over(const struct spooled *s, int out)
{
	char data[CHUNK];
	uint64_t off = 0;
	ssize_t n;

	while (off < s->bytes) {
		size_t left = s->bytes - off < CHUNK ? (size_t)(s->bytes - off) : CHUNK;

		n = pread(s->fd, data, left, (off_t)off);
		if (n <= 0 || copy_bytes(out, data, (size_t)n))
			_exit(1);
		off += (uint64_t)n;
	}
	if (copy_bytes(out, s->chunk, s->len))
		_exit(1);
	while (wait_for_both(out) && (n = read_input(data)) > 0) {
		if (copy_bytes(out, data, (size_t)n))
			_exit(1);
	}
	_exit(0);
}

/* Nobody is to wait for it but who reads the pipe. */
static _Noreturn void become_feeder(const struct spooled *s, int out)
{
	int null = open("/dev/null", O_RDWR);
	int high = out > s->fd ? out : s->fd, low = out > s->fd ? s->fd : out;

	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned int)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned int)low + 1, (unsigned int)high - 1, 0);
	close_range((unsigned int)high + 1, ~0U, 0);
	signal(SIGPIPE, SIG_DFL);
	hand_over(s, out);
}

/* It is no child of the command, which may come to be in our place. */
static int start_feeder(const struct spooled *s, int *ret_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			become_feeder(s, fds[1]);
		_exit(pid < 0);
	}
	close(fds[1]);
	if (pid > 0) {
		int status = 0;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		pid = status ? -1 : pid;
	}
	if (pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	*ret_fd = fds[0];
	return 0;
}

/* Without a process, reading is to fail, rather than to begin in the midst. */
static int give_back(const struct spooled *s, off_t begin)
{
	int fd = -1;

	if (!s->bytes && !s->len)
		return -1;
	if (begin >= 0 && lseek(STDIN_FILENO, begin, SEEK_SET) == begin)
		return -1;
	return start_feeder(s, &fd) == 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static char *value_of(XXH3_state_t *state, uint64_t bytes)
{
	XXH128_canonical_t canonical;
	char hex[HASHTEXT_MAX], *value;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	hashtext(canonical.digest, hex);
	if (asprintf(&value, "%" PRIu64 " xxh128:%s", bytes, hex) < 0)
		must(-ENOMEM);
	return value;
}

static int complain(const struct spooled *s, int r, struct errmsg *err)
{
	return err_set(err, -r,
		       s->reading ? "--stdin: standard input cannot be read: %s"
				  : "--stdin: it cannot be kept: %s; is there space "
				    "in TMPDIR?",
		       strerror(-r));
}

/* A file as large as may be is an error, and ends nobody. */
static int spool_within_limits(struct spooled *s)
{
	sigset_t limit, old;
	int r;

	sigemptyset(&limit);
	sigaddset(&limit, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &limit, &old);
	r = spool(s);
	while (sigtimedwait(&limit, NULL, &(struct timespec){0}) > 0)
		;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}

int stdin_spool(int *ret_fd, char **ret_value, struct errmsg *err)
{
	CLEANUP_FD int fd = open_nameless();
	off_t begin = lseek(STDIN_FILENO, 0, SEEK_CUR);
	struct spooled *s;
	int r;

	if (fd < 0)
		return err_set(err, errno, "--stdin: there is no place to keep it: %s",
			       strerror(errno));
	s = xcalloc(1, sizeof(*s));
	s->fd = fd;
	s->state = XXH3_createState();
	must(s->state ? 0 : -ENOMEM);
	XXH3_128bits_reset(s->state);
	r = spool_within_limits(s);
	if (!r && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (!r) {
		*ret_value = value_of(s->state, s->bytes);
		*ret_fd = fd;
		fd = -1;
	} else {
		*ret_fd = give_back(s, begin);
		complain(s, r, err);
	}
	XXH3_freeState(s->state);
	free(s);
	return r;
}
