#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# More mounts of one daemon, read-only: `memofs mount --attach`.
# shellcheck source-path=SCRIPTDIR source=functions.sh
source "$(dirname "$0")/functions.sh"

attach() { # [LIVE [MOUNTPOINT]]
	timeout "$COMMAND_TIMEOUT_S" "$MEMOFS" mount --attach "${1:-$MNT}" "${2:-$ATT}"
}

# Each test begins with one attached, and none of what another has left.
begin() {
	is_mounted "$MNT" || mount_memofs
	! is_mounted "$ATT" || umount_at "$ATT"
	mkdir -p "$MNT/ns"
	attach
}

nothing_attached() { [ -z "$(status_of attached)" ]; }

requests() { status_of requests "$ATT"; }

cost_of() { # COMMAND...: its requests at the attached mount, beside asking
	local a b c
	a=$(requests) b=$(requests)
	"$@" >&2
	c=$(requests)
	echo $((c - b - (b - a)))
}

test_shows_what_is_live() {
	begin
	seq 1000 >"$MNT/ns/a"
	mkdir "$MNT/ns/dir"
	ln -s a "$MNT/ns/link"
	same "$ATT/ns/a" "$MNT/ns/a"
	is "$(names "$ATT/ns")" "$(names "$MNT/ns")"
	is "$(readlink "$ATT/ns/link")" a
	is "$(attr state "$ATT/ns/a")" live
	is "$(status_of attached_to "$ATT")" "$MNT"
	is "$(status_of attached "$MNT")" "$ATT"
	fails 'Read-only' touch "$ATT/ns/new"
	fails 'Read-only' rm "$ATT/ns/a"
	fails 'Read-only' set_attr ttl 1h "$ATT/ns/a"
	"$MEMOFS" stats "$ATT" >/dev/null
	fails 'attached itself' attach "$ATT" "$ATT/ns/dir"
	fails 'already' attach "$MNT" "$ATT"
	fails 'not empty' attach "$MNT" "$STORE"
	umount_at "$ATT"
	eventually 20 nothing_attached
}

test_hits_cost_no_request() {
	begin
	seq 1000 >"$MNT/ns/a"
	same "$ATT/ns/a" "$MNT/ns/a"
	cost=$(cost_of python3 - "$ATT/ns/a" <<-'END'
		import os, sys
		for i in range(200):
		    fd = os.open(sys.argv[1], os.O_RDONLY)
		    assert len(os.read(fd, 4096)) > 1000
		    os.close(fd)
	END
	)
	[ "$cost" -lt 20 ] || fail "200 hits cost $cost requests"
	# Nor new values elsewhere, of names that nobody was told of.
	mkdir "$MNT/other"
	cost=$(cost_of python3 - "$ATT/ns/a" "$MNT/other" <<-'END'
		import os, sys
		for i in range(100):
		    with open(f"{sys.argv[2]}/{i}", "w") as out:
		        out.write("new")
		    fd = os.open(sys.argv[1], os.O_RDONLY)
		    os.close(fd)
	END
	)
	[ "$cost" -lt 50 ] || fail "100 hits beside new values cost $cost requests"
}

# Every way to change a name, and what it is afterwards, at once and by others, too.
test_what_returned_is_seen() {
	begin
	for i in $(seq 15); do
		echo "$i" >"$MNT/ns/k"
		has "$ATT/ns/k" "$i"$'\n'
		seq "$i" "$((i + 100))" >src
		cp src "$MNT/ns/k"
		same "$ATT/ns/k" src
		echo "tmp $i" >"$MNT/ns/tmp"
		mv "$MNT/ns/tmp" "$MNT/ns/k"
		has "$ATT/ns/k" "tmp $i"$'\n'
		absent "$ATT/ns/tmp"
		truncate -s 2 "$MNT/ns/k"
		has "$ATT/ns/k" tm
		rm "$MNT/ns/k"
		absent "$ATT/ns/k"
		mkdir "$MNT/ns/k"
		present "$ATT/ns/k/."
		chmod 0700 "$MNT/ns/k"
		is "$(stat -c %a "$ATT/ns/k")" 700
		rmdir "$MNT/ns/k"
		absent "$ATT/ns/k"
	done
}

