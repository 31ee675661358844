/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Not every file is looked up. What is given back is whole pages of the disk, and
 * trees that are alike have long runs in common: so files of a page or more are, and
 * of the small ones every eighth, chosen by its hash, so that all trees choose the
 * same. From each that is found the run is extended in both directions, over files,
 * the gaps between them and whatever there is, as far as the bytes are equal. Two
 * equal trees are found by one look-up.
 *
 * Rows say where to look and nothing more: what counts is the comparison with bytes
 * that are in the other's own extent. So a row may be out of date.
 */
#include "store/same.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/content.h"
#include "store/room.h"
#include "store/share.h"
#include "store/util/pack.h"

#define PAGE_BYTES 4096
#define LOOKUP_MIN_BYTES 256 /* of a small file that is looked up */
#define LOOKUP_SMALL_PART 8  /* one in so many */
/* A part costs a read of its own when a block is read; so it must be worth it. */
#define PART_MIN_BYTES (2 * PAGE_BYTES)
#define COMPARE_BYTES (256 * 1024)
#define STEP_BYTES (16 * 1024)
#define BATCH_ROWS 1024
#define ROW_DISK_BYTES 256 /* generously: in the database's log, a table, another */

/* A tree whose bytes are wanted, or that has them. */
struct tree {
	uint64_t ino;
	int fd; /* of its own extent */
	uint64_t size_bytes;
	struct share_row row; /* what is not in it; of a holder */
};

/* A content that is looked up. */
struct anchor {
	uint64_t off;
	uint32_t entry;
};

struct search {
	struct store *st;
	uint64_t ns;
	const atomic_bool *stop; /* NULL: never */
	struct tree self;
	struct pack pack;
	struct buf anchors; /* by their place, each place once */

	struct tree holders[SHARE_HOLDERS_MAX];
	size_t n_holders;
	uint8_t *mine, *theirs; /* COMPARE_BYTES each */
	uint64_t done_off;	/* what is before is decided */
	struct buf *parts;	/* the caller's */
};

/* ---- trees ---- */

static int tree_open(struct store *st, uint64_t ino, struct tree *ret_tree)
{
	struct stat sb;
	int fd, r;

	r = backend_extent_open(st->be, ino, &fd);
	if (r)
		return r;
	if (fstat(fd, &sb)) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_tree =
	    (struct tree){.ino = ino, .fd = fd, .size_bytes = (uint64_t)sb.st_size};
	return 0;
}

static void tree_close(struct tree *t)
{
	if (t->fd >= 0)
		close(t->fd);
	share_row_deinit(&t->row);
}

static int read_exact(int fd, void *data, size_t len, uint64_t off)
{
	size_t n;
	int r = file_read(fd, data, len, off, &n);

	return !r && n < len ? -EUCLEAN : r;
}

static int read_source(void *arg, void *data, size_t len, uint64_t off)
{
	return read_exact(((const struct tree *)arg)->fd, data, len, off);
}

/* The index is never shared. -EUCLEAN: also when the disk cannot read it. */
static int load_pack(struct tree *t, struct pack *ret_pack)
{
	const struct pack_source src = {
	    .read = read_source, .arg = t, .size_bytes = t->size_bytes};
	int r = pack_read(&src, ret_pack, NULL, NULL);

	return r == -EBADMSG || r == -EIO ? -EUCLEAN : r;
}

/* ---- anchors ---- */

static bool is_looked_up(const struct pack_entry *entry)
{
	return entry->type == PACK_FILE && (entry->size_bytes >= PAGE_BYTES ||
					    (entry->size_bytes >= LOOKUP_MIN_BYTES &&
					     entry->hash[0] % LOOKUP_SMALL_PART == 0));
}

