/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over all tables, has each row judged, and repairs.
 *
 * A row is judged twice: first without a lock, as it was when the walk came by; if
 * something seems wrong, again under `names`, as it is then. What is found in that
 * second look is a fault, and its repair is committed under the same lock.
 *
 * Branches go first, then names, then inodes, then what inodes own, so that what one
 * repair leaves behind is found later in the same check. The counters are compared
 * with the inodes of one moment: the moment in which both iterators are made, under
 * `names`. Since they are corrected by an addition, they may change meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/check_parts.h"
#include "store/gc.h"
#include "store/share.h"
#include "store/stage.h"
#include "store/util/log.h"
#include "store/util/text.h"

#define PROGRESS_ROWS 256
#define CONTENT_ROWS 512   /* inodes of one iterator */
#define PATH_DEPTH_MAX 128 /* of what a line shows */
#define STRAY_DIR "lost+found"

void fault_deinit(struct fault *f)
{
	buf_deinit(&f->name);
	batch_deinit(&f->fix);
	*f = FAULT_INIT;
}

void fault_delete(struct fault *f, enum table table, struct slice key, const char *what)
{
	fault_set(f, what, "delete the row");
	batch_del(&f->fix, table, key);
}

/* ---- where it is ---- */

/* Put "/name" before what is there. */
static int prepend(struct buf *path, struct slice name)
{
	CLEANUP_BUF struct buf joined = BUF_INIT;
	struct buf was = *path;

	if (name_is_stage(name))
		name = slice_str(STAGE_NAME "/stage");
	if (buf_append(&joined, "/", 1) || buf_append(&joined, name.data, name.len) ||
	    buf_append(&joined, path->data, path->len))
		return -ENOMEM;
	*path = joined;
	joined = was;
	return 0;
}

/* The directory of a branch, with its version put before the path. -ENOENT. */
static int prepend_version(struct store *st, uint64_t branch, struct inode *dir,
			   struct buf *path)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	uint64_t dir_ino;
	int r = inode_load(st, branch, dir);

	if (r != -ENOENT)
		return r;
	r = branch_owner_load(st, branch, &dir_ino, &version);
	if (!r)
		r = prepend(path, buf_slice(&version));
	if (!r)
		r = prepend(path, slice_str(".memofs/versions"));
	return r ? r : inode_load(st, dir_ino, dir);
}

void check_path(struct store *st, uint64_t branch, struct slice name,
		struct buf *ret_path)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	bool whole = false;
	int r = prepend(&path, name);

	for (unsigned int depth = 0; !r && !whole && depth < PATH_DEPTH_MAX; depth++) {
		CLEANUP_INODE struct inode dir = INODE_INIT;

		r = prepend_version(st, branch, &dir, &path);
		whole = !r && !dir.row.parent_branch;
		if (!r && !whole)
			r = prepend(&path, dir.row.name);
		branch = dir.row.parent_branch;
	}
	if (!whole) /* as far as it can be followed */
		(void)prepend(&path, slice("...", 3));
	(void)buf_append(ret_path, path.data, path.len);
}

void check_ino_path(struct store *st, uint64_t ino, struct buf *ret_path)
{
	CLEANUP_INODE struct inode in = INODE_INIT;

	if (ino == STORE_ROOT_INO)
		(void)buf_append(ret_path, "/", 1);
	else if (inode_load(st, ino, &in) == 0)
		check_path(st, in.row.parent_branch, in.row.name, ret_path);
	else
		(void)buf_printf(ret_path, "inode %" PRIu64, ino);
}

static void describe(struct check *c, const struct fault *f, struct buf *out)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	char shown[1024];

	if (f->name.len)
		check_path(c->st, f->branch, buf_slice(&f->name), &path);
	else if (f->ino)
		check_ino_path(c->st, f->ino, &path);
	if (path.len) {
		text_escape(shown, sizeof(shown), (const char *)path.data, path.len);
		(void)buf_printf(out, "%s: ", shown);
	}
	(void)buf_printf(out, "%s", f->what);
}

