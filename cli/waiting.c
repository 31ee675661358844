/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/message.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"

struct waiting waiting_begin(const struct cli_duration *limit)
{
	bool given = limit->text && *limit->text;

	return (struct waiting){
	    .limit_ns = given ? limit->ns : WAITING_POLICY,
	    .begun_ns = time_monotonic_ns(),
	};
}

void waiting_option(const struct waiting *w, struct buf *options)
{
	char text[DURATION_TEXT_MAX];
	int64_t left_ns = w->limit_ns;

	if (left_ns == WAITING_POLICY) {
		view_option(options, "wait", NULL);
		return;
	}
	if (left_ns != DURATION_NONE) {
		/* Each duration is a view of its own: a hundred of them are enough. */
		int64_t gone_ns = time_monotonic_ns() - w->begun_ns;

		left_ns -= gone_ns - gone_ns % (w->limit_ns / 100 + 1);
	}
	duration_format(left_ns > 0 ? left_ns : 0, text);
	view_option(options, "wait", text);
}

static int open_once(const struct waiting *w, const char *path, int64_t since_ns)
{
	CLEANUP_BUF struct buf options = BUF_INIT;
	CLEANUP_FREE char *view = NULL;
	char since[48];
	int fd;

	waiting_option(w, &options);
	if (since_ns) {
		snprintf(since, sizeof(since), "%" PRId64 ".%09" PRId64,
			 since_ns / NSEC_PER_SEC, since_ns % NSEC_PER_SEC);
		view_option(&options, "since", since);
	}
	view = view_path(path, &options);
	fd = open(view, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/* A signal that only stops the process for a while interrupts the open, too. */
int waiting_open(const struct waiting *w, const char *path, int64_t since_ns)
{
	int fd;

	do
		fd = open_once(w, path, since_ns);
	while (fd == -EINTR);
	return fd;
}
