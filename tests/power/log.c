/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mount/prog.h"

void log_open(struct log *log, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail_errno("%s", path);
	log->size = (size_t)st.st_size;
	log->data = NULL;
	if (log->size)
		log->data = mmap(NULL, log->size, PROT_READ, MAP_SHARED, fd, 0);
	if (log->data == MAP_FAILED)
		fail_errno("map %s", path);
	close(fd);
}

bool log_next(const struct log *log, size_t *pos, struct log_record *ret_record,
	      const uint8_t **ret_data)
{
	struct log_record record;
	size_t left = log->size - *pos, bytes;

	if (left < sizeof(record))
		return false;
	memcpy(&record, log->data + *pos, sizeof(record));
	if (record.magic != LOG_MAGIC)
		fail("the log has no record at %zu", *pos);
	bytes = record.kind == LOG_WRITE || record.kind == LOG_MARK ? record.len : 0;
	if (bytes > left - sizeof(record))
		return false;
	*ret_data = log->data + *pos + sizeof(record);
	*ret_record = record;
	*pos += sizeof(record) + bytes;
	return true;
}
