/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The indexes of sealed trees in memory.
 *
 * An index holds the generation it was read from, so whoever uses it can read what
 * it tells of. One that nobody uses stays, because the next file of the same tree is
 * opened soon, until there are too many or they are too large together: then the one
 * that was left longest ago goes. The newest stays however large it is, or each
 * lookup in a huge tree would load it again.
 *
 * It would keep the content of a removed tree from being deleted, so gc comes here
 * (sealed_forget()) before it asks whether somebody has that open. An index that is
 * being loaded meanwhile is in the table already, and is found by that.
 */
#include "store/sealed.h"

#include <errno.h>
#include <stdlib.h>

#include "store/gen.h"

#define BYTES_MAX (64u * 1024 * 1024) /* of all, the ones in use included */
#define UNUSED_MAX 128		      /* each may have a file open */

struct sealed_cache {
	pthread_mutex_t lock; /* a leaf; of all below */
	struct htab table;
	struct sealed_index *oldest, *newest; /* without references */
	unsigned int unused;
	size_t bytes;
	_Atomic uint64_t loads;
};

int sealed_cache_new(struct sealed_cache **ret_cache)
{
	struct sealed_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	*ret_cache = cache;
	return 0;
}

void sealed_cache_free(struct sealed_cache *cache)
{
	if (!cache)
		return;
	htab_deinit(&cache->table);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static struct sealed_index *find_locked(struct sealed_cache *cache, uint64_t stream_ino)
{
	struct hlink *l = htab_first(&cache->table, hash_u64(stream_ino));

	for (; l; l = htab_next(l)) {
		struct sealed_index *ix = CONTAINER_OF(l, struct sealed_index, link);

		if (ix->stream_ino == stream_ino)
			return ix;
	}
	return NULL;
}

/* ---- the list of those without references; under the cache's lock ---- */

static void list_append(struct sealed_cache *cache, struct sealed_index *ix)
{
	ix->older = cache->newest;
	ix->newer = NULL;
	if (cache->newest)
		cache->newest->newer = ix;
	else
		cache->oldest = ix;
	cache->newest = ix;
	cache->unused++;
}

static void list_remove(struct sealed_cache *cache, struct sealed_index *ix)
{
	if (ix->older)
		ix->older->newer = ix->newer;
	else
		cache->oldest = ix->newer;
	if (ix->newer)
		ix->newer->older = ix->older;
	else
		cache->newest = ix->older;
	ix->older = ix->newer = NULL;
	cache->unused--;
}

/* Out of the table. The caller frees it, without the lock, if it has no references. */
static void drop_locked(struct sealed_cache *cache, struct sealed_index *ix)
{
	htab_remove(&cache->table, &ix->link);
	cache->bytes -= ix->bytes;
	ix->dropped = true;
	if (!ix->refs)
		list_remove(cache, ix);
}

/* Takes what is too much out of the table; chained by `older`, to be freed. */
static struct sealed_index *trim_locked(struct sealed_cache *cache)
{
	struct sealed_index *chain = NULL;

	while (cache->unused > 1 &&
	       (cache->unused > UNUSED_MAX || cache->bytes > BYTES_MAX)) {
		struct sealed_index *ix = cache->oldest;

		drop_locked(cache, ix);
		ix->older = chain;
		chain = ix;
	}
	return chain;
}

static void index_free(struct sealed_index *ix)
{
	pack_deinit(&ix->pack);
	store_gen_close(ix->gen);
	pthread_mutex_destroy(&ix->load);
	free(ix);
}

static void free_chain(struct sealed_index *chain)
{
	while (chain) {
		struct sealed_index *next = chain->older;

		index_free(chain);
		chain = next;
	}
}

/* ---- loading ---- */

/* Exactly these bytes, which are within the content. */
static int read_exact(void *arg, void *data, size_t len, uint64_t off)
{
	size_t n;
	int r = store_gen_read(arg, data, len, off, &n);

	return r ? r : n == len ? 0 : -EIO;
}

static int read_pack(struct store_gen *gen, struct pack *ret_pack, struct errmsg *err)
{
	const struct pack_source src = {
	    .read = read_exact, .arg = gen, .size_bytes = gen_size(gen)};

	return pack_read(&src, ret_pack, NULL, err);
}

/* Its checksums were right when it was published, and still it is no pack. */
static int load(struct sealed_index *ix)
{
	struct store_gen *gen;
	struct errmsg err;
	int r;

	r = store_gen_open_expired(ix->st, ix->stream_ino, &gen);
	if (r == -ENOENT) /* it has lost its name, and something in it is open */
		r = store_gen_open_known(ix->st, ix->stream_ino, &gen);
	if (r)
		return r;
	r = read_pack(gen, &ix->pack, &err);
	if (r == -EBADMSG)
		r = gen_condemn(gen, err.text);
	if (r) {
		store_gen_close(gen);
		return r;
	}
	ix->gen = gen;
	return 0;
}

static int make_ready(struct sealed_index *ix)
{
	struct sealed_cache *cache = ix->st->sealed;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&ix->load);
	int r = ix->ready ? 0 : load(ix);

	if (r || ix->ready)
		return r;
	atomic_fetch_add(&cache->loads, 1);
	pthread_mutex_lock(&cache->lock);
	ix->bytes = sizeof(*ix) + ix->pack.index.cap;
	if (!ix->dropped)
		cache->bytes += ix->bytes;
	pthread_mutex_unlock(&cache->lock);
	ix->ready = true;
	return 0;
}

