#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `memofs key` and `memofs explain`: what a result is known by, and why it would miss.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

# memofs ARGUMENTS exits with CODE; what it said is in $OUT and $ERR.
exits() { # CODE ARGUMENTS...
	local want=$1 status=0
	shift
	timeout "$COMMAND_TIMEOUT_S" memofs "$@" >"$T/out" 2>"$T/err" || status=$?
	OUT=$(cat "$T/out") ERR=$(cat "$T/err")
	is "$status" "$want" "exit code of memofs $* ($OUT$ERR)"
}

# It would miss, for this reason, and that is all that is said about it.
misses() { # REGEX ARGUMENTS...
	local regex=$1
	shift
	exits 1 explain "$@"
	is "$ERR" '' 'stderr'
	[[ $OUT =~ ^miss:\ $regex ]] || fail "said \"$OUT\", want \"$regex\""
}

hits() { # ARGUMENTS...
	exits 0 explain "$@"
	is "$ERR" '' 'stderr'
	[[ $OUT =~ ^hit:\  ]] || fail "said \"$OUT\""
}

complains() { # CODE REGEX ARGUMENTS...
	local regex=$2 code=$1
	shift 2
	exits "$code" "$@"
	is "$OUT" '' 'stdout'
	is "$(wc -l <"$T/err")" 1 'lines on stderr'
	[[ $ERR =~ ^memofs:\ .*$regex ]] || fail "said \"$ERR\", want \"$regex\""
}

json() { # EXPRESSION of `v`, what is in $T/out
	python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
		"$T/out" "$1"
}

# --- memofs key -------------------------------------------------------------------------

test_key_is_what_is_stored() {
	begin
	mkdir src
	echo 1 >src/a.c
	echo 2 >$'src/odd\tname'
	local options=(--input src --param $'x=a\nb' --env HOME --env MEMOFS_T_UNSET
		--version-from 'command:echo 7' --output 'out/*' --salt s)
	exits 0 key "${options[@]}" -- true x
	cp "$T/out" text
	runs 0 "${options[@]}" --output a -- touch a
	exits 0 key "${options[@]}" --path -- true x
	path=$OUT
	exits 0 key "${options[@]}" --id -- true x
	is "$path" "true/$OUT" 'the path'
	absent "$MEMOFS_CACHE/$path"
	mkdir out
	touch out/1
	runs 0 "${options[@]}" -- true x
	told populated
	same "$MEMOFS_CACHE/$path/key" text
}

test_key_as_json() {
	begin
	printf 'x' >$'in\xff'
	exits 0 key --json --input $'in\xff' --env MEMOFS_T_UNSET --param $'a=\t' -- true
	is "$(json 'v["name"]')" true
	is "$(json 'v["path"] == "true/" + v["id"]')" True
	is "$(json '[p["kind"] for p in v["parts"]]')" "['name', 'command', 'param', 'env', 'input']"
	is "$(json 'v["parts"][2]["value"] == "\t"')" True
	is "$(json 'v["parts"][3]["value"]')" None
	is "$(json 'v["parts"][4]["name_base64"]')" aW7/
}

test_key_reads_standard_input() {
	begin
	is "$(printf one | memofs key --stdin -- cat | tail -1)" \
		$'stdin\t\t3 xxh128:0a1c6d4cf41eb499911faba7321fe1a0'
	exits 0 key --stdin -- cat </dev/null
	[[ $OUT == *$'stdin\t\t0 xxh128:'* ]] || fail "$OUT"
}

test_misuse_is_told() {
	begin
	local verb
	for verb in key explain; do
		complains 2 'an argument is missing' "$verb"
		complains 2 '-- is missing' "$verb" true
		complains 2 'did you mean --input' "$verb" --inptu a -- true
		complains 2 '--param: "a" has no name' "$verb" --param a -- true
		complains 2 'did you mean \{date\}' "$verb" --key '{dat}' -- true
		complains 2 'did you mean file:PATH' "$verb" --version-from fiel:x -- true
		complains 2 'did you mean "all_inputs"' "$verb" --validate all_inptus -- true
		complains 3 '"none".*no such file' "$verb" --input none -- true
		complains 3 '"\*.none" matches nothing' "$verb" --input '*.none' -- true
		complains 3 'exit code 3' "$verb" --version-from 'command:exit 3' -- true
	done
	ln -s loop loop
	complains 3 '"loop".*leads back to itself' key --input loop -- true
	complains 2 'only one of them' key --id --path -- true
	complains 2 '--since' explain --since never -- true
	complains 2 '--cache-exit' explain --cache-exit x -- true
}

