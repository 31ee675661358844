/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "store/util/pack_record.h"

/* ---- the trailer --------------------------------------------------------------- */

uint64_t pack_index_bytes(const struct pack_trailer *t)
{
	return (uint64_t)t->n_entries * PACK_RECORD_BYTES + t->strings_bytes +
	       t->meta_bytes;
}

static bool trailer_whole(const uint8_t raw[PACK_TRAILER_BYTES])
{
	return get_u64(raw + TRAILER_SUM) == XXH3_64bits(raw, TRAILER_SUM) &&
	       all_zero(raw + TRAILER_ZERO, PACK_TRAILER_BYTES - TRAILER_ZERO);
}

int pack_trailer_parse(const uint8_t raw[PACK_TRAILER_BYTES], uint64_t pack_bytes,
		       struct pack_trailer *ret_trailer, struct errmsg *err)
{
	uint32_t format = get_u32(raw + TRAILER_FORMAT);
	struct pack_trailer t = {
	    .n_entries = get_u32(raw + TRAILER_ENTRIES),
	    .index_off = get_u64(raw + TRAILER_INDEX_OFF),
	    .strings_bytes = get_u64(raw + TRAILER_STRINGS),
	    .meta_bytes = get_u64(raw + TRAILER_META),
	};
	uint64_t rest;

	if (memcmp(raw + TRAILER_MAGIC, PACK_MAGIC, 8) != 0)
		return err_set(err, EBADMSG, "it does not end as a pack does");
	if (format != PACK_FORMAT)
		return err_set(err, EBADMSG,
			       "a pack of format %" PRIu32 "; this program knows %d",
			       format, PACK_FORMAT);
	if (!trailer_whole(raw))
		return err_set(err, EBADMSG, "the pack's last bytes are damaged");
	if (!t.n_entries || t.n_entries > PACK_ENTRIES_MAX ||
	    t.strings_bytes > PACK_STRINGS_MAX || t.meta_bytes > PACK_META_MAX)
		return err_set(err, EBADMSG, "the pack's index is too large");
	rest = pack_index_bytes(&t) + PACK_TRAILER_BYTES;
	if (pack_bytes < rest || t.index_off != pack_bytes - rest)
		return err_set(err, EBADMSG,
			       "the pack says it has %" PRIu64
			       " bytes of contents, which does not go with its size",
			       t.index_off);
	memcpy(t.tree_hash, raw + TRAILER_TREE_HASH, PACK_HASH_BYTES);
	memcpy(t.index_hash, raw + TRAILER_INDEX_HASH, PACK_HASH_BYTES);
	*ret_trailer = t;
	return 0;
}

/* ---- checking an index ----------------------------------------------------------- */

static const uint8_t *record(const struct pack *p, uint32_t i)
{
	return p->index.data + (size_t)i * PACK_RECORD_BYTES;
}

static const uint8_t *strings(const struct pack *p)
{
	return record(p, p->trailer.n_entries);
}

static struct slice name_of(const struct pack *p, const uint8_t *rec)
{
	return slice(strings(p) + get_u32(rec + REC_NAME_OFF), rec[REC_NAME_LEN]);
}

/* What has been checked: the entries before, and so many strings and children. */
struct check {
	const struct pack *p;
	uint64_t strings_used;
	uint64_t next_child;
	const char *wrong; /* what is wrong with the entry, or NULL */
};

static bool wrong(struct check *c, const char *what)
{
	c->wrong = what;
	return false;
}

/* The next run of the strings begins at `off`. */
static bool take_string(struct check *c, uint64_t off, uint64_t len)
{
	if (off != c->strings_used || len > c->p->trailer.strings_bytes - off)
		return wrong(c, "a string is not where it should be");
	c->strings_used += len;
	return true;
}

static bool check_file(struct check *c, const uint8_t *rec)
{
	uint64_t off = get_u64(rec + REC_A), size = get_u64(rec + REC_B);
	uint64_t end = c->p->trailer.index_off;

	if (off > end || size > end - off)
		return wrong(c, "its content is not in the pack");
	return true;
}

/* Its children follow those of the directories before it, sorted by their names. */
static bool check_dir(struct check *c, const uint8_t *rec, uint32_t i)
{
	uint64_t first = get_u64(rec + REC_A), children = get_u64(rec + REC_B);

	if (first != c->next_child || children > c->p->trailer.n_entries - first)
		return wrong(c, "its children are not where they should be");
	for (uint64_t k = first; k < first + children; k++)
		if (get_u32(record(c->p, (uint32_t)k) + REC_PARENT) != i)
			return wrong(c, "a child of it has another parent");
	c->next_child += children;
	return true;
}

