#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tools people use on files, as they are.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

# Files of many kinds outside the mount, in $T/real.
real_input() {
	rm -rf "$T/real" "$T/out"
	mkdir -p "$T/real/sub/deep" "$T/real/empty"
	cp "$MEMOFS_SOURCE"/store/store.h "$T/real/a.h"
	sources | xargs cat >"$T/real/sub/all.c"
	head -c 3000000 /dev/urandom >"$T/real/sub/deep/random"
	: >"$T/real/zero"
	printf '#!/bin/sh\necho ran\n' >"$T/real/script"
	chmod 755 "$T/real/script"
	chmod 600 "$T/real/zero"
	ln -s sub/all.c "$T/real/link"
	ln -s nowhere "$T/real/dangling"
	# rsync takes two times within one second for the same.
	find "$T/real" -exec touch -h -d '2021-01-01 01:02:03' {} +
	touch -d '2020-02-03 04:05:06.789012345' "$T/real/a.h" "$T/real/sub"
}

# One line for everything below a directory: type, mode, owner, size, time, name.
# The sizes of directories are the file system's own affair.
describe() {
	(cd "$1" && find . \( -type d -printf 'd %m %u %g - %T@ %p\n' \) -o \
		-printf '%y %m %u %g %s %T@ %p %l\n' | sort -k7)
}

same_tree() { # DIR DIR
	diff -r --no-dereference "$1" "$2" || fail "$1 and $2 differ"
	diff <(describe "$1") <(describe "$2") || fail "metadata of $1 and $2 differ"
}

test_cp() {
	real_input
	silent cp "$T/real/sub/all.c" key
	same "$T/real/sub/all.c" key
	silent cp key copy
	same key copy
	silent cp "$T/real/a.h" key
	same "$T/real/a.h" key
	same "$T/real/sub/all.c" copy
	silent cp key "$T/back"
	same key "$T/back"
	fails 'not overwriting|not replaced|are the same file' cp key key
}

test_cp_archive_both_ways() {
	real_input
	silent cp -a "$T/real" in
	same_tree "$T/real" in
	silent cp -a in "$T/out"
	same_tree "$T/real" "$T/out"
	# And again onto what is there.
	silent cp -a "$T/real/." in/
	same_tree "$T/real" in
	silent cp -a in inside
	same_tree "$T/real" inside
	silent cp -a --preserve=all "$T/real/a.h" in/b.h
	rm -r "$T/out"
}

test_cp_recursive_and_sparse() {
	real_input
	silent cp -r "$T/real" in
	diff -r --no-dereference "$T/real" in
	truncate -s 1M "$T/sparse"
	printf end >>"$T/sparse"
	silent cp --sparse=always "$T/sparse" sparse
	same "$T/sparse" sparse
	silent cp --reflink=auto sparse sparse2
	same sparse sparse2
}

test_cp_backup_and_update() {
	echo old >key
	echo new >"$T/new"
	silent cp --backup=numbered "$T/new" key
	has key $'new\n'
	has key.~1~ $'old\n'
	touch -d '2001-01-01' "$T/new"
	echo newest >"$T/new2"
	touch -d '2001-01-01' "$T/new2"
	silent cp -u "$T/new2" key
	has key $'new\n'
}

test_mv_within() {
	mkdir d1 d2
	echo x >d1/a
	silent mv d1/a d1/b
	absent d1/a
	has d1/b $'x\n'
	silent mv d1/b d2/
	absent d1/b
	has d2/b $'x\n'
	echo y >d1/b
	silent mv d1/b d2/b
	has d2/b $'y\n'
	silent mv d2 d3
	has d3/b $'y\n'
	absent d2
	silent mv d3 d1
	has d1/d3/b $'y\n'
	fails 'subdirectory of itself' mv d1 d1/d3
	has d1/d3/b $'y\n'
}

