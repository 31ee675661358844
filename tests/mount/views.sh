#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Directories under other rules: DIR/.memofs/view/OPTION,OPTION,…
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
[ -z "${MEMOFS_PLAIN:-}" ] || skip_all 'an ordinary directory has no views'
setup

# What a directory shows under a view, on one line.
shown() { ls "$1" | tr '\n' ' '; }

# A name is no hit by any way to ask for it, and is not listed.
miss() { # PATH
	absent "$1"
	is "$(find "$(dirname "$1")" -maxdepth 1 -name "$(basename "$1")")" '' "listing of $1"
	fails 'No such file' getfattr -n user.cache.state "$1"
}

# A point in time, and some seconds: what is asked of a value may end before a loaded
# machine has asked.
later() { # SECONDS.NANOS SECONDS
	python3 -c 'import sys; from decimal import *; print(sum(map(Decimal, sys.argv[1:])))' "$@"
}

reserve() { setfattr -n user.cache.reservation -v "$2" "$1"; } # PATH "ID DURATION"

# How often the log has a text.
logged() { grep -cF -- "$1" "$MNT/.memofs/log" || true; }

# --- one option -----------------------------------------------------------------

test_each_option_shows_the_directory() {
	mkdir -p d/sub
	echo x >d/key
	echo y >d/sub/deep
	ln -s key d/link
	for view in version= max-age=1h max-age=none since=@0 since=1970-01-01 wait wait=0 \
		wait=none owner=me stale ro; do
		is "$(shown "d/.memofs/view/$view")" 'key link sub ' "$view"
		has "d/.memofs/view/$view/key" $'x\n'
		has "d/.memofs/view/$view/link" $'x\n'
		has "d/.memofs/view/$view/sub/deep" $'y\n'
		is "$(stat -c %i "d/.memofs/view/$view/key")" "$(stat -c %i d/key)" "$view"
		is "$(readlink "d/.memofs/view/$view/link")" key "$view"
	done
	is "$(ls d/.memofs | sort | tr '\n' ' ')" 'reservations stage versions view '
	is "$(ls d/.memofs/view)" ''
	is "$(ls -A d/.memofs/view/ro)" "$(ls -A d)"
}

test_max_age() {
	local created view got
	echo x >key
	has .memofs/view/max-age=1h/key $'x\n'
	miss .memofs/view/max-age=0/key
	created=$(attr created key)
	is "$(attr expires .memofs/view/max-age=3600500ms/key)" "$(later "$created" 3600.5)"
	is "$(attr expires key)" never
	is "$(attr state key)" live
	view=.memofs/view/max-age=1500ms
	wait_until "$(later "$created" 1.5)"
	miss $view/key
	is "$(ls "$view")" ''
	has key $'x\n'
	# The clock starts anew with a new value, whoever writes it.
	echo new >key
	read -r got <$view/key
	is "$got" new
	# The ttl may end it sooner.
	set_attr ttl 1h key
	is "$(attr expires .memofs/view/max-age=2h/key)" "$(attr expires key)"
}

# Long enough for the kernel to keep names and attributes on the way, and asked for
# without a pause: no call that began after the end is a hit, none that ended before
# it a miss.
test_max_age_is_exact_with_warm_caches() {
	mkdir sub
	python3 - .memofs/view/max-age=2500ms/sub <<-'END'
		import os, sys, time
		view = sys.argv[1]
		key = f"{view}/key"
		with open("sub/key", "w") as f:
		    f.write("x")
		def listed():
		    if "key" not in os.listdir(view):
		        raise FileNotFoundError
		ways = [lambda: os.stat(key), lambda: open(key).read(), listed,
		        lambda: os.open(key, os.O_PATH), lambda: os.getxattr(key, "user.cache.state")]
		seconds, nanos = os.getxattr(key, "user.cache.expires").decode().split(".")
		expires = int(seconds) * 10**9 + int(nanos)
		hits = misses = 0
		while misses < 30:
		    for way in ways:
		        begin = time.time_ns()
		        try:
		            got = way()
		            if isinstance(got, int):
		                os.close(got)
		            assert begin < expires, "a hit after the end"
		            hits += 1
		        except FileNotFoundError:
		            assert time.time_ns() >= expires, "a miss before the end"
		            misses += 1
		assert hits, "not even one"
	END
}

test_since() {
	local before
	echo old >old
	sleep 0.01
	before=$(date +%s.%N)
	echo new >new
	is "$(shown ".memofs/view/since=$before")" 'new '
	is "$(shown ".memofs/view/since=@$before")" 'new '
	has ".memofs/view/since=$before/new" $'new\n'
	miss ".memofs/view/since=$before/old"
	is "$(shown ".memofs/view/since=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M)")" ''
	is "$(shown ".memofs/view/since=$(TZ=Asia/Tokyo date -d '+1 hour' --rfc-3339=ns)")" ''
	is "$(shown ".memofs/view/since=$(TZ=Asia/Tokyo date -d '-1 hour' --rfc-3339=ns)")" 'new old '
	is "$(shown ".memofs/view/since=$(date -u +%Y)-01-01")" "$(shown .)"
	is "$(attr expires ".memofs/view/since=$before/new")" never
	# A value of that very moment is in.
	is "$(shown ".memofs/view/since=$(attr created new)")" 'new '
}

test_stale() {
	local view=.memofs/view/stale expires
	echo gone >gone
	echo old >old
	expires=$(later "$(attr created old)" 1)
	set_attr ttl 1s gone
	set_attr ttl 1s old
	reserve .memofs/reservations/old 'me 1h'
	has $view/old $'old\n'
	wait_until "$expires"
	miss old
	miss gone
	miss $view/gone
	has $view/old $'old\n'
	is "$(shown $view)" 'old '
	is "$(find $view -type f -printf '%f %s\n')" 'old 4'
	is "$(attr state $view/old)" expired
	is "$(attr expires $view/old)" "$expires"
	# To who computes it, it is missing.
	miss .memofs/view/stale,owner=me/old
	has .memofs/view/stale,owner=you/old $'old\n'
	reserve .memofs/reservations/old 'me 0'
	miss $view/old
	is "$(ls $view)" ''
	# A descriptor that is open is a reservation, and its value is shown when it
	# is there.
	exec 3>old
	echo new >&3
	is "$(cat $view/old)" old
	exec 3>&-
	has $view/old $'new\n'
	is "$(shown $view)" 'old '
}

