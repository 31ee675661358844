/* SPDX-License-Identifier: Apache-2.0 */
#include "store/keys.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void set_be(uint8_t *dst, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		dst[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

static uint64_t get_be64(const uint8_t *src)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 8; i++)
		value = value << 8 | src[i];
	return value;
}

static void key_append(struct key *k, struct slice s)
{
	assert(k->len + s.len <= sizeof(k->data));
	if (s.len > 0)
		memcpy(k->data + k->len, s.data, s.len);
	k->len += (uint16_t)s.len;
}

struct key key_ino(uint64_t ino)
{
	struct key k = {.len = 8};

	set_be(k.data, ino, 8);
	return k;
}

int key_ino_decode(struct slice raw, uint64_t *ret_ino)
{
	if (raw.len != 8)
		return -EUCLEAN;
	*ret_ino = get_be64(raw.data);
	return 0;
}

struct key key_branch(uint64_t branch)
{
	return key_ino(branch);
}

struct key key_dirent(uint64_t branch, struct slice name)
{
	struct key k = key_branch(branch);

	key_append(&k, name);
	return k;
}

bool key_name_valid(struct slice name)
{
	return name.len > 0 && name.len <= STORE_NAME_MAX &&
	       !memchr(name.data, '/', name.len) && !memchr(name.data, 0, name.len);
}

int key_dirent_decode(struct slice raw, uint64_t *ret_branch, struct slice *ret_name)
{
	struct slice name;

	if (raw.len < 8)
		return -EUCLEAN;
	name = slice((const uint8_t *)raw.data + 8, raw.len - 8);
	if (!key_name_valid(name))
		return -EUCLEAN;
	*ret_branch = get_be64(raw.data);
	*ret_name = name;
	return 0;
}

static struct key key_tagged(char tag, uint64_t number)
{
	struct key k = {.len = 9};

	k.data[0] = (uint8_t)tag;
	set_be(k.data + 1, number, 8);
	return k;
}

struct key key_version(uint64_t dir_ino, struct slice version)
{
	struct key k = key_tagged('v', dir_ino);

	key_append(&k, version);
	return k;
}

bool key_version_valid(struct slice version)
{
	return store_version_valid(version.len ? version.data : "", version.len);
}

int key_version_decode(struct slice raw, uint64_t *ret_dir_ino, struct slice *ret_version)
{
	const uint8_t *bytes = raw.data;
	struct slice version;

	/* The unnamed version has no row. */
	if (raw.len <= 9 || bytes[0] != 'v')
		return -EUCLEAN;
	version = slice(bytes + 9, raw.len - 9);
	if (!key_version_valid(version))
		return -EUCLEAN;
	*ret_dir_ino = get_be64(bytes + 1);
	*ret_version = version;
	return 0;
}

struct key key_branch_owner(uint64_t branch)
{
	return key_tagged('b', branch);
}

struct key key_sums(uint64_t ino, uint32_t chunk)
{
	struct key k = key_ino(ino);

	set_be(k.data + 8, chunk, 4);
	k.len += 4;
	return k;
}
