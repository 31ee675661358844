/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/kcache.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/attach.h"
#include "fs/fast.h"
#include "fs/fs.h"
#include "fs/held.h"
#include "fs/reply.h"
#include "fs/vnode.h"
#include "store/util/log.h"
#include "store/util/monocond.h"

/* linux/fuse.h has it from 6.16 on; the number is the kernel's interface. */
#define NOTIFY_INC_EPOCH 8

/*
 * The kernel counts from the moment the asking thread gets to see the answer,
 * which on a busy machine is long after it was given, and rounds up to its ticks.
 * In its last second an entry is asked for each time.
 */
#define MARGIN_NS NSEC_PER_SEC
#define TIMEOUT_MAX_S 86400.0
#define TIMEOUT_MAX_NO_EPOCH_S 1.0

struct notice {
	struct notice *next;
	fuse_req_t req; /* to be answered with `r`; NULL: about the node */
	int r;
	uint64_t tick;	    /* of kcache.ticks, when `req` came */
	uint64_t ticket;    /* of kcache.tickets */
	uint64_t nodeid;    /* 0: everything */
	unsigned int flags; /* of an INVAL_ENTRY */
	size_t name_len;    /* 0: the node's attributes */
	bool pages;	    /* and what is copied of it, a listing */
	bool new;	    /* the kernel may be about to get the node, in an answer */
	bool prune;	    /* only what is held is to be forgotten */
	char name[];
};

struct kcache {
	struct fs *fs;
	_Atomic bool has_epoch;
	_Atomic bool epoch_will_do; /* a name that is stale need not be thrown out */
	_Atomic bool dropped;	    /* some were, and the next tick says so */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t told;	      /* `delivered` has grown; CLOCK_MONOTONIC */
	struct notice *first, **last; /* under lock */
	struct notice *later;	      /* for the next tick; under lock */
	uint64_t tickets;   /* given out, in the order of the queue; under lock */
	uint64_t delivered; /* the last ticket of which it is true; under lock */
	bool stop;	    /* under lock */
	uint64_t ticks;	    /* under lock */
	bool held_up;	    /* somebody holds a directory's lock; under lock */
	bool all_waits;	    /* a notice about everything is in the queue; under lock */
	bool prune_waits;   /* one to prune is; under lock */
	uint64_t dropped_dir, dropped_ticket; /* the last one told of; under lock */
	_Atomic uint64_t dir_changes, file_changes;
	bool alone;	    /* the thread's: it has descriptors of its own */
	_Atomic int failed; /* errno of a notice, to be logged */
};

/* ---- time ---- */

/* Nothing is attached where it does not. */
bool kcache_has_epoch(struct kcache *kc)
{
	return kc->fs->live || atomic_load(&kc->has_epoch);
}

double kcache_timeout(struct kcache *kc, int64_t expires_ns)
{
	double max_s = kcache_has_epoch(kc) ? TIMEOUT_MAX_S : TIMEOUT_MAX_NO_EPOCH_S;
	int64_t left_ns;

	if (expires_ns == DURATION_NONE)
		return max_s;
	left_ns = expires_ns - time_now_ns() - MARGIN_NS;
	if (left_ns <= 0)
		return 0;
	if (left_ns >= (int64_t)(max_s * NSEC_PER_SEC))
		return max_s;
	return (double)left_ns / NSEC_PER_SEC;
}

double kcache_attr_timeout(const struct fs *fs)
{
	return fs->live ? ATTACH_ATTR_S : ATTR_TIMEOUT_S;
}

double kcache_control_timeout(const struct fs *fs)
{
	double name_s = kcache_timeout(fs->kcache, DURATION_NONE);
	double attr_s = kcache_attr_timeout(fs);

	return name_s < attr_s ? name_s : attr_s;
}

/* ---- everything ---- */

static int notify_epoch(struct kcache *kc)
{
	return reply_header(kc->fs, 0, NOTIFY_INC_EPOCH);
}

/*
 * Would nobody answer if this process were killed now? Then nothing of it may wait for
 * an answer: a thread that the kernel does not let go has the connection open, so that it
 * does not end either, and whoever comes to the mount waits for ever.
 */
static bool dies_alone(const struct fs *fs)
{
	return !atomic_load(&fs->handed_over) || !held_holder(fs->held);
}

