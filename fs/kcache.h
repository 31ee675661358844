/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel may keep, and how it is told that it may not.
 *
 * Three means, from cheap to dear:
 *  - time: an answer about a name is good until the entry expires;
 *  - one name: changed through one path while another path shows it too (a
 *    view). A thread does it, because the kernel takes the directory's lock for
 *    it, which a request that we are handling may hold;
 *  - everything: FUSE_NOTIFY_INC_EPOCH (kernel 6.16) makes all names stale in
 *    O(1) and takes no lock, so a handler may use it before it replies.
 * On a kernel without the last, names are given out for a short time only. Where nobody
 * goes on for a daemon that dies (no holder has the connection), the last is used in
 * place of the second: who is killed while it waits for a lock takes the mount with it,
 * which hangs. Once a second is enough for what the store drops.
 *
 * What is attached to the mount is told of the same changes, before these return
 * (fs/attach.h).
 */
#ifndef MEMOFS_FS_KCACHE_H
#define MEMOFS_FS_KCACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fs;
struct fuse_req;
struct kcache;

/* Attributes change by requests of the kernel, or kcache_dir_changed() tells it. */
#define ATTR_TIMEOUT_S 86400.0

/* Does the kernel know FUSE_NOTIFY_INC_EPOCH (6.16)? */
bool kcache_has_epoch(struct kcache *kc);
/* For how many seconds the kernel may use attributes of an inode. */
double kcache_attr_timeout(const struct fs *fs);
/* And what is in `.memofs`, names and attributes, which stay as they are. */
double kcache_control_timeout(const struct fs *fs);

int kcache_new(struct fs *fs, struct kcache **ret_kc);
/*
 * Ends the thread, when all is delivered that waits. What it delivers may wait for what
 * is asked of this mount: while workers answer, or when it is not mounted any more. From
 * one thread; nothing may change afterwards.
 */
void kcache_stop(struct kcache *kc);
/* The same, and it is freed; NULL is fine. The session must not be mounted any more. */
void kcache_free(struct kcache *kc);
/* Once the session runs: find out what the kernel can do. */
void kcache_probe(struct kcache *kc);
/*
 * To be called about once a second. A directory's lock may be held for as long as a
 * program likes: getdents(2) into a page that its own file system does not deliver.
 * So a close that has waited for the thread longer than a second is answered
 * here, with all names made stale. (Without the means for it, they are by now.)
 */
void kcache_tick(struct kcache *kc);

/*
 * For how many seconds the kernel may use an answer that holds until
 * `expires_ns` (DURATION_NONE: until something changes).
 */
double kcache_timeout(struct kcache *kc, int64_t expires_ns);
/*
 * May the kernel be told of nodes by READDIRPLUS of this directory? What it is told so
 * gets the epoch in which it arrives; so not where other paths change what it shows and
 * one name is not told of.
 */
bool kcache_lists_nodes(struct kcache *kc, uint64_t nodeid, uint64_t dir_ino);

/* Names, any number of them, mean something else now. */
void kcache_all_changed(struct kcache *kc);
/*
 * (branch, name) changed through the directory node `through`: tell every other
 * node that shows the branch. `through` is 0 for a publish, which happens after
 * the last request through any node. Returns what to kcache_wait() for; 0: nothing.
 */
uint64_t kcache_name_changed(struct kcache *kc, uint64_t branch, const char *name,
			     uint64_t through);
/*
 * Before a request that made, moved or removed a name, or set attributes, is answered:
 * until the other paths were told, so that whoever acts after it sees it by any path. The
 * request holds the lock of its directory, and to tell another its lock is taken, which
 * may be held by a request that waits here too: so a millisecond at most, and then all
 * names are made stale, and looked up with their attributes. (Without the means for it,
 * the others see it a moment later.)
 */
void kcache_wait(struct kcache *kc, uint64_t ticket);
/* Of two changes, either of which may have nothing to wait for, in the order they were
 * made: what to kcache_wait() for. */
static inline uint64_t kcache_later(uint64_t first, uint64_t second)
{
	return second ? second : first;
}
/*
 * A close is about to publish (branch, name): answer the request, a FLUSH, with `r`
 * (0 or -errno) when no node that shows the branch has what is cached of the name
 * any more. Until the publish the name is busy, and is cached by nobody; so who
 * asks after close(2) has returned asks the daemon, whatever path it takes. Nobody
 * waits meanwhile but the one who closes, who holds no lock of the kernel.
 */
void kcache_name_changing(struct kcache *kc, uint64_t branch, const char *name,
			  struct fuse_req *req, int r);
/*
 * The store has dropped the name of `ino` by itself: every path is told a moment later.
 * `expired`: what the kernel was told of it ended before. Any number of them; where they
 * come faster than one by one can be told, all names are made stale together. (Without
 * the means for it, they expire within a second.)
 */
void kcache_name_dropped(struct kcache *kc, uint64_t branch, const char *name,
			 uint64_t ino, bool expired);
/*
 * What the kernel knows about this one name may be good for too long, though not
 * yet: it has not expired.
 */
void kcache_name_expires(struct kcache *kc, uint64_t nodeid, const char *name);
/* The kernel is to ask again for the names of this directory that it has listed. */
void kcache_listing_changed(struct kcache *kc, uint64_t nodeid);
/* What is cached of this one node may be wrong, its name apart. */
void kcache_node_changed(struct kcache *kc, uint64_t nodeid);
/* fast_prune() a moment later, by the thread. Without memory it is for the next time. */
void kcache_prune(struct kcache *kc);
/* The attributes of a directory changed through one of its nodes; 0: through none.
 * Returns what to kcache_wait() for, as kcache_name_changed() does. */
uint64_t kcache_dir_changed(struct kcache *kc, uint64_t dir_ino, uint64_t through);
/* The same of a file or symlink, which has a node under each view that restricts. */
uint64_t kcache_file_changed(struct kcache *kc, uint64_t ino, uint64_t through);
/*
 * How often each of these was called. Who answers with a node that the kernel may not
 * have asks before it looks at the attributes and, when the node is made, again: what
 * changed in between was not told of that node, and what changes later is.
 */
struct kcache_changes {
	uint64_t dirs, files;
};
struct kcache_changes kcache_changes(struct kcache *kc);
/* May attributes of something of this mode, looked at after `before`, be old by now? */
bool kcache_changed_since(struct kcache *kc, const struct kcache_changes *before,
			  mode_t mode);

#endif
