#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What one user can do to another, to the daemon, and to what is outside of the store:
# a test for each row of docs/threat-model.md, by the same name.
# shellcheck source=functions.sh disable=SC2016
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory trusts everybody'
[ "$(id -u)" -eq 0 ] || skip_all 'users are made of root'
command -v setpriv >/dev/null || skip_all 'setpriv is not installed'

# Two who have nothing in common. What they run is only shells and coreutils.
ALICE=61001 MALLORY=61002

as() { # UID COMMAND...
	local uid=$1
	shift
	# Not what is below a home of root's.
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		timeout "$COMMAND_TIMEOUT_S" setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		--inh-caps=-all --bounding-set=-all -- "$@"
}
alice() { as $ALICE "$@"; }
mallory() { as $MALLORY "$@"; }

# Few enough of everything that one user can use it up.
LIMITS=user-handles=40,user-values=20,user-bytes=4MiB,user-reservations=10,user-waiters=10
setup -o "$LIMITS"

# A directory of Alice's, of which the others may only look at the names.
alices() { # DIRECTORY
	mkdir "$1"
	chown $ALICE:$ALICE "$1"
}

# A directory for all, in which each may only remove what is his.
sticky() { # DIRECTORY
	mkdir -m 1777 "$1"
}

publish() { # PATH TEXT: as Alice
	alice sh -c 'printf %s "$2" >"$1"' - "$1" "$2"
}

# The log says why, in at most so many lines.
said() { # LINES REGEX
	local lines
	lines=$(grep -cE "$2" "$MNT/.memofs/log" || true)
	if [ "$lines" -lt 1 ] || [ "$lines" -gt "$1" ]; then
		fail "$lines lines of the log have $2"
	fi
}

refusals() { # UID KIND: how often it was refused
	sed -n "s/^uid=$1 .* $2_refused=\([0-9]*\).*/\1/p" "$MNT/.memofs/users"
}

# --- starving the others ------------------------------------------------------------

test_handles_are_limited() {
	chmod 777 .
	publish key value
	mallory bash -c '
		exec 2>/dev/null
		for ((i = 0; i < 60; i++)); do exec {fd}<key || break; done
		[ $i = 40 ]
		cat key && exit 1
		exec {fd}<&-
		cat key' >"$T/read" || fail "the 41st descriptor"
	is "$(cat "$T/read")" value
	alice cat key >"$T/read"
	[ "$(refusals $MALLORY handles)" -gt 0 ] || fail "$(cat "$MNT/.memofs/users")"
	said 1 "uid $MALLORY has as many open descriptors.*user-handles"
}

test_listings_are_limited() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import errno, os
		fds = []
		try:
		    while len(fds) < 60:
		        fds.append(os.open(".", os.O_RDONLY | os.O_DIRECTORY))
		except OSError as e:
		    assert e.errno == errno.EMFILE, e
		assert len(fds) == 40, len(fds)
		for fd in fds:
		    os.close(fd)
		os.listdir(".")
	END
	alice ls >/dev/null
}

test_values_are_limited() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import errno, os
		fds = []
		try:
		    while len(fds) < 60:
		        fds.append(os.open(f"v{len(fds)}", os.O_CREAT | os.O_WRONLY))
		except OSError as e:
		    assert e.errno == errno.EMFILE, e
		assert len(fds) == 20, len(fds)
		os.close(fds.pop())
		os.listdir(".")
		os.close(os.open("again", os.O_CREAT | os.O_WRONLY))
	END
	publish key value
	has key value
	said 1 "uid $MALLORY has as many values being written.*user-values"
}

test_pending_bytes_are_limited() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import errno, os
		fds = [os.open(f"v{i}", os.O_CREAT | os.O_RDWR) for i in range(3)]
		written = 0
		try:
		    while written < 64:
		        os.write(fds[written % 3], b"x" * (256 << 10))
		        written += 1
		except OSError as e:
		    assert e.errno == errno.EDQUOT, e
		assert written == 16, written
		os.pwrite(fds[0], b"y" * 4096, 0) # over what is there
		try:
		    os.posix_fallocate(fds[1], 0, 8 << 20)
		    raise SystemExit("8 MiB were allocated")
		except OSError as e:
		    assert e.errno == errno.EDQUOT, e
		for fd in fds:
		    os.unlink(f"v{fds.index(fd)}")
		    os.close(fd)
		fd = os.open("again", os.O_CREAT | os.O_WRONLY)
		os.write(fd, b"x" * (3 << 20))
		os.close(fd)
	END
	publish key value
	has key value
	said 1 "uid $MALLORY has as many bytes.*user-bytes"
}

