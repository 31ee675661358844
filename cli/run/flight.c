/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"

static void add_since(struct buf *options, int64_t since_ns)
{
	char text[48];

	if (since_ns == INT64_MIN)
		return;
	if (since_ns < 0)
		since_ns = 0; /* nothing was published then */
	snprintf(text, sizeof(text), "%" PRId64 ".%09" PRId64, since_ns / NSEC_PER_SEC,
		 since_ns % NSEC_PER_SEC);
	view_option(options, "since", text);
}

static void add_limits(const struct flight *f, bool anew, struct buf *options)
{
	char text[DURATION_TEXT_MAX];

	view_option(options, "pack", NULL);
	if (anew || f->max_age_ns != DURATION_NONE) {
		duration_format(anew ? 0 : f->max_age_ns, text);
		view_option(options, "max-age", text);
	}
	add_since(options, f->since_ns);
}

/* DIR/.memofs/view/OPTIONS/PATH */
static char *path_under(const struct flight *f, const struct buf *options,
			const char *path)
{
	char *text;

	if (asprintf(&text, "%s/.memofs/view/%.*s/%s", f->dir, (int)options->len,
		     (const char *)options->data, path) < 0)
		must(-ENOMEM);
	return text;
}

static int open_once(const struct flight *f, enum flight_how how)
{
	CLEANUP_BUF struct buf options = BUF_INIT;
	CLEANUP_FREE char *path = NULL;
	int fd;

	add_limits(f, how == FLIGHT_WAIT && f->anew, &options);
	if (how == FLIGHT_STALE)
		view_option(&options, "stale", NULL);
	if (how == FLIGHT_WAIT)
		waiting_option(&f->wait, &options);
	path = path_under(f, &options, f->path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/* A signal that only stops the process for a while interrupts the open, too. */
int flight_open(const struct flight *f, enum flight_how how)
{
	int fd;

	do
		fd = open_once(f, how);
	while (fd == -EINTR);
	return fd;
}

int flight_begin(struct flight *f)
{
	CLEANUP_BUF struct buf options = BUF_INIT;
	CLEANUP_FREE char *path = NULL;

	add_limits(f, f->anew, &options);
	path = path_under(f, &options, f->path);
	f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
	return f->fd < 0 ? -errno : 0;
}

/*
 * Nothing lingers in the sight of who closed it: when this asks for the name, the daemon
 * decides at once, whatever we exit with afterwards. False: it is not there.
 */
static bool ask(const struct flight *f)
{
	CLEANUP_BUF struct buf options = BUF_INIT;
	CLEANUP_FREE char *path = NULL;
	struct stat st;

	view_option(&options, "pack", NULL);
	path = path_under(f, &options, f->path);
	return stat(path, &st) == 0;
}

int flight_publish(struct flight *f)
{
	int fd = f->fd;

	f->fd = -1;
	if (close(fd) && errno != EINTR)
		return -errno;
	return ask(f) ? 0 : -EIO;
}

/* The daemon keeps how we end as the reason: that is soon. */
void flight_give_up(struct flight *f)
{
	close_fdp(&f->fd);
}

void flight_deinit(struct flight *f)
{
	flight_give_up(f);
	free(f->dir);
	f->dir = NULL;
}

/* The failure of `id` under a view. */
static char *failure_path(const struct flight *f, const char *id, int64_t since_ns)
{
	CLEANUP_FREE char *parent = path_parent(f->path), *name = NULL, *path = NULL;
	CLEANUP_BUF struct buf options = BUF_INIT;

	if (asprintf(&name, ".failed-%s", id) < 0)
		must(-ENOMEM);
	path = path_join(parent, name);
	view_option(&options, "pack", NULL);
	add_since(&options, since_ns);
	return path_under(f, &options, path);
}

int flight_open_failure(const struct flight *f, const char *id, bool writing,
			int64_t since_ns)
{
	CLEANUP_FREE char *path = failure_path(f, id, writing ? INT64_MIN : since_ns);
	int flags = writing ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);

	return fd < 0 ? -errno : fd;
}

/* As flight_publish(); nobody is told when it failed. */
void flight_publish_failure(const struct flight *f, const char *id, int fd)
{
	CLEANUP_FREE char *path = failure_path(f, id, INT64_MIN);
	struct stat st;

	close(fd);
	(void)stat(path, &st);
}
