#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is replaced again and again while many work in the mount (survive.c), once
# by a program that does not start.
#
# MEMOFS_ROUNDS: how often (default 3); MEMOFS_ENTRIES: how many entries there are.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

[ "$MEMOFS_BACKEND" != memory ] || skip_all 'a store in memory ends with its daemon'

ROUNDS=${MEMOFS_ROUNDS:-3}
ENTRIES=${MEMOFS_ENTRIES:-1000}
# They are replaced sooner than daemons should die.
MEMOFS_QUICK_MS=0 setup

# Half of a binary, as a full disk leaves it: the one before goes on.
BAD_ROUND=$(((ROUNDS + 1) / 2))

make_binaries() {
	cp "$MEMOFS_BUILD/memofsd" "$T/memofsd.1"
	cp "$MEMOFS_BUILD/memofsd" "$T/memofsd.0"
	head -c 400000 "$T/memofsd.1" >"$T/memofsd.half"
	chmod +x "$T/memofsd.half"
}

# From one binary to the other and back; what survive runs, with the round behind it.
make_round() {
	cat >"$T/round" <<-END
		#!/bin/bash
		set -eu
		if [ "\$1" -ne $BAD_ROUND ]; then
			exec timeout 60 "$MEMOFS" upgrade -q --binary "$T/memofsd.\$((\$1 % 2))" "$MNT"
		fi
		status=0
		timeout 60 "$MEMOFS" upgrade --binary "$T/memofsd.half" "$MNT" 2>"$T/said" || status=\$?
		[ "\$status" -eq 1 ]
		grep -q 'memofsd.half .*; .* goes on' "$T/said"
	END
	chmod +x "$T/round"
}

count() { grep -c "$1" "$LOG"; }

test_upgraded_under_load() {
	make_binaries
	make_round
	(mkdir many && cd many && seq "$ENTRIES" | while read -r i; do echo "$i" >"$i"; done)
	timeout $((60 + 10 * ROUNDS)) "$MEMOFS_BUILD/tests/mount/survive" . "$ROUNDS" 400 -- "$T/round" ||
		fail "survive: $? (upgrade said: $(cat "$T/said"))"
	is "$(count 'leaving .* to a successor')" "$ROUNDS" 'daemons that left'
	is "$(count ': upgraded: from')" $((ROUNDS - 1)) 'upgrades'
	is "$(count ': not upgraded: .*memofsd.half')" 1 'upgrades that were taken back'
	is "$(find many -type f | wc -l)" "$ENTRIES" 'entries'
	! grep -E ' error: .*(damaged|cannot be taken up)' "$LOG" || fail 'something was lost'
}

run_tests "$@"
