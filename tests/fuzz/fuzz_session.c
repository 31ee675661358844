/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon under requests of anybody: its session, tables and a store in memory, at a
 * socket whose other end is kernel.c. Node ids and handles are those that were given out,
 * as the kernel's are; names, sizes, offsets, flags, attributes, the caller and the order
 * are what the input says. Every request is answered once, and sanely; what was written
 * is read back; in the end nothing is left open and the store is sound.
 *
 * The first two bytes set the daemon up, then each request is a byte and its arguments.
 * An input that has ended gives zeros.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/handle.h"
#include "fs/pending.h"
#include "fs/session.h"
#include "fs/vnode.h"
#include "store/check.h"
#include "store/util/log.h"
#include "store/util/pack.h"
#include "tests/fuzz/kernel.h"

enum { REQUESTS_MAX = 200, SOCKET_BYTES = 4 << 20 };

struct input {
	const uint8_t *at, *end;
	struct kernel k;
	struct session *session;
	struct fuse_buf received;
	bool async; /* the request that is made now */
	unsigned int made;
};

/* ---- what the input says ---- */

static unsigned int take_u8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint64_t take_u64(struct input *in)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | take_u8(in);
	return v;
}

/* Small ones, those around limits, any. */
static uint64_t take_number(struct input *in)
{
	static const uint64_t limits[] = {4096,	      65536,
					  131072,     1 << 20,
					  1 << 30,    UINT64_C(1) << 40,
					  INT64_MAX,  UINT64_C(1) << 62,
					  UINT32_MAX, UINT64_C(1) << 63,
					  UINT64_MAX};
	unsigned int b = take_u8(in);

	if (b < 128)
		return b;
	if (b < 160)
		return b << 8 | take_u8(in);
	if (b < 250)
		return limits[b % 11] + (b & 1 ? 0 : take_u8(in)) - (b & 2 ? 1 : 0);
	return take_u64(in);
}

/* Of a file's offsets the kernel knows that they are none below zero. */
static uint64_t take_offset(struct input *in, size_t len)
{
	uint64_t off = take_number(in) & INT64_MAX;

	return off > INT64_MAX - len ? INT64_MAX - len : off;
}

static const char *const words[] = {
    "a",
    "b",
    "c",
    "d",
    ".memofs",
    "view",
    "versions",
    "reservations",
    "stage",
    "jobs",
    "status",
    "stats.json",
    "metrics",
    "log",
    "top.json",
    "config",
    "history.csv",
    "check",
    "gc",
    "backup",
    "wait",
    "wait=1h",
    "wait=5ms",
    "ro",
    "stale",
    "pack",
    "version=v1",
    "v1",
    "v2",
    "max-age=1s",
    "max-age=1h",
    "owner=me",
    "since=2020-01-01T00:00:00Z",
    "tree",
    "stats",
    "version",
    "me",
    "me 1h",
    "me 0",
    "you 20ms",
    "1h",
    "none",
    "0",
    "20ms",
    "repair",
    "fast",
    "1",
    "12.5",
    "always",
    "on-success",
    "1M",
    "100",
    "held owner=me",
    "free",
    "292y",
    "user.foo",
    "user.cache.ttl",
    "user.cache.x",
    "trusted.x",
    "security.capability",
};
enum { WORDS = sizeof(words) / sizeof(words[0]), COMPONENTS = 40 };

static const char *const attributes[] = {
    "user.cache.ttl",
    "user.cache.version",
    "user.cache.reservation",
    "user.cache.reservation-extend",
    "user.cache.expires",
    "user.cache.age",
    "user.cache.created",
    "user.cache.state",
    "user.cache.hash",
    "user.cache.cost",
    "user.cache.hits",
    "user.cache.writer",
    "user.cache.key",
    "user.cache.lease",
    "user.cache.wait",
    "user.cache.quota",
    "user.cache.publish",
    "user.cache.max-entry",
    "user.cache.pin",
    "user.mine",
    "user.other",
    "system.posix_acl_access",
    "security.capability",
    "user.",
};
enum { ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]) };

static void take_raw(struct input *in, size_t len, char *ret_text)
{
	for (size_t i = 0; i < len; i++) {
		ret_text[i] = (char)take_u8(in);
		if (!ret_text[i])
			ret_text[i] = 'x';
	}
	ret_text[len] = '\0';
}

