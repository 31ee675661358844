#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sealed trees with contents in common: stored once, and each is whole for all that.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no sealed trees'
[ "$MEMOFS_BACKEND" = rocksdb ] || skip_all 'the extents are looked at on the disk'
setup

# A tree of 4 MiB outside the mount, made once.
grown=$T/grown
mkdir -p "$grown/a" "$grown/b"
for i in $(seq 40); do
	head -c 100000 /dev/urandom >"$grown/a/large$i"
	head -c 1000 /dev/urandom >"$grown/b/small$i"
done

# What the contents take on the disk, in KiB.
disk() {
	sync "$MNT"
	du -sk "$STORE/extents" | cut -f1
}

takes_at_most() { # KIB
	[ "$(disk)" -le "$1" ]
}

same_trees() { # DIRECTORY DIRECTORY
	diff -r "$1" "$2" || fail "$1 and $2 differ"
}

# Each test is in a namespace of its own, and leaves nothing behind.
begin() {
	eventually 20 takes_at_most 1300
	empty=$(disk)
}

test_stored_once() {
	begin
	cp -r "$grown" .memofs/stage/x
	mv -T .memofs/stage/x first
	cp -r "$grown" .memofs/stage/x
	echo new >.memofs/stage/x/new
	mv -T .memofs/stage/x second
	eventually 20 takes_at_most $((empty + 4800))
	same_trees "$grown" first
	is "$(cat second/new)" new
	cp -r second "$T/second"
	rm "$T/second/new"
	same_trees "$grown" "$T/second"

	# The first goes, what the second reads from it stays; the next daemon knows.
	rmdir first
	same_trees "$grown/a" second/a
	cd /
	kill_daemon
	umount_memofs || umount -l "$MNT"
	mount_memofs
	cd "$MNT/stored_once"
	same_trees "$grown/a" second/a
	same_trees "$grown/b" second/b
	rmdir second
	eventually 20 takes_at_most "$((empty + 100))"
}

test_open_files_read_on() {
	begin
	cp -r "$grown" .memofs/stage/x
	mv -T .memofs/stage/x first
	cp -r "$grown" .memofs/stage/x
	mv -T .memofs/stage/x second
	exec 8<second/a/large7
	head -c 1000 <&8 >"$T/got"
	sleep 3 # they are compared meanwhile
	rmdir first second
	cat <&8 >>"$T/got"
	exec 8<&-
	same "$T/got" "$grown/a/large7"
	eventually 20 takes_at_most "$((empty + 100))"
}

run_tests "$@"
