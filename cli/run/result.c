/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/result.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/message.h"
#include "store/util/duration.h"

/* Texts are read as a whole; a key has a line for each input. */
#define TEXT_MAX_BYTES (64 * 1024 * 1024)
/* What is checked against its hash before the first byte of it is shown. */
#define REPLAY_WHOLE_BYTES (1024 * 1024)
#define COPY_BYTES (128 * 1024)

static const char *const stream_names[STREAMS] = {"stdout", "stderr"};

/* ---- writing --------------------------------------------------------------------------
 */

static int write_text(struct packwrite *w, const char *path, struct slice text,
		      struct errmsg *err)
{
	return packwrite_bytes(w, path, 0644, time_now_ns(), text, err);
}

static int write_result(struct packwrite *w, const struct result *result,
			struct errmsg *err)
{
	char text[80];
	int len;

	len = snprintf(text, sizeof(text), "exit %d\nseconds %" PRId64 ".%09" PRId64 "\n",
		       result->exit_code, result->ran_ns / NSEC_PER_SEC,
		       result->ran_ns % NSEC_PER_SEC);
	return write_text(w, "result", slice(text, (size_t)len), err);
}

static int write_outputs(struct packwrite *w, const struct result_parts *parts,
			 struct errmsg *err)
{
	int r = 0;

	for (size_t i = 0; parts->outputs && i < parts->outputs->n && !r; i++)
		r = packwrite_item(w, parts->dirfd, "files", &parts->outputs->list[i],
				   parts->fh, err);
	return r;
}

static int write_parts(struct packwrite *w, const struct result_parts *parts,
		       struct errmsg *err)
{
	int r = write_text(w, "key", parts->key, err);

	if (!r)
		r = write_result(w, &parts->result, err);
	if (!r)
		r = recording_pack(parts->rec, w, err);
	if (!r)
		r = write_outputs(w, parts, err);
	return r ? r : packwrite_finish(w, slice(NULL, 0), NULL, err);
}

int result_write(int fd, const struct result_parts *parts, struct errmsg *err)
{
	struct packwrite *w;
	int r = packwrite_new(fd, &w);

	if (r)
		return err_set(err, -r, "%s", strerror(-r));
	r = write_parts(w, parts, err);
	packwrite_free(w);
	return r;
}

/* ---- reading
 * ---------------------------------------------------------------------------- */

static int parse_exit(const char *value, int *ret_code)
{
	char *end;
	long code = strtol(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || code > 255)
		return -EBADMSG;
	*ret_code = (int)code;
	return 0;
}

static int parse_line(char *line, struct result *result, bool *has_exit)
{
	char *value = strchr(line, ' ');

	if (!value)
		return 0;
	*value++ = '\0';
	if (strcmp(line, "exit") == 0) {
		*has_exit = true;
		return parse_exit(value, &result->exit_code);
	}
	if (strcmp(line, "seconds") == 0 &&
	    (attr_seconds_parse(value, &result->ran_ns) || result->ran_ns < 0))
		return -EBADMSG;
	return 0;
}

int result_parse(struct slice text, struct result *ret_result)
{
	CLEANUP_FREE char *copy = strndup(text.len ? text.data : "", text.len);
	struct result result = {0};
	bool has_exit = false;
	char *save, *line;
	int r = 0;

	must(copy ? 0 : -ENOMEM);
	for (line = strtok_r(copy, "\n", &save); line && !r;
	     line = strtok_r(NULL, "\n", &save))
		r = parse_line(line, &result, &has_exit);
	if (r || !has_exit)
		return -EBADMSG;
	*ret_result = result;
	return 0;
}

void found_deinit(struct found *f)
{
	int fd = f->pack.fd;

	packread_deinit(&f->pack);
	close_fdp(&fd);
	buf_deinit(&f->key);
	*f = FOUND_INIT;
}

static int read_texts(struct found *f)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = packread_bytes(&f->pack, "key", TEXT_MAX_BYTES, &f->key);

	if (!r)
		r = packread_bytes(&f->pack, "result", TEXT_MAX_BYTES, &text);
	return r ? r : result_parse(buf_slice(&text), &f->result);
}

int found_open(int fd, struct found *ret_found, struct errmsg *err)
{
	CLEANUP_FOUND struct found f = FOUND_INIT;
	int r = packread_open(fd, &f.pack, err);

	if (r) {
		close(fd);
		return r;
	}
	f.pack.fd = fd;
	r = read_texts(&f);
	/* Another tree, saved under this name. */
	if (r == -ENOENT || r == -EISDIR || r == -ENOTDIR || r == -EFBIG)
		r = -EBADMSG;
	if (r)
		return err_set(err, -r, "it is not the result of a command");
	*ret_found = f;
	f = FOUND_INIT;
	return 0;
}

