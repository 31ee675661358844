/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was parsed is valid and in range, and is the same after it is written and
 * read; and what a reservation of that owner reads as is no command.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "fs/reservation_text.h"

static void check_range(const struct reservation_command *cmd)
{
	FUZZ_CHECK(store_owner_valid(cmd->owner, strlen(cmd->owner)));
	FUZZ_CHECK((cmd->verb == RESERVATION_RELEASE) == (cmd->duration_ns == 0));
	FUZZ_CHECK(cmd->duration_ns == DURATION_UNSET || cmd->duration_ns >= 0);
	FUZZ_CHECK(cmd->duration_ns <= STORE_LEASE_MAX_NS);
}

/* As text again: `ID`, or `ID DURATION`. */
static void check_again(const struct reservation_command *cmd)
{
	char text[RESERVATION_TEXT_MAX + 1], duration[DURATION_TEXT_MAX] = "";
	struct reservation_command again;

	if (cmd->duration_ns != DURATION_UNSET)
		duration_format(cmd->duration_ns, duration);
	snprintf(text, sizeof(text), "%s %s\n", cmd->owner, duration);
	FUZZ_CHECK(reservation_parse(text, strlen(text), &again, NULL) == 0);
	FUZZ_CHECK(again.verb == cmd->verb && again.duration_ns == cmd->duration_ns);
	FUZZ_CHECK(strcmp(again.owner, cmd->owner) == 0);
}

static void check_copied(const struct reservation_command *cmd)
{
	struct store_lease lease = {.token = 7, .expires_ns = cmd->duration_ns};
	struct reservation_command copied;
	CLEANUP_BUF struct buf text = BUF_INIT;

	strcpy(lease.owner, cmd->owner);
	FUZZ_CHECK(reservation_format(&lease, &text) == 0);
	FUZZ_CHECK(reservation_parse((const char *)text.data, text.len, &copied, NULL) ==
		   0);
	FUZZ_CHECK(copied.verb == RESERVATION_NOTHING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reservation_command cmd, before;
	struct errmsg err = {.text = ""};

	memset(&cmd, 0x5a, sizeof(cmd));
	before = cmd;
	if (reservation_parse((const char *)data, len, &cmd, &err)) {
		FUZZ_CHECK(memcmp(&cmd, &before, sizeof(cmd)) == 0);
		FUZZ_CHECK(*err.text);
		return 0;
	}
	FUZZ_CHECK(!*err.text);
	if (cmd.verb == RESERVATION_NOTHING)
		return 0;
	check_range(&cmd);
	check_again(&cmd);
	check_copied(&cmd);
	return 0;
}
