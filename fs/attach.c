/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/attached.h"
#include "fs/fast.h"
#include "fs/kcache.h"
#include "fs/mount.h"
#include "fs/retry.h"
#include "fs/session.h"
#include "fs/vnode.h"
#include "store/util/log.h"
#include "store/util/monocond.h"
#include "store/util/text.h"

enum { THREADS = 4 };

/* ---- one of them ---- */

/* All that is not the mount's own is that of the live one. */
static void fill(struct attached *at, struct fs *live)
{
	at->fs = (struct fs){
	    .store = live->store,
	    .pending = live->pending,
	    .waiters = live->waiters,
	    .metrics = live->metrics,
	    .slow = live->slow,
	    .jobs = live->jobs,
	    .limits = live->limits,
	    .read_only = true,
	    .no_open = true,
	    .live = live,
	    .store_path = live->store_path,
	    .mountpoint = at->mountpoint,
	    .backend_name = live->backend_name,
	    .started_ns = time_now_ns(),
	    .threads = THREADS,
	    .busy_poll_cpus = live->busy_poll_cpus,
	    .held = live->held,
	    .config = live->config,
	    .config_text = live->config_text,
	};
}

static void link_one(struct attach *a, struct attached *at)
{
	pthread_rwlock_wrlock(&a->list);
	at->next = a->first;
	a->first = at;
	atomic_fetch_add(&a->count, 1);
	pthread_rwlock_unlock(&a->list);
}

static void unlink_one(struct attach *a, struct attached *one)
{
	struct attached **at;

	pthread_rwlock_wrlock(&a->list);
	for (at = &a->first; *at != one;)
		at = &(*at)->next;
	*at = one->next;
	atomic_fetch_sub(&a->count, 1);
	pthread_rwlock_unlock(&a->list);
}

/* Whatever of it was made, with its session's workers ended or not; it is not linked. */
static void free_one(struct attached *at)
{
	struct fs *fs = &at->fs;

	attach_stop_marks_of(at); /* else these wait for a worker that waits */
	if (fs->kcache)
		kcache_stop(fs->kcache);
	if (at->session)
		session_leave(at->session);
	if (fs->se) /* what its kernel keeps is not to be gone by */
		attach_forget(at);
	session_free(at->session);
	fs_free_own_tables(fs);
	vnode_table_free(fs->vnodes);
	pthread_mutex_destroy(&at->told_lock);
	if (at->guard_fd >= 0)
		close(at->guard_fd);
	free(at);
}

/* Its session, which takes the connection when there is one. */
static int prepare(struct attach *a, struct attached *at, int fuse_fd, struct errmsg *err)
{
	struct session_options so = {
	    .mount = {.mountpoint = at->connection,
		      .store_path = a->live->store_path,
		      .read_only = true},
	    .threads = THREADS,
	};
	int r = at->guard_fd < 0 ? -EMFILE : fs_make_own_tables(&at->fs);

	if (!r)
		r = fast_new(&at->fs, &at->fs.fast);
	if (r)
		return err_set(err, -r, "%s", strerror(-r));
	snprintf(at->connection, sizeof(at->connection), MOUNT_FD "%d", fuse_fd);
	return session_new(&at->fs, &so, &at->session, err);
}

/*
 * What changes is told of from before the first request is handled. Once it is in the
 * list others may be at it, and only attach_tick() frees one.
 */
static int start(struct attach *a, struct attached *at, struct errmsg *err)
{
	int r;

	link_one(a, at);
	r = session_start(at->session, err);
	if (r)
		atomic_store(&at->failed, true);
	return r;
}

static uint64_t own_pid_ns(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

int attach_one(struct attach *a, int fuse_fd, int guard_fd,
	       const struct attach_packet *packet, struct errmsg *err)
{
	struct attached *at = NULL;
	int r;

	if (atomic_load(&a->count) >= ATTACH_MAX)
		r = err_set(err, EUSERS, "%d mounts are attached, and no more may be",
			    ATTACH_MAX);
	else if (!(at = calloc(1, sizeof(*at))))
		r = err_set(err, ENOMEM, "out of memory");
	if (!at) {
		close(fuse_fd);
		return r;
	}
	at->guard_fd = fcntl(guard_fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_init(&at->told_lock, NULL);
	fill(at, a->live);
	at->fs.dev = (dev_t)packet->dev;
	/* The numbers of processes are those of where it was mounted. */
	at->fs.foreign_pids = packet->pid_ns != own_pid_ns();
	snprintf(at->mountpoint, sizeof(at->mountpoint), "%s", packet->mountpoint);
	r = prepare(a, at, fuse_fd, err);
	if (r) {
		if (!at->fs.se)
			close(fuse_fd);
		free_one(at);
		return r;
	}
	r = start(a, at, err);
	if (!r)
		log_info("%s: attached at %s", a->live->mountpoint, packet->mountpoint);
	return r;
}

/* ---- all of them ---- */

static bool has_ended(struct attached *at)
{
	return atomic_load(&at->failed) || session_ended(at->session);
}

/* One that was unmounted. It stays in the list. */
static struct attached *find_ended(struct attach *a)
{
	struct attached *at;

	pthread_rwlock_rdlock(&a->list);
	for (at = a->first; at && !has_ended(at);)
		at = at->next;
	pthread_rwlock_unlock(&a->list);
	return at;
}

/* References need not be counted: only the thread that calls this frees one. */
static size_t list_all(struct attach *a, struct attached *ret_all[ATTACH_MAX])
{
	size_t n = 0;

	pthread_rwlock_rdlock(&a->list);
	for (struct attached *at = a->first; at && n < ATTACH_MAX; at = at->next)
		ret_all[n++] = at;
	pthread_rwlock_unlock(&a->list);
	return n;
}

void attach_tick(struct fs *fs)
{
	struct attached *all[ATTACH_MAX], *at;
	size_t n;

	if (!attach_any(fs))
		return;
	while ((at = find_ended(fs->attach))) {
		unlink_one(fs->attach, at);
		log_info("%s: not attached to %s any more", at->mountpoint,
			 fs->mountpoint);
		free_one(at);
	}
	n = list_all(fs->attach, all);
	for (size_t i = 0; i < n; i++) {
		kcache_tick(all[i]->fs.kcache);
		fast_tick(all[i]->fs.fast);
		retry_reap(all[i]->fs.retries);
	}
}

/* Longer than the live connection is ever busy; then something is wrong with it. */
#define SETTLE_MAX_NS (10 * NSEC_PER_SEC)

/*
 * Who changes the list does not wait until nobody reads it, which may never be. No thread
 * takes it twice, nor waits for another that takes it.
 */
static void init_list_lock(pthread_rwlock_t *list)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(list, &attr);
	pthread_rwlockattr_destroy(&attr);
}

struct attach *attach_new(struct fs *live)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->live = live;
	a->asker_fd = -1;
	a->settle_max_ns = SETTLE_MAX_NS;
	pthread_mutex_init(&a->asker_lock, NULL);
	init_list_lock(&a->list);
	pthread_mutex_init(&a->send_lock, NULL);
	pthread_mutex_init(&a->mark_lock, NULL);
	monocond_init(&a->passed);
	return a;
}

