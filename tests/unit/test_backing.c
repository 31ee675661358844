/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which opens are passed through to an extent, and by which number; and which extents may
 * be: over a store in memory and a kernel that only counts.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/backing.h"
#include "fs/fs.h"
#include "store/gen.h"
#include "store/verified.h"

#define assert_ok(call) assert_int_equal((call), 0)

enum { BYTES = 3 << 20, IDS = 2048 };

struct world {
	struct store *store;
	struct handle_list *handles;
	struct backing_table *table;
	struct fuse_file_info fi; /* of the last open */

	/* The kernel. */
	int opened, closed; /* how often */
	int next;	    /* number */
	int error;	    /* 0: it takes all */
	bool is_closed[IDS];
};

static int take(void *arg, int fd)
{
	struct world *w = arg;
	struct stat sb;

	assert_ok(fstat(fd, &sb));
	if (w->error)
		return w->error;
	w->opened++;
	return w->next++;
}

static int give(void *arg, int id)
{
	struct world *w = arg;

	w->closed++;
	if (id < IDS)
		w->is_closed[id] = true;
	return 0;
}

static int begin(void **state)
{
	const struct store_options opt = {
	    .kind = STORE_MEMORY, .root_mode = 0755, .size_bytes = STORE_SIZE_NONE};
	static struct world w;
	const struct backing_calls calls = {take, give, &w};
	struct errmsg err;

	memset(&w, 0, sizeof(w));
	w.next = 1;
	assert_ok(store_open(&opt, &w.store, &err));
	assert_ok(handle_list_new(&w.handles));
	assert_ok(backing_table_new(&calls, &w.table));
	*state = &w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	handle_list_free(w->handles);
	backing_table_free(w->table);
	store_close(w->store);
	return 0;
}

static uint64_t publish(struct store *st, const char *name, size_t bytes)
{
	const struct store_stage_args args = {.branch = STORE_ROOT_INO,
					      .mode = S_IFREG | 0644};
	char *data = malloc(bytes);
	struct store_staged *sg;
	struct store_attr attr;

	assert_non_null(data);
	memset(data, 'x', bytes);
	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_staged_write(sg, data, bytes, 0));
	assert_ok(store_publish(sg, STORE_ROOT_INO, name, false, NULL, NULL));
	store_staged_free(sg);
	free(data);
	assert_ok(store_lookup(st, STORE_ROOT_INO, name, &attr));
	return attr.ino;
}

static struct handle *new_handle(struct world *w, uint64_t ino)
{
	struct handle *h = handle_new(w->handles, HANDLE_GEN);

	assert_non_null(h);
	assert_ok(store_gen_open(w->store, ino, &h->gen));
	h->nodeid = h->ino = ino;
	return h;
}

static struct handle *open_it(struct world *w, uint64_t ino, int flags)
{
	struct handle *h = new_handle(w, ino);

	w->fi = (struct fuse_file_info){.flags = flags, .keep_cache = 1};
	assert_ok(backing_open(w->table, h, &w->fi));
	return h;
}

static void close_it(struct world *w, struct handle *h)
{
	backing_close(w->table, h);
	handle_free(w->handles, h);
}

static void read_some(const struct handle *h, uint64_t from, uint64_t to)
{
	static char data[BYTES];
	size_t n;

	assert_ok(store_gen_read(h->gen, data, to - from, from, &n));
	assert_int_equal(n, to - from);
}

static void assert_passed(const struct world *w, const struct handle *h, int id)
{
	assert_int_equal(h->backing_id, id);
	assert_false(w->fi.keep_cache || w->fi.direct_io);
}

static void assert_cached(const struct world *w, const struct handle *h)
{
	assert_int_equal(h->backing_id, 0);
	assert_true(w->fi.keep_cache && !w->fi.direct_io);
}

/* Can this kernel tell what is in memory? It passes nothing through either if not. */
static void need_kernel(struct world *w, uint64_t ino)
{
	struct store_gen *gen;
	int fd, r;

	assert_ok(store_gen_open(w->store, ino, &gen));
	r = store_gen_backing(gen, &fd);
	store_gen_close(gen);
	if (r) /* before Linux 6.5 */
		skip();
}

/* The next one reads all of it by requests, and the one after that need not. */
static void assert_compared_again(struct world *w, uint64_t ino)
{
	struct handle *h = open_it(w, ino, O_RDONLY);

	assert_cached(w, h);
	read_some(h, 0, BYTES);
	close_it(w, h);
	h = open_it(w, ino, O_RDONLY);
	assert_passed(w, h, 1);
	close_it(w, h);
}

