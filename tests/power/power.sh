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
#   MEMOFS_POINTS  how many points in all, at least (default 12)
#   MEMOFS_LOAD_S  how long each load is (default 1)
#   MEMOFS_SEED    which points, and what is lost at them (default: chosen)
#   MEMOFS_KEEP    a directory for what a failed point can be looked at with
#
# The kernel's own device for this (device-mapper's log-writes) is missing in many
# places; a loop device on a file system of our own needs root and loop alone.

# Mounts of its own: whatever happens, they are gone with the script. And a boot of its
# own: the store looks at what was not synced only if the machine was booted since.
if [ -z "${MEMOFS_POWER_INSIDE:-}" ] && unshare --mount true 2>/dev/null; then
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
[ -n "${MEMOFS_POWER_INSIDE:-}" ] || skip_all 'power loss: mounts cannot be kept apart here'
losetup -f >/dev/null 2>&1 || skip_all 'power loss: no loop devices here'
setup_folder
mkdir "$WORK"

# The machine is booted: the store sees another boot than all before.
boot() {
	BOOTS=$((BOOTS + 1))
	md5sum <<<"$SEED $BOOTS" |
		sed -E 's/(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/' >"$T/boot"
}

PROGRAMS=$MEMOFS_BUILD/tests/power
POINTS=${MEMOFS_POINTS:-12}
LOAD_S=${MEMOFS_LOAD_S:-1}
SEED=${MEMOFS_SEED:-$RANDOM}
# Of so many points each has the same load.
RECORDING_POINTS=60
DISK_MIB=256
# Less than what the load keeps and has just dropped.
BOUNDS=size=6MiB
# Nothing is evicted, or refused: a tenth of the disk was passed by what is dead while a
# backup on a busy machine keeps it.
ROOMY=cache=8MiB,size=100MiB
BOOT=/proc/sys/kernel/random/boot_id
BOOTS=0 BACKUPS=0
boot # the file
mount --bind "$T/boot" "$BOOT"
say "MEMOFS_SEED=$SEED"

# --- the recording ----------------------------------------------------------------

new_disk() { # FILE FILESYSTEM
	truncate -s "${DISK_MIB}M" "$1"
	case $2 in
	ext4) mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1" ;;
	xfs) mkfs.xfs -q -f "$1" ;;
	btrfs) mkfs.btrfs -q -f "$1" >&2 ;;
	esac
}

# The file system on the disk $T/NAME/start is at $T/NAME/fs, and all that comes to the
# disk is recorded. What was done before that is in $T/NAME/before, if anything was.
begin_recording() { # NAME FILESYSTEM MOUNT-OPTIONS [--drop-flushes]
	local dir=$T/$1 filesystem=$2 options=$3
	shift 3
	mkdir -p "$dir/disk" "$dir/fs" "$dir/mnt"
	cp --sparse=always "$dir/start" "$dir/image"
	"$PROGRAMS/record" "$dir/image" "$dir/log" "$dir/disk" "$@" &
	RECORDER=$!
	eventually 10 is_mounted "$dir/disk"
	[ ! -e "$dir/before" ] || cat "$dir/before" >"$dir/disk/mark"
	timeout 60 mount -t "$filesystem" -o "loop,$options" "$dir/disk/image" "$dir/fs"
}

# Now $T/NAME/log is whole.
end_recording() { # NAME
	local dir=$T/$1
	timeout 60 umount "$dir/fs"
	timeout 60 umount "$dir/disk"
	wait "$RECORDER"
	rm "$dir/image"
}

# From a new disk on. Not called where bash would ignore `set -e`.
begin_new_recording() { # NAME FILESYSTEM MOUNT-OPTIONS [--drop-flushes]
	mkdir -p "$T/$1"
	boot
	new_disk "$T/$1/start" "$2"
	begin_recording "$@"
}

load() { # NAME [--bounds|--backup DEST]
	local dir=$T/$1
	shift
	timeout $((LOAD_S + 120)) "$PROGRAMS/load" "$dir/mnt" "$dir/disk/mark" "$MEMOFS" \
		"$LOAD_S" "$SEED" "$@" >"$dir/load"
	EVICTED=$(awk '/^memofs_evicted_entries_total/ { n += $2 } END { print n + 0 }' \
		"$dir/mnt/.memofs/metrics")
}

