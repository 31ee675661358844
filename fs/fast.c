/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen shards by number, each with a lock. Under it the store's table of open
 * generations may be asked, and nothing else; it is taken with the store's `names` held
 * (known_by_kernel(), lost_name()). A tree and all that is in it is one number here, that
 * of its stream, but for what is open to be read.
 */
#include "fs/fast.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "fs/fs.h"
#include "fs/kcache.h"
#include "fs/known.h"
#include "fs/metrics.h"
#include "fs/texts.h"
#include "fs/vnode.h"
#include "store/util/htab.h"

enum { SHARDS = 16, OPEN_PLACES = 8, OPEN_TICKS = 2, TEXT_TICKS = 10 };
#define TEXT_BYTES_MAX (32u << 20) /* of all together */

/* Of what has no name any more. */
struct hold {
	struct hlink link;
	uint64_t ino;
	struct store_gen *gen;
};

/* What was read a moment ago. */
struct open_place {
	uint64_t ino; /* of a file in a tree its own; 0: free */
	struct store_gen *gen;
	unsigned int tick;
};

struct shard {
	pthread_mutex_t lock; /* of all below */
	struct known known;
	struct htab holds;
	struct open_place open[OPEN_PLACES];
};

struct text {
	struct hlink link;
	uint64_t nodeid;
	unsigned int tick; /* when it was made */
	struct buf buf;
};

struct fast {
	struct fs *fs;
	struct store_known hook;
	_Atomic unsigned int ticks;
	atomic_bool cannot_prune; /* the kernel is too old */
	struct shard shards[SHARDS];
	pthread_mutex_t text_lock; /* of the texts */
	struct htab texts;
	size_t text_bytes;
	atomic_uint serial;
};

/* The number by which it is known and held. */
static uint64_t entry_ino(uint64_t ino)
{
	return store_ino_in_tree(ino) ? store_tree_stream(ino) : ino;
}

static struct shard *shard_of(struct fast *f, uint64_t ino)
{
	/* The tables use the low bits. */
	return &f->shards[hash_u64(entry_ino(ino)) >> 60];
}

/* ---- what has lost its name ---- */

static struct hold *find_hold(struct shard *s, uint64_t ino)
{
	struct hlink *l = htab_first(&s->holds, hash_u64(ino));

	for (; l; l = htab_next(l)) {
		struct hold *h = CONTAINER_OF(l, struct hold, link);

		if (h->ino == ino)
			return h;
	}
	return NULL;
}

static struct hold *take_hold(struct shard *s, uint64_t ino)
{
	struct hold *h = find_hold(s, ino);

	if (h)
		htab_remove(&s->holds, &h->link);
	return h;
}

/* Without the lock. NULL is fine. */
static void let_go(struct hold *h)
{
	if (!h)
		return;
	store_known_close(h->gen);
	free(h);
}

/*
 * The kernel may know what it was told by a daemon before this one. It is asked after the
 * fact: ask_kernel(). Not about trees, in which it may be any file.
 */
static bool may_be_known(const struct fast *f)
{
	return f->fs->resuming;
}

static bool known_by_kernel(void *arg, uint64_t ino)
{
	struct fast *f = arg;
	struct shard *s = shard_of(f, ino);
	bool known;

	pthread_mutex_lock(&s->lock);
	known = known_get(&s->known, ino) || may_be_known(f);
	pthread_mutex_unlock(&s->lock);
	return known;
}

static bool add_hold(struct fast *f, struct hold *h)
{
	struct shard *s = shard_of(f, h->ino);
	bool added = false;

	pthread_mutex_lock(&s->lock);
	if (!find_hold(s, h->ino) && (known_get(&s->known, h->ino) || may_be_known(f)))
		added = htab_add(&s->holds, &h->link, hash_u64(h->ino)) == 0;
	pthread_mutex_unlock(&s->lock);
	return added;
}

static void lost_name(void *arg, uint64_t ino, struct store_gen *gen)
{
	struct hold *h = calloc(1, sizeof(*h));

	if (!h) {
		store_known_close(gen);
		return;
	}
	h->ino = ino;
	h->gen = gen;
	if (!add_hold(arg, h)) /* forgotten meanwhile */
		let_go(h);
}

