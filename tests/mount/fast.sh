#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mounts that are read-only, where the kernel opens files by itself: `--read-only`.
# shellcheck source-path=SCRIPTDIR source=functions.sh
source "$(dirname "$0")/functions.sh"

# Requests so far; asking costs a few, always as many.
requests() { status_of requests; }

# What the function costs, beside asking.
cost_of() { # COMMAND...
	local a b c
	a=$(requests) b=$(requests)
	"$@" >&2
	c=$(requests)
	echo $((c - b - (b - a)))
}

# Not by the shell, which asks of each file whether it is a terminal.
hit_200_times() { # FILE
	python3 - "$1" <<-'END'
		import os, sys
		for i in range(200):
		    fd = os.open(sys.argv[1], os.O_RDONLY)
		    assert len(os.read(fd, 4096)) > 1000
		    os.close(fd)
	END
}

# Written on a mount for writing; then it is mounted read-only.
begin() { # [option of the second mount]...
	needs_persistence
	! is_mounted "$MNT" || umount_memofs
	rm -rf "$STORE"
	mount_memofs
	mkdir -p "$MNT/ns"
	populate
	umount_memofs
	mount_memofs --read-only "$@"
}

populate() { :; }

# A reader that opens $1 at once, makes $T/$2.open, and when it is told by $T/$2.go
# reads again, from the daemon, and writes what it has to $T/$2.got.
reader() { # FILE NAME
	python3 - "$1" "$T/$2" <<-'END' &
		import os, sys, time
		fd = os.open(sys.argv[1], os.O_RDONLY)
		first = os.pread(fd, 1, 0)
		open(sys.argv[2] + ".open", "w").close()
		end = time.time() + 60
		while not os.path.exists(sys.argv[2] + ".go") and time.time() < end:
		    time.sleep(0.02)
		size = os.fstat(fd).st_size
		os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
		got = b""
		while True:
		    part = os.read(fd, 1 << 20)
		    if not part:
		        break
		    got += part
		assert len(got) == size, (len(got), size)
		with open(sys.argv[2] + ".tmp", "wb") as out:
		    out.write(got)
		os.rename(sys.argv[2] + ".tmp", sys.argv[2] + ".got")
		while not os.path.exists(sys.argv[2] + ".end") and time.time() < end:
		    time.sleep(0.02)
	END
	eventually 20 test -e "$T/$2.open"
}

read_on() { # NAME WANT
	touch "$T/$1.go"
	eventually 20 test -e "$T/$1.got"
	same "$T/$1.got" "$2"
	touch "$T/$1.end"
}

number() { # KEY WANT: of the status
	[ "$(status_of "$1")" = "$2" ]
}

test_hits_cost_no_request() {
	populate() { seq 1000 >"$MNT/ns/a"; }
	begin
	seq 1000 >want
	same "$MNT/ns/a" want
	# The look from half a minute after the first, if it falls here, and READ.
	cost=$(cost_of hit_200_times "$MNT/ns/a")
	[ "$cost" -lt 20 ] || fail "200 hits cost $cost requests"
	umount_memofs
	# With OPEN each of them costs one at least.
	mount_memofs --read-only -o fast=no
	cost=$(cost_of hit_200_times "$MNT/ns/a")
	[ "$cost" -ge 200 ] || fail "200 opens cost $cost requests"
	umount_memofs
}

test_nothing_can_be_changed() {
	populate() { echo a >"$MNT/ns/a"; }
	begin
	fails 'Read-only' touch "$MNT/ns/new"
	fails 'Read-only' bash -c "echo x >>'$MNT/ns/a'"
	fails 'Read-only' rm "$MNT/ns/a"
	fails 'Read-only' mkdir "$MNT/ns/dir"
	fails 'Read-only' set_attr ttl 1h "$MNT/ns/a"
	absent "$MNT/ns/none"
	is "$(getfattr -n user.cache.state --only-values --absolute-names "$MNT/ns/a")" live
	has "$MNT/ns/a" $'a\n'
	# Nobody could be told what to compute, so nobody waits.
	absent "$MNT/.memofs/view/wait/ns/none"
	umount_memofs
}

