/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: the directories at the top of a mount. `create` and `set` take
 * the path of any directory as well, since policies may be set on each.
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/policy.h"
#include "cli/show.h"
#include "cli/table.h"

/* ---- where -------------------------------------------------------------- */

/* The only memofs mount there is, or NULL after a message. */
static const struct mount *the_only_mount(const struct mounts *ms)
{
	const struct mount *only = NULL;

	for (size_t i = 0; i < ms->n; i++) {
		const struct mount *m = &ms->list[i];

		if (!mount_is_memofs(m) || mounts_at(ms, m->point) != m)
			continue;
		if (only) {
			cli_error("there are several mounts: %s, %s, …; choose one with "
				  "--mountpoint",
				  only->point, m->point);
			return NULL;
		}
		only = m;
	}
	if (!only)
		cli_error("no memofs is mounted here");
	return only;
}

/*
 * The root of the mount that is meant: the one given, else the one that holds
 * the current directory, else the only one. NULL after a message.
 */
static char *find_root(const char *given)
{
	CLEANUP_FREE char *here = path_absolute(".");
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	const struct mount *m;

	if (given)
		return path_check_inside(given) ? NULL : xstrdup(given);
	if (mounts_read(&ms))
		return NULL;
	m = mounts_over(&ms, here);
	if (!m || !mount_is_memofs(m))
		m = the_only_mount(&ms);
	return m && !path_check_inside(m->point) ? xstrdup(m->point) : NULL;
}

/* A bare name is at the root; what has a slash is a path. NULL after a message. */
static char *find_directory(const char *name, const char *mountpoint)
{
	CLEANUP_FREE char *root = NULL;

	if (strchr(name, '/') && !mountpoint)
		return path_check_inside(name) ? NULL : xstrdup(name);
	root = find_root(mountpoint);
	return root ? path_join(root, name) : NULL;
}

/* ---- list ---------------------------------------------------------------- */

struct list_options {
	bool json;
};

static const struct cli_option list_options[] = {
    {'j', "json", CLI_FLAG, offsetof(struct list_options, json), NULL,
     "an array of objects", NULL},
    CLI_END,
};

struct namespace
{
	char *name;
	struct stat st;
	/* empty: none */
	struct buf ttl, version, lease, wait, publish, quota, max_entry, pin;
};

struct namespaces {
	struct namespace *list;
	size_t n;
};

static void namespaces_deinit(struct namespaces *all)
{
	for (size_t i = 0; i < all->n; i++) {
		free(all->list[i].name);
		buf_deinit(&all->list[i].ttl);
		buf_deinit(&all->list[i].version);
		buf_deinit(&all->list[i].lease);
		buf_deinit(&all->list[i].wait);
		buf_deinit(&all->list[i].publish);
		buf_deinit(&all->list[i].quota);
		buf_deinit(&all->list[i].max_entry);
		buf_deinit(&all->list[i].pin);
	}
	free(all->list);
}

/* Empty where there is none. */
static void read_attribute(const char *path, const char *name, struct buf *ret_value)
{
	if (attr_get(path, name, ret_value) == 0)
		return;
	must(buf_set(ret_value, "", 1));
	ret_value->len = 0;
}

static void add_namespace(struct namespaces *all, const char *root, const char *name)
{
	CLEANUP_FREE char *path = path_join(root, name);
	struct namespace ns = {0};

	if (lstat(path, &ns.st) || !S_ISDIR(ns.st.st_mode))
		return;
	ns.name = xstrdup(name);
	read_attribute(path, "ttl", &ns.ttl);
	read_attribute(path, "version", &ns.version);
	read_attribute(path, "lease", &ns.lease);
	read_attribute(path, "wait", &ns.wait);
	read_attribute(path, "publish", &ns.publish);
	read_attribute(path, "quota", &ns.quota);
	read_attribute(path, "max-entry", &ns.max_entry);
	read_attribute(path, "pin", &ns.pin);
	all->list = xreallocarray(all->list, all->n + 1, sizeof(*all->list));
	all->list[all->n++] = ns;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct namespace *)a)->name,
		      ((const struct namespace *)b)->name);
}

static int read_namespaces(const char *root, struct namespaces *all)
{
	DIR *dir = opendir(root);
	struct dirent *de;
	int err;

	if (!dir) {
		cli_error("%s: %s", root, strerror(errno));
		return CLI_FAILED;
	}
	while ((errno = 0, de = readdir(dir))) {
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			add_namespace(all, root, de->d_name);
	}
	err = errno;
	closedir(dir);
	if (err) {
		cli_error("%s: %s", root, strerror(err));
		return CLI_FAILED;
	}
	if (all->n)
		qsort(all->list, all->n, sizeof(*all->list), by_name);
	return CLI_OK;
}

