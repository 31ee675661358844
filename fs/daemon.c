/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/attach.h"
#include "fs/backing.h"
#include "fs/busy_poll.h"
#include "fs/config_text.h"
#include "fs/dircache.h"
#include "fs/fast.h"
#include "fs/fs.h"
#include "fs/handle.h"
#include "fs/held.h"
#include "fs/jobs.h"
#include "fs/kcache.h"
#include "fs/metrics.h"
#include "fs/namespaces.h"
#include "fs/once.h"
#include "fs/pending.h"
#include "fs/privileges.h"
#include "fs/recent.h"
#include "fs/resume.h"
#include "fs/retry.h"
#include "fs/session.h"
#include "fs/slow.h"
#include "fs/stacks.h"
#include "fs/topic.h"
#include "fs/user_limits_config.h"
#include "fs/vnode.h"
#include "fs/waiters.h"
#include "store/check.h"
#include "store/util/keep.h"
#include "store/util/log.h"
#include "store/util/log_limit.h"

/* Of one kind: enough to see what is wrong, and too little to fill a disk with. */
#define LOG_LINES 100
#define LOG_WHILE_NS (10 * NSEC_PER_SEC)

struct daemon {
	const struct daemon_options *opt;
	const struct config *command_line;
	struct launch *launch;

	pthread_mutex_t lock;
	struct config *config; /* under lock */

	struct fs fs;
	struct busy_poll_cpus busy_poll_cpus;
	struct session *session;
	sigset_t signals;
	pthread_t signal_thread;
	bool signal_thread_runs;
	atomic_bool ending;
	atomic_bool leaving; /* a successor goes on */
};

/* A daemon before this one died. */
static bool resumes(const struct daemon *d)
{
	return d->opt->held && d->opt->held->resumes;
}

/* ---- settings that can change while it runs ---- */

static void use_log_level(const struct config *c)
{
	log_set_level(c->mount.log_level);
}

/* What differs and needs a new mount to take effect. */
static void warn_fixed(const struct config *was, const struct config *is)
{
	if (was->mount.threads != is->mount.threads ||
	    was->mount.allow_other != is->mount.allow_other ||
	    was->mount.read_only != is->mount.read_only ||
	    was->mount.fast != is->mount.fast ||
	    was->mount.busy_poll != is->mount.busy_poll ||
	    was->mount.passthrough != is->mount.passthrough ||
	    was->mount.watchdog_ns != is->mount.watchdog_ns ||
	    was->store.cache_bytes != is->store.cache_bytes ||
	    was->store.small_max_bytes != is->store.small_max_bytes ||
	    was->store.staged_memory_bytes != is->store.staged_memory_bytes)
		log_warning("allow-other, read-only, fast, busy-poll, passthrough, "
			    "threads, watchdog, cache, small-max and staged-memory take "
			    "effect at the next mount");
}

/* A bad file keeps the old settings. */
static int load(struct daemon *d, struct config *ret_config, struct errmsg *err)
{
	int r = config_load(d->opt->config_path, ret_config, err);

	if (r)
		return r;
	r = config_merge(ret_config, d->command_line);
	if (r) {
		config_deinit(ret_config);
		return err_set(err, -r, "%s: %s", d->opt->config_path, strerror(-r));
	}
	return 0;
}

/* What may be changed while it runs. A part of the disk is known when that is. */
static void bounds_of(const struct config_store *s, struct store *st,
		      struct store_options *so)
{
	struct store_stats stats;

	/* What a part of the disk is, is known when the store is open. No bound until
	 * then: it evicts from the moment on in which it is opened. */
	so->size_bytes = s->size.percent ? STORE_SIZE_NONE : s->size.bytes;
	if (s->size.percent && st && store_stats(st, &stats) == 0)
		so->size_bytes = stats.disk_total_bytes / 100 * s->size.percent;
	so->reserve_bytes = s->min_free_bytes;
	so->max_entry_bytes = s->max_entry_bytes;
	so->policy = s->policy;
	so->keep_expired_ns = s->keep_expired_ns;
}

static void set_bounds(struct store *st, const struct config *c)
{
	struct store_options so = {0};

	bounds_of(&c->store, st, &so);
	store_set_bounds(st, &so);
}