# A store under load, from when it is made.
record() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS [--bounds|--backup|--drop-flushes]
	local dir=$T/$1 how=() drop=()
	case ${5:-} in
	--bounds) how=(--bounds) ;;
	--backup) how=(--backup "$dir/fs/backup") ;;
	--drop-flushes) drop=(--drop-flushes) ;;
	esac
	begin_new_recording "${@:1:3}" "${drop[@]}"
	mount_at "$dir/fs/store" "$dir/mnt" -o "$4"
	load "$1" "${how[@]}"
	umount_at "$dir/mnt"
	end_recording "$1"
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
	grep -q '^# backup$' "$dir/marks" || return 0
	BACKUPS=$((BACKUPS + 1))
	timeout 120 "$MEMOFS" restore-backup --quiet "$dir/fs/backup" "$dir/fs/restored" &&
		look_at_store "$1" "$dir/fs/restored" "$2" --older
}

# The disk after the power loss, $T/NAME/image, and what was done by then.
lose_power() { # NAME POINT SEED
	local dir=$T/$1
	rm -f "$dir/image"
	cp --sparse=always "$dir/start" "$dir/image"
	"$PROGRAMS/replay" image "$dir/log" "$2" "$3" "$dir/image" "$dir/marks"
}

look_at_disk() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS [--bounds|--backup]
	local dir=$T/$1 store_options=$4 status=0
	if ! timeout 60 mount -t "$2" -o "loop,$3" "$dir/image" "$dir/fs"; then
		# Not even it could keep anything: that is not for the store to mend. It
		# happens where sectors of its journal were torn a second time.
		say 'the file system does not recover'
		UNMOUNTABLE=$((UNMOUNTABLE + 1))
		[ "$UNMOUNTABLE" -le 2 ]
		return
	fi
	if [ "${5:-}" = --backup ]; then
		look_at_backup "$1" "$store_options" || status=1
		set -- "${@:1:4}"
	fi
	look_at_store "$1" "$dir/fs/store" "$store_options" "${@:5}" || status=1
	timeout 60 umount "$dir/fs" || return 1
	return "$status"
}

keep() { # NAME POINT SEED
	[ -n "${MEMOFS_KEEP:-}" ] || return 0
	mkdir -p "$MEMOFS_KEEP/$1-$2"
	cp --sparse=always "$T/$1/"{start,log,marks} "$LOG" "$MEMOFS_KEEP/$1-$2/"
}

# Lose power at COUNT points of a recording; BAD of them were wrong. None is before the
# mark AFTER, if that is set.
replay() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS COUNT [--bounds|--backup]
	local name=$1 count=$5 at i=0 whole=0 absent=0 seen=()
	local how=("${@:1:4}")
	shift 5
	BAD=0
	while read -r at; do
		i=$((i + 1))
		printf '0 0\n' >"$T/$name/seen"
		boot
		if ! lose_power "$name" "$at" $((SEED + i)) || ! look_at_disk "${how[@]}" "$@"; then
			say "$name: wrong after record $at, with seed $((SEED + i))"
			keep "$name" "$at" $((SEED + i))
			BAD=$((BAD + 1))
		fi
		read -r -a seen <"$T/$name/seen" || seen=()
		whole=$((whole + ${seen[0]:-0}))
		absent=$((absent + ${seen[1]:-0}))
	done < <("$PROGRAMS/replay" points "$T/$name/log" "$count" "$SEED" ${AFTER:+"$AFTER"})
	say "$name: power lost at $i points, $BAD wrong; cells whole $whole, absent $absent"
}

# Record loads, and lose power at a part of all points.
loses_nothing() { # NAME FILESYSTEM MOUNT-OPTIONS STORE-OPTIONS PART [--bounds|--backup]
	local left=$((POINTS / $5)) bad=0 count
	local how=("${@:1:4}")
	shift 5
	while [ "$left" -gt 0 ]; do
		count=$((left < RECORDING_POINTS ? left : RECORDING_POINTS))
		record "${how[@]}" "$@"
		replay "${how[@]}" "$count" "$@"
		rm -rf "${T:?}/${how[0]:?}"
		bad=$((bad + BAD)) left=$((left - count)) SEED=$((SEED + 1000))
	done
	is "$bad" 0 'wrong points'
}

# --- the tests --------------------------------------------------------------------