static int by_off(const void *a, const void *b)
{
	const struct anchor *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

static size_t anchors_count(const struct search *s)
{
	return s->anchors.len / sizeof(struct anchor);
}

static struct anchor anchor_at(const struct search *s, size_t i)
{
	struct anchor anchor;

	memcpy(&anchor, s->anchors.data + i * sizeof(anchor), sizeof(anchor));
	return anchor;
}

/* Contents that are there once for several files are looked up once. */
static void drop_repeated(struct search *s)
{
	size_t n = anchors_count(s), kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct anchor anchor = anchor_at(s, i);

		if (kept && anchor_at(s, kept - 1).off == anchor.off)
			continue;
		memcpy(s->anchors.data + kept++ * sizeof(anchor), &anchor,
		       sizeof(anchor));
	}
	s->anchors.len = kept * sizeof(struct anchor);
}

static int load_anchors(struct search *s)
{
	for (uint32_t i = 0; i < pack_entries(&s->pack); i++) {
		struct pack_entry entry;
		struct anchor anchor = {.entry = i};

		pack_get(&s->pack, i, &entry);
		anchor.off = entry.off;
		if (is_looked_up(&entry) &&
		    buf_append(&s->anchors, &anchor, sizeof(anchor)))
			return -ENOMEM;
	}
	if (s->anchors.len)
		qsort(s->anchors.data, anchors_count(s), sizeof(struct anchor), by_off);
	drop_repeated(s);
	return 0;
}

static void search_deinit(struct search *s)
{
	tree_close(&s->self);
	pack_deinit(&s->pack);
	buf_deinit(&s->anchors);
	for (size_t i = 0; i < s->n_holders; i++)
		tree_close(&s->holders[i]);
	free(s->mine);
	free(s->theirs);
}
#define CLEANUP_SEARCH __attribute__((cleanup(search_deinit)))
#define SEARCH_INIT ((struct search){.self = {.fd = -1}})

static int search_begin(struct search *s, struct store *st, uint64_t ino, uint64_t ns,
			const atomic_bool *stop)
{
	int r;

	s->st = st;
	s->ns = ns;
	s->stop = stop;
	r = tree_open(st, ino, &s->self);
	if (r) {
		s->self.fd = -1;
		return r == -ENOENT ? -EUCLEAN : r;
	}
	r = load_pack(&s->self, &s->pack);
	return r ? r : load_anchors(s);
}

static bool is_stopped(const struct search *s)
{
	return s->stop && atomic_load(s->stop);
}

/* ---- rows ---- */

static int same_load(struct search *s, const uint8_t hash[PACK_HASH_BYTES],
		     struct same_row *ret_row)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_same(s->ns, hash);
	int r = backend_get(s->st->be, TABLE_SAME, key_slice(&key), &raw);

	if (!r)
		r = same_decode(buf_slice(&raw), ret_row);
	/* A row that cannot be read leads nowhere, and is written anew. */
	return r == -EUCLEAN ? -ENOENT : r;
}

int same_in_use(struct store *st, uint64_t ino, bool *ret_used)
{
	struct key key = key_share_use(ino, 0), end = key_share_use(ino + 1, 0);
	struct backend_iter *it;
	int r;

	r = backend_iter_new_until(st->be, TABLE_SHARE, key_slice(&end), &it);
	if (r)
		return r;
	backend_iter_seek(it, key_slice(&key));
	if (backend_iter_valid(it))
		*ret_used = true;
	else
		r = backend_iter_status(it);
	if (!r && !backend_iter_valid(it))
		*ret_used = false;
	backend_iter_free(it);
	return r;
}

/*
 * Will the extent stay? It has a name, or another tree has kept it. One that has just
 * lost its name goes as soon as nobody has it open.
 */
static int is_staying(struct store *st, uint64_t ino, bool *ret_staying)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r = inode_load(st, ino, &in);

	*ret_staying = !r;
	if (r == -ENOENT || r == -EUCLEAN)
		r = same_in_use(st, ino, ret_staying);
	return r;
}

/* ---- holders ---- */

