#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Watch over a test script that may hang: says where everything stands while it still
# does, and then ends it.
#
# usage: hung.sh SECONDS PID FOLDER
#
# SECONDS after the start, if process PID lives still, it, what it started and every
# process that names FOLDER (its daemons) is shown: its command, what the kernel says
# it waits for, and for memofs itself the stacks of its threads, where gdb is installed.
# Then PID and what it started get SIGTERM; and should that not be enough, the mounts below
# FOLDER are ended by force.
set -u

seconds=$1 pid=$2 folder=$3

alive() { kill -0 "$pid" 2>/dev/null; }

# PID and what it started, but for this script.
family() {
	sed 's/^\([0-9]*\) .*) . \([0-9]*\) .*/\1 \2/' /proc/[0-9]*/stat 2>/dev/null | awk -v top="$pid" -v self=$$ '
		{ parent[$1] = $2 }
		function is_of(p) {
			return p == self ? 0 : p == top ? 1 : p in parent ? is_of(parent[p]) : 0
		}
		END { for (p in parent) if (is_of(p)) print p }'
}

command_of() { { tr '\0\n' '  ' <"/proc/$1/cmdline"; } 2>/dev/null | cut -c 1-300; }

# The innermost calls; what sleeps in a mutex or condition gdb tells more about.
show_thread() { # /proc/PID/task/TID
	local state wchan
	state=$(sed -n 's/^.*) \(.\).*/\1/p' "$1/stat" 2>/dev/null)
	wchan=$(cat "$1/wchan" 2>/dev/null)
	[ "$wchan" != futex_do_wait ] || return 0
	echo "   $(basename "$1") $(cat "$1/comm" 2>/dev/null) $state" \
		"syscall $(cut -d ' ' -f 1-4 "$1/syscall" 2>/dev/null)"
	sed -n 's/^\[<[0-9a-f]*>\] \([^+]*\).*/\1/p' "$1/stack" 2>/dev/null | head -6 |
		paste -sd ' ' | sed 's/^/      /'
}

# gdb's stacks, one line each, innermost call first; equal ones once, with their number.
stacks() {
	awk '
		/^Thread/ { if (line) print line; line = "" }
		/^#/ {
			name = $2 ~ /^0x/ ? $4 : $2
			where = $NF ~ /[.]c:[0-9]+$/ ? $NF : ""
			sub(".*/", "", where)
			if (name !~ /^_*(futex|pthread|GI_|clone|start_thread)/)
				line = line " " name (where ? "(" where ")" : "")
		}
		END { if (line) print line }' | sort | uniq -c | sed 's/^/   /'
}

show_process() { # PID
	local task
	echo "-- $1: $(command_of "$1")"
	for task in "/proc/$1/task"/*; do show_thread "$task"; done
	case $(readlink "/proc/$1/exe" 2>/dev/null) in
	*/memofs | */memofsd)
		! command -v gdb >/dev/null || timeout -s KILL 30 gdb -p "$1" -batch \
			-ex 'set print thread-events off' -ex 'thread apply all bt 20' 2>/dev/null |
			stacks
		;;
	esac
}

show_all() {
	local proc daemons
	daemons=$(for proc in /proc/[0-9]*; do
		[[ "$(command_of "${proc##*/}")" != *"$folder"* ]] || echo "${proc##*/}"
	done)
	echo "HUNG: after $seconds s"
	for proc in $(printf '%s\n' "$family" "$daemons" | sort -nu); do
		[ "$proc" = $$ ] || show_process "$proc"
	done
	echo 'HUNG: that was all'
}

for ((i = 0; i < seconds; i++)); do
	alive || exit 0
	sleep 1 >/dev/null 2>&1 # who is killed meanwhile leaves no pipe open
done
alive || exit 0
family=$(family)
show_all >&2
# The script last: what it unmounts should not be busy any more.
for proc in $family; do
	[ "$proc" = "$pid" ] || kill -TERM "$proc" 2>/dev/null
done
kill -TERM "$pid"
# Who waits for a daemon that is dead may be ended by no signal, and is waited for.
sleep 10 >/dev/null 2>&1
! alive || awk -v t="$folder/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
	while read -r mnt; do umount -c -f "$mnt" 2>/dev/null; done
