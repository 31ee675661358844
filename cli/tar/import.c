/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is written under a name of its own, which becomes the member's while it is
 * still open: its close publishes it there, whole. Under what rules it is published is
 * settled before, but for one: the ttl, which counts from the publish. It is set to what
 * is left of the life in the archive just before the close, and looked at afterwards:
 * had the machine slept in between, the entry would live longer than the one that was
 * exported. What is looked at is the inode that was written, whoever has the name now.
 *
 * A directory's settings, owner and times are set when the archive goes on elsewhere, so
 * that they are no hindrance to what is put in it; its version at once.
 */
#include "cli/tar/import.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/command.h"
#include "cli/copy.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tar/fdattr.h"
#include "cli/tar/place.h"
#include "cli/tar/tar.h"
#include "cli/tree/beneath.h"
#include "cli/tree/outfile.h"
#include "cli/tree/progress.h"
#include "store/util/duration.h"

#define CHUNK_BYTES ((size_t)256 * 1024)
/* Of what is said of a directory: a cache keeps less. */
#define DIR_XATTRS_MAX ((size_t)64 * 1024)

/* A directory the archive is in now. */
struct opened {
	char *path;
	struct tar_member m; /* path and link are empty */
};

struct importing {
	const struct import_how *how;
	struct tar_reader *reader;
	struct tar_member m;
	struct buf path; /* of m, below the directory */
	struct place place;
	struct opened *open; /* each within the one before */
	size_t open_count, open_cap;
	bool root_user;
	mode_t umask;
	uint8_t *chunk;
	struct progress progress;
	struct import_done done;
	/* The last names that were looked up. */
	char uname[TAR_OWNER_MAX + 1], gname[TAR_OWNER_MAX + 1];
	uid_t uid;
	gid_t gid;
};

/* ---- signals
 * --------------------------------------------------------------------------- */

/* For the handler, which can be given nothing. */
static atomic_int stopped; /* by which signal; 0: by none */

static void stop(int sig)
{
	stopped = sig;
}

/* Without SA_RESTART: a read that waits for the archive ends. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = stop, .sa_flags = SA_RESETHAND}, old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
}

static int read_archive(void *arg, void *data, size_t len, size_t *ret_len)
{
	const int *in = arg;
	ssize_t n;

	do {
		if (stopped)
			return -EINTR;
		n = read(*in, data, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret_len = (size_t)n;
	return 0;
}

/* ---- what goes wrong
 * --------------------------------------------------------------------- */

/* There is no use in going on: it would be the same with the next one. */
static bool is_fatal(int r)
{
	return r == -ENOSPC || r == -EROFS || r == -EIO || r == -ENOTCONN ||
	       r == -ENOMEM || r == -EINTR;
}

static int left_out(struct importing *im, const char *what)
{
	cli_error("%s: %s: %s; left out", im->how->archive, tar_text(&im->m.path), what);
	im->done.status = cli_worse(im->done.status, CLI_FAILED);
	return 0;
}

/* Of one member; 0: go on. */
static int failed(struct importing *im, int r)
{
	if (r == -ECANCELED) /* it was said of the directory */
		return 0;
	if (r == -ELOOP)
		return left_out(im, "the way there is over a symlink");
	if (r == -EISDIR)
		return left_out(im, "a directory has this name");
	if (r == -E2BIG)
		return left_out(im, "has more attributes than are kept");
	if (!is_fatal(r))
		return left_out(im, strerror(-r));
	cli_error("%s: %s: %s; what came before it was imported", im->how->archive,
		  tar_text(&im->m.path), strerror(-r));
	return r;
}

/* Of the archive itself. */
static int damaged(struct importing *im, int r, const struct errmsg *err)
{
	if (!stopped)
		cli_error("%s: %s; what came before it was imported", im->how->archive,
			  err->text);
	return r;
}

/* ---- owners and attributes
 * ---------------------------------------------------------------- */

static void find_owner(struct importing *im, const struct tar_member *m)
{
	const struct passwd *pw;
	const struct group *gr;

	im->uid = (uid_t)m->uid;
	im->gid = (gid_t)m->gid;
	if (im->how->numeric_owner)
		return;
	pw = *m->uname ? getpwnam(m->uname) : NULL;
	gr = *m->gname ? getgrnam(m->gname) : NULL;
	if (pw)
		im->uid = pw->pw_uid;
	if (gr)
		im->gid = gr->gr_gid;
}