test_control_files_are_read() {
	begin
	is "$(status_of mountpoint)" "$MNT"
	is "$(status_of fast)" yes
	first=$(status_of requests)
	[ "$(status_of requests)" -gt "$first" ] || fail 'an old text is shown'
	tail -n 1 "$MNT/.memofs/log" | grep -q mounted
	"$MEMOFS" status "$MNT" >/dev/null
	"$MEMOFS" stats "$MNT" >/dev/null
	has "$MNT/.memofs/reservations/some" $'free\n'
	python3 - "$MNT/.memofs/metrics" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		text = b""
		while part := os.read(fd, 100):
		    text += part
		assert len(text) == os.fstat(fd).st_size > 1000
		assert text.endswith(b"\n")
	END
	umount_memofs
}

test_reads_on_after_expiry() {
	populate() {
		seq 100000 >"$MNT/ns/large"
		seq 10 >"$MNT/ns/small"
		mkdir "$T/tree"
		seq 200000 >"$T/tree/file"
		"$MEMOFS" save -q -C "$T/tree" "$MNT/ns/tree" .
		set_attr ttl 15s "$MNT/ns/large"
		set_attr ttl 15s "$MNT/ns/small"
		set_attr ttl 15s "$MNT/ns/tree"
	}
	begin -o keep-expired=0
	seq 100000 >large
	seq 10 >small
	reader "$MNT/ns/large" large
	reader "$MNT/ns/small" small
	reader "$MNT/ns/tree/file" tree
	eventually 40 number entries 0
	absent "$MNT/ns/large" "$MNT/ns/small" "$MNT/ns/tree"
	number held_files 3 || fail 'what is open is not held'
	read_on large large
	read_on small small
	read_on tree "$T/tree/file"
	wait
	eventually 20 number held_files 0
	eventually 20 number known_files 0
	umount_memofs
}

