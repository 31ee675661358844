/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survive DIR ROUNDS PAUSE_MS [SEED] [-- COMMAND ARG...]: the daemon is killed again and
 * again, up to PAUSE_MS after it has answered, while readers, writers, waiters, listers
 * and others are at work in DIR. No system call of theirs may fail, nothing that was
 * acknowledged may be lost, and no reader may see a mix. Printed is what was done, and
 * how long it took from each kill to the first answer of the next daemon.
 *
 * With a COMMAND the daemon is not killed: the command is run, with the round as its last
 * argument, and has to bring another daemon about and to succeed. Printed too is how long
 * nobody was answered meanwhile.
 *
 * DIR/many, if it is there, is what the listers list; nobody changes it.
 *
 * Key k has versions 1, 2, …, each with bytes that tell k, version and place. One writer
 * has it, so what it shows is at least what was closed before the look, and at most what
 * was begun before its end.
 */
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	READERS = 5,
	WRITERS = 5,
	NAMERS = 2,
	PAIRS = 2, /* of one who waits, and one who makes what it waits for */
	LISTERS = 2,
	CHILDREN = 1 + READERS + WRITERS + NAMERS + 2 * PAIRS + LISTERS,
	KEYS = 40,
	SIZE_MAX_BYTES = 400 * 1000,
	ROUNDS_MAX = 10000,
};

enum work { READ, HELD, MAPPED, WROTE, SYNCED, APPENDED, NAMED, WAITED, LISTED, WORKS };

static const char *const work_names[WORKS] = {"read",	 "held",    "mapped",
					      "written", "synced",  "appended",
					      "named",	 "awaited", "listed"};

struct pair {
	_Atomic uint64_t reserved, made, got; /* rounds */
};

/* What all of them share. */
struct common {
	_Atomic bool stop;
	_Atomic uint64_t done[WORKS];
	struct {
		_Atomic uint64_t begun, closed; /* versions */
	} keys[KEYS];
	struct pair pairs[PAIRS];
	int64_t took_ns[ROUNDS_MAX], gap_ns[ROUNDS_MAX];
};

static struct common *common;
static char **command; /* with room for the round; NULL: kill */
static uint64_t rounds, pause_ms, seed, listed_names;
static uint8_t *buffer; /* of SIZE_MAX_BYTES + 8 */

static uint64_t pick(uint64_t sides)
{
	return next_random(&seed) % sides;
}

static void did(enum work what)
{
	atomic_fetch_add(&common->done[what], 1);
}

static void doze(uint64_t most_ms)
{
	sleep_ns((int64_t)pick(most_ms * 1000 + 1) * 1000);
}

/* ---- values ---- */

static uint64_t value_seed(uint64_t key, uint64_t version)
{
	return (key + 1) * UINT64_C(1000003) + (version << 24);
}

static size_t value_size(uint64_t key, uint64_t version)
{
	uint64_t state = value_seed(key, version);
	uint64_t n = next_random(&state);

	return 8 + (n % 4 == 0 ? n % SIZE_MAX_BYTES : n % 4 == 1 ? n % 20000 : n % 600);
}

static void value_make(uint64_t key, uint64_t version, uint8_t *data)
{
	memcpy(data, &version, 8);
	fill_pattern(data + 8, value_size(key, version) - 8, 8, value_seed(key, version));
}

/* Some bytes of it; which version is told by the first eight. */
static void value_check(uint64_t key, uint64_t version, const uint8_t *data, size_t len,
			const char *what)
{
	char text[100];

	snprintf(text, sizeof(text), "%s: key %" PRIu64 " version %" PRIu64, what, key,
		 version);
	if (len != value_size(key, version))
		fail("%s: %zu bytes, not %zu", text, len, value_size(key, version));
	if (memcmp(data, &version, 8) != 0)
		fail("%s: has become another", text);
	check_pattern(data + 8, len - 8, 8, value_seed(key, version), text);
}

static const char *key_name(uint64_t key)
{
	static char name[32];

	snprintf(name, sizeof(name), "keys/%" PRIu64, key);
	return name;
}

