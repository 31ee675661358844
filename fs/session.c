/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive loop.
 *
 * One worker at a time reads from the kernel: the one that holds the token. It
 * looks at what it got before anyone may read again, and notes a RELEASE
 * (release_noted), so that whoever reads a later request already knows of it.
 * libfuse's own loop cannot give that order.
 *
 * Passing the token wakes another thread, which costs more than most requests
 * take. So it is kept while a short request is handled, and passed on when the
 * request may take long, or when several times running more requests were waiting
 * already: then they are handled in parallel. (Once is nothing: a close and the open
 * that follows it come as a pair.) A handler that has to sleep for a publish passes it
 * on first (session_pass_token).
 */
#include "fs/session.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/busy_poll.h"
#include "fs/init_flags.h"
#include "fs/metrics.h"
#include "fs/mount.h"
#include "fs/pending.h"
#include "fs/readahead.h"
#include "fs/resend.h"
#include "fs/topic.h"
#include "store/util/duration.h"
#include "store/util/keep.h"
#include "store/util/log.h"

struct session {
	struct fs *fs;
	const char *mountpoint;
	unsigned int threads;
	pthread_t *workers;
	unsigned int started;
	atomic_uint numbers;	  /* of workers, as they begin */
	struct keep_pulse *pulse; /* for the holder; NULL: nobody looks */

	pthread_mutex_t lock;
	pthread_cond_t token_free;
	bool token_taken;	    /* under lock: somebody may read */
	unsigned int token_waiters; /* under lock */
	unsigned int streak;	    /* with the token */
	unsigned int not_looked;    /* with the token */
	struct busy_poll busy_poll; /* with the token */
	pthread_cond_t ended;
	unsigned int running; /* under lock */
	bool mounted;	      /* under lock */
	bool detached;	      /* set before the workers end, read after */
	struct resend resend; /* from when there are workers on: with the token */

	void (*on_mounted)(void *arg, int fuse_fd, const void *init, size_t init_len);
	void *arg;
};

/* ---- the token ---- */

static void token_take(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->token_taken) {
		s->token_waiters++;
		pthread_cond_wait(&s->token_free, &s->lock);
		s->token_waiters--;
	}
	s->token_taken = true;
	pthread_mutex_unlock(&s->lock);
}

static void token_pass(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->token_taken = false;
	if (s->token_waiters)
		pthread_cond_signal(&s->token_free);
	pthread_mutex_unlock(&s->lock);
}

/* What a worker has; NULL in other threads. */
struct worker {
	struct session *session;
	bool token;
	bool early; /* the request's buffer is its own, and no larger */
	void *own;  /* the buffer for all others; NULL: libfuse has made it */
	pid_t asker;
	struct keep_pulse *pulse; /* NULL: nobody looks */
	unsigned int number;	  /* of this worker there */
	uint64_t unique;	  /* of the request, with RESEND_BIT */
};
static __thread struct worker *self;

static void give_token(struct worker *w)
{
	w->token = false;
	token_pass(w->session);
}

void session_pass_token(void)
{
	if (self && self->token)
		give_token(self);
}

pid_t session_asker(void)
{
	return self ? self->asker : 0;
}

uint64_t session_unique(void)
{
	return self ? self->unique & ~RESEND_BIT : 0;
}

bool session_resent(void)
{
	return self && (self->unique & RESEND_BIT);
}

/* ---- the loop ---- */

/* More bytes than this, to or from a disk, are not a short request. */
enum { SHORT_BYTES = 32 * 1024 };

/* May handling it take longer than waking another worker? */
static bool is_long(struct fs *fs, const struct fuse_in_header *in)
{
	const void *arg = in + 1;

	switch (in->opcode) {
	case FUSE_LOOKUP:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
	case FUSE_GETATTR:
	case FUSE_OPEN:
	case FUSE_CREATE:
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_STATFS:
	case FUSE_OPENDIR:
	case FUSE_RELEASEDIR:
		return false;
	case FUSE_READ:
		return ((const struct fuse_read_in *)arg)->size > SHORT_BYTES;
	case FUSE_WRITE:
		return ((const struct fuse_write_in *)arg)->size > SHORT_BYTES;
	case FUSE_FLUSH:
		return flush_is_long(fs, ((const struct fuse_flush_in *)arg)->fh);
	case FUSE_RELEASE:
		return release_is_long(fs, ((const struct fuse_release_in *)arg)->fh);
	case FUSE_FSYNC:
		return fsync_is_long(fs, ((const struct fuse_fsync_in *)arg)->fh);
	default:
		return true;
	}
}

