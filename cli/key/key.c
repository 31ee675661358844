/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/key.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/key/hashtext.h"
#include "cli/key/inputs.h"
#include "cli/key/key_options.h"
#include "cli/key/parts.h"
#include "cli/key/stdinspool.h"
#include "cli/key/template.h"
#include "cli/key/validate.h"
#include "cli/key/version.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "store/util/duration.h"
#include "store/util/text.h"

void key_deinit(struct key *k)
{
	buf_deinit(&k->text);
	free_charp(&k->path);
	free_charp(&k->name);
	close_fdp(&k->stdin_fd);
}

/* ---- parts ------------------------------------------------------------------------ */

static void add_words(struct parts *ps, char *const *command)
{
	char number[24];

	for (size_t i = 0; command[i]; i++) {
		snprintf(number, sizeof(number), "%zu", i);
		parts_add(ps, PART_COMMAND, number, command[i]);
	}
}

static void add_params(struct parts *ps, const struct key_options *o)
{
	for (size_t i = 0; i < o->params.len; i++) {
		size_t len = 0;
		const char *value = key_option_rest(o->params.item[i], &len);
		CLEANUP_FREE char *name = strndup(o->params.item[i], len);

		must(name ? 0 : -ENOMEM);
		if (!inputs_ignored(o, name))
			parts_add(ps, PART_PARAM, name, value);
	}
}

static void add_envs(struct parts *ps, const struct key_options *o)
{
	for (size_t i = 0; i < o->envs.len; i++) {
		if (!inputs_ignored(o, o->envs.item[i]))
			parts_add(ps, PART_ENV, o->envs.item[i], getenv(o->envs.item[i]));
	}
}

static void add_outputs(struct parts *ps, const struct key_options *o)
{
	for (size_t i = 0; i < o->outputs.len; i++)
		parts_add(ps, PART_OUTPUT, o->outputs.item[i], NULL);
}

static int add_stdin(struct parts *ps, int *ret_fd, struct errmsg *err)
{
	CLEANUP_FREE char *value = NULL;
	int r = stdin_spool(ret_fd, &value, err);

	if (!r)
		parts_add(ps, PART_STDIN, "", value);
	return r;
}

/* Two things with one name, as a file and an --input NAME=PATH. */
static int complain_double(const struct part *p, struct errmsg *err)
{
	return err_set(err, EINVAL,
		       "two %ss are called %.*s; give one another name, as in --input "
		       "NAME=PATH",
		       part_kind_name(p->kind), (int)p->name.len,
		       (const char *)p->name.data);
}

/* Standard input comes last: until then, nothing has been read of it. */
static int collect(const struct key_options *o, char *const *command, struct filehash *fh,
		   struct key *k, struct parts *ps, struct errmsg *err)
{
	const struct part *twice;
	int r;

	parts_add(ps, PART_NAME, "", k->name);
	add_words(ps, command);
	r = version_add(o, command[0], fh, ps, err);
	if (r)
		return r;
	add_params(ps, o);
	add_envs(ps, o);
	r = inputs_add(o, fh, ps, err);
	if (r)
		return r;
	add_outputs(ps, o);
	if (o->salt)
		parts_add(ps, PART_SALT, "", o->salt);
	if (o->use_stdin)
		r = add_stdin(ps, &k->stdin_fd, err);
	if (r)
		return r;
	twice = parts_sort(ps);
	return twice ? complain_double(twice, err) : validate_check(o, ps, err);
}

/* ---- the path
 * --------------------------------------------------------------------------- */

/* Longer names than this are cut, and told apart by a hash. */
#define NAME_KEPT 200

static bool is_version(const void *arg, const struct part *p)
{
	return p->kind == PART_VERSION;
}

/* For {version}: --version, or a hash of what the policies found; NULL: neither. */
static const char *version_text(const struct key_options *o, const struct parts *ps,
				char hex[HASHTEXT_MAX])
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	if (o->version)
		return o->version;
	if (!o->version_from.len)
		return NULL;
	parts_text_of(ps, is_version, NULL, &text);
	hashtext_of(buf_slice(&text), hex);
	return hex;
}

