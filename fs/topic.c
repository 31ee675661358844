/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/topic.h"

#include "fs/node.h"
#include "store/util/log.h"

static __thread struct topic current;
/* The process has one log, and one store: this is the mount that all others are of. */
static _Atomic(struct fs *) topic_fs;

struct topic topic_enter(enum topic_kind kind, uint64_t number)
{
	struct topic former = current;

	current = (struct topic){kind, number, NULL};
	return former;
}

void topic_enter_node(struct fs *fs, uint64_t nodeid)
{
	current = (struct topic){TOPIC_NODE, nodeid, fs};
}

void topic_leave(struct topic former)
{
	current = former;
}

/* 0: none, or not known. A directory's number is that of a branch of it. */
static uint64_t namespace_of_ino(struct fs *fs, uint64_t ino)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch, ns_ino;

	if (!store_ino_in_tree(ino) && store_namespace(fs->store, ino, &ns_ino) == 0)
		return ns_ino;
	if (entry_of_ino(fs, ino, &branch, name) ||
	    store_namespace(fs->store, branch, &ns_ino))
		return 0;
	return ns_ino;
}

static uint64_t namespace_of_node(struct fs *fs, uint64_t nodeid)
{
	struct vnode v;

	if (!vnode_is(nodeid))
		return namespace_of_ino(fs, nodeid);
	if (vnode_get(fs->vnodes, nodeid, &v))
		return 0;
	return namespace_of_ino(fs, v.kind == VNODE_FILE ? v.ino : v.dir_ino);
}

/* By a thread that may have locks of the store, but none of the tables of fs/. */
static uint64_t tag(void)
{
	struct fs *fs = atomic_load(&topic_fs);
	uint64_t ns_ino;

	switch (fs ? current.kind : TOPIC_NONE) {
	case TOPIC_NODE:
		return namespace_of_node(current.fs, current.number);
	case TOPIC_BRANCH:
		return store_namespace(fs->store, current.number, &ns_ino) ? 0 : ns_ino;
	case TOPIC_NAMESPACE:
		return current.number;
	case TOPIC_NONE:
		break;
	}
	return 0;
}

void topic_begin(struct fs *fs)
{
	atomic_store(&topic_fs, fs);
	log_set_tagger(fs ? tag : NULL);
}
