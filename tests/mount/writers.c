/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writers threads DIR N: four threads of one process open, write and close one
 * name, N times each, by every kind of open for writing. No call fails, and what
 * is published in between and at the end is what one of them wrote.
 *
 * writers rename DIR N: one thread closes a file while another renames it, N
 * times. Whichever comes first, it is published, under the new name alone.
 *
 * writers unlink DIR N: the same with a removal; nothing is left.
 */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WRITERS = 4, VALUE_BYTES = 64 };

/* ---- threads ---- */

struct writer {
	char letter;
	int flags;
	uint64_t rounds;
};

static void check_value(const char *name)
{
	char got[VALUE_BYTES + 1];
	int fd = open_or_fail(name, O_RDONLY);
	size_t len = read_upto(fd, got, sizeof(got), name);

	close_or_fail(fd, name);
	if (len == 0) /* two truncate it; what has been shared then is empty */
		return;
	if (len != VALUE_BYTES)
		fail("%s has %zu bytes", name, len);
	for (size_t i = 0; i < len; i++)
		if (got[i] != got[0] || got[i] < 'a' || got[i] >= 'a' + WRITERS)
			fail("%s is not one value: %.*s", name, VALUE_BYTES, got);
}

static void *write_rounds(void *arg)
{
	const struct writer *w = arg;
	char value[VALUE_BYTES];

	memset(value, w->letter, sizeof(value));
	for (uint64_t i = 0; i < w->rounds; i++) {
		int fd = open_or_fail("key", O_WRONLY | w->flags);

		write_all(fd, value, sizeof(value), "key");
		close_or_fail(fd, "key");
		if (i % 16 == 0)
			check_value("key");
	}
	return NULL;
}

static void run_threads(uint64_t rounds)
{
	static const int flags[WRITERS] = {0, O_TRUNC, O_CREAT, O_CREAT | O_TRUNC};
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];

	put_file("key",
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 VALUE_BYTES);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){(char)('a' + i), flags[i], rounds};
		if (pthread_create(&threads[i], NULL, write_rounds, &writers[i]))
			fail("cannot start a thread");
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	check_value("key");
}

/* ---- a close against a change of the name ---- */

struct closer {
	int fd;
	pthread_barrier_t start;
};

static void *close_it(void *arg)
{
	struct closer *c = arg;

	pthread_barrier_wait(&c->start);
	close_or_fail(c->fd, "from");
	return NULL;
}

static void must_be_absent(const char *name)
{
	if (access(name, F_OK) == 0)
		fail("%s is there", name);
	if (errno != ENOENT)
		fail_errno("access %s", name);
}

/* Begin a file and close it in another thread, while `change` is called here. */
static void race_close(void (*change)(void))
{
	struct closer c = {.fd = open_or_fail("from", O_CREAT | O_EXCL | O_WRONLY)};
	pthread_t thread;

	write_all(c.fd, "data", 4, "from");
	pthread_barrier_init(&c.start, NULL, 2);
	if (pthread_create(&thread, NULL, close_it, &c))
		fail("cannot start a thread");
	pthread_barrier_wait(&c.start);
	change();
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&c.start);
	must_be_absent("from");
}

static void rename_it(void)
{
	if (rename("from", "to") < 0)
		fail_errno("rename from to");
}

static void unlink_it(void)
{
	if (unlink("from") < 0)
		fail_errno("unlink from");
}

static void run_rename(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		char got[8];
		int fd;

		race_close(rename_it);
		fd = open_or_fail("to", O_RDONLY);
		if (read_upto(fd, got, sizeof(got), "to") != 4 || memcmp(got, "data", 4))
			fail("to does not have what was written");
		close_or_fail(fd, "to");
		if (unlink("to") < 0)
			fail_errno("unlink to");
	}
}

static void run_unlink(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		race_close(unlink_it);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(uint64_t rounds);
	} runs[] = {
	    {"threads", run_threads},
	    {"rename", run_rename},
	    {"unlink", run_unlink},
	};

	for (size_t i = 0; argc == 4 && i < sizeof(runs) / sizeof(runs[0]); i++) {
		if (strcmp(argv[1], runs[i].name) != 0)
			continue;
		enter_scratch(argv[2], "writers");
		runs[i].run(arg_u64(argv[3], "N", 1));
		leave_scratch();
		return 0;
	}
	fprintf(stderr, "usage: writers threads|rename|unlink DIR N\n");
	return 2;
}
