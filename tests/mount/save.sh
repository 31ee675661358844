#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs save: what patterns choose is stored whole, once, or not at all; and what
# stops it in the middle leaves what was there.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"
# shellcheck source=tests/mount/cli_functions.sh
source "$(dirname "$0")/cli_functions.sh"

unset MEMOFS_CACHE

# A directory of the test's own outside of the mount, in which it goes on; $KEYS is
# its directory in the mount. Hashes of files are remembered in $T, and not where the
# user has his.
outside() {
	needs_mount
	KEYS=$PWD
	LOCAL=$T/local/$(basename "$PWD")
	export XDG_CACHE_HOME=$T/cache
	mkdir -p "$LOCAL"
	cd "$LOCAL"
}

# Names, types, permissions, times, contents.
describe() { # DIRECTORY
	(cd "$1" && find . -mindepth 1 -printf '%y %m %T@ %l %p\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r md5sum)
}

same_trees() { # DIRECTORY DIRECTORY
	is "$(describe "$1")" "$(describe "$2")" "$1 beside $2"
}

# What `find` sees of a tree in the mount, less its first line.
listing() { # DIRECTORY
	(cd "$1" && find . -mindepth 1 -printf '%P\n' | sort | paste -sd ' ')
}

generation() { stat -c %i "$1"; }

nothing_left_over() {
	is "$(find "$LOCAL" "$KEYS" -name '*.new' -o -name '.memofs*')" '' 'left over'
}

make_tree() { # DIRECTORY
	mkdir -p "$1"/{bin,lib/deep,empty,locked}
	printf '#!/bin/sh\necho tool\n' >"$1/bin/tool"
	chmod 755 "$1/bin/tool"
	ln -s ../lib/a.txt "$1/bin/link"
	ln -s /nowhere "$1/dangling"
	ln -s . "$1/loop"
	echo text >"$1/lib/a.txt"
	chmod 600 "$1/lib/a.txt"
	: >"$1/lib/none"
	head -c 3000000 /dev/urandom >"$1/lib/deep/large"
	echo odd >"$1/lib/$(printf 'a b\n\303\244*\377')"
	chmod 700 "$1/empty"
	chmod 555 "$1/locked"
	find "$1" -depth -exec touch -h -d '2001-02-03 04:05:06.789' {} +
}

# --- what is saved ---------------------------------------------------------------------

test_round_trip() {
	outside
	make_tree t
	exits 0 save "$KEYS/k" t
	[[ $OUT =~ ^"saved $KEYS/k: 8 files, 2.8MiB ("[0-9.]+s\)$ ]] || fail "said $OUT"
	is "$ERR" ''
	same_trees t "$KEYS/k/t"
	mkdir dst
	exits 0 restore -C dst "$KEYS/k"
	same_trees t dst/t
	is "$(stat -c %F "$KEYS/k")" directory
	nothing_left_over
}

test_patterns() {
	outside
	mkdir -p a/b c .hidden/x
	touch a/1.o a/2.o a/b/3.o a/b/4.c c/5.o .hidden/x/6.o top.o
	exits 0 save "$KEYS/star" '*.o'
	is "$(listing "$KEYS/star")" 'top.o'
	exits 0 save "$KEYS/deep" '**/*.o'
	is "$(listing "$KEYS/deep")" \
		'.hidden .hidden/x .hidden/x/6.o a a/1.o a/2.o a/b a/b/3.o c c/5.o top.o'
	exits 0 save "$KEYS/dir" a
	is "$(listing "$KEYS/dir")" 'a a/1.o a/2.o a/b a/b/3.o a/b/4.c'
	exits 0 save "$KEYS/below" 'a/**' '!a/b' '!**/2.*'
	is "$(listing "$KEYS/below")" 'a a/1.o'
	exits 0 save "$KEYS/choice" -- '{a/[0-9],c/?}.o'
	is "$(listing "$KEYS/choice")" 'a a/1.o a/2.o c c/5.o'
	exits 0 save "$KEYS/expression" 'regex:(a|c)/.*[345]\.[oc]'
	is "$(listing "$KEYS/expression")" 'a a/b a/b/3.o a/b/4.c c c/5.o'
	exits 0 save -C a "$KEYS/elsewhere" .
	is "$(listing "$KEYS/elsewhere")" '1.o 2.o b b/3.o b/4.c'
}

