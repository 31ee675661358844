/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon may do on the machine besides what its user may: nothing, unless that
 * is root. Then it keeps
 *  - CAP_SYS_ADMIN, to mount and to unmount;
 *  - CAP_SYS_PTRACE, by which /proc shows how other users' processes have ended
 *    (fs/producer.h);
 *  - what passes over modes, only if the store or what leads to it or to the mount point
 *    belongs to somebody else.
 * The rest goes, from the bounding set as well, and nothing that it starts gets more.
 *
 * It stays dumpable. Who could attach to it is its own user, who can open the store
 * anyway, and the stacks of a daemon that hangs are worth something.
 */
#ifndef MEMOFS_FS_PRIVILEGES_H
#define MEMOFS_FS_PRIVILEGES_H

struct privileges_paths {
	const char *store; /* may be missing; NULL: none */
	const char *mountpoint;
	const char *config, *log; /* opened again while it runs; NULL: none */
};

/*
 * Before the first thread is started: threads begin with what the one has that starts
 * them. What cannot be dropped is logged.
 */
void privileges_drop(const struct privileges_paths *paths);

#endif