test_what_is_only_known_can_be_evicted() {
	populate() {
		local i
		for i in {1..60}; do head -c 1M /dev/urandom >"$MNT/ns/$i"; done
		cp "$MNT/ns/7" "$T/seven"
	}
	printf 'store: {size: 100MiB}\n' >"$T/conf"
	begin --config "$T/conf"
	md5sum "$MNT"/ns/* >/dev/null
	# The kernel may have forgotten some where memory is short.
	[ "$(status_of known_files)" -gt 9 ] || fail "known: $(status_of known_files)"
	reader "$MNT/ns/7" seven
	printf 'store: {size: 4MiB}\n' >"$T/conf"
	kill -HUP "$(daemon_pid)"
	eventually 20 few_entries
	# Nothing is held but what is open, so that the disk has its room back.
	eventually 20 few_held
	eventually 20 extents_gone
	read_on seven "$T/seven"
	wait
	eventually 20 number held_files 0
	umount_memofs
}
few_entries() { [ "$(status_of entries)" -le 4 ]; }
few_held() { [ "$(status_of held_files)" -le 1 ]; }
extents_gone() { [ "$(find "$STORE/extents" -type f | wc -l)" -le 6 ]; }

test_versions_and_ages() {
	populate() {
		echo one >"$MNT/ns/key"
		set_attr version two "$MNT/ns"
		echo two >"$MNT/ns/key"
		echo short >"$MNT/ns/short"
		set_attr ttl 6s "$MNT/ns/short"
		ln -s key "$MNT/ns/link"
	}
	begin
	end=$(($(date +%s) + 7))
	has "$MNT/ns/short" $'short\n'
	has "$MNT/ns/key" $'two\n'
	has "$MNT/ns/link" $'two\n'
	has "$MNT/ns/.memofs/versions/two/key" $'two\n'
	has "$MNT/.memofs/view/max-age=1h/ns/key" $'two\n'
	absent "$MNT/.memofs/view/max-age=1ms/ns/key"
	is "$(names "$MNT/ns/.memofs/versions")" two
	wait_until "$end"
	absent "$MNT/ns/short"
	umount_memofs
}

test_trees() {
	populate() {
		mkdir -p "$T/from/sub"
		cp "$MEMOFS_SOURCE"/fs/*.c "$T/from/sub"
		ln -s sub/main.c "$T/from/link"
		"$MEMOFS" save -q -C "$T/from" "$MNT/ns/tree" .
		mkdir "$T/private"
		echo secret >"$T/private/file"
		chmod 640 "$T/private/file"
		chmod 755 "$T/private"
		"$MEMOFS" save -q -C "$T/private" "$MNT/ns/private" .
	}
	begin
	diff -r "$T/from" "$MNT/ns/tree"
	mkdir "$T/linked"
	"$MEMOFS" restore -q --link -C "$T/linked" "$MNT/ns/tree"
	diff -r "$T/from" "$T/linked"
	# shellcheck disable=SC2012 # what it costs to look at each
	is "$(ls -l "$MNT/ns/tree/sub" | wc -l)" "$(ls -l "$T/from/sub" | wc -l)"
	python3 - "$MNT/ns/tree/sub/main.c" "$T/from/sub/main.c" <<-'END'
		import mmap, sys
		with open(sys.argv[1], "rb") as a, open(sys.argv[2], "rb") as b:
		    m = mmap.mmap(a.fileno(), 0, prot=mmap.PROT_READ)
		    assert m[:] == b.read()
	END
	packs_are_for_who_may_read_all
	umount_memofs
}

# The kernel decides, which has seen the mode of the tree only.
packs_are_for_who_may_read_all() {
	needs setpriv
	is "$(stat -c %a "$MNT/.memofs/view/pack/ns/tree")" 644
	is "$(stat -c %a "$MNT/.memofs/view/pack/ns/private")" 640
	[ "$(id -u)" -eq 0 ] || return 0
	setpriv --reuid 12345 --clear-groups cat "$MNT/.memofs/view/pack/ns/tree" >pack
	fails 'Permission denied' setpriv --reuid 12345 --regid 12345 --clear-groups \
		cat "$MNT/.memofs/view/pack/ns/private"
	cat "$MNT/.memofs/view/pack/ns/private" >pack
}

# Found by READ, as nothing opens them here. All bytes are the store's, or an error.
test_damage_is_found() {
	populate() {
		head -c 1000001 /dev/urandom >"$MNT/ns/cut"
		head -c 1000002 /dev/urandom >"$MNT/ns/flipped"
		head -c 1000003 /dev/urandom >"$MNT/ns/sound"
		mkdir "$T/damaged"
		head -c 1000004 /dev/urandom >"$T/damaged/file"
		"$MEMOFS" save -q -C "$T/damaged" "$MNT/ns/tree" .
		cp "$MNT/ns/sound" "$T/sound"
	}
	begin
	umount_memofs
	truncate -s 500000 "$(extent_of 1000001)"
	printf 'damage' | dd of="$(extent_of 1000002)" bs=1 seek=500000 conv=notrunc status=none
	printf 'damage' | dd of="$(extent_of 1000005 1100000)" bs=1 seek=500000 conv=notrunc \
		status=none
	mount_memofs --read-only
	# What the kernel knows of it is known to be bad when it is read.
	is "$(stat -c %s "$MNT/ns/cut" "$MNT/ns/flipped" "$MNT/ns/sound" "$MNT/ns/tree/file")" \
		$'1000001\n1000002\n1000003\n1000004'
	for bad in cut flipped tree/file; do
		fails 'Input/output error|Stale' cat "$MNT/ns/$bad"
		absent "$MNT/ns/$bad"
	done
	is "$(names "$MNT/ns")" sound
	same "$MNT/ns/sound" "$T/sound"
	umount_memofs
	mount_memofs
	is "$(names "$MNT/ns")" sound
	umount_memofs
}
extent_of() { # BYTES [AT_MOST]
	find "$STORE/extents" -type f -size +$(($1 - 1))c -size -$((${2:-$1} + 1))c | grep .
}

test_daemon_that_dies() {
	needs_persistence
	[ -x "$MEMOFS_BUILD/memofs-holder" ] || skip 'no holder'
	populate() {
		seq 100000 >"$MNT/ns/a"
		set_attr ttl 12s "$MNT/ns/a"
	}
	begin -o keep-expired=0
	[ -n "$(status_of holder)" ] || skip 'no holder'
	seq 100000 >want
	reader "$MNT/ns/a" a
	kill -KILL "$(daemon_pid)"
	same "$MNT/ns/a" want
	number restarts 1 || fail 'no other daemon has come'
	eventually 30 number entries 0
	read_on a want
	wait
	eventually 20 number held_files 0
	umount_memofs
}

setup_folder
run_tests "$@"
