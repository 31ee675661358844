/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one function, linked to libFuzzer (-Dfuzzers=true, clang) or
 * to replay.c, which feeds it the files of its corpus as a unit test.
 */
#ifndef MEMOFS_TESTS_FUZZ_FUZZ_H
#define MEMOFS_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* An assert that NDEBUG leaves alone. */
#define FUZZ_CHECK(condition)                                                            \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,     \
				#condition);                                             \
			abort();                                                         \
		}                                                                        \
	} while (0)

#endif
