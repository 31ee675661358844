#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `memofs run` when the cache is in trouble: the command runs once, as it would have
# without, and one line says so.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory is no cache'
setup
# shellcheck source=run_functions.sh
. "$(dirname "$0")/run_functions.sh"

# A mount of this test alone, and a cache in it.
own_mount() { # [STORE [OPTION...]]
	M=$T/own.$BASHPID S=${1:-$T/store.$BASHPID}
	mkdir "$M"
	mount_at "$S" "$M" "${@:2}"
	MEMOFS_CACHE=$M/cache
	mkdir "$MEMOFS_CACHE"
}

# The program ran, its output and code are its own, and one line tells why.
uncached() { # REGEX
	local before=0
	[ ! -e calls ] || before=$(wc -l <calls)
	runs 0 -- ./job
	has "$T/out" $'out\n'
	said "not cached: .*$1"
	ran $((before + 1))
	runs 6 -- ./job 6
	has "$T/out" $'out\n'
	ran $((before + 2))
	runs 3 --strict -- ./job
	has "$T/out" ''
	ran $((before + 2))
}

job() {
	program job <<-'END'
		echo out; exit ${1:-0}
	END
}

# --- where the cache should be --------------------------------------------------------

test_no_such_directory() {
	begin
	job
	MEMOFS_CACHE=/nonexistent/cache
	uncached 'nonexistent'
	MEMOFS_CACHE=$DIR
	uncached 'not a directory in a memofs mount; .* leave MEMOFS_CACHE out'
	MEMOFS_CACHE=$DIR/job
	uncached 'not a directory in a memofs mount'
	absent "$DIR/.memofs"
	# One in a mount is made.
	MEMOFS_CACHE=$MNT/new/cache
	runs 0 -- ./job
	told populated
	rmdir "$MNT/new/cache" 2>/dev/null || :
}

test_dead_mount() {
	begin
	job
	own_mount
	runs 0 -- ./job
	told populated
	rm calls
	kill_daemon "$M"
	uncached 'daemon of this mount has ended'
	umount_at "$M"
}

test_read_only() {
	begin
	job
	runs 0 -- ./job
	rm calls
	MEMOFS_CACHE=$MEMOFS_CACHE/.memofs/view/ro
	runs 0 -- ./job
	told hit
	ran 0
	program other <<-'END'
		echo out
	END
	runs 0 -- ./other
	told skipped
	said 'not cached: .*Read-only'
	has "$T/out" $'out\n'
}