/* ---- what the kernel knows ---- */

/* A file in a tree counts for the tree as well. *ret_sure: of the entry. */
static int add_known(struct shard *s, uint64_t ino, bool *ret_sure)
{
	bool unused;
	int r = known_add(&s->known, entry_ino(ino), ret_sure);

	if (r || !store_ino_in_tree(ino))
		return r;
	r = known_add(&s->known, ino, &unused);
	if (r)
		known_sub(&s->known, entry_ino(ino), 1);
	return r;
}

/* Of the tree no more than this file was counted: it may be known of old. */
static void sub_known(struct shard *s, uint64_t ino, uint64_t n)
{
	uint64_t counted = known_get(&s->known, ino);

	known_sub(&s->known, ino, n);
	if (store_ino_in_tree(ino))
		known_sub(&s->known, entry_ino(ino), n < counted ? n : counted);
}

static void be_sure(struct shard *s, uint64_t ino)
{
	pthread_mutex_lock(&s->lock);
	known_be_sure(&s->known, entry_ino(ino));
	pthread_mutex_unlock(&s->lock);
}

/* Of several at once each looks until one has found it: who was first may be too late. */
int fast_learn_listed(struct fast *f, const struct store_dir *dir, uint64_t ino)
{
	struct store *st = f->fs->store;
	struct shard *s = shard_of(f, ino);
	bool sure;
	int r;

	pthread_mutex_lock(&s->lock);
	r = add_known(s, ino, &sure);
	pthread_mutex_unlock(&s->lock);
	if (r || sure)
		return r;
	r = dir ? store_known_check_listed(st, dir, ino) : store_known_check(st, ino);
	if (r)
		fast_forget(f, ino, 1);
	else
		be_sure(s, ino);
	return r;
}

int fast_learn(struct fast *f, uint64_t ino)
{
	return fast_learn_listed(f, NULL, ino);
}

bool fast_knows(struct fast *f, uint64_t ino, uint64_t times)
{
	struct shard *s = shard_of(f, ino);
	bool knows;

	pthread_mutex_lock(&s->lock);
	knows = known_get(&s->known, ino) >= times;
	pthread_mutex_unlock(&s->lock);
	return knows || may_be_known(f);
}

/* Under the lock. NULL: it was not read lately. */
static struct open_place *find_open(struct shard *s, uint64_t ino)
{
	for (int i = 0; i < OPEN_PLACES; i++)
		if (s->open[i].ino == ino)
			return &s->open[i];
	return NULL;
}

/* Out of the open ones, if it is there. Under the lock. */
static struct store_gen *take_open(struct shard *s, uint64_t ino)
{
	struct open_place *o = find_open(s, ino);
	struct store_gen *gen = o ? o->gen : NULL;

	if (o)
		*o = (struct open_place){0};
	return gen;
}

void fast_forget(struct fast *f, uint64_t ino, uint64_t nlookup)
{
	struct shard *s = shard_of(f, ino);
	struct store_gen *gen = NULL;
	struct hold *h = NULL;

	pthread_mutex_lock(&s->lock);
	sub_known(s, ino, nlookup);
	if (!known_get(&s->known, ino))
		gen = take_open(s, ino);
	if (!known_get(&s->known, entry_ino(ino)))
		h = take_hold(s, entry_ino(ino));
	pthread_mutex_unlock(&s->lock);
	store_gen_close(gen);
	let_go(h);
}

/* ---- reading ---- */

static void count_hit(struct fast *f, struct store_gen *gen)
{
	store_gen_hit(gen);
	metrics_hit(f->fs->metrics, gen);
}

void fast_used(struct fast *f, uint64_t ino)
{
	struct store_gen *gen;

	if (store_gen_open(f->fs->store, ino, &gen))
		return;
	count_hit(f, gen);
	store_gen_close(gen);
}