/* How often running more was waiting, until it is a backlog. While none is, every
 * LOOK_EACH requests are enough to see one begin. */
enum { BACKLOG_STREAK = 4, LOOK_EACH = 4 };

/* With the token. */
static bool has_backlog(struct session *s)
{
	struct pollfd pfd = {.fd = fuse_session_fd(s->fs->se), .events = POLLIN};

	if (!s->streak && ++s->not_looked < LOOK_EACH)
		return false;
	s->not_looked = 0;
	if (poll(&pfd, 1, 0) <= 0)
		s->streak = 0;
	else if (s->streak < BACKLOG_STREAK)
		s->streak++;
	return s->streak == BACKLOG_STREAK;
}

/* With the token. */
static void note_unique(struct keep_pulse *pulse, uint64_t unique)
{
	if (unique > atomic_load_explicit(&pulse->last_unique, memory_order_relaxed))
		atomic_store_explicit(&pulse->last_unique, unique, memory_order_relaxed);
}

/* With the token: what must be known before the next request is received. */
static void look_at(struct session *s, const struct fuse_in_header *in)
{
	struct fs *fs = s->fs;

	if (in->opcode == FUSE_INIT)
		init_flags_look(fs, in, in->len);
	if (in->opcode == FUSE_INIT && s->on_mounted)
		s->on_mounted(s->arg, fuse_session_fd(fs->se), in, in->len);
	atomic_fetch_add_explicit(&fs->requests, 1, memory_order_relaxed);
	if (s->pulse) {
		atomic_fetch_add_explicit(&s->pulse->begun, 1, memory_order_relaxed);
		note_unique(s->pulse, in->unique & ~RESEND_BIT);
	}
	if (in->opcode == FUSE_RELEASE)
		release_noted(fs, ((const struct fuse_release_in *)(in + 1))->fh);
	if (in->opcode == FUSE_RELEASEDIR)
		releasedir_noted(fs, ((const struct fuse_release_in *)(in + 1))->fh);
}

/*
 * A buffer for requests. The kernel answers EIO for us, and sends nothing again, when we
 * are killed while it copies a request to a page that is not there yet; so all of them
 * are. NULL: it is not known yet how long requests are, or there is no memory; then
 * libfuse makes one.
 */
static void *new_buffer(struct fs *fs)
{
	size_t bytes = atomic_load(&fs->request_bytes);
	void *mem = bytes ? malloc(bytes) : NULL;

	if (mem)
		memset(mem, 1, bytes); /* of zeros calloc() would make nothing */
	return mem;
}

static void own_buffer(struct worker *w, struct fuse_buf *buf)
{
	w->own = new_buffer(w->session->fs);
	if (!w->own)
		return;
	free(buf->mem);
	buf->mem = w->own;
}

/* Before there are workers: what is handled when there are. */
static int receive_early(void *arg, struct fuse_buf *buf)
{
	struct session *s = arg;
	int n = fuse_session_receive_buf(s->fs->se, buf);

	if (n > 0)
		look_at(s, buf->mem);
	return n;
}

/* Before there are workers: see fs/resume.h. */
static int go_on(struct session *s, struct errmsg *err)
{
	struct fuse_buf buf = {.mem = new_buffer(s->fs)};
	int r = resend_collect(&s->resend, s->fs, &buf, receive_early, s, err);

	free(buf.mem);
	return r;
}

/* With the token. */
static int receive_new(struct session *s, struct fuse_buf *buf)
{
	int64_t began = time_monotonic_ns();
	enum busy_poll_result looked = BUSY_POLL_OFF;
	int n;

	/* While values are written the CPUs have other threads of ours to run. */
	if (!pending_count(s->fs->pending))
		looked = busy_poll_look(&s->busy_poll, fuse_session_fd(s->fs->se));
	if (looked == BUSY_POLL_FOUND)
		atomic_fetch_add_explicit(&s->fs->polled, 1, memory_order_relaxed);
	n = fuse_session_receive_buf(s->fs->se, buf);
	busy_poll_came(&s->busy_poll, looked, time_monotonic_ns() - began);
	return n;
}

