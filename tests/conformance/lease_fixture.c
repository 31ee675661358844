/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/lease_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t machine_boot_ns(void *arg)
{
	return atomic_load(&((struct machine *)arg)->boot_ns);
}

static int64_t machine_wall_ns(void *arg)
{
	return atomic_load(&((struct machine *)arg)->wall_ns);
}

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	atomic_store(&m->wall_ns, 1800000000 * SEC);
	machine_boot(m, 1, 1000 * SEC);
	m->clock = (struct store_clock){.boot_ns = machine_boot_ns,
					.wall_ns = machine_wall_ns,
					.arg = m,
					.boot_id = m->boot_id};
	return m;
}

int lease_setup(void **state)
{
	struct machine *m = machine_new();
	struct fixture *fx;
	int r = m ? fixture_setup(state) : -1;

	if (r) {
		free(m);
		return r;
	}
	fx = *state;
	fixture_close(fx);
	fx->clock = &m->clock;
	fixture_open(fx);
	return 0;
}

int lease_teardown(void **state)
{
	struct machine *m = machine_of(*state);
	int r = fixture_teardown(state);

	free(m);
	return r;
}

struct machine *machine_of(const struct fixture *fx)
{
	return fx->clock->arg;
}

void machine_pass(struct machine *m, int64_t ns)
{
	atomic_fetch_add(&m->boot_ns, ns);
	atomic_fetch_add(&m->wall_ns, ns);
}

void machine_boot(struct machine *m, unsigned int number, int64_t boot_ns)
{
	snprintf(m->boot_id, sizeof(m->boot_id), "boot-%u", number);
	atomic_store(&m->boot_ns, boot_ns);
}
