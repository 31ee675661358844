/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live mount and one that is attached to it, without a kernel: their connections are
 * socket pairs, at whose other ends the test sees what a kernel would be told.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/attached.h"
#include "fs/fast.h"
#include "fs/pending.h"
#include "fs/session.h"
#include "store/internal.h"
#include "store/util/fdpass.h"
#include "store/util/log.h"

#define assert_ok(call) assert_int_equal((call), 0)

enum { MESSAGE_MAX = 64 * 1024, SECOND_MS = 1000, LONG_MS = 30 * SECOND_MS };

struct message {
	struct fuse_out_header head;
	uint8_t body[MESSAGE_MAX];
};

struct world {
	struct fs live;
	struct session *session;
	struct fuse_buf received;
	int live_fd, attached_fd; /* the kernel's ends */
	uint64_t unique;
	uint32_t pid; /* who asks; 0: cannot be seen from here */
	struct message answer;
};

/* ---- the kernel's side ---- */

/* False: there was nothing for so long, or it has ended. */
static bool hear(int fd, int wait_ms, struct message *ret_m)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	if (poll(&pfd, 1, wait_ms) <= 0)
		return false;
	return recv(fd, ret_m, sizeof(*ret_m), 0) >= (ssize_t)sizeof(ret_m->head);
}

static void ask(struct world *w, int fd, uint32_t opcode, uint64_t nodeid,
		const void *arg, size_t len)
{
	struct {
		struct fuse_in_header head;
		uint8_t body[512];
	} rq = {.head = {.len = (uint32_t)(sizeof(rq.head) + len),
			 .opcode = opcode,
			 .unique = w->unique += 2,
			 .pid = w->pid,
			 .nodeid = nodeid}};

	memcpy(rq.body, arg, len);
	assert_int_equal(send(fd, &rq, rq.head.len, 0), rq.head.len);
}

/* The answer to the last question; what else is said meanwhile is passed over. */
static int answer(struct world *w, int fd)
{
	do
		assert_true(hear(fd, LONG_MS, &w->answer));
	while (w->answer.head.unique != w->unique);
	return w->answer.head.error;
}

static void serve_live(struct world *w)
{
	assert_true(session_serve_one(w->session, &w->received) > 0);
}

static void init(struct world *w, int fd)
{
	const struct fuse_init_in in = {
	    .major = FUSE_KERNEL_VERSION, .minor = 38, .max_readahead = 1 << 17};

	ask(w, fd, FUSE_INIT, 0, &in, sizeof(in));
}

/* The next notice of this kind; what else is said is passed over. */
static bool is_told(struct world *w, int fd, int code, int wait_ms)
{
	while (hear(fd, wait_ms, &w->answer))
		if (!w->answer.head.unique && w->answer.head.error == code)
			return true;
	return false;
}

/* At the attached mount. 0 or -errno. */
static int look_up(struct world *w, uint64_t parent, const char *name,
		   struct fuse_entry_out *ret_e)
{
	int r;

	ask(w, w->attached_fd, FUSE_LOOKUP, parent, name, strlen(name) + 1);
	r = answer(w, w->attached_fd);
	if (!r)
		memcpy(ret_e, w->answer.body, sizeof(*ret_e));
	return r;
}

/* ---- the daemon's side ---- */

static int connection(int *ret_kernel_fd)
{
	int fds[2];

	assert_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));
	*ret_kernel_fd = fds[0];
	return fds[1];
}

static void begin_live(struct world *w)
{
	const struct store_options opt = {
	    .kind = STORE_MEMORY, .root_mode = 0755, .size_bytes = STORE_SIZE_NONE};
	char path[32];
	const struct session_options so = {
	    .mount = {.mountpoint = path, .store_path = "memory"}, .threads = 1};
	struct errmsg err;

	w->live = (struct fs){.store_path = "memory",
			      .mountpoint = "/live\nhere",
			      .backend_name = "memory",
			      .threads = 1};
	assert_ok(store_open(&opt, &w->live.store, &err));
	assert_ok(fs_make_tables(&w->live, &err));
	snprintf(path, sizeof(path), MOUNT_FD "%d", connection(&w->live_fd));
	assert_ok(session_new(&w->live, &so, &w->session, &err));
	init(w, w->live_fd);
	serve_live(w);
	assert_ok(answer(w, w->live_fd));
}

