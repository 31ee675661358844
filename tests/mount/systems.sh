#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The caching of four systems, row by row: docs/parity.md says what each row is, and
# tests/rows.sh prints which test here and which example shows it. A test is named
# after its row. Each has a cache of its own, a directory in the mount, and a working
# directory outside of it.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup
export XDG_CACHE_HOME=$T/xdg-cache MEMOFS
PATH=$MEMOFS_BUILD:$PATH

# An empty working directory, and $MEMOFS_CACHE.
begin() {
	MEMOFS_CACHE=$PWD/cache
	export MEMOFS_CACHE
	mkdir "$MEMOFS_CACHE"
	directory=$(mktemp -d "$T/work.XXXXXX")
	cd "$directory"
}

# An empty directory instead of the current one.
afresh() {
	cd "$(mktemp -d "$directory/again.XXXXXX")"
}

# A program that says how often it ran: `./work ARGUMENTS` prints them and the number.
worker() {
	printf '#!/bin/sh\necho x >>%q/calls\necho "$* $(wc -l <%q/calls)"\n' \
		"$directory" "$directory" >work
	chmod +x work
}

ran() { # TIMES
	local times=0
	[ ! -e "$directory/calls" ] || times=$(wc -l <"$directory/calls")
	is "$times" "$1" 'how often it ran'
}

# What a command prints, exactly.
prints() { # TEXT COMMAND...
	local want=$1 got
	shift
	got=$("$@") || fail "$* failed with $?"
	is "$got" "$want" "output of $*"
}

exits() { # CODE COMMAND...
	local want=$1 status=0
	shift
	"$@" >"$T/exits.out" 2>&1 || status=$?
	is "$status" "$want" "exit code of $* ($(cat "$T/exits.out"))"
}

# --- Kestra: files of a working directory --------------------------------------------

test_K1_patterns_name_the_files() {
	begin
	mkdir -p node_modules/a/lib dist 'src/deep/er'
	touch node_modules/a/{index.js,lib/x.js} dist/{a.o,b.o,c.txt} src/deep/er/{1,2,10}.h top.md
	memofs save -q all 'node_modules/**' 'dist/*.o' 'src/**/[0-9].h' '{top,other}.md' \
		'regex:src/.*/10[.]h'
	is "$(cd "$MEMOFS_CACHE/all" && find . -type f | sort | tr '\n' ' ')" \
		'./dist/a.o ./dist/b.o ./node_modules/a/index.js ./node_modules/a/lib/x.js ./src/deep/er/1.h ./src/deep/er/10.h ./src/deep/er/2.h ./top.md '
	memofs save -q some 'dist/?.*' '!dist/b.o'
	is "$(names "$MEMOFS_CACHE/some/dist" | tr '\n' ' ')" 'a.o c.txt '
}

test_K2_ttl_is_judged_when_read() {
	begin
	mkdir d
	echo content >d/file
	memofs save -q deps/d 'd/**'
	set_attr ttl PT1H "$MEMOFS_CACHE/deps"
	afresh
	memofs restore -q deps/d
	has d/file $'content\n'
	sleep 1.1
	set_attr ttl PT1S "$MEMOFS_CACHE/deps"
	afresh
	exits 1 memofs restore deps/d
	[ ! -e d ] || fail 'what has expired was restored'
}

test_K3_packed_stored_and_put_back() {
	begin
	mkdir -p tree/empty tree/bin
	echo 'echo it runs' >tree/bin/program
	chmod 750 tree/bin/program
	ln -s bin/program tree/link
	ln -s nowhere tree/dangling
	touch -d '2020-02-02 02:02:02.123456789' tree/bin/program
	memofs save -q t 'tree/**'
	# Nothing is saved when the job failed: nothing was asked to be.
	afresh
	umask 022
	memofs restore -q t
	[ -d tree/empty ] || fail 'the empty directory is missing'
	is "$(readlink tree/link) $(readlink tree/dangling)" 'bin/program nowhere'
	is "$(stat -c '%a %y' tree/bin/program | cut -c1-33)" '750 2020-02-02 02:02:02.123456789'
	is "$(sh tree/link)" 'it runs'
	[ -z "$(ls -d "$MEMOFS_CACHE"/.[!.]* 2>/dev/null)" ] || fail 'something was left behind'
}

test_K4_longer_revives_shorter_ends() {
	begin
	echo content >file
	set_attr ttl 1s "$MEMOFS_CACHE"
	memofs save -q f file
	sleep 1.1
	rm file
	exits 1 memofs restore f
	set_attr ttl 1h "$MEMOFS_CACHE"
	memofs restore -q f
	has file $'content\n'
	# Expired was hidden, not deleted; and the reader may be stricter.
	exits 1 memofs restore --max-age 1s f
}

