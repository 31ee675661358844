#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sealed trees: directories that are one entry, published whole and never changed.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no sealed trees'
setup

MKPACK=$MEMOFS_BUILD/tests/mount/mkpack
PACKS=.memofs/view/pack

# How often the log has a text.
logged() { grep -cF -- "$1" "$MNT/.memofs/log" || true; }

# What there is to know of a tree: names, types, permissions, times, targets, contents.
facts() { # DIRECTORY
	(
		cd "$1"
		find . -mindepth 1 -printf '%p %y %m %T@ %l\n' | sort
		find . -type f -print0 | sort -z | xargs -0 -r md5sum
	)
}

same_trees() { # DIRECTORY DIRECTORY
	diff <(facts "$1") <(facts "$2") || fail "$1 and $2 differ"
}

# A tree outside the mount with a bit of everything; `word` makes it another.
grow() { # DIRECTORY WORD
	rm -rf "$1"
	mkdir -p "$1/bin" "$1/lib/deep/er" "$1/empty"
	echo "$2" >"$1/word"
	: >"$1/nothing"
	printf '#!/bin/sh\necho "I am %s"\n' "$2" >"$1/bin/run"
	chmod 755 "$1/bin/run"
	head -c 300000 /dev/urandom >"$1/lib/large"
	echo "$2 below" >"$1/lib/deep/er/file"
	ln -s ../word "$1/lib/up"
	ln -s nowhere "$1/broken"
	echo x >"$1/name with 'all'"
	chmod 600 "$1/name with 'all'"
	find "$1" -depth -exec touch -h -d '2001-02-03 04:05:06.789' '{}' +
	touch -d '2020-01-01 00:00:00.123456789' "$1/word"
}

# Publish a tree under a key here.
store() { # KEY WORD [OPTIONS of the view]
	grow "$T/grown" "$2"
	"$MKPACK" "$T/grown" >"$T/grown.pack"
	cp "$T/grown.pack" ".memofs/view/pack${3:+,$3}/$1"
}

# --- in and out ------------------------------------------------------------------

test_a_pack_becomes_a_directory_and_is_a_file_under_pack() {
	store key one
	same_trees "$T/grown" key
	is "$(stat -c %F key)" directory
	is "$(stat -c %F "$PACKS/key")" 'regular file'
	same "$T/grown.pack" "$PACKS/key"
	is "$(stat -c %s "$PACKS/key")" "$(stat -c %s "$T/grown.pack")"
	is "$(names .)" key
	is "$(names "$PACKS")" key
	is "$(find "$PACKS" -type f -printf '%f ')" 'key '
	cp "$PACKS/key" "$T/out.pack"
	cp "$T/out.pack" "$PACKS/again"
	same_trees key again
}

test_plain_files_and_directories_are_as_ever_under_pack() {
	mkdir -p dir/sub
	echo x >dir/plain
	ln -s plain dir/link
	store key one
	mkdir -p dir/sub
	has "$PACKS/dir/plain" $'x\n'
	is "$(readlink "$PACKS/dir/link")" plain
	cp "$T/grown.pack" "$PACKS/dir/sub/tree"
	same_trees "$T/grown" dir/sub/tree
	is "$(names dir)" $'link\nplain\nsub'
	# Once given, it stays.
	is "$(stat -c %F "$PACKS/.memofs/view/ro/key")" 'regular file'
	is "$(stat -c %F "$PACKS/dir/.memofs/versions/v")" directory
	cp "$T/grown.pack" "$PACKS/dir/.memofs/versions/v/tree"
	absent dir/tree
	same_trees "$T/grown" dir/.memofs/versions/v/tree
}


# --- reading ---------------------------------------------------------------------

test_tools_that_walk() {
	store key one
	is "$(find key -printf x | wc -c)" "$(find "$T/grown" -printf x | wc -c)"
	ls -lR key >/dev/null
	silent diff -r --no-dereference "$T/grown" key
	# Blocks of 512 bytes for what it holds, and nothing for the directories.
	[ "$(du -s -B1 key | cut -f1)" -ge 300000 ] || fail "du: $(du -s -B1 key)"
	[ "$(du -s -B1 key | cut -f1)" -lt 310000 ] || fail "du: $(du -s -B1 key)"
	silent cp -a key "$T/copied"
	same_trees "$T/grown" "$T/copied"
	silent tar -C key --format=posix -cf "$T/out.tar" .
	mkdir "$T/untarred"
	silent tar -C "$T/untarred" -xf "$T/out.tar"
	same_trees "$T/grown" "$T/untarred"
	if command -v rsync >/dev/null; then
		silent rsync -a key/ "$T/walked"
		same_trees "$T/grown" "$T/walked"
		is "$(rsync -ai key/ "$T/walked")" ''
	fi
}

