/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reservation can end while the command runs because the command published
 * through it, which is how it should end; because somebody who knows the ID
 * released it; or because this process did not run for so long that the time
 * ran out. Only the last, and a reservation that another has now, is a loss. A
 * value published in our time is told from one of the next holder by when it
 * was published.
 */
#include "cli/reserve_exec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"

enum keep_state {
	KEEP_OURS,
	KEEP_ENDED, /* as it should, or by our own doing */
	KEEP_LOST,
};

struct keep {
	const struct reserve_exec *re;
	pid_t child;
	enum keep_state state;
	bool killed;	    /* the command, because of the loss */
	bool complained;    /* of an extension that failed otherwise */
	int64_t lease_ns;   /* how long an extension is for */
	int64_t since_ns;   /* wall clock: the acquisition */
	int64_t expires_ns; /* wall clock: the end, as last extended */
	int64_t next_ns;    /* monotonic: the next extension */
};

void reserve_exec_signals(sigset_t *ret_set)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};

	sigemptyset(ret_set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaddset(ret_set, signals[i]);
}

/* ---- the reservation ------------------------------------------------------- */

/* How long it was taken for is the directory's to say where no option did. */
static int keep_init(struct keep *k, const struct reserve_exec *re)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	int r = reservation_read(re->path, false, &rv);

	if (!r && (!rv.owner || strcmp(rv.owner, re->owner) != 0))
		r = -ESTALE;
	if (r)
		return r;
	*k = (struct keep){
	    .re = re,
	    .since_ns = rv.since_ns,
	    .expires_ns = rv.expires_ns,
	    .lease_ns = re->lease_ns ? re->lease_ns : rv.expires_ns - time_now_ns(),
	};
	if (k->lease_ns < NSEC_PER_SEC / 1000)
		k->lease_ns = NSEC_PER_SEC / 1000;
	k->next_ns = time_monotonic_ns() + k->lease_ns / 3;
	return 0;
}

/* Whether the entry was published between our acquisition and our end. */
static bool published_in_time(const struct keep *k)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int64_t created_ns;

	if (attr_get(k->re->path, "created", &value) ||
	    attr_seconds_parse((const char *)value.data, &created_ns))
		return false;
	return created_ns >= k->since_ns && created_ns <= k->expires_ns;
}

static bool held_by_another(const struct keep *k)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;

	return reservation_read(k->re->path, false, &rv) == 0 && rv.owner &&
	       strcmp(rv.owner, k->re->owner) != 0;
}

static void keep_lose(struct keep *k)
{
	CLEANUP_FREE char *who = reservation_holder_text(k->re->path);

	k->state = KEEP_LOST;
	k->killed = k->re->kill_on_loss && k->child;
	cli_error("%s: the reservation was lost%s%s", k->re->path, who,
		  k->killed ? "; ending the command" : "");
	if (k->killed)
		kill(k->child, SIGTERM);
}

/* It is not ours any more: has it ended, or was it lost? */
static void keep_judge(struct keep *k)
{
	/* An early end is somebody's will, who knows the ID. */
	bool early = time_now_ns() < k->expires_ns;

	if (published_in_time(k) || (early && !held_by_another(k)))
		k->state = KEEP_ENDED;
	else
		keep_lose(k);
}

static void keep_extend(struct keep *k)
{
	int64_t now_ns = time_now_ns();
	int r = reservation_extend(k->re->path, k->re->owner, k->lease_ns);

	k->next_ns = time_monotonic_ns() + k->lease_ns / 3;
	if (r == 0) {
		k->expires_ns = now_ns + k->lease_ns;
	} else if (r == -ESTALE) {
		keep_judge(k);
	} else if (!k->complained) {
		cli_error("%s: the reservation cannot be extended: %s", k->re->path,
			  strerror(-r));
		k->complained = true; /* it may come back, as a daemon does */
	}
}

