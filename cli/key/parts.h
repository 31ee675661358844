/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a key, written and read; key.h shows one.
 *
 *   memofs-key 1
 *   KIND <tab> NAME [<tab> VALUE]      a line a part
 *
 * Kinds are in the order of enum part_kind, parts of a kind sorted by the bytes of
 * their names, but for the words of a command (numbered) and versions (in the order
 * they were given). A part without a value, as a variable that is not set, differs
 * from one with an empty value. The text is canonical: of a list of parts there is
 * one, and what is read is refused when it is another.
 *
 * In names and values a backslash, control characters and what is no UTF-8 are
 * escaped: \\ \t \n \r \xNN. So they can be shown as they are.
 */
#ifndef MEMOFS_CLI_KEY_PARTS_H
#define MEMOFS_CLI_KEY_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/util/buf.h"

enum part_kind {
	PART_NAME,
	PART_COMMAND,
	PART_VERSION,
	PART_PARAM,
	PART_ENV,
	PART_INPUT,
	PART_STDIN,
	PART_OUTPUT,
	PART_SALT,
	PART_KINDS,
};
/* `input` and so on. */
const char *part_kind_name(enum part_kind kind);

struct part {
	enum part_kind kind;
	struct slice name, value; /* escaped; value.data NULL: none */
	char *line;		  /* what they are in, when it is the part's own */
};

struct parts {
	struct part *list;
	size_t n, cap;
};
#define PARTS_INIT ((struct parts){0})
#define CLEANUP_PARTS __attribute__((cleanup(parts_deinit)))
void parts_deinit(struct parts *ps);

/* Add one; `name` and `value` are any bytes without NUL, `value` may be NULL. Ends the
 * program when there is no memory, as all of cli/. */
void parts_add(struct parts *ps, enum part_kind kind, const char *name,
	       const char *value);
/*
 * Sort them into the order of the text. Of several that are the same one is kept.
 * Returns a part whose kind and name another has with another value, or NULL.
 */
const struct part *parts_sort(struct parts *ps);
/* Append the text of sorted parts. */
void parts_text(const struct parts *ps, struct buf *ret_text);
/* The same of those that `keep` says. */
void parts_text_of(const struct parts *ps,
		   bool (*keep)(const void *arg, const struct part *), const void *arg,
		   struct buf *ret_text);

/* Borrows from `text`. -EBADMSG: it is none, or not the canonical one. */
int parts_parse(struct slice text, struct parts *ret_parts);

/* Order of kind and name alone, as in the text; versions by name, too. */
int part_compare(const struct part *a, const struct part *b);
bool part_same_value(const struct part *a, const struct part *b);

void part_escape(struct buf *out, const char *text, size_t len);
/* The bytes again, with a NUL behind them. The caller frees it. */
char *part_unescape(struct slice escaped);

#endif
