#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is open goes on when the daemon dies: descriptors, listings, nodes under views.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"

[ "$MEMOFS_BACKEND" != memory ] || skip_all 'a store in memory ends with its daemon'
[ -z "$MEMOFS_PLAIN" ] || skip_all 'an ordinary directory has no daemon'
needs python3 2>/dev/null || skip_all 'python3 is not there'

crash() {
	local pid
	pid=$(daemon_pid)
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
}

# Runs a program with crash() and what most of them need.
program() { # [ARGUMENT...]; the text is stdin
	python3 <(
		cat <<-'END'
			import itertools, os, re, signal, sys, time
			def pid():
			    with open(os.environ["MNT"] + "/.memofs/status") as f:
			        return int(re.search(r"^pid:\s*(\d+)", f.read(), re.M).group(1))
			def crash():
			    was = pid()
			    os.kill(was, signal.SIGKILL)
			    while pid() == was:
			        time.sleep(0.01)
		END
		cat
	) "$@"
}
export MNT

# --- generations ---------------------------------------------------------------------

test_readers_of_what_is_gone() {
	echo replaced >replaced
	echo removed >removed
	head -c 3000000 /dev/urandom >"$T/large"
	cp "$T/large" large
	exec 5<replaced 6<removed 7<large
	head -c 1000000 <&7 >"$T/seen"
	echo new >replaced
	echo new >large
	rm removed
	crash
	is "$(cat <&5)" replaced
	is "$(cat <&6)" removed
	cat <&7 >>"$T/seen"
	same "$T/seen" "$T/large"
	is "$(stat -Lc %s /dev/fd/7)" 3000000 'size of what is open'
	exec 5<&- 6<&-
	crash
	same /dev/fd/7 "$T/large"
	exec 7<&-
	has large $'new\n'
	has replaced $'new\n'
}

test_maps() {
	program <<-'END'
		import mmap
		want = os.urandom(1 << 20)
		with open("mapped", "wb") as f:
		    f.write(want)
		with open("mapped", "rb") as f:
		    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		os.unlink("mapped")
		assert m[:4096] == want[:4096]
		crash()
		assert m[:] == want
	END
}

test_control_files() {
	program <<-'END'
		fd = os.open(os.environ["MNT"] + "/.memofs/config", os.O_RDONLY)
		first = os.read(fd, 10)
		whole = open(os.environ["MNT"] + "/.memofs/config").read()
		crash()
		rest = b""
		while chunk := os.read(fd, 4096):
		    rest += chunk
		text = (first + rest).decode()
		assert len(text) > 10 and whole == text, (text, whole)
		names = os.open(".memofs", os.O_RDONLY)
		before = os.listdir(names)
		crash()
		assert os.listdir(names) == before
	END
}

# --- listings ------------------------------------------------------------------------

