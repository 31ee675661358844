#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a command does under `memofs run` is what it does without: what it reads, which
# signals and descriptors it has, and what is changed that is not its own.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

# A program that says when it has begun, and waits to be told to go on.
waiting_program() { # NAME
	{
		echo 'touch started; for _ in {1..3000}; do [ -e go ] || sleep 0.02; done'
		cat
	} | program "$1"
}

# --- standard input -------------------------------------------------------------------

# What was read and cannot be kept is the command's all the same.
test_stdin_that_cannot_be_kept() {
	begin
	head -c 3000000 /dev/urandom >in
	limited() {
		trap '' XFSZ
		ulimit -f 1000
		exec memofs run --stdin -- cat
	}
	# shellcheck disable=SC2002 # a pipe is what it is about
	cat in | (limited) 2>err | cat >out
	grep -q 'not cached: --stdin' err || fail "said: $(cat err)"
	same in out
	# A file is read again. Without `trap`, the limit ends nobody but who is meant.
	(ulimit -f 1000 && exec memofs run --stdin -- cat) <in 2>err | cat >out
	same in out
	# The rest of it comes when it is written.
	mkfifo fifo
	(limited) <fifo 2>err | cat >out &
	local pid=$!
	{
		cat in
		sleep 0.3
		cat in
	} >fifo
	wait $pid
	cat in in | cmp - out
	# Who does not read is not waited for, nor is who still writes.
	rm fifo
	mkfifo fifo
	sleep 100 >fifo &
	local writer=$!
	cat in >fifo &
	(
		trap '' XFSZ
		ulimit -f 1000
		exec timeout 20 memofs run --stdin -- head -c 5
	) <fifo 2>err | timeout 20 wc -c >out
	has out $'5\n'
	kill $writer
}

# --- limits, signals, descriptors -----------------------------------------------------

# What is larger than a file of the command's may be is not kept; the command is fine.
test_limit_of_file_sizes() {
	begin
	(ulimit -f 100 && exec memofs run -- head -c 9000000 /dev/zero) 2>err | wc -c >out
	has out $'9000000\n'
	(ulimit -f 100 && exec memofs run -- head -c 900000 /dev/zero) 2>>err | wc -c >out
	has out $'900000\n'
	is "$(grep -c 'not cached' err)" 2
}

test_signals_of_the_users() {
	begin
	local sig pid
	for sig in USR1 USR2; do
		rm -f started go
		waiting_program job <<-END
			[ -e got ] && echo $sig
		END
		sed -i "2i trap 'touch got' $sig" job
		memofs run --param s=$sig -- ./job >out &
		pid=$!
		eventually 20 test -e started
		kill -$sig $pid
		eventually 20 test -e got
		touch go
		wait $pid
		has out "$sig"$'\n'
		rm got
	done
}

# A closed one is closed for the command, too, which then goes on or not.
test_closed_output() {
	begin
	program job <<-'END'
		echo a; echo b; echo c >&2; touch made
	END
	memofs run -- ./job >&- 2>err
	present made
	rm made
	memofs run -- ./job >out 2>&-
	present made
	has out $'a\nb\n'
	rm made
	# What it wrote was not seen, so nothing was kept.
	runs 0 -- ./job
	told populated
	has "$T/out" $'a\nb\n'
	has "$T/err" $'c\n'
	present made
}

# Who refreshes in the background keeps nothing of the caller's open.
test_refresh_keeps_nothing_open() {
	begin
	program job <<-'END'
		[ ! -e refresh ] || { touch started; for _ in {1..3000}; do [ -e go ] || sleep 0.02; done; }
		echo result
	END
	runs 0 --ttl 1s -- ./job
	touch refresh
	eventually 20 eval '! memofs run --ttl 1s --dry-run -- ./job >dry'
	mkfifo fifo
	# shellcheck disable=SC2094 # a pipe
	memofs run --stale-while-refresh --ttl 1s -- ./job 7>fifo >out &
	timeout 20 cat <fifo || fail 'the pipe is held open'
	wait $!
	eventually 20 test -e started
	has out $'result\n'
	touch go
}

# --- what may be stored, and answer ---------------------------------------------------

# A version that has changed since is not that of the result.
test_version_changes_meanwhile() {
	begin
	echo one >prog
	waiting_program job <<-'END'
		cat prog
	END
	memofs run --version-from file:prog -- ./job >out 2>err &
	local pid=$!
	eventually 20 test -e started
	echo two >prog
	touch go
	wait $pid
	has out $'two\n'
	grep -q 'not cached: while the command ran: version file:prog changed' err ||
		fail "said: $(cat err)"
	echo one >prog
	runs 0 --version-from file:prog -- ./job
	told populated
	has "$T/out" $'one\n'
}

# Whatever is validated: a hit makes the outputs that are asked for, and no others.
test_other_outputs_are_no_answer() {
	begin
	program job <<-'END'
		echo "$1" >"$1"
	END
	runs 0 --key k --output a -- ./job a
	echo mine >a
	runs 0 --key k --output b -- ./job b
	told populated
	has a $'mine\n'
	has b $'b\n'
	rm b
	runs 0 --key k --output b -- ./job b
	told hit
	has b $'b\n'
}

# --- whose results ---------------------------------------------------------------------

# A store that another user can write is none of ours, nor is anything made in his home.
test_home_of_another() {
	needs_root
	begin
	unset MEMOFS_CACHE XDG_CACHE_HOME
	mkdir -m 700 run
	export HOME=$DIR/home XDG_RUNTIME_DIR=$DIR/run
	local made
	for made in '' .cache .cache/memofs/store; do
		mkdir -p "home/$made"
		chown -R 65534:65534 home
		runs 0 -- echo x
		said 'home[a-z/.]* is not a directory of yours'
		absent run/memofs
		is "$(find home -user root)" ''
	done
	# Writable by everybody.
	chown -R root:root home
	chmod 777 home/.cache
	runs 0 -- echo x
	said 'is not a directory of yours'
	chmod 1777 home/.cache
	chmod 777 home/.cache/memofs
	runs 0 -- echo x
	said 'is not a directory of yours'
	absent run/memofs
	chmod 700 home/.cache/memofs
	runs 0 -- echo x
	told populated
	"$MEMOFS" umount run/memofs
}

# --- clear ----------------------------------------------------------------------------

# A symlink to a directory stands for it, and stays.
test_clear_through_a_symlink() {
	begin
	runs 0 -- echo a
	ln -s "$MEMOFS_CACHE" link
	memofs clear -q link
	present link
	is "$(find "$MEMOFS_CACHE" -mindepth 1)" ''
	runs 0 -- echo a
	told populated
	MEMOFS_CACHE=$PWD/link memofs clear -q
	present link
	runs 0 -- echo a
	told populated
	# In the directory they are entries, and lead nowhere.
	echo x >"$MEMOFS_CACHE/../kept"
	ln -s ../.. "$MEMOFS_CACHE/up"
	memofs clear -q link
	absent "$MEMOFS_CACHE/up"
	present "$MEMOFS_CACHE/../kept"
}

run_tests "$@"
