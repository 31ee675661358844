/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works on a Redis server over its unix socket (measure.h): the protocol by hand, one
 * request and its answer at a time, as a client asks for one result.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "measure.h"

enum { BUFFER_SIZE = 1 << 17 };

struct client {
	int fd;
	size_t len; /* of what was received */
	char data[BUFFER_SIZE];
};

/* One for each worker. */
static _Thread_local struct client client;

static void connect_to_server(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(measure.dir) >= sizeof(addr.sun_path))
		fail("%s: too long for a socket", measure.dir);
	strcpy(addr.sun_path, measure.dir);
	client.len = 0;
	client.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client.fd < 0 ||
	    connect(client.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		fail_errno("connect to %s", measure.dir);
}

/* Sends "COMMAND KEY [VALUE]" as an array of strings. */
static void send_command(const char *command, const char *key, const void *value,
			 size_t value_len)
{
	char data[BUFFER_SIZE];
	int len = snprintf(data, sizeof(data), "*%d\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
			   value ? 3 : 2, strlen(command), command, strlen(key), key);

	if (value) {
		len += snprintf(data + len, sizeof(data) - (size_t)len, "$%zu\r\n",
				value_len);
		if ((size_t)len + value_len + 2 > sizeof(data))
			fail("a value of %zu bytes is too large", value_len);
		memcpy(data + len, value, value_len);
		memcpy(data + len + value_len, "\r\n", 2);
		len += (int)value_len + 2;
	}
	write_all(client.fd, data, (size_t)len, "the server");
}

static void receive_more(void)
{
	ssize_t len =
	    read(client.fd, client.data + client.len, BUFFER_SIZE - 1 - client.len);

	if (len <= 0)
		fail("the server has hung up");
	client.len += (size_t)len;
	client.data[client.len] = '\0';
}

/* The line at `from`, complete; where the next one begins. */
static size_t receive_line(size_t from)
{
	const char *end;

	while (client.len <= from || !(end = strstr(client.data + from, "\r\n")))
		receive_more();
	if (client.data[from] == '-')
		fail("the server says: %s", client.data + from);
	return (size_t)(end - client.data) + 2;
}

/* The string at `from`, "$LENGTH CRLF bytes CRLF"; where it ends, and its length. */
static size_t receive_string(size_t from, size_t *ret_len)
{
	size_t at = receive_line(from), end;

	if (client.data[from] != '$' || client.data[from + 1] == '-')
		fail("the server has no such value");
	*ret_len = strtoul(client.data + from + 1, NULL, 10);
	end = at + *ret_len + 2;
	if (end >= BUFFER_SIZE)
		fail("the server's answer is too large");
	while (client.len < end)
		receive_more();
	return end;
}

static void set(const char *key)
{
	send_command("SET", key, measure.value, measure.bytes);
	client.len = 0;
	receive_line(0);
}

static void get(const char *key)
{
	size_t len;

	send_command("GET", key, NULL, 0);
	client.len = 0;
	receive_string(0, &len);
	if (len != measure.bytes)
		fail("%s has %zu bytes, not %ju", key, len, (uintmax_t)measure.bytes);
}

void redis_prepare(void)
{
	char name[NAME_SIZE];

	connect_to_server();
	for (uint64_t i = 0; i < measure.of; i++) {
		entry_name(name, i);
		set(name);
	}
}

static void run_get(unsigned int worker)
{
	char name[NAME_SIZE];

	for (uint64_t i = 0; i < measure.count; i++) {
		entry_name(name, scattered(i + worker * measure.count));
		get(name);
	}
}

static void ready_get(unsigned int worker)
{
	connect_to_server();
	run_get(worker);
}

void redis_hit(void)
{
	run_workers("again", measure.count, ready_get, run_get);
}

/* ---- waiting: BLPOP of what is pushed ---- */

static void prepare_push(unsigned int turn)
{
	(void)turn;
	connect_to_server();
}

static void push(unsigned int turn)
{
	char key[NAME_SIZE];

	snprintf(key, sizeof(key), "list%u", turn);
	send_command("RPUSH", key, measure.value, measure.bytes);
	client.len = 0;
	receive_line(0);
}

static void begin_pop(unsigned int turn)
{
	char key[NAME_SIZE];

	connect_to_server();
	snprintf(key, sizeof(key), "list%u", turn);
	send_command("BLPOP", key, "0", 1);
}

/* An array of two: the list's name, and what was in it. */
static void pop(unsigned int turn)
{
	size_t at, len;

	(void)turn;
	client.len = 0;
	at = receive_line(0);
	at = receive_string(at, &len);
	receive_string(at, &len);
	if (len != measure.bytes)
		fail("%zu bytes were popped, not %ju", len, (uintmax_t)measure.bytes);
}

void redis_wait(void)
{
	static const struct waiting by_list = {prepare_push, push, begin_pop, pop};

	run_waiting(&by_list);
}
