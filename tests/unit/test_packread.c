/* SPDX-License-Identifier: Apache-2.0 */
/* Reading packs, and extracting them over whatever is there already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/tree/packread.h"
#include "store/util/duration.h"

#define MTIME_NS (INT64_C(1000000000) * NSEC_PER_SEC + 123456789)

/* ---- a directory of each test's own, and packs ------------------------------------ */

struct scratch {
	char path[64];
	int fd; /* the directory `out` in it */
	mode_t umask;
};

static int setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	strcpy(s->path, "/tmp/memofs-packread.XXXXXX");
	if (!mkdtemp(s->path) || chdir(s->path) || mkdir("out", 0755))
		return -1;
	s->fd = open("out", O_RDONLY | O_DIRECTORY);
	s->umask = umask(022);
	*state = s;
	return s->fd < 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct scratch *s = *state;
	int r = chdir("/");

	close(s->fd);
	umask(s->umask);
	r |= nftw(s->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(s);
	return r;
}

struct spec {
	const char *path;
	enum pack_type type;
	mode_t mode;
	const char *text; /* content or target */
};

struct building {
	struct pack_maker *maker;
	struct buf bytes;
};

static void build_begin(struct building *b)
{
	*b = (struct building){.bytes = BUF_INIT};
	assert_int_equal(pack_maker_new(&b->maker), 0);
}

static void hash_of(const void *bytes, size_t len, uint8_t hash[PACK_HASH_BYTES])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len));
	memcpy(hash, canonical.digest, PACK_HASH_BYTES);
}

/* A file whose content is where `off` says; it is hashed as `bytes`. */
static void build_file_at(struct building *b, const char *path, mode_t mode, uint64_t off,
			  const void *bytes, size_t len)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item item = {.path = path,
				 .type = PACK_FILE,
				 .mode = mode,
				 .mtime_ns = MTIME_NS,
				 .off = off,
				 .size_bytes = len,
				 .hash = hash};

	hash_of(bytes, len, hash);
	assert_int_equal(pack_maker_add(b->maker, &item), 0);
}

static void build_file(struct building *b, const char *path, mode_t mode,
		       const void *bytes, size_t len)
{
	build_file_at(b, path, mode, b->bytes.len, bytes, len);
	assert_int_equal(buf_append(&b->bytes, bytes, len), 0);
}

static void build_other(struct building *b, const struct spec *spec)
{
	struct pack_item item = {.path = spec->path,
				 .type = spec->type,
				 .mode = spec->mode,
				 .mtime_ns = MTIME_NS,
				 .target = spec->text};

	assert_int_equal(pack_maker_add(b->maker, &item), 0);
}

/* Returns a descriptor of the pack. */
static int build_end(struct building *b)
{
	int fd = memfd_create("pack", MFD_CLOEXEC);
	uint64_t contents = b->bytes.len;

	assert_int_equal(pack_maker_finish(b->maker, contents, &b->bytes), 0);
	assert_int_equal(write(fd, b->bytes.data, b->bytes.len), b->bytes.len);
	pack_maker_free(b->maker);
	buf_deinit(&b->bytes);
	return fd;
}

static int build(const struct spec *specs, size_t n)
{
	struct building b;

	build_begin(&b);
	for (size_t i = 0; i < n; i++) {
		const struct spec *s = &specs[i];

		if (s->type == PACK_FILE)
			build_file(&b, s->path, s->mode, s->text, strlen(s->text));
		else
			build_other(&b, s);
	}
	return build_end(&b);
}
#define BUILD(specs) build(specs, sizeof(specs) / sizeof(*(specs)))

static const struct spec everything[] = {
    {"bin", PACK_DIR, 0755, NULL},
    {"bin/tool", PACK_FILE, 0755, "#!/bin/sh\n"},
    {"bin/link", PACK_LINK, 0777, "../lib/a.txt"},
    {"dangling", PACK_LINK, 0777, "/nowhere/at all"},
    {"empty", PACK_DIR, 0700, NULL},
    {"lib/a.txt", PACK_FILE, 0644, "hello\n"},
    {"lib/none", PACK_FILE, 0600, ""},
    {"lib/open", PACK_FILE, 0666, "for all"},
    {"locked", PACK_DIR, 0555, NULL},
    {"locked/f", PACK_FILE, 0444, "hello\n"},
};

