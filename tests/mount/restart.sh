#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is in the store outlives its daemon, ended or killed.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no daemon'
[ "${MEMOFS_BACKEND:-rocksdb}" != memory ] || skip_all 'the memory backend keeps nothing'
setup

restart() {
	cd "$T"
	umount_memofs
	mount_memofs
	cd "$MNT/$1"
}

# What this shell has closed a moment ago lingers until somebody asks.
crash() {
	ls -R >"$T/listing"
	cd "$T"
	kill_daemon
	umount_memofs
	mount_memofs
	cd "$MNT/$1"
}

# Some of everything.
fill() {
	mkdir -p dir/sub versioned
	echo small >small
	: >empty
	head -c 5000000 /dev/urandom >"$T/large"
	cp "$T/large" large
	chmod 640 small
	touch -d '2020-01-02 03:04:05.678901234' small
	ln -s small link
	setfattr -n user.note -v text small
	set_attr ttl 2h dir
	echo x >dir/inherits
	echo x >dir/own
	set_attr ttl 3h dir/own
	echo x >soon
	set_attr ttl 1s soon
	set_attr version v1 versioned
	echo one >versioned/key
	# Once read, it is published, and a crash does not take it; until then it may
	# wait for its producer to end, which here is this shell (docs/internals.md).
	has versioned/key $'one\n'
	set_attr version v2 versioned
	echo two >versioned/key
	seq 1 300 | while read -r i; do echo "$i" >"dir/sub/$i"; done
	attr hash large >"$T/hash"
	stat -c %i small large >"$T/inodes"
	attr expires dir/own >"$T/expires"
}

check() {
	has small $'small\n'
	has empty ''
	same "$T/large" large
	is "$(stat -c '%a %.9Y' small)" "640 $(date -d '2020-01-02 03:04:05.678901234' +%s.%N)"
	is "$(readlink link)" small
	is "$(getfattr --only-values -n user.note small)" text
	is "$(attr ttl dir)" 2h
	is "$(attr ttl dir/own)" 3h
	is "$(attr expires dir/own)" "$(cat "$T/expires")" 'expiry'
	is "$(attr hash large)" "$(cat "$T/hash")" 'hash'
	is "$(stat -c %i small large)" "$(cat "$T/inodes")" 'inode numbers'
	is "$(attr version versioned)" v2
	has versioned/key $'two\n'
	has versioned/.memofs/versions/v1/key $'one\n'
	is "$(ls dir/sub | wc -l)" 300
	has dir/sub/300 $'300\n'
	sleep 1
	absent soon
}

test_clean() {
	fill
	restart clean
	check
	restart clean
	check
}

test_killed() {
	fill
	crash killed
	check
	crash killed
	check
}

# What was being written is not there, not in part either; what was is.
test_killed_while_writing() {
	echo old >key
	exec 3>key 4>fresh
	echo new >&3
	head -c 3000000 /dev/urandom >&4
	cd "$T"
	kill_daemon
	exec 3>&- 4>&-
	umount_memofs
	mount_memofs
	cd "$MNT/killed_while_writing"
	has key $'old\n'
	absent fresh
	is "$(ls)" key
	echo again >key
	has key $'again\n'
}

# Publishing as fast as it goes when the daemon dies: each is whole or absent,
# and what was read back before is there.
test_killed_amid_publishes() {
	local round writer last
	for round in 1 2 3; do
		rm -f "$T/done"
		(
			i=0
			while :; do
				i=$((i + 1))
				{ seq "$i" $((i + 3000)) >"n$i"; } 2>/dev/null || break
				# Once it was read, it has been published.
				cat "n$i" >/dev/null 2>&1 || break
				echo "$i" >>"$T/done"
			done
		) &
		writer=$!
		sleep 0.7
		cd "$T"
		kill_daemon
		wait "$writer" || true
		umount_memofs
		mount_memofs
		cd "$MNT/killed_amid_publishes"
		last=$(tail -n 1 "$T/done")
		[ "${last:-0}" -gt 0 ] || fail 'nothing was published'
		for i in $(seq 1 "$last"); do
			cmp "n$i" <(seq "$i" $((i + 3000))) || fail "n$i in round $round"
		done
		if [ -e "n$((last + 1))" ]; then
			cmp "n$((last + 1))" <(seq $((last + 1)) $((last + 3001)))
		fi
		rm -f n*
	done
}

test_no_inode_number_twice() {
	local before after
	echo x >a
	before=$(stat -c %i a)
	crash no_inode_number_twice
	echo x >b
	after=$(stat -c %i b)
	[ "$after" -gt "$before" ] || fail "inode $after after $before"
}

test_nothing_left_in_the_store() {
	local i
	for i in $(seq 1 20); do head -c 1000000 /dev/urandom >large; done
	rm large
	restart nothing_left_in_the_store
	eventually 20 no_extents_over 7
	[ -z "$(find "$STORE/stage" -type f)" ] || fail "staged: $(find "$STORE/stage" -type f)"
}

# What other tests of this script keep are a few extents; twenty were replaced.
no_extents_over() { [ "$(find "$STORE/extents" -type f | wc -l)" -le "$1" ]; }

run_tests "$@"
