/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of who writes what, and how a successor takes it up. The value itself,
 * its bytes and attributes, is the store's to keep.
 *
 * One record, written anew with each change of what it says; how many have it open to
 * write follows from the descriptors. A value that lingered when its process died is
 * decided by what is to be seen of its producers then. One that was opened, but whose
 * opener got no descriptor, waits for him to ask again, like one that was never opened.
 */
#include "fs/pending_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/log.h"

/* Counters. */
enum {
	COUNT_OVER,  /* it is out of the table: published, dropped, … */
	COUNT_TOKEN, /* its owner's; or that it has the lease of its name: 1 */
};

enum record_flags {
	RECORD_SEALED = 1 << 0,
	RECORD_DETACHED = 1 << 1,
	RECORD_LINGERS = 1 << 2,
	RECORD_OWNED = 1 << 3,
	RECORD_TRUNCATE = 1 << 4,
};

struct record_producer {
	int32_t pid; /* 0: none */
	uint32_t none;
	uint64_t identity;
};

/* Followed by the name, the owner, and the two texts. */
struct record {
	uint64_t branch, base_ino, closed;
	int64_t since_ns;
	int32_t tid, tgid;
	uint32_t uid, flags;
	char comm[PROCESS_COMM_MAX];
	int32_t wrote[PRODUCERS_MAX];
	struct record_producer alive[PRODUCERS_MAX], closer;
	uint32_t wrote_count, alive_count;
	uint32_t name_len, owner_len, failed_len, closer_failed_len;
};

/* ---- keeping ---- */

static struct record_producer record_producer(const struct producer *pr)
{
	if (!pr)
		return (struct record_producer){0};
	return (struct record_producer){.pid = producer_pid(pr),
					.identity = producer_identity(pr)};
}

static void fill_production(const struct production *made, struct record *rec)
{
	rec->wrote_count = made->wrote_count;
	for (unsigned int i = 0; i < made->wrote_count; i++)
		rec->wrote[i] = made->wrote[i];
	rec->alive_count = made->alive_count;
	for (unsigned int i = 0; i < made->alive_count; i++)
		rec->alive[i] = record_producer(made->alive[i]);
	rec->closer = record_producer(made->closer);
	rec->failed_len = (uint32_t)strlen(made->failed);
	rec->closer_failed_len = (uint32_t)strlen(made->closer_failed);
}

static int put_record(struct pending *p)
{
	const char *owner = p->hold.owner ? p->hold.owner : "";
	struct record rec = {
	    .branch = p->branch,
	    .base_ino = p->base_ino,
	    .closed = p->closed,
	    .since_ns = p->since_ns,
	    .tid = p->tid,
	    .tgid = p->tgid,
	    .uid = p->uid,
	    .flags =
		(p->sealed ? RECORD_SEALED : 0) | (p->detached ? RECORD_DETACHED : 0) |
		(p->lingers ? RECORD_LINGERS : 0) | (p->hold.owner ? RECORD_OWNED : 0) |
		(p->truncate ? RECORD_TRUNCATE : 0),
	    .name_len = (uint32_t)strlen(p->name),
	    .owner_len = (uint32_t)strlen(owner),
	};
	struct slice pieces[] = {slice(&rec, sizeof(rec)), slice(p->name, rec.name_len),
				 slice(owner, rec.owner_len), slice(NULL, 0),
				 slice(NULL, 0)};

	if (!p->kept)
		return 0;
	memcpy(rec.comm, p->comm, sizeof(rec.comm));
	fill_production(&p->made, &rec);
	pieces[3] = slice(p->made.failed, rec.failed_len);
	pieces[4] = slice(p->made.closer_failed, rec.closer_failed_len);
	return keep_replace(p->kept, pieces, 5);
}

void pending_keep(struct pending *p)
{
	int r = put_record(p);

	if (r)
		log_warning("\"%s\", which is being written, cannot be kept as it is "
			    "for the case that the daemon dies: %s",
			    p->name, strerror(-r));
}

int pending_keep_begin(struct pending *p)
{
	int r = keep_new(store_keep(p->table->store), KEEP_PENDING, p->ino, &p->kept);

	if (!r && p->kept)
		pending_keep_token(p);
	return r ? r : put_record(p);
}

static void set_counter(struct pending *p, unsigned int which, uint64_t value)
{
	_Atomic uint64_t *counter = keep_counter(p->kept, which);

	if (counter)
		atomic_store(counter, value);
}

void pending_keep_over(struct pending *p)
{
	set_counter(p, COUNT_OVER, 1);
}

