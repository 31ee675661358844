#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs export and import: what an archive carries, to and from GNU tar and python,
# and what an archive cannot do.
source "$(dirname "$0")/functions.sh"
source "$(dirname "$0")/cli_functions.sh"
setup

# Everything of a tree but the times of its directories: names as they are, types,
# modes, owners, sizes, times, targets, contents, and attributes.
picture() { # DIRECTORY
	python3 - "$1" <<-'END'
		import hashlib, os, stat, sys
		root = os.fsencode(sys.argv[1])
		def attrs(path):
		    names = sorted(set(os.listxattr(path)) | {"user.cache." + n for n in
		        ("ttl", "cost", "pin", "lease", "wait", "publish", "version")})
		    for name in names:
		        try:
		            yield name, os.getxattr(path, name)
		        except OSError:
		            pass
		def show(path):
		    st = os.lstat(path)
		    line = [path[len(root):], oct(st.st_mode), st.st_uid, st.st_gid]
		    if stat.S_ISLNK(st.st_mode):
		        line += [os.readlink(path), st.st_mtime_ns]
		    elif stat.S_ISREG(st.st_mode):
		        with open(path, "rb") as f:
		            line += [hashlib.sha256(f.read()).hexdigest(), st.st_mtime_ns]
		    if not stat.S_ISLNK(st.st_mode):
		        line += list(attrs(path))
		    print(line)
		    if stat.S_ISDIR(st.st_mode):
		        for name in sorted(os.listdir(path)):
		            show(path + b"/" + name)
		show(root)
	END
}

# The same at all versions of the directory $1/versioned.
pictures() { # DIRECTORY
	picture "$1"
	picture "$1/versioned/.memofs/versions/v1"
	picture "$1/versioned/.memofs/view/version="
}

fill() { # DIRECTORY
	local d=$1
	mkdir -p "$d/sub/deep" "$d/versioned"
	printf 'hello\n' >"$d/file"
	: >"$d/empty"
	head -c 300000 /dev/urandom >"$d/sub/large"
	printf 'x' >"$d/sub/$(printf 'odd\n\xff\001name')"
	printf 'y' >"$d/sub/$(printf 'n%.0s' {1..255})"
	chmod 0640 "$d/file"
	touch -d '2001-02-03 04:05:06.789' "$d/file"
	setfattr -n user.foreign -v 'a=b' "$d/file"
	setfattr -n 'user.with=%3Dsigns' -v 0x000aff "$d/file"
	set_attr ttl 1h "$d/empty"
	set_attr cost 12.5 "$d/file"
	set_attr pin yes "$d/file"
	ln -s "$(printf 't%.0s' {1..300})" "$d/link"
	set_attr lease 5m "$d/sub"
	set_attr wait 10m "$d/sub"
	set_attr publish always "$d/sub/deep"
	chmod 0750 "$d/sub/deep"
	echo unnamed >"$d/versioned/k"
	set_attr version v1 "$d/versioned"
	echo one >"$d/versioned/k"
	mkdir "$d/versioned/below"
	echo below >"$d/versioned/below/k"
	set_attr version v2 "$d/versioned"
	echo two >"$d/versioned/k"
}

# A sealed tree of a directory's files.
seal() { # DIRECTORY/NAME
	mkdir -p "$T/tree/in"
	echo content >"$T/tree/in/f"
	head -c 100000 /dev/zero >"$T/tree/z"
	chmod 0700 "$T/tree/in"
	(cd "$T/tree" && memofs save -q --ttl 2h --cost 3 "$1" .)
	rm -r "$T/tree"
}

test_round_trip() {
	fill from
	seal "$PWD/from/tree"
	exits 0 export from -o "$T/a.tar"
	[[ $OUT =~ ^exported\ [0-9]+\ files ]] || fail "$OUT"
	exits 0 import to -i "$T/a.tar"
	[[ $OUT =~ ^imported\ [0-9]+\ files ]] || fail "$OUT"
	# A life that has an end is the same one, in other words.
	attr ttl to/empty >/dev/null
	python3 - "$(attr expires from/empty)" "$(attr expires to/empty)" <<-'END'
		import sys
		a, b = map(float, sys.argv[1:])
		assert a - 60 < b <= a, (a, b)
	END
	[ "$(attr expires to/tree)" \< "$(attr expires from/tree)x" ] || fail 'the tree lives longer'
	set_attr ttl 1h from/empty
	set_attr ttl 1h to/empty
	set_attr ttl 1h from/tree
	set_attr ttl 1h to/tree
	diff <(pictures from) <(pictures to)
	is "$(attr state to/tree)" live
	is "$(attr hash to/tree)" "$(attr hash from/tree)"
	fails 'Operation not permitted|Permission denied' touch to/tree/new
	# And what was exported from there is the same archive but for ages.
	memofs export to >"$T/b.tar"
	is "$(members "$T/b.tar")" "$(members "$T/a.tar")"
}

