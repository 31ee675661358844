#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make sure that Debian or Ubuntu packages are installed; elsewhere, name what
# is missing and stop. sudo is used only when something is missing and we are
# not root.
#
# usage: tools/install-packages.sh build|mount|test|debian13...
set -eu

# What each purpose takes. `cc` and friends come with gcc and libc6-dev.
packages_build='gcc libc6-dev meson ninja-build pkg-config libfuse3-dev librocksdb-dev
	libxxhash-dev libyaml-dev'
packages_mount='fuse3 attr'
packages_test='libcmocka-dev attr e2fsprogs git jq procps rsync sqlite3 python3 spin strace tar
	util-linux xxhash'
# To make another system: tests/debian13.sh.
packages_debian13='debootstrap util-linux'

packages_for() {
	case $1 in
	build) echo "$packages_build" ;;
	mount) echo "$packages_mount" ;;
	test) echo "$packages_test" ;;
	debian13) echo "$packages_debian13" ;;
	*)
		echo "install-packages: unknown purpose \"$1\"; use build, mount, test, debian13" >&2
		exit 2
		;;
	esac
}

# Nothing here names a Debian package, but the programs and headers are the same.
elsewhere() {
	echo 'install-packages: apt-get is not here, so nothing was installed.' >&2
	echo 'memofs needs these (by their Debian names), from your own system:' >&2
	echo "  $*" >&2
}

installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "install-packages: not root and no sudo; run as root: $*" >&2
		return 1
	fi
}

wanted=
for purpose; do
	wanted="$wanted $(packages_for "$purpose")"
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	# Somebody who has what is needed should not be stopped by its packaging.
	if command -v meson >/dev/null && command -v ninja >/dev/null &&
		pkg-config --exists fuse3 libxxhash yaml-0.1 2>/dev/null; then
		exit 0
	fi
	# shellcheck disable=SC2086
	elsewhere $wanted
	exit 3
fi

missing=
for package in $wanted; do
	# pkgconf provides pkg-config on newer releases.
	[ "$package" = pkg-config ] && command -v pkg-config >/dev/null && continue
	installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# The lists are refreshed only when they do not know a package (a fresh image
# has none at all). stdin is closed: a question would wait for ever.
# shellcheck disable=SC2086
as_root apt-get install -y -q --no-install-recommends $missing </dev/null || {
	as_root apt-get update -q </dev/null
	as_root apt-get install -y -q --no-install-recommends $missing </dev/null
}
