/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cache.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/run/job.h"
#include "cli/run/refresh.h"
#include "cli/run/running.h"
#include "store/util/duration.h"

/* Others that come between us again and again do not stop the command for ever. */
#define ROUNDS_MAX 1000
#define ROUNDS_QUICK 3
#define ROUND_PAUSE_US 2000

/* ---- the end ---------------------------------------------------------------------- */

/* As the command did, so that a shell script ends, too, when it is interrupted. */
static int die_of(int sig)
{
	struct rlimit none = {0, 0};
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none); /* one core is enough */
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	return 128 + sig;
}

/* What it wrote did not get where it should. */
static int not_shown(int errnum, int code)
{
	struct sigaction old;

	if (errnum == EPIPE && sigaction(SIGPIPE, NULL, &old) == 0 &&
	    old.sa_handler == SIG_DFL)
		return die_of(SIGPIPE);
	cli_error("the output cannot be written: %s", strerror(errnum));
	return code ? code : CLI_FAILED;
}

/* The reason is not said twice. */
static void complain_strict(const struct job *j, const char *outcome)
{
	cli_error("--strict: %s", j->outcome.told ? outcome : j->outcome.why.text);
}

/* The command has run. */
static int finish_run(struct job *j, const struct ending *end)
{
	int code = ending_code(end);

	j->outcome.ran_ns = end->ran_ns;
	outcome_tell(&j->outcome, code);
	if (WIFSIGNALED(end->status))
		return die_of(WTERMSIG(end->status));
	if (end->show_errno && !code)
		return not_shown(end->show_errno, code);
	if (!code && j->o->strict && *j->outcome.why.text &&
	    j->outcome.status != OUTCOME_DISABLED) {
		complain_strict(j, "so this is a failure");
		return CLI_FAILED;
	}
	return code;
}

static int cannot_start(int r)
{
	cli_error("the command cannot be started: %s", strerror(-r));
	return CLI_FAILED;
}

/* The command with our own descriptors; or, when some of its output was shown already,
 * the rest of it. */
static int run_plainly(struct job *j)
{
	CLEANUP_RECORDING struct recording none = RECORDING_INIT;
	struct execution ex = {.argv = j->argv, .stdin_fd = j->key.stdin_fd};
	struct ending end;
	int r;

	none.failed = -ECANCELED; /* nothing is kept */
	memcpy(ex.skip, j->shown, sizeof(ex.skip));
	if (j->shown[STREAM_OUT] || j->shown[STREAM_ERR])
		ex.rec = &none;
	else if (j->outcome.status_fd < 0 && !j->outcome.verbose)
		return execute_instead(j->argv, j->key.stdin_fd);
	r = execute(&ex, &end);
	return r ? cannot_start(r) : finish_run(j, &end);
}

/* `j->outcome` says why; nothing, where it was asked for. */
static int run_uncached(struct job *j, int strict_code)
{
	flight_give_up(&j->flight);
	if (!j->o->strict || !*j->outcome.why.text)
		return run_plainly(j);
	complain_strict(j, "so the command is not run");
	outcome_tell(&j->outcome, strict_code);
	return strict_code;
}

static int skip(struct job *j, const char *why)
{
	outcome_not_cached(&j->outcome, OUTCOME_SKIPPED, "%s", why);
	return run_uncached(j, CLI_FAILED);
}

/* ---- computing it ------------------------------------------------------------------ */

static int lead(struct job *j)
{
	CLEANUP_RECORDING struct recording rec = RECORDING_INIT;
	struct execution ex = {
	    .argv = j->argv,
	    .stdin_fd = j->key.stdin_fd,
	    .rec = &rec,
	};
	struct ending end;
	int r;

	memcpy(ex.skip, j->shown, sizeof(ex.skip));
	running_add(j->flight.dir, j->flight.path);
	r = execute(&ex, &end);
	if (r) { /* without pipes and a process of its own it may be possible */
		err_set(&j->error, -r, "it cannot be started: %s", strerror(-r));
		return skip(j, j->error.text);
	}
	job_keep(j, &rec, &end);
	return finish_run(j, &end);
}

enum beginning {
	BEGUN,
	TAKEN,	   /* it is there, or somebody else computes it */
	NEW_CACHE, /* there is a cache now: look again */
	REFUSED,   /* *err says why */
};

static enum beginning begin_found(struct job *j, struct errmsg *err)
{
	int r = flight_begin(&j->flight);

	if (r == -ENOENT) {
		CLEANUP_FREE char *entry = path_join(j->flight.dir, j->flight.path);

		if (cache_make_parents(entry, err))
			return REFUSED;
		r = flight_begin(&j->flight);
	}
	if (r && r != -EEXIST) {
		err_set(err, -r, "%s/%s: %s", j->flight.dir, j->flight.path,
			strerror(-r));
		return REFUSED;
	}
	return r ? TAKEN : BEGUN;
}

