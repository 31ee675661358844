/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open generations: one object an inode, shared by all who have it open.
 *
 * Opening against deleting. A generation's content is deleted by the gc thread
 * alone, and only after its inode row is gone (one batch removes the row and
 * puts the number into GCQ). Opening takes its reference in the table first and
 * reads the inode row second; gc sees the GCQ row first and looks into the table
 * second, under the same lock. So either gc finds the reference, and leaves the
 * content to the last close; or the reference came after gc looked, hence after
 * the row was removed, and the opener finds no row.
 */
#include "store/gen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/gc.h"
#include "store/known.h"
#include "store/sealed.h"
#include "store/share.h"
#include "store/util/keep.h"
#include "store/util/log.h"
#include "store/value.h"
#include "store/verified.h"

/* ---- the table ---- */

int gen_table_new(struct gen_table **ret_gens)
{
	struct gen_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (int i = 0; i < GEN_SHARDS; i++)
		pthread_mutex_init(&t->shards[i].lock, NULL);
	*ret_gens = t;
	return 0;
}

void gen_table_free(struct gen_table *t)
{
	if (!t)
		return;
	for (int i = 0; i < GEN_SHARDS; i++) {
		htab_deinit(&t->shards[i].gens);
		pthread_mutex_destroy(&t->shards[i].lock);
	}
	free(t);
}

static struct gen_shard *shard_of(struct store *st, uint64_t ino)
{
	/* The table uses the low bits. */
	return &st->gens->shards[(hash_u64(ino) >> 60) % GEN_SHARDS];
}

static struct store_gen *find_locked(struct gen_shard *shard, uint64_t ino)
{
	struct hlink *l = htab_first(&shard->gens, hash_u64(ino));

	for (; l; l = htab_next(l)) {
		struct store_gen *gen = CONTAINER_OF(l, struct store_gen, link);

		if (gen->ino == ino)
			return gen;
	}
	return NULL;
}

static struct store_gen *gen_new(struct store *st, uint64_t ino)
{
	struct store_gen *gen = calloc(1, sizeof(*gen));

	if (!gen)
		return NULL;
	gen->st = st;
	gen->ino = ino;
	gen->fd = -1;
	pthread_mutex_init(&gen->lock, NULL);
	return gen;
}

static void free_chunks(struct store_gen *gen)
{
	if (!gen->chunks)
		return;
	for (uint64_t i = 0; i < sums_chunks(gen->size_bytes); i++) {
		struct gen_chunk *chunk = atomic_load(&gen->chunks[i]);

		if (chunk)
			buf_deinit(&chunk->row);
		free(chunk);
	}
	free(gen->chunks);
}

static void gen_free(struct store_gen *gen)
{
	uint8_t *small = atomic_load(&gen->small);

	if (small)
		atomic_fetch_sub(&gen->st->gens->small_bytes, gen->size_bytes);
	free(small);
	if (!gen->reap)
		gen_tell_verified(gen);
	free_chunks(gen);
	if (gen->fd >= 0)
		close(gen->fd);
	share_close(gen->shared);
	sealed_index_put(gen->tree);
	pthread_mutex_destroy(&gen->lock);
	free(gen);
}

/* A reference to the object of `ino`, which may be new and not ready. */
static int gen_ref(struct store *st, uint64_t ino, struct store_gen **ret_gen)
{
	struct gen_shard *shard = shard_of(st, ino);
	struct store_gen *gen;
	int r = 0;

	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, ino);
	if (!gen) {
		gen = gen_new(st, ino);
		r = gen ? htab_add(&shard->gens, &gen->link, hash_u64(ino)) : -ENOMEM;
	}
	if (!r)
		gen->refs++;
	pthread_mutex_unlock(&shard->lock);
	if (r) {
		if (gen)
			gen_free(gen);
		return r;
	}
	*ret_gen = gen;
	return 0;
}

/* The tree's generation may stay open for long: what was read is told now. */
static void count_tree_hits(struct sealed_index *tree)
{
	uint64_t hits = atomic_exchange(&tree->gen->hits, 0);

	if (hits)
		gc_hits(tree->st, tree->stream_ino, hits);
}

