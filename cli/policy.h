/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies of a directory, as words: `ttl=1h`, `version=v2`, `mode=0750`,
 * `lease=5m`, `wait=10m`, `publish=always`, `quota=5GiB`, `max-entry=1GiB`, `pin=yes`.
 *
 * All words are checked before the first is applied.
 */
#ifndef MEMOFS_CLI_POLICY_H
#define MEMOFS_CLI_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct policy {
	const char *ttl;		    /* NULL: as it is; "": none of its own */
	const char *version;		    /* NULL: as it is; "": the unnamed one */
	const char *lease, *wait, *publish; /* as the ttl */
	const char *quota, *max_entry, *pin;
	bool has_mode;
	mode_t mode;
};

/* Read `name=value` words into ret_policy. -EINVAL after a message. */
int policy_parse(char *const *words, size_t n, struct policy *ret_policy);
/* -errno after a message. What was applied before the failure stays. */
int policy_apply(const struct policy *p, const char *dir);

#endif