# What is in a tree lists no attributes, and the version is not listed of a directory:
# a copy of one that had it would hide what was copied into it.
test_copies_with_attributes_into_the_mount() {
	mkdir -p .memofs/versions/v1
	grow "$T/grown" one
	"$MKPACK" "$T/grown" >.memofs/versions/v1/.memofs/view/pack/key
	set_attr version v1 .
	set_attr ttl 1h key
	is "$(attr version key)" v1
	is "$(getfattr -d key | sed -n 2p)" 'user.cache.ttl="1h"'
	is "$(getfattr -d key | wc -l)" 3
	is "$(getfattr -d key/word key/lib)" ''
	silent cp -a key copy
	is "$(stat -c %F copy)" directory
	same_trees "$T/grown" copy
	is "$(attr ttl copy)" 1h
	if command -v rsync >/dev/null; then
		silent rsync -aX key/ synced
		is "$(getfattr -d synced/word)" ''
		same_trees "$T/grown" synced
	fi
}

test_programs_and_maps() {
	store key one
	is "$(key/bin/run)" 'I am one'
	cp "$(type -P true)" "$T/true"
	mkdir "$T/programs"
	cp "$T/true" "$T/programs/true"
	"$MKPACK" "$T/programs" >"$PACKS/programs"
	programs/true
	python3 - key/lib/large "$T/grown/lib/large" <<-'END'
		import mmap, sys
		with open(sys.argv[1], 'rb') as f:
		    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		    assert m[:] == open(sys.argv[2], 'rb').read()
		    assert m[150000:150010] == m[:][150000:150010]
	END
	cd key/lib/deep
	is "$(cat er/file)" 'one below'
	is "$(cat ../../word)" one
}

test_attributes_are_those_of_an_entry() {
	local created
	store key one
	set_attr ttl 1h key
	is "$(attr state key)" live
	is "$(attr state "$PACKS/key")" live
	is "$(attr ttl "$PACKS/key")" 1h
	created=$(attr created key)
	is "$(attr created "$PACKS/key")" "$created"
	is "$(attr expires key)" "$(attr expires "$PACKS/key")"
	[ "$(attr expires key)" != never ] || fail 'it has a ttl'
	# Of what it holds, whenever it was made; the pack's own is that of its bytes.
	touch "$T/grown/word"
	"$MKPACK" "$T/grown" >"$PACKS/later"
	is "$(attr hash key)" "$(attr hash later)"
	! cmp -s "$PACKS/key" "$PACKS/later" || fail 'the times differ'
	[ "$(attr hash "$PACKS/key")" != "$(attr hash "$PACKS/later")" ] || fail 'as files, too'
	[[ $(attr writer key) == *"comm=cp" ]] || fail "writer: $(attr writer key)"
	[[ $(attr cost key) =~ ^[0-9.e-]+$ ]] || fail "cost: $(attr cost key)"
	set_attr cost 12.5 key
	is "$(attr cost "$PACKS/key")" 12.5
	is "$(attr reservation key)" free
	setfattr -n user.mine -v yes key
	is "$(getfattr --only-values -n user.mine "$PACKS/key")" yes
	# Those of directories mean nothing; what is copied in is accepted.
	set_attr lease 5m key
	fails 'No such attribute' attr lease key
	fails 'No such attribute' attr version key
	# What is in it is as old as it is, and is no entry itself.
	is "$(attr created key/word)" "$created"
	is "$(attr expires key/lib/deep)" "$(attr expires key)"
	is "$(attr ttl key/lib)" 1h
	[[ $(attr hash key/word) =~ ^[0-9a-f]{32}$ ]] || fail 'a file has a hash'
	fails 'No such attribute' attr state key/lib
	fails 'No such attribute' attr hits key/word
	fails 'No such file' stat key/.memofs
	fails 'No such file' stat key/lib/.memofs/view/ro
}

# --- what cannot be done -----------------------------------------------------------

test_nothing_in_it_changes() {
	local before after
	store fixed one
	echo out >outside
	before=$(facts fixed)
	for command in 'touch fixed/word' 'touch fixed/lib' 'touch fixed/new' 'mkdir fixed/new' \
		'rm fixed/word' 'rm -f fixed/lib/deep/er/file' 'rmdir fixed/empty' \
		'mv fixed/word fixed/lib/word' 'mv fixed/word outside' 'mv outside fixed/outside' \
		'ln -s x fixed/new' 'ln fixed/word fixed/new' 'chmod 600 fixed/word' \
		'chmod 700 fixed/lib' 'chown 12 fixed/word' 'truncate -s 0 fixed/word' \
		'truncate -s 1 fixed/lib/large' 'cp outside fixed/word' 'mkfifo fixed/fifo' \
		'dd if=/dev/zero of=fixed/word count=1 conv=notrunc' 'rm -r fixed' \
		'setfattr -n user.x -v y fixed/word' 'setfattr -n user.cache.ttl -v 1h fixed/lib' \
		'setfattr -x user.x fixed/word' 'mv -T fixed/lib lib' 'mv -T dir fixed/empty'; do
		mkdir -p dir
		fails 'not permitted' eval "$command"
	done
	after=$(facts fixed)
	is "$after" "$before"
	has outside $'out\n'
	[ "$(logged '"fixed" is a sealed tree: remove it whole with rmdir or memofs rm')" -eq 1 ] ||
		fail "said $(logged 'is a sealed tree') times"
}

