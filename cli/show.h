/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes shown to people.
 *
 * Names are any bytes. What is written to a terminal is UTF-8; a byte that is
 * no part of valid UTF-8, and a character that does not print, is escaped. The
 * functions append to a buffer and end the program when there is no memory.
 */
#ifndef MEMOFS_CLI_SHOW_H
#define MEMOFS_CLI_SHOW_H

#include <stddef.h>

#include "store/util/buf.h"

/* Columns it takes on a terminal; it must be printable already. */
size_t show_width(const char *s);

/* What does not print becomes \n, \t, \033 …; for messages. */
void show_printable(struct buf *out, const char *s);

/*
 * A word that a shell reads back to the same bytes: as it is when nothing in it
 * is special, else 'quoted', else $'with\nescapes'. For names in tables. The
 * caller frees it.
 */
char *show_shell_new(const char *s);

#endif
