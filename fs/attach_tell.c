/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel of an attached mount was told, and what it asks.
 *
 * Who tells a name notes it first and looks at it then; who changes a name commits first
 * and looks at the notes then. So either the answer is of what is now, or it is made
 * stale (its request was sent before that, in an epoch that is over). The notes are
 * emptied with the epoch that they were of, under one hold of their lock: first the
 * notes, then the kernel, so that what is noted of the next epoch stays.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <time.h>

#include "fs/attached.h"
#include "fs/fast.h"
#include "fs/kcache.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "fs/vnode.h"
#include "store/util/htab.h"
#include "store/util/log.h"
#include "store/util/monocond.h"

bool attach_any(const struct fs *fs)
{
	return fs->attach && atomic_load(&fs->attach->count);
}

static struct attached *attached_of(struct fs *fs)
{
	return CONTAINER_OF(fs, struct attached, fs);
}

/* ---- names ---- */

static uint32_t bit_of(uint64_t branch, const char *name)
{
	uint64_t h = hash_bytes(name, strlen(name), branch);

	return (uint32_t)(h >> 32) % ATTACH_TOLD_BITS;
}

void attach_telling(struct fs *fs, uint64_t branch, const char *name)
{
	struct attached *at;
	uint32_t bit;

	if (!fs->live)
		return;
	at = attached_of(fs);
	bit = bit_of(branch, name);
	pthread_mutex_lock(&at->told_lock);
	at->told[bit / 64] |= UINT64_C(1) << bit % 64;
	at->told_any = true;
	pthread_mutex_unlock(&at->told_lock);
}

/* Under the lock. Without the means for it, the kernel keeps no name. */
static void make_stale(struct attached *at)
{
	if (at->told_any)
		memset(at->told, 0, sizeof(at->told));
	at->told_any = false;
	(void)reply_header(&at->fs, 0, ATTACH_NOTIFY_INC_EPOCH);
}

void attach_forget(struct attached *at)
{
	pthread_mutex_lock(&at->told_lock);
	make_stale(at);
	pthread_mutex_unlock(&at->told_lock);
}

static void name_stale(struct attached *at, uint32_t bit)
{
	pthread_mutex_lock(&at->told_lock);
	if (at->told[bit / 64] >> bit % 64 & 1)
		make_stale(at);
	pthread_mutex_unlock(&at->told_lock);
}

/* ---- attributes ---- */

/* More nodes of one inode than that are told of by its name. */
enum { NODES_MAX = 64 };

/*
 * A directory has no pages here, but one in a tree, of which nothing changes: so to find
 * its node waits for nothing.
 */
static void dir_stale(struct attached *at, uint64_t ino)
{
	struct fs *fs = &at->fs;
	uint64_t ids[NODES_MAX];
	size_t n = vnode_dirs_of(fs->vnodes, ino, ids, NODES_MAX);

	fuse_lowlevel_notify_inval_inode(fs->se, ino, -1, 0);
	for (size_t i = 0; i < n && i < NODES_MAX; i++)
		fuse_lowlevel_notify_inval_inode(fs->se, ids[i], -1, 0);
	/* Names looked up anew bring attributes with them. */
	if (n > NODES_MAX)
		attach_forget(at);
}

/*
 * For who has it open; by name it is looked up anew. By the mount's thread: to find a
 * file's node the kernel waits for one that it is about to forget, and so for READs of
 * it, which a page's reader may hold up; a request of the live mount must not.
 */
static void file_stale(struct attached *at, uint64_t ino)
{
	struct fs *fs = &at->fs;
	uint64_t ids[NODES_MAX];
	size_t n;

	if (!fast_knows(fs->fast, ino, 1))
		return;
	n = vnode_files_of(fs->vnodes, ino, ids, NODES_MAX);
	kcache_node_changed(fs->kcache, ino);
	for (size_t i = 0; i < n && i < NODES_MAX; i++)
		kcache_node_changed(fs->kcache, ids[i]);
}

/* ---- what changes at the live mount ---- */

/* What it is; with the list held for reading. */
struct change {
	bool named; /* `bit` is that of its name */
	uint32_t bit;
	uint64_t ino; /* 0: none */
};

static void each(struct fs *fs, void (*tell)(struct attached *at, const struct change *c),
		 const struct change *c)
{
	struct attach *a = fs->attach;

	session_pass_token(); /* many of them take long */
	pthread_rwlock_rdlock(&a->list);
	for (struct attached *at = a->first; at; at = at->next)
		tell(at, c);
	pthread_rwlock_unlock(&a->list);
}

static void tell_all(struct attached *at, const struct change *c)
{
	(void)c;
	attach_forget(at);
}

void attach_all_changed(struct fs *fs)
{
	if (attach_any(fs))
		each(fs, tell_all, NULL);
}

static void tell_name(struct attached *at, const struct change *c)
{
	name_stale(at, c->bit);
	if (c->ino)
		dir_stale(at, c->ino);
}

void attach_name_changed(struct fs *fs, uint64_t branch, const char *name)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	struct change c = {.named = true};

	if (!attach_any(fs))
		return;
	c.bit = bit_of(branch, name);
	if (store_branch_owner(fs->store, branch, &c.ino, &version))
		c.ino = 0; /* the directory is gone, too */
	each(fs, tell_name, &c);
}

