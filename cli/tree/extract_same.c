/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there as it should be: found by several threads, each of which takes some
 * entries at a time, in the order of the pack, where those of one directory lie
 * together. Nothing is changed, and nothing fails: what cannot be looked at is looked
 * at again by who can tell why.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cli/tree/extract.h"

/* Entries that a thread takes at once. */
#define SHARE_ENTRIES 256
/* In a smaller tree one thread finds out on the way. */
#define LARGE_ENTRIES 1024

struct sameness {
	struct extraction *x;
	atomic_size_t next; /* share */
	size_t n_shares;
};

/* One thread's. */
struct looker {
	struct extraction *x;
	struct dirstack dirs;
	uint32_t
	    missing; /* a directory that could not be opened; 0: none, or the first */
};

static int open_parent(struct looker *l, const struct pack_entry *e)
{
	int fd;

	if (l->missing && e->parent == l->missing)
		return -1;
	if (dirstack_get(&l->dirs, e->parent, &fd) == 0)
		return fd;
	l->missing = e->parent;
	return -1;
}

static bool is_right(const struct extraction *x, int dirfd, const char *name,
		     const struct pack_entry *e, const struct stat *st)
{
	enum job_state state;

	if (extract_time_differs(x, e, st))
		return false;
	switch (e->type) {
	case PACK_DIR:
		return S_ISDIR(st->st_mode) && (st->st_mode & 0777) == extract_mode(x, e);
	case PACK_LINK:
		return S_ISLNK(st->st_mode) && extract_target_is(dirfd, name, e);
	default:
		return (st->st_mode & 07777) == extract_mode(x, e) &&
		       extract_content_known(x, e, st, &state);
	}
}

static void look_at(struct looker *l, uint32_t entry)
{
	struct extraction *x = l->x;
	const struct stat *seen = x->how->seen ? x->how->seen[entry] : NULL;
	struct pack_entry e;
	struct entry_name name;
	struct stat st;
	int fd = -1;

	pack_get(&x->r->pack, entry, &e);
	name = entry_name(&e);
	/* Of a file all is known then. */
	if (!seen || e.type != PACK_FILE)
		fd = open_parent(l, &e);
	if (fd < 0 && !(seen && e.type == PACK_FILE))
		return;
	if (!seen && fstatat(fd, name.text, &st, AT_SYMLINK_NOFOLLOW))
		return;
	if (!is_right(x, fd, name.text, &e, seen ? seen : &st))
		return;
	x->flags[entry] |= EXTRACT_SAME;
	if (e.type != PACK_DIR)
		extract_count(x, false, e.type == PACK_FILE ? e.size_bytes : 0);
}

static void look_at_share(struct looker *l, size_t share)
{
	uint32_t n = pack_entries(&l->x->r->pack);
	uint32_t i = (uint32_t)share * SHARE_ENTRIES;
	uint32_t end = n - i < SHARE_ENTRIES ? n : i + SHARE_ENTRIES;

	for (; i < end; i++) {
		if (l->x->flags[i] & EXTRACT_WANTED)
			look_at(l, i);
	}
}

static void work(void *arg, bool main)
{
	struct sameness *s = arg;
	struct extraction *x = s->x;
	struct looker l = {.x = x, .dirs = dirstack_of(&x->r->pack, x->root, x->dirfd)};
	size_t i;

	while ((i = atomic_fetch_add(&s->next, 1)) < s->n_shares && !extract_ends(x)) {
		look_at_share(&l, i);
		if (main)
			extract_progress(x);
	}
	dirstack_deinit(&l.dirs);
}

void extract_same(struct extraction *x)
{
	uint32_t n = pack_entries(&x->r->pack);
	struct sameness s = {
	    .x = x,
	    .n_shares = (n + SHARE_ENTRIES - 1) / SHARE_ENTRIES,
	};

	if (n >= LARGE_ENTRIES)
		extract_together(s.n_shares, work, &s);
}
