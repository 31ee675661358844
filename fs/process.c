/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From include/linux/sched.h; field 9 of /proc/PID/stat, see proc(5). */
enum { FLAG_EXITING = 0x4, FLAG_SIGNALED = 0x400 };

bool process_has(pid_t pid, pid_t tid)
{
	return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno != ESRCH;
}

/* A text of /proc/PID, cut to `size`. Empty when it is gone. */
static size_t read_text(pid_t pid, const char *file, char *ret_text, size_t size)
{
	char path[48];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n = read(fd, ret_text, size - 1);
		close(fd);
	}
	ret_text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

void process_comm(pid_t tid, char *ret_comm, size_t size)
{
	read_text(tid, "comm", ret_comm, size);
	ret_comm[strcspn(ret_comm, "\n")] = '\0';
}

pid_t process_of(pid_t tid, pid_t guess)
{
	char text[512];
	const char *line;
	int tgid;

	if (guess && tid && (tid == guess || process_has(guess, tid)))
		return guess;
	if (!tid || process_has(tid, tid))
		return tid;
	read_text(tid, "status", text, sizeof(text));
	line = strstr(text, "\nTgid:");
	return line && sscanf(line, "\nTgid: %d", &tgid) == 1 ? tgid : tid;
}

/* `pid (comm) state ppid …`; a comm may contain blanks and parentheses. */
static const char *parse_head(const char *text, struct process *p)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	size_t len;

	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return NULL;
	len = (size_t)(close - open - 1);
	if (len >= sizeof(p->comm))
		len = sizeof(p->comm) - 1;
	memcpy(p->comm, open + 1, len);
	p->comm[len] = '\0';
	return close + 3;
}

/* Fields by their numbers in proc(5); `at` is after the third, the state. */
static bool parse_fields(const char *at, struct process *p)
{
	unsigned long long flags = 0;
	int field;

	for (field = 4; field <= 52; field++) {
		char *end;
		unsigned long long value = strtoull(at, &end, 10);

		if (end == at)
			return false;
		at = end;
		if (field == 4)
			p->ppid = (pid_t)value;
		else if (field == 9)
			flags = value;
		else if (field == 22)
			p->start = value;
		else if (field == 52)
			p->status = (int)value;
	}
	p->exiting = flags & FLAG_EXITING;
	if (!p->exiting)
		p->status = 0;
	/* The flag is set in every thread that exit_group(2) ends, too. */
	p->status_unsure = p->exiting && (flags & FLAG_SIGNALED) && !p->status;
	return true;
}

static int parse(pid_t pid, const char *text, struct process *ret_process)
{
	struct process p = {.pid = pid};
	const char *at;

	at = parse_head(text, &p);
	if (!at || !parse_fields(at, &p))
		return -ESRCH;
	*ret_process = p;
	return 0;
}

enum { STAT_MAX = 1024 };

int process_read(pid_t pid, struct process *ret_process)
{
	char text[STAT_MAX];

	if (!read_text(pid, "stat", text, sizeof(text)))
		return -ESRCH;
	return parse(pid, text, ret_process);
}

int process_open(pid_t pid)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int process_read_open(int fd, pid_t pid, struct process *ret_process)
{
	char text[STAT_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	return parse(pid, text, ret_process);
}

/* Deeper than anybody nests shells. */
enum { GENERATIONS_MAX = 64 };

bool process_descends(pid_t pid, pid_t ancestor)
{
	struct process p = {.ppid = pid};

	for (int i = 0; i < GENERATIONS_MAX; i++) {
		if (p.ppid == ancestor)
			return true;
		if (p.ppid <= 1 || process_read(p.ppid, &p))
			return false;
	}
	return false;
}

void process_say_end(const char *comm, pid_t pid, int status, char *ret_text, size_t size)
{
	const char *name;

	if (!WIFSIGNALED(status)) {
		snprintf(ret_text, size, "exit status %d of %s (pid %d)",
			 WEXITSTATUS(status), comm, (int)pid);
		return;
	}
	name = sigabbrev_np(WTERMSIG(status));
	snprintf(ret_text, size, "killed by signal %d%s%s%s of %s (pid %d)",
		 WTERMSIG(status), name ? " (SIG" : "", name ? name : "", name ? ")" : "",
		 comm, (int)pid);
}
