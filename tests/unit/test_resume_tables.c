/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles and virtual nodes over the death of the daemon. A child changes a table and
 * says in shared memory what it is about to do and what it has done; it is killed at any
 * instruction, and its successor must have what it said, or one step more.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/handle.h"
#include "fs/vnode.h"
#include "store/util/keep.h"

#define assert_ok(call) assert_int_equal((call), 0)

enum { THINGS = 64, ROUNDS = 60, NOBODY = THINGS };

/* What the child says. */
struct thing {
	_Atomic uint64_t id;	/* its fh, or its node's; 0: there is none */
	_Atomic uint64_t count; /* lookups */
	_Atomic uint64_t last;	/* the number that it had when it was ended */
};

struct said {
	_Atomic unsigned int busy; /* with this one */
	struct thing things[THINGS];
};

struct scene {
	int fd;
	struct said *said;
};

static struct scene *scene_new(void)
{
	static struct scene s;

	s.fd = memfd_create("keep", MFD_CLOEXEC);
	assert_true(s.fd >= 0);
	s.said = mmap(NULL, sizeof(*s.said), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(s.said, MAP_FAILED);
	s.said->busy = NOBODY;
	return &s;
}

static void scene_free(struct scene *s)
{
	munmap(s->said, sizeof(*s->said));
	close(s->fd);
}

static struct keep *keep_of(const struct scene *s)
{
	struct errmsg err = {0};
	struct keep *k = NULL;

	if (keep_open(s->fd, (uint64_t)64 << 20, &k, &err))
		abort(); /* in the child, too */
	return k;
}

/* `work` goes on for ever, with a keep of its own. */
static void run_and_kill(const struct scene *s, unsigned int round,
			 void (*work)(struct keep *k, struct said *said,
				      unsigned int seed))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		work(keep_of(s), s->said, round);
		_exit(1);
	}
	usleep(1000 + (unsigned int)random() % 3000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- handles ---- */

static int resume_one(void *arg, struct kept *o)
{
	struct slice extra;
	struct handle *h;
	int r = handle_resume(arg, o, &h, &extra);

	if (r == -ENODATA) {
		keep_free(o);
		return 0;
	}
	if (!r && extra.len)
		r = buf_set(&h->text, extra.data, extra.len);
	return r;
}

static struct handle_list *handles_of(struct keep *k)
{
	struct handle_list *list;

	if (handle_list_new(&list))
		abort();
	handle_list_keep(list, k);
	if (keep_each(k, KEEP_HANDLE, resume_one, list) || handle_resume_end(list))
		abort();
	return list;
}

static void text_of(uint64_t i, char ret_text[32])
{
	snprintf(ret_text, 32, "the text of %llu", (unsigned long long)i);
}

static void open_one(struct handle_list *list, struct thing *t, uint64_t i)
{
	struct handle *h = handle_new(list, HANDLE_TEXT);
	char text[32];

	if (!h)
		abort();
	text_of(i, text);
	h->nodeid = 1000 + i;
	h->unique = 2 * i + 2;
	h->told = HANDLE_DIRECT_IO;
	if (buf_set(&h->text, text, strlen(text)))
		abort();
	handle_keep(list, h, buf_slice(&h->text));
	if (!h->kept)
		abort();
	t->id = h->fh;
}

static void change_handles(struct keep *k, struct said *said, unsigned int seed)
{
	struct handle_list *list = handles_of(k);

	srandom(seed);
	for (;;) {
		unsigned int i = (unsigned int)random() % THINGS;
		struct thing *t = &said->things[i];

		said->busy = i;
		if (t->id) {
			handle_free(list, handle_get(list, t->id));
			t->last = t->id;
			t->id = 0;
		} else {
			open_one(list, t, i);
		}
		said->busy = NOBODY;
	}
}

static void check_handle(struct handle_list *list, const struct thing *t, uint64_t i)
{
	struct handle *h = handle_get(list, t->id);
	char text[32];

	text_of(i, text);
	assert_int_equal(h->kind, HANDLE_TEXT);
	assert_int_equal(h->fh, t->id);
	assert_int_equal(h->nodeid, 1000 + i);
	assert_int_equal(h->told, HANDLE_DIRECT_IO);
	assert_int_equal(h->text.len, strlen(text));
	assert_memory_equal(h->text.data, text, h->text.len);
	assert_ptr_equal(handle_by_unique(list, 2 * i + 2), h);
}

struct found {
	struct said *said;
	struct handle_list *list;
};

/* One that nobody was told of, or that was being closed. */
static void settle_handle(void *arg, struct handle *h)
{
	struct found *f = arg;
	uint64_t i = h->nodeid - 1000;

	if (f->said->things[i].id == h->fh)
		return;
	assert_int_equal(f->said->busy, i);
	handle_free(f->list, h);
}

static void check_handles(struct keep *k, struct said *said)
{
	struct found f = {said, handles_of(k)};
	uint64_t count = 0;

	for (uint64_t i = 0; i < THINGS; i++) {
		struct thing *t = &said->things[i];

		if (i == said->busy && t->id &&
		    handle_get(f.list, t->id)->kind == HANDLE_LOST)
			t->id = 0; /* it was just closed */
		if (t->id)
			check_handle(f.list, t, i);
		count += t->id != 0;
	}
	handle_each(f.list, settle_handle, &f);
	assert_int_equal(handle_count(f.list), count);
	said->busy = NOBODY;
	handle_list_free(f.list); /* what is kept stays */
}

static void test_handles_over_deaths(void **state)
{
	struct scene *s = scene_new();

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct keep *k;

		run_and_kill(s, round, change_handles);
		k = keep_of(s);
		check_handles(k, s->said);
		keep_close(k);
	}
	scene_free(s);
}

