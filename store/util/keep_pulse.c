/* SPDX-License-Identifier: Apache-2.0 */
/* The holder's side of kept memory: it needs no more than this. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "store/util/keep_arena.h"

int keep_pulse_map(int fd, struct keep_pulse **ret_pulse)
{
	struct stat st;
	void *p;

	/* Behind the end of a file there is nothing that could be read. */
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < (off_t)(ARENA_PULSE_OFF + sizeof(struct keep_pulse)))
		return -ENODATA;
	p = mmap(NULL, sizeof(struct keep_pulse), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 ARENA_PULSE_OFF);
	if (p == MAP_FAILED)
		return -errno;
	*ret_pulse = p;
	return 0;
}

void keep_pulse_unmap(struct keep_pulse *pulse)
{
	if (pulse)
		munmap(pulse, sizeof(*pulse));
}
