/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/config_keys.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "store/lease.h"
#include "store/store.h"
#include "store/util/duration.h"
#include "store/util/size.h"
#include "store/util/text.h"

/* ---- one parser for each type of value --------------------------------------- */

static int parse_bool(const struct config_key *key, void *field, const char *text,
		      struct errmsg *err)
{
	static const char *const words[2][3] = {{"false", "no", "off"},
						{"true", "yes", "on"}};
	bool *ret = field;

	for (int value = 0; value < 2; value++) {
		for (int i = 0; i < 3; i++) {
			if (strcasecmp(text, words[value][i]) == 0) {
				*ret = value;
				return 0;
			}
		}
	}
	return err_set(err, EINVAL, "%s is neither true nor false", QUOTE(text));
}

/* Digits of that base alone. False when there are others, or none, or too many. */
static bool number(const char *text, unsigned int base, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (*text == '\0')
		return false;
	for (; *text; text++) {
		unsigned int digit = (unsigned char)*text - '0';

		if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret_value = value;
	return true;
}

static int parse_number(const struct config_key *key, void *field, const char *text,
			struct errmsg *err)
{
	uint32_t *ret = field;
	uint64_t value;

	if (!number(text, 10, &value) || value < key->min || value > key->max)
		return err_set(err, EINVAL,
			       "%s is not a number from %" PRIu64 " to %" PRIu64,
			       QUOTE(text), key->min, key->max);
	*ret = (uint32_t)value;
	return 0;
}

static int size_in_range(const struct config_key *key, const char *text,
			 uint64_t *ret_bytes, struct errmsg *err)
{
	char least[SIZE_TEXT_MAX], most[SIZE_TEXT_MAX];
	int r = size_parse(text, strlen(text), ret_bytes);

	if (r == -EINVAL)
		return err_set(err, EINVAL,
			       "%s is not a size; use e.g. 4096, 64KiB, 1.5GiB",
			       QUOTE(text));
	if (r || *ret_bytes < key->min || *ret_bytes > key->max) {
		size_format(key->min, least);
		size_format(key->max, most);
		return err_set(err, EINVAL, "%s is not between %s and %s", QUOTE(text),
			       least, most);
	}
	return 0;
}

static int parse_size(const struct config_key *key, void *field, const char *text,
		      struct errmsg *err)
{
	uint64_t *ret = field, bytes;
	int r = size_in_range(key, text, &bytes, err);

	if (r == 0)
		*ret = bytes;
	return r;
}

static int parse_size32(const struct config_key *key, void *field, const char *text,
			struct errmsg *err)
{
	uint32_t *ret = field;
	uint64_t bytes;
	int r = size_in_range(key, text, &bytes, err);

	if (r == 0)
		*ret = (uint32_t)bytes;
	return r;
}

static int parse_mode(const struct config_key *key, void *field, const char *text,
		      struct errmsg *err)
{
	mode_t *ret = field;
	uint64_t value;
	/* YAML 1.2 writes octal numbers as 0o755. */
	const char *digits = strncmp(text, "0o", 2) == 0 ? text + 2 : text;

	if (!number(digits, 8, &value) || value > 07777)
		return err_set(err, EINVAL,
			       "%s is not a mode; use octal digits, e.g. 0755",
			       QUOTE(text));
	*ret = (mode_t)value;
	return 0;
}

static int replace_string(char **field, const char *text, struct errmsg *err)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

static int duration_of(const char *text, int64_t *ret_ns, struct errmsg *err)
{
	int r = duration_parse(text, strlen(text), ret_ns);

	if (r == -ERANGE)
		return err_set(err, EINVAL,
			       "%s is too long; use at most 292 years, or none",
			       QUOTE(text));
	if (r)
		return err_set(err, EINVAL,
			       "%s is not a duration; use e.g. 90s, 1h30m, PT1H, none",
			       QUOTE(text));
	return 0;
}

static int parse_duration(const struct config_key *key, void *field, const char *text,
			  struct errmsg *err)
{
	struct config_duration *ret = field;
	int64_t ns;
	int r = duration_of(text, &ns, err);

	if (r == 0)
		r = replace_string(&ret->text, text, err);
	if (r == 0)
		ret->ns = ns;
	return r;
}

static int parse_lease(const struct config_key *key, void *field, const char *text,
		       struct errmsg *err)
{
	int64_t ns;
	int r = duration_of(text, &ns, err);

	if (r == 0 && (ns < 1 || ns > STORE_LEASE_MAX_NS))
		r = err_set(err, EINVAL,
			    "%s is no time to reserve for; use more than 0 and at most "
			    "366 days",
			    QUOTE(text));
	return r ? r : replace_string(field, text, err);
}

static int parse_wait(const struct config_key *key, void *field, const char *text,
		      struct errmsg *err)
{
	int64_t ns;
	int r = duration_of(text, &ns, err);

	return r ? r : replace_string(field, text, err);
}

static int parse_publish(const struct config_key *key, void *field, const char *text,
			 struct errmsg *err)
{
	if (strcmp(text, "on-success") != 0 && strcmp(text, "always") != 0)
		return err_set(err, EINVAL, "%s is neither on-success nor always",
			       QUOTE(text));
	return replace_string(field, text, err);
}

static int parse_setting_size(const struct config_key *key, void *field, const char *text,
			      struct errmsg *err)
{
	uint64_t bytes;
	int r = size_in_range(key, text, &bytes, err);

	return r ? r : replace_string(field, text, err);
}

static int parse_pin(const struct config_key *key, void *field, const char *text,
		     struct errmsg *err)
{
	bool pin = false;
	int r = parse_bool(key, &pin, text, err);

	return r ? r : replace_string(field, pin ? "yes" : "no", err);
}

/* `20%`. -EINVAL: it is not of that kind. */
static int percent(const char *text, uint32_t *ret_percent)
{
	size_t len = strlen(text);
	char digits[4] = "";
	uint64_t value;

	if (len < 2 || len > sizeof(digits) || text[len - 1] != '%')
		return -EINVAL;
	memcpy(digits, text, len - 1);
	if (!number(digits, 10, &value) || value < 1 || value > 100)
		return -EINVAL;
	*ret_percent = (uint32_t)value;
	return 0;
}

static int parse_store_size(const struct config_key *key, void *field, const char *text,
			    struct errmsg *err)
{
	struct config_size *ret = field, size = {0};
	int r = 0;

	if (strcasecmp(text, "none") == 0)
		size.bytes = STORE_SIZE_NONE;
	else if (percent(text, &size.percent))
		r = size_in_range(key, text, &size.bytes, err);
	if (r == -EINVAL && strchr(text, '%'))
		r = err_set(err, EINVAL, "%s is not 1%% to 100%% of the disk",
			    QUOTE(text));
	if (r == 0)
		*ret = size;
	return r;
}

/* What one user may have. */
static int parse_user_count(const struct config_key *key, void *field, const char *text,
			    struct errmsg *err)
{
	uint64_t value = CONFIG_USER_NONE;

	if (strcasecmp(text, "none") != 0 &&
	    (!number(text, 10, &value) || value < key->min || value > key->max))
		return err_set(err, EINVAL,
			       "%s is not a number from %" PRIu64 " to %" PRIu64
			       ", or none",
			       QUOTE(text), key->min, key->max);
	*(uint64_t *)field = value;
	return 0;
}

static int parse_user_bytes(const struct config_key *key, void *field, const char *text,
			    struct errmsg *err)
{
	if (strcasecmp(text, "none") != 0)
		return parse_size(key, field, text, err);
	*(uint64_t *)field = CONFIG_USER_NONE;
	return 0;
}

static int parse_policy(const struct config_key *key, void *field, const char *text,
			struct errmsg *err)
{
	enum store_policy *ret = field;

	if (strcmp(text, "gdsf") != 0 && strcmp(text, "lru") != 0)
		return err_set(err, EINVAL, "%s is neither gdsf nor lru", QUOTE(text));
	*ret = strcmp(text, "lru") == 0 ? STORE_LRU : STORE_GDSF;
	return 0;
}

static int parse_keep(const struct config_key *key, void *field, const char *text,
		      struct errmsg *err)
{
	int64_t *ret = field, ns;
	int r = duration_of(text, &ns, err);

	/* 0 is the default to the store. */
	if (r == 0)
		*ret = ns > 0 ? ns : 1;
	return r;
}

static int parse_watchdog(const struct config_key *key, void *field, const char *text,
			  struct errmsg *err)
{
	int64_t *ret = field, ns;
	int r = duration_of(text, &ns, err);

	if (r == 0 && ns < NSEC_PER_SEC)
		r = err_set(
		    err, EINVAL,
		    "%s is no time to wait for an answer; use 1s or more, or none",
		    QUOTE(text));
	if (r == 0)
		*ret = ns;
	return r;
}

static int parse_passthrough(const struct config_key *key, void *field, const char *text,
			     struct errmsg *err)
{
	if (strcmp(text, "auto") != 0 && strcmp(text, "off") != 0)
		return err_set(err, EINVAL, "%s is neither auto nor off", QUOTE(text));
	*(bool *)field = strcmp(text, "auto") == 0;
	return 0;
}

static int parse_version(const struct config_key *key, void *field, const char *text,
			 struct errmsg *err)
{
	if (strchr(text, '/'))
		return err_set(err, EINVAL, "%s has a slash, which a version cannot have",
			       QUOTE(text));
	if (!store_version_valid(text, strlen(text)))
		return err_set(
		    err, EINVAL,
		    "%s is not a version; use up to %d bytes of text, no control "
		    "characters, not \".\" or \"..\"",
		    QUOTE(text), STORE_VERSION_MAX);
	return replace_string(field, text, err);
}

/* A path has a slash, so that a mistyped word does not become a file. */
static int parse_log(const struct config_key *key, void *field, const char *text,
		     struct errmsg *err)
{
	struct suggest s = suggest_for(text, strlen(text));

	if (strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0 ||
	    strchr(text, '/'))
		return replace_string(field, text, err);
	suggest_offer(&s, "stderr");
	suggest_offer(&s, "syslog");
	return err_set(err, EINVAL,
		       "%s is not stderr, syslog or a path with a slash%s%s%s",
		       QUOTE(text), s.best ? "; did you mean \"" : "",
		       s.best ? s.best : "", s.best ? "\"?" : "");
}

static int parse_log_level(const struct config_key *key, void *field, const char *text,
			   struct errmsg *err)
{
	if (log_level_parse(text, field))
		return err_set(err, EINVAL, "%s is not error, warning, info or debug",
			       QUOTE(text));
	return 0;
}

/* All ones is "no id" to chown(2). */
static bool numeric_id(const char *text, uint32_t *ret_id)
{
	uint64_t id;

	if (!number(text, 10, &id) || id >= UINT32_MAX)
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

/* Room for any entry of the user database; some groups have very many members. */
#define ID_BUF_MAX (1024 * 1024)

/* An errno of 0 means that the database was read and has no such entry. */
static int no_such_id(const char *what, const char *text, int errnum, struct errmsg *err)
{
	if (errnum)
		return err_set(err, EINVAL, "cannot look up the %s %s: %s", what,
			       QUOTE(text), strerror(errnum));
	return err_set(err, EINVAL, "there is no %s %s", what, QUOTE(text));
}

static int parse_owner(const struct config_key *key, void *field, const char *text,
		       struct errmsg *err)
{
	uid_t *ret = field;
	struct passwd entry, *found = NULL;
	char *room;
	int errnum;

	if (numeric_id(text, ret))
		return 0;
	room = malloc(ID_BUF_MAX);
	if (!room)
		return err_set(err, ENOMEM, "out of memory");
	errnum = getpwnam_r(text, &entry, room, ID_BUF_MAX, &found);
	if (found)
		*ret = entry.pw_uid;
	free(room);
	return found ? 0 : no_such_id("user", text, errnum, err);
}

static int parse_group(const struct config_key *key, void *field, const char *text,
		       struct errmsg *err)
{
	gid_t *ret = field;
	struct group entry, *found = NULL;
	char *room;
	int errnum;

	if (numeric_id(text, ret))
		return 0;
	room = malloc(ID_BUF_MAX);
	if (!room)
		return err_set(err, ENOMEM, "out of memory");
	errnum = getgrnam_r(text, &entry, room, ID_BUF_MAX, &found);
	if (found)
		*ret = entry.gr_gid;
	free(room);
	return found ? 0 : no_such_id("group", text, errnum, err);
}

/* ---- the table ------------------------------------------------------------------ */

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define TIB (1024 * 1024 * MIB)

/* `off`, or bytes a second. */
static int parse_scrub(const struct config_key *key, void *field, const char *text,
		       struct errmsg *err)
{
	if (strcasecmp(text, "off") == 0) {
		*(uint64_t *)field = 0;
		return 0;
	}
	return parse_size(key, field, text, err);
}

#define FIELD(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define MOUNT(field) FIELD(config_mount, field)
#define STORE(field) FIELD(config_store, field)
#define NAMESPACE(field) FIELD(config_namespace, field)
#define SET_OF(type) offsetof(struct type, set)

static const struct config_key mount_keys[] = {
    {"allow-other", CONFIG_ALLOW_OTHER, MOUNT(allow_other), parse_bool},
    {"busy-poll", CONFIG_BUSY_POLL, MOUNT(busy_poll), parse_bool},
    {"fast", CONFIG_FAST, MOUNT(fast), parse_bool},
    {"passthrough", CONFIG_PASSTHROUGH, MOUNT(passthrough), parse_passthrough},
    {"read-only", CONFIG_READ_ONLY, MOUNT(read_only), parse_bool},
    {"threads", CONFIG_THREADS, MOUNT(threads), parse_number, 1, CONFIG_THREADS_MAX},
    {"log", CONFIG_LOG, MOUNT(log), parse_log},
    {"log-level", CONFIG_LOG_LEVEL, MOUNT(log_level), parse_log_level},
    {"watchdog", CONFIG_WATCHDOG, MOUNT(watchdog_ns), parse_watchdog},
    {"user-handles", CONFIG_USER_HANDLES, MOUNT(user.handles), parse_user_count, 1,
     INT64_MAX},
    {"user-values", CONFIG_USER_VALUES, MOUNT(user.values), parse_user_count, 1,
     INT64_MAX},
    {"user-bytes", CONFIG_USER_BYTES, MOUNT(user.bytes), parse_user_bytes, 1, INT64_MAX},
    {"user-reservations", CONFIG_USER_RESERVATIONS, MOUNT(user.reservations),
     parse_user_count, 1, INT64_MAX},
    {"user-waiters", CONFIG_USER_WAITERS, MOUNT(user.waiters), parse_user_count, 1,
     INT64_MAX},
    {NULL},
};

/* A value of the database is held in memory several times over: not above 16 MiB. */
static const struct config_key store_keys[] = {
    {"cache", CONFIG_CACHE, STORE(cache_bytes), parse_size, MIB, TIB},
    {"small-max", CONFIG_SMALL_MAX, STORE(small_max_bytes), parse_size32, 1, 16 * MIB},
    {"staged-memory", CONFIG_STAGED_MEMORY, STORE(staged_memory_bytes), parse_size, MIB,
     TIB},
    {"root-mode", CONFIG_ROOT_MODE, STORE(root_mode), parse_mode},
    {"size", CONFIG_SIZE, STORE(size), parse_store_size, MIB, INT64_MAX},
    {"min-free", CONFIG_MIN_FREE, STORE(min_free_bytes), parse_size, MIB, INT64_MAX},
    {"max-entry", CONFIG_MAX_ENTRY, STORE(max_entry_bytes), parse_size, 1, INT64_MAX},
    {"policy", CONFIG_POLICY, STORE(policy), parse_policy},
    {"keep-expired", CONFIG_KEEP_EXPIRED, STORE(keep_expired_ns), parse_keep},
    {"scrub", CONFIG_SCRUB, STORE(scrub_bytes), parse_scrub, 4096, TIB},
    {NULL},
};

static const struct config_key namespace_keys[] = {
    {"ttl", CONFIG_TTL, NAMESPACE(ttl), parse_duration},
    {"version", CONFIG_VERSION, NAMESPACE(version), parse_version},
    {"mode", CONFIG_MODE, NAMESPACE(mode), parse_mode},
    {"owner", CONFIG_OWNER, NAMESPACE(owner), parse_owner},
    {"group", CONFIG_GROUP, NAMESPACE(group), parse_group},
    {"lease", CONFIG_LEASE, NAMESPACE(lease), parse_lease},
    {"wait", CONFIG_WAIT, NAMESPACE(wait), parse_wait},
    {"publish", CONFIG_PUBLISH, NAMESPACE(publish), parse_publish},
    {"quota", CONFIG_QUOTA, NAMESPACE(quota), parse_setting_size, 1, INT64_MAX},
    {"max-entry", CONFIG_NS_MAX_ENTRY, NAMESPACE(max_entry), parse_setting_size, 1,
     INT64_MAX},
    {"pin", CONFIG_PIN, NAMESPACE(pin), parse_pin},
    {NULL},
};

const struct config_section config_mount_section = {"mount", SET_OF(config_mount),
						    mount_keys};
const struct config_section config_store_section = {"store", SET_OF(config_store),
						    store_keys};
const struct config_section config_namespace_section = {
    "a namespace", SET_OF(config_namespace), namespace_keys};

/* ---- its use ----------------------------------------------------------------------- */

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '_' && *b == '-') && !(*a == '-' && *b == '_'))
			return false;
	return *a == *b;
}