/* Root gives what was; others what they have, less the umask. */
static mode_t mode_of(const struct importing *im, const struct tar_member *m)
{
	return im->root_user ? m->mode & 07777 : m->mode & 0777 & ~im->umask;
}

static struct timespec timespec_of(int64_t ns)
{
	struct timespec ts = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};

	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += NSEC_PER_SEC;
	}
	return ts;
}

/* Owner first: changing it takes bits of the mode away. */
static int set_stat(struct importing *im, int fd, const struct tar_member *m)
{
	struct timespec mtime = timespec_of(m->mtime_ns),
			times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

	find_owner(im, m);
	if (im->root_user && fchown(fd, im->uid, im->gid))
		return -errno;
	if (fchmod(fd, mode_of(im, m)) || futimens(fd, times))
		return -errno;
	return 0;
}

/*
 * What an entry or a directory takes. Others of user.cache, which an archive of tar(1)
 * may have, tell of where it was.
 */
static bool is_taken(const char *name, bool dir)
{
	static const char *const of_all[] = {"ttl", "pin", NULL},
				 *const of_entries[] = {"cost", NULL},
				 *const of_dirs[] = {"lease", "wait",	   "publish",
						     "quota", "max-entry", NULL};
	const char *const *lists[] = {of_all, dir ? of_dirs : of_entries};

	if (strncmp(name, "user.", 5) != 0)
		return false; /* of a system: they say nothing here */
	if (strncmp(name, FDATTR_CACHE, strlen(FDATTR_CACHE)) != 0)
		return true;
	name += strlen(FDATTR_CACHE);
	for (size_t i = 0; i < 2; i++)
		for (const char *const *at = lists[i]; *at; at++)
			if (strcmp(name, *at) == 0)
				return true;
	return false;
}

static int set_attributes(int fd, const struct tar_member *m, bool dir)
{
	struct slice value;
	const char *name;
	size_t pos = 0;
	int r = 0;

	while (!r && tar_xattr_next(m, &pos, &name, &value))
		if (is_taken(name, dir))
			r = fdattr_set(fd, name, value);
	/* It has no room for so much, which says nothing of the next one. */
	return r == -ENOSPC ? -E2BIG : r;
}

/* ---- the life of an entry
 * -------------------------------------------------------------------- */

static bool is_limited(const struct tar_member *m)
{
	return m->expires_ns != DURATION_NONE;
}

static int set_ttl(int fd, int64_t left_ns)
{
	char text[DURATION_TEXT_MAX];

	duration_format(left_ns > 0 ? left_ns : 1, text);
	return fdattr_set(fd, FDATTR_CACHE "ttl", slice(text, strlen(text)));
}

/* -ETIME: nothing is left of it. */
static int set_life(int fd, const struct tar_member *m)
{
	int64_t left_ns = is_limited(m) ? m->expires_ns - time_now_ns() : 1;

	if (left_ns <= 0)
		return -ETIME;
	return is_limited(m) ? set_ttl(fd, left_ns) : 0;
}

/* It was published a moment later than its life was measured. */
static int trim_life(int fd, const struct tar_member *m)
{
	int64_t expires_ns, created_ns;
	int r = fdattr_time(fd, FDATTR_CACHE "expires", &expires_ns);

	if (r || expires_ns <= m->expires_ns)
		return r;
	r = fdattr_time(fd, FDATTR_CACHE "created", &created_ns);
	return r ? r : set_ttl(fd, m->expires_ns - created_ns);
}

/* ---- contents
 * ---------------------------------------------------------------------------------- */

/*
 * The content of the member into `fd`. -EBADMSG with *ret_damaged and a message: the
 * archive cannot be read; without: this content is not what its hash says.
 */
