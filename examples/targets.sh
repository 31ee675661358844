#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Targets, durations and validators, as in Prefect: `Task(cache_for=…,
# cache_validator=…, cache_key=…)` and `@task(target="{date:%A}/{task_name}.txt")`.
#
#   targets.sh
#
# shows P1 P2 P3 P4 P5 P6 P7 F13 of docs/parity.md
set -eu
# shellcheck source=examples/own-cache.sh
. "$(dirname "$0")/own-cache.sh"

cat >work-hard <<'END'
#!/bin/sh
echo worked >>calls
echo "x is $x, number $(wc -l <calls)"
END
chmod +x work-hard
: >calls
calls() { echo "worked $(wc -l <calls) times so far"; }
export x=1 y=1

step 'cache_for: two seconds'
for_two_seconds() { memofs run --name task_1 --ttl 2s -- ./work-hard; }
for_two_seconds
for_two_seconds
sleep 2
for_two_seconds
calls
step 'all_parameters: other parameters are not answered by it'
validated() { memofs run --key task_2 --ttl 1h --env x --env y "$@" -- ./work-hard; }
validated --validate all_parameters --param day=1
validated --validate all_parameters --param day=1
validated --validate all_parameters --param day=2
calls
step 'partial_inputs_only: x counts, y does not'
validated --validate partial_inputs_only --validate-on x
y=2 validated --validate partial_inputs_only --validate-on x
x=2 validated --validate partial_inputs_only --validate-on x
calls
step 'never_use: it always works'
validated --validate never_use
calls
step 'a key that tasks share'
memofs run --key shared/answer --name one -- ./work-hard
memofs run --key shared/answer --name other -- ./work-hard
calls
step 'a target: a template for where the result is; if it is there, nothing is done'
target() { memofs run --name func_task --key '{date:%A}/{task_name}.txt' -- ./work-hard; }
target
target
calls
cd "$(memofs cache)"
show find "$(date +%A)"
show cat "$(date +%A)/func_task.txt/stdout"
cd "$work" || exit
[ -e "$(memofs cache)/$(date +%A)/func_task.txt" ] && echo 'the target exists: any program can see that it is cached'
step 'inputs, kept for a retry under the same key'
echo 'what the task was given' >input.txt
memofs save retries/task_3/inputs input.txt
rm input.txt
show memofs restore retries/task_3/inputs
cat input.txt
step 'checkpointing off, for all'
MEMOFS_DISABLE=1 memofs run --key shared/answer -- ./work-hard
calls
