/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fills up below a store: what is refused, what is not, and what
 * makes room again. The disk is a tmpfs in a mount namespace of its own; without
 * the right to mount the program is skipped (77).
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/digest.h"
#include "store/lease.h"
#include "store/util/log.h"
#include "store/util/pack.h"
#include "tests/conformance/value_fixture.h"

#define DISK_MIB 48
#define RESERVE (DISK_MIB * MIB / 8)
/* What a thread may take between two looks, and the database meanwhile. */
#define SLACK MIB
/* Deleted small values give their space back when the database has compacted. */
#define COMPACTION_S 30

static int disk_setup_with(void **state, const char *options)
{
	struct fixture *fx;

	if (fixture_setup(state))
		return -1;
	fx = *state;
	fixture_close(fx);
	if (mount("tmpfs", fx->dir, "tmpfs", 0, options))
		return -1;
	/* What is full here is the disk, and nothing may be evicted. */
	fx->size_bytes = STORE_SIZE_NONE;
	fixture_open(fx);
	assert_ok(store_setting_set(fx->st, ROOT, STORE_SETTING_PIN, "yes"));
	return 0;
}

static int disk_setup(void **state)
{
	return disk_setup_with(state, "size=48m");
}

/* Of a size that the database makes nothing smaller for. */
static int large_disk_setup(void **state)
{
	return disk_setup_with(state, "size=1g");
}

static int disk_teardown(void **state)
{
	struct fixture *fx = *state;

	store_close(fx->st);
	fx->st = NULL;
	if (umount2(fx->dir, 0))
		umount2(fx->dir, MNT_DETACH);
	return fixture_teardown(state);
}

#define DISK_TEST(fn) cmocka_unit_test_setup_teardown(fn, disk_setup, disk_teardown)

static uint64_t free_bytes(const struct fixture *fx)
{
	struct statvfs vfs;

	assert_int_equal(statvfs(fx->dir, &vfs), 0);
	return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* Another program's file, which leaves `spare` bytes. */
static void fill_from_outside(const struct fixture *fx, size_t spare)
{
	char path[SCRATCH_MAX + 8];
	uint64_t avail = free_bytes(fx);
	int fd;

	snprintf(path, sizeof(path), "%s/filler", fx->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(avail > spare);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)(avail - spare)), 0);
	close(fd);
	usleep(100 * 1000); /* the store's last look at the disk is old by then */
}

static void remove_filler(const struct fixture *fx)
{
	char path[SCRATCH_MAX + 8];

	snprintf(path, sizeof(path), "%s/filler", fx->dir);
	assert_int_equal(unlink(path), 0);
}

/* pattern(len, 1) under the name, or an error. */
static int try_put(struct store *st, const char *name, size_t len)
{
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(len, 1);
	int r = store_staged_write(sg, data, len, 0);

	if (!r)
		r = store_publish(sg, ROOT, name, false, NULL, NULL);
	free(data);
	store_staged_free(sg);
	return r;
}

/* Write one value until it is refused; it fails for good. */
static void fill(struct store *st, const char *name)
{
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(MIB, 3);
	int r = 0;

	for (size_t i = 0; !r && i < 2 * DISK_MIB; i++)
		r = store_staged_write(sg, data, MIB, i * MIB);
	free(data);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(store_staged_flush(sg, ROOT, name), -ENOSPC);
	assert_int_equal(store_publish(sg, ROOT, name, false, NULL, NULL), -ENOSPC);
	store_staged_free(sg);
}

static void test_full_disk(void **state)
{
	struct fixture *fx = *state;
	uint64_t small = put_value(fx->st, "small", 1000, 1);
	uint64_t large = put_value(fx->st, "large", MIB, 2);

	fill(fx->st, "large");
	fill(fx->st, "small");
	fill(fx->st, "other");
	assert_int_equal(lookup(fx->st, ROOT, "small"), small);
	assert_int_equal(lookup(fx->st, ROOT, "large"), large);
	assert_int_equal(lookup(fx->st, ROOT, "other"), 0);
	assert_value(fx->st, small, 1000, 1);
	assert_value(fx->st, large, MIB, 2);

	/* The room is back, and so is everything else. */
	small = put_value(fx->st, "small", 2000, 4);
	large = put_value(fx->st, "large", 2 * MIB, 5);
	assert_left(fx->st, 1, 1);
	fixture_close(fx);
	fixture_open(fx);
	assert_value(fx->st, small, 2000, 4);
	assert_value(fx->st, large, 2 * MIB, 5);
}

