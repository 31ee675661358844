#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mixed load for a long time, and what the daemon takes meanwhile: its memory,
# descriptors, threads, disk and tables may not grow in the second half.
#
# Environment:
#   MEMOFS_BUILD   build directory (default: build)
#   MEMOFS_SOAK_S  how long (default: 3600)
#   MEMOFS_SOAK_MIB the bound of the store (default: 256)
#   MEMOFS_SOAK_OUT where soak.csv and soak.svg go (default: the build's folder)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${MEMOFS_BUILD:-$here/../../build}")
seconds=${MEMOFS_SOAK_S:-3600}
out=${MEMOFS_SOAK_OUT:-$build/tests/soak}
work=$(mktemp -d "${TMPDIR:-/tmp}/memofs-soak.XXXXXX")
load=

[ -e /dev/fuse ] || { echo 'SKIP: no /dev/fuse' >&2 && exit 77; }

finish() {
	local status=$?
	trap - EXIT
	[ -z "$load" ] || kill "$load" 2>/dev/null || :
	cd /
	if [ "$status" -ne 0 ] && [ -e "$work/log" ]; then tail -n 40 "$work/log" >&2; fi
	! mountpoint -q "$work/mnt" || timeout 60 "$build/memofs" umount "$work/mnt" ||
		umount -l "$work/mnt"
	rm -rf --one-file-system -- "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir -p "$out" "$work/mnt"
seed=${MEMOFS_SOAK_SEED:-$RANDOM}
echo "seed $seed, $seconds s"
"$build/memofs" mount -o "size=${MEMOFS_SOAK_MIB:-256}MiB" --log "$work/log" \
	"$work/store" "$work/mnt"
python3 "$here/load.py" "$work/mnt" "$seconds" "$seed" &
load=$!
# It ends first, so that all is sampled under load.
watched=0
python3 "$here/watch.py" "$work/mnt" "$work/store" "$((seconds - seconds / 20 - 1))" \
	"$out/soak.csv" "$out/soak.svg" || watched=$?
wait "$load"
load=
grep '^passthrough_opens' "$work/mnt/.memofs/status"
timeout 60 "$build/memofs" umount "$work/mnt"
timeout 600 "$build/memofsd" --check "$work/store" | tail -n 1
exit "$watched"
