# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the benchmarks share: a folder on the disk to measure, with whatever is mounted
# and started there, all of which is gone at the end. Sourced, then:
#
#   begin NAME                 makes the folder $work; sets $source_dir, $build, $memofs
#   mount_memofs STORE MNT …   mounts; further arguments are those of memofs mount
#   start MNT COMMAND…         a file system's process in the background; until it is mounted
#   passthrough_example        prints the program, compiled in the folder
#
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
set -euo pipefail
export LC_ALL=C

say() { printf '%s\n' "$*" >&2; }

begin() { # NAME
	source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
	build=$(realpath "${MEMOFS_BUILD:-$source_dir/build}")
	memofs=$build/memofs
	[ -x "$memofs" ] || {
		say "no $memofs; build first, or set MEMOFS_BUILD"
		exit 1
	}
	work=$(mktemp -d "${TMPDIR:-/tmp}/memofs-$1.XXXXXX")
	chmod 755 "$work"
	started=()
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

is_mounted() { # MOUNTPOINT
	awk -v m="$1" '$5 == m { found = 1 } END { exit !found }' /proc/self/mountinfo
}

mount_memofs() { # STORE MOUNTPOINT [ARGUMENT...]
	mkdir -p "$2"
	timeout 60 "$memofs" mount --log "$work/log" "${@:3}" "$1" "$2"
}

unmount() { # MOUNTPOINT
	is_mounted "$1" || return 0
	timeout 120 "$memofs" umount "$1" 2>/dev/null || umount "$1" 2>/dev/null ||
		fusermount3 -u "$1" 2>/dev/null || umount -l "$1" || ! is_mounted "$1"
}

# A server of ours: it ends with the benchmark.
start() { # MOUNTPOINT|SOCKET COMMAND...
	local ready=$1 end=$((SECONDS + 20))
	shift
	"$@" >>"$work/log" 2>&1 &
	started+=($!)
	until is_mounted "$ready" || [ -S "$ready" ]; do
		if [ $SECONDS -ge $end ] || ! kill -0 "${started[-1]}" 2>/dev/null; then
			say "$1 does not start: $(tail -n 1 "$work/log")"
			return 1
		fi
		sleep 0.05
	done
}

finish() {
	local status=$? mnt pid
	trap - EXIT
	trap '' INT TERM HUP
	cd /
	# The deepest first.
	while read -r mnt; do
		# One that stays is no reason to leave the others.
		unmount "$mnt" || say "$mnt cannot be unmounted"
	done < <(awk -v w="$work/" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	rm -rf --one-file-system -- "$work" || status=1
	exit "$status"
}

# --- libfuse's example -----------------------------------------------------------

# The folder with passthrough_ll.c from what is installed, or nothing.
installed_example() {
	local dir
	for dir in /usr/share/doc/libfuse3-dev/examples /usr/share/doc/fuse3*/example*; do
		[ -f "$dir/passthrough_ll.c" ] && echo "$dir" && return
	done
	return 1
}

# An apt configuration of our own: this machine's sources as source packages,
# lists and cache in the work folder. Nothing of the machine is changed.
private_apt() {
	local apt=$work/apt
	mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file"
	done >"$apt/sources.list"
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/${file##*/}"
	done
	cat >"$apt/apt.conf" <<-END_OF_CONF
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "$apt/parts";
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt/cache";
		APT::Sandbox::User "root";
	END_OF_CONF
	echo "$apt/apt.conf"
}

# The same from the distribution's source package.
fetched_example() {
	local config tarball dir=$work/fuse-source
	command -v apt-get >/dev/null || return 1
	config=$(private_apt)
	mkdir -p "$dir"
	# A source that has no source packages is no reason to give up.
	APT_CONFIG=$config apt-get -qq update >/dev/null 2>&1 || true
	(cd "$dir" && APT_CONFIG=$config apt-get -qq source --download-only fuse3) \
		>/dev/null 2>&1 || return 1
	tarball=$(find "$dir" -name 'fuse3_*.orig.tar.*' ! -name '*.asc' | head -n 1)
	[ -n "$tarball" ] && tar -xf "$tarball" -C "$dir" || return 1
	dirname "$(find "$dir" -name passthrough_ll.c | head -n 1)"
}

# The example is compiled from the source that libfuse's package brings, or from the
# distribution's source package; none of it is kept. Fails where neither can be had.
passthrough_example() {
	local dir flags
	dir=$(installed_example) || dir=$(fetched_example) || return 1
	flags=$(pkg-config --cflags --libs fuse3) || return 1
	# shellcheck disable=SC2086
	${CC:-cc} -O2 -w "$dir/passthrough_ll.c" $flags -lpthread -o "$work/passthrough_ll" ||
		return 1
	echo "$work/passthrough_ll"
}

# --- what is told -----------------------------------------------------------------

# A build of its own can be faster or slower than what is shipped: say which.
build_type() {
	local type
	type=$(sed -n 's/.*"name": "buildtype", "value": "\([a-z]*\)".*/\1/p' \
		"$build/meson-info/intro-buildoptions.json" | head -n 1)
	echo "memofs $("$memofs" --version | sed 's/^memofs //'), build type ${type:-unknown}, libfuse $(pkg-config --modversion fuse3)"
}
