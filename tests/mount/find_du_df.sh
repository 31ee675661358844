#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What walks and counts: find, ls, du, df, stat.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

tree() {
	mkdir -p a/b/c a/empty
	echo one >a/1
	head -c 100000 /dev/zero >a/b/2
	head -c 3000000 /dev/urandom >a/b/c/3
	ln -s ../1 a/b/link
}

test_find() {
	tree
	is "$(find . | sort | tr '\n' ' ')" \
		'. ./a ./a/1 ./a/b ./a/b/2 ./a/b/c ./a/b/c/3 ./a/b/link ./a/empty '
	is "$(find . -type l)" ./a/b/link
	is "$(find . -type d -empty)" ./a/empty
	is "$(find . -size +1M)" ./a/b/c/3
	is "$(find . -name '[12]' -newermt 2020-01-01 | sort | tr '\n' ' ')" './a/1 ./a/b/2 '
	find . -type f -delete
	is "$(find . -type f)" ''
}

test_hidden_directory_is_not_listed() {
	needs_mount
	tree
	is "$(find "$MNT" -name .memofs)" '' 'find'
	is "$(ls -a a | tr '\n' ' ')" '. .. 1 b empty ' 'ls -a'
	[ -d .memofs ] || fail '.memofs is not there'
	[ -d a/b/.memofs ] || fail '.memofs is not in every directory'
	[ ! -e a/1/.memofs ] || fail 'a file has .memofs'
}

test_du() {
	tree
	is "$(du -s --apparent-size -B1 a/b/c/3 | cut -f1)" 3000000 'apparent size'
	local used
	used=$(du -s -B1 a/b/c/3 | cut -f1)
	[ "$used" -ge 3000000 ] && [ "$used" -lt 3200000 ] || fail "du says $used bytes"
	used=$(du -s -B1 a | cut -f1)
	[ "$used" -ge 3100000 ] && [ "$used" -lt 3500000 ] || fail "du of the tree says $used"
}

test_df() {
	local size avail inodes
	read -r size avail < <(df -B1 --output=size,avail . | tail -n 1)
	[ "$size" -gt 0 ] && [ "$avail" -gt 0 ] && [ "$avail" -le "$size" ] ||
		fail "df says $avail of $size"
	df -i . >/dev/null
	inodes=$(stat -f -c %l .)
	is "$inodes" 255 'longest name'
	needs_mount
	is "$(df --output=fstype . | tail -n 1)" fuse.memofs 'type'
	is "$(df --output=target . | tail -n 1)" "$MNT" 'mounted on'
}

test_stat() {
	tree
	is "$(stat -c '%F %s %h' a/b/2)" 'regular file 100000 1'
	is "$(stat -c %F a/b/link)" 'symbolic link'
	is "$(stat -c %s a/b/link)" 4 'size of a link'
	is "$(stat -c %F a)" directory
	# A name is another inode than any other, and keeps its number.
	is "$(find . -printf '%i\n' | sort | uniq -d)" '' 'inode numbers used twice'
	is "$(stat -c %i a/1)" "$(stat -c %i a/1)" 'inode number'
	is "$(stat -c %i a)" "$(find . -maxdepth 1 -name a -printf '%i')" 'inode of a directory'
}

test_listing_sees_what_is_there() {
	local i
	mkdir many
	for i in $(seq 1 3000); do : >"many/$i"; done
	is "$(ls many | wc -l)" 3000
	is "$(ls -f many | sort | uniq -d)" '' 'listed twice'
	rm many/{1..1500}
	is "$(ls many | sort -n | sed -n 1p)" 1501
	is "$(find many -type f -size 0 | wc -l)" 1500
	# Removing while listing, as rm -r does, leaves nothing.
	find many -type f -exec rm {} \;
	rmdir many
}

test_sizes_agree() {
	head -c 12345 /dev/urandom >key
	is "$(stat -c %s key)" 12345
	is "$(ls -l key | awk '{ print $5 }')" 12345
	is "$(find . -name key -printf %s)" 12345
	is "$(wc -c <key)" 12345
	echo more >>key
	is "$(find . -name key -printf %s)" 12350
}

run_tests "$@"
