#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Extents that the kernel reads itself (docs/passthrough.md): when it does, that what is
# read is right whatever happens meanwhile, and that nothing is left behind.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

[ -z "$MEMOFS_PLAIN" ] || skip_all 'an ordinary directory has no extents'
[ "$MEMOFS_BACKEND" != memory ] || skip_all 'the extents of a store in memory have no names'
needs python3 2>/dev/null || skip_all 'python3 is not there'
# They are replaced sooner than daemons should die.
MEMOFS_QUICK_MS=0 setup

BYTES=3000000
head -c $BYTES /dev/urandom >"$T/data"

# The extent of a file of the mount.
extent() { # FILE
	local ino
	ino=$(stat -c %i -- "$1")
	printf '%s/extents/%02x/%016x\n' "${S:-$STORE}" $((ino % 256)) "$ino"
}

# Pages that somebody has mapped are not dropped, whoever drops all caches of the machine.
pin() { # FILE
	PINS=$((${PINS:-0} + 1)) PINNED=$T/pinned.$BASHPID.${PINS:-0}
	python3 - "$(extent "$1")" "$PINNED" >/dev/null 2>&1 <<-'END' &
		import mmap, os, sys, time
		os.chdir("/")
		os.closerange(3, 1024) # what the test has open is the test's
		with open(sys.argv[1], "rb") as f:
		    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		    for i in range(0, len(m), 4096):
		        m[i]
		open(sys.argv[2], "w").close()
		# Until it is ended, or the test has failed and its folder is gone.
		while os.path.exists(sys.argv[2]):
		    time.sleep(0.1)
	END
	PIN=$!
	eventually 20 [ -e "$PINNED" ]
}

unpin() {
	kill "$PIN"
	wait "$PIN" || :
}

# Out of the page cache, when nobody has them mapped.
evict() { # FILE
	python3 - "$(extent "$1")" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		os.fsync(fd)
		os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
	END
	sleep 0.1 # for as long what was seen may be believed
}

files() { is "$(status_of passthrough_files "${2:-$MNT}")" "$1" 'files that the kernel reads'; }
no_files() { [ "$(status_of passthrough_files "${1:-$MNT}")" = 0 ]; }
opens() { status_of passthrough_opens "${1:-$MNT}"; }
bytes_read() {
	awk '/^memofs_read_bytes_total/ { sum += $2 } END { print sum + 0 }' "$MNT/.memofs/metrics"
}

# Where memory is short, pages go that are mapped, too: then all is compared again, which
# takes that it is read from the daemon.
passes() { # FILE
	local before passed
	[ "$(status_of passthrough)" = yes ] || fail 'no extent is passed through'
	before=$(opens)
	exec 9<"$1"
	passed=$(($(opens) - before))
	exec 9<&-
	[ "$passed" -eq 0 ] || return 0
	dd if="$1" iflag=nocache count=0 status=none
	same "$1" "$T/data"
	return 1
}

# Whose blocks are known, and whose pages stay.
large() { # NAME
	cp "$T/data" "$1"
	pin "$1"
	cat "$1" >"$T/first"
	same "$T/first" "$T/data"
	eventually 20 passes "$1"
}

# A new daemon, which knows no blocks.
begin_anew() {
	cd /
	umount_memofs
	MEMOFS_QUICK_MS=0 mount_memofs
	cd "$MNT/$NAME"
}

crash() {
	local pid
	pid=$(daemon_pid)
	kill -KILL "$pid"
	eventually 20 process_gone "$pid"
	cat "$MNT/.memofs/status" >/dev/null
}

# Does it work here at all? The last word has the kernel, when it is asked.
works() (
	set -e
	cd "$MNT"
	large probe
	unpin
	rm probe
)
works 2>"$T/why" || {
	[ "$(status_of passthrough)" = no ] || {
		cat "$T/why" >&2
		fail 'it should work here, and does not'
	}
	skip_all "this kernel reads no extents itself: $(grep -h 'does not read extents' "$LOG" || uname -r)"
}

test_the_kernel_reads() {
	local before read
	large value
	before=$(opens) read=$(bytes_read)
	exec 5<value
	files 1
	is "$(opens)" $((before + 1)) opens
	same /dev/fd/5 "$T/data"
	is "$(tail -c 1000 value | md5sum)" "$(tail -c 1000 "$T/data" | md5sum)"
	is "$(stat -Lc %s /dev/fd/5)" $BYTES
	is "$(bytes_read)" "$read" 'bytes that the daemon was asked for'
	exec 5<&-
	eventually 20 no_files
	unpin
}

