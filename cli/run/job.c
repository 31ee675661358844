/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/cache.h"
#include "cli/message.h"
#include "cli/run/stop.h"
#include "store/util/duration.h"

/* How long those who waited may read why it failed. */
#define FAILURE_TTL "1m"

void job_deinit(struct job *j)
{
	flight_deinit(&j->flight);
	filehash_close(j->fh);
	key_deinit(&j->key);
	close_fdp(&j->dirfd);
	close_fdp(&j->outcome.status_fd);
	close_fdp(&j->refresh_fd);
}

/* The working directory and what is remembered of it. */
static int need_dir(struct job *j, struct errmsg *err)
{
	if (j->dirfd >= 0)
		return 0;
	j->dirfd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dirfd < 0)
		return err_set(err, errno, "the working directory: %s", strerror(errno));
	must(filehash_open(j->dirfd, &j->fh));
	return 0;
}

int job_make_key(struct job *j, struct errmsg *err)
{
	const struct key_options *o = &j->o->key;
	int r = 0;

	if (o->inputs.len || o->outputs.len || o->version_from.len)
		r = need_dir(j, err);
	if (!r)
		r = key_make(o, j->argv, j->fh, &j->key, err);
	if (r)
		return r;
	j->outcome.path = j->key.path;
	j->outcome.id = j->key.id;
	j->flight = (struct flight){
	    .dir = cache_guess(j->o->cache),
	    .path = j->key.path,
	    .max_age_ns = j->limits->max_age_ns,
	    .since_ns = j->limits->since_ns,
	    .wait = waiting_begin(&j->o->wait),
	    .fd = -1,
	};
	return 0;
}

/* ---- a result that was found ---------------------------------------------------------
 */

bool job_may_answer(const struct job *j, const struct found *f,
		    enum outcome_status status)
{
	const struct buf *key = &j->key.text;

	if (status == OUTCOME_SHARED)
		return f->key.len == key->len &&
		       memcmp(f->key.data, key->data, key->len) == 0;
	return exit_codes_have(&j->limits->codes, f->result.exit_code) &&
	       key_answers(&j->o->key, &j->key, buf_slice(&f->key));
}

int job_restore(struct job *j, struct found *f)
{
	struct extract how = {.mtime = (enum extract_mtime)j->o->mtime};
	struct extract_report report;
	int r;

	if (!found_has_files(f))
		return 0;
	r = need_dir(j, &j->error);
	if (r)
		return r;
	how.fh = j->fh;
	how.stop = stop_begin();
	r = packread_extract(&f->pack, "files", j->dirfd, &how, &report, &j->error);
	stop_end();
	return r;
}

void job_saved(struct job *j, const struct found *f)
{
	int64_t took_ns = time_monotonic_ns() - j->begun_ns;

	j->outcome.ran_ns = f->result.ran_ns;
	if (f->result.ran_ns > took_ns)
		j->outcome.saved_ns = f->result.ran_ns - took_ns;
}

/* ---- a result that was made
 * ------------------------------------------------------------ */

static int find_outputs(struct job *j, struct tree_items *ret_items, struct errmsg *err)
{
	const struct cli_list *outputs = &j->o->key.outputs;
	struct patterns *ps;
	const char *unused;
	int r;

	if (!outputs->len)
		return 0;
	r = patterns_new(outputs->item, outputs->len, &ps, err);
	if (r)
		return r;
	r = tree_walk(j->dirfd, ps, ret_items, err);
	unused = r ? NULL : patterns_unused(ps);
	if (unused)
		r = err_set(err, ENOENT, "the command did not make the output \"%s\"",
			    unused);
	patterns_free(ps);
	return r;
}

/* The exit code is a result, and all of it is known. *err: why not; "": no wonder. */
static int check_ending(const struct job *j, const struct recording *rec,
			const struct ending *end, struct errmsg *err)
{
	if (!ending_is_exit(end) || !exit_codes_have(&j->limits->codes, ending_code(end)))
		return err_set(err, ECANCELED, "%s", "");
	if (end->open_still)
		return err_set(err, EBUSY,
			       "a process that the command left behind has "
			       "its output open still");
	if (end->show_errno)
		return err_set(err, EPIPE, "its output was not read to the end");
	if (rec->failed)
		return err_set(err, -rec->failed, "its output cannot be kept: %s",
			       strerror(-rec->failed));
	return 0;
}

static struct result_parts parts_of(struct job *j, struct recording *rec,
				    const struct ending *end,
				    const struct tree_items *items)
{
	return (struct result_parts){
	    .key = buf_slice(&j->key.text),
	    .result = {.exit_code = ending_code(end), .ran_ns = end->ran_ns},
	    .rec = rec,
	    .dirfd = j->dirfd,
	    .outputs = items,
	    .fh = j->fh,
	};
}

