/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on where a daemon before this one died: the order of things.
 *
 *	keep_open()	  the holder's memory
 *	resume_inos()	  what the kernel still has open, for store_options.kept_inos
 *	store_open()	  with the keep, and these numbers
 *	make_tables()
 *	resume_tables()	  at every start: from here on the tables keep what they have.
 *			  Before that nodes, values being written and descriptors are
 *			  brought back, when there are any
 *	session_new()	  on the holder's descriptor, INIT is fed; sets fs->resuming
 *	session_start()	  while fs->resuming, by resend_collect(): calls
 *			  resume_session_begin(), tells the kernel to send again what was
 *			  under way, reads all of that before anything is answered, notes
 *			  each RELEASE in it, calls resume_session_end(); has RELEASEs
 *			  handled before the rest
 *
 * Without a keep all of it does nothing, and it may be called.
 *
 * Values and descriptors. resume_tables() calls pending_resume(), and then for each
 * descriptor of a value pending_resumed() and, if it may write, pending_resume_writer().
 * resume_session_end() calls pending_resume_end() and store_resume_end(): what that
 * publishes is told to the kernel, for which the session has to be there, and it comes
 * after the resent RELEASEs were noted.
 *
 * What is kept of a descriptor goes after pending_release() has returned. So a value
 * whose last RELEASE was under way has its writer again, and that RELEASE comes again; a
 * descriptor whose value is gone by then has none, and its RELEASE does nothing.
 *
 * A request that is sent again and had made a descriptor is answered with that one, which
 * knows the request's number. So of OPEN, OPENDIR and CREATE only what comes before the
 * descriptor must not be done twice.
 */
#ifndef MEMOFS_FS_RESUME_H
#define MEMOFS_FS_RESUME_H

#include "store/util/buf.h"
#include "store/util/err.h"

struct fs;
struct keep;

/*
 * The numbers of generations, and of files in sealed trees, that are open: uint64_t in
 * *ret_inos, in no order, perhaps several times. -ENOMEM; -EUCLEAN: a record is bad.
 */
int resume_inos(struct keep *k, struct buf *ret_inos);
/* Of fs->keep. -ENOMEM, -EUCLEAN, or what pending_resume() says. */
int resume_tables(struct fs *fs, struct errmsg *err);

/* For resend_collect(). What the kernel may have cached is asked for anew. */
void resume_session_begin(struct fs *fs);
void resume_session_end(struct fs *fs);

/*
 * Where the kernel cannot send again (before 6.9): this request was under way, and has
 * got EIO now. A descriptor that it had opened is nobody's. Before resume_session_end();
 * and after it, descriptors whose RELEASE was under way are released.
 */
void resume_failed(struct fs *fs, uint64_t unique);
void resume_releases(struct fs *fs);

#endif
