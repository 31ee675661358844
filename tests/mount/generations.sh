#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A reader keeps the generation it has open, whatever becomes of the name.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary file is changed in place'
setup

# Old content which is larger than any buffer, and a descriptor half way in it.
begin_reading() {
	seq 1 500000 >"$T/old"
	seq 500000 -1 1 >"$T/new"
	cp "$T/old" key
	exec 3<key
	dd bs=1000 count=100 iflag=fullblock status=none <&3 >"$T/got"
}

finish_reading() {
	cat <&3 >>"$T/got"
	exec 3<&-
	same "$T/old" "$T/got"
}

test_overwritten() {
	begin_reading
	cp "$T/new" key
	same "$T/new" key
	finish_reading
	same "$T/new" key
}

test_overwritten_by_redirection() {
	begin_reading
	: >key
	has key ''
	cat "$T/new" >>key
	finish_reading
	same "$T/new" key
}

test_while_it_is_being_overwritten() {
	begin_reading
	exec 4>key
	cat "$T/new" >&4
	# Not closed: whoever opens it now gets the old one.
	(exec 4>&- && cat key) | cmp - "$T/old"
	finish_reading
	exec 4>&-
	same "$T/new" key
}

test_removed() {
	begin_reading
	rm key
	absent key
	finish_reading
}

test_renamed() {
	begin_reading
	mv key elsewhere
	cp "$T/new" key
	finish_reading
	same "$T/old" elsewhere
	same "$T/new" key
}

test_replaced_by_rename() {
	begin_reading
	cp "$T/new" other
	mv other key
	finish_reading
	same "$T/new" key
}

test_expired() {
	begin_reading
	set_attr ttl 200ms key
	sleep 0.4
	absent key
	finish_reading
}

test_truncated_and_appended() {
	begin_reading
	truncate -s 10 key
	is "$(stat -c %s key)" 10
	echo more >>key
	finish_reading
	has key $'1\n2\n3\n4\n5\nmore\n'
}

test_directory_removed() {
	mkdir d
	cp "$MEMOFS_SOURCE/store/store.h" d/key
	exec 3<d/key
	rm -r d
	cmp "$MEMOFS_SOURCE/store/store.h" <(cat <&3)
}

test_many_generations_at_once() {
	local fds=() fd
	for i in $(seq 1 50); do
		echo "generation $i" >key
		exec {fd}<key
		fds+=("$fd")
	done
	rm key
	for i in $(seq 1 50); do
		read -r got <&"${fds[$((i - 1))]}"
		is "$got" "generation $i"
	done
}

test_new_generation_new_inode() {
	echo one >key
	local first second
	first=$(stat -c %i key)
	echo two >key
	second=$(stat -c %i key)
	[ "$first" != "$second" ] || fail 'the inode number was used again'
	rm key
	echo three >key
	[ "$(stat -c %i key)" != "$first" ] || fail 'the inode number was used again'
	[ "$(stat -c %i key)" != "$second" ] || fail 'the inode number was used again'
}

# A writer's bytes are nobody's until it closes.
test_invisible_until_closed() {
	exec 4>key
	echo data >&4
	(exec 4>&- && absent key)
	is "$(ls)" '' 'listed before it is closed'
	exec 4>&-
	has key $'data\n'
	is "$(ls)" key
}

test_whole_or_absent_for_another_process() {
	# The reader opens as fast as it can while the writer writes 3 MB slowly.
	(for i in 1 2 3 4 5 6; do
		head -c 500000 "$T/big" 2>/dev/null || head -c 500000 /dev/zero
		sleep 0.05
	done >key) &
	local size
	while ! size=$(stat -c %s key 2>/dev/null); do :; done
	is "$size" 3000000 'size when first seen'
	wait $!
}

# Two processes write one name at once: what is published is one of the two.
test_two_writers() {
	seq 1 500000 >"$T/one"
	seq 500000 -1 1 >"$T/two"
	local first second
	for _ in 1 2 3 4 5; do
		cat "$T/one" >key &
		first=$!
		cat "$T/two" >key &
		second=$!
		wait "$first"
		wait "$second"
		cmp -s key "$T/one" || same key "$T/two"
	done
}

# The writer sees its own file by name, and may remove or rename it; to others
# there is none yet.
test_removed_while_written() {
	python3 - <<-'END'
		import os, subprocess
		fd = os.open("key", os.O_CREAT | os.O_WRONLY)
		os.write(fd, b"data")
		assert os.stat("key").st_size == 4
		assert subprocess.run(["rm", "key"], stderr=subprocess.DEVNULL).returncode != 0
		os.unlink("key")
		os.write(fd, b"more")
		os.close(fd)
		assert not os.path.exists("key"), "what was removed has come back"
	END
	absent key
}

test_renamed_while_written() {
	echo old >key
	python3 - <<-'END'
		import os, subprocess
		fd = os.open("tmp", os.O_CREAT | os.O_WRONLY)
		os.write(fd, b"data")
		os.rename("tmp", "key")
		cat = lambda name: subprocess.run(["cat", name], capture_output=True).stdout
		assert cat("key") == b"old\n", "published before the close"
		os.write(fd, b"more")
		os.close(fd)
		assert cat("key") == b"datamore"
	END
	has key datamore
	absent tmp
}

# The reader who hits the damage is told; for the next one there is no entry.
test_damaged_value_is_a_miss() {
	local extent
	needs_persistence
	head -c 1000000 /dev/urandom >key
	cmp -n 0 key key # published
	extent=$(find "$STORE/extents" -type f -size 1000000c)
	[ -f "$extent" ] || fail "one extent expected: $extent"
	printf 'damage' | dd of="$extent" bs=1 seek=500000 conv=notrunc status=none
	fails 'Input/output error' cat key
	absent key
	echo new >key
	has key $'new\n'
}

run_tests "$@"
