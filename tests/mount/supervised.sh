#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who starts the holder: systemd, a container as its first process, a user without rights.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

[ "$MEMOFS_BACKEND" != memory ] || skip_all 'a store in memory ends with its daemon'

setup_folder
UNIT=$MEMOFS_SOURCE/fs/memofs@.service

crash_of() { # MOUNTPOINT [COMMAND...: to look into it]
	local pid mnt=$1
	shift
	pid=$("$@" cat "$mnt/.memofs/status" | awk '$1 == "pid:" { print $2 }')
	"$@" kill -KILL "$pid"
}

# ---- the unit ----

# What systemd has to say about it: nothing.
test_unit_is_sound() {
	needs systemd-analyze
	mkdir unit
	sed "s,ExecStart=memofs ,ExecStart=$MEMOFS ," "$UNIT" >'unit/memofs@x.service'
	is "$(timeout 30 systemd-analyze verify --man=no 'unit/memofs@x.service' 2>&1)" ''
}

# The calls that the unit's filter lets through, one a line.
allowed_calls() {
	python3 - "$UNIT" <<-'END'
		import re, subprocess, sys
		unit = open(sys.argv[1]).read()
		todo = re.search("^SystemCallFilter=(.*)", unit, re.M).group(1).split()
		seen = set()
		while todo:
		    name = todo.pop()
		    if name in seen:
		        continue
		    seen.add(name)
		    if not name.startswith("@"):
		        print(name)
		        continue
		    text = subprocess.run(["systemd-analyze", "syscall-filter", name],
		                          capture_output=True, text=True, check=True).stdout
		    todo += [word for line in text.splitlines()[1:]
		             if (word := line.strip()) and not word.startswith("#")]
	END
}

life_of() { # MOUNTPOINT: a bit of everything
	local m=$1
	echo value >"$m/key"
	head -c 3000000 /dev/urandom >"$m/large"
	dd if=/dev/zero of="$m/synced" bs=64k count=40 conv=fsync status=none
	mkdir "$m/dir"
	mv "$m/key" "$m/dir/key"
	cp "$m/large" "$m/copy"
	set_attr ttl 1h "$m/dir/key"
	mkdir "$m/dir/.memofs/stage/tree"
	echo x >"$m/dir/.memofs/stage/tree/x"
	mv "$m/dir/.memofs/stage/tree" "$m/dir/tree"
	"$MEMOFS" check -q "$m"
	timeout 60 "$MEMOFS" backup -q "$m" "$T/life.backup"
	kill -HUP "$(status_of holder "$m")"
	timeout 60 "$MEMOFS" upgrade -q "$m"
	crash_of "$m"
	cat "$m/large" >/dev/null
	rmdir "$m/dir/tree"
	rm -r "$m/dir" "$m/copy"
}

# Through a life of both programs none is called that the unit does not allow.
test_unit_allows_what_is_called() {
	needs systemd-analyze strace python3
	! grep -qaE '__(a|t)san_init' "$MEMOFS_BUILD/memofsd" || skip 'a sanitizer makes calls of its own'
	mkdir "$T/traced"
	allowed_calls | sort -u >allowed
	[ "$(wc -l <allowed)" -gt 200 ] || fail 'the filter is not understood'
	strace -f -qq -e signal=none -o trace "$MEMOFS" mount -o "backend=$MEMOFS_BACKEND" \
		--log "$LOG" -f "$T/traced.store" "$T/traced" &
	eventually 30 is_mounted "$T/traced"
	life_of "$T/traced"
	umount_at "$T/traced"
	wait $!
	# strace may be older than a call.
	sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' trace | sed 's/^syscall_0x1c3$/cachestat/' |
		sort -u >called
	grep -qx execveat called || fail 'nothing was traced'
	is "$(comm -23 called allowed)" '' 'calls that the unit refuses'
}

# ---- systemd ----

supervise() { # NAME: sets M, and H to who has to end it
	M=$T/$1
	mkdir "$M"
	python3 "$here/systemd.py" "$T/$1.socket" "$MEMOFS" mount -f -o "backend=$MEMOFS_BACKEND" \
		--log "$LOG" "$T/$1.store" "$M" >"$T/$1.said" &
	H=$!
	eventually 20 was_ready "$1" 1
}

was_ready() { [ "$(grep -c '^READY=1' "$T/$1.said")" -ge "$2" ]; } # NAME TIMES

# The holder that was started last.
main_process() { awk '$1 == "started" { pid = $2 } END { print pid }' "$T/$1.said"; }

