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
 * Of one daemon there are never as many who look as it may use CPUs: of those that it may
 * run on, and of those that the quotas of its cgroup come to, since looking uses up a
 * quota as work does, and then all of the cgroup waits. Daemons do not know of each
 * other: where they look at the same CPUs, it is yielding that keeps them apart.
 */
#ifndef MEMOFS_FS_BUSY_POLL_H
#define MEMOFS_FS_BUSY_POLL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Looks for so long at most; what comes within it after sleeping makes it look. */
#define BUSY_POLL_MAX_NS INT64_C(100000)

/* One per daemon, shared by its receive loops. */
struct busy_poll_cpus {
	atomic_int left; /* for those who look; one is always left to the clients */
};

/* One per receive loop, by one thread at a time. */
struct busy_poll {
	struct busy_poll_cpus *cpus; /* borrowed; NULL: it is off */
	int64_t window_ns;	     /* 0: does not look */
	unsigned int hold;	     /* so many requests without looking */
	unsigned int next_hold;
};

/* What looking came to. */
enum busy_poll_result {
	BUSY_POLL_OFF,	  /* it did not look */
	BUSY_POLL_FOUND,  /* there is a request */
	BUSY_POLL_MISSED, /* the time has passed */
	BUSY_POLL_YIELDED /* somebody else had the CPU meanwhile */
};

/* One less than the CPUs may be looking at one time. */
void busy_poll_cpus_init(struct busy_poll_cpus *c, int cpus);

/* The CPUs that this process may use, at least 1, and that if it is not known. */
int busy_poll_count_cpus(void);

/*
 * The whole CPUs, at least 1, that a cpu.max of cgroup v2 comes to ("QUOTA PERIOD" or
 * "max PERIOD"); INT_MAX: there is no bound, or none that is understood.
 */
int busy_poll_quota_cpus(const char *cpu_max);

/*
 * The least of them, of the cgroup that the text of a /proc/PID/cgroup names and of those
 * above it. `root` is where cgroup v2 is mounted; what is not there has no bound.
 */
int busy_poll_cgroup_cpus(const char *root, const char *cgroups);

/* `cpus` outlives it; NULL: it never looks. */
void busy_poll_init(struct busy_poll *b, struct busy_poll_cpus *cpus);

/* Look until `fd` is readable, or for no longer. */
enum busy_poll_result busy_poll_look(struct busy_poll *b, int fd);

/* A request has come, after so long in all. */
void busy_poll_came(struct busy_poll *b, enum busy_poll_result looked, int64_t waited_ns);

#endif
