/* SPDX-License-Identifier: Apache-2.0 */
/* Packs that are written of real files: whole, deduplicated, and refused when they
 * change. */
#include "cli/tree/packwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((size_t)1024 * 1024)

struct scene {
	char dir[64];
	int fd; /* of the directory, which has `cache` and `tree` */
	int tree;
	int out; /* where packs are written; empty */
	struct filehash *fh;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	*state = s;
	strcpy(s->dir, "/tmp/memofs-packwrite.XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	setenv("XDG_CACHE_HOME", s->dir, 1);
	s->fd = open(s->dir, O_RDONLY | O_DIRECTORY);
	if (s->fd < 0 || mkdirat(s->fd, "tree", 0755))
		return -1;
	s->tree = openat(s->fd, "tree", O_RDONLY | O_DIRECTORY);
	s->out = openat(s->fd, "out", O_RDWR | O_CREAT, 0600);
	return s->tree < 0 || s->out < 0 || filehash_open(s->tree, &s->fh);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct scene *s = *state;
	int r;

	filehash_close(s->fh);
	r = nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(s->out);
	close(s->tree);
	close(s->fd);
	free(s);
	return r;
}

static void make_file(struct scene *s, const char *path, const void *data, size_t len)
{
	int fd = openat(s->tree, path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void make_text(struct scene *s, const char *path, const char *text)
{
	make_file(s, path, text, strlen(text));
}

/* Bytes that differ by `seed`. */
static uint8_t *noise(size_t len, uint32_t seed)
{
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
	return bytes;
}

static struct tree_items walked(struct scene *s)
{
	const char *all = "**";
	struct tree_items items = TREE_ITEMS_INIT;
	struct patterns *ps;

	assert_int_equal(patterns_new(&all, 1, &ps, NULL), 0);
	assert_int_equal(tree_walk(s->tree, ps, &items, NULL), 0);
	patterns_free(ps);
	return items;
}

struct written {
	struct buf raw; /* the whole pack */
	struct pack pack;
	uint8_t tree_hash[PACK_HASH_BYTES];
};

static void written_deinit(struct written *p)
{
	buf_deinit(&p->raw);
	pack_deinit(&p->pack);
}

static void load(struct scene *s, struct written *p)
{
	struct pack_trailer t;
	struct buf index = BUF_INIT;
	struct errmsg err = {""};
	struct stat st;

	assert_int_equal(fstat(s->out, &st), 0);
	p->raw = BUF_INIT;
	assert_int_equal(buf_reserve(&p->raw, (size_t)st.st_size), 0);
	assert_int_equal(pread(s->out, p->raw.data, (size_t)st.st_size, 0), st.st_size);
	p->raw.len = (size_t)st.st_size;
	if (pack_trailer_parse(p->raw.data + p->raw.len - PACK_TRAILER_BYTES, p->raw.len,
			       &t, &err))
		fail_msg("%s", err.text);
	assert_int_equal(buf_set(&index, p->raw.data + t.index_off, pack_index_bytes(&t)),
			 0);
	if (pack_init(&p->pack, &t, &index, &err))
		fail_msg("%s", err.text);
}

static struct pack_entry entry(const struct written *p, const char *path)
{
	struct pack_entry e;
	uint32_t i;

	if (pack_find(&p->pack, path, &i))
		fail_msg("no %s in the pack", path);
	pack_get(&p->pack, i, &e);
	return e;
}

static void has(const struct written *p, const char *path, const void *data, size_t len)
{
	struct pack_entry e = entry(p, path);

	assert_int_equal(e.type, PACK_FILE);
	assert_int_equal(e.size_bytes, len);
	assert_memory_equal(p->raw.data + e.off, data, len);
}

/* Everything in the tree, at `prefix`. Returns the first error. */
static int write_tree(struct scene *s, const struct tree_items *items, const char *prefix,
		      struct written *ret_written, struct errmsg *err)
{
	struct packwrite *w;
	int r = 0;

	assert_int_equal(ftruncate(s->out, 0), 0);
	assert_int_equal(lseek(s->out, 0, SEEK_SET), 0);
	assert_int_equal(packwrite_new(s->out, &w), 0);
	for (size_t i = 0; !r && i < items->n; i++)
		r = packwrite_item(w, s->tree, prefix, &items->list[i], s->fh, err);
	if (!r)
		r = packwrite_finish(w, slice("meta\n", 5), ret_written->tree_hash, err);
	packwrite_free(w);
	if (!r)
		load(s, ret_written);
	return r;
}

static void write_all(struct scene *s, struct written *ret_written)
{
	CLEANUP_ITEMS struct tree_items items = walked(s);
	struct errmsg err = {""};

	if (write_tree(s, &items, "", ret_written, &err))
		fail_msg("%s", err.text);
}

static void test_what_a_pack_holds(void **state)
{
	struct scene *s = *state;
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {1234567890, 123456789}};
	struct written p;
	struct pack_entry e;

	make_text(s, "a", "hello");
	make_text(s, "empty", "");
	assert_int_equal(mkdirat(s->tree, "d", 0700), 0);
	assert_int_equal(mkdirat(s->tree, "d/none", 0755), 0);
	make_text(s, "d/run", "#!/bin/sh\n");
	assert_int_equal(fchmodat(s->tree, "d/run", 06755, 0), 0);
	assert_int_equal(symlinkat("../a", s->tree, "d/l"), 0);
	assert_int_equal(utimensat(s->tree, "a", times, 0), 0);
	write_all(s, &p);
	assert_int_equal(pack_entries(&p.pack), 7);
	has(&p, "a", "hello", 5);
	has(&p, "empty", "", 0);
	has(&p, "d/run", "#!/bin/sh\n", 10);
	assert_int_equal(entry(&p, "a").mtime_ns, 1234567890123456789);
	assert_int_equal(entry(&p, "d/run").mode & 07777, 0755);
	assert_int_equal(entry(&p, "d").mode & 07777, 0700);
	assert_int_equal(entry(&p, "d/none").children, 0);
	e = entry(&p, "d/l");
	assert_int_equal(e.type, PACK_LINK);
	assert_int_equal(e.target.len, 4);
	assert_memory_equal(e.target.data, "../a", 4);
	assert_memory_equal(pack_meta(&p.pack).data, "meta\n", 5);
	assert_memory_equal(p.tree_hash, p.pack.trailer.tree_hash, PACK_HASH_BYTES);
	written_deinit(&p);
}

static void test_equal_contents_are_there_once(void **state)
{
	struct scene *s = *state;
	uint8_t *small = noise(100000, 1), *large = noise(3 * MIB + 7, 2);
	struct written p;

	make_file(s, "a", small, 100000);
	make_file(s, "b", large, 3 * MIB + 7);
	make_file(s, "c", large, 3 * MIB + 7);
	make_file(s, "d", small, 100000); /* the first is out of memory by now */
	make_file(s, "e", small, 100000); /* still there */
	large[3 * MIB] ^= 1;
	make_file(s, "f", large, 3 * MIB + 7);
	write_all(s, &p);
	assert_int_equal(p.pack.trailer.index_off, 100000 + 2 * (3 * MIB + 7));
	assert_int_equal(entry(&p, "d").off, entry(&p, "a").off);
	assert_int_equal(entry(&p, "e").off, entry(&p, "a").off);
	assert_int_equal(entry(&p, "c").off, entry(&p, "b").off);
	has(&p, "e", small, 100000);
	has(&p, "f", large, 3 * MIB + 7);
	large[3 * MIB] ^= 1;
	has(&p, "c", large, 3 * MIB + 7);
	written_deinit(&p);
	free(small);
	free(large);
}

/* Sizes around those of blocks and parts; more than two blocks in all. */
static void test_sizes(void **state)
{
	struct scene *s = *state;
	const size_t sizes[] = {MIB / 2 - 1, MIB / 2,	 MIB / 2 + 1,	MIB - 1,
				MIB,	     MIB + 1,	 2 * MIB,	3 * MIB / 2,
				1,	     256 * 1024, 256 * 1024 + 1};
	struct written p;
	char name[8];

	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t *bytes = noise(sizes[i], 100 + i);

		snprintf(name, sizeof(name), "%02u", i);
		make_file(s, name, bytes, sizes[i]);
		free(bytes);
	}
	write_all(s, &p);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t *bytes = noise(sizes[i], 100 + i);

		snprintf(name, sizeof(name), "%02u", i);
		has(&p, name, bytes, sizes[i]);
		free(bytes);
	}
	written_deinit(&p);
}

