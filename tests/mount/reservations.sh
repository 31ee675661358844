#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who computes an entry now: reservations by name and by descriptor, from the shell.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no reservations'
setup

R=.memofs/reservations
BUSY='Device or resource busy'
STALE='Stale file handle'
INVALID='Invalid argument'

reserve() { set_attr reservation "$1" "$R/$2"; }
extend() { set_attr reservation.extend "$1" "$R/$2"; }
state() { attr reservation "$R/$1"; }
# One field of the state.
field() { # FIELD KEY
	state "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

is_free() { is "$(state "$1")" free "reservation of $1"; }
held_by() { # OWNER KEY
	[[ $(state "$2") =~ ^held\ owner=[^\ ]+\ since=[0-9]+\.[0-9]{9}\ expires=([0-9]+\.[0-9]{9}|none)\ token=[0-9]+$ ]] ||
		fail "$2 reads \"$(state "$2")\""
	is "$(field owner "$2")" "$1" "owner of $2"
}

is_free_now() { [ "$(state "$1")" = free ]; }

# `echo` is the shell's own, and says what write(2) said.
write_to() { # TEXT KEY
	bash -c 'printf "%s\n" "$1" >"$2"' - "$1" "$R/$2"
}

logged() { grep -qF -- "$1" "$LOG" || fail "the log does not say: $1"; }

as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

# --- the files -----------------------------------------------------------------

test_every_name_is_there() {
	local name
	mkdir -p deep/er
	for dir in . deep deep/er "$MNT"; do
		is "$(stat -c '%F %s' "$dir/$R/any")" 'regular empty file 0'
		has "$dir/$R/any" $'free\n'
	done
	for name in a "$(printf '%0255d' 0)" $'new\nline' $'\001\033[31m' 'ünïcøde' ' ' '*' '-n'; do
		has "$R/$name" $'free\n'
		reserve 'me 60s' "$name"
		held_by me "$name"
	done
	is "$(names "$R")" "$(for name in a "$(printf '%0255d' 0)" $'new\nline' $'\001\033[31m' \
		'ünïcøde' ' ' '*' '-n'; do printf '%s\0' "$name"; done | sort -z | xargs -0 printf '%q\n')"
	fails 'File name too long' cat "$R/$(printf '%0256d' 0)"
	fails 'No such file' cat "$R/.memofs"
	is "$(find . -name '*any*')" '' 'nothing was made'
	for name in a b; do
		fails 'not permitted|not empty' rm -f "$R/$name"
		fails 'not permitted' mv "$R/$name" moved
		fails 'not permitted' truncate -s 1 "$R/$name"
		fails 'not permitted' chmod 600 "$R/$name"
		fails '.' mkdir "$R/$name"
		fails '.' ln -sT x "$R/$name"
	done
	fails 'not supported' setfattr -n user.note -v x "$R/a"
	fails 'not permitted' setfattr -x user.cache.reservation "$R/a"
	held_by me a
	[[ $(ls .memofs) == *reservations* ]] || fail 'not listed in .memofs'
}

test_listed_while_held() {
	is "$(ls "$R")" ''
	reserve 'me 60s' one
	reserve 'me 60s' two
	echo x >two
	is "$(ls "$R")" $'one\ntwo'
	is "$(stat -c '%s %.9Y' "$R/one")" "0 $(field since one)"
	is "$(getfattr -d "$R/one" | grep -c '^user.cache.reservation="held owner=me ')" 1
	reserve 'me 0' one
	is "$(ls "$R")" two
}

# --- the rules -----------------------------------------------------------------

test_acquire_extend_release() {
	local since token expires
	is_free key
	reserve 'me 60s' key
	held_by me key
	since=$(field since key) token=$(field token key) expires=$(field expires key)
	reserve 'me 90s' key
	is "$(field since key) $(field token key)" "$since $token" 'since and token'
	[[ $(field expires key) > $expires ]] || fail 'it was not extended'
	fails "$BUSY" reserve 'you 60s' key
	held_by me key
	reserve 'you 0' key
	held_by me key
	reserve 'me 0' key
	is_free key
	reserve 'me 0' key
	reserve 'you 60s' key
	held_by you key
	[ "$(field token key)" -gt "$token" ] || fail 'the token did not grow'
	absent key
}

test_through_the_file() {
	write_to 'me 60s' key
	held_by me key
	fails "$BUSY" write_to 'you 60s' key
	bash -c 'printf "me 0" >>"$1"' - "$R/key"
	is_free key
	echo 'me 5m' | tee "$R/key" >/dev/null
	held_by me key
	echo 'me 0' >"$T/command"
	cp "$T/command" "$R/key"
	is_free key
	write_to me key
	held_by me key
	dd if="$T/command" of="$R/key" status=none
	is_free key
	# Opening says nothing, nor does closing.
	: >"$R/key"
	is_free key
	python3 - "$R/key" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		assert os.write(fd, b"py 60s\n") == 7
		for bad in b"you 60s", b"x" * 301, b"py forever", b"\n":
		    try:
		        os.write(fd, bad)
		    except OSError:
		        continue
		    raise SystemExit(f"accepted {bad}")
		assert os.pwrite(fd, b"py 0", 4096) == 4
		os.close(fd)
	END
	is_free key
}

test_forms() {
	local text
	for text in 'me' ' me ' $'me\n' $'\t me  1m \n' 'me 1m30s' 'me 1h 30m' 'me PT1H' 'me 0.5h' 'me 366d'; do
		reserve "$text" key
		held_by me key
		for zero in 'me 0' 'me 0s' 'me PT0S'; do
			reserve "$zero" key
			is_free key
		done
	done
}

test_extend_only() {
	fails "$STALE" extend 'me 60s' key
	is_free key
	reserve 'you 60s' key
	fails "$STALE" extend 'me 60s' key
	held_by you key
	extend 'you 2h' key
	held_by you key
	[ "$(($(field expires key | cut -d. -f1) - $(date +%s)))" -gt 7000 ] || fail 'not extended'
	fails "$INVALID" extend 'you forever' key
	extend 'you 0' key
	is_free key
	fails 'No such attribute' attr reservation.extend "$R/key"
}

test_takeover_after_expiry() {
	local token
	reserve 'me 1h' key
	token=$(field token key)
	reserve 'me 300ms' key # the same one
	eventually 20 is_free_now key
	is "$(ls "$R")" ''
	fails "$STALE" extend 'me 60s' key
	reserve 'you 60s' key
	held_by you key
	[ "$(field token key)" -gt "$token" ] || fail 'the token did not grow'
	fails "$BUSY" reserve 'me 60s' key
	reserve 'me 0' key
	held_by you key
}

test_shorter_is_sooner() {
	reserve 'me 1h' key
	reserve 'me 300ms' key
	eventually 20 is_free_now key
}

# Of many that ask at once, one gets it.
test_one_of_many() {
	local i
	for i in {1..16}; do
		(! write_to "p$i 60s" key 2>/dev/null || echo "p$i") &
	done >"$T/winners"
	wait
	is "$(wc -l <"$T/winners")" 1 'winners'
	held_by "$(cat "$T/winners")" key
}

# Each takes the lease, reads the sum, and publishes one more: nothing is lost.
test_no_update_is_lost() {
	local i workers=6 rounds=10 pids=()
	echo 0 >sum
	for ((i = 0; i < workers; i++)); do
		python3 - "p$i" $rounds <<-'END' &
			import errno, os, sys, time
			me, rounds = sys.argv[1], int(sys.argv[2])
			def mine():
			    try:
			        os.setxattr(".memofs/reservations/sum", "user.cache.reservation",
			                    f"{me} 1h".encode())
			        return True
			    except OSError as e:
			        if e.errno != errno.EBUSY:
			            raise
			        time.sleep(0.001)
			for _ in range(rounds):
			    while not mine():
			        pass
			    now = int(open("sum").read())
			    with open(f".memofs/view/owner={me}/sum", "w") as out:
			        out.write(f"{now + 1}\n")
		END
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	has sum "$((workers * rounds))"$'\n'
	is_free sum
}

# --- what was meant well, or not -------------------------------------------------

test_hostile() {
	local bad
	echo x >entry
	for bad in '' ' ' $'\n' 'me none' 'me -1' 'me 367d' 'me 99999999999999999999' 'me 5 parsecs' \
		'me 60s you' "$(printf '%0201d 1s' 0)" "$(printf '%0300d' 0)" "$(printf '%05000d' 0)" \
		$'a\001b 60s' $'\033[31mme 60s' $'me\nyou 60s' $'a\377b 60s' 'free 60s' 'held' 'held 60s' \
		$'me 60s\nfailed' 'me 1y' 'me nan' 'me 0x10'; do
		fails "$INVALID" reserve "$bad" key
		fails "$INVALID" set_attr reservation "$bad" entry
		fails "$INVALID" extend "$bad" key
		# The shell writes line by line, and each write is one.
		[[ $bad == *$'\n'* || -z $bad ]] || fails "$INVALID" write_to "$bad" key
	done
	is_free key
	is "$(attr reservation entry)" free
	logged 'reservation of "key": "none" is not how long a reservation can last'
	logged 'reservation of "entry": "5 parsecs" is not how long'
	logged '\x1b[31mme" is not an ID'
	! grep -q $'\033' "$LOG" || fail 'a raw control character is in the log'
	for good in "$(printf '%0200d' 0)" 'ünï/cøde=€' '-' '--' '"quoted"' "it's" '$(reboot)' '%s%n' '0' '../..'; do
		reserve "$good 60s" key
		held_by "$good" key
		reserve "$good 0" key
		is_free key
	done
}

test_permissions() {
	needs_root
	mkdir -m 755 closed
	mkdir -m 777 open
	mkdir -m 1777 sticky
	mkdir -m 711 hidden
	echo x >closed/entry
	for dir in closed hidden; do
		fails 'Permission denied' as_user bash -c 'echo "u 60s" >"$1"' - "$dir/$R/key"
		fails 'Permission denied' as_user setfattr -n user.cache.reservation -v 'u 60s' "$dir/$R/key"
		fails 'Permission denied' as_user setfattr -n user.cache.reservation.extend -v 'u 60s' "$dir/$R/key"
	done
	fails 'Permission denied|not permitted' as_user setfattr -n user.cache.reservation -v 'u 60s' closed/entry
	fails 'Permission denied|not permitted' as_user setfattr -n user.cache.lease -v 60s closed
	# Who may see the names of a directory may see which are reserved.
	set_attr reservation 'root 60s' closed/$R/key
	is "$(as_user ls closed/$R)" key
	[[ $(as_user cat closed/$R/key) == 'held owner=root '* ]] || fail 'cannot be read'
	set_attr reservation 'root 60s' hidden/$R/key
	fails 'Permission denied' as_user ls hidden/$R
	fails 'Permission denied' as_user cat hidden/$R/key
	is "$(stat -c '%a %u' closed/$R closed/$R/key hidden/$R/key open/$R/key | tr '\n' ,)" \
		'555 0,644 0,600 0,666 0,'
	for dir in open sticky; do
		as_user bash -c 'echo "u 60s" >"$1"' - "$dir/$R/key"
		as_user setfattr -n user.cache.reservation -v 'u 90s' "$dir/$R/key"
		fails "$BUSY" set_attr reservation 'root 60s' "$dir/$R/key"
	done
	# What the directory allows now, not when it was first looked at.
	chmod 755 open
	fails 'Permission denied' as_user bash -c 'echo "u 60s" >"$1"' - open/$R/key
	chown 65534 open
	as_user bash -c 'echo "u 60s" >"$1"' - open/$R/key
}

test_settings() {
	local left
	mkdir -p d/sub
	for name in lease wait publish; do
		fails 'No such attribute' attr $name d
	done
	set_attr lease 2h d
	is "$(attr lease d)" 2h
	fails 'No such attribute' attr lease d/sub
	set_attr reservation me d/sub/$R/key
	left=$(($(attr reservation d/sub/$R/key | sed 's/.*expires=\([0-9]*\).*/\1/') - $(date +%s)))
	[ "$left" -gt 7000 ] && [ "$left" -le 7200 ] || fail "inherited: $left s left"
	for row in 'lease 0' 'lease none' 'lease x' 'lease -1' 'lease 367d' 'wait x' 'wait -1' \
		'publish never' 'publish 1' "publish $(printf '%05000d' 0)"; do
		fails "$INVALID" set_attr ${row%% *} "${row#* }" d
	done
	fails "$INVALID" set_attr publish '' d
	logged 'lease "none" is not how long a reservation can last'
	logged 'publish "never" is neither on-success nor always'
	is "$(attr lease d)" 2h
	set_attr wait none d
	is "$(attr wait d)" none
	set_attr wait ' 30s ' d
	is "$(attr wait d)" 30s
	set_attr publish always d
	is "$(attr publish d)" always
	! getfattr -d d | grep -E 'lease|wait|publish' || fail 'settings are listed'
	for name in lease wait publish; do
		setfattr -x user.cache.$name d
		fails 'No such attribute' attr $name d
		fails 'No such attribute' setfattr -x user.cache.$name d
	done
	# On an entry they are what a copy brings.
	echo x >d/key
	set_attr lease anything d/key
	fails 'No such attribute' attr lease d/key
}

# --- on entries ------------------------------------------------------------------

test_of_an_entry() {
	echo x >key
	is "$(attr reservation key)" free
	is "$(getfattr -d key)" '' 'listed'
	set_attr reservation 'me 60s' key
	held_by me key
	[[ $(attr reservation key) == 'held owner=me '* ]] || fail 'the entry does not tell'
	[[ $(getfattr -d key) == *'user.cache.reservation="held owner=me '* ]] || fail 'not listed'
	fails "$BUSY" set_attr reservation 'you 60s' key
	fails "$STALE" set_attr reservation.extend 'you 60s' key
	set_attr reservation.extend 'me 70s' key
	has key $'x\n'
	# The reservation is of the name, not of what is there.
	echo y >key
	held_by me key
	rm key
	held_by me key
	echo z >key
	set_attr reservation 'me 0' key
	is_free key
	# A moved entry leaves it behind.
	set_attr reservation 'me 60s' key
	mv key moved
	held_by me key
	is "$(attr reservation moved)" free
}

test_of_a_directory() {
	mkdir d
	fails 'No such attribute' attr reservation d
	fails 'not permitted' set_attr reservation 'me 60s' d
	logged 'a directory has no reservation of its own'
	set_attr reservation free d
	set_attr reservation 'held owner=x since=1.0 expires=2.0 token=3' d
	reserve 'me 60s' d
	held_by me d
	is "$(getfattr -d d)" ''
}

test_copies_bring_nothing() {
	needs rsync tar
	mkdir in "$T/plain"
	echo one >in/held
	echo two >in/free
	setfattr -n user.note -v kept in/held
	set_attr ttl 5h in/held
	set_attr reservation 'me 5m' in/held
	local to
	for to in here "$T/plain"; do
		mkdir -p "$to"
		silent cp -a in "$to/cp"
		silent cp -p --preserve=all in/held "$to/one"
		silent rsync -aX in/ "$to/rsync/"
		silent rsync -aX in/ "$to/rsync/"
		mkdir "$to/tar"
		silent bash -c 'tar --xattrs -C in -cf - . | tar --xattrs --xattrs-include="*" -C "$1" -xf -' - "$to/tar"
		silent install -p in/held "$to/installed"
		is "$(getfattr --absolute-names --only-values -n user.note "$to/cp/held")" kept
	done
	for to in cp rsync tar; do
		is "$(attr reservation here/$to/held)" free
		is "$(attr ttl here/$to/held)" 5h
	done
	# And back, with what an ordinary file system has kept of it.
	[[ $(getfattr --absolute-names -d "$T/plain/cp/held") == *'reservation="held owner=me '* ]] ||
		fail 'the copy outside does not tell'
	silent cp -a "$T/plain" back
	silent rsync -aX "$T/plain/rsync/" back/rsync2/
	silent bash -c 'tar --xattrs -C "$1" -cf - . | tar --xattrs --xattrs-include="*" -C back -xf -' - "$T/plain"
	find back -type f -exec getfattr -n user.cache.reservation {} + >"$T/back"
	is "$(grep -c '"free"' "$T/back")" "$(find back -type f | wc -l)" 'copies that are free'
	# Onto what is reserved here and not there: it stays reserved.
	mkdir onto
	echo old >onto/held
	set_attr reservation 'you 5m' onto/held
	set_attr reservation 'me 0' in/held
	silent rsync -aX in/ onto/
	silent rsync -aX --inplace --ignore-times in/ onto/
	silent cp -a in/. onto
	has onto/held $'one\n'
	[[ $(attr reservation onto/held) == 'held owner=you '* ]] || fail 'a copy has released it'
	rm -r "$T/plain"
}

# --- by descriptor ------------------------------------------------------------------

test_while_something_is_written() {
	local size
	exec 3>key
	[[ $(state key) =~ ^held\ owner=[^\ ]+\ since=[0-9.]+\ expires=none\ token=[0-9]+$ ]] ||
		fail "reads $(state key)"
	is "$(ls "$R")" key
	is "$(stat -c %s "$R/key")" 0
	for size in 10 100000 3000000; do
		head -c "$size" /dev/zero >&3
	done
	is "$(stat -c %s "$R/key")" 3100010
	is "$(ls -l "$R" | awk '/key/ { print $5 }')" 3100010
	is "$(stat -c %.9Y "$R/key")" "$(field since key)"
	[[ $(sed -n 2p "$R/key") =~ ^writing\ pid=$$\ comm=[^\ ]+\ uid=$(id -u)\ bytes=3100010\ since=[0-9]+\.[0-9]{9}$ ]] ||
		[[ $(sed -n 2p "$R/key") =~ ^writing\ pid=$BASHPID\ comm=[^\ ]+\ uid=$(id -u)\ bytes=3100010\ since=[0-9]+\.[0-9]{9}$ ]] ||
		fail "line 2 is $(sed -n 2p "$R/key")"
	fails "$BUSY" reserve 'you 60s' key
	# Its label is for people, and no ID.
	fails "$BUSY" reserve "$(field owner key) 60s" key
	fails "$STALE" extend "$(field owner key) 60s" key
	reserve "$(field owner key) 0" key
	! is_free_now key || fail 'a label has released it'
	exec 3>&-
	eventually 20 is_free_now key
	is "$(ls "$R")" ''
	has "$R/key" $'free\n'
	is "$(stat -c %s key)" 3100010
}

test_set_C() {
	fails 'cannot overwrite|exists' bash -c 'set -C; exec 3>key; (set -C; : 4>key)'
	reserve 'you 60s' key
	fails 'cannot overwrite|exists' bash -c 'set -C; echo x >key'
	absent key
	reserve 'you 0' key
	bash -c 'set -C; echo x >key'
	has key $'x\n'
	fails 'cannot overwrite|exists' bash -c 'set -C; echo y >key'
}

test_death_releases() {
	local pid
	mkfifo "$T/fifo"
	bash -c 'exec 3>key; echo half >&3; echo >"$1"; exec sleep 1000' - "$T/fifo" &
	pid=$!
	read -r <"$T/fifo"
	! is_free_now key || fail 'it is not reserved'
	kill -KILL $pid
	wait $pid 2>/dev/null || true
	eventually 20 is_free_now key
	absent key
	bash -c 'set -C; echo mine >key'
	has key $'mine\n'
	rm "$T/fifo"
}

test_reason_of_a_failure() {
	! bash -c 'echo half; exit 3' >key || fail 'it ended well'
	eventually 20 is_free_now key
	absent key
	is "$(head -n 1 "$R/key")" free
	[[ $(sed -n 2p "$R/key") =~ ^failed\ [0-9]+\.[0-9]{9}\ .*3 ]] ||
		fail "no reason: $(cat "$R/key")"
	echo whole >key
	has key $'whole\n'
	has "$R/key" $'free\n'
}

# Two processes that have the same number share nothing.
test_two_containers_with_equal_pids() {
	needs_root
	unshare -pf --mount-proc true 2>/dev/null || skip 'no pid namespaces'
	local i pids=()
	mkfifo "$T/one" "$T/two" "$T/go"
	for i in one two; do
		unshare -pf --mount-proc bash -c '
			if (set -C; : >key-$1) 2>/dev/null && { set -C; exec 3>key; } 2>/dev/null; then
				echo "$1 $$ got it" >|"$2/$1"
				read -r <"$2/go"
				echo "$1" >&3
			else
				echo "$1 $$ refused" >|"$2/$1"
			fi' - $i "$T" &
		pids+=($!)
		read -r who pid result <"$T/$i"
		is "$who $pid" "$i 1"
		is "$result" "$([ $i = one ] && echo got it || echo refused)"
	done
	echo >"$T/go"
	wait "${pids[@]}"
	has key $'one\n'
	# By name, with an ID that only has the pid in it, they would share it: hence
	# the labels that the daemon gives have more.
	exec 3>first 4>second
	[ "$(field owner first)" != "$(field owner second)" ] || fail 'two values have one label'
	exec 3>&- 4>&-
	rm "$T/one" "$T/two" "$T/go"
}

# The process that took it is gone, its descriptor is not, and another process
# has its number.
test_reused_pid() {
	local status
	needs_root
	unshare -pf --mount-proc true 2>/dev/null || skip 'no pid namespaces'
	unshare -pf --mount-proc bash -c '
		take() { # a process of the number $1 does $2
			echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid || exit 77
			bash -c "$2" - "$3" &
			[ $! -eq "$1" ] || exit 77
			wait $!
		}
		take 300 "set -C; exec 3>key; echo first >&3; sleep 1000 >/dev/null 2>&1 &
			echo \$! >|\"\$1\"" "$1"
		take 300 "! (set -C; : >key) 2>/dev/null && ! cat key 2>/dev/null" || exit 3
		grep -q "^held owner=" "$2" || exit 4
		kill -KILL "$(cat "$1")"
	' - "$T/sleeper" "$R/key" || {
		status=$?
		[ $status -ne 77 ] || skip 'no number of its own'
		fail "status $status"
	}
	rm "$T/sleeper"
}