static void gen_unref(struct store_gen *gen)
{
	struct store *st = gen->st;
	struct gen_shard *shard = shard_of(st, gen->ino);
	uint64_t ino = gen->ino, hits;
	bool reap, share;

	pthread_mutex_lock(&shard->lock);
	if (--gen->refs) {
		pthread_mutex_unlock(&shard->lock);
		return;
	}
	htab_remove(&shard->gens, &gen->link);
	reap = gen->reap;
	share = gen->share;
	keep_free(gen->kept);
	pthread_mutex_unlock(&shard->lock);

	hits = atomic_load(&gen->hits);
	if (gen->tree)
		count_tree_hits(gen->tree);
	gen_free(gen);
	if (hits && !reap)
		gc_hits(st, ino, hits);
	if (reap)
		gc_reap(st, ino);
	else if (share)
		gc_tree(st, ino);
}

bool gen_defer_reap(struct store *st, uint64_t ino)
{
	struct gen_shard *shard = shard_of(st, ino);
	struct store_gen *gen;

	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, ino);
	if (gen)
		gen->reap = true;
	pthread_mutex_unlock(&shard->lock);
	return gen != NULL;
}

unsigned int gen_refs(struct store *st, uint64_t ino)
{
	struct gen_shard *shard = shard_of(st, ino);
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&shard->lock);
	const struct store_gen *gen = find_locked(shard, ino);

	return gen ? gen->refs : 0;
}

bool gen_defer_share(struct store *st, uint64_t ino)
{
	struct gen_shard *shard = shard_of(st, ino);
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&shard->lock);
	struct store_gen *gen = find_locked(shard, ino);
	bool alone;

	if (!gen)
		return false;
	/* One that is not ready has not looked yet. */
	pthread_mutex_lock(&gen->lock);
	alone = gen->ready && !gen->shared;
	pthread_mutex_unlock(&gen->lock);
	gen->share |= alone;
	return alone;
}

/* ---- opening ---- */

int gen_condemn(struct store_gen *gen, const char *why)
{
	if (atomic_exchange(&gen->condemned, true))
		return -EUCLEAN;
	verified_forget(gen->st->verified, gen->ino, time_monotonic_ns());
	return value_condemn(gen->st, gen->ino, why);
}

/* -EUCLEAN: *ret_why says what is wrong. Under the lock: condemns nothing itself. */
static int open_extent(struct store_gen *gen, const struct row_core *core,
		       const char **ret_why)
{
	uint64_t size_bytes = core->size_bytes;
	struct stat sb;
	int fd, r;

	r = backend_extent_open(gen->st->be, gen->ino, &fd);
	if (r == -ENOENT) {
		*ret_why = "its extent file is missing";
		return -EUCLEAN;
	}
	if (r)
		return r;
	if (fstat(fd, &sb) || (uint64_t)sb.st_size != size_bytes) {
		close(fd);
		*ret_why = "its extent file has another size than it had";
		return -EUCLEAN;
	}
	if (core->sealed)
		r = share_open(gen->st, gen->ino, &gen->shared, ret_why);
	if (!r) {
		gen->chunks = calloc(sums_chunks(size_bytes), sizeof(*gen->chunks));
		r = gen->chunks ? 0 : -ENOMEM;
	}
	if (r) {
		share_close(gen->shared);
		gen->shared = NULL;
		close(fd);
		return r;
	}
	gen->fd = fd;
	gen->mtime = sb.st_mtim;
	atomic_store(&gen->checked_ns, time_monotonic_ns());
	gen->sealed = core->sealed;
	return 0;
}

static int make_ready(struct store_gen *gen, const struct inode_row *row,
		      int64_t inherited_ttl_ns)
{
	const char *why = NULL;
	int r = 0;

	pthread_mutex_lock(&gen->lock);
	if (!gen->ready && row->core.layout == LAYOUT_EXTENT)
		r = open_extent(gen, &row->core, &why);
	if (!gen->ready && !r) {
		gen->size_bytes = row->core.size_bytes;
		gen->layout = row->core.layout;
		gen->has_hash = row->has_hash;
		memcpy(gen->hash, row->hash, sizeof(gen->hash));
		gen->ready = true;
	}
	if (!gen->has_core) { /* else gen_attr_changed() knows better */
		gen->core = row->core;
		gen->has_core = true;
	}
	gen->inherited_ttl_ns = inherited_ttl_ns;
	pthread_mutex_unlock(&gen->lock);
	return r == -EUCLEAN ? gen_condemn(gen, why) : r;
}

static void make_tree_ready(struct store_gen *gen, struct tree_place *p)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gen->lock);

	if (gen->ready)
		return;
	gen->tree = p->index;
	p->index = NULL;
	gen->tree_off = p->entry.off;
	gen->size_bytes = p->entry.size_bytes;
	gen->ready = true;
}