static int begin(void **state)
{
	static const struct attach_packet packet = {.mountpoint = "/at\ttached"};
	static struct world w; /* large */
	struct errmsg err;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	memset(&w, 0, sizeof(w));
	begin_live(&w);
	w.live.attach = attach_new(&w.live);
	assert_non_null(w.live.attach);
	fd = connection(&w.attached_fd);
	assert_ok(attach_one(w.live.attach, fd, w.live_fd, &packet, &err));
	init(&w, w.attached_fd);
	assert_ok(answer(&w, w.attached_fd));
	*state = &w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	close(w->attached_fd);
	attach_end(&w->live, false);
	fs_stop(&w->live);
	close(w->live_fd);
	session_free(w->session);
	fs_free(&w->live);
	free(w->received.mem);
	return 0;
}

/* Being written in a branch, and closed by this thread (0: not visible from here). */
static struct pending *closed_by(struct world *w, uint64_t branch, const char *name,
				 pid_t tid)
{
	const struct pending_args args = {
	    .branch = branch,
	    .name = name,
	    .mode = S_IFREG | 0644,
	    .uid = getuid(),
	    .gid = getgid(),
	    .tid = tid,
	};
	struct pending *p;

	assert_ok(pending_new(w->live.pending, &args, &p));
	assert_ok(pending_open(p, true));
	assert_ok(pending_flush(p, tid));
	return p;
}

static struct pending *closed_value(struct world *w, const char *name)
{
	return closed_by(w, STORE_ROOT_INO, name, getpid());
}

static uint64_t publish(struct world *w, const char *name)
{
	const struct store_stage_args args = {.branch = STORE_ROOT_INO,
					      .mode = S_IFREG | 0644};
	struct store_staged *sg;
	struct store_attr attr;

	assert_ok(store_stage(w->live.store, &args, &sg));
	assert_ok(store_publish(sg, STORE_ROOT_INO, name, false, NULL, NULL));
	store_staged_free(sg);
	assert_ok(store_lookup(w->live.store, STORE_ROOT_INO, name, &attr));
	return attr.ino;
}

/* ---- what was closed at the live mount ---- */

static struct fuse_notify_retrieve_out sent_mark(struct world *w, const struct pending *p)
{
	struct fuse_notify_retrieve_out mark;

	assert_true(is_told(w, w->live_fd, FUSE_NOTIFY_RETRIEVE, LONG_MS));
	memcpy(&mark, w->answer.body, sizeof(mark));
	assert_int_equal(mark.nodeid, pending_ino(p));
	return mark;
}

static void receive_mark(struct world *w, struct fuse_notify_retrieve_out mark)
{
	const struct fuse_notify_retrieve_in nothing = {0};
	uint64_t unique = w->unique;

	w->unique = mark.notify_unique - 2;
	ask(w, w->live_fd, FUSE_NOTIFY_REPLY, mark.nodeid, &nothing, sizeof(nothing));
	serve_live(w);
	w->unique = unique;
}

/* Whether it is known by now is not, and so nothing is said of the name. */
static void unreceived_requests_are_not_gone_by(void **state)
{
	struct world *w = *state;
	struct pending *p = closed_value(w, "key");
	struct fuse_entry_out e;

	w->live.attach->settle_max_ns = NSEC_PER_SEC / 10;
	assert_int_equal(look_up(w, FUSE_ROOT_ID, "key", &e), -ETIMEDOUT);
	receive_mark(w, sent_mark(w, p)); /* too late */
	/* What has nothing to do with it goes on. */
	assert_ok(look_up(w, FUSE_ROOT_ID, "other", &e));
	pending_drop(p);
}

static uint64_t make_dir(struct world *w, const char name[4])
{
	struct {
		struct fuse_mkdir_in in;
		char name[4];
	} make = {.in = {.mode = 0755}};
	struct fuse_entry_out dir;

	memcpy(make.name, name, sizeof(make.name));
	ask(w, w->live_fd, FUSE_MKDIR, FUSE_ROOT_ID, &make, sizeof(make));
	serve_live(w);
	assert_ok(answer(w, w->live_fd));
	memcpy(&dir, w->answer.body, sizeof(dir));
	return dir.nodeid;
}

/* Who may not list the namespace is not shown what is said of it, wherever that was. */
static void the_log_is_of_the_namespace(void **state)
{
	struct world *w = *state;
	CLEANUP_BUF struct buf of_it = BUF_INIT, of_other = BUF_INIT;
	uint64_t dir = make_dir(w, "dir"), other = make_dir(w, "two");
	struct pending *p = closed_by(w, dir, "key", getpid());
	struct fuse_entry_out e;

	w->live.attach->settle_max_ns = NSEC_PER_SEC / 10;
	assert_int_equal(look_up(w, dir, "key", &e), -ETIMEDOUT);
	receive_mark(w, sent_mark(w, p));
	assert_ok(log_recent_tagged(dir, &of_it));
	assert_ok(log_recent_tagged(other, &of_other));
	assert_ok(buf_append(&of_it, "", 1));
	assert_non_null(strstr((const char *)of_it.data, "not received there"));
	assert_int_equal(of_other.len, 0);
	pending_drop(p);
}

