/* SPDX-License-Identifier: Apache-2.0 */
#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/duration.h"
#include "store/util/htab.h"
#include "tests/sim/trace.h"

#define COLUMNS_MAX 32
#define REPEAT_MAX 1000 /* of op_count */

enum column { TIME, KEY, SIZE, COST, OP, OP_COUNT, COLUMN_COUNT };

static const char *const names[COLUMN_COUNT][6] = {
    [TIME] = {"time", "op_time", "timestamp", "clock_time"},
    [KEY] = {"key", "obj_id", "object_id", "id", "lbn"},
    [SIZE] = {"size", "obj_size", "object_size", "value_size"},
    [COST] = {"cost", "cost_s"},
    [OP] = {"op", "operation"},
    [OP_COUNT] = {"op_count"},
};

struct reading {
	struct trace *t;
	const char *path, *separators;
	int at[COLUMN_COUNT]; /* -1: there is none */
	size_t line, requests_cap, objects_cap;
	struct htab keys;
	double first_s, last_s;
	bool columns_known;
};

struct known {
	struct hlink link;
	uint32_t object;
};

static int column_named(char *const *fields, int count, enum column c)
{
	for (int i = 0; i < count; i++)
		for (int k = 0; k < 6 && names[c][k]; k++)
			if (!strcasecmp(fields[i], names[c][k]))
				return i;
	return -1;
}

static int split(char *line, const char *separators, char **ret_fields)
{
	int count = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *at = line; at && count < COLUMNS_MAX;) {
		char *field = strsep(&at, separators);

		/* Blanks may follow each other; a field of a CSV may be empty. */
		if (*field || *separators == ',')
			ret_fields[count++] = field;
	}
	return count;
}

/* From the first line. Returns whether that was a header. */
static bool find_columns(struct reading *rd, const char *line)
{
	char *copy = strdup(line), *fields[COLUMNS_MAX];
	int count;
	bool header;

	rd->separators = strchr(line, ',') ? "," : " \t";
	count = split(copy, rd->separators, fields);
	header = column_named(fields, count, KEY) >= 0;
	for (int c = 0; c < COLUMN_COUNT; c++)
		rd->at[c] = header ? column_named(fields, count, (enum column)c) : -1;
	free(copy);
	if (header && rd->at[SIZE] < 0)
		errx(1, "%s: its header names no size", rd->path);
	if (!header && *rd->separators == ',' && count == 7) {
		rd->at[TIME] = 0;
		rd->at[KEY] = 1;
		rd->at[SIZE] = 3;
		rd->at[OP] = 5;
	} else if (!header && *rd->separators != ',' && count == 4) {
		for (int c = TIME; c <= COST; c++)
			rd->at[c] = c;
	} else if (!header) {
		errx(1,
		     "%s: neither \"time key size cost\" nor a CSV with a header, nor "
		     "one of seven columns",
		     rd->path);
	}
	return header;
}

/* Of the key alone, between a hundredth of a second and minutes, and of the size. */
static double made_up_cost(uint64_t hash, uint64_t bytes)
{
	uint64_t seed = hash;

	return 0.01 * pow(10000, random_next(&seed)) + (double)bytes / 50e6;
}

static uint32_t object_of(struct reading *rd, const char *key, uint64_t bytes,
			  double cost_s)
{
	uint64_t hash = hash_bytes(key, strlen(key), 1);
	struct hlink *l = htab_first(&rd->keys, hash);
	struct trace *t = rd->t;
	struct known *known;

	if (l) /* one of the same hash is taken for the same */
		return CONTAINER_OF(l, struct known, link)->object;
	if (t->object_count == rd->objects_cap) {
		rd->objects_cap = 2 * rd->objects_cap + 1024;
		t->objects = realloc(t->objects, rd->objects_cap * sizeof(*t->objects));
	}
	known = calloc(1, sizeof(*known));
	if (!t->objects || !known || htab_add(&rd->keys, &known->link, hash))
		err(1, "out of memory");
	known->object = (uint32_t)t->object_count;
	t->objects[t->object_count++] = (struct object){
	    .bytes = bytes, .cost_s = cost_s >= 0 ? cost_s : made_up_cost(hash, bytes)};
	return known->object;
}

