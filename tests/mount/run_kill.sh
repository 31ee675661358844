#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs run, its command or the daemon are killed at random moments. Afterwards the
# cache has a whole and right result or none, nothing is left over, the command has
# done what it would have done without memofs, and running it again gives what it
# should. MEMOFS_ROUNDS (25): how often.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

ROUNDS=${MEMOFS_ROUNDS:-25}

# Writes a little here and there, and says in `effects` how far it came.
job() {
	STORED=0
	program job <<-'END'
		n=$1
		for i in {1..20}; do
			printf 'out %d %d\n' "$n" $i
			printf 'err %d %d\n' "$n" $i >&2
			echo $i >>"effects.$n"
			((i % 4)) || sleep 0.001
		done
		mkdir -p "made.$n"
		seq "$n" 5000 >"made.$n/file"
		ln -sf file "made.$n/link"
	END
}

start() { # ROUND
	MADE=made.$1
	memofs run --output "$MADE" -- ./job "$1" >out 2>err &
	PID=$!
}

# What a result of this round must be.
want() { # ROUND
	for i in {1..20}; do printf 'out %d %d\n' "$1" $i; done >want.out
	for i in {1..20}; do printf 'err %d %d\n' "$1" $i; done >want.err
	seq "$1" 5000 >want.file
}

# Up to 120 ms; a run takes some 30 to 80.
pause() { sleep "0.$(printf %03d $((RANDOM % 40)))"; }

alive() { is "$(cat "$MNT/.memofs/version" >/dev/null 2>&1 && echo yes)" yes 'the mount'; }

check() { # ROUND
	local n=$1 found status=0
	want "$n"
	# Whatever is stored is whole, and a success.
	grep -LsxF 'exit 0' "$MEMOFS_CACHE"/*/*/result >odd || :
	has odd ''
	found=$(grep -lsx $'command\t1\t'"$n" "$MEMOFS_CACHE"/*/*/key) || :
	if [ -n "$found" ]; then
		found=${found%/key}
		STORED=$((STORED + 1))
		same "$found/stdout" want.out
		same "$found/stderr" want.err
		same "$found/files/$MADE/file" want.file
		is "$(readlink "$found/files/$MADE/link")" file
	fi
	only_results
	# Once more, from the cache or not.
	rm -rf "$MADE"
	memofs run --output "$MADE" -- ./job "$n" >out 2>err || status=$?
	is $status 0 "round $n, again"
	same out want.out
	same err want.err
	same "$MADE/file" want.file
	memofs run --status-file status --output "$MADE" -- ./job "$n" >out 2>err
	grep -q '"hit"' status || fail "round $n: $(cat status)"
	same out want.out
	same err want.err
}

# The effects of one run: in order, and none twice.
whole_or_cut() { # ROUND
	[ ! -e "effects.$1" ] || is "$(cat "effects.$1")" "$(seq "$(wc -l <"effects.$1")")" effects
}

children() { # PID
	cat "/proc/$1/task/$1/children" 2>/dev/null || :
}

test_memofs_is_killed() {
	begin
	job
	local n
	for ((n = 1; n <= ROUNDS; n++)); do
		start $n
		pause
		kill -KILL "$PID" 2>/dev/null || :
		wait "$PID" 2>/dev/null || :
		# Its command may live on for a moment, until it writes.
		sleep 0.03
		whole_or_cut $n
		check $n
		rm -rf "$MADE" "effects.$n"
	done
	say "$STORED of $ROUNDS had a result already"
}

test_command_is_killed() {
	begin
	job
	local n status
	for ((n = 1; n <= ROUNDS; n++)); do
		start $n
		pause
		# shellcheck disable=SC2046
		kill -KILL $(children "$PID") 2>/dev/null || :
		status=0
		wait "$PID" || status=$?
		[ $status = 0 ] || [ $status = 137 ] || fail "round $n: $status"
		whole_or_cut $n
		check $n
		rm -rf "$MADE" "effects.$n"
	done
	say "$STORED of $ROUNDS had a result already"
}

test_daemon_is_killed() {
	needs_persistence
	begin
	job
	local n status
	for ((n = 1; n <= ROUNDS; n++)); do
		want $n
		start $n
		pause
		kill_daemon
		status=0
		wait "$PID" || status=$?
		# The command was not disturbed.
		is $status 0 "round $n"
		same out want.out
		is "$(grep -v '^memofs: ' err)" "$(cat want.err)" "round $n: stderr"
		is "$(cat "effects.$n")" "$(seq 20)" "round $n: effects"
		same "$MADE/file" want.file
		(cd / && umount_memofs && mount_memofs)
		alive
		[ -d "$MEMOFS_CACHE" ] || mkdir "$MEMOFS_CACHE"
		check $n
		rm -rf "$MADE" "effects.$n"
	done
	say "$STORED of $ROUNDS had a result already"
}

# No temporary file of ours, after all that.
test_nothing_is_left() {
	is "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -type f -name 'memofs-tmp.*' -user "$(id -u)" -newer "$STORE" 2>/dev/null)" ''
	is "$(find "$T" -name '*.memofs-*' -o -name '.memofs*' -not -path "$MNT/*" 2>/dev/null | grep -v "^$MNT" || :)" ''
}

run_tests "$@"
