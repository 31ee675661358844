#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon may die, be replaced, or hang: the mount goes on.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"

[ "$MEMOFS_BACKEND" != memory ] || skip_all 'a store in memory ends with its daemon'

# A crash of the daemon alone.
crash() { # [SIGNAL]
	local pid
	pid=$(daemon_pid)
	kill "-${1:-KILL}" "$pid"
	eventually 20 process_gone "$pid"
}

restarts() { status_of restarts; }

own_mount() { # NAME [OPTION...]: sets M and H
	local name=$1
	shift
	mkdir "$T/$name"
	mount_at "$T/$name.store" "$T/$name" "$@" || fail "cannot mount $T/$name"
	M=$T/$name H=$(status_of holder "$T/$name")
}

test_idle() {
	echo one >key
	exec 5<key
	is "$(status_of holder)" "$(awk '/^PPid:/ { print $2 }' "/proc/$(daemon_pid)/status")" holder
	crash
	has key $'one\n'
	is "$(cat <&5)" one 'through a descriptor from before'
	is "$(restarts)" 1 restarts
	[[ $(grep restarted_after "$MNT/.memofs/status") == *'killed by signal 9'* ]] ||
		fail 'status does not say why'
	echo two >key
	has key $'two\n'
}

# Each write has returned before the daemon dies; none is lost, and close publishes.
test_writer() {
	local i want=''
	exec 5>value
	for i in 1 2 3; do
		echo "line $i" >&5
		want+="line $i"$'\n'
		crash
	done
	absent_to_others value
	echo last >&5
	exec 5>&-
	has value "$want"$'last\n'
}

absent_to_others() { # by another process, which this shell did not start in the value
	! (exec 5>&- && cat "$1") >/dev/null 2>&1 || fail "$1 can be read before it is closed"
}

test_large_writer() {
	head -c 20000000 /dev/urandom >"$T/bytes"
	{
		head -c 12000000
		crash
		cat
	} <"$T/bytes" >value
	same value "$T/bytes"
}

waits() { [ "$(status_of waiting_opens)" -gt 0 ]; }

is_begun() { [ "$(ls .memofs/reservations)" = "$1" ]; }

test_waiter() {
	local pid
	mkfifo "$T/go"
	(exec 5>slow && echo begun >&5 && read -r _ <"$T/go" && echo ended >&5) &
	eventually 20 is_begun slow
	cat .memofs/view/wait=20s/slow >"$T/seen" &
	pid=$!
	eventually 20 waits
	crash
	eventually 20 waits
	echo >"$T/go"
	wait "$pid"
	has "$T/seen" $'begun\nended\n'
}

test_listing() {
	mkdir many
	(cd many && seq 3000 | xargs touch)
	python3 - "$(daemon_pid)" <<-'END'
		import os, signal, sys
		seen = []
		with os.scandir("many") as entries:
		    for entry in entries:
		        seen.append(entry.name)
		        if len(seen) == 100:
		            os.kill(int(sys.argv[1]), signal.SIGKILL)
		assert sorted(seen, key=int) == [str(i) for i in range(1, 3001)], len(seen)
	END
	is "$(names many | wc -l)" 3000 'names after it'
}

test_upgrade() {
	local pid
	own_mount upgrade
	cp "$MEMOFS_BUILD/memofsd" "$T/memofsd.next"
	echo before >"$M/key"
	exec 5>"$M/value"
	echo one >&5
	pid=$(daemon_pid "$M")
	timeout 60 "$MEMOFS" upgrade --binary "$T/memofsd.next" "$M" >"$T/said"
	grep -q '^from .* to ' "$T/said" || fail "it said: $(cat "$T/said")"
	eventually 20 process_gone "$pid" # the next may begin when its descriptors are gone
	[ "$(daemon_pid "$M")" -ne "$pid" ] || fail 'it is the same process'
	echo two >&5
	exec 5>&-
	has "$M/value" $'one\ntwo\n'
	has "$M/key" $'before\n'
	# And now without a name: the one that was given before.
	timeout 60 "$MEMOFS" upgrade -q "$M"
	umount_at "$M"
}

starts_slowly() { [ -n "$(pgrep -P "$H" -f "$T/slow")" ]; }

