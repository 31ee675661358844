#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One computes, the others wait: single flight in plain shell. The directory is
# one of a memofs mount; cat and a redirection are all it takes.
#
#   single-flight.sh DIRECTORY [PROCESSES]
#
# Many processes (8) ask at once for a result that is not there. Then they do it
# again, and whoever computes is killed in the middle: one of the others takes
# over, and nobody reads half a result.
set -u

# Print the result of COMMAND, which is kept at DIR/KEY. Of all who ask, one runs
# it: with `set -C` (noclobber) the shell creates the file with O_EXCL, and memofs
# lets one process have it open so. The others get EEXIST, and wait in `cat`.
# What a command that failed has written is dropped by memofs.
single_flight() { # DIR KEY COMMAND...
	dir=$1 key=$2
	shift 2
	until cat "$dir/.memofs/view/wait=1h/$key" 2>/dev/null; do
		[ -w "$dir" ] || return 1
		(set -C && { "$@" || exit 99; } >"$dir/$key" 2>&3) 3>&2 2>/dev/null
		[ $? -ne 99 ] || return 1
	done
}

if [ $# -lt 1 ] || [ ! -d "$1/.memofs" ]; then
	echo 'usage: single-flight.sh DIRECTORY-OF-A-MOUNT [PROCESSES]' >&2
	exit 2
fi
cache=$1 processes=${2:-8}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# It takes a while, and until it may go on, and says on stderr who does it. Its helpers must
# not have the result open: what is open is being computed still. Nor are they in the
# mount, which the one that is left of a killed process would keep busy.
cat >"$tmp/compute" <<'END'
#!/bin/sh
echo "process $$ computes" >&2 && echo $$ >"$1/$$.pid"
printf 'the answer '
cd / && sleep 1 >/dev/null
until [ -e "$1/go" ]; do sleep 0.1 >/dev/null; done
echo "is 42, says process $$"
END

ask_all() { # KEY
	i=0
	while [ $i -lt "$processes" ]; do
		i=$((i + 1))
		single_flight "$cache" "$1" sh "$tmp/compute" "$tmp" >"$tmp/$1.$i" || echo "process $i of $processes failed" &
	done
}

# Whoever computes now, as soon as somebody does.
somebody() {
	until cat "$tmp"/*.pid 2>/dev/null; do sleep 0.05; done
}

show() { # KEY
	sort "$tmp/$1".* | uniq -c
	rm -f "$tmp"/*.pid "$cache/$1"
}

echo "== $processes processes ask for the same"
: >"$tmp/go"
ask_all asked.$$
wait
show asked.$$

echo "== again, and whoever computes is killed"
rm "$tmp/go"
ask_all killed.$$
kill -KILL "$(somebody)"
: >"$tmp/go"
wait
show killed.$$