# Whatever comes and goes meanwhile, what is there all the time comes once.
test_listing_while_names_change() {
	mkdir many
	(cd many && seq 1000 3999 | xargs touch)
	program <<-'END'
		def names(entries, count):
		    return [e.name for e in itertools.islice(entries, count)]
		for step in (1, 100, 700):
		    seen = []
		    with os.scandir("many") as entries:
		        while True:
		            got = names(entries, step)
		            if not got:
		                break
		            seen += got
		            if len(seen) < 1600:
		                n = len(seen)
		                if n % 700 in range(step):
		                    os.unlink("many/%d" % (1000 + n // 2))
		                    open("many/0%d" % n, "w").close()
		                    open("many/9%d" % n, "w").close()
		                    crash()
		                    open("many/%d" % (1000 + n // 2), "w").close()
		    stay = [s for s in seen if s[0] not in "09"]
		    twice = {s for s in stay if stay.count(s) > 1} if len(set(stay)) < len(stay) else set()
		    assert not twice, sorted(twice)[:10]
		    missing = {str(i) for i in range(1000, 4000)} - set(stay)
		    assert len(missing) <= 3, sorted(missing)[:10] # those that were gone for a moment
	END
}

test_listing_again() {
	mkdir few
	touch few/a few/b few/c
	program <<-'END'
		import ctypes
		libc = ctypes.CDLL(None, use_errno=True)
		libc.fdopendir.restype = libc.readdir64.restype = ctypes.c_void_p
		for f in (libc.readdir64, libc.rewinddir, libc.telldir, libc.closedir):
		    f.argtypes = [ctypes.c_void_p]
		libc.telldir.restype = ctypes.c_long
		libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
		def name(d):
		    e = libc.readdir64(d)
		    return ctypes.string_at(e + 19).decode() if e else None
		def rest(d):
		    got = []
		    while n := name(d):
		        got.append(n)
		    return got
		d = libc.fdopendir(os.open("few", os.O_RDONLY | os.O_DIRECTORY))
		assert rest(d) == [".", "..", "a", "b", "c"]
		crash()
		assert rest(d) == []
		libc.rewinddir(d)
		assert [name(d), name(d), name(d)] == [".", "..", "a"]
		at = libc.telldir(d)
		assert name(d) == "b"
		crash()
		libc.seekdir(d, at)
		assert rest(d) == ["b", "c"]
		open("few/d", "w").close()
		libc.rewinddir(d)
		assert rest(d) == [".", "..", "a", "b", "c", "d"]
	END
}

test_listing_of_a_tree() {
	mkdir "$T/grown"
	(cd "$T/grown" && seq 1000 1999 | xargs touch && mkdir below && echo text >below/file)
	"$MEMOFS_BUILD/tests/mount/mkpack" "$T/grown" >"$T/pack"
	cp "$T/pack" .memofs/view/pack/key
	program <<-'END'
		fd = os.open("key/below/file", os.O_RDONLY)
		seen = []
		with os.scandir("key") as entries:
		    for e in entries:
		        seen.append(e.name)
		        if len(seen) == 10:
		            crash()
		assert sorted(seen) == [str(i) for i in range(1000, 2000)] + ["below"]
		with os.scandir("key") as entries:
		    next(entries)
		    os.rmdir("key")
		    crash()
		assert os.read(fd, 100) == b"text\n"
	END
	absent key
}

# --- nodes ---------------------------------------------------------------------------

test_nodes_under_views() {
	mkdir -p dir/sub
	echo one >dir/sub/key
	(
		cd dir/.memofs/view/ro/sub
		exec 5<key
		crash
		is "$(cat <&5)" one
		is "$(cat key)" one
		fails 'Read-only' touch new
		is "$(names . | tr '\n' ' ')" 'key '
		crash
		is "$(cat ../sub/key)" one
		cd ../../..
		is "$(ls reservations)" ''
	)
	# The same numbers, for who compares them.
	exec 6<dir/.memofs/view/max-age=1h/sub/key
	crash
	is "$(stat -Lc %i /dev/fd/6)" "$(stat -c %i dir/.memofs/view/max-age=1h/sub/key)"
}

# Who has waited for a part of his time waits for the rest, and he has one answer.
test_waiters() {
	local i pids=()
	mkfifo "$T/go"
	(exec 5>slow && read -r -t 60 _ <>"$T/go" && echo ended >&5) &
	eventually 20 is_begun slow
	for i in 1 2 3 4 5; do
		cat .memofs/view/wait=60s/slow >"$T/seen$i" &
		pids+=($!)
	done
	timeout 40 cat .memofs/view/wait=3s/slow 2>"$T/late" &
	pids+=($!)
	eventually 20 waiting 6
	for i in 1 2 3; do
		crash
		sleep 0.5
	done
	! wait "${pids[5]}" || fail 'it has got something'
	grep -q 'timed out' "$T/late" || fail "it said $(cat "$T/late")"
	echo >"$T/go"
	for i in 1 2 3 4 5; do
		wait "${pids[i - 1]}"
		has "$T/seen$i" $'ended\n'
	done
	eventually 20 waiting 0 # it is counted down after the answers
}

is_begun() { [ "$(ls .memofs/reservations)" = "$1" ]; }

waiting() { [ "$(status_of waiting_opens)" -eq "$1" ]; }

# --- values being written --------------------------------------------------------------

test_two_descriptors_of_one_value() {
	exec 5>value 6>&5
	echo one >&5
	exec 7<>value
	crash
	echo two >&6
	exec 5>&-
	crash
	is "$(cat <&7)" $'one\ntwo' 'its own reader'
	exec 6>&-
	exec 7>&-
	has value $'one\ntwo\n'
}

test_unlinked_while_written() {
	program <<-'END'
		f = open("gone", "w+b", buffering=0)
		f.write(b"one\n")
		os.unlink("gone")
		crash()
		f.write(b"two\n")
		f.seek(0)
		assert f.read() == b"one\ntwo\n"
		assert os.fstat(f.fileno()).st_size == 8
	END
	absent gone
}

# An overwriter is sent round by ESTALE; it may come back to another daemon.
test_overwriting_meanwhile() {
	echo first >key
	program <<-'END'
		import threading
		stop, errors, last = False, [], [0, 0]
		def write(n):
		    while not stop:
		        last[n] += 1
		        try:
		            with open("key%d" % n, "w") as f:
		                f.write("%d\n" % last[n] * 100)
		            got = open("key%d" % n).read()
		            assert got == "%d\n" % last[n] * 100, (got[:10], last[n])
		        except BaseException as e:
		            errors.append(repr(e))
		            return
		threads = [threading.Thread(target=write, args=(n,)) for n in (0, 1)]
		for t in threads:
		    t.start()
		for _ in range(8):
		    time.sleep(0.1)
		    crash()
		stop = True
		for t in threads:
		    t.join()
		assert not errors, errors
	END
}

MEMOFS_QUICK_MS=0 setup
# --- a kernel that cannot send again ---------------------------------------------------

# What was under way fails, and nothing else. $1 is where.
without_resend() {
	local preload=$MEMOFS_BUILD/tests/mount/libnoresend.so
	[ -e "$preload" ] || skip 'a sanitizer has to be loaded first'
	mkdir "$1"
	MEMOFS_QUICK_MS=0 LD_PRELOAD=$preload mount_at "$1.store" "$1"
	cd "$1"
}

crash_here() {
	local pid
	pid=$(daemon_pid .)
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
}

test_no_resend() {
	without_resend "$T/old"
	echo x >key
	exec 5>open 6<key
	echo one >&5
	set_attr reservation 'me 60s' .memofs/reservations/awaited
	(cat .memofs/view/wait/awaited >"$T/cat.out" 2>"$T/cat.err" || :) &
	eventually 20 waits_for_it .
	crash_here
	wait $!
	has "$T/cat.err" $'cat: .memofs/view/wait/awaited: Input/output error\n'
	has "$T/cat.out" ''
	echo two >&5
	exec 5>&-
	has open $'one\ntwo\n'
	is "$(cat <&6)" x
	exec 6<&-
	set_attr reservation 'me 0' .memofs/reservations/awaited
	cd /
	umount_at "$T/old"
}

# Whatever is answered, it is answered; at the end all is as before.
test_no_resend_under_load() {
	local i job
	without_resend "$T/busy"
	timeout 60 python3 - <<-'END' &
		import os, threading, time
		end = time.monotonic() + 8
		def work(n):
		    os.makedirs(f"d{n}", exist_ok=True)
		    while time.monotonic() < end:
		        for act in (lambda: open(f"d{n}/f", "w").write("x" * 5000),
		                    lambda: open(f"d{n}/f").read(),
		                    lambda: os.listdir(f"d{n}"),
		                    lambda: os.stat(f"d{n}/absent")):
		            try:
		                act()
		            except OSError:
		                pass
		threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
		for t in threads: t.start()
		for t in threads: t.join()
	END
	job=$!
	for ((i = 0; i < 8; i++)); do
		sleep 0.5
		crash_here
	done
	wait "$job" || fail 'somebody waits for ever'
	eventually 20 cp /dev/null again
	echo text >again
	has again $'text\n'
	cd /
	umount_at "$T/busy"
}

waits_for_it() { [ "$(status_of waiting_opens "$1")" -eq 1 ]; }

run_tests "$@"
