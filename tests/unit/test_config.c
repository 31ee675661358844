/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/config_keys.h"
#include "fs/config_text.h"
#include "store/util/buf.h"
#include "store/util/duration.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIB (UINT64_C(1) << 20)

/* A namespace with a name of n bytes. */
#define TEN "aaaaaaaaaa"
#define FIFTY TEN TEN TEN TEN TEN
#define NAME_255 FIFTY FIFTY FIFTY FIFTY FIFTY "aaaaa"

static int parse(const char *text, struct config *ret_config, struct errmsg *err)
{
	return config_parse("F", text, strlen(text), ret_config, err);
}

/* ---- what is accepted -------------------------------------------------------- */

static void test_every_key(void **state)
{
	static const char text[] = "mount:\n"
				   "  allow-other: true\n"
				   "  read-only: yes\n"
				   "  threads: 3\n"
				   "  log: /var/log/memofs.log\n"
				   "  log-level: debug\n"
				   "store:\n"
				   "  cache: 64MiB\n"
				   "  small-max: 32KiB\n"
				   "  staged-memory: 1G\n"
				   "  root-mode: \"1777\"\n"
				   "namespaces:\n"
				   "  builds:\n"
				   "    ttl: PT1H\n"
				   "    version: v1\n"
				   "    lease: 5m\n"
				   "    wait: none\n"
				   "    publish: always\n"
				   "    mode: \"0775\"\n"
				   "    owner: root\n"
				   "    group: 4294967294\n"
				   "  other:\n"
				   "    ttl: none\n";
	const struct config_namespace *ns;
	struct config c;

	assert_int_equal(parse(text, &c, NULL), 0);
	assert_true(c.mount.allow_other);
	assert_true(c.mount.read_only);
	assert_int_equal(c.mount.threads, 3);
	assert_string_equal(c.mount.log, "/var/log/memofs.log");
	assert_int_equal(c.mount.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.mount.set, CONFIG_ALLOW_OTHER | CONFIG_READ_ONLY |
					  CONFIG_THREADS | CONFIG_LOG | CONFIG_LOG_LEVEL);
	assert_int_equal(c.store.cache_bytes, 64 * MIB);
	assert_int_equal(c.store.small_max_bytes, 32768);
	assert_int_equal(c.store.staged_memory_bytes, 1024 * MIB);
	assert_int_equal(c.store.root_mode, 01777);
	assert_int_equal(c.store.set, CONFIG_CACHE | CONFIG_SMALL_MAX |
					  CONFIG_STAGED_MEMORY | CONFIG_ROOT_MODE);
	assert_int_equal(c.namespace_count, 2);
	ns = &c.namespaces[0];
	assert_string_equal(ns->name, "builds");
	assert_int_equal(ns->ttl.ns, 3600 * NSEC_PER_SEC);
	assert_string_equal(ns->ttl.text, "PT1H");
	assert_string_equal(ns->version, "v1");
	assert_string_equal(ns->lease, "5m");
	assert_string_equal(ns->wait, "none");
	assert_string_equal(ns->publish, "always");
	assert_int_equal(ns->mode, 0775);
	assert_int_equal(ns->owner, 0);
	assert_int_equal(ns->group, 4294967294);
	assert_int_equal(ns->set, CONFIG_TTL | CONFIG_VERSION | CONFIG_MODE |
				      CONFIG_OWNER | CONFIG_GROUP | CONFIG_LEASE |
				      CONFIG_WAIT | CONFIG_PUBLISH);
	assert_string_equal(ns[1].name, "other");
	assert_int_equal(ns[1].ttl.ns, DURATION_NONE);
	assert_int_equal(ns[1].set, CONFIG_TTL);
	config_deinit(&c);
}

static void assert_defaults(const struct config *c)
{
	assert_int_equal(c->mount.set, 0);
	assert_false(c->mount.allow_other);
	assert_false(c->mount.read_only);
	assert_int_equal(c->mount.threads, CONFIG_THREADS_DEFAULT);
	assert_null(c->mount.log);
	assert_int_equal(c->mount.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->store.set, 0);
	assert_int_equal(c->store.cache_bytes, 0);
	assert_int_equal(c->store.small_max_bytes, 0);
	assert_int_equal(c->store.staged_memory_bytes, 0);
	assert_int_equal(c->store.root_mode, 0755);
	assert_int_equal(c->namespace_count, 0);
}

static void test_nothing_is_the_defaults(void **state)
{
	static const char *const texts[] = {
	    "",
	    "\n\n",
	    "# a comment\n",
	    "---\n",
	    "--- ~\n",
	    "---\n...\n",
	    "{}",
	    "mount:\nstore:\nnamespaces:\n",
	    "mount: {}\nstore: null\nnamespaces: {}\n",
	    "\xef\xbb\xbf# with a byte order mark\n",
	};
	struct config c;

	for (size_t i = 0; i < COUNT(texts); i++) {
		if (parse(texts[i], &c, NULL))
			fail_msg("refused: %s", texts[i]);
		assert_defaults(&c);
		config_deinit(&c);
	}
	assert_int_equal(config_parse("F", NULL, 0, &c, NULL), 0);
	assert_defaults(&c);
	config_deinit(&c);
}

