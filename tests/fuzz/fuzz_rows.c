/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from a disk are input. The first byte picks a decoder, the rest is the
 * row. What is accepted must encode to the same bytes again: then the decoder
 * has overlooked nothing, and there is one way only to write a row.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/stat.h>

#include "store/history_rows.h"
#include "store/quota.h"
#include "store/rows.h"
#include "store/settings.h"
#include "store/share_rows.h"
#include "store/sums.h"
#include "store/util/size.h"
#include "store/xattrs.h"

static void check_same(struct slice raw, const struct buf *again)
{
	FUZZ_CHECK(again->len == raw.len);
	FUZZ_CHECK(raw.len == 0 || memcmp(again->data, raw.data, raw.len) == 0);
}

static void check_same_key(struct slice raw, struct key again)
{
	FUZZ_CHECK(again.len == raw.len && !memcmp(again.data, raw.data, raw.len));
}

static void fuzz_keys(struct slice raw)
{
	struct slice name, version;
	uint64_t number;

	if (key_ino_decode(raw, &number) == 0)
		check_same_key(raw, key_ino(number));
	if (key_dirent_decode(raw, &number, &name) == 0)
		check_same_key(raw, key_dirent(number, name));
	if (key_version_decode(raw, &number, &version) == 0)
		check_same_key(raw, key_version(number, version));
}

static void fuzz_dirent(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct row_core core;

	if (dirent_decode(raw, &core))
		return;
	FUZZ_CHECK(core.ttl_ns >= DURATION_UNSET && core.layout < LAYOUT_COUNT);
	FUZZ_CHECK(dirent_encode(&core, &again) == 0);
	check_same(raw, &again);
}

/* Foreign attributes can be walked, changed, and changed back. */
static void fuzz_xattrs(struct slice packed)
{
	CLEANUP_BUF struct buf changed = BUF_INIT;
	CLEANUP_BUF struct buf back = BUF_INIT;
	CLEANUP_BUF struct buf value = BUF_INIT;

	FUZZ_CHECK(xattrs_valid(packed));
	if (xattrs_get(packed, "user.fuzz", &value) == 0 ||
	    xattrs_set(packed, "user.fuzz", slice("x", 1), 0, &changed))
		return;
	FUZZ_CHECK(xattrs_valid(buf_slice(&changed)));
	FUZZ_CHECK(xattrs_get(buf_slice(&changed), "user.fuzz", &value) == 0);
	FUZZ_CHECK(value.len == 1 && value.data[0] == 'x');
	FUZZ_CHECK(xattrs_remove(buf_slice(&changed), "user.fuzz", &back) == 0);
	check_same(packed, &back);
}

/* Whatever they say, what applies is a value or nothing. */
static void fuzz_settings(struct slice packed)
{
	struct settings settings = SETTINGS_UNSET;

	settings_inherit(&settings, packed);
	FUZZ_CHECK(settings.lease_ns == DURATION_UNSET ||
		   (settings.lease_ns > 0 && settings.lease_ns <= STORE_LEASE_MAX_NS));
	FUZZ_CHECK(settings.wait_ns >= DURATION_UNSET);
	FUZZ_CHECK(settings.publish <= PUBLISH_ALWAYS);
}