/* ---- telling ---- */

static void tell_line(struct check *c, const char *line)
{
	c->result.found++;
	if (c->opt->found)
		c->opt->found(c->opt->arg, line);
}

/* `where_what` was described before the repair, while there was something to describe. */
static void tell(struct check *c, const struct buf *where_what, const char *repair,
		 int repaired)
{
	CLEANUP_BUF struct buf line = BUF_INIT;

	(void)buf_append(&line, where_what->data, where_what->len);
	if (!c->opt->repair)
		(void)buf_printf(&line, "; repair would %s", repair);
	else if (repaired == 0)
		(void)buf_printf(&line, "; repaired: %s", repair);
	else
		(void)buf_printf(&line, "; could not %s: %s", repair,
				 strerror(-repaired));
	(void)buf_append(&line, "", 1);
	if (c->opt->repair)
		log_warning("%s: check: %s", c->st->path, (const char *)line.data);
	if (c->opt->repair && !repaired)
		c->result.repaired++;
	tell_line(c, line.data ? (const char *)line.data : "out of memory");
}

static bool is_stopped(const struct check *c)
{
	return c->opt->stop && atomic_load(c->opt->stop);
}

static void show_progress(struct check *c)
{
	struct store_check_progress *p = &c->progress;

	p->rows = c->result.rows;
	p->bytes = c->result.bytes;
	if (p->rows_total < p->rows)
		p->rows_total = p->rows;
	if (p->bytes_total < p->bytes)
		p->bytes_total = p->bytes;
	if (c->opt->progress)
		c->opt->progress(c->opt->arg, p);
}

static int row_done(struct check *c)
{
	if (++c->result.rows % PROGRESS_ROWS == 0)
		show_progress(c);
	return is_stopped(c) ? -ECANCELED : 0;
}

/* ---- repair ---- */

static int commit_fix(struct check *c, struct fault *f)
{
	int r = f->fix.count || f->fix.failed ? store_commit(c->st, &f->fix) : 0;

	if (!r && f->fix_dirs)
		policy_changed(c->st);
	return r;
}

/* What is done without `names`. */
static int repair_after(struct check *c, const struct fault *f)
{
	int r = 0;

	if (f->drop_ino)
		r = name_drop_ino(c->st, f->drop_ino);
	if (!r && f->drop_extent)
		r = backend_extent_remove(c->st->be, f->drop_extent);
	if (f->reap_ino)
		gc_reap(c->st, f->reap_ino);
	return r;
}

/* It was seen twice, and the second time is now, under `names`. */
static int confirmed(struct check *c, struct fault *f, struct buf *ret_text)
{
	describe(c, f, ret_text);
	return c->opt->repair ? commit_fix(c, f) : 0;
}

int check_fault(struct check *c, struct fault *f)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r;

	pthread_mutex_lock(&c->st->names);
	r = confirmed(c, f, &text);
	pthread_mutex_unlock(&c->st->names);
	if (!r && c->opt->repair)
		r = repair_after(c, f);
	tell(c, &text, f->repair, r);
	return r == -ENOMEM ? r : 0;
}

/* The row as it is under the lock. */
static int look_again(struct check *c, enum table table, struct slice key,
		      check_look look, struct fault *f, struct buf *text)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&c->st->names);
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = backend_get(c->st->be, table, key, &raw);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = look(c, table, key, buf_slice(&raw), f);
	return r || !f->what ? r : confirmed(c, f, text);
}

static int look_twice(struct check *c, enum table table, struct slice key,
		      struct slice raw, check_look look)
{
	CLEANUP_FAULT struct fault first = FAULT_INIT;
	CLEANUP_FAULT struct fault f = FAULT_INIT;
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = look(c, table, key, raw, &first);

