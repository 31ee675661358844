/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose rows and extents are something else than they were. The input is a list
 * of changes of single rows. The store opens or says why not; what is in it is read,
 * listed, changed and dropped without harm; a repair finds what is wrong, and a second
 * check nothing any more; what is published then is read back.
 *
 * The store is in memory, and outlives the closing of it: see
 * __wrap_backend_memory_new().
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/backend.h"
#include "store/check.h"
#include "store/digest.h"
#include "store/history.h"
#include "store/lease.h"
#include "store/store.h"
#include "store/util/log.h"
#include "store/util/pack.h"

enum {
	CHANGES_MAX = 16,
	REPAIRS_MAX = 3,
	NODES_MAX = 200,
	VALUE_BYTES = 3000,
	EXTENTS_MAX = 16
};

/* ---- a backend that stays ---- */

static struct backend *kept;
static const struct backend_ops *kept_ops;

int __real_backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
			      struct errmsg *err);
int __wrap_backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
			      struct errmsg *err);

static void keep(struct backend *be)
{
}

int __wrap_backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
			      struct errmsg *err)
{
	static struct backend_ops ops;

	if (!kept) {
		FUZZ_CHECK(__real_backend_memory_new(opt, &kept, err) == 0);
		kept_ops = kept->ops;
		ops = *kept_ops;
		ops.free = keep;
		kept->ops = &ops;
	}
	*ret_be = kept;
	return 0;
}

static void end_backend(void)
{
	kept->ops = kept_ops;
	backend_free(kept);
	kept = NULL;
}

static int open_store(struct store **ret_st)
{
	const struct store_options opt = {.kind = STORE_MEMORY,
					  .size_bytes = STORE_SIZE_NONE,
					  .small_max_bytes = 1000,
					  .root_mode = 0755};
	struct errmsg err = {""};
	int r = store_open(&opt, ret_st, &err);

	FUZZ_CHECK(!r || (err.text[0] && !strchr(err.text, '\n')));
	return r;
}

/* ---- what is in it ---- */

static void pattern(uint8_t *data, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(seed + i * 7 + i / 256);
}

static int write_raw(struct store *st, uint64_t branch, const char *name, bool sealed,
		     const void *data, size_t len, bool intent)
{
	const struct store_stage_args args = {
	    .branch = branch, .sealed = sealed, .mode = 0644, .writer = {.comm = "fuzz"}};
	struct store_staged *sg;
	struct errmsg err;
	int r = store_stage(st, &args, &sg);

	if (r)
		return r;
	r = store_staged_write(sg, data, len, 0);
	if (!r && sealed)
		r = store_staged_check(sg, &err);
	if (!r && intent)
		r = store_staged_sync(sg);
	if (!r && intent)
		r = store_staged_flush(sg, branch, name);
	if (!r)
		r = store_publish(sg, branch, name, false, NULL, NULL);
	store_staged_free(sg);
	return r;
}

static int put(struct store *st, uint64_t branch, const char *name, size_t len,
	       unsigned int seed)
{
	uint8_t data[2 * VALUE_BYTES];

	pattern(data, len, seed);
	return write_raw(st, branch, name, false, data, len, seed % 2);
}

static void put_tree(struct store *st, const char *name)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item file = {
	    .path = "d/f", .type = PACK_FILE, .size_bytes = VALUE_BYTES, .hash = hash};
	const struct pack_item link = {.path = "l", .type = PACK_LINK, .target = "d/f"};
	struct pack_maker *m;

	FUZZ_CHECK(buf_reserve(&raw, VALUE_BYTES) == 0);
	raw.len = VALUE_BYTES;
	pattern(raw.data, raw.len, 9);
	digest_of(buf_slice(&raw), hash);
	FUZZ_CHECK(pack_maker_new(&m) == 0 && pack_maker_add(m, &file) == 0 &&
		   pack_maker_add(m, &link) == 0 &&
		   pack_maker_finish(m, raw.len, &raw) == 0);
	pack_maker_free(m);
	FUZZ_CHECK(write_raw(st, STORE_ROOT_INO, name, true, raw.data, raw.len, false) ==
		   0);
}

