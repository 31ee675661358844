/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes are read as an archive: nothing out of bounds, no end that is not reached,
 * a message for each failure. What was read of a member can be written, and reads back
 * the same.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "cli/tar/tar.h"

struct input {
	const uint8_t *data;
	size_t len;
	size_t at_once; /* a pipe gives what it has */
};

static int give(void *arg, void *data, size_t len, size_t *ret_len)
{
	struct input *in = arg;

	if (len > in->len)
		len = in->len;
	if (len > in->at_once)
		len = in->at_once;
	if (len)
		memcpy(data, in->data, len);
	in->data += len;
	in->len -= len;
	*ret_len = len;
	return 0;
}

static void check_same(const struct tar_member *a, const struct tar_member *b)
{
	FUZZ_CHECK(a->type == b->type && a->mode == b->mode);
	FUZZ_CHECK(strcmp(tar_text(&a->path), tar_text(&b->path)) == 0);
	FUZZ_CHECK(strcmp(tar_text(&a->link), tar_text(&b->link)) == 0);
	FUZZ_CHECK(a->uid == b->uid && a->gid == b->gid);
	FUZZ_CHECK(strcmp(a->uname, b->uname) == 0 && strcmp(a->gname, b->gname) == 0);
	FUZZ_CHECK(a->size_bytes == b->size_bytes && a->mtime_ns == b->mtime_ns);
	FUZZ_CHECK(a->tree == b->tree && a->expires_ns == b->expires_ns);
	FUZZ_CHECK(a->has_version == b->has_version);
	FUZZ_CHECK(strcmp(a->version, b->version) == 0 && a->has_hash == b->has_hash);
	FUZZ_CHECK(memcmp(a->hash, b->hash, sizeof(a->hash)) == 0);
	FUZZ_CHECK(a->xattrs.len == b->xattrs.len);
	FUZZ_CHECK(!a->xattrs.len ||
		   memcmp(a->xattrs.data, b->xattrs.data, a->xattrs.len) == 0);
}

static void check_written(const struct tar_member *m)
{
	CLEANUP_TAR_MEMBER struct tar_member again = TAR_MEMBER_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct tar_reader *t;
	struct input in;

	FUZZ_CHECK(tar_header(m, &out) == 0);
	FUZZ_CHECK(out.len % TAR_BLOCK_BYTES == 0);
	in = (struct input){.data = out.data, .len = out.len, .at_once = 100};
	FUZZ_CHECK(tar_reader_new(give, &in, &t) == 0);
	FUZZ_CHECK(tar_next(t, &again, NULL) == 0);
	check_same(m, &again);
	tar_reader_free(t);
}

/* V7 knew a directory by its slash; a file that is called so is not written as one. */
static int can_be_written(const struct tar_member *m)
{
	const char *path = tar_text(&m->path), *link = tar_text(&m->link);
	size_t len = strlen(path);

	if (m->type > TAR_DIR || !len || (m->type == TAR_FILE && path[len - 1] == '/'))
		return 0;
	if (m->mtime_ns == INT64_MAX)
		return 0;
	/* Records of more than is read of them, once `%` and `=` are encoded. */
	return len + strlen(link) + 3 * m->xattrs.len + 4096 < TAR_RECORDS_MAX;
}

static int read_content(struct tar_reader *t, const struct tar_member *m,
			struct errmsg *err)
{
	uint64_t done = 0;
	size_t n = 1;
	char data[300];
	int r = 0;

	while (!r && n) {
		r = tar_read(t, data, sizeof(data), &n, err);
		done += r ? 0 : n;
		FUZZ_CHECK(done <= m->size_bytes);
	}
	FUZZ_CHECK(r || done == m->size_bytes);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct input in = {data, len, len ? 1 + data[0] * 64u : 1};
	struct errmsg err = {""};
	struct tar_reader *t;
	unsigned int i = 0;
	int r;

	FUZZ_CHECK(tar_reader_new(give, &in, &t) == 0);
	while ((r = tar_next(t, &m, &err)) == 0) {
		if (can_be_written(&m))
			check_written(&m);
		/* Every other one is left unread. */
		r = i++ % 2 ? read_content(t, &m, &err) : 0;
		if (r)
			break;
	}
	FUZZ_CHECK(r == -ENODATA || err.text[0]);
	tar_reader_free(t);
	return 0;
}
