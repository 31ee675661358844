#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Durations on entries and directories, and what they hide.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no ttl'
setup

# Nothing reads an entry after it has expired: not open, not stat, not a listing.
expired() { # NAME
	absent "$1"
	! stat "$1" >/dev/null 2>&1 || fail "$1 can be stated"
	is "$(find "$(dirname "$1")" -maxdepth 1 -name "$(basename "$1")")" '' listed
	fails 'No such file' getfattr -n user.cache.ttl "$1"
}

test_explicit() {
	echo x >key
	echo y >other
	set_attr ttl 1s key
	is "$(attr ttl key)" 1s
	has key $'x\n'
	local expires
	expires=$(attr expires key)
	wait_until "$expires"
	expired key
	has other $'y\n'
	# The name is free, and what is written under it has no ttl of its own.
	echo new >key
	has key $'new\n'
	fails 'No such attribute' getfattr -n user.cache.ttl key
	is "$(attr expires key)" never
}

test_clock_starts_at_publish() {
	local created expires closing
	exec 3>key
	setfattr -n user.cache.ttl -v 100s /dev/fd/3
	sleep 0.1
	echo x >&3
	closing=$(date +%s.%N)
	exec 3>&-
	created=$(attr created key)
	expires=$(attr expires key)
	python3 - "$created" "$expires" "$closing" <<-'END'
		import sys, time
		created, expires, closing = map(float, sys.argv[1:])
		assert abs(expires - created - 100) < 0.001, (created, expires)
		assert closing <= created <= time.time(), "the clock started before the close"
	END
}

test_forms() {
	echo x >key
	local created want
	created=$(attr created key)
	while read -r text seconds; do
		set_attr ttl "$text" key
		is "$(attr ttl key)" "$text" "what was written"
		want=$(python3 -c "from decimal import Decimal as D; print(D('$created') + D('$seconds'))")
		is "$(attr expires key)" "$want" "expires with ttl $text"
	done <<-'END'
		PT1H 3600
		P1DT2H30M 95400
		P2W 1209600
		PT1000.5S 1000.5
		1h30m 5400
		250s 250
		90s 90
		3600 3600
		1d 86400
		86400.25 86400.25
	END
}

test_none() {
	mkdir d
	set_attr ttl 1h d
	echo x >d/key
	set_attr ttl none d/key
	is "$(attr ttl d/key)" none
	is "$(attr expires d/key)" never
	setfattr -x user.cache.ttl d/key
	[[ $(attr expires d/key) =~ ^[0-9]+\.[0-9]{9}$ ]] || fail 'nothing was inherited'
}

test_bad_durations() {
	echo x >key
	mkdir d
	set_attr ttl 2h key
	set_attr ttl 3h d
	local bad
	for bad in '5 parsecs' -1 '-PT1H' 'P1Y' 'P1M' 1x h 1h1 PT '1h 30x' NONE1 9999999999999999999 \
		'1..5' '0x10' 'nan' 'inf' '1h-5m'; do
		for path in key d; do
			fails 'Invalid argument|Numerical result out of range' set_attr ttl "$bad" "$path"
		done
	done
	fails 'Invalid argument' setfattr -n user.cache.ttl -v 0x310032 key
	is "$(attr ttl key)" 2h
	is "$(attr ttl d)" 3h
	has key $'x\n'
}

test_inherited_from_the_nearest() {
	mkdir -p a/b/c
	set_attr ttl 1h a
	set_attr ttl 2h a/b
	echo x >a/b/c/key
	echo x >a/key
	fails 'No such attribute' getfattr -n user.cache.ttl a/b/c/key
	lasts a/b/c/key 7200
	lasts a/key 3600
	setfattr -x user.cache.ttl a/b
	lasts a/b/c/key 3600
	set_attr ttl none a/b/c
	is "$(attr expires a/b/c/key)" never
	lasts a/key 3600
	setfattr -x user.cache.ttl a/b/c
	setfattr -x user.cache.ttl a
	is "$(attr expires a/b/c/key)" never
}

lasts() { # PATH SECONDS
	python3 - "$(attr created "$1")" "$(attr expires "$1")" "$2" <<-'END' || fail "ttl of $1"
		import sys
		from decimal import Decimal as D
		created, expires, ttl = map(D, sys.argv[1:])
		assert expires - created == ttl, f"{expires - created} s, want {ttl}"
	END
}