test_K5_unchanged_is_not_stored_again() {
	begin
	mkdir d
	seq 1000 >d/numbers
	memofs save -q d 'd/**'
	local created
	created=$(attr created "$MEMOFS_CACHE/d")
	memofs save d 'd/**' >said
	grep -q unchanged said || fail "save said: $(cat said)"
	is "$(attr created "$MEMOFS_CACHE/d")" "$created"
	seq 1001 >d/numbers
	memofs save -q d 'd/**'
	[ "$(attr created "$MEMOFS_CACHE/d")" != "$created" ] || fail 'a change was not stored'
}

test_K6_real_tools_also_in_a_container() {
	begin
	needs python3 unshare
	python3 -c 'import venv, ensurepip' 2>/dev/null || skip 'python3 has no venv'
	python3 -m venv --without-pip venv
	echo 'ANSWER = 42' >"$(echo venv/lib/python3*/site-packages)/answer.py"
	memofs save -q deps/venv 'venv/**'
	afresh
	# Another pid and mount namespace, as a task runner's container has.
	unshare --fork --pid --mount --mount-proc memofs restore -q deps/venv ||
		{ needs_root && fail 'restore in a namespace failed'; }
	prints 42 venv/bin/python -c 'import answer; print(answer.ANSWER)'
	afresh
	memofs restore -q --link deps/venv
	[ -L venv ] || fail 'not a link'
	prints 42 venv/bin/python -c 'import answer; print(answer.ANSWER)'
}

# --- Flyte and Union: outputs of tasks -----------------------------------------------

test_F1_version_is_part_of_the_key() {
	begin
	worker
	prints ' 1' memofs run --version 1.0 -- ./work
	prints ' 2' memofs run --version 1.1 -- ./work
	prints ' 1' memofs run --version 1.0 -- ./work
	# Of a directory, for all that is in it.
	set_attr version v2 "$MEMOFS_CACHE"
	prints ' 3' memofs run --version 1.0 -- ./work
	set_attr version '' "$MEMOFS_CACHE"
	prints ' 1' memofs run --version 1.0 -- ./work
}

test_F2_serialized() {
	begin
	printf '#!/bin/sh\necho x >>%q/calls\nsleep 1\necho result\n' "$directory" >slow
	chmod +x slow
	local i
	for i in 1 2 3 4 5 6 7 8; do memofs run -- ./slow >"out.$i" & done
	wait
	ran 1
	for i in 1 2 3 4 5 6 7 8; do has "out.$i" $'result\n'; done
}

test_F3_reservation_of_one_owner() {
	begin
	local id
	id=$(memofs reserve --lease 1h "$MEMOFS_CACHE/k")
	exits 5 memofs reserve "$MEMOFS_CACHE/k"
	memofs reservations "$MEMOFS_CACHE" | grep -qF "$id" || fail 'it does not tell who holds it'
	exits 6 memofs extend --owner somebody-else "$MEMOFS_CACHE/k"
	memofs release --owner somebody-else "$MEMOFS_CACHE/k"
	exits 5 memofs reserve "$MEMOFS_CACHE/k"
	memofs extend --owner "$id" "$MEMOFS_CACHE/k"
	memofs release --owner "$id" "$MEMOFS_CACHE/k"
	memofs reserve -q "$MEMOFS_CACHE/k"
}

somebody_waits() { [ "$(status_of waiting_opens)" -eq 1 ]; }

test_F4_the_next_takes_over_from_one_that_died() {
	begin
	cat >job <<-END
		#!/bin/sh
		echo x >>$directory/calls
		[ \$(wc -l <$directory/calls) -gt 1 ] || { echo \$\$ >$directory/pid; exec sleep 60; }
		echo done
	END
	chmod +x job
	memofs run -- ./job >first 2>/dev/null &
	local leader=$!
	eventually 20 test -s pid
	memofs run -- ./job >second &
	local follower=$!
	eventually 20 somebody_waits
	kill -KILL "$leader"
	wait "$follower"
	has second $'done\n'
	ran 2
	kill -KILL "$(cat pid)" 2>/dev/null || :
}

test_F5_ignored_inputs() {
	begin
	worker
	a=1 b=2 prints ' 1' memofs run --env a --env b --ignore a -- ./work
	a=9 b=2 prints ' 1' memofs run --env a --env b --ignore a -- ./work
	a=9 b=3 prints ' 2' memofs run --env a --env b --ignore a -- ./work
}

