#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who writes what: threads, descriptors without a name, invisible processes.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

rounds() { echo $(($1 * ${MEMOFS_PERCENT:-100} / 100)); }

writers() { "$MEMOFS_BUILD/tests/mount/writers" "$@"; }

# Nothing is left over that somebody is believed to be writing.
nothing_pending() {
	[ -n "$MEMOFS_PLAIN" ] || [ "$(status_of pending_writes)" -eq 0 ]
}

test_threads_write_one_name() {
	needs_mount # elsewhere they write into one file
	writers threads . "$(rounds 3000)"
	eventually 10 nothing_pending
}

test_closed_while_renamed() { writers rename . "$(rounds 3000)"; }
test_closed_while_removed() { writers unlink . "$(rounds 3000)"; }

# A thread ends and leaves its descriptor to the process.
test_thread_that_ended() {
	python3 - <<-'END'
		import os, threading
		fds = []
		def begin():
		    fds.append(os.open("tmp", os.O_CREAT | os.O_WRONLY, 0o644))
		thread = threading.Thread(target=begin)
		thread.start()
		thread.join()
		os.write(fds[0], b"data")
		assert os.stat("tmp").st_size == 4
		os.rename("tmp", "key")
		os.close(fds[0])
	END
	has key data
	absent tmp
}

test_opened_for_reading() {
	echo old >old
	python3 - <<-'END'
		import os
		os.close(os.open("new", os.O_RDONLY | os.O_CREAT, 0o644))
		os.close(os.open("old", os.O_RDONLY | os.O_TRUNC))
	END
	has new ''
	has old ''
	eventually 10 nothing_pending
}

# An open for writing by /proc/self/fd is refused, and the next file that is
# looked at is what it was.
test_refused_by_descriptor() {
	needs_mount # elsewhere it is allowed
	echo one >one
	# By another process, so that this one has to ask for it.
	bash -c 'echo two >two; echo three >three'
	python3 - <<-'END'
		import os
		fd = os.open("one", os.O_RDONLY)
		for flags in os.O_WRONLY | os.O_TRUNC, os.O_RDWR, os.O_RDONLY | os.O_TRUNC:
		    try:
		        os.open("/proc/self/fd/%d" % fd, flags)
		        raise SystemExit("opened")
		    except OSError:
		        pass
		    assert os.stat("two").st_size == 4
		    assert open("two").read() == "two\n"
		    assert os.stat("three").st_size == 6
		    assert open("three").read() == "three\n"
		assert os.read(fd, 10) == b"one\n"
	END
	has one $'one\n'
	eventually 10 nothing_pending
}

# What is replaced while somebody else writes it is not kept by the kernel.
test_made_while_being_written() {
	python3 - <<-'END'
		import os, subprocess
		def other(code):
		    subprocess.run(["python3", "-c", "import os\n" + code], check=True)
		for name, make in [
		    ("node", "os.mknod('node', 0o644)"),
		    ("link", "os.symlink('nowhere', 'link')"),
		    ("moved", "open('x', 'w').close(); os.stat('x'); os.rename('x', 'moved')"),
		]:
		    fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o644)
		    os.write(fd, b"data")
		    other(make)
		    os.close(fd)
		    other("assert os.lstat('%s').st_size == 4, os.lstat('%s')" % (name, name))
		    assert open(name).read() == "data"
	END
}

# ---- processes that the daemon cannot see ----

invisible_up() {
	needs_mount
	needs_root
	unshare --pid --fork true 2>/dev/null || skip 'no pid namespaces'
	mkdir "$T/inv-mnt"
	cd "$T"
	unshare --pid --fork "$MEMOFS" mount -f -o "backend=$MEMOFS_BACKEND" --log "$LOG" \
		"$T/inv-store" "$T/inv-mnt" &
	eventually 20 is_mounted "$T/inv-mnt"
	cd "$T/inv-mnt"
}

test_invisible_processes() {
	invisible_up
	trap 'cd /; umount -l "$T/inv-mnt"' EXIT
	echo one >key
	has key $'one\n'
	echo two >key
	echo three >>key
	has key $'two\nthree\n'
	# What one has begun is not another's.
	exec 4>key 5>fresh
	echo half >&4
	echo half >&5
	has key $'two\nthree\n'
	absent fresh
	cp key copy
	has copy $'two\nthree\n'
	exec 4>&- 5>&-
	has key $'half\n'
	has fresh $'half\n'
	# One overwrites a name over and over; others have nothing to do with it.
	echo other >other
	(for _ in $(seq 300); do echo x >key; done) &
	# One who is not seen may be sent round in vain, when another one of his user is just
	# then, too: the daemon cannot tell who comes back.
	local i value stale=0
	for i in $(seq 300); do
		is "$(<other)" other "round $i"
		if ! value=$(cat key 2>"$T/round"); then
			grep -q 'Stale file handle' "$T/round" || fail "round $i: $(<"$T/round")"
			stale=$((stale + 1))
			continue
		fi
		case $value in
		half | x) ;;
		*) fail "round $i: somebody read a value that was not closed" ;;
		esac
	done
	wait $!
	[ "$stale" -le 15 ] || fail "$stale of 300 were sent round in vain"
}

run_tests "$@"
