/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the daemon, without a kernel: virtual nodes, notes for opens
 * that look again, recent attributes, and values being written, over a store in
 * memory.
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
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pending.h"
#include "fs/recent.h"
#include "fs/retry.h"
#include "fs/vnode.h"

#define assert_ok(call) assert_int_equal((call), 0)

/* ---- virtual nodes ---- */

static uint64_t intern(struct vnode_table *t, uint64_t parent, uint64_t dir,
		       const char *version, bool *ret_new)
{
	struct vnode want = {
	    .parent_id = parent,
	    .kind = VNODE_DIR,
	    .dir_ino = dir,
	    .view.set = *version ? VIEW_VERSION : 0,
	};
	uint64_t id;

	strcpy(want.view.version, version);
	assert_ok(vnode_intern(t, &want, &id, ret_new));
	return id;
}

/* The kernel forgets a view's node and asks for it again: names stay as they are. */
static void test_vnode_dir_is_shared_once(void **state)
{
	struct vnode_table *t;
	uint64_t id;
	bool made;

	assert_ok(vnode_table_new(&t));
	assert_false(vnode_dir_shared(t, 7));
	id = intern(t, 5, 7, "v1", &made);
	assert_true(vnode_dir_shared(t, 7)); /* even before it is told */
	assert_true(made && vnode_dir_share(t, 7));
	vnode_forget(t, id, 1);
	assert_true(vnode_dir_shared(t, 7));
	id = intern(t, 5, 7, "v1", &made);
	assert_true(made && !vnode_dir_share(t, 7));
	vnode_forget(t, id, 1);
	assert_false(vnode_dir_shared(t, 8));
	vnode_table_free(t);
}

static void test_vnode_lives_while_it_is_looked_up(void **state)
{
	struct vnode_table *t;
	struct vnode v;
	uint64_t id;
	bool made;

	assert_ok(vnode_table_new(&t));
	id = intern(t, 5, 7, "v1", &made);
	assert_true(made && vnode_is(id));
	assert_true(intern(t, 5, 7, "v1", &made) == id && !made);
	assert_ok(vnode_get(t, id, &v));
	assert_int_equal(v.dir_ino, 7);
	assert_string_equal(v.view.version, "v1");
	vnode_forget(t, id, 1);
	assert_ok(vnode_get(t, id, &v));
	vnode_forget(t, id, 1);
	assert_int_equal(vnode_get(t, id, &v), -ENOENT);
	assert_true(intern(t, 5, 7, "v1", &made) != id && made);
	vnode_table_free(t);
}

static void test_vnode_dirs_of_a_directory(void **state)
{
	struct vnode control = {.parent_id = 7, .kind = VNODE_CONTROL, .dir_ino = 7};
	struct vnode_table *t;
	uint64_t found[2], one, two, id;

	assert_ok(vnode_table_new(&t));
	assert_false(vnode_any_dir(t));
	one = intern(t, 5, 7, "v1", NULL);
	two = intern(t, 6, 7, "", NULL);
	intern(t, 6, 8, "", NULL);
	assert_ok(vnode_intern(t, &control, &id, NULL)); /* is no way to see it */
	assert_true(vnode_any_dir(t));
	assert_int_equal(vnode_dirs_of(t, 7, found, 2), 2);
	assert_true(found[0] + found[1] == one + two);
	assert_int_equal(vnode_dirs_of(t, 7, NULL, 0), 2);
	vnode_forget(t, one, 1);
	assert_int_equal(vnode_dirs_of(t, 7, found, 2), 1);
	assert_true(found[0] == two);
	vnode_table_free(t);
}

