/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backupdir.h"
#include "cli/carejob.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tree/progress.h"

#define NEW_SUFFIX ".memofs-new"
#define STAGING_NAME "backup" /* in a store */

struct backup_options {
	bool quiet;
};

static const struct cli_option options[] = {
    {'q', "quiet", CLI_FLAG, offsetof(struct backup_options, quiet), NULL,
     "no progress, and no word about what was made", NULL},
    CLI_END,
};

struct backup {
	const struct backup_options *opt;
	char *staging;	/* in the store; what the daemon made */
	char *dest;	/* absolute */
	char *fresh;	/* beside it: what will be it */
	bool has_older; /* DEST is a backup already */
};

static void backup_deinit(struct backup *b)
{
	free(b->staging);
	free(b->dest);
	free(b->fresh);
}

/* ---- signals ---- */

/* For the handler, which can be given nothing. */
static atomic_int stopped; /* by which signal; 0: by none */

static void stop(int sig)
{
	stopped = sig;
}

/*
 * What was made in the store keeps what the store deletes on the disk, so it is not left
 * there. A second signal ends it at once.
 */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = stop, .sa_flags = SA_RESETHAND | SA_RESTART},
			 old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
}

/* ---- before ---- */

static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

/* DEST is not there, is empty, or an earlier backup. */
static int check_dest(struct backup *b)
{
	CLEANUP_FREE char *manifest = path_join(b->dest, MANIFEST_FILE);
	struct stat st;

	if (stat(b->dest, &st)) {
		if (errno == ENOENT)
			return CLI_OK;
		cli_error("backup: %s: %s", b->dest, strerror(errno));
		return CLI_FAILED;
	}
	if (!S_ISDIR(st.st_mode) ||
	    (access(manifest, F_OK) && !backupdir_is_empty(b->dest))) {
		cli_error("backup: %s: is there, and is no backup; name a new directory, "
			  "or one that was made by memofs backup",
			  b->dest);
		return CLI_USAGE;
	}
	b->has_older = access(manifest, F_OK) == 0;
	return CLI_OK;
}

/* DEST and the store apart: what DEST was before is removed, and so is STORE/backup. */
static int check_apart(const struct backup *b, const struct carestore *cs)
{
	CLEANUP_FREE char *parent = path_parent(b->dest);
	CLEANUP_FREE char *above = realpath(parent, NULL);
	CLEANUP_FREE char *store = realpath(cs->store, NULL), *dest = NULL;

	if (!above || !store) /* each has a message of its own */
		return CLI_OK;
	dest = path_join(above, path_base(b->dest));
	if (!is_within(dest, store) && !is_within(store, dest))
		return CLI_OK;
	cli_error("backup: %s: is in the store, or the store is in it; name a directory "
		  "elsewhere",
		  b->dest);
	return CLI_USAGE;
}

/*
 * Who tells it may be another's daemon, and what it names is moved away and removed: it
 * must be a whole backup, and where one is made.
 */
static bool is_made_in(const char *store, const char *path)
{
	CLEANUP_FREE char *want = path_join(store, STAGING_NAME);
	CLEANUP_MANIFEST struct manifest manifest = MANIFEST_INIT;
	struct stat st, is;
	struct errmsg err;

	return !lstat(want, &st) && !lstat(path, &is) && S_ISDIR(is.st_mode) &&
	       st.st_dev == is.st_dev && st.st_ino == is.st_ino &&
	       !backupdir_verify(path, &manifest, &err);
}

static int make_in_store(const struct backup *b, const struct carestore *cs,
			 char **ret_path)
{
	const struct carejob job = {.command = "backup",
				    .verb = "linking",
				    .unit = "files",
				    .quiet = b->opt->quiet};
	const char *const args[] = {"--backup", cs->store, NULL};
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;
	const char *path;
	int r = cs->mountpoint ? carejob_mount(&job, cs, "backup", "", &result)
			       : carejob_offline(&job, cs, args, &result);

	if (r || result.failed || result.unopened)
		return r ? r : CLI_FAILED;
	path = careresult_value(&result, "path");
	if (!path) {
		cli_error("backup: the daemon does not say where it made it");
		return CLI_FAILED;
	}
	if (!is_made_in(cs->store, path)) {
		cli_error("backup: %s: this is said to be the backup, and it is none in "
			  "%s",
			  path, cs->store);
		return CLI_FAILED;
	}
	*ret_path = xstrdup(path);
	return CLI_OK;
}

/* ---- to its place ---- */

