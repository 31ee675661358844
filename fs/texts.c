/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/texts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attach.h"
#include "fs/backing.h"
#include "fs/caller.h"
#include "fs/fast.h"
#include "fs/handle.h"
#include "fs/held.h"
#include "fs/jobs.h"
#include "fs/pending.h"
#include "fs/reservation.h"
#include "fs/stats.h"
#include "fs/user_limits.h"
#include "fs/waiters.h"
#include "store/util/log.h"

static int write_counts(struct fs *fs, const struct store_stats *s, struct buf *out)
{
	return buf_printf(out,
			  "entries: %" PRIu64 "\n"
			  "dirs: %" PRIu64 "\n"
			  "bytes: %" PRIu64 "\n"
			  "memory_bytes: %" PRIu64 "\n"
			  "staged_bytes: %" PRIu64 "\n"
			  "db_disk_bytes: %" PRIu64 "\n"
			  "disk_total_bytes: %" PRIu64 "\n"
			  "disk_avail_bytes: %" PRIu64 "\n"
			  "open_handles: %" PRIu64 "\n"
			  "pending_writes: %" PRIu64 "\n"
			  "waiting_opens: %" PRIu64 "\n"
			  "virtual_nodes: %" PRIu64 "\n"
			  "requests: %" PRIu64 "\n"
			  "polled_requests: %" PRIu64 "\n",
			  s->entries, s->dirs, s->bytes, s->memory_bytes, s->staged_bytes,
			  s->db_disk_bytes, s->disk_total_bytes, s->disk_avail_bytes,
			  handle_count(fs->handles), pending_count(fs->pending),
			  waiters_count(fs->waiters), vnode_count(fs->vnodes),
			  atomic_load(&fs->requests), atomic_load(&fs->polled));
}

/* Of a read-only mount: see fs/fast.h. */
static int write_fast(struct fs *fs, struct buf *out)
{
	uint64_t known, held;

	if (!fs->fast)
		return 0;
	fast_counts(fs->fast, &known, &held);
	return buf_printf(out,
			  "fast: %s\nknown_files: %" PRIu64 "\nheld_files: %" PRIu64 "\n",
			  fs->no_open ? "yes" : "no", known, held);
}

static int write_passthrough(struct fs *fs, struct buf *out)
{
	struct backing_counts c;

	backing_count(fs->backings, &c);
	return buf_printf(out,
			  "passthrough: %s\npassthrough_opens: %" PRIu64
			  "\npassthrough_files: %" PRIu64 "\n",
			  c.on ? "yes" : "no", c.opens, c.files);
}

static int write_holder(struct fs *fs, struct buf *out)
{
	const struct held *h = fs->held;
	int r = h ? buf_printf(out, "holder: %d\n", (int)held_holder(h)) : 0;

	if (!r && h && h->restarts)
		r = buf_printf(out, "restarts: %" PRIu64 "\nrestarted_after: it %s\n",
			       h->restarts, h->begin.text);
	return r;
}

/* Whatever the store is like: by its pid the daemon can be waited for. */
static int write_status(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	struct store_stats s;
	int trouble = store_stats(fs->store, &s);
	int r = buf_printf(out,
			   "version: %s\n"
			   "pid: %d\n"
			   "store: %s\n"
			   "mountpoint: %s\n"
			   "backend: %s\n"
			   "started: %" PRId64 "\n"
			   "threads: %u\n",
			   MEMOFS_VERSION, (int)getpid(), fs->store_path, fs->mountpoint,
			   fs->backend_name, fs->started_ns / NSEC_PER_SEC, fs->threads);

	if (!r)
		r = write_holder(fs, out);
	if (r)
		return r;
	if (trouble)
		return buf_printf(out, "trouble: %s\n",
				  trouble == -ENOENT ? "the store was removed"
						     : strerror(-trouble));
	r = write_counts(fs, &s, out);
	if (!r)
		r = write_passthrough(fs, out);
	if (!r)
		r = write_fast(fs, out);
	return r ? r : attach_text(fs, out);
}

static int write_version(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	return buf_printf(out, "memofs %s\n", MEMOFS_VERSION);
}

static int write_config(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	return fs->config_text ? fs->config_text(fs->config, out) : 0;
}

/* ---- the log ---- */

enum { MEMO = 64 };

/* Who reads it, and of which namespaces he may; few are asked about more than once. */
struct log_reader {
	fuse_req_t req;
	struct {
		uint64_t ino;
		bool may;
	} memo[MEMO];
};

