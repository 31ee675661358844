/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/held.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/capabilities.h"
#include "fs/holder/rights.h"
#include "fs/launch.h"
#include "store/util/log.h"

static uint32_t form_of(uint32_t said)
{
	return said ? said : 1; /* it was not said at first */
}

/* Do the two go together? -EPROTO with a message. */
static int compare_forms(const struct held *h, struct errmsg *err)
{
	uint32_t speaks = form_of(h->begin.speaks), needs = form_of(h->begin.needs);

	if (speaks >= HOLDER_NEEDS && needs <= HOLDER_SPEAKS)
		return 0;
	return err_set(
	    err, EPROTO,
	    "memofsd " MEMOFS_VERSION " cannot talk to the memofs-holder that "
	    "has the mount (%s; it speaks form %u and needs %u, this one %u and "
	    "%u): unmount it, and mount it with this version",
	    *h->begin.version ? h->begin.version : "an older one", speaks, needs,
	    (unsigned int)HOLDER_SPEAKS, (unsigned int)HOLDER_NEEDS);
}

static int take_begin(struct held *h, struct errmsg *err)
{
	int fds[HOLDER_FDS_MAX];
	int r = holder_receive(h->socket, &h->begin, fds);

	if (!r && (h->begin.word != HOLDER_BEGIN || fds[1] < 0)) {
		holder_close_fds(fds);
		r = -EPROTO;
	}
	if (r)
		return err_set(err, -r,
			       "--held: no word from a holder: %s; memofsd is "
			       "started by memofs mount",
			       strerror(-r));
	h->keep_fd = fds[0];
	h->stacks_fd = fds[1];
	h->fuse_fd = fds[2];
	h->resumes = h->fuse_fd >= 0;
	h->restarts = h->begin.restarts;
	h->upgrade_run = h->begin.run;
	r = compare_forms(h, err);
	if (r)
		held_failed(h, EXIT_MOUNT, err);
	return r;
}

int held_begin(int socket, struct held **ret_h, struct errmsg *err)
{
	struct held *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	h->socket = socket;
	h->keep_fd = h->stacks_fd = h->fuse_fd = -1;
	h->holder = getppid();
	r = take_begin(h, err);
	if (r) {
		held_free(h);
		return r;
	}
	/* A program that was started by its descriptor is named by that. */
	prctl(PR_SET_NAME, "memofsd");
	*ret_h = h;
	return 0;
}

void held_free(struct held *h)
{
	if (!h)
		return;
	if (h->listening) {
		shutdown(h->socket, SHUT_RD);
		pthread_join(h->thread, NULL);
	}
	close(h->socket);
	if (h->keep_fd >= 0)
		close(h->keep_fd);
	if (h->stacks_fd >= 0)
		close(h->stacks_fd);
	free(h);
}

pid_t held_holder(const struct held *h)
{
	return h && getppid() == h->holder ? h->holder : 0;
}

/* ---- to the holder ---- */

/* Who has no holder any more goes on; held_listen() says so. */
static void say(struct held *h, const struct holder_message *m)
{
	int r = holder_send(h->socket, m, NULL, 0);

	if (r && r != -EPIPE)
		log_warning("the holder cannot be told anything: %s", strerror(-r));
}

int held_mounted(struct held *h, int fuse_fd, const void *init, size_t len,
		 const char *mountpoint)
{
	struct holder_message m = {.word = DAEMON_MOUNTED, .init_len = (uint32_t)len};

	if (!h)
		return 0;
	if (len > sizeof(m.init))
		return -EMSGSIZE;
	memcpy(m.init, init, len);
	snprintf(m.mountpoint, sizeof(m.mountpoint), "%s", mountpoint);
	return holder_send(h->socket, &m, &fuse_fd, 1);
}

void held_ready(struct held *h)
{
	struct holder_message m = {.word = DAEMON_READY, .version = MEMOFS_VERSION};

	if (!h)
		return;
	m.watchdog_ns = h->watchdog_ns;
	if (capabilities_permitted(&m.privileges) == 0)
		m.privileges |= RIGHTS_TOLD;
	say(h, &m);
}

void held_failed(struct held *h, int code, const struct errmsg *err)
{
	struct holder_message m = {.word = DAEMON_FAILED, .code = code};

	if (!h)
		return;
	m.keep_is_bad = h->keep_is_bad;
	holder_set_text(&m, err->text);
	say(h, &m);
}

void held_blame_keep(struct held *h, int r)
{
	if (h && (r == -EUCLEAN || r == -EPROTO))
		h->keep_is_bad = true;
}

void held_ended(struct held *h)
{
	struct holder_message m = {.word = DAEMON_ENDED};

	if (h)
		say(h, &m);
}

int held_upgrade(struct held *h, uint64_t run, const char *path)
{
	struct holder_message m = {.word = DAEMON_UPGRADE, .run = run};

	if (!held_holder(h))
		return h ? -EPIPE : -ENOTSUP;
	if (strlen(path) >= sizeof(m.text))
		return -ENAMETOOLONG;
	holder_set_text(&m, path);
	return holder_send(h->socket, &m, NULL, 0);
}

/* ---- from the holder ---- */

static void *listen_main(void *arg)
{
	struct held *h = arg;
	const struct held_events *e = &h->events;
	struct holder_message m;
	int fds[HOLDER_FDS_MAX], r;

	while ((r = holder_receive(h->socket, &m, fds)) == 0) {
		holder_close_fds(fds);
		if (m.word == HOLDER_LEAVE)
			e->leave(e->arg);
		else if (m.word == HOLDER_UPGRADED)
			e->upgraded(e->arg, m.run, m.code == 0, m.text);
		else if (m.word == HOLDER_SLOW)
			e->slow(e->arg, m.text);
	}
	if (!held_holder(h))
		log_warning("the holder has ended: this daemon goes on, but would not be "
			    "started again");
	else if (r != -EPIPE)
		log_warning("the holder is not heard any more: %s", strerror(-r));
	return NULL;
}

int held_listen(struct held *h, const struct held_events *events)
{
	int r;

	if (!h)
		return 0;
	h->events = *events;
	r = pthread_create(&h->thread, NULL, listen_main, h);
	h->listening = r == 0;
	return -r;
}
