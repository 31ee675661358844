#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a command does under `memofs run` is what it does without: what it reads, which
# signals and descriptors it has, and what is changed that is not its own.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

# --- clear ----------------------------------------------------------------------------

# A symlink to a directory stands for it, and stays.
test_clear_through_a_symlink() {
	begin
	runs 0 -- echo a
	ln -s "$MEMOFS_CACHE" link
	memofs clear -q link
	present link
	is "$(find "$MEMOFS_CACHE" -mindepth 1)" ''
	runs 0 -- echo a
	told populated
	MEMOFS_CACHE=$PWD/link memofs clear -q
	present link
	runs 0 -- echo a
	told populated
	# In the directory they are entries, and lead nowhere.
	echo x >"$MEMOFS_CACHE/../kept"
	ln -s ../.. "$MEMOFS_CACHE/up"
	memofs clear -q link
	absent "$MEMOFS_CACHE/up"
	present "$MEMOFS_CACHE/../kept"
}

run_tests "$@"
