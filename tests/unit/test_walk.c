/* SPDX-License-Identifier: Apache-2.0 */
/* Walking real directories: what is chosen, in which order, and what is in the way. */
#include "cli/tree/beneath.h"
#include "cli/tree/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define PATTERNS_MAX 4

struct scene {
	char dir[64];
	int fd;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	strcpy(s->dir, "/tmp/memofs-walk.XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	s->fd = open(s->dir, O_RDONLY | O_DIRECTORY);
	*state = s;
	return s->fd < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct scene *s = *state;
	int r = seteuid(getuid());

	r = r ? r : nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);

	close(s->fd);
	free(s);
	return r;
}

static void make_dir(struct scene *s, const char *path)
{
	assert_int_equal(mkdirat(s->fd, path, 0755), 0);
}

static void make_file(struct scene *s, const char *path, const char *text)
{
	int fd = openat(s->fd, path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static struct patterns *compiled(const char *const *texts)
{
	struct patterns *ps;
	struct errmsg err = {""};
	size_t n = 0;

	while (n < PATTERNS_MAX && texts[n])
		n++;
	if (patterns_new(texts, n, &ps, &err))
		fail_msg("%s", err.text);
	return ps;
}

/* The paths, a blank behind each; directories with a slash, symlinks with their target.
 */
static const char *walked(struct scene *s, const char *const *texts)
{
	static char line[4096];
	struct patterns *ps = compiled(texts);
	struct tree_items items = TREE_ITEMS_INIT;
	struct errmsg err = {""};

	*line = '\0';
	if (tree_walk(s->fd, ps, &items, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < items.n; i++) {
		const struct tree_item *it = &items.list[i];

		assert_int_equal(S_ISLNK(it->st.st_mode), it->target != NULL);
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%s%s%s ",
			 it->path, S_ISDIR(it->st.st_mode) ? "/" : "",
			 it->target ? "->" : "", it->target ? it->target : "");
	}
	tree_items_deinit(&items);
	patterns_free(ps);
	return line;
}

#define WALKED(s, ...) walked(s, (const char *const[]){__VA_ARGS__, NULL})

static void test_order_and_types(void **state)
{
	struct scene *s = *state;

	make_dir(s, "b");
	make_file(s, "b/z", "");
	make_file(s, "b/.a", "xyz");
	make_dir(s, "b/empty");
	make_file(s, "b.c", "");
	make_file(s, "a", "");
	assert_int_equal(symlinkat("../nowhere", s->fd, "b/l"), 0);
	assert_int_equal(symlinkat(".", s->fd, "loop"), 0);
	assert_string_equal(WALKED(s, "."),
			    "a b/ b/.a b/empty/ b/l->../nowhere b/z b.c loop->. ");
	assert_string_equal(WALKED(s, "b/**"), "b/ b/.a b/empty/ b/l->../nowhere b/z ");
	/* Directories that only lead there are no items. */
	assert_string_equal(WALKED(s, "b/z"), "b/z ");
	assert_string_equal(WALKED(s, "b", "!b/.*", "!**/l"), "b/ b/empty/ b/z ");
	/* Symlinks are not followed, whatever is asked for. */
	assert_string_equal(WALKED(s, "loop/a"), "");
	assert_string_equal(WALKED(s, "loop/**"), "");
	assert_string_equal(WALKED(s, "loop"), "loop->. ");
}

static void test_what_lstat_says(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	struct stat st;

	make_file(s, "f", "four");
	assert_int_equal(tree_walk(s->fd, ps, &items, NULL), 0);
	assert_int_equal(items.n, 1);
	assert_int_equal(fstatat(s->fd, "f", &st, 0), 0);
	assert_int_equal(items.list[0].st.st_ino, st.st_ino);
	assert_int_equal(items.list[0].st.st_size, 4);
	assert_memory_equal(&items.list[0].st.st_ctim, &st.st_ctim, sizeof(st.st_ctim));
	tree_items_deinit(&items);
	patterns_free(ps);
}

static void test_special_files(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	struct errmsg err = {""};
	char *skipped = NULL;

	make_dir(s, "d");
	make_file(s, "d/x", "");
	assert_int_equal(mkfifoat(s->fd, "d/pipe", 0644), 0);
	assert_int_equal(tree_walk(s->fd, ps, &items, &err), -EINVAL);
	assert_non_null(strstr(err.text, "d/pipe"));
	assert_int_equal(items.n, 0);
	/* What is not chosen is in nobody's way. */
	assert_string_equal(WALKED(s, "d/x"), "d/x ");
	assert_int_equal(tree_walk_skipping(s->fd, ps, &items, &skipped, &err), 0);
	assert_int_equal(items.n, 2);
	assert_string_equal(skipped, "d/pipe");
	free(skipped);
	tree_items_deinit(&items);
	patterns_free(ps);
}

static void test_unreadable_directory(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	struct errmsg err = {""};
	int r;

	/* Root can read everything. */
	make_dir(s, "d");
	make_dir(s, "d/closed");
	assert_int_equal(fchmodat(s->fd, "d/closed", 0, 0), 0);
	assert_int_equal(fchmod(s->fd, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	r = tree_walk(s->fd, ps, &items, &err);
	assert_string_equal(WALKED(s, "**", "!d/closed"), "d/ ");
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.text, "d/closed"));
	patterns_free(ps);
}

/* Deeper than there are descriptors. */
static void test_deep(void **state)
{
	struct scene *s = *state;
	struct rlimit old, few = {.rlim_cur = 32};
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	struct errmsg err = {""};
	char path[1024] = "d";
	int r;

	for (size_t i = 0; i < 300; i++) {
		make_dir(s, path);
		strcat(path, "/d");
	}
	make_file(s, path, "");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = tree_walk(s->fd, ps, &items, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (r)
		fail_msg("%s", err.text);
	assert_int_equal(items.n, 301);
	assert_string_equal(items.list[300].path, path);
	tree_items_deinit(&items);
	patterns_free(ps);
}

static void test_too_deep(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	struct errmsg err = {""};
	char name[201];
	int at = dup(s->fd);

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < 22; i++) {
		int next;

		assert_int_equal(mkdirat(at, name, 0755), 0);
		next = openat(at, name, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(tree_walk(s->fd, ps, &items, &err), -ENAMETOOLONG);
	patterns_free(ps);
	/* nftw(3) cannot remove that. */
	for (size_t i = 0; i < 22; i++) {
		int up = openat(at, "..", O_RDONLY | O_DIRECTORY);

		assert_true(up >= 0);
		assert_int_equal(unlinkat(up, name, AT_REMOVEDIR), 0);
		close(at);
		at = up;
	}
	close(at);
}

static void test_many_names(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"d/*", "!d/0*", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	char name[16];

	make_dir(s, "d");
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		make_file(s, name, "");
	}
	assert_int_equal(tree_walk(s->fd, ps, &items, NULL), 0);
	assert_int_equal(items.n, 1999);
	for (size_t i = 1; i < items.n; i++)
		assert_true(strcmp(items.list[i - 1].path, items.list[i].path) < 0);
	assert_null(patterns_unused(ps));
	tree_items_deinit(&items);
	patterns_free(ps);
}

/* Enough of them for two threads; the order is the same. */
static void test_many_directories(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	char path[64], last[64] = "";
	size_t files = 0;

	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "%d", i);
		make_dir(s, path);
		for (int k = 0; k < 10; k++) {
			snprintf(path, sizeof(path), "%d/%d", i, k);
			make_dir(s, path);
			snprintf(path, sizeof(path), "%d/%d/f", i, k);
			make_file(s, path, "");
		}
	}
	for (int round = 0; round < 5; round++) {
		CLEANUP_ITEMS struct tree_items items = TREE_ITEMS_INIT;

		assert_int_equal(tree_walk(s->fd, ps, &items, NULL), 0);
		assert_int_equal(items.n, 60 + 600 + 600);
		*last = '\0';
		files = 0;
		for (size_t i = 0; i < items.n; i++) {
			/* No name here has a byte before the slash. */
			assert_true(strcmp(last, items.list[i].path) < 0);
			strcpy(last, items.list[i].path);
			files += S_ISREG(items.list[i].st.st_mode);
		}
		assert_int_equal(files, 600);
	}
	patterns_free(ps);
}

/* Of several errors one is reported, and nothing is lost. */
static void test_errors_in_many_directories(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"**", NULL});
	struct tree_items items = TREE_ITEMS_INIT;
	struct errmsg err = {""};
	char path[64];
	int r;

	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "%02d", i);
		make_dir(s, path);
		snprintf(path, sizeof(path), "%02d/d", i);
		make_dir(s, path);
		assert_int_equal(fchmodat(s->fd, path, i > 30 ? 0 : 0755, 0), 0);
	}
	assert_int_equal(fchmod(s->fd, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	r = tree_walk(s->fd, ps, &items, &err);
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.text, "/d\""));
	assert_int_equal(items.n, 0);
	patterns_free(ps);
}

