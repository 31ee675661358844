/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/message.h"

#define LINE_MAX_BYTES 200

extern char **environ;

/* Where output goes: all of it into `all`, or its hash and its beginning. */
struct sink {
	struct buf *all;
	XXH3_state_t *state;
	struct buf head;
	uint64_t bytes;
};

static int set_actions(posix_spawn_file_actions_t *fa, const struct capture *c, int out)
{
	int r = c->stdin_fd < 0
		    ? posix_spawn_file_actions_addopen(fa, STDIN_FILENO, "/dev/null",
						       O_RDONLY, 0)
		    : posix_spawn_file_actions_adddup2(fa, c->stdin_fd, STDIN_FILENO);

	if (!r)
		r = posix_spawn_file_actions_adddup2(fa, out, STDOUT_FILENO);
	if (!r && c->dir)
		r = posix_spawn_file_actions_addchdir_np(fa, c->dir);
	return r;
}

static int start(const struct capture *c, int out, pid_t *ret_pid)
{
	posix_spawn_file_actions_t fa;
	int r = posix_spawn_file_actions_init(&fa);

	if (r)
		return -r;
	r = set_actions(&fa, c, out);
	if (!r)
		r = posix_spawnp(ret_pid, c->argv[0], &fa, NULL, c->argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	return -r;
}

static void sink_take(struct sink *s, const char *data, size_t n)
{
	s->bytes += n;
	if (s->all) {
		must(buf_append(s->all, data, n));
		return;
	}
	XXH3_128bits_update(s->state, data, n);
	if (s->head.len <= LINE_MAX_BYTES)
		must(buf_append(&s->head, data, n));
}

static int drain(int fd, struct sink *s)
{
	static const size_t chunk = 65536;
	CLEANUP_FREE char *data = xcalloc(1, chunk);
	ssize_t n;

	for (;;) {
		n = read(fd, data, chunk);
		if (n > 0)
			sink_take(s, data, (size_t)n);
		else if (n == 0)
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
}

static int wait_for(pid_t pid, const char *what, struct errmsg *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_set(err, errno, "%s: how it ended is not known: %s",
				       what, strerror(errno));
	}
	if (WIFSIGNALED(status))
		return err_set(err, ECHILD, "%s: the command was ended by signal %d",
			       what, WTERMSIG(status));
	if (WEXITSTATUS(status))
		return err_set(err, ECHILD, "%s: the command failed with exit code %d",
			       what, WEXITSTATUS(status));
	return 0;
}

static int run(const struct capture *c, const char *what, struct sink *s,
	       struct errmsg *err)
{
	CLEANUP_FD int in = -1;
	int out[2], r, read_r;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return err_set(err, errno, "%s: %s", what, strerror(errno));
	in = out[0];
	r = start(c, out[1], &pid);
	close(out[1]);
	if (r)
		return err_set(err, -r, "%s: %s cannot be run: %s", what, c->argv[0],
			       strerror(-r));
	read_r = drain(in, s);
	r = wait_for(pid, what, err);
	if (!r && read_r)
		return err_set(err, -read_r, "%s: %s", what, strerror(-read_r));
	return r;
}

int capture_run(const struct capture *c, const char *what, struct buf *ret_output,
		struct errmsg *err)
{
	struct sink s = {.all = ret_output};

	return run(c, what, &s, err);
}

/* One line that says more than its hash. */
static bool is_short_line(const struct sink *s, size_t *ret_len)
{
	size_t len = s->head.len;

	if (s->bytes != len || len > LINE_MAX_BYTES)
		return false;
	while (len && s->head.data[len - 1] == '\n')
		len--;
	*ret_len = len;
	return !len ||
	       (!memchr(s->head.data, '\n', len) && !memchr(s->head.data, '\0', len));
}

static char *value_of(struct sink *s, bool as_text)
{
	XXH128_canonical_t canonical;
	char hex[HASHTEXT_MAX], *value;
	size_t len;

	if (as_text && is_short_line(s, &len)) {
		if (asprintf(&value, "text %.*s", (int)len,
			     len ? (const char *)s->head.data : "") < 0)
			must(-ENOMEM);
		return value;
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(s->state));
	hashtext(canonical.digest, hex);
	if (asprintf(&value, "hash xxh128:%s", hex) < 0)
		must(-ENOMEM);
	return value;
}

static int run_shell(const char *command, const char *what, bool as_text,
		     char **ret_value, struct errmsg *err)
{
	/* execve(2) does not write to it. */
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
	struct capture c = {.argv = argv, .stdin_fd = -1};
	struct sink s = {.state = XXH3_createState()};
	int r;

	must(s.state ? 0 : -ENOMEM);
	XXH3_128bits_reset(s.state);
	r = run(&c, what, &s, err);
	if (!r)
		*ret_value = value_of(&s, as_text);
	XXH3_freeState(s.state);
	buf_deinit(&s.head);
	return r;
}

int capture_value(const char *shell_command, const char *what, char **ret_value,
		  struct errmsg *err)
{
	return run_shell(shell_command, what, true, ret_value, err);
}

int capture_hash(const char *shell_command, const char *what, char **ret_value,
		 struct errmsg *err)
{
	return run_shell(shell_command, what, false, ret_value, err);
}
