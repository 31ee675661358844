#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What has expired leaves the disk, and nobody has to ask.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory keeps everything'
setup -o keep-expired=1s

# The files that hold large values.
extents() { find "$STORE/extents" -type f 2>/dev/null | wc -l; }

extents_are() { [ "$(extents)" -eq "$1" ]; }

# Nobody sees it, not even who wants what is old.
is_gone() { ! [ -e ".memofs/view/stale/$1" ]; }

large() { head -c 300000 /dev/urandom; }

test_by_itself() {
	needs_persistence
	eventually 60 extents_are 0
	large >old
	large >kept
	eventually 60 extents_are 2
	set_attr ttl 100ms old
	eventually 120 is_gone old
	eventually 60 extents_are 1
	absent old
	present kept
	rm kept
}

# A name that the kernel has seen: it is told.
test_name_is_free() {
	echo old >key
	set_attr ttl 100ms key
	eventually 120 is_gone key
	absent key
	mkdir key
	rmdir key
	echo new >key
	has key $'new\n'
}

# Who has it open reads on, and the disk has it until it is closed.
test_open() {
	needs_persistence
	eventually 60 extents_are 0
	large >"$T/copy"
	cp "$T/copy" old
	exec 3<old
	set_attr ttl 100ms old
	eventually 120 is_gone old
	cat <&3 | cmp - "$T/copy"
	exec 3<&-
	eventually 60 extents_are 0
}

# A tree is one entry.
test_tree() {
	needs_persistence
	eventually 60 extents_are 0
	mkdir .memofs/stage/tree
	large >.memofs/stage/tree/a
	large >.memofs/stage/tree/b
	mv .memofs/stage/tree tree
	set_attr ttl 100ms tree
	eventually 120 is_gone tree
	eventually 60 extents_are 0
}

# What is being made anew is shown to who asks for what is old.
test_reserved() {
	echo old >key
	echo 'me 10m' >.memofs/reservations/key
	set_attr ttl 100ms key
	# Another one goes meanwhile.
	echo old >other
	set_attr ttl 100ms other
	eventually 120 is_gone other
	present .memofs/view/stale/key
	echo 'me 0' >.memofs/reservations/key
	eventually 120 is_gone key
}

run_tests "$@"
