/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/show.h"
#include "cli/table.h"
#include "store/util/duration.h"
#include "store/util/size.h"

struct ls_options {
	bool all, recursive, directory, json, null, bytes, reverse;
	int sort; /* enum entry_sort */
};

static const char *const sorts[] = {
    [ENTRY_BY_NAME] = "name",	    [ENTRY_BY_SIZE] = "size", [ENTRY_BY_AGE] = "age",
    [ENTRY_BY_EXPIRES] = "expires", [ENTRY_BY_HITS] = "hits", NULL,
};

static const struct cli_option options[] = {
    {'a', "all", CLI_FLAG, offsetof(struct ls_options, all), NULL,
     "also names that begin with a dot", NULL},
    {'R', "recursive", CLI_FLAG, offsetof(struct ls_options, recursive), NULL,
     "also what is in the directories, as paths; not in sealed trees", NULL},
    {'d', "directory", CLI_FLAG, offsetof(struct ls_options, directory), NULL,
     "a directory itself, not what is in it", NULL},
    {'s', "sort", CLI_CHOICE, offsetof(struct ls_options, sort), "KEY", "the order",
     sorts},
    {'r', "reverse", CLI_FLAG, offsetof(struct ls_options, reverse), NULL,
     "the other way round", NULL},
    {'b', "bytes", CLI_FLAG, offsetof(struct ls_options, bytes), NULL,
     "sizes in bytes, times in seconds", NULL},
    {'j', "json", CLI_FLAG, offsetof(struct ls_options, json), NULL,
     "an array of objects", NULL},
    {'0', "null", CLI_FLAG, offsetof(struct ls_options, null), NULL,
     "names alone, as they are, each ended by a NUL", NULL},
    CLI_END,
};

struct listing {
	const struct ls_options *opt;
	struct entries entries;
	int status;
};

static enum entry_detail detail(const struct ls_options *o)
{
	if (o->json)
		return ENTRY_ALL;
	if (o->null && (o->sort == ENTRY_BY_NAME || o->sort == ENTRY_BY_SIZE))
		return ENTRY_NAMES;
	return ENTRY_TABLE;
}

static void complain(struct listing *l, const char *path, int err)
{
	cli_error("%s: %s", path, strerror(err));
	l->status = cli_worse(l->status, CLI_FAILED);
}

static bool is_hidden(const struct listing *l, const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       (*name == '.' && !l->opt->all);
}

/* Add what is in `path`; `shown` goes before the names, "." for nothing. */
static void add_directory(struct listing *l, const char *path, const char *shown)
{
	size_t first = l->entries.n, end;
	DIR *dir = opendir(path);
	struct dirent *de;
	int r;

	if (!dir) {
		complain(l, path, errno);
		return;
	}
	while ((errno = 0, de = readdir(dir))) {
		CLEANUP_FREE char *child = NULL, *name = NULL;

		if (is_hidden(l, de->d_name))
			continue;
		child = path_join(path, de->d_name);
		name = path_join(shown, de->d_name);
		r = entries_add(&l->entries, child, name, detail(l->opt));
		if (r && r != -ENOENT) /* expired since it was listed */
			complain(l, child, -r);
	}
	if (errno)
		complain(l, path, errno);
	closedir(dir);
	/* Not while it is open: a deep tree would need a descriptor for each level. */
	end = l->entries.n;
	for (size_t i = first; l->opt->recursive && i < end; i++) {
		/* The list may move while it grows; its strings do not. */
		struct entry e = l->entries.list[i];

		/* A tree is one entry: it is listed when it is named. */
		if (S_ISDIR(e.mode) && !e.tree)
			add_directory(l, e.path, e.name);
	}
}