static struct packread open_pack(int fd)
{
	struct packread r = PACKREAD_INIT;
	struct errmsg err = {""};
	int error = packread_open(fd, &r, &err);

	if (error)
		fail_msg("packread_open: %d, %s", error, err.text);
	return r;
}

/* Extract the pack of `fd`, which is closed. */
static int extract(struct scratch *s, int fd, const char *prefix,
		   const struct extract *how, struct extract_report *report,
		   struct errmsg *err)
{
	struct packread r = open_pack(fd);
	int error = packread_extract(&r, prefix, s->fd, how, report, err);

	packread_deinit(&r);
	close(fd);
	return error;
}

/* All of it; directories that are there are part of what was saved. */
static struct extract_report extract_all(struct scratch *s, int fd)
{
	static const char *const all[] = {"**"};
	struct extract how = {.mtime = EXTRACT_MTIME_KEEP};
	struct extract_report report;
	struct errmsg err = {""};
	int error;

	assert_int_equal(patterns_new(all, 1, &how.chosen, &err), 0);
	error = extract(s, fd, "", &how, &report, &err);
	patterns_free(how.chosen);
	if (error)
		fail_msg("packread_extract: %d, %s", error, err.text);
	return report;
}

static void extract_fails(struct scratch *s, int fd, int want, const char *text)
{
	const struct extract how = {.mtime = EXTRACT_MTIME_KEEP};
	struct extract_report report;
	struct errmsg err = {""};

	assert_int_equal(extract(s, fd, "", &how, &report, &err), want);
	assert_string_equal(err.text, text);
}

/* ---- what is there ----------------------------------------------------------------- */

static struct stat lstat_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		fail_msg("%s: %s", path, strerror(errno));
	return st;
}

static void content_is(const char *path, const void *want, size_t len)
{
	char *bytes = malloc(len + 1);
	int fd = open(path, O_RDONLY | O_NOFOLLOW);

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(read(fd, bytes, len + 1), len);
	assert_memory_equal(bytes, want, len);
	close(fd);
	free(bytes);
}

static void text_is(const char *path, const char *want)
{
	content_is(path, want, strlen(want));
}

static void is_absent(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), -1);
	assert_int_equal(errno, ENOENT);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int temporary_files;

static int count_temporary(const char *path, const struct stat *st, int type,
			   struct FTW *ftw)
{
	temporary_files += strstr(path, ".memofs-restore") != NULL;
	return 0;
}

static void no_temporary_files(void)
{
	temporary_files = 0;
	assert_int_equal(nftw("out", count_temporary, 16, FTW_PHYS), 0);
	assert_int_equal(temporary_files, 0);
}

static void everything_is_there(mode_t mask)
{
	char target[64] = "";

	for (size_t i = 0; i < sizeof(everything) / sizeof(*everything); i++) {
		const struct spec *want = &everything[i];
		char path[128];
		struct stat st;

		snprintf(path, sizeof(path), "out/%s", want->path);
		st = lstat_of(path);
		assert_int_equal(st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec,
				 MTIME_NS);
		if (want->type == PACK_LINK) {
			ssize_t n = readlink(path, target, sizeof(target));

			assert_int_equal(n, strlen(want->text));
			assert_memory_equal(target, want->text, (size_t)n);
			continue;
		}
		assert_int_equal(st.st_mode & 07777, want->mode & ~mask);
		assert_int_equal(!!S_ISDIR(st.st_mode), want->type == PACK_DIR);
		if (want->type == PACK_FILE)
			text_is(path, want->text);
	}
	no_temporary_files();
}

/* ---- reading ------------------------------------------------------------------------
 */

