/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who produced a value and how that ended, over a store in memory: processes,
 * producers, failures, values that linger, and the leases of their names.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/failures.h"
#include "fs/pending.h"
#include "fs/producer.h"
#include "store/lease.h"

#define assert_ok(call) assert_int_equal((call), 0)

/* A process that waits to be told its end by one byte. */
struct child {
	pid_t pid;
	int tell;
};

static void *child_sleeps(void *arg)
{
	pid_t tid = gettid();

	if (write(*(int *)arg, &tid, sizeof(tid)) == sizeof(tid))
		pause();
	return NULL;
}

/* With a second thread, unless `ret_tid` is NULL. */
static struct child child_with_thread(pid_t *ret_tid)
{
	struct child c;
	int to[2], from[2];
	pthread_t thread;
	char code;

	assert_ok(pipe(to));
	assert_ok(pipe(from));
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		close(to[1]);
		if (ret_tid && pthread_create(&thread, NULL, child_sleeps, &from[1]))
			_exit(99);
		if (read(to[0], &code, 1) == 1)
			_exit(code);
		pause();
	}
	close(to[0]);
	close(from[1]);
	if (ret_tid)
		assert_int_equal(read(from[0], ret_tid, sizeof(*ret_tid)),
				 sizeof(*ret_tid));
	close(from[0]);
	c.tell = to[1];
	return c;
}

static struct child child_new(void)
{
	return child_with_thread(NULL);
}

static void child_wait(struct child *c)
{
	assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
	close(c->tell);
}

static void child_exit(struct child *c, char code)
{
	assert_int_equal(write(c->tell, &code, 1), 1);
}

/* Until it is a zombie; it is not reaped. */
static void child_await(struct child *c)
{
	siginfo_t info;

	assert_ok(waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT));
}

/* ---- processes ---- */

static void test_process_tells_its_end(void **state)
{
	struct child c = child_new();
	struct process_end end;
	int fd = process_open_memory(c.pid);

	assert_true(fd >= 0);
	assert_false(process_is_ending(fd));
	assert_int_equal(process_read_end(c.pid, &end), -ESRCH); /* not yet */
	child_exit(&c, 3);
	child_await(&c);
	assert_true(process_is_ending(fd));
	assert_ok(process_read_end(c.pid, &end));
	assert_int_equal(WEXITSTATUS(end.status), 3);
	assert_true(*end.comm);
	child_wait(&c);
	assert_true(process_is_ending(fd));
	assert_int_equal(process_read_end(c.pid, &end), -ESRCH);
	assert_int_equal(process_open_memory(c.pid), -ENOENT);
	close(fd);
}

/* What a thread finds of itself; it is asserted by the first one. */
struct thread_says {
	pid_t tid, unguessed, guessed, misled;
	bool has;
};

static void *ask_of_itself(void *arg)
{
	struct thread_says *says = arg;

	says->tid = gettid();
	says->unguessed = process_of(gettid(), 0);
	says->guessed = process_of(gettid(), getpid());
	/* As if there had been a process of this number. */
	says->misled = process_of(gettid(), gettid());
	says->has = process_has(getpid(), gettid());
	return NULL;
}

static void test_process_of_a_thread(void **state)
{
	struct thread_says says = {0};
	pthread_t thread;

	assert_ok(pthread_create(&thread, NULL, ask_of_itself, &says));
	pthread_join(thread, NULL);
	assert_int_not_equal(says.tid, getpid());
	assert_int_equal(says.unguessed, getpid());
	assert_int_equal(says.guessed, getpid());
	assert_int_equal(says.misled, getpid());
	assert_true(says.has);
	assert_int_equal(process_of(getpid(), 0), getpid());
	assert_int_equal(process_of(0, getpid()), 0);
	assert_false(process_has(getpid(), 1));
}

/* What is longer than a page comes in several reads. */
static void test_process_tells_all_of_a_text(void **state)
{
	static char text[1 << 20];
	size_t len = process_text(getpid(), "smaps", text, sizeof(text));

	assert_in_range(len, 2 * sysconf(_SC_PAGESIZE), sizeof(text) - 2);
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
	assert_int_equal(process_text(getpid(), "smaps", text, 100), 99);
	assert_int_equal(strlen(text), 99);
	assert_int_equal(process_text(getpid(), "none", text, 100), 0);
	assert_string_equal(text, "");
	strcpy(text, "x");
	assert_int_equal(process_text(0, "status", text, 100), 0);
	assert_string_equal(text, "");
}

