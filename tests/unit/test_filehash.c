/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of files, what is not, and what of a damaged memory is believed. */
#include "cli/tree/filehash.h"
#include "cli/tree/hashfile.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_S (24 * 60 * 60)

struct scene {
	char dir[64];
	int fd;
	char file[160]; /* the memory, once it is written */
};

static const uint8_t HASH[FILEHASH_BYTES] = "0123456789abcde";

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct stat st;

	*state = s;
	strcpy(s->dir, "/tmp/memofs-filehash.XXXXXX");
	if (!mkdtemp(s->dir) || setenv("XDG_CACHE_HOME", s->dir, 1))
		return -1;
	s->fd = open(s->dir, O_RDONLY | O_DIRECTORY);
	if (s->fd < 0 || fstat(s->fd, &st))
		return -1;
	snprintf(s->file, sizeof(s->file), "%s/memofs/hashes/%llx-%llx", s->dir,
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct scene *s = *state;
	int r = nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);

	close(s->fd);
	free(s);
	return r;
}

static struct filehash *opened(struct scene *s)
{
	struct filehash *fh;

	assert_int_equal(filehash_open(s->fd, &fh), 0);
	return fh;
}

/* A file that was changed so many seconds ago. */
static struct stat aged(ino_t ino, int64_t seconds)
{
	struct stat st = {.st_dev = 7, .st_ino = ino, .st_size = 100};

	clock_gettime(CLOCK_REALTIME, &st.st_mtim);
	st.st_mtim.tv_sec -= seconds;
	st.st_ctim = st.st_mtim;
	return st;
}

static bool known(struct filehash *fh, const struct stat *st)
{
	uint8_t hash[FILEHASH_BYTES];

	if (!filehash_known(fh, st, hash))
		return false;
	assert_memory_equal(hash, HASH, FILEHASH_BYTES);
	return true;
}

/* Learnt in one session, looked for in the next. */
static bool lasting(struct scene *s, const struct stat *st)
{
	struct filehash *fh = opened(s);
	bool is;

	filehash_learn(fh, st, HASH);
	filehash_close(fh);
	fh = opened(s);
	is = known(fh, st);
	filehash_close(fh);
	return is;
}

static void test_known_again(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10), other;
	struct filehash *fh;

	assert_true(lasting(s, &st));
	fh = opened(s);
	other = st;
	other.st_size++;
	assert_false(known(fh, &other));
	other = st;
	other.st_mtim.tv_nsec ^= 1;
	assert_false(known(fh, &other));
	other = st;
	other.st_ctim.tv_nsec ^= 1;
	assert_false(known(fh, &other));
	other = st;
	other.st_ino++;
	assert_false(known(fh, &other));
	other = st;
	other.st_dev++;
	assert_false(known(fh, &other));
	assert_true(known(fh, &st));
	filehash_close(fh);
}

static void test_too_young(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 1);

	assert_false(lasting(s, &st));
	st = aged(2, -5); /* the clock was set back */
	assert_false(lasting(s, &st));
	st = aged(3, 10); /* touch(1) does that: written now, a change would show */
	st.st_mtim.tv_sec += 3600;
	assert_true(lasting(s, &st));
	st = aged(4, 10);
	clock_gettime(CLOCK_REALTIME, &st.st_ctim);
	assert_false(lasting(s, &st));
	st = aged(5, 10);
	clock_gettime(CLOCK_REALTIME, &st.st_mtim);
	assert_false(lasting(s, &st));
}

static void test_what_is_new_replaces(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 100), later = aged(1, 50);

	assert_true(lasting(s, &st));
	assert_true(lasting(s, &later));
	struct filehash *fh = opened(s);

	assert_false(known(fh, &st));
	assert_true(known(fh, &later));
	filehash_close(fh);
}

