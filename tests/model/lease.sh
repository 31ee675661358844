#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Check the model of leases with spin: no error in it, and the error that it must
# have without the fence, or without the pin, is found.
#
# usage: tests/model/lease.sh SOURCE_ROOT
set -eu

model=$1/tests/model/lease.pml
command -v spin >/dev/null || { echo 'spin is not installed'; exit 77; }
# Not $CC: what the checker is built with is no matter of this build.
command -v cc >/dev/null || { echo 'there is no C compiler'; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

# "none", or the first error that spin finds with the flags given.
first_error() {
	spin "$@" -a "$model" >spin.log 2>&1 &&
		cc -O1 -w -DSAFETY -o pan pan.c >>spin.log 2>&1 &&
		./pan -m100000 >pan.log || {
		cat spin.log pan.log >&2
		exit 1
	}
	# A search that was cut short has shown nothing.
	if grep -q 'max search depth too small\|out of memory' pan.log; then
		cat pan.log >&2
		exit 1
	fi
	if grep -q 'errors: 0$' pan.log; then
		echo none
	else
		sed -n 's/^pan:[0-9]*: \(.*\) (at depth [0-9]*)$/\1/p' pan.log
	fi
}

expect() {
	want=$1
	shift
	got=$(first_error "$@")
	echo "spin $*: $got, in $(sed -n 's/ *\([0-9]*\) states, stored.*/\1/p' pan.log) states"
	[ "$got" = "$want" ] || {
		cat pan.log >&2
		echo "lease.sh: with \"$*\" there should have been: $want" >&2
		exit 1
	}
}

expect none
expect 'assertion violated (current<=mine)' -DNO_FENCE
expect 'assertion violated (current<=mine)' -DNO_PIN