static void fuzz_inode(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct inode_row row;

	if (inode_decode(raw, &row))
		return;
	FUZZ_CHECK(row.core.ino == STORE_ROOT_INO || row.name.len > 0);
	FUZZ_CHECK(!S_ISLNK(row.core.mode) || row.target.len == row.core.size_bytes);
	FUZZ_CHECK(strnlen(row.writer.comm, sizeof(row.writer.comm)) <
		   sizeof(row.writer.comm));
	FUZZ_CHECK(!row.settings.len || S_ISDIR(row.core.mode));
	fuzz_settings(row.settings);
	fuzz_xattrs(row.xattrs);
	FUZZ_CHECK(inode_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_owner(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct slice version;
	uint64_t dir_ino;

	if (branch_owner_decode(raw, &dir_ino, &version))
		return;
	FUZZ_CHECK(branch_owner_encode(dir_ino, version, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_gcq(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct gcq_row row;

	if (gcq_decode(raw, &row))
		return;
	FUZZ_CHECK(gcq_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_unsynced(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct unsynced_row row;

	if (unsynced_decode(raw, &row))
		return;
	FUZZ_CHECK(unsynced_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_heat(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct heat_row row;

	if (heat_decode(raw, &row))
		return;
	FUZZ_CHECK(heat_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_u64(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	uint64_t value;

	if (u64_decode(raw, &value))
		return;
	FUZZ_CHECK(u64_encode(value, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_lease(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct lease_row row;

	if (lease_decode(raw, &row))
		return;
	FUZZ_CHECK(row.duration_ns > 0 && row.duration_ns <= STORE_LEASE_MAX_NS);
	FUZZ_CHECK(store_owner_valid(row.owner.data, row.owner.len));
	FUZZ_CHECK(lease_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_share(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	uint64_t holders[SHARE_HOLDERS_MAX];

	if (share_decode(raw, &row))
		return;
	FUZZ_CHECK(share_parts(&row) <= SHARE_PARTS_MAX);
	FUZZ_CHECK(share_holders(&row, holders) <= SHARE_HOLDERS_MAX);
	for (size_t i = 0; i < share_parts(&row); i++)
		FUZZ_CHECK(
		    share_part_after(&row.parts, share_part_at(&row.parts, i).off) == i);
	FUZZ_CHECK(share_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_same(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct same_row row;

	if (same_decode(raw, &row))
		return;
	FUZZ_CHECK(same_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_todo(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct todo_row row;
	uint64_t ino;

	if (key_share_todo_decode(raw, &ino) == 0)
		check_same_key(raw, key_share_todo(ino));
	if (todo_decode(raw, &row))
		return;
	FUZZ_CHECK(todo_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_history(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct history_row row;
	enum history_tag tag;
	uint64_t number;

	if (key_history_decode(raw, &tag, &number) == 0)
		check_same_key(raw, key_history(tag, number));
	if (history_decode(raw, &row))
		return;
	FUZZ_CHECK(row.number * 60 <= INT64_MAX / NSEC_PER_SEC);
	FUZZ_CHECK(history_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_total(struct slice raw)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct total_row row;

	if (total_decode(raw, &row))
		return;
	FUZZ_CHECK(row.since_ns >= 0);
	FUZZ_CHECK(total_encode(&row, &again) == 0);
	check_same(raw, &again);
}

static void fuzz_area(struct slice raw)
{
	uint64_t dir_ino;

	if (area_key_decode(raw, &dir_ino) == 0)
		check_same_key(raw, area_key(dir_ino));
}

/* The first two bytes say of how many blocks. Each of them can be asked for. */
static void fuzz_sums(struct slice raw)
{
	const uint8_t *at = raw.data;
	size_t blocks = raw.len < 2 ? 0 : (at[0] << 8 | at[1]) % (SUMS_PER_CHUNK + 1);
	struct slice row;
	uint64_t all = 0;

	if (!blocks)
		return;
	row = slice(at + 2, raw.len - 2);
	if (!sums_row_valid(row, blocks))
		return;
	for (size_t i = 0; i < blocks; i++)
		all |= sums_row_get(row, i);
	FUZZ_CHECK(row.len == 8 || row.len == 8 * blocks);
	for (size_t i = 0; i < row.len; i++)
		FUZZ_CHECK(!((const uint8_t *)row.data)[i] || all);
}

/* Text, not a row: the bounds that are written into some. */
static void fuzz_size(struct slice raw)
{
	char text[SIZE_TEXT_MAX];
	uint64_t bytes = 7;

	if (size_parse((const char *)raw.data, raw.len, &bytes)) {
		FUZZ_CHECK(bytes == 7);
		return;
	}
	FUZZ_CHECK(bytes <= INT64_MAX);
	size_format(bytes, text);
	FUZZ_CHECK(strlen(text) < sizeof(text));
	FUZZ_CHECK(size_parse(text, strlen(text), &bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const targets[])(struct slice raw) = {
	    fuzz_keys,	  fuzz_dirent, fuzz_inode, fuzz_owner, fuzz_gcq,  fuzz_unsynced,
	    fuzz_heat,	  fuzz_u64,    fuzz_lease, fuzz_share, fuzz_same, fuzz_todo,
	    fuzz_history, fuzz_total,  fuzz_area,  fuzz_sums,  fuzz_size};

	if (len == 0 || data[0] >= sizeof(targets) / sizeof(*targets))
		return 0;
	targets[data[0]](slice(data + 1, len - 1));
	return 0;
}
