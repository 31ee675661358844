/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel of a read-only mount is told, and what loses its name meanwhile. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fast.h"
#include "fs/fs.h"

#define assert_ok(call) assert_int_equal((call), 0)

enum { TELLERS = 3, TRIES = 10000 };

struct world {
	struct fs fs;
	/* Asked after the mount whether it is known; so what it answers is out of date.
	 */
	struct store_known after;
	uint64_t ino;
	pthread_t tellers[TELLERS];
	int begun; /* tellers */
	int answers[TELLERS];
};

struct teller {
	struct world *w;
	int i;
};

static void *tell(void *arg)
{
	struct teller *t = arg;

	t->w->answers[t->i] = fast_learn(t->w->fs.fast, t->w->ino);
	return NULL;
}

/* All of them come when it was asked already, and before it is gone. */
static bool tell_late(void *arg, uint64_t ino)
{
	static struct teller tellers[TELLERS];
	struct world *w = arg;

	assert_int_equal(ino, w->ino);
	for (; w->begun < TELLERS; w->begun++) {
		tellers[w->begun] = (struct teller){w, w->begun};
		assert_ok(pthread_create(&w->tellers[w->begun], NULL, tell,
					 &tellers[w->begun]));
	}
	for (int i = 0; i < TRIES && !fast_knows(w->fs.fast, ino, TELLERS); i++)
		usleep(1000);
	assert_true(fast_knows(w->fs.fast, ino, TELLERS));
	return false;
}

static int begin(void **state)
{
	const struct store_options opt = {
	    .kind = STORE_MEMORY, .root_mode = 0755, .size_bytes = STORE_SIZE_NONE};
	static struct world w;
	struct errmsg err;

	memset(&w, 0, sizeof(w));
	w.after = (struct store_known){.known = tell_late, .arg = &w};
	assert_ok(store_open(&opt, &w.fs.store, &err));
	*state = &w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	fast_free(w->fs.fast);
	store_close(w->fs.store);
	return 0;
}

static uint64_t publish(struct store *st, const char *name)
{
	const struct store_stage_args args = {.branch = STORE_ROOT_INO,
					      .mode = S_IFREG | 0644};
	struct store_staged *sg;
	struct store_attr attr;

	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_publish(sg, STORE_ROOT_INO, name, false, NULL, NULL));
	store_staged_free(sg);
	assert_ok(store_lookup(st, STORE_ROOT_INO, name, &attr));
	return attr.ino;
}

static void assert_counts(struct world *w, uint64_t known, uint64_t held)
{
	uint64_t is_known, is_held;

	fast_counts(w->fs.fast, &is_known, &is_held);
	assert_int_equal(is_known, known);
	assert_int_equal(is_held, held);
}

static void what_is_told_is_held(void **state)
{
	struct world *w = *state;
	struct store_gen *gen;

	assert_ok(fast_new(&w->fs, &w->fs.fast));
	w->ino = publish(w->fs.store, "key");
	assert_ok(fast_learn(w->fs.fast, w->ino));
	assert_ok(fast_learn(w->fs.fast, w->ino));
	assert_ok(store_unlink(w->fs.store, STORE_ROOT_INO, "key"));
	assert_counts(w, 1, 1);
	/* Who found the name before, and tells of it now. */
	assert_ok(fast_learn(w->fs.fast, w->ino));
	fast_forget(w->fs.fast, w->ino, 2);
	assert_ok(store_gen_open_known(w->fs.store, w->ino, &gen));
	store_gen_close(gen);
	fast_forget(w->fs.fast, w->ino, 1);
	assert_counts(w, 0, 0);
	assert_int_equal(fast_learn(w->fs.fast, w->ino), -ENOENT);
	assert_counts(w, 0, 0);
}

/* Each of them, and not the first alone: else the kernel has what cannot be read. */
static void who_is_too_late_tells_nothing(void **state)
{
	struct world *w = *state;

	store_known_add(w->fs.store, &w->after);
	assert_ok(fast_new(&w->fs, &w->fs.fast));
	w->ino = publish(w->fs.store, "key");
	assert_ok(store_unlink(w->fs.store, STORE_ROOT_INO, "key"));
	for (int i = 0; i < TELLERS; i++) {
		assert_ok(pthread_join(w->tellers[i], NULL));
		assert_int_equal(w->answers[i], -ENOENT);
	}
	assert_counts(w, 0, 0);
	store_known_remove(w->fs.store, &w->after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_told_is_held, begin, end),
	    cmocka_unit_test_setup_teardown(who_is_too_late_tells_nothing, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
