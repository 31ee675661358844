#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a store, a directory and an entry may take, as programs meet it. Everything is
# pinned: what is refused is not evicted for.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no bound'
setup -o size=32M
set_attr pin yes "$MNT"

df_of() { df -B1 --output="$2" "$1" | tail -n 1 | tr -d ' '; }

used_less() { [ "$(df_of . used)" -lt "$1" ]; }

test_df() {
	local before after
	is "$(df_of . size)" $((32 << 20)) size
	before=$(df_of . avail)
	[ "$before" -le $((32 << 20)) ] || fail "df has $before for a store of 32 MiB"
	head -c 4000000 /dev/urandom >f
	after=$(df_of . avail)
	[ $((before - after)) -ge 4000000 ] && [ $((before - after)) -lt 4300000 ] ||
		fail "4000000 bytes took $((before - after)) of what df has"
	rm f
	eventually 10 used_less 1000000
}

test_df_below_a_quota() {
	mkdir q
	set_attr quota 1MiB q
	is "$(attr quota q)" 1MiB quota
	mkdir q/sub
	head -c 500000 /dev/urandom >q/sub/f
	is "$(df_of q size)" $((1 << 20)) size
	is "$(df_of q/sub size)" $((1 << 20)) 'size below'
	is "$(df_of q/sub/f size)" $((1 << 20)) 'size of a file'
	[ "$(df_of q used)" -ge 500000 ] && [ "$(df_of q used)" -lt 550000 ] ||
		fail "df says that $(df_of q used) are used"
	[ "$(df_of . size)" -gt $((1 << 20)) ] || fail 'the quota is shown above it'
}

test_full_store() {
	local i
	head -c 3000000 /dev/urandom >"$T/block"
	cp "$T/block" first
	for ((i = 0; i < 12; i++)); do
		cp "$T/block" "f$i" 2>"$T/errors" || break
	done
	grep -q 'No space left' "$T/errors" || fail "cp said: $(cat "$T/errors")"
	[ "$i" -ge 5 ] || fail "it was full after $i"
	absent "f$i"
	cmp first "$T/block" || fail 'what was stored has changed'
	grep -q 'no room for .* option size' "$LOG" || fail 'the log says nothing'
	# Through a redirection, and a small one, which is refused when it is closed.
	fails 'No space left' bash -c 'head -c 3000000 /dev/zero | cat >g'
	absent g
	rm f0 f1
	eventually 10 cp "$T/block" again
	cmp again "$T/block" || fail 'it is not what was written'
	rm -f f* first again
}

# Nothing can be evicted: who writes is kept for some seconds before he is refused. Of
# the others none is; the first one of them would be answered after him.
test_reads_while_a_writer_waits() {
	local i reads=0
	head -c 3000000 /dev/urandom >"$T/block"
	head -c 100000 /dev/urandom >"$T/middle"
	echo small >"$T/small"
	for ((i = 0; i < 12; i++)); do cp "$T/block" "f$i" 2>/dev/null || break; done
	for ((i = 0; i < 40; i++)); do cp "$T/middle" "m$i" 2>/dev/null || break; done
	for ((i = 0; i < 200; i++)); do cp "$T/small" "s$i" 2>/dev/null || break; done
	[ "$i" -lt 200 ] || fail 'it is not full'
	rm -f "$T/refused"
	{ cp "$T/small" again 2>/dev/null || touch "$T/refused"; } &
	while [ ! -e "$T/refused" ] && kill -0 $! 2>/dev/null; do
		cat f0 >/dev/null
		reads=$((reads + 1))
	done
	wait $! || :
	[ -e "$T/refused" ] || fail 'it was not refused'
	[ "$reads" -ge 20 ] || fail "$reads reads until the writer was refused"
	rm -f f* m* s*
}