test_a_directory_cannot_be_written_as_a_file() {
	store key one
	fails 'Is a directory' eval 'echo x >key'
	fails 'Is a directory' unlink key
	mkdir dir
	touch dir/x
	fails 'cannot overwrite directory' mv -T "$PACKS/key" "$PACKS/dir"
	fails 'not permitted' mknod "$PACKS/node" p
}

test_tools_write_packs() {
	store key one
	silent cp -p "$T/grown.pack" "$PACKS/copied"
	silent install -m 600 "$T/grown.pack" "$PACKS/installed"
	tee "$PACKS/teed" <"$T/grown.pack" >/dev/null
	dd if="$T/grown.pack" of="$PACKS/synced" bs=64k conv=fsync status=none
	silent cp -a "$PACKS/key" "$PACKS/again"
	cp "$T/grown.pack" "$T/moved.pack"
	silent mv "$T/moved.pack" "$PACKS/moved"
	silent tar -C "$PACKS" -cf "$T/packs.tar" key
	mkdir dir
	silent tar -C "dir/$PACKS" -xf "$T/packs.tar"
	# A temporary name, its times and mode, and a rename.
	if command -v rsync >/dev/null; then
		silent rsync -a "$T/grown.pack" "$PACKS/rsynced"
		silent rsync -aX --inplace "$T/grown.pack" "$PACKS/inplace"
	fi
	for tree in * dir/key; do
		[ "$tree" = dir ] || same_trees "$T/grown" "$tree"
	done
	is "$(stat -c %a installed copied)" $'700\n755'
	is "$(stat -c %a "$PACKS/installed" "$PACKS/copied")" $'600\n644'
	# The two sides of a tree have one owner, mode and time.
	chmod 750 copied
	is "$(stat -c %a "$PACKS/copied")" 640
	touch -d '2002-02-02 02:02:02' "$PACKS/copied"
	is "$(stat -c %Y copied)" "$(date -d '2002-02-02 02:02:02' +%s)"
	# A file of a tree as the source of a copy within the mount.
	cp key/lib/large large
	same large "$T/grown/lib/large"
}

# --- removing and moving -------------------------------------------------------------

test_rmdir_removes_it_whole() {
	store key one
	exec 3<key/lib/large
	rmdir key
	absent key "$PACKS/key" key/word
	cmp "$T/grown/lib/large" - <&3
	exec 3<&-
	store key two
	rm "$PACKS/key"
	absent key "$PACKS/key"
	is "$(names .)" ''
	store key three
	"$MEMOFS" rm key
	absent key
	mkdir dir
	store dir/../key four
	store key five
	mv key dir/key
	echo x >dir/file
	"$MEMOFS" rm -r dir
	absent dir
}

test_it_moves_as_one() {
	local created
	store key one
	set_attr ttl 1h key
	created=$(attr created key)
	mkdir dir
	mv key dir/moved
	absent key
	same_trees "$T/grown" dir/moved
	is "$(attr created dir/moved)" "$created"
	is "$(attr ttl dir/moved)" 1h
	rm -rf "$T/first"
	cp -aT "$T/grown" "$T/first"
	store other two
	mv -T dir/moved other
	same_trees "$T/first" other
	absent dir/moved
	echo x >file
	fails 'non-directory' mv -T other file
	# As files they replace each other, whatever they are elsewhere.
	store a three
	mv "$PACKS/other" "$PACKS/a"
	same_trees "$T/first" a
	absent other
	# From one way to see it to the other: a copy, of what it is there.
	mv "$PACKS/a" plain
	is "$(stat -c %F plain)" 'regular file'
	absent a
	mv plain "$PACKS/a"
	same_trees "$T/first" a
	absent plain
}

# --- replacing -----------------------------------------------------------------------

test_readers_keep_what_they_have() {
	store key one
	rm -rf "$T/first"
	cp -aT "$T/grown" "$T/first"
	exec 3<key/lib/large 4<"$PACKS/key"
	head -c 1000 <&3 >"$T/part"
	store key two
	same_trees "$T/grown" key
	cat <&3 >>"$T/part"
	same "$T/first/lib/large" "$T/part"
	"$MKPACK" "$T/first" | cmp - <(cat <&4)
	exec 3<&- 4<&-
}

