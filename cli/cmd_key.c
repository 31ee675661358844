/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/key/key_options.h"
#include "cli/key/make_here.h"
#include "cli/key/parts.h"
#include "cli/message.h"

struct cmd_key_options {
	struct key_options key;
	bool id, path, json;
};

static const struct cli_option options[] = {
    KEY_OPTIONS(struct cmd_key_options, key),
    {0, "id", CLI_FLAG, offsetof(struct cmd_key_options, id), NULL,
     "print the hash of the parts alone", NULL},
    {0, "path", CLI_FLAG, offsetof(struct cmd_key_options, path), NULL,
     "print the path of the result in the cache alone", NULL},
    {'j', "json", CLI_FLAG, offsetof(struct cmd_key_options, json), NULL,
     "an object with all of it", NULL},
    CLI_END,
};

static void json_part(struct json *js, const struct part *p)
{
	CLEANUP_FREE char *name = part_unescape(p->name);
	CLEANUP_FREE char *value = p->value.data ? part_unescape(p->value) : NULL;

	json_object(js, NULL);
	json_string(js, "kind", part_kind_name(p->kind));
	json_name(js, "name", name);
	if (value)
		json_name(js, "value", value);
	else
		json_null(js, "value");
	json_object_end(js);
}

static void print_json(const struct key *k)
{
	CLEANUP_PARTS struct parts ps = PARTS_INIT;
	struct json js = JSON_INIT(stdout);

	parts_parse(buf_slice(&k->text), &ps);
	json_object(&js, NULL);
	json_name(&js, "name", k->name);
	json_string(&js, "id", k->id);
	json_name(&js, "path", k->path);
	json_array(&js, "parts");
	for (size_t i = 0; i < ps.n; i++)
		json_part(&js, &ps.list[i]);
	json_array_end(&js);
	json_object_end(&js);
}

static int check(const struct cmd_key_options *o, char **operands)
{
	if (strcmp(operands[-1], "--") != 0)
		/* Options of the command would have been taken for ours. */
		cli_error("key: -- is missing before the command: [options] -- COMMAND");
	else if (o->id + o->path + o->json > 1)
		cli_error("key: --id, --path and --json: only one of them");
	else
		return CLI_OK;
	return CLI_USAGE;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct cmd_key_options *o = opt;
	CLEANUP_KEY struct key k = KEY_INIT;
	int status = check(o, operands);

	if (!status)
		status = key_make_here(&o->key, "key", operands, &k);
	if (status)
		return status;
	if (o->id)
		printf("%s\n", k.id);
	else if (o->path)
		printf("%s\n", k.path);
	else if (o->json)
		print_json(&k);
	else
		fwrite(k.text.data, 1, k.text.len, stdout);
	return CLI_OK;
}

const struct command cmd_key = {
    .name = "key",
    .args = "-- COMMAND…",
    .summary = "show what a result of `memofs run` is known by",
    .detail =
	"Give it the options that make the key, as to `memofs run`; the command is not\n"
	"run. A line is a part: kind, name, value. A line without a value is a variable\n"
	"that is not set.\n"
	"\n"
	"--version-from file:PATH, the content of a file, directory or pattern; exe,\n"
	"that of the command's program; command:CMD, what CMD prints; git:PATH, what\n"
	"git tracks there, as it is now; env:NAME, a variable.\n"
	"\n"
	"--key TEMPLATE knows {date:%A} (any format of strftime), {today}, {yesterday},\n"
	"{tomorrow}, {now}, {name}, {version}, {id}, {user}, {host}, {env:NAME} and the\n"
	"names of --param; {{ and }} are braces. With it, what is at that path is the\n"
	"result; --validate tells what must still be the same.\n",
    .exits = "0  shown\n"
	     "2  the command line is wrong\n"
	     "3  an input cannot be read, or a command of --version-from or\n"
	     "   --input-hash failed",
    .example = "memofs key --input 'src/*.c' --version-from exe -- cc -O2 src/*.c",
    .options = options,
    .options_size = sizeof(struct cmd_key_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
