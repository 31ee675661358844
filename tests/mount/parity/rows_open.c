/* SPDX-License-Identifier: Apache-2.0 */
/* open(2): each set of flags on each kind of object. */
#include "parity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct flags {
	const char *text;
	int flags;
} flag_sets[] = {
    {"O_RDONLY", O_RDONLY},
    {"O_WRONLY", O_WRONLY},
    {"O_RDWR", O_RDWR},
    {"O_ACCMODE", O_ACCMODE},
    {"O_RDONLY|O_TRUNC", O_RDONLY | O_TRUNC},
    {"O_WRONLY|O_TRUNC", O_WRONLY | O_TRUNC},
    {"O_WRONLY|O_APPEND", O_WRONLY | O_APPEND},
    {"O_RDONLY|O_CREAT", O_RDONLY | O_CREAT},
    {"O_WRONLY|O_CREAT", O_WRONLY | O_CREAT},
    {"O_WRONLY|O_CREAT|O_TRUNC", O_WRONLY | O_CREAT | O_TRUNC},
    {"O_WRONLY|O_CREAT|O_APPEND", O_WRONLY | O_CREAT | O_APPEND},
    {"O_RDWR|O_CREAT|O_EXCL", O_RDWR | O_CREAT | O_EXCL},
    {"O_RDONLY|O_CREAT|O_EXCL", O_RDONLY | O_CREAT | O_EXCL},
    {"O_RDWR|O_EXCL", O_RDWR | O_EXCL},
    {"O_RDONLY|O_DIRECTORY", O_RDONLY | O_DIRECTORY},
    {"O_RDWR|O_DIRECTORY", O_RDWR | O_DIRECTORY},
    {"O_RDWR|O_CREAT|O_DIRECTORY", O_RDWR | O_CREAT | O_DIRECTORY},
    {"O_RDONLY|O_NOFOLLOW", O_RDONLY | O_NOFOLLOW},
    {"O_WRONLY|O_CREAT|O_NOFOLLOW", O_WRONLY | O_CREAT | O_NOFOLLOW},
    {"O_PATH", O_PATH},
    {"O_PATH|O_NOFOLLOW", O_PATH | O_NOFOLLOW},
    {"O_PATH|O_DIRECTORY", O_PATH | O_DIRECTORY},
    {"O_TMPFILE|O_RDWR", O_TMPFILE | O_RDWR},
    {"O_TMPFILE|O_WRONLY|O_EXCL", O_TMPFILE | O_WRONLY | O_EXCL},
    {"O_TMPFILE|O_RDONLY", O_TMPFILE | O_RDONLY},
    {"O_RDONLY|O_NOATIME", O_RDONLY | O_NOATIME},
    {"O_WRONLY|O_SYNC", O_WRONLY | O_SYNC},
    {"O_RDONLY|O_NONBLOCK", O_RDONLY | O_NONBLOCK},
};

static const struct object {
	const char *text;
	const char *path; /* NULL: made of the number */
	size_t name_len;
	size_t path_len;
} objects[] = {
    {"file", "file"},
    {"empty", "empty"},
    {"big", "big"},
    {"dir", "dir"},
    {"void", "void"},
    {"dir/inner", "dir/inner"},
    {"link", "link"},
    {"dlink", "dlink"},
    {"dangle", "dangle"},
    {"loop", "loop"},
    {"missing", "missing"},
    {"missing/x", "missing/x"},
    {"file/x", "file/x"},
    {"dangle/x", "dangle/x"},
    {"loop/x", "loop/x"},
    {"dlink/inner", "dlink/inner"},
    {"file/", "file/"},
    {"dir/", "dir/"},
    {"link/", "link/"},
    {"dlink/", "dlink/"},
    {"missing/", "missing/"},
    {"file/.", "file/."},
    {"file/..", "file/.."},
    {"dir/.", "dir/."},
    {".", "."},
    {"..", ".."},
    {"nothing", ""},
    {"name255", NULL, 255, 0},
    {"name256", NULL, 256, 0},
    {"path4095", NULL, 0, 4095},
    {"path4096", NULL, 0, 4096},
};

enum {
	FLAG_SETS = sizeof(flag_sets) / sizeof(flag_sets[0]),
	OBJECTS = sizeof(objects) / sizeof(objects[0])
};

static const char *object_path(const struct object *o)
{
	if (o->path)
		return o->path;
	return o->name_len ? long_name(o->name_len) : long_path(o->path_len);
}

const struct row *open_rows(size_t *ret_count)
{
	struct row *rows = calloc((size_t)FLAG_SETS * OBJECTS, sizeof(*rows));
	size_t n = 0;

	for (size_t f = 0; rows && f < FLAG_SETS; f++)
		for (size_t o = 0; o < OBJECTS; o++) {
			char *id, *text;

			if (asprintf(&id, "open %s %s", flag_sets[f].text,
				     objects[o].text) < 0 ||
			    asprintf(&text, "open(\"%s\", %s)", objects[o].text,
				     flag_sets[f].text) < 0)
				abort();
			rows[n++] = (struct row){.id = id,
						 .text = text,
						 .open_path = object_path(&objects[o]),
						 .open_flags = flag_sets[f].flags};
		}
	*ret_count = n;
	return rows;
}

/* What is there after the call, whether it succeeded or not. */
long open_row_run(const struct row *row)
{
	int fd = open(row->open_path, row->open_flags, 0640), err = errno;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		note("open, %lld bytes", (long long)st.st_size);
	else if (fd >= 0)
		note("open");
	if (fd >= 0 && close(fd) < 0)
		note(", close failed");
	/* Of a directory the size is the file system's own affair. */
	if (stat(row->open_path, &st) == 0 && !S_ISDIR(st.st_mode))
		note(", then %lld bytes, mode %o", (long long)st.st_size,
		     (unsigned int)st.st_mode & 07777);
	errno = err;
	return fd < 0 ? -1 : 0;
}
