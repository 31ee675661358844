/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/strip.h"

#include <stdlib.h>

#include "cli/key/strip_impl.h"
#include "cli/paths.h"

static const struct suffix {
	const char *suffix;
	enum strip_language language;
} suffixes[] = {
    {".sh", STRIP_SHELL},  {".bash", STRIP_SHELL}, {".ksh", STRIP_SHELL},
    {".py", STRIP_PYTHON}, {".pyi", STRIP_PYTHON}, {".c", STRIP_C},
    {".h", STRIP_C},	   {".cc", STRIP_C},	   {".cpp", STRIP_C},
    {".cxx", STRIP_C},	   {".hh", STRIP_C},	   {".hpp", STRIP_C},
    {".hxx", STRIP_C},
};

/* The interpreter's name without a version: `python3.12`, `env bash`, `dash -e`. */
static const struct suffix interpreters[] = {
    {"sh", STRIP_SHELL},  {"bash", STRIP_SHELL},    {"dash", STRIP_SHELL},
    {"ksh", STRIP_SHELL}, {"python", STRIP_PYTHON},
};

static enum strip_language of_interpreter(const char *word, size_t len)
{
	while (len && strchr("0123456789.", word[len - 1]))
		len--;
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(*interpreters); i++) {
		if (len == strlen(interpreters[i].suffix) &&
		    memcmp(word, interpreters[i].suffix, len) == 0)
			return interpreters[i].language;
	}
	return STRIP_NONE;
}

/* `#!/usr/bin/env -S python3 -u`: the first word that is one. */
static enum strip_language of_first_line(struct slice text)
{
	const char *at = text.data, *end;

	if (text.len < 2 || memcmp(at, "#!", 2) != 0)
		return STRIP_NONE;
	end = memchr(at, '\n', text.len);
	end = end ? end : at + text.len;
	for (at += 2; at < end;) {
		const char *word = at;
		enum strip_language language;

		while (at < end && *at != ' ' && *at != '\t' && *at != '/')
			at++;
		language = of_interpreter(word, (size_t)(at - word));
		if (language)
			return language;
		at++;
	}
	return STRIP_NONE;
}

enum strip_language strip_language_of(const char *path, struct slice text)
{
	const char *dot = strrchr(path_base(path), '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		if (strcmp(dot, suffixes[i].suffix) == 0)
			return suffixes[i].language;
	}
	return of_first_line(text);
}

int strip_comments(enum strip_language language, struct slice text, struct buf *ret_text)
{
	if (!text.len) /* there may be no data, to point into */
		return language == STRIP_NONE ? -EBADMSG : 0;
	if (memchr(text.data, '\0', text.len))
		return -EBADMSG;
	switch (language) {
	case STRIP_SHELL:
		return strip_shell(text, ret_text);
	case STRIP_PYTHON:
		return strip_python(text, ret_text);
	case STRIP_C:
		return strip_c(text, ret_text);
	case STRIP_NONE:
		break;
	}
	return -EBADMSG;
}
