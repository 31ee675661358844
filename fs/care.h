/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check, backup and gc of a store, told of in lines: what jobs of a mount do, and
 * `memofsd --check` of a store that is not mounted.
 */
#ifndef MEMOFS_FS_CARE_H
#define MEMOFS_FS_CARE_H

#include "store/store.h"

struct care_progress {
	uint64_t done, total; /* an estimate; 0: not known */
	uint64_t bytes, bytes_total;
};

/* Whom to tell; by one thread. */
struct care {
	struct store *st;
	const atomic_bool *stop;
	void (*progress)(void *arg, const struct care_progress *progress);
	void (*found)(void *arg, const char *line);
	void (*result)(void *arg, const char *line);
	void *arg;
};

enum care_option { CARE_REPAIR = 1 << 0, CARE_FAST = 1 << 1, CARE_DATABASE = 1 << 2 };
struct care_options {
	unsigned int set; /* of enum care_option */
};

/*
 * 0: it came to its end, whatever it found; the last line of the result says what that
 * was. -errno: it did not, and the result says why.
 *
 * The result of a check is `sound`, `damaged N`, `repaired N` or `repaired N of M`; that
 * of a backup the path of what was made, `path PATH`.
 */
int care_check(const struct care *care, const struct care_options *opt);
int care_backup(const struct care *care, const struct care_options *opt);
int care_gc(const struct care *care, const struct care_options *opt);

/*
 * `memofsd --check STORE` and `--backup STORE`: open the store, do it, and write the
 * lines of a job to stdout (see "fs/jobs.h"). Returns an exit code: 0, 1 for damage
 * found, 3 when the store cannot be opened or it failed.
 */
int care_offline_check(const char *store_path, const struct care_options *opt);
int care_offline_backup(const char *store_path);

#endif
