/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole terminal for a while, and its return in whatever way the program ends.
 *
 * There is one in a program: what puts the terminal back has to be within reach of
 * signal handlers. It is left at exit(), on signals that end the program, also those of
 * a crash, and before Ctrl-Z stops it; only SIGKILL leaves it as it is (`reset`).
 * Escapes are those of ECMA-48 that every terminal of today understands; terminfo, and
 * with it ncurses, would be a library for six sequences.
 */
#ifndef MEMOFS_CLI_LOOK_SCREEN_H
#define MEMOFS_CLI_LOOK_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"

/* Is stdout a terminal that can do this? */
bool screen_possible(void);
/* Take it. -errno when it cannot be taken. */
int screen_enter(void);
/* Give it back; harmless when it was not taken. */
void screen_leave(void);

/* Of stdout; 80 by 24 where it does not say. */
void screen_size(size_t *ret_columns, size_t *ret_rows);
/* Show these lines, each ended by a newline, in place of what was there. */
void screen_show(const struct buf *lines);

enum screen_event {
	SCREEN_TIME,   /* `timeout_ns` have passed */
	SCREEN_RESIZE, /* another size, or back from a stop: show again */
	SCREEN_KEY,    /* *ret_key was pressed */
	SCREEN_END,    /* SIGINT, SIGTERM, SIGHUP, or the terminal is gone */
};
enum screen_event screen_wait(int64_t timeout_ns, char *ret_key);
/* What signal said that it is the end; 0: none. */
int screen_end_signal(void);

#endif