/* So names are told of in the one way that takes no lock. */
static bool takes_no_lock(struct kcache *kc)
{
	return atomic_load(&kc->epoch_will_do) && dies_alone(kc->fs);
}

bool kcache_lists_nodes(struct kcache *kc, uint64_t nodeid, uint64_t dir_ino)
{
	return store_ino_in_tree(dir_ino) || !takes_no_lock(kc) ||
	       !(vnode_is(nodeid) || vnode_dir_shared(kc->fs->vnodes, dir_ino));
}

void kcache_probe(struct kcache *kc)
{
	bool has = notify_epoch(kc) == 0;

	atomic_store(&kc->has_epoch, has);
	/* Names of a read-only mount are thrown out for what is behind them. */
	atomic_store(&kc->epoch_will_do, has && (!kc->fs->fast || fast_prunes(kc->fs)));
	if (!has)
		log_info("this kernel cannot make all names stale at once: "
			 "names are cached for %.0f s at most",
			 TIMEOUT_MAX_NO_EPOCH_S);
}

/* Of this mount. */
static void all_changed(struct kcache *kc)
{
	int r;

	if (!kcache_has_epoch(kc))
		return;
	r = notify_epoch(kc);
	if (r && r != -ENODEV)
		log_error("cannot tell the kernel that names changed: %s", strerror(-r));
}

void kcache_all_changed(struct kcache *kc)
{
	all_changed(kc);
	attach_all_changed(kc->fs);
}

/* ---- one name or node, by the thread ---- */

static uint64_t append_locked(struct kcache *kc, struct notice *n)
{
	n->ticket = ++kc->tickets;
	*kc->last = n;
	kc->last = &n->next;
	pthread_cond_signal(&kc->wake);
	return n->ticket;
}

static uint64_t append(struct kcache *kc, struct notice *n)
{
	uint64_t ticket;

	pthread_mutex_lock(&kc->lock);
	ticket = append_locked(kc, n);
	pthread_mutex_unlock(&kc->lock);
	return ticket;
}

static struct notice *notice_new(uint64_t nodeid, size_t name_len)
{
	struct notice *n = calloc(1, sizeof(*n) + name_len + 1);

	if (!n)
		return NULL;
	n->nodeid = nodeid;
	n->name_len = name_len;
	return n;
}

/* Returns the ticket, or 0 when it is done already. */
static uint64_t append_or_all(struct kcache *kc, struct notice *n)
{
	if (n)
		return append(kc, n);
	all_changed(kc); /* dearer, but needs no memory */
	return 0;
}

static uint64_t enqueue_as(struct kcache *kc, uint64_t nodeid, const char *name,
			   unsigned int flags)
{
	struct notice *n = notice_new(nodeid, name ? strlen(name) : 0);

	if (n) {
		n->flags = flags;
		memcpy(n->name, name ? name : "", n->name_len);
	}
	return append_or_all(kc, n);
}

/*
 * The kernel asks for the name when it is used next. It is only expired, which
 * kernels before 6.2 do not know and throw it out: who has the file open would
 * find it "(deleted)" in /proc/self/fd. A read-only mount wants it thrown out: what
 * nobody has open is forgotten then, and need not be held.
 */
static uint64_t enqueue(struct kcache *kc, uint64_t nodeid, const char *name)
{
	return enqueue_as(kc, nodeid, name, kc->fs->fast ? 0 : FUSE_EXPIRE_ONLY);
}

/* Answer when all that is in the queue has been delivered. -ENOMEM. */
static int enqueue_reply(struct kcache *kc, fuse_req_t req, int r)
{
	struct notice *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->req = req;
	n->r = r;
	pthread_mutex_lock(&kc->lock);
	n->tick = kc->ticks;
	pthread_mutex_unlock(&kc->lock);
	append(kc, n);
	return 0;
}

static void expire_name(struct kcache *kc, const struct notice *n)
{
	struct fuse_notify_inval_entry_out what = {
	    .parent = n->nodeid,
	    .namelen = (uint32_t)n->name_len,
	    .flags = n->flags,
	};
	struct fuse_out_header head = {
	    .len = (uint32_t)(sizeof(head) + sizeof(what) + n->name_len + 1),
	    .error = FUSE_NOTIFY_INVAL_ENTRY,
	};
	struct iovec iov[] = {
	    {&head, sizeof(head)},
	    {&what, sizeof(what)},
	    {(char *)n->name, n->name_len + 1},
	};

	/* ENOENT: the kernel does not know it, which is as good. */
	if (writev(fuse_session_fd(kc->fs->se), iov, 3) < 0 && errno != ENOENT &&
	    errno != ENODEV)
		atomic_store(&kc->failed, errno);
}