static void what_is_received_settles_it(void **state)
{
	struct world *w = *state;
	struct pending *p = closed_value(w, "key");

	w->live.attach->settle_max_ns = 600 * NSEC_PER_SEC;
	ask(w, w->attached_fd, FUSE_LOOKUP, FUSE_ROOT_ID, "key", 4);
	receive_mark(w, sent_mark(w, p));
	assert_ok(answer(w, w->attached_fd));
	pending_drop(p);
}

static void nothing_is_waited_for_at_the_end(void **state)
{
	struct world *w = *state;
	struct pending *p = closed_value(w, "key");
	struct fuse_notify_retrieve_out mark;

	w->live.attach->settle_max_ns = 600 * NSEC_PER_SEC;
	ask(w, w->attached_fd, FUSE_LOOKUP, FUSE_ROOT_ID, "key", 4);
	mark = sent_mark(w, p);
	attach_stop_marks(w->live.attach);
	assert_int_equal(answer(w, w->attached_fd), -ENOTCONN);
	receive_mark(w, mark);
	pending_drop(p);
}

/* The thread that frees it serves the live mount, too. */
static void what_was_unmounted_waits_for_nothing(void **state)
{
	struct world *w = *state;
	struct pending *p = closed_value(w, "key");
	struct fuse_notify_retrieve_out mark;

	w->live.attach->settle_max_ns = 600 * NSEC_PER_SEC;
	ask(w, w->attached_fd, FUSE_LOOKUP, FUSE_ROOT_ID, "key", 4);
	mark = sent_mark(w, p);
	shutdown(w->attached_fd, SHUT_RDWR);
	while (attach_any(&w->live)) {
		attach_tick(&w->live);
		usleep(1000);
	}
	receive_mark(w, mark);
	pending_drop(p);
}

/* ---- what its kernel keeps ---- */

static void attributes_of_what_it_was_told(void **state)
{
	struct world *w = *state;
	uint64_t told = publish(w, "told"), other = publish(w, "other");
	struct fuse_entry_out e;

	assert_ok(look_up(w, FUSE_ROOT_ID, "told", &e));
	assert_int_equal(e.nodeid, told);
	attach_file_changed(&w->live, other);
	assert_false(hear(w->attached_fd, 0, &w->answer));
	attach_file_changed(&w->live, told);
	assert_true(is_told(w, w->attached_fd, ATTACH_NOTIFY_INC_EPOCH, LONG_MS));
	assert_true(is_told(w, w->attached_fd, FUSE_NOTIFY_INVAL_INODE, LONG_MS));
	/* Its name is stale by now: only who has it open is told of. */
	attach_file_changed(&w->live, told);
	assert_true(hear(w->attached_fd, LONG_MS, &w->answer));
	assert_int_equal(w->answer.head.error, FUSE_NOTIFY_INVAL_INODE);
}

/* An answer that was made before, and is under way, makes the directory known after. */
static void modes_of_a_directory_begin_an_epoch(void **state)
{
	const struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFDIR | 0700};
	struct world *w = *state;
	uint64_t dir = make_dir(w, "dir");

	while (hear(w->attached_fd, 0, &w->answer))
		; /* of the root's times */
	ask(w, w->live_fd, FUSE_SETATTR, dir, &in, sizeof(in));
	serve_live(w);
	assert_true(is_told(w, w->attached_fd, ATTACH_NOTIFY_INC_EPOCH, LONG_MS));
	assert_ok(answer(w, w->live_fd));
}

/* Who closes a value while its mode is set, once, before that is set; NULL: nobody. */
static void (*closes_meanwhile)(struct world *w);
static struct world *world_of_closer;
static struct pending *closed_meanwhile;

int __real_store_staged_setattr(struct store_staged *sg, unsigned int set,
				const struct store_attr *attr,
				struct store_attr *ret_attr);
int __wrap_store_staged_setattr(struct store_staged *sg, unsigned int set,
				const struct store_attr *attr,
				struct store_attr *ret_attr);