static void note_origin(struct store_gen *gen, const struct inode_row *row, double part)
{
	double cost_s = row->cost_s < 0 ? row->cost_s : row->cost_s * part;

	atomic_store_explicit(&gen->branch, row->parent_branch, memory_order_relaxed);
	atomic_store_explicit(&gen->cost_s, cost_s, memory_order_relaxed);
}

/* All files of a tree together have its cost. */
static double part_of_tree(const struct tree_place *p)
{
	double tree_bytes = (double)p->in.row.core.size_bytes;

	return tree_bytes > 0 ? (double)p->entry.size_bytes / tree_bytes : 0;
}

static int gen_open_in_tree(struct store_gen *gen, bool expired_too)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r = tree_place_load(gen->st, gen->ino, &p);

	if (r)
		return r;
	if (!p.i || p.entry.type != PACK_FILE)
		return -EINVAL;
	if (!expired_too &&
	    core_expires_ns(&p.in.row.core, p.policy.ttl_ns) <= time_now_ns())
		return -ETIME;
	note_origin(gen, &p.in.row, part_of_tree(&p));
	make_tree_ready(gen, &p);
	return 0;
}

static int open_nameless_in_tree(struct store_gen *gen)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	uint32_t i = tree_entry_of(gen->ino);
	int r = sealed_index_get(gen->st, store_tree_stream(gen->ino), &p.index);

	if (r)
		return r;
	if (!i || i >= p.index->pack.trailer.n_entries)
		return -EINVAL;
	pack_get(&p.index->pack, i, &p.entry);
	if (p.entry.type != PACK_FILE)
		return -EINVAL;
	make_tree_ready(gen, &p);
	return 0;
}

static int gen_open(struct store_gen *gen, bool expired_too)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct policy policy;
	int r;

	if (store_ino_in_tree(gen->ino))
		return gen_open_in_tree(gen, expired_too);
	r = inode_load_placed(gen->st, gen->ino, &in, &policy);
	if (r)
		return r;
	if (!S_ISREG(in.row.core.mode))
		return -EINVAL;
	if (!expired_too && core_expires_ns(&in.row.core, policy.ttl_ns) <= time_now_ns())
		return -ETIME;
	note_origin(gen, &in.row, 1);
	return make_ready(gen, &in.row, policy.ttl_ns);
}

static int open_ino(struct store *st, uint64_t ino, bool expired_too,
		    struct store_gen **ret_gen)
{
	struct store_gen *gen;
	int r;

	r = gen_ref(st, ino, &gen);
	if (r)
		return r;
	r = gen_open(gen, expired_too);
	if (r) {
		gen_unref(gen);
		return r;
	}
	*ret_gen = gen;
	return 0;
}

int store_gen_open(struct store *st, uint64_t ino, struct store_gen **ret_gen)
{
	return open_ino(st, ino, false, ret_gen);
}

int store_gen_open_expired(struct store *st, uint64_t ino, struct store_gen **ret_gen)
{
	return open_ino(st, ino, true, ret_gen);
}

int store_gen_reopen(struct store *st, uint64_t ino, struct store_gen **ret_gen)
{
	struct gen_shard *shard = shard_of(st, ino);
	struct store_gen *gen;
	bool ready = false;

	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, ino);
	if (gen) {
		pthread_mutex_lock(&gen->lock);
		ready = gen->ready;
		pthread_mutex_unlock(&gen->lock);
		if (ready)
			gen->refs++;
	}
	pthread_mutex_unlock(&shard->lock);
	if (!ready)
		return -ENOENT;
	*ret_gen = gen;
	return 0;
}

/* ---- for who knows it by its number ---- */

static void remember_row(struct store_gen *gen, const struct inode_row *row,
			 int64_t inherited_ttl_ns)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gen->lock);

	if (!gen->has_core) { /* else gen_attr_changed() knows better */
		gen->core = row->core;
		gen->has_core = true;
		gen->inherited_ttl_ns = inherited_ttl_ns;
	}
	if (!gen->ready) {
		gen->has_hash = row->has_hash;
		memcpy(gen->hash, row->hash, sizeof(gen->hash));
	}
	gen->has_row = true;
}

