#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What can be wrong before and while a store is mounted: each thing has one clear
# line and an exit code, and loses nothing.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is not mounted'
setup

# What `memofs mount` exits with.
USAGE=2 STORE_TROUBLE=3 MOUNT_TROUBLE=4

# `memofs mount` refuses: exit code, one line that matches, and nothing mounted.
refused() { # CODE REGEX STORE MOUNTPOINT [ARGUMENT...]
	local code=$1 regex=$2 store=$3 mnt=$4 status=0
	shift 4
	mount_at "$store" "$mnt" "$@" 2>"$T/said" >"$T/out" || status=$?
	is "$status" "$code" "exit code (it said: $(cat "$T/said"))"
	is "$(wc -l <"$T/said")" 1 "lines of: $(cat "$T/said")"
	[[ $(cat "$T/said") =~ $regex ]] || fail "said: $(cat "$T/said"); want: $regex"
	is "$(cat "$T/out")" '' stdout
	! is_mounted "$mnt" || fail "$mnt is mounted"
}

# A store with one entry, and its mount point, both of this test alone.
own_store() {
	S=$T/own.$BASHPID
	M=$T/mnt.$BASHPID
	mkdir -p "$M"
	mount_at "$S" "$M"
	echo kept >"$M/key"
	umount_at "$M"
}