# --- memofs explain -----------------------------------------------------------------------

test_a_hit_and_nothing() {
	begin
	program job <<<'echo hello'
	misses 'nothing is stored for job$' -- ./job
	ran 0
	runs 0 -- ./job
	hits -- ./job
	[[ $OUT =~ never\ expires$ ]] || fail "$OUT"
	runs 0 --ttl 1h --name short -- ./job
	hits --name short -- ./job
	[[ $OUT =~ expires\ in\ 59m ]] || fail "$OUT"
}

test_what_changed_is_named() {
	begin
	mkdir src
	echo 1 >src/a.c
	echo 2 >src/b.c
	program job <<<'cat src/*'
	local options=(--input 'src/*.c' --env MEMOFS_T_LANG)
	runs 0 "${options[@]}" --param day=1 -- ./job -v
	sleep 0.01
	echo 3 >src/a.c
	mv src/b.c src/c.c
	MEMOFS_T_LANG=de misses 'the nearest result is of .* ago and differs:' \
		"${options[@]}" --param day=2 -- ./job -v -x
	has <(sed -nE '2,$s/[0-9a-f]{8}…/H/gp; t; 2,$p' "$T/out") \
		$'  input src/a.c changed: H now H\n  input src/b.c is gone\n  input src/c.c is new: file 0644 xxh128:H\n  param day changed: 1 now 2\n  env MEMOFS_T_LANG changed: unset now de\n  command changed: nothing now -x\n'
}

test_the_nearest_is_the_one_with_the_fewest_differences() {
	begin
	program job <<<'echo x'
	runs 0 --param a=1 --param b=1 --param c=1 -- ./job
	runs 0 --param a=1 --param b=1 --param c=2 -- ./job
	runs 0 --param a=9 --param b=9 --param c=9 -- ./job
	misses 'the nearest' --param a=1 --param b=2 --param c=2 -- ./job
	is "$(sed 1d "$T/out")" '  param b changed: 1 now 2'
	# What is no result is passed over.
	mkdir "$MEMOFS_CACHE/job/other"
	echo x >"$MEMOFS_CACHE/job/file"
	echo x >"$MEMOFS_CACHE/job/other/key"
	misses 'the nearest' --param a=1 --param b=2 --param c=2 -- ./job
	is "$(sed 1d "$T/out")" '  param b changed: 1 now 2'
}

