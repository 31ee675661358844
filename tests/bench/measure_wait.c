/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a value (measure.h). In memofs a reader waits under view/wait for what is
 * reserved; elsewhere it watches the directory for a rename, as one would who has
 * nothing better.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "measure.h"

static char key[NAME_SIZE], temporary[NAME_SIZE];
static int fd;

static void name_turn(unsigned int turn)
{
	snprintf(key, sizeof(key), "key%u", turn);
	snprintf(temporary, sizeof(temporary), "temporary%u", turn);
}

static void read_value(const char *path)
{
	uint8_t data[65536];

	fd = open_or_fail(path, O_RDONLY);
	if (read_upto(fd, data, measure.bytes, path) != measure.bytes)
		fail("%s is not whole", path);
	close_or_fail(fd, path);
}

/* ---- memofs ---- */

static void reserve_and_write(unsigned int turn)
{
	name_turn(turn);
	fd = open_or_fail(key, O_WRONLY | O_CREAT | O_EXCL);
	write_all(fd, measure.value, measure.bytes, key);
}

static void close_it(unsigned int turn)
{
	(void)turn;
	close_or_fail(fd, key);
}

static void nothing(unsigned int turn)
{
	name_turn(turn);
}

static void open_waiting(unsigned int turn)
{
	char path[NAME_SIZE + 32];

	(void)turn;
	snprintf(path, sizeof(path), ".memofs/view/wait/%s", key);
	read_value(path);
}

/* ---- elsewhere ---- */

static void write_temporary(unsigned int turn)
{
	name_turn(turn);
	fd = open_or_fail(temporary, O_WRONLY | O_CREAT | O_EXCL);
	write_all(fd, measure.value, measure.bytes, temporary);
}

static void close_and_rename(unsigned int turn)
{
	(void)turn;
	close_or_fail(fd, temporary);
	if (rename(temporary, key) < 0)
		fail_errno("rename %s", temporary);
}

static void watch(unsigned int turn)
{
	name_turn(turn);
	fd = inotify_init1(IN_CLOEXEC);
	if (fd < 0 || inotify_add_watch(fd, ".", IN_MOVED_TO) < 0)
		fail_errno("inotify");
}

static void read_when_moved(unsigned int turn)
{
	char event[sizeof(struct inotify_event) + NAME_SIZE * 4];

	(void)turn;
	if (read(fd, event, sizeof(event)) <= 0)
		fail_errno("inotify");
	read_value(key);
}

void work_wait(void)
{
	static const struct waiting by_view = {reserve_and_write, close_it, nothing,
					       open_waiting};
	static const struct waiting by_watch = {write_temporary, close_and_rename, watch,
						read_when_moved};

	enter_scratch(".", "wait");
	run_waiting(access(".memofs/view", F_OK) == 0 ? &by_view : &by_watch);
	leave_scratch();
}
