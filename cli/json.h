/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON writer, straight to a stream.
 *
 * Members appear in the order of the calls. Names in the file system are bytes,
 * JSON strings are characters: a byte that is no part of valid UTF-8 becomes
 * U+FFFD, and json_name() adds a second member KEY_base64 with the exact bytes
 * then, and only then. So the output is always valid JSON, and nothing is lost.
 */
#ifndef MEMOFS_CLI_JSON_H
#define MEMOFS_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned int depth;
	bool begun; /* the innermost object or array has a member */
};

#define JSON_INIT(stream) ((struct json){.out = (stream)})

/* `key` is NULL for elements of an array and for the outermost value. */
void json_object(struct json *js, const char *key);
void json_object_end(struct json *js);
void json_array(struct json *js, const char *key);
void json_array_end(struct json *js); /* the outermost end adds a newline */

void json_string(struct json *js, const char *key, const char *value);
/* A name in the file system; see above. */
void json_name(struct json *js, const char *key, const char *value);
void json_uint(struct json *js, const char *key, uint64_t value);
void json_bool(struct json *js, const char *key, bool value);
void json_null(struct json *js, const char *key);
/*
 * Nanoseconds as seconds, a decimal number with what digits it needs. Readers
 * that keep numbers as doubles lose digits after the microsecond.
 */
void json_seconds(struct json *js, const char *key, int64_t ns);

#endif