# Age and time make stale, too; and what a view has let out it does not serve.
test_stale_with_age() {
	local now
	echo x >key
	now=$(python3 -c 'import time; time.sleep(0.01); print("%.9f" % time.time())')
	miss .memofs/view/max-age=0,stale/key
	miss ".memofs/view/since=$now,stale/key"
	reserve .memofs/reservations/key 'me 1h'
	has .memofs/view/max-age=0,stale/key $'x\n'
	has ".memofs/view/since=$now,stale/key" $'x\n'
	miss .memofs/view/max-age=0/key
	# Whoever was given a view without it cannot get more by asking for it.
	miss .memofs/view/max-age=0/.memofs/view/stale/key
	has .memofs/view/stale/.memofs/view/ro/key $'x\n'
	miss .memofs/view/stale/.memofs/view/max-age=0/key
	is "$(shown .memofs/view/max-age=0,stale)" 'key '
	reserve .memofs/reservations/key 'me 0'
	is "$(shown .memofs/view/max-age=0,stale)" ''
}

test_stale_listing_is_complete() {
	mkdir d
	seq 300 | while read -r i; do echo "$i" >"d/$i"; done
	for i in 7 70 200; do reserve "d/.memofs/reservations/$i" 'me 1h'; done
	reserve d/.memofs/reservations/none 'me 1h'
	is "$(ls d/.memofs/view/stale | wc -l)" 300
	is "$(ls d/.memofs/view/stale | sort -u | wc -l)" 300
	# shellcheck disable=SC2010 # what ls shows is the point
	is "$(ls -l d/.memofs/view/stale | grep -c ' 70$')" 1
	is "$(shown d/.memofs/view/max-age=0,stale | tr ' ' '\n' | sort -n | xargs)" '7 70 200'
}

# What can be waited for is seen, and says what it is.
test_state_of_what_is_awaited() {
	reserve .memofs/reservations/key 'me 1h'
	is "$(attr state .memofs/view/wait=0/key)" pending
	miss .memofs/view/ro/key
	fails 'No such attribute' getfattr -n user.cache.state .memofs/reservations/key
	reserve .memofs/reservations/key 'me 0'
	miss .memofs/view/wait=0/key
}

# --- ro ---------------------------------------------------------------------------

# Every request that changes something, in one program, so that a new one is one line.
test_ro_refuses_every_change() {
	mkdir -p d/sub d/empty
	echo x >d/key
	echo y >d/other
	ln -s key d/link
	setfattr -n user.note -v n d/key
	before=$(find d -printf '%P %y %s %m %u %g %T@ %C@ %l\n' | sort)
	python3 - d/.memofs/view/ro "$PWD/out" <<-'END'
		import errno, os, sys
		ro, out = sys.argv[1:]
		open(out, "w").write("z")
		p = lambda name: f"{ro}/{name}"
		fd = os.open(p("key"), os.O_RDONLY)
		path_fd = os.open(p("key"), os.O_PATH)
		dir_fd = os.open(ro, os.O_RDONLY | os.O_DIRECTORY)
		proc = f"/proc/self/fd/{fd}"
		proc_path = f"/proc/self/fd/{path_fd}"
		proc_dir = f"/proc/self/fd/{dir_fd}"
		O = os
		changes = {
		    "create": lambda: O.open(p("new"), O.O_CREAT | O.O_WRONLY),
		    "create to read": lambda: O.open(p("new"), O.O_CREAT | O.O_RDONLY),
		    "create exclusively": lambda: O.open(p("new"), O.O_CREAT | O.O_EXCL | O.O_RDWR),
		    "create at": lambda: O.open("new", O.O_CREAT | O.O_RDWR, dir_fd=dir_fd),
		    "create by proc": lambda: O.open(f"{proc_dir}/new", O.O_CREAT | O.O_RDWR),
		    "create below": lambda: O.open(p("sub/new"), O.O_CREAT | O.O_WRONLY),
		    "open to write": lambda: O.open(p("key"), O.O_WRONLY),
		    "open to append": lambda: O.open(p("key"), O.O_WRONLY | O.O_APPEND),
		    "open for both": lambda: O.open(p("key"), O.O_RDWR),
		    "open and empty": lambda: O.open(p("key"), O.O_WRONLY | O.O_TRUNC),
		    "open to read, and empty": lambda: O.open(p("key"), O.O_RDONLY | O.O_TRUNC),
		    "reopen by proc": lambda: O.open(proc, O.O_WRONLY),
		    "reopen path by proc": lambda: O.open(proc_path, O.O_RDWR),
		    "through the link": lambda: O.open(p("link"), O.O_WRONLY),
		    "truncate": lambda: O.truncate(p("key"), 0),
		    "truncate to the same": lambda: O.truncate(p("key"), 2),
		    "truncate by proc": lambda: O.truncate(proc, 0),
		    "chmod": lambda: O.chmod(p("key"), 0o600),
		    "fchmod": lambda: O.fchmod(fd, 0o600),
		    "chmod by proc": lambda: O.chmod(proc_path, 0o600),
		    "chmod of the directory": lambda: O.chmod(ro, 0o700),
		    "fchmod of the directory": lambda: O.fchmod(dir_fd, 0o700),
		    "chmod below": lambda: O.chmod(p("sub"), 0o700),
		    "chown": lambda: O.chown(p("key"), 1, 1),
		    "fchown": lambda: O.fchown(fd, 1, 1),
		    "lchown of a link": lambda: O.lchown(p("link"), 1, 1),
		    "utimes": lambda: O.utime(p("key"), (1, 1)),
		    "futimes": lambda: O.utime(fd, (1, 1)),
		    "utimes of a link": lambda: O.utime(p("link"), (1, 1), follow_symlinks=False),
		    "utimes of the directory": lambda: O.utime(ro, (1, 1)),
		    "setxattr": lambda: O.setxattr(p("key"), "user.a", b"1"),
		    "fsetxattr": lambda: O.setxattr(fd, "user.a", b"1"),
		    "setxattr of the directory": lambda: O.setxattr(ro, "user.a", b"1"),
		    "ttl": lambda: O.setxattr(p("key"), "user.cache.ttl", b"1s"),
		    "ttl of the directory": lambda: O.setxattr(ro, "user.cache.ttl", b"1s"),
		    "version": lambda: O.setxattr(ro, "user.cache.version", b"v"),
		    "reservation": lambda: O.setxattr(p("key"), "user.cache.reservation", b"me 1h"),
		    "removexattr": lambda: O.removexattr(p("key"), "user.note"),
		    "fremovexattr": lambda: O.removexattr(fd, "user.note"),
		    "unlink": lambda: O.unlink(p("key")),
		    "unlink at": lambda: O.unlink("key", dir_fd=dir_fd),
		    "unlink of a link": lambda: O.unlink(p("link")),
		    "mkdir": lambda: O.mkdir(p("new")),
		    "rmdir": lambda: O.rmdir(p("empty")),
		    "symlink": lambda: O.symlink("x", p("new")),
		    "mknod": lambda: O.mknod(p("new"), 0o100644),
		    "rename": lambda: O.rename(p("key"), p("new")),
		    "rename over": lambda: O.rename(p("key"), p("other")),
		    "rename out": lambda: O.rename(p("key"), f"{ro}/../../../new"),
		    "rename in": lambda: O.rename(out, p("new")),
		    "rename a directory": lambda: O.rename(p("sub"), p("new")),
		    "reserve by name": lambda: open(f"{ro}/.memofs/reservations/k", "w").write("me 1h"),
		    "reserve by attribute": lambda: O.setxattr(f"{ro}/.memofs/reservations/k",
		                                               "user.cache.reservation", b"me 1h"),
		    "in a version of it": lambda: O.mkdir(f"{ro}/.memofs/versions/v/new"),
		    "in a view of it": lambda: O.mkdir(f"{ro}/.memofs/view/stale/new"),
		    "in a view below": lambda: O.mkdir(f"{ro}/sub/.memofs/view/wait/new"),
		}
		for name, change in changes.items():
		    try:
		        change()
		    except OSError as e:
		        assert e.errno == errno.EROFS, f"{name}: {e}"
		    else:
		        raise SystemExit(f"{name}: succeeded")
		for name, change, want in [
		        ("write", lambda: O.write(fd, b"x"), errno.EBADF),
		        ("ftruncate", lambda: O.ftruncate(fd, 0), errno.EINVAL)]:
		    try:
		        change()
		    except OSError as e:
		        assert e.errno == want, f"{name}: {e}"
		    else:
		        raise SystemExit(f"{name}: succeeded")
	END
	rm out
	is "$(find d -printf '%P %y %s %m %u %g %T@ %C@ %l\n' | sort)" "$before"
	is "$(getfattr --absolute-names -d d/key 2>&1 | grep -c user.note)" 1
	is "$(ls d/.memofs/versions)" ''
	fails 'Read-only file system' tee d/.memofs/view/ro/key </dev/null
	fails 'Read-only file system' tee d/.memofs/view/ro/new </dev/null
	fails 'Read-only file system' mv d/.memofs/view/ro/key d/elsewhere
	fails 'Read-only file system' cp /dev/null d/.memofs/view/ro/new
}

