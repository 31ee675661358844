#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What suite.sh measured, as a table, against the targets; as CSV; as a plot.

The raw lines are ROW, TARGET, ROUND, SECONDS, OPERATIONS, PROCESSOR SECONDS with tabs
between. A target is a ratio of two of them: the median of the ratios of each round,
since what comes in one round was measured close together.
"""
import argparse
import csv
import statistics
import sys
from collections import defaultdict
from xml.sax.saxutils import escape

# How a row is shown: unit, value of (seconds, operations), whether more is better.
KINDS = {
    "us": ("us", lambda s, n: s / n * 1e6, False),
    "ms": ("ms", lambda s, n: s * 1e3, False),
    "rate": ("1000/s", lambda s, n: n / s / 1e3, True),
    "GB/s": ("GB/s", lambda s, n: n / s / 1e9, True),
    "MiB": ("MiB", lambda s, n: s, False),
}
ORDER = ["memofs", "fast", "disk", "tmpfs", "passthrough", "cached", "mergerfs", "bindfs",
         "redis", "ccache", "bare"]


def number(n):
    return f"{n:,}"


def all_rows(points):
    """(name, title, kind) of each row, in the order of the table."""
    small, middle, large = points
    rows = []
    for name, title in (("create", "create an empty file"), ("stat", "stat, hot"),
                        ("open", "open and close"), ("rename", "rename"),
                        ("unlink", "unlink")):
        rows += [(f"{name}/{n}", f"{title}, one directory, threads: {n}", "rate")
                 for n in (1, 4, 16)]
    rows += [
        ("hit/hot", "open, read 4 KiB, close, hot", "us"),
        ("hit/cold", "open, read 4 KiB, close, cold", "us"),
        ("absent", "stat of an absent name, again", "us"),
        ("attr", "getxattr", "us"),
        ("publish", "create, write 4 KiB, close", "us"),
        ("fsync/8", "create, write 4 KiB, fsync, close; 8 writers", "rate"),
        ("write/plain", "write a large file", "GB/s"),
        ("write/fsync", "write a large file, fsync", "GB/s"),
        ("read/cold", "read a large file, cold", "GB/s"),
        ("read/hot", "read a large file, again", "GB/s"),
        ("ls-f/cold", f"ls -f of {number(large)} entries, cold", "ms"),
        ("ls-f/again", f"ls -f of {number(large)} entries, again", "ms"),
        ("ls-l/cold", f"ls -l of {number(middle)} entries, cold", "ms"),
        ("ls-l/again", f"ls -l of {number(middle)} entries, again", "ms"),
        ("wait", "from a publish until who waits has read it", "us"),
        ("run/hit", "memofs run, a hit, and the command itself", "ms"),
        ("run/miss", "memofs run, a miss, and the command itself", "ms"),
        ("run/compile", "memofs run of a compiler, a hit, and ccache", "ms"),
    ]
    rows += [(f"clients/{n}", f"open, read 4 KiB, close, hot, clients: {n}", "rate")
             for n in (1, 4, 16, 64)]
    for name, title in (("lookup", "stat of a name that is new to the kernel"),
                        ("entry", "open, read 200 bytes, close, hot"),
                        ("publish-in", "create, write 200 bytes, close")):
        rows += [(f"{name}/{n}", f"{title}, one of {number(n)}, on one CPU", "us")
                 for n in points]
    rows += [("memory/idle", "most memory of the daemon and holder, unused", "MiB"),
             (f"memory/{large}", f"the same, {number(large)} entries listed and read", "MiB")]
    return rows


def goals(points, disk):
    """(text, a, b, sense, limit): what a costs, as a multiple of what b costs, is to be
    at most or at least the limit; without b, the value of a itself. Each is a row and a
    target. A ratio of speeds has what is asked for as b."""
    small, _, large = points
    goal = [
        ("hot open + read 4 KiB + close, fast / " + disk, ("hit/hot", "fast"), ("hit/hot", "disk"), "<=", 1.5),
        ("the same, read-write / passthrough", ("hit/hot", "memofs"), ("hit/hot", "passthrough"), "<=", 0.5),
        ("hot read, speed / " + disk, ("read/hot", "disk"), ("read/hot", "memofs"), ">=", 0.9),
        ("cold read, speed / " + disk, ("read/cold", "disk"), ("read/cold", "memofs"), ">=", 0.8),
        ("fsynced write, speed / " + disk, ("write/fsync", "disk"), ("write/fsync", "memofs"), ">=", 0.75),
        ("create + write 4 KiB + close / passthrough", ("publish", "memofs"), ("publish", "passthrough"), "<=", 0.7),
        ("the same, fsynced, 8 writers, rate / " + disk, ("fsync/8", "disk"), ("fsync/8", "memofs"), ">=", 1.0),
        (f"ls -f of {number(large)}, cold / {disk}", ("ls-f/cold", "memofs"), ("ls-f/cold", "disk"), "<=", 1.0),
        (f"ls -f again / {disk} again", ("ls-f/again", "memofs"), ("ls-f/again", "disk"), "<=", 0.5),
        (f"ls -l of {number(points[1])}, cold / passthrough", ("ls-l/cold", "memofs"), ("ls-l/cold", "passthrough"), "<=", 0.7),
        ("ls -l again / passthrough again", ("ls-l/again", "memofs"), ("ls-l/again", "passthrough"), "<=", 0.7),
        ("hit rate of 16 clients, fast / Redis GET", ("clients/16", "redis"), ("clients/16", "fast"), ">=", 3.0),
    ]
    for name in ("lookup", "publish-in", "entry"):
        goal.append((f"{name}: {number(large)} / {number(small)} entries",
                     (f"{name}/{large}", "memofs"), (f"{name}/{small}", "memofs"), "<=", 1.5))
    goal += [(f"memory at {number(large)} entries, MiB", (f"memory/{large}", "memofs"), None, "<=", 256),
             ("memory idle, MiB", ("memory/idle", "memofs"), None, "<=", 64)]
    return goal


class Samples:
    """What was measured: by row and target, (seconds, operations, processor) by round."""

    def __init__(self, path):
        self.of = defaultdict(dict)
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                row, target, turn, seconds, count, processor = line.rstrip("\n").split("\t")
                self.of[row, target][int(turn)] = (float(seconds), int(count), float(processor))

    def targets(self, row):
        return [t for t in ORDER if (row, t) in self.of]

    def values(self, row, target, kind):
        value = KINDS[kind][1]
        return [value(s, n) for s, n, _ in self.of[row, target].values()]

    def processor(self, row, target):
        """Median processor seconds of an operation; None where it was not measured."""
        each = [p / n for _, n, p in self.of[row, target].values() if p > 0]
        return statistics.median(each) if each else None

    def processor_ratio(self, a, b):
        """The processor time of a, as a multiple of that of b: what a busy machine leaves."""
        x, y = self.processor(*a), self.processor(*b)
        return x / y if x and y else None

    def ratios(self, a, b):
        """The cost of a, as a multiple of that of b, in each round."""
        x, y = self.of.get(a, {}), self.of.get(b, {})
        return [x[r][0] / x[r][1] / (y[r][0] / y[r][1]) for r in sorted(x) if r in y]


def label(target, disk):
    return {"disk": disk, "fast": "memofs fast", "cached": "passthrough, cache=always",
            "bare": "the command itself"}.get(target, target)


def figure(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def times(samples, row, target, other):
    """How many times as fast as `other` is `target`? Nothing for what is no time."""
    timed = target != other and not row.startswith("memory/")
    ratios = samples.ratios((row, other), (row, target)) if timed else []
    return f"{statistics.median(ratios):.2f}x" if ratios else ""


def processor_text(samples, row, target, kind):
    seconds = samples.processor(row, target)
    if seconds is None:
        return ""
    return f"{seconds * 1e9:.2f} s/GB" if kind == "GB/s" else f"{seconds * 1e6:.2f} us"


def print_table(samples, rows, disk):
    print(f"{'':28} {'median':>9} {'lowest to highest':>22} {'memofs is':>11} {'fast is':>11}"
          f" {'processor':>11}")
    for name, title, kind in rows:
        print(f"\n{name}: {title} [{KINDS[kind][0]}]")
        targets = samples.targets(name)
        if not targets:
            print("  not measured here")
        for target in targets:
            values = samples.values(name, target, kind)
            spread = f"{figure(min(values))} to {figure(max(values))}"
            print(f"  {label(target, disk):26} {figure(statistics.median(values)):>9} {spread:>22}"
                  f" {times(samples, name, 'memofs', target):>11}"
                  f" {times(samples, name, 'fast', target):>11}"
                  f" {processor_text(samples, name, target, kind):>11}".rstrip())


def goal_values(samples, a, b):
    if b:
        return samples.ratios(a, b)
    return [s for s, _, _ in samples.of.get(a, {}).values()]


def goal_lines(samples, points, disk, shown):
    """(text, wanted, found, spread, processor, verdict) of each target, as they are shown."""
    for text, a, b, sense, limit in goals(points, disk):
        if a[0] not in shown:
            continue
        values = goal_values(samples, a, b)
        wanted = f"{sense} {limit:g}"
        if not values:
            yield text, wanted, "-", "", "", "not measured here"
            continue
        found = statistics.median(values)
        met = found <= limit if sense == "<=" else found >= limit
        processor = samples.processor_ratio(a, b) if b else None
        yield (text, wanted, figure(found), f"{figure(min(values))} to {figure(max(values))}",
               figure(processor) if processor else "", "met" if met else "MISSED")


GOAL_COLUMNS = ("target", "wanted", "found", "lowest to highest", "processor")


def print_goals(lines):
    for text, wanted, found, spread, processor, verdict in [(*GOAL_COLUMNS, ""), *lines]:
        print(f"{text:56} {wanted:>8} {found:>8} {spread:>22} {processor:>9}  {verdict}".rstrip())


def markdown_table(out, columns, lines):
    for cells in (columns, ["---"] * len(columns), *lines):
        out.write("| " + " | ".join(cells) + " |\n")


def write_markdown(path, samples, rows, disk, machine, goals_shown):
    """The medians, a column for each target, and the goals: for docs/."""
    rows = [r for r in rows if samples.targets(r[0])]
    there = [t for t in ORDER if any(t in samples.targets(r[0]) for r in rows)]
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(machine) + "\n\n")
        markdown_table(out, ["row", "", *(label(t, disk) for t in there)],
                       ([name, KINDS[kind][0],
                         *(figure(statistics.median(samples.values(name, t, kind)))
                           if (name, t) in samples.of else "" for t in there)]
                        for name, _, kind in rows))
        out.write("\n")
        markdown_table(out, [*GOAL_COLUMNS, ""], goals_shown)


def write_csv(path, samples, rows, disk):
    with open(path, "w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(["row", "title", "unit", "target", "median", "lowest", "highest", "rounds",
                        "processor_us"])
        for name, title, kind in rows:
            for target in samples.targets(name):
                values = samples.values(name, target, kind)
                processor = samples.processor(name, target)
                lines.writerow([name, title, KINDS[kind][0], label(target, disk),
                                f"{statistics.median(values):.4f}", f"{min(values):.4f}",
                                f"{max(values):.4f}", len(values),
                                "" if processor is None else f"{processor * 1e6:.6f}"])


# --- the plot: a panel for each row, a bar for each target, the range as a line on it ---

PANEL, LABEL, BAR, COLUMNS = 490, 170, 15, 3
COLOURS = {"memofs": "#c0392b", "fast": "#e67e22"}


def panel(samples, row, disk, x, y):
    name, title, kind = row
    unit, _, more = KINDS[kind]
    yield (f'<text x="{x}" y="{y + 12}" font-weight="bold">{escape(name)}</text>'
           f'<text x="{x}" y="{y + 26}">{escape(title)}, {unit}, '
           f'{"more" if more else "less"} is better</text>')
    targets = samples.targets(name)
    measured = {t: samples.values(name, t, kind) for t in targets}
    most = max((max(v) for v in measured.values()), default=1) or 1
    scale = (PANEL - LABEL - 90) / most
    for i, target in enumerate(targets):
        top, values = y + 34 + i * BAR, measured[target]
        middle, left = statistics.median(values), x + LABEL
        yield (f'<text x="{left - 5}" y="{top + 10}" text-anchor="end">{escape(label(target, disk))}</text>'
               f'<rect x="{left}" y="{top}" width="{middle * scale:.1f}" height="{BAR - 3}"'
               f' fill="{COLOURS.get(target, "#7f8c8d")}"/>'
               f'<path d="M{left + min(values) * scale:.1f} {top + 6}H{left + max(values) * scale:.1f}"'
               f' stroke="black"/>'
               f'<text x="{left + max(values) * scale + 5:.1f}" y="{top + 10}">{figure(middle)}</text>')


def write_plot(path, samples, rows, disk, machine):
    rows = [r for r in rows if samples.targets(r[0])]
    parts, y = [], 20 + 14 * len(machine)
    for i, line in enumerate(machine):
        parts.append(f'<text x="10" y="{16 + 14 * i}">{escape(line)}</text>')
    for i in range(0, len(rows), COLUMNS):
        line = rows[i:i + COLUMNS]
        for column, row in enumerate(line):
            parts += panel(samples, row, disk, 10 + column * PANEL, y)
        y += 50 + BAR * max(len(samples.targets(r[0])) for r in line)
    with open(path, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * PANEL + 20}"'
                  f' height="{y + 10}" font-family="sans-serif" font-size="11">'
                  f'<rect width="100%" height="100%" fill="white"/>\n')
        out.write("\n".join(parts) + "\n</svg>\n")


def selected(rows, only):
    if not only:
        return rows
    return [r for r in rows if any(r[0] == o or r[0].startswith(o + "/") for o in only.split(","))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", required=True)
    parser.add_argument("--disk", default="ext4")
    parser.add_argument("--rows", action="store_true")
    for name in ("--raw", "--machine", "--only", "--csv", "--plot", "--markdown"):
        parser.add_argument(name)
    args = parser.parse_args()
    points = [int(n) for n in args.points.split(",")]
    rows = selected(all_rows(points), args.only)
    if args.rows:
        for name, title, _ in rows:
            print(f"{name:16} {title}")
        return
    samples = Samples(args.raw)
    with open(args.machine, encoding="utf-8") as lines:
        machine = lines.read().splitlines()
    print("\n".join(machine))
    print_table(samples, rows, args.disk)
    goals_shown = list(goal_lines(samples, points, args.disk, {r[0] for r in rows}))
    print()
    print_goals(goals_shown)
    if args.csv:
        write_csv(args.csv, samples, rows, args.disk)
    if args.plot:
        write_plot(args.plot, samples, rows, args.disk, machine)
    if args.markdown:
        write_markdown(args.markdown, samples, rows, args.disk, machine, goals_shown)


if __name__ == "__main__":
    sys.exit(main())