static void add_request(struct reading *rd, double time_s, uint32_t object)
{
	struct trace *t = rd->t;

	if (t->request_count == rd->requests_cap) {
		rd->requests_cap = 2 * rd->requests_cap + 1024;
		t->requests =
		    realloc(t->requests, rd->requests_cap * sizeof(*t->requests));
		if (!t->requests)
			err(1, "out of memory");
	}
	t->requests[t->request_count++] = (struct request){
	    .at_ns = (int64_t)((time_s - rd->first_s) * (double)NSEC_PER_SEC),
	    .object = object};
}

static double number(const struct reading *rd, char *const *fields, int count,
		     enum column c, double none)
{
	char *end;
	double value;

	if (rd->at[c] < 0)
		return none;
	if (rd->at[c] >= count)
		errx(1, "%s:%zu: too few columns", rd->path, rd->line);
	value = strtod(fields[rd->at[c]], &end);
	if (end == fields[rd->at[c]] || !isfinite(value) || value < 0)
		errx(1, "%s:%zu: \"%s\" is not a %s", rd->path, rd->line,
		     fields[rd->at[c]], names[c][0]);
	return value;
}

/* A time that begins with a plus is counted from the request before. */
static double time_of(const struct reading *rd, char *const *fields, int count)
{
	double time_s = number(rd, fields, count, TIME, (double)rd->t->request_count);

	if (rd->at[TIME] >= 0 && *fields[rd->at[TIME]] == '+')
		return rd->last_s + time_s;
	return time_s;
}

/* SCSI's codes for reading and writing blocks: both make it wanted. */
static bool is_read(const char *op)
{
	return !strncasecmp(op, "get", 3) || !strcasecmp(op, "read") ||
	       !strcmp(op, "28") || !strcasecmp(op, "2a");
}

static void read_line(struct reading *rd, char *line)
{
	char *fields[COLUMNS_MAX];
	int count = split(line, rd->separators, fields);
	double time_s, size, times;

	if (!count ||
	    (rd->at[OP] >= 0 && rd->at[OP] < count && !is_read(fields[rd->at[OP]])))
		return;
	time_s = time_of(rd, fields, count);
	size = number(rd, fields, count, SIZE, 0);
	times = number(rd, fields, count, OP_COUNT, 1);
	if (rd->at[KEY] >= count)
		errx(1, "%s:%zu: too few columns", rd->path, rd->line);
	if (!size) /* a read of what is not there tells none */
		return;
	if (!rd->t->request_count)
		rd->first_s = time_s;
	rd->last_s = time_s;
	for (int i = 0; i < times && i < REPEAT_MAX; i++)
		add_request(rd, time_s,
			    object_of(rd, fields[rd->at[KEY]], (uint64_t)size,
				      number(rd, fields, count, COST, -1)));
}

static void free_keys(struct htab *keys)
{
	for (struct hwalk w = htab_walk(keys); w.link; hwalk_next(&w))
		free(CONTAINER_OF(w.link, struct known, link));
	htab_deinit(keys);
}

void trace_read(struct trace *t, const char *path, size_t requests_max)
{
	struct reading rd = {.t = t, .path = path};
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;

	*t = (struct trace){0};
	if (!file)
		err(1, "%s", path);
	while (t->request_count < requests_max && getline(&line, &cap, file) >= 0) {
		bool header = false;

		rd.line++;
		if (*line == '#')
			continue;
		if (!rd.columns_known)
			header = find_columns(&rd, line);
		rd.columns_known = true;
		if (!header)
			read_line(&rd, line);
	}
	if (ferror(file))
		err(1, "%s", path);
	if (!t->request_count)
		errx(1, "%s: no reads in it", path);
	fclose(file);
	free(line);
	free_keys(&rd.keys);
}
