/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of `memofs` is: its name, its options, its help, its work.
 *
 * Everything a user can read about a command by --help is in its struct, so
 * that the help, the option parser and the suggestions for misspelt words come
 * from one place. Commands are constants; one file each (cmd_*.c).
 */
#ifndef MEMOFS_CLI_COMMAND_H
#define MEMOFS_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exit codes, the same for every command; `memofs help` prints their meaning. */
enum cli_exit {
	CLI_OK = 0,
	CLI_MISS = 1,	/* no such entry, or no mount to report on */
	CLI_USAGE = 2,	/* the command line or the configuration is wrong */
	CLI_FAILED = 3, /* refused or failed: permission, I/O, space; store not opened */
	CLI_MOUNT = 4,	/* not mounted, not a memofs mount, dead, busy, mount failed */
	CLI_HELD = 5,	/* reserved by another, also after waiting */
	CLI_LOST = 6,	/* the reservation was lost */
	CLI_HIT = 7,	/* nothing to reserve: the entry is there */
};

/* The more serious of two exit codes; for commands that go on after a failure. */
static inline int cli_worse(int a, int b)
{
	return a > b ? a : b;
}

/* How the argument of an option is read, and what it is stored as. */
enum cli_type {
	CLI_FLAG,     /* no argument; bool */
	CLI_STRING,   /* const char *, NULL when absent */
	CLI_LIST,     /* may be repeated; struct cli_list */
	CLI_DURATION, /* struct cli_duration */
	CLI_WAIT,     /* the same; `--name` alone is one, too, with the text "" */
	CLI_MODE,     /* octal permissions; struct cli_mode */
	CLI_CHOICE,   /* one of `choices`; int, its index; 0 when absent */
};

#define CLI_LIST_MAX 64
struct cli_list {
	const char *item[CLI_LIST_MAX];
	size_t len;
};

struct cli_duration {
	const char *text; /* as written; NULL when absent */
	int64_t ns;	  /* 0 when there is no text */
};

struct cli_mode {
	bool set;
	mode_t mode;
};

struct cli_option {
	char letter;	  /* 0: none */
	const char *name; /* long name; NULL ends the table */
	enum cli_type type;
	size_t offset;		    /* into the command's options */
	const char *arg;	    /* its name in the help; NULL for a flag */
	const char *help;	    /* one line */
	const char *const *choices; /* CLI_CHOICE: NULL-terminated */
};

#define CLI_END                                                                          \
	{                                                                                \
		.name = NULL                                                             \
	}
#define CLI_MANY SIZE_MAX

struct command {
	const char *name;
	const char *group;   /* the command it belongs to ("ns"), or NULL */
	const char *args;    /* operands, for the usage line */
	const char *summary; /* one line */
	const char *detail;  /* paragraphs, each line ended; may be NULL */
	const char *exits;   /* what its exit codes mean, a line each */
	const char *example; /* lines */

	const struct cli_option *options; /* NULL: none but --help */
	size_t options_size;		  /* of the struct they are stored in */
	size_t operands_min, operands_max;

	/*
	 * `opt` is the filled-in struct of the options (zeroed where absent);
	 * `operands` are what remains, `n` of them. Returns an enum cli_exit.
	 */
	int (*run)(const void *opt, char **operands, size_t n);

	const struct command *const *sub; /* a group: NULL-terminated; no run */
};

/*
 * Parse argv (argv[0] is the command's own name) and run it. Prints what is
 * wrong with it, or the help when that is asked for. Returns an enum cli_exit.
 */
int command_run(const struct command *cmd, int argc, char **argv);

/* The one called `name` in a NULL-terminated list, or NULL. */
const struct command *command_find(const struct command *const *list, const char *name);

/*
 * Complain that `name` is no command of the list, with the nearest one; `group`
 * is NULL at the top. Returns CLI_USAGE.
 */
int command_unknown(const struct command *const *list, const char *group,
		    const char *name);

/*
 * The options of `cmd` from argv into `ret_opt`, which is of options_size and
 * zeroed. *ret_first is the index of the first operand; argv is permuted.
 * Returns 0; 1 when --help was given; -EINVAL after a message.
 */
int options_parse(const struct command *cmd, int argc, char **argv, void *ret_opt,
		  int *ret_first);

/* The help of one command, on stdout. */
void help_command(const struct command *cmd);
/* The list of all commands and the exit codes, on stdout. */
void help_all(const struct command *const *list);

#endif
