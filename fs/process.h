/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and their threads, as /proc shows them. Costs system calls and no
 * permission. Numbers are those of the daemon's pid namespace; 0 is a process that
 * cannot be seen from there.
 *
 * Not every file of /proc may be read at any time: /proc/PID/stat (and wchan, syscall)
 * waits while the process is in execve(2), for signal->exec_update_lock, and there it
 * may be closing a file of ours and waiting for us. So stat is read of a process that
 * is ending only; /proc/PID/statm tells that, and waits for nothing.
 */
#ifndef MEMOFS_FS_PROCESS_H
#define MEMOFS_FS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_COMM_MAX = 32 };

/*
 * A text of /proc/PID, or of /proc/TID, cut to `size`. Returns its length; 0, and an
 * empty text: it is gone, hidden, or not visible from here. Not every file may be read,
 * see above.
 */
size_t process_text(pid_t pid, const char *file, char *ret_text, size_t size);

struct process_end {
	char comm[PROCESS_COMM_MAX];
	int status; /* as wait(2) gives it; 0 where the daemon may not trace it */
	/* A signal may have ended it that `status` hides. */
	bool unsure;
};

/*
 * Is it in exit(2), dying or a zombie? By a descriptor that may be kept: it stays with
 * the process that it was opened for. -errno; -ENOENT: gone.
 */
int process_open_memory(pid_t pid);
bool process_is_ending(int memory_fd);
/* How it ends. Only of one that is ending. -ESRCH: it is gone, or is not ending. */
int process_read_end(pid_t pid, struct process_end *ret_end);

/* Is this thread of that process? */
bool process_has(pid_t pid, pid_t tid);
/*
 * The process of a thread, `tid` itself when it is gone. `guess` is tried first; 0:
 * none. Ask while the thread is alive: it may end before its process does.
 */
pid_t process_of(pid_t tid, pid_t guess);
/* Does its first thread run, or wait for a CPU? Else it sleeps, or has ended. */
bool process_is_runnable(pid_t pid);
/* For how long that has run, in ns; -1: not known. */
int64_t process_ran_ns(pid_t pid);
/* The name of its first thread, by a descriptor as above. -errno; -ESRCH: gone. */
int process_open_comm(pid_t pid);
int process_read_comm(int fd, char *ret_comm, size_t size);
/* Empty when the thread is gone. */
void process_comm(pid_t tid, char *ret_comm, size_t size);
/* Is it `ancestor`, or was it started by it or by its children's children? */
bool process_descends(pid_t pid, pid_t ancestor);

/* What wait(2) said, for people: `exit status 1 of sort (pid 123)`. */
void process_say_end(const char *comm, pid_t pid, int status, char *ret_text,
		     size_t size);

#endif
