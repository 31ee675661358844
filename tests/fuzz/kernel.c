/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* An answer that takes so long does not come. Sanitizers on a busy machine are slow. */
enum { ANSWER_MAX_MS = 60 * 1000 };
enum { VALUE_MAX = 1 << 20 };
#define VIRTUAL (UINT64_C(1) << 63)

/* ---- values ---- */

struct kernel_value *kernel_value(struct kernel *k, uint64_t ino)
{
	for (unsigned int i = 0; ino && i < KERNEL_VALUES; i++)
		if (k->values[i].ino == ino)
			return &k->values[i];
	return NULL;
}

/* An empty file that nobody has seen before. */
static void value_new(struct kernel *k, uint64_t ino)
{
	struct kernel_value *v;

	if ((ino & VIRTUAL) || kernel_value(k, ino))
		return;
	v = &k->values[k->next_value++ % KERNEL_VALUES];
	v->ino = ino;
	v->known = true;
	buf_clear(&v->content);
}

void kernel_value_lost(struct kernel *k, uint64_t ino)
{
	struct kernel_value *v = kernel_value(k, ino);

	if (v)
		v->known = false;
}

void kernel_value_truncate(struct kernel *k, uint64_t ino, uint64_t size)
{
	struct kernel_value *v = kernel_value(k, ino);
	size_t was;

	if (!v)
		return;
	if (size > VALUE_MAX) {
		v->known = false;
		return;
	}
	FUZZ_CHECK(buf_reserve(&v->content, size + 1) == 0);
	was = v->content.len;
	if (size > was)
		memset(v->content.data + was, 0, size - was);
	v->content.len = size;
}

void kernel_value_write(struct kernel *k, uint64_t ino, const void *data, size_t len,
			uint64_t off)
{
	struct kernel_value *v = kernel_value(k, ino);

	if (!v || !len)
		return;
	if (off > VALUE_MAX || off + len > VALUE_MAX) {
		v->known = false;
		return;
	}
	if (off + len > v->content.len)
		kernel_value_truncate(k, ino, off + len);
	memcpy(v->content.data + off, data, len);
}

static void check_read(const struct kernel_request *rq, const uint8_t *data, size_t len)
{
	const struct kernel_value *v = rq->value;
	size_t want = 0;

	if (!v || !v->known)
		return;
	if (rq->off < v->content.len)
		want = v->content.len - (size_t)rq->off;
	if (want > rq->size)
		want = rq->size;
	FUZZ_CHECK(len == want);
	FUZZ_CHECK(!len || memcmp(data, v->content.data + rq->off, len) == 0);
}

/* ---- nodes ---- */

static unsigned int find_node(const struct kernel *k, uint64_t id)
{
	unsigned int i = 0;

	while (i < KERNEL_NODES && k->nodes[i].id != id)
		i++;
	return i;
}

static void send_forget(struct kernel *k, uint64_t id, uint64_t lookups)
{
	const struct fuse_forget_in arg = {.nlookup = lookups};
	struct kernel_request *rq = kernel_request(k, FUSE_FORGET, 0);

	((struct fuse_in_header *)k->out.data)->nodeid = id;
	kernel_add(k, &arg, sizeof(arg));
	rq->unique = 0;
	kernel_send_unanswered(k);
}

static void node_attr(struct kernel *k, unsigned int i, const struct fuse_attr *attr)
{
	const struct kernel_value *v = kernel_value(k, attr->ino);

	FUZZ_CHECK((k->nodes[i].mode & S_IFMT) == (attr->mode & S_IFMT));
	FUZZ_CHECK(attr->mtimensec < 1000000000 && attr->ctimensec < 1000000000);
	FUZZ_CHECK(!v || !v->known || !S_ISREG(attr->mode) ||
		   attr->size == v->content.len);
	k->nodes[i].mode = attr->mode;
}

static bool waits(const char *name)
{
	return strstr(name, "wait") != NULL;
}

