/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/reservation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/failures.h"
#include "fs/metrics.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/waiters.h"
#include "store/lease.h"
#include "store/util/log.h"
#include "store/util/text.h"

/* ---- of a key ---- */

int reservation_get(struct fs *fs, uint64_t branch, const char *name, pid_t tid,
		    struct buf *out)
{
	struct store_lease lease;
	int r;

	pending_wait(fs->pending, branch, name, tid);
	r = store_lease_get(fs->store, branch, name, &lease);
	if (r && r != -ENOENT)
		return r;
	return reservation_format(r ? NULL : &lease, out);
}

bool reservation_is_held(struct fs *fs, uint64_t branch, const char *name)
{
	struct store_lease lease;

	return store_lease_get(fs->store, branch, name, &lease) == 0;
}

/* Normal where many want the same: no warning. */
static void log_refused(const char *name, const struct reservation_command *cmd, int r,
			const struct store_lease *holder)
{
	if (r == -EBUSY)
		log_debug("\"%s\" is not reserved for \"%s\": \"%s\" has it", name,
			  cmd->owner, holder->owner);
	else if (r == -ESTALE)
		log_debug("\"%s\" is not reserved for \"%s\" any more, and was not "
			  "extended",
			  name, cmd->owner);
}

/* An extension is no acquisition: it was taken before. */
static void count(struct fs *fs, uint64_t branch, int r, const struct store_lease *lease,
		  int64_t begun_ns)
{
	struct metrics_ns *ns = metrics_branch(fs->metrics, branch);

	if (r == -EBUSY)
		metrics_add(ns, STORE_COUNT_RESERVED_BUSY, 1);
	else if (!r && lease->since_ns >= begun_ns)
		metrics_add(ns, STORE_COUNT_RESERVED, 1);
}

/*
 * In a directory with the sticky bit each may change only what is his: neither end or
 * extend what another user has reserved, whose ID anybody can read, nor, by the name
 * alone (`by_name`), reserve what another has published.
 */
static int may_reserve(struct fs *fs, uint64_t branch, const char *name, uid_t uid,
		       const struct reservation_command *cmd, bool by_name)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	struct store_attr dir, attr;
	struct store_lease lease;
	uint64_t dir_ino;

	if (uid == 0 || store_branch_owner(fs->store, branch, &dir_ino, &version) ||
	    store_getattr(fs->store, dir_ino, &dir) || !(dir.mode & S_ISVTX) ||
	    dir.uid == uid)
		return 0;
	if (store_lease_get(fs->store, branch, name, &lease) == 0 && lease.has_user &&
	    lease.uid != uid && store_lease_is_of(&lease, cmd->owner))
		return -EPERM;
	if (by_name && store_lookup(fs->store, branch, name, &attr) == 0 &&
	    attr.uid != uid)
		return -EPERM;
	return 0;
}

static int take(struct fs *fs, uint64_t branch, const char *name, uid_t uid,
		const struct reservation_command *cmd, bool extend_only)
{
	struct store_lease_user user = {uid,
					limits_max(fs->limits, LIMIT_RESERVATIONS, uid)};
	int64_t begun_ns = time_now_ns();
	int64_t duration_ns = cmd->duration_ns;
	struct store_settings settings;
	struct store_lease lease;
	int r = 0;

	if (duration_ns == DURATION_UNSET) {
		r = store_settings(fs->store, branch, &settings);
		duration_ns = settings.lease_ns;
	}
	if (!r && extend_only)
		r = store_lease_extend(fs->store, branch, name, cmd->owner, duration_ns,
				       &lease);
	else if (!r)
		r = store_lease_acquire_for(fs->store, branch, name, cmd->owner,
					    duration_ns, &user, &lease);
	if (r == -EDQUOT)
		r = limits_refuse(fs->limits, LIMIT_RESERVATIONS, uid);
	count(fs, branch, r, &lease, begun_ns);
	if (r)
		log_refused(name, cmd, r, &lease);
	else
		fs_name_settled(fs, branch, name); /* it may end sooner now */
	return r;
}

static int release(struct fs *fs, uint64_t branch, const char *name,
		   const struct reservation_command *cmd)
{
	int r = store_lease_release(fs->store, branch, name, cmd->owner);

	if (!r)
		fs_name_settled(fs, branch, name);
	return r == -ESTALE ? 0 : r; /* it was late */
}

static int parse(const char *name, const char *text, size_t len,
		 struct reservation_command *ret_cmd)
{
	struct errmsg err;
	int r = reservation_parse(text, len, ret_cmd, &err);

