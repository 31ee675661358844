/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: user.cache.* here, other user.* kept as they are.
 *
 * `getfattr -d` lists what a copy should take along: the ttl, and an entry's
 * version; and the reservation of an entry while it has one. The rest is read by
 * name. A directory's version is not listed: cp, rsync and tar set a directory's
 * attributes last, and would hide what they have just written. Copying in must not
 * warn, so the version and the reservation that an entry had elsewhere are accepted
 * and change nothing, and so does taking away the reservation that it has here.
 *
 * A sealed tree has those of an entry, under both of its numbers. What is in it is no
 * entry, and has no state: it shows how long the tree is good, and its own hash, when
 * asked by name, and lists nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/kcache.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/reservation.h"
#include "fs/sealed.h"
#include "store/util/duration.h"
#include "store/util/log.h"
#include "store/util/text.h"

#define PREFIX "user.cache."
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/* What an attribute is asked of. */
struct subject {
	struct fs *fs;
	pid_t tid;		 /* who asks */
	uint64_t ino;		 /* of the store; of a value being written: its own */
	bool is_dir;		 /* an ordinary one; a sealed tree is an entry */
	bool is_part;		 /* of a sealed tree */
	bool is_key;		 /* no inode, but a name: `node` tells */
	bool read_only;		 /* the mount is, or the view it is seen in */
	struct dirref dir;	 /* is_dir */
	struct vnode node;	 /* is_key; or for its view; none: zeroed */
	struct store_attr attr;	 /* not for keys */
	struct pending *pending; /* NULL: published; a reference */
};

static void subject_deinit(struct subject *s)
{
	pending_unref(s->pending);
}

#define CLEANUP_SUBJECT __attribute__((cleanup(subject_deinit)))

static struct store_staged *staged(const struct subject *s)
{
	return s->pending ? pending_staged(s->pending) : NULL;
}

/* A virtual node: is it a key, and may what is behind it be changed? */
static int subject_get_vnode(struct fs *fs, fuse_ino_t nodeid, struct subject *s)
{
	int r = vnode_get(fs->vnodes, nodeid, &s->node);

	if (r)
		return r;
	s->is_key = s->node.kind == VNODE_RESERVATION ||
		    (s->node.kind == VNODE_WAIT && !s->node.ino);
	s->read_only = s->read_only || (s->node.view.set & VIEW_RO);
	return 0;
}

/* -ENOTSUP: a control file, which has none. */
static int subject_get(fuse_req_t req, fuse_ino_t nodeid, struct subject *ret_s)
{
	struct fs *fs = fs_of(req);
	int r = 0;

	*ret_s = (struct subject){
	    .fs = fs, .tid = fuse_req_ctx(req)->pid, .read_only = fs->read_only};
	if (vnode_is(nodeid))
		r = subject_get_vnode(fs, nodeid, ret_s);
	if (r || ret_s->is_key)
		return r == -ENOENT ? -ESTALE : r;
	r = node_ino(fs, nodeid, &ret_s->ino);
	if (r)
		return r == -EPERM ? -ENOTSUP : -ESTALE;
	ret_s->pending =
	    vnode_is(nodeid) ? NULL : pending_by_ino(fs->pending, ret_s->ino);
	if (ret_s->pending) {
		store_staged_attr(pending_staged(ret_s->pending), &ret_s->attr);
		return 0;
	}
	r = store_getattr(fs->store, ret_s->ino, &ret_s->attr);
	if (r)
		return r == -ENOENT ? -ESTALE : r;
	ret_s->is_dir = S_ISDIR(ret_s->attr.mode) && !ret_s->attr.sealed;
	ret_s->is_part = sealed_is_inside(ret_s->ino);
	return ret_s->is_dir ? dirref_get(fs, nodeid, &ret_s->dir) : 0;
}

/* ---- reading ---- */

static int put_time(struct buf *out, int64_t ns)
{
	if (ns == DURATION_NONE)
		return buf_printf(out, "never");
	return buf_printf(out, "%" PRId64 ".%09" PRId64, ns / NSEC_PER_SEC,
			  ns % NSEC_PER_SEC);
}