/* A file has one node a view, wherever it is found, and a chain to all of them. */
static void test_vnode_files_of_an_inode(void **state)
{
	struct vnode ro = {.parent_id = 5, .kind = VNODE_FILE, .ino = 9};
	struct vnode since = ro, got;
	uint64_t a, b, again, found[4];
	struct vnode_table *t;
	bool made;

	ro.view.set = VIEW_RO;
	since.view.set = VIEW_SINCE;
	since.view.since_ns = 77;
	assert_ok(vnode_table_new(&t));
	assert_int_equal(vnode_files_of(t, 9, found, 4), 0);
	assert_ok(vnode_intern(t, &ro, &a, &made));
	assert_true(made);
	ro.parent_id = 6;
	assert_ok(vnode_intern(t, &ro, &again, &made));
	assert_true(again == a && !made);
	assert_ok(vnode_intern(t, &since, &b, NULL));
	assert_int_equal(vnode_files_of(t, 9, found, 4), 2);
	assert_true(found[0] + found[1] == a + b);
	assert_false(vnode_any_dir(t));
	assert_ok(vnode_get(t, b, &got));
	assert_true(got.kind == VNODE_FILE && got.ino == 9 && got.dir_ino == 0);
	assert_true(view_equal(&got.view, &since.view));
	vnode_forget(t, b, 1);
	vnode_forget(t, a, 2);
	assert_int_equal(vnode_files_of(t, 9, found, 4), 0);
	assert_int_equal(vnode_count(t), 0);
	vnode_table_free(t);
}

static void test_vnode_is_bound_once(void **state)
{
	struct vnode want = {.parent_id = 5, .kind = VNODE_WAIT, .dir_ino = 7};
	struct vnode_table *t;
	struct vnode v;
	uint64_t id, other;

	strcpy(want.name, "key");
	assert_ok(vnode_table_new(&t));
	assert_ok(vnode_intern(t, &want, &id, NULL));
	assert_ok(vnode_get(t, id, &v));
	assert_int_equal(v.ino, 0);
	assert_ok(vnode_bind(t, id, 11));
	assert_ok(vnode_bind(t, id, 11));
	assert_int_equal(vnode_bind(t, id, 12), -EBUSY);
	assert_ok(vnode_get(t, id, &v));
	assert_int_equal(v.ino, 11);
	/* The name is waited for again, by another node. */
	assert_ok(vnode_intern(t, &want, &other, NULL));
	assert_true(other != id);
	vnode_forget(t, id, 1);
	assert_int_equal(vnode_bind(t, id, 11), -ENOENT);
	vnode_table_free(t);
}

static void test_vnode_names_are_told_apart(void **state)
{
	struct vnode want = {.parent_id = 5, .kind = VNODE_RESERVATION, .dir_ino = 7};
	struct vnode_table *t;
	struct vnode got;
	uint64_t a, b;

	assert_ok(vnode_table_new(&t));
	strcpy(want.name, "a");
	assert_ok(vnode_intern(t, &want, &a, NULL));
	strcpy(want.name, "b");
	assert_ok(vnode_intern(t, &want, &b, NULL));
	assert_true(a != b);
	assert_ok(vnode_get(t, a, &got));
	assert_string_equal(got.name, "a");
	assert_int_equal(vnode_count(t), 2);
	vnode_table_free(t); /* with what is left in it */
}

/* ---- notes ---- */

static void test_retry_is_of_one_thread(void **state)
{
	struct retry_key mine = {.tid = 10, .uid = 1}, other = {.tid = 11, .uid = 1};
	struct retry note = {.kind = RETRY_WRITE, .ino = 5, .truncate = true}, got;
	struct retry_table *t;

	assert_ok(retry_table_new(&t));
	assert_false(retry_take(t, &mine, &got));
	retry_put(t, &mine, &note);
	assert_false(retry_take(t, &other, &got));
	assert_true(retry_take(t, &mine, &got));
	assert_true(got.kind == RETRY_WRITE && got.ino == 5 && got.truncate);
	assert_false(retry_take(t, &mine, &got));
	/* A later one replaces it. */
	retry_put(t, &mine, &note);
	note.ino = 6;
	retry_put(t, &mine, &note);
	assert_true(retry_take(t, &mine, &got) && got.ino == 6);
	assert_false(retry_take(t, &mine, &got));
	retry_put(t, &mine, &note); /* freed with the table */
	retry_table_free(t);
}

