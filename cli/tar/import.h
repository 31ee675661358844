/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive, put into a directory of a mount. Each entry appears whole, at once, in
 * place of what had its name. No member leaves the directory: names with `..`, absolute
 * ones, and ways over symlinks are refused.
 */
#ifndef MEMOFS_CLI_TAR_IMPORT_H
#define MEMOFS_CLI_TAR_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

struct import_how {
	const char *archive; /* how it is called in messages */
	bool keep;	     /* what is there stays */
	bool numeric_owner;  /* names of users and groups do not count */
	bool quiet;	     /* no progress */
};

struct import_done {
	uint64_t entries, bytes;
	uint64_t expired; /* not imported: their time was over */
	uint64_t brief;	  /* symlinks that would have lived longer than they did */
	uint64_t kept;	  /* how->keep: what was there */
	int status;	  /* enum cli_exit; not CLI_OK: something was left out */
	int signal;	  /* that ended it early; 0: none */
};

/*
 * From `in` into the directory `dirfd`. Returns 0, or -errno with a message: the archive
 * is damaged or cannot be read, or there is no room; what was imported by then stays.
 * What fails else is told and left out. Signals that end a program are caught.
 */
int import_tar(int in, int dirfd, const struct import_how *how,
	       struct import_done *ret_done);

#endif
