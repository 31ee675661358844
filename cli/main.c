/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/message.h"

struct no_options {
	char unused;
};

static int run_help(const void *opt, char **operands, size_t n);
static int run_version(const void *opt, char **operands, size_t n);

static const struct command cmd_help = {
    .name = "help",
    .args = "[COMMAND [SUBCOMMAND]]",
    .summary = "show the help of a command",
    .example = "memofs help put",
    .options_size = sizeof(struct no_options),
    .operands_max = 2,
    .run = run_help,
};

static const struct command cmd_version = {
    .name = "version",
    .args = "",
    .summary = "show the version of this program",
    .options_size = sizeof(struct no_options),
    .run = run_version,
};

static const struct command *const commands[] = {
    &cmd_mount,	       &cmd_umount,
    &cmd_status,       &cmd_get,
    &cmd_put,	       &cmd_ls,
    &cmd_stat,	       &cmd_rm,
    &cmd_run,	       &cmd_key,
    &cmd_explain,      &cmd_ns,
    &cmd_reserve,      &cmd_extend,
    &cmd_release,      &cmd_wait,
    &cmd_reservations, &cmd_save,
    &cmd_restore,      &cmd_check,
    &cmd_backup,       &cmd_restore_backup,
    &cmd_clear,	       &cmd_cache,
    &cmd_stats,	       &cmd_top,
    &cmd_report,       &cmd_pin,
    &cmd_unpin,	       &cmd_gc,
    &cmd_upgrade,      &cmd_export,
    &cmd_import,       &cmd_help,
    &cmd_version,      NULL,
};

static int run_version(const void *opt, char **operands, size_t n)
{
	printf("memofs %s\n", MEMOFS_VERSION);
	return CLI_OK;
}

static int run_help(const void *opt, char **operands, size_t n)
{
	const struct command *cmd;

	if (!n) {
		help_all(commands);
		return CLI_OK;
	}
	cmd = command_find(commands, operands[0]);
	if (!cmd)
		return command_unknown(commands, NULL, operands[0]);
	if (n > 1) {
		const struct command *group = cmd;

		cmd = group->sub ? command_find(group->sub, operands[1]) : NULL;
		if (!cmd && group->sub)
			return command_unknown(group->sub, group->name, operands[1]);
		if (!cmd) {
			cli_error("help: %s has no commands of its own", group->name);
			return CLI_USAGE;
		}
	}
	help_command(cmd);
	return CLI_OK;
}

/*
 * Without descriptors 0 to 2, the first files opened would get their numbers,
 * and a message to stderr would be written into an entry. A closed one becomes
 * one that fails: `memofs put x <&-` must not store an empty entry.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", flags) != fd)
			_exit(CLI_FAILED);
	}
}

int main(int argc, char **argv)
{
	const struct command *cmd;
	const char *word;

	hold_standard_descriptors();
	if (argc < 2) {
		cli_error("what to do is missing; see memofs help");
		return CLI_USAGE;
	}
	word = argv[1];
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		word = "help";
	else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		word = "version";
	cmd = command_find(commands, word);
	if (!cmd && *word == '-') {
		cli_error("%s: options come after the command; see memofs help", word);
		return CLI_USAGE;
	}
	if (!cmd)
		return command_unknown(commands, NULL, word);
	return command_run(cmd, argc - 1, argv + 1);
}
