#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs clear: what it chooses, its preview, and when it asks; memofs pin and unpin;
# memofs gc.
source "$(dirname "$0")/functions.sh"
source "$(dirname "$0")/cli_functions.sh"
setup

fill() { # DIRECTORY
	mkdir -p "$1/a/b" "$1/c"
	echo 1 >"$1/top"
	echo 2 >"$1/a/x.o"
	echo 3 >"$1/a/b/y.o"
	echo 4 >"$1/c/z.txt"
}

test_by_pattern() {
	fill d
	exits 0 clear -n --match '**/*.o' d
	is "$OUT" $'d/a/b/y.o\nd/a/x.o\nwould remove 2 entries, 4B' ||
		is "$OUT" $'d/a/x.o\nd/a/b/y.o\nwould remove 2 entries, 4B'
	present d/a/x.o
	exits 0 clear --match '**/*.o' d
	is "$OUT" 'removed 2 entries, 4B'
	absent d/a
	present d/top d/c/z.txt
	exits 0 clear -m c -m '!c/z.txt' d
	is "$OUT" 'removed 0 entries, 0B'
	exits 0 clear -m c d
	absent d/c
	present d/top
	complains 2 'clear: --match: ' clear -m '/absolute' d
	has d/top $'1\n'
}

test_a_tree_is_one() {
	mkdir "$T/tree" d
	echo x >"$T/tree/f"
	(cd "$T/tree" && memofs save -q --cost 61 "$OLDPWD/d/t" .)
	echo y >d/f
	exits 0 clear --match 't/f' d
	is "$OUT" 'removed 0 entries, 0B' 'a file in a tree is not removed alone'
	present d/t/f
	exits 0 clear --match t d
	[[ $OUT =~ ^removed\ 1\ entry,\ .*,\ 1m\ 1s\ of\ computing$ ]] || fail "$OUT"
	absent d/t
	present d/f
	rm -r "$T/tree"
}

test_by_version() {
	mkdir d
	echo unnamed >d/k
	set_attr version v1 d
	echo one >d/k
	set_attr version v2 d
	echo two >d/k
	exits 0 clear --version v1 d
	is "$OUT" 'removed 1 entry, 4B'
	absent d/.memofs/versions/v1/k
	has d/k $'two\n'
	has d/.memofs/view/version=/k $'unnamed\n'
	exits 0 clear --version '' d
	absent d/.memofs/view/version=/k
	has d/k $'two\n'
	exits 0 clear --version never-written d
	is "$OUT" 'removed 0 entries, 0B'
	(cd d && memofs clear -q --version v2 .)
	absent d/k
}

test_by_age() {
	mkdir d
	echo x >d/old
	sleep 1
	exits 0 clear --older-than 1h d
	is "$OUT" 'removed 0 entries, 0B'
	exits 0 clear --older-than 0.5s d
	is "$OUT" 'removed 1 entry, 2B'
}

test_directories_with_settings_stay() {
	mkdir -p d/pinned d/quota d/plain
	set_attr pin yes d/pinned
	set_attr quota 1G d/quota
	memofs clear -q d
	present d/pinned d/quota
	absent d/plain
}

# One that is wrong does not keep the others.
test_several() {
	fill a
	fill b
	exits 3 clear a none b
	[[ $ERR =~ 'none: No such file' ]] || fail "$ERR"
	is "$(find a b -type f | wc -l)" 0
}

# On a terminal it asks, and takes only y.
test_it_asks_on_a_terminal() {
	needs python3
	fill d
	cat >"$T/asker.py" <<-'END'
		import os, pty, sys
		answer, args = sys.argv[1], sys.argv[2:]
		pid, fd = pty.fork()
		if pid == 0:
		    os.execv(args[0], args)
		seen = b""
		while True:
		    try:
		        data = os.read(fd, 4096)
		    except OSError:
		        break
		    if not data:
		        break
		    asked = b"[y/N]" in seen
		    seen += data
		    if b"[y/N]" in seen and not asked:
		        os.write(fd, answer.encode() + b"\n")
		os.waitpid(pid, 0)
		sys.stdout.buffer.write(seen)
	END
	python3 "$T/asker.py" n "$MEMOFS" clear d >"$T/said"
	grep -q 'this would remove 4 entries, 8B' "$T/said" || fail "$(cat "$T/said")"
	grep -q 'nothing was removed' "$T/said" || fail "$(cat "$T/said")"
	is "$(find d -type f | wc -l)" 4
	python3 "$T/asker.py" y "$MEMOFS" clear d >"$T/said"
	grep -q 'removed 4 entries, 8B' "$T/said" || fail "$(cat "$T/said")"
	is "$(find d -type f | wc -l)" 0
	fill d
	python3 "$T/asker.py" n "$MEMOFS" clear --yes d >"$T/said"
	! grep -q 'y/N' "$T/said" || fail "$(cat "$T/said")"
	is "$(find d -type f | wc -l)" 0
}

