/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each entry is opened first, and all that is said of it is read from that descriptor:
 * attributes and content are of one generation, though others publish meanwhile.
 */
#include "cli/tar/export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tar/fdattr.h"
#include "cli/tar/tar.h"
#include "cli/tree/packstream.h"
#include "cli/tree/progress.h"
#include "store/util/duration.h"

/* Names of the last owner: most have the same. */
struct owner_names {
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;
	char uname[TAR_OWNER_MAX + 1], gname[TAR_OWNER_MAX + 1];
};

struct exporting {
	const struct export_how *how;
	struct packstream *out;
	struct buf path; /* of what is being written, in the archive; no NUL */
	struct tar_member m;
	struct buf header;
	struct owner_names owners;
	struct progress progress;
	struct export_done done;
};

/* A directory on the way down. */
struct level {
	int fd;
	int64_t ttl_ns;	 /* that applies to what is in it */
	bool at_version; /* its children are those of a version: no versions below it */
};

/* Something is left out. Always 0: the archive goes on. */
static int leave_out(struct exporting *ex, const char *what)
{
	cli_error("%.*s: %s; left out", (int)ex->path.len, (const char *)ex->path.data,
		  what);
	ex->done.status = cli_worse(ex->done.status, CLI_FAILED);
	return 0;
}

/* What has gone is nobody's fault. */
static int failed(struct exporting *ex, int r)
{
	if (r == -ENOENT || r == -ESTALE || r == -ENOTDIR)
		return 0;
	return leave_out(ex, strerror(-r));
}

/* ---- what is said of an entry --------------------------------------------------------
 */

static void find_names(struct owner_names *o, const struct stat *st)
{
	if (!o->has_uid || o->uid != st->st_uid) {
		const struct passwd *pw = getpwuid(st->st_uid);

		o->has_uid = true;
		o->uid = st->st_uid;
		o->uname[0] = '\0';
		if (pw && strlen(pw->pw_name) < TAR_OWNER_MAX)
			strcpy(o->uname, pw->pw_name);
	}
	if (!o->has_gid || o->gid != st->st_gid) {
		const struct group *gr = getgrgid(st->st_gid);

		o->has_gid = true;
		o->gid = st->st_gid;
		o->gname[0] = '\0';
		if (gr && strlen(gr->gr_name) < TAR_OWNER_MAX)
			strcpy(o->gname, gr->gr_name);
	}
}

static void begin_member(struct exporting *ex, enum tar_type type, const struct stat *st)
{
	struct tar_member *m = &ex->m;

	tar_member_clear(m);
	m->type = type;
	must(buf_append(&m->path, ex->path.data, ex->path.len));
	if (type == TAR_DIR)
		must(buf_append(&m->path, "/", 1));
	must(buf_append(&m->path, "", 1));
	find_names(&ex->owners, st);
	strcpy(m->uname, ex->owners.uname);
	strcpy(m->gname, ex->owners.gname);
	m->mode = st->st_mode & 07777;
	m->uid = st->st_uid;
	m->gid = st->st_gid;
	m->mtime_ns = st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec;
}

static int add_attribute(struct exporting *ex, int fd, const char *name)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int r = fdattr_get(fd, name, &value);

	if (r == -ENODATA)
		return 0;
	if (!r)
		must(tar_xattr_add(&ex->m, name, buf_slice(&value)));
	return r;
}

/* Those that are no affair of the cache. */
static int add_foreign(struct exporting *ex, int fd)
{
	CLEANUP_BUF struct buf names = BUF_INIT;
	int r = fdattr_list(fd, &names);
	size_t len;

	for (size_t pos = 0; !r && pos < names.len; pos += len + 1) {
		const char *name = (const char *)names.data + pos;

		len = strlen(name);
		if (strncmp(name, "user.", 5) == 0 &&
		    strncmp(name, FDATTR_CACHE, strlen(FDATTR_CACHE)) != 0)
			r = add_attribute(ex, fd, name);
	}
	return r;
}

static int add_attributes(struct exporting *ex, int fd, const char *const *names)
{
	int r = add_foreign(ex, fd);

	for (; !r && *names; names++)
		r = add_attribute(ex, fd, *names);
	return r;
}

/* Of what cannot expire there is none. */
static int add_expiry(struct tar_member *m, int fd)
{
	int r = fdattr_time(fd, FDATTR_CACHE "expires", &m->expires_ns);

	return r == -ENODATA ? 0 : r;
}