# Files are made and looked at by one process, whose second thread looks, too: never is
# there less than what had been written when the look began, nor a part of it.
test_readers_and_a_writer() {
	begin
	timeout 60 python3 - "$MNT/ns/v" "$ATT/ns/v" <<-'END'
		import os, sys, threading, time
		live, att = sys.argv[1:]
		done = [-1]
		stop = False
		def write(i):
		    data = (b"%09d\n" % i) * 2000
		    if i % 3 == 0:
		        tmp = live + ".tmp"
		        with open(tmp, "wb", 0) as out:
		            out.write(data)
		        os.rename(tmp, live)
		    else:
		        with open(live, "wb", 0) as out:
		            out.write(data)
		    done[0] = i
		def read(path):
		    least = done[0]
		    with open(path, "rb", 0) as f:
		        data = b""
		        while part := f.read(1 << 16):
		            data += part
		        size = os.fstat(f.fileno()).st_size
		    assert len(data) == 20000 == size, (path, len(data), size)
		    first = data[:10]
		    assert data == first * 2000, path
		    assert int(first) >= least, (path, int(first), least)
		failed = []
		def reader():
		    try:
		        while not stop:
		            read(att)
		    except BaseException as e:
		        failed.append(e)
		write(0)
		children = []
		threads = [threading.Thread(target=reader) for _ in range(2)]
		for t in threads:
		    t.start()
		end = time.time() + 3
		i = 0
		while not failed and (i < 100 or time.time() < end) and time.time() < end + 20:
		    i += 1
		    write(i)
		    if i % 4:
		        read(att)
		stop = True
		for t in threads:
		    t.join()
		print(i, "values", file=sys.stderr)
		if failed:
		    raise failed[0]
	END
}

# A reader that is told by a pipe, and is no child of who writes.
test_strangers_see_it() {
	begin
	timeout 60 python3 - "$MNT/ns/s" "$ATT/ns/s" <<-'END'
		import os, sys
		live, att = sys.argv[1:]
		r, w = os.pipe()
		back_r, back_w = os.pipe()
		reader = os.fork()
		if reader == 0:
		    os.close(w)
		    while word := os.read(r, 8):
		        with open(att) as f:
		            got = f.read()
		        names = os.listdir(os.path.dirname(att))
		        mtime = os.stat(os.path.dirname(att)).st_mtime_ns
		        assert "s" in names
		        os.write(back_w, b"y" if got == word.decode() else b"n")
		    os._exit(0)
		os.close(r)
		for i in range(60):
		    word = "%08d" % i
		    with open(live, "w") as out:
		        out.write(word)
		    os.write(w, word.encode())
		    assert os.read(back_r, 1) == b"y", word
		os.close(w)
		assert os.waitpid(reader, 0)[1] == 0
	END
}

