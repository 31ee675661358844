#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every name a file may have, and the ones it may not.
# shellcheck source=functions.sh disable=SC2016
. "$(dirname "$0")/functions.sh"
setup

round_trip() { # NAME
	printf '%s' "content of $1" >"$1"
	has "$1" "content of $1"
	is "$(stat -c %s -- "$1")" $((${#1} + 11)) "size of $(printf %q "$1")"
	mv -- "$1" moved
	has moved "content of $1"
	mv -- moved "$1"
}

test_odd_names() {
	local names=(' ' 'a b' '  two  ' $'new\nline' $'tab\t' '*' '?' '[a]' '-' '-rf' '--help'
		'"quoted"' "it's" "\\" '$HOME' '`id`' ';' '|' '...' '.hidden' '~' '#' '%s%n'
		$'\e[31mred' $'\x7f' $'caf\xc3\xa9' $'\xff\xfe' 'CON' 'a:b' '{}' '!' '&')
	local name
	mkdir -p dir
	cd dir
	for name in "${names[@]}"; do round_trip "./$name"; done
	is "$(find . -mindepth 1 -printf '\0' | wc -c)" ${#names[@]} 'names listed'
	silent cp -a . ../kept
	rm -f -- ./* ./.hidden ./...
	is "$(names .)" '' 'left over'
}

test_every_byte() {
	needs python3
	python3 - <<-'END'
		import os
		names = [bytes([b]) for b in range(1, 256) if b not in b"/."]
		names += [b"x" + bytes([b]) + b"y" for b in range(1, 256) if b != ord("/")]
		for name in names:
		    with open(name, "wb") as f:
		        f.write(name)
		assert sorted(os.listdir(b".")) == sorted(names), "the listing differs"
		for name in names:
		    with open(name, "rb") as f:
		        assert f.read() == name, name
		    os.rename(name, name + b"2")
		    assert not os.path.exists(name), name
		    os.unlink(name + b"2")
		assert os.listdir(b".") == []
		os.mkdir("kept")
		os.chdir("kept")
		for name in names:
		    with open(name, "wb") as f:
		        f.write(name)
	END
}

test_long_names() {
	local n255 n256
	n255=$(printf 'n%.0s' $(seq 1 255))
	n256=${n255}n
	echo x >"$n255"
	has "$n255" $'x\n'
	is "$(ls)" "$n255"
	mkdir d
	mv "$n255" "d/$n255"
	has "d/$n255" $'x\n'
	mkdir "$n255"
	rmdir "$n255"
	ln -s target "$n255"
	rm "$n255"
	for command in 'touch' 'mkdir' 'cat' 'rmdir' 'ln -s x' 'mv d' 'stat' 'rm'; do
		# shellcheck disable=SC2086
		fails 'File name too long' $command "$n256"
	done
	fails 'File name too long' bash -c 'echo x >$1' - "$n256"
	is "$(names .)" d 'left over'
	# 255 bytes are fewer characters when they are not ASCII.
	local wide
	wide=$(printf '\xc3\xa9%.0s' $(seq 1 127))
	round_trip "./$wide"
	fails 'File name too long' touch "${wide}xx"
}

test_deep_paths() {
	local i path=.
	for i in $(seq 1 100); do path=$path/d$i; done
	mkdir -p "$path"
	echo deep >"$path/key"
	has "$path/key" $'deep\n'
	is "$(find . -type d | wc -l)" 101
	fails 'File name too long' cat "$(printf 'd/%.0s' $(seq 1 2100))x"
	rm -r d1
}

test_reserved_name() {
	needs_mount
	mkdir d
	echo x >f
	for where in . d; do
		fails '.' mkdir "$where/.memofs"
		fails '.' rmdir "$where/.memofs"
		fails '.' rm -rf "$where/.memofs"
		fails '.' mv "$where/.memofs" "$where/other"
		fails '.' mv -T f "$where/.memofs"
		fails '.' ln -s x "$where/.memofs"
		fails '.' ln -sT x "$where/.memofs"
		fails '.' mknod "$where/.memofs" p
		fails '.' bash -c 'echo x >$1/.memofs' - "$where"
		fails '.' cp -T f "$where/.memofs"
		[ -d "$where/.memofs" ] || fail "$where/.memofs has gone"
	done
	has f $'x\n'
	is "$(ls -A | tr '\n' ' ')" 'd f '
	is "$(ls -A d)" ''
	# Touching changes nothing, and creates nothing.
	touch .memofs 2>/dev/null || true
	[ -d .memofs ] || fail '.memofs has gone'
	# Longer and shorter ones are names like others.
	for name in .memof .memofs2 .Memofs memofs; do round_trip "./$name"; done
	rmdir d
	[ ! -e d ] || fail 'a directory which holds .memofs only is not empty'
}

test_dot_names() {
	mkdir d
	fails 'Invalid argument|refusing|Device or resource busy' rmdir d/.
	fails 'File exists' mkdir .
	fails 'File exists' mkdir d/..
	fails 'busy|refusing|cannot' mv d/. e
	echo x >f
	fails 'Not a directory' cat f/
	fails 'Not a directory' ls f/.
	rmdir d/
}

# Its times change with each close, before the value is decided, and what was told stays.
test_times_of_a_directory() {
	needs python3
	mkdir dir
	python3 - <<-'END'
		import os, subprocess, time
		def told():
		    return os.stat("dir").st_mtime_ns, os.stat("dir").st_ctime_ns
		first = last = told()
		for i in range(100):
		    with open("dir/%d" % i, "w") as f: f.write("x")
		    time.sleep(0.001)
		    now = told()
		    assert now >= last, (i, last, now)
		    last = now
		assert last[0] > first[0], "they did not change"
		assert len(os.listdir("dir")) == 100 # decides them all
		after = subprocess.check_output(["stat", "--cached=never", "-c", "%.Y %.Z", "dir"])
		assert after.decode().split() == ["%d.%09d" % divmod(t, 10**9) for t in last], (after, last)
		# What is set stays, too.
		with open("dir/last", "w") as f: f.write("x")
		os.utime("dir", ns=(10**18, 10**18))
		os.listdir("dir")
		after = subprocess.check_output(["stat", "--cached=never", "-c", "%Y", "dir"])
		assert int(after) == 10**9, after
	END
}

run_tests "$@"
