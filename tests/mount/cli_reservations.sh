#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs reserve, extend, release, wait, reservations, and what get, stat and ns
# have to do with them: every exit code, and every way in which --exec ends.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"
# shellcheck source=tests/mount/cli_functions.sh
source "$(dirname "$0")/cli_functions.sh"

reservation() { attr reservation ".memofs/reservations/$1"; }

owner_of() { # KEY: who has it, or nothing
	reservation "$1" | sed -n 's/^held owner=\([^ ]*\) .*/\1/p'
}

is_owner() { [ "$(owner_of "$1")" = "$2" ]; }
is_free() { [ "$(reservation "$1")" = free ]; }

# Run memofs in the background, as the job $JOB; what it says is in $T/NAME.out.
background() { # NAME ARGUMENT...
	local name=$1
	shift
	"$MEMOFS" "$@" >"$T/$name.out" 2>"$T/$name.err" &
	JOB=$!
}

ends_with() { # CODE JOB NAME
	local status=0
	wait "$2" || status=$?
	is "$status" "$1" "exit code of $3 ($(cat "$T/$3.err"))"
}

# Until the job sleeps in a call: that of its open below view/wait, as a rule.
is_waiting() { # JOB NAME
	local state
	state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || state=Z
	[ "$state" != Z ] || fail "$2 did not wait: $(cat "$T/$2".*)"
	[ "$state" = S ]
}

# --- reserve ---------------------------------------------------------------------

test_reserve() {
	needs_mount
	exits 0 reserve k
	is "$ERR" ''
	[[ $OUT =~ ^[^\ ]+@[^\ ]+:[0-9]+:[0-9a-f]{16}$ ]] || fail "ID $OUT"
	is "$(owner_of k)" "$OUT"
	absent k
	complains 5 "k: reserved by $OUT, .* ago, for .* more$" reserve -o other k
	silently 5 reserve -q -o other k
	exits 0 reserve -o other there
	is "$OUT" other
	silently 0 reserve -q -o another here
	is_owner here another
	# The same ID extends, and keeps its token.
	local token
	token=$(reservation there | sed 's/.*token=//')
	exits 0 reserve -o other -l 1h there
	is "$(reservation there | sed 's/.*token=//')" "$token"
	echo live >entry
	exits 0 reserve entry
	has entry $'live\n'
	[[ $(attr reservation entry) == "held owner=$OUT "* ]] || fail "$(attr reservation entry)"
}

# Two processes with the same number, as in two containers, have different IDs.
test_ids_are_never_shared() {
	local first
	needs_mount
	needs unshare
	unshare --user --map-root-user --pid --fork true 2>/dev/null ||
		skip 'no user namespaces here'
	contained() { timeout 60 unshare --user --map-root-user --pid --fork "$MEMOFS" reserve "$1"; }
	first=$(contained a)
	[[ $first == *:1:* ]] || fail "its process is not the first: $first"
	[ "$(contained b)" != "$first" ] || fail "twice $first"
}

test_leases_run_out() {
	needs_mount
	exits 0 reserve -o first -l 300ms k
	eventually 20 memofs reserve -q -o second k
	is_owner k second
	set_attr lease 1h .
	exits 0 reserve -o third j
	[[ $(memofs stat j 2>&1) == *'for 59m '* ]] || fail "$(memofs stat j 2>&1)"
}

test_unless_hit() {
	needs_mount
	echo x >k
	silently 7 reserve --unless-hit k
	is_free k
	exits 0 reserve k
	silently 7 reserve --unless-hit -o other k # as the old value is live
	echo x | memofs put --ttl 100ms short
	eventually 20 eval '! [ -e short ]'
	exits 0 reserve --unless-hit short
	exits 0 reserve -o holder j
	background waiter reserve --unless-hit --wait 50s j
	eventually 20 is_waiting "$JOB" waiter
	echo made >.memofs/view/owner=holder/j
	ends_with 7 "$JOB" waiter
	is "$(cat "$T/waiter.out" "$T/waiter.err")" ''
	is_free j
}

