# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests of `memofs run` share, beside functions.sh. Results are kept in
# $MEMOFS_CACHE, a directory in the mount; commands run in $DIR, outside of it.

PATH=$MEMOFS_BUILD:$PATH
export MEMOFS_CACHE XDG_CACHE_HOME=$T/xdg-cache
unset MEMOFS_DISABLE MEMOFS_WARNED MEMOFS_RUNNING

begin() {
	MEMOFS_CACHE=$PWD/cache
	DIR=$(mktemp -d "$T/work.XXXXXX")
	mkdir "$MEMOFS_CACHE"
	chmod 755 "$DIR"
	cd "$DIR" || return
}

# A program: its lines come from stdin; $DIR/calls has a line for each time it ran.
program() { # NAME
	{
		printf '#!/bin/bash\necho x >>%q/calls\n' "$DIR"
		cat
	} >"$1"
	chmod +x "$1"
}

ran() { # TIMES
	local times=0
	[ ! -e "$DIR/calls" ] || times=$(wc -l <"$DIR/calls")
	is "$times" "$1" 'how often it ran'
}

# memofs run with these arguments exits with CODE. What it wrote is in $T/out, $T/err.
runs() { # CODE ARGUMENT...
	local want=$1 status=0
	shift
	# What an earlier command left behind may write there still.
	rm -f "$T/out" "$T/err"
	timeout "$COMMAND_TIMEOUT_S" memofs run --status-file "$T/status" "$@" \
		>"$T/out" 2>"$T/err" || status=$?
	is "$status" "$want" "exit code of memofs run $* ($(tr -d '\0' <"$T/err"))"
}

# What the last `runs` told.
told() { # STATUS
	grep -q "\"status\": \"$1\"" "$T/status" || fail "status is $(cat "$T/status"), want $1"
}

# It said exactly one line of its own, which matches.
said() { # REGEX
	local line
	is "$(grep -c '^memofs: ' "$T/err")" 1 "lines of memofs in: $(cat "$T/err")"
	line=$(grep '^memofs: ' "$T/err")
	[[ $line =~ $1 ]] || fail "said \"$line\", want \"$1\""
}

said_nothing() {
	! grep -q '^memofs: ' "$T/err" || fail "said: $(cat "$T/err")"
}

# No file but results is in the cache: nothing is left behind.
only_results() {
	local odd
	odd=$(find "$MEMOFS_CACHE" -type f -path '*/.*' | head -1)
	is "$odd" '' 'left behind'
}
