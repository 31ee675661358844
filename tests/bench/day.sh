#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A day of a cache with a bound, and the same one without, side by side: what was taken
# at most, of the bound and of the disk, what failed, and latencies of reads (open and
# the first page) and writes (a whole value), in milliseconds.
#
# Arguments: [--csv] [SECONDS [MIB]], by default 120 seconds and a bound of 1024 MiB;
# the run without a bound takes up to three times as much of the disk.
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "${MEMOFS_BUILD:-$source_dir/build}")
work=$(mktemp -d "${TMPDIR:-/tmp}/memofs-day.XXXXXX")
csv=
[ "${1:-}" != --csv ] || { csv=--csv && shift; }
seconds=${1:-120} mib=${2:-1024}

finish() {
	local status=$?
	trap - EXIT
	cd /
	! mountpoint -q "$work/mnt" || "$build/memofs" umount "$work/mnt" || umount -l "$work/mnt"
	rm -rf --one-file-system -- "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

header() {
	local columns=("$@")
	if [ -n "$csv" ]; then
		(IFS=,; echo "${columns[*]}")
	else
		printf '%-12s %8s %8s %8s %8s %8s %7s %6s %8s %8s %8s %8s\n' "${columns[@]}"
	fi
}

day() { # ROW SIZE [OPTION...]
	local row=$1 size=$2
	shift 2
	"$build/memofs" mount -o "size=$size" --log "$work/log" "$work/store" "$work/mnt"
	"$build/tests/mount/day" --row "$row" --seconds "$seconds" --size $((mib << 20)) \
		--store "$work/store" ${csv:+"$csv"} "$@" "$work/mnt"
	"$build/memofs" umount "$work/mnt"
	rm -rf "$work/store"
}

mkdir "$work/mnt"
header bound 'total_mib' 'du_mib' hits misses writes refused failed 'r50_ms' 'r99_ms' \
	'w50_ms' 'w99_ms'
day "${mib}MiB" "${mib}MiB"
day none none --unbounded