static int copy_content(struct importing *im, int fd, bool *ret_damaged,
			struct errmsg *err)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t hash;
	uint64_t done = 0;
	size_t n = 1;
	int r = state ? 0 : -ENOMEM;

	if (!r)
		XXH3_128bits_reset(state);
	while (!r && n) {
		r = tar_read(im->reader, im->chunk, CHUNK_BYTES, &n, err);
		*ret_damaged = r;
		if (!r && n) {
			XXH3_128bits_update(state, im->chunk, n);
			r = copy_bytes(fd, im->chunk, n);
		}
		done += n;
		progress_show(&im->progress, im->done.entries, im->done.bytes + done);
	}
	if (!r)
		XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	/* A tree's is not that of its bytes; the mount checks it. */
	if (!r && im->m.has_hash && !im->m.tree &&
	    memcmp(hash.digest, im->m.hash, sizeof(im->m.hash)) != 0)
		r = -EBADMSG;
	return r;
}

/* Another member's, which is an entry already. */
static int copy_linked(struct importing *im, int fd)
{
	CLEANUP_BUF struct buf target = BUF_INIT;
	CLEANUP_FD int in = -1;
	bool control, reading;
	const char *why;
	struct stat st;
	int r = place_path(tar_text(&im->m.link), &target, &control, &why);

	if (r)
		return r;
	in = beneath_open(im->place.root, (const char *)target.data, O_RDONLY);
	if (in < 0)
		return in;
	if (fstat(in, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	im->m.size_bytes = (uint64_t)st.st_size;
	return copy_all(in, fd, &reading);
}

/* ---- files and trees
 * ----------------------------------------------------------------------------- */

/* While it is written. A tree is written as a pack, under the view of packs. */
struct draft {
	int dirfd, fd;
	char *at;   /* where it is written, */
	char *name; /* and where it belongs */
	ino_t ino;
};

static void draft_deinit(struct draft *d)
{
	close_fdp(&d->fd);
	free(d->at);
	free(d->name);
}

static int draft_open(const struct importing *im, const char *name, struct draft *ret)
{
	const char *dir = im->m.tree ? ".memofs/view/pack" : ".";
	char tmp[OUTFILE_TMP_MAX];
	struct stat st;

	outfile_tmp_name(tmp);
	*ret = (struct draft){
	    .dirfd = im->place.fd,
	    .fd = -1,
	    .at = path_join(dir, tmp),
	    .name = path_join(dir, name),
	};
	/* What may be read of a tree is what is allowed when it is begun. */
	ret->fd = openat(ret->dirfd, ret->at,
			 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			 im->m.tree ? 0777 : 0600);
	if (ret->fd < 0 || fstat(ret->fd, &st))
		return -errno;
	ret->ino = st.st_ino;
	return 0;
}

static void draft_drop(const struct draft *d)
{
	(void)unlinkat(d->dirfd, d->at, 0);
}

/* Give it its name and close it. */
static int draft_publish(struct draft *d)
{
	int fd = d->fd;

	if (renameat(d->dirfd, d->at, d->dirfd, d->name)) {
		int r = -errno;

		draft_drop(d);
		return r;
	}
	d->fd = -1;
	return close(fd) && errno != EINTR ? -errno : 0;
}

/* Asking for the name has the publish decided, also when this program fails later. */
static int look_after(const struct draft *d, const struct tar_member *m)
{
	CLEANUP_FD int fd = openat(d->dirfd, d->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st))
		return errno == ENOENT && is_limited(m) ? 0 : -errno;
	if (st.st_ino != d->ino || !is_limited(m))
		return 0;
	r = trim_life(fd, m);
	/* It is gone, replaced or over. */
	return r == -ENODATA || r == -ESTALE || r == -ENOENT ? 0 : r;
}

/* All but the name. *ret_damaged: the archive is, with a message. */
static int fill(struct importing *im, struct draft *d, bool *ret_damaged,
		struct errmsg *err)
{
	int r;

	*ret_damaged = false;
	if (im->m.type == TAR_HARDLINK)
		r = copy_linked(im, d->fd);
	else
		r = copy_content(im, d->fd, ret_damaged, err);
	if (!r)
		r = set_attributes(d->fd, &im->m, false);
	if (!r)
		r = set_stat(im, d->fd, &im->m);
	return r ? r : set_life(d->fd, &im->m);
}

static int counted(struct importing *im)
{
	im->done.entries++;
	im->done.bytes += im->m.size_bytes;
	progress_show(&im->progress, im->done.entries, im->done.bytes);
	return 0;
}

static int entry_failed(struct importing *im, int r)
{
	if (r == -ETIME) {
		im->done.expired++;
		return 0;
	}
	if (r == -EBADMSG && im->m.tree)
		return left_out(im, "its pack is damaged");
	if (r == -EBADMSG)
		return left_out(im,
				"its content is not what it was when it was exported");
	return failed(im, r);
}

static int import_entry(struct importing *im, const char *name)
{
	__attribute__((cleanup(draft_deinit))) struct draft d = {.fd = -1};
	struct errmsg err;
	bool bad;
	int r = draft_open(im, name, &d);

	if (r)
		return failed(im, r);
	r = fill(im, &d, &bad, &err);
	if (r)
		draft_drop(&d);
	if (r && bad)
		return damaged(im, r, &err);
	if (!r)
		r = draft_publish(&d);
	if (!r)
		r = look_after(&d, &im->m);
	return r ? entry_failed(im, r) : counted(im);
}

/* ---- symlinks
 * ----------------------------------------------------------------------------------------
 */

/* It has no ttl of its own; one that had an end would begin a new life here. */
static int import_symlink(struct importing *im, const char *name)
{
	struct timespec mtime = timespec_of(im->m.mtime_ns),
			times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};
	int r;

	if (is_limited(&im->m)) {
		im->done.brief++;
		return 0;
	}
	r = outfile_symlink(im->place.fd, tar_text(&im->m.link), name);
	find_owner(im, &im->m);
	if (!r && im->root_user &&
	    fchownat(im->place.fd, name, im->uid, im->gid, AT_SYMLINK_NOFOLLOW))
		r = -errno;
	if (!r && utimensat(im->place.fd, name, times, AT_SYMLINK_NOFOLLOW))
		r = -errno;
	return r ? failed(im, r) : counted(im);
}