/* A node was told of, with a lookup. KERNEL_NODES: there is no room, it is forgotten. */
static unsigned int node_learn(struct kernel *k, unsigned int parent, const char *name,
			       uint64_t id, const struct fuse_attr *attr)
{
	unsigned int i = find_node(k, id);
	struct kernel_node *n;

	FUZZ_CHECK(S_ISREG(attr->mode) || S_ISDIR(attr->mode) || S_ISLNK(attr->mode));
	FUZZ_CHECK((id & ~VIRTUAL) != 0);
	if (i < KERNEL_NODES) {
		k->nodes[i].lookups++;
		node_attr(k, i, attr);
		return i;
	}
	i = find_node(k, 0);
	if (i == KERNEL_NODES) {
		send_forget(k, id, 1);
		return i;
	}
	n = &k->nodes[i];
	*n = (struct kernel_node){.id = id,
				  .ino = attr->ino,
				  .mode = attr->mode,
				  .lookups = 1,
				  .parent = parent,
				  .may_wait = k->nodes[parent].may_wait || waits(name)};
	if (strlen(name) < sizeof(n->name))
		strcpy(n->name, name);
	k->nodes[parent].children++;
	k->newest_node = i;
	node_attr(k, i, attr);
	return i;
}

void kernel_forget(struct kernel *k, unsigned int i)
{
	struct kernel_node *n = &k->nodes[i];

	if (i == 0 || !n->id || n->opens || n->children)
		return;
	for (unsigned int r = 0; r < KERNEL_OUTSTANDING; r++)
		if (k->requests[r].unique && k->requests[r].node == i)
			return;
	send_forget(k, n->id, n->lookups);
	k->nodes[n->parent].children--;
	*n = (struct kernel_node){0};
}

/* ---- handles ---- */

static unsigned int handle_learn(struct kernel *k, const struct kernel_request *rq,
				 unsigned int node, uint64_t fh)
{
	unsigned int i = 0;

	while (i < KERNEL_HANDLES && k->handles[i].used)
		i++;
	FUZZ_CHECK(i < KERNEL_HANDLES); /* kernel_send() has seen to it */
	k->handles[i] = (struct kernel_handle){
	    .used = true, .fh = fh, .node = node, .flags = rq->flags};
	k->nodes[node].opens++;
	k->newest_handle = i;
	return i;
}

static void handle_gone(struct kernel *k, unsigned int i)
{
	k->nodes[k->handles[i].node].opens--;
	k->handles[i] = (struct kernel_handle){0};
}

void kernel_release(struct kernel *k, unsigned int i, bool async)
{
	struct kernel_handle *h = &k->handles[i];
	bool dir = S_ISDIR(k->nodes[h->node].mode);
	struct fuse_release_in arg = {.fh = h->fh, .flags = h->flags};
	struct kernel_request *rq;

	for (unsigned int r = 0; r < KERNEL_OUTSTANDING; r++)
		if (k->requests[r].unique && k->requests[r].handle == i)
			return; /* still used */
	rq = kernel_request(k, dir ? FUSE_RELEASEDIR : FUSE_RELEASE, h->node);
	rq->handle = i;
	h->releasing = true;
	kernel_add(k, &arg, sizeof(arg));
	if (!kernel_send(k, async).done && !async)
		h->releasing = false;
}

/* ---- answers ---- */

/* What the daemon may say without having failed. */
static bool sane_error(uint32_t opcode, int error)
{
	static const int good[] = {
	    EPERM,     EACCES, ENOENT,	  ESTALE, EEXIST,   EXDEV,	  ENOTDIR,
	    EISDIR,    EINVAL, ENFILE,	  EMFILE, EFBIG,    ENOSPC,	  EDQUOT,
	    EROFS,     EMLINK, ENOTEMPTY, EBUSY,  ENODATA,  ERANGE,	  ENOTSUP,
	    ETIMEDOUT, ENXIO,  EBADF,	  E2BIG,  ENOTCONN, ENAMETOOLONG, EAGAIN,
	    EOVERFLOW, EINTR,  ECANCELED, ELOOP,
	};

	if (opcode == FUSE_IOCTL || opcode == FUSE_ACCESS || opcode == FUSE_POLL)
		return error == ENOSYS;
	if ((opcode == FUSE_FLUSH || opcode == FUSE_SETATTR) && error == EBADMSG)
		return true; /* what was written or cut under `pack` is none */
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (good[i] == error)
			return true;
	return false;
}

static void check_entry(const struct fuse_entry_out *e)
{
	FUZZ_CHECK(e->entry_valid_nsec < 1000000000 && e->attr_valid_nsec < 1000000000);
}

static unsigned int take_entry(struct kernel *k, const struct kernel_request *rq,
			       const struct fuse_entry_out *e)
{
	check_entry(e);
	if (!e->nodeid) { /* a name that is known to be missing */
		FUZZ_CHECK(rq->opcode == FUSE_LOOKUP);
		return KERNEL_NODES;
	}
	if (S_ISREG(e->attr.mode) && !e->attr.size && rq->opcode == FUSE_CREATE)
		value_new(k, e->attr.ino);
	return node_learn(k, rq->node, rq->name, e->nodeid, &e->attr);
}

