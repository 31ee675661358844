/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread and one loop: signals, what the daemon says, and times. While no daemon
 * runs, requests wait in the kernel, or are answered by answer.c when that has become too
 * long. Nothing here waits for a daemon without a bound.
 */
#include "fs/holder/holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/holder/answer.h"
#include "fs/holder/deaths.h"
#include "fs/holder/rights.h"
#include "fs/holder/saved.h"
#include "fs/holder/start.h"
#include "fs/holder/upgrade.h"
#include "fs/holder/watch.h"
#include "store/util/duration.h"
#include "store/util/log.h"

#define SEC NSEC_PER_SEC
/* A database that was not closed may have much to read; one that hangs is ended. */
#define READY_MAX_NS (300 * SEC)
/* From the end of its descriptors to the end of a daemon, if nothing holds it up. */
#define LEFT_MAX_NS (SEC / 20)
#define REASON_MAX 1024

struct holder {
	const struct holder_options *opt;
	struct launch *launch;
	struct notify notify;
	struct saved saved;
	int signals, stacks_fd;
	struct answerer *answerer; /* while nobody else reads from the kernel */
	struct deaths deaths;
	char reason[REASON_MAX]; /* how the last one ended, or why it was ended */

	/* The daemon that runs. */
	pid_t pid;	   /* 0: none */
	char because[128]; /* this process has ended it; "": it has not */
	int socket;
	int program_fd;		      /* what it is, whatever is at the path by now */
	int64_t started_ns, ready_ns; /* 0: not yet */
	int64_t left_ns; /* when its descriptors were gone; 0: they are not */
	bool said_ended;
	int failed_code; /* 0: it has not said so */
	bool failed_keep;
	char failed[REASON_MAX];

	int64_t start_at_ns; /* while none runs */
	bool was_ready;	     /* any of them */
	bool told;	     /* who waits for the mount */
	bool stopping;	     /* somebody wants it unmounted */
	struct upgrade upgrade;
	struct watch watch;
	bool done;
	int code;
};

static void finish(struct holder *h, int code)
{
	h->done = true;
	h->code = code;
}

/* ---- starting ---- */

static int begin(struct holder *h)
{
	struct holder_message m = h->saved.mounted;
	int fds[] = {h->saved.keep_fd, h->stacks_fd, h->saved.fuse_fd};

	m.word = HOLDER_BEGIN;
	m.speaks = HOLDER_SPEAKS;
	m.needs = HOLDER_NEEDS;
	snprintf(m.version, sizeof(m.version), "%s", MEMOFS_VERSION);
	m.restarts = h->deaths.total;
	m.run = h->upgrade.phase != UPGRADE_NONE ? h->upgrade.run : 0;
	holder_set_text(&m, h->reason);
	return holder_send(h->socket, &m, fds, h->saved.fuse_fd >= 0 ? 3 : 2);
}

/* Which program: in an upgrade that decides. Else the one that ran before, as what is
 * kept is of its form; unless it dies each time, and a better one may be there. */
static void choose(struct holder *h, struct start *s)
{
	s->path = h->upgrade.program;
	s->fd = upgrade_program(&h->upgrade, &s->path);
	if (s->fd >= 0)
		return;
	s->fd = h->program_fd;
	if (s->fd < 0 || deaths_many(&h->deaths)) {
		int fd = start_open(s->path);

		s->fd = fd < 0 ? s->fd : fd;
	}
}

static void forget_program(struct holder *h, int next_fd)
{
	if (h->program_fd >= 0 && h->program_fd != next_fd)
		close(h->program_fd);
	h->program_fd = next_fd;
}

static int64_t later(int64_t pause_ns)
{
	return time_monotonic_ns() + pause_ns;
}

