/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tree/exact.h"
#include "cli/tree/outfile.h"

struct linking {
	const struct pack *pack;
	const char *entry;
	int dirfd;
	struct errmsg *err;
};

static int failed(const struct linking *l, int r, const char *name)
{
	return err_set(l->err, -r, "%s: %s", name, strerror(-r));
}

/* The name of a child of the root. */
static void name_of(const struct linking *l, uint32_t i, char ret_name[PACK_NAME_MAX + 1])
{
	struct pack_entry e;

	pack_get(l->pack, i, &e);
	memcpy(ret_name, e.name.data, e.name.len);
	ret_name[e.name.len] = '\0';
}

static int refuse(const struct linking *l, const char *name)
{
	struct stat st;

	if (fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : failed(l, -errno, name);
	if (S_ISLNK(st.st_mode))
		return 0;
	return err_set(l->err, EEXIST,
		       "%s is there and would be lost; --force replaces it by a symlink",
		       name);
}

/* A directory with all that is in it, or a file. */
static int remove_tree(const struct linking *l, const char *name)
{
	CLEANUP_FREE char *text = exact_pattern_of(slice(name, strlen(name)));
	const char *const texts[] = {text};
	struct patterns *ps;
	uint64_t removed;
	int r = patterns_new(texts, 1, &ps, l->err);

	if (r)
		return r;
	r = exact_remove(l->dirfd, NULL, ps, NULL, &removed, NULL, l->err);
	patterns_free(ps);
	if (!r && faccessat(l->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(l->err, ENOTEMPTY,
			       "%s: what was replaced cannot be removed altogether",
			       name);
	return r;
}

/* The symlink has the name from one moment to the next, then the old tree goes. */
static int replace_tree(const struct linking *l, const char *target, const char *name)
{
	char tmp[OUTFILE_TMP_MAX];
	int r;

	outfile_tmp_name(tmp);
	if (symlinkat(target, l->dirfd, tmp))
		return failed(l, -errno, name);
	if (renameat2(l->dirfd, tmp, l->dirfd, name, RENAME_EXCHANGE)) {
		r = -errno;
		unlinkat(l->dirfd, tmp, 0);
		return failed(l, r, name);
	}
	return remove_tree(l, tmp);
}

static int link_one(const struct linking *l, const char *name)
{
	CLEANUP_FREE char *target = path_join(l->entry, name);
	struct stat st;
	int r;

	if (fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return replace_tree(l, target, name);
	r = outfile_symlink(l->dirfd, target, name);
	return r ? failed(l, r, name) : 0;
}

int link_tree(const struct pack *p, const char *entry, int dirfd, bool force,
	      uint64_t *ret_made, struct errmsg *err)
{
	struct linking l = {.pack = p, .entry = entry, .dirfd = dirfd, .err = err};
	char name[PACK_NAME_MAX + 1];
	struct pack_entry root;
	int r = 0;

	pack_get(p, 0, &root);
	for (uint32_t i = 0; !r && !force && i < root.children; i++) {
		name_of(&l, root.first_child + i, name);
		r = refuse(&l, name);
	}
	for (uint32_t i = 0; !r && i < root.children; i++) {
		name_of(&l, root.first_child + i, name);
		r = link_one(&l, name);
	}
	*ret_made = root.children;
	return r;
}
