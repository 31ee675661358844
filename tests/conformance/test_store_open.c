/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing: what stays, what is refused and how, and what a process
 * that was killed leaves. On disk only: a store in memory ends with its process.
 */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "store/internal.h"
#include "store/lease.h"
#include "tests/conformance/store_check.h"

static struct fixture *fixture_of(void **state)
{
	return *state;
}

/* Opening must fail like this, with all of the words in its message. */
static void assert_refused(struct fixture *fx, const char *path, int expected,
			   const char *const words[])
{
	struct store_options opt = fixture_options(fx);
	struct errmsg err = {0};
	struct store *st = NULL;

	opt.path = path;
	assert_int_equal(store_open(&opt, &st, &err), expected);
	assert_null(st);
	assert_null(strchr(err.text, '\n'));
	assert_non_null(strstr(err.text, path));
	for (; *words; words++) {
		if (!strstr(err.text, *words))
			fail_msg("\"%s\" does not say \"%s\"", err.text, *words);
	}
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void file_in(const struct fixture *fx, const char *name, char ret_path[512])
{
	snprintf(ret_path, 512, "%s/%s", fx->path, name);
}

static void test_everything_persists(void **state)
{
	struct fixture *fx = fixture_of(state);
	uint64_t dir, v1, link, file;
	struct store_attr before, after;
	struct store_stats was, is;
	struct buf text = BUF_INIT;
	int64_t ttl_ns;

	dir = make_dir(fx->st, ROOT, "d");
	v1 = branch_of(fx->st, dir, "v1");
	link = make_link(fx->st, v1, "l");
	file = make_file(fx->st, v1, "f", "content");
	assert_ok(store_version_set(fx->st, dir, "v1"));
	assert_ok(store_ttl_set(fx->st, dir, 3600 * NSEC_PER_SEC, "PT1H"));
	assert_ok(store_xattr_set(fx->st, link, "user.x", slice("y", 1), 0));
	before = attr_of(fx->st, link);
	assert_ok(store_stats(fx->st, &was));
	fixture_close(fx);
	fixture_open(fx);

	assert_int_equal(lookup(fx->st, ROOT, "d"), dir);
	assert_int_equal(branch_of(fx->st, dir, NULL), v1);
	assert_int_equal(lookup(fx->st, v1, "f"), file);
	assert_ok(store_lookup(fx->st, v1, "l", &after));
	assert_same_attr(&before, &after);
	assert_ok(store_ttl_get(fx->st, dir, &ttl_ns, &text));
	assert_true(ttl_ns == 3600 * NSEC_PER_SEC);
	assert_memory_equal(text.data, "PT1H", 4);
	assert_ok(store_xattr_get(fx->st, link, "user.x", &text));
	assert_memory_equal(text.data, "y", 1);
	assert_ok(store_stats(fx->st, &is));
	assert_int_equal(is.entries, was.entries);
	assert_int_equal(is.dirs, was.dirs);
	assert_int_equal(is.bytes, was.bytes);
	assert_true(make_link(fx->st, ROOT, "new") > file);
	buf_deinit(&text);
}

/* The options for a root that is being made do not change one that is there. */
static void test_root_is_made_once(void **state)
{
	struct fixture *fx = fixture_of(state);
	struct store_options opt = fixture_options(fx);

	fixture_close(fx);
	opt.root_uid = 99;
	opt.root_mode = 0700;
	assert_ok(store_open(&opt, &fx->st, NULL));
	assert_int_equal(attr_of(fx->st, ROOT).uid, 1);
	assert_int_equal(attr_of(fx->st, ROOT).mode, S_IFDIR | 0755);
}

/* The row that says which numbers are in use is lost: they are not given out again. */
static void test_numbers_are_lost(void **state)
{
	struct fixture *fx = fixture_of(state);
	uint64_t dir = make_dir(fx->st, ROOT, "d");
	uint64_t file = make_file(fx->st, dir, "f", "content");
	struct batch b = BATCH_INIT;

	batch_del(&b, TABLE_META, slice_str("ids"));
	assert_ok(backend_commit(fx->st->be, &b));
	batch_deinit(&b);
	fixture_close(fx);
	fixture_open(fx);
	assert_true(make_link(fx->st, ROOT, "new") > file);
	assert_int_equal(lookup(fx->st, dir, "f"), file);
}

/* ---- a process that dies ---- */

/*
 * The children are this program again, not forks of it: the threads that
 * RocksDB keeps for a whole process would be missing in a fork.
 */
static pid_t start_child(const struct fixture *fx, const char *what, int out)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		execl("/proc/self/exe", "test_store_open", what, fx->path, NULL);
		_exit(127);
	}
	return pid;
}

