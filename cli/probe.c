/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"
#include "store/util/duration.h"

/* Far more than a daemon says. */
#define STATUS_BYTES_MAX ((size_t)1 << 20)

/* In the child: the errno of opening, then the bytes. */
static _Noreturn void child(const char *path, int out)
{
	char bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? errno : 0;
	ssize_t n = 0;

	if (write(out, &err, sizeof(err)) != sizeof(err) || err)
		_exit(0);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		if (write(out, bytes, (size_t)n) != n)
			break;
	}
	_exit(0);
}

/* Everything from the child, to the end of the pipe. */
static int receive(int in, int64_t deadline_ns, size_t max_bytes, struct buf *ret_bytes)
{
	for (;;) {
		struct pollfd pfd = {.fd = in, .events = POLLIN};
		int64_t left_ns = deadline_ns - time_monotonic_ns();
		char bytes[4096];
		ssize_t n;
		int r;

		if (left_ns <= 0)
			return -ETIMEDOUT;
		r = poll(&pfd, 1, (int)(left_ns / 1000000) + 1);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		n = read(in, bytes, sizeof(bytes));
		if (n == 0)
			return 0;
		if (n < 0)
			return -errno;
		if ((size_t)n > max_bytes - ret_bytes->len)
			return -EFBIG;
		must(buf_append(ret_bytes, bytes, (size_t)n));
	}
}

static int read_by_child(const char *path, int64_t timeout_ns, size_t max_bytes,
			 struct buf *ret_bytes)
{
	CLEANUP_FD int in = -1;
	int pipes[2], r;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	in = pipes[0];
	fflush(stdout); /* or a sanitized child writes it once more */
	pid = fork();
	if (pid == 0)
		child(path, pipes[1]);
	r = pid < 0 ? -errno : 0;
	close(pipes[1]);
	if (r)
		return r;
	r = receive(in, time_monotonic_ns() + timeout_ns, max_bytes, ret_bytes);
	if (r)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, r ? WNOHANG : 0);
	return r;
}

int probe_read(const char *path, int64_t timeout_ns, size_t max_bytes,
	       struct buf *ret_bytes)
{
	CLEANUP_BUF struct buf bytes = BUF_INIT;
	int err, r;

	r = read_by_child(path, timeout_ns, max_bytes + sizeof(err), &bytes);
	if (r)
		return r;
	if (bytes.len < sizeof(err))
		return -EIO;
	memcpy(&err, bytes.data, sizeof(err));
	if (err)
		return -err;
	must(buf_append(ret_bytes, bytes.data + sizeof(err), bytes.len - sizeof(err)));
	return 0;
}

int status_read(const char *mountpoint, int64_t timeout_ns, struct status *ret_status)
{
	CLEANUP_FREE char *path = path_join(mountpoint, ".memofs/status");
	struct buf text = BUF_INIT;
	int r = probe_read(path, timeout_ns, STATUS_BYTES_MAX, &text);

	if (!r)
		status_parse(&text, ret_status);
	return r;
}

void status_parse(struct buf *text, struct status *ret_status)
{
	char *save = NULL, *line, *colon;

	must(buf_append(text, "", 1));
	*ret_status = (struct status){.text = *text};
	*text = BUF_INIT;
	for (line = strtok_r((char *)ret_status->text.data, "\n", &save);
	     line && ret_status->n < STATUS_LINES_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon++ = '\0';
		ret_status->line[ret_status->n++] = (struct status_line){
		    .key = line,
		    .value = colon + strspn(colon, " \t"),
		};
	}
}

void status_deinit(struct status *st)
{
	buf_deinit(&st->text);
	*st = STATUS_INIT;
}

const char *status_value(const struct status *st, const char *key)
{
	for (size_t i = 0; i < st->n; i++) {
		if (strcmp(st->line[i].key, key) == 0)
			return st->line[i].value;
	}
	return NULL;
}

pid_t status_pid(const struct status *st)
{
	const char *text = status_value(st, "pid");
	char *end;
	long pid;

	if (!text)
		return 0;
	pid = strtol(text, &end, 10);
	return *end == '\0' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

const char *status_trouble(int r)
{
	switch (r) {
	case -ENOTCONN:
	case -ECONNABORTED:
		return "dead: its daemon has ended";
	case -ETIMEDOUT:
		return "its daemon does not answer";
	case -EACCES:
		return "only for the user who mounted it";
	default:
		return strerror(-r);
	}
}