/* Which version it is, that must be one of what there was meanwhile. */
static uint64_t version_of(uint64_t key, const uint8_t *data, uint64_t closed_before)
{
	uint64_t version;

	memcpy(&version, data, 8);
	if (version < closed_before || version > common->keys[key].begun)
		fail("key %" PRIu64 ": version %" PRIu64 ", but %" PRIu64
		     " was closed before and %" PRIu64 " is the last",
		     key, version, closed_before, (uint64_t)common->keys[key].begun);
	return version;
}

/* ---- readers ---- */

/* Again and again from one descriptor, whatever happens to the name. */
static void hold(int fd, uint64_t key, uint64_t version)
{
	size_t size = value_size(key, version);

	for (unsigned int i = 0; i < 20 && !common->stop; i++) {
		size_t off = pick(size / 8 + 1) * 8, len = 0;
		ssize_t n;

		while (len < size - off &&
		       (n = pread(fd, buffer + off + len, size - off - len,
				  (off_t)(off + len))) != 0) {
			if (n < 0)
				fail_errno("pread %s", key_name(key));
			len += (size_t)n;
		}
		if (len != size - off)
			fail("key %" PRIu64 ": cut short while it was open", key);
		value_check(key, version, buffer, size, "held");
		doze(100);
	}
	did(HELD);
}

static void read_mapped(int fd, uint64_t key, uint64_t closed_before)
{
	struct stat st;
	uint8_t *data;

	if (fstat(fd, &st))
		fail_errno("fstat %s", key_name(key));
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		fail_errno("mmap %s", key_name(key));
	value_check(key, version_of(key, data, closed_before), data, (size_t)st.st_size,
		    "mapped");
	munmap(data, (size_t)st.st_size);
	did(MAPPED);
}

static size_t read_in_pieces(int fd, const char *name)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, buffer + len, 1 + pick(SIZE_MAX_BYTES - len + 8));

		if (n < 0)
			fail_errno("read %s", name);
		len += (size_t)n;
		if (n == 0)
			return len;
		if (pick(20) == 0)
			doze(30);
	}
}

static void read_key(uint64_t key)
{
	uint64_t closed = common->keys[key].closed, version;
	int fd = open(key_name(key), O_RDONLY);
	size_t len;

	if (fd < 0 && errno == ENOENT && !closed)
		return;
	if (fd < 0)
		fail_errno("open %s", key_name(key));
	if (pick(8) == 0) {
		read_mapped(fd, key, closed);
	} else {
		len = read_in_pieces(fd, key_name(key));
		if (len < 8)
			fail("%s has %zu bytes", key_name(key), len);
		version = version_of(key, buffer, closed);
		value_check(key, version, buffer, len, "read");
		did(READ);
		if (pick(10) == 0)
			hold(fd, key, version);
	}
	close_or_fail(fd, key_name(key));
}

static void reader(unsigned int index)
{
	while (!common->stop)
		read_key(pick(KEYS));
}

/* ---- writers ---- */

static void check_own(uint64_t key, uint64_t version)
{
	int fd = open_or_fail(key_name(key), O_RDONLY);
	size_t len = read_upto(fd, buffer, SIZE_MAX_BYTES + 8, key_name(key));

	value_check(key, version, buffer, len, "read after close");
	close_or_fail(fd, key_name(key));
}

/* What was acknowledged can be read back, before anything is published. */
static void look_back(int fd, const uint8_t *data, size_t len, const char *name)
{
	static uint8_t got[SIZE_MAX_BYTES + 8];

	if (pread(fd, got, len, 0) != (ssize_t)len || memcmp(got, data, len) != 0)
		fail("%s: what was written cannot be read back", name);
}

static void write_in_pieces(int fd, const uint8_t *data, size_t len, const char *name)
{
	uint64_t pieces = 1 + pick(12);
	size_t off = 0;

	while (off < len) {
		size_t n = 1 + pick(2 * len / pieces + 1);

		if (n > len - off)
			n = len - off;
		write_all(fd, data + off, n, name);
		off += n;
		if (pick(6) == 0)
			look_back(fd, data, off, name);
		if (pick(6) == 0 && ftruncate(fd, (off_t)len))
			fail_errno("ftruncate %s", name);
		if (pick(10) == 0) {
			if (fsync(fd))
				fail_errno("fsync %s", name);
			did(SYNCED);
		}
		if (pick(4) == 0)
			doze(40);
	}
}