/* Release it, if it is still ours. */
static void keep_finish(struct keep *k)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	bool published;
	int r;

	k->child = 0;
	if (k->state != KEEP_OURS)
		return;
	/* First, since it waits for a publish that is still to come. */
	published = published_in_time(k);
	r = reservation_read(k->re->path, false, &rv);
	if (r == 0 && rv.owner && strcmp(rv.owner, k->re->owner) == 0)
		r = reservation_release(k->re->path, k->re->owner);
	else if (r == 0 && !published)
		keep_judge(k);
	if (r)
		cli_error("%s: the reservation cannot be released: %s", k->re->path,
			  strerror(-r));
}

/* ---- the command ------------------------------------------------------------- */

/* The directory without symlinks, since the command may change its own. */
static int set_environment(const struct reserve_exec *re)
{
	CLEANUP_FREE char *parent = path_parent(re->path), *dir = realpath(parent, NULL);
	CLEANUP_FREE char *key = dir ? path_join(dir, path_base(re->path)) : NULL;
	CLEANUP_BUF struct buf options = BUF_INIT;
	CLEANUP_FREE char *output = NULL;

	if (!dir)
		return -errno;
	view_option(&options, "owner", re->owner);
	output = view_path(key, &options);
	if (setenv("MEMOFS_OWNER", re->owner, 1) || setenv("MEMOFS_KEY", key, 1) ||
	    setenv("MEMOFS_OUTPUT", output, 1))
		return -errno;
	return 0;
}

_Noreturn static void exec_command(const struct reserve_exec *re)
{
	int code;

	sigprocmask(SIG_SETMASK, re->command_mask, NULL);
	execvp(re->argv[0], re->argv);
	code = errno == ENOENT ? 127 : 126;
	cli_error("%s: %s", re->argv[0], strerror(errno));
	_exit(code);
}

static pid_t start_command(const struct reserve_exec *re)
{
	pid_t child;

	/* Ignored, the end of a child would not be told. */
	signal(SIGCHLD, SIG_DFL);
	fflush(stdout);
	child = fork();
	if (child == 0)
		exec_command(re);
	return child;
}

/* What the terminal sends, it has sent to the command already. */
static void pass_on(const struct keep *k, const siginfo_t *info)
{
	if (info->si_code == SI_KERNEL && getpgid(k->child) == getpgrp())
		return;
	kill(k->child, info->si_signo);
}

/* Wait for a signal until the next extension is due. */
static int next_signal(const struct keep *k, const sigset_t *set, siginfo_t *ret_info)
{
	int64_t left_ns = k->next_ns - time_monotonic_ns();
	struct timespec ts;

	if (k->state != KEEP_OURS)
		return sigwaitinfo(set, ret_info);
	if (left_ns < 0)
		left_ns = 0;
	ts = (struct timespec){.tv_sec = (time_t)(left_ns / NSEC_PER_SEC),
			       .tv_nsec = (long)(left_ns % NSEC_PER_SEC)};
	return sigtimedwait(set, ret_info, &ts);
}

/* Returns the command's status, as wait(2) has it. */
static int keep_while_running(struct keep *k)
{
	siginfo_t info;
	sigset_t set;
	int status, sig;

	reserve_exec_signals(&set);
	for (;;) {
		sig = next_signal(k, &set, &info);
		if (sig == SIGCHLD) {
			if (waitpid(k->child, &status, WNOHANG) == k->child)
				return status;
		} else if (sig > 0) {
			pass_on(k, &info);
		}
		if (k->state == KEEP_OURS && time_monotonic_ns() >= k->next_ns)
			keep_extend(k);
	}
}

static int exit_code(const struct keep *k, int status)
{
	int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

	if (k->state == KEEP_LOST && (!code || k->killed))
		return CLI_LOST;
	return code;
}

int reserve_exec_run(const struct reserve_exec *re)
{
	struct keep k;
	int r = set_environment(re), status;

	if (!r)
		r = keep_init(&k, re);
	if (!r) {
		k.child = start_command(re);
		r = k.child < 0 ? -errno : 0;
	}
	if (r) {
		reservation_release(re->path, re->owner);
		return reservation_failed(re->path, r);
	}
	status = keep_while_running(&k);
	keep_finish(&k);
	return exit_code(&k, status);
}