void pending_keep_token(struct pending *p)
{
	const struct hold *h = &p->hold;

	set_counter(p, COUNT_TOKEN,
		    h->kind == HOLD_OWNER ? h->token : h->kind == HOLD_FREE);
}

/* ---- taking it up ---- */

struct reader {
	struct record rec;
	const char *texts;
	size_t left;
	bool bad;
};

/* -ENOENT: it had not begun. */
static int read_record(struct kept *kept, struct reader *rd)
{
	struct slice raw;

	if (keep_record(kept, &raw))
		return -ENOENT;
	if (raw.len < sizeof(rd->rec))
		return -EUCLEAN;
	memcpy(&rd->rec, raw.data, sizeof(rd->rec));
	rd->texts = (const char *)raw.data + sizeof(rd->rec);
	rd->left = raw.len - sizeof(rd->rec);
	return 0;
}

/* Into `ret_text`, with a NUL. */
static void take_text(struct reader *rd, size_t len, char *ret_text, size_t size)
{
	if (len > rd->left || len >= size) {
		rd->bad = true;
		return;
	}
	memcpy(ret_text, rd->texts, len);
	ret_text[len] = '\0';
	rd->texts += len;
	rd->left -= len;
}

/* One that has gone meanwhile is not known any more, like one that is not visible. */
static struct producer *find_producer(struct pending_table *t,
				      const struct record_producer *rec)
{
	struct producer *pr;

	if (!rec->pid || producer_resume(t->producers, rec->pid, rec->identity, &pr))
		return NULL;
	return pr;
}

static void resume_production(struct pending *p, const struct record *rec)
{
	struct production *made = &p->made;

	made->wrote_count = rec->wrote_count;
	for (unsigned int i = 0; i < rec->wrote_count; i++)
		made->wrote[i] = rec->wrote[i];
	for (unsigned int i = 0; i < rec->alive_count; i++) {
		made->alive[made->alive_count] = find_producer(p->table, &rec->alive[i]);
		made->alive_count += made->alive[made->alive_count] != NULL;
	}
	made->closer = find_producer(p->table, &rec->closer);
}

/* Its lease: a named one has a row, another is taken again, before anybody asks. */
static int resume_hold(struct pending *p, const char *owner, bool owned)
{
	struct hold *h = &p->hold;
	uint64_t token = atomic_load(keep_counter(p->kept, COUNT_TOKEN));

	h->branch = p->branch;
	strcpy(h->name, p->name);
	h->over = !p->listed || p->detached;
	if (owned) {
		h->kind = HOLD_OWNER;
		h->token = token;
		h->owner = strdup(owner);
		return h->owner ? 0 : -ENOMEM;
	}
	if (token && !h->over)
		hold_again(p);
	return 0;
}

static bool counts_are_good(const struct record *rec)
{
	return rec->wrote_count <= PRODUCERS_MAX && rec->alive_count <= PRODUCERS_MAX;
}

/* All but what needs the others. */
static int resume_record(struct pending *p, struct reader *rd)
{
	const struct record *rec = &rd->rec;
	char owner[STORE_OWNER_MAX + 1] = "";

	take_text(rd, rec->name_len, p->name, sizeof(p->name));
	take_text(rd, rec->owner_len, owner, sizeof(owner));
	take_text(rd, rec->failed_len, p->made.failed, sizeof(p->made.failed));
	take_text(rd, rec->closer_failed_len, p->made.closer_failed,
		  sizeof(p->made.closer_failed));
	if (rd->bad || !counts_are_good(rec))
		return -EUCLEAN;
	p->branch = rec->branch;
	p->base_ino = rec->base_ino;
	p->closed = rec->closed;
	p->since_ns = rec->since_ns;
	p->tid = rec->tid;
	p->tgid = rec->tgid;
	p->uid = rec->uid;
	p->sealed = rec->flags & RECORD_SEALED;
	p->truncate = rec->flags & RECORD_TRUNCATE;
	p->detached = rec->flags & RECORD_DETACHED;
	p->lingered = rec->flags & RECORD_LINGERS;
	p->written = true; /* for all that is known */
	p->resumed = true;
	memcpy(p->comm, rec->comm, sizeof(p->comm) - 1);
	resume_production(p, rec);
	p->listed = !atomic_load(keep_counter(p->kept, COUNT_OVER));
	return resume_hold(p, owner, rec->flags & RECORD_OWNED);
}

/* What was published just before the end is as good as out of the table. */
static bool is_published(struct pending *p)
{
	double cost_s;

	return store_staged_published(p->sg, &cost_s);
}

/*
 * Takes over what is kept. Nobody else is here yet, and it is listed when all are there.
 * -ENOENT: it had not begun, or was gone; -EUCLEAN.
 */
