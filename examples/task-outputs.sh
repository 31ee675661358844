#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Outputs of tasks, as in Flyte and Union: `@task(cache=Cache(version="1.0",
# serialize=True, ignored_inputs=["a"], salt=…))`.
#
#   task-outputs.sh
#
# A task is a command, its inputs are environment variables, parameters and files
# that are declared. Each line says what it shows; `computed` on stderr tells that the
# task ran.
#
# shows F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F14 of docs/parity.md
set -eu
# shellcheck source=examples/own-cache.sh
. "$(dirname "$0")/own-cache.sh"

cat >sum <<'END'
#!/bin/sh
# sum(b, c), and a, which is only looked at
echo "computed $b + $c" >>calls
echo $((b + c))
END
chmod +x sum

# The function of the document. What differs from call to call comes before it.
task() { memofs run --name sum --env a --env b --env c --ignore a "$@" -- ./sum; }
: >calls
calls() { echo "computed $(wc -l <calls) times so far"; }

step 'the same inputs are computed once; a is ignored'
export a=1 b=4 c=3
task --version 1.0
a=2 task --version 1.0
calls
step 'another version computes anew; going back to the old one hits again'
task --version 1.1
task --version 1.0
calls
step 'a version made of the code: comments and layout do not count'
task --version-from file:sum --strip-comments
sed -i 's/^# sum.*/# sum(b, c): another comment/' sum
task --version-from file:sum --strip-comments
calls
step 'salt, and overwriting'
task --version 1.0 --salt pepper
task --version 1.0 --overwrite
calls
step 'an input that is a file; a hash of our own stands for it, so its comment does not count'
printf '# made at %s\n1\n2\n' "$(date)" >frame.csv
total() {
	memofs run --name total --input frame=frame.csv \
		--input-hash 'frame=grep -v "^#" frame.csv | sha256sum' -- \
		sh -c 'echo computed >>calls; echo $(($(grep -v "^#" frame.csv | paste -sd+)))'
}
total
printf '# made at another time\n1\n2\n' >frame.csv
total
calls
step 'serialized: eight ask at once, one computes, the others wait and reuse'
: >slow-calls
for i in 1 2 3 4 5 6 7 8; do
	memofs run --name slow --version 1 -- \
		sh -c 'echo $$ >>slow-calls; sleep 1; echo the result' >"out.$i" &
done
until [ -s slow-calls ]; do sleep 0.05; done
show memofs reservations -r "$(memofs cache)"
wait
cat out.1
echo "computed $(wc -l <slow-calls) time; $(cat out.* | grep -c 'the result') have the result"
step 'a failure is not stored, and the next in line takes over'
unlucky() {
	memofs run --name unlucky -- \
		sh -c 'echo x >>tries; sleep 1; [ $(wc -l <tries) -gt 1 ] || exit 3; echo done' ||
		echo "process $1 failed with $?"
}
unlucky 1 &
until [ -s tries ]; do sleep 0.05; done
unlucky 2
wait
step 'what became of it is told apart from the exit code'
task --version 1.0 --status-file status >/dev/null
cat status
step 'why would it compute now?'
b=5
show memofs explain --name sum --env a --env b --env c --ignore a --version 1.0 -- ./sum || :