static void test_process_descends(void **state)
{
	struct child c = child_new();

	assert_true(process_descends(getpid(), getpid()));
	assert_true(process_descends(c.pid, getpid()));
	assert_false(process_descends(getpid(), c.pid));
	assert_false(process_descends(1, getpid()));
	assert_true(process_descends(1, 1)); /* the shell that a container begins with */
	child_exit(&c, 0);
	child_wait(&c);
}

static void test_process_says_its_end(void **state)
{
	char text[FAILURE_TEXT_MAX];

	process_say_end("sort", 123, 1 << 8, text, sizeof(text));
	assert_string_equal(text, "exit status 1 of sort (pid 123)");
	process_say_end("sh", 9, SIGKILL, text, sizeof(text));
	assert_string_equal(text, "killed by signal 9 (SIGKILL) of sh (pid 9)");
	/* With a core, as wait(2) marks it. */
	process_say_end("sh", 9, SIGSEGV | 0x80, text, sizeof(text));
	assert_string_equal(text, "killed by signal 11 (SIGSEGV) of sh (pid 9)");
}

/* ---- producers ---- */

static void test_producer_ends(void **state)
{
	struct producer_table *t;
	struct producer *pr, *again;
	struct epoll_event ev;
	struct child c = child_new();
	char comm[PROCESS_COMM_MAX], want[PROCESS_COMM_MAX];
	int ep = epoll_create1(EPOLL_CLOEXEC), status = -1;

	assert_ok(producer_table_new(ep, &t));
	assert_null(producer_recognize(t, c.pid, comm, sizeof(comm)));
	assert_ok(producer_get(t, c.pid, &pr));
	again = producer_recognize(t, c.pid, comm, sizeof(comm));
	assert_ptr_equal(again, pr);
	producer_unref(again);
	process_comm(c.pid, want, sizeof(want));
	assert_string_equal(comm, want);
	assert_ok(producer_get(t, c.pid, &again));
	assert_ptr_equal(again, pr); /* one object for all its values */
	producer_unref(again);
	assert_false(producer_ended(pr, &status));
	assert_false(producer_ending(pr, &status));
	assert_ok(producer_watch(pr));
	assert_int_equal(epoll_wait(ep, &ev, 1, 0), 0);
	child_exit(&c, 7);
	assert_int_equal(epoll_wait(ep, &ev, 1, 60000), 1);
	assert_true(producer_ended(pr, &status)); /* a zombie */
	assert_int_equal(WEXITSTATUS(status), 7);
	again = producer_of_event(t, ev.data.u64);
	assert_ptr_equal(again, pr);
	producer_unref(again);
	assert_int_equal(epoll_wait(ep, &ev, 1, 0), 0); /* said once */
	child_wait(&c);
	assert_true(producer_ended(pr, &status));
	/* Its number may be another's by now. */
	assert_int_equal(producer_get(t, c.pid, &again), -ESRCH);
	assert_null(producer_recognize(t, c.pid, comm, sizeof(comm)));
	producer_unref(pr);
	assert_false(producer_reap(t));
	producer_table_free(t);
	close(ep);
}

/* ---- failures ---- */

static void test_failures_keep_the_newest(void **state)
{
	struct failure got;
	struct failures *f;
	char name[16];

	assert_ok(failures_new(&f));
	assert_int_equal(failure_get(f, 1, "n0", &got), -ENOENT);
	for (int i = 0; i <= FAILURES_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		failure_put(f, 1, name, name);
	}
	assert_int_equal(failure_get(f, 1, "n0", &got), -ENOENT);
	assert_ok(failure_get(f, 1, "n1", &got));
	failure_put(f, 1, "n1", "again"); /* is the newest now */
	failure_put(f, 1, "more", "x");
	assert_int_equal(failure_get(f, 1, "n2", &got), -ENOENT);
	assert_ok(failure_get(f, 1, "n1", &got));
	assert_string_equal(got.text, "again");
	assert_int_equal(failure_get(f, 2, "n1", &got), -ENOENT);
	failure_clear(f, 1, "n1");
	assert_int_equal(failure_get(f, 1, "n1", &got), -ENOENT);
	failures_free(f);
}

