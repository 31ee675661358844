/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/make_here.h"

#include <errno.h>
#include <fcntl.h>

#include "cli/message.h"

int key_make_here(const struct key_options *o, const char *who, char *const *command,
		  struct key *ret_key)
{
	CLEANUP_FD int dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct filehash *fh = NULL;
	struct errmsg err = {""};
	int r;

	if (dir >= 0)
		must(filehash_open(dir, &fh));
	r = key_make(o, command, fh, ret_key, &err);
	filehash_close(fh);
	if (!r)
		return CLI_OK;
	cli_error("%s: %s", who, err.text);
	return r == -EINVAL || r == -E2BIG ? CLI_USAGE : CLI_FAILED;
}