# Nobody owns what is being written there; what is published shows.
test_ro_and_a_writer() {
	local ro=.memofs/view/ro
	exec 3>key
	echo half >&3
	absent $ro/key
	is "$(ls $ro)" ''
	exec 3>&-
	has $ro/key $'half\n'
	exec 3>>key
	echo more >&3
	has $ro/key $'half\n'
	exec 3>&-
	has $ro/key $'half\nmore\n'
}

# A path outside may end in what a path through the view began.
test_link_out_of_ro() {
	mkdir d out
	echo x >out/key
	ln -s "$PWD/out/key" d/link
	echo more >>d/.memofs/view/ro/link
	has out/key $'x\nmore\n'
	echo new >d/.memofs/view/ro/link
	has out/key $'new\n'
}

# --- several ----------------------------------------------------------------------

# All pairs in both orders, and one inside the other, against rules written down
# here once more.
test_all_pairs() {
	mkdir d
	echo x >d/old
	echo x >d/oldr
	echo x >d/dead
	echo x >d/deadr
	set_attr ttl 1ms d/dead
	set_attr ttl 1ms d/deadr
	sleep 0.01
	now=$(date +%s.%N)
	echo x >d/new
	reserve d/.memofs/reservations/oldr 'her 1h'
	reserve d/.memofs/reservations/deadr 'her 1h'
	python3 - "$now" <<-'END'
		import itertools, os, sys
		now = sys.argv[1]
		options = ["version=", "max-age=1h", "max-age=0", "max-age=none", f"since={now}",
		           "since=@1", "wait=0", "owner=me", "stale", "ro"]
		limits = lambda o: any(x.startswith(("max-age=0", "max-age=1h", "since")) for x in o)

		def admitted(name, opts):
		    if "max-age=0" in opts or name.startswith("dead"):
		        return False
		    return name == "new" or f"since={now}" not in opts

		def expected(opts):
		    return sorted(n for n in ["old", "oldr", "dead", "deadr", "new"]
		                  if admitted(n, opts) or ("stale" in opts and n.endswith("r")))

		def check(path, opts):
		    want = expected(opts)
		    assert sorted(os.listdir(path)) == want, (path, os.listdir(path), want)
		    for n in ["old", "oldr", "dead", "deadr", "new"]:
		        if "wait=0" in opts and n not in want and n.endswith("r"):
		            continue  # it can be waited for
		        for ask in (lambda: os.stat(f"{path}/{n}").st_size == 2,
		                    lambda: open(f"{path}/{n}").read() == "x\n",
		                    lambda: os.getxattr(f"{path}/{n}", "user.cache.state") != b""):
		            try:
		                hit = ask()
		                assert hit, (path, n)
		            except FileNotFoundError:
		                hit = False
		            assert hit == (n in want), (path, n, hit)
		    with os.scandir(path) as entries:
		        assert sorted(e.name for e in entries if e.stat().st_size == 2) == want

		count = 0
		for a, b in itertools.product(options, repeat=2):
		    if a.split("=")[0] != b.split("=")[0]:
		        check(f"d/.memofs/view/{a},{b}", {a, b})
		        count += 1
		    if b == "stale" and limits({a}):
		        inner = {a}
		    elif a == "stale" and limits({b}):
		        inner = {b}
		    else:
		        inner = {a, b}
		    check(f"d/.memofs/view/{a}/.memofs/view/{b}", inner)
		    count += 1
		print(count, "views agree with the rules")
	END
}