# Run a command as a user who has no rights, with a memofs which that user can get
# at: the build may be below a closed home.
as_nobody() { # COMMAND...
	mkdir -p "$T/bin"
	[ -e "$T/bin/memofs" ] || cp "$MEMOFS" "$MEMOFS_BUILD/memofsd" "$T/bin"
	MEMOFS=$T/bin/memofs timeout "$COMMAND_TIMEOUT_S" \
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

still_has_its_entry() {
	mount_at "$S" "$M"
	has "$M/key" $'kept\n'
	umount_at "$M"
}

# --- the mount point ------------------------------------------------------------

test_mountpoint_missing() {
	refused $MOUNT_TROUBLE "$T/none.*(No such file|does not exist|make it)" "$T/s1" "$T/none"
}

test_mountpoint_is_a_file() {
	: >"$T/file"
	refused $MOUNT_TROUBLE "$T/file.*[Nn]ot a directory" "$T/s2" "$T/file"
}

test_mountpoint_not_empty() {
	mkdir "$T/full"
	echo precious >"$T/full/file"
	refused $MOUNT_TROUBLE "$T/full.*not empty" "$T/s3" "$T/full"
	has "$T/full/file" $'precious\n'
}

test_already_mounted() {
	local status=0
	mount_at "$T/s4" "$MNT" 2>"$T/said" || status=$?
	is "$status" "$MOUNT_TROUBLE" "exit code ($(cat "$T/said"))"
	grep -Eq "$MNT.*already" "$T/said" || fail "said: $(cat "$T/said")"
	echo x >key
	has key $'x\n'
	is "$(mounts_below | grep -cxF "$MNT")" 1 'mounts on top of each other'
}

test_dead_mount() {
	needs_persistence
	own_store
	mount_at "$S" "$M"
	echo more >"$M/more"
	has "$M/more" $'more\n' # what nobody has asked for may linger yet
	kill_daemon "$M"
	fails 'not connected|Software caused' ls "$M"
	# Either it is cleared away, or the line says how to.
	local status=0
	mount_at "$S" "$M" 2>"$T/said" || status=$?
	if [ $status -ne 0 ]; then
		is $status $MOUNT_TROUBLE 'exit code'
		grep -Eq "umount.*$M|$M.*umount" "$T/said" || fail "said: $(cat "$T/said")"
		umount_at "$M"
		mount_at "$S" "$M"
	fi
	has "$M/key" $'kept\n'
	has "$M/more" $'more\n'
	umount_at "$M"
}

test_umount_of_a_dead_mount() {
	own_store
	mount_at "$S" "$M"
	kill_daemon "$M"
	umount_at "$M"
	! is_mounted "$M" || fail 'it is still mounted'
}

test_umount_of_what_is_not_mounted() {
	mkdir "$T/plain"
	fails "$T/plain.*not" umount_at "$T/plain"
	fails "$T/nowhere" umount_at "$T/nowhere"
}

test_umount_of_a_busy_mount() {
	own_store
	mount_at "$S" "$M"
	echo kept >"$M/key" # the memory backend has forgotten it
	exec 3<"$M/key"
	fails "$M.*(busy|in use)" timeout 30 "$MEMOFS" umount --timeout 1s "$M"
	is_mounted "$M"
	is "$(cat <&3)" kept
	exec 3<&-
	umount_at "$M"
}

# --- the store --------------------------------------------------------------------

test_store_in_use() {
	needs_persistence
	local pid
	pid=$(daemon_pid)
	mkdir "$T/second"
	refused $STORE_TROUBLE "$STORE.*in use.*$pid.*$MNT" "$STORE" "$T/second"
	echo x >key
	has key $'x\n'
}

test_store_of_a_newer_format() {
	needs_persistence
	own_store
	cp "$S/FORMAT" "$T/format"
	sed -i -E 's/[0-9]+$/999999/' "$S/FORMAT"
	refused $STORE_TROUBLE "$S.*format 999999" "$S" "$M"
	head -c 100 /dev/urandom >"$S/FORMAT"
	refused $STORE_TROUBLE "$S/FORMAT.*(damaged|not a memofs)" "$S" "$M"
	cp "$T/format" "$S/FORMAT"
	still_has_its_entry
}

test_damaged_database() {
	needs_persistence
	own_store
	local file
	for file in CURRENT MANIFEST-000000; do
		rm -rf "$T/copy"
		cp -a "$S" "$T/copy"
		file=$(find "$T/copy/db" -name "${file%-*}*" | head -n 1)
		head -c 64 /dev/urandom >"$file"
		refused $STORE_TROUBLE "$T/copy.*damaged" "$T/copy" "$M"
	done
	still_has_its_entry
}

test_store_is_something_else() {
	needs_persistence
	mkdir "$T/else" "$T/m5"
	echo precious >"$T/else/file"
	refused $STORE_TROUBLE "$T/else.*not empty.*file" "$T/else" "$T/m5"
	has "$T/else/file" $'precious\n'
	is "$(names "$T/else")" file 'left in it'
	refused $STORE_TROUBLE "$T/else/file.*not a directory" "$T/else/file" "$T/m5"
	refused $STORE_TROUBLE "$T/none/store.*not exist" "$T/none/store" "$T/m5"
}

test_store_on_a_read_only_disk() {
	needs_persistence
	needs_root
	own_store
	mount --bind "$S" "$S"
	mount -o remount,ro,bind "$S"
	refused $STORE_TROUBLE "$S.*[Rr]ead-only" "$S" "$M"
	umount "$S"
	still_has_its_entry
}

test_store_without_permission() {
	needs_persistence
	needs_root
	own_store
	mkdir "$T/nobodys"
	: >"$T/nobodys.log"
	chown 65534:65534 "$T/nobodys" "$T/nobodys.log"
	# The daemon of another user must not get at it, and must say so.
	local status=0
	# shellcheck disable=SC2016
	as_nobody bash -c 'exec "$MEMOFS" mount "$@"' - --log "$T/nobodys.log" "$S" "$T/nobodys" \
		2>"$T/said" || status=$?
	[ $status -eq $STORE_TROUBLE ] || [ $status -eq $MOUNT_TROUBLE ] ||
		fail "exit code $status: $(cat "$T/said")"
	grep -Eqi 'permission|denied|/dev/fuse|not permitted' "$T/said" || fail "said: $(cat "$T/said")"
	! is_mounted "$T/nobodys" || fail 'it is mounted'
	still_has_its_entry
}

test_disk_is_full() {
	needs_persistence
	needs_root
	mkdir "$T/small" "$T/m6"
	mount -t tmpfs -o size=48m tmpfs "$T/small"
	mount_at "$T/small/store" "$T/m6" -o size=none
	echo kept >"$T/m6/key"
	fails 'No space left' dd if=/dev/urandom of="$T/m6/big" bs=1M count=200
	absent "$T/m6/big"
	has "$T/m6/key" $'kept\n'
	# An overwrite that does not fit leaves what was there.
	head -c 1000000 /dev/urandom >"$T/before"
	cp "$T/before" "$T/m6/value"
	fails 'No space left' dd if=/dev/urandom of="$T/m6/value" bs=1M count=200
	same "$T/before" "$T/m6/value"
	# What failed is given back: there is room again.
	eventually 30 room_for "$T/before" "$T/m6/again"
	same "$T/before" "$T/m6/again"
	umount_at "$T/m6"
	mount_at "$T/small/store" "$T/m6" -o size=none
	has "$T/m6/key" $'kept\n'
	same "$T/before" "$T/m6/value"
	absent "$T/m6/big"
	umount_at "$T/m6"
	umount "$T/small"
}

# Full of entries, not of one that failed: they can be changed and removed, and
# what is removed makes room at once.
test_a_full_store_can_be_emptied() {
	needs_persistence
	needs_root
	mkdir "$T/tight" "$T/tight_mnt"
	mount -t tmpfs -o size=48m tmpfs "$T/tight"
	mount_at "$T/tight/store" "$T/tight_mnt" -o size=none
	head -c 1000000 /dev/urandom >"$T/value"
	local n=0
	while room_for "$T/value" "$T/tight_mnt/e$n"; do n=$((n + 1)); done
	[ $n -gt 20 ] || fail "full after $n entries"
	same "$T/value" "$T/tight_mnt/e0"
	# Somebody else takes half of what is kept free.
	head -c 3000000 /dev/zero >"$T/tight/filler"
	sleep 0.2
	fails 'No space left' mkdir "$T/tight_mnt/dir"
	fails 'No space left' dd if="$T/value" of="$T/tight_mnt/e0" bs=100 count=1
	same "$T/value" "$T/tight_mnt/e0"
	chmod 600 "$T/tight_mnt/e0"
	mv "$T/tight_mnt/e0" "$T/tight_mnt/moved"
	rm "$T/tight_mnt"/e[1-6]
	cp "$T/value" "$T/tight_mnt/again"
	same "$T/value" "$T/tight_mnt/again"
	same "$T/value" "$T/tight_mnt/moved"
	umount_at "$T/tight_mnt"
	umount "$T/tight"
}

room_for() { cp "$1" "$2" 2>/dev/null; }

test_no_room_for_a_store_at_all() {
	needs_persistence
	needs_root
	mkdir "$T/tiny" "$T/m7"
	mount -t tmpfs -o size=64k tmpfs "$T/tiny"
	refused $STORE_TROUBLE "$T/tiny.*([Nn]o space|full|free)" "$T/tiny/store" "$T/m7"
	umount "$T/tiny"
}

# --- the machine --------------------------------------------------------------------

test_no_dev_fuse() {
	needs_root
	mkdir "$T/m8"
	# In a namespace of its own, /dev has no fuse.
	local status=0
	unshare -m bash -c '
		mount --make-rprivate /
		mount -t tmpfs tmpfs /dev
		mknod /dev/null c 1 3
		exec "$@"' - timeout 60 "$MEMOFS" mount -o "backend=$MEMOFS_BACKEND" \
		--log "$T/no-fuse.log" "$T/s8" "$T/m8" 2>"$T/said" || status=$?
	is $status $MOUNT_TROUBLE "exit code ($(cat "$T/said"))"
	grep -q /dev/fuse "$T/said" || fail "said: $(cat "$T/said")"
	is "$(wc -l <"$T/said")" 1 "lines of: $(cat "$T/said")"
}

test_no_permission_to_mount() {
	needs_root
	mkdir -m 777 "$T/nobody"
	mkdir "$T/nobody/mnt"
	local status=0
	# Root's own directory is not one where nobody may mount.
	# shellcheck disable=SC2016
	as_nobody bash -c 'exec "$MEMOFS" mount "$@"' - -o "backend=$MEMOFS_BACKEND" \
		--log "$T/nobody/log" "$T/nobody/store" "$T/nobody/mnt" 2>"$T/said" || status=$?
	is $status $MOUNT_TROUBLE "exit code ($(cat "$T/said"))"
	grep -Eqi 'permi|denied|not the owner|not owner|/dev/fuse' "$T/said" || fail "said: $(cat "$T/said")"
	! is_mounted "$T/nobody/mnt" || fail 'it is mounted'
}

# As on the machines where /dev/fuse is open to all: here it is in a namespace.
test_ordinary_user() {
	needs_root
	[ -u "$(command -v fusermount3)" ] || skip 'fusermount3 is not set-user-id'
	mkdir -m 700 "$T/user"
	chown 65534:65534 "$T/user"
	mknod -m 666 "$T/fuse" c 10 229
	export -f as_nobody
	export T COMMAND_TIMEOUT_S
	# shellcheck disable=SC2016
	unshare -m --propagation private bash -ec '
		mount --bind "$T/fuse" /dev/fuse
		as_nobody bash -ec "$1"' - '
		cd "$T/user"
		mkdir mnt
		"$MEMOFS" mount -o "backend=$MEMOFS_BACKEND" --log ./log store mnt
		echo x >mnt/key
		[ "$(cat mnt/key)" = x ]
		[ "$(stat -c %u mnt/key)" = 65534 ]
		# What the helper says is the reason, and not a guess.
		mkdir fake
		printf "#!/bin/sh\necho fusermount3: no luck >&2; exit 1\n" >fake/fusermount3
		chmod +x fake/fusermount3
		! PATH=$PWD/fake:$PATH "$MEMOFS" umount mnt 2>said
		grep -q "cannot unmount .*/mnt: fusermount3: no luck" said || { cat said >&2; exit 1; }
		"$MEMOFS" umount mnt
		! mountpoint -q mnt'
}

test_usage() {
	fails memofs "$MEMOFS" mount
	fails memofs "$MEMOFS" mount "$T/only"
	mkdir "$T/m9"
	refused $USAGE 'alow-other' "$T/s9" "$T/m9" -o alow-other
	refused $USAGE 'threads' "$T/s9" "$T/m9" -o threads=-3
	refused $USAGE 'cache' "$T/s9" "$T/m9" -o cache=-1
	[ ! -e "$T/s9" ] || fail 'a store was made'
}

# Programs in the mount that do what they should not do not stop the daemon.
test_rude_programs() {
	needs python3
	local pid
	pid=$(daemon_pid)
	python3 - <<-'END'
		import os, errno
		fd = os.open("key", os.O_CREAT | os.O_RDWR)
		for call in (lambda: os.pwrite(fd, b"x", -1), lambda: os.ftruncate(fd, -1),
		             lambda: os.pwrite(fd, b"x", 2**62), lambda: os.ftruncate(fd, 2**62),
		             lambda: os.setxattr("key", "user." + "n" * 300, b""),
		             lambda: os.setxattr("key", "user.big", b"x" * 100000),
		             lambda: os.setxattr("key", "trusted.x", b"x"),
		             lambda: os.lseek(fd, -5, os.SEEK_SET)):
		    try:
		        call()
		    except OSError as e:
		        assert e.errno not in (errno.EIO, errno.ENOTCONN), e
		    else:
		        raise SystemExit("a call which cannot work succeeded")
		# A value of which a part was refused is not published ...
		try:
		    os.close(fd)
		except OSError as e:
		    assert e.errno == errno.EFBIG, e
		# ... and the name is as good as any.
		with open("key", "w") as f:
		    f.write("fine")
		assert open("key").read() == "fine"
		# Thousands of descriptors, closed in any order, and a process killed amid.
		fds = [os.open(f"n{i % 50}", os.O_CREAT | os.O_RDWR) for i in range(500)]
		for fd in fds[::2] + fds[1::2]:
		    os.write(fd, b"x")
		    os.close(fd)
		child = os.fork()
		if child == 0:
		    fd = os.open("killed", os.O_CREAT | os.O_WRONLY)
		    os.write(fd, b"half")
		    os.kill(os.getpid(), 9)
		os.waitpid(child, 0)
	END
	is "$(daemon_pid)" "$pid" 'pid of the daemon'
}

run_tests "$@"
