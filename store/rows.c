/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rows.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/xattrs.h"

#define ROW_FORMAT 1
#define ROW_FORMAT_SETTINGS 2
#define ROW_FORMAT_SEALED 3
#define ROW_FORMAT_GCQ_DISK 2

/* ---- writing and reading fields ---- */

/* Appends fields to a buffer; remembers that one did not fit in memory. */
struct writer {
	struct buf *out;
	int err;
};

static void put_bytes(struct writer *w, const void *data, size_t len)
{
	if (!w->err && len > 0)
		w->err = buf_append(w->out, data, len);
}

static void put_int(struct writer *w, uint64_t value, size_t width)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	put_bytes(w, bytes, width);
}

static void put_u8(struct writer *w, uint8_t value)
{
	put_int(w, value, 1);
}

static void put_u32(struct writer *w, uint32_t value)
{
	put_int(w, value, 4);
}

static void put_u64(struct writer *w, uint64_t value)
{
	put_int(w, value, 8);
}

static void put_i64(struct writer *w, int64_t value)
{
	put_int(w, (uint64_t)value, 8);
}

/* A length of `width` bytes, then the bytes. */
static void put_slice(struct writer *w, struct slice s, size_t width)
{
	put_int(w, s.len, width);
	put_bytes(w, s.data, s.len);
}

/* Takes fields from a row; `bad` once there was one too few. */
struct reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static struct reader reader(struct slice raw)
{
	return (struct reader){.p = raw.data, .left = raw.len};
}

static struct slice take_bytes(struct reader *r, size_t len)
{
	struct slice s = slice(r->p, len);

	if (r->bad || len > r->left) {
		r->bad = true;
		return slice(NULL, 0);
	}
	if (len > 0)
		r->p += len;
	r->left -= len;
	return s;
}

/* At most 8 bytes; one load where the width is a constant: a listing takes a dozen of
 * every name. */
static inline uint64_t take_int(struct reader *r, size_t width)
{
	struct slice s = take_bytes(r, width);
	uint64_t value = 0;

	if (s.len)
		memcpy(&value, s.data, width);
	return le64toh(value);
}

static uint8_t take_u8(struct reader *r)
{
	return (uint8_t)take_int(r, 1);
}

static uint32_t take_u32(struct reader *r)
{
	return (uint32_t)take_int(r, 4);
}

static uint64_t take_u64(struct reader *r)
{
	return take_int(r, 8);
}

static int64_t take_i64(struct reader *r)
{
	return (int64_t)take_int(r, 8);
}

static struct slice take_slice(struct reader *r, size_t width, size_t max)
{
	uint64_t len = take_int(r, width);

	if (len > max)
		r->bad = true;
	return take_bytes(r, len);
}

static void take_format(struct reader *r)
{
	if (take_u8(r) != ROW_FORMAT)
		r->bad = true;
}

/* All was there, and nothing more. */
static int take_end(const struct reader *r)
{
	return r->bad || r->left > 0 ? -EUCLEAN : 0;
}

/* ---- what inode and dirent rows have in common ---- */

static void put_core(struct writer *w, const struct row_core *c)
{
	put_u64(w, c->ino);
	put_u32(w, c->mode);
	put_u32(w, c->uid);
	put_u32(w, c->gid);
	put_u8(w, (uint8_t)c->layout);
	put_u64(w, c->size_bytes);
	put_u64(w, c->disk_bytes);
	put_i64(w, c->atime_ns);
	put_i64(w, c->mtime_ns);
	put_i64(w, c->ctime_ns);
	put_i64(w, c->created_ns);
	put_i64(w, c->ttl_ns);
}

static bool core_valid(const struct row_core *c)
{
	bool file = S_ISREG(c->mode);

	if (c->ino == 0 || c->layout >= LAYOUT_COUNT || c->ttl_ns < DURATION_UNSET)
		return false;
	if (c->mode & ~(mode_t)(S_IFMT | 07777))
		return false;
	if (!file && !S_ISDIR(c->mode) && !S_ISLNK(c->mode))
		return false;
	if (c->size_bytes > (file ? (uint64_t)STORE_FILE_MAX : STORE_SYMLINK_MAX))
		return false;
	if (c->sealed && (!c->size_bytes || !file || c->ino > ROW_SEALED_INO_MAX))
		return false;
	/* Content, if there is any, is somewhere; nothing else has some. */
	return file ? (c->layout == LAYOUT_NONE) == (c->size_bytes == 0)
		    : c->layout == LAYOUT_NONE;
}