/* Reserve it, and make what is missing on the way: the mount, the directories. */
static enum beginning begin(struct job *j, struct errmsg *err)
{
	char *dir;
	int r;

	if (j->cache_found)
		return begin_found(j, err);
	r = j->flight.dir ? flight_begin(&j->flight) : -ENOENT;
	if (r == 0 || r == -EEXIST)
		return r ? TAKEN : BEGUN;
	if (cache_find(j->o->cache, true, &dir, err))
		return REFUSED;
	j->cache_found = true;
	free(j->flight.dir);
	j->flight.dir = dir;
	return NEW_CACHE;
}

/* ---- answering with what is stored --------------------------------------------------
 */

enum answer {
	ANSWERED, /* *ret_code is what to exit with */
	AGAIN,	  /* begin anew */
	UNCACHED, /* j->outcome says why */
};

/* Its bytes are not what was stored, or are no result at all. */
static bool is_damaged(int r)
{
	return r == -EBADMSG || r == -EUCLEAN || r == -EIO || r == -EISDIR;
}

/* The command is run instead. If nothing was shown of what is stored, it is replaced. */
static enum answer answer_unusable(struct job *j, int r)
{
	if (is_damaged(r) && !j->shown[STREAM_OUT] && !j->shown[STREAM_ERR]) {
		j->error.text[0] = '\0';
		j->flight.anew = true;
		return AGAIN;
	}
	outcome_not_cached(&j->outcome, OUTCOME_SKIPPED,
			   "what is stored cannot be used: %s",
			   *j->error.text ? j->error.text : strerror(-r));
	return UNCACHED;
}

static enum answer answer_found(struct job *j, struct found *f, int *ret_code)
{
	bool writing = false;
	int r = job_restore(j, f);

	if (!r)
		r = found_replay(f, j->shown, &writing);
	if (r && writing) {
		*ret_code = not_shown(-r, f->result.exit_code);
		return ANSWERED;
	}
	if (r)
		return answer_unusable(j, r);
	job_saved(j, f);
	outcome_tell(&j->outcome, f->result.exit_code);
	*ret_code = f->result.exit_code;
	return ANSWERED;
}

/* Takes `fd` over. What is no answer is not looked at again. */
static enum answer answer_with(struct job *j, int fd, enum outcome_status status,
			       int *ret_code)
{
	CLEANUP_FOUND struct found f = FOUND_INIT;
	int r = found_open(fd, &f, &j->error);

	if (r && !is_damaged(r)) {
		outcome_not_cached(&j->outcome, OUTCOME_SKIPPED, "%s", j->error.text);
		return UNCACHED;
	}
	j->error.text[0] = '\0';
	if (r || !job_may_answer(j, &f, status)) {
		j->flight.anew = true;
		return AGAIN;
	}
	j->outcome.status = status;
	return answer_found(j, &f, ret_code);
}

static enum answer answer_held(struct job *j)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", j->flight.dir, j->flight.path) < 0)
		must(-ENOMEM);
	outcome_not_cached(&j->outcome, OUTCOME_SKIPPED, "%s is still being computed",
			   path);
	j->strict_code = CLI_HELD;
	return UNCACHED;
}

/* Nobody computes it any more. With `share`, the one we waited for may have left word. */
static enum answer answer_shared(struct job *j, int64_t since_ns, int *ret_code)
{
	int fd;

	if (j->o->on_leader_failure != RUN_SHARE)
		return AGAIN;
	fd = flight_open_failure(&j->flight, j->key.id, false, since_ns);
	return fd < 0 ? AGAIN : answer_with(j, fd, OUTCOME_SHARED, ret_code);
}

/* It is there, or somebody else computes it. */
static enum answer follow(struct job *j, int *ret_code)
{
	int64_t since_ns = time_now_ns();
	int fd;

	if (j->o->no_wait) {
		j->outcome.status = OUTCOME_SKIPPED;
		return UNCACHED;
	}
	if (running_has(j->flight.dir, j->flight.path)) {
		outcome_not_cached(&j->outcome, OUTCOME_SKIPPED,
				   "it is run by the command whose result this is");
		return UNCACHED;
	}
	if (j->o->stale_while_refresh && !j->flight.anew) {
		fd = flight_open(&j->flight, FLIGHT_STALE);
		if (fd >= 0)
			return answer_with(j, fd, OUTCOME_HIT, ret_code);
	}
	fd = flight_open(&j->flight, FLIGHT_WAIT);
	if (fd >= 0)
		return answer_with(j, fd, OUTCOME_HIT, ret_code);
	if (fd == -ENOENT)
		return answer_shared(j, since_ns, ret_code);
	if (fd == -ETIMEDOUT)
		return answer_held(j);
	outcome_not_cached(&j->outcome, OUTCOME_SKIPPED, "%s/%s: %s", j->flight.dir,
			   j->flight.path, strerror(-fd));
	return UNCACHED;
}