/* Text without a type of its own: what YAML would take for a number stays text. */
static void test_versions_and_names_are_text(void **state)
{
	struct config c;

	assert_int_equal(parse("namespaces:\n"
			       "  1.10: {version: 1.10}\n"
			       "  empty: {version: \"\"}\n"
			       "  'null': {version: 'null'}\n"
			       "  \"a b\\nc\": {version: caf\xc3\xa9 5}\n"
			       "  bare:\n"
			       "  " NAME_255 ":\n"
			       "  ..x: {}\n",
			       &c, NULL),
			 0);
	assert_int_equal(c.namespace_count, 7);
	assert_string_equal(c.namespaces[0].name, "1.10");
	assert_string_equal(c.namespaces[0].version, "1.10");
	assert_string_equal(c.namespaces[1].version, "");
	assert_int_equal(c.namespaces[1].set, CONFIG_VERSION);
	assert_string_equal(c.namespaces[2].name, "null");
	assert_string_equal(c.namespaces[2].version, "null");
	assert_string_equal(c.namespaces[3].name, "a b\nc");
	assert_string_equal(c.namespaces[3].version, "caf\xc3\xa9 5");
	assert_int_equal(c.namespaces[4].set, 0);
	assert_string_equal(c.namespaces[5].name, NAME_255);
	assert_string_equal(c.namespaces[6].name, "..x");
	config_deinit(&c);
}

static void test_ways_to_write(void **state)
{
	struct config c;

	assert_int_equal(parse("%YAML 1.1\n---\n"
			       "mount: {allow_other: On, read-only: \"false\", threads: "
			       "'8', log: stderr}\n"
			       "store: {root-mode: 0o700, cache: \"64 MiB\"}\n"
			       "namespaces: {a: {ttl: 1h 30m, mode: 755}}\n"
			       "...\n",
			       &c, NULL),
			 0);
	assert_true(c.mount.allow_other);
	assert_false(c.mount.read_only);
	assert_int_equal(c.mount.threads, 8);
	assert_string_equal(c.mount.log, "stderr");
	assert_int_equal(c.store.root_mode, 0700);
	assert_int_equal(c.store.cache_bytes, 64 * MIB);
	assert_int_equal(c.namespaces[0].ttl.ns, 5400 * NSEC_PER_SEC);
	assert_string_equal(c.namespaces[0].ttl.text, "1h 30m");
	assert_int_equal(c.namespaces[0].mode, 0755);
	config_deinit(&c);
}

static void test_many_namespaces(void **state)
{
	const size_t count = 20000;
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct config c;
	struct errmsg err;

	buf_printf(&text, "namespaces:\n");
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_printf(&text, "  n%zu: {ttl: %zus}\n", i, i), 0);
	assert_int_equal(config_parse("F", text.data, text.len, &c, NULL), 0);
	assert_int_equal(c.namespace_count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(c.namespaces[i].ttl.ns, (int64_t)i * NSEC_PER_SEC);
	config_deinit(&c);

	buf_printf(&text, "  n17:\n");
	assert_int_equal(config_parse("F", text.data, text.len, &c, &err), -EINVAL);
	assert_string_equal(err.text, "F:20002:3: namespace \"n17\" is given twice");
}

/* ---- what is refused, and where ------------------------------------------------- */