/* ---- values ---- */

struct world {
	struct store *st;
	struct pending_table *t;
	_Atomic unsigned int published, settled;
};

static void on_published(void *arg, uint64_t branch, const char *name)
{
	atomic_fetch_add(&((struct world *)arg)->published, 1);
}

static void on_settled(void *arg, uint64_t branch, const char *name)
{
	atomic_fetch_add(&((struct world *)arg)->settled, 1);
}

static int world_new(void **state)
{
	static struct world w;
	struct store_options opt = {.kind = STORE_MEMORY, .root_mode = 0755};
	struct pending_events events = {
	    .published = on_published, .settled = on_settled, .arg = &w};

	w.published = w.settled = 0;
	if (store_open(&opt, &w.st, NULL) || pending_table_new(w.st, &events, &w.t))
		return -1;
	*state = &w;
	return 0;
}

static int world_free(void **state)
{
	struct world *w = *state;

	pending_table_free(w->t);
	store_close(w->st);
	return 0;
}

static int begin(struct world *w, const char *name, pid_t tid, const char *owner,
		 struct pending **ret_p)
{
	struct pending_args args = {
	    .branch = STORE_ROOT_INO,
	    .name = name,
	    .truncate = true,
	    .mode = 0644,
	    .tid = tid,
	    .owner = owner,
	};
	int r = pending_new(w->t, &args, ret_p);

	return r ? r : pending_open(*ret_p, true);
}

/* Opened and written to, by this process. */
static struct pending *open_by(struct world *w, const char *name, pid_t pid)
{
	struct pending *p;

	assert_ok(begin(w, name, pid, NULL, &p));
	assert_ok(store_staged_write(pending_staged(p), "x", 1, 0));
	pending_wrote(p, pid);
	return p;
}

static void release(struct pending *p)
{
	pending_note_release(p);
	pending_release(p);
}

/* Keeps the reference. */
static void close_by(struct pending *p, pid_t pid)
{
	assert_ok(pending_flush(p, pid));
	release(p);
}

static bool stored(struct world *w, const char *name)
{
	struct store_attr attr;

	return store_lookup(w->st, STORE_ROOT_INO, name, &attr) == 0;
}

static int add_info(void *arg, const struct pending_info *info)
{
	struct pending_info *sum = arg;

	*sum = *info;
	return 0;
}

static void ask(struct world *w, const char *name, pid_t tid)
{
	pending_wait(w->t, STORE_ROOT_INO, name, tid);
}

static void test_closer_fails_after_close(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", c.pid);
	struct failure why;

	/* Alive when it closes, so that only its end can tell; ended at the release,
	 * because what lingers is published when its time is over. */
	assert_ok(pending_flush(p, c.pid));
	child_exit(&c, 3);
	child_await(&c);
	release(p);
	ask(w, "key", 0);
	assert_false(stored(w, "key"));
	assert_ok(failure_get(pending_failures(w->t), STORE_ROOT_INO, "key", &why));
	assert_non_null(strstr(why.text, "exit status 3 of"));
	child_wait(&c);
	pending_unref(p);
	assert_int_equal(pending_count(w->t), 0);
	assert_int_equal(w->published, 0);
	assert_true(w->settled > 0);
	/* The next that is stored takes the reason away. */
	p = open_by(w, "key", 0);
	close_by(p, 0);
	pending_unref(p);
	assert_int_equal(failure_get(pending_failures(w->t), STORE_ROOT_INO, "key", &why),
			 -ENOENT);
	assert_int_equal(w->published, 1);
}

static void test_closer_ends_well(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", c.pid);

	close_by(p, c.pid);
	child_exit(&c, 0);
	child_wait(&c);
	ask(w, "key", 0);
	assert_true(stored(w, "key"));
	pending_unref(p);
}

/* The closer asks: it is published in the same call, though its time is not over. */
static void test_closer_does_not_wait(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", getpid());

	close_by(p, getpid());
	ask(w, "key", getpid());
	assert_true(stored(w, "key"));
	pending_unref(p);
	p = open_by(w, "child's", getpid());
	close_by(p, getpid());
	ask(w, "child's", c.pid); /* who was started by it */
	assert_true(stored(w, "child's"));
	pending_unref(p);
	child_exit(&c, 0);
	child_wait(&c);
}

