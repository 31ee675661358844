#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Read metrics on stdin and fail unless they are the text format of Prometheus, version
0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), and what its practices ask for.

Strict: each metric has HELP, then TYPE, then all its samples; no series twice; counters
end in _total and are not negative; histograms have buckets that grow, up to +Inf, which
is the count. Prints how many series there are.
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL}(?:,{LABEL})*)?)\}})? (\S+)\Z")


def fail(number, line, why):
    sys.exit(f"line {number}: {why}: {line!r}")


def family(name, kind):
    return re.sub(r"_(bucket|sum|count)\Z", "", name) if kind == "histogram" else name


def check_histograms(buckets, counts):
    for series, found in buckets.items():
        edges = [float(le) for le, _ in found]
        values = [value for _, value in found]
        assert edges == sorted(set(edges)) and edges[-1] == float("inf"), series
        assert values == sorted(values) and values[-1] == counts[series], series
    assert buckets.keys() == counts.keys()


def main():
    current = kind = helped = None
    done, seen, buckets, counts = set(), set(), {}, {}
    text = sys.stdin.buffer.read().decode("utf-8")
    if not text.endswith("\n"):
        sys.exit("the last line does not end")
    for number, line in enumerate(text[:-1].split("\n"), 1):
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            if helped in done or len(line.split(" ", 3)) != 4:
                fail(number, line, "a second HELP, or an empty one")
            done.add(helped)
            current = None
            continue
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            if current != helped or kind not in ("counter", "gauge", "histogram"):
                fail(number, line, "TYPE does not follow its HELP")
            if not re.fullmatch(NAME, current) or not current.startswith("memofs_"):
                fail(number, line, "not a name of ours")
            if (kind == "counter") != current.endswith("_total"):
                fail(number, line, "counters end in _total, others do not")
            continue
        match = SAMPLE.fullmatch(line)
        if not match:
            fail(number, line, "not a sample")
        name, labels, value = match[1], match[2] or "", float(match[match.lastindex])
        pairs = [(k, v) for k, v in re.findall(LABEL, labels)]
        if len(dict(pairs)) != len(pairs):
            fail(number, line, "a label twice")
        if current is None or family(name, kind) != current:
            fail(number, line, "a sample without its TYPE")
        if (name, labels) in seen:
            fail(number, line, "a series twice")
        seen.add((name, labels))
        if kind != "gauge" and value < 0:
            fail(number, line, "negative")
        rest = str([p for p in pairs if p[0] != "le"])
        if kind == "histogram" and name.endswith("_bucket"):
            buckets.setdefault((current, rest), []).append((dict(pairs)["le"], value))
        elif kind == "histogram" and name.endswith("_count"):
            counts[current, rest] = value
    check_histograms(buckets, counts)
    print(len(seen))


main()