void attach_free(struct attach *a)
{
	if (!a)
		return;
	pthread_cond_destroy(&a->passed);
	pthread_mutex_destroy(&a->mark_lock);
	pthread_mutex_destroy(&a->send_lock);
	pthread_rwlock_destroy(&a->list);
	pthread_mutex_destroy(&a->asker_lock);
	free(a);
}

void attach_begin(struct fs *fs)
{
	int r = fs->attach ? attach_listen(fs->attach) : -ENOMEM;

	if (r)
		log_info("nothing can be attached to %s: %s", fs->mountpoint,
			 strerror(-r));
}

/* Of the mount itself, without asking who serves it. */
static bool is_of(int fd, dev_t dev)
{
	struct statx sx;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &sx) == 0 &&
	       makedev(sx.stx_dev_major, sx.stx_dev_minor) == dev;
}

/* So often is -EAGAIN tried again, which something that is mounted meanwhile may be. */
enum { TRIES_MAX = 10 };

/*
 * Its path is another's word, and may lead through any file system, whose server may
 * hang: nobody is asked for anything on the way. What is above a mount point the kernel
 * has in memory; where it would have to ask what that is now, it says -EAGAIN.
 */
static int open_place(const char *path)
{
	const struct open_how how = {
	    .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	    .resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS,
	};
	int fd = -1;

	errno = EAGAIN;
	for (int i = 0; i < TRIES_MAX && fd < 0 && errno == EAGAIN; i++)
		fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	return fd;
}

/*
 * Where this process sees it at its place. Else a dead mount stays there. By a
 * descriptor: what is on the way may be renamed meanwhile, and lead to another's mount.
 * fusermount3 takes a path only, and unmounts nothing but its caller's.
 */
static void unmount(const struct attached *at)
{
	int fd = open_place(at->mountpoint);
	char path[32];

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (is_of(fd, at->fs.dev))
		mount_end(geteuid() == 0 ? path : at->mountpoint, true);
	close(fd);
}

/*
 * While all of them are served: the way to one may lead through another. The device of
 * one that has ended may be that of something else by now.
 */
static void unmount_all(struct attach *a)
{
	for (struct attached *at = a->first; at; at = at->next)
		if (!has_ended(at))
			unmount(at);
}

/* Workers of the live mount may still look at the list. */
void attach_end(struct fs *fs, bool unmount_too)
{
	struct attach *a = fs->attach;

	if (!a)
		return;
	attach_listen_end(a);
	attach_stop_marks(a);
	if (unmount_too) /* the list is only changed by this thread now */
		unmount_all(a);
	while (a->first) {
		struct attached *at = a->first;

		log_info("%s: ends with %s", at->mountpoint, fs->mountpoint);
		unlink_one(a, at);
		free_one(at);
	}
}

/* A path is one line, whatever is in it. */
static int add_line(struct buf *out, const char *key, const char *path)
{
	char line[4 * PATH_MAX];

	text_escape(line, sizeof(line), path, strlen(path));
	return buf_printf(out, "%s: %s\n", key, line);
}

/* By which who would attach knows whether a number of a user is the same here. */
static int add_user_ns(struct buf *out)
{
	struct stat st;

	if (stat("/proc/self/ns/user", &st))
		return 0;
	return buf_printf(out, ATTACH_USER_NS ": " ATTACH_USER_NS_FORM "\n",
			  (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
}

int attach_text(struct fs *fs, struct buf *out)
{
	int r = 0;

	if (fs->live)
		return add_line(out, "attached_to", fs->live->mountpoint);
	if (fs->attach)
		r = add_user_ns(out);
	if (r || !attach_any(fs))
		return r;
	pthread_rwlock_rdlock(&fs->attach->list);
	for (struct attached *at = fs->attach->first; at && !r; at = at->next)
		if (!has_ended(at))
			r = add_line(out, "attached", at->mountpoint);
	pthread_rwlock_unlock(&fs->attach->list);
	return r;
}
