/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/show.h"
#include "store/util/duration.h"
#include "store/util/size.h"

struct stat_options {
	bool json;
};

static const struct cli_option options[] = {
    {'j', "json", CLI_FLAG, offsetof(struct stat_options, json), NULL,
     "an array of objects", NULL},
    CLI_END,
};

enum kind {
	KIND_TEXT,
	KIND_TIME,     /* seconds since the epoch, or never */
	KIND_DURATION, /* seconds */
	KIND_COUNT,
};

/* Every attribute there may be; what an inode does not have is not shown. */
static const struct attribute {
	const char *name;
	enum kind kind;
} attributes[] = {
    {"state", KIND_TEXT},     {"ttl", KIND_TEXT},      {"expires", KIND_TIME},
    {"created", KIND_TIME},   {"age", KIND_DURATION},  {"version", KIND_TEXT},
    {"hash", KIND_TEXT},      {"cost", KIND_DURATION}, {"hits", KIND_COUNT},
    {"writer", KIND_TEXT},    {"key", KIND_TEXT},      {"lease", KIND_TEXT},
    {"wait", KIND_TEXT},      {"quota", KIND_TEXT},    {"publish", KIND_TEXT},
    {"max-entry", KIND_TEXT}, {"pin", KIND_TEXT},
};
#define N_ATTRIBUTES (sizeof(attributes) / sizeof(*attributes))

static void put_line(const char *key, const char *text)
{
	printf("  %-12s %s\n", key, text);
}

/* `2026-01-31 12:00:00.250 +0100 (3m ago)` */
static void show_time(const char *key, int64_t ns)
{
	char clock[64] = "", zone[16] = "", span[DURATION_TEXT_MAX], text[192];
	time_t s = (time_t)(ns / NSEC_PER_SEC);
	int64_t delta_ns;
	struct tm tm;

	if (ns == DURATION_NONE) {
		put_line(key, "never");
		return;
	}
	delta_ns = ns - time_now_ns();
	if (localtime_r(&s, &tm)) {
		strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", &tm);
		strftime(zone, sizeof(zone), "%z", &tm);
	}
	duration_format_short(delta_ns < 0 ? -delta_ns : delta_ns, span);
	snprintf(text, sizeof(text), "%s.%03d %s (%s%s%s)", clock,
		 (int)(ns % NSEC_PER_SEC / 1000000), zone, delta_ns < 0 ? "" : "in ",
		 span, delta_ns < 0 ? " ago" : "");
	put_line(key, text);
}

static void show_attribute(const struct attribute *a, const char *value)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	char text[DURATION_TEXT_MAX];
	int64_t ns;

	if (a->kind == KIND_TIME && attr_seconds_parse(value, &ns) == 0) {
		show_time(a->name, ns);
	} else if (a->kind == KIND_DURATION && attr_seconds_parse(value, &ns) == 0) {
		duration_format_short(ns, text);
		put_line(a->name, text);
	} else {
		show_printable(&line, value);
		must(buf_append(&line, "", 1));
		put_line(a->name, *value ? (char *)line.data : "''");
	}
}

static void json_attribute(struct json *js, const struct attribute *a, const char *value)
{
	int64_t ns;

	if (a->kind == KIND_TEXT || attr_seconds_parse(value, &ns))
		json_name(js, a->name, value);
	else if (ns == DURATION_NONE)
		json_null(js, a->name);
	else
		json_seconds(js, a->name, ns); /* a count has no fraction */
}

/* The target of a symlink, as one more attribute. */
static void report_target(struct json *js, const char *path)
{
	CLEANUP_FREE char *word = NULL;
	char target[PATH_MAX + 1];
	ssize_t n = readlink(path, target, PATH_MAX);

	if (n < 0)
		return;
	target[n] = '\0';
	if (js) {
		json_name(js, "target", target);
		return;
	}
	word = show_shell_new(target);
	put_line("target", word);
}

static void report_attributes(struct json *js, const char *path)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	for (size_t i = 0; i < N_ATTRIBUTES; i++) {
		if (attr_get(path, attributes[i].name, &value))
			continue;
		if (js)
			json_attribute(js, &attributes[i], (const char *)value.data);
		else
			show_attribute(&attributes[i], (const char *)value.data);
	}
}

static void json_reservation(struct json *js, const struct reservation *rv)
{
	json_object(js, "reservation");
	json_name(js, "owner", rv->owner);
	json_seconds(js, "since", rv->since_ns);
	if (rv->expires_ns == DURATION_NONE)
		json_null(js, "expires");
	else
		json_seconds(js, "expires", rv->expires_ns);
	json_uint(js, "token", rv->token);
	json_object_end(js);
}

