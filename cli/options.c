/* SPDX-License-Identifier: Apache-2.0 */
/* getopt_long() driven by a command's table of options. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/message.h"
#include "store/util/buf.h"
#include "store/util/duration.h"
#include "store/util/suggest.h"

#define OPTIONS_MAX 64
/* What getopt_long() returns for option i: apart from every letter. */
#define VAL_BASE 256
#define VAL_HELP (VAL_BASE + OPTIONS_MAX)

struct tables {
	struct option longs[OPTIONS_MAX + 2];
	char shorts[2 * OPTIONS_MAX + 4];
	size_t n; /* of the command's options */
};

static int argument_of(enum cli_type type)
{
	if (type == CLI_FLAG)
		return no_argument;
	return type == CLI_WAIT ? optional_argument : required_argument;
}

static const char *full_name(const struct command *cmd, char text[64])
{
	strcpy(text, cmd->group ? cmd->group : "");
	strcat(text, cmd->group ? " " : "");
	return strncat(text, cmd->name, 40);
}

static void tables_fill(struct tables *t, const struct command *cmd)
{
	const struct cli_option *o = cmd->options;
	char *s = t->shorts;
	size_t i = 0;

	*s++ = ':'; /* tell a missing argument from an unknown option */
	for (; o && o->name && i < OPTIONS_MAX; o++, i++) {
		t->longs[i] = (struct option){
		    .name = o->name,
		    .has_arg = argument_of(o->type),
		    .val = VAL_BASE + (int)i,
		};
		if (o->letter) {
			*s++ = o->letter;
			if (o->type != CLI_FLAG)
				*s++ = ':';
		}
	}
	t->n = i;
	t->longs[i] = (struct option){.name = "help", .val = VAL_HELP};
	t->longs[i + 1] = (struct option){0};
	*s++ = 'h';
	*s = '\0';
}

/* The option that getopt_long() means by `val`, or NULL. */
static const struct cli_option *option_of(const struct command *cmd, size_t n, int val)
{
	if (val >= VAL_BASE && val < VAL_BASE + (int)n)
		return &cmd->options[val - VAL_BASE];
	for (size_t i = 0; i < n; i++) {
		if (val && cmd->options[i].letter == val)
			return &cmd->options[i];
	}
	return NULL;
}

/* What is an unknown option of ours may be a known one of the user's command. */
static const char *dashes_hint(const struct command *cmd, char *const *argv)
{
	if (!cmd->args || !strstr(cmd->args, "-- "))
		return "";
	for (; *argv; argv++) {
		if (strcmp(*argv, "--") == 0)
			return "";
	}
	return " (a command and its options go after --)";
}

static void complain_unknown(const struct command *cmd, const struct tables *t,
			     const char *word, const char *hint)
{
	size_t len = strcspn(word + 2, "=");
	char *name = strndup(word + 2, len);
	struct suggest near;
	size_t prefixes = 0;
	char full[64];

	must(name ? 0 : -ENOMEM);
	near = suggest_for(name, len);
	for (const struct option *o = t->longs; o->name; o++) {
		prefixes += len && strncmp(o->name, name, len) == 0;
		suggest_offer(&near, o->name);
	}
	if (prefixes > 1)
		cli_error("%s: option --%s is ambiguous", full_name(cmd, full), name);
	else if (near.best)
		cli_error("%s: unknown option --%s; did you mean --%s?",
			  full_name(cmd, full), name, near.best);
	else
		cli_error("%s: unknown option --%s; see memofs %s --help%s",
			  full_name(cmd, full), name, full, hint);
	free(name);
}

/* getopt_long() has returned '?' or ':'. */
static void complain(const struct command *cmd, const struct tables *t, int why,
		     const char *word, const char *hint)
{
	const struct cli_option *o = option_of(cmd, t->n, optopt);
	char full[64];

	if (why == ':' && o)
		cli_error("%s: option --%s needs an argument, %s%s", full_name(cmd, full),
			  o->name, o->arg, hint);
	else if (o || optopt == VAL_HELP)
		cli_error("%s: option --%s takes no argument", full_name(cmd, full),
			  o ? o->name : "help");
	else if (optopt)
		cli_error("%s: unknown option -%c; see memofs %s --help%s",
			  full_name(cmd, full), optopt, full, hint);
	else
		complain_unknown(cmd, t, word, hint);
}

