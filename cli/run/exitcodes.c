/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/exitcodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MAX 255

static void add(struct exit_codes *codes, long first, long last)
{
	for (long code = first; code <= last; code++)
		codes->set[code / 64] |= UINT64_C(1) << (code % 64);
}

/* Digits alone: no sign, no blank. Moves *at behind them. */
static bool parse_code(const char **at, long *ret_code)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*ret_code = strtol(*at, &end, 10);
	*at = end;
	return *ret_code <= CODE_MAX;
}

/* `N` or `N-M`, up to a comma or the end. */
static bool parse_range(const char **at, struct exit_codes *codes)
{
	long first, last;

	if (!parse_code(at, &first))
		return false;
	last = first;
	if (**at == '-') {
		(*at)++;
		if (!parse_code(at, &last) || last < first)
			return false;
	}
	add(codes, first, last);
	return true;
}

static bool parse(const char *at, struct exit_codes *codes)
{
	while (parse_range(&at, codes)) {
		if (!*at)
			return true;
		if (*at++ != ',')
			return false;
	}
	return false;
}

int exit_codes_parse(const char *text, struct exit_codes *ret_codes, struct errmsg *err)
{
	struct exit_codes codes = {{0}};

	if (!text)
		add(&codes, 0, 0);
	else if (strcmp(text, "any") == 0)
		add(&codes, 0, CODE_MAX);
	else if (!parse(text, &codes))
		return err_set(err, EINVAL,
			       "--cache-exit: \"%s\" is no list of exit codes; use e.g. "
			       "0,1,10-12, or any",
			       text);
	*ret_codes = codes;
	return 0;
}

bool exit_codes_have(const struct exit_codes *codes, int code)
{
	return code >= 0 && code <= CODE_MAX &&
	       (codes->set[code / 64] >> (code % 64) & 1);
}