static void read_one(struct store *st, uint64_t ino)
{
	struct store_gen *gen;
	uint8_t data[VALUE_BYTES];
	size_t n;

	if (store_gen_open_expired(st, ino, &gen))
		return;
	(void)store_gen_read(gen, data, sizeof(data), 0, &n);
	store_gen_hit(gen);
	store_gen_close(gen);
}

static uint64_t ino_of(struct store *st, uint64_t branch, const char *name)
{
	struct store_attr attr;

	return store_lookup(st, branch, name, &attr) ? 0 : attr.ino;
}

static void fill(struct store *st)
{
	const struct store_sample sample = {.at_ns = INT64_C(1) << 60};
	struct store_total total = {.since_ns = 1};
	struct store_attr attr;
	uint64_t dir, v;

	FUZZ_CHECK(put(st, STORE_ROOT_INO, "small", 100, 1) == 0);
	FUZZ_CHECK(put(st, STORE_ROOT_INO, "large", VALUE_BYTES, 2) == 0);
	FUZZ_CHECK(store_symlink(st, STORE_ROOT_INO, "link", "to", 1, 1, &attr) == 0);
	FUZZ_CHECK(store_mkdir(st, STORE_ROOT_INO, "dir", 0755, 1, 1, &attr) == 0);
	dir = attr.ino;
	FUZZ_CHECK(put(st, dir, "below", 100, 3) == 0);
	FUZZ_CHECK(store_branch(st, dir, "v2", true, &v) == 0);
	FUZZ_CHECK(put(st, v, "hidden", 100, 4) == 0);
	FUZZ_CHECK(store_mkdir(st, v, "deep", 0755, 1, 1, &attr) == 0);
	FUZZ_CHECK(store_version_set(st, dir, "v2") == 0);
	FUZZ_CHECK(store_ttl_set(st, dir, 3600 * NSEC_PER_SEC, "1h") == 0);
	FUZZ_CHECK(store_setting_set(st, dir, STORE_SETTING_QUOTA, "1G") == 0);
	put_tree(st, "tree");
	put_tree(st, "twin");
	FUZZ_CHECK(store_lease_acquire(st, STORE_ROOT_INO, "small", "me",
				       3600 * NSEC_PER_SEC, NULL) == 0);
	FUZZ_CHECK(store_xattr_set(st, ino_of(st, STORE_ROOT_INO, "small"), "user.x",
				   slice("y", 1), 0) == 0);
	total.ns_ino = dir;
	FUZZ_CHECK(store_history_add(st, &sample, &total, 1) == 0);
	read_one(st, ino_of(st, STORE_ROOT_INO, "small"));
	FUZZ_CHECK(store_settle(st) == 0);
	FUZZ_CHECK(store_unlink(st, v, "hidden") == 0);
}

/* All of it, so that it need not be made each time. */
static struct golden {
	struct batch rows;
	size_t extent_count;
	struct {
		uint64_t ino;
		struct buf data;
	} extents[EXTENTS_MAX];
} golden;

static int take_extent(void *arg, uint64_t ino)
{
	struct buf *data = &golden.extents[golden.extent_count].data;
	struct stat st;
	int fd;

	FUZZ_CHECK(golden.extent_count < EXTENTS_MAX);
	golden.extents[golden.extent_count++].ino = ino;
	FUZZ_CHECK(backend_extent_open(kept, ino, &fd) == 0 && fstat(fd, &st) == 0);
	FUZZ_CHECK(buf_reserve(data, (size_t)st.st_size) == 0);
	data->len = (size_t)st.st_size;
	FUZZ_CHECK(pread(fd, data->data, data->len, 0) == st.st_size);
	close(fd);
	return 0;
}

