#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layers: cli/ -> (files and attributes only), fs/ -> store/, never upward.
# Checks what each source includes and, given a build directory, what the built
# objects call, which a declaration written by hand cannot hide.
#
# usage: tests/layers.sh SOURCE_ROOT [BUILD_DIR]
set -eu

root=${1:?usage: layers.sh SOURCE_ROOT [BUILD_DIR]}
build=${2:-}
status=0

# One line per include: FILE:LINE, then what it includes as it is written.
includes() {
	(cd "$root" && find cli fs store -name '*.[ch]' -exec awk '
		/^[ \t]*#[ \t]*include/ {
			what = $0
			sub(/^[ \t]*#[ \t]*include(_next)?[ \t]*/, "", what)
			sub(/[ \t]*(\/[\/*].*)?$/, "", what)
			print FILENAME ":" FNR, what
		}' {} +)
}

# What may a file include? Prints the reason when it may not.
verdict() {
	case $2 in
	'<rocksdb/'*)
		case $1 in
		store/backend_rocksdb*) ;;
		*) echo 'only the RocksDB backend may use RocksDB' ;;
		esac
		;;
	'<fuse'* | '<linux/fuse.h>')
		case $1 in
		fs/*) ;;
		*) echo 'only fs/ may use FUSE' ;;
		esac
		;;
	'<'*) ;;
	'"'*..*'"') echo 'includes are written from the top: "store/x.h"' ;;
	'"'*/*'"') project_verdict "$1" "$2" ;;
	*) echo 'includes are written from the top: "store/x.h"' ;;
	esac
}

project_verdict() {
	case $1 in
	store/util/*) case $2 in '"store/util/'*) return ;; esac ;;
	store/*) case $2 in '"store/'*) return ;; esac ;;
	fs/*)
		case $2 in
		'"fs/'* | '"store/util/'* | '"store/store.h"' | '"store/lease.h"') return ;;
		# The other faces of the engine.
		'"store/backup.h"' | '"store/check.h"' | '"store/history.h"' | '"store/rebuild.h"') return ;;
		esac
		;;
	cli/*) case $2 in '"cli/'* | '"store/util/'*) return ;; esac ;;
	esac
	echo "${1%%/*}/ may not look there"
}

check_includes() {
	list=$(includes)
	if [ -z "$list" ]; then
		echo "layers: no includes found below $root" >&2
		exit 1
	fi
	crossed=$(echo "$list" | while read -r where what; do
		reason=$(verdict "${where%%:*}" "$what")
		[ -z "$reason" ] || echo "$where: #include $what: $reason"
	done)
	if [ -n "$crossed" ]; then
		echo "$crossed" >&2
		status=1
	fi
}

# Objects are FOLDER/TARGET.p/x.c.o, or TARGET.p/FOLDER_x.c.o for a target that is
# declared at the top.
check_calls() {
	folder=$1 pattern=$2
	calls=$(find "$build" \( -path "$build/$folder/*.p/*.o" -o \
		-path "$build/*.p/${folder}_*.o" \) -exec nm -A -u {} + |
		awk -v p="$pattern" '$NF ~ p && !/backend_rocksdb[a-z_]*\.c\.o:/ { print $1, $NF }')
	[ -z "$calls" ] && return
	echo 'calls into another layer:' >&2
	echo "$calls" >&2
	status=1
}

# Loading RocksDB costs more than a hit, so the command must not link it.
check_needed() {
	[ -x "$1" ] || return 0
	needed=$(LC_ALL=C readelf -d "$1" | grep -E 'NEEDED.*\[lib(rocksdb|fuse)' || :)
	[ -z "$needed" ] && return
	echo "$1 links what it must not:" >&2
	echo "$needed" >&2
	status=1
}

check_includes
if [ -n "$build" ]; then
	check_calls store '^(fuse|rocksdb)_'
	check_calls fs '^(rocksdb|backend)_'
	check_calls cli '^(fuse|rocksdb|store|backend)_'
	check_needed "$build/memofs"
fi
exit $status
