/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries are kept as a tree while they are added, found by (parent, name), and
 * put into the order of the pack at the end, breadth first: each directory's children
 * are sorted and appended to the order, which is walked meanwhile.
 */
#include "store/util/pack.h"

#include <errno.h>
#include <stdlib.h>

#include "store/util/htab.h"
#include "store/util/pack_record.h"

struct node {
	struct hlink link; /* in `nodes`, by parent and name */
	struct node *parent, *children, *sibling;
	struct node *next;     /* of all, in the order they were added */
	struct pack_item item; /* path and hash are not used */
	uint8_t hash[PACK_HASH_BYTES];
	bool implied; /* not added itself: something below it was */
	char *target;
	uint32_t index, n_children; /* the index once the order is known */
	uint8_t name_len;
	char name[];
};

struct pack_maker {
	struct htab nodes;
	struct node *root;
	struct node *all;
	uint32_t n_nodes;
	size_t strings_bytes;
	struct buf meta;
};

static struct slice node_name(const struct node *n)
{
	return slice(n->name, n->name_len);
}

static uint64_t node_hash(const struct node *parent, struct slice name)
{
	return hash_bytes(name.data, name.len, (uintptr_t)parent);
}

static struct node *child_of(const struct pack_maker *m, const struct node *parent,
			     struct slice name)
{
	uint64_t hash = node_hash(parent, name);

	for (struct hlink *l = htab_first(&m->nodes, hash); l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, link);

		if (n->parent == parent && n->name_len == name.len &&
		    !memcmp(n->name, name.data, name.len))
			return n;
	}
	return NULL;
}

/* An implied directory: what is added as something else is made into that. */
static int make_node(struct pack_maker *m, struct node *parent, struct slice name,
		     struct node **ret_node)
{
	struct node *n;

	if (m->n_nodes == PACK_ENTRIES_MAX ||
	    m->strings_bytes + name.len > PACK_STRINGS_MAX)
		return -E2BIG;
	n = calloc(1, sizeof(*n) + name.len);
	if (!n || htab_add(&m->nodes, &n->link, node_hash(parent, name))) {
		free(n);
		return -ENOMEM;
	}
	n->parent = parent;
	n->implied = true;
	n->item = (struct pack_item){.type = PACK_DIR, .mode = 0755};
	n->name_len = (uint8_t)name.len;
	if (name.len)
		memcpy(n->name, name.data, name.len);
	if (parent) {
		n->sibling = parent->children;
		parent->children = n;
		parent->n_children++;
	}
	n->next = m->all;
	m->all = n;
	m->n_nodes++;
	m->strings_bytes += name.len;
	*ret_node = n;
	return 0;
}

int pack_maker_new(struct pack_maker **ret_maker)
{
	struct pack_maker *m = calloc(1, sizeof(*m));

	if (!m || make_node(m, NULL, slice(NULL, 0), &m->root)) {
		pack_maker_free(m);
		return -ENOMEM;
	}
	*ret_maker = m;
	return 0;
}

void pack_maker_free(struct pack_maker *m)
{
	if (!m)
		return;
	while (m->all) {
		struct node *n = m->all;

		m->all = n->next;
		free(n->target);
		free(n);
	}
	htab_deinit(&m->nodes);
	buf_deinit(&m->meta);
	free(m);
}

/* All parts are checked before anything is made of them. */
static int check_path(const char *path)
{
	if (!*path)
		return 0;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len > PACK_NAME_MAX)
			return -ENAMETOOLONG;
		if (!pack_name_valid(slice(path, len)))
			return -EINVAL;
		if (!path[len])
			return 0;
		path += len + 1;
	}
}

static int check_item(const struct pack_item *item)
{
	int ret = check_path(item->path);

	if (ret)
		return ret;
	if (item->type != PACK_LINK)
		return 0;
	if (!*item->target)
		return -EINVAL;
	return strlen(item->target) > PACK_TARGET_MAX ? -ENAMETOOLONG : 0;
}

/* The node of a path; what is missing on the way, and it itself, are made. */
static int walk(struct pack_maker *m, const char *path, struct node **ret_node)
{
	struct node *n = m->root;

	while (*path) {
		size_t len = strcspn(path, "/");
		struct slice name = slice(path, len);
		struct node *child = child_of(m, n, name);
		int ret;

		if (n->item.type != PACK_DIR)
			return -EEXIST;
		if (!child && (ret = make_node(m, n, name, &child)))
			return ret;
		n = child;
		path += len;
		path += *path == '/';
	}
	*ret_node = n;
	return 0;
}

static int set_target(struct pack_maker *m, struct node *n, const char *target)
{
	size_t len = strlen(target);

	if (m->strings_bytes + len > PACK_STRINGS_MAX)
		return -E2BIG;
	n->target = strdup(target);
	if (!n->target)
		return -ENOMEM;
	m->strings_bytes += len;
	return 0;
}

int pack_maker_add(struct pack_maker *m, const struct pack_item *item)
{
	struct node *n;
	int ret = check_item(item);

	if (!ret)
		ret = walk(m, item->path, &n);
	if (ret)
		return ret;
	if (!n->implied)
		return -EEXIST;
	/* Something is below it already, or it is the root. */
	if (item->type != PACK_DIR && (n->children || n == m->root))
		return -EEXIST;
	if (item->type == PACK_LINK && (ret = set_target(m, n, item->target)))
		return ret;
	n->item = *item;
	n->item.mode = item->type == PACK_LINK ? 0777 : item->mode & 0777;
	if (item->type == PACK_FILE)
		memcpy(n->hash, item->hash, PACK_HASH_BYTES);
	n->implied = false;
	return 0;
}

