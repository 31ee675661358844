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

#include "fs/kernel_text.h"

/* From include/linux/sched.h; field 9 of /proc/PID/stat, see proc(5). */
enum { FLAG_EXITING = 0x4, FLAG_SIGNALED = 0x400 };

bool process_has(pid_t pid, pid_t tid)
{
	return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno != ESRCH;
}

size_t process_text(pid_t pid, const char *file, char *ret_text, size_t size)
{
	char path[48];

	ret_text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return pid ? kernel_text(path, ret_text, size) : 0;
}

void process_comm(pid_t tid, char *ret_comm, size_t size)
{
	process_text(tid, "comm", ret_comm, size);
	ret_comm[strcspn(ret_comm, "\n")] = '\0';
}

int process_open_comm(pid_t pid)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int process_read_comm(int fd, char *ret_comm, size_t size)
{
	ssize_t n = pread(fd, ret_comm, size - 1, 0);

	if (n <= 0)
		return -ESRCH;
	ret_comm[n] = '\0';
	ret_comm[strcspn(ret_comm, "\n")] = '\0';
	return 0;
}

/* `field` begins with a newline; `otherwise` when the process is gone. */
static pid_t number_in_status(pid_t pid, const char *field, pid_t otherwise)
{
	char text[512];
	const char *line;

	process_text(pid, "status", text, sizeof(text));
	line = strstr(text, field);
	return line ? (pid_t)strtol(line + strlen(field), NULL, 10) : otherwise;
}

pid_t process_of(pid_t tid, pid_t guess)
{
	/* A number that was a process's may be that of another's thread by now. */
	if (guess && tid && process_has(guess, tid))
		return guess;
	if (!tid || process_has(tid, tid))
		return tid;
	return number_in_status(tid, "\nTgid:", tid);
}

/* ---- how it is getting on ---- */

bool process_is_runnable(pid_t pid)
{
	char text[512];

	process_text(pid, "status", text, sizeof(text));
	return strstr(text, "\nState:\tR");
}

/* Its schedstat, in short: the time on a CPU, the time in front of one, turns. */
int64_t process_ran_ns(pid_t pid)
{
	char text[64];

	return process_text(pid, "schedstat", text, sizeof(text))
		   ? strtoll(text, NULL, 10)
		   : -1;
}

/* ---- how it ends ---- */

int process_open_memory(pid_t pid)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* exit(2) gives the memory back before it closes files: all is 0 then. */
bool process_is_ending(int memory_fd)
{
	char text[8];
	ssize_t n = pread(memory_fd, text, sizeof(text), 0);

	return n < 2 || (text[0] == '0' && text[1] == ' ');
}

/* `pid (comm) state ppid …`; a comm may contain blanks and parentheses. */
static const char *parse_head(const char *text, struct process_end *end)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	size_t len;

	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return NULL;
	len = (size_t)(close - open - 1);
	if (len >= sizeof(end->comm))
		len = sizeof(end->comm) - 1;
	memcpy(end->comm, open + 1, len);
	end->comm[len] = '\0';
	return close + 3;
}

/* Fields by their numbers in proc(5); `at` is after the third, the state. */
static int parse_fields(const char *at, struct process_end *end)
{
	unsigned long long flags = 0, status = 0;

	for (int field = 4; field <= 52; field++) {
		char *next;
		unsigned long long value = strtoull(at, &next, 10);

		if (next == at)
			return -ESRCH;
		at = next;
		if (field == 9)
			flags = value;
		else if (field == 52)
			status = value;
	}
	end->status = (int)status;
	/* The flag is set in every thread that exit_group(2) ends, too. */
	end->unsure = (flags & FLAG_SIGNALED) && !status;
	return flags & FLAG_EXITING ? 0 : -ESRCH;
}

int process_read_end(pid_t pid, struct process_end *ret_end)
{
	struct process_end end;
	char text[1024];
	const char *at;
	int r;

	if (!process_text(pid, "stat", text, sizeof(text)))
		return -ESRCH;
	at = parse_head(text, &end);
	r = at ? parse_fields(at, &end) : -ESRCH;
	if (!r)
		*ret_end = end;
	return r;
}

/* ---- families ---- */

static pid_t parent_of(pid_t pid)
{
	return number_in_status(pid, "\nPPid:", 0);
}

/* Deeper than anybody nests shells. */
enum { GENERATIONS_MAX = 64 };

bool process_descends(pid_t pid, pid_t ancestor)
{
	for (int i = 0; i < GENERATIONS_MAX && pid > 0; i++) {
		if (pid == ancestor)
			return true;
		pid = parent_of(pid);
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
