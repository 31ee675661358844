/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/key/capture.h"
#include "cli/key/gitversion.h"
#include "cli/key/sources.h"
#include "cli/message.h"
#include "store/util/suggest.h"
#include "store/util/text.h"

struct versioning {
	const struct key_options *o;
	const char *command;
	struct filehash *fh;
	struct errmsg *err;
};

/* The value of a policy from what is behind its colon; NULL: unset. */
typedef int policy_fn(const struct versioning *v, const char *arg, char **ret_value);

static int from_file(const struct versioning *v, const char *path, char **ret_value)
{
	CLEANUP_SOURCES struct sources ss = SOURCES_INIT;
	struct sources_how how = {
	    .what = "--version-from file", .fh = v->fh, .strip = v->o->strip_comments};
	int r = sources_read(path, &how, &ss, v->err);

	if (r)
		return r;
	*ret_value = ss.n == 1 && !*ss.list[0].path ? xstrdup(ss.list[0].value)
						    : sources_tree(&ss);
	return 0;
}

static bool is_executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As execvp(3) finds it; NULL: it does not. The caller frees it. */
static char *find_executable(const char *command)
{
	const char *path = getenv("PATH");

	if (strchr(command, '/'))
		return is_executable(command) ? xstrdup(command) : NULL;
	path = path ? path : "/bin:/usr/bin";
	for (;;) {
		size_t len = strcspn(path, ":");
		char *candidate;

		if (asprintf(&candidate, "%.*s%s%s", (int)len, path, len ? "/" : "./",
			     command) < 0)
			must(-ENOMEM);
		if (is_executable(candidate))
			return candidate;
		free(candidate);
		if (!path[len])
			return NULL;
		path += len + 1;
	}
}

static int from_exe(const struct versioning *v, const char *arg, char **ret_value)
{
	CLEANUP_FREE char *path = find_executable(v->command);
	CLEANUP_SOURCES struct sources ss = SOURCES_INIT;
	struct sources_how how = {.what = "--version-from exe", .fh = v->fh};
	int r;

	if (!path)
		return err_set(v->err, ENOENT,
			       "--version-from exe: %s is no program that can be run",
			       v->command);
	r = sources_read(path, &how, &ss, v->err);
	if (!r)
		*ret_value = xstrdup(ss.list[0].value);
	return r;
}

static int from_command(const struct versioning *v, const char *arg, char **ret_value)
{
	return capture_value(arg, "--version-from command", ret_value, v->err);
}

static int from_git(const struct versioning *v, const char *arg, char **ret_value)
{
	return git_version(arg, ret_value, v->err);
}

static int from_env(const struct versioning *v, const char *arg, char **ret_value)
{
	const char *value = getenv(arg);

	*ret_value = value ? xstrdup(value) : NULL;
	return 0;
}

static const struct policy {
	const char *name, *example;
	policy_fn *value;
	bool alone; /* nothing is behind it */
} policies[] = {
    {"file", "file:PATH", from_file, false},
    {"exe", "exe", from_exe, true},
    {"command", "command:CMD", from_command, false},
    {"git", "git:PATHSPEC", from_git, false},
    {"env", "env:NAME", from_env, false},
};
#define N_POLICIES (sizeof(policies) / sizeof(*policies))

static int complain(const char *text, size_t len, struct errmsg *err)
{
	struct suggest near = suggest_for(text, len);
	const char *example = NULL;
	char quoted[TEXT_QUOTE_MAX];

	for (size_t i = 0; i < N_POLICIES; i++)
		suggest_offer(&near, policies[i].name);
	for (size_t i = 0; i < N_POLICIES; i++) {
		if (near.best == policies[i].name)
			example = policies[i].example;
	}
	text_quote(quoted, text, strlen(text));
	if (example)
		return err_set(err, EINVAL,
			       "--version-from: %s is no policy; did you mean %s?",
			       quoted, example);
	return err_set(err, EINVAL,
		       "--version-from: %s is no policy; use file:PATH, exe, "
		       "command:CMD, git:PATHSPEC or env:NAME",
		       quoted);
}

static int policy_value(const struct versioning *v, const char *text, char **ret_value)
{
	size_t len = strcspn(text, ":");
	bool alone = !text[len];

	for (size_t i = 0; i < N_POLICIES; i++) {
		const struct policy *p = &policies[i];

		if (len == strlen(p->name) && memcmp(text, p->name, len) == 0 &&
		    p->alone == alone && (alone || text[len + 1]))
			return p->value(v, alone ? "" : text + len + 1, ret_value);
	}
	return complain(text, len, v->err);
}

int version_add(const struct key_options *o, const char *command, struct filehash *fh,
		struct parts *ps, struct errmsg *err)
{
	struct versioning v = {.o = o, .command = command, .fh = fh, .err = err};

	if (o->version)
		parts_add(ps, PART_VERSION, "", o->version);
	for (size_t i = 0; i < o->version_from.len; i++) {
		CLEANUP_FREE char *value = NULL;
		int r = policy_value(&v, o->version_from.item[i], &value);

		if (r)
			return r;
		parts_add(ps, PART_VERSION, o->version_from.item[i], value);
	}
	return 0;
}