test_a_name_changes_its_kind() {
	local i
	for i in 1 2 3; do
		echo "file $i" >key
		is "$(stat -c %F key)" 'regular file'
		has key "file $i"$'\n'
		has "$PACKS/key" "file $i"$'\n'
		store key "tree $i"
		is "$(stat -c %F key)" directory
		has key/word "tree $i"$'\n'
		same "$PACKS/key" "$T/grown.pack"
		rmdir key
		absent key "$PACKS/key"
		mkdir key
		is "$(stat -c %F "$PACKS/key")" directory
		fails 'Is a directory' eval 'cat "$T/grown.pack" >"$PACKS/key"'
		rmdir key
	done
	# The one path, while the other is looked at.
	store key tree
	[ -d key ]
	mv "$PACKS/key" "$PACKS/old"
	echo x >key
	[ -f key ]
	mv "$PACKS/old" "$PACKS/key"
	[ -d key ]
	has key/word $'tree\n'
}

# All that one reader sees of a tree through one path is from one of them; it is never
# absent. Who is in the midst of a walk into one that is replaced, and once more while he
# begins anew, is told that it is stale.
test_reading_while_it_is_replaced() {
	grow "$T/a" a
	grow "$T/b" b
	"$MKPACK" "$T/a" >"$T/a.pack"
	"$MKPACK" "$T/b" >"$T/b.pack"
	cp "$T/a.pack" "$PACKS/key"
	python3 - "$T" <<-'END'
		import os, sys, time
		top = sys.argv[1]
		packs = [open(f'{top}/{x}.pack', 'rb').read() for x in 'ab']
		listed = sorted(os.listdir(f'{top}/a'))
		word = {b'a\n': b'a below\n', b'b\n': b'b below\n'}

		def get(name, fd=None):
		    r = os.open(name, os.O_RDONLY, dir_fd=fd)
		    try:
		        return os.read(r, 100)
		    finally:
		        os.close(r)

		def replace(i):
		    with open('.memofs/view/pack/key', 'wb') as f:
		        f.write(packs[i % 2])

		def walk(i):
		    fd = os.open('key', os.O_RDONLY | os.O_DIRECTORY)
		    try:
		        w = get('word', fd)
		        f = get('lib/deep/er/file', fd)
		        assert word[w] == f, (w, f)
		    finally:
		        os.close(fd)

		def whole(i):
		    with open('.memofs/view/pack/key', 'rb') as f:
		        assert f.read() in packs, 'torn'
		    assert get('key/word') in word
		    assert sorted(os.listdir('key')) == listed

		# Processes, since a value that is being written is seen by its own.
		end = time.time() + 3
		pids = []
		for f in (replace, walk, walk, whole, whole):
		    pid = os.fork()
		    if not pid:
		        n = 0
		        stale = 0
		        while time.time() < end:
		            try:
		                f(n)
		            except OSError as e:
		                assert f != replace and e.errno == 116, e
		                stale += 1
		            n += 1
		        print(f'{f.__name__}: {n}, stale: {stale}', file=sys.stderr)
		        os._exit(0 if n > 10 else 3)
		    pids.append(pid)
		sys.exit(any([os.waitpid(pid, 0)[1] for pid in pids]))
	END
}

# --- expiry ------------------------------------------------------------------------------

test_expiry() {
	local expires
	store key one
	exec 3<key/lib/large
	(
		cd key/lib
		set_attr ttl 2s "$OLDPWD/key"
		expires=$(attr expires .)
		wait_until "$expires"
		absent ../word
		fails 'No such file|Stale' cat deep/er/file
		fails 'No such file|Stale' ls .
	)
	absent key key/word "$PACKS/key"
	is "$(names .)" ''
	cmp "$T/grown/lib/large" - <&3
	exec 3<&-
	# It is there again under a longer ttl.
	store key two
	set_attr ttl 1ms .
	absent key
	set_attr ttl 1h .
	same_trees "$T/grown" key
	set_attr ttl none .
	is "$(attr expires key)" never
}

test_ages_and_stale() {
	local created
	store key one
	created=$(attr created key)
	same_trees "$T/grown" .memofs/view/max-age=1h/key
	wait_until "$created"
	absent .memofs/view/max-age=0/key ".memofs/view/since=2200-01-01/key"
	fails 'No such file' ls .memofs/view/max-age=1ms/key
	absent .memofs/view/pack,max-age=1ms/key
	is "$(names .memofs/view/max-age=1ms)" ''
	# While it is computed anew the old one serves.
	set_attr ttl 1ms key
	absent key
	absent .memofs/view/stale/key
	echo 'me 1m' >.memofs/reservations/key
	has .memofs/view/stale/key/word $'one\n'
	has .memofs/view/stale/key/lib/deep/er/file $'one below\n'
	is "$(readlink .memofs/view/stale/key/broken)" nowhere
	same "$T/grown.pack" .memofs/view/stale,pack/key
	echo 'me 0' >.memofs/reservations/key
	absent .memofs/view/stale/key
}

test_ro() {
	store key one
	same_trees "$T/grown" .memofs/view/ro/key
	fails 'Read-only' rmdir .memofs/view/ro/key
	fails 'Read-only' touch .memofs/view/ro/key/word
	fails 'Read-only' eval 'echo x >.memofs/view/pack,ro/key'
	fails 'Read-only' rm -f .memofs/view/ro,pack/key
	fails 'Read-only' setfattr -n user.cache.ttl -v 1h .memofs/view/ro/key
	same_trees "$T/grown" key
}

