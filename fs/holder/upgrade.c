/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/holder/start.h"
#include "store/util/duration.h"

#define LEAVE_MAX_NS (30 * NSEC_PER_SEC)
#define TRY_MAX_NS (60 * NSEC_PER_SEC)

void upgrade_init(struct upgrade *u, const char *program)
{
	*u = (struct upgrade){.next_fd = -1, .old_fd = -1};
	snprintf(u->program, sizeof(u->program), "%s", program);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void upgrade_deinit(struct upgrade *u)
{
	close_fd(&u->next_fd);
	close_fd(&u->old_fd);
}

int upgrade_begin(struct upgrade *u, uint64_t run, const char *path, int running_fd,
		  struct errmsg *err)
{
	int fd;

	if (!*path)
		path = u->program;
	if (u->phase != UPGRADE_NONE)
		return err_set(err, EBUSY, "another upgrade is under way");
	if (*path != '/')
		return err_set(err, EINVAL, "%s: name the binary by a path from /", path);
	fd = start_open(path);
	if (fd < 0)
		return err_set(err, -fd, "%s: %s; name a memofsd that can be executed",
			       path, strerror(-fd));
	upgrade_deinit(u);
	u->next_fd = fd;
	u->old_fd = running_fd < 0 ? -1 : fcntl(running_fd, F_DUPFD_CLOEXEC, 0);
	snprintf(u->next, sizeof(u->next), "%s", path);
	u->run = run;
	u->phase = UPGRADE_LEAVING;
	u->deadline_ns = time_monotonic_ns() + LEAVE_MAX_NS;
	return 0;
}

bool upgrade_daemon_ended(struct upgrade *u, const char *reason)
{
	switch (u->phase) {
	case UPGRADE_LEAVING:
		u->phase = UPGRADE_TRYING;
		u->deadline_ns = time_monotonic_ns() + TRY_MAX_NS;
		return true;
	case UPGRADE_TRYING:
		u->phase = UPGRADE_BACK;
		u->deadline_ns = 0;
		snprintf(u->why, sizeof(u->why), "%.300s %.600s", u->next, reason);
		return true;
	default:
		return false;
	}
}

bool upgrade_daemon_ready(struct upgrade *u, const char *version, bool *ret_done,
			  char *ret_text, size_t size)
{
	enum upgrade_phase phase = u->phase;

	if (phase == UPGRADE_LEAVING) {
		snprintf(u->version, sizeof(u->version), "%s", version);
		return false;
	}
	if (phase == UPGRADE_TRYING) {
		snprintf(ret_text, size, "from %s to %s", u->version, version);
		snprintf(u->program, sizeof(u->program), "%s", u->next);
	} else if (phase == UPGRADE_BACK) {
		snprintf(ret_text, size, "%.900s; %s goes on", u->why, version);
	}
	snprintf(u->version, sizeof(u->version), "%s", version);
	u->phase = UPGRADE_NONE;
	u->deadline_ns = 0;
	upgrade_deinit(u);
	*ret_done = phase == UPGRADE_TRYING;
	return phase != UPGRADE_NONE;
}

static int take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

int upgrade_program(struct upgrade *u, const char **ret_path)
{
	if (u->phase == UPGRADE_BACK)
		return take(&u->old_fd);
	if (u->phase != UPGRADE_TRYING)
		return -1;
	*ret_path = u->next;
	return take(&u->next_fd);
}

const char *upgrade_late(struct upgrade *u, int64_t now_ns)
{
	if (!u->deadline_ns || now_ns < u->deadline_ns)
		return NULL;
	u->deadline_ns = 0;
	return u->phase == UPGRADE_LEAVING ? "did not leave within 30 s, and was killed"
					   : "was not ready after 60 s, and was killed";
}
