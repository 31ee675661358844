/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/node.h"

#include <errno.h>
#include <string.h>

#include "fs/kcache.h"
#include "fs/pending.h"
#include "fs/recent.h"
#include "fs/reply.h"

int dirref_get(struct fs *fs, fuse_ino_t nodeid, struct dirref *ret_dir)
{
	struct vnode v;
	int r;

	if (!vnode_is(nodeid)) {
		ret_dir->nodeid = nodeid;
		ret_dir->ino = nodeid;
		ret_dir->view = (struct view){0};
		return 0;
	}
	r = vnode_get(fs->vnodes, nodeid, &v);
	if (r)
		return r;
	if (v.kind == VNODE_TEXT)
		return -ENOTDIR;
	if (v.kind != VNODE_DIR)
		return -EPERM;
	ret_dir->nodeid = nodeid;
	ret_dir->ino = v.dir_ino;
	ret_dir->view = v.view;
	return 0;
}

const char *dirref_version(const struct dirref *dir)
{
	return dir->view.set & VIEW_VERSION ? dir->view.version : NULL;
}

int dirref_branch(struct fs *fs, const struct dirref *dir, bool create,
		  uint64_t *ret_branch)
{
	return store_branch(fs->store, dir->ino, dirref_version(dir), create, ret_branch);
}

int dirref_child(struct fs *fs, fuse_ino_t nodeid, const char *name, bool create,
		 struct dirref *ret_dir, uint64_t *ret_branch)
{
	int r;

	if (strlen(name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	if (strcmp(name, CONTROL_NAME) == 0)
		return -EPERM;
	r = dirref_get(fs, nodeid, ret_dir);
	return r ? r : dirref_branch(fs, ret_dir, create, ret_branch);
}

int node_ino(struct fs *fs, fuse_ino_t nodeid, uint64_t *ret_ino)
{
	struct dirref dir;
	int r = 0;

	if (vnode_is(nodeid))
		r = dirref_get(fs, nodeid, &dir);
	if (r)
		return r == -ENOTDIR ? -EPERM : r;
	*ret_ino = vnode_is(nodeid) ? dir.ino : nodeid;
	return 0;
}

/* A directory found below a view needs a node of its own. */
static int intern_dir(struct fs *fs, const struct dirref *parent, uint64_t dir_ino,
		      uint64_t *ret_id)
{
	struct vnode want = {
	    .parent_id = parent->nodeid,
	    .kind = VNODE_DIR,
	    .dir_ino = dir_ino,
	};

	bool made = false;
	int r = vnode_intern(fs->vnodes, &want, ret_id, &made);

	if (made)
		kcache_all_changed(fs->kcache); /* see entry_negative() */
	return r;
}

bool dir_busy(struct fs *fs, uint64_t dir_ino)
{
	uint64_t branch;

	return pending_count(fs->pending) &&
	       store_branch(fs->store, dir_ino, NULL, false, &branch) == 0 &&
	       pending_branch_busy(fs->pending, branch);
}

void dir_settle(struct fs *fs, fuse_ino_t nodeid, pid_t tid)
{
	struct dirref dir;
	uint64_t branch;

	if (pending_releasing(fs->pending) && dirref_get(fs, nodeid, &dir) == 0 &&
	    dirref_branch(fs, &dir, false, &branch) == 0)
		pending_wait_branch(fs->pending, branch, tid);
}

int entry_fill(struct fs *fs, const struct dirref *dir, const struct store_attr *attr,
	       bool busy, struct fuse_entry_param *ret_e)
{
	bool is_dir = S_ISDIR(attr->mode);
	uint64_t nodeid = attr->ino;

	if (is_dir && vnode_is(dir->nodeid)) {
		int r = intern_dir(fs, dir, attr->ino, &nodeid);

		if (r)
			return r;
	}
	if (!is_dir)
		recent_put(fs->recent, attr);
	memset(ret_e, 0, sizeof(*ret_e));
	ret_e->ino = nodeid;
	attr_to_stat(attr, &ret_e->attr);
	ret_e->entry_timeout = busy ? 0 : kcache_timeout(fs->kcache, attr->expires_ns);
	/* A generation's attributes are good whatever happens to the name: and a
	 * permission check that had to ask could find it replaced. */
	ret_e->attr_timeout = is_dir && dir_busy(fs, attr->ino) ? 0 : ATTR_TIMEOUT_S;
	return 0;
}

void entry_negative(struct fs *fs, const struct dirref *dir, bool busy,
		    struct fuse_entry_param *ret_e)
{
	bool shared =
	    vnode_is(dir->nodeid) || (vnode_any_dir(fs->vnodes) &&
				      vnode_aliases(fs->vnodes, dir->ino, NULL, 0) > 0);

	memset(ret_e, 0, sizeof(*ret_e));
	ret_e->entry_timeout =
	    busy || shared ? 0 : kcache_timeout(fs->kcache, DURATION_NONE);
}
