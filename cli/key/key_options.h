/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that make a key, for the tables of run, key and explain.
 *
 *	struct run_options { struct key_options key; … };
 *	static const struct cli_option options[] = {
 *	    KEY_OPTIONS(struct run_options, key),
 *	    …
 *	    CLI_END,
 *	};
 */
#ifndef MEMOFS_CLI_KEY_KEY_OPTIONS_H
#define MEMOFS_CLI_KEY_KEY_OPTIONS_H

#include <stddef.h>

#include "cli/command.h"
#include "cli/key/key.h"

/* In the order of enum key_validate; NULL-terminated. */
extern const char *const key_validate_names[];

/* One line of the table; `field` is one of struct key_options. */
#define KEY_OPTION(letter, name, kind, type, member, field, arg, help)                   \
	{                                                                                \
		letter, name, kind, offsetof(type, member.field), arg, help, NULL        \
	}

/* clang-format off */
#define KEY_OPTIONS(type, member)                                                        \
	KEY_OPTION('n', "name", CLI_STRING, type, member, name, "NAME",                  \
		   "what the results are called (the command's base name)"),             \
	KEY_OPTION('i', "input", CLI_LIST, type, member, inputs, "[NAME=]PATH",          \
		   "a file, directory or pattern that the result depends on"),           \
	KEY_OPTION(0, "input-hash", CLI_LIST, type, member, input_hash, "NAME=CMD",      \
		   "what CMD prints stands for the input NAME"),                         \
	KEY_OPTION('p', "param", CLI_LIST, type, member, params, "NAME=VALUE",           \
		   "a value that the result depends on"),                                \
	KEY_OPTION('e', "env", CLI_LIST, type, member, envs, "NAME",                     \
		   "a variable that the result depends on"),                             \
	KEY_OPTION('o', "output", CLI_LIST, type, member, outputs, "PATH",               \
		   "a file, directory or pattern that the command makes"),               \
	KEY_OPTION(0, "ignore", CLI_LIST, type, member, ignore, "NAME",                  \
		   "an input, param or env that makes no difference"),                   \
	KEY_OPTION(0, "version", CLI_STRING, type, member, version, "TEXT",              \
		   "of the command; another one has other results"),                     \
	KEY_OPTION(0, "version-from", CLI_LIST, type, member, version_from, "POLICY",    \
		   "file:PATH, exe, command:CMD, git:PATH or env:NAME"),                 \
	KEY_OPTION(0, "strip-comments", CLI_FLAG, type, member, strip_comments, NULL,    \
		   "comments and layout in --version-from file: are nothing"),           \
	KEY_OPTION(0, "salt", CLI_STRING, type, member, salt, "TEXT",                    \
		   "keeps these results apart from others"),                             \
	KEY_OPTION(0, "stdin", CLI_FLAG, type, member, use_stdin, NULL,                  \
		   "standard input is an input"),                                        \
	KEY_OPTION('k', "key", CLI_STRING, type, member, template, "TEMPLATE",           \
		   "the path of the result in the cache"),                               \
	{ 0, "validate", CLI_CHOICE, offsetof(type, member.validate), "WHAT",            \
	  "what must be the same for a hit", key_validate_names },                       \
	KEY_OPTION(0, "validate-on", CLI_LIST, type, member, validate_on, "NAME",        \
		   "an input or param that --validate partial_… is about")
/* clang-format on */

/*
 * Options that do not go together, or are wrong by themselves: a name that is given
 * twice, a param without a value, … -EINVAL with a message. key_make() does it, too.
 */
int key_options_check(const struct key_options *o, struct errmsg *err);

/* Of `NAME=REST`, what comes after the `=`; NULL: there is none, or no NAME. */
const char *key_option_rest(const char *text, size_t *ret_name_len);

#endif
