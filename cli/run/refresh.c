/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/refresh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/run/running.h"

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All that was inherited: a pipe that somebody reads to its end, a lock of a script. */
static void close_others(const struct job *j)
{
	int ours[] = {j->flight.fd, j->key.stdin_fd, j->dirfd}, from = STDERR_FILENO + 1;

	qsort(ours, sizeof(ours) / sizeof(*ours), sizeof(*ours), compare_fds);
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		if (ours[i] > from)
			close_range((unsigned int)from, (unsigned int)ours[i] - 1, 0);
		if (ours[i] >= from)
			from = ours[i] + 1;
	}
	close_range((unsigned int)from, ~0U, 0);
}

/* Whoever reads our output must not wait for this one. */
static void detach(const struct job *j)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	close_others(j);
}

/* As the leader does, but nobody is told. */
static void compute(struct job *j)
{
	CLEANUP_RECORDING struct recording rec = RECORDING_INIT;
	struct execution ex = {
	    .argv = j->argv,
	    .stdin_fd = j->key.stdin_fd,
	    .rec = &rec,
	    .silent = true,
	};
	struct ending end;

	running_add(j->flight.dir, j->flight.path);
	if (execute(&ex, &end) == 0)
		job_keep(j, &rec, &end);
}

static _Noreturn void refresh(struct job *j, int parent)
{
	int r = j->flight.dir ? flight_begin(&j->flight) : -ENOENT;
	char go = 0;

	close_fdp(&j->outcome.status_fd);
	if (write(parent, &r, sizeof(r)) != sizeof(r) || r || read(parent, &go, 1) != 1)
		_exit(0);
	close(parent);
	j->refresh_fd = -1;
	detach(j);
	compute(j);
	job_deinit(j);
	_exit(0);
}

bool refresh_begin(struct job *j)
{
	int fds[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return false;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		refresh(j, fds[1]);
	}
	close(fds[1]);
	j->refresh_fd = fds[0];
	if (pid > 0 && read(fds[0], &r, sizeof(r)) == sizeof(r) && r == 0) {
		j->refresh_pid = pid;
		return true;
	}
	close_fdp(&j->refresh_fd);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return false;
}

void refresh_go(struct job *j)
{
	if (write(j->refresh_fd, "g", 1) == 1)
		j->outcome.stale = true;
	close_fdp(&j->refresh_fd);
}

void refresh_stop(struct job *j)
{
	close_fdp(&j->refresh_fd);
	waitpid(j->refresh_pid, NULL, 0);
}