static void start(struct holder *h)
{
	struct start s = {.cwd = h->opt->cwd, .args = h->opt->args};
	int r;

	answerer_free(h->answerer);
	h->answerer = NULL;
	choose(h, &s);
	r = start_daemon(&s, &h->pid, &h->socket);
	forget_program(h, s.fd < 0 ? -1 : s.fd);
	if (r) {
		log_error("%s: cannot be started: %s", s.path, strerror(-r));
		h->start_at_ns = later(SEC);
		return;
	}
	h->started_ns = time_monotonic_ns();
	h->ready_ns = h->left_ns = 0;
	h->said_ended = false;
	h->failed_code = 0;
	h->failed_keep = false;
	/* One that ends at once is seen as that. */
	(void)begin(h);
}

/* ---- the mount without a daemon ---- */

/* It would not outlive the first process of a container; but it may hang. */
static void spawn_unmount(const char *mountpoint)
{
	const char *const argv[] = {"fusermount3", "-uqz", "--", mountpoint, NULL};
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ))
		return;
	for (int i = 0; i < 500 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		nanosleep(&pause, NULL);
}

/* So that nobody finds a dead mount. */
static void unmount(struct holder *h)
{
	const char *mountpoint = h->saved.mounted.mountpoint;

	if (h->saved.fuse_fd < 0 || saved_is_gone(&h->saved) || *mountpoint != '/')
		return;
	if (umount2(mountpoint, MNT_DETACH) && geteuid() != 0)
		spawn_unmount(mountpoint);
}

/* No daemon will come any more. */
static void give_up(struct holder *h)
{
	log_error("%s: unmounted without a daemon; what was open there is lost",
		  h->saved.mounted.mountpoint);
	unmount(h);
	finish(h, EXIT_MOUNT);
}

/* ---- the end of a daemon ---- */

static void describe(struct holder *h, int status)
{
	char how[128];

	if (*h->because) { /* this process has ended it, and knows why */
		snprintf(h->reason, sizeof(h->reason), "%s", h->because);
	} else {
		start_describe(status, how, sizeof(how));
		snprintf(h->reason, sizeof(h->reason), "%s%s%.800s", how,
			 h->failed_code ? ": " : "", h->failed_code ? h->failed : "");
	}
	h->because[0] = '\0';
	for (char *p = h->reason; *p; p++)
		*p = (unsigned char)*p < ' ' ? ' ' : *p;
}

/* It never worked: as it says itself, to who waits for the mount. */
static void fail_first(struct holder *h)
{
	struct errmsg err;
	int code = h->failed_code ? h->failed_code : EXIT_MOUNT;

	if (h->failed_code)
		snprintf(err.text, sizeof(err.text), "%s", h->failed);
	else
		err_set(&err, EIO, "the daemon ended before it could mount: it %s",
			h->reason);
	unmount(h);
	finish(h, launch_failed(h->launch, (enum exit_code)code, &err));
}

/* May what is kept be why it ended so? Somebody who kills it has other reasons. */
static bool may_be_the_keep(const struct holder *h, int status)
{
	if (h->failed_code)
		return h->failed_keep;
	if (*h->because)
		return true;
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
	       !start_was_not_executed(status);
}

/*
 * The mount goes on, with nothing that was open in it. What was under way is answered,
 * because the next one would not know how far it had come.
 */
static void give_up_keep(struct holder *h)
{
	int64_t bytes = saved_empty(&h->saved);
	size_t len = strlen(h->reason);

	if (bytes < 0) {
		log_error("%s: what is kept cannot be given up: %s",
			  h->saved.mounted.mountpoint, strerror((int)-bytes));
		return;
	}
	if (h->answerer)
		(void)answerer_run(h->answerer);
	deaths_forgive_keep(&h->deaths);
	snprintf(h->reason + len, sizeof(h->reason) - len,
		 ", as others before it; so what was kept for the next is given up (%lld "
		 "KiB): what is open reads EIO, and what was being written is lost",
		 (long long)bytes / 1024);
	log_error("%s: the daemon %s", h->saved.mounted.mountpoint, h->reason);
	h->start_at_ns = 0;
}