# What is not known to be right is read by the daemon, and then by the kernel.
test_after_it_was_compared() {
	large value
	NAME=$(basename "$PWD")
	begin_anew
	exec 5<value
	files 0
	head -c 1000000 <&5 | cmp - <(head -c 1000000 "$T/data")
	exec 6<value # through the cache, as the one that is open
	files 0
	cat <&5 >/dev/null
	same /dev/fd/6 "$T/data"
	exec 7<value
	files 0
	exec 5<&- 6<&- 7<&-
	eventually 20 now_passed
	unpin
}

# A RELEASE comes when close(2) has returned.
now_passed() {
	exec 5<value
	[ "$(status_of passthrough_files)" = 1 ] || {
		exec 5<&-
		return 1
	}
	same /dev/fd/5 "$T/data"
	exec 5<&-
}

test_parts_add_up() {
	large value
	NAME=$(basename "$PWD")
	begin_anew
	python3 - <<-'END'
		import os
		step = 1 << 20
		for at in range(0, os.stat("value").st_size, step):
		    fd = os.open("value", os.O_RDONLY)
		    assert len(os.pread(fd, step, at)) > 0
		    os.close(fd)
	END
	eventually 20 now_passed
	unpin
}

# Who opens one that the kernel reads is read to by us where something is not known.
test_later_opens() {
	local read
	[ "$(stat -f -c %T "$STORE")" != tmpfs ] || skip 'the pages of a tmpfs are not dropped'
	large value
	exec 5<value
	exec 6<value
	files 1
	same /dev/fd/6 "$T/data"
	unpin
	evict value
	read=$(bytes_read)
	exec 7<value
	files 1
	same /dev/fd/7 "$T/data"
	[ "$(bytes_read)" -ge $((read + BYTES)) ] || fail 'it was not compared again'
	same /dev/fd/5 "$T/data"
	exec 5<&- 6<&- 7<&-
	eventually 20 no_files
}

# What goes bad on the disk is found by the next one to open it.
test_damage() {
	large value
	exec 5<value
	files 1
	unpin
	printf 'XXXX' | dd of="$(extent value)" bs=1 seek=2000000 conv=notrunc status=none
	exec 6<value
	fails 'Input/output error' cat <&6
	absent value
	head -c 1000000 <&5 | cmp - <(head -c 1000000 "$T/data")
	exec 5<&- 6<&-
	eventually 20 no_files
}

test_damage_without_a_reader() {
	large value
	exec 5<value
	files 1
	exec 5<&-
	unpin
	evict value
	printf 'XXXX' | dd of="$(extent value)" bs=1 seek=2000000 conv=notrunc status=none
	! cat value >"$T/read" 2>/dev/null || fail 'damaged bytes were given out'
	# The kernel asks for more than is read, and what comes after is answered first now
	# and then: so what is in front of the damage need not be all there.
	[ "$(stat -c %s "$T/read")" -le 2000000 ] || fail 'it was read beyond the damage'
	cmp -n "$(stat -c %s "$T/read")" "$T/read" "$T/data"
	absent value
}

# By a check, of what nobody could have seen: the file has the times that it had.
test_a_check_is_believed() {
	local file
	large value
	file=$(extent value)
	touch -r "$file" "$T/times"
	printf 'XXXX' | dd of="$file" bs=1 seek=2000000 conv=notrunc status=none
	touch -m -r "$T/times" "$file"
	! timeout 60 "$MEMOFS" check "$MNT" >"$T/check" || fail 'nothing was found'
	exec 5<value
	files 0
	fails 'Input/output error' cat <&5
	exec 5<&-
	absent value
	unpin
}

test_replaced_and_removed() {
	local first second
	large value
	first=$(extent value)
	exec 5<value
	echo new >value
	has value $'new\n'
	unpin
	large other
	second=$(extent other)
	exec 6<other
	files 2
	rm other
	absent other
	present "$first" "$second"
	same /dev/fd/5 "$T/data"
	same /dev/fd/6 "$T/data"
	same /proc/self/fd/6 "$T/data"
	exec 5<&- 6<&-
	eventually 20 gone "$first" "$second"
	eventually 20 no_files
	unpin
}