# Both die, once the holder first, once the daemon; the next ones go on with what is open.
test_taken_up_from_systemd() {
	local daemon waiter
	needs python3
	supervise taken
	echo one >"$M/key"
	exec 5>"$M/value" 6<"$M/key"
	echo one >&5
	set_attr reservation 'me 60s' "$M/.memofs/reservations/awaited"
	cat "$M/.memofs/view/wait=60s/awaited" >"$T/taken.awaited" 5>&- 6<&- &
	waiter=$!
	eventually 20 waits "$M"
	daemon=$(daemon_pid "$M")
	kill -KILL "$(main_process taken)"
	eventually 20 was_ready taken 2
	is "$(status_of holder "$M")" "$(main_process taken)" 'the holder'
	eventually 20 process_gone "$daemon"
	echo two >&5
	# And its daemon is started again by the new one; then all of it at once.
	crash_of "$M"
	echo three >&5
	daemon=$(daemon_pid "$M")
	kill -KILL "$daemon" "$(main_process taken)"
	eventually 20 was_ready taken 3
	echo four >&5
	exec 5>&-
	has "$M/value" $'one\ntwo\nthree\nfour\n'
	is "$(cat <&6)" one 'through a descriptor from before'
	exec 6<&-
	echo result >"$M/awaited"
	wait "$waiter"
	has "$T/taken.awaited" $'result\n'
	kill -TERM "$(main_process taken)"
	wait "$H"
	! is_mounted "$M" || fail 'still mounted'
	is "$(grep -c '^started' "$T/taken.said")" 3 'holders'
}

waits() { [ "$(status_of waiting_opens "$1")" -gt 0 ]; }

nothing_is_written() { [ "$(status_of pending_writes "$M")" -eq 0 ]; }

# What is kept is of a mount that is gone: the next one mounts anew.
test_what_systemd_has_is_gone() {
	needs python3
	supervise gone
	echo value >"$M/key"
	# The kernel forgets a RELEASE that it has not sent when the mount goes.
	eventually 20 nothing_is_written
	kill -STOP "$(main_process gone)"
	umount -l "$M"
	kill -KILL "$(main_process gone)"
	eventually 20 was_ready gone 2
	has "$M/key" $'value\n'
	kill -TERM "$(main_process gone)"
	wait "$H"
}

# ---- a container ----

inside() { nsenter -t "$H" -m -p "$@"; }

# The first process of a container reaps what others leave, and ends it.
test_first_process() {
	local status=0
	needs unshare nsenter
	needs_root
	M=$T/first
	mkdir "$M"
	unshare -pf --mount-proc --kill-child "$MEMOFS" mount -o "backend=$MEMOFS_BACKEND" \
		--log "$LOG" "$T/first.store" "$M" &
	eventually 20 has_child $!
	H=$(pgrep -P $!)
	eventually 20 inside test -e "$M/.memofs/status"
	is "$(inside grep '^holder:' "$M/.memofs/status" | tr -dc 0-9)" 1 'the holder'
	inside sh -c "echo one >$M/key; (sleep 0.2 &)"
	inside sh -c "exec 5>$M/value; echo one >&5; read -r _; echo two >&5" < <(
		crash_of "$M" inside
		echo go
	)
	is "$(inside cat "$M/value" "$M/key")" $'one\ntwo\none' 'after a crash'
	eventually 20 has_no_zombie
	kill -TERM "$H"
	wait $! || status=$?
	is "$status" 0 'exit code'
}

has_child() { [ -n "$(pgrep -P "$1")" ]; }

# Nothing is left of what was started there but the daemon.
has_no_zombie() { [ "$(pgrep -P "$H" | wc -l)" -eq 1 ]; }

# ---- a user ----

user() { setpriv --reuid 65534 --regid 65534 --clear-groups timeout 60 "$@"; }

# Mounted and unmounted by fusermount3. Only the user sees what is there.
test_a_user() {
	needs setpriv
	needs_root
	[ -u "$(command -v fusermount3)" ] || skip 'fusermount3 is not set-user-id'
	mknod -m 666 "$T/fuse" c 10 229
	mkdir -m 755 "$T/user" "$T/user/mnt"
	chown -R 65534:65534 "$T/user"
	cat >"$T/user/script" <<-'END'
		set -eu
		cd "$1"
		status() { awk -v key="$1:" '$1 == key { print $2 }' mnt/.memofs/status; }
		"$MEMOFS" mount --log "$1/log" store mnt
		echo "$(status holder)" >holder
		exec 5>mnt/value
		for i in 1 2 3; do
			echo "$i" >&5
			kill -KILL "$(status pid)"
		done
		"$MEMOFS" upgrade -q mnt
		echo 4 >&5
		exec 5>&-
		cat mnt/value
		"$MEMOFS" umount mnt
		# Nobody but the holder is left to unmount.
		MEMOFS_QUICK_MS=3600000 "$MEMOFS" mount --log "$1/log" store mnt
		echo "$(status holder)" >holder
		while pid=$(status pid 2>/dev/null) && [ -n "$pid" ]; do kill -KILL "$pid"; done
		pid=$(cat holder)
		kill -TERM "$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
	END
	# As on the machines where /dev/fuse is open to all: here it is in a namespace.
	export -f user
	MEMOFS_QUICK_MS=0 unshare -m --propagation private bash -c \
		"mount --bind '$T/fuse' /dev/fuse && user bash '$T/user/script' '$T/user' &&
			! mountpoint -q '$T/user/mnt'" >"$T/user.said" ||
		fail "it ended with $?: $(tail -n 20 "$T/user/log")"
	has "$T/user.said" $'1\n2\n3\n4\n'
}

run_tests "$@"