static void add_golden(enum table table, struct slice key, struct slice value)
{
	uint8_t n[8];
	int64_t delta = 0;

	if (table != TABLE_COUNTER) {
		batch_put(&golden.rows, table, key, value);
		return;
	}
	FUZZ_CHECK(value.len == sizeof(n));
	memcpy(n, value.data, sizeof(n));
	for (int i = 7; i >= 0; i--)
		delta = (int64_t)((uint64_t)delta << 8 | n[i]);
	batch_add(&golden.rows, key, delta);
}

static void make_golden(void)
{
	struct backend_iter *it;
	struct store *st;

	FUZZ_CHECK(open_store(&st) == 0);
	fill(st);
	store_close(st);
	for (enum table t = 0; t < TABLE_COUNT; t++) {
		FUZZ_CHECK(backend_iter_new(kept, t, &it) == 0);
		for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
		     backend_iter_next(it))
			add_golden(t, backend_iter_key(it), backend_iter_value(it));
		backend_iter_free(it);
	}
	FUZZ_CHECK(backend_extent_list(kept, take_extent, NULL) == 0);
	end_backend();
}

static void copy_golden(void)
{
	const struct backend_options opt = {0};
	struct backend *be;
	struct errmsg err;
	int fd;

	FUZZ_CHECK(__wrap_backend_memory_new(&opt, &be, &err) == 0);
	FUZZ_CHECK(backend_commit(be, &golden.rows) == 0);
	for (size_t i = 0; i < golden.extent_count; i++) {
		const struct buf *data = &golden.extents[i].data;

		FUZZ_CHECK(backend_extent_stage(be, golden.extents[i].ino, &fd) == 0);
		FUZZ_CHECK(pwrite(fd, data->data, data->len, 0) == (ssize_t)data->len);
		close(fd);
		FUZZ_CHECK(backend_extent_commit(be, golden.extents[i].ino) == 0);
	}
}

/* ---- damage ---- */

struct input {
	const uint8_t *at, *end;
};

static unsigned int take_u8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* The row that is `nth`, from the first again behind the last; false: there is none. */
static bool find_row(enum table t, unsigned int nth, struct buf *ret_key,
		     struct buf *ret_value)
{
	struct backend_iter *it;
	unsigned int count = 0, at = 0;

	FUZZ_CHECK(backend_iter_new(kept, t, &it) == 0);
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it))
		count++;
	for (backend_iter_seek(it, slice("", 0)); count && at < nth % count; at++)
		backend_iter_next(it);
	if (count) {
		struct slice key = backend_iter_key(it), value = backend_iter_value(it);

		FUZZ_CHECK(buf_set(ret_key, key.data, key.len) == 0);
		FUZZ_CHECK(buf_set(ret_value, value.data, value.len) == 0);
	}
	backend_iter_free(it);
	return count > 0;
}

static void put_row(enum table t, struct slice key, struct slice value)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	if (key.len)
		batch_put(&b, t, key, value);
	FUZZ_CHECK(backend_commit(kept, &b) == 0);
}

static void change_bytes(struct input *in, struct buf *bytes)
{
	unsigned int what = take_u8(in);
	uint8_t byte;

	switch (what % 4) {
	case 0:
		if (bytes->len)
			bytes->data[take_u8(in) % bytes->len] = (uint8_t)take_u8(in);
		break;
	case 1:
		if (bytes->len)
			bytes->data[take_u8(in) % bytes->len] ^=
			    (uint8_t)(1 << what / 4 % 8);
		break;
	case 2:
		bytes->len -= bytes->len ? take_u8(in) % bytes->len : 0;
		break;
	case 3:
		byte = (uint8_t)take_u8(in);
		FUZZ_CHECK(buf_append(bytes, &byte, 1) == 0);
	}
}