/* Who computes it now; nothing when nobody does. */
static void report_reservation(struct json *js, const char *path)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	CLEANUP_BUF struct buf value = BUF_INIT;
	CLEANUP_FREE char *text = NULL;

	if (attr_get(path, "reservation", &value) ||
	    reservation_parse((const char *)value.data, &rv) || !rv.owner)
		return;
	if (js) {
		json_reservation(js, &rv);
		return;
	}
	text = reservation_describe(&rv);
	put_line("reservation", text);
}

/* False: it says nothing, of a directory. */
static bool size_of(const char *path, const struct stat *st, bool tree,
		    uint64_t *ret_bytes)
{
	*ret_bytes = tree ? entry_tree_size(path) : (uint64_t)st->st_size;
	return tree || !S_ISDIR(st->st_mode);
}

static void show_size(const char *path, const struct stat *st, bool tree)
{
	char text[SIZE_TEXT_MAX + 32], human[SIZE_TEXT_MAX];
	uint64_t bytes;

	if (!size_of(path, st, tree, &bytes))
		return;
	size_format(bytes, human);
	if (bytes < 1024)
		snprintf(text, sizeof(text), "%s", human);
	else
		snprintf(text, sizeof(text), "%s (%" PRIu64 " bytes)", human, bytes);
	put_line("size", text);
}

static void show_stat(const char *path, const struct stat *st, bool tree)
{
	CLEANUP_FREE char *word = show_shell_new(path);
	char text[64];

	printf("%s\n", word);
	put_line("type", entry_type(st->st_mode, tree));
	show_size(path, st, tree);
	snprintf(text, sizeof(text), "%04o, uid %u, gid %u",
		 (unsigned int)st->st_mode & 07777, st->st_uid, st->st_gid);
	put_line("mode", text);
	snprintf(text, sizeof(text), "%ju", (uintmax_t)st->st_ino);
	put_line("inode", text);
	show_time("modified", st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec);
}

static void json_stat(struct json *js, const char *path, const struct stat *st, bool tree)
{
	uint64_t bytes;
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", (unsigned int)st->st_mode & 07777);
	json_name(js, "path", path);
	json_string(js, "type", entry_type(st->st_mode, tree));
	if (size_of(path, st, tree, &bytes))
		json_uint(js, "size", bytes);
	json_string(js, "mode", mode);
	json_uint(js, "uid", st->st_uid);
	json_uint(js, "gid", st->st_gid);
	json_uint(js, "inode", st->st_ino);
	json_seconds(js, "modified",
		     st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec);
}

static int report_miss(const char *path)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	CLEANUP_FREE char *text = NULL;

	if (reservation_read(path, false, &rv) == 0 && rv.owner)
		text = reservation_describe(&rv);
	cli_error("%s: there is no such entry%s%s", path, text ? "; it is reserved " : "",
		  text ? text : "");
	return CLI_MISS;
}

static int report(struct json *js, const char *path)
{
	int status = path_check_inside(path);
	struct stat st;
	bool tree;

	if (status)
		return status;
	if (lstat(path, &st)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return report_miss(path);
		cli_error("%s: %s", path, strerror(errno));
		return CLI_FAILED;
	}
	tree = entry_is_tree(path, st.st_mode);
	if (js) {
		json_object(js, NULL);
		json_stat(js, path, &st, tree);
	} else {
		show_stat(path, &st, tree);
	}
	if (S_ISLNK(st.st_mode))
		report_target(js, path);
	report_attributes(js, path);
	report_reservation(js, path);
	if (js)
		json_object_end(js);
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct stat_options *o = opt;
	struct json js = JSON_INIT(stdout);
	int status = CLI_OK;

	if (o->json)
		json_array(&js, NULL);
	for (size_t i = 0; i < n; i++)
		status = cli_worse(status, report(o->json ? &js : NULL, operands[i]));
	if (o->json)
		json_array_end(&js);
	return status;
}

const struct command cmd_stat = {
    .name = "stat",
    .args = "PATH…",
    .summary = "show all that is known of an entry or a directory",
    .detail =
	"An attribute that it does not have is left out: without `ttl`, the one of\n"
	"the nearest directory above applies.\n",
    .exits = "0  shown\n"
	     "1  a path does not exist\n"
	     "4  a path is not in a memofs mount, or the mount is dead",
    .example = "memofs stat --json /tmp/cache/build/$key | jq -r '.[0].hash'",
    .options = options,
    .options_size = sizeof(struct stat_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
