/* SPDX-License-Identifier: Apache-2.0 */
/* Values being written: their attributes. */
#include <errno.h>

#include "store/gen.h"
#include "store/staged.h"
#include "store/xattrs.h"

static void attr_locked(struct store_staged *sg, struct store_attr *ret_attr)
{
	struct row_core core = sg->row.core;

	if (sg->base) {
		core.size_bytes = gen_size(sg->base);
	} else {
		core.size_bytes = sg->content.size_bytes;
		core.disk_bytes = content_disk_bytes(&sg->content);
	}
	core.sealed = false; /* it can still be changed */
	core_attr(&core, sg->inherited_ttl_ns, ret_attr);
}

void store_staged_attr(struct store_staged *sg, struct store_attr *ret_attr)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	attr_locked(sg, ret_attr);
}

int store_staged_setattr(struct store_staged *sg, unsigned int set,
			 const struct store_attr *attr, struct store_attr *ret_attr)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	struct row_core *core = &sg->row.core;
	int r;

	if (set & STORE_SET_MODE)
		core->mode = (core->mode & S_IFMT) | (attr->mode & 07777);
	if (set & STORE_SET_UID)
		core->uid = attr->uid;
	if (set & STORE_SET_GID)
		core->gid = attr->gid;
	if (set & STORE_SET_ATIME)
		core->atime_ns = attr->atime_ns;
	if (set & STORE_SET_MTIME)
		core->mtime_ns = attr->mtime_ns;
	r = staged_attr_changed(sg);
	if (!r)
		attr_locked(sg, ret_attr);
	return r;
}

int store_staged_ttl_set(struct store_staged *sg, int64_t ttl_ns, const char *text)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	struct slice t = slice_str(ttl_ns == DURATION_UNSET ? "" : text);

	if (buf_set(&sg->ttl_text, t.data, t.len))
		return -ENOMEM;
	sg->row.ttl_text = buf_slice(&sg->ttl_text);
	sg->row.core.ttl_ns = ttl_ns;
	return staged_attr_changed(sg);
}

int store_staged_ttl_get(struct store_staged *sg, int64_t *ret_ttl_ns,
			 struct buf *ret_text)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	if (buf_set(ret_text, sg->ttl_text.data, sg->ttl_text.len))
		return -ENOMEM;
	*ret_ttl_ns = sg->row.core.ttl_ns;
	return 0;
}

int store_staged_cost_set(struct store_staged *sg, double cost_s)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	sg->row.cost_s = cost_s;
	sg->cost_given = cost_s >= 0;
	return staged_attr_changed(sg);
}

bool store_staged_published(struct store_staged *sg, double *ret_cost_s)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	*ret_cost_s = sg->row.cost_s;
	return sg->published;
}

/* ---- foreign attributes ---- */

/* Take over what a change has packed. */
static int replace_xattrs(struct store_staged *sg, struct buf *packed)
{
	buf_deinit(&sg->xattrs);
	sg->xattrs = *packed;
	*packed = BUF_INIT;
	sg->row.xattrs = buf_slice(&sg->xattrs);
	return staged_attr_changed(sg);
}

int store_staged_xattr_set(struct store_staged *sg, const char *name, struct slice value,
			   unsigned int flags)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	CLEANUP_BUF struct buf packed = BUF_INIT;
	int r = xattrs_set(buf_slice(&sg->xattrs), name, value, flags, &packed);

	return r ? r : replace_xattrs(sg, &packed);
}

int store_staged_xattr_get(struct store_staged *sg, const char *name,
			   struct buf *ret_value)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	return xattrs_get(buf_slice(&sg->xattrs), name, ret_value);
}

int store_staged_xattr_list(struct store_staged *sg, struct buf *ret_names)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	return xattrs_list(buf_slice(&sg->xattrs), ret_names);
}

int store_staged_xattr_remove(struct store_staged *sg, const char *name)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	CLEANUP_BUF struct buf packed = BUF_INIT;
	int r = xattrs_remove(buf_slice(&sg->xattrs), name, &packed);

	return r ? r : replace_xattrs(sg, &packed);
}

/* ---- the pin ---- */

int store_staged_pin_set(struct store_staged *sg, bool pinned)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	CLEANUP_BUF struct buf packed = BUF_INIT;
	int r = xattrs_pin(buf_slice(&sg->xattrs), pinned, &packed);

	return r ? r : replace_xattrs(sg, &packed);
}

bool store_staged_pin_get(struct store_staged *sg)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	return xattrs_pinned(buf_slice(&sg->xattrs));
}
