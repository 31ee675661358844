/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines: patterns, then an empty one, then paths. Nothing is out of bounds, a program
 * that was made is run to its end, and what is said of a directory holds for what is
 * below it: what is chosen can be reached.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "cli/tree/pattern.h"

#define LINES_MAX 64

/* As a walk makes them: no part is empty. */
static bool is_path(const char *text)
{
	size_t len = strlen(text);

	return len && text[0] != '/' && text[len - 1] != '/' && !strstr(text, "//");
}

/* What is below a directory that cannot be reached is not chosen. */
static void check_reach(struct patterns *ps, char *path)
{
	bool chosen = patterns_match(ps, path, false);

	for (char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		FUZZ_CHECK(!chosen || patterns_reach(ps, path));
		*p = '/';
	}
	if (chosen)
		FUZZ_CHECK(patterns_match(ps, path, false));
}

static size_t split(char *text, char *lines[LINES_MAX])
{
	size_t n = 0;
	char *line;

	while ((line = strsep(&text, "\n")) && n < LINES_MAX)
		lines[n++] = line;
	return n;
}

static void run(char *const *lines, size_t n_patterns, size_t n)
{
	struct patterns *ps = NULL;
	struct errmsg err = {""};
	int r = patterns_new((const char *const *)lines, n_patterns, &ps, &err);

	FUZZ_CHECK(!r == !!ps && !r == !*err.text);
	for (size_t i = n_patterns + 1; !r && i < n; i++) {
		if (is_path(lines[i]))
			check_reach(ps, lines[i]);
		patterns_match(ps, lines[i], true);
		patterns_unused(ps);
	}
	patterns_free(ps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[2048], *lines[LINES_MAX];
	size_t n, n_patterns = 0;

	if (len >= sizeof(text) || memchr(data, 0, len))
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	n = split(text, lines);
	while (n_patterns < n && *lines[n_patterns])
		n_patterns++;
	run(lines, n_patterns, n);
	return 0;
}
