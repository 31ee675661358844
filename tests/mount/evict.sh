#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A store that is full: what goes, what stays, and what the kernel is told of it.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no bound'
setup -o size=8M

# More than the store may have, in entries of 64 KiB. A writer that outruns the store
# may be refused; soon there is room again.
flood() { # PREFIX
	local i
	head -c 65536 /dev/urandom >"$T/block"
	for ((i = 0; i < 160; i++)); do
		eventually 20 store_one "$1$i"
	done
}

store_one() { # NAME [BLOCK]
	cp "${2:-$T/block}" "$1" 2>"$T/cp.err" && return
	! grep -v 'No space left' "$T/cp.err" || fail "$1 was not written"
	return 1
}

# Something that is cheaper to lose than the flood, even when it was read a few times.
cheap() { # NAME
	head -c 524288 /dev/urandom >"$T/cheap"
	eventually 20 store_cheap "$1"
}

# It may go before more can be said of it.
store_cheap() { # NAME
	store_one "$1" "$T/cheap" && set_attr cost 0.001 "$1" 2>/dev/null
}

store_pinned() { # NAME
	store_cheap "$1" && set_attr pin yes "$1" 2>/dev/null
}

gone() { ! stat "$1" >/dev/null 2>&1; }

# What was read since somebody began to write is spared at first, and that is looked at
# every few seconds.
flooded_out() { # PREFIX NAME
	gone "$2" || { flood "$1" && gone "$2"; }
}

test_old_ones_go() {
	cheap victim
	stat victim >/dev/null 2>&1 || cheap victim
	ls >/dev/null
	# By all means, although the kernel knew it.
	eventually 60 flooded_out f victim
	absent victim
	is "$(find . -name victim)" '' listed
	# The name is free.
	echo again >victim
	has victim $'again\n'
}

test_what_is_listed_can_be_read() {
	local name read=0 missed=0
	flood g
	for name in g*; do
		# What is evicted between the two is a miss, and no error.
		if cmp -s "$name" "$T/block"; then
			read=$((read + 1))
		else
			gone "$name" || fail "$name is there, and is not what was written"
			missed=$((missed + 1))
		fi
	done
	[ "$read" -gt 50 ] || fail "$read of $((read + missed)) could be read"
}

test_open_one_is_read_on() {
	cheap open
	until { exec 3<open; } 2>/dev/null; do cheap open; done
	flood h
	is "$(wc -c <&3)" 524288
	exec 3<&-
}

test_pinned_ones_stay() {
	head -c 524288 /dev/urandom >"$T/cheap"
	eventually 20 store_pinned own
	is "$(attr pin own)" yes
	# What overwrites it is pinned, too.
	cheap own
	is "$(attr pin own)" yes
	mkdir pinned
	set_attr pin yes pinned
	cheap pinned/file
	fails 'No such attribute' getfattr -n user.cache.pin pinned/file
	cheap free
	eventually 60 flooded_out i free
	present own pinned/file
	set_attr pin no own
	fails 'No such attribute' getfattr -n user.cache.pin own
	setfattr -x user.cache.pin pinned
	eventually 60 flooded_out j own
	eventually 60 flooded_out j pinned/file
	echo x >other
	fails 'Invalid argument' setfattr -n user.cache.pin -v maybe other
}

known_in_view() { # VIEW NAME
	store_cheap "$2" && stat "$1/$2" >/dev/null 2>&1 && cat "$1/$2" >/dev/null 2>&1
}

test_views_are_told() {
	local view=.memofs/view/max-age=1h
	head -c 524288 /dev/urandom >"$T/cheap"
	eventually 20 known_in_view "$view" seen
	eventually 60 flooded_out k "$view/seen"
	absent "$view/seen"
	eventually 20 gone seen
}

has_changed() { [ "$(stat -c %y dir)" != "$1" ]; }

# Programs that remember a listing by the time of the directory look again.
test_the_directory_has_changed() {
	mkdir dir
	local before
	until [ -e dir/victim ]; do # and has not gone before the time was looked at
		cheap dir/victim
		before=$(stat -c %y dir)
	done
	eventually 60 flooded_out l dir/victim
	# The times are told after the name.
	eventually 20 has_changed "$before"
}

run_tests "$@"
