/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name below DIR/.memofs/view/: what was parsed is canonical and in range, what
 * was refused has a message and changed nothing, and a view inside a view never
 * shows what one of them alone does not.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/stat.h>

#include "fs/view.h"
#include "store/util/timestamp.h"

static void check_strings(const struct view *v)
{
	size_t version_len = strnlen(v->version, sizeof(v->version));
	size_t owner_len = strnlen(v->owner, sizeof(v->owner));

	FUZZ_CHECK(version_len <= STORE_VERSION_MAX && owner_len <= STORE_OWNER_MAX);
	FUZZ_CHECK(store_version_valid(v->version, version_len));
	if (v->set & VIEW_OWNER)
		FUZZ_CHECK(store_owner_valid(v->owner, owner_len));
	FUZZ_CHECK((v->set & VIEW_VERSION) || !version_len);
	FUZZ_CHECK((v->set & VIEW_OWNER) || !owner_len);
}

static void check_numbers(const struct view *v)
{
	FUZZ_CHECK(v->max_age_ns >= 0 && v->max_age_ns != DURATION_NONE);
	FUZZ_CHECK(v->wait_ns >= 0 || v->wait_ns == DURATION_UNSET);
	FUZZ_CHECK((v->set & VIEW_MAX_AGE) || !v->max_age_ns);
	FUZZ_CHECK((v->set & VIEW_SINCE) || !v->since_ns);
	FUZZ_CHECK((v->set & VIEW_WAIT) || !v->wait_ns);
}

/* At many times, around the limits of the view. */
static void check_narrows(const struct view *a, const struct view *b)
{
	struct view both = view_combine(a, b), again = view_combine(&both, b);
	int64_t now_ns[] = {0, 1, a->max_age_ns, b->max_age_ns, INT64_MAX - 1};
	int64_t created_ns[] = {INT64_MIN, 0, a->since_ns, b->since_ns, INT64_MAX};

	FUZZ_CHECK(view_equal(&both, &again));
	for (size_t i = 0; i < 25; i++) {
		struct store_attr attr = {
		    .mode = S_IFREG,
		    .created_ns = created_ns[i / 5],
		    .expires_ns = DURATION_NONE,
		};
		int64_t until_ns;
		bool hit = view_admits(&both, &attr, now_ns[i % 5], &until_ns);

		FUZZ_CHECK(hit == (until_ns > now_ns[i % 5]));
		FUZZ_CHECK(hit == (view_admits(a, &attr, now_ns[i % 5], NULL) &&
				   view_admits(b, &attr, now_ns[i % 5], NULL)));
	}
	FUZZ_CHECK((both.set & (VIEW_RO | VIEW_PACK)) ==
		   ((a->set | b->set) & (VIEW_RO | VIEW_PACK)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct view others[] = {
	    {.set = VIEW_STALE},
	    {.set = VIEW_MAX_AGE | VIEW_RO, .max_age_ns = 1000},
	    {.set = VIEW_SINCE | VIEW_WAIT, .since_ns = 1000},
	    {.set = VIEW_PACK},
	};
	struct view v = {.set = 12345};
	struct errmsg err = {0};
	int64_t ns = -7;
	char *text = malloc(len + 1);

	FUZZ_CHECK(text);
	memcpy(text, data, len);
	text[len] = '\0';
	if (timestamp_parse(text, len, &ns))
		FUZZ_CHECK(ns == -7);
	if (view_parse(text, &v, &err)) {
		FUZZ_CHECK(v.set == 12345);
		FUZZ_CHECK(*err.text && !strpbrk(err.text, "\n\r"));
	} else {
		check_strings(&v);
		check_numbers(&v);
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
			check_narrows(&v, &others[i]);
			check_narrows(&others[i], &v);
		}
	}
	free(text);
	return 0;
}