const struct config_key *config_key_find(const struct config_section *section,
					 const char *name)
{
	for (const struct config_key *key = section->keys; key->name; key++)
		if (same_name(key->name, name))
			return key;
	return NULL;
}

void config_key_suggest(const struct config_section *section, struct suggest *s)
{
	for (const struct config_key *key = section->keys; key->name; key++)
		suggest_offer(s, key->name);
}

bool config_key_is_bool(const struct config_key *key)
{
	return key->parse == parse_bool;
}

static uint32_t *set_of(const struct config_section *section, void *object)
{
	return (uint32_t *)((char *)object + section->set_offset);
}

bool config_key_is_set(const struct config_section *section, const struct config_key *key,
		       const void *object)
{
	return *set_of(section, (void *)object) & key->bit;
}

int config_key_set(const struct config_section *section, const struct config_key *key,
		   void *object, const char *text, struct errmsg *err)
{
	struct errmsg why;
	int r = key->parse(key, (char *)object + key->offset, text, &why);

	if (r)
		return err_set(err, -r, "%s: %s", key->name, why.text);
	*set_of(section, object) |= key->bit;
	return 0;
}

void config_section_merge(const struct config_section *section, void *to,
			  const void *from)
{
	for (const struct config_key *key = section->keys; key->name; key++) {
		if (!config_key_is_set(section, key, from))
			continue;
		memcpy((char *)to + key->offset, (const char *)from + key->offset,
		       key->size);
		*set_of(section, to) |= key->bit;
	}
}
