/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading everything in the background, slowly, so that what has gone bad is known
 * before somebody needs it.
 *
 * A pass goes through the inodes in the order of their numbers, which are those of their
 * publishing; META "scrub" says where it is, and when the next one may begin, so that a
 * restart does not begin anew. What is bad is dropped as by a read. Between two steps it
 * sleeps as long as the bytes may take.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/check_parts.h"
#include "store/scrub.h"
#include "store/util/log.h"
#include "store/util/monocond.h"
#include "store/value.h"

/* A pass is not begun before so long after the last one began. */
#define PASS_NS (INT64_C(24) * 3600 * NSEC_PER_SEC)
#define STEP_INODES 256		     /* of one iterator */
#define ROW_BYTES 1024		     /* that a row counts for */
#define SLEEP_MAX_S 3600	     /* between two steps */
#define SAVE_NS (60 * NSEC_PER_SEC)  /* between two notes of where it is */
#define RETRY_NS (60 * NSEC_PER_SEC) /* when the database fails */

struct scrub {
	struct store *st;
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows; a leaf */
	pthread_cond_t wake;
	uint64_t rate; /* bytes a second */
	bool stop;
	struct store_scrub done;

	/* The thread's own. */
	uint64_t next;	  /* the inode to go on with */
	int64_t begin_ns; /* wall clock: when the pass began */
	int64_t saved_ns;
	uint64_t debt;	     /* bytes read and not yet slept for */
	unsigned int failed; /* inodes in a row that could not be read */
};

/* ---- where it is ---- */

static void place_load(struct scrub *s)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	uint64_t words[2];

	if (backend_get(s->st->be, TABLE_META, slice_str("scrub"), &raw) ||
	    raw.len != sizeof(words))
		return;
	memcpy(words, raw.data, sizeof(words));
	s->next = le64toh(words[0]);
	s->begin_ns = (int64_t)le64toh(words[1]);
	/* A clock that was set back makes nobody wait for years. */
	if (s->begin_ns > store_wall_ns(s->st))
		s->begin_ns = 0;
}

static void place_save(struct scrub *s)
{
	const uint64_t words[] = {htole64(s->next), htole64((uint64_t)s->begin_ns)};
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_META, slice_str("scrub"), slice(words, sizeof(words)));
	/* Lost, it reads some of it twice. */
	(void)backend_commit(s->st->be, &b);
	s->saved_ns = store_wall_ns(s->st);
}

/* ---- time ---- */

/* False: it is over. */
static bool sleep_ns(struct scrub *s, int64_t ns)
{
	struct timespec until = monocond_after(ns);
	bool go_on;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while (!r && !s->stop)
		r = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	go_on = !s->stop;
	pthread_mutex_unlock(&s->lock);
	return go_on;
}

/* Sleep for what was read, in steps that are worth it. */
static bool pay(struct scrub *s)
{
	uint64_t rate, debt = s->debt;

	pthread_mutex_lock(&s->lock);
	rate = s->rate;
	pthread_mutex_unlock(&s->lock);
	if (debt < rate / 4)
		return true;
	s->debt = 0;
	/* Holes count as well, and may be larger than any disk. */
	if (debt / rate >= SLEEP_MAX_S)
		return sleep_ns(s, SLEEP_MAX_S * NSEC_PER_SEC);
	return sleep_ns(s, (int64_t)((double)debt / (double)rate * NSEC_PER_SEC));
}

static int bytes_read(void *arg, uint64_t bytes)
{
	struct scrub *s = arg;

	pthread_mutex_lock(&s->lock);
	s->done.bytes += bytes;
	pthread_mutex_unlock(&s->lock);
	s->debt += bytes;
	return pay(s) ? 0 : -ECANCELED;
}

/* ---- reading ---- */

static int scrub_inode(struct scrub *s, uint64_t ino)
{
	const struct check_pace pace = {bytes_read, s};
	const char *why = NULL;
	int r = check_content(s->st, ino, &pace, &why);

	if (r == -EUCLEAN)
		r = value_condemn(s->st, ino, why);
	pthread_mutex_lock(&s->lock);
	s->done.entries++;
	s->done.damaged += r == -EUCLEAN;
	pthread_mutex_unlock(&s->lock);
	s->debt += ROW_BYTES;
	if (r == -EUCLEAN)
		r = 0;
	return r || pay(s) ? r : -ECANCELED;
}

/*
 * The numbers of inodes from s->next on. An iterator keeps what is deleted meanwhile, so
 * none is open while they are read, which may take hours.
 */