static void test_many(void **state)
{
	struct scene *s = *state;
	struct stat before, after;
	struct filehash *fh = opened(s);

	for (ino_t i = 1; i <= 5000; i++) {
		struct stat st = aged(i, 10);

		st.st_mtim.tv_nsec = st.st_ctim.tv_nsec = 0;
		st.st_mtim.tv_sec = st.st_ctim.tv_sec = 1000000;
		filehash_learn(fh, &st, HASH);
	}
	filehash_close(fh);
	assert_int_equal(stat(s->file, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	fh = opened(s);
	for (ino_t i = 1; i <= 5001; i++) {
		struct stat st = {.st_dev = 7, .st_ino = i, .st_size = 100};

		st.st_mtim.tv_sec = st.st_ctim.tv_sec = 1000000;
		assert_int_equal(known(fh, &st), i <= 5000);
	}
	filehash_close(fh);
	/* Nothing was learnt: nothing was written. */
	assert_int_equal(stat(s->file, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	/* One more leaves the others. */
	struct stat one = aged(6000, 10),
		    old = {.st_dev = 7, .st_ino = 3, .st_size = 100};

	old.st_mtim.tv_sec = old.st_ctim.tv_sec = 1000000;
	assert_true(lasting(s, &one));
	fh = opened(s);
	assert_true(known(fh, &old));
	filehash_close(fh);
}

static void test_month(void **state)
{
	struct scene *s = *state;
	struct hashtable learnt = {0}, none = {0};
	struct hashrecord a = {.dev = 1, .ino = 1}, b = {.dev = 1, .ino = 2};
	struct hashfile f;
	int64_t now_s = 1000 * (int64_t)DAY_S;

	assert_int_equal(hashtable_put(&learnt, &a), 0);
	assert_int_equal(hashtable_put(&learnt, &b), 0);
	hashfile_open(s->fd, "", now_s, &f);
	hashfile_close(&f, &learnt);
	/* `a` is asked for from time to time, which is written down. */
	hashfile_open(s->fd, "", now_s + 20 * DAY_S, &f);
	assert_non_null(hashfile_find(&f, &a));
	hashfile_close(&f, &none);
	hashfile_open(s->fd, "", now_s + 40 * DAY_S, &f);
	assert_non_null(hashfile_find(&f, &a));
	hashfile_close(&f, &none);
	hashfile_open(s->fd, "", now_s + 40 * DAY_S, &f);
	assert_non_null(hashfile_find(&f, &a));
	assert_null(hashfile_find(&f, &b));
	hashfile_close(&f, &none);
	hashtable_deinit(&learnt);
}

/* Trees are known for some days, so that their files are asked for again. */
static void test_trees(void **state)
{
	struct scene *s = *state;
	uint8_t digest[FILEHASH_BYTES] = "the first digest", other[FILEHASH_BYTES],
		hash[FILEHASH_BYTES];
	const uint8_t want[FILEHASH_BYTES] = {3, 4};
	struct filehash *fh = opened(s);

	memcpy(other, digest, sizeof(other));
	other[FILEHASH_BYTES - 1] ^= 1;
	assert_false(filehash_tree_known(fh, digest, hash));
	filehash_tree_learn(fh, digest, want);
	assert_true(filehash_tree_known(fh, digest, hash));
	filehash_close(fh);
	fh = opened(s);
	assert_true(filehash_tree_known(fh, digest, hash));
	assert_memory_equal(hash, want, sizeof(want));
	assert_false(filehash_tree_known(fh, other, hash));
	filehash_close(fh);
}

static void test_old_trees(void **state)
{
	struct scene *s = *state;
	uint8_t digest[FILEHASH_BYTES] = "the first digest", hash[FILEHASH_BYTES];
	struct hashrecord r = {0};
	struct hashtable learnt = {0};
	struct hashfile f;
	struct filehash *fh;

	memcpy(&r.ino, digest, 8);
	memcpy(&r.size_bytes, digest + 8, 8);
	assert_int_equal(hashtable_put(&learnt, &r), 0);
	hashfile_open(s->fd, ".trees", time(NULL) - 3 * (int64_t)DAY_S, &f);
	hashfile_close(&f, &learnt);
	fh = opened(s);
	assert_true(filehash_tree_known(fh, digest, hash));
	filehash_close(fh);
	hashfile_open(s->fd, ".trees", time(NULL) - 10 * (int64_t)DAY_S, &f);
	hashfile_close(&f, &learnt);
	fh = opened(s);
	assert_false(filehash_tree_known(fh, digest, hash));
	filehash_tree_learn(fh, digest, hash);
	assert_true(filehash_tree_known(fh, digest, hash));
	filehash_close(fh);
	hashtable_deinit(&learnt);
}

static void test_of_others(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10);
	char moved[200];
	struct filehash *fh;

	assert_true(lasting(s, &st));
	assert_int_equal(chmod(s->file, 0620), 0);
	fh = opened(s);
	assert_false(known(fh, &st));
	filehash_close(fh);
	assert_int_equal(chmod(s->file, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(s->file, 65534, 65534), 0);
		fh = opened(s);
		assert_false(known(fh, &st));
		filehash_close(fh);
		assert_int_equal(chown(s->file, 0, 0), 0);
	}
	snprintf(moved, sizeof(moved), "%s-moved", s->file);
	assert_int_equal(rename(s->file, moved), 0);
	assert_int_equal(symlink(moved, s->file), 0);
	fh = opened(s);
	assert_false(known(fh, &st));
	filehash_close(fh);
	assert_int_equal(rename(moved, s->file), 0);
	fh = opened(s);
	assert_true(known(fh, &st));
	filehash_close(fh);
}

/* Each byte of the file, one after the other, is another one. */
static void test_damage(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10), file;
	struct filehash *fh;
	int lost = 0;

	assert_true(lasting(s, &st));
	assert_int_equal(stat(s->file, &file), 0);
	int fd = open(s->file, O_RDWR);

	for (off_t off = 0; off < file.st_size; off++) {
		uint8_t byte, other;

		assert_int_equal(pread(fd, &byte, 1, off), 1);
		other = byte ^ 0x10;
		assert_int_equal(pwrite(fd, &other, 1, off), 1);
		fh = opened(s);
		lost += !known(fh, &st); /* and never another hash */
		filehash_close(fh);
		assert_int_equal(pwrite(fd, &byte, 1, off), 1);
	}
	/* The record, most of the header, and what stands in the way of the record. */
	assert_true(lost >= 64 + 16 && lost < file.st_size);
	assert_int_equal(ftruncate(fd, file.st_size - 1), 0);
	fh = opened(s);
	assert_false(known(fh, &st));
	filehash_close(fh);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_true(lasting(s, &st));
	close(fd);
}

/* A file that holds nothing but a record of somebody else, over and over. */
static void test_full_of_others(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10), wanted = aged(2, 10), file;
	uint8_t raw[64 * 65], record[64];
	struct filehash *fh;
	int fd;

	assert_true(lasting(s, &st));
	assert_int_equal(stat(s->file, &file), 0);
	assert_int_equal(file.st_size, sizeof(raw));
	fd = open(s->file, O_RDWR);
	assert_int_equal(pread(fd, raw, sizeof(raw), 0), sizeof(raw));
	for (size_t i = 1; i < 65; i++) {
		if (memcmp(raw + 64 * i + 40, HASH, sizeof(HASH)) == 0)
			memcpy(record, raw + 64 * i, 64);
	}
	for (size_t i = 1; i < 65; i++)
		memcpy(raw + 64 * i, record, 64);
	assert_int_equal(pwrite(fd, raw, sizeof(raw), 0), sizeof(raw));
	close(fd);
	fh = opened(s);
	assert_true(known(fh, &st));
	assert_false(known(fh, &wanted));
	filehash_close(fh);
	assert_true(lasting(s, &wanted));
}

static void test_nowhere_to_write(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10);
	const char *home = getenv("HOME");
	struct filehash *fh;

	setenv("XDG_CACHE_HOME", "/proc/self/none", 1);
	assert_false(lasting(s, &st));
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", s->dir, 1);
	assert_true(lasting(s, &st)); /* below HOME */
	unsetenv("XDG_CACHE_HOME");
	assert_true(lasting(s, &st));
	setenv("XDG_CACHE_HOME", "/proc/self/none", 1);
	/* Within one session it is known all the same. */
	fh = opened(s);
	filehash_learn(fh, &st, HASH);
	assert_true(known(fh, &st));
	filehash_close(fh);
	if (home)
		setenv("HOME", home, 1);
}

