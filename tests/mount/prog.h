/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of the mount tests share.
 *
 * They speak to a mount through system calls alone and link nothing of memofs,
 * so that each can be run against any directory. A program says what it
 * measured on stdout; on the first failure it prints one line on stderr and
 * exits with 1. Usage errors exit with 2.
 */
#ifndef MEMOFS_TESTS_MOUNT_PROG_H
#define MEMOFS_TESTS_MOUNT_PROG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#define NSEC_PER_SEC INT64_C(1000000000)

/* One line on stderr, after the program's name, and exit(1). */
noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with the text of errno. */
noreturn void fail_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A number of the command line, from `min` up; anything else is a usage error. */
uint64_t arg_u64(const char *text, const char *what, uint64_t min);

int64_t wall_ns(void);	  /* CLOCK_REALTIME: what expiry is measured by */
int64_t elapsed_ns(void); /* CLOCK_MONOTONIC: for durations */
void sleep_ns(int64_t ns);

int open_or_fail(const char *name, int flags); /* mode 0644 */
void close_or_fail(int fd, const char *name);
/* Every byte or a failure. `what` names the file in the message. */
void write_all(int fd, const void *data, size_t len, const char *what);
/* Read until `len` bytes or the end; fails on an error. */
size_t read_upto(int fd, void *data, size_t len, const char *what);

/* Make a file of these bytes: open with O_TRUNC, write, close; all checked. */
void put_file(const char *path, const void *data, size_t len);
/* Make `path` a directory; that it is one already is fine. */
void need_dir(const char *path);
/* chdir into a new directory below `parent` whose name begins with `prefix`. */
void enter_scratch(const char *parent, const char *prefix);
/* Remove what enter_scratch() made, with everything in it. */
void leave_scratch(void);

/* Remove a tree; that it is not there is fine. */
void remove_tree(const char *path);

/* Anonymous memory shared with the children to be forked. */
void *shared_memory(size_t size);
/*
 * Fork `count` children that call run(index, arg) and exit with 0; waits for
 * all of them. When one fails, the others are ended and so is this program.
 */
void run_children(unsigned int count, void (*run)(unsigned int index, void *arg),
		  void *arg);

/* A random number generator for tests: the same numbers for the same seed. */
uint64_t next_random(uint64_t *state);

/*
 * The byte stream of a test value. Eight bytes at each place tell place and
 * seed, so that any exchange, loss or repetition shows. `off` is a multiple of 8.
 */
void fill_pattern(uint8_t *data, size_t len, uint64_t off, uint64_t seed);
void check_pattern(const uint8_t *data, size_t len, uint64_t off, uint64_t seed,
		   const char *what);

/*
 * The daemon that serves the mount `dir` lies in, from the line `pid: N` of
 * .memofs/status; 0 when `dir` is not in a mount of memofs.
 */
pid_t daemon_pid(const char *dir);
/* Begin a new measurement of the daemon's peak memory; needs its uid or root. */
void daemon_peak_reset(pid_t pid);
/* Print "what: daemon peak memory N MiB"; nothing when pid is 0. */
void daemon_peak_print(pid_t pid, const char *what);

#endif
