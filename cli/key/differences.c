/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How two keys differ, told by parts. The words of the command count as those that
 * are between an equal beginning and an equal end, since one more word moves all
 * behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/key/key.h"
#include "cli/key/parts.h"
#include "cli/message.h"

/* Of a long value, so much is shown. */
#define SHOWN_MAX 60
/* Digits of a hash that tell it from another. */
#define DIGITS_SHOWN 8

struct differing {
	struct parts then, now; /* versions sorted by name, too */
	bool trees;		/* there are parts that stand for a directory */
	struct buf *lines;
	int count;
};

/* ---- values ------------------------------------------------------------------------ */

/* A hash is cut, and so is what is long; `file 0644 xxh128:0a1b2c3d…` */
static void put_value(struct buf *out, struct slice value)
{
	static const char mark[] = "xxh128:";
	const char *text = value.data;
	const char *hash =
	    value.len ? memmem(text, value.len, mark, sizeof(mark) - 1) : NULL;
	size_t len = value.len;

	if (hash && (size_t)(text + len - hash) > sizeof(mark) - 1 + DIGITS_SHOWN)
		len = (size_t)(hash - text) + sizeof(mark) - 1 + DIGITS_SHOWN;
	else if (len > SHOWN_MAX)
		len = SHOWN_MAX;
	/* Not within a character. */
	while (len && len < value.len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	if (!value.len)
		must(buf_append(out, "\"\"", 2));
	must(buf_append(out, text, len));
	if (len < value.len)
		must(buf_append(out, "…", strlen("…")));
}

static void put_or_unset(struct buf *out, const struct part *p)
{
	if (p->value.data)
		put_value(out, p->value);
	else
		must(buf_printf(out, "unset"));
}

static void put_part(struct buf *out, const struct part *p)
{
	must(buf_printf(out, "%s%s", part_kind_name(p->kind), p->name.len ? " " : ""));
	must(buf_append(out, p->name.data, p->name.len));
}

/* How much of two values of files need not be said: they are of one kind. */
static size_t common_mark(struct slice a, struct slice b)
{
	static const char mark[] = "xxh128:";
	const char *text = a.data;
	const char *at = a.len ? memmem(text, a.len, mark, sizeof(mark) - 1) : NULL;
	size_t len = at ? (size_t)(at - text) + sizeof(mark) - 1 : 0;

	return len && len < b.len && memcmp(text, b.data, len) == 0 ? len : 0;
}

static void put_hash(struct buf *out, struct slice value, size_t from)
{
	must(buf_append(out, (const char *)value.data + from, DIGITS_SHOWN));
	must(buf_printf(out, "…"));
}

static void put_hashes(struct buf *out, const struct part *then, const struct part *now,
		       size_t from)
{
	put_hash(out, then->value, from);
	must(buf_printf(out, " now "));
	put_hash(out, now->value, from);
}

static void put_values(struct buf *out, const struct part *then, const struct part *now)
{
	put_or_unset(out, then);
	must(buf_printf(out, " now "));
	put_or_unset(out, now);
}

static void put_changed(struct differing *d, const struct part *then,
			const struct part *now)
{
	size_t from = common_mark(then->value, now->value);

	put_part(d->lines, now);
	must(buf_printf(d->lines, " changed: "));
	if (from && then->value.len >= from + DIGITS_SHOWN &&
	    now->value.len >= from + DIGITS_SHOWN)
		put_hashes(d->lines, then, now, from);
	else
		put_values(d->lines, then, now);
	must(buf_append(d->lines, "\n", 1));
	d->count++;
}

static void put_new(struct differing *d, const struct part *now)
{
	put_part(d->lines, now);
	must(buf_printf(d->lines, " is new"));
	if (now->value.data) {
		must(buf_printf(d->lines, ": "));
		put_value(d->lines, now->value);
	}
	must(buf_append(d->lines, "\n", 1));
	d->count++;
}

static void put_gone(struct differing *d, const struct part *then)
{
	put_part(d->lines, then);
	must(buf_printf(d->lines, " is gone\n"));
	d->count++;
}

/* ---- parts that have names ------------------------------------------------------------
 */

static bool is_tree(const struct part *p)
{
	return p->kind == PART_INPUT && p->value.len > 5 &&
	       memcmp(p->value.data, "tree ", 5) == 0;
}

/*
 * A directory with many names is one part. When it had or has few, they are parts on
 * one side only, and that they came or went says nothing.
 */
static bool is_within_tree(const struct parts *other, const struct part *p)
{
	for (size_t i = 0; i < other->n; i++) {
		const struct part *o = &other->list[i];
		size_t len = o->name.len;

		if (is_tree(o) && p->name.len > len &&
		    memcmp(p->name.data, o->name.data, len) == 0 &&
		    ((const char *)p->name.data)[len] == '/')
			return true;
	}
	return false;
}

static bool has_tree(const struct parts *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		if (is_tree(&ps->list[i]))
			return true;
	}
	return false;
}

