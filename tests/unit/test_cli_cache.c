/* SPDX-License-Identifier: Apache-2.0 */
/* Where results are kept, as far as it can be told without a mount. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cache.h"

/* A mount may have gone since it was found: nothing is made in what is below it. */
static void parents_are_made_in_mounts_only(void **state)
{
	char dir[] = "/tmp/memofs-unit.XXXXXX", entry[64];
	struct errmsg err = {""};

	assert_non_null(mkdtemp(dir));
	snprintf(entry, sizeof(entry), "%s/a/b/key", dir);
	assert_int_equal(cache_make_parents(entry, &err), -EINVAL);
	/* What is there needs no look. */
	snprintf(entry, sizeof(entry), "%s/key", dir);
	assert_int_equal(cache_make_parents(entry, &err), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parents_are_made_in_mounts_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
