#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The examples of the four systems (docs/parity.md) run as they are, each with a mount
# that it starts and takes away by itself, and show what they say.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup_folder
export TMPDIR=$T MEMOFS_BUILD
# A mount of one's own needs RocksDB: there is no option for another backend.
[ "$MEMOFS_BACKEND" = rocksdb ] || skip_all 'the examples mount a store of their own'

example() { # NAME [ARGUMENT...]
	local name=$1 status=0
	shift
	unset MEMOFS_CACHE
	timeout 300 "$MEMOFS_SOURCE/examples/$name.sh" "$@" >out 2>&1 || status=$?
	[ "$status" -eq 0 ] || fail "$name failed with $status: $(tail -n 30 out)"
	is "$(mounts_below)" '' "what $name left mounted"
	is "$(find "$T" -maxdepth 1 -name 'memofs-example.*')" '' "what $name left"
}

says() { # TEXT [TIMES]
	is "$(grep -cF -- "$1" out)" "${2:-1}" "how often it says \"$1\" ($(cat out))"
}

test_working_directory() {
	example working-directory --offline
	if command -v npm >/dev/null; then
		says 'saved deps/node_modules: '
		says 'linked deps/node_modules: 1 name'
		says "$(printf '\033[31mHello')" 4
	fi
	says 'a miss; nothing was restored' "$(($(grep -c ': the first run installs' out) * 2))"
}

test_task_outputs() {
	example task-outputs
	says 'computed 1 times so far'
	says 'computed 2 times so far'
	says 'computed 3 times so far'
	says 'computed 5 times so far'
	says 'computed 6 times so far'
	says 'computed 1 time; 8 have the result'
	says 'process 1 failed with 3'
	says '"status": "hit"'
	says 'env b changed: 4 now 5'
}

test_headlines() {
	example headlines
	says 'posts, number 1' 3
	says 'posts, number 2'
	says 'headlines, number 4' 2
	says '/7, number 5' 2
	says 'shared, number 6' 3
	says '13 computations of 13 numbers'
	says 'removed 18 entries'
	says 'the leader failed' 3
	says '1 of them ran'
}

test_targets() {
	example targets
	says 'x is 1, number 1' 2
	says 'x is 1, number 4' 3
	says 'the target exists'
	says 'what the task was given'
	says 'worked 9 times so far'
}

run_tests "$@"