waits() { [ "$(status_of waiting_opens)" -ge 1 ]; }

test_waiters_are_limited() {
	chmod 777 .
	set_attr reservation 'job 60s' .memofs/reservations/key
	mallory python3 -I - <<-'END'
		import errno, os, threading, time
		errors = []
		def wait():
		    try:
		        os.close(os.open(".memofs/view/wait=30s/key", os.O_RDONLY))
		    except OSError as e:
		        errors.append(e.errno)
		for _ in range(30):
		    threading.Thread(target=wait, daemon=True).start()
		end = time.time() + 20
		while len(errors) < 20 and time.time() < end:
		    time.sleep(0.01)
		assert errors == [errno.EAGAIN] * 20, errors
		os._exit(0)
	END
	# Others may wait, and get it.
	alice cat .memofs/view/wait=30s/key >"$T/waited" &
	local pid=$!
	eventually 20 waits
	echo value >key
	set_attr reservation 'job 0' .memofs/reservations/key
	wait $pid
	is "$(cat "$T/waited")" value
	said 1 "uid $MALLORY has as many waiting opens.*user-waiters"
}

test_reservations_are_limited() {
	chmod 777 .
	mallory sh -c '
		for i in 1 2 3 4 5 6 7 8 9 10; do
			echo "m 60s" >.memofs/reservations/key$i || exit 1
		done
		said=$(bash -c "echo m 60s >.memofs/reservations/key11" 2>&1) && exit 2
		[ "${said%quota*}" != "$said" ] || exit 3
		echo "m 90s" >.memofs/reservations/key1 || exit 4' || fail "status $?"
	alice sh -c 'echo "a 60s" >.memofs/reservations/key11'
	said 1 "uid $MALLORY has as many reservations.*user-reservations"
	# They count after a restart, too.
	if [ "$MEMOFS_BACKEND" != memory ]; then
		cd /
		umount_memofs
		mount_memofs -o "$LIMITS"
		cd "$MNT/reservations_are_limited" || exit 1
			fails quota mallory bash -c 'echo "m 60s" >.memofs/reservations/key12'
	fi
	mallory sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do
		echo "m 0" >.memofs/reservations/key$i
	done
	echo "m 60s" >.memofs/reservations/key12
	echo "m 0" >.memofs/reservations/key12'
}

# --- what one may not read ------------------------------------------------------------

SECRET='the secret of Alice'

# Nothing under any of the paths, and none of them says it.
unreadable() { # PATH...
	local path
	for path; do
		! mallory cat "$path" >"$T/read" 2>&1 || fail "Mallory reads $path"
		! grep -q "$SECRET" "$T/read" || fail "Mallory sees $path"
	done
}

# The paths to KEY in DIRECTORY.
paths_to() { # DIRECTORY KEY
	local view
	printf '%s\n' "$1/$2"
	for view in ro max-age=1h since=2020-01-01T00:00:00Z wait=1s owner=me stale pack version= \
		ro,version=,stale; do
		printf '%s\n' "$1/.memofs/view/$view/$2"
	done
	printf '%s\n' "$1/.memofs/view/ro/.memofs/view/wait=1s/$2"
}

test_modes_hold_on_every_path() {
	local paths
	alices private
	publish private/open "$SECRET"
	alice chmod 644 private/open
	alice chmod 700 private
	alices public
	publish public/closed "$SECRET"
	alice chmod 600 public/closed
	mapfile -t paths < <(paths_to private open; paths_to public closed)
	unreadable "${paths[@]}"
	fails 'Permission denied' mallory ls private
	fails 'Permission denied' mallory ls private/.memofs
	fails 'Permission denied' mallory ls private/.memofs/reservations
	fails 'Permission denied' mallory getfattr -n user.cache.hash public/closed
	is "$(alice cat private/.memofs/view/ro/open)" "$SECRET"
}

test_versions_hide_nothing_from_modes() {
	alices dir
	alice setfattr -n user.cache.version -v one dir
	publish dir/key "$SECRET"
	alice chmod 700 dir
	alice setfattr -n user.cache.version -v two dir
	unreadable dir/.memofs/versions/one/key dir/.memofs/view/version=one/key
	is "$(alice cat dir/.memofs/versions/one/key)" "$SECRET"
}

