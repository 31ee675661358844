/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct store_options fixture_options(const struct fixture *fx)
{
	return (struct store_options){.kind = fx->kind,
				      .path = fx->path,
				      .root_uid = 1,
				      .root_gid = 2,
				      .root_mode = 0755,
				      .size_bytes = fx->size_bytes,
				      .clock = fx->clock};
}

static int open_store(struct fixture *fx)
{
	struct store_options opt = fixture_options(fx);
	struct errmsg err = {0};
	int r = store_open(&opt, &fx->st, &err);

	if (r)
		print_error("store_open: %s: %s\n", strerror(-r), err.text);
	return r;
}

void fixture_open(struct fixture *fx)
{
	assert_ok(open_store(fx));
}

void fixture_close(struct fixture *fx)
{
	list_close(fx);
	store_close(fx->st);
	fx->st = NULL;
}

int fixture_setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	if (!fx)
		return -1;
	fx->kind = *(const enum store_kind *)*state;
	*state = fx;
	scratch_make(fx->dir);
	snprintf(fx->path, sizeof(fx->path), "%s/store", fx->dir);
	return open_store(fx);
}

int fixture_teardown(void **state)
{
	struct fixture *fx = *state;

	fixture_close(fx);
	scratch_remove(fx->dir);
	free(fx);
	return 0;
}

static int run_on(enum store_kind kind, struct CMUnitTest *tests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		tests[i].initial_state = &kind;
	return _cmocka_run_group_tests(kind == STORE_MEMORY ? "memory" : "rocksdb", tests,
				       count, NULL, NULL);
}

int fixture_main(int argc, char **argv, struct CMUnitTest *tests, size_t count)
{
	const char *kind = argc == 2 ? argv[1] : "both";
	bool memory = !strcmp(kind, "memory") || argc == 1;
	bool rocksdb = !strcmp(kind, "rocksdb") || argc == 1;

	if (!memory && !rocksdb) {
		fprintf(stderr, "usage: %s [memory|rocksdb]\n", argv[0]);
		return 2;
	}
	return (memory ? run_on(STORE_MEMORY, tests, count) : 0) +
	       (rocksdb ? run_on(STORE_ROCKSDB, tests, count) : 0);
}

/* ---- short forms ---- */

uint64_t make_dir(struct store *st, uint64_t branch, const char *name)
{
	struct store_attr attr;

	assert_ok(store_mkdir(st, branch, name, 0755, 10, 20, &attr));
	return attr.ino;
}

uint64_t make_link(struct store *st, uint64_t branch, const char *name)
{
	struct store_attr attr;

	assert_ok(store_symlink(st, branch, name, "target", 10, 20, &attr));
	return attr.ino;
}

uint64_t make_file(struct store *st, uint64_t branch, const char *name, const char *text)
{
	struct store_stage_args args = {
	    .branch = branch, .mode = 0644, .writer = {.uid = 10, .gid = 20}};
	struct store_staged *sg = NULL;
	uint64_t ino = 0;
	int r;

	assert_ok(store_stage(st, &args, &sg));
	r = store_staged_write(sg, text, strlen(text), 0);
	if (r == 0)
		r = store_publish(sg, branch, name, false, &ino, NULL);
	store_staged_free(sg);
	assert_ok(r);
	return ino;
}

uint64_t lookup(struct store *st, uint64_t branch, const char *name)
{
	struct store_attr attr;
	int r = store_lookup(st, branch, name, &attr);

	if (r == -ENOENT)
		return 0;
	assert_ok(r);
	return attr.ino;
}

uint64_t branch_of(struct store *st, uint64_t dir_ino, const char *version)
{
	uint64_t branch;

	assert_ok(store_branch(st, dir_ino, version, true, &branch));
	return branch;
}

void set_ttl_ms(struct store *st, uint64_t ino, int64_t ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%jdms", (intmax_t)ms);
	assert_ok(store_ttl_set(st, ino, ms * 1000000, text));
}

struct store_attr attr_of(struct store *st, uint64_t ino)
{
	struct store_attr attr;

	assert_ok(store_getattr(st, ino, &attr));
	return attr;
}

void sleep_until(int64_t when_ns)
{
	struct timespec ts = {.tv_sec = when_ns / NSEC_PER_SEC,
			      .tv_nsec = when_ns % NSEC_PER_SEC};

	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

void assert_same_attr(const struct store_attr *a, const struct store_attr *b)
{
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->size_bytes, b->size_bytes);
	assert_int_equal(a->disk_bytes, b->disk_bytes);
	assert_int_equal(a->atime_ns, b->atime_ns);
	assert_int_equal(a->mtime_ns, b->mtime_ns);
	assert_int_equal(a->ctime_ns, b->ctime_ns);
	assert_int_equal(a->created_ns, b->created_ns);
	assert_int_equal(a->expires_ns, b->expires_ns);
}

struct store_dir *list_open(struct fixture *fx, uint64_t branch)
{
	list_close(fx);
	assert_ok(store_dir_open(fx->st, branch, &fx->list));
	return fx->list;
}

void list_close(struct fixture *fx)
{
	store_dir_close(fx->list);
	fx->list = NULL;
}

void list_names(struct store *st, uint64_t branch, struct buf *ret_names)
{
	struct store_dirent ent;
	struct store_dir *dir;
	int r;

	buf_clear(ret_names);
	assert_ok(store_dir_open(st, branch, &dir));
	while ((r = store_dir_next(dir, &ent)) == 0)
		r = buf_printf(ret_names, "%s ", ent.name);
	store_dir_close(dir);
	assert_int_equal(r, -ENOENT);
	assert_ok(buf_append(ret_names, "", 1));
}

void assert_names(struct store *st, uint64_t branch, const char *expected)
{
	struct buf names = BUF_INIT;

	list_names(st, branch, &names);
	assert_string_equal((const char *)names.data, expected);
	buf_deinit(&names);
}
