/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept is looked at once, before the store is opened: which extents have to stay,
 * and which intents are of values that are still being written. Generations are opened
 * before values, which may need some of them, and both before the thread that deletes is
 * started. They are held here until their owners have come for them.
 */
#include "store/resume.h"

#include <errno.h>
#include <stdlib.h>

#include "store/gen.h"
#include "store/staged_keep.h"
#include "store/util/log.h"

struct resumed {
	uint64_t ino;
	struct kept *staged, *content; /* until it is opened */
	struct store_staged *sg;       /* until it is taken */
};

struct resume {
	pthread_mutex_t lock; /* of `sg` of all values */
	struct resumed *values;
	size_t count;	     /* fixed, as the numbers are */
	struct buf gen_inos; /* to be opened, as u64 */
	struct buf gens;     /* open, until the end */
	struct buf extents;  /* as u64 */
	struct buf lost;     /* struct kept *: attributes of what has no name */
};

/* ---- what there is ---- */

static int collect(void *arg, struct kept *o)
{
	return buf_append(arg, &o, sizeof(o));
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = keep_id(*(struct kept *const *)a);
	uint64_t y = keep_id(*(struct kept *const *)b);

	return x < y ? -1 : x > y;
}

static int list_kind(struct store *st, enum keep_kind kind, struct buf *ret_objects)
{
	int r = keep_each(st->keep, kind, collect, ret_objects);

	if (!r && ret_objects->len)
		qsort(ret_objects->data, ret_objects->len / sizeof(struct kept *),
		      sizeof(struct kept *), by_id);
	return r;
}

static size_t object_count(const struct buf *objects)
{
	return objects->len / sizeof(struct kept *);
}

static struct kept *object_at(const struct buf *objects, size_t i)
{
	return ((struct kept **)(void *)objects->data)[i];
}

/* A value has both objects; one that was just begun, or freed, may have one. */
static int pair(struct resume *rs, const struct buf *staged, const struct buf *contents)
{
	size_t i = 0, k = 0, n = object_count(staged), m = object_count(contents);

	rs->values = calloc(n + 1, sizeof(*rs->values));
	if (!rs->values)
		return -ENOMEM;
	while (i < n || k < m) {
		struct kept *s = i < n ? object_at(staged, i) : NULL;
		struct kept *c = k < m ? object_at(contents, k) : NULL;
		uint64_t s_ino = s ? keep_id(s) : UINT64_MAX;
		uint64_t c_ino = c ? keep_id(c) : UINT64_MAX;

		if (s && c && s_ino == c_ino)
			rs->values[rs->count++] = (struct resumed){s_ino, s, c, NULL};
		else
			keep_free(s_ino < c_ino ? s : c);
		i += s_ino <= c_ino;
		k += c_ino <= s_ino;
	}
	return 0;
}

static int need_gen(struct resume *rs, uint64_t ino)
{
	return buf_append(&rs->gen_inos, &ino, sizeof(ino));
}

/* Its extent, or the generation that has its bytes. */
static int need_content(struct resume *rs, struct resumed *v)
{
	uint64_t base_ino;
	bool held;

	if (staged_kept_published(v->content))
		return need_gen(rs, v->ino);
	if (staged_kept_base(v->staged, &held, &base_ino))
		return 0; /* it had not begun */
	if (held)
		return need_gen(rs, base_ino);
	if (!content_kept_in_extent(v->content))
		return 0;
	return buf_append(&rs->extents, &v->ino, sizeof(v->ino));
}

static int look(struct store *st, const struct store_options *opt)
{
	CLEANUP_BUF struct buf staged = BUF_INIT, contents = BUF_INIT;
	struct resume *rs = st->resume;
	int r = list_kind(st, KEEP_STAGED, &staged);

	if (!r)
		r = list_kind(st, KEEP_CONTENT, &contents);
	if (!r)
		r = list_kind(st, KEEP_GEN, &rs->lost);
	if (!r)
		r = pair(rs, &staged, &contents);
	for (size_t i = 0; !r && i < rs->count; i++)
		r = need_content(rs, &rs->values[i]);
	for (size_t i = 0; !r && i < opt->kept_count; i++)
		r = need_gen(rs, opt->kept_inos[i]);
	return r;
}

int resume_begin(struct store *st, const struct store_options *opt)
{
	if (!st->keep)
		return 0;
	st->resume = calloc(1, sizeof(*st->resume));
	if (!st->resume)
		return -ENOMEM;
	pthread_mutex_init(&st->resume->lock, NULL);
	return look(st, opt);
}

