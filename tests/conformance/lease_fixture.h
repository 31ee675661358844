/* SPDX-License-Identifier: Apache-2.0 */
/* A store whose leases are measured by a clock that the test sets. */
#ifndef MEMOFS_TESTS_LEASE_FIXTURE_H
#define MEMOFS_TESTS_LEASE_FIXTURE_H

#include <stdatomic.h>

#include "store/internal.h"
#include "store/lease.h"
#include "tests/conformance/store_fixture.h"

#define SEC NSEC_PER_SEC
#define HOUR (3600 * SEC)

/* The machine: its two clocks, and how often it was booted. */
struct machine {
	_Atomic int64_t boot_ns, wall_ns;
	char boot_id[32];
	struct store_clock clock;
};

/* A fixture with a machine of its own; `lease_teardown` frees both. */
int lease_setup(void **state);
int lease_teardown(void **state);
#define LEASE_TEST(fn) cmocka_unit_test_setup_teardown(fn, lease_setup, lease_teardown)

struct machine *machine_of(const struct fixture *fx);
/* Time passes on both clocks. */
void machine_pass(struct machine *m, int64_t ns);
/* Between close and open: another boot, whose clock begins at `boot_ns`. */
void machine_boot(struct machine *m, unsigned int number, int64_t boot_ns);

#endif