/* ---- references ---- */

static struct sealed_index *index_new(struct store *st, uint64_t stream_ino)
{
	struct sealed_index *ix = calloc(1, sizeof(*ix));

	if (!ix)
		return NULL;
	ix->st = st;
	ix->stream_ino = stream_ino;
	ix->pack = PACK_INIT;
	pthread_mutex_init(&ix->load, NULL);
	return ix;
}

static int index_add_locked(struct store *st, uint64_t stream_ino,
			    struct sealed_index **ret_index)
{
	struct sealed_index *ix = index_new(st, stream_ino);

	if (!ix)
		return -ENOMEM;
	if (htab_add(&st->sealed->table, &ix->link, hash_u64(stream_ino))) {
		index_free(ix);
		return -ENOMEM;
	}
	*ret_index = ix;
	return 0;
}

/* A reference to the object of a tree, which may be new and not ready. */
static int index_ref(struct store *st, uint64_t stream_ino,
		     struct sealed_index **ret_index)
{
	struct sealed_cache *cache = st->sealed;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&cache->lock);
	struct sealed_index *ix = find_locked(cache, stream_ino);
	int r;

	if (!ix) {
		r = index_add_locked(st, stream_ino, &ix);
		if (r)
			return r;
	} else if (!ix->refs) {
		list_remove(cache, ix);
	}
	ix->refs++;
	*ret_index = ix;
	return 0;
}

/* What was not loaded is not kept. */
static struct sealed_index *unref_locked(struct sealed_cache *cache,
					 struct sealed_index *ix)
{
	if (--ix->refs)
		return NULL;
	if (ix->dropped)
		return ix;
	list_append(cache, ix);
	if (ix->gen)
		return trim_locked(cache);
	drop_locked(cache, ix);
	return ix;
}

void sealed_index_put(struct sealed_index *ix)
{
	struct sealed_cache *cache;
	struct sealed_index *chain;

	if (!ix)
		return;
	cache = ix->st->sealed;
	pthread_mutex_lock(&cache->lock);
	chain = unref_locked(cache, ix);
	pthread_mutex_unlock(&cache->lock);
	free_chain(chain);
}

int sealed_index_get(struct store *st, uint64_t stream_ino,
		     struct sealed_index **ret_index)
{
	struct sealed_index *ix;
	int r = index_ref(st, stream_ino, &ix);

	if (r)
		return r;
	r = make_ready(ix);
	if (r) {
		sealed_index_put(ix);
		return r;
	}
	*ret_index = ix;
	return 0;
}

/* ---- forgetting ---- */

void sealed_forget(struct store *st, uint64_t stream_ino)
{
	struct sealed_cache *cache = st->sealed;
	struct sealed_index *ix;
	bool unused = false;

	pthread_mutex_lock(&cache->lock);
	ix = find_locked(cache, stream_ino);
	if (ix) {
		unused = !ix->refs;
		drop_locked(cache, ix);
	}
	pthread_mutex_unlock(&cache->lock);
	if (unused)
		index_free(ix);
}

void sealed_forget_unused(struct store *st)
{
	struct sealed_cache *cache = st->sealed;
	struct sealed_index *chain = NULL;

	pthread_mutex_lock(&cache->lock);
	while (cache->oldest) {
		struct sealed_index *ix = cache->oldest;

		drop_locked(cache, ix);
		ix->older = chain;
		chain = ix;
	}
	pthread_mutex_unlock(&cache->lock);
	free_chain(chain);
}

bool sealed_has_index(struct store *st, uint64_t stream_ino, bool *ret_used)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->sealed->lock);
	const struct sealed_index *ix = find_locked(st->sealed, stream_ino);

	*ret_used = ix && ix->refs;
	return ix && ix->bytes; /* `gen` is under another lock until it is used */
}

uint64_t sealed_loads(struct store *st)
{
	return atomic_load(&st->sealed->loads);
}
