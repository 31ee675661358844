/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/spool.h"

#include <unistd.h>

#include "cli/copy.h"
#include "cli/message.h"
#include "cli/scratch.h"
#include "store/util/duration.h"

static int to_file(struct spool *s)
{
	int fd = scratch_unnamed(), r;

	if (fd < 0)
		return fd;
	r = copy_bytes(fd, s->memory.data, s->memory.len);
	if (r) {
		close(fd);
		return r;
	}
	buf_deinit(&s->memory);
	s->fd = fd;
	return 0;
}

int spool_add(struct spool *s, const void *bytes, size_t len)
{
	int r = 0;

	if (s->fd < 0 && s->memory.len + len > SPOOL_MEMORY_BYTES)
		r = to_file(s);
	if (r)
		return r;
	r = s->fd < 0 ? buf_append(&s->memory, bytes, len)
		      : copy_bytes(s->fd, bytes, len);
	if (!r)
		s->size_bytes += len;
	return r;
}

int spool_pack(struct spool *s, struct packwrite *w, const char *path, struct errmsg *err)
{
	if (s->fd < 0)
		return packwrite_bytes(w, path, 0644, time_now_ns(),
				       buf_slice(&s->memory), err);
	return packwrite_fd(w, path, 0644, time_now_ns(), s->fd, err);
}

void spool_deinit(struct spool *s)
{
	buf_deinit(&s->memory);
	close_fdp(&s->fd);
	s->size_bytes = 0;
}
