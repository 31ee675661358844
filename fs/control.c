/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/fast.h"
#include "fs/jobs.h"
#include "fs/kcache.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/reservation.h"
#include "fs/session.h"
#include "fs/stage.h"
#include "fs/texts.h"
#include "store/util/log.h"
#include "store/util/text.h"

/* ---- names ---- */

static int version_parse(const char *text, struct view *ret_view)
{
	char quoted[TEXT_QUOTE_MAX];

	if (!*text || !store_version_valid(text, strlen(text))) {
		log_warning("%s is not a version: up to 255 bytes without control "
			    "characters",
			    text_quote(quoted, text, strlen(text)));
		return -EINVAL;
	}
	*ret_view = (struct view){.set = VIEW_VERSION};
	strcpy(ret_view->version, text);
	return 0;
}

/* Once for each time it is asked for: the kernel does not remember an EINVAL. */
static int logged_view_parse(const char *text, struct view *ret_view)
{
	struct errmsg err;
	int r = view_parse(text, ret_view, &err);

	if (r)
		log_warning("%s", err.text);
	return r;
}

/* DIR under a view: inside the view that this `.memofs` was reached by. */
static int find_view(const struct vnode *parent, const char *name, struct vnode *want)
{
	struct view add;
	int r = parent->kind == VNODE_VERSIONS ? version_parse(name, &add)
					       : logged_view_parse(name, &add);

	if (r)
		return r;
	want->kind = VNODE_DIR;
	want->view = view_combine(&parent->view, &add);
	return 0;
}

#define JOBS_NAME "jobs" /* at the root only */

static const struct {
	const char *name;
	enum vnode_kind kind;
} folders[] = {
    {"reservations", VNODE_RESERVATIONS},
    {"versions", VNODE_VERSIONS},
    {"view", VNODE_VIEWS},
};

enum { FOLDER_COUNT = sizeof(folders) / sizeof(folders[0]) };

/* Directly in `.memofs`. */
static int find_folder(struct fs *fs, const struct vnode *parent, const char *name,
		       struct vnode *want)
{
	for (size_t i = 0; i < FOLDER_COUNT; i++) {
		if (strcmp(name, folders[i].name) == 0) {
			want->kind = folders[i].kind;
			return 0;
		}
	}
	if (parent->dir_ino == STORE_ROOT_INO && strcmp(name, JOBS_NAME) == 0) {
		want->kind = VNODE_JOBS;
		return 0;
	}
	want->kind = VNODE_TEXT;
	return text_find(fs, parent->dir_ino, name, &want->text);
}

/* What `name` is in the control directory `parent`. */
static int find(struct fs *fs, const struct vnode *parent, const char *name,
		struct vnode *want)
{
	*want = (struct vnode){
	    .parent_id = parent->id,
	    .dir_ino = parent->dir_ino,
	    .view = parent->view,
	};
	switch (parent->kind) {
	case VNODE_VERSIONS:
	case VNODE_VIEWS:
		return find_view(parent, name, want);
	case VNODE_RESERVATIONS: /* whatever a key may be called */
		want->kind = VNODE_RESERVATION;
		strcpy(want->name, name);
		return 0;
	case VNODE_CONTROL:
		return find_folder(fs, parent, name, want);
	case VNODE_JOBS:
		want->kind = VNODE_JOB;
		return jobs_find(name, &want->text);
	default:
		return -ENOENT;
	}
}

static int fill_dir(struct fs *fs, const struct vnode *v, struct stat *ret_st)
{
	struct store_attr attr;
	int r = store_getattr(fs->store, v->dir_ino, &attr);

	if (r)
		return r;
	attr_to_stat(&attr, ret_st);
	ret_st->st_ino = vnode_st_ino(v);
	return 0;
}

/* A directory of the store at its ordinary place: one path leads there. */
static int fill_ordinary(struct fs *fs, uint64_t ino, struct fuse_entry_param *ret_e)
{
	struct store_attr attr;
	int r = store_getattr(fs->store, ino, &attr);

	if (r)
		return r;
	*ret_e = (struct fuse_entry_param){.ino = ino};
	attr_to_stat(&attr, &ret_e->attr);
	ret_e->entry_timeout = kcache_control_timeout(fs);
	ret_e->attr_timeout = dir_busy(fs, ino) ? 0 : kcache_attr_timeout(fs);
	return 0;
}

/* Of a view nothing holds in it but `ro`. */
static int find_stage(fuse_req_t req, const struct vnode *parent, struct vnode *want)
{
	*want = (struct vnode){
	    .parent_id = parent->id,
	    .kind = VNODE_DIR,
	    .view = {.set = parent->view.set & VIEW_RO},
	};
	return stage_get(req, parent, true, &want->dir_ino);
}

static bool is_stage(const struct vnode *parent, const char *name)
{
	return parent->kind == VNODE_CONTROL && strcmp(name, STAGE_NAME) == 0;
}