/* -ENOENT: it is of no use. */
static int holder_open(struct search *s, uint64_t ino, struct tree *ret_tree)
{
	bool staying;
	int r;

	if (ino == s->self.ino)
		return -ENOENT;
	r = is_staying(s->st, ino, &staying);
	if (!r && !staying)
		r = -ENOENT;
	if (!r)
		r = tree_open(s->st, ino, ret_tree);
	if (r)
		return r;
	r = share_load(s->st, ino, &ret_tree->row);
	if (r)
		tree_close(ret_tree);
	return r == -EUCLEAN ? -ENOENT : r;
}

static int holder_get(struct search *s, uint64_t ino, struct tree **ret_holder)
{
	int r;

	for (size_t i = 0; i < s->n_holders; i++) {
		if (s->holders[i].ino == ino) {
			*ret_holder = &s->holders[i];
			return 0;
		}
	}
	if (s->n_holders == SHARE_HOLDERS_MAX)
		return -ENOENT;
	r = holder_open(s, ino, &s->holders[s->n_holders]);
	if (!r)
		*ret_holder = &s->holders[s->n_holders++];
	return r;
}

/* What is around `off` in the holder's own extent; empty when it is elsewhere. */
static void own_window(const struct tree *holder, uint64_t off, uint64_t *ret_low,
		       uint64_t *ret_high)
{
	const struct buf *parts = &holder->row.parts;
	size_t i = share_part_after(parts, off);
	struct share_part part;

	*ret_low = 0;
	*ret_high = holder->size_bytes;
	if (i) {
		part = share_part_at(parts, i - 1);
		*ret_low = part.off + part.len;
	}
	if (i < share_parts(&holder->row))
		*ret_high = share_part_at(parts, i).off;
}

/* ---- comparing ---- */

/* How many bytes from the beginning are equal. */
static size_t equal_first(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;

	if (!memcmp(a, b, len))
		return len;
	while (a[n] == b[n])
		n++;
	return n;
}

/* And from the end. */
static size_t equal_last(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;

	if (!memcmp(a, b, len))
		return len;
	while (a[len - 1 - n] == b[len - 1 - n])
		n++;
	return n;
}

/* What cannot be read is not equal. */
static int read_both(struct search *s, const struct tree *holder, uint64_t off,
		     uint64_t holder_off, size_t len, bool *ret_read)
{
	int r = read_exact(s->self.fd, s->mine, len, off);

	if (!r)
		r = read_exact(holder->fd, s->theirs, len, holder_off);
	*ret_read = !r;
	return r == -EUCLEAN || r == -EIO ? 0 : r;
}

/* Begins with little: often a single file is equal. */
static size_t next_step(size_t step)
{
	return step < COMPARE_BYTES ? 4 * step : COMPARE_BYTES;
}

/* How many of the `max` bytes behind the two places are equal. */
static int compare_forward(struct search *s, const struct tree *holder, uint64_t off,
			   uint64_t holder_off, uint64_t max, uint64_t *ret_len)
{
	size_t step = STEP_BYTES;
	uint64_t done = 0;

	for (; done < max && !is_stopped(s); step = next_step(step)) {
		uint64_t left = max - done;
		size_t len = left < step ? (size_t)left : step, n;
		bool read;
		int r = read_both(s, holder, off + done, holder_off + done, len, &read);

		if (r)
			return r;
		if (!read)
			break;
		n = equal_first(s->mine, s->theirs, len);
		done += n;
		if (n < len)
			break;
	}
	*ret_len = done;
	return 0;
}

/* The same before them. */
static int compare_backward(struct search *s, const struct tree *holder, uint64_t off,
			    uint64_t holder_off, uint64_t max, uint64_t *ret_len)
{
	size_t step = STEP_BYTES;
	uint64_t done = 0;

	for (; done < max; step = next_step(step)) {
		uint64_t left = max - done;
		size_t len = left < step ? (size_t)left : step, n;
		bool read;
		int r = read_both(s, holder, off - done - len, holder_off - done - len,
				  len, &read);

		if (r)
			return r;
		if (!read)
			break;
		n = equal_last(s->mine, s->theirs, len);
		done += n;
		if (n < len)
			break;
	}
	*ret_len = done;
	return 0;
}

