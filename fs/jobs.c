/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/care.h"
#include "fs/held.h"
#include "store/util/log.h"
#include "store/util/text.h"

/* Of what a job found: more of it is in the log. */
#define FOUND_MAX_BYTES ((size_t)1024 * 1024)
#define OPTIONS_MAX 256

enum job_state { JOB_IDLE, JOB_RUNNING, JOB_DONE, JOB_FAILED };

static const char *const state_names[] = {
    [JOB_IDLE] = "idle",
    [JOB_RUNNING] = "running",
    [JOB_DONE] = "done",
    [JOB_FAILED] = "failed",
};

/* All under the lock of jobs. */
struct job {
	enum job_state state;
	uint64_t runs;
	struct care_progress progress;
	struct buf found, result;
	uint64_t unsaid; /* lines that did not fit */
};

static const struct {
	const char *name;
	int (*run)(const struct care *care, const struct care_options *opt);
	unsigned int options; /* enum care_option that it has */
} kinds[] = {
    {"backup", care_backup, 0},
    {"check", care_check, CARE_REPAIR | CARE_FAST},
    {"gc", care_gc, 0},
    {"upgrade", NULL, 0}, /* no thread of ours */
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), UPGRADE = KINDS - 1 };

struct jobs {
	struct store *st;
	struct held *held;
	atomic_bool stop;

	pthread_mutex_t lock; /* a leaf */
	struct job job[KINDS];
	int running; /* under lock: which, or -1 */
	bool joinable;
	pthread_t thread;
	/* Fixed while it runs. */
	struct care_options options;
};

unsigned int jobs_count(void)
{
	return KINDS;
}

const char *jobs_name(unsigned int i)
{
	return kinds[i].name;
}

int jobs_find(const char *name, unsigned int *ret_job)
{
	for (unsigned int i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*ret_job = i;
			return 0;
		}
	}
	return -ENOENT;
}

int jobs_new(struct store *st, struct held *held, struct jobs **ret_jobs)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	jobs->st = st;
	jobs->held = held;
	jobs->running = -1;
	if (held && held->upgrade_run) {
		jobs->running = UPGRADE;
		jobs->job[UPGRADE].state = JOB_RUNNING;
		jobs->job[UPGRADE].runs = held->upgrade_run;
	}
	pthread_mutex_init(&jobs->lock, NULL);
	*ret_jobs = jobs;
	return 0;
}

