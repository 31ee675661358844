/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/node.h"

#include <errno.h>
#include <string.h>

#include "fs/attach.h"
#include "fs/fast.h"
#include "fs/kcache.h"
#include "fs/pending.h"
#include "fs/recent.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/sealed.h"

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
	if (v.kind == VNODE_TEXT || v.kind == VNODE_JOB)
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
	return view_version(&dir->view);
}

int vnode_branch(struct fs *fs, const struct vnode *v, bool create, uint64_t *ret_branch)
{
	return store_branch(fs->store, v->dir_ino, view_version(&v->view), create,
			    ret_branch);
}

int name_of_ino(struct fs *fs, uint64_t ino, uint64_t *ret_branch,
		char ret_name[STORE_NAME_MAX + 1])
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	int r = store_where(fs->store, ino, ret_branch, &name);

	if (r)
		return r;
	memcpy(ret_name, name.data, name.len);
	ret_name[name.len] = '\0';
	return 0;
}

int entry_of_ino(struct fs *fs, uint64_t ino, uint64_t *ret_branch,
		 char ret_name[STORE_NAME_MAX + 1])
{
	if (store_ino_in_tree(ino))
		ino = store_tree_stream(ino);
	return name_of_ino(fs, ino, ret_branch, ret_name);
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
	if (!r && create)
		r = dirref_may_change(fs, ret_dir);
	if (r)
		return r;
	r = dirref_branch(fs, ret_dir, create, ret_branch);
	/* Nothing says so to who has a bind mount of it: it is no miss. A sealed tree
	 * may have been replaced by another that has the name. */
	if (r == -ENOENT && (vnode_is(nodeid) || store_ino_in_tree(nodeid)))
		return -ESTALE;
	return r;
}

bool dirref_is_fixed(const struct dirref *dir)
{
	return (dir->view.set & VIEW_RO) || store_ino_in_tree(dir->ino);
}

int dirref_may_change(struct fs *fs, const struct dirref *dir)
{
	if (dir->view.set & VIEW_RO)
		return -EROFS;
	return store_ino_in_tree(dir->ino) ? sealed_refuse(fs, dir->ino) : 0;
}

bool dirref_same_rules(const struct dirref *a, const struct dirref *b)
{
	struct view of_a = view_below(&a->view), of_b = view_below(&b->view);

	return view_equal(&of_a, &of_b);
}

/* ---- what a view shows ---- */

/* By somebody else, that is. Values being written have a lease, too. */
static bool is_computed(struct fs *fs, const struct view *view, uint64_t branch,
			const char *name)
{
	struct store_lease lease;

	return store_lease_get(fs->store, branch, name, &lease) == 0 &&
	       !view_owns(view, &lease);
}

/* 0 or -ENOENT. An owner who has reserved the name is the one who computes it, and is not
 * served what is stale. */
static int judge(struct fs *fs, const struct view *view, uint64_t branch,
		 const char *name, const struct store_attr *attr)
{
	char entry[STORE_NAME_MAX + 1];

	if (view_admits(view, attr, time_now_ns(), NULL))
		return 0;
	if (!(view->set & VIEW_STALE))
		return -ENOENT;
	if (sealed_is_inside(attr->ino)) { /* it is the tree that is being computed */
		if (entry_of_ino(fs, attr->ino, &branch, entry))
			return -ENOENT;
		name = entry;
	}
	return is_computed(fs, view, branch, name) ? 0 : -ENOENT;
}

int dirref_may_replace(struct fs *fs, const struct dirref *dir, uint64_t branch,
		       const char *name, uid_t uid)
{
	struct store_attr above, attr;

	if (uid == 0 || store_getattr(fs->store, dir->ino, &above) ||
	    !(above.mode & S_ISVTX) || above.uid == uid ||
	    store_lookup(fs->store, branch, name, &attr))
		return 0;
	return attr.uid == uid ? 0 : -EPERM;
}

int view_judge_ino(struct fs *fs, const struct view *view, uint64_t ino)
{
	char name[STORE_NAME_MAX + 1];
	struct store_attr attr;
	uint64_t branch;
	int r = store_getattr(fs->store, ino, &attr);

	if (r || view_admits(view, &attr, time_now_ns(), NULL))
		return r;
	r = entry_of_ino(fs, ino, &branch, name);
	return r ? r : judge(fs, view, branch, name, &attr);
}

