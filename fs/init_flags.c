/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/init_flags.h"

#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "fs/backing.h"
#include "fs/fs.h"
#include "fs/fuse_passthrough.h"

static bool offers_passthrough(const void *init, size_t len)
{
	const uint8_t *in = (const uint8_t *)init + sizeof(struct fuse_in_header);
	uint32_t flags, flags2;

	if (len < sizeof(struct fuse_in_header) + INIT_IN_FLAGS2 + sizeof(flags2))
		return false;
	memcpy(&flags, in + INIT_IN_FLAGS2 - sizeof(flags), sizeof(flags));
	memcpy(&flags2, in + INIT_IN_FLAGS2, sizeof(flags2));
	return (flags & INIT_EXT) && (flags2 & INIT2_PASSTHROUGH);
}

void init_flags_look(struct fs *fs, const void *init, size_t len)
{
	fs->passthrough = fs->passthrough && offers_passthrough(init, len);
	if (fs->passthrough)
		backing_on(fs->backings);
}

/* Of an INIT's answer, since 7.5; before it there were 8 bytes, and no flags. */
enum { WITH_FLAGS = 24 };

/*
 * A depth of 1 is that of this file system alone: extents are on one that has no other
 * below it, and an overlay may be above.
 */
static void ask_passthrough(struct fuse_init_out *out)
{
	const uint32_t depth = 1;
	uint32_t flags2;

	out->flags |= INIT_EXT;
	memcpy(&flags2, (uint8_t *)out + INIT_OUT_FLAGS2, sizeof(flags2));
	flags2 |= INIT2_PASSTHROUGH;
	memcpy((uint8_t *)out + INIT_OUT_FLAGS2, &flags2, sizeof(flags2));
	memcpy((uint8_t *)out + INIT_OUT_MAX_STACK_DEPTH, &depth, sizeof(depth));
}

bool init_flags_complete(const struct iovec *iov, int count, unsigned int flags)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	struct fuse_init_out *out;

	if (count != 2 || iov[0].iov_len != sizeof(*head) || head->error ||
	    !head->unique || iov[1].iov_len < WITH_FLAGS)
		return false;
	out = iov[1].iov_base;
	if (out->major != FUSE_KERNEL_VERSION)
		return false;
	if (flags & INIT_FLAGS_PARALLEL_DIROPS)
		out->flags |= FUSE_PARALLEL_DIROPS;
	if ((flags & INIT_FLAGS_PASSTHROUGH) &&
	    iov[1].iov_len >= INIT_OUT_MAX_STACK_DEPTH + sizeof(uint32_t))
		ask_passthrough(out);
	return true;
}

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)

/* Nothing else is answered before INIT is. */
static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs *fs = userdata;
	unsigned int flags = atomic_load_explicit(&fs->init_flags, memory_order_relaxed);

	if (flags && init_flags_complete(iov, count, flags))
		atomic_store(&fs->init_flags, 0);
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