const uint64_t *resume_extents(const struct store *st, size_t *ret_count)
{
	*ret_count = st->resume ? st->resume->extents.len / sizeof(uint64_t) : 0;
	return st->resume ? (const void *)st->resume->extents.data : NULL;
}

static struct resumed *find(const struct store *st, uint64_t ino)
{
	size_t low = 0, high = st->resume ? st->resume->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct resumed *v = &st->resume->values[middle];

		if (v->ino == ino)
			return v;
		if (v->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool resume_has(const struct store *st, uint64_t ino)
{
	return find(st, ino) != NULL;
}

/* ---- opening ---- */

static struct kept *take_lost(struct resume *rs, uint64_t ino)
{
	for (size_t i = 0; i < object_count(&rs->lost); i++) {
		struct kept **o = &((struct kept **)(void *)rs->lost.data)[i];

		if (*o && keep_id(*o) == ino) {
			struct kept *found = *o;

			*o = NULL;
			return found;
		}
	}
	return NULL;
}

/* What is there no more, or is damaged, its owner will not find. */
static int open_gen(struct store *st, uint64_t ino)
{
	struct store_gen *gen;
	int r = store_gen_open_expired(st, ino, &gen);

	if (r == -ENOENT)
		r = gen_resume(st, ino, take_lost(st->resume, ino), &gen);
	if (r == -ENOMEM)
		return r;
	if (r) {
		log_error("%s: what was open as %016llx cannot be opened again: %s",
			  st->path, (unsigned long long)ino, strerror(-r));
		return 0;
	}
	r = buf_append(&st->resume->gens, &gen, sizeof(gen));
	if (r)
		store_gen_close(gen);
	return r;
}

static int open_gens(struct store *st)
{
	const struct buf *inos = &st->resume->gen_inos;
	int r = 0;

	for (size_t at = 0; !r && at < inos->len; at += sizeof(uint64_t)) {
		uint64_t ino;

		memcpy(&ino, inos->data + at, sizeof(ino));
		/* What is in a tree needs the tree. */
		if (store_ino_in_tree(ino))
			r = open_gen(st, store_tree_stream(ino));
		if (!r)
			r = open_gen(st, ino);
	}
	return r;
}

static int open_value(struct store *st, struct resumed *v)
{
	int r = staged_resume(st, v->staged, v->content, &v->sg);

	v->staged = v->content = NULL;
	if (r && r != -ENOENT) /* else it had not begun */
		log_error("%s: a value being written, %016llx, was lost: %s", st->path,
			  (unsigned long long)v->ino, strerror(-r));
	return r == -ENOMEM ? r : 0;
}

int resume_open(struct store *st)
{
	int r = st->resume ? open_gens(st) : 0;

	for (size_t i = 0; !r && st->resume && i < st->resume->count; i++)
		r = open_value(st, &st->resume->values[i]);
	return r;
}

/* ---- their owners ---- */

struct keep *store_keep(struct store *st)
{
	return st->keep;
}

int store_staged_resume(struct store *st, uint64_t ino, struct store_staged **ret_staged)
{
	struct resumed *v = find(st, ino);
	struct store_staged *sg = NULL;

	if (!v)
		return -ENOENT;
	pthread_mutex_lock(&st->resume->lock);
	sg = v->sg;
	v->sg = NULL;
	pthread_mutex_unlock(&st->resume->lock);
	if (!sg)
		return -ENOENT;
	*ret_staged = sg;
	return 0;
}

/* Those of what nobody has open any more. */
static void drop_lost(struct resume *rs)
{
	for (size_t i = 0; i < object_count(&rs->lost); i++)
		keep_free(object_at(&rs->lost, i));
	buf_deinit(&rs->lost);
}

void store_resume_end(struct store *st)
{
	struct resume *rs = st->resume;
	struct store_staged *sg;

	if (!rs)
		return;
	for (size_t i = 0; i < rs->count; i++)
		if (!store_staged_resume(st, rs->values[i].ino, &sg))
			store_staged_free(sg);
	for (size_t at = 0; at < rs->gens.len; at += sizeof(struct store_gen *)) {
		struct store_gen *gen;

		memcpy(&gen, rs->gens.data + at, sizeof(gen));
		store_gen_close(gen);
	}
	buf_deinit(&rs->gens);
	drop_lost(rs);
}

/* What is kept and was not opened stays kept. */
void resume_free(struct store *st)
{
	struct resume *rs = st->resume;

	if (!rs)
		return;
	buf_deinit(&rs->gens);
	buf_deinit(&rs->lost);
	buf_deinit(&rs->gen_inos);
	buf_deinit(&rs->extents);
	pthread_mutex_destroy(&rs->lock);
	free(rs->values);
	free(rs);
	st->resume = NULL;
}
