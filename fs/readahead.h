/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the kernel reads ahead in files of a mount.
 *
 * FUSE takes the kernel's default, 128 KiB, and INIT can only make it less. So a large
 * value that is read from its beginning to its end comes in requests of 128 KiB, of which
 * each wakes a worker and then the reader. More of it costs nobody who reads little at a
 * time: the kernel begins with what was asked for, some times over, and goes on from
 * there. Only a page of a mapped file that is not there brings all of it, half of that
 * before it.
 *
 * The knob is read_ahead_kb of the mount's backing device (BDI) in sysfs: root's, where
 * sysfs is there and can be written. What is not the default has been set by somebody, as
 * by a rule of udev, and stays.
 */
#ifndef MEMOFS_FS_READAHEAD_H
#define MEMOFS_FS_READAHEAD_H

#include <sys/types.h>

struct fs;

/* Measured: see docs/profiles.md. */
enum { READAHEAD_KIB = 512 };

/*
 * After INIT was answered, which sets it too. The device is fs->dev, or that of the mount
 * that is seen at fs->mountpoint; no file of the mount is looked at. Nothing depends on
 * it: what fails is a line in the log at level debug.
 */
void readahead_begin(struct fs *fs);

/*
 * Of one device, below a directory that is as /sys/class/bdi is. -EEXIST: it is not the
 * default, and stays; -EINVAL: it is no device of a mount without a disk, or there is no
 * number; else what opening and writing say: -ENOENT, -EACCES, -EROFS.
 */
int readahead_raise(const char *bdis, dev_t dev);

#endif
