/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/config_text.h"

#include <inttypes.h>

/* Take one character of UTF-8; a byte that is part of none stands for itself. */
static size_t decode(const char *s, uint32_t *ret_c)
{
	unsigned char first = (unsigned char)*s;
	size_t len = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t c = len == 1 ? first : first & (0x7fu >> len);

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*ret_c = first;
			return 1;
		}
		c = c << 6 | (s[i] & 0x3f);
	}
	*ret_c = c;
	return len;
}

/* Neither a control character, nor a line break to YAML, nor a byte order mark. */
static bool is_printable(uint32_t c, size_t len)
{
	if (len == 1)
		return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
	return c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe &&
	       c != 0xffff;
}

/* A double-quoted YAML scalar. */
static int put_scalar(struct buf *out, const char *value)
{
	int r = buf_append(out, "\"", 1);

	while (!r && *value) {
		uint32_t c;
		size_t len = decode(value, &c);

		if (is_printable(c, len))
			r = buf_append(out, value, len);
		else
			r = buf_printf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
		value += len;
	}
	return r ? r : buf_append(out, "\"", 1);
}

static int put_quoted(struct buf *out, const char *key, const char *value)
{
	int r = buf_printf(out, "%s: ", key);

	if (!r)
		r = put_scalar(out, value);
	return r ? r : buf_append(out, "\n", 1);
}

static int put_user_limit(const char *key, uint64_t max, struct buf *out)
{
	if (max == 0) /* not set */
		return 0;
	return max == CONFIG_USER_NONE ? buf_printf(out, "  %s: none\n", key)
				       : buf_printf(out, "  %s: %" PRIu64 "\n", key, max);
}

static int put_user(const struct config_user *u, struct buf *out)
{
	int r = put_user_limit("user-handles", u->handles, out);

	if (!r)
		r = put_user_limit("user-values", u->values, out);
	if (!r)
		r = put_user_limit("user-bytes", u->bytes, out);
	if (!r)
		r = put_user_limit("user-reservations", u->reservations, out);
	return r ? r : put_user_limit("user-waiters", u->waiters, out);
}

static int put_mount(const struct config_mount *m, struct buf *out)
{
	char watchdog[DURATION_TEXT_MAX];
	int r = buf_printf(out, "mount:\n");

	if (!r && (m->set & CONFIG_ALLOW_OTHER))
		r = buf_printf(out, "  allow-other: %s\n",
			       m->allow_other ? "true" : "false");
	if (!r)
		r = buf_printf(out,
			       "  read-only: %s\n  fast: %s\n  busy-poll: %s\n"
			       "  passthrough: %s\n  threads: %" PRIu32 "\n",
			       m->read_only ? "true" : "false",
			       m->fast ? "true" : "false",
			       m->busy_poll ? "true" : "false",
			       m->passthrough ? "auto" : "off", m->threads);
	if (!r && m->log)
		r = put_quoted(out, "  log", m->log);
	if (!r)
		r = buf_printf(out, "  log-level: %s\n", log_level_name(m->log_level));
	if (!r && (m->set & CONFIG_WATCHDOG)) {
		duration_format(m->watchdog_ns, watchdog);
		r = buf_printf(out, "  watchdog: %s\n", watchdog);
	}
	return r ? r : put_user(&m->user, out);
}

static int put_size(const struct config_size *size, struct buf *out)
{
	if (size->percent)
		return buf_printf(out, "  size: %" PRIu32 "%%\n", size->percent);
	if (size->bytes == STORE_SIZE_NONE)
		return buf_printf(out, "  size: none\n");
	return buf_printf(out, "  size: %" PRIu64 "\n", size->bytes);
}

