/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"

static const int fatal_signals[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGXCPU};
#define N_FATAL (sizeof(fatal_signals) / sizeof(*fatal_signals))

/* For the handler, which can be given nothing: what to remove, or NULL. */
static const char *volatile doomed;

/* unlink() and raise() are safe here; the signal is delivered on return. */
static void remove_and_die(int sig)
{
	if (doomed)
		unlink(doomed);
	raise(sig);
}

static void guard(const char *path)
{
	struct sigaction sa = {.sa_handler = remove_and_die, .sa_flags = SA_RESETHAND},
			 old;

	doomed = path;
	for (size_t i = 0; i < N_FATAL; i++) {
		/* What the caller ignores (nohup) stays ignored. */
		if (sigaction(fatal_signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(fatal_signals[i], &sa, NULL);
	}
}

/* The file has its final name, or is gone: die as usual from here on. */
static void unguard(struct scratch *s)
{
	doomed = NULL;
	free(s->path);
	s->path = NULL;
}

static char *new_path(const char *target, const char *prefix)
{
	CLEANUP_FREE char *dir = path_parent(target);
	uint64_t random = 0;
	char name[96];

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint64_t)time(NULL);
	snprintf(name, sizeof(name), "%s.%d.%016" PRIx64, prefix, (int)getpid(), random);
	return path_join(dir, name);
}

int scratch_open(const char *target, const char *prefix, struct scratch *ret_scratch)
{
	CLEANUP_FREE char *path = new_path(target, prefix);
	int fd;

	if (strlen(path_base(target)) > NAME_MAX)
		return -ENAMETOOLONG;
	guard(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0) {
		doomed = NULL;
		return -errno;
	}
	*ret_scratch = (struct scratch){.fd = fd, .path = path};
	path = NULL;
	return 0;
}

int scratch_keep(struct scratch *s, const char *target)
{
	int r;

	if (rename(s->path, target)) {
		r = -errno;
		scratch_drop(s);
		return r;
	}
	unguard(s);
	/* In a mount this publishes; what failed late is reported here. */
	r = close(s->fd) && errno != EINTR ? -errno : 0;
	s->fd = -1;
	return r;
}

void scratch_drop(struct scratch *s)
{
	/* Before the close: an open file that lost its name is never published. */
	unlink(s->path);
	unguard(s);
	close(s->fd);
	s->fd = -1;
}

/* Not every file system knows files without a name. */
static int open_unlinked(const char *dir)
{
	CLEANUP_FREE char *path = path_join(dir, "memofs-tmp.XXXXXX");
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

int scratch_unnamed(void)
{
	const char *env = getenv("TMPDIR"), *dir = env && *env ? env : "/tmp";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	return errno == EOPNOTSUPP || errno == EISDIR ? open_unlinked(dir) : -errno;
}
