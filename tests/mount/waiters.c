/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiters DIR flight N ROUNDS: N processes want one key that is missing. They read
 * it under view/wait, and whoever is told that it is missing tries to make it with
 * O_EXCL. Exactly one may compute, and all others read what it wrote.
 *
 * waiters DIR takeover N ROUNDS: the same, but the first to compute is killed in the
 * middle of writing while the others wait. Exactly one takes over; the reservation
 * of a descriptor has no end by time, so that only the event can have told it.
 *
 * waiters DIR many N KEYS MOUNT: N threads wait for KEYS keys, which another process
 * publishes. The daemon needs no thread for them, all read the right bytes, and it
 * is printed how long the last of them took.
 *
 * DIR is a directory in a mount, MOUNT the mount's root.
 */
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_VIEW ".memofs/view/wait/"

enum { VALUE_SIZE = 200 * 1000, HALF = VALUE_SIZE / 2 };

static uint8_t value[VALUE_SIZE];

/* ---- one computes ---- */

struct flight {
	unsigned int count;
	bool kill_first;
	/* Of the round: */
	char key[32];
	int gate; /* closed by the parent: all begin */
	_Atomic unsigned int *begun, *computed, *read, *arrived;
};

/* -1: it is missing; else all of it was read and is right. */
static int read_waiting(const struct flight *f, uint64_t seed)
{
	char path[64];
	uint8_t *got = malloc(VALUE_SIZE + 1);
	int fd;
	size_t len;

	snprintf(path, sizeof(path), WAIT_VIEW "%s", f->key);
	fd = open(path, O_RDONLY);
	if (fd < 0 && errno != ENOENT)
		fail_errno("open %s", path);
	if (fd < 0) {
		free(got);
		return -1;
	}
	len = read_upto(fd, got, VALUE_SIZE + 1, path);
	if (len != VALUE_SIZE)
		fail("%s: %zu bytes of %d", path, len, VALUE_SIZE);
	check_pattern(got, len, 0, seed, path);
	close_or_fail(fd, path);
	free(got);
	return 0;
}

static bool is_first(const struct flight *f)
{
	return atomic_fetch_add(f->begun, 1) == 0;
}

/* False: somebody else does. */
static bool compute(const struct flight *f)
{
	int fd = open(f->key, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 && errno != EEXIST)
		fail_errno("create %s", f->key);
	if (fd < 0)
		return false;
	write_all(fd, value, HALF, f->key);
	if (is_first(f) && f->kill_first) {
		/* All others have been told that it is missing, or are to come. */
		while (atomic_load(f->arrived) < f->count)
			sleep_ns(NSEC_PER_SEC / 1000);
		sleep_ns(NSEC_PER_SEC / 50); /* most are waiting then */
		kill(getpid(), SIGKILL);
	}
	write_all(fd, value + HALF, VALUE_SIZE - HALF, f->key);
	atomic_fetch_add(f->computed, 1);
	close_or_fail(fd, f->key);
	return true;
}

static void fly(const struct flight *f, uint64_t seed)
{
	char byte;

	if (read(f->gate, &byte, 1) != 0)
		fail("the gate is not closed");
	atomic_fetch_add(f->arrived, 1);
	while (read_waiting(f, seed))
		if (compute(f))
			return;
	atomic_fetch_add(f->read, 1);
}

/* All children have ended; `killed` of them by SIGKILL. */
static void await_children(unsigned int count, unsigned int killed, const char *key)
{
	unsigned int seen = 0;
	int status;

	while (count--) {
		if (wait(&status) < 0)
			fail_errno("wait");
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			seen++;
		else if (status)
			fail("%s: a process ended with %d", key, status);
	}
	if (seen != killed)
		fail("%s: %u were killed instead of %u", key, seen, killed);
}

static void fly_round(struct flight *f, unsigned int round)
{
	unsigned int killed = f->kill_first, readers = f->count - 1 - killed;
	int ends[2];

	snprintf(f->key, sizeof(f->key), "key%u", round);
	fill_pattern(value, VALUE_SIZE, 0, round);
	atomic_store(f->begun, 0);
	atomic_store(f->computed, 0);
	atomic_store(f->read, 0);
	atomic_store(f->arrived, 0);
	if (pipe(ends))
		fail_errno("pipe");
	f->gate = ends[0];
	for (unsigned int i = 0; i < f->count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail_errno("fork");
		if (pid == 0) {
			close(ends[1]);
			fly(f, round);
			_exit(0);
		}
	}
	close(ends[1]);
	await_children(f->count, killed, f->key);
	close(ends[0]);
	if (atomic_load(f->computed) != 1 || atomic_load(f->read) != readers)
		fail("%s: %u computed it, %u read it, of %u", f->key,
		     atomic_load(f->computed), atomic_load(f->read), f->count);
}

static void run_flight(unsigned int count, unsigned int rounds, bool kill_first)
{
	_Atomic unsigned int *shared = shared_memory(4 * sizeof(*shared));
	struct flight f = {
	    .count = count,
	    .kill_first = kill_first,
	    .begun = &shared[0],
	    .computed = &shared[1],
	    .read = &shared[2],
	    .arrived = &shared[3],
	};

	for (unsigned int round = 0; round < rounds; round++)
		fly_round(&f, round);
	printf("%u rounds: of %u processes one computed%s, %u read it\n", rounds, count,
	       kill_first ? ", after one that was killed" : "", count - 1 - kill_first);
}

