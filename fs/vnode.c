/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node of a file is small, because `ls -l` of a million files under a view makes
 * a million of them, for as long as the kernel remembers: 72 bytes, of which malloc
 * makes 80, and two pointers in each of the two tables' buckets, some 110 MB for a
 * million; the kernel itself needs a gigabyte for them. So views are kept once,
 * however many nodes have one, and what files do not need is in nodes of another
 * size.
 */
#include "fs/vnode.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/util/htab.h"
#include "store/util/keep.h"

/* A view that nodes have. */
struct shared_view {
	struct view view;
	uint64_t refs;
	struct hlink link;
};

struct node {
	uint64_t id;
	union {
		uint64_t nlookup;
		struct kept *kept; /* which counts them; see "kept" */
	};
	uint64_t ino; /* of the store: of a file's, else of its directory */
	struct shared_view *view;
	struct hlink by_id;
	struct hlink by_what; /* of a file or directory: all of the inode in one chain */
	enum vnode_kind kind;
	bool is_kept;
};

/* All but files. */
struct place_node {
	struct node n;
	uint64_t parent_id;
	char *name;	/* NULL: it needs none */
	uint64_t bound; /* VNODE_WAIT: what it has become, or 0 */
	unsigned int text;
};

_Static_assert(sizeof(struct node) <= 72, "see above");

enum { SHARED_SLOTS = 1024 };

struct vnode_table {
	pthread_mutex_t lock;
	uint64_t next; /* all below: under lock */
	struct htab by_id, by_what, views;
	uint64_t dirs, files;
	_Atomic bool any_dir, any_file; /* read without the lock */
	/* Directories that were seen by more than one path lately, each in the slot of
	 * its number; the last one has it. */
	_Atomic uint64_t shared[SHARED_SLOTS];
	struct keep *keep;
	struct kept *ids; /* of `keep`: its counter 0 is `next` */
};

int vnode_table_new(struct vnode_table **ret_table)
{
	struct vnode_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*ret_table = t;
	return 0;
}

static struct place_node *place_of(struct node *n)
{
	return n->kind == VNODE_FILE ? NULL : CONTAINER_OF(n, struct place_node, n);
}

static void node_free(struct node *n)
{
	struct place_node *place = n ? place_of(n) : NULL;

	if (place)
		free(place->name);
	free(place ? (void *)place : n);
}

/* ---- views, under the lock ---- */

/* A reference; NULL: no memory. */
static struct shared_view *view_ref(struct vnode_table *t, const struct view *v)
{
	uint64_t hash = view_hash(v);
	struct shared_view *sv;

	for (struct hlink *l = htab_first(&t->views, hash); l; l = htab_next(l)) {
		sv = CONTAINER_OF(l, struct shared_view, link);
		if (view_equal(&sv->view, v)) {
			sv->refs++;
			return sv;
		}
	}
	sv = calloc(1, sizeof(*sv));
	if (!sv || htab_add(&t->views, &sv->link, hash)) {
		free(sv);
		return NULL;
	}
	sv->view = *v;
	sv->refs = 1;
	return sv;
}

static void view_unref(struct vnode_table *t, struct shared_view *sv)
{
	if (!sv || --sv->refs)
		return;
	htab_remove(&t->views, &sv->link);
	free(sv);
}

/* ---- finding, under the lock ---- */

static struct node *find_id(struct vnode_table *t, uint64_t id)
{
	for (struct hlink *l = htab_first(&t->by_id, hash_u64(id)); l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, by_id);

		if (n->id == id)
			return n;
	}
	return NULL;
}

static uint64_t ino_of(const struct vnode *v)
{
	return v->kind == VNODE_FILE ? v->ino : v->dir_ino;
}

static bool same_name(const char *a, const char *b)
{
	return strcmp(a ? a : "", b) == 0;
}

static bool same(struct node *n, const struct vnode *v, const struct shared_view *view)
{
	const struct place_node *place = place_of(n);

	if (n->kind != v->kind || n->ino != ino_of(v) || n->view != view)
		return false;
	return !place || (place->parent_id == v->parent_id && place->text == v->text &&
			  !place->bound && same_name(place->name, v->name));
}

static uint64_t what_hash(const struct vnode *v, const struct shared_view *view)
{
	uint64_t key[] = {v->kind, ino_of(v), v->parent_id, v->text, (uintptr_t)view};
	bool by_ino = v->kind == VNODE_DIR || v->kind == VNODE_FILE;
	uint64_t hash = hash_bytes(key, by_ino ? 2 * sizeof(key[0]) : sizeof(key), 0);

	return by_ino ? hash : hash_bytes(v->name, strlen(v->name), hash);
}

