/* SPDX-License-Identifier: Apache-2.0 */
/* A signal while files are written: they end it cleanly, and then it ends us. */
#ifndef MEMOFS_CLI_RUN_STOP_H
#define MEMOFS_CLI_RUN_STOP_H

#include <signal.h>
#include <stdatomic.h>

/* SIGINT, SIGTERM, SIGHUP and SIGQUIT set what is returned, unless they are ignored. */
const atomic_int *stop_begin(void);
/* As before; if one came, this process ends by it. */
void stop_end(void);

#endif
