/* SPDX-License-Identifier: Apache-2.0 */
#include "store/writeback.h"

#include <fcntl.h>
#include <stddef.h>

/* Many writers on a slow disk: each piece holds a descriptor. */
enum { WAITING_MAX = 32 };

/* What has waited long is large, and the disk busy. */
static void write_piece(struct piece_queue *q, const struct piece *p, void *arg)
{
	uint64_t off = p->off, end = p->off + p->len;

	(void)arg;
	while (off < end && piece_queue_goes_on(q, p)) {
		uint64_t len = end - off;

		if (len > WRITEBACK_STEP_BYTES)
			len = WRITEBACK_STEP_BYTES;
		/* Without waiting for the pages this takes no error away from fsync. */
		(void)sync_file_range(p->fd, (off_t)off, (off_t)len,
				      SYNC_FILE_RANGE_WRITE);
		off += len;
	}
}

int writeback_new(struct piece_queue **ret_queue)
{
	return piece_queue_new(WAITING_MAX, write_piece, NULL, ret_queue);
}