static bool becomes_stored(struct world *w, const char *name)
{
	for (int i = 0; i < 6000 && !stored(w, name); i++)
		poll(NULL, 0, 10);
	return stored(w, name);
}

static void test_nobody_asks(void **state)
{
	struct world *w = *state;
	struct pending *p = open_by(w, "key", getpid());

	close_by(p, getpid());
	assert_true(becomes_stored(w, "key"));
	pending_unref(p);
}

/*
 * Who begins another value goes on: what it has closed is stored, and its end, which
 * is not waited for, does not count against it.
 */
static void assert_left(struct world *w, struct child *c, pid_t tid)
{
	struct pending *left = open_by(w, "left", tid), *last;
	struct pending_info info = {0};

	assert_ok(pending_list(w->t, STORE_ROOT_INO, add_info, &info));
	assert_int_equal(info.pid, c->pid);
	close_by(left, tid);
	last = open_by(w, "last", tid);
	child_exit(c, 3);
	child_await(c);
	assert_true(becomes_stored(w, "left"));
	close_by(last, c->pid);
	ask(w, "last", 0);
	assert_false(stored(w, "last"));
	child_wait(c);
	pending_unref(left);
	pending_unref(last);
}

static void test_left_by_its_closer(void **state)
{
	struct child c = child_new();

	assert_left(*state, &c, c.pid);
}

/* Threads are as good as their process, which has several names for the kernel. */
static void test_left_by_a_thread(void **state)
{
	pid_t tid;
	struct child c = child_with_thread(&tid);

	assert_left(*state, &c, tid);
}

/* They are told before it is decided, and come true when it is. */
static void test_times_of_a_directory(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", c.pid);
	struct store_attr root;
	int64_t told_ns;

	assert_false(pending_dir_times(w->t, STORE_ROOT_INO, &told_ns));
	assert_int_equal(told_ns, 0);
	poll(NULL, 0, 20); /* some ticks after the directory was made */
	close_by(p, c.pid);
	assert_true(pending_dir_times(w->t, STORE_ROOT_INO, &told_ns));
	assert_true(told_ns || stored(w, "key")); /* on a very busy machine */
	ask(w, "key", c.pid);
	assert_ok(store_getattr(w->st, STORE_ROOT_INO, &root));
	if (told_ns) {
		assert_int_equal(root.mtime_ns, told_ns);
		assert_int_equal(root.ctime_ns, told_ns);
	}
	assert_true(pending_dir_times(w->t, STORE_ROOT_INO, &told_ns));
	assert_int_equal(told_ns, 0);
	child_exit(&c, 0);
	child_wait(&c);
	pending_unref(p);
}

static void assert_times(int64_t mtime_ns, int64_t ctime_ns, int64_t want_mtime_ns,
			 int64_t want_ctime_ns)
{
	store_dir_times(1000, &mtime_ns, &ctime_ns);
	assert_int_equal(mtime_ns, want_mtime_ns);
	assert_int_equal(ctime_ns, want_ctime_ns);
}

static void test_times_never_go_back(void **state)
{
	assert_times(500, 500, 1000, 1000);
	assert_times(500, 2000, 1000, 2000);  /* attributes were changed since */
	assert_times(2000, 2000, 2000, 2000); /* a name was, too */
	assert_times(9000, 500, 1000, 1000);  /* of the future, set before */
}

static void test_asked_without_waiting(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", c.pid);

	close_by(p, c.pid);
	pending_ask(w->t, STORE_ROOT_INO, "key", 0);
	pending_ask(w->t, STORE_ROOT_INO, "other", 0);
	assert_true(becomes_stored(w, "key"));
	pending_unref(p);
	child_exit(&c, 0);
	child_wait(&c);
}

enum { CROWD = 12 };

/* Processes that keep the CPU busy on which this one runs, and is bound to stay. */
static void crowd_begin(pid_t crowd[CROWD])
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	assert_ok(sched_setaffinity(0, sizeof(one), &one));
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = fork();
		assert_true(crowd[i] >= 0);
		if (crowd[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				;
		}
	}
}

static void crowd_end(pid_t crowd[CROWD], const cpu_set_t *former)
{
	for (int i = 0; i < CROWD; i++) {
		kill(crowd[i], SIGKILL);
		waitpid(crowd[i], NULL, 0);
	}
	assert_ok(sched_setaffinity(0, sizeof(*former), former));
}