# Into an ordinary directory and out of one, with GNU tar.
test_gnu_tar() {
	needs tar getfattr
	fill from
	memofs export --current from >"$T/a.tar"
	mkdir "$T/plain"
	tar -C "$T/plain" --warning=no-unknown-keyword --xattrs --xattrs-include='user.*' -xpf "$T/a.tar"
	diff -r --no-dereference from "$T/plain"
	is "$(getfattr --absolute-names --only-values -n user.foreign "$T/plain/file")" a=b
	is "$(getfattr --absolute-names --only-values -n user.cache.cost "$T/plain/file")" 12.5
	tar -C "$T/plain" --xattrs -cf "$T/gnu.tar" .
	memofs import -q gnu <"$T/gnu.tar"
	diff -r --no-dereference from gnu
	is "$(attr cost gnu/file)" 12.5
	is "$(attr ttl gnu/empty)" 1h
	is "$(attr lease gnu/sub)" 5m
	is "$(stat -c %y gnu/file)" "$(stat -c %y from/file)"
	is "$(getfattr -e hex --only-values -n 'user.with=%3Dsigns' gnu/file | od -An -tx1)" \
		' 00 0a ff'
	tar -C "$T/plain" --format=gnu -cf - . | memofs import -q oldgnu
	diff -r --no-dereference from oldgnu
	rm -r "$T/plain"
}

# What python writes, in each format, with a hard link.
test_python() {
	local format
	for format in USTAR GNU PAX; do
		python3 - "$format" >"$T/py.tar" <<-'END'
			import io, sys, tarfile
			t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|",
			                 format=getattr(tarfile, sys.argv[1] + "_FORMAT"))
			def add(name, data=b"", **more):
			    info = tarfile.TarInfo(name)
			    info.size = len(data)
			    for key, value in more.items():
			        setattr(info, key, value)
			    t.addfile(info, io.BytesIO(data))
			add("d/" + "p" * 90 + "/" + "n" * 90, b"long")
			add("./a//b", b"dots")
			add("l", type=tarfile.LNKTYPE, linkname="a/b")
			add("s", type=tarfile.SYMTYPE, linkname="a/b")
			t.close()
		END
		memofs import -q "$format" <"$T/py.tar"
		has "$format/a/b" dots
		has "$format/l" dots
		is "$(readlink "$format/s")" a/b
		has "$format/d/$(printf 'p%.0s' {1..90})/$(printf 'n%.0s' {1..90})" long
	done
}

# Only what is left of a life, and nothing of one that is over.
test_life() {
	mkdir from
	echo a >from/short
	echo b >from/inherits
	echo c >from/for-ever
	ln -s x from/link
	set_attr ttl none from/for-ever
	set_attr ttl 1h from
	set_attr ttl 100s from/short
	memofs export from >"$T/a.tar"
	local created
	created=$(attr created from/short)
	short_one
	export_alive short short_one "$T/b.tar"
	exits 0 import -i "$T/a.tar" to
	[[ $OUT =~ '1 symlinks with a limited life left out' ]] || fail "$OUT"
	absent to/link
	set_attr ttl 1d to
	python3 - "$created" "$(attr expires to/short)" \
		"$(attr expires from/inherits)" "$(attr expires to/inherits)" <<-'END'
		import sys
		created, expires, want, got = map(float, sys.argv[1:])
		assert created < expires <= created + 100, (created, expires)
		assert want - 100 < got <= want, (want, got)
	END
	is "$(attr expires to/for-ever)" never
	eventually 20 not test -e from/short
	exits 0 import -i "$T/b.tar" late
	[[ $OUT =~ '1 had expired' ]] || fail "$OUT"
	absent late/short
	present late/inherits
}

members() { tar --warning=no-unknown-keyword -tf "$1" | sort; }