/* Any text: a word, two of them, or bytes. */
static void take_text(struct input *in, char ret_text[KERNEL_NAME_MAX + 1])
{
	unsigned int b = take_u8(in);

	if (b < 192) {
		strcpy(ret_text, words[b % WORDS]);
	} else if (b < 224) {
		strcpy(ret_text, words[take_u8(in) % WORDS]);
		strcat(ret_text, b & 1 ? "," : " ");
		strcat(ret_text, words[take_u8(in) % WORDS]);
	} else if (b < 254) {
		take_raw(in, b - 223, ret_text);
	} else {
		size_t len = 200 + 8 * (take_u8(in) % 100);

		memset(ret_text, (int)('a' + b % 2), len);
		ret_text[len] = '\0';
	}
}

/* As the kernel lets a name through: no slash, not `.` or `..`. */
static void take_name(struct input *in, char ret_name[KERNEL_NAME_MAX + 1])
{
	if (in->at < in->end && *in->at < COMPONENTS) {
		strcpy(ret_name, words[take_u8(in)]);
		return;
	}
	take_text(in, ret_name);
	for (char *p = ret_name; (p = strchr(p, '/'));)
		*p = 'x';
	if (strcmp(ret_name, ".") == 0 || strcmp(ret_name, "..") == 0)
		ret_name[0] = 'x';
}

/* The newest, or one by its number; with `type`, the next of that type. */
static unsigned int take_node(struct input *in, mode_t type)
{
	unsigned int b = take_u8(in);
	unsigned int at = b == 255 ? in->k.newest_node : b % KERNEL_NODES;

	for (unsigned int i = 0; i < KERNEL_NODES; i++) {
		unsigned int n = (at + KERNEL_NODES - i) % KERNEL_NODES;

		if (in->k.nodes[n].id &&
		    (!type || (in->k.nodes[n].mode & S_IFMT) == type))
			return n;
	}
	return KERNEL_NODES;
}

static bool handle_fits(const struct input *in, unsigned int i, bool dir)
{
	const struct kernel_handle *h = &in->k.handles[i];

	return h->used && !h->releasing && dir == !!S_ISDIR(in->k.nodes[h->node].mode);
}

static unsigned int take_handle(struct input *in, bool dir)
{
	unsigned int b = take_u8(in);
	unsigned int at = b == 0 ? in->k.newest_handle : b % KERNEL_HANDLES;

	for (unsigned int i = 0; i < KERNEL_HANDLES; i++) {
		unsigned int h = (at + KERNEL_HANDLES - i) % KERNEL_HANDLES;

		if (handle_fits(in, h, dir))
			return h;
	}
	return KERNEL_HANDLES;
}

/* ---- requests ---- */

static struct kernel_reply send_request(struct input *in)
{
	in->made++;
	return kernel_send(&in->k, in->async);
}

static void add_text(struct input *in, const char *text)
{
	kernel_add(&in->k, text, strlen(text) + 1);
}

static void name_request(struct kernel_request *rq, const char *name)
{
	if (strlen(name) < sizeof(rq->name))
		strcpy(rq->name, name);
}

/* Of what a request changes that is not waited for, nothing is known any more. */
static void may_change(struct input *in, unsigned int node)
{
	kernel_value_lost(&in->k, in->k.nodes[node].ino);
}

static struct kernel_reply lookup(struct input *in, unsigned int dir, const char *name)
{
	struct kernel_request *rq = kernel_request(&in->k, FUSE_LOOKUP, dir);

	name_request(rq, name);
	add_text(in, name);
	return send_request(in);
}

static void do_lookup(struct input *in)
{
	unsigned int dir = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1];

	take_name(in, name);
	lookup(in, dir, name);
}

static struct kernel_reply create(struct input *in, unsigned int dir, const char *name,
				  uint32_t flags, uint32_t mode)
{
	const struct fuse_create_in arg = {
	    .flags = flags | O_CREAT, .mode = S_IFREG | (mode & 07777), .umask = 022};
	struct kernel_request *rq = kernel_request(&in->k, FUSE_CREATE, dir);

	name_request(rq, name);
	rq->flags = flags;
	kernel_add(&in->k, &arg, sizeof(arg));
	add_text(in, name);
	return send_request(in);
}