/* What it has cost is measured by the daemon, from the beginning to the publish. */
static int set_ttl(const struct job *j, struct errmsg *err)
{
	int r = j->o->ttl.text ? attr_set_fd(j->flight.fd, "ttl", j->o->ttl.text) : 0;

	return r ? err_set(err, -r, "its ttl cannot be set: %s", strerror(-r)) : 0;
}

static int publish(struct job *j, const struct result_parts *parts, struct errmsg *err)
{
	int r = result_write(j->flight.fd, parts, err);

	if (!r)
		r = set_ttl(j, err);
	if (r)
		return r;
	r = flight_publish(&j->flight);
	/* One that lives so short may be gone already. */
	if (r == -EIO && j->o->ttl.text && j->o->ttl.ns < NSEC_PER_SEC)
		r = 0;
	if (r == -EIO)
		return err_set(err, EIO,
			       "%s/%s was not published; see %s/.memofs/reservations/",
			       j->flight.dir, j->flight.path, j->flight.dir);
	return r ? err_set(err, -r, "%s/%s: %s", j->flight.dir, j->flight.path,
			   strerror(-r))
		 : 0;
}

/*
 * With --on-leader-failure share, those who wait get what it failed with. An
 * interruption says nothing about the command.
 */
static void share_failure(struct job *j, struct recording *rec, const struct ending *end)
{
	struct result_parts parts = parts_of(j, rec, end, NULL);
	struct errmsg err;
	int fd;

	if (j->o->on_leader_failure != RUN_SHARE || !ending_is_exit(end) ||
	    end->open_still || rec->failed)
		return;
	fd = flight_open_failure(&j->flight, j->key.id, true, 0);
	if (fd < 0)
		return;
	if (result_write(fd, &parts, &err) == 0)
		(void)attr_set_fd(fd, "ttl", FAILURE_TTL);
	flight_publish_failure(&j->flight, j->key.id, fd);
}

/* -ECANCELED: it is no result; -ENOENT, -ESTALE, -EAGAIN, …: it must not be stored. */
static int check(struct job *j, const struct recording *rec, const struct ending *end,
		 struct tree_items *ret_outputs, struct errmsg *err)
{
	int r = check_ending(j, rec, end, err);

	if (!r)
		r = find_outputs(j, ret_outputs, err);
	return r ? r : key_check_again(&j->o->key, j->argv, j->fh, &j->key, err);
}

void job_keep(struct job *j, struct recording *rec, const struct ending *end)
{
	CLEANUP_ITEMS struct tree_items outputs = TREE_ITEMS_INIT;
	struct result_parts parts;
	struct errmsg err = {""};
	int r = check(j, rec, end, &outputs, &err);

	/* No limit of the command's is to end us when it has ended well. */
	signal(SIGXFSZ, SIG_IGN);

	if (r == -ECANCELED) {
		j->outcome.status = OUTCOME_MISS;
		share_failure(j, rec, end);
		flight_give_up(&j->flight);
		return;
	}
	if (r) {
		outcome_not_cached(&j->outcome, OUTCOME_MISS, "%s", err.text);
		flight_give_up(&j->flight);
		return;
	}
	parts = parts_of(j, rec, end, &outputs);
	r = publish(j, &parts, &err);
	flight_give_up(&j->flight);
	if (r)
		outcome_not_cached(&j->outcome, OUTCOME_PUT_FAILURE, "%s", err.text);
	else
		j->outcome.status = OUTCOME_POPULATED;
}

/* ---- --dry-run
 * -------------------------------------------------------------------------- */

bool job_explain(struct job *j, int fd)
{
	CLEANUP_FOUND struct found f = FOUND_INIT;
	CLEANUP_BUF struct buf lines = BUF_INIT;
	char span[DURATION_TEXT_MAX];

	if (found_open(fd, &f, &j->error)) {
		printf("miss %s: %s\n", j->key.path, j->error.text);
		return false;
	}
	if (job_may_answer(j, &f, OUTCOME_HIT)) {
		duration_format_short(f.result.ran_ns, span);
		printf("hit %s: it took %s\n", j->key.path, span);
		return true;
	}
	printf("miss %s: what is stored does not answer\n", j->key.path);
	if (key_differences(buf_slice(&f.key), buf_slice(&j->key.text), &lines) > 0)
		printf("%.*s", (int)lines.len, (const char *)lines.data);
	return false;
}
