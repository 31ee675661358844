/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mkpack DIRECTORY: writes the pack of what is in it (store/util/pack.h) to standard
 * output, as plainly as can be: nothing is stored once that is there twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "prog.h"
#include "store/util/pack.h"

/* Copies it to standard output; the size, and the hash as packs have it. */
static uint64_t put_content(const char *path, uint8_t ret_hash[PACK_HASH_BYTES])
{
	static char block[1 << 20];
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t canonical;
	FILE *f = fopen(path, "r");
	uint64_t size = 0;
	size_t n;

	if (!f || !state)
		fail_errno("%s", path);
	XXH3_128bits_reset(state);
	while ((n = fread(block, 1, sizeof(block), f)) > 0) {
		XXH3_128bits_update(state, block, n);
		size += n;
		if (fwrite(block, 1, n, stdout) != n)
			fail_errno("standard output");
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(ret_hash, canonical.digest, PACK_HASH_BYTES);
	XXH3_freeState(state);
	fclose(f);
	return size;
}

static void put_entry(struct pack_maker *m, const FTSENT *e, const char *path,
		      uint64_t *off)
{
	uint8_t hash[PACK_HASH_BYTES];
	char target[PATH_MAX + 1] = "";
	struct pack_item item = {
	    .path = path,
	    .type = S_ISDIR(e->fts_statp->st_mode)   ? PACK_DIR
		    : S_ISLNK(e->fts_statp->st_mode) ? PACK_LINK
						     : PACK_FILE,
	    .mode = e->fts_statp->st_mode & 0777,
	    .mtime_ns =
		e->fts_statp->st_mtim.tv_sec * 1000000000 + e->fts_statp->st_mtim.tv_nsec,
	    .off = *off,
	    .hash = hash,
	    .target = target,
	};

	if (item.type == PACK_LINK && readlink(e->fts_accpath, target, PATH_MAX) < 0)
		fail_errno("%s", e->fts_path);
	if (item.type == PACK_FILE)
		*off += item.size_bytes = put_content(e->fts_accpath, hash);
	if (pack_maker_add(m, &item))
		fail("%s cannot be in a pack", e->fts_path);
}

int main(int argc, char **argv)
{
	char *const top[] = {argv[1], NULL};
	struct pack_maker *m;
	struct buf raw = BUF_INIT;
	uint64_t off = 0;
	FTSENT *e;
	FTS *fts;

	if (argc != 2 || pack_maker_new(&m))
		fail("mkpack DIRECTORY");
	fts = fts_open(top, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (fts && (e = fts_read(fts))) {
		const char *path = e->fts_path + strlen(argv[1]);

		if (e->fts_info != FTS_DP)
			put_entry(m, e, path + (*path == '/'), &off);
	}
	if (pack_maker_finish(m, off, &raw) ||
	    fwrite(raw.data, 1, raw.len, stdout) != raw.len || fflush(stdout))
		fail("the pack could not be written");
	buf_deinit(&raw);
	pack_maker_free(m);
	fts_close(fts);
	return 0;
}
