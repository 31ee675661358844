# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What every mount test shares; a test is a bash script which sources this,
# defines functions test_NAME, and ends with `run_tests`.
#
# Each script has a folder of its own ($T) with its store ($STORE), its mount
# ($MNT) and the daemon's log ($LOG). Each test_NAME runs in a subshell, with
# `set -e`, inside a directory of its own in the mount (or, where the tests do the
# mounting, elsewhere). When one fails, the
# command that failed and the daemon's log are shown. Whatever happens, the mount
# and the folder are gone afterwards.
#
# Environment:
#   MEMOFS_BUILD     build directory with memofs and memofsd (default: build)
#   MEMOFS_BACKEND   rocksdb (default) or memory
#   MEMOFS_TIMEOUT_S what the script may take (meson knows); hung.sh tells in time
#                    where everything stands. MEMOFS_TIMEOUT_FACTOR multiplies it.
#   MEMOFS_FAST      look at what the tests have left through a read-only mount, too:
#                    all of it must be there as it was (looked.py)
#   MEMOFS_JITTER    SEED or SEED:PERCENT: daemons and holders are late, now and then and
#                    everywhere (jitter.c), so that what depends on luck shows. `any` is
#                    another seed each time, which is told.
#   MEMOFS_PLAIN     use this ordinary directory in place of a mount, to see that
#                    a test is right; what needs memofs is skipped
#
# Arguments of the script, if any, name the tests to run.
set -uo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MEMOFS_SOURCE=$(cd "$here/../.." && pwd)
MEMOFS_BUILD=$(realpath "${MEMOFS_BUILD:-$MEMOFS_SOURCE/build}")
MEMOFS=$MEMOFS_BUILD/memofs
JITTER=$MEMOFS_BUILD/tests/mount/libjitter.so
MEMOFS_BACKEND=${MEMOFS_BACKEND:-rocksdb}
MEMOFS_PLAIN=${MEMOFS_PLAIN:-}
MEMOFS_FAST=${MEMOFS_FAST:-}
MEMOFS_JITTER=${MEMOFS_JITTER:-}
LC_ALL=C
export LC_ALL MEMOFS MEMOFS_SOURCE MEMOFS_BUILD MEMOFS_BACKEND

# A mounted daemon never takes this long, even under a sanitizer.
COMMAND_TIMEOUT_S=60

say() { printf '%s\n' "$*" >&2; }

# The script as a whole cannot run here; meson shows it as skipped.
skip_all() {
	say "SKIP: $*"
	exit 77
}

# One test cannot run here. Called in its subshell.
skip() {
	say "skip: $*"
	exit 77
}

fail() {
	say "FAIL: $*"
	exit 1
}