static int copy_there(const struct backup *b, struct errmsg *err)
{
	struct progress bar;
	struct manifest manifest = MANIFEST_INIT;
	const struct backupdir_copy copy = {.from = b->staging,
					    .to = b->fresh,
					    .previous = b->has_older ? b->dest : NULL,
					    .copy = true,
					    .stop = &stopped,
					    .progress = {progress_show, &bar}};
	int r = backupdir_verify(b->staging, &manifest, err);

	if (r)
		return r;
	progress_begin(&bar, "copying", b->dest, manifest.extents + manifest.db_count,
		       manifest.extent_bytes, b->opt->quiet);
	r = backupdir_copy(&copy, err);
	progress_end(&bar);
	manifest_deinit(&manifest);
	if (!r)
		r = backupdir_copy_file(b->staging, MANIFEST_FORMAT_FILE, b->fresh,
					MANIFEST_FORMAT_FILE, err);
	/* The manifest last: without it, it is none. */
	return r ? r
		 : backupdir_copy_file(b->staging, MANIFEST_FILE, b->fresh, MANIFEST_FILE,
				       err);
}

static int bring(const struct backup *b, struct errmsg *err)
{
	int r = backupdir_remove(b->fresh);

	if (r)
		return err_set(err, -r, "%s: cannot be removed: %s", b->fresh,
			       strerror(-r));
	if (rename(b->staging, b->fresh) == 0)
		return 0;
	if (errno != EXDEV)
		return err_set(err, errno, "%s: %s", b->fresh, strerror(errno));
	return copy_there(b, err);
}

/* At once; the older one goes when the new one is there. */
static int put_in_place(const struct backup *b, struct errmsg *err)
{
	if (b->has_older) {
		if (renameat2(AT_FDCWD, b->fresh, AT_FDCWD, b->dest, RENAME_EXCHANGE))
			return err_set(err, errno, "%s: %s", b->dest, strerror(errno));
		return 0;
	}
	/* An empty directory is replaced; one that got something meanwhile is not. */
	if (rename(b->fresh, b->dest))
		return err_set(err, errno, "%s: %s", b->dest, strerror(errno));
	return 0;
}

static int finish(const struct backup *b, struct manifest *ret_manifest,
		  struct errmsg *err)
{
	CLEANUP_FREE char *parent = path_parent(b->dest);
	int fd, r = bring(b, err);

	if (!r)
		r = backupdir_verify(b->fresh, ret_manifest, err);
	if (!r && stopped)
		r = err_set(err, ECANCELED, "%s", strerror(ECANCELED));
	if (!r)
		r = put_in_place(b, err);
	/* What failed; the older one; what was copied. */
	(void)backupdir_remove(b->fresh);
	(void)backupdir_remove(b->staging);
	fd = r ? -1 : open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		if (fsync(fd))
			r = err_set(err, errno, "%s: %s", parent, strerror(errno));
		close(fd);
	}
	return r;
}

static int make_backup(struct backup *b, const char *path)
{
	CLEANUP_CARESTORE struct carestore cs = CARESTORE_INIT;
	CLEANUP_MANIFEST struct manifest manifest = MANIFEST_INIT;
	char amount[PROGRESS_AMOUNT_MAX];
	struct errmsg err;
	int r = check_dest(b);

	if (!r)
		r = carestore_find("backup", path, &cs);
	if (!r)
		r = check_apart(b, &cs);
	if (!r)
		r = make_in_store(b, &cs, &b->staging);
	if (r)
		return r;
	if (finish(b, &manifest, &err)) {
		if (!stopped)
			cli_error("backup: %s", err.text);
		return CLI_FAILED;
	}
	if (!b->opt->quiet)
		printf("%s: %s\n", b->dest,
		       progress_amount(manifest.extents + manifest.db_count,
				       manifest.extent_bytes, amount));
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	struct backup b = {.opt = opt, .dest = path_absolute(operands[1])};
	CLEANUP_BUF struct buf fresh = BUF_INIT;
	int r;

	must(buf_printf(&fresh, "%s" NEW_SUFFIX, b.dest));
	must(buf_append(&fresh, "", 1));
	b.fresh = xstrdup((const char *)fresh.data);
	catch_signals();
	r = make_backup(&b, operands[0]);
	backup_deinit(&b);
	if (r && stopped) {
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	return cli_finish(r);
}

const struct command cmd_backup = {
    .name = "backup",
    .args = "PATH|STORE DEST",
    .summary = "copy a store, also while it is in use",
    .detail =
	"PATH is any path in a mount; STORE a store that is not mounted. Everything "
	"that\n"
	"was published before is in the backup, as it was at one moment. On the store's\n"
	"file system DEST costs no more than links. Elsewhere it is copied; if DEST is "
	"an\n"
	"earlier backup, only what is new. DEST is replaced when the new one is whole.\n"
	"\n"
	"A backup is no store: memofs restore-backup makes one of it.\n",
    .exits = "0  DEST is a whole backup\n"
	     "2  the command line is wrong, or DEST is something else\n"
	     "3  it could not be made; an earlier one stays\n"
	     "4  the mount does not answer",
    .example = "memofs backup /mnt/cache /backup/cache",
    .options = options,
    .options_size = sizeof(struct backup_options),
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
