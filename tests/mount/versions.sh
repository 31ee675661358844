#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A directory at several versions.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no versions'
setup

test_switch_hides_and_shows() {
	mkdir d
	echo unnamed >d/key
	echo only >d/only
	set_attr version v1 d
	is "$(attr version d)" v1
	absent d/key d/only
	is "$(ls d)" ''
	echo one >d/key
	set_attr version v2 d
	absent d/key
	mkdir d/key
	echo two >d/key/deep
	set_attr version v1 d
	has d/key $'one\n'
	set_attr version v2 d
	has d/key/deep $'two\n'
	set_attr version '' d
	has d/key $'unnamed\n'
	has d/only $'only\n'
	set_attr version v1 d
	setfattr -x user.cache.version d
	has d/key $'unnamed\n'
}

test_entry_knows_its_version() {
	mkdir d
	set_attr version v1 d
	echo x >d/key
	is "$(attr version d/key)" v1
	# Copies carry it along; taking it in changes nothing, and does not warn.
	silent set_attr version v2 d/key
	is "$(attr version d/key)" v1
}

test_versions_by_path() {
	mkdir d
	set_attr version v1 d
	echo one >d/key
	set_attr version v2 d
	echo two >d/key
	has d/.memofs/versions/v1/key $'one\n'
	has d/.memofs/versions/v2/key $'two\n'
	has d/.memofs/view/version=v1/key $'one\n'
	has d/.memofs/view/version=v2/key $'two\n'
	is "$(ls d/.memofs/versions/v1)" key
	is "$(ls d/.memofs/versions | sort | tr '\n' ' ')" 'v1 v2 '
	# Writing there is writing to that version.
	echo new >d/.memofs/versions/v1/other
	absent d/other
	set_attr version v1 d
	has d/other $'new\n'
	echo changed >d/key
	has d/.memofs/versions/v1/key $'changed\n'
	rm d/.memofs/versions/v2/key
	set_attr version v2 d
	absent d/key
	# A version nobody wrote is empty, and can be written.
	is "$(ls d/.memofs/versions/v3)" ''
	absent d/.memofs/versions/v3/key
	echo three >d/.memofs/versions/v3/key
	mkdir d/.memofs/versions/v3/sub
	echo deep >d/.memofs/versions/v3/sub/key
	set_attr version v3 d
	has d/key $'three\n'
	has d/sub/key $'deep\n'
}

test_view_composes_with_tools() {
	mkdir d
	set_attr version v1 d
	cp -a "$MEMOFS_SOURCE/store/util" d/util
	set_attr version v2 d
	diff -r "$MEMOFS_SOURCE/store/util" d/.memofs/versions/v1/util
	silent cp -a d/.memofs/versions/v1/util "$T/util"
	diff -r "$MEMOFS_SOURCE/store/util" "$T/util"
	is "$(find d/.memofs/versions/v1 -type f | wc -l)" "$(find "$T/util" -type f | wc -l)"
	tar -C d/.memofs/versions/v1 -cf - util | tar -tf - >/dev/null
	silent mv d/.memofs/versions/v1/util d/util
	diff -r "$T/util" d/util
	absent d/.memofs/versions/v1/util
	rm -r "$T/util"
}

# No window between a close by one path and an open by the other, though the
# kernel has just been told that there is nothing.
test_closed_by_one_path_found_by_the_other() {
	mkdir d
	set_attr version v1 d
	python3 - <<-'END'
		import os
		paths = ["d", "d/.memofs/versions/v1"]
		for i in range(1500):
		    one, other = paths[i % 2], paths[(i + 1) % 2]
		    assert not os.path.exists(f"{other}/k{i}")
		    fd = os.open(f"{one}/k{i}", os.O_CREAT | os.O_WRONLY)
		    os.write(fd, b"x")
		    os.close(fd)
		    with open(f"{other}/k{i}") as f:
		        assert f.read() == "x", i
	END
}

# Both paths show one directory, though the kernel knows it under two nodes.
test_times_are_the_same_by_both_paths() {
	mkdir d
	set_attr version v1 d
	stat d d/.memofs/versions/v1 >"$T/warm"
	sleep 0.05
	mkdir d/.memofs/versions/v1/made_there
	eventually same_time
	sleep 0.05
	mkdir d/made_here
	eventually same_time
	chmod 0700 d
	eventually same_mode
}

# The kernel is told by a thread: give that a moment.
eventually() {
	for _ in $(seq 100); do
		"$@" && return
		sleep 0.05
	done
	fail "never became true: $*"
}
same_time() { [ "$(stat -c %y d)" = "$(stat -c %y d/.memofs/versions/v1)" ]; }
same_mode() { [ "$(stat -c %a d)" = "$(stat -c %a d/.memofs/versions/v1)" ]; }

