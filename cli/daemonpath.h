/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMOFS_CLI_DAEMONPATH_H
#define MEMOFS_CLI_DAEMONPATH_H

/*
 * The daemon that belongs to this program: $MEMOFSD, else the one beside it, else
 * the one that was installed. The caller's; NULL after a message.
 */
char *daemon_path(const char *command);
/* The memofs-holder beside that daemon; the caller's, NULL: there is none. */
char *daemon_holder_path(const char *daemon);

#endif
