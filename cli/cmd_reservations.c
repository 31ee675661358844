/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/show.h"
#include "cli/table.h"
#include "store/util/duration.h"
#include "store/util/size.h"

struct reservations_options {
	bool json, recursive;
};

static const struct cli_option options[] = {
    {'r', "recursive", CLI_FLAG, offsetof(struct reservations_options, recursive), NULL,
     "also of the directories below", NULL},
    {'j', "json", CLI_FLAG, offsetof(struct reservations_options, json), NULL,
     "an array of objects", NULL},
    CLI_END,
};

struct item {
	char *path; /* of the entry */
	struct reservation rv;
	uint64_t size_bytes; /* so far */
};

struct listing {
	const struct reservations_options *opt;
	struct item *list;
	size_t n, cap;
	int status;
};

static void complain(struct listing *l, const char *path, int err)
{
	cli_error("%s: %s", path, strerror(err));
	l->status = cli_worse(l->status, CLI_FAILED);
}

/* ---- reading --------------------------------------------------------------- */

/* One that has ended meanwhile is left out. */
static void add_item(struct listing *l, const char *dir, const char *file,
		     const char *name)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	struct stat st;
	int r = reservation_read_file(file, &rv);

	if (!r && lstat(file, &st))
		r = -errno;
	if (r && r != -ENOENT)
		complain(l, file, -r);
	if (r || (!rv.owner && !rv.writing && !rv.failure))
		return;
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->list = xreallocarray(l->list, l->cap, sizeof(*l->list));
	}
	/* A writer without a reservation has begun when its file says. */
	if (!rv.owner)
		rv.since_ns = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
	l->list[l->n++] = (struct item){
	    .path = path_join(dir, name),
	    .rv = rv,
	    .size_bytes = (uint64_t)st.st_size,
	};
	rv = RESERVATION_INIT;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* False after a message: nothing can be seen there. */
static bool add_reservations(struct listing *l, const char *path)
{
	CLEANUP_FREE char *control = path_join(path, ".memofs/reservations");
	DIR *dir = opendir(control);
	struct dirent *de;

	if (!dir) {
		complain(l, path, errno);
		return false;
	}
	while ((errno = 0, de = readdir(dir))) {
		CLEANUP_FREE char *file = NULL;

		if (is_dots(de->d_name))
			continue;
		file = path_join(control, de->d_name);
		add_item(l, path, file, de->d_name);
	}
	if (errno)
		complain(l, control, errno);
	closedir(dir);
	return true;
}

/* The directories in `path`, ended by NULL; in memory, since a deep tree would
 * need a descriptor for each level. */
static char **directories_in(struct listing *l, const char *path)
{
	char **list = xcalloc(1, sizeof(*list));
	DIR *dir = opendir(path);
	struct dirent *de;
	size_t n = 0;

	if (!dir) {
		complain(l, path, errno);
		return list;
	}
	while ((errno = 0, de = readdir(dir))) {
		if (is_dots(de->d_name) || de->d_type != DT_DIR)
			continue;
		list = xreallocarray(list, n + 2, sizeof(*list));
		list[n++] = path_join(path, de->d_name);
		list[n] = NULL;
	}
	if (errno)
		complain(l, path, errno);
	closedir(dir);
	return list;
}

static void add_directory(struct listing *l, const char *path)
{
	char **below;

	if (!add_reservations(l, path) || !l->opt->recursive)
		return;
	below = directories_in(l, path);
	for (size_t i = 0; below[i]; i++) {
		/* Nothing in a sealed tree is ever computed. */
		if (!entry_is_tree(below[i], S_IFDIR))
			add_directory(l, below[i]);
		free(below[i]);
	}
	free(below);
}

static void add_operand(struct listing *l, const char *path)
{
	int status = path_check_inside(path), err;
	struct stat st;

	if (!status && stat(path, &st)) {
		err = errno;
		cli_error("%s: %s", path, strerror(err));
		status = err == ENOENT || err == ENOTDIR ? CLI_MISS : CLI_FAILED;
	} else if (!status && !S_ISDIR(st.st_mode)) {
		cli_error("%s: %s", path, strerror(ENOTDIR));
		status = CLI_FAILED;
	}
	if (status)
		l->status = cli_worse(l->status, status);
	else
		add_directory(l, path);
}

/* ---- showing ----------------------------------------------------------------- */

static const char *state_of(const struct reservation *rv)
{
	if (rv->writing)
		return "writing";
	return rv->owner ? "named" : "failed";
}