/* In the home of another user nothing is made, nor where others could take its place. */
static void test_home_of_another(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10);
	const char *home = getenv("HOME");
	char cache[160];

	unsetenv("XDG_CACHE_HOME");
	setenv("HOME", s->dir, 1);
	snprintf(cache, sizeof(cache), "%s/.cache", s->dir);
	assert_int_equal(chmod(s->dir, 0777), 0);
	assert_false(lasting(s, &st));
	assert_int_equal(access(cache, F_OK), -1);
	assert_int_equal(chmod(s->dir, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(s->dir, 65534, 65534), 0);
		assert_false(lasting(s, &st));
		assert_int_equal(access(cache, F_OK), -1);
		/* Nor in a directory that he has made already. */
		assert_int_equal(mkdir(cache, 0700), 0);
		assert_int_equal(chown(cache, 65534, 65534), 0);
		assert_false(lasting(s, &st));
		assert_int_equal(rmdir(cache), 0);
		assert_int_equal(chown(s->dir, 0, 0), 0);
	}
	assert_true(lasting(s, &st));
	assert_int_equal(access(cache, F_OK), 0);
	if (home)
		setenv("HOME", home, 1);
}

/* A program that was killed has left this. */
static void test_left_over(void **state)
{
	struct scene *s = *state;
	struct stat st = aged(1, 10), later = aged(2, 10);
	char next[200];
	int fd;

	assert_true(lasting(s, &st));
	snprintf(next, sizeof(next), "%s.new", s->file);
	fd = open(next, O_CREAT | O_RDWR, 0600);
	assert_int_equal(write(fd, "half", 4), 4);
	/* Somebody is at it: the last one wins, that is not us. */
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_false(lasting(s, &later));
	close(fd);
	assert_true(lasting(s, &later));
	assert_int_equal(access(next, F_OK), -1);
}