/* ---- what the kernel reads ---- */

static void test_one_number(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *a, *b, *c;
	struct backing_counts counts;

	need_kernel(w, ino);
	backing_on(w->table);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 1);
	b = open_it(w, ino, O_RDONLY);
	assert_passed(w, b, 1);
	close_it(w, a);
	c = open_it(w, ino, O_RDONLY);
	assert_passed(w, c, 1);
	backing_count(w->table, &counts);
	assert_true(counts.on && counts.opens == 3 && counts.files == 1);
	close_it(w, b);
	assert_int_equal(w->closed, 0);
	close_it(w, c);
	assert_true(w->opened == 1 && w->closed == 1 && w->is_closed[1]);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 2);
	close_it(w, a);
	assert_true(w->is_closed[2]);
}

static void test_nodes_are_apart(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct fuse_file_info fi = {0};
	struct handle *a, *b;

	need_kernel(w, ino);
	backing_on(w->table);
	a = open_it(w, ino, O_RDONLY);
	b = new_handle(w, ino);
	b->nodeid = ino + 1000; /* under a view */
	assert_ok(backing_open(w->table, b, &fi));
	assert_int_equal(a->backing_id, 1);
	assert_int_equal(b->backing_id, 2);
	close_it(w, a);
	assert_true(w->is_closed[1] && !w->is_closed[2]);
	close_it(w, b);
}

static void test_never(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	uint64_t small = publish(w->store, "small", STORE_BACKING_MIN_BYTES - 1);
	struct handle *h = open_it(w, ino, O_RDONLY);

	assert_cached(w, h); /* nobody has switched it on */
	close_it(w, h);
	need_kernel(w, ino);
	backing_on(w->table);
	h = open_it(w, small, O_RDONLY);
	assert_cached(w, h);
	close_it(w, h);
	w->error = -EPERM;
	h = open_it(w, ino, O_RDONLY);
	assert_cached(w, h);
	close_it(w, h);
	w->error = 0; /* it is not asked again */
	h = open_it(w, ino, O_RDONLY);
	assert_cached(w, h);
	close_it(w, h);
	assert_int_equal(w->opened, 0);
}

/* Where it has worked, it is only this one that does not. */
static void test_refused_once(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *h;

	need_kernel(w, ino);
	backing_on(w->table);
	close_it(w, open_it(w, ino, O_RDONLY));
	w->error = -ENOMEM;
	h = open_it(w, ino, O_RDONLY);
	assert_cached(w, h);
	close_it(w, h);
	w->error = 0;
	h = open_it(w, ino, O_RDONLY);
	assert_passed(w, h, 2);
	close_it(w, h);
}

/* ---- and what we do ---- */

static void test_who_reads_through_us_keeps_others(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *a, *b;

	need_kernel(w, ino);
	backing_on(w->table);
	a = open_it(w, ino, O_DIRECT);
	assert_cached(w, a);
	b = open_it(w, ino, O_RDONLY);
	assert_cached(w, b);
	close_it(w, a);
	a = open_it(w, ino, O_RDONLY);
	assert_cached(w, a);
	close_it(w, b);
	close_it(w, a);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 1);
	b = open_it(w, ino, O_DIRECT); /* it must, and is read to by us */
	assert_true(b->backing_id == 1 && w->fi.direct_io && !w->fi.keep_cache);
	close_it(w, a);
	close_it(w, b);
	assert_true(w->is_closed[1]);
}

/* Its value, while it was written: the number is that of what is published. */
static void test_who_waits_for_the_value_keeps_others(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *a = handle_new(w->handles, HANDLE_PENDING), *b;
	struct fuse_file_info fi = {.direct_io = 1};

	assert_non_null(a);
	need_kernel(w, ino);
	backing_on(w->table);
	a->nodeid = a->ino = ino;
	assert_ok(backing_open(w->table, a, &fi));
	b = open_it(w, ino, O_RDONLY);
	assert_cached(w, b);
	close_it(w, b);
	backing_close(w->table, a);
	b = open_it(w, ino, O_RDONLY);
	assert_passed(w, b, 1);
	/* One that has begun before is answered only now. */
	fi = (struct fuse_file_info){.direct_io = 1};
	assert_ok(backing_open(w->table, a, &fi));
	assert_true(a->backing_id == 1 && fi.direct_io);
	backing_close(w->table, a);
	a->kind = HANDLE_LOST; /* it has no value to let go of */
	handle_free(w->handles, a);
	close_it(w, b);
}

