#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is too long or too large to be tried at every change: minutes, and 12 GB of
# disk. The suite `slow` runs promises.sh at its full length besides.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

programs=$MEMOFS_BUILD/tests/mount

test_no_reader_of_a_million_sees_a_torn_value() {
	"$programs/torn" . 1000000 3 2
}

test_no_round_misses_with_many_processes() {
	"$programs/rounds" . 5000 8
}

test_expiry_is_exact_for_long() {
	needs_mount
	"$programs/expiry" . 300
}

test_a_value_of_5_gib() {
	[ "$MEMOFS_BACKEND" != memory ] || skip 'the memory backend holds it in memory'
	[ "$(df --output=avail -k "$T" | tail -n 1)" -gt 12000000 ] || skip 'needs 12 GB of disk'
	"$programs/values" . huge 5
}

run_tests "$@"