test_groups_hold() {
	alices dir
	publish dir/key "$SECRET"
	chgrp 61009 dir/key
	alice chmod 640 dir/key
	unreadable dir/key dir/.memofs/view/ro/key
	is "$(setpriv --reuid $MALLORY --regid $MALLORY --groups 61009 cat dir/key)" "$SECRET"
	is "$(setpriv --reuid $MALLORY --regid $MALLORY --groups 61009 \
		cat dir/.memofs/view/ro/key)" "$SECRET"
}

# Whom a mode closes out now, an open of before does not let in again.
test_a_mode_that_was_changed_holds() {
	alices dir
	publish dir/key "$SECRET"
	mallory cat dir/key dir/.memofs/view/ro/key >/dev/null
	alice chmod 600 dir/key
	unreadable dir/key dir/.memofs/view/ro/key
	alice chmod 644 dir/key
	alice chmod 700 dir
	eventually 5 closed_to_mallory dir/.memofs/view/ro/key
	unreadable dir/key dir/.memofs/view/ro/key
}

closed_to_mallory() { ! mallory cat "$1" >/dev/null 2>&1; }

test_a_value_being_written_is_not_seen() {
	chmod 777 .
	alice bash -c "exec 3>key; printf '%s' '$SECRET' >&3
		until [ -e finish ]; do sleep 0.05; done" &
	local pid=$!
	eventually 20 grep -q writing .memofs/reservations/key
	unreadable key .memofs/view/stale/key .memofs/view/ro/key
	: >finish
	wait $pid
	is "$(mallory cat key)" "$SECRET"
}

test_what_waits_is_not_let_in() {
	chmod 777 .
	alice bash -c "umask 077; exec 3>key; sleep 0.3; printf '%s' '$SECRET' >&3"
	alice bash -c "umask 077; exec 3>late; printf '%s' '$SECRET' >&3; sleep 1" &
	eventually 20 grep -q writing .memofs/reservations/late
	unreadable .memofs/view/wait=10s/late
	wait $!
	unreadable key late .memofs/view/wait=1s/late
	is "$(alice cat late)" "$SECRET"
}

test_sealing_opens_nothing() {
	chmod 777 .
	alices dir
	publish dir/secret "$SECRET"
	alice chmod 600 dir/secret
	alice chmod 777 dir
	# Mallory may move it, as in any directory for all; not make it his by sealing.
	mallory mkdir .memofs/stage/tree
	mallory mv dir/secret .memofs/stage/tree/
	fails 'ermission denied' mallory mv -T .memofs/stage/tree tree
	absent tree
	# Neither may root that has given its capabilities away.
	! setpriv --inh-caps=-all --bounding-set=-all \
		sh -c 'mv -T .memofs/stage/tree tree' 2>/dev/null || fail 'root without capabilities'
	absent tree
	# And of a tree of Alice's no path shows what is closed in it.
	alice sh -c "mkdir .memofs/stage/hers; umask 077; printf '%s' '$SECRET' >.memofs/stage/hers/in"
	alice chmod 755 .memofs/stage/hers
	alice mv -T .memofs/stage/hers hers
	unreadable hers/in .memofs/view/ro/hers/in .memofs/view/pack/hers
	is "$(alice cat hers/in)" "$SECRET"
}

test_control_files_are_closed() {
	local file
	for file in jobs/backup jobs/check jobs/gc top.json; do
		fails 'Permission denied' mallory cat "$MNT/.memofs/$file"
		fails 'Permission denied' mallory sh -c "echo >$MNT/.memofs/$file"
	done
	fails 'not permitted|Permission denied' mallory sh -c "echo >$MNT/.memofs/config"
	fails 'not permitted|Permission denied' mallory mkdir "$MNT/.memofs/dir"
	fails 'not permitted|Permission denied|busy' mallory rm "$MNT/.memofs/log"
	fails 'not permitted|Permission denied|cross|Invalid' mallory mv "$MNT/.memofs" "$MNT/other"
}

test_the_store_is_closed() {
	needs_persistence
	echo "$SECRET" >key
	fails 'Permission denied' mallory ls "$STORE"
	is "$(stat -c %a "$STORE")" 700 'mode of the store'
	"$MEMOFS" backup "$MNT" "$T/backup" >/dev/null
	fails 'Permission denied' mallory ls "$T/backup"
	is "$(stat -c %a "$T/backup")" 700 'mode of the backup'
}

# --- what one may not change ------------------------------------------------------------

# As Mallory: the command fails, and Alice has what she had.
cannot() { # COMMAND...
	! mallory "$@" >/dev/null 2>&1 || fail "Mallory could: $*"
	is "$(cat dir/key)" value "after $*"
}