static void a_small_pack_is_kept_whole(void **state)
{
	int fd = BUILD(everything);
	struct packread r = open_pack(fd);
	struct buf bytes = BUF_INIT;

	/* Nothing is read any more. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(packread_bytes(&r, "lib/a.txt", 100, &bytes), 0);
	assert_int_equal(packread_bytes(&r, "lib/none", 0, &bytes), 0);
	assert_int_equal(packread_bytes(&r, "bin/tool", 10, &bytes), 0);
	assert_int_equal(bytes.len, 16);
	assert_memory_equal(bytes.data, "hello\n#!/bin/sh\n", 16);
	assert_int_equal(packread_bytes(&r, "bin/tool", 9, &bytes), -EFBIG);
	assert_int_equal(packread_bytes(&r, "bin", 9, &bytes), -EISDIR);
	assert_int_equal(packread_bytes(&r, "dangling", 99, &bytes), -EISDIR);
	assert_int_equal(packread_bytes(&r, "bin/x", 9, &bytes), -ENOENT);
	assert_int_equal(packread_bytes(&r, "bin/tool/x", 9, &bytes), -ENOTDIR);
	assert_int_equal(bytes.len, 16);
	buf_deinit(&bytes);
	packread_deinit(&r);
	close(fd);
}

#define MANY 5000

static void many_name(unsigned int i, char path[64])
{
	snprintf(path, 64, "d%02u/e%u/file-%u", i % 50, i % 3, i);
}

/* The index alone is more than is read at first. */
static int build_many(void)
{
	struct building b;
	char path[64], text[64];

	build_begin(&b);
	for (unsigned int i = 0; i < MANY; i++) {
		many_name(i, path);
		snprintf(text, sizeof(text), "content of %u", i * 7);
		build_file(&b, path, 0644, text, strlen(text));
	}
	return build_end(&b);
}

static void a_large_pack_is_read_as_needed(void **state)
{
	int fd = build_many();
	struct packread r = open_pack(fd);
	struct buf bytes = BUF_INIT;

	assert_int_equal(r.whole.len, 0);
	assert_int_equal(packread_bytes(&r, "d07/e1/file-7", 100, &bytes), 0);
	assert_int_equal(bytes.len, strlen("content of 49"));
	assert_memory_equal(bytes.data, "content of 49", bytes.len);
	assert_int_equal(pwrite(fd, "X", 1, 0), 1);
	assert_int_equal(packread_bytes(&r, "d00/e0/file-0", 100, &bytes), -EBADMSG);
	assert_int_equal(ftruncate(fd, 200), 0);
	assert_int_equal(packread_bytes(&r, "d07/e1/file-7", 100, &bytes), 0);
	assert_int_equal(packread_bytes(&r, "d49/e1/file-4999", 100, &bytes), -EBADMSG);
	buf_deinit(&bytes);
	packread_deinit(&r);
	close(fd);
}

static void what_is_no_pack_is_told(void **state)
{
	int fd = BUILD(everything);
	struct packread r = PACKREAD_INIT;
	struct errmsg err;
	off_t size = lseek(fd, 0, SEEK_END);

	assert_int_equal(ftruncate(fd, size - 1), 0);
	assert_int_equal(packread_open(fd, &r, &err), -EBADMSG);
	assert_true(*err.text);
	assert_int_equal(ftruncate(fd, 95), 0);
	assert_int_equal(packread_open(fd, &r, &err), -EBADMSG);
	assert_string_equal(err.text, "too short for a pack: 95 bytes");
	close(fd);
	fd = open(".", O_RDONLY | O_DIRECTORY);
	assert_int_equal(packread_open(fd, &r, &err), -EBADMSG);
	close(fd);
	assert_int_equal(packread_open(-1, &r, &err), -EBADF);
}

/* ---- extracting
 * ------------------------------------------------------------------------ */

static void everything_is_restored(void **state)
{
	struct extract_report report = extract_all(*state, BUILD(everything));

	assert_int_equal(report.written_files, 7);
	assert_int_equal(report.written_bytes, 10 + 6 + 7 + 6);
	assert_int_equal(report.kept_files, 0);
	everything_is_there(022);
}

static void the_umask_counts(void **state)
{
	umask(077);
	extract_all(*state, BUILD(everything));
	everything_is_there(077);
}

static void what_is_there_is_kept(void **state)
{
	struct extract_report report;
	ino_t ino;

	extract_all(*state, BUILD(everything));
	ino = lstat_of("out/bin/tool").st_ino;
	assert_int_equal(chmod("out/bin/tool", 04700), 0);
	assert_int_equal(truncate("out/lib/a.txt", 6), 0); /* its times change */
	report = extract_all(*state, BUILD(everything));
	assert_int_equal(report.written_files, 0);
	assert_int_equal(report.kept_files, 7);
	assert_int_equal(report.kept_bytes, 10 + 6 + 7 + 6);
	assert_int_equal(lstat_of("out/bin/tool").st_ino, ino);
	everything_is_there(022);
}

/* Readers and hard links keep what they have. */
static void what_differs_is_replaced(void **state)
{
	struct extract_report report;
	char text[8] = "";
	int fd;

	assert_int_equal(mkdir("out/lib", 0755), 0);
	write_text("out/lib/a.txt", "HELLO\n");
	assert_int_equal(link("out/lib/a.txt", "linked"), 0);
	fd = open("out/lib/a.txt", O_RDONLY);
	report = extract_all(*state, BUILD(everything));
	assert_int_equal(report.written_files, 7);
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	assert_string_equal(text, "HELLO\n");
	close(fd);
	text_is("linked", "HELLO\n");
	text_is("out/lib/a.txt", "hello\n");
	no_temporary_files();
}

static void nothing_leads_out(void **state)
{
	assert_int_equal(mkdir("outside", 0755), 0);
	write_text("outside/a.txt", "mine");
	write_text("outside/tool", "mine");
	assert_int_equal(symlink("../outside", "out/lib"), 0);
	assert_int_equal(mkdir("out/bin", 0755), 0);
	assert_int_equal(symlink("../../outside/tool", "out/bin/tool"), 0);
	assert_int_equal(symlink("../outside", "out/dangling"), 0);
	extract_all(*state, BUILD(everything));
	text_is("outside/a.txt", "mine");
	text_is("outside/tool", "mine");
	is_absent("outside/none");
	assert_true(S_ISDIR(lstat_of("out/lib").st_mode));
	assert_true(S_ISREG(lstat_of("out/bin/tool").st_mode));
	everything_is_there(022);
}

static void what_is_in_the_way_goes(void **state)
{
	write_text("out/bin", "a file for a directory");
	assert_int_equal(mkfifo("out/empty", 0600), 0);
	assert_int_equal(mkdir("out/lib", 0755), 0);
	assert_int_equal(mkdir("out/lib/a.txt", 0755), 0);
	assert_int_equal(mkfifo("out/lib/none", 0600), 0);
	assert_int_equal(mkdir("out/dangling", 0755), 0);
	assert_int_equal(mkdir("out/locked", 0755), 0);
	assert_int_equal(symlink("x", "out/locked/f"), 0);
	extract_all(*state, BUILD(everything));
	everything_is_there(022);
}

static void a_full_directory_is_not_removed(void **state)
{
	assert_int_equal(mkdir("out/dangling", 0755), 0);
	write_text("out/dangling/precious", "p");
	extract_fails(
	    *state, BUILD(everything), -ENOTEMPTY,
	    "dangling: a directory that is not empty is in its place; remove it "
	    "first");
	text_is("out/dangling/precious", "p");
}

/* A directory of the user's own, which only leads to what was saved. */
static void other_directories_stay_as_they_are(void **state)
{
	static const char *const texts[] = {"bin/**"};
	struct extract how = {.mtime = EXTRACT_MTIME_KEEP};
	struct extract_report report;
	struct errmsg err = {""};

	assert_int_equal(mkdir("out/lib", 0750), 0);
	assert_int_equal(mkdir("out/bin", 0750), 0);
	assert_int_equal(patterns_new(texts, 1, &how.chosen, &err), 0);
	assert_int_equal(extract(*state, BUILD(everything), "", &how, &report, &err), 0);
	patterns_free(how.chosen);
	assert_int_equal(lstat_of("out/lib").st_mode & 0777, 0750);
	assert_int_not_equal(lstat_of("out/lib").st_mtim.tv_sec, MTIME_NS / NSEC_PER_SEC);
	assert_int_equal(lstat_of("out/bin").st_mode & 0777, 0755);
	assert_int_equal(lstat_of("out/bin").st_mtim.tv_sec, MTIME_NS / NSEC_PER_SEC);
}

static void a_part_is_restored(void **state)
{
	static const char *const texts[] = {"lib/*.txt", "locked"};
	struct extract how = {.mtime = EXTRACT_MTIME_KEEP};
	struct extract_report report;
	struct errmsg err = {""};

	assert_int_equal(patterns_new(texts, 2, &how.only, &err), 0);
	assert_int_equal(extract(*state, BUILD(everything), "", &how, &report, &err), 0);
	patterns_free(how.only);
	assert_int_equal(report.written_files, 2);
	text_is("out/lib/a.txt", "hello\n");
	text_is("out/locked/f", "hello\n");
	is_absent("out/bin");
	is_absent("out/lib/none");
	is_absent("out/empty");
}

static void a_prefix_is_taken_off(void **state)
{
	const struct extract how = {.mtime = EXTRACT_MTIME_NOW};
	struct extract_report report;
	struct errmsg err = {""};

	assert_int_equal(extract(*state, BUILD(everything), "lib", &how, &report, &err),
			 0);
	assert_int_equal(report.written_files, 3);
	text_is("out/a.txt", "hello\n");
	is_absent("out/lib");
	assert_true(lstat_of("out/a.txt").st_mtim.tv_sec > MTIME_NS / NSEC_PER_SEC);
	assert_int_equal(
	    extract(*state, BUILD(everything), "lib/a.txt", &how, &report, &err),
	    -ENOTDIR);
	assert_string_equal(err.text, "lib/a.txt: no directory in the tree");
	assert_int_equal(extract(*state, BUILD(everything), "x", &how, &report, &err),
			 -ENOENT);
	assert_string_equal(err.text, "x: there is none in the tree");
}

static void times_before_1970(void **state)
{
	struct pack_item item = {
	    .path = "old", .type = PACK_DIR, .mode = 0755, .mtime_ns = -1};
	struct building b;
	struct stat st;

	build_begin(&b);
	assert_int_equal(pack_maker_add(b.maker, &item), 0);
	extract_all(*state, build_end(&b));
	st = lstat_of("out/old");
	assert_int_equal(st.st_mtim.tv_sec, -1);
	assert_int_equal(st.st_mtim.tv_nsec, NSEC_PER_SEC - 1);
}

/* Several windows, several threads. */
static void many_files_are_restored_and_kept(void **state)
{
	struct extract_report report = extract_all(*state, build_many());
	char path[64], full[80], text[64];

	assert_int_equal(report.written_files, MANY);
	for (unsigned int i = 0; i < MANY; i++) {
		many_name(i, path);
		snprintf(full, sizeof(full), "out/%s", path);
		snprintf(text, sizeof(text), "content of %u", i * 7);
		text_is(full, text);
	}
	write_text("out/d07/e1/file-7", "content of 94");
	report = extract_all(*state, build_many());
	assert_int_equal(report.written_files, 1);
	assert_int_equal(report.kept_files, MANY - 1);
	text_is("out/d07/e1/file-7", "content of 49");
	no_temporary_files();
}

/* So that the next time nothing is read. */
static void what_is_written_is_remembered(void **state)
{
	struct extract how = {.mtime = EXTRACT_MTIME_KEEP};
	struct scratch *s = *state;
	uint8_t hash[FILEHASH_BYTES], want[FILEHASH_BYTES];
	struct extract_report report;
	struct errmsg err = {""};
	struct stat st;

	setenv("XDG_CACHE_HOME", s->path, 1);
	write_text("out/bin", "in the way");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(filehash_open(s->fd, &how.fh), 0);
		st = i ? lstat_of("out/lib/a.txt") : (struct stat){0};
		assert_int_equal(filehash_known(how.fh, &st, hash), i);
		assert_int_equal(extract(s, BUILD(everything), "", &how, &report, &err),
				 0);
		assert_int_equal(report.written_files, i ? 0 : 7);
		filehash_close(how.fh);
	}
	unsetenv("XDG_CACHE_HOME");
	hash_of("hello\n", 6, want);
	assert_memory_equal(hash, want, sizeof(want));
}