static int reopen(struct fast *f, uint64_t ino, struct store_gen **ret_gen)
{
	struct shard *s = shard_of(f, ino);
	struct open_place *o;
	int r = -ENOENT;

	pthread_mutex_lock(&s->lock);
	o = find_open(s, ino);
	if (o) {
		o->tick = atomic_load(&f->ticks);
		r = store_gen_reopen(f->fs->store, ino, ret_gen);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Under the lock: a free one, or the one that was read longest ago. */
static struct open_place *place_for(struct shard *s)
{
	struct open_place *best = &s->open[0];

	for (int i = 0; i < OPEN_PLACES; i++) {
		if (!s->open[i].ino)
			return &s->open[i];
		if ((int)(s->open[i].tick - best->tick) < 0)
			best = &s->open[i];
	}
	return best;
}

/* Leave it open for the next READ, unless another has. True: it was the first. */
static bool leave_open(struct fast *f, uint64_t ino)
{
	struct shard *s = shard_of(f, ino);
	struct store_gen *gen, *old = NULL;
	struct open_place *o;
	bool first = false;

	if (store_gen_reopen(f->fs->store, ino, &gen))
		return false;
	pthread_mutex_lock(&s->lock);
	if (!find_open(s, ino)) {
		o = place_for(s);
		old = o->gen;
		*o = (struct open_place){ino, gen, atomic_load(&f->ticks)};
		first = true;
	}
	pthread_mutex_unlock(&s->lock);
	store_gen_close(first ? old : gen);
	return first;
}

int fast_gen(struct fast *f, uint64_t ino, struct store_gen **ret_gen)
{
	int r = reopen(f, ino, ret_gen);

	if (r != -ENOENT)
		return r;
	r = store_gen_open_known(f->fs->store, ino, ret_gen);
	if (!r && leave_open(f, ino))
		count_hit(f, *ret_gen);
	return r;
}

/* ---- once a second ---- */

static void close_idle(struct fast *f, struct shard *s, unsigned int now)
{
	struct store_gen *idle[OPEN_PLACES];
	int n = 0;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < OPEN_PLACES; i++) {
		if (!s->open[i].ino || now - s->open[i].tick < OPEN_TICKS)
			continue;
		idle[n++] = s->open[i].gen;
		s->open[i] = (struct open_place){0};
	}
	pthread_mutex_unlock(&s->lock);
	while (n)
		store_gen_close(idle[--n]);
}

/* linux/fuse.h has it from 6.18 on. */
#define NOTIFY_PRUNE 9
struct notify_prune_out {
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
};
enum { PRUNE_MAX = 512 }; /* in one notice */

/* Nodes that nobody has open are to be forgotten. -EINVAL: the kernel is too old. */
static int notify_prune(struct fs *fs, const uint64_t *nodeids, size_t count)
{
	struct notify_prune_out what = {.count = (uint32_t)count};
	size_t bytes = count * sizeof(*nodeids);
	struct fuse_out_header head = {
	    .len = (uint32_t)(sizeof(head) + sizeof(what) + bytes),
	    .error = NOTIFY_PRUNE,
	};
	struct iovec iov[] = {
	    {&head, sizeof(head)}, {&what, sizeof(what)}, {(void *)nodeids, bytes}};

	return writev(fuse_session_fd(fs->se), iov, 3) < 0 ? -errno : 0;
}

bool fast_prunes(struct fs *fs)
{
	return notify_prune(fs, NULL, 0) == 0;
}

/* Older kernels do it when memory is short. */
static void prune(struct fast *f, const uint64_t *nodeids, size_t count)
{
	if (notify_prune(f->fs, nodeids, count) == -EINVAL)
		atomic_store(&f->cannot_prune, true);
}

/*
 * What is held though its name was thrown out: a file of a tree that was in use then
 * stays below the tree, and names that were made stale all together stay where they are.
 */
static void find_held(struct fast *f, struct shard *s, struct buf *nodeids)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; s->holds.count && s->known.places && i <= s->known.mask; i++) {
		uint64_t ids[PRUNE_MAX], ino = s->known.places[i].ino;
		size_t n;

		if (!ino || !find_hold(s, entry_ino(ino)))
			continue;
		(void)buf_append(nodeids, &ino, sizeof(ino)); /* or the next time */
		n = vnode_files_of(f->fs->vnodes, ino, ids, PRUNE_MAX);
		n = n < PRUNE_MAX ? n : PRUNE_MAX;
		(void)buf_append(nodeids, ids, n * sizeof(ids[0]));
	}
	pthread_mutex_unlock(&s->lock);
}