static void add_hash(struct tar_member *m, int fd)
{
	CLEANUP_BUF struct buf hex = BUF_INIT;

	if (fdattr_get(fd, FDATTR_CACHE "hash", &hex) || hex.len != 2 * TAR_HASH_BYTES)
		return;
	m->has_hash = true;
	for (size_t i = 0; i < TAR_HASH_BYTES; i++) {
		char two[3] = {(char)hex.data[2 * i], (char)hex.data[2 * i + 1], '\0'};

		m->hash[i] = (uint8_t)strtoul(two, NULL, 16);
	}
}

static int describe_entry(struct exporting *ex, int fd, const struct stat *st)
{
	static const char *const names[] = {FDATTR_CACHE "ttl", FDATTR_CACHE "cost",
					    FDATTR_CACHE "pin", NULL};
	int r;

	begin_member(ex, TAR_FILE, st);
	ex->m.size_bytes = (uint64_t)st->st_size;
	r = add_attributes(ex, fd, names);
	return r ? r : add_expiry(&ex->m, fd);
}

static int describe_dir(struct exporting *ex, int fd, const struct stat *st,
			bool at_version)
{
	static const char *const names[] = {
	    FDATTR_CACHE "ttl",	  FDATTR_CACHE "lease",
	    FDATTR_CACHE "wait",  FDATTR_CACHE "publish",
	    FDATTR_CACHE "quota", FDATTR_CACHE "max-entry",
	    FDATTR_CACHE "pin",	  NULL};
	CLEANUP_BUF struct buf version = BUF_INIT;
	int r;

	begin_member(ex, TAR_DIR, st);
	r = add_attributes(ex, fd, names);
	if (r || at_version)
		return r;
	r = fdattr_get(fd, FDATTR_CACHE "version", &version);
	if (r)
		return r == -ENODATA ? 0 : r;
	if (version.len > TAR_VERSION_MAX)
		return -EINVAL;
	strcpy(ex->m.version, (const char *)version.data);
	ex->m.has_version = true;
	return 0;
}

/* ---- bytes
 * ----------------------------------------------------------------------------- */

static int put_header(struct exporting *ex)
{
	buf_clear(&ex->header);
	must(tar_header(&ex->m, &ex->header));
	return packstream_put(ex->out, ex->header.data, ex->header.len);
}

static int put_zeros(struct exporting *ex, uint64_t n)
{
	static const char zeros[TAR_BLOCK_BYTES * 8];
	int r = 0;

	while (n && !r) {
		size_t part = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);

		r = packstream_put(ex->out, zeros, part);
		n -= part;
	}
	return r;
}

/* Up to `len` bytes; *ret_len 0 is the end. *ret_reading: it was not writing that failed.
 */
static int copy_some(struct exporting *ex, int fd, uint64_t len, size_t *ret_len,
		     bool *ret_reading)
{
	size_t room_len = len < 256 * 1024 ? (size_t)len : 256 * 1024;
	uint8_t *room;
	ssize_t n;
	int r = packstream_room(ex->out, room_len, &room);

	*ret_reading = false;
	if (r)
		return r;
	do
		n = read(fd, room, room_len);
	while (n < 0 && errno == EINTR);
	*ret_reading = true;
	if (n < 0)
		return -errno;
	packstream_advance(ex->out, (size_t)n);
	*ret_len = (size_t)n;
	return 0;
}

/*
 * The header has promised so many bytes. Where they cannot be read zeros take their
 * place, which the hash in the header tells from the content.
 */
static int put_content(struct exporting *ex, int fd)
{
	uint64_t left = ex->m.size_bytes;
	bool reading = false;
	int r = 0;

	while (left && !r) {
		size_t n = 0;

		r = copy_some(ex, fd, left, &n, &reading);
		if (!r && !n)
			r = -EIO;
		left -= r ? 0 : n;
		progress_show(&ex->progress, ex->done.entries,
			      ex->done.bytes + ex->m.size_bytes - left);
	}
	if (r && !reading)
		return r;
	if (r) {
		cli_error("%s: cannot be read: %s; it is not whole in the archive",
			  tar_text(&ex->m.path), strerror(-r));
		ex->done.status = cli_worse(ex->done.status, CLI_FAILED);
	}
	return put_zeros(ex, left + tar_padding(ex->m.size_bytes));
}

static int put_entry(struct exporting *ex, int fd)
{
	int r = put_header(ex);

	if (!r)
		r = put_content(ex, fd);
	if (r)
		return r;
	ex->done.entries++;
	ex->done.bytes += ex->m.size_bytes;
	return 0;
}

/* ---- entries
 * --------------------------------------------------------------------------- */

static int export_file(struct exporting *ex, const struct level *in, const char *name)
{
	CLEANUP_FD int fd =
	    openat(in->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st))
		return failed(ex, -errno);
	if (!S_ISREG(st.st_mode)) /* it has changed into something else */
		return 0;
	r = describe_entry(ex, fd, &st);
	if (r)
		return failed(ex, r);
	add_hash(&ex->m, fd);
	return put_entry(ex, fd);
}