static int lookup_once(struct fs *fs, const struct dirref *dir, uint64_t branch,
		       const char *name, struct store_attr *ret_attr)
{
	int r;

	if (!view_restricts(&dir->view))
		return store_lookup(fs->store, branch, name, ret_attr);
	if (dir->view.set & VIEW_STALE)
		r = store_lookup_expired(fs->store, branch, name, ret_attr);
	else
		r = store_lookup(fs->store, branch, name, ret_attr);
	return r ? r : judge(fs, &dir->view, branch, name, ret_attr);
}

/* What is replaced again and again within microseconds is given up as missing. */
enum { SHOW_TRIES = 16 };

int dirref_lookup(struct fs *fs, const struct dirref *dir, uint64_t branch,
		  const char *name, struct store_attr *ret_attr)
{
	struct store_attr attr;
	int r, shown = -ENOENT;

	for (int i = 0; i < SHOW_TRIES && shown == -ENOENT; i++) {
		r = lookup_once(fs, dir, branch, name, &attr);
		if (r)
			return r == -ENOENT && sealed_is_gone(fs, dir->ino) ? -ESTALE : r;
		shown = sealed_show(fs, &dir->view, &attr);
	}
	if (!shown)
		*ret_attr = attr;
	return shown;
}

int view_gen_open(struct fs *fs, const struct view *view, uint64_t ino,
		  struct store_gen **ret_gen)
{
	return view->set & VIEW_STALE ? store_gen_open_expired(fs->store, ino, ret_gen)
				      : store_gen_open(fs->store, ino, ret_gen);
}

/*
 * Who cannot be told apart by the thread must not get what another was given under
 * other rules.
 */
uint64_t view_retry_place(const struct view *view, uint64_t branch, const char *name)
{
	struct view entry = view_of_entry(view);
	uint64_t place = retry_place(branch, name);

	return entry.set ? (place ^ view_hash(&entry)) | 1 : place;
}

/* ---- inodes behind nodes ---- */

int node_ino(struct fs *fs, fuse_ino_t nodeid, uint64_t *ret_ino)
{
	struct vnode v;
	int r;

	if (!vnode_is(nodeid)) {
		*ret_ino = nodeid;
		return 0;
	}
	r = vnode_get(fs->vnodes, nodeid, &v);
	if (r)
		return r;
	if (v.kind != VNODE_DIR && !v.ino)
		return -EPERM;
	*ret_ino = v.kind == VNODE_DIR ? v.dir_ino : v.ino;
	return 0;
}

int node_view(struct fs *fs, fuse_ino_t nodeid, struct view *ret_view)
{
	struct vnode v = {0};
	int r = vnode_is(nodeid) ? vnode_get(fs->vnodes, nodeid, &v) : 0;

	if (!r)
		*ret_view = v.view;
	return r;
}

/* A directory found below a view needs a node of its own. */
static int intern_dir(struct fs *fs, const struct dirref *parent, uint64_t dir_ino,
		      uint64_t *ret_id)
{
	struct vnode want = {
	    .parent_id = parent->nodeid,
	    .kind = VNODE_DIR,
	    .dir_ino = dir_ino,
	    .view = view_below(&parent->view),
	};
	bool made = false;
	int r = vnode_intern(fs->vnodes, &want, ret_id, &made);

	/* See entry_negative(); but nothing is published in a sealed tree. */
	if (made && !store_ino_in_tree(dir_ino) && vnode_dir_share(fs->vnodes, dir_ino))
		kcache_all_changed(fs->kcache);
	return r;
}

/* And so does a file, if its view has something to say when it is opened. */
static int intern_file(struct fs *fs, const struct dirref *parent, uint64_t ino,
		       uint64_t *ret_id)
{
	struct vnode want = {
	    .kind = VNODE_FILE,
	    .ino = ino,
	    .view = view_of_entry(&parent->view),
	};

	return vnode_intern(fs->vnodes, &want, ret_id, NULL);
}

/* The node that shows a child; one lookup is counted of a virtual one. */
static int intern_child(struct fs *fs, const struct dirref *dir,
			const struct store_attr *attr, uint64_t *ret_id)
{
	if (S_ISDIR(attr->mode) && vnode_is(dir->nodeid))
		return intern_dir(fs, dir, attr->ino, ret_id);
	if (!S_ISDIR(attr->mode) && view_restricts(&dir->view))
		return intern_file(fs, dir, attr->ino, ret_id);
	*ret_id = attr->ino;
	return 0;
}

