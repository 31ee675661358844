#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What one user can do to another, to the daemon, and to what is outside of the store:
# a test for each row of docs/threat-model.md, by the same name.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory trusts everybody'
[ "$(id -u)" -eq 0 ] || skip_all 'users are made of root'
command -v setpriv >/dev/null || skip_all 'setpriv is not installed'

# Two who have nothing in common. What they run is only shells and coreutils.
ALICE=61001 MALLORY=61002

as() { # UID COMMAND...
	local uid=$1
	shift
	# Not what is below a home of root's.
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		timeout "$COMMAND_TIMEOUT_S" setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		--inh-caps=-all --bounding-set=-all -- "$@"
}
alice() { as $ALICE "$@"; }
mallory() { as $MALLORY "$@"; }

# Few enough of everything that one user can use it up.
setup -o user-handles=40,user-values=20,user-bytes=4MiB,user-reservations=10,user-waiters=10

# A directory of Alice's, of which the others may only look at the names.
alices() { # DIRECTORY
	mkdir "$1"
	chown $ALICE:$ALICE "$1"
}

# A directory for all, in which each may only remove what is his.
sticky() { # DIRECTORY
	mkdir -m 1777 "$1"
}

publish() { # PATH TEXT: as Alice
	# shellcheck disable=SC2016
	alice sh -c 'printf %s "$2" >"$1"' - "$1" "$2"
}

# The log says why, in at most so many lines.
said() { # LINES REGEX
	local lines
	lines=$(grep -cE "$2" "$MNT/.memofs/log" || true)
	if [ "$lines" -lt 1 ] || [ "$lines" -gt "$1" ]; then
		fail "$lines lines of the log have $2"
	fi
}

refusals() { # UID KIND: how often it was refused
	sed -n "s/^uid=$1 .* $2_refused=\([0-9]*\).*/\1/p" "$MNT/.memofs/users"
}

# --- starving the others ------------------------------------------------------------

test_handles_are_limited() {
	chmod 777 .
	publish key value
	# shellcheck disable=SC2016
	mallory bash -c '
		exec 2>/dev/null
		for ((i = 0; i < 60; i++)); do exec {fd}<key || break; done
		[ $i = 40 ]
		cat key && exit 1
		exec {fd}<&-
		cat key' >"$T/read" || fail "the 41st descriptor"
	is "$(cat "$T/read")" value
	alice cat key >"$T/read"
	[ "$(refusals $MALLORY handles)" -gt 0 ] || fail "$(cat "$MNT/.memofs/users")"
	said 1 "uid $MALLORY has as many open descriptors.*user-handles"
}

test_listings_are_limited() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import errno, os
		fds = []
		try:
		    while len(fds) < 60:
		        fds.append(os.open(".", os.O_RDONLY | os.O_DIRECTORY))
		except OSError as e:
		    assert e.errno == errno.EMFILE, e
		assert len(fds) == 40, len(fds)
		for fd in fds:
		    os.close(fd)
		os.listdir(".")
	END
	alice ls >/dev/null
}

test_values_are_limited() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import errno, os
		fds = []
		try:
		    while len(fds) < 60:
		        fds.append(os.open(f"v{len(fds)}", os.O_CREAT | os.O_WRONLY))
		except OSError as e:
		    assert e.errno == errno.EMFILE, e
		assert len(fds) == 20, len(fds)
		os.close(fds.pop())
		os.listdir(".")
		os.close(os.open("again", os.O_CREAT | os.O_WRONLY))
	END
	publish key value
	has key value
	said 1 "uid $MALLORY has as many values being written.*user-values"
}

