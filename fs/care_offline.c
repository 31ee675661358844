/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `memofsd --check` and `--backup`: a store that nobody has open. What a job file would
 * say is written to stdout line by line, as it happens.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/care.h"
#include "fs/launch.h"
#include "store/rebuild.h"
#include "store/util/log.h"

#define SHOW_NS (NSEC_PER_SEC / 10)
#define EXIT_DAMAGED 1

/* For the handler of signals, which has no other way. */
static atomic_bool stop;

struct offline {
	int64_t shown_ns;
	bool damaged;
};

static void on_signal(int sig)
{
	atomic_store(&stop, true);
}

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write over the limit fails */
}

static void show_progress(void *arg, const struct care_progress *p)
{
	struct offline *o = arg;
	int64_t now_ns = time_now_ns();

	if (now_ns - o->shown_ns < SHOW_NS)
		return;
	o->shown_ns = now_ns;
	printf("progress: %" PRIu64 " %" PRIu64 "\n", p->done, p->total);
	if (p->bytes_total)
		printf("bytes: %" PRIu64 " %" PRIu64 "\n", p->bytes, p->bytes_total);
	/* Who asked for it has gone. */
	if (fflush(stdout))
		atomic_store(&stop, true);
}

static void show_found(void *arg, const char *line)
{
	struct offline *o = arg;

	o->damaged = true;
	printf("found: %s\n", line);
	fflush(stdout);
}

static void show_result(void *arg, const char *line)
{
	printf("result: %s\n", line);
	fflush(stdout);
}

/* Nothing is evicted or dropped meanwhile, whatever the mount is told: no bound. */
static int open_store(const char *path, struct store **ret_store, struct errmsg *err)
{
	const struct store_options opt = {.kind = STORE_ROCKSDB,
					  .path = path,
					  .size_bytes = STORE_SIZE_NONE,
					  .keep_expired_ns = DURATION_NONE,
					  .reserve_bytes = 1,
					  .root_uid = geteuid(),
					  .root_gid = getegid(),
					  .root_mode = 0755};
	char format[4096];

	/* To open makes a store where there is none. */
	snprintf(format, sizeof(format), "%s/FORMAT", path);
	if (access(format, F_OK))
		return err_set(err, errno, "%s: is no store: %s", path,
			       errno == ENOENT ? "it has no file FORMAT"
					       : strerror(errno));
	return store_open(&opt, ret_store, err);
}

static int fail(const struct errmsg *err)
{
	printf("error: %s\n", err->text);
	fflush(stdout);
	return EXIT_STORE;
}

static int run(const char *path, const struct care_options *opt,
	       int (*job)(const struct care *care, const struct care_options *opt))
{
	struct offline o = {0};
	struct care care = {.stop = &stop,
			    .progress = show_progress,
			    .found = show_found,
			    .result = show_result,
			    .arg = &o};
	struct errmsg err;
	int r = open_store(path, &care.st, &err);

	if (r)
		return fail(&err);
	r = job(&care, opt);
	store_close(care.st);
	if (r)
		return EXIT_STORE;
	return o.damaged ? EXIT_DAMAGED : EXIT_OK;
}

/* Lines that the check makes anyway, and one of them in every line of the log. */
static void quiet_log(void)
{
	struct errmsg err;

	if (log_open(LOG_SINK_FILE, "/dev/null", &err))
		log_set_level(LOG_LEVEL_ERROR);
}

/*
 * Root looks through the store of somebody else as that one: what it writes there is
 * that one's, whose daemon is to open it, and no link in it leads root elsewhere.
 */
static int become_owner(const char *path, struct errmsg *err)
{
	struct stat st;

	/* What cannot be looked at has its message when it is opened. */
	if (geteuid() != 0 || stat(path, &st) || st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) || setgid(st.st_gid) || setuid(st.st_uid))
		return err_set(err, errno, "%s: cannot act as its owner, user %u: %s",
			       path, st.st_uid, strerror(errno));
	return 0;
}

int care_offline_check(const char *store_path, const struct care_options *opt)
{
	struct errmsg err;

	catch_signals();
	quiet_log();
	if (become_owner(store_path, &err))
		return fail(&err);
	if (opt->set & CARE_DATABASE) {
		if (store_rebuild(store_path, &err))
			return fail(&err);
		printf(
		    "result: the database was made anew; the old one is %s/db.damaged\n",
		    store_path);
	}
	return run(store_path, opt, care_check);
}

int care_offline_backup(const char *store_path)
{
	const struct care_options none = {0};
	struct errmsg err;

	catch_signals();
	quiet_log();
	if (become_owner(store_path, &err))
		return fail(&err);
	return run(store_path, &none, care_backup);
}
