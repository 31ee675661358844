/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/dirstack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct dirstack dirstack_of(const struct pack *pack, uint32_t root, int root_fd)
{
	return (struct dirstack){
	    .pack = pack, .root = root, .root_fd = root_fd, .deep_fd = -1};
}

static void pop_to(struct dirstack *d, size_t n)
{
	if (d->deep_fd >= 0)
		close(d->deep_fd);
	d->deep_fd = -1;
	d->deep = 0;
	while (d->n > n)
		close(d->fd[--d->n]);
}

void dirstack_deinit(struct dirstack *d)
{
	pop_to(d, 0);
	buf_deinit(&d->chain);
}

/* `entry` and what is above it, up to the root, which is left out: the lowest first. */
static int chain_of(struct dirstack *d, uint32_t entry, size_t *ret_depth)
{
	struct pack_entry e;
	int r = 0;

	buf_clear(&d->chain);
	for (; entry != d->root && !r; entry = e.parent) {
		r = buf_append(&d->chain, &entry, sizeof(entry));
		pack_get(d->pack, entry, &e);
	}
	*ret_depth = d->chain.len / sizeof(entry);
	return r;
}

static uint32_t chain_at(const struct dirstack *d, size_t depth, size_t level)
{
	uint32_t entry;

	memcpy(&entry, d->chain.data + (depth - 1 - level) * sizeof(entry),
	       sizeof(entry));
	return entry;
}

static int open_child(const struct dirstack *d, int above, uint32_t entry)
{
	char name[PACK_NAME_MAX + 1] = "";
	struct pack_entry e;
	int fd;

	pack_get(d->pack, entry, &e);
	memcpy(name, e.name.data, e.name.len);
	fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int top(const struct dirstack *d)
{
	return d->n ? d->fd[d->n - 1] : d->root_fd;
}

/* The levels of the chain below those that stay open. */
static int open_deep(struct dirstack *d, size_t depth)
{
	int fd = -1;

	for (size_t level = DIRSTACK_DEPTH; level < depth; level++) {
		int next = open_child(d, fd < 0 ? top(d) : fd, chain_at(d, depth, level));

		if (fd >= 0)
			close(fd);
		if (next < 0)
			return next;
		fd = next;
	}
	d->deep = chain_at(d, depth, depth - 1);
	d->deep_fd = fd;
	return 0;
}

static int descend(struct dirstack *d, size_t depth)
{
	while (d->n < depth && d->n < DIRSTACK_DEPTH) {
		uint32_t entry = chain_at(d, depth, d->n);
		int fd = open_child(d, top(d), entry);

		if (fd < 0)
			return fd;
		d->entry[d->n] = entry;
		d->fd[d->n++] = fd;
	}
	return depth > DIRSTACK_DEPTH ? open_deep(d, depth) : 0;
}

int dirstack_get(struct dirstack *d, uint32_t entry, int *ret_fd)
{
	size_t depth, same = 0;
	int r = 0;

	if (d->deep_fd >= 0 && d->deep == entry) {
		*ret_fd = d->deep_fd;
		return 0;
	}
	if (d->deep_fd >= 0 || !d->n || d->entry[d->n - 1] != entry) {
		r = chain_of(d, entry, &depth);
		if (r)
			return r;
		while (same < d->n && same < depth &&
		       d->entry[same] == chain_at(d, depth, same))
			same++;
		pop_to(d, same);
		r = descend(d, depth);
	}
	if (r)
		return r;
	*ret_fd = d->deep_fd >= 0 ? d->deep_fd : top(d);
	return 0;
}
