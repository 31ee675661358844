#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `memofs run` by one process at a time: what is shown, stored, shown again.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

# --- output ---------------------------------------------------------------------------

test_result_is_shown_again() {
	begin
	program job <<-'END'
		echo out; echo err >&2
		printf 'no line break'
	END
	for _ in 1 2 3; do
		runs 0 -- ./job
		has "$T/out" $'out\nno line break'
		has "$T/err" $'err\n'
	done
	told hit
	ran 1
}

test_order_of_both_streams() {
	begin
	program job <<-'END'
		for i in {1..100}; do
			printf "o$i "; printf "e$i " >&2
			((i % 7)) || { printf a; printf b; printf c >&2; printf d; }
		done
		echo
	END
	./job >want 2>&1
	rm calls
	for _ in 1 2; do
		memofs run -- ./job >got 2>&1
		same want got
	done
	ran 1
}

test_any_bytes() {
	begin
	program job <<-'END'
		for i in {0..255}; do printf "\\x$(printf %x $i)"; done
		printf '\0\n\0' >&2
	END
	./job >want.out 2>want.err
	rm calls
	for _ in 1 2; do
		runs 0 -- ./job
		same want.out "$T/out"
		same want.err "$T/err"
	done
	ran 1
}

test_no_output() {
	begin
	program job </dev/null
	for _ in 1 2; do
		runs 0 -- ./job
		has "$T/out" ''
		has "$T/err" ''
	done
	told hit
	ran 1
}

test_100_MiB() {
	begin
	head -c $((100 << 20)) /dev/urandom >big
	program job <<-'END'
		cat big; echo end >&2
	END
	for _ in 1 2; do
		runs 0 -- ./job
		same big "$T/out"
		has "$T/err" $'end\n'
	done
	told hit
	ran 1
}

test_streams_while_it_runs() {
	begin
	program job <<-'END'
		echo first
		until [ -e go ]; do sleep 0.02; done
		echo second
	END
	memofs run -- ./job >out &
	local pid=$!
	eventually 20 grep -q first out
	touch go
	wait $pid
	has out $'first\nsecond\n'
}

test_stdout_on_a_full_disk() {
	begin
	program job <<-'END'
		echo text
	END
	local status=0
	memofs run -- ./job 2>err >/dev/full || status=$?
	[ $status -ne 0 ] || fail 'output was lost, and nobody told'
	# What was not shown is not kept; what is kept can still not be shown.
	runs 0 -- ./job
	told populated
	status=0
	memofs run -- ./job 2>err >/dev/full || status=$?
	is $status 3
	grep -q 'No space left' err || fail "$(cat err)"
}

test_reader_goes_away() {
	begin
	program job <<-'END'
		while :; do echo line; done
	END
	local statuses
	set +o pipefail
	memofs run -- ./job 2>err | head -n 1 >first
	statuses=("${PIPESTATUS[@]}")
	has first $'line\n'
	is "${statuses[0]}" 141 'as by SIGPIPE'
	runs 0 -- seq 100000
	memofs run -- seq 100000 2>err | head -n 1 >first
	statuses=("${PIPESTATUS[@]}")
	has first $'1\n'
	is "${statuses[0]}" 141 'a hit, as by SIGPIPE'
	has err ''
}

# --- exit codes -----------------------------------------------------------------------

test_failures_are_not_stored() {
	begin
	program job <<-'END'
		echo out; exit "$1"
	END
	for code in 1 42 255; do
		for _ in 1 2; do
			runs $code -- ./job $code
			told miss
			has "$T/out" $'out\n'
			said_nothing
		done
	done
	ran 6
	is "$(find "$MEMOFS_CACHE" -type f)" ''
}

test_cache_exit() {
	begin
	program job <<-'END'
		echo "out $1"; exit "$1"
	END
	for code in 0 1 10 12; do
		runs $code --cache-exit 0,1,10-12 -- ./job $code
		told populated
		runs $code --cache-exit 0,1,10-12 -- ./job $code
		told hit
		has "$T/out" "out $code"$'\n'
	done
	runs 13 --cache-exit 0,1,10-12 -- ./job 13
	told miss
	# Who accepts 0 alone is not answered by a failure.
	runs 1 -- ./job 1
	told miss
	runs 77 --cache-exit any -- ./job 77
	runs 77 --cache-exit any -- ./job 77
	told hit
}

test_killed_is_never_stored() {
	begin
	program job <<-'END'
		kill -"$1" $$
	END
	for _ in 1 2; do
		runs 143 --cache-exit any -- ./job TERM
		told miss
		runs 137 --cache-exit any -- ./job KILL
	done
	ran 4
}