test_mv_no_clobber_and_exchange() {
	echo x >a
	echo y >b
	mv -n a b || true
	has a $'x\n'
	has b $'y\n'
	fails 'cannot overwrite non-directory' bash -c 'mkdir d; mv -T d a'
	python3 - <<-'END'
		import ctypes, os
		libc = ctypes.CDLL(None, use_errno=True)
		def renameat2(a, b, flags):
		    at_fdcwd = -100
		    r = libc.renameat2(at_fdcwd, a, at_fdcwd, b, flags)
		    return 0 if r == 0 else ctypes.get_errno()
		assert renameat2(b"a", b"b", 1) == 17, "NOREPLACE onto a name"
		assert renameat2(b"a", b"b", 2) == 0, "EXCHANGE"
		assert renameat2(b"a", b"c", 2) == 2, "EXCHANGE with nothing"
		assert renameat2(b"a", b"c", 1) == 0, "NOREPLACE onto nothing"
	END
	has c $'y\n'
	has b $'x\n'
	absent a
}

test_mv_into_and_out_of() {
	real_input
	cp -a "$T/real" "$T/keep"
	silent mv "$T/real" in
	[ ! -e "$T/real" ] || fail 'mv left its source'
	same_tree "$T/keep" in
	silent mv in "$T/out"
	absent in
	same_tree "$T/keep" "$T/out"
	rm -r "$T/out" "$T/keep"
}

test_tee() {
	echo data | tee a b c | tee d >/dev/null
	for f in a b c d; do has "$f" $'data\n'; done
	echo more | tee -a a >/dev/null
	has a $'data\nmore\n'
}

test_install() {
	real_input
	silent install -m 640 "$T/real/a.h" key
	is "$(stat -c %a key)" 640 mode
	same "$T/real/a.h" key
	silent install -D -p "$T/real/a.h" x/y/z
	same "$T/real/a.h" x/y/z
	is "$(stat -c %Y x/y/z)" "$(stat -c %Y "$T/real/a.h")" mtime
	silent install -d -m 700 dir/dir
	is "$(stat -c %a dir/dir)" 700 mode
}

test_dd() {
	dd if=/dev/urandom of="$T/ref" bs=4096 count=64 status=none
	dd if="$T/ref" of=key bs=1000 status=none
	same "$T/ref" key
	# A hole at the start, then data.
	dd if="$T/ref" of=hole bs=4096 seek=10 count=2 status=none
	dd if="$T/ref" of="$T/hole" bs=4096 seek=10 count=2 status=none
	same "$T/hole" hole
	# In the middle of what is there; the rest stays.
	printf MIDDLE | dd of=key bs=1 seek=5000 conv=notrunc status=none
	printf MIDDLE | dd of="$T/ref" bs=1 seek=5000 conv=notrunc status=none
	same "$T/ref" key
	# Without notrunc, what follows the seek is cut.
	printf CUT | dd of=key bs=1 seek=100 status=none
	printf CUT | dd of="$T/ref" bs=1 seek=100 status=none
	same "$T/ref" key
	is "$(stat -c %s key)" 103 size
	dd if="$T/hole" of=synced bs=64K conv=fsync status=none
	same "$T/hole" synced
	dd if=key skip=50 bs=1 count=10 status=none | cmp - <(tail -c +51 "$T/ref" | head -c 10)
}

test_dd_direct() {
	dd if=/dev/urandom of="$T/ref" bs=4096 count=16 status=none
	dd if="$T/ref" of=key bs=4096 oflag=direct status=none
	same "$T/ref" key
	dd if=key of="$T/back" bs=4096 iflag=direct status=none
	same "$T/ref" "$T/back"
}

test_touch() {
	touch key
	has key ''
	touch -d '1999-12-31 23:59:59.5 UTC' key
	is "$(stat -c %.1Y key)" 946684799.5 mtime
	touch -r key other
	is "$(stat -c %.9Y other)" "$(stat -c %.9Y key)" mtime
	touch -c none
	absent none
	echo content >key
	touch key
	has key $'content\n'
	[ "$(stat -c %Y key)" -gt 1600000000 ] || fail 'touch did not set the time'
	touch -a -d '2011-01-01 UTC' key
	is "$(stat -c %X key)" 1293840000 atime
}

test_truncate() {
	echo 0123456789 >key
	truncate -s 4 key
	has key 0123
	truncate -s +3 key
	is "$(od -An -tx1 key | tr -d ' \n')" 30313233000000
	truncate -s 0 key
	has key ''
	truncate -s 5M big
	is "$(stat -c %s big)" 5242880 size
	cmp big <(head -c 5242880 /dev/zero)
	truncate -c -s 3 none
	absent none
}