/* The name as one part of a path. */
static void put_safe_name(struct buf *out, const char *name)
{
	CLEANUP_BUF struct buf safe = BUF_INIT;
	char hex[HASHTEXT_MAX];

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, ".memofs") == 0) {
		must(buf_append(&safe, "%2E", 3));
		name++;
	}
	template_encode(&safe, name);
	if (safe.len > NAME_KEPT) {
		hashtext_of(buf_slice(&safe), hex);
		safe.len = NAME_KEPT;
		must(buf_printf(&safe, "~%s", hex));
	}
	must(buf_append(out, safe.data, safe.len));
}

static int make_path(const struct key_options *o, const struct parts *ps, struct key *k,
		     struct errmsg *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	char hex[HASHTEXT_MAX];
	struct template_values values = {
	    .now_ns = time_now_ns(),
	    .name = k->name,
	    .version = version_text(o, ps, hex),
	    .id = k->id,
	    .params = &o->params,
	    .envs = &o->envs,
	};
	int r = 0;

	if (o->template) {
		r = template_expand(o->template, &values, &path, err);
	} else {
		put_safe_name(&path, k->name);
		must(buf_printf(&path, "/%s", k->id));
	}
	if (r)
		return r;
	must(buf_append(&path, "", 1));
	k->path = xstrdup((const char *)path.data);
	return 0;
}

/* ---- the key
 * ----------------------------------------------------------------------------- */

/* Its base name; of `dir/`, which is no program anyway, all of it. */
static const char *command_name(const char *command)
{
	const char *base = path_base(command);

	return *base ? base : command;
}

static int check(const struct key_options *o, char *const *command, struct errmsg *err)
{
	int r = key_options_check(o, err);

	if (!r)
		r = inputs_check_ignored(o, err);
	if (!r && (!command[0] || !*command[0]))
		r = err_set(err, EINVAL, "a command is missing; write it after --");
	return r;
}

int key_make(const struct key_options *o, char *const *command, struct filehash *fh,
	     struct key *ret_key, struct errmsg *err)
{
	CLEANUP_KEY struct key k = KEY_INIT;
	CLEANUP_PARTS struct parts ps = PARTS_INIT;
	CLEANUP_BUF struct buf counting = BUF_INIT;
	int r = check(o, command, err);

	if (r)
		return r;
	k.name = xstrdup(o->name ? o->name : command_name(command[0]));
	r = collect(o, command, fh, &k, &ps, err);
	if (!r) {
		parts_text(&ps, &k.text);
		validate_text(o, &ps, &counting);
		hashtext_of(buf_slice(&counting), k.id);
		r = make_path(o, &ps, &k, err);
	}
	if (r) {
		/* What was read of standard input is still the command's. */
		ret_key->stdin_fd = k.stdin_fd;
		k.stdin_fd = -1;
		return r;
	}
	*ret_key = k;
	k = KEY_INIT;
	return 0;
}

/* ---- again
 * ------------------------------------------------------------------------------- */

/* What was read of files, or asked of commands. */
static bool may_change(const void *arg, const struct part *p)
{
	return p->kind == PART_INPUT || p->kind == PART_VERSION;
}

static int complain_changed(const struct buf *then, const struct buf *now,
			    struct errmsg *err)
{
	CLEANUP_BUF struct buf lines = BUF_INIT;
	const char *end;

	key_differences(buf_slice(then), buf_slice(now), &lines);
	end = lines.len ? memchr(lines.data, '\n', lines.len) : NULL;
	return err_set(err, ESTALE, "while the command ran: %.*s",
		       end ? (int)(end - (const char *)lines.data) : 0,
		       end ? (const char *)lines.data : "");
}

int key_check_again(const struct key_options *o, char *const *command,
		    struct filehash *fh, const struct key *k, struct errmsg *err)
{
	CLEANUP_PARTS struct parts then = PARTS_INIT;
	CLEANUP_PARTS struct parts now = PARTS_INIT;
	CLEANUP_BUF struct buf then_text = BUF_INIT;
	CLEANUP_BUF struct buf now_text = BUF_INIT;
	int r = parts_parse(buf_slice(&k->text), &then);

	if (r)
		return err_set(err, -r, "the text of the key is none");
	r = version_add(o, command[0], fh, &now, err);
	if (!r)
		r = inputs_add(o, fh, &now, err);
	if (r)
		return r;
	parts_sort(&now);
	parts_text_of(&then, may_change, NULL, &then_text);
	parts_text(&now, &now_text);
	if (then_text.len == now_text.len &&
	    memcmp(then_text.data, now_text.data, now_text.len) == 0)
		return 0;
	return complain_changed(&then_text, &now_text, err);
}
