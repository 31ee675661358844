/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a FUSE connection, as far as a daemon can tell: for fuzzing it.
 *
 * It is at the other end of a socket pair and keeps what the kernel would: which nodes
 * it holds lookups of, what is open, which requests have no answer yet. So a request
 * names only what it was given; all else in it is anybody's.
 *
 * Each answer is checked: one for each request, of the length that the request allows,
 * with an errno that is not a failure of the daemon. What was written is remembered by
 * inode number, and must be read back.
 */
#ifndef MEMOFS_TESTS_FUZZ_KERNEL_H
#define MEMOFS_TESTS_FUZZ_KERNEL_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"

enum {
	KERNEL_NODES = 128,
	KERNEL_HANDLES = 64,
	KERNEL_OUTSTANDING = 8,
	KERNEL_VALUES = 64,
	KERNEL_IO_MAX = 64 * 1024, /* bytes of one request or answer */
	KERNEL_NAME_MAX = 1024,	   /* FUSE_NAME_MAX of the kernel */
};

struct kernel_node {
	uint64_t id; /* 0: free */
	uint64_t ino;
	uint32_t mode;
	uint64_t lookups;
	unsigned int parent; /* of nodes */
	unsigned int opens, children;
	bool may_wait; /* below a view with `wait` */
	char name[64]; /* empty: longer than that */
};

struct kernel_handle {
	bool used, releasing;
	uint64_t fh;
	unsigned int node;
	uint32_t flags;
};

/* What was written to an inode. */
struct kernel_value {
	uint64_t ino; /* 0: free */
	bool known;
	struct buf content;
};

struct kernel_request {
	uint64_t unique; /* 0: free */
	uint32_t opcode;
	unsigned int node;   /* which it is about; of names: their directory */
	unsigned int handle; /* which it is about */
	uint32_t flags;	     /* OPEN, CREATE */
	size_t size;	     /* how much may be answered */
	uint64_t off;
	char name[64];
	struct kernel_value *value; /* READ: what to compare with */
	struct kernel_reply *reply; /* NULL: nobody waits for it */
};

struct kernel_reply {
	bool done;
	int error;	     /* 0 or -errno */
	unsigned int node;   /* what was found; KERNEL_NODES: nothing */
	unsigned int handle; /* what was opened; KERNEL_HANDLES: nothing */
	uint64_t size;	     /* WRITE, COPY_FILE_RANGE */
};

struct kernel {
	int fd;
	void (*serve)(void *arg); /* NULL: others do */
	void *serve_arg;
	uint64_t unique;
	uint32_t uid, gid, pid;			/* who asks, until changed */
	struct kernel_node nodes[KERNEL_NODES]; /* the first is the root */
	struct kernel_handle handles[KERNEL_HANDLES];
	struct kernel_request requests[KERNEL_OUTSTANDING];
	struct kernel_value values[KERNEL_VALUES];
	unsigned int newest_node, newest_handle, next_value;
	struct buf out, in; /* the request that is made, the answer that came */
	struct kernel_request next;
};

/*
 * INIT is sent and answered. Something serves the other end of `fd`: other threads, or
 * `serve`, which is called when a request was sent.
 */
void kernel_begin(struct kernel *k, int fd, void (*serve)(void *arg), void *arg);
/* Closes the connection and frees. */
void kernel_end(struct kernel *k);

/* Make a request: begin, append what it is made of, send. */
struct kernel_request *kernel_request(struct kernel *k, uint32_t opcode,
				      unsigned int node);
void kernel_add(struct kernel *k, const void *data, size_t len);
/*
 * Send it and wait for its answer, or with `async` do not. Nothing is sent when there
 * are too many without an answer: done is false then, as it is of what is not waited for.
 */
struct kernel_reply kernel_send(struct kernel *k, bool async);
/* Of a request that is not answered: FORGET and its kin. */
void kernel_send_unanswered(struct kernel *k);

/* Take in what has been answered; with `all`, until everything is. */
void kernel_drain(struct kernel *k, bool all);

/* Give the lookups of a node back, if nothing holds it. */
void kernel_forget(struct kernel *k, unsigned int node);
/* Close all, and give all lookups back. */
void kernel_let_go(struct kernel *k);
void kernel_release(struct kernel *k, unsigned int handle, bool async);

/* What is remembered of an inode; NULL: nothing. */
struct kernel_value *kernel_value(struct kernel *k, uint64_t ino);
/* Somebody may change it while somebody else looks: it is not known any more. */
void kernel_value_lost(struct kernel *k, uint64_t ino);
void kernel_value_write(struct kernel *k, uint64_t ino, const void *data, size_t len,
			uint64_t off);
void kernel_value_truncate(struct kernel *k, uint64_t ino, uint64_t size);

#endif
