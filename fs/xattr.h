/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes user.cache.*: what each says, and what writing it does. Which there
 * are, and of what, is in the table of fs/op_xattr.c, through which all calls come:
 * nothing here is called to change what is read-only, or part of a sealed tree.
 */
#ifndef MEMOFS_FS_XATTR_H
#define MEMOFS_FS_XATTR_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/node.h"
#include "fs/pending.h"

/* What an attribute is asked of. */
struct subject {
	struct fs *fs;
	pid_t tid; /* who asks */
	uid_t uid;
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

static inline struct store_staged *subject_staged(const struct subject *s)
{
	return s->pending ? pending_staged(s->pending) : NULL;
}
/* The key of an entry, or of a value being written. -errno as entry_of_ino(). */
int subject_key(struct subject *s, uint64_t *ret_branch,
		char ret_name[STORE_NAME_MAX + 1]);

/* Append the value. -ENODATA: there is none; -errno of the store. */
int subject_get_ttl(struct subject *s, struct buf *out);
int subject_get_version(struct subject *s, struct buf *out);
int subject_get_expires(struct subject *s, struct buf *out);
int subject_get_created(struct subject *s, struct buf *out);
int subject_get_age(struct subject *s, struct buf *out);
int subject_get_state(struct subject *s, struct buf *out);
int subject_get_reservation(struct subject *s, struct buf *out);
int subject_get_pin(struct subject *s, struct buf *out);
int subject_get_setting(struct subject *s, enum store_setting which, struct buf *out);
int fact_get_hash(const struct store_facts *f, struct buf *out);
int fact_get_hits(const struct store_facts *f, struct buf *out);
int fact_get_cost(const struct store_facts *f, struct buf *out);
int fact_get_writer(const struct store_facts *f, struct buf *out);
/* Is the reservation listed, as the ttl is? */
bool subject_lists_reservation(struct subject *s);

/*
 * `value` is as it was written, `size` bytes without a NUL at the end. -EINVAL: it means
 * nothing (logged); -EPERM: it is not written here; -errno of the store.
 */
int subject_set_ttl(struct subject *s, const char *value, size_t size);
int subject_set_version(struct subject *s, const char *value, size_t size);
int subject_set_cost(struct subject *s, const char *value, size_t size);
int subject_set_reservation(struct subject *s, const char *value, size_t size);
int subject_set_reservation_extend(struct subject *s, const char *value, size_t size);
int subject_set_pin(struct subject *s, const char *value, size_t size);
int subject_set_setting(struct subject *s, enum store_setting which, const char *value,
			size_t size);
/* -ENODATA: there is none to remove. */
int subject_remove_ttl(struct subject *s);
int subject_remove_version(struct subject *s);
int subject_remove_cost(struct subject *s);
int subject_remove_reservation(struct subject *s);
int subject_remove_pin(struct subject *s);
int subject_remove_setting(struct subject *s, enum store_setting which);

#endif
