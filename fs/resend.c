/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resend.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "fs/once.h"
#include "fs/reply.h"
#include "fs/resume.h"
#include "fs/retry.h"
#include "fs/waiters.h"
#include "store/util/keep.h"
#include "store/util/log.h"

/* ---- the queue ---- */

/* A request that was received before its time. */
struct early {
	struct early *next;
	size_t size;
	void *mem; /* of that size */
};

void resend_init(struct resend *q)
{
	q->first = NULL;
	q->releases_end = q->end = &q->first;
}

void resend_deinit(struct resend *q)
{
	size_t size;
	void *mem;

	while ((mem = resend_take(q, &size)))
		free(mem);
}

/* -ENOMEM. */
static int put(struct resend *q, const void *mem, size_t size)
{
	bool release = ((const struct fuse_in_header *)mem)->opcode == FUSE_RELEASE;
	struct early **at = release ? q->releases_end : q->end;
	struct early *e = calloc(1, sizeof(*e));

	if (e)
		e->mem = malloc(size);
	if (!e || !e->mem) {
		free(e);
		return -ENOMEM;
	}
	e->size = size;
	memcpy(e->mem, mem, size);
	e->next = *at;
	*at = e;
	if (q->end == at)
		q->end = &e->next;
	if (release)
		q->releases_end = &e->next;
	return 0;
}

void *resend_take(struct resend *q, size_t *ret_size)
{
	struct early *e = q->first;
	void *mem;

	if (!e)
		return NULL;
	mem = e->mem;
	*ret_size = e->size;
	q->first = e->next;
	free(e);
	return mem;
}

/* ---- what the kernel sends ---- */

/* linux/fuse.h has it from 6.9 on. */
#define NOTIFY_RESEND 7

/* -EINVAL: the kernel is older than 6.9. */
static int ask(struct fs *fs)
{
	return reply_header(fs, 0, NOTIFY_RESEND);
}

/* Is it sent again, or one that the kernel sends ahead of what is? */
static bool may_be_followed(const struct fuse_in_header *in)
{
	return (in->unique & RESEND_BIT) || in->opcode == FUSE_FORGET ||
	       in->opcode == FUSE_BATCH_FORGET || in->opcode == FUSE_INTERRUPT;
}

static bool is_readable(struct fs *fs)
{
	struct pollfd pfd = {.fd = fuse_session_fd(fs->se), .events = POLLIN};

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
}

/* Who keeps something for that request is told that it comes again. */
static void expect(struct fs *fs, uint64_t unique)
{
	waiters_resent(fs->waiters, unique);
	once_expect(fs->once, unique);
	retry_expect(fs->retries, unique);
}

/* -ENOMEM. */
static int receive_all(struct resend *q, struct fs *fs, struct fuse_buf *buf,
		       int (*receive)(void *arg, struct fuse_buf *buf), void *arg,
		       uint64_t *ret_count)
{
	uint64_t count = 0;
	bool more = true;
	int r = 0;

	while (!r && more && is_readable(fs)) {
		int n = receive(arg, buf);
		const struct fuse_in_header *in = buf->mem;

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) /* unmounted: the workers will see */
			break;
		if (in->unique & RESEND_BIT) {
			expect(fs, in->unique & ~RESEND_BIT);
			count++;
		}
		more = may_be_followed(in);
		r = put(q, in, (size_t)n);
	}
	if (!r)
		*ret_count = count;
	return r;
}

/* ---- where it cannot ---- */

/* A kernel that cannot numbers its requests so. Of those before LOST_MAX only opens that
 * wait can be under way, and these are kept. */
enum { UNIQUE_STEP = 2, LOST_MAX = 1 << 16, LOST_AHEAD = 1 << 12 };

/* The kernel knows whether it was answered. */
static void fail_one(void *arg, uint64_t unique)
{
	struct fs *fs = arg;

	if (reply_header(fs, unique, -EIO) == 0)
		resume_failed(fs, unique);
}

static void fail_all(struct fs *fs)
{
	struct keep_pulse *pulse = keep_pulse(fs->keep);
	uint64_t last = pulse ? atomic_load(&pulse->last_unique) : 0;

	last -= last % UNIQUE_STEP; /* it may have been an INTERRUPT */
	/* One may have been received and not been noted any more. Those that are only
	 * queued the kernel does not take an answer for. */
	for (uint64_t n = 1; last && n <= LOST_AHEAD; n++)
		fail_one(fs, last + n * UNIQUE_STEP);
	for (uint64_t n = 0; n < LOST_MAX && last > n * UNIQUE_STEP; n++)
		fail_one(fs, last - n * UNIQUE_STEP);
	waiters_each_kept(fs->waiters, fail_one, fs);
}

/* ---- all of it ---- */

int resend_collect(struct resend *q, struct fs *fs, struct fuse_buf *buf,
		   int (*receive)(void *arg, struct fuse_buf *buf), void *arg,
		   struct errmsg *err)
{
	uint64_t count = 0;
	bool lost;
	int r;

	resume_session_begin(fs);
	r = ask(fs);
	lost = r;
	if (lost)
		log_warning("what was under way cannot be asked for again, and fails: %s",
			    strerror(-r));
	if (lost)
		fail_all(fs);
	r = receive_all(q, fs, buf, receive, arg, &count);
	if (r)
		return err_set(err, -r, "what was under way: %s", strerror(-r));
	waiters_resume_end(fs->waiters);
	resume_session_end(fs);
	if (lost)
		resume_releases(fs);
	log_info("goes on with %" PRIu64 " requests that were under way", count);
	return 0;
}
