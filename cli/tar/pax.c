/* SPDX-License-Identifier: Apache-2.0 */
/* Records of pax headers: `LENGTH KEYWORD=VALUE\n`. */
#include <errno.h>
#include <string.h>

#include "cli/attrs.h"
#include "cli/tar/tar.h"

#define XATTR_PREFIX "SCHILY.xattr."
#define SPARSE_PREFIX "GNU.sparse."
/* As much as a number, a time or a hash needs. */
#define WORD_MAX 64

/* ---- values ------------------------------------------------------------------------ */

static int get_text(struct slice value, struct buf *out)
{
	if (memchr(value.data, '\0', value.len))
		return -EBADMSG;
	return buf_set(out, value.data, value.len) ?: buf_append(out, "", 1);
}

static int get_word(struct slice value, char ret_word[WORD_MAX])
{
	if (value.len >= WORD_MAX || memchr(value.data, '\0', value.len))
		return -EBADMSG;
	memcpy(ret_word, value.data, value.len);
	ret_word[value.len] = '\0';
	return 0;
}

static int get_number(struct slice value, uint64_t *ret_n)
{
	const char *digits = value.data;
	uint64_t n = 0;

	if (!value.len || value.len > 19)
		return -EBADMSG;
	for (size_t i = 0; i < value.len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return -EBADMSG;
		n = n * 10 + (uint64_t)(digits[i] - '0');
	}
	if (n > INT64_MAX)
		return -EBADMSG;
	*ret_n = n;
	return 0;
}

static int get_time(struct slice value, int64_t *ret_ns)
{
	char word[WORD_MAX];

	return get_word(value, word) || attr_seconds_parse(word, ret_ns) ? -EBADMSG : 0;
}

/* A longer name is none: the number counts. */
static void get_owner(struct slice value, char ret_name[TAR_OWNER_MAX + 1])
{
	char word[WORD_MAX];

	ret_name[0] = '\0';
	if (value.len <= TAR_OWNER_MAX && get_word(value, word) == 0)
		memcpy(ret_name, word, value.len + 1);
}

static int get_version(struct slice value, struct tar_member *m)
{
	if (value.len > TAR_VERSION_MAX || memchr(value.data, '\0', value.len))
		return -EBADMSG;
	memcpy(m->version, value.data, value.len);
	m->version[value.len] = '\0';
	m->has_version = true;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int get_hash(struct slice value, struct tar_member *m)
{
	const char *hex = value.data;

	if (value.len != 2 * TAR_HASH_BYTES)
		return -EBADMSG;
	for (size_t i = 0; i < TAR_HASH_BYTES; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		m->hash[i] = (uint8_t)(high << 4 | low);
	}
	m->has_hash = true;
	return 0;
}

/* `=` ends a keyword, so it is %3D in the name of an attribute, and `%` is %25. */
static int get_xattr(struct slice encoded, struct slice value, struct tar_member *m)
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	const char *text = encoded.data;
	int r = 0;

	if (!encoded.len || memchr(text, '\0', encoded.len))
		return -EBADMSG;
	if (m->xattr_count == TAR_XATTRS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < encoded.len && !r; i++) {
		size_t left = encoded.len - i;

		if (left >= 3 && memcmp(text + i, "%3D", 3) == 0) {
			r = buf_append(&name, "=", 1);
			i += 2;
		} else if (left >= 3 && memcmp(text + i, "%25", 3) == 0) {
			r = buf_append(&name, "%", 1);
			i += 2;
		} else {
			r = buf_append(&name, text + i, 1);
		}
	}
	if (!r)
		r = buf_append(&name, "", 1);
	return r ? r : tar_xattr_add(m, (const char *)name.data, value);
}

/* ---- records ----------------------------------------------------------------------- */

static bool is(struct slice keyword, const char *word)
{
	return keyword.len == strlen(word) && !memcmp(keyword.data, word, keyword.len);
}

static bool begins(struct slice keyword, const char *prefix)
{
	return keyword.len >= strlen(prefix) &&
	       !memcmp(keyword.data, prefix, strlen(prefix));
}

