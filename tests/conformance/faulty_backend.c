/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/faulty_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "store/backend.h"

/* Changed by the test's thread alone; read by all. */
static struct {
	atomic_bool on, full, shorten;
	_Atomic unsigned int delay_us; /* not 0: `call` takes long instead */
	_Atomic enum fault_call call;
	_Atomic unsigned int nth, times;
	_Atomic int error;
	_Atomic unsigned int seen[FAULT_COUNT], failed;
} plan;

const char *fault_name(enum fault_call call)
{
	static const char *const names[FAULT_COUNT] = {
	    "get",	     "commit",	     "sync",	      "iter",
	    "next",	     "extent stage", "extent commit", "extent open",
	    "extent remove", "extent punch", "extent list",   "extent sync dir",
	    "checkpoint",    "write",	     "truncate",      "allocate",
	    "fsync",	     "link",	     "read",	      "open",
	    "rename",	     "unlink",	     "mkdir",
	};

	return names[call];
}

static void plan_clear(void)
{
	atomic_store(&plan.on, false);
	atomic_store(&plan.full, false);
	atomic_store(&plan.shorten, false);
	atomic_store(&plan.delay_us, 0);
	atomic_store(&plan.failed, 0);
	for (int i = 0; i < FAULT_COUNT; i++)
		atomic_store(&plan.seen[i], 0);
}

void faults_begin(enum fault_call call, unsigned int nth, unsigned int times, int error)
{
	plan_clear();
	atomic_store(&plan.call, call);
	atomic_store(&plan.nth, nth);
	atomic_store(&plan.times, times);
	atomic_store(&plan.error, error);
	atomic_store(&plan.on, true);
}

void faults_begin_full(int error)
{
	plan_clear();
	atomic_store(&plan.error, error);
	atomic_store(&plan.full, true);
}

void faults_begin_short(void)
{
	plan_clear();
	atomic_store(&plan.shorten, true);
}

void faults_begin_delay(enum fault_call call, unsigned int delay_us)
{
	plan_clear();
	atomic_store(&plan.call, call);
	atomic_store(&plan.delay_us, delay_us);
}

unsigned int faults_end(void)
{
	atomic_store(&plan.on, false);
	atomic_store(&plan.full, false);
	atomic_store(&plan.shorten, false);
	atomic_store(&plan.delay_us, 0);
	return atomic_load(&plan.failed);
}

unsigned int faults_seen(enum fault_call call)
{
	return atomic_load(&plan.seen[call]);
}

static bool grows(enum fault_call call)
{
	return call == FAULT_COMMIT || call == FAULT_SYNC || call == FAULT_EXTENT_STAGE ||
	       call == FAULT_WRITE || call == FAULT_ALLOCATE || call == FAULT_LINK ||
	       call == FAULT_CHECKPOINT;
}

static bool is_due(enum fault_call call, unsigned int nth)
{
	if (atomic_load(&plan.full))
		return grows(call);
	return atomic_load(&plan.on) && call == atomic_load(&plan.call) &&
	       nth >= atomic_load(&plan.nth) &&
	       nth - atomic_load(&plan.nth) < atomic_load(&plan.times);
}

/* 0, or the errno that this call fails with. */
static int due(enum fault_call call)
{
	unsigned int nth = atomic_fetch_add(&plan.seen[call], 1) + 1;
	unsigned int delay_us = atomic_load(&plan.delay_us);

	if (delay_us && call == atomic_load(&plan.call)) {
		atomic_fetch_add(&plan.failed, 1);
		usleep(delay_us);
	}
	if (!is_due(call, nth))
		return 0;
	atomic_fetch_add(&plan.failed, 1);
	return atomic_load(&plan.error);
}

/* ---- iterators ---------------------------------------------------------------- */

struct faulty_iter {
	struct backend_iter it;
	struct backend_iter *real;
	int error; /* it has ended early */
};

static struct backend_iter *real_iter(const struct backend_iter *it)
{
	return ((const struct faulty_iter *)it)->real;
}

static void iter_free(struct backend_iter *it)
{
	backend_iter_free(real_iter(it));
	free(it);
}

static void iter_seek(struct backend_iter *it, struct slice key)
{
	((struct faulty_iter *)it)->error = 0;
	backend_iter_seek(real_iter(it), key);
}

static void iter_next(struct backend_iter *it)
{
	struct faulty_iter *faulty = (struct faulty_iter *)it;

	faulty->error = due(FAULT_NEXT);
	if (!faulty->error)
		backend_iter_next(faulty->real);
}

static bool iter_valid(const struct backend_iter *it)
{
	return !((const struct faulty_iter *)it)->error &&
	       backend_iter_valid(real_iter(it));
}

static struct slice iter_key(const struct backend_iter *it)
{
	return backend_iter_key(real_iter(it));
}

