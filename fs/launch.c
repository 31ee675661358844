/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/util/log.h"

struct report {
	int code;
	struct errmsg err;
};

static void say(const struct errmsg *err)
{
	fprintf(stderr, "memofs: %s\n", err->text);
}

/* Wait for the child's word; its death is one too. */
static _Noreturn void await(int fd, pid_t child)
{
	struct report rep = {0};
	size_t got = 0;
	int status;

	while (got < sizeof(rep)) {
		ssize_t n = read(fd, (char *)&rep + got, sizeof(rep) - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	if (got < sizeof(rep)) {
		waitpid(child, &status, 0);
		err_set(&rep.err, EIO,
			"the daemon ended before it could mount (status %#x)",
			(unsigned int)status);
		rep.code = EXIT_MOUNT;
	}
	if (rep.code)
		say(&rep.err);
	exit(rep.code);
}

int launch_begin(struct launch *l, struct errmsg *err)
{
	int fds[2];
	pid_t child;

	l->report_fd = -1;
	if (l->foreground || l->tell)
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe: %s", strerror(errno));
	child = fork();
	if (child < 0) {
		int e = errno;

		close(fds[0]);
		close(fds[1]);
		return err_set(err, e, "cannot start the daemon: %s", strerror(e));
	}
	if (child > 0) {
		close(fds[1]);
		await(fds[0], child);
	}
	close(fds[0]);
	l->report_fd = fds[1];
	setsid();
	return 0;
}

static void report(struct launch *l, int code, const struct errmsg *err)
{
	struct report rep = {.code = code};

	if (err)
		rep.err = *err;
	/* One write below PIPE_BUF is whole; a caller that has gone is no loss. */
	_Static_assert(sizeof(rep) <= 4096, "longer than a pipe takes at once");
	if (write(l->report_fd, &rep, sizeof(rep)) < 0)
		(void)errno;
	close(l->report_fd);
	l->report_fd = -1;
}

static void to_background(void)
{
	int null;

	/* Only now: what was given may be relative, such as the log of a file. */
	if (chdir("/"))
		log_warning("/: %s; the working directory stays in use", strerror(errno));
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
}

void launch_ready(struct launch *l)
{
	if (!l->foreground)
		to_background();
	if (l->tell)
		l->tell(l->arg, EXIT_OK, NULL);
	else if (l->report_fd >= 0)
		report(l, EXIT_OK, NULL);
}

int launch_failed(struct launch *l, enum exit_code code, const struct errmsg *err)
{
	if (l->tell)
		l->tell(l->arg, code, err);
	else if (l->report_fd >= 0)
		report(l, code, err);
	else
		say(err);
	return code;
}
