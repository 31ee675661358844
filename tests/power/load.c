/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load a mount, and tell the recorder what was acknowledged (see model.h).
 *
 *   load MOUNT MARK MEMOFS SECONDS SEED [--bounds | --backup DEST]
 *
 * With --bounds the store evicts: some slots are pinned, some below a quota. With
 * --backup one backup after the other is made to DEST, the first one of which is marked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "model.h"

#define QUOTA "3MiB"
/* So many events go with a lot of syncs, then so many with hardly any. */
#define PHASE_EVENTS 150
/* On a busy machine it goes on until there were so many, for each second asked for. */
#define EVENTS_A_SECOND 150

struct cell {
	unsigned int value, size_bytes, ttl_s;
	bool at_risk;
};

struct worker {
	unsigned int index;
	uint64_t random;
	uint8_t *data;
	struct cell cells[SLOTS][CELLS]; /* of its own slots */
};

static struct {
	const char *memofs;
	char *backup; /* or NULL */
	int mark_fd;
	bool bounds;
	int64_t end_ns;
	unsigned int end_events;
	atomic_uint next_event, next_value;
	/* Held for writing while a process is made, which has all descriptors for a
	 * moment: what is closed then would not be published. */
	pthread_rwlock_t files;
} load = {.next_event = 1, .next_value = 1, .files = PTHREAD_RWLOCK_INITIALIZER};

/* ---- marks ---- */

static void mark(const char *text, size_t len)
{
	if (write(load.mark_fd, text, len) != (ssize_t)len)
		fail_errno("the recorder took no mark");
}

static void begin(struct event *event)
{
	char text[EVENT_TEXT_MAX];
	size_t len;

	event->id = atomic_fetch_add(&load.next_event, 1);
	len = event_format(event, text);
	mark(text, len);
}

static void done(struct worker *w, const struct event *event)
{
	char text[32];

	mark(text, (size_t)snprintf(text, sizeof(text), "done %u\n", event->id));
	for (size_t i = 0; i < event->set_count; i++) {
		const struct set *s = &event->sets[i];

		w->cells[event->slot][s->cell] = (struct cell){
		    s->value, s->size_bytes, s->ttl_s, s->at_risk && !event->durable};
	}
}

/* What was begun has changed nothing: that is fine where there are bounds. */
static void failed(const struct event *event)
{
	char text[32];

	mark(text, (size_t)snprintf(text, sizeof(text), "failed %u\n", event->id));
}

/* ---- writing ---- */

static unsigned int pick(struct worker *w, unsigned int below)
{
	return (unsigned int)(next_random(&w->random) % below);
}

static unsigned int pick_size(struct worker *w)
{
	static const unsigned int sizes[] = {VALUE_MIN, 300,	4096,	9000,	32768,
					     33000,	100000, 140000, 260000, 400000};
	unsigned int size = sizes[pick(w, sizeof(sizes) / sizeof(*sizes))];

	return pick(w, 40) ? size + pick(w, 7) : VALUE_MAX / 2;
}

/* In a store with bounds, and there alone, may a write be refused. */
static bool refused(const char *what)
{
	if (load.bounds && (errno == ENOSPC || errno == EDQUOT))
		return true;
	fail_errno("%s", what);
}

static bool write_value(struct worker *w, int fd, unsigned int value, size_t size,
			const char *path)
{
	size_t off, hole;

	value_fill(w->data, value, size);
	value_hole(value, size, &off, &hole);
	if (!hole)
		off = size;
	if (pwrite(fd, w->data, off, 0) != (ssize_t)off)
		return !refused(path);
	off += hole;
	if (off < size &&
	    pwrite(fd, w->data + off, size - off, (off_t)off) != (ssize_t)(size - off))
		return !refused(path);
	return true;
}

enum sync { SYNC_NOT, SYNC, SYNC_TOO_EARLY };

static bool write_open_file(struct worker *w, const char *path, unsigned int value,
			    size_t size, enum sync sync)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool written = true;

	if (fd < 0)
		return !refused(path);
	if (sync == SYNC_TOO_EARLY)
		written = pwrite(fd, "early", 5, 0) == 5 && !fsync(fd);
	written = written && write_value(w, fd, value, size, path);
	if (written && sync == SYNC && fsync(fd))
		written = !refused(path);
	if (close(fd))
		written = !refused(path);
	return written;
}

