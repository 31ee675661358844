#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check, backup and restore-backup: of a store in use, of one that nobody has open, and
# of one whose files were damaged in ten ways.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no store'
[ "${MEMOFS_BACKEND:-rocksdb}" != memory ] || skip_all 'the memory backend has no files'
setup_folder

# Some of everything; what it is, is kept for the comparison.
fill() { # MOUNTPOINT
	local i
	mkdir "$1/ns" "$1/ns/dir" "$1/ns/versioned"
	for i in 1 2 3 4; do
		head -c $((i * 200000)) /dev/urandom >"$T/data"
		cp "$T/data" "$1/ns/large$i"
	done
	for i in $(seq 1 40); do echo "small value $i" >"$1/ns/dir/$i"; done
	ln -s large1 "$1/ns/link"
	set_attr ttl 2h "$1/ns/dir"
	echo first >"$1/ns/versioned/key"
	set_attr version v2 "$1/ns/versioned"
	echo second >"$1/ns/versioned/key"
	sums "$1" >"$T/sums"
}

sums() { # MOUNTPOINT
	[ ! -d "$1/ns" ] || (cd "$1/ns" && find . -type f -print0 | sort -z | xargs -0 -r md5sum)
}

# A new store at $STORE, mounted and filled. What a test that failed left is no matter.
filled_mount() {
	! is_mounted "$MNT" || umount_memofs
	STORE=$T/store.$1
	mount_memofs
	fill "$MNT"
}

# The same, and not mounted any more.
filled_store() {
	filled_mount "$1"
	umount_memofs
}

# Exit status, whatever it is.
status_is() { # WANT COMMAND...
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>&1 || got=$?
	[ "$got" = "$want" ] || {
		cat "$T/out" >&2
		fail "$* exits with $got, not $want"
	}
}

an_extent() { find "$STORE/extents" -type f | sort | head -1; }

# What is served afterwards is what was there, or nothing: never other bytes.
no_wrong_bytes() {
	mount_memofs
	sums "$MNT" >"$T/left" 2>"$T/err" || fail "not all can be read: $(cat "$T/err")"
	[ -z "$(comm -13 <(sort "$T/sums") <(sort "$T/left"))" ] || fail 'other bytes'
	mkdir -p "$MNT/ns"
	echo new >"$MNT/ns/new"
	has "$MNT/ns/new" $'new\n'
	status_is 0 "$MEMOFS" check "$MNT"
	umount_memofs
}

entries_left() { wc -l <"$T/left"; }

# Found, and left alone; repaired; sound; and it serves the rest.
finds_and_repairs() { # REGEX [options of the repair]
	local regex=$1
	shift
	status_is 1 "$MEMOFS" check "$STORE"
	grep -Eq "$regex" "$T/out" || fail "not in what was found: $regex: $(cat "$T/out")"
	status_is 1 "$MEMOFS" check --repair "$@" "$STORE"
	grep -q '^repaired' "$T/out" || fail "not repaired: $(cat "$T/out")"
	status_is 0 "$MEMOFS" check "$STORE"
	no_wrong_bytes
}

# ---- files of contents ----

test_flipped_extent() {
	filled_store "flipped"
	printf 'X' | dd of="$(an_extent)" bs=1 seek=100000 conv=notrunc status=none
	finds_and_repairs 'does not match its checksum'
	is "$(entries_left)" 44
}

test_truncated_extent() {
	filled_store truncated
	truncate -s 1000 "$(an_extent)"
	finds_and_repairs 'does not have its size'
	is "$(entries_left)" 44
}

test_missing_extent() {
	filled_store missing
	rm "$(an_extent)"
	finds_and_repairs 'extent file is missing'
	is "$(entries_left)" 44
}

# What has the name of an extent and is none is as good as none: no read and no check
# ends with what opening it says.
test_no_extent() {
	local e
	filled_store odd
	e=$(an_extent)
	rm "$e"
	ln -s /etc/passwd "$e"
	finds_and_repairs 'extent file is missing'
	is "$(entries_left)" 44
	filled_store odd-folder
	e=$(an_extent)
	rm "$e"
	mkdir "$e"
	finds_and_repairs 'extent file is missing'
	is "$(entries_left)" 44
	filled_store odd-read
	e=$(an_extent)
	rm "$e"
	ln -s /etc/passwd "$e"
	mount_memofs
	fails 'No such file|Stale|Input/output' cat "$MNT/ns/large1"
	eventually 10 test ! -e "$MNT/ns/large1"
	umount_memofs
}

