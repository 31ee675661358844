/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values being written, and generations that are open, over the death of their process.
 *
 * A child changes values at random and says in shared memory what each should hold; it is
 * killed at any moment, and the next one opens the store with the same kept memory,
 * compares, and goes on. Only the call that was under way may have happened or not.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/util/keep.h"
#include "tests/conformance/crash_fixture.h"
#include "tests/conformance/value_fixture.h"

enum { VALUES = 4, KEEP_BYTES = 64 << 20 };
#define LENGTH_MAX ((size_t)400 * 1000)
/* More than one change of a value's bytes takes, so that a buffer is written anew. */
#define ROUNDS_DEFAULT 12

enum op { OP_NONE, OP_WRITE, OP_SIZE, OP_ZERO, OP_ATTR, OP_XATTR, OP_PUBLISH, OP_BEGIN };

struct model {
	uint64_t ino; /* 0: not begun */
	uint64_t size;
	uint32_t mode;
	uint32_t xattr;
	/* Under way. */
	enum op op;
	uint64_t off, len, seed;
	uint32_t new_mode;
	uint8_t bytes[LENGTH_MAX];
};

struct shared {
	_Atomic int ready; /* the child has compared, and goes on */
	_Atomic int failed_line;
	_Atomic uint64_t ops;
	uint64_t seed;
	struct model values[VALUES];
};

struct resume_fixture {
	struct fixture *fx;
	struct shared *shared;
	struct keep *keep;
	int keep_fd;
};

/* In the child, which says where it failed. */
#define check(condition)                                                                 \
	do {                                                                             \
		if (!(condition)) {                                                      \
			shared->failed_line = __LINE__;                                  \
			_exit(5);                                                        \
		}                                                                        \
	} while (0)

static uint64_t random_number(struct shared *shared)
{
	shared->seed ^= shared->seed << 13;
	shared->seed ^= shared->seed >> 7;
	shared->seed ^= shared->seed << 17;
	return shared->seed;
}

static uint64_t below(struct shared *shared, uint64_t end)
{
	return random_number(shared) % end;
}

static uint8_t byte_at(uint64_t seed, uint64_t i)
{
	return (uint8_t)((seed + i * 2654435761u) >> 5);
}

/* ---- what it should be ---- */

static bool in_range(const struct model *m, uint64_t at)
{
	return (m->op == OP_WRITE || m->op == OP_ZERO) && at >= m->off &&
	       at < m->off + m->len;
}

static bool byte_is_good(const struct model *m, uint64_t at, uint8_t byte)
{
	uint8_t expected = at < m->size ? m->bytes[at] : 0;

	if (byte == expected)
		return true;
	return in_range(m, at) &&
	       byte == (m->op == OP_WRITE ? byte_at(m->seed, at - m->off) : 0);
}

static bool size_is_good(const struct model *m, uint64_t size)
{
	if (size == m->size)
		return true;
	if (m->op == OP_WRITE)
		return size > m->size && size <= m->off + m->len;
	return m->op == OP_SIZE && size == m->off;
}

static void take_bytes(struct model *m, const uint8_t *bytes, uint64_t size)
{
	memcpy(m->bytes, bytes, size);
	m->size = size;
}

static void compare_bytes(struct shared *shared, struct model *m, const uint8_t *bytes,
			  uint64_t size)
{
	check(size_is_good(m, size));
	for (uint64_t i = 0; i < size; i++)
		check(byte_is_good(m, i, bytes[i]));
	take_bytes(m, bytes, size);
}

static void compare_attrs(struct shared *shared, struct model *m, struct store_staged *sg)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	struct store_attr attr;
	uint32_t xattr = 0;
	int r;

	store_staged_attr(sg, &attr);
	check((attr.mode & 07777) == m->mode ||
	      (m->op == OP_ATTR && (attr.mode & 07777) == m->new_mode));
	m->mode = attr.mode & 07777;
	r = store_staged_xattr_get(sg, "user.n", &value);
	check(!r || r == -ENODATA);
	if (!r && value.len == sizeof(xattr))
		memcpy(&xattr, value.data, sizeof(xattr));
	check(xattr == m->xattr || (m->op == OP_XATTR && xattr == m->new_mode));
	m->xattr = xattr;
}

static void compare_staged(struct shared *shared, struct model *m,
			   struct store_staged *sg)
{
	uint8_t *bytes = malloc(LENGTH_MAX + 1);
	size_t n;

	check(bytes);
	check(!store_staged_read(sg, bytes, LENGTH_MAX + 1, 0, &n));
	check(n <= LENGTH_MAX);
	compare_bytes(shared, m, bytes, n);
	compare_attrs(shared, m, sg);
	free(bytes);
}

