/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/stdinspool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/key/hashtext.h"
#include "cli/message.h"

#define CHUNK ((size_t)65536)

static int open_nameless(void)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? memfd_create("memofs-stdin", MFD_CLOEXEC) : fd;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* *ret_reading: it was reading that failed. */
static int spool(int fd, XXH3_state_t *state, uint64_t *ret_bytes, bool *ret_reading)
{
	CLEANUP_FREE char *data = xcalloc(1, CHUNK);
	ssize_t n;
	int r;

	*ret_bytes = 0;
	for (;;) {
		n = read(STDIN_FILENO, data, CHUNK);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		*ret_reading = n < 0;
		if (n < 0)
			return -errno;
		XXH3_128bits_update(state, data, (size_t)n);
		*ret_bytes += (uint64_t)n;
		r = write_all(fd, data, (size_t)n);
		if (r)
			return r;
	}
}

static char *value_of(XXH3_state_t *state, uint64_t bytes)
{
	XXH128_canonical_t canonical;
	char hex[HASHTEXT_MAX], *value;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	hashtext(canonical.digest, hex);
	if (asprintf(&value, "%" PRIu64 " xxh128:%s", bytes, hex) < 0)
		must(-ENOMEM);
	return value;
}

int stdin_spool(int *ret_fd, char **ret_value, struct errmsg *err)
{
	CLEANUP_FD int fd = open_nameless();
	XXH3_state_t *state;
	bool reading = false;
	uint64_t bytes;
	int r;

	if (fd < 0)
		return err_set(err, errno, "--stdin: there is no place to keep it: %s",
			       strerror(errno));
	state = XXH3_createState();
	must(state ? 0 : -ENOMEM);
	XXH3_128bits_reset(state);
	r = spool(fd, state, &bytes, &reading);
	if (!r && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (!r) {
		*ret_value = value_of(state, bytes);
		*ret_fd = fd;
		fd = -1;
	}
	XXH3_freeState(state);
	if (r)
		return err_set(err, -r,
			       reading ? "--stdin: standard input cannot be read: %s"
				       : "--stdin: it cannot be kept: %s; is there space "
					 "in TMPDIR?",
			       strerror(-r));
	return 0;
}