int pack_maker_meta(struct pack_maker *m, struct slice meta)
{
	return meta.len > PACK_META_MAX ? -E2BIG : buf_set(&m->meta, meta.data, meta.len);
}

static int by_name(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return pack_name_cmp(node_name(*x), node_name(*y));
}

/* `order` has room for all nodes. */
static void sort_nodes(const struct pack_maker *m, struct node **order)
{
	uint32_t made = 1;

	order[0] = m->root;
	for (uint32_t i = 0; i < made; i++) {
		uint32_t first = made;

		order[i]->index = i;
		for (struct node *n = order[i]->children; n; n = n->sibling)
			order[made++] = n;
		qsort(order + first, made - first, sizeof(*order), by_name);
	}
}

/* Children come after their directory: from the end, all of them are known. */
static void date_implied(struct node *const *order, uint32_t n_nodes)
{
	for (uint32_t i = n_nodes; i-- > 0;) {
		struct node *dir = order[i];

		if (!dir->implied)
			continue;
		dir->item.mtime_ns = dir->children ? INT64_MIN : 0;
		for (struct node *n = dir->children; n; n = n->sibling)
			if (n->item.mtime_ns > dir->item.mtime_ns)
				dir->item.mtime_ns = n->item.mtime_ns;
	}
}

/* Where the next record, string and child go. */
struct cursor {
	uint8_t *record, *strings;
	uint32_t string_off, next_child;
};

static uint32_t put_string(struct cursor *c, struct slice text)
{
	uint32_t off = c->string_off;

	if (text.len)
		memcpy(c->strings + off, text.data, text.len);
	c->string_off += (uint32_t)text.len;
	return off;
}

static void put_node(struct cursor *c, const struct node *n)
{
	const struct pack_item *item = &n->item;
	uint8_t *rec = c->record;
	uint64_t a = item->off, b = item->size_bytes;

	memset(rec, 0, PACK_RECORD_BYTES);
	rec[REC_TYPE] = (uint8_t)item->type;
	rec[REC_NAME_LEN] = n->name_len;
	put_u16(rec + REC_PERM, (uint16_t)item->mode);
	put_u32(rec + REC_PARENT, n->parent ? n->parent->index : 0);
	put_u32(rec + REC_NAME_OFF, put_string(c, node_name(n)));
	put_u64(rec + REC_MTIME, (uint64_t)item->mtime_ns);
	if (item->type == PACK_DIR) {
		a = c->next_child;
		b = n->n_children;
		c->next_child += n->n_children;
	} else if (item->type == PACK_LINK) {
		b = strlen(n->target);
		a = put_string(c, slice(n->target, b));
	} else {
		memcpy(rec + REC_HASH, n->hash, PACK_HASH_BYTES);
	}
	put_u64(rec + REC_A, a);
	put_u64(rec + REC_B, b);
	c->record += PACK_RECORD_BYTES;
}

static int put_trailer(const struct pack_maker *m, uint64_t contents_bytes,
		       const uint8_t *index, size_t index_bytes, uint8_t *raw)
{
	memset(raw, 0, PACK_TRAILER_BYTES);
	memcpy(raw + TRAILER_MAGIC, PACK_MAGIC, 8);
	put_u32(raw + TRAILER_FORMAT, PACK_FORMAT);
	put_u32(raw + TRAILER_ENTRIES, m->n_nodes);
	put_u64(raw + TRAILER_INDEX_OFF, contents_bytes);
	put_u64(raw + TRAILER_STRINGS, m->strings_bytes);
	put_u64(raw + TRAILER_META, m->meta.len);
	if (pack_tree_hash(index, m->n_nodes, raw + TRAILER_TREE_HASH))
		return -ENOMEM;
	pack_hash(index, index_bytes, raw + TRAILER_INDEX_HASH);
	put_u64(raw + TRAILER_SUM, XXH3_64bits(raw, TRAILER_SUM));
	return 0;
}

static int put_all(const struct pack_maker *m, struct node *const *order,
		   uint64_t contents_bytes, struct buf *raw)
{
	size_t records_bytes = (size_t)m->n_nodes * PACK_RECORD_BYTES;
	size_t index_bytes = records_bytes + m->strings_bytes + m->meta.len;
	struct cursor c = {.next_child = 1};
	uint8_t *index;

	if (buf_reserve(raw, raw->len + index_bytes + PACK_TRAILER_BYTES))
		return -ENOMEM;
	index = raw->data + raw->len;
	c.record = index;
	c.strings = index + records_bytes;
	for (uint32_t i = 0; i < m->n_nodes; i++)
		put_node(&c, order[i]);
	if (m->meta.len)
		memcpy(index + records_bytes + m->strings_bytes, m->meta.data,
		       m->meta.len);
	if (put_trailer(m, contents_bytes, index, index_bytes, index + index_bytes))
		return -ENOMEM;
	raw->len += index_bytes + PACK_TRAILER_BYTES;
	return 0;
}

static bool contents_within(const struct pack_maker *m, uint64_t contents_bytes)
{
	for (const struct node *n = m->all; n; n = n->next)
		if (n->item.type == PACK_FILE &&
		    (n->item.off > contents_bytes ||
		     n->item.size_bytes > contents_bytes - n->item.off))
			return false;
	return true;
}

int pack_maker_finish(struct pack_maker *m, uint64_t contents_bytes, struct buf *ret_raw)
{
	struct node **order;
	int ret;

	if (!contents_within(m, contents_bytes))
		return -EINVAL;
	order = calloc(m->n_nodes, sizeof(struct node *));
	if (!order)
		return -ENOMEM;
	sort_nodes(m, order);
	date_implied(order, m->n_nodes);
	ret = put_all(m, order, contents_bytes, ret_raw);
	free(order);
	return ret;
}