# A signal for a daemon that does not listen yet waits until it does.
test_reload_while_it_starts() {
	local job before
	before=$(grep -c SIGHUP "$LOG" || :)
	own_mount starts
	# No shell, which waits for what it has started with no signal blocked.
	cat >"$T/slow" <<-END
		#!$(command -v python3) -I
		import os, sys, time
		while not os.path.exists("$T/slow.go"):
		    time.sleep(0.05)
		os.execv("$MEMOFS_BUILD/memofsd", sys.argv)
	END
	chmod +x "$T/slow"
	timeout 60 "$MEMOFS" upgrade --binary "$T/slow" "$M" >"$T/said" 2>&1 &
	job=$!
	eventually 20 starts_slowly
	kill -HUP "$H"
	touch "$T/slow.go"
	wait "$job" || fail "it said: $(cat "$T/said")"
	eventually 20 reloaded_since "$before"
	umount_at "$M"
}

reloaded_since() { [ "$(grep -c SIGHUP "$LOG" || :)" -gt "$1" ]; }

test_upgrade_rolls_back() {
	local status=0
	own_mount back
	exec 5>"$M/value"
	echo one >&5
	timeout 60 "$MEMOFS" upgrade --binary /bin/false "$M" 2>"$T/said" || status=$?
	is "$status" 1 'exit code'
	grep -q '/bin/false exited with 1; .* goes on' "$T/said" || fail "it said: $(cat "$T/said")"
	fails 'cannot be executed|No such file' timeout 60 "$MEMOFS" upgrade -b "$T/nothing" "$M"
	echo two >&5
	exec 5>&-
	has "$M/value" $'one\ntwo\n'
	umount_at "$M"
}

# What is of another version, and cannot go on here, says so, and the one before does.
test_upgrade_to_another_version() {
	local status what pid
	own_mount versions
	exec 5>"$M/value"
	for what in form layout; do
		pid=$(daemon_pid "$M") status=0
		echo "$what" >&5
		timeout 60 "$MEMOFS" upgrade -b "$MEMOFS_BUILD/tests/mount/memofsd_$what" "$M" \
			2>"$T/said.$what" || status=$?
		is "$status" 1 "exit code of an upgrade to another $what"
		[ "$(daemon_pid "$M")" -ne "$pid" ] || fail 'it was not tried'
	done
	grep -q 'memofsd_form exited with .*: memofsd .* cannot talk to the memofs-holder .* form 1 .*; .* goes on' \
		"$T/said.form" || fail "it said: $(cat "$T/said.form")"
	grep -q 'memofsd_layout exited with .*: .*layout.*; .* goes on' "$T/said.layout" ||
		fail "it said: $(cat "$T/said.layout")"
	exec 5>&-
	has "$M/value" $'form\nlayout\n'
	umount_at "$M"
}

test_without() {
	local pid
	own_mount alone -o holder=no
	is "$H" '' holder
	fails 'no memofs-holder' timeout 60 "$MEMOFS" upgrade "$M"
	pid=$(daemon_pid "$M")
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
	fails 'not connected|connection abort' ls "$M"
	umount_at "$M"
}

# Nobody hangs when no daemon stays: from the fifth that died at once on, EIO.
test_crash_loop() {
	own_mount loop
	echo value >"$M/key"
	die_for_good "$M"
	fails 'Input/output error' timeout 20 cat "$M/key"
	# The pause is five seconds then.
	eventually 20 timeout 20 cat "$M/key" >/dev/null 2>&1
	has "$M/key" $'value\n'
	umount_at "$M"
	eventually 20 process_gone "$H"
}

no_child() { [ -z "$(pgrep -P "$1")" ]; }

# One that answers nothing is replaced, and what its threads were at is logged. (They
# cannot say so themselves while they are stopped.)
test_watchdog() {
	local pid
	own_mount watched -o watchdog=1s
	pid=$(daemon_pid "$M")
	echo value >"$M/key"
	kill -s RTMIN+4 "$pid"
	kill -STOP "$pid"
	timeout 50 cat "$M/key" >/dev/null
	[ "$(daemon_pid "$M")" -ne "$pid" ] || fail 'it is the same process'
	eventually 20 grep -q 'which answered nothing, and was killed' "$LOG" ||
		fail 'the log does not say why'
	grep -q 'thread [0-9]*, comm: memofsd' "$LOG" || fail 'no threads in the log'
	umount_at "$M"
}

