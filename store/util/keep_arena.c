/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/keep_arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* In ->slab_class: the slab belongs to the block that begins before it. */
#define SLAB_FOLLOWS 255
/* In ->free: the block's memory was given back to the system. */
#define ARENA_BARE (1u << 31)

/* The units must leave a bit for ARENA_BARE. */
#define SLABS_MOST ((uint32_t)(ARENA_BARE / ARENA_SLAB_UNITS))
/* The system is asked for so much at once: an eighth of what there is, between these. */
#define GROW_LEAST ((uint64_t)1 << 20)
#define GROW_MOST ((uint64_t)16 << 20)
/* So many free bytes stay allocated, in blocks of a slab and more. */
#define IDLE_MOST ((uint64_t)32 << 20)

static const char MAGIC[16] = "memofs keep";

static uint64_t class_slabs(unsigned int cls)
{
	return cls == ARENA_HEADS || cls <= ARENA_SLAB_CLASS
		   ? 1
		   : 1u << (cls - ARENA_SLAB_CLASS);
}

static uint32_t class_units(unsigned int cls)
{
	return (uint32_t)(arena_block_bytes(cls) / ARENA_UNIT_BYTES);
}

static bool class_is_large(unsigned int cls)
{
	return cls != ARENA_HEADS && cls >= ARENA_SLAB_CLASS;
}

unsigned int arena_class_for(uint64_t bytes)
{
	unsigned int cls = 0;

	while (cls < ARENA_HEADS && arena_block_bytes(cls) < bytes)
		cls++;
	return cls;
}

/* The first slab that has blocks. */
static uint32_t first_slab(uint32_t slabs_max)
{
	uint64_t bytes = ARENA_PULSE_OFF + sizeof(struct keep_pulse) + slabs_max;

	return (uint32_t)((bytes + ARENA_SLAB_BYTES - 1) / ARENA_SLAB_BYTES);
}

static uint32_t slabs_used(const struct arena *a)
{
	return atomic_load_explicit(&a->header->slabs, memory_order_acquire);
}

bool arena_is_block(const struct arena *a, uint64_t unit)
{
	uint64_t slab = unit / ARENA_SLAB_UNITS;
	uint8_t code;

	if (slab >= slabs_used(a))
		return false;
	code = a->slab_class[slab];
	return code != 0 && code != SLAB_FOLLOWS &&
	       unit % ARENA_SLAB_UNITS % class_units(code - 1u) == 0;
}

/* ---- memory ---- */

/* Have the system allocate a part of the file. */
static int allocate(int fd, uint64_t off, uint64_t bytes)
{
	int r;

	do {
		r = fallocate(fd, 0, (off_t)off, (off_t)bytes) ? -errno : 0;
	} while (r == -EINTR);
	return r == 0 || r == -ENOMEM ? r : -ENOSPC;
}

/* The file has memory up to there. Under ->grow. */
static int grow_to(struct arena *a, uint64_t bytes)
{
	uint64_t most = (uint64_t)a->header->slabs_max * ARENA_SLAB_BYTES;
	uint64_t step = a->file_bytes / 8;
	int r;

	if (bytes <= a->file_bytes)
		return 0;
	if (bytes > most)
		return -ENOSPC;
	step = step < GROW_LEAST ? GROW_LEAST : step > GROW_MOST ? GROW_MOST : step;
	if (step > most - bytes)
		step = most - bytes;
	r = allocate(a->fd, a->file_bytes, bytes + step - a->file_bytes);
	if (r && step)
		r = allocate(a->fd, a->file_bytes, bytes - a->file_bytes), step = 0;
	if (r == 0)
		a->file_bytes = bytes + step;
	return r;
}