static void name_of(unsigned int i, char ret_name[8])
{
	snprintf(ret_name, 8, "v%u", i);
}

/* It was published and freed, and its process died before it could say so. */
static void compare_published(struct shared *shared, struct model *m, struct store *st,
			      unsigned int i)
{
	uint8_t *bytes = malloc(LENGTH_MAX + 1);
	struct store_attr attr;
	struct store_gen *gen;
	char name[8];
	size_t n;

	name_of(i, name);
	check(m->op == OP_PUBLISH && bytes);
	check(!store_lookup(st, ROOT, name, &attr) && attr.ino == m->ino);
	check(!store_gen_open(st, m->ino, &gen));
	check(!store_gen_read(gen, bytes, LENGTH_MAX + 1, 0, &n));
	compare_bytes(shared, m, bytes, n);
	store_gen_close(gen);
	free(bytes);
}

/* ---- the child ---- */

static void begin(struct shared *shared, struct store *st, unsigned int i,
		  struct store_staged **ret_sg)
{
	struct model *m = &shared->values[i];
	struct store_stage_args args = {.branch = ROOT, .mode = 0600};
	struct store_attr attr = {0};
	struct store_gen *gen;
	char name[8];
	size_t n = 0;

	name_of(i, name);
	m->size = 0;
	m->xattr = 0;
	/* Half of them over what is there, whose bytes they keep for as long as they can.
	 */
	if (below(shared, 2) && !store_lookup(st, ROOT, name, &attr)) {
		args.base_ino = attr.ino;
		check(!store_gen_open(st, attr.ino, &gen));
		check(!store_gen_read(gen, m->bytes, LENGTH_MAX, 0, &n));
		store_gen_close(gen);
	}
	check(!store_stage(st, &args, ret_sg));
	m->size = n;
	store_staged_attr(*ret_sg, &attr);
	m->mode = attr.mode & 07777;
	m->op = OP_NONE;
	m->ino = store_staged_ino(*ret_sg);
	/* What the base has of attributes, it has. */
	if (args.base_ino) {
		CLEANUP_BUF struct buf value = BUF_INIT;

		if (!store_staged_xattr_get(*ret_sg, "user.n", &value))
			memcpy(&m->xattr, value.data, sizeof(m->xattr));
	}
}

/* What it has, where its process died in the midst of begin(): nobody was told of it. */
static bool resume_value(struct shared *shared, struct store *st, unsigned int i,
			 struct store_staged **ret_sg)
{
	struct model *m = &shared->values[i];
	double cost_s;
	int r;

	if (!m->ino)
		return false;
	r = store_staged_resume(st, m->ino, ret_sg);
	if (r == -ENOENT)
		compare_published(shared, m, st, i);
	else
		check(!r);
	if (r)
		return false;
	compare_staged(shared, m, *ret_sg);
	if (!store_staged_published(*ret_sg, &cost_s))
		return true;
	check(m->op == OP_PUBLISH);
	store_staged_free(*ret_sg);
	return false;
}

static void do_write(struct shared *shared, struct model *m, struct store_staged *sg)
{
	static uint8_t bytes[LENGTH_MAX];

	m->len = 1 + below(shared, below(shared, 8) ? 3000 : 60000);
	m->off = below(shared, below(shared, 2) ? m->size + 1 : m->size + 1000);
	if (m->off + m->len > LENGTH_MAX)
		m->off = LENGTH_MAX - m->len;
	m->seed = random_number(shared);
	for (uint64_t i = 0; i < m->len; i++)
		bytes[i] = byte_at(m->seed, i);
	m->op = OP_WRITE;
	check(!store_staged_write(sg, bytes, m->len, m->off));
	if (m->off > m->size)
		memset(m->bytes + m->size, 0, m->off - m->size);
	memcpy(m->bytes + m->off, bytes, m->len);
	if (m->off + m->len > m->size)
		m->size = m->off + m->len;
}

static void do_size(struct shared *shared, struct model *m, struct store_staged *sg)
{
	m->off = below(shared, below(shared, 3) ? 20000 : LENGTH_MAX);
	m->op = OP_SIZE;
	check(!store_staged_truncate(sg, m->off));
	if (m->off > m->size)
		memset(m->bytes + m->size, 0, m->off - m->size);
	m->size = m->off;
}

static void do_zero(struct shared *shared, struct model *m, struct store_staged *sg)
{
	if (!m->size)
		return;
	m->off = below(shared, m->size);
	m->len = 1 + below(shared, m->size - m->off);
	m->op = OP_ZERO;
	check(!store_staged_allocate(sg, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     m->off, m->len));
	memset(m->bytes + m->off, 0, m->len);
}

