#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs, libfuse's own passthrough example and the file system below both, in
# one run. Arguments are those of bench (--csv, --rounds N, --mib N).
#
# The example is compiled from the source that libfuse's package brings, or from
# the distribution's source package; none of it is kept. Where neither can be
# had, bindfs stands in for it, under its own name.
#
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "${MEMOFS_BUILD:-$source_dir/build}")
work=$(mktemp -d "${TMPDIR:-/tmp}/memofs-bench.XXXXXX")
chmod 755 "$work"

say() { printf '%s\n' "$*" >&2; }

unmount() { # MOUNTPOINT
	mountpoint -q "$1" || return 0
	fusermount3 -u "$1" 2>/dev/null || umount "$1" || umount -l "$1"
}

finish() {
	local status=$?
	trap - EXIT
	[ -d "$work/memofs" ] && mountpoint -q "$work/memofs" && "$build/memofs" umount "$work/memofs"
	for mnt in "$work/memofs" "$work/other" "$work/cached"; do unmount "$mnt"; done
	rm -rf --one-file-system -- "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

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
	cat >"$apt/apt.conf" <<-END
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "$apt/parts";
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt/cache";
		APT::Sandbox::User "root";
	END
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

# Mounts the example, with its own defaults and with the most caching it can do,
# or its stand-in; adds what is mounted to the targets.
mount_other() {
	local dir flags
	mkdir -p "$work/other" "$work/other-source"
	if dir=$(installed_example) || dir=$(fetched_example); then
		flags=$(pkg-config --cflags --libs fuse3)
		# shellcheck disable=SC2086
		"${CC:-cc}" -O2 -w "$dir/passthrough_ll.c" $flags -lpthread \
			-o "$work/passthrough_ll"
		"$work/passthrough_ll" -o "source=$work/other-source" "$work/other"
		mkdir -p "$work/cached" "$work/cached-source"
		"$work/passthrough_ll" -o "source=$work/cached-source,cache=always" "$work/cached"
		targets+=("passthrough_ll=$work/other" "passthrough_ll cache=always=$work/cached")
	elif command -v bindfs >/dev/null; then
		say "libfuse's example cannot be had here; bindfs stands in for it"
		bindfs "$work/other-source" "$work/other"
		targets+=("bindfs=$work/other")
	else
		say "neither libfuse's example nor bindfs can be had here"
	fi
}

# --- the run ------------------------------------------------------------------------

for program in memofs memofsd tests/bench/bench; do
	[ -x "$build/$program" ] || {
		say "no $build/$program; build first, or set MEMOFS_BUILD"
		exit 1
	}
done

mkdir "$work/memofs" "$work/plain"
"$build/memofs" mount "$work/store" "$work/memofs"
targets=("memofs=$work/memofs")
mount_other
targets+=("$(findmnt -n -o FSTYPE -T "$work/plain")=$work/plain")
# A build of its own can be faster or slower than what is shipped: say which.
buildtype=$(sed -n 's/.*"name": "buildtype", "value": "\([a-z]*\)".*/\1/p' \
	"$build/meson-info/intro-buildoptions.json" | head -n 1)
say "memofs $("$build/memofs" --version | sed 's/^memofs //'), build type ${buildtype:-unknown}, libfuse $(pkg-config --modversion fuse3)"

"$build/tests/bench/bench" "$@" "${targets[@]}"
