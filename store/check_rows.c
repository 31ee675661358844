/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and extents that belong to an inode: does the inode have them, and has every one
 * of them an inode?
 *
 * An owner and what it owns appear together, or the owner first, and the owner goes
 * last. So what has no owner, and is still there when it is looked for again, has none.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/check_parts.h"
#include "store/gc.h"
#include "store/resume.h"
#include "store/share.h"
#include "store/value.h"

static const char drop_entry[] = "drop it";

/* ---- owners ---- */

enum owner { OWNER_NONE, OWNER_INODE, OWNER_OTHER };

/*
 * OWNER_OTHER: being deleted, about to be published, or of a row that cannot be read.
 * In the order in which a number moves from table to table.
 */
static int owner_of(struct store *st, uint64_t ino, struct buf *raw,
		    struct inode_row *ret_row, enum owner *ret_owner)
{
	static const enum table others[] = {TABLE_INTENT, TABLE_INODE, TABLE_GCQ};
	struct key key = key_ino(ino);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		int r = backend_get(st->be, others[i], key_slice(&key), raw);

		if (r == -ENOENT)
			continue;
		if (r && r != -EUCLEAN)
			return r;
		*ret_owner = OWNER_OTHER;
		if (others[i] == TABLE_INODE && !r &&
		    inode_decode(buf_slice(raw), ret_row) == 0 &&
		    ret_row->core.ino == ino)
			*ret_owner = OWNER_INODE;
		return 0;
	}
	*ret_owner = OWNER_NONE;
	return 0;
}

/* The row is still there: else what was found of it is of no account. */
static int still_there(struct check *c, enum table table, struct slice key,
		       struct fault *f)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	int r = f->what ? backend_get(c->st->be, table, key, &again) : 0;

	if (r == -ENOENT)
		f->what = NULL;
	return r == -ENOENT || r == -EUCLEAN ? 0 : r;
}

static int sums_key(struct slice key, uint64_t *ret_ino, uint32_t *ret_chunk)
{
	const uint8_t *p = key.data;

	if (key.len != 12 || key_ino_decode(slice(p, 8), ret_ino))
		return -EUCLEAN;
	*ret_chunk =
	    (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
	return 0;
}

/* Has an inode of that row such a row? */
static bool owns(const struct inode_row *row, enum table table, uint32_t chunk)
{
	switch (table) {
	case TABLE_SMALL:
		return row->core.layout == LAYOUT_SMALL;
	case TABLE_SUMS:
		return row->core.layout == LAYOUT_EXTENT &&
		       chunk < sums_chunks(row->core.size_bytes);
	case TABLE_UNSYNCED:
		return row->core.layout == LAYOUT_EXTENT;
	default:
		return true;
	}
}

static bool decodes(enum table table, struct slice raw)
{
	struct unsynced_row unsynced;
	struct heat_row heat;

	if (table == TABLE_UNSYNCED)
		return unsynced_decode(raw, &unsynced) == 0;
	return table != TABLE_HEAT || heat_decode(raw, &heat) == 0;
}

/* An extent that may not be on the disk: that it may be so is not forgotten. */
static void put_unsynced(struct fault *f, const struct inode_row *owner)
{
	const struct unsynced_row row = {.size_bytes = owner->core.size_bytes,
					 .published_ns = owner->core.created_ns};
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(owner->core.ino);

	fault_set(f, "the row of an extent to be synced is damaged",
		  "write the row anew");
	if (unsynced_encode(&row, &raw))
		f->fix.failed = true;
	else
		batch_put(&f->fix, TABLE_UNSYNCED, key_slice(&key), buf_slice(&raw));
}

int look_owned(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f)
{
	CLEANUP_BUF struct buf owner_raw = BUF_INIT;
	enum owner owner = OWNER_NONE;
	struct inode_row row;
	uint32_t chunk = 0;
	uint64_t ino = 0;
	int r;

	if (table == TABLE_SUMS ? sums_key(key, &ino, &chunk)
				: key_ino_decode(key, &ino)) {
		fault_delete(f, table, key, "a key is damaged");
		return 0;
	}
	r = owner_of(c->st, ino, &owner_raw, &row, &owner);
	if (r || owner == OWNER_OTHER)
		return r;
	f->ino = ino;
	if (owner == OWNER_NONE || !owns(&row, table, chunk))
		fault_delete(f, table, key, "a row belongs to nothing");
	else if (!decodes(table, raw) && table == TABLE_UNSYNCED)
		put_unsynced(f, &row);
	else if (!decodes(table, raw))
		fault_delete(f, table, key, "the count of its reads is damaged");
	return still_there(c, table, key, f);
}

int look_extent(struct check *c, uint64_t ino, struct fault *f)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	enum owner owner = OWNER_NONE;
	struct inode_row row;
	int fd, r;

	/* A value of this process has its extent before it has a row. */
	if (ino >= gc_ours_above(c->st) || resume_has(c->st, ino))
		return 0;
	r = owner_of(c->st, ino, &raw, &row, &owner);
	if (r || owner == OWNER_OTHER ||
	    (owner == OWNER_INODE && row.core.layout == LAYOUT_EXTENT))
		return r;
	r = backend_extent_open(c->st->be, ino, &fd);
	if (r)
		return r == -ENOENT ? 0 : r;
	close(fd);
	f->ino = ino;
	f->drop_extent = ino;
	fault_set(f, "an extent file belongs to nothing", "remove it");
	return 0;
}