right() { # FIELD PID
	sed -n "s/^$1:\t0*\(.*\)/\1/p" "/proc/$2/status"
}

rights_are() { # PID SET: CAP_SYS_PTRACE is bit 19, CAP_SYS_ADMIN bit 21
	local set
	for set in CapPrm CapEff CapBnd; do is "$(right $set "$1")" "$2" "$set of $1"; done
	for set in CapInh CapAmb; do is "$(right $set "$1")" '' "$set of $1"; done
	is "$(right NoNewPrivs "$1")" 1 NoNewPrivs
}

# What it starts can do no more than it, whatever that is. And what it has kept is enough
# to unmount when no daemon stays.
test_the_holder_drops_privileges() {
	needs_root
	own_mount rights
	rights_are "$H" 280000
	crash_of "$M"
	rights_are "$(daemon_pid "$M")" 280000
	cp "$MEMOFS_BUILD/memofsd" "$T/memofsd.rights"
	timeout 60 "$MEMOFS" upgrade -q -b "$T/memofsd.rights" "$M"
	rights_are "$(daemon_pid "$M")" 280000
	rm "$T/memofsd.rights"
	die_for_good "$M"
	kill -TERM "$H"
	eventually 20 process_gone "$H"
	! is_mounted "$M" || fail 'still mounted'
}

# The store belongs to another user: what passes over modes stays.
test_the_holder_of_a_store_of_another_user() {
	needs_root
	mkdir "$T/others.store"
	chown 61301:61301 "$T/others.store"
	own_mount others
	rights_are "$H" 28000e
	echo value >"$M/key"
	crash_of "$M"
	has "$M/key" $'value\n'
	umount_at "$M"
}

crash_of() { # MOUNTPOINT
	local pid
	pid=$(daemon_pid "$1")
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
}

# Until the holder answers in place of daemons.
die_for_good() { # MOUNTPOINT
	local pid
	while pid=$(timeout 20 cat "$1/.memofs/status" 2>/dev/null | awk '$1 == "pid:" { print $2 }'); do
		kill -KILL "$pid"
	done
	no_child "$H" || fail 'a daemon has answered with an error'
}

test_clean_end() {
	local pid
	own_mount clean
	pid=$(daemon_pid "$M")
	echo value >"$M/key"
	umount_at "$M"
	eventually 20 process_gone "$pid"
	eventually 20 process_gone "$H"
	own_mount_again clean
	has "$M/key" $'value\n'
	# The holder is who a service manager ends.
	kill -TERM "$H"
	eventually 20 process_gone "$H"
	! is_mounted "$M" || fail 'still mounted'
}

own_mount_again() { # NAME
	mount_at "$T/$1.store" "$T/$1"
	M=$T/$1 H=$(status_of holder "$T/$1")
}

# What a service says, and the code of the daemon.
test_foreground() {
	local pid status=0
	needs python3
	mkdir "$T/fg"
	python3 - "$T/notify" >"$T/notified" <<-'END' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(20)
		seen = ""
		while "STOPPING" not in seen:
		    seen = s.recv(4096).decode()
		    print(seen.replace("\n", " "), flush=True)
	END
	eventually 20 test -S "$T/notify"
	NOTIFY_SOCKET=$T/notify "$MEMOFS" mount -f --log "$LOG" "$T/fg.store" "$T/fg" &
	pid=$!
	eventually 20 grep -q READY=1 "$T/notified"
	is "$(status_of holder "$T/fg")" "$pid" 'the holder is the process that was started'
	grep -q 'FDSTORE=1 FDNAME=memofs-fuse' "$T/notified" || fail 'nothing was given to keep'
	kill -TERM "$pid"
	wait "$pid" || status=$?
	is "$status" 0 'exit code'
	eventually 20 grep -q STOPPING=1 "$T/notified"
	status=0
	"$MEMOFS" mount -f "$T/nowhere/store" "$T/fg" 2>/dev/null || status=$?
	is "$status" 3 'exit code of a store that cannot be'
}

# Here they die more often than a daemon may.
MEMOFS_QUICK_MS=0 setup
run_tests "$@"