/* Who opens the node of a value may get what was there before. */
static void test_other_content_is_not_mixed(void **state)
{
	struct world *w = *state;
	uint64_t small = publish(w->store, "before", 10);
	uint64_t ino = publish(w->store, "key", BYTES);
	struct fuse_file_info fi = {.direct_io = 1};
	struct handle *a, *b;

	need_kernel(w, ino);
	backing_on(w->table);
	b = new_handle(w, small);
	b->nodeid = ino;
	assert_ok(backing_open(w->table, b, &fi));
	a = open_it(w, ino, O_RDONLY);
	assert_cached(w, a);
	close_it(w, a);
	backing_close(w->table, b);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 1);
	assert_int_equal(backing_open(w->table, b, &fi), -ESTALE);
	assert_int_equal(b->backing_id, 0);
	close_it(w, b);
	close_it(w, a);
	assert_true(w->is_closed[1]);
}

static void test_what_is_not_known(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *a, *b;

	need_kernel(w, ino);
	backing_on(w->table);
	gen_distrust(w->store, ino);
	a = open_it(w, ino, O_RDONLY);
	assert_cached(w, a);
	read_some(a, 0, BYTES / 2 + 1000); /* the block of this end is known */
	close_it(w, a);
	a = open_it(w, ino, O_RDONLY);
	assert_cached(w, a);
	read_some(a, BYTES / 2 + SUMS_BLOCK_BYTES, BYTES);
	b = open_it(w, ino, O_RDONLY); /* all is, and the first one is open */
	assert_cached(w, b);
	close_it(w, a);
	close_it(w, b);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 1);
	gen_distrust(w->store, ino);
	b = open_it(w, ino, O_RDONLY);
	assert_true(b->backing_id == 1 && w->fi.direct_io);
	read_some(b, 0, BYTES);
	close_it(w, a);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 1);
	close_it(w, a);
	close_it(w, b);
}

/* It was closed for the last time, and damage is found before it has told what it knows.
 */
static void test_who_closes_late_brings_nothing_back(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct gen_shard *shard;
	struct handle *a;

	need_kernel(w, ino);
	backing_on(w->table);
	a = new_handle(w, ino);
	read_some(a, 0, BYTES);
	shard = &w->store->gens->shards[(hash_u64(ino) >> 60) % GEN_SHARDS];
	htab_remove(&shard->gens, &a->gen->link);
	gen_distrust(w->store, ino);
	gen_tell_verified(a->gen);
	assert_compared_again(w, ino);
	assert_ok(htab_add(&shard->gens, &a->gen->link, hash_u64(ino)));
	handle_free(w->handles, a);
}

static void write_to(const struct handle *h, const char *byte, time_t mtime_s)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime_s}};
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", h->gen->fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, byte, 1, BYTES / 2), 1);
	assert_ok(futimens(fd, times));
	close(fd);
}

/* While it is open: by who has it, it is compared again, of the file as it is now. */
static void test_it_was_written_to(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *a, *b;
	char data[10];
	size_t n;

	need_kernel(w, ino);
	backing_on(w->table);
	a = open_it(w, ino, O_RDONLY);
	assert_passed(w, a, 1);
	read_some(a, 0, BYTES);
	write_to(a, "x", 1000); /* as it was */
	b = open_it(w, ino, O_RDONLY);
	assert_true(b->backing_id == 1 && w->fi.direct_io);
	read_some(b, 0, BYTES);
	close_it(w, b);
	b = open_it(w, ino, O_RDONLY);
	assert_passed(w, b, 1);
	close_it(w, b);
	write_to(a, "y", 2000);
	b = open_it(w, ino, O_RDONLY);
	assert_true(b->backing_id == 1 && w->fi.direct_io);
	assert_int_equal(store_gen_read(b->gen, data, sizeof(data), BYTES / 2, &n),
			 -EUCLEAN);
	close_it(w, b);
	close_it(w, a);
}

/* What was found out long ago is found out again. */
static void test_it_is_not_believed_for_ever(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct verified_file file = {.ino = ino, .blocks = BYTES / SUMS_BLOCK_BYTES};
	struct stat sb;
	struct handle *h;

	need_kernel(w, ino);
	backing_on(w->table);
	h = new_handle(w, ino);
	assert_ok(fstat(h->gen->fd, &sb));
	file.mtime = sb.st_mtim;
	file.since_ns = time_monotonic_ns() - 3601 * NSEC_PER_SEC;
	verified_add(w->store->verified, &file, 0, (uint64_t[1]){0}, 0);
	handle_free(w->handles, h);
	assert_compared_again(w, ino);
}

/* ---- another daemon ---- */

