#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is counted, and how it is told: stats, metrics, history and log, of the mount and
# of each namespace. Each test has a namespace of its own.
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory counts nothing'
promcheck=$(dirname "$(realpath "$0")")/promcheck.py

# A number of stats.json: of the namespace NS, or of all when it is `.`; `total` unless
# another object is named.
number() { # NS FIELD [OBJECT]
	python3 -I - "$MNT/.memofs/stats.json" "$@" <<-'END'
		import json, sys
		stats = json.load(open(sys.argv[1]))
		ns, field, of = sys.argv[2], sys.argv[3], (sys.argv[4:] or ["total"])[0]
		found = [stats] if ns == "." else [n for n in stats["namespaces"] if n["name"] == ns]
		print(found[0][of][field] if found else 0)
	END
}

counts() { # NS FIELD=VALUE...
	local ns=$1 pair
	shift
	for pair; do
		is "$(number "$ns" "${pair%%=*}")" "${pair#*=}" "${pair%%=*} of $ns"
	done
}

is_number() { # NS FIELD VALUE
	[ "$(number "$1" "$2")" = "$3" ]
}

# A miss that the kernel remembers is not asked again, so that only one is sure.
test_reads_and_misses() {
	local ns=reads_and_misses before
	number "$ns" misses >/dev/null # what looks at the numbers looks for files here, too
	before=$(number "$ns" misses)
	fails 'No such file' cat missing
	counts "$ns" misses_absent=$((before + 1)) misses=$((before + 1)) hits=0 published=0
	bash -c 'echo hello >key'
	has key $'hello\n'
	counts "$ns" hits=1 published=1 bytes_written=6 bytes_read=6 failed=0 misses_expired=0
}

test_time_saved() {
	local ns=time_saved
	bash -c 'echo hello >key'
	set_attr cost 100 key
	cat key key >/dev/null
	counts "$ns" hits=2 saved_s=200.0
	bash -c 'sleep 0.2; echo hello; sleep 0.2' >measured
	counts "$ns" published=2
	python3 -I -c 'import sys; sys.exit(not 0.4 <= float(sys.argv[1]) < 60)' "$(number "$ns" computed_s)" ||
		fail "computed in $(number "$ns" computed_s)"
}

test_reasons() {
	local ns=reasons
	bash -c 'echo old >old; echo new >new'
	set_attr ttl 10ms old
	sleep 0.05
	absent old
	present new
	absent .memofs/view/since=2199-01-01/new
	[ "$(number "$ns" misses_expired)" -ge 1 ] || fail 'nothing has expired'
	[ "$(number "$ns" misses_too_old)" -ge 1 ] || fail 'nothing is too old'
	counts "$ns" misses_damaged=0
}

test_failed() {
	local ns=failed
	bash -c 'echo half >bad; exit 3' || :
	absent bad
	counts "$ns" failed=1 published=0
	[[ $(cat .memofs/log) == *'"bad" was not stored: exit status 3'* ]] || fail "$(cat .memofs/log)"
	# Another namespace has not that line, and the mount has it.
	mkdir ../elsewhere
	is "$(grep -c '"bad"' ../elsewhere/.memofs/log || :)" 0
	grep -q '"bad"' "$MNT/.memofs/log"
}

# Each has a name of its own also where two are called the same.
test_names_of_another_version() {
	bash -c 'echo 1 >key'
	set_attr version two "$MNT"
	cd "$MNT"
	mkdir -p names_of_another_version/below moved
	bash -c 'echo 2 >names_of_another_version/key; echo 3 >moved/key'
	present moved/key # it is stored before it is moved, and counts there
	# A namespace that is moved is none.
	mv -T moved names_of_another_version/below/names_of_another_version
	python3 -I "$promcheck" <"$MNT/.memofs/metrics" >/dev/null
	counts names_of_another_version published=1
	counts .memofs/view/version=/names_of_another_version published=1
	has "$MNT/.memofs/view/version=/names_of_another_version/key" $'1\n'
	set_attr version '' "$MNT"
	python3 -I "$promcheck" <"$MNT/.memofs/metrics" >/dev/null
	counts .memofs/versions/two/names_of_another_version published=1
}

