#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Waiting under view/wait for what somebody else computes.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup_folder
needs_mount
# A test that failed leaves holders, whose mount is busy. They are told, not killed:
# their numbers may be those of others by now.
end_holders() {
	local status=$? fifo
	for fifo in "$T"/go.*; do
		[ ! -p "$fifo" ] || echo go 1<>"$fifo"
	done
	(exit "$status")
	teardown
}
trap end_holders EXIT
mount_memofs || exit 1
WORK=$MNT

programs=$MEMOFS_BUILD/tests/mount
W=.memofs/view/wait # of the directory a test is in

percent() { echo $(($1 * ${MEMOFS_PERCENT:-100} / 100)); }

# Somebody who writes KEY: one half at once, the other when `publish KEY` is called.
# He is a process of his own, so that nobody else has his descriptor.
hold() { # KEY [MODE]
	local key=$1
	mkfifo "$T/go.$key"
	(
		trap - ERR
		umask "${2:-022}"
		exec 3>"$key"
		printf 'one half, ' >&3
		: >"$T/held.$key"
		read -r _ <"$T/go.$key"
		printf 'the other\n' >&3
	) &
	HOLDER=$!
	eventually 20 test -e "$T/held.$key"
	rm "$T/held.$key"
}

publish() { # KEY
	echo go >"$T/go.$1"
	rm "$T/go.$1"
}

give_up() { # KEY: the holder dies
	kill -KILL "$HOLDER"
	wait "$HOLDER" 2>/dev/null || true
	rm "$T/go.$1"
}

WHOLE='one half, the other
'

# Opens that the daemon keeps, of all tests. (Its count does not go down at once.)
waiting() { # COUNT [MOUNT]
	[ "$(status_of waiting_opens "${2:-$MNT}")" -eq "$1" ]
}

await() { eventually 30 waiting "$1"; } # COUNT

reserve() { # ID DURATION KEY
	set_attr reservation "$1 $2" ".memofs/reservations/$3"
}

# --- who waits, and for what ----------------------------------------------------

test_one_of_64_computes() {
	"$programs/waiters" . flight 64 "$(($(percent 50) + 2))"
}

test_one_of_64_takes_over() {
	"$programs/waiters" . takeover 64 "$(($(percent 50) + 2))"
}

test_a_thousand_wait() {
	"$programs/waiters" . many 1000 100 "$MNT"
}