static int next_inodes(const struct scrub *s, uint64_t inos[STEP_INODES], size_t *ret_n)
{
	struct key first = key_ino(s->next);
	struct backend_iter *it;
	size_t n = 0;
	int r = backend_iter_new(s->st->be, TABLE_INODE, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, key_slice(&first));
	     backend_iter_valid(it) && n < STEP_INODES; backend_iter_next(it))
		if (key_ino_decode(backend_iter_key(it), &inos[n]) == 0)
			n++;
	r = backend_iter_status(it);
	backend_iter_free(it);
	*ret_n = n;
	return r;
}

/*
 * One that cannot be read is passed over, so that those behind it are not forgotten; when
 * it is more than one, it is no matter of that one, and there is time.
 */
static int pass_over(struct scrub *s, uint64_t ino, int r)
{
	if (!r) {
		s->failed = 0;
		return 0;
	}
	log_warning("%s: scrub: inode %" PRIu64 " cannot be read: %s", s->st->path, ino,
		    strerror(-r));
	return ++s->failed > 1 ? r : 0;
}

/* *ret_more: there are inodes behind these. */
static int scrub_some(struct scrub *s, bool *ret_more)
{
	uint64_t inos[STEP_INODES];
	size_t n = 0;
	int r = next_inodes(s, inos, &n);

	for (size_t i = 0; !r && i < n; i++) {
		r = scrub_inode(s, inos[i]);
		if (r == -ECANCELED)
			break;
		s->next = inos[i] + 1;
		r = pass_over(s, inos[i], r);
	}
	*ret_more = n == STEP_INODES;
	return r;
}

static bool pass_is_over(struct scrub *s)
{
	int64_t left_ns;

	pthread_mutex_lock(&s->lock);
	s->done.passes++;
	pthread_mutex_unlock(&s->lock);
	s->next = 0;
	place_save(s);
	left_ns = s->begin_ns + PASS_NS - store_wall_ns(s->st);
	if (left_ns > 0 && !sleep_ns(s, left_ns))
		return false;
	s->begin_ns = store_wall_ns(s->st);
	return true;
}

/* The start of a process: a pass in its midst goes on, another waits for its time. */
static bool begin(struct scrub *s)
{
	int64_t now_ns = store_wall_ns(s->st);

	place_load(s);
	s->saved_ns = now_ns;
	if (!s->next && s->begin_ns && s->begin_ns + PASS_NS > now_ns &&
	    !sleep_ns(s, s->begin_ns + PASS_NS - now_ns))
		return false;
	if (!s->next || !s->begin_ns)
		s->begin_ns = store_wall_ns(s->st);
	return true;
}

static void *scrub_main(void *arg)
{
	struct scrub *s = arg;
	bool go_on = begin(s);

	while (go_on) {
		bool more = true;
		int r = scrub_some(s, &more);

		if (r == -ECANCELED)
			break;
		if (r) /* the log has it */
			go_on = sleep_ns(s, RETRY_NS);
		else if (!more)
			go_on = pass_is_over(s);
		if (store_wall_ns(s->st) - s->saved_ns > SAVE_NS)
			place_save(s);
	}
	place_save(s);
	return NULL;
}

/* ---- beginning and end ---- */

static int start(struct store *st, uint64_t rate)
{
	struct scrub *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->st = st;
	s->rate = rate;
	pthread_mutex_init(&s->lock, NULL);
	monocond_init(&s->wake);
	r = -pthread_create(&s->thread, NULL, scrub_main, s);
	if (r) {
		pthread_cond_destroy(&s->wake);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return r;
	}
	st->scrub = s;
	return 0;
}

void scrub_stop(struct store *st)
{
	struct scrub *s = st->scrub;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
	st->scrub = NULL;
}

int store_scrub_set(struct store *st, uint64_t bytes_per_s)
{
	if (!bytes_per_s) {
		scrub_stop(st);
		return 0;
	}
	if (!st->scrub)
		return start(st, bytes_per_s);
	pthread_mutex_lock(&st->scrub->lock);
	st->scrub->rate = bytes_per_s;
	pthread_mutex_unlock(&st->scrub->lock);
	return 0;
}

void store_scrub_get(struct store *st, struct store_scrub *ret_scrub)
{
	*ret_scrub = (struct store_scrub){0};
	if (!st->scrub)
		return;
	pthread_mutex_lock(&st->scrub->lock);
	*ret_scrub = st->scrub->done;
	pthread_mutex_unlock(&st->scrub->lock);
}
