/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the YAML, event by event, straight into the configuration.
 *
 * Nothing is built in memory first: the first event that does not fit ends the
 * reading, so depth, aliases and the like cost nothing however large they are.
 * Each function is called with its first event in `r->event` and leaves its
 * last one there.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yaml.h>

#include "fs/config_keys.h"
#include "store/store.h"
#include "store/util/buf.h"
#include "store/util/text.h"

/* The sections that were there: bits of `found`. */
enum root_key { ROOT_MOUNT = 1 << 0, ROOT_STORE = 1 << 1, ROOT_NAMESPACES = 1 << 2 };

struct reader {
	const char *file; /* for messages */
	const char *text;
	size_t len;
	struct errmsg *err;
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	struct config config;
	void *names;	/* of the namespaces so far: a tree of tsearch(3) */
	uint32_t found; /* enum root_key */
};

/* Fail at a place in the file. */
#define FAIL(r, mark, fmt, ...)                                                          \
	err_set((r)->err, EINVAL, "%s:%zu:%zu: " fmt, (r)->file, (mark).line + 1,        \
		(mark).column + 1, ##__VA_ARGS__)

/* ---- events --------------------------------------------------------------------- */

/* Where the byte at `offset` is, for errors that come before characters do. */
static yaml_mark_t mark_of_offset(const struct reader *r, size_t offset)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < offset && i < r->len; i++) {
		if (r->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if ((r->text[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

/* The character at a mark of the parser, in UTF-8; NUL at the end. */
static char char_at(const struct reader *r, yaml_mark_t mark)
{
	const char *p = r->text, *end = r->text + r->len;

	while (p < end && mark.line)
		mark.line -= *p++ == '\n';
	for (; p < end && mark.column; mark.column--)
		do
			p++;
		while (p < end && (*p & 0xc0) == 0x80);
	return p < end ? *p : '\0';
}

static int syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t mark = p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR)
		return err_set(r->err, ENOMEM, "%s: out of memory", r->file);
	if (p->error == YAML_READER_ERROR)
		mark = mark_of_offset(r, p->problem_offset);
	else if (char_at(r, mark) == '\t')
		return FAIL(r, mark, "a tab cannot stand here; YAML indents with blanks");
	return FAIL(r, mark, "not YAML: %s", p->problem);
}

/* Anchors and tags could only hide what a value is; the schema needs none. */
static int check_plain(struct reader *r)
{
	const yaml_event_t *e = &r->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return FAIL(r, e->start_mark, "aliases (*%s) are not supported",
			    (const char *)e->data.alias.anchor);
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		return FAIL(r, e->start_mark, "anchors (&%s) are not supported",
			    (const char *)anchor);
	if (tag)
		return FAIL(r, e->start_mark, "tags (%s) are not supported",
			    QUOTE((const char *)tag));
	return 0;
}

/* Replace the current event by the next. */
static int next_event(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return syntax_error(r);
	return check_plain(r);
}

/* `key:` with nothing behind it, `~` or `null`. */
static bool is_null(const yaml_event_t *e)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	if (e->type != YAML_SCALAR_EVENT ||
	    e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp((const char *)e->data.scalar.value, words[i]) == 0)
			return true;
	return false;
}

static const char *kind(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_MAPPING_START_EVENT:
		return "a mapping";
	case YAML_SEQUENCE_START_EVENT:
		return "a list";
	default:
		return "a single value";
	}
}

/* ---- mappings -----------------------------------------------------------------------
 */

/* A key of a mapping: text without a NUL. */
struct key {
	const char *text;
	size_t len;
	yaml_mark_t mark;
};

/* Called with the value's first event current. */
typedef int read_value_fn(struct reader *r, const struct key *key, void *arg);

static int read_pair(struct reader *r, const char *where, read_value_fn *read, void *arg)
{
	yaml_event_t event = r->event;
	struct key key = {.mark = event.start_mark};
	int ret;

	if (event.type != YAML_SCALAR_EVENT)
		return FAIL(r, event.start_mark,
			    "a key of %s must be text, but this is %s", where,
			    kind(&event));
	key.text = (const char *)event.data.scalar.value;
	key.len = event.data.scalar.length;
	if (memchr(key.text, '\0', key.len))
		return FAIL(r, key.mark, "the key %s has a NUL character",
			    QUOTE_BYTES(key.text, key.len));
	/* The key outlives its event. */
	r->event = (yaml_event_t){0};
	ret = next_event(r);
	if (ret == 0)
		ret = read(r, &key, arg);
	yaml_event_delete(&event);
	return ret;
}

/* Nothing at all is an empty mapping, as where every line of it is a comment. */
static int read_mapping(struct reader *r, const char *where, read_value_fn *read,
			void *arg)
{
	int ret;

	if (is_null(&r->event))
		return 0;
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return FAIL(r, r->event.start_mark,
			    "%s must be a mapping (key: value), but this is %s", where,
			    kind(&r->event));
	for (;;) {
		ret = next_event(r);
		if (ret || r->event.type == YAML_MAPPING_END_EVENT)
			return ret;
		ret = read_pair(r, where, read, arg);
		if (ret)
			return ret;
	}
}

/* ---- sections
 * -------------------------------------------------------------------------- */

/* A section's struct, and how the file calls it. */
struct target {
	const struct config_section *section;
	const char *where;
	void *object;
};

/* The file itself, as a section whose keys are read below and not by the table. */
static const struct config_key root_keys[] = {{"mount", ROOT_MOUNT},
					      {"store", ROOT_STORE},
					      {"namespaces", ROOT_NAMESPACES},
					      {NULL}};
static const struct config_section root_section = {.name = "the file", .keys = root_keys};

static const struct config_section *const sections[] = {
    &root_section, &config_mount_section, &config_store_section,
    &config_namespace_section};

static int unknown_key(struct reader *r, const struct key *key,
		       const struct target *target)
{
	CLEANUP_BUF struct buf names = BUF_INIT;
	struct suggest s = suggest_for(key->text, key->len);
	const char *quoted = QUOTE_BYTES(key->text, key->len);

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (config_key_find(sections[i], key->text))
			return FAIL(r, key->mark,
				    "unknown key %s in %s; it belongs in %s", quoted,
				    target->where, sections[i]->name);
	config_key_suggest(target->section, &s);
	if (s.best)
		return FAIL(r, key->mark, "unknown key %s in %s; did you mean \"%s\"?",
			    quoted, target->where, s.best);
	for (const struct config_key *k = target->section->keys; k->name; k++)
		buf_printf(&names, "%s%s", names.len ? ", " : "", k->name);
	return FAIL(r, key->mark, "unknown key %s in %s; its keys are %.*s", quoted,
		    target->where, (int)names.len, (const char *)names.data);
}

/* The key of that name, if it was not there before. NULL: refused, *ret_r says why. */
static const struct config_key *take_key(struct reader *r, const struct key *name,
					 const struct target *target, int *ret_r)
{
	const struct config_key *key = config_key_find(target->section, name->text);

	if (!key) {
		*ret_r = unknown_key(r, name, target);
	} else if (config_key_is_set(target->section, key, target->object)) {
		*ret_r = FAIL(r, name->mark, "%s is given twice in %s", key->name,
			      target->where);
		key = NULL;
	}
	return key;
}

static int read_option(struct reader *r, const struct key *name, void *arg)
{
	const struct target *target = arg;
	const yaml_event_t *e = &r->event;
	struct errmsg why;
	int ret;
	const struct config_key *key = take_key(r, name, target, &ret);

	if (!key)
		return ret;
	if (e->type != YAML_SCALAR_EVENT)
		return FAIL(r, e->start_mark, "%s must be a single value, but this is %s",
			    key->name, kind(e));
	if (is_null(e))
		return FAIL(r, e->start_mark, "%s: there is no value", key->name);
	if (memchr(e->data.scalar.value, '\0', e->data.scalar.length))
		return FAIL(r, e->start_mark, "%s: %s has a NUL character", key->name,
			    QUOTE_BYTES((const char *)e->data.scalar.value,
					e->data.scalar.length));
	ret = config_key_set(target->section, key, target->object,
			     (const char *)e->data.scalar.value, &why);
	if (ret == -EINVAL)
		return FAIL(r, e->start_mark, "%s", why.text);
	return ret ? err_set(r->err, -ret, "%s: %s", r->file, why.text) : 0;
}

/* ---- namespaces
 * ------------------------------------------------------------------------- */

static int check_name(struct reader *r, const struct key *name)
{
	if (name->len == 0)
		return FAIL(r, name->mark, "a namespace needs a name");
	if (name->len > STORE_NAME_MAX)
		return FAIL(r, name->mark,
			    "the name %s is %zu bytes long; at most %d are possible",
			    QUOTE_BYTES(name->text, name->len), name->len,
			    STORE_NAME_MAX);
	if (strcmp(name->text, ".memofs") == 0)
		return FAIL(r, name->mark,
			    "a namespace cannot be called \".memofs\": memofs itself "
			    "answers there");
	if (strcmp(name->text, ".") == 0 || strcmp(name->text, "..") == 0 ||
	    strchr(name->text, '/'))
		return FAIL(r, name->mark, "%s cannot be the name of a directory",
			    QUOTE_BYTES(name->text, name->len));
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The names are the namespaces' own. */
static void keep_name(void *name)
{
}

/* Append it, and take over what it owns. */
static int add_namespace(struct reader *r, struct config_namespace *ns)
{
	struct config *c = &r->config;
	size_t n = c->namespace_count;

	/* Powers of two: full when the count is one. */
	if ((n & (n - 1)) == 0) {
		struct config_namespace *more =
		    reallocarray(c->namespaces, n ? 2 * n : 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		c->namespaces = more;
	}
	if (!tsearch(ns->name, &r->names, compare_names))
		return -ENOMEM;
	c->namespaces[c->namespace_count++] = *ns;
	*ns = (struct config_namespace){0};
	return 0;
}

static int read_namespace(struct reader *r, const struct key *name, void *arg)
{
	__attribute__((cleanup(config_namespace_deinit))) struct config_namespace ns = {
	    0};
	struct target target = {.section = &config_namespace_section, .object = &ns};
	char where[sizeof("namespace ") + TEXT_QUOTE_MAX];
	int ret = check_name(r, name);

	if (ret)
		return ret;
	snprintf(where, sizeof(where), "namespace %s",
		 QUOTE_BYTES(name->text, name->len));
	target.where = where;
	if (tfind(name->text, &r->names, compare_names))
		return FAIL(r, name->mark, "%s is given twice", where);
	ret = read_mapping(r, where, read_option, &target);
	if (ret)
		return ret;
	ns.name = strdup(name->text);
	if (!ns.name || add_namespace(r, &ns))
		return err_set(r->err, ENOMEM, "%s: out of memory", r->file);
	return 0;
}

/* ---- the file
 * --------------------------------------------------------------------------- */

static int read_section(struct reader *r, const struct key *name, void *arg)
{
	struct config *c = &r->config;
	struct target mount = {&config_mount_section, "mount", &c->mount};
	struct target store = {&config_store_section, "store", &c->store};
	struct target root = {&root_section, root_section.name, &r->found};
	int ret;
	const struct config_key *key = take_key(r, name, &root, &ret);

	if (!key)
		return ret;
	r->found |= key->bit;
	switch ((enum root_key)key->bit) {
	case ROOT_MOUNT:
		return read_mapping(r, "mount", read_option, &mount);
	case ROOT_STORE:
		return read_mapping(r, "store", read_option, &store);
	case ROOT_NAMESPACES:
		return read_mapping(r, "namespaces", read_namespace, NULL);
	}
	return -EINVAL; /* not reached: the table has these three */
}

static int read_stream(struct reader *r)
{
	int ret = next_event(r); /* the start of the stream */

	if (ret == 0)
		ret = next_event(r);
	if (ret || r->event.type == YAML_STREAM_END_EVENT)
		return ret;
	ret = next_event(r); /* behind the start of the document */
	if (ret == 0)
		ret = read_mapping(r, "the file", read_section, NULL);
	if (ret == 0)
		ret = next_event(r); /* the end of the document */
	if (ret == 0)
		ret = next_event(r);
	if (ret == 0 && r->event.type != YAML_STREAM_END_EVENT)
		return FAIL(r, r->event.start_mark, "a second document is not supported");
	return ret;
}

int config_parse(const char *name, const void *text, size_t len,
		 struct config *ret_config, struct errmsg *err)
{
	struct reader r = {.file = name, .text = text, .len = len, .err = err};
	int ret;

	if (!yaml_parser_initialize(&r.parser))
		return err_set(err, ENOMEM, "%s: out of memory", name);
	yaml_parser_set_input_string(&r.parser, text ? text : "", len);
	config_init(&r.config);
	ret = read_stream(&r);
	if (ret == 0)
		*ret_config = r.config;
	else
		config_deinit(&r.config);
	tdestroy(r.names, keep_name);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return ret;
}

/* All of it, but no more than one byte above the limit. */
static int read_all(int fd, struct buf *ret_text)
{
	while (ret_text->len <= CONFIG_FILE_MAX) {
		size_t want = CONFIG_FILE_MAX + 1 - ret_text->len;
		ssize_t n;

		if (want > 65536)
			want = 65536;
		if (buf_reserve(ret_text, ret_text->len + want))
			return -ENOMEM;
		n = read(fd, ret_text->data + ret_text->len, want);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			ret_text->len += (size_t)n;
	}
	return -EFBIG;
}

int config_load(const char *path, struct config *ret_config, struct errmsg *err)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;

	if (fd < 0)
		return err_set(err, errno, "cannot read %s: %m", path);
	r = read_all(fd, &text);
	close(fd);
	if (r == -EFBIG)
		return err_set(err, EFBIG, "%s is no configuration: larger than %d KiB",
			       path, CONFIG_FILE_MAX / 1024);
	if (r)
		return err_set(err, -r, "cannot read %s: %s", path, strerror(-r));
	return config_parse(path, text.data, text.len, ret_config, err);
}
