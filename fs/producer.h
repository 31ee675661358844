/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes whose end decides about a value.
 *
 * A producer is a process that was alive when it closed a value. One object stands
 * for it, however many values it has closed, and holds a pidfd, so that it cannot
 * be mistaken for a later process of the same number. How it ended is learned from
 * the zombie in /proc, or from the pidfd once it was reaped (PIDFD_GET_INFO with
 * PIDFD_INFO_EXIT, kernel 6.15). On an older kernel a process that was reaped
 * before anyone looked counts as one that ended well.
 *
 * All may be called from any thread; the table's lock is a leaf.
 */
#ifndef MEMOFS_FS_PRODUCER_H
#define MEMOFS_FS_PRODUCER_H

#include <stdbool.h>

#include "fs/process.h"

struct producer;
struct producer_table;

/* `epoll_fd`: where producer_watch() adds them; stays the caller's. -ENOMEM. */
int producer_table_new(int epoll_fd, struct producer_table **ret_table);
/* All references must have been given back. NULL is fine. */
void producer_table_free(struct producer_table *t);

/*
 * The object of a process that waits for us, so that it is there. -EMFILE, -ENOMEM,
 * -ESRCH.
 */
int producer_get(struct producer_table *t, pid_t pid, struct producer **ret_producer);
struct producer *producer_ref(struct producer *pr);
void producer_unref(struct producer *pr); /* NULL is fine */

pid_t producer_pid(const struct producer *pr);

/* Of the process itself, where the kernel tells it (6.9), else of all the same. */
uint64_t producer_identity(const struct producer *pr);
/* As producer_get(), of one that was known to a process before: -ESRCH: it has ended. */
int producer_resume(struct producer_table *t, pid_t pid, uint64_t identity,
		    struct producer **ret_producer);

/*
 * A process asks whose first thread has this number: the object, if it has closed a
 * value before, and its present command. A reference, or NULL.
 */
struct producer *producer_recognize(struct producer_table *t, pid_t pid, char *ret_comm,
				    size_t size);

/*
 * Has it ended? *ret_status is as wait(2) gives it, 0 where that cannot be known.
 * One system call while it is alive.
 */
bool producer_ended(struct producer *pr, int *ret_status);
/* The same, and a process that is about to end has ended. Some calls more. */
bool producer_ending(struct producer *pr, int *ret_status);
/* It waits for us: is it in exit(2), and how does it end? One call while it is not. */
bool producer_read_end(struct producer *pr, struct process_end *ret_end);
/* Why a value was not stored, for people. */
void producer_say_end(struct producer *pr, int status, char *ret_text, size_t size);

/*
 * Have the epoll descriptor report its end, with producer_of_event(). -errno: it
 * will not be reported.
 */
int producer_watch(struct producer *pr);
/*
 * What an event's data stands for: a reference, or NULL when it is gone. It is not
 * reported again.
 */
struct producer *producer_of_event(struct producer_table *t, uint64_t data);

/*
 * A producer that was watched is kept for a while without references, because the
 * process may close another value soon: drop those. False: there are none left.
 */
bool producer_reap(struct producer_table *t);

#endif