test_fallocate() {
	needs fallocate
	fallocate -l 100000 key
	is "$(stat -c %s key)" 100000 size
	cmp key <(head -c 100000 /dev/zero)
	head -c 100000 /dev/urandom >key
	cp key "$T/ref"
	fallocate -p -o 8192 -l 4096 key
	dd if=/dev/zero of="$T/ref" bs=4096 seek=2 count=1 conv=notrunc status=none
	same "$T/ref" key
}

test_links() {
	echo x >key
	if [ -z "$MEMOFS_PLAIN" ]; then
		fails 'Operation not permitted' ln key hard
		absent hard
		is "$(stat -c %h key)" 1 'links'
	fi
	ln -s key soft
	has soft $'x\n'
	is "$(readlink soft)" key target
	ln -sfn other soft
	is "$(readlink soft)" other target
	ln -s "$T/outside" out
	echo out >"$T/outside"
	has out $'out\n'
	ln -s loop loop
	fails 'Too many levels of symbolic links' cat loop
	local long
	long=$(printf 'x/%.0s' $(seq 1 2047))y
	ln -s "$long" long
	is "$(readlink long)" "$long" 'long target'
	rm soft out loop long
	has key $'x\n'
}

test_special_files_are_refused() {
	needs_mount
	needs_root
	fails 'Operation not permitted' mkfifo fifo
	fails 'Operation not permitted' mknod dev c 1 3
	fails 'Operation not permitted' mknod dev b 7 0
	fails 'Operation not permitted' python3 -c \
		'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
	is "$(names .)" '' 'left over'
}

test_mktemp() {
	local file dir
	file=$(mktemp ./key.XXXXXX)
	is "$(stat -c %a "$file")" 600 mode
	echo x >"$file"
	has "$file" $'x\n'
	dir=$(mktemp -d ./dir.XXXXXX)
	is "$(stat -c %a "$dir")" 700 mode
	TMPDIR=$PWD sort -S 100K -T . <(seq 200000 -1 1) -n -o sorted
	is "$(head -n 1 sorted)" 1
	is "$(wc -l <sorted)" 200000
}

test_sort_in_place() {
	printf 'c\na\nb\n' >key
	sort -o key key
	has key $'a\nb\nc\n'
}

test_sed_in_place() {
	printf 'one\ntwo\n' >key
	chmod 640 key
	sed -i 's/one/ONE/' key
	has key $'ONE\ntwo\n'
	is "$(stat -c %a key)" 640 mode
	sed -i.bak 's/two/TWO/' key
	has key $'ONE\nTWO\n'
	has key.bak $'ONE\ntwo\n'
	is "$(ls | wc -l)" 2 'left over'
}

test_chmod_chown() {
	echo x >key
	chmod 640 key
	is "$(stat -c %a key)" 640 mode
	chmod u+x,o= key
	is "$(stat -c %a key)" 740 mode
	has key $'x\n'
	needs_root
	chown 1234:2345 key
	is "$(stat -c %u:%g key)" 1234:2345 owner
	mkdir setgid
	chgrp 2345 setgid
	chmod g+s setgid
	echo x >setgid/key
	is "$(stat -c %g setgid/key)" 2345 'group passed on'
}

test_rsync() {
	needs rsync
	real_input
	silent rsync -aX "$T/real/" in/
	same_tree "$T/real" in
	# The second time, nothing is transferred.
	is "$(rsync -aX --out-format='%i %n' "$T/real/" in/)" '' 'transferred again'
	is "$(rsync -acX --out-format='%i %n' "$T/real/" in/)" '' 'differs by checksum'
	echo changed >>"$T/real/a.h"
	is "$(rsync -aX --out-format=%n "$T/real/" in/)" a.h transferred
	same_tree "$T/real" in
	silent rsync -aX --inplace --no-whole-file "$T/real/" in/
	rm "$T/real/sub/all.c"
	touch -d 2022-01-01 "$T/real/sub"
	silent rsync -aX --delete "$T/real/" in/
	same_tree "$T/real" in
	silent rsync -aX in/ "$T/out/"
	same_tree in "$T/out"
	rm -r "$T/out"
}