static void restart_later(struct holder *h, bool blame_keep)
{
	int64_t up_ns = h->ready_ns ? time_monotonic_ns() - h->ready_ns : -1;
	int64_t pause_ns = deaths_note(&h->deaths, up_ns);

	log_error("%s: the daemon (pid %d) %s; the next is started in %.2f s",
		  h->saved.mounted.mountpoint, (int)h->pid, h->reason,
		  (double)pause_ns / (double)SEC);
	h->start_at_ns = later(pause_ns);
	if (deaths_many(&h->deaths) && !h->answerer &&
	    answerer_new(h->saved.fuse_fd, &h->answerer))
		log_error("out of memory: nobody is answered meanwhile");
	if (blame_keep)
		deaths_blame_keep(&h->deaths, up_ns);
	if (deaths_hopeless(&h->deaths))
		give_up_keep(h);
}

static void after_death(struct holder *h, int status, bool blame_keep)
{
	if (h->said_ended) {
		finish(h, WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_MOUNT);
	} else if (!h->was_ready) {
		fail_first(h);
	} else if (h->saved.fuse_fd < 0) {
		log_error("the daemon %s; nothing can go on for it", h->reason);
		finish(h, EXIT_MOUNT);
	} else if (saved_is_gone(&h->saved)) {
		log_error("%s: unmounted, and the daemon %s while it ended",
			  h->saved.mounted.mountpoint, h->reason);
		finish(h, EXIT_MOUNT);
	} else if (upgrade_daemon_ended(&h->upgrade, h->reason)) {
		if (h->upgrade.phase == UPGRADE_TRYING)
			snprintf(h->reason, sizeof(h->reason), "left for an upgrade");
		h->start_at_ns = 0;
	} else if (h->stopping && deaths_many(&h->deaths)) {
		give_up(h);
	} else {
		restart_later(h, blame_keep);
	}
}

static void daemon_ended(struct holder *h, int status)
{
	bool blame_keep = may_be_the_keep(h, status);

	describe(h, status);
	close(h->socket);
	h->socket = -1;
	watch_end(&h->watch);
	after_death(h, status, blame_keep);
	h->pid = 0;
}

/* ---- what the daemon says ---- */

static void send_upgraded(struct holder *h, uint64_t run, bool done, const char *text)
{
	struct holder_message m = {
	    .word = HOLDER_UPGRADED, .run = run, .code = done ? 0 : 1};

	holder_set_text(&m, text);
	(void)holder_send(h->socket, &m, NULL, 0);
}

static void tell_ready(struct holder *h)
{
	struct errmsg err;

	h->told = true;
	if (!h->launch->foreground)
		(void)log_open(LOG_SINK_SYSLOG, NULL, &err);
	launch_ready(h->launch);
	notify_say(&h->notify, "READY=1");
}

static void take_ready(struct holder *h, const struct holder_message *m)
{
	char text[REASON_MAX];
	bool done;

	h->ready_ns = time_monotonic_ns();
	h->was_ready = true;
	if (h->saved.fuse_fd >= 0) {
		h->watch.fuse_fd = h->saved.fuse_fd;
		h->watch.stacks_fd = h->stacks_fd;
		watch_begin(&h->watch, h->pid, h->saved.keep_fd, m->watchdog_ns);
	}
	rights_narrow(m->privileges);
	if (!h->told)
		tell_ready(h);
	if (upgrade_daemon_ready(&h->upgrade, m->version, &done, text, sizeof(text)))
		send_upgraded(h, h->upgrade.run, done, text);
	if (h->stopping)
		kill(h->pid, SIGTERM);
}

static void take_upgrade(struct holder *h, const struct holder_message *m)
{
	const struct holder_message leave = {.word = HOLDER_LEAVE};
	struct errmsg err;
	int r = h->saved.fuse_fd < 0
		    ? err_set(&err, ENOTSUP, "a store in memory ends with its daemon")
		    : upgrade_begin(&h->upgrade, m->run, m->text, h->program_fd, &err);

	if (!r)
		r = holder_send(h->socket, &leave, NULL, 0);
	if (r)
		send_upgraded(h, m->run, false, err.text);
}