static int get_ttl(struct subject *s, struct buf *out)
{
	int64_t ttl_ns;
	int r;

	if (s->pending)
		r = store_staged_ttl_get(staged(s), &ttl_ns, out);
	else
		r = store_ttl_get(s->fs->store, s->ino, &ttl_ns, out);
	if (!r && ttl_ns == DURATION_UNSET)
		r = -ENODATA;
	return r;
}

/* Of a directory the one it shows, of an entry the one it was written under. */
static int get_version(struct subject *s, struct buf *out)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch, owner;
	int r;

	if (s->is_dir && dirref_version(&s->dir))
		r = buf_set(out, s->dir.view.version, strlen(s->dir.view.version));
	else if (s->is_dir)
		r = store_version_get(s->fs->store, s->ino, out);
	else if (s->pending)
		r = -ENODATA; /* where it will be is not settled */
	else
		r = entry_of_ino(s->fs, s->ino, &branch, name);
	if (!r && !s->is_dir)
		r = store_branch_owner(s->fs->store, branch, &owner, out);
	return !r && !out->len ? -ENODATA : r;
}

static int get_expires(struct subject *s, struct buf *out)
{
	int64_t until_ns;

	view_admits(&s->node.view, &s->attr, time_now_ns(), &until_ns);
	return put_time(out, until_ns);
}

static int get_created(struct subject *s, struct buf *out)
{
	return put_time(out, s->attr.created_ns);
}

static int get_age(struct subject *s, struct buf *out)
{
	int64_t age_ns = time_now_ns() - s->attr.created_ns;

	return put_time(out, age_ns > 0 ? age_ns : 0);
}

static int get_state(struct subject *s, struct buf *out)
{
	if (s->is_key && s->node.kind != VNODE_WAIT)
		return -ENODATA;
	if (s->is_key || s->pending)
		return buf_printf(out, "pending");
	return buf_printf(out, view_admits(&s->node.view, &s->attr, time_now_ns(), NULL)
				   ? "live"
				   : "expired");
}

static int get_fact_hash(const struct store_facts *f, struct buf *out)
{
	int r = f->has_hash ? 0 : -ENODATA;

	for (size_t i = 0; !r && i < sizeof(f->hash); i++)
		r = buf_printf(out, "%02x", f->hash[i]);
	return r;
}

static int get_fact_hits(const struct store_facts *f, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, f->hits);
}

static int get_fact_cost(const struct store_facts *f, struct buf *out)
{
	return f->cost_s < 0 ? -ENODATA : buf_printf(out, "%.9g", f->cost_s);
}

static int get_fact_writer(const struct store_facts *f, struct buf *out)
{
	const struct store_writer *w = &f->writer;

	return buf_printf(out, "uid=%u gid=%u pid=%d comm=%s", w->uid, w->gid,
			  (int)w->pid, w->comm);
}

/* ---- reservations ---- */

/* The key of an entry, or of a value being written. */
static int key_of(struct subject *s, uint64_t *ret_branch,
		  char ret_name[STORE_NAME_MAX + 1])
{
	if (!s->pending)
		return entry_of_ino(s->fs, s->ino, ret_branch, ret_name);
	pending_where(s->pending, ret_branch, ret_name);
	return 0;
}

static int get_reservation(struct subject *s, struct buf *out)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	int r;

	if (s->is_key)
		return reservation_node_get(s->fs, &s->node, s->tid, out);
	if (s->is_dir)
		return -ENODATA;
	r = key_of(s, &branch, name);
	return r ? r : reservation_get(s->fs, branch, name, s->tid, out);
}

/*
 * A value being written always has one, which says nothing to who lists its
 * attributes: itself, or rsync, to take away what the source does not have.
 */
static bool lists_reservation(struct subject *s)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;

	if (s->is_key)
		return true;
	return !s->pending && !s->is_dir && key_of(s, &branch, name) == 0 &&
	       reservation_is_held(s->fs, branch, name);
}

/* A directory is reserved by its name, above it: the attribute is for copies. */
static int refuse_directory(const char *value, size_t size)
{
	struct reservation_command cmd;

	if (reservation_parse(value, size, &cmd, NULL) == 0 &&
	    cmd.verb == RESERVATION_NOTHING)
		return 0;
	log_warning("a directory has no reservation of its own: write to "
		    ".memofs/reservations/NAME in the directory above it");
	return -EPERM;
}

