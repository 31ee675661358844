#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Print each row of docs/parity.md with its test and the examples that show it. A row
# without a test or an example, and a test without a row, is a failure.
set -eu

source=${1:-$(cd "$(dirname "$0")/.." && pwd)}
tests=$source/tests/mount/systems.sh
status=0

complain() {
	echo "rows.sh: $*" >&2
	status=1
}

rows=$(sed -n 's/^| \([KFCP][0-9]*\) |.*/\1/p' "$source/docs/parity.md")
[ -n "$rows" ] || complain "no rows in docs/parity.md"
printf '%-4s  %-55s  %s\n' ROW TEST EXAMPLES
for row in $rows; do
	name=$(sed -n "s/^test_\(${row}_[a-zA-Z0-9_]*\)().*/\1/p" "$tests" | tr '\n' ' ')
	shown=$(cd "$source/examples" && grep -lE "^# shows .*\b$row\b" ./*.sh | sed 's,^\./,,' | tr '\n' ' ')
	printf '%-4s  %-55s  %s\n' "$row" "${name% }" "${shown% }"
	[ -n "$name" ] || complain "$row has no test in tests/mount/systems.sh"
	[ -n "$shown" ] || complain "$row is shown by no example (# shows $row)"
done
for row in $(sed -n 's/^test_\([A-Z][0-9]*\)_.*/\1/p' "$tests"); do
	case " $(echo "$rows" | tr '\n' ' ') " in
	*" $row "*) ;;
	*) complain "the test of $row has no row in docs/parity.md" ;;
	esac
done
exit $status