test_bad_patterns() {
	outside
	echo 1 >f
	mkdir d
	complains 3 'nothing in the current directory matches "\*\.x"' save "$KEYS/k" f '*.x'
	complains 3 'nothing in d matches "f"' save -C d "$KEYS/k" f
	complains 2 'pattern "/f": it is absolute' save "$KEYS/k" /f
	complains 2 'pattern "\.\./f": .*leads out' save "$KEYS/k" ../f
	complains 2 'pattern "\[a": .*not closed' save "$KEYS/k" '[a'
	complains 2 'pattern "regex:\(": .*not closed' save "$KEYS/k" 'regex:('
	complains 2 'only leave something out' save "$KEYS/k" '!f'
	complains 2 'a line break' save "$KEYS/k" $'a\nb'
	complains 2 'PATTERN' save "$KEYS/k"
	complains 3 'none: No such file' save -C none "$KEYS/k" f
	absent "$KEYS/k"
	exits 0 save --allow-empty "$KEYS/k" f '*.x'
	is "$(listing "$KEYS/k")" f
	exits 0 save --allow-empty "$KEYS/empty" '*.x'
	is "$(listing "$KEYS/empty")" ''
	[ -d "$KEYS/empty" ] || fail 'an empty tree is no directory'
}

# Equal files are one, holes are zeros, set-id bits are lost; what it says.
test_kinds_of_files() {
	outside
	echo same >a
	ln a b
	cp a c
	truncate -s 5M sparse
	cp a setid
	chmod 6755 setid
	exits 0 save "$KEYS/k" .
	is "$(cd "$KEYS/k" && cat a b c setid | sort -u)" same
	is "$(stat -c %a "$KEYS/k/setid")" 755
	same sparse "$KEYS/k/sparse"
	is "$(stat -c %h "$KEYS/k/a")" 1
}

test_special_files() {
	outside
	echo 1 >f
	mkfifo pipe
	complains 3 '"pipe": is a socket, fifo or device.*--skip-special' save "$KEYS/k" .
	absent "$KEYS/k"
	exits 0 save "$KEYS/k" . '!pipe'
	exits 0 save --skip-special "$KEYS/k2" .
	[[ $ERR =~ '"pipe" is left out' ]] || fail "said $ERR"
	is "$(listing "$KEYS/k2")" f
}

test_names_no_tree_has() {
	outside
	mkdir d
	echo 1 >d/.memofs
	complains 3 '"d/\.memofs": no tree can hold this name' save "$KEYS/k" d
	absent "$KEYS/k"
}

# --- where ------------------------------------------------------------------------------

test_keys() {
	outside
	echo 1 >f
	# Directories above the key are made.
	exits 0 save "$KEYS/a/b/c" f
	has "$KEYS/a/b/c/f" $'1\n'
	exits 0 save --cache "$KEYS/cache" deps/x f
	has "$KEYS/cache/deps/x/f" $'1\n'
	MEMOFS_CACHE=$KEYS/cache exits 0 save deps/y f
	has "$KEYS/cache/deps/y/f" $'1\n'
	(cd "$KEYS" && exits 0 save -C "$LOCAL" here f)
	has "$KEYS/here/f" $'1\n'
	complains 2 'does not name an entry' save "$KEYS/" f
	complains 2 'cannot be a part of one' save ../k f
	complains 4 'is not a directory in a memofs mount' save "$LOCAL/k" f
}

test_clear_keeps_what_is_younger() {
	outside
	echo 1 >f
	exits 0 save "$KEYS/c/a" f
	exits 0 clear --older-than 1h "$KEYS/c"
	is "$OUT" 'removed 0 entries, 0B'
	has "$KEYS/c/a/f" $'1\n'
	exits 0 clear -n "$KEYS/c"
	has "$KEYS/c/a/f" $'1\n'
	exits 0 clear "$KEYS/c"
	[[ $OUT =~ ^removed\ 1\ entry ]] || fail "$OUT"
	absent "$KEYS/c/a"
}

