#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The examples do what they show.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

cached_cc=$MEMOFS_SOURCE/examples/cached-cc.sh

# A small project, whose objects go to a cache in the mount.
project() {
	MEMOFS_CACHE=$PWD/cache CACHED_CC_LOG=$T/calls
	export MEMOFS_CACHE CACHED_CC_LOG
	mkdir cache
	rm -rf "$T/src" "$T/calls"
	mkdir "$T/src"
	cd "$T/src"
	echo '#define ANSWER 42' >answer.h
	printf '#include "answer.h"\nint answer(void);\nint answer(void)\n{\n\treturn ANSWER;\n}\n' >answer.c
}

compile() { # hit|miss ARGUMENT...
	local want=$1
	shift
	: >"$CACHED_CC_LOG"
	rm -f answer.o
	"$cached_cc" cc "$@" -c -o answer.o answer.c
	[ -s answer.o ] || fail 'there is no object'
	is "$(cut -d' ' -f1 "$CACHED_CC_LOG")" "$want" "cc $*"
}

test_cached_cc_hits_and_misses() {
	needs cc
	project
	compile miss -O1
	cp answer.o "$T/first.o"
	compile hit -O1
	same answer.o "$T/first.o"
	compile miss -O2
	compile miss -O2 -DOTHER
	compile hit -O2
	# What it includes counts, and so does what comes back.
	echo '#define ANSWER 43' >answer.h
	compile miss -O1
	! cmp -s answer.o "$T/first.o" || fail 'the object of another source'
	echo '#define ANSWER 42' >answer.h
	compile hit -O1
	same answer.o "$T/first.o"
	# A change which the preprocessor takes away is none.
	sed -i 's/ANSWER;/ANSWER; \/* a comment *\//' answer.c
	compile hit -O1
	is "$(find "$MEMOFS_CACHE" -name '*.o' | wc -l)" 4 objects
	is "$(find "$MEMOFS_CACHE" ! -name '*.o' ! -type d)" '' 'left in the cache'
}

test_cached_cc_writes_dependencies_on_a_hit() {
	needs cc
	project
	local flags=(-MD -MQ answer.o -MF answer.d)
	compile miss "${flags[@]}"
	cp answer.d "$T/answer.d"
	rm answer.d
	compile hit "${flags[@]}"
	same answer.d "$T/answer.d"
	grep -q 'answer\.h' answer.d
}

test_cached_cc_fails_as_the_compiler_does() {
	needs cc
	project
	echo 'int answer(' >answer.c
	fails 'error' "$cached_cc" cc -c -o answer.o answer.c
	echo '#include "none.h"' >answer.c
	fails 'none\.h' "$cached_cc" cc -c -o answer.o answer.c
	# A warning is seen each time.
	echo 'int answer(void) { int unused; return 1; }' >answer.c
	for _ in 1 2; do
		"$cached_cc" cc -Wall -c -o answer.o answer.c 2>"$T/said"
		grep -q unused "$T/said" || fail 'the warning was lost'
	done
	is "$(ls "$MEMOFS_CACHE")" '' 'cached'
}

test_cached_cc_needs_no_cache() {
	needs cc
	project
	rmdir "$MEMOFS_CACHE"
	"$cached_cc" cc -c -o answer.o answer.c
	[ -s answer.o ]
	unset MEMOFS_CACHE
	"$cached_cc" cc -c -o answer.o answer.c
	"$cached_cc" cc -shared -o answer.so answer.o
	[ -s answer.so ]
}

test_cached_cc_expires() {
	needs cc
	needs_mount
	project
	set_attr ttl 1h "$MEMOFS_CACHE"
	compile miss
	compile hit
	sleep 1.1
	set_attr ttl 1s "$MEMOFS_CACHE"
	compile miss
	set_attr ttl 1h "$MEMOFS_CACHE"
	compile hit
}

test_cached_cc_at_once() {
	needs cc
	project
	local pids=() pid
	for i in 1 2 3 4 5 6; do
		"$cached_cc" cc -O2 -c -o "answer$i.o" answer.c &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done
	for i in 2 3 4 5 6; do same answer1.o "answer$i.o"; done
	compile hit -O2
}

