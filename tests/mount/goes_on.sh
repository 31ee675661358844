#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is being written, and what is open, is after the death of the daemon as it was.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"

[ "$MEMOFS_BACKEND" != memory ] || skip_all 'a store in memory ends with its daemon'

# The next request waits for the successor.
crash() {
	local pid
	pid=$(daemon_pid)
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
}


# The content that it goes on from was not copied yet at the first crash, and was at the
# second.
test_append() {
	echo one >key
	exec 5>>key
	crash
	has key $'one\n'
	echo two >&5
	crash
	echo three >&5
	exec 5>&-
	has key $'one\ntwo\nthree\n'
}

# What a value has replaced is read on by who has it open.
test_replaced_and_removed() {
	head -c 300000 /dev/urandom >"$T/large"
	cp "$T/large" large
	echo small >small
	chmod 640 small
	exec 5<large 6<small
	echo new >large
	rm small
	crash
	cmp "$T/large" - <&5 || fail 'a large value that was replaced'
	is "$(stat -L -c %a /proc/self/fd/6)" 640 mode
	is "$(cat <&6)" small 'a value that was removed'
	has large $'new\n'
	absent small
}

test_a_removed_tree() {
	mkdir "$T/tree"
	echo content >"$T/tree/file"
	cp -r "$T/tree" .memofs/stage/tree
	mv .memofs/stage/tree tree
	exec 5<tree/file
	rmdir tree
	crash
	is "$(cat <&5)" content
	absent tree
}

test_attributes() {
	local own
	exec 5>key
	echo content >&5
	own=/proc/self/fd/5 # to others it has no name yet
	chmod 604 "$own"
	touch -d '2001-02-03 04:05:06' "$own"
	set_attr ttl 90s "$own"
	setfattr -n user.own -v mine "$own"
	crash
	is "$(attr ttl "$own")" 90s
	exec 5>&-
	is "$(stat -c '%a %y' key)" '604 2001-02-03 04:05:06.000000000 +0000'
	is "$(attr ttl key)" 90s
	is "$(getfattr --only-values -n user.own key)" mine
	has key $'content\n'
}

# By its writer: to others it has no name yet.
test_renamed_and_removed() {
	python3 - "$(daemon_pid)" <<-'END'
		import os, signal, sys
		def begin(name):
		    fd = os.open(name, os.O_WRONLY | os.O_CREAT)
		    os.write(fd, b"one")
		    return fd
		moved, removed = begin("temporary"), begin("removed")
		os.rename("temporary", "key")
		os.unlink("removed")
		os.kill(int(sys.argv[1]), signal.SIGKILL)
		for fd in moved, removed:
		    os.write(fd, b" two")
		    os.close(fd)
	END
	has key 'one two'
	absent temporary removed
}

# Cut and punched, small and large, and read by its writer.
test_cut() {
	local size
	for size in 2000 200000; do
		python3 - "$(daemon_pid)" "$size" <<-'END'
			import ctypes, os, signal, sys
			size = int(sys.argv[2])
			want = bytearray(os.urandom(size))
			fd = os.open("key", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
			os.write(fd, want)
			os.ftruncate(fd, 1500)
			want = want[:1500]
			punch = ctypes.CDLL(None, use_errno=True).fallocate
			punch.argtypes = [ctypes.c_int] * 2 + [ctypes.c_long] * 2
			assert punch(fd, 3, 100, 200) == 0, os.strerror(ctypes.get_errno())
			want[100:300] = bytes(200)
			os.kill(int(sys.argv[1]), signal.SIGKILL)
			assert os.pread(fd, size, 0) == want
			os.ftruncate(fd, 1900)
			want += bytes(400)
			assert os.pread(fd, size, 0) == want
			os.close(fd)
			assert open("key", "rb").read() == want
		END
	done
}

# The reservation of a descriptor stays with it.
test_exclusive() {
	set -C
	exec 5>key
	crash
	if (exec 5>&- && echo other >key) 2>/dev/null; then fail 'taken twice'; fi
	[[ $(cat .memofs/reservations/key) == held* ]] || fail 'not held any more'
	echo mine >&5
	exec 5>&-
	has key $'mine\n'
	is "$(cat .memofs/reservations/key)" free
}

test_owner() {
	echo 'me 1h' >.memofs/reservations/key
	exec 5>.memofs/view/owner=me/key
	echo mine >&5
	crash
	[[ $(cat .memofs/reservations/key) == *owner=me* ]] || fail 'another has it'
	exec 5>&-
	has key $'mine\n'
	is "$(cat .memofs/reservations/key)" free
}

test_owner_that_lost_it() {
	echo 'me 1h' >.memofs/reservations/key
	exec 5>.memofs/view/owner=me/key
	echo mine >&5
	crash
	echo 'me 0' >.memofs/reservations/key
	echo 'you 1h' >.memofs/reservations/key
	exec 5>&- || true
	absent key
}

# Its shell fails after the daemon that knew it has died.
test_failed_producer() {
	(
		exec 5>key
		echo half >&5
		crash
		exit 3
	) || true
	fails 'No such file' cat key
	[[ $(cat "$MNT/.memofs/log") == *'exit status 3'* ]] || fail 'the log does not say why'
}

test_fsynced() {
	dd if=/dev/zero bs=100k count=5 of=key conv=fsync status=none
	exec 5<key
	echo written >other
	python3 - "$(daemon_pid)" <<-'END'
		import os, signal, sys, time
		fd = os.open("other", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
		copy = os.dup(fd)
		os.write(fd, b"synced")
		os.fsync(fd)
		os.close(copy)                  # it is complete, for all that is known
		os.kill(int(sys.argv[1]), signal.SIGKILL)
		assert open("key").read(1) == "\0"
		os.write(fd, b" and more")      # it was not
		os.close(fd)
	END
	has other 'synced and more'
	is "$(wc -c <key)" 512000
}

# Many at a time, some of which are closed, some not.
test_many() {
	local i
	for i in {10..60}; do
		eval "exec $i>k$i"
		echo "first $i" >&"$i"
	done
	crash
	for i in {10..60}; do echo "second $i" >&"$i"; done
	for i in {10..40}; do eval "exec $i>&-"; done
	crash
	for i in {41..60}; do eval "exec $i>&-"; done
	for i in {10..60}; do has "k$i" "first $i"$'\n'"second $i"$'\n'; done
}

# Here they die more often than a daemon may.
MEMOFS_QUICK_MS=0 setup
run_tests "$@"
