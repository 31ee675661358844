/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/care.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/backup.h"
#include "store/check.h"
#include "store/util/log.h"
#include "store/util/size.h"

static void tell_progress(const struct care *care, uint64_t done, uint64_t total,
			  uint64_t bytes, uint64_t bytes_total)
{
	const struct care_progress p = {
	    .done = done, .total = total, .bytes = bytes, .bytes_total = bytes_total};

	care->progress(care->arg, &p);
}

static void tell_result(const struct care *care, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void tell_result(const struct care *care, const char *fmt, ...)
{
	struct errmsg line;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line.text, sizeof(line.text), fmt, ap);
	va_end(ap);
	care->result(care->arg, line.text);
}

/* It ended before its end. */
static int tell_failure(const struct care *care, int r)
{
	if (r)
		tell_result(care, "%s",
			    r == -ECANCELED ? "it was stopped" : strerror(-r));
	return r;
}

/* ---- check ---- */

static void check_progress(void *arg, const struct store_check_progress *p)
{
	tell_progress(arg, p->rows, p->rows_total, p->bytes, p->bytes_total);
}

static void check_found(void *arg, const char *line)
{
	const struct care *care = arg;

	care->found(care->arg, line);
}

static void tell_check(const struct care *care, const struct store_check_result *r)
{
	char bytes[SIZE_TEXT_MAX];

	size_format(r->bytes, bytes);
	tell_result(care, "looked at %" PRIu64 " rows and %s", r->rows, bytes);
	if (!r->found)
		tell_result(care, "sound");
	else if (!r->repaired)
		tell_result(care, "damaged %" PRIu64, r->found);
	else if (r->repaired == r->found)
		tell_result(care, "repaired %" PRIu64, r->found);
	else
		tell_result(care, "repaired %" PRIu64 " of %" PRIu64, r->repaired,
			    r->found);
}

int care_check(const struct care *care, const struct care_options *opt)
{
	const struct store_check_options check = {.contents = !(opt->set & CARE_FAST),
						  .repair = opt->set & CARE_REPAIR,
						  .stop = care->stop,
						  .found = check_found,
						  .progress = check_progress,
						  .arg = (void *)care};
	struct store_check_result result = {0};
	int r = store_check(care->st, &check, &result);

	if (r)
		return tell_failure(care, r);
	tell_check(care, &result);
	log_info("check: %" PRIu64 " found, %" PRIu64 " repaired", result.found,
		 result.repaired);
	return 0;
}

/* ---- backup ---- */

static void backup_progress(void *arg, uint64_t extents)
{
	tell_progress(arg, extents, 0, 0, 0);
}

int care_backup(const struct care *care, const struct care_options *opt)
{
	const struct store_backup_options backup = {
	    .stop = care->stop, .progress = backup_progress, .arg = (void *)care};
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct errmsg err;
	int r = store_backup(care->st, &backup, &path, &err);

	if (r)
		tell_result(care, "%s", err.text);
	else
		tell_result(care, "path %s", (const char *)path.data);
	return r;
}

/* ---- gc ---- */

int care_gc(const struct care *care, const struct care_options *opt)
{
	char expired[SIZE_TEXT_MAX], deleted[SIZE_TEXT_MAX], db[SIZE_TEXT_MAX];
	struct store_reclaimed what = {0};
	int r = store_reclaim(care->st, care->stop, &what);

	if (r)
		return tell_failure(care, r);
	size_format(what.expired_bytes, expired);
	size_format(what.deleted_bytes, deleted);
	size_format(what.db_bytes, db);
	tell_result(care, "expired entries: %" PRIu64 ", %s", what.expired_entries,
		    expired);
	tell_result(care, "deleted contents: %s", deleted);
	tell_result(care, "database: %s", db);
	return 0;
}
