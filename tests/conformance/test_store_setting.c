/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of directories, entries that have expired, and what a value has cost. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <string.h>

#include "tests/conformance/store_check.h"

#define SEC NSEC_PER_SEC

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static int set(struct store *st, uint64_t dir, enum store_setting which, const char *text)
{
	return store_setting_set(st, dir, which, text);
}

static struct store_settings settings_of(struct store *st, uint64_t branch)
{
	struct store_settings settings;

	assert_ok(store_settings(st, branch, &settings));
	return settings;
}

static void assert_settings(struct store *st, uint64_t branch, int64_t lease_ns,
			    int64_t wait_ns, bool always)
{
	struct store_settings s = settings_of(st, branch);

	assert_int_equal(s.lease_ns, lease_ns);
	assert_int_equal(s.wait_ns, wait_ns);
	assert_int_equal(s.publish_always, always);
}

static void assert_text(struct store *st, uint64_t dir, enum store_setting which,
			const char *expected)
{
	struct buf text = BUF_INIT;
	int r = store_setting_get(st, dir, which, &text);

	if (!expected) {
		assert_int_equal(r, -ENODATA);
		return;
	}
	assert_ok(r);
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.data, expected, text.len);
	buf_deinit(&text);
}

static void test_defaults(void **state)
{
	struct store *st = store_of(state);

	assert_settings(st, ROOT, 60 * SEC, DURATION_UNSET, false);
	assert_settings(st, make_dir(st, ROOT, "d"), 60 * SEC, DURATION_UNSET, false);
	assert_text(st, ROOT, STORE_SETTING_LEASE, NULL);
	assert_text(st, ROOT, STORE_SETTING_WAIT, NULL);
	assert_text(st, ROOT, STORE_SETTING_PUBLISH, NULL);
}

static void test_values(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), file = make_file(st, ROOT, "f", "x");
	struct store_settings s;
	struct buf text = BUF_INIT;

	assert_int_equal(set(st, dir, STORE_SETTING_LEASE, "soon"), -EINVAL);
	assert_int_equal(set(st, dir, STORE_SETTING_LEASE, "0"), -EINVAL);
	assert_int_equal(set(st, dir, STORE_SETTING_LEASE, "none"), -EINVAL);
	assert_int_equal(set(st, dir, STORE_SETTING_LEASE, "367d"), -EINVAL);
	assert_int_equal(set(st, dir, STORE_SETTING_WAIT, "-1s"), -EINVAL);
	assert_int_equal(set(st, dir, STORE_SETTING_PUBLISH, "never"), -EINVAL);
	assert_int_equal(set(st, dir, STORE_SETTING_PUBLISH, "Always"), -EINVAL);
	assert_settings(st, dir, 60 * SEC, DURATION_UNSET, false);
	assert_ok(set(st, dir, STORE_SETTING_LEASE, "PT5M"));
	assert_ok(set(st, dir, STORE_SETTING_WAIT, " 90s\n"));
	assert_ok(set(st, dir, STORE_SETTING_PUBLISH, "always"));
	assert_settings(st, dir, 300 * SEC, 90 * SEC, true);
	assert_text(st, dir, STORE_SETTING_LEASE, "PT5M");
	assert_text(st, dir, STORE_SETTING_WAIT, "90s");
	assert_text(st, dir, STORE_SETTING_PUBLISH, "always");
	assert_ok(set(st, dir, STORE_SETTING_WAIT, "none"));
	assert_ok(set(st, dir, STORE_SETTING_PUBLISH, "on-success"));
	assert_settings(st, dir, 300 * SEC, DURATION_NONE, false);
	assert_ok(set(st, dir, STORE_SETTING_LEASE, ""));
	assert_ok(set(st, dir, STORE_SETTING_LEASE, ""));
	assert_text(st, dir, STORE_SETTING_LEASE, NULL);
	assert_settings(st, dir, 60 * SEC, DURATION_NONE, false);

	assert_int_equal(set(st, file, STORE_SETTING_LEASE, "1s"), -ENOTDIR);
	assert_int_equal(store_setting_get(st, file, STORE_SETTING_LEASE, &text),
			 -ENOTDIR);
	assert_int_equal(store_settings(st, file, &s), -ENOENT);
	assert_int_equal(set(st, 99999, STORE_SETTING_LEASE, "1s"), -ENOENT);
	assert_int_equal(store_settings(st, 99999, &s), -ENOENT);
	assert_int_equal(store_settings(st, 0, &s), -ENOENT);
}