	if (r || !first.what)
		return r == -EUCLEAN ? 0 : r; /* another row, which has its own line */
	r = look_again(c, table, key, look, &f, &text);
	if (!f.what)
		return r == -EUCLEAN ? 0 : r;
	if (!r && c->opt->repair)
		r = repair_after(c, &f);
	tell(c, &text, f.repair, r);
	return r == -ENOMEM ? r : 0;
}

/* ---- tables ---- */

static int each_row(struct check *c, enum table table, struct slice key,
		    struct slice raw);

/* Part of the database cannot be read: no repair of rows mends that. */
static void tell_unreadable(struct check *c, enum table table)
{
	CLEANUP_BUF struct buf line = BUF_INIT;

	c->result.unreadable++;
	if (buf_printf(
		&line,
		"the table \"%s\": a part of the database cannot be read; unmount, "
		"and `memofs check --repair --database %s` makes it anew",
		table_name(table), c->st->path) ||
	    buf_append(&line, "", 1))
		return;
	log_error("%s: check: %s", c->st->path, (const char *)line.data);
	tell_line(c, (const char *)line.data);
}

static int walk_rows(struct check *c, enum table table, struct backend_iter *it)
{
	int r = 0;

	for (backend_iter_seek(it, slice("", 0)); !r && backend_iter_valid(it);
	     backend_iter_next(it)) {
		r = each_row(c, table, backend_iter_key(it), backend_iter_value(it));
		if (!r)
			r = row_done(c);
	}
	if (r)
		return r;
	r = backend_iter_status(it);
	if (r == -EUCLEAN || r == -EIO) {
		tell_unreadable(c, table);
		r = 0;
	}
	return r;
}

static int walk_table(struct check *c, enum table table)
{
	struct backend_iter *it;
	int r = backend_iter_new(c->st->be, table, &it);

	if (r)
		return r;
	r = walk_rows(c, table, it);
	backend_iter_free(it);
	return r;
}

static int each_name(struct check *c, enum table table, struct slice key,
		     struct slice raw)
{
	struct slice name;
	uint64_t branch;
	int r = 0;

	if (key_dirent_decode(key, &branch, &name) == 0 && branch != c->branch) {
		c->branch = branch;
		r = look_twice(c, table, key, raw, look_place);
	}
	return r ? r : look_twice(c, table, key, raw, look_name);
}

/* What is damaged goes without being counted. */
static void add_to_sums(struct check *c, struct slice key, struct slice raw)
{
	struct inode_row row;
	uint64_t ino;

	if (key_ino_decode(key, &ino) || inode_decode(raw, &row) || row.core.ino != ino)
		return;
	if (S_ISDIR(row.core.mode))
		c->sums.dirs++;
	else
		c->sums.entries++;
	c->sums.bytes += row.core.size_bytes;
	c->sums.used += core_charge(&row.core);
}

static int each_inode(struct check *c, enum table table, struct slice key,
		      struct slice raw)
{
	uint64_t found = c->result.found;
	int r;

	add_to_sums(c, key, raw);
	r = look_twice(c, table, key, raw, look_inode);
	/* What was just dropped need not have a content. */
	return r || c->result.found != found ? r
					     : look_twice(c, table, key, raw, look_value);
}

static int each_row(struct check *c, enum table table, struct slice key, struct slice raw)
{
	static const check_look looks[TABLE_COUNT] = {
	    [TABLE_BRANCH] = look_branch, [TABLE_SMALL] = look_owned,
	    [TABLE_SUMS] = look_owned,	  [TABLE_UNSYNCED] = look_owned,
	    [TABLE_HEAT] = look_owned,	  [TABLE_GCQ] = look_gcq,
	    [TABLE_INTENT] = look_intent, [TABLE_LEASE] = look_lease,
	    [TABLE_SHARE] = look_share,	  [TABLE_SAME] = look_same,
	};

	if (table == TABLE_DIRENT)
		return each_name(c, table, key, raw);
	if (table == TABLE_INODE)
		return each_inode(c, table, key, raw);
	/* Of others it is enough that they can be read. */
	return looks[table] ? look_twice(c, table, key, raw, looks[table]) : 0;
}