/* A number from before means nothing, also when its place is another's by now. */
static void test_handle_numbers(void **state)
{
	struct handle_list *list;
	struct handle *h;
	uint64_t old;

	assert_ok(handle_list_new(&list));
	assert_int_equal(handle_get(list, 0)->kind, HANDLE_LOST);
	assert_int_equal(handle_get(list, UINT64_MAX)->kind, HANDLE_LOST);
	h = handle_new(list, HANDLE_TEXT);
	old = h->fh;
	assert_ptr_equal(handle_get(list, old), h);
	handle_free(list, h);
	assert_int_equal(handle_get(list, old)->kind, HANDLE_LOST);
	h = handle_new(list, HANDLE_TEXT);
	assert_int_not_equal(h->fh, old);
	assert_int_equal((uint32_t)h->fh, (uint32_t)old);
	handle_free(list, handle_get(list, old)); /* nothing */
	assert_int_equal(handle_count(list), 1);
	handle_list_free(list);
}

/* What was opened when there was no room to keep it: its number, which the kernel has,
 * is nobody's afterwards. */
static void test_handles_that_were_not_kept(void **state)
{
	enum { MANY = 2000 };
	static uint64_t fhs[MANY];
	struct handle_list *list;

	assert_ok(handle_list_new(&list));
	for (int i = 0; i < MANY; i++)
		fhs[i] = handle_new(list, HANDLE_TEXT)->fh;
	handle_list_free(list);
	assert_ok(handle_list_new(&list));
	for (int i = 0; i < MANY; i++)
		assert_non_null(handle_new(list, HANDLE_TEXT));
	for (int i = 0; i < MANY; i++)
		assert_int_equal(handle_get(list, fhs[i])->kind, HANDLE_LOST);
	handle_list_free(list);
}