/* What was removed makes room at once, though it is deleted in the background. */
static void test_removed_makes_room(void **state)
{
	struct fixture *fx = *state;

	for (uint64_t i = 0; i < 4; i++) {
		uint64_t ino = put_value(fx->st, "f", 28 * MIB, i);

		assert_value(fx->st, ino, 28 * MIB, i);
		assert_ok(store_unlink(fx->st, ROOT, "f"));
	}
}

/* Values of a MiB until no more fit. Returns how many. */
static unsigned int fill_with_entries(struct store *st)
{
	unsigned int count = 0;
	char name[16];
	int r;

	for (;; count++) {
		snprintf(name, sizeof(name), "e%u", count);
		r = try_put(st, name, MIB);
		if (r)
			break;
	}
	assert_int_equal(r, -ENOSPC);
	return count;
}

/* Values stop at the reserve, and what makes no entry may use it. */
static void test_reserve(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "dir"),
		 file = make_file(st, dir, "file", "text");
	struct store_attr attr = {.mode = 0600};
	struct store_stats stats;
	unsigned int count = fill_with_entries(st);

	assert_true(count > 20);
	assert_in_range(free_bytes(fx), RESERVE - SLACK, RESERVE + 2 * MIB);
	assert_ok(store_stats(st, &stats));
	assert_in_range(stats.disk_avail_bytes, 0, 2 * MIB);
	assert_true(stats.disk_free_bytes >= RESERVE - SLACK);
	fill_from_outside(fx, RESERVE / 2);

	assert_int_equal(try_put(st, "one byte", 1), -ENOSPC);
	assert_int_equal(try_put(st, "e0", 1), -ENOSPC);
	assert_int_equal(store_mkdir(st, ROOT, "new", 0755, 0, 0, &attr), -ENOSPC);
	assert_int_equal(store_symlink(st, ROOT, "new", "to", 0, 0, &attr), -ENOSPC);
	assert_value(st, lookup(st, ROOT, "e0"), MIB, 1);

	attr.mode = 0600;
	assert_ok(store_setattr(st, file, STORE_SET_MODE, &attr, &attr));
	set_ttl_ms(st, dir, 3600 * 1000);
	assert_ok(store_xattr_set(st, file, "user.a", slice("b", 1), 0));
	assert_ok(store_rename(st, dir, "file", ROOT, "moved", 0, NULL));
	assert_ok(store_rmdir(st, ROOT, "dir"));
	assert_ok(store_unlink(st, ROOT, "moved"));
}

/* rm on a full store works, and what it frees can be used when it has returned. */
static void test_rm_on_a_full_store(void **state)
{
	struct fixture *fx = *state;
	unsigned int count = fill_with_entries(fx->st);
	char name[16];

	for (unsigned int i = 0; i < count; i += 2) {
		snprintf(name, sizeof(name), "e%u", i);
		assert_ok(store_unlink(fx->st, ROOT, name));
	}
	for (unsigned int i = 0; i < count; i += 2) {
		snprintf(name, sizeof(name), "e%u", i);
		assert_value(fx->st, put_value(fx->st, name, MIB, i), MIB, i);
	}
	assert_value(fx->st, lookup(fx->st, ROOT, "e1"), MIB, 1);
	assert_left(fx->st, 0, count);
}

/* A file that is being read keeps its room until it is closed. */
static void test_room_of_what_is_open(void **state)
{
	struct fixture *fx = *state;
	struct store_gen *gen;

	gen = open_value(fx->st, put_value(fx->st, "f", 28 * MIB, 1));
	assert_ok(store_unlink(fx->st, ROOT, "f"));
	assert_int_equal(try_put(fx->st, "g", 28 * MIB), -ENOSPC);
	store_gen_close(gen);
	assert_ok(try_put(fx->st, "g", 28 * MIB));
}

/*
 * A compaction may have what is kept free, for a moment; and RocksDB lets seconds pass
 * before it tries again one that had not enough.
 */
static int unlink_soon(struct store *st, const char *name)
{
	int64_t until_ns = time_monotonic_ns() + COMPACTION_S * NSEC_PER_SEC;
	int r;

	do
		r = store_unlink(st, ROOT, name);
	while (r == -ENOSPC && time_monotonic_ns() < until_ns && usleep(20000) == 0);
	return r;
}

/* On a busy machine it takes longer than a writer is kept for. */
static int put_soon(struct store *st, const char *name, size_t len)
{
	int64_t until_ns = time_monotonic_ns() + COMPACTION_S * NSEC_PER_SEC;
	int r;

	do
		r = try_put(st, name, len);
	while (r == -ENOSPC && time_monotonic_ns() < until_ns && usleep(20000) == 0);
	return r;
}