test_tar() {
	needs setfattr
	real_input
	setfattr -n user.note -v hello "$T/real/a.h"
	cp -a "$T/real" in
	silent tar --xattrs -C in -cf "$T/x.tar" .
	mkdir out
	silent tar --xattrs --xattrs-include='*' -C out -xf "$T/x.tar"
	same_tree "$T/real" out
	is "$(getfattr --only-values -n user.note out/a.h)" hello 'attribute'
	# An archive kept in the mount itself.
	silent tar --xattrs -C "$T/real" -cf archive.tar .
	mkdir "$T/out"
	silent tar --xattrs --xattrs-include='*' -C "$T/out" -xf archive.tar
	same_tree "$T/real" "$T/out"
	rm -r "$T/out"
	tar -C "$T/real" -czf - . | tar -tzf - >/dev/null
}

test_ttl_travels() {
	needs rsync
	needs_mount
	mkdir from
	echo x >from/key
	set_attr ttl 1h30m from/key
	set_attr ttl P2D from
	silent cp -a from cp
	silent rsync -aX from/ rsync/
	mkdir tar
	tar --xattrs -C from -cf - . | tar --xattrs --xattrs-include='*' -C tar -xf -
	for copy in cp rsync tar; do
		is "$(attr ttl "$copy/key")" 1h30m "ttl copied by $copy"
		is "$(attr ttl "$copy")" P2D "ttl of the directory copied by $copy"
		near "$(attr expires "$copy/key")" $(($(date +%s) + 5400)) "expiry after $copy"
	done
}

test_foreign_attributes_travel() {
	needs setfattr
	echo x >key
	setfattr -n user.note -v 'some text' key
	setfattr -n user.empty -v '' key
	setfattr -n user.binary -v 0x00ff0a key
	silent cp -a key copy
	is "$(getfattr -d -e hex copy 2>&1 | grep -c '^user\.\(note\|empty\|binary\)=')" 3
	is "$(getfattr -e hex --only-values -n user.binary copy | od -An -tx1)" ' 00 ff 0a'
	setfattr -x user.note copy
	fails 'No such attribute' getfattr -n user.note copy
	# An overwrite in place keeps them, as elsewhere; a rename over it does not.
	echo new >key
	is "$(getfattr --only-values -n user.note key)" 'some text'
}

# Two times in seconds which are at most 30 apart.
near() { # GOT WANT WHAT
	local got=${1%.*}
	[ $((got - $2)) -ge -30 ] && [ $((got - $2)) -le 30 ] || fail "$3: got $1, want about $2"
}

test_patch_and_editors() {
	cp "$MEMOFS_SOURCE/store/store.h" file
	# How most editors save: write beside, sync, rename over.
	python3 - <<-'END'
		import os
		with open("file") as f: text = f.read()
		fd = os.open("file.swp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
		os.write(fd, text.replace("store", "STORE").encode())
		os.fsync(fd)
		os.close(fd)
		os.rename("file.swp", "file")
		fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
		os.fsync(fd)
	END
	diff <(sed 's/store/STORE/g' "$MEMOFS_SOURCE/store/store.h") file
	is "$(ls)" file 'left over'
}

test_compile_in_the_mount() {
	needs cc
	cat >hello.c <<-'END'
		#include <stdio.h>
		int main(void) { puts("hello"); return 0; }
	END
	silent cc -c hello.c -o hello.o
	silent cc hello.o -o hello
	is "$(./hello)" hello 'what the program prints'
	ar rcs libhello.a hello.o
	ar rcs libhello.a hello.o
	is "$(ar t libhello.a)" hello.o
}

test_rm_recursive() {
	real_input
	cp -a "$T/real" in
	silent rm -r in
	absent in
	mkdir -p deep/{1,2,3}/{a,b,c}
	seq 1 300 | sed 's,^,deep/1/a/,' | xargs touch
	fails 'Directory not empty' rmdir deep/1/a
	silent rm -rf deep
	absent deep
}

run_tests "$@"
