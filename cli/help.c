/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static const char exit_codes[] =
    "  0  done\n"
    "  1  no such entry (a miss), or nothing is mounted\n"
    "  2  the command line or the configuration is wrong\n"
    "  3  refused or failed: permission, space, I/O; the store cannot be opened\n"
    "  4  trouble with the mount: not one of memofs, dead, busy, cannot be made\n"
    "  5  another has reserved it, also after waiting\n"
    "  6  the reservation was lost\n"
    "  7  nothing was reserved, because the entry is there\n";

/* Text that may have several lines, each indented by two. */
static void put_indented(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		printf("%s%.*s\n", len ? "  " : "", (int)len, text);
		text += len;
		text += *text == '\n';
	}
}

static void put_option(char letter, const char *name, const char *arg, const char *text)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s--%s%s", letter ? '-' : ' ',
		 letter ? letter : ' ', letter ? ", " : "  ", name, arg);
	printf("  %-28s  %s\n", left, text);
}

static void put_command_option(const struct cli_option *o)
{
	char arg[32] = "";

	if (o->arg)
		snprintf(arg, sizeof(arg), o->type == CLI_WAIT ? "[=%s]" : " %s", o->arg);
	put_option(o->letter, o->name, arg, o->help);
}

static void put_choices(const struct cli_option *o)
{
	printf("  %28s  one of:", "");
	for (const char *const *c = o->choices; *c; c++)
		printf(" %s", *c);
	putchar('\n');
}

static void put_commands(const struct command *const *list)
{
	for (; *list; list++)
		printf("  %-12s %s\n", (*list)->name, (*list)->summary);
}

static void put_options(const struct command *cmd)
{
	printf("\nOptions:\n");
	for (const struct cli_option *o = cmd->options; o && o->name; o++) {
		put_command_option(o);
		if (o->type == CLI_CHOICE)
			put_choices(o);
	}
	put_option('h', "help", "", "show this and do nothing");
}

void help_command(const struct command *cmd)
{
	printf("Usage: memofs %s%s%s%s%s%s\n\n%c%s.\n", cmd->group ? cmd->group : "",
	       cmd->group ? " " : "", cmd->name, cmd->options ? " [options]" : "",
	       *cmd->args ? " " : "", cmd->args, toupper(cmd->summary[0]),
	       cmd->summary + 1);
	if (cmd->detail)
		printf("\n%s", cmd->detail);
	if (cmd->sub) {
		printf("\nCommands:\n");
		put_commands(cmd->sub);
		printf("\nmemofs %s COMMAND --help tells more about each.\n", cmd->name);
	} else {
		put_options(cmd);
	}
	if (cmd->exits) {
		printf("\nExit codes:\n");
		put_indented(cmd->exits);
	}
	if (cmd->example) {
		printf("\nExample:\n");
		put_indented(cmd->example);
	}
}

void help_all(const struct command *const *list)
{
	printf("Usage: memofs COMMAND [options] [arguments]\n\n"
	       "A cache of task results, mounted as a directory. Everything here can\n"
	       "also be done with cat, cp, mv, ls, rm, getfattr and setfattr.\n\n"
	       "Commands:\n");
	put_commands(list);
	printf("\nmemofs COMMAND --help tells more about each.\n\n"
	       "Exit codes, of every command:\n%s",
	       exit_codes);
}