static unsigned int fill_with_small(struct store *st)
{
	unsigned int count = 0;
	char name[16];
	int r;

	for (;; count++) {
		snprintf(name, sizeof(name), "%u", count);
		r = try_put(st, name, SMALL);
		if (r)
			break;
	}
	assert_int_equal(r, -ENOSPC);
	return count;
}

/* The same where everything is in the database, which must be made to shrink. */
static void test_small_values(void **state)
{
	struct fixture *fx = *state;
	unsigned int count = fill_with_small(fx->st);
	char name[16];

	/* Log and compaction take most of the disk. */
	assert_true(count > 400);
	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_value(fx->st, lookup(fx->st, ROOT, name), SMALL, 1);
		assert_ok(unlink_soon(fx->st, name));
	}
	assert_left(fx->st, 0, 0);

	for (unsigned int i = 0; i < count / 2; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_ok(put_soon(fx->st, name, SMALL));
	}
	assert_left(fx->st, count / 2, 0);
}

/*
 * What the database has in memory only will need room for its tables: that is not given
 * away before, be the reserve ever so small, and removals always work.
 */
static void test_room_for_tables(void **state)
{
	struct fixture *fx = *state;
	struct store_options opt = fixture_options(fx);
	unsigned int count;
	char name[16];

	opt.reserve_bytes = MIB;
	store_set_bounds(fx->st, &opt);
	fill_from_outside(fx, 48 * MIB);
	count = fill_with_small(fx->st);
	assert_true(count > 200);
	usleep(500 * 1000); /* what is written in the background has its time */
	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_value(fx->st, lookup(fx->st, ROOT, name), SMALL, 1);
		assert_ok(store_unlink(fx->st, ROOT, name));
	}
	assert_left(fx->st, 0, 0);
}

/*
 * Values that are replaced again and again do not fill the disk: not with their log, nor
 * with what is deleted later. Removals are never refused.
 */
static void test_replaced_values(void **state)
{
	struct fixture *fx = *state;
	char name[16];

	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%u", i % 100);
		assert_ok(put_soon(fx->st, name, SMALL * 2 / 3));
		snprintf(name, sizeof(name), "%u", (i + 50) % 100);
		if (i >= 50)
			assert_ok(store_unlink(fx->st, ROOT, name));
	}
	assert_left(fx->st, 50, 0);
}

/* What fsync and close have returned for is published, be the disk full or not. */
static void test_fsynced_is_published(void **state)
{
	struct fixture *fx = *state;
	struct store_staged *sg = stage_new(fx->st), *late = stage_new(fx->st);
	uint8_t *data = pattern(MIB, 7);

	assert_ok(store_staged_write(sg, data, MIB, 0));
	assert_ok(store_staged_write(late, data, MIB, 0));
	free(data);
	assert_ok(store_staged_sync(sg));
	assert_ok(store_staged_flush(sg, ROOT, "f"));
	fill_from_outside(fx, RESERVE / 2);
	assert_value(fx->st, publish(sg, "f"), MIB, 7);

	assert_ok(store_staged_sync(late));
	assert_int_equal(store_staged_flush(late, ROOT, "late"), -ENOSPC);
	assert_int_equal(store_publish(late, ROOT, "late", false, NULL, NULL), -ENOSPC);
	store_staged_free(late);
	remove_filler(fx);
	assert_ok(try_put(fx->st, "late", MIB));
	assert_left(fx->st, 0, 2);
}

/* Space that is asked for at once is refused at once, and nothing is harmed. */
static void test_allocate(void **state)
{
	struct fixture *fx = *state;
	struct store_staged *sg = stage_new(fx->st);

	assert_ok(store_staged_write(sg, "text", 4, 0));
	assert_int_equal(store_staged_allocate(sg, 0, 0, DISK_MIB * MIB), -ENOSPC);
	assert_ok(store_staged_allocate(sg, 0, 0, MIB));
	assert_int_equal(attr_of(fx->st, publish(sg, "f")).size_bytes, MIB);
	assert_left(fx->st, 0, 1);
}

