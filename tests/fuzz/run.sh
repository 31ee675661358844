#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh TARGET CORPUS [OPTION...]: look for new inputs with libFuzzer, from a corpus on.
# What was found wrong is left in the current folder, as crash-*, leak-* or timeout-*.
#
# Environment: MEMOFS_FUZZ_S: how long, in seconds (default: 600).
set -euo pipefail

target=$(realpath "$1") corpus=$(realpath "$2")
shift 2
new=$(mktemp -d "${TMPDIR:-/tmp}/memofs-fuzz.XXXXXX")
trap 'rm -rf -- "$new"' EXIT
trap 'exit 130' INT TERM
# What UBSan finds is found, too.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# Inputs of the size that they need from the beginning; one that takes two minutes hangs.
"$target" -max_total_time="${MEMOFS_FUZZ_S:-600}" -len_control=0 -timeout=120 \
	-print_final_stats=1 "$@" "$new" "$corpus"
