/* SPDX-License-Identifier: Apache-2.0 */
#include "filling.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/util/err.h"

static void must(int r, const char *doing)
{
	if (r)
		errx(2, "%s: %s", doing, strerror(-r));
}

struct store *filling_open(const char *path, const char *name, uint64_t *ret_branch)
{
	struct store_options opt = {.kind = STORE_ROCKSDB,
				    .path = path,
				    .root_mode = 0755,
				    .size_bytes = STORE_SIZE_NONE};
	struct errmsg msg = {""};
	struct store_attr attr;
	struct store *st;
	int r;

	if (store_open(&opt, &st, &msg))
		errx(2, "%s", msg.text);
	r = store_mkdir(st, STORE_ROOT_INO, name, 0755, 0, 0, &attr);
	if (r == -EEXIST)
		r = store_lookup(st, STORE_ROOT_INO, name, &attr);
	must(r, name);
	*ret_branch = attr.ino;
	return st;
}

const char *filling_name(unsigned int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "result-%08u", i);
	return name;
}

void filling_publish(struct store *st, uint64_t branch, unsigned int i)
{
	struct store_stage_args args = {.branch = branch, .mode = 0644};
	uint8_t value[FILLING_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8),
					(uint8_t)(i >> 16)};
	struct store_staged *sg;

	must(store_stage(st, &args, &sg), "stage");
	must(store_staged_write(sg, value, sizeof(value), 0), "write");
	must(store_publish(sg, branch, filling_name(i), false, NULL, NULL), "publish");
	store_staged_free(sg);
}
