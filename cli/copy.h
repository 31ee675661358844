/* SPDX-License-Identifier: Apache-2.0 */
/* Moving all bytes of a descriptor into another, or into memory. */
#ifndef MEMOFS_CLI_COPY_H
#define MEMOFS_CLI_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include "store/util/buf.h"

/*
 * From where `in` stands to its end. Returns 0 or -errno; *ret_reading says, on
 * failure, whether it was reading that failed.
 */
int copy_all(int in, int out, bool *ret_reading);
/* All of these bytes, whatever interrupts. -errno of write(2); -EIO: it takes none. */
int copy_bytes(int out, const void *bytes, size_t len);
/* Append what is in `in`. -errno of read(2); -EFBIG: that is over `max_bytes`. */
int copy_to_memory(int in, size_t max_bytes, struct buf *ret_bytes);

#endif