/* Without it, damage is found by who reads it. */
static void set_scrub(struct store *st, const struct config *c)
{
	uint64_t bytes =
	    c->store.set & CONFIG_SCRUB ? c->store.scrub_bytes : STORE_SCRUB_DEFAULT;
	int r = store_scrub_set(st, bytes);

	if (r)
		log_warning("nothing is read to find damage: %s", strerror(-r));
}

static void reload(struct daemon *d)
{
	struct config fresh;
	struct errmsg err;

	if (log_reopen(&err))
		log_error("%s", err.text);
	if (!d->opt->config_path) {
		log_info("SIGHUP: no configuration file was given; the log was reopened");
		return;
	}
	if (load(d, &fresh, &err)) {
		log_error("%s; the settings stay as they were", err.text);
		return;
	}
	if (namespaces_apply(d->fs.store, &fresh, &err))
		log_error("%s: %s", d->opt->config_path, err.text);
	kcache_all_changed(d->fs.kcache);
	use_log_level(&fresh);
	set_bounds(d->fs.store, &fresh);
	limits_configure(d->fs.limits, d->fs.store, &fresh.mount.user);
	set_scrub(d->fs.store, &fresh);
	pthread_mutex_lock(&d->lock);
	warn_fixed(d->config, &fresh);
	config_deinit(d->config);
	*d->config = fresh;
	pthread_mutex_unlock(&d->lock);
	log_info("%s: loaded again", d->opt->config_path);
}

static int config_text(void *arg, struct buf *ret_text)
{
	struct daemon *d = arg;
	int r;

	pthread_mutex_lock(&d->lock);
	r = config_format(d->config, ret_text);
	pthread_mutex_unlock(&d->lock);
	return r;
}

/* ---- signals ---- */