/* Each comes from the nearest directory that has it, as that is now. */
static void test_inheritance(void **state)
{
	struct store *st = store_of(state);
	uint64_t a = make_dir(st, ROOT, "a"), b = make_dir(st, a, "b");
	uint64_t v = branch_of(st, b, "v"), c = make_dir(st, v, "c");
	uint64_t other = make_dir(st, ROOT, "other");

	assert_settings(st, c, 60 * SEC, DURATION_UNSET, false); /* cached now */
	assert_ok(set(st, ROOT, STORE_SETTING_LEASE, "1s"));
	assert_ok(set(st, a, STORE_SETTING_WAIT, "2s"));
	assert_ok(set(st, b, STORE_SETTING_PUBLISH, "always"));
	assert_settings(st, c, SEC, 2 * SEC, true);
	assert_settings(st, v, SEC, 2 * SEC, true);
	assert_settings(st, a, SEC, 2 * SEC, false);
	assert_settings(st, ROOT, SEC, DURATION_UNSET, false);
	assert_ok(set(st, b, STORE_SETTING_LEASE, "3s"));
	assert_ok(set(st, c, STORE_SETTING_PUBLISH, "on-success"));
	assert_settings(st, c, 3 * SEC, 2 * SEC, false);
	assert_ok(set(st, b, STORE_SETTING_LEASE, ""));
	assert_settings(st, c, SEC, 2 * SEC, false);
	assert_text(st, c, STORE_SETTING_LEASE, NULL);

	assert_ok(set(st, other, STORE_SETTING_WAIT, "5s"));
	assert_ok(store_rename(st, a, "b", other, "b", 0, NULL));
	assert_settings(st, c, SEC, 5 * SEC, false);
	check_rows(st);
}

/* They go with the directory's row, whatever else changes in it. */
static void test_beside_the_rest(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "d");
	struct buf names = BUF_INIT;
	struct store_attr attr;

	assert_ok(set(st, dir, STORE_SETTING_LEASE, "7s"));
	assert_ok(store_xattr_list(st, dir, &names));
	assert_int_equal(names.len, 0);
	assert_int_equal(store_xattr_get(st, dir, "lease", &names), -ENODATA);
	assert_ok(store_xattr_set(st, dir, "user.x", slice("y", 1), 0));
	assert_ok(store_version_set(st, dir, "v"));
	set_ttl_ms(st, dir, 3600 * 1000);
	make_file(st, branch_of(st, dir, NULL), "f", "x"); /* touches it */
	attr = attr_of(st, dir);
	assert_ok(store_setattr(st, dir, STORE_SET_MODE, &attr, &attr));
	assert_ok(store_rename(st, ROOT, "d", ROOT, "e", 0, NULL));
	assert_ok(set(st, dir, STORE_SETTING_WAIT, "8s"));
	if (fx->kind == STORE_ROCKSDB) {
		fixture_close(fx);
		fixture_open(fx);
		st = fx->st;
	}
	assert_settings(st, branch_of(st, dir, NULL), 7 * SEC, 8 * SEC, false);
	assert_ok(store_xattr_get(st, dir, "user.x", &names));
	assert_int_equal(names.len, 1);
	buf_deinit(&names);
	check_rows(st);
}

/* ---- what has expired ---- */

