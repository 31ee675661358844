/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files pending*.c share: the value and the table.
 *
 *	pending.c	begin, find, rename, open
 *	pending_close.c	flush and release, who produced it, publish or drop
 *	pending_linger.c	the thread that decides what lingers
 *	pending_gate.c	who waits, and who need not
 *	pending_lease.c	the reservation of its name
 *	pending_keep.c	what a successor has to know, and what it makes of it
 *
 * Whoever takes a value that lingers out of its list (pending_claim) decides it, and
 * nobody else does.
 */
#ifndef MEMOFS_FS_PENDING_TABLE_H
#define MEMOFS_FS_PENDING_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/failures.h"
#include "fs/pending.h"
#include "fs/producer.h"
#include "store/lease.h"
#include "store/util/htab.h"
#include "store/util/keep.h"

/* More than take part in any one value; who comes after is not asked about. */
enum { PRODUCERS_MAX = 8 };

/* Who produced a value. Under the table's lock, but for last_tid. */
struct production {
	_Atomic pid_t last_tid; /* the thread that wrote last */
	pid_t wrote[PRODUCERS_MAX];
	unsigned int wrote_count;
	/* Those who opened or wrote it and were alive when they closed it. */
	struct producer *alive[PRODUCERS_MAX]; /* references */
	unsigned int alive_count;
	struct producer *closer; /* the last, if it was alive; a reference */
	/* What is known against it; empty: nothing. The second is of the last
	 * closer, which need not have written. */
	char failed[FAILURE_TEXT_MAX], closer_failed[FAILURE_TEXT_MAX];
};

/* The reservation of its name, under `lock`, which is held over store_lease_*(). */
struct hold {
	pthread_mutex_t lock;
	enum { HOLD_NONE, HOLD_FREE, HOLD_OWNER } kind;
	bool over;   /* nothing is taken any more */
	bool fenced; /* HOLD_OWNER: between begin_publish and end_publish */
	char *owner; /* HOLD_OWNER; fixed */
	uint64_t token;
	uint64_t branch;
	char name[STORE_NAME_MAX + 1];
};

struct pending {
	struct pending_table *table;
	struct store_staged *sg;
	uint64_t ino;
	pid_t tid, tgid;
	uid_t uid;	   /* who asked for it */
	int64_t since_ns;  /* wall clock */
	bool sealed;	   /* fixed */
	uint64_t base_ino; /* fixed, as is the next */
	bool truncate;
	bool resumed;  /* fixed: begun by a process that died; what follows is of these */
	bool lingered; /* fixed: in its sight */
	bool published; /* fixed: by it */
	_Atomic bool written;
	char comm[PROCESS_COMM_MAX];
	_Atomic unsigned int refs;
	struct hold hold;
	struct limit_hold value, bytes; /* of who began it */

	/* All below: under the table's lock. */
	uint64_t branch;
	char name[STORE_NAME_MAX + 1];
	bool listed;   /* in the table */
	bool detached; /* has no name: will be dropped */
	bool closing;  /* the last writer has gone: to be published or dropped */
	bool flushed;  /* somebody has closed it */
	unsigned int writers;
	unsigned int releasing;	 /* noted and not handled */
	uint64_t closed;	 /* the number of its last noted release */
	int64_t claim_before_ns; /* monotonic; 0: it has been opened */
	struct hlink by_ino, by_name, by_branch;
	struct pending *next_late; /* of those that are being dropped */
	struct production made;
	struct kept *kept; /* KEEP_PENDING; NULL: it is not kept */

	bool complete;	   /* closing, and dir_ns is known */
	int64_t dir_ns;	   /* store_staged_complete() */
	bool lingers;	   /* closing, and on the list */
	_Atomic bool left; /* its closer has begun another; written while it lingers */
	int64_t until_ns;  /* monotonic: then it is decided; 0: now */
	int64_t lingers_since_ns; /* monotonic */
	int64_t ran_ns;		  /* by its closer, when first looked at; -1: not yet */
	struct pending *linger_next, *linger_prev;
};

struct pending_table {
	struct store *store;
	struct pending_events events;
	struct failures *failures;
	struct limits *limits; /* fixed before the first request; NULL: none */
	struct producer_table *producers;
	_Atomic pid_t last_opener; /* a process; the next is likely a thread of it */
	pthread_mutex_t lock;
	pthread_cond_t released;
	struct htab by_ino, by_name, by_branch; /* under lock */
	_Atomic uint64_t count;			/* of by_ino; read without the lock */
	/* Releases noted and values that are closing; written under lock. */
	_Atomic uint64_t busy;
	uint64_t closes; /* releases ever noted; under lock */