test_no_permission() {
	needs_root
	begin
	job
	runs 0 -- ./job
	chmod 755 "$MEMOFS_CACHE" "$MEMOFS_CACHE"/*
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	}
	mkdir "$T/bin"
	cp "$MEMOFS" "$T/bin"
	chmod 777 .
	PATH=$T/bin:$PATH
	is "$(as_nobody memofs run -- ./job 2>err)" out
	has err ''
	is "$(as_nobody memofs run -- echo other 2>err)" other
	grep -q 'not cached: .*Permission denied' err || fail "$(cat err)"
	is "$(wc -l <err)" 1
}

# --- while it runs ------------------------------------------------------------------------

test_daemon_is_killed_half_way() {
	begin
	own_mount
	program job <<-'END'
		echo before
		touch ready
		until [ -e go ]; do sleep 0.02; done
		echo after; echo made >output
		exit ${1:-0}
	END
	local code status
	for code in 0 5; do
		rm -f ready go output
		memofs run --output output -- ./job $code >out 2>err &
		local pid=$!
		eventually 20 test -e ready
		kill_daemon "$M"
		touch go
		status=0
		wait $pid || status=$?
		is $status $code
		has out $'before\nafter\n'
		has output $'made\n'
		[ $code != 0 ] || grep -q '^memofs: not cached' err || fail "said: $(cat err)"
		umount_at "$M"
		mount_at "$S" "$M"
		[ -d "$MEMOFS_CACHE" ] || mkdir "$MEMOFS_CACHE"
	done
	is "$(find "$MEMOFS_CACHE" -type f)" ''
	memofs run --output output -- ./job >out
	has out $'before\nafter\n'
	umount_at "$M"
}

waits() { [ "$(status_of waiting_opens "$1")" -eq 1 ]; }

test_daemon_is_killed_while_somebody_waits() {
	begin
	own_mount
	program job <<-'END'
		touch ready; n=$(wc -l <"${0%/*}/calls")
		until [ -e go ]; do sleep 0.02; done
		echo out
	END
	memofs run -- ./job >first 2>err.1 &
	local leader=$!
	eventually 20 test -e ready
	memofs run -- ./job >second 2>err.2 &
	local follower=$!
	eventually 20 waits "$M"
	kill_daemon "$M"
	touch go
	wait $leader
	wait $follower
	has first $'out\n'
	has second $'out\n'
	ran 2
	grep -q '^memofs: not cached' err.2 || fail "said: $(cat err.2)"
	umount_at "$M"
}

test_full_store() {
	needs_persistence
	needs_root
	begin
	mkdir "$T/small"
	mount -t tmpfs -o size=48m tmpfs "$T/small"
	own_mount "$T/small/store" -o size=none
	local i
	for i in 1 2; do
		runs 0 -- head -c 100000000 /dev/zero
		is "$(stat -c %s "$T/out")" 100000000
		told put-failure
		said 'not cached: .*No space left'
	done
	grep -q 'is not stored as it is: a write failed: No space left' "$M/.memofs/log" ||
		fail "the log: $(cat "$M/.memofs/log")"
	runs 3 --strict -- head -c 100000000 /dev/zero
	# What fits is stored all the same.
	runs 0 -- echo small
	runs 0 -- echo small
	told hit
	umount_at "$M"
	umount "$T/small"
}

# Nowhere to keep the output meanwhile.
test_full_tmp() {
	begin
	TMPDIR=/nonexistent runs 0 -- head -c 10000000 /dev/zero
	is "$(stat -c %s "$T/out")" 10000000
	said 'not cached: .*output cannot be kept'
	told miss
	runs 0 -- head -c 10000000 /dev/zero
	told populated
}

# Too few descriptors for pipes, or even for the cache.
test_few_descriptors() {
	begin
	job
	local n
	for n in {4..16}; do
		rm -f calls
		(ulimit -n $n && exec ./job) >out 2>err && [ -s calls ] || continue
		rm -f calls
		(ulimit -n $n && exec memofs run --param "n=$n" -- ./job) >out 2>err ||
			fail "with $n: $(cat err)"
		has out $'out\n'
		ran 1
	done
}

# A stored result whose bytes have changed is a miss.
test_damaged_result() {
	needs_persistence
	begin
	program job <<-'END'
		seq 100000
	END
	own_mount
	runs 0 -- ./job
	told populated
	umount_at "$M"
	local extent
	extent=$(find "$S" -type f -size +100k -path '*extent*' | head -1)
	[ -n "$extent" ] || fail 'no extent'
	printf 'XXXX' | dd of="$extent" bs=1 seek=50000 conv=notrunc status=none
	mount_at "$S" "$M"
	runs 0 -- ./job
	is "$(md5sum <"$T/out")" "$(seq 100000 | md5sum)"
	ran 2
	runs 0 -- ./job
	is "$(md5sum <"$T/out")" "$(seq 100000 | md5sum)"
	umount_at "$M"
}

# --- nested ---------------------------------------------------------------------------

test_one_warning_for_all() {
	begin
	job
	program outer <<-'END'
		memofs run -- ./job; memofs run -- ./job
	END
	MEMOFS_CACHE=/nonexistent
	runs 0 -- ./outer
	has "$T/out" $'out\nout\n'
	said 'not cached'
}

# --- this user's own mount ----------------------------------------------------------------

# Caches, runtime directory and home of this test alone.
own_user() {
	unset MEMOFS_CACHE
	export XDG_CACHE_HOME=$DIR/xdg XDG_RUNTIME_DIR=$DIR/run
	mkdir -m 700 "$XDG_RUNTIME_DIR"
}

test_own_mount_is_made() {
	needs_persistence
	begin
	job
	own_user
	local i pids=()
	for i in 1 2 3 4 5 6; do
		memofs run -- ./job >"out.$i" 2>"err.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	for i in 1 2 3 4 5 6; do
		has "out.$i" $'out\n'
		has "err.$i" ''
	done
	ran 1
	is_mounted "$DIR/run/memofs" || fail 'not mounted'
	is "$(stat -c %a "$DIR/xdg/memofs")" 700
	# A session without the variable gets the same, unless it has one already.
	if ! is_mounted "/tmp/memofs-$(id -u)/mnt"; then
		is "$(unset XDG_RUNTIME_DIR && memofs run -- ./job)" out
		ran 1
	fi
	# One whose daemon was killed is mounted again.
	kill_daemon "$DIR/run/memofs"
	runs 0 -- ./job
	told hit
	said_nothing
	ran 1
	# Nothing of ours is kept open by it.
	is "$(memofs run -- ./job 9>"$DIR/nine" | cat)" out
	cd /
	umount_at "$DIR/run/memofs"
	rmdir "/tmp/memofs-$(id -u)/mnt" "/tmp/memofs-$(id -u)" 2>/dev/null || :
}

# `rm -rf ~/.cache`, while it is mounted.
test_store_is_removed() {
	needs_persistence
	begin
	job
	own_user
	is "$(memofs cache)" "$DIR/run/memofs/default"
	rm -r "$DIR/xdg"
	# In use: it stays, and says by whom.
	exec 9<"$DIR/run/memofs/default"
	! memofs cache 2>err || fail 'a cache without a store'
	grep -q "its store $DIR/xdg/memofs/store was removed; .* is busy" err || fail "$(cat err)"
	memofs status "$DIR/run/memofs" >out && fail 'its status is fine' || is $? 4
	grep -q 'trouble *.the store was removed' out || fail "$(cat out)"
	absent "$DIR/xdg/memofs/store"
	exec 9<&-
	is "$(memofs cache)" "$DIR/run/memofs/default"
	runs 0 -- ./job
	told populated
	umount_at "$DIR/run/memofs"
	# What there is now is whole.
	runs 0 -- ./job
	told hit
	ran 1
	umount_at "$DIR/run/memofs"
}

# Anybody can make /tmp/memofs-UID first.
test_mount_point_of_another() {
	needs_root
	begin
	job
	own_user
	unset XDG_RUNTIME_DIR
	local hostile=/tmp/memofs-65534 status=0
	[ ! -e $hostile ] || skip "$hostile is there"
	chmod 1777 .
	mkdir "$T/bin2"
	cp "$MEMOFS" "$MEMOFS_BUILD/memofsd" "$T/bin2"
	PATH=$T/bin2:$PATH
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$DIR" "$@"
	}
	mkdir -p $hostile/mnt/default
	as_nobody memofs run -- ./job >out 2>err || status=$?
	rm -r $hostile
	is $status 0
	has out $'out\n'
	grep -q "not cached: $hostile" err || fail "$(cat err)"
	ln -s "$DIR" $hostile
	as_nobody memofs run -- ./job >out 2>err || status=$?
	rm $hostile
	has out $'out\n'
	grep -q "not cached: $hostile" err || fail "$(cat err)"
}

test_without_fuse() {
	needs_root
	begin
	job
	own_user
	cat >script <<-'END'
		mount -t tmpfs tmpfs /dev || exit 77
		: >/dev/null
		exec "$@"
	END
	local status=0
	unshare --mount bash script memofs run -- ./job >out 2>err || status=$?
	[ $status != 77 ] || skip 'no tmpfs here'
	is $status 0
	has out $'out\n'
	grep -q 'not cached: /dev/fuse' err || fail "$(cat err)"
	is "$(wc -l <err)" 1
	ran 1
	status=0
	unshare --mount bash script memofs run --strict -- ./job >out 2>err || status=$?
	is $status 3
	ran 1
}

test_without_daemon() {
	begin
	job
	own_user
	mkdir bin
	cp "$MEMOFS" bin
	MEMOFSD=/nonexistent/memofsd PATH=$DIR/bin:$PATH runs 0 -- ./job
	has "$T/out" $'out\n'
	said 'not cached'
	ran 1
}

run_tests "$@"