bool found_has_files(const struct found *f)
{
	uint32_t entry;

	return pack_find(&f->pack.pack, "files", &entry) == 0;
}

/* ---- replaying
 * ------------------------------------------------------------------------------ */

struct replay {
	struct found *f;
	struct buf whole[STREAMS]; /* the bytes, of a small one */
	uint32_t entry[STREAMS];
	uint64_t size[STREAMS];
	int fd[STREAMS];
	uint64_t *shown; /* so far, of each */
};

static int replay_open(struct replay *rp, enum stream s)
{
	struct pack_entry entry;
	int r = pack_find(&rp->f->pack.pack, stream_names[s], &rp->entry[s]);

	if (r)
		return r;
	pack_get(&rp->f->pack.pack, rp->entry[s], &entry);
	if (entry.type != PACK_FILE)
		return -EBADMSG;
	rp->size[s] = entry.size_bytes;
	if (entry.size_bytes > REPLAY_WHOLE_BYTES)
		return 0;
	return packread_bytes(&rp->f->pack, stream_names[s], REPLAY_WHOLE_BYTES,
			      &rp->whole[s]);
}

static int write_some(int fd, const uint8_t *bytes, uint64_t len, uint64_t *done)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		bytes += n;
		len -= (uint64_t)n;
		*done += (uint64_t)n;
	}
	return 0;
}

/* Of a large one, from the pack. */
static int show_copied(struct replay *rp, enum stream s, uint64_t len, bool *ret_writing)
{
	CLEANUP_FREE char *bytes = xcalloc(1, COPY_BYTES);
	struct pack_entry entry;
	int r = 0;

	pack_get(&rp->f->pack.pack, rp->entry[s], &entry);
	while (len && !r) {
		uint64_t n = len < COPY_BYTES ? len : COPY_BYTES;

		r = packread_at(&rp->f->pack, entry.off + rp->shown[s], bytes, n);
		if (r)
			return r;
		r = write_some(rp->fd[s], (uint8_t *)bytes, n, &rp->shown[s]);
		*ret_writing = r != 0;
		len -= n;
	}
	return r;
}

static int show_run(struct replay *rp, enum stream s, uint64_t len, bool *ret_writing)
{
	int r;

	if (!rp->whole[s].data)
		return show_copied(rp, s, len, ret_writing);
	r = write_some(rp->fd[s], rp->whole[s].data + rp->shown[s], len, &rp->shown[s]);
	*ret_writing = r != 0;
	return r;
}

/* Everything that can be known to be wrong beforehand is an error before the first
 * byte is shown. */
static int check_order(const struct replay *rp, struct slice order)
{
	uint64_t len, total[STREAMS] = {0, 0};
	enum stream s;
	size_t at = 0;
	int r;

	while ((r = order_next(order, &at, &s, &len)) == 0) {
		if (len > rp->size[s] - total[s])
			return -EBADMSG;
		total[s] += len;
	}
	if (r != -ENOENT)
		return r;
	return total[STREAM_OUT] == rp->size[STREAM_OUT] &&
		       total[STREAM_ERR] == rp->size[STREAM_ERR]
		   ? 0
		   : -EBADMSG;
}

static int replay_all(struct replay *rp, bool *ret_writing)
{
	CLEANUP_BUF struct buf order = BUF_INIT;
	enum stream s;
	size_t at = 0;
	uint64_t len;
	int r = replay_open(rp, STREAM_OUT);

	if (!r)
		r = replay_open(rp, STREAM_ERR);
	if (!r)
		r = packread_bytes(&rp->f->pack, "order", ORDER_MAX_BYTES, &order);
	if (!r)
		r = check_order(rp, buf_slice(&order));
	while (!r) {
		r = order_next(buf_slice(&order), &at, &s, &len);
		if (r == -ENOENT)
			return 0;
		if (!r)
			r = show_run(rp, s, len, ret_writing);
	}
	return r;
}

int found_replay(struct found *f, uint64_t ret_shown[STREAMS], bool *ret_writing)
{
	struct replay rp = {
	    .f = f,
	    .fd = {STDOUT_FILENO, STDERR_FILENO},
	    .shown = ret_shown,
	};
	int r;

	*ret_writing = false;
	memset(ret_shown, 0, STREAMS * sizeof(*ret_shown));
	r = replay_all(&rp, ret_writing);
	for (int s = 0; s < STREAMS; s++)
		buf_deinit(&rp.whole[s]);
	return r;
}
