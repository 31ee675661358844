/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/key_options.h"

#include <errno.h>
#include <string.h>

#include "cli/tree/pattern.h"
#include "store/util/text.h"

const char *const key_validate_names[] = {
    [KEY_VALIDATE_DEFAULT] = "default",
    [KEY_DURATION_ONLY] = "duration_only",
    [KEY_ALL_INPUTS] = "all_inputs",
    [KEY_ALL_PARAMETERS] = "all_parameters",
    [KEY_PARTIAL_INPUTS_ONLY] = "partial_inputs_only",
    [KEY_PARTIAL_PARAMETERS_ONLY] = "partial_parameters_only",
    [KEY_NEVER_USE] = "never_use",
    [KEY_ALL_PARTS] = "all_parts",
    NULL,
};

const char *key_option_rest(const char *text, size_t *ret_name_len)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return NULL;
	*ret_name_len = (size_t)(equals - text);
	return equals + 1;
}

/* Every item is NAME=REST, and no two have one NAME. */
static int check_pairs(const char *option, const char *example,
		       const struct cli_list *list, struct errmsg *err)
{
	char quoted[TEXT_QUOTE_MAX];
	size_t len = 0, other = 0;

	for (size_t i = 0; i < list->len; i++) {
		const char *item = list->item[i];

		if (!key_option_rest(item, &len))
			return err_set(err, EINVAL, "--%s: %s has no name; write %s",
				       option, text_quote(quoted, item, strlen(item)),
				       example);
		for (size_t j = 0; j < i; j++) {
			key_option_rest(list->item[j], &other);
			if (other == len && memcmp(list->item[j], item, len) == 0)
				return err_set(err, EINVAL,
					       "--%s: %s is given twice; each name once",
					       option, text_quote(quoted, item, len));
		}
	}
	return 0;
}

static bool is_variable(const char *name)
{
	return *name && !strchr(name, '=');
}

static int check_names(const struct key_options *o, struct errmsg *err)
{
	char quoted[TEXT_QUOTE_MAX];

	if (o->name && !*o->name)
		return err_set(err, EINVAL,
			       "--name: \"\" is no name; leave the option out for that "
			       "of the command");
	for (size_t i = 0; i < o->envs.len; i++) {
		const char *env = o->envs.item[i];

		if (!is_variable(env))
			return err_set(err, EINVAL,
				       "--env: %s is no variable; give its name alone "
				       "(--param has values)",
				       text_quote(quoted, env, strlen(env)));
	}
	return 0;
}

/* In their order they make the version, so each has one place. */
static int check_policies(const struct cli_list *list, struct errmsg *err)
{
	char quoted[TEXT_QUOTE_MAX];

	for (size_t i = 0; i < list->len; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(list->item[i], list->item[j]) == 0)
				return err_set(err, EINVAL,
					       "--version-from: %s is given twice; leave "
					       "one out",
					       text_quote(quoted, list->item[i],
							  strlen(list->item[i])));
		}
	}
	return 0;
}

/* Before the command has taken its time. */
static int check_outputs(const struct cli_list *outputs, struct errmsg *err)
{
	struct patterns *ps;
	struct errmsg why;
	int r;

	if (!outputs->len)
		return 0;
	r = patterns_new(outputs->item, outputs->len, &ps, &why);
	if (r)
		return err_set(err, -r, "--output: %s", why.text);
	patterns_free(ps);
	return 0;
}

static int check_validation(const struct key_options *o, struct errmsg *err)
{
	bool partial = o->validate == KEY_PARTIAL_INPUTS_ONLY ||
		       o->validate == KEY_PARTIAL_PARAMETERS_ONLY;

	if (partial && !o->validate_on.len)
		return err_set(err, EINVAL,
			       "--validate %s: of what, is not said; add "
			       "--validate-on NAME",
			       key_validate_names[o->validate]);
	if (!partial && o->validate_on.len)
		return err_set(err, EINVAL,
			       "--validate-on goes with --validate partial_inputs_only "
			       "or partial_parameters_only");
	return 0;
}

int key_options_check(const struct key_options *o, struct errmsg *err)
{
	int r = check_names(o, err);

	if (!r)
		r = check_pairs("param", "--param day=monday", &o->params, err);
	if (!r)
		r = check_pairs("input-hash", "--input-hash data='sha256sum data'",
				&o->input_hash, err);
	if (!r)
		r = check_policies(&o->version_from, err);
	if (!r)
		r = check_outputs(&o->outputs, err);
	return r ? r : check_validation(o, err);
}