/* A process that works for so long, on the CPU that it is bound to, and fails then. */
static pid_t work_and_fail(int64_t cpu_ns)
{
	struct timespec ran = {0};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	while (ran.tv_sec * NSEC_PER_SEC + ran.tv_nsec < cpu_ns)
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ran);
	_exit(3);
}

/* It has little to do yet, but does not get to it: the machine is busy. */
static void test_closer_waits_for_a_cpu(void **state)
{
	struct world *w = *state;
	pid_t crowd[CROWD], pid;
	cpu_set_t former;
	struct pending *p;

	assert_ok(sched_getaffinity(0, sizeof(former), &former));
	crowd_begin(crowd);
	pid = work_and_fail(NSEC_PER_SEC / 100);
	p = open_by(w, "key", pid);
	close_by(p, pid);
	assert_ok(sched_setaffinity(0, sizeof(former), &former));
	ask(w, "key", 0);
	assert_false(stored(w, "key"));
	crowd_end(crowd, &former);
	waitpid(pid, NULL, 0);
	pending_unref(p);
}

static void test_settled_at_the_end(void **state)
{
	struct world *w = *state;
	struct pending *p = open_by(w, "key", getpid());

	close_by(p, getpid());
	pending_stop(w->t);
	assert_true(stored(w, "key"));
	pending_unref(p);
}

/* A child wrote and failed; who closes is well. */
static void test_one_of_two_writers_fails(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", getpid());

	pending_wrote(p, c.pid);
	assert_ok(pending_flush(p, c.pid)); /* closes early, lives on */
	child_exit(&c, 1);
	child_wait(&c);
	close_by(p, getpid());
	ask(w, "key", getpid());
	assert_false(stored(w, "key"));
	pending_unref(p);
}

/* One that was given a descriptor and did not write to it is no producer. */
static void test_a_bystander_fails(void **state)
{
	struct world *w = *state;
	struct child c = child_new();
	struct pending *p = open_by(w, "key", getpid());

	assert_ok(pending_flush(p, c.pid));
	child_exit(&c, 1);
	child_wait(&c);
	close_by(p, getpid());
	ask(w, "key", getpid());
	assert_true(stored(w, "key"));
	pending_unref(p);
}

static void test_listed(void **state)
{
	struct world *w = *state;
	struct pending *p = open_by(w, "key", getpid());
	struct pending_info info = {0};

	assert_ok(pending_list(w->t, STORE_ROOT_INO, add_info, &info));
	assert_string_equal(info.name, "key");
	assert_int_equal(info.size_bytes, 1);
	assert_int_equal(info.pid, getpid());
	assert_false(info.lingers);
	close_by(p, getpid());
	ask(w, "key", getpid());
	pending_unref(p);
	memset(&info, 0, sizeof(info));
	assert_ok(pending_list(w->t, STORE_ROOT_INO, add_info, &info));
	assert_string_equal(info.name, "");
}

/* ---- leases ---- */

static bool held(struct world *w, const char *name)
{
	struct store_lease lease;

	return store_lease_get(w->st, STORE_ROOT_INO, name, &lease) == 0;
}

static void test_lease_goes_with_the_value(void **state)
{
	struct world *w = *state;
	struct pending *p = open_by(w, "tmp", 0);

	assert_true(held(w, "tmp"));
	assert_ok(pending_rename(p, STORE_ROOT_INO, "key"));
	assert_false(held(w, "tmp"));
	assert_true(held(w, "key"));
	close_by(p, 0);
	pending_unref(p);
	assert_false(held(w, "key"));
	p = open_by(w, "key", 0);
	assert_ok(pending_detach(p));
	assert_false(held(w, "key"));
	close_by(p, 0);
	pending_unref(p);
	p = open_by(w, "dropped", 0);
	pending_drop(p);
	assert_false(held(w, "dropped"));
}

