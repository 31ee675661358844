#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command of memofs on a real mount: what it does, what it prints where,
# and the exit codes that its help promises.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"
# shellcheck source=tests/mount/cli_functions.sh
source "$(dirname "$0")/cli_functions.sh"

# --- words ----------------------------------------------------------------------

test_usage() {
	local name commands
	needs_mount
	complains 2 'see memofs help$'
	complains 2 'unknown command "umuont"; did you mean "umount"\?$' umuont
	complains 2 'unknown command "ns crate"; did you mean "create"\?$' ns crate
	complains 2 'unknown option --sotr; did you mean --sort\?$' ls --sotr
	complains 2 'unknown option -z' ls -z
	complains 2 'argument is missing' get
	complains 2 'too many' get a b
	complains 2 'is not a duration' put --ttl '5 parsecs' k
	complains 2 'is not a mode' put --mode 888 k
	complains 2 'MOUNTPOINT is empty' mount "$T" ''
	exits 0 version
	[[ $OUT =~ ^memofs\ [0-9]+\.[0-9]+ ]] || fail "version: $OUT"
	exits 0 help
	mapfile -t commands < <(awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' "$T/out")
	[ "${#commands[@]}" -ge 11 ] || fail "help lists ${commands[*]}"
	for name in "${commands[@]}"; do
		exits 0 "$name" --help
		[[ $OUT == "Usage: memofs $name"* ]] || fail "help of $name: $OUT"
		is "$ERR" '' "stderr of $name --help"
	done
}

# --- get and put ------------------------------------------------------------------

test_put_get() {
	needs_mount
	printf 'line\nno newline' | memofs put k
	memofs get k | cmp - <(printf 'line\nno newline')
	head -c 3000000 /dev/urandom >"$T/big"
	memofs put -i "$T/big" "$PWD/big"
	memofs get big | cmp - "$T/big"
	memofs get -o "$T/copy" ./big
	same "$T/copy" "$T/big"
	: | memofs put empty
	is "$(stat -c %s empty)" 0
	is "$(memofs get empty | wc -c)" 0
	echo new | memofs put k
	has k $'new\n'
	# Nothing but the entries is left.
	is "$(names .)" $'big\nempty\nk'
}

test_get_miss() {
	needs_mount
	exits 1 get absent
	is "$OUT$ERR" '' 'a miss is silent'
	exits 1 get no/such/directory
	is "$OUT$ERR" '' 'a miss is silent'
	echo x >file
	exits 1 get file/below
	mkdir dir
	complains 3 'dir: Is a directory' get dir
	exits 1 get -o "$T/missed" absent
	[ ! -e "$T/missed" ] || fail 'a miss made a file'
	echo old >"$T/kept"
	exits 3 get -o "$T/kept" dir
	has "$T/kept" $'old\n'
}

test_get_full_output() {
	needs_mount
	echo x >k
	memofs get k >/dev/full 2>"$T/err" && fail 'writing to a full device succeeded'
	grep -q 'No space left' "$T/err"
	complains 3 '/dev/full: No space left' get -o /dev/full k
	memofs get k >&- 2>"$T/err" && fail 'writing to a closed descriptor succeeded'
	grep -q 'Bad file descriptor' "$T/err"
}

test_put_attributes() {
	needs_mount
	echo x | memofs put --ttl 1h30m -m 0600 k
	is "$(attr ttl k)" 1h30m
	is "$(stat -c %a k)" 600
	echo x | (umask 027 && memofs put masked)
	is "$(stat -c %a masked)" 640
	echo x | memofs put --ttl none forever
	is "$(attr expires forever)" never
	echo x | memofs put --ttl 2s short
	exits 0 get short
	wait_until "$(attr expires short)"
	exits 1 get short
	echo x | memofs put -p a/b/c/k
	has a/b/c/k $'x\n'
	echo x | memofs put --fsync synced
	has synced $'x\n'
}

test_put_fails_whole() {
	needs_mount
	echo old | memofs put k
	complains 3 'nothing was stored' put -i "$T" k # reading a directory fails
	complains 3 'No such file' put -i "$T/absent" k
	exits 3 put k <&-
	grep -q 'nothing was stored' "$T/err"
	has k $'old\n'
	mkdir dir
	complains 3 'a directory has this name' put -i "$T/out" dir
	complains 3 '\-\-parents makes it' put -i "$T/out" no/k
	complains 3 'File name too long' put -i "$T/out" "$(printf 'n%.0s' {1..256})"
	complains 2 'does not name an entry' put -i "$T/out" dir/
	is "$(names .)" $'dir\nk'
}

# Interrupted while its input is still coming: nothing of it is ever seen.
test_put_interrupted() {
	local signal pid status
	needs_mount
	needs python3
	echo old | memofs put k
	mkfifo "$T/pipe"
	for signal in INT TERM HUP; do
		# A background job of a script starts with SIGINT ignored.
		python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$MEMOFS" put -i "$T/pipe" k &
		pid=$!
		exec 5>"$T/pipe"
		echo partial >&5
		eventually 20 has_pending_write
		kill -s "$signal" "$pid"
		status=0
		{ wait "$pid"; } 2>/dev/null || status=$?
		is "$status" "$((128 + $(kill -l "$signal")))" "exit code after SIG$signal"
		exec 5>&-
		has k $'old\n'
		is "$(names .)" k "names after SIG$signal"
	done
}

has_pending_write() { [ "$(status_of pending_writes)" -gt 0 ]; }

# The name that put writes to is not seen, and PATH only when it is whole.
test_put_is_atomic() {
	local pid
	needs_mount
	mkfifo "$T/slow"
	"$MEMOFS" put -i "$T/slow" k &
	pid=$!
	exec 5>"$T/slow"
	echo first >&5
	eventually 20 has_pending_write
	is "$(names .)" ''
	absent k
	echo second >&5
	exec 5>&-
	wait "$pid"
	has k $'first\nsecond\n'
	is "$(names .)" k
}

test_outside() {
	local command
	needs_mount
	for command in get put ls stat rm; do
		complains 4 'is not inside a memofs mount$' "$command" "$T/x"
	done
	complains 4 'is not inside a memofs mount$' status "$T"
	complains 4 'is not inside a memofs mount$' ns list "$T"
	complains 4 'is not a mount point$' umount "$T"
	complains 4 'is not a mount point; it is in the memofs mount' umount "$PWD"
	complains 4 'is a mount of proc, not of memofs$' umount /proc
	echo precious >"$T/precious"
	complains 4 'not inside' rm -rf "$T/precious"
	has "$T/precious" $'precious\n'
}

# --- ls and stat --------------------------------------------------------------------

test_ls_table() {
	needs_mount
	head -c 2048 /dev/zero | memofs put --ttl none two
	echo x | memofs put --ttl 1h one
	mkdir dir
	memofs get two >/dev/null
	exits 0 ls
	is "$(head -1 "$T/out" | tr -s ' ')" 'SIZE AGE EXPIRES IN VERSION HITS NAME'
	is "$(awk 'NR > 1 { print $NF }' "$T/out" | paste -sd' ')" 'dir/ one two'
	is "$(awk '$NF == "two" { print $1, $3, $(NF - 1) }' "$T/out")" '2KiB never 1'
	[[ $(awk '$NF == "one" { print $3, $4 }' "$T/out") =~ ^59m\ 5 ]] || fail "$OUT"
	[[ $OUT != *$'\033'* ]] || fail 'colour into a file'
	exits 0 ls --sort size -b
	is "$(awk 'NR > 1 { print $1 }' "$T/out" | paste -sd' ')" '2048 2 -'
	exits 0 ls --sort hits --reverse
	is "$(awk 'END { print $NF }' "$T/out")" two
	exits 0 ls -d dir
	is "$(awk 'END { print $NF }' "$T/out")" dir/
	exits 0 ls dir
	is "$OUT" '' 'an empty directory'
	exits 1 ls absent one
	is "$(awk 'END { print $NF }' "$T/out")" one
	[[ $ERR == *'absent: there is no such entry' ]] || fail "$ERR"
}

test_ls_recursive() {
	needs_mount
	mkdir -p a/b c
	touch a/b/k .hidden
	exits 0 ls -R
	is "$(awk 'NR > 1 { print $NF }' "$T/out" | paste -sd' ')" 'a/ a/b/ a/b/k c/'
	exits 0 ls -a
	is "$(awk 'NR > 1 { print $NF }' "$T/out" | paste -sd' ')" '.hidden a/ c/'
	exits 0 ls -R a c
	is "$(awk 'NR > 1 { print $NF }' "$T/out" | paste -sd' ')" 'a/b/ a/b/k'
}

# Every byte but NUL and slash, in three ways that lose nothing.
test_ls_any_name() {
	needs_mount
	needs python3
	python3 - <<'END'
for c in range(1, 256):
    if c != ord('/'):
        open(b'x' + bytes([c]), 'w').close()
open(b'\xc3\xa4\xff\n', 'w').close()
END
	exits 0 ls --null
	find . -type f -printf '%f\0' | sort -z | cmp - <(sort -z "$T/out")
	exits 0 ls --json
	python3 - "$T/out" <<'END'
import base64, json, os, sys
want = set(os.listdir(b'.'))
got = set()
for e in json.load(open(sys.argv[1], encoding='utf-8')):
    exact = e.get('name_base64')
    name = base64.b64decode(exact) if exact else e['name'].encode()
    try:
        name.decode('utf-8')
        assert exact is None, name
    except UnicodeDecodeError:
        assert exact is not None, name
    got.add(name)
assert got == want, got ^ want
END
	exits 0 ls
	is "$(wc -l <"$T/out")" 256 'lines of the table'
	! LC_ALL=C grep -q '[[:cntrl:]]' "$T/out" || fail 'control characters in the table'
	# What the table shows, a shell reads back to the file.
	sed -n '2,$s/^.\{'"$(head -1 "$T/out" | awk '{ print index($0, "NAME") - 1 }')"'\}//p' \
		"$T/out" >"$T/words"
	while IFS= read -r word; do
		eval "name=$word"
		# shellcheck disable=SC2154
		[ -e "$name" ] || fail "the table's $word is no file"
	done <"$T/words"
}

test_ls_json() {
	needs_mount
	needs python3
	echo x | memofs put --ttl 90s k
	exits 0 ls --json
	is "$(json 'len(v)')" 1
	is "$(json 'v[0]["name"], v[0]["type"], v[0]["size"], v[0]["ttl"]')" "('k', 'file', 2, '90s')"
	is "$(json '85 < v[0]["expires_in"] <= 90 and 0 <= v[0]["age"] < 5')" True
	is "$(json 'abs(v[0]["expires"] - v[0]["created"] - 90) < 0.001')" True
	echo x | memofs put --ttl none k
	exits 0 ls --json
	is "$(json 'v[0]["expires"]')" None
	rm k
	exits 0 ls --json
	is "$OUT" '[]'
}

test_stat() {
	needs_mount
	needs python3
	local hash
	printf abc | memofs put --ttl 2h k
	hash=$(attr hash k)
	exits 0 stat k
	[[ $OUT == *"hash         $hash"* ]] || fail "$OUT"
	[[ $OUT == *'ttl          2h'* ]] || fail "$OUT"
	exits 0 stat --json k .
	is "$(json 'v[0]["hash"]')" "$hash"
	is "$(json 'v[0]["size"], v[0]["state"], v[1]["type"]')" "(3, 'live', 'directory')"
	ln -s target link
	exits 0 stat link
	[[ $OUT == *'target       target'* ]] || fail "$OUT"
	complains 1 'absent: there is no such entry$' stat absent
	exits 1 stat k absent
	[[ $OUT == k* ]] || fail "one bad path hid the others: $OUT"
}

# --- rm ---------------------------------------------------------------------------------

test_rm() {
	needs_mount
	mkdir -p d/e/f
	touch k d/1 d/e/2 d/e/f/3
	ln -s d link
	exits 0 rm k
	absent k
	complains 1 'no such entry' rm k
	exits 0 rm -f k
	complains 3 'd is a directory; --recursive' rm d
	exits 0 rm link
	present d/1
	complains 3 'ends in \. or' rm -r d/.
	complains 3 'ends in \. or' rm -r ..
	complains 3 'is a mount point' rm -r "$MNT"
	present d/e/f/3
	local control
	for control in .memofs .memofs/ .memofs/versions .memofs/view; do
		complains 3 'belongs to memofs' rm -rf "$control"
	done
	present d/e/f/3
	exits 0 rm -r d/
	is "$(names .)" ''
	touch a
	exits 1 rm absent a
	absent a
}

# --- ns -----------------------------------------------------------------------------------

test_ns() {
	needs_mount
	needs python3
	exits 0 ns create cli-ns --ttl 1h --version v1 -m 0750
	is "$(attr ttl "$MNT/cli-ns")" 1h
	is "$(attr version "$MNT/cli-ns")" v1
	is "$(stat -c %a "$MNT/cli-ns")" 750
	complains 3 'File exists' ns create cli-ns
	echo one >"$MNT/cli-ns/k"
	exits 0 ns set cli-ns version=v2 ttl=
	absent "$MNT/cli-ns/k"
	fails 'No such attribute' attr ttl "$MNT/cli-ns"
	exits 0 ns list --json
	is "$(json '[(n["version"], n["mode"], "ttl" in n) for n in v if n["name"] == "cli-ns"]')" \
		"[('v2', '0750', False)]"
	exits 0 ns list "$MNT"
	is "$(awk '$NF == "cli-ns" { print $1, $2, $3 }' "$T/out")" '- v2 0750'
	exits 0 ns set -M "$MNT" cli-ns version=v1
	has "$MNT/cli-ns/k" $'one\n'
	exits 0 ns set cli-ns version=
	absent "$MNT/cli-ns/k"
	# Wrong words change nothing, not even what came before them.
	complains 2 'unknown policy "tll"; did you mean "ttl"' ns set cli-ns version=v1 tll=1h
	complains 2 'is not a duration' ns set cli-ns version=v1 ttl=soon
	complains 2 'has no value' ns set cli-ns version
	absent "$MNT/cli-ns/k"
	complains 3 'is not a version' ns set cli-ns version=a/b
	complains 3 'is not a version' ns create cli-bad --version ..
	absent "$MNT/cli-bad"
	complains 1 'no such namespace' ns set cli-none ttl=1h
	mkdir below
	exits 0 ns set ./below ttl=7s
	is "$(attr ttl below)" 7s
}

# --- mount, umount, status -------------------------------------------------------------------

second_mount() {
	mkdir -p "$T/second"
	mount_at "$T/second-store" "$T/second" "$@"
}

# Every path of the command line is that of the caller's directory.
test_relative_paths() {
	needs_mount
	mkdir "$T/here" "$T/here/mnt"
	cd "$T/here"
	echo 'namespaces: {reports: {}}' >conf
	exits 0 mount -o "backend=$MEMOFS_BACKEND" --config conf --log ./log store mnt
	present mnt/reports log
	[ "$MEMOFS_BACKEND" = memory ] || present store
	[ "$(stat -Lc %d:%i "/proc/$(daemon_pid mnt)/cwd")" = "$(stat -c %d:%i /)" ] ||
		fail 'the daemon stays in the directory of its caller'
	exits 0 umount mnt
}

test_status() {
	needs_mount
	needs python3
	# All of the machine's; tests beside this one have dead mounts among them.
	OUT=$("$MEMOFS" status 2>/dev/null) || [ $? = 4 ] || fail "status of all: $OUT"
	[[ $OUT == *"$MNT"* ]] || fail "$OUT"
	exits 0 status .
	[[ $OUT == "$MNT"$'\n'* ]] || fail "$OUT"
	exits 0 status --json "$MNT"
	is "$(json 'len(v), v[0]["state"], v[0]["mountpoint"], v[0]["pid"]')" \
		"(1, 'live', '$MNT', $(daemon_pid))"
}

test_umount_waits() {
	local pid
	needs_mount
	second_mount
	pid=$(daemon_pid "$T/second")
	echo x >"$T/second/k"
	ln -s "$T/second" "$T/link"
	exits 0 umount "$T/link"
	process_gone "$pid" || fail 'umount returned before the daemon had ended'
	! is_mounted "$T/second" || fail 'still mounted'
	second_mount # the store is free
	exits 0 umount "$T/second/"
	complains 4 'is not a mount point' umount "$T/second"
}

test_umount_busy() {
	local pid daemon
	needs_mount
	second_mount
	daemon=$(daemon_pid "$T/second")
	echo x >"$T/second/held"
	tail -f "$T/second/held" >/dev/null &
	pid=$!
	eventually 20 has_open "$pid" "$T/second/held"
	complains 4 "is busy: tail \(pid $pid, open file held\)" umount "$T/second"
	is_mounted "$T/second" || fail 'a busy mount was taken away'
	has "$T/second/held" $'x\n'
	kill "$pid"
	wait "$pid" || true
	(cd "$T/second" && exec sleep 100) &
	pid=$!
	eventually 20 holds "$pid" "$T/second"
	complains 4 "is busy: sleep \(pid $pid, working directory\)" umount "$T/second"
	exits 0 umount --lazy "$T/second"
	! is_mounted "$T/second" || fail 'still mounted'
	kill "$pid"
	wait "$pid" || true
	eventually 30 process_gone "$daemon" # its last user has gone
}

# As a container has it.
test_umount_elsewhere() {
	local pid daemon
	needs_mount
	needs_root
	second_mount
	daemon=$(daemon_pid "$T/second")
	unshare -m --propagation private sleep 50 &
	pid=$!
	eventually 20 is_elsewhere "$pid"
	complains 4 "is unmounted here, but not in other mount namespaces: .*sleep \(pid $pid, at $T/second\).*pid $daemon\) serves them" \
		umount --timeout 1s "$T/second"
	! is_mounted "$T/second" || fail 'still mounted'
	kill "$pid"
	wait "$pid" || true
	eventually 30 process_gone "$daemon"
}

is_elsewhere() { # PID
	[ "$(cat "/proc/$1/comm")" = sleep ] &&
		[ "$(readlink "/proc/$1/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]
}

has_open() { # PID FILE
	readlink "/proc/$1"/fd/* 2>/dev/null | grep -qxF -- "$2"
}

holds() { # PID DIRECTORY
	[ "$(readlink "/proc/$1/cwd")" = "$2" ] && [ "$(cat "/proc/$1/comm")" = sleep ]
}

test_dead_mount() {
	local command
	needs_mount
	second_mount
	kill_daemon "$T/second"
	for command in get ls stat rm; do
		complains 4 "daemon of this mount has ended; run: memofs umount $T/second$" \
			"$command" "$T/second/k"
	done
	exits 4 status "$T/second"
	[[ $OUT == *'dead: its daemon has ended'* ]] || fail "$OUT"
	exits 0 umount "$T/second"
	! is_mounted "$T/second" || fail 'still mounted'
}

# A daemon that is stopped answers nothing; status and a lazy umount still do.
test_hung_mount() {
	local pid
	needs_mount
	second_mount
	pid=$(daemon_pid "$T/second")
	kill -STOP "$pid"
	exits 4 status "$T/second"
	[[ $OUT == *'its daemon does not answer'* ]] || fail "$OUT"
	exits 0 umount -l "$T/second"
	kill -CONT "$pid"
	eventually 30 process_gone "$pid"
}

test_mount_errors() {
	needs_mount
	mkdir "$T/empty"
	MEMOFSD=$T/no-such complains 4 "cannot run $T/no-such" mount "$T/s3" "$T/empty"
	exits 4 mount -o "backend=$MEMOFS_BACKEND" "$T/s3" "$T/no-such-dir"
	is "$(wc -l <"$T/err")" 1 "lines of: $ERR"
	exits 2 mount -o no-such-option "$T/s3" "$T/empty"
	is "$(wc -l <"$T/err")" 1 "lines of: $ERR"
	! is_mounted "$T/empty" || fail 'mounted after all'
}

setup
run_tests "$@"