/* A counter is a number, of eight bytes: the backend has nothing else in that table. */
static void change_counter(struct input *in)
{
	CLEANUP_BUF struct buf key = BUF_INIT, value = BUF_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	if (!find_row(TABLE_COUNTER, take_u8(in), &key, &value))
		return;
	batch_add(&b, buf_slice(&key), (int64_t)take_u8(in) - 128);
	FUZZ_CHECK(backend_commit(kept, &b) == 0);
}

static void change_extent(struct input *in)
{
	unsigned int i = take_u8(in) % golden.extent_count, what = take_u8(in);
	CLEANUP_BUF struct buf data = BUF_INIT;
	uint64_t ino = golden.extents[i].ino;
	int fd;

	FUZZ_CHECK(
	    buf_set(&data, golden.extents[i].data.data, golden.extents[i].data.len) == 0);
	if (backend_extent_remove(kept, ino) || what % 4 == 3)
		return;
	if (what % 4 == 2)
		ino += what; /* of an inode that does not know of it */
	change_bytes(in, &data);
	if (backend_extent_stage(kept, ino, &fd))
		return;
	FUZZ_CHECK(pwrite(fd, data.data, data.len, 0) == (ssize_t)data.len);
	close(fd);
	if (what % 4)
		FUZZ_CHECK(backend_extent_commit(kept, ino) == 0);
}

static void change_row(struct input *in, enum table t)
{
	CLEANUP_BUF struct buf key = BUF_INIT, value = BUF_INIT, other = BUF_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	unsigned int what;

	if (!find_row(t, take_u8(in), &key, &value))
		return;
	what = take_u8(in);
	/* A number from where on there are none: nothing tells that it is too small. */
	if (t == TABLE_META && !slice_cmp(buf_slice(&key), slice("ids", 3)))
		what = 4;
	if (what % 5 == 0 || what % 5 == 1) {
		change_bytes(in, &value);
	} else if (what % 5 == 2) { /* its value at another key */
		change_bytes(in, &key);
	} else if (what % 5 == 3) { /* the value of another */
		FUZZ_CHECK(find_row(t, take_u8(in), &other, &value));
	} else {
		batch_del(&b, t, buf_slice(&key));
		FUZZ_CHECK(backend_commit(kept, &b) == 0);
		return;
	}
	put_row(t, buf_slice(&key), buf_slice(&value));
}

static void change(struct input *in)
{
	enum table t = take_u8(in) % (TABLE_COUNT + 1);

	if (t == TABLE_COUNT)
		change_extent(in);
	else if (t == TABLE_COUNTER)
		change_counter(in);
	else
		change_row(in, t);
}

/* ---- what is done with it ---- */

static void use_entry(struct store *st, uint64_t ino)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct store_attr attr;
	uint64_t branch;

	(void)store_getattr(st, ino, &attr);
	(void)store_where(st, ino, &branch, &text);
	(void)store_readlink(st, ino, &text);
	(void)store_xattr_get(st, ino, "user.x", &text);
	read_one(st, ino);
}

/* In a directory that was damaged into its own child it comes to an end, too. */
static void use_dir(struct store *st, uint64_t ino, unsigned int *nodes)
{
	struct store_dirent ent;
	struct store_dir *dir;
	uint64_t branch;

	if (store_branch(st, ino, NULL, false, &branch) ||
	    store_dir_open(st, branch, &dir))
		return;
	while (*nodes < NODES_MAX && store_dir_next(dir, &ent) == 0) {
		++*nodes;
		use_entry(st, ent.attr.ino);
		if (S_ISDIR(ent.attr.mode))
			use_dir(st, ent.attr.ino, nodes);
	}
	store_dir_close(dir);
}

static void found(void *arg, const char *line)
{
	FUZZ_CHECK(line[0] && buf_printf(arg, "%s\n", line) == 0);
}

