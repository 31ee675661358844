/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn [--csv] [--rounds N] NAME COMMAND [ARGUMENT...] [--- NAME COMMAND ...]
 *
 * How long commands take from their start to their end. In every round each runs
 * once, in an order that turns from round to round. What is printed is the median,
 * the middle half of the rounds, and the median as a multiple of the first command's
 * and as a difference from it. Output goes to /dev/null; a command that fails ends
 * the run.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../mount/prog.h"

enum { COMMANDS_MAX = 16 };

struct measured {
	const char *name;
	char **argv;
	double *ms; /* one a round */
};

static struct {
	bool csv;
	unsigned int rounds;
	struct measured commands[COMMANDS_MAX];
	unsigned int n;
} opt = {.rounds = 200};

extern char **environ;

static double run_once(const struct measured *m, posix_spawn_file_actions_t *quiet)
{
	int64_t begin_ns = elapsed_ns();
	int status, r;
	pid_t pid;

	r = posix_spawnp(&pid, m->argv[0], quiet, NULL, m->argv, environ);
	if (r)
		fail("%s: %s", m->argv[0], strerror(r));
	if (waitpid(pid, &status, 0) != pid)
		fail_errno("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail("%s: %s failed with status 0x%x", m->name, m->argv[0], status);
	return (double)(elapsed_ns() - begin_ns) / 1e6;
}

static void run_rounds(void)
{
	posix_spawn_file_actions_t quiet;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	for (unsigned int i = 0; i < opt.n; i++)
		run_once(&opt.commands[i], &quiet); /* what is cold is not measured */
	for (unsigned int round = 0; round < opt.rounds; round++) {
		for (unsigned int i = 0; i < opt.n; i++) {
			struct measured *m = &opt.commands[(i + round) % opt.n];

			m->ms[round] = run_once(m, &quiet);
		}
	}
	posix_spawn_file_actions_destroy(&quiet);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const struct measured *m, double q)
{
	return m->ms[(size_t)((double)(opt.rounds - 1) * q + 0.5)];
}

static void print_results(void)
{
	double first;

	for (unsigned int i = 0; i < opt.n; i++)
		qsort(opt.commands[i].ms, opt.rounds, sizeof(double), compare_doubles);
	first = quantile(&opt.commands[0], 0.5);
	if (opt.csv)
		puts("command,rounds,median_ms,q1_ms,q3_ms");
	else
		printf("%-26s %10s %19s %8s %12s\n", "command", "median ms",
		       "middle half", "ratio", "difference");
	for (unsigned int i = 0; i < opt.n; i++) {
		const struct measured *m = &opt.commands[i];
		double q1 = quantile(m, 0.25), q2 = quantile(m, 0.5),
		       q3 = quantile(m, 0.75);

		if (opt.csv)
			printf("%s,%u,%.4f,%.4f,%.4f\n", m->name, opt.rounds, q2, q1, q3);
		else
			printf("%-26s %10.2f %9.2f …%8.2f %8.2f %+9.2f ms\n", m->name, q2,
			       q1, q3, q2 / first, q2 - first);
	}
}

static void add_command(const char *name, char **argv)
{
	if (opt.n == COMMANDS_MAX)
		fail("more than %d commands", COMMANDS_MAX);
	if (!*argv)
		fail("%s: the command is missing", name);
	opt.commands[opt.n++] = (struct measured){.name = name, .argv = argv};
}

/* Cuts argv at each `---`. */
static void parse_commands(char **argv)
{
	while (*argv) {
		char **end = argv;

		while (*end && strcmp(*end, "---") != 0)
			end++;
		if (*end)
			*end++ = NULL;
		add_command(argv[0], argv + 1);
		argv = end;
	}
}

int main(int argc, char **argv)
{
	argv++;
	for (; *argv && strncmp(*argv, "--", 2) == 0; argv++) {
		if (strcmp(*argv, "--csv") == 0)
			opt.csv = true;
		else if (strcmp(*argv, "--rounds") == 0 && argv[1])
			opt.rounds = (unsigned int)strtoul(*++argv, NULL, 10);
		else
			fail("usage: spawn [--csv] [--rounds N] NAME COMMAND… [--- …]");
	}
	parse_commands(argv);
	if (!opt.n || !opt.rounds)
		fail("usage: spawn [--csv] [--rounds N] NAME COMMAND… [--- …]");
	for (unsigned int i = 0; i < opt.n; i++) {
		opt.commands[i].ms = calloc(opt.rounds, sizeof(double));
		if (!opt.commands[i].ms)
			fail("no memory");
	}
	run_rounds();
	print_results();
	return 0;
}
