/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/template.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/key/key_options.h"
#include "cli/message.h"
#include "store/util/duration.h"
#include "store/util/suggest.h"
#include "store/util/text.h"

struct expansion {
	const char *template;
	const struct template_values *values;
	struct buf *out;
	struct errmsg *err;
};

/* `{word}`, `{word:rest}` or `{word[rest]}`; rest.data NULL: none. */
struct field {
	struct slice all, word, rest;
	bool bracket;
};

void template_encode(struct buf *out, const char *value)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '/' || c == '%' || c < 0x20 || c == 0x7f)
			must(buf_printf(out, "%%%02X", c));
		else
			must(buf_append(out, value, 1));
	}
}

static bool is_word(struct slice s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.data, word, s.len) == 0;
}

/* ---- points in time ------------------------------------------------------------- */

static const struct moment {
	const char *name, *format;
	int days; /* from today */
} moments[] = {
    {"date", "%Y-%m-%d", 0},
    {"now", "%Y-%m-%dT%H:%M:%S", 0},
    {"today", "%Y-%m-%d", 0},
    {"yesterday", "%Y-%m-%d", -1},
    {"tomorrow", "%Y-%m-%d", 1},
    {"today_nodash", "%Y%m%d", 0},
    {"yesterday_nodash", "%Y%m%d", -1},
    {"tomorrow_nodash", "%Y%m%d", 1},
};
#define N_MOMENTS (sizeof(moments) / sizeof(*moments))

/* Days are those of the calendar: across a change of the clocks, too. */
static void moment_time(const struct moment *m, int64_t now_ns, struct tm *ret_tm)
{
	time_t s = (time_t)(now_ns / NSEC_PER_SEC);

	tzset(); /* localtime_r() need not look at TZ */
	if (!localtime_r(&s, ret_tm))
		*ret_tm = (struct tm){.tm_mday = 1};
	if (m->days) {
		ret_tm->tm_mday += m->days;
		ret_tm->tm_isdst = -1;
		mktime(ret_tm);
	}
}

static int put_moment(struct expansion *e, const struct moment *m, const struct field *f)
{
	CLEANUP_FREE char *format =
	    f->rest.data ? strndup(f->rest.data, f->rest.len) : strdup(m->format);
	char text[PATH_MAX], quoted[TEXT_QUOTE_MAX];
	struct tm tm;

	must(format ? 0 : -ENOMEM);
	moment_time(m, e->values->now_ns, &tm);
	if (!*format || !strftime(text, sizeof(text), format, &tm))
		return err_set(
		    e->err, EINVAL,
		    "--key: the format of {%s} says nothing; use e.g. {%s:%%A} "
		    "(strftime)",
		    text_quote(quoted, f->all.data, f->all.len), m->name);
	must(buf_append(e->out, text, strlen(text)));
	return 0;
}

/* ---- values ----------------------------------------------------------------------- */

static void put_user(struct buf *out)
{
	const struct passwd *pw = getpwuid(geteuid());
	char number[24];

	snprintf(number, sizeof(number), "%u", geteuid());
	template_encode(out, pw ? pw->pw_name : number);
}

static void put_host(struct buf *out)
{
	char host[HOST_NAME_MAX + 1] = "";

	gethostname(host, sizeof(host) - 1);
	template_encode(out, *host ? host : "localhost");
}

static const char *param_value(const struct expansion *e, struct slice name)
{
	const struct cli_list *params = e->values->params;

	for (size_t i = 0; i < params->len; i++) {
		size_t len;
		const char *value = key_option_rest(params->item[i], &len);

		if (value && len == name.len &&
		    memcmp(params->item[i], name.data, len) == 0)
			return value;
	}
	return NULL;
}

static int put_param(struct expansion *e, struct slice name)
{
	const char *value = param_value(e, name);
	char quoted[TEXT_QUOTE_MAX];

	if (!value)
		return err_set(e->err, EINVAL,
			       "--key: there is no param %s; add --param NAME=VALUE",
			       text_quote(quoted, name.data, name.len));
	template_encode(e->out, value);
	return 0;
}