# Where python3 is a script that looks for the interpreter (pyenv has one), it takes ten
# times as long to start as the interpreter itself: it is looked for once.
find_python() {
	local found
	[ "$(head -c 2 "$(command -v python3 || echo /dev/null)" | tr -d '\0')" = '#!' ] || return 0
	found=$(python3 -c 'import sys; print(sys.executable)') || return 0
	PATH=${found%/*}:$PATH
}
find_python

# --- what a test may ask for -------------------------------------------------

needs() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

needs_root() { [ "$(id -u)" -eq 0 ] || skip 'needs root'; }

# A test of what only memofs does.
needs_mount() { [ -z "$MEMOFS_PLAIN" ] || skip 'an ordinary directory is no memofs'; }

# The memory backend forgets with its daemon.
needs_persistence() {
	needs_mount
	[ "$MEMOFS_BACKEND" != memory ] || skip 'the memory backend keeps nothing'
}

# Sleep until the clock has passed a point in time.
wait_until() { # SECONDS.NANOS since 1970
	python3 - "$1" <<-'END'
		import sys, time
		while time.time() < float(sys.argv[1]) + 0.01:
		    time.sleep(max(0.001, float(sys.argv[1]) + 0.01 - time.time()))
	END
}

# --- asserts ------------------------------------------------------------------

is() { # GOT WANT [WHAT]
	[ "$1" = "$2" ] || fail "${3:-value}: got $(printf '%q' "$1"), want $(printf '%q' "$2")"
}

# The content of a file, through cat, as it is to the last newline.
has() { # PATH TEXT
	local got
	got=$(cat -- "$1" && echo .) || fail "cannot read $1"
	is "${got%.}" "$2" "content of $1"
}

same() { # PATH PATH
	cmp -- "$1" "$2" || fail "$1 and $2 differ: $(diff -a -- "$1" "$2" | head -c 500 || :)"
}

absent() { # PATH...
	local path
	for path; do
		if [ -e "$path" ] || [ -L "$path" ]; then fail "$path is there"; fi
		# A lookup may be cached where opening is not, and the other way round.
		! cat -- "$path" >/dev/null 2>&1 || fail "$path can be read"
	done
}

present() { # PATH...
	local path
	for path; do
		[ -e "$path" ] || [ -L "$path" ] || fail "$path is missing"
	done
}

# The command fails and says something that matches the extended regex.
fails() { # REGEX COMMAND...
	local want=$1 out status
	shift
	status=0
	out=$("$@" 2>&1 >/dev/null) || status=$?
	[ "$status" -ne 0 ] || fail "succeeded: $*"
	[[ $out =~ $want ]] || fail "$* said \"$out\", which does not match \"$want\""
}

# The command succeeds without a word on stderr.
silent() { # COMMAND...
	local out status
	status=0
	out=$("$@" 2>&1 >/dev/null) || status=$?
	[ -z "$out" ] || fail "$* said: $out"
	[ "$status" -eq 0 ] || fail "$* failed with $status"
}

# Wait for a condition which another process brings about.
eventually() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "did not come true: $*"
		sleep 0.05
	done
}

attr() { # NAME PATH: the value of user.cache.NAME
	getfattr --absolute-names --only-values -n "user.cache.$1" -- "$2"
}

set_attr() { # NAME VALUE PATH
	setfattr -n "user.cache.$1" -v "$2" -- "$3"
}

names() { # DIRECTORY: what is in it, sorted, one a line, quoted
	find "$1" -mindepth 1 -maxdepth 1 -printf '%f\0' | sort -z | xargs -0 -r printf '%q\n'
}

# Real input: the project's own sources are what it is made of.
sources() { find "$MEMOFS_SOURCE"/{store,fs,cli} -name '*.[ch]' -type f | sort; }

# --- the mount ------------------------------------------------------------------

# Can this machine mount FUSE at all? Otherwise the reason, and a failure.
fuse_works() {
	local caps
	if [ ! -e /dev/fuse ]; then
		echo '/dev/fuse does not exist'
	elif ! { : <>/dev/fuse; } 2>/dev/null; then
		echo "/dev/fuse cannot be opened by uid $(id -u)"
	elif [ "$(id -u)" -ne 0 ] && [ ! -e /etc/mtab ]; then
		echo 'without /etc/mtab, fusermount3 unmounts nothing: ln -s /proc/self/mounts /etc/mtab'
	else
		caps=$(awk '/^CapEff:/ { print $2 }' /proc/self/status)
		# CAP_SYS_ADMIN is bit 21; without it, fusermount3 has to be set-user-id.
		if [ $((0x$caps >> 21 & 1)) -eq 1 ] || [ -u "$(command -v fusermount3 || echo /)" ]; then
			return 0
		fi
		echo 'no CAP_SYS_ADMIN, and no set-user-id fusermount3'
	fi
	return 1
}

is_mounted() { # MOUNTPOINT
	awk -v m="$1" '$5 == m { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# Mount $1 (the store) on $2; more arguments go to `memofs mount`.
mount_at() {
	local store=$1 mnt=$2
	shift 2
	if [ -n "$MEMOFS_JITTER" ]; then
		local -x LD_PRELOAD=${LD_PRELOAD:+$LD_PRELOAD:}$JITTER MEMOFS_JITTER
	fi
	# The log is not in the store, and one log has all daemons of the test.
	timeout "$COMMAND_TIMEOUT_S" "$MEMOFS" mount -o "backend=$MEMOFS_BACKEND" --log "$LOG" \
		"$@" "$store" "$mnt"
}

umount_at() { # MOUNTPOINT
	timeout "$COMMAND_TIMEOUT_S" "$MEMOFS" umount "$1"
}

mount_memofs() { mount_at "$STORE" "$MNT" "$@"; }
umount_memofs() { umount_at "$MNT"; }

daemon_pid() { # [MOUNTPOINT]
	awk '$1 == "pid:" { print $2 }' "${1:-$MNT}/.memofs/status"
}

# A daemon's count of something, from its status.
status_of() { # KEY [MOUNTPOINT]
	awk -v key="$1:" '$1 == key { print $2 }' "${2:-$MNT}/.memofs/status"
}

# End the daemon as a crash would, and who would start another, as a crash of the
# machine would. The mount is dead then.
kill_daemon() { # [MOUNTPOINT]
	local mnt=${1:-$MNT} pid holder
	pid=$(daemon_pid "$mnt") holder=$(status_of holder "$mnt")
	if [ "${holder:-0}" -gt 0 ]; then
		kill -KILL "$holder"
		eventually 20 process_gone "$holder"
	fi
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
}

# Zombies count as gone: who reaps an orphan in a container may be slow.
process_gone() {
	local state
	state=$(sed -n 's/^.*) \(.\).*/\1/p' "/proc/$1/stat" 2>/dev/null) || return 0
	[ -z "$state" ] || [ "$state" = Z ]
}

# --- beginning and end ------------------------------------------------------------

# Sanitizer reports of a daemon in the background go to files, and count.
sanitizer_environment() {
	local log=log_path=$T/sanitizer
	LSAN_OPTIONS=suppressions=$here/../lsan.supp:print_suppressions=0
	export LSAN_OPTIONS
	export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}$log"
	export UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}$log"
	export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}$log"
}