static uint32_t take_flags(struct input *in)
{
	static const uint32_t extra[] = {0,	     O_TRUNC, O_APPEND,	  O_EXCL,
					 O_NONBLOCK, O_SYNC,  O_DIRECT,	  O_NOATIME,
					 O_NOFOLLOW, O_DSYNC, O_LARGEFILE};
	unsigned int b = take_u8(in);

	return (b & 3) % 3 | extra[(b >> 2) % 11] | (b & 128 ? O_TRUNC : 0);
}

static void do_create(struct input *in)
{
	unsigned int dir = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1];
	uint32_t flags, mode;

	take_name(in, name);
	flags = take_flags(in);
	mode = 0600 + (take_u8(in) & 077) * 16;
	create(in, dir, name, flags, mode);
}

static struct kernel_reply open_node(struct input *in, unsigned int node, uint32_t flags)
{
	const struct fuse_open_in arg = {.flags = flags};
	struct kernel_request *rq;
	bool async = in->async;
	struct kernel_reply reply;

	/* It may be answered when somebody else does something. */
	in->async = async || in->k.nodes[node].may_wait;
	if ((flags & O_TRUNC) || in->async)
		may_change(in, node);
	rq = kernel_request(&in->k, FUSE_OPEN, node);
	rq->flags = flags;
	kernel_add(&in->k, &arg, sizeof(arg));
	reply = send_request(in);
	in->async = async;
	return reply;
}

/* As the kernel does: what is stale is looked up again, once. */
static void do_open(struct input *in)
{
	unsigned int node = take_node(in, S_IFREG);
	uint32_t flags = take_flags(in) & ~(uint32_t)O_EXCL;
	struct kernel_reply reply;
	char name[64];

	if (node == KERNEL_NODES)
		return;
	reply = open_node(in, node, flags);
	if (reply.error != -ESTALE || !in->k.nodes[node].name[0])
		return;
	strcpy(name, in->k.nodes[node].name);
	reply = lookup(in, in->k.nodes[node].parent, name);
	if (reply.node < KERNEL_NODES && S_ISREG(in->k.nodes[reply.node].mode))
		open_node(in, reply.node, flags);
}