static void assert_killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Make links without end; write the number of each to stdout when it is made. */
static int child_makes_links(struct store *st)
{
	struct store_attr attr;
	char name[32];

	for (int i = 0;; i++) {
		snprintf(name, sizeof(name), "%d-%d", getpid(), i);
		if (store_symlink(st, ROOT, name, "t", 0, 0, &attr))
			return 2;
		if (write(STDOUT_FILENO, &attr.ino, sizeof(attr.ino)) != sizeof(attr.ino))
			return 3;
	}
}

/* Remove a directory, and end before the tree below it has gone. */
static int child_removes_tree(struct store *st)
{
	if (store_rmdir(st, ROOT, "d"))
		return 2;
	kill(getpid(), SIGKILL);
	return 3;
}

/* Reservations of each kind and fate, and no word to the database at the end. */
static int child_reserves(struct store *st)
{
	uint64_t token;

	if (store_lease_acquire(st, ROOT, "kept", "alice", 3600 * NSEC_PER_SEC, NULL) ||
	    store_lease_acquire(st, ROOT, "made longer", "alice", 1, NULL) ||
	    store_lease_acquire(st, ROOT, "made longer", "alice", 3600 * NSEC_PER_SEC,
				NULL) ||
	    store_lease_acquire(st, ROOT, "ended", "alice", 1, NULL) ||
	    store_lease_acquire(st, ROOT, "freed", "alice", 3600 * NSEC_PER_SEC, NULL) ||
	    store_lease_release(st, ROOT, "freed", "alice") ||
	    store_lease_acquire(st, ROOT, "done", "alice", 3600 * NSEC_PER_SEC, NULL) ||
	    store_lease_begin_publish(st, ROOT, "done", "alice", 0, &token) ||
	    store_lease_hold(st, ROOT, "held", "pid=1", token + 1))
		return 2;
	store_lease_end_publish(st, ROOT, "done", token, true);
	kill(getpid(), SIGKILL);
	return 3;
}

static int child_main(const char *what, const char *path)
{
	struct store_options opt = {.kind = STORE_ROCKSDB, .path = path};
	struct store *st;

	if (store_open(&opt, &st, NULL))
		return 1;
	if (!strcmp(what, "reserve"))
		return child_reserves(st);
	return strcmp(what, "make-links") ? child_removes_tree(st)
					  : child_makes_links(st);
}

/* Run a child until it has made `count`, kill it; the highest number it had. */
static uint64_t killed_child_max(struct fixture *fx, int count)
{
	uint64_t ino, max = 0;
	int fds[2];
	pid_t pid;

	assert_ok(pipe2(fds, O_CLOEXEC));
	pid = start_child(fx, "make-links", fds[1]);
	close(fds[1]);
	while (read(fds[0], &ino, sizeof(ino)) == sizeof(ino)) {
		if (--count == 0)
			kill(pid, SIGKILL);
		if (ino > max)
			max = ino;
	}
	close(fds[0]);
	assert_killed(pid);
	return max;
}

static void test_numbers_after_kill(void **state)
{
	struct fixture *fx = fixture_of(state);
	uint64_t max = 0, next;
	struct store_stats stats;

	fixture_close(fx);
	for (int round = 0; round < 3; round++) {
		next = killed_child_max(fx, 500);
		assert_true(next > max);
		max = next;
	}
	fixture_open(fx);
	assert_true(make_link(fx->st, ROOT, "next") > max);
	/* What the children were told was made is there. */
	assert_ok(store_stats(fx->st, &stats));
	assert_true(stats.entries >= 1501);
	check_settled(fx->st);
}

/* Killed while a tree was being deleted: the rest goes after the restart. */
static void test_tree_after_kill(void **state)
{
	struct fixture *fx = fixture_of(state);
	struct store_stats stats;
	uint64_t dir, branch;
	char name[16];

	dir = make_dir(fx->st, ROOT, "d");
	branch = branch_of(fx->st, dir, "v");
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		make_link(fx->st, branch, name);
	}
	fixture_close(fx);
	assert_killed(start_child(fx, "remove-tree", STDOUT_FILENO));
	fixture_open(fx);
	check_settled(fx->st);
	assert_ok(store_stats(fx->st, &stats));
	assert_int_equal(stats.entries, 0);
	assert_int_equal(stats.dirs, 1);
	assert_int_equal(stats.bytes, 0);
}

