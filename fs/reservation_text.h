/* SPDX-License-Identifier: Apache-2.0 */
/* What `reservation` reads, and what may be written to it. */
#ifndef MEMOFS_FS_RESERVATION_TEXT_H
#define MEMOFS_FS_RESERVATION_TEXT_H

#include "store/lease.h"

/* What is written is no longer than this: an ID, blanks, a duration. */
#define RESERVATION_TEXT_MAX 300

enum reservation_verb {
	RESERVATION_NOTHING, /* what `reservation` reads, brought along by a copy */
	RESERVATION_TAKE,
	RESERVATION_RELEASE,
};

struct reservation_command {
	enum reservation_verb verb;
	char owner[STORE_OWNER_MAX + 1];
	int64_t duration_ns; /* RESERVATION_TAKE; DURATION_UNSET: as the directory says */
};

/*
 * `ID`, `ID DURATION`, or `ID 0`, with blanks around. -EINVAL, with a message that
 * says which part is wrong and what is right.
 */
int reservation_parse(const char *text, size_t len, struct reservation_command *ret_cmd,
		      struct errmsg *err);

/* `free` (NULL), or `held owner=… since=… expires=… token=…`; appends. -ENOMEM. */
int reservation_format(const struct store_lease *lease, struct buf *out);

/* Seconds since the epoch, with nanoseconds; appends. -ENOMEM. */
int reservation_format_time(int64_t ns, struct buf *out);

#endif