static const struct {
	const char *text, *message;
} refusals[] = {
    /* Unknown keys. */
    {"mount:\n  alow-other: true\n",
     "F:2:3: unknown key \"alow-other\" in mount; did you mean \"allow-other\"?"},
    {"mount:\n  xyzzy: 1\n",
     "F:2:3: unknown key \"xyzzy\" in mount; its keys are "
     "allow-other, busy-poll, fast, passthrough, read-only, threads, log, log-level, "
     "watchdog, "
     "user-handles, user-values, user-bytes, "
     "user-reservations, user-waiters"},
    {"mount: {user-handles: 0}", "F:1:23: user-handles: \"0\" is not a number from 1 to "
				 "9223372036854775807, or none"},
    {"mount: {user-bytes: much}",
     "F:1:21: user-bytes: \"much\" is not a size; use e.g. 4096, 64KiB, 1.5GiB"},
    {"store:\n  cache: 1G\n  threads: 8\n",
     "F:3:3: unknown key \"threads\" in store; it belongs in mount"},
    {"ttl: 1h\n", "F:1:1: unknown key \"ttl\" in the file; it belongs in a namespace"},
    {"mount: {store: {}}",
     "F:1:9: unknown key \"store\" in mount; it belongs in the file"},
    {"namespace: {}",
     "F:1:1: unknown key \"namespace\" in the file; did you mean \"namespaces\"?"},
    {"x: 1", "F:1:1: unknown key \"x\" in the file; its keys are mount, store, "
	     "namespaces"},
    {"namespaces:\n  builds:\n    tl: 1h\n",
     "F:3:5: unknown key \"tl\" in namespace \"builds\"; did you mean \"ttl\"?"},
    {"namespaces: {a: {colour: 1}}", "F:1:18: unknown key \"colour\" in namespace \"a\"; "
				     "its keys are ttl, version, mode, owner, group, "
				     "lease, wait, publish, quota, max-entry, pin"},
    {"namespaces: {a: {quota: much}}",
     "F:1:25: quota: \"much\" is not a size; use e.g. 4096, 64KiB, 1.5GiB"},
    {"namespaces: {a: {pin: 2}}", "F:1:23: pin: \"2\" is neither true nor false"},
    {"store: {size: 120%}", "F:1:15: size: \"120%\" is not 1% to 100% of the disk"},
    {"store: {size: 5}", "F:1:15: size: \"5\" is not between 1MiB and 7.9EiB"},
    {"store: {policy: fifo}", "F:1:17: policy: \"fifo\" is neither gdsf nor lru"},
    {"store: {keep-expired: long}",
     "F:1:23: keep-expired: \"long\" is not a duration; use e.g. 90s, 1h30m, PT1H, "
     "none"},
    {"\"mo\\nunt\": 1",
     "F:1:1: unknown key \"mo\\nunt\" in the file; did you mean \"mount\"?"},
    {"mount: {<<: {threads: 1}}",
     "F:1:9: unknown key \"<<\" in mount; its keys are allow-other, busy-poll, fast, "
     "passthrough, read-only, threads, "
     "log, log-level, watchdog, user-handles, user-values, user-bytes, "
     "user-reservations, "
     "user-waiters"},
    {"\"mount\\0x\": {}", "F:1:1: the key \"mount\\x00x\" has a NUL character"},

    /* Twice. */
    {"mount: {}\nmount: {}\n", "F:2:1: mount is given twice in the file"},
    {"mount:\n  allow-other: true\n  allow_other: true\n",
     "F:3:3: allow-other is given twice in mount"},
    {"namespaces: {a: {}, b: {}, a: {}}", "F:1:28: namespace \"a\" is given twice"},
    {"namespaces: {a: {ttl: 1h, ttl: 1h}}",
     "F:1:27: ttl is given twice in namespace \"a\""},

    /* The wrong kind. */
    {"- a\n- b\n", "F:1:1: the file must be a mapping (key: value), but this is a list"},
    {"hello\n",
     "F:1:1: the file must be a mapping (key: value), but this is a single value"},
    {"\"\"",
     "F:1:1: the file must be a mapping (key: value), but this is a single value"},
    {"mount: 8\n",
     "F:1:8: mount must be a mapping (key: value), but this is a single value"},
    {"namespaces: [a]\n",
     "F:1:13: namespaces must be a mapping (key: value), but this is a list"},
    {"namespaces: {a: 1h}", "F:1:17: namespace \"a\" must be a mapping (key: value), but "
			    "this is a single value"},
    {"mount:\n  threads: [8]\n",
     "F:2:12: threads must be a single value, but this is a list"},
    {"mount:\n  threads: {a: 8}\n",
     "F:2:12: threads must be a single value, but this is a mapping"},
    {"? [a]\n: b\n", "F:1:3: a key of the file must be text, but this is a list"},
    {"mount:\n  threads:\n  log: stderr\n", "F:2:11: threads: there is no value"},
    {"namespaces: {a: {version: ~}}", "F:1:27: version: there is no value"},

    /* Bad values. */
    {"mount: {allow-other: 1}", "F:1:22: allow-other: \"1\" is neither true nor false"},
    {"mount: {read-only: maybe}",
     "F:1:20: read-only: \"maybe\" is neither true nor false"},
    {"mount: {threads: 0}", "F:1:18: threads: \"0\" is not a number from 1 to 256"},
    {"mount: {threads: 257}", "F:1:18: threads: \"257\" is not a number from 1 to 256"},
    {"mount: {threads: -1}", "F:1:18: threads: \"-1\" is not a number from 1 to 256"},
    {"mount: {threads: 8.0}", "F:1:18: threads: \"8.0\" is not a number from 1 to 256"},
    {"mount: {threads: \"\"}", "F:1:18: threads: \"\" is not a number from 1 to 256"},
    {"mount: {threads: 18446744073709551624}",
     "F:1:18: threads: \"18446744073709551624\" is not a number from 1 to 256"},
    {"mount: {log: sysloog}", "F:1:14: log: \"sysloog\" is not stderr, syslog or a path "
			      "with a slash; did you mean \"syslog\"?"},
    {"mount: {log: memofs.log}",
     "F:1:14: log: \"memofs.log\" is not stderr, syslog or a path with a slash"},
    {"mount: {passthrough: on}", "F:1:22: passthrough: \"on\" is neither auto nor off"},
    {"mount: {watchdog: 10ms}",
     "F:1:19: watchdog: \"10ms\" is no time to wait for an answer; use 1s or more, or "
     "none"},
    {"mount: {log-level: loud}",
     "F:1:20: log-level: \"loud\" is not error, warning, info or debug"},
    {"store: {cache: 5}", "F:1:16: cache: \"5\" is not between 1MiB and 1TiB"},
    {"store: {cache: 99999999999999999999}",
     "F:1:16: cache: \"99999999999999999999\" is not between 1MiB and 1TiB"},
    {"store: {cache: -64MiB}",
     "F:1:16: cache: \"-64MiB\" is not a size; use e.g. 4096, 64KiB, 1.5GiB"},
    {"store: {staged-memory: lots}",
     "F:1:24: staged-memory: \"lots\" is not a size; use e.g. 4096, 64KiB, 1.5GiB"},
    {"store: {small-max: 17MiB}",
     "F:1:20: small-max: \"17MiB\" is not between 1B and 16MiB"},
    {"store: {small-max: 0}", "F:1:20: small-max: \"0\" is not between 1B and 16MiB"},
    {"store: {root-mode: 0789}",
     "F:1:20: root-mode: \"0789\" is not a mode; use octal digits, e.g. 0755"},
    {"store: {root-mode: 10000}",
     "F:1:20: root-mode: \"10000\" is not a mode; use octal digits, e.g. 0755"},
    {"store: {root-mode: rwx}",
     "F:1:20: root-mode: \"rwx\" is not a mode; use octal digits, e.g. 0755"},
    {"namespaces:\n  a:\n    ttl: 5 parsecs\n",
     "F:3:10: ttl: \"5 parsecs\" is not a duration; use e.g. 90s, 1h30m, PT1H, none"},
    {"namespaces: {a: {ttl: -1h}}",
     "F:1:23: ttl: \"-1h\" is not a duration; use e.g. 90s, 1h30m, PT1H, none"},
    {"namespaces: {a: {ttl: 999999999h}}",
     "F:1:23: ttl: \"999999999h\" is too long; use at most 292 years, or none"},
    {"namespaces: {a: {lease: none}}",
     "F:1:25: lease: \"none\" is no time to reserve for; use more than 0 and at most 366 "
     "days"},
    {"namespaces: {a: {lease: 0}}",
     "F:1:25: lease: \"0\" is no time to reserve for; use more than 0 and at most 366 "
     "days"},
    {"namespaces: {a: {wait: soon}}",
     "F:1:24: wait: \"soon\" is not a duration; use e.g. 90s, 1h30m, PT1H, none"},
    {"namespaces: {a: {publish: sometimes}}",
     "F:1:27: publish: \"sometimes\" is neither on-success nor always"},
    {"namespaces: {a: {ttl: \"1h\\0\"}}", "F:1:23: ttl: \"1h\\x00\" has a NUL character"},
    {"namespaces: {a: {version: a/b}}",
     "F:1:27: version: \"a/b\" has a slash, which a version cannot have"},
    {"namespaces: {a: {version: ..}}",
     "F:1:27: version: \"..\" is not a version; use up to 255 bytes of text, no control "
     "characters, not \".\" or \"..\""},
    {"namespaces: {a: {version: \"a\\x01\"}}",
     "F:1:27: version: \"a\\x01\" is not a version; use up to 255 bytes of text, no "
     "control characters, not \".\" or \"..\""},
    {"namespaces: {a: {owner: no-such-user-here}}",
     "F:1:25: owner: there is no user \"no-such-user-here\""},
    {"namespaces: {a: {owner: 4294967295}}",
     "F:1:25: owner: there is no user \"4294967295\""},
    {"namespaces: {a: {group: no-such-group-here}}",
     "F:1:25: group: there is no group \"no-such-group-here\""},

    /* Names of namespaces. */
    {"namespaces:\n  .memofs:\n    ttl: 1h\n",
     "F:2:3: a namespace cannot be called \".memofs\": memofs itself answers there"},
    {"namespaces: {a/b: }", "F:1:14: \"a/b\" cannot be the name of a directory"},
    {"namespaces: {.: }", "F:1:14: \".\" cannot be the name of a directory"},
    {"namespaces: {..: }", "F:1:14: \"..\" cannot be the name of a directory"},
    {"namespaces: {\"\": }", "F:1:14: a namespace needs a name"},
    {"namespaces: {\"a\\0b\": }", "F:1:14: the key \"a\\x00b\" has a NUL character"},

    /* YAML that the schema does not need. */
    {"mount: &a {}\n", "F:1:8: anchors (&a) are not supported"},
    {"mount:\n  log: &a stderr\n", "F:2:8: anchors (&a) are not supported"},
    {"mount: *a\n", "F:1:8: aliases (*a) are not supported"},
    {"*a : {}\n", "F:1:1: aliases (*a) are not supported"},
    {"mount:\n  threads: !!int 8\n",
     "F:2:12: tags (\"tag:yaml.org,2002:int\") are not supported"},
    {"mount: !x {}\n", "F:1:8: tags (\"!x\") are not supported"},
    {"mount: {}\n---\nstore: {}\n", "F:2:1: a second document is not supported"},
    {"mount: {}\n...\n---\n", "F:3:1: a second document is not supported"},

    /* Not YAML. */
    {"mount:\n\tthreads: 8\n",
     "F:2:1: a tab cannot stand here; YAML indents with blanks"},
    {"# \xc3\xa9\xc3\xa9\n\"\xc3\xa9\": \t@x\n",
     "F:2:7: not YAML: found character that cannot start any token"},
    {"mount: {threads: 8", "F:2:1: not YAML: did not find expected ',' or '}'"},
    {"mount:\n  threads: 8\n log: x\n", "F:3:2: not YAML: did not find expected key"},
    {"mount: \"never closed\n", "F:2:1: not YAML: found unexpected end of stream"},
    {"%YAML 3.0\n---\n", "F:1:1: not YAML: found incompatible YAML document"},
    {"mount:\n  log: \xff\xff\n", "F:2:8: not YAML: invalid leading UTF-8 octet"},
    {"caf\xc3\xa9: \x01", "F:1:7: not YAML: control characters are not allowed"},
    {"\x7f"
     "ELF\x02\x01\x01",
     "F:1:1: not YAML: control characters are not allowed"},
};

