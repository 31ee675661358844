/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/filehash.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/tree/hashfile.h"

#define SECOND_NS INT64_C(1000000000)
#define DAY_S (24 * 60 * 60)
#define SAFE_AGE_NS (2 * SECOND_NS)
/* Longer than a tick of any kernel's clock. */
#define TICK_NS (20 * 1000 * 1000)
#define READ_BYTES ((size_t)256 * 1024)

struct filehash {
	int64_t opened_ns;
	/* What was known; only `used` and `aging` of them change. */
	struct hashfile file, tree_file;
	pthread_mutex_t lock; /* the rest, and those */
	struct hashtable learnt, learnt_trees;
	int64_t written_ns; /* the newest time of what was written; 0: nothing */
	dev_t fine_dev;	    /* the device asked about last, and what it said */
	bool fine_asked, fine;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static struct hashrecord record_of(const struct stat *st)
{
	return (struct hashrecord){
	    .dev = st->st_dev,
	    .ino = st->st_ino,
	    .size_bytes = (uint64_t)st->st_size,
	    .mtime_ns = ns_of(st->st_mtim),
	    .ctime_ns = ns_of(st->st_ctim),
	};
}

int filehash_open(int dirfd, struct filehash **ret_memory)
{
	struct filehash *fh = calloc(1, sizeof(*fh));

	if (!fh)
		return -ENOMEM;
	if (pthread_mutex_init(&fh->lock, NULL)) {
		free(fh);
		return -ENOMEM;
	}
	fh->opened_ns = now_ns();
	hashfile_open(dirfd, "", fh->opened_ns / SECOND_NS, &fh->file);
	hashfile_open(dirfd, ".trees", fh->opened_ns / SECOND_NS, &fh->tree_file);
	*ret_memory = fh;
	return 0;
}

/* From here on no change can have the times of what was written. */
static void let_pass(int64_t written_ns)
{
	int64_t left_ns = written_ns + TICK_NS - now_ns();

	if (written_ns && left_ns > 0)
		nanosleep(
		    &(struct timespec){.tv_nsec = left_ns < TICK_NS ? left_ns : TICK_NS},
		    NULL);
}

void filehash_close(struct filehash *fh)
{
	if (!fh)
		return;
	let_pass(fh->written_ns);
	hashfile_close(&fh->file, &fh->learnt);
	hashfile_close(&fh->tree_file, &fh->learnt_trees);
	hashtable_deinit(&fh->learnt);
	hashtable_deinit(&fh->learnt_trees);
	pthread_mutex_destroy(&fh->lock);
	free(fh);
}

bool filehash_known(struct filehash *fh, const struct stat *st,
		    uint8_t ret_hash[FILEHASH_BYTES])
{
	struct hashrecord want = record_of(st);
	const struct hashrecord *r;
	bool known;

	pthread_mutex_lock(&fh->lock);
	r = hashtable_find(&fh->learnt, &want);
	if (!r)
		r = hashfile_find(&fh->file, &want);
	known = r && r->size_bytes == want.size_bytes && r->mtime_ns == want.mtime_ns &&
		r->ctime_ns == want.ctime_ns;
	if (known)
		memcpy(ret_hash, r->hash, FILEHASH_BYTES);
	pthread_mutex_unlock(&fh->lock);
	return known;
}

static void remember(struct filehash *fh, const struct hashrecord *r)
{
	pthread_mutex_lock(&fh->lock);
	/* Without memory it is read again the next time. */
	hashtable_put(&fh->learnt, r);
	pthread_mutex_unlock(&fh->lock);
}

void filehash_learn(struct filehash *fh, const struct stat *st,
		    const uint8_t hash[FILEHASH_BYTES])
{
	struct hashrecord r = record_of(st);
	/* No stat was done, nor was anything read, before it was opened. */
	int64_t mtime_age_ns = fh->opened_ns - r.mtime_ns;

	if (fh->opened_ns - r.ctime_ns < SAFE_AGE_NS ||
	    (mtime_age_ns < SAFE_AGE_NS && mtime_age_ns > -SAFE_AGE_NS))
		return;
	memcpy(r.hash, hash, FILEHASH_BYTES);
	remember(fh, &r);
}

/* File systems of this machine that keep the times the kernel's clock has. */
static bool is_fine(int fd)
{
	struct statfs sfs;

	if (fstatfs(fd, &sfs))
		return false;
	switch ((uint32_t)sfs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case F2FS_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

void filehash_wrote(struct filehash *fh, int fd, const struct stat *st,
		    const uint8_t hash[FILEHASH_BYTES])
{
	struct hashrecord r = record_of(st);
	bool fine;

	memcpy(r.hash, hash, FILEHASH_BYTES);
	pthread_mutex_lock(&fh->lock);
	if (!fh->fine_asked || fh->fine_dev != st->st_dev) {
		fh->fine_dev = st->st_dev;
		fh->fine = is_fine(fd);
		fh->fine_asked = true;
	}
	/* An old ext4 may have whole seconds only. */
	fine = fh->fine && st->st_ctim.tv_nsec != 0;
	if (fine && r.ctime_ns > fh->written_ns)
		fh->written_ns = r.ctime_ns;
	pthread_mutex_unlock(&fh->lock);
	if (fine)
		remember(fh, &r);
}

/* ---- trees ------------------------------------------------------------------------- */

/* A record's place and size are the two halves of the digest. */
static struct hashrecord tree_record_of(const uint8_t digest[FILEHASH_BYTES])
{
	struct hashrecord r = {0};

	memcpy(&r.ino, digest, sizeof(r.ino));
	memcpy(&r.size_bytes, digest + sizeof(r.ino), sizeof(r.size_bytes));
	return r;
}

bool filehash_tree_known(struct filehash *fh, const uint8_t digest[FILEHASH_BYTES],
			 uint8_t ret_hash[FILEHASH_BYTES])
{
	struct hashrecord want = tree_record_of(digest);
	const struct hashrecord *r;
	bool known;

	pthread_mutex_lock(&fh->lock);
	r = hashtable_find(&fh->learnt_trees, &want);
	if (!r)
		r = hashfile_find(&fh->tree_file, &want);
	known =
	    r && r->size_bytes == want.size_bytes && !hashfile_is_old(&fh->tree_file, r);
	if (known)
		memcpy(ret_hash, r->hash, FILEHASH_BYTES);
	pthread_mutex_unlock(&fh->lock);
	return known;
}

void filehash_tree_learn(struct filehash *fh, const uint8_t digest[FILEHASH_BYTES],
			 const uint8_t hash[FILEHASH_BYTES])
{
	struct hashrecord r = tree_record_of(digest);

	memcpy(r.hash, hash, FILEHASH_BYTES);
	r.day = (uint32_t)(fh->opened_ns / SECOND_NS / DAY_S);
	pthread_mutex_lock(&fh->lock);
	/* Without memory each file is asked for the next time. */
	hashtable_put(&fh->learnt_trees, &r);
	pthread_mutex_unlock(&fh->lock);
}

/* ---- reading --------------------------------------------------------------------- */

static int digest(int fd, XXH3_state_t *state, uint8_t *block)
{
	off_t off = 0;

	for (;;) {
		ssize_t n = pread(fd, block, READ_BYTES, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		XXH3_128bits_update(state, block, (size_t)n);
		off += n;
	}
}

static int read_hash(int fd, uint8_t ret_hash[FILEHASH_BYTES])
{
	XXH3_state_t *state = XXH3_createState();
	uint8_t *block = malloc(READ_BYTES);
	XXH128_canonical_t canonical;
	int r = -ENOMEM;

	if (state && block) {
		XXH3_128bits_reset(state);
		r = digest(fd, state, block);
	}
	if (!r) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(ret_hash, canonical.digest, FILEHASH_BYTES);
	}
	free(block);
	XXH3_freeState(state);
	return r;
}

bool filehash_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && ns_of(a->st_mtim) == ns_of(b->st_mtim) &&
	       ns_of(a->st_ctim) == ns_of(b->st_ctim);
}

int filehash_get(struct filehash *fh, int fd, const struct stat *st,
		 uint8_t ret_hash[FILEHASH_BYTES])
{
	uint8_t hash[FILEHASH_BYTES];
	struct stat after;
	int r;

	if (filehash_known(fh, st, ret_hash))
		return 0;
	r = read_hash(fd, hash);
	if (r)
		return r;
	if (fstat(fd, &after))
		return -errno;
	if (!filehash_same_file(st, &after))
		return -EAGAIN;
	filehash_learn(fh, st, hash);
	memcpy(ret_hash, hash, FILEHASH_BYTES);
	return 0;
}
