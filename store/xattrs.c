/* SPDX-License-Identifier: Apache-2.0 */
#include "store/xattrs.h"

#include <errno.h>
#include <string.h>

#define XATTR_VALUE_MAX (16 * 1024)
#define XATTR_NAME_MAX 255

static const char pin_name[] = "user.cache.pin";

static size_t take_len(const uint8_t *p, size_t width)
{
	size_t len = 0;

	for (size_t i = 0; i < width; i++)
		len |= (size_t)p[i] << (8 * i);
	return len;
}

/* A length of `width` bytes at *pos, and that many bytes after it. */
static bool take_field(struct slice packed, size_t *pos, size_t width,
		       struct slice *ret_field)
{
	const uint8_t *p = packed.data;
	size_t len;

	if (packed.len - *pos < width)
		return false;
	len = take_len(p + *pos, width);
	if (packed.len - *pos - width < len)
		return false;
	*ret_field = slice(p + *pos + width, len);
	*pos += width + len;
	return true;
}

bool xattrs_next(struct slice packed, size_t *pos, struct slice *ret_name,
		 struct slice *ret_value)
{
	struct slice name, value;
	size_t at = *pos;

	if (at >= packed.len || !take_field(packed, &at, 1, &name) ||
	    !take_field(packed, &at, 4, &value))
		return false;
	if (name.len == 0 || memchr(name.data, 0, name.len))
		return false;
	*ret_name = name;
	*ret_value = value;
	*pos = at;
	return true;
}

bool xattrs_valid(struct slice packed)
{
	struct slice name, value;
	size_t pos = 0, total = 0;

	while (xattrs_next(packed, &pos, &name, &value)) {
		if (value.len > XATTR_VALUE_MAX)
			return false;
		total += name.len + value.len;
	}
	return pos == packed.len && total <= STORE_XATTR_MAX;
}

static bool name_is(struct slice name, const char *text)
{
	return name.len == strlen(text) && !memcmp(name.data, text, name.len);
}

static bool xattrs_find(struct slice packed, const char *name, struct slice *ret_value)
{
	struct slice each, value;
	size_t pos = 0;

	while (xattrs_next(packed, &pos, &each, &value)) {
		if (name_is(each, name)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

int xattrs_get(struct slice packed, const char *name, struct buf *ret_value)
{
	struct slice value;

	if (!strcmp(name, pin_name) || !xattrs_find(packed, name, &value))
		return -ENODATA;
	return buf_set(ret_value, value.data, value.len);
}

int xattrs_list(struct slice packed, struct buf *ret_names)
{
	struct slice name, value;
	size_t pos = 0;

	while (xattrs_next(packed, &pos, &name, &value)) {
		if (name_is(name, pin_name))
			continue;
		if (buf_append(ret_names, name.data, name.len) ||
		    buf_append(ret_names, "", 1))
			return -ENOMEM;
	}
	return 0;
}

static int append_one(struct buf *out, struct slice name, struct slice value)
{
	uint8_t name_len = (uint8_t)name.len;
	uint8_t value_len[4] = {value.len & 0xff, value.len >> 8 & 0xff,
				value.len >> 16 & 0xff, value.len >> 24 & 0xff};

	if (buf_append(out, &name_len, 1) || buf_append(out, name.data, name.len) ||
	    buf_append(out, value_len, sizeof(value_len)))
		return -ENOMEM;
	return value.len ? buf_append(out, value.data, value.len) : 0;
}

/* Everything but `name`; *ret_total is the bytes of names and values kept. */
static int copy_others(struct slice packed, const char *name, struct buf *out,
		       size_t *ret_total)
{
	struct slice each, value;
	size_t pos = 0, total = 0;
	int r;

	while (xattrs_next(packed, &pos, &each, &value)) {
		if (name_is(each, name))
			continue;
		r = append_one(out, each, value);
		if (r)
			return r;
		total += each.len + value.len;
	}
	*ret_total = total;
	return 0;
}

static int set(struct slice packed, const char *name, struct slice value,
	       unsigned int flags, struct buf *ret_packed)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	size_t name_len = strlen(name), total;
	struct slice old;
	bool exists = xattrs_find(packed, name, &old);
	int r;

	if (name_len == 0 || name_len > XATTR_NAME_MAX)
		return -EINVAL;
	if (value.len > XATTR_VALUE_MAX)
		return -E2BIG;
	if (exists && (flags & STORE_XATTR_CREATE))
		return -EEXIST;
	if (!exists && (flags & STORE_XATTR_REPLACE))
		return -ENODATA;
	r = copy_others(packed, name, &out, &total);
	if (r)
		return r;
	if (total + name_len + value.len > STORE_XATTR_MAX)
		return -ENOSPC;
	r = append_one(&out, slice(name, name_len), value);
	if (r)
		return r;
	return buf_set(ret_packed, out.data, out.len);
}

static int without(struct slice packed, const char *name, struct buf *ret_packed)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct slice old;
	size_t total;
	int r;

	if (!xattrs_find(packed, name, &old))
		return -ENODATA;
	r = copy_others(packed, name, &out, &total);
	if (r)
		return r;
	return buf_set(ret_packed, out.data, out.len);
}

int xattrs_set(struct slice packed, const char *name, struct slice value,
	       unsigned int flags, struct buf *ret_packed)
{
	if (!strcmp(name, pin_name))
		return -EINVAL;
	return set(packed, name, value, flags, ret_packed);
}

int xattrs_remove(struct slice packed, const char *name, struct buf *ret_packed)
{
	return strcmp(name, pin_name) ? without(packed, name, ret_packed) : -EINVAL;
}

/* ---- the pin ---- */

bool xattrs_pinned(struct slice packed)
{
	struct slice value;

	return xattrs_find(packed, pin_name, &value);
}

int xattrs_pin(struct slice packed, bool pinned, struct buf *ret_packed)
{
	if (pinned)
		return set(packed, pin_name, slice("", 0), 0, ret_packed);
	if (!xattrs_pinned(packed))
		return buf_set(ret_packed, packed.data, packed.len);
	return without(packed, pin_name, ret_packed);
}