test_everything_at_once() {
	mkdir -p d/sub
	set_attr version v1 d
	echo one >d/key
	mkdir d/sub
	echo deep >d/sub/key
	set_attr version v2 d
	local view="d/.memofs/view/ro,version=v1,wait=0,max-age=1h,since=@1,owner=me,stale"
	has "$view/key" $'one\n'
	has "$view/sub/key" $'deep\n'
	is "$(shown "$view")" 'key sub '
	fails 'Read-only' touch "$view/sub/key"
	# The version is only the directory's own.
	set_attr version s1 d/.memofs/versions/v1/sub
	is "$(ls "$view/sub")" ''
}

test_view_carries_into_its_controls() {
	mkdir d
	set_attr version v1 d
	echo one >d/key
	set_attr version v2 d
	echo two >d/key
	has d/.memofs/view/max-age=1h/.memofs/versions/v1/key $'one\n'
	has d/.memofs/view/version=v1/.memofs/view/version=v2/key $'two\n'
	has d/.memofs/versions/v1/.memofs/view/wait=0/key $'one\n'
	miss d/.memofs/view/max-age=0/.memofs/versions/v1/key
	fails 'Read-only' touch d/.memofs/view/ro/.memofs/view/max-age=1h/key
	fails 'Read-only' touch d/.memofs/view/ro/.memofs/versions/v1/key
	fails 'Read-only' touch d/.memofs/view/ro/.memofs/view/wait/.memofs/view/owner=me/key
	# Each version has its own reservations.
	echo 'me 1h' >d/.memofs/view/version=v1/.memofs/reservations/key
	is "$(shown d/.memofs/versions/v1/.memofs/reservations)" 'key '
	is "$(ls d/.memofs/reservations)" ''
	set_attr version v1 d
	is "$(shown d/.memofs/reservations)" 'key '
}

# --- names of views -----------------------------------------------------------------

test_percent_encoding() {
	mkdir d
	set_attr version 'a,b 100%' d
	echo x >d/key
	set_attr version '' d
	has 'd/.memofs/view/version=a%2Cb 100%25/key' $'x\n'
	has 'd/.memofs/view/ro,version=a%2cb%20100%25/key' $'x\n'
	has 'd/.memofs/versions/a,b 100%/key' $'x\n'
	absent 'd/.memofs/view/version=a%252Cb 100%25/key'
}

# Who opens it for ever takes no memory for ever, and hides no other text.
test_the_log_is_bounded() {
	python3 - "$MNT/.memofs" <<-'END'
		import errno, os, resource, sys
		control = sys.argv[1]
		hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
		resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
		for i in range(200):  # a hundred of them are in the log
		    try:
		        os.stat(f"{control}/view/{'z' * 240}")
		    except OSError as e:
		        assert e.errno == errno.EINVAL, e
		log = os.open(f"{control}/log", os.O_RDONLY)
		length = len(os.read(log, 1 << 20))
		assert length > 10000, length
		held = [log]
		most = 64 << 20  # bytes, twice what is allowed
		try:
		    while len(held) < most / length:
		        held.append(os.open(f"{control}/log", os.O_RDONLY))
		except OSError as e:
		    assert e.errno == errno.ENFILE, e
		assert 50 < len(held) < most / length, (len(held), length)
		assert open(f"{control}/version").read()
		while held:
		    os.close(held.pop())
		done = 0
		while done < 1000:
		    try:
		        assert open(f"{control}/log").read()
		        done += 1
		    except OSError as e:  # what was closed is released a moment later
		        assert e.errno == errno.ENFILE, e
	END
}

test_bad_attributes_are_named_in_the_log() {
	mkdir d
	echo 1 >d/k
	fails 'not supported' setfattr -n user.cache.tll -v 1h d
	is "$(logged 'attribute "user.cache.tll" is not known here; of user.cache. these can be set: ttl version')" 1
	fails 'not permitted' setfattr -n user.cache.age -v 1 d/k
	is "$(logged 'attribute "user.cache.age" is only read;')" 1
	fails 'not supported' setfattr -n $'user.cache.a\nforged: yes' -v 1 d
	! grep '^forged' "$MNT/.memofs/log" || fail 'a line was forged'
	setfattr -n user.cachet -v 1 d
}

test_bad_options_are_named_in_the_log() {
	local bad before want
	mkdir d
	while IFS='|' read -r bad want; do
		before=$(logged "$want")
		fails 'Invalid argument' stat "d/.memofs/view/$bad"
		is "$(logged "$want")" $((before + 1)) "lines about $bad"
		fails 'Invalid argument' cat "d/.memofs/view/$bad/key"
	done <<-'END'
		colour=red|view option "colour" is not known
		max-age=soon|view option max-age: "soon" is not a duration such as 90s
		max-age|view option max-age has no value
		since=yesterday|view option since: "yesterday" is not a time such as 2026-11-20
		ro,ro|view option ro is given twice
		ro,stale=1|view option stale takes no value
		owner=a b|view option owner: "a b" is not the ID of an owner
		version=a%2Fb|view option version: "a%2Fb" is not a version
		version=%zz|view option version: "%zz" is not a version
		ro,,stale|a view has an empty option
		wait=ever|view option wait: "ever" is not a duration
	END
	fails 'Invalid argument' stat $'d/.memofs/view/ro\nforged: yes'
	! grep '^forged' "$MNT/.memofs/log" || fail 'a line was forged'
	fails 'Invalid argument' stat $'d/.memofs/versions/a\nb'
	fails 'Invalid argument|Operation not permitted' mkdir d/.memofs/view/new
	fails 'not permitted' touch "$MNT/.memofs/log"
	# shellcheck disable=SC2010 # what ls shows is the point
	is "$(ls "$MNT/.memofs" | grep -c '^log$')" 1
	fails 'name too long' stat "d/.memofs/view/version=$(printf 'v%.0s' $(seq 300))"
}

# --- agreement ------------------------------------------------------------------------