static void test_expired(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), ino = make_file(st, dir, "f", "content");
	struct store_gen *gen = NULL;
	struct store_attr attr, live;
	char data[16];
	size_t len;

	assert_ok(store_lookup(st, dir, "f", &live));
	assert_ok(store_lookup_expired(st, dir, "f", &attr));
	assert_same_attr(&attr, &live);
	set_ttl_ms(st, dir, 0);
	assert_int_equal(store_lookup(st, dir, "f", &attr), -ENOENT);
	assert_ok(store_lookup_expired(st, dir, "f", &attr));
	assert_int_equal(attr.ino, ino);
	assert_true(store_attr_expired(&attr, time_now_ns()));
	assert_int_equal(store_gen_open(st, ino, &gen), -ETIME);
	assert_ok(store_gen_open_expired(st, ino, &gen));
	assert_ok(store_gen_read(gen, data, sizeof(data), 0, &len));
	store_gen_close(gen);
	assert_int_equal(len, 7);
	assert_memory_equal(data, "content", 7);

	assert_int_equal(store_lookup_expired(st, dir, "x", &attr), -ENOENT);
	assert_int_equal(store_lookup_expired(st, 0, "f", &attr), -ENOENT);
	assert_int_equal(store_lookup_expired(st, dir, "a/b", &attr), -EINVAL);
	assert_int_equal(store_gen_open_expired(st, dir, &gen), -EINVAL);
	make_file(st, dir, "f", "new"); /* replaced: gone for good */
	assert_int_equal(store_gen_open_expired(st, ino, &gen), -ENOENT);
}

/* ---- cost ---- */

static struct store_staged *stage(struct store *st, uint64_t base_ino)
{
	struct store_stage_args args = {
	    .branch = ROOT, .base_ino = base_ino, .mode = 0644};
	struct store_staged *sg = NULL;

	assert_ok(store_stage(st, &args, &sg));
	return sg;
}

static uint64_t finish(struct store_staged *sg)
{
	uint64_t ino = 0;

	assert_ok(store_publish(sg, ROOT, "f", false, &ino, NULL));
	store_staged_free(sg);
	return ino;
}

static double cost_of(struct store *st, uint64_t ino)
{
	struct store_facts facts;

	assert_ok(store_facts(st, ino, &facts));
	return facts.cost_s;
}

static void test_cost(void **state)
{
	struct store *st = store_of(state);
	int64_t before_ns = time_monotonic_ns(), most_ns;
	struct store_staged *sg = stage(st, 0);
	uint64_t ino;
	double cost;

	sleep_until(time_now_ns() + 30 * 1000 * 1000);
	ino = finish(sg);
	most_ns = time_monotonic_ns() - before_ns;
	cost = cost_of(st, ino);
	assert_true(cost >= 0.025 && cost <= (double)most_ns / (double)SEC);
	/* Only attributes are changed: it is the same result. */
	sg = stage(st, ino);
	assert_ok(store_staged_ttl_set(sg, 3600 * SEC, "1h"));
	assert_int_equal(finish(sg), ino);
	assert_true(cost_of(st, ino) == cost);
	/* What was said is not measured, and what replaces it is. */
	sg = stage(st, ino);
	assert_ok(store_staged_cost_set(sg, 4711));
	assert_ok(store_staged_write(sg, "x", 1, 0));
	ino = finish(sg);
	assert_true(cost_of(st, ino) == 4711);
	sg = stage(st, ino);
	assert_ok(store_staged_cost_set(sg, 4711));
	assert_ok(store_staged_cost_set(sg, -1));
	assert_ok(store_staged_write(sg, "y", 1, 0));
	ino = finish(sg);
	cost = cost_of(st, ino);
	assert_true(cost >= 0 && cost < 4711);
	assert_ok(store_cost_set(st, ino, 0.5));
	assert_true(cost_of(st, ino) == 0.5);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_defaults),	  STORE_TEST(test_values),
	    STORE_TEST(test_inheritance), STORE_TEST(test_beside_the_rest),
	    STORE_TEST(test_expired),	  STORE_TEST(test_cost),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
