/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mount and the store have to tell about themselves, gathered once for a
 * text: `stats` for people, `stats.json` and `history.csv` for programs, `metrics` for
 * Prometheus. Each is the text of `.memofs` that its function is named after.
 */
#ifndef MEMOFS_FS_STATS_H
#define MEMOFS_FS_STATS_H

#include "fs/fs.h"
#include "fs/metrics.h"
#include "fs/put.h"

/* Of a namespace that is in another version of the root: `.memofs/…/NAME`. */
#define STATS_NAME_MAX (STORE_NAME_MAX + STORE_VERSION_MAX + 32)

struct stats_ns {
	uint64_t ino; /* 0: the entries of the root, and all namespaces past a limit */
	char name[STATS_NAME_MAX]; /* or its path: no two have one name */
	struct metrics_totals totals;
	/* Of the last census. */
	uint64_t entries, bytes, expired_entries, expired_bytes;
	uint64_t quota_bytes; /* 0: none of its own */
};

struct stats {
	int64_t now_ns, since_ns;
	struct metrics_totals totals;
	struct store_stats store;
	struct store_bounds bounds;
	struct store_census *census; /* NULL: there was no memory for it */
	struct stats_ns *namespaces; /* those that saved most first */
	size_t ns_count;
	uint64_t handles, pending, waiting, reservations;
};

/* Of all. -ENOMEM, and what store_stats() answers. */
int stats_gather(struct fs *fs, struct stats *ret_stats);
void stats_deinit(struct stats *s);
#define CLEANUP_STATS __attribute__((cleanup(stats_deinit)))
/* NULL: it has counted nothing, and no census has seen it. */
const struct stats_ns *stats_find(const struct stats *s, uint64_t ns_ino);

/* The members of the totals in stats.json and history.csv, in their order. */
enum stats_unit { STATS_NUMBER, STATS_SECONDS };
struct stats_field {
	const char *key;
	enum store_count what; /* STORE_COUNTS: all misses */
	enum stats_unit unit;
};
#define STATS_FIELDS (STORE_COUNTS + 1)
extern const struct stats_field stats_fields[STATS_FIELDS];
/* As JSON and CSV have it: exact, with a point. */
void stats_put_value(struct put *p, const struct stats_field *f,
		     const struct store_counts *c);

/* The texts, of the root (`dir_ino` STORE_ROOT_INO) or of one namespace. */
int stats_text(struct fs *fs, uint64_t dir_ino, struct buf *out);
int stats_metrics(struct fs *fs, uint64_t dir_ino, struct buf *out);
int stats_json(struct fs *fs, uint64_t dir_ino, struct buf *out);
int stats_history(struct fs *fs, uint64_t dir_ino, struct buf *out);
int stats_top(struct fs *fs, uint64_t dir_ino, struct buf *out);

#endif