/* Where it stays, or beside it and then over it. */
static void write_key(uint64_t key)
{
	uint64_t version = common->keys[key].closed + 1;
	size_t len = value_size(key, version);
	bool aside = pick(3) == 0;
	char name[64];
	int fd;

	snprintf(name, sizeof(name), aside ? "%s.tmp" : "%s", key_name(key));
	value_make(key, version, buffer);
	common->keys[key].begun = version;
	fd = open_or_fail(name, O_RDWR | O_CREAT | O_TRUNC);
	write_in_pieces(fd, buffer, len, name);
	if (pick(4) == 0 && fchmod(fd, 0640))
		fail_errno("fchmod %s", name);
	close_or_fail(fd, name);
	if (aside && rename(name, key_name(key)))
		fail_errno("rename %s", name);
	common->keys[key].closed = version;
	check_own(key, version);
	did(WROTE);
}

/* A file that grows by what is appended in one open each. */
static uint64_t append(const char *name, uint64_t have)
{
	size_t len = 8 * (1 + pick(500));
	struct stat st;
	int fd;

	if (have > 200 * 1000)
		have = 0;
	fd = open(name, O_WRONLY | O_CREAT | (have ? O_APPEND : O_TRUNC), 0644);
	if (fd < 0)
		fail_errno("open %s", name);
	fill_pattern(buffer, len, have, 7);
	write_all(fd, buffer, len / 2, name);
	doze(10);
	write_all(fd, buffer + len / 2, len - len / 2, name);
	close_or_fail(fd, name);
	have += len;
	if (stat(name, &st))
		fail_errno("stat %s", name);
	if ((uint64_t)st.st_size != have)
		fail("%s: %lld bytes after appending, not %" PRIu64, name,
		     (long long)st.st_size, have);
	fd = open_or_fail(name, O_RDONLY);
	if (read_upto(fd, buffer, SIZE_MAX_BYTES, name) != have)
		fail("%s: cut short", name);
	check_pattern(buffer, have, 0, 7, name);
	close_or_fail(fd, name);
	did(APPENDED);
	return have;
}

static void writer(unsigned int index)
{
	uint64_t appended = 0;
	char name[32];

	snprintf(name, sizeof(name), "appended%u", index);
	while (!common->stop) {
		write_key(index + WRITERS * pick(KEYS / WRITERS));
		if (pick(4) == 0)
			appended = append(name, appended);
	}
	for (uint64_t key = index; key < KEYS; key += WRITERS)
		if (common->keys[key].closed)
			check_own(key, common->keys[key].closed);
}

/* ---- names ---- */

static void ok(int r, const char *what)
{
	if (r)
		fail_errno("%s", what);
}

static void refused(int r, int errnum, const char *what)
{
	if (!r)
		fail("%s: should have failed with \"%s\"", what, strerror(errnum));
	if (errno != errnum)
		fail_errno("%s: not \"%s\"", what, strerror(errnum));
}

static void name_files(void)
{
	char target[16] = "";
	struct stat st;

	put_file("x/f", "content", 7);
	refused(rmdir("x"), ENOTEMPTY, "rmdir of what is not empty");
	ok(rename("x/f", "x/g"), "rename of a file");
	refused(stat("x/f", &st), ENOENT, "stat of what was renamed");
	ok(symlink("x/g", "link"), "symlink");
	refused(symlink("x/g", "link"), EEXIST, "symlink again");
	if (readlink("link", target, sizeof(target)) != 3 || strcmp(target, "x/g") != 0)
		fail("readlink: \"%s\"", target);
	ok(setxattr("x/g", "user.some", "1", 1, XATTR_CREATE), "setxattr");
	refused(setxattr("x/g", "user.some", "1", 1, XATTR_CREATE), EEXIST,
		"setxattr again");
	ok(removexattr("x/g", "user.some"), "removexattr");
	refused(removexattr("x/g", "user.some"), ENODATA, "removexattr again");
	ok(setxattr("x/g", "user.cache.reservation", "me 60", 5, 0), "reserve");
	ok(setxattr("x/g", "user.cache.reservation", "me 0", 4, 0), "release");
	ok(mknod("node", S_IFREG | 0600, 0), "mknod");
	refused(mknod("node", S_IFREG | 0600, 0), EEXIST, "mknod again");
	ok(unlink("node"), "unlink of a node");
	ok(unlink("link"), "unlink of a symlink");
}

