/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a directory of a mount, or one entry of it, as an archive. A sealed tree is
 * one member, its pack. What expires or is removed meanwhile is left out.
 */
#ifndef MEMOFS_CLI_TAR_EXPORT_H
#define MEMOFS_CLI_TAR_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

struct export_how {
	bool current_only; /* no other versions than what is seen */
	bool quiet;	   /* no progress */
};

struct export_done {
	uint64_t entries, bytes;
	int status; /* enum cli_exit; other than CLI_OK: something is missing, see stderr
		     */
};

/*
 * Write it to `out`. -errno, with a message, when the archive itself could not be
 * written or `path` is not there; what else fails is told and left out.
 */
int export_tar(const char *path, int out, const struct export_how *how,
	       struct export_done *ret_done);

#endif
