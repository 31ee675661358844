/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of a directory, as they lie in its row: packed like foreign
 * attributes ("store/xattrs.h"), by the names "lease", "wait", "publish", "quota",
 * "max-entry" and "pin".
 */
#ifndef MEMOFS_STORE_SETTINGS_H
#define MEMOFS_STORE_SETTINGS_H

#include "store/store.h"

#define SETTINGS_LEASE_DEFAULT_NS (60 * NSEC_PER_SEC)

enum settings_publish { PUBLISH_UNSET, PUBLISH_ON_SUCCESS, PUBLISH_ALWAYS };
enum settings_pin { PIN_UNSET, PIN_NO, PIN_YES };

/* What is set; DURATION_UNSET, PUBLISH_UNSET, PIN_UNSET and 0 where nothing is. */
struct settings {
	int64_t lease_ns;
	int64_t wait_ns;
	enum settings_publish publish;
	enum settings_pin pin;
	uint64_t quota_bytes;
	uint64_t max_entry_bytes;
	uint64_t max_entry_dir; /* where it is set; filled in by policy.c */
};
#define SETTINGS_UNSET                                                                   \
	((struct settings){.lease_ns = DURATION_UNSET, .wait_ns = DURATION_UNSET})

/* What is still unset in `settings` becomes what the row has. */
void settings_inherit(struct settings *settings, struct slice packed);
/* What is still unset becomes what `above` has. */
void settings_merge(struct settings *settings, const struct settings *above);

#endif
