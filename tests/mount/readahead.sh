#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How far the kernel reads ahead on a mount, and large values that are read so.
# shellcheck source-path=SCRIPTDIR source=functions.sh
source "$(dirname "$0")/functions.sh"

DEFAULT=128 RAISED=512

# The kernel's number for a mount.
knob() { # MOUNTPOINT
	awk -v m="$1" '$5 == m { dev = $3 } END { print "/sys/class/bdi/" dev "/read_ahead_kb" }' \
		/proc/self/mountinfo
}

# INIT is answered when `memofs mount` returns, and a moment later this is set.
reads_ahead() { [ "$(cat "$(knob "$2")")" = "$1" ]; } # KIB MOUNTPOINT

needs_sysfs() {
	needs_root
	needs_mount
	[ -w "$(knob "$MNT")" ] || skip 'sysfs cannot be written here'
}

requests() { status_of requests; }

# From the daemon, from beginning to end: what the kernel has of it is dropped before.
read_cold() { # FILE
	python3 - "$1" <<-'END'
		import hashlib, os, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
		sum = hashlib.sha256()
		while part := os.read(fd, 1 << 20):
		    sum.update(part)
		print(sum.hexdigest())
	END
}

test_mounts_read_ahead() {
	needs_sysfs
	needs_persistence # nothing can be attached to what is in memory
	eventually 20 reads_ahead "$RAISED" "$MNT"
	mkdir "$T/attached" "$T/read-only" "$T/other"
	"$MEMOFS" mount --attach "$MNT" "$T/attached"
	eventually 20 reads_ahead "$RAISED" "$T/attached"
	umount_at "$T/attached"
	mount_at "$T/other" "$T/read-only" --read-only
	eventually 20 reads_ahead "$RAISED" "$T/read-only"
	umount_at "$T/read-only"
}

goes_on() { grep -c 'goes on with' "$LOG" || :; }
has_gone_on() { [ "$(goes_on)" -gt "$1" ]; } # COUNT BEFORE

# A successor answers, and has had the time to set what it should not.
replaced() {
	local before
	before=$(goes_on)
	kill -KILL "$(daemon_pid)"
	eventually 30 has_gone_on "$before"
	cat "$MNT/.memofs/status" >/dev/null
	sleep 0.5
}

test_what_was_set_stays() {
	needs_sysfs
	needs_persistence
	eventually 20 reads_ahead "$RAISED" "$MNT"
	echo 2048 >"$(knob "$MNT")"
	replaced
	reads_ahead 2048 "$MNT" || fail "a successor has set $(cat "$(knob "$MNT")")"
	echo "$DEFAULT" >"$(knob "$MNT")"
	replaced
	reads_ahead "$DEFAULT" "$MNT" || fail 'a successor has raised what was made less'
	echo "$RAISED" >"$(knob "$MNT")"
}

# A container without a sysfs that can be written, or without any.
test_without_sysfs() {
	needs_sysfs
	mkdir "$T/store2" "$T/mnt2"
	for way in 'mount -o remount,bind,ro /sys' 'mount -t tmpfs none /sys'; do
		echo "$way"
		unshare -m --propagation private bash -c "$way"' &&
			timeout 60 "$0" mount --log "$3" -o log-level=debug "$1" "$2" &&
			echo x >"$2/x" && [ "$(cat "$2/x")" = x ] && "$0" umount "$2"' \
			"$MEMOFS" "$T/store2" "$T/mnt2" "$T/log2"
	done
	is "$(grep -c 'the kernel reads ahead as far as it does' "$T/log2")" 2
}

test_large_requests() {
	needs_sysfs
	eventually 20 reads_ahead "$RAISED" "$MNT"
	head -c 64M /dev/urandom >"$T/want"
	cp "$T/want" large
	before=$(requests)
	is "$(read_cold large)" "$(sha256sum "$T/want" | cut -d ' ' -f 1)"
	cost=$(($(requests) - before))
	# 128 and what begins small; it is 512 of the kernel's own.
	[ "$cost" -lt 200 ] || fail "64 MiB cost $cost requests"
}