# Export what lives for seconds; on a slow machine again, until it is in the archive.
export_alive() { # NAME MAKER ARCHIVE
	until memofs export from >"$3" && members "$3" | grep -qx "$1"; do "$2"; done
}

short_one() {
	echo a >from/short
	set_attr ttl 3s from/short
}

short_tree() { (cd "$T/tree" && memofs save -q --force --ttl 3s "$OLDPWD/from/t" .); }

not() { ! "$@"; }

# One entry, and one sealed tree.
test_single() {
	mkdir d
	echo x >d/k
	seal "$PWD/d/t"
	memofs export d/k | memofs import -q one
	has one/k $'x\n'
	memofs export d/t | memofs import -q one
	has one/t/in/f $'content\n'
	is "$(attr hash one/t)" "$(attr hash d/t)"
	complains 1 'No such file' export d/none -o "$T/none.tar"
	absent "$T/none.tar"
}

# What ends the import in the midst of a tree leaves nothing of it.
test_tree_that_expires_meanwhile() {
	mkdir from "$T/tree"
	head -c 100000 /dev/urandom >"$T/tree/f"
	export_alive t short_tree "$T/a.tar"
	rm -r "$T/tree"
	# The archive comes slowly: its end when the life is over.
	{
		head -c 50000 "$T/a.tar"
		eventually 20 not test -e from/t
		tail -c +50001 "$T/a.tar"
	} | memofs import to >"$T/out"
	grep -q '1 had expired' "$T/out" || fail "$(cat "$T/out")"
	is "$(find to -mindepth 1)" ''
}

# Another's signal, half way in a value.
test_interrupted() {
	mkdir from
	echo a >from/a
	head -c 3000000 /dev/urandom >from/z
	set_attr publish always .
	memofs export from >"$T/a.tar"
	mkfifo "$T/fifo"
	"$MEMOFS" import -q -i "$T/fifo" to &
	local pid=$! status=0
	exec 5>"$T/fifo"
	head -c 1000000 "$T/a.tar" >&5
	eventually 20 test -e to
	kill -TERM $pid
	wait $pid || status=$?
	exec 5>&-
	is "$status" 143
	absent to/z
	is "$(find to -name '.*' -type f)" ''
	rm "$T/fifo"
}

test_keep() {
	mkdir from to
	echo new >from/a
	echo new >from/b
	echo old >to/a
	memofs export from >"$T/a.tar"
	exits 0 import --keep -i "$T/a.tar" to
	[[ $OUT =~ '1 were there' ]] || fail "$OUT"
	has to/a $'old\n'
	has to/b $'new\n'
	memofs import -q -i "$T/a.tar" to
	has to/a $'new\n'
}

# Wherever it is cut: the whole entries are there, and it is said.
test_truncated() {
	local size cut name whole
	mkdir from
	for name in a b c; do head -c 5000 /dev/urandom >"from/$name"; done
	memofs export from >"$T/a.tar"
	size=$(stat -c %s "$T/a.tar")
	for cut in 0 100 1500 9000 $((size - 1024)); do
		head -c "$cut" "$T/a.tar" >"$T/cut.tar"
		exits 3 import -i "$T/cut.tar" "to$cut"
		[[ $ERR =~ cut.tar:.*(ends\ too\ early,\ at\ byte|no\ tar\ archive) ]] || fail "$ERR"
		is "$(wc -l <"$T/err")" 1 'lines on stderr'
		whole=0
		for name in "to$cut"/*; do
			[ -e "$name" ] || continue
			same "$name" "from/${name##*/}"
			whole=$((whole + 1))
		done
		[ "$cut" -lt 9000 ] || [ "$whole" -gt 0 ] || fail "nothing of $cut bytes is there"
		is "$(find "to$cut" -name '.*' | wc -l)" 0 'files that are left over'
	done
}

test_damaged() {
	mkdir from
	echo aaaa >from/a
	echo zzzz >from/z
	seal "$PWD/from/t"
	memofs export from >"$T/a.tar"
	# A content that is another one.
	sed 's/zzzz/zzyz/' "$T/a.tar" >"$T/bad.tar"
	exits 3 import -i "$T/bad.tar" to
	[[ $ERR =~ 'z: its content is not what it was' ]] || fail "$ERR"
	absent to/z
	has to/a $'aaaa\n'
	# In a tree, whose pack has hashes of its own.
	sed 's/content/Content/' "$T/a.tar" >"$T/bad.tar"
	exits 3 import -i "$T/bad.tar" to2
	absent to2/t
	has to2/z $'zzzz\n'
	gzip <"$T/a.tar" >"$T/a.tgz"
	complains 3 'compressed; give it through `gzip -dc`' import -q -i "$T/a.tgz" to3
	complains 3 'no tar archive' import -q -i "$MEMOFS" to3
}

