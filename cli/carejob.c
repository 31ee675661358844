/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/carejob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/copy.h"
#include "cli/daemonpath.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/show.h"
#include "cli/tree/progress.h"
#include "store/util/duration.h"

#define TEXT_MAX ((size_t)8 * 1024 * 1024)
#define LOOK_FIRST_NS (20 * (NSEC_PER_SEC / 1000))
#define LOOK_LAST_NS (250 * (NSEC_PER_SEC / 1000))

extern char **environ;

/* ---- which store ---- */

void carestore_deinit(struct carestore *cs)
{
	free(cs->mountpoint);
	free(cs->store);
}

/*
 * Anybody may call what he mounts by the name of this store: it is believed of who may
 * have it open.
 */
static const struct mount *mount_of_store(const struct mounts *ms, const char *store)
{
	struct stat st;

	if (stat(store, &st))
		return NULL;
	for (size_t i = 0; i < ms->n; i++) {
		const struct mount *m = &ms->list[i];

		if (mount_is_memofs(m) && strcmp(m->source, store) == 0 &&
		    (mount_is_mine(m) || mount_is_of(m, st.st_uid) || mount_is_of(m, 0)))
			return m;
	}
	return NULL;
}

static const struct mount *mount_over(const struct mounts *ms, const char *path)
{
	const struct mount *m = mounts_over(ms, path);

	return m && mount_is_memofs(m) ? m : NULL;
}

int carestore_find(const char *command, const char *path, struct carestore *ret_cs)
{
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	CLEANUP_FREE char *absolute = path_absolute(path), *real = NULL, *format = NULL;
	const struct mount *m;

	if (mounts_read(&ms))
		return CLI_FAILED;
	m = mount_over(&ms, absolute);
	if (!m) {
		real = realpath(path, NULL);
		m = real ? mount_over(&ms, real) : NULL;
	}
	if (!m && real) {
		m = mount_of_store(&ms, real);
		if (m)
			cli_error("%s: %s is mounted; using %s", command, path, m->point);
	}
	if (m) {
		ret_cs->mountpoint = xstrdup(m->point);
		ret_cs->store = xstrdup(m->source);
		return CLI_OK;
	}
	format = path_join(absolute, "FORMAT");
	if (!real || access(format, F_OK)) {
		cli_error("%s: %s: %s; name a path in a mount, or a store's directory",
			  command, path,
			  real ? "is neither in a memofs mount nor a store"
			       : strerror(errno));
		return CLI_FAILED;
	}
	ret_cs->store = xstrdup(real);
	return CLI_OK;
}

/* ---- lines ---- */

void careresult_deinit(struct careresult *r)
{
	buf_deinit(&r->result);
}