static void test_refuses(void **state)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct config c = {.namespace_count = 4711};
		struct errmsg err = {0};
		int r = parse(refusals[i].text, &c, &err);

		if (r != -EINVAL)
			fail_msg("%d for: %s", r, refusals[i].text);
		assert_string_equal(err.text, refusals[i].message);
		assert_int_equal(c.namespace_count, 4711);
		assert_int_equal(parse(refusals[i].text, &c, NULL), -EINVAL);
	}
}

/* A message is one line of a sane length whatever it quotes. */
static void test_refuses_a_long_name(void **state)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct config c;
	struct errmsg err;

	assert_int_equal(parse("namespaces:\n  " NAME_255 "x:\n", &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "...\" is 256 bytes long; at most 255"));
	assert_ptr_equal(strstr(err.text, "F:2:3: the name \"aaaa"), err.text);

	buf_printf(&text, "namespaces: {a: {version: %0300d}}", 1);
	assert_int_equal(config_parse("F", text.data, text.len, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "F:1:27: version: \"0000"));
	assert_non_null(strstr(err.text, "up to 255 bytes"));
}

/* However deep, the first level that does not fit ends it. */
static void test_refuses_deep_nesting(void **state)
{
	static const char *const levels[] = {"[", "{a: ", "- ", "? ", "{? [", "mount: {"};
	struct config c;
	struct errmsg err;

	for (size_t i = 0; i < COUNT(levels); i++) {
		CLEANUP_BUF struct buf text = BUF_INIT;

		while (text.len < CONFIG_FILE_MAX - 10)
			assert_int_equal(buf_printf(&text, "%s", levels[i]), 0);
		assert_int_equal(config_parse("F", text.data, text.len, &c, &err),
				 -EINVAL);
		assert_ptr_equal(strstr(err.text, "F:1:"), err.text);
	}
}

