/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/producer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/util/duration.h"
#include "store/util/htab.h"

/*
 * include/uapi/linux/pidfd.h of kernel 6.15, which distributions' headers do not
 * have yet. The first version of the struct is all that is needed.
 */
struct pidfd_exit_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t ids[11]; /* pid, tgid, ppid, and eight of users and groups */
	int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_exit_info) == 64, "PIDFD_INFO_SIZE_VER0");
#define GET_INFO _IOWR(0xFF, 11, struct pidfd_exit_info) /* PIDFD_GET_INFO */
#define INFO_EXIT (UINT64_C(1) << 3)			 /* PIDFD_INFO_EXIT */

struct producer {
	struct producer_table *table;
	struct process process; /* fixed, but for comm, which is under the lock */
	int pidfd;
	uint64_t id; /* never used again; the data of its events */

	/* Of /proc/PID/stat, or -1; opened when it is first read, closed at the end. */
	_Atomic int stat_fd;

	/* All below: under the table's lock. */
	unsigned int refs;
	bool watched; /* in the epoll set */
	int64_t idle_since_ns;
	struct hlink by_pid, by_id;
};

struct producer_table {
	int epoll_fd;
	pthread_mutex_t lock;
	struct htab by_pid, by_id; /* under lock */
	uint64_t next_id;	   /* under lock */
};

int producer_table_new(int epoll_fd, struct producer_table **ret_table)
{
	struct producer_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->epoll_fd = epoll_fd;
	t->next_id = 1;
	pthread_mutex_init(&t->lock, NULL);
	*ret_table = t;
	return 0;
}

/* ---- life; the lock is held ---- */

static struct producer *next_pid(struct hlink *l, pid_t pid)
{
	for (; l; l = htab_next(l)) {
		struct producer *pr = CONTAINER_OF(l, struct producer, by_pid);

		if (pr->process.pid == pid)
			return pr;
	}
	return NULL;
}

static struct producer *first_pid(struct producer_table *t, pid_t pid)
{
	return next_pid(htab_first(&t->by_pid, hash_u64((uint64_t)pid)), pid);
}

static struct producer *find_process(struct producer_table *t,
				     const struct process *process)
{
	struct producer *pr = first_pid(t, process->pid);

	while (pr && pr->process.start != process->start)
		pr = next_pid(htab_next(&pr->by_pid), process->pid);
	return pr;
}

static struct producer *find_id(struct producer_table *t, uint64_t id)
{
	for (struct hlink *l = htab_first(&t->by_id, hash_u64(id)); l; l = htab_next(l)) {
		struct producer *pr = CONTAINER_OF(l, struct producer, by_id);

		if (pr->id == id)
			return pr;
	}
	return NULL;
}

static int add(struct producer_table *t, struct producer *pr)
{
	if (htab_add(&t->by_pid, &pr->by_pid, hash_u64((uint64_t)pr->process.pid)))
		return -ENOMEM;
	if (htab_add(&t->by_id, &pr->by_id, hash_u64(pr->id))) {
		htab_remove(&t->by_pid, &pr->by_pid);
		return -ENOMEM;
	}
	return 0;
}

static int make(struct producer_table *t, const struct process *process,
		struct producer **ret_producer)
{
	struct producer *pr = calloc(1, sizeof(*pr));
	int r = 0;

	if (!pr)
		return -ENOMEM;
	pr->table = t;
	pr->process = *process;
	pr->refs = 1;
	pr->stat_fd = -1;
	pr->id = t->next_id++;
	pr->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (pr->pidfd < 0)
		r = -errno;
	if (!r)
		r = add(t, pr);
	if (r) {
		if (pr->pidfd >= 0)
			close(pr->pidfd);
		free(pr);
		return r;
	}
	*ret_producer = pr;
	return 0;
}

static void unwatch(struct producer *pr)
{
	if (pr->watched)
		epoll_ctl(pr->table->epoll_fd, EPOLL_CTL_DEL, pr->pidfd, NULL);
	pr->watched = false;
}

static void destroy(struct producer *pr)
{
	unwatch(pr);
	htab_remove(&pr->table->by_pid, &pr->by_pid);
	htab_remove(&pr->table->by_id, &pr->by_id);
	close(pr->pidfd);
	if (pr->stat_fd >= 0)
		close(pr->stat_fd);
	free(pr);
}

/* ---- what it is now; without the lock ---- */

/* Of the first that opens it; the others' are closed. */
static int stat_fd(struct producer *pr)
{
	int fd = atomic_load(&pr->stat_fd), none = -1;

	if (fd >= 0)
		return fd;
	fd = process_open(pr->process.pid);
	if (fd >= 0 && !atomic_compare_exchange_strong(&pr->stat_fd, &none, fd)) {
		close(fd);
		fd = none;
	}
	return fd;
}

/* -ESRCH: it is gone, and its number may be another's. */
static int read_now(struct producer *pr, struct process *ret_now)
{
	int fd = stat_fd(pr);
	int r = fd < 0 ? -ESRCH : process_read_open(fd, pr->process.pid, ret_now);

	return !r && ret_now->start != pr->process.start ? -ESRCH : r;
}

/* ---- references ---- */

