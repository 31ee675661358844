#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Power loss. A store lies on a file system on a disk that records each write and each
# flush (record.c). While it is loaded, the load tells the recorder what was acknowledged
# (load.c). Afterwards the disk is made as it may be when power was lost at some point
# (replay.c): the file system recovers, the store must open at once, without a repair, and
# have everything as it was acknowledged by then (verify.c, model.h); `memofs check`
# must find nothing.
#
# Environment:
#   MEMOFS_POINTS  how many points in all (default 20)
#   MEMOFS_LOAD_S  how long each load is (default 2)
#   MEMOFS_SEED    which points, and what is lost at them (default: chosen)
#   MEMOFS_KEEP    a directory for what a failed point can be looked at with
#
# The kernel's own device for this (device-mapper's log-writes) is missing in many
# places; a loop device on a file system of our own needs root and loop alone.

# Mounts of its own: whatever happens, they are gone with the script. And a boot of its
# own: the store looks at what was not synced only if the machine was booted since.
if [ -z "${MEMOFS_POWER_INSIDE:-}" ] && [ "$(id -u)" -eq 0 ]; then
	MEMOFS_POWER_INSIDE=1 exec unshare --mount -- "$BASH" "$0" "$@"
fi

# Memory, where there is some: the loads sync all the time.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] &&
	[ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 2000000 ]; then
	export TMPDIR=/dev/shm
fi
source "$(dirname "$0")/../mount/functions.sh"
[ "$(id -u)" -eq 0 ] || skip_all 'power loss: needs root, for loop devices'
[ "$MEMOFS_BACKEND" != memory ] || skip_all 'power loss: the memory backend keeps nothing'
for program in mkfs.ext4 losetup unshare; do
	command -v "$program" >/dev/null || skip_all "power loss: $program is not installed"
done
losetup -f >/dev/null 2>&1 || skip_all 'power loss: no loop devices here'
setup_folder
mkdir "$WORK"

PROGRAMS=$MEMOFS_BUILD/tests/power
POINTS=${MEMOFS_POINTS:-20}
LOAD_S=${MEMOFS_LOAD_S:-2}
SEED=${MEMOFS_SEED:-$RANDOM}
DISK_MIB=256
# What may be seen in the bounded store: some of it must be evicted.
BOUNDS=size=24MiB,max-entry=4MiB
BOOT=/proc/sys/kernel/random/boot_id
say "MEMOFS_SEED=$SEED"

# --- the recording ----------------------------------------------------------------

new_disk() { # FILE FILESYSTEM
	truncate -s "${DISK_MIB}M" "$1"
	case $2 in
	ext4) mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1" ;;
	xfs) mkfs.xfs -q -f "$1" ;;
	btrfs) mkfs.btrfs -q -f "$1" ;;
	esac
}

# The recorder of a recording, which ends with its mount.
start_recorder() { # NAME [--drop-flushes]
	local dir=$T/$1
	shift
	"$PROGRAMS/record" "$dir/image" "$dir/log" "$dir/disk" "$@" &
	RECORDER=$!
	eventually 10 is_mounted "$dir/disk"
}

# What a load leaves: $T/NAME/start, the disk before it, and $T/NAME/log. Not called where
# bash would ignore `set -e`.
record() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS [--bounds|--backup|--drop-flushes]
	local dir=$T/$1 filesystem=$2 options=$3 store_options=$4
	local how=() drop=()
	case ${5:-} in
	--bounds) how=(--bounds) ;;
	--backup) how=(--backup "$dir/fs/backup") ;;
	--drop-flushes) drop=(--drop-flushes) ;;
	esac
	mkdir -p "$dir/disk" "$dir/fs" "$dir/mnt"
	new_disk "$dir/start" "$filesystem"
	cp --sparse=always "$dir/start" "$dir/image"
	start_recorder "$1" "${drop[@]}"
	timeout 60 mount -t "$filesystem" -o "loop,$options" "$dir/disk/image" "$dir/fs"
	mount_at "$dir/fs/store" "$dir/mnt" -o "$store_options"
	timeout $((LOAD_S + 120)) "$PROGRAMS/load" "$dir/mnt" "$dir/disk/mark" "$MEMOFS" \
		"$LOAD_S" "$SEED" "${how[@]}" >"$dir/load"
	umount_at "$dir/mnt"
	timeout 60 umount "$dir/fs"
	timeout 60 umount "$dir/disk"
	wait "$RECORDER"
	rm "$dir/image"
	say "$1: $(cat "$dir/load"), $(stat -c %s "$dir/log") bytes recorded"
}

# --- one point --------------------------------------------------------------------

# Open a store as after a boot, and look at it. Fails when something is wrong.
look_at_store() { # NAME STORE STORE-OPTIONS [--bounds|--older]
	local dir=$T/$1 store=$2 store_options=$3 status=0
	shift 3
	if ! mount_at "$store" "$dir/mnt" -o "$store_options"; then
		say 'the store does not open'
		return 1
	fi
	timeout 120 "$PROGRAMS/verify" "$dir/mnt" "$dir/marks" "$@" >"$dir/seen" || status=1
	if ! timeout 120 "$MEMOFS" check --quiet "$dir/mnt" >&2; then
		say 'memofs check finds faults'
		status=1
	fi
	umount_at "$dir/mnt" || status=1
	return "$status"
}