/* ---- counters ---- */

struct counter {
	const char *name;
	uint64_t stored, sum;
	bool damaged;
};

/* Under `names`. */
static int counter_read(struct check *c, struct counter *counter)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = backend_get(c->st->be, TABLE_COUNTER, slice_str(counter->name), &raw);

	if (!r)
		r = u64_decode(buf_slice(&raw), &counter->stored);
	counter->damaged = r == -EUCLEAN;
	return r == -ENOENT || r == -EUCLEAN ? 0 : r;
}

static int counter_check(struct check *c, const struct counter *counter)
{
	CLEANUP_FAULT struct fault f = FAULT_INIT;
	CLEANUP_BUF struct buf what = BUF_INIT;

	if (!counter->damaged && counter->stored == counter->sum)
		return 0;
	if (buf_printf(&what,
		       "the counter \"%s\" says %" PRIu64 ", and there are %" PRIu64,
		       counter->name, counter->stored, counter->sum) ||
	    buf_append(&what, "", 1))
		return -ENOMEM;
	fault_set(&f, (const char *)what.data, "set it right");
	if (counter->damaged)
		batch_del(&f.fix, TABLE_COUNTER, slice_str(counter->name));
	batch_add(&f.fix, slice_str(counter->name),
		  (int64_t)(counter->sum - (counter->damaged ? 0 : counter->stored)));
	return check_fault(c, &f);
}

enum { ENTRIES, DIRS, BYTES, USED, COUNTERS };

/* Counters and inodes of the same moment. */
static int open_inodes(struct check *c, struct counter counters[COUNTERS],
		       struct backend_iter **ret_it)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&c->st->names);
	int r = 0;

	for (size_t i = 0; !r && i < COUNTERS; i++)
		r = counter_read(c, &counters[i]);
	return r ? r : backend_iter_new(c->st->be, TABLE_INODE, ret_it);
}

static int check_inodes(struct check *c)
{
	struct counter counters[COUNTERS] = {[ENTRIES] = {"entries"},
					     [DIRS] = {"dirs"},
					     [BYTES] = {"bytes"},
					     [USED] = {"used"}};
	uint64_t unreadable = c->result.unreadable;
	struct backend_iter *it;
	int r = open_inodes(c, counters, &it);

	if (r)
		return r;
	r = walk_rows(c, TABLE_INODE, it);
	backend_iter_free(it);
	if (r || c->result.unreadable != unreadable)
		return r;
	counters[ENTRIES].sum = c->sums.entries;
	counters[DIRS].sum = c->sums.dirs;
	counters[BYTES].sum = c->sums.bytes;
	counters[USED].sum = c->sums.used;
	for (size_t i = 0; !r && i < COUNTERS; i++)
		r = counter_check(c, &counters[i]);
	return r;
}

/* Trees are compared without `names`: believed when it did not move meanwhile. */
static int sum_shared(struct check *c, struct counter *counter, bool *ret_moved)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	struct counter after = *counter;
	struct key first = key_share(0);
	struct backend_iter *it;
	int r = counter_read(c, counter);

	if (!r)
		r = backend_iter_new(c->st->be, TABLE_SHARE, &it);
	if (r)
		return r;
	r = counter_read(c, &after);
	counter->sum = 0;
	for (backend_iter_seek(it, key_slice(&first)); !r && backend_iter_valid(it);
	     backend_iter_next(it)) {
		struct slice key = backend_iter_key(it);

		if (key.len == first.len && !memcmp(key.data, first.data, 1) &&
		    share_decode(backend_iter_value(it), &row) == 0)
			counter->sum += share_bytes(&row);
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	*ret_moved = after.stored != counter->stored;
	return r;
}