static int take_own(struct slice keyword, struct slice value, struct tar_member *m)
{
	if (is(keyword, "MEMOFS.expires"))
		return get_time(value, &m->expires_ns);
	if (is(keyword, "MEMOFS.hash"))
		return get_hash(value, m);
	if (is(keyword, "MEMOFS.version"))
		return get_version(value, m);
	if (is(keyword, "MEMOFS.tree"))
		m->tree = value.len == 1 && *(const char *)value.data == '1';
	return 0;
}

static int take(struct slice keyword, struct slice value, struct tar_member *m,
		struct pax_seen *seen)
{
	if (begins(keyword, SPARSE_PREFIX))
		seen->sparse = true;
	if (begins(keyword, "MEMOFS."))
		return take_own(keyword, value, m);
	if (begins(keyword, XATTR_PREFIX)) {
		size_t len = strlen(XATTR_PREFIX);

		return get_xattr(
		    slice((const char *)keyword.data + len, keyword.len - len), value, m);
	}
	/* An empty value: as if it were not said. */
	if (is(keyword, "path"))
		return (seen->path = value.len) ? get_text(value, &m->path) : 0;
	if (is(keyword, "linkpath"))
		return (seen->link = value.len) ? get_text(value, &m->link) : 0;
	if (is(keyword, "size"))
		return (seen->size = value.len) ? get_number(value, &m->size_bytes) : 0;
	if (is(keyword, "uid"))
		return (seen->uid = value.len) ? get_number(value, &m->uid) : 0;
	if (is(keyword, "gid"))
		return (seen->gid = value.len) ? get_number(value, &m->gid) : 0;
	if (is(keyword, "mtime"))
		return (seen->mtime = value.len) ? get_time(value, &m->mtime_ns) : 0;
	if (is(keyword, "uname") && (seen->uname = value.len))
		get_owner(value, m->uname);
	if (is(keyword, "gname") && (seen->gname = value.len))
		get_owner(value, m->gname);
	return 0;
}

/* The length of a record, its own digits and the newline included. 0: it is none. */
static size_t record_len(struct slice rest, size_t *ret_digits)
{
	const char *text = rest.data;
	size_t len = 0, i = 0;

	for (; i < rest.len && i < 8 && text[i] >= '0' && text[i] <= '9'; i++)
		len = len * 10 + (size_t)(text[i] - '0');
	if (!i || i >= rest.len || text[i] != ' ' || len > rest.len || len < i + 4 ||
	    text[len - 1] != '\n')
		return 0;
	*ret_digits = i;
	return len;
}

int pax_parse(struct slice records, struct tar_member *m, struct pax_seen *seen,
	      struct errmsg *err)
{
	const char *text = records.data;
	size_t pos = 0, digits;

	while (pos < records.len) {
		size_t len = record_len(slice(text + pos, records.len - pos), &digits);
		const char *body = text + pos + digits + 1, *equals;
		size_t body_len = len - digits - 2, key_len;
		int r;

		if (!len)
			return err_set(err, EBADMSG, "a record is damaged");
		equals = memchr(body, '=', body_len);
		if (!equals)
			return err_set(err, EBADMSG, "a record has no value");
		key_len = (size_t)(equals - body);
		r = take(slice(body, key_len), slice(equals + 1, body_len - key_len - 1),
			 m, seen);
		if (r == -EBADMSG)
			return err_set(err, EBADMSG, "the value of %.*s means nothing",
				       key_len < 64 ? (int)key_len : 64, body);
		if (r)
			return r;
		pos += len;
	}
	return 0;
}

/* The number counts its own digits. */
static size_t whole_len(size_t rest)
{
	size_t digits = 1, power = 10;

	while (rest + digits >= power) {
		digits++;
		power *= 10;
	}
	return rest + digits;
}

int pax_append(struct buf *out, const char *keyword, struct slice value)
{
	size_t len = whole_len(strlen(keyword) + value.len + 3);
	int r = buf_printf(out, "%zu %s=", len, keyword);

	if (!r)
		r = buf_append(out, value.data, value.len);
	return r ? r : buf_append(out, "\n", 1);
}
