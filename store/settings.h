/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of a directory, as they lie in its row: packed like foreign
 * attributes ("store/xattrs.h"), by the names "lease", "wait" and "publish".
 */
#ifndef MEMOFS_STORE_SETTINGS_H
#define MEMOFS_STORE_SETTINGS_H

#include "store/store.h"

#define SETTINGS_LEASE_DEFAULT_NS (60 * NSEC_PER_SEC)

enum settings_publish { PUBLISH_UNSET, PUBLISH_ON_SUCCESS, PUBLISH_ALWAYS };

/* What is set; DURATION_UNSET and PUBLISH_UNSET where nothing is. */
struct settings {
	int64_t lease_ns;
	int64_t wait_ns;
	enum settings_publish publish;
};
#define SETTINGS_UNSET                                                                   \
	((struct settings){.lease_ns = DURATION_UNSET, .wait_ns = DURATION_UNSET})

/* What is still unset in `settings` becomes what the row has. */
void settings_inherit(struct settings *settings, struct slice packed);
/* What is still unset becomes what `above` has. */
void settings_merge(struct settings *settings, const struct settings *above);

#endif