struct range {
	const struct part *at, *end;
};

static struct range range_of(const struct parts *ps, enum part_kind kind)
{
	size_t from = 0, to;

	while (from < ps->n && ps->list[from].kind != kind)
		from++;
	for (to = from; to < ps->n && ps->list[to].kind == kind;)
		to++;
	if (from == to) /* and there may be no list, to point into */
		return (struct range){NULL, NULL};
	return (struct range){&ps->list[from], &ps->list[to]};
}

/* Both are sorted by name. */
static void compare_named(struct differing *d, enum part_kind kind)
{
	struct range then = range_of(&d->then, kind), now = range_of(&d->now, kind);

	while (then.at < then.end || now.at < now.end) {
		int order = then.at == then.end ? 1
			    : now.at == now.end ? -1
						: part_compare(then.at, now.at);

		if (order == 0) {
			if (!part_same_value(then.at, now.at))
				put_changed(d, then.at, now.at);
			then.at++;
			now.at++;
		} else if (order < 0) {
			if (!d->trees || !is_within_tree(&d->now, then.at))
				put_gone(d, then.at);
			then.at++;
		} else {
			if (!d->trees || !is_within_tree(&d->then, now.at))
				put_new(d, now.at);
			now.at++;
		}
	}
}

/* ---- the command ---------------------------------------------------------------------
 */

static void put_words(struct buf *out, struct range words)
{
	if (words.at == words.end)
		must(buf_printf(out, "nothing"));
	for (const struct part *p = words.at; p < words.end; p++) {
		must(buf_append(out, " ", p > words.at));
		put_value(out, p->value);
	}
}

static void compare_command(struct differing *d)
{
	struct range then = range_of(&d->then, PART_COMMAND);
	struct range now = range_of(&d->now, PART_COMMAND);

	while (then.at < then.end && now.at < now.end &&
	       part_same_value(then.at, now.at)) {
		then.at++;
		now.at++;
	}
	while (then.at < then.end && now.at < now.end &&
	       part_same_value(then.end - 1, now.end - 1)) {
		then.end--;
		now.end--;
	}
	if (then.at == then.end && now.at == now.end)
		return;
	must(buf_printf(d->lines, "command changed: "));
	put_words(d->lines, then);
	must(buf_printf(d->lines, " now "));
	put_words(d->lines, now);
	must(buf_append(d->lines, "\n", 1));
	d->count += (int)(then.end - then.at > now.end - now.at ? then.end - then.at
								: now.end - now.at);
}

/* ---- both texts
 * --------------------------------------------------------------------------- */

static int compare_parts(const void *a, const void *b)
{
	return part_compare(a, b);
}

/* They are in the order they were given. */
static void sort_versions(struct parts *ps)
{
	struct range r = range_of(ps, PART_VERSION);

	if (r.at < r.end)
		qsort(ps->list + (r.at - ps->list), (size_t)(r.end - r.at), sizeof(*r.at),
		      compare_parts);
}

static void compare_all(struct differing *d)
{
	static const enum part_kind telling[] = {
	    PART_INPUT,	  PART_STDIN,  PART_PARAM, PART_ENV,  PART_VERSION,
	    PART_COMMAND, PART_OUTPUT, PART_SALT,  PART_NAME,
	};

	for (size_t i = 0; i < sizeof(telling) / sizeof(*telling); i++) {
		if (telling[i] == PART_COMMAND)
			compare_command(d);
		else
			compare_named(d, telling[i]);
	}
}

int key_differences(struct slice stored, struct slice now, struct buf *ret_lines)
{
	CLEANUP_BUF struct buf lines = BUF_INIT;
	struct differing d = {.lines = &lines};
	int r = parts_parse(stored, &d.then);

	if (!r)
		r = parts_parse(now, &d.now);
	if (!r) {
		sort_versions(&d.then);
		sort_versions(&d.now);
		d.trees = has_tree(&d.then) || has_tree(&d.now);
		compare_all(&d);
		if (!d.count && (stored.len != now.len ||
				 memcmp(stored.data, now.data, now.len) != 0)) {
			must(buf_printf(
			    &lines, "version changed: the order of --version-from\n"));
			d.count++;
		}
		must(buf_append(ret_lines, lines.data, lines.len));
		r = d.count;
	}
	parts_deinit(&d.then);
	parts_deinit(&d.now);
	return r;
}