static struct handle *resumed(struct world *w, uint64_t ino, int id)
{
	struct handle *h = new_handle(w, ino);

	h->backing_id = id;
	assert_ok(backing_resume(w->table, h));
	return h;
}

static void test_resumed(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	uint64_t other = publish(w->store, "other", BYTES);
	struct handle *a = resumed(w, ino, 1500), *b = resumed(w, other, 0), *h;

	need_kernel(w, ino);
	w->next = 1503;
	backing_on(w->table);
	backing_resume_end(w->table);
	/* Those that somebody may have got and not said so; not what is used. */
	assert_true(w->is_closed[1503] && w->is_closed[1502] && w->is_closed[1501]);
	assert_true(!w->is_closed[1500] && w->is_closed[1499] && w->is_closed[600]);
	assert_false(w->is_closed[400]);
	h = open_it(w, ino, O_RDONLY);
	assert_passed(w, h, 1500);
	close_it(w, a);
	assert_false(w->is_closed[1500]);
	close_it(w, h);
	assert_true(w->is_closed[1500]);
	h = open_it(w, other, O_RDONLY);
	assert_cached(w, h);
	close_it(w, b);
	close_it(w, h);
	h = open_it(w, other, O_RDONLY);
	assert_int_equal(h->backing_id, 1504);
	close_it(w, h);
}

/* Even where nothing is passed through any more, what is has to stay so. */
static void test_resumed_and_off(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	struct handle *a, *b;

	backing_lost(w->table);
	a = resumed(w, ino, 7);
	backing_on(w->table);
	b = open_it(w, ino, O_RDONLY);
	assert_int_equal(b->backing_id, 7);
	close_it(w, a);
	close_it(w, b);
	assert_true(w->is_closed[7]);
	b = open_it(w, ino, O_RDONLY);
	assert_cached(w, b);
	close_it(w, b);
}

/* The kernel has closed it, and its number has perhaps gone to nobody. */
static void test_resumed_while_released(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w->store, "key", BYTES);
	int fd = memfd_create("keep", MFD_CLOEXEC);
	struct handle *a, *b;
	struct errmsg err;
	struct keep *k;

	assert_ok(keep_open(fd, 64 << 20, &k, &err));
	handle_list_keep(w->handles, k);
	a = new_handle(w, ino);
	handle_keep(w->handles, a, slice(NULL, 0));
	handle_releasing(a);
	a->backing_id = 1500;
	assert_ok(backing_resume(w->table, a));
	b = new_handle(w, ino);
	handle_keep(w->handles, b, slice(NULL, 0));
	handle_releasing(b);
	b->backing_id = 1400;
	assert_ok(backing_resume(w->table, b));
	resumed(w, ino, 1500);
	w->next = 1;
	backing_resume_end(w->table);
	assert_true(w->is_closed[1400] && !w->is_closed[1500]);
	close_it(w, a);
	close_it(w, b);
	assert_false(w->is_closed[1500]);
	handle_list_free(w->handles);
	assert_ok(handle_list_new(&w->handles));
	keep_close(k);
	close(fd);
}

/* ---- what is known ---- */

static void test_verified(void **state)
{
	struct verified_file then = {1, 70, {100, 5}, 50}, later = {1, 70, {100, 6}, 60};
	struct verified *v = verified_new();
	uint64_t bits[2] = {UINT64_MAX, 0};

	assert_non_null(v);
	verified_add(v, &then, 0, bits, 70);
	assert_false(verified_has_all(v, 1, &then.mtime));
	bits[0] = 0x1f;
	verified_add(v, &then, 64, bits, 5);
	assert_false(verified_has_all(v, 1, &then.mtime));
	bits[0] = 0x20;
	verified_add(v, &then, 64, bits, 6);
	assert_true(verified_has_all(v, 1, &then.mtime));
	assert_false(verified_has_all(v, 1, &later.mtime)); /* it was written to */
	verified_add(v, &then, 0, bits, 70);		    /* which changes nothing */
	assert_true(verified_has_all(v, 1, &then.mtime));
	verified_add(v, &later, 64, bits, 6);
	assert_false(verified_has_all(v, 1, &later.mtime));
	assert_false(verified_has_all(v, 1, &then.mtime));
	verified_add_all(v, &later);
	assert_true(verified_has_all(v, 1, &later.mtime));
	assert_false(verified_seen(v, 1, 10));
	verified_see(v, 1, 20);
	assert_true(verified_seen(v, 1, 10) && !verified_seen(v, 1, 20));
	/* It is as old as the oldest of it. */
	assert_true(verified_is_older(v, 1, 61) && !verified_is_older(v, 1, 60));
	later.since_ns = 40;
	verified_add(v, &later, 0, bits, 70);
	later.since_ns = 80;
	verified_add_all(v, &later);
	assert_true(verified_is_older(v, 1, 41) && !verified_is_older(v, 1, 40));
	verified_forget(v, 1, 90);
	assert_false(verified_has_all(v, 1, &later.mtime) || verified_seen(v, 1, 10));
	assert_false(verified_is_older(v, 1, INT64_MAX));
	verified_free(v);
}

