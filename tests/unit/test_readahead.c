/* SPDX-License-Identifier: Apache-2.0 */
/* How far the kernel reads ahead, in a directory as sysfs has it. */
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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/mountpoint.h"
#include "fs/readahead.h"

#define DEV "0:4711"

static char root[] = "/tmp/memofs-readahead.XXXXXX";
static char dir[64], file[96];

static int begin(void **state)
{
	if (!mkdtemp(root))
		return -1;
	snprintf(dir, sizeof(dir), "%s/" DEV, root);
	snprintf(file, sizeof(file), "%s/read_ahead_kb", dir);
	return mkdir(dir, 0755);
}

static int end(void **state)
{
	unlink(file);
	rmdir(dir);
	return rmdir(root);
}

static void put(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void is(const char *text)
{
	char got[64] = "";
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	fclose(f);
	assert_string_equal(got, text);
}

/* What it is after it was `before`. */
static void becomes(const char *before, int r, const char *after)
{
	put(before);
	assert_int_equal(readahead_raise(root, makedev(0, 4711)), r);
	is(after);
}

static void test_default_is_raised(void **state)
{
	becomes("128\n", 0, "512\n");
	becomes("512\n", -EEXIST, "512\n"); /* a second time: nothing is left to do */
}

static void test_what_was_set_stays(void **state)
{
	becomes("0\n", -EEXIST, "0\n");
	becomes("64\n", -EEXIST, "64\n");
	becomes("129\n", -EEXIST, "129\n");
	becomes("1024\n", -EEXIST, "1024\n");
	becomes("8192\n", -EEXIST, "8192\n");
}

static void test_what_is_no_number(void **state)
{
	becomes("kernel 7\n", -EINVAL, "kernel 7\n");
	becomes("128 or so\n", -EINVAL, "128 or so\n");
	put("");
	assert_int_equal(readahead_raise(root, makedev(0, 4711)), -EINVAL);
}

static void test_other_devices(void **state)
{
	put("128\n");
	assert_int_equal(readahead_raise(root, makedev(0, 4712)), -ENOENT);
	assert_int_equal(readahead_raise("/nowhere", makedev(0, 4711)), -ENOENT);
	assert_int_equal(readahead_raise(root, 0), -EINVAL);
	assert_int_equal(readahead_raise(root, makedev(8, 4711)), -EINVAL);
	is("128\n");
}

static void test_mount_without_daemon(void **state)
{
	dev_t dev = 17;

	assert_int_equal(mountpoint_dev("/", &dev), -ENOENT); /* it is no memofs */
	assert_int_equal(mountpoint_dev(root, &dev), -ENOENT);
	assert_int_equal(dev, 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_default_is_raised),
	    cmocka_unit_test(test_what_was_set_stays),
	    cmocka_unit_test(test_what_is_no_number),
	    cmocka_unit_test(test_other_devices),
	    cmocka_unit_test(test_mount_without_daemon),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