test_foreign_file() {
	filled_store foreign
	echo mine >"$STORE/extents/00/notes.txt"
	cp "$(an_extent)" "$STORE/extents/ff/0000000000000001"
	finds_and_repairs 'notes.txt: is no file of the store'
	is "$(entries_left)" 45
	has "$STORE/lost+found/notes.txt" $'mine\n'
}

# ---- files of the database ----


rebuilds_whatever() {
	local got=0
	"$MEMOFS" check --repair --database "$STORE" >"$T/out" 2>&1 || got=$?
	[ "$got" -le 1 ] || fail "exits with $got: $(cat "$T/out")"
	status_is 0 "$MEMOFS" check "$STORE"
	no_wrong_bytes
	present "$STORE/db.damaged"
}

refused() { # by check and by mount, with a word on what to do
	status_is 3 "$MEMOFS" check "$STORE"
	grep -q 'repair --database' "$T/out" || fail "no remedy: $(cat "$T/out")"
	fails "$1" mount_memofs
}

# The largest table file is that of contents, or of names.
test_flipped_table() {
	filled_store table
	local table
	table=$(ls -S "$STORE"/db/*.sst | head -1)
	printf 'XXXXXXXX' | dd of="$table" bs=1 seek=40 conv=notrunc status=none
	local got=0
	"$MEMOFS" check "$STORE" >"$T/out" 2>&1 || got=$?
	[ "$got" = 1 ] || [ "$got" = 3 ] || fail "exits with $got: $(cat "$T/out")"
	grep -Eq 'cannot be read|damaged' "$T/out" || fail "$(cat "$T/out")"
	rebuilds_whatever
}

# The one that says that it is a store, and which numbers were given out.
test_missing_meta_table() {
	filled_store meta
	local table
	table=$(grep -l boot "$STORE"/db/*.sst | head -1)
	[ -n "$table" ] || skip 'its rows are not found'
	rm "$table"
	refused 'damaged'
	rebuilds_whatever
	is "$(entries_left)" 45
}

test_missing_table() {
	filled_store gone
	rm "$(ls -S "$STORE"/db/*.sst | head -1)"
	refused 'damaged'
	rebuilds_whatever
}

test_truncated_manifest() {
	filled_store manifest
	truncate -s 100 "$(ls "$STORE"/db/MANIFEST-*)"
	refused 'damaged'
	rebuilds_whatever
	is "$(entries_left)" 45
}

test_missing_current() {
	filled_store current
	rm "$STORE/db/CURRENT"
	refused 'damaged'
	rebuilds_whatever
	is "$(entries_left)" 45
}

# The tail of the log, as after a power loss: what it had is lost, and no more.
test_damaged_log() {
	filled_mount log
	kill_daemon
	umount_memofs
	local log
	log=$(ls -S "$STORE"/db/*.log | head -1)
	truncate -s -100 "$log"
	"$MEMOFS" check --repair "$STORE" >"$T/out" 2>&1 || [ $? = 1 ] || fail "$(cat "$T/out")"
	status_is 0 "$MEMOFS" check "$STORE"
	no_wrong_bytes
}

test_format_of_nonsense() {
	filled_store format
	echo nonsense >"$STORE/FORMAT"
	refused 'FORMAT'
	rebuilds_whatever
	is "$(entries_left)" 45
}

# ---- a store in use ----

test_online() {
	filled_mount online
	status_is 0 "$MEMOFS" check "$MNT/ns/dir"
	status_is 0 "$MEMOFS" check --fast "$STORE"
	grep -q 'is mounted; using' "$T/out"
	printf 'X' | dd of="$(an_extent)" bs=1 seek=100 conv=notrunc status=none
	status_is 1 "$MEMOFS" check "$MNT"
	grep -q '^/ns/large1: .*repair would drop it' "$T/out" || fail "$(cat "$T/out")"
	status_is 1 "$MEMOFS" check --repair "$MNT"
	# The kernel knew it, and is told.
	eventually 10 test ! -e "$MNT/ns/large1"
	status_is 0 "$MEMOFS" check "$MNT"
	status_is 2 "$MEMOFS" check --repair --database "$MNT"
	has "$MNT/.memofs/jobs/gc" $'run: 0\nstate: idle\nprogress: 0 0\n'
	fails 'Invalid argument' bash -c "echo nonsense >'$MNT/.memofs/jobs/check'"
	umount_memofs
}

# Root looks through the store of somebody else as that one, who can still open it.
test_store_of_another() {
	needs_root
	needs setpriv
	filled_store another
	chmod 755 "$T"
	chown -R 65534:65534 "$STORE"
	status_is 0 "$MEMOFS" check "$STORE"
	status_is 0 "$MEMOFS" backup "$STORE" "$T/of-another"
	is "$(find "$STORE" ! -uid 65534)" ''
	status_is 0 setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$MEMOFS_BUILD/memofsd" --check "$STORE"
}

# Nobody but the daemon's user may start one.
test_jobs_of_others() {
	needs_root
	needs setpriv
	STORE=$T/store.others
	mount_memofs
	fails 'Permission denied' setpriv --reuid=65534 --clear-groups \
		bash -c "echo >'$MNT/.memofs/jobs/check'"
	status_is 3 setpriv --reuid=65534 --clear-groups "$MEMOFS" check "$MNT"
	umount_memofs
}

# Who calls his mount by the name of another's store is not asked about that.
test_mount_of_a_liar() {
	needs_root
	needs python3
	filled_store liar
	python3 -I - "$STORE" "$MNT" <<-'END'
		import ctypes, os, sys
		store, point = (a.encode() for a in sys.argv[1:])
		fd = os.open("/dev/fuse", os.O_RDWR)
		options = f"fd={fd},rootmode=40000,user_id=65534,group_id=65534".encode()
		libc = ctypes.CDLL(None, use_errno=True)
		if libc.mount(store, point, b"fuse.memofs", 0, options):
		    sys.exit(os.strerror(ctypes.get_errno()))
	END
	is_mounted "$MNT"
	status_is 0 "$MEMOFS" check "$STORE"
	umount -l "$MNT"
}

# ---- backup ----

restored() { # BACKUP: the store made of it serves what $T/sums says
	STORE=$T/restored
	rm -rf "$STORE"
	status_is 0 "$MEMOFS" restore-backup "$1" "$STORE"
	status_is 0 "$MEMOFS" check "$STORE"
	mount_memofs
	sums "$MNT" >"$T/left"
	diff "$T/sums" "$T/left"
	is "$(attr version "$MNT/ns/versioned")" v2
	is "$(attr ttl "$MNT/ns/dir")" 2h
	umount_memofs
}

test_backup_online_and_offline() {
	filled_mount backup
	local store=$STORE
	status_is 0 "$MEMOFS" backup "$MNT/ns" "$T/backup"
	absent "$store/backup"
	echo later >"$MNT/ns/later"
	umount_memofs
	restored "$T/backup"
	STORE=$store
	mount_memofs
	sums "$MNT" >"$T/sums"
	umount_memofs
	status_is 0 "$MEMOFS" backup "$store" "$T/backup"
	restored "$T/backup"
	status_is 2 "$MEMOFS" restore-backup "$T/backup" "$STORE"
	status_is 2 "$MEMOFS" backup "$store" "$store"
	STORE=$store
	status_is 0 "$MEMOFS" check "$STORE"
}

# To another file system it is copied, and the second time what is new only.
test_backup_elsewhere() {
	[ -d /dev/shm ] && [ -w /dev/shm ] || skip 'no other file system'
	[ "$(stat -c %d /dev/shm)" != "$(stat -c %d "$T")" ] || skip 'the same file system'
	filled_mount elsewhere
	local there
	there=$(mktemp -d /dev/shm/memofs-test.XXXXXX)
	# shellcheck disable=SC2064 # now, while it has its value
	trap "rm -rf '$there'" EXIT
	status_is 0 "$MEMOFS" backup "$MNT" "$there/backup"
	find "$there/backup/extents" -type f -printf '%f %i\n' | sort >"$T/before"
	head -c 300000 /dev/urandom >"$T/data"
	cp "$T/data" "$MNT/ns/more"
	has "$MNT/ns/versioned/key" $'second\n'
	sums "$MNT" >"$T/sums"
	status_is 0 "$MEMOFS" backup "$MNT" "$there/backup"
	find "$there/backup/extents" -type f -printf '%f %i\n' | sort >"$T/after"
	is "$(comm -12 "$T/before" "$T/after" | wc -l)" 4
	is "$(wc -l <"$T/after")" 5
	is "$(names "$there")" backup
	umount_memofs
	restored "$there/backup"
	rm -rf "$there"
}

# One that is not whole is known for that, and nothing is made of it.
test_backup_not_whole() {
	filled_store whole
	status_is 0 "$MEMOFS" backup "$STORE" "$T/b"
	cp -r "$T/b" "$T/b1" && rm "$(find "$T/b1/extents" -type f | head -1)"
	status_is 3 "$MEMOFS" restore-backup "$T/b1" "$T/made"
	cp -r "$T/b" "$T/b2" && rm "$T/b2/MANIFEST"
	status_is 3 "$MEMOFS" restore-backup "$T/b2" "$T/made"
	cp -r "$T/b" "$T/b3" && echo more >>"$T/b3/MANIFEST"
	status_is 3 "$MEMOFS" restore-backup "$T/b3" "$T/made"
	cp -r "$T/b" "$T/b4" && truncate -s -1 "$(ls "$T"/b4/db/*.sst | head -1)"
	status_is 3 "$MEMOFS" restore-backup "$T/b4" "$T/made"
	absent "$T/made"
	fails 'not a store' mount_at "$T/b" "$MNT"
}

# While somebody writes: each entry of the backup is whole, and what was there before
# the call began is in it.
test_backup_under_a_writer() {
	filled_mount writer
	mkdir "$MNT/w"
	(
		trap - ERR
		for i in $(seq 1 100000); do
			[ ! -e "$T/enough" ] || exit 0
			head -c 60000 /dev/zero | tr '\0' "$((i % 10))" >"$MNT/w/$((i % 20))"
			rm -f "$MNT/w/$(((i + 7) % 20))"
		done
	) &
	local writer=$! i
	for i in 1 2 3; do
		echo "$i" >"$MNT/ns/before$i"
		has "$MNT/ns/before$i" "$i"$'\n'
		status_is 0 "$MEMOFS" backup "$MNT" "$T/backup.$i"
	done
	touch "$T/enough"
	wait "$writer"
	sums "$MNT" >"$T/sums"
	umount_memofs
	for i in 1 2 3; do
		STORE=$T/restored.$i
		status_is 0 "$MEMOFS" restore-backup "$T/backup.$i" "$STORE"
		status_is 0 "$MEMOFS" check "$STORE"
		mount_memofs
		has "$MNT/ns/before$i" "$i"$'\n'
		same_digits "$MNT/w"
		umount_memofs
	done
	diff "$T/sums" <(STORE=$T/restored.3 && mount_memofs >&2 && sums "$MNT")
	umount_memofs
}

# Each file is 60,000 times one digit.
same_digits() { # DIRECTORY
	local f
	for f in "$1"/*; do
		[ -e "$f" ] || continue
		is "$(stat -c %s "$f")" 60000
		is "$(fold -w 1 "$f" | sort -u | wc -l)" 1
	done
}

# What the daemon of another may say: it has nobody's files moved or removed, and no
# terminal told what to do.
test_backup_of_a_liar() {
	filled_store lied
	mkdir "$T/victim"
	echo precious >"$T/victim/file"
	printf '#!/bin/sh\nprintf "found: \\033[31mred\\n"\necho "result: path %s"\n' \
		"$T/victim" >"$T/liar"
	chmod +x "$T/liar"
	MEMOFSD=$T/liar status_is 3 "$MEMOFS" backup "$STORE" "$T/lie"
	has "$T/victim/file" $'precious\n'
	absent "$T/lie"
	if grep -q $'\033' "$T/out"; then fail "not escaped: $(cat -v "$T/out")"; fi
}

# Who ends it leaves nothing that keeps on the disk what the store deletes.
test_backup_ended() {
	filled_store ended
	# shellcheck disable=SC2016 # for the other shell
	printf '#!/bin/sh\n"%s" "$@"\nkill -TERM $PPID\n' "$MEMOFS_BUILD/memofsd" >"$T/ender"
	chmod +x "$T/ender"
	MEMOFSD=$T/ender status_is 143 "$MEMOFS" backup "$STORE" "$T/ended"
	absent "$STORE/backup" "$T/ended" "$T/ended.memofs-new"
	status_is 0 "$MEMOFS" backup "$STORE" "$T/ended"
}

# Neither takes away the other.
test_backup_in_the_store() {
	filled_store within
	status_is 2 "$MEMOFS" backup "$STORE" "$STORE/backup"
	status_is 2 "$MEMOFS" backup "$STORE" "$STORE/extents/mine"
	status_is 0 "$MEMOFS" backup "$STORE" "$T/around"
	status_is 0 "$MEMOFS" restore-backup "$T/around" "$T/around/store"
	status_is 2 "$MEMOFS" backup "$T/around/store" "$T/around"
	status_is 0 "$MEMOFS" check "$T/around/store"
}

# A backup that was begun and not ended leaves nothing.
test_left_backup() {
	filled_store left
	mkdir -p "$STORE/backup/db"
	echo x >"$STORE/backup/db/x"
	mount_memofs
	absent "$STORE/backup"
	umount_memofs
}

run_tests "$@"
