/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and their threads, as /proc shows them. Costs system calls and no
 * permission. Numbers are those of the daemon's pid namespace; 0 is a process that
 * cannot be seen from there.
 */
#ifndef MEMOFS_FS_PROCESS_H
#define MEMOFS_FS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_COMM_MAX = 32 };

struct process {
	pid_t pid, ppid;
	char comm[PROCESS_COMM_MAX];
	bool exiting; /* it is in exit(2) or dying, or it is a zombie */
	/* As wait(2) gives it. Zero while it is not exiting, and where the daemon may
	 * not trace the process. */
	int status;
	bool status_unsure; /* a signal may have ended it that `status` hides */
	uint64_t start;	    /* tells two processes of one number apart; clock ticks */
};

/* -ESRCH: gone, or never there. One open, one read, one close. */
int process_read(pid_t pid, struct process *ret_process);

/*
 * The same through a descriptor that is kept: one call. It stays with the process that
 * it was opened for, and says -ESRCH when that is gone.
 */
int process_open(pid_t pid); /* -errno */
int process_read_open(int fd, pid_t pid, struct process *ret_process);

/* Is this thread of that process? */
bool process_has(pid_t pid, pid_t tid);
/*
 * The process of a thread, `tid` itself when it is gone. `guess` is tried first; 0:
 * none. Ask while the thread is alive: it may end before its process does.
 */
pid_t process_of(pid_t tid, pid_t guess);
/* Empty when the thread is gone. */
void process_comm(pid_t tid, char *ret_comm, size_t size);
/* Is it `ancestor`, or was it started by it or by its children's children? */
bool process_descends(pid_t pid, pid_t ancestor);

/* What wait(2) said, for people: `exit status 1 of sort (pid 123)`. */
void process_say_end(const char *comm, pid_t pid, int status, char *ret_text,
		     size_t size);

#endif
