# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Sourced by the examples that need no more than the command `memofs`: a working
# directory of their own ($work), and a cache of their own, which the first command
# that needs it mounts by itself. Both are gone afterwards.
#
# Environment:
#   MEMOFS_BUILD   take memofs from this build; else from PATH, or from build*/
#   MEMOFS_CACHE   keep results in this directory of a mount instead
#
# $takes is the one argument that the example can be given; without it, it takes none.
case $* in
'' | "${takes:-}") ;;
*)
	echo "usage: $(basename "$0")${takes:+ [$takes]}" >&2
	exit 2
	;;
esac
source=$(cd "$(dirname "$0")/.." && pwd)

find_memofs() {
	for build in "${MEMOFS_BUILD:-}" "$source/build" "$source/build-quickstart"; do
		[ -n "$build" ] && [ -x "$build/memofs" ] && PATH=$build:$PATH && return
	done
	command -v memofs >/dev/null && return
	echo "$0: there is no memofs; run examples/quickstart.sh first, or set MEMOFS_BUILD" >&2
	exit 1
}

clean_up() {
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	cd /
	# What still runs in the background has results open.
	for job in $(jobs -p); do kill "$job" 2>/dev/null || :; done
	wait
	[ ! -d "$tmp/run/memofs" ] || timeout 60 memofs umount "$tmp/run/memofs" || status=1
	rm -rf --one-file-system "$tmp"
	exit $status
}

step() { printf '\n== %s\n' "$*"; }

# Print a command as it could be typed, then run it.
show() {
	printf '$'
	for word; do
		case $word in
		'' | *[!A-Za-z0-9_./:=,@%+-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	"$@"
}

# How long a command takes.
timed() {
	began=$(date +%s%N)
	"$@"
	took=$((($(date +%s%N) - began) / 1000000))
	printf '(%d.%03d s)\n' $((took / 1000)) $((took % 1000))
}

find_memofs
tmp=$(mktemp -d "${TMPDIR:-/tmp}/memofs-example.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
mkdir -m 700 "$tmp/run" "$tmp/cache" "$tmp/work"
export XDG_RUNTIME_DIR="$tmp/run" XDG_CACHE_HOME="$tmp/cache"
work=$tmp/work
cd "$work" || exit