#define LARGE ((size_t)5 * 1024 * 1024 + 17)

static uint8_t *large_content(void)
{
	uint8_t *bytes = malloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	return bytes;
}

/* Contents may be shared, and lie in one another. */
static void large_and_shared_contents(void **state)
{
	uint8_t *bytes = large_content();
	struct building b;

	build_begin(&b);
	build_file(&b, "large", 0644, bytes, LARGE);
	build_file_at(&b, "again", 0600, 0, bytes, LARGE);
	build_file_at(&b, "begin", 0644, 0, bytes, 10);
	build_file_at(&b, "inside", 0644, 5, bytes + 5, 4096);
	build_file_at(&b, "none", 0644, LARGE, bytes, 0);
	extract_all(*state, build_end(&b));
	content_is("out/large", bytes, LARGE);
	content_is("out/again", bytes, LARGE);
	content_is("out/begin", bytes, 10);
	content_is("out/inside", bytes + 5, 4096);
	content_is("out/none", bytes, 0);
	no_temporary_files();
	free(bytes);
}

/* Nothing that is not what was saved gets a name, nor replaces what has it. */
static void damage_is_not_restored(void **state)
{
	uint8_t *bytes = large_content();

	for (int there = 0; there < 2; there++) {
		for (int large = 0; large < 2; large++) {
			size_t len = large ? LARGE : 100;
			struct building b;

			build_begin(&b);
			build_file(&b, "f", 0644, bytes, len);
			b.bytes.data[len - 1] ^= 1;
			if (there)
				write_text("out/f", "before");
			extract_fails(*state, build_end(&b), -EBADMSG,
				      "f: its content in the tree is damaged; it is not "
				      "restored");
			if (there)
				text_is("out/f", "before");
			else
				is_absent("out/f");
			no_temporary_files();
		}
	}
	free(bytes);
}

