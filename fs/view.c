/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include <errno.h>
#include <string.h>

#include "store/util/htab.h"

/* `version=V`, the one option so far. */
int view_parse(const char *text, struct view *ret_view, struct errmsg *err)
{
	const char *version = text + strlen("version=");

	if (strncmp(text, "version=", strlen("version=")) != 0 ||
	    !store_version_valid(version, strlen(version)))
		return err_set(err, EINVAL, "\"%s\" is not a view", text);
	*ret_view = (struct view){.set = VIEW_VERSION};
	strcpy(ret_view->version, version);
	return 0;
}

bool view_equal(const struct view *a, const struct view *b)
{
	return a->set == b->set && a->max_age_ns == b->max_age_ns &&
	       a->since_ns == b->since_ns && a->wait_ns == b->wait_ns &&
	       strcmp(a->version, b->version) == 0 && strcmp(a->owner, b->owner) == 0;
}

uint64_t view_hash(const struct view *v)
{
	int64_t numbers[] = {v->set, v->max_age_ns, v->since_ns, v->wait_ns};
	uint64_t hash = hash_bytes(numbers, sizeof(numbers), 0);

	hash = hash_bytes(v->version, strlen(v->version), hash);
	return hash_bytes(v->owner, strlen(v->owner), hash);
}
