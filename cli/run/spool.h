/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are kept until it is known whether they are wanted: in memory at first,
 * in an unlinked file of TMPDIR when they become many.
 */
#ifndef MEMOFS_CLI_RUN_SPOOL_H
#define MEMOFS_CLI_RUN_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "cli/tree/packwrite.h"
#include "store/util/buf.h"

/* So much of one stays in memory. */
#define SPOOL_MEMORY_BYTES (4 * 1024 * 1024)

struct spool {
	struct buf memory; /* unless there is a file */
	int fd;		   /* or -1 */
	uint64_t size_bytes;
};
#define SPOOL_INIT ((struct spool){.fd = -1})

/* -errno of making or writing the file. */
int spool_add(struct spool *s, const void *bytes, size_t len);
/* All of it as a file of a pack; errors as packwrite_bytes(). */
int spool_pack(struct spool *s, struct packwrite *w, const char *path,
	       struct errmsg *err);
void spool_deinit(struct spool *s);

#endif
