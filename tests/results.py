#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What meson's test logs say.

results.py --list LOG    one line a test that did not simply pass, and why
results.py --sum LOG...  "N passed, N failed[, N skipped]"; fails if any failed

A log without a test is a failure: a suite that ran nothing proves nothing.
"""
import json
import os
import sys

TAIL_LINES = 60
VERDICTS = ("not ok ", "FAIL", "==", "WARNING: ThreadSanitizer", "SUMMARY: ")
PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def tests_of(path):
    """The tests of one log: meson writes one JSON object a line."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            tests = [json.loads(line) for line in log if line.strip()]
    except (OSError, ValueError) as error:
        return [{"name": path, "result": "ERROR", "stdout": str(error)}]
    if not tests:
        return [{"name": path, "result": "ERROR", "stdout": "the suite has no test"}]
    return tests


def output_of(test):
    """What the test said last, on either stream."""
    text = (test.get("stdout") or "") + (test.get("stderr") or "")
    return text.rstrip("\n").split("\n")


def show(test):
    """One line, and for a failure the tail of its log below it."""
    result = test["result"]
    if result in PASSED:
        return
    lines = output_of(test)
    if result in SKIPPED:
        reasons = [line for line in lines if line.lower().startswith("skip")]
        print(f"SKIPPED {test['name']}: {(reasons or lines[-1:])[0] or 'no reason given'}")
        return
    print(f"FAILED {test['name']} ({result}, {test.get('duration', 0):.1f} s)")
    # Where a script hung (tests/mount/hung.sh) stands first, and is shown whole.
    hung = [at for at, line in enumerate(lines) if line.startswith("HUNG: ")]
    if len(hung) > 1:
        for line in lines[hung[0]:hung[-1]]:
            print("  | " + line)
        lines = lines[:hung[0]] + lines[hung[-1] + 1:]
    # A long log of the daemon must not hide what failed.
    for line in lines[:-TAIL_LINES]:
        if line.startswith(VERDICTS):
            print("  | " + line)
    for line in lines[-TAIL_LINES:]:
        print("  | " + line)


def main(argv):
    """Do what the first argument says; the rest are logs."""
    if len(argv) < 3 or argv[1] not in ("--list", "--sum"):
        sys.exit(__doc__)
    tests = [test for path in argv[2:] for test in tests_of(path)]
    passed = sum(test["result"] in PASSED for test in tests)
    skipped = sum(test["result"] in SKIPPED for test in tests)
    failed = len(tests) - passed - skipped
    if argv[1] == "--list":
        for test in tests:
            show(test)
        print(f"   {passed} of {len(tests)} passed", flush=True)
    else:
        print(f"{passed} passed, {failed} failed" +
              (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    sys.exit(main(sys.argv))