/* False: it was refused. */
static bool write_file(struct worker *w, const char *path, unsigned int value,
		       size_t size, enum sync sync)
{
	bool written;

	pthread_rwlock_rdlock(&load.files);
	written = write_open_file(w, path, value, size, sync);
	pthread_rwlock_unlock(&load.files);
	return written;
}

static void put(struct worker *w, unsigned int slot, unsigned int cell, const char *path,
		enum sync sync)
{
	const struct cell *was = &w->cells[slot][cell];
	unsigned int size = pick_size(w);
	struct event e = {
	    .slot = slot,
	    .set_count = 1,
	    .durable = sync == SYNC,
	    .sets = {{.cell = cell,
		      .value = atomic_fetch_add(&load.next_value, 1),
		      .size_bytes = size,
		      .ttl_s = was->value ? was->ttl_s : 0,
		      .at_risk = sync != SYNC}},
	};

	begin(&e);
	if (write_file(w, path, e.sets[0].value, size, sync))
		done(w, &e);
	else
		failed(&e);
}

/* ---- what is done with a directory, or a file that is there ---- */

/* False: it is not there, which is fine where things are evicted. */
static bool sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0 && load.bounds && errno == ENOENT)
		return false;
	if (fd < 0 || fsync(fd))
		fail_errno("sync %s", path);
	close(fd);
	return true;
}

static void sync_dir(struct worker *w, unsigned int slot)
{
	struct event e = {.slot = slot, .durable = true};
	char dir[64];

	slot_dir(slot, dir);
	begin(&e);
	sync_path(dir, O_DIRECTORY);
	done(w, &e);
	for (unsigned int cell = 0; cell < CELLS; cell++)
		w->cells[slot][cell].at_risk = false;
}

/* As the cell is, but durable afterwards. */
static void sync_key(struct worker *w, unsigned int slot, const char *path)
{
	const struct cell *key = &w->cells[slot][KEY];
	struct event e = {
	    .slot = slot,
	    .set_count = 1,
	    .durable = true,
	    .sets = {{.cell = KEY,
		      .value = key->value,
		      .size_bytes = key->size_bytes,
		      .ttl_s = key->ttl_s,
		      .at_risk = key->at_risk}},
	};

	if (!key->value)
		return;
	begin(&e);
	if (sync_path(path, 0))
		done(w, &e);
	else
		failed(&e);
}

static void remove_key(struct worker *w, unsigned int slot, const char *path)
{
	struct event e = {.slot = slot, .set_count = 1, .sets = {{.cell = KEY}}};

	if (!w->cells[slot][KEY].value)
		return;
	begin(&e);
	if ((slot_kind(slot) == SLOT_TREE ? rmdir(path) : unlink(path)) &&
	    !(load.bounds && errno == ENOENT))
		fail_errno("remove %s", path);
	done(w, &e);
}

/* TMP becomes KEY. */
static void move(struct worker *w, unsigned int slot, const char *from, const char *to)
{
	const struct cell *tmp = &w->cells[slot][TMP];
	struct event e = {
	    .slot = slot,
	    .set_count = 2,
	    .sets = {{.cell = KEY,
		      .value = tmp->value,
		      .size_bytes = tmp->size_bytes,
		      .ttl_s = tmp->ttl_s,
		      .at_risk = tmp->at_risk,
		      .renamed = true},
		     {.cell = TMP, .renamed = true}},
	};

	if (!tmp->value)
		return;
	begin(&e);
	if (!rename(from, to))
		done(w, &e);
	else if (!load.bounds || errno != ENOENT)
		fail_errno("rename %s", from);
	else
		failed(&e);
}

static void set_ttl(struct worker *w, unsigned int slot, const char *path)
{
	const struct cell *key = &w->cells[slot][KEY];
	struct event e = {
	    .slot = slot,
	    .set_count = 1,
	    .sets = {{.cell = KEY,
		      .value = key->value,
		      .size_bytes = key->size_bytes,
		      .ttl_s = 86400 + pick(w, 86400),
		      .at_risk = key->at_risk}},
	};
	char text[32];
	int len;

	if (!key->value || load.bounds)
		return;
	begin(&e);
	len = snprintf(text, sizeof(text), "%us", e.sets[0].ttl_s);
	if (setxattr(path, "user.cache.ttl", text, (size_t)len, 0))
		fail_errno("ttl of %s", path);
	done(w, &e);
}