# --- the fence ------------------------------------------------------------------------

test_owner_view() {
	local view=.memofs/view/owner=me
	fails "$STALE" bash -c 'echo x >"$1/key"' - $view
	absent key
	reserve 'me 60s' key
	echo one >$view/key
	has key $'one\n'
	is_free key # what it was reserved for is there
	fails "$STALE" bash -c 'echo two >"$1/key"' - $view
	has key $'one\n'
	logged '"key"'
	reserve 'you 60s' key
	fails "$STALE" bash -c 'echo two >"$1/key"' - $view
	fails "$STALE" bash -c 'set -C; echo two >"$1/other"' - $view
	has key $'one\n'
	held_by you key
	# Without an owner nothing is asked for.
	echo three >key
	has key $'three\n'
	held_by you key
}

test_owner_exclusive() {
	reserve 'me 60s' key
	fails 'cannot overwrite|exists' bash -c 'set -C; echo x >key'
	fails "$STALE" bash -c 'set -C; echo x >.memofs/view/owner=you/key'
	bash -c 'set -C; echo mine >.memofs/view/owner=me/key'
	has key $'mine\n'
	is_free key
}

# What close(2) says when something happened since the write.
close_after() { # COMMANDS
	python3 - "$1" <<-'END'
		import errno, os, subprocess, sys
		fd = os.open(".memofs/view/owner=me/key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
		os.write(fd, b"late\n")
		subprocess.run(["bash", "-ec", sys.argv[1]], check=True)
		try:
		    os.close(fd)
		    print("ok")
		except OSError as e:
		    print(errno.errorcode[e.errno])
	END
}

test_fence() {
	export R
	local how
	for how in 'setfattr -n user.cache.reservation -v "me 0" $R/key' \
		'setfattr -n user.cache.reservation -v "me 1ms" $R/key
		 until [ "$(cat $R/key | head -n 1)" = free ]; do sleep 0.05; done' \
		'echo "me 0" >$R/key; echo "you 60s" >$R/key' \
		'echo "me 0" >$R/key; echo "me 60s" >$R/key' \
		'echo "me 0" >$R/key; echo "you 60s" >$R/key; echo you >.memofs/view/owner=you/key; echo old >key'; do
		echo old >key
		reserve 'me 60s' key
		is "$(close_after "$how")" ESTALE "close after $how"
		has key $'old\n'
		reserve 'me 0' key
		reserve 'you 0' key
	done
	# In time.
	reserve 'me 60s' key
	is "$(close_after 'setfattr -n user.cache.reservation.extend -v "me 90s" $R/key')" ok
	has key $'late\n'
	is_free key
}

test_fence_of_names() {
	local view=.memofs/view/owner=me
	echo old >key
	echo new >other
	mkdir dir
	# Somebody else has it, and nobody.
	for holder in 'you 60s' 'you 0'; do
		reserve "$holder" key
		fails "$STALE" rm $view/key
		fails "$STALE" mv -f other $view/key
		fails "$STALE" mv -f $view/key moved
		fails "$STALE" ln -sfT x $view/link
		fails "$STALE" python3 -c 'import os, sys; os.mknod(sys.argv[1], 0o100644)' $view/node
		fails "$STALE" python3 -c 'import os, sys; os.truncate(sys.argv[1], 1)' $view/key
		has key $'old\n'
		has other $'new\n'
	done
	reserve 'you 60s' key
	absent moved link node
	# A directory is no entry that somebody computes.
	mkdir $view/made
	rmdir $view/made
	reserve 'you 0' key
	# With it: what gives the name a value ends it.
	reserve 'me 60s' key
	mv -f other $view/key
	has key $'new\n'
	absent other
	is_free key
	reserve 'me 60s' key
	rm $view/key
	absent key
	held_by me key
	ln -sT target $view/key
	is "$(readlink key)" target
	is_free key
	rm key
	reserve 'me 60s' key
	python3 -c 'import os, sys; os.mknod(sys.argv[1], 0o100644)' $view/key
	has key ''
	is_free key
	echo x >key
	reserve 'me 60s' key
	python3 -c 'import os, sys; os.truncate(sys.argv[1], 1)' $view/key
	has key x
	is_free key
	# Away from it, to where there is no view: the holder may make another.
	reserve 'me 60s' key
	mv $view/key away
	has away x
	held_by me key
	reserve 'me 60s' away
	echo y >key
	mv --exchange $view/key $view/away 2>/dev/null || python3 - $view/key $view/away <<-'END'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		a, b = map(os.fsencode, sys.argv[1:])
		assert libc.renameat2(-100, a, -100, b, 2) == 0, os.strerror(ctypes.get_errno())
	END
	has key x
	is_free key
	is_free away
}

# What is renamed before it is closed needs the lease of its new name.
test_fence_of_what_is_renamed_while_written() {
	reserve 'me 60s' one
	reserve 'me 60s' two
	reserve 'you 60s' taken
	python3 - <<-'END'
		import errno, os
		view = ".memofs/view/owner=me/"
		def refused(want, a, b):
		    try:
		        os.rename(a, b)
		    except OSError as e:
		        assert e.errno == want, e
		    else:
		        raise SystemExit(f"{a} became {b}")
		with open(view + "one", "w") as out:
		    out.write("value\n")
		    out.flush()
		    refused(errno.ESTALE, view + "one", view + "taken")
		    refused(errno.ESTALE, view + "one", view + "free")
		    refused(errno.EXDEV, view + "one", "free")
		    os.rename(view + "one", view + "two")
		with open("tmp", "w") as out:
		    refused(errno.EXDEV, "tmp", view + "one")
	END
	has two $'value\n'
	is_free two
	held_by me one
	absent one taken free
}

# --- where --------------------------------------------------------------------------

test_of_a_version() {
	mkdir d
	reserve_in() { set_attr reservation "$1" "$2"; }
	reserve_in 'me 60s' d/.memofs/versions/v1/.memofs/reservations/key
	is "$(attr reservation d/$R/key)" free
	is "$(ls d/.memofs/versions/v1/$R)" key
	is "$(ls d/$R)" ''
	set_attr version v1 d
	[[ $(attr reservation d/$R/key) == 'held owner=me '* ]] || fail 'not that of the version'
	set_attr version v2 d
	is "$(attr reservation d/$R/key)" free
	# Asking makes no version.
	fails "$INVALID" reserve_in 'me forever' d/.memofs/versions/v3/$R/key
	reserve_in 'me 0' d/.memofs/versions/v3/$R/key
	fails "$STALE" set_attr reservation.extend 'me 1s' d/.memofs/versions/v3/$R/key
	is "$(ls d/.memofs/versions | tr '\n' ' ')" 'v1 v2 '
}

test_read_only() {
	reserve 'me 60s' key
	echo x >entry
	local ro=.memofs/view/ro
	[[ $(attr reservation $ro/$R/key) == 'held owner=me '* ]] || fail 'not seen'
	fails 'Read-only' set_attr reservation 'me 90s' $ro/$R/key
	fails 'Read-only' bash -c 'echo "me 90s" >"$1"' - $ro/$R/key
	fails 'Read-only' set_attr reservation 'me 90s' $ro/entry
	fails 'Read-only' set_attr lease 90s $ro
	mkdir "$T/ro"
	mount --bind . "$T/ro" 2>/dev/null || skip 'no bind mounts'
	mount -o remount,bind,ro "$T/ro"
	fails 'Read-only' bash -c 'echo "me 90s" >"$1"' - "$T/ro/$R/key"
	fails 'Read-only' set_attr reservation 'me 90s' "$T/ro/$R/key"
	umount "$T/ro"
}

test_a_removed_directory() {
	mkdir d
	set_attr reservation 'me 60s' d/$R/key
	(
		cd d
		rmdir ../d
		fails "$STALE|No such" set_attr reservation 'me 60s' $R/key
	)
	mkdir d
	is "$(attr reservation d/$R/key)" free
}

# --- the daemon ----------------------------------------------------------------------

again() { # HOW to end it
	cd "$T"
	"$1"
	"${2:-true}"
	mount_memofs
	mkdir -p "$MNT/$3" # the memory backend has forgotten it
	cd "$MNT/$3"
}

test_outlives_the_daemon() {
	local before how
	for how in 'umount_memofs true' 'kill_daemon umount_memofs'; do
		reserve 'me 1h' key
		before="$(field owner key) $(field since key) $(field token key)"
		# shellcheck disable=SC2086
		again $how outlives_the_daemon
		if [ "$MEMOFS_BACKEND" = memory ]; then
			is_free key
			continue
		fi
		is "$(field owner key) $(field since key) $(field token key)" "$before"
		fails "$BUSY" reserve 'you 60s' key
		extend 'me 2h' key
	done
}

test_a_descriptor_does_not() {
	needs_persistence
	exec 3>key
	echo half >&3
	! is_free_now key || fail 'it is not reserved'
	cd "$T"
	kill_daemon
	exec 3>&- || true
	umount_memofs
	mount_memofs
	cd "$MNT/a_descriptor_does_not"
	is_free key
	absent key
	bash -c 'set -C; echo whole >key'
	has key $'whole\n'
}

run_tests "$@"
