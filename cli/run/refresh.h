/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --stale-while-refresh: a process of its own that computes a result anew, while this
 * one answers with the old one.
 *
 * It must be that process which reserves the name, because its end is what would drop
 * the value; and it must have it before the old one is looked for, because an expired
 * one is shown while somebody else computes it.
 */
#ifndef MEMOFS_CLI_RUN_REFRESH_H
#define MEMOFS_CLI_RUN_REFRESH_H

#include "cli/run/job.h"

/* Start it. True: it has the name, and waits for what follows. */
bool refresh_begin(struct job *j);
/* It is to run the command, detached from us: no terminal, nothing is shown. */
void refresh_go(struct job *j);
/* It is to end. The name is free when this returns. */
void refresh_stop(struct job *j);

#endif
