/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of files, remembered.
 *
 * The XXH3-128 of a file is known again by device, inode number, size, mtime and
 * ctime, so that an unchanged tree need not be read. A file whose times are of the
 * last two seconds when it is hashed is not remembered: it could be changed once more
 * within one tick of its file system's clock. What this process has written itself is
 * (filehash_wrote).
 *
 * Of whole trees, too, it is remembered what their hash was, by a digest of all that
 * stat(2) says of what is in them: one look-up stands for one a file.
 *
 * The memory is a file for each base directory, below ~/.cache/memofs/hashes (see
 * XDG_CACHE_HOME), readable by its owner only, mapped as it is, so that one lookup
 * costs no parsing. It is a cache: where it is missing, damaged, of another version,
 * somebody else's, or cannot be written, files are read. What was not asked for in a
 * month is forgotten.
 *
 * Any number of threads may use one.
 */
#ifndef MEMOFS_CLI_TREE_FILEHASH_H
#define MEMOFS_CLI_TREE_FILEHASH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define FILEHASH_BYTES 16

struct filehash;

/* The same file, and nothing says that it was changed? */
bool filehash_same_file(const struct stat *a, const struct stat *b);

/* For the files below this directory. Never fails but for memory: -ENOMEM. */
int filehash_open(int dirfd, struct filehash **ret_memory);
/*
 * Write down what was learnt, atomically; of several who do it at once the last one
 * wins. Where something was written, it waits until the clock has gone on from that
 * (filehash_wrote), 20 ms at most.
 */
void filehash_close(struct filehash *fh); /* NULL is fine */

/* Known, from what stat(2) says alone? */
bool filehash_known(struct filehash *fh, const struct stat *st,
		    uint8_t ret_hash[FILEHASH_BYTES]);
/* Remember, if it is safe to (see above). `st`: as it was before the file was read. */
void filehash_learn(struct filehash *fh, const struct stat *st,
		    const uint8_t hash[FILEHASH_BYTES]);
/*
 * This process has made the file, just now, with this content; `st` as it is since.
 * Its times are of this moment, so it would not be safe to remember, were it not that
 * filehash_close() lets the moment pass: whoever changes the file afterwards changes
 * its times. Not on file systems whose clocks may be coarser than that; they are told
 * by the type of `fd`'s, any file there.
 */
void filehash_wrote(struct filehash *fh, int fd, const struct stat *st,
		    const uint8_t hash[FILEHASH_BYTES]);
/*
 * The hash of a whole tree, by a digest of the names in it, with types, permissions,
 * targets of symlinks, and what filehash_known() compares of each file. Not known when
 * it was learnt more than a few days ago, so that its files are asked for and not
 * forgotten. To be learnt only where each file is known.
 */
bool filehash_tree_known(struct filehash *fh, const uint8_t digest[FILEHASH_BYTES],
			 uint8_t ret_hash[FILEHASH_BYTES]);
void filehash_tree_learn(struct filehash *fh, const uint8_t digest[FILEHASH_BYTES],
			 const uint8_t hash[FILEHASH_BYTES]);
/*
 * Of the open file `fd`, from the memory or by reading it (and then learnt). `st` is
 * its fstat(2). -EAGAIN: it changed while it was read; else -errno of read(2).
 */
int filehash_get(struct filehash *fh, int fd, const struct stat *st,
		 uint8_t ret_hash[FILEHASH_BYTES]);

#endif