test_what_is_in_the_way() {
	outside
	echo 1 >f
	mkdir "$KEYS/dir"
	complains 3 'a directory that is no tree' save "$KEYS/dir" f
	# Nothing can be added to a tree.
	exits 0 save "$KEYS/tree" f
	complains 3 '/tree is a tree, in which nothing' save "$KEYS/tree/k" f
	complains 3 '/tree is a tree, in which nothing' save "$KEYS/tree/a/k" f
	complains 3 '/tree is a tree, in which nothing' save --cache "$KEYS" tree/k f
	complains 3 '/tree is a tree, in which nothing' save --cache "$KEYS" tree/a/k f
	# A file is an entry like another.
	echo plain >"$KEYS/file"
	exits 0 save "$KEYS/file" f
	has "$KEYS/file/f" $'1\n'
	complains 4 'file/f is not a directory' save "$KEYS/file/f/x" f
}

test_not_permitted() {
	outside
	needs_root
	needs setpriv
	echo 1 >f
	mkdir -m 755 "$KEYS/mine"
	chmod 755 "$LOCAL" "$T/local"
	local status=0
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$MEMOFS" save "$KEYS/mine/k" f >out 2>err || status=$?
	is "$status" 3
	grep -q 'Permission denied; nothing was saved' err || fail "said $(cat err)"
	absent "$KEYS/mine/k"
	echo secret >g
	chmod 600 g
	mkdir -m 777 "$KEYS/ours"
	status=0
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$MEMOFS" save "$KEYS/ours/k" f g >out 2>err || status=$?
	is "$status" 3
	grep -q '"g": Permission denied; nothing was saved' err || fail "said $(cat err)"
	absent "$KEYS/ours/k"
	# The umask is that of who saves.
	(umask 077 && exits 0 save "$KEYS/ours/private" f)
	is "$(stat -c %a "$KEYS/ours/private")" 700
	exits 0 save "$KEYS/ours/public" f
	is "$(stat -c %a "$KEYS/ours/public")" 755
}

# --- once --------------------------------------------------------------------------------

test_unchanged_is_not_stored_again() {
	outside
	make_tree t
	exits 0 save "$KEYS/k" t
	local first
	first=$(generation "$KEYS/k")
	exits 0 save "$KEYS/k" t
	[[ $OUT =~ ^"unchanged $KEYS/k: 8 files" ]] || fail "said $OUT"
	is "$(generation "$KEYS/k")" "$first"
	# Times are no reason, neither is a hash that is not known.
	touch t/lib/a.txt
	rm -rf "$T/cache"
	exits 0 save "$KEYS/k" t
	is "$(generation "$KEYS/k")" "$first"
	exits 0 save -f "$KEYS/k" t
	[ "$(generation "$KEYS/k")" != "$first" ] || fail '--force stored nothing'
}

test_every_change_is_stored() {
	outside
	make_tree t
	exits 0 save "$KEYS/k" t
	local change before
	for change in 'echo texu >t/lib/a.txt' 'echo longer >t/lib/a.txt' 'chmod 644 t/lib/a.txt' \
		'rm t/lib/none' ': >t/lib/new' 'mkdir t/dir' 'rmdir t/dir' 'chmod 755 t/empty' \
		'ln -sfn elsewhere t/dangling' 'rm t/dangling; echo elsewhere >t/dangling' \
		'mv t/lib/new t/lib/newer'; do
		before=$(generation "$KEYS/k")
		eval "$change"
		exits 0 save "$KEYS/k" t
		[[ $OUT =~ ^saved ]] || fail "after $change: $OUT"
		[ "$(generation "$KEYS/k")" != "$before" ] || fail "after $change: the old one"
		diff -r --no-dereference t "$KEYS/k/t" >/dev/null || fail "after $change"
	done
	# The same files by other patterns: restore --exact has to know.
	exits 0 save "$KEYS/k" 't/**'
	[[ $OUT =~ ^saved ]] || fail "other patterns: $OUT"
}

# A file is known by its times only when those are older than two seconds.
test_changes_within_a_moment() {
	outside
	echo 0000 >f
	local i
	for i in 1 2 3 4 5; do
		printf '%04d\n' "$i" >f
		touch -d '2020-01-01' f
		exits 0 save "$KEYS/k" f
		has "$KEYS/k/f" "000$i"$'\n'
	done
}

# LeakSanitizer cannot look for leaks in what is traced, and calls that an error.
traced() { # SYSCALLS ARGUMENT...
	local calls=$1
	shift
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 \
		strace -f -o trace -e "trace=$calls" "$MEMOFS" "$@"
}