static void take_opened(struct kernel *k, const struct kernel_request *rq,
			unsigned int node, const struct fuse_open_out *o,
			struct kernel_reply *ret)
{
	if (node == KERNEL_NODES) { /* created, but there was no room for it */
		struct kernel_request *next = kernel_request(k, FUSE_RELEASE, 0);
		const struct fuse_release_in arg = {.fh = o->fh, .flags = rq->flags};

		kernel_add(k, &arg, sizeof(arg));
		next->handle = KERNEL_HANDLES;
		kernel_send(k, true);
		return;
	}
	ret->handle = handle_learn(k, rq, node, o->fh);
}

static void check_name(const char *name, size_t len)
{
	FUZZ_CHECK(len && len <= KERNEL_NAME_MAX);
	FUZZ_CHECK(!memchr(name, '/', len) && !memchr(name, '\0', len));
}

static bool is_dot(const struct fuse_dirent *d)
{
	return d->name[0] == '.' &&
	       (d->namelen == 1 || (d->namelen == 2 && d->name[1] == '.'));
}

static void take_listed(struct kernel *k, const struct kernel_request *rq,
			const struct fuse_entry_out *e, const struct fuse_dirent *d)
{
	char name[KERNEL_NAME_MAX + 1];

	check_entry(e);
	if (!e->nodeid)
		return;
	FUZZ_CHECK(!is_dot(d));
	FUZZ_CHECK(d->type == (e->attr.mode & S_IFMT) >> 12);
	memcpy(name, d->name, d->namelen);
	name[d->namelen] = '\0';
	node_learn(k, rq->node, name, e->nodeid, &e->attr);
}

static void take_listing(struct kernel *k, const struct kernel_request *rq,
			 const uint8_t *data, size_t len)
{
	bool plus = rq->opcode == FUSE_READDIRPLUS;
	size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
	uint8_t *copy = malloc(len + 1);
	size_t at = 0;

	FUZZ_CHECK(copy && len <= rq->size);
	memcpy(copy, data, len); /* a FORGET may go out meanwhile */
	while (at < len) {
		const struct fuse_dirent *d = (void *)(copy + at + head);
		size_t next = at + head + FUSE_NAME_OFFSET;

		FUZZ_CHECK(next <= len && next + d->namelen <= len);
		check_name(d->name, d->namelen);
		if (plus)
			take_listed(k, rq, (void *)(copy + at), d);
		at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
	}
	free(copy);
}

static void take_attr(struct kernel *k, const struct kernel_request *rq,
		      const struct fuse_attr_out *a)
{
	if (k->nodes[rq->node].ino == a->attr.ino)
		node_attr(k, rq->node, &a->attr);
}

static void take_xattr(const struct kernel_request *rq, const uint8_t *data, size_t len)
{
	if (!rq->size) {
		FUZZ_CHECK(len == sizeof(struct fuse_getxattr_out));
		return;
	}
	FUZZ_CHECK(len <= rq->size);
	if (rq->opcode == FUSE_LISTXATTR)
		FUZZ_CHECK(!len || data[len - 1] == '\0');
}

/* The answer of a request that has succeeded. */
static void take_success(struct kernel *k, const struct kernel_request *rq,
			 const uint8_t *data, size_t len, struct kernel_reply *ret)
{
	const struct fuse_entry_out *e = (const void *)data;

	switch (rq->opcode) {
	case FUSE_LOOKUP:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_LINK:
		FUZZ_CHECK(len == sizeof(*e));
		ret->node = take_entry(k, rq, e);
		break;
	case FUSE_CREATE:
		FUZZ_CHECK(len == sizeof(*e) + sizeof(struct fuse_open_out));
		ret->node = take_entry(k, rq, e);
		take_opened(k, rq, ret->node, (const void *)(e + 1), ret);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		FUZZ_CHECK(len == sizeof(struct fuse_open_out));
		take_opened(k, rq, rq->node, (const void *)data, ret);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		FUZZ_CHECK(len == sizeof(struct fuse_attr_out));
		take_attr(k, rq, (const void *)data);
		break;
	case FUSE_READLINK:
		FUZZ_CHECK(len && len < 4096 && !memchr(data, '\0', len));
		break;
	case FUSE_READ:
		FUZZ_CHECK(len <= rq->size);
		check_read(rq, data, len);
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		take_listing(k, rq, data, len);
		break;
	case FUSE_WRITE:
	case FUSE_COPY_FILE_RANGE:
		FUZZ_CHECK(len == sizeof(struct fuse_write_out));
		ret->size = ((const struct fuse_write_out *)data)->size;
		FUZZ_CHECK(ret->size <= rq->size);
		break;
	case FUSE_STATFS:
		FUZZ_CHECK(len == sizeof(struct fuse_statfs_out));
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		take_xattr(rq, data, len);
		break;
	case FUSE_LSEEK:
		FUZZ_CHECK(len == sizeof(struct fuse_lseek_out));
		break;
	default:
		FUZZ_CHECK(len == 0);
	}
}