test_what_is_anothers_is_not_replaced() {
	local path
	chmod 777 .
	alices dir
	publish dir/key value
	mallory sh -c 'echo evil >own; mkdir mine'
	while read -r path; do
			cannot sh -c 'echo evil >"$1"' - "$path"
			cannot sh -c 'echo evil >>"$1"' - "$path"
		cannot rm -f "$path"
		cannot mv -f own "$path"
		cannot mv "$path" mine/
		cannot truncate -s 0 "$path"
		cannot ln -sf own "$path"
		cannot touch -d 2030-01-01 "$path"
		cannot chmod 666 "$path"
		cannot chown $MALLORY "$path"
	done < <(paths_to dir key)
	cannot mv dir mine/dir
	cannot mkdir dir/new
	cannot mkdir dir/.memofs/stage/new
	cannot mkdir dir/.memofs/versions/v/new
	cannot chmod 777 dir
}

# Exchange, whiteouts, and names of other directories.
test_what_is_anothers_is_not_exchanged() {
	needs gcc
	chmod 777 .
	alices dir
	publish dir/key value
	mallory sh -c 'echo evil >own'
	mallory python3 -I - <<-'END'
		import ctypes, errno, os
		libc = ctypes.CDLL(None, use_errno=True)
		for flags in (0, 1, 2, 4):
		    for a, b in (("own", "dir/key"), ("dir/key", "own"),
		                 ("own", "dir/.memofs/view/max-age=0s/key"),
		                 ("dir/.memofs/view/ro/key", "own")):
		        if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) == 0:
		            raise SystemExit(f"renamed {a} {b} {flags}")
	END
	has dir/key value
	has own $'evil\n'
}

test_what_is_anothers_is_not_pinned_or_expired() {
	local name path
	chmod 777 .
	alices dir
	publish dir/key value
	for name in ttl=1s pin=yes cost=9 version=x reservation=me lease=1s wait=1s quota=1 \
		publish=always max-entry=1; do
		while read -r path; do
			cannot setfattr -n "user.cache.${name%%=*}" -v "${name#*=}" "$path"
		done < <(paths_to dir key)
		cannot setfattr -n "user.cache.${name%%=*}" -v "${name#*=}" dir
		cannot setfattr -n "user.cache.${name%%=*}" -v "${name#*=}" dir/.memofs/view/stale
	done
	cannot setfattr -x user.cache.ttl dir
	cannot setfattr -n user.mine -v x dir/key
}

test_what_is_anothers_is_not_reserved() {
	chmod 777 .
	alices dir
	publish dir/key value
	cannot sh -c 'echo "me 60s" >dir/.memofs/reservations/key'
	cannot sh -c 'echo "me 60s" >dir/.memofs/reservations/absent'
	cannot sh -c 'echo "me 60s" >dir/.memofs/view/owner=me/.memofs/reservations/key'
	cannot setfattr -n user.cache.reservation -v 'me 60s' dir/.memofs/reservations/key
	alice sh -c 'echo "alice 60s" >dir/.memofs/reservations/key'
	cannot sh -c 'echo "alice 0" >dir/.memofs/reservations/key'
	cannot sh -c 'set -C; echo evil >dir/absent'
	grep -q 'held owner=alice' dir/.memofs/reservations/key
}

# Who is sent round to write his own file gets no value of another's by leading the kernel
# elsewhere meanwhile.
test_nothing_is_begun_on_the_way() {
	chmod 777 .
	alices dir
	publish dir/key value
	mkdir -m 777 "$T/links"
	mallory sh -c 'echo mine >mine'
	mallory python3 -I - "$T/links" <<-'END'
		import os, sys, time
		links, here = sys.argv[1], os.getcwd()
		end = time.time() + 0.7
		child = os.fork()
		if child == 0:
		    while time.time() < end:
		        for target in ("mine", "dir/key"):
		            os.symlink(os.path.join(here, target), links + "/new")
		            os.rename(links + "/new", links + "/link")
		    os._exit(0)
		begun = refused = 0
		while time.time() < end:
		    try:
		        os.close(os.open(links + "/link", os.O_WRONLY))
		    except PermissionError:
		        refused += 1
		        if "writing" in open("dir/.memofs/reservations/key").read():
		            begun += 1
		    except OSError:
		        pass
		os.waitpid(child, 0)
		assert refused
		assert not begun, f"{begun} of {refused}"
	END
	has dir/key value
}