/* Slabs for blocks of that class; they count from the store of ->slabs. */
static int new_slabs(struct arena *a, unsigned int cls, uint32_t *ret_slab)
{
	uint32_t n = (uint32_t)class_slabs(cls), slab;
	int r;

	pthread_mutex_lock(&a->grow);
	slab = slabs_used(a);
	r = grow_to(a, ((uint64_t)slab + n) * ARENA_SLAB_BYTES);
	if (r == 0) {
		a->slab_class[slab] = (uint8_t)(cls + 1);
		memset(a->slab_class + slab + 1, SLAB_FOLLOWS, n - 1);
		atomic_store_explicit(&a->header->slabs, slab + n, memory_order_release);
		*ret_slab = slab;
	}
	pthread_mutex_unlock(&a->grow);
	return r;
}

/* The system gets the block's memory. If that fails it is only asked for again. */
static uint32_t make_bare(struct arena *a, uint32_t unit, uint64_t bytes)
{
	(void)fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)unit * ARENA_UNIT_BYTES, (off_t)bytes);
	return unit | ARENA_BARE;
}

/* May so much more stay allocated and be free? */
static bool may_idle(struct arena *a, uint64_t bytes)
{
	if (atomic_fetch_add(&a->idle_bytes, bytes) + bytes <= IDLE_MOST)
		return true;
	atomic_fetch_sub(&a->idle_bytes, bytes);
	return false;
}

/* ---- blocks ---- */

/* Room in ->free for `more` blocks beside those there are. Under ->lock. */
static int class_reserve(struct arena_class *c, size_t more)
{
	uint32_t *free_units = realloc(c->free, (c->blocks + more) * sizeof(*free_units));

	if (!free_units)
		return -ENOMEM;
	c->free = free_units;
	c->blocks += more;
	return 0;
}

static void class_put(struct arena_class *c, uint32_t unit)
{
	c->free[c->free_count++] = unit;
}

/* New slabs, all blocks of which are free. */
static int refill(struct arena *a, unsigned int cls)
{
	struct arena_class *c = &a->classes[cls];
	uint64_t units = class_slabs(cls) * ARENA_SLAB_UNITS;
	uint32_t slab, step = class_units(cls);
	int r = new_slabs(a, cls, &slab);

	if (r)
		return r;
	if (class_is_large(cls))
		atomic_fetch_add(&a->idle_bytes, arena_block_bytes(cls));
	pthread_mutex_lock(&c->lock);
	r = class_reserve(c, units / step);
	/* From behind, so that they are taken in order. */
	for (uint64_t at = units; r == 0 && at; at -= step)
		class_put(c, slab * ARENA_SLAB_UNITS + (uint32_t)at - step);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static bool take_free(struct arena_class *c, uint32_t *ret_unit)
{
	bool there;

	pthread_mutex_lock(&c->lock);
	there = c->free_count > 0;
	if (there)
		*ret_unit = c->free[--c->free_count];
	pthread_mutex_unlock(&c->lock);
	return there;
}

static void give_free(struct arena_class *c, uint32_t unit)
{
	pthread_mutex_lock(&c->lock);
	class_put(c, unit);
	pthread_mutex_unlock(&c->lock);
}

/* A large block that was free has memory again, and is idle no longer. */
static int clothe(struct arena *a, struct arena_class *c, uint32_t *unit, uint64_t bytes)
{
	int r;

	if (!(*unit & ARENA_BARE)) {
		atomic_fetch_sub(&a->idle_bytes, bytes);
		return 0;
	}
	*unit &= ~ARENA_BARE;
	r = allocate(a->fd, (uint64_t)*unit * ARENA_UNIT_BYTES, bytes);
	if (r)
		give_free(c, *unit | ARENA_BARE);
	return r;
}

int arena_take(struct arena *a, unsigned int cls, uint32_t *ret_unit)
{
	struct arena_class *c = &a->classes[cls];
	uint32_t unit;
	int r = 0;

	/* Others may take what was made here. */
	while (!take_free(c, &unit)) {
		r = refill(a, cls);
		if (r)
			return r;
	}
	if (class_is_large(cls))
		r = clothe(a, c, &unit, arena_block_bytes(cls));
	if (r == 0)
		*ret_unit = unit;
	return r;
}

void arena_give(struct arena *a, uint32_t unit)
{
	unsigned int cls = arena_class_of(a, unit);
	uint64_t bytes = arena_block_bytes(cls);

	if (class_is_large(cls) && !may_idle(a, bytes))
		unit = make_bare(a, unit, bytes);
	give_free(&a->classes[cls], unit);
}

/* ---- opening ---- */

static int map_file(struct arena *a, uint32_t slabs_max, struct errmsg *err)
{
	uint64_t bytes = (uint64_t)slabs_max * ARENA_SLAB_BYTES;
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  a->fd, 0);

	if (base == MAP_FAILED)
		return err_set(err, errno, "kept memory: cannot map %llu bytes: %s",
			       (unsigned long long)bytes, strerror(errno));
	a->base = base;
	a->header = base;
	a->slab_class = a->base + ARENA_PULSE_OFF + sizeof(struct keep_pulse);
	return 0;
}