test_F6_policies_make_the_version() {
	begin
	worker
	printf 'def f():\n    return 1  # one\n' >body.py
	printf 'v1\n' >VERSION
	run() {
		memofs run --version-from file:body.py --strip-comments \
			--version-from 'command:cat VERSION' --version-from exe -- ./work
	}
	prints ' 1' run
	printf 'def f():\n\n    # a comment\n    return 1\n' >body.py
	prints ' 1' run
	printf 'def f():\n    return 2\n' >body.py
	prints ' 2' run
	echo v2 >VERSION
	prints ' 3' run
	echo '# changed' >>work
	prints ' 4' run
	# Of what git tracks.
	needs git
	git init -q . && git add body.py
	git -c user.name=t -c user.email=t commit -qm first
	prints ' 5' memofs run --version-from git:body.py -- ./work
	prints ' 5' memofs run --version-from git:body.py -- ./work
	echo '# dirty' >>body.py
	prints ' 6' memofs run --version-from git:body.py -- ./work
}

test_F7_salt() {
	begin
	worker
	prints ' 1' memofs run -- ./work
	prints ' 2' memofs run --salt pepper -- ./work
	prints ' 2' memofs run --salt pepper -- ./work
}

test_F8_overwrite() {
	begin
	worker
	prints ' 1' memofs run -- ./work
	prints ' 2' memofs run --overwrite -- ./work
	prints ' 2' memofs run -- ./work
}

test_F9_name_signature_version_and_values() {
	begin
	worker
	echo 1 >in
	prints ' 1' memofs run --name n --input in -- ./work
	prints ' 2' memofs run --name m --input in -- ./work
	prints ' 3' memofs run --name n --input data=in -- ./work
	prints ' 4' memofs run --name n --input in --param p=1 -- ./work
	prints ' 5' memofs run --name n --input in --param p=2 -- ./work
	touch out
	prints ' 6' memofs run --name n --input in --output out -- ./work
	echo 2 >in
	prints ' 7' memofs run --name n --input in -- ./work
	# Each part is kept, to explain it.
	memofs key --name n --input in --param p=1 -- ./work >parts
	grep -q $'^param\tp\t1' parts || fail "$(cat parts)"
	grep -q $'^input\tin\t' parts || fail "$(cat parts)"
	# Another namespace is another result.
	mkdir "$MEMOFS_CACHE/other"
	prints ' 8' memofs run --cache "$MEMOFS_CACHE/other" --name n --input in -- ./work
}

test_F10_hash_in_place_of_an_input() {
	begin
	worker
	printf '# comment 1\nvalue\n' >frame
	run() {
		memofs run --input frame=frame --input-hash 'frame=grep -v "^#" frame' -- ./work
	}
	prints ' 1' run
	printf '# comment 2\nvalue\n' >frame
	prints ' 1' run
	printf '# comment 2\nother\n' >frame
	prints ' 2' run
	printf 'frame=false' >x
	! memofs run --strict --input frame=frame --input-hash 'frame=false' -- ./work 2>/dev/null ||
		fail 'a hash that failed was taken'
}

test_F11_default_store_and_clear() {
	needs_root
	begin
	worker
	unset MEMOFS_CACHE
	XDG_RUNTIME_DIR=$directory/run
	export XDG_RUNTIME_DIR
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	prints ' 1' memofs run -- ./work
	prints ' 1' memofs run -- ./work
	memofs clear -n | grep -q '^would remove 1 entry' || fail 'the preview'
	prints ' 1' memofs run -- ./work
	memofs clear | grep -q '^removed 1 entry' || fail 'clear'
	prints ' 2' memofs run -- ./work
	cd /
	memofs umount "$XDG_RUNTIME_DIR/memofs"
}

test_F12_off_unless_asked_for_and_nested() {
	begin
	worker
	prints ' 1' ./work
	prints ' 2' ./work
	is "$(find "$MEMOFS_CACHE" -mindepth 1 | wc -l)" 0 'entries'
	printf '#!/bin/sh\necho outer >>%q/outer\nmemofs run -- ./work\n' "$directory" >nest
	chmod +x nest
	prints ' 3' memofs run -- ./nest
	prints ' 3' memofs run -- ./nest
	prints ' 3' memofs run -- ./work
	is "$(wc -l <outer)" 1 'how often the outer ran'
}