/* `build:staff`, numbers where there are no names. */
static void show_owner(const struct stat *st, char ret_text[128])
{
	const struct passwd *pw = getpwuid(st->st_uid);
	const struct group *gr = getgrgid(st->st_gid);
	char uid[16], gid[16];

	snprintf(uid, sizeof(uid), "%u", st->st_uid);
	snprintf(gid, sizeof(gid), "%u", st->st_gid);
	snprintf(ret_text, 128, "%.60s:%.60s", pw ? pw->pw_name : uid,
		 gr ? gr->gr_name : gid);
}

static void add_quoted(struct table *t, const struct buf *text)
{
	CLEANUP_FREE char *word =
	    text->len ? show_shell_new((const char *)text->data) : NULL;

	table_cell(t, word, TABLE_PLAIN);
}

static void print_table(const struct namespaces *all)
{
	static const struct table_column columns[] = {
	    {"TTL", false},   {"VERSION", false}, {"MODE", false},    {"OWNER", false},
	    {"LEASE", false}, {"WAIT", false},	  {"PUBLISH", false}, {"QUOTA", false},
	    {"MAX", false},   {"PIN", false},	  {"NAME", false},
	};
	struct table t;

	table_init(&t, columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < all->n; i++) {
		const struct namespace *ns = &all->list[i];
		CLEANUP_FREE char *word = show_shell_new(ns->name);
		char mode[8], owner[128];

		snprintf(mode, sizeof(mode), "%04o", ns->st.st_mode & 07777);
		show_owner(&ns->st, owner);
		add_quoted(&t, &ns->ttl);
		add_quoted(&t, &ns->version);
		table_cell(&t, mode, TABLE_PLAIN);
		table_cell(&t, owner, TABLE_PLAIN);
		add_quoted(&t, &ns->lease);
		add_quoted(&t, &ns->wait);
		add_quoted(&t, &ns->publish);
		add_quoted(&t, &ns->quota);
		add_quoted(&t, &ns->max_entry);
		add_quoted(&t, &ns->pin);
		table_cell(&t, word, TABLE_DIR);
	}
	table_print(&t, stdout, table_colour(stdout));
	table_deinit(&t);
}

/* What it does not have is left out. */
static void json_policy(struct json *js, const char *name, const struct buf *value)
{
	if (value->len)
		json_name(js, name, (const char *)value->data);
}

static void print_json(const struct namespaces *all)
{
	struct json js = JSON_INIT(stdout);
	char mode[8];

	json_array(&js, NULL);
	for (size_t i = 0; i < all->n; i++) {
		const struct namespace *ns = &all->list[i];

		snprintf(mode, sizeof(mode), "%04o", ns->st.st_mode & 07777);
		json_object(&js, NULL);
		json_name(&js, "name", ns->name);
		json_policy(&js, "ttl", &ns->ttl);
		json_policy(&js, "version", &ns->version);
		json_policy(&js, "lease", &ns->lease);
		json_policy(&js, "wait", &ns->wait);
		json_policy(&js, "publish", &ns->publish);
		json_policy(&js, "quota", &ns->quota);
		json_policy(&js, "max-entry", &ns->max_entry);
		json_policy(&js, "pin", &ns->pin);
		json_string(&js, "mode", mode);
		json_uint(&js, "uid", ns->st.st_uid);
		json_uint(&js, "gid", ns->st.st_gid);
		json_object_end(&js);
	}
	json_array_end(&js);
}

static int run_list(const void *opt, char **operands, size_t n)
{
	const struct list_options *o = opt;
	CLEANUP_FREE char *root = find_root(n ? operands[0] : NULL);
	struct namespaces all = {0};
	int status;

	if (!root)
		return CLI_MOUNT;
	status = read_namespaces(root, &all);
	if (o->json)
		print_json(&all);
	else
		print_table(&all);
	namespaces_deinit(&all);
	return status;
}

static const struct command ns_list = {
    .name = "list",
    .group = "ns",
    .args = "[MOUNTPOINT]",
    .summary = "list the namespaces and their policies",
    .exits = "0  listed\n"
	     "3  the directory cannot be read\n"
	     "4  no mount, or not one of memofs",
    .example = "memofs ns list /tmp/cache",
    .options = list_options,
    .options_size = sizeof(struct list_options),
    .operands_max = 1,
    .run = run_list,
};

/* ---- create ---------------------------------------------------------------- */

struct create_options {
	struct cli_duration ttl, lease, wait;
	struct cli_mode mode;
	const char *version, *mountpoint;
	int publish; /* index into publish_values */
};

static const char *const publish_values[] = {"inherit", "on-success", "always", NULL};