/* The magic is stored last: without it the file is made once more. */
static int make_file(struct arena *a, uint64_t max_bytes, struct errmsg *err)
{
	uint64_t slabs = max_bytes / ARENA_SLAB_BYTES;
	uint32_t first = slabs <= SLABS_MOST ? first_slab((uint32_t)slabs) : 0;
	uint64_t bytes = (uint64_t)first * ARENA_SLAB_BYTES;
	int r;

	if (!first || slabs <= first)
		return err_set(err, EINVAL, "kept memory: %llu bytes cannot be its bound",
			       (unsigned long long)max_bytes);
	if (ftruncate(a->fd, 0))
		return err_set(err, errno, "kept memory: %s", strerror(errno));
	r = allocate(a->fd, 0, bytes);
	if (r)
		return err_set(err, -r, "kept memory: no room for its first %llu bytes",
			       (unsigned long long)bytes);
	r = map_file(a, (uint32_t)slabs, err);
	if (r)
		return r;
	a->file_bytes = bytes;
	a->header->layout = KEEP_LAYOUT;
	a->header->slabs_max = (uint32_t)slabs;
	atomic_store(&a->header->slabs, first);
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(a->header->magic, MAGIC, sizeof(MAGIC));
	return 0;
}

static int damaged(struct errmsg *err, const char *what)
{
	return err_set(err, EUCLEAN, "kept memory is damaged: %s", what);
}

/* Blocks lie one behind the other, whole. */
static int check_slabs(const struct arena *a, struct errmsg *err)
{
	uint32_t slabs = slabs_used(a), n;

	for (uint32_t slab = first_slab(a->header->slabs_max); slab < slabs; slab += n) {
		uint8_t code = a->slab_class[slab];

		if (code == 0 || code > ARENA_CLASSES)
			return damaged(err, "a slab of no class");
		n = (uint32_t)class_slabs(code - 1u);
		if (n > slabs - slab)
			return damaged(err, "a block beyond its end");
		for (uint32_t i = 1; i < n; i++) {
			if (a->slab_class[slab + i] != SLAB_FOLLOWS)
				return damaged(err, "a block within a block");
		}
	}
	return 0;
}

static int check_header(const struct arena_header *h, uint64_t file_bytes,
			struct errmsg *err)
{
	uint32_t slabs = atomic_load(&h->slabs);

	if (memcmp(h->magic, MAGIC, sizeof(MAGIC)) != 0)
		return damaged(err, "no kept memory at all");
	if (h->layout != KEEP_LAYOUT)
		return err_set(err, EPROTO,
			       "kept memory has layout %u, this program has %d: only the "
			       "program that made it goes on with it",
			       h->layout, KEEP_LAYOUT);
	if (h->slabs_max > SLABS_MOST || first_slab(h->slabs_max) > slabs ||
	    slabs > h->slabs_max)
		return damaged(err, "a number of slabs that cannot be");
	if (file_bytes < (uint64_t)slabs * ARENA_SLAB_BYTES)
		return damaged(err, "it was cut short");
	return 0;
}

