#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Listings that the kernel keeps: of a large directory, as long as nothing in it changes.
# And lookups in one directory, several at a time.
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory counts no requests'
setup

# From one listing to the next: how many requests it took, and what it had.
prepare() { # COUNT
	cat >"$T/lists.py" <<-'END'
		import os, sys
		mnt = sys.argv[1]

		def requests():
		    with open(mnt + "/.memofs/status") as f:
		        for line in f:
		            if line.startswith("requests:"):
		                return int(line.split()[1])

		def listed(path):
		    "Its names, and what they cost beside opening and closing."
		    before = requests()
		    idle = requests() - before
		    names = os.listdir(path)
		    return set(names), requests() - before - 2 * idle - 2

		def make(first, count):
		    for i in range(first, first + count):
		        with open("big/n%05d" % i, "w") as f:
		            f.write("x")

		def warm(path="big"):
		    "Until the kernel has it: it is copied, it is read."
		    for _ in range(4):
		        names, cost = listed(path)
		        if cost <= 0:
		            return names
		    raise SystemExit("listing %s again takes %d requests" % (path, cost))

		os.mkdir("big")
		for i in range(int(sys.argv[2])): # the cheapest that there is
		    os.symlink("x", "big/n%05d" % i)
	END
}

lists() { # COUNT <PYTHON
	needs python3
	prepare
	cat "$T/lists.py" - >"$T/this.py"
	timeout "$COMMAND_TIMEOUT_S" python3 "$T/this.py" "$MNT" "$1"
}

test_again_asks_nothing() {
	lists 1200 <<-'END'
		whole = {"n%05d" % i for i in range(1200)}
		assert warm() == whole
		for _ in range(3):
		    names, cost = listed("big")
		    assert names == whole and cost <= 0, (len(names), cost)
	END
}

# The first one is copied; of a few names none is.
test_first_is_copied() {
	lists 1200 <<-'END'
		whole = {"n%05d" % i for i in range(1200)}
		assert listed("big")[0] == whole
		names, cost = listed("big")
		assert names == whole and cost <= 1, (len(names), cost) # opendir(3) asks for its atime
		os.mkdir("few")
		open("few/one", "w").close()
		for _ in range(3):
		    names, cost = listed("few")
		    assert names == {"one"} and cost > 0, (names, cost)
		for i in range(1200): # it has grown: that is seen when it is listed
		    os.symlink("x", "few/n%05d" % i)
		assert warm("few") == whole | {"one"}
	END
}

# Whatever changes it, the next one has it.
test_changes_are_seen() {
	lists 1100 <<-'END'
		whole = warm()
		def expect(change, more=(), less=()):
		    global whole
		    assert not whole or warm() == whole
		    change()
		    whole = (whole | set(more)) - set(less)
		    for _ in range(4):
		        names, cost = listed("big")
		        assert names == whole, (sorted(names ^ whole)[:10], cost)
		expect(lambda: make(1100, 1), more=["n01100"])
		expect(lambda: os.unlink("big/n00007"), less=["n00007"])
		expect(lambda: os.rename("big/n00008", "big/moved"), more=["moved"], less=["n00008"])
		expect(lambda: os.rename("big/n00009", "gone"), less=["n00009"])
		expect(lambda: os.mkdir("big/dir"), more=["dir"])
		expect(lambda: os.symlink("x", "big/link"), more=["link"])
		view = "big/.memofs/view/max-age=1h/"
		expect(lambda: open(view + "viewed", "w").close(), more=["viewed"])
		expect(lambda: os.unlink(view + "viewed"), less=["viewed"])
		before = whole
		expect(lambda: os.setxattr("big", "user.cache.version", b"2"), less=before)
		expect(lambda: os.removexattr("big", "user.cache.version"), more=before)
	END
}

