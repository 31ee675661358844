/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two texts of keys, divided by a NUL. What is read is the canonical text of its
 * parts, and can be made again of their names and values; a key differs from itself
 * in nothing, and from another in something, in one direction as in the other.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "cli/key/key.h"
#include "cli/key/parts.h"

static void check_same(struct slice a, const struct buf *b)
{
	FUZZ_CHECK(a.len == b->len && memcmp(a.data, b->data, a.len) == 0);
}

/* False: it is no key. */
static bool check_text(struct slice text)
{
	struct parts ps, made = PARTS_INIT;
	struct buf again = BUF_INIT;
	int r = parts_parse(text, &ps);

	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r)
		return false;
	parts_text(&ps, &again);
	check_same(text, &again);
	for (size_t i = 0; i < ps.n; i++) {
		const struct part *p = &ps.list[i];
		char *name = part_unescape(p->name);
		char *value = p->value.data ? part_unescape(p->value) : NULL;

		parts_add(&made, p->kind, name, value);
		free(name);
		free(value);
	}
	FUZZ_CHECK(!parts_sort(&made));
	buf_clear(&again);
	parts_text(&made, &again);
	check_same(text, &again);
	parts_deinit(&made);
	parts_deinit(&ps);
	buf_deinit(&again);
	return true;
}

static int differences(struct slice a, struct slice b)
{
	struct buf lines = BUF_INIT;
	int n = key_differences(a, b, &lines);

	FUZZ_CHECK(n >= 0 && !n == !lines.len);
	FUZZ_CHECK(!lines.len || lines.data[lines.len - 1] == '\n');
	buf_deinit(&lines);
	return n;
}

/* Anything at all goes into a key and comes out of it again. */
static void check_escapes(const uint8_t *data, size_t len)
{
	struct buf escaped = BUF_INIT;
	char *text = malloc(len + 1), *back;

	FUZZ_CHECK(text);
	memcpy(text, data, len);
	text[len] = '\0';
	part_escape(&escaped, text, strlen(text));
	FUZZ_CHECK(!escaped.len || (!memchr(escaped.data, '\n', escaped.len) &&
				    !memchr(escaped.data, '\t', escaped.len)));
	back = part_unescape(buf_slice(&escaped));
	FUZZ_CHECK(strcmp(back, text) == 0);
	free(back);
	free(text);
	buf_deinit(&escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *nul = len ? memchr(data, '\0', len) : NULL;
	size_t first = nul ? (size_t)(nul - data) : len;
	struct slice a = slice(data, first);
	struct slice b = nul ? slice(nul + 1, len - first - 1) : slice("", 0);
	bool a_good = check_text(a), b_good = check_text(b);

	check_escapes(data, len);
	if (a_good)
		FUZZ_CHECK(differences(a, a) == 0);
	if (a_good && b_good) {
		bool same = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;

		FUZZ_CHECK(same == !differences(a, b));
		FUZZ_CHECK(!same == !!differences(b, a));
	}
	return 0;
}
