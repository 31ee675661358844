/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept memory against a plain model of it. A script is the calls that a seed gives; each
 * is one step that has happened or has not. So whoever died in the midst of a script must
 * have left what the model has after the calls that had returned, or after one more.
 */
#include "store/util/keep.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/util/keep_arena.h"

#define BOUND ((uint64_t)64 << 20)

static int file_new(void)
{
	int fd = memfd_create("keep", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct keep *keep_of(int fd)
{
	struct errmsg err = {0};
	struct keep *k = NULL;

	if (keep_open(fd, BOUND, &k, &err))
		fail_msg("%s", err.text);
	return k;
}

/* ---- the model ---- */

enum { IDS = 24 };

struct model_object {
	bool live;
	uint64_t counters[KEEP_COUNTERS];
	struct buf records; /* each with its length before it */
};

/* What one thread has: objects of a kind of its own. */
struct model {
	uint32_t kind;
	uint64_t random;
	struct model_object objects[IDS];
};

static void model_init(struct model *m, uint32_t kind, uint64_t seed)
{
	*m = (struct model){.kind = kind, .random = seed * 2 + 1};
}

static void model_deinit(struct model *m)
{
	for (unsigned int i = 0; i < IDS; i++)
		buf_deinit(&m->objects[i].records);
}

static uint64_t roll(struct model *m, uint64_t sides)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (m->random >> 11) % sides;
}

static void must(int r)
{
	if (r) {
		fprintf(stderr, "test_keep: no memory for the model\n");
		abort();
	}
}

static void add_record(struct buf *records, struct slice record)
{
	uint32_t len = (uint32_t)record.len;

	must(buf_append(records, &len, sizeof(len)));
	must(buf_append(records, record.data, record.len));
}

struct call {
	enum { CALL_NEW, CALL_FREE, CALL_APPEND, CALL_REPLACE, CALL_COUNT } what;
	unsigned int id;
	unsigned int counter;
	size_t len, cut; /* of the record; of its first piece */
	uint8_t fill;
};

static size_t roll_len(struct model *m)
{
	switch (roll(m, 40)) {
	case 0:
		return roll(m, 200 * 1000);
	case 1:
	case 2:
	case 3:
		return roll(m, 5000);
	case 4:
		return 0;
	default:
		return roll(m, 100);
	}
}

static struct call next_call(struct model *m)
{
	struct call c = {.id = (unsigned int)roll(m, IDS)};
	uint64_t what = roll(m, 16);

	if (!m->objects[c.id].live)
		return c;
	c.what = what == 0  ? CALL_FREE
		 : what < 3 ? CALL_REPLACE
		 : what < 6 ? CALL_COUNT
			    : CALL_APPEND;
	c.counter = (unsigned int)roll(m, KEEP_COUNTERS);
	c.len = roll_len(m);
	c.cut = roll(m, c.len + 1);
	c.fill = (uint8_t)roll(m, 256);
	return c;
}

/* A record that tells bytes apart, in memory that is made once. */
static struct slice record_of(struct call c)
{
	static __thread uint8_t bytes[256 * 1024];

	for (size_t i = 0; i < c.len; i++)
		bytes[i] = (uint8_t)(c.fill + i * 7);
	return slice(bytes, c.len);
}

static void model_call(struct model *m, struct call c)
{
	struct model_object *o = &m->objects[c.id];

	switch (c.what) {
	case CALL_NEW:
		o->live = true;
		memset(o->counters, 0, sizeof(o->counters));
		buf_clear(&o->records);
		break;
	case CALL_FREE:
		o->live = false;
		break;
	case CALL_REPLACE:
		buf_clear(&o->records);
		add_record(&o->records, record_of(c));
		break;
	case CALL_APPEND:
		add_record(&o->records, record_of(c));
		break;
	case CALL_COUNT:
		o->counters[c.counter] += c.fill;
		break;
	}
}

static int keep_call(struct keep *k, uint32_t kind, struct kept **objects, struct call c)
{
	struct slice whole = record_of(c);
	struct slice pieces[2] = {
	    slice(whole.data, c.cut),
	    slice((const uint8_t *)whole.data + c.cut, c.len - c.cut)};

	switch (c.what) {
	case CALL_NEW:
		return keep_new(k, kind, c.id, &objects[c.id]);
	case CALL_FREE:
		keep_free(objects[c.id]);
		return 0;
	case CALL_REPLACE:
		return keep_replace(objects[c.id], pieces, 2);
	case CALL_APPEND:
		return keep_append(objects[c.id], pieces, 2);
	case CALL_COUNT:
		keep_count(objects[c.id], c.counter, c.fill);
		return 0;
	}
	return -EINVAL;
}

/* ---- what is kept, beside the model ---- */

struct look {
	const struct model *model;
	struct kept **objects;
	unsigned int count;
	bool same;
};

static int gather(void *arg, struct slice record)
{
	add_record(arg, record);
	return 0;
}

static int look_at(void *arg, struct kept *o)
{
	struct look *l = arg;
	uint64_t id = keep_id(o);
	const struct model_object *m;
	struct buf records = BUF_INIT;

	l->count++;
	if (id >= IDS || !l->model->objects[id].live || l->objects[id]) {
		l->same = false;
		return 0;
	}
	m = &l->model->objects[id];
	l->objects[id] = o;
	keep_records(o, gather, &records);
	if (records.len != m->records.len ||
	    (records.len && memcmp(records.data, m->records.data, records.len) != 0))
		l->same = false;
	for (unsigned int i = 0; i < KEEP_COUNTERS; i++)
		if (*keep_counter(o, i) != m->counters[i])
			l->same = false;
	buf_deinit(&records);
	return 0;
}

/* Is that what is kept? Then *ret_objects are the objects. */
static bool same(struct keep *k, const struct model *m, struct kept **ret_objects)
{
	struct kept *objects[IDS] = {0};
	struct look l = {.model = m, .objects = objects, .same = true};
	unsigned int live = 0;

	keep_each(k, m->kind, look_at, &l);
	for (unsigned int i = 0; i < IDS; i++)
		live += m->objects[i].live;
	if (!l.same || live != l.count)
		return false;
	memcpy(ret_objects, objects, sizeof(objects));
	return true;
}

static void test_model(void **state)
{
	int fd = file_new();
	struct keep *k = keep_of(fd);
	struct kept *objects[IDS] = {0};
	struct model m;

	model_init(&m, 7, 1);
	for (unsigned int i = 0; i < 30000; i++) {
		struct call c = next_call(&m);

		model_call(&m, c);
		assert_int_equal(keep_call(k, m.kind, objects, c), 0);
		if (i % 1000 != 999)
			continue;
		assert_true(same(k, &m, objects));
		keep_close(k);
		k = keep_of(fd);
		assert_true(same(k, &m, objects));
	}
	keep_close(k);
	close(fd);
	model_deinit(&m);
}

/* ---- killed ---- */

enum { THREADS = 2, KILLS = 60 };

struct runner {
	struct keep *keep;
	struct model *model;
	struct kept *objects[IDS];
	_Atomic uint64_t *returned; /* calls of it, in memory that outlives it */
};

static void *run_script(void *arg)
{
	struct runner *r = arg;

	for (;;) {
		struct call c = next_call(r->model);

		model_call(r->model, c);
		if (keep_call(r->keep, r->model->kind, r->objects, c))
			_exit(2);
		atomic_fetch_add(r->returned, 1);
	}
	return NULL;
}

/* Go on with what is kept until somebody ends it. */
static void child(int fd, struct model *models, _Atomic uint64_t *returned)
{
	struct runner runners[THREADS];
	struct keep *k = keep_of(fd);
	pthread_t thread;

	for (unsigned int i = 0; i < THREADS; i++) {
		runners[i] = (struct runner){
		    .keep = k, .model = &models[i], .returned = &returned[i]};
		if (!same(k, &models[i], runners[i].objects))
			_exit(3);
		if (pthread_create(&thread, NULL, run_script, &runners[i]))
			_exit(4);
	}
	for (;;)
		pause();
}

static void kill_after(pid_t pid, const _Atomic uint64_t *returned, useconds_t us)
{
	int status;

	while (!*returned && waitpid(pid, &status, WNOHANG) == 0)
		usleep(100);
	usleep(us);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Bring the model to where the dead one was: the last call may have been made or not. */
static void catch_up(struct keep *k, struct model *m, uint64_t returned)
{
	struct kept *objects[IDS];

	for (uint64_t i = 0; i < returned; i++)
		model_call(m, next_call(m));
	if (same(k, m, objects))
		return;
	model_call(m, next_call(m));
	assert_true(same(k, m, objects));
}

static void test_killed(void **state)
{
	_Atomic uint64_t *returned =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct model models[THREADS];
	int fd = file_new();

	assert_true(returned != MAP_FAILED);
	for (unsigned int i = 0; i < THREADS; i++)
		model_init(&models[i], 3 + i, 77 + i);
	for (unsigned int n = 0; n < KILLS; n++) {
		struct keep *k;
		pid_t pid;

		memset((void *)returned, 0, 4096);
		pid = fork();
		if (pid == 0)
			child(fd, models, returned);
		kill_after(pid, returned, (useconds_t)(random() % 3000));
		k = keep_of(fd);
		for (unsigned int i = 0; i < THREADS; i++)
			catch_up(k, &models[i], returned[i]);
		keep_close(k);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		model_deinit(&models[i]);
	munmap((void *)returned, 4096);
	close(fd);
}

/* ---- stopped after every instruction ---- */

/* What differs in what they do to memory: first and further chunks, room and none. */
static const struct call STEPS[] = {
    {.what = CALL_NEW, .id = 1},
    {.what = CALL_APPEND, .id = 1, .len = 20, .cut = 3, .fill = 1},
    {.what = CALL_APPEND, .id = 1, .len = 12, .cut = 12, .fill = 2},
    {.what = CALL_APPEND, .id = 1, .len = 33, .cut = 0, .fill = 3},
    {.what = CALL_NEW, .id = 2},
    {.what = CALL_APPEND, .id = 2, .len = 0, .fill = 4},
    {.what = CALL_REPLACE, .id = 1, .len = 40, .cut = 8, .fill = 5},
    {.what = CALL_COUNT, .id = 2, .counter = 1, .fill = 6},
    {.what = CALL_APPEND, .id = 2, .len = 56, .cut = 1, .fill = 7},
    {.what = CALL_FREE, .id = 1},
    {.what = CALL_NEW, .id = 3},
    {.what = CALL_REPLACE, .id = 3, .len = 100, .cut = 50, .fill = 8},
    {.what = CALL_FREE, .id = 2},
    {.what = CALL_FREE, .id = 3},
};

enum { N_STEPS = sizeof(STEPS) / sizeof(STEPS[0]), INSTRUCTIONS_MOST = 100 * 1000 };

/* Opening and the script, all of it watched; `returned` is what was done of it. */
static void stepped_child(int fd, _Atomic uint64_t *returned)
{
	struct kept *objects[IDS] = {0};
	struct keep *k;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	raise(SIGSTOP);
	k = keep_of(fd);
	for (unsigned int i = 0; i < N_STEPS; i++) {
		if (keep_call(k, 3, objects, STEPS[i]))
			_exit(2);
		atomic_fetch_add(returned, 1);
	}
	_exit(0);
}

struct watch {
	int fd;
	uint8_t *mapped; /* the file */
	size_t mapped_bytes;
	struct buf last; /* what was looked at last */
	struct model before, now;
	uint64_t done;	      /* calls that ->before has */
	unsigned int changes; /* that were looked at */
};

/* What it would leave if it died now. */
static void check_copy(struct watch *w, size_t used)
{
	struct kept *objects[IDS];
	int fd = file_new();
	struct keep *k;

	assert_int_equal(write(fd, w->mapped, used), (ssize_t)used);
	assert_int_equal(ftruncate(fd, (off_t)w->mapped_bytes), 0);
	k = keep_of(fd);
	assert_true(same(k, &w->before, objects) || same(k, &w->now, objects));
	keep_close(k);
	close(fd);
}

static void watch_map(struct watch *w, size_t bytes)
{
	if (w->mapped)
		munmap(w->mapped, w->mapped_bytes);
	w->mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, w->fd, 0);
	assert_true(w->mapped != MAP_FAILED);
	w->mapped_bytes = bytes;
}

/* Behind the slabs in use there is nothing. */
static size_t watch_used(const struct watch *w)
{
	const struct arena_header *h = (const struct arena_header *)w->mapped;

	return h ? (size_t)h->slabs * ARENA_SLAB_BYTES : 0;
}

static void watch_now(struct watch *w, uint64_t returned)
{
	struct stat st;
	size_t used;

	while (w->done < returned) {
		model_call(&w->before, STEPS[w->done++]);
		if (w->done < N_STEPS)
			model_call(&w->now, STEPS[w->done]);
	}
	assert_int_equal(fstat(w->fd, &st), 0);
	if (w->mapped_bytes != (size_t)st.st_size)
		watch_map(w, (size_t)st.st_size);
	used = watch_used(w);
	if (w->last.len != used || (used && memcmp(w->mapped, w->last.data, used) != 0)) {
		assert_int_equal(buf_set(&w->last, w->mapped, used), 0);
		check_copy(w, used);
		w->changes++;
	}
}

/* -1: it goes on; else how it ended. */
static int step(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSTOPPED(status))
		return -1;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_any_instruction(void **state)
{
	_Atomic uint64_t *returned =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct watch w = {.fd = file_new()};
	unsigned int n = 0;
	int status, r = -1;
	pid_t pid;

	assert_true(returned != MAP_FAILED);
	model_init(&w.before, 3, 0);
	model_init(&w.now, 3, 0);
	model_call(&w.now, STEPS[0]);
	pid = fork();
	if (pid == 0)
		stepped_child(w.fd, returned);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	/* A checker of memory makes a hundred instructions of one: then only the first.
	 */
	for (; r < 0 && n < INSTRUCTIONS_MOST; n++) {
		watch_now(&w, *returned);
		r = step(pid);
	}
	print_message("%u instructions, %u states\n", n, w.changes);
	if (r < 0) {
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	} else {
		watch_now(&w, *returned);
		assert_int_equal(r, 0);
		assert_int_equal(w.done, N_STEPS);
		assert_true(w.changes > 3 * N_STEPS);
	}
	model_deinit(&w.before);
	model_deinit(&w.now);
	buf_deinit(&w.last);
	munmap(w.mapped, w.mapped_bytes);
	munmap((void *)returned, 4096);
	close(w.fd);
}

/* ---- bounds ---- */

static void fill_with(struct keep *k, size_t len, struct kept **objects,
		      size_t *ret_count)
{
	uint8_t *bytes = calloc(1, len);
	struct slice record = slice(bytes, len);
	size_t n = 0;
	int r = 0;

	assert_non_null(bytes);
	while (r == 0) {
		assert_int_equal(keep_new(k, 1, n, &objects[n]), 0);
		r = keep_append(objects[n], &record, 1);
		n += r == 0;
	}
	assert_int_equal(r, -ENOSPC);
	keep_free(objects[n]);
	free(bytes);
	*ret_count = n;
}

static uint64_t file_blocks(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_true((uint64_t)st.st_size <= BOUND);
	return (uint64_t)st.st_blocks * 512;
}

static int free_one(void *arg, struct kept *o)
{
	keep_free(o);
	return 1;
}

static void test_full(void **state)
{
	static struct kept *objects[10000];
	int fd = file_new();
	struct keep *k = keep_of(fd);
	size_t count, again;

	fill_with(k, 100 * 1000, objects, &count);
	/* Each has 128 KiB; some slabs are heads and the file's own. */
	assert_in_range(count, 500, 512);
	assert_true(file_blocks(fd) > 60 << 20);
	for (size_t i = 0; i < count; i++)
		keep_free(objects[i]);
	/* Most of it went back to the system, and is had once more. */
	assert_true(file_blocks(fd) < 40 << 20);
	fill_with(k, 100 * 1000, objects, &again);
	assert_int_equal(again, count);
	keep_close(k);
	k = keep_of(fd);
	keep_each(k, 1, free_one, NULL);
	/* No room for a slab of small ones: it gets what was freed. */
	assert_int_equal(keep_new(k, 1, 1, &objects[0]), 0);
	assert_int_equal(keep_append(objects[0], NULL, 0), 0);
	assert_int_equal(keep_bytes(objects[0]), 128 * 1024);
	assert_int_equal(keep_new(k, 1, 2, &objects[1]), 0);
	assert_int_equal(keep_append(objects[1], NULL, 0), -ENOSPC);
	keep_close(k);
	close(fd);
}

static void test_same_memory_again(void **state)
{
	const char text[] = "a text of some length, in a chunk of its own";
	struct slice record = slice(text, sizeof(text));
	int fd = file_new();
	struct keep *k = keep_of(fd);
	struct stat before, after;
	struct kept *o;

	for (unsigned int i = 0; i < 100000; i++) {
		if (i == 10)
			assert_int_equal(fstat(fd, &before), 0);
		assert_int_equal(keep_new(k, 1, i, &o), 0);
		assert_int_equal(keep_append(o, &record, 1), 0);
		assert_int_equal(keep_append(o, &record, 1), 0);
		assert_int_equal(keep_replace(o, &record, 1), 0);
		assert_int_equal(keep_bytes(o), 64);
		keep_free(o);
	}
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	keep_close(k);
	close(fd);
}

static void test_long_record(void **state)
{
	struct slice pieces[2] = {{NULL, 0}, {NULL, 0}};
	uint8_t *bytes = calloc(1, KEEP_RECORD_MAX);
	int fd = file_new();
	struct keep *k = NULL;
	struct errmsg err;
	struct kept *o;

	assert_non_null(bytes);
	assert_int_equal(keep_open(fd, 4 * BOUND, &k, &err), 0);
	assert_int_equal(keep_new(k, 1, 1, &o), 0);
	pieces[0] = slice(bytes, KEEP_RECORD_MAX - 1);
	pieces[1] = slice(bytes, 2);
	assert_int_equal(keep_append(o, pieces, 2), -ENOSPC);
	assert_int_equal(keep_replace(o, pieces, 2), -ENOSPC);
	pieces[1] = slice(bytes, 1);
	assert_int_equal(keep_append(o, pieces, 2), 0);
	keep_free(o);
	keep_close(k);
	close(fd);
	free(bytes);
}

/* ---- what is refused ---- */

static void refused(int fd, int errnum, const char *text)
{
	struct errmsg err = {0};
	struct keep *k = NULL;

	assert_int_equal(keep_open(fd, BOUND, &k, &err), -errnum);
	assert_null(k);
	if (!strstr(err.text, text))
		fail_msg("no \"%s\" in \"%s\"", text, err.text);
}

static void test_refused(void **state)
{
	uint32_t layout = KEEP_LAYOUT + 1, none = 0;
	int fd = file_new();
	struct errmsg err;
	struct keep *k;

	assert_int_equal(keep_open(fd, 1000, &k, &err), -EINVAL);
	assert_int_equal(keep_open(fd, UINT64_MAX, &k, &err), -EINVAL);
	assert_int_equal(keep_open(-1, BOUND, &k, &err), -EBADF);
	keep_close(keep_of(fd));
	assert_int_equal(pwrite(fd, &layout, 4, offsetof(struct arena_header, layout)),
			 4);
	refused(fd, EPROTO, "layout 3, this program has 2");
	layout = KEEP_LAYOUT;
	assert_int_equal(pwrite(fd, &layout, 4, offsetof(struct arena_header, layout)),
			 4);
	keep_close(keep_of(fd));
	assert_int_equal(pwrite(fd, &none, 4, offsetof(struct arena_header, slabs)), 4);
	refused(fd, EUCLEAN, "number of slabs");
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	refused(fd, EUCLEAN, "no kept memory");
	close(fd);
}

static void test_cut_short(void **state)
{
	int fd = file_new();
	struct keep *k = keep_of(fd);
	struct kept *o;

	assert_int_equal(keep_new(k, 1, 1, &o), 0);
	keep_close(k);
	assert_int_equal(ftruncate(fd, ARENA_SLAB_BYTES), 0);
	refused(fd, EUCLEAN, "cut short");
	close(fd);
}

/* ---- the rest ---- */

static int one_of(void *arg, struct kept *o)
{
	*(uint64_t *)arg = keep_id(o);
	return 5;
}

static int free_it(void *arg, struct kept *o)
{
	++*(unsigned int *)arg;
	keep_free(o);
	return 0;
}

static void test_each(void **state)
{
	int fd = file_new();
	struct keep *k = keep_of(fd);
	unsigned int count = 0;
	uint64_t id = 0;
	struct kept *o;

	for (uint64_t i = 1; i <= 3000; i++) {
		assert_int_equal(keep_new(k, i % 2 + 1, i, &o), 0);
		assert_int_equal(keep_kind(o), i % 2 + 1);
	}
	keep_close(k);
	k = keep_of(fd);
	assert_int_equal(keep_each(k, 1, one_of, &id), 5);
	assert_true(id && id % 2 == 0);
	assert_int_equal(keep_each(k, 2, free_it, &count), 0);
	assert_int_equal(count, 1500);
	assert_int_equal(keep_each(k, 2, one_of, &id), 0);
	keep_close(k);
	k = keep_of(fd);
	assert_int_equal(keep_each(k, 2, one_of, &id), 0);
	assert_int_equal(keep_each(k, 1, one_of, &id), 5);
	keep_close(k);
	close(fd);
}

static void test_nothing_kept(void **state)
{
	struct slice record = slice("x", 1);
	struct kept *o = (struct kept *)&record;
	uint64_t id;

	assert_int_equal(keep_new(NULL, 1, 1, &o), 0);
	assert_null(o);
	assert_int_equal(keep_append(o, &record, 1), 0);
	assert_int_equal(keep_replace(o, &record, 1), 0);
	assert_int_equal(keep_bytes(o), 0);
	assert_null(keep_counter(o, 0));
	keep_count(o, 0, 1);
	assert_int_equal(keep_records(o, gather, NULL), 0);
	assert_int_equal(keep_each(NULL, 1, one_of, &id), 0);
	assert_null(keep_pulse(NULL));
	keep_free(o);
	keep_close(NULL);
}

static void test_pulse(void **state)
{
	struct keep_pulse *holder, *daemon;
	int fd = file_new();
	struct keep *k;

	assert_int_equal(keep_pulse_map(fd, &holder), -ENODATA);
	k = keep_of(fd);
	daemon = keep_pulse(k);
	assert_int_equal(keep_pulse_map(fd, &holder), 0);
	daemon->begun = 5;
	daemon->worker_since_ns[KEEP_PULSE_WORKERS - 1] = 9;
	assert_int_equal(holder->begun, 5);
	assert_int_equal(holder->worker_since_ns[KEEP_PULSE_WORKERS - 1], 9);
	keep_close(k);
	k = keep_of(fd);
	assert_int_equal(holder->begun, 0);
	keep_close(k);
	keep_pulse_unmap(holder);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_killed),
	    cmocka_unit_test(test_any_instruction),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_same_memory_again),
	    cmocka_unit_test(test_long_record),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_cut_short),
	    cmocka_unit_test(test_each),
	    cmocka_unit_test(test_nothing_kept),
	    cmocka_unit_test(test_pulse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