test_many_differences_are_counted() {
	begin
	mkdir src
	touch src/{1..30}
	runs 0 --input src -- true
	rm src/*
	misses 'the nearest' --input src -- true
	is "$(grep -c 'is gone' "$T/out")" 20
	is "$(tail -1 "$T/out")" '  and 10 more'
}

test_expired() {
	begin
	runs 0 --ttl 1s --param a=1 -- true
	runs 0 --ttl 1s --key short -- true
	sleep 1.1
	misses 'it expired .* ago$' --param a=1 -- true
	misses 'it expired .* ago$' --key short -- true
	exits 1 explain --json --key short -- true
	is "$(json 'v["reason"], v["hit"], v["expires_in"] < 0')" "('expired', False, True)"
}

test_too_old() {
	begin
	runs 0 -- true
	sleep 0.05
	misses 'it is .* old, more than --max-age 50ms$' --max-age 50ms -- true
	hits --max-age 1h -- true
	hits --max-age none -- true
	misses 'it was stored .* ago, before --since' --since "@$(($(date +%s) + 100))" -- true
	hits --since 2026-01-01 -- true
}

test_another_exit_code() {
	begin
	runs 3 --cache-exit any -- bash -c 'exit 3'
	misses 'its exit code is 3; see --cache-exit$' -- bash -c 'exit 3'
	hits --cache-exit 3 -- bash -c 'exit 3'
}

test_computed_now_and_failed_before() {
	begin
	mkfifo go
	runs 7 -- bash -c 'exit 7'
	misses 'nothing is stored' -- bash -c 'exit 7'
	[[ ${OUT##*$'\n'} =~ ^failed\ last\ time,\ .*\ ago:\ .*7 ]] || fail "$OUT"
	timeout "$COMMAND_TIMEOUT_S" memofs run --name slow -- bash -c 'read <go' >run.out &
	eventually 20 is_computed
	misses 'nothing is stored' --name slow -- bash -c 'read <go'
	[[ ${OUT##*$'\n'} =~ ^computed\ now\ by\  ]] || fail "$OUT"
	echo >go
	wait
	hits --name slow -- bash -c 'read <go'
}

is_computed() {
	[[ $(memofs explain --name slow -- bash -c 'read <go' || :) == *computed\ now* ]]
}

test_a_template_and_validators() {
	begin
	program job <<<'echo x'
	misses 'nothing is stored for job at that path$' --key 'a/{day}' --param day=1 -- ./job
	runs 0 --key 'a/{day}' --param day=1 --param n=1 -- ./job
	hits --key 'a/{day}' --param day=1 --param n=2 -- ./job
	misses 'what is stored is of .* ago and differs:' --validate all_parameters \
		--key 'a/{day}' --param day=1 --param n=2 -- ./job
	is "$(sed 1d "$T/out")" '  param n changed: 1 now 2'
	misses '--validate never_use$' --validate never_use --key 'a/{day}' --param day=1 -- ./job
	mkdir "$MEMOFS_CACHE/a/2"
	misses '.*/a/2 is no result of memofs run$' --key 'a/{day}' --param day=2 -- ./job
	# Without a template, what need not be the same is found as well.
	runs 0 --validate all_parameters --param n=1 --env MEMOFS_T_X -- ./job
	MEMOFS_T_X=1 hits --validate all_parameters --param n=1 --env MEMOFS_T_X -- ./job
	MEMOFS_T_X=1 runs 0 --validate all_parameters --param n=1 --env MEMOFS_T_X -- ./job
	told hit
}

test_as_json() {
	begin
	runs 0 --param a=1 -- true
	exits 1 explain --json --param a=2 -- true
	is "$(json 'v["hit"], v["reason"]')" "(False, 'absent')"
	is "$(json 'v["differences"]')" "['param a changed: 1 now 2']"
	present "$MEMOFS_CACHE/$(json 'v["nearest"]["path"]')/key"
	exits 0 explain --json --param a=1 -- true
	is "$(json 'v["hit"], v["reason"], v["expires_in"], v["age"] >= 0')" \
		"(True, 'hit', None, True)"
}

test_without_a_cache() {
	begin
	MEMOFS_DISABLE=1 misses 'MEMOFS_DISABLE is set$' -- true
	complains 4 "$DIR" explain --cache "$DIR" -- true
	unset MEMOFS_CACHE
	export XDG_RUNTIME_DIR=$DIR/run
	mkdir -m 700 run
	misses 'nothing has been kept yet: .*memofs/store$' -- true
	complains 1 'is mounted at .*run/memofs; memofs cache mounts it' cache --no-start
	absent "$XDG_CACHE_HOME/memofs/store"
	is "$(find run -mindepth 2)" '' 'what was started'
}

# After a restart of the machine there is a store, and no mount.
test_own_mount_that_is_not_mounted() {
	needs_persistence
	begin
	unset MEMOFS_CACHE
	export XDG_RUNTIME_DIR=$DIR/run XDG_CACHE_HOME=$DIR/xdg
	mkdir -m 700 run
	runs 0 -- true
	umount_at "$DIR/run/memofs"
	exits 0 explain -- true
	umount_at "$DIR/run/memofs"
	exits 0 run --dry-run -- true
	umount_at "$DIR/run/memofs"
}

# What explain says of a command is what becomes of it.
test_explain_agrees_with_run() {
	begin
	echo 1 >in
	local i options=(--input in --strip-comments --version-from file:job)
	program job <<<'cat in'
	for i in {1..6}; do
		case $i in
		2) echo '# a comment' >>job ;;
		4) echo 2 >in ;;
		6) echo 'echo more' >>job ;;
		esac
		if memofs explain "${options[@]}" -- ./job >"$T/out"; then
			runs 0 "${options[@]}" -- ./job
			told hit
		else
			runs 0 "${options[@]}" -- ./job
			told populated
		fi
	done
	ran 3
}

run_tests "$@"
