/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of archives: ustar, and pax records where that is too small. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/tar/header.h"
#include "cli/tar/tar.h"
#include "store/util/duration.h"

/* GNU tar writes whole records of so much, and some tapes want them. */
#define RECORD_BLOCKS 2

size_t tar_padding(uint64_t size_bytes)
{
	return (TAR_BLOCK_BYTES - size_bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
}

static int append_zeros(struct buf *out, size_t n)
{
	static const char zeros[TAR_BLOCK_BYTES];
	int r = 0;

	for (; n && !r; n -= n < sizeof(zeros) ? n : sizeof(zeros))
		r = buf_append(out, zeros, n < sizeof(zeros) ? n : sizeof(zeros));
	return r;
}

int tar_end(struct buf *out)
{
	return append_zeros(out, (size_t)RECORD_BLOCKS * TAR_BLOCK_BYTES);
}

/* ---- records ----------------------------------------------------------------------- */

static int add_text(struct buf *out, const char *keyword, const char *text)
{
	return pax_append(out, keyword, slice(text, strlen(text)));
}

static int add_number(struct buf *out, const char *keyword, uint64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	return add_text(out, keyword, text);
}

static int add_time(struct buf *out, const char *keyword, int64_t ns)
{
	uint64_t abs = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char text[48];

	if (ns == DURATION_NONE)
		return add_text(out, keyword, "never");
	snprintf(text, sizeof(text), "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "",
		 abs / NSEC_PER_SEC, abs % NSEC_PER_SEC);
	return add_text(out, keyword, text);
}

static int add_xattr(struct buf *out, const char *name, struct slice value)
{
	CLEANUP_BUF struct buf keyword = BUF_INIT;
	int r = buf_printf(&keyword, "SCHILY.xattr.");

	for (; *name && !r; name++)
		r = *name == '='   ? buf_append(&keyword, "%3D", 3)
		    : *name == '%' ? buf_append(&keyword, "%25", 3)
				   : buf_append(&keyword, name, 1);
	if (!r)
		r = buf_append(&keyword, "", 1);
	return r ? r : pax_append(out, (const char *)keyword.data, value);
}

static int add_xattrs(struct buf *out, const struct tar_member *m)
{
	struct slice value;
	const char *name;
	size_t pos = 0;
	int r = 0;

	while (!r && tar_xattr_next(m, &pos, &name, &value))
		r = add_xattr(out, name, value);
	return r;
}

static int add_own(struct buf *out, const struct tar_member *m)
{
	char hex[2 * TAR_HASH_BYTES + 1];
	int r = m->tree ? add_text(out, "MEMOFS.tree", "1") : 0;

	if (!r && m->has_version)
		r = add_text(out, "MEMOFS.version", m->version);
	if (!r && m->expires_ns != DURATION_NONE)
		r = add_time(out, "MEMOFS.expires", m->expires_ns);
	if (r || !m->has_hash)
		return r;
	for (size_t i = 0; i < TAR_HASH_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", m->hash[i]);
	return add_text(out, "MEMOFS.hash", hex);
}

/* Whatever does not fit, or is not plain text there. */
static int records(const struct tar_member *m, struct buf *out)
{
	int r = 0;

	if (strlen(tar_text(&m->path)) > HEADER_NAME_MAX)
		r = add_text(out, "path", tar_text(&m->path));
	if (!r && strlen(tar_text(&m->link)) > HEADER_NAME_MAX)
		r = add_text(out, "linkpath", tar_text(&m->link));
	if (!r && m->size_bytes > HEADER_SIZE_MAX)
		r = add_number(out, "size", m->size_bytes);
	if (!r && m->uid > HEADER_ID_MAX)
		r = add_number(out, "uid", m->uid);
	if (!r && m->gid > HEADER_ID_MAX)
		r = add_number(out, "gid", m->gid);
	if (!r && (m->mtime_ns % NSEC_PER_SEC || m->mtime_ns < 0 ||
		   (uint64_t)m->mtime_ns / NSEC_PER_SEC > HEADER_SIZE_MAX))
		r = add_time(out, "mtime", m->mtime_ns);
	/* The field ends with a NUL. */
	if (!r && strlen(m->uname) >= TAR_OWNER_MAX)
		r = add_text(out, "uname", m->uname);
	if (!r && strlen(m->gname) >= TAR_OWNER_MAX)
		r = add_text(out, "gname", m->gname);
	if (!r)
		r = add_own(out, m);
	return r ? r : add_xattrs(out, m);
}

/* ---- headers ----------------------------------------------------------------------- */

static void put_octal(char *field, size_t len, uint64_t value, uint64_t max)
{
	snprintf(field, len, "%0*" PRIo64, (int)len - 1, value > max ? 0 : value);
}

/* A longer one is in a record; its end is what is best known of it. */
static void put_name(char field[HEADER_NAME_MAX], const char *name)
{
	size_t len = strlen(name);

	if (len > HEADER_NAME_MAX)
		name += len - HEADER_NAME_MAX, len = HEADER_NAME_MAX;
	memcpy(field, name, len);
}

static int append_header(struct buf *out, const struct tar_member *m, char type)
{
	struct header h;

	memset(&h, 0, sizeof(h));
	put_name(h.name, tar_text(&m->path));
	put_name(h.link, tar_text(&m->link));
	put_octal(h.mode, sizeof(h.mode), m->mode & 07777, HEADER_ID_MAX);
	put_octal(h.uid, sizeof(h.uid), m->uid, HEADER_ID_MAX);
	put_octal(h.gid, sizeof(h.gid), m->gid, HEADER_ID_MAX);
	put_octal(h.size, sizeof(h.size), m->size_bytes, HEADER_SIZE_MAX);
	put_octal(h.mtime, sizeof(h.mtime),
		  m->mtime_ns < 0 ? 0 : (uint64_t)(m->mtime_ns / NSEC_PER_SEC),
		  HEADER_SIZE_MAX);
	h.type = type;
	memcpy(h.magic, HEADER_POSIX, sizeof(h.magic));
	memcpy(h.uname, m->uname, strnlen(m->uname, sizeof(h.uname) - 1));
	memcpy(h.gname, m->gname, strnlen(m->gname, sizeof(h.gname) - 1));
	memset(h.checksum, ' ', sizeof(h.checksum));
	snprintf(h.checksum, sizeof(h.checksum) - 1, "%06o", header_sum(&h));
	return buf_append(out, &h, sizeof(h));
}

static int append_records(struct buf *out, struct slice text)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	static const char name[] = "././@PaxHeader";
	int r = buf_set(&m.path, name, sizeof(name));

	m.mode = 0644;
	m.size_bytes = text.len;
	if (!r)
		r = append_header(out, &m, HEADER_PAX);
	if (!r)
		r = buf_append(out, text.data, text.len);
	return r ? r : append_zeros(out, tar_padding(text.len));
}

int tar_header(const struct tar_member *m, struct buf *out)
{
	static const char types[] = {
	    [TAR_FILE] = '0', [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_DIR] = '5'};
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r;

	if (m->type >= sizeof(types) || !types[m->type])
		return -EINVAL;
	r = records(m, &text);
	if (!r && text.len)
		r = append_records(out, buf_slice(&text));
	return r ? r : append_header(out, m, types[m->type]);
}