static void no_room_leaves_no_half_files(void **state)
{
	struct rlimit before, small = {.rlim_cur = 1 << 16, .rlim_max = RLIM_INFINITY};
	uint8_t *bytes = large_content();
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	for (int large = 0; large < 2; large++) {
		struct building b;
		int fd;

		build_begin(&b);
		build_file(&b, "f", 0644, bytes, large ? LARGE : 200000);
		fd = build_end(&b);
		setrlimit(RLIMIT_FSIZE, &small);
		extract_fails(*state, fd, -EFBIG, "f: File too large");
		setrlimit(RLIMIT_FSIZE, &before);
		is_absent("out/f");
		no_temporary_files();
	}
	signal(SIGXFSZ, handler);
	free(bytes);
}

/* Deeper than directories are kept open, with few descriptors to be had. */
static void deep_trees_need_few_descriptors(void **state)
{
	struct rlimit before, few;
	char path[1024] = "", full[1100];
	struct building b;
	int fd;

	build_begin(&b);
	for (int i = 0; i < 300; i++) {
		size_t len = strlen(path);

		snprintf(path + len, sizeof(path) - len, "%sd", len ? "/" : "");
		if (i % 30 == 29) {
			snprintf(full, sizeof(full), "%s/file", path);
			build_file(&b, full, 0644, full, strlen(full));
		}
	}
	fd = build_end(&b);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 200;
	setrlimit(RLIMIT_NOFILE, &few);
	extract_all(*state, dup(fd));
	assert_int_equal(extract_all(*state, fd).kept_files, 10);
	setrlimit(RLIMIT_NOFILE, &before);
	snprintf(full, sizeof(full), "out/%s/file", path);
	text_is(full, full + 4);
}