static void do_attr(struct shared *shared, struct model *m, struct store_staged *sg)
{
	struct store_attr attr = {0}, now;

	attr.mode = m->new_mode = (uint32_t)below(shared, 01000);
	m->op = OP_ATTR;
	check(!store_staged_setattr(sg, STORE_SET_MODE, &attr, &now));
	m->mode = m->new_mode;
}

static void do_xattr(struct shared *shared, struct model *m, struct store_staged *sg)
{
	m->new_mode = (uint32_t)random_number(shared) | 1;
	m->op = OP_XATTR;
	check(!store_staged_xattr_set(sg, "user.n",
				      slice(&m->new_mode, sizeof(m->new_mode)), 0));
	m->xattr = m->new_mode;
}

/* It is on the disk then, with an intent, until it is changed. */
static void do_sync(struct shared *shared, struct store_staged *sg, unsigned int i)
{
	char name[8];

	name_of(i, name);
	check(!store_staged_sync(sg));
	check(!store_staged_flush(sg, ROOT, name));
}

static void do_publish(struct shared *shared, struct store *st, struct store_staged **sg,
		       unsigned int i)
{
	struct model *m = &shared->values[i];
	char name[8];

	name_of(i, name);
	m->op = OP_PUBLISH;
	check(!store_publish(*sg, ROOT, name, false, NULL, NULL));
	store_staged_free(*sg);
	m->op = OP_NONE;
	m->ino = 0;
	begin(shared, st, i, sg);
}

static void change(struct shared *shared, struct store *st, struct store_staged **sg,
		   unsigned int i)
{
	struct model *m = &shared->values[i];
	uint64_t what = below(shared, 1000);

	if (what < 700)
		do_write(shared, m, *sg);
	else if (what < 770)
		do_size(shared, m, *sg);
	else if (what < 850)
		do_zero(shared, m, *sg);
	else if (what < 920)
		do_attr(shared, m, *sg);
	else if (what < 980)
		do_xattr(shared, m, *sg);
	else if (what < 985)
		do_sync(shared, *sg, i);
	else
		do_publish(shared, st, sg, i);
	m->op = OP_NONE;
	shared->ops++;
}

static int open_with_keep(struct resume_fixture *rf, const uint64_t *inos, size_t count,
			  struct store **ret_st)
{
	struct store_options opt = fixture_options(rf->fx);
	struct errmsg err = {0};
	int r = keep_open(rf->keep_fd, KEEP_BYTES, &rf->keep, &err);

	opt.keep = rf->keep;
	opt.kept_inos = inos;
	opt.kept_count = count;
	if (!r)
		r = store_open(&opt, ret_st, &err);
	if (r)
		print_error("%s\n", err.text);
	return r;
}

static void child(struct resume_fixture *rf)
{
	struct store_staged *sg[VALUES];
	struct shared *shared = rf->shared;
	struct store *st;

	check(!open_with_keep(rf, NULL, 0, &st));
	for (unsigned int i = 0; i < VALUES; i++) {
		if (resume_value(shared, st, i, &sg[i])) {
			shared->values[i].op = OP_NONE;
			continue;
		}
		shared->values[i].ino = 0;
		begin(shared, st, i, &sg[i]);
	}
	store_resume_end(st);
	shared->ready = 1;
	for (;;) {
		unsigned int i = (unsigned int)below(shared, VALUES);

		change(shared, st, &sg[i], i);
	}
}

/* ---- the parent, which has no threads when it forks ---- */

/*
 * The store is not opened: RocksDB's threads, of which a process has one set, would be
 * missing in a child, which then waits for a compaction for ever.
 */
