/* SPDX-License-Identifier: Apache-2.0 */
/* From one binary to another: what the holder makes of what daemons do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/holder/upgrade.h"

#define BINARY "/bin/true"

struct said {
	bool decided, done;
	char text[1400];
};

static struct said ready(struct upgrade *u, const char *version)
{
	struct said s = {0};

	s.decided = upgrade_daemon_ready(u, version, &s.done, s.text, sizeof(s.text));
	return s;
}

static void begun(struct upgrade *u)
{
	int running = open(BINARY, O_RDONLY | O_CLOEXEC);
	struct errmsg err;

	assert_true(running >= 0);
	assert_int_equal(upgrade_begin(u, 7, BINARY, running, &err), 0);
	assert_int_equal(u->phase, UPGRADE_LEAVING);
	close(running);
}

static void assert_started_from_path(struct upgrade *u)
{
	const char *path = NULL;
	int fd = upgrade_program(u, &path);

	assert_true(fd >= 0);
	assert_string_equal(path, BINARY);
	close(fd);
	assert_int_equal(upgrade_program(u, &path), -1);
}

static void test_goes_on_with_the_new_one(void **state)
{
	struct upgrade u;
	struct said s;

	(void)state;
	upgrade_init(&u, "/usr/bin/before");
	assert_false(ready(&u, "1").decided);
	begun(&u);
	assert_true(upgrade_daemon_ended(&u, "exited with 0"));
	assert_started_from_path(&u);
	s = ready(&u, "2");
	assert_true(s.decided);
	assert_true(s.done);
	assert_string_equal(s.text, "from 1 to 2");
	assert_string_equal(u.program, BINARY);
	assert_false(upgrade_daemon_ended(&u, "was killed"));
	upgrade_deinit(&u);
}

/* It serves before it says that it is ready, and is asked by who finds it. */
static void test_asked_before_it_is_ready(void **state)
{
	struct upgrade u;
	struct said s;

	(void)state;
	upgrade_init(&u, BINARY);
	assert_false(ready(&u, "1").decided);
	begun(&u);
	assert_false(ready(&u, "1.1").decided);
	assert_int_equal(u.phase, UPGRADE_LEAVING);
	assert_int_equal(u.run, 7);
	assert_true(upgrade_daemon_ended(&u, "exited with 0"));
	assert_started_from_path(&u);
	s = ready(&u, "2");
	assert_true(s.decided);
	assert_true(s.done);
	assert_string_equal(s.text, "from 1.1 to 2");
	upgrade_deinit(&u);
}

static void test_goes_back(void **state)
{
	struct upgrade u;
	const char *path = NULL;
	struct said s;
	int fd;

	(void)state;
	upgrade_init(&u, BINARY);
	assert_false(ready(&u, "1").decided);
	begun(&u);
	assert_true(upgrade_daemon_ended(&u, "exited with 0"));
	assert_started_from_path(&u);
	assert_true(upgrade_daemon_ended(&u, "exited with 9"));
	fd = upgrade_program(&u, &path);
	assert_true(fd >= 0);
	close(fd);
	s = ready(&u, "1");
	assert_true(s.decided);
	assert_false(s.done);
	assert_string_equal(s.text, BINARY " exited with 9; 1 goes on");
	upgrade_deinit(&u);
}

static void test_is_refused(void **state)
{
	struct upgrade u;
	struct errmsg err;

	(void)state;
	upgrade_init(&u, BINARY);
	assert_int_equal(upgrade_begin(&u, 1, "true", -1, &err), -EINVAL);
	assert_int_equal(upgrade_begin(&u, 1, "/nothing/there", -1, &err), -ENOENT);
	begun(&u);
	assert_int_equal(upgrade_begin(&u, 8, BINARY, -1, &err), -EBUSY);
	assert_int_equal(u.run, 7);
	upgrade_deinit(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_goes_on_with_the_new_one),
	    cmocka_unit_test(test_asked_before_it_is_ready),
	    cmocka_unit_test(test_goes_back),
	    cmocka_unit_test(test_is_refused),
	};

	return cmocka_run_group_tests_name("upgrade", tests, NULL, NULL);
}