# Each waits in its own way, and all get the whole.
test_tools() {
	local pid pids=() out=$T/tools
	mkdir "$out"
	hold key
	cat "$W/key" >"$out/cat" & pids+=($!)
	cp "$W/key" "$out/cp" & pids+=($!)
	cp -p "$W/key" "$out/cp-p" & pids+=($!)
	install -m 644 "$W/key" "$out/install" & pids+=($!)
	head -n 1 "$W/key" >"$out/head" & pids+=($!)
	dd if="$W/key" of="$out/dd" status=none & pids+=($!)
	python3 -c 'import sys; sys.stdout.write(open(sys.argv[1]).read())' "$W/key" \
		>"$out/python" & pids+=($!)
	python3 -c '
import mmap, os, sys
f = open(sys.argv[1], "rb")
for flags in mmap.MAP_SHARED, mmap.MAP_PRIVATE:
    with mmap.mmap(f.fileno(), 0, flags=flags, prot=mmap.PROT_READ) as m:
        data = bytes(m)
assert os.fstat(f.fileno()).st_size == len(data)
sys.stdout.buffer.write(data)' "$W/key" >"$out/mmap" & pids+=($!)
	await 8
	publish key
	for pid in "${pids[@]}"; do wait "$pid"; done
	for file in "$out"/*; do has "$file" "$WHOLE"; done
	is "$(stat -c '%a %U' "$out/cp-p")" "$(stat -c '%a %U' key)" 'mode and owner of the copy'
}

# It does not open what has no bytes, in /proc neither.
test_tar_does_not_wait() {
	hold key
	tar -C "$W" -cf "$T/early.tar" key
	is "$(tar -xOf "$T/early.tar" key)" ''
	publish key
	wait "$HOLDER"
	tar -C "$W" -cf "$T/late.tar" key
	is "$(tar -xOf "$T/late.tar" key)" "${WHOLE%$'\n'}"
}

test_exec() {
	local pid
	mkfifo "$T/go.script"
	python3 -c '
import os, sys
fd = os.open("script", os.O_WRONLY | os.O_CREAT, 0o755)
os.write(fd, b"#!/bin/sh\n")
open(sys.argv[1], "w").close()
open(sys.argv[2]).read()
os.write(fd, b"echo ran $@\n")' "$T/held.script" "$T/go.script" &
	eventually 20 test -e "$T/held.script"
	"$W/script" well >"$T/ran" & pid=$!
	await 1
	publish script
	wait "$pid"
	has "$T/ran" $'ran well\n'
	# What may not be executed is not.
	hold key
	fails 'Permission denied' "$W/key"
	publish key
}

test_looking_does_not_wait() {
	hold key
	[ -e "$W/key" ] || fail 'what is being computed is not there'
	is "$(stat -c '%F %s %a' "$W/key")" 'regular empty file 0 644'
	is "$(attr state "$W/key")" pending
	is "$(names "$W")" '' 'the listing'
	[ ! -e "$W/other" ] || fail 'what nobody computes is there'
	absent key # without the view
	publish key
	wait "$HOLDER"
	has "$W/key" "$WHOLE"
	is "$(names "$W")" key
	is "$(attr state "$W/key")" live
}

test_the_old_value_while_it_is_recomputed() {
	echo old >key
	hold key
	has key $'old\n'
	has "$W/key" $'old\n'
	publish key
	wait "$HOLDER"
	has "$W/key" "$WHOLE"
}

# --- how it ends otherwise --------------------------------------------------------

test_freed() {
	local pid
	hold key
	cat "$W/key" 2>"$T/freed" & pid=$!
	await 1
	give_up key
	! wait "$pid" || fail 'read what nobody wrote'
	grep -q 'No such file' "$T/freed"
	# The name is free.
	(set -C && echo mine >key)
	has "$W/key" $'mine\n'
}

test_time_is_up() {
	hold key
	fails 'Connection timed out' cat .memofs/view/wait=300ms/key
	fails 'Connection timed out' cat .memofs/view/wait=0/key
	fails 'No such file' cat .memofs/view/wait=300ms/other
	publish key
	wait "$HOLDER"
	has .memofs/view/wait=0/key "$WHOLE"
}

test_the_directory_says_how_long() {
	set_attr wait 200ms .
	hold key
	fails 'Connection timed out' cat "$W/key"
	local pid
	cat .memofs/view/wait=60s/key >"$T/longer" & pid=$! # the view's own counts
	await 1
	publish key
	wait "$pid"
	has "$T/longer" "$WHOLE"
}

test_nonblocking() {
	local open='import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)'
	hold key
	fails BlockingIOError python3 -c "$open" "$W/key"
	publish key
	wait "$HOLDER"
	python3 -c "$open" "$W/key"
}

test_a_signal_interrupts() {
	hold key
	python3 -c '
import os, signal, sys
class Alarm(Exception): pass
def ring(*_): raise Alarm
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    os.open(sys.argv[1], os.O_RDONLY)
    sys.exit("it did not wait")
except Alarm:
    pass' "$W/key"
	# And who is killed is gone, one among many.
	local pid pids=()
	for i in 1 2 3 4 5 6; do cat "$W/key" >"$T/out.$i" & pids+=($!); done
	await 6
	kill -KILL "${pids[0]}" "${pids[3]}"
	kill -TERM "${pids[5]}"
	for i in 0 3 5; do ! wait "${pids[i]}" 2>/dev/null || fail 'not killed'; done
	publish key
	for i in 1 2 4; do
		wait "${pids[i]}"
		has "$T/out.$((i + 1))" "$WHOLE"
	done
}

# --- named reservations ------------------------------------------------------------

test_a_named_reservation() {
	local pid
	reserve me 60s key
	cat "$W/key" >"$T/named" & pid=$!
	await 1
	echo temporary >tmp
	mv tmp key # publishing by rename
	wait "$pid"
	has "$T/named" $'temporary\n'
}

test_a_named_reservation_is_released() {
	local pid
	reserve me 60s key
	cat "$W/key" 2>"$T/released" & pid=$!
	await 1
	reserve me 0 key
	! wait "$pid" || fail 'read what nobody wrote'
	grep -q 'No such file' "$T/released"
}

test_a_named_reservation_expires() {
	reserve me 500ms key
	fails 'No such file' cat "$W/key"
}

test_a_named_reservation_is_extended() {
	local pid expires
	reserve me 3s key
	expires=$(attr reservation .memofs/reservations/key | sed 's/.*expires=\([^ ]*\).*/\1/')
	cat "$W/key" >"$T/extended" & pid=$!
	await 1
	reserve me 60s key
	wait_until "$expires"
	waiting 1 || fail 'did not wait on'
	(echo there >.memofs/view/owner=me/key)
	wait "$pid"
	has "$T/extended" $'there\n'
}