# What was open to all when the stage was made need not stay so.
test_a_stage_closes_with_its_directory() {
	alices dir
	alice chmod 777 dir
	mallory mkdir dir/.memofs/stage/mine
	alice chmod 755 dir
	! mallory mkdir dir/.memofs/stage/more 2>/dev/null || fail 'built in it'
	! mallory sh -c 'echo x >dir/.memofs/stage/file' 2>/dev/null || fail 'written to it'
	alice mkdir dir/.memofs/stage/hers
	chown $MALLORY dir
	mallory mkdir dir/.memofs/stage/more
	! alice mkdir dir/.memofs/stage/again 2>/dev/null || fail 'built in what was hers'
}

# --- sticky directories -------------------------------------------------------------------

test_sticky_names_are_not_taken() {
	sticky dir
	publish dir/key value
	cannot rm -f dir/key
	cannot mv dir/key dir/other
	mallory sh -c 'echo evil >dir/own'
	cannot mv -f dir/own dir/key
	cannot mv -f dir/own dir/.memofs/view/ro/key
	alice rm dir/key
}

# A value that was begun before Alice's, and is closed after it, does not replace it.
test_sticky_names_are_not_replaced_at_close() {
	sticky dir
	mallory bash -c 'exec 3>dir/key; echo evil >&3; touch begun
		until [ -e finish ]; do sleep 0.05; done
		exec 3>&- || exit 1' 2>"$T/said" &
	local pid=$!
	chmod 777 .
	eventually 20 grep -q writing dir/.memofs/reservations/key
	publish dir/key value
	: >finish
	wait $pid || true
	has dir/key value
	# What fsync has promised is no way around.
	mallory python3 -I - <<-'END' 2>"$T/said" &
		import os, time
		fd = os.open("dir/synced", os.O_CREAT | os.O_WRONLY, 0o666)
		os.write(fd, b"evil")
		os.fsync(fd)
		while not os.path.exists("finish2"):
		    time.sleep(0.05)
		os.close(fd)
	END
	pid=$!
	eventually 20 grep -q writing dir/.memofs/reservations/synced
	publish dir/synced value
	: >finish2
	wait $pid || true
	has dir/synced value
	has dir/key value
}

# What a view does not show is there all the same.
test_sticky_names_that_a_view_hides() {
	sticky dir
	publish dir/key value
	mallory sh -c 'echo evil >dir/own'
	sleep 1.1
	cannot mv -f dir/own dir/.memofs/view/max-age=1s/key
	cannot cp dir/own dir/.memofs/view/max-age=1s/key
	cannot sh -c 'echo evil >dir/.memofs/view/max-age=1s/key'
	cannot ln -s own dir/.memofs/view/max-age=1s/key
	cannot mkdir dir/.memofs/view/max-age=1s/key
	# Who has it may.
	alice sh -c 'printf newer >dir/.memofs/view/max-age=1s/key'
	has dir/key newer
	# And so may who may write the file itself.
	alice chmod 666 dir/key
	mallory sh -c 'printf shared >dir/key'
	has dir/key shared
	is "$(stat -c %u dir/key)" $ALICE
}

test_sticky_names_are_not_reserved() {
	sticky dir
	publish dir/key value
	cannot sh -c 'echo "me 60s" >dir/.memofs/reservations/key'
	alice sh -c 'echo "job 60s" >dir/.memofs/reservations/new'
	cannot sh -c 'echo "job 0" >dir/.memofs/reservations/new'
	cannot sh -c 'echo "job 1s" >dir/.memofs/reservations/new'
	cannot sh -c 'echo "me 1s" >dir/.memofs/reservations/new'
	grep -q 'held owner=job' dir/.memofs/reservations/new || fail 'the reservation is gone'
	alice sh -c 'echo "job 0" >dir/.memofs/reservations/new'
	mallory sh -c 'echo "me 60s" >dir/.memofs/reservations/new'
}

# --- privileges through files ------------------------------------------------------------------

test_no_set_id_and_no_devices() {
	local options
	options=$(findmnt -n -o VFS-OPTIONS "$MNT")
	[[ ,$options, == *,nosuid,* && ,$options, == *,nodev,* ]] || fail "options: $options"
	fails 'not permitted' mknod null c 1 3
	chmod 755 .
	cp "$(command -v id)" id
	chmod 6755 id
	is "$(mallory ./id -u)" $MALLORY 'uid by a set-id program'
	# Who writes takes the bits away.
	chmod 6777 id
	chmod 777 .
	mallory sh -c 'echo x >>id'
	is "$(stat -c %a id)" 777 mode
}

