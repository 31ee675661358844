/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what can be configured. For fs/config*.c only. */
#ifndef MEMOFS_FS_CONFIG_KEYS_H
#define MEMOFS_FS_CONFIG_KEYS_H

#include <stdint.h>
#include <string.h>

#include "fs/config.h"
#include "store/util/suggest.h"
#include "store/util/text.h"

/* What a user wrote, for a message. The text lives as long as the block it is in. */
#define QUOTE_BYTES(text, len) text_quote((char[TEXT_QUOTE_MAX]){0}, text, len)
#define QUOTE(text) QUOTE_BYTES(text, strlen(text))

struct config_key {
	const char *name;
	uint32_t bit;	     /* in `set` of the section's struct */
	size_t offset, size; /* of the field in the section's struct */
	/*
	 * Parse `text` into the field; a string there is freed. -EINVAL with a
	 * message that says what is wrong with the value, without the key's name.
	 */
	int (*parse)(const struct config_key *key, void *field, const char *text,
		     struct errmsg *err);
	uint64_t min, max; /* for numbers and sizes */
};

struct config_section {
	const char *name;
	size_t set_offset;
	const struct config_key *keys; /* ended by a NULL name */
};

extern const struct config_section config_mount_section;
extern const struct config_section config_store_section;
extern const struct config_section config_namespace_section;

/* NULL: the section has no such key. '_' and '-' are the same. */
const struct config_key *config_key_find(const struct config_section *section,
					 const char *name);

/* Offer all names of a section. */
void config_key_suggest(const struct config_section *section, struct suggest *s);

/* True for the keys that a bare `-o KEY` turns on. */
bool config_key_is_bool(const struct config_key *key);

bool config_key_is_set(const struct config_section *section, const struct config_key *key,
		       const void *object);

/*
 * Set a key of `object`, the section's struct. -EINVAL with the message
 * `KEY: …`, -ENOMEM; the object is untouched then.
 */
int config_key_set(const struct config_section *section, const struct config_key *key,
		   void *object, const char *text, struct errmsg *err);

/*
 * Copy what is set in `from` over `to`, bytes only: who owns a string is the
 * caller's to sort out.
 */
void config_section_merge(const struct config_section *section, void *to,
			  const void *from);

/* Free what it owns. */
void config_namespace_deinit(struct config_namespace *ns);

#endif
