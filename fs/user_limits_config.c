/* SPDX-License-Identifier: Apache-2.0 */
/* How much one user may have, unless it is configured. */
#include "fs/user_limits_config.h"

#include <sys/resource.h>

enum {
	HANDLES_MIN = 4096,
	HANDLES_MAX = 65536,
	VALUES_DEFAULT = 8192,
	RESERVATIONS_DEFAULT = 16384,
	WAITERS_DEFAULT = 4096,
};

/* Most open entries are descriptors of the daemon, too. */
static uint64_t default_handles(void)
{
	struct rlimit rl;
	uint64_t max;

	if (getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_cur == RLIM_INFINITY)
		return HANDLES_MAX;
	max = rl.rlim_cur / LIMIT_SHARE;
	if (max < HANDLES_MIN)
		return HANDLES_MIN;
	return max < HANDLES_MAX ? max : HANDLES_MAX;
}

/* Half of what there may be at all. */
static uint64_t default_bytes(struct store *st)
{
	struct store_bounds bounds;
	struct store_stats stats;

	store_bounds(st, &bounds);
	if (bounds.size_bytes != STORE_SIZE_NONE)
		return bounds.size_bytes / 2;
	return store_stats(st, &stats) ? LIMIT_NONE : stats.disk_total_bytes / 2;
}

static uint64_t given(uint64_t configured, uint64_t otherwise)
{
	if (configured == CONFIG_USER_NONE)
		return LIMIT_NONE;
	return configured ? configured : otherwise;
}

void limits_configure(struct limits *l, struct store *st, const struct config_user *user)
{
	limits_set(l, LIMIT_HANDLES, given(user->handles, default_handles()));
	limits_set(l, LIMIT_VALUES, given(user->values, VALUES_DEFAULT));
	limits_set(l, LIMIT_BYTES, given(user->bytes, default_bytes(st)));
	limits_set(l, LIMIT_RESERVATIONS,
		   given(user->reservations, RESERVATIONS_DEFAULT));
	limits_set(l, LIMIT_WAITERS, given(user->waiters, WAITERS_DEFAULT));
}
