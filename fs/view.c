/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/util/htab.h"
#include "store/util/text.h"
#include "store/util/timestamp.h"

/* ---- the options ---- */

/* Longer than the longest value of any option. */
#define VALUE_MAX (STORE_VERSION_MAX + 1)

/* A decoded value; it holds no NUL. */
struct value {
	char text[VALUE_MAX + 1];
	size_t len;
};

static int set_version(struct view *v, const struct value *value)
{
	if (!store_version_valid(value->text, value->len))
		return -EINVAL;
	memcpy(v->version, value->text, value->len + 1);
	return 0;
}

static int set_max_age(struct view *v, const struct value *value)
{
	int r = duration_parse(value->text, value->len, &v->max_age_ns);

	if (!r && v->max_age_ns == DURATION_NONE) { /* restricts nothing */
		v->max_age_ns = 0;
		v->set &= ~VIEW_MAX_AGE;
	}
	return r;
}

static int set_since(struct view *v, const struct value *value)
{
	return timestamp_parse(value->text, value->len, &v->since_ns);
}

static int set_wait(struct view *v, const struct value *value)
{
	return duration_parse(value->text, value->len, &v->wait_ns);
}

static int set_owner(struct view *v, const struct value *value)
{
	if (!store_owner_valid(value->text, value->len))
		return -EINVAL;
	memcpy(v->owner, value->text, value->len + 1);
	return 0;
}

static const struct option {
	const char *name;
	enum view_option bit;
	bool bare;	/* may stand without a value */
	const char *is; /* what a value has to be; NULL: there is none */
	int (*set)(struct view *v, const struct value *value); /* -EINVAL, -ERANGE */
} options[] = {
    {"version", VIEW_VERSION, false,
     "a version: up to 255 bytes without a slash or control characters, or nothing for "
     "the unnamed one",
     set_version},
    {"max-age", VIEW_MAX_AGE, false, "a duration such as 90s, 1h30m, PT1H or none",
     set_max_age},
    {"since", VIEW_SINCE, false,
     "a time such as 2026-11-20, 2026-11-20T15:04:05Z or @1795532640", set_since},
    {"wait", VIEW_WAIT, true, "a duration such as 30s, 5m or none; or leave it out",
     set_wait},
    {"owner", VIEW_OWNER, false,
     "the ID of an owner: up to 200 bytes without blanks, and not free or held",
     set_owner},
    {"stale", VIEW_STALE, true, NULL, NULL},
    {"ro", VIEW_RO, true, NULL, NULL},
    {"pack", VIEW_PACK, true, NULL, NULL},
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

/* ---- parsing ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* -EINVAL: a `%` without two digits; a NUL; -ERANGE: too long for any option. */
static int decode(const char *text, size_t len, struct value *ret_value)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return -EINVAL;
		if (n == VALUE_MAX)
			return -ERANGE;
		ret_value->text[n++] = c;
	}
	ret_value->text[n] = '\0';
	ret_value->len = n;
	return 0;
}

/* One option as it is written: `name` or `name=value`. */
struct word {
	const char *name, *value; /* value: NULL when there is no `=` */
	size_t name_len, value_len;
};

static struct word split(const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	struct word w = {.name = text, .name_len = len};

	if (equals) {
		w.name_len = (size_t)(equals - text);
		w.value = equals + 1;
		w.value_len = len - w.name_len - 1;
	}
	return w;
}

static const struct option *option_find(const struct word *w)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (w->name_len == strlen(options[i].name) &&
		    memcmp(w->name, options[i].name, w->name_len) == 0)
			return &options[i];
	return NULL;
}

static int refuse_value(const struct option *o, const struct word *w, int why,
			struct errmsg *err)
{
	char shown[TEXT_QUOTE_MAX];

	text_quote(shown, w->value, w->value_len);
	if (why == -ERANGE)
		return err_set(err, EINVAL, "view option %s: %s is too large; give %s",
			       o->name, shown, o->is);
	return err_set(err, EINVAL, "view option %s: %s is not %s", o->name, shown,
		       o->is);
}

static int set_option(struct view *v, const struct option *o, const struct word *w,
		      struct errmsg *err)
{
	struct value value;
	int r;

	v->set |= o->bit;
	if (!w->value) {
		if (!o->bare)
			return err_set(err, EINVAL,
				       "view option %s has no value; write %s=, and %s",
				       o->name, o->name, o->is);
		if (o->bit == VIEW_WAIT)
			v->wait_ns = DURATION_UNSET;
		return 0;
	}
	if (!o->is)
		return err_set(err, EINVAL, "view option %s takes no value; write %s",
			       o->name, o->name);
	r = decode(w->value, w->value_len, &value);
	if (!r)
		r = o->set(v, &value);
	return r ? refuse_value(o, w, r, err) : 0;
}

static int refuse_name(const struct word *w, struct errmsg *err)
{
	char shown[TEXT_QUOTE_MAX];

	if (!w->name_len && !w->value)
		return err_set(err, EINVAL,
			       "a view has an empty option; write one or more of "
			       "version=, max-age=, since=, wait, owner=, stale, ro, "
			       "pack, with a comma between two (%%2C is one in a value)");
	return err_set(err, EINVAL,
		       "view option %s is not known; there are version=, max-age=, "
		       "since=, wait, owner=, stale, ro and pack (%%2C is a comma in a "
		       "value)",
		       text_quote(shown, w->name, w->name_len));
}