# The live connection is full of requests, behind which the RELEASE of a close waits that
# has returned.
test_a_busy_live_connection() {
	begin
	timeout 60 python3 - "$MNT/ns" "$ATT/ns" <<-'END'
		import os, signal, sys, time
		live, att = sys.argv[1:]
		with open(live + "/busy", "w") as out:
		    out.write("x")
		children = []
		for _ in range(12):
		    pid = os.fork()
		    if pid == 0:
		        end = time.time() + 50
		        while time.time() < end:
		            for _ in range(100):
		                os.getxattr(live + "/busy", "user.cache.state")
		        os._exit(0)
		    children.append(pid)
		try:
		    end = time.time() + 3
		    i = 0
		    while i < 50 or (i < 2000 and time.time() < end):
		        i += 1
		        word = b"%08d" % i
		        fd = os.open(live + "/b", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
		        os.write(fd, word)
		        os.close(fd)
		        fd = os.open(att + "/b", os.O_RDONLY)
		        got = os.read(fd, 100)
		        os.close(fd)
		        assert got == word, (got, word)
		        if i % 10 == 0:
		            os.unlink(live + "/b")
		            assert "b" not in os.listdir(att)
		        elif i % 10 == 5:
		            assert "b" in os.listdir(att)
		    print(i, "values", file=sys.stderr)
		finally:
		    for pid in children:
		        os.kill(pid, signal.SIGKILL)
		        os.waitpid(pid, 0)
	END
}

has_mode() { [ "$(stat -L -c %a "$1")" = "$2" ]; }

# By name at once; by a descriptor before the kernel would ask by itself.
test_modes_of_files() {
	begin
	echo value >"$MNT/ns/mode"
	exec 7<"$ATT/ns/mode"
	has_mode /dev/fd/7 644
	chmod 600 "$MNT/ns/mode"
	eventually 20 has_mode /dev/fd/7 600
	exec 7<&-
	for mode in 640 604 400; do
		has_mode "$ATT/ns/mode" "$(stat -c %a "$MNT/ns/mode")"
		chmod $mode "$MNT/ns/mode"
		is "$(stat -c %a "$ATT/ns/mode")" $mode
	done
	chmod 644 "$MNT/ns/mode"
}

holds() { [ "$(status_of held_files "$ATT")" -eq "$1" ]; }

# What was removed is kept for who has it open, and then no longer.
test_what_is_removed_is_let_go() {
	begin
	for i in 1 2 3; do seq 100 >"$MNT/ns/held$i"; done
	cat "$ATT/ns/held"[123] >/dev/null
	exec 7<"$ATT/ns/held1"
	rm "$MNT/ns/held"[123]
	eventually 20 holds 1
	is "$(cat <&7)" "$(seq 100)"
	exec 7<&-
	eventually 20 holds 0
}

test_what_is_absent_is_not_kept() {
	begin
	for i in $(seq 20); do
		absent "$ATT/ns/absent$i"
		echo "$i" >"$MNT/ns/absent$i"
		has "$ATT/ns/absent$i" "$i"$'\n'
	done
}

test_life_and_versions() {
	begin
	echo old >"$MNT/ns/ttl"
	has "$ATT/ns/ttl" $'old\n'
	set_attr ttl 2s "$MNT/ns/ttl"
	wait_until "$(($(date +%s) + 3)).0"
	absent "$ATT/ns/ttl"
	echo one >"$MNT/ns/ver"
	has "$ATT/ns/ver" $'one\n'
	set_attr version two "$MNT/ns"
	absent "$ATT/ns/ver"
	echo two >"$MNT/ns/ver"
	has "$ATT/ns/ver" $'two\n'
	has "$ATT/.memofs/view/max-age=1h/ns/ver" $'two\n'
	echo three >"$MNT/ns/ver"
	has "$ATT/.memofs/view/max-age=1h/ns/ver" $'three\n'
	has "$ATT/ns/ver" $'three\n'
	"$MEMOFS" clear "$MNT/ns" >/dev/null
	absent "$ATT/ns/ver"
}

test_a_reader_goes_on() {
	begin
	seq 200000 >large
	for how in replace remove; do
		cp large "$MNT/ns/large"
		exec 7<"$ATT/ns/large"
		read -r -N 4096 -u 7 first
		if [ $how = replace ]; then
			echo new >"$MNT/ns/large"
			has "$ATT/ns/large" $'new\n'
		else
			rm "$MNT/ns/large"
			absent "$ATT/ns/large"
		fi
		{ printf %s "$first"; cat <&7; } >got
		exec 7<&-
		same got large
	done
}

test_is_refused_to_strangers() {
	needs_root
	begin
	umount_at "$ATT"
	chmod 777 "$ATT"
	fails 'only root and who has mounted it|is not for this user' \
		setpriv --reuid=65534 --regid=65534 --clear-groups "$MEMOFS" mount --attach "$MNT" "$ATT"
	# Whoever gets to the socket is asked who he is.
	chmod 711 "$STORE"
	chmod 666 "$STORE/attach"
	fails 'only root and who has mounted it' \
		setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/python3 - "$STORE/attach" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		sys.exit(s.recv(512).decode())
	END
	chmod 700 "$STORE"
	# Something else than a mount is refused.
	fails 'no mount was received' python3 - "$STORE/attach" <<-'END'
		import os, socket, struct, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		r, w = os.pipe()
		socket.send_fds(s, [struct.pack("IIQQQQ4096s", 2, 0, 0, 0, 0, 0, b"/x")], [r])
		sys.exit(s.recv(512).decode())
	END
	! is_mounted "$ATT" || fail 'it is mounted'
}

# Where the store's path leads elsewhere, a mount is not given to whoever listens there.
test_who_listens_is_asked_who_he_is() {
	needs_root
	begin
	umount_at "$ATT"
	chmod 755 "$T"
	cat >listen.py <<-'END'
		import socket, sys, time
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.bind(sys.argv[1])
		s.listen()
		time.sleep(60)
	END
	cat >in_namespace <<-'END'
		mount -t tmpfs -o mode=777 none "$1"
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			/usr/bin/python3 - "$1/attach" <"$5" >&2 &
		for _ in $(seq 200); do [ -S "$1/attach" ] || sleep 0.05; done
		status=0
		"$2" mount --attach "$3" "$4" || status=$?
		kill $!
		exit $status
	END
	fails 'user 65534 listens' unshare -m bash in_namespace \
		"$STORE" "$MEMOFS" "$MNT" "$ATT" listen.py
}

# In a user namespace a stranger may have the number of who has made the live mount, or be
# its root. He is not even asked.
test_nobody_is_asked_in_another_user_namespace() {
	needs_root
	unshare -U true 2>/dev/null || skip 'no user namespaces'
	begin
	umount_at "$ATT"
	chmod 755 "$T"
	chmod 777 "$ATT" .
	cat >listen.py <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.bind(sys.argv[1])
		s.listen()
		who = s.accept()[0]
		open("heard", "w").close()
		who.recv(8192)
	END
	cat >in_namespace <<-'END'
		mount -t tmpfs none "$1"
		python3 listen.py "$1/attach" >&2 &
		for _ in $(seq 200); do [ -S "$1/attach" ] || sleep 0.05; done
		status=0
		"$2" mount --attach "$3" "$4" || status=$?
		kill $!
		exit $status
	END
	fails 'in another user namespace, .*: attach it there' \
		setpriv --reuid=65534 --regid=65534 --clear-groups \
		unshare -U -m --map-root-user bash in_namespace "$STORE" "$MEMOFS" "$MNT" "$ATT"
	absent heard
}

# Ids mean something else there. What he says of it is compared with what the kernel says.
test_of_another_user_namespace() {
	needs_root
	unshare -U true 2>/dev/null || skip 'no user namespaces'
	begin
	umount_at "$ATT"
	fails 'another user namespace' \
		unshare -U -m --map-root-user "$MEMOFS" mount --attach "$MNT" "$ATT"
	! is_mounted "$ATT" || fail 'it is mounted'
	python3 - >here <<-'END'
		import os
		s = os.stat("/proc/self/ns/user")
		print(s.st_dev, s.st_ino)
	END
	# shellcheck disable=SC2046
	fails 'another user namespace' unshare -U --map-root-user \
		python3 - "$STORE/attach" $(cat here) <<-'END'
		import os, socket, struct, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		fd = os.open("/dev/fuse", os.O_RDWR)
		ns = [int(n) for n in sys.argv[2:]]
		socket.send_fds(s, [struct.pack("IIQQQQ4096s", 2, 0, 0, 0, *ns, b"/x")], [fd])
		sys.exit(s.recv(512).decode())
	END
}

# Others get in where they get in at the live mount.
test_others_are_let_in_as_there() {
	needs_root
	begin
	setpriv --reuid=65534 --regid=65534 --clear-groups ls "$ATT" >/dev/null
	umount_at "$ATT"
	umount_memofs
	mount_memofs -o allow-other=no
	begin
	fails 'Permission denied' setpriv --reuid=65534 --regid=65534 --clear-groups ls "$MNT"
	fails 'Permission denied' setpriv --reuid=65534 --regid=65534 --clear-groups ls "$ATT"
	umount_memofs
}

test_a_path_forges_no_line() {
	begin
	umount_at "$ATT"
	local odd=$T/$'a\nversion: forged'
	mkdir -p "$odd"
	attach "$MNT" "$odd"
	grep -qx 'attached: .*/a\\nversion: forged' "$MNT/.memofs/status"
	! grep -qx 'version: forged' "$MNT/.memofs/status" || fail 'it has forged a line'
	umount -l "$odd"
}

# How long its threads have run, or wanted to, whatever else the machine does.
# One that ends meanwhile does not count.
wanted_ns() {
	{ cat "/proc/$1/task/"*/schedstat 2>/dev/null || true; } |
		awk '{ n += $1 + $2 } END { printf "%.0f", n }'
}

# Without a free descriptor who asks waits, and nobody spins meanwhile.
test_without_descriptors() {
	needs_root
	begin
	umount_at "$ATT"
	local pid limits free before wanted
	pid=$(daemon_pid)
	eventually 20 nothing_attached
	sleep 1.5 # its last thread
	limits=$(prlimit --pid "$pid" --nofile --noheadings --output SOFT,HARD | xargs | tr ' ' :)
	free=0
	while [ -e "/proc/$pid/fd/$free" ]; do free=$((free + 1)); done
	prlimit --pid "$pid" --nofile="$free:${limits#*:}"
	before=$(wanted_ns "$pid")
	attach &
	sleep 3
	wanted=$(($(wanted_ns "$pid") - before))
	prlimit --pid "$pid" --nofile="$limits"
	wait $!
	is_mounted "$ATT" || fail 'it is not mounted'
	[ "$wanted" -lt 2000000000 ] || fail "it ran for $wanted ns"
}

descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
threads() { awk '$1 == "Threads:" { print $2 }' "/proc/$1/status"; }
as_before() { [ "$(descriptors "$1")" -le "$2" ] && [ "$(threads "$1")" -le "$3" ]; }

test_rounds_leave_nothing() {
	begin
	umount_at "$ATT"
	pid=$(daemon_pid)
	eventually 20 nothing_attached
	sleep 1.5 # its last thread
	fds=$(descriptors "$pid") threads=$(threads "$pid")
	echo value >"$MNT/ns/r"
	for _ in $(seq 20); do
		attach
		has "$ATT/ns/r" $'value\n'
		umount_at "$ATT"
	done
	# Some descriptors of the store come and go.
	eventually 20 as_before "$pid" $((fds + 3)) $((threads + 1))
}

busy_reader() { # FILE: until it fails
	python3 - "$1" <<-'END' &
		import sys
		try:
		    while True:
		        with open(sys.argv[1]) as f:
		            f.read()
		except OSError as e:
		    print(e, file=sys.stderr)
	END
}

test_ends_with_the_live_mount() {
	begin
	echo value >"$MNT/ns/e"
	busy_reader "$ATT/ns/e"
	reader=$!
	sleep 0.3
	umount_memofs
	wait "$reader"
	! is_mounted "$ATT" || fail 'it is still mounted'
	# What is in use at the attached mount only is no reason to go on.
	begin
	echo value >"$MNT/ns/e"
	exec 7<"$ATT/ns/e"
	umount_memofs
	exec 7<&-
	! is_mounted "$ATT" || fail 'it is still mounted'
}

# What is live goes on; what is attached does not, and can be attached again.
test_a_successor_does_not_take_it_up() {
	needs_persistence
	begin
	echo value >"$MNT/ns/u"
	has "$ATT/ns/u" $'value\n'
	busy_reader "$ATT/ns/u"
	reader=$!
	kill -KILL "$(daemon_pid)"
	has "$MNT/ns/u" $'value\n'
	eventually 20 process_gone "$reader"
	umount_at "$ATT"
	attach
	echo other >"$MNT/ns/u"
	has "$ATT/ns/u" $'other\n'
	busy_reader "$ATT/ns/u"
	reader=$!
	"$MEMOFS" upgrade "$MNT" >&2
	eventually 20 process_gone "$reader"
	has "$MNT/ns/u" $'other\n'
	umount_at "$ATT" 2>/dev/null || ! is_mounted "$ATT"
	attach
	has "$ATT/ns/u" $'other\n'
}

# A successor is not waited for by who looks for the way to what is attached.
test_attached_below_the_live_mount() {
	needs_persistence
	begin
	umount_at "$ATT"
	mkdir "$MNT/ns/below"
	echo value >"$MNT/ns/u"
	attach "$MNT" "$MNT/ns/below"
	has "$MNT/ns/below/ns/u" $'value\n'
	local begun=$SECONDS
	set_attr ttl 1h "$MNT/ns" # who goes that way has to ask
	"$MEMOFS" upgrade "$MNT" >&2
	[ $((SECONDS - begun)) -lt 20 ] || fail "it took $((SECONDS - begun)) s"
	has "$MNT/ns/u" $'value\n'
	! is_mounted "$MNT/ns/below" || umount -l "$MNT/ns/below"
	rmdir "$MNT/ns/below"
}

# Nor does the daemon's end: what is busy is taken away only from its place, and is still
# there where it is bound to; who goes that way is answered by nobody any more.
test_ends_where_the_live_mount_is_bound() {
	needs_root
	begin
	umount_at "$ATT"
	mkdir -p "$MNT/ns/under" bound
	echo value >"$MNT/ns/u"
	local bound=$PWD/bound pid
	mount --bind "$MNT" "$bound"
	attach "$MNT" "$bound/ns/under"
	has "$bound/ns/under/ns/u" $'value\n'
	exec 7<"$MNT/ns/u"
	set_attr ttl 1h "$MNT/ns" # who goes that way has to ask
	pid=$(daemon_pid)
	kill -TERM "$pid"
	eventually 20 process_gone "$pid"
	exec 7<&-
	umount -l "$bound"
	! is_mounted "$MNT" || fail 'it is still mounted'
	! is_mounted "$bound/ns/under" || fail 'it is still mounted there'
}

test_dies_with_the_daemon() {
	begin
	echo value >"$MNT/ns/d"
	busy_reader "$ATT/ns/d"
	reader=$!
	sleep 0.3
	kill_daemon
	eventually 20 process_gone "$reader"
	fails 'Transport|not connected|No such device' timeout 10 ls "$ATT"
	umount_at "$ATT"
	umount_memofs
	! is_mounted "$ATT" || fail 'it is still mounted'
}

setup_folder
ATT=$T/other
mkdir -p "$ATT" "$STORE" "$WORK"
chmod 700 "$STORE"
mount_memofs
run_tests "$@"
