/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/producer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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
	pid_t pid;
	int pidfd;
	uint64_t id;	   /* never used again; the data of its events */
	uint64_t identity; /* fixed */

	int memory_fd; /* see process_open_memory() */

	/* All below: under the table's lock. */
	int comm_fd; /* -1: not needed so far */
	char comm[PROCESS_COMM_MAX];
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

static bool has_ended(const struct producer *pr)
{
	struct pollfd pfd = {.fd = pr->pidfd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* The number of one that has ended may be another's by now. */
static struct producer *find_alive(struct producer_table *t, pid_t pid)
{
	for (struct hlink *l = htab_first(&t->by_pid, hash_u64((uint64_t)pid)); l;
	     l = htab_next(l)) {
		struct producer *pr = CONTAINER_OF(l, struct producer, by_pid);

		if (pr->pid == pid && !has_ended(pr))
			return pr;
	}
	return NULL;
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
	if (htab_add(&t->by_pid, &pr->by_pid, hash_u64((uint64_t)pr->pid)))
		return -ENOMEM;
	if (htab_add(&t->by_id, &pr->by_id, hash_u64(pr->id))) {
		htab_remove(&t->by_pid, &pr->by_pid);
		return -ENOMEM;
	}
	return 0;
}

static void close_descriptors(struct producer *pr)
{
	if (pr->pidfd >= 0)
		close(pr->pidfd);
	if (pr->memory_fd >= 0)
		close(pr->memory_fd);
	if (pr->comm_fd >= 0)
		close(pr->comm_fd);
}

static int open_descriptors(struct producer *pr)
{
	struct stat sb;

	pr->memory_fd = pr->comm_fd = -1;
	pr->pidfd = (int)syscall(SYS_pidfd_open, pr->pid, 0);
	if (pr->pidfd < 0)
		return -errno;
	pr->identity = fstat(pr->pidfd, &sb) ? 0 : sb.st_ino;
	pr->memory_fd = process_open_memory(pr->pid);
	return pr->memory_fd < 0 ? pr->memory_fd : 0;
}

static int make(struct producer_table *t, pid_t pid, struct producer **ret_producer)
{
	struct producer *pr = calloc(1, sizeof(*pr));
	int r;

	if (!pr)
		return -ENOMEM;
	pr->table = t;
	pr->pid = pid;
	pr->refs = 1;
	pr->id = t->next_id++;
	r = open_descriptors(pr);
	if (!r)
		r = add(t, pr);
	if (r) {
		close_descriptors(pr);
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
	close_descriptors(pr);
	free(pr);
}

/* ---- references ---- */

int producer_get(struct producer_table *t, pid_t pid, struct producer **ret_producer)
{
	struct producer *pr;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	pr = find_alive(t, pid);
	if (pr)
		pr->refs++;
	else
		r = make(t, pid, &pr);
	/* What is not watched yet is new, or has perhaps called exec(2) since. */
	if (!r && !pr->watched)
		process_comm(pid, pr->comm, sizeof(pr->comm));
	pthread_mutex_unlock(&t->lock);
	if (!r)
		*ret_producer = pr;
	return r;
}

/* The descriptor is of the process itself, not of its number. Under the lock. */
static bool read_comm(struct producer *pr, char *ret_comm, size_t size)
{
	if (pr->comm_fd < 0) {
		int fd = process_open_comm(pr->pid);

		if (fd >= 0 && has_ended(pr)) { /* it may be another's */
			close(fd);
			fd = -1;
		}
		if (fd < 0)
			return false;
		pr->comm_fd = fd;
	}
	return process_read_comm(pr->comm_fd, ret_comm, size) == 0;
}

struct producer *producer_recognize(struct producer_table *t, pid_t pid, char *ret_comm,
				    size_t size)
{
	struct producer *found = NULL;
	struct hlink *l;

	pthread_mutex_lock(&t->lock);
	l = htab_first(&t->by_pid, hash_u64((uint64_t)pid));
	for (; l && !found; l = htab_next(l)) {
		struct producer *pr = CONTAINER_OF(l, struct producer, by_pid);

		if (pr->pid == pid && read_comm(pr, ret_comm, size))
			found = pr;
	}
	if (found)
		found->refs++;
	pthread_mutex_unlock(&t->lock);
	return found;
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
	return pr->pid;
}

uint64_t producer_identity(const struct producer *pr)
{
	return pr->identity;
}

int producer_resume(struct producer_table *t, pid_t pid, uint64_t identity,
		    struct producer **ret_producer)
{
	struct producer *pr;
	int r = producer_get(t, pid, &pr);

	if (!r && pr->identity != identity) {
		producer_unref(pr);
		return -ESRCH;
	}
	if (!r)
		*ret_producer = pr;
	return r;
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

/* It is ending or has ended: it tells itself, or the pidfd when it was reaped. */
static int status_of(struct producer *pr)
{
	struct process_end end;
	int status = 0;

	if (exit_info(pr, &status))
		return status;
	if (process_read_end(pr->pid, &end) || end.unsure) {
		exit_info(pr, &status); /* it was reaped between the two */
		return status;
	}
	pthread_mutex_lock(&pr->table->lock);
	strcpy(pr->comm, end.comm);
	pthread_mutex_unlock(&pr->table->lock);
	return end.status;
}

bool producer_ended(struct producer *pr, int *ret_status)
{
	if (!has_ended(pr))
		return false;
	*ret_status = status_of(pr);
	return true;
}

bool producer_ending(struct producer *pr, int *ret_status)
{
	if (!process_is_ending(pr->memory_fd) && !has_ended(pr))
		return false;
	*ret_status = status_of(pr);
	return true;
}

bool producer_read_end(struct producer *pr, struct process_end *ret_end)
{
	return process_is_ending(pr->memory_fd) &&
	       process_read_end(pr->pid, ret_end) == 0;
}

void producer_say_end(struct producer *pr, int status, char *ret_text, size_t size)
{
	char comm[PROCESS_COMM_MAX];

	pthread_mutex_lock(&pr->table->lock);
	strcpy(comm, pr->comm);
	pthread_mutex_unlock(&pr->table->lock);
	process_say_end(comm, pr->pid, status, ret_text, size);
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
	for (struct hwalk w = htab_walk(&t->by_id); w.link; hwalk_next(&w)) {
		struct producer *pr = CONTAINER_OF(w.link, struct producer, by_id);

		if (pr->refs)
			continue;
		if (pr->idle_since_ns < before_ns)
			destroy(pr);
		else
			idle = true;
	}
	pthread_mutex_unlock(&t->lock);
	return idle;
}

void producer_table_free(struct producer_table *t)
{
	if (!t)
		return;
	for (struct hwalk w = htab_walk(&t->by_id); w.link; hwalk_next(&w))
		destroy(CONTAINER_OF(w.link, struct producer, by_id));
	htab_deinit(&t->by_pid);
	htab_deinit(&t->by_id);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