static void take_message(struct holder *h, const struct holder_message *m, int *fds)
{
	switch (m->word) {
	case DAEMON_MOUNTED:
		saved_mounted(&h->saved, fds[0], m, &h->notify);
		fds[0] = -1;
		break;
	case DAEMON_READY:
		take_ready(h, m);
		break;
	case DAEMON_FAILED:
		h->failed_code = m->code ? m->code : EXIT_MOUNT;
		h->failed_keep = m->keep_is_bad;
		snprintf(h->failed, sizeof(h->failed), "%.*s", REASON_MAX - 1, m->text);
		break;
	case DAEMON_ENDED:
		h->said_ended = true;
		break;
	case DAEMON_UPGRADE:
		take_upgrade(h, m);
		break;
	default:
		log_warning("the daemon says %u, which is not known", m->word);
	}
}

/* All that has come. */
static void hear(struct holder *h)
{
	struct holder_message m;
	int fds[HOLDER_FDS_MAX], r;

	for (;;) {
		struct pollfd pfd = {.fd = h->socket, .events = POLLIN};

		if (h->socket < 0 || poll(&pfd, 1, 0) != 1)
			return;
		r = holder_receive(h->socket, &m, fds);
		if (r) {
			/* It is gone, or about to go: SIGCHLD follows, but see leave().
			 */
			if (r != -EPIPE)
				log_error("what the daemon says cannot be received: %s",
					  strerror(-r));
			close(h->socket);
			h->socket = -1;
			/* One that ends in order may take its time for that. */
			if (!h->said_ended && !h->failed_code)
				h->left_ns = time_monotonic_ns();
			return;
		}
		take_message(h, &m, fds);
		holder_close_fds(fds);
	}
}

/* ---- signals ---- */

static void reap(struct holder *h)
{
	int status;
	pid_t pid;

	/* As the first process of a container it has those of others, too. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != h->pid)
			continue;
		hear(h); /* its last words */
		daemon_ended(h, status);
	}
}

static void stop(struct holder *h, int sig)
{
	h->stopping = true;
	notify_say(&h->notify, "STOPPING=1");
	if (h->pid)
		kill(h->pid, sig);
	else if (deaths_many(&h->deaths))
		give_up(h);
}

static void take_signals(struct holder *h)
{
	struct signalfd_siginfo si;

	while (read(h->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(h);
		else if (si.ssi_signo == SIGHUP && h->pid)
			kill(h->pid, SIGHUP);
		else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			stop(h, (int)si.ssi_signo);
		if (h->done)
			return;
	}
}

static int open_signals(struct holder *h)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	h->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return h->signals < 0 ? -errno : 0;
}

/* ---- times ---- */

static void end_daemon(struct holder *h, const char *because)
{
	snprintf(h->because, sizeof(h->because), "%s", because);
	kill(h->pid, SIGKILL);
}

/*
 * A thread that the kernel does not let go (see be_alone() in fs/kcache.c) waits for what
 * only the next daemon answers, and there is no SIGCHLD before.
 */
