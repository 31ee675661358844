/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/message.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* proc(5): space, tab, newline and backslash are written as \040 and the like. */
static char *unescape(const char *s)
{
	char *text = xstrdup(s), *to = text;

	while (*s) {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			*to++ =
			    (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
	return text;
}

/*
 * One line: `36 35 98:0 /root /point rw,noatime master:1 - type source options`,
 * with any number of optional fields before the hyphen.
 */
static bool parse_line(char *line, struct mount *ret)
{
	unsigned int id, parent, major_no, minor_no;
	char *save = NULL, *word, *field[6], *type, *source, *options;
	int i;

	for (i = 0; i < 6; i++) {
		field[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!field[i])
			return false;
	}
	do {
		word = strtok_r(NULL, " \n", &save);
	} while (word && strcmp(word, "-") != 0);
	type = strtok_r(NULL, " \n", &save);
	source = type ? strtok_r(NULL, " \n", &save) : NULL;
	options = source ? strtok_r(NULL, " \n", &save) : NULL;
	if (!word || !type || sscanf(field[0], "%u", &id) != 1 ||
	    sscanf(field[1], "%u", &parent) != 1 ||
	    sscanf(field[2], "%u:%u", &major_no, &minor_no) != 2)
		return false;
	*ret = (struct mount){
	    .id = id,
	    .parent = parent,
	    .dev = makedev(major_no, minor_no),
	    .point = unescape(field[4]),
	    .type = unescape(type),
	    .source = unescape(source ? source : ""),
	    .fs_options = unescape(options ? options : ""),
	};
	return true;
}

void mounts_parse(FILE *in, struct mounts *ret_mounts)
{
	CLEANUP_FREE char *line = NULL;
	size_t cap = 0;
	struct mount m;

	while (getline(&line, &cap, in) > 0) {
		if (!parse_line(line, &m))
			continue;
		ret_mounts->list = xreallocarray(ret_mounts->list, ret_mounts->n + 1,
						 sizeof(*ret_mounts->list));
		ret_mounts->list[ret_mounts->n++] = m;
	}
}

int mounts_read(struct mounts *ret_mounts)
{
	FILE *in = fopen("/proc/self/mountinfo", "re");
	int r = 0;

	if (!in) {
		r = -errno;
		cli_error("cannot read /proc/self/mountinfo: %s", strerror(-r));
		return r;
	}
	mounts_parse(in, ret_mounts);
	fclose(in);
	return 0;
}

void mounts_deinit(struct mounts *ms)
{
	for (size_t i = 0; i < ms->n; i++) {
		free(ms->list[i].point);
		free(ms->list[i].type);
		free(ms->list[i].source);
		free(ms->list[i].fs_options);
	}
	free(ms->list);
	*ms = MOUNTS_INIT;
}

bool mount_is_memofs(const struct mount *m)
{
	return strcmp(m->type, "fuse.memofs") == 0;
}

bool mount_is_of(const struct mount *m, uid_t uid)
{
	const char *at = strstr(m->fs_options, "user_id=");

	return at && strtoul(at + strlen("user_id="), NULL, 10) == uid;
}

bool mount_has_option(const struct mount *m, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = m->fs_options; *at;) {
		size_t n = strcspn(at, ",");

		if (n == len && memcmp(at, name, n) == 0)
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}

bool mount_is_mine(const struct mount *m)
{
	return mount_is_of(m, geteuid());
}

const struct mount *mounts_at(const struct mounts *ms, const char *point)
{
	for (size_t i = ms->n; i-- > 0;) {
		if (strcmp(ms->list[i].point, point) == 0)
			return &ms->list[i];
	}
	return NULL;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

const struct mount *mounts_over(const struct mounts *ms, const char *path)
{
	const struct mount *best = NULL;

	for (size_t i = 0; i < ms->n; i++) {
		const struct mount *m = &ms->list[i];

		if (is_below(path, m->point) &&
		    (!best || strlen(m->point) >= strlen(best->point)))
			best = m;
	}
	return best;
}

const struct mount *mounts_of_dev(const struct mounts *ms, dev_t dev)
{
	for (size_t i = 0; i < ms->n; i++) {
		if (ms->list[i].dev == dev && mount_is_memofs(&ms->list[i]))
			return &ms->list[i];
	}
	return NULL;
}

const struct mount *mounts_inside(const struct mounts *ms, const struct mount *m)
{
	for (size_t i = 0; i < ms->n; i++) {
		if (ms->list[i].parent == m->id && ms->list[i].id != m->id)
			return &ms->list[i];
	}
	return NULL;
}
