/* SPDX-License-Identifier: Apache-2.0 */
/* Reading archives, block by block. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tar/header.h"
#include "cli/tar/tar.h"
#include "store/util/duration.h"

struct tar_reader {
	tar_source *read;
	void *arg;
	uint64_t off;
	uint64_t left;	    /* of the content of this member */
	size_t padding;	    /* behind it */
	struct buf global;  /* records for all members that follow */
	struct buf local;   /* for the next */
	struct buf skipped; /* memory for what nobody wants */
};

#define SKIP_BYTES ((size_t)64 * 1024)

int tar_reader_new(tar_source *read, void *arg, struct tar_reader **ret_reader)
{
	struct tar_reader *t = calloc(1, sizeof(*t));

	if (!t || buf_reserve(&t->skipped, SKIP_BYTES)) {
		free(t);
		return -ENOMEM;
	}
	t->read = read;
	t->arg = arg;
	*ret_reader = t;
	return 0;
}

void tar_reader_free(struct tar_reader *t)
{
	if (!t)
		return;
	buf_deinit(&t->global);
	buf_deinit(&t->local);
	buf_deinit(&t->skipped);
	free(t);
}

uint64_t tar_off(const struct tar_reader *t)
{
	return t->off;
}

/* ---- bytes ---------------------------------------------------------------------------
 */

static int damaged(const struct tar_reader *t, struct errmsg *err, const char *what)
{
	return err_set(err, EBADMSG, "damaged at byte %" PRIu64 ": %s", t->off, what);
}

/* At most `len`; 0 is the end. */
static int fetch(struct tar_reader *t, void *data, size_t len, size_t *ret_len,
		 struct errmsg *err)
{
	int r = t->read(t->arg, data, len, ret_len);

	if (r)
		return err_set(err, -r, "cannot be read at byte %" PRIu64 ": %s", t->off,
			       strerror(-r));
	assert(*ret_len <= len);
	t->off += *ret_len;
	return 0;
}

/* All of it, or -EBADMSG; *ret_none, if given: there was nothing at all. */
static int fetch_all(struct tar_reader *t, void *data, size_t len, bool *ret_none,
		     struct errmsg *err)
{
	size_t done = 0, n;
	int r;

	while (done < len) {
		r = fetch(t, (char *)data + done, len - done, &n, err);
		if (r)
			return r;
		if (!n && !done && ret_none) {
			*ret_none = true;
			return 0;
		}
		if (!n)
			return err_set(err, EBADMSG, "ends too early, at byte %" PRIu64,
				       t->off);
		done += n;
	}
	return 0;
}

static int skip(struct tar_reader *t, uint64_t len, struct errmsg *err)
{
	int r = 0;

	while (len && !r) {
		size_t n = len < SKIP_BYTES ? (size_t)len : SKIP_BYTES;

		r = fetch_all(t, t->skipped.data, n, NULL, err);
		len -= n;
	}
	return r;
}

int tar_read(struct tar_reader *t, void *data, size_t len, size_t *ret_len,
	     struct errmsg *err)
{
	size_t n = 0;
	int r;

	if (len > t->left)
		len = (size_t)t->left;
	r = len ? fetch(t, data, len, &n, err) : 0;
	if (!r && len && !n)
		r = err_set(err, EBADMSG, "ends too early, at byte %" PRIu64, t->off);
	if (r)
		return r;
	t->left -= n;
	*ret_len = n;
	return 0;
}

static int skip_content(struct tar_reader *t, struct errmsg *err)
{
	uint64_t left = t->left + t->padding;

	t->left = t->padding = 0;
	return skip(t, left, err);
}

/* ---- fields --------------------------------------------------------------------------
 */

