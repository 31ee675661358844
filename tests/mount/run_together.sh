#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `memofs run` of the same command by several at once: one computes, the others wait,
# and somebody goes on when it dies.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

# A program that waits for a file `go`, the first time.
slow_program() { # NAME
	program "$1" <<-'END'
		n=$(wc -l <"${0%/*}/calls")
		echo "call $n"
		[ "$n" -gt 1 ] || until [ -e "${0%/*}/go" ]; do sleep 0.02; done
		echo done
	END
}

started() { [ -s "$DIR/calls" ]; }
started_times() { [ "$(wc -l <"$DIR/calls")" -ge "$1" ]; }

# So many wait in the daemon for what is being computed.
waiting() { [ "$(status_of waiting_opens)" -eq "$1" ]; } # COUNT

test_32_at_once() {
	begin
	program job <<-'END'
		sleep 1; echo result; echo diagnostics >&2; echo file >output
	END
	local i pids=()
	for i in {1..32}; do
		mkdir "d$i"
		(cd "d$i" && exec memofs run --output output -- ../job >../out.$i 2>../err.$i) &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	ran 1
	for i in {1..32}; do
		has "out.$i" $'result\n'
		has "err.$i" $'diagnostics\n'
		has "d$i/output" $'file\n'
	done
	only_results
}

test_leader_is_killed() {
	begin
	slow_program job
	memofs run -- ./job >first &
	local leader=$!
	eventually 20 started
	memofs run -- ./job >second &
	local follower=$!
	eventually 20 waiting 1
	kill -KILL $leader
	wait $follower
	has second $'call 2\ndone\n'
	touch go
	runs 0 -- ./job
	told hit
	has "$T/out" $'call 2\ndone\n'
	only_results
}

test_command_is_killed() {
	begin
	program job <<-'END'
		n=$(wc -l <"${0%/*}/calls")
		[ "$n" -gt 1 ] || { echo $$ >pid; exec sleep 60; }
		echo done
	END
	memofs run -- ./job >first &
	local leader=$! status=0
	eventually 20 test -s pid
	memofs run -- ./job >second &
	local follower=$!
	eventually 20 waiting 1
	kill -KILL "$(cat pid)"
	wait $leader || status=$?
	is $status 137
	wait $follower
	has second $'done\n'
	ran 2
}

test_failure_is_taken_over() {
	begin
	program job <<-'END'
		n=$(wc -l <"${0%/*}/calls")
		sleep 0.5
		[ "$n" -gt 1 ] || { echo bad >&2; exit 4; }
		echo good
	END
	local status=0 first second
	memofs run -- ./job >out.1 2>err.1 &
	first=$!
	eventually 20 started
	memofs run -- ./job >out.2 2>err.2 &
	second=$!
	wait $first || status=$?
	is $status 4
	wait $second
	has out.2 $'good\n'
	has err.2 ''
	ran 2
}

test_failure_is_shared() {
	begin
	program job <<-'END'
		until [ -e "${0%/*}/go" ]; do sleep 0.02; done
		echo out; echo bad >&2
		exit 4
	END
	local i status pids=()
	for i in {1..8}; do
		memofs run --on-leader-failure share --status-file "status.$i" -- ./job >out.$i 2>err.$i &
		pids+=($!)
	done
	eventually 20 waiting 7
	touch go
	for i in "${pids[@]}"; do
		status=0
		wait "$i" || status=$?
		is $status 4
	done
	for i in {1..8}; do
		has "out.$i" $'out\n'
		has "err.$i" $'bad\n'
	done
	ran 1
	is "$(cat status.* | grep -c '"shared"')" 7 'followers'
	# It was no result: who comes later computes.
	runs 4 --on-leader-failure share -- ./job
	told miss
	ran 2
	is "$(find "$MEMOFS_CACHE/job" -mindepth 1 -maxdepth 1 -not -name '.failed-*')" ''
}

# An interrupted leader says nothing about the command.
test_interruption_is_not_shared() {
	begin
	slow_program job
	memofs run --on-leader-failure share -- ./job >first &
	local leader=$! status=0
	eventually 20 started
	memofs run --on-leader-failure share -- ./job >second &
	local follower=$!
	eventually 20 waiting 1
	kill -TERM $leader
	wait $leader || status=$?
	is $status 143
	wait $follower
	has second $'call 2\ndone\n'
}

