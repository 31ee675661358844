#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who produces a value, and how that ends: a failed one stores nothing, whatever it
# failed of, and one that ended well is there at once. A row a way.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory keeps what failed'
setup

ulimit -c 0

# A row is a command that writes $K, a name of its own. It is run by a bash of its
# own, which is not asked how it ended.
run_row() { # COMMAND
	bash -c "$1" >"$T/row.out" 2>&1 || true
}

# For rows that leave a process behind: until what that writes is decided.
nothing_pending() { [ "$(status_of pending_writes)" = 0 ]; }
settled() { until nothing_pending; do sleep 0.05; done; }
export -f status_of nothing_pending settled
export MNT

# Log lines name the value; a row has a name for each of its parts.
logged() { # NAME REGEX
	grep -Eq "\"$1\" was not stored: $2" "$LOG" || {
		grep "\"$1\"" "$LOG" >&2
		fail "the log has no reason like \"$2\" for $1"
	}
}

# A miss, and over a value of before: that stays. REGEX is the reason in the log.
run_failing() { # NAME REGEX COMMAND
	export K=$1
	run_row "$3"
	absent "$K"
	[ -z "$(ls)" ] || fail "there is $(ls)"
	logged "$K" "$2"
	K=$1.old
	printf old >"$K"
	chmod 666 "$K"
	run_row "$3"
	has "$K" old
	logged "$K" "$2"
	rm "$K"
}

run_storing() { # NAME CONTENT COMMAND
	export K=$1
	run_row "$3"
	has "$K" "$2"
	printf old >"$K"
	run_row "$3"
	has "$K" "$2"
}

fails_row() { # NAME REGEX COMMAND [NEEDS]
	eval "test_fails_$1() { ${4:+$4; }run_failing $(printf '%q ' "$1" "$2" "$3"); }"
}

stores_row() { # NAME CONTENT COMMAND [NEEDS]
	eval "test_stores_$1() { ${4:+$4; }run_storing $(printf '%q ' "$1" "$2" "$3"); }"
}

# ---- ways to fail ---------------------------------------------------------------

