/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/kcache.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/vnode.h"
#include "store/util/log.h"

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
	uint64_t nodeid;
	size_t name_len; /* 0: the node's attributes */
	char name[];
};

struct kcache {
	struct fs *fs;
	_Atomic bool has_epoch;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct notice *first, **last; /* under lock */
	bool stop;		      /* under lock */
};

/* ---- time ---- */

double kcache_timeout(struct kcache *kc, int64_t expires_ns)
{
	double max_s =
	    atomic_load(&kc->has_epoch) ? TIMEOUT_MAX_S : TIMEOUT_MAX_NO_EPOCH_S;
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

/* ---- everything ---- */

static int notify_epoch(struct kcache *kc)
{
	struct fuse_out_header out = {
	    .len = sizeof(out),
	    .error = NOTIFY_INC_EPOCH,
	};
	ssize_t n = write(fuse_session_fd(kc->fs->se), &out, sizeof(out));

	return n == (ssize_t)sizeof(out) ? 0 : -errno;
}

void kcache_probe(struct kcache *kc)
{
	bool has = notify_epoch(kc) == 0;

	atomic_store(&kc->has_epoch, has);
	if (!has)
		log_info("this kernel cannot make all names stale at once: "
			 "names are cached for %.0f s at most",
			 TIMEOUT_MAX_NO_EPOCH_S);
}

void kcache_all_changed(struct kcache *kc)
{
	int r;

	if (!atomic_load(&kc->has_epoch))
		return;
	r = notify_epoch(kc);
	if (r && r != -ENODEV)
		log_error("cannot tell the kernel that names changed: %s", strerror(-r));
}

/* ---- one name or node, by the thread ---- */

static void enqueue(struct kcache *kc, uint64_t nodeid, const char *name)
{
	size_t len = name ? strlen(name) : 0;
	struct notice *n = malloc(sizeof(*n) + len + 1);

	if (!n) { /* dearer, but needs no memory */
		kcache_all_changed(kc);
		return;
	}
	n->next = NULL;
	n->nodeid = nodeid;
	n->name_len = len;
	memcpy(n->name, name ? name : "", len + 1);
	pthread_mutex_lock(&kc->lock);
	*kc->last = n;
	kc->last = &n->next;
	pthread_cond_signal(&kc->wake);
	pthread_mutex_unlock(&kc->lock);
}

static void deliver(struct kcache *kc, const struct notice *n)
{
	/* -ENOENT: the kernel does not know it, which is as good. */
	if (n->name_len)
		fuse_lowlevel_notify_inval_entry(kc->fs->se, n->nodeid, n->name,
						 n->name_len);
	else
		fuse_lowlevel_notify_inval_inode(kc->fs->se, n->nodeid, -1, 0);
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
			pthread_mutex_unlock(&kc->lock);
			deliver(kc, n);
			free(n);
			pthread_mutex_lock(&kc->lock);
		} else if (kc->stop) {
			break;
		} else {
			pthread_cond_wait(&kc->wake, &kc->lock);
		}
	}
	pthread_mutex_unlock(&kc->lock);
	return NULL;
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
	r = pthread_create(&kc->thread, NULL, run, kc);
	if (r) {
		free(kc);
		return -r;
	}
	*ret_kc = kc;
	return 0;
}

void kcache_free(struct kcache *kc)
{
	if (!kc)
		return;
	pthread_mutex_lock(&kc->lock);
	kc->stop = true;
	pthread_cond_signal(&kc->wake);
	pthread_mutex_unlock(&kc->lock);
	pthread_join(kc->thread, NULL);
	pthread_cond_destroy(&kc->wake);
	pthread_mutex_destroy(&kc->lock);
	free(kc);
}

/* ---- who else shows it ---- */

enum { ALIASES_MAX = 64 };

/* Does this node show the branch? */
static bool shows(struct kcache *kc, const struct vnode *v, uint64_t branch)
{
	uint64_t b;

	const char *version = v->view.set & VIEW_VERSION ? v->view.version : NULL;

	return store_branch(kc->fs->store, v->dir_ino, version, false, &b) == 0 &&
	       b == branch;
}

void kcache_name_changed(struct kcache *kc, uint64_t branch, const char *name,
			 uint64_t through)
{
	struct vnode aliases[ALIASES_MAX], plain = {0};
	CLEANUP_BUF struct buf version = BUF_INIT;
	uint64_t dir_ino;
	size_t n;

	/* No view in use: every change came by the one path there is. */
	if (!vnode_any_dir(kc->fs->vnodes))
		return;
	if (store_branch_owner(kc->fs->store, branch, &dir_ino, &version))
		return;
	n = vnode_aliases(kc->fs->vnodes, dir_ino, aliases, ALIASES_MAX);
	if (n > ALIASES_MAX) {
		kcache_all_changed(kc);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (aliases[i].id != through && shows(kc, &aliases[i], branch))
			enqueue(kc, aliases[i].id, name);
	plain.dir_ino = dir_ino;
	if (dir_ino != through && shows(kc, &plain, branch))
		enqueue(kc, dir_ino, name);
}

void kcache_name_expires(struct kcache *kc, uint64_t nodeid, const char *name)
{
	enqueue(kc, nodeid, name);
}

void kcache_dir_changed(struct kcache *kc, uint64_t dir_ino, uint64_t through)
{
	struct vnode aliases[ALIASES_MAX];
	size_t n;

	if (through == dir_ino && !vnode_any_dir(kc->fs->vnodes))
		return;
	n = vnode_aliases(kc->fs->vnodes, dir_ino, aliases, ALIASES_MAX);
	if (n > ALIASES_MAX)
		n = ALIASES_MAX;
	for (size_t i = 0; i < n; i++)
		if (aliases[i].id != through)
			enqueue(kc, aliases[i].id, NULL);
	if (dir_ino != through)
		enqueue(kc, dir_ino, NULL);
}