static void take_answer(struct kernel *k, struct kernel_request *slot, int error,
			const uint8_t *data, size_t len)
{
	struct kernel_request rq = *slot;
	struct kernel_reply reply = {
	    .done = true, .error = error, .node = KERNEL_NODES, .handle = KERNEL_HANDLES};
	bool release = rq.opcode == FUSE_RELEASE || rq.opcode == FUSE_RELEASEDIR;

	if (error && !sane_error(rq.opcode, -error)) {
		fprintf(stderr, "opcode %u: %s\n", rq.opcode, strerror(-error));
		abort();
	}
	FUZZ_CHECK(!error || len == 0);
	slot->unique = 0; /* what is answered may be forgotten */
	if (!error)
		take_success(k, &rq, data, len, &reply);
	if (release && rq.handle < KERNEL_HANDLES)
		handle_gone(k, rq.handle);
	if (rq.reply)
		*rq.reply = reply;
}

/* One packet. */
static void take(struct kernel *k, const uint8_t *data, size_t len)
{
	struct fuse_out_header out;

	FUZZ_CHECK(len >= sizeof(out));
	memcpy(&out, data, sizeof(out));
	FUZZ_CHECK(out.len == len);
	if (!out.unique) { /* a notice: the code is where an error would be */
		FUZZ_CHECK(out.error > 0);
		return;
	}
	FUZZ_CHECK(out.error <= 0 && out.error > -512);
	for (unsigned int i = 0; i < KERNEL_OUTSTANDING; i++) {
		struct kernel_request *rq = &k->requests[i];

		if (rq->unique == out.unique) {
			take_answer(k, rq, out.error, data + sizeof(out),
				    len - sizeof(out));
			return;
		}
	}
	/* An interrupt that found nothing is to be sent again; all else is answered once.
	 */
	FUZZ_CHECK(out.error == -EAGAIN && (out.unique & 1));
}

/* False: nothing came within the time. */
static bool take_next(struct kernel *k, int timeout_ms)
{
	struct pollfd pfd = {.fd = k->fd, .events = POLLIN};
	uint8_t *data;
	ssize_t n;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return false;
	FUZZ_CHECK(buf_reserve(&k->in, KERNEL_IO_MAX + 4096) == 0);
	n = recv(k->fd, k->in.data, KERNEL_IO_MAX + 4096, MSG_DONTWAIT);
	FUZZ_CHECK(n > 0);
	data = malloc((size_t)n); /* what is read beyond its end is seen */
	FUZZ_CHECK(data);
	memcpy(data, k->in.data, (size_t)n);
	take(k, data, (size_t)n);
	free(data);
	return true;
}

static unsigned int outstanding(const struct kernel *k)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < KERNEL_OUTSTANDING; i++)
		n += k->requests[i].unique != 0;
	return n;
}

static void say_unanswered(const struct kernel *k)
{
	for (unsigned int i = 0; i < KERNEL_OUTSTANDING; i++)
		if (k->requests[i].unique)
			fprintf(stderr, "no answer: opcode %u of node %llx\n",
				k->requests[i].opcode,
				(unsigned long long)k->nodes[k->requests[i].node].id);
	abort();
}

void kernel_drain(struct kernel *k, bool all)
{
	while (take_next(k, 0))
		;
	while (all && outstanding(k))
		if (!take_next(k, ANSWER_MAX_MS))
			say_unanswered(k);
}

/* ---- requests ---- */

struct kernel_request *kernel_request(struct kernel *k, uint32_t opcode,
				      unsigned int node)
{
	struct fuse_in_header in = {.opcode = opcode,
				    .nodeid = k->nodes[node].id,
				    .uid = k->uid,
				    .gid = k->gid,
				    .pid = k->pid};

	k->unique += 2; /* the kernel's own: odd ones are interrupts */
	in.unique = k->unique;
	k->next = (struct kernel_request){.unique = k->unique,
					  .opcode = opcode,
					  .node = node,
					  .handle = KERNEL_HANDLES};
	buf_clear(&k->out);
	kernel_add(k, &in, sizeof(in));
	return &k->next;
}