int __wrap_store_staged_setattr(struct store_staged *sg, unsigned int set,
				const struct store_attr *attr,
				struct store_attr *ret_attr)
{
	if (closes_meanwhile)
		closes_meanwhile(world_of_closer);
	closes_meanwhile = NULL;
	return __real_store_staged_setattr(sg, set, attr, ret_attr);
}

/* Published as it was, by this thread, and somebody is told so. */
static void close_and_look(struct world *w)
{
	struct fuse_entry_out e;
	uint64_t unique = w->unique;

	pending_note_release(closed_meanwhile);
	pending_release(closed_meanwhile);
	assert_int_equal(pending_count(w->live.pending), 0);
	assert_ok(look_up(w, FUSE_ROOT_ID, "key", &e));
	assert_int_equal(e.nodeid, pending_ino(closed_meanwhile));
	assert_int_equal(e.attr.mode & 07777, 0644);
	while (hear(w->attached_fd, 0, &w->answer))
		; /* of the value */
	w->unique = unique;
}

static void modes_of_what_is_published_meanwhile(void **state)
{
	const struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFREG | 0600};
	struct world *w = *state;
	struct pending *p = closed_by(w, STORE_ROOT_INO, "key", 0);
	struct fuse_entry_out e;

	world_of_closer = w;
	closed_meanwhile = p;
	closes_meanwhile = close_and_look;
	ask(w, w->live_fd, FUSE_SETATTR, pending_ino(p), &in, sizeof(in));
	serve_live(w);
	assert_null(closes_meanwhile);
	assert_ok(answer(w, w->live_fd));
	assert_true(is_told(w, w->attached_fd, ATTACH_NOTIFY_INC_EPOCH, SECOND_MS));
	assert_ok(look_up(w, FUSE_ROOT_ID, "key", &e));
	assert_int_equal(e.attr.mode & 07777, 0600);
	pending_unref(p);
}

static void control_files_are_asked_for_again(void **state)
{
	static const char *const names[] = {"view", "versions", "status", "stage"};
	struct world *w = *state;
	struct fuse_entry_out control, e;
	uint64_t stage;

	assert_ok(store_stage_dir(w->live.store, STORE_ROOT_INO, true, &stage));
	assert_ok(look_up(w, FUSE_ROOT_ID, ".memofs", &control));
	assert_true(control.entry_valid <= ATTACH_ATTR_S);
	assert_true(control.attr_valid <= ATTACH_ATTR_S);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_ok(look_up(w, control.nodeid, names[i], &e));
		assert_true(e.entry_valid <= ATTACH_ATTR_S);
		assert_true(e.attr_valid <= ATTACH_ATTR_S);
	}
	assert_ok(look_up(w, control.nodeid, "view", &e));
	assert_ok(look_up(w, e.nodeid, "ro", &e));
	assert_true(e.entry_valid <= ATTACH_ATTR_S);
	assert_true(e.attr_valid <= ATTACH_ATTR_S);
}

/* ---- a damaged store ---- */

static void lose_row(struct store *st, uint64_t ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key key = key_ino(ino);

	pthread_mutex_lock(&st->names);
	batch_del(&b, TABLE_INODE, key_slice(&key));
	assert_ok(store_commit(st, &b));
	pthread_mutex_unlock(&st->names);
}

/* Nothing comes of looking again until something is found. */
static void names_of_what_is_lost_are_answered(void **state)
{
	const struct fuse_open_in in = {.flags = O_RDONLY};
	struct world *w = *state;
	uint64_t ino = publish(w, "key");
	struct fuse_entry_out e;

	lose_row(w->live.store, ino);
	assert_int_equal(look_up(w, FUSE_ROOT_ID, "key", &e), -EIO);
	w->pid = (uint32_t)getpid();
	ask(w, w->live_fd, FUSE_OPEN, ino, &in, sizeof(in));
	serve_live(w);
	assert_int_equal(answer(w, w->live_fd), -ESTALE);
	ask(w, w->live_fd, FUSE_LOOKUP, FUSE_ROOT_ID, "key", sizeof("key"));
	serve_live(w);
	assert_int_equal(answer(w, w->live_fd), -EIO);
}

/* ---- who asks, and the end ---- */

