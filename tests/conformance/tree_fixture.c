/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/tree_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"

void packing_begin(struct packing *p)
{
	p->raw = BUF_INIT;
	assert_ok(pack_maker_new(&p->maker));
}

void packing_deinit(struct packing *p)
{
	pack_maker_free(p->maker);
	buf_deinit(&p->raw);
}

static void add_file(struct packing *p, const char *path, mode_t mode, const void *data,
		     size_t len)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item item = {.path = path,
				 .type = PACK_FILE,
				 .mode = mode,
				 .mtime_ns = 1000,
				 .off = p->raw.len,
				 .size_bytes = len,
				 .hash = hash};

	digest_of(slice(data, len), hash);
	assert_ok(buf_append(&p->raw, data, len));
	assert_ok(pack_maker_add(p->maker, &item));
}

void pack_file(struct packing *p, const char *path, size_t len, uint64_t seed)
{
	uint8_t *data = pattern(len, seed);

	add_file(p, path, 0644, data, len);
	free(data);
}

void pack_text(struct packing *p, const char *path, const char *text)
{
	add_file(p, path, 0644, text, strlen(text));
}

void pack_dir(struct packing *p, const char *path, mode_t mode)
{
	struct pack_item item = {
	    .path = path, .type = PACK_DIR, .mode = mode, .mtime_ns = 2000};

	assert_ok(pack_maker_add(p->maker, &item));
}

void pack_link(struct packing *p, const char *path, const char *target)
{
	struct pack_item item = {
	    .path = path, .type = PACK_LINK, .mtime_ns = 3000, .target = target};

	assert_ok(pack_maker_add(p->maker, &item));
}

void packing_end(struct packing *p)
{
	assert_ok(pack_maker_finish(p->maker, p->raw.len, &p->raw));
}

void pack_sample(struct packing *p, size_t big)
{
	packing_begin(p);
	pack_dir(p, "", 0755);
	add_file(p, "bin/tool", 0755, "#!", 2);
	pack_file(p, "data/big", big, big);
	pack_file(p, "data/empty", 0, 0);
	pack_dir(p, "dir", 0700);
	pack_link(p, "link", "data/big");
	packing_end(p);
}

struct store_staged *stage_tree(struct store *st, uint64_t branch, uint64_t base_ino,
				const struct buf *raw)
{
	struct store_stage_args args = {
	    .branch = branch,
	    .base_ino = base_ino,
	    .truncate = true,
	    .sealed = true,
	    .mode = 0644,
	    .writer = {.uid = 10, .gid = 20, .pid = 30, .comm = "test"}};
	struct store_staged *sg = NULL;

	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_staged_write(sg, raw->data, raw->len, 0));
	return sg;
}

uint64_t publish_tree(struct store_staged *sg, uint64_t branch, const char *name)
{
	struct errmsg err = {0};
	uint64_t ino = 0;
	int r = store_staged_check(sg, &err);

	if (r)
		print_error("store_staged_check: %s\n", err.text);
	if (!r)
		r = store_publish(sg, branch, name, false, &ino, NULL);
	store_staged_free(sg);
	assert_ok(r);
	return ino;
}

uint64_t put_tree(struct store *st, const char *name, size_t big)
{
	struct packing p;
	uint64_t ino;

	pack_sample(&p, big);
	ino = publish_tree(stage_tree(st, ROOT, 0, &p.raw), ROOT, name);
	packing_deinit(&p);
	return ino;
}

uint64_t in_tree(struct store *st, uint64_t tree_ino, const char *path)
{
	uint64_t ino = tree_ino;

	while (*path && ino) {
		char name[STORE_NAME_MAX + 1];
		size_t len = strcspn(path, "/");
		uint64_t branch;

		memcpy(name, path, len);
		name[len] = '\0';
		assert_ok(store_branch(st, ino, NULL, false, &branch));
		ino = lookup(st, branch, name);
		path += len + (path[len] == '/');
	}
	return ino;
}

void assert_text(struct store *st, uint64_t ino, const char *text)
{
	struct store_gen *gen = open_value(st, ino);

	assert_gen(gen, (const uint8_t *)text, strlen(text));
	store_gen_close(gen);
}
