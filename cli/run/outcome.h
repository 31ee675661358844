/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a command and the cache, and telling it: never through the exit code,
 * which is the command's.
 */
#ifndef MEMOFS_CLI_RUN_OUTCOME_H
#define MEMOFS_CLI_RUN_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "store/util/err.h"

enum outcome_status {
	OUTCOME_HIT,	     /* the stored result */
	OUTCOME_POPULATED,   /* it ran, its result was stored */
	OUTCOME_MISS,	     /* it ran, its result was none to store */
	OUTCOME_PUT_FAILURE, /* it ran, and its result could not be stored */
	OUTCOME_SKIPPED,     /* it ran without the cache */
	OUTCOME_DISABLED,    /* the same, by MEMOFS_DISABLE */
	OUTCOME_SHARED,	     /* the failure of another that we waited for */
};

struct outcome {
	enum outcome_status status;
	bool quiet, verbose;
	bool told;	   /* that it was not cached, and why */
	bool stale;	   /* OUTCOME_HIT: it had expired, and is made anew */
	const char *path;  /* of the result in the cache; NULL: not known */
	const char *id;	   /* of the key; NULL */
	int64_t ran_ns;	   /* of the command, now or when it was stored */
	int64_t saved_ns;  /* OUTCOME_HIT, OUTCOME_SHARED */
	int status_fd;	   /* -1: none */
	struct errmsg why; /* it was not stored; "": there is nothing to say */
};

/*
 * Where to tell it: a file that is made or emptied, or an open descriptor; NULL:
 * neither. The command does not inherit it. -EINVAL, … with a message.
 */
int outcome_open(struct outcome *o, const char *file, const char *fd, struct errmsg *err);

/*
 * `memofs: not cached: …`, a line for all that run below this one, too, unless quiet.
 * The first reason is kept.
 */
void outcome_not_cached(struct outcome *o, enum outcome_status status, const char *fmt,
			...) __attribute__((format(printf, 3, 4)));
/* The status, to where it was asked for, and a line on stderr when verbose. */
void outcome_tell(const struct outcome *o, int exit_code);

#endif