static bool check_link(struct check *c, const uint8_t *rec)
{
	uint64_t off = get_u64(rec + REC_A), len = get_u64(rec + REC_B);

	if (!len || len > PACK_TARGET_MAX)
		return wrong(c, "its target is empty or too long");
	if (!take_string(c, off, len))
		return false;
	if (memchr(strings(c->p) + off, 0, len))
		return wrong(c, "its target has a NUL byte");
	if (get_u16(rec + REC_PERM) != 0777)
		return wrong(c, "a symlink's permissions are not 0777");
	return true;
}

/* The name is good, and comes after that of the entry before it in the directory. */
static bool check_name(struct check *c, const uint8_t *rec, uint32_t i)
{
	if (!take_string(c, get_u32(rec + REC_NAME_OFF), rec[REC_NAME_LEN]))
		return false;
	if (i == 0)
		return rec[REC_NAME_LEN] == 0 || wrong(c, "the root has a name");
	if (!pack_name_valid(name_of(c->p, rec)))
		return wrong(c, "its name is none");
	if (get_u32(rec + REC_PARENT) == get_u32(rec - PACK_RECORD_BYTES + REC_PARENT) &&
	    i > 1 &&
	    pack_name_cmp(name_of(c->p, rec - PACK_RECORD_BYTES), name_of(c->p, rec)) >=
		0)
		return wrong(c, "the names are not sorted");
	return true;
}

static bool check_entry(struct check *c, uint32_t i)
{
	const uint8_t *rec = record(c->p, i);
	uint8_t type = rec[REC_TYPE];

	if (type != PACK_FILE && type != PACK_DIR && type != PACK_LINK)
		return wrong(c, "its type is none");
	if (i >= c->next_child || (i == 0 && get_u32(rec + REC_PARENT) != 0))
		return wrong(c, "it is in no directory");
	if (i == 0 && type != PACK_DIR)
		return wrong(c, "the root is no directory");
	if (get_u16(rec + REC_PERM) & ~0777u)
		return wrong(c, "its permissions have bits beyond 0777");
	if (get_u32(rec + REC_ZERO) != 0 ||
	    (type != PACK_FILE && !all_zero(rec + REC_HASH, PACK_HASH_BYTES)))
		return wrong(c, "a field that is not used is not zero");
	if (!check_name(c, rec, i))
		return false;
	if (type == PACK_DIR)
		return check_dir(c, rec, i);
	return type == PACK_FILE ? check_file(c, rec) : check_link(c, rec);
}

static int check_entries(const struct pack *p, struct errmsg *err)
{
	struct check c = {.p = p, .next_child = 1};

	for (uint32_t i = 0; i < p->trailer.n_entries; i++)
		if (!check_entry(&c, i))
			return err_set(err, EBADMSG, "the pack's entry %" PRIu32 ": %s",
				       i, c.wrong);
	if (c.next_child != p->trailer.n_entries ||
	    c.strings_used != p->trailer.strings_bytes)
		return err_set(err, EBADMSG, "the pack's index holds more than its tree");
	return 0;
}

int pack_tree_hash(const uint8_t *index, uint32_t n_entries,
		   uint8_t ret_hash[PACK_HASH_BYTES])
{
	const uint8_t *strings_at = index + (size_t)n_entries * PACK_RECORD_BYTES;
	XXH3_state_t *xxh = XXH3_createState();
	XXH128_canonical_t hash;

	if (!xxh)
		return -ENOMEM;
	XXH3_128bits_reset(xxh);
	for (uint32_t i = 0; i < n_entries; i++) {
		const uint8_t *rec = index + (size_t)i * PACK_RECORD_BYTES;
		uint8_t type = rec[REC_TYPE];

		XXH3_128bits_update(xxh, rec, REC_NAME_OFF);
		XXH3_128bits_update(xxh, strings_at + get_u32(rec + REC_NAME_OFF),
				    rec[REC_NAME_LEN]);
		XXH3_128bits_update(xxh, rec + REC_B, 8);
		if (type == PACK_FILE)
			XXH3_128bits_update(xxh, rec + REC_HASH, PACK_HASH_BYTES);
		else if (type == PACK_LINK)
			XXH3_128bits_update(xxh, strings_at + get_u64(rec + REC_A),
					    get_u64(rec + REC_B));
	}
	XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(xxh));
	memcpy(ret_hash, hash.digest, PACK_HASH_BYTES);
	XXH3_freeState(xxh);
	return 0;
}

