#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs restore: every kind of file and back, what is there already, --exact,
# --link with the real node and python, and every way in which it can fail.
# shellcheck source=tests/mount/functions.sh
source "$(dirname "$0")/functions.sh"
# shellcheck source=tests/mount/cli_functions.sh
source "$(dirname "$0")/cli_functions.sh"

# A directory of the test's own outside of the mount, in which it goes on; $KEYS is
# its directory in the mount.
outside() {
	needs_mount
	KEYS=$PWD
	LOCAL=$T/local/$(basename "$PWD")
	mkdir -p "$LOCAL"
	cd "$LOCAL"
}

# All that can be told of a tree: names, types, permissions, times, contents.
describe() { # DIRECTORY
	(cd "$1" && find . -mindepth 1 \( -type f -o -type l -o -type d \) \
		-printf '%y %m %T@ %l %p\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r md5sum)
}

no_temporary_files() { # DIRECTORY
	is "$(find "$1" -name '.memofs*')" '' 'temporary files'
}

make_tree() { # DIRECTORY
	mkdir -p "$1"/{bin,lib/deep/er,empty,locked}
	printf '#!/bin/sh\necho tool\n' >"$1/bin/tool"
	chmod 755 "$1/bin/tool"
	ln -s ../lib/a.txt "$1/bin/link"
	ln -s /nowhere "$1/dangling"
	echo text >"$1/lib/a.txt"
	echo secret >"$1/lib/secret"
	chmod 600 "$1/lib/secret"
	: >"$1/lib/none"
	head -c 3000000 /dev/urandom >"$1/lib/deep/er/large"
	echo odd >"$1/lib/$(printf 'a b\n\303\244*')"
	echo x >"$1/locked/x"
	chmod 700 "$1/empty"
	chmod 444 "$1/locked/x"
	chmod 555 "$1/locked"
	find "$1" -depth -exec touch -h -d '2001-02-03 04:05:06.789' {} +
}

# --- there and back ------------------------------------------------------------------

test_round_trip() {
	outside
	make_tree src/t
	exits 0 save -C src "$KEYS/k" t
	mkdir dst
	exits 0 restore -C dst "$KEYS/k"
	[[ $OUT =~ ^'restored '$KEYS/k': 9 files, '2\.[0-9]+MiB' (all written) in '[0-9.]+s$ ]] ||
		fail "said $OUT"
	is "$ERR" ''
	is "$(describe dst)" "$(describe src)" tree
	dst/t/bin/tool >out
	has out $'tool\n'
	silently 0 restore -q -C dst "$KEYS/k"
	exits 0 restore -C dst "$KEYS/k"
	[[ $OUT == *' (all there already) in '* ]] || fail "said $OUT"
	no_temporary_files dst
	chmod -R u+w src dst
}

# The parts of a job that are not in the mount.
test_relative_keys() {
	outside
	echo 1 >f
	(cd "$KEYS" && mkdir -p sub && memofs save -q -C "$LOCAL" sub/k f)
	rm f
	silently 0 restore -q --cache "$KEYS" sub/k
	has f $'1\n'
	rm f
	MEMOFS_CACHE=$KEYS silently 0 restore -q sub/k
	has f $'1\n'
}

test_what_is_there_is_not_written() {
	local before
	outside
	make_tree src/t
	exits 0 save -C src "$KEYS/k" t
	mkdir dst
	exits 0 restore -C dst "$KEYS/k"
	chmod 711 dst/t/lib/a.txt
	touch dst/t/lib/deep/er/large
	echo changed >dst/t/lib/none
	echo tex7 >dst/t/lib/a.txt
	before=$(stat -c %i dst/t/lib/deep/er/large)
	exits 0 restore -C dst "$KEYS/k"
	[[ $OUT == *' (2 written, the rest was there) in '* ]] || fail "said $OUT"
	is "$(stat -c %i dst/t/lib/deep/er/large)" "$before" 'inode of what was there'
	is "$(describe dst)" "$(describe src)" tree
	chmod -R u+w src dst
}

test_mtime_now() {
	outside
	make_tree src/t
	exits 0 save -C src "$KEYS/k" t
	mkdir dst
	silently 0 restore -q --mtime now -C dst "$KEYS/k"
	[ dst/t/lib/a.txt -nt src/t/lib/a.txt ] || fail 'an old time'
	complains 2 '--mtime: "then" is not one of its values' restore --mtime 'then' "$KEYS/k"
	chmod -R u+w src dst
}

test_a_part() {
	outside
	make_tree src/t
	exits 0 save -C src "$KEYS/k" t
	exits 0 restore --list "$KEYS/k"
	is "$(head -n 7 <<<"$OUT" | xargs)" 't/ t/bin/ t/bin/link t/bin/tool t/dangling t/empty/ t/lib/'
	[[ $OUT == *$'\n'"$'t/lib/a b\\n"* ]] || fail "listed $OUT"
	mkdir dst
	exits 0 restore -C dst "$KEYS/k" 't/lib/*.txt' t/bin
	[[ $OUT == 'restored '*': 3 files, '* ]] || fail "said $OUT"
	is "$(cd dst && find . -not -type d | sort | xargs)" './t/bin/link ./t/bin/tool ./t/lib/a.txt'
	exits 0 restore --list "$KEYS/k" 't/l*'
	[[ $OUT == *t/lib/deep/er/large* && $OUT != *t/bin* ]] || fail "listed $OUT"
	complains 3 'nothing in it matches "nothing\*"; --list prints' \
		restore -C dst "$KEYS/k" t/bin 'nothing*'
	complains 2 'restore: .*\[a' restore -C dst "$KEYS/k" '[a'
	chmod -R u+w src
}

# --- --exact ---------------------------------------------------------------------------

test_exact() {
	outside
	mkdir -p mods/a other
	echo 1 >mods/a/f
	echo 2 >mods/g.o
	echo 3 >main.o
	exits 0 save "$KEYS/k" 'mods/**' '*.o' '!keep.o'
	mkdir -p mods/left/over mods/a/f2
	echo x >mods/left/over/x
	echo x >mods/.hidden
	echo x >more.o
	echo x >keep.o
	echo x >main.c
	echo x >other/y.o
	ln -s "$LOCAL/other" mods/link
	ln -s ../other mods/a/link
	mkfifo mods/pipe
	rm mods/g.o
	exits 0 restore --exact "$KEYS/k"
	[[ $OUT == *'1 written, the rest was there, 8 removed) in '* ]] || fail "said $OUT"
	is "$(find mods main.* ./*.o other -print | sort | xargs)" \
		'./keep.o ./main.o main.c main.o mods mods/a mods/a/f mods/g.o mods/pipe other other/y.o'
}

# What --exact has seen on its way is mended as well: nothing is taken for unchanged.
test_exact_mends() {
	local before change
	outside
	mkdir -p t/d/e
	echo hello >t/a
	echo other >t/d/b
	ln -s a t/l
	find t -depth -exec touch -h -d '2001-02-03 04:05:06.789' {} +
	before=$(describe .)
	exits 0 save "$KEYS/k" t
	exits 0 restore --exact "$KEYS/k"
	[[ $OUT == *' (all there already) in '* ]] || fail "said $OUT"
	for change in \
		'echo HELLO >t/a; touch -d "2001-02-03 04:05:06.789" t/a' \
		'echo HELLO >n; touch -r t/a n; mv n t/a' \
		'mv t/a n; mv t/d/b t/a; mv n t/d/b' \
		'chmod 600 t/d/b; chmod 700 t/d/e' \
		'touch t/a t/d' \
		'touch -h t/l' \
		'ln -sfn b t/l' \
		'rm t/a; ln -s d/b t/a' \
		'rm t/l; echo hello >t/l' \
		'rmdir t/d/e; mkdir t/d/f' \
		'touch t/d/new' \
		'ln t/a t/d/new' \
		'rm -r t/d; ln -s . t/d'; do
		eval "$change"
		[ "$(describe .)" != "$before" ] || fail "$change: changes nothing"
		exits 0 restore --exact "$KEYS/k"
		is "$(describe .)" "$before" "$change"
	done
}

# A tree that was not saved by patterns is about its names at the top.
test_exact_without_patterns() {
	local stage name
	outside
	stage=$KEYS/.memofs/stage/x
	mkdir "$stage"
	for name in 'a*b' '!c' 'regex:d' '{e,f}' '\g' '[h]'; do
		mkdir "$stage/$name"
		echo 1 >"$stage/$name/f"
		mkdir -p "$name"
		echo x >"$name/left"
	done
	mv -T "$stage" "$KEYS/k"
	mkdir aab
	touch aab/x c d e f g h
	exits 0 restore --exact "$KEYS/k"
	[[ $OUT == *', 6 removed) in '* ]] || fail "said $OUT"
	is "$(find . -type f | sort | xargs -d '\n')" \
		'./!c/f ./[h]/f ./\g/f ./a*b/f ./aab/x ./c ./d ./e ./f ./g ./h ./regex:d/f ./{e,f}/f'
	# An empty tree is about nothing.
	mkdir "$KEYS/.memofs/stage/y"
	mv -T "$KEYS/.memofs/stage/y" "$KEYS/empty"
	exits 0 restore --exact "$KEYS/empty"
	present aab/x c
}

# Something else where a file or a directory belongs.
test_exact_changes_types() {
	outside
	mkdir -p t/d
	echo 1 >t/d/f
	echo 2 >t/f
	exits 0 save "$KEYS/k" t
	rm -r t/d t/f
	mkdir -p t/f/deep/er
	echo x >t/f/deep/er/x
	echo x >t/d
	complains 3 't/f: a directory that is not empty is in its place' restore "$KEYS/k"
	has t/f/deep/er/x $'x\n'
	exits 0 restore --exact "$KEYS/k"
	has t/f $'2\n'
	has t/d/f $'1\n'
	no_temporary_files t
}

# With patterns, only what both they and those of save choose.
test_exact_part() {
	outside
	mkdir -p t/a t/b
	echo 1 >t/a/f
	echo 1 >t/b/f
	exits 0 save "$KEYS/k" t
	echo x >t/a/x
	echo x >t/b/x
	echo x >u
	rm t/a/f t/b/f
	exits 0 restore --exact "$KEYS/k" t/a
	is "$(find . -type f | sort | xargs)" './t/a/f ./t/b/x ./u'
}

# Nothing is followed that leads out.
test_symlinks_in_the_way() {
	outside
	mkdir -p t/d precious
	echo 1 >t/d/f
	exits 0 save "$KEYS/k" t
	rm -r t
	echo mine >precious/f
	ln -s precious d
	mkdir t
	ln -s ../precious t/d
	exits 0 restore "$KEYS/k"
	has precious/f $'mine\n'
	has t/d/f $'1\n'
	[ ! -L t/d ] || fail 'the symlink is still there'
	rm -r t
	ln -s precious t
	exits 0 restore --exact "$KEYS/k"
	has precious/f $'mine\n'
	has t/d/f $'1\n'
}

# --- --link ----------------------------------------------------------------------------

test_link() {
	outside
	mkdir -p t
	echo 1 >t/f
	echo 2 >top
	exits 0 save "$KEYS/k" t top
	mkdir dst
	exits 0 restore --link -C dst "$KEYS/k"
	is "$OUT" "linked $KEYS/k: 2 names in $KEYS/k, expires never"
	is "$(readlink dst/t dst/top | xargs)" "$KEYS/k/t $KEYS/k/top"
	has dst/t/f $'1\n'
	fails 'not permitted|Read-only|denied' sh -c 'echo x >dst/t/f'
	# Again, and elsewhere: symlinks are replaced.
	ln -sfn /nowhere dst/t
	silently 0 restore -q --link -C dst "$KEYS/k"
	has dst/t/f $'1\n'
	# A copy takes the place of the symlinks.
	exits 0 restore -C dst "$KEYS/k"
	[ -d dst/t ] && [ ! -L dst/t ] || fail 'still a symlink'
	complains 3 'k: t is there and would be lost; --force replaces it' \
		restore --link -C dst "$KEYS/k"
	has dst/t/f $'1\n'
	[ ! -L dst/top ] || fail 'one was made all the same'
	silently 0 restore -q --link --force -C dst "$KEYS/k"
	is "$(readlink dst/t dst/top | xargs)" "$KEYS/k/t $KEYS/k/top"
	is "$(find dst | wc -l)" 3 'names in dst'
	complains 2 'leave "t" out' restore --link "$KEYS/k" t
	complains 2 'goes with --link' restore --force "$KEYS/k"
}

test_link_tells_of_its_end() {
	outside
	echo 1 >f
	exits 0 save --ttl 10m "$KEYS/k" f
	mkdir dst
	exits 0 restore --link -C dst "$KEYS/k"
	[[ $ERR =~ 'expires in '[0-9]+m.*'; then the symlinks lead nowhere' ]] || fail "said $ERR"
	[[ $OUT =~ ', expires in 9m' ]] || fail "said $OUT"
	exits 0 save --force --ttl 2d "$KEYS/k" f
	exits 0 restore --link -C dst "$KEYS/k"
	is "$ERR" ''
}

# A node_modules as npm makes it, by hand, since tests use no network.
test_node_reads_in_place() {
	needs node
	outside
	mkdir -p app/node_modules/{.bin,left/lib,right}
	cat >app/node_modules/left/package.json <<-'END'
		{"name": "left", "version": "1.0.0", "main": "lib/index.js", "bin": "lib/cli.js"}
	END
	echo 'exports.pad = n => " ".repeat(n) + require("right").word' \
		>app/node_modules/left/lib/index.js
	printf '#!/usr/bin/env node\nconsole.log(require("left").pad(2))\n' \
		>app/node_modules/left/lib/cli.js
	chmod 755 app/node_modules/left/lib/cli.js
	ln -s ../left/lib/cli.js app/node_modules/.bin/left
	echo '{"name": "right", "version": "2.0.0"}' >app/node_modules/right/package.json
	echo 'exports.word = "word"' >app/node_modules/right/index.js
	exits 0 save -C app "$KEYS/k" node_modules
	for how in --link --exact; do
		rm -rf fresh
		mkdir fresh
		exits 0 restore "$how" -C fresh "$KEYS/k"
		is "$(cd fresh && node -e 'console.log(require("left").pad(1))')" ' word' "$how"
		is "$(fresh/node_modules/.bin/left)" '  word' "$how"
	done
}

test_python_reads_in_place() {
	needs python3
	outside
	python3 -m venv --without-pip venv 2>/dev/null || skip 'python has no venv'
	local site
	site=$(venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	mkdir "$site/greet"
	echo 'def hello(): return "hello from " + __name__' >"$site/greet/__init__.py"
	exits 0 save "$KEYS/k" venv
	is "$(venv/bin/python -c 'import greet; print(greet.hello())')" 'hello from greet'
	for how in '--link --force' --exact; do
		# shellcheck disable=SC2086
		exits 0 restore $how "$KEYS/k"
		is "$(venv/bin/python -c 'import greet; print(greet.hello())')" \
			'hello from greet' "$how"
		is "$(venv/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)')" True
	done
	[ ! -L venv ] || fail 'still a symlink'
}

# --- misses and mistakes ---------------------------------------------------------------

test_misses() {
	outside
	echo 1 >f
	complains 1 'k: a miss; nothing was restored' restore "$KEYS/k"
	complains 1 'a/b/k: a miss' restore "$KEYS/a/b/k"
	exits 0 save --ttl 1s "$KEYS/k" f
	sleep 1.1
	complains 1 'k: a miss' restore "$KEYS/k"
	complains 1 'k: a miss' restore --stale "$KEYS/k"
	rm f
	memofs reserve -q -o me "$KEYS/k"
	silently 0 restore -q --stale "$KEYS/k"
	has f $'1\n'
	memofs release -o me "$KEYS/k"
	exits 0 save --force --ttl none "$KEYS/k" f
	sleep 1.1
	complains 1 'k: a miss' restore --max-age 1s "$KEYS/k"
	silently 0 restore -q --max-age 1h "$KEYS/k"
	complains 1 'k: a miss' restore --since "@$(($(date +%s) + 60))" "$KEYS/k"
	silently 0 restore -q --since 2001-01-01 "$KEYS/k"
	set_attr version 2 "$KEYS"
	complains 1 'k: a miss' restore "$KEYS/k"
	set_attr version '' "$KEYS" || setfattr -x user.cache.version "$KEYS"
	silently 0 restore -q "$KEYS/k"
}

test_mistakes() {
	outside
	echo 1 >f
	exits 0 save "$KEYS/k" f
	complains 2 '' restore
	complains 2 'does not name an entry' restore ''
	complains 2 '--since: "soon" is not a time' restore --since soon "$KEYS/k"
	complains 2 '--max-age: "x" is not a duration' restore --max-age x "$KEYS/k"
	complains 2 '--list restores nothing' restore --list --exact "$KEYS/k"
	complains 3 'nowhere: No such file or directory; nothing was restored' \
		restore -C nowhere "$KEYS/k"
	complains 3 'f: Not a directory; nothing was restored' restore -C f "$KEYS/k"
	complains 4 'is not a directory in a memofs mount' restore "$LOCAL/k"
	echo plain >"$KEYS/plain"
	complains 3 'plain: no sealed tree' restore "$KEYS/plain"
	mkdir "$KEYS/dir"
	complains 3 'dir: no sealed tree' restore "$KEYS/dir"
}

test_waiting() {
	local job
	outside
	echo 1 >f
	mkdir dst
	memofs reserve -q -o me "$KEYS/k"
	complains 5 'k: reserved by me' restore --wait=0.2s "$KEYS/k"
	"$MEMOFS" restore -q --wait=60s -C dst "$KEYS/k" &
	job=$!
	sleep 0.2
	memofs save -q "$KEYS/k" f
	memofs release -o me "$KEYS/k"
	wait "$job" || fail "exit code $?"
	has dst/f $'1\n'
}

# --- trouble ----------------------------------------------------------------------------

make_many() { # DIRECTORY LETTER
	mkdir -p "$1"
	python3 - "$1" "$2" <<-'END'
		import os, sys
		for i in range(3000):
		    d = "%s/d%d" % (sys.argv[1], i % 40)
		    os.makedirs(d, exist_ok=True)
		    with open("%s/f%d" % (d, i), "w") as f:
		        f.write(sys.argv[2] * (i % 9000 + 1))
	END
}

# What is published meanwhile changes nothing: it is one tree or the other.
test_replaced_meanwhile() {
	local job letters
	outside
	make_many a/t a
	make_many b/t b
	silently 0 save -q -C a "$KEYS/k" t
	(until [ -e enough ]; do
		for which in b a; do
			"$MEMOFS" save -q --force -C $which "$KEYS/k" t || exit
		done
	done) &
	job=$!
	for _ in 1 2 3; do
		rm -rf dst
		mkdir dst
		silently 0 restore -q -C dst "$KEYS/k"
		letters=$(find dst -type f -exec head -qc 1 {} + | fold -w 1 | sort | uniq -c | xargs)
		[[ $letters =~ ^3000\ [ab]$ ]] || fail "a mixture: $letters"
	done
	touch enough
	wait "$job"
	no_temporary_files dst
}

# What has its final name is whole, whenever the mount goes.
test_mount_vanishes() {
	local store=$T/vanish.store mnt=$T/vanish job status file
	outside
	mkdir -p "$mnt"
	make_many src/t x
	head -c 30000000 /dev/urandom >src/t/d0/large
	for delay in 0 0.01 0.03 0.1; do
		mount_at "$store" "$mnt"
		silently 0 save -q -C src "$mnt/k" t
		rm -rf dst
		mkdir dst
		"$MEMOFS" restore -q -C dst "$mnt/k" 2>err &
		job=$!
		[ "$delay" = 0 ] || eventually 20 test -e dst/t
		sleep "$delay"
		kill_daemon "$mnt"
		status=0
		wait "$job" || status=$?
		[[ $status == [034] ]] || fail "exit code $status: $(cat err)"
		[ "$status" = 0 ] || is "$(wc -l <err)" 1 "lines: $(cat err)"
		umount -l "$mnt"
		find dst -type f -printf '%P\n' | while IFS= read -r file; do
			same "dst/$file" "src/$file"
		done
		no_temporary_files dst
	done
}

test_no_room() {
	needs_root
	outside
	mkdir -p src/t small
	for i in {1..40}; do head -c 100000 /dev/urandom >"src/t/f$i"; done
	head -c 3000000 /dev/urandom >src/t/large
	exits 0 save -C src "$KEYS/k" t
	mount -t tmpfs -o size=2m tmpfs small || skip 'no tmpfs can be mounted'
	exits 3 restore -C small "$KEYS/k"
	umount_when_done=$PWD/small
	is "$(wc -l <"$T/err")" 1 "lines: $ERR"
	[[ $ERR =~ 'No space left on device' ]] || fail "said $ERR"
	no_temporary_files small
	find small -type f -printf '%P\n' | while IFS= read -r file; do
		same "small/$file" "src/$file"
	done
	umount "$umount_when_done"
}

# Who may not write is told where.
test_not_permitted() {
	needs_root
	needs setpriv
	outside
	mkdir -p src/t/sub dst/t
	echo 1 >src/t/sub/f
	exits 0 save -C src "$KEYS/k" t
	exits 0 stat "$KEYS"
	local status=0
	chmod 755 dst/t
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$MEMOFS" restore -C dst "$KEYS/k" >out 2>err || status=$?
	is "$status" 3 "exit code ($(cat err))"
	[[ $(cat err) == *'t/sub: Permission denied' ]] || fail "said $(cat err)"
}

test_damage() {
	needs_persistence
	outside
	local store=$T/damage.store mnt=$T/damage extent
	mkdir -p src/t "$mnt"
	head -c 2000000 /dev/urandom >src/t/f
	mount_at "$store" "$mnt"
	silently 0 save -q -C src "$mnt/k" t
	umount_at "$mnt"
	extent=$(find "$store" -type f -size +1900k ! -name '*.log' | head -n 1)
	[ -n "$extent" ] || fail 'where is the content?'
	printf 'damaged' | dd of="$extent" bs=1 seek=1000000 conv=notrunc status=none
	mount_at "$store" "$mnt"
	mkdir dst
	exits 3 restore -C dst "$mnt/k"
	is "$(wc -l <"$T/err")" 1 "lines: $ERR"
	absent dst/t/f
	no_temporary_files dst
	umount_at "$mnt"
}

# The shell sees 128 + N, and nothing half done is left.
test_signals() {
	local job status
	outside
	make_many src/t x
	silently 0 save -q -C src "$KEYS/k" t
	memofs reserve -q -o me "$KEYS/other"
	for sig in INT TERM; do
		status=0
		# A job in the background of a script ignores SIGINT.
		env --default-signal=INT "$MEMOFS" restore --wait=60s "$KEYS/other" &
		job=$!
		eventually 20 is_waiting_in_open "$job"
		kill -s $sig "$job"
		wait "$job" || status=$?
		is "$status" $((128 + $(kill -l $sig))) "exit code after SIG$sig"
	done
	for delay in 0.005 0.01 0.02 0.05; do
		rm -rf dst
		mkdir dst
		status=0
		"$MEMOFS" restore -q -C dst "$KEYS/k" &
		job=$!
		sleep "$delay"
		kill -TERM "$job" 2>/dev/null || true
		wait "$job" || status=$?
		[ "$status" = 143 ] || [ "$status" = 0 ] || fail "exit code $status"
		no_temporary_files dst
		find dst -type f -printf '%P\n' | while IFS= read -r file; do
			same "dst/$file" "src/$file"
		done
	done
}

is_waiting_in_open() { # JOB
	local state
	state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) &&
		[ "$state" = S ] && [ "$(cat "/proc/$1/comm")" = memofs ]
}

# On a terminal nothing is left of the progress bar but the last line.
test_terminal() {
	needs script
	outside
	echo 1 >f
	exits 0 save "$KEYS/k" f
	script -qec "'$MEMOFS' restore '$KEYS/k'" /dev/null </dev/null >out
	[[ $(tail -n 1 out) =~ ^'restored '.*s.?$ ]] || fail "said $(cat out)"
}

setup
# Hashes of files are remembered here, and not where the user has his.
export XDG_CACHE_HOME=$T/cache
run_tests "$@"