	if (r)
		log_warning("reservation of \"%s\": %s", name, err.text);
	return r;
}

static int run(struct fs *fs, uint64_t branch, const char *name,
	       const struct reservation_caller *by, const struct reservation_command *cmd,
	       bool extend_only)
{
	int r;

	pending_wait(fs->pending, branch, name, by->tid);
	r = may_reserve(fs, branch, name, by->uid, cmd, by->by_name);
	if (r)
		return r;
	switch (cmd->verb) {
	case RESERVATION_NOTHING:
		break;
	case RESERVATION_TAKE:
		return take(fs, branch, name, by->uid, cmd, extend_only);
	case RESERVATION_RELEASE:
		return release(fs, branch, name, cmd);
	}
	return 0;
}

int reservation_set(struct fs *fs, uint64_t branch, const char *name,
		    const struct reservation_caller *by, const char *text, size_t len,
		    bool extend_only)
{
	struct reservation_command cmd;
	int r = parse(name, text, len, &cmd);

	return r ? r : run(fs, branch, name, by, &cmd, extend_only);
}

/* ---- nodes ---- */

int reservation_node_get(struct fs *fs, const struct vnode *v, pid_t tid, struct buf *out)
{
	uint64_t branch;
	int r = vnode_branch(fs, v, false, &branch);

	return r ? r : reservation_get(fs, branch, v->name, tid, out);
}

int reservation_node_set(struct fs *fs, const struct vnode *v,
			 const struct reservation_caller *by, const char *text,
			 size_t len, bool extend_only)
{
	struct reservation_command cmd;
	uint64_t branch;
	int r = parse(v->name, text, len, &cmd);

	if (r)
		return r;
	if (is_read_only(fs, &v->view))
		return -EROFS;
	/* Only what is reserved needs a version that nobody has written to. */
	r = vnode_branch(fs, v, cmd.verb == RESERVATION_TAKE && !extend_only, &branch);
	return r ? r : run(fs, branch, v->name, by, &cmd, extend_only);
}

/* ---- what is being written under a name, and what was not stored ---- */

struct writing {
	const char *name;
	struct buf *out; /* a line for each; NULL: none wanted */
	uint64_t size_bytes;
	int64_t since_ns; /* of the newest; 0: there is none */
};

/* A word: what a process calls itself may have anything in it. */
static int put_word(const char *text, struct buf *out)
{
	int r = *text ? 0 : buf_append(out, "?", 1);

	for (; !r && *text; text++)
		r = buf_append(out, *text > ' ' && *text != 0x7f ? text : "_", 1);
	return r;
}

static int put_writing(const struct pending_info *info, struct buf *out)
{
	int r = buf_printf(out, "writing pid=%d comm=", (int)info->pid);

	if (!r)
		r = put_word(info->comm, out);
	if (!r)
		r = buf_printf(out, " uid=%u bytes=%" PRIu64 " since=", info->uid,
			       info->size_bytes);
	if (!r)
		r = reservation_format_time(info->since_ns, out);
	return r ? r : buf_append(out, "\n", 1);
}

static int look_writing(void *arg, const struct pending_info *info)
{
	struct writing *w = arg;

	if (strcmp(info->name, w->name) != 0)
		return 0;
	if (info->since_ns >= w->since_ns) {
		w->since_ns = info->since_ns;
		w->size_bytes = info->size_bytes;
	}
	return w->out ? put_writing(info, w->out) : 0;
}

static int put_failure(struct fs *fs, uint64_t branch, const char *name, struct buf *out)
{
	char text[FAILURE_TEXT_MAX * 4];
	struct failure failure;
	int r = failure_get(pending_failures(fs->pending), branch, name, &failure);

	if (r)
		return r == -ENOENT ? 0 : r;
	text_escape(text, sizeof(text), failure.text, strlen(failure.text));
	r = buf_printf(out, "failed ");
	if (!r)
		r = reservation_format_time(failure.at_ns, out);
	return r ? r : buf_printf(out, " %s\n", text);
}

/* What was there is not shown any more; when that began tells why it is a miss. */
static int put_expired(struct fs *fs, uint64_t branch, const char *name, struct buf *out)
{
	struct store_attr attr;
	int r = store_lookup_expired(fs->store, branch, name, &attr);

	if (r || !store_attr_expired(&attr, time_now_ns()))
		return r == -ENOENT ? 0 : r;
	r = buf_printf(out, "expired ");
	if (!r)
		r = reservation_format_time(attr.expires_ns, out);
	return r ? r : buf_append(out, "\n", 1);
}