static void do_read(struct input *in)
{
	unsigned int h = take_handle(in, false);
	uint64_t size = take_number(in) % (KERNEL_IO_MAX + 1);
	uint64_t off = take_offset(in, size);
	struct fuse_read_in arg = {.size = (uint32_t)size, .offset = off};
	struct kernel_request *rq;

	if (h == KERNEL_HANDLES || (in->k.handles[h].flags & O_ACCMODE) == O_WRONLY)
		return;
	arg.fh = in->k.handles[h].fh;
	rq = kernel_request(&in->k, FUSE_READ, in->k.handles[h].node);
	rq->handle = h;
	rq->size = size;
	rq->off = off;
	rq->value = kernel_value(&in->k, in->k.nodes[rq->node].ino);
	if (in->async)
		rq->value = NULL;
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

static void write_to(struct input *in, unsigned int h, const void *data, size_t len,
		     uint64_t off)
{
	struct fuse_write_in arg = {
	    .fh = in->k.handles[h].fh, .size = (uint32_t)len, .offset = off};
	uint64_t ino = in->k.nodes[in->k.handles[h].node].ino;
	struct kernel_request *rq;
	struct kernel_reply reply;

	rq = kernel_request(&in->k, FUSE_WRITE, in->k.handles[h].node);
	rq->handle = h;
	rq->size = len;
	if (in->async)
		may_change(in, rq->node);
	kernel_add(&in->k, &arg, sizeof(arg));
	kernel_add(&in->k, data, len);
	reply = send_request(in);
	if (!reply.done)
		return;
	if (reply.error) /* a part of it may be there */
		kernel_value_lost(&in->k, ino);
	else
		kernel_value_write(&in->k, ino, data, reply.size, off);
}

/* A pack, sound or not. */
static void make_pack(struct input *in, struct buf *ret_raw)
{
	static const uint8_t hash[PACK_HASH_BYTES]; /* not that of the content */
	struct pack_item file = {.path = "d/f", .type = PACK_FILE, .mode = 0644};
	struct pack_item link = {.path = "l", .type = PACK_LINK, .target = "d/f"};
	unsigned int b = take_u8(in);
	struct pack_maker *m;

	FUZZ_CHECK(pack_maker_new(&m) == 0);
	file.hash = hash;
	if (b & 1) {
		file.size_bytes = 5;
		FUZZ_CHECK(buf_append(ret_raw, "hello", 5) == 0);
		FUZZ_CHECK(pack_maker_add(m, &file) == 0);
	}
	FUZZ_CHECK(pack_maker_add(m, &link) == 0);
	FUZZ_CHECK(pack_maker_finish(m, ret_raw->len, ret_raw) == 0);
	pack_maker_free(m);
	if (b & 2)
		ret_raw->data[take_u8(in) % ret_raw->len] ^= (uint8_t)(1 + b);
	if (b & 4)
		ret_raw->len -= take_u8(in) % ret_raw->len;
}

static void make_data(struct input *in, struct buf *ret_data)
{
	unsigned int b = take_u8(in);
	uint8_t byte;

	if (b >= 240) {
		make_pack(in, ret_data);
		return;
	}
	if (b < 64) { /* what may be a command */
		char text[KERNEL_NAME_MAX + 1];

		take_text(in, text);
		FUZZ_CHECK(buf_append(ret_data, text, strlen(text)) == 0);
		return;
	}
	FUZZ_CHECK(buf_reserve(ret_data, KERNEL_IO_MAX) == 0);
	ret_data->len = take_number(in) % KERNEL_IO_MAX;
	byte = (uint8_t)take_u8(in);
	for (size_t i = 0; i < ret_data->len; i++)
		ret_data->data[i] = (uint8_t)(byte + i * b);
}

static void do_write(struct input *in)
{
	CLEANUP_BUF struct buf data = BUF_INIT;
	unsigned int h = take_handle(in, false);
	uint64_t off;

	make_data(in, &data);
	off = take_offset(in, data.len);
	if (h == KERNEL_HANDLES || !(in->k.handles[h].flags & O_ACCMODE))
		return;
	write_to(in, h, data.data ? (void *)data.data : "", data.len, off);
}

static void flush(struct input *in, unsigned int h)
{
	struct fuse_flush_in arg = {.fh = in->k.handles[h].fh};
	struct kernel_request *rq;

	rq = kernel_request(&in->k, FUSE_FLUSH, in->k.handles[h].node);
	rq->handle = h;
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

static void do_flush(struct input *in)
{
	unsigned int h = take_handle(in, false);

	if (h < KERNEL_HANDLES)
		flush(in, h);
}

static void do_release(struct input *in)
{
	unsigned int b = take_u8(in);
	unsigned int h = take_handle(in, b & 1);

	if (h < KERNEL_HANDLES)
		kernel_release(&in->k, h, in->async);
}

static void do_fsync(struct input *in)
{
	bool dir = take_u8(in) & 1;
	unsigned int h = take_handle(in, dir);
	struct fuse_fsync_in arg = {0};
	struct kernel_request *rq;

	if (h == KERNEL_HANDLES)
		return;
	arg.fh = in->k.handles[h].fh;
	rq = kernel_request(&in->k, dir ? FUSE_FSYNCDIR : FUSE_FSYNC,
			    in->k.handles[h].node);
	rq->handle = h;
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

/* A value from its beginning to its end. */
static void do_put(struct input *in)
{
	CLEANUP_BUF struct buf data = BUF_INIT;
	unsigned int dir = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1];
	struct kernel_reply reply;
	bool async = in->async;

	take_name(in, name);
	make_data(in, &data);
	in->async = false;
	reply = create(in, dir, name, O_WRONLY | O_TRUNC, 0644);
	if (reply.handle < KERNEL_HANDLES) {
		write_to(in, reply.handle, data.data ? (void *)data.data : "", data.len,
			 0);
		flush(in, reply.handle);
		kernel_release(&in->k, reply.handle, async);
	}
	in->async = async;
}

static void do_walk(struct input *in)
{
	unsigned int dir = take_node(in, S_IFDIR), n = 1 + take_u8(in) % 5;
	char name[KERNEL_NAME_MAX + 1];

	in->async = false;
	for (unsigned int i = 0; i < n && dir < KERNEL_NODES; i++) {
		struct kernel_reply reply;

		take_name(in, name);
		reply = lookup(in, dir, name);
		if (reply.node == KERNEL_NODES || !S_ISDIR(in->k.nodes[reply.node].mode))
			return;
		dir = reply.node;
	}
}

static void do_getattr(struct input *in)
{
	const struct fuse_getattr_in arg = {0};

	kernel_request(&in->k, FUSE_GETATTR, take_node(in, 0));
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

static void do_setattr(struct input *in)
{
	unsigned int node = take_node(in, 0), h = take_handle(in, false), b;
	struct kernel_node *n = &in->k.nodes[node];
	struct fuse_setattr_in arg = {
	    .mode = n->mode & S_IFMT,
	};
	uint64_t ino = n->ino;
	struct kernel_request *rq;
	struct kernel_reply reply;

	b = take_u8(in);
	arg.valid = b | (take_u8(in) & 15) << 7;
	arg.mode |= take_number(in) & 07777;
	arg.uid = (uint32_t)take_number(in);
	arg.gid = (uint32_t)take_number(in);
	arg.size = take_offset(in, 0);
	arg.atime = arg.mtime = arg.ctime = take_number(in);
	arg.atimensec = arg.mtimensec = arg.ctimensec =
	    (uint32_t)(take_number(in) % 1000000000);
	if (!S_ISREG(n->mode))
		arg.valid &= ~(uint32_t)FATTR_SIZE;
	arg.valid &= ~(uint32_t)FATTR_FH;
	rq = kernel_request(&in->k, FUSE_SETATTR, node);
	if ((arg.valid & FATTR_SIZE) && (b & 64) && h < KERNEL_HANDLES &&
	    in->k.handles[h].node == node && (in->k.handles[h].flags & O_ACCMODE)) {
		arg.valid |= FATTR_FH;
		arg.fh = in->k.handles[h].fh;
		rq->handle = h;
	}
	if (arg.valid & FATTR_SIZE)
		kernel_value_lost(&in->k, ino);
	kernel_add(&in->k, &arg, sizeof(arg));
	reply = send_request(in);
	(void)reply;
}

/* ---- attributes ---- */

static void take_attribute(struct input *in, char ret_name[KERNEL_NAME_MAX + 1])
{
	unsigned int b = take_u8(in);

	if (b < 200) {
		strcpy(ret_name, attributes[b % ATTRIBUTES]);
		return;
	}
	strcpy(ret_name, b & 1 ? "user.cache." : "user.");
	take_raw(in, b - 199, ret_name + strlen(ret_name));
}

static void do_setxattr(struct input *in)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	unsigned int node = take_node(in, 0);
	char name[KERNEL_NAME_MAX + 1];
	struct fuse_setxattr_in arg = {0};

	take_attribute(in, name);
	arg.flags = take_u8(in) % 3; /* XATTR_CREATE, XATTR_REPLACE */
	make_data(in, &value);
	arg.size = (uint32_t)value.len;
	kernel_request(&in->k, FUSE_SETXATTR, node);
	kernel_add(&in->k, &arg, FUSE_COMPAT_SETXATTR_IN_SIZE);
	add_text(in, name);
	kernel_add(&in->k, value.data ? (void *)value.data : "", value.len);
	send_request(in);
}

static void do_getxattr(struct input *in)
{
	unsigned int node = take_node(in, 0);
	bool list = take_u8(in) & 1;
	char name[KERNEL_NAME_MAX + 1];
	struct fuse_getxattr_in arg = {0};
	struct kernel_request *rq;

	take_attribute(in, name);
	arg.size = (uint32_t)(take_number(in) % (KERNEL_IO_MAX + 1));
	rq = kernel_request(&in->k, list ? FUSE_LISTXATTR : FUSE_GETXATTR, node);
	rq->size = arg.size;
	kernel_add(&in->k, &arg, sizeof(arg));
	if (!list)
		add_text(in, name);
	send_request(in);
}

static void do_removexattr(struct input *in)
{
	unsigned int node = take_node(in, 0);
	char name[KERNEL_NAME_MAX + 1];

	take_attribute(in, name);
	kernel_request(&in->k, FUSE_REMOVEXATTR, node);
	add_text(in, name);
	send_request(in);
}

/* ---- names ---- */

static void do_mkdir(struct input *in)
{
	unsigned int dir = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1];
	struct fuse_mkdir_in arg = {.umask = 022};
	struct kernel_request *rq;

	take_name(in, name);
	arg.mode = 0700 + take_u8(in) * 16;
	rq = kernel_request(&in->k, FUSE_MKDIR, dir);
	name_request(rq, name);
	kernel_add(&in->k, &arg, sizeof(arg));
	add_text(in, name);
	send_request(in);
}

static void do_remove(struct input *in, uint32_t opcode)
{
	unsigned int dir = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1];

	take_name(in, name);
	kernel_request(&in->k, opcode, dir);
	add_text(in, name);
	send_request(in);
}