/* ---- the content of an inode ---- */

static void bad_value(struct fault *f, const struct inode_row *row, const char *why)
{
	fault_set(f, why, drop_entry);
	f->branch = row->parent_branch;
	if (buf_set(&f->name, row->name.data, row->name.len))
		f->ino = row->core.ino;
	f->drop_ino = row->core.ino;
}

static int look_small(struct check *c, const struct inode_row *row, struct fault *f)
{
	CLEANUP_BUF struct buf data = BUF_INIT;
	const char *why = NULL;
	int r = value_load_small(c->st, row, &data, &why);

	if (r == -EUCLEAN)
		bad_value(f, row, why);
	return r == -EUCLEAN ? 0 : r;
}

static int look_sums(struct check *c, const struct inode_row *row, struct fault *f)
{
	CLEANUP_BUF struct buf sums = BUF_INIT;
	const char *why = NULL;
	int r = 0;

	for (uint64_t i = 0; !r && i < sums_chunks(row->core.size_bytes); i++)
		r = value_load_sums(c->st, &row->core, i, &sums, &why);
	if (r == -EUCLEAN)
		bad_value(f, row, why);
	return r == -EUCLEAN ? 0 : r;
}

static int look_shared(struct check *c, const struct inode_row *row, struct fault *f)
{
	struct share *share = NULL;
	const char *why = NULL;
	int r = share_open(c->st, row->core.ino, &share, &why);

	share_close(share);
	if (r == -EUCLEAN)
		bad_value(f, row, why);
	return r == -EUCLEAN ? 0 : r;
}

static int look_extent_file(struct check *c, const struct inode_row *row, struct fault *f)
{
	struct stat st;
	int fd, r;

	r = backend_extent_open(c->st->be, row->core.ino, &fd);
	if (r && r != -ENOENT)
		return r;
	if (r) {
		bad_value(f, row, "its extent file is missing");
		return 0;
	}
	r = fstat(fd, &st) ? -errno : 0;
	close(fd);
	if (!r && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != row->core.size_bytes))
		bad_value(f, row, "its extent file does not have its size");
	return r;
}

int look_value(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f)
{
	struct inode_row row;
	int r;

	if (inode_decode(raw, &row))
		return 0; /* look_inode() says so */
	if (row.core.layout == LAYOUT_SMALL)
		return look_small(c, &row, f);
	if (row.core.layout != LAYOUT_EXTENT)
		return 0;
	r = look_extent_file(c, &row, f);
	if (!r && !f->what)
		r = look_sums(c, &row, f);
	if (!r && !f->what && row.core.sealed)
		r = look_shared(c, &row, f);
	return r;
}

/* ---- what waits for something ---- */

int look_gcq(struct check *c, enum table table, struct slice key, struct slice raw,
	     struct fault *f)
{
	CLEANUP_BUF struct buf inode = BUF_INIT;
	struct gcq_row row;
	uint64_t ino;
	int r;

	if (key_ino_decode(key, &ino)) {
		fault_delete(f, table, key, "a key is damaged");
		return 0;
	}
	f->ino = ino;
	r = backend_get(c->st->be, TABLE_INODE, key, &inode);
	if (r == 0 || r == -EUCLEAN) {
		fault_delete(f, table, key, "it is queued for deletion, and has a name");
		return still_there(c, table, key, f);
	}
	if (r != -ENOENT)
		return r;
	if (gcq_decode(raw, &row)) {
		fault_set(f, "the row of a deletion is damaged",
			  "delete what has its number");
		f->reap_ino = ino; /* which knows what to do */
	}
	return still_there(c, table, key, f);
}

int look_intent(struct check *c, enum table table, struct slice key, struct slice raw,
		struct fault *f)
{
	struct inode_row row;
	uint64_t ino;

	if (key_ino_decode(key, &ino) || inode_decode(raw, &row) || row.core.ino != ino)
		fault_delete(f, table, key,
			     "the row of a value to be published is damaged");
	return still_there(c, table, key, f);
}

int look_lease(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f)
{
	struct lease_row row;
	struct slice name;

	if (key_dirent_decode(key, &f->branch, &name)) {
		f->branch = 0;
		fault_delete(f, table, key, "the key of a reservation is damaged");
	} else if (lease_decode(raw, &row)) {
		if (buf_set(&f->name, name.data, name.len))
			return -ENOMEM;
		fault_delete(f, table, key, "the row of its reservation is damaged");
	}
	return still_there(c, table, key, f);
}

