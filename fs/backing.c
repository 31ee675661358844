/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/fuse_passthrough.h"
#include "fs/session.h"
#include "fs/vnode.h"
#include "store/util/htab.h"
#include "store/util/log.h"

/* How a node is open. */
struct node {
	struct hlink link;
	uint64_t nodeid;
	uint64_t cached; /* handles that read through us */
	uint64_t passed;
	/* While `passed` is not 0: its backing file, and which inode's content that is.
	 */
	int32_t id;
	uint64_t ino;
};

struct backing_table {
	struct backing_calls calls;
	atomic_bool on;
	_Atomic uint64_t opens;

	pthread_mutex_t lock;
	struct htab nodes;  /* under lock */
	uint64_t files;	    /* under lock */
	bool worked;	    /* under lock: the kernel has taken one */
	bool said;	    /* under lock: why it has not */
	bool lost;	    /* fixed by backing_resume_end() */
	struct buf closing; /* int32_t; of handles that were released when they were
			       resumed */
};

/* ---- the kernel ---- */

static int kernel_open(void *arg, int fd)
{
	struct fs *fs = arg;
	struct backing_map map = {.fd = fd};
	int id = ioctl(fuse_session_fd(fs->se), IOC_BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

static int kernel_close(void *arg, int id)
{
	struct fs *fs = arg;
	uint32_t number = (uint32_t)id;

	return ioctl(fuse_session_fd(fs->se), IOC_BACKING_CLOSE, &number) ? -errno : 0;
}

struct backing_calls backing_kernel(struct fs *fs)
{
	return (struct backing_calls){kernel_open, kernel_close, fs};
}

/*
 * Who opens with O_DIRECT what is passed through has the backing file opened so, and
 * would get EIO where that cannot be.
 */
static int try_direct(int fd)
{
	char path[sizeof("/proc/self/fd/") + 10];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (again < 0)
		return -errno;
	close(again);
	return 0;
}

/* ---- the table ---- */

int backing_table_new(const struct backing_calls *calls, struct backing_table **ret_t)
{
	struct backing_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->calls = *calls;
	pthread_mutex_init(&t->lock, NULL);
	*ret_t = t;
	return 0;
}

void backing_table_free(struct backing_table *t)
{
	if (!t)
		return;
	for (struct hwalk w = htab_walk(&t->nodes); w.link; hwalk_next(&w))
		free(CONTAINER_OF(w.link, struct node, link));
	htab_deinit(&t->nodes);
	buf_deinit(&t->closing);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void backing_on(struct backing_table *t)
{
	if (t && !t->lost)
		atomic_store(&t->on, true);
}

/* Under the lock. */
static struct node *find_node(struct backing_table *t, uint64_t nodeid)
{
	struct hlink *l = htab_first(&t->nodes, hash_u64(nodeid));

	for (; l; l = htab_next(l)) {
		struct node *n = CONTAINER_OF(l, struct node, link);

		if (n->nodeid == nodeid)
			return n;
	}
	return NULL;
}

/* Its pages are looked at, which for some is no short request. */
enum { LONG_BYTES = 64 << 20 };

static int ask_store(const struct handle *h, int *ret_fd)
{
	if (store_gen_size(h->gen) > LONG_BYTES)
		session_pass_token();
	return store_gen_backing(h->gen, ret_fd);
}

/* Under the lock; to be counted at once. NULL: no memory. */
static struct node *get_node(struct backing_table *t, uint64_t nodeid)
{
	struct node *n = find_node(t, nodeid);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (n && htab_add(&t->nodes, &n->link, hash_u64(nodeid))) {
		free(n);
		n = NULL;
	}
	if (n)
		n->nodeid = nodeid;
	return n;
}

/* ---- opening ---- */

/* Is it so for good? Else there was no memory, or no descriptor. */
static bool is_final(int r)
{
	return r == -EINVAL || r == -EOPNOTSUPP || r == -EPERM || r == -ELOOP ||
	       r == -ENOTTY || r == -ENOSYS;
}

/* Under the lock. Where it never works, it is not tried again. */
static void refused(struct backing_table *t, const char *what, int r)
{
	if (!t->worked && is_final(r))
		atomic_store(&t->on, false);
	if (!t->said)
		log_info("the kernel does not read %s itself: %s: %s",
			 t->worked ? "an extent" : "extents", what, strerror(-r));
	t->said = true;
}

/* Under the lock: the node's first. */
static bool register_file(struct backing_table *t, struct node *n, int fd)
{
	int id, r = t->worked ? 0 : try_direct(fd);

	if (r) {
		refused(t, "they cannot be opened with O_DIRECT", r);
		return false;
	}
	id = t->calls.open(t->calls.arg, fd);
	if (id <= 0) {
		refused(t, "it does not take one", id ? id : -EIO);
		return false;
	}
	t->worked = true;
	t->files++;
	n->id = id;
	return true;
}

/* Under the lock. */
static void count_passed(struct node *n, struct handle *h)
{
	n->passed++;
	h->backing = BACKING_PASSED;
	h->backing_id = n->id;
}

static void count_cached(struct node *n, struct handle *h)
{
	n->cached++;
	h->backing = BACKING_CACHED;
}

/* How it is open by now. */
static void look_at(struct backing_table *t, uint64_t nodeid, bool *ret_cached,
		    bool *ret_passed)
{
	const struct node *n;

	pthread_mutex_lock(&t->lock);
	n = find_node(t, nodeid);
	*ret_cached = n && n->cached;
	*ret_passed = n && n->passed;
	pthread_mutex_unlock(&t->lock);
}

/*
 * What is passed through already has to be, for this one, too. If not all of its bytes
 * are known to be right now, what this one reads comes from us.
 */
static void pass(struct node *n, struct handle *h, struct fuse_file_info *fi,
		 bool from_us)
{
	count_passed(n, h);
	fi->keep_cache = 0; /* they exclude each other */
	fi->direct_io = from_us;
}

static bool may_back(const struct handle *h)
{
	return h->kind == HANDLE_GEN && store_gen_may_back(h->gen);
}

/*
 * Can it be open while its node is passed through? A value that is being written has the
 * number that it has when it is published; and who opens its node may get what was there
 * before it.
 */
static bool is_counted(const struct handle *h)
{
	return h->kind == HANDLE_PENDING || may_back(h) ||
	       (h->kind == HANDLE_GEN && !vnode_is(h->nodeid) && h->ino != h->nodeid);
}

/* Under the lock. `fd`: the extent, of which all is right; -1: it is not known. */
static int choose(struct backing_table *t, struct handle *h, struct fuse_file_info *fi,
		  int fd)
{
	bool direct = fi->direct_io || (fi->flags & O_DIRECT);
	struct node *n = get_node(t, h->nodeid);

	if (!n)
		return -ENOMEM;
	if (n->passed && n->ino != h->ino) /* it is another by now */
		return -ESTALE;
	if (n->passed) {
		pass(n, h, fi, direct || fd < 0);
	} else if (!n->cached && !direct && fd >= 0 && atomic_load(&t->on) &&
		   register_file(t, n, fd)) {
		n->ino = h->ino;
		pass(n, h, fi, false);
	} else {
		count_cached(n, h);
	}
	return 0;
}

int backing_open(struct backing_table *t, struct handle *h, struct fuse_file_info *fi)
{
	bool cached, passed, direct = fi->direct_io || (fi->flags & O_DIRECT);
	int r, fd = -1;

	if (!t || !is_counted(h))
		return 0;
	look_at(t, h->nodeid, &cached, &passed);
	if (may_back(h) && (passed || (atomic_load(&t->on) && !cached && !direct)) &&
	    ask_store(h, &fd))
		fd = -1;

	pthread_mutex_lock(&t->lock);
	r = choose(t, h, fi, fd);
	pthread_mutex_unlock(&t->lock);
	if (h->backing == BACKING_PASSED && !fi->direct_io)
		atomic_fetch_add_explicit(&t->opens, 1, memory_order_relaxed);
	return r;
}

void backing_off(struct backing_table *t)
{
	if (t)
		atomic_store(&t->on, false);
}

void backing_close(struct backing_table *t, struct handle *h)
{
	struct node *n;
	int32_t id = 0;

	if (!t || h->backing == BACKING_NONE)
		return;
	pthread_mutex_lock(&t->lock);
	n = find_node(t, h->nodeid);
	if (h->backing == BACKING_CACHED) {
		n->cached--;
	} else if (!--n->passed) {
		id = n->id;
		t->files--;
	}
	if (!n->cached && !n->passed) {
		htab_remove(&t->nodes, &n->link);
		free(n);
	}
	pthread_mutex_unlock(&t->lock);
	h->backing = BACKING_NONE;
	h->backing_id = 0;
	if (id)
		t->calls.close(t->calls.arg, id);
}

/* ---- resuming ---- */

/*
 * One whose RELEASE was received is open no more for the kernel; its number may have been
 * closed, or not.
 */
int backing_resume(struct backing_table *t, struct handle *h)
{
	struct node *n;

	if (!t || (h->kind != HANDLE_LOST && !h->backing_id && !is_counted(h)))
		return 0;
	if (handle_was_releasing(h))
		return h->backing_id ? buf_append(&t->closing, &h->backing_id,
						  sizeof(h->backing_id))
				     : 0;
	n = get_node(t, h->nodeid);
	if (!n)
		return -ENOMEM;
	if (h->backing_id) {
		t->files += !n->passed;
		t->worked = true;
		n->id = h->backing_id;
		n->ino = h->ino;
		count_passed(n, h);
	} else {
		count_cached(n, h);
	}
	return 0;
}

void backing_lost(struct backing_table *t)
{
	if (!t)
		return;
	t->lost = true;
	atomic_store(&t->on, false);
	log_info("the kernel does not read extents itself until the next mount: not all "
		 "that is open is known");
}

/* Is it a node's? */
static bool is_used(const struct backing_table *t, int32_t id)
{
	for (struct hwalk w = htab_walk(&t->nodes); w.link; hwalk_next(&w)) {
		const struct node *n = CONTAINER_OF(w.link, struct node, link);

		if (n->passed && n->id == id)
			return true;
	}
	return false;
}

static void close_released(struct backing_table *t)
{
	int32_t id;

	for (size_t at = 0; at < t->closing.len; at += sizeof(id)) {
		memcpy(&id, t->closing.data + at, sizeof(id));
		if (!is_used(t, id))
			t->calls.close(t->calls.arg, id);
	}
	buf_deinit(&t->closing);
}

/* Numbers are given out one after the other. A worker had one at most that it had not
 * kept yet. */
enum { SWEEP = 1024 };

static void close_unknown(struct backing_table *t, int32_t end)
{
	bool used[SWEEP] = {false};

	for (struct hwalk w = htab_walk(&t->nodes); w.link; hwalk_next(&w)) {
		const struct node *n = CONTAINER_OF(w.link, struct node, link);

		if (n->passed && n->id < end && end - n->id <= SWEEP)
			used[end - n->id - 1] = true;
	}
	for (int32_t i = 0; i < SWEEP && end - i - 1 > 0; i++)
		if (!used[i])
			t->calls.close(t->calls.arg, end - i - 1);
}

void backing_resume_end(struct backing_table *t)
{
	int fd, id;

	if (!t)
		return;
	close_released(t);
	fd = memfd_create("memofs", MFD_CLOEXEC);
	if (fd < 0)
		return;
	id = t->calls.open(t->calls.arg, fd);
	close(fd);
	if (id <= 0)
		return;
	t->calls.close(t->calls.arg, id);
	close_unknown(t, id);
}

/* ---- what is told ---- */

void backing_count(struct backing_table *t, struct backing_counts *ret_counts)
{
	*ret_counts = (struct backing_counts){0};
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	ret_counts->files = t->files;
	pthread_mutex_unlock(&t->lock);
	ret_counts->on = atomic_load(&t->on);
	ret_counts->opens = atomic_load(&t->opens);
}