static void test_many_handles(void **state)
{
	enum { MANY = 5000 };
	static uint64_t fhs[MANY];
	struct handle_list *list;

	assert_ok(handle_list_new(&list));
	for (int i = 0; i < MANY; i++) {
		struct handle *h = handle_new(list, HANDLE_TEXT);

		h->nodeid = (uint64_t)i;
		fhs[i] = h->fh;
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(handle_get(list, fhs[i])->nodeid, i);
	for (int i = 0; i < MANY; i += 2)
		handle_free(list, handle_get(list, fhs[i]));
	for (int i = 0; i < MANY; i++)
		assert_int_equal(handle_get(list, fhs[i])->kind,
				 i % 2 ? HANDLE_TEXT : HANDLE_LOST);
	assert_int_equal(handle_count(list), MANY / 2);
	handle_list_free(list);
}

/* ---- nodes ---- */

static struct vnode node_of(uint64_t i)
{
	struct vnode v = {.parent_id = 5, .view = {.set = VIEW_OWNER}};

	v.kind = i % 3 == 0 ? VNODE_FILE : i % 3 == 1 ? VNODE_DIR : VNODE_RESERVATION;
	if (v.kind == VNODE_FILE) {
		v.parent_id = 0;
		v.ino = 100 + i;
	} else {
		v.dir_ino = 100 + i;
	}
	if (v.kind == VNODE_RESERVATION)
		snprintf(v.name, sizeof(v.name), "name of %d", (int)i);
	snprintf(v.view.owner, sizeof(v.view.owner), "owner-%d", (int)(i % 4));
	return v;
}

static void change_nodes(struct keep *k, struct said *said, unsigned int seed)
{
	struct vnode_table *t;

	if (vnode_table_new(&t) || vnode_resume(t, k))
		abort();
	srandom(seed);
	for (;;) {
		unsigned int i = (unsigned int)random() % THINGS;
		struct thing *thing = &said->things[i];
		struct vnode want = node_of(i);
		uint64_t id;

		said->busy = i;
		if (thing->count && random() % 3 == 0) {
			vnode_forget(t, thing->id, thing->count);
			thing->last = thing->id;
			thing->count = 0;
		} else {
			if (vnode_intern(t, &want, &id, NULL))
				abort();
			thing->id = id;
			thing->count++;
		}
		said->busy = NOBODY;
	}
}

static void check_node(struct vnode_table *t, const struct thing *thing, uint64_t i)
{
	struct vnode want = node_of(i), got;

	assert_ok(vnode_get(t, thing->id, &got));
	assert_int_equal(got.kind, want.kind);
	assert_int_equal(got.ino, want.ino);
	assert_int_equal(got.dir_ino, want.dir_ino);
	assert_int_equal(got.parent_id, want.parent_id);
	assert_string_equal(got.name, want.name);
	assert_true(view_equal(&got.view, &want.view));
}

/* All are forgotten as often as the kernel was told of them, and none is left. */
static void check_nodes(struct keep *k, struct said *said)
{
	struct vnode_table *t;

	assert_ok(vnode_table_new(&t));
	assert_ok(vnode_resume(t, k));
	for (uint64_t i = 0; i < THINGS; i++) {
		struct thing *thing = &said->things[i];
		struct vnode want = node_of(i), got;
		uint64_t id;
		bool made;

		if (i == said->busy) { /* whatever it has, it is one node */
			assert_ok(vnode_intern(t, &want, &id, NULL));
			vnode_forget(t, id, UINT64_MAX);
			thing->count = 0;
		}
		if (!thing->count)
			continue;
		check_node(t, thing, i);
		assert_ok(vnode_intern(t, &want, &id, &made));
		assert_int_equal(id, thing->id);
		assert_false(made);
		vnode_forget(t, id, thing->count);
		assert_ok(vnode_get(t, id, &got));
		vnode_forget(t, id, 1);
		assert_int_equal(vnode_get(t, id, &got), -ENOENT);
		thing->count = 0;
	}
	assert_int_equal(vnode_count(t), 0);
	said->busy = NOBODY;
	vnode_table_free(t);
}

static void test_nodes_over_deaths(void **state)
{
	struct scene *s = scene_new();

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct keep *k;

		run_and_kill(s, round, change_nodes);
		k = keep_of(s);
		check_nodes(k, s->said);
		keep_close(k);
	}
	scene_free(s);
}

/* An id is never given to another node, and what a node was bound to stays. */
static void test_node_ids_and_bindings(void **state)
{
	struct vnode want = {.kind = VNODE_WAIT, .parent_id = 5, .dir_ino = 7};
	struct scene *s = scene_new();
	struct keep *k = keep_of(s);
	struct vnode_table *t;
	uint64_t bound, gone, id;
	struct vnode got;

	strcpy(want.name, "waited-for");
	assert_ok(vnode_table_new(&t));
	assert_ok(vnode_resume(t, k));
	assert_ok(vnode_intern(t, &want, &bound, NULL));
	assert_ok(vnode_bind(t, bound, 99));
	assert_ok(vnode_intern(t, &want, &gone, NULL));
	vnode_forget(t, gone, 1);
	vnode_table_free(t);
	keep_close(k);

	k = keep_of(s);
	assert_ok(vnode_table_new(&t));
	assert_ok(vnode_resume(t, k));
	assert_ok(vnode_get(t, bound, &got));
	assert_int_equal(got.ino, 99);
	assert_int_equal(vnode_bind(t, bound, 98), -EBUSY);
	assert_ok(vnode_intern(t, &want, &id, NULL));
	assert_int_not_equal(id, bound);
	assert_int_not_equal(id, gone);
	vnode_table_free(t);
	keep_close(k);
	scene_free(s);
}

/* Also when all that was kept is lost. */
static void test_node_ids_without_what_was_kept(void **state)
{
	struct vnode want = {.kind = VNODE_WAIT, .parent_id = 5, .dir_ino = 7};
	uint64_t ids[2];

	strcpy(want.name, "name");
	for (int i = 0; i < 2; i++) {
		struct scene *s = scene_new();
		struct keep *k = keep_of(s);
		struct vnode_table *t;

		assert_ok(vnode_table_new(&t));
		assert_ok(vnode_resume(t, k));
		assert_ok(vnode_intern(t, &want, &ids[i], NULL));
		vnode_table_free(t);
		keep_close(k);
		scene_free(s);
	}
	assert_int_not_equal(ids[0], ids[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_handle_numbers),
	    cmocka_unit_test(test_handles_that_were_not_kept),
	    cmocka_unit_test(test_many_handles),
	    cmocka_unit_test(test_handles_over_deaths),
	    cmocka_unit_test(test_nodes_over_deaths),
	    cmocka_unit_test(test_node_ids_and_bindings),
	    cmocka_unit_test(test_node_ids_without_what_was_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
