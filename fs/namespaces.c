/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/namespaces.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/stage.h"

#define NAMESPACE_MODE 0755

static int find_or_make(struct store *st, const struct config_namespace *ns,
			struct store_attr *ret_attr)
{
	mode_t mode = ns->set & CONFIG_MODE ? ns->mode : NAMESPACE_MODE;
	uint64_t branch;
	int r = store_branch(st, STORE_ROOT_INO, NULL, true, &branch);

	if (r)
		return r;
	r = store_lookup(st, branch, ns->name, ret_attr);
	if (r == -ENOENT)
		r = store_mkdir(st, branch, ns->name, S_IFDIR | mode, geteuid(),
				getegid(), ret_attr);
	if (!r && !S_ISDIR(ret_attr->mode))
		r = -ENOTDIR;
	return r;
}

static int set_owner(struct store *st, const struct config_namespace *ns,
		     struct store_attr *attr)
{
	struct store_attr want = {.mode = ns->mode, .uid = ns->owner, .gid = ns->group};
	unsigned int set = 0;
	int r;

	if ((ns->set & CONFIG_MODE) && (attr->mode & 07777) != ns->mode)
		set |= STORE_SET_MODE;
	if ((ns->set & CONFIG_OWNER) && attr->uid != ns->owner)
		set |= STORE_SET_UID;
	if ((ns->set & CONFIG_GROUP) && attr->gid != ns->group)
		set |= STORE_SET_GID;
	if (!set)
		return 0;
	r = store_setattr(st, attr->ino, set, &want, attr);
	if (!r)
		stage_follow(st, attr);
	return r;
}

static int set_settings(struct store *st, const struct config_namespace *ns, uint64_t ino)
{
	const struct {
		uint32_t key;
		enum store_setting which;
		const char *text;
	} settings[] = {
	    {CONFIG_LEASE, STORE_SETTING_LEASE, ns->lease},
	    {CONFIG_WAIT, STORE_SETTING_WAIT, ns->wait},
	    {CONFIG_PUBLISH, STORE_SETTING_PUBLISH, ns->publish},
	    {CONFIG_QUOTA, STORE_SETTING_QUOTA, ns->quota},
	    {CONFIG_NS_MAX_ENTRY, STORE_SETTING_MAX_ENTRY, ns->max_entry},
	    {CONFIG_PIN, STORE_SETTING_PIN, ns->pin},
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(settings) / sizeof(*settings); i++) {
		if (ns->set & settings[i].key)
			r = store_setting_set(st, ino, settings[i].which,
					      settings[i].text);
	}
	return r;
}

static int apply(struct store *st, const struct config_namespace *ns)
{
	struct store_attr attr;
	int r = find_or_make(st, ns, &attr);

	if (!r)
		r = set_owner(st, ns, &attr);
	if (!r && (ns->set & CONFIG_TTL))
		r = store_ttl_set(st, attr.ino, ns->ttl.ns, ns->ttl.text);
	if (!r && (ns->set & CONFIG_VERSION))
		r = store_version_set(st, attr.ino, ns->version);
	if (!r)
		r = set_settings(st, ns, attr.ino);
	return r;
}

int namespaces_apply(struct store *st, const struct config *c, struct errmsg *err)
{
	for (size_t i = 0; i < c->namespace_count; i++) {
		int r = apply(st, &c->namespaces[i]);

		if (r)
			return err_set(err, -r, "namespace \"%s\": %s",
				       c->namespaces[i].name, strerror(-r));
	}
	return 0;
}