/*
 * The kernel waits for a directory's lock, which is held by who waits for this daemon,
 * or for pages that it has asked for, and not even SIGKILL ends that. So a daemon that is
 * killed may leave this thread behind until its successor has answered. It must not have
 * then what the successor needs: the database is locked by who has the descriptors, and
 * the holder knows by them that the daemon is gone. Where there will be no successor it
 * must not wait: takes_no_lock().
 */
static void be_alone(struct kcache *kc)
{
	unsigned int fd = (unsigned int)fuse_session_fd(kc->fs->se);

	kc->alone = true;
	if (close_range(fd + 1, ~0u, CLOSE_RANGE_UNSHARE) == 0 && fd > 3)
		(void)close_range(3, fd - 1, 0);
}

/* Once more at the next tick. Without memory it is not. */
static void tell_again(struct kcache *kc, uint64_t nodeid)
{
	struct notice *n = notice_new(nodeid, 0);

	if (!n)
		return;
	pthread_mutex_lock(&kc->lock);
	n->next = kc->later;
	kc->later = n;
	pthread_mutex_unlock(&kc->lock);
}

/*
 * Where the kernel does not have the node, an answer may be under way that brings it,
 * with attributes of before. What answers a LOOKUP comes under a name that is stale then.
 * Names in a READDIRPLUS get the epoch in which they arrive: so it is told again when
 * that has.
 */
static void expire_attributes(struct kcache *kc, const struct notice *n)
{
	int r =
	    fuse_lowlevel_notify_inval_inode(kc->fs->se, n->nodeid, n->pages ? 0 : -1, 0);

	if (r != -ENOENT || !n->new)
		return;
	all_changed(kc);
	tell_again(kc, n->nodeid);
}

static void deliver(struct kcache *kc, const struct notice *n)
{
	if ((n->nodeid || n->prune) && !kc->alone)
		be_alone(kc);
	if (n->req)
		reply_err(n->req, n->r);
	else if (n->prune)
		fast_prune(kc->fs->fast);
	else if (!n->nodeid)
		all_changed(kc);
	else if (n->name_len && takes_no_lock(kc)) /* the holder has died meanwhile */
		all_changed(kc);
	else if (n->name_len)
		expire_name(kc, n);
	else
		expire_attributes(kc, n);
}

/* Under the lock: it is not in the queue any more. */
static void note_taken(struct kcache *kc, const struct notice *n)
{
	if (n->prune)
		kc->prune_waits = false;
	else if (!n->req && !n->nodeid)
		kc->all_waits = false;
}

static void *run(void *arg)
{
	struct kcache *kc = arg;

	pthread_mutex_lock(&kc->lock);
	for (;;) {
		struct notice *n = kc->first;

		if (n) {
			kc->first = n->next;
			if (!kc->first)
				kc->last = &kc->first;
			note_taken(kc, n);
			pthread_mutex_unlock(&kc->lock);
			deliver(kc, n);
			pthread_mutex_lock(&kc->lock);
			kc->delivered = n->ticket;
			kc->held_up = false;
			pthread_cond_broadcast(&kc->told);
			free(n);
		} else if (kc->stop) {
			break;
		} else {
			pthread_cond_wait(&kc->wake, &kc->lock);
		}
	}
	pthread_mutex_unlock(&kc->lock);
	return NULL;
}

/* It takes a tenth of that, unless two wait for each other. */
enum { TELLING_MAX_MS = 1 };

void kcache_wait(struct kcache *kc, uint64_t ticket)
{
	struct timespec until;
	bool late;
	int r = 0;

	if (!ticket)
		return;
	until = monocond_after(TELLING_MAX_MS * NSEC_PER_SEC / 1000);
	pthread_mutex_lock(&kc->lock);
	while (kc->delivered < ticket && r == 0)
		r = pthread_cond_timedwait(&kc->told, &kc->lock, &until);
	late = kc->delivered < ticket;
	pthread_mutex_unlock(&kc->lock);
	if (late)
		all_changed(kc);
}

