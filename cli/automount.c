/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/automount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/mounts.h"
#include "cli/paths.h"
#include "cli/probe.h"
#include "cli/userdirs.h"

#define SELF "/proc/self/exe"

/* ---- where ------------------------------------------------------------------- */

static char *tmp_dir(void)
{
	char *dir;

	if (asprintf(&dir, "/tmp/memofs-%u", (unsigned int)geteuid()) < 0)
		must(-ENOMEM);
	return dir;
}

static int check_tmp_dir(const char *dir, struct errmsg *err)
{
	struct stat tmp, st;

	if (lstat(dir, &st) || stat("/tmp", &tmp))
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	if (userdir_is_mine(&st, 077) && st.st_dev == tmp.st_dev)
		return 0;
	return err_set(err, EACCES,
		       "%s is not a directory of yours alone, so nothing is mounted in "
		       "it; remove it, or set XDG_RUNTIME_DIR",
		       dir);
}

int automount_point(char **ret_point, struct errmsg *err)
{
	CLEANUP_FREE char *tmp = NULL;
	const char *dir = userdir_runtime();
	int r;

	if (dir) {
		*ret_point = path_join(dir, "memofs");
		return 0;
	}
	tmp = tmp_dir();
	r = check_tmp_dir(tmp, err);
	if (r)
		return r;
	*ret_point = path_join(tmp, "mnt");
	return 0;
}

static int make_dir(const char *path, struct errmsg *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return err_set(err, errno, "%s: %s", path, strerror(errno));
}

/* The mount point, and what it is in. */
static int make_point(char **ret_point, struct errmsg *err)
{
	CLEANUP_FREE char *tmp = userdir_runtime() ? NULL : tmp_dir(), *point = NULL;
	int r = tmp ? make_dir(tmp, err) : 0;

	if (!r)
		r = automount_point(&point, err);
	if (r)
		return r;
	/* A dead mount is there, and is no directory to stat(2). */
	if (mkdir(point, 0700) && errno != EEXIST)
		return err_set(err, errno, "%s: %s", point, strerror(errno));
	*ret_point = point;
	point = NULL;
	return 0;
}

bool automount_is_kept(struct errmsg *err)
{
	CLEANUP_FREE char *home = NULL, *store = NULL;

	if (userdir_cache(&home, err))
		return false;
	store = path_join(home, "store");
	if (access(store, F_OK) == 0 || errno != ENOENT)
		return true;
	err_set(err, ENOENT, "nothing has been kept yet: there is no %s", store);
	return false;
}

/* ---- running this program again --------------------------------------------------- */

/*
 * The daemon must not keep what was open here: a pipe that somebody reads to its end,
 * a lock of the caller's script.
 */
static _Noreturn void exec_self(const char *const *argv, int errors)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	unsetenv("MEMOFS_RUNNING");
	unsetenv("MEMOFS_WARNED");
	execv(SELF, (char *const *)argv);
	execvp("memofs", (char *const *)argv);
	_exit(127);
}

/* The last line, without the program's name. */
static void read_said(int fd, struct errmsg *ret_said)
{
	char text[sizeof(ret_said->text)];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *line = text, *end;

	text[n > 0 ? n : 0] = '\0';
	end = text + strlen(text);
	while (end > text && end[-1] == '\n')
		*--end = '\0';
	if (strrchr(text, '\n'))
		line = strrchr(text, '\n') + 1;
	if (strncmp(line, "memofs: ", 8) == 0)
		line += 8;
	strcpy(ret_said->text, line);
}

