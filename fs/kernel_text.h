/* SPDX-License-Identifier: Apache-2.0 */
/* Small texts that the kernel has in /proc and /sys. */
#ifndef MEMOFS_FS_KERNEL_TEXT_H
#define MEMOFS_FS_KERNEL_TEXT_H

#include <stddef.h>

/*
 * As much of it as there is room for, and a NUL. Returns its length; 0: it is empty, is
 * not there, or cannot be read. `size` is at least 1.
 */
size_t kernel_text(const char *path, char *ret_text, size_t size);

#endif
