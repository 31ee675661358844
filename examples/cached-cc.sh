#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A compiler cache in plain shell: put it before the compiler, and object files
# come from a directory when they were made before. The directory is a memofs
# mount, but nothing here knows that: cat, cp, mv and [ -e ] are all it takes.
#
#   MEMOFS_CACHE=/mnt/cc CC='cached-cc.sh gcc' make
#
# The key is a hash of the compiler, the flags, the folder (debug information
# names it) and the preprocessed source. Whatever cannot be cached is compiled:
# links, several sources at once, a compiler that had something to say. A cache
# that fails only makes things slower.
#
# Environment:
#   MEMOFS_CACHE    the directory, which exists; without it, everything is compiled
#   CACHED_CC_LOG   a file which gets a line "hit NAME" or "miss NAME" each time
set -u

if [ $# -eq 0 ]; then
	echo 'usage: MEMOFS_CACHE=DIR cached-cc.sh COMPILER [ARGUMENT...]' >&2
	exit 2
fi

# What kind of call is it? One source, -c, and -o: an object.
object='' source='' previous=''
sources=0 compiles=0 depends=0 named=0 uncached=0
for arg; do
	case $previous in
	-o) object=$arg ;;
	-MQ | -MT | -MF | -I | -D | -U | -include | -isystem | -x | -Xclang) ;;
	*)
		case $arg in
		-c) compiles=1 ;;
		-MD | -MMD) depends=1 ;;
		-MF) named=$((named + 1)) ;;
		-MQ | -MT) named=$((named + 10)) ;;
		# What writes or reads more than one source and one object.
		-E | -S | -M | -MM | -save-temps* | --coverage | -fprofile-* | -gsplit-dwarf | \
			-ftest-coverage | -ftime-trace* | -fdump-* | -Wa,-a* | @*) uncached=1 ;;
		-*) ;;
		*.c | *.cc | *.cpp | *.cxx | *.S) source=$arg sources=$((sources + 1)) ;;
		esac
		;;
	esac
	previous=$arg
done

# Dependencies are written by the preprocessor, under -E as well, if both their
# file and their target are named; guessed from the object's name, they are not.
if [ $depends -eq 1 ]; then
	case $named in 1 | 0 | ?0) uncached=1 ;; esac
fi

if [ $compiles -eq 0 ] || [ -z "$object" ] || [ $sources -ne 1 ] || [ $uncached -eq 1 ] ||
	[ ! -d "${MEMOFS_CACHE:-}" ]; then
	exec "$@"
fi

hash_stdin() {
	if command -v sha256sum >/dev/null; then
		sha256sum
	elif command -v xxhsum >/dev/null; then
		xxhsum -H2
	else
		shasum -a 256
	fi
}

tmp=$(mktemp -d) || exec "$@"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# The same call, but preprocess: -c becomes -E, and the output is ours.
preprocess() {
	count=$# previous=
	while [ "$count" -gt 0 ]; do
		arg=$1
		shift
		if [ "$previous" = -o ]; then
			set -- "$@" "$tmp/source"
		elif [ "$arg" = -c ]; then
			set -- "$@" -E
		else
			set -- "$@" "$arg"
		fi
		previous=$arg
		count=$((count - 1))
	done
	"$@" 2>/dev/null
}

# Everything the object depends on, the name it is written to aside.
key_material() {
	"$compiler" --version
	previous=
	for arg; do
		[ "$previous" = -o ] || printf '%s\n' "$arg"
		previous=$arg
	done
	pwd
	cat "$tmp/source"
}

note() {
	[ -z "${CACHED_CC_LOG:-}" ] || echo "$1 $source" >>"$CACHED_CC_LOG"
}

# Compile without the cache: what it cannot preprocess, it will say why.
without_cache() {
	"$@"
	exit
}

compiler=$1
preprocess "$@" || without_cache "$@"
# The assembler would read a file which the preprocessed source only names.
if grep -q '\.incbin' "$tmp/source"; then without_cache "$@"; fi
sum=$(key_material "$@" | hash_stdin)
key=$MEMOFS_CACHE/${source##*/}-${sum%% *}.o

# A hit may end while it is looked for (its ttl does): then it is a miss.
if [ -e "$key" ] && cat "$key" 2>/dev/null >"$object"; then
	note hit
	exit
fi

note miss
"$@" 2>"$tmp/messages"
status=$?
cat "$tmp/messages" >&2
# A warning has to be seen each time, so what was said with one is not kept.
if [ $status -eq 0 ] && [ ! -s "$tmp/messages" ] && [ -f "$object" ]; then
	# memofs shows a file only when it is whole; other directories need the mv.
	{ cp "$object" "$key.$$" && mv "$key.$$" "$key"; } 2>/dev/null || rm -f "$key.$$"
fi
exit $status