test_acls_are_refused() {
	echo x >key
	fails 'not supported' setfattr -n system.posix_acl_access \
		-v 0x0200000001000600ffffffff04000400ffffffff20000400ffffffff key
	fails 'not supported' setfattr -n security.other -v x key
	fails 'not supported' setfattr -n trusted.overlay.opaque -v y key
	! getfattr -d -m - key 2>/dev/null | grep 'acl\|security\|trusted' || fail 'it has one'
}

test_hard_links_are_refused() {
	chmod 777 .
	publish key value
	fails 'not permitted' mallory ln key own
	fails 'not permitted' ln key own
}

# --- outside of the store ---------------------------------------------------------------------------

# Symlinks are for the kernel, and for who goes by them; the daemon stores them.
test_symlinks_are_not_followed() {
	echo "$SECRET" >"$T/outside"
	chmod 600 "$T/outside"
	chmod 777 .
	mallory ln -s "$T/outside" link
	unreadable link .memofs/view/ro/link .memofs/view/pack/link
	mallory mkdir .memofs/stage/tree
	mallory ln -s "$T/outside" .memofs/stage/tree/link
	mallory ln -s "$T" .memofs/stage/tree/folder
	mallory mv -T .memofs/stage/tree tree
	cat .memofs/view/pack/tree >"$T/pack"
	! grep -q "$SECRET" "$T/pack" || fail 'what a symlink leads to was packed'
	is "$(readlink tree/link)" "$T/outside"
	[ ! -d "$T/pack/folder" ]
	"$MEMOFS" check "$MNT" >/dev/null
	# Written through a symlink is what the kernel lets its user write.
	fails 'Permission denied' mallory sh -c "echo evil >link"
	has "$T/outside" "$SECRET"$'\n'
	rm "$T/outside"
}

# --- the log ----------------------------------------------------------------------------------------

# Whoever is refused may try as often as he likes; the log has a bound for each kind.
test_the_log_is_not_flooded() {
	chmod 777 .
	mallory python3 -I - <<-'END'
		import os
		for i in range(1000):
		    for path in (".memofs/view/nonsense=%d" % i, ".memofs/versions/\n%d" % i):
		        try:
		            os.stat(path)
		        except OSError:
		            pass
		    try:
		        os.setxattr("..", "user.cache.nonsense", b"x")
		    except OSError:
		        pass
	END
	said 100 'view option "nonsense'
	said 100 'is not a version'
	said 8 'further lines like the last are left out'
	# What others are told comes through.
	! alice stat "$MNT/.memofs/reservations/../view/wait=ever" 2>/dev/null || fail 'wait=ever'
	alice setfattr -n user.cache.ttl -v never . 2>/dev/null || true
}

# The log has names in it: of a namespace that is closed to him nobody sees any.
test_the_log_is_for_who_may_list() {
	alices "$MNT/closed"
	alice sh -c "exec 3>$MNT/closed/unspeakable; echo x >&3; exit 3" || true
	eventually 20 grep -q unspeakable "$MNT/.memofs/log"
	alice chmod 700 "$MNT/closed"
	alice grep -q unspeakable "$MNT/.memofs/log" || fail 'Alice does not see her own'
	alice grep -q unspeakable "$MNT/closed/.memofs/log"
	mallory cat "$MNT/.memofs/log" >"$T/read"
	! grep -q unspeakable "$T/read" || fail 'Mallory sees it'
	grep -q mounted "$T/read" || fail 'Mallory sees nothing at all'
	fails 'ermission denied' mallory cat "$MNT/closed/.memofs/log"
	alice chmod 711 "$MNT/closed"
	fails 'ermission denied' mallory cat "$MNT/closed/.memofs/log"
}

# --- what is shown -----------------------------------------------------------------------------------

# No line with a control character in it, whatever names there are.
is_plain() { # WHAT
	! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" || fail "$1 has control characters"
}