# Here and there, backwards, over the end, and mapped.
test_readers_that_seek() {
	head -c 9000001 /dev/urandom >"$T/want"
	cp "$T/want" large
	python3 - "$T/want" large <<-'END'
		import mmap, os, random, sys
		want = open(sys.argv[1], "rb").read()
		fd = os.open(sys.argv[2], os.O_RDONLY)
		rand = random.Random(7)
		def drop():
		    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
		for round in range(30):
		    drop()
		    at = rand.randrange(len(want))
		    for i in range(12):
		        size = rand.choice([1, 4096, 65536, 131072, 524288, 1048576, 3000000])
		        if i % 4 == 0:
		            at = rand.randrange(len(want) + 5)
		        if i % 4 == 3:
		            at = max(0, at - 2 * size)
		        got = os.pread(fd, size, at)
		        assert got == want[at : at + size], (round, at, size)
		        at += size
		drop()
		with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
		    for i in range(200):
		        at = rand.randrange(len(want))
		        assert m[at] == want[at]
		    assert m[:] == want
	END
}

# What is good before it is read, and nothing of what is bad.
test_damage() {
	needs_persistence
	head -c 32M /dev/urandom >"$T/want"
	cp "$T/want" large
	sync
	extent=$(find "$STORE/extents" -type f -size 32M | head -1)
	printf 'bad' | dd of="$extent" bs=1 seek=$((20 << 20)) conv=notrunc status=none
	cd "$T"
	umount_memofs
	mount_memofs "${MOUNT_ARGS[@]}"
	python3 - "$T/want" "$MNT/damage/large" <<-'END'
		import errno, os, sys
		want = open(sys.argv[1], "rb").read()
		fd = os.open(sys.argv[2], os.O_RDONLY)
		at = 0
		try:
		    while part := os.read(fd, 1 << 20):
		        assert part == want[at : at + len(part)], at
		        at += len(part)
		    raise SystemExit("read to the end")
		except OSError as e:
		    assert e.errno == errno.EIO, e
		assert 16 << 20 <= at <= 20 << 20, at
	END
	absent "$MNT/damage/large"
	grep -q 'does not match its checksum' "$LOG"
}

# Whoever serves it, and whatever becomes of its name: a reader has all of it.
test_daemons_and_names_that_go() {
	needs_persistence
	head -c 96M /dev/urandom >"$T/want"
	cp "$T/want" large
	sync
	want=$(sha256sum "$T/want" | cut -d ' ' -f 1)
	# Until it is told to stop, or the test has failed and its folder is gone.
	python3 - large "$T" <<-'END' &
		import hashlib, os, sys, time
		fd = os.open(sys.argv[1], os.O_RDONLY)
		os.chdir(sys.argv[2])
		open("begun", "w").close()
		last = False
		while not last and os.path.exists("begun"):
		    last = os.path.exists("stop") # all of it once more after that
		    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
		    sum, at = hashlib.sha256(), 0
		    while part := os.pread(fd, 1 << 20, at):
		        sum.update(part)
		        at += len(part)
		        if at % (8 << 20) == 0:
		            time.sleep(0.05)
		    with open("got", "a") as out:
		        out.write(sum.hexdigest() + "\n")
	END
	reader=$!
	eventually 20 test -e "$T/begun"
	kill -KILL "$(daemon_pid)"
	eventually 30 test -e "$MNT/.memofs/status"
	timeout 60 "$MEMOFS" upgrade "$MNT"
	rm large
	kill -KILL "$(daemon_pid)"
	eventually 30 test -e "$MNT/.memofs/status"
	: >"$T/stop"
	wait "$reader"
	is "$(sort -u "$T/got")" "$want"
	no_large_extent() { [ -z "$(find "$STORE/extents" -type f -size 96M)" ]; }
	eventually 30 no_large_extent
}

# What the kernel reads itself comes without requests (passthrough.sh).
setup -o passthrough=off
run_tests "$@"
