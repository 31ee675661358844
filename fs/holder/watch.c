/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fs/holder/protocol.h"
#include "store/util/duration.h"
#include "store/util/keep.h"
#include "store/util/log.h"

#define LOOK_EACH_NS NSEC_PER_SEC
#define STACKS_MAX_NS (5 * NSEC_PER_SEC)
/* The holder itself was stopped, too: what seems long was not. */
#define GAP_NS (10 * NSEC_PER_SEC)
/* Limits that one request may take while others are answered. */
#define SLOW_LIMITS 10

void watch_begin(struct watch *w, pid_t pid, int keep_fd, int64_t limit_ns)
{
	watch_end(w);
	if (limit_ns <= 0 || keep_pulse_map(keep_fd, &w->pulse))
		return;
	w->limit_ns = limit_ns;
	w->pid = pid;
}

void watch_end(struct watch *w)
{
	keep_pulse_unmap(w->pulse);
	*w = (struct watch){.fuse_fd = w->fuse_fd,
			    .stacks_fd = w->stacks_fd,
			    .patience = w->patience ? w->patience : 1};
}

int64_t watch_next_ns(const struct watch *w)
{
	return w->limit_ns ? w->looked_ns + LOOK_EACH_NS : INT64_MAX;
}

/* ---- does it answer ---- */

static void begin_anew(struct watch *w, int64_t now_ns)
{
	w->answered_ns = w->read_ns = now_ns;
}

/* Since when the oldest request is handled; INT64_MAX: none is. */
static int64_t oldest_ns(const struct watch *w)
{
	int64_t oldest = INT64_MAX;

	for (unsigned int i = 0; i < KEEP_PULSE_WORKERS; i++) {
		int64_t since = (int64_t)atomic_load_explicit(
		    &w->pulse->worker_since_ns[i], memory_order_relaxed);

		if (since && since < oldest)
			oldest = since;
	}
	return oldest;
}

/* Something was answered, or there is nothing to answer. */
static void look_at_answers(struct watch *w, int64_t now_ns)
{
	uint64_t answered =
	    atomic_load_explicit(&w->pulse->answered, memory_order_relaxed);

	if (answered != w->answered || oldest_ns(w) > now_ns - w->limit_ns)
		w->answered_ns = now_ns;
	w->answered = answered;
}

/* Something was read, or there is nothing to read. */
static void look_at_kernel(struct watch *w, int64_t now_ns)
{
	struct pollfd pfd = {.fd = w->fuse_fd, .events = POLLIN};
	uint64_t begun = atomic_load_explicit(&w->pulse->begun, memory_order_relaxed);

	/* An error is that it was unmounted: the daemon's to find. */
	if (begun != w->begun || poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLIN))
		w->read_ns = now_ns;
	w->begun = begun;
}

/* How long one request has been under way by now. */
static int64_t slowest_ns(const struct watch *w, int64_t now_ns)
{
	int64_t oldest = oldest_ns(w);

	return oldest == INT64_MAX ? 0 : now_ns - oldest;
}

static bool is_lost(const struct watch *w, int64_t now_ns)
{
	return slowest_ns(w, now_ns) / SLOW_LIMITS / w->patience >= w->limit_ns;
}

static bool hangs(const struct watch *w, int64_t now_ns)
{
	return now_ns - w->answered_ns >= w->limit_ns ||
	       now_ns - w->read_ns >= w->limit_ns;
}

/* ---- its threads ---- */

typedef void thread_fn(const struct watch *w, const char *tid);

static void each_thread(const struct watch *w, thread_fn *fn)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)w->pid);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (*e->d_name != '.')
			fn(w, e->d_name);
	if (d)
		closedir(d);
}

static void ask_stack(const struct watch *w, const char *tid)
{
	const struct timespec pause = {.tv_nsec = 2000 * 1000};

	syscall(SYS_tgkill, w->pid, atoi(tid), HOLDER_STACKS_SIGNAL);
	nanosleep(&pause, NULL); /* one after the other, so that lines do not mix */
}

/* What the kernel says of where it sleeps, as far as this user may know. */
static void write_kernel_file(const struct watch *w, const char *tid, const char *name)
{
	char path[96], text[2048], head[128];
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", (int)w->pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : (int)read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	snprintf(head, sizeof(head), "thread %s, %s: ", tid, name);
	if (write(w->stacks_fd, head, strlen(head)) > 0 &&
	    write(w->stacks_fd, text, (size_t)n) > 0 && text[n - 1] != '\n')
		(void)!write(w->stacks_fd, "\n", 1);
}

static void write_kernel_side(const struct watch *w, const char *tid)
{
	write_kernel_file(w, tid, "comm");
	write_kernel_file(w, tid, "wchan");
	write_kernel_file(w, tid, "stack");
}

static void ask_stacks(const struct watch *w)
{
	if (ftruncate(w->stacks_fd, 0) == 0)
		lseek(w->stacks_fd, 0, SEEK_SET);
	each_thread(w, ask_stack);
}

/* Each request once. */
static void look_at_slow(struct watch *w, int64_t now_ns)
{
	if (slowest_ns(w, now_ns) < w->limit_ns || oldest_ns(w) == w->slow_ns)
		return;
	w->slow_ns = oldest_ns(w);
	w->slow_asked_ns = now_ns;
	log_warning(
	    "the daemon (pid %d) has been at a request for %lld s; its stacks are "
	    "asked for",
	    (int)w->pid, (long long)(slowest_ns(w, now_ns) / NSEC_PER_SEC));
	ask_stacks(w);
}

bool watch_slow(struct watch *w, int64_t now_ns, char *ret_text, size_t size)
{
	/* Threads that sleep have written theirs by the next look. */
	if (!w->slow_asked_ns || now_ns - w->slow_asked_ns < LOOK_EACH_NS)
		return false;
	w->slow_asked_ns = 0;
	snprintf(ret_text, size,
		 "a request has been under way for %lld s; threads are at:",
		 (long long)((now_ns - w->slow_ns) / NSEC_PER_SEC));
	return true;
}

/* What is wrong with it is told, and its stacks are asked for. */
static void begin_end(struct watch *w, int64_t now_ns)
{
	w->asked_ns = now_ns;
	w->slow_asked_ns = 0;
	log_error("the daemon (pid %d) answers nothing%s; its stacks are asked for",
		  (int)w->pid, hangs(w, now_ns) ? "" : " to one request");
	ask_stacks(w);
}

static const char *end(struct watch *w, int64_t now_ns)
{
	each_thread(w, write_kernel_side);
	if (hangs(w, now_ns))
		return "answered nothing, and was killed";
	w->patience *= 2;
	return "did not come to the end of a request, and was killed";
}

const char *watch_look(struct watch *w, int64_t now_ns)
{
	if (!w->limit_ns || now_ns < watch_next_ns(w))
		return NULL;
	if (!w->looked_ns || now_ns - w->looked_ns > GAP_NS)
		begin_anew(w, now_ns);
	w->looked_ns = now_ns;
	look_at_answers(w, now_ns);
	look_at_kernel(w, now_ns);
	if (!hangs(w, now_ns) && !is_lost(w, now_ns)) {
		w->asked_ns = 0;
		look_at_slow(w, now_ns);
		return NULL;
	}
	if (!w->asked_ns)
		begin_end(w, now_ns);
	return now_ns - w->asked_ns < STACKS_MAX_NS ? NULL : end(w, now_ns);
}
