/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds DIR N P: what was closed is there.
 *
 * P processes each do N rounds: publish a value in one of five ways, close it,
 * and look for it in one of five ways at once. Then P pairs do N rounds in
 * which the second process looks as soon as the first has closed and said so
 * through a pipe. A round that does not find exactly what was written is a
 * miss; there may be none.
 */
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALUE_MAX = 64, NAME_MAX_LEN = 64 };

enum publish { FRESH, OVERWRITE, IN_PLACE, APPEND, RENAME, PUBLISH_COUNT };
enum look { LOOK_OPEN, LOOK_STAT, LOOK_ACCESS, LOOK_READDIR, LOOK_HELD_DIR, LOOK_COUNT };

static const char *const publish_name[] = {"fresh name", "overwrite", "in place",
					   "append", "rename over"};
static const char *const look_name[] = {"open", "stat", "access", "readdir",
					"openat through a held directory"};

struct tally {
	uint64_t rounds;
	uint64_t misses[PUBLISH_COUNT][LOOK_COUNT];
	char first[256]; /* the first miss, for the message */
};

struct job {
	uint64_t rounds;
	struct tally *tallies; /* one a process */
};

/* One process's key and what is published under it. */
struct key {
	unsigned int who;
	int held_dir;
	uint64_t round;
	enum publish how;
	char name[NAME_MAX_LEN];
	char value[VALUE_MAX];
	size_t len;
};

/* The key must exist for the ways that change what is there. */
static void publish(struct key *k)
{
	char tmp[NAME_MAX_LEN + 8];
	size_t old_len = k->len;
	int fd;

	switch (k->how) {
	case FRESH:
		if (unlink(k->name) < 0 && errno != ENOENT)
			fail_errno("unlink %s", k->name);
		snprintf(k->name, sizeof(k->name), "k%u.%llu", k->who,
			 (unsigned long long)k->round);
		fd = open_or_fail(k->name, O_WRONLY | O_CREAT | O_EXCL);
		break;
	case OVERWRITE:
		fd = open_or_fail(k->name, O_WRONLY | O_CREAT | O_TRUNC);
		break;
	case IN_PLACE:
		fd = open_or_fail(k->name, O_RDWR);
		break;
	case APPEND:
		fd = open_or_fail(k->name, O_WRONLY | O_APPEND);
		break;
	default:
		snprintf(tmp, sizeof(tmp), "%s.tmp", k->name);
		fd = open_or_fail(tmp, O_WRONLY | O_CREAT | O_TRUNC);
		break;
	}
	if (k->how == APPEND && old_len < VALUE_MAX - 1) {
		k->value[k->len++] = (char)('a' + k->round % 26);
		write_all(fd, k->value + old_len, 1, k->name);
	} else {
		/* Lengths differ from round to round: a stale size shows. */
		k->len = (size_t)snprintf(k->value, sizeof(k->value), "%u %llu %.*s",
					  k->who, (unsigned long long)k->round,
					  (int)(k->round % 13), "abcdefghijklm");
		if (ftruncate(fd, 0) < 0)
			fail_errno("ftruncate %s", k->name);
		write_all(fd, k->value, k->len, k->name);
	}
	close_or_fail(fd, k->name);
	if (k->how == RENAME && rename(tmp, k->name) < 0)
		fail_errno("rename %s", tmp);
}

static bool right_content(int fd, const struct key *k)
{
	char got[VALUE_MAX + 1];
	size_t len;

	if (fd < 0)
		return false;
	len = read_upto(fd, got, sizeof(got), k->name);
	close_or_fail(fd, k->name);
	return len == k->len && memcmp(got, k->value, len) == 0;
}

static bool listed(const struct key *k)
{
	DIR *dir = opendir(".");
	struct dirent *ent;
	bool found = false;

	if (!dir)
		fail_errno("opendir");
	while (!found && (ent = readdir(dir)))
		found = strcmp(ent->d_name, k->name) == 0;
	closedir(dir);
	return found;
}

static bool look(const struct key *k, enum look how)
{
	struct stat st;

	switch (how) {
	case LOOK_STAT:
		if (stat(k->name, &st) < 0 || (size_t)st.st_size != k->len)
			return false;
		break;
	case LOOK_ACCESS:
		if (access(k->name, R_OK) < 0)
			return false;
		break;
	case LOOK_READDIR:
		if (!listed(k))
			return false;
		break;
	case LOOK_HELD_DIR:
		return right_content(openat(k->held_dir, k->name, O_RDONLY), k);
	default:
		break;
	}
	return right_content(open(k->name, O_RDONLY), k);
}

