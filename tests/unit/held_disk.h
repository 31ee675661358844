/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that a thread calls: what it was asked for, in order, and it can be held up. */
#ifndef MEMOFS_TESTS_UNIT_HELD_DISK_H
#define MEMOFS_TESTS_UNIT_HELD_DISK_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#define DISK_CALLS_MAX 512

static struct {
	uint64_t ino[DISK_CALLS_MAX], off[DISK_CALLS_MAX], len[DISK_CALLS_MAX];
	_Atomic unsigned int begun;
	atomic_bool held; /* calls do not return */
	_Atomic int error;
} disk;

static inline void reset_disk(void)
{
	memset(&disk, 0, sizeof(disk));
}

/* In what is wrapped. -1: errno is set. */
static inline int call_disk(uint64_t ino, uint64_t off, uint64_t len)
{
	unsigned int at = atomic_load(&disk.begun);

	assert_in_range(at, 0, DISK_CALLS_MAX - 1);
	disk.ino[at] = ino;
	disk.off[at] = off;
	disk.len[at] = len;
	atomic_store(&disk.begun, at + 1);
	while (atomic_load(&disk.held))
		sched_yield();
	errno = atomic_load(&disk.error);
	return errno ? -1 : 0;
}

static inline void hold_disk(bool held)
{
	atomic_store(&disk.held, held);
}

static inline void await_calls(unsigned int count)
{
	while (atomic_load(&disk.begun) < count)
		sched_yield();
}

#endif