/* Under the lock: take the requests that came before the tick before this one. */
static struct notice *unlink_late(struct kcache *kc)
{
	struct notice *late = NULL, **late_end = &late, **at = &kc->first;

	while (*at) {
		struct notice *n = *at;

		if (!n->req || n->tick + 1 >= kc->ticks) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		n->next = NULL;
		*late_end = n;
		late_end = &n->next;
	}
	kc->last = at;
	return late;
}

/* Under the lock. */
static void tell_later(struct kcache *kc)
{
	struct notice *n;

	while ((n = kc->later)) {
		kc->later = n->next;
		n->next = NULL;
		append_locked(kc, n);
	}
}

void kcache_tick(struct kcache *kc)
{
	int failed = atomic_exchange(&kc->failed, 0);
	struct notice *late, *next;

	if (failed)
		log_error("cannot tell the kernel that a name changed: %s",
			  strerror(failed));

	pthread_mutex_lock(&kc->lock);
	kc->ticks++;
	late = unlink_late(kc);
	if (late)
		kc->held_up = true;
	tell_later(kc);
	pthread_mutex_unlock(&kc->lock);
	if (late || atomic_exchange(&kc->dropped, false))
		all_changed(kc);
	for (; late; late = next) {
		next = late->next;
		reply_err(late->req, late->r);
		free(late);
	}
}

/* The thread does not get on, and there is something else that can be done. */
static bool is_held_up(struct kcache *kc)
{
	bool held_up;

	pthread_mutex_lock(&kc->lock);
	held_up = kc->held_up;
	pthread_mutex_unlock(&kc->lock);
	return held_up && kcache_has_epoch(kc);
}

int kcache_new(struct fs *fs, struct kcache **ret_kc)
{
	struct kcache *kc = calloc(1, sizeof(*kc));
	int r;

	if (!kc)
		return -ENOMEM;
	kc->fs = fs;
	kc->last = &kc->first;
	pthread_mutex_init(&kc->lock, NULL);
	pthread_cond_init(&kc->wake, NULL);
	monocond_init(&kc->told);
	r = pthread_create(&kc->thread, NULL, run, kc);
	if (r) {
		free(kc);
		return -r;
	}
	*ret_kc = kc;
	return 0;
}

void kcache_stop(struct kcache *kc)
{
	bool runs;

	pthread_mutex_lock(&kc->lock);
	runs = !kc->stop;
	kc->stop = true;
	pthread_cond_signal(&kc->wake);
	pthread_mutex_unlock(&kc->lock);
	if (runs)
		pthread_join(kc->thread, NULL);
}

void kcache_free(struct kcache *kc)
{
	if (!kc)
		return;
	kcache_stop(kc);
	for (struct notice *n = kc->later, *next; n; n = next) {
		next = n->next;
		free(n);
	}
	pthread_cond_destroy(&kc->told);
	pthread_cond_destroy(&kc->wake);
	pthread_mutex_destroy(&kc->lock);
	free(kc);
}

/* ---- who else shows it ---- */

/* More paths than this to one directory: all names are made stale at once. */
enum { NAMES_MAX = 64 };

/* The branch a node shows; `view`: NULL for the directory at its ordinary place. */
static bool shows(struct kcache *kc, uint64_t dir_ino, const struct view *view,
		  uint64_t branch)
{
	const char *version = view ? view_version(view) : NULL;
	uint64_t b;

	return store_branch(kc->fs->store, dir_ino, version, false, &b) == 0 &&
	       b == branch;
}

static bool node_shows(struct kcache *kc, uint64_t nodeid, uint64_t branch)
{
	struct vnode v;

	return vnode_get(kc->fs->vnodes, nodeid, &v) == 0 &&
	       shows(kc, v.dir_ino, &v.view, branch);
}

/*
 * The nodes besides `through` that show the branch, up to NAMES_MAX + 1; returns how
 * many. No view in use: every change came by the one path there is.
 */
