/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the kernel may read an extent without us: all of its blocks are known to be right,
 * and all of its pages are where they were when that was found out (verified.h).
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/gen.h"
#include "store/sums.h"
#include "store/verified.h"

/* cachestat(2), Linux 6.5; <linux/mman.h> has these from then on. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct cache_range {
	uint64_t off, len;
};

struct cache_counts {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

static uint64_t blocks_of(uint64_t size_bytes)
{
	return (size_bytes + SUMS_BLOCK_BYTES - 1) / SUMS_BLOCK_BYTES;
}

/*
 * What the page cache has read again since, nobody has told: so long it is believed. Then
 * somebody reads it through us once more.
 */
#define TRUST_NS (3600 * NSEC_PER_SEC)

/* All of a page is there or nothing of it. Also false: nobody can tell. */
static bool all_cached(int fd, uint64_t size_bytes)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct cache_range range = {0, size_bytes};
	struct cache_counts counts;

	return syscall(SYS_cachestat, fd, &range, &counts, 0) == 0 &&
	       counts.cached == (size_bytes + page_bytes - 1) / page_bytes;
}

bool store_gen_may_back(const struct store_gen *gen)
{
	return gen->fd >= 0 && !gen->shared && !gen->sealed &&
	       gen->size_bytes >= STORE_BACKING_MIN_BYTES;
}

uint64_t store_gen_size(const struct store_gen *gen)
{
	return gen->size_bytes;
}

void gen_tell_verified(struct store_gen *gen)
{
	struct verified_file file = {.ino = gen->ino,
				     .blocks = blocks_of(gen->size_bytes)};

	if (!store_gen_may_back(gen) || atomic_load(&gen->condemned))
		return;
	/* Before the bits: if those are forgotten meanwhile, they come too late. */
	pthread_mutex_lock(&gen->lock);
	file.mtime = gen->mtime;
	file.since_ns = atomic_load(&gen->checked_ns);
	pthread_mutex_unlock(&gen->lock);
	for (uint64_t i = 0; i < sums_chunks(gen->size_bytes); i++) {
		struct gen_chunk *chunk = atomic_load(&gen->chunks[i]);
		size_t count = sums_chunk_blocks(gen->size_bytes, i);
		uint64_t bits[SUMS_PER_CHUNK / 64];

		if (!chunk)
			continue;
		for (size_t w = 0; w < (count + 63) / 64; w++)
			bits[w] = atomic_load_explicit(&chunk->checked[w],
						       memory_order_relaxed);
		verified_add(gen->st->verified, &file, i * SUMS_PER_CHUNK, bits, count);
	}
}

void gen_verified_published(struct store *st, uint64_t ino, int fd)
{
	struct verified_file file = {.ino = ino, .since_ns = time_monotonic_ns()};
	struct stat sb;

	if (fstat(fd, &sb) || (uint64_t)sb.st_size < STORE_BACKING_MIN_BYTES)
		return;
	file.blocks = blocks_of((uint64_t)sb.st_size);
	file.mtime = sb.st_mtim;
	verified_add_all(st->verified, &file);
}

/*
 * What it reads from now on is compared again; of the file with that mtime, NULL: as it
 * was.
 */
static void forget_checked(struct store_gen *gen, const struct timespec *mtime)
{
	int64_t now_ns;

	pthread_mutex_lock(&gen->lock);
	now_ns = time_monotonic_ns();
	verified_forget(gen->st->verified, gen->ino, now_ns);
	for (uint64_t i = 0; gen->chunks && i < sums_chunks(gen->size_bytes); i++) {
		struct gen_chunk *chunk = atomic_load(&gen->chunks[i]);
		size_t count = sums_chunk_blocks(gen->size_bytes, i);

		for (size_t w = 0; chunk && w < (count + 63) / 64; w++)
			atomic_store_explicit(&chunk->checked[w], 0,
					      memory_order_relaxed);
	}
	if (mtime)
		gen->mtime = *mtime;
	atomic_store(&gen->checked_ns, now_ns + 1);
	pthread_mutex_unlock(&gen->lock);
}

/* Has somebody written to it since its blocks were compared? */
static bool is_written_to(struct store_gen *gen, const struct timespec *mtime)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gen->lock);

	return gen->mtime.tv_sec != mtime->tv_sec || gen->mtime.tv_nsec != mtime->tv_nsec;
}

void gen_distrust(struct store *st, uint64_t ino)
{
	struct store_gen *gen;

	verified_forget(st->verified, ino, time_monotonic_ns());
	if (store_gen_reopen(st, ino, &gen))
		return;
	forget_checked(gen, NULL);
	store_gen_close(gen);
}

/*
 * To look at all pages costs some nanoseconds for each. So it is done again when as many
 * nanoseconds are over as there are bytes: after a second, of a GiB.
 */
static bool pages_are_there(struct store_gen *gen)
{
	struct verified *v = gen->st->verified;
	int64_t now_ns = time_monotonic_ns();

	if (verified_seen(v, gen->ino, now_ns - (int64_t)gen->size_bytes))
		return true;
	if (!all_cached(gen->fd, gen->size_bytes))
		return false;
	verified_see(v, gen->ino, now_ns);
	return true;
}

int store_gen_backing(struct store_gen *gen, int *ret_fd)
{
	struct verified *v = gen->st->verified;
	struct stat sb;

	if (!store_gen_may_back(gen) || atomic_load(&gen->condemned) ||
	    fstat(gen->fd, &sb) || (uint64_t)sb.st_size != gen->size_bytes)
		return -ENODATA;
	if (verified_is_older(v, gen->ino, time_monotonic_ns() - TRUST_NS) ||
	    atomic_load(&gen->checked_ns) < time_monotonic_ns() - TRUST_NS ||
	    is_written_to(gen, &sb.st_mtim))
		forget_checked(gen, &sb.st_mtim);
	if (!verified_has_all(v, gen->ino, &sb.st_mtim)) {
		gen_tell_verified(gen);
		if (!verified_has_all(v, gen->ino, &sb.st_mtim))
			return -ENODATA;
	}
	if (!pages_are_there(gen)) {
		forget_checked(gen, &sb.st_mtim);
		return -ENODATA;
	}
	*ret_fd = gen->fd;
	return 0;
}
