/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/inputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/key/capture.h"
#include "cli/key/key_options.h"
#include "cli/key/sources.h"
#include "cli/message.h"
#include "store/util/suggest.h"
#include "store/util/text.h"

/* One --input: NAME=PATH or PATH. */
struct input {
	const struct key_options *o;
	char *name; /* NULL: it is called as its path */
	const char *path;
};

/* ---- names
 * ----------------------------------------------------------------------------- */

/* `./src/` is called src, and `.` nothing: what is in it is called as it is. */
static char *plain_name(const char *path)
{
	char *name;
	size_t len;

	while (path[0] == '.' && path[1] == '/') {
		path += 2;
		path += strspn(path, "/");
	}
	name = xstrdup(strcmp(path, ".") == 0 ? "" : path);
	for (len = strlen(name); len > 1 && name[len - 1] == '/';)
		name[--len] = '\0';
	return name;
}

static char *join(const char *label, const char *path)
{
	size_t len = strlen(label);
	char *name;

	if (!*label)
		return xstrdup(*path ? path : ".");
	if (!*path)
		return xstrdup(label);
	if (asprintf(&name, "%s%s%s", label, label[len - 1] == '/' ? "" : "/", path) < 0)
		must(-ENOMEM);
	return name;
}

/* A word before the first `=`; a path has a slash or a dot before it: ./a=b. */
static size_t name_length(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
				      "XYZ0123456789_-";
	size_t len = strspn(text, letters);

	return len && text[len] == '=' ? len : 0;
}

static int input_parse(const struct key_options *o, const char *text,
		       struct input *ret_input, struct errmsg *err)
{
	size_t len = name_length(text);
	const char *path = len ? text + len + 1 : text;

	if (!*path)
		return err_set(err, EINVAL,
			       "--input: \"%s\" has no path; write --input PATH or "
			       "--input NAME=PATH",
			       text);
	*ret_input = (struct input){.o = o, .path = path};
	if (len) {
		ret_input->name = strndup(text, len);
		must(ret_input->name ? 0 : -ENOMEM);
	}
	return 0;
}

/* What its parts are called, and the others begin with. The caller frees it. */
static char *input_label(const struct input *in, const struct sources *ss)
{
	if (in->name)
		return xstrdup(in->name);
	return plain_name(ss ? ss->base : in->path);
}

/* ---- what is ignored
 * ----------------------------------------------------------------------- */

/* Is `name` this one, or below it? */
static bool is_below(const char *name, const char *above)
{
	size_t len = strlen(above);

	return strncmp(name, above, len) == 0 &&
	       (!len || !name[len] || name[len] == '/' || above[len - 1] == '/');
}

bool inputs_ignored(const struct key_options *o, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < o->ignore.len && !found; i++) {
		CLEANUP_FREE char *ignored = plain_name(o->ignore.item[i]);

		found = *ignored && is_below(name, ignored);
	}
	return found;
}

static bool names_pair(const struct cli_list *pairs, const char *name)
{
	size_t len;

	for (size_t i = 0; i < pairs->len; i++) {
		if (key_option_rest(pairs->item[i], &len) && len == strlen(name) &&
		    memcmp(pairs->item[i], name, len) == 0)
			return true;
	}
	return false;
}

static bool has_pattern(const char *path)
{
	return strpbrk(path, "*?[{") || strncmp(path, "regex:", 6) == 0;
}

/* An input, or what may be below one or match it. */
static bool names_input(const struct key_options *o, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < o->inputs.len && !found; i++) {
		struct input in = {0};

		if (input_parse(o, o->inputs.item[i], &in, NULL))
			continue;
		if (has_pattern(in.path)) {
			found = true;
		} else {
			CLEANUP_FREE char *label = input_label(&in, NULL);

			found = is_below(name, label) || strcmp(name, in.path) == 0;
		}
		free(in.name);
	}
	return found;
}

static bool names_env(const struct key_options *o, const char *name)
{
	for (size_t i = 0; i < o->envs.len; i++) {
		if (strcmp(o->envs.item[i], name) == 0)
			return true;
	}
	return false;
}