static void it_stops_when_told_to(void **state)
{
	atomic_int stop = 1;
	const struct extract how = {.stop = &stop};
	struct extract_report report;
	struct errmsg err = {""};

	assert_int_equal(extract(*state, build_many(), "", &how, &report, &err), -EINTR);
	assert_string_equal(err.text, "interrupted");
	is_absent("out/d00");
}

struct seen {
	uint64_t files, bytes, calls;
};

static void see(void *arg, uint64_t files, uint64_t bytes)
{
	struct seen *seen = arg;

	assert_true(files >= seen->files && bytes >= seen->bytes);
	*seen = (struct seen){.files = files, .bytes = bytes, .calls = seen->calls + 1};
}

static void progress_grows(void **state)
{
	struct seen seen = {0};
	const struct extract how = {.progress = see, .arg = &seen};
	struct extract_report report;
	struct errmsg err = {""};

	assert_int_equal(extract(*state, build_many(), "", &how, &report, &err), 0);
	assert_true(seen.calls > 100);
	assert_true(seen.files <= MANY);
}

/* 40 directories with 40 entries each, so many that threads look at them. */
static int build_large(void)
{
	struct building b;

	build_begin(&b);
	for (int i = 0; i < 40 * 40; i++) {
		char path[32];
		struct spec link = {path, PACK_LINK, 0777, "../there"};

		snprintf(path, sizeof(path), "d%02d/%02d", i / 40, i % 40);
		if (i % 40 == 7)
			build_other(&b, &link);
		else
			build_file(&b, path, 0644, "text", i % 2 ? 4 : 0);
	}
	return build_end(&b);
}

