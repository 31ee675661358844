/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "store/util/duration.h"
#include "store/util/suggest.h"

const struct command *command_find(const struct command *const *list, const char *name)
{
	for (; *list; list++) {
		if (strcmp((*list)->name, name) == 0)
			return *list;
	}
	return NULL;
}

int command_unknown(const struct command *const *list, const char *group,
		    const char *name)
{
	struct suggest near = suggest_for(name, strlen(name));

	for (; *list; list++)
		suggest_offer(&near, (*list)->name);
	if (near.best)
		cli_error("unknown command \"%s%s%s\"; did you mean \"%s\"?",
			  group ? group : "", group ? " " : "", name, near.best);
	else
		cli_error("unknown command \"%s%s%s\"; see memofs help%s%s",
			  group ? group : "", group ? " " : "", name, group ? " " : "",
			  group ? group : "");
	return CLI_USAGE;
}

static int run_group(const struct command *cmd, int argc, char **argv)
{
	const struct command *sub;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_command(cmd);
		return cli_finish(CLI_OK);
	}
	if (argc < 2) {
		cli_error("%s: what to do is missing: %s; see memofs %s --help",
			  cmd->name, cmd->args, cmd->name);
		return CLI_USAGE;
	}
	sub = command_find(cmd->sub, argv[1]);
	if (!sub)
		return command_unknown(cmd->sub, cmd->name, argv[1]);
	return command_run(sub, argc - 1, argv + 1);
}

/* The option that the operand `text` was meant for, as in `get --wait 5s PATH`. */
static const struct cli_option *wait_option(const struct command *cmd, const char *text)
{
	const struct cli_option *o = cmd->options;
	int64_t ns;

	if (duration_parse(text, strlen(text), &ns))
		return NULL;
	while (o && o->name && o->type != CLI_WAIT)
		o++;
	return o && o->name ? o : NULL;
}

static int check_operands(const struct command *cmd, size_t n, char **operands)
{
	const char *group = cmd->group ? cmd->group : "", *space = cmd->group ? " " : "";
	const struct cli_option *wait = NULL;

	if (n > cmd->operands_max)
		wait = wait_option(cmd, operands[0]);
	if (wait)
		cli_error("%s: \"%s\" is taken for a path; a duration is joined to its "
			  "option: --%s=%s",
			  cmd->name, operands[0], wait->name, operands[0]);
	else if (n > cmd->operands_max)
		cli_error("%s%s%s: \"%s\" is one argument too many; usage: memofs "
			  "%s%s%s%s%s",
			  group, space, cmd->name, operands[cmd->operands_max], group,
			  space, cmd->name, *cmd->args ? " " : "", cmd->args);
	else if (n < cmd->operands_min)
		cli_error("%s%s%s: an argument is missing; usage: memofs %s%s%s %s",
			  group, space, cmd->name, group, space, cmd->name, cmd->args);
	else
		return CLI_OK;
	return CLI_USAGE;
}

int command_run(const struct command *cmd, int argc, char **argv)
{
	CLEANUP_FREE char *opt = NULL;
	int first, status, r;

	if (cmd->sub)
		return run_group(cmd, argc, argv);
	opt = xcalloc(1, cmd->options_size);
	r = options_parse(cmd, argc, argv, opt, &first);
	if (r < 0)
		return CLI_USAGE;
	if (r > 0) {
		help_command(cmd);
		return cli_finish(CLI_OK);
	}
	status = check_operands(cmd, (size_t)(argc - first), argv + first);
	if (status)
		return status;
	return cli_finish(cmd->run(opt, argv + first, (size_t)(argc - first)));
}