test_reserve_waits() {
	needs_mount
	exits 0 reserve -o first k
	complains 5 'k: reserved by first' reserve --wait 100ms k
	background waiter reserve --wait 50s -o second k
	eventually 20 is_waiting "$JOB" waiter
	memofs release -o first k
	ends_with 0 "$JOB" waiter
	is "$(cat "$T/waiter.out")" second
	# An old value is there while it is computed again: it is not waited for.
	echo old >j
	exits 0 reserve -o first j
	background waiter reserve --wait 50s -o second j
	eventually 20 is_waiting "$JOB" waiter
	is_owner j first
	echo new >.memofs/view/owner=first/j
	ends_with 0 "$JOB" waiter
	is_owner j second
	has j $'new\n'
	# A signal ends it, and nothing stays reserved for it.
	background waiter reserve --wait 50s -o third j
	eventually 20 is_waiting "$JOB" waiter
	kill -TERM "$JOB"
	ends_with 143 "$JOB" waiter
	is_owner j second
}

# Of many who wait for the same, one takes over at a time.
test_one_of_many_takes_over() {
	local i jobs=() got=0
	needs_mount
	exits 0 reserve -o first k
	for i in 1 2 3 4 5 6 7 8; do
		background "many$i" reserve --wait 3s -o "waiter$i" k
		jobs+=("$JOB")
	done
	for i in 1 2 3 4 5 6 7 8; do eventually 20 is_waiting "${jobs[i - 1]}" "many$i"; done
	memofs release -o first k
	for i in "${jobs[@]}"; do wait "$i" && got=$((got + 1)); done || true
	is "$got" 1 'how many of the waiters have it'
}

test_reserve_prints_or_releases() {
	needs_mount
	memofs reserve -o me k >/dev/full 2>"$T/err" && fail 'writing to a full device succeeded'
	is "$(cat "$T/err")" \
		'memofs: cannot write to standard output: No space left on device; nothing is reserved'
	is_free k
}

# --- reserve --exec -----------------------------------------------------------------

test_exec() {
	needs_mount
	# shellcheck disable=SC2016
	exits 0 reserve --exec -o me k -- sh -c '
		echo "$MEMOFS_OWNER $MEMOFS_KEY"
		cd / && echo made >"$MEMOFS_OUTPUT"'
	is "$OUT" "me $PWD/k" # and nothing of memofs
	is "$ERR" ''
	has k $'made\n'
	is_free k
	# Without a word, the ID is made; options of the command are its own.
	exits 0 reserve --exec j -- env -u HOME sh -c 'cat "$MEMOFS_KEY" 2>/dev/null; echo "$MEMOFS_OWNER"'
	[[ $OUT =~ @.*:[0-9a-f]{16}$ ]] || fail "ID $OUT"
	is_free j
	silently 7 reserve --exec --unless-hit k -- touch "$T/ran"
	exits 0 reserve -o other j
	complains 5 'j: reserved by other' reserve --exec j -- touch "$T/ran"
	[ ! -e "$T/ran" ] || fail 'a command ran without a reservation'
	# An ID with what means something in a path.
	exits 0 reserve --exec -o 'a,b/c%d=é' odd -- sh -c 'echo odd >"$MEMOFS_OUTPUT"'
	has odd $'odd\n'
}

test_exec_failure() {
	needs_mount
	exits 3 reserve --exec k -- sh -c 'echo half >"$MEMOFS_OUTPUT"; exit 3'
	is_free k
	exits 137 reserve --exec k -- sh -c 'kill -KILL $$'
	is_free k
	complains 127 'no-such-program: No such file' reserve --exec k -- no-such-program
	complains 126 'Permission denied' reserve --exec k -- "$T/out"
	is_free k
	exits 5 reserve --exec k -- sh -c 'exit 5'
}