/* Every beginning of a good file is a good file or a refusal with a place. */
static void test_cut_anywhere(void **state)
{
	static const char text[] = "mount: {log: 'a/b', threads: 8}\n"
				   "namespaces:\n"
				   "  \"x\\ty\": {ttl: 1h30m, version: caf\xc3\xa9}\n";

	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1);
		struct config c;
		struct errmsg err = {0};

		assert_non_null(copy);
		memcpy(copy, text, len);
		if (config_parse("F", copy, len, &c, &err) == 0)
			config_deinit(&c);
		else
			assert_true(strncmp(err.text, "F:", 2) == 0 &&
				    err.text[2] >= '1' && err.text[2] <= '9');
		free(copy);
	}
}

/* ---- options of the command line --------------------------------------------------- */

static void test_options(void **state)
{
	static const struct {
		const char *key, *value;
	} options[] = {
	    {"allow_other", NULL}, {"read-only", "yes"}, {"threads", "2"},
	    {"threads", "5"},	   {"log", "stderr"},	 {"log", "/tmp/x"},
	    {"cache", "2MiB"},	   {"rw", NULL},	 {"root_mode", "0700"},
	};
	struct config c;

	config_init(&c);
	for (size_t i = 0; i < COUNT(options); i++)
		assert_int_equal(
		    config_set_option(&c, options[i].key, options[i].value, NULL), 0);
	assert_true(c.mount.allow_other);
	assert_false(c.mount.read_only);
	assert_int_equal(c.mount.threads, 5);
	assert_string_equal(c.mount.log, "/tmp/x");
	assert_int_equal(c.store.cache_bytes, 2 * MIB);
	assert_int_equal(c.store.root_mode, 0700);
	assert_int_equal(c.mount.set, CONFIG_ALLOW_OTHER | CONFIG_READ_ONLY |
					  CONFIG_THREADS | CONFIG_LOG);
	assert_int_equal(c.store.set, CONFIG_CACHE | CONFIG_ROOT_MODE);
	assert_int_equal(config_set_option(&c, "ro", NULL, NULL), 0);
	assert_true(c.mount.read_only);
	config_deinit(&c);
}

