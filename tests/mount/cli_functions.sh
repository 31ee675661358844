# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests of the command memofs share, beside functions.sh.

memofs() { timeout "$COMMAND_TIMEOUT_S" "$MEMOFS" "$@"; }

# Run memofs; it exits with CODE. What it printed is in $OUT and $ERR after.
exits() { # CODE ARGUMENT...
	local want=$1 status=0
	shift
	memofs "$@" >"$T/out" 2>"$T/err" || status=$?
	OUT=$(tr -d '\0' <"$T/out") ERR=$(cat "$T/err")
	is "$status" "$want" "exit code of memofs $* ($ERR)"
}

# The same; it says one line on stderr that matches REGEX, and nothing on stdout.
complains() { # CODE REGEX ARGUMENT...
	local regex=$2 code=$1
	shift 2
	exits "$code" "$@"
	is "$OUT" '' "stdout of memofs $*"
	is "$(wc -l <"$T/err")" 1 "lines on stderr of memofs $*"
	[[ $ERR =~ ^memofs:\ .*$regex ]] || fail "memofs $* said \"$ERR\", want \"$regex\""
}

# The same; neither a word on stdout nor on stderr.
silently() { # CODE ARGUMENT...
	exits "$@"
	is "$OUT$ERR" '' "what memofs ${*:2} said"
}

json() { # EXPRESSION: of the JSON value `v` in $T/out
	python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
		"$T/out" "$1"
}