/* ---- finding ---- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Of the run, the whole pages. */
static int add_part(struct search *s, const struct tree *holder, uint64_t off,
		    uint64_t end, uint64_t holder_off)
{
	uint64_t first = (off + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	uint64_t last = end / PAGE_BYTES * PAGE_BYTES;
	struct share_part part = {.off = first,
				  .len = last - first,
				  .holder = holder->ino,
				  .holder_off = holder_off + (first - off)};

	if (last < first + PART_MIN_BYTES ||
	    s->parts->len / sizeof(part) == SHARE_PARTS_MAX)
		return 0;
	return buf_append(s->parts, &part, sizeof(part));
}

/* The contents at both places are said to be equal, and this long. */
static int extend(struct search *s, const struct tree *holder,
		  const struct anchor *anchor, const struct same_row *row)
{
	uint64_t end = s->pack.trailer.index_off, low, high, before, after;
	int r;

	own_window(holder, row->off, &low, &high);
	if (row->off < low || row->off >= high || row->size_bytes > high - row->off)
		return 0;
	r = compare_forward(s, holder, anchor->off, row->off,
			    min_u64(end - anchor->off, high - row->off), &after);
	if (r || after < row->size_bytes)
		return r;
	r = compare_backward(s, holder, anchor->off, row->off,
			     min_u64(anchor->off - s->done_off, row->off - low), &before);
	if (r)
		return r;
	s->done_off = anchor->off + after;
	return add_part(s, holder, anchor->off - before, s->done_off, row->off - before);
}

static int look_up(struct search *s, const struct anchor *anchor)
{
	struct pack_entry entry;
	struct tree *holder;
	struct same_row row;
	int r;

	pack_get(&s->pack, anchor->entry, &entry);
	r = same_load(s, entry.hash, &row);
	if (!r && row.size_bytes != entry.size_bytes)
		r = -ENOENT;
	if (!r)
		r = holder_get(s, row.holder, &holder);
	if (r)
		return r == -ENOENT ? 0 : r;
	return extend(s, holder, anchor, &row);
}

/* What is read from them must not be lost when the own copy is given back. */
static int sync_holders(struct search *s)
{
	for (size_t i = 0; i < s->n_holders; i++)
		if (fdatasync(s->holders[i].fd))
			return -errno;
	return s->n_holders ? backend_extent_sync_dir(s->st->be) : 0;
}

int same_find(struct store *st, uint64_t ino, uint64_t ns, const atomic_bool *stop,
	      struct buf *ret_parts)
{
	CLEANUP_SEARCH struct search s = SEARCH_INIT;
	int r = search_begin(&s, st, ino, ns, stop);

	if (r)
		return r;
	s.parts = ret_parts;
	s.mine = malloc(COMPARE_BYTES);
	s.theirs = malloc(COMPARE_BYTES);
	if (!s.mine || !s.theirs)
		return -ENOMEM;
	for (size_t i = 0; !r && i < anchors_count(&s) && !is_stopped(&s); i++) {
		struct anchor anchor = anchor_at(&s, i);

		if (anchor.off >= s.done_off)
			r = look_up(&s, &anchor);
	}
	if (!r && is_stopped(&s))
		r = -ECANCELED;
	return r ? r : sync_holders(&s);
}

/* ---- offering and withdrawing ---- */

static bool overlaps(const struct share_row *row, uint64_t off, uint64_t len)
{
	size_t i = share_part_after(&row->parts, off);

	return i < share_parts(row) && share_part_at(&row->parts, i).off < off + len;
}

/* Nobody has said that he holds it, or nobody whose word is good. */
static int is_wanted(struct search *s, const struct pack_entry *entry, bool *ret_wanted)
{
	struct same_row row;
	bool staying = false;
	int r = same_load(s, entry->hash, &row);

	if (!r && row.holder != s->self.ino)
		r = is_staying(s->st, row.holder, &staying);
	else if (!r)
		staying = true;
	if (r && r != -ENOENT)
		return r;
	*ret_wanted = !staying;
	return 0;
}

static int put_same(struct search *s, struct batch *b, const struct pack_entry *entry)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_same(s->ns, entry->hash);
	struct same_row row = {
	    .holder = s->self.ino, .off = entry->off, .size_bytes = entry->size_bytes};

	if (same_encode(&row, &raw))
		return -ENOMEM;
	batch_put(b, TABLE_SAME, key_slice(&key), buf_slice(&raw));
	return 0;
}