static void do_unlink(struct input *in)
{
	do_remove(in, FUSE_UNLINK);
}

static void do_rmdir(struct input *in)
{
	do_remove(in, FUSE_RMDIR);
}

static void do_rename(struct input *in)
{
	unsigned int from = take_node(in, S_IFDIR), to = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1], newname[KERNEL_NAME_MAX + 1];
	struct fuse_rename2_in arg;

	take_name(in, name);
	take_name(in, newname);
	arg = (struct fuse_rename2_in){.newdir = in->k.nodes[to].id,
				       .flags = take_u8(in) % 8};
	kernel_request(&in->k, FUSE_RENAME2, from);
	kernel_add(&in->k, &arg, sizeof(arg));
	add_text(in, name);
	add_text(in, newname);
	send_request(in);
}

static void do_symlink(struct input *in)
{
	unsigned int dir = take_node(in, S_IFDIR);
	char name[KERNEL_NAME_MAX + 1], target[KERNEL_NAME_MAX + 1];
	struct kernel_request *rq;

	take_name(in, name);
	take_text(in, target);
	rq = kernel_request(&in->k, FUSE_SYMLINK, dir);
	name_request(rq, name);
	add_text(in, name);
	add_text(in, target);
	send_request(in);
}

static void do_readlink(struct input *in)
{
	unsigned int node = take_node(in, S_IFLNK);

	if (node == KERNEL_NODES)
		return;
	kernel_request(&in->k, FUSE_READLINK, node);
	send_request(in);
}