static int change_reservation(struct subject *s, const char *value, size_t size,
			      bool extend_only)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	int r;

	if (s->is_key)
		return reservation_node_set(s->fs, &s->node, s->tid, value, size,
					    extend_only);
	if (s->is_dir)
		return refuse_directory(value, size);
	r = key_of(s, &branch, name);
	if (r)
		return r;
	return reservation_set(s->fs, branch, name, s->tid, value, size, extend_only);
}

static int set_reservation(struct subject *s, const char *value, size_t size)
{
	return change_reservation(s, value, size, false);
}

static int set_reservation_extend(struct subject *s, const char *value, size_t size)
{
	return change_reservation(s, value, size, true);
}

/* Only who has it ends it; but a copy may find one here that its source has not. */
static int remove_reservation(struct subject *s)
{
	if (!s->is_key)
		return s->is_dir ? -ENODATA : 0;
	log_warning("a reservation is not removed but released: write \"ID 0\" to it");
	return -EPERM;
}

/* ---- settings of directories ---- */

static int get_setting(struct subject *s, enum store_setting which, struct buf *out)
{
	if (!s->is_dir)
		return -ENODATA;
	return store_setting_get(s->fs->store, s->ino, which, out);
}

static int set_setting(struct subject *s, enum store_setting which, const char *value,
		       size_t size)
{
	static const char *const want[] = {
	    [STORE_SETTING_LEASE] =
		"lease \"%.*s\" is not how long a reservation can last; "
		"use e.g. 60s, 5m, 1h",
	    [STORE_SETTING_WAIT] =
		"wait \"%.*s\" is not a duration; use e.g. 30s, 10m, none",
	    [STORE_SETTING_PUBLISH] = "publish \"%.*s\" is neither on-success nor always",
	};
	char text[DURATION_TEXT_MAX];
	int r = -EINVAL;

	if (!s->is_dir) /* copied in from elsewhere */
		return 0;
	text_trim(&value, &size);
	if (size && size < sizeof(text) && !memchr(value, '\0', size)) {
		memcpy(text, value, size);
		text[size] = '\0';
		r = store_setting_set(s->fs->store, s->ino, which, text);
	}
	if (r == -EINVAL)
		log_warning(want[which], (int)(size < 64 ? size : 64), value);
	return r;
}

static int remove_setting(struct subject *s, enum store_setting which)
{
	CLEANUP_BUF struct buf own = BUF_INIT;
	int r = get_setting(s, which, &own);

	return r ? r : store_setting_set(s->fs->store, s->ino, which, "");
}

/* ---- writing ---- */

static int parse_ttl(const char *value, size_t size, int64_t *ret_ttl_ns)
{
	int r =
	    size < DURATION_TEXT_MAX ? duration_parse(value, size, ret_ttl_ns) : -EINVAL;

	if (r)
		log_warning(
		    "ttl \"%.*s\" is not a duration; use e.g. 90s, 1h30m, PT1H, none",
		    (int)(size < 64 ? size : 64), value);
	return r == -ERANGE ? -EINVAL : r;
}

/*
 * A name whose life has become shorter, or that is alive again: the kernel was
 * told otherwise. A longer life needs no word: it will ask in time.
 */
static void life_changed(struct subject *s, int64_t old_expires_ns)
{
	struct store_attr now;

	if (s->is_dir) {
		kcache_all_changed(s->fs->kcache);
		return;
	}
	if (store_getattr(s->fs->store, s->ino, &now) == 0 &&
	    (now.expires_ns < old_expires_ns || old_expires_ns <= time_now_ns()))
		kcache_all_changed(s->fs->kcache);
}

static int apply_ttl(struct subject *s, int64_t ttl_ns, const char *text)
{
	int r;

	if (s->pending)
		return store_staged_ttl_set(staged(s), ttl_ns, text);
	r = store_ttl_set(s->fs->store, s->ino, ttl_ns, text);
	if (!r)
		life_changed(s, s->attr.expires_ns);
	return r;
}

static int set_ttl(struct subject *s, const char *value, size_t size)
{
	char text[DURATION_TEXT_MAX];
	int64_t ttl_ns;
	int r = parse_ttl(value, size, &ttl_ns);

	if (r)
		return r;
	memcpy(text, value, size);
	text[size] = '\0';
	return apply_ttl(s, ttl_ns, text);
}

