/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the daemon and its holder (MEMOFS_JITTER in functions.sh): their threads
 * are late, as they are on a busy machine with a slow disk, but everywhere, so that what
 * happens there once in a thousand runs happens in one of a few. No call returns anything
 * else than it would.
 *
 * Late is who has just been woken, or begun; who is about to take a lock, or has given
 * one up; who has looked into the database, or commits; a request that was read and not
 * looked at yet, an answer that is decided and not given, and what is done when it was;
 * what daemon and holder tell each other; names of files, and syncs. A thread is by turns
 * quick, sometimes late, and late nearly each time, because what is found is found by one
 * that is slow while the others are not.
 *
 * MEMOFS_JITTER is `SEED` or `SEED:PERCENT`, of the usual chance of a delay. The same
 * seed gives each thread of a program the same delays, by the order in which threads
 * begin; how they meet is still chance. Other programs load it and are not delayed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* ---- who ---- */

static struct {
	bool on;
	uint64_t seed, percent;
	/* The code of the program, which is memofs but for the libraries. */
	uintptr_t from, to;
	atomic_uint threads;
} jitter;

/* The first that is told of is the program. */
static int note_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	jitter.from = UINTPTR_MAX;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		jitter.from = at < jitter.from ? at : jitter.from;
		jitter.to = at + ph->p_memsz > jitter.to ? at + ph->p_memsz : jitter.to;
	}
	return 1;
}

static void __attribute__((constructor)) begin(void)
{
	const char *text = getenv("MEMOFS_JITTER");
	const char *name = program_invocation_short_name;
	char *end;

	if (!text ||
	    (strncmp(name, "memofsd", 7) != 0 && strcmp(name, "memofs-holder") != 0))
		return;
	jitter.seed = strtoull(text, &end, 10);
	jitter.percent = *end == ':' ? strtoull(end + 1, NULL, 10) : 100;
	dl_iterate_phdr(note_program, NULL);
	jitter.on = jitter.percent > 0;
}

static bool is_ours(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;

	return jitter.on && at >= jitter.from && at < jitter.to;
}

/* Locks and waits of libraries, of the database above all, are left alone. */
#define OURS() is_ours(__builtin_return_address(0))

/* ---- how late ---- */

/* In a thousand, of a thread that is sometimes late. */
enum chance {
	NEAR_A_LOCK = 1,
	BEFORE_READ = 3,
	AFTER_READ = 8, /* nobody else may read meanwhile */
	WITH_A_REQUEST = 40,
	NEAR_AN_ANSWER = 25,
	WHEN_WOKEN = 150,
	NEAR_A_MESSAGE = 150,
	BEGINNING = 500,
	NEAR_THE_DATABASE = 10,
	NEAR_A_COMMIT = 40,
	BEFORE_A_NAME = 40,
	BEFORE_A_SYNC = 100,
};

/* How much more often one is late that is late nearly each time. */
enum { LATE_TIMES = 8 };

enum mood { QUICK, SOMETIMES, LATE };

static __thread struct {
	uint64_t state; /* 0: it has not begun */
	int64_t until_ns;
	enum mood mood;
	bool fresh; /* has read a request, and done nothing yet */
} self;

/* splitmix64 */
static uint64_t next(void)
{
	uint64_t z = self.state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
	return next() % n;
}

static void choose_mood(void)
{
	struct timespec ts;
	uint64_t of_100;
	int64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now_ns = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	if (now_ns < self.until_ns)
		return;
	of_100 = below(100);
	self.mood = of_100 < 40 ? QUICK : of_100 < 85 ? SOMETIMES : LATE;
	self.until_ns = now_ns + (int64_t)(20 + below(280)) * 1000000;
}

static void begin_thread(void)
{
	self.state = (jitter.seed << 20) + atomic_fetch_add(&jitter.threads, 1);
	self.state = next() | 1;
}

/* Mostly longer than anything takes that is only computed, seldom longer than a disk. */
static uint64_t how_long_us(void)
{
	uint64_t of_100 = below(100);

	if (of_100 < 75)
		return below(2000);
	return below(of_100 < 98 ? 20000 : 100000);
}