test_F13_inputs_for_retries() {
	begin
	mkdir inputs
	echo given >inputs/a
	memofs save -q retries/task/inputs 'inputs/**'
	rm -r inputs
	memofs restore -q retries/task/inputs
	has inputs/a $'given\n'
}

test_F14_status_is_told() {
	begin
	worker
	status() { # WANT OPTION... -- COMMAND
		local want=$1
		shift
		memofs run --status-file status "$@" >/dev/null 2>&1
		grep -qw "$want" status || fail "status is $(cat status), want $want"
	}
	status populated -- ./work
	status hit -- ./work
	MEMOFS_DISABLE=1 status disabled -- ./work
	exits 3 memofs run --status-file status -- sh -c 'exit 3'
	grep -qw hit status && fail 'a failure is no hit'
	exits 3 memofs run -- sh -c 'exit 3'
	# Its own exit code, whatever became of the cache.
	MEMOFS_CACHE=/proc status skipped -- ./work
}

# --- Coflux: results ------------------------------------------------------------------

test_C1_same_arguments_same_result() {
	begin
	worker
	prints 'a b 1' memofs run -- ./work a b
	prints 'a b 1' memofs run -- ./work a b
	prints 'b a 2' memofs run -- ./work b a
}

test_C2_maximum_age_of_the_reader() {
	begin
	worker
	prints ' 1' memofs run --max-age 600 -- ./work
	sleep 1.1
	prints ' 1' memofs run --max-age PT10M -- ./work
	prints ' 2' memofs run --max-age 1 -- ./work
	prints ' 2' memofs run --max-age 1h -- ./work
}

test_C3_results_do_not_expire_but_dates_do() {
	begin
	worker
	set_attr ttl 1s "$MEMOFS_CACHE"
	prints ' 1' memofs run --ttl none -- ./work
	prints ' 2' memofs run --key 'headlines/{date}' --ttl none --param date=2026-11-20 -- ./work
	prints ' 3' memofs run --key 'headlines/{date}' --ttl none --param date=2026-11-21 -- ./work
	sleep 1.1
	prints ' 1' memofs run -- ./work
	prints ' 3' memofs run --key 'headlines/{date}' --param date=2026-11-21 -- ./work
}

test_C4_pending_ones_are_linked_and_may_fail_together() {
	begin
	printf '#!/bin/sh\necho x >>%q/calls\nsleep 1\necho reason >&2\nexit 4\n' "$directory" >fail
	chmod +x fail
	local i status
	for i in 1 2 3; do
		{
			status=0
			memofs run --on-leader-failure share -- ./fail 2>"err.$i" || status=$?
			echo $status >"status.$i"
		} &
	done
	wait
	ran 1
	is "$(cat status.* | tr '\n' ' ')" '4 4 4 '
	for i in 1 2 3; do grep -q reason "err.$i" || fail "err.$i: $(cat "err.$i")"; done
	# It was no result: the next one computes.
	exits 4 memofs run --on-leader-failure share -- ./fail
	ran 2
}

test_C5_own_cache_key() {
	begin
	worker
	prints 'one 1' memofs run --key 'product/{id_of}' --param id_of=7 -- ./work one
	prints 'one 1' memofs run --key 'product/{id_of}' --param id_of=7 -- ./work two
	prints 'one 2' memofs run --key 'product/{id_of}' --param id_of=8 -- ./work one
}

test_C6_namespaces() {
	begin
	worker
	mkdir "$MEMOFS_CACHE/ns"
	prints ' 1' memofs run --cache "$MEMOFS_CACHE/ns" --key k --name task_a -- ./work
	prints ' 1' memofs run --cache "$MEMOFS_CACHE/ns" --key k --name task_b -- ./work
	mv "$MEMOFS_CACHE/ns" "$MEMOFS_CACHE/renamed"
	prints ' 1' memofs run --cache "$MEMOFS_CACHE/renamed" --key k -- ./work
	ln -s renamed "$MEMOFS_CACHE/alias"
	prints ' 1' memofs run --cache "$MEMOFS_CACHE/alias" --key k -- ./work
}

test_C7_a_workflow_cached_by_its_caller() {
	begin
	worker
	printf '#!/bin/sh\nmemofs run -- ./work child; memofs run -- ./work child\n' >flow
	chmod +x flow
	prints $'child 1\nchild 1' memofs run -- ./flow
	prints $'child 1\nchild 1' memofs run -- ./flow
	ran 1
}

test_C8_forced_run_replaces() {
	begin
	worker
	prints ' 1' memofs run -- ./work
	prints ' 2' memofs run --overwrite -- ./work
	prints ' 2' memofs run -- ./work
	ran 2
}

