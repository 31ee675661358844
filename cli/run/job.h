/* SPDX-License-Identifier: Apache-2.0 */
/* One call of `memofs run`: what was asked for, and what has become of it so far. */
#ifndef MEMOFS_CLI_RUN_JOB_H
#define MEMOFS_CLI_RUN_JOB_H

#include "cli/run/executor.h"
#include "cli/run/flight.h"
#include "cli/run/outcome.h"
#include "cli/run/result.h"
#include "cli/run/run.h"

struct job {
	const struct run_options *o;
	const struct run_limits *limits;
	char *const *argv;
	struct key key;
	struct filehash *fh; /* NULL: not needed so far */
	int dirfd;	     /* the working directory; -1: not needed so far */
	struct flight flight;
	bool cache_found; /* flight.dir is known to be in a mount */
	struct outcome outcome;
	struct errmsg error;	 /* of what is stored */
	uint64_t shown[STREAMS]; /* of what is stored, before it turned out bad */
	int strict_code;	 /* what --strict fails with */
	int64_t begun_ns;	 /* monotonic */
	int refresh_fd;		 /* to the process that refreshes; -1: none */
	pid_t refresh_pid;
};
#define JOB_INIT(options, lims, command)                                                 \
	((struct job){                                                                   \
	    .o = (options),                                                              \
	    .limits = (lims),                                                            \
	    .argv = (command),                                                           \
	    .key = KEY_INIT,                                                             \
	    .dirfd = -1,                                                                 \
	    .flight = {.fd = -1},                                                        \
	    .outcome = {.status = OUTCOME_SKIPPED,                                       \
			.quiet = (options)->quiet,                                       \
			.verbose = (options)->verbose,                                   \
			.status_fd = -1},                                                \
	    .strict_code = CLI_FAILED,                                                   \
	    .begun_ns = time_monotonic_ns(),                                             \
	    .refresh_fd = -1,                                                            \
	})
#define CLEANUP_JOB __attribute__((cleanup(job_deinit)))
void job_deinit(struct job *j);

/* The key, and where its result would be. As key_make(). */
int job_make_key(struct job *j, struct errmsg *err);

/* May it answer? OUTCOME_HIT by the rules; OUTCOME_SHARED for exactly this key. */
bool job_may_answer(const struct job *j, const struct found *f,
		    enum outcome_status status);
/* Put its files into the working directory. Ends the process when a signal says so.
 * -errno, with the reason in j->error. */
int job_restore(struct job *j, struct found *f);
/* Note what it saved. */
void job_saved(struct job *j, const struct found *f);

/*
 * The command has run, and flight.fd is ours: publish what it made, if it is a result.
 * What it became is in j->outcome.
 */
void job_keep(struct job *j, struct recording *rec, const struct ending *end);

/* For --dry-run: say whether what is stored would answer. Takes `fd` over. */
bool job_explain(struct job *j, int fd);

#endif