static void test_options_refused(void **state)
{
	static const struct {
		const char *key, *value;
		int errnum;
		const char *message;
	} refused[] = {
	    {"alow_other", NULL, ENOENT,
	     "-o \"alow_other\": unknown option; did you mean \"allow-other\"?"},
	    {"ttl", "1h", ENOENT, "-o \"ttl\": unknown option; see memofs.conf(5)"},
	    {"", NULL, ENOENT, "-o \"\": unknown option; see memofs.conf(5)"},
	    {"threads", NULL, EINVAL, "-o threads needs a value: threads=…"},
	    {"threads", "many", EINVAL,
	     "-o threads: \"many\" is not a number from 1 to 256"},
	    {"allow-other", "", EINVAL, "-o allow-other: \"\" is neither true nor false"},
	    {"ro", "1", EINVAL, "-o ro takes no value"},
	};
	struct config c;
	struct errmsg err;

	config_init(&c);
	for (size_t i = 0; i < COUNT(refused); i++) {
		assert_int_equal(
		    config_set_option(&c, refused[i].key, refused[i].value, &err),
		    -refused[i].errnum);
		assert_string_equal(err.text, refused[i].message);
		assert_defaults(&c);
	}
	config_deinit(&c);
}

static void test_a_bad_option_keeps_the_former(void **state)
{
	struct config c;

	config_init(&c);
	assert_int_equal(config_set_option(&c, "log", "syslog", NULL), 0);
	assert_int_equal(config_set_option(&c, "threads", "2", NULL), 0);
	assert_int_equal(config_set_option(&c, "log", "nowhere", NULL), -EINVAL);
	assert_int_equal(config_set_option(&c, "threads", "0", NULL), -EINVAL);
	assert_string_equal(c.mount.log, "syslog");
	assert_int_equal(c.mount.threads, 2);
	config_deinit(&c);
}

static void test_the_command_line_wins(void **state)
{
	struct config file, line;

	assert_int_equal(parse("mount: {threads: 3, log: stderr, read-only: true}\n"
			       "store: {cache: 9MiB}\n"
			       "namespaces: {a: }\n",
			       &file, NULL),
			 0);
	config_init(&line);
	assert_int_equal(config_set_option(&line, "log", "syslog", NULL), 0);
	assert_int_equal(config_set_option(&line, "rw", NULL, NULL), 0);
	assert_int_equal(config_set_option(&line, "staged-memory", "8MiB", NULL), 0);
	assert_int_equal(config_merge(&file, &line), 0);
	config_deinit(&line);

	assert_int_equal(file.mount.threads, 3);
	assert_string_equal(file.mount.log, "syslog");
	assert_false(file.mount.read_only);
	assert_int_equal(file.store.cache_bytes, 9 * MIB);
	assert_int_equal(file.store.staged_memory_bytes, 8 * MIB);
	assert_int_equal(file.mount.set, CONFIG_THREADS | CONFIG_LOG | CONFIG_READ_ONLY);
	assert_int_equal(file.store.set, CONFIG_CACHE | CONFIG_STAGED_MEMORY);
	assert_int_equal(file.namespace_count, 1);
	config_deinit(&file);
	assert_defaults(&file);
}

/* ---- writing it ----------------------------------------------------------------- */

