/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config_keys.h"

void config_init(struct config *c)
{
	*c = (struct config){
	    .mount = {.threads = CONFIG_THREADS_DEFAULT,
		      .log_level = LOG_LEVEL_INFO,
		      .watchdog_ns = CONFIG_WATCHDOG_DEFAULT_NS,
		      .fast = true,
		      .busy_poll = true,
		      .passthrough = true},
	    .store = {.root_mode = 0755},
	};
}

void config_deinit(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->namespace_count; i++)
		config_namespace_deinit(&c->namespaces[i]);
	free(c->namespaces);
	free(c->mount.log);
	config_init(c);
}

void config_namespace_deinit(struct config_namespace *ns)
{
	free(ns->name);
	free(ns->ttl.text);
	free(ns->version);
	free(ns->lease);
	free(ns->wait);
	free(ns->publish);
	free(ns->quota);
	free(ns->max_entry);
	free(ns->pin);
}

int config_merge(struct config *c, const struct config *over)
{
	char *log = c->mount.log;

	if (over->mount.set & CONFIG_LOG) {
		log = strdup(over->mount.log);
		if (!log)
			return -ENOMEM;
		free(c->mount.log);
	}
	config_section_merge(&config_mount_section, &c->mount, &over->mount);
	config_section_merge(&config_store_section, &c->store, &over->store);
	c->mount.log = log; /* not the one of `over`, which was copied just now */
	return 0;
}

/* What mount(8) and fstab(5) call a key. */
static const struct {
	const char *option, *key, *value;
} aliases[] = {
    {"ro", "read-only", "true"},
    {"rw", "read-only", "false"},
};

static int unknown_option(const char *name, struct errmsg *err)
{
	struct suggest s = suggest_for(name, strlen(name));

	config_key_suggest(&config_mount_section, &s);
	config_key_suggest(&config_store_section, &s);
	if (s.best)
		return err_set(err, ENOENT, "-o %s: unknown option; did you mean \"%s\"?",
			       QUOTE(name), s.best);
	return err_set(err, ENOENT, "-o %s: unknown option; see memofs.conf(5)",
		       QUOTE(name));
}

static int set_option(const struct config_section *section, const struct config_key *key,
		      void *object, const char *value, struct errmsg *err)
{
	struct errmsg why;
	int r;

	if (!value && !config_key_is_bool(key))
		return err_set(err, EINVAL, "-o %s needs a value: %s=…", key->name,
			       key->name);
	r = config_key_set(section, key, object, value ? value : "true", &why);
	return r ? err_set(err, -r, "-o %s", why.text) : 0;
}

int config_set_option(struct config *c, const char *name, const char *value,
		      struct errmsg *err)
{
	const struct config_key *key;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(name, aliases[i].option) != 0)
			continue;
		if (value)
			return err_set(err, EINVAL, "-o %s takes no value", name);
		name = aliases[i].key;
		value = aliases[i].value;
		break;
	}
	key = config_key_find(&config_mount_section, name);
	if (key)
		return set_option(&config_mount_section, key, &c->mount, value, err);
	key = config_key_find(&config_store_section, name);
	if (key)
		return set_option(&config_store_section, key, &c->store, value, err);
	return unknown_option(name, err);
}