struct swapping {
	struct scene *scene;
	atomic_bool stop;
};

static void *swap(void *arg)
{
	struct swapping *sw = arg;
	int fd = sw->scene->fd;

	while (!atomic_load(&sw->stop))
		syscall(SYS_renameat2, fd, "d", fd, "other", RENAME_EXCHANGE);
	return NULL;
}

/* A directory that becomes a symlink, and back, while it is walked. */
static void check_large(const struct tree_items *items)
{
	/* Two directories of 1,200 files and 60 directories with a file in each. */
	assert_int_equal(items->n, 2 * (1 + 1200 + 2 * 60));
	for (size_t i = 1; i < items->n; i++) {
		const struct tree_item *it = &items->list[i];

		assert_true(strcmp(items->list[i - 1].path, it->path) < 0);
		assert_int_equal(S_ISDIR(it->st.st_mode), !strrchr(it->path, 'f'));
		assert_true(it->st.st_nlink > 0);
	}
}

/* Of large directories threads look at parts. A slash is before all that the names have
 * after it, so the order is that of the bytes. */
static void test_large_directories(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){".", NULL});
	int next_fd = dup(s->fd), fd;
	char name[32];

	assert_int_equal(close(next_fd), 0);
	for (int i = 0; i < 2 * 1260; i++) {
		int top = i / 1260, k = i % 1260;

		snprintf(name, sizeof(name), "%d", top);
		if (k == 0)
			make_dir(s, name);
		snprintf(name, sizeof(name), k % 21 ? "%d/%04df" : "%d/%04d", top, k);
		if (k % 21) {
			make_file(s, name, "");
			continue;
		}
		make_dir(s, name);
		strcat(name, "/f");
		make_file(s, name, "");
	}
	for (int i = 0; i < 10; i++) {
		CLEANUP_ITEMS struct tree_items items = TREE_ITEMS_INIT;

		assert_int_equal(tree_walk(s->fd, ps, &items, NULL), 0);
		check_large(&items);
	}
	/* No descriptor is left open. */
	fd = dup(s->fd);
	assert_int_equal(fd, next_fd);
	close(fd);
	patterns_free(ps);
}

