#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hit, publish and list paths of several builds side by side, in one run: what an
# operation takes, what of it is processor time of the daemon, and how many requests it
# is. Builds are NAME=BUILD_DIRECTORY; everything else is for paths (--rounds N,
# --count N, --entries N, --mib N, --work WORK). Without a build: this one, and the disk
# below it.
#
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "${MEMOFS_BUILD:-$source_dir/build}")
work=$(mktemp -d "${TMPDIR:-/tmp}/memofs-paths.XXXXXX")
mounts=()

finish() {
	local status=$?
	trap - EXIT
	cd /
	for mnt in "${mounts[@]}"; do
		! mountpoint -q "$mnt" || timeout 60 "$build/memofs" umount "$mnt" || umount -l "$mnt"
	done
	rm -rf --one-file-system -- "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

mount_build() { # NAME DIRECTORY
	mkdir "$work/$1"
	mounts+=("$work/$1")
	"$2/memofs" mount --log "$work/$1.log" "$work/$1.store" "$work/$1"
	targets+=("$1=$work/$1")
}

options=() targets=()
for arg; do
	case $arg in
	[a-zA-Z]*=*) mount_build "${arg%%=*}" "$(realpath "${arg#*=}")" ;;
	*) options+=("$arg") ;;
	esac
done
if [ ${#targets[@]} -eq 0 ]; then
	mount_build memofs "$build"
	mkdir "$work/disk"
	targets+=("disk=$work/disk")
fi
"$build/tests/bench/paths" "${options[@]}" "${targets[@]}"