static int next_request(struct worker *w, struct fuse_buf *buf)
{
	struct session *s = w->session;
	void *early = resend_take(&s->resend, &buf->size);
	int n;

	if (early) {
		if (buf->mem != w->own)
			free(buf->mem);
		buf->mem = early;
		w->early = true;
		return (int)buf->size;
	}
	n = receive_new(s, buf);
	if (n > 0 && s->fs->foreign_pids)
		((struct fuse_in_header *)buf->mem)->pid = 0;
	if (n > 0)
		look_at(s, buf->mem);
	return n;
}

/*
 * Receive with the token, which is kept or passed on. The length of a request,
 * 0 when there will be none, or -errno.
 */
static int receive(struct worker *w, struct fuse_buf *buf)
{
	struct session *s = w->session;
	int n = 0;

	if (w->early) {
		free(buf->mem);
		buf->mem = w->own;
		w->early = false;
	}
	if (!w->token)
		token_take(s);
	w->token = true;
	if (!fuse_session_exited(s->fs->se))
		n = next_request(w, buf);
	if (n > 0) {
		const struct fuse_in_header *in = buf->mem;

		w->asker = (pid_t)in->pid;
		w->unique = in->unique;
		if (has_backlog(s) || is_long(s->fs, buf->mem))
			give_token(w);
	}
	return n;
}

/* Which requests are timed; METRICS_OPS: not this one. */
static enum metrics_op timed_as(const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case FUSE_LOOKUP:
		return METRICS_LOOKUP;
	case FUSE_OPEN:
		return METRICS_OPEN;
	case FUSE_READ:
		return METRICS_READ;
	case FUSE_WRITE:
		return METRICS_WRITE;
	case FUSE_FLUSH:
		return METRICS_CLOSE;
	default:
		return METRICS_OPS;
	}
}

/* For the holder, which looks whether anything is answered (fs/holder/watch.h). */
static void pulse_begin(struct worker *w, int64_t now_ns)
{
	if (w->pulse)
		atomic_store_explicit(&w->pulse->worker_since_ns[w->number],
				      (uint64_t)now_ns, memory_order_relaxed);
}

static void pulse_end(struct worker *w)
{
	if (!w->pulse)
		return;
	atomic_store_explicit(&w->pulse->worker_since_ns[w->number], 0,
			      memory_order_relaxed);
	atomic_fetch_add_explicit(&w->pulse->answered, 1, memory_order_relaxed);
}

/* From when it was received to when it was answered, or put aside to wait. */
static void process(struct worker *w, const struct fuse_buf *buf)
{
	struct session *s = w->session;
	const struct fuse_in_header *in = buf->mem;
	enum metrics_op op = timed_as(in);
	int64_t begun_ns = op == METRICS_OPS && !w->pulse ? 0 : time_monotonic_ns();

	pulse_begin(w, begun_ns);
	topic_enter_node(s->fs, in->nodeid);
	fuse_session_process_buf(s->fs->se, buf);
	topic_enter(TOPIC_NONE, 0);
	if (in->opcode == FUSE_INIT)
		readahead_begin(s->fs);
	pulse_end(w);
	if (op != METRICS_OPS)
		metrics_took(s->fs->metrics, op, time_monotonic_ns() - begun_ns);
}

static void *work(void *arg)
{
	struct session *s = arg;
	struct worker w = {.session = s, .pulse = s->pulse};
	struct fuse_buf buf = {0};

	w.number = atomic_fetch_add(&s->numbers, 1);
	self = &w;
	for (;;) {
		int n;

		if (!w.own)
			own_buffer(&w, &buf);
		n = receive(&w, &buf);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) /* unmounted, or told to end */
			break;
		process(&w, &buf);
	}
	fuse_session_exit(s->fs->se);
	if (w.token)
		token_pass(s); /* the others end one after the other */
	self = NULL;
	free(buf.mem);
	op_io_thread_done();
	pthread_mutex_lock(&s->lock);
	s->running--;
	pthread_cond_broadcast(&s->ended);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int session_serve_one(struct session *s, struct fuse_buf *buf)
{
	struct worker w = {.session = s};
	int n;

	self = &w;
	n = receive(&w, buf);
	if (n > 0)
		process(&w, buf);
	session_pass_token();
	self = NULL;
	return n;
}