test_cannot_be_executed() {
	begin
	: >file
	local _
	for _ in 1 2; do
		runs 127 --cache-exit any -- ./missing
		grep -q 'missing: No such file' "$T/err" || fail "$(cat "$T/err")"
		runs 126 --cache-exit any -- ./file
		grep -q 'file: Permission denied' "$T/err" || fail "$(cat "$T/err")"
		runs 127 -- no-such-command-anywhere
	done
	told miss
	only_results
}

test_usage() {
	begin
	runs 2
	runs 2 --
	runs 2 true
	said 'run: -- is missing'
	runs 2 -- ''
	said 'name of the command is empty'
	runs 2 --cache-exit 1- -- true
	said '--cache-exit: "1-"'
	runs 2 --wait 5s --no-wait -- true
	runs 2 --overwrite --stale-while-refresh -- true
	runs 2 --since yesterday -- true
	said '--since: "yesterday"'
	runs 2 --key '{nonsense}' -- true
	said nonsense
	runs 2 --outptu x -- true
	said 'did you mean --output'
	# Patterns of outputs are looked at before the command is run.
	local pattern
	for pattern in /abs/x ../x '[a' '!x'; do
		runs 2 --output "$pattern" -- touch ran
		said '--output: pattern'
	done
	absent ran
	runs 2 --key '' -- true
	said '--key: the path "" is empty'
	runs 2 --on-leader-failure give-up -- true
	said 'values: takeover share$'
	local status=0
	memofs run --status-fd 77 -- true 2>err || status=$?
	is $status 2
	grep -q 'status-fd' err
	status=0
	memofs run --status-file /nonexistent/x -- touch made 2>err || status=$?
	is $status 2
	absent made
}

# --- when a result counts -----------------------------------------------------------------

test_ttl() {
	begin
	program job <<-'END'
		echo out
	END
	runs 0 --ttl 1s -- ./job
	runs 0 -- ./job
	told hit
	sleep 1.1
	runs 0 --ttl 1h -- ./job
	told populated
	is "$(attr ttl "$(echo "$MEMOFS_CACHE"/job/*)")" 1h
	runs 0 --name costly -- sleep 0.3
	awk -v cost="$(attr cost "$(echo "$MEMOFS_CACHE"/costly/*)")" 'BEGIN { exit !(cost >= 0.3) }' ||
		fail 'its cost was not measured'
}

test_max_age_and_since() {
	begin
	program job <<-'END'
		wc -l <"${0%/*}/calls"
	END
	runs 0 -- ./job
	sleep 1.1
	runs 0 --max-age 1h -- ./job
	told hit
	runs 0 --max-age 1s -- ./job
	told populated
	has "$T/out" $'2\n'
	runs 0 --max-age none -- ./job
	told hit
	local now
	now=$(date +%s.%N)
	runs 0 --since "$now" -- ./job
	told populated
	runs 0 --since "$now" -- ./job
	told hit
	has "$T/out" $'3\n'
	runs 0 --since 2020-01-01 -- ./job
	told hit
}

test_overwrite() {
	begin
	program job <<-'END'
		wc -l <"${0%/*}/calls"
	END
	for i in 1 2 3; do
		runs 0 --overwrite -- ./job
		told populated
		has "$T/out" "$i"$'\n'
	done
	runs 0 -- ./job
	told hit
	has "$T/out" $'3\n'
	# One that fails leaves what was there.
	program failing <<-'END'
		[ "$(wc -l <"${0%/*}/calls")" -lt 5 ]
	END
	runs 0 -- ./failing
	runs 1 --overwrite -- ./failing
	runs 0 -- ./failing
	told hit
}

test_same_key_other_command() {
	begin
	runs 0 --key 'a/b/c' -- echo one
	runs 0 --key 'a/b/c' -- echo two
	told hit
	has "$T/out" $'one\n'
	runs 0 --key 'a/b/c' --validate all_parts -- echo two
	told populated
	has "$T/out" $'two\n'
	present "$MEMOFS_CACHE/a/b/c/stdout"
}

# What has the name of a result and is none is replaced, if it can be.
test_something_else_in_its_place() {
	begin
	echo mine >"$MEMOFS_CACHE/file"
	runs 0 --key file -- echo result
	told populated
	runs 0 --key file -- echo result
	told hit
	mkdir -p "$MEMOFS_CACHE/dir/below"
	runs 0 --key dir -- echo result
	told skipped
	said 'not cached'
	has "$T/out" $'result\n'
	present "$MEMOFS_CACHE/dir/below"
	# A part of the path is a file.
	runs 0 --key file2/x -- true
	echo mine >"$MEMOFS_CACHE/plain"
	runs 0 --key plain/x -- echo result
	told skipped
	has "$MEMOFS_CACHE/plain" $'mine\n'
}

test_stdin() {
	begin
	program job <<-'END'
		cat
	END
	runs 0 --stdin -- ./job <<<'one'
	has "$T/out" $'one\n'
	runs 0 --stdin -- ./job <<<'two'
	has "$T/out" $'two\n'
	runs 0 --stdin -- ./job <<<'one'
	told hit
	has "$T/out" $'one\n'
	ran 2
	# Without, it is the command's, and makes no difference.
	runs 0 -- ./job <<<'three'
	has "$T/out" $'three\n'
	runs 0 -- ./job <<<'four'
	has "$T/out" $'three\n'
}

# --- files ------------------------------------------------------------------------------

test_outputs() {
	begin
	program job <<-'END'
		mkdir -p out/deep/er out/empty
		echo text >out/file
		printf '#!/bin/sh\necho ran\n' >out/deep/er/program
		chmod 750 out/deep/er/program
		ln -s file out/link
		ln -s nowhere out/dangling
		touch -d '2020-02-02 02:02:02.123456789' out/file
		: >single.o
	END
	umask 022
	runs 0 --output out --output '*.o' -- ./job
	told populated
	find out single.o -printf '%p %y %m %l %T@\n' | sort >want
	rm -r out single.o
	runs 0 --output out --output '*.o' -- ./job
	told hit
	find out single.o -printf '%p %y %m %l %T@\n' | sort >got
	same want got
	is "$(out/deep/er/program)" ran
	ran 1
	# Another hit writes nothing that is there already.
	stat -c %i out/file >inode
	runs 0 --output out --output '*.o' -- ./job
	is "$(stat -c %i out/file)" "$(cat inode)" 'inode'
	# Changed ones are put right, by a new file.
	ln out/file other-name
	echo changed >out/file
	runs 0 --output out --output '*.o' -- ./job
	has out/file $'text\n'
	has other-name $'changed\n'
	rm out/file
	runs 0 --mtime now --output out --output '*.o' -- ./job
	told hit
	[ out/file -nt want ] || fail '--mtime now'
	present "$(echo "$MEMOFS_CACHE"/job/*/files/out/link)"
}

