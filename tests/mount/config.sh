#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The configuration file, as the daemon reads and reloads it.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no configuration'
setup_folder

F=$T/memofs.yaml

# One mount for one test.
with_config() {
	cat >"$F"
	mount_at "$STORE.$BASHPID" "$MNT" --config "$F"
}

bad() { # REGEX: the file on stdin is refused with FILE:LINE:COL and a reason
	local status=0
	cat >"$F"
	mount_at "$STORE.$BASHPID" "$MNT" --config "$F" 2>"$T/said" || status=$?
	is "$status" 2 "exit code ($(cat "$T/said"))"
	is "$(wc -l <"$T/said")" 1 "lines of: $(cat "$T/said")"
	[[ $(cat "$T/said") =~ $F:$1 ]] || fail "said: $(cat "$T/said"); want: $F:$1"
	! is_mounted "$MNT" || fail 'it is mounted'
}

reload() {
	cat >"$F"
	kill -HUP "$(daemon_pid)"
}

test_namespaces_are_made() {
	with_config <<-'END'
		namespaces:
		  build:
		    ttl: 1h
		    mode: "0750"
		  release:
		    ttl: none
		    version: v7
		    lease: 5m
		    wait: 2s
		    publish: always
	END
	is "$(attr lease "$MNT/release") $(attr wait "$MNT/release") $(attr publish "$MNT/release")" \
		'5m 2s always'
	is "$(ls "$MNT" | tr '\n' ' ')" 'build release '
	is "$(attr ttl "$MNT/build")" 1h
	is "$(stat -c %a "$MNT/build")" 750
	is "$(attr ttl "$MNT/release")" none
	is "$(attr version "$MNT/release")" v7
	echo x >"$MNT/build/key"
	[[ $(attr expires "$MNT/build/key") =~ ^[0-9] ]] || fail 'the ttl does not apply'
	umount_memofs
}

test_bad_files() {
	bad '2:3: .*alow-other.*allow-other' <<-'END'
		mount:
		  alow-other: true
	END
	bad '3:10: .*5 parsecs.*duration' <<-'END'
		namespaces:
		  build:
		    ttl: 5 parsecs
	END
	bad '3:14: .*slash' <<-'END'
		namespaces:
		  build:
		    version: a/b
	END
	bad '2:10: ' <<-'END'
		store:
		  cache: -64MiB
	END
	bad '1:1: .*mounts.*mount' <<-'END'
		mounts: {}
	END
	bad '2:3: .*memofs' <<-'END'
		namespaces:
		  .memofs:
		    ttl: 1h
	END
	bad '[0-9]+:[0-9]+: ' <<-'END'
		mount: [
	END
	head -c 300 /dev/urandom | bad '([0-9]+:[0-9]+: )?'
}

test_missing_file() {
	rm -f "$F"
	fails "$F.*No such file" mount_at "$STORE.$BASHPID" "$MNT" --config "$F"
	! is_mounted "$MNT" || fail 'it is mounted'
}

test_empty_file_is_all_defaults() {
	with_config </dev/null
	echo x >"$MNT/key"
	has "$MNT/key" $'x\n'
	umount_memofs
}

test_command_line_wins() {
	with_config <<-'END'
		mount:
		  read-only: true
	END
	fails 'Read-only file system' touch "$MNT/key"
	umount_memofs
	mount_at "$STORE.$BASHPID" "$MNT" --config "$F" -o rw
	touch "$MNT/key"
	umount_memofs
}

test_reload() {
	with_config <<-'END'
		namespaces:
		  build:
		    ttl: 1h
	END
	echo x >"$MNT/build/key"
	sleep 1.1
	reload <<-'END'
		namespaces:
		  build:
		    ttl: 1s
		  more:
		    ttl: 2h
	END
	eventually 20 ttl_is "$MNT/build" 1s
	eventually 20 ttl_is "$MNT/more" 2h
	absent "$MNT/build/key"
	# A bad file changes nothing, and the log says where it is wrong.
	reload <<-'END'
		namespaces:
		  build:
		    ttl: 9h
		  more:
		    tll: 9h
	END
	eventually 20 grep -q "$F:5:5: " "$LOG"
	is "$(attr ttl "$MNT/build")" 1s
	is "$(attr ttl "$MNT/more")" 2h
	rm "$F"
	kill -HUP "$(daemon_pid)"
	eventually 20 grep -q "$F.*No such file" "$LOG"
	is "$(attr ttl "$MNT/build")" 1s
	echo still >"$MNT/more/key"
	has "$MNT/more/key" $'still\n'
	umount_memofs
}

ttl_is() { [ "$(attr ttl "$1" 2>/dev/null)" = "$2" ]; }

size_is() { [ "$(df -B1 --output=size "$MNT" | tail -n 1 | tr -d ' ')" = "$1" ]; }

test_bounds_change_while_it_runs() {
	with_config <<-'END'
		store:
		  size: 16MiB
		namespaces:
		  small:
		    quota: 2MiB
		    max-entry: 64KiB
		    pin: true
	END
	size_is $((16 << 20)) || fail "df: $(df -B1 "$MNT")"
	is "$(attr quota "$MNT/small") $(attr max-entry "$MNT/small") $(attr pin "$MNT/small")" \
		'2MiB 64KiB yes'
	fails 'File too large' bash -c "head -c 70000 /dev/zero >'$MNT/small/f'"
	reload <<-'END'
		store:
		  size: 24MiB
		  max-entry: 1MiB
		  policy: lru
		  keep-expired: 1m
	END
	eventually 20 size_is $((24 << 20))
	grep -q 'policy: lru' "$MNT/.memofs/config" || fail "config: $(cat "$MNT/.memofs/config")"
	fails 'File too large' bash -c "head -c 1100000 /dev/zero >'$MNT/f'"
	reload <<-'END'
		store:
		  size: 1%
	END
	eventually 20 grep -q 'size: 1%' "$MNT/.memofs/config"
	! size_is $((24 << 20)) || fail 'the size is still that of before'
	umount_memofs
	! mount_at "$STORE" "$MNT" -o size=10 2>"$T/said" || fail 'it is mounted'
	grep -q 'size: "10" is not between 1MiB and' "$T/said" || fail "said: $(cat "$T/said")"
}

test_settings_are_shown() {
	with_config <<-'END'
		mount:
		  threads: 3
	END
	grep -q 'threads: 3' "$MNT/.memofs/config" || fail "config: $(cat "$MNT/.memofs/config")"
	umount_memofs
}

run_tests "$@"
