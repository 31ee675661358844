/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "store/util/buf.h"
#include "store/util/log.h"

struct lockfile {
	int fd;
	char since[32]; /* ISO 8601, UTC */
};

/* The value of `key=` in the text of the file, to the end of its line. */
static int holder_value(const char *text, const char *key, struct buf *ret_value)
{
	size_t key_len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, key_len) && line[key_len] == '=') {
			line += key_len + 1;
			buf_clear(ret_value);
			return buf_printf(ret_value, "%.*s", (int)strcspn(line, "\n"),
					  line);
		}
	}
	return buf_set(ret_value, "", 0);
}

static const char *buf_text(struct buf *b)
{
	return buf_append(b, "", 1) ? "" : (const char *)b->data;
}

/* The message for a lock that somebody else has. */
static int refuse_busy(const char *path, int fd, struct errmsg *err)
{
	CLEANUP_BUF struct buf pid = BUF_INIT;
	CLEANUP_BUF struct buf program = BUF_INIT;
	CLEANUP_BUF struct buf since = BUF_INIT;
	CLEANUP_BUF struct buf mountpoint = BUF_INIT;
	char text[8192];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	holder_value(text, "pid", &pid);
	holder_value(text, "program", &program);
	holder_value(text, "since", &since);
	holder_value(text, "mountpoint", &mountpoint);
	if (pid.len == 0)
		return err_set(err, EBUSY,
			       "%s: another process is just opening this store; "
			       "try again, or use another directory",
			       path);
	if (mountpoint.len == 0)
		return err_set(err, EBUSY,
			       "%s: the store is in use by %s (pid %s) since %s; end "
			       "that process first, or use another directory",
			       path, buf_text(&program), buf_text(&pid),
			       buf_text(&since));
	return err_set(err, EBUSY,
		       "%s: the store is in use by %s (pid %s) since %s, mounted at %s; "
		       "use that mount, or unmount it first: memofs umount %s",
		       path, buf_text(&program), buf_text(&pid), buf_text(&since),
		       buf_text(&mountpoint), buf_text(&mountpoint));
}

static int open_file(const char *path, int *ret_fd, struct errmsg *err)
{
	CLEANUP_BUF struct buf file = BUF_INIT;
	int fd;

	if (buf_printf(&file, "%s/" LOCK_FILE, path) || buf_append(&file, "", 1))
		return err_set(err, ENOMEM, "%s: out of memory", path);
	fd = open((const char *)file.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return err_set(err, errno,
			       "%s: cannot lock the store: %s; it must be writable",
			       (const char *)file.data, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* The text is only for people: a full disk is no reason not to go on. */
static void write_text(struct lockfile *lock, const struct buf *text)
{
	ssize_t n = pwrite(lock->fd, text->data, text->len, 0);

	if (n < 0 || ftruncate(lock->fd, n) < 0)
		log_warning("the lock file cannot be written: %s", strerror(errno));
}

static void clear_text(struct lockfile *lock)
{
	if (ftruncate(lock->fd, 0) < 0)
		log_warning("the lock file cannot be written: %s", strerror(errno));
}

void lockfile_note(struct lockfile *lock, const char *mountpoint)
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	if (buf_printf(&text, "pid=%d\nprogram=%s\nsince=%s\n", getpid(),
		       program_invocation_short_name, lock->since))
		return;
	if (mountpoint && *mountpoint && buf_printf(&text, "mountpoint=%s\n", mountpoint))
		return;
	write_text(lock, &text);
}

int lockfile_new(const char *path, struct lockfile **ret_lock, struct errmsg *err)
{
	struct lockfile *lock;
	time_t now = time(NULL);
	struct tm tm;
	int r;

	lock = calloc(1, sizeof(*lock));
	if (!lock)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	r = open_file(path, &lock->fd, err);
	if (r) {
		free(lock);
		return r;
	}
	if (flock(lock->fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK
			? refuse_busy(path, lock->fd, err)
			: err_set(err, errno, "%s: cannot lock the store: %s", path,
				  strerror(errno));
		close(lock->fd);
		free(lock);
		return r;
	}
	strftime(lock->since, sizeof(lock->since), "%Y-%m-%dT%H:%M:%SZ",
		 gmtime_r(&now, &tm));
	lockfile_note(lock, NULL);
	*ret_lock = lock;
	return 0;
}

void lockfile_free(struct lockfile *lock)
{
	if (!lock)
		return;
	clear_text(lock);
	/* A child between fork and exec has the descriptor too: closing is not enough. */
	flock(lock->fd, LOCK_UN);
	close(lock->fd);
	free(lock);
}