static int check_pack(const struct pack *p, struct errmsg *err)
{
	uint8_t hash[PACK_HASH_BYTES];
	int ret;

	if (p->index.len != pack_index_bytes(&p->trailer))
		return err_set(err, EBADMSG, "the pack's index is cut off");
	pack_hash(p->index.data, p->index.len, hash);
	if (memcmp(hash, p->trailer.index_hash, PACK_HASH_BYTES) != 0)
		return err_set(err, EBADMSG, "the pack's index is damaged");
	ret = check_entries(p, err);
	if (ret)
		return ret;
	ret = pack_tree_hash(p->index.data, p->trailer.n_entries, hash);
	if (ret)
		return err_set(err, -ret, "out of memory");
	if (memcmp(hash, p->trailer.tree_hash, PACK_HASH_BYTES) != 0)
		return err_set(err, EBADMSG, "the pack's hash is not that of its tree");
	return 0;
}

int pack_init(struct pack *p, const struct pack_trailer *t, struct buf *index,
	      struct errmsg *err)
{
	struct pack made = {.trailer = *t, .index = *index};
	int ret;

	*index = BUF_INIT;
	ret = check_pack(&made, err);
	if (ret)
		pack_deinit(&made);
	else
		*p = made;
	return ret;
}

void pack_deinit(struct pack *p)
{
	buf_deinit(&p->index);
	*p = PACK_INIT;
}

/* ---- reading one ------------------------------------------------------------------ */

static mode_t type_bits(enum pack_type type)
{
	return type == PACK_DIR ? S_IFDIR : type == PACK_LINK ? S_IFLNK : S_IFREG;
}

void pack_get(const struct pack *p, uint32_t i, struct pack_entry *ret_entry)
{
	const uint8_t *rec = record(p, i);
	uint64_t a = get_u64(rec + REC_A), b = get_u64(rec + REC_B);
	enum pack_type type = rec[REC_TYPE];

	*ret_entry = (struct pack_entry){
	    .type = type,
	    .mode = type_bits(type) | get_u16(rec + REC_PERM),
	    .parent = get_u32(rec + REC_PARENT),
	    .mtime_ns = (int64_t)get_u64(rec + REC_MTIME),
	    .name = name_of(p, rec),
	};
	if (type == PACK_DIR) {
		ret_entry->first_child = (uint32_t)a;
		ret_entry->children = (uint32_t)b;
		return;
	}
	ret_entry->size_bytes = b;
	if (type == PACK_LINK) {
		ret_entry->target = slice(strings(p) + a, b);
		return;
	}
	ret_entry->off = a;
	memcpy(ret_entry->hash, rec + REC_HASH, PACK_HASH_BYTES);
}

int pack_child(const struct pack *p, uint32_t dir, struct slice name, uint32_t *ret_i)
{
	const uint8_t *rec = record(p, dir);
	uint32_t low = (uint32_t)get_u64(rec + REC_A);
	uint32_t end = low + (uint32_t)get_u64(rec + REC_B);

	if (rec[REC_TYPE] != PACK_DIR)
		return -ENOTDIR;
	while (low < end) {
		uint32_t mid = low + (end - low) / 2;
		int cmp = pack_name_cmp(name_of(p, record(p, mid)), name);

		if (cmp == 0) {
			*ret_i = mid;
			return 0;
		}
		if (cmp < 0)
			low = mid + 1;
		else
			end = mid;
	}
	return -ENOENT;
}

int pack_find(const struct pack *p, const char *path, uint32_t *ret_i)
{
	uint32_t i = 0;

	while (*path) {
		size_t len = strcspn(path, "/");
		int ret = pack_child(p, i, slice(path, len), &i);

		if (ret)
			return ret;
		path += len;
		if (*path == '/' && !*++path)
			return -ENOENT; /* no entry has an empty name */
	}
	*ret_i = i;
	return 0;
}

int pack_path(const struct pack *p, uint32_t i, struct buf *ret_path)
{
	size_t len = 0, end;

	for (uint32_t at = i; at; at = get_u32(record(p, at) + REC_PARENT))
		len += record(p, at)[REC_NAME_LEN] + 1u;
	if (!len)
		return 0;
	len--; /* one slash fewer than names */
	if (buf_reserve(ret_path, ret_path->len + len))
		return -ENOMEM;
	end = ret_path->len + len;
	ret_path->len = end;
	for (uint32_t at = i; at; at = get_u32(record(p, at) + REC_PARENT)) {
		struct slice name = name_of(p, record(p, at));

		if (at != i)
			ret_path->data[--end] = '/';
		end -= name.len;
		memcpy(ret_path->data + end, name.data, name.len);
	}
	return 0;
}

struct slice pack_meta(const struct pack *p)
{
	return slice(strings(p) + p->trailer.strings_bytes, p->trailer.meta_bytes);
}