# shellcheck disable=SC2016 # rows are expanded by the shell that runs them
rows_of_failures() {
	local signal
	# By signals. The shell writes, and dies with its descriptor open.
	for signal in TERM KILL SEGV PIPE ABRT INT HUP; do
		fails_row "signal_$signal" "killed by signal [0-9]+ \\(SIG$signal\\) of sh" \
			"sh -c 'echo half; kill -$signal \$\$' >\$K"
	done
	fails_row aborts_itself 'killed by signal 6 \(SIGABRT\) of python3' \
		'python3 -c "import os; os.write(1, b\"half\"); os.abort()" >$K' 'needs python3'
	fails_row a_thread_dies 'killed by signal 11 \(SIGSEGV\) of python3' \
		'python3 -c "
import ctypes, os, threading
os.write(1, b\"half\")
t = threading.Thread(target=ctypes.string_at, args=(0,)); t.start(); t.join()" >$K' \
		'needs python3'

	# By exit status.
	fails_row exit_1 'exit status 1 of sh' 'sh -c "echo half; exit 1" >$K'
	fails_row exit_3 'exit status 3 of sh' 'sh -c "echo half; exit 3" >$K'
	fails_row exit_255 'exit status 255 of sh' 'sh -c "echo half; exit 255" >$K'
	fails_row no_output 'exit status 1 of false' 'env false >$K'
	fails_row not_found 'exit status 127 of bash' '/nonexistent/program >$K'
	fails_row subshell 'exit status 4 of bash' '(echo half; exit 4) >$K'
	fails_row subshell_and_on 'exit status 4 of bash' '{ (echo half; exit 4); true; } >$K'
	fails_row errexit 'exit status 1 of sh' 'sh -ec "echo half; env false; echo more" >$K'
	fails_row exec_after_open 'exit status 5 of sh' \
		'(exec >$K; echo one; exec sh -c "echo two; exit 5")'
	# It is closed by execve(2), in which /proc has little to say.
	# Under which of its two names it is seen to close is a matter of luck.
	fails_row closed_by_exec 'exit status 1 of (false|python3)' \
		'python3 -c "
import os
fd = os.open(os.environ[\"K\"], os.O_CREAT | os.O_WRONLY); os.write(fd, b\"half\")
os.execvp(\"false\", [\"false\"])"' 'needs python3'
	fails_row end_of_pipeline 'exit status 5 of sh' 'echo half | sh -c "cat; exit 5" >$K'
	fails_row through_forks 'exit status 7 of sh' \
		'sh -c "sh -c \"sh -c \\\"echo half; exit 7\\\"; exit 0\"; exit 0" >$K'
	fails_row its_child 'exit status 3 of sh' \
		'sh -c "sh -c \"echo half; exit 3\" || true; echo rest" >$K'
	# The parent fails, and a child in the background closes last.
	fails_row leaves_a_child 'exit status 3 of sh' \
		'sh -c "sleep 0.2 & exit 3" >$K; settled'
	fails_row leaves_a_writing_child 'exit status 3 of sh' \
		'sh -c "(sleep 0.2; echo late) & exit 3" >$K; settled'
	fails_row child_left_fails 'exit status 6 of sh' \
		'sh -c "(sleep 0.2; exit 6) & exit 0" >$K; settled'

	# Coreutils close their output before they exit.
	fails_row cat_missing 'exit status 1 of cat' 'cat /etc/hostname /nonexistent >$K'
	fails_row cat_missing_in_sh 'exit status 1 of cat' \
		'sh -c "cat /etc/hostname /nonexistent; true" >$K'
	fails_row sort_missing 'exit status 2 of sort' 'sort /nonexistent >$K'
	fails_row grep_no_match 'exit status 1 of grep' 'grep nothing-like-it /etc/hostname >$K'
	fails_row diff_differs 'exit status 1 of diff' 'diff /etc/hostname /etc/passwd >$K'
	fails_row tee_missing 'exit status 1 of tee' 'echo x | tee $K /nonexistent/x'
	fails_row timeout 'killed by signal 15 \(SIGTERM\) of sh' \
		'timeout 1 sh -c "echo half; while :; do :; done" >$K'

	# Python closes and goes on a while before it fails. Where modules are looked for here
	# (not with -I), 3.13 lists the directory for what prints the traceback, and who has
	# closed a value and looks has it published.
	fails_row python_raises 'exit status 1 of python3' \
		'python3 -I -c "
import os
with open(os.environ[\"K\"], \"w\") as f: f.write(\"half\")
raise RuntimeError(\"later\")"' 'needs python3'
	fails_row python_raises_inside 'exit status 1 of python3' \
		'python3 -I -c "
import os
with open(os.environ[\"K\"], \"w\") as f: f.write(\"half\"); raise RuntimeError()"' 'needs python3'
	fails_row python_exits_after_close 'exit status 2 of python3' \
		'python3 -c "
import os, sys
f = open(os.environ[\"K\"], \"w\"); f.write(\"half\"); f.close()
sys.exit(2)"' 'needs python3'
	fails_row python_os_exit 'exit status 9 of python3' \
		'python3 -c "
import os
f = open(os.environ[\"K\"], \"w\"); f.write(\"half\"); f.flush()
os._exit(9)"' 'needs python3'
	fails_row python_dies_after_close 'killed by signal 9 \(SIGKILL\) of python3' \
		'python3 -c "
import os
with open(os.environ[\"K\"], \"w\") as f: f.write(\"half\")
os.kill(os.getpid(), 9)"' 'needs python3'
	fails_row no_address_space '(exit status 1|killed by signal [0-9]+ .*) of python3' \
		'(ulimit -v 100000; exec python3 -c "
import os
os.write(1, b\"half\"); x = b\"x\" * (1 << 30)" >$K)' 'needs python3'

	# Elsewhere.
	fails_row in_a_pid_namespace 'exit status 3 of sh' \
		'unshare -p -f -m sh -c "sh -c \"echo half; exit 3\" >\$K; true"' needs_namespaces
	fails_row cat_in_a_pid_namespace 'exit status 1 of cat' \
		'unshare -p -f -m sh -c "cat /etc/hostname /nonexistent >\$K; true"' needs_namespaces
	fails_row init_of_a_pid_namespace 'killed by signal 9 \(SIGKILL\) of sh' \
		'unshare -p -f -m sh -c "sh -c \"echo half; sleep 9\" >\$K &
until grep -q \"^pending_writes: 1\" \$MNT/.memofs/status; do sleep 0.05; done; exit"; settled' \
		needs_namespaces
	fails_row as_another_user 'exit status 3 of sh' \
		'setpriv --reuid 65534 --clear-groups sh -c "echo half; exit 3" >$K' needs_nobody
	fails_row opened_by_another_user 'exit status 1 of cat' \
		'setpriv --reuid 65534 --clear-groups sh -c "cat /etc/hostname /nonexistent >\$K"' \
		needs_nobody
}

needs_namespaces() {
	needs_root
	unshare -p -f -m true 2>/dev/null || skip 'no pid namespaces'
}

needs_nobody() {
	needs_root
	needs setpriv
	chmod 777 .
}

rows_of_failures

test_fails_out_of_memory() {
	local group=/sys/fs/cgroup/memofs-test.$$ enter=''
	mkdir "$group" 2>/dev/null || true
	if [ -w "$group/cgroup.procs" ] && echo 20M >"$group/memory.max" 2>/dev/null; then
		echo 0 >"$group/memory.swap.max" 2>/dev/null || true
		enter="echo \$BASHPID >$group/cgroup.procs; exec python3 -c '
import os
os.write(1, b\"half\"); x = b\"x\" * (1 << 30)'"
	else
		say 'no memory cgroup: SIGKILL stands for the out-of-memory killer'
		enter="exec sh -c 'echo half; kill -KILL \$\$'"
	fi
	run_failing out_of_memory 'killed by signal 9 \(SIGKILL\)' "($enter) >\$K"
	rmdir "$group" 2>/dev/null || true
}

test_fails_append() {
	echo one >log
	run_row 'sh -c "echo two; exit 1" >>log'
	has log $'one\n'
	logged log 'exit status 1 of sh'
	run_row 'cat /etc/hostname /nonexistent >>log'
	has log $'one\n'
	logged log 'exit status 1 of cat'
	echo two >>log
	has log $'one\ntwo\n'
}

# A script that stops at the first failure never comes to its mv.
test_fails_before_mv() {
	run_row 'set -e; sh -c "echo half; exit 1" >moved.tmp; mv moved.tmp moved'
	absent moved moved.tmp
	logged moved.tmp 'exit status 1 of sh'
	run_row 'set -e; cat /etc/hostname /nonexistent >moved.tmp; mv moved.tmp moved'
	absent moved moved.tmp
	# It renames what it is still writing.
	run_row 'exec 3>moved.tmp; echo half >&3; mv moved.tmp moved; exit 3'
	absent moved moved.tmp
}

# Who asks meanwhile waits, and misses.
test_fails_while_others_ask() {
	needs python3
	local i
	for i in 1 2 3 4 5; do
		(sh -c 'cat /etc/hostname /nonexistent' >"asked$i" 2>/dev/null || true) &
		while kill -0 $! 2>/dev/null; do cat "asked$i" 2>/dev/null || true; done >"$T/asked"
		wait $!
		[ ! -s "$T/asked" ] || fail "somebody read $(cat "$T/asked")"
		absent "asked$i"
	done
}

# The reason goes when the name is stored.
test_fails_and_then_stores() {
	run_row 'sh -c "echo half; exit 1" >again'
	absent again
	run_row 'sh -c "echo whole" >again'
	has again $'whole\n'
	run_row 'sh -c "echo half; exit 1" >again'
	has again $'whole\n'
}

# ---- ways to succeed --------------------------------------------------------------

# shellcheck disable=SC2016
rows_of_successes() {
	stores_row exit_0 $'x\n' 'sh -c "echo x; exit 0" >$K'
	stores_row no_output '' 'env true >$K'
	stores_row subshell $'x\n' '(echo x; exit 0) >$K'
	stores_row exec_after_open $'one\ntwo\n' '(exec >$K; echo one; exec sh -c "echo two")'
	stores_row closed_by_exec 'x' \
		'python3 -c "
import os
fd = os.open(os.environ[\"K\"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC); os.write(fd, b\"x\")
os.execvp(\"true\", [\"true\"])"' 'needs python3'
	stores_row left_to_a_child 'x' \
		'python3 -c "
import os, subprocess
fd = os.open(os.environ[\"K\"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC); os.write(fd, b\"x\")
subprocess.run([\"true\"], close_fds=False)"' 'needs python3'
	stores_row end_of_pipeline $'x\n' 'echo x | sh -c "cat; exit 0" >$K'
	stores_row through_forks $'x\n' 'sh -c "sh -c \"sh -c \\\"echo x\\\"; true\"; true" >$K'
	stores_row child_ends_later $'late\n' \
		'sh -c "(sleep 0.2; echo late) & exit 0" >$K; settled'
	stores_row cat 'x' 'printf x | cat >$K'
	stores_row sort $'1\n2\n' 'printf "2\n1\n" | sort >$K'
	stores_row grep $'y\n' 'printf "x\ny\n" | grep y >$K'
	stores_row tee 'x' 'printf x | tee $K'
	stores_row dd 'x' 'printf x | dd of=$K'
	stores_row install 'x' 'printf x >$T/x; install -m 644 $T/x $K'
	stores_row cp 'x' 'printf x >$T/x; cp $T/x $K'
	stores_row mv 'x' 'printf x >$T/x; mv -f $T/x $K'
	stores_row mv_within 'x' 'printf x >$K.tmp; mv -f $K.tmp $K'
	stores_row rsync 'x' 'printf x >$T/x; rsync --ignore-times $T/x $K' 'needs rsync'
	stores_row tar 'x' 'printf x >$T/$K; tar -C $T -c $K | tar x' 'needs tar'
	stores_row python $'x' 'python3 -c "
import os
with open(os.environ[\"K\"], \"w\") as f: f.write(\"x\")"' 'needs python3'
	stores_row in_a_pid_namespace $'x\n' \
		'unshare -p -f -m sh -c "sh -c \"echo x\" >\$K; cat \$K"' needs_namespaces
	stores_row as_another_user $'x\n' \
		'setpriv --reuid 65534 --clear-groups sh -c "rm -f \$K; echo x >\$K"' needs_nobody
	# The failure of one that wrote nothing is no failure of the value.
	stores_row or_true $'x\n' 'sh -c "echo x; grep nothing-like-it /etc/hostname || true" >$K'
	# The pipe hides how its left side ended.
	stores_row pipeline_into_tee $'half\n' 'sh -c "echo half; exit 3" | tee $K'
	# The status of a builtin or of a list is not that of a process.
	stores_row builtin '' 'false >$K; true'
	stores_row list $'x\n' '{ echo x; false; } >$K; true'
}
export T
rows_of_successes

# A shell that wrote with a builtin uses what it wrote in every way, at once.
test_stores_builtin_and_looks() {
	local i
	for i in $(seq 20); do
		echo "$i" >"key$i"
		[ -e "key$i" ] || fail "round $i: it is not there"
		is "$(cat "key$i")" "$i" "round $i, cat"
		echo "$i" >"listed$i"
		is "$(ls "listed$i")" "listed$i" "round $i, ls"
		echo "$i" >"moved$i"
		mv "moved$i" "there$i"
		has "there$i" "$i"$'\n'
		echo "$i" >"from$i"
		cp "from$i" "to$i"
		has "to$i" "$i"$'\n'
		echo "$i" >"gone$i"
		rm "gone$i"
		absent "gone$i"
		echo "$i" >"dir$i"
		find . -name "dir$i" | grep -q . || fail "round $i: find"
	done
}

# It writes, closes and goes on: it asks itself, and so does a process that it has
# started, and one that it has not.
test_stores_and_lives_on() {
	needs python3
	rm -f "$T/say" "$T/end"
	mkfifo "$T/say" "$T/end"
	python3 - <<-'END' &
		import os, subprocess
		T = os.environ["T"]
		for i in range(50):
		    with open("key", "w") as f: f.write(str(i))
		    assert open("key").read() == str(i)
		    with open("key%d" % i, "w") as f: f.write(str(i))
		    assert subprocess.check_output(["cat", "key%d" % i]) == str(i).encode()
		    os.unlink("key%d" % i)
		with open("other", "w") as f: f.write("x")
		with open(T + "/say", "w") as f: f.write("closed")
		with open(T + "/end") as f: f.read()
	END
	is "$(cat "$T/say")" closed
	has other x
	is "$(names .)" "key"$'\n'"other"
	echo >"$T/end"
	wait $!
	has key 49
	has other x
}

# A thread counts as its process, of which it has the name, too.
test_threads() {
	needs python3
	python3 - "$PWD" >"$T/pid" <<-'END'
		import os, sys, threading
		os.chdir(sys.argv[1])
		def write():
		    for i in range(3):
		        with open(f"of-a-thread{i}", "w") as f:
		            f.write("x")
		thread = threading.Thread(target=write)
		thread.start()
		thread.join()
		print(os.getpid())
	END
	has of-a-thread2 x
	is "$(attr writer of-a-thread2 | sed 's/ comm=python.*//')" \
		"uid=$(id -u) gid=$(id -g) pid=$(cat "$T/pid")"
}

# More than may linger, of a process that goes on.
test_stores_many() {
	needs python3
	python3 - <<-'END'
		import os
		for i in range(1500):
		    with open("n%d" % i, "w") as f: f.write(str(i))
		assert len(os.listdir(".")) == 1500
		for i in range(1500):
		    with open("m%d" % i, "w") as f: f.write(str(i))
	END
	is "$(ls | wc -l)" 3000
	has m1499 1499
}

# More ask than the daemon has threads, and each for another value that lingers; who
# asks for something else is served meanwhile.
test_stores_and_many_ask() {
	needs python3
	local i round
	echo hit >hit
	for round in 1 2 3; do
		rm -f "$T/say" "$T/end" key*
		mkfifo "$T/say" "$T/end"
		python3 - <<-'END' &
			import os
			T = os.environ["T"]
			for i in range(64):
			    with open("key%d" % i, "w") as f: f.write(str(i))
			with open(T + "/say", "w") as f: f.write("closed")
			with open(T + "/end") as f: f.read()
		END
		is "$(cat "$T/say")" closed
		for i in $(seq 0 63); do
			{ [ "$(cat "key$i")" = "$i" ] || echo "key$i" >>"$T/missed"; } &
		done
		for i in $(seq 20); do has hit $'hit\n'; done
		echo >"$T/end"
		wait
		[ ! -e "$T/missed" ] || fail "in round $round these were not found: $(cat "$T/missed")"
	done
}

# Two that write one name: the last to close wins, whoever is decided first.
test_stores_the_last() {
	needs python3
	local i
	for i in $(seq 20); do
		python3 - <<-'END'
			import os, subprocess, sys
			def writer(text, ends):
			    r, w = os.pipe()
			    r2, w2 = os.pipe()
			    code = """
			import os, sys
			f = open("key", "w"); f.write(sys.argv[1])
			os.write(%d, b"o"); os.read(%d, 1); f.close(); os.write(%d, b"c")
			if sys.argv[2] == "stays": sys.stdin.read()
			""" % (w, r2, w)
			    p = subprocess.Popen(["python3", "-c", code, text, ends],
			                         stdin=subprocess.PIPE, pass_fds=[w, r2])
			    os.read(r, 1)
			    return p, r, w2
			one, two = writer("one", "stays"), writer("two", "ends")
			for p, r, w2 in (one, two):
			    os.write(w2, b"x")
			    os.read(r, 1)
			two[0].stdin.close(); two[0].wait()
			assert open("key").read() == "two", open("key").read()
			one[0].stdin.close(); one[0].wait()
		END
		has key two
	done
}

test_stores_always() {
	mkdir dir
	set_attr publish always dir
	run_row 'sh -c "echo half; exit 3" >dir/key'
	has dir/key $'half\n'
	run_row 'cat /etc/hostname /nonexistent >dir/cat'
	same dir/cat /etc/hostname
	mkdir dir/below
	run_row 'sh -c "echo half; kill -KILL \$\$" >dir/below/key'
	has dir/below/key $'half\n'
	set_attr publish on-success dir
	run_row 'sh -c "echo other; exit 3" >dir/key'
	has dir/key $'half\n'
}

# What lingers when it is unmounted is stored.
test_stores_at_unmount() {
	needs_persistence
	needs python3
	mkdir "$T/own"
	mount_at "$T/own.store" "$T/own"
	python3 - "$T/own/key" "$MEMOFS" "$T/own" <<-'END'
		import subprocess, sys
		with open(sys.argv[1], "w") as f: f.write("x")
		subprocess.run([sys.argv[2], "umount", sys.argv[3]], check=True)
	END
	mount_at "$T/own.store" "$T/own"
	has "$T/own/key" x
	umount_at "$T/own"
}

# Nothing is left over that somebody is believed to be writing.
test_zz_nothing_pending() {
	cd "$MNT"
	eventually 10 nothing_pending
}

run_tests "$@"
