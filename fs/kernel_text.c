/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/kernel_text.h"

#include <fcntl.h>
#include <unistd.h>

size_t kernel_text(const char *path, char *ret_text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	/* One read gives a page at most of some of them. */
	while (fd >= 0 && len < size - 1 &&
	       (n = read(fd, ret_text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		len = 0;
	ret_text[len] = '\0';
	return len;
}