# What was typed before it asked is no answer.
test_it_waits_for_an_answer() {
	needs python3
	fill d
	cat >"$T/ahead.py" <<-'END'
		import os, pty, sys
		master, slave = pty.openpty()
		os.write(master, b"y\n")
		while b"y" not in os.read(master, 100):
		    pass # its echo: it can be read by now
		pid = os.fork()
		if pid == 0:
		    for fd in range(3):
		        os.dup2(slave, fd)
		    os.execv(sys.argv[1], sys.argv[1:])
		os.close(slave)
		seen = b""
		while b"[y/N]" not in seen:
		    seen += os.read(master, 4096)
		os.write(master, b"n\n")
		os.waitpid(pid, 0)
	END
	python3 "$T/ahead.py" "$MEMOFS" clear d
	is "$(find d -type f | wc -l)" 4
}

# --- pin ------------------------------------------------------------------------------

test_pin() {
	mkdir -p d/sub
	echo x >d/k
	echo y >d/sub/k
	silently 0 pin d/k
	is "$(attr pin d/k)" yes
	exits 0 stat d/k
	[[ $OUT =~ pin\ +yes ]] || fail "$OUT"
	exits 0 ls d
	[[ $OUT =~ PIN ]] || fail "$OUT"
	exits 0 ls --json d
	is "$(json '[e["name"] for e in v if e.get("pinned")]')" "['k']"
	# What overwrites it is pinned, too.
	echo new >d/k
	is "$(attr pin d/k)" yes
	silently 0 unpin d/k
	fails 'No such attribute' attr pin d/k
	exits 0 ls d
	! [[ $OUT =~ PIN ]] || fail "$OUT"
	silently 0 unpin d/k
}

test_pin_a_directory() {
	mkdir -p d/sub
	echo y >d/sub/k
	silently 0 pin d
	complains 3 "d/sub/k is still pinned, by its directory .*/d; unpin that" unpin d/sub/k
	silently 0 unpin d/sub
	is "$(attr pin d/sub)" no
	silently 0 unpin d/sub/k
	silently 0 unpin d
	fails 'No such attribute' attr pin d
}

test_what_cannot_be_pinned() {
	mkdir d "$T/tree"
	echo x >"$T/tree/f"
	(cd "$T/tree" && memofs save -q "$OLDPWD/d/t" .)
	ln -s k d/link
	complains 1 'there is no such entry' pin d/none
	complains 3 'a symlink has no attributes' pin d/link
	complains 3 'not permitted' pin d/t/f
	silently 0 pin d/t
	is "$(attr pin d/t)" yes
	complains 4 'is not inside a memofs mount' pin "$T"
	rm -r "$T/tree"
}

# The directory that has it is found also where symlinks lead to it.
test_unpin_by_a_symlink() {
	mkdir d
	echo x >d/k
	ln -s "$PWD/d" "$T/link"
	silently 0 pin d
	complains 3 'is still pinned, by its directory .*/d; unpin that' unpin "$T/link/k"
	silently 0 unpin d
	rm "$T/link"
}

# --- gc -------------------------------------------------------------------------------

test_gc() {
	mkdir d
	set_attr ttl 1s d
	head -c 200000 /dev/urandom >d/k
	eventually 20 gone d/k
	exits 0 gc .
	[[ $OUT =~ expired\ entries:\ [1-9] ]] || fail "$OUT"
	silently 0 gc -q .
	complains 4 'is not in a memofs mount|is not inside a memofs mount' gc "$T"
}

gone() { ! [ -e "$1" ]; }

test_gc_is_not_for_others() {
	needs_root
	exits_as_nobody 3 gc .
	[[ $ERR =~ 'only who runs the daemon' ]] || fail "$ERR"
}

exits_as_nobody() { # CODE ARGUMENT...
	local want=$1 status=0
	shift
	setpriv --reuid 65534 --regid 65534 --clear-groups timeout 60 "$MEMOFS" "$@" \
		>"$T/out" 2>"$T/err" || status=$?
	OUT=$(cat "$T/out") ERR=$(cat "$T/err")
	is "$status" "$want" "exit code of memofs $* ($ERR)"
}

run_tests "$@"