test_names_forge_no_lines() {
	local name=$'evil\nuid=0 forged\e[31m\r'
	chmod 777 .
	mallory sh -c 'echo x >"$1"; setfattr -n user.cache.nonsense -v x "$1"' - "$name" 2>/dev/null || true
	mallory sh -c 'exec 3>"$1"; echo y >&3; exit 3' - "$name" 2>/dev/null || true
	mallory sh -c 'echo "$1" >".memofs/reservations/$1"' - "$name" 2>/dev/null || true
	mallory stat ".memofs/view/$name" 2>/dev/null || true
	# The name of a process is its own choice, too.
	mallory python3 -I - "$name" <<-'END'
		import ctypes, sys
		ctypes.CDLL(None).prctl(15, b"p\x1b[1m\nuid=0", 0, 0, 0)
		open("by", "w").write("x")
		fd = open("open", "w")
		open(".memofs/reservations/open").read()
	END
	is_plain 'the log' <"$MNT/.memofs/log"
	! grep -q '^uid=0' "$MNT/.memofs/log" || fail 'a line of the log is forged'
	getfattr --only-values -n user.cache.writer by >"$T/shown"
	is "$(wc -l <"$T/shown")" 0 'lines of writer'
	is_plain writer <"$T/shown"
	is_plain metrics <"$MNT/.memofs/metrics"
	is_plain top.json <"$MNT/.memofs/top.json"
	is_plain stats.json <"$MNT/.memofs/stats.json"
	"$MEMOFS" ls . | is_plain 'memofs ls'
	"$MEMOFS" stat "$name" by | is_plain 'memofs stat'
	"$MEMOFS" status "$MNT" | is_plain 'memofs status'
	{ "$MEMOFS" explain "$name" 2>&1 || true; } | is_plain 'memofs explain'
	"$MEMOFS" reservations . | is_plain 'memofs reservations'
}

# --- namespaces -----------------------------------------------------------------------------------------

# Root of a user namespace of its own, whose 0 to 99 are ids from OUTSIDE on.
in_userns() { # OUTSIDE COMMAND...
	local outside=$1 pid status=0
	shift
	rm -f "$T/mapped.$outside"
	setpriv --reuid "$outside" --regid "$outside" --clear-groups unshare -U \
		bash -c 'until [ -e "$1" ]; do sleep 0.02; done; shift; exec "$@"' \
		- "$T/mapped.$outside" "$@" &
	pid=$!
	eventually 20 own_userns $pid
	echo "0 $outside 100" >"/proc/$pid/uid_map"
	echo "0 $outside 100" >"/proc/$pid/gid_map"
	: >"$T/mapped.$outside"
	wait $pid || status=$?
	return $status
}

own_userns() { [ "$(readlink "/proc/$1/ns/user")" != "$(readlink /proc/self/ns/user)" ]; }

test_root_of_a_namespace_is_nobody_else() {
	unshare -U true 2>/dev/null || skip 'no user namespaces'
	mkdir dir
	chown 61100:61100 dir
	in_userns 61100 sh -c "printf value >dir/key; chmod 600 dir/key; chown 5:5 dir/key" ||
		fail 'its own'
	is "$(stat -c %u:%g dir/key)" 61105:61105
	in_userns 61100 cat dir/key >"$T/read" || fail 'root of it may read'
	is "$(cat "$T/read")" value
	# It passes over the modes of its own ids, as anywhere: it has been sent round.
	in_userns 61100 sh -c 'printf newer >dir/key; cat dir/key' >"$T/read" || fail 'root of it'
	is "$(cat "$T/read")" newer
	is "$(stat -c %u:%g dir/key)" 61105:61105
	in_userns 61100 sh -c 'printf value >dir/key'
	# The other one is root there only.
	local command
	for command in 'cat dir/key' 'cat dir/.memofs/view/ro/key' 'echo evil >dir/key' \
		'rm -f dir/key' 'chown 0 dir/key' 'chmod 777 dir' 'mv dir/key dir/other' \
		'echo "me 60s" >dir/.memofs/reservations/key' 'mkdir dir/.memofs/stage/tree' \
		'setfattr -n user.cache.ttl -v 1s dir/key' 'setfattr -n user.cache.pin -v yes dir' \
		"cat $MNT/.memofs/top.json" "cat $MNT/.memofs/jobs/gc" "echo >$MNT/.memofs/jobs/gc" \
		"mount -t tmpfs none $MNT" "umount $MNT" "umount -l $MNT"; do
		! in_userns 61300 sh -c "$command" >/dev/null 2>&1 || fail "it could: $command"
	done
	has dir/key value
	[ -e "$MNT/.memofs" ]
}

# Ids that a namespace does not have cannot make, and what they made cannot be taken.
test_ids_without_a_mapping() {
	unshare -U true 2>/dev/null || skip 'no user namespaces'
	mkdir -m 777 dir
	publish dir/key value
	! in_userns 61300 setpriv --reuid 50 --regid 50 sh -c 'echo evil >dir/key' 2>/dev/null ||
		fail 'replaced by an id of the namespace'
	# Of a user whom no id stands for the kernel makes nothing at all.
	! unshare -U sh -c 'echo evil >dir/nobodys' 2>/dev/null || [ "$(stat -c %u dir/nobodys)" = 0 ] ||
		fail 'made by who has no id'
	has dir/key value
}