/* How much it has found; the lines are for when something is left. */
static uint64_t repair(struct store *st, struct buf *ret_lines)
{
	const struct store_check_options opt = {
	    .contents = true, .repair = true, .found = found, .arg = ret_lines};
	struct store_check_result result;

	FUZZ_CHECK(store_check(st, &opt, &result) == 0);
	FUZZ_CHECK(result.repaired == result.found);
	FUZZ_CHECK(store_settle(st) == 0);
	return result.found;
}

static void check_sound(struct store *st, const struct buf *repaired)
{
	CLEANUP_BUF struct buf lines = BUF_INIT;
	const struct store_check_options opt = {
	    .contents = true, .found = found, .arg = &lines};
	struct store_check_result result;

	FUZZ_CHECK(store_check(st, &opt, &result) == 0);
	if (result.found)
		fprintf(stderr, "repaired:\n%.*s\nleft:\n%.*s", (int)repaired->len,
			(const char *)repaired->data, (int)lines.len,
			(const char *)lines.data);
	FUZZ_CHECK(result.found == 0);
}

static void change_names(struct store *st)
{
	struct store_attr attr;
	uint64_t dir = ino_of(st, STORE_ROOT_INO, "dir");

	(void)store_unlink(st, STORE_ROOT_INO, "small");
	(void)put(st, STORE_ROOT_INO, "large", 2 * VALUE_BYTES, 5);
	(void)store_rename(st, STORE_ROOT_INO, "link", STORE_ROOT_INO, "moved", 0, NULL);
	(void)store_mkdir(st, STORE_ROOT_INO, "new", 0755, 1, 1, &attr);
	(void)store_rmdir(st, STORE_ROOT_INO, "tree");
	(void)store_version_set(st, dir, "");
	(void)put(st, dir, "below", 50, 6);
	(void)store_lease_release(st, STORE_ROOT_INO, "small", "me");
	(void)store_settle(st);
}

/* It serves again. */
static void check_usable(struct store *st)
{
	uint8_t want[VALUE_BYTES], data[VALUE_BYTES];
	struct store_gen *gen;
	size_t n;

	/* Its policy may be another by now, and be one that a user could have set. */
	FUZZ_CHECK(store_ttl_set(st, STORE_ROOT_INO, DURATION_NONE, "none") == 0);
	if (put(st, STORE_ROOT_INO, "after", VALUE_BYTES, 8))
		return;
	FUZZ_CHECK(store_gen_open(st, ino_of(st, STORE_ROOT_INO, "after"), &gen) == 0);
	FUZZ_CHECK(store_gen_read(gen, data, sizeof(data), 0, &n) == 0);
	pattern(want, sizeof(want), 8);
	FUZZ_CHECK(n == sizeof(want) && memcmp(data, want, n) == 0);
	store_gen_close(gen);
}

static void use(struct store *st, bool change_first, struct buf *ret_repaired)
{
	unsigned int nodes = 0;

	use_dir(st, STORE_ROOT_INO, &nodes);
	if (change_first)
		change_names(st);
	/* What only what was damaged led to comes to light by the repair. */
	for (int i = 0; i < REPAIRS_MAX && repair(st, ret_repaired); i++)
		;
	check_sound(st, ret_repaired);
	check_usable(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP_BUF struct buf repaired = BUF_INIT;
	struct input in = {data, data + len};
	unsigned int how;
	struct errmsg err;
	struct store *st;

	FUZZ_CHECK(log_open(LOG_SINK_FILE, "/dev/null", &err) == 0);
	if (!golden.rows.count)
		make_golden();
	copy_golden();
	how = take_u8(&in);
	for (int i = 0; i < CHANGES_MAX && in.at < in.end; i++)
		change(&in);
	if (open_store(&st) == 0) {
		use(st, how & 1, &repaired);
		store_close(st);
		FUZZ_CHECK(open_store(&st) == 0); /* what was repaired stays so */
		check_sound(st, &repaired);
		store_close(st);
	}
	end_backend();
	return 0;
}
