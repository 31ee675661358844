/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/reservation.h"
#include "fs/stage.h"
#include "fs/waiters.h"
#include "store/util/log.h"
#include "store/util/text.h"

/* ---- the texts ---- */

static int write_counts(struct fs *fs, const struct store_stats *s, struct buf *out)
{
	return buf_printf(out,
			  "entries: %" PRIu64 "\n"
			  "dirs: %" PRIu64 "\n"
			  "bytes: %" PRIu64 "\n"
			  "memory_bytes: %" PRIu64 "\n"
			  "staged_bytes: %" PRIu64 "\n"
			  "db_disk_bytes: %" PRIu64 "\n"
			  "disk_total_bytes: %" PRIu64 "\n"
			  "disk_avail_bytes: %" PRIu64 "\n"
			  "open_handles: %" PRIu64 "\n"
			  "pending_writes: %" PRIu64 "\n"
			  "waiting_opens: %" PRIu64 "\n"
			  "virtual_nodes: %" PRIu64 "\n"
			  "requests: %" PRIu64 "\n",
			  s->entries, s->dirs, s->bytes, s->memory_bytes, s->staged_bytes,
			  s->db_disk_bytes, s->disk_total_bytes, s->disk_avail_bytes,
			  handle_count(fs->handles), pending_count(fs->pending),
			  waiters_count(fs->waiters), vnode_count(fs->vnodes),
			  atomic_load(&fs->requests));
}

/* Whatever the store is like: by its pid the daemon can be waited for. */
static int write_status(struct fs *fs, struct buf *out)
{
	struct store_stats s;
	int trouble = store_stats(fs->store, &s);
	int r = buf_printf(out,
			   "version: %s\n"
			   "pid: %d\n"
			   "store: %s\n"
			   "mountpoint: %s\n"
			   "backend: %s\n"
			   "started: %" PRId64 "\n"
			   "threads: %u\n",
			   MEMOFS_VERSION, (int)getpid(), fs->store_path, fs->mountpoint,
			   fs->backend_name, fs->started_ns / NSEC_PER_SEC, fs->threads);

	if (r)
		return r;
	if (trouble)
		return buf_printf(out, "trouble: %s\n",
				  trouble == -ENOENT ? "the store was removed"
						     : strerror(-trouble));
	return write_counts(fs, &s, out);
}

static int write_version(struct fs *fs, struct buf *out)
{
	return buf_printf(out, "memofs %s\n", MEMOFS_VERSION);
}

static int write_config(struct fs *fs, struct buf *out)
{
	return fs->config_text ? fs->config_text(fs->config, out) : 0;
}

/* The newest lines, for who may not read the file, or the journal. */
static int write_log(struct fs *fs, struct buf *out)
{
	return log_recent(out);
}

static const struct {
	const char *name;
	int (*write)(struct fs *fs, struct buf *out);
} texts[] = {
    {"config", write_config},
    {"log", write_log},
    {"status", write_status},
    {"version", write_version},
};

enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

int control_text_find(const char *name, unsigned int *ret_text)
{
	for (unsigned int i = 0; i < TEXT_COUNT; i++) {
		if (strcmp(texts[i].name, name) == 0) {
			*ret_text = i;
			return 0;
		}
	}
	return -ENOENT;
}

int control_text_write(struct fs *fs, unsigned int text, struct buf *ret_text)
{
	buf_clear(ret_text);
	return texts[text].write(fs, ret_text);
}

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
static int find_folder(const struct vnode *parent, const char *name, struct vnode *want)
{
	for (size_t i = 0; i < FOLDER_COUNT; i++) {
		if (strcmp(name, folders[i].name) == 0) {
			want->kind = folders[i].kind;
			return 0;
		}
	}
	want->kind = VNODE_TEXT;
	if (parent->dir_ino != STORE_ROOT_INO)
		return -ENOENT;
	return control_text_find(name, &want->text);
}

/* What `name` is in the control directory `parent`. */
static int find(const struct vnode *parent, const char *name, struct vnode *want)
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
		return find_folder(parent, name, want);
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
	ret_e->entry_timeout = kcache_timeout(fs->kcache, DURATION_NONE);
	ret_e->attr_timeout = dir_busy(fs, ino) ? 0 : ATTR_TIMEOUT_S;
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
				   : find(parent, name, &want);
	if (r)
		return r;
	if (is_stage(parent, name) && !parent->view.set)
		return fill_ordinary(fs, want.dir_ino, ret_e);
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
	if (r) {
		vnode_forget(fs->vnodes, e.ino, 1);
		return r;
	}
	e.entry_timeout = kcache_timeout(fs->kcache, DURATION_NONE);
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
	if (dir->kind != VNODE_CONTROL)
		return 0;
	for (size_t i = 0; !r && i < FOLDER_COUNT; i++)
		r = each(arg, folders[i].name, S_IFDIR);
	if (!r && stage_get(req, dir, false, &stage) == 0) /* only who can go there */
		r = each(arg, STAGE_NAME, S_IFDIR);
	for (unsigned int i = 0; !r && i < TEXT_COUNT && dir->dir_ino == STORE_ROOT_INO;
	     i++)
		r = each(arg, texts[i].name, S_IFREG);
	return r;
}
