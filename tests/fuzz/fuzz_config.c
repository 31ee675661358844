/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration is accepted with values in range, or refused with a place; and
 * what was accepted is the same after it is written and read.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "fs/config.h"
#include "fs/config_text.h"
#include "store/store.h"

static void check_refusal(int r, const struct errmsg *err)
{
	FUZZ_CHECK(r == -EINVAL);
	FUZZ_CHECK(strncmp(err->text, "F:", 2) == 0);
	FUZZ_CHECK(err->text[2] >= '1' && err->text[2] <= '9');
	FUZZ_CHECK(!strchr(err->text, '\n'));
}

static void check_namespace(const struct config_namespace *ns)
{
	FUZZ_CHECK(ns->name[0] && strlen(ns->name) <= STORE_NAME_MAX);
	FUZZ_CHECK(!strchr(ns->name, '/') && strcmp(ns->name, ".memofs") != 0);
	FUZZ_CHECK(!(ns->set & CONFIG_TTL) == !ns->ttl.text);
	FUZZ_CHECK(!(ns->set & CONFIG_VERSION) == !ns->version);
	FUZZ_CHECK(ns->ttl.ns >= 0);
	FUZZ_CHECK(ns->mode <= 07777);
	if (ns->version)
		FUZZ_CHECK(store_version_valid(ns->version, strlen(ns->version)));
}

static void check_config(const struct config *c)
{
	FUZZ_CHECK(c->mount.threads >= 1 && c->mount.threads <= CONFIG_THREADS_MAX);
	FUZZ_CHECK(c->store.root_mode <= 07777);
	FUZZ_CHECK(!(c->mount.set & CONFIG_LOG) == !c->mount.log);
	for (size_t i = 0; i < c->namespace_count; i++) {
		check_namespace(&c->namespaces[i]);
		if (i)
			FUZZ_CHECK(strcmp(c->namespaces[i - 1].name,
					  c->namespaces[i].name) != 0);
	}
}

static void check_round_trip(const struct config *c)
{
	CLEANUP_BUF struct buf text = BUF_INIT, again_text = BUF_INIT;
	struct config again;

	FUZZ_CHECK(config_format(c, &text) == 0);
	FUZZ_CHECK(config_parse("F", text.data, text.len, &again, NULL) == 0);
	FUZZ_CHECK(config_format(&again, &again_text) == 0);
	config_deinit(&again);
	FUZZ_CHECK(text.len == again_text.len &&
		   memcmp(text.data, again_text.data, text.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct errmsg err = {0};
	struct config c, merged;
	int r = config_parse("F", data, len, &c, &err);

	if (r) {
		check_refusal(r, &err);
		return 0;
	}
	check_config(&c);
	check_round_trip(&c);
	config_init(&merged);
	FUZZ_CHECK(config_merge(&merged, &c) == 0);
	config_deinit(&c);
	check_config(&merged);
	config_deinit(&merged);
	return 0;
}