/* ---- directories
 * ---------------------------------------------------------------------------------------
 */

static int close_dir(struct importing *im, const struct opened *o)
{
	CLEANUP_FD int fd = beneath_open(im->place.root, o->path, O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : set_attributes(fd, &o->m, true);

	if (!r)
		r = set_stat(im, fd, &o->m);
	if (!r)
		return 0;
	cli_error("%s: %s: its settings cannot be set: %s", im->how->archive,
		  *o->path ? o->path : ".",
		  r == -E2BIG ? "it has more attributes than are kept" : strerror(-r));
	im->done.status = cli_worse(im->done.status, CLI_FAILED);
	return is_fatal(r) ? r : 0;
}

static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !len || (strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]));
}

/* Those that the archive has left, the innermost first. `path` NULL: all. */
static int close_dirs(struct importing *im, const char *path)
{
	int r = 0;

	while (im->open_count) {
		struct opened *o = &im->open[im->open_count - 1];
		int failed_r;

		if (path && is_within(path, o->path))
			break;
		failed_r = close_dir(im, o);
		r = r ? r : failed_r;
		free(o->path);
		tar_member_deinit(&o->m);
		im->open_count--;
	}
	return r;
}

/* What is said of it is kept until the archive has left it. */
static void push_dir(struct importing *im, const char *path)
{
	struct opened *o;

	if (im->open_count == im->open_cap) {
		im->open_cap = im->open_cap ? im->open_cap * 2 : 16;
		im->open = xreallocarray(im->open, im->open_cap, sizeof(*im->open));
	}
	o = &im->open[im->open_count++];
	o->path = xstrdup(path);
	o->m = im->m;
	o->m.path = o->m.link = BUF_INIT;
	im->m.xattrs = BUF_INIT;
	/* Within one another there may be thousands; so much cannot be set anyway. */
	if (o->m.xattrs.len > DIR_XATTRS_MAX) {
		left_out(im, "has more attributes than are kept: its attributes are");
		buf_deinit(&o->m.xattrs);
		o->m.xattr_count = 0;
	}
}