struct follow {
	const struct carejob *job;
	struct careresult *result;
	struct progress bar;
	bool drawing;
	uint64_t done, total, bytes, bytes_total;
	uint64_t run, want_run;
	char state[16];
	size_t found; /* lines that were shown */
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static void draw(struct follow *f)
{
	f->bar.total_files = f->total;
	f->bar.total_bytes = f->bytes_total;
	progress_show(&f->bar, f->done, f->bytes);
}

/* Our daemon has escaped what is in it; that of another may have other aims. */
static void print_line(const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT;

	show_printable(&line, text);
	must(buf_append(&line, "\n", 1));
	fwrite(line.data, 1, line.len, stdout);
}

static void show_found(struct follow *f, const char *text)
{
	if (f->drawing)
		progress_end(&f->bar);
	print_line(text);
	fflush(stdout);
}

/* One line; `found` is how many lines of that kind came before it. */
static void take_line(struct follow *f, const char *line, size_t *found)
{
	static const char found_word[] = "found: ", result_word[] = "result: ";

	if (starts_with(line, found_word)) {
		if (++*found > f->found) {
			show_found(f, line + strlen(found_word));
			f->found = *found;
		}
	} else if (starts_with(line, result_word)) {
		line += strlen(result_word);
		must(buf_append(&f->result->result, line, strlen(line) + 1));
	} else if (starts_with(line, "error: ")) {
		progress_end(&f->bar);
		cli_error("%s: %s", f->job->command, line + strlen("error: "));
		f->result->unopened = true;
	} else if (sscanf(line, "progress: %" SCNu64 " %" SCNu64, &f->done, &f->total) ==
		       2 ||
		   sscanf(line, "bytes: %" SCNu64 " %" SCNu64, &f->bytes,
			  &f->bytes_total) == 2 ||
		   sscanf(line, "run: %" SCNu64, &f->run) == 1) {
		return;
	} else {
		(void)sscanf(line, "state: %15s", f->state);
	}
}

static void follow_begin(struct follow *f, const struct carejob *job,
			 const struct carestore *cs, struct careresult *result)
{
	*f = (struct follow){.job = job, .result = result, .drawing = !job->quiet};
	progress_begin(&f->bar, job->verb, cs->store, 0, 0, job->quiet);
	f->bar.unit = job->unit;
}

const char *careresult_value(const struct careresult *r, const char *word)
{
	const char *value = NULL;

	for (size_t at = 0; at < r->result.len;
	     at += strlen((const char *)r->result.data + at) + 1) {
		const char *line = (const char *)r->result.data + at;

		if (starts_with(line, word) && line[strlen(word)] == ' ')
			value = line + strlen(word) + 1;
		else if (strcmp(line, word) == 0)
			value = "";
	}
	return value;
}

void careresult_print(const struct careresult *r, const char *but)
{
	for (size_t at = 0; at < r->result.len;
	     at += strlen((const char *)r->result.data + at) + 1) {
		const char *line = (const char *)r->result.data + at;

		if (!but || !starts_with(line, but))
			print_line(line);
	}
}

static void tell_failure(struct follow *f)
{
	const struct buf *text = &f->result->result;
	size_t last = text->len;

	f->result->failed = true;
	/* The last line says why. */
	while (last > 1 && text->data[last - 2])
		last--;
	cli_error("%s: %s", f->job->command,
		  text->len ? (const char *)text->data + last - 1 : "it was ended");
}

/* ---- a job of a mount ---- */

static int read_job(const char *path, struct follow *f)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_BUF struct buf text = BUF_INIT;
	size_t found = 0;
	char *rest, *line;
	int r = fd < 0 ? -errno : copy_to_memory(fd, TEXT_MAX, &text);

	if (r)
		return r;
	must(buf_append(&text, "", 1));
	buf_clear(&f->result->result);
	rest = (char *)text.data;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			take_line(f, line, &found);
	return 0;
}

/* How often it was started before. */
static int run_before(const char *path, uint64_t *ret_run)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = fd < 0 ? -errno : copy_to_memory(fd, TEXT_MAX, &text);

	if (r)
		return r;
	must(buf_append(&text, "", 1));
	return sscanf((const char *)text.data, "run: %" SCNu64, ret_run) == 1 ? 0
									      : -EPROTO;
}

static int start_job(const char *path, const char *options)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(options);

	if (fd < 0)
		return -errno;
	return write(fd, options, len) == (ssize_t)len ? 0 : -errno;
}

static int job_error(const struct carejob *job, const struct carestore *cs, int r)
{
	if (r == -EACCES || r == -EPERM)
		cli_error("%s: %s: only who runs the daemon, and root, may do that",
			  job->command, cs->mountpoint);
	else if (r == -ENOENT)
		cli_error("%s: %s: its daemon has no such job; it is of an older version",
			  job->command, cs->mountpoint);
	else if (r == -ENOTSUP || r == -EPIPE)
		cli_error("%s: %s: its daemon has no memofs-holder; unmount, and mount "
			  "again",
			  job->command, cs->mountpoint);
	else if (r == -EBUSY)
		cli_error("%s: %s: another job is running; see %s/.memofs/jobs",
			  job->command, cs->mountpoint, cs->mountpoint);
	else if (r == -EPROTO)
		cli_error("%s: %s: what its daemon says of the job is not understood; it "
			  "is of another version",
			  job->command, cs->mountpoint);
	else if (r == -ESTALE)
		cli_error("%s: %s: another one was begun just after this one, and what "
			  "this one found is gone; do it again",
			  job->command, cs->mountpoint);
	else if (r == -ECANCELED)
		cli_error(
		    "%s: %s: its daemon was started again meanwhile, and this ended "
		    "with the one before; do it again",
		    job->command, cs->mountpoint);
	else
		cli_error("%s: %s: %s", job->command, cs->mountpoint, strerror(-r));
	return r == -ENOTCONN || r == -ECONNABORTED ? CLI_MOUNT : CLI_FAILED;
}

