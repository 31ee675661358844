/* SPDX-License-Identifier: Apache-2.0 */
/* One block of an archive that says what follows: POSIX ustar, GNU and V7. */
#ifndef MEMOFS_CLI_TAR_HEADER_H
#define MEMOFS_CLI_TAR_HEADER_H

#include <stdint.h>

/* Numbers are octal text, ended by a blank or a NUL; texts need not be ended. */
struct header {
	char name[100];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8]; /* with the version */
	char uname[32], gname[32];
	char major[8], minor[8];
	char prefix[155]; /* only with HEADER_POSIX; GNU has other things here */
	char pad[12];
};
_Static_assert(sizeof(struct header) == 512, "a header is a block");

#define HEADER_POSIX "ustar\00000"
#define HEADER_NAME_MAX 100
#define HEADER_ID_MAX UINT64_C(07777777)
#define HEADER_SIZE_MAX UINT64_C(077777777777)
/* GNU, of a sparse file: does another block of its map follow? In a header, and there. */
#define HEADER_SPARSE_MORE 482
#define HEADER_SPARSE_MORE_NEXT 504

enum header_type {
	HEADER_PAX = 'x',
	HEADER_PAX_GLOBAL = 'g',
	HEADER_GNU_NAME = 'L',
	HEADER_GNU_LINK = 'K',
	HEADER_GNU_LABEL = 'V',
	HEADER_GNU_SPARSE = 'S',
};

/* The sum of its bytes, the checksum counted as blanks. */
static inline unsigned int header_sum(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned int sum = 0;

	for (unsigned int i = 0; i < sizeof(*h); i++)
		sum += i >= 148 && i < 156 ? ' ' : bytes[i];
	return sum;
}

#endif