# Each requirement of a hit, as a miss.
test_C9_what_a_hit_needs() {
	begin
	worker
	prints ' 1' memofs run -- ./work
	mkdir "$MEMOFS_CACHE/project"
	prints ' 2' memofs run --cache "$MEMOFS_CACHE/project" -- ./work
	prints ' 3' ./work
	prints ' 3' memofs run --name other -- sh -c 'cat <calls | wc -l | sed "s/^/ /"'
	prints ' 4' memofs run --salt s -- ./work
	exits 7 memofs run -- sh -c 'echo x >>calls; exit 7'
	exits 7 memofs run -- sh -c 'echo x >>calls; exit 7'
	ran 6
	sleep 1.1
	prints ' 7' memofs run --max-age 1s -- ./work
}

# --- Prefect: outputs, inputs, targets ------------------------------------------------

test_P1_cache_for() {
	begin
	worker
	prints ' 1' memofs run --ttl 1h --name long -- ./work
	prints ' 2' memofs run --ttl 1s --name short -- ./work
	sleep 1.1
	prints ' 1' memofs run --ttl 1h --name long -- ./work
	prints ' 3' memofs run --ttl 1s --name short -- ./work
}

test_P2_validators() {
	begin
	worker
	run() { # X Y PARAM VALIDATOR...
		local x=$1 y=$2 p=$3
		shift 3
		x=$x y=$y memofs run --key k --env x --env y --param "p=$p" --param q=1 "$@" -- ./work
	}
	prints ' 1' run 1 1 1
	prints ' 1' run 2 2 2 --validate duration_only
	prints ' 1' run 1 1 1 --validate all_inputs
	prints ' 2' run 2 1 1 --validate all_inputs
	prints ' 2' run 3 3 1 --validate all_parameters
	prints ' 3' run 3 3 2 --validate all_parameters
	prints ' 3' run 3 4 2 --validate partial_inputs_only --validate-on x
	prints ' 4' run 4 4 2 --validate partial_inputs_only --validate-on x
	prints ' 5' run 4 4 3 --validate partial_parameters_only --validate-on p
	prints ' 5' run 4 4 3 --validate partial_parameters_only --validate-on q
	prints ' 6' run 4 4 3 --validate never_use
	exits 2 memofs run --validate sometimes -- ./work
}

test_P3_key_shared_by_tasks() {
	begin
	worker
	prints 'one 1' memofs run --key shared --name one -- ./work one
	prints 'one 1' memofs run --key shared --name two -- ./work two
}

test_P4_results_outlive_the_process() {
	needs_persistence
	begin
	worker
	prints ' 1' memofs run -- ./work
	cd /
	umount_memofs
	mount_memofs
	cd "$directory"
	prints ' 1' memofs run -- ./work
}

test_P5_targets() {
	begin
	worker
	export TZ=UTC0
	local weekday
	weekday=$(date +%A)
	prints ' 1' memofs run --name func_task --key '{date:%A}/{task_name}.txt' -- ./work
	prints ' 1' memofs run --name func_task --key '{date:%A}/{task_name}.txt' -- ./work
	[ "$(date +%A)" = "$weekday" ] || skip 'midnight'
	[ -e "$MEMOFS_CACHE/$weekday/func_task.txt" ] || fail 'the target does not exist'
	has "$MEMOFS_CACHE/$weekday/func_task.txt/stdout" $' 1\n'
	prints ' 2' memofs run --key '{today}/{yesterday}/{n}' --param n=5 -- ./work
	present "$MEMOFS_CACHE/$(date +%F)"/*/5
	exits 2 memofs run --strict --key '{dat}' -- ./work
}

test_P6_inputs_for_a_manual_trigger() {
	begin
	echo given >input
	memofs save -q manual/inputs input
	echo changed >input
	memofs restore -q manual/inputs
	has input $'given\n'
	prints 'given' memofs run --stdin -- cat <input
	prints 'given' memofs run --stdin -- cat <input
}

test_P7_checkpointing_on_or_off_for_all() {
	begin
	worker
	export MEMOFS_DISABLE=1
	prints ' 1' memofs run -- ./work
	prints ' 2' memofs run -- ./work
	is "$(find "$MEMOFS_CACHE" -mindepth 1 | wc -l)" 0 'entries'
	export MEMOFS_DISABLE=0
	prints ' 3' memofs run -- ./work
	prints ' 3' memofs run -- ./work
}

run_tests "$@"