int view_parse(const char *text, struct view *ret_view, struct errmsg *err)
{
	struct view v = {0};
	unsigned int seen = 0;

	for (;;) {
		size_t len = strcspn(text, ",");
		struct word w = split(text, len);
		const struct option *o = option_find(&w);
		int r;

		if (!o)
			return refuse_name(&w, err);
		if (seen & o->bit)
			return err_set(err, EINVAL,
				       "view option %s is given twice; leave one out",
				       o->name);
		seen |= o->bit;
		r = set_option(&v, o, &w, err);
		if (r)
			return r;
		if (!text[len])
			break;
		text += len + 1;
	}
	*ret_view = v;
	return 0;
}

/* ---- a view in a view ---- */

static bool limits_age(const struct view *v)
{
	return v->set & (VIEW_MAX_AGE | VIEW_SINCE);
}

static bool combined_stale(const struct view *base, const struct view *add)
{
	if (add->set & VIEW_STALE)
		return (base->set & VIEW_STALE) || !limits_age(base);
	return (base->set & VIEW_STALE) && !limits_age(add);
}

static void combine_limits(struct view *v, const struct view *add)
{
	if ((add->set & VIEW_MAX_AGE) &&
	    (!(v->set & VIEW_MAX_AGE) || add->max_age_ns < v->max_age_ns))
		v->max_age_ns = add->max_age_ns;
	if ((add->set & VIEW_SINCE) &&
	    (!(v->set & VIEW_SINCE) || add->since_ns > v->since_ns))
		v->since_ns = add->since_ns;
	v->set |= add->set & (VIEW_MAX_AGE | VIEW_SINCE | VIEW_RO | VIEW_PACK);
}

static void combine_replaced(struct view *v, const struct view *add)
{
	if (add->set & VIEW_VERSION)
		memcpy(v->version, add->version, sizeof(v->version));
	if (add->set & VIEW_OWNER)
		memcpy(v->owner, add->owner, sizeof(v->owner));
	if (add->set & VIEW_WAIT)
		v->wait_ns = add->wait_ns;
	v->set |= add->set & (VIEW_VERSION | VIEW_OWNER | VIEW_WAIT);
}

struct view view_combine(const struct view *base, const struct view *add)
{
	struct view v = *base;

	combine_limits(&v, add);
	combine_replaced(&v, add);
	v.set &= ~VIEW_STALE;
	if (combined_stale(base, add))
		v.set |= VIEW_STALE;
	return v;
}

struct view view_below(const struct view *v)
{
	struct view below = *v;

	below.set &= ~VIEW_VERSION;
	memset(below.version, 0, sizeof(below.version));
	return below;
}

/* ---- what it means ---- */

bool view_restricts(const struct view *v)
{
	return v->set & (VIEW_MAX_AGE | VIEW_SINCE | VIEW_OWNER | VIEW_STALE | VIEW_RO |
			 VIEW_PACK);
}

struct view view_of_entry(const struct view *v)
{
	struct view entry = {0};

	if (!view_restricts(v))
		return entry;
	entry = view_below(v);
	entry.set &= ~VIEW_WAIT;
	entry.wait_ns = 0;
	return entry;
}

/* When the entry is too old for the view; DURATION_NONE: never. */
static int64_t limit_ns(const struct view *v, const struct store_attr *attr)
{
	int64_t limit;

	if ((v->set & VIEW_SINCE) && attr->created_ns < v->since_ns)
		return INT64_MIN; /* it never was a hit */
	if (!(v->set & VIEW_MAX_AGE))
		return DURATION_NONE;
	if (!v->max_age_ns) /* also what was published by a clock that was ahead */
		return INT64_MIN;
	return __builtin_add_overflow(attr->created_ns, v->max_age_ns, &limit)
		   ? DURATION_NONE
		   : limit;
}

bool view_admits(const struct view *v, const struct store_attr *attr, int64_t now_ns,
		 int64_t *ret_until_ns)
{
	int64_t until_ns = attr->expires_ns, limit;

	if (!S_ISDIR(attr->mode) || attr->sealed) {
		limit = limit_ns(v, attr);
		if (limit == INT64_MIN)
			limit = attr->created_ns < now_ns ? attr->created_ns : now_ns;
		if (limit < until_ns)
			until_ns = limit;
	}
	if (ret_until_ns)
		*ret_until_ns = until_ns;
	return until_ns > now_ns;
}

bool view_equal(const struct view *a, const struct view *b)
{
	return a->set == b->set && a->max_age_ns == b->max_age_ns &&
	       a->since_ns == b->since_ns && a->wait_ns == b->wait_ns &&
	       strcmp(a->version, b->version) == 0 && strcmp(a->owner, b->owner) == 0;
}

uint64_t view_hash(const struct view *v)
{
	int64_t numbers[] = {v->set, v->max_age_ns, v->since_ns, v->wait_ns};
	uint64_t hash = hash_bytes(numbers, sizeof(numbers), 0);

	hash = hash_bytes(v->version, strlen(v->version), hash);
	return hash_bytes(v->owner, strlen(v->owner), hash);
}