test_directory_shortened_and_lengthened() {
	mkdir -p d/sub
	echo x >d/key
	echo x >d/sub/key
	echo x >d/kept
	set_attr ttl 1d d/kept
	cat d/key d/sub/key >/dev/null
	sleep 1.1
	has d/key $'x\n'
	# It is older than this: it ends now, whatever was cached a moment ago.
	set_attr ttl 1s d
	expired d/key
	expired d/sub/key
	has d/kept $'x\n'
	is "$(ls d | tr '\n' ' ')" 'kept sub '
	# Hidden, not gone.
	set_attr ttl 1h d
	has d/key $'x\n'
	has d/sub/key $'x\n'
	set_attr ttl 1s d
	expired d/key
	setfattr -x user.cache.ttl d
	has d/key $'x\n'
}

test_directory_from_far_above() {
	mkdir -p top/1/2/3/4
	echo x >top/1/2/3/4/key
	has top/1/2/3/4/key $'x\n'
	sleep 1.1
	for _ in 1 2 3; do
		set_attr ttl 1s top
		expired top/1/2/3/4/key
		set_attr ttl 1h top
		has top/1/2/3/4/key $'x\n'
	done
}

test_move_takes_the_policy_of_its_place() {
	mkdir short long
	set_attr ttl 1s short
	set_attr ttl 1h long
	echo x >long/key
	lasts long/key 3600
	local created
	created=$(attr created long/key)
	sleep 1.1
	mv long/key short/key
	expired short/key
	echo y >short/other
	mv short/other long/other
	lasts long/other 3600
	# The clock does not start again.
	echo z >long/clock
	created=$(attr created long/clock)
	mv long/clock long/clock2
	is "$(attr created long/clock2)" "$created"
	# A whole directory takes its entries with it.
	mkdir long/dir
	echo x >long/dir/key
	lasts long/dir/key 3600
	mv long/dir dir
	is "$(attr expires dir/key)" never
}

test_tight_loop() {
	# The first read that fails comes no sooner than the expiry, and no read that
	# began after the expiry succeeds.
	for _ in 1 2 3; do
		python3 - <<-'END'
			import os, time
			with open("key", "w") as f:
			    f.write("x")
			os.setxattr("key", "user.cache.ttl", b"300ms")
			expires = float(os.getxattr("key", "user.cache.expires"))
			seen = 0
			while True:
			    begin = time.time()
			    try:
			        os.close(os.open("key", os.O_RDONLY))
			        seen += 1
			        os.stat("key")
			    except FileNotFoundError:
			        assert time.time() >= expires, "missed before its time"
			        break
			    assert begin <= expires, f"opened {begin - expires} s after the expiry"
			assert seen > 10, seen
			for i in range(2000):
			    assert not os.path.exists("key")
		END
	done
}

test_expired_name_can_be_made_again() {
	echo x >key
	set_attr ttl 100ms key
	eventually 5 is_gone key
	mkdir key
	rmdir key
	echo x >key
	set_attr ttl 100ms key
	eventually 5 is_gone key
	set -C
	echo exclusively >key
	has key $'exclusively\n'
	set +C
	set_attr ttl 100ms key
	eventually 5 is_gone key
	fails 'No such file' rm key
	fails 'No such file' mv key other
	ln -s x key
	is "$(readlink key)" x
}

is_gone() { [ ! -e "$1" ]; }

test_directory_with_expired_entries_can_be_removed() {
	mkdir d
	echo x >d/key
	set_attr ttl 100ms d/key
	eventually 5 is_gone d/key
	rmdir d
	absent d
}

test_attributes_listed() {
	echo x >key
	set_attr ttl 1h key
	getfattr -d key 2>/dev/null | grep -qx 'user.cache.ttl="1h"' || fail 'ttl is not listed'
	# The others are read by name, so that copies do not carry them.
	local name
	for name in expires age created state hash hits writer; do
		[ -n "$(attr "$name" key)" ] || fail "$name is empty"
		! getfattr -d -m - key 2>/dev/null | grep -q "user.cache.$name=" || fail "$name is listed"
		fails 'not permitted|not supported|denied' set_attr "$name" 1 key
	done
	is "$(attr state key)" live
	is "$(attr hash key)" "$(xxh_of key)"
	[[ $(attr writer key) =~ ^uid=$(id -u)\ gid=$(id -g)\ pid=[0-9]+\ comm=bash$ ]] ||
		fail "writer: $(attr writer key)"
	fails 'No such attribute|not supported' getfattr -n user.cache.none key
	fails 'Invalid argument|not supported|not permitted' setfattr -n user.cache.none -v 1 key
}

# XXH3-128, as xxh128sum prints it.
xxh_of() {
	if command -v xxh128sum >/dev/null; then
		xxh128sum "$1" 2>/dev/null | cut -d' ' -f1
	else
		attr hash "$1"
	fi
}

run_tests "$@"