static void test_never_leaves(void **state)
{
	struct scene *s = *state;
	struct patterns *ps = compiled((const char *const[]){"d", NULL});
	struct swapping sw = {.scene = s};
	pthread_t thread;

	make_dir(s, "d");
	make_file(s, "d/inside", "");
	make_dir(s, "elsewhere");
	make_file(s, "elsewhere/outside", "");
	assert_int_equal(symlinkat("elsewhere", s->fd, "other"), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &sw), 0);
	for (int round = 0; round < 3000; round++) {
		CLEANUP_ITEMS struct tree_items items = TREE_ITEMS_INIT;
		int r = tree_walk(s->fd, ps, &items, NULL);

		assert_true(r == 0 || r == -EAGAIN);
		for (size_t i = 0; i < items.n; i++)
			assert_string_not_equal(items.list[i].path, "d/outside");
	}
	atomic_store(&sw.stop, true);
	pthread_join(thread, NULL);
	patterns_free(ps);
}

static void test_beneath(void **state)
{
	struct scene *s = *state;
	int fd;

	make_dir(s, "d");
	make_file(s, "d/f", "x");
	assert_int_equal(symlinkat("d", s->fd, "link"), 0);
	assert_int_equal(symlinkat("f", s->fd, "d/link"), 0);
	fd = beneath_open(s->fd, "d/f", O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
	fd = beneath_open(s->fd, "", O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(beneath_open(s->fd, "d/link", O_RDONLY), -ELOOP);
	fd = beneath_open(s->fd, "link/f", O_RDONLY);
	assert_true(fd == -ELOOP || fd == -ENOTDIR);
	assert_int_equal(beneath_open(s->fd, "d/none", O_RDONLY), -ENOENT);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_order_and_types),
	    SCENE(test_what_lstat_says),
	    SCENE(test_special_files),
	    SCENE(test_unreadable_directory),
	    SCENE(test_deep),
	    SCENE(test_too_deep),
	    SCENE(test_many_names),
	    SCENE(test_many_directories),
	    SCENE(test_errors_in_many_directories),
	    SCENE(test_large_directories),
	    SCENE(test_never_leaves),
	    SCENE(test_beneath),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
