/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/once.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/session.h"
#include "store/util/log.h"

/* The record of an object KEEP_REQUEST; its id is the request's number. */
struct intent {
	int64_t begun_ns;
	uint64_t ino;
};

/* Its counter: 0, or how it went: 1 for success, 1 + errno. */
enum { COUNTER_RESULT };

/* What there was at the start. It is not changed while requests are handled: each
 * belongs to the one that is sent again. */
struct once_table {
	size_t count;
	struct former {
		uint64_t unique;
		struct kept *kept; /* NULL: swept */
		bool expected;
		struct intent intent;
	} formers[];
};

/* ---- what was kept ---- */

static struct former *former_find(struct once_table *t, uint64_t unique)
{
	for (size_t i = 0; t && i < t->count; i++)
		if (t->formers[i].kept && t->formers[i].unique == unique)
			return &t->formers[i];
	return NULL;
}

/* One that has none was not begun: nothing is known of it, as of one that did not come.
 */
static int add_former(void *arg, struct kept *o)
{
	struct once_table **t = arg, *larger;
	struct former f = {.unique = keep_id(o), .kept = o};
	struct slice record;

	if (keep_record(o, &record)) {
		keep_free(o);
		return 0;
	}
	if (record.len != sizeof(f.intent)) {
		keep_free(o);
		return -EUCLEAN;
	}
	memcpy(&f.intent, record.data, sizeof(f.intent));
	larger = realloc(*t, sizeof(**t) + ((*t)->count + 1) * sizeof(f));
	if (!larger)
		return -ENOMEM;
	larger->formers[larger->count++] = f;
	*t = larger;
	return 0;
}

int once_resume(struct keep *k, struct once_table **ret_table)
{
	struct once_table *t;
	int r;

	*ret_table = NULL;
	if (!k)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	r = keep_each(k, KEEP_REQUEST, add_former, &t);
	if (r)
		free(t);
	else
		*ret_table = t;
	return r;
}

void once_expect(struct once_table *t, uint64_t unique)
{
	struct former *f = former_find(t, unique);

	if (f)
		f->expected = true;
}

void once_sweep(struct once_table *t)
{
	for (size_t i = 0; t && i < t->count; i++) {
		if (t->formers[i].expected)
			continue;
		keep_free(t->formers[i].kept);
		t->formers[i].kept = NULL;
	}
}

void once_table_free(struct once_table *t)
{
	free(t);
}

/* ---- a request ---- */

struct once once_enter(struct fs *fs)
{
	struct once o = {.fs = fs};
	struct former *f =
	    session_resent() ? former_find(fs->once, session_unique()) : NULL;
	uint64_t result;

	if (!f)
		return o;
	o.kept = f->kept;
	o.begun_ns = f->intent.begun_ns;
	o.ino = f->intent.ino;
	result = atomic_load(keep_counter(o.kept, COUNTER_RESULT));
	o.state = result ? ONCE_DONE : ONCE_DOUBT;
	o.result = result ? -(int)(result - 1) : 0;
	log_debug("request %llu is sent again: it was %s", (unsigned long long)f->unique,
		  result ? "done" : "begun");
	return o;
}

void once_begin(struct once *o, uint64_t ino)
{
	struct intent intent = {.begun_ns = time_now_ns(), .ino = ino};
	struct slice record = slice(&intent, sizeof(intent));

	/* Begun before: that is when it may have happened. */
	if (o->kept || !o->fs->keep)
		return;
	if (keep_new(o->fs->keep, KEEP_REQUEST, session_unique(), &o->kept))
		o->kept = NULL;
	if (keep_append(o->kept, &record, 1)) {
		keep_free(o->kept);
		o->kept = NULL;
	}
}

void once_done(struct once *o, int r)
{
	_Atomic uint64_t *result = keep_counter(o->kept, COUNTER_RESULT);

	if (result)
		atomic_store_explicit(result, (uint64_t)(1 - r), memory_order_release);
}

void once_leave(struct once *o)
{
	keep_free(o->kept);
	o->kept = NULL;
}

int once_again(const struct once *o, int r, int already)
{
	return o->state == ONCE_DOUBT && r == already ? 0 : r;
}