# The daemon is not even asked for the pack: nothing but its end is read.
test_unchanged_reads_nothing() {
	outside
	needs strace
	mkdir d
	local i
	for i in 1 2 3 4 5; do head -c 100000 /dev/urandom >"d/f$i"; done
	wait_until "$(($(date +%s) + 3)).0"
	exits 0 save "$KEYS/k" d
	traced openat,openat2 save "$KEYS/k" d >out ||
		skip 'strace cannot trace here'
	grep -q '^unchanged' out || fail "said $(cat out)"
	! grep '"d/f' trace || fail 'it opened a file'
	# One that was changed is read, and no other.
	echo new >d/f3
	traced openat2 save "$KEYS/k" d >out
	grep -q '^saved' out || fail "said $(cat out)"
	exits 0 restore --list "$KEYS/k"
}

test_if_missing() {
	outside
	echo 1 >f
	exits 0 save -m "$KEYS/k" f
	[[ $OUT =~ ^saved ]] || fail "said $OUT"
	echo 2 >f
	exits 0 save --if-missing "$KEYS/k" f
	[[ $OUT =~ ^present ]] || fail "said $OUT"
	has "$KEYS/k/f" $'1\n'
	# Another is at it.
	exec 5>"$KEYS/writing"
	exits 0 save -m "$KEYS/writing" f
	[[ $OUT =~ ^present ]] || fail "said $OUT"
	echo other >&5
	exec 5>&-
	has "$KEYS/writing" $'other\n'
	# Nothing is looked at.
	exits 0 save -m "$KEYS/k" nothing-of-that-name
	complains 2 'exclude each other' save -m -f "$KEYS/k" f
}

test_ttl_and_cost() {
	outside
	echo 1 >f
	exits 0 save --ttl 1h --cost 12.5 "$KEYS/k" f
	is "$(attr ttl "$KEYS/k")" 1h
	is "$(attr cost "$KEYS/k")" 12.5
	local before after
	before=$(attr expires "$KEYS/k")
	wait_until "$(($(date +%s) + 1)).5"
	# From now on, although it is stored already.
	exits 0 save --ttl 1h "$KEYS/k" f
	[[ $OUT =~ ^unchanged ]] || fail "said $OUT"
	after=$(attr expires "$KEYS/k")
	python3 -c 'import sys; assert 0.4 < float(sys.argv[2]) - float(sys.argv[1]) < 60' \
		"$before" "$after" || fail "expires at $before, then $after"
	exits 0 save --ttl none --cost 1 "$KEYS/k" f
	is "$(attr expires "$KEYS/k")" never
	is "$(attr cost "$KEYS/k")" 1
	exits 0 save --ttl 200ms "$KEYS/short" f
	wait_until "$(($(date +%s) + 1)).3"
	absent "$KEYS/short"
	exits 0 save "$KEYS/short" f
	[[ $OUT =~ ^saved ]] || fail "an expired one: $OUT"
	complains 2 'is not a number of seconds' save --cost long "$KEYS/k" f
	complains 2 '' save --ttl long "$KEYS/k" f
}

test_output() {
	outside
	echo 1 >f
	silently 0 save -q "$KEYS/k" f
	exits 0 save --json "$KEYS/k" f
	is "$(json 'v["done"], v["files"], v["bytes"], v["path"]')" \
		"('unchanged', 1, 2, '$KEYS/k')"
	exits 0 save --json -f "$KEYS/k" f
	is "$(json 'v["done"]')" saved
	exits 0 save --json -m "$KEYS/k" f
	is "$(json 'v["done"]')" present
}

# --- stopped in the middle -------------------------------------------------------------------

# The tree at k is one of two, whole.
old_or_new() {
	if [ -e "$KEYS/k/big" ]; then
		same big "$KEYS/k/big"
	else
		has "$KEYS/k/f" $'old\n'
	fi
}

