/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/owner.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/message.h"
#include "store/util/utf8.h"

/* Only what needs no quoting in a shell and no escapes in a view's name. */
static void make_plain(char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-";

	for (; *s; s++) {
		if (!strchr(plain, *s))
			*s = '_';
	}
}

static void user_name(char ret_text[33])
{
	const struct passwd *pw = getpwuid(geteuid());

	if (pw)
		snprintf(ret_text, 33, "%s", pw->pw_name);
	else
		snprintf(ret_text, 33, "%u", geteuid());
	make_plain(ret_text);
}

static void host_name(char ret_text[65])
{
	if (gethostname(ret_text, 65))
		strcpy(ret_text, "localhost");
	ret_text[64] = '\0';
	make_plain(ret_text);
}

char *owner_new(void)
{
	char user[33], host[65], *owner;
	uint64_t random;
	ssize_t n;

	do
		n = getrandom(&random, sizeof(random), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(random)) {
		cli_error("no random numbers to make an ID of: %s; choose one, --owner",
			  strerror(errno));
		return NULL;
	}
	user_name(user);
	host_name(host);
	if (asprintf(&owner, "%s@%s:%d:%016" PRIx64, user, host, (int)getpid(), random) <
	    0)
		must(-ENOMEM);
	return owner;
}

bool owner_valid(const char *owner)
{
	size_t len = strlen(owner), n;
	uint32_t c;

	if (!len || len > OWNER_MAX || strcmp(owner, "free") == 0 ||
	    strcmp(owner, "held") == 0)
		return false;
	for (; len; owner += n, len -= n) {
		n = utf8_decode(owner, len, &c);
		if (!n || c <= 0x20 || (c >= 0x7f && c <= 0xa0))
			return false;
	}
	return true;
}

const char *owner_find(const char *command, const char *given)
{
	const char *owner = given ? given : getenv("MEMOFS_OWNER");

	if (!owner) {
		cli_error("%s: whose reservation? use --owner ID, or set MEMOFS_OWNER",
			  command);
		return NULL;
	}
	if (owner_valid(owner))
		return owner;
	cli_error("%s: \"%s\" is not an ID: 1 to %d bytes, no blanks, no control "
		  "characters, not free or held",
		  command, owner, OWNER_MAX);
	return NULL;
}