static int connect_at(int dir_fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" ATTACH_SOCKET,
		 dir_fd);
	assert_ok(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

/* The answer to a packet, as `memofs mount --attach` would send it. */
static void hand_over(int dir_fd, const struct attach_packet *packet, int fuse_fd,
		      char ret_text[ATTACH_ANSWER_MAX + 1])
{
	int fd = connect_at(dir_fd);
	ssize_t n;

	assert_ok(fdpass_send(fd, packet, sizeof(*packet), &fuse_fd, 1));
	n = recv(fd, ret_text, ATTACH_ANSWER_MAX, 0);
	assert_true(n > 0);
	ret_text[n] = '\0';
	close(fd);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct world *w = *state;
	struct attach_packet packet = {.form = ATTACH_FORM, .mountpoint = "/elsewhere"};
	char dir[] = "/tmp/attach.XXXXXX", text[ATTACH_ANSWER_MAX + 1];
	int fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), dir_fd;
	struct stat st;

	if (fuse_fd < 0)
		skip();
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_PATH | O_CLOEXEC);
	w->live.store_path = dir;
	assert_ok(attach_listen(w->live.attach));
	assert_ok(stat("/proc/self/ns/user", &st));
	packet.user_ns_dev = st.st_dev;
	packet.user_ns = st.st_ino + 1;
	hand_over(dir_fd, &packet, fuse_fd, text);
	assert_non_null(strstr(text, "user namespace"));
	/* A kernel that takes no such notice. */
	packet.user_ns = st.st_ino;
	shutdown(w->live_fd, SHUT_RD);
	hand_over(dir_fd, &packet, fuse_fd, text);
	assert_non_null(strstr(text, "6.18"));
	attach_listen_end(w->live.attach);
	close(fuse_fd);
	close(dir_fd);
	assert_ok(rmdir(dir)); /* the socket is gone */
}

static bool hears_somebody(struct attach *a)
{
	bool hears;

	pthread_mutex_lock(&a->asker_lock);
	hears = a->asker_fd >= 0;
	pthread_mutex_unlock(&a->asker_lock);
	return hears;
}

/* He would be waited for, and told that he was too late. */
static void the_end_does_not_wait_for_who_says_nothing(void **state)
{
	struct world *w = *state;
	char dir[] = "/tmp/attach.XXXXXX", text[ATTACH_ANSWER_MAX];
	int dir_fd, fd;

	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_PATH | O_CLOEXEC);
	w->live.store_path = dir;
	assert_ok(attach_listen(w->live.attach));
	fd = connect_at(dir_fd);
	while (!hears_somebody(w->live.attach))
		usleep(1000);
	attach_listen_end(w->live.attach);
	assert_true(recv(fd, text, sizeof(text), 0) <= 0);
	close(fd);
	close(dir_fd);
	assert_ok(rmdir(dir));
}

/* A path can have any character, and a line cannot be forged by it. */
static void paths_are_one_line_each(void **state)
{
	struct world *w = *state;
	CLEANUP_BUF struct buf text = BUF_INIT;

	char want[256];
	struct stat ns;

	assert_ok(attach_text(&w->live, &text));
	assert_ok(attach_text(&w->live.attach->first->fs, &text));
	assert_ok(buf_append(&text, "", 1));
	assert_ok(stat("/proc/self/ns/user", &ns));
	snprintf(want, sizeof(want),
		 "user_ns: %ju:%ju\nattached: /at\\ttached\nattached_to: /live\\nhere\n",
		 (uintmax_t)ns.st_dev, (uintmax_t)ns.st_ino);
	assert_string_equal((const char *)text.data, want);
}

/* Workers of the live mount go on for a moment. */
static void changes_after_the_end_are_told_to_nobody(void **state)
{
	struct world *w = *state;
	uint64_t ino = publish(w, "key");

	attach_end(&w->live, false);
	assert_false(attach_any(&w->live));
	attach_name_changed(&w->live, STORE_ROOT_INO, "key");
	attach_file_changed(&w->live, ino);
	attach_all_changed(&w->live);
	assert_false(is_told(w, w->attached_fd, FUSE_NOTIFY_INVAL_INODE, 0));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(unreceived_requests_are_not_gone_by),
	    TEST(the_log_is_of_the_namespace),
	    TEST(what_is_received_settles_it),
	    TEST(nothing_is_waited_for_at_the_end),
	    TEST(what_was_unmounted_waits_for_nothing),
	    TEST(attributes_of_what_it_was_told),
	    TEST(modes_of_a_directory_begin_an_epoch),
	    TEST(modes_of_what_is_published_meanwhile),
	    TEST(control_files_are_asked_for_again),
	    TEST(names_of_what_is_lost_are_answered),
	    TEST(what_does_not_fit_is_refused),
	    TEST(the_end_does_not_wait_for_who_says_nothing),
	    TEST(paths_are_one_line_each),
	    TEST(changes_after_the_end_are_told_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