/* `busy`: some job was running already, and this one was not started. */
static int follow_job(const char *path, bool busy, struct follow *f)
{
	int64_t wait_ns = LOOK_FIRST_NS;
	int r = read_job(path, f);

	if (r)
		return r;
	if (busy && strcmp(f->state, "running") != 0)
		return -EBUSY;
	if (busy)
		cli_error("%s: one is running already; following it", f->job->command);
	/* A daemon that was started after we looked has counted from 0. */
	if (busy || (f->run && f->run < f->want_run))
		f->want_run = f->run;
	while (!r && f->run == f->want_run && strcmp(f->state, "running") == 0) {
		struct timespec ts = {.tv_nsec = wait_ns};

		draw(f);
		nanosleep(&ts, NULL);
		if (wait_ns < LOOK_LAST_NS)
			wait_ns += wait_ns / 2;
		r = read_job(path, f);
	}
	if (!r && f->run != f->want_run)
		r = f->run > f->want_run ? -ESTALE : -ECANCELED;
	return r;
}

int carejob_mount(const struct carejob *job, const struct carestore *cs, const char *name,
		  const char *options, struct careresult *ret_result)
{
	CLEANUP_FREE char *dir = path_join(cs->mountpoint, ".memofs/jobs");
	CLEANUP_FREE char *path = path_join(dir, name);
	struct follow f;
	int r;

	follow_begin(&f, job, cs, ret_result);
	r = run_before(path, &f.want_run);
	f.want_run++;
	if (!r)
		r = start_job(path, *options ? options : "\n");
	if (!r || r == -EBUSY)
		r = follow_job(path, r == -EBUSY, &f);
	progress_end(&f.bar);
	if (r)
		return job_error(job, cs, r);
	if (strcmp(f.state, "done") != 0)
		tell_failure(&f);
	return CLI_OK;
}

/* ---- the daemon by itself ---- */

static int spawn(const char *daemon, const char *const *args, int out, pid_t *ret_pid)
{
	const char *argv[8] = {"memofsd"};
	posix_spawn_file_actions_t actions;
	int r;

	for (size_t i = 0; args[i] && i < 6; i++)
		argv[i + 1] = args[i];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	r = posix_spawn(ret_pid, daemon, &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static void follow_lines(int in, struct follow *f)
{
	FILE *lines = fdopen(dup(in), "r");
	size_t found = 0, cap = 0;
	char *line = NULL;
	ssize_t len;

	if (!lines)
		return;
	while ((len = getline(&line, &cap, lines)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		take_line(f, line, &found);
		draw(f);
	}
	free(line);
	fclose(lines);
}

int carejob_offline(const struct carejob *job, const struct carestore *cs,
		    const char *const *args, struct careresult *ret_result)
{
	CLEANUP_FREE char *daemon = daemon_path(job->command);
	int ends[2], r, status = 0;
	struct follow f;
	pid_t pid;

	if (!daemon)
		return CLI_FAILED;
	if (pipe2(ends, O_CLOEXEC)) {
		cli_error("%s: %s", job->command, strerror(errno));
		return CLI_FAILED;
	}
	follow_begin(&f, job, cs, ret_result);
	r = spawn(daemon, args, ends[1], &pid);
	close(ends[1]);
	if (!r)
		follow_lines(ends[0], &f);
	close(ends[0]);
	progress_end(&f.bar);
	if (r) {
		cli_error("%s: cannot run %s: %s", job->command, daemon, strerror(-r));
		return CLI_FAILED;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ret_result->unopened &&
	    (!WIFEXITED(status) || WEXITSTATUS(status) == CLI_FAILED))
		tell_failure(&f);
	return CLI_OK;
}
