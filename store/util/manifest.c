/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/manifest.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MANIFEST_FORMAT 1
#define HEAD "memofs backup, format "

void manifest_deinit(struct manifest *m)
{
	free(m->db);
	*m = MANIFEST_INIT;
}

static bool is_name(const char *name, size_t len)
{
	if (!len || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] == '/' || name[i] == 0x7f)
			return false;
	return true;
}

static int add_db(struct manifest *m, const char *name, size_t len, uint64_t size_bytes)
{
	struct manifest_file *db;

	if (len > MANIFEST_NAME_MAX)
		return -ENAMETOOLONG;
	if (!is_name(name, len) || m->db_count == MANIFEST_DB_MAX)
		return -EINVAL;
	db = reallocarray(m->db, m->db_count + 1, sizeof(*db));
	if (!db)
		return -ENOMEM;
	m->db = db;
	db += m->db_count++;
	memcpy(db->name, name, len);
	db->name[len] = '\0';
	db->size_bytes = size_bytes;
	return 0;
}

int manifest_add_db(struct manifest *m, const char *name, uint64_t size_bytes)
{
	return add_db(m, name, strlen(name), size_bytes);
}

void manifest_add_extent(struct manifest *m, uint64_t ino, uint64_t size_bytes)
{
	const uint64_t both[] = {htole64(ino), htole64(size_bytes)};

	m->extents++;
	m->extent_bytes += size_bytes;
	m->extent_sum += XXH3_64bits(both, sizeof(both));
}

/* ---- comparing ---- */

static const struct manifest_file *find_db(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->db_count; i++)
		if (!strcmp(m->db[i].name, name))
			return &m->db[i];
	return NULL;
}

static int compare_db(const struct manifest *said, const struct manifest *found,
		      struct errmsg *err)
{
	for (size_t i = 0; i < said->db_count; i++) {
		const struct manifest_file *db = &said->db[i];
		const struct manifest_file *is = find_db(found, db->name);

		if (!is)
			return err_set(err, EUCLEAN, "the file db/%s is missing",
				       db->name);
		if (is->size_bytes != db->size_bytes)
			return err_set(err, EUCLEAN,
				       "the file db/%s has %" PRIu64
				       " bytes and should have %" PRIu64,
				       db->name, is->size_bytes, db->size_bytes);
	}
	return 0;
}

int manifest_compare(const struct manifest *said, const struct manifest *found,
		     struct errmsg *err)
{
	if (said->extents != found->extents || said->extent_bytes != found->extent_bytes)
		return err_set(err, EUCLEAN,
			       "there are %" PRIu64 " extents of %" PRIu64
			       " bytes, and should be %" PRIu64 " of %" PRIu64,
			       found->extents, found->extent_bytes, said->extents,
			       said->extent_bytes);
	if (said->extent_sum != found->extent_sum)
		return err_set(err, EUCLEAN,
			       "its extents are not those it was made with");
	return compare_db(said, found, err);
}

/* ---- writing ---- */

int manifest_format(const struct manifest *m, struct buf *ret_text)
{
	size_t start = ret_text->len;
	int r = buf_printf(ret_text,
			   HEAD "%d\nstore %u\nmade %" PRId64 "\nextents %" PRIu64
				" %" PRIu64 " %016" PRIx64 "\n",
			   MANIFEST_FORMAT, m->store_format, m->made_s, m->extents,
			   m->extent_bytes, m->extent_sum);

	for (size_t i = 0; !r && i < m->db_count; i++)
		r = buf_printf(ret_text, "db %s %" PRIu64 "\n", m->db[i].name,
			       m->db[i].size_bytes);
	if (r)
		return r;
	return buf_printf(ret_text, "end %016" PRIx64 "\n",
			  XXH3_64bits(ret_text->data + start, ret_text->len - start));
}

/* ---- reading: a cursor over lines of words ---- */

