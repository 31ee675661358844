#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A day of a cache with a bound, and the same one without, side by side: what was taken
# at most, of the bound and of the disk, what failed, and latencies of reads (open and
# the first page) and writes (a whole value), in milliseconds.
#
# Arguments: [--csv] [SECONDS [MIB]], by default 120 seconds and a bound of 1024 MiB;
# the run without a bound takes up to three times as much of the disk.
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
begin day
csv=
[ "${1:-}" != --csv ] || { csv=--csv && shift; }
seconds=${1:-120} mib=${2:-1024}

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
	mount_memofs "$work/store" "$work/mnt" -o "size=$size"
	"$build/tests/mount/day" --row "$row" --seconds "$seconds" --size $((mib << 20)) \
		--store "$work/store" ${csv:+"$csv"} "$@" "$work/mnt"
	unmount "$work/mnt"
	rm -rf "$work/store"
}

header bound 'total_mib' 'du_mib' hits misses writes refused failed 'r50_ms' 'r99_ms' \
	'w50_ms' 'w99_ms'
day "${mib}MiB" "${mib}MiB"
day none none --unbounded