# Nothing gets out of the directory.
test_hostile() {
	mkdir outside to
	echo kept >outside/f
	ln -s ../outside to/over
	python3 - "$PWD" >"$T/evil.tar" <<-'END'
		import io, sys, tarfile
		t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
		def add(name, data=b"evil", **more):
		    info = tarfile.TarInfo(name)
		    info.size = len(data)
		    for key, value in more.items():
		        setattr(info, key, value)
		    t.addfile(info, io.BytesIO(data))
		add("../outside/f")
		add("a/../../outside/f")
		add(sys.argv[1] + "/outside/f")
		add("over/f")
		add("link", b"", type=tarfile.SYMTYPE, linkname="../outside")
		add("link/f")
		add("hard", b"", type=tarfile.LNKTYPE, linkname="../outside/f")
		add("hard2", b"", type=tarfile.LNKTYPE, linkname="over/f")
		add(".memofs/x")
		add(".memofs/stage/x")
		add("fifo", b"", type=tarfile.FIFOTYPE)
		add("good", b"good")
		t.close()
	END
	exits 3 import -i "$T/evil.tar" to
	has outside/f $'kept\n'
	is "$(names outside)" f
	has to/good good
	absent to/hard to/hard2 to/fifo
	is "$(grep -c 'left out$' "$T/err")" "$(wc -l <"$T/err")" 'lines that say it is left out'
	[[ $ERR =~ 'a path that leaves the directory' ]] || fail "$ERR"
	[[ $ERR =~ 'an absolute path' ]] || fail "$ERR"
	[[ $ERR =~ 'over a symlink' ]] || fail "$ERR"
}

# What has more attributes than an entry may have is left out; the rest is imported.
test_too_many_attributes() {
	python3 - >"$T/attributes.tar" <<-'END'
		import io, sys, tarfile
		out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
		def add(name, many, type=tarfile.REGTYPE):
		    info = tarfile.TarInfo(name)
		    info.type, info.mode = type, 0o755
		    info.pax_headers = {"SCHILY.xattr.user.%d" % i: "x" * 1000 for i in range(many)}
		    out.addfile(info)
		add("before", 1)
		add("many", 20)
		add("dir", 100, tarfile.DIRTYPE)
		add("dir/after", 1)
		out.close()
	END
	mkdir attributes
	exits 3 import --input "$T/attributes.tar" attributes
	is "$(cd attributes && find . | sort | xargs)" '. ./before ./dir ./dir/after'
	exits 3 import --input "$PWD" attributes
	[[ $ERR =~ 'Is a directory' ]] || fail "$ERR"
}

test_sparse_is_told() {
	needs tar
	truncate -s 1M "$T/holes"
	tar -C "$T" --sparse -cf "$T/s.tar" holes
	exits 3 import -i "$T/s.tar" to
	[[ $ERR =~ 'holes: a sparse file; make the archive without --sparse' ]] || fail "$ERR"
	absent to/holes
}

# Who is not root owns what he imports.
test_not_root() {
	needs_root
	mkdir from to
	chmod 777 to
	echo x >from/k
	chmod 4755 from/k
	memofs export -q from -o "$T/a.tar"
	chmod 644 "$T/a.tar"
	setpriv --reuid 65534 --regid 65534 --clear-groups timeout 60 \
		"$MEMOFS" import -q -i "$T/a.tar" to/mine
	is "$(stat -c '%u %a' to/mine/k)" '65534 755'
	chown 1234:1235 from/k
	memofs export from | memofs import -q to/all
	is "$(stat -c '%u %g' to/all/k)" '1234 1235'
}

test_refused() {
	complains 4 'is not inside a memofs mount' export "$T" -o "$T/none.tar"
	complains 4 'is not inside a memofs mount' import "$T/x" -i "$T/none.tar"
	complains 3 'none.tar: No such file' import to -i "$T/none.tar"
}

run_tests "$@"
