#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Results by age, by date and by a key of one's own, as in Coflux: `@task(cache=…,
# cache_key=…, cache_namespace=…)`.
#
#   headlines.sh
#
# shows C1 C2 C3 C4 C5 C6 C7 C8 C9 F11 F12 of docs/parity.md
set -eu
# shellcheck source=examples/own-cache.sh
. "$(dirname "$0")/own-cache.sh"

# The outside world, which does not like to be asked often.
cat >fetch <<'END'
#!/bin/sh
echo "asked for $1" >>requests
echo "$1, number $(wc -l <requests)"
END
chmod +x fetch
: >requests
requests() { echo "$(wc -l <requests) requests so far"; }

step 'the same arguments, the same result'
memofs run -- ./fetch posts
memofs run -- ./fetch posts
requests
step 'no older than ten minutes; then, whoever asks may choose another age, also for what is there'
memofs run --max-age 10m -- ./fetch posts
sleep 1
memofs run --max-age 1s -- ./fetch posts
requests
step 'results do not expire: a date among the arguments ends the day'
for day in 2026-11-20 2026-11-21 2026-11-21; do
	memofs run --name headlines --param "date=$day" -- ./fetch headlines
done
requests
step 'a key of our own: the product counts, the address does not'
product() { memofs run --key 'product/{product_id}' --param "product_id=$1" -- ./fetch "$2"; }
product 7 https://one.example/7
product 7 https://two.example/7
requests
step 'a namespace that two tasks share, and that survives when one is renamed'
cache=$(memofs cache)
mkdir "$cache/shared"
memofs run --cache "$cache/shared" --key '{a}' --param a=1 --name task_a -- ./fetch shared
memofs run --cache "$cache/shared" --key '{a}' --param a=1 --name task_b -- ./fetch shared
mv "$cache/shared" "$cache/renamed"
memofs run --cache "$cache/renamed" --key '{a}' --param a=1 --name task_b -- ./fetch shared
requests
step 'fib(12), which calls itself through the cache: each number is computed once'
cat >fib <<'END'
#!/bin/sh
echo "$1" >>computed
[ "$1" -gt 1 ] || { echo "$1"; exit; }
a=$(memofs run -- ./fib $(($1 - 1)))
b=$(memofs run -- ./fib $(($1 - 2)))
echo $((a + b))
END
chmod +x fib
timed memofs run -- ./fib 12
echo "$(wc -l <computed) computations of $(sort -u computed | wc -l) numbers"
step 'running it again replaces the result for those who come after'
memofs run --overwrite -- ./fetch posts
memofs run -- ./fetch posts
requests
step 'what was kept; and all of it cleared'
show memofs clear --dry-run
memofs clear
requests
memofs run -- ./fetch posts
requests
step 'followers of a leader that fails may fail with it'
for _ in 1 2 3; do
	(
		memofs run --name leader --on-leader-failure share -- \
			sh -c 'echo ran >>leaders; sleep 1; echo "the leader failed" >&2; exit 4' || echo "exit code $?"
	) &
done
wait
echo "$(wc -l <leaders) of them ran"