static void check(struct tally *t, const struct key *k)
{
	enum look how = (enum look)(k->round / PUBLISH_COUNT % LOOK_COUNT);
	int err;

	errno = 0;
	t->rounds++;
	if (look(k, how))
		return;
	err = errno;
	if (!t->first[0])
		snprintf(t->first, sizeof(t->first),
			 "round %llu: %s, then %s: %s, wanted '%s'",
			 (unsigned long long)k->round, publish_name[k->how],
			 look_name[how], err ? strerror(err) : "other content", k->value);
	t->misses[k->how][how]++;
}

static void key_init(struct key *k, const char *phase, unsigned int who)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "%s%u", phase, who);
	need_dir(dir);
	if (chdir(dir) < 0)
		fail_errno("enter %s", dir);
	*k = (struct key){.who = who};
	k->held_dir = open(".", O_RDONLY | O_DIRECTORY);
	if (k->held_dir < 0)
		fail_errno("open %s", dir);
	publish(k); /* how is FRESH: the first value */
}

static void run_alone(unsigned int index, void *arg)
{
	const struct job *job = arg;
	struct key k;

	key_init(&k, "alone", index);
	for (k.round = 0; k.round < job->rounds; k.round++) {
		k.how = (enum publish)(k.round % PUBLISH_COUNT);
		publish(&k);
		check(&job->tallies[index], &k);
	}
}

static void reader(struct tally *t, int from, int to)
{
	struct key k;
	ssize_t n;
	int held_dir = open(".", O_RDONLY | O_DIRECTORY);

	if (held_dir < 0)
		fail_errno("open the directory");
	while ((n = read(from, &k, sizeof(k))) == (ssize_t)sizeof(k)) {
		k.held_dir = held_dir;
		check(t, &k);
		write_all(to, "", 1, "the pipe");
	}
	if (n != 0)
		fail("the writer sent %zd bytes", n);
}

/* The writer's half of a pair; its child is the reader. */
static void run_pair(unsigned int index, void *arg)
{
	const struct job *job = arg;
	int to_reader[2], to_writer[2];
	struct key k;
	char byte;
	pid_t pid;

	key_init(&k, "pair", index);
	if (pipe2(to_reader, O_CLOEXEC) < 0 || pipe2(to_writer, O_CLOEXEC) < 0)
		fail_errno("pipe");
	pid = fork();
	if (pid < 0)
		fail_errno("fork");
	if (pid == 0) {
		close(to_reader[1]);
		close(to_writer[0]);
		close(k.held_dir);
		reader(&job->tallies[index], to_reader[0], to_writer[1]);
		exit(0);
	}
	close(to_writer[1]);
	for (k.round = 0; k.round < job->rounds; k.round++) {
		k.how = (enum publish)(k.round % PUBLISH_COUNT);
		publish(&k);
		write_all(to_reader[1], &k, sizeof(k), "the pipe");
		if (read(to_writer[0], &byte, 1) != 1)
			fail("the reader of pair %u is gone", index);
	}
}

static void phase(const char *what, struct job *job, unsigned int count,
		  void (*run)(unsigned int, void *))
{
	int64_t begin = elapsed_ns(), took;
	uint64_t rounds = 0, misses = 0;
	const char *first = "";

	memset(job->tallies, 0, count * sizeof(*job->tallies));
	run_children(count, run, job);
	took = elapsed_ns() - begin;
	for (unsigned int i = 0; i < count; i++) {
		const struct tally *t = &job->tallies[i];

		rounds += t->rounds;
		for (int p = 0; p < PUBLISH_COUNT; p++)
			for (int l = 0; l < LOOK_COUNT; l++)
				misses += t->misses[p][l];
		if (t->first[0] && !*first)
			first = t->first;
	}
	printf("%s: %u x %llu rounds, %.1f us each, %llu misses\n", what, count,
	       (unsigned long long)job->rounds, (double)took / 1e3 / (double)job->rounds,
	       (unsigned long long)misses);
	if (misses)
		fail("%llu of %llu rounds missed; %s", (unsigned long long)misses,
		     (unsigned long long)rounds, first);
	if (rounds != job->rounds * count)
		fail("only %llu rounds were done", (unsigned long long)rounds);
}

int main(int argc, char **argv)
{
	struct job job;
	unsigned int count;

	if (argc != 4) {
		fprintf(stderr, "usage: rounds DIR ROUNDS PROCESSES\n");
		return 2;
	}
	job.rounds = arg_u64(argv[2], "ROUNDS", 1);
	count = (unsigned int)arg_u64(argv[3], "PROCESSES", 1);
	job.tallies = shared_memory(count * sizeof(*job.tallies));

	enter_scratch(argv[1], "rounds");
	phase("by the writer itself", &job, count, run_alone);
	phase("by another process", &job, count, run_pair);
	leave_scratch();
	return 0;
}
