/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attrs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "cli/message.h"
#include "store/util/duration.h"

#define ATTR_NAME_MAX 64

static const char *full_name(const char *name, char text[ATTR_NAME_MAX])
{
	snprintf(text, ATTR_NAME_MAX, "user.cache.%s", name);
	return text;
}

int attr_get(const char *path, const char *name, struct buf *ret_value)
{
	char full[ATTR_NAME_MAX];
	size_t cap = 256;
	ssize_t n;

	full_name(name, full);
	for (;;) {
		buf_clear(ret_value);
		must(buf_reserve(ret_value, cap + 1));
		n = lgetxattr(path, full, ret_value->data, cap);
		if (n >= 0 || errno != ERANGE)
			break;
		cap *= 4;
	}
	if (n < 0)
		return errno == EOPNOTSUPP || errno == EPERM ? -ENODATA : -errno;
	ret_value->len = (size_t)n;
	ret_value->data[n] = '\0';
	return 0;
}

int attr_set(const char *path, const char *name, const char *value)
{
	char full[ATTR_NAME_MAX];

	return setxattr(path, full_name(name, full), value, strlen(value), 0) ? -errno
									      : 0;
}

int attr_set_fd(int fd, const char *name, const char *value)
{
	char full[ATTR_NAME_MAX];

	return fsetxattr(fd, full_name(name, full), value, strlen(value), 0) ? -errno : 0;
}

int attr_remove(const char *path, const char *name)
{
	char full[ATTR_NAME_MAX];

	if (removexattr(path, full_name(name, full)) && errno != ENODATA)
		return -errno;
	return 0;
}

int attr_seconds_parse(const char *text, int64_t *ret_ns)
{
	bool negative = *text == '-';
	int64_t s = 0, ns = 0, digit = NSEC_PER_SEC;

	if (strcmp(text, "never") == 0) {
		*ret_ns = DURATION_NONE;
		return 0;
	}
	text += negative;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		s = s * 10 + (*text - '0');
		if (s >= INT64_MAX / NSEC_PER_SEC)
			return -EINVAL;
	}
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++) {
			digit /= 10;
			ns += digit * (*text - '0');
		}
	}
	if (*text)
		return -EINVAL;
	s = s * NSEC_PER_SEC + ns;
	*ret_ns = negative ? -s : s;
	return 0;
}