# A container: its own processes, mounts and ids, and a view bound into it.
in_container() { # OUTSIDE VIEW COMMAND
	in_userns "$1" unshare -m -p -f --mount-proc sh -ec '
		mkdir -p "$2"
		mount --bind "$1" "$2"
		cd "$2"
		eval "$3"' - "$2" "$T/bound.$1" "$3"
}

test_containers() {
	unshare -Ur -m -p -f --mount-proc true 2>/dev/null || skip 'no containers'
	mkdir -m 1777 shared
	mkdir -m 777 "$T/bound.61100" "$T/bound.61300"
	in_container 61100 "$PWD/shared" 'printf value >key; printf x >other; chmod 600 other' ||
		fail 'the first cannot write'
	has shared/key value
	in_container 61300 "$PWD/shared" '[ "$(cat key)" = value ]' || fail 'the second cannot read'
	local command
	for command in 'cat other' 'rm -f key' 'mv key mine' 'echo evil >key' \
		'echo "me 60s" >.memofs/reservations/key' 'ls /proc/$(cat /proc/1/comm)' \
		'echo evil >.memofs/view/max-age=0s/key'; do
		! in_container 61300 "$PWD/shared" "$command" >/dev/null 2>&1 || fail "it could: $command"
	done
	has shared/key value
	# A view that was handed out is not left.
	in_container 61300 "$PWD/shared/.memofs/view/ro" '[ "$(cat key)" = value ]' || fail 'ro'
	for command in 'echo x >new' 'echo x >.memofs/view/stale/new' 'mkdir .memofs/stage/tree' \
		'echo "me 60s" >.memofs/reservations/new' 'echo x >.memofs/versions/v/new'; do
		! in_container 61300 "$PWD/shared/.memofs/view/ro" "$command" >/dev/null 2>&1 ||
			fail "under ro: $command"
	done
}

# --- what the daemon itself may do -----------------------------------------------------

# A set of capabilities of the daemon, hexadecimal, without leading zeros.
capabilities() { # FIELD [MOUNTPOINT]
	sed -n "s/^$1:\t0*\(.*\)/\1/p" "/proc/$(daemon_pid "${2:-$MNT}")/status"
}

# CAP_SYS_PTRACE is bit 19, CAP_SYS_ADMIN bit 21.
test_the_daemon_drops_privileges() {
	local set
	for set in CapPrm CapEff CapBnd; do is "$(capabilities $set)" 280000 $set; done
	for set in CapInh CapAmb; do is "$(capabilities $set)" '' $set; done
	is "$(capabilities NoNewPrivs)" 1 NoNewPrivs
	local task
	# The thread sanitizer has a thread of its own from before main().
	! grep -qa __tsan_init "$MEMOFS_BUILD/memofsd" || return 0
	for task in /proc/"$(daemon_pid)"/task/*/status; do
		is "$(sed -n 's/^CapEff:\t0*//p' "$task")" 280000 "CapEff of $task"
	done
}

# What they are kept for: it sees how another user's command ends.
test_the_end_of_others_is_seen() {
	chmod 777 .
	mallory sh -c 'echo x >key; exit 3' || true
	mallory sh -c 'exec cp /etc/passwd /nowhere >key 2>&1' || true
	absent key
	grep -q 'exit status' .memofs/reservations/key || fail "$(cat .memofs/reservations/key)"
}

# A store of another user works as before; then modes are passed over.
test_the_store_of_another_user() {
	needs_persistence
	mkdir -m 700 "$T/home"
	mkdir "$T/home/mnt"
	chown -R $ALICE:$ALICE "$T/home"
	mount_at "$T/home/store" "$T/home/mnt"
	echo kept >"$T/home/mnt/key"
	umount_at "$T/home/mnt"
	chown -R $ALICE:$ALICE "$T/home/store"
	mount_at "$T/home/store" "$T/home/mnt"
	has "$T/home/mnt/key" $'kept\n'
	echo more >"$T/home/mnt/more"
	umount_at "$T/home/mnt"
	mount_at "$T/home/store" "$T/home/mnt"
	has "$T/home/mnt/more" $'more\n'
	umount_at "$T/home/mnt"
	rm -rf "${T:?}/home"
}

run_tests "$@"