/* ---- the slots ---- */

/* Phases in which little is synced leave the rest to the background. */
static bool wants_sync(struct worker *w)
{
	return pick(w, load.next_event / PHASE_EVENTS % 2 ? 50 : 2) == 0;
}

static void use_file(struct worker *w, unsigned int slot)
{
	char key[128], tmp[128];

	cell_path(slot, KEY, key);
	cell_path(slot, TMP, tmp);
	switch (pick(w, 8)) {
	case 0:
	case 1:
		put(w, slot, KEY, key, wants_sync(w) ? SYNC : SYNC_NOT);
		break;
	case 2:
		put(w, slot, KEY, key, wants_sync(w) ? SYNC_TOO_EARLY : SYNC_NOT);
		break;
	case 3:
	case 4:
		put(w, slot, TMP, tmp, wants_sync(w) ? SYNC : SYNC_NOT);
		move(w, slot, tmp, key);
		break;
	case 5:
		remove_key(w, slot, key);
		break;
	case 6:
		set_ttl(w, slot, key);
		break;
	case 7:
		if (wants_sync(w))
			sync_key(w, slot, key);
		break;
	}
	if (wants_sync(w) && !pick(w, 4))
		sync_dir(w, slot);
}

static void choose_version(struct worker *w, unsigned int slot, unsigned int version)
{
	struct event e = {.slot = slot,
			  .set_count = 1,
			  .sets = {{.cell = CHOSEN, .value = version + 1}}};
	char dir[64], text[8];
	int len = snprintf(text, sizeof(text), "v%u", version);

	slot_dir(slot, dir);
	begin(&e);
	if (setxattr(dir, "user.cache.version", text, (size_t)len, 0))
		fail_errno("version of %s", dir);
	done(w, &e);
}

static void use_version(struct worker *w, unsigned int slot)
{
	unsigned int chosen = w->cells[slot][CHOSEN].value;
	char dir[64], path[80];

	if (!chosen || pick(w, 3) == 0) {
		choose_version(w, slot, pick(w, VERSIONS));
	} else {
		slot_dir(slot, dir);
		snprintf(path, sizeof(path), "%s/key", dir);
		put(w, slot, chosen - 1, path, wants_sync(w) ? SYNC : SYNC_NOT);
	}
	if (wants_sync(w))
		sync_dir(w, slot);
}

static bool build_tree(struct worker *w, unsigned int slot, const char *stage,
		       const struct set *set)
{
	if (mkdir(stage, 0755))
		return !refused(stage);
	for (unsigned int i = 0; i < TREE_FILES; i++) {
		unsigned int number;
		char path[128];
		size_t size;

		tree_file(slot, i, set->value, set->size_bytes, &number, &size);
		snprintf(path, sizeof(path), "%s/%u", stage, i);
		if (!write_file(w, path, number, size, SYNC_NOT))
			return false;
	}
	return true;
}

static void use_tree(struct worker *w, unsigned int slot)
{
	struct event e = {
	    .slot = slot,
	    .set_count = 1,
	    .sets = {{.cell = KEY,
		      .value = atomic_fetch_add(&load.next_value, 1),
		      .size_bytes = pick_size(w)}},
	};
	char dir[64], stage[96], key[128];

	slot_dir(slot, dir);
	cell_path(slot, KEY, key);
	snprintf(stage, sizeof(stage), "%s/.memofs/stage/%u", dir, e.sets[0].value);
	if (pick(w, 4) == 0) {
		remove_key(w, slot, key);
	} else {
		begin(&e);
		if (build_tree(w, slot, stage, &e.sets[0]) &&
		    (!rename(stage, key) || !refused(key)))
			done(w, &e);
		else
			failed(&e);
	}
	if (wants_sync(w))
		sync_dir(w, slot);
}

static void run_memofs(const char *const *args)
{
	int status, e;
	pid_t pid;

	pthread_rwlock_wrlock(&load.files);
	e = posix_spawn(&pid, load.memofs, NULL, NULL, (char *const *)args, environ);
	pthread_rwlock_unlock(&load.files);
	if (e || waitpid(pid, &status, 0) < 0 || status)
		fail("memofs %s failed", args[1]);
}