void kernel_add(struct kernel *k, const void *data, size_t len)
{
	FUZZ_CHECK(buf_append(&k->out, data, len) == 0);
}

static void send_packet(struct kernel *k)
{
	struct pollfd pfd = {.fd = k->fd, .events = POLLIN | POLLOUT};
	CLEANUP_BUF struct buf packet = k->out;

	k->out = BUF_INIT; /* answers that are taken in may send requests of their own */
	((struct fuse_in_header *)packet.data)->len = (uint32_t)packet.len;
	while (send(k->fd, packet.data, packet.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		FUZZ_CHECK(errno == EAGAIN);
		FUZZ_CHECK(poll(&pfd, 1, ANSWER_MAX_MS) > 0);
		while (take_next(k, 0))
			;
	}
	if (k->serve)
		k->serve(k->serve_arg);
}

void kernel_send_unanswered(struct kernel *k)
{
	send_packet(k);
}

/* What may open something needs room for a handle. */
static bool has_room(const struct kernel *k, uint32_t opcode)
{
	unsigned int used = 0;

	if (opcode != FUSE_OPEN && opcode != FUSE_OPENDIR && opcode != FUSE_CREATE)
		return true;
	for (unsigned int i = 0; i < KERNEL_HANDLES; i++)
		used += k->handles[i].used;
	return used + KERNEL_OUTSTANDING < KERNEL_HANDLES;
}

struct kernel_reply kernel_send(struct kernel *k, bool async)
{
	struct kernel_reply reply = {.node = KERNEL_NODES, .handle = KERNEL_HANDLES};
	unsigned int i = 0;

	while (i < KERNEL_OUTSTANDING && k->requests[i].unique)
		i++;
	if (i == KERNEL_OUTSTANDING || !has_room(k, k->next.opcode))
		return reply;
	k->requests[i] = k->next;
	k->requests[i].reply = async ? NULL : &reply;
	send_packet(k);
	while (!async && !reply.done)
		if (!take_next(k, ANSWER_MAX_MS))
			say_unanswered(k);
	return reply;
}

/* ---- from the beginning to the end ---- */

void kernel_begin(struct kernel *k, int fd, void (*serve)(void *arg), void *arg)
{
	const struct fuse_init_in init = {
	    .major = 7,
	    .minor = 31,
	    .max_readahead = 128 * 1024,
	    .flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
		     FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS |
		     FUSE_HANDLE_KILLPRIV | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |
		     FUSE_EXPLICIT_INVAL_DATA | FUSE_AUTO_INVAL_DATA,
	};
	struct fuse_in_header in = {.opcode = FUSE_INIT, .unique = 2, .pid = 1};

	*k = (struct kernel){.fd = fd,
			     .unique = 2,
			     .pid = (uint32_t)getpid(),
			     .serve = serve,
			     .serve_arg = arg};
	k->nodes[0] = (struct kernel_node){.id = 1, .ino = 1, .mode = S_IFDIR | 0755};
	kernel_add(k, &in, sizeof(in));
	kernel_add(k, &init, sizeof(init));
	send_packet(k);
	FUZZ_CHECK(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ANSWER_MAX_MS) ==
		   1);
	FUZZ_CHECK(buf_reserve(&k->in, 4096) == 0);
	FUZZ_CHECK(recv(fd, k->in.data, 4096, 0) ==
		   sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out));
	FUZZ_CHECK(((struct fuse_out_header *)k->in.data)->error == 0);
}

void kernel_let_go(struct kernel *k)
{
	bool again = true;

	kernel_drain(k, true);
	for (unsigned int i = 0; i < KERNEL_HANDLES; i++)
		if (k->handles[i].used)
			kernel_release(k, i, false);
	while (again) { /* children before their parents */
		again = false;
		for (unsigned int i = 1; i < KERNEL_NODES; i++) {
			if (!k->nodes[i].id)
				continue;
			kernel_forget(k, i);
			again = again || !k->nodes[i].id;
		}
	}
	for (unsigned int i = 1; i < KERNEL_NODES; i++)
		FUZZ_CHECK(!k->nodes[i].id);
}

void kernel_end(struct kernel *k)
{
	kernel_drain(k, false);
	close(k->fd);
	for (unsigned int i = 0; i < KERNEL_VALUES; i++)
		buf_deinit(&k->values[i].content);
	buf_deinit(&k->out);
	buf_deinit(&k->in);
}
