/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_EXECUTED = 127 };

int start_open(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode) || access(path, X_OK))
		r = -EACCES;
	if (!r)
		return fd;
	close(fd);
	return r;
}

/* --held FD --cwd DIR, and what it was given. */
static char **arguments_new(const struct start *s, const char *held)
{
	const char *first[] = {"memofsd", "--held", held, "--cwd", s->cwd};
	const size_t firsts = sizeof(first) / sizeof(first[0]);
	size_t n = 0;
	char **argv;

	while (s->args[n])
		n++;
	argv = calloc(firsts + n + 1, sizeof(*argv));
	if (!argv)
		return NULL;
	memcpy(argv, first, sizeof(first));
	memcpy(argv + firsts, s->args, n * sizeof(*argv));
	return argv;
}

/* Only what may be called between fork and exec. A script is not found by a descriptor
 * that is closed on exec. */
static _Noreturn void run(const struct start *s, char **argv, int socket)
{
	sigset_t for_later;

	/* What it is told before it listens would end it, and waits for it so. */
	sigemptyset(&for_later);
	sigaddset(&for_later, SIGHUP);
	sigaddset(&for_later, SIGINT);
	sigaddset(&for_later, SIGTERM);
	sigprocmask(SIG_SETMASK, &for_later, NULL);
	fcntl(socket, F_SETFD, 0);
	if (s->fd >= 0)
		execveat(s->fd, "", argv, environ, AT_EMPTY_PATH);
	execv(s->path, argv);
	_exit(NOT_EXECUTED);
}

int start_daemon(const struct start *s, pid_t *ret_pid, int *ret_socket)
{
	char held[16], **argv;
	int ends[2], r = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	snprintf(held, sizeof(held), "%d", ends[1]);
	argv = arguments_new(s, held);
	pid = argv ? fork() : -1;
	if (pid == 0)
		run(s, argv, ends[1]);
	if (pid < 0)
		r = argv ? -errno : -ENOMEM;
	free(argv);
	close(ends[1]);
	if (r) {
		close(ends[0]);
		return r;
	}
	/* The holder waits for no daemon that does not listen. */
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*ret_pid = pid;
	*ret_socket = ends[0];
	return 0;
}

bool start_was_not_executed(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == NOT_EXECUTED;
}

void start_describe(int status, char *ret_text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(ret_text, size, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (start_was_not_executed(status))
		snprintf(ret_text, size, "could not be executed");
	else
		snprintf(ret_text, size, "exited with %d", WEXITSTATUS(status));
}
