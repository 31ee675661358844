/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/caller.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/process.h"
#include "fs/reply.h"

/* All of a status, or 340 lines of a map, which is the most there can be. */
enum { TEXT_MAX = 16384 };

/* Lines of "inside outside count"; outside is as this process has it. */
bool caller_map_has(const char *map, uint32_t id)
{
	unsigned long long inside, first, count;
	int len;

	while (sscanf(map, "%llu %llu %llu%n", &inside, &first, &count, &len) == 3) {
		if (id >= first && id - first < count)
			return true;
		map += len;
	}
	return false;
}

bool caller_status_has(const char *status, unsigned int capability)
{
	static const char field[] = "\nCapEff:\t";
	const char *at = strstr(status, field);

	if (!at)
		return false;
	return strtoull(at + sizeof(field) - 1, NULL, 16) >> capability & 1;
}

/* capable_wrt_inode_uidgid() of the kernel. */
static bool overrides(const struct fuse_ctx *ctx, const struct store_attr *attr)
{
	char text[TEXT_MAX];

	if (!process_text(ctx->pid, "status", text, sizeof(text)))
		return ctx->uid == 0;
	return caller_status_has(text, CAP_DAC_OVERRIDE) &&
	       process_text(ctx->pid, "uid_map", text, sizeof(text)) &&
	       caller_map_has(text, attr->uid) &&
	       process_text(ctx->pid, "gid_map", text, sizeof(text)) &&
	       caller_map_has(text, attr->gid);
}

bool caller_may(fuse_req_t req, const struct store_attr *attr, mode_t bits)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	mode_t group = bits << 3, want = bits;

	if (ctx->uid == attr->uid)
		want = bits << 6;
	else if (((attr->mode & group) == group) != ((attr->mode & bits) == bits) &&
		 caller_in_group(req, attr->gid)) /* else it makes no difference */
		want = group;
	return (attr->mode & want) == want || overrides(ctx, attr);
}