static int enter_version(struct importing *im, const char *path)
{
	CLEANUP_FD int fd = beneath_open(im->place.root, path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	place_forget(&im->place);
	return fdattr_set(fd, FDATTR_CACHE "version",
			  slice(im->m.version, strlen(im->m.version)));
}

/* A directory, and no sealed tree, which is an entry. */
static int check_dir(const struct importing *im, const char *path)
{
	CLEANUP_BUF struct buf state = BUF_INIT;
	CLEANUP_FD int fd = beneath_open(im->place.root, path, O_PATH | O_DIRECTORY);

	if (fd < 0)
		return fd;
	return fdattr_get(fd, FDATTR_CACHE "state", &state) == 0 ? -EEXIST : 0;
}

static int import_dir(struct importing *im, const char *path, const char *name)
{
	mode_t mode = (mode_of(im, &im->m) | 0700) & 0777;
	int r = 0;

	if (*path && mkdirat(im->place.fd, name, mode) && errno != EEXIST)
		r = -errno;
	if (!r)
		r = check_dir(im, path);
	if (!r && im->m.has_version)
		r = enter_version(im, path);
	if (r)
		return failed(im, r);
	push_dir(im, path);
	return 0;
}

/* ---- members
 * -----------------------------------------------------------------------------------------------
 */

static bool is_there(const struct importing *im, const char *name)
{
	struct stat st;

	return fstatat(im->place.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int import_named(struct importing *im, const char *path, const char *name)
{
	switch (im->m.type) {
	case TAR_DIR:
		return import_dir(im, path, name);
	case TAR_FILE:
	case TAR_HARDLINK:
	case TAR_SYMLINK:
		if (im->how->keep && is_there(im, name)) {
			im->done.kept++;
			return 0;
		}
		if (is_limited(&im->m) && im->m.expires_ns <= time_now_ns())
			return entry_failed(im, -ETIME);
		return im->m.type == TAR_SYMLINK ? import_symlink(im, name)
						 : import_entry(im, name);
	case TAR_SPARSE:
		return left_out(im, "a sparse file; make the archive without --sparse");
	case TAR_SPECIAL:
		return left_out(im, "a device or fifo, which a cache has not");
	case TAR_UNKNOWN:
		break;
	}
	return left_out(im, "of a type that is not known");
}

static int import_member(struct importing *im)
{
	const char *path, *name = "", *why;
	bool control;
	int r;

	if (place_path(tar_text(&im->m.path), &im->path, &control, &why))
		return left_out(im, why);
	path = (const char *)im->path.data;
	/* That there are versions is no news. */
	if (control && im->m.type == TAR_DIR)
		return 0;
	if (control || (!*path && im->m.type != TAR_DIR))
		return left_out(im, "the name of no entry");
	r = close_dirs(im, path);
	if (!r && *path)
		r = place_enter(&im->place, path, &name);
	return r ? failed(im, r) : import_named(im, path, name);
}

static int import_members(struct importing *im)
{
	struct errmsg err;
	int r;

	while ((r = tar_next(im->reader, &im->m, &err)) == 0) {
		r = import_member(im);
		if (r)
			return r;
	}
	return r == -ENODATA ? 0 : damaged(im, r, &err);
}

/* Who writes it is not to die of a closed pipe: what is behind the end is read. */
static void drain(struct importing *im, int in)
{
	size_t n = 1;

	while (n && read_archive(&in, im->chunk, CHUNK_BYTES, &n) == 0)
		;
}

int import_tar(int in, int dirfd, const struct import_how *how,
	       struct import_done *ret_done)
{
	struct importing im = {
	    .how = how,
	    .m = TAR_MEMBER_INIT,
	    .place = PLACE_INIT(dirfd),
	    .root_user = geteuid() == 0,
	};
	int r, closed;

	im.umask = umask(0);
	umask(im.umask);
	im.chunk = xcalloc(1, CHUNK_BYTES);
	must(tar_reader_new(read_archive, &in, &im.reader));
	catch_signals();
	progress_begin(&im.progress, "importing", how->archive, 0, 0, how->quiet);
	r = import_members(&im);
	closed = close_dirs(&im, NULL);
	if (!r)
		drain(&im, in);
	progress_end(&im.progress);
	im.done.signal = stopped;
	*ret_done = im.done;
	tar_reader_free(im.reader);
	tar_member_deinit(&im.m);
	place_deinit(&im.place);
	buf_deinit(&im.path);
	free(im.open);
	free(im.chunk);
	return r ? r : closed;
}