test_tools_agree() {
	mkdir -p d/sub
	cp -a "$MEMOFS_SOURCE/store/util" d/util
	ln -s util/buf.c d/link
	setfattr -n user.note -v n d/util/buf.c
	set_attr ttl 1h d/util/buf.h
	chmod 0640 d/util/buf.h
	for view in ro max-age=1h since=@1 stale owner=me wait,ro,max-age=1d; do
		local from=d/.memofs/view/$view to=$T/tools/$view
		mkdir -p "$to"
		diff <(cd d && find . -printf '%P %y %s %m %i %T@ %l\n' | sort) \
			<(cd "$from" && find . -printf '%P %y %s %m %i %T@ %l\n' | sort)
		diff <(cd d && ls -lR --time-style=full-iso) <(cd "$from" && ls -lR --time-style=full-iso)
		diff <(cd d && getfattr -R -d . ) <(cd "$from" && getfattr -R -d .)
		diff -r "$MEMOFS_SOURCE/store/util" "$from/util"
		is "$(attr state "$from/util/buf.c")" live
		is "$(attr hash "$from/util/buf.c")" "$(attr hash d/util/buf.c)"
		silent cp -a "$from" "$to/cp"
		silent cp -a "$from" "cp-$view"
		silent rsync -aX "$from/" "rsync-$view/"
		mkdir "tar-$view"
		tar --xattrs --xattrs-include='*' -C "$from" -cf - . 2>"$T/tar.err" |
			tar --xattrs --xattrs-include='*' -C "tar-$view" -xf - 2>>"$T/tar.err"
		is "$(cat "$T/tar.err")" '' "tar of $view"
		for copy in "cp-$view" "rsync-$view" "tar-$view"; do
			diff -r d/util "$copy/util"
			is "$(getfattr --only-values -n user.note "$copy/util/buf.c")" n
			is "$(attr ttl "$copy/util/buf.h")" 1h
			is "$(readlink "$copy/link")" util/buf.c
		done
	done
	rm -r "$T/tools"
}

# A publish is seen at once by every path, also where the kernel has the name, the
# attributes and the content cached.
test_publish_is_seen_at_once() {
	mkdir -p d/sub
	python3 - <<-'END'
		import os
		views = ["", ".memofs/view/ro/", ".memofs/view/max-age=1h/",
		         ".memofs/view/wait,since=@1/", ".memofs/view/version=/",
		         ".memofs/view/owner=me/.memofs/view/stale/"]
		writers = ["", ".memofs/view/max-age=1h/", ".memofs/view/version=/"]

		def look(path, want):
		    assert os.stat(path).st_size == len(want), (path, want)
		    with open(path) as f:
		        got = f.read()
		    assert got == want, (path, got, want)

		for below in ["", "sub/"]:
		    paths = [f"d/{v}{below}" for v in views]
		    for i in range(400):
		        text = "x" * (i % 37 + 1)
		        for p in paths[1:]:
		            assert i == 0 or os.path.exists(f"{p}over")
		        with open(f"d/{writers[i % 3]}{below}over", "w") as f:
		            f.write(text)
		        first = i % len(paths)
		        for p in paths[first:] + paths[:first]:
		            look(f"{p}over", text)
		        for p in paths:
		            assert not os.path.exists(f"{p}new{i}")
		        with open(f"d/{writers[i % 3]}{below}new{i}", "w") as f:
		            f.write(text)
		        for p in paths[first:] + paths[:first]:
		            look(f"{p}new{i}", text)
	END
}

# Everything at once, through many paths to one directory: no value is torn, none
# goes back to an older one, and nobody waits for ever.
test_many_paths_at_once() {
	mkdir d
	timeout 100 python3 - <<-'END'
		import errno, os, random, sys
		views = ["d", "d/.memofs/view/max-age=1h", "d/.memofs/view/version=",
		         "d/.memofs/view/owner=x/.memofs/view/since=@1", "d/.memofs/view/stale,wait=1s"]
		readers = views + ["d/.memofs/view/ro", "d/.memofs/view/ro,max-age=2h"]
		ROUNDS = 300

		def write(me, i):  # each writer has a name, and counts
		    with open(f"{views[i % 3]}/w{me}", "w") as f:
		        f.write(f"{i:06d}" * random.choice([1, 1000]))

		def read(me, i):
		    name = f"w{i % 3}"
		    try:
		        with open(f"{random.choice(readers)}/{name}") as f:
		            got = f.read()
		    except FileNotFoundError:
		        assert name not in read.last
		        return
		    assert got == got[:6] * (len(got) // 6) and got, got[:20]
		    assert int(got[:6]) >= read.last.get(name, 0), (name, got[:6], read.last)
		    read.last[name] = int(got[:6])
		read.last = {}

		def names(me, i):
		    one, other = random.choice(views[:3]), random.choice(views[:3])
		    os.mkdir(f"{one}/dir{me}")
		    os.rename(f"{one}/dir{me}", f"{other}/moved{me}")
		    os.listdir(random.choice(readers))
		    os.rmdir(f"{other}/moved{me}")

		def attributes(me, i):
		    for v in readers:
		        try:
		            os.stat(f"{v}/w{i % 3}")
		        except FileNotFoundError:
		            continue
		        try:
		            os.getxattr(f"{v}/w{i % 3}", "user.cache.state")
		            if "ro" not in v:
		                os.chmod(f"{v}/w{i % 3}", 0o600 + i % 64)
		        except OSError as e:  # replaced twice: the kernel looks again once
		            # Before the first value is published it is one that is awaited.
		            awaited = e.errno == errno.EPERM and "wait" in v
		            assert awaited or e.errno in (errno.ENOENT, errno.ESTALE), e

		children = []
		for me, what in enumerate([write, write, write, read, read, read, names, names, attributes]):
		    pid = os.fork()
		    if pid == 0:
		        try:
		            for i in range(1, ROUNDS):
		                what(me, i)
		            os._exit(0)
		        except BaseException as e:
		            print(what.__name__, repr(e), file=sys.stderr)
		            os._exit(1)
		    children.append(pid)
		assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
	END
}

# A program can hold a directory's lock for as long as it likes: it lists it into
# memory that another file system does not deliver. Closes go on all the same.
test_a_held_directory_holds_up_no_close() {
	mkdir held other "$T/stopped"
	touch held/key other/key
	mount_at "$T/stopped.store" "$T/stopped"
	head -c 65536 /dev/zero >"$T/stopped/page"
	exec 5<held/.memofs/view/ro 6<other/.memofs/view/ro
	python3 - "$T/stopped/page" "$(daemon_pid "$T/stopped")" <<-'END'
		import ctypes, os, signal, sys, time
		page, daemon = sys.argv[1], int(sys.argv[2])
		libc = ctypes.CDLL(None)
		libc.mmap.restype = ctypes.c_void_p
		libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
		                      ctypes.c_int, ctypes.c_int, ctypes.c_long]
		READ_WRITE, PRIVATE = 3, 2

		def child(what):
		    pid = os.fork()
		    if pid == 0:
		        what()
		        os._exit(0)
		    return pid

		memory = libc.mmap(None, 65536, READ_WRITE, PRIVATE, os.open(page, os.O_RDONLY), 0)
		held = os.open("held", os.O_RDONLY)

		def hold():
		    libc.getdents64(held, ctypes.c_void_p(memory), 32768)

		def state(pid):
		    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]

		def write(path):
		    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
		    os.write(fd, b"new")
		    os.write(ready[1], b".")
		    os.read(go[0], 1)
		    os.close(fd)

		go, ready = os.pipe(), os.pipe()
		writers = [child(lambda: write(f"{d}/key")) for d in ("held", "other")]
		for _ in writers:
		    os.read(ready[0], 1)
		os.kill(daemon, signal.SIGSTOP)
		try:
		    holder = child(hold)
		    while state(holder) != "D":
		        time.sleep(0.01)
		    os.write(go[1], b"..")
		    end = time.monotonic() + 30
		    while any(state(w) != "Z" for w in writers) and time.monotonic() < end:
		        time.sleep(0.01)
		    assert state(holder) == "D", "nothing was held"
		    assert all(state(w) == "Z" for w in writers), "somebody still closes"
		    assert open("other/.memofs/view/ro/key").read() == "new"
		finally:
		    os.kill(daemon, signal.SIGCONT)
		os.waitpid(holder, 0)
		assert open("held/.memofs/view/ro/key").read() == "new"
	END
	exec 5<&- 6<&-
	umount_at "$T/stopped"
}

