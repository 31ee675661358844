#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a shell does to files with its redirections.
# shellcheck source=functions.sh disable=SC2094
. "$(dirname "$0")/functions.sh"
setup

test_write() {
	echo one >key
	has key $'one\n'
	echo two >key
	has key $'two\n'
}

test_empty() {
	: >key
	has key ''
	is "$(stat -c %s key)" 0 size
	echo x >key
	: >key
	has key ''
}

test_append() {
	echo one >>key
	echo two >>key
	has key $'one\ntwo\n'
	printf three >>key
	has key $'one\ntwo\nthree'
}

test_append_from_two_descriptors() {
	echo start >key
	{
		echo a >&3
		echo b >&4
		echo c >&3
	} 3>>key 4>>key
	has key $'start\na\nb\nc\n'
}

test_stderr() {
	sh -c 'echo err >&2' 2>key
	has key $'err\n'
	# A command that fails stores nothing, its messages neither.
	ls /nonexistent 2>lost || true
	if [ -z "$MEMOFS_PLAIN" ]; then absent lost; fi
	{
		echo out
		echo err >&2
	} >both 2>&1
	has both $'out\nerr\n'
	{
		echo out
		echo err >&2
	} &>>both
	has both $'out\nerr\nout\nerr\n'
}

test_read_write() {
	printf 'hello world' >key
	printf HELLO 1<>key
	has key 'HELLO world'
	# Reading moves the same offset that writing uses.
	exec 5<>key
	read -r -N 6 -u 5 word
	is "$word" 'HELLO '
	printf THERE >&5
	exec 5>&-
	has key 'HELLO THERE'
}

test_read_write_creates() {
	printf new 1<>key
	has key new
}

test_duplicated_descriptors() {
	exec 3>key
	exec 4>&3 5>&3
	echo by-3 >&3
	exec 3>&-
	echo by-4 >&4
	exec 4>&-
	# One copy is still open: nothing is published in a cache.
	if [ -z "$MEMOFS_PLAIN" ]; then absent_to_others key; fi
	echo by-5 >&5
	exec 5>&-
	has key $'by-3\nby-4\nby-5\n'
}

# The writer itself may see its own file, so somebody else has to look.
absent_to_others() {
	[ "$(id -u)" -eq 0 ] || return 0
	! cat "$1" 3>&- 4>&- 5>&- >/dev/null 2>&1 || fail "$1 can be read before it is closed"
}

test_subshells_share_a_descriptor() {
	(
		echo outer
		(echo inner)
		bash -c 'echo child'
		echo outer again
	) >key
	has key $'outer\ninner\nchild\nouter again\n'
}

test_background_writer_holds_it_open() {
	{
		echo early
		sleep 0.3
		echo late
	} >key &
	wait $!
	has key $'early\nlate\n'
}

test_pipeline() {
	seq 1 20000 | sort -rn | sed -n 1,10000p >key
	is "$(wc -l <key)" 10000
	is "$(head -n 1 key)" 20000
	is "$(md5sum <key)" "$(seq 20000 -1 10001 | md5sum)"
}

test_here_documents() {
	cat >key <<-END
		first
		second
	END
	has key $'first\nsecond\n'
	cat <<<'a string' >key
	has key $'a string\n'
}

test_long_lived_descriptor() {
	exec 3>key
	for i in 1 2 3 4 5; do echo "$i" >&3; done
	exec 3>&-
	has key $'1\n2\n3\n4\n5\n'
}

test_noclobber() {
	set -C
	echo one >key
	fails 'cannot overwrite|File exists' bash -C -c 'echo two >key'
	has key $'one\n'
	echo three >|key
	has key $'three\n'
}

test_read_after_close_in_a_loop() {
	local i got
	for i in $(seq 1 500); do
		echo "$i" >key
		read -r got <key
		is "$got" "$i" "round $i"
	done
}

test_new_names_in_a_loop() {
	local i
	for i in $(seq 1 500); do
		echo "$i" >"key$i"
		[ -e "key$i" ] || fail "key$i is not there"
	done
	is "$(ls | wc -l)" 500 'names listed'
}

test_missing_directory() {
	fails 'No such file or directory' bash -c 'echo x >none/key'
	fails 'Is a directory' bash -c 'mkdir dir; echo x >dir'
	echo x >file
	fails 'Not a directory' bash -c 'echo x >file/key'
}

run_tests "$@"
