/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command wrote to stdout and stderr, and in which order.
 *
 * The order is text, a line for each run of bytes: `1 LEN` of stdout, `2 LEN` of
 * stderr.
 */
#ifndef MEMOFS_CLI_RUN_RECORDING_H
#define MEMOFS_CLI_RUN_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "cli/run/spool.h"

/* A command that changes between the two more often (a million times) is not kept. */
#define ORDER_MAX_BYTES (8 * 1024 * 1024)

enum stream { STREAM_OUT, STREAM_ERR, STREAMS };

struct recording {
	struct spool bytes[STREAMS], order;
	enum stream last;   /* of the run that goes on, */
	uint64_t run_bytes; /* 0: there is none */
	int failed;	    /* -errno of the first failure; what came later is missing */
};
#define RECORDING_INIT                                                                   \
	((struct recording){.bytes = {SPOOL_INIT, SPOOL_INIT}, .order = SPOOL_INIT})
#define CLEANUP_RECORDING __attribute__((cleanup(recording_deinit)))

/* Never fails: what cannot be kept is noted in `failed`. */
void recording_add(struct recording *rec, enum stream from, const void *bytes,
		   size_t len);
/* The files `stdout`, `stderr` and `order`. -errno, with a message. */
int recording_pack(struct recording *rec, struct packwrite *w, struct errmsg *err);
void recording_deinit(struct recording *rec);

/*
 * The next run of an order text. 0: *ret_len bytes of *ret_from, *at is moved; -ENOENT:
 * that was all; -EBADMSG.
 */
int order_next(struct slice order, size_t *at, enum stream *ret_from, uint64_t *ret_len);

#endif
