/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/sync_group.h"

void sync_group_init(struct sync_group *g)
{
	*g = (struct sync_group){.running = false};
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->ended, NULL);
}

void sync_group_deinit(struct sync_group *g)
{
	pthread_cond_destroy(&g->ended);
	pthread_mutex_destroy(&g->lock);
}

/* Under the lock, which is given up meanwhile. */
static void run_next(struct sync_group *g, int (*sync)(void *arg), void *arg)
{
	int r;

	g->running = true;
	pthread_mutex_unlock(&g->lock);
	r = sync(arg);
	pthread_mutex_lock(&g->lock);
	g->running = false;
	g->done++;
	if (r) {
		g->failed = g->done;
		g->error = r;
	}
	pthread_cond_broadcast(&g->ended);
}

int sync_group_run(struct sync_group *g, int (*sync)(void *arg), void *arg)
{
	uint64_t before, mine;
	int r;

	pthread_mutex_lock(&g->lock);
	before = g->done;
	mine = before + (g->running ? 2 : 1);
	while (g->done < mine) {
		if (g->running)
			pthread_cond_wait(&g->ended, &g->lock);
		else
			run_next(g, sync, arg);
	}
	/* Nor may the one have failed that ran when this call began, which may have met
	 * what its caller had written: that is made good, but whoever waited is told. */
	r = g->failed > before ? g->error : 0;
	pthread_mutex_unlock(&g->lock);
	return r;
}
