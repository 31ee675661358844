/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recorded disk saw, in order: a file of records, each a header and, for
 * writes and marks, its bytes.
 *
 * A mark is a line of text from whoever loads the disk. It stands after all that
 * was written before the mark was asked for, and before all that is written after
 * it was answered: so it says exactly what had been acknowledged at any point.
 */
#ifndef MEMOFS_TESTS_POWER_LOG_H
#define MEMOFS_TESTS_POWER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_MAGIC 0x706f7772u

enum log_kind {
	LOG_WRITE, /* `len` bytes at `off` */
	LOG_ZERO,  /* `len` zeros at `off`, or a hole there */
	LOG_FLUSH, /* what came before is on the disk */
	LOG_MARK,  /* `len` bytes of text */
};

struct log_record {
	uint32_t magic;
	uint32_t kind;
	uint64_t off;
	uint64_t len;
};

/* A whole log, mapped. */
struct log {
	const uint8_t *data;
	size_t size;
};

/* Exits with a message when it cannot be read. Never unmapped. */
void log_open(struct log *log, const char *path);
/*
 * The record at *pos, and its bytes; *pos moves on. False at the end. What is cut off
 * at the end, because the recorder was ended there, is no record.
 */
bool log_next(const struct log *log, size_t *pos, struct log_record *ret_record,
	      const uint8_t **ret_data);

#endif
