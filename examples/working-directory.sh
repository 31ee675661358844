#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The files of a working directory, kept from one run to the next, as Kestra's
# WorkingDirectory task does with `cache: {patterns: […], ttl: …}`: node_modules of
# an npm project, and a Python venv.
#
#   working-directory.sh [--offline]
#
# The first run installs, and saves what the patterns name when that succeeded; the
# second, in an empty directory, restores it; the third changes nothing and writes
# nothing. The ttl is judged when it is read: a longer one revives, a shorter one ends.
# With --offline, and where the registry is not reached, the package is a small one
# made here. A tool that is not installed is left out.
#
# shows K1 K2 K3 K4 K5 K6 of docs/parity.md
set -eu
takes=--offline
# shellcheck source=examples/own-cache.sh
. "$(dirname "$0")/own-cache.sh"
offline=${1:-}
# pip is the most of a venv, and takes long to install.
make_venv() {
	if [ "$offline" = --offline ]; then python3 -m venv --without-pip venv; else python3 -m venv venv; fi
}

# A package of our own, for machines without a network.
local_package() {
	mkdir -p "$tmp/colors"
	cat >"$tmp/colors/package.json" <<-'END'
		{ "name": "colors", "version": "1.0.0", "main": "index.js" }
	END
	printf '%s\n' 'exports.red = (s) => "\x1b[31m" + s + "\x1b[39m";' >"$tmp/colors/index.js"
	(cd "$tmp/colors" && npm pack --silent --pack-destination "$tmp" >/dev/null)
	echo "$tmp/colors-1.0.0.tgz"
}

colors_package() {
	if [ "$offline" != --offline ] &&
		timeout 20 npm view colors version >"$tmp/npm.log" 2>&1; then
		echo colors
	else
		local_package
	fi
}

# What the task of the document does: restore, or install and save.
node_task() { # TTL
	memofs restore --max-age "$1" deps/node_modules ||
		{
			npm install --silent --no-audit --no-fund --no-save "$package" &&
				memofs save deps/node_modules 'node_modules/**'
		}
	node -e 'const colors = require("colors"); console.log(colors.red("Hello"))'
}

python_task() { # TTL
	memofs restore --max-age "$1" deps/venv ||
		{ make_venv && memofs save deps/venv 'venv/**'; }
	venv/bin/python -c 'import sys; print("Hello from", sys.prefix)'
}

fresh_directory() {
	rm -rf "$work/job"
	mkdir "$work/job"
	cd "$work/job"
}

three_runs() { # TASK
	step "$1: the first run installs, and saves"
	fresh_directory
	timed "$1" PT1H
	step "$1: the second, in an empty directory, restores"
	fresh_directory
	timed "$1" PT1H
	step "$1: the third finds everything in place"
	timed "$1" PT1H
	step "$1: a shorter ttl has ended; a longer one revives"
	sleep 1
	memofs restore --max-age PT1S "deps/$2" && exit 1
	show memofs restore --max-age PT5H "deps/$2"
}

# Reading in place: nothing is copied at all.
linked() {
	step 'node reads node_modules where it is stored'
	fresh_directory
	show memofs restore --link deps/node_modules
	ls -l node_modules
	timed node -e 'console.log(require("colors").red("Hello"))'
}

if command -v npm >/dev/null; then
	package=$(colors_package)
	three_runs node_task node_modules
	linked
else
	echo 'npm is not installed: the Node.js example is left out'
fi
if python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null; then
	three_runs python_task venv
else
	echo 'python3 has no venv here: the Python example is left out'
fi
step 'what is stored'
if [ -d "$(memofs cache)/deps" ]; then show memofs ls "$(memofs cache)/deps"; fi