test_bind_mount_of_a_version() {
	needs_root
	mkdir d
	set_attr version v1 d
	echo one >d/key
	set_attr version v2 d
	mkdir "$T/bound"
	mount --bind d/.memofs/versions/v1 "$T/bound"
	has "$T/bound/key" $'one\n'
	echo more >"$T/bound/more"
	is "$(ls "$T/bound" | tr '\n' ' ')" 'key more '
	umount "$T/bound"
	rmdir "$T/bound"
	has d/.memofs/versions/v1/more $'more\n'
	absent d/more
}

test_readers_keep_what_is_open() {
	mkdir d
	set_attr version v1 d
	echo one >d/key
	exec 3<d/key
	cd d
	set_attr version v2 .
	is "$(cat <&3)" one
	absent key
	is "$(ls)" ''
	echo two >key
	set_attr version v1 .
	has key $'one\n'
}

test_writer_publishes_where_it_began() {
	mkdir d
	set_attr version v1 d
	exec 3>d/key
	echo one >&3
	set_attr version v2 d
	exec 3>&-
	absent d/key
	has d/.memofs/versions/v1/key $'one\n'
}

test_rename_takes_versions_along() {
	mkdir d other
	set_attr version v1 d
	echo one >d/key
	set_attr version v2 d
	echo two >d/key
	mv d e
	is "$(attr version e)" v2
	has e/key $'two\n'
	has e/.memofs/versions/v1/key $'one\n'
	mv e other/f
	set_attr version v1 other/f
	has other/f/key $'one\n'
	is "$(ls other/f/.memofs/versions | sort | tr '\n' ' ')" 'v1 v2 '
}

test_versions_of_directories_are_their_own() {
	mkdir -p d/sub
	set_attr version s1 d/sub
	echo s1 >d/sub/key
	set_attr version v1 d
	absent d/sub
	mkdir d/sub
	echo other >d/sub/key
	set_attr version '' d
	is "$(attr version d/sub)" s1
	has d/sub/key $'s1\n'
}

test_rmdir_with_hidden_versions() {
	mkdir d
	set_attr version v1 d
	echo one >d/key
	fails 'Directory not empty' rmdir d
	set_attr version v2 d
	rmdir d
	absent d
	mkdir d
	set_attr version v1 d
	is "$(ls d)" ''
}

test_bad_versions() {
	mkdir d
	local long
	long=$(printf 'v%.0s' $(seq 1 256))
	set_attr version good d
	for bad in a/b / . .. $'a\nb' "$long"; do
		fails 'Invalid argument|out of range' set_attr version "$bad" d
	done
	fails 'Invalid argument' setfattr -n user.cache.version -v 0x610062 d
	is "$(attr version d)" good
	set_attr version "${long%v}" d
	is "$(attr version d)" "${long%v}"
	echo x >d/key
	has "d/.memofs/versions/${long%v}/key" $'x\n'
	set_attr version 'a b,c=d' d
	echo y >d/key
	has 'd/.memofs/versions/a b,c=d/key' $'y\n'
	fails 'No such file|Invalid argument' ls d/.memofs/view/colour=red
	fails 'No such file|Invalid argument' ls d/.memofs/view/version
}

# Copying a directory copies what it shows; its version must not hide the copy.
test_copy_of_a_versioned_directory() {
	mkdir d
	set_attr version v1 d
	echo one >d/key
	silent cp -a d cp
	has cp/key $'one\n'
	silent rsync -aX d/ rsync/
	has rsync/key $'one\n'
	mkdir tar
	tar --xattrs -C d -cf - . | tar --xattrs --xattrs-include='*' -C tar -xf -
	has tar/key $'one\n'
}

# Switching costs the same however much there is to hide: it is counted in
# requests, not in time, and every name was known to the kernel before.
test_switch_is_one_request() {
	local before after
	mkdir d
	for i in $(seq 1 2000); do echo "$i" >"d/$i"; done
	ls -l d >/dev/null
	before=$(status_of requests)
	set_attr version v1 d
	after=$(status_of requests)
	[ $((after - before)) -lt 40 ] || fail "a switch took $((after - before)) requests"
	is "$(ls d)" ''
	absent d/1 d/2000
	before=$(status_of requests)
	set_attr version '' d
	after=$(status_of requests)
	[ $((after - before)) -lt 40 ] || fail "switching back took $((after - before)) requests"
	has d/2000 $'2000\n'
	is "$(ls d | wc -l)" 2000
}

run_tests "$@"