static void clear(struct worker *w, unsigned int slot)
{
	struct event e = {.slot = slot, .set_count = VERSIONS};
	char dir[64];
	const char *args[] = {"memofs", "clear", "--quiet", "--yes", dir, NULL};

	slot_dir(slot, dir);
	for (unsigned int cell = 0; cell < VERSIONS; cell++)
		e.sets[cell].cell = cell;
	begin(&e);
	run_memofs(args);
	done(w, &e);
}

static void use_clear(struct worker *w, unsigned int slot)
{
	unsigned int cell = pick(w, VERSIONS);
	char path[128];

	cell_path(slot, cell, path);
	if (pick(w, 8) == 0)
		clear(w, slot);
	else
		put(w, slot, cell, path, wants_sync(w) ? SYNC : SYNC_NOT);
	if (wants_sync(w) && !pick(w, 2))
		sync_dir(w, slot);
}

static bool goes_on(void)
{
	return elapsed_ns() < load.end_ns || load.next_event < load.end_events;
}

static void *back_up(void *arg)
{
	const char *args[] = {"memofs", "backup", "--quiet", ".", load.backup, NULL};

	while (load.next_event < load.end_events / 3)
		sleep_ns(10000000);
	run_memofs(args);
	mark("# backup\n", 9);
	while (goes_on()) {
		sleep_ns(NSEC_PER_SEC / 2);
		run_memofs(args);
	}
	return NULL;
}

static void *work(void *arg)
{
	static void (*const use[SLOT_KINDS])(struct worker * w, unsigned int slot) = {
	    [SLOT_FILE] = use_file,
	    [SLOT_VERSION] = use_version,
	    [SLOT_TREE] = use_tree,
	    [SLOT_CLEAR] = use_clear,
	};
	struct worker *w = arg;

	while (goes_on()) {
		unsigned int slot = w->index + THREADS * pick(w, SLOTS / THREADS);

		use[slot_kind(slot)](w, slot);
		sleep_ns((int64_t)pick(w, 4) * 1000000);
	}
	return NULL;
}

/* ---- beginning and end ---- */

static void set_policy(const char *path, const char *name, const char *value)
{
	if (setxattr(path, name, value, strlen(value), 0))
		fail_errno("%s of %s", name, path);
}

static void make_slots(void)
{
	int fd;

	need_dir("free");
	need_dir("quota");
	if (load.bounds)
		set_policy("quota", "user.cache.quota", QUOTA);
	for (unsigned int slot = 0; slot < SLOTS; slot++) {
		char dir[64];

		slot_dir(slot, dir);
		need_dir(dir);
		if (slot_pinned(slot))
			set_policy(dir, "user.cache.pin", "yes");
	}
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		fail_errno("sync the mount");
	close(fd);
	mark("ready\n", 6);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS], backup;
	uint64_t seconds;

	if (argc == 7 && !strcmp(argv[6], "--bounds"))
		load.bounds = true;
	else if (argc == 8 && !strcmp(argv[6], "--backup"))
		load.backup = argv[7];
	else if (argc != 6) {
		fprintf(stderr, "usage: load MOUNT MARK MEMOFS SECONDS SEED "
				"[--bounds | --backup DEST]\n");
		return 2;
	}
	load.mark_fd = open(argv[2], O_WRONLY | O_CLOEXEC);
	if (load.mark_fd < 0 || chdir(argv[1]))
		fail_errno("%s, %s", argv[1], argv[2]);
	load.memofs = argv[3];
	make_slots();
	seconds = arg_u64(argv[4], "SECONDS", 1);
	load.end_ns = elapsed_ns() + (int64_t)seconds * NSEC_PER_SEC;
	load.end_events = (unsigned int)seconds * EVENTS_A_SECOND;
	for (unsigned int i = 0; i < THREADS; i++) {
		struct worker *w = calloc(1, sizeof(*w));

		if (!w || !(w->data = malloc(VALUE_MAX)))
			fail("out of memory");
		w->index = i;
		w->random = arg_u64(argv[5], "SEED", 0) * THREADS + i;
		if (pthread_create(&threads[i], NULL, work, w))
			fail("cannot start a thread");
	}
	if (load.backup && pthread_create(&backup, NULL, back_up, NULL))
		fail("cannot start a thread");
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (load.backup)
		pthread_join(backup, NULL);
	printf("%u events, %u values\n", load.next_event - 1, load.next_value - 1);
	return 0;
}