static void test_bytes_and_descriptors(void **state)
{
	struct scene *s = *state;
	uint8_t *large = noise(2 * MIB + 1, 3);
	struct packwrite *w;
	struct written p;
	int fd;

	make_file(s, "spool", large, 2 * MIB + 1);
	fd = openat(s->tree, "spool", O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(packwrite_new(s->out, &w), 0);
	assert_int_equal(packwrite_bytes(w, "key", 0644, 5, slice("text", 4), NULL), 0);
	assert_int_equal(packwrite_bytes(w, "none", 0644, 5, slice(NULL, 0), NULL), 0);
	assert_int_equal(packwrite_bytes(w, "again", 0600, 6, slice("text", 4), NULL), 0);
	assert_int_equal(packwrite_fd(w, "stdout", 0644, 7, fd, NULL), 0);
	assert_int_equal(
	    packwrite_bytes(w, "copy", 0644, 8, slice(large, 2 * MIB + 1), NULL), 0);
	assert_int_equal(packwrite_dir(w, "files/sub", 0711, 9, NULL), 0);
	assert_int_equal(packwrite_done_bytes(w), 8 + 2 * (2 * MIB + 1));
	assert_int_equal(packwrite_finish(w, slice(NULL, 0), NULL, NULL), 0);
	packwrite_free(w);
	load(s, &p);
	has(&p, "key", "text", 4);
	has(&p, "none", "", 0);
	has(&p, "stdout", large, 2 * MIB + 1);
	has(&p, "copy", large, 2 * MIB + 1);
	assert_int_equal(entry(&p, "again").off, entry(&p, "key").off);
	assert_int_equal(entry(&p, "again").mtime_ns, 6);
	assert_int_equal(entry(&p, "files/sub").mode & 0777, 0711);
	written_deinit(&p);
	free(large);
	close(fd);
}

static void test_prefix(void **state)
{
	struct scene *s = *state;
	struct written p;
	struct errmsg err = {""};

	make_text(s, "x", "1");
	CLEANUP_ITEMS struct tree_items items = walked(s);

	assert_int_equal(write_tree(s, &items, "files/out", &p, &err), 0);
	has(&p, "files/out/x", "1", 1);
	written_deinit(&p);
}

static void test_a_small_pack_is_one_write(void **state)
{
	struct scene *s = *state;
	int ends[2];
	struct packwrite *w;
	struct pack_trailer t;
	uint8_t raw[4096];
	ssize_t n;

	/* A pipe of packets keeps writes apart. */
	assert_int_equal(pipe2(ends, O_DIRECT), 0);
	assert_int_equal(packwrite_new(ends[1], &w), 0);
	assert_int_equal(packwrite_bytes(w, "a", 0644, 5, slice("x", 1), NULL), 0);
	assert_int_equal(packwrite_finish(w, slice(NULL, 0), NULL, NULL), 0);
	packwrite_free(w);
	n = read(ends[0], raw, sizeof(raw));
	assert_true(n > PACK_TRAILER_BYTES);
	assert_int_equal(
	    pack_trailer_parse(raw + n - PACK_TRAILER_BYTES, (uint64_t)n, &t, NULL), 0);
	close(ends[0]);
	close(ends[1]);
	(void)s;
}

static void test_changes_are_found(void **state)
{
	struct scene *s = *state;
	struct written p;
	struct errmsg err = {""};

	make_text(s, "a", "hello");
	CLEANUP_ITEMS struct tree_items items = walked(s);

	make_text(s, "a", "hello, longer");
	assert_int_equal(write_tree(s, &items, "", &p, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "\"a\""));
	make_text(s, "a", "");
	assert_int_equal(write_tree(s, &items, "", &p, &err), -EAGAIN);
	assert_int_equal(unlinkat(s->tree, "a", 0), 0);
	assert_int_equal(write_tree(s, &items, "", &p, &err), -ENOENT);
	assert_int_equal(symlinkat("/etc/passwd", s->tree, "a"), 0);
	assert_int_equal(write_tree(s, &items, "", &p, &err), -EAGAIN);
	assert_int_equal(unlinkat(s->tree, "a", 0), 0);
	assert_int_equal(mkfifoat(s->tree, "a", 0644), 0);
	assert_int_equal(write_tree(s, &items, "", &p, &err), -EAGAIN);
}

static void test_names_that_no_tree_has(void **state)
{
	struct scene *s = *state;
	struct written p;
	struct errmsg err = {""};

	make_text(s, ".memofs", "");
	CLEANUP_ITEMS struct tree_items items = walked(s);

	assert_int_equal(write_tree(s, &items, "", &p, &err), -EINVAL);
	assert_non_null(strstr(err.text, ".memofs"));
}

static void test_a_full_disk(void **state)
{
	struct scene *s = *state;
	uint8_t *large = noise(4 * MIB, 4);
	struct packwrite *w;
	struct errmsg err = {""};
	int full = open("/dev/full", O_WRONLY), r;

	assert_true(full >= 0);
	assert_int_equal(packwrite_new(full, &w), 0);
	assert_int_equal(packwrite_bytes(w, "a", 0644, 5, slice("x", 1), NULL), 0);
	assert_int_equal(packwrite_finish(w, slice(NULL, 0), NULL, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "No space left"));
	packwrite_free(w);
	/* And where the thread has met it. */
	assert_int_equal(packwrite_new(full, &w), 0);
	r = packwrite_bytes(w, "a", 0644, 5, slice(large, 4 * MIB), &err);
	assert_int_equal(r ? r : packwrite_finish(w, slice(NULL, 0), NULL, &err),
			 -ENOSPC);
	packwrite_free(w);
	close(full);
	free(large);
	(void)s;
}

/* The hash of a tree, as it will be, as it is, and of what is a bit different. */
static void test_foresee(void **state)
{
	struct scene *s = *state;
	uint8_t seen[PACK_HASH_BYTES], before[PACK_HASH_BYTES];
	struct written p;
	struct errmsg err = {""};

	make_text(s, "a", "hello");
	assert_int_equal(mkdirat(s->tree, "d", 0755), 0);
	assert_int_equal(symlinkat("a", s->tree, "l"), 0);
	struct tree_items items = walked(s);

	/* It is too young to be remembered, before and after it is read. */
	assert_int_equal(packwrite_foresee(&items, "", s->fh, seen), -ENODATA);
	assert_int_equal(packwrite_look(&items, s->tree, "", s->fh, NULL, seen, &err), 0);
	assert_int_equal(packwrite_foresee(&items, "", s->fh, before), -ENODATA);
	assert_int_equal(write_tree(s, &items, "", &p, &err), 0);
	assert_memory_equal(seen, p.tree_hash, PACK_HASH_BYTES);
	memcpy(before, seen, sizeof(before));
	written_deinit(&p);
	/* As if it had been made long ago. */
	items.list[0].st.st_ctim.tv_sec -= 10;
	items.list[0].st.st_mtim.tv_sec -= 10;
	assert_int_equal(packwrite_look(&items, s->tree, "", s->fh, NULL, seen, &err),
			 -EAGAIN);
	filehash_learn(s->fh, &items.list[0].st,
		       (const uint8_t[FILEHASH_BYTES]){1, 2, 3});
	assert_int_equal(packwrite_foresee(&items, "", s->fh, seen), 0);
	assert_memory_not_equal(seen, before, PACK_HASH_BYTES);
	tree_items_deinit(&items);
	/* Times are no part of it, modes are. */
	make_text(s, "a", "hello");
	items = walked(s);
	assert_int_equal(packwrite_look(&items, s->tree, "", s->fh, NULL, seen, &err), 0);
	assert_memory_equal(seen, before, PACK_HASH_BYTES);
	tree_items_deinit(&items);
	assert_int_equal(fchmodat(s->tree, "a", 0755, 0), 0);
	items = walked(s);
	assert_int_equal(packwrite_look(&items, s->tree, "", s->fh, NULL, seen, &err), 0);
	assert_memory_not_equal(seen, before, PACK_HASH_BYTES);
	tree_items_deinit(&items);
}

/* What differs from the tree that is stored ends the look; what is equal does not. */
static void test_look_at_stored(void **state)
{
	struct scene *s = *state;
	uint8_t seen[PACK_HASH_BYTES];
	struct written p;
	struct errmsg err = {""};
	struct tree_items items;

	make_text(s, "a", "hello");
	make_text(s, "z", "world");
	assert_int_equal(symlinkat("a", s->tree, "l"), 0);
	write_all(s, &p);
#define LOOK()                                                                           \
	(items = walked(s),                                                              \
	 packwrite_look(&items, s->tree, "", s->fh, &p.pack, seen, &err))
	assert_int_equal(LOOK(), 0);
	assert_memory_equal(seen, p.tree_hash, PACK_HASH_BYTES);
	tree_items_deinit(&items);
	make_text(s, "z", "w0rld");
	assert_int_equal(LOOK(), -ESTALE);
	tree_items_deinit(&items);
	make_text(s, "z", "worlds");
	assert_int_equal(LOOK(), -ESTALE);
	tree_items_deinit(&items);
	make_text(s, "z", "world");
	assert_int_equal(LOOK(), 0);
	tree_items_deinit(&items);
	make_text(s, "zz", "");
	assert_int_equal(LOOK(), -ESTALE);
	tree_items_deinit(&items);
	assert_int_equal(unlinkat(s->tree, "zz", 0), 0);
	assert_int_equal(unlinkat(s->tree, "l", 0), 0);
	/* What is missing cannot be seen from here; the hash tells. */
	assert_int_equal(LOOK(), 0);
	assert_memory_not_equal(seen, p.tree_hash, PACK_HASH_BYTES);
	tree_items_deinit(&items);
	assert_int_equal(symlinkat("b", s->tree, "l"), 0);
	assert_int_equal(LOOK(), -ESTALE);
	tree_items_deinit(&items);
#undef LOOK
	written_deinit(&p);
}

/* ---- trees that are known at once ---- */

static const uint8_t REMEMBERED[PACK_HASH_BYTES] = {7};

static void know(struct scene *s, const struct tree_item *item)
{
	const uint8_t hash[FILEHASH_BYTES] = {1};
	int fd = openat(s->tree, item->path, O_RDONLY);

	assert_true(fd >= 0);
	filehash_wrote(s->fh, fd, &item->st, hash);
	close(fd);
}

static void reopen(struct scene *s)
{
	filehash_close(s->fh);
	assert_int_equal(filehash_open(s->tree, &s->fh), 0);
}

/* A tree that is remembered, with a hash that it cannot really have. */
static void make_known_tree(struct scene *s)
{
	make_text(s, "a", "hello");
	make_text(s, "b", "other");
	assert_int_equal(mkdirat(s->tree, "d", 0755), 0);
	assert_int_equal(mkdirat(s->tree, "d/empty", 0755), 0);
	assert_int_equal(symlinkat("a", s->tree, "l"), 0);
	struct tree_items items = walked(s);

	for (size_t i = 0; i < items.n; i++) {
		if (S_ISREG(items.list[i].st.st_mode))
			know(s, &items.list[i]);
	}
	packwrite_remember(&items, "", s->fh, REMEMBERED);
	tree_items_deinit(&items);
	/* The clock goes on, and what was learnt is in the file. */
	reopen(s);
}

/* Is what is there now taken for what was remembered? */
static bool is_remembered(struct scene *s, const char *prefix)
{
	uint8_t hash[PACK_HASH_BYTES] = {0};
	struct tree_items items = walked(s);
	int r = packwrite_foresee(&items, prefix, s->fh, hash);

	tree_items_deinit(&items);
	assert_true(r == 0 || r == -ENODATA);
	return r == 0 && memcmp(hash, REMEMBERED, sizeof(hash)) == 0;
}

static void same_size_and_mtime(struct scene *s)
{
	struct stat st;

	assert_int_equal(fstatat(s->tree, "a", &st, 0), 0);
	make_text(s, "a", "HELLO");
	assert_int_equal(
	    utimensat(s->tree, "a", (struct timespec[]){st.st_mtim, st.st_mtim}, 0), 0);
}

static void replaced_by_rename(struct scene *s)
{
	struct stat st;

	assert_int_equal(fstatat(s->tree, "a", &st, 0), 0);
	make_text(s, "new", "HELLO");
	assert_int_equal(
	    utimensat(s->tree, "new", (struct timespec[]){st.st_mtim, st.st_mtim}, 0), 0);
	assert_int_equal(renameat(s->tree, "new", s->tree, "a"), 0);
}

static void names_exchanged(struct scene *s)
{
	assert_int_equal(renameat(s->tree, "a", s->tree, "c"), 0);
	assert_int_equal(renameat(s->tree, "b", s->tree, "a"), 0);
	assert_int_equal(renameat(s->tree, "c", s->tree, "b"), 0);
}

static void mode_changed(struct scene *s)
{
	assert_int_equal(fchmodat(s->tree, "a", 0755, 0), 0);
}

static void directory_mode_changed(struct scene *s)
{
	assert_int_equal(fchmodat(s->tree, "d/empty", 0700, 0), 0);
}

static void directory_added(struct scene *s)
{
	assert_int_equal(mkdirat(s->tree, "d/more", 0755), 0);
}

static void directory_removed(struct scene *s)
{
	assert_int_equal(unlinkat(s->tree, "d/empty", AT_REMOVEDIR), 0);
}

static void symlink_retargeted(struct scene *s)
{
	assert_int_equal(unlinkat(s->tree, "l", 0), 0);
	assert_int_equal(symlinkat("b", s->tree, "l"), 0);
}

static void file_removed(struct scene *s)
{
	assert_int_equal(unlinkat(s->tree, "b", 0), 0);
}

static void empty_tree(struct scene *s)
{
	int r = 0;

	for (const char *const *p = (const char *[]){"a", "b", "l", NULL}; *p; p++)
		r |= unlinkat(s->tree, *p, 0) && errno != ENOENT;
	for (const char *const *p = (const char *[]){"d/more", "d/empty", "d", NULL}; *p;
	     p++)
		r |= unlinkat(s->tree, *p, AT_REMOVEDIR) && errno != ENOENT;
	assert_int_equal(r, 0);
}

static void test_a_known_tree_is_known_while_nothing_changes(void **state)
{
	static void (*const changes[])(struct scene *) = {
	    same_size_and_mtime,    replaced_by_rename, names_exchanged,
	    mode_changed,	    directory_added,	directory_removed,
	    directory_mode_changed, symlink_retargeted, file_removed,
	};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		make_known_tree(s);
		assert_true(is_remembered(s, ""));
		assert_false(is_remembered(s, "elsewhere"));
		changes[i](s);
		if (is_remembered(s, ""))
			fail_msg("change %zu is not seen", i);
		empty_tree(s);
	}
}

/* The next change of a file that was changed just now might not show. */
static void test_a_tree_with_an_unknown_file_is_not_remembered(void **state)
{
	struct scene *s = *state;

	make_text(s, "a", "hello");
	struct tree_items items = walked(s);

	packwrite_remember(&items, "", s->fh, REMEMBERED);
	assert_false(is_remembered(s, ""));
	know(s, &items.list[0]);
	packwrite_remember(&items, "", s->fh, REMEMBERED);
	assert_true(is_remembered(s, ""));
	tree_items_deinit(&items);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_what_a_pack_holds),
	    SCENE(test_equal_contents_are_there_once),
	    SCENE(test_sizes),
	    SCENE(test_bytes_and_descriptors),
	    SCENE(test_prefix),
	    SCENE(test_a_small_pack_is_one_write),
	    SCENE(test_changes_are_found),
	    SCENE(test_names_that_no_tree_has),
	    SCENE(test_a_full_disk),
	    SCENE(test_foresee),
	    SCENE(test_look_at_stored),
	    SCENE(test_a_known_tree_is_known_while_nothing_changes),
	    SCENE(test_a_tree_with_an_unknown_file_is_not_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
