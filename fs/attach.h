/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More mounts of a store that is mounted: read-only ones (fs/fast.h), each with tables
 * and a connection of its own, served by the daemon of the first, the *live* one.
 *
 * `memofs mount --attach` mounts, with what its caller may and where he sees it, and
 * passes the connection (store/util/attach_packet.h). So the daemon mounts nothing where
 * somebody tells it to.
 *
 * Two connections have no order in common, and what has returned at the live mount has to
 * be seen at once at the attached ones. Of that there are two halves:
 *  - What an attached mount's kernel keeps (attach_name_changed). Each mount knows what
 *    names its kernel was told since its epoch began, with some too many. Who has changed
 *    one of these makes all of that mount's stale, before he is answered:
 *    FUSE_NOTIFY_INC_EPOCH takes no lock of the kernel, and counts for answers that are
 *    under way. What is absent is not kept: of a name that nobody was told nothing need
 *    be said, and so a stream of new values costs the others nothing. Names that are
 *    stale stay where they are, and the content of what has lost its name is held until
 *    the kernel was told by FUSE_NOTIFY_PRUNE to forget it. So nothing is attached where
 *    the kernel has not both (before 6.18).
 *  - What it asks (attach_settle). A RELEASE may still be on its way when close(2) has
 *    returned; at the live mount it is received before what its kernel sends afterwards,
 *    but not before a request of another connection. So who asks for a name, of which a
 *    value has seen a FLUSH and no RELEASE, has the live kernel put a mark behind all
 *    that waits there: FUSE_NOTIFY_RETRIEVE of nothing, which is answered by a message in
 *    the same queue, and waits for that.
 *
 * They end with the live mount, and with its process: a successor does not take them up.
 */
#ifndef MEMOFS_FS_ATTACH_H
#define MEMOFS_FS_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"

struct attach;
struct fs;
struct fuse_req;
struct fuse_bufvec;

/* For so many seconds the kernel of an attached mount uses attributes. */
#define ATTACH_ATTR_S 30.0

/* ---- the live mount; `fs` is its ---- */

/* For fs->attach, before there are workers. NULL: no memory. */
struct attach *attach_new(struct fs *live);
/* Listen. Without it the mount works, and nothing can be attached: a line in the log. */
void attach_begin(struct fs *fs);
/* About once a second, and the next from the same thread: what was unmounted is freed. */
void attach_tick(struct fs *fs);
/*
 * Ends all that is attached; before anything of the live mount is taken down. `unmount`:
 * and takes it from where this process sees it: not when the live mount may still be
 * there, and nobody serves it.
 */
void attach_end(struct fs *fs, bool unmount);
/* What is left then, when no thread changes anything any more. NULL is fine. */
void attach_free(struct attach *a);

/* Is anything attached? Costs one atomic read. */
bool attach_any(const struct fs *fs);

/*
 * Something changed, and was committed; when these return, no kernel of an attached mount
 * goes by what it was told before. Of a live mount with nothing attached, and of an
 * attached one, nothing happens.
 */
void attach_all_changed(struct fs *fs);
/* The name, and with it the directory's times. */
void attach_name_changed(struct fs *fs, uint64_t branch, const char *name);
void attach_dir_changed(struct fs *fs, uint64_t dir_ino);
/* By a descriptor its attributes may be seen a moment later. */
void attach_file_changed(struct fs *fs, uint64_t ino);

/* Of the mark that came back. */
void op_retrieve_reply(struct fuse_req *req, void *cookie, uint64_t ino, off_t off,
		       struct fuse_bufvec *bufv);

/* ---- an attached one; of a live mount nothing happens ---- */

/* The kernel is about to be told of a name, which it may keep; look at it afterwards. */
void attach_telling(struct fs *fs, uint64_t branch, const char *name);
/*
 * What was closed at the live mount under this name (NULL: any in the branch) is known:
 * pending_wait() waits for it. Before any of it is looked at, which must not be when this
 * fails: -ETIMEDOUT: the live mount's requests are not received; -ENOTCONN: it ends.
 */
int attach_settle(struct fs *fs, uint64_t branch, const char *name);

/* For /.memofs/status of either: its lines. -ENOMEM. */
int attach_text(struct fs *fs, struct buf *out);

#endif
