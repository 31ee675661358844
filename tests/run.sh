#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install, build and run every default test: all of them in a normal build, then those
# that have something to show there with AddressSanitizer and UBSan, and with
# ThreadSanitizer.
#
# usage: tests/run.sh [--quick | --whole] [--no-install] [--patience N] [SUITE...]
#
#   --quick        the normal build only
#   --whole        with the sanitizers also what they leave to the normal build, and in
#                  that a look through a read-only mount at what each mount test leaves
#                  (the suite `whole` of each build)
#   --no-install   do not look for packages
#   --patience N   give each test N times as long, on a machine with other work
#   SUITE          unit, conformance, mount (these by default), slow, jitter
#
# The last line says how many tests passed, failed and were skipped. The builds
# stay in build-test/ (or $MEMOFS_TEST_BUILD); nothing else does.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
builds=${MEMOFS_TEST_BUILD:-$source/build-test}
variants='plain asan tsan'
install=1
whole=0
patience=1
suites=''
tmp=''
memory=''
jobs=$(nproc)

usage() {
	sed -n 's/^# \{0,1\}//; 7,18p' "$source/tests/run.sh"
}

while [ $# -gt 0 ]; do
	case $1 in
	--quick) variants=plain ;;
	--whole) whole=1 ;;
	--no-install) install=0 ;;
	--patience)
		case ${2:-} in
		'' | 0* | *[!0-9]*)
			echo "run.sh: --patience \"${2:-}\" is no number of times; try: --patience 4" >&2
			exit 2
			;;
		esac
		patience=$2
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	unit | conformance | mount | slow | jitter) suites="$suites $1" ;;
	*)
		echo "run.sh: unknown argument \"$1\"" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done
[ -n "$suites" ] || suites='unit conformance mount'

# Mounts that a killed test left are not left to the machine.
cleanup() {
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	cd /
	[ -z "$memory" ] || rm -rf --one-file-system "$memory"
	[ -z "$tmp" ] || remove_temporary || status=1
	exit $status
}

remove_temporary() {
	left=$(awk -v t="$tmp/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
	for mnt in $left; do
		echo "run.sh: a test left $mnt mounted" >&2
		umount -l "$mnt" 2>/dev/null || fusermount3 -u -z "$mnt"
	done
	rm -rf --one-file-system "$tmp"
	[ -z "$left" ]
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# Old ThreadSanitizers die when addresses are randomised over more bits than they
# know of (vm.mmap_rnd_bits > 28); without randomisation they work.
tsan_prefix() {
	printf 'int main(void) { return 0; }\n' |
		${CC:-cc} -fsanitize=thread -x c -o "$tmp/tsan-probe" - || {
		echo 'run.sh: the compiler has no ThreadSanitizer' >&2
		return 1
	}
	for try in 1 2 3 4 5 6 7 8; do
		"$tmp/tsan-probe" 2>/dev/null && continue
		if setarch -R "$tmp/tsan-probe" 2>/dev/null; then
			echo "setarch -R"
			return 0
		fi
		echo "run.sh: ThreadSanitizer does not work on this kernel (try $try)" >&2
		return 1
	done
}

# All sanitizers end the program at the first report.
configure() {
	case $1 in
	plain) set -- "$1" ;;
	asan) set -- "$1" -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 ;;
	tsan) set -- "$1" -Db_sanitize=thread -Db_lundef=false -Doptimization=1 ;;
	esac
	variant=$1
	shift
	[ -e "$builds/$variant/build.ninja" ] || meson setup "$@" "$builds/$variant" "$source"
}

environment() {
	prefix='' multiplier=1 MEMOFS_BACKEND=rocksdb
	case $1 in
	asan) multiplier=3 ;;
	tsan)
		# RocksDB is not instrumented; the memory backend is, to the last byte.
		prefix=$(tsan_prefix) multiplier=5 MEMOFS_BACKEND=memory
		;;
	esac
	multiplier=$((multiplier * patience))
	ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	TSAN_OPTIONS=halt_on_error=1:die_after_fork=0:second_deadlock_stack=1
	TSAN_OPTIONS=$TSAN_OPTIONS:suppressions=$source/tests/tsan.supp
	MEMOFS_BUILD=$builds/$1 MEMOFS_TIMEOUT_FACTOR=$multiplier
	export MEMOFS_TIMEOUT_FACTOR MEMOFS_BACKEND ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS MEMOFS_BUILD
}

# Tests of the engine spend most of their time waiting for the disk to be synced.
# What it keeps there the plain variant shows; the others look for something else,
# and do so in memory. The mount tests stay on the disk: one hides /dev.
folder_for() { # VARIANT SUITE
	case $1.$2 in
	asan.unit | asan.conformance | tsan.unit | tsan.conformance) echo "${memory:-$tmp}" ;;
	*) echo "$tmp" ;;
	esac
}

# A folder in memory, if there is room for it and programs may be run there.
make_memory_folder() {
	free_kib=$(df -Pk /dev/shm 2>/dev/null | awk '$1 == "tmpfs" { print $4 }')
	ram_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	[ "${free_kib:-0}" -ge 4194304 ] && [ "${ram_kib:-0}" -ge 8388608 ] || return 0
	memory=$(mktemp -d /dev/shm/memofs-run.XXXXXX) || return 0
	chmod 755 "$memory"
	printf '#!/bin/sh\n' >"$memory/program"
	chmod 755 "$memory/program"
	if ! "$memory/program" 2>/dev/null; then
		rm -rf "$memory"
		memory=''
	fi
}

suites_of() {
	case $whole in
	1) echo "$suites whole" ;;
	*) echo "$suites" ;;
	esac
}

run_variant() {
	variant=$1
	echo "== $variant: build"
	configure "$variant" >"$tmp/setup.log" 2>&1 &&
		ninja -C "$builds/$variant" >"$tmp/setup.log" 2>&1 || {
		tail -n 60 "$tmp/setup.log" >&2
		echo "run.sh: the $variant build failed" >&2
		exit 1
	}
	environment "$variant"
	for suite in $(suites_of); do
		echo "== $variant: $suite"
		# They wait for the disk, clocks and each other half of the time.
		case $suite in
		unit) processes=$jobs ;;
		*) processes=$((2 * jobs)) ;;
		esac
		rm -f "$builds/$variant/meson-logs/$suite.json"
		# Its exit code is in the log, which has more to say.
		# shellcheck disable=SC2086
		TMPDIR=$(folder_for "$variant" "$suite") \
			$prefix meson test -C "$builds/$variant" --no-rebuild --suite "$suite" \
			-t $multiplier --num-processes "$processes" --logbase "$suite" --quiet \
			>"$tmp/meson.out" 2>&1 || :
		# No log at all is a failure: it stays empty here.
		log=$tmp/results/$variant.$suite.json
		cat "$builds/$variant/meson-logs/$suite.json" >"$log" 2>/dev/null ||
			cat "$tmp/meson.out"
		python3 "$source/tests/results.py" --list "$log" || :
	done
}

[ "$install" -eq 0 ] || "$source/tools/install-packages.sh" build mount test
tmp=$(mktemp -d "${TMPDIR:-/tmp}/memofs-run.XXXXXX")
# Tests run as other users too, and look below it.
chmod 755 "$tmp"
mkdir "$tmp/results"
case $variants in *san*) make_memory_folder ;; esac
for variant in $variants; do
	run_variant "$variant"
done
python3 "$source/tests/results.py" --sum "$tmp/results"/*.json