# A line about what has a node, not a name: the request says which.
test_log_of_a_request() {
	fails 'Invalid argument' stat .memofs/view/nonsense=1
	grep -q 'nonsense' .memofs/log || fail "$(cat .memofs/log)"
	mkdir -p sub/dir ../quiet
	fails 'Invalid argument' stat sub/dir/.memofs/view/rubbish=1
	grep -q 'rubbish' .memofs/log || fail "$(cat .memofs/log)"
	is "$(wc -c <../quiet/.memofs/log)" 0
	# Only a namespace has texts, not what is below it.
	absent sub/.memofs/log sub/.memofs/stats .memofs/top.json .memofs/config
}

test_reservations_and_waits() {
	local ns=reservations_and_waits
	echo 'me 60s' >.memofs/reservations/key
	echo 'me 60s' >.memofs/reservations/key # an extension
	fails 'busy' bash -c "echo 'you 60s' >.memofs/reservations/key"
	counts "$ns" reserved=1 reserved_busy=1 waits=0
	cat .memofs/view/wait/key >"$T/waited" &
	eventually 30 is_number "$ns" waits 1
	is "$(python3 -I -c "import json; print(json.load(open('$MNT/.memofs/top.json'))['waiting'])")" \
		"[{'path': '$ns/key', 'waiters': 1}]"
	echo value >.memofs/view/owner=me/key
	wait $!
	has "$T/waited" $'value\n'
	counts "$ns" waits=1 hits=1
	[ "$(number "$ns" waited_s)" != 0.0 ] || fail 'no time was waited'
	# By descriptor.
	bash -c 'set -C; echo x >excl'
	counts "$ns" reserved=2
}

test_top() {
	local top=$MNT/.memofs/top.json
	is "$(stat -c '%a %u' "$top")" "400 $(id -u)"
	mkdir dir
	exec 5>dir/slow
	echo part >&5
	python3 -I - "$top" "$$" <<-'END'
		import json, sys
		found = [c for c in json.load(open(sys.argv[1]))["computing"] if c["path"] == "top/dir/slow"]
		assert len(found) == 1 and found[0]["bytes"] == 5 and found[0]["pid"] > 0, found
		assert found[0]["owner"] == "bash", found
	END
	exec 5>&-
	if [ "$(id -u)" -eq 0 ]; then
		fails 'Permission denied' setpriv --reuid 65534 --regid 65534 --clear-groups cat "$top"
	fi
}

# Names that try to get out of a string, and bytes that are no characters.
test_names() {
	local bad=$'a"b\\c\n\xff{}' ns
	for ns in "$bad" 'é☃' '<b>'; do
		mkdir "$MNT/$ns"
		echo x >"$MNT/$ns/key"
		cat "$MNT/$ns/key" >/dev/null
	done
	python3 -m json.tool "$MNT/.memofs/stats.json" >"$T/pretty"
	grep -q '"name": "<b>"' "$T/pretty"
	python3 -I -c 'import json,sys
names = [n["name"] for n in json.load(open(sys.argv[1]))["namespaces"]]
assert "é☃" in names and "a\"b\\c\n\ufffd{}" in names, names' "$MNT/.memofs/stats.json"
	python3 "$promcheck" <"$MNT/.memofs/metrics" >/dev/null
	grep -qF 'memofs_hits_total{namespace="é☃"} 1' "$MNT/.memofs/metrics"
	cat "$MNT/.memofs/stats" >/dev/null
}