static bool nothing_made(const struct arena_header *h)
{
	static const char none[sizeof(h->magic)];

	return memcmp(h->magic, none, sizeof(none)) == 0;
}

static int open_file(struct arena *a, uint64_t max_bytes, struct errmsg *err)
{
	struct arena_header h = {0};
	struct stat st;
	int r;

	if (fstat(a->fd, &st) || pread(a->fd, &h, sizeof(h), 0) < 0)
		return err_set(err, errno, "kept memory: %s", strerror(errno));
	if (nothing_made(&h))
		return make_file(a, max_bytes, err);
	r = check_header(&h, (uint64_t)st.st_size, err);
	if (r == 0)
		r = map_file(a, h.slabs_max, err);
	if (r)
		return r;
	a->file_bytes = (uint64_t)st.st_size / ARENA_SLAB_BYTES * ARENA_SLAB_BYTES;
	return check_slabs(a, err);
}

int arena_open(struct arena *a, int fd, uint64_t max_bytes, struct errmsg *err)
{
	int r;

	*a = (struct arena){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)};
	if (a->fd < 0)
		return err_set(err, errno, "kept memory: %s", strerror(errno));
	pthread_mutex_init(&a->grow, NULL);
	for (unsigned int i = 0; i < ARENA_CLASSES; i++)
		pthread_mutex_init(&a->classes[i].lock, NULL);
	r = open_file(a, max_bytes, err);
	if (r)
		arena_close(a);
	return r;
}

void arena_close(struct arena *a)
{
	for (unsigned int i = 0; i < ARENA_CLASSES; i++) {
		free(a->classes[i].free);
		pthread_mutex_destroy(&a->classes[i].lock);
	}
	pthread_mutex_destroy(&a->grow);
	if (a->base)
		munmap(a->base, (uint64_t)a->header->slabs_max * ARENA_SLAB_BYTES);
	close(a->fd);
}

int arena_each(struct arena *a, unsigned int cls, int (*each)(void *arg, uint32_t unit),
	       void *arg)
{
	uint32_t slabs = slabs_used(a), step = class_units(cls);
	uint64_t units = class_slabs(cls) * ARENA_SLAB_UNITS;
	int r = 0;

	for (uint32_t slab = first_slab(a->header->slabs_max); slab < slabs; slab++) {
		if (a->slab_class[slab] != cls + 1)
			continue;
		for (uint64_t at = 0; r == 0 && at < units; at += step)
			r = each(arg, slab * ARENA_SLAB_UNITS + (uint32_t)at);
	}
	return r;
}

size_t arena_map_bytes(const struct arena *a)
{
	return (size_t)slabs_used(a) * ARENA_SLAB_UNITS / 8;
}

struct sweep {
	struct arena *a;
	const uint8_t *used;
	bool count; /* how many blocks there are, to begin with */
};

static int sweep_block(void *arg, uint32_t unit)
{
	const struct sweep *s = arg;
	unsigned int cls = arena_class_of(s->a, unit);

	if (s->count)
		s->a->classes[cls].blocks++;
	else if (arena_map_get(s->used, unit))
		return 0;
	/* It may have no memory: nobody wrote down what was given back. */
	else if (class_is_large(cls))
		class_put(&s->a->classes[cls],
			  make_bare(s->a, unit, arena_block_bytes(cls)));
	else
		class_put(&s->a->classes[cls], unit);
	return 0;
}

int arena_sweep(struct arena *a, const uint8_t *used)
{
	struct sweep s = {.a = a, .used = used, .count = true};
	int r = 0;

	for (unsigned int i = 0; i < ARENA_CLASSES; i++) {
		arena_each(a, i, sweep_block, &s);
		if (a->classes[i].blocks)
			r = class_reserve(&a->classes[i], 0);
		if (r)
			return r;
	}
	s.count = false;
	for (unsigned int i = 0; i < ARENA_CLASSES; i++)
		arena_each(a, i, sweep_block, &s);
	return 0;
}
