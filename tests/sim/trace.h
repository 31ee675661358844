/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a cache: read from a file, or made up. */
#ifndef MEMOFS_TESTS_SIM_TRACE_H
#define MEMOFS_TESTS_SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
	int64_t at_ns; /* from the beginning of the trace */
	uint32_t object;
};

/* An object has the size and the cost with which it was first asked for. */
struct object {
	uint64_t bytes;
	double cost_s;
};

struct trace {
	struct request *requests;
	struct object *objects;
	size_t request_count, object_count;
};

/*
 * Made up; the same seed makes the same. One request a second.
 *	zipf	few are asked for often; sizes and costs are log-normal and independent
 *	scan	the same, and in between runs of what is asked for once
 *	loop	all in a circle, of one size and cost
 *	ml	small dear results, large dear ones, middling, and cheap ones, each with a
 *		popularity of its own, which moves on with time
 * Exits for another name.
 */
void trace_make(struct trace *t, const char *workload, size_t requests, size_t objects,
		uint64_t seed);

/*
 * Of a file; exits with a message when it cannot be read. One of
 * - time key size cost, separated by blanks, in seconds and bytes; a time of +0.01 is
 *   so long after the request before. What record.py writes.
 * - a CSV with a header: columns time, key, size, cost, op and op_count by the names
 *   that are used for them; what is no read is left out. Meta's key-value traces
 *   (cachelib.org, "Evaluating SSD hardware for Facebook workloads"), the examples of
 *   libCacheSim (github.com/1a1a11a/libCacheSim, data/trace.csv)
 * - a CSV of seven columns without a header, as Twitter's
 *   (github.com/twitter/cache-trace)
 * Lines that begin with # are for people. Published traces know no costs: then one is
 * made of the key, and of the size.
 */
void trace_read(struct trace *t, const char *path, size_t requests_max);

void trace_deinit(struct trace *t);

/* Bytes of all objects. */
uint64_t trace_footprint(const struct trace *t);

/* In 0..1, by a seed of which each call makes another. */
double random_next(uint64_t *seed);

#endif