test_quota() {
	mkdir q q/inner
	set_attr quota 1MiB q
	set_attr quota 100KiB q/inner
	head -c 90000 /dev/urandom >q/inner/f
	fails 'Disk quota exceeded' bash -c 'head -c 90000 /dev/zero | cat >q/inner/g'
	absent q/inner/g
	fails 'Disk quota exceeded' bash -c 'head -c 200000 /dev/zero >q/inner/g'
	absent q/inner/g
	is "$(wc -c <q/inner/f)" 90000
	head -c 900000 /dev/urandom >q/f
	fails 'Disk quota exceeded' cp q/f q/g
	absent q/g
	# Within an area a directory moves, across its edge it is copied.
	mkdir q/d
	echo text >q/d/f
	mv q/d q/e
	fails 'Invalid cross-device link' python3 -c 'import os; os.rename("q/e", "e")'
	mv q/e e
	is "$(cat e/f)" text
	absent q/e
	rm q/f
	eventually 10 mv e q/e
	is "$(cat q/e/f)" text
	fails 'Invalid argument' setfattr -n user.cache.quota -v much q
	setfattr -x user.cache.quota q
	head -c 1100000 /dev/zero >q/large
	rm -r q
}

test_max_entry() {
	mkdir d
	set_attr max-entry 64KiB d
	head -c 65536 /dev/zero >d/f
	fails 'File too large' bash -c 'head -c 65537 /dev/zero >d/f'
	is "$(wc -c <d/f)" 65536
	fails 'File too large' truncate -s 65537 d/g
	grep -q 'max-entry, 64KiB, as set on the directory "/.*d"' "$LOG" ||
		fail "the log does not say where it is set: $(tail -n 3 "$LOG")"
	fails 'File too large' bash -c "head -c $((17 << 20)) /dev/zero >too-large"
	rm -r d
}

test_commands() {
	needs python3
	"$MEMOFS" ns create bounded
	"$MEMOFS" ns set bounded quota=3MiB max-entry=1MiB pin=no
	is "$(attr quota "$MNT/bounded") $(attr max-entry "$MNT/bounded")" '3MiB 1MiB'
	"$MEMOFS" ns list | grep -Eq ' 3MiB +1MiB +no +bounded$' || fail "$("$MEMOFS" ns list)"
	"$MEMOFS" ns list --json |
		python3 -c 'import json, sys
for n in json.load(sys.stdin):
    if n["name"] == "bounded": print(n["quota"], n["max-entry"], n["pin"])' >"$T/out"
	is "$(cat "$T/out")" '3MiB 1MiB no'
	fails 'quota: "much" is not a size' "$MEMOFS" ns set bounded quota=much
	fails 'pin: "maybe" is neither' "$MEMOFS" ns set bounded pin=maybe
	"$MEMOFS" ns set bounded quota= max-entry= pin=
	fails 'No such attribute' attr quota "$MNT/bounded"
	rmdir "$MNT/bounded"
}

# What close(2) has returned for does not count any more, however late the daemon is.
test_what_is_closed_makes_room() {
	local own=$T/room
	needs_root
	needs setpriv python3
	[ -e "$JITTER" ] || skip 'a sanitizer has to be loaded first'
	mkdir "$own"
	MEMOFS_JITTER=${MEMOFS_JITTER:-8:300} mount_at "$own.store" "$own" \
		-o user-handles=6,user-values=3,user-bytes=1MiB
	chmod 777 "$own"
	cd "$own"
	setpriv --reuid 65534 --regid 65534 --clear-groups timeout 100 python3 -I - <<-'END'
		import os
		def begin(name):
		    return os.open(name, os.O_CREAT | os.O_WRONLY)
		for i in range(40):
		    fd = begin(f"b{i}")
		    os.write(fd, b"x" * (600 << 10))
		    os.unlink(f"b{i}")
		    os.close(fd)
		values = [begin(f"v{i}") for i in range(3)]
		for i in range(40):
		    os.close(values.pop(0))
		    os.stat(f"v{i}") # it is published
		    values.append(begin(f"v{i + 3}"))
		for fd in values:
		    os.close(fd)
		for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY):
		    fds = []
		    for i in range(60):
		        if len(fds) == 6:
		            os.close(fds.pop(0))
		        fds.append(os.open("." if flags else "v0", flags))
		    for fd in fds:
		        os.close(fd)
	END
	cd /
	umount_at "$own"
}

run_tests "$@"
