/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/probe.h"
#include "cli/show.h"
#include "store/util/duration.h"
#include "store/util/size.h"

struct status_options {
	bool json;
};

static const struct cli_option options[] = {
    {'j', "json", CLI_FLAG, offsetof(struct status_options, json), NULL,
     "an array of objects, sizes in bytes", NULL},
    CLI_END,
};

/* A number all of it, as JSON would have it. */
static bool parse_uint(const char *text, uint64_t *ret_value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_value = strtoull(text, &end, 10);
	return !*end && !errno;
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return len >= n && strcmp(s + len - n, suffix) == 0;
}

static bool is_bytes(const char *key)
{
	return strcmp(key, "bytes") == 0 || has_suffix(key, "_bytes");
}

/* `db_disk_bytes` → `db disk`: the value has the unit. */
static void show_key(const char *key)
{
	char text[32];
	size_t len = strlen(key);

	if (has_suffix(key, "_bytes"))
		len -= strlen("_bytes");
	if (strcmp(key, "started") == 0)
		key = "up", len = 2;
	snprintf(text, sizeof(text), "%.*s", (int)(len < 31 ? len : 31), key);
	for (char *p = text; *p; p++)
		*p = *p == '_' ? ' ' : *p;
	printf("  %-16s", text);
}

static void show_line(const struct status_line *l)
{
	CLEANUP_FREE char *word = show_shell_new(l->value);
	char text[DURATION_TEXT_MAX];
	uint64_t value;

	show_key(l->key);
	if (!parse_uint(l->value, &value)) {
		printf("%s\n", word);
	} else if (is_bytes(l->key)) {
		size_format(value, text);
		printf("%s\n", text);
	} else if (strcmp(l->key, "started") == 0 &&
		   value < (uint64_t)INT64_MAX / NSEC_PER_SEC) {
		duration_format_short(time_now_ns() - (int64_t)value * NSEC_PER_SEC,
				      text);
		printf("%s\n", text);
	} else {
		printf("%" PRIu64 "\n", value);
	}
}

static void show(const struct mount *m, const struct status *st, int r)
{
	CLEANUP_FREE char *point = show_shell_new(m->point);

	printf("%s\n", point);
	if (r) {
		CLEANUP_FREE char *source = show_shell_new(m->source);

		show_key("state");
		printf("%s\n", status_trouble(r));
		show_key("source");
		printf("%s\n", source);
	}
	for (size_t i = 0; i < st->n; i++) {
		if (strcmp(st->line[i].key, "mountpoint") != 0)
			show_line(&st->line[i]);
	}
}

static const char *state_name(int r)
{
	switch (r) {
	case 0:
		return "live";
	case -ENOTCONN:
	case -ECONNABORTED:
		return "dead";
	case -ETIMEDOUT:
		return "not answering";
	default:
		return "unknown";
	}
}

static void show_json(struct json *js, const struct mount *m, const struct status *st,
		      int r)
{
	uint64_t value;

	json_object(js, NULL);
	json_name(js, "mountpoint", m->point);
	json_string(js, "state", state_name(r));
	if (r)
		json_string(js, "error", status_trouble(r));
	for (size_t i = 0; i < st->n; i++) {
		const struct status_line *l = &st->line[i];

		if (strcmp(l->key, "mountpoint") == 0 || strcmp(l->key, "state") == 0)
			continue;
		if (parse_uint(l->value, &value))
			json_uint(js, l->key, value);
		else
			json_name(js, l->key, l->value);
	}
	json_object_end(js);
}

/* `js` is NULL when it is for people. */
static int report(const struct mount *m, struct json *js)
{
	CLEANUP_STATUS struct status st = STATUS_INIT;
	int r = status_read(m->point, PROBE_TIMEOUT_NS, &st);

	if (js)
		show_json(js, m, &st, r);
	else
		show(m, &st, r);
	return r || status_value(&st, "trouble") ? CLI_MOUNT : CLI_OK;
}

/* Every memofs mount; one that another is stacked upon cannot be asked. */
static int report_all(const struct mounts *ms, struct json *js)
{
	int status = CLI_MISS;

	for (size_t i = 0; i < ms->n; i++) {
		const struct mount *m = &ms->list[i];

		if (!mount_is_memofs(m) || mounts_at(ms, m->point) != m)
			continue;
		if (!js && status != CLI_MISS)
			putchar('\n');
		status =
		    status == CLI_MISS ? report(m, js) : cli_worse(status, report(m, js));
	}
	return status;
}

/* Any path in a mount will do. */
static const struct mount *find(const struct mounts *ms, const char *path)
{
	CLEANUP_FREE char *absolute = path_absolute(path), *real = NULL;
	const struct mount *m = mounts_over(ms, absolute);

	if (m && mount_is_memofs(m))
		return m;
	real = realpath(path, NULL);
	m = real ? mounts_over(ms, real) : NULL;
	if (m && mount_is_memofs(m))
		return m;
	cli_error("%s is not inside a memofs mount", path);
	return NULL;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct status_options *o = opt;
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	struct json js = JSON_INIT(stdout);
	const struct mount *m = NULL;
	int status;

	if (mounts_read(&ms))
		return CLI_FAILED;
	if (n) {
		m = find(&ms, operands[0]);
		if (!m)
			return CLI_MOUNT;
	}
	if (o->json)
		json_array(&js, NULL);
	status =
	    m ? report(m, o->json ? &js : NULL) : report_all(&ms, o->json ? &js : NULL);
	if (o->json)
		json_array_end(&js);
	else if (status == CLI_MISS)
		cli_error("no memofs is mounted here");
	return status;
}

const struct command cmd_status = {
    .name = "status",
    .args = "[PATH]",
    .summary = "show what is mounted, and how it is",
    .detail = "Without PATH, every memofs mount; with it, the one PATH is in. A mount\n"
	      "whose daemon does not answer within 5 seconds is reported as such.\n",
    .exits = "0  every mount shown answers\n"
	     "1  nothing is mounted\n"
	     "4  PATH is not in a memofs mount, or one is dead, does not answer, or has\n"
	     "   lost its store",
    .example = "memofs status --json | jq '.[].entries'",
    .options = options,
    .options_size = sizeof(struct status_options),
    .operands_max = 1,
    .run = run,
};