static void assert_same(const struct config *a, const struct config *b)
{
	assert_int_equal(a->mount.read_only, b->mount.read_only);
	assert_int_equal(a->mount.threads, b->mount.threads);
	assert_int_equal(a->mount.log_level, b->mount.log_level);
	assert_memory_equal(&a->mount.user, &b->mount.user, sizeof(a->mount.user));
	assert_string_equal(a->mount.log ?: "-", b->mount.log ?: "-");
	assert_int_equal(a->store.cache_bytes, b->store.cache_bytes);
	assert_int_equal(a->store.small_max_bytes, b->store.small_max_bytes);
	assert_int_equal(a->store.staged_memory_bytes, b->store.staged_memory_bytes);
	assert_int_equal(a->store.root_mode, b->store.root_mode);
	assert_int_equal(a->store.size.bytes, b->store.size.bytes);
	assert_int_equal(a->store.size.percent, b->store.size.percent);
	assert_int_equal(a->store.min_free_bytes, b->store.min_free_bytes);
	assert_int_equal(a->store.max_entry_bytes, b->store.max_entry_bytes);
	assert_int_equal(a->store.scrub_bytes, b->store.scrub_bytes);
	assert_int_equal(a->store.policy, b->store.policy);
	assert_int_equal(a->store.keep_expired_ns, b->store.keep_expired_ns);
	assert_int_equal(a->namespace_count, b->namespace_count);
	for (size_t i = 0; i < a->namespace_count; i++) {
		const struct config_namespace *x = &a->namespaces[i];
		const struct config_namespace *y = &b->namespaces[i];

		assert_string_equal(x->name, y->name);
		assert_int_equal(x->set, y->set);
		assert_int_equal(x->ttl.ns, y->ttl.ns);
		assert_string_equal(x->lease ?: "-", y->lease ?: "-");
		assert_string_equal(x->wait ?: "-", y->wait ?: "-");
		assert_string_equal(x->publish ?: "-", y->publish ?: "-");
		assert_string_equal(x->quota ?: "-", y->quota ?: "-");
		assert_string_equal(x->max_entry ?: "-", y->max_entry ?: "-");
		assert_string_equal(x->pin ?: "-", y->pin ?: "-");
		assert_string_equal(x->ttl.text ?: "-", y->ttl.text ?: "-");
		assert_string_equal(x->version ?: "-", y->version ?: "-");
		assert_int_equal(x->mode, y->mode);
		assert_int_equal(x->owner, y->owner);
		assert_int_equal(x->group, y->group);
	}
}

/* What config_format() writes is the same configuration, whatever the names. */
static void test_is_read_back(void **state)
{
	static const char *const texts[] = {
	    "",
	    "{mount: {read-only: true, threads: 3, log: /a, log-level: error}}\n",
	    "mount: {user-handles: 5, user-values: none, user-bytes: 1G, "
	    "user-reservations: 1, user-waiters: none}\n",
	    "store: {cache: 3MiB, small-max: 1, staged-memory: 1T, root-mode: 07777}\n",
	    "store: {size: 20%, min-free: 1G, policy: lru, keep-expired: 10m}\n",
	    "store: {size: 20GiB, max-entry: 1, policy: gdsf, keep-expired: 0}\n",
	    "store: {size: none, keep-expired: none}\n",
	    "namespaces: {a: {quota: 1.5GiB, max-entry: 4096, pin: on}, b: {pin: no}}\n",
	    "namespaces: {a: {}, b: {ttl: 1h 30m, version: '', mode: 0, owner: 5, "
	    "lease: 90s, wait: none, publish: on-success}}\n",
	    "namespaces: {' #: \"x\" \\ ': {version: '{}'}, '~': , 'null': , '- a': }\n",
	    "namespaces: {\"\\x01\\t\\n\\e\\x7f\": {ttl: \" 1h\\n\"}}\n",
	    "namespaces: {\"caf\xc3\xa9 \xf0\x9f\x98\x80\": }\n",
	    /* Characters that YAML takes for line breaks, or does not allow. */
	    "namespaces: {\"a\\N b\\L c\\P d\": , \"\\x80\\x9f\\xa0\\uFEFF\": }\n",
	    "namespaces: {\"\\ufffe\\uffff\\U0010ffff\": {version: \"\\u200b\"}}\n",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		CLEANUP_BUF struct buf text = BUF_INIT;
		struct config c, again;
		struct errmsg err;

		assert_int_equal(parse(texts[i], &c, NULL), 0);
		assert_int_equal(config_format(&c, &text), 0);
		if (config_parse("F", text.data, text.len, &again, &err))
			fail_msg("%s in %.*s", err.text, (int)text.len, text.data);
		assert_same(&c, &again);
		config_deinit(&c);
		config_deinit(&again);
	}
}

/* ---- files --------------------------------------------------------------------------
 */

struct fixture {
	char path[64];
};

static int make_file(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	if (!f)
		return -1;
	strcpy(f->path, "/tmp/memofs-config-XXXXXX");
	fd = mkstemp(f->path);
	if (fd < 0) {
		free(f);
		return -1;
	}
	close(fd);
	*state = f;
	return 0;
}

static int remove_file(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	free(f);
	return 0;
}

