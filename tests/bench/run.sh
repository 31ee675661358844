#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs, libfuse's own passthrough example and the file system below both, in
# one run. Arguments are those of bench (--csv, --rounds N, --mib N).
#
# Where libfuse's example cannot be had, bindfs stands in for it, under its own name.
# suite.sh measures more, beside more; this is the short look.
#
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
begin bench

# Mounts the example, with its own defaults and with the most caching it can do,
# or its stand-in; adds what is mounted to the targets.
mount_other() {
	local example
	mkdir -p "$work"/{other,cached}{,-source}
	if example=$(passthrough_example); then
		start "$work/other" "$example" -f -o "source=$work/other-source" "$work/other"
		start "$work/cached" "$example" -f -o "source=$work/cached-source,cache=always" \
			"$work/cached"
		targets+=("passthrough_ll=$work/other" "passthrough_ll cache=always=$work/cached")
	elif command -v bindfs >/dev/null; then
		say "libfuse's example cannot be had here; bindfs stands in for it"
		start "$work/other" bindfs -f "$work/other-source" "$work/other"
		targets+=("bindfs=$work/other")
	else
		say "neither libfuse's example nor bindfs can be had here"
	fi
}

mkdir "$work/plain"
mount_memofs "$work/store" "$work/memofs"
targets=("memofs=$work/memofs")
mount_other
targets+=("$(findmnt -n -o FSTYPE -T "$work/plain")=$work/plain")
say "$(build_type)"

"$build/tests/bench/bench" "$@" "${targets[@]}"