/* ---- many wait ---- */

enum { SMALL_SIZE = 4096, STACK_SIZE = 64 * 1024 };

struct crowd {
	const char *root; /* of the mount */
	unsigned int keys;
	_Atomic unsigned int ended;
	_Atomic int64_t last_ns;
};

struct member {
	struct crowd *crowd;
	unsigned int key;
	pthread_t thread;
};

static void *wait_and_read(void *arg)
{
	struct member *m = arg;
	uint8_t got[SMALL_SIZE + 1];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), WAIT_VIEW "many%u", m->key);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		fail_errno("open %s", path);
	if (read_upto(fd, got, sizeof(got), path) != SMALL_SIZE)
		fail("%s: not the whole", path);
	check_pattern(got, SMALL_SIZE, 0, m->key, path);
	close_or_fail(fd, path);
	atomic_store(&m->crowd->last_ns, elapsed_ns());
	atomic_fetch_add(&m->crowd->ended, 1);
	return NULL;
}

static unsigned int threads_of(pid_t pid)
{
	char path[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		fail_errno("%s", path);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

/*
 * The child: writes all keys, says so, and closes them when it is told to. Gives
 * back the moment before the first close.
 */
static void produce(unsigned int keys, int to_parent, int from_parent, int64_t *ret_ns)
{
	uint8_t data[SMALL_SIZE];
	int *fds = calloc(keys, sizeof(*fds));
	char name[32], byte = 0;

	for (unsigned int i = 0; i < keys; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		fds[i] = open_or_fail(name, O_WRONLY | O_CREAT | O_EXCL);
		fill_pattern(data, SMALL_SIZE, 0, i);
		write_all(fds[i], data, SMALL_SIZE, name);
	}
	write_all(to_parent, &byte, 1, "pipe");
	if (read(from_parent, &byte, 1) != 1)
		fail("the parent is gone");
	*ret_ns = elapsed_ns();
	for (unsigned int i = 0; i < keys; i++)
		close_or_fail(fds[i], "key");
	_exit(0);
}

/* How many opens the daemon keeps. */
static unsigned int waiting_opens(const char *root)
{
	char path[512], line[256];
	unsigned int count = 0;
	FILE *status;

	snprintf(path, sizeof(path), "%s/.memofs/status", root);
	status = fopen(path, "r");
	if (!status)
		fail_errno("%s", path);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "waiting_opens: %u", &count);
	fclose(status);
	return count;
}

static struct member *gather(struct crowd *c, unsigned int count)
{
	struct member *members = calloc(count, sizeof(*members));
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (unsigned int i = 0; i < count; i++) {
		members[i].crowd = c;
		members[i].key = i % c->keys;
		errno =
		    pthread_create(&members[i].thread, &attr, wait_and_read, &members[i]);
		if (errno)
			fail_errno("a thread");
	}
	pthread_attr_destroy(&attr);
	while (waiting_opens(c->root) < count)
		sleep_ns(NSEC_PER_SEC / 100);
	return members;
}

static void run_many(const char *root, unsigned int count, unsigned int keys)
{
	int64_t *published_ns = shared_memory(sizeof(*published_ns));
	pid_t daemon = daemon_pid("."), child;
	struct crowd crowd = {.root = root, .keys = keys};
	unsigned int before, during;
	struct member *members;
	int up[2], down[2];
	char byte;

	if (pipe(up) || pipe(down))
		fail_errno("pipe");
	child = fork();
	if (child < 0)
		fail_errno("fork");
	if (child == 0)
		produce(keys, up[1], down[0], published_ns);
	if (read(up[0], &byte, 1) != 1)
		fail("the producer is gone");
	before = threads_of(daemon);
	members = gather(&crowd, count);
	during = threads_of(daemon);
	if (during != before)
		fail("the daemon has %u threads, and had %u", during, before);
	if (atomic_load(&crowd.ended))
		fail("somebody has read what is not published");
	write_all(down[1], &byte, 1, "pipe");
	for (unsigned int i = 0; i < count; i++)
		pthread_join(members[i].thread, NULL);
	await_children(1, 0, "the producer");
	printf("%u waiters on %u keys, %u threads of the daemon as before: the last had "
	       "read %.1f ms after the first of the closes (Flyte looks every 10 s)\n",
	       count, keys, during,
	       (double)(atomic_load(&crowd.last_ns) - *published_ns) / 1e6);
	free(members);
}

int main(int argc, char **argv)
{
	unsigned int n, m;

	if (argc != (argc > 2 && strcmp(argv[2], "many") == 0 ? 6 : 5)) {
		fprintf(stderr, "usage: waiters DIR flight|takeover N ROUNDS\n"
				"       waiters DIR many N KEYS MOUNT\n");
		return 2;
	}
	n = (unsigned int)arg_u64(argv[3], "N", 3);
	m = (unsigned int)arg_u64(argv[4], "ROUNDS or KEYS", 1);
	enter_scratch(argv[1], "waiters");
	if (strcmp(argv[2], "many") == 0)
		run_many(argv[5], n, m);
	else
		run_flight(n, m, strcmp(argv[2], "takeover") == 0);
	leave_scratch();
	return 0;
}
