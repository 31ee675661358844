#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proof that a mount test which fails is seen to fail: each script below breaks
# one promise of functions.sh, in an ordinary directory.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/plain" "$tmp/tmp"

# Run BODY as a test script; STATUS is what it must exit with, REGEX what it says.
script() { # STATUS REGEX BODY
	local status=0
	cat >"$tmp/script" <<-END
		. "$here/functions.sh"
		setup
		$3
		run_tests
	END
	TMPDIR=$tmp/tmp MEMOFS_BUILD=$tmp MEMOFS_PLAIN=$tmp/plain bash "$tmp/script" \
		>"$tmp/out" 2>&1 || status=$?
	if [ "$status" -ne "$1" ] || ! grep -Eq "$2" "$tmp/out"; then
		echo "exit code $status, want $1, and \"$2\" from:" >&2
		echo "$3" >&2
		cat "$tmp/out" >&2
		exit 1
	fi
	if [ -n "$(find "$tmp/tmp" "$tmp/plain" -mindepth 1)" ]; then
		echo 'something was left behind' >&2
		exit 1
	fi
}

script 0 '1 passed, 0 failed' 'test_a() { echo x >f; has f $'"'x\n'"'; absent g; fails none cat none; }'
script 1 'FAIL: .*false' 'test_a() { false; echo not reached; }'
script 1 'FAIL: .*false' 'test_a() { helper; echo not reached; }; helper() { false; true; }'
script 1 'FAIL: ' 'test_a() { false | true; }'
script 1 'got a, want b' 'test_a() { is a b; }'
script 1 'content of f' 'test_a() { echo x >f; has f x; }'
script 1 'cannot read f' 'test_a() { has f x; }'
script 1 'is there' 'test_a() { echo x >f; absent f; }'
script 1 'is there' 'test_a() { ln -s none f; absent f; }'
script 1 'is missing' 'test_a() { present f; }'
script 1 'succeeded' 'test_a() { fails x true; }'
script 1 'does not match' 'test_a() { fails nonsense cat none; }'
script 1 'said: ' 'test_a() { silent eval "echo x >&2"; }'
script 1 'failed with' 'test_a() { silent false; }'
script 1 'differ' 'test_a() { echo x >f; echo y >g; same f g; }'
script 1 'did not come true' 'test_a() { eventually 0 false; }'
script 1 '1 passed, 1 failed' 'test_a() { false; }; test_b() { true; }'
script 77 '1 skipped' 'test_a() { skip "no reason"; }'
script 0 '1 passed, 0 failed, 1 skipped' 'test_a() { skip "no reason"; }; test_b() { true; }'
script 77 '0 passed' 'echo no test at all'
# What hangs is shown where it stands, and ended.
(
	export MEMOFS_TIMEOUT_S=2
	script 143 '^   +[0-9]+ sleep .*' 'test_a() { sleep 1000; }'
	grep -q '^HUNG: that was all' "$tmp/out"
)
echo 'functions.sh notices all of it'
