/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expiry DIR ROUNDS: an entry is a hit until it expires and not a moment longer.
 *
 * In each round an entry with a short ttl is published, or one that is seen
 * through a view with a short max-age, and its expiry read from
 * user.cache.expires. Processes then ask for it in a tight loop, each in a way of
 * its own, so that every cache of the kernel is warm: names, attributes, pages,
 * listings. Two things are wrong: a hit of a call that began after the expiry, and
 * a miss of a call that ended before it. Both are judged by the wall clock read
 * around the call, so a busy machine changes nothing.
 *
 * Then the ttl of a directory is made shorter and longer over entries that
 * every cache of the kernel holds: it must act at once, in both directions.
 */
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define VALUE "a result that will expire\n"
enum { ENTRIES = 200, TTL_MS = 120, TAIL_MS = 40 };

/* ---- ways to ask for a name: true for a hit ----------------------------- */

static bool hit_by_open(const char *name)
{
	char got[sizeof(VALUE)];
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		return false;
	if (read_upto(fd, got, sizeof(got), name) != strlen(VALUE) ||
	    memcmp(got, VALUE, strlen(VALUE)) != 0)
		fail("%s has other content", name);
	close(fd);
	return true;
}

static bool hit_by_stat(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0;
}

static bool hit_by_access(const char *name)
{
	return access(name, R_OK) == 0;
}