/* Microseconds; 0: it is not late. */
static uint64_t choose(enum chance of_1000)
{
	uint64_t chance = (uint64_t)of_1000 * jitter.percent / 100;

	if (!self.state)
		begin_thread();
	choose_mood();
	if (self.mood == LATE)
		chance *= LATE_TIMES;
	return self.mood == QUICK || below(1000) >= chance ? 0 : 1 + how_long_us();
}

static void pause_us(uint64_t us)
{
	const struct timespec pause = {.tv_nsec = (long)us * 1000};
	int error = errno;

	nanosleep(&pause, NULL);
	errno = error;
}

static void be_late(enum chance of_1000)
{
	uint64_t us = choose(of_1000);

	if (us)
		pause_us(us);
}

/* ---- the real calls ---- */

/* pthread_cond_wait() has two versions, of which the older is found by its name alone. */
static void *find(const char *name)
{
	void *found = NULL;

#ifdef __x86_64__
	found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
#endif
	if (!found)
		found = dlsym(RTLD_NEXT, name);
	if (!found)
		abort();
	return found;
}

/* Other libraries may call before begin(). */
#define REAL(name)                                                                       \
	({                                                                               \
		static _Atomic(void *) real_at;                                          \
		void *real = atomic_load_explicit(&real_at, memory_order_relaxed);       \
                                                                                         \
		if (!real)                                                               \
			atomic_store(&real_at, real = find(#name));                      \
		(__typeof__(&name))real;                                                 \
	})

/* ---- locks ---- */

static void near_a_lock(void)
{
	enum chance chance = self.fresh ? WITH_A_REQUEST : NEAR_A_LOCK;

	self.fresh = false;
	be_late(chance);
}

int pthread_mutex_lock(pthread_mutex_t *lock)
{
	if (OURS())
		be_late(NEAR_A_LOCK);
	return REAL(pthread_mutex_lock)(lock);
}

int pthread_mutex_unlock(pthread_mutex_t *lock)
{
	bool ours = OURS();
	int r = REAL(pthread_mutex_unlock)(lock);

	if (ours)
		near_a_lock();
	return r;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	if (OURS())
		be_late(NEAR_A_LOCK);
	return REAL(pthread_rwlock_rdlock)(lock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	if (OURS())
		be_late(NEAR_A_LOCK);
	return REAL(pthread_rwlock_wrlock)(lock);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	bool ours = OURS();
	int r = REAL(pthread_rwlock_unlock)(lock);

	if (ours)
		near_a_lock();
	return r;
}

/* Who was woken does not have the lock yet. */
static void wake_late(pthread_mutex_t *lock)
{
	uint64_t us = choose(WHEN_WOKEN);

	if (!us)
		return;
	REAL(pthread_mutex_unlock)(lock);
	pause_us(us);
	REAL(pthread_mutex_lock)(lock);
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	bool ours = OURS();
	int r = REAL(pthread_cond_wait)(cond, lock);

	if (ours && !r)
		wake_late(lock);
	return r;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
			   const struct timespec *until)
{
	bool ours = OURS();
	int r = REAL(pthread_cond_timedwait)(cond, lock, until);

	if (ours && (!r || r == ETIMEDOUT))
		wake_late(lock);
	return r;
}

/* ---- threads ---- */

struct beginning {
	void *(*run)(void *arg);
	void *arg;
};

static void *begin_late(void *arg)
{
	struct beginning b = *(struct beginning *)arg;

	free(arg);
	be_late(BEGINNING);
	return b.run(b.arg);
}

int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attr,
		   void *(*run)(void *arg), void *arg)
{
	struct beginning *b = OURS() ? malloc(sizeof(*b)) : NULL;
	int r;

	if (!b)
		return REAL(pthread_create)(ret_thread, attr, run, arg);
	*b = (struct beginning){run, arg};
	r = REAL(pthread_create)(ret_thread, attr, begin_late, b);
	if (r)
		free(b);
	return r;
}

/* ---- the kernel's side ---- */

enum { FUSE_MAJOR = 10, FUSE_MINOR = 229 };

static bool is_fuse(int fd)
{
	int error = errno;
	struct stat st;
	bool is = jitter.on && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
		  st.st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR);

	errno = error;
	return is;
}

static void was_read(ssize_t n)
{
	if (n <= 0)
		return;
	be_late(AFTER_READ);
	self.fresh = true;
}

ssize_t read(int fd, void *to, size_t len)
{
	bool fuse = is_fuse(fd);
	ssize_t n;

	if (fuse)
		be_late(BEFORE_READ);
	n = REAL(read)(fd, to, len);
	if (fuse)
		was_read(n);
	return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
	bool fuse = is_fuse(fd);
	ssize_t n;

	if (fuse)
		be_late(NEAR_AN_ANSWER);
	n = REAL(write)(fd, data, len);
	if (fuse)
		be_late(NEAR_AN_ANSWER);
	return n;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	bool fuse = is_fuse(fd);
	ssize_t n;

	if (fuse)
		be_late(NEAR_AN_ANSWER);
	n = REAL(writev)(fd, iov, count);
	if (fuse)
		be_late(NEAR_AN_ANSWER);
	return n;
}

ssize_t splice(int from, off64_t *from_off, int to, off64_t *to_off, size_t len,
	       unsigned int flags)
{
	bool request = is_fuse(from), answer = is_fuse(to);
	ssize_t n;

	if (request)
		be_late(BEFORE_READ);
	if (answer)
		be_late(NEAR_AN_ANSWER);
	n = REAL(splice)(from, from_off, to, to_off, len, flags);
	if (request)
		was_read(n);
	if (answer)
		be_late(NEAR_AN_ANSWER);
	return n;
}

/* ---- the store ---- */

/* Of <rocksdb/c.h>. The holder does without the library, and calls neither. */
struct pinned;
struct pinned *rocksdb_get_pinned_cf(void *db, const void *options, void *family,
				     const char *key, size_t len, char **ret_error);
void rocksdb_write(void *db, const void *options, void *batch, char **ret_error);

struct pinned *rocksdb_get_pinned_cf(void *db, const void *options, void *family,
				     const char *key, size_t len, char **ret_error)
{
	struct pinned *value =
	    REAL(rocksdb_get_pinned_cf)(db, options, family, key, len, ret_error);

	if (jitter.on)
		be_late(NEAR_THE_DATABASE);
	return value;
}

void rocksdb_write(void *db, const void *options, void *batch, char **ret_error)
{
	if (jitter.on)
		be_late(NEAR_A_COMMIT);
	REAL(rocksdb_write)(db, options, batch, ret_error);
	if (jitter.on)
		be_late(NEAR_A_COMMIT);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (OURS())
		be_late(BEFORE_A_NAME);
	return REAL(renameat)(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to,
	      unsigned int flags)
{
	if (OURS())
		be_late(BEFORE_A_NAME);
	return REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	if (OURS())
		be_late(BEFORE_A_NAME);
	return REAL(linkat)(from_fd, from, to_fd, to, flags);
}

int unlinkat(int fd, const char *name, int flags)
{
	if (OURS())
		be_late(BEFORE_A_NAME);
	return REAL(unlinkat)(fd, name, flags);
}

/* The disk is slow for the database, too. */
int fsync(int fd)
{
	if (jitter.on)
		be_late(BEFORE_A_SYNC);
	return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	if (jitter.on)
		be_late(BEFORE_A_SYNC);
	return REAL(fdatasync)(fd);
}

/* ---- others ---- */

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	bool ours = OURS();
	ssize_t n;

	if (ours)
		be_late(NEAR_A_MESSAGE);
	n = REAL(sendmsg)(fd, m, flags);
	if (ours)
		be_late(NEAR_A_MESSAGE);
	return n;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	bool ours = OURS();
	ssize_t n = REAL(recvmsg)(fd, m, flags);

	if (ours && n > 0)
		be_late(NEAR_A_MESSAGE);
	return n;
}

/* Who only looks, without waiting, is not woken. */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	bool ours = OURS() && timeout_ms;
	int n = REAL(poll)(fds, count, timeout_ms);

	if (ours && n >= 0)
		be_late(WHEN_WOKEN);
	return n;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	bool ours = OURS() && timeout_ms;
	int n = REAL(epoll_wait)(fd, events, max, timeout_ms);

	if (ours && n >= 0)
		be_late(WHEN_WOKEN);
	return n;
}