static const struct cli_option create_options[] = {
    {'t', "ttl", CLI_DURATION, offsetof(struct create_options, ttl), "DURATION",
     "how long its entries are hits: 90s, 1h30m, PT1H, none", NULL},
    {'v', "version", CLI_STRING, offsetof(struct create_options, version), "VERSION",
     "the version that is seen and written", NULL},
    {'m', "mode", CLI_MODE, offsetof(struct create_options, mode), "MODE",
     "permissions, octal (0777 less the umask)", NULL},
    {'l', "lease", CLI_DURATION, offsetof(struct create_options, lease), "DURATION",
     "how long a reservation holds (60s)", NULL},
    {'w', "wait", CLI_DURATION, offsetof(struct create_options, wait), "DURATION",
     "how long who waits for an entry does", NULL},
    {'p', "publish", CLI_CHOICE, offsetof(struct create_options, publish), "WHEN",
     "what a failed program wrote: on-success drops it", publish_values},
    {'M', "mountpoint", CLI_STRING, offsetof(struct create_options, mountpoint),
     "MOUNTPOINT", "the mount, where there are several", NULL},
    CLI_END,
};

static int run_create(const void *opt, char **operands, size_t n)
{
	const struct create_options *o = opt;
	CLEANUP_FREE char *dir = find_directory(operands[0], o->mountpoint);
	struct policy policy = {
	    .ttl = o->ttl.text,
	    .version = o->version,
	    .lease = o->lease.text,
	    .wait = o->wait.text,
	    .publish = o->publish ? publish_values[o->publish] : NULL,
	    .has_mode = o->mode.set,
	    .mode = o->mode.mode,
	};

	if (!dir)
		return CLI_MOUNT;
	if (mkdir(dir, 0777)) {
		cli_error("%s: %s", dir, strerror(errno));
		return CLI_FAILED;
	}
	if (policy_apply(&policy, dir) == 0)
		return CLI_OK;
	if (rmdir(dir))
		cli_error("%s was made, but not as it should be: %s", dir,
			  strerror(errno));
	return CLI_FAILED;
}

static const struct command ns_create = {
    .name = "create",
    .group = "ns",
    .args = "NAMESPACE",
    .summary = "make a namespace, with policies",
    .detail =
	"NAMESPACE is a name, or a path in a mount. Without --mountpoint, a name is\n"
	"in the mount that holds the current directory, else in the only one.\n",
    .exits = "0  made\n"
	     "2  the command line is wrong\n"
	     "3  it exists, or is not permitted\n"
	     "4  no mount, or not one of memofs",
    .example = "memofs ns create build --ttl 7d --version gcc12",
    .options = create_options,
    .options_size = sizeof(struct create_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run_create,
};

/* ---- set --------------------------------------------------------------------- */

struct set_options {
	const char *mountpoint;
};

static const struct cli_option set_options[] = {
    {'M', "mountpoint", CLI_STRING, offsetof(struct set_options, mountpoint),
     "MOUNTPOINT", "the mount, where there are several", NULL},
    CLI_END,
};

static int run_set(const void *opt, char **operands, size_t n)
{
	const struct set_options *o = opt;
	CLEANUP_FREE char *dir = NULL;
	struct policy policy;
	struct stat st;

	if (policy_parse(operands + 1, n - 1, &policy))
		return CLI_USAGE;
	dir = find_directory(operands[0], o->mountpoint);
	if (!dir)
		return CLI_MOUNT;
	if (lstat(dir, &st) || !S_ISDIR(st.st_mode)) {
		cli_error("%s: there is no such namespace", dir);
		return CLI_MISS;
	}
	return policy_apply(&policy, dir) ? CLI_FAILED : CLI_OK;
}

static const struct command ns_set = {
    .name = "set",
    .group = "ns",
    .args = "NAMESPACE NAME=VALUE…",
    .summary = "change policies; they act at once on what is stored",
    .detail =
	"NAMESPACE is a name, or the path of any directory in a mount. The policies\n"
	"are ttl, version, mode; lease (how long a reservation holds), wait (how long\n"
	"who waits for an entry does), publish (on-success or always: whether what a\n"
	"failed program wrote is dropped), quota and max-entry (what all below may\n"
	"take, and one entry), pin (yes: nothing below is evicted). An empty value takes "
	"one away: it is then\n"
	"inherited, the version the unnamed one. What one version holds is hidden\n"
	"while another is set, not lost.\n",
    .exits = "0  changed\n"
	     "1  there is no such namespace\n"
	     "2  the command line is wrong; nothing was changed\n"
	     "3  refused, or not permitted\n"
	     "4  no mount, or not one of memofs",
    .example = "memofs ns set build ttl=1h version=gcc13\n"
	       "memofs ns set build version= lease=5m wait=10m publish=always",
    .options = set_options,
    .options_size = sizeof(struct set_options),
    .operands_min = 2,
    .operands_max = CLI_MANY,
    .run = run_set,
};

static const struct command *const subcommands[] = {&ns_list, &ns_create, &ns_set, NULL};

const struct command cmd_ns = {
    .name = "ns",
    .args = "list|create|set …",
    .summary = "list, make and configure namespaces",
    .sub = subcommands,
};
