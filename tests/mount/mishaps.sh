#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What befalls a daemon from within (mishap.c): a request that never ends, kept memory that
# is full, damaged, or kills whoever uses it. The mount goes on.
#
# MEMOFS_SLOW=1: also what takes more than some seconds.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

[ "$MEMOFS_BACKEND" != memory ] || skip_all 'a store in memory ends with its daemon'

setup_folder
PRELOAD=$MEMOFS_BUILD/tests/mount/libmishap.so
[ -e "$PRELOAD" ] || skip_all 'a sanitizer has to be loaded first'

# Sets M, H, and MISHAP, where the files are. What is kept is a thing of a process, so
# those that die are many.
begin() { # NAME [OPTION...]
	local name=$1
	shift
	M=$T/$name MISHAP=$T/$name.mishap
	mkdir "$M" "$MISHAP"
	MEMOFS_MISHAP=$MISHAP LD_PRELOAD=$PRELOAD mount_at "$T/$name.store" "$M" "$@"
	H=$(status_of holder "$M")
}

needs_time() { [ -n "${MEMOFS_SLOW:-}" ] || skip 'MEMOFS_SLOW is not set'; }

crash() {
	local pid
	pid=$(daemon_pid "$M")
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
}

logged() { grep -qE "$1" "$LOG"; }

# One worker waits for itself, and the others go on: it is told of, with stacks, and the
# daemon is replaced later. Who was kept waiting gets what he has asked for.
test_deadlocked_worker() {
	local pid writer
	needs_time
	begin deadlock -o watchdog=1s,staged-memory=1m
	echo value >"$M/key"
	pid=$(daemon_pid "$M")
	touch "$MISHAP/deadlock"
	(yes DEADLOCK || :) | head -c 3000000 >"$T/bytes"
	dd if="$T/bytes" of="$M/large" bs=1M status=none &
	writer=$!
	eventually 20 test ! -e "$MISHAP/deadlock"
	eventually 20 answers_with_report
	is "$(daemon_pid "$M")" "$pid" 'too early'
	until ! kill -0 "$writer" 2>/dev/null; do
		timeout 20 cat "$M/key" >/dev/null
		sleep 0.1
		[ "$SECONDS" -lt 60 ] || fail 'the daemon is not replaced'
	done
	wait "$writer"
	same "$M/large" "$T/bytes"
	eventually 20 logged 'which did not come to the end of a request, and was killed' || fail 'the log does not say why'
	is "$(grep -c 'goes on at .*/deadlock' "$LOG")" 1 'daemons that went on'
	umount_at "$M"
}

answers_with_report() {
	cat "$M/key" >/dev/null
	logged 'a request has been under way for .* s; threads are at:' && logged 'libmishap'
}

# Kept memory of which daemons die: after some have, it is given up, and the mount works
# again, with what was open reading EIO.
test_poison() {
	begin poison
	echo value >"$M/key"
	exec 5<"$M/key" 6>"$M/POISON"
	echo lost >&6
	kill -KILL "$(daemon_pid "$M")"
	eventually 60 logged '/poison for .* was killed by signal 6 .*given up .*what is open reads EIO'
	fails 'Input/output error' cat <&5
	fails 'Input/output error' bash -c 'echo more >&6'
	has "$M/key" $'value\n'
	exec 5<&- 6>&-
	absent "$M/POISON"
	goes_on
}

# It works as any other, and is kept as any other.
goes_on() {
	exec 5>"$M/new"
	echo one >&5
	crash
	echo two >&5
	exec 5>&-
	has "$M/new" $'one\ntwo\n'
	umount_at "$M"
	eventually 20 process_gone "$H"
}

