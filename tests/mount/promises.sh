#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What memofs promises, shown by programs that try to catch it out. Each prints
# what it measured.
#
# Environment: MEMOFS_PERCENT, how much of the work is done (default 100; the suite
# `mount` takes less, see meson.build).
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

programs=$MEMOFS_BUILD/tests/mount

percent() { echo $(($1 * ${MEMOFS_PERCENT:-100} / 100)); }

test_no_round_misses() {
	"$programs/rounds" . "$(percent 50000)" 2 # 100,000 in each of its two halves
}

test_no_reader_sees_a_torn_value() {
	"$programs/torn" . "$(percent 100000)" 3 2
}

test_expiry_is_exact() {
	needs_mount
	"$programs/expiry" . 9
}

test_a_version_switch_shows_only_that_version() {
	needs_mount
	"$programs/switch" . "$(percent 100000)"
}

test_values_of_every_size() {
	"$programs/values" . sizes
}

test_many_names_in_one_directory() {
	"$programs/many" . entries "$(percent 200000)"
}

test_many_handles() {
	needs_mount
	needs_root # to raise the limit of open files
	"$programs/many" . handles "$(percent 10000)"
}

run_tests "$@"