static size_t showing(struct kcache *kc, uint64_t branch, uint64_t through,
		      uint64_t ret_ids[NAMES_MAX + 1])
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	size_t n, kept = 0;
	uint64_t dir_ino;

	if (!vnode_any_dir(kc->fs->vnodes) ||
	    store_branch_owner(kc->fs->store, branch, &dir_ino, &version))
		return 0;
	n = vnode_dirs_of(kc->fs->vnodes, dir_ino, ret_ids, NAMES_MAX);
	if (n > NAMES_MAX)
		return NAMES_MAX + 1;
	for (size_t i = 0; i < n; i++)
		if (ret_ids[i] != through && node_shows(kc, ret_ids[i], branch))
			ret_ids[kept++] = ret_ids[i];
	if (n && dir_ino != through && shows(kc, dir_ino, NULL, branch))
		ret_ids[kept++] = dir_ino;
	return kept;
}

/*
 * With a name the kernel is told that the directory's times are others. (To find the node
 * of a directory it waits for nothing: nobody reads ahead in one.) Returns the same.
 */
static uint64_t tell_without_name(struct kcache *kc, const uint64_t *ids, size_t n)
{
	uint64_t last = 0;

	all_changed(kc);
	for (size_t i = 0; i < n; i++)
		last = kcache_later(last, enqueue(kc, ids[i], NULL));
	return last;
}

/* Returns the ticket of the last notice; 0: there is none. */
static uint64_t tell(struct kcache *kc, uint64_t branch, const char *name,
		     uint64_t through)
{
	uint64_t ids[NAMES_MAX + 1];
	size_t n = showing(kc, branch, through, ids);
	uint64_t last = 0;

	if (n > NAMES_MAX || (n && is_held_up(kc))) {
		all_changed(kc);
		return 0;
	}
	if (n && takes_no_lock(kc))
		return tell_without_name(kc, ids, n);
	for (size_t i = 0; i < n; i++)
		last = kcache_later(last, enqueue(kc, ids[i], name));
	return last;
}

uint64_t kcache_name_changed(struct kcache *kc, uint64_t branch, const char *name,
			     uint64_t through)
{
	attach_name_changed(kc->fs, branch, name);
	return tell(kc, branch, name, through);
}

void kcache_name_changing(struct kcache *kc, uint64_t branch, const char *name,
			  fuse_req_t req, int r)
{
	attach_name_changed(kc->fs, branch, name);
	if (!tell(kc, branch, name, 0) || enqueue_reply(kc, req, r))
		reply_err(req, r);
}

/*
 * An epoch is as good before the answer as after it: a name that the kernel moves keeps
 * that in which it was looked up, and is not looked up while it is moved.
 */
void kcache_name_expires(struct kcache *kc, uint64_t nodeid, const char *name)
{
	if (takes_no_lock(kc))
		all_changed(kc);
	else
		enqueue_as(kc, nodeid, name, FUSE_EXPIRE_ONLY);
}

/* ---- attributes ---- */

struct kcache_changes kcache_changes(struct kcache *kc)
{
	return (struct kcache_changes){atomic_load(&kc->dir_changes),
				       atomic_load(&kc->file_changes)};
}

bool kcache_changed_since(struct kcache *kc, const struct kcache_changes *before,
			  mode_t mode)
{
	struct kcache_changes now = kcache_changes(kc);

	return S_ISDIR(mode) ? now.dirs != before->dirs : now.files != before->files;
}

/* By the thread, since a page is locked while it is copied to the memory of a program. */
void kcache_listing_changed(struct kcache *kc, uint64_t nodeid)
{
	struct notice *n = dies_alone(kc->fs) ? NULL : notice_new(nodeid, 0);

	if (!n)
		return; /* it is good for who has it open, all the same */
	n->pages = true;
	append(kc, n);
}

void kcache_node_changed(struct kcache *kc, uint64_t nodeid)
{
	enqueue(kc, nodeid, NULL);
}

void kcache_prune(struct kcache *kc)
{
	struct notice *n = calloc(1, sizeof(*n));
	bool waits;

	if (!n)
		return;
	n->prune = true;
	pthread_mutex_lock(&kc->lock);
	waits = kc->prune_waits;
	kc->prune_waits = true;
	pthread_mutex_unlock(&kc->lock);
	if (waits)
		free(n);
	else
		append(kc, n);
}

/* Of a virtual node it is known that the kernel has it, or is about to. Of another one it
 * is not, and most of the time nobody asks just then. */
static uint64_t attr_of_node_changed(struct kcache *kc, uint64_t nodeid, uint64_t through)
{
	struct notice *n = notice_new(nodeid, 0);

	if (n)
		n->new = vnode_is(nodeid) || vnode_is(through);
	return append_or_all(kc, n);
}

