/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look for the next request for a moment before sleeping until there is one.
 *
 * To wake a thread on an idle CPU takes a virtual machine tens of microseconds, which is
 * more than most requests take; a client that asks for one thing after the other pays
 * for that with each. One that is found by looking costs no wake-up. So the receive loop
 * looks for as long as a wake-up costs: a request that comes within that time was worth
 * it, and one that does not has at most doubled what it costs. How long it looks follows
 * what came of it, like KVM's halt_poll_ns, down to not at all: a mount that nobody uses,
 * or now and then, never looks. Nor does one where the CPU is wanted by others: looking
 * yields it, and who finds that somebody took it stops, for longer and longer.
 *
 * There are never as many who look as there are CPUs.
 */
#ifndef MEMOFS_FS_BUSY_POLL_H
#define MEMOFS_FS_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

/* Looks for so long at most; what comes within it after sleeping makes it look. */
#define BUSY_POLL_MAX_NS INT64_C(100000)

/* One per receive loop, by one thread at a time. */
struct busy_poll {
	bool on;
	int64_t window_ns; /* 0: does not look */
	unsigned int hold; /* so many requests without looking */
	unsigned int next_hold;
};

/* What looking came to. */
enum busy_poll_result {
	BUSY_POLL_OFF,	  /* it did not look */
	BUSY_POLL_FOUND,  /* there is a request */
	BUSY_POLL_MISSED, /* the time has passed */
	BUSY_POLL_YIELDED /* somebody else had the CPU meanwhile */
};

/* How many threads may look at one time: one less than the CPUs. Before any does. */
void busy_poll_set_cpus(int cpus);
/* The CPUs that this process may use; 1 if that is not known. */
int busy_poll_cpus(void);

void busy_poll_init(struct busy_poll *b, bool on);

/* Look until `fd` is readable, or for no longer. */
enum busy_poll_result busy_poll_look(struct busy_poll *b, int fd);

/* A request has come, after so long in all. */
void busy_poll_came(struct busy_poll *b, enum busy_poll_result looked, int64_t waited_ns);

#endif