# What is half done when it fails is dropped, and the next one may begin.
test_exec_failure_drops_what_was_written() {
	needs_mount
	# shellcheck disable=SC2016
	exits 4 reserve --exec k -- sh -c 'exec sh -c "echo half; exit 4" >"$MEMOFS_OUTPUT"'
	absent k
	is_free k
	# shellcheck disable=SC2016
	exits 137 reserve --exec k -- sh -c 'exec sh -c "echo half; kill -KILL \$\$" >"$MEMOFS_OUTPUT"'
	absent k
	is_free k
}

test_exec_passes_signals_on() {
	local signal
	needs_mount
	needs python3
	for signal in TERM HUP INT QUIT; do
		rm -f "$T/ready"
		# A background job of a script starts with SIGINT ignored.
		python3 -c 'import os, signal, sys
for s in signal.SIGINT, signal.SIGQUIT: signal.signal(s, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$MEMOFS" reserve --exec k -- bash -c "
			trap 'echo got it; exit 33' $signal
			echo >'$T/ready'
			while :; do sleep 0.05; done" >"$T/signal.out" 2>"$T/signal.err" &
		eventually 20 test -e "$T/ready"
		kill "-$signal" $!
		ends_with 33 $! signal
		is "$(cat "$T/signal.out")" 'got it' "the command after SIG$signal"
		is_free k
	done
	background term reserve --exec k -- sleep 100
	eventually 20 eval '! is_free k'
	sleep 0.2
	kill -TERM "$JOB"
	ends_with 143 "$JOB" term
	is_free k
}

# For longer than the lease, nobody else gets it.
test_exec_extends() {
	local until
	needs_mount
	background long reserve --exec -o me -l 3s k -- sleep 5
	eventually 20 is_owner k me
	until=$((SECONDS + 4))
	while [ "$SECONDS" -lt "$until" ]; do
		is "$(owner_of k)" me
		silently 5 reserve -q -o other k
		sleep 0.1
	done
	ends_with 0 "$JOB" long
	is "$(cat "$T/long.err")" ''
	is_free k
}

# A value published through it ends the reservation, and that is no loss; also
# when another has reserved it since, and when it has been replaced.
test_exec_goes_on_after_its_publish() {
	needs_mount
	# shellcheck disable=SC2016
	background early reserve --exec -o me -l 900ms k -- \
		sh -c 'echo made >"$MEMOFS_OUTPUT"; sleep 1.5'
	eventually 20 test -e k
	exits 0 reserve -o other k
	ends_with 0 "$JOB" early
	is "$(cat "$T/early.err")" ''
	is_owner k other
}

# Its time runs out while it is stopped, and another takes it.
lose() { # NAME OPTION...: $JOB has lost k to another
	local name=$1
	shift
	rm -f "$T/go"
	background "$name" reserve --exec -o me -l 1s "$@" k -- \
		bash -c "echo \$\$ >'$T/pid'; until [ -e '$T/go' ]; do sleep 0.05; done
			! echo late 2>/dev/null >\"\$MEMOFS_OUTPUT\" || touch '$T/late'"
	eventually 20 is_owner k me
	kill -STOP "$JOB"
	eventually 30 memofs reserve -q -o other k
	kill -CONT "$JOB"
	eventually 20 grep -q lost "$T/$name.err"
}

test_exec_loses() {
	needs_mount
	lose loser
	is "$(cat "$T/loser.err")" 'memofs: k: the reservation was lost; other has it now'
	touch "$T/go"
	ends_with 6 "$JOB" loser
	is "$(wc -l <"$T/loser.err")" 1
	[ ! -e "$T/late" ] || fail 'a value was stored after the loss'
	absent k
	is_owner k other
}

test_exec_is_killed_on_loss() {
	needs_mount
	lose killed --kill-on-loss
	ends_with 6 "$JOB" killed
	is "$(cat "$T/killed.err")" \
		'memofs: k: the reservation was lost; other has it now; ending the command'
	eventually 20 process_gone "$(cat "$T/pid")"
	is_owner k other
}

# --- extend and release ----------------------------------------------------------------

test_extend() {
	needs_mount
	exits 0 reserve -o me -l 10s k
	silently 0 extend -o me -l 1h k
	[[ $(memofs stat k 2>&1) == *'for 59m '* ]] || fail "$(memofs stat k 2>&1)"
	MEMOFS_OWNER=me silently 0 extend k
	complains 6 'k: not reserved by other any more; me has it now$' extend -o other k
	complains 6 'j: not reserved by me any more; nobody has it now$' extend -o me j
	is_free j
	memofs release -o me k
	complains 6 'nobody has it now$' extend -o me k
}

test_release() {
	needs_mount
	exits 0 reserve -o me k
	silently 0 release -o other k
	is_owner k me
	MEMOFS_OWNER=me silently 0 release k
	is_free k
	silently 0 release -o me k
	exits 0 release -v -o me k
	is "$OUT" 'k: not reserved by me any more; nobody has it now'
	exits 0 reserve -o me k
	exits 0 release -v -o other k
	is "$OUT" 'k: not reserved by other any more; me has it now'
	exits 0 release --verbose -o me k
	is "$OUT" 'k: released by me'
}

# --- wait, get --wait -------------------------------------------------------------------

test_wait() {
	needs_mount
	echo x >a
	echo x >b
	silently 0 wait a b
	silently 1 wait a none
	exits 0 reserve -o me k
	complains 5 'k: reserved by me, ' wait --timeout 100ms a k
	complains 5 'k: reserved by me, ' wait -t 0 k
	background waiter wait --timeout 50s k a
	eventually 20 is_waiting "$JOB" waiter
	echo made >.memofs/view/owner=me/k
	ends_with 0 "$JOB" waiter
	is "$(cat "$T/waiter.out" "$T/waiter.err")" ''
	exits 0 reserve -o me j
	background waiter wait j
	eventually 20 is_waiting "$JOB" waiter
	memofs release -o me j
	ends_with 1 "$JOB" waiter
	exits 0 reserve -o me j
	background waiter wait j
	eventually 20 is_waiting "$JOB" waiter
	kill -TERM "$JOB"
	ends_with 143 "$JOB" waiter
	# By the policy of the directory.
	set_attr wait 200ms .
	complains 5 'j: reserved by me, ' wait j
}

test_get_waits() {
	needs_mount
	echo x >hit
	exits 0 get --wait hit
	is "$OUT" x
	silently 1 get --wait none
	exits 0 reserve -o me k
	silently 1 get k
	complains 5 'k: reserved by me, ' get -w 100ms k
	complains 5 'k: reserved by me, ' get --wait=100ms k
	background getter get --wait k
	eventually 20 is_waiting "$JOB" getter
	echo made >.memofs/view/owner=me/k
	ends_with 0 "$JOB" getter
	has "$T/getter.out" $'made\n'
	exits 0 reserve -o me j
	exits 5 get --wait=100ms -o "$T/none" j
	[ ! -e "$T/none" ] || fail 'a miss made a file'
	mkdir dir
	complains 3 'dir: Is a directory' get --wait dir
}

# --- reservations, stat, ns ----------------------------------------------------------------

writing() { # KEY: somebody writes 5 bytes, and does not close
	(exec 1>"$1" && printf 12345 && exec sleep 100) &
	JOB=$!
	eventually 20 test -e ".memofs/reservations/$1"
	eventually 20 eval "[ \"\$(stat -c %s '.memofs/reservations/$1')\" = 5 ]"
}

test_reservations() {
	needs_mount
	needs python3
	silently 0 reservations
	exits 0 reservations --json
	is "$OUT" '[]'
	exits 0 reserve -o me -l 1h k
	mkdir -p sub/deep
	exits 0 reserve -o you 'sub/deep/odd name'
	writing w
	exits 0 reservations
	is "$(wc -l <"$T/out")" 3
	[[ $OUT =~ ^KEY\ +OWNER\ +AGE\ +LEFT\ +SIZE\ +STATE\ +LAST ]] || fail "$OUT"
	is "$(awk '$1 == "k" { print $2, $4, $(NF - 2), $(NF - 1), $NF }' "$T/out")" 'me 59m - named -'
	is "$(awk '$1 == "w" { print $4, $5, $6, $7 }' "$T/out")" '- 5B writing -'
	exits 0 reservations -r --json .
	is "$(json '[(r["path"], r["state"]) for r in v]')" \
		"[('k', 'named'), ('sub/deep/odd name', 'named'), ('w', 'writing')]"
	is "$(json 'v[0]["owner"], round(v[0]["expires"] - v[0]["since"]), v[0]["token"] > 0')" \
		"('me', 3600, True)"
	is "$(json 'v[2]["size"], v[2]["expires"], str('"$JOB"') in v[2]["writer"]')" "(5, None, True)"
	kill "$JOB"
	wait "$JOB" || true
	eventually 20 is_free w
	complains 1 'none: No such file or directory' reservations none
	echo x >file
	complains 3 'file: Not a directory' reservations file
}

test_reservations_tell_why_it_failed() {
	needs_mount
	needs python3
	sh -c 'echo half; exit 3' >k || true
	absent k
	exits 0 reserve -o me k
	exits 0 reservations
	[[ $OUT == *'named'*'exit status 3 of sh'* ]] || fail "$OUT"
	exits 0 reservations --json
	is "$(json '"exit status 3" in v[0]["failure"], v[0]["failed"] <= v[0]["since"]')" '(True, True)'
}

test_stat_shows_it() {
	needs_mount
	needs python3
	echo x >k
	exits 0 stat k
	[[ $OUT != *reservation* ]] || fail "of one that is free: $OUT"
	exits 0 reserve -o me -l 1h k
	exits 0 stat k
	[[ $OUT =~ reservation\ +by\ me,\ .*\ ago,\ for\ 59m\  ]] || fail "$OUT"
	exits 0 stat --json k
	is "$(json 'v[0]["reservation"]["owner"], v[0]["reservation"]["token"] > 0')" "('me', True)"
	exits 0 reserve -o me j
	complains 1 'j: there is no such entry; it is reserved by me, ' stat j
}

test_ns_policies() {
	needs_mount
	needs python3
	exits 0 ns create policies --lease 5m --wait 10m --publish always
	is "$(attr lease "$MNT/policies") $(attr wait "$MNT/policies") $(attr publish "$MNT/policies")" \
		'5m 10m always'
	exits 0 ns list "$MNT"
	is "$(awk '$NF == "policies" { print $5, $6, $7 }' "$T/out")" '5m 10m always'
	exits 0 ns set policies lease=7s wait= publish=on-success
	exits 0 ns list --json
	is "$(json '[(n["lease"], "wait" in n, n["publish"]) for n in v if n["name"] == "policies"]')" \
		"[('7s', False, 'on-success')]"
	exits 0 reserve -o me "$MNT/policies/k"
	[[ $(memofs stat "$MNT/policies/k" 2>&1) =~ for\ [1-7](\.[0-9]+)?s\ more ]] ||
		fail "$(memofs stat "$MNT/policies/k" 2>&1)"
	complains 2 'publish: "sometimes" is neither' ns set policies publish=sometimes
	complains 2 'lease: "soon" is not a duration' ns set policies lease=soon
}

# --- what is wrong ----------------------------------------------------------------------------

test_bad_input() {
	local command long
	needs_mount
	long=$(printf 'x%.0s' {1..201})
	for command in free held 'a b' '' "$long" $'a\tb' $'\xff'; do
		complains 2 'is not an ID: 1 to 200 bytes' reserve -o "$command" k
		complains 2 'is not an ID: 1 to 200 bytes' release -o "$command" k
	done
	complains 2 'is not a duration' reserve -l soon k
	complains 2 'is no time to reserve for' reserve -l 0 k
	complains 2 'is no time to reserve for' reserve --lease none k
	complains 3 'k: refused: .* time is too long' reserve --lease 400d k
	complains 2 'is no time to reserve for; release ends it' extend -o me -l 0 k
	complains 2 'needs an argument' reserve --wait
	complains 2 'one argument too many; --exec runs' reserve k touch "$T/ran"
	complains 2 'needs a command' reserve --exec k
	complains 2 '--kill-on-loss goes with --exec' reserve --kill-on-loss k
	for command in extend release; do
		complains 2 'whose reservation\? use --owner ID, or set MEMOFS_OWNER' "$command" k
		MEMOFS_OWNER='a b' complains 2 'is not an ID' "$command" k
	done
	for command in 'reserve -o me' 'extend -o me' 'release -o me' wait; do
		read -ra words <<<"$command"
		complains 2 'does not name an entry' "${words[@]}" ./
		complains 2 'does not name an entry' "${words[@]}" ..
		complains 4 'is not inside a memofs mount' "${words[@]}" "$T/k"
	done
	complains 4 'is not inside a memofs mount' reservations "$T"
	complains 4 'is not inside a memofs mount' get --wait "$T/k"
	for command in 'reserve -o me' 'extend -o me' 'release -o me'; do
		read -ra words <<<"$command"
		complains 3 'no/k: its directory does not exist' "${words[@]}" no/k
	done
	silently 1 wait no/k
	is_free k
}

test_permissions() {
	local status=0
	needs_mount
	needs_root
	needs setpriv
	chmod 755 .
	other() { setpriv --reuid 65534 --regid 65534 --clear-groups timeout 60 "$MEMOFS" "$@"; }
	fails 'k: Permission denied' other reserve -o me k
	is_free k
	other reserve -q -o me k 2>/dev/null || status=$?
	is "$status" 3 'its exit code'
	chmod 777 .
	other reserve -q -o me k
	is_owner k me
}

test_read_only_mount() {
	needs_persistence
	mkdir "$T/ro"
	mount_at "$T/ro-store" "$T/ro"
	mkdir "$T/ro/ns"
	umount_at "$T/ro"
	mount_at "$T/ro-store" "$T/ro" -o read-only
	complains 3 'Read-only file system' reserve "$T/ro/ns/k"
	complains 3 'Read-only file system' release -o me "$T/ro/ns/k"
	silently 1 wait "$T/ro/ns/k"
	silently 0 reservations "$T/ro/ns"
	umount_at "$T/ro"
}

test_dead_mount() {
	local command
	needs_mount
	mkdir "$T/dead"
	mount_at "$T/dead-store" "$T/dead"
	kill_daemon "$T/dead"
	for command in reserve 'extend -o me' 'release -o me' wait 'get --wait' reservations; do
		read -ra words <<<"$command"
		complains 4 "daemon of this mount has ended; run: memofs umount $T/dead$" \
			"${words[@]}" "$T/dead/k"
	done
	umount_at "$T/dead"
}

setup
# There is no room for a scratch file beside a reserved name.
test_put_below_an_owner() {
	local id
	id=$("$MEMOFS" reserve k)
	echo old >other
	echo value | "$MEMOFS" put --ttl 1h ".memofs/view/owner=$id/k"
	has k $'value\n'
	is "$(attr ttl k)" 1h
	is "$(owner_of k)" ''
	# The lease went with the publish, and with it the right to write.
	fails 'the reservation is not held' "$MEMOFS" put -i other ".memofs/view/owner=$id/k"
	has k $'value\n'
	# What could not be read whole is not stored.
	id=$("$MEMOFS" reserve k)
	fails 'nothing was stored' "$MEMOFS" put -i . ".memofs/view/owner=$id/k"
	has k $'value\n'
	is "$(owner_of k)" "$id"
	# Nor need the temporary file be on a disk that has files without a name.
	echo again | TMPDIR=$PWD "$MEMOFS" put ".memofs/view/owner=$id/k"
	has k $'again\n'
	is "$(find . -name 'memofs-tmp*')" ''
}

run_tests "$@"
