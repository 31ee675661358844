/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/sealed.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/node.h"
#include "fs/reply.h"
#include "store/util/log.h"
#include "store/util/text.h"

void sealed_stream_mode(struct store_attr *attr)
{
	if (attr->sealed && !store_ino_in_tree(attr->ino))
		attr->mode = S_IFREG | (attr->mode & 0666);
}

static bool is_shown_as_pack(const struct view *view, const struct store_attr *attr)
{
	return (view->set & VIEW_PACK) && sealed_is_tree(attr);
}

int sealed_show(struct fs *fs, const struct view *view, struct store_attr *attr)
{
	int r;

	if (!is_shown_as_pack(view, attr))
		return 0;
	r = store_getattr(fs->store, store_tree_stream(attr->ino), attr);
	if (!r) {
		sealed_stream_mode(attr);
		sealed_restrict(fs, attr);
	}
	return r;
}

void sealed_restrict(struct fs *fs, struct store_attr *attr)
{
	mode_t mode = 0;

	if (!fs->no_open || !attr->sealed || !S_ISREG(attr->mode) ||
	    store_ino_in_tree(attr->ino) || !(attr->mode & (S_IRGRP | S_IROTH)))
		return;
	if (store_tree_readable(fs->store, attr->ino, &mode))
		mode = 0;
	attr->mode &= ~(mode_t)(S_IRGRP | S_IROTH) | mode;
}

void sealed_show_type(const struct view *view, struct store_attr *attr)
{
	if (!is_shown_as_pack(view, attr))
		return;
	attr->ino = store_tree_stream(attr->ino);
	sealed_stream_mode(attr);
}

bool sealed_is_gone(struct fs *fs, uint64_t ino)
{
	struct store_attr attr;

	return store_ino_in_tree(ino) &&
	       store_getattr(fs->store, store_tree_stream(ino), &attr) == -ENOENT;
}

/* ---- reading ---- */

static bool is_trusted(fuse_req_t req, const struct store_attr *attr)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	return uid == 0 || uid == attr->uid;
}

int sealed_may_go_on(fuse_req_t req, const struct store_attr *attr)
{
	struct fs *fs = fs_of(req);
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	mode_t mode;
	int r;

	if (!attr->sealed || is_trusted(req, attr))
		return 0;
	r = store_tree_readable(fs->store, attr->ino, &mode);
	if (!r && (mode & (caller_in_group(req, attr->gid) ? S_IRGRP : S_IROTH)))
		return 0;
	if (r)
		return r;
	if (name_of_ino(fs, attr->ino, &branch, name) == 0)
		log_warning(
		    "\"%s\" is not read as a pack by uid %u, who may not read all "
		    "that is in it; read the directory",
		    name, fuse_req_ctx(req)->uid);
	return -EACCES;
}

int sealed_may_read(fuse_req_t req, uint64_t ino)
{
	struct store_attr attr;
	int r = store_gen_attr_by_ino(fs_of(req)->store, ino, &attr);

	return r ? r : sealed_may_go_on(req, &attr);
}

/* ---- refusing ---- */

#define SAY_AGAIN_NS (60 * NSEC_PER_SEC) /* of the same tree */
#define SAY_NEXT_NS NSEC_PER_SEC	 /* of another */

/* `rm -r` of a tree is refused once for each file. True: it is time to say so. */
static bool may_say(struct fs *fs, uint64_t tree_ino)
{
	int64_t said_ns = atomic_load(&fs->sealed_said_ns);
	bool same = atomic_load(&fs->sealed_said_ino) == tree_ino;
	int64_t now_ns = time_monotonic_ns();

	if (said_ns && now_ns - said_ns < (same ? SAY_AGAIN_NS : SAY_NEXT_NS))
		return false;
	if (!atomic_compare_exchange_strong(&fs->sealed_said_ns, &said_ns, now_ns))
		return false;
	atomic_store(&fs->sealed_said_ino, tree_ino);
	return true;
}

int sealed_refuse(struct fs *fs, uint64_t ino)
{
	char name[STORE_NAME_MAX + 1], quoted[TEXT_QUOTE_MAX];
	uint64_t branch;

	if (may_say(fs, store_tree_root(ino)) &&
	    entry_of_ino(fs, ino, &branch, name) == 0)
		log_warning("%s is a sealed tree: remove it whole with rmdir or memofs "
			    "rm, or replace it",
			    text_quote(quoted, name, strlen(name)));
	return -EPERM;
}
