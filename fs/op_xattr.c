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
#include <string.h>
#include <sys/xattr.h>

#include "fs/node.h"
#include "fs/once.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/sealed.h"
#include "fs/xattr.h"
#include "store/util/log.h"
#include "store/util/text.h"

#define PREFIX "user.cache."
#define PREFIX_LEN (sizeof(PREFIX) - 1)

static void subject_deinit(struct subject *s)
{
	pending_unref(s->pending);
}

#define CLEANUP_SUBJECT __attribute__((cleanup(subject_deinit)))

/* A virtual node: is it a key, and may what is behind it be changed? */
static int subject_find_vnode(struct fs *fs, fuse_ino_t nodeid, struct subject *s)
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
static int subject_find(fuse_req_t req, fuse_ino_t nodeid, struct subject *ret_s)
{
	struct fs *fs = fs_of(req);
	int r = 0;

	*ret_s = (struct subject){.fs = fs,
				  .tid = fuse_req_ctx(req)->pid,
				  .uid = fuse_req_ctx(req)->uid,
				  .read_only = fs->read_only};
	if (vnode_is(nodeid))
		r = subject_find_vnode(fs, nodeid, ret_s);
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
    {.name = "ttl",
     .listed = true,
     .get = subject_get_ttl,
     .set = subject_set_ttl,
     .remove = subject_remove_ttl},
    {.name = "version",
     .listed = true,
     .entries_listed = true,
     .get = subject_get_version,
     .set = subject_set_version,
     .remove = subject_remove_version},
    {.name = "expires", .entries_only = true, .get = subject_get_expires},
    {.name = "age", .entries_only = true, .get = subject_get_age},
    {.name = "created", .entries_only = true, .get = subject_get_created},
    {.name = "state",
     .entries_only = true,
     .whole_only = true,
     .of_keys = true,
     .get = subject_get_state},
    {.name = "hash", .entries_only = true, .get_fact = fact_get_hash},
    {.name = "hits", .entries_only = true, .whole_only = true, .get_fact = fact_get_hits},
    {.name = "cost",
     .entries_only = true,
     .whole_only = true,
     .get_fact = fact_get_cost,
     .set = subject_set_cost,
     .remove = subject_remove_cost},
    {.name = "writer",
     .entries_only = true,
     .whole_only = true,
     .get_fact = fact_get_writer},
    {.name = "reservation",
     .listed = true,
     .whole_only = true,
     .of_keys = true,
     .lists = subject_lists_reservation,
     .get = subject_get_reservation,
     .set = subject_set_reservation,
     .remove = subject_remove_reservation},
    {.name = "reservation.extend",
     .of_keys = true,
     .set = subject_set_reservation_extend},
    {.name = "pin",
     .whole_only = true,
     .get = subject_get_pin,
     .set = subject_set_pin,
     .remove = subject_remove_pin},
    {.name = "lease", .is_setting = true, .setting = STORE_SETTING_LEASE},
    {.name = "wait", .is_setting = true, .setting = STORE_SETTING_WAIT},
    {.name = "publish", .is_setting = true, .setting = STORE_SETTING_PUBLISH},
    {.name = "quota", .is_setting = true, .setting = STORE_SETTING_QUOTA},
    {.name = "max-entry", .is_setting = true, .setting = STORE_SETTING_MAX_ENTRY},
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
		return subject_get_setting(s, a->setting, out);
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
		return s->pending ? store_staged_xattr_get(subject_staged(s), name, out)
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
		return store_staged_xattr_set(subject_staged(s), name, value,
					      store_flags);
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
		return subject_set_setting(s, a->setting, value, size);
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
		return s->pending ? store_staged_xattr_remove(subject_staged(s), name)
				  : store_xattr_remove(s->fs->store, s->ino, name);
	if (!is_ours(name))
		return -ENOTSUP;
	a = attribute_find(s, name + PREFIX_LEN);
	if (!a)
		return -ENODATA;
	if (a->is_setting)
		return subject_remove_setting(s, a->setting);
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
	return s->pending ? store_staged_xattr_list(subject_staged(s), out)
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
	r = subject_find(req, ino, &s);
	if (!r)
		r = xattr_get(&s, name, &value);
	reply_value(req, r, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	CLEANUP_SUBJECT struct subject s = {0};
	CLEANUP_BUF struct buf names = BUF_INIT;
	int r = subject_find(req, ino, &s);

	if (!r)
		r = xattr_list(&s, &names);
	else if (r == -ENOTSUP)
		r = 0; /* a control file: an empty list */
	reply_value(req, r, &names, size);
}

/* Will it fail, as things are? With XATTR_CREATE what is there does, and removing what
 * is not. */
static bool would_fail(struct subject *s, const char *name, bool sets, int flags)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	if (!s->fs->keep || (sets && !(flags & XATTR_CREATE)))
		return false;
	return (xattr_get(s, name, &value) == 0) == sets;
}

/* Setting what is set already changes nothing, and so it is with reservations. Where it
 * fails, it is kept whether it would have the first time. `value`: NULL: it is removed.
 */
static int change_once(struct subject *s, struct once *once, const char *name,
		       const struct slice *value, int flags)
{
	bool failed_before = once->ino;
	int r;

	if (once_known(once))
		return once->result;
	once_begin(once, would_fail(s, name, value, flags));
	r = value ? xattr_set(s, name, value->data, value->len, flags)
		  : xattr_remove(s, name);
	if (!failed_before)
		r = once_again(once, r, value ? -EEXIST : -ENODATA);
	once_done(once, r);
	return r;
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		 size_t size, int flags)
{
	CLEANUP_SUBJECT struct subject s = {0};
	struct once once = once_enter(fs_of(req));
	struct slice bytes = slice(value, size);
	int r = subject_find(req, ino, &s);

	if (!r)
		r = change_once(&s, &once, name, &bytes, flags);
	reply_err(req, r);
	once_leave(&once);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	CLEANUP_SUBJECT struct subject s = {0};
	struct once once = once_enter(fs_of(req));
	int r = subject_find(req, ino, &s);

	if (!r)
		r = change_once(&s, &once, name, NULL, 0);
	reply_err(req, r);
	once_leave(&once);
}
