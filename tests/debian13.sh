#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run the tests in a Debian 13, whose libfuse, RocksDB and compiler are newer.
#
# usage: tests/debian13.sh [--root DIR] [--mirror URL] [COMMAND...]
#
#   --root DIR     where the system is made, about 1.5 GB, and kept for the next
#                  time (default: $XDG_CACHE_HOME/memofs/debian13); to be rid of it,
#                  remove DIR
#   --mirror URL   where its packages come from (default: from where apt gets this
#                  machine's, if that is a Debian)
#   COMMAND        what to run in it (default: tests/run.sh --quick --no-install)
#
# COMMAND runs as root in the checkout, which cannot be written, with a /tmp, mounts
# and processes of its own: whatever it leaves behind ends with it. Builds stay in
# DIR/var/tmp. Exit code: that of COMMAND; 2 if it could not be run.
set -eu

suite=trixie
source=$(cd "$(dirname "$0")/.." && pwd)
root=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/memofs/debian13
mirror=''

usage() {
	sed -n 's/^# \{0,1\}//; 3,16p' "$source/tests/debian13.sh"
}

die() {
	echo "debian13.sh: $*" >&2
	exit 2
}

# ---- what apt knows ----

# "URL SUITE COMPONENT" of Debian's own archives, as apt has them.
archives() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian //p' | sort -u
}

# Only the name of the suite is exchanged. Of what else a machine may have,
# backports say, there is no need.
sources() {
	if [ -n "$mirror" ]; then
		echo "deb $mirror $suite main"
		return
	fi
	archives | sed -n -E \
		"s/^([^ ]+) [^ -]+(-updates|-security)? main\$/deb \1 $suite\2 main/p" | sort -u
}

# ---- the system ----

# How this machine gets packages, the one that is made does as well.
settings() {
	apt-config dump | grep -E '^Acquire::(http|https|Retries|Force|Check-)' || :
}

# Where https is used, with whatever authorities this machine trusts.
write_settings() { # ROOT
	sources >"$1/etc/apt/sources.list"
	settings >"$1/etc/apt/apt.conf.d/00machine"
	mkdir -p "$1/etc/ssl/certs"
	[ ! -e /etc/ssl/certs/ca-certificates.crt ] ||
		cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}

# Under another name, so that half of one is never taken for a system.
make_root() {
	from=$(sources | awk -v s="$suite" '$3 == s { print $2; exit }')
	[ -n "$from" ] || die "apt knows no Debian archive on this machine; name one: --mirror URL"
	echo "making a Debian 13 in $root"
	rm -rf --one-file-system "$root.new"
	# What it mounts on the way goes with it, also if it is killed.
	if ! unshare --mount --propagation private debootstrap --variant=minbase "$suite" \
		"$root.new" "$from" >"$root.log" 2>&1 </dev/null; then
		rm -rf --one-file-system "$root.new"
		why=$(sed -n 's/^[EW]: //p' "$root.log" | tail -n 1)
		die "$suite cannot be had from $from: ${why:-debootstrap failed}; all of it: $root.log"
	fi
	write_settings "$root.new"
	mv -T "$root.new" "$root"
}

# ---- in it ----

# Runs where nothing but the root's own programs can be had. Not by chroot alone: in
# that the kernel lets nobody make user namespaces.
# shellcheck disable=SC2016
inside='set -e
root=$1 source=$2
shift 2
mount --bind "$root" "$root"
mkdir -p "$root/memofs"
mount --bind "$source" "$root/memofs"
mount -o remount,bind,ro "$root/memofs"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
# Tests make devices of their own in /tmp.
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
cd "$root"
pivot_root . .
umount -l .
chroot . sh -c "cd /memofs && exec \"\$@\"" sh "$@"'

# The first process of its namespace waits for the command, and collects what others
# leave behind; when it ends, all the rest is killed.
enter() { # COMMAND...
	cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :
	# systemd makes it, which is not there; fusermount3 looks into it.
	ln -sfn ../proc/self/mounts "$root/etc/mtab"
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		LANG=C.UTF-8 TERM="${TERM:-dumb}" PYTHONDONTWRITEBYTECODE=1 \
		http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
		no_proxy="${no_proxy:-}" MEMOFS_TEST_BUILD=/var/tmp/memofs-test \
		unshare --mount --propagation private --pid --fork --kill-child \
		sh -c "$inside" sh "$root" "$source" "$@"
}

# ---- the command line ----

while [ $# -gt 0 ]; do
	case $1 in
	--root | --mirror)
		[ $# -ge 2 ] || die "$1 needs a value; see --help"
		[ "$1" = --root ] && root=$2 || mirror=$2
		shift 2
		;;
	-h | --help)
		usage
		exit 0
		;;
	--)
		shift
		break
		;;
	-*) die "unknown option \"$1\"; see --help" ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || set -- tests/run.sh --quick --no-install

[ "$(id -u)" -eq 0 ] || die "only root can make and enter another system; use sudo"
for program in apt-get debootstrap unshare flock; do
	command -v "$program" >/dev/null ||
		die "$program is not installed; on a Debian: apt-get install debootstrap util-linux"
done
[ -c /dev/fuse ] || die "/dev/fuse is missing, so nothing could be mounted; try: modprobe fuse"
root=$(realpath -m "$root")
case $root/ in
"$source"/*) die "--root $root is in the checkout; name a folder outside of it" ;;
esac
mkdir -p "$(dirname "$root")"

# One at a time, while it is made and changed.
exec 9>"$root.lock"
flock 9
[ -d "$root/etc" ] || make_root
if ! enter tools/install-packages.sh build mount test >"$root.log" 2>&1 </dev/null; then
	why=$(sed -n 's/^E: //p' "$root.log" | tail -n 1)
	die "what the tests need cannot be installed: ${why:-see $root.log}; all of it: $root.log"
fi
exec 9>&-
enter "$@"
