#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a store does under pressure and on a disk that fails: a day's workload against a
# small bound, 
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no bound'
setup_folder

# Fewer under the slow sanitizers.
ROUNDS=${MEMOFS_ROUNDS:-$((${MEMOFS_PERCENT:-20} < 20 ? 6 : 20))}
DAY_S=${MEMOFS_DAY_S:-5}
# What the database takes beside the charges of entries: its logs, and what it has not
# compacted yet.
MARGIN_MIB=64

du_mib() { du -s -B1M "$1" | cut -f1; }

# What a test that failed has left.
clean() {
	! is_mounted "$MNT" || umount_memofs
	! is_mounted "$T/disk" || umount "$T/disk"
	rm -rf "$STORE"
}

test_a_day() {
	local size_mib=64 row
	clean
	mount_memofs -o "size=${size_mib}MiB"
	# It fails when more is taken, a read fails, or a value is wrong.
	row=$("$MEMOFS_BUILD/tests/mount/day" --csv --seconds "$DAY_S" \
		--size $((size_mib << 20)) --store "$STORE" "$MNT")
	say "$row"
	[ "$(cut -d, -f3 <<<"$row" | cut -d. -f1)" -le $((size_mib + MARGIN_MIB)) ] ||
		fail "the disk had more than $size_mib and $MARGIN_MIB MiB: $row"
	[ "$MEMOFS_BACKEND" = memory ] || "$MEMOFS" check "$MNT"
	umount_memofs
}

# --- disks ------------------------------------------------------------------------

# Of so many MiB, with the store of the mount on it.
mount_disk() { # MIB [OPTION...]
	needs_root
	needs_persistence
	clean
	mkdir -p "$T/disk"
	mount -t tmpfs -o "size=${1}m" tmpfs "$T/disk"
	shift
	mount_at "$T/disk/store" "$MNT" "$@"
}

umount_disk() {
	umount_memofs
	umount "$T/disk"
}

# Values that tell their name and length.
# Until nobody reads it any more.
forever() { yes "$1" 2>/dev/null || :; }

put() { # NAME BYTES
	head -c "$2" < <(forever "$1") >"$MNT/$1"
}

is_whole() { # NAME BYTES
	head -c "$2" < <(forever "$1") | cmp - "$MNT/$1"
}

serves() {
	is_whole small 100
	is_whole large 3000000
}

# Until nothing goes on the disk any more.
fill_disk() {
	! cat /dev/zero >"$T/disk/filler" 2>/dev/null
}

test_full_disk_and_room_again() {
	mount_disk 96 -o size=none,min-free=8MiB
	set_attr pin yes "$MNT"
	put small 100
	put large 3000000
	sync -f "$MNT"
	fill_disk
	serves
	fails 'No space left' put more 3000000
	fails 'No space left' put little 100
	fails 'No space left' mkdir "$MNT/dir"
	absent "$MNT/more" "$MNT/little"
	grep -q "no room" "$LOG" || fail 'the log says nothing'
	serves
	# What makes it smaller is not refused.
	rm "$MNT/small"
	rm "$T/disk/filler"
	put small 100
	eventually 10 put more 3000000
	is_whole more 3000000
	serves
	"$MEMOFS" check "$MNT"
	umount_memofs
	mount_at "$T/disk/store" "$MNT"
	serves
	umount_disk
}

# What others put on the disk is made room for, as long as something can go.
test_evicts_for_the_disk() {
	local i
	mount_disk 128 -o size=none,min-free=8MiB
	for i in {1..24}; do put "v$i" 3000000; done
	head -c 40000000 /dev/zero >"$T/disk/filler"
	# The first may be refused: that is when it is noticed.
	for i in {25..40}; do eventually 20 put "v$i" 3000000 2>/dev/null; done
	is_whole v40 3000000
	[ "$(find "$MNT" -name 'v*' | wc -l)" -lt 40 ] || fail 'nothing was evicted'
	for i in {1..40}; do
		[ ! -e "$MNT/v$i" ] || is_whole "v$i" 3000000
	done
	"$MEMOFS" check "$MNT"
	umount_disk
}

