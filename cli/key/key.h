/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key of a command's result: what it was made from, as a text that explains it.
 *
 * A part is a line: its kind, its name, its value, separated by tabs (parts.h). Bytes
 * that do not print, tabs, line breaks and backslashes are escaped, so that any name
 * and value fits and equal texts mean equal parts. Parts are sorted by kind and name,
 * so that the order of options changes nothing, but for the words of the command and
 * the policies that make its version.
 *
 *   memofs-key 1
 *   name            make-report
 *   command 0       ./report
 *   param   day     2026-11-21
 *   env     LANG    C.UTF-8
 *   input   a.csv   file 0644 xxh128:…
 *   …
 *
 * The text is stored beside the result. An XXH3-128 names the entry, of all of it or
 * of what --validate leaves; and a hit needs the same text, so that two keys with one
 * hash are a miss and no wrong answer.
 */
#ifndef MEMOFS_CLI_KEY_KEY_H
#define MEMOFS_CLI_KEY_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command.h"
#include "cli/tree/filehash.h"
#include "store/util/buf.h"
#include "store/util/err.h"

/* The options that make a key, shared by run, key and explain (key_options.h). */
struct key_options {
	const char *name;	    /* --name; NULL: the base name of the command */
	struct cli_list inputs;	    /* --input [NAME=]FILE|DIR|GLOB */
	struct cli_list input_hash; /* --input-hash NAME=CMD: stands for that input */
	struct cli_list params;	    /* --param k=v */
	struct cli_list envs;	    /* --env NAME */
	struct cli_list outputs;    /* --output PATH|GLOB: their names are parts */
	struct cli_list ignore; /* --ignore NAME: an input, param or env that is none */
	const char *version;	/* --version */
	struct cli_list version_from; /* --version-from file:…, exe, command:…, git:… */
	bool strip_comments;	      /* --strip-comments: of file: policies */
	const char *salt;	      /* --salt */
	bool use_stdin;	      /* --stdin: it is an input, and given to the command */
	const char *template; /* --key TEMPLATE: the path of the entry */
	int validate;	      /* --validate: enum key_validate */
	struct cli_list validate_on; /* --validate-on NAME: for the partial ones */
};

/* Which parts of a stored key must equal those of now. */
enum key_validate {
	KEY_VALIDATE_DEFAULT, /* all parts; with --key: duration_only */
	KEY_DURATION_ONLY,    /* none: age and ttl decide */
	KEY_ALL_INPUTS,	      /* inputs, params, envs, stdin */
	KEY_ALL_PARAMETERS,   /* params */
	KEY_PARTIAL_INPUTS_ONLY,
	KEY_PARTIAL_PARAMETERS_ONLY,
	KEY_NEVER_USE,
	KEY_ALL_PARTS,
};

struct key {
	struct buf text; /* the parts; see above */
	char id[33];	 /* hash of those that --validate is about, hex */
	char *path;	 /* of the entry in the cache: NAME/ID, or the template's */
	char *name;
	/* What stdin held, for the command: an unlinked file, at its start; or -1. */
	int stdin_fd;
};
#define KEY_INIT ((struct key){.stdin_fd = -1})
#define CLEANUP_KEY __attribute__((cleanup(key_deinit)))
void key_deinit(struct key *k);

/*
 * Look at everything and make the key. `fh` may be NULL. -EINVAL: an option is wrong;
 * -ENOENT and others: an input cannot be read; -ELOOP: a cyclic symlink; -ECHILD: a
 * command that was to tell something failed; all with a message that names the option
 * and its value. On failure *ret_key, which was KEY_INIT, is as it was, but for
 * stdin_fd: what standard input held is still the command's.
 */
int key_make(const struct key_options *o, char *const *command, struct filehash *fh,
	     struct key *ret_key, struct errmsg *err);

/*
 * Look at inputs and versions again, after the command. -ESTALE with a message that
 * names the first that is not what it was; else as key_make().
 */
int key_check_again(const struct key_options *o, char *const *command,
		    struct filehash *fh, const struct key *k, struct errmsg *err);

/* May a stored result with this key text answer for `k`? */
bool key_answers(const struct key_options *o, const struct key *k, struct slice stored);

/*
 * How `stored` differs from `now`, a line a part, as
 * `input src/a.c changed: 0a1b… now 9f86…`, `param day is new: 2026-11-21`,
 * `env LANG is gone`; most telling first. Returns the number of differing parts.
 * -EBADMSG: it is no key text.
 */
int key_differences(struct slice stored, struct slice now, struct buf *ret_lines);

#endif
