/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errno parity: the same calls on ext4 and on a mount, and what differs.
 *
 * A row is one call, or a short sequence whose last call is looked at, on a
 * directory of standard objects that is made anew for it. Its outcome is a
 * short text: the name of an errno, or the number that was returned and what
 * can be seen afterwards. Rows are written in the .def files and, where flags
 * and objects are combined, in rows_open.c; what may differ, and why, is in
 * expected.c.
 */
#ifndef MEMOFS_TESTS_MOUNT_PARITY_H
#define MEMOFS_TESTS_MOUNT_PARITY_H

#include <stdbool.h>
#include <stddef.h>

enum { OUTCOME_MAX = 256 };

struct row {
	const char *id;
	const char *text;      /* the call as C, for people */
	long (*run)(void);     /* NULL: an open, see below */
	bool as_root;	       /* makes sense only when run by root */
	const char *open_path; /* of generated rows */
	int open_flags;
};

/* The rows of the .def files, and the generated ones. */
extern const struct row def_rows[];
extern const size_t def_row_count;
/* Built once; lives until the program ends. */
const struct row *open_rows(size_t *ret_count);
/* Runs one of them. */
long open_row_run(const struct row *row);

/*
 * A difference that is as it should be. It covers each row whose id matches the
 * pattern (fnmatch) and whose outcome on ext4 is the one given; every such row
 * must have the given outcome on the mount.
 */
struct expected {
	const char *pattern;
	const char *ext4;
	const char *mount;
	const char *reason;
};
extern const struct expected expected[];
extern const size_t expected_count;

/*
 * The objects each row finds in its current directory:
 *
 *	file    "0123456789"		link    -> file
 *	empty   no bytes		dlink   -> dir
 *	exec    a file, mode 0755	dangle  -> nowhere
 *	big     200,000 bytes		loop    -> loop
 *	dir     holds "inner"		void    an empty directory
 *
 * Returns NULL, or what failed, with errno.
 */
const char *make_objects(void);

/* ---- what rows are made of; each returns -1 with errno, or what it says ---- */

/* Add to the outcome of the row that is running. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *noted(void);

const char *long_name(size_t len);  /* so many bytes, no slash */
const char *long_path(size_t len);  /* "./././…file", so many bytes */
const char *deep(const char *name); /* "dir/" and the name */
void *nowhere(void);		    /* an address that is not mapped */
const char *fd_path(int fd);	    /* below /proc/self/fd */

long opened(const char *path, int flags); /* open and close: 0 */
long content(const char *path);		  /* its bytes, noted; their number */
long size_of(const char *path);
long mode_of(const char *path); /* permission bits, as a decimal number */
long kind_of(const char *path); /* noted: file, dir, link, … ; lstat */
long links_of(const char *path);
long same_inode(const char *a, const char *b); /* 1 or 0 */
long names_in(const char *path);	       /* sorted and noted; their number */
long read_link(const char *path, size_t size); /* the target, noted */
long get_attr(const char *path, const char *name, size_t size); /* noted */
long list_attrs(const char *path, size_t size); /* all but user.cache.*, noted */
long set_attr(const char *path, const char *name, const char *value, int flags);
long set_times(const char *path, long atime_s, long mtime_s, int flags);
long times_of(const char *path); /* atime and mtime seconds, noted */
/* A snapshot of st_mtim or st_ctim; then 1 when it is later now, 0 when not. */
long mark_time(const char *path, char which);
long time_moved(void);

long lock_by_child(int fd, short type); /* what another process gets: 0 or -1 */
long flock_by_child(const char *path, int how);
long map_read(int fd, size_t len, size_t at); /* the byte there */
long map_write(int fd, size_t len); /* map shared, write the first byte, msync */
long splice_in(int fd, size_t len, long off); /* through a pipe; bytes moved */
long send_file(const char *from, int to, size_t len);
long copy_range(const char *from, int to, long off, size_t len);
long become_nobody(void);

/* Evaluate `expr` with `fd` open on the path. */
#define ON(path, flags, expr)                                                            \
	({                                                                               \
		int fd = open(path, flags, 0644);                                        \
		long on_ret_ = fd < 0 ? -1 : (long)(expr);                               \
		int on_errno_ = errno;                                                   \
		if (fd >= 0)                                                             \
			close(fd);                                                       \
		errno = on_errno_;                                                       \
		on_ret_;                                                                 \
	})

/* The second, unless the first fails: then the outcome says that the setup did. */
#define THEN(first, expr) ((first) < 0 ? setup_failed() : (long)(expr))
long setup_failed(void); /* -1, errno as it is */

/* As another user, who owns nothing. */
#define NOBODY(expr) THEN(become_nobody(), expr)

#endif