void node_forget(struct fs *fs, uint64_t nodeid, uint64_t nlookup)
{
	struct vnode v;

	if (!vnode_is(nodeid)) {
		if (fs->fast)
			fast_forget(fs->fast, nodeid, nlookup);
		return;
	}
	if (fs->fast && vnode_get(fs->vnodes, nodeid, &v) == 0 && v.kind == VNODE_FILE)
		fast_forget(fs->fast, v.ino, nlookup);
	vnode_forget(fs->vnodes, nodeid, nlookup);
	if (fs->fast && vnode_get(fs->vnodes, nodeid, &v))
		fast_text_drop(fs->fast, nodeid);
}

/* From now on what it is told of may be read without having been opened. */
static int learn_child(struct fs *fs, const struct store_dir *listed,
		       const struct store_attr *attr, uint64_t nodeid)
{
	int r = S_ISREG(attr->mode) ? fast_learn_listed(fs->fast, listed, attr->ino) : 0;

	if (r && vnode_is(nodeid))
		vnode_forget(fs->vnodes, nodeid, 1);
	return r;
}

bool dir_busy(struct fs *fs, uint64_t dir_ino)
{
	uint64_t branch;

	return pending_count(fs->pending) && !store_ino_in_tree(dir_ino) &&
	       store_branch(fs->store, dir_ino, NULL, false, &branch) == 0 &&
	       pending_branch_busy(fs->pending, branch);
}

int dir_times(struct fs *fs, fuse_ino_t nodeid, int64_t *ret_dir_ns, bool *ret_stays)
{
	struct dirref dir;
	uint64_t branch;
	int r;

	*ret_dir_ns = 0;
	*ret_stays = true;
	if (!pending_count(fs->pending) || dirref_get(fs, nodeid, &dir) ||
	    dirref_branch(fs, &dir, false, &branch))
		return 0;
	r = attach_settle(fs, branch, NULL);
	if (!r)
		*ret_stays = pending_dir_times(fs->pending, branch, ret_dir_ns);
	return r;
}

void dir_settle(fuse_req_t req, fuse_ino_t nodeid)
{
	struct fs *fs = fs_of(req);
	struct dirref dir;
	uint64_t branch;

	if (pending_releasing(fs->pending) && dirref_get(fs, nodeid, &dir) == 0 &&
	    !store_ino_in_tree(dir.ino) && dirref_branch(fs, &dir, false, &branch) == 0)
		pending_wait_branch(fs->pending, branch, fuse_req_ctx(req)->pid);
}

int entry_fill_listed(struct fs *fs, const struct dirref *dir,
		      const struct store_dir *listed, const struct store_attr *attr,
		      bool busy, struct fuse_entry_param *ret_e)
{
	bool is_dir = S_ISDIR(attr->mode);
	int64_t until_ns;
	uint64_t nodeid;
	int r = intern_child(fs, dir, attr, &nodeid);

	if (!r && fs->fast)
		r = learn_child(fs, listed, attr, nodeid);
	if (r)
		return r;
	/* What is only shown because it is stale may be replaced at any time. */
	if (!view_admits(&dir->view, attr, time_now_ns(), &until_ns))
		busy = true;
	if (!is_dir || attr->sealed)
		recent_put(fs->recent, attr);
	memset(ret_e, 0, sizeof(*ret_e));
	ret_e->ino = nodeid;
	attr_to_stat(attr, &ret_e->attr);
	ret_e->entry_timeout = busy ? 0 : kcache_timeout(fs->kcache, until_ns);
	if (fs->no_open && !is_dir && ret_e->entry_timeout > FAST_LOOK_EACH_S)
		ret_e->entry_timeout = FAST_LOOK_EACH_S;
	/* A generation's attributes are good whatever happens to the name: and a
	 * permission check that had to ask could find it replaced. */
	ret_e->attr_timeout =
	    is_dir && dir_busy(fs, attr->ino) ? 0 : kcache_attr_timeout(fs);
	return 0;
}

int entry_fill(struct fs *fs, const struct dirref *dir, const struct store_attr *attr,
	       bool busy, struct fuse_entry_param *ret_e)
{
	return entry_fill_listed(fs, dir, NULL, attr, busy, ret_e);
}

void entry_negative(struct fs *fs, const struct dirref *dir, bool busy,
		    struct fuse_entry_param *ret_e)
{
	bool shared =
	    !store_ino_in_tree(dir->ino) &&
	    (fs->live || vnode_is(dir->nodeid) || vnode_dir_shared(fs->vnodes, dir->ino));

	memset(ret_e, 0, sizeof(*ret_e));
	ret_e->entry_timeout =
	    busy || shared ? 0 : kcache_timeout(fs->kcache, DURATION_NONE);
}
