/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backupdir.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tree/progress.h"

struct restore_backup_options {
	bool copy, quiet;
};

static const struct cli_option options[] = {
    {0, "copy", CLI_FLAG, offsetof(struct restore_backup_options, copy), NULL,
     "copy all, also where links would do", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct restore_backup_options, quiet), NULL,
     "no progress, and no word about what was made", NULL},
    CLI_END,
};

/* FORMAT last: without it, it is no store. */
static int make_store(const char *backup, const char *store,
		      const struct restore_backup_options *o,
		      const struct manifest *manifest, struct errmsg *err)
{
	struct progress bar;
	const struct backupdir_copy copy = {.from = backup,
					    .to = store,
					    .copy = o->copy,
					    .progress = {progress_show, &bar}};
	int r;

	progress_begin(&bar, "restoring", store, manifest->extents + manifest->db_count,
		       manifest->extent_bytes, o->quiet);
	r = backupdir_copy(&copy, err);
	progress_end(&bar);
	return r ? r
		 : backupdir_copy_file(backup, MANIFEST_FORMAT_FILE, store, "FORMAT",
				       err);
}

/* Nothing of ours is left in a directory that was there before, or of it. */
static void undo(const char *store, bool made)
{
	static const char *const parts[] = {"db", "extents", "FORMAT"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		CLEANUP_FREE char *path = path_join(store, parts[i]);

		(void)backupdir_remove(path);
	}
	if (made)
		(void)rmdir(store);
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct restore_backup_options *o = opt;
	CLEANUP_FREE char *backup = path_absolute(operands[0]);
	CLEANUP_FREE char *store = path_absolute(operands[1]);
	CLEANUP_MANIFEST struct manifest manifest = MANIFEST_INIT;
	char amount[PROGRESS_AMOUNT_MAX];
	struct errmsg err;
	bool made;

	if (!backupdir_is_empty(store)) {
		cli_error("restore-backup: %s: is there, and not empty; name a new "
			  "directory",
			  store);
		return CLI_USAGE;
	}
	if (backupdir_verify(backup, &manifest, &err)) {
		cli_error("restore-backup: %s", err.text);
		return CLI_FAILED;
	}
	made = access(store, F_OK) != 0;
	if (make_store(backup, store, o, &manifest, &err)) {
		cli_error("restore-backup: %s", err.text);
		undo(store, made);
		return CLI_FAILED;
	}
	if (!o->quiet)
		printf("%s: %s\n", store,
		       progress_amount(manifest.extents + manifest.db_count,
				       manifest.extent_bytes, amount));
	return cli_finish(CLI_OK);
}

const struct command cmd_restore_backup = {
    .name = "restore-backup",
    .args = "BACKUP STORE",
    .summary = "make a store of a backup",
    .detail =
	"STORE is a directory that is not there, or is empty. The backup is looked at\n"
	"first: one that is not whole is refused. On one file system the large contents\n"
	"are links, and take no room twice; --copy makes a store that has nothing in\n"
	"common with the backup. The backup stays as it is; STORE is then mounted as "
	"any\n"
	"other.\n",
    .exits = "0  STORE can be mounted\n"
	     "2  the command line is wrong, or STORE holds something\n"
	     "3  BACKUP is not whole, or STORE cannot be made; nothing is left of it",
    .example = "memofs restore-backup /backup/cache /var/cache/memofs",
    .options = options,
    .options_size = sizeof(struct restore_backup_options),
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