# As most are mounted; metadata is written each second rather than each five.
test_ext4() {
	loses_nothing ext4 ext4 commit=1 "$ROOMY" 4
}

# Files have their new sizes before their bytes.
test_ext4_writeback() {
	loses_nothing writeback ext4 commit=1,data=writeback,nodelalloc "$ROOMY" 6
}

# While backups are made, one after the other.
test_backup() {
	loses_nothing backup ext4 commit=1 "$ROOMY" 6 --backup
	say "backups that were made by then: $BACKUPS"
}

# While a store is made.
test_new() {
	local how=(ext4 'commit=1,nodelalloc' "$ROOMY")
	begin_new_recording new "${how[@]:0:2}"
	mount_at "$T/new/fs/store" "$T/new/mnt" -o "${how[2]}"
	echo '# made' >"$T/new/disk/mark"
	umount_at "$T/new/mnt"
	end_recording new
	replay new "${how[@]}" $((POINTS / 6))
	rm -rf "$T/new"
	is "$BAD" 0 'wrong points'
}

# After a daemon was killed, and another one has taken over within the same boot.
test_killed() {
	local how=(ext4 'commit=1,nodelalloc' "$ROOMY") dir=$T/killed
	begin_new_recording killed "${how[@]:0:2}"
	mount_at "$dir/fs/store" "$dir/mnt" -o "${how[2]}"
	load killed
	kill_daemon "$dir/mnt"
	umount_at "$dir/mnt"
	echo '# killed' >"$dir/disk/mark"
	mount_at "$dir/fs/store" "$dir/mnt" -o "${how[2]}"
	echo '# opened' >"$dir/disk/mark"
	sleep 1.5 # what is done in the background
	umount_at "$dir/mnt"
	end_recording killed
	AFTER='# killed' replay killed "${how[@]}" $((POINTS / 6))
	rm -rf "$dir"
	is "$BAD" 0 'wrong points'
}

# And again, while the store that was opened after a power loss makes good what is missing.
UNMOUNTABLE=0
test_twice() {
	local how=(ext4 'commit=1,nodelalloc' "$ROOMY") dir=$T/again bad=0 i=0 at
	record first "${how[@]}"
	mkdir "$dir"
	while read -r at; do
		i=$((i + 1))
		lose_power first "$at" $((SEED - i))
		mv "$T/first/image" "$dir/start"
		mv "$T/first/marks" "$dir/before"
		boot
		begin_recording again "${how[@]:0:2}"
		mount_at "$dir/fs/store" "$dir/mnt" -o "${how[2]}"
		echo '# opened' >"$dir/disk/mark"
		sleep 1.5 # what is done in the background
		echo '# settled' >"$dir/disk/mark"
		umount_at "$dir/mnt"
		end_recording again
		replay again "${how[@]}" 3
		bad=$((bad + BAD))
	done < <("$PROGRAMS/replay" points "$T/first/log" $((POINTS / 12)) "$SEED")
	rm -rf "$T/first" "$dir"
	is "$bad" 0 'wrong points'
}

# Evicting all the time, with a quota.
test_bounds() {
	loses_nothing bounds ext4 commit=1,nodelalloc "$BOUNDS" 6 --bounds
	say "evicted: $EVICTED"
	[ "$EVICTED" -gt 0 ] || fail 'nothing was evicted'
}

test_xfs() {
	needs mkfs.xfs
	DISK_MIB=320
	loses_nothing xfs xfs defaults "$ROOMY" 6
}

test_btrfs() {
	needs mkfs.btrfs
	loses_nothing btrfs btrfs commit=1 "$ROOMY" 6
}

# A disk that answers flushes and does nothing is found out: so the rest can fail.
test_lying_disk() {
	local how=(lying ext4 'commit=1' "$ROOMY") round found=0
	record "${how[@]}" --drop-flushes
	# At some points nothing was lost by chance.
	for round in {1..10}; do
		AFTER=ready replay "${how[@]}" 3 2>"$T/lying.err"
		tail -n 1 "$T/lying.err" >&2
		found=$(grep -c '^verify:   durable is' "$T/lying.err") && break
		SEED=$((SEED + 1000 * round))
	done
	rm -rf "$T/lying"
	[ "$found" -gt 0 ] || fail 'no loss was seen'
	say "cells that have lost what was durable: $found"
}

run_tests "$@"
