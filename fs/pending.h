/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values being written: who writes what, and when it becomes visible.
 *
 * A pending value is known by its inode number and by (branch, name). By name
 * only its owner sees it: the process that opened it, told by the thread that
 * the kernel names in a request. Until its first opener has come it is that
 * thread's alone, so that no other can close it before. A process which the
 * daemon cannot see (tid 0: of a pid namespace that is not below the daemon's)
 * cannot be told from others like it, and sees no more than these do. Several
 * may be pending under one name; the last to close wins.
 *
 * From the moment its last writer is gone a value is closing: it cannot be
 * opened for writing, renamed or removed any more as something that is being
 * written. Who wants to waits, and then finds it published.
 *
 * The gate. RELEASE comes after close(2) has returned, so the session notes it
 * (pending_note_release) before it receives anything else, and whatever depends
 * on the name waits (pending_wait) until that release was handled. Waiting costs
 * nothing while no release of a writer is under way.
 *
 * A producer that failed publishes nothing. Producers are the process that opened
 * the value, those that wrote to it, and the one that closed it last. One that is
 * ending when it closes tells at once how. If the last closer lives on, the value
 * *lingers*, closing, until it is known how that ended, for LINGER_MAX_NS at most,
 * or ASK_MAX_NS once somebody asks for the name, and not at all when the asker is
 * the closer or was started by it. (Time for which it gets no CPU does not count, up
 * to STARVE_MAX_NS.) Then it is published, unless something is known against it. A
 * process that the daemon cannot see counts as one that ended well.
 *
 * A sealed value (view/pack) is to be a whole pack when it is published. Each close
 * after something was written to it checks that, so that who wrote it is told; what is
 * none at the last release is dropped.
 *
 * Reservations (store/lease.h). A value holds the lease of its name while it is
 * written, if that is free. With an owner (view/owner=ID) it needs the lease which
 * that one has: a value whose lease was lost is dropped.
 */
#ifndef MEMOFS_FS_PENDING_H
#define MEMOFS_FS_PENDING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/user_limits.h"
#include "store/store.h"

/* How long a value lingers while nobody asks for it, */
#define LINGER_MAX_NS (NSEC_PER_SEC / 4)
/* and from then on. From its last close to its end a python that raises takes 7 to
 * 10 ms, with many modules, or from 3.13 on, 20 to 30; coreutils take less than one. */
#define ASK_MAX_NS (NSEC_PER_SEC / 50)
/* On a busy machine these pass while it waits for a CPU. Then it is given time until it
 * has run for so long, */
#define ASK_RAN_NS (ASK_MAX_NS * 3)
/* but after this, counted from the close, it is decided whatever it does. */
#define STARVE_MAX_NS (2 * NSEC_PER_SEC)
/* So long, once its closer has begun another value there: a stream of values is published
 * in passes, beside who writes them. */
#define LEFT_MAX_NS (NSEC_PER_SEC / 500)
/* So many at a time; then the oldest is decided. */
enum { LINGER_COUNT_MAX = 1024 };

struct failures;
struct pending;
struct pending_table;

/* Called without locks, by any thread. Each may be NULL. */
struct pending_events {
	/* A value is now what the name shows. */
	void (*published)(void *arg, uint64_t branch, const char *name);
	/* A value of that name was published, dropped or renamed away, and its lease
	 * is free; or it has begun to linger. Whoever waits may look again, and ask. */
	void (*settled)(void *arg, uint64_t branch, const char *name);
	/* For counting: a generation was made, in so long, which had cost so much (if
	 * negative, that is not known); or a value was not stored, for a reason. */
	void (*stored)(void *arg, uint64_t branch, double cost_s, int64_t took_ns);
	void (*failed)(void *arg, uint64_t branch);
	/* Or O_EXCL has taken the lease of a name; `busy`: has found it taken. */
	void (*reserved)(void *arg, uint64_t branch, bool busy);
	void *arg;
};

struct pending_args {
	uint64_t branch;
	const char *name;
	uint64_t base_ino; /* the generation it replaces, or 0 */
	bool truncate;	   /* do not take over the content of the base */
	bool exclusive;	   /* O_EXCL: fail while anyone else writes the name */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	pid_t tid;	   /* as in the request; 0: not visible from here */
	const char *owner; /* of view/owner=; NULL: none */
	bool sealed;	   /* of view/pack: it is to be a pack */
};

/*
 * `events` is copied; NULL: nobody is told. Starts a thread. -ENOMEM, -EMFILE,
 * -EAGAIN.
 */
int pending_table_new(struct store *st, const struct pending_events *events,
		      struct pending_table **ret_table);
/* What is begun from now on counts for who begins it. Not owned. */
void pending_set_limits(struct pending_table *t, struct limits *limits);
/* So many of the daemon's threads may wait for values that linger. */
void pending_set_waiting_max(struct pending_table *t, unsigned int count);
/* After the last request: settles what lingers, and ends the thread. NULL is fine. */
void pending_stop(struct pending_table *t);
/* Drops what was never closed. NULL is fine. */
void pending_table_free(struct pending_table *t);
/* Why values were not stored. Lives as long as the table. */
struct failures *pending_failures(struct pending_table *t);

/*
 * Begin a value. It has no opener yet: unless pending_open() follows within a
 * few seconds, pending_reap() drops it. The caller gets a reference.
 * -EEXIST with `exclusive`: somebody writes the name, or has its lease; -ESTALE:
 * `owner` does not have it (logged); else as store_stage().
 */
int pending_new(struct pending_table *t, const struct pending_args *args,
		struct pending **ret_p);
void pending_unref(struct pending *p); /* NULL is fine */
/* Take it out of the table without publishing, and drop the caller's reference. */
void pending_drop(struct pending *p);

uint64_t pending_ino(const struct pending *p);
/* For reading and writing its bytes and attributes; lives as long as `p`. */
struct store_staged *pending_staged(const struct pending *p);

/* What is written to it, for who began it. */
struct limit_hold *pending_bytes(struct pending *p);

/* A reference, or NULL. What is closing is waited for, and then is not found. */
struct pending *pending_by_ino(struct pending_table *t, uint64_t ino);
/*
 * Of that name, what was begun for this thread, else the newest it may see. A
 * reference, or NULL.
 */
struct pending *pending_by_owner(struct pending_table *t, uint64_t branch,
				 const char *name, pid_t tid, uid_t uid);
/* The name it has now. */
void pending_where(struct pending *p, uint64_t *ret_branch,
		   char ret_name[STORE_NAME_MAX + 1]);
/* Still being written? Waits while it is closing; false: published or dropped. */
bool pending_is_open(struct pending *p);
/* Is anyone writing this name, or anything in this branch? */
bool pending_busy(struct pending_table *t, uint64_t branch, const char *name);
bool pending_branch_busy(struct pending_table *t, uint64_t branch);
/*
 * Was a value of that name (NULL: any in the branch) closed by somebody, with its RELEASE
 * perhaps on its way? *ret_ino: the number of one.
 */
bool pending_flushed(struct pending_table *t, uint64_t branch, const char *name,
		     uint64_t *ret_ino);
/* The attributes so far of what was begun last under this name. -ENOENT. */
int pending_attr(struct pending_table *t, uint64_t branch, const char *name,
		 struct store_attr *ret_attr);
/* How many there are. */
uint64_t pending_count(const struct pending_table *t);

/*
 * An open descriptor more; `writer` when it may write. -ESTALE: it was published
 * or dropped meanwhile; it waits for its first writer, and this is none; or it
 * belongs to an invisible process, which has come for it already.
 */
int pending_open(struct pending *p, bool writer);
/*
 * This thread has written to it, or changed it otherwise. Costs nothing when the last
 * write was its, too.
 */
void pending_wrote(struct pending *p, pid_t tid);
/* A RELEASE of a writing descriptor has been received. */
void pending_note_release(struct pending *p);
/*
 * That release, handled: with the last writer it is published, dropped, or begins
 * to linger. Why it was not stored is logged, and in pending_failures().
 */
void pending_release(struct pending *p);
/*
 * close(2) of a descriptor by this thread: store_staged_flush() under its present
 * name; and -ESTALE: its owner has lost the lease; -EBADMSG: it was to be a pack, and
 * what was written is none (logged).
 */
int pending_flush(struct pending *p, pid_t tid);

/* An open that nobody got: it was the only one, so nothing is published. */
void pending_abandon(struct pending *p);

/*
 * Give it another name, or none: what is closed then is dropped. -ESTALE: it was
 * published or dropped meanwhile.
 */
int pending_rename(struct pending *p, uint64_t branch, const char *name);
int pending_detach(struct pending *p);

/*
 * Before all that is in a directory is taken as it is: wait for what was closed in any
 * of the branches for which `below` says so. -EBUSY: something is still being written
 * there; -ENOMEM. No lock is held over `below`.
 */
int pending_settle_below(struct pending_table *t,
			 bool (*below)(void *arg, uint64_t branch), void *arg, pid_t tid);

/*
 * Wait for the releases that were noted, of a name or of all in a branch, and for
 * what lingers there. `tid` is the thread that asks (0: not known).
 */
void pending_wait(struct pending_table *t, uint64_t branch, const char *name, pid_t tid);
void pending_wait_branch(struct pending_table *t, uint64_t branch, pid_t tid);
/*
 * The times of a directory. What was closed in the branch and is not decided yet will
 * change them to *ret_dir_ns (store_dir_times(); 0: nothing will), which is known
 * without waiting for it; only releases are waited for. True: nothing else is being
 * written there, so that they stay like that until the kernel asks for something.
 */
bool pending_dir_times(struct pending_table *t, uint64_t branch, int64_t *ret_dir_ns);
/* Somebody asks for a name and does not wait here: what lingers is decided soon. */
void pending_ask(struct pending_table *t, uint64_t branch, const char *name, pid_t tid);
/* False: there is nothing to wait for anywhere. */
bool pending_releasing(const struct pending_table *t);

/* ---- for listings ---- */

struct pending_info {
	uint64_t branch;
	char name[STORE_NAME_MAX + 1];
	uint64_t size_bytes; /* so far */
	int64_t since_ns;    /* wall clock */
	pid_t pid;	     /* of its opener; 0: not visible from here */
	char comm[32];
	uid_t uid;
	bool lingers;
};
/*
 * All that have a name in this branch, in no order, until `each` returns non-zero,
 * which is returned. No lock is held meanwhile. -ENOMEM.
 */
int pending_list(struct pending_table *t, uint64_t branch,
		 int (*each)(void *arg, const struct pending_info *info), void *arg);

/* The same of all branches, but `max` at most, whichever they are. */
int pending_list_all(struct pending_table *t, size_t max,
		     int (*each)(void *arg, const struct pending_info *info), void *arg);

/* ---- resuming ---- */

/*
 * What the store keeps (store_keep()) of the values of a process that died. In this
 * order, before a request is handled:
 *	pending_resume()	rebuilds them
 *	pending_resumed()	for each descriptor that was kept; pending_resume_writer()
 *				if it may write, whether its RELEASE comes again or not
 *	pending_resume_end()	what had its last writer closed is published or dropped
 *	store_resume_end()
 * A value that nobody has opened waits for its first opener anew; who creates it once
 * more, in the same way and by the same thread, gets it. -ENOMEM, -EIO, …: the successor
 * must not go on.
 */
int pending_resume(struct pending_table *t);
/* A reference, also to one that is published or dropped and only read; or NULL. */
struct pending *pending_resumed(struct pending_table *t, uint64_t ino);
void pending_resume_writer(struct pending *p);
void pending_resume_end(struct pending_table *t);

/* Drop what was begun and never opened. Call it now and then. */
void pending_reap(struct pending_table *t);

#endif