static void add_operand(struct listing *l, const char *path, bool alone)
{
	int status = path_check_inside(path);
	struct stat st;

	if (status) {
		l->status = cli_worse(l->status, status);
		return;
	}
	/* A symlink that is named is followed to a directory, as ls does. */
	if (!l->opt->directory && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		add_directory(l, path, alone ? "." : path);
		return;
	}
	status = entries_add(&l->entries, path, path, detail(l->opt));
	if (status == -ENOENT || status == -ENOTDIR) {
		cli_error("%s: there is no such entry", path);
		l->status = cli_worse(l->status, CLI_MISS);
	} else if (status) {
		complain(l, path, -status);
	}
}

static void show_duration(const struct ls_options *o, int64_t ns,
			  char ret_text[DURATION_TEXT_MAX])
{
	if (!o->bytes || ns == DURATION_NONE)
		duration_format_short(ns, ret_text);
	else
		snprintf(ret_text, DURATION_TEXT_MAX, "%" PRId64, ns / NSEC_PER_SEC);
}

static void add_duration(struct table *t, const struct ls_options *o, int64_t ns)
{
	char text[DURATION_TEXT_MAX] = "";

	if (ns != ENTRY_UNKNOWN)
		show_duration(o, ns, text);
	table_cell(t, text, TABLE_PLAIN);
}

static void add_size(struct table *t, const struct ls_options *o, const struct entry *e)
{
	char text[SIZE_TEXT_MAX + 24] = "";

	if (S_ISDIR(e->mode) && !e->tree)
		; /* the size of a directory says nothing */
	else if (o->bytes)
		snprintf(text, sizeof(text), "%" PRIu64, e->size_bytes);
	else
		size_format(e->size_bytes, text);
	table_cell(t, text, TABLE_PLAIN);
}

static void add_text(struct table *t, const char *text, const char *suffix,
		     enum table_style style)
{
	CLEANUP_FREE char *word = text ? show_shell_new(text) : NULL;
	CLEANUP_FREE char *whole = NULL;

	if (word && asprintf(&whole, "%s%s", word, suffix) < 0)
		must(-ENOMEM);
	table_cell(t, whole, style);
}

static int64_t age_ns(const struct entry *e, int64_t now_ns)
{
	return e->created_ns == ENTRY_UNKNOWN ? ENTRY_UNKNOWN : now_ns - e->created_ns;
}

static int64_t left_ns(const struct entry *e, int64_t now_ns)
{
	if (e->expires_ns == ENTRY_UNKNOWN || e->expires_ns == DURATION_NONE)
		return e->expires_ns;
	return e->expires_ns > now_ns ? e->expires_ns - now_ns : 0;
}

static void add_row(struct table *t, const struct ls_options *o, const struct entry *e,
		    int64_t now_ns, bool pins)
{
	enum table_style style = S_ISDIR(e->mode)   ? TABLE_DIR
				 : S_ISLNK(e->mode) ? TABLE_LINK
						    : TABLE_PLAIN;
	char hits[32] = "";

	if (e->hits != ENTRY_UNKNOWN)
		snprintf(hits, sizeof(hits), "%" PRId64, e->hits);
	add_size(t, o, e);
	add_duration(t, o, age_ns(e, now_ns));
	add_duration(t, o, left_ns(e, now_ns));
	add_text(t, e->version, "", TABLE_PLAIN);
	table_cell(t, hits, TABLE_PLAIN);
	if (pins)
		table_cell(t, e->pinned ? "pin" : NULL, TABLE_PLAIN);
	add_text(t, e->name, S_ISDIR(e->mode) ? "/" : "", style);
}

static bool has_pins(const struct listing *l)
{
	for (size_t i = 0; i < l->entries.n; i++)
		if (l->entries.list[i].pinned)
			return true;
	return false;
}

