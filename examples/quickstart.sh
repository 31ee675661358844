#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Clone, run this, and see a real job answered from a mounted cache: memofs is
# built and mounted, and its own sources are compiled twice through
# cached-cc.sh, a compiler cache of plain shell which keeps objects in the mount.
#
# Stays behind: the folder build-quickstart/, and the packages that were missing.
# Works as root, and as an ordinary user where fusermount3 may mount.
#
# Environment:
#   MEMOFS_BUILD   take memofs from this build, as it is, and build none
#   MEMOFS_JOB     what of memofs is compiled through the cache, as targets of ninja
#                  (default: all)
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
build=${MEMOFS_BUILD:-$source/build-quickstart}
tmp=''
mounted=0

step() { printf '\n== %s\n' "$*"; }

stop() {
	echo "quickstart: $*" >&2
	exit 1
}

cleanup() {
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	cd /
	[ $mounted -eq 0 ] || unmount || :
	[ -z "$tmp" ] || rm -rf "$tmp"
	exit $status
}

unmount() {
	timeout 60 "$build/memofs" umount "$tmp/mnt" || {
		umount -l "$tmp/mnt" 2>/dev/null || fusermount3 -u -z "$tmp/mnt"
		return 1
	}
	mounted=0
}

check_fuse() {
	[ -e /dev/fuse ] || stop 'this machine has no /dev/fuse (in a container: --device /dev/fuse --cap-add SYS_ADMIN)'
	(: <>/dev/fuse) 2>/dev/null ||
		stop "/dev/fuse cannot be opened by $(id -un); run this as root, or have its mode set to 0666"
	[ "$(id -u)" -eq 0 ] || [ -e /etc/mtab ] ||
		stop 'there is no /etc/mtab, without which fusermount3 unmounts nothing; as root: ln -s /proc/self/mounts /etc/mtab'
}

build_memofs() {
	[ -z "${MEMOFS_BUILD:-}" ] || return 0
	if [ ! -e "$build/build.ninja" ]; then
		meson setup --buildtype=release -Dtests=false "$build" "$source" >"$tmp/log" 2>&1 ||
			fail_with_log 'meson failed'
	fi
	timeout 1800 ninja -C "$build" >"$tmp/log" 2>&1 || fail_with_log 'the build failed'
}

fail_with_log() {
	tail -n 40 "$tmp/log" >&2
	stop "$1"
}

# A build of the project in a folder of its own, with our script as its compiler.
# From a copy, so that both passes compile the same even if somebody edits.
prepare_job() {
	mkdir "$tmp/source"
	(cd "$source" && cp -R store fs cli meson.build meson_options.txt "$tmp/source")
	CC="'$source/examples/cached-cc.sh' ${CC:-cc}" \
		meson setup -Dtests=false "$tmp/job" "$tmp/source" >"$tmp/log" 2>&1 ||
		fail_with_log 'meson failed'
	# meson tried its compiler on small programs; what it kept is not of the job.
	rm -f "$tmp/mnt/cc/"* "$tmp/calls"
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Compile everything, and say how long it took and where objects came from.
pass() {
	ninja -C "$tmp/job" -t clean >/dev/null
	: >"$tmp/calls"
	began=$(now_ms)
	# shellcheck disable=SC2086 # they are several
	timeout 1800 ninja -C "$tmp/job" ${MEMOFS_JOB:-} >"$tmp/log" 2>&1 ||
		fail_with_log 'the job failed'
	took=$(($(now_ms) - began))
	printf '%s pass: %d.%03d s, %d objects compiled, %d from the cache\n' "$1" \
		$((took / 1000)) $((took % 1000)) \
		"$(grep -c '^miss' "$tmp/calls")" "$(grep -c '^hit' "$tmp/calls")"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

step 'installing what is missing'
"$source/tools/install-packages.sh" build mount
check_fuse
tmp=$(mktemp -d "${TMPDIR:-/tmp}/memofs-quickstart.XXXXXX")

step "building in $build"
build_memofs

step 'mounting a store'
mkdir "$tmp/mnt"
timeout 60 "$build/memofs" mount --log "$tmp/daemon.log" "$tmp/store" "$tmp/mnt"
mounted=1
mkdir "$tmp/mnt/cc"
setfattr -n user.cache.ttl -v 7d "$tmp/mnt/cc"
setfattr -n user.cache.version -v "cc-$(${CC:-cc} -dumpversion)" "$tmp/mnt/cc"
export MEMOFS_CACHE="$tmp/mnt/cc" CACHED_CC_LOG="$tmp/calls"
echo "$tmp/mnt/cc is a cache directory; what is in it ends after 7 days"

step "compiling memofs itself, twice, with CC='cached-cc.sh ${CC:-cc}'"
prepare_job
pass first
pass second
[ "$(grep -c '^miss' "$tmp/calls")" -eq 0 ] || stop 'the second pass compiled again'

step 'what is cached: ls -l'
# The names cut short, and the first ten of them, so that what is above stays in view.
# shellcheck disable=SC2012
ls -l "$tmp/mnt/cc" | sed -E 's/-([0-9a-f]{8})[0-9a-f]{56}\.o$/-\1....o/' | awk '
	NR <= 11
	END { if (NR > 11) printf "... and %d more\n", NR - 11 }'

step 'one of them, which is to live longer: setfattr, getfattr'
cd "$tmp/mnt/cc"
for entry in store.c-*.o; do break; done
[ -e "$entry" ] || stop 'store.c is not cached'
setfattr -n user.cache.ttl -v 30d "$entry"
getfattr -d "$entry"
for name in expires age hits hash writer; do
	printf 'user.cache.%s="%s"\n' $name \
		"$(getfattr --only-values -n user.cache.$name "$entry")"
done
cd /

step 'unmounting'
unmount || stop 'could not unmount'
echo 'done; try: memofs mount STORE MOUNTPOINT (see README.md)'
