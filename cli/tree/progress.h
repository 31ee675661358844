/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on stderr: only on a terminal, only when it takes longer than a
 * moment, and gone when it is done.
 *
 *   restoring node_modules  61% [############        ] 18,302 of 30,001 files, 182MiB/s
 */
#ifndef MEMOFS_CLI_TREE_PROGRESS_H
#define MEMOFS_CLI_TREE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"

struct progress {
	const char *verb, *what; /* the caller's */
	const char *unit;	 /* of what is counted; NULL: "files" */
	uint64_t total_files, total_bytes;
	int64_t begun_ns, shown_ns; /* monotonic */
	bool on, drawn;
};

/* `quiet` turns it off. Totals that are not known are 0. */
void progress_begin(struct progress *p, const char *verb, const char *what,
		    uint64_t total_files, uint64_t total_bytes, bool quiet);
/* Cheap: draws ten times a second at most. Fits extract.progress with `p` as arg. */
void progress_show(void *p, uint64_t files, uint64_t bytes);
/* Clear the line, so that a message can be written. */
void progress_end(struct progress *p);

/*
 * The line as it is drawn after `elapsed_ns`, without its end, at most `columns` wide:
 * where there is little room the time left goes first, then the rate, the bar, and at
 * last the line is cut.
 */
void progress_line(const struct progress *p, uint64_t files, uint64_t bytes,
		   int64_t elapsed_ns, size_t columns, struct buf *ret_line);

/* `30,001`. */
#define PROGRESS_COUNT_MAX 32
const char *progress_count(uint64_t n, char ret_text[PROGRESS_COUNT_MAX]);
/* `30,001 files, 182MiB`, for the line that says what was done. */
#define PROGRESS_AMOUNT_MAX 80
const char *progress_amount(uint64_t files, uint64_t bytes,
			    char ret_text[PROGRESS_AMOUNT_MAX]);

#endif
