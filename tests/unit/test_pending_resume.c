/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values being written, by name and owner, over the death of the daemon: a child is the
 * daemon and dies, this process is its successor.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/pending.h"
#include "store/lease.h"
#include "store/store.h"
#include "store/util/keep.h"

#define assert_ok(call) assert_int_equal((call), 0)
#define ROOT STORE_ROOT_INO
#define KEEP_BYTES (16 << 20)

/* What the child tells. */
struct told {
	uint64_t ino[4];
	pid_t writer; /* the process that closes, where it is another */
	int at;	      /* how far it came */
};

struct world {
	char dir[64], path[80];
	int keep_fd;
	struct told *told;
	struct keep *keep;
	struct store *st;
	struct pending_table *t;
};

/* In the child, where a failed assertion must not return into cmocka. */
#define must(call)                                                                       \
	do {                                                                             \
		if (call) {                                                              \
			w->told->at = -__LINE__;                                         \
			_exit(5);                                                        \
		}                                                                        \
	} while (0)

static int open_world(struct world *w, const struct pending_events *events)
{
	struct store_options opt = {.kind = STORE_ROCKSDB,
				    .path = w->path,
				    .root_uid = getuid(),
				    .root_mode = 0755};
	struct errmsg err = {0};
	int r = keep_open(w->keep_fd, KEEP_BYTES, &w->keep, &err);

	opt.keep = w->keep;
	if (!r)
		r = store_open(&opt, &w->st, &err);
	if (r)
		print_error("%s\n", err.text);
	return r ? r : pending_table_new(w->st, events, &w->t);
}

static void close_world(struct world *w)
{
	pending_table_free(w->t);
	store_close(w->st);
	keep_close(w->keep);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/memofs-pending-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	snprintf(w->path, sizeof(w->path), "%s/store", w->dir);
	w->keep_fd = memfd_create("keep", MFD_CLOEXEC);
	w->told = mmap(NULL, sizeof(*w->told), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Who has written outlives the daemon, and is this process's then. */
	return prctl(PR_SET_CHILD_SUBREAPER, 1) || w->keep_fd < 0 || w->told == MAP_FAILED
		   ? -1
		   : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", w->dir);
	close(w->keep_fd);
	munmap(w->told, sizeof(*w->told));
	free(w);
	return system(command);
}

/* The daemon runs `life`, and is killed. */
static void die_after(struct world *w, void (*life)(struct world *w))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		life(w);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		fail_msg("the daemon failed: %d", w->told->at);
	assert_ok(open_world(w, NULL));
	assert_ok(pending_resume(w->t));
}

/* ---- the daemon that dies ---- */

static struct pending_args args_of(const char *name, pid_t tid)
{
	return (struct pending_args){
	    .branch = ROOT, .name = name, .mode = 0640, .uid = 7, .gid = 8, .tid = tid};
}

static struct pending *begin(struct world *w, const struct pending_args *args,
			     const char *text)
{
	struct pending *p;

	must(pending_new(w->t, args, &p));
	must(pending_open(p, true));
	must(store_staged_write(pending_staged(p), text, strlen(text), 0));
	return p;
}

static void open_daemon(struct world *w)
{
	must(open_world(w, NULL));
	must(pending_resume(w->t));
	pending_resume_end(w->t);
	store_resume_end(w->st);
}

/* A process that lives until it is told, and then ends as it is told. */
static pid_t writer_new(int *ret_tell)
{
	int fds[2];
	char code;
	pid_t pid;

	if (pipe(fds))
		return -1;
	pid = fork();
	if (!pid) {
		close(fds[1]);
		_exit(read(fds[0], &code, 1) == 1 ? code : 9);
	}
	close(fds[0]);
	*ret_tell = fds[1];
	return pid;
}

/* ---- somebody has it open ---- */

static void life_open(struct world *w)
{
	struct pending_args args = args_of("key", getppid());
	struct pending *p;

	open_daemon(w);
	p = begin(w, &args, "what was written");
	w->told->ino[0] = pending_ino(p);
	must(pending_rename(p, ROOT, "name"));
}

static void assert_content(struct world *w, const char *name, const char *text)
{
	struct store_attr attr;
	struct store_gen *gen;
	char data[64];
	size_t n;

	assert_ok(store_lookup(w->st, ROOT, name, &attr));
	assert_ok(store_gen_open(w->st, attr.ino, &gen));
	assert_ok(store_gen_read(gen, data, sizeof(data), 0, &n));
	assert_int_equal(n, strlen(text));
	assert_memory_equal(data, text, n);
	store_gen_close(gen);
}

static void close_value(struct pending *p)
{
	pending_note_release(p);
	pending_release(p);
	pending_unref(p);
}