# Who has the reservation does not wait for himself, and writes where he waits.
test_the_owner_does_not_wait() {
	local mine=.memofs/view/wait,owner=me
	reserve me 60s key
	fails 'No such file' cat "$mine/key"
	echo mine >"$mine/key"
	has "$W/key" $'mine\n'
}

# --- writing where one waits --------------------------------------------------------

test_writing_through_the_view() {
	hold key
	fails 'cannot overwrite|exist' bash -c "set -C; echo mine >$W/key"
	echo mine >"$W/key"
	has "$W/key" $'mine\n'
	give_up key
	has "$W/key" $'mine\n'
	reserve somebody 60s other
	echo mine >"$W/other"
	has other $'mine\n'
	fails 'Read-only' bash -c "echo mine >.memofs/view/wait,ro/third"
}

test_a_directory_or_link_takes_the_name() {
	local pid
	reserve me 60s dir
	ls "$W/dir" >/dev/null
	cat "$W/dir" 2>"$T/dir" & pid=$!
	await 1
	mkdir dir
	reserve me 0 dir
	! wait "$pid" || fail 'read a directory'
	reserve me 60s link
	cat "$W/link" >"$T/link" & pid=$!
	await 1
	echo behind >target
	ln -s target link
	reserve me 0 link
	wait "$pid"
	has "$T/link" $'behind\n'
}

# --- who may read ---------------------------------------------------------------------

nobody() { exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# What is written as 0600 is not even waited for by others.
test_what_one_may_not_read() {
	needs_root
	needs setpriv
	local pid
	chmod 777 .
	hold secret 077
	(nobody cat "$W/secret") 2>"$T/denied" && fail 'opened a secret'
	grep -q 'Permission denied' "$T/denied"
	give_up secret
	hold open 022
	(nobody cat "$W/open" >"$T/opened") & pid=$!
	await 1
	publish open
	wait "$pid"
	has "$T/opened" "$WHOLE"
}

# Who waited for anything gets no more than he may read of what comes.
test_what_turns_out_to_be_secret() {
	needs_root
	needs setpriv
	local pid
	chmod 777 .
	reserve me 60s key
	(nobody cat "$W/key" >"$T/secret" 2>"$T/denied") & pid=$!
	await 1
	(umask 077; echo secret >tmp; mv tmp key)
	! wait "$pid" || fail 'read a secret'
	has "$T/secret" ''
	grep -q 'Permission denied' "$T/denied"
	# And the owner may, whoever made it.
	reserve me 60s own
	mkdir -m 777 "$T/nobody"
	(nobody cp "$W/own" "$T/nobody/own") & pid=$!
	await 1
	(umask 077; echo own >tmp2; chown 65534:65534 tmp2; mv tmp2 own)
	wait "$pid"
	has "$T/nobody/own" $'own\n'
}

# --- the views it is combined with ------------------------------------------------------

test_what_the_view_does_not_admit() {
	local pid
	hold key
	cat ".memofs/view/wait,since=2100-01-01/key" 2>"$T/since" & pid=$!
	await 1
	cat ".memofs/view/wait,max-age=1h/key" >"$T/age" & local other=$!
	await 2
	publish key
	! wait "$pid" || fail 'read what the view does not admit'
	grep -q 'No such file' "$T/since"
	wait "$other"
	has "$T/age" "$WHOLE"
}

test_versions() {
	local pid
	mkdir -p .memofs/versions/v2
	(
		exec 3>.memofs/versions/v2/key
		: >"$T/held.version"
		sleep 0.7
		echo two >&3
	) &
	eventually 20 test -e "$T/held.version"
	fails 'No such file' cat "$W/key" # of the version that is current
	cat .memofs/view/wait,version=v2/key >"$T/version" & pid=$!
	wait "$pid"
	has "$T/version" $'two\n'
}

# --- the end of the mount -----------------------------------------------------------------

test_unmount_while_somebody_waits() {
	local mnt=$T/mnt2 pid
	mkdir "$mnt"
	mount_at "$T/store2" "$mnt"
	(cd "$mnt" && set_attr reservation 'me 60s' .memofs/reservations/key)
	cat "$mnt/.memofs/view/wait/key" 2>"$T/unmounted" & pid=$!
	eventually 30 waiting 1 "$mnt"
	kill -TERM "$(daemon_pid "$mnt")"
	! wait "$pid" || fail 'read what nobody wrote'
	grep -Eq 'not connected|aborted|No such' "$T/unmounted"
	eventually 20 eval "! is_mounted $mnt"
}

run_tests "$@"