/* What it would inherit, where there still is somebody to inherit from. */
static int64_t inherited_ttl(struct store *st, const struct inode_row *row)
{
	struct policy policy;

	return policy_get(st, row->parent_branch, &policy) ? DURATION_NONE
							   : policy.ttl_ns;
}

int gen_hold(struct store *st, uint64_t ino, struct store_gen **ret_gen)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct store_gen *gen;
	int r = inode_load(st, ino, &in);

	if (!r && !S_ISREG(in.row.core.mode))
		r = -EINVAL;
	if (!r)
		r = gen_ref(st, ino, &gen);
	if (r)
		return r;
	note_origin(gen, &in.row, 1);
	remember_row(gen, &in.row, inherited_ttl(st, &in.row));
	*ret_gen = gen;
	return 0;
}

/* -ENOENT: nobody has remembered its row. */
static int open_remembered(struct store_gen *gen)
{
	struct inode_row row = {0};
	int64_t ttl_ns;
	bool has_row;

	pthread_mutex_lock(&gen->lock);
	has_row = gen->has_row;
	row.core = gen->core;
	row.has_hash = gen->has_hash;
	memcpy(row.hash, gen->hash, sizeof(row.hash));
	ttl_ns = gen->inherited_ttl_ns;
	pthread_mutex_unlock(&gen->lock);
	return has_row ? make_ready(gen, &row, ttl_ns) : -ENOENT;
}

/* The first three of a file that has its name, the last of one that has not. */
static int open_known(struct store_gen *gen)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r = gen_open(gen, true);

	if (r != -ENOENT)
		return r;
	if (store_ino_in_tree(gen->ino))
		return open_nameless_in_tree(gen);
	r = inode_load(gen->st, gen->ino, &in); /* its directory was removed */
	if (!r && !S_ISREG(in.row.core.mode))
		return -EINVAL;
	if (!r)
		return make_ready(gen, &in.row, DURATION_NONE);
	return r == -ENOENT ? open_remembered(gen) : r;
}

int store_gen_open_known(struct store *st, uint64_t ino, struct store_gen **ret_gen)
{
	struct store_gen *gen;
	int r = store_gen_reopen(st, ino, ret_gen);

	if (r != -ENOENT)
		return r;
	r = gen_ref(st, ino, &gen);
	if (r)
		return r;
	r = open_known(gen);
	if (r) {
		gen_unref(gen);
		return r;
	}
	*ret_gen = gen;
	return 0;
}

/* ---- for a successor ---- */

/* Followed by the row of a name. */
struct nameless {
	int64_t inherited_ttl_ns;
	uint64_t branch;
	double cost_s;
	uint64_t has_hash;
	uint8_t hash[DIGEST_HASH_BYTES];
};

/* Of one that is ready, under the shard's lock. */
static int keep_nameless(struct store *st, struct store_gen *gen)
{
	CLEANUP_BUF struct buf row = BUF_INIT;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gen->lock);
	struct nameless rec = {.inherited_ttl_ns = gen->inherited_ttl_ns,
			       .branch = atomic_load(&gen->branch),
			       .cost_s = atomic_load(&gen->cost_s),
			       .has_hash = gen->has_hash};
	struct slice pieces[2] = {slice(&rec, sizeof(rec))};
	int r;

	if (!gen->ready || !gen->has_core || gen->kept)
		return 0;
	memcpy(rec.hash, gen->hash, sizeof(rec.hash));
	r = dirent_encode(&gen->core, &row);
	if (!r)
		r = keep_new(st->keep, KEEP_GEN, gen->ino, &gen->kept);
	pieces[1] = buf_slice(&row);
	return r ? r : keep_append(gen->kept, pieces, 2);
}

/*
 * Who opens it between this and the commit, and dies before he has closed it, is told
 * that it is gone: a moment that is not worth a second look at each removal.
 */
void gen_keep_nameless(struct store *st, uint64_t ino)
{
	struct gen_shard *shard = shard_of(st, ino);
	struct store_gen *gen;
	int r = 0;

	known_hand_over(st, ino);
	if (!st->keep)
		return;
	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, ino);
	if (gen)
		r = keep_nameless(st, gen);
	pthread_mutex_unlock(&shard->lock);
	if (r)
		log_warning("%s: %016llx, which is open and loses its name, cannot be "
			    "kept for a successor: %s",
			    st->path, (unsigned long long)ino, strerror(-r));
}