# Where no holder goes on for the daemon no name is told of by itself, and what returned
# is seen by every path all the same.
test_without_a_holder() {
	local name
	mkdir "$T/alone"
	mount_at "$T/alone.store" "$T/alone" -o holder=no
	for name in publish_is_seen_at_once many_paths_at_once names_change_for_every_path \
		writer_keeps_its_name attributes_by_every_path truncation_by_every_path rename; do
		say "without a holder: $name"
		mkdir "$T/alone/$name"
		(
			cd "$T/alone/$name"
			"test_$name"
		)
	done
	# What the kernel moves along with a name is not believed for longer than that lasts.
	mkdir "$T/alone/long" "$T/alone/short"
	set_attr ttl 3s "$T/alone/short"
	touch "$T/alone/long/key"
	stat "$T/alone/long/key" >/dev/null
	mv "$T/alone/long/key" "$T/alone/short/key"
	sleep 3.1
	absent "$T/alone/short/key"
	umount_at "$T/alone"
}

# What `ls -l` has brought is no older than what returned meanwhile.
test_listed_while_it_changes() {
	mkdir "$T/listed"
	mount_at "$T/listed.store" "$T/listed" -o holder=no
	mkdir "$T/listed/d"
	timeout 60 python3 - "$T/listed/d" <<-'END'
		import os, sys, time
		from os.path import lexists
		paths = [sys.argv[1], sys.argv[1] + "/.memofs/view/max-age=1h"]
		shown = [os.open(p, os.O_RDONLY) for p in paths]

		def listing():
		    while True:
		        for p in paths:
		            for e in os.scandir(p):
		                lexists(e.path)

		children = []
		for _ in range(6):
		    pid = os.fork()
		    if not pid:
		        listing()
		    children.append(pid)
		try:
		    end = time.monotonic() + 8
		    i = 0
		    while time.monotonic() < end:
		        here, there = paths[i % 2], paths[(i + 1) % 2]
		        name = f"n{i % 8}"
		        os.symlink("x", f"{here}/{name}")
		        assert lexists(f"{there}/{name}"), (i, "made")
		        time.sleep(0.001)
		        os.unlink(f"{here}/{name}")
		        for wait in 0, 0.0002, 0.001:
		            time.sleep(wait)
		            assert not lexists(f"{there}/{name}"), (i, wait, "removed")
		        i += 1
		finally:
		    for pid in children:
		        os.kill(pid, 9)
	END
	umount_at "$T/listed"
}

# Who has the name open meanwhile keeps it, and keeps its name.
test_writer_keeps_its_name() {
	mkdir d
	is "$(ls d/.memofs/view/ro)" ''
	exec 3>d/key
	echo x >&3
	is "$(sh -c 'readlink /proc/self/fd/3')" "$PWD/d/key"
	exec 3>&-
	has d/.memofs/view/ro/key $'x\n'
}

# What was set by one path is seen by every other when the call has returned.
test_attributes_by_every_path() {
	mkdir d d/sub
	echo x >d/key
	ln -s key d/link
	mkdir -p "$T/tree/in"
	"$MEMOFS_BUILD/tests/mount/mkpack" "$T/tree" >.memofs/view/pack/tree
	timeout 100 python3 - <<-'END'
		import os
		views = ["", ".memofs/view/ro/", ".memofs/view/max-age=1h/"]
		things = {name: [f"d/{v}{name}" for v in views] for name in ("key", "link", "sub")}
		things["d"] = ["d", *(v + "d" for v in views[1:]), "d/.memofs/view/ro"]
		things["tree"] = ["tree", ".memofs/view/pack/tree", ".memofs/view/ro/tree"]

		for name, paths in things.items():
		    for i in range(150):
		        by = [p for p in paths if "view/ro" not in p][i % 2 if name != "d" else 0]
		        for p in paths:
		            os.lstat(p)
		        if i % 3 and name != "link":
		            os.chmod(by, 0o700 | i % 3 * 2)
		        else:
		            os.utime(by, (i, i), follow_symlinks=False)
		        want = os.lstat(by)
		        for p in paths:
		            got = os.lstat(p)
		            assert got.st_mtime == want.st_mtime, (i, by, p, got, want)
		            assert (got.st_mode ^ want.st_mode) & 0o006 == 0, (i, by, p, got, want)
	END
}