kept_memory() { # the holder's descriptor of it
	local fd
	for fd in /proc/"$H"/fd/*; do
		[[ "$(readlink "$fd")" != /memfd:memofs-keep* ]] || echo "$fd"
	done
}

# The same when it is found to be damaged. One process does it all: every other one would
# wait for an answer when it closes what it has of these.
test_damaged() {
	needs_time
	begin damaged
	echo value >"$M/key"
	python3 - "$M" "$H" "$(kept_memory)" "$(daemon_pid "$M")" <<-'END'
		import errno, os, signal, sys
		mnt, holder, kept, daemon = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
		fd = os.open(f"{mnt}/lost", os.O_WRONLY | os.O_CREAT)
		os.write(fd, b"lost")
		with open(kept, "r+b", buffering=0) as f:
		    os.kill(holder, signal.SIGSTOP)
		    os.kill(daemon, signal.SIGKILL)
		    f.write(b"x" * 4096)
		    os.kill(holder, signal.SIGCONT)
		try:
		    os.write(fd, b"more")
		    sys.exit("it can be written on")
		except OSError as e:
		    assert e.errno == errno.EIO, e
	END
	eventually 60 logged '/damaged for .*kept memory.* given up'
	has "$M/key" $'value\n'
	absent "$M/lost"
	goes_on
}

# Full: what is opened now works, and reads EIO after a death; what was kept is there
# then, and nothing is another's.
test_full() {
	local i
	begin full
	mkdir "$M/many"
	for i in {1..9}; do echo "$i" >"$M/many/$i"; done
	exec 5>"$M/before"
	echo one >&5
	touch "$MISHAP/full"
	python3 - "$M" "$(daemon_pid "$M")" <<-'END'
		import errno, os, resource, signal, sys
		mnt, pid = sys.argv[1], int(sys.argv[2])
		most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
		resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
		def opened(count):
		    return [(i % 9 + 1, os.open(f"{mnt}/many/{i % 9 + 1}", os.O_RDONLY)) for i in range(count)]
		def read(key, fd):
		    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED) # ask the daemon
		    try:
		        return os.pread(fd, 100, 0) == b"%d\n" % key
		    except OSError as e:
		        assert e.errno == errno.EIO, e
		        return None
		fds = opened(12000)
		assert all(read(*f) for f in fds)
		os.kill(pid, signal.SIGKILL)
		after = opened(4000)
		seen = [read(*f) for f in fds]
		assert False not in seen, "another's bytes"
		assert None in seen, "it was not full"
		assert all(read(*f) for f in after)
		for _, fd in fds:
		    os.close(fd)
		assert all(read(*f) for f in after), "it was closed by another's close"
	END
	echo two >&5
	exec 5>&-
	has "$M/before" $'one\ntwo\n'
	logged 'cannot be kept' || fail 'the log does not say so'
	rm "$MISHAP/full"
	goes_on
}

# A directory is locked by who makes a name in it, and is never answered, when another name
# of it is to be told of. Who is killed then leaves no mount that hangs, though nobody goes
# on for him: it ends. (The test itself has nothing open, which may never be closed.)
killed_while_it_tells() {
	local pid writer maker
	mkdir "$M/d"
	echo one >"$M/d/key"
	pid=$(daemon_pid "$M")
	python3 - "$M/d" "$T/told" <<-'END' 2>/dev/null &
		import os, sys, time
		here, mark = sys.argv[1:]
		view = here + "/.memofs/view/ro"
		shown = os.open(view, os.O_RDONLY)
		assert open(view + "/key").read() == "one\n"
		key = os.open(here + "/key", os.O_WRONLY | os.O_TRUNC)
		os.write(key, b"two\n")
		os.mkdir(mark)
		while not os.path.exists(mark + "/go"):
		    time.sleep(0.01)
		os.close(key)
		os.mkdir(mark + "/done")
	END
	writer=$!
	eventually 20 test -e "$T/told"
	touch "$MISHAP/commit"
	mkdir "$M/d/STUCK" 2>/dev/null &
	maker=$!
	eventually 20 test ! -e "$MISHAP/commit"
	touch "$T/told/go"
	eventually 20 test -e "$T/told/done"
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
	fails 'not connected|connection abort' timeout 10 ls "$M"
	eventually 20 process_gone "$maker"
	eventually 20 process_gone "$writer"
	rm -r "$T/told"
	umount_at "$M"
}

test_killed_while_it_tells_a_name() {
	begin names -o holder=no
	killed_while_it_tells
}

test_killed_after_its_holder() {
	begin orphan
	kill -KILL "$H"
	eventually 20 process_gone "$H"
	killed_while_it_tells
}

# One that was ready once has a fresh start, also when it is killed soon.
MEMOFS_QUICK_MS=0
export MEMOFS_QUICK_MS
run_tests "$@"