static void write_file(const struct fixture *f, const char *text)
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void test_loads_a_file(void **state)
{
	struct fixture *f = *state;
	struct config c;
	struct errmsg err;
	char want[256];

	assert_int_equal(config_load(f->path, &c, NULL), 0);
	assert_defaults(&c);
	config_deinit(&c);

	write_file(f, "mount:\n  threads: 7\n");
	assert_int_equal(config_load(f->path, &c, NULL), 0);
	assert_int_equal(c.mount.threads, 7);
	config_deinit(&c);

	write_file(f, "mount:\n  theads: 7\n");
	assert_int_equal(config_load(f->path, &c, &err), -EINVAL);
	snprintf(want, sizeof(want),
		 "%s:2:3: unknown key \"theads\" in mount; did you mean \"threads\"?",
		 f->path);
	assert_string_equal(err.text, want);
}

static void test_size_limit(void **state)
{
	struct fixture *f = *state;
	struct config c;
	struct errmsg err;

	for (int i = 0; i < 2; i++) {
		FILE *file = fopen(f->path, "w");

		assert_non_null(file);
		fputs("mount: {threads: 7} #", file);
		for (int n = 21; n < CONFIG_FILE_MAX + i; n++)
			fputc('x', file);
		assert_int_equal(fclose(file), 0);
		assert_int_equal(config_load(f->path, &c, &err), i ? -EFBIG : 0);
		if (i == 0)
			config_deinit(&c);
	}
	assert_non_null(strstr(err.text, f->path));
	assert_non_null(strstr(err.text, "larger than 1024 KiB"));
}

static void test_files_that_cannot_be_read(void **state)
{
	struct config c;
	struct errmsg err;

	assert_int_equal(config_load("/nonexistent/memofs.yaml", &c, &err), -ENOENT);
	assert_string_equal(
	    err.text, "cannot read /nonexistent/memofs.yaml: No such file or directory");
	assert_int_equal(config_load("/tmp", &c, &err), -EISDIR);
	assert_string_equal(err.text, "cannot read /tmp: Is a directory");
	assert_int_equal(config_load("/dev/zero", &c, &err), -EFBIG);
}

/* The example that users copy. */
static void expect_every_key(const struct config_section *section, uint32_t set)
{
	for (const struct config_key *k = section->keys; k->name; k++)
		if (!(set & k->bit))
			fail_msg("the example has no \"%s\" in %s", k->name,
				 section->name);
}

/* It shows every key, as it says. */
static void test_example(void **state)
{
	struct config c;
	struct errmsg err;
	uint32_t set = 0;

	if (config_load(EXAMPLE_CONFIG, &c, &err))
		fail_msg("%s", err.text);
	expect_every_key(&config_mount_section, c.mount.set);
	expect_every_key(&config_store_section, c.store.set);
	assert_int_equal(c.namespace_count, 3);
	for (size_t i = 0; i < c.namespace_count; i++)
		set |= c.namespaces[i].set;
	expect_every_key(&config_namespace_section, set);
	config_deinit(&c);
}

/* A key without a line in the manual, or the other way round, is a mistake. */
static void test_the_manual_names_every_key(void **state)
{
	static const struct config_section *const sections[] = {
	    &config_mount_section, &config_store_section, &config_namespace_section};
	CLEANUP_BUF struct buf page = BUF_INIT;
	size_t keys = 0, items = 0;
	char line[512];
	FILE *file = fopen(MANUAL, "r");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		items += strncmp(line, ".It Ic ", 7) == 0;
		buf_append(&page, line, strlen(line));
	}
	fclose(file);
	assert_int_equal(buf_append(&page, "", 1), 0);
	for (size_t i = 0; i < COUNT(sections); i++) {
		for (const struct config_key *k = sections[i]->keys; k->name; k++) {
			snprintf(line, sizeof(line), "\n.It Ic %s\n", k->name);
			if (!strstr((const char *)page.data, line))
				fail_msg("the manual has no \"%s\"", k->name);
			keys++;
		}
	}
	assert_int_equal(items, keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key),
	    cmocka_unit_test(test_nothing_is_the_defaults),
	    cmocka_unit_test(test_versions_and_names_are_text),
	    cmocka_unit_test(test_ways_to_write),
	    cmocka_unit_test(test_many_namespaces),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_refuses_a_long_name),
	    cmocka_unit_test(test_refuses_deep_nesting),
	    cmocka_unit_test(test_cut_anywhere),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_options_refused),
	    cmocka_unit_test(test_a_bad_option_keeps_the_former),
	    cmocka_unit_test(test_the_command_line_wins),
	    cmocka_unit_test_setup_teardown(test_loads_a_file, make_file, remove_file),
	    cmocka_unit_test_setup_teardown(test_size_limit, make_file, remove_file),
	    cmocka_unit_test(test_files_that_cannot_be_read),
	    cmocka_unit_test(test_is_read_back),
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_the_manual_names_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