test_pending_bytes_are_limited() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import errno, os
		fds = [os.open(f"v{i}", os.O_CREAT | os.O_RDWR) for i in range(3)]
		written = 0
		try:
		    while written < 64:
		        os.write(fds[written % 3], b"x" * (256 << 10))
		        written += 1
		except OSError as e:
		    assert e.errno == errno.EDQUOT, e
		assert written == 16, written
		os.pwrite(fds[0], b"y" * 4096, 0) # over what is there
		try:
		    os.posix_fallocate(fds[1], 0, 8 << 20)
		    raise SystemExit("8 MiB were allocated")
		except OSError as e:
		    assert e.errno == errno.EDQUOT, e
		for fd in fds:
		    os.unlink(f"v{fds.index(fd)}")
		    os.close(fd)
		fd = os.open("again", os.O_CREAT | os.O_WRONLY)
		os.write(fd, b"x" * (3 << 20))
		os.close(fd)
	END
	publish key value
	has key value
	said 1 "uid $MALLORY has as many bytes.*user-bytes"
}

waits() { [ "$(status_of waiting_opens)" -ge 1 ]; }

test_waiters_are_limited() {
	chmod 777 .
	set_attr reservation 'job 60s' .memofs/reservations/key
	mallory python3 -I - <<-'END'
		import errno, os, threading, time
		errors = []
		def wait():
		    try:
		        os.close(os.open(".memofs/view/wait=30s/key", os.O_RDONLY))
		    except OSError as e:
		        errors.append(e.errno)
		for _ in range(30):
		    threading.Thread(target=wait, daemon=True).start()
		end = time.time() + 20
		while len(errors) < 20 and time.time() < end:
		    time.sleep(0.01)
		assert errors == [errno.EAGAIN] * 20, errors
		os._exit(0)
	END
	# Others may wait, and get it.
	alice cat .memofs/view/wait=30s/key >"$T/waited" &
	local pid=$!
	eventually 20 waits
	echo value >key
	set_attr reservation 'job 0' .memofs/reservations/key
	wait $pid
	is "$(cat "$T/waited")" value
	said 1 "uid $MALLORY has as many waiting opens.*user-waiters"
}

# --- what the daemon itself may do -----------------------------------------------------

# A set of capabilities of the daemon, hexadecimal, without leading zeros.
capabilities() { # FIELD [MOUNTPOINT]
	sed -n "s/^$1:\t0*\(.*\)/\1/p" "/proc/$(daemon_pid "${2:-$MNT}")/status"
}

# CAP_SYS_PTRACE is bit 19, CAP_SYS_ADMIN bit 21.
test_the_daemon_drops_privileges() {
	local set
	for set in CapPrm CapEff CapBnd; do is "$(capabilities $set)" 280000 $set; done
	for set in CapInh CapAmb; do is "$(capabilities $set)" '' $set; done
	is "$(capabilities NoNewPrivs)" 1 NoNewPrivs
	local task
	for task in /proc/"$(daemon_pid)"/task/*/status; do
		is "$(sed -n 's/^CapEff:\t0*//p' "$task")" 280000 "CapEff of $task"
	done
}

# What they are kept for: it sees how another user's command ends.
test_the_end_of_others_is_seen() {
	chmod 777 .
	mallory sh -c 'echo x >key; exit 3' || true
	mallory sh -c 'exec cp /etc/passwd /nowhere >key 2>&1' || true
	absent key
	grep -q 'exit status' .memofs/reservations/key || fail "$(cat .memofs/reservations/key)"
}

# A store of another user works as before; then modes are passed over.
test_the_store_of_another_user() {
	needs_persistence
	mkdir -m 700 "$T/home"
	mkdir "$T/home/mnt"
	chown -R $ALICE:$ALICE "$T/home"
	mount_at "$T/home/store" "$T/home/mnt"
	echo kept >"$T/home/mnt/key"
	umount_at "$T/home/mnt"
	chown -R $ALICE:$ALICE "$T/home/store"
	mount_at "$T/home/store" "$T/home/mnt"
	has "$T/home/mnt/key" $'kept\n'
	echo more >"$T/home/mnt/more"
	umount_at "$T/home/mnt"
	mount_at "$T/home/store" "$T/home/mnt"
	has "$T/home/mnt/more" $'more\n'
	umount_at "$T/home/mnt"
	rm -rf "$T/home"
}

run_tests "$@"