gone() {
	local path
	for path; do [ ! -e "$path" ] || return 1; done
}

test_maps_and_programs() {
	large value
	python3 - "$T/data" "$MNT/.memofs/status" <<-'END'
		import mmap, os, sys
		want = open(sys.argv[1], "rb").read()
		f = open("value", "rb")
		assert "passthrough_files: 1" in open(sys.argv[2]).read()
		m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		f.close()
		os.unlink("value")
		assert m[:] == want
	END
	unpin
	cp "$MEMOFS_BUILD/memofsd" program
	pin program
	cat program >/dev/null
	./program --version | grep -q memofsd
	unpin
}

# Who had it open while it was written reads and maps it as ever.
test_opened_while_it_was_written() {
	python3 - "$T/data" <<-'END'
		import mmap, os, subprocess, sys
		want = open(sys.argv[1], "rb").read()
		w = os.open("value", os.O_CREAT | os.O_WRONLY, 0o644)
		os.write(w, want)
		before = os.open("value", os.O_RDONLY)
		os.close(w)
		# The next one has it published.
		assert subprocess.run(["cat", "value"], stdout=subprocess.PIPE).stdout == want
		after = os.open("value", os.O_RDONLY)
		assert os.pread(after, len(want), 0) == want
		m = mmap.mmap(before, len(want), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
		assert m[:] == want and os.pread(before, 1000, 0) == want[:1000]
	END
}

test_direct() {
	large value
	python3 - "$T/data" <<-'END'
		import os, sys
		want = open(sys.argv[1], "rb").read()
		def read(fd):
		    # No alignment is asked for, as at any other time.
		    assert os.pread(fd, 1000, 12345) == want[12345:13345]
		    assert os.pread(fd, 1 << 20, 0) == want[:1 << 20]
		a = os.open("value", os.O_RDONLY)
		b = os.open("value", os.O_RDONLY | os.O_DIRECT)
		read(a), read(b)
		os.close(a), os.close(b)
		b = os.open("value", os.O_RDONLY | os.O_DIRECT)
		a = os.open("value", os.O_RDONLY)
		read(a), read(b)
	END
	unpin
}

test_views_and_versions() {
	large value
	exec 5<value 6<.memofs/view/max-age=1d/value 7<.memofs/view/stale/value
	for fd in 5 6 7; do same /dev/fd/$fd "$T/data"; done
	set_attr ttl 1s value
	sleep 1.2
	absent value
	for fd in 5 6 7; do same /dev/fd/$fd "$T/data"; done
	exec 5<&- 6<&- 7<&-
	eventually 20 no_files
	unpin
}

test_attached() {
	mkdir "$T/attached"
	timeout 60 "$MEMOFS" mount --attach "$MNT" "$T/attached" 2>/dev/null || skip 'nothing can be attached'
	large value
	exec 5<value
	files 1
	same "$T/attached/${PWD#"$MNT"/}/value" "$T/data"
	exec 5<&-
	umount_at "$T/attached"
	unpin
}

# --- its end, and another -------------------------------------------------------------

test_goes_on() {
	local file
	large value
	file=$(extent value)
	exec 5<value
	head -c 1000000 <&5 >"$T/seen"
	crash
	files 1
	cat <&5 >>"$T/seen"
	same "$T/seen" "$T/data"
	# It knows no blocks, and must not have the kernel read by another number.
	exec 6<value
	same /dev/fd/6 "$T/data"
	exec 5<&-
	crash
	exec 7<value
	same /dev/fd/7 "$T/data"
	files 1
	rm value
	exec 6<&- 7<&-
	eventually 20 no_files
	eventually 20 gone "$file"
	unpin
}

test_goes_on_with_a_reader_through_the_cache() {
	large value
	NAME=$(basename "$PWD")
	begin_anew
	exec 5<value
	crash
	exec 6<value
	same /dev/fd/6 "$T/data"
	exec 7<value
	files 0
	same /dev/fd/7 "$T/data"
	same /dev/fd/5 "$T/data"
	exec 5<&- 6<&- 7<&-
	eventually 20 now_passed
	unpin
}

test_upgraded() {
	large value
	exec 5<value
	timeout 60 "$MEMOFS" upgrade -q "$MNT"
	files 1
	exec 6<value
	same /dev/fd/5 "$T/data"
	same /dev/fd/6 "$T/data"
	exec 5<&- 6<&-
	eventually 20 no_files
	unpin
}

# Many readers of one value and of others, that come and go; what they read is right.
test_killed_under_readers() {
	local i readers=()
	large value
	cp value second
	for i in 1 2 3 4; do
		(
			end=$((SECONDS + 8))
			while [ $SECONDS -lt $end ]; do
				same value "$T/data"
				same second "$T/data"
				head -c 1000 value | cmp - <(head -c 1000 "$T/data")
			done
		) &
		readers+=($!)
	done
	for i in 1 2 3; do
		sleep 2
		crash
	done
	for i in "${readers[@]}"; do wait "$i" || fail 'a reader has failed'; done
	eventually 20 no_files
	unpin
}

# All caches of the extents are dropped again and again while they are read.
test_dropped_under_readers() {
	local i readers=()
	cp "$T/data" value
	for i in 1 2 3; do
		(
			end=$((SECONDS + 4))
			while [ $SECONDS -lt $end ]; do same value "$T/data"; done
		) &
		readers+=($!)
	done
	for i in $(seq 10); do evict value; done
	for i in "${readers[@]}"; do wait "$i" || fail 'a reader has failed'; done
	eventually 20 no_files
}

test_off() {
	mkdir "$T/off"
	mount_at "$T/off.store" "$T/off" -o passthrough=off
	is "$(status_of passthrough "$T/off")" no
	grep -qx '  passthrough: off' "$T/off/.memofs/config"
	cp "$T/data" "$T/off/value"
	same "$T/off/value" "$T/data"
	same "$T/off/value" "$T/data"
	is "$(opens "$T/off")" 0 opens
	umount_at "$T/off"
}

# What is closed stays closed, and what may be read cannot be written.
test_what_the_kernel_reads_is_closed() {
	needs_root
	local mallory=(setpriv --reuid=61002 --regid=61002 --clear-groups --inh-caps=-all
		--bounding-set=-all -- /usr/bin/env PATH=/usr/bin:/bin)
	chmod 755 .
	large value
	chmod 600 value
	exec 5<value
	files 1
	fails 'Permission denied' "${mallory[@]}" head -c 10 value
	chmod 644 value
	exec 6<value
	files 1
	# shellcheck disable=SC2016
	"${mallory[@]}" bash -c '
		exec 7<value
		cmp <(head -c 1000 <&7) <(head -c 1000 "$1") || exit 1
		! (echo mine 1<>/proc/self/fd/7) 2>/dev/null || exit 2
		! dd if=/dev/zero of=value bs=4096 count=1 conv=notrunc 2>/dev/null || exit 3
		! cat "$2" 2>/dev/null || exit 4' - "$T/data" "$(extent value)" || fail "mallory: $?"
	python3 - "$T/store" <<-'END'
		import mmap, sys
		f = open("value", "rb")
		try:
		    mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_WRITE)
		    sys.exit("it can be mapped for writing")
		except PermissionError:
		    pass
		m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		assert sys.argv[1] not in open("/proc/self/maps").read()
	END
	same /dev/fd/5 "$T/data"
	exec 5<&- 6<&-
	unpin
}

# The kernel takes extents from root alone, of the first user namespace; others read as
# ever, and are told why.
test_another_user() {
	mkdir "$T/theirs"
	: >"$T/theirs.log"
	# shellcheck disable=SC2016
	unshare -U -m --map-root-user bash -c '
		set -e
		timeout 60 "$1" mount --log "$2.log" "$2.store" "$2" || exit 77
		cp "$3" "$2/value"
		cmp "$3" "$2/value"
		cmp "$3" "$2/value"
		grep -qx "passthrough: no" "$2/.memofs/status"
		grep -qx "passthrough_opens: 0" "$2/.memofs/status"
		timeout 60 "$1" umount "$2"' - "$MEMOFS" "$T/theirs" "$T/data" ||
		{ [ $? -eq 77 ] && skip 'no mount in a user namespace'; }
	is "$(grep -c 'does not read extents itself' "$T/theirs.log")" 1 'lines of the log'
}

run_tests "$@"