# A folder for the script, without a mount yet.
setup_folder() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/memofs-test.XXXXXX")
	# Other users must be able to get to the mount.
	chmod 755 "$T"
	STORE=$T/store MNT=$T/mnt LOG=$T/daemon.log
	MOUNT_ARGS=()
	# Where each test has its directory; `setup` makes it the mount.
	WORK=$T/work
	FAILED=0
	trap teardown EXIT
	WATCHER=''
	if [ -n "${MEMOFS_TIMEOUT_S:-}" ]; then
		"$here/hung.sh" $((MEMOFS_TIMEOUT_S * ${MEMOFS_TIMEOUT_FACTOR:-1} * 4 / 5)) $$ "$T" &
		WATCHER=$!
	fi
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if [ -n "$MEMOFS_PLAIN" ]; then
		MNT=$(mktemp -d "$MEMOFS_PLAIN/memofs-plain.XXXXXX")
		WORK=$MNT
		return
	fi
	local reason
	reason=$(fuse_works) || skip_all "no FUSE here: $reason"
	[ -x "$MEMOFS" ] || fail "no $MEMOFS; build first, or set MEMOFS_BUILD"
	mkdir "$MNT"
	sanitizer_environment
	if [ -n "$MEMOFS_JITTER" ]; then
		[ -e "$JITTER" ] || skip_all 'a sanitizer has to be loaded first'
		MEMOFS_JITTER=${MEMOFS_JITTER/#any/$RANDOM}
		say "the daemons are late: MEMOFS_JITTER=$MEMOFS_JITTER"
	fi
}

setup() { # [arguments for memofs mount]
	setup_folder
	WORK=$MNT
	MOUNT_ARGS=("$@")
	[ -n "$MEMOFS_PLAIN" ] || mount_memofs "$@" || {
		say 'FAIL: memofs mount failed'
		exit 1
	}
}

