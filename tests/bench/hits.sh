#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a hit and a miss of `memofs run` cost, in one run beside a direct hit of ccache
# on a one-file compile, `true`, and the bare command. Arguments are those of spawn
# (--csv, --rounds N). ccache is left out where it is not installed.
#
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
begin hits

mkdir "$work/xdg"
export XDG_CACHE_HOME=$work/xdg CCACHE_DIR=$work/ccache PATH=$build:$PATH
mount_memofs "$work/store" "$work/mnt"
mkdir "$work/mnt/cache"
export MEMOFS_CACHE=$work/mnt/cache
cd "$work"

cat >answer.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) { puts("42"); return 0; }
END
# A result of some lines, and one that is a file.
seq 20 >twenty
commands=(true true)
commands+=(--- 'memofs --version' memofs --version)
commands+=(--- 'memofs run, hit' memofs run --quiet -- cat twenty)
commands+=(--- 'memofs run, hit, 1 input' memofs run --quiet --input answer.c -- cat twenty)
commands+=(--- 'memofs run, hit, 1 file' memofs run --quiet --input answer.c --output answer.o
	-- cc -O2 -c -o answer.o answer.c)
if command -v ccache >/dev/null; then
	ccache cc -O2 -c -o answer.o answer.c
	commands+=(--- 'ccache, direct hit' ccache cc -O2 -c -o answer.o answer.c)
fi
commands+=(--- 'the bare command' cat twenty)
commands+=(--- 'memofs run, miss' memofs run --quiet --overwrite -- cat twenty)
"$build/tests/bench/spawn" "$@" "${commands[@]}"