/* `format`: of the row. */
static struct row_core take_core(struct reader *r, uint8_t format)
{
	struct row_core c = {.sealed = format == ROW_FORMAT_SEALED};

	c.ino = take_u64(r);
	c.mode = take_u32(r);
	c.uid = take_u32(r);
	c.gid = take_u32(r);
	c.layout = take_u8(r);
	c.size_bytes = take_u64(r);
	c.disk_bytes = take_u64(r);
	c.atime_ns = take_i64(r);
	c.mtime_ns = take_i64(r);
	c.ctime_ns = take_i64(r);
	c.created_ns = take_i64(r);
	c.ttl_ns = take_i64(r);
	if (!core_valid(&c))
		r->bad = true;
	return c;
}

int dirent_encode(const struct row_core *core, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	assert(core_valid(core));
	put_u8(&w, core->sealed ? ROW_FORMAT_SEALED : ROW_FORMAT);
	put_core(&w, core);
	return w.err;
}

int dirent_decode(struct slice raw, struct row_core *ret_core)
{
	struct reader r = reader(raw);
	uint8_t format = take_u8(&r);
	struct row_core core = take_core(&r, format);

	if (format != ROW_FORMAT && format != ROW_FORMAT_SEALED)
		r.bad = true;
	if (take_end(&r))
		return -EUCLEAN;
	*ret_core = core;
	return 0;
}

/* ---- inode ---- */

