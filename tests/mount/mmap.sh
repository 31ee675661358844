#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Readers that map what they read.
# shellcheck source=functions.sh disable=SC2016
. "$(dirname "$0")/functions.sh"
setup

# Maps a file, waits for a line on stdin, and prints the hash of what it sees:
# once before anything else, and once for each line.
mapper() {
	cat >"$T/mapper.py" <<-'END'
		import hashlib, mmap, os, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		flags = {"shared": mmap.MAP_SHARED, "private": mmap.MAP_PRIVATE}[sys.argv[2]]
		view = mmap.mmap(fd, os.fstat(fd).st_size, flags=flags, prot=mmap.PROT_READ)
		if sys.argv[3:] == ["close"]:
		    os.close(fd)
		def show():
		    print(hashlib.md5(view).hexdigest(), flush=True)
		show()
		for line in sys.stdin:
		    show()
	END
}

sum_of() { md5sum <"$1" | cut -d' ' -f1; }

# What the mapper sees does not change, whatever happens to the name.
keeps() { # KIND [close]
	head -c 3000001 /dev/urandom >"$T/old"
	head -c 2000003 /dev/urandom >"$T/new"
	cp "$T/old" key
	coproc MAP { python3 "$T/mapper.py" key "$@"; }
	read -r got <&"${MAP[0]}"
	is "$got" "$(sum_of "$T/old")" 'before'
	for change in 'cp $T/new key' 'cat $T/old >key' 'mv $T/moved key' 'rm key'; do
		cp "$T/new" "$T/moved"
		eval "$change"
		echo >&"${MAP[1]}"
		read -r got <&"${MAP[0]}"
		is "$got" "$(sum_of "$T/old")" "after $change"
	done
	eval "exec ${MAP[1]}>&-"
	wait "$MAP_PID"
}

test_map_is_what_read_is() {
	needs python3
	mapper
	for size in 1 4095 4096 4097 131072 131073 1000000; do
		head -c "$size" /dev/urandom >"$T/ref"
		cp "$T/ref" key
		for kind in shared private; do
			is "$(python3 "$T/mapper.py" key "$kind" </dev/null)" "$(sum_of "$T/ref")" \
				"$kind map of $size bytes"
		done
	done
}

test_shared_map_keeps_its_generation() {
	needs python3
	needs_mount
	mapper
	keeps shared
}

test_private_map_keeps_its_generation_after_close() {
	needs python3
	needs_mount
	mapper
	keeps private close
}

test_execute_and_overwrite() {
	needs cc
	printf '#include <stdio.h>\n#include <unistd.h>\nint main(void){puts("one");fflush(stdout);getchar();puts("still one");return 0;}\n' |
		cc -x c -o prog -
	coproc RUN { ./prog; }
	read -r got <&"${RUN[0]}"
	is "$got" one
	# Replacing a running program is what package managers do: by rename.
	cp /bin/true other
	mv other prog
	./prog
	echo >&"${RUN[1]}"
	read -r got <&"${RUN[0]}"
	is "$got" 'still one'
	wait "$RUN_PID"
}

test_shared_library() {
	needs cc
	needs python3
	echo 'int answer(void); int answer(void) { return 42; }' | cc -shared -fPIC -x c -o lib.so -
	is "$(python3 -c 'import ctypes; print(ctypes.CDLL("./lib.so").answer())')" 42
}

run_tests "$@"