static void test_writer_goes_on(void **state)
{
	struct world *w = *state;
	struct store_lease lease;
	struct store_attr attr;
	struct pending *p;

	die_after(w, life_open);
	p = pending_resumed(w->t, w->told->ino[0]);
	assert_non_null(p);
	pending_resume_writer(p);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_true(pending_busy(w->t, ROOT, "name"));
	assert_false(pending_busy(w->t, ROOT, "key"));
	/* It has the lease of its name, as before. */
	assert_ok(store_lease_get(w->st, ROOT, "name", &lease));
	assert_int_equal(lease.kind, STORE_LEASE_HELD);
	assert_int_equal(lease.token, w->told->ino[0]);
	assert_ok(pending_attr(w->t, ROOT, "name", &attr));
	assert_int_equal(attr.uid, 7);
	assert_ok(store_staged_write(pending_staged(p), "WAS", 3, 5));
	assert_ok(pending_flush(p, 0));
	close_value(p);
	pending_wait(w->t, ROOT, "name", 0);
	assert_content(w, "name", "what WAS written");
	assert_int_equal(store_lease_get(w->st, ROOT, "name", &lease), -ENOENT);
	assert_int_equal(pending_count(w->t), 0);
	close_world(w);
}

/* Nothing of it is left over for the one after. */
static void test_what_was_published_is_not_kept(void **state)
{
	struct world *w = *state;
	struct pending *p;

	die_after(w, life_open);
	p = pending_resumed(w->t, w->told->ino[0]);
	pending_resume_writer(p);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	close_value(p);
	close_world(w);
	assert_ok(open_world(w, NULL));
	assert_ok(pending_resume(w->t));
	assert_null(pending_resumed(w->t, w->told->ino[0]));
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_content(w, "name", "what was written");
	close_world(w);
}

/* ---- nobody has it open yet ---- */

static void life_begun(struct world *w)
{
	struct pending_args args = args_of("key", getppid());
	struct pending *p;

	args.exclusive = true;
	open_daemon(w);
	must(pending_new(w->t, &args, &p));
	w->told->ino[0] = pending_ino(p);
}

static void test_the_same_request_makes_one_value(void **state)
{
	struct world *w = *state;
	struct pending_args args = args_of("key", getpid());
	struct pending *p, *other;

	args.exclusive = true;
	die_after(w, life_begun);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	args.uid = 9; /* somebody else is told that it is taken */
	assert_int_equal(pending_new(w->t, &args, &other), -EEXIST);
	args.uid = 7;
	assert_ok(pending_new(w->t, &args, &p));
	assert_int_equal(pending_ino(p), w->told->ino[0]);
	assert_int_equal(pending_count(w->t), 1);
	assert_ok(pending_open(p, true));
	/* It is his now, and nobody gets it again. */
	assert_int_equal(pending_new(w->t, &args, &other), -EEXIST);
	close_value(p);
	pending_wait(w->t, ROOT, "key", 0);
	assert_content(w, "key", "");
	close_world(w);
}

/* ---- it has lost its name ---- */

static void life_detached(struct world *w)
{
	struct pending_args args = args_of("key", getppid());
	struct pending *p;

	open_daemon(w);
	p = begin(w, &args, "nobody");
	w->told->ino[0] = pending_ino(p);
	must(pending_detach(p));
}

static void test_detached_is_not_published(void **state)
{
	struct world *w = *state;
	struct store_attr attr;
	struct pending *p;
	char data[16];
	size_t n;

	die_after(w, life_detached);
	p = pending_resumed(w->t, w->told->ino[0]);
	pending_resume_writer(p);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_ok(store_staged_read(pending_staged(p), data, sizeof(data), 0, &n));
	assert_int_equal(n, 6);
	close_value(p);
	assert_int_equal(store_lookup(w->st, ROOT, "key", &attr), -ENOENT);
	assert_int_equal(pending_count(w->t), 0);
	close_world(w);
}

/* ---- it lingers ---- */

static int tell; /* of the writer; inherited */

static void life_lingering(struct world *w)
{
	struct pending_args args = args_of("key", w->told->writer);

	struct pending *p[2];

	open_daemon(w);
	/* Who began one after the other was closed would not wait for that. */
	for (int i = 0; i < 2; i++) {
		p[i] = begin(w, &args, i ? "second" : "first");
		w->told->ino[i] = pending_ino(p[i]);
	}
	for (int i = 0; i < 2; i++) {
		must(pending_flush(p[i], w->told->writer));
		pending_note_release(p[i]);
		pending_release(p[i]);
	}
}

/* A daemon that gets no CPU for long has published them before it dies. */
static void linger_and_die(struct world *w)
{
	w->told->writer = writer_new(&tell);
	assert_true(w->told->writer > 0);
	die_after(w, life_lingering);
	for (int tries = 0; pending_count(w->t) != 2 && tries < 10; tries++) {
		pending_resume_end(w->t);
		store_resume_end(w->st);
		(void)store_unlink(w->st, ROOT, "key");
		close_world(w);
		die_after(w, life_lingering);
	}
	assert_int_equal(pending_count(w->t), 2);
}

static void writer_ends(struct world *w, char code)
{
	siginfo_t info;

	assert_int_equal(write(tell, &code, 1), 1);
	assert_ok(waitid(P_PID, (id_t)w->told->writer, &info, WEXITED | WNOWAIT));
}