int producer_find(struct producer_table *t, pid_t pid, struct producer **ret_producer,
		  struct process *ret_process)
{
	struct producer *pr;

	pthread_mutex_lock(&t->lock);
	pr = first_pid(t, pid);
	if (pr)
		pr->refs++;
	pthread_mutex_unlock(&t->lock);
	if (!pr)
		return -ESRCH;
	if (read_now(pr, ret_process)) {
		producer_unref(pr);
		return -ESRCH;
	}
	pthread_mutex_lock(&t->lock);
	strcpy(pr->process.comm, ret_process->comm); /* it may have called exec(2) */
	pthread_mutex_unlock(&t->lock);
	*ret_producer = pr;
	return 0;
}

int producer_get(struct producer_table *t, const struct process *process,
		 struct producer **ret_producer)
{
	struct producer *pr;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	pr = find_process(t, process);
	if (pr) {
		pr->refs++;
		/* It may have called exec(2) since. */
		strcpy(pr->process.comm, process->comm);
	} else {
		r = make(t, process, &pr);
	}
	pthread_mutex_unlock(&t->lock);
	if (!r)
		*ret_producer = pr;
	return r;
}

struct producer *producer_ref(struct producer *pr)
{
	pthread_mutex_lock(&pr->table->lock);
	pr->refs++;
	pthread_mutex_unlock(&pr->table->lock);
	return pr;
}

void producer_unref(struct producer *pr)
{
	struct producer_table *t;

	if (!pr)
		return;
	t = pr->table;
	pthread_mutex_lock(&t->lock);
	if (--pr->refs == 0) {
		if (pr->watched)
			pr->idle_since_ns = time_monotonic_ns();
		else
			destroy(pr);
	}
	pthread_mutex_unlock(&t->lock);
}

pid_t producer_pid(const struct producer *pr)
{
	return pr->process.pid;
}

/* ---- its end ---- */

static bool exit_info(const struct producer *pr, int *ret_status)
{
	struct pidfd_exit_info info = {.mask = INFO_EXIT};

	if (ioctl(pr->pidfd, GET_INFO, &info) || !(info.mask & INFO_EXIT))
		return false;
	*ret_status = info.exit_code;
	return true;
}

/* It has ended: the zombie tells, the pidfd when there is none any more. */
static int status_of(struct producer *pr)
{
	struct process now;
	int status = 0;

	if (exit_info(pr, &status))
		return status;
	if (read_now(pr, &now) == 0 && !now.status_unsure)
		return now.status;
	exit_info(pr, &status); /* it was reaped between the two */
	return status;
}

bool producer_ended(struct producer *pr, int *ret_status)
{
	struct pollfd pfd = {.fd = pr->pidfd, .events = POLLIN};

	if (poll(&pfd, 1, 0) != 1)
		return false;
	*ret_status = status_of(pr);
	return true;
}

bool producer_ending(struct producer *pr, int *ret_status)
{
	struct process now;

	if (producer_ended(pr, ret_status))
		return true;
	if (read_now(pr, &now) || !now.exiting || now.status_unsure)
		return producer_ended(pr, ret_status);
	*ret_status = now.status;
	return true;
}

void producer_say_end(struct producer *pr, int status, char *ret_text, size_t size)
{
	char comm[PROCESS_COMM_MAX];

	pthread_mutex_lock(&pr->table->lock);
	strcpy(comm, pr->process.comm);
	pthread_mutex_unlock(&pr->table->lock);
	process_say_end(comm, pr->process.pid, status, ret_text, size);
}

/* ---- the epoll set ---- */

int producer_watch(struct producer *pr)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = pr->id};
	int r = 0;

	pthread_mutex_lock(&pr->table->lock);
	if (!pr->watched && epoll_ctl(pr->table->epoll_fd, EPOLL_CTL_ADD, pr->pidfd, &ev))
		r = -errno;
	pr->watched = pr->watched || !r;
	pthread_mutex_unlock(&pr->table->lock);
	return r;
}

struct producer *producer_of_event(struct producer_table *t, uint64_t data)
{
	struct producer *pr;

	pthread_mutex_lock(&t->lock);
	pr = find_id(t, data);
	if (pr) {
		unwatch(pr);
		pr->refs++;
	}
	pthread_mutex_unlock(&t->lock);
	return pr;
}

#define IDLE_MAX_NS (2 * NSEC_PER_SEC)

bool producer_reap(struct producer_table *t)
{
	int64_t before_ns = time_monotonic_ns() - IDLE_MAX_NS;
	bool idle = false;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->by_id.bucket_count; i++) {
		struct hlink *l = t->by_id.buckets[i];

		while (l) {
			struct producer *pr = CONTAINER_OF(l, struct producer, by_id);

			l = l->next;
			if (pr->refs)
				continue;
			if (pr->idle_since_ns < before_ns)
				destroy(pr);
			else
				idle = true;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return idle;
}

void producer_table_free(struct producer_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->by_id.bucket_count; i++)
		while (t->by_id.buckets[i])
			destroy(
			    CONTAINER_OF(t->by_id.buckets[i], struct producer, by_id));
	htab_deinit(&t->by_pid);
	htab_deinit(&t->by_id);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