static void leave(struct holder *h)
{
	kill(h->pid, SIGKILL);
	daemon_ended(h, SIGKILL);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When something has to be done, if nothing happens before. */
static int64_t next_ns(const struct holder *h)
{
	int64_t at = INT64_MAX;

	if (!h->pid)
		at = h->start_at_ns;
	else if (!h->ready_ns)
		at = h->started_ns + READY_MAX_NS;
	if (h->pid && h->left_ns)
		at = earlier(at, h->left_ns + LEFT_MAX_NS);
	if (h->upgrade.deadline_ns)
		at = earlier(at, h->upgrade.deadline_ns);
	at = earlier(at, watch_next_ns(&h->watch));
	if (h->notify.watchdog_ns)
		at = earlier(at, later(h->notify.watchdog_ns / 2));
	return at;
}

static void tell_slow(struct holder *h, int64_t now_ns)
{
	struct holder_message m = {.word = HOLDER_SLOW};
	char text[256];

	if (!watch_slow(&h->watch, now_ns, text, sizeof(text)))
		return;
	holder_set_text(&m, text);
	(void)holder_send(h->socket, &m, NULL, 0);
}

static void look_at_times(struct holder *h)
{
	int64_t now = time_monotonic_ns();
	const char *late, *hung;

	if (h->notify.watchdog_ns)
		notify_say(&h->notify, "WATCHDOG=1");
	if (!h->pid && now >= h->start_at_ns) {
		start(h);
		return;
	}
	if (h->pid && h->left_ns && now >= h->left_ns + LEFT_MAX_NS) {
		leave(h);
		return;
	}
	late = upgrade_late(&h->upgrade, now);
	if (h->pid && !late && !h->ready_ns && now >= h->started_ns + READY_MAX_NS)
		late = "was not ready after 300 s, and was killed";
	hung = watch_look(&h->watch, now);
	if (h->pid && (late || hung))
		end_daemon(h, late ? late : hung);
	else
		tell_slow(h, now);
}

static int wait_ms(const struct holder *h)
{
	int64_t at = next_ns(h), now = time_monotonic_ns(), ms;

	if (at == INT64_MAX)
		return -1;
	ms = at <= now ? 0 : (at - now + NSEC_PER_SEC / 1000 - 1) / (NSEC_PER_SEC / 1000);
	return ms > 60000 ? 60000 : (int)ms;
}

static void look_at_mount(struct holder *h)
{
	if (h->answerer)
		(void)answerer_run(h->answerer);
	if (!saved_is_gone(&h->saved))
		return;
	log_warning("%s: was unmounted while no daemon ran", h->saved.mounted.mountpoint);
	finish(h, EXIT_MOUNT);
}

/* The kernel's end is looked at only while no daemon does. */
static void turn(struct holder *h)
{
	bool alone = h->pid == 0 && h->saved.fuse_fd >= 0;
	struct pollfd fds[] = {
	    {.fd = h->signals, .events = POLLIN},
	    {.fd = h->socket, .events = POLLIN},
	    {.fd = alone ? h->saved.fuse_fd : -1, .events = h->answerer ? POLLIN : 0},
	};

	(void)poll(fds, 3, wait_ms(h));
	if (fds[1].revents)
		hear(h);
	if (fds[2].revents)
		look_at_mount(h);
	if (!h->done && fds[0].revents)
		take_signals(h);
	if (!h->done)
		look_at_times(h);
}

/* ---- all of it ---- */

/* For tests, which end many daemons in a short time. */
static int64_t quick_of_environment(void)
{
	const char *text = getenv("MEMOFS_QUICK_MS");

	return text ? strtoll(text, NULL, 10) * (NSEC_PER_SEC / 1000) : DEATHS_QUICK_NS;
}

static int prepare(struct holder *h, struct errmsg *err)
{
	int r = saved_init(&h->saved);

	h->stacks_fd = -1;
	if (!r)
		r = open_signals(h);
	if (r)
		return err_set(err, -r, "cannot begin to hold a mount: %s", strerror(-r));
	h->stacks_fd = memfd_create("memofs-stacks", MFD_CLOEXEC);
	h->was_ready = saved_take_up(&h->saved);
	if (h->was_ready)
		snprintf(h->reason, sizeof(h->reason), "ended with its holder");
	notify_begin(&h->notify);
	rights_begin();
	h->deaths.quick_ns = quick_of_environment();
	return 0;
}

int holder_run(const struct holder_options *opt, struct launch *launch)
{
	struct holder h = {.opt = opt, .launch = launch, .socket = -1, .program_fd = -1};
	struct errmsg err;
	int r = prepare(&h, &err);

	upgrade_init(&h.upgrade, opt->program);
	if (r)
		finish(&h, launch_failed(launch, EXIT_MOUNT, &err));
	while (!h.done)
		turn(&h);
	answerer_free(h.answerer);
	upgrade_deinit(&h.upgrade);
	forget_program(&h, -1);
	saved_deinit(&h.saved);
	return h.code;
}
