/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/hashfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/copy.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/userdirs.h"
#include "store/util/htab.h"

#define MAGIC "memofsH1"
#define DAY_S (24 * 60 * 60)
/* Asked for less recently, a record is not kept. */
#define KEEP_DAYS 30
/* A record's day may lag so far behind, lest the file be written for nothing else. */
#define LAG_DAYS 7
/* Of one file, 128 MiB of them: as many as a tree has. */
#define RECORDS_MAX (UINT64_C(1) << 21)
#define CAP_MIN 64

/* As large as a record. */
struct header {
	char magic[8];
	uint64_t cap;
	uint64_t record_bytes; /* and the order of bytes */
	uint8_t zero[40];
};

_Static_assert(sizeof(struct hashrecord) == 64, "records are a power of two");
_Static_assert(sizeof(struct header) == sizeof(struct hashrecord), "records are aligned");

static uint32_t check_of(const struct hashrecord *r)
{
	uint64_t h = hash_bytes(r, offsetof(struct hashrecord, check), 0);

	return (uint32_t)h ? (uint32_t)h : 1;
}

static uint64_t place_of(const struct hashrecord *r)
{
	return hash_u64(r->ino ^ r->dev << 40);
}

/* The slot of (dev, ino), or the free one where it would be. `cap` slots, not full. */
static size_t slot_of(const struct hashrecord *slots, size_t cap,
		      const struct hashrecord *want)
{
	size_t i = place_of(want) & (cap - 1);

	while (slots[i].check && (slots[i].ino != want->ino || slots[i].dev != want->dev))
		i = (i + 1) & (cap - 1);
	return i;
}

/* ---- in memory --------------------------------------------------------------------- */

void hashtable_deinit(struct hashtable *t)
{
	free(t->slots);
	*t = (struct hashtable){0};
}

const struct hashrecord *hashtable_find(const struct hashtable *t,
					const struct hashrecord *want)
{
	size_t i;

	if (!t->cap)
		return NULL;
	i = slot_of(t->slots, t->cap, want);
	return t->slots[i].check ? &t->slots[i] : NULL;
}

static int resize(struct hashtable *t, size_t cap)
{
	struct hashrecord *slots = calloc(cap, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++) {
		if (t->slots[i].check)
			slots[slot_of(slots, cap, &t->slots[i])] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

int hashtable_put(struct hashtable *t, const struct hashrecord *r)
{
	struct hashrecord *slot;

	if (t->n + t->n / 2 + 1 >= t->cap && resize(t, t->cap ? 2 * t->cap : CAP_MIN))
		return -ENOMEM;
	slot = &t->slots[slot_of(t->slots, t->cap, r)];
	t->n += slot->check == 0;
	*slot = *r;
	slot->check = check_of(slot);
	return 0;
}

/* ---- the file ------------------------------------------------------------------------
 */

/* In ~/.cache/memofs/hashes, or NULL. */
static char *path_for(int dirfd, const char *suffix)
{
	CLEANUP_FREE char *home = NULL;
	char *path = NULL;
	struct stat st;

	if (fstat(dirfd, &st) || userdir_cache(&home, NULL))
		return NULL;
	if (asprintf(&path, "%s/hashes/%" PRIx64 "-%" PRIx64 "%s", home,
		     (uint64_t)st.st_dev, (uint64_t)st.st_ino, suffix) < 0)
		return NULL;
	return path;
}

/* Nobody else can have written it? */
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	       (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool header_good(const struct header *h, size_t file_bytes)
{
	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 &&
	       h->record_bytes == sizeof(struct hashrecord) && h->cap &&
	       (h->cap & (h->cap - 1)) == 0 && h->cap <= 2 * RECORDS_MAX &&
	       file_bytes == sizeof(*h) + h->cap * sizeof(struct hashrecord);
}

static void map_file(struct hashfile *f, int fd)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) || !is_ours(&st) || st.st_size < (off_t)sizeof(struct header))
		return;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return;
	f->used = NULL;
	if (header_good(map, (size_t)st.st_size)) {
		f->cap = ((const struct header *)map)->cap;
		f->used = calloc(f->cap, 1);
	}
	if (!f->used) {
		f->cap = 0;
		munmap(map, (size_t)st.st_size);
		return;
	}
	f->map = map;
	f->map_bytes = (size_t)st.st_size;
	f->slots = (const struct hashrecord *)map + 1;
}

void hashfile_open(int dirfd, const char *suffix, int64_t now_s,
		   struct hashfile *ret_file)
{
	int fd;

