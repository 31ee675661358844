/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: a YAML file, and options of the command line.
 *
 * Both go through one table of names, types and limits (fs/config_keys.c), so
 * that a name, its values and its messages are the same in both places. What
 * was set is remembered, so that config_merge() can let the command line win,
 * at the start as well as after a reload:
 *
 *	config_load(path, &file, &err);       // untouched on failure
 *	config_merge(&file, &command_line); // -o wins
 */
#ifndef MEMOFS_FS_CONFIG_H
#define MEMOFS_FS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"
#include "store/util/duration.h"
#include "store/util/err.h"
#include "store/util/log.h"

/* A larger file is not a configuration. */
#define CONFIG_FILE_MAX (1024 * 1024)

#define CONFIG_THREADS_DEFAULT 8
#define CONFIG_WATCHDOG_DEFAULT_NS (120 * NSEC_PER_SEC)
#define CONFIG_THREADS_MAX 256

/* `set` in the structs below: which keys were given. */
enum config_mount_key {
	CONFIG_ALLOW_OTHER = 1 << 0,
	CONFIG_READ_ONLY = 1 << 1,
	CONFIG_THREADS = 1 << 2,
	CONFIG_LOG = 1 << 3,
	CONFIG_LOG_LEVEL = 1 << 4,
	CONFIG_USER_HANDLES = 1 << 5,
	CONFIG_USER_VALUES = 1 << 6,
	CONFIG_USER_BYTES = 1 << 7,
	CONFIG_USER_RESERVATIONS = 1 << 8,
	CONFIG_USER_WAITERS = 1 << 9,
	CONFIG_WATCHDOG = 1 << 10,
	CONFIG_FAST = 1 << 11,
	CONFIG_BUSY_POLL = 1 << 12,
	CONFIG_PASSTHROUGH = 1 << 13,
};

/* What one user may have at a time: 0: the default; CONFIG_USER_NONE: no limit. */
#define CONFIG_USER_NONE UINT64_MAX
struct config_user {
	uint64_t handles, values, bytes, reservations, waiters;
};

struct config_mount {
	uint32_t set;
	bool allow_other; /* when it is not set, the daemon's user decides */
	bool read_only;
	bool fast;	  /* where it is read_only: see fs/fast.h */
	bool busy_poll;	  /* see fs/busy_poll.h */
	bool passthrough; /* where the kernel can: see fs/backing.h */
	uint32_t threads;
	/* "stderr", "syslog" or a path; NULL: stderr in the foreground, else syslog. */
	char *log;
	enum log_level log_level;
	int64_t watchdog_ns;	 /* DURATION_NONE: nobody looks */
	struct config_user user; /* may be changed while it runs */
};

enum config_store_key {
	CONFIG_CACHE = 1 << 0,
	CONFIG_SMALL_MAX = 1 << 1,
	CONFIG_STAGED_MEMORY = 1 << 2,
	CONFIG_ROOT_MODE = 1 << 3,
	CONFIG_SIZE = 1 << 4,
	CONFIG_MIN_FREE = 1 << 5,
	CONFIG_MAX_ENTRY = 1 << 6,
	CONFIG_POLICY = 1 << 7,
	CONFIG_KEEP_EXPIRED = 1 << 8,
	CONFIG_SCRUB = 1 << 9,
};

struct config_size {
	uint64_t bytes;	  /* 0: the store's default; STORE_SIZE_NONE: no bound */
	uint32_t percent; /* of the disk; 0: `bytes` counts */
};

struct config_store {
	uint32_t set;
	/* 0: the store's own default, as in struct store_options. */
	uint64_t cache_bytes;
	uint32_t small_max_bytes;
	uint64_t staged_memory_bytes;
	mode_t root_mode;
	/* These may be changed while it runs. 0: defaults. */
	struct config_size size;
	uint64_t min_free_bytes, max_entry_bytes;
	enum store_policy policy;
	int64_t keep_expired_ns;
	uint64_t scrub_bytes; /* a second; 0 and set: off */
};

enum config_namespace_key {
	CONFIG_TTL = 1 << 0,
	CONFIG_VERSION = 1 << 1,
	CONFIG_MODE = 1 << 2,
	CONFIG_OWNER = 1 << 3,
	CONFIG_GROUP = 1 << 4,
	CONFIG_LEASE = 1 << 5,
	CONFIG_WAIT = 1 << 6,
	CONFIG_PUBLISH = 1 << 7,
	CONFIG_QUOTA = 1 << 8,
	CONFIG_NS_MAX_ENTRY = 1 << 9,
	CONFIG_PIN = 1 << 10,
};

struct config_duration {
	char *text; /* as it was written: what the attribute gives back */
	int64_t ns;
};

/* A directory of the root, and the policy it gets. Only what is in `set` counts. */
struct config_namespace {
	char *name;
	uint32_t set;
	struct config_duration ttl;
	char *version;
	/* The settings of store_setting_set(), as they were written. */
	char *lease, *wait, *publish, *quota, *max_entry, *pin;
	mode_t mode;
	uid_t owner;
	gid_t group;
};

struct config {
	struct config_mount mount;
	struct config_store store;
	struct config_namespace *namespaces; /* in the order of the file */
	size_t namespace_count;
};

/* All defaults, nothing set. Needs no memory. */
void config_init(struct config *c);
void config_deinit(struct config *c); /* NULL is fine; leaves it as after config_init() */

/*
 * Read a file. *ret_config need not be initialised; on success it is the
 * caller's to deinit, on failure it is untouched. An empty file gives the
 * defaults.
 *
 * Returns -EINVAL for what is wrong inside the file, with the message
 * `FILE:LINE:COLUMN: …`; -EFBIG when it is larger than CONFIG_FILE_MAX; else
 * the errno of reading it.
 */
int config_load(const char *path, struct config *ret_config, struct errmsg *err);

/* The same for a text in memory; `name` stands for the file in messages. */
int config_parse(const char *name, const void *text, size_t len,
		 struct config *ret_config, struct errmsg *err);

/*
 * Set one key of `mount` or `store`, as `-o KEY=VALUE` does; a later one wins.
 * In `key`, '_' and '-' are the same. `value` is NULL for a bare `-o KEY`,
 * which is true; `ro` and `rw` stand for read-only=true and false.
 *
 * Returns -ENOENT for an unknown key and -EINVAL for a bad value, with a
 * message that begins `-o `.
 */
int config_set_option(struct config *c, const char *key, const char *value,
		      struct errmsg *err);

/*
 * Let the keys of mount and store that are set in `over` replace those in `c`.
 * -ENOMEM: nothing was merged.
 */
int config_merge(struct config *c, const struct config *over);

#endif