static void test_reading(void **state)
{
	struct scene *s = *state;
	uint8_t hash[FILEHASH_BYTES];
	/* As xxh128sum prints it. */
	static const uint8_t want[FILEHASH_BYTES] = {0x6b, 0xba, 0x86, 0xc7, 0xe0, 0x69,
						     0xf5, 0x6d, 0x5a, 0x10, 0xb4, 0x35,
						     0xf1, 0xc8, 0xe4, 0x9c};
	struct filehash *fh = opened(s);
	struct stat st;
	int fd = openat(s->fd, "f", O_CREAT | O_RDWR, 0600);

	assert_int_equal(write(fd, "hello\n", 6), 6);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(filehash_get(fh, fd, &st, hash), 0);
	assert_memory_equal(hash, want, FILEHASH_BYTES);
	/* From where it stands does not matter, the whole is meant. */
	uint8_t again[FILEHASH_BYTES];

	assert_int_equal(filehash_get(fh, fd, &st, again), 0);
	assert_memory_equal(hash, again, FILEHASH_BYTES);
	st.st_size++;
	assert_int_equal(filehash_get(fh, fd, &st, hash), -EAGAIN);
	/* What is known is not read: the descriptor is none. */
	struct stat old = aged(9, 10);

	filehash_learn(fh, &old, HASH);
	assert_int_equal(filehash_get(fh, -1, &old, hash), 0);
	assert_memory_equal(hash, HASH, FILEHASH_BYTES);
	old.st_size++;
	assert_int_equal(filehash_get(fh, -1, &old, hash), -EBADF);
	filehash_close(fh);
	close(fd);
}

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void test_what_we_wrote(void **state)
{
	struct scene *s = *state;
	struct filehash *fh = opened(s);
	int fd = openat(s->fd, "f", O_CREAT | O_RDWR, 0600);
	int pipes[2];
	struct timespec now;
	struct stat st;
	bool fine;

	assert_int_equal(write(fd, "hello\n", 6), 6);
	assert_int_equal(fstat(fd, &st), 0);
	filehash_wrote(fh, fd, &st, HASH);
	/* On a file system that is not known to be fine it is not remembered. */
	fine = known(fh, &st);
	filehash_close(fh);
	clock_gettime(CLOCK_REALTIME, &now);
	assert_true(!fine || ns_of(now) >= ns_of(st.st_ctim) + 20000000);
	fh = opened(s);
	assert_int_equal(known(fh, &st), fine);
	/* Of others it is never believed. */
	assert_int_equal(pipe(pipes), 0);
	struct stat pipe_st = aged(3, 0);

	filehash_wrote(fh, pipes[0], &pipe_st, HASH);
	assert_false(known(fh, &pipe_st));
	filehash_close(fh);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

struct share {
	struct filehash *fh;
	ino_t base;
};

static void *learn_some(void *arg)
{
	struct share *share = arg;

	for (ino_t i = 0; i < 2000; i++) {
		struct stat st = {.st_dev = 7, .st_ino = share->base + i};
		uint8_t hash[FILEHASH_BYTES];

		filehash_learn(share->fh, &st, HASH);
		if (!filehash_known(share->fh, &st, hash))
			return arg;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct scene *s = *state;
	struct filehash *fh = opened(s);
	struct share shares[2] = {{fh, 1}, {fh, 1000}};
	pthread_t threads[2];

	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, learn_some, &shares[i]), 0);
	for (size_t i = 0; i < 2; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	filehash_close(fh);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_known_again),
	    SCENE(test_too_young),
	    SCENE(test_what_is_new_replaces),
	    SCENE(test_many),
	    SCENE(test_month),
	    SCENE(test_trees),
	    SCENE(test_old_trees),
	    SCENE(test_of_others),
	    SCENE(test_damage),
	    SCENE(test_full_of_others),
	    SCENE(test_nowhere_to_write),
	    SCENE(test_home_of_another),
	    SCENE(test_left_over),
	    SCENE(test_reading),
	    SCENE(test_what_we_wrote),
	    SCENE(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