/* Hard links and devices, which there are none of. */
static void do_odd_name(struct input *in)
{
	unsigned int dir = take_node(in, S_IFDIR), node = take_node(in, 0);
	const struct fuse_link_in link = {.oldnodeid = in->k.nodes[node].id};
	struct fuse_mknod_in mknod = {.mode = S_IFIFO | 0644};
	unsigned int b = take_u8(in);
	char name[KERNEL_NAME_MAX + 1];
	struct kernel_request *rq;

	take_name(in, name);
	if (b & 2)
		mknod.mode = S_IFREG | 0644;
	rq = kernel_request(&in->k, b & 1 ? FUSE_LINK : FUSE_MKNOD, dir);
	name_request(rq, name);
	if (b & 1)
		kernel_add(&in->k, &link, sizeof(link));
	else
		kernel_add(&in->k, &mknod, sizeof(mknod));
	add_text(in, name);
	send_request(in);
}

/* ---- listings ---- */

static void do_opendir(struct input *in)
{
	const struct fuse_open_in arg = {.flags = O_RDONLY | O_DIRECTORY};

	kernel_request(&in->k, FUSE_OPENDIR, take_node(in, S_IFDIR));
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

static void do_readdir(struct input *in)
{
	unsigned int h = take_handle(in, true), b = take_u8(in);
	struct fuse_read_in arg = {0};
	struct kernel_request *rq;

	arg.offset = take_offset(in, 0);
	arg.size = (uint32_t)(take_number(in) % (KERNEL_IO_MAX + 1));
	if (b & 2)
		arg.size = 4096;
	if (h == KERNEL_HANDLES)
		return;
	arg.fh = in->k.handles[h].fh;
	rq = kernel_request(&in->k, b & 1 ? FUSE_READDIR : FUSE_READDIRPLUS,
			    in->k.handles[h].node);
	rq->handle = h;
	rq->size = arg.size;
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

/* ---- parts of files ---- */

static void do_fallocate(struct input *in)
{
	unsigned int h = take_handle(in, false);
	struct fuse_fallocate_in arg = {.mode = take_u8(in) & 0x7f};
	struct kernel_request *rq;

	arg.length = take_offset(in, 0);
	arg.offset = take_offset(in, arg.length);
	if (h == KERNEL_HANDLES || !arg.length || !(in->k.handles[h].flags & O_ACCMODE))
		return;
	arg.fh = in->k.handles[h].fh;
	rq = kernel_request(&in->k, FUSE_FALLOCATE, in->k.handles[h].node);
	rq->handle = h;
	may_change(in, rq->node);
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

static void do_lseek(struct input *in)
{
	unsigned int h = take_handle(in, false);
	struct fuse_lseek_in arg = {.whence = take_u8(in) & 1 ? SEEK_DATA : SEEK_HOLE};
	struct kernel_request *rq;

	arg.offset = take_number(in);
	if (h == KERNEL_HANDLES)
		return;
	arg.fh = in->k.handles[h].fh;
	rq = kernel_request(&in->k, FUSE_LSEEK, in->k.handles[h].node);
	rq->handle = h;
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

static void do_copy(struct input *in)
{
	unsigned int from = take_handle(in, false), to = take_handle(in, false);
	struct fuse_copy_file_range_in arg = {0};
	struct kernel_request *rq;

	arg.len = take_number(in) & (SIZE_MAX >> 2);
	arg.off_in = take_offset(in, arg.len);
	arg.off_out = take_offset(in, arg.len);
	if (from == KERNEL_HANDLES || to == KERNEL_HANDLES || from == to ||
	    (in->k.handles[from].flags & O_ACCMODE) == O_WRONLY ||
	    !(in->k.handles[to].flags & O_ACCMODE))
		return;
	arg.fh_in = in->k.handles[from].fh;
	arg.fh_out = in->k.handles[to].fh;
	arg.nodeid_out = in->k.nodes[in->k.handles[to].node].id;
	may_change(in, in->k.handles[to].node);
	rq = kernel_request(&in->k, FUSE_COPY_FILE_RANGE, in->k.handles[from].node);
	rq->size = arg.len;
	in->async = false; /* two handles are used: it is waited for */
	kernel_add(&in->k, &arg, sizeof(arg));
	send_request(in);
}

/* ---- the rest ---- */

static void do_other(struct input *in)
{
	static const uint32_t opcodes[] = {FUSE_STATFS, FUSE_IOCTL, FUSE_ACCESS};
	static const uint8_t arg[sizeof(struct fuse_ioctl_in)];
	uint32_t opcode = opcodes[take_u8(in) % 3];

	kernel_request(&in->k, opcode, take_node(in, 0));
	if (opcode != FUSE_STATFS)
		kernel_add(&in->k, arg, sizeof(arg));
	send_request(in);
}

static void do_forget(struct input *in)
{
	kernel_forget(&in->k, take_node(in, 0));
}

/* Of one that has no answer yet, or of none. */
static void do_interrupt(struct input *in)
{
	unsigned int i = take_u8(in) % KERNEL_OUTSTANDING;
	struct fuse_interrupt_in arg = {.unique = in->k.requests[i].unique};

	if (!arg.unique)
		return;
	kernel_request(&in->k, FUSE_INTERRUPT, 0);
	((struct fuse_in_header *)in->k.out.data)->unique = arg.unique | 1;
	kernel_add(&in->k, &arg, sizeof(arg));
	kernel_send_unanswered(&in->k);
}

/* Root, two users, and somebody of another pid namespace. */
static void set_caller(struct input *in, unsigned int who)
{
	in->k.uid = who == 1 || who == 2 ? 1000 + who : 0;
	in->k.gid = in->k.uid;
	in->k.pid = who == 2 ? 0 : (uint32_t)getpid();
}

static void do_request(struct input *in)
{
	static void (*const requests[])(struct input *) = {
	    do_lookup,	do_put,	     do_create,	   do_open,	   do_read,
	    do_write,	do_flush,    do_release,   do_walk,	   do_getattr,
	    do_setattr, do_setxattr, do_getxattr,  do_removexattr, do_mkdir,
	    do_unlink,	do_rmdir,    do_rename,	   do_symlink,	   do_readlink,
	    do_opendir, do_readdir,  do_fallocate, do_lseek,	   do_copy,
	    do_other,	do_forget,   do_interrupt, do_fsync,	   do_odd_name,
	};
	enum { REQUESTS = sizeof(requests) / sizeof(requests[0]) };
	unsigned int b = take_u8(in);

	set_caller(in, b >> 5 & 3);
	in->async = b >= 128;
	if ((b & 31) < REQUESTS)
		requests[b & 31](in);
	kernel_drain(&in->k, false);
}

/* ---- the daemon ---- */

static int no_config(void *config, struct buf *ret_text)
{
	return buf_printf(ret_text, "none\n");
}

static void open_fs(struct input *in, struct fs *fs)
{
	unsigned int b = take_u8(in);
	struct store_options opt = {.kind = STORE_MEMORY,
				    .root_mode = 0755,
				    .small_max_bytes = b & 1 ? 1 : 0,
				    .staged_memory_bytes = b & 2 ? 1 : 0,
				    .size_bytes = b & 4 ? 64 << 20 : STORE_SIZE_NONE,
				    .max_entry_bytes = b & 8 ? 10000 : 0,
				    .policy = b & 16 ? STORE_LRU : STORE_GDSF};
	struct errmsg err;

	*fs = (struct fs){.store_path = "memory",
			  .mountpoint = "nowhere",
			  .backend_name = "memory",
			  .started_ns = time_now_ns(),
			  .threads = b & 32 ? 3 : 1,
			  .read_only = b & 64,
			  .config_text = no_config};
	FUZZ_CHECK(store_open(&opt, &fs->store, &err) == 0);
	FUZZ_CHECK(fs_make_tables(fs, &err) == 0);
	pending_set_waiting_max(fs->pending, (fs->threads + 1) / 2);
}

/* As long as nobody has to wait for anybody: without a switch of threads. */
static void serve(void *arg)
{
	struct input *in = arg;

	FUZZ_CHECK(session_serve_one(in->session, &in->received) > 0);
}

static void open_session(struct input *in, struct fs *fs)
{
	int fds[2], bytes = SOCKET_BYTES;
	char path[32];
	struct session_options opt = {
	    .mount = {.mountpoint = path, .store_path = "memory"},
	    .threads = fs->threads};
	struct errmsg err;

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	snprintf(path, sizeof(path), MOUNT_FD "%d", fds[1]);
	FUZZ_CHECK(session_new(fs, &opt, &in->session, &err) == 0);
	if (fs->threads > 1)
		FUZZ_CHECK(session_start(in->session, &err) == 0);
	kernel_begin(&in->k, fds[0], fs->threads > 1 ? NULL : serve, in);
}

static void say_found(void *arg, const char *line)
{
	fprintf(stderr, "check: %s\n", line);
}

static void check_store(struct store *st)
{
	const struct store_check_options opt = {.contents = true, .found = say_found};
	struct store_check_result result;

	FUZZ_CHECK(store_check(st, &opt, &result) == 0);
	FUZZ_CHECK(result.found == 0);
}

/* All is let go of, or the mount ends under it. */
static void end(struct input *in, struct fs *fs, bool let_go)
{
	set_caller(in, 0);
	fs_stop(fs); /* nobody waits any more */
	if (let_go) {
		kernel_let_go(&in->k);
		FUZZ_CHECK(handle_count(fs->handles) == 0);
	} else {
		kernel_drain(&in->k, true);
	}
	kernel_end(&in->k);
	session_free(in->session);
	if (let_go)
		FUZZ_CHECK(vnode_count(fs->vnodes) == 0);
	op_io_thread_done();
	free(in->received.mem);
	check_store(fs->store);
	fs_free(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct input in; /* large */
	struct errmsg err;
	struct fs fs;
	bool let_go;

	FUZZ_CHECK(log_open(LOG_SINK_FILE, "/dev/null", &err) == 0);
	in = (struct input){.at = data, .end = data + len};
	let_go = !(take_u8(&in) & 1);
	open_fs(&in, &fs);
	open_session(&in, &fs);
	while (in.at < in.end && in.made < REQUESTS_MAX)
		do_request(&in);
	end(&in, &fs, let_go);
	return 0;
}