static void name_directories(void)
{
	struct stat st;

	ok(mkdir("x", 0755), "mkdir");
	refused(mkdir("x", 0755), EEXIST, "mkdir again");
	name_files();
	ok(rename("x", "y"), "rename of a directory");
	refused(rename("x", "y"), ENOENT, "rename again");
	ok(stat("y/g", &st), "stat below what was renamed");
	ok(unlink("y/g"), "unlink");
	refused(unlink("y/g"), ENOENT, "unlink again");
	ok(rmdir("y"), "rmdir");
	refused(rmdir("y"), ENOENT, "rmdir again");
	did(NAMED);
}

static void namer(unsigned int index)
{
	char name[32];

	snprintf(name, sizeof(name), "names%u", index);
	ok(mkdir(name, 0755), name);
	ok(chdir(name), name);
	while (!common->stop)
		name_directories();
}

/* ---- waiters ---- */

/* The other one is at that round, or will never be: then false. */
static bool reaches(_Atomic uint64_t *at, uint64_t round)
{
	while (*at < round) {
		if (common->stop)
			return false;
		sleep_ns(200 * 1000);
	}
	return true;
}

static void make_awaited(unsigned int index)
{
	struct pair *p = &common->pairs[index];
	char name[32];

	snprintf(name, sizeof(name), "awaited%u", index);
	for (uint64_t round = 1; !common->stop; round++) {
		int fd;

		if (round > 1)
			ok(unlink(name), "unlink of what was awaited");
		fd = open_or_fail(name, O_WRONLY | O_CREAT | O_EXCL);
		p->reserved = round;
		doze(60);
		write_all(fd, &round, sizeof(round), name);
		doze(60);
		close_or_fail(fd, name);
		if (!reaches(&p->got, round))
			return;
	}
}

static void await(unsigned int index)
{
	struct pair *p = &common->pairs[index];
	uint64_t got;
	char name[64];
	int fd;

	snprintf(name, sizeof(name), ".memofs/view/wait=120s/awaited%u", index);
	for (uint64_t round = 1; reaches(&p->reserved, round); round++) {
		fd = open_or_fail(name, O_RDONLY);
		if (read_upto(fd, &got, sizeof(got), name) != sizeof(got) || got != round)
			fail("%s: round %" PRIu64 ", not %" PRIu64, name, got, round);
		close_or_fail(fd, name);
		p->got = round;
		did(WAITED);
	}
}

/* ---- listers ---- */

