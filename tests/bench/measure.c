/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure WORK [--count N] [--of N] [--bytes N] [--threads N|--processes N]
 *         [--server PID]... DIR|SOCKET
 *
 * One kind of work in one directory, or on the Redis server behind a socket, once.
 * Prints a line for each thing that was measured: its name, the seconds it took, how
 * many operations (or bytes) that were, and the processor seconds of this program and
 * of the servers. suite.sh calls it in turns; measure.h says how it measures.
 */
#include "measure.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../mount/prog.h"

enum { WORKERS_MAX = 256, SETTLE_MS = 10 };

struct measure measure = {.count = 1000, .of = 1000, .bytes = 4096, .workers = 1};

/* In memory that processes share. */
static struct shared {
	pthread_barrier_t ready;
	struct {
		int64_t begin_ns, end_ns, processor_ns;
	} of[WORKERS_MAX];
} * shared;

struct task {
	void (*ready)(unsigned int worker);
	void (*run)(unsigned int worker);
	unsigned int worker;
};

/* ---- names ---- */

void entry_name(char ret_name[NAME_SIZE], uint64_t i)
{
	snprintf(ret_name, NAME_SIZE, "result-%08u", (unsigned int)i);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

uint64_t scattered(uint64_t i)
{
	uint64_t step = measure.of * 5 / 8 + 1;

	/* Without a common divisor the steps come to every number. */
	while (common_divisor(step, measure.of) != 1)
		step++;
	return i % measure.of * step % measure.of;
}

/* ---- processor time ---- */

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		fail_errno("read a processor clock");
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* Of all servers since they began, with the threads of theirs that have ended. */
static int64_t servers_ns(void)
{
	int64_t sum = 0;
	clockid_t clock;

	for (unsigned int i = 0; i < measure.server_count; i++) {
		if (clock_getcpuclockid(measure.servers[i], &clock) != 0)
			fail("there is no process %d", (int)measure.servers[i]);
		sum += clock_ns(clock);
	}
	return sum;
}

/* ---- workers ---- */

static void work(const struct task *t)
{
	int64_t processor_ns;

	if (t->ready)
		t->ready(t->worker);
	pthread_barrier_wait(&shared->ready);
	/* The parent has read the servers' clocks between the two. */
	pthread_barrier_wait(&shared->ready);
	processor_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	shared->of[t->worker].begin_ns = elapsed_ns();
	t->run(t->worker);
	shared->of[t->worker].end_ns = elapsed_ns();
	shared->of[t->worker].processor_ns =
	    clock_ns(CLOCK_THREAD_CPUTIME_ID) - processor_ns;
}

static void *work_in_thread(void *task)
{
	work(task);
	return NULL;
}

void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail_errno("waitpid");
	/* It has said why. The others end with this process. */
	if (status != 0)
		exit(1);
}

pid_t fork_bound(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail_errno("fork");
	if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		fail_errno("prctl");
	return pid;
}

/* A thread for each worker; with processes, the thread stands for one. */
static void *watch_processes(void *task)
{
	struct task *t = task;
	pid_t pid = fork_bound();

	if (pid == 0) {
		work(t);
		_exit(0);
	}
	wait_for(pid);
	return NULL;
}

static void make_shared(void)
{
	pthread_barrierattr_t attr;

	if (!shared)
		shared = shared_memory(sizeof(*shared));
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (pthread_barrier_init(&shared->ready, &attr, measure.workers + 1) != 0)
		fail("a barrier cannot be made");
	pthread_barrierattr_destroy(&attr);
}

static void sum_up(const char *name, uint64_t operations, int64_t processor_ns)
{
	int64_t begin = shared->of[0].begin_ns, end = shared->of[0].end_ns;

	for (unsigned int i = 0; i < measure.workers; i++) {
		if (shared->of[i].begin_ns < begin)
			begin = shared->of[i].begin_ns;
		if (shared->of[i].end_ns > end)
			end = shared->of[i].end_ns;
		processor_ns += shared->of[i].processor_ns;
	}
	print_result(name, (double)(end - begin) / 1e9, operations * measure.workers,
		     (double)processor_ns / 1e9);
}

void run_workers(const char *name, uint64_t operations,
		 void (*ready)(unsigned int worker), void (*run)(unsigned int worker))
{
	struct task tasks[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX];
	int64_t before_ns;

	make_shared();
	for (unsigned int i = 0; i < measure.workers; i++) {
		tasks[i] = (struct task){ready, run, i};
		if (pthread_create(&threads[i], NULL,
				   measure.processes ? watch_processes : work_in_thread,
				   &tasks[i]) != 0)
			fail("a thread cannot be made");
	}
	pthread_barrier_wait(&shared->ready);
	before_ns = servers_ns();
	pthread_barrier_wait(&shared->ready);
	for (unsigned int i = 0; i < measure.workers; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&shared->ready);
	/* What a server does behind the last answer is its work, too. */
	if (measure.server_count)
		sleep_ns(SETTLE_MS * 1000000);
	sum_up(name, operations, servers_ns() - before_ns);
}

void print_result(const char *name, double seconds, uint64_t operations,
		  double processor_seconds)
{
	printf("%s %.9f %ju %.9f\n", name, seconds, (uintmax_t)operations,
	       processor_seconds);
	fflush(stdout);
}

/* ---- waiting ---- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void signal_pipe(int fd)
{
	if (write(fd, "", 1) != 1)
		fail_errno("write to a pipe");
}

static void await_pipe(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		fail("the other process has ended");
}

struct turn {
	int64_t given_ns, received_ns; /* shared with the processes below */
	int prepared[2], go[2], listening[2];
};