test_killed() {
	outside
	echo old >f
	exits 0 save "$KEYS/k" f
	head -c 100000000 /dev/zero | tr '\0' x >big
	local signal delay pid
	for signal in TERM INT KILL HUP; do
		for delay in 0.01 0.03 0.1; do
			# Not in the background for bash, which has it ignore SIGINT.
			(timeout -s "$signal" "$delay" "$MEMOFS" save -q "$KEYS/k" big) >out 2>&1 || :
			old_or_new
		done
	done
	rmdir "$KEYS/k"
	"$MEMOFS" save -q "$KEYS/gone" big &
	pid=$!
	sleep 0.02
	kill -KILL "$pid" || :
	wait "$pid" 2>/dev/null || :
	[ ! -e "$KEYS/gone" ] || same big "$KEYS/gone/big"
	nothing_left_over
}

test_two_at_once() {
	outside
	mkdir a b
	head -c 20000000 /dev/urandom >a/big
	head -c 20000000 /dev/urandom >b/big
	local i first
	for i in 1 2 3; do
		"$MEMOFS" save -q -C a "$KEYS/k" . &
		first=$!
		exits 0 save -q -C b "$KEYS/k" .
		wait "$first"
		cmp -s a/big "$KEYS/k/big" || same b/big "$KEYS/k/big"
	done
}

test_full_store() {
	outside
	needs_persistence
	needs_root
	mkdir "$T/small" "$T/small_mnt"
	mount -t tmpfs -o size=48m tmpfs "$T/small"
	mount_at "$T/small/store" "$T/small_mnt" -o size=none
	echo old >f
	head -c 100000000 /dev/urandom >big
	exits 0 save "$T/small_mnt/k" f
	complains 3 'No space left on device; nothing was saved' save "$T/small_mnt/k" big
	has "$T/small_mnt/k/f" $'old\n'
	complains 3 'No space left on device; nothing was saved' save "$T/small_mnt/other" big
	absent "$T/small_mnt/other"
	umount_at "$T/small_mnt"
	umount "$T/small"
}

test_daemon_dies() {
	outside
	needs_persistence
	mkdir "$T/dies_mnt"
	mount_at "$T/dies" "$T/dies_mnt"
	echo old >f
	exits 0 save "$T/dies_mnt/k" f
	head -c 200000000 /dev/zero | tr '\0' x >big
	"$MEMOFS" save "$T/dies_mnt/k" big >out 2>err &
	local pid=$! status=0
	sleep 0.05
	kill_daemon "$T/dies_mnt"
	wait "$pid" || status=$?
	if [ "$status" -ne 0 ]; then
		is "$status" 3
		is "$(wc -l <err)" 1
	fi
	complains 4 '' save "$T/dies_mnt/k" f
	umount_at "$T/dies_mnt" || umount -l "$T/dies_mnt"
	mount_at "$T/dies" "$T/dies_mnt"
	[ "$status" -eq 0 ] || has "$T/dies_mnt/k/f" $'old\n'
	umount_at "$T/dies_mnt"
}

# Of 10,000 files, and with the slow sanitizers of 1,000.
test_large_tree() {
	local dirs=100 files=10,000
	[ "${MEMOFS_PERCENT:-100}" -ge 20 ] || dirs=10 files=1,000
	outside
	mkdir t
	python3 - $dirs <<-'END'
		import os, sys
		for d in range(int(sys.argv[1])):
		    os.mkdir(f"t/{d}")
		    for f in range(100):
		        with open(f"t/{d}/{f}", "w") as out:
		            out.write(f"{d} {f}\n" * (f + 1))
	END
	exits 0 save "$KEYS/k" t
	[[ $OUT =~ $files\ files ]] || fail "said $OUT"
	diff -r t "$KEYS/k/t"
	mkdir dst
	exits 0 restore -q -C dst "$KEYS/k"
	same_trees t dst/t
	exits 0 save "$KEYS/k" t
	[[ $OUT =~ ^unchanged ]] || fail "said $OUT"
}

# What the mount could not store in the end is no success, whatever ttl it was to have.
test_ttl_of_what_is_not_stored() {
	outside
	truncate -s 400M f
	mkdir "$KEYS/d"
	local pid status=0
	"$MEMOFS" save --ttl 1h "$KEYS/d/k" f >out 2>err &
	pid=$!
	eventually 20 eval '[ -n "$(ls "$KEYS/d/.memofs/reservations")" ]'
	kill -STOP $pid
	rmdir "$KEYS/d"
	kill -CONT $pid
	wait $pid || status=$?
	is $status 3
	has out ''
	grep -q 'could not store it' err || fail "said: $(cat err)"
}

setup
run_tests "$@"