# One of eight computes; when that one is killed, one of the other seven does.
test_single_flight() {
	local shell
	needs_mount
	for shell in sh 'bash --posix'; do
		# shellcheck disable=SC2086
		timeout 100 $shell "$MEMOFS_SOURCE/examples/single-flight.sh" "$PWD" >"$T/flight" 2>"$T/flight.err" ||
			fail "single-flight.sh said: $(cat "$T/flight" "$T/flight.err")"
		is "$(grep -c ' computes$' "$T/flight.err")" 3 'how many computed'
		is "$(awk '/^==/ { part++ } /the answer is 42/ { print part, $1 }' "$T/flight")" $'1 8\n2 7'
		is "$(grep -c 'the answer' "$T/flight")" 2 'different results'
		is "$(grep -c ' of 8 failed$' "$T/flight")" 1 'how many were killed'
		is "$(names .)" '' 'left behind'
	done
}

test_single_flight_alone() {
	needs_mount
	timeout 100 sh "$MEMOFS_SOURCE/examples/single-flight.sh" "$PWD" 1 >"$T/flight" 2>&1 ||
		fail "single-flight.sh said: $(cat "$T/flight")"
	is "$(grep -c ' 1 the answer is 42' "$T/flight")" 1 'only the first is not killed'
	fails 'usage: ' sh "$MEMOFS_SOURCE/examples/single-flight.sh" "$T"
}

container_view() { # [COMMAND...]: as whoever COMMAND makes us
	"$@" timeout 100 sh "$T/container-view.sh" "$PWD" >"$T/view" 2>&1 ||
		fail "container-view.sh said: $(cat "$T/view")"
	is "$(grep -c '^hit: ' "$T/view")" 3 hits
	is "$(grep -c '^miss: ' "$T/view")" 2 misses
	is "$(grep -c '^refused: ' "$T/view")" 5 'what was refused'
	is "$(names .)" '' 'left behind'
}

test_container_view() {
	needs_mount
	needs unshare
	needs setfattr
	unshare --user --map-root-user --pid --fork --mount mount -t tmpfs tmpfs /tmp 2>/dev/null ||
		skip 'no user namespaces here'
	cp "$MEMOFS_SOURCE/examples/container-view.sh" "$T"
	chmod 777 .
	container_view
	[ "$(id -u)" -eq 0 ] || return 0
	needs setpriv
	local nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	"${nobody[@]}" unshare --user true 2>/dev/null || skip 'users may not make namespaces'
	mkdir -m 777 "$T/nobody"
	container_view "${nobody[@]}" env TMPDIR="$T/nobody"
}

# The first command of the README, with the programs under test.
test_quickstart() {
	needs_mount
	needs cc
	needs meson
	# Hundreds of compilations: minutes under a sanitizer, which other tests use better.
	[ "${MEMOFS_PERCENT:-100}" -ge 20 ] || skip 'the build without sanitizers shows it'
	# A third of them do, and a link; the suite `slow` compiles all.
	[ "${MEMOFS_PERCENT:-100}" -ge 100 ] ||
		export MEMOFS_JOB='store/libmemofs-store.a memofs-holder'
	mkdir "$T/quick"
	TMPDIR=$T/quick timeout $((300 * ${MEMOFS_TIMEOUT_FACTOR:-1})) "$MEMOFS_SOURCE/examples/quickstart.sh" >"$T/quick.out" 2>&1 ||
		fail "quickstart.sh said: $(tail -n 30 "$T/quick.out")"
	grep -Eq '^first pass: [0-9.]+ s, [1-9][0-9]+ objects compiled, 0 from the cache$' "$T/quick.out" ||
		fail "first pass: $(cat "$T/quick.out")"
	grep -Eq '^second pass: [0-9.]+ s, 0 objects compiled, [1-9][0-9]+ from the cache$' "$T/quick.out" ||
		fail "second pass: $(cat "$T/quick.out")"
	grep -Eq '^-rw.* [a-z_]+\.c-[0-9a-f]{8}\.\.\.\.o$' "$T/quick.out" || fail 'no ls -l'
	grep -Eq '^user\.cache\.hits="[1-9][0-9]*"$' "$T/quick.out" || fail 'no attributes'
	grep -qx 'user.cache.ttl="30d"' "$T/quick.out" || fail 'no getfattr -d'
	is "$(names "$T/quick")" '' 'left behind'
	is "$(mounts_below | grep -c "^$T/quick" || true)" 0 'left mounted'
}

run_tests "$@"