static void add_word(struct table *t, const char *text)
{
	CLEANUP_FREE char *word = text ? show_shell_new(text) : NULL;

	table_cell(t, word, TABLE_PLAIN);
}

static void add_span(struct table *t, int64_t ns)
{
	char text[DURATION_TEXT_MAX];

	duration_format_short(ns > 0 ? ns : 0, text);
	table_cell(t, text, TABLE_PLAIN);
}

static void add_failure(struct table *t, const char *failure)
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	show_printable(&text, failure ? failure : "");
	must(buf_append(&text, "", 1));
	table_cell(t, (const char *)text.data, TABLE_PLAIN);
}

static void add_row(struct table *t, const struct item *it, int64_t now_ns)
{
	const struct reservation *rv = &it->rv;
	bool ends = rv->owner && rv->expires_ns != DURATION_NONE;
	char size[SIZE_TEXT_MAX] = "";

	add_word(t, it->path);
	add_word(t, rv->owner);
	add_span(t, now_ns - rv->since_ns);
	if (ends)
		add_span(t, rv->expires_ns - now_ns);
	else
		table_cell(t, NULL, TABLE_PLAIN);
	if (rv->writing)
		size_format(it->size_bytes, size);
	table_cell(t, size, TABLE_PLAIN);
	table_cell(t, state_of(rv), TABLE_PLAIN);
	add_failure(t, rv->failure);
}

static void print_table(const struct listing *l)
{
	static const struct table_column columns[] = {
	    {"KEY", false}, {"OWNER", false}, {"AGE", true},	       {"LEFT", true},
	    {"SIZE", true}, {"STATE", false}, {"LAST FAILURE", false},
	};
	int64_t now_ns = time_now_ns();
	struct table t;

	table_init(&t, columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < l->n; i++)
		add_row(&t, &l->list[i], now_ns);
	table_print(&t, stdout, table_colour(stdout));
	table_deinit(&t);
}

static void print_held(struct json *js, const struct reservation *rv)
{
	json_name(js, "owner", rv->owner);
	if (rv->expires_ns == DURATION_NONE)
		json_null(js, "expires");
	else
		json_seconds(js, "expires", rv->expires_ns);
	json_uint(js, "token", rv->token);
}

static void print_item(struct json *js, const struct item *it)
{
	const struct reservation *rv = &it->rv;

	json_object(js, NULL);
	json_name(js, "path", it->path);
	json_string(js, "state", state_of(rv));
	json_seconds(js, "since", rv->since_ns);
	if (rv->owner)
		print_held(js, rv);
	if (rv->writing)
		json_uint(js, "size", it->size_bytes);
	if (rv->writer)
		json_name(js, "writer", rv->writer);
	if (rv->failure) {
		json_name(js, "failure", rv->failure);
		json_seconds(js, "failed", rv->failure_ns);
	}
	json_object_end(js);
}

static void print_json(const struct listing *l)
{
	struct json js = JSON_INIT(stdout);

	json_array(&js, NULL);
	for (size_t i = 0; i < l->n; i++)
		print_item(&js, &l->list[i]);
	json_array_end(&js);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

static void listing_deinit(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->list[i].path);
		reservation_deinit(&l->list[i].rv);
	}
	free(l->list);
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
		add_operand(&l, operands[i]);
	if (l.n)
		qsort(l.list, l.n, sizeof(*l.list), by_path);
	if (l.opt->json)
		print_json(&l);
	else
		print_table(&l);
	listing_deinit(&l);
	return l.status;
}

const struct command cmd_reservations = {
    .name = "reservations",
    .args = "[DIR…]",
    .summary = "list what is being computed now, and by whom",
    .detail =
	"STATE is `named`: somebody has said that they compute it; or `writing`: it\n"
	"is open for writing, and SIZE is what has been written so far. LAST FAILURE\n"
	"is why nothing came of the attempt before, where that is still known.\n"
	"\n"
	"In JSON, times are seconds since 1970; `expires` is null for what ends with\n"
	"its writer.\n",
    .exits = "0  listed, also when there are none\n"
	     "1  a directory does not exist\n"
	     "3  something could not be read\n"
	     "4  a path is not in a memofs mount, or the mount is dead",
    .example = "memofs reservations -r /tmp/cache",
    .options = options,
    .options_size = sizeof(struct reservations_options),
    .operands_max = CLI_MANY,
    .run = run,
};
