/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar archives: POSIX pax, read and written.
 *
 * What is written is ustar headers with pax records where those are too small, and
 * extended attributes as SCHILY.xattr.NAME, which GNU tar, bsdtar and star read. What an
 * entry of a cache has beside a file is in records of our own:
 *   MEMOFS.expires   when it stops being a hit, seconds since the epoch; not said: never
 *   MEMOFS.hash      XXH3-128 of its content, hex
 *   MEMOFS.tree=1    a sealed tree; the content is its pack ("store/util/pack.h")
 *   MEMOFS.version   of a directory, the version at which its children are in the
 *                    archive; not an attribute: tar sets those last, and would hide what
 *                    it has unpacked. Other versions are in DIR/.memofs/versions/V, the
 *                    unnamed one, where it is another, in DIR/.memofs/view/version=
 *
 * What is read is that, and what GNU tar (also with its long names and large numbers),
 * bsdtar, python and V7 write. An archive is input: nothing in it is trusted, and what
 * is kept of it in memory is bounded. Members of sparse files are recognised only.
 */
#ifndef MEMOFS_CLI_TAR_TAR_H
#define MEMOFS_CLI_TAR_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"
#include "store/util/duration.h"
#include "store/util/err.h"

#define TAR_BLOCK_BYTES 512
#define TAR_HASH_BYTES 16
/* Of all that is said of one member in pax records, or in one long name. */
#define TAR_RECORDS_MAX ((size_t)1024 * 1024)
/* More attributes than any file has; each is compared with those before it. */
#define TAR_XATTRS_MAX 4096
/* ustar has room for so much of a user's or group's name; so have we. */
#define TAR_OWNER_MAX 32
#define TAR_VERSION_MAX 255

enum tar_type {
	TAR_FILE,
	TAR_HARDLINK, /* of the member `link`, which came before */
	TAR_SYMLINK,
	TAR_DIR,
	TAR_SPECIAL, /* a device or a fifo */
	TAR_SPARSE,  /* a file with a map of its holes, in one of several formats */
	TAR_UNKNOWN,
};

struct tar_member {
	enum tar_type type;
	struct buf path, link; /* each with a NUL at its end and none before that */
	mode_t mode;	       /* permission bits */
	uint64_t uid, gid;
	char uname[TAR_OWNER_MAX + 1], gname[TAR_OWNER_MAX + 1]; /* "": not known */
	uint64_t size_bytes; /* of the content that follows the header */
	int64_t mtime_ns;
	struct buf xattrs; /* see tar_xattr_next() */
	unsigned int xattr_count;
	bool tree;
	int64_t expires_ns; /* DURATION_NONE: never, or not said */
	bool has_version;
	char version[TAR_VERSION_MAX + 1];
	bool has_hash;
	uint8_t hash[TAR_HASH_BYTES];
	uint64_t off; /* where it begins in the archive, when it was read */
};
#define TAR_MEMBER_INIT ((struct tar_member){.expires_ns = DURATION_NONE})
#define CLEANUP_TAR_MEMBER __attribute__((cleanup(tar_member_deinit)))

void tar_member_deinit(struct tar_member *m);
/* As TAR_MEMBER_INIT, but the memory is kept. */
void tar_member_clear(struct tar_member *m);
/* The text, or "" when there is none. */
const char *tar_text(const struct buf *b);

/* Replaces one of that name. -ENOMEM. */
int tar_xattr_add(struct tar_member *m, const char *name, struct slice value);
/* The next from *pos, 0 at first. What is returned is borrowed. */
bool tar_xattr_next(const struct tar_member *m, size_t *pos, const char **ret_name,
		    struct slice *ret_value);
/* -ENODATA. */
int tar_xattr_find(const struct tar_member *m, const char *name, struct slice *ret_value);

/* ---- reading --------------------------------------------------------------------- */

struct tar_reader;

/* At most `len` bytes; *ret_len 0 is the end. -errno. */
typedef int tar_source(void *arg, void *data, size_t len, size_t *ret_len);

int tar_reader_new(tar_source *read, void *arg, struct tar_reader **ret_reader);
void tar_reader_free(struct tar_reader *t); /* NULL is fine */

/*
 * The next member, over the rest of the content of the last one; what is in `m` is
 * replaced. -ENODATA: that was the last. With a message that has the offset: -EBADMSG:
 * no archive, damaged, or it ends too early; -E2BIG: more is said of a member than is
 * read; -errno of the source. No more can be read then.
 */
int tar_next(struct tar_reader *t, struct tar_member *m, struct errmsg *err);
/* At most `len` bytes of its content; *ret_len 0: that was all. Errors as tar_next(). */
int tar_read(struct tar_reader *t, void *data, size_t len, size_t *ret_len,
	     struct errmsg *err);
/* How far in the archive. */
uint64_t tar_off(const struct tar_reader *t);

/* ---- writing --------------------------------------------------------------------- */

/*
 * Append the header of a member, or several. size_bytes of content are to follow, and
 * tar_padding() zeros. -EINVAL: a type that is not written; -ENOMEM.
 */
int tar_header(const struct tar_member *m, struct buf *out);
size_t tar_padding(uint64_t size_bytes);
/* What an archive ends with. -ENOMEM. */
int tar_end(struct buf *out);

/* ---- between these files ---------------------------------------------------------- */

struct pax_seen {
	bool path, link, size, uid, gid, uname, gname, mtime, sparse;
};
/*
 * What records say of a member. What is not known is passed over. -EBADMSG: they are
 * damaged; -E2BIG: more than TAR_XATTRS_MAX attributes; -ENOMEM.
 */
int pax_parse(struct slice records, struct tar_member *m, struct pax_seen *seen,
	      struct errmsg *err);
/* Append one; the name of an attribute is to be encoded before. -ENOMEM. */
int pax_append(struct buf *out, const char *keyword, struct slice value);

#endif
