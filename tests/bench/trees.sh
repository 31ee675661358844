#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs save and restore of a directory beside tar with zstd to the same disk and
# back, and cp -a: first and unchanged, in turns, the best of several rounds each.
# usage: trees.sh DIRECTORY...    e.g. a node_modules and a venv
#
# Environment: MEMOFS_BUILD (default: build), ROUNDS (default: 3), TMPDIR: the disk
# to measure. What was written is synced between the measurements, not in them; the
# page cache is warm, as it is after a build.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || {
	echo 'usage: trees.sh DIRECTORY...' >&2
	exit 2
}
begin trees
rounds=${ROUNDS:-3}
export XDG_CACHE_HOME=$work/cache-home

declare -A best cpu

# Run a command; keep the shortest time under a name, and its processor time.
measure() { # NAME COMMAND...
	local name=$1 real user sys TIMEFORMAT='%R %U %S'
	shift
	{ time "$@" >"$work/out" 2>"$work/err"; } 2>"$work/time" || {
		cat "$work/err" >&2
		return 1
	}
	read -r real user sys <"$work/time"
	if [ -z "${best[$name]:-}" ] || awk "BEGIN { exit !($real < ${best[$name]}) }"; then
		best[$name]=$real
		cpu[$name]=$(awk "BEGIN { print $user + $sys }")
	fi
}

with_tar() { tar -C "$1" -c . | zstd -q -T0 -f -o "$work/tar.zst"; }
from_tar() { zstd -q -dc "$work/tar.zst" | tar -x -C "$1"; }

fresh() { # DIRECTORY: empty, and nothing waits to be written
	rm -rf --one-file-system -- "$1"
	mkdir "$1"
	sync -f "$work"
}

round() { # TREE KEY
	"$memofs" rm -rf "$2" 2>/dev/null || true
	rm -f "$work/tar.zst"
	rm -rf "$XDG_CACHE_HOME"
	sync -f "$work"
	measure 'tar | zstd' with_tar "$1"
	sync -f "$work"
	measure 'memofs save' "$memofs" save -q -C "$1" "$2" .
	measure 'memofs save, unchanged' "$memofs" save -q -C "$1" "$2" .
	fresh "$work/a"
	measure 'zstd | tar x' from_tar "$work/a"
	fresh "$work/b"
	measure 'cp -a' cp -a "$1/." "$work/b"
	fresh "$work/c"
	measure 'memofs restore' "$memofs" restore -q -C "$work/c" "$2"
	measure 'memofs restore, unchanged' "$memofs" restore -q -C "$work/c" "$2"
	measure 'memofs restore --exact, unchanged' "$memofs" restore -q --exact -C "$work/c" "$2"
	fresh "$work/d"
	measure 'memofs restore --link' "$memofs" restore -q --link -C "$work/d" "$2"
	diff -r --no-dereference "$1" "$work/c" >&2 || {
		echo "what was restored differs from $1" >&2
		return 1
	}
}

report() { # TREE
	printf '%s: %s files, %s; best of %s, seconds (of the command, daemon aside)\n' "$1" \
		"$(find "$1" -not -type d | wc -l)" \
		"$(du -sh --apparent-size "$1" | cut -f 1)" "$rounds"
	printf '  %-36s %8s %8s\n' '' elapsed processor
	for name in 'tar | zstd' 'memofs save' 'memofs save, unchanged' 'zstd | tar x' 'cp -a' \
		'memofs restore' 'memofs restore, unchanged' \
		'memofs restore --exact, unchanged' 'memofs restore --link'; do
		printf '  %-36s %8.3f %8.3f\n' "$name" "${best[$name]}" "${cpu[$name]}"
	done
}

mount_memofs "$work/store" "$work/mnt"
mkdir "$work/mnt/trees"
for tree; do
	tree=$(realpath "$tree")
	best=() cpu=()
	for ((i = 0; i < rounds; i++)); do round "$tree" "$work/mnt/trees/tree"; done
	report "$tree"
done
