/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/util/fdpass.h"

enum { LISTEN_FIRST = 3 };

/* Meant for this process? */
static int is_mine(const char *variable)
{
	const char *text = getenv(variable);

	return text && strtol(text, NULL, 10) == (long)getpid();
}

static int64_t watchdog_of_environment(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	long long us = text ? strtoll(text, NULL, 10) : 0;

	if (us <= 0 || us > INT64_MAX / 1000 ||
	    (getenv("WATCHDOG_PID") && !is_mine("WATCHDOG_PID")))
		return 0;
	return us * 1000;
}

void notify_begin(struct notify *n)
{
	static const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
					   "WATCHDOG_PID",  "LISTEN_FDS",
					   "LISTEN_PID",    "LISTEN_FDNAMES"};
	const char *path = getenv("NOTIFY_SOCKET");

	*n = (struct notify){0};
	if (path && (*path == '/' || *path == '@') && strlen(path) < sizeof(n->path)) {
		strcpy(n->path, path);
		n->watchdog_ns = watchdog_of_environment();
	}
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		unsetenv(ours[i]);
}

static void say(const struct notify *n, const char *state, int fd)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(n->path);
	int s;

	if (!len)
		return;
	memcpy(to.sun_path, n->path, len);
	if (*n->path == '@')
		to.sun_path[0] = '\0'; /* no file: the abstract namespace */
	len += offsetof(struct sockaddr_un, sun_path);
	s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return;
	/* Who is supervised has no way to go without its supervisor's ear. */
	if (connect(s, (struct sockaddr *)&to, (socklen_t)len) == 0)
		(void)fdpass_send(s, state, strlen(state), &fd, fd >= 0);
	close(s);
}

void notify_say(const struct notify *n, const char *state)
{
	say(n, state, -1);
}

void notify_store(const struct notify *n, const char *name, int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	say(n, text, -1);
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	say(n, text, fd);
}

/* The place of a name in a:b:c, or -1. */
static int place_of(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; names; i++) {
		if (strncmp(names, name, len) == 0 &&
		    (names[len] == ':' || names[len] == '\0'))
			return i;
		names = strchr(names, ':');
		names = names ? names + 1 : NULL;
	}
	return -1;
}

int notify_stored(const char *name)
{
	const char *count = getenv("LISTEN_FDS");
	int place = place_of(getenv("LISTEN_FDNAMES"), name), fd = LISTEN_FIRST + place;

	if (!count || place < 0 || place >= strtol(count, NULL, 10) ||
	    !is_mine("LISTEN_PID") || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -1;
	return fd;
}