/* Nobody begins what could not be stored; who has begun goes on, and can end. */
static void test_reservations(void **state)
{
	struct fixture *fx = *state;
	int64_t hour = 3600 * NSEC_PER_SEC;
	uint64_t token;

	assert_ok(store_lease_acquire(fx->st, ROOT, "f", "alice", hour, NULL));
	fill_from_outside(fx, RESERVE / 2);
	assert_int_equal(store_lease_acquire(fx->st, ROOT, "g", "alice", hour, NULL),
			 -ENOSPC);
	assert_int_equal(store_lease_acquire(fx->st, ROOT, "f", "bob", hour, NULL),
			 -EBUSY);
	assert_ok(store_lease_acquire(fx->st, ROOT, "f", "alice", 2 * hour, NULL));
	assert_ok(store_lease_extend(fx->st, ROOT, "f", "alice", hour, NULL));
	assert_ok(store_lease_begin_publish(fx->st, ROOT, "f", "alice", 0, &token));
	store_lease_end_publish(fx->st, ROOT, "f", token, true);
	assert_int_equal(store_lease_count(fx->st), 0);
	remove_filler(fx);
	assert_ok(store_lease_acquire(fx->st, ROOT, "f", "bob", hour, NULL));
}

static size_t count_lines(const char *path, const char *part)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, part) != NULL;
	fclose(file);
	return n;
}

/* One line when it begins, not one for each write that is refused. */
static void test_log_line(void **state)
{
	struct fixture *fx = *state;
	char path[SCRATCH_MAX + 8];

	snprintf(path, sizeof(path), "%s/log", fx->dir);
	assert_ok(log_open(LOG_SINK_FILE, path, NULL));
	for (size_t round = 1; round <= 2; round++) {
		fill_from_outside(fx, RESERVE / 2);
		for (int i = 0; i < 10; i++)
			assert_int_equal(try_put(fx->st, "f", 10), -ENOSPC);
		assert_int_equal(count_lines(path, "no room on the disk"), round);
		remove_filler(fx);
		assert_ok(try_put(fx->st, "f", 10));
	}
	log_close();
}

/* A file of 256 bytes that trees are searched for: one in eight is, by its hash. */
static void add_searched(struct pack_maker *maker, struct buf *raw, uint64_t number)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item item = {
	    .type = PACK_FILE, .off = raw->len, .size_bytes = 256, .hash = hash};
	uint64_t data[32] = {number};
	char path[16];

	do {
		data[1]++;
		digest_of(slice(data, sizeof(data)), hash);
	} while (hash[0] % 8);
	snprintf(path, sizeof(path), "%llu", (unsigned long long)number);
	item.path = path;
	assert_ok(buf_append(raw, data, sizeof(data)));
	assert_ok(pack_maker_add(maker, &item));
}

/* Where the contents of a tree are is not written down when the disk is nearly full. */
static void test_what_trees_hold(void **state)
{
	struct store_stage_args args = {.branch = ROOT, .mode = 0644, .sealed = true};
	struct fixture *fx = *state;
	struct store *st = fx->st;

	for (unsigned int round = 0; round < 2; round++) {
		struct store_staged *sg;
		struct pack_maker *maker;
		struct buf raw = BUF_INIT;

		assert_ok(pack_maker_new(&maker));
		for (uint64_t i = 0; i < 2000; i++)
			add_searched(maker, &raw, i);
		assert_ok(pack_maker_finish(maker, raw.len, &raw));
		pack_maker_free(maker);
		assert_ok(store_stage(st, &args, &sg));
		assert_ok(store_staged_write(sg, raw.data, raw.len, 0));
		assert_ok(store_staged_check(sg, NULL));
		assert_ok(store_publish(sg, ROOT, "tree", false, NULL, NULL));
		buf_deinit(&raw);
		if (!round)
			fill_from_outside(fx, RESERVE / 2);
		store_staged_free(sg);
		assert_ok(store_settle(st));
		assert_int_equal(count_rows(st, TABLE_SAME), round ? 2000 : 0);
		if (!round)
			remove_filler(fx);
		assert_ok(store_rmdir(st, ROOT, "tree"));
		assert_left(st, 0, 0);
	}
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    DISK_TEST(test_full_disk),
	    DISK_TEST(test_removed_makes_room),
	    DISK_TEST(test_reserve),
	    DISK_TEST(test_rm_on_a_full_store),
	    DISK_TEST(test_room_of_what_is_open),
	    DISK_TEST(test_small_values),
	    cmocka_unit_test_setup_teardown(test_room_for_tables, large_disk_setup,
					    disk_teardown),
	    DISK_TEST(test_replaced_values),
	    DISK_TEST(test_fsynced_is_published),
	    DISK_TEST(test_allocate),
	    DISK_TEST(test_reservations),
	    DISK_TEST(test_log_line),
	    DISK_TEST(test_what_trees_hold),
	};

	/* Before any thread is started: they would keep the old namespace. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		warn("no mount namespace");
		return 77;
	}
	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