freeze() { # FOLDER
	trap thaw EXIT
	find "$STORE/$1" -type d -exec chattr +i {} + 2>/dev/null ||
		skip 'no immutable folders here'
}

thaw() { find "$STORE"/{stage,extents} -type d -exec chattr -i {} + 2>/dev/null || :; }

failed_more() { grep -q '"more"' "$LOG" || grep -q '/more' "$LOG"; }

# A value is published a moment after its close has returned.
settled() { [ -z "$(find "$STORE/stage" -type f)" ]; }

# Folders of contents in which nothing can be made: what needs none goes on.
test_folders_that_fail() {
	local folder
	needs chattr
	needs_root
	needs_persistence
	clean
	mount_memofs -o size=64MiB
	put small 100
	put large 3000000
	for folder in stage extents; do
		eventually 10 settled
		: >"$LOG"
		freeze $folder
		# Where contents are kept is seen when close has returned; the log has it.
		put more 3000000 2>"$T/errors" || grep -q 'not permitted' "$T/errors"
		absent "$MNT/more"
		eventually 10 failed_more
		put small 100
		serves
		thaw
		put more 3000000
		is_whole more 3000000
		rm "$MNT/more"
	done
	serves
	"$MEMOFS" check "$MNT"
	umount_memofs
}

# A daemon that may write no file larger than this.
test_file_size_limit() {
	needs_persistence
	clean
	(
		ulimit -f 4096
		mount_memofs -o size=256MiB
	)
	put small 100
	put large 3000000
	fails 'File too large' put huge 8000000
	absent "$MNT/huge"
	serves
	put more 3000000
	is_whole more 3000000
	umount_memofs
	mount_memofs
	serves
	absent "$MNT/huge"
	"$MEMOFS" check "$MNT"
	umount_memofs
}

# --- killed while it evicts ---------------------------------------------------------

# Goes on until the mount has gone.
write_on() { # ROUND
	local i
	for ((i = 0; ; i++)); do
		put "r$1.$i" $((100000 + i % 10 * 50000)) 2>/dev/null || return 0
		echo "r$1.$i" >>"$T/written"
	done
}

check_values() {
	local name i
	for name in "$MNT"/r*; do
		[ -e "$name" ] || continue
		name=${name##*/}
		i=${name#*.}
		is_whole "$name" $((100000 + i % 10 * 50000))
	done
}

total_of() { # the store, MiB
	df -B1M --output=used "$MNT" | tail -n 1 | tr -d ' '
}

# Of those that were written.
missing_values() {
	echo $(($(wc -l <"$T/written") - $(names "$MNT" | grep -c '^r' || :)))
}

test_killed_while_it_evicts() {
	local n pid
	needs_persistence
	clean
	: >"$T/written"
	mount_memofs -o size=16MiB
	put kept 200000
	set_attr pin yes "$MNT/kept"
	sync -f "$MNT"
	# On a busy machine a few rounds may not come as far as to evict.
	for ((n = 1; n <= ROUNDS || (n <= 20 * ROUNDS && $(missing_values) == 0); n++)); do
		write_on $n &
		pid=$!
		sleep "0.$(printf %03d $((RANDOM % 400 + 50)))"
		kill_daemon
		wait $pid || :
		umount_memofs
		mount_memofs -o size=16MiB
		[ "$(total_of)" -le 16 ] || fail "round $n: $(total_of) MiB"
		check_values
		is_whole kept 200000
		"$MEMOFS" check "$MNT" >"$T/found" || fail "round $n: $(cat "$T/found")"
	done
	[ "$(missing_values)" -gt 0 ] || fail 'nothing was evicted'
	umount_memofs
}

run_tests "$@"
