/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the thread is at, so that a line of the log can be found under its namespace.
 * To say so costs nothing; which namespace that is, is asked when a line is written.
 */
#ifndef MEMOFS_FS_TOPIC_H
#define MEMOFS_FS_TOPIC_H

#include "fs/fs.h"

enum topic_kind {
	TOPIC_NONE,
	TOPIC_NODE,	 /* of the kernel */
	TOPIC_BRANCH,	 /* of the store */
	TOPIC_NAMESPACE, /* as store_namespace() */
};

struct topic {
	enum topic_kind kind;
	uint64_t number;
	struct fs *fs; /* whose node it is; NULL: it is none */
};

/* From now on the thread is at this, which is no node. Returns what it was at. */
struct topic topic_enter(enum topic_kind kind, uint64_t number);
/* At a node of this mount, until the thread leaves it; it must not be freed before. */
void topic_enter_node(struct fs *fs, uint64_t nodeid);
void topic_leave(struct topic former);

/*
 * From now on lines of the log are tagged with their namespace; NULL: no more, to be
 * called when no thread has a topic.
 */
void topic_begin(struct fs *fs);

#endif