static int check_shared(struct check *c)
{
	struct counter shared = {"shared"};
	bool moved = true;
	int r = 0;

	for (unsigned int tries = 0; !r && moved && tries < 8; tries++)
		r = sum_shared(c, &shared, &moved);
	if (r == -EUCLEAN || r == -EIO) /* walk_table() has said so */
		return 0;
	return r || moved ? r : counter_check(c, &shared);
}

/* Only gc takes from it, and only under `names` something is added. */
static int open_dead(struct check *c, struct counter *dead, struct backend_iter **ret_it)
{
	int r;

	gc_hold(c->st);
	pthread_mutex_lock(&c->st->names);
	r = counter_read(c, dead);
	if (!r)
		r = backend_iter_new(c->st->be, TABLE_GCQ, ret_it);
	pthread_mutex_unlock(&c->st->names);
	gc_release(c->st);
	return r;
}

static int check_dead(struct check *c)
{
	struct counter dead = {"dead"};
	struct backend_iter *it;
	struct gcq_row row;
	int r = open_dead(c, &dead, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it))
		if (gcq_decode(backend_iter_value(it), &row) == 0)
			dead.sum += row.disk_bytes;
	r = backend_iter_status(it);
	backend_iter_free(it);
	if (r == -EUCLEAN || r == -EIO) /* walk_table() has said so */
		return 0;
	return r ? r : counter_check(c, &dead);
}

/* ---- extents ---- */

static int each_extent(void *arg, uint64_t ino)
{
	CLEANUP_FAULT struct fault first = FAULT_INIT;
	CLEANUP_FAULT struct fault f = FAULT_INIT;
	struct check *c = arg;
	int r = look_extent(c, ino, &first);

	if (!r && first.what) {
		pthread_mutex_lock(&c->st->names);
		r = look_extent(c, ino, &f);
		pthread_mutex_unlock(&c->st->names);
	}
	if (!r && f.what)
		r = check_fault(c, &f);
	return r ? r : row_done(c);
}

/* Out of the way, and not deleted: whose it is nobody knows. */
static int put_aside(struct check *c, const char *path)
{
	CLEANUP_BUF struct buf to = BUF_INIT;
	const char *name = strrchr(path, '/');
	int fd = open(c->st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (!r && mkdirat(fd, STRAY_DIR, 0700) && errno != EEXIST)
		r = -errno;
	if (!r && (buf_printf(&to, STRAY_DIR "/%s", name ? name + 1 : path) ||
		   buf_append(&to, "", 1)))
		r = -ENOMEM;
	/* Not over another one of that name. */
	if (!r && renameat2(fd, path, fd, (const char *)to.data, RENAME_NOREPLACE))
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

static int each_stray(void *arg, const char *path)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct check *c = arg;
	char shown[512];
	int r = 0;

	text_escape(shown, sizeof(shown), path, strlen(path));
	if (buf_printf(&text, "%s/%s: is no file of the store", c->st->path, shown))
		return -ENOMEM;
	if (c->opt->repair)
		r = put_aside(c, path);
	tell(c, &text, "move it to " STRAY_DIR, r);
	return is_stopped(c) ? -ECANCELED : 0;
}

static int check_extents(struct check *c)
{
	int r = gc_drop_orphans(c->st); /* of a crash, or of a backup */

	if (!r)
		r = backend_extent_list(c->st->be, each_extent, c);
	return r ? r : backend_extent_strays(c->st->be, each_stray, c);
}

/* ---- contents ---- */

static int bytes_read(void *arg, uint64_t bytes)
{
	struct check *c = arg;

	c->result.bytes += bytes;
	show_progress(c);
	return is_stopped(c) ? -ECANCELED : 0;
}

static int bad_content(struct check *c, uint64_t ino, const char *why)
{
	CLEANUP_FAULT struct fault f = FAULT_INIT;

	f.ino = f.drop_ino = ino;
	fault_set(&f, why, "drop it");
	return check_fault(c, &f);
}

static int each_content(struct check *c, uint64_t ino)
{
	const struct check_pace pace = {bytes_read, c};
	const char *why = NULL;
	int r = check_content(c->st, ino, &pace, &why);

	if (r == -EUCLEAN)
		r = bad_content(c, ino, why);
	return r ? r : row_done(c);
}

/* An iterator keeps what is deleted meanwhile: a new one for each few inodes. */
static int some_contents(struct check *c, uint64_t *from, bool *ret_more)
{
	struct key first = key_ino(*from);
	struct backend_iter *it;
	unsigned int n = 0;
	uint64_t ino;
	int r = backend_iter_new(c->st->be, TABLE_INODE, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, key_slice(&first));
	     !r && backend_iter_valid(it) && n < CONTENT_ROWS; backend_iter_next(it)) {
		n++;
		if (key_ino_decode(backend_iter_key(it), &ino))
			continue;
		r = each_content(c, ino);
		*from = ino + 1;
	}
	if (!r && backend_iter_status(it) == 0)
		*ret_more = backend_iter_valid(it);
	else
		*ret_more = false; /* the walk over the table has told of it */
	backend_iter_free(it);
	return r;
}