void jobs_stop(struct jobs *jobs)
{
	bool joinable;

	if (!jobs)
		return;
	atomic_store(&jobs->stop, true);
	pthread_mutex_lock(&jobs->lock);
	joinable = jobs->joinable;
	jobs->joinable = false;
	pthread_mutex_unlock(&jobs->lock);
	if (joinable)
		pthread_join(jobs->thread, NULL);
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	jobs_stop(jobs);
	for (size_t i = 0; i < KINDS; i++) {
		buf_deinit(&jobs->job[i].found);
		buf_deinit(&jobs->job[i].result);
	}
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

/* ---- what the job tells ---- */

static struct job *running(struct jobs *jobs)
{
	return &jobs->job[jobs->running];
}

static void take_progress(void *arg, const struct care_progress *progress)
{
	struct jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	running(jobs)->progress = *progress;
	pthread_mutex_unlock(&jobs->lock);
}

static void take_found(void *arg, const char *line)
{
	struct jobs *jobs = arg;
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	job = running(jobs);
	if (job->found.len + strlen(line) > FOUND_MAX_BYTES ||
	    buf_printf(&job->found, "found: %s\n", line))
		job->unsaid++;
	pthread_mutex_unlock(&jobs->lock);
}

static void take_result(void *arg, const char *line)
{
	struct jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	(void)buf_printf(&running(jobs)->result, "result: %s\n", line);
	pthread_mutex_unlock(&jobs->lock);
}

static void *job_main(void *arg)
{
	struct jobs *jobs = arg;
	const struct care care = {.st = jobs->st,
				  .stop = &jobs->stop,
				  .progress = take_progress,
				  .found = take_found,
				  .result = take_result,
				  .arg = jobs};
	int r = kinds[jobs->running].run(&care, &jobs->options);

	pthread_mutex_lock(&jobs->lock);
	running(jobs)->state = r ? JOB_FAILED : JOB_DONE;
	jobs->running = -1;
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* ---- start ---- */

static int parse_options(unsigned int kind, const char *text, size_t len,
			 struct care_options *ret_opt)
{
	char copy[OPTIONS_MAX], quoted[TEXT_QUOTE_MAX], *rest = copy, *word;
	struct care_options opt = {0};

	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	while ((word = strsep(&rest, " \t\n"))) {
		unsigned int bit = strcmp(word, "repair") == 0 ? CARE_REPAIR
				   : strcmp(word, "fast") == 0 ? CARE_FAST
							       : 0;

		if (!*word)
			continue;
		if (!(kinds[kind].options & bit)) {
			log_warning("jobs/%s: %s is no option of it", kinds[kind].name,
				    text_quote(quoted, word, strlen(word)));
			return -EINVAL;
		}
		opt.set |= bit;
	}
	*ret_opt = opt;
	return 0;
}

/* Under the lock. The thread of the last job has ended, or is about to. */
static int start(struct jobs *jobs, unsigned int kind, const struct care_options *opt)
{
	struct job *job = &jobs->job[kind], was = *job;
	int r;

	if (jobs->joinable)
		pthread_join(jobs->thread, NULL);
	jobs->joinable = false;
	jobs->options = *opt;
	jobs->running = (int)kind;
	*job = (struct job){.state = JOB_RUNNING, .runs = was.runs + 1};
	r = -pthread_create(&jobs->thread, NULL, job_main, jobs);
	if (r) {
		*job = was;
		jobs->running = -1;
		return r;
	}
	jobs->joinable = true;
	buf_deinit(&was.found);
	buf_deinit(&was.result);
	return 0;
}

static bool is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* What follows white space is the path, which may have some in it. */
static int parse_path(const char *text, size_t len, char ret_path[PATH_MAX])
{
	while (len && is_white(*text))
		text++, len--;
	while (len && is_white(text[len - 1]))
		len--;
	if (len >= PATH_MAX || memchr(text, '\0', len) || memchr(text, '\n', len)) {
		log_warning("jobs/upgrade: that is no path");
		return -EINVAL;
	}
	memcpy(ret_path, text, len);
	ret_path[len] = '\0';
	return 0;
}

static void end_upgrade(struct jobs *jobs, enum job_state state)
{
	jobs->job[UPGRADE].state = state;
	jobs->running = -1;
}

/* Under the lock, so that the holder's answer comes after it. */
static int upgrade(struct jobs *jobs, const char *path)
{
	struct job *job = &jobs->job[UPGRADE];
	enum job_state was = job->state;
	int r;

	if (jobs->running >= 0 || atomic_load(&jobs->stop))
		return -EBUSY;
	buf_clear(&job->result);
	jobs->running = UPGRADE;
	job->state = JOB_RUNNING;
	job->runs++;
	r = held_upgrade(jobs->held, job->runs, path);
	if (r) {
		job->runs--;
		end_upgrade(jobs, was);
	}
	return r;
}

static int start_upgrade(struct jobs *jobs, const char *text, size_t len)
{
	char path[PATH_MAX];
	int r = parse_path(text, len, path);

	if (r)
		return r;
	pthread_mutex_lock(&jobs->lock);
	r = upgrade(jobs, path);
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

void jobs_upgraded(struct jobs *jobs, uint64_t run, bool done, const char *text)
{
	struct job *job = &jobs->job[UPGRADE];

	pthread_mutex_lock(&jobs->lock);
	if (jobs->running == UPGRADE && job->runs == run) {
		(void)buf_printf(&job->result, "result: %s\n", text);
		end_upgrade(jobs, done ? JOB_DONE : JOB_FAILED);
	}
	pthread_mutex_unlock(&jobs->lock);
}

int jobs_start(struct jobs *jobs, unsigned int kind, const char *options, size_t len)
{
	struct care_options opt;
	int r;

	if (kind == UPGRADE)
		return start_upgrade(jobs, options, len);
	r = parse_options(kind, options, len, &opt);
	if (r)
		return r;
	pthread_mutex_lock(&jobs->lock);
	if (jobs->running >= 0 || atomic_load(&jobs->stop))
		r = -EBUSY;
	else
		r = start(jobs, kind, &opt);
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

/* ---- the file ---- */

static int job_text(const struct job *job, struct buf *out)
{
	const struct care_progress *p = &job->progress;
	int r = buf_printf(
	    out, "run: %" PRIu64 "\nstate: %s\nprogress: %" PRIu64 " %" PRIu64 "\n",
	    job->runs, state_names[job->state], p->done, p->total);

	if (!r && p->bytes_total)
		r = buf_printf(out, "bytes: %" PRIu64 " %" PRIu64 "\n", p->bytes,
			       p->bytes_total);
	if (!r)
		r = buf_append(out, job->found.data, job->found.len);
	if (!r && job->unsaid)
		r = buf_printf(out, "found: and %" PRIu64 " more; see the log\n",
			       job->unsaid);
	return r ? r : buf_append(out, job->result.data, job->result.len);
}

int jobs_text(struct jobs *jobs, unsigned int kind, struct buf *ret_text)
{
	int r;

	pthread_mutex_lock(&jobs->lock);
	r = job_text(&jobs->job[kind], ret_text);
	pthread_mutex_unlock(&jobs->lock);
	return r;
}