static void prune_held(struct fast *f, struct shard *s)
{
	CLEANUP_BUF struct buf found = BUF_INIT;
	const uint64_t *nodeids;
	size_t n;

	find_held(f, s, &found);
	nodeids = (const void *)found.data;
	n = found.len / sizeof(*nodeids);
	for (size_t at = 0; at < n; at += PRUNE_MAX)
		prune(f, nodeids + at, n - at < PRUNE_MAX ? n - at : PRUNE_MAX);
}

void fast_prune(struct fast *f)
{
	for (int i = 0; i < SHARDS; i++)
		prune_held(f, &f->shards[i]);
}

/* Does the kernel know what was not told by this daemon? Nothing else is changed. */
static bool kernel_knows(struct fast *f, uint64_t ino)
{
	return vnode_files_of(f->fs->vnodes, ino, NULL, 0) ||
	       fuse_lowlevel_notify_inval_inode(f->fs->se, ino, -1, 0) != -ENOENT;
}

/* The numbers of what is held without being counted; without memory, some of them. */
static struct buf uncounted(struct shard *s)
{
	struct buf inos = BUF_INIT;

	pthread_mutex_lock(&s->lock);
	for (struct hwalk w = htab_walk(&s->holds); w.link; hwalk_next(&w)) {
		const struct hold *h = CONTAINER_OF(w.link, struct hold, link);

		if (!known_get(&s->known, h->ino) &&
		    buf_append(&inos, &h->ino, sizeof(h->ino)))
			break;
	}
	pthread_mutex_unlock(&s->lock);
	return inos;
}

static void ask_kernel(struct fast *f, struct shard *s)
{
	CLEANUP_BUF struct buf inos = uncounted(s);

	for (size_t i = 0; i < inos.len / sizeof(uint64_t); i++) {
		uint64_t ino = ((const uint64_t *)(const void *)inos.data)[i];

		if (!kernel_knows(f, ino))
			fast_forget(f, ino, 0);
	}
}

static bool holds_any(struct shard *s)
{
	bool any;

	pthread_mutex_lock(&s->lock);
	any = s->holds.count;
	pthread_mutex_unlock(&s->lock);
	return any;
}

void fast_tick(struct fast *f)
{
	unsigned int now = atomic_fetch_add(&f->ticks, 1) + 1;
	bool any = false;

	for (int i = 0; i < SHARDS; i++) {
		close_idle(f, &f->shards[i], now);
		any = any || holds_any(&f->shards[i]);
		if (may_be_known(f))
			ask_kernel(f, &f->shards[i]);
	}
	if (any && !atomic_load(&f->cannot_prune))
		kcache_prune(f->fs->kcache);
}

/* ---- texts ---- */

static struct text *find_text(struct fast *f, uint64_t nodeid)
{
	struct hlink *l = htab_first(&f->texts, hash_u64(nodeid));

	for (; l; l = htab_next(l)) {
		struct text *t = CONTAINER_OF(l, struct text, link);

		if (t->nodeid == nodeid)
			return t;
	}
	return NULL;
}

static void text_free(struct text *t)
{
	buf_deinit(&t->buf);
	free(t);
}

/* Off the table. Under the lock. */
static void remove_text(struct fast *f, struct text *t)
{
	htab_remove(&f->texts, &t->link);
	f->text_bytes -= t->buf.len;
}

/* The kernel keeps a node that nobody has open, until it has other uses for memory. */
static void drop_old_texts(struct fast *f)
{
	for (struct hwalk w = htab_walk(&f->texts); w.link; hwalk_next(&w)) {
		struct text *t = CONTAINER_OF(w.link, struct text, link);

		if (atomic_load(&f->ticks) - t->tick < TEXT_TICKS)
			continue;
		remove_text(f, t);
		text_free(t);
	}
}