static struct node *find_same(struct vnode_table *t, const struct vnode *v,
			      const struct shared_view *view)
{
	struct hlink *l = htab_first(&t->by_what, what_hash(v, view));

	for (; l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, by_what);

		if (same(n, v, view))
			return n;
	}
	return NULL;
}

/* ---- making and ending, under the lock ---- */

static void count(struct vnode_table *t, enum vnode_kind kind, int64_t by)
{
	if (kind == VNODE_DIR)
		t->dirs += (uint64_t)by;
	if (kind == VNODE_FILE)
		t->files += (uint64_t)by;
	atomic_store(&t->any_dir, t->dirs != 0);
	atomic_store(&t->any_file, t->files != 0);
}

static struct node *node_new(const struct vnode *want)
{
	struct place_node *place;

	if (want->kind == VNODE_FILE)
		return calloc(1, sizeof(struct node));
	place = calloc(1, sizeof(*place));
	if (!place)
		return NULL;
	place->parent_id = want->parent_id;
	place->text = want->text;
	if (*want->name)
		place->name = strdup(want->name);
	if (*want->name && !place->name) {
		free(place);
		return NULL;
	}
	return &place->n;
}

/* Takes over the reference of `view` when it succeeds. */
static struct node *add(struct vnode_table *t, const struct vnode *want,
			struct shared_view *view, uint64_t id)
{
	struct node *n = node_new(want);

	if (!n)
		return NULL;
	n->kind = want->kind;
	n->ino = ino_of(want);
	n->view = view;
	n->id = id;
	if (htab_add(&t->by_id, &n->by_id, hash_u64(n->id)))
		goto no_id;
	if (htab_add(&t->by_what, &n->by_what, what_hash(want, view)))
		goto no_what;
	count(t, n->kind, 1);
	return n;
no_what:
	htab_remove(&t->by_id, &n->by_id);
no_id:
	node_free(n);
	return NULL;
}

static void remove_node(struct vnode_table *t, struct node *n)
{
	htab_remove(&t->by_id, &n->by_id);
	htab_remove(&t->by_what, &n->by_what);
	view_unref(t, n->view);
	count(t, n->kind, -1);
}

