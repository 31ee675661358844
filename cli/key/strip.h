/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program without its comments and its layout, to tell whether it still is the
 * same program.
 *
 * Two texts that become equal here do the same, but for what a program says of its
 * own source (line numbers). Equal programs may well stay different: wherever a text
 * is ambiguous between dialects, or not understood, it is refused, and the caller
 * takes it as it is. Strings, here-documents and docstrings are kept to the byte.
 */
#ifndef MEMOFS_CLI_KEY_STRIP_H
#define MEMOFS_CLI_KEY_STRIP_H

#include "store/util/buf.h"

enum strip_language {
	STRIP_NONE,
	STRIP_SHELL, /* sh, dash, bash, ksh */
	STRIP_PYTHON,
	STRIP_C, /* and C++ */
};

/* By the suffix of the name, else by the text's `#!` line. */
enum strip_language strip_language_of(const char *path, struct slice text);

/* Append what remains. -EBADMSG: not understood (or STRIP_NONE); `ret_text` holds
 * rubbish then. */
int strip_comments(enum strip_language language, struct slice text, struct buf *ret_text);

#endif