static int store_duration(const struct cli_option *o, const char *arg,
			  struct cli_duration *ret)
{
	int64_t ns;
	int r = duration_parse(arg, strlen(arg), &ns);

	if (r == -ERANGE)
		cli_error("--%s: \"%s\" is too long", o->name, arg);
	else if (r)
		cli_error(
		    "--%s: \"%s\" is not a duration; use e.g. 90s, 1h30m, PT1H, none",
		    o->name, arg);
	if (r)
		return -EINVAL;
	*ret = (struct cli_duration){.text = arg, .ns = ns};
	return 0;
}

static int store_mode(const struct cli_option *o, const char *arg, struct cli_mode *ret)
{
	char *end;
	unsigned long mode = strtoul(arg, &end, 8);

	if (arg[0] < '0' || arg[0] > '7' || *end || mode > 07777) {
		cli_error("--%s: \"%s\" is not a mode; use e.g. 0644", o->name, arg);
		return -EINVAL;
	}
	*ret = (struct cli_mode){.set = true, .mode = (mode_t)mode};
	return 0;
}

static int store_choice(const struct cli_option *o, const char *arg, int *ret)
{
	struct suggest near = suggest_for(arg, strlen(arg));
	CLEANUP_BUF struct buf values = BUF_INIT;

	for (int i = 0; o->choices[i]; i++) {
		if (strcmp(arg, o->choices[i]) == 0) {
			*ret = i;
			return 0;
		}
		suggest_offer(&near, o->choices[i]);
	}
	if (near.best) {
		cli_error("--%s: \"%s\" is not one of its values; did you mean \"%s\"?",
			  o->name, arg, near.best);
		return -EINVAL;
	}
	for (int i = 0; o->choices[i]; i++)
		must(buf_printf(&values, " %s", o->choices[i]));
	cli_error("--%s: \"%s\" is not one of its values:%.*s", o->name, arg,
		  (int)values.len, (const char *)values.data);
	return -EINVAL;
}

static int store_list(const struct cli_option *o, const char *arg, struct cli_list *list)
{
	if (list->len == CLI_LIST_MAX) {
		cli_error("--%s: given more than %d times", o->name, CLI_LIST_MAX);
		return -EINVAL;
	}
	list->item[list->len++] = arg;
	return 0;
}

static int store(const struct cli_option *o, const char *arg, void *opt)
{
	void *at = (char *)opt + o->offset;

	switch (o->type) {
	case CLI_FLAG:
		*(bool *)at = true;
		return 0;
	case CLI_STRING:
		*(const char **)at = arg;
		return 0;
	case CLI_LIST:
		return store_list(o, arg, at);
	case CLI_WAIT:
		if (!arg) {
			*(struct cli_duration *)at = (struct cli_duration){.text = ""};
			return 0;
		}
		return store_duration(o, arg, at);
	case CLI_DURATION:
		return store_duration(o, arg, at);
	case CLI_MODE:
		return store_mode(o, arg, at);
	case CLI_CHOICE:
		return store_choice(o, arg, at);
	}
	return -EINVAL;
}

int options_parse(const struct command *cmd, int argc, char **argv, void *ret_opt,
		  int *ret_first)
{
	struct tables t;
	int val, r;

	tables_fill(&t, cmd);
	optind = 0; /* also forgets what an earlier parse left */
	opterr = 0;
	while ((val = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		if (val == 'h' || val == VAL_HELP)
			return 1;
		if (val == '?' || val == ':') {
			complain(cmd, &t, val, argv[optind - 1], dashes_hint(cmd, argv));
			return -EINVAL;
		}
		r = store(option_of(cmd, t.n, val), optarg, ret_opt);
		if (r)
			return r;
	}
	*ret_first = optind;
	return 0;
}