static int remove_ttl(struct subject *s)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = get_ttl(s, &text);

	return r ? r : apply_ttl(s, DURATION_UNSET, "");
}

static int switch_version(struct subject *s, const char *version)
{
	int r;

	if (dirref_version(&s->dir))
		return -EPERM; /* a view of one version has that version */
	r = store_version_set(s->fs->store, s->ino, version);
	if (r)
		return r;
	kcache_all_changed(s->fs->kcache);
	kcache_dir_changed(s->fs->kcache, s->ino, 0); /* its times */
	return 0;
}

static int set_version(struct subject *s, const char *value, size_t size)
{
	char version[STORE_VERSION_MAX + 1];

	if (!store_version_valid(value, size)) {
		log_warning("\"%.*s\" is not a version: up to 255 bytes without a slash "
			    "or control characters",
			    (int)(size < 64 ? size : 64), value);
		return -EINVAL;
	}
	if (!s->is_dir) /* copied in from elsewhere */
		return 0;
	memcpy(version, value, size);
	version[size] = '\0';
	return switch_version(s, version);
}

static int remove_version(struct subject *s)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	int r = get_version(s, &version);

	if (r || !s->is_dir)
		return r;
	return switch_version(s, "");
}

static int set_cost(struct subject *s, const char *value, size_t size)
{
	char text[32], *end;
	double cost_s;

	if (s->is_dir)
		return -EPERM;
	if (!size || size >= sizeof(text))
		return -EINVAL;
	memcpy(text, value, size);
	text[size] = '\0';
	cost_s = strtod(text, &end);
	if (*end || !(cost_s >= 0 && cost_s < 1e12)) {
		log_warning("cost \"%s\" is not a number of seconds", text);
		return -EINVAL;
	}
	if (s->pending)
		return store_staged_cost_set(staged(s), cost_s);
	return store_cost_set(s->fs->store, s->ino, cost_s);
}

static int remove_cost(struct subject *s)
{
	if (s->is_dir)
		return -ENODATA;
	if (s->pending)
		return store_staged_cost_set(staged(s), -1);
	return store_cost_set(s->fs->store, s->ino, -1);
}

/* ---- the table ---- */

static const struct attribute {
	const char *name; /* after the prefix */
	bool listed;
	bool entries_listed; /* listed, but not of directories */
	bool entries_only;
	bool whole_only; /* of an entry, and not of what is in a sealed tree */
	bool of_keys;	 /* also of a name that may have no entry */
	bool is_setting; /* of directories; read by name */
	enum store_setting setting;
	bool (*lists)(struct subject *s); /* NULL: as the flags say */
	int (*get)(struct subject *s, struct buf *out);
	int (*get_fact)(const struct store_facts *f, struct buf *out);
	int (*set)(struct subject *s, const char *value, size_t size);
	int (*remove)(struct subject *s);
} attributes[] = {
    {.name = "ttl", .listed = true, .get = get_ttl, .set = set_ttl, .remove = remove_ttl},
    {.name = "version",
     .listed = true,
     .entries_listed = true,
     .get = get_version,
     .set = set_version,
     .remove = remove_version},
    {.name = "expires", .entries_only = true, .get = get_expires},
    {.name = "age", .entries_only = true, .get = get_age},
    {.name = "created", .entries_only = true, .get = get_created},
    {.name = "state",
     .entries_only = true,
     .whole_only = true,
     .of_keys = true,
     .get = get_state},
    {.name = "hash", .entries_only = true, .get_fact = get_fact_hash},
    {.name = "hits", .entries_only = true, .whole_only = true, .get_fact = get_fact_hits},
    {.name = "cost",
     .entries_only = true,
     .whole_only = true,
     .get_fact = get_fact_cost,
     .set = set_cost,
     .remove = remove_cost},
    {.name = "writer",
     .entries_only = true,
     .whole_only = true,
     .get_fact = get_fact_writer},
    {.name = "reservation",
     .listed = true,
     .whole_only = true,
     .of_keys = true,
     .lists = lists_reservation,
     .get = get_reservation,
     .set = set_reservation,
     .remove = remove_reservation},
    {.name = "reservation.extend", .of_keys = true, .set = set_reservation_extend},
    {.name = "lease", .is_setting = true, .setting = STORE_SETTING_LEASE},
    {.name = "wait", .is_setting = true, .setting = STORE_SETTING_WAIT},
    {.name = "publish", .is_setting = true, .setting = STORE_SETTING_PUBLISH},
};

