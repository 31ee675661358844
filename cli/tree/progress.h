/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on stderr: only on a terminal, only when it takes longer than a
 * moment, and gone when it is done.
 *
 *   restoring node_modules  61% [############        ] 18,302 of 30,001 files, 182 MiB/s
 */
#ifndef MEMOFS_CLI_TREE_PROGRESS_H
#define MEMOFS_CLI_TREE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *verb, *what; /* the caller's */
	uint64_t total_files, total_bytes;
	int64_t begun_ns, shown_ns; /* monotonic */
	bool on, drawn;
};

/* `quiet` turns it off. */
void progress_begin(struct progress *p, const char *verb, const char *what,
		    uint64_t total_files, uint64_t total_bytes, bool quiet);
/* Cheap: draws ten times a second at most. Fits extract.progress with `p` as arg. */
void progress_show(void *p, uint64_t files, uint64_t bytes);
/* Clear the line, so that a message can be written. */
void progress_end(struct progress *p);

#endif