/* ---- what trees have in common ---- */

static bool has_holder(const struct share_row *row, uint64_t holder)
{
	uint64_t holders[SHARE_HOLDERS_MAX];
	size_t n = share_holders(row, holders);

	for (size_t i = 0; i < n; i++)
		if (holders[i] == holder)
			return true;
	return false;
}

/* Each of its holders must know that it is read, or it would be deleted. */
static int look_holders(struct check *c, uint64_t tree, const struct share_row *row,
			struct fault *f)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	uint64_t holders[SHARE_HOLDERS_MAX];
	size_t n = share_holders(row, holders);

	for (size_t i = 0; i < n; i++) {
		struct key key = key_share_use(holders[i], tree);
		int r = backend_get(c->st->be, TABLE_SHARE, key_slice(&key), &raw);

		if (r && r != -ENOENT)
			return r;
		if (!r)
			continue;
		fault_set(f, "it reads from a tree that does not know of it",
			  "write the row anew");
		batch_put(&f->fix, TABLE_SHARE, key_slice(&key), slice("", 0));
	}
	return 0;
}

static int look_share_tree(struct check *c, struct slice key, struct slice raw,
			   uint64_t tree, struct fault *f)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	CLEANUP_BUF struct buf owner_raw = BUF_INIT;
	enum owner owner = OWNER_NONE;
	struct inode_row inode;
	int r;

	r = owner_of(c->st, tree, &owner_raw, &inode, &owner);
	if (r)
		return r;
	if (owner == OWNER_NONE) {
		fault_delete(f, TABLE_SHARE, key, "a row belongs to nothing");
		return 0;
	}
	r = share_decode(raw, &row);
	if (r == -EUCLEAN && owner == OWNER_INODE) /* look_value() has said so */
		return 0;
	if (r == -EUCLEAN) {
		fault_delete(f, TABLE_SHARE, key,
			     "the row of its shared contents is damaged");
		return 0;
	}
	return r ? r : look_holders(c, tree, &row, f);
}

static int look_use(struct check *c, struct slice key, uint64_t holder, uint64_t tree,
		    struct fault *f)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key tree_key = key_share(tree);
	int r = backend_get(c->st->be, TABLE_SHARE, key_slice(&tree_key), &raw);

	if (!r)
		r = share_decode(buf_slice(&raw), &row);
	if (r == -EUCLEAN || (!r && has_holder(&row, holder)))
		return 0;
	if (r && r != -ENOENT)
		return r;
	fault_delete(f, TABLE_SHARE, key,
		     "it is said to be read by a tree that does not");
	f->reap_ino = holder; /* it may have waited for that */
	return 0;
}

static int look_todo(struct check *c, struct slice key, struct slice raw, uint64_t tree,
		     struct fault *f)
{
	CLEANUP_BUF struct buf owner_raw = BUF_INIT;
	enum owner owner = OWNER_NONE;
	struct inode_row inode;
	struct todo_row todo;
	int r = owner_of(c->st, tree, &owner_raw, &inode, &owner);

	if (!r && (owner == OWNER_NONE || todo_decode(raw, &todo)))
		fault_delete(f, TABLE_SHARE, key,
			     "the row of a tree to be compared is damaged");
	return r;
}

int look_share(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f)
{
	const uint8_t *p = key.data;
	uint64_t first = 0, second = 0;
	int r = 0;

	if ((key.len != 9 && key.len != 17) || key_ino_decode(slice(p + 1, 8), &first) ||
	    (key.len == 17 && key_ino_decode(slice(p + 9, 8), &second))) {
		fault_delete(f, table, key, "a key is damaged");
		return 0;
	}
	f->ino = first;
	if (*p == 's' && key.len == 9)
		r = look_share_tree(c, key, raw, first, f);
	else if (*p == 'r' && key.len == 17)
		r = look_use(c, key, first, second, f);
	else if (*p == 'q' && key.len == 9)
		r = look_todo(c, key, raw, first, f);
	else
		fault_delete(f, table, key, "a key is damaged");
	return r ? r : still_there(c, table, key, f);
}

int look_same(struct check *c, enum table table, struct slice key, struct slice raw,
	      struct fault *f)
{
	CLEANUP_BUF struct buf owner_raw = BUF_INIT;
	enum owner owner = OWNER_NONE;
	struct inode_row inode;
	struct same_row row;
	int r;

	if (key.len != 8 + PACK_HASH_BYTES || same_decode(raw, &row)) {
		fault_delete(f, table, key, "the row of a content of a tree is damaged");
		return still_there(c, table, key, f);
	}
	r = owner_of(c->st, row.holder, &owner_raw, &inode, &owner);
	if (!r && owner == OWNER_NONE)
		fault_delete(f, table, key, "a content of a tree is nowhere");
	return r ? r : still_there(c, table, key, f);
}
