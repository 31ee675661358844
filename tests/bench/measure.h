/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What suite.sh measures, one kind of work in one directory a call.
 *
 * A work runs in as many threads or processes as asked for. All of them get ready first
 * and begin together; what counts is the time from the first that began to the last that
 * was done, and the processor time of all of them and of the servers behind them.
 */
#ifndef MEMOFS_TESTS_BENCH_MEASURE_H
#define MEMOFS_TESTS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SERVERS_MAX = 8, NAME_SIZE = 64 };

struct measure {
	const char *dir; /* a directory, or the socket of a Redis server */
	uint64_t count;	 /* operations of each worker */
	uint64_t of;	 /* names there are to choose from */
	uint64_t bytes;	 /* of each value */
	unsigned int workers;
	bool processes; /* workers are processes, else threads */
	unsigned int server_count;
	pid_t servers[SERVERS_MAX];
	uint8_t *value; /* `bytes` that do not compress, shared */
};

extern struct measure measure;

/*
 * Have all workers call `run`, after `ready` (or NULL), which is not measured, and print
 * "NAME SECONDS OPERATIONS PROCESSOR_SECONDS" for `operations` done by each.
 */
void run_workers(const char *name, uint64_t operations,
		 void (*ready)(unsigned int worker), void (*run)(unsigned int worker));
/* Print such a line of something that was timed otherwise. */
void print_result(const char *name, double seconds, uint64_t operations,
		  double processor_seconds);

/* Wait for a child; ends the program when it failed. */
void wait_for(pid_t pid);
/* fork() of a child that ends with the thread which made it; fails for itself. */
pid_t fork_bound(void);

/* The name of entry `i` of those that are prepared; as tests/bench/fill makes them. */
void entry_name(char ret_name[NAME_SIZE], uint64_t i);
/* A number below measure.of; those of 0, 1, 2, ... do not repeat until all were there. */
uint64_t scattered(uint64_t i);

/* Works in the directory that is current (measure_files.c, measure_wait.c). */
void work_prepare(void);
void work_prepare_large(void);
void work_meta(void);
void work_publish(void);
void work_fsync(void);
void work_hit(void);
void work_stat(void);
void work_absent(void);
void work_attr(void);
void work_write(void);
void work_write_fsync(void);
void work_read(void);
void work_list(void);
void work_list_stat(void);
void work_wait(void);

/* Works on a Redis server (measure_redis.c). */
void redis_prepare(void);
void redis_hit(void);
void redis_wait(void);

/*
 * What both kinds of work_wait() share: the median over measure.count values of the time
 * from when a writer gives one away until who waits for it has it. In each turn the
 * waiter is a process of its own, started by `begin` and told when to go on by `give`.
 */
struct waiting {
	/* In the writer: all that comes before the value is given away. */
	void (*prepare)(unsigned int turn);
	void (*give)(unsigned int turn);
	/* In the reader: what has to be there before the value is given. */
	void (*listen)(unsigned int turn);
	void (*receive)(unsigned int turn);
};
void run_waiting(const struct waiting *w);

#endif