static void forget_writer(struct world *w)
{
	close(tell);
	assert_int_equal(waitpid(w->told->writer, NULL, 0), w->told->writer);
}

/* The last to be closed wins. */
static void test_lingering_is_published(void **state)
{
	struct world *w = *state;

	linger_and_die(w);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_int_equal(pending_count(w->t), 0);
	assert_content(w, "key", "second");
	forget_writer(w);
	close_world(w);
}

static void test_lingering_of_one_that_has_failed(void **state)
{
	struct world *w = *state;
	struct store_attr attr;

	linger_and_die(w);
	writer_ends(w, 1);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_int_equal(pending_count(w->t), 0);
	assert_int_equal(store_lookup(w->st, ROOT, "key", &attr), -ENOENT);
	forget_writer(w);
	close_world(w);
}

/* What comes to be closed again has its writer: the RELEASE was not answered. */
static void test_lingering_with_its_release_to_come(void **state)
{
	struct world *w = *state;
	struct pending *p;

	linger_and_die(w);
	p = pending_resumed(w->t, w->told->ino[1]);
	pending_resume_writer(p);
	pending_note_release(p);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_content(w, "key", "first");
	pending_release(p);
	pending_unref(p);
	pending_wait(w->t, ROOT, "key", w->told->writer);
	assert_content(w, "key", "second");
	forget_writer(w);
	close_world(w);
}

/* ---- an owner's reservation ---- */

static void life_owned(struct world *w)
{
	struct pending_args args = args_of("key", getppid());
	struct store_lease lease;

	open_daemon(w);
	must(store_lease_acquire(w->st, ROOT, "key", "me", NSEC_PER_SEC * 100, &lease));
	args.owner = "me";
	w->told->ino[0] = pending_ino(begin(w, &args, "mine"));
}

static void test_owner_goes_on(void **state)
{
	struct world *w = *state;
	struct store_lease lease;
	struct pending *p;

	die_after(w, life_owned);
	p = pending_resumed(w->t, w->told->ino[0]);
	pending_resume_writer(p);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_ok(store_lease_get(w->st, ROOT, "key", &lease));
	assert_string_equal(lease.owner, "me");
	assert_ok(pending_flush(p, 0));
	close_value(p);
	assert_content(w, "key", "mine");
	assert_int_equal(store_lease_get(w->st, ROOT, "key", &lease), -ENOENT);
	close_world(w);
}

static void test_owner_loses_it(void **state)
{
	struct world *w = *state;
	struct store_attr attr;
	struct pending *p;

	die_after(w, life_owned);
	p = pending_resumed(w->t, w->told->ino[0]);
	pending_resume_writer(p);
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_ok(store_lease_release(w->st, ROOT, "key", "me"));
	assert_int_equal(pending_flush(p, 0), -ESTALE);
	close_value(p);
	assert_int_equal(store_lookup(w->st, ROOT, "key", &attr), -ENOENT);
	close_world(w);
}

/* ---- it dies between the publish and all that follows ---- */

static void die_published(void *arg, uint64_t branch, double cost_s, int64_t took_ns)
{
	raise(SIGKILL);
}

static void life_published(struct world *w)
{
	const struct pending_events events = {.stored = die_published};
	struct pending_args args = args_of("key", 0);
	struct store_lease lease;
	struct pending *p;

	must(open_world(w, &events));
	must(store_lease_acquire(w->st, ROOT, "key", "me", NSEC_PER_SEC * 100, &lease));
	args.owner = "me";
	p = begin(w, &args, "published");
	w->told->ino[0] = pending_ino(p);
	pending_note_release(p);
	pending_release(p);
}

static void test_published_is_as_it_is(void **state)
{
	struct world *w = *state;
	struct store_lease lease;
	struct pending *p;
	char data[16];
	size_t n;

	die_after(w, life_published);
	/* Its RELEASE comes again, and finds it done. */
	p = pending_resumed(w->t, w->told->ino[0]);
	assert_non_null(p);
	pending_resume_writer(p);
	pending_note_release(p);
	assert_content(w, "key", "published");
	pending_resume_end(w->t);
	store_resume_end(w->st);
	assert_ok(store_staged_read(pending_staged(p), data, sizeof(data), 0, &n));
	assert_int_equal(n, 9);
	pending_release(p);
	pending_unref(p);
	assert_content(w, "key", "published");
	assert_int_equal(store_lease_get(w->st, ROOT, "key", &lease), -ENOENT);
	assert_int_equal(pending_count(w->t), 0);
	assert_false(pending_releasing(w->t));
	close_world(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_writer_goes_on),
	    TEST(test_what_was_published_is_not_kept),
	    TEST(test_the_same_request_makes_one_value),
	    TEST(test_detached_is_not_published),
	    TEST(test_lingering_is_published),
	    TEST(test_lingering_of_one_that_has_failed),
	    TEST(test_lingering_with_its_release_to_come),
	    TEST(test_owner_goes_on),
	    TEST(test_owner_loses_it),
	    TEST(test_published_is_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