void vnode_table_free(struct vnode_table *t)
{
	if (!t)
		return;
	for (struct hwalk w = htab_walk(&t->by_id); w.link; hwalk_next(&w)) {
		struct node *n = CONTAINER_OF(w.link, struct node, by_id);

		remove_node(t, n);
		node_free(n);
	}
	htab_deinit(&t->by_id);
	htab_deinit(&t->by_what);
	htab_deinit(&t->views);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- kept ---- */

/*
 * One object a node: a record of what it is, and two counters. Lookups are counted before
 * the kernel is answered, so after a death there may be one too many, never one too few.
 */
enum { COUNTER_LOOKUPS, COUNTER_BOUND };

/* The names follow: name, version, owner, without their NUL. */
struct node_record {
	uint64_t ino, parent_id;
	int64_t max_age_ns, since_ns, wait_ns;
	uint32_t kind, text, set;
	uint32_t name_len, version_len, owner_len;
};

/* Without room it is not kept: who goes on answers ESTALE to it. */
static void keep_node(struct vnode_table *t, struct node *n, const struct vnode *v)
{
	const struct view *view = &v->view;
	struct node_record rec = {
	    .ino = ino_of(v),
	    .parent_id = v->parent_id,
	    .max_age_ns = view->max_age_ns,
	    .since_ns = view->since_ns,
	    .wait_ns = view->wait_ns,
	    .kind = v->kind,
	    .text = v->text,
	    .set = view->set,
	    .name_len = (uint32_t)strlen(v->name),
	    .version_len = (uint32_t)strlen(view->version),
	    .owner_len = (uint32_t)strlen(view->owner),
	};
	struct slice pieces[] = {
	    slice(&rec, sizeof(rec)),
	    slice(v->name, rec.name_len),
	    slice(view->version, rec.version_len),
	    slice(view->owner, rec.owner_len),
	};
	struct kept *kept;

	if (!t->keep)
		return;
	atomic_store(keep_counter(t->ids, 0), t->next); /* also of one without room */
	if (keep_new(t->keep, KEEP_VNODE, n->id, &kept))
		return;
	if (keep_append(kept, pieces, 4)) {
		keep_free(kept);
		return;
	}
	n->kept = kept;
	n->is_kept = true;
}

static void count_lookup(struct node *n)
{
	if (n->is_kept)
		keep_count(n->kept, COUNTER_LOOKUPS, 1);
	else
		n->nlookup++;
}

/* True: none is left. */
static bool uncount_lookups(struct node *n, uint64_t nlookup)
{
	uint64_t left =
	    n->is_kept ? atomic_load(keep_counter(n->kept, COUNTER_LOOKUPS)) : n->nlookup;

	if (left <= nlookup)
		return true;
	if (n->is_kept)
		keep_count(n->kept, COUNTER_LOOKUPS, -(int64_t)nlookup);
	else
		n->nlookup -= nlookup;
	return false;
}

static bool take_text(struct slice *s, uint32_t len, char *ret_text, size_t max_len)
{
	if (len > max_len || len > s->len)
		return false;
	memcpy(ret_text, s->data, len);
	ret_text[len] = '\0';
	*s = slice((const uint8_t *)s->data + len, s->len - len);
	return true;
}

static int decode(struct slice s, struct vnode *ret_v)
{
	struct view *view = &ret_v->view;
	struct node_record rec;

	if (s.len < sizeof(rec))
		return -EUCLEAN;
	memcpy(&rec, s.data, sizeof(rec));
	s = slice((const uint8_t *)s.data + sizeof(rec), s.len - sizeof(rec));
	*ret_v = (struct vnode){
	    .kind = rec.kind, .parent_id = rec.parent_id, .text = rec.text};
	if (rec.kind == VNODE_FILE)
		ret_v->ino = rec.ino;
	else
		ret_v->dir_ino = rec.ino;
	view->set = rec.set;
	view->max_age_ns = rec.max_age_ns;
	view->since_ns = rec.since_ns;
	view->wait_ns = rec.wait_ns;
	return rec.kind <= VNODE_JOB &&
		       take_text(&s, rec.name_len, ret_v->name, STORE_NAME_MAX) &&
		       take_text(&s, rec.version_len, view->version, STORE_VERSION_MAX) &&
		       take_text(&s, rec.owner_len, view->owner, STORE_OWNER_MAX)
		   ? 0
		   : -EUCLEAN;
}

struct resumed {
	struct vnode_table *t;
	struct kept *o;
	bool whole;
};

static int resume_node(void *arg, struct slice record)
{
	struct resumed *res = arg;
	struct shared_view *view;
	struct vnode v;
	struct node *n;
	int r = decode(record, &v);

	if (r)
		return r;
	view = view_ref(res->t, &v.view);
	n = view ? add(res->t, &v, view, keep_id(res->o)) : NULL;
	if (!n)
		return -ENOMEM; /* the process ends */
	n->is_kept = true;
	n->kept = res->o;
	if (place_of(n))
		place_of(n)->bound = atomic_load(keep_counter(res->o, COUNTER_BOUND));
	res->whole = true;
	return 0;
}

/* What was not complete, or not counted yet, the kernel does not know. */
static int resume_object(void *arg, struct kept *o)
{
	struct resumed res = {.t = arg, .o = o};
	int r = 0;

	if (keep_id(o) == 0) {
		res.t->ids = o;
		res.t->next = atomic_load(keep_counter(o, 0));
		return 0;
	}
	if (atomic_load(keep_counter(o, COUNTER_LOOKUPS)))
		r = keep_records(o, resume_node, &res);
	if (!r && !res.whole)
		keep_free(o);
	return r;
}

/*
 * Ids that the kernel may have from a daemon whose kept memory is lost are not to become
 * another's: none before was given out later than now, were it one a nanosecond.
 */
static int begin_ids(struct vnode_table *t, struct keep *k)
{
	struct timespec now;
	int r;

	clock_gettime(CLOCK_BOOTTIME, &now);
	t->next += (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	r = keep_new(k, KEEP_VNODE, 0, &t->ids);
	if (!r)
		atomic_store(keep_counter(t->ids, 0), t->next);
	return r;
}

int vnode_resume(struct vnode_table *t, struct keep *k)
{
	int r;

	pthread_mutex_lock(&t->lock);
	t->keep = k;
	r = keep_each(k, KEEP_VNODE, resume_object, t);
	if (!r && k && !t->ids)
		r = begin_ids(t, k);
	pthread_mutex_unlock(&t->lock);
	return r;
}

int vnode_places(struct vnode_table *t, struct buf *ret_ids)
{
	int r = 0;

	pthread_mutex_lock(&t->lock);
	for (struct hwalk w = htab_walk(&t->by_id); !r && w.link; hwalk_next(&w)) {
		const struct node *n = CONTAINER_OF(w.link, struct node, by_id);

		if (n->kind != VNODE_FILE && n->kind != VNODE_WAIT)
			r = buf_append(ret_ids, &n->id, sizeof(n->id));
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* ---- the calls ---- */

int vnode_intern(struct vnode_table *t, const struct vnode *want, uint64_t *ret_id,
		 bool *ret_new)
{
	struct shared_view *view;
	struct node *n = NULL;
	bool made = false;

	pthread_mutex_lock(&t->lock);
	view = view_ref(t, &want->view);
	if (view)
		n = find_same(t, want, view);
	if (view && !n) {
		n = add(t, want, view, VNODE_BIT | ++t->next);
		made = n;
	}
	if (!made)
		view_unref(t, view);
	else
		keep_node(t, n, want);
	if (n) {
		count_lookup(n);
		*ret_id = n->id;
	}
	pthread_mutex_unlock(&t->lock);
	if (n && ret_new)
		*ret_new = made;
	return n ? 0 : -ENOMEM;
}

/* Under the lock. */
static void copy_out(struct node *n, struct vnode *ret_vnode)
{
	const struct place_node *place = place_of(n);

	*ret_vnode = (struct vnode){.id = n->id, .kind = n->kind, .view = n->view->view};
	if (!place) {
		ret_vnode->ino = n->ino;
		return;
	}
	ret_vnode->dir_ino = n->ino;
	ret_vnode->parent_id = place->parent_id;
	ret_vnode->ino = place->bound;
	ret_vnode->text = place->text;
	if (place->name)
		strcpy(ret_vnode->name, place->name);
}

int vnode_get(struct vnode_table *t, uint64_t id, struct vnode *ret_vnode)
{
	struct node *n;

	pthread_mutex_lock(&t->lock);
	n = find_id(t, id);
	if (n)
		copy_out(n, ret_vnode);
	pthread_mutex_unlock(&t->lock);
	return n ? 0 : -ENOENT;
}

int vnode_bind(struct vnode_table *t, uint64_t id, uint64_t ino)
{
	struct place_node *place;
	struct node *n;
	int r = -ENOENT;

	pthread_mutex_lock(&t->lock);
	n = find_id(t, id);
	place = n ? place_of(n) : NULL;
	if (place && !place->bound) {
		place->bound = ino;
		if (n->is_kept)
			atomic_store(keep_counter(n->kept, COUNTER_BOUND), ino);
	}
	if (place)
		r = place->bound == ino ? 0 : -EBUSY;
	pthread_mutex_unlock(&t->lock);
	return r;
}

void vnode_forget(struct vnode_table *t, uint64_t id, uint64_t nlookup)
{
	struct node *n;

	pthread_mutex_lock(&t->lock);
	n = find_id(t, id);
	if (n && !uncount_lookups(n, nlookup))
		n = NULL;
	if (n)
		remove_node(t, n);
	if (n && n->is_kept)
		keep_free(n->kept);
	pthread_mutex_unlock(&t->lock);
	node_free(n);
}

bool vnode_any_dir(const struct vnode_table *t)
{
	return atomic_load(&t->any_dir);
}

bool vnode_dir_share(struct vnode_table *t, uint64_t dir_ino)
{
	return atomic_exchange(&t->shared[dir_ino % SHARED_SLOTS], dir_ino) != dir_ino;
}

bool vnode_dir_shared(struct vnode_table *t, uint64_t dir_ino)
{
	return atomic_load(&t->shared[dir_ino % SHARED_SLOTS]) == dir_ino ||
	       vnode_dirs_of(t, dir_ino, NULL, 0) > 0;
}

uint64_t vnode_count(struct vnode_table *t)
{
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	n = t->by_id.count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

static size_t nodes_of(struct vnode_table *t, const struct vnode *what, uint64_t *ret_ids,
		       size_t max)
{
	struct hlink *l;
	size_t found = 0;

	pthread_mutex_lock(&t->lock);
	for (l = htab_first(&t->by_what, what_hash(what, NULL)); l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, by_what);

		if (n->kind != what->kind || n->ino != ino_of(what))
			continue;
		if (found < max)
			ret_ids[found] = n->id;
		found++;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

size_t vnode_dirs_of(struct vnode_table *t, uint64_t dir_ino, uint64_t *ret_ids,
		     size_t max)
{
	if (!atomic_load(&t->any_dir))
		return 0;
	return nodes_of(t, &(struct vnode){.kind = VNODE_DIR, .dir_ino = dir_ino},
			ret_ids, max);
}

size_t vnode_files_of(struct vnode_table *t, uint64_t ino, uint64_t *ret_ids, size_t max)
{
	if (!atomic_load(&t->any_file))
		return 0;
	return nodes_of(t, &(struct vnode){.kind = VNODE_FILE, .ino = ino}, ret_ids, max);
}