static pid_t start_writer(const struct waiting *w, struct turn *t, unsigned int i)
{
	pid_t pid = fork_bound();

	if (pid)
		return pid;
	w->prepare(i);
	signal_pipe(t->prepared[1]);
	await_pipe(t->go[0]);
	t->given_ns = elapsed_ns();
	w->give(i);
	/* Ends with it, as a command does that has made a result. */
	_exit(0);
}

static pid_t start_reader(const struct waiting *w, struct turn *t, unsigned int i)
{
	pid_t pid = fork_bound();

	if (pid)
		return pid;
	w->listen(i);
	signal_pipe(t->listening[1]);
	w->receive(i);
	t->received_ns = elapsed_ns();
	_exit(0);
}

static double one_turn(const struct waiting *w, struct turn *t, unsigned int i)
{
	pid_t writer = start_writer(w, t, i), reader;

	await_pipe(t->prepared[0]);
	reader = start_reader(w, t, i);
	await_pipe(t->listening[0]);
	/* It says so before it sleeps; too early is no fault, it is then not slept. */
	sleep_ns(5000000);
	signal_pipe(t->go[1]);
	wait_for(reader);
	wait_for(writer);
	return (double)(t->received_ns - t->given_ns) / 1e9;
}

void run_waiting(const struct waiting *w)
{
	struct turn *t = shared_memory(sizeof(*t));
	double *seconds = calloc(measure.count, sizeof(*seconds));
	int64_t before_ns;

	if (!seconds || pipe2(t->prepared, O_CLOEXEC) < 0 ||
	    pipe2(t->go, O_CLOEXEC) < 0 || pipe2(t->listening, O_CLOEXEC) < 0)
		fail_errno("prepare to wait");
	before_ns = servers_ns();
	for (unsigned int i = 0; i < measure.count; i++)
		seconds[i] = one_turn(w, t, i);
	qsort(seconds, measure.count, sizeof(*seconds), compare_doubles);
	print_result("wait", seconds[measure.count / 2], 1,
		     (double)(servers_ns() - before_ns) / 1e9 / (double)measure.count);
	free(seconds);
}

/* ---- the command line ---- */

static const struct work {
	const char *name;
	void (*run)(void);	 /* in a directory, or NULL */
	void (*run_redis)(void); /* or NULL */
} works[] = {
    {"prepare", work_prepare, redis_prepare},
    {"prepare-large", work_prepare_large, NULL},
    {"meta", work_meta, NULL},
    {"publish", work_publish, NULL},
    {"fsync", work_fsync, NULL},
    {"hit", work_hit, redis_hit},
    {"stat", work_stat, NULL},
    {"absent", work_absent, NULL},
    {"attr", work_attr, NULL},
    {"write", work_write, NULL},
    {"write-fsync", work_write_fsync, NULL},
    {"read", work_read, NULL},
    {"list", work_list, NULL},
    {"list-stat", work_list_stat, NULL},
    {"wait", work_wait, redis_wait},
};

static noreturn void usage(void)
{
	fprintf(stderr,
		"usage: measure WORK [--count N] [--of N] [--bytes N] [--threads N]\n"
		"       [--processes N] [--server PID]... DIR|SOCKET\nworks:");
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		fprintf(stderr, " %s", works[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

static void add_server(const char *arg)
{
	if (measure.server_count == SERVERS_MAX)
		fail("--server: more than %d", SERVERS_MAX);
	measure.servers[measure.server_count++] = (pid_t)arg_u64(arg, "--server", 1);
}

static void set_workers(const char *arg, bool processes)
{
	uint64_t n = arg_u64(arg, processes ? "--processes" : "--threads", 1);

	if (n > WORKERS_MAX)
		fail("%s: more than %d", arg, WORKERS_MAX);
	measure.workers = (unsigned int)n;
	measure.processes = processes;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
	    {"count", required_argument, NULL, 'c'},
	    {"of", required_argument, NULL, 'o'},
	    {"bytes", required_argument, NULL, 'b'},
	    {"threads", required_argument, NULL, 't'},
	    {"processes", required_argument, NULL, 'p'},
	    {"server", required_argument, NULL, 's'},
	    {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			measure.count = arg_u64(optarg, "--count", 1);
			break;
		case 'o':
			measure.of = arg_u64(optarg, "--of", 1);
			break;
		case 'b':
			measure.bytes = arg_u64(optarg, "--bytes", 1);
			break;
		case 't':
			set_workers(optarg, false);
			break;
		case 'p':
			set_workers(optarg, true);
			break;
		case 's':
			add_server(optarg);
			break;
		default:
			usage();
		}
	}
	if (optind + 2 != argc)
		usage();
	measure.dir = argv[optind + 1];
}

static const struct work *find_work(const char *name)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, name) == 0)
			return &works[i];
	usage();
}

int main(int argc, char **argv)
{
	const struct work *w;
	struct stat st;

	parse(argc, argv);
	w = find_work(argv[optind]);
	if (stat(measure.dir, &st) < 0)
		fail_errno("%s", measure.dir);
	measure.value = malloc(measure.bytes + 8);
	if (!measure.value)
		fail("out of memory");
	fill_pattern(measure.value, measure.bytes / 8 * 8 + 8, 0, 1);
	if (S_ISSOCK(st.st_mode)) {
		if (!w->run_redis)
			fail("%s is not for a Redis server", w->name);
		w->run_redis();
		return 0;
	}
	if (chdir(measure.dir) < 0)
		fail_errno("enter %s", measure.dir);
	w->run();
	return 0;
}