# A backup that was made is whole, also while the next one is being made.
look_at_backup() { # NAME STORE-OPTIONS
	local dir=$T/$1
	grep -q '^backup$' "$dir/marks" || return 0
	BACKUPS=$((BACKUPS + 1))
	timeout 120 "$MEMOFS" restore-backup --quiet "$dir/fs/backup" "$dir/fs/restored" &&
		look_at_store "$1" "$dir/fs/restored" "$2" --older
}

point() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS POINT SEED [--bounds|--backup]
	local name=$1 dir=$T/$1 filesystem=$2 options=$3 store_options=$4 at=$5 seed=$6
	local status=0
	shift 6
	rm -f "$dir/image"
	cp --sparse=always "$dir/start" "$dir/image"
	"$PROGRAMS/replay" image "$dir/log" "$at" "$seed" "$dir/image" "$dir/marks" || return 1
	if ! timeout 60 mount -t "$filesystem" -o "loop,$options" "$dir/image" "$dir/fs"; then
		say 'the file system does not recover'
		return 1
	fi
	if [ "${1:-}" = --backup ]; then
		look_at_backup "$name" "$store_options" || status=1
		shift
	fi
	look_at_store "$name" "$dir/fs/store" "$store_options" "$@" || status=1
	timeout 60 umount "$dir/fs" || return 1
	return "$status"
}

keep() { # NAME POINT SEED
	[ -n "${MEMOFS_KEEP:-}" ] || return 0
	mkdir -p "$MEMOFS_KEEP/$1-$2"
	cp --sparse=always "$T/$1/"{start,log,marks} "$LOG" "$MEMOFS_KEEP/$1-$2/"
}

# Lose power at COUNT points of a recording; BAD of them were wrong.
replay() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS COUNT [--bounds|--backup]
	local name=$1 count=$5 at i=0 whole=0 absent=0 seen=()
	local how=("${@:1:4}")
	shift 5
	BAD=0 BACKUPS=0
	uuidgen_of "$name" >"$T/boot"
	mount --bind "$T/boot" "$BOOT"
	while read -r at; do
		i=$((i + 1))
		printf '0 0\n' >"$T/$name/seen"
		if ! point "${how[@]}" "$at" $((SEED + i)) "$@"; then
			say "$name: wrong after record $at, with seed $((SEED + i))"
			keep "$name" "$at" $((SEED + i))
			BAD=$((BAD + 1))
		fi
		read -r -a seen <"$T/$name/seen" || seen=()
		whole=$((whole + ${seen[0]:-0}))
		absent=$((absent + ${seen[1]:-0}))
	done < <("$PROGRAMS/replay" points "$T/$name/log" "$count" "$SEED")
	umount "$BOOT"
	say "$name: power lost at $i points, $BAD wrong; cells whole $whole, absent $absent"
}

# The id of a boot that never was.
uuidgen_of() { # TEXT
	printf '%s' "$1" | md5sum | sed -E 's/(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/'
}

# Record a load, and lose power at a part of all points.
loses_nothing() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS PART [--bounds|--backup]
	local count=$((POINTS / $5))
	local how=("${@:1:4}")
	shift 5
	record "${how[@]}" "$@"
	replay "${how[@]}" "$count" "$@"
	rm -rf "${T:?}/${how[0]:?}"
	is "$BAD" 0 'wrong points'
}

# --- the tests --------------------------------------------------------------------

# As most are mounted; metadata is written each second rather than each five.
test_ext4() {
	loses_nothing ext4 ext4 commit=1 cache=8MiB 2
}

# Files have their new sizes before their bytes.
test_ext4_writeback() {
	loses_nothing writeback ext4 commit=1,data=writeback,nodelalloc cache=8MiB 4
}

# While backups are made, one after the other.
test_backup() {
	loses_nothing backup ext4 commit=1 cache=8MiB 4 --backup
	say "backups that were made by then: $BACKUPS"
}

# Evicting all the time, with a quota.
test_bounds() {
	loses_nothing bounds ext4 commit=1,nodelalloc "$BOUNDS" 4 --bounds
}

test_xfs() {
	needs mkfs.xfs
	DISK_MIB=320
	loses_nothing xfs xfs defaults cache=8MiB 4
}

test_btrfs() {
	needs mkfs.btrfs
	loses_nothing btrfs btrfs commit=1 cache=8MiB 4
}

# A disk that answers flushes and does nothing is found out: so the rest can fail.
test_lying_disk() {
	record lying ext4 commit=1 cache=8MiB --drop-flushes
	replay lying ext4 commit=1 cache=8MiB 8 2>"$T/lying.err"
	rm -rf "$T/lying"
	tail -n 1 "$T/lying.err" >&2
	[ "$BAD" -gt 0 ] || fail 'no loss was seen'
}

run_tests "$@"