test_metrics() {
	local all own
	echo x >key
	cat key >/dev/null
	all=$(python3 "$promcheck" <"$MNT/.memofs/metrics")
	own=$(python3 "$promcheck" <.memofs/metrics)
	[ "$all" -gt "$own" ] || fail "$all series in all, $own of a namespace"
	[ "$own" -ge 20 ] || fail "$own series"
	grep -qx 'memofs_hits_total{namespace="metrics"} 1' .memofs/metrics
	grep -q '^memofs_request_duration_seconds_count{op="open"} [1-9]' "$MNT/.memofs/metrics"
	! grep -q 'namespace="[^m]' .memofs/metrics || fail 'others are there'
	if command -v promtool >/dev/null; then
		promtool check metrics <"$MNT/.memofs/metrics"
	fi
}

test_stats_for_people() {
	echo x >key
	set_attr cost 3600 key
	cat key >/dev/null
	[[ $(head -n 1 .memofs/stats) == 'Time saved     1h in '* ]] || fail "$(cat .memofs/stats)"
	[[ $(head -n 1 "$MNT/.memofs/stats") == 'Time saved '* ]] || fail 'not first'
	grep -q '^stats_for_people  *1h ' "$MNT/.memofs/stats"
	grep -q '^Store  *\[[#-]*\] [0-9]* % ' "$MNT/.memofs/stats"
}

# A tree has its cost once, however many files are read.
test_trees() {
	local saved
	mkdir .memofs/stage/t
	for i in 1 2 3 4; do head -c 10000 /dev/zero | tr '\0' "$i" >.memofs/stage/t/f"$i"; done
	mv -T .memofs/stage/t tree
	set_attr cost 1000 tree
	cat tree/f* >/dev/null
	saved=$(number trees saved_s)
	python3 -I -c 'import sys; sys.exit(not 900 < float(sys.argv[1]) <= 1000)' "$saved" ||
		fail "saved $saved"
	counts trees hits=4
	# What a result does not have is a part of it.
	is "$(number trees misses_absent)" "$(absent tree/none; number trees misses_absent)"
}

# Many reads, one after the other; has any of their requests been found by looking?
polled_at() { # MOUNTPOINT
	timeout "$COMMAND_TIMEOUT_S" python3 - "$1/polled/key" <<-'END' || fail 'cannot read'
		import sys
		for _ in range(2000):
		    with open(sys.argv[1]) as f:
		        f.read()
	END
	[ "$(status_of polled_requests "$1")" -gt 0 ]
}

test_requests_are_looked_for() {
	needs_mount
	needs python3
	[ "$(nproc)" -gt 1 ] || skip 'there is one processor'
	mkdir "$MNT/polled"
	echo x >"$MNT/polled/key"
	eventually 60 polled_at "$MNT" || fail 'none was found by looking'
	mkdir "$T/asleep"
	mount_at "$STORE.$BASHPID" "$T/asleep" -o busy-poll=no
	mkdir "$T/asleep/polled"
	echo x >"$T/asleep/polled/key"
	! polled_at "$T/asleep" || fail 'it looks though it is told not to'
	umount_at "$T/asleep"
}

# The last: it mounts anew.
test_z_totals_are_kept() {
	needs_persistence
	local hits saved lines
	echo x >key
	set_attr cost 7 key
	cat key >/dev/null
	hits=$(number . hits)
	saved=$(number z_totals_are_kept saved_s)
	is "$saved" 7.0
	cd /
	umount_memofs
	mount_memofs
	is "$(number . hits)" "$hits"
	is "$(number . hits since_start)" 0
	is "$(number z_totals_are_kept saved_s)" "$saved"
	lines=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "hits") c = i }
		$1 == 60 { sum += $c; n++ } END { print sum, (n > 0) }' "$MNT/.memofs/history.csv")
	is "$lines" "$hits 1" 'hits in history.csv'
	is "$(awk -F, '{ print NF }' "$MNT/.memofs/history.csv" | sort -u)" 25
	# A crash loses what was not written yet, and nothing else.
	cat "$MNT/z_totals_are_kept/key" >/dev/null
	kill_daemon
	umount -l "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT"
	mount_memofs
	lines=$(number . hits)
	[ "$lines" -ge "$hits" ] && [ "$lines" -le $((hits + 1)) ] || fail "$lines hits of $hits"
}

setup
run_tests "$@"
