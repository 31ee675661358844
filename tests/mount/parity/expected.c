/* SPDX-License-Identifier: Apache-2.0 */
/* Differences that are as they should be; docs/posix.md is made of this. */
#include "parity.h"

#define ONE_NAME                                                                         \
	"An entry has one name: its ttl, its version and its reservation are those of "  \
	"its place. Tools that copy fall back to a copy."
#define NO_DEVICES "What is cached is results: files, symbolic links and directories."
#define NO_TMPFILE                                                                       \
	"A file gets its name by being published; one without a name cannot be. "        \
	"Callers "                                                                       \
	"fall back to a temporary name."
#define PRIVATE_WRITES                                                                   \
	"What is being written is not in the page cache, so that no reader can see "     \
	"half of it. Maps for reading of published files work."
#define NO_RANGES                                                                        \
	"Moving the blocks of a file serves files that are changed in place; entries "   \
	"are replaced."
#define DIR_LINKS                                                                        \
	"Subdirectories are not counted, as on btrfs; find and its kin take 1 for "      \
	"\"not known\"."
#define ONLY_USER_ATTRS                                                                  \
	"Attributes are user.* only. Others would grant rights to a result that was "    \
	"computed by somebody else."
#define NO_ACLS "Modes and owners decide; there are no access control lists."
#define REMOVED_DIR "A removed directory is gone at once, also for who has it open."

const struct expected expected[] = {
    {"open O_TMPFILE*", "open, 0 bytes", "EOPNOTSUPP", NO_TMPFILE},

    {"link_file", "0", "EPERM", ONE_NAME},
    {"link_links", "2", "setup EPERM", ONE_NAME},
    {"link_symlink", "0", "EPERM", ONE_NAME},
    {"link_follow", "0", "EPERM", ONE_NAME},

    {"mknod_fifo", "0", "EPERM", NO_DEVICES},
    {"mknod_socket", "0", "EPERM", NO_DEVICES},
    {"mknod_char", "0", "EPERM", NO_DEVICES},
    {"mknod_block", "0", "EPERM", NO_DEVICES},
    {"mknod_whiteout", "0", "EPERM", NO_DEVICES},
    {"mkfifo_new", "0", "EPERM", NO_DEVICES},
    {"bind_new", "0", "EPERM", NO_DEVICES},
    {"rename_whiteout", "0", "EINVAL",
     "A whiteout is a device; memofs cannot be the upper layer of an overlay."},

    {"mmap_shared_write", "0", "ENODEV", PRIVATE_WRITES},
    {"mmap_shared_write_content", "'X123456789' 10", "setup ENODEV", PRIVATE_WRITES},
    {"mmap_shared_read_of_writing", "51", "ENODEV", PRIVATE_WRITES},

    {"fallocate_collapse", "195904", "setup EOPNOTSUPP", NO_RANGES},
    {"fallocate_collapse_odd", "EINVAL", "EOPNOTSUPP", NO_RANGES},
    {"fallocate_insert", "204096", "setup EOPNOTSUPP", NO_RANGES},
    {"fallocate_insert_odd", "EINVAL", "EOPNOTSUPP", NO_RANGES},

    {"xattr_trusted", "0", "EOPNOTSUPP", ONLY_USER_ATTRS},
    {"xattr_security", "0", "EOPNOTSUPP", ONLY_USER_ATTRS},
    {"xattr_capability", "0", "EOPNOTSUPP", ONLY_USER_ATTRS},
    {"xattr_acl_get", "ENODATA", "EOPNOTSUPP", NO_ACLS},
    {"xattr_acl_set", "0", "EOPNOTSUPP", NO_ACLS},
    {"statx_btime", "1", "0",
     "libfuse has no statx request yet; user.cache.created has the time of birth."},

    {"links_of_dir", "2", "1", DIR_LINKS},
    {"links_of_void", "2", "1", DIR_LINKS},
    {"mkdir_links_of_parent", "3", "1", DIR_LINKS},
    {"rmdir_links_of_parent", "2", "1", DIR_LINKS},
    {"rename_dir_links", "3", "1", DIR_LINKS},
    {"rmdir_then_list", "0", "ESTALE", REMOVED_DIR},
    {"rmdir_then_links", "0", "ESTALE", REMOVED_DIR},

    {"fchmod_unlinked", "0", "ESTALE",
     "A removed entry can be read to its end by who has it open, and not be changed."},
};
const size_t expected_count = sizeof(expected) / sizeof(expected[0]);
