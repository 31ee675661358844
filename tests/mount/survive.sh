#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed again and again while many work in the mount: survive.c.
#
# MEMOFS_ROUNDS: how often (default 6); MEMOFS_ENTRIES: how many entries there are.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Many die in a short time here, which is no reason to wait before the next.
export MEMOFS_QUICK_MS=0
ROUNDS=${MEMOFS_ROUNDS:-6}
ENTRIES=${MEMOFS_ENTRIES:-1000}
setup

make_entries() { # HOW_MANY
	python3 - "$1" <<-'END'
		import os, sys
		os.mkdir("many")
		for i in range(1, int(sys.argv[1]) + 1):
		    with open(f"many/{i}", "w") as f:
		        f.write(str(i))
	END
}

restarts() { grep -c 'for the daemon before this one' "$LOG"; }

test_killed_under_load() {
	needs_persistence
	make_entries "$ENTRIES"
	timeout $((60 + 10 * ROUNDS)) "$MEMOFS_BUILD/tests/mount/survive" . "$ROUNDS" 400
	is "$(restarts)" "$ROUNDS" 'daemons that went on for another'
	is "$(find many -type f | wc -l)" "$ENTRIES" 'entries'
	! grep -E ' error: .*(damaged|cannot be taken up)' "$LOG" || fail 'something was lost'
}

run_tests "$@"