test_wait_and_no_wait() {
	begin
	slow_program job
	memofs run -- ./job >first &
	local leader=$!
	eventually 20 started
	runs 0 --no-wait -- ./job
	told skipped
	said_nothing
	has "$T/out" $'call 2\ndone\n'
	runs 0 --wait 0.2s -- ./job
	told skipped
	said 'not cached: .*still being computed'
	has "$T/out" $'call 3\ndone\n'
	runs 5 --strict --wait 0.2s -- ./job
	ran 3
	# What ran without being asked to store did not.
	touch go
	wait $leader
	runs 0 -- ./job
	told hit
	has "$T/out" $'call 1\ndone\n'
	# The policy of the directory counts when nothing is said.
	rm go calls
	set_attr wait 200ms "$MEMOFS_CACHE"
	memofs run --overwrite -- ./job >first &
	leader=$!
	eventually 20 started
	runs 0 --since "$(date +%s.%N)" -- ./job
	told skipped
	touch go
	wait $leader
}

test_interrupted_while_waiting() {
	begin
	slow_program job
	memofs run -- ./job >first &
	local leader=$! follower sig status
	eventually 20 started
	for sig in TERM HUP; do
		memofs run -- ./job >second &
		follower=$!
		eventually 20 waiting 1
		status=0
		kill -$sig $follower
		wait $follower || status=$?
		is $status $((128 + $(kill -l $sig)))
		has second ''
	done
	touch go
	wait $leader
	has first $'call 1\ndone\n'
	ran 1
}

test_signals_while_computing() {
	begin
	program job <<-'END'
		trap 'echo trapped; exit 9' TERM INT HUP
		touch ready
		while :; do sleep 0.02; done
	END
	local sig pid status
	for sig in TERM INT HUP; do
		rm -f ready
		# bash lets a background job ignore SIGINT, which it inherits.
		python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' memofs run -- ./job >out &
		pid=$!
		eventually 20 test -e ready
		kill -$sig $pid
		status=0
		wait $pid || status=$?
		is $status 9
		has out $'trapped\n'
	done
	is "$(find "$MEMOFS_CACHE" -type f)" ''
	# One that does not trap it ends by it, and so do we.
	program plain <<-'END'
		touch ready; exec sleep 60
	END
	rm -f ready
	python3 - <<-'END'
		import os, signal, subprocess, time
		p = subprocess.Popen(["memofs", "run", "--", "./plain"])
		while not os.path.exists("ready"):
		    time.sleep(0.02)
		time.sleep(0.1)
		p.terminate()
		assert p.wait() == -signal.SIGTERM, p.returncode
	END
	runs 0 -- true
}

test_overwrite_is_never_shared() {
	begin
	program job <<-'END'
		sleep 0.3; echo x
	END
	local i pids=()
	for i in 1 2 3; do
		memofs run --overwrite -- ./job >/dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	ran 3
}

test_stale_while_refresh() {
	begin
	program job <<-'END'
		n=$(wc -l <"${0%/*}/calls")
		[ "$n" = 1 ] || until [ -e "${0%/*}/go" ]; do sleep 0.02; done
		echo "call $n"
		echo err >&2
	END
	runs 0 --ttl 1s -- ./job
	sleep 1.1
	# At once, although the new one is not there yet; and only one makes it.
	local i
	for i in 1 2 3; do
		runs 0 --ttl 1h --stale-while-refresh -- ./job
		told hit
		has "$T/out" $'call 1\n'
		has "$T/err" $'err\n'
	done
	eventually 20 started_times 2
	ran 2
	touch go
	fresh() { memofs run --no-wait -- ./job 2>/dev/null | grep -q 'call 2'; }
	eventually 20 fresh
	runs 0 --stale-while-refresh -- ./job
	told hit
	has "$T/out" $'call 2\n'
	# With nothing old there is nothing to answer with.
	rm -f calls
	runs 0 --stale-while-refresh --param x=1 -- ./job
	told populated
	has "$T/out" $'call 1\n'
	# Nobody waits for the one that makes it anew.
	local script='[ -e again ] && sleep 3; touch again; echo a'
	runs 0 --ttl 1ms --param x=3 -- sh -c "$script"
	sleep 0.01
	SECONDS=0
	is "$(memofs run --ttl 1h --stale-while-refresh --param x=3 -- sh -c "$script")" a
	[ $SECONDS -lt 3 ] || fail 'it was waited for'
	eventually 20 memofs run --dry-run --param x=3 -- sh -c "$script" >/dev/null
}

# Nobody is asked to compute while somebody reserved it by name.
test_reserved_by_name() {
	begin
	program job <<-'END'
		echo done
	END
	local id
	mkdir "$MEMOFS_CACHE/k"
	id=$(memofs reserve --lease 1h "$MEMOFS_CACHE/k/x")
	runs 0 --key k/x --wait 0.2s -- ./job
	told skipped
	ran 1
	memofs run --key k/x -- ./job >out &
	local pid=$!
	eventually 20 waiting 1
	memofs release --owner "$id" "$MEMOFS_CACHE/k/x"
	wait $pid
	ran 2
	runs 0 --key k/x -- ./job
	told hit
}

run_tests "$@"
