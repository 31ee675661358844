/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template and the values for it: what comes out is a path below the cache, with no
 * more parts than the template itself makes; what is refused has a message and writes
 * nothing. The first line is the template, the second a param's value, the rest a name.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "cli/key/template.h"

/* The next line, as a string of its own; *at is moved behind it. */
static char *take_line(const char **at, const char *end)
{
	const char *newline = memchr(*at, '\n', (size_t)(end - *at));
	size_t len = (size_t)((newline ? newline : end) - *at);
	char *line = malloc(len + 1);

	FUZZ_CHECK(line);
	memcpy(line, *at, len);
	line[len] = '\0';
	*at = newline ? newline + 1 : end;
	return line;
}

static size_t count(const char *text, size_t len, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == c;
	return n;
}

static void check_path(const char *template, const struct buf *path)
{
	const char *at = (const char *)path->data, *end = at + path->len;
	/* %D is 11/21/26: two slashes from two characters of a format. */
	size_t slashes = count(template, strlen(template), '/') +
			 2 * count(template, strlen(template), '%');

	FUZZ_CHECK(path->len && *at != '/' && end[-1] != '/');
	FUZZ_CHECK(!memchr(at, '\0', path->len));
	FUZZ_CHECK(count(at, path->len, '/') <= slashes);
	while (at <= end) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t len = (size_t)((slash ? slash : end) - at);

		FUZZ_CHECK(len && len <= 255);
		FUZZ_CHECK(!(len == 1 && *at == '.'));
		FUZZ_CHECK(!(len == 2 && memcmp(at, "..", 2) == 0));
		FUZZ_CHECK(!(len == 7 && memcmp(at, ".memofs", 7) == 0));
		at += len + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *at = (const char *)data, *end = at + len;
	char *template = take_line(&at, end), *value = take_line(&at, end);
	char *name = take_line(&at, end), *param = malloc(strlen(value) + 3);
	struct cli_list params = {.len = 1}, envs = {.item = {"PATH"}, .len = 1};
	struct template_values values = {
	    .now_ns = INT64_C(1795269906000000000),
	    .name = *name ? name : "n",
	    .version = "1/0",
	    .id = "0123456789abcdef",
	    .params = &params,
	    .envs = &envs,
	};
	struct errmsg err = {""};
	struct buf path = BUF_INIT;

	FUZZ_CHECK(param);
	sprintf(param, "p=%s", value);
	params.item[0] = param;
	setenv("TZ", "UTC", 1);
	if (template_expand(template, &values, &path, &err))
		FUZZ_CHECK(!path.len && *err.text && !strchr(err.text, '\n'));
	else
		check_path(template, &path);
	buf_deinit(&path);
	free(template);
	free(value);
	free(name);
	free(param);
	return 0;
}