int reservation_node_text(struct fs *fs, const struct vnode *v, pid_t tid,
			  struct buf *out)
{
	struct writing w = {.name = v->name, .out = out};
	uint64_t branch;
	int r = vnode_branch(fs, v, false, &branch);

	if (!r)
		r = reservation_get(fs, branch, v->name, tid, out);
	if (!r)
		r = buf_append(out, "\n", 1);
	if (!r)
		r = pending_list(fs->pending, branch, look_writing, &w);
	if (!r)
		r = put_expired(fs, branch, v->name, out);
	return r ? r : put_failure(fs, branch, v->name, out);
}

/* ---- stat ---- */

/* What is at the name now: who has it, since when, and how far it is. */
static int fill_progress(struct fs *fs, const struct vnode *v, struct stat *st)
{
	struct writing w = {.name = v->name};
	struct store_lease lease;
	uint64_t branch;
	int r = vnode_branch(fs, v, false, &branch);

	if (!r)
		r = pending_list(fs->pending, branch, look_writing, &w);
	if (r)
		return r;
	st->st_size = (off_t)w.size_bytes;
	if (w.since_ns)
		st->st_mtim = to_timespec(w.since_ns);
	if (store_lease_get(fs->store, branch, v->name, &lease) == 0)
		st->st_mtim = to_timespec(lease.since_ns);
	return 0;
}

int reservation_stat(struct fs *fs, const struct vnode *v, struct stat *ret_st)
{
	struct store_attr dir;
	struct stat st;
	int r = store_getattr(fs->store, v->dir_ino, &dir);

	if (r)
		return r;
	vnode_to_stat(fs, v, &st);
	st.st_uid = dir.uid;
	st.st_gid = dir.gid;
	if (v->kind == VNODE_RESERVATIONS) {
		/* Its names are names of the directory: seen by the same people. */
		st.st_mode = S_IFDIR | (dir.mode & 0555);
	} else {
		st.st_mode = S_IFREG | (dir.mode & 0666);
		r = fill_progress(fs, v, &st);
		st.st_ctim = st.st_mtim;
	}
	if (!r)
		*ret_st = st;
	return r;
}

/* ---- listing ---- */

struct names {
	char **names;
	size_t count, cap;
};

static void names_deinit(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int names_add(struct names *n, const char *name)
{
	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 16;
		char **names = realloc(n->names, cap * sizeof(*names));

		if (!names)
			return -ENOMEM;
		n->names = names;
		n->cap = cap;
	}
	n->names[n->count] = strdup(name);
	return n->names[n->count] ? (n->count++, 0) : -ENOMEM;
}

static int add_lease(void *arg, const char *name, const struct store_lease *lease)
{
	return names_add(arg, name);
}

static int add_writing(void *arg, const struct pending_info *info)
{
	return names_add(arg, info->name);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int reservation_list(struct fs *fs, const struct vnode *v,
		     int (*each)(void *arg, const char *name, mode_t type), void *arg)
{
	__attribute__((cleanup(names_deinit))) struct names n = {0};
	uint64_t branch;
	int r = vnode_branch(fs, v, false, &branch);

	if (!r)
		r = store_lease_list(fs->store, branch, add_lease, &n);
	if (!r) /* a value whose lease somebody else has, too */
		r = pending_list(fs->pending, branch, add_writing, &n);
	if (!r && n.count)
		qsort(n.names, n.count, sizeof(*n.names), compare);
	for (size_t i = 0; !r && i < n.count; i++)
		if (i == 0 || strcmp(n.names[i], n.names[i - 1]) != 0)
			r = each(arg, n.names[i], S_IFREG);
	return r;
}

/* ---- the fence ---- */

int fence_enter(struct fs *fs, const struct view *view, uint64_t branch, const char *name,
		struct fence *ret_fence)
{
	int r;

	*ret_fence = (struct fence){.branch = branch, .name = name};
	if (!(view->set & VIEW_OWNER))
		return 0;
	r = store_lease_begin_publish(fs->store, branch, name, view->owner, 0,
				      &ret_fence->token);
	if (!r)
		ret_fence->fs = fs;
	else if (r == -ESTALE)
		log_warning("\"%s\" was not changed: it is not reserved for \"%s\" (any "
			    "more)",
			    name, view->owner);
	return r;
}

void fence_leave(struct fence *f, bool published)
{
	if (!f->fs)
		return;
	store_lease_end_publish(f->fs->store, f->branch, f->name, f->token, published);
	f->fs = NULL;
}
