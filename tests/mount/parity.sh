#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same calls on ext4 and on the mount: every difference is one that
# docs/posix.md lists with its reason.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

parity=$MEMOFS_BUILD/tests/mount/parity

# An ext4 directory: $T itself, or an image of its own where root may mount one.
ext4_directory() {
	local dir=$T/ext4
	mkdir -p "$dir"
	if ! findmnt -n -t ext4 -T "$dir" >/dev/null; then
		needs_root
		needs mkfs.ext4
		truncate -s 64M "$T/ext4.img"
		# Of this size it would have blocks of 1 KiB, and the limits of those.
		mkfs.ext4 -q -b 4096 "$T/ext4.img"
		mount -o loop "$T/ext4.img" "$dir" || skip 'no ext4 to compare with'
	fi
	echo "$dir"
}

test_every_difference_is_expected() {
	local dir
	needs_mount
	dir=$(ext4_directory)
	timeout 600 "$parity" "$dir" .
}

test_the_documentation_has_every_difference() {
	sed -n '/^<!-- parity begin -->$/,/^<!-- parity end -->$/p' "$MEMOFS_SOURCE/docs/posix.md" |
		sed '1d;$d' | diff - <("$parity" --doc) ||
		fail 'docs/posix.md: replace the table by the output of parity --doc'
}

run_tests "$@"
