/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/vnode.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/htab.h"

struct node {
	struct vnode v;
	uint64_t nlookup;
	struct hlink by_id, by_key, by_dir;
};

struct vnode_table {
	pthread_mutex_t lock;
	uint64_t next; /* all below: under lock */
	struct htab by_id, by_key;
	struct htab by_dir;	  /* VNODE_DIR only */
	_Atomic size_t dir_count; /* of by_dir; read without the lock */
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

void vnode_table_free(struct vnode_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->by_id.bucket_count; i++) {
		while (t->by_id.buckets[i]) {
			struct hlink *l = t->by_id.buckets[i];

			htab_remove(&t->by_id, l);
			free(CONTAINER_OF(l, struct node, by_id));
		}
	}
	htab_deinit(&t->by_id);
	htab_deinit(&t->by_key);
	htab_deinit(&t->by_dir);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static uint64_t key_hash(const struct vnode *v)
{
	uint64_t key[6] = {v->parent_id, v->kind, v->dir_ino,
			   v->ino,	 v->text, view_hash(&v->view)};

	return hash_bytes(v->name, strlen(v->name), hash_bytes(key, sizeof(key), 0));
}

static bool same(const struct vnode *a, const struct vnode *b)
{
	return a->parent_id == b->parent_id && a->kind == b->kind &&
	       a->dir_ino == b->dir_ino && a->ino == b->ino && a->text == b->text &&
	       view_equal(&a->view, &b->view) && strcmp(a->name, b->name) == 0;
}

static struct node *find_id(struct vnode_table *t, uint64_t id)
{
	for (struct hlink *l = htab_first(&t->by_id, hash_u64(id)); l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, by_id);

		if (n->v.id == id)
			return n;
	}
	return NULL;
}

static struct node *find_key(struct vnode_table *t, const struct vnode *v, uint64_t hash)
{
	for (struct hlink *l = htab_first(&t->by_key, hash); l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, by_key);

		if (same(&n->v, v))
			return n;
	}
	return NULL;
}

static struct node *add(struct vnode_table *t, const struct vnode *want, uint64_t hash)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->v = *want;
	n->v.id = VNODE_BIT | ++t->next;
	if (htab_add(&t->by_id, &n->by_id, hash_u64(n->v.id)))
		goto no_id;
	if (htab_add(&t->by_key, &n->by_key, hash))
		goto no_key;
	if (want->kind != VNODE_DIR)
		return n;
	if (htab_add(&t->by_dir, &n->by_dir, hash_u64(want->dir_ino)))
		goto no_dir;
	atomic_store(&t->dir_count, t->by_dir.count);
	return n;
no_dir:
	htab_remove(&t->by_key, &n->by_key);
no_key:
	htab_remove(&t->by_id, &n->by_id);
no_id:
	free(n);
	return NULL;
}

int vnode_intern(struct vnode_table *t, const struct vnode *want, uint64_t *ret_id,
		 bool *ret_new)
{
	uint64_t hash = key_hash(want);
	struct node *n;
	bool made;

	pthread_mutex_lock(&t->lock);
	n = find_key(t, want, hash);
	made = !n;
	if (!n)
		n = add(t, want, hash);
	if (n && ret_new)
		*ret_new = made;
	if (n) {
		n->nlookup++;
		*ret_id = n->v.id;
	}
	pthread_mutex_unlock(&t->lock);
	return n ? 0 : -ENOMEM;
}

int vnode_get(struct vnode_table *t, uint64_t id, struct vnode *ret_vnode)
{
	struct node *n;

	pthread_mutex_lock(&t->lock);
	n = find_id(t, id);
	if (n)
		*ret_vnode = n->v;
	pthread_mutex_unlock(&t->lock);
	return n ? 0 : -ENOENT;
}

void vnode_forget(struct vnode_table *t, uint64_t id, uint64_t nlookup)
{
	struct node *n;

	pthread_mutex_lock(&t->lock);
	n = find_id(t, id);
	if (n && n->nlookup > nlookup) {
		n->nlookup -= nlookup;
		n = NULL;
	}
	if (n) {
		htab_remove(&t->by_id, &n->by_id);
		htab_remove(&t->by_key, &n->by_key);
		if (n->v.kind == VNODE_DIR) {
			htab_remove(&t->by_dir, &n->by_dir);
			atomic_store(&t->dir_count, t->by_dir.count);
		}
	}
	pthread_mutex_unlock(&t->lock);
	free(n);
}

bool vnode_any_dir(const struct vnode_table *t)
{
	return atomic_load(&t->dir_count) != 0;
}

size_t vnode_aliases(struct vnode_table *t, uint64_t dir_ino, struct vnode *ret_vnodes,
		     size_t max)
{
	size_t found = 0;

	if (!atomic_load(&t->dir_count))
		return 0;
	pthread_mutex_lock(&t->lock);
	for (struct hlink *l = htab_first(&t->by_dir, hash_u64(dir_ino)); l;
	     l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, by_dir);

		if (n->v.dir_ino != dir_ino)
			continue;
		if (found < max)
			ret_vnodes[found] = n->v;
		found++;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}