# Also by one that is looked at for the first time just then, which is answered late: what
# the kernel had to be told, it has only learnt afterwards.
test_attributes_of_a_path_that_is_new() {
	local own=$T/new
	[ -e "$JITTER" ] || skip 'a sanitizer has to be loaded first'
	mkdir "$own"
	MEMOFS_JITTER=${MEMOFS_JITTER:-8:300} mount_at "$own.store" "$own"
	mkdir "$own/d"
	timeout 100 python3 - "$own/d" <<-'END'
		import os, random, sys, threading, time
		d, stale = sys.argv[1], []
		os.stat(f"{d}/.memofs/view/ro")
		for i in range(200):
		    key, path = f"{d}/{i}", f"{d}/.memofs/view/ro/{i}"
		    with open(key, "w"):
		        os.chmod(key, 0o600)
		    os.stat(key) # it is published
		    looks = threading.Thread(target=os.stat, args=(path,))
		    looks.start()
		    time.sleep(random.choice((0, 0.001, 0.003)))
		    os.chmod(key, 0o640)
		    looks.join()
		    if os.stat(path).st_mode & 0o777 != 0o640:
		        stale.append(i)
		assert not stale, stale
	END
	umount_at "$own"
}

# `ls -l` while modes change all the time: what it shows is one that was, and the last one
# when nothing changes any more.
test_attributes_of_what_is_listed() {
	mkdir d d/sub
	echo x | tee d/key{1..300} >/dev/null
	timeout 100 python3 - <<-'END'
		import os, threading
		views = ["d"] + [f"d/.memofs/view/max-age={h}h" for h in range(1, 9)]
		named = ["key1", "key150", "key300", "sub"]
		end = threading.Event()

		def change():
		    i = 0
		    while not end.is_set():
		        for n in named:
		            os.chmod(f"{views[i % 3]}/{n}", 0o700 | i % 64)
		        i += 1

		changing = threading.Thread(target=change)
		changing.start()
		try:
		    for i in range(60):
		        names = {e.name: e.stat(follow_symlinks=False)
		                 for e in os.scandir(views[i % len(views)]) if e.name != ".memofs"}
		        assert len(names) == 301, len(names)
		        assert all(st.st_mode & 0o600 == 0o600 for st in names.values())
		finally:
		    end.set()
		    changing.join()
		for n in named:
		    os.chmod(f"{views[1]}/{n}", 0o711)
		for n in named:
		    assert len({os.lstat(f"{v}/{n}").st_mode for v in views}) == 1, n
	END
}

# And by a descriptor, a value that is cut in place is seen by every path.
test_truncation_by_every_path() {
	mkdir d
	for i in {1..50}; do
		echo 12345678 >d/key
		is "$(stat -c %s d/key d/.memofs/view/ro/key | sort -u)" 9
		truncate -s "$((i % 9))" d/key
		is "$(stat -c %s d/.memofs/view/ro/key d/key | sort -u)" "$((i % 9))"
	done
}

test_reader_keeps_what_is_open() {
	local view=.memofs/view/max-age=1h
	echo one >key
	exec 3<$view/key
	echo two >key
	exec 4<.memofs/view/max-age=1s/key
	is "$(cat <&3)" one
	has $view/key $'two\n'
	exec 3<&-
	wait_until "$(later "$(attr created key)" 1)"
	miss .memofs/view/max-age=1s/key
	is "$(cat <&4)" two
	is "$(stat -L -c %s /proc/self/fd/4)" 4
	is "$(cat /proc/self/fd/4)" two
	exec 4<&-
}

# --- writing ------------------------------------------------------------------------

test_writing_through_a_view() {
	local view=.memofs/view/max-age=1h
	echo a >$view/key
	has key $'a\n'
	echo b >>$view/key
	has key $'a\nb\n'
	sed -i s/a/c/ $view/key
	has key $'c\nb\n'
	truncate -s 2 $view/key
	has key $'c\n'
	python3 -c 'import os, sys; os.truncate(sys.argv[1], 1)' $view/key
	has key c
	has $view/key c
	dd if=/dev/zero of=$view/key bs=1 count=1 conv=notrunc status=none
	is "$(stat -c %s key)" 1
	mkdir -p $view/a/b
	cp -a "$MEMOFS_SOURCE/store/util" $view/a/b/util
	diff -r "$MEMOFS_SOURCE/store/util" a/b/util
	rm -r $view/a $view/key
	absent a key
}

# What one path makes, moves or removes is so for the other when the call has returned,
# also while others do the same the other way round: each call holds the lock of the
# directory that the other wants to be told.
test_names_change_for_every_path() {
	cat >"$T/names.py" <<-'END'
		import os, sys
		from os.path import lexists
		here, there, name, rounds = *sys.argv[1:4], int(sys.argv[4])
		def both(make, remove, first, second):
		    a, b = f'{first}/{name}', f'{second}/{name}'
		    assert not lexists(b)
		    make(a)
		    assert lexists(b), 'made'
		    os.rename(a, a + '2')
		    assert not lexists(b) and lexists(b + '2'), 'moved'
		    remove(a + '2')
		    assert not lexists(b + '2'), 'removed'
		for i in range(rounds):
		    for first, second in (here, there), (there, here):
		        both(os.mkdir, os.rmdir, first, second)
		        both(lambda p: os.symlink('x', p), os.unlink, first, second)
		        both(os.mknod, os.unlink, first, second)
	END
	mkdir d
	python3 "$T/names.py" d d/.memofs/view/max-age=1h alone 100
	local pids=() i
	for i in 1 2 3 4; do
		python3 "$T/names.py" d d/.memofs/view/max-age=1h "n$i" 50 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || fail 'it is not seen by the other path'; done
	is "$(names d)" ''
}

# A value that is too old for the view is missing, and can be made anew there.
test_too_old_is_missing() {
	local view=.memofs/view/max-age=0
	echo old >key
	miss $view/key
	(set -C && echo new >$view/key)
	has key $'new\n'
	miss $view/key
	echo again >>$view/key
	has key $'again\n'
	fails 'No such file' rm $view/key
	has key $'again\n'
}