static void test_retry_of_the_invisible_is_of_a_place(void **state)
{
	struct retry_key here = {.uid = 1, .place = retry_place(3, "a")};
	struct retry_key there = {.uid = 1, .place = retry_place(3, "b")};
	struct retry note = {.kind = RETRY_READ, .ino = 5}, got;
	struct retry_table *t;

	assert_ok(retry_table_new(&t));
	retry_put(t, &here, &note);
	assert_false(retry_take(t, &there, &got));
	assert_true(retry_take(t, &here, &got) && got.ino == 5);
	retry_table_free(t);
}

/* ---- recent attributes ---- */

static void test_recent_keeps_the_newest_of_a_slot(void **state)
{
	struct store_attr attr = {.ino = 3, .mode = S_IFREG | 0600}, got;
	struct recent *rec;

	assert_ok(recent_new(&rec));
	assert_int_equal(recent_get(rec, 3, &got), -ENOENT);
	recent_put(rec, &attr);
	assert_ok(recent_get(rec, 3, &got));
	assert_int_equal(got.mode, S_IFREG | 0600);
	for (attr.ino = 4; attr.ino < 1 << 17; attr.ino++) {
		recent_put(rec, &attr);
		assert_ok(recent_get(rec, attr.ino, &got));
	}
	assert_int_equal(recent_get(rec, 3, &got), -ENOENT);
	recent_free(rec);
}

/* Their numbers are multiples of one. */
static void test_recent_trees_do_not_share_a_slot(void **state)
{
	struct store_attr attr = {.mode = S_IFDIR | 0755}, got;
	struct recent *rec;
	int kept = 0;

	assert_ok(recent_new(&rec));
	for (uint64_t i = 1; i <= 100; i++) {
		attr.ino = store_tree_of_stream(i);
		recent_put(rec, &attr);
	}
	for (uint64_t i = 1; i <= 100; i++)
		kept += recent_get(rec, store_tree_of_stream(i), &got) == 0;
	assert_true(kept > 80);
	recent_free(rec);
}

/* ---- values being written ---- */

struct world {
	struct store *st;
	struct pending_table *t;
};

static int world_new(void **state)
{
	static struct world w;
	struct store_options opt = {.kind = STORE_MEMORY, .root_mode = 0755};

	if (store_open(&opt, &w.st, NULL) || pending_table_new(w.st, NULL, &w.t))
		return -1;
	*state = &w;
	return 0;
}

static int world_free(void **state)
{
	struct world *w = *state;

	pending_table_free(w->t);
	store_close(w->st);
	return 0;
}

static struct pending *begin(struct world *w, const char *name, bool exclusive,
			     int *ret_r)
{
	struct pending_args args = {
	    .branch = STORE_ROOT_INO,
	    .name = name,
	    .truncate = true,
	    .exclusive = exclusive,
	    .mode = 0644,
	    .tid = getpid(),
	};
	struct pending *p = NULL;

	*ret_r = pending_new(w->t, &args, &p);
	return p;
}

static struct pending *open_value(struct world *w, const char *name, const char *text)
{
	struct pending *p;
	int r;

	p = begin(w, name, false, &r);
	assert_ok(r);
	assert_ok(pending_open(p, true));
	assert_ok(store_staged_write(pending_staged(p), text, strlen(text), 0));
	return p;
}

/* As the session and op_release do it. Settled, because this process asks itself. */
static void close_value(struct world *w, struct pending *p)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;

	assert_ok(pending_flush(p, getpid()));
	pending_note_release(p);
	pending_where(p, &branch, name);
	pending_release(p);
	pending_wait(w->t, branch, name, getpid());
	pending_unref(p);
}

static bool stored(struct world *w, const char *name)
{
	struct store_attr attr;

	return store_lookup(w->st, STORE_ROOT_INO, name, &attr) == 0;
}