static int open_nameless(struct store_gen *gen)
{
	struct inode_row row = {0};
	struct nameless rec;
	struct slice raw;
	int r;

	if (keep_record(gen->kept, &raw))
		return -ENOENT;
	if (raw.len < sizeof(rec))
		return -EUCLEAN;
	memcpy(&rec, raw.data, sizeof(rec));
	r = dirent_decode(
	    slice((const uint8_t *)raw.data + sizeof(rec), raw.len - sizeof(rec)),
	    &row.core);
	if (r || row.core.ino != gen->ino)
		return r ? r : -ENOENT;
	row.parent_branch = rec.branch;
	row.cost_s = rec.cost_s;
	row.has_hash = rec.has_hash;
	memcpy(row.hash, rec.hash, sizeof(row.hash));
	note_origin(gen, &row, 1);
	return make_ready(gen, &row, rec.inherited_ttl_ns);
}

int gen_resume(struct store *st, uint64_t ino, struct kept *lost,
	       struct store_gen **ret_gen)
{
	struct store_gen *gen;
	int r = gen_ref(st, ino, &gen);

	if (r) {
		keep_free(lost);
		return r;
	}
	if (lost)
		gen->kept = lost;
	r = store_ino_in_tree(ino) ? open_nameless_in_tree(gen)
	    : gen->kept		   ? open_nameless(gen)
				   : -ENOENT;
	if (r) {
		gen_unref(gen);
		return r;
	}
	*ret_gen = gen;
	return 0;
}

void store_gen_close(struct store_gen *gen)
{
	if (gen)
		gen_unref(gen);
}

/* ---- attributes ---- */

uint64_t gen_size(const struct store_gen *gen)
{
	return gen->size_bytes;
}

void gen_core(struct store_gen *gen, struct row_core *ret_core,
	      int64_t *ret_inherited_ttl_ns)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gen->lock);

	*ret_core = gen->core;
	*ret_inherited_ttl_ns = gen->inherited_ttl_ns;
}

/* Of one that is ready. Under its lock; takes that of the tree it is in. */
static void gen_attr(struct store_gen *gen, struct store_attr *ret_attr)
{
	uint32_t i = tree_entry_of(gen->ino);
	struct pack_entry entry;
	struct row_core core;
	int64_t ttl_ns;

	if (!gen->tree) {
		core_attr(&gen->core, gen->inherited_ttl_ns, ret_attr);
		return;
	}
	gen_core(gen->tree->gen, &core, &ttl_ns);
	pack_get(&gen->tree->pack, i, &entry);
	tree_entry_attr(&core, ttl_ns, i, &entry, ret_attr);
}

int store_gen_attr_by_ino(struct store *st, uint64_t ino, struct store_attr *ret_attr)
{
	struct gen_shard *shard = shard_of(st, ino);
	struct store_gen *gen;
	int r = -ENOENT;

	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, ino);
	if (gen) {
		pthread_mutex_lock(&gen->lock);
		if (gen->ready) {
			gen_attr(gen, ret_attr);
			r = 0;
		}
		pthread_mutex_unlock(&gen->lock);
	}
	pthread_mutex_unlock(&shard->lock);
	return r;
}

void gen_attr_changed(struct store *st, const struct row_core *core)
{
	struct gen_shard *shard = shard_of(st, core->ino);
	struct store_gen *gen;

	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, core->ino);
	if (gen) {
		pthread_mutex_lock(&gen->lock);
		gen->core = *core;
		gen->has_core = true;
		pthread_mutex_unlock(&gen->lock);
	}
	pthread_mutex_unlock(&shard->lock);
}

void store_gen_origin(const struct store_gen *gen, uint64_t *ret_branch,
		      double *ret_cost_s)
{
	*ret_branch = atomic_load_explicit(&gen->branch, memory_order_relaxed);
	*ret_cost_s = atomic_load_explicit(&gen->cost_s, memory_order_relaxed);
}

void store_gen_hit(struct store_gen *gen)
{
	if (gen->tree)
		gen = gen->tree->gen;
	atomic_fetch_add_explicit(&gen->hits, 1, memory_order_relaxed);
}

uint64_t gen_hits(struct store *st, uint64_t ino)
{
	struct gen_shard *shard = shard_of(st, ino);
	struct store_gen *gen;
	uint64_t hits = 0;

	pthread_mutex_lock(&shard->lock);
	gen = find_locked(shard, ino);
	if (gen)
		hits = atomic_load(&gen->hits);
	pthread_mutex_unlock(&shard->lock);
	return hits;
}