static void a_large_tree_is_compared_by_threads(void **state)
{
	struct extract_report report = extract_all(*state, build_large());
	struct stat st;

	assert_int_equal(report.written_files, 1600);
	report = extract_all(*state, build_large());
	assert_int_equal(report.written_files, 0);
	assert_int_equal(report.kept_files, 1600);
	assert_int_equal(report.kept_bytes, 4 * (800 - 40));
	assert_int_equal(
	    unlink("out/d00/00") | unlink("out/d05/07") | unlink("out/d39/39"), 0);
	assert_int_equal(symlink("elsewhere", "out/d05/07"), 0);
	write_text("out/d10/02", "no longer empty");
	write_text("out/d11/01", "tex_");
	assert_int_equal(chmod("out/d12/02", 0600) | chmod("out/d13", 0700), 0);
	assert_int_equal(rename("out/d20", "out/moved") | symlink("moved", "out/d20"), 0);
	report = extract_all(*state, build_large());
	/* d20 is a symlink: what is behind that is not looked at. */
	assert_int_equal(report.written_files, 5 + 40);
	assert_int_equal(report.kept_files, 1600 - 45);
	content_is("out/d00/00", "", 0);
	content_is("out/d10/02", "", 0);
	text_is("out/d11/01", "text");
	text_is("out/d39/39", "text");
	text_is("out/d20/01", "text");
	st = lstat_of("out/d12/02");
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	st = lstat_of("out/d20");
	assert_true(S_ISDIR(st.st_mode));
	st = lstat_of("out/d13");
	assert_int_equal(st.st_mode & 07777, lstat_of("out/d14").st_mode & 07777);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_small_pack_is_kept_whole),
	    TEST(a_large_pack_is_read_as_needed),
	    TEST(what_is_no_pack_is_told),
	    TEST(everything_is_restored),
	    TEST(the_umask_counts),
	    TEST(what_is_there_is_kept),
	    TEST(what_differs_is_replaced),
	    TEST(nothing_leads_out),
	    TEST(what_is_in_the_way_goes),
	    TEST(a_full_directory_is_not_removed),
	    TEST(other_directories_stay_as_they_are),
	    TEST(a_part_is_restored),
	    TEST(a_prefix_is_taken_off),
	    TEST(times_before_1970),
	    TEST(many_files_are_restored_and_kept),
	    TEST(a_large_tree_is_compared_by_threads),
	    TEST(what_is_written_is_remembered),
	    TEST(large_and_shared_contents),
	    TEST(damage_is_not_restored),
	    TEST(no_room_leaves_no_half_files),
	    TEST(deep_trees_need_few_descriptors),
	    TEST(it_stops_when_told_to),
	    TEST(progress_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