	/* The thread. All but the descriptors: under lock. */
	int epoll_fd, wake_fd;
	pthread_t thread;
	bool thread_runs, stopping;
	int64_t wakes_at_ns;		 /* by itself, at the latest */
	int64_t pass_at_ns;		 /* to decide what was left; 0: nothing was */
	struct pending *oldest, *newest; /* what lingers, as it was closed */
	unsigned int linger_count;
	unsigned int waiting, waiting_max; /* threads, for what lingers */

	/* References, by their numbers: from pending_resume() to pending_resume_end(),
	 * while nobody else is there. */
	struct pending **resumed;
	size_t resumed_count;
	bool resumed_any; /* fixed before the first request */
};

/* ---- pending.c; the lock is held ---- */
struct pending *pending_ref(struct pending *p);
struct pending *pending_first_named(struct pending_table *t, uint64_t branch,
				    const char *name);
struct pending *pending_next_named(struct pending *p);
struct pending *pending_first_in_branch(struct pending_table *t, uint64_t branch);
struct pending *pending_next_in_branch(struct pending *p);
void pending_unlist(struct pending_table *t, struct pending *p);
/* One that was resumed, as it says: into the table. -ENOMEM. */
int pending_resume_list(struct pending *p);
/* A new one with one reference, for the caller alone; without the lock. Or NULL. */
struct pending *pending_shell(struct pending_table *t);

/* ---- pending_close.c; without the lock ---- */
/*
 * After pending_claim(): publish or drop it. `closer_goes_on`: it has just been seen
 * to, and is not asked about again.
 */
void pending_decide(struct pending *p, bool closer_goes_on);
/* Or drop it, for a reason. */
void pending_refuse(struct pending *p, const char *why);
/* Frees what it holds. */
void production_deinit(struct production *made);

/* ---- pending_linger.c ---- */
int linger_start(struct pending_table *t);
void linger_stop(struct pending_table *t); /* also half made */
/*
 * Under the lock, with `closing` set: from now on it lingers. False: it cannot, and
 * is the caller's to decide. The thread is woken when it has to be.
 */
bool pending_linger(struct pending *p);
/* Under the lock. True: it lingered, and is the caller's to decide. */
bool pending_claim(struct pending *p);
/* Under the lock: it is decided in ASK_MAX_NS at the latest, or `now`. */
void pending_hurry(struct pending *p, bool now);
/* Under the lock: what lingers there of this closer, who begins another value, is
 * decided soon, and not against it. */
void pending_leave(struct pending_table *t, uint64_t branch,
		   const struct producer *closer);
/* Under the lock: too many linger. The oldest, claimed, or NULL. */
struct pending *pending_claim_excess(struct pending_table *t);

/* ---- pending_gate.c ---- */
/* Under the lock, which is given up meanwhile: wait while it is closing. The caller
 * has a reference. */
void pending_wait_closing(struct pending *p);

/* ---- pending_lease.c; without the lock ---- */
/* Before it is known to anyone. `begun_before_ns`: how long its owner has the lease. */
int hold_check_owner(struct pending_table *t, const struct pending_args *args,
		     struct store_lease *ret_lease);
int hold_begin(struct pending *p, const struct pending_args *args, uint64_t token);
void hold_move(struct pending *p, uint64_t branch, const char *name);
/* -ESTALE: the owner has lost it. */
int hold_check(struct pending *p);
/* From now on nobody else gets it. -ESTALE as above. */
int hold_fence(struct pending *p);
/* Of one that was resumed: as its process had it. What has ended was nobody's since. */
void hold_again(struct pending *p);
int hold_fence_again(struct pending *p);
void hold_end(struct pending *p, bool published);
void hold_deinit(struct hold *hold);

/* ---- pending_keep.c ---- */
/* From now on it is kept; before anybody knows it. -ENOSPC, -ENOMEM. */
int pending_keep_begin(struct pending *p);
/* Under the lock, when what a successor has to know was changed. */
void pending_keep(struct pending *p);
void pending_keep_over(struct pending *p);
/* Under the hold's lock. */
void pending_keep_token(struct pending *p);

#endif
