/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a member of an archive. */
#include <errno.h>
#include <string.h>

#include "cli/tar/tar.h"

const char *tar_text(const struct buf *b)
{
	return b->len ? (const char *)b->data : "";
}

void tar_member_clear(struct tar_member *m)
{
	struct buf path = m->path, link = m->link, xattrs = m->xattrs;

	*m = TAR_MEMBER_INIT;
	m->path = path;
	m->link = link;
	m->xattrs = xattrs;
	buf_clear(&m->path);
	buf_clear(&m->link);
	buf_clear(&m->xattrs);
}

void tar_member_deinit(struct tar_member *m)
{
	buf_deinit(&m->path);
	buf_deinit(&m->link);
	buf_deinit(&m->xattrs);
	*m = TAR_MEMBER_INIT;
}

/* Each: the name with its NUL, the length of the value, the value. */
bool tar_xattr_next(const struct tar_member *m, size_t *pos, const char **ret_name,
		    struct slice *ret_value)
{
	const char *name;
	uint32_t len;

	if (*pos >= m->xattrs.len)
		return false;
	name = (const char *)m->xattrs.data + *pos;
	*pos += strlen(name) + 1;
	memcpy(&len, m->xattrs.data + *pos, sizeof(len));
	*pos += sizeof(len);
	*ret_name = name;
	*ret_value = slice(m->xattrs.data + *pos, len);
	*pos += len;
	return true;
}

int tar_xattr_find(const struct tar_member *m, const char *name, struct slice *ret_value)
{
	struct slice value;
	const char *at;
	size_t pos = 0;

	while (tar_xattr_next(m, &pos, &at, &value)) {
		if (strcmp(at, name) == 0) {
			*ret_value = value;
			return 0;
		}
	}
	return -ENODATA;
}

static void drop(struct tar_member *m, const char *name)
{
	size_t begin = 0, pos = 0;
	struct slice value;
	const char *at;

	while (tar_xattr_next(m, &pos, &at, &value)) {
		if (strcmp(at, name) == 0) {
			memmove(m->xattrs.data + begin, m->xattrs.data + pos,
				m->xattrs.len - pos);
			m->xattrs.len -= pos - begin;
			m->xattr_count--;
			return;
		}
		begin = pos;
	}
}

int tar_xattr_add(struct tar_member *m, const char *name, struct slice value)
{
	size_t name_len = strlen(name) + 1;
	uint32_t len = (uint32_t)value.len;
	int r;

	drop(m, name);
	/* All of it or nothing: half of one cannot be read. */
	r = buf_reserve(&m->xattrs, m->xattrs.len + name_len + sizeof(len) + value.len);
	if (!r)
		r = buf_append(&m->xattrs, name, name_len);
	if (!r)
		r = buf_append(&m->xattrs, &len, sizeof(len));
	if (!r)
		r = buf_append(&m->xattrs, value.data, value.len);
	m->xattr_count += !r;
	return r;
}
