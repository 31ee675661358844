/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/init_flags.h"

#include <linux/fuse.h>
#include <unistd.h>

#include "fs/fs.h"

/* Of an INIT's answer, since 7.5; before it there were 8 bytes, and no flags. */
enum { WITH_FLAGS = 24 };

bool init_flags_complete(const struct iovec *iov, int count)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	struct fuse_init_out *out;

	if (count != 2 || iov[0].iov_len != sizeof(*head) || head->error ||
	    !head->unique || iov[1].iov_len < WITH_FLAGS)
		return false;
	out = iov[1].iov_base;
	if (out->major != FUSE_KERNEL_VERSION)
		return false;
	out->flags |= FUSE_PARALLEL_DIROPS;
	return true;
}

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)

/* Nothing else is answered before INIT is. */
static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs *fs = userdata;

	if (atomic_load_explicit(&fs->parallel_dirops, memory_order_relaxed) &&
	    init_flags_complete(iov, count))
		atomic_store(&fs->parallel_dirops, false);
	return writev(fd, iov, count);
}

static ssize_t read_request(int fd, void *buf, size_t buf_len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, buf_len);
}

int init_flags_watch(struct fs *fs)
{
	static const struct fuse_custom_io io = {
	    .writev = write_answer,
	    .read = read_request,
	};

	return fuse_session_custom_io(fs->se, &io, fuse_session_fd(fs->se));
}

#else

int init_flags_watch(struct fs *fs)
{
	(void)fs;
	return 0;
}

#endif