/* Returns the ticket of the last notice; 0: there is none. */
static uint64_t attr_changed(struct kcache *kc, uint64_t ino, uint64_t through,
			     size_t (*nodes_of)(struct vnode_table *t, uint64_t ino,
						uint64_t *ret_ids, size_t max))
{
	uint64_t few[16], *ids = few, last = 0;
	size_t n = nodes_of(kc->fs->vnodes, ino, ids, 16);

	/* Nodes made meanwhile have the new attributes. */
	if (n > 16) {
		size_t max = n;

		ids = calloc(max, sizeof(*ids));
		n = ids ? nodes_of(kc->fs->vnodes, ino, ids, max) : 0;
		n = n < max ? n : max;
	}
	for (size_t i = 0; i < n; i++)
		if (ids[i] != through)
			last =
			    kcache_later(last, attr_of_node_changed(kc, ids[i], through));
	if (ino != through)
		last = kcache_later(last, attr_of_node_changed(kc, ino, through));
	if (ids != few)
		free(ids);
	return last;
}

uint64_t kcache_dir_changed(struct kcache *kc, uint64_t dir_ino, uint64_t through)
{
	atomic_fetch_add(&kc->dir_changes, 1);
	attach_dir_changed(kc->fs, dir_ino);
	if (through == dir_ino && !vnode_any_dir(kc->fs->vnodes))
		return 0;
	return attr_changed(kc, dir_ino, through, vnode_dirs_of);
}

uint64_t kcache_file_changed(struct kcache *kc, uint64_t ino, uint64_t through)
{
	atomic_fetch_add(&kc->file_changes, 1);
	attach_file_changed(kc->fs, ino);
	return attr_changed(kc, ino, through, vnode_files_of);
}

/* ---- what the store drops by itself ---- */

/* More notices than this: all names are made stale at once, which is one. */
enum { BACKLOG_MAX = 1024, DIRS_BACKLOG_MAX = 65536 };

/* Is one by one too much? Then everything is told, once for all that wait now. */
static bool tell_all(struct kcache *kc)
{
	bool too_many, begin;

	pthread_mutex_lock(&kc->lock);
	too_many = kc->tickets - kc->delivered > BACKLOG_MAX || kc->all_waits;
	begin = too_many && !kc->all_waits && kcache_has_epoch(kc);
	kc->all_waits |= begin;
	pthread_mutex_unlock(&kc->lock);
	/* Without memory it was done at once. */
	if (begin && !enqueue(kc, 0, NULL)) {
		pthread_mutex_lock(&kc->lock);
		kc->all_waits = false;
		pthread_mutex_unlock(&kc->lock);
	}
	return too_many;
}

/* Its times have changed. Those of one batch are of few directories. */
static void dir_dropped(struct kcache *kc, uint64_t dir_ino)
{
	bool waits;

	pthread_mutex_lock(&kc->lock);
	waits = (kc->dropped_dir == dir_ino && kc->delivered < kc->dropped_ticket) ||
		kc->tickets - kc->delivered > DIRS_BACKLOG_MAX;
	if (!waits) {
		kc->dropped_dir = dir_ino;
		kc->dropped_ticket = kc->tickets + 1;
	}
	pthread_mutex_unlock(&kc->lock);
	if (!waits)
		kcache_dir_changed(kc, dir_ino, 0);
}

/* One that was told of a file has to forget it, or its content stays. */
static bool must_tell(struct kcache *kc, uint64_t ino)
{
	return kc->fs->fast && fast_knows(kc->fs->fast, ino, 1);
}

void kcache_name_dropped(struct kcache *kc, uint64_t branch, const char *name,
			 uint64_t ino, bool expired)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	uint64_t dir_ino;

	attach_name_changed(kc->fs, branch, name);
	if (store_branch_owner(kc->fs->store, branch, &dir_ino, &version))
		return; /* the directory is gone, too */
	dir_dropped(kc, dir_ino);
	if (takes_no_lock(kc)) {
		if (!expired)
			atomic_store(&kc->dropped, true);
		return;
	}
	if (!must_tell(kc, ino) && tell_all(kc))
		return;
	/* Where no view is in use, tell() knows of no path. */
	if (!tell(kc, branch, name, 0) && shows(kc, dir_ino, NULL, branch))
		enqueue(kc, dir_ino, name);
}