# Every mount below the script's folder, deepest first.
mounts_below() {
	awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

unmount_everything() {
	local mnt
	for mnt in $(mounts_below); do
		umount_at "$mnt" 2>"$T/umount.err" && ! is_mounted "$mnt" && continue
		# Somebody's descriptor is no reason to leave a mount behind, but a
		# mount which cannot be unmounted after a good run is a fault.
		if findmnt -n -t fuse.memofs "$mnt" >/dev/null; then
			say "FAIL: cannot unmount $mnt: $(cat "$T/umount.err")"
			FAILED=1
		fi
		# Nobody may be left to answer who is there, or who asks on the way.
		umount -c -f "$mnt" 2>/dev/null || umount -c -l "$mnt" 2>/dev/null ||
			fusermount3 -u -z "$mnt"
		end_daemons "$mnt"
	done
}

# Whoever still waits for one that is stopped, or does not answer, waits no longer.
end_daemons() { # MOUNTPOINT
	local proc
	for proc in /proc/[0-9]*; do
		[[ "$(tr '\0' ' ' 2>/dev/null <"$proc/cmdline")" != memofsd*" $1 " ]] ||
			kill -KILL "${proc##*/}"
	done
} 2>/dev/null

# A sanitizer's report fails the script, whatever the tests said.
check_sanitizers() {
	local report
	for report in "$T"/sanitizer.*; do
		[ -s "$report" ] || continue
		say "FAIL: a sanitizer reported:"
		head -c 20000 "$report" >&2
		FAILED=1
	done
}

teardown() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	cd /
	if [ -n "$MEMOFS_PLAIN" ]; then
		rm -rf -- "$MNT"
	else
		unmount_everything
		check_sanitizers
	fi
	[ "$FAILED" -eq 0 ] || status=1
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ -s "$LOG" ]; then
		say "--- the daemon's log"
		tail -n 100 "$LOG" >&2
		say '---'
	fi
	rm -rf --one-file-system -- "$T"
	# It watches until here, and nothing but it is ended by it.
	if [ -n "$WATCHER" ]; then
		kill -KILL "$WATCHER" 2>/dev/null
		wait "$WATCHER" 2>/dev/null
	fi
	exit "$status"
}

# By root, and by somebody who may read only what is for all; by the first once more,
# since a second look finds in the kernel's caches what it can.
looks_the_same() (
	set -e
	local uid users=("$(id -u)")
	[ "${users[0]}" -ne 0 ] || users+=(65534)
	for uid in "${users[@]}"; do
		python3 -IS "$here/looked.py" "$uid" "$MNT" >"$T/looked.$uid"
	done
	umount_memofs
	mount_memofs "${MOUNT_ARGS[@]}" --read-only
	is "$(status_of fast)" yes
	for uid in "${users[@]}" "${users[0]}"; do
		python3 -IS "$here/looked.py" "$uid" "$MNT" "$T/looked.$uid"
	done
	umount_memofs
)

# Run every test_NAME of the script, or those that are named.
run_tests() {
	local names=("$@") name status passed=0 failed=0 skipped=0
	[ $# -gt 0 ] ||
		mapfile -t names < <(declare -F | awk '$3 ~ /^test_/ { print substr($3, 6) }')
	for name in "${names[@]}"; do
		run_one "$name"
		status=$?
		case $status in
		0) passed=$((passed + 1)) ;;
		77) skipped=$((skipped + 1)) ;;
		*) failed=$((failed + 1)) ;;
		esac
	done
	if [ -n "$MEMOFS_FAST" ] && [ "$failed" -eq 0 ] && is_mounted "$MNT"; then
		looks_the_same
		[ $? -eq 0 ] || failed=1
	fi
	say "$(basename "$0"): $passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] || FAILED=1
	[ $((passed + failed)) -gt 0 ] || exit 77
	exit "$FAILED"
}

# Not called where bash would ignore `set -e` (a condition, or before || and &&).
run_one() {
	local status
	mkdir -p "$WORK/$1" || return 1
	(
		trap - EXIT
		set -eE
		# Only here: a test may unmount what it stands in.
		cd "$WORK/$1"
		trap 'say "FAIL: $(basename "${BASH_SOURCE[0]}"):$LINENO: $BASH_COMMAND"' ERR
		"test_$1"
	)
	status=$?
	case $status in
	0) say "ok $1" ;;
	77) say "ok $1 # skipped" ;;
	*) say "not ok $1 (status $status)" ;;
	esac
	return $status
}