/* As a directory it has its mode, as a stream its bytes. */
static int export_tree(struct exporting *ex, const struct level *in, const char *name,
		       const struct stat *dir_st)
{
	CLEANUP_FREE char *pack = path_join(".memofs/view/pack", name);
	CLEANUP_FD int fd = openat(in->fd, pack, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st))
		return failed(ex, -errno);
	if (!S_ISREG(st.st_mode))
		return 0;
	r = describe_entry(ex, fd, &st);
	if (r)
		return failed(ex, r);
	ex->m.tree = true;
	ex->m.mode = dir_st->st_mode & 07777;
	return put_entry(ex, fd);
}

/* It has no attributes: its life is that of its directory's ttl, since its ctime. */
static int export_symlink(struct exporting *ex, const struct level *in, const char *name,
			  const struct stat *st)
{
	int64_t published_ns;
	ssize_t n;

	begin_member(ex, TAR_SYMLINK, st);
	must(buf_reserve(&ex->m.link, (size_t)st->st_size + 2));
	n = readlinkat(in->fd, name, (char *)ex->m.link.data, (size_t)st->st_size + 1);
	if (n < 0)
		return failed(ex, -errno);
	if (n > st->st_size) /* it was replaced */
		return 0;
	ex->m.link.len = (size_t)n;
	must(buf_append(&ex->m.link, "", 1));
	published_ns = st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec;
	if (in->ttl_ns < INT64_MAX - published_ns) /* else never, as `none` says */
		ex->m.expires_ns = published_ns + in->ttl_ns;
	ex->done.entries++;
	return put_header(ex);
}

/* ---- directories
 * ------------------------------------------------------------------------ */

static int export_dir(struct exporting *ex, const struct level *in, const char *name);
static int export_children(struct exporting *ex, const struct level *dir);

static bool is_tree(int fd)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	return fdattr_get(fd, FDATTR_CACHE "state", &value) == 0;
}

/* The ttl of its own, or else what it inherits. */
static int64_t ttl_of(int fd, int64_t inherited_ns)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int64_t ns;

	if (fdattr_get(fd, FDATTR_CACHE "ttl", &text) ||
	    duration_parse((const char *)text.data, text.len, &ns))
		return inherited_ns;
	return ns;
}