static uint64_t double_bits(double value)
{
	uint64_t bits;

	static_assert(sizeof(bits) == sizeof(value), "IEEE 754 double");
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static double bits_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void put_writer(struct writer *w, const struct store_writer *who)
{
	put_u32(w, who->uid);
	put_u32(w, who->gid);
	put_u32(w, (uint32_t)who->pid);
	put_slice(w, slice(who->comm, strnlen(who->comm, sizeof(who->comm) - 1)), 1);
}

static struct store_writer take_writer(struct reader *r)
{
	struct store_writer who = {0};
	struct slice comm;

	who.uid = take_u32(r);
	who.gid = take_u32(r);
	who.pid = (pid_t)take_u32(r);
	comm = take_slice(r, 1, sizeof(who.comm) - 1);
	if (comm.len > 0 && memchr(comm.data, 0, comm.len))
		r->bad = true;
	else if (comm.len > 0)
		memcpy(who.comm, comm.data, comm.len);
	return who;
}

static uint8_t inode_format(const struct inode_row *row)
{
	if (row->core.sealed)
		return ROW_FORMAT_SEALED;
	return row->settings.len ? ROW_FORMAT_SETTINGS : ROW_FORMAT;
}

int inode_encode(const struct inode_row *row, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	assert(core_valid(&row->core));
	assert(row->ttl_text.len <= ROW_TTL_TEXT_MAX &&
	       row->target.len <= STORE_SYMLINK_MAX);
	assert(row->settings.len <= ROW_SETTINGS_MAX &&
	       (!row->settings.len || S_ISDIR(row->core.mode)));
	put_u8(&w, inode_format(row));
	put_core(&w, &row->core);
	put_u64(&w, row->parent_branch);
	put_slice(&w, row->name, 1);
	put_slice(&w, row->ttl_text, 1);
	put_slice(&w, row->xattrs, 4);
	if (S_ISDIR(row->core.mode)) {
		put_u64(&w, row->branch);
		put_slice(&w, row->version, 1);
		if (row->settings.len)
			put_slice(&w, row->settings, 2);
		return w.err;
	}
	put_u64(&w, double_bits(row->cost_s));
	put_writer(&w, &row->writer);
	if (S_ISLNK(row->core.mode)) {
		put_slice(&w, row->target, 2);
		return w.err;
	}
	put_u8(&w, row->has_hash);
	put_bytes(&w, row->hash, row->has_hash ? sizeof(row->hash) : 0);
	return w.err;
}

static void take_hash(struct reader *r, struct inode_row *row)
{
	uint8_t has_hash = take_u8(r);
	struct slice hash;

	if (has_hash > 1)
		r->bad = true;
	row->has_hash = has_hash == 1;
	hash = take_bytes(r, row->has_hash ? sizeof(row->hash) : 0);
	if (hash.len > 0)
		memcpy(row->hash, hash.data, hash.len);
}

static void take_settings(struct reader *r, struct inode_row *row)
{
	row->settings = take_slice(r, 2, ROW_SETTINGS_MAX);
	/* Without any, the row has the other format. */
	if (!row->settings.len || !xattrs_valid(row->settings))
		r->bad = true;
}

/* The part that depends on the kind of inode. */
static void take_kind(struct reader *r, uint8_t format, struct inode_row *row)
{
	if (format == ROW_FORMAT_SETTINGS && !S_ISDIR(row->core.mode))
		r->bad = true;
	if (S_ISDIR(row->core.mode)) {
		row->branch = take_u64(r);
		row->version = take_slice(r, 1, STORE_VERSION_MAX);
		if (format == ROW_FORMAT_SETTINGS)
			take_settings(r, row);
		row->cost_s = -1;
		if (row->branch == 0 || !key_version_valid(row->version))
			r->bad = true;
		return;
	}
	row->cost_s = bits_double(take_u64(r));
	row->writer = take_writer(r);
	if (S_ISLNK(row->core.mode)) {
		row->target = take_slice(r, 2, STORE_SYMLINK_MAX);
		if (row->target.len != row->core.size_bytes)
			r->bad = true;
		return;
	}
	take_hash(r, row);
}

/* Only the root is nowhere. */
static bool place_valid(const struct inode_row *row)
{
	if (row->core.ino == STORE_ROOT_INO)
		return row->parent_branch == 0 && row->name.len == 0 &&
		       S_ISDIR(row->core.mode);
	return row->parent_branch != 0 && key_name_valid(row->name);
}

int inode_decode(struct slice raw, struct inode_row *ret_row)
{
	struct reader r = reader(raw);
	struct inode_row row = {0};
	uint8_t format = take_u8(&r);

	if (format < ROW_FORMAT || format > ROW_FORMAT_SEALED)
		r.bad = true;
	row.core = take_core(&r, format);
	row.parent_branch = take_u64(&r);
	row.name = take_slice(&r, 1, STORE_NAME_MAX);
	row.ttl_text = take_slice(&r, 1, ROW_TTL_TEXT_MAX);
	/* Each attribute has five bytes of lengths; the shortest is one byte. */
	row.xattrs = take_slice(&r, 4, STORE_XATTR_MAX * 6);
	take_kind(&r, format, &row);
	if (take_end(&r) || !place_valid(&row) || !xattrs_valid(row.xattrs))
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

/* ---- the others ---- */

int branch_owner_encode(uint64_t dir_ino, struct slice version, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	put_u8(&w, ROW_FORMAT);
	put_u64(&w, dir_ino);
	put_slice(&w, version, 1);
	return w.err;
}

int branch_owner_decode(struct slice raw, uint64_t *ret_dir_ino,
			struct slice *ret_version)
{
	struct reader r = reader(raw);
	struct slice version;
	uint64_t dir_ino;

	take_format(&r);
	dir_ino = take_u64(&r);
	version = take_slice(&r, 1, STORE_VERSION_MAX);
	if (take_end(&r) || dir_ino == 0 || version.len == 0 ||
	    !key_version_valid(version))
		return -EUCLEAN;
	*ret_dir_ino = dir_ino;
	*ret_version = version;
	return 0;
}

int gcq_encode(const struct gcq_row *row, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	bool disk = row->disk_bytes != row->size_bytes;

	put_u8(&w, disk ? ROW_FORMAT_GCQ_DISK : ROW_FORMAT);
	put_u8(&w, (uint8_t)row->kind);
	put_u8(&w, (uint8_t)row->layout);
	put_u64(&w, row->size_bytes);
	if (disk)
		put_u64(&w, row->disk_bytes);
	return w.err;
}

int gcq_decode(struct slice raw, struct gcq_row *ret_row)
{
	struct reader r = reader(raw);
	uint8_t format = take_u8(&r);
	struct gcq_row row;

	row.kind = take_u8(&r);
	row.layout = take_u8(&r);
	row.size_bytes = take_u64(&r);
	row.disk_bytes = format == ROW_FORMAT_GCQ_DISK ? take_u64(&r) : row.size_bytes;
	/* Where they are the same, the row has the other format. */
	if (format != ROW_FORMAT &&
	    (format != ROW_FORMAT_GCQ_DISK || row.disk_bytes == row.size_bytes ||
	     row.disk_bytes > 2 * (uint64_t)STORE_FILE_MAX))
		r.bad = true;
	if (take_end(&r) || row.kind >= GCQ_KIND_COUNT || row.layout >= LAYOUT_COUNT ||
	    row.size_bytes > (uint64_t)STORE_FILE_MAX)
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

int unsynced_encode(const struct unsynced_row *row, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	put_u8(&w, ROW_FORMAT);
	put_u64(&w, row->size_bytes);
	put_i64(&w, row->published_ns);
	return w.err;
}

int unsynced_decode(struct slice raw, struct unsynced_row *ret_row)
{
	struct reader r = reader(raw);
	struct unsynced_row row;

	take_format(&r);
	row.size_bytes = take_u64(&r);
	row.published_ns = take_i64(&r);
	if (take_end(&r))
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

int heat_encode(const struct heat_row *row, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	put_u8(&w, ROW_FORMAT);
	put_u64(&w, row->hits);
	put_i64(&w, row->last_read_ns);
	return w.err;
}

int heat_decode(struct slice raw, struct heat_row *ret_row)
{
	struct reader r = reader(raw);
	struct heat_row row;

	take_format(&r);
	row.hits = take_u64(&r);
	row.last_read_ns = take_i64(&r);
	if (take_end(&r))
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

static bool lease_valid(const struct lease_row *row)
{
	return row->token && row->duration_ns > 0 &&
	       row->duration_ns <= STORE_LEASE_MAX_NS && row->boot.len <= ROW_BOOT_MAX &&
	       store_owner_valid(row->owner.len ? row->owner.data : "", row->owner.len);
}

int lease_encode(const struct lease_row *row, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	assert(lease_valid(row));
	put_u8(&w, ROW_FORMAT);
	put_slice(&w, row->owner, 1);
	put_u64(&w, row->token);
	put_i64(&w, row->since_ns);
	put_i64(&w, row->duration_ns);
	put_slice(&w, row->boot, 1);
	put_i64(&w, row->boot_ends_ns);
	put_i64(&w, row->wall_ends_ns);
	if (row->has_user)
		put_u32(&w, row->uid);
	return w.err;
}

int lease_decode(struct slice raw, struct lease_row *ret_row)
{
	struct reader r = reader(raw);
	struct lease_row row = {0};

	take_format(&r);
	row.owner = take_slice(&r, 1, STORE_OWNER_MAX);
	row.token = take_u64(&r);
	row.since_ns = take_i64(&r);
	row.duration_ns = take_i64(&r);
	row.boot = take_slice(&r, 1, ROW_BOOT_MAX);
	row.boot_ends_ns = take_i64(&r);
	row.wall_ends_ns = take_i64(&r);
	row.has_user = r.left > 0;
	if (row.has_user)
		row.uid = take_u32(&r);
	if (take_end(&r) || !lease_valid(&row))
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

int u64_encode(uint64_t value, struct buf *ret_raw)
{
	struct writer w = {.out = ret_raw};

	put_u64(&w, value);
	return w.err;
}

int u64_decode(struct slice raw, uint64_t *ret_value)
{
	struct reader r = reader(raw);
	uint64_t value = take_u64(&r);

	if (take_end(&r))
		return -EUCLEAN;
	*ret_value = value;
	return 0;
}