static int check_contents(struct check *c)
{
	uint64_t from = 0;
	bool more = true;
	int r = 0;

	while (!r && more && from != UINT64_MAX)
		r = some_contents(c, &from, &more);
	return r;
}

/* ---- all of it ---- */

/* Before names, which would all be below nothing. */
static int check_root(struct check *c)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(STORE_ROOT_INO);
	int r = backend_get(c->st->be, TABLE_INODE, key_slice(&key), &raw);
	CLEANUP_FAULT struct fault f = FAULT_INIT;

	if (r == -ENOENT)
		r = 0; /* look_inode() finds no row in nothing, either */
	if (!r)
		r = look_inode(c, TABLE_INODE, key_slice(&key), buf_slice(&raw), &f);
	if (r || !f.what)
		return r == -EUCLEAN ? 0 : r;
	return check_fault(c, &f);
}

/*
 * What was dropped is deleted; what others had in common with it, and knew by an index
 * that cannot be read any more, is left behind.
 */
static int check_left(struct check *c)
{
	int r = store_settle(c->st);

	usage_want_count(c->st); /* what is below a quota is less now */
	if (!r)
		r = walk_table(c, TABLE_SHARE);
	return r ? r : walk_table(c, TABLE_SAME);
}

static int check_all(struct check *c)
{
	int r = check_root(c);

	if (!r)
		r = walk_table(c, TABLE_BRANCH);
	if (!r)
		r = walk_table(c, TABLE_DIRENT);
	if (!r)
		r = check_inodes(c);
	for (int t = 0; !r && t < TABLE_COUNT; t++)
		if (t != TABLE_BRANCH && t != TABLE_DIRENT && t != TABLE_INODE)
			r = walk_table(c, (enum table)t);
	if (!r)
		r = check_extents(c);
	if (!r && c->opt->contents)
		r = check_contents(c);
	if (!r && c->result.repaired)
		r = check_left(c);
	if (!r)
		r = check_shared(c);
	return r ? r : check_dead(c);
}

static int estimate(struct check *c)
{
	struct store_check_progress *p = &c->progress;
	struct store_stats stats;
	int r = store_stats(c->st, &stats);

	if (r) /* counters that cannot be read are found later */
		return r == -EUCLEAN ? 0 : r;
	/* A name, an inode, a content or its sums. */
	p->rows_total = 3 * stats.entries + 2 * stats.dirs;
	if (c->opt->contents) {
		p->rows_total += stats.entries + stats.dirs;
		p->bytes_total = stats.bytes;
	}
	return 0;
}

int store_check(struct store *st, const struct store_check_options *opt,
		struct store_check_result *ret_result)
{
	struct check *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->st = st;
	c->opt = opt;
	r = estimate(c);
	if (!r)
		r = check_all(c);
	show_progress(c);
	*ret_result = c->result;
	free(c);
	return r;
}