static struct slice iter_value(const struct backend_iter *it)
{
	return backend_iter_value(real_iter(it));
}

static int iter_status(const struct backend_iter *it)
{
	int error = ((const struct faulty_iter *)it)->error;

	return error ? -error : backend_iter_status(real_iter(it));
}

static const struct backend_iter_ops iter_ops = {
    .free = iter_free,
    .seek = iter_seek,
    .next = iter_next,
    .valid = iter_valid,
    .key = iter_key,
    .value = iter_value,
    .status = iter_status,
};

/* ---- the backend -------------------------------------------------------------- */

struct faulty {
	struct backend be;
	struct backend *real;
};

static struct backend *real_of(struct backend *be)
{
	return ((struct faulty *)be)->real;
}

static void faulty_free(struct backend *be)
{
	backend_free(real_of(be));
	free(be);
}

static int faulty_get(struct backend *be, enum table t, struct slice key,
		      struct buf *ret_value)
{
	int error = due(FAULT_GET);

	return error ? -error : backend_get(real_of(be), t, key, ret_value);
}

static int faulty_commit(struct backend *be, const struct batch *b)
{
	int error = due(FAULT_COMMIT);

	return error ? -error : backend_commit(real_of(be), b);
}

static int faulty_sync(struct backend *be)
{
	int error = due(FAULT_SYNC);

	return error ? -error : backend_sync(real_of(be));
}

static int faulty_reclaim(struct backend *be)
{
	return backend_reclaim(real_of(be));
}

static int faulty_compact(struct backend *be, const atomic_bool *stop)
{
	return backend_compact(real_of(be), stop);
}

static int faulty_tidy(struct backend *be)
{
	return backend_tidy(real_of(be));
}

static int faulty_iter_new(struct backend *be, enum table t, struct slice end,
			   enum iter_use use, struct backend_iter **ret_it)
{
	struct faulty_iter *it;
	int r = -due(FAULT_ITER);

	if (r)
		return r;
	it = calloc(1, sizeof(*it));
	if (!it)
		return -ENOMEM;
	it->it.ops = &iter_ops;
	r = real_of(be)->ops->iter_new(real_of(be), t, end, use, &it->real);
	if (r) {
		free(it);
		return r;
	}
	*ret_it = &it->it;
	return 0;
}

static void faulty_stats(struct backend *be, struct backend_stats *ret_stats)
{
	backend_stats(real_of(be), ret_stats);
}

static int faulty_stage(struct backend *be, uint64_t ino, int *ret_fd)
{
	int error = due(FAULT_EXTENT_STAGE);

	return error ? -error : backend_extent_stage(real_of(be), ino, ret_fd);
}

static int faulty_extent_commit(struct backend *be, uint64_t ino)
{
	int error = due(FAULT_EXTENT_COMMIT);

	return error ? -error : backend_extent_commit(real_of(be), ino);
}

static int faulty_open(struct backend *be, uint64_t ino, int *ret_fd)
{
	int error = due(FAULT_EXTENT_OPEN);

	return error ? -error : backend_extent_open(real_of(be), ino, ret_fd);
}

static int faulty_remove(struct backend *be, uint64_t ino)
{
	int error = due(FAULT_EXTENT_REMOVE);

	return error ? -error : backend_extent_remove(real_of(be), ino);
}

static int faulty_punch(struct backend *be, uint64_t ino, uint64_t off, uint64_t len)
{
	int error = due(FAULT_EXTENT_PUNCH);

	return error ? -error : backend_extent_punch(real_of(be), ino, off, len);
}

static int faulty_list(struct backend *be, int (*each)(void *arg, uint64_t ino),
		       void *arg)
{
	int error = due(FAULT_EXTENT_LIST);

	return error ? -error : backend_extent_list(real_of(be), each, arg);
}

static int faulty_sync_dir(struct backend *be)
{
	int error = due(FAULT_EXTENT_SYNC_DIR);

	return error ? -error : backend_extent_sync_dir(real_of(be));
}

static int faulty_sync_name(struct backend *be, uint64_t ino)
{
	int error = due(FAULT_EXTENT_SYNC_DIR);

	return error ? -error : backend_extent_sync_name(real_of(be), ino);
}

static int faulty_resume(struct backend *be, uint64_t ino, bool *ret_committed,
			 int *ret_fd)
{
	int error = due(FAULT_EXTENT_OPEN);

	return error ? -error
		     : backend_extent_resume(real_of(be), ino, ret_committed, ret_fd);
}

static int faulty_strays(struct backend *be, int (*each)(void *arg, const char *path),
			 void *arg)
{
	return backend_extent_strays(real_of(be), each, arg);
}

static int faulty_checkpoint(struct backend *be, const char *path)
{
	int error = due(FAULT_CHECKPOINT);

	return error ? -error : backend_checkpoint(real_of(be), path);
}

