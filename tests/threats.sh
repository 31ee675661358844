#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Print each row of docs/threat-model.md with its test. A row without a test, and a test
# of tests/mount/threats.sh that the page does not name, is a failure.
set -eu

source=${1:-$(cd "$(dirname "$0")/.." && pwd)}
page=$source/docs/threat-model.md
status=0

complain() {
	echo "threats.sh: $*" >&2
	status=1
}

# "ATTACK<tab>TEST", the header and the line below it left out.
# shellcheck disable=SC2016
rows=$(sed -n 's/^| \(.*\) | .* | `\(.*\)` |$/\1\t\2/p' "$page")
[ -n "$rows" ] || complain "no rows in docs/threat-model.md"
all=$(grep -c '^| ' "$page")
heads=$(grep -c '^| attack |' "$page")
[ $((all - 2 * heads)) -eq "$(echo "$rows" | wc -l)" ] || complain "a row has no test"

tab=$(printf '\t')
while IFS=$tab read -r attack name; do
	script=threats.sh
	case $name in
	*:\ *) script=${name%%:*} name=${name#*: } ;;
	esac
	printf '%-45s %s\n' "$name" "$attack"
	grep -q "^test_$name()" "$source/tests/mount/$script" ||
		complain "tests/mount/$script has no test $name"
done <<END
$rows
END
# shellcheck disable=SC2013
for name in $(sed -n 's/^test_\(.*\)() {.*/\1/p' "$source/tests/mount/threats.sh"); do
	grep -q "\`$name\`" "$page" || complain "docs/threat-model.md does not name $name"
done
exit $status
