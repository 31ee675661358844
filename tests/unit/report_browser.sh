#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page of `memofs report`, in a real browser: its charts are there, at the width of
# a phone and of a screen nothing sticks out at the side, names that try to be markup
# are text, nothing is asked of a network, and there is no error. Skipped without one.
# usage: report_browser.sh LOOK_DEMO SOURCE
set -euo pipefail
shopt -s inherit_errexit

demo=$1 source=$2 browser=

for name in chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null; then
		browser=$name
		break
	fi
done
if [ -z "$browser" ]; then
	echo 'SKIP: no chromium, chromium-browser or google-chrome here' >&2
	exit 77
fi

T=$(mktemp -d "${TMPDIR:-/tmp}/memofs-report.XXXXXX")
trap 'rm -rf -- "$T"' EXIT
mkdir "$T/home"

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

# The page's elements as the browser has them; what it says goes to $T/said.
dom() { # FILE
	HOME=$T/home timeout 120 "$browser" --headless=new --no-sandbox --disable-gpu \
		--user-data-dir="$T/profile" --no-first-run --disable-dev-shm-usage \
		--host-resolver-rules='MAP * ~NOTFOUND' --allow-file-access-from-files \
		--enable-logging=stderr --virtual-time-budget=5000 \
		--dump-dom "file://$1" 2>"$T/said" || {
		tail -n 20 "$T/said" >&2
		fail "$browser did not show $1"
	}
}

count() { # FILE REGEX
	grep -oE -- "$2" "$1" | wc -l
}

# A page around the report, which it loads with a script that measures; the report's
# own policy would not let it run, so this copy has none.
measure() { # PAGE WIDTH
	sed '/http-equiv="Content-Security-Policy"/d' "$1" >"$T/measured.html"
	cat >>"$T/measured.html" <<-'END'
		<script>
		addEventListener('load', () => {
			document.querySelectorAll('details').forEach(d => d.open = true);
			const root = document.documentElement, wide = root.scrollWidth - root.clientWidth;
			const flat = [...document.querySelectorAll('figure>svg')]
				.filter(s => s.getBoundingClientRect().height < 80).length;
			parent.postMessage(`wide=${wide} flat=${flat} frames=${innerWidth}`, '*');
		});
		</script>
	END
	cat >"$T/frame.html" <<-END
		<!DOCTYPE html><title>frame</title><p id=said>nothing</p>
		<script>addEventListener('message', e => { said.textContent = e.data; });</script>
		<iframe src="measured.html" width="$2" height="600" style="border:0"></iframe>
	END
	dom "$T/frame.html" >"$T/frame.dom"
	grep -q "wide=0 flat=0 frames=$2" "$T/frame.dom" ||
		fail "at a width of $2: $(grep -o 'id="said">[^<]*' "$T/frame.dom")"
}

check() { # [--hostile]
	python3 "$source/tests/unit/look_samples.py" "$T/files" "$@"
	"$demo" report "$T/files" >"$T/page.html"
	dom "$T/page.html" >"$T/page.dom"
	! grep -E 'CONSOLE|Refused to|Uncaught' "$T/said" || fail "the browser complained ($*)"
	# Six values over a day and in the long run, the map, and three distributions.
	[ "$(count "$T/page.dom" '<svg viewBox="[^"]*" role="img"')" -eq 16 ] || fail 'charts are missing'
	[ "$(count "$T/page.dom" '<rect class="tile')" -eq 8 ] || fail 'namespaces are missing'
	[ "$(count "$T/page.dom" '<path class="line" d="M')" -eq 8 ] || fail 'lines are missing'
	[ "$(count "$T/page.dom" '<table')" -eq 18 ] || fail 'tables are missing'
	[ "$(count "$T/page.dom" '<(script|img|link|iframe|object|embed|a)[ >]')" -eq 0 ] ||
		fail 'an element that nobody wrote'
	[ "$(count "$T/page.dom" ' (on[a-z]+|src|href)=')" -eq "$(count "$T/page.html" ' (on[a-z]+|src|href)=')" ] ||
		fail 'an attribute that nobody wrote'
}

check
grep -q '>build</text>' "$T/page.dom" || fail 'a namespace has no label'
measure "$T/page.html" 360
measure "$T/page.html" 1200
check --hostile
grep -q '&lt;script&gt;alert(1)&lt;/script&gt;' "$T/page.dom" || fail 'a hostile name is not shown'
measure "$T/page.html" 360
echo "$browser: 2 pages" >&2