/* What was found out before it was forgotten does not come back. */
static void test_verified_stays_forgotten(void **state)
{
	struct verified_file old = {1, 64, {100, 5}, 50}, new = {1, 64, {100, 5}, 61};
	struct verified_file other = {2, 64, {100, 5}, 50};
	struct verified *v = verified_new();
	uint64_t bits = UINT64_MAX;

	assert_non_null(v);
	verified_add_all(v, &old);
	verified_forget(v, 1, 60);
	verified_forget(v, 1, 55); /* which comes late */
	old.since_ns = 60;
	verified_add(v, &old, 0, &bits, 64);
	verified_add_all(v, &old);
	verified_see(v, 1, 60);
	assert_false(verified_has_all(v, 1, &old.mtime) || verified_seen(v, 1, 10));
	verified_add(v, &new, 0, &bits, 64);
	assert_true(verified_has_all(v, 1, &new.mtime));
	old.mtime.tv_nsec++; /* of before, too */
	verified_add_all(v, &old);
	assert_true(verified_has_all(v, 1, &new.mtime));
	verified_add_all(v, &other); /* and others are not concerned */
	assert_true(verified_has_all(v, 2, &other.mtime));
	verified_forget(v, 3, 60); /* of which nothing was known */
	other.ino = 3;
	verified_add_all(v, &other);
	assert_false(verified_has_all(v, 3, &other.mtime));
	verified_free(v);
}

/* Not even when there is no room any more for when that was. */
static void test_verified_stays_forgotten_when_it_is_full(void **state)
{
	struct verified_file old = {1, 8, {100, 5}, 50}, more = {0, 8, {100, 5}, 70};
	struct verified *v = verified_new();

	assert_non_null(v);
	verified_forget(v, 1, 60);
	for (more.ino = 2; more.ino <= VERIFIED_BYTES / 64; more.ino++)
		verified_add_all(v, &more);
	verified_add_all(v, &old);
	assert_false(verified_has_all(v, 1, &old.mtime));
	old.since_ns = 61;
	verified_add_all(v, &old);
	assert_true(verified_has_all(v, 1, &old.mtime));
	verified_free(v);
}

/* Memory is bounded, and what is asked for stays. */
static void test_verified_is_bounded(void **state)
{
	struct verified_file file = {0, 8, {100, 5}, 50};
	struct verified *v = verified_new();
	unsigned int left = 0;

	assert_non_null(v);
	for (file.ino = 1; file.ino <= VERIFIED_BYTES / 64; file.ino++) {
		verified_add_all(v, &file);
		assert_true(verified_has_all(v, 1, &file.mtime));
	}
	for (uint64_t ino = 1; ino <= VERIFIED_BYTES / 64; ino++)
		left += verified_has_all(v, ino, &file.mtime);
	assert_in_range(left, 1000, VERIFIED_BYTES / 80);
	assert_true(verified_has_all(v, VERIFIED_BYTES / 64, &file.mtime));
	verified_free(v);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_WORLD(test_one_number),
	    WITH_WORLD(test_nodes_are_apart),
	    WITH_WORLD(test_never),
	    WITH_WORLD(test_refused_once),
	    WITH_WORLD(test_who_reads_through_us_keeps_others),
	    WITH_WORLD(test_who_waits_for_the_value_keeps_others),
	    WITH_WORLD(test_other_content_is_not_mixed),
	    WITH_WORLD(test_what_is_not_known),
	    WITH_WORLD(test_who_closes_late_brings_nothing_back),
	    WITH_WORLD(test_it_was_written_to),
	    WITH_WORLD(test_it_is_not_believed_for_ever),
	    WITH_WORLD(test_resumed),
	    WITH_WORLD(test_resumed_and_off),
	    WITH_WORLD(test_resumed_while_released),
	    cmocka_unit_test(test_verified),
	    cmocka_unit_test(test_verified_stays_forgotten),
	    cmocka_unit_test(test_verified_stays_forgotten_when_it_is_full),
	    cmocka_unit_test(test_verified_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
