/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that fail when they are told to: those of a backend, and those to libc about
 * the files of extents. They can also take long, or transfer a part only. Linked with
 * faulty_link_args (meson.build), which put what is here between the store and either
 * backend, and between the store and libc.
 *
 * One plan for the whole program, since libc knows of no store; it holds for all
 * threads. Without a plan everything passes.
 */
#ifndef MEMOFS_TESTS_CONFORMANCE_FAULTY_BACKEND_H
#define MEMOFS_TESTS_CONFORMANCE_FAULTY_BACKEND_H

enum fault_call {
	FAULT_GET,
	FAULT_COMMIT,
	FAULT_SYNC,
	FAULT_ITER, /* to make one */
	FAULT_NEXT, /* it ends early */
	FAULT_EXTENT_STAGE,
	FAULT_EXTENT_COMMIT,
	FAULT_EXTENT_OPEN,
	FAULT_EXTENT_REMOVE,
	FAULT_EXTENT_PUNCH,
	FAULT_EXTENT_LIST,
	FAULT_EXTENT_SYNC_DIR,
	FAULT_CHECKPOINT,
	FAULT_WRITE, /* half of it is written all the same */
	FAULT_TRUNCATE,
	FAULT_ALLOCATE,
	FAULT_FSYNC,
	FAULT_LINK,
	FAULT_READ,
	FAULT_OPEN,
	FAULT_RENAME,
	FAULT_UNLINK,
	FAULT_MKDIR,
	FAULT_COUNT
};
const char *fault_name(enum fault_call call);

/*
 * From now on the `nth` call of that kind fails with `error`, and those after it, `times`
 * in all. Counting begins anew.
 */
#define FAULT_FOREVER (~0u)
void faults_begin(enum fault_call call, unsigned int nth, unsigned int times, int error);
/* Every call that makes something larger fails from now on, as on a full disk. */
void faults_begin_full(int error);
/* Nothing fails, but reads and writes transfer half of what they could. */
void faults_begin_short(void);
/* Nothing fails, but each call of that kind takes so long. */
void faults_begin_delay(enum fault_call call, unsigned int delay_us);
/* Nothing fails any more. How many calls have, or were short, or took long. */
unsigned int faults_end(void);
/* How many calls of a kind there were since the counting began. */
unsigned int faults_seen(enum fault_call call);

#endif
