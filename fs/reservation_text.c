/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/reservation_text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "store/util/text.h"

/* What is shown of a value that is refused; the log makes it harmless. */
#define SHOWN(text, len) (int)((len) < 64 ? (len) : 64), (text)

/*
 * Does it begin as `reservation` reads? An ID cannot be one of these words, so
 * that no command is taken for it; and no other use of them is taken for a copy.
 */
static bool is_state(const char *text, size_t len)
{
	static const char held[] = "held owner=";
	size_t line = 0;

	while (line < len && text[line] != '\n')
		line++;
	if (line == 4 && memcmp(text, "free", 4) == 0)
		return true;
	return line >= sizeof(held) - 1 && memcmp(text, held, sizeof(held) - 1) == 0;
}

static int parse_owner(const char *text, size_t len, struct reservation_command *cmd,
		       struct errmsg *err)
{
	if (!store_owner_valid(text, len))
		return err_set(
		    err, EINVAL,
		    "\"%.*s\" is not an ID: up to %d bytes of UTF-8 without blanks "
		    "or control characters, and not \"free\" or \"held\"",
		    SHOWN(text, len), STORE_OWNER_MAX);
	memcpy(cmd->owner, text, len);
	cmd->owner[len] = '\0';
	return 0;
}

static int parse_duration(const char *text, size_t len, struct reservation_command *cmd,
			  struct errmsg *err)
{
	int64_t ns = DURATION_UNSET;

	/* "none" is more than the longest there is, too. */
	if (len && (duration_parse(text, len, &ns) || ns > STORE_LEASE_MAX_NS))
		return err_set(
		    err, EINVAL,
		    "\"%.*s\" is not how long a reservation can last; use e.g. 90s, "
		    "1h30m, PT1H, up to %" PRId64 " days; 0 releases it",
		    SHOWN(text, len), STORE_LEASE_MAX_NS / (86400 * NSEC_PER_SEC));
	cmd->verb = ns == 0 ? RESERVATION_RELEASE : RESERVATION_TAKE;
	cmd->duration_ns = ns;
	return 0;
}

int reservation_parse(const char *text, size_t len, struct reservation_command *ret_cmd,
		      struct errmsg *err)
{
	struct reservation_command cmd = {.verb = RESERVATION_NOTHING};
	size_t id = 0;
	int r;

	text_trim(&text, &len);
	if (is_state(text, len)) {
		*ret_cmd = cmd;
		return 0;
	}
	if (len > RESERVATION_TEXT_MAX)
		return err_set(err, EINVAL,
			       "%zu bytes are more than an ID and a duration "
			       "can have",
			       len);
	while (id < len && !text_is_space(text[id]))
		id++;
	r = parse_owner(text, id, &cmd, err);
	text += id;
	len -= id;
	text_trim(&text, &len);
	if (!r)
		r = parse_duration(text, len, &cmd, err);
	if (!r)
		*ret_cmd = cmd;
	return r;
}

int reservation_format_time(int64_t ns, struct buf *out)
{
	return buf_printf(out, "%" PRId64 ".%09" PRId64, ns / NSEC_PER_SEC,
			  ns % NSEC_PER_SEC);
}

int reservation_format(const struct store_lease *lease, struct buf *out)
{
	int r;

	if (!lease)
		return buf_printf(out, "free");
	r = buf_printf(out, "held owner=%s since=", lease->owner);
	if (!r)
		r = reservation_format_time(lease->since_ns, out);
	if (!r)
		r = buf_printf(out, " expires=");
	if (!r)
		r = lease->expires_ns == DURATION_NONE
			? buf_printf(out, "none")
			: reservation_format_time(lease->expires_ns, out);
	return r ? r : buf_printf(out, " token=%" PRIu64, lease->token);
}