/* ---- begin ---- */

int session_new(struct fs *fs, const struct session_options *opt, struct session **ret_s,
		struct errmsg *err)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (s)
		s->workers = calloc(opt->threads, sizeof(*s->workers));
	if (!s || !s->workers) {
		free(s);
		return err_set(err, ENOMEM, "out of memory");
	}
	s->fs = fs;
	s->mountpoint = opt->mount.mountpoint;
	s->threads = opt->threads;
	resend_init(&s->resend);
	busy_poll_init(&s->busy_poll, fs->busy_poll_cpus);
	s->pulse = keep_pulse(fs->keep);
	s->on_mounted = opt->mounted;
	s->arg = opt->arg;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->ended, NULL);
	pthread_cond_init(&s->token_free, NULL);
	r = mount_begin(fs, &opt->mount, &s->mounted, err);
	if (r)
		session_free(s);
	else
		*ret_s = s;
	return r;
}

static void on_wake(int sig)
{
	(void)sig; /* it is enough that read(2) is interrupted */
}

int session_start(struct session *s, struct errmsg *err)
{
	struct sigaction sa = {.sa_handler = on_wake};
	int r = s->fs->resuming ? go_on(s, err) : 0;

	if (r)
		return r;
	sigaction(SIGUSR2, &sa, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->started < s->threads && !r) {
		r = pthread_create(&s->workers[s->started], NULL, work, s);
		if (!r) {
			s->started++;
			s->running++;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!s->started)
		return err_set(err, r, "cannot start a thread: %s", strerror(r));
	if (r)
		log_warning("only %u of %u threads could be started: %s", s->started,
			    s->threads, strerror(r));
	return 0;
}

/* ---- end ---- */

void session_wait(struct session *s, void (*tick)(void *arg), void *arg)
{
	pthread_mutex_lock(&s->lock);
	while (s->running == s->started) {
		struct timespec at;

		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_sec++;
		pthread_cond_timedwait(&s->ended, &s->lock, &at);
		pthread_mutex_unlock(&s->lock);
		tick(arg);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

bool session_ended(struct session *s)
{
	bool ended;

	pthread_mutex_lock(&s->lock);
	ended = s->running != s->started;
	pthread_mutex_unlock(&s->lock);
	return ended;
}

bool session_detached(const struct session *s)
{
	return s->detached;
}

/* Interrupt the worker that is reading; the others wait for it. */
static void wake_workers(struct session *s)
{
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	unsigned int running;

	fuse_session_exit(s->fs->se);
	do {
		for (unsigned int i = 0; i < s->started; i++)
			pthread_kill(s->workers[i], SIGUSR2);
		/* Again: a signal just before read(2) is lost on it. */
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&s->lock);
		running = s->running;
		pthread_mutex_unlock(&s->lock);
	} while (running);
}

void session_end(struct session *s)
{
	bool mounted;
	int r;

	pthread_mutex_lock(&s->lock);
	mounted = s->mounted && s->running == s->started;
	s->mounted = false;
	pthread_mutex_unlock(&s->lock);
	if (!mounted)
		return;
	r = mount_end(s->mountpoint, false);
	if (r == 0)
		return; /* the workers read ENODEV */
	log_warning("%s: %s; what is open there ends now", s->mountpoint, strerror(-r));
	s->detached = true;
	mount_end(s->mountpoint, true);
	wake_workers(s);
}

void session_leave(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->mounted = false;
	s->detached = true;
	pthread_mutex_unlock(&s->lock);
	wake_workers(s);
}

void session_free(struct session *s)
{
	if (!s)
		return;
	session_end(s);
	for (unsigned int i = 0; i < s->started; i++)
		pthread_join(s->workers[i], NULL);
	/* Nobody reads any more, and the connection has ended: this frees only. Not
	 * so a detached one, at whose place another may be mounted by now. */
	if (s->fs->se && !s->detached)
		fuse_session_unmount(s->fs->se);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->token_free);
	resend_deinit(&s->resend);
	free(s->workers);
	free(s);
}