static void test_reservations_after_kill(void **state)
{
	struct fixture *fx = fixture_of(state);
	struct store_lease lease;
	uint64_t token;

	fixture_close(fx);
	assert_killed(start_child(fx, "reserve", STDOUT_FILENO));
	fixture_open(fx);
	assert_int_equal(store_lease_count(fx->st), 2);
	assert_ok(store_lease_get(fx->st, ROOT, "kept", &lease));
	assert_string_equal(lease.owner, "alice");
	token = lease.token;
	assert_ok(store_lease_get(fx->st, ROOT, "made longer", &lease));
	assert_ok(store_lease_acquire(fx->st, ROOT, "held", "bob", NSEC_PER_SEC, &lease));
	assert_true(lease.token > token);
}

/* ---- what is refused ---- */

static void test_locked(void **state)
{
	struct fixture *fx = fixture_of(state);
	char pid[32];

	snprintf(pid, sizeof(pid), "(pid %d)", getpid());
	assert_refused(fx, fx->path, -EBUSY,
		       WORDS(pid, program_invocation_short_name, "since 20"));
	store_lock_note(fx->st, "/mnt/a cache");
	assert_refused(fx, fx->path, -EBUSY,
		       WORDS(pid, "mounted at /mnt/a cache", "memofs umount"));
	store_lock_note(fx->st, NULL);
	assert_refused(fx, fx->path, -EBUSY, WORDS(pid, "end that process"));
	fixture_close(fx);
	fixture_open(fx); /* the lock went with the store */
}

static void test_format(void **state)
{
	static const char newer[] = "memofs store, format 5\n";
	static const char *const damaged[] = {
	    "", "memofs store, format 1", "memofs store, format x\n",
	    "memofs store, format 99999999999999999999\n", "something else\n"};
	struct fixture *fx = fixture_of(state);
	char path[512];

	fixture_close(fx);
	file_in(fx, "FORMAT", path);
	scratch_write(path, newer, strlen(newer));
	assert_refused(fx, fx->path, -EPROTO, WORDS("FORMAT", "format 5", "1 to 4 only"));
	scratch_write(path, "memofs store, format 0\n", 23);
	assert_refused(fx, fx->path, -EPROTO, WORDS("FORMAT", "format 0"));
	for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++) {
		scratch_write(path, damaged[i], strlen(damaged[i]));
		assert_refused(fx, fx->path, -EUCLEAN, WORDS("FORMAT"));
	}
	scratch_write(path, "memofs store, format 1\n", 23);
	fixture_open(fx);
}

/* ---- a store of format 1 ---- */

/* What makes a closed store one: it has none of the tables that came later. */
static void drop_later_tables(const struct fixture *fx)
{
	static const enum table later[] = {TABLE_LEASE, TABLE_SHARE, TABLE_SAME,
					   TABLE_HISTORY};
	rocksdb_column_family_handle_t *families[TABLE_COUNT + 1];
	const rocksdb_options_t *options[TABLE_COUNT + 1];
	const char *names[TABLE_COUNT + 1];
	rocksdb_options_t *opt = rocksdb_options_create();
	char *error = NULL, path[512];
	rocksdb_t *db;

	rocksdb_options_set_uint64add_merge_operator(opt);
	for (int t = 0; t <= TABLE_COUNT; t++) {
		names[t] = t < TABLE_COUNT ? table_name((enum table)t) : "default";
		options[t] = opt;
	}
	file_in(fx, "db", path);
	db = rocksdb_open_column_families(opt, path, TABLE_COUNT + 1, names, options,
					  families, &error);
	assert_null(error);
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
		rocksdb_drop_column_family(db, families[later[i]], &error);
		assert_null(error);
	}
	for (int t = 0; t <= TABLE_COUNT; t++)
		rocksdb_column_family_handle_destroy(families[t]);
	rocksdb_close(db);
	rocksdb_options_destroy(opt);
}

static void make_format_1(struct fixture *fx)
{
	struct batch b = BATCH_INIT;
	char path[512];

	batch_put(&b, TABLE_META, slice_str("root"), slice("\1", 1));
	assert_ok(backend_commit(fx->st->be, &b));
	batch_deinit(&b);
	fixture_close(fx);
	drop_later_tables(fx);
	file_in(fx, "FORMAT", path);
	scratch_write(path, "memofs store, format 1\n", 23);
}

static void assert_format(const struct fixture *fx, const char *expected)
{
	char path[512], text[64] = "";
	FILE *file;

	file_in(fx, "FORMAT", path);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, expected);
}