static bool may_list(fuse_req_t req, uint64_t dir_ino)
{
	struct store_attr attr;

	return store_getattr(fs_of(req)->store, dir_ino, &attr) == 0 &&
	       caller_may(req, &attr, S_IROTH | S_IXOTH);
}

/* Lines have names in them: those of a namespace are for who may list that. */
static bool is_for(void *arg, uint64_t tag)
{
	struct log_reader *reader = arg;

	if (!tag)
		return true;
	if (reader->memo[tag % MEMO].ino != tag) {
		reader->memo[tag % MEMO].ino = tag;
		reader->memo[tag % MEMO].may = may_list(reader->req, tag);
	}
	return reader->memo[tag % MEMO].may;
}

/* The newest lines, for who may not read the file, or the journal. */
static int write_log(fuse_req_t req, uint64_t dir_ino, struct buf *out)
{
	struct log_reader reader = {.req = req};
	uid_t uid = fuse_req_ctx(req)->uid;
	bool all = uid == 0 || uid == geteuid();

	if (dir_ino == STORE_ROOT_INO)
		return all ? log_recent(out) : log_recent_where(is_for, &reader, out);
	return all || may_list(req, dir_ino) ? log_recent_tagged(dir_ino, out) : -EACCES;
}

/* ---- the table ---- */

static int write_users(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	return limits_text(fs->limits, out);
}

static const struct {
	const char *name;
	unsigned int places; /* enum text_place */
	mode_t mode;
	/* NULL: the log */
	int (*write)(struct fs *fs, uint64_t dir_ino, struct buf *out);
} texts[] = {
    {"config", TEXT_OF_ROOT, 0444, write_config},
    {"history.csv", TEXT_OF_ROOT, 0444, stats_history},
    {"log", TEXT_OF_ROOT | TEXT_OF_NAMESPACE, 0444, NULL},
    {"metrics", TEXT_OF_ROOT | TEXT_OF_NAMESPACE, 0444, stats_metrics},
    {"stats", TEXT_OF_ROOT | TEXT_OF_NAMESPACE, 0444, stats_text},
    {"stats.json", TEXT_OF_ROOT, 0444, stats_json},
    {"status", TEXT_OF_ROOT, 0444, write_status},
    {"top.json", TEXT_OF_ROOT, 0400, stats_top}, /* names of anybody's entries */
    {"users", TEXT_OF_ROOT, 0444, write_users},
    {"version", TEXT_OF_ROOT, 0444, write_version},
};

unsigned int text_place_of(struct fs *fs, uint64_t dir_ino)
{
	uint64_t parent, branch;

	if (dir_ino == STORE_ROOT_INO)
		return TEXT_OF_ROOT;
	if (store_parent(fs->store, dir_ino, &parent, &branch) ||
	    parent != STORE_ROOT_INO)
		return 0;
	return TEXT_OF_NAMESPACE;
}

int text_find(struct fs *fs, uint64_t dir_ino, const char *name, unsigned int *ret_text)
{
	for (unsigned int i = 0; i < text_count(); i++) {
		if (strcmp(texts[i].name, name) != 0)
			continue;
		if (!(texts[i].places & text_place_of(fs, dir_ino)))
			return -ENOENT;
		*ret_text = i;
		return 0;
	}
	return -ENOENT;
}

unsigned int text_count(void)
{
	return sizeof(texts) / sizeof(texts[0]);
}

const char *text_name(unsigned int i, unsigned int place)
{
	return texts[i].places & place ? texts[i].name : NULL;
}

mode_t text_mode(unsigned int text)
{
	return texts[text].mode;
}

int text_write(fuse_req_t req, unsigned int text, uint64_t dir_ino, struct buf *ret_text)
{
	buf_clear(ret_text);
	return texts[text].write ? texts[text].write(fs_of(req), dir_ino, ret_text)
				 : write_log(req, dir_ino, ret_text);
}

int text_of_node(fuse_req_t req, const struct vnode *v, struct buf *ret_text)
{
	struct fs *fs = fs_of(req);

	switch (v->kind) {
	case VNODE_TEXT:
		return text_write(req, v->text, v->dir_ino, ret_text);
	case VNODE_JOB:
		return jobs_text(fs->jobs, v->text, ret_text);
	default:
		return reservation_node_text(fs, v, fuse_req_ctx(req)->pid, ret_text);
	}
}

size_t text_read(const struct buf *text, void *data, size_t size, uint64_t off)
{
	size_t len = off < text->len ? text->len - (size_t)off : 0;

	if (len > size)
		len = size;
	if (len)
		memcpy(data, text->data + off, len);
	return len;
}