static void block_signals(struct daemon *d)
{
	sigemptyset(&d->signals);
	sigaddset(&d->signals, SIGHUP);
	sigaddset(&d->signals, SIGINT);
	sigaddset(&d->signals, SIGTERM);
	sigaddset(&d->signals, SIGUSR1); /* ours: end the thread */
	pthread_sigmask(SIG_BLOCK, &d->signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write over the limit fails */
}

static void *await_signals(void *arg)
{
	struct daemon *d = arg;
	int sig;

	while (sigwait(&d->signals, &sig) == 0) {
		if (sig == SIGUSR1 && atomic_load(&d->ending))
			break;
		if (sig == SIGHUP)
			reload(d);
		if (sig == SIGINT || sig == SIGTERM) {
			log_info("signal %d: unmounting %s", sig, d->opt->mountpoint);
			session_end(d->session);
		}
	}
	return NULL;
}

static int start_signal_thread(struct daemon *d, struct errmsg *err)
{
	int r = pthread_create(&d->signal_thread, NULL, await_signals, d);

	if (r)
		return err_set(err, r, "cannot start a thread: %s", strerror(r));
	d->signal_thread_runs = true;
	return 0;
}

static void stop_signal_thread(struct daemon *d)
{
	if (!d->signal_thread_runs)
		return;
	atomic_store(&d->ending, true);
	pthread_kill(d->signal_thread, SIGUSR1);
	pthread_join(d->signal_thread, NULL);
}

/* ---- up and down ---- */

static int open_log(struct daemon *d, struct errmsg *err)
{
	const char *log = d->config->mount.log;
	CLEANUP_BUF struct buf path = BUF_INIT;
	int r;

	use_log_level(d->config);
	if (log ? strcmp(log, "stderr") == 0 : d->opt->foreground)
		return log_open(LOG_SINK_STDERR, NULL, err);
	if (!log || strcmp(log, "syslog") == 0)
		return log_open(LOG_SINK_SYSLOG, NULL, err);
	if (*log == '/' || !d->opt->cwd)
		return log_open(LOG_SINK_FILE, log, err);
	r = buf_printf(&path, "%s/%s", d->opt->cwd, log);
	return r ? err_set(err, -r, "%s: %s", log, strerror(-r))
		 : log_open(LOG_SINK_FILE, (const char *)path.data, err);
}

/* Ten thousand open values need as many descriptors. */
static void raise_file_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* Addresses, not memory: of that there is what is open and being written. */
#define KEEP_MAX_BYTES (UINT64_C(1) << 36)

/*
 * What has to outlive this process. A store in memory does not, so nothing else need.
 * Without memory for it the mount works, and dies with the daemon; but who goes on for
 * another cannot do without.
 */
static int open_keep(struct daemon *d, struct errmsg *err)
{
	int r;

	if (!d->opt->held || d->opt->kind == STORE_MEMORY)
		return 0;
	r = keep_open(d->opt->held->keep_fd, KEEP_MAX_BYTES, &d->fs.keep, err);
	if (!r || resumes(d))
		return r;
	log_warning("%s; when this daemon dies, so does the mount", err->text);
	return 0;
}

/* `inos`: uint64_t, what is open there and has to stay. */
static int open_store(struct daemon *d, const struct buf *inos, struct errmsg *err)
{
	struct store_options so = {
	    .kind = d->opt->kind,
	    .path = d->opt->kind == STORE_MEMORY ? NULL : d->opt->store_path,
	    .cache_bytes = d->config->store.cache_bytes,
	    .small_max_bytes = d->config->store.small_max_bytes,
	    .staged_memory_bytes = d->config->store.staged_memory_bytes,
	    .root_uid = geteuid(),
	    .root_gid = getegid(),
	    .root_mode = d->config->store.root_mode,
	    .on_wait = session_pass_token,
	    .keep = d->fs.keep,
	    .kept_inos = (const uint64_t *)inos->data,
	    .kept_count = inos->len / sizeof(uint64_t),
	};
	int r;

	bounds_of(&d->config->store, NULL, &so);
	r = store_open(&so, &d->fs.store, err);
	if (r)
		return r;
	if (d->config->store.size.percent)
		set_bounds(d->fs.store, d->config);
	store_lock_note(d->fs.store, d->opt->mountpoint);
	return 0;
}

/* Kept, as the numbers that the store is told to leave alone are. */
static int open_store_kept(struct daemon *d, struct errmsg *err)
{
	CLEANUP_BUF struct buf inos = BUF_INIT;
	int r = open_keep(d, err);

	held_blame_keep(d->opt->held, r);
	if (r)
		return r;
	r = resume_inos(d->fs.keep, &inos);
	held_blame_keep(d->opt->held, r);
	if (r)
		return err_set(err, -r, "what was open cannot be taken up: %s",
			       strerror(-r));
	/* If it is the store that is damaged, nothing more is lost by the blame: only a
	 * new mount gets it repaired. */
	r = open_store(d, &inos, err);
	held_blame_keep(d->opt->held, r);
	return r;
}

/*
 * Whoever asked by the ordinary path while it was being written was told not to
 * cache; other paths may have.
 */
static void value_published(void *arg, uint64_t branch, const char *name)
{
	struct fs *fs = arg;

	kcache_name_changed(fs->kcache, branch, name, 0);
}

static void value_settled(void *arg, uint64_t branch, const char *name)
{
	fs_name_settled(arg, branch, name);
}

static void value_stored(void *arg, uint64_t branch, double cost_s, int64_t took_ns)
{
	struct fs *fs = arg;
	struct metrics_ns *ns = metrics_branch(fs->metrics, branch);

	metrics_add(ns, STORE_COUNT_PUBLISHED, 1);
	metrics_add_s(ns, STORE_COUNT_COMPUTED_US, cost_s);
	metrics_took(fs->metrics, METRICS_PUBLISH, took_ns);
}

static void value_failed(void *arg, uint64_t branch)
{
	struct fs *fs = arg;

	metrics_add(metrics_branch(fs->metrics, branch), STORE_COUNT_FAILED, 1);
}

static void value_reserved(void *arg, uint64_t branch, bool busy)
{
	struct fs *fs = arg;

	metrics_add(metrics_branch(fs->metrics, branch),
		    busy ? STORE_COUNT_RESERVED_BUSY : STORE_COUNT_RESERVED, 1);
}

/* What the store takes away by itself; by a thread of the store. */
static void value_dropped(void *arg, const struct store_dropped *what)
{
	struct fs *fs = arg;

	kcache_name_dropped(fs->kcache, what->branch, what->name, what->ino,
			    what->why == STORE_DROP_EXPIRED);
	metrics_dropped(fs->metrics, what);
}

static void watch_drops(struct fs *fs)
{
	const struct store_watch watch = {.dropped = value_dropped, .arg = fs};

	store_watch(fs->store, &watch);
}

int fs_make_own_tables(struct fs *fs)
{
	const struct backing_calls kernel = backing_kernel(fs);
	int r = vnode_table_new(&fs->vnodes);

	if (!r)
		r = retry_table_new(&fs->retries);
	if (!r)
		r = handle_list_new(&fs->handles);
	if (!r && !fs->no_open)
		r = backing_table_new(&kernel, &fs->backings);
	if (!r)
		r = recent_new(&fs->recent);
	return r ? r : kcache_new(fs, &fs->kcache);
}

int fs_make_tables(struct fs *fs, struct errmsg *err)
{
	struct pending_events events = {
	    .published = value_published,
	    .settled = value_settled,
	    .stored = value_stored,
	    .failed = value_failed,
	    .reserved = value_reserved,
	    .arg = fs,
	};
	int r = metrics_new(fs->store, &fs->metrics);

	topic_begin(fs);
	if (!r)
		r = pending_table_new(fs->store, &events, &fs->pending);
	if (!r)
		r = dircache_new(&fs->dircache);
	if (!r)
		r = fs_make_own_tables(fs);
	if (!r)
		r = waiters_new(fs, &fs->waiters);
	if (!r)
		r = slow_new(&fs->slow);
	if (!r)
		r = jobs_new(fs->store, fs->held, &fs->jobs);
	if (!r)
		r = limits_new(&fs->limits);
	if (!r && fs->read_only)
		r = fast_new(fs, &fs->fast);
	if (!r)
		pending_set_limits(fs->pending, fs->limits);
	return r ? err_set(err, -r, "cannot start: %s", strerror(-r)) : 0;
}

static void fill_fs(struct daemon *d)
{
	d->fs.read_only = d->config->mount.read_only;
	d->fs.no_open = d->fs.read_only && d->config->mount.fast;
	/* Of others the kernel takes no backing file: they need not have its depth. */
	d->fs.passthrough =
	    d->config->mount.passthrough && !d->fs.no_open && geteuid() == 0;
	d->fs.store_path = d->opt->store_path;
	d->fs.mountpoint = d->opt->mountpoint;
	d->fs.backend_name = d->opt->kind == STORE_MEMORY ? "memory" : "rocksdb";
	d->fs.started_ns = time_now_ns();
	d->fs.threads = d->config->mount.threads;
	busy_poll_cpus_init(&d->busy_poll_cpus, busy_poll_count_cpus());
	d->fs.busy_poll_cpus = d->config->mount.busy_poll ? &d->busy_poll_cpus : NULL;
	d->fs.held = d->opt->held;
	atomic_store(&d->fs.handed_over, resumes(d));
	d->fs.config = d;
	d->fs.config_text = config_text;
}

static void session_mounted(void *arg, int fuse_fd, const void *init, size_t init_len)
{
	struct daemon *d = arg;
	int r;

	if (!d->fs.keep)
		return; /* nobody could go on */
	r = held_mounted(d->opt->held, fuse_fd, init, init_len, d->opt->mountpoint);
	atomic_store(&d->fs.handed_over, r == 0 && d->opt->held);
	if (r)
		log_warning(
		    "the holder has not got the mount: %s; when this daemon dies, "
		    "the mount does",
		    strerror(-r));
}

/* The mount answers: INIT is done when the first call through it returns. */
static int probe(struct daemon *d, struct errmsg *err)
{
	struct statvfs sv;

	/* One that was taken up is there, whatever is at its place by now. */
	if (!resumes(d) && statvfs(d->opt->mountpoint, &sv))
		return err_set(err, errno, "%s: mounted, but does not answer: %s",
			       d->opt->mountpoint, strerror(errno));
	kcache_probe(d->fs.kcache);
	return 0;
}

static int mount_it(struct daemon *d, struct errmsg *err)
{
	const struct held *held = d->opt->held;
	struct session_options so = {
	    .mount = {.mountpoint = d->opt->mountpoint,
		      .store_path = d->opt->store_path,
		      .allow_other = d->config->mount.set & CONFIG_ALLOW_OTHER
					 ? d->config->mount.allow_other
					 : geteuid() == 0,
		      .read_only = d->config->mount.read_only,
		      .nonempty = d->opt->nonempty},
	    .threads = d->config->mount.threads,
	    .mounted = session_mounted,
	    .arg = d,
	};
	int r;

	if (resumes(d)) {
		so.mount.resume = true;
		so.mount.fuse_fd = held->fuse_fd;
		so.mount.init = held->begin.init;
		so.mount.init_len = held->begin.init_len;
	}
	if (!d->fs.read_only)
		d->fs.attach = attach_new(&d->fs);
	r = session_new(&d->fs, &so, &d->session, err);

	if (!r)
		r = session_start(d->session, err);
	if (!r)
		r = start_signal_thread(d, err);
	if (r)
		return r;
	/* The probe makes stale what the kernel may have been told before this. */
	watch_drops(&d->fs);
	if (!d->fs.read_only)
		attach_begin(&d->fs);
	return probe(d, err);
}

static void tick(void *arg)
{
	struct daemon *d = arg;

	pending_reap(d->fs.pending);
	retry_reap(d->fs.retries);
	kcache_tick(d->fs.kcache);
	if (d->fs.fast)
		fast_tick(d->fs.fast);
	attach_tick(&d->fs);
	metrics_tick(d->fs.metrics, time_now_ns());
}

/* In reverse; everything may be missing. */
void fs_stop(struct fs *fs)
{
	if (fs->store)
		store_watch(fs->store, NULL);
	jobs_stop(fs->jobs);
	slow_stop(fs->slow);
	waiters_stop(fs->waiters); /* while there is a kernel to answer to */
}

void fs_free_own_tables(struct fs *fs)
{
	kcache_free(fs->kcache);
	if (fs->se)
		fuse_session_destroy(fs->se);
	handle_list_free(fs->handles); /* what is still open */
	backing_table_free(fs->backings);
	recent_free(fs->recent);
	retry_table_free(fs->retries);
	fast_free(fs->fast);
}

void fs_free(struct fs *fs)
{
	pending_stop(fs->pending);
	fs_free_own_tables(fs);
	attach_free(fs->attach);
	dircache_free(fs->dircache);
	once_table_free(fs->once);
	pending_table_free(fs->pending);
	jobs_free(fs->jobs);	   /* no request comes any more */
	waiters_free(fs->waiters); /* the end of a value is told to it */
	limits_free(fs->limits);   /* nothing is held any more */
	slow_free(fs->slow);
	topic_begin(NULL);
	vnode_table_free(fs->vnodes);
	if (fs->metrics)
		metrics_save(fs->metrics);
	metrics_free(fs->metrics);
	store_close(fs->store);
}

static void take_down(struct daemon *d)
{
	stop_signal_thread(d);
	attach_end(&d->fs, d->session && !session_detached(d->session));
	fs_stop(&d->fs);
	session_free(d->session);
	fs_free(&d->fs);
	keep_close(d->fs.keep);
}

/*
 * While there is no other thread. Whether the mount point can be reached is asked of what
 * it is in: to look at itself, a successor would wait for its own answer.
 */
static void drop_privileges(const struct daemon *d)
{
	const char *log = d->config->mount.log, *point = d->opt->mountpoint;
	CLEANUP_BUF struct buf above = BUF_INIT;
	struct privileges_paths paths = {
	    .store = d->opt->kind == STORE_MEMORY ? NULL : d->opt->store_path,
	    .mountpoint = "/",
	    .config = d->opt->config_path,
	    .log = log && strchr(log, '/') ? log : NULL,
	};

	/* A path of it has to go through its last slash. */
	if (buf_printf(&above, "%.*s/.", (int)(strrchr(point, '/') - point), point) == 0)
		paths.mountpoint = (const char *)above.data;
	privileges_drop(&paths);
}

static void begin_stacks(const struct held *held)
{
	if (!held)
		return;
	stacks_log(held->stacks_fd, "the daemon before this one answered nothing; its "
				    "threads were at:");
	stacks_begin(held->stacks_fd);
}

static int resume_kept(struct daemon *d, struct errmsg *err)
{
	int r = resume_tables(&d->fs, err);

	held_blame_keep(d->opt->held, r);
	return r;
}

static int bring_up(struct daemon *d, struct errmsg *err)
{
	int r = open_log(d, err);

	if (r)
		return EXIT_USAGE;
	begin_stacks(d->opt->held); /* all of them */
	log_limit_set(LOG_LINES, LOG_WHILE_NS);
	raise_file_limit();
	drop_privileges(d);
	fill_fs(d);
	if (open_store_kept(d, err))
		return EXIT_STORE;
	if (namespaces_apply(d->fs.store, d->config, err))
		return EXIT_USAGE;
	if (fs_make_tables(&d->fs, err) || resume_kept(d, err))
		return EXIT_MOUNT;
	limits_configure(d->fs.limits, d->fs.store, &d->config->mount.user);
	/* Half of them, rounded up, are for those who need not wait. */
	pending_set_waiting_max(d->fs.pending, (d->fs.threads + 1) / 2);
	/* One of three, two at most, for those at a limit who close something. */
	limits_set_waiting_max(d->fs.limits, d->fs.threads < 6 ? d->fs.threads / 3 : 2);
	if (mount_it(d, err))
		return EXIT_MOUNT;
	return EXIT_OK;
}

/* ---- the holder ---- */

static void leave(void *arg)
{
	struct daemon *d = arg;

	log_info("leaving %s to a successor", d->opt->mountpoint);
	atomic_store(&d->leaving, true);
	session_leave(d->session);
}

static void upgraded(void *arg, uint64_t run, bool done, const char *text)
{
	struct daemon *d = arg;

	if (done)
		log_info("upgraded: %s", text);
	else
		log_error("not upgraded: %s", text);
	jobs_upgraded(d->fs.jobs, run, done, text);
}

static void slow_request(void *arg, const char *text)
{
	struct daemon *d = arg;

	stacks_log(d->opt->held->stacks_fd, text);
}

static void hear_holder(struct daemon *d)
{
	int64_t watchdog_ns = d->config->mount.watchdog_ns;
	const struct held_events events = {leave, upgraded, slow_request, d};
	struct held *held = d->opt->held;
	int r = held_listen(held, &events);

	if (held)
		held->watchdog_ns = watchdog_ns == DURATION_NONE ? 0 : watchdog_ns;

	if (r)
		log_warning("the holder cannot be heard: %s", strerror(-r));
}

/*
 * As if it had been killed, but with nothing under way: what is open and what is being
 * written is kept, and taking it down here would undo it.
 */
static _Noreturn void leave_it(struct daemon *d)
{
	attach_end(&d->fs, false); /* what is live is not served, nor what is below it */
	metrics_save(d->fs.metrics);
	log_close();
	_exit(EXIT_OK);
}

static void tell_begin(const struct daemon *d)
{
	const struct held *held = d->opt->held;

	if (resumes(d))
		log_warning("memofs %s: goes on at %s for the daemon before this one, "
			    "which %s",
			    MEMOFS_VERSION, d->opt->mountpoint, held->begin.text);
	else
		log_info("memofs %s: %s mounted on %s", MEMOFS_VERSION,
			 d->opt->store_path, d->opt->mountpoint);
	if (!held && !d->opt->alone)
		log_info("there is no holder: when this process dies, so does the mount");
}

int daemon_run(const struct daemon_options *opt, const struct config *command_line,
	       struct config *config, struct launch *launch)
{
	struct daemon d = {
	    .opt = opt,
	    .command_line = command_line,
	    .launch = launch,
	    .config = config,
	};
	struct errmsg err;
	int code;

	pthread_mutex_init(&d.lock, NULL);
	block_signals(&d);
	code = bring_up(&d, &err);
	if (code == EXIT_OK) {
		set_scrub(d.fs.store, config);
		tell_begin(&d);
		hear_holder(&d);
		launch_ready(launch);
		session_wait(d.session, tick, &d);
		if (atomic_load(&d.leaving))
			leave_it(&d);
		log_info("unmounted %s", opt->mountpoint);
	}
	/* What is kept is for the next try, and so is the mount. */
	if (code != EXIT_OK && resumes(&d))
		_exit(launch_failed(launch, code, &err));
	take_down(&d);
	if (code != EXIT_OK)
		launch_failed(launch, code, &err);
	else
		held_ended(opt->held);
	log_close();
	pthread_mutex_destroy(&d.lock);
	return code;
}