/* Each name is there once. Returns how many. */
static uint64_t list(bool slowly)
{
	DIR *dir = opendir("many");
	struct dirent *ent;
	uint64_t count = 0, sum = 0;

	if (!dir)
		fail_errno("opendir many");
	while ((errno = 0, ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		sum += strtoull(ent->d_name, NULL, 10);
		if (slowly && ++count % 1000 == 0)
			doze(20);
		else if (!slowly)
			count++;
	}
	if (errno)
		fail_errno("readdir many");
	ok(closedir(dir), "closedir many");
	if (sum != count * (count + 1) / 2)
		fail("the names in many are not 1 to %" PRIu64, count);
	return count;
}

static void lister(unsigned int index)
{
	while (!common->stop && listed_names) {
		uint64_t count = list(pick(2) == 0);

		if (count != listed_names)
			fail("%" PRIu64 " names are listed of %" PRIu64, count,
			     listed_names);
		did(LISTED);
	}
}

/* ---- what happens to the daemon ---- */

/* A round of the command; the process. */
static pid_t begin_command(uint64_t round)
{
	static char text[24];
	char **last = command;
	pid_t pid;

	while (*last)
		last++;
	snprintf(text, sizeof(text), "%" PRIu64, round);
	pid = fork();
	if (pid < 0)
		fail_errno("fork");
	if (pid > 0)
		return pid;
	*last = text;
	execvp(command[0], command);
	fail_errno("%s", command[0]);
}

/* Without waiting: has it ended, and well? */
static bool has_succeeded(pid_t child, int options)
{
	int status;
	pid_t pid = waitpid(child, &status, options);

	if (pid == 0)
		return false;
	if (pid < 0 || status)
		fail("%s ended with status %#x", command[0], (unsigned int)status);
	return true;
}

/*
 * From now to the first answer of the next daemon, which is returned, and how long the
 * longest look took. `child`: who brings it about, 0: nobody need.
 */
static pid_t next_daemon(pid_t former, pid_t child, uint64_t round)
{
	int64_t begun_ns = elapsed_ns(), at_ns = begun_ns, now_ns;
	bool ended = false;
	pid_t pid;

	for (;;) {
		pid = daemon_pid(".");
		now_ns = elapsed_ns();
		if (now_ns - at_ns > common->gap_ns[round])
			common->gap_ns[round] = now_ns - at_ns;
		at_ns = now_ns;
		if (pid != former)
			break;
		if (ended)
			fail("%s: the daemon is still %d", command[0], (int)pid);
		ended = child && has_succeeded(child, WNOHANG);
	}
	if (pid <= 0)
		fail("after %d there is no daemon", (int)former);
	common->took_ns[round] = now_ns - begun_ns;
	if (child && !ended)
		has_succeeded(child, 0);
	return pid;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *what, int64_t *ns)
{
	qsort(ns, rounds, sizeof(*ns), by_size);
	printf("%s: median %.0f ms, worst %.0f ms\n", what, (double)ns[rounds / 2] / 1e6,
	       (double)ns[rounds - 1] / 1e6);
}

static void replacer(void)
{
	pid_t pid = daemon_pid("."), child = 0;

	if (pid <= 0)
		fail("no daemon");
	for (uint64_t i = 0; i < rounds; i++) {
		doze(pause_ms);
		if (command)
			child = begin_command(i + 1);
		else if (kill(pid, SIGKILL))
			fail_errno("kill %d", (int)pid);
		pid = next_daemon(pid, child, i);
	}
	doze(pause_ms);
	common->stop = true;
	printf("%" PRIu64 " rounds\n", rounds);
	print_times("to the first answer", common->took_ns);
	if (command)
		print_times("without an answer", common->gap_ns);
}

/* ---- all of them ---- */

static void child(unsigned int index, void *arg)
{
	static const struct {
		unsigned int count;
		void (*run)(unsigned int index);
	} kinds[] = {{READERS, reader},	    {WRITERS, writer}, {NAMERS, namer},
		     {PAIRS, make_awaited}, {PAIRS, await},    {LISTERS, lister}};

	seed = seed * 1000 + index;
	buffer = malloc(SIZE_MAX_BYTES + 8);
	if (!buffer)
		fail("out of memory");
	if (index == 0) {
		replacer();
		return;
	}
	index--;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (index < kinds[i].count) {
			kinds[i].run(index);
			return;
		}
		index -= kinds[i].count;
	}
}

/* What is behind "--", which ends the others. */
static int take_command(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		command = calloc((size_t)(argc - i) + 1, sizeof(*command));
		if (!command)
			fail("out of memory");
		memcpy(command, argv + i + 1, (size_t)(argc - i - 1) * sizeof(*command));
		return i;
	}
	return argc;
}

static void print_work(void)
{
	for (unsigned int i = 0; i < WORKS; i++)
		printf("%s%" PRIu64 " %s", i ? ", " : "", common->done[i], work_names[i]);
	printf("\n");
	for (unsigned int i = 0; i < WORKS; i++)
		if (!common->done[i] && (i != LISTED || listed_names))
			fail("nothing was %s", work_names[i]);
}

int main(int argc, char **argv)
{
	struct stat st;

	argc = take_command(argc, argv);
	if (argc < 4 || argc > 5 || (command && !command[0])) {
		fprintf(stderr, "usage: survive DIR ROUNDS PAUSE_MS [SEED] "
				"[-- COMMAND ARG...]\n");
		return 2;
	}
	rounds = arg_u64(argv[2], "ROUNDS", 1);
	pause_ms = arg_u64(argv[3], "PAUSE_MS", 0);
	seed = argc > 4 ? arg_u64(argv[4], "SEED", 0) : (uint64_t)wall_ns() % 1000000;
	if (rounds > ROUNDS_MAX)
		fail("at most %d rounds", ROUNDS_MAX);
	printf("seed %" PRIu64 "\n", seed);
	if (chdir(argv[1]))
		fail_errno("chdir %s", argv[1]);
	need_dir("keys");
	common = shared_memory(sizeof(*common));
	if (stat("many", &st) == 0)
		listed_names = list(false);
	run_children(CHILDREN, child, NULL);
	print_work();
	return 0;
}
