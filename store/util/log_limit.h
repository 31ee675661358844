/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines of one kind the log gets: whoever can cause a line can cause a million.
 *
 * A kind is what is said (the format) about one namespace (the tag). Of each so many
 * lines are let through in a while; then they are counted until the while has passed.
 * Kinds that are rarely said are not affected by others. Used by log.c alone.
 */
#ifndef MEMOFS_STORE_UTIL_LOG_LIMIT_H
#define MEMOFS_STORE_UTIL_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct log_kind {
	const void *format;
	int level;
	uint64_t tag;
};

struct log_verdict {
	bool admitted;
	bool is_last;	   /* of this while: what follows is left out */
	uint64_t left_out; /* before this one */
};

/* From now on; `lines` 0: no limit, as at the start. Before threads log. */
void log_limit_set(unsigned int lines, int64_t while_ns);
/* `now_ns` is monotonic. */
struct log_verdict log_limit_judge(const struct log_kind *kind, int64_t now_ns);
bool log_limit_is_set(void);
int64_t log_limit_while_ns(void);

#endif
