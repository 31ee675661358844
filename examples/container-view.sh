#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a container sees of a cache: a view, bind-mounted. In it there are the
# results of one version which are young enough, and nothing can be changed.
# Programs in the container need to know nothing of memofs.
#
#   container-view.sh DIRECTORY
#
# DIRECTORY is one of a memofs mount, in which a directory of our own is made and
# removed. The container is unshare(1) with user, pid and mount namespaces; it
# works as root, and as an ordinary user where those may make user namespaces.
set -eu

stop() {
	echo "container-view: $*" >&2
	exit 1
}

# Inside, before it has a root of its own: /usr, a /tmp, and the view at /cache.
if [ "${1:-}" = --inside ]; then
	root=$2 view=$3
	mount -t tmpfs tmpfs "$root"
	cd "$root"
	mkdir cache tmp old usr proc dev
	: >dev/null
	mount --bind /dev/null dev/null
	mount -t proc proc proc
	mount --rbind /usr usr
	for dir in bin sbin lib lib64; do
		if [ -L /$dir ]; then
			ln -s "usr/$dir" $dir
		elif [ -d /$dir ]; then
			mkdir $dir && mount --rbind /$dir $dir
		fi
	done
	mount --bind "$view" cache
	PATH=/usr/sbin:/usr/bin:/sbin:/bin
	pivot_root . old
	cd /
	umount -l /old
	exec sh -c "$4"
fi

[ $# -eq 1 ] && [ -d "$1/.memofs" ] || stop 'usage: container-view.sh DIRECTORY-OF-A-MOUNT'
unshare --user --map-root-user true 2>/dev/null || stop 'this user may not make user namespaces'
cache=$(cd "$1" && pwd)/container-view.$$
here=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
root=$(mktemp -d)
trap 'rm -rf "$cache"; rmdir "$root"' EXIT
trap 'exit 1' HUP INT TERM

container() { # VIEW SCRIPT
	unshare --user --map-root-user --pid --fork --mount \
		sh "$here" --inside "$root" "$cache/.memofs/view/$1" "$2"
}

# Two versions of the same results.
mkdir "$cache"
setfattr -n user.cache.version -v v1 "$cache"
echo 'made by the old code' >"$cache/old-report"
setfattr -n user.cache.version -v v2 "$cache"
echo 'made by the new code' >"$cache/report"

echo '== version v2, not older than an hour, read-only'
container version=v2,max-age=1h,ro '
	set -u
	hit() { "$@" && echo "hit: $*"; }
	fails() { # HOW WHY COMMAND...
		how=$1 why=$2
		shift 2
		said=$("$@" 2>&1) && echo "not $how: $*" && exit 1
		case $said in
		*"$why"*) echo "$how: $*" ;;
		*) echo "$said" && exit 1 ;;
		esac
	}
	miss() { fails miss "No such file" "$@"; }
	refused() { fails refused "Read-only file system" "$@"; }
	cd /cache
	ls
	hit cat report && hit cp report /tmp/copy && hit cmp report /tmp/copy || exit 1
	miss cat old-report
	refused sh -c ": >new"
	refused sh -c "echo more >>report"
	refused chmod 600 report
	refused rm -f report
	refused setfattr -n user.cache.ttl -v 1s report
'

echo '== version v1, as another container may have it'
container version=v1,max-age=1h,ro 'cat /cache/old-report'

sleep 1.1
echo '== version v2, not older than a second'
container version=v2,max-age=1s,ro '
	said=$(cat /cache/report 2>&1) && exit 1
	echo "miss: $said"
'
[ "$(cat "$cache/report")" = 'made by the new code' ] || stop 'outside, the report is lost'