/* Returns its exit code, or -errno; *ret_said is what it complained of. */
static int run_self(const char *const *argv, struct errmsg *ret_said)
{
	/* A file and no pipe: a daemon that kept it would be waited for. */
	CLEANUP_FD int errors = memfd_create("memofs-errors", MFD_CLOEXEC);
	int status;
	pid_t pid;

	if (errors < 0)
		return -errno;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_self(argv, errors);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	read_said(errors, ret_said);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* ---- mounting ------------------------------------------------------------------------
 */

static int check_fuse(struct errmsg *err)
{
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		return 0;
	return err_set(err, ENODEV,
		       "/dev/fuse: %s; this machine mounts no FUSE for you: it "
		       "takes access to that, in a container --device /dev/fuse",
		       strerror(errno));
}

static int mount_store(const char *home, const char *point, struct errmsg *err)
{
	CLEANUP_FREE char *store = path_join(home, "store"),
			  *log = path_join(home, "log");
	const char *const argv[] = {"memofs", "mount", "--log", log, store, point, NULL};
	struct errmsg said = {""};
	int r = check_fuse(err);

	if (r)
		return r;
	r = run_self(argv, &said);
	if (r == CLI_OK)
		return 0;
	if (r < 0)
		return err_set(err, -r, "cannot start memofs mount: %s", strerror(-r));
	if (!*said.text)
		snprintf(said.text, sizeof(said.text), "memofs mount failed (%d)", r);
	return err_set(err, r == CLI_MOUNT ? ENODEV : EIO, "%s", said.text);
}

static int unmount_dead(const char *point, struct errmsg *err)
{
	const char *const argv[] = {"memofs", "umount", "--lazy", point, NULL};
	struct errmsg said = {""};
	int r = run_self(argv, &said);

	if (r == CLI_OK)
		return 0;
	return err_set(err, ENOTCONN, "%s: the daemon of this mount has ended%s%s", point,
		       *said.text ? ": " : "", said.text);
}

/*
 * `rm -rf ~/.cache`: what is stored from now on is lost. It ends before there is another
 * store of this name, into which its daemon would write.
 */
static int unmount_storeless(const struct mount *m, struct errmsg *err)
{
	const char *const argv[] = {"memofs", "umount", m->point, NULL};
	struct errmsg said = {""};
	int r = run_self(argv, &said);

	if (r == CLI_OK)
		return 0;
	return err_set(err, ESTALE, "%s: its store %s was removed%s%s", m->point,
		       m->source, *said.text ? "; " : "", said.text);
}

/* 0: it answers; -ENOENT: nothing is mounted there (any more); else with a message. */
static int check_mount(const struct mount *m, struct errmsg *err)
{
	CLEANUP_STATUS struct status st = STATUS_INIT;
	int r = status_read(m->point, PROBE_TIMEOUT_NS, &st);

	if (r == 0 && !status_value(&st, "trouble"))
		return 0;
	if (r == 0 && access(m->source, F_OK) && errno == ENOENT)
		r = unmount_storeless(m, err);
	else if (r == 0)
		return err_set(err, EIO, "%s: %s", m->point,
			       status_value(&st, "trouble"));
	else if (r == -ENOTCONN || r == -ECONNABORTED)
		r = unmount_dead(m->point, err);
	else
		return err_set(err, -r, "%s: %s", m->point, status_trouble(r));
	return r ? r : -ENOENT;
}

/* The store, wherever it is mounted: a session may have no XDG_RUNTIME_DIR. */
static const struct mount *find_mount(const struct mounts *ms, const char *home,
				      const char *point)
{
	CLEANUP_FREE char *store = path_join(home, "store");
	const struct mount *m = mounts_at(ms, point);

	if (m && mount_is_memofs(m))
		return m;
	for (size_t i = ms->n; i-- > 0;) {
		m = &ms->list[i];
		if (mount_is_memofs(m) && mount_is_mine(m) &&
		    strcmp(m->source, store) == 0)
			return m;
	}
	return NULL;
}

/* Under the lock. */
static int find_or_mount(const char *home, const char *point, char **ret_point,
			 struct errmsg *err)
{
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	const struct mount *m = NULL;
	int r;

	if (mounts_read(&ms) == 0)
		m = find_mount(&ms, home, point);
	r = m ? check_mount(m, err) : -ENOENT;
	if (r == 0)
		*ret_point = xstrdup(m->point);
	if (r != -ENOENT)
		return r;
	r = mount_store(home, point, err);
	if (!r)
		*ret_point = xstrdup(point);
	return r;
}

static int lock_home(const char *home, int *ret_fd, struct errmsg *err)
{
	CLEANUP_FREE char *path = path_join(home, "lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX)) {
		if (errno != EINTR) {
			int r = err_set(err, errno, "%s: %s", path, strerror(errno));

			close(fd);
			return r;
		}
	}
	*ret_fd = fd;
	return 0;
}

int automount_start(char **ret_point, struct errmsg *err)
{
	CLEANUP_FREE char *home = NULL, *point = NULL;
	CLEANUP_FD int lock = -1;
	int r = userdir_cache_make(&home, err);

	if (!r)
		r = make_point(&point, err);
	if (!r)
		r = lock_home(home, &lock, err);
	return r ? r : find_or_mount(home, point, ret_point, err);
}