/* Of GNU and star: the first bit is set, the others are a number in two's complement. */
static int binary_number(const char *field, size_t len, int64_t *ret_n)
{
	const unsigned char *bytes = (const unsigned char *)field;
	bool negative = bytes[0] & 0x40;
	uint64_t n = negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char byte =
		    i ? bytes[i]
		      : (unsigned char)((bytes[0] & 0x3f) | (negative ? 0xc0 : 0));

		/* What is shifted out says the sign and nothing else. */
		if (n >> 55 != (negative ? UINT64_MAX >> 55 : 0))
			return -ERANGE;
		n = n << 8 | byte;
	}
	*ret_n = (int64_t)n;
	return 0;
}

static int number(const char *field, size_t len, int64_t *ret_n)
{
	uint64_t n = 0;
	size_t i = 0;

	if ((unsigned char)field[0] & 0x80)
		return binary_number(field, len, ret_n);
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		n = n << 3 | (uint64_t)(field[i] - '0');
	for (; i < len; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return -EINVAL;
	*ret_n = (int64_t)n; /* twelve digits of three bits */
	return 0;
}

/* An id or a size. */
static int unsigned_number(const char *field, size_t len, uint64_t *ret_n)
{
	int64_t n;
	int r = number(field, len, &n);

	if (r || n < 0)
		return -EINVAL;
	*ret_n = (uint64_t)n;
	return 0;
}

/* Some sum their bytes as signed ones. */
static bool sum_is_right(const struct header *h)
{
	const signed char *bytes = (const signed char *)h;
	int64_t want;
	int sum = 0;

	if (number(h->checksum, sizeof(h->checksum), &want))
		return false;
	for (unsigned int i = 0; i < sizeof(*h); i++)
		sum += i >= 148 && i < 156 ? ' ' : bytes[i];
	return want == header_sum(h) || want == sum;
}

static int set_text(struct buf *out, const char *field, size_t len)
{
	return buf_set(out, field, strnlen(field, len)) ?: buf_append(out, "", 1);
}

static int take_name(const struct header *h, struct tar_member *m)
{
	bool posix = memcmp(h->magic, HEADER_POSIX, 6) == 0;
	size_t prefix_len = posix ? strnlen(h->prefix, sizeof(h->prefix)) : 0;
	int r;

	buf_clear(&m->path);
	r = prefix_len ? buf_append(&m->path, h->prefix, prefix_len) : 0;
	if (!r && prefix_len)
		r = buf_append(&m->path, "/", 1);
	if (!r)
		r = buf_append(&m->path, h->name, strnlen(h->name, sizeof(h->name)));
	return r ? r : buf_append(&m->path, "", 1);
}

static void take_owner(const char field[32], char ret_name[TAR_OWNER_MAX + 1])
{
	size_t len = strnlen(field, 32);

	memcpy(ret_name, field, len);
	ret_name[len] = '\0';
}

static int take_mtime(const struct header *h, int64_t *ret_ns)
{
	int64_t s;

	if (number(h->mtime, sizeof(h->mtime), &s))
		return -EINVAL;
	if (s > INT64_MAX / NSEC_PER_SEC || s < INT64_MIN / NSEC_PER_SEC)
		return -EINVAL;
	*ret_ns = s * NSEC_PER_SEC;
	return 0;
}

static enum tar_type type_of(const struct header *h)
{
	size_t len = strnlen(h->name, sizeof(h->name));

	switch (h->type) {
	case '0':
	case '7':
	case '\0':
		/* V7 had no type for directories. */
		return len && h->name[len - 1] == '/' ? TAR_DIR : TAR_FILE;
	case '1':
		return TAR_HARDLINK;
	case '2':
		return TAR_SYMLINK;
	case '3':
	case '4':
	case '6':
		return TAR_SPECIAL;
	case '5':
		return TAR_DIR;
	case HEADER_GNU_SPARSE:
		return TAR_SPARSE;
	default:
		return TAR_UNKNOWN;
	}
}

/* What the records have not said already. */
static int take_header(const struct tar_reader *t, const struct header *h,
		       const struct pax_seen *seen, struct tar_member *m,
		       struct errmsg *err)
{
	bool owners = memcmp(h->magic, "ustar", 5) == 0;
	uint64_t mode;
	int r = 0;

	m->type = seen->sparse ? TAR_SPARSE : type_of(h);
	if (unsigned_number(h->mode, sizeof(h->mode), &mode) ||
	    (!seen->uid && unsigned_number(h->uid, sizeof(h->uid), &m->uid)) ||
	    (!seen->gid && unsigned_number(h->gid, sizeof(h->gid), &m->gid)) ||
	    (!seen->size && unsigned_number(h->size, sizeof(h->size), &m->size_bytes)) ||
	    (!seen->mtime && take_mtime(h, &m->mtime_ns)))
		return damaged(t, err, "a number in a header is none");
	m->mode = mode & 07777;
	if (owners && !seen->uname)
		take_owner(h->uname, m->uname);
	if (owners && !seen->gname)
		take_owner(h->gname, m->gname);
	if (!seen->path)
		r = take_name(h, m);
	if (!r && !seen->link)
		r = set_text(&m->link, h->link, sizeof(h->link));
	return r;
}

/* ---- members -------------------------------------------------------------------------
 */

static bool is_zero(const struct header *h)
{
	const char *bytes = (const char *)h;

	return !bytes[0] && memcmp(bytes, bytes + 1, sizeof(*h) - 1) == 0;
}

static int not_an_archive(const struct header *h, struct errmsg *err)
{
	static const struct {
		const char *magic, *program;
	} packed[] = {{"\x28\xb5\x2f\xfd", "zstd"},
		      {"\x1f\x8b", "gzip"},
		      {"\xfd"
		       "7zXZ",
		       "xz"},
		      {"BZh", "bzip2"}};

	for (size_t i = 0; i < sizeof(packed) / sizeof(*packed); i++)
		if (!memcmp(h, packed[i].magic, strlen(packed[i].magic)))
			return err_set(err, EBADMSG,
				       "compressed; give it through `%s -dc`",
				       packed[i].program);
	return err_set(err, EBADMSG, "no tar archive");
}

/*
 * The next header that is one; *ret_zero: the end. At the first, what is not an archive
 * at all is told apart from one that is damaged.
 */
static int fetch_header(struct tar_reader *t, struct header *h, bool *ret_zero,
			struct errmsg *err)
{
	uint64_t off = t->off;
	bool none = false;
	int r;

	memset(h, 0, sizeof(*h));
	r = fetch_all(t, h, sizeof(*h), &none, err);

	/* What is shorter than a header is none; what cannot be read may be one. */
	if (r)
		return off || r != -EBADMSG ? r : not_an_archive(h, err);
	if (none && !off)
		return err_set(err, EBADMSG, "no tar archive: it is empty");
	if (none)
		return err_set(err, EBADMSG,
			       "ends too early, at byte %" PRIu64
			       ": the mark of its end is missing",
			       off);
	*ret_zero = is_zero(h);
	if (*ret_zero || sum_is_right(h))
		return 0;
	if (!off)
		return not_an_archive(h, err);
	t->off = off;
	return damaged(t, err, "the checksum of a header is wrong");
}

/* The content of a header that speaks of the next one, appended. */
static int fetch_records(struct tar_reader *t, const struct header *h, struct buf *out,
			 struct errmsg *err)
{
	uint64_t size_bytes;
	int r;

	if (unsigned_number(h->size, sizeof(h->size), &size_bytes))
		return damaged(t, err, "a number in a header is none");
	if (size_bytes > TAR_RECORDS_MAX || out->len + size_bytes > TAR_RECORDS_MAX)
		return err_set(err, E2BIG,
			       "has more than a mebibyte of attributes at byte %" PRIu64,
			       t->off);
	r = buf_reserve(out, out->len + (size_t)size_bytes + 1);
	if (!r)
		r = fetch_all(t, out->data + out->len, (size_t)size_bytes, NULL, err);
	if (r)
		return r;
	out->len += (size_t)size_bytes;
	return skip(t, tar_padding(size_bytes), err);
}

static int fetch_long(struct tar_reader *t, const struct header *h, struct buf *out,
		      struct errmsg *err)
{
	int r;

	buf_clear(out);
	r = fetch_records(t, h, out, err);
	if (r)
		return r;
	out->len = strnlen((const char *)out->data, out->len);
	return buf_append(out, "", 1);
}

/* GNU's map of a sparse file goes on in further blocks. */
static int skip_sparse_map(struct tar_reader *t, const struct header *h,
			   struct errmsg *err)
{
	bool more = ((const char *)h)[HEADER_SPARSE_MORE];
	char block[TAR_BLOCK_BYTES];
	int r = 0;

	while (more && !r) {
		r = fetch_all(t, block, sizeof(block), NULL, err);
		more = !r && block[HEADER_SPARSE_MORE_NEXT];
	}
	return r;
}

static int parse_records(struct tar_reader *t, struct slice text, struct tar_member *m,
			 struct pax_seen *seen, struct errmsg *err)
{
	struct errmsg what;
	int r = pax_parse(text, m, seen, &what);

	if (r == -E2BIG)
		return err_set(
		    err, E2BIG,
		    "has more than %d attributes for one file at byte %" PRIu64,
		    TAR_XATTRS_MAX, t->off);
	return r == -EBADMSG ? damaged(t, err, what.text) : r;
}

/* What a header, with all that was said before it, makes. */
static int make_member(struct tar_reader *t, const struct header *h,
		       struct pax_seen *seen, struct tar_member *m, struct errmsg *err)
{
	struct pax_seen gnu = *seen;
	int r = parse_records(t, buf_slice(&t->global), m, seen, err);

	if (!r)
		r = parse_records(t, buf_slice(&t->local), m, seen, err);
	seen->path |= gnu.path;
	seen->link |= gnu.link;
	if (!r)
		r = take_header(t, h, seen, m, err);
	if (!r && m->type == TAR_SPARSE && h->type == HEADER_GNU_SPARSE)
		r = skip_sparse_map(t, h, err);
	if (r)
		return r;
	if (m->size_bytes > INT64_MAX - TAR_BLOCK_BYTES)
		return damaged(t, err, "a size is too large");
	/* Only files have a content; V7 gives the others' size all the same. */
	if (m->type == TAR_HARDLINK || m->type == TAR_SYMLINK || m->type == TAR_DIR ||
	    m->type == TAR_SPECIAL)
		m->size_bytes = 0;
	t->left = m->size_bytes;
	t->padding = tar_padding(m->size_bytes);
	return 0;
}

/* One header. *ret_done: it was that of a member. */
static int step(struct tar_reader *t, const struct header *h, struct pax_seen *seen,
		struct tar_member *m, bool *ret_done, struct errmsg *err)
{
	switch (h->type) {
	case HEADER_PAX:
		return fetch_records(t, h, &t->local, err);
	case HEADER_PAX_GLOBAL:
		return fetch_records(t, h, &t->global, err);
	case HEADER_GNU_NAME:
		seen->path = true;
		return fetch_long(t, h, &m->path, err);
	case HEADER_GNU_LINK:
		seen->link = true;
		return fetch_long(t, h, &m->link, err);
	case HEADER_GNU_LABEL:
		return 0;
	default:
		*ret_done = true;
		return make_member(t, h, seen, m, err);
	}
}

int tar_next(struct tar_reader *t, struct tar_member *m, struct errmsg *err)
{
	struct pax_seen seen = {0};
	bool done = false, zero = false;
	struct header h;
	int r = skip_content(t, err);

	tar_member_clear(m);
	m->off = t->off;
	buf_clear(&t->local);
	while (!r && !done) {
		r = fetch_header(t, &h, &zero, err);
		if (!r && zero)
			return -ENODATA;
		if (!r)
			r = step(t, &h, &seen, m, &done, err);
	}
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "not enough memory at byte %" PRIu64, t->off);
	return r;
}