/* Commit what there is, when it is much. */
static int commit_some(struct store *st, struct batch *b)
{
	int r;

	if (b->count < BATCH_ROWS)
		return 0;
	r = backend_commit(st->be, b);
	batch_clear(b);
	return r;
}

/* Not in what is kept free; what is not offered is stored twice, and that is all. */
static bool has_room(struct search *s, const struct batch *b)
{
	return room_is_there(s->st, (uint64_t)b->count * ROW_DISK_BYTES);
}

int same_offer(struct store *st, uint64_t ino, const struct share_row *row,
	       const atomic_bool *stop)
{
	CLEANUP_SEARCH struct search s = SEARCH_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r = search_begin(&s, st, ino, row->ns, stop);

	for (size_t i = 0; !r && i < anchors_count(&s); i++) {
		struct pack_entry entry;
		bool wanted = false;

		pack_get(&s.pack, anchor_at(&s, i).entry, &entry);
		if (!overlaps(row, entry.off, entry.size_bytes))
			r = is_wanted(&s, &entry, &wanted);
		if (!r && wanted)
			r = put_same(&s, &b, &entry);
		if (!r && b.count >= BATCH_ROWS && !has_room(&s, &b))
			return 0;
		if (!r)
			r = commit_some(st, &b);
		if (!r && is_stopped(&s))
			r = -ECANCELED;
	}
	if (r || !has_room(&s, &b))
		return r;
	return backend_commit(st->be, &b);
}

static void withdraw_row(struct batch *b, const struct backend_iter *it, uint64_t ino)
{
	struct same_row row;

	if (!same_decode(backend_iter_value(it), &row) && row.holder == ino)
		batch_del(b, TABLE_SAME, backend_iter_key(it));
}

/* Its index cannot be read any more, as after a power loss: what it has offered is looked
 * for among all that there is. */
static int withdraw_unread(struct store *st, uint64_t ino, uint64_t ns)
{
	static const uint8_t least[PACK_HASH_BYTES];
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key key = key_same(ns, least), end = key_same(ns + 1, least);
	struct backend_iter *it;
	int r = backend_iter_new_until(st->be, TABLE_SAME, key_slice(&end), &it);

	if (r)
		return r;
	backend_iter_seek(it, key_slice(&key));
	for (; !r && backend_iter_valid(it); backend_iter_next(it)) {
		withdraw_row(&b, it, ino);
		r = commit_some(st, &b);
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r ? r : backend_commit(st->be, &b);
}

static int withdraw_read(struct store *st, uint64_t ino, uint64_t ns)
{
	CLEANUP_SEARCH struct search s = SEARCH_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r = search_begin(&s, st, ino, ns, NULL);

	for (size_t i = 0; !r && i < anchors_count(&s); i++) {
		struct pack_entry entry;
		struct same_row row;

		pack_get(&s.pack, anchor_at(&s, i).entry, &entry);
		r = same_load(&s, entry.hash, &row);
		if (!r && row.holder == ino) {
			struct key key = key_same(ns, entry.hash);

			batch_del(&b, TABLE_SAME, key_slice(&key));
		}
		if (r == -ENOENT)
			r = 0;
		if (!r)
			r = commit_some(st, &b);
	}
	return r ? r : backend_commit(st->be, &b);
}

int same_withdraw(struct store *st, uint64_t ino, uint64_t ns)
{
	int r = withdraw_read(st, ino, ns);

	return r == -EUCLEAN ? withdraw_unread(st, ino, ns) : r;
}