static int put_env(struct expansion *e, struct slice name)
{
	const struct cli_list *envs = e->values->envs;
	char quoted[TEXT_QUOTE_MAX];
	const char *value = NULL;
	size_t i = 0;

	while (i < envs->len && !is_word(name, envs->item[i]))
		i++;
	text_quote(quoted, name.data, name.len);
	if (i == envs->len)
		return err_set(e->err, EINVAL,
			       "--key: the variable %s is not declared; add --env",
			       quoted);
	value = getenv(envs->item[i]);
	if (!value)
		return err_set(e->err, EINVAL, "--key: the variable %s is not set",
			       quoted);
	template_encode(e->out, value);
	return 0;
}

static int put_version(struct expansion *e)
{
	if (!e->values->version)
		return err_set(e->err, EINVAL,
			       "--key: {version}: there is none; add --version or "
			       "--version-from");
	template_encode(e->out, e->values->version);
	return 0;
}

static const char *const plain_fields[] = {"name", "task_name", "version", "id",
					   "hash", "user",	"host",	   NULL};

/* The fields that take nothing behind them; one of plain_fields. */
static int put_plain(struct expansion *e, const char *field)
{
	const struct template_values *v = e->values;

	if (strcmp(field, "version") == 0)
		return put_version(e);
	if (strcmp(field, "user") == 0)
		put_user(e->out);
	else if (strcmp(field, "host") == 0)
		put_host(e->out);
	else if (strcmp(field, "id") == 0 || strcmp(field, "hash") == 0)
		template_encode(e->out, v->id);
	else
		template_encode(e->out, v->name);
	return 0;
}

/* ---- fields -------------------------------------------------------------------------
 */

static int complain_unknown(struct expansion *e, const struct field *f)
{
	struct suggest near = suggest_for(f->word.data, f->word.len);
	const struct cli_list *params = e->values->params;
	char *names[CLI_LIST_MAX] = {NULL};
	char quoted[TEXT_QUOTE_MAX];
	int r;

	for (size_t i = 0; i < N_MOMENTS; i++)
		suggest_offer(&near, moments[i].name);
	for (const char *const *p = plain_fields; *p; p++)
		suggest_offer(&near, *p);
	for (size_t i = 0; i < params->len; i++) {
		names[i] = strndup(params->item[i], strcspn(params->item[i], "="));
		must(names[i] ? 0 : -ENOMEM);
		suggest_offer(&near, names[i]);
	}
	text_quote(quoted, f->all.data, f->all.len);
	if (near.best)
		r = err_set(e->err, EINVAL,
			    "--key: %s is no field; did you mean {%s}? "
			    "(braces are written {{ and }})",
			    quoted, near.best);
	else
		r = err_set(
		    e->err, EINVAL,
		    "--key: %s is no field; fields are {date:%%F}, {today}, "
		    "{name}, {version}, {id}, {user}, {host}, {env:NAME}, and the "
		    "name of a --param",
		    quoted);
	for (size_t i = 0; i < params->len; i++)
		free_charp(&names[i]);
	return r;
}

static int refuse_format(struct expansion *e, const struct field *f)
{
	char quoted[TEXT_QUOTE_MAX];

	return err_set(e->err, EINVAL,
		       "--key: %s: only dates have a format; leave out what is behind "
		       "the colon",
		       text_quote(quoted, f->all.data, f->all.len));
}