static enum answer look(struct job *j, int *ret_code)
{
	int fd;

	if (j->o->overwrite) {
		j->flight.anew = true;
		return AGAIN;
	}
	fd = j->flight.dir ? flight_open(&j->flight, FLIGHT_LOOK) : -ENOENT;
	return fd < 0 ? AGAIN : answer_with(j, fd, OUTCOME_HIT, ret_code);
}

/* An expired one, while another process computes it anew. */
static enum answer answer_stale(struct job *j, int *ret_code)
{
	int fd;

	if (!j->o->stale_while_refresh || j->flight.anew || !refresh_begin(j))
		return AGAIN;
	fd = flight_open(&j->flight, FLIGHT_STALE);
	if (fd >= 0 && answer_with(j, fd, OUTCOME_HIT, ret_code) == ANSWERED) {
		refresh_go(j);
		return ANSWERED;
	}
	refresh_stop(j);
	return AGAIN;
}

/* One round: look, reserve, compute or wait. */
static enum answer try_once(struct job *j, int *ret_code)
{
	struct errmsg err = {""};
	enum answer a = look(j, ret_code);

	if (a == AGAIN)
		a = answer_stale(j, ret_code);
	if (a != AGAIN)
		return a;
	switch (begin(j, &err)) {
	case NEW_CACHE:
		return AGAIN;
	case TAKEN:
		return follow(j, ret_code);
	case REFUSED:
		outcome_not_cached(&j->outcome, OUTCOME_SKIPPED, "%s", err.text);
		return UNCACHED;
	case BEGUN:
		break;
	}
	*ret_code = lead(j);
	return ANSWERED;
}

static int run_cached(struct job *j)
{
	int code = 0;

	for (int round = 0; round < ROUNDS_MAX; round++) {
		enum answer a = try_once(j, &code);

		if (a == ANSWERED)
			return code;
		if (a == UNCACHED)
			return run_uncached(j, j->strict_code);
		if (round > ROUNDS_QUICK)
			usleep(ROUND_PAUSE_US);
	}
	return skip(j, "others were always faster");
}

/* ---- before -------------------------------------------------------------------------
 */

static bool is_disabled(void)
{
	const char *env = getenv("MEMOFS_DISABLE");

	return env && *env && strcmp(env, "0") != 0;
}

static int dry_run(struct job *j)
{
	struct errmsg err = {""};
	int fd = -ENOENT;
	bool hit;

	free(j->flight.dir);
	j->flight.dir = NULL;
	if (is_disabled()) {
		printf("miss %s: MEMOFS_DISABLE is set\n", j->key.path);
		return CLI_MISS;
	}
	if (cache_find_kept(j->o->cache, &j->flight.dir, &err)) {
		printf("miss %s: %s\n", j->key.path, err.text);
		return CLI_MISS;
	}
	if (!j->o->overwrite)
		fd = flight_open(&j->flight, FLIGHT_LOOK);
	hit = fd >= 0 && job_explain(j, fd);
	if (fd < 0)
		printf("miss %s: %s\n", j->key.path,
		       j->o->overwrite ? "--overwrite"
		       : fd == -ENOENT ? "nothing is stored under this key"
				       : strerror(-fd));
	return hit ? CLI_OK : CLI_MISS;
}

static int run_job(struct job *j)
{
	struct errmsg err = {""};
	int r = job_make_key(j, &err);

	if (r == -EINVAL) {
		cli_error("run: %s", err.text);
		return CLI_USAGE;
	}
	if (r)
		return j->o->dry_run ? (cli_error("run: %s", err.text), CLI_FAILED)
				     : skip(j, err.text);
	if (j->o->dry_run)
		return dry_run(j);
	return run_cached(j);
}

int run_command(const struct run_options *o, const struct run_limits *limits,
		char *const *argv)
{
	CLEANUP_JOB struct job j = JOB_INIT(o, limits, argv);
	struct errmsg err = {""};

	if (outcome_open(&j.outcome, o->status_file, o->status_fd, &err)) {
		cli_error("run: %s", err.text);
		return CLI_USAGE;
	}
	if (!is_disabled() || o->dry_run)
		return run_job(&j);
	j.outcome.status = OUTCOME_DISABLED;
	return run_uncached(&j, CLI_FAILED);
}
