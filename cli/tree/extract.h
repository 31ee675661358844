/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of packread_extract() share; nobody else includes it.
 *
 * Of a large tree several threads find what is there as it should be, and change
 * nothing. Then one thread looks at the rest: it makes directories and symlinks, and
 * finds the files that are there already. The others are jobs, in the order in which
 * their contents lie in the pack, cut into windows that are read at once; several
 * threads take them one by one. At last directories get their permissions and times,
 * when nothing more is made in them.
 */
#ifndef MEMOFS_CLI_TREE_EXTRACT_H
#define MEMOFS_CLI_TREE_EXTRACT_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/tree/dirstack.h"
#include "cli/tree/packread.h"

enum extract_flag {
	EXTRACT_WANTED = 1,
	EXTRACT_MADE = 2,    /* a directory that was not there: nothing is in it */
	EXTRACT_TOUCHED = 4, /* one that will not have the right permissions and times */
	EXTRACT_SAME = 8,    /* it is there as it should be, and counted */
};

enum job_state {
	JOB_NEW,     /* nothing is there */
	JOB_COMPARE, /* a file of the same size, which must be read */
	JOB_REPLACE, /* something else that rename(2) replaces */
};

struct job {
	uint32_t entry;
	enum job_state state;
};

struct extraction {
	struct packread *r;
	const struct extract *how;
	uint32_t root;
	int dirfd;
	mode_t umask;
	/* enum extract_flag, of each entry; of one thread, or, while several look for
	 * what is the same, each entry's of one. */
	uint8_t *flags;
	struct job *jobs;
	size_t n_jobs, jobs_cap;

	_Atomic uint64_t written_files, written_bytes, kept_files, kept_bytes;
	atomic_bool failed;
	pthread_mutex_t lock; /* of what follows */
	int error;	      /* the first */
	struct errmsg *err;
};

/* The name of an entry, for a system call. */
struct entry_name {
	char text[PACK_NAME_MAX + 1];
};
static inline struct entry_name entry_name(const struct pack_entry *e)
{
	struct entry_name name = {""};

	memcpy(name.text, e->name.data, e->name.len);
	return name;
}

/* Note the first failure: `why`, or strerror(-r), about an entry. Returns r. */
int extract_fail(struct extraction *x, uint32_t entry, int r, const char *why);
/* Has something failed, or is it to stop? */
bool extract_ends(struct extraction *x);
void extract_progress(struct extraction *x);
void extract_count(struct extraction *x, bool written, uint64_t bytes);

/* The permissions that a file or directory is to have. */
mode_t extract_mode(const struct extraction *x, const struct pack_entry *e);
/* For futimens(2): the entry's time, or that of now. */
void extract_times(const struct extraction *x, const struct pack_entry *e,
		   struct timespec ret_times[2]);
bool extract_time_differs(const struct extraction *x, const struct pack_entry *e,
			  const struct stat *st);
/* Does what is known tell that a file's content is there? Else what is to be done. */
bool extract_content_known(const struct extraction *x, const struct pack_entry *e,
			   const struct stat *st, enum job_state *ret_state);
/* Has this symlink the right target? */
bool extract_target_is(int dirfd, const char *name, const struct pack_entry *e);
/*
 * A file has the right content; mend its permissions and time. False: not permitted.
 * `learn`: it was read, `st` is from before that.
 */
bool extract_keep(struct extraction *x, int dirfd, const char *name,
		  const struct pack_entry *e, const struct stat *st, bool learn);

/*
 * Have threads work together, the one that called among them, which is `main` and has
 * the signals; `jobs`: more of them are of no use. It is fine when there are fewer.
 */
void extract_together(size_t jobs, void (*work)(void *arg, bool main), void *arg);
/* Flag and count what is there as it should be. */
void extract_same(struct extraction *x);
/* Do the jobs, which are put in order. Failures are noted. */
void extract_files(struct extraction *x);

#endif