static void tell_dir(struct attached *at, const struct change *c)
{
	dir_stale(at, c->ino);
}

void attach_dir_changed(struct fs *fs, uint64_t dir_ino)
{
	const struct change c = {.ino = dir_ino};

	if (attach_any(fs))
		each(fs, tell_dir, &c);
}

/* An answer that makes the node known may be under way: its name is noted by then. */
static void tell_file(struct attached *at, const struct change *c)
{
	if (c->named)
		name_stale(at, c->bit);
	file_stale(at, c->ino);
}

void attach_file_changed(struct fs *fs, uint64_t ino)
{
	struct change c = {.ino = ino};
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;

	if (!attach_any(fs))
		return;
	c.named = entry_of_ino(fs, ino, &branch, name) == 0;
	if (c.named)
		c.bit = bit_of(branch, name);
	each(fs, tell_file, &c);
}

/* ---- what was closed there ---- */

#define SETTLE_PAUSE_NS (100 * 1000)

void op_retrieve_reply(fuse_req_t req, void *cookie, fuse_ino_t ino, off_t off,
		       struct fuse_bufvec *bufv)
{
	struct attach *a = fs_of(req)->attach;

	(void)ino, (void)off, (void)bufv;
	if (a) {
		pthread_mutex_lock(&a->mark_lock);
		if (a->received < (uintptr_t)cookie)
			a->received = (uintptr_t)cookie;
		pthread_cond_broadcast(&a->passed);
		pthread_mutex_unlock(&a->mark_lock);
	}
	fuse_reply_none(req);
}

void attach_stop_marks(struct attach *a)
{
	pthread_mutex_lock(&a->mark_lock);
	a->stopped = true;
	pthread_cond_broadcast(&a->passed);
	pthread_mutex_unlock(&a->mark_lock);
}

void attach_stop_marks_of(struct attached *at)
{
	struct attach *a = at->fs.live->attach;

	pthread_mutex_lock(&a->mark_lock);
	at->leaves = true;
	pthread_cond_broadcast(&a->passed);
	pthread_mutex_unlock(&a->mark_lock);
}

/* Under mark_lock: is no mark waited for any more? */
static bool is_stopped(const struct attached *at)
{
	return at->fs.live->attach->stopped || at->leaves;
}

static int send_mark(struct attach *a, uint64_t ino, uintptr_t *ret_mark)
{
	uintptr_t mark;
	int r;

	pthread_mutex_lock(&a->send_lock);
	mark = a->sent + 1;
	r = fuse_lowlevel_notify_retrieve(a->live->se, ino, 0, 0, (void *)mark);
	if (!r)
		a->sent = mark;
	pthread_mutex_unlock(&a->send_lock);
	*ret_mark = mark;
	return r;
}

/* -ETIMEDOUT, -ENOTCONN. */
static int await_mark(struct attached *at, uintptr_t mark, const struct timespec *until)
{
	struct attach *a = at->fs.live->attach;
	int r = 0;

	pthread_mutex_lock(&a->mark_lock);
	while (!r && a->received < mark)
		r = is_stopped(at)
			? -ENOTCONN
			: -pthread_cond_timedwait(&a->passed, &a->mark_lock, until);
	if (a->received >= mark)
		r = 0;
	pthread_mutex_unlock(&a->mark_lock);
	return r;
}

/*
 * For what the live kernel has forgotten: it is not open any more, so its RELEASE was
 * sent before, and is noted soon. 0: look again whether it is; -ETIMEDOUT, -ENOTCONN.
 */
static int pause_shortly(struct attached *at, int64_t end_ns)
{
	const struct timespec pause = {.tv_nsec = SETTLE_PAUSE_NS};
	struct attach *a = at->fs.live->attach;
	bool stopped;

	nanosleep(&pause, NULL);
	pthread_mutex_lock(&a->mark_lock);
	stopped = is_stopped(at);
	pthread_mutex_unlock(&a->mark_lock);
	if (stopped)
		return -ENOTCONN;
	return time_monotonic_ns() < end_ns ? 0 : -ETIMEDOUT;
}

static int settle(struct fs *fs, uint64_t branch, const char *name, uint64_t ino)
{
	struct attached *at = attached_of(fs);
	struct attach *a = fs->live->attach;
	int64_t end_ns = time_monotonic_ns() + a->settle_max_ns;
	struct timespec until = monocond_at(end_ns);

	do {
		uintptr_t mark;
		int r = send_mark(a, ino, &mark);

		if (!r)
			return await_mark(at, mark, &until);
		if (r == -ENOENT)
			r = pause_shortly(at, end_ns);
		if (r)
			return r;
	} while (pending_flushed(fs->pending, branch, name, &ino));
	return 0;
}

int attach_settle(struct fs *fs, uint64_t branch, const char *name)
{
	uint64_t ino;
	int r;

	if (!fs->live || !pending_flushed(fs->pending, branch, name, &ino))
		return 0;
	session_pass_token();
	r = settle(fs, branch, name, ino);
	if (r)
		log_warning("%s: what was just closed at %s is not received there: %s",
			    fs->mountpoint, fs->live->mountpoint, strerror(-r));
	return r;
}
