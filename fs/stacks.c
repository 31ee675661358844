/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stacks.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/holder/protocol.h"
#include "store/util/log.h"

enum { FRAMES_MAX = 64, THREADS_MAX = 2000 };

/* Of the process, as signals are; set before the first can come. */
static volatile sig_atomic_t stacks_fd = -1;

/* Only what may be called in a signal's handler: backtrace() was, so it is loaded. */
static void write_stack(int sig)
{
	static const char digits[] = "0123456789", head[] = "thread ";
	void *frames[FRAMES_MAX];
	char text[32];
	size_t at = sizeof(text);
	unsigned long tid = (unsigned long)syscall(SYS_gettid);
	int n = backtrace(frames, FRAMES_MAX), e = errno;

	(void)sig;
	text[--at] = '\n';
	text[--at] = ':';
	for (; tid; tid /= 10)
		text[--at] = digits[tid % 10];
	at -= sizeof(head) - 1;
	memcpy(text + at, head, sizeof(head) - 1);
	if (write(stacks_fd, text + at, sizeof(text) - at) > 0)
		backtrace_symbols_fd(frames, n, stacks_fd);
	errno = e;
}

void stacks_begin(int fd)
{
	struct sigaction sa = {.sa_handler = write_stack, .sa_flags = SA_RESTART};
	void *frame[1];

	(void)backtrace(frame, 1); /* loads what it needs */
	stacks_fd = fd;
	sigfillset(&sa.sa_mask);
	sigaction(HOLDER_STACKS_SIGNAL, &sa, NULL);
}

/* A thread's frames on one line, since of lines the log takes so many only. */
static void log_thread(const char *text, size_t len)
{
	char line[4096];
	size_t at = 0;

	while (len && text[len - 1] == '\n')
		len--;
	for (size_t i = 0; i < len && at < sizeof(line) - 4; i++) {
		if (text[i] != '\n')
			line[at++] = text[i];
		else
			at += (size_t)sprintf(line + at, " < ");
	}
	log_error("  %.*s", (int)at, line);
}

static void log_threads(const char *text, size_t len)
{
	static const char begin[] = "\nthread ";

	for (unsigned int i = 0; len && i < THREADS_MAX; i++) {
		const char *end = memmem(text, len, begin, sizeof(begin) - 1);
		size_t n = end ? (size_t)(end - text) + 1 : len;

		log_thread(text, n);
		text += n;
		len -= n;
	}
}

void stacks_log(int fd, const char *head)
{
	struct stat st;
	void *text;

	if (fstat(fd, &st) || st.st_size <= 0)
		return;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return;
	log_error("%s", head);
	log_threads(text, (size_t)st.st_size);
	munmap(text, (size_t)st.st_size);
	if (ftruncate(fd, 0) == 0)
		lseek(fd, 0, SEEK_SET);
}