/*
 * A text that nobody will open: a node of its own for each lookup, which says what there
 * is to be read now. What is left free in `want` makes it differ from all others.
 */
static void make_single(struct fs *fs, struct vnode *want)
{
	unsigned int serial = fast_text_serial(fs->fast);

	if (want->kind == VNODE_RESERVATION)
		want->text = serial;
	else
		snprintf(want->name, sizeof(want->name), "%u", serial);
}

static int fill_single(fuse_req_t req, const struct vnode *v, struct fuse_entry_param *e)
{
	size_t len;
	int r;

	session_pass_token(); /* some take as long as thousands of reads */
	r = fast_text_make(fs_of(req)->fast, req, v, &len);
	if (r)
		return r;
	e->attr.st_size = (off_t)len;
	e->entry_timeout = 0;
	e->attr_timeout = kcache_attr_timeout(fs_of(req));
	return 0;
}

int control_lookup(fuse_req_t req, const struct vnode *parent, const char *name,
		   struct fuse_entry_param *ret_e)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e = {0};
	struct vnode want;
	bool made;
	int r;

	if (strlen(name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	r = is_stage(parent, name) ? find_stage(req, parent, &want)
				   : find(fs, parent, name, &want);
	if (r)
		return r;
	if (is_stage(parent, name) && !parent->view.set)
		return fill_ordinary(fs, want.dir_ino, ret_e);
	if (fs->no_open && vnode_is_text(&want))
		make_single(fs, &want);
	r = vnode_intern(fs->vnodes, &want, &e.ino, &made);
	if (r)
		return r;
	if (made && want.kind == VNODE_DIR && vnode_dir_share(fs->vnodes, want.dir_ino))
		kcache_all_changed(fs->kcache); /* see entry_negative() */
	want.id = e.ino;
	if (want.kind == VNODE_DIR)
		r = fill_dir(fs, &want, &e.attr);
	else if (want.kind == VNODE_RESERVATIONS || want.kind == VNODE_RESERVATION)
		r = reservation_stat(fs, &want, &e.attr);
	else
		vnode_to_stat(fs, &want, &e.attr);
	e.entry_timeout = kcache_control_timeout(fs);
	if (!r && fs->no_open && vnode_is_text(&want))
		r = fill_single(req, &want, &e);
	if (r) {
		vnode_forget(fs->vnodes, e.ino, 1);
		return r;
	}
	/* A text has the size of what it says now: never cached. A reservation has
	 * its directory's mode. */
	if (want.kind == VNODE_VERSIONS || want.kind == VNODE_VIEWS ||
	    want.kind == VNODE_DIR)
		e.attr_timeout = e.entry_timeout;
	/* A publish in it may be ahead, which changes its times. */
	if (want.kind == VNODE_DIR && pending_count(fs->pending))
		e.attr_timeout = 0;
	*ret_e = e;
	return 0;
}

/* ---- listings ---- */

struct version_each {
	int (*each)(void *arg, const char *name, mode_t type);
	void *arg;
};

static int each_version(void *arg, const char *version, uint64_t branch)
{
	struct version_each *ve = arg;

	return *version ? ve->each(ve->arg, version, S_IFDIR) : 0;
}

static int list_texts(struct fs *fs, const struct vnode *dir,
		      int (*each)(void *arg, const char *name, mode_t type), void *arg)
{
	unsigned int place = text_place_of(fs, dir->dir_ino);
	int r = 0;

	for (unsigned int i = 0; !r && i < text_count(); i++) {
		const char *name = text_name(i, place);

		if (name)
			r = each(arg, name, S_IFREG);
	}
	return r;
}

int control_list(fuse_req_t req, const struct vnode *dir,
		 int (*each)(void *arg, const char *name, mode_t type), void *arg)
{
	struct version_each ve = {each, arg};
	struct fs *fs = fs_of(req);
	uint64_t stage;
	int r = 0;

	if (dir->kind == VNODE_VERSIONS)
		return store_version_list(fs->store, dir->dir_ino, each_version, &ve);
	if (dir->kind == VNODE_RESERVATIONS)
		return reservation_list(fs, dir, each, arg);
	for (unsigned int i = 0; !r && dir->kind == VNODE_JOBS && i < jobs_count(); i++)
		r = each(arg, jobs_name(i), S_IFREG);
	if (r || dir->kind != VNODE_CONTROL)
		return r;
	for (size_t i = 0; !r && i < FOLDER_COUNT; i++)
		r = each(arg, folders[i].name, S_IFDIR);
	if (!r && dir->dir_ino == STORE_ROOT_INO)
		r = each(arg, JOBS_NAME, S_IFDIR);
	if (!r && stage_get(req, dir, false, &stage) == 0) /* only who can go there */
		r = each(arg, STAGE_NAME, S_IFDIR);
	return r ? r : list_texts(fs, dir, each, arg);
}