/* Most have no pins: then there is no column of them. */
static void print_table(const struct listing *l)
{
	static const struct table_column columns[] = {
	    {"SIZE", true},	{"AGE", true},	{"EXPIRES IN", true},
	    {"VERSION", false}, {"HITS", true}, {"NAME", false},
	};
	static const struct table_column with_pins[] = {
	    {"SIZE", true}, {"AGE", true},  {"EXPIRES IN", true}, {"VERSION", false},
	    {"HITS", true}, {"PIN", false}, {"NAME", false},
	};
	enum { COLUMNS = sizeof(columns) / sizeof(*columns) };
	int64_t now_ns = time_now_ns();
	bool pins = has_pins(l);
	struct table t;

	table_init(&t, pins ? with_pins : columns, COLUMNS + pins);
	for (size_t i = 0; i < l->entries.n; i++)
		add_row(&t, l->opt, &l->entries.list[i], now_ns, pins);
	table_print(&t, stdout, table_colour(stdout));
	table_deinit(&t);
}

static void print_seconds(struct json *js, const char *key, int64_t ns)
{
	if (ns == DURATION_NONE)
		json_null(js, key);
	else if (ns != ENTRY_UNKNOWN)
		json_seconds(js, key, ns);
}

static void print_entry_json(struct json *js, const struct entry *e, int64_t now_ns)
{
	json_object(js, NULL);
	json_name(js, "name", e->name);
	json_name(js, "path", e->path);
	json_string(js, "type", entry_type(e->mode, e->tree));
	if (!S_ISDIR(e->mode) || e->tree)
		json_uint(js, "size", e->size_bytes);
	print_seconds(js, "age", age_ns(e, now_ns));
	print_seconds(js, "created", e->created_ns);
	print_seconds(js, "expires", e->expires_ns);
	print_seconds(js, "expires_in", left_ns(e, now_ns));
	if (e->ttl)
		json_string(js, "ttl", e->ttl);
	if (e->version)
		json_name(js, "version", e->version);
	if (e->pinned)
		json_bool(js, "pinned", true);
	if (e->hits != ENTRY_UNKNOWN)
		json_uint(js, "hits", (uint64_t)e->hits);
	json_object_end(js);
}

static void print_json(const struct listing *l)
{
	struct json js = JSON_INIT(stdout);
	int64_t now_ns = time_now_ns();

	json_array(&js, NULL);
	for (size_t i = 0; i < l->entries.n; i++)
		print_entry_json(&js, &l->entries.list[i], now_ns);
	json_array_end(&js);
}

static void print_names(const struct listing *l)
{
	for (size_t i = 0; i < l->entries.n; i++)
		fwrite(l->entries.list[i].name, 1, strlen(l->entries.list[i].name) + 1,
		       stdout);
}

static int run(const void *opt, char **operands, size_t n)
{
	char here[] = ".", *only[] = {here};
	struct listing l = {.opt = opt};

	if (!n) {
		operands = only;
		n = 1;
	}
	for (size_t i = 0; i < n; i++)
		add_operand(&l, operands[i], n == 1);
	entries_sort(&l.entries, (enum entry_sort)l.opt->sort, l.opt->reverse);
	if (l.opt->json)
		print_json(&l);
	else if (l.opt->null)
		print_names(&l);
	else
		print_table(&l);
	entries_deinit(&l.entries);
	return l.status;
}

const struct command cmd_ls = {
    .name = "ls",
    .args = "[PATH…]",
    .summary = "list entries: size, age, expiry, version, hits",
    .detail =
	"A name that is not plain text is shown as a shell would read it: 'a b',\n"
	"$'a\\nb'. For programs there are --null and --json. In JSON, bytes that are\n"
	"not UTF-8 become U+FFFD, and NAME_base64 has them exactly. `expires` is null\n"
	"for what never expires.\n"
	"\n"
	"Colour is for terminals only, and not when NO_COLOR is set.\n",
    .exits = "0  listed\n"
	     "1  a path does not exist\n"
	     "3  something could not be read\n"
	     "4  a path is not in a memofs mount, or the mount is dead",
    .example = "memofs ls -R --sort expires /tmp/cache/build",
    .options = options,
    .options_size = sizeof(struct ls_options),
    .operands_max = CLI_MANY,
    .run = run,
};
