/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON (RFC 8259) that another program wrote.
 *
 * Strict: no comments, no commas too many, no lone surrogates, UTF-8 only, nothing
 * behind the value; and bounded: depth, number of values, and memory by the length of
 * the text. Strings have no NUL, so "\u0000" is refused. A number is a double, which
 * is exact up to 2^53; one that is no finite double is refused.
 */
#ifndef MEMOFS_CLI_LOOK_JDOC_H
#define MEMOFS_CLI_LOOK_JDOC_H

#include <stddef.h>

#include "store/util/err.h"

#define JDOC_DEPTH_MAX 32
#define JDOC_VALUES_MAX (1u << 20)

enum jtype { JNULL, JFALSE, JTRUE, JNUMBER, JSTRING, JARRAY, JOBJECT };

/* All of it belongs to the document. */
struct jval {
	enum jtype type;
	const char *key; /* of a member of an object; else NULL */
	const char *string;
	double number;
	size_t begin, end; /* where its text is */
	struct jval *first, *next;
};

struct jdoc {
	struct jval *values; /* the first one is the whole */
	size_t n, cap;
	char *strings;
};
#define JDOC_INIT ((struct jdoc){0})
#define CLEANUP_JDOC __attribute__((cleanup(jdoc_deinit)))

/* 0; -EINVAL: it is no such JSON; -E2BIG: too deep or too much; with a message. */
int jdoc_read(const char *text, size_t len, struct jdoc *ret_doc, struct errmsg *err);
void jdoc_deinit(struct jdoc *doc);

/*
 * For all of these `v` may be NULL and of any type. The member of an object, of several
 * with the same key the first; NULL when there is none.
 */
const struct jval *jval_get(const struct jval *v, const char *key);
/* The elements of an array, one after the other by ->next; NULL when it is none. */
const struct jval *jval_elements(const struct jval *v);
double jval_number(const struct jval *v, double otherwise);
const char *jval_string(const struct jval *v, const char *otherwise);

#endif
