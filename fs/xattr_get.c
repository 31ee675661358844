/* SPDX-License-Identifier: Apache-2.0 */
/* What the attributes user.cache.* say. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/pending.h"
#include "fs/reservation.h"
#include "fs/xattr.h"
#include "store/util/duration.h"

static int put_time(struct buf *out, int64_t ns)
{
	if (ns == DURATION_NONE)
		return buf_printf(out, "never");
	return buf_printf(out, "%" PRId64 ".%09" PRId64, ns / NSEC_PER_SEC,
			  ns % NSEC_PER_SEC);
}

int subject_get_ttl(struct subject *s, struct buf *out)
{
	int64_t ttl_ns;
	int r;

	if (s->pending)
		r = store_staged_ttl_get(subject_staged(s), &ttl_ns, out);
	else
		r = store_ttl_get(s->fs->store, s->ino, &ttl_ns, out);
	if (!r && ttl_ns == DURATION_UNSET)
		r = -ENODATA;
	return r;
}

/* Of a directory the one it shows, of an entry the one it was written under. */
int subject_get_version(struct subject *s, struct buf *out)
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

int subject_get_expires(struct subject *s, struct buf *out)
{
	int64_t until_ns;

	view_admits(&s->node.view, &s->attr, time_now_ns(), &until_ns);
	return put_time(out, until_ns);
}

int subject_get_created(struct subject *s, struct buf *out)
{
	return put_time(out, s->attr.created_ns);
}

int subject_get_age(struct subject *s, struct buf *out)
{
	int64_t age_ns = time_now_ns() - s->attr.created_ns;

	return put_time(out, age_ns > 0 ? age_ns : 0);
}

int subject_get_state(struct subject *s, struct buf *out)
{
	if (s->is_key && s->node.kind != VNODE_WAIT)
		return -ENODATA;
	if (s->is_key || s->pending)
		return buf_printf(out, "pending");
	return buf_printf(out, view_admits(&s->node.view, &s->attr, time_now_ns(), NULL)
				   ? "live"
				   : "expired");
}

int fact_get_hash(const struct store_facts *f, struct buf *out)
{
	int r = f->has_hash ? 0 : -ENODATA;

	for (size_t i = 0; !r && i < sizeof(f->hash); i++)
		r = buf_printf(out, "%02x", f->hash[i]);
	return r;
}

int fact_get_hits(const struct store_facts *f, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, f->hits);
}

int fact_get_cost(const struct store_facts *f, struct buf *out)
{
	return f->cost_s < 0 ? -ENODATA : buf_printf(out, "%.9g", f->cost_s);
}

/* What a process calls itself may have anything in it, but is to be a line here. */
int fact_get_writer(const struct store_facts *f, struct buf *out)
{
	const struct store_writer *w = &f->writer;
	int r =
	    buf_printf(out, "uid=%u gid=%u pid=%d comm=", w->uid, w->gid, (int)w->pid);

	for (const char *c = w->comm; !r && *c; c++)
		r = buf_append(out, (uint8_t)*c >= ' ' && *c != 0x7f ? c : "_", 1);
	return r;
}

/* ---- reservations and settings ---- */

/* The key of an entry, or of a value being written. */
int subject_key(struct subject *s, uint64_t *ret_branch,
		char ret_name[STORE_NAME_MAX + 1])
{
	if (!s->pending)
		return entry_of_ino(s->fs, s->ino, ret_branch, ret_name);
	pending_where(s->pending, ret_branch, ret_name);
	return 0;
}

int subject_get_reservation(struct subject *s, struct buf *out)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	int r;

	if (s->is_key)
		return reservation_node_get(s->fs, &s->node, s->tid, out);
	if (s->is_dir)
		return -ENODATA;
	r = subject_key(s, &branch, name);
	return r ? r : reservation_get(s->fs, branch, name, s->tid, out);
}

/*
 * A value being written always has one, which says nothing to who lists its
 * attributes: itself, or rsync, to take away what the source does not have.
 */
bool subject_lists_reservation(struct subject *s)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;

	if (s->is_key)
		return true;
	return !s->pending && !s->is_dir && subject_key(s, &branch, name) == 0 &&
	       reservation_is_held(s->fs, branch, name);
}

int subject_get_setting(struct subject *s, enum store_setting which, struct buf *out)
{
	if (!s->is_dir)
		return -ENODATA;
	return store_setting_get(s->fs->store, s->ino, which, out);
}

/* Of a directory a setting for all below; of an entry its own. */
int subject_get_pin(struct subject *s, struct buf *out)
{
	bool pinned = false;
	int r = 0;

	if (s->is_dir)
		return subject_get_setting(s, STORE_SETTING_PIN, out);
	if (s->pending)
		pinned = store_staged_pin_get(subject_staged(s));
	else
		r = store_pin_get(s->fs->store, s->ino, &pinned);
	if (r)
		return r;
	return pinned ? buf_printf(out, "yes") : -ENODATA;
}
