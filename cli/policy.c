/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/attrs.h"
#include "cli/message.h"
#include "store/util/duration.h"
#include "store/util/size.h"
#include "store/util/suggest.h"

static int check_duration(const char *name, const char *value)
{
	int64_t ns;

	if (!*value || duration_parse(value, strlen(value), &ns) == 0)
		return 0;
	cli_error("%s: \"%s\" is not a duration; use e.g. 90s, 1h30m, PT1H, "
		  "none, or nothing to inherit",
		  name, value);
	return -EINVAL;
}

static int set_ttl(struct policy *p, const char *value)
{
	p->ttl = value;
	return check_duration("ttl", value);
}

static int set_lease(struct policy *p, const char *value)
{
	p->lease = value;
	return check_duration("lease", value);
}

static int set_wait(struct policy *p, const char *value)
{
	p->wait = value;
	return check_duration("wait", value);
}

static int set_publish(struct policy *p, const char *value)
{
	p->publish = value;
	if (!*value || strcmp(value, "on-success") == 0 || strcmp(value, "always") == 0)
		return 0;
	cli_error("publish: \"%s\" is neither on-success nor always, nor nothing to "
		  "inherit",
		  value);
	return -EINVAL;
}

static int check_size(const char *name, const char *value)
{
	uint64_t bytes;

	if (!*value || (size_parse(value, strlen(value), &bytes) == 0 && bytes))
		return 0;
	cli_error("%s: \"%s\" is not a size; use e.g. 500MiB, 20GiB, or nothing for none",
		  name, value);
	return -EINVAL;
}

static int set_quota(struct policy *p, const char *value)
{
	p->quota = value;
	return check_size("quota", value);
}

static int set_max_entry(struct policy *p, const char *value)
{
	p->max_entry = value;
	return check_size("max-entry", value);
}

static int set_pin(struct policy *p, const char *value)
{
	p->pin = value;
	if (!*value || strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
		return 0;
	cli_error("pin: \"%s\" is neither yes nor no, nor nothing to inherit", value);
	return -EINVAL;
}

/* What a version may be is the daemon's to say; see policy_apply(). */
static int set_version(struct policy *p, const char *value)
{
	p->version = value;
	return 0;
}

static int set_mode(struct policy *p, const char *value)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (*value < '0' || *value > '7' || *end || mode > 07777) {
		cli_error("mode: \"%s\" is not a mode; use e.g. 0755", value);
		return -EINVAL;
	}
	p->has_mode = true;
	p->mode = (mode_t)mode;
	return 0;
}

static const struct setting {
	const char *name;
	int (*set)(struct policy *p, const char *value);
} settings[] = {
    {"ttl", set_ttl},	  {"version", set_version}, {"mode", set_mode},
    {"lease", set_lease}, {"wait", set_wait},	    {"publish", set_publish},
    {"quota", set_quota}, {"pin", set_pin},	    {"max-entry", set_max_entry},
};
#define N_SETTINGS (sizeof(settings) / sizeof(*settings))

static int parse_word(const char *word, struct policy *p)
{
	size_t len = strcspn(word, "=");
	struct suggest near = suggest_for(word, len);

	for (size_t i = 0; i < N_SETTINGS; i++) {
		if (strncmp(word, settings[i].name, len) == 0 && !settings[i].name[len]) {
			if (word[len])
				return settings[i].set(p, word + len + 1);
			cli_error("\"%s\" has no value; write %s=VALUE, or %s= for none",
				  word, word, word);
			return -EINVAL;
		}
		suggest_offer(&near, settings[i].name);
	}
	if (near.best)
		cli_error("unknown policy \"%.*s\"; did you mean \"%s\"?", (int)len, word,
			  near.best);
	else
		cli_error("unknown policy \"%.*s\"; there are ttl, version, mode, lease, "
			  "wait, publish, quota, max-entry and pin",
			  (int)len, word);
	return -EINVAL;
}

int policy_parse(char *const *words, size_t n, struct policy *ret_policy)
{
	struct policy p = {0};

	for (size_t i = 0; i < n; i++) {
		int r = parse_word(words[i], &p);

		if (r)
			return r;
	}
	*ret_policy = p;
	return 0;
}

static int apply_attribute(const char *dir, const char *name, const char *value)
{
	int r = *value ? attr_set(dir, name, value) : attr_remove(dir, name);

	if (r == -EINVAL && strcmp(name, "version") == 0)
		cli_error("%s: \"%s\" is not a version: 1 to 255 bytes, no slash, no "
			  "control characters, not . or ..",
			  dir, value);
	else if (r)
		cli_error("%s: %s: %s", dir, name, strerror(-r));
	return r;
}

/* The version first: it is the one that the daemon may find wrong. */
static int apply_attributes(const struct policy *p, const char *dir)
{
	const struct {
		const char *name, *value;
	} attributes[] = {
	    {"version", p->version}, {"ttl", p->ttl},
	    {"lease", p->lease},     {"wait", p->wait},
	    {"publish", p->publish}, {"quota", p->quota},
	    {"pin", p->pin},	     {"max-entry", p->max_entry},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes) && !r; i++) {
		if (attributes[i].value)
			r = apply_attribute(dir, attributes[i].name, attributes[i].value);
	}
	return r;
}

int policy_apply(const struct policy *p, const char *dir)
{
	int r = apply_attributes(p, dir);

	if (!r && p->has_mode && chmod(dir, p->mode)) {
		r = -errno;
		cli_error("%s: mode: %s", dir, strerror(-r));
	}
	return r;
}
