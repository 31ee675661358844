/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: stderr, a file, or syslog.
 *
 * The sink is process-wide, as stderr is; it is set once before threads start
 * and again only by log_reopen(). Every function here may be called from any
 * thread and keeps errno. One call is one line, written whole: control characters
 * in it are escaped, so that a name cannot forge a line.
 * Before log_open() and after log_close() lines go to stderr; the level is
 * LOG_LEVEL_INFO until it is set.
 */
#ifndef MEMOFS_STORE_UTIL_LOG_H
#define MEMOFS_STORE_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "store/util/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_sink { LOG_SINK_STDERR, LOG_SINK_FILE, LOG_SINK_SYSLOG };

/*
 * `path` is for LOG_SINK_FILE only; a relative one is of the current directory
 * now. Returns 0 or -errno of opening it, with a message, and the former sink
 * stays.
 */
int log_open(enum log_sink sink, const char *path, struct errmsg *err);
int log_reopen(struct errmsg *err); /* after a rotation; other sinks: nothing */
void log_close(void);
void log_set_level(enum log_level level);
/*
 * The newest lines, oldest first, whatever the sink, and of those that the level
 * lets through: as many as fit LOG_RECENT_BYTES. Appends them. -ENOMEM.
 */
#define LOG_RECENT_BYTES (256 * 1024)
struct buf;
int log_recent(struct buf *ret_text);
/*
 * Lines can have a tag, a number that `tag` answers when one is written, in the thread
 * that writes it; 0 is none. It may itself write lines, which have none. NULL: no more
 * tags; a call that has begun is not waited for.
 */
void log_set_tagger(uint64_t (*tag)(void));
/* Of the newest lines those with this tag. Appends them. -ENOMEM. */
int log_recent_tagged(uint64_t tag, struct buf *ret_text);
/* Or those whose tags `wanted` says yes to. No lock is held over it. */
int log_recent_where(bool (*wanted)(void *arg, uint64_t tag), void *arg,
		     struct buf *ret_text);
int log_level_parse(const char *text, enum log_level *ret_level); /* -EINVAL */
const char *log_level_name(enum log_level level);

void log_at(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