# --- writing -------------------------------------------------------------------------------

test_what_is_no_pack_is_refused_at_close() {
	store key one
	fails 'Bad message' cp /etc/passwd "$PACKS/new"
	fails 'Bad message' eval "head -c -1 '$T/grown.pack' | dd of=$PACKS/key"
	fails 'Bad message' eval "tail -c +2 '$T/grown.pack' | dd of=$PACKS/key"
	python3 - "$T/grown.pack" "$T/bad.pack" <<-'END'
		import sys
		data = bytearray(open(sys.argv[1], 'rb').read())
		data[len(data) // 2] ^= 1
		open(sys.argv[2], 'wb').write(data)
	END
	fails 'Bad message' cp "$T/bad.pack" "$PACKS/key"
	fails 'Bad message' truncate -s 1000 "$PACKS/key"
	fails 'Bad message' truncate -s 0 "$PACKS/key"
	[ "$(logged '"new" is not stored as it is: ')" -ge 1 ] || fail 'nothing was said'
	absent new
	# Begun and not written.
	: >"$PACKS/key"
	touch "$PACKS/nothing"
	absent nothing
	eventually 5 eval '[ "$(logged "nothing was written")" -ge 1 ]'
	# A failed producer, and one that was killed.
	! python3 -c "
	import shutil, sys
	shutil.copyfile('$T/grown.pack', '$PACKS/failed')
	sys.exit(1)" 2>/dev/null
	absent failed
	same_trees "$T/grown" key
}

test_overwriting_and_appending() {
	store key one
	: >"$T/empty"
	same "$PACKS/key" "$T/grown.pack"
	# Taken over as it is, and completed: index and trailer come last.
	grow "$T/b" b
	"$MKPACK" "$T/b" >"$T/b.pack"
	set_attr ttl 1h key
	dd if="$T/b.pack" of="$PACKS/key" bs=1M 2>/dev/null
	same_trees "$T/b" key
	is "$(attr ttl key)" 1h
	fails 'Bad message' eval "echo x | dd of=$PACKS/key oflag=append conv=notrunc"
	same_trees "$T/b" key
	# A file is replaced by a tree, and a tree by a file.
	echo x >plain
	cp "$T/b.pack" "$PACKS/plain"
	same_trees "$T/b" plain
	# On the open descriptor, before it is there.
	python3 - "$T/b.pack" <<-'END'
		import os, sys
		with open('.memofs/view/pack/set', 'wb') as f:
		    f.write(open(sys.argv[1], 'rb').read())
		    os.setxattr(f.fileno(), 'user.cache.ttl', b'30m')
		    os.setxattr(f.fileno(), 'user.cache.cost', b'7.5')
		    f.flush()
		    os.fsync(f.fileno())
		    assert not os.path.exists('../set')
		    # To its owner a file as long as it is open, by either path.
		    assert os.path.isfile('set')
		assert os.path.isdir('set')
	END
	is "$(attr ttl set)" 30m
	is "$(attr cost set)" 7.5
}

# --- versions, reservations, waiting ------------------------------------------------------

test_versions() {
	store key old
	cp -aT "$T/grown" "$T/old"
	set_attr version v2 .
	absent key "$PACKS/key"
	store key new
	same_trees "$T/grown" key
	is "$(attr version key)" v2
	same_trees "$T/old" .memofs/view/version=/key
	same "$T/grown.pack" .memofs/versions/v2/.memofs/view/pack/key
	same "$T/grown.pack" .memofs/view/pack,version=v2/key
	setfattr -x user.cache.version .
	same_trees "$T/old" key
	rm -rf "$T/old"
}

test_owner() {
	store key one
	fails 'Stale' cp "$T/grown.pack" .memofs/view/pack,owner=me/key
	fails 'Stale' rmdir .memofs/view/owner=me/key
	fails 'Stale' rm -f .memofs/view/pack,owner=me/key
	echo 'me 1m' >.memofs/reservations/key
	store key two owner=me
	has key/word $'two\n'
	is "$(attr reservation key)" free
	[ "$(logged '"me" has no reservation')" -ge 1 ] || fail 'nothing was said'
}

# It is lost while the value is written: the close says so, and nothing changes.
test_owner_loses_while_saving() {
	store key one
	grow "$T/b" b
	"$MKPACK" "$T/b" >"$T/b.pack"
	echo 'me 1m' >.memofs/reservations/key
	python3 - "$T/b.pack" <<-'END'
		import errno, os, sys
		fd = os.open('.memofs/view/owner=me/.memofs/view/pack/key',
		             os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
		os.write(fd, open(sys.argv[1], 'rb').read())
		for text in (b'me 0', b'you 1m'):
		    with open('.memofs/reservations/key', 'wb', buffering=0) as f:
		        f.write(text)
		try:
		    os.close(fd)
		    sys.exit('closed')
		except OSError as e:
		    assert e.errno == errno.ESTALE, e
	END
	has key/word $'one\n'
	echo 'you 0' >.memofs/reservations/key
}

test_waiting() {
	grow "$T/grown" one
	"$MKPACK" "$T/grown" >"$T/grown.pack"
	echo 'me 1m' >.memofs/reservations/key
	cat .memofs/view/pack,wait/key >"$T/waited" &
	local waiter=$!
	cat .memofs/view/wait/.memofs/view/pack/key >"$T/waited2" &
	local other=$!
	eventually 20 eval '[ "$(status_of waiting_opens)" -eq 2 ]'
	cp "$T/grown.pack" .memofs/view/pack,owner=me/key
	wait "$waiter"
	wait "$other"
	same "$T/waited" "$T/grown.pack"
	same "$T/waited2" "$T/grown.pack"
	# Without the option what came is a directory, and the waiter is sent to it.
	rmdir key
	echo 'me 1m' >.memofs/reservations/key
	python3 -c 'import os; print(*sorted(os.listdir(os.open(".memofs/view/wait/key", 0))))' \
		>"$T/waited" &
	waiter=$!
	eventually 20 eval '[ "$(status_of waiting_opens)" -eq 1 ]'
	cp "$T/grown.pack" .memofs/view/pack,owner=me/key
	wait "$waiter"
	has "$T/waited" "bin broken empty lib name with 'all' nothing word"$'\n'
}

# --- stage -----------------------------------------------------------------------------------

test_stage() {
	is "$(ls .memofs | tr '\n' ' ')" 'log metrics reservations stage stats versions view '
	[ -k .memofs/stage ] || fail 'the sticky bit'
	is "$(names .)" ''
	grow "$T/grown" one
	cp -a "$T/grown" .memofs/stage/x
	is "$(names .memofs/stage)" x
	absent x
	mv -T .memofs/stage/x key
	absent .memofs/stage/x
	same_trees "$T/grown" key
	fails 'not permitted' touch key/word
	[[ $(attr writer key) == *"comm=mv" ]] || fail "writer: $(attr writer key)"
	is "$(attr state key)" live
	"$MKPACK" "$T/grown" >"$T/grown.pack"
	cp "$T/grown.pack" "$PACKS/other"
	is "$(attr hash key)" "$(attr hash other)"
	# Onto a tree, and onto a file.
	grow "$T/grown" two
	cp -a "$T/grown" .memofs/stage/x
	mv -T .memofs/stage/x key
	same_trees "$T/grown" key
	has key/word $'two\n'
	mkdir .memofs/stage/x
	echo x >file
	fails 'non-directory' mv -T .memofs/stage/x file
	# A directory: only an empty one.
	mkdir -p dir/below
	fails 'not empty|File exists|Is a directory' mv -T .memofs/stage/x dir
	mv .memofs/stage/x dir/x
	fails 'not permitted' touch dir/x/new
	rmdir dir/x
	# A file is a file, and a directory that stays in the stage stays one.
	mkdir -p .memofs/stage/a/b
	echo y >.memofs/stage/y
	mv .memofs/stage/y y
	has y $'y\n'
	mv .memofs/stage/a/b .memofs/stage/c
	touch .memofs/stage/c/still
	mkdir ordinary
	mv ordinary .memofs/stage/ordinary
	touch .memofs/stage/ordinary/still
	# Deeper, under names of directories that go on.
	mv -T .memofs/stage/a deep
	is "$(names deep)" ''
	fails 'not permitted' touch deep/x
}

# Building takes as long as it takes: nothing of it goes before it is a result.
test_stage_outlives_the_ttl() {
	setfattr -n user.cache.ttl -v 1 .
	mkdir .memofs/stage/x
	echo one >.memofs/stage/x/first
	sleep 1.2
	echo two >.memofs/stage/x/last
	is "$(names .memofs/stage/x)" $'first\nlast'
	setfattr -n user.cache.ttl -v 1h .
	mv -T .memofs/stage/x key
	is "$(names key)" $'first\nlast'
	[ "$(attr expires key)" != never ] || fail 'the ttl of the directory is that of the tree'
}

test_stage_flags() {
	store key one
	mkdir .memofs/stage/x dir
	echo x >.memofs/stage/x/f
	python3 - <<-'END'
		import ctypes, errno, os
		libc = ctypes.CDLL(None, use_errno=True)
		def rename(a, b, flags):
		    r = libc.renameat2(-100, a.encode(), -100, b.encode(), flags)
		    return 0 if r == 0 else ctypes.get_errno()
		assert rename('.memofs/stage/x', 'key', 1) == errno.EEXIST
		assert rename('.memofs/stage/x', 'key', 2) == errno.EINVAL
		assert rename('dir', '.memofs/stage/x', 2) == errno.EINVAL
		assert rename('.memofs/stage/x', 'new', 1) == 0
	END
	is "$(cat new/f)" x
	has key/word $'one\n'
	fails 'No such file' ls .memofs/stage/.memofs/stage
	fails 'not permitted|denied|No such' rmdir .memofs/stage
}

test_stage_waits_for_what_is_written() {
	mkdir .memofs/stage/x
	exec 3>.memofs/stage/x/open
	echo one >&3
	mkdir .memofs/stage/x/sub
	fails 'busy' mv -T .memofs/stage/x key
	absent key
	exec 3>&-
	# What has just been closed by somebody who lives on is waited for.
	sh -c 'echo two >"$1"; sleep 0.05' sh "$PWD/.memofs/stage/x/sub/lingers"
	mv -T .memofs/stage/x key
	has key/open $'one\n'
	has key/sub/lingers $'two\n'
}

test_stage_under_views() {
	grow "$T/grown" one
	echo 'me 1m' >.memofs/reservations/key
	cp -a "$T/grown" .memofs/view/owner=me/.memofs/stage/x
	fails 'Stale' mv -T .memofs/view/owner=me/.memofs/stage/x .memofs/view/owner=you/key
	mv -T .memofs/view/owner=me/.memofs/stage/x .memofs/view/owner=me/key
	same_trees "$T/grown" key
	is "$(attr reservation key)" free
	mkdir .memofs/stage/y
	fails 'Read-only' mkdir .memofs/view/ro/.memofs/stage/x
	fails 'Read-only' mv -T .memofs/stage/y .memofs/view/ro/key
	mkdir dir
	fails 'No such file' ls dir/.memofs/view/ro/.memofs/stage
	# Into a version.
	cp -aT "$T/grown" .memofs/stage/z
	mv -T .memofs/stage/z .memofs/versions/v/key2
	absent key2
	same_trees "$T/grown" .memofs/versions/v/key2
}

# --- users -----------------------------------------------------------------------------------

test_two_users() {
	needs_root
	needs setpriv
	local as='setpriv --reuid 1234 --regid 1234 --clear-groups'
	chmod 755 .
	store key one
	mkdir theirs
	chown 1234 theirs
	chmod 755 "$T/grown"
	# Others read what they may, and change nothing.
	has key/word $'one\n'
	is "$($as cat key/word)" one
	fails 'denied' $as cat "key/name with 'all'"
	# A pack would have that, too.
	fails 'denied' $as cat "$PACKS/key"
	fails 'denied' $as cat .memofs/view/pack,wait/key
	# Nor has who may write it, and goes on from what is there.
	chmod 777 key
	fails 'denied' $as sh -c 'cat <>"$1"' sh "$PACKS/key"
	fails 'denied' $as sh -c ': >>"$1"' sh "$PACKS/key"
	chmod 755 key
	chmod 644 "$T/grown/name with 'all'"
	"$MKPACK" "$T/grown" >"$T/open.pack"
	cp "$T/open.pack" "$PACKS/open"
	$as cat "$PACKS/open" | cmp - "$T/open.pack"
	chmod 700 open
	fails 'denied' $as cat "$PACKS/open"
	fails 'denied' $as ls open
	fails 'denied' $as rmdir key
	fails 'denied' $as cp "$T/grown.pack" "$PACKS/key"
	fails 'denied' $as cp "$T/grown.pack" "$PACKS/new"
	fails 'No such file' $as ls .memofs/stage
	is "$($as ls .memofs | tr '\n' ' ')" 'log metrics reservations stats versions view '
	mkdir .memofs/stage/x
	$as ls .memofs/stage >/dev/null
	fails 'denied' $as mkdir .memofs/stage/y
	fails 'denied' $as mv -T .memofs/stage/x theirs/key
	# In their own directory.
	$as cp "$T/grown.pack" "theirs/$PACKS/key"
	is "$(stat -c %u theirs/key theirs/key/word | sort -u)" 1234
	$as mkdir theirs/.memofs/stage/x
	$as sh -c 'echo mine >theirs/.memofs/stage/x/f'
	$as mv -T theirs/.memofs/stage/x theirs/other
	is "$(stat -c %u theirs/other theirs/other/f | sort -u)" 1234
	[[ $(attr writer theirs/other) == 'uid=1234 '* ]] || fail "$(attr writer theirs/other)"
	$as rmdir theirs/key
	# What the kernel knows of what is in it is not the former owner's any more.
	$as sh -c 'umask 077; mkdir -p theirs/.memofs/stage/y/sub; echo x >theirs/.memofs/stage/y/f'
	$as mv -T theirs/.memofs/stage/y theirs/given
	chmod 755 theirs/given
	is "$($as cat theirs/given/f)" x
	$as ls theirs/given/sub
	chown 1235 theirs/given
	sleep 1.1 # for a kernel that cannot make all names stale at once
	fails 'denied' $as cat theirs/given/f
	fails 'denied' $as ls theirs/given/sub
	is "$(stat -c %u theirs/given/f)" 1235
	# Who may move a file and not read it cannot do so by a tree of his own.
	local others='setpriv --reuid 1235 --regid 1235 --clear-groups'
	mkdir shared
	chmod 777 shared
	$as sh -c 'umask 077; echo secret >shared/s; mkdir -p shared/dir/sub; echo x >shared/dir/f'
	$others mkdir shared/.memofs/stage/x shared/.memofs/stage/y
	$others mv shared/s shared/.memofs/stage/x/s
	fails 'denied' $others mv -T shared/.memofs/stage/x shared/key
	absent shared/key
	present shared/.memofs/stage/x/s
	$as chmod 644 shared/.memofs/stage/x/s
	$others mv -T shared/.memofs/stage/x shared/key
	is "$($others cat shared/key/s)" secret
	$as sh -c 'chmod 777 shared/dir; chmod 711 shared/dir/sub; chmod 644 shared/dir/f'
	$others mv shared/dir shared/.memofs/stage/y/dir
	fails 'denied' $others mv -T shared/.memofs/stage/y shared/key
	$as chmod 755 shared/.memofs/stage/y/dir/sub
	$others mv -T shared/.memofs/stage/y shared/key
	is "$(stat -c %u shared/key/dir/sub)" 1235
	# In a common one with the sticky bit, only their own.
	mkdir common
	chmod 1777 common
	cp "$T/grown.pack" "common/$PACKS/key"
	fails 'not permitted' $as rmdir common/key
	fails 'not permitted' $as cp --remove-destination "$T/grown.pack" "common/$PACKS/key"
}

# --- commands ---------------------------------------------------------------------------------

test_commands() {
	local size
	mkdir dir
	store dir/../key one
	echo x >dir/file
	cp "$T/grown.pack" "dir/$PACKS/tree"
	size=$(stat -c %s "$T/grown.pack")
	is "$("$MEMOFS" ls --json key | jq -r '.[0].type')" directory
	is "$("$MEMOFS" ls --json -d key | jq -r '.[0] | .type, .size')" $'tree\n'"$size"
	is "$("$MEMOFS" ls -R --json . | jq -r '.[] | .name + " " + .type' | sort)" \
		$'dir directory\ndir/file file\ndir/tree tree\nkey tree'
	is "$("$MEMOFS" ls --json key | jq -r '.[] | select(.name == "word") | .type')" file
	is "$("$MEMOFS" stat --json key | jq -r '.[0] | .type, .size, .state')" \
		$'tree\n'"$size"$'\nlive'
	is "$("$MEMOFS" stat --json key/lib | jq -r '.[0] | .type')" directory
	"$MEMOFS" stat key | grep -q 'type  *tree'
	fails 'not permitted' "$MEMOFS" rm -r key/lib
	fails 'is a directory; --recursive' "$MEMOFS" rm dir
	"$MEMOFS" rm dir/tree
	absent dir/tree
	"$MEMOFS" rm -r dir key
	is "$(names .)" ''
}

# --- crashes and damage -----------------------------------------------------------------------

test_it_is_there_after_a_restart() {
	needs_persistence
	store key one
	cd /
	umount_memofs
	mount_memofs
	cd "$MNT/it_is_there_after_a_restart"
	same_trees "$T/grown" key
	grow "$T/second" two
	cp -a "$T/second" .memofs/stage/x
	mv -T .memofs/stage/x second
	cp -a "$T/second" .memofs/stage/y
	cd /
	kill_daemon
	umount_memofs || umount -l "$MNT"
	mount_memofs
	cd "$MNT/it_is_there_after_a_restart"
	same_trees "$T/grown" key
	same_trees "$T/second" second
	same_trees "$T/second" .memofs/stage/y
	same "$T/grown.pack" "$PACKS/key"
}

# A block of an extent is changed on the disk: what needs it misses from then on.
# Of the pack that was stored last: their names are numbers that only grow.
last_extent() {
	find "$STORE/extents" -type f -size "$(stat -c %s "$T/grown.pack")c" -printf '%f %p\n' |
		sort | sed -n '$s/^[^ ]* //p' | grep .
}

test_damage() {
	needs_persistence
	local extent
	store key one
	cd /
	umount_memofs
	extent=$(last_extent)
	dd if=/dev/zero of="$extent" bs=1 count=100 seek=150000 conv=notrunc 2>/dev/null
	mount_memofs
	cd "$MNT/damage"
	has key/word $'one\n'
	fails 'Input/output error' cat key/lib/large
	absent key "$PACKS/key"
	store key two
	same_trees "$T/grown" key
	# The index: then it misses whole.
	store index three
	cd /
	umount_memofs
	extent=$(last_extent)
	dd if=/dev/zero of="$extent" bs=1 count=20 conv=notrunc \
		seek=$(($(stat -c %s "$extent") - 200)) 2>/dev/null
	mount_memofs
	cd "$MNT/damage"
	fails 'No such file' cat index/word
	fails 'No such file' ls index
	absent index "$PACKS/index"
	is "$(names .)" key
}

run_tests "$@"
