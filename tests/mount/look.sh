#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memofs stats, top and report on a mount.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=cli_functions.sh
. "$(dirname "$0")/cli_functions.sh"
setup

# In the namespace $1: one result that took 100 s, read twice, and one that is missing.
some_work() { # NAMESPACE
	mkdir -p "$MNT/$1"
	echo result >"$MNT/$1/key"
	set_attr cost 100 "$MNT/$1/key"
	has "$MNT/$1/key" $'result\n'
	has "$MNT/$1/key" $'result\n'
	absent "$MNT/$1/none"
}

test_stats_say_what_was_saved() {
	needs_mount
	some_work saved
	exits 0 stats "$MNT/saved/key"
	[[ $OUT == "$MNT, namespace saved, since "*$'\n'"  time saved    3m 20s, computed "* ]] ||
		fail "it says $OUT"
	[[ $OUT == *' 2 hits, '*' absent, 0 expired'* ]] || fail "it says $OUT"
	exits 0 stats "$MNT"
	[[ $OUT == *'time saved '*'3m 20s '*' saved'* ]] || fail "it says $OUT"
	[[ $OUT == *'REQUEST'*'lookup '* ]] || fail "it says $OUT"
}

test_stats_as_json() {
	needs_mount
	some_work json
	exits 0 stats --json "$MNT/json"
	is "$(json 'v["name"], v["total"]["hits"], v["total"]["saved_s"]')" "('json', 2, 200.0)"
	exits 0 stats -j "$MNT"
	is "$(json '[n["total"]["hits"] for n in v["namespaces"] if n["name"] == "json"]')" '[2]'
	is "$(json 'v["store"]["policy"], v["store"]["entries"] > 0')" "('gdsf', True)"
}

# Names are any bytes, what is written is UTF-8 and obeyed by no terminal.
test_names_are_any_bytes() {
	needs_mount
	local name=$'odd\xff\033[31m\n'
	some_work "$name"
	exits 0 stats "$MNT/$name"
	[[ $OUT == *'time saved '*'3m 20s'* && $OUT != *$'\033'* ]] || fail "it says $OUT"
	exits 0 stats --json "$MNT/$name/key"
	is "$(json 'v["name"] == "odd\ufffd\033[31m\n", v["total"]["hits"]')" '(True, 2)'
	exits 0 stats "$MNT"
	[[ $OUT != *$'\033'* && $OUT == *'odd'* ]] || fail "it says $OUT"
}

test_the_mount_is_found() {
	needs_mount
	export HOME=$T XDG_RUNTIME_DIR=$T
	exits 0 stats
	[[ $OUT == "$MNT, "* ]] || fail "in the mount it says $OUT"
	cd /
	complains 1 'no cache of your own is mounted' stats
	MEMOFS_CACHE=$WORK exits 0 stats
	[[ $OUT == "$MNT, "* ]] || fail "with MEMOFS_CACHE it says $OUT"
	MEMOFS_CACHE=/usr complains 4 'not a directory in a memofs mount' top
	complains 4 '/usr is not inside a memofs mount' stats /usr
	complains 4 '/usr is not inside a memofs mount' top --once /usr
	complains 4 '/usr is not inside a memofs mount' report /usr
	complains 1 'nothing is known of a namespace nowhere yet' stats "$MNT/nowhere/x"
	complains 2 'not a time between two looks' top --interval 0.01s "$MNT"
	ln -s "$MNT" "$T/link"
	exits 0 stats "$T/link/"
	[[ $OUT == "$MNT, "* ]] || fail "through a symlink it says $OUT"
}

test_one_look_of_top() {
	needs_mount
	some_work seen
	exec 8>"$MNT/seen/being-made"
	exits 0 top "$MNT/seen"
	exec 8>&-
	[[ $OUT == *'time saved  3m 20s '* ]] || fail "it says $OUT"
	[[ $OUT == *'computed now'*'seen/being-made '* ]] || fail "it says $OUT"
	[[ $OUT != *$'\033'* ]] || fail 'there are escapes where there is no terminal'
}

test_entries_are_private() {
	needs_mount
	needs_root
	needs setpriv
	local out
	some_work private
	out=$(setpriv --reuid 65534 --regid 65534 --clear-groups \
		timeout "$COMMAND_TIMEOUT_S" "$MEMOFS" top --once "$MNT") || skip 'others may not look'
	[[ $out == *'time saved '*'Entries are shown to the user of the daemon only.' ]] ||
		fail "another user sees $out"
}

test_top_in_a_terminal() {
	needs_mount
	needs python3
	timeout 300 python3 "$MEMOFS_SOURCE/tests/mount/terminal.py" "$MEMOFS" "$MNT"
}

test_a_report() {
	needs_mount
	some_work '<b>reported'
	silently 0 report -o "$T/report.html" "$MNT"
	grep -q '<strong>[0-9].*</strong><span>of computing saved' "$T/report.html" ||
		fail 'the report does not begin with the time saved'
	grep -q '&#60;b&#62;reported' "$T/report.html" || fail 'a namespace is not in it'
	! grep -qE '<b>reported|<script|https?:' "$T/report.html" || fail 'a name is markup'
	exits 0 report "$MNT"
	[[ $OUT == '<!DOCTYPE html>'*'</html>' ]] || fail 'it is no page'
}

test_the_weekly_report() {
	needs_mount
	some_work weekly
	mkdir "$T/pages"
	local out
	out=$(PATH=$MEMOFS_BUILD:$PATH "$MEMOFS_SOURCE/examples/weekly-report.sh" "$MNT/weekly" "$T/pages")
	[[ $out == 'Cache: time saved 3m 20s, computed '*$'\n'"$T/pages/memofs-"*.html ]] ||
		fail "it says $out"
	present "${out#*$'\n'}"
}

test_a_report_that_cannot_be_written() {
	needs_mount
	echo old >"$T/kept"
	complains 3 'No such file or directory; nothing was written' report -o "$T/no/x" "$MNT"
	complains 3 'irectory.*; nothing was written' report -o "$T" "$MNT"
	local status=0
	memofs report "$MNT" >/dev/full 2>"$T/err" || status=$?
	is "$status" 3 'exit code with a full disk'
	grep -q 'cannot write to standard output' "$T/err" || fail "it said $(cat "$T/err")"
}

# Where only a namespace is seen, the daemon's text on it stands for the numbers.
test_a_part_of_the_mount() {
	needs_mount
	needs_root
	some_work part
	mkdir "$T/part"
	mount --bind "$MNT/part" "$T/part" || skip 'no bind mounts here'
	exits 0 stats "$T/part"
	complains 3 'only a part of the mount is seen here' stats --json "$T/part"
	complains 3 'only a part of the mount is seen here' top "$T/part"
	complains 3 'only a part of the mount is seen here' report "$T/part"
	umount "$T/part"
}

test_a_daemon_that_has_ended() {
	needs_mount
	mkdir "$T/dead"
	mount_at "$T/dead-store" "$T/dead"
	kill_daemon "$T/dead"
	complains 4 'the daemon of this mount has ended' stats "$T/dead"
	complains 4 'the daemon of this mount has ended' top --once "$T/dead"
	complains 4 'the daemon of this mount has ended' report "$T/dead"
	umount_at "$T/dead"
}

run_tests "$@"
