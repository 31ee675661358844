#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark suite says something about every row. What it says is no matter here.
# shellcheck source=../mount/functions.sh
. "$(dirname "$0")/../mount/functions.sh"
setup_folder
mkdir "$WORK"

suite() { TMPDIR=$T bash "$MEMOFS_SOURCE/tests/bench/suite.sh" "$@"; }

# Root is who can drop caches and mount a tmpfs; and every row is measured.
test_all_rows() {
	needs_root
	needs python3
	local row
	suite --tiny --rounds 1 --csv all.csv --plot all.svg --markdown all.md >table 2>said ||
		fail "suite.sh failed: $(cat said)"
	while read -r row _; do
		grep -q "^$row: " table || fail "the table has no row $row"
	done < <(suite --tiny --rows)
	! grep -q 'not measured here$' <(sed '/^target/,$d' table) || fail 'a row is empty'
	grep -q '^target .*wanted' table || fail 'the table has no targets'
	[ "$(grep -c -E ' (met|MISSED|not measured here)$' table)" -ge 12 ] || fail 'targets are missing'
	suite --tiny --rows | cut -d' ' -f1 >rows
	is "$(sed -n 's/^| \([a-z-]*\/[^ ]*\|absent\|attr\|publish\|wait\) .*/\1/p' all.md)" "$(cat rows)" \
		'rows of all.md'
	python3 - rows all.csv all.svg <<-'END_OF_PYTHON'
		import csv, sys, xml.dom.minidom
		rows = set(open(sys.argv[1]).read().split())
		lines = list(csv.DictReader(open(sys.argv[2], newline="")))
		assert {l["row"] for l in lines} == rows, rows ^ {l["row"] for l in lines}
		assert {l["row"] for l in lines if l["target"] == "memofs"} == rows
		for line in lines:
		    assert 0 < float(line["lowest"]) <= float(line["median"]) <= float(line["highest"]), line
		    assert int(line["rounds"]) == 1, line
		panels = xml.dom.minidom.parse(sys.argv[3]).getElementsByTagName("text")
		assert rows <= {p.firstChild.data for p in panels}, "a row is not in the plot"
	END_OF_PYTHON
}

test_one_row() {
	needs python3
	suite --tiny --only absent,create/4 --beside disk >table 2>said || fail "suite.sh failed: $(cat said)"
	is "$(grep -E -o '^[a-z]+(/[0-9a-z]+)?: ' table | tr -d '\n')" 'create/4: absent: '
	! grep passthrough table || fail 'who was not asked for is there'
}

test_wrong_calls() {
	needs python3
	fails 'there is no row nonsense' suite --tiny --only hit,nonsense
	fails 'there is no other' suite --tiny --beside other,disk
	fails '^usage: ' suite --rounds 0
	fails '^usage: ' suite --loud
}

# Nothing is left behind, also when it is ended in the midst of it.
test_ended() {
	needs python3
	local pid
	mkdir tmp
	TMPDIR=$PWD/tmp bash "$MEMOFS_SOURCE/tests/bench/suite.sh" --quick --only create --beside disk 2>said >table &
	pid=$!
	eventually 30 test -n "$(mounts_soon)"
	kill -TERM "$pid"
	wait "$pid" && fail 'it succeeded'
	is "$(awk -v t="$PWD/tmp/" 'index($5, t) == 1' /proc/self/mountinfo)" '' 'what is still mounted'
	is "$(ls -A tmp)" '' 'what is left'
}

mounts_soon() {
	until awk -v t="$PWD/tmp/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | grep .; do
		sleep 0.05
	done
}

run_tests "$@"