static int put_bounds(const struct config_store *s, struct buf *out)
{
	char keep[DURATION_TEXT_MAX];
	int r = 0;

	duration_format(s->keep_expired_ns, keep);
	if (s->set & CONFIG_SIZE)
		r = put_size(&s->size, out);
	if (!r && (s->set & CONFIG_MIN_FREE))
		r = buf_printf(out, "  min-free: %" PRIu64 "\n", s->min_free_bytes);
	if (!r && (s->set & CONFIG_MAX_ENTRY))
		r = buf_printf(out, "  max-entry: %" PRIu64 "\n", s->max_entry_bytes);
	if (!r && (s->set & CONFIG_POLICY))
		r = buf_printf(out, "  policy: %s\n",
			       s->policy == STORE_LRU ? "lru" : "gdsf");
	if (!r && (s->set & CONFIG_KEEP_EXPIRED))
		r = buf_printf(out, "  keep-expired: %s\n", keep);
	if (!r && (s->set & CONFIG_SCRUB))
		r = s->scrub_bytes
			? buf_printf(out, "  scrub: %" PRIu64 "\n", s->scrub_bytes)
			: buf_printf(out, "  scrub: off\n");
	return r;
}

static int put_store(const struct config_store *s, struct buf *out)
{
	int r = buf_printf(out, "store:\n");

	if (!r && s->cache_bytes)
		r = buf_printf(out, "  cache: %" PRIu64 "\n", s->cache_bytes);
	if (!r && s->small_max_bytes)
		r = buf_printf(out, "  small-max: %" PRIu32 "\n", s->small_max_bytes);
	if (!r && s->staged_memory_bytes)
		r = buf_printf(out, "  staged-memory: %" PRIu64 "\n",
			       s->staged_memory_bytes);
	if (!r)
		r = buf_printf(out, "  root-mode: \"%04o\"\n", s->root_mode);
	return r ? r : put_bounds(s, out);
}

static int put_name(const struct config_namespace *ns, struct buf *out)
{
	int r = buf_append(out, "  ", 2);

	if (!r)
		r = put_scalar(out, ns->name);
	/* Without a key below, an empty mapping. */
	return r ? r : buf_printf(out, ns->set ? ":\n" : ": {}\n");
}

static int put_texts(const struct config_namespace *ns, struct buf *out)
{
	const struct {
		uint32_t key;
		const char *name, *text;
	} texts[] = {
	    {CONFIG_TTL, "    ttl", ns->ttl.text},
	    {CONFIG_VERSION, "    version", ns->version},
	    {CONFIG_LEASE, "    lease", ns->lease},
	    {CONFIG_WAIT, "    wait", ns->wait},
	    {CONFIG_PUBLISH, "    publish", ns->publish},
	    {CONFIG_QUOTA, "    quota", ns->quota},
	    {CONFIG_NS_MAX_ENTRY, "    max-entry", ns->max_entry},
	    {CONFIG_PIN, "    pin", ns->pin},
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(texts) / sizeof(*texts); i++) {
		if (ns->set & texts[i].key)
			r = put_quoted(out, texts[i].name, texts[i].text);
	}
	return r;
}

static int put_policy(const struct config_namespace *ns, struct buf *out)
{
	int r = put_texts(ns, out);

	if (!r && (ns->set & CONFIG_MODE))
		r = buf_printf(out, "    mode: \"%04o\"\n", ns->mode);
	if (!r && (ns->set & CONFIG_OWNER))
		r = buf_printf(out, "    owner: %u\n", ns->owner);
	if (!r && (ns->set & CONFIG_GROUP))
		r = buf_printf(out, "    group: %u\n", ns->group);
	return r;
}

int config_format(const struct config *c, struct buf *ret_text)
{
	int r = put_mount(&c->mount, ret_text);

	if (!r)
		r = put_store(&c->store, ret_text);
	if (!r && c->namespace_count)
		r = buf_printf(ret_text, "namespaces:\n");
	for (size_t i = 0; !r && i < c->namespace_count; i++) {
		r = put_name(&c->namespaces[i], ret_text);
		if (!r)
			r = put_policy(&c->namespaces[i], ret_text);
	}
	return r;
}