static int resume_one(struct pending_table *t, struct kept *kept, struct pending **ret_p)
{
	struct reader rd = {0};
	struct pending *p = pending_shell(t);
	int r;

	if (!p)
		return -ENOMEM;
	p->kept = kept;
	p->ino = keep_id(kept);
	r = read_record(kept, &rd);
	if (!r)
		r = store_staged_resume(t->store, p->ino, &p->sg);
	if (!r)
		r = resume_record(p, &rd);
	if (r) {
		pending_unref(p);
		return r;
	}
	t->resumed_any = true;
	p->published = is_published(p);
	*ret_p = p;
	return 0;
}

static int collect(void *arg, struct kept *o)
{
	return buf_append(arg, &o, sizeof(o));
}

static int by_ino(const void *a, const void *b)
{
	const struct pending *x = *(struct pending *const *)a;
	const struct pending *y = *(struct pending *const *)b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* As they were closed; by their numbers where both were not. */
static int by_close(const void *a, const void *b)
{
	const struct pending *x = *(struct pending *const *)a;
	const struct pending *y = *(struct pending *const *)b;

	if (x->closed != y->closed)
		return x->closed < y->closed ? -1 : 1;
	return by_ino(a, b);
}

static void sort(struct pending_table *t, int (*order)(const void *, const void *))
{
	if (t->resumed_count)
		qsort(t->resumed, t->resumed_count, sizeof(*t->resumed), order);
}

static int resume_all(struct pending_table *t, const struct buf *objects)
{
	size_t n = objects->len / sizeof(struct kept *);
	int r = 0;

	t->resumed = calloc(n + 1, sizeof(*t->resumed));
	if (!t->resumed)
		return -ENOMEM;
	for (size_t i = 0; !r && i < n; i++) {
		struct pending *p = NULL;
		struct kept *kept;

		memcpy(&kept, objects->data + i * sizeof(kept), sizeof(kept));
		r = resume_one(t, kept, &p);
		if (!r)
			t->resumed[t->resumed_count++] = p;
		if (r == -EUCLEAN)
			log_error("a value that was being written is lost: what was "
				  "kept of who writes it cannot be read");
		if (r == -ENOENT || r == -EUCLEAN)
			r = 0;
	}
	return r;
}

/* In the order in which they were closed, which their new numbers have to keep. */
static int list_all(struct pending_table *t)
{
	int r = 0;

	sort(t, by_close);
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; !r && i < t->resumed_count; i++) {
		struct pending *p = t->resumed[i];

		if (p->published)
			p->listed = false;
		if (p->listed)
			r = pending_resume_list(p);
		if (t->closes < p->closed)
			t->closes = p->closed;
	}
	pthread_mutex_unlock(&t->lock);
	sort(t, by_ino);
	return r;
}

int pending_resume(struct pending_table *t)
{
	CLEANUP_BUF struct buf objects = BUF_INIT;
	int r = keep_each(store_keep(t->store), KEEP_PENDING, collect, &objects);

	if (!r && objects.len)
		r = resume_all(t, &objects);
	return r ? r : list_all(t);
}

struct pending *pending_resumed(struct pending_table *t, uint64_t ino)
{
	size_t low = 0, high = t->resumed_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct pending *p = t->resumed[middle];

		if (p->ino == ino)
			return pending_ref(p);
		if (p->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void pending_resume_writer(struct pending *p)
{
	pthread_mutex_lock(&p->table->lock);
	p->claim_before_ns = 0;
	p->writers++;
	pthread_mutex_unlock(&p->table->lock);
}

/* ---- what became of them ---- */

/* It lingered, and nobody has it open: true. */
static bool close_again(struct pending *p)
{
	bool closes;

	pthread_mutex_lock(&p->table->lock);
	closes = p->listed && p->lingered && !p->writers;
	p->closing = closes;
	if (closes)
		atomic_fetch_add(&p->table->busy, 1);
	pthread_mutex_unlock(&p->table->lock);
	return closes;
}

static void end_one(struct pending *p)
{
	if (p->published) {
		(void)hold_fence(p); /* lost or not: it is the name's now */
		hold_end(p, true);
	}
	if (!close_again(p))
		return;
	if (hold_fence_again(p))
		pending_refuse(p, "its reservation was lost");
	else
		pending_decide(p, false);
}

void pending_resume_end(struct pending_table *t)
{
	sort(t, by_close);
	for (size_t i = 0; i < t->resumed_count; i++)
		end_one(t->resumed[i]);
	for (size_t i = 0; i < t->resumed_count; i++)
		pending_unref(t->resumed[i]);
	free(t->resumed);
	t->resumed = NULL;
	t->resumed_count = 0;
}
