/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's clocks, and which boot of it this is. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "store/internal.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

static int64_t system_boot_ns(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int64_t system_wall_ns(void *arg)
{
	return time_now_ns();
}

const struct store_clock clock_system = {
    .boot_ns = system_boot_ns,
    .wall_ns = system_wall_ns,
};

int clock_boot_id(struct store *st, struct buf *ret_boot)
{
	char text[ROW_BOOT_MAX];
	ssize_t n;
	int fd;

	if (st->clock->boot_id)
		return buf_set(ret_boot, st->clock->boot_id, strlen(st->clock->boot_id));
	fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return buf_set(ret_boot, text, n < 0 ? 0 : (size_t)n);
}