static int complain_ignored(const struct key_options *o, const char *text,
			    struct errmsg *err)
{
	struct suggest near = suggest_for(text, strlen(text));
	char quoted[TEXT_QUOTE_MAX];

	for (size_t i = 0; i < o->envs.len; i++)
		suggest_offer(&near, o->envs.item[i]);
	for (size_t i = 0; i < o->inputs.len; i++)
		suggest_offer(&near, o->inputs.item[i]);
	text_quote(quoted, text, strlen(text));
	if (near.best)
		return err_set(err, EINVAL,
			       "--ignore: %s is no input, param or env; did you mean "
			       "\"%s\"?",
			       quoted, near.best);
	return err_set(err, EINVAL,
		       "--ignore: %s is no input, param or env; name one as it was given",
		       quoted);
}

int inputs_check_ignored(const struct key_options *o, struct errmsg *err)
{
	for (size_t i = 0; i < o->ignore.len; i++) {
		const char *text = o->ignore.item[i];
		CLEANUP_FREE char *name = plain_name(text);

		if (!*name || !(names_pair(&o->params, name) || names_env(o, name) ||
				names_pair(&o->input_hash, name) || names_input(o, name)))
			return complain_ignored(o, text, err);
	}
	return 0;
}

/* ---- parts
 * -------------------------------------------------------------------------------------
 */

static bool skip(void *arg, const struct sources *ss, const char *path)
{
	const struct input *in = arg;
	CLEANUP_FREE char *label = input_label(in, ss);
	CLEANUP_FREE char *name = join(label, path);

	return inputs_ignored(in->o, name);
}

/* Is there an --input-hash that stands for it? */
static bool is_replaced(const struct input *in)
{
	return names_pair(&in->o->input_hash, in->name ? in->name : in->path);
}

static void add_sources(const struct input *in, const struct sources *ss,
			struct parts *ps)
{
	CLEANUP_FREE char *label = input_label(in, ss);

	if (ss->n > INPUTS_LISTED) {
		CLEANUP_FREE char *value = sources_tree(ss);
		CLEANUP_FREE char *name = join(label, "");

		parts_add(ps, PART_INPUT, ss->is_pattern && !in->name ? in->path : name,
			  value);
		return;
	}
	for (size_t i = 0; i < ss->n; i++) {
		CLEANUP_FREE char *name = join(label, ss->list[i].path);

		parts_add(ps, PART_INPUT, name, ss->list[i].value);
	}
}

static int add_input(struct input *in, struct filehash *fh, struct parts *ps,
		     struct errmsg *err)
{
	CLEANUP_SOURCES struct sources ss = SOURCES_INIT;
	struct sources_how how = {.what = "--input", .fh = fh, .skip = skip, .arg = in};
	int r;

	if (is_replaced(in))
		return 0;
	r = sources_read(in->path, &how, &ss, err);
	if (!r)
		add_sources(in, &ss, ps);
	return r;
}

static int add_hash(const struct key_options *o, const char *text, struct parts *ps,
		    struct errmsg *err)
{
	size_t len = 0;
	const char *command = key_option_rest(text, &len);
	CLEANUP_FREE char *name = strndup(text, len);
	CLEANUP_FREE char *value = NULL, *what = NULL;
	int r;

	must(name ? 0 : -ENOMEM);
	if (inputs_ignored(o, name))
		return 0;
	if (asprintf(&what, "--input-hash %s", name) < 0)
		must(-ENOMEM);
	r = capture_hash(command, what, &value, err);
	if (!r)
		parts_add(ps, PART_INPUT, name, value);
	return r;
}

int inputs_add(const struct key_options *o, struct filehash *fh, struct parts *ps,
	       struct errmsg *err)
{
	int r = 0;

	for (size_t i = 0; i < o->inputs.len && !r; i++) {
		struct input in;

		r = input_parse(o, o->inputs.item[i], &in, err);
		if (r)
			break;
		r = add_input(&in, fh, ps, err);
		free(in.name);
	}
	for (size_t i = 0; i < o->input_hash.len && !r; i++)
		r = add_hash(o, o->input_hash.item[i], ps, err);
	return r;
}
