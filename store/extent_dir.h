/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents as files of a directory:
 *
 *   STORE/stage/<16 hex digits>        being written
 *   STORE/extents/XX/<16 hex digits>   committed; XX: the last two of the digits
 *
 * The digits are the inode number. Files of any other name are left alone. The
 * contract of each function is that of backend_extent_*() in "store/backend.h";
 * all but _new and _free may be called from any thread.
 */
#ifndef MEMOFS_STORE_EXTENT_DIR_H
#define MEMOFS_STORE_EXTENT_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent_dir;

/*
 * Open or make the folders below the directory `store_fd`, which stays the
 * caller's, and drop what an earlier process left staged, but for `staged`.
 */
int extent_dir_new(int store_fd, const uint64_t *staged, size_t staged_count,
		   struct extent_dir **ret_dir);
void extent_dir_free(struct extent_dir *dir); /* NULL is fine */

/* Where an extent is, from the store's directory. */
#define EXTENT_NAME_MAX (sizeof("extents/xx/") + 16)
void extent_dir_name(uint64_t ino, char ret_name[EXTENT_NAME_MAX]);

int extent_dir_stage(struct extent_dir *dir, uint64_t ino, int *ret_fd);
int extent_dir_commit(struct extent_dir *dir, uint64_t ino);
int extent_dir_open(struct extent_dir *dir, uint64_t ino, int *ret_fd);
int extent_dir_remove(struct extent_dir *dir, uint64_t ino);
int extent_dir_punch(struct extent_dir *dir, uint64_t ino, uint64_t off, uint64_t len);
int extent_dir_list(struct extent_dir *dir, int (*each)(void *arg, uint64_t ino),
		    void *arg);
int extent_dir_sync(struct extent_dir *dir);
int extent_dir_sync_name(struct extent_dir *dir, uint64_t ino);
int extent_dir_resume(struct extent_dir *dir, uint64_t ino, bool *ret_committed,
		      int *ret_fd);
/* See backend_extent_strays(). */
int extent_dir_strays(struct extent_dir *dir, int (*each)(void *arg, const char *path),
		      void *arg);

#endif
