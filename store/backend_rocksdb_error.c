/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backend_rocksdb_error.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <stdbool.h>
#include <string.h>

#include "store/util/log.h"

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* RocksDB tells kinds of errors apart by text alone: its own kind, then strerror. */
static int text_errno(const char *text)
{
	static const struct {
		const char *part;
		int errnum;
	} io_errors[] = {
	    {"No space left on device", ENOSPC},     {"Disk quota exceeded", EDQUOT},
	    {"Read-only file system", EROFS},	     {"Permission denied", EACCES},
	    {"Operation not permitted", EPERM},	     {"While lock file", EBUSY},
	    {"lock hold by current process", EBUSY}, {"Too many open files", EMFILE},
	    {"No such file or directory", ENOENT},
	};

	if (starts_with(text, "Corruption"))
		return EUCLEAN;
	if (starts_with(text, "NotFound"))
		return ENOENT;
	if (starts_with(text, "Resource busy"))
		return EBUSY;
	for (size_t i = 0; i < sizeof(io_errors) / sizeof(io_errors[0]); i++)
		if (strstr(text, io_errors[i].part))
			return io_errors[i].errnum;
	return EIO;
}

int rocks_error(char *text, const char *doing)
{
	int errnum;

	if (!text)
		return 0;
	errnum = text_errno(text);
	if (doing && errnum != ENOSPC && errnum != EDQUOT && errnum != EROFS)
		log_error("database: %s: %s", doing, text);
	rocksdb_free(text);
	return -errnum;
}

/* Newer ones of RocksDB's texts have several. */
static void as_one_line(const char *text, struct errmsg *ret_line)
{
	size_t len;

	err_set(ret_line, 0, "%s", text);
	len = strlen(ret_line->text);
	while (len && ret_line->text[len - 1] == '\n')
		ret_line->text[--len] = '\0';
	for (char *c = ret_line->text; *c; c++)
		if (*c == '\n')
			*c = ' ';
}

int rocks_explain(int rc, const char *path, const char *text, struct errmsg *err)
{
	struct errmsg line;

	as_one_line(text, &line);
	switch (-rc) {
	case EUCLEAN:
		return err_set(err, EUCLEAN,
			       "the database %s/db is damaged (%s); a cache can be made "
			       "anew: move %s away or remove it, and start again",
			       path, line.text, path);
	case EBUSY:
		return err_set(err, EBUSY,
			       "the database %s/db is in use by another process", path);
	case ENOSPC:
	case EDQUOT:
		return err_set(err, -rc,
			       "no space left to open the database %s/db: free some and "
			       "try again",
			       path);
	case EROFS:
		return err_set(
		    err, EROFS,
		    "the database %s/db is on a read-only file system: a store "
		    "must be writable",
		    path);
	case EACCES:
	case EPERM:
		return err_set(err, -rc, "no permission to open the database %s/db (%s)",
			       path, line.text);
	default:
		return err_set(err, -rc, "cannot open the database %s/db: %s", path,
			       line.text);
	}
}