enum { ATTRIBUTE_COUNT = sizeof(attributes) / sizeof(attributes[0]) };

static bool attribute_is_of(const struct attribute *a, const struct subject *s)
{
	return a->of_keys || !s->is_key;
}

static const struct attribute *attribute_find(const struct subject *s, const char *name)
{
	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
		if (strcmp(attributes[i].name, name) == 0 &&
		    attribute_is_of(&attributes[i], s))
			return &attributes[i];
	return NULL;
}

static bool attribute_is_set(const struct attribute *a)
{
	/* What extends is for the commands. */
	return (a->set || a->is_setting) && !strchr(a->name, '.');
}

/* A mistyped one is only a number to who sets it. */
static int attribute_refuse(const struct subject *s, const char *name, int r)
{
	CLEANUP_BUF struct buf others = BUF_INIT;
	char quoted[TEXT_QUOTE_MAX];

	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
		if (attribute_is_set(&attributes[i]) &&
		    attribute_is_of(&attributes[i], s) &&
		    buf_printf(&others, " %s", attributes[i].name))
			return r;
	}
	log_warning("attribute %s %s; of " PREFIX " these can be set:%.*s",
		    text_quote(quoted, name, strlen(name)),
		    r == -EPERM ? "is only read" : "is not known here", (int)others.len,
		    (const char *)others.data);
	return r;
}

static int attribute_get(const struct attribute *a, struct subject *s, struct buf *out)
{
	struct store_facts facts;
	int r;

	if ((a->entries_only && s->is_dir) || (a->whole_only && s->is_part))
		return -ENODATA;
	if (a->get)
		return a->get(s, out);
	if (a->is_setting)
		return get_setting(s, a->setting, out);
	if (!a->get_fact)
		return -ENODATA; /* only written */
	if (s->pending)
		return -ENODATA; /* known when it is published */
	r = store_facts(s->fs->store, s->ino, &facts);
	return r ? r : a->get_fact(&facts, out);
}

static bool is_ours(const char *name)
{
	return strncmp(name, PREFIX, PREFIX_LEN) == 0;
}

/* "user." alone names nothing: EINVAL, as the kernel has it elsewhere. */
static bool is_nameless(const char *name)
{
	return strcmp(name, "user.") == 0;
}

static bool is_foreign(const char *name)
{
	return strncmp(name, "user.", 5) == 0 && !is_ours(name);
}

/* ---- by whole name ---- */

static int xattr_get(struct subject *s, const char *name, struct buf *out)
{
	const struct attribute *a;

	if (is_foreign(name) && (s->is_key || s->is_part))
		return -ENODATA;
	if (is_foreign(name))
		return s->pending ? store_staged_xattr_get(staged(s), name, out)
				  : store_xattr_get(s->fs->store, s->ino, name, out);
	if (!is_ours(name))
		return -ENOTSUP;
	a = attribute_find(s, name + PREFIX_LEN);
	return a ? attribute_get(a, s, out) : -ENODATA;
}

/* XATTR_CREATE and XATTR_REPLACE on an attribute of ours. */
static int check_flags(const struct attribute *a, struct subject *s, int flags)
{
	CLEANUP_BUF struct buf old = BUF_INIT;
	int r = flags ? attribute_get(a, s, &old) : 0;

	if ((flags & XATTR_CREATE) && r == 0)
		return -EEXIST;
	if ((flags & XATTR_REPLACE) && r == -ENODATA)
		return -ENODATA;
	return r == -ENODATA ? 0 : r;
}

static int xattr_set_foreign(struct subject *s, const char *name, struct slice value,
			     int flags)
{
	unsigned int store_flags = 0;

	if (flags & XATTR_CREATE)
		store_flags |= STORE_XATTR_CREATE;
	if (flags & XATTR_REPLACE)
		store_flags |= STORE_XATTR_REPLACE;
	if (s->pending)
		return store_staged_xattr_set(staged(s), name, value, store_flags);
	return store_xattr_set(s->fs->store, s->ino, name, value, store_flags);
}