static const struct backend_ops faulty_ops = {
    .name = "faulty",
    .free = faulty_free,
    .get = faulty_get,
    .commit = faulty_commit,
    .sync = faulty_sync,
    .reclaim = faulty_reclaim,
    .compact = faulty_compact,
    .tidy = faulty_tidy,
    .iter_new = faulty_iter_new,
    .stats = faulty_stats,
    .extent_stage = faulty_stage,
    .extent_commit = faulty_extent_commit,
    .extent_open = faulty_open,
    .extent_remove = faulty_remove,
    .extent_punch = faulty_punch,
    .extent_list = faulty_list,
    .extent_sync_dir = faulty_sync_dir,
    .extent_sync_name = faulty_sync_name,
    .extent_resume = faulty_resume,
    .extent_strays = faulty_strays,
    .checkpoint = faulty_checkpoint,
};

typedef int (*backend_new)(const struct backend_options *opt, struct backend **ret_be,
			   struct errmsg *err);

static int faulty_new(backend_new new_real, const struct backend_options *opt,
		      struct backend **ret_be, struct errmsg *err)
{
	struct faulty *faulty = calloc(1, sizeof(*faulty));
	int r;

	if (!faulty)
		return -ENOMEM;
	faulty->be.ops = &faulty_ops;
	r = new_real(opt, &faulty->real, err);
	if (r) {
		free(faulty);
		return r;
	}
	*ret_be = &faulty->be;
	return 0;
}

/* ---- what the linker puts in between ------------------------------------------- */

int __real_backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
			      struct errmsg *err);
int __wrap_backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
			      struct errmsg *err);
int __real_backend_rocksdb_new(const struct backend_options *opt, struct backend **ret_be,
			       struct errmsg *err);
int __wrap_backend_rocksdb_new(const struct backend_options *opt, struct backend **ret_be,
			       struct errmsg *err);

int __wrap_backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
			      struct errmsg *err)
{
	return faulty_new(__real_backend_memory_new, opt, ret_be, err);
}

int __wrap_backend_rocksdb_new(const struct backend_options *opt, struct backend **ret_be,
			       struct errmsg *err)
{
	return faulty_new(__real_backend_rocksdb_new, opt, ret_be, err);
}

/* False, with errno, when this call shall fail. */
static bool passes(enum fault_call call)
{
	int error = due(call);

	if (error)
		errno = error;
	return !error;
}

/* How much of it is transferred. */
static size_t shortened(size_t len)
{
	if (len < 2 || !atomic_load(&plan.shorten))
		return len;
	atomic_fetch_add(&plan.failed, 1);
	return len / 2;
}

ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t off);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t off)
{
	int error = due(FAULT_WRITE);

	if (!error)
		return __real_pwrite64(fd, data, shortened(len), off);
	if (__real_pwrite64(fd, data, len / 2, off) < 0)
		return -1;
	errno = error;
	return -1;
}

int __wrap_ftruncate64(int fd, off_t size)
{
	return passes(FAULT_TRUNCATE) ? __real_ftruncate64(fd, size) : -1;
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	return passes(FAULT_ALLOCATE) ? __real_fallocate64(fd, mode, off, len) : -1;
}

int __wrap_fsync(int fd)
{
	return passes(FAULT_FSYNC) ? __real_fsync(fd) : -1;
}

int __wrap_fdatasync(int fd)
{
	return passes(FAULT_FSYNC) ? __real_fdatasync(fd) : -1;
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return passes(FAULT_LINK) ? __real_linkat(from_fd, from, to_fd, to, flags) : -1;
}

ssize_t __real_pread64(int fd, void *data, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *data, size_t len, off_t off);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __real_openat64(int dir_fd, const char *path, int flags, ...);
int __wrap_openat64(int dir_fd, const char *path, int flags, mode_t mode);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);

ssize_t __wrap_pread64(int fd, void *data, size_t len, off_t off)
{
	return passes(FAULT_READ) ? __real_pread64(fd, data, shortened(len), off) : -1;
}

/* Where no mode is given, none is looked at. */
int __wrap_open64(const char *path, int flags, mode_t mode)
{
	return passes(FAULT_OPEN) ? __real_open64(path, flags, mode) : -1;
}

int __wrap_openat64(int dir_fd, const char *path, int flags, mode_t mode)
{
	return passes(FAULT_OPEN) ? __real_openat64(dir_fd, path, flags, mode) : -1;
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return passes(FAULT_RENAME) ? __real_renameat(from_fd, from, to_fd, to) : -1;
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
	return passes(FAULT_UNLINK) ? __real_unlinkat(dir_fd, path, flags) : -1;
}

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	return passes(FAULT_MKDIR) ? __real_mkdirat(dir_fd, path, mode) : -1;
}