static bool hit_by_path_fd(const char *name)
{
	int fd = open(name, O_PATH | O_NOFOLLOW);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool hit_by_xattr(const char *name)
{
	char text[64];

	return getxattr(name, "user.cache.expires", text, sizeof(text)) > 0;
}

/* Lists the directory that holds `name`. */
static bool hit_by_listing(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *last = slash ? slash + 1 : name;
	char *path = slash ? strndup(name, (size_t)(slash - name)) : strdup(".");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *ent;
	bool found = false;

	if (!dir)
		fail_errno("list the directory of %s", name);
	while (!found && (ent = readdir(dir)))
		found = strcmp(ent->d_name, last) == 0;
	closedir(dir);
	free(path);
	return found;
}

static const struct way {
	const char *what;
	bool (*hit)(const char *name);
	bool sets_errno; /* of a miss */
} ways[] = {
    {"open", hit_by_open, true},      {"stat", hit_by_stat, true},
    {"access", hit_by_access, true},  {"open O_PATH", hit_by_path_fd, true},
    {"getxattr", hit_by_xattr, true}, {"readdir", hit_by_listing, false},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* ---- attributes ---------------------------------------------------------- */

static void set_attr(const char *path, const char *name, const char *value)
{
	if (setxattr(path, name, value, strlen(value), 0) < 0)
		fail_errno("set %s=%s on %s", name, value, path);
}

static int64_t expires_ns(int fd, const char *path)
{
	char text[64];
	ssize_t len = fgetxattr(fd, "user.cache.expires", text, sizeof(text) - 1);
	int64_t seconds;
	char nanos[16];

	if (len < 0)
		fail_errno("user.cache.expires of %s", path);
	text[len] = '\0';
	if (sscanf(text, "%" SCNd64 ".%9[0-9]", &seconds, nanos) != 2 ||
	    strlen(nanos) != 9)
		fail("user.cache.expires of %s is '%s', not SECONDS.NANOS", path, text);
	return seconds * NSEC_PER_SEC + strtoll(nanos, NULL, 10);
}

/* ---- a short ttl, watched ------------------------------------------------- */

enum origin { ON_DIRECTORY, ON_ENTRY, ON_WRITING, IN_VIEW, ORIGINS };
static const char *const origin_name[] = {"ttl of the directory", "ttl of the entry",
					  "ttl set while it was written",
					  "max-age of the view it is seen in"};

struct watch {
	char name[128];
	int64_t expires;
	struct {
		uint64_t hits, misses;
		int64_t last_hit_ns;   /* before the expiry, the latest one's begin */
		int64_t first_miss_ns; /* after the expiry, the earliest one's begin */
	} seen[WAYS];
};

static void publish_short(const char *name, enum origin origin, int64_t ttl_ms)
{
	char ttl[32];
	int fd;

	snprintf(ttl, sizeof(ttl), "%" PRId64 "ms", ttl_ms);
	set_attr(".", "user.cache.ttl", origin == ON_DIRECTORY ? ttl : "1h");
	fd = open_or_fail(name, O_WRONLY | O_CREAT | O_EXCL);
	if (origin == ON_WRITING &&
	    fsetxattr(fd, "user.cache.ttl", ttl, strlen(ttl), 0) < 0)
		fail_errno("set user.cache.ttl while writing %s", name);
	write_all(fd, VALUE, strlen(VALUE), name);
	close_or_fail(fd, name);
	if (origin == ON_ENTRY)
		set_attr(name, "user.cache.ttl", ttl);
}

static void judge(struct watch *w, unsigned int way)
{
	int64_t before = wall_ns(), after;
	bool hit = ways[way].hit(w->name);

	if (!hit && ways[way].sets_errno && errno != ENOENT)
		fail_errno("%s of %s", ways[way].what, w->name);
	after = wall_ns();
	if (hit && before > w->expires)
		fail("%s of %s began %.3f ms after its expiry and was a hit",
		     ways[way].what, w->name, (double)(before - w->expires) / 1e6);
	if (!hit && after < w->expires)
		fail("%s of %s ended %.3f ms before its expiry and was a miss",
		     ways[way].what, w->name, (double)(w->expires - after) / 1e6);
	if (hit) {
		w->seen[way].hits++;
		w->seen[way].last_hit_ns = before - w->expires;
	} else if (!w->seen[way].misses++) {
		w->seen[way].first_miss_ns = before - w->expires;
	}
}

static void watch(unsigned int way, void *arg)
{
	struct watch *w = arg;

	while (wall_ns() < w->expires + TAIL_MS * INT64_C(1000000))
		judge(w, way);
}

/* Open and new; a machine that is so busy that it has expired by then tries again. */
static int open_short(struct watch *w, unsigned int round, enum origin origin)
{
	int64_t ttl_ms = TTL_MS + round % 7;

	for (unsigned int try = 0;; try++) {
		int64_t begun = wall_ns();
		char plain[32];
		int fd;

		snprintf(plain, sizeof(plain), "short%u.%u", round, try);
		publish_short(plain, origin, ttl_ms);
		/* Published outside; asked for by the path through the view. */
		if (origin == IN_VIEW)
			snprintf(w->name, sizeof(w->name),
				 ".memofs/view/ro,max-age=%" PRId64 "ms/%s", ttl_ms,
				 plain);
		else
			snprintf(w->name, sizeof(w->name), "%s", plain);
		fd = open(w->name, O_RDONLY);
		if (fd >= 0)
			return fd;
		if (try == 50 || errno != ENOENT ||
		    wall_ns() - begun < ttl_ms * INT64_C(1000000))
			fail_errno("open %s, %s, just published", w->name,
				   origin_name[origin]);
	}
}

static void short_round(struct watch *w, unsigned int round)
{
	enum origin origin = (enum origin)(round % ORIGINS);
	char got[sizeof(VALUE)];
	int64_t margin;
	int held;

	memset(w, 0, sizeof(*w));
	held = open_short(w, round, origin);
	w->expires = expires_ns(held, w->name);
	margin = w->expires - wall_ns();
	if (margin > (TTL_MS + 7) * INT64_C(1000000))
		fail("%s, %s: expires in %.3f ms", w->name, origin_name[origin],
		     (double)margin / 1e6);

	run_children(WAYS, watch, w);

	if (read_upto(held, got, sizeof(got), w->name) != strlen(VALUE))
		fail("%s, opened before it expired, cannot be read after", w->name);
	close(held);
}

static void short_rounds(unsigned int rounds)
{
	struct watch *w = shared_memory(sizeof(*w));
	uint64_t hits[WAYS] = {0}, misses[WAYS] = {0}, asked = 0;
	int64_t late = INT64_MAX, last = INT64_MIN;

	for (unsigned int round = 0; round < rounds; round++) {
		short_round(w, round);
		for (unsigned int i = 0; i < WAYS; i++) {
			hits[i] += w->seen[i].hits;
			misses[i] += w->seen[i].misses;
			if (w->seen[i].misses && w->seen[i].first_miss_ns < late)
				late = w->seen[i].first_miss_ns;
			if (w->seen[i].hits && w->seen[i].last_hit_ns > last)
				last = w->seen[i].last_hit_ns;
		}
	}
	/* A process that is starved may come late in one round, not in all. */
	for (unsigned int i = 0; i < WAYS; i++) {
		if (!hits[i] || !misses[i])
			fail("%s: %" PRIu64 " hits and %" PRIu64 " misses in all rounds",
			     ways[i].what, hits[i], misses[i]);
		asked += hits[i] + misses[i];
	}
	printf("%u entries asked for %" PRIu64 " times around their expiry: the latest "
	       "hit began %.1f us before it, the earliest miss %.1f us %s\n",
	       rounds, asked, (double)-last / 1e3, (double)llabs(late) / 1e3,
	       late < 0 ? "before it (and ended after)" : "after");
}

/* ---- the ttl of a directory changes ---------------------------------------- */

static void entry_name(char *ret_name, size_t size, unsigned int i)
{
	snprintf(ret_name, size, i % 2 ? "d/sub/e%u" : "d/e%u", i);
}

static void want_all(bool hit, const char *when)
{
	char name[64];

	for (unsigned int i = 0; i < ENTRIES; i++) {
		/* Listings are quadratic: a few are enough. */
		unsigned int count = i < 4 ? WAYS : WAYS - 1;

		entry_name(name, sizeof(name), i);
		for (unsigned int k = 0; k < count; k++) {
			const struct way *way = &ways[(k + i) % count];

			if (way->hit(name) != hit)
				fail("%s: %s of %s is a %s", when, way->what, name,
				     hit ? "miss" : "hit");
		}
	}
}

static void directory_ttl(unsigned int rounds)
{
	char name[64];
	int64_t begin, took = 0;

	need_dir("d");
	need_dir("d/sub");
	set_attr("d", "user.cache.ttl", "PT1H");
	for (unsigned int i = 0; i < ENTRIES; i++) {
		entry_name(name, sizeof(name), i);
		put_file(name, VALUE, strlen(VALUE));
	}
	sleep_ns(20000000);
	for (unsigned int round = 0; round < rounds; round++) {
		want_all(true, "under a ttl of an hour");
		begin = elapsed_ns();
		set_attr("d", "user.cache.ttl", "10ms");
		took += elapsed_ns() - begin;
		want_all(false, "after the directory's ttl became 10 ms");
		begin = elapsed_ns();
		set_attr("d", "user.cache.ttl", round % 2 ? "none" : "3600");
		took += elapsed_ns() - begin;
		want_all(true, "after the directory's ttl became long again");

		/* The nearest directory decides, and removal uncovers the next. */
		set_attr("d/sub", "user.cache.ttl", "PT2H");
		set_attr("d", "user.cache.ttl", "10ms");
		if (!hit_by_open("d/sub/e1") || hit_by_open("d/e0"))
			fail("the ttl of the nearest directory does not decide");
		if (removexattr("d/sub", "user.cache.ttl") < 0)
			fail_errno("remove user.cache.ttl of d/sub");
		if (hit_by_open("d/sub/e1") || hit_by_stat("d/sub/e1"))
			fail("the ttl of a directory acts after it was removed");
		set_attr("d", "user.cache.ttl", "PT1H");
	}
	printf("the ttl of a directory over %d cached entries, made shorter and longer "
	       "%u times: acted at once, %.1f us a change\n",
	       ENTRIES, rounds, (double)took / 2e3 / rounds);
}

int main(int argc, char **argv)
{
	unsigned int rounds;

	if (argc != 3) {
		fprintf(stderr, "usage: expiry DIR ROUNDS\n");
		return 2;
	}
	rounds = (unsigned int)arg_u64(argv[2], "ROUNDS", 1);

	enter_scratch(argv[1], "expiry");
	short_rounds(rounds);
	directory_ttl(rounds);
	leave_scratch();
	return 0;
}