test_output_not_made() {
	begin
	program job <<-'END'
		echo out; echo a >made
	END
	local _
	for _ in 1 2; do
		runs 0 --output made --output forgotten -- ./job
		told miss
		said 'not cached: .*"forgotten"'
		has "$T/out" $'out\n'
		present made
	done
	runs 3 --strict --output made --output forgotten -- ./job
	is "$(find "$MEMOFS_CACHE" -type f)" ''
	# Its own code is never masked.
	runs 4 --strict --output forgotten -- sh -c 'exit 4'
}

test_inputs_that_change_meanwhile() {
	begin
	echo 1 >input
	program job <<-'END'
		cat input; [ -e quiet ] || echo 2 >input
	END
	runs 0 --input input -- ./job
	told miss
	said 'not cached: .*input'
	echo 1 >input
	runs 3 --strict --input input -- ./job
	touch quiet
	runs 0 --input input -- ./job
	told populated
	has "$T/out" $'2\n'
	echo 1 >input
	runs 0 --input input -- ./job
	told populated
	has "$T/out" $'1\n'
}

test_input_that_is_missing() {
	begin
	program job <<-'END'
		echo ran
	END
	runs 0 --input nowhere -- ./job
	told skipped
	said 'not cached: .*nowhere'
	has "$T/out" $'ran\n'
	runs 3 --strict --input nowhere -- ./job
	is "$(grep -c nowhere "$T/err")" 1 'how often it says why'
	grep -q -- '--strict: so the command is not run' "$T/err" || fail "$(cat "$T/err")"
	runs 3 --quiet --strict --input nowhere -- ./job
	said '--strict: .*nowhere'
	runs 0 --input '*.none' -- ./job
	said '\*\.none'
	ln -s loop loop
	runs 0 --input loop -- ./job
	said loop
	ran 3
}

# --- telling --------------------------------------------------------------------------

