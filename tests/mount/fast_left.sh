#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What other tests leave behind, looked at through a read-only mount, where the kernel
# opens files by itself: all of it is there as it was. Those that leave much of what can
# be read are run; the others, whole, are in the suite `whole` (meson.build).
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no read-only mount'

left_by() { # SCRIPT TEST...
	needs_persistence
	MEMOFS_FAST=1 bash "$here/$1.sh" "${@:2}" >&2
}

test_names() { left_by names odd_names every_byte long_names reserved_name; }

test_ttl() { left_by ttl none inherited_from_the_nearest attributes_listed; }

test_versions() {
	left_by versions versions_by_path switch_hides_and_shows rename_takes_versions_along \
		bad_versions
}

test_views() {
	left_by views each_option_shows_the_directory stale_with_age percent_encoding other_users
}

test_sealed_trees() {
	left_by sealed tools_write_packs copies_with_attributes_into_the_mount versions two_users
}

test_modes() {
	left_by threats modes_hold_on_every_path versions_hide_nothing_from_modes groups_hold \
		sealing_opens_nothing
}

test_generations() {
	left_by generations overwritten removed renamed truncated_and_appended \
		many_generations_at_once
}

test_sizes() { left_by find_du_df find du sizes_agree; }

test_rude_programs() { left_by hostile rude_programs; }

test_what_tools_copied() { left_by tools links touch ttl_travels foreign_attributes_travel; }

# --- the look itself ----------------------------------------------------------------------

# Some of it ends before it is noted, some before it is looked at again, some later.
test_what_ends_meanwhile() {
	needs_persistence
	local i
	mount_memofs
	mkdir "$MNT/ends"
	for i in {1..16}; do
		echo "$i" >"$MNT/ends/$i"
		set_attr ttl "$((i * i * 100))ms" "$MNT/ends/$i"
	done
	setfattr -n user.cache.reservation -v 'me 1s' "$MNT/ends/.memofs/reservations/short"
	setfattr -n user.cache.reservation -v 'me 1h' "$MNT/ends/.memofs/reservations/long"
	looks_the_same
}

test_a_difference_is_found() {
	needs_persistence
	local change look
	mount_memofs
	mkdir -p "$MNT/ns/sub"
	cd "$MNT/ns"
	seq 1000 >file
	echo x >sub/other
	look=(python3 -IS "$here/looked.py" "$(id -u)" "$MNT")
	"${look[@]}" >"$T/before"
	"${look[@]}" "$T/before"
	for change in 'chmod 600 file' 'echo >file' 'set_attr ttl 1h sub/other' 'rm file' \
		'mkdir .memofs/versions/v/dir' 'set_attr version v sub' 'ln -s x link' \
		'setfattr -n user.cache.reservation -v "me 1h" .memofs/reservations/key'; do
		eval "$change"
		fails ' [1-9][0-9]* differ$' "${look[@]}" "$T/before"
		"${look[@]}" >"$T/before"
	done
	cd /
	umount_memofs
}

setup_folder
run_tests "$@"