static int export_one(struct exporting *ex, const struct level *in, const char *name)
{
	struct stat st;

	if (fstatat(in->fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return failed(ex, -errno);
	if (S_ISREG(st.st_mode))
		return export_file(ex, in, name);
	if (S_ISLNK(st.st_mode))
		return export_symlink(ex, in, name, &st);
	if (S_ISDIR(st.st_mode))
		return export_dir(ex, in, name);
	return leave_out(ex, "neither file, directory nor symlink");
}

/* `name` below what is in ex->path, which is as it was afterwards. */
static int export_below(struct exporting *ex, const struct level *in, const char *name)
{
	size_t len = ex->path.len;
	int r;

	if (len)
		must(buf_append(&ex->path, "/", 1));
	must(buf_append(&ex->path, name, strlen(name)));
	r = export_one(ex, in, name);
	ex->path.len = len;
	return r;
}

/* One of the other versions: where it is in the directory, and in the archive. */
static int export_version(struct exporting *ex, const struct level *dir, const char *at)
{
	CLEANUP_FD int fd = openat(dir->fd, at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct level version = {.fd = fd, .ttl_ns = dir->ttl_ns, .at_version = true};
	size_t len = ex->path.len;
	int r;

	if (fd < 0)
		return failed(ex, -errno);
	if (len)
		must(buf_append(&ex->path, "/", 1));
	must(buf_append(&ex->path, at, strlen(at)));
	r = export_children(ex, &version);
	ex->path.len = len;
	return r;
}

static int export_named_versions(struct exporting *ex, const struct level *dir,
				 const char *current)
{
	CLEANUP_FD int fd =
	    openat(dir->fd, ".memofs/versions", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int r = 0;

	if (!list)
		return failed(ex, -errno);
	fd = -1;
	while (!r && (errno = 0, de = readdir(list))) {
		CLEANUP_FREE char *at = path_join(".memofs/versions", de->d_name);

		if (strcmp(de->d_name, ".") && strcmp(de->d_name, "..") &&
		    strcmp(de->d_name, current))
			r = export_version(ex, dir, at);
	}
	if (!r && errno)
		r = failed(ex, -errno);
	closedir(list);
	return r;
}

static int export_versions(struct exporting *ex, const struct level *dir)
{
	CLEANUP_BUF struct buf current = BUF_INIT;
	int r;

	if (ex->how->current_only || dir->at_version)
		return 0;
	r = fdattr_get(dir->fd, FDATTR_CACHE "version", &current);
	if (r && r != -ENODATA)
		return failed(ex, r);
	if (!r && current.len) {
		r = export_version(ex, dir, ".memofs/view/version=");
		if (r)
			return r;
	}
	return export_named_versions(ex, dir,
				     current.len ? (const char *)current.data : "");
}

static int export_children(struct exporting *ex, const struct level *dir)
{
	int copy = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;
	int r = 0;

	if (!list) {
		r = failed(ex, -errno);
		close_fdp(&copy);
		return r;
	}
	while (!r && (errno = 0, de = readdir(list)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			r = export_below(ex, dir, de->d_name);
	if (!r && errno)
		r = failed(ex, -errno);
	closedir(list);
	return r ? r : export_versions(ex, dir);
}

static int export_opened_dir(struct exporting *ex, const struct level *dir,
			     const struct stat *st)
{
	int r = describe_dir(ex, dir->fd, st, dir->at_version);

	if (r)
		return failed(ex, r);
	r = put_header(ex);
	progress_show(&ex->progress, ex->done.entries, ex->done.bytes);
	return r ? r : export_children(ex, dir);
}

static int export_dir(struct exporting *ex, const struct level *in, const char *name)
{
	CLEANUP_FD int fd =
	    openat(in->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct level dir = {.fd = fd};
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return failed(ex, -errno);
	if (is_tree(fd))
		return export_tree(ex, in, name, &st);
	dir.ttl_ns = ttl_of(fd, in->ttl_ns);
	return export_opened_dir(ex, &dir, &st);
}

/* ---- the whole
 * -------------------------------------------------------------------------- */

/* What applies in a directory, from the nearest one above it that says so. */
static int64_t inherited_ttl(int dir_fd)
{
	CLEANUP_FD int fd = openat(dir_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st, above;

	while (fd >= 0 && fstat(fd, &st) == 0) {
		int64_t ns = ttl_of(fd, DURATION_UNSET);
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		close(fd);
		fd = up;
		if (ns != DURATION_UNSET)
			return ns;
		if (fd < 0 || fstat(fd, &above) || above.st_dev != st.st_dev ||
		    above.st_ino == st.st_ino)
			break;
	}
	return DURATION_NONE;
}

/* A descriptor a level, two where it is a version's. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The directory itself is ".", what is in it has no prefix. */
static int export_root(struct exporting *ex, int fd, const char *path,
		       const struct stat *st)
{
	CLEANUP_FREE char *absolute = path_absolute(path);
	struct level root = {.fd = fd, .ttl_ns = inherited_ttl(fd)};
	int r;

	root.at_version = strstr(absolute, "/.memofs/");
	must(buf_append(&ex->path, ".", 1));
	r = describe_dir(ex, fd, st, root.at_version);
	ex->path.len = 0;
	if (r)
		return r;
	r = put_header(ex);
	return r ? r : export_children(ex, &root);
}

/* One entry, by the name that it has. */
static int export_named(struct exporting *ex, const char *path)
{
	CLEANUP_FREE char *parent = path_parent(path);
	CLEANUP_FD int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct level in = {.fd = fd};

	if (fd < 0)
		return -errno;
	in.ttl_ns = inherited_ttl(fd);
	return export_below(ex, &in, path_base(path));
}

static int export_path(struct exporting *ex, const char *path)
{
	struct stat link_st, st;

	if (lstat(path, &link_st))
		return -errno;
	/* A symlink that is named stands for its directory; others are entries. */
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (!is_tree(fd))
			return export_root(ex, fd, path, &st);
	}
	return export_named(ex, path);
}

static int finish(struct exporting *ex)
{
	int r;

	buf_clear(&ex->header);
	must(tar_end(&ex->header));
	r = packstream_put(ex->out, ex->header.data, ex->header.len);
	return r ? r : packstream_flush(ex->out);
}

int export_tar(const char *path, int out, const struct export_how *how,
	       struct export_done *ret_done)
{
	struct exporting ex = {.how = how, .m = TAR_MEMBER_INIT};
	int r;

	raise_descriptor_limit();
	must(packstream_new(out, &ex.out));
	progress_begin(&ex.progress, "exporting", path, 0, 0, how->quiet);
	r = export_path(&ex, path);
	if (!r)
		r = finish(&ex);
	progress_end(&ex.progress);
	if (r)
		cli_error("export: %s: %s", path, strerror(-r));
	packstream_free(ex.out);
	tar_member_deinit(&ex.m);
	buf_deinit(&ex.header);
	buf_deinit(&ex.path);
	*ret_done = ex.done;
	return r;
}