static int add_text(struct fast *f, struct text *t)
{
	int r = -ENFILE;

	pthread_mutex_lock(&f->text_lock);
	if (f->text_bytes + t->buf.len > TEXT_BYTES_MAX)
		drop_old_texts(f);
	if (f->text_bytes + t->buf.len <= TEXT_BYTES_MAX)
		r = htab_add(&f->texts, &t->link, hash_u64(t->nodeid));
	if (!r)
		f->text_bytes += t->buf.len;
	pthread_mutex_unlock(&f->text_lock);
	return r;
}

int fast_text_make(struct fast *f, fuse_req_t req, const struct vnode *v, size_t *ret_len)
{
	struct text *t = calloc(1, sizeof(*t));
	size_t len;
	int r;

	if (!t)
		return -ENOMEM;
	t->nodeid = v->id;
	t->tick = atomic_load(&f->ticks);
	r = text_of_node(req, v, &t->buf);
	len = t->buf.len;
	if (!r)
		r = add_text(f, t);
	if (r)
		text_free(t);
	else
		*ret_len = len;
	return r;
}

int fast_text_read(struct fast *f, uint64_t nodeid, void *data, size_t size, uint64_t off,
		   size_t *ret_len)
{
	const struct text *t;

	pthread_mutex_lock(&f->text_lock);
	t = find_text(f, nodeid);
	if (t)
		*ret_len = text_read(&t->buf, data, size, off);
	pthread_mutex_unlock(&f->text_lock);
	return t ? 0 : -ENOENT;
}

int fast_text_len(struct fast *f, uint64_t nodeid, size_t *ret_len)
{
	const struct text *t;

	pthread_mutex_lock(&f->text_lock);
	t = find_text(f, nodeid);
	if (t)
		*ret_len = t->buf.len;
	pthread_mutex_unlock(&f->text_lock);
	return t ? 0 : -ENOENT;
}

void fast_text_drop(struct fast *f, uint64_t nodeid)
{
	struct text *t;

	pthread_mutex_lock(&f->text_lock);
	t = find_text(f, nodeid);
	if (t)
		remove_text(f, t);
	pthread_mutex_unlock(&f->text_lock);
	if (t)
		text_free(t);
}

unsigned int fast_text_serial(struct fast *f)
{
	return atomic_fetch_add(&f->serial, 1);
}

/* ---- beginning and end ---- */

void fast_counts(struct fast *f, uint64_t *ret_known, uint64_t *ret_held)
{
	*ret_known = *ret_held = 0;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &f->shards[i];

		pthread_mutex_lock(&s->lock);
		*ret_known += s->known.used;
		*ret_held += s->holds.count;
		pthread_mutex_unlock(&s->lock);
	}
}

int fast_new(struct fs *fs, struct fast **ret_fast)
{
	struct fast *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->fs = fs;
	/* Nodes of a daemon before this one may have others. */
	atomic_init(&f->serial, (unsigned int)(time_now_ns() / 1000));
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&f->shards[i].lock, NULL);
	pthread_mutex_init(&f->text_lock, NULL);
	f->hook = (struct store_known){
	    .known = known_by_kernel, .nameless = lost_name, .arg = f};
	store_known_add(fs->store, &f->hook);
	*ret_fast = f;
	return 0;
}

static void shard_deinit(struct shard *s)
{
	for (struct hwalk w = htab_walk(&s->holds); w.link; hwalk_next(&w))
		let_go(CONTAINER_OF(w.link, struct hold, link));
	htab_deinit(&s->holds);
	for (int i = 0; i < OPEN_PLACES; i++)
		store_gen_close(s->open[i].gen);
	known_deinit(&s->known);
	pthread_mutex_destroy(&s->lock);
}

void fast_free(struct fast *f)
{
	if (!f)
		return;
	store_known_remove(f->fs->store, &f->hook);
	for (int i = 0; i < SHARDS; i++)
		shard_deinit(&f->shards[i]);
	for (struct hwalk w = htab_walk(&f->texts); w.link; hwalk_next(&w))
		text_free(CONTAINER_OF(w.link, struct text, link));
	htab_deinit(&f->texts);
	pthread_mutex_destroy(&f->text_lock);
	free(f);
}