static void test_pending_is_published_at_the_last_close(void **state)
{
	struct world *w = *state;
	struct pending *p = open_value(w, "key", "x");

	assert_true(pending_busy(w->t, STORE_ROOT_INO, "key"));
	assert_true(pending_branch_busy(w->t, STORE_ROOT_INO));
	assert_false(stored(w, "key"));
	close_value(w, p);
	assert_true(stored(w, "key"));
	assert_false(pending_busy(w->t, STORE_ROOT_INO, "key"));
	assert_int_equal(pending_count(w->t), 0);
	assert_false(pending_releasing(w->t));
}

static void test_pending_goes_where_it_was_renamed(void **state)
{
	struct world *w = *state;
	struct pending *p = open_value(w, "tmp", "x");

	assert_ok(pending_rename(p, STORE_ROOT_INO, "key"));
	assert_false(pending_busy(w->t, STORE_ROOT_INO, "tmp"));
	close_value(w, p);
	assert_true(stored(w, "key"));
	assert_false(stored(w, "tmp"));
}

static void test_pending_without_a_name_is_dropped(void **state)
{
	struct world *w = *state;
	struct pending *p = open_value(w, "key", "x");

	assert_ok(pending_detach(p));
	close_value(w, p);
	assert_false(stored(w, "key"));
	assert_int_equal(pending_count(w->t), 0);
}

static void test_pending_exclusive_among_writers(void **state)
{
	struct world *w = *state;
	struct pending *p = open_value(w, "key", "x");
	int r;

	assert_null(begin(w, "key", true, &r));
	assert_int_equal(r, -EEXIST);
	close_value(w, p);
	p = begin(w, "key", true, &r); /* of values being written there is none */
	assert_ok(r);
	pending_drop(p);
	assert_int_equal(pending_count(w->t), 0);
}

static void test_pending_name_too_long(void **state)
{
	char name[STORE_NAME_MAX + 2];
	int r;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_null(begin(*state, name, false, &r));
	assert_int_equal(r, -ENAMETOOLONG);
}

enum { THREADS = 4, ROUNDS = 500 };

struct hammer {
	struct world *w;
	_Atomic int misses;
};

/* Whoever waits at the gate after a close was noted finds what was closed. */
static void *hammer(void *arg)
{
	struct hammer *h = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct pending *p = open_value(h->w, "shared", "x");

		close_value(h->w, p);
		if (!stored(h->w, "shared"))
			atomic_fetch_add(&h->misses, 1);
		pending_wait_branch(h->w->t, STORE_ROOT_INO, getpid());
		if (!stored(h->w, "shared"))
			atomic_fetch_add(&h->misses, 1);
		pending_reap(h->w->t);
	}
	return NULL;
}

static void test_pending_from_many_threads(void **state)
{
	struct hammer h = {.w = *state};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_ok(pthread_create(&threads[i], NULL, hammer, &h));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(h.misses, 0);
	assert_int_equal(pending_count(h.w->t), 0);
	assert_false(pending_releasing(h.w->t));
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_new, world_free)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vnode_dir_is_shared_once),
	    cmocka_unit_test(test_vnode_lives_while_it_is_looked_up),
	    cmocka_unit_test(test_vnode_dirs_of_a_directory),
	    cmocka_unit_test(test_vnode_files_of_an_inode),
	    cmocka_unit_test(test_vnode_is_bound_once),
	    cmocka_unit_test(test_vnode_names_are_told_apart),
	    cmocka_unit_test(test_retry_is_of_one_thread),
	    cmocka_unit_test(test_retry_of_the_invisible_is_of_a_place),
	    cmocka_unit_test(test_recent_keeps_the_newest_of_a_slot),
	    cmocka_unit_test(test_recent_trees_do_not_share_a_slot),
	    IN_A_WORLD(test_pending_is_published_at_the_last_close),
	    IN_A_WORLD(test_pending_goes_where_it_was_renamed),
	    IN_A_WORLD(test_pending_without_a_name_is_dropped),
	    IN_A_WORLD(test_pending_exclusive_among_writers),
	    IN_A_WORLD(test_pending_name_too_long),
	    IN_A_WORLD(test_pending_from_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
