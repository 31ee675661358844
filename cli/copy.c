/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/message.h"

/* The largest request FUSE makes. Pages of it are touched only as bytes come. */
#define COPY_BYTES (1024 * 1024)

int copy_bytes(int out, const void *bytes, size_t len)
{
	const char *data = bytes;

	while (len) {
		ssize_t n = write(out, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int copy_all(int in, int out, bool *ret_reading)
{
	CLEANUP_FREE char *bytes = xreallocarray(NULL, COPY_BYTES, 1);
	ssize_t n;
	int r;

	posix_fadvise(in, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (;;) {
		*ret_reading = true;
		n = read(in, bytes, COPY_BYTES);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = copy_bytes(out, bytes, (size_t)n);
		if (r) {
			*ret_reading = false;
			return r;
		}
	}
}

int copy_to_memory(int in, size_t max_bytes, struct buf *ret_bytes)
{
	char data[16384];
	size_t done = 0;
	ssize_t n;

	while ((n = read(in, data, sizeof(data))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
		if (done > max_bytes)
			return -EFBIG;
		must(buf_append(ret_bytes, data, (size_t)n));
	}
	return 0;
}