static int put_field(struct expansion *e, const struct field *f)
{
	if (f->rest.data && !f->bracket && is_word(f->word, "param"))
		return put_param(e, f->rest);
	if (f->bracket && is_word(f->word, "parameters"))
		return put_param(e, f->rest);
	if (f->rest.data && !f->bracket && is_word(f->word, "env"))
		return put_env(e, f->rest);
	if (f->bracket)
		return complain_unknown(e, f);
	for (size_t i = 0; i < N_MOMENTS; i++) {
		if (!is_word(f->word, moments[i].name))
			continue;
		/* Who says --param date=… means that one. */
		if (!f->rest.data && param_value(e, f->word))
			return put_param(e, f->word);
		return put_moment(e, &moments[i], f);
	}
	for (const char *const *p = plain_fields; *p; p++) {
		if (is_word(f->word, *p))
			return f->rest.data ? refuse_format(e, f) : put_plain(e, *p);
	}
	if (!param_value(e, f->word))
		return complain_unknown(e, f);
	return f->rest.data ? refuse_format(e, f) : put_param(e, f->word);
}

static struct field field_split(const char *text, size_t len)
{
	struct field f = {.all = slice(text, len), .word = slice(text, len)};
	size_t n = 0;

	while (n < len && text[n] != ':' && text[n] != '[')
		n++;
	if (n == len)
		return f;
	f.bracket = text[n] == '[';
	f.word.len = n;
	f.rest = slice(text + n + 1, len - n - 1);
	if (!f.bracket)
		return f;
	if (text[len - 1] == ']' && f.rest.len)
		f.rest.len--;
	else
		f = (struct field){.all = f.all, .word = f.all};
	return f;
}

static int expand(struct expansion *e)
{
	const char *p = e->template;
	char quoted[TEXT_QUOTE_MAX];
	int r = 0;

	while (*p && !r) {
		size_t plain = strcspn(p, "{}");
		struct field f;

		must(buf_append(e->out, p, plain));
		p += plain;
		if (!*p)
			break;
		if (p[0] == p[1]) { /* {{ or }} */
			must(buf_append(e->out, p, 1));
			p += 2;
			continue;
		}
		f = field_split(p + 1, strcspn(p + 1, "{}"));
		if (*p == '}' || p[1 + f.all.len] != '}')
			return err_set(
			    e->err, EINVAL,
			    "--key: %s has a brace without another; braces "
			    "themselves are written {{ and }}",
			    text_quote(quoted, e->template, strlen(e->template)));
		r = put_field(e, &f);
		p += f.all.len + 2;
	}
	return r;
}

/* ---- the path
 * --------------------------------------------------------------------------- */

static const char *part_fault(const char *part, size_t len)
{
	static const char *const names[] = {".", "..", ".memofs"};

	if (!len)
		return "has an empty part";
	if (len > NAME_MAX)
		return "has a part of more than 255 bytes";
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (is_word(slice(part, len), names[i]))
			return "has a part that is `.`, `..` or `.memofs`";
	}
	return NULL;
}

static const char *path_fault(const struct buf *path)
{
	const char *at = (const char *)path->data, *end, *fault = NULL;

	if (!path->len)
		return "is empty";
	end = at + path->len;
	if (*at == '/')
		return "is absolute; results are kept below the cache";
	if (path->len >= PATH_MAX / 2)
		return "is longer than a path can be";
	if (memchr(at, '\0', path->len))
		return "holds a NUL";
	for (;; at++) {
		const char *slash = memchr(at, '/', (size_t)(end - at));

		fault = part_fault(at, (size_t)((slash ? slash : end) - at));
		if (fault || !slash)
			return fault;
		at = slash;
	}
}

int template_expand(const char *template, const struct template_values *values,
		    struct buf *ret_path, struct errmsg *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct expansion e = {
	    .template = template, .values = values, .out = &path, .err = err};
	char quoted[TEXT_QUOTE_MAX];
	const char *fault;
	int r = expand(&e);

	if (r)
		return r;
	fault = path_fault(&path);
	if (fault)
		return err_set(err, EINVAL, "--key: the path %s %s",
			       text_quote(quoted, (const char *)path.data, path.len),
			       fault);
	must(buf_append(ret_path, path.data, path.len));
	return 0;
}
