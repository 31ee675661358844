/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/stop.h"

#include <stdatomic.h>
#include <stddef.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define N_SIGNALS (sizeof(signals) / sizeof(*signals))

/* For the handler, which can be given nothing: the signal that came, or 0. */
static atomic_int stopped;
static struct sigaction former[N_SIGNALS];

static void note(int sig)
{
	stopped = sig;
}

const atomic_int *stop_begin(void)
{
	struct sigaction sa = {.sa_handler = note, .sa_flags = SA_RESTART};

	stopped = 0;
	for (size_t i = 0; i < N_SIGNALS; i++) {
		sigaction(signals[i], NULL, &former[i]);
		if (former[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
	return &stopped;
}

void stop_end(void)
{
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &former[i], NULL);
	if (stopped)
		raise(stopped);
}