test_owner_is_needed_to_truncate() {
	echo value >key
	local view=.memofs/view/owner=me
	fails 'Stale' python3 -c 'import os, sys; os.truncate(sys.argv[1], 1)' $view/key
	has key $'value\n'
	reserve .memofs/reservations/key 'me 1h'
	python3 -c 'import os, sys; os.truncate(sys.argv[1], 1)' $view/key
	has key v
}

test_rename() {
	mkdir -p d/sub
	echo a >d/a
	echo b >d/b
	local view=d/.memofs/view/max-age=1h none=d/.memofs/view/max-age=0
	mv $view/a $view/a2
	has d/a2 $'a\n'
	absent d/a $view/a
	mv $view/a2 $view/sub/a3
	has d/sub/a3 $'a\n'
	has $view/sub/a3 $'a\n'
	mv d/sub/a3 $view/a4
	has d/a4 $'a\n'
	absent d/sub/a3 $view/sub/a3
	# Moved there, it is under the rules of there, at once.
	cat d/b $view/b >/dev/null
	mv -T d/b $none/c
	miss $none/c
	absent d/b
	has d/c $'b\n'
	mv -T $view/c d/sub/c
	has d/sub/c $'b\n'
	miss $none/sub/c
	mv $view/sub d/moved
	miss $none/moved/c
	has $view/moved/c $'b\n'
	mv d/moved $none/sub
	miss $none/sub/c
	has d/sub/c $'b\n'
	python3 - <<-'END'
		import errno, os
		try:
		    os.rename("d/sub", "d/.memofs/view/max-age=1h/sub/below")
		except OSError as e:
		    assert e.errno == errno.EINVAL, e
		else:
		    raise SystemExit("a directory is in itself")
		os.rename("d/a4", "d/.memofs/view/max-age=1h/a4")
	END
	has d/a4 $'a\n'
}

# --- where views are handed to others --------------------------------------------------

test_bind_mount() {
	needs_root
	mkdir -p d/sub
	set_attr version v1 d
	echo one >d/key
	mkdir "$T/bound"
	mount --bind d/.memofs/view/ro,max-age=1h "$T/bound"
	has "$T/bound/key" $'one\n'
	fails 'Read-only' touch "$T/bound/key"
	echo new >d/key
	has "$T/bound/key" $'new\n'
	# Without a version of its own it follows the directory.
	set_attr version v2 d
	absent "$T/bound/key"
	is "$(ls "$T/bound")" ''
	echo two >d/key
	has "$T/bound/key" $'two\n'
	set_attr version v1 d
	has "$T/bound/key" $'new\n'
	# Narrower is possible, wider is not.
	absent "$T/bound/.memofs/view/max-age=0/key"
	has "$T/bound/.memofs/view/max-age=2h/key" $'new\n'
	fails 'Read-only' touch "$T/bound/.memofs/view/owner=me/key"
	fails 'Read-only' touch "$T/bound/.memofs/versions/v2/key"
	has "$T/bound/.memofs/versions/v2/key" $'two\n'
	is "$(stat -c %i "$T/bound/..")" "$(stat -c %i "$T")"
	umount "$T/bound"
	rmdir "$T/bound"
}

test_view_of_a_removed_directory() {
	needs_root
	mkdir d "$T/bound"
	echo x >d/key
	mount --bind d/.memofs/view/max-age=1h "$T/bound"
	has "$T/bound/key" $'x\n'
	rm -r d
	fails 'Stale' ls "$T/bound"
	fails 'Stale|No such file' cat "$T/bound/key"
	fails 'Stale|No such file' touch "$T/bound/new"
	mkdir d
	fails 'Stale' ls "$T/bound"
	is "$(ls d/.memofs/view/max-age=1h)" ''
	umount "$T/bound"
	rmdir "$T/bound"
}

test_other_users() {
	needs_root
	needs setpriv
	mkdir d
	echo x >d/key
	chmod 0600 d/key
	fails 'Permission denied' setpriv --reuid 1234 --clear-groups cat d/.memofs/view/ro/key
	chmod 0644 d/key
	is "$(setpriv --reuid 1234 --clear-groups cat d/.memofs/view/ro/key)" x
	fails 'Permission denied' setpriv --reuid 1234 --clear-groups touch d/.memofs/view/max-age=1h/new
}

# --- bounds ----------------------------------------------------------------------------

# The kernel forgets what nobody uses of a mount when that is mounted again over itself.
# (To have it drop its caches would make requests of what other tests count.)
forget_names() {
	python3 - "$MNT" <<-'END'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		remount, nosuid, nodev = 32, 2, 4
		if libc.mount(None, sys.argv[1].encode(), None, remount | nosuid | nodev, None):
		    sys.exit(os.strerror(ctypes.get_errno()))
	END
}

nodes_forgotten() { # BOUND
	forget_names
	[ "$(status_of virtual_nodes)" -le "$1" ]
}
resident_kb() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$(daemon_pid)/status"; }

test_many_views_do_not_leak() {
	needs_root
	local nodes before
	mkdir d
	echo x >d/key
	cat d/.memofs/view/ro/key >/dev/null
	# A sanitizer keeps what was freed: it looks for leaks itself.
	nodes=$(status_of virtual_nodes)
	before=$(resident_kb)
	python3 - <<-'END'
		import os
		for i in range(10000):
		    assert os.stat(f"d/.memofs/view/max-age={i + 1000},owner=o{i}/key").st_size == 2
	END
	eventually 60 nodes_forgotten $((nodes + 10))
	[ -n "${ASAN_OPTIONS+x}${TSAN_OPTIONS+x}" ] && nm "$MEMOFS_BUILD/memofsd" | grep -q '__[at]san_init' &&
		return
	[ $(($(resident_kb) - before)) -lt 65536 ] ||
		fail "10,000 views left $(($(resident_kb) - before)) KiB"
}

# Each walk by the path of a view finds in the kernel what the one before has left
# there; it is not made anew and anew, with all other names of the mount.
test_walks_are_cached() {
	mkdir walks
	echo value >walks/key
	cat walks/.memofs/view/ro/key >/dev/null
	local before
	before=$(status_of requests)
	for _ in $(seq 20); do cat walks/.memofs/view/ro/key >/dev/null; done
	[ $(($(status_of requests) - before)) -lt 120 ] ||
		fail "$(($(status_of requests) - before)) requests for 20 reads"
}

run_tests "$@"
