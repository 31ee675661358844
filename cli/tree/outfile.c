/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "store/util/duration.h"

void outfile_tmp_name(char ret_name[OUTFILE_TMP_MAX])
{
	static atomic_uint counter;
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint64_t)time_now_ns();
	snprintf(ret_name, OUTFILE_TMP_MAX, ".memofs-restore.%d.%u.%016" PRIx64,
		 (int)getpid(), atomic_fetch_add(&counter, 1), random);
}

/* /proc needs no privilege, as AT_EMPTY_PATH does; but a chroot may be without. */
static bool can_name_later(void)
{
	return access("/proc/self/fd", X_OK) == 0;
}

int outfile_open(int dirfd, mode_t mode, struct outfile *ret_file)
{
	struct outfile f = {.dirfd = dirfd, .fd = -1};

	if (can_name_later())
		f.fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (f.fd < 0) {
		outfile_tmp_name(f.tmp);
		f.fd = openat(dirfd, f.tmp,
			      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	}
	if (f.fd < 0)
		return -errno;
	*ret_file = f;
	return 0;
}

static int link_to(const struct outfile *f, const char *name)
{
	char self[48];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, self, f->dirfd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

static int rename_to(struct outfile *f, const char *name)
{
	int r = renameat(f->dirfd, f->tmp, f->dirfd, name) ? -errno : 0;

	if (r)
		unlinkat(f->dirfd, f->tmp, 0);
	*f->tmp = '\0';
	return r;
}

int outfile_commit(struct outfile *f, const char *name)
{
	char tmp[OUTFILE_TMP_MAX];
	int r;

	if (*f->tmp)
		return rename_to(f, name);
	r = link_to(f, name);
	if (r != -EEXIST)
		return r;
	outfile_tmp_name(tmp);
	r = link_to(f, tmp);
	if (r)
		return r;
	strcpy(f->tmp, tmp);
	return rename_to(f, name);
}

void outfile_close(struct outfile *f)
{
	if (*f->tmp)
		unlinkat(f->dirfd, f->tmp, 0);
	close(f->fd);
	f->fd = -1;
}

int outfile_symlink(int dirfd, const char *target, const char *name)
{
	char tmp[OUTFILE_TMP_MAX];
	int r = 0;

	if (symlinkat(target, dirfd, name) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	outfile_tmp_name(tmp);
	if (symlinkat(target, dirfd, tmp))
		return -errno;
	if (renameat(dirfd, tmp, dirfd, name)) {
		r = -errno;
		unlinkat(dirfd, tmp, 0);
	}
	return r;
}