static void test_format_1_is_raised(void **state)
{
	struct fixture *fx = fixture_of(state);
	struct buf text = BUF_INIT;
	uint64_t dir, file;
	int64_t ttl_ns;

	dir = make_dir(fx->st, ROOT, "d");
	file = make_file(fx->st, dir, "f", "content");
	assert_ok(store_ttl_set(fx->st, dir, 3600 * NSEC_PER_SEC, "PT1H"));
	assert_format(fx, "memofs store, format 4\n");
	make_format_1(fx);
	fixture_open(fx);

	assert_format(fx, "memofs store, format 4\n");
	assert_int_equal(lookup(fx->st, dir, "f"), file);
	assert_ok(store_ttl_get(fx->st, dir, &ttl_ns, &text));
	assert_true(ttl_ns == 3600 * NSEC_PER_SEC);
	buf_deinit(&text);
	assert_ok(store_lease_acquire(fx->st, dir, "f", "me", NSEC_PER_SEC * 600, NULL));
	assert_ok(store_setting_set(fx->st, dir, STORE_SETTING_LEASE, "5m"));
	fixture_close(fx);
	fixture_open(fx);
	assert_int_equal(store_lease_count(fx->st), 1);
	check_settled(fx->st);
}

static void test_not_ours(void **state)
{
	struct fixture *fx = fixture_of(state);
	char path[SCRATCH_MAX + 16], file[SCRATCH_MAX + 32];
	struct stat sb;

	fixture_close(fx);
	snprintf(path, sizeof(path), "%s/other", fx->dir);
	snprintf(file, sizeof(file), "%s/precious", path);
	assert_ok(mkdir(path, 0755));
	scratch_write(file, "data", 4);
	assert_refused(fx, path, -ENOTEMPTY, WORDS("precious", "empty"));
	snprintf(file, sizeof(file), "%s/LOCK", path);
	assert_int_equal(stat(file, &sb), -1); /* it was not touched */

	snprintf(file, sizeof(file), "%s/precious", path);
	assert_refused(fx, file, -ENOTDIR, WORDS("not a directory"));
	snprintf(path, sizeof(path), "%s/no/parent", fx->dir);
	assert_refused(fx, path, -ENOENT, WORDS("does not exist"));
}

/* An empty directory will do, also one that is the root of a file system. */
static void test_empty_directory(void **state)
{
	struct fixture *fx = fixture_of(state);
	struct store_options opt = fixture_options(fx);
	char path[SCRATCH_MAX + 16], lost[SCRATCH_MAX + 32];

	fixture_close(fx);
	snprintf(path, sizeof(path), "%s/other", fx->dir);
	snprintf(lost, sizeof(lost), "%s/lost+found", path);
	assert_ok(mkdir(path, 0755));
	assert_ok(mkdir(lost, 0700));
	opt.path = path;
	assert_ok(store_open(&opt, &fx->st, NULL));
	make_link(fx->st, ROOT, "l");
}

/* Making it was interrupted: before the database, and after it. */
static void test_making_is_resumed(void **state)
{
	struct fixture *fx = fixture_of(state);
	struct store_options opt = fixture_options(fx);
	char path[SCRATCH_MAX + 16], from[512], to[512];

	fixture_close(fx);
	file_in(fx, "FORMAT", from);
	file_in(fx, "FORMAT.new", to);
	assert_ok(rename(from, to));
	fixture_open(fx);
	make_link(fx->st, ROOT, "l");
	fixture_close(fx);
	assert_ok(access(from, F_OK));

	snprintf(path, sizeof(path), "%s/begun", fx->dir);
	assert_ok(mkdir(path, 0700));
	snprintf(to, sizeof(to), "%s/FORMAT.new", path);
	scratch_write(to, "memofs st", 9);
	opt.path = path;
	assert_ok(store_open(&opt, &fx->st, NULL));
	make_link(fx->st, ROOT, "l");
}

/* The database is gone: extents must not be taken for orphans. */
static void test_database_missing(void **state)
{
	struct fixture *fx = fixture_of(state);
	char db[512], extents[512];
	struct stat sb;

	fixture_close(fx);
	file_in(fx, "db", db);
	file_in(fx, "extents", extents);
	scratch_remove(db);
	assert_refused(fx, fx->path, -EUCLEAN, WORDS("database is missing", "backup"));
	assert_refused(fx, fx->path, -EUCLEAN, WORDS("database is missing"));
	assert_ok(stat(extents, &sb));
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_everything_persists),
	    STORE_TEST(test_root_is_made_once),
	    STORE_TEST(test_numbers_are_lost),
	    STORE_TEST(test_numbers_after_kill),
	    STORE_TEST(test_tree_after_kill),
	    STORE_TEST(test_reservations_after_kill),
	    STORE_TEST(test_locked),
	    STORE_TEST(test_format),
	    STORE_TEST(test_format_1_is_raised),
	    STORE_TEST(test_not_ours),
	    STORE_TEST(test_empty_directory),
	    STORE_TEST(test_making_is_resumed),
	    STORE_TEST(test_database_missing),
	};

	if (argc == 3)
		return child_main(argv[1], argv[2]);
	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