test_what_has_expired_is_not_listed() {
	lists 1200 <<-'END'
		import time
		whole = warm()
		with open("big/short", "w") as f:
		    os.setxattr(f.fileno(), "user.cache.ttl", b"3s")
		end = time.time() + 3.2
		seen = 0
		while time.time() < end:
		    before = time.time()
		    names, cost = listed("big")
		    seen += "short" in names
		assert seen
		for _ in range(4):
		    assert listed("big")[0] == whole
		# What they inherit becomes shorter.
		warm()
		os.setxattr("big", "user.cache.ttl", b"1ms")
		assert listed("big")[0] == set(), "all has expired"
		os.setxattr("big", "user.cache.ttl", b"1h")
		assert listed("big")[0] == whole
	END
}

# Names are read before they are asked for, and are not shown when they have expired since.
test_what_expires_is_not_read_ahead() {
	lists 5000 <<-'END'
		import time
		os.setxattr("big", "user.cache.ttl", b"1h")
		seen = 0
		with os.scandir("big") as it:
		    for _ in it:
		        seen += 1
		        if seen == 300: # of the second answer, which brings some 1000
		            time.sleep(0.3)
		            os.setxattr("big", "user.cache.ttl", b"1ms")
		assert 300 <= seen < 2000, seen
	END
}

# A name that is being written is none until it is closed, by whomever.
test_being_written() {
	lists 1200 <<-'END'
		whole = warm()
		f = open("big/new", "w")
		f.write("x")
		for _ in range(4):
		    assert listed("big")[0] == whole
		f.close()
		assert "new" in listed("big")[0]
	END
}

# One that was left in the middle, and several at once, while names come and go: each has
# what was there all the time, once.
test_left_and_together() {
	lists 1300 <<-'END'
		import threading
		whole = warm()
		failed = []
		def some(stop):
		    while not stop.is_set():
		        with os.scandir("big") as it:
		            for i, _ in enumerate(it):
		                if i == 700:
		                    break
		        names = os.listdir("big")
		        if len(set(names)) != len(names) or not whole <= set(names):
		            failed.append(len(names))
		for changing in (False, True, False):
		    stop = threading.Event()
		    threads = [threading.Thread(target=some, args=(stop,)) for _ in range(3)]
		    for t in threads:
		        t.start()
		    for i in range(60):
		        if changing:
		            open("big/a%d" % i, "w").close()
		            os.unlink("big/a%d" % (i - 1)) if i else None
		        else:
		            os.listdir("big")
		    stop.set()
		    for t in threads:
		        t.join()
		    assert not failed, failed
		    assert set(os.listdir("big")) >= whole
	END
}

# Attributes come with the names, so that they are not asked for one by one.
test_attributes_are_not_asked_for_each() {
	lists 2500 <<-'END'
		warm()
		for _ in range(3):
		    before = requests()
		    with os.scandir("big") as it:
		        for entry in it:
		            entry.stat(follow_symlinks=False)
		    cost = requests() - before
		    assert cost < 1500, cost
		assert cost < 100, cost
	END
}

all_stopped() { # PID: each of its threads
	! grep -h '^State:' /proc/"$1"/task/*/status | grep -qv 'T (stopped)'
}

# While the daemon is stopped, the kernel counts how many requests wait for it.
test_lookups_side_by_side() {
	local number waiting pid i
	mkdir "$T/fusectl"
	mount -t fusectl fusectl "$T/fusectl" 2>/dev/null || skip 'cannot mount fusectl'
	number=$(mountpoint -d "$MNT")
	waiting=$T/fusectl/${number#*:}/waiting
	mkdir side
	pid=$(status_of pid)
	kill -STOP "$pid"
	eventually 20 all_stopped "$pid" || fail 'the daemon does not stop'
	for i in {1..9}; do
		cat "side/$i" 2>/dev/null &
	done
	for ((i = 0; i < 400 && $(cat "$waiting") < 3; i++)); do sleep 0.05; done
	number=$(cat "$waiting")
	kill -CONT "$pid"
	wait
	umount "$T/fusectl"
	[ "$number" -ge 3 ] || fail "$number lookups at a time, not 3"
}

run_tests "$@"