static void test_lease_of_another(void **state)
{
	struct world *w = *state;
	struct pending_args args = {
	    .branch = STORE_ROOT_INO, .name = "key", .truncate = true, .exclusive = true};
	struct pending *p;

	assert_ok(store_lease_acquire(w->st, STORE_ROOT_INO, "key", "me",
				      NSEC_PER_SEC * 60, NULL));
	assert_int_equal(pending_new(w->t, &args, &p), -EEXIST);
	p = open_by(w, "key", 0); /* without O_EXCL it goes on without */
	close_by(p, 0);
	pending_unref(p);
	assert_true(stored(w, "key"));
	assert_true(held(w, "key"));
}

static void test_owner_publishes_and_releases(void **state)
{
	struct world *w = *state;
	struct pending *p;

	assert_int_equal(begin(w, "key", 0, "me", &p), -ESTALE);
	assert_ok(store_lease_acquire(w->st, STORE_ROOT_INO, "key", "me",
				      NSEC_PER_SEC * 60, NULL));
	assert_int_equal(begin(w, "key", 0, "you", &p), -ESTALE);
	assert_ok(begin(w, "key", 0, "me", &p));
	assert_ok(store_staged_write(pending_staged(p), "x", 1, 0));
	close_by(p, 0);
	pending_unref(p);
	assert_true(stored(w, "key"));
	assert_false(held(w, "key"));
}

static void test_owner_has_lost_it(void **state)
{
	struct world *w = *state;
	struct pending *p;
	struct failure why;

	assert_ok(store_lease_acquire(w->st, STORE_ROOT_INO, "key", "me",
				      NSEC_PER_SEC * 60, NULL));
	assert_ok(begin(w, "key", 0, "me", &p));
	assert_ok(store_staged_write(pending_staged(p), "x", 1, 0));
	/* Released and taken again by the same one: it is another acquisition. */
	assert_ok(store_lease_release(w->st, STORE_ROOT_INO, "key", "me"));
	assert_ok(store_lease_acquire(w->st, STORE_ROOT_INO, "key", "me",
				      NSEC_PER_SEC * 60, NULL));
	assert_int_equal(pending_flush(p, 0), -ESTALE);
	release(p);
	pending_unref(p);
	assert_false(stored(w, "key"));
	assert_true(held(w, "key"));
	assert_ok(failure_get(pending_failures(w->t), STORE_ROOT_INO, "key", &why));
}

/* Nobody gets the lease from under a value that lingers. */
static void test_owner_is_fenced_while_it_lingers(void **state)
{
	struct world *w = *state;
	struct pending *p;

	assert_ok(store_lease_acquire(w->st, STORE_ROOT_INO, "key", "me",
				      NSEC_PER_SEC * 60, NULL));
	assert_ok(begin(w, "key", getpid(), "me", &p));
	assert_ok(store_staged_write(pending_staged(p), "x", 1, 0));
	close_by(p, getpid());
	store_lease_release(w->st, STORE_ROOT_INO, "key", "me");
	if (store_lease_acquire(w->st, STORE_ROOT_INO, "key", "you", NSEC_PER_SEC * 60,
				NULL) == 0)
		assert_true(stored(w, "key"));
	ask(w, "key", getpid());
	assert_true(stored(w, "key"));
	pending_unref(p);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_new, world_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_process_tells_its_end),
	    cmocka_unit_test(test_process_of_a_thread),
	    cmocka_unit_test(test_process_tells_all_of_a_text),
	    cmocka_unit_test(test_process_descends),
	    cmocka_unit_test(test_process_says_its_end),
	    cmocka_unit_test(test_producer_ends),
	    cmocka_unit_test(test_failures_keep_the_newest),
	    in_world(test_closer_fails_after_close),
	    in_world(test_closer_ends_well),
	    in_world(test_closer_does_not_wait),
	    in_world(test_nobody_asks),
	    in_world(test_left_by_its_closer),
	    in_world(test_left_by_a_thread),
	    in_world(test_times_of_a_directory),
	    cmocka_unit_test(test_times_never_go_back),
	    in_world(test_asked_without_waiting),
	    in_world(test_closer_waits_for_a_cpu),
	    in_world(test_settled_at_the_end),
	    in_world(test_one_of_two_writers_fails),
	    in_world(test_a_bystander_fails),
	    in_world(test_listed),
	    in_world(test_lease_goes_with_the_value),
	    in_world(test_lease_of_another),
	    in_world(test_owner_publishes_and_releases),
	    in_world(test_owner_has_lost_it),
	    in_world(test_owner_is_fenced_while_it_lingers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