test_status() {
	begin
	program job <<-'END'
		sleep 0.1; echo out
	END
	runs 0 -- ./job
	python3 - "$T/status" <<-'END'
		import json, sys
		v = json.loads(open(sys.argv[1]).read())
		assert v["status"] == "populated" and v["exit"] == 0, v
		assert v["seconds"] >= 0.1 and v["saved"] == 0, v
		assert v["path"] == "job/" + v["id"], v
	END
	runs 0 -- ./job
	python3 - "$T/status" <<-'END'
		import json, sys
		text = open(sys.argv[1]).read()
		v = json.loads(text)
		assert text.count("\n") == 1
		assert v["status"] == "hit" and v["seconds"] >= 0.1, v
	END
	memofs run --status-fd 3 -- ./job 3>status >/dev/null
	grep -q '"hit"' status
	MEMOFS_DISABLE=1 runs 0 -- ./job
	told disabled
	MEMOFS_DISABLE=0 runs 0 -- ./job
	told hit
	runs 5 -- sh -c 'exit 5'
	grep -q '"exit": 5' "$T/status"
}

test_verbose_and_quiet() {
	begin
	program job <<-'END'
		echo err >&2
	END
	runs 0 -v -- ./job
	said 'populated job/.*took'
	runs 0 -v -- ./job
	said 'hit job/.*saved'
	runs 0 -q -- ./job
	said_nothing
	runs 0 -q --output none -- ./job
	said_nothing
}

test_dry_run() {
	begin
	program job <<-'END'
		echo out
	END
	runs 1 --dry-run -- ./job
	grep -q '^miss job/.*nothing is stored' "$T/out" || fail "$(cat "$T/out")"
	ran 0
	runs 0 -- ./job
	runs 0 --dry-run -- ./job
	grep -q '^hit job/' "$T/out" || fail "$(cat "$T/out")"
	runs 1 --dry-run --overwrite -- ./job
	runs 1 --dry-run --max-age 0 -- ./job
	runs 1 --dry-run --key "$(cd "$MEMOFS_CACHE" && echo job/*)" --validate all_parts --param x=1 -- ./job
	grep -q 'param' "$T/out" || fail "$(cat "$T/out")"
	ran 1
}

# --- the command's own ways --------------------------------------------------------------

test_background_process() {
	begin
	program job <<-'END'
		{ until [ -e go ]; do sleep 0.02; done; echo late; touch done; } &
		echo early
	END
	memofs run -- ./job >out 2>err
	has out $'early\n'
	grep -q 'not cached: .*left behind' err || fail "$(cat err)"
	# It is not disturbed, and what it writes is still shown.
	touch go
	eventually 20 test -e "done"
	eventually 20 grep -q late out
	is "$(find "$MEMOFS_CACHE" -type f)" ''
	# One with an output of its own does not matter.
	runs 0 -- sh -c 'sleep 2 >/dev/null 2>&1 & echo done'
	told populated
}

test_nested() {
	begin
	program inner <<-'END'
		echo inner
	END
	program outer <<-'END'
		memofs run -- ./inner; memofs run -- ./inner; echo outer
	END
	runs 0 -- ./outer
	has "$T/out" $'inner\ninner\nouter\n'
	said_nothing
	ran 2
	runs 0 -- ./inner
	told hit
	runs 0 -- ./outer
	told hit
}

# One that runs itself would wait for itself.
test_nested_itself() {
	begin
	program job <<-'END'
		[ -e below ] && { echo bottom; exit; }
		touch below
		memofs run -- ./job
	END
	runs 0 -- ./job
	has "$T/out" $'bottom\n'
	said 'not cached: it is run by the command'
	ran 2
}

test_interrupted_while_restoring() {
	begin
	program job <<-'END'
		mkdir out
		for i in {1..3000}; do echo $i >out/$i; done
	END
	runs 0 --output out -- ./job
	local i status
	for i in 1 2 3 4 5 6; do
		rm -rf out
		memofs run --output out -- ./job >/dev/null &
		local pid=$!
		eventually 20 test -e out/1
		kill -TERM $pid 2>/dev/null || : # it was quicker
		status=0
		wait $pid || status=$?
		[ $status = 143 ] || [ $status = 0 ] || fail "status $status"
		# What is there is whole, and nothing else is.
		find out -type f -not -regex 'out/[0-9]+' >odd
		has odd ''
		(cd out && for f in *; do echo "$f" | cmp -s - "$f" || echo "$f"; done) >odd
		has odd ''
	done
	runs 0 --output out -- ./job
	told hit
	is "$(cat out/* | wc -l)" 3000
	ran 1
}

test_environment_and_descriptors() {
	begin
	program job <<-'END'
		cat /proc/self/stat | cut -d' ' -f5 >pgrp
		grep -E 'Sig(Blk|Ign)' /proc/self/status
	END
	# As `runs` starts it: timeout(1) has signals of its own.
	timeout "$COMMAND_TIMEOUT_S" bash -c 'grep -E "Sig(Blk|Ign)" /proc/self/status' >want
	runs 0 -- ./job
	same want "$T/out"
}

run_tests "$@"
