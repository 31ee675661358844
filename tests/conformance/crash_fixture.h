/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that are killed while they use a store on a disk. */
#ifndef MEMOFS_TESTS_CRASH_FIXTURE_H
#define MEMOFS_TESTS_CRASH_FIXTURE_H

#include <unistd.h>

#include "tests/conformance/store_fixture.h"

/*
 * Run `victim` on the store in a child, which kills itself in it or is killed
 * `kill_after_ms` after it has called child_began(), which it then must; afterwards
 * open the store again. The child opens the store itself: neither threads nor a
 * database survive a fork.
 */
void kill_in(struct fixture *fx, void (*victim)(struct store *st),
	     unsigned int kill_after_ms);

/* In the child, where a failed assertion must not return into cmocka. */
#define must(call)                                                                       \
	do {                                                                             \
		if (call)                                                                \
			_exit(5);                                                        \
	} while (0)

/* What it is killed in goes on from here. Only the first call counts. */
void child_began(void);
void die(void);
/* The store will be opened in another boot of the machine than this one. */
void lose_power(struct store *st);

#endif