static int resume_setup(void **state)
{
	struct resume_fixture *rf = calloc(1, sizeof(*rf));
	struct fixture *fx = calloc(1, sizeof(*fx));

	if (!rf || !fx)
		return -1;
	fx->kind = *(const enum store_kind *)*state;
	scratch_make(fx->dir);
	snprintf(fx->path, sizeof(fx->path), "%s/store", fx->dir);
	rf->fx = fx;
	rf->keep_fd = memfd_create("keep", MFD_CLOEXEC);
	rf->shared = mmap(NULL, sizeof(*rf->shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*state = rf;
	return rf->keep_fd < 0 || rf->shared == MAP_FAILED ? -1 : 0;
}

static int resume_teardown(void **state)
{
	struct resume_fixture *rf = *state;
	void *fx = rf->fx;
	int r = fixture_teardown(&fx);

	keep_close(rf->keep);
	close(rf->keep_fd);
	munmap(rf->shared, sizeof(*rf->shared));
	free(rf);
	return r;
}

static pid_t start(struct resume_fixture *rf, void (*run)(struct resume_fixture *rf))
{
	pid_t pid;

	rf->shared->ready = 0;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		run(rf);
		_exit(4);
	}
	return pid;
}

/* It is killed `delay_us` later; what it found so far was right. */
static void kill_after(struct resume_fixture *rf, pid_t pid, unsigned int delay_us)
{
	int status;

	usleep(delay_us);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (rf->shared->failed_line)
		fail_msg("the child failed at line %d after %llu changes",
			 rf->shared->failed_line, (unsigned long long)rf->shared->ops);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The same, when it was ready. */
static void kill_ready(struct resume_fixture *rf, pid_t pid, unsigned int delay_us)
{
	siginfo_t info = {0};

	while (!rf->shared->ready && !info.si_pid) {
		assert_ok(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT));
		usleep(500);
	}
	kill_after(rf, pid, delay_us);
}

static void resume_close(struct resume_fixture *rf)
{
	fixture_close(rf->fx);
	keep_close(rf->keep);
	rf->keep = NULL;
}

static void test_killed_while_writing(void **state)
{
	struct resume_fixture *rf = *state;
	const char *text = getenv("MEMOFS_RESUME_ROUNDS");
	int rounds = text ? atoi(text) : ROUNDS_DEFAULT;
	struct shared *shared = rf->shared;

	shared->seed = (uint64_t)getpid() << 20 | 12345;
	print_message("seed %llu\n", (unsigned long long)shared->seed);
	/* Each third dies while it takes up what the one before has left, perhaps. */
	for (int i = 0; i < rounds; i++) {
		pid_t pid = start(rf, child);

		if (i % 3 == 2)
			kill_after(rf, pid, (unsigned int)below(shared, 150000));
		else
			kill_ready(rf, pid, (unsigned int)below(shared, 60000));
	}
	print_message("%llu changes\n", (unsigned long long)shared->ops);
	assert_true(shared->ops > 0);

	/* And what is published in the end is what was written. */
	assert_ok(open_with_keep(rf, NULL, 0, &rf->fx->st));
	for (unsigned int i = 0; i < VALUES; i++) {
		struct model *m = &shared->values[i];
		struct store_staged *sg;
		struct store_gen *gen;
		char name[8];

		name_of(i, name);
		if (!resume_value(shared, rf->fx->st, i, &sg))
			continue;
		gen = open_value(rf->fx->st, publish(sg, name));
		assert_gen(gen, m->bytes, m->size);
		store_gen_close(gen);
	}
	store_resume_end(rf->fx->st);
	resume_close(rf);
}

/* ---- what is not taken up ---- */

static struct store_staged *child_stage(struct store *st, struct shared *shared,
					size_t len, uint64_t seed)
{
	struct store_stage_args args = {.branch = ROOT, .mode = 0644};
	uint8_t *bytes = pattern(len, seed);
	struct store_staged *sg;

	check(!store_stage(st, &args, &sg));
	check(!store_staged_write(sg, bytes, len, 0));
	free(bytes);
	return sg;
}

static void leave_three(struct resume_fixture *rf)
{
	struct shared *shared = rf->shared;
	struct store_staged *fsynced;
	struct store *st;

	check(!open_with_keep(rf, NULL, 0, &st));
	child_stage(st, shared, 1000, 1);
	child_stage(st, shared, 300 * 1000, 2);
	fsynced = child_stage(st, shared, 300 * 1000, 3);
	check(!store_staged_sync(fsynced));
	check(!store_staged_flush(fsynced, ROOT, "fsynced"));
	shared->values[0].ino = store_staged_ino(fsynced);
	shared->ready = 1;
	pause();
}

static void test_untaken_is_dropped(void **state)
{
	struct resume_fixture *rf = *state;
	struct store *st;

	kill_ready(rf, start(rf, leave_three), 0);
	assert_ok(open_with_keep(rf, NULL, 0, &rf->fx->st));
	st = rf->fx->st;
	/* The intent is its writer's, who may be about to write more. */
	assert_int_equal(count_rows(st, TABLE_INTENT), 1);
	assert_int_equal(lookup(st, ROOT, "fsynced"), 0);
	assert_int_equal(count_extents(st), 1);
	store_resume_end(st);
	assert_left(st, 0, 0);
	assert_int_equal(count_rows(st, TABLE_INTENT), 0);
	resume_close(rf);
	/* Nothing of it was kept. */
	assert_ok(open_with_keep(rf, NULL, 0, &rf->fx->st));
	assert_left(rf->fx->st, 0, 0);
	resume_close(rf);
}

/* Without what was kept, it is as after any crash: what fsync returned for is there. */
static void test_without_what_was_kept(void **state)
{
	struct resume_fixture *rf = *state;

	kill_ready(rf, start(rf, leave_three), 0);
	fixture_open(rf->fx);
	assert_value(rf->fx->st, lookup(rf->fx->st, ROOT, "fsynced"), 300 * 1000, 3);
	assert_left(rf->fx->st, 0, 1);
}

static void test_promise_is_published(void **state)
{
	struct resume_fixture *rf = *state;
	struct store_staged *sg;

	kill_ready(rf, start(rf, leave_three), 0);
	assert_ok(open_with_keep(rf, NULL, 0, &rf->fx->st));
	assert_ok(store_staged_resume(rf->fx->st, rf->shared->values[0].ino, &sg));
	assert_int_equal(store_staged_resume(rf->fx->st, rf->shared->values[0].ino, &sg),
			 -ENOENT);
	store_resume_end(rf->fx->st);
	assert_value(rf->fx->st, publish(sg, "fsynced"), 300 * 1000, 3);
	assert_left(rf->fx->st, 0, 1);
	resume_close(rf);
}

/* ---- generations that are open ---- */

static void open_and_unlink(struct resume_fixture *rf)
{
	struct shared *shared = rf->shared;
	struct store *st;

	check(!open_with_keep(rf, NULL, 0, &st));
	for (unsigned int i = 0; i < 3; i++) {
		size_t len = i == 1 ? 300 * 1000 : 5000;
		struct store_staged *sg = child_stage(st, shared, len, i);
		struct store_gen *gen;
		char name[8];

		name_of(i, name);
		shared->values[i].ino = store_staged_ino(sg);
		check(!store_publish(sg, ROOT, name, false, NULL, NULL));
		store_staged_free(sg);
		check(!store_gen_open(st, shared->values[i].ino, &gen));
		if (i == 2) /* replaced; the others are removed */
			check(!store_publish(child_stage(st, shared, 10, 9), ROOT, name,
					     false, NULL, NULL));
		else
			check(!store_unlink(st, ROOT, name));
	}
	shared->ready = 1;
	pause();
}

static void test_nameless_are_opened_again(void **state)
{
	struct resume_fixture *rf = *state;
	struct store_gen *gens[3];
	struct store_attr attr;
	uint64_t inos[3];
	struct store *st;

	kill_ready(rf, start(rf, open_and_unlink), 0);
	for (unsigned int i = 0; i < 3; i++)
		inos[i] = rf->shared->values[i].ino;
	assert_ok(open_with_keep(rf, inos, 3, &rf->fx->st));
	st = rf->fx->st;
	assert_ok(store_settle(st));
	for (unsigned int i = 0; i < 3; i++)
		assert_ok(store_gen_reopen(st, inos[i], &gens[i]));
	store_resume_end(st);
	assert_ok(store_settle(st));
	for (unsigned int i = 0; i < 3; i++) {
		size_t len = i == 1 ? 300 * 1000 : 5000;
		uint8_t *bytes = pattern(len, i);

		assert_gen(gens[i], bytes, len);
		assert_ok(store_gen_attr_by_ino(st, inos[i], &attr));
		assert_int_equal(attr.mode, S_IFREG | 0644);
		assert_int_equal(attr.size_bytes, len);
		store_gen_close(gens[i]);
		free(bytes);
	}
	assert_left(st, 1, 0);
	resume_close(rf);
}

/* One that nobody asks for is deleted, and so is what was kept of it. */
static void test_nameless_are_deleted(void **state)
{
	struct resume_fixture *rf = *state;

	kill_ready(rf, start(rf, open_and_unlink), 0);
	assert_ok(open_with_keep(rf, NULL, 0, &rf->fx->st));
	store_resume_end(rf->fx->st);
	assert_left(rf->fx->st, 1, 0);
	resume_close(rf);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_killed_while_writing, resume_setup,
					    resume_teardown),
	    cmocka_unit_test_setup_teardown(test_untaken_is_dropped, resume_setup,
					    resume_teardown),
	    cmocka_unit_test_setup_teardown(test_without_what_was_kept, resume_setup,
					    resume_teardown),
	    cmocka_unit_test_setup_teardown(test_promise_is_published, resume_setup,
					    resume_teardown),
	    cmocka_unit_test_setup_teardown(test_nameless_are_opened_again, resume_setup,
					    resume_teardown),
	    cmocka_unit_test_setup_teardown(test_nameless_are_deleted, resume_setup,
					    resume_teardown),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