	*ret_file = (struct hashfile){.path = path_for(dirfd, suffix), .now_s = now_s};
	if (!ret_file->path)
		return;
	fd = open(ret_file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	map_file(ret_file, fd);
	close(fd);
}

/* Is there a record in this slot? */
static bool good(const struct hashrecord *r)
{
	return r->check && r->check == check_of(r);
}

bool hashfile_is_old(const struct hashfile *f, const struct hashrecord *r)
{
	return r->day + LAG_DAYS < f->now_s / DAY_S;
}

const struct hashrecord *hashfile_find(struct hashfile *f, const struct hashrecord *want)
{
	size_t i = f->cap ? place_of(want) & (f->cap - 1) : 0;

	/* A file that is full of something else must not keep us for ever. */
	for (size_t n = 0; n < f->cap && f->slots[i].check; n++) {
		const struct hashrecord *r = &f->slots[i];

		if (r->ino == want->ino && r->dev == want->dev) {
			if (!good(r))
				return NULL;
			f->used[i] = 1;
			f->aging = f->aging || hashfile_is_old(f, r);
			return r;
		}
		i = (i + 1) & (f->cap - 1);
	}
	return NULL;
}

/* ---- writing -------------------------------------------------------------------------
 */

/* Old records, those that were of use now or the others, as far as there is room. */
static int keep(const struct hashfile *f, bool used, struct hashtable *all)
{
	uint32_t today = (uint32_t)(f->now_s / DAY_S);

	for (size_t i = 0; i < f->cap && all->n < RECORDS_MAX; i++) {
		struct hashrecord r = f->slots[i];
		int e;

		if (!f->used[i] != !used || !good(&r) || hashtable_find(all, &r))
			continue;
		if (used)
			r.day = today;
		else if (r.day + KEEP_DAYS < today)
			continue;
		e = hashtable_put(all, &r);
		if (e)
			return e;
	}
	return 0;
}

static int merge(const struct hashfile *f, const struct hashtable *learnt,
		 struct hashtable *all)
{
	int r = resize(all, CAP_MIN);

	for (size_t i = 0; !r && i < learnt->cap && all->n < RECORDS_MAX; i++) {
		struct hashrecord one = learnt->slots[i];

		one.day = (uint32_t)(f->now_s / DAY_S);
		if (one.check)
			r = hashtable_put(all, &one);
	}
	if (!r)
		r = keep(f, true, all);
	return r ? r : keep(f, false, all);
}

/* What the file is in. False: it would be another user's, and there is to be none. */
static bool make_folder(void)
{
	CLEANUP_FREE char *home = NULL, *dir = NULL;

	if (userdir_cache_make(&home, NULL))
		return false;
	dir = path_join(home, "hashes");
	return mkdir(dir, 0700) == 0 || errno == EEXIST;
}

/*
 * The file that is to be: always under one name, so that a program that is killed
 * leaves one at most, and the next takes that. Its lock keeps others away, who then
 * write nothing. Returns a descriptor or -errno.
 */
static int open_next(const char *path)
{
	struct stat here, there;
	int fd =
	    open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0)
		return -errno;
	/* Whoever had it locked may have given it its final name meanwhile. */
	if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &here) || !is_ours(&here) ||
	    stat(path, &there) || here.st_ino != there.st_ino ||
	    here.st_dev != there.st_dev || ftruncate(fd, 0)) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

static void replace(const struct hashfile *f, const struct hashtable *all)
{
	struct header h = {.cap = all->cap, .record_bytes = sizeof(struct hashrecord)};
	char *next;
	int fd, r;

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	if (!make_folder() || asprintf(&next, "%s.new", f->path) < 0)
		return;
	fd = open_next(next);
	if (fd >= 0) {
		r = copy_bytes(fd, &h, sizeof(h));
		if (!r)
			r = copy_bytes(fd, all->slots, all->cap * sizeof(*all->slots));
		if (r || rename(next, f->path))
			unlink(next);
		close(fd);
	}
	free(next);
}

void hashfile_close(struct hashfile *f, const struct hashtable *learnt)
{
	struct hashtable all = {0};

	if (f->path && (learnt->n || f->aging) && merge(f, learnt, &all) == 0)
		replace(f, &all);
	hashtable_deinit(&all);
	if (f->map)
		munmap(f->map, f->map_bytes);
	free(f->used);
	free(f->path);
	*f = (struct hashfile){0};
}