static int xattr_set(struct subject *s, const char *name, const char *value, size_t size,
		     int flags)
{
	const struct attribute *a;
	int r;

	if (is_nameless(name))
		return -EINVAL;
	if (s->read_only)
		return -EROFS;
	if (s->is_part)
		return sealed_refuse(s->fs, s->ino);
	if (is_foreign(name) && s->is_key)
		return -ENOTSUP;
	if (is_foreign(name))
		return xattr_set_foreign(s, name, slice(value, size), flags);
	if (!is_ours(name))
		return -ENOTSUP;
	a = attribute_find(s, name + PREFIX_LEN);
	if (!a)
		return attribute_refuse(s, name, -ENOTSUP);
	if (!a->set && !a->is_setting)
		return attribute_refuse(s, name, -EPERM);
	r = check_flags(a, s, flags);
	if (!r && a->is_setting)
		return set_setting(s, a->setting, value, size);
	return r ? r : a->set(s, value, size);
}

static int xattr_remove(struct subject *s, const char *name)
{
	const struct attribute *a;

	if (is_nameless(name))
		return -EINVAL;
	if (s->read_only)
		return -EROFS;
	if (s->is_part)
		return sealed_refuse(s->fs, s->ino);
	if (is_foreign(name) && s->is_key)
		return -ENODATA;
	if (is_foreign(name))
		return s->pending ? store_staged_xattr_remove(staged(s), name)
				  : store_xattr_remove(s->fs->store, s->ino, name);
	if (!is_ours(name))
		return -ENOTSUP;
	a = attribute_find(s, name + PREFIX_LEN);
	if (!a)
		return -ENODATA;
	if (a->is_setting)
		return remove_setting(s, a->setting);
	return a->remove ? a->remove(s) : -EPERM;
}

/* Its name, if the subject has it and copying takes it along. */
static int list_one(const struct attribute *a, struct subject *s, struct buf *out)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	bool is_dir = S_ISDIR(s->attr.mode); /* as copies of it are */
	bool listed = a->listed && attribute_is_of(a, s) &&
		      !(a->entries_listed && is_dir) && (!a->lists || a->lists(s));
	int r = listed ? attribute_get(a, s, &value) : -ENODATA;

	if (!r)
		r = buf_printf(out, PREFIX "%s", a->name);
	if (!r)
		r = buf_append(out, "", 1);
	return r == -ENODATA ? 0 : r;
}

static int xattr_list(struct subject *s, struct buf *out)
{
	int r = 0;

	if (s->is_part)
		return 0;
	for (size_t i = 0; !r && i < ATTRIBUTE_COUNT; i++)
		r = list_one(&attributes[i], s, out);
	if (r || s->is_key)
		return r;
	return s->pending ? store_staged_xattr_list(staged(s), out)
			  : store_xattr_list(s->fs->store, s->ino, out);
}

/* ---- requests ---- */

/* getxattr(2): size 0 asks for the length only. */
static void reply_value(fuse_req_t req, int r, const struct buf *value, size_t size)
{
	if (r)
		reply_err(req, r);
	else if (!size)
		fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		reply_err(req, -ERANGE);
	else
		fuse_reply_buf(req, (const char *)value->data, value->len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	CLEANUP_SUBJECT struct subject s = {0};
	CLEANUP_BUF struct buf value = BUF_INIT;
	int r;

	/* Asked for before every write and by every `ls -l`: no look at the store. */
	if (strncmp(name, "user.", 5) != 0) {
		reply_err(req, -ENOTSUP);
		return;
	}
	r = subject_get(req, ino, &s);
	if (!r)
		r = xattr_get(&s, name, &value);
	reply_value(req, r, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	CLEANUP_SUBJECT struct subject s = {0};
	CLEANUP_BUF struct buf names = BUF_INIT;
	int r = subject_get(req, ino, &s);

	if (!r)
		r = xattr_list(&s, &names);
	else if (r == -ENOTSUP)
		r = 0; /* a control file: an empty list */
	reply_value(req, r, &names, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		 size_t size, int flags)
{
	CLEANUP_SUBJECT struct subject s = {0};
	int r = subject_get(req, ino, &s);

	if (!r)
		r = xattr_set(&s, name, value, size, flags);
	reply_err(req, r);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	CLEANUP_SUBJECT struct subject s = {0};
	int r = subject_get(req, ino, &s);

	if (!r)
		r = xattr_remove(&s, name);
	reply_err(req, r);
}