struct cursor {
	const char *at, *end;
};

static bool take_text(struct cursor *c, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len))
		return false;
	c->at += len;
	return true;
}

static bool take_number(struct cursor *c, uint64_t *ret_n)
{
	const char *begin = c->at;
	uint64_t n = 0;

	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
		unsigned int digit = (unsigned int)(*c->at - '0');

		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	/* One way only to write a number. */
	if (c->at == begin || (*begin == '0' && c->at - begin > 1))
		return false;
	*ret_n = n;
	return true;
}

static bool take_hex(struct cursor *c, uint64_t *ret_n)
{
	uint64_t n = 0;

	if (c->end - c->at < 16)
		return false;
	for (int i = 0; i < 16; i++, c->at++) {
		char ch = *c->at;

		if (ch >= '0' && ch <= '9')
			n = n << 4 | (uint64_t)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			n = n << 4 | (uint64_t)(ch - 'a' + 10);
		else
			return false;
	}
	*ret_n = n;
	return true;
}

static bool take_db(struct cursor *c, struct manifest *m, int *ret_r)
{
	const char *name = c->at, *space = memchr(name, ' ', (size_t)(c->end - name));
	uint64_t size;

	if (!space)
		return false;
	c->at = space + 1;
	if (!take_number(c, &size) || !take_text(c, "\n"))
		return false;
	*ret_r = add_db(m, name, (size_t)(space - name), size);
	return *ret_r == 0 || *ret_r == -ENOMEM;
}

static bool take_head(struct cursor *c, struct manifest *m)
{
	uint64_t format, made;

	if (!take_text(c, "store ") || !take_number(c, &format) || format > UINT32_MAX ||
	    !take_text(c, "\nmade ") || !take_number(c, &made) || made > INT64_MAX ||
	    !take_text(c, "\nextents ") || !take_number(c, &m->extents) ||
	    !take_text(c, " ") || !take_number(c, &m->extent_bytes) ||
	    !take_text(c, " ") || !take_hex(c, &m->extent_sum) || !take_text(c, "\n"))
		return false;
	m->store_format = (unsigned int)format;
	m->made_s = (int64_t)made;
	return true;
}

static bool take_end(struct cursor *c, struct slice text)
{
	size_t len = (size_t)(c->at - (const char *)text.data);
	uint64_t hash;

	return take_text(c, "end ") && take_hex(c, &hash) && take_text(c, "\n") &&
	       c->at == c->end && hash == XXH3_64bits(text.data, len);
}

static int parse(struct cursor *c, struct slice text, struct manifest *m,
		 struct errmsg *err)
{
	uint64_t format;
	int r = 0;

	if (!take_text(c, HEAD) || !take_number(c, &format) || !take_text(c, "\n"))
		return err_set(err, EUCLEAN, "is no manifest of a backup");
	if (format != MANIFEST_FORMAT)
		return err_set(err, EPROTO,
			       "has format %" PRIu64
			       ", this memofs knows %d only; use the "
			       "memofs that made it",
			       format, MANIFEST_FORMAT);
	if (!take_head(c, m))
		return err_set(err, EUCLEAN, "is damaged");
	while (!r && take_text(c, "db "))
		if (!take_db(c, m, &r))
			return err_set(err, EUCLEAN, "is damaged");
	if (r)
		return err_set(err, -r, "%s", strerror(-r));
	return take_end(c, text) ? 0 : err_set(err, EUCLEAN, "is damaged or cut off");
}

int manifest_parse(struct slice text, struct manifest *ret_manifest, struct errmsg *err)
{
	struct cursor c = {text.data, (const char *)text.data + text.len};
	struct manifest m = MANIFEST_INIT;
	int r = text.len ? parse(&c, text, &m, err) : err_set(err, EUCLEAN, "is empty");

	if (r) {
		manifest_deinit(&m);
		return r;
	}
	*ret_manifest = m;
	return 0;
}
