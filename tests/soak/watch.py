#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""watch.py MOUNT STORE SECONDS CSV SVG: what the daemon takes, each second.

Writes a table and a picture, and fails when something has grown in the second half by
more than its limit: a line is laid through the samples, and its rise is what counts.
"""
import csv
import os
import sys
import time

# Beside a part of the mean; of a whole half, however long that is.
LIMITS = {
    "rss_mib": 16, "pss_mib": 16, "descriptors": 16, "threads": 2, "disk_mib": 48,
    "entries": 200, "handles": 16, "pending": 8, "vnodes": 200, "staged_mib": 8,
}
PART = 0.10


def status_of(mount):
    with open(f"{mount}/.memofs/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(": ", 1) for line in f if ": " in line)


def mib_of(path, field):
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    raise ValueError(field)


def disk_mib(store):
    blocks = 0
    for directory, _, files in os.walk(store):
        for name in files:
            try:
                blocks += os.lstat(f"{directory}/{name}").st_blocks
            except FileNotFoundError:
                pass
    return blocks / 2048


def sample(mount, store):
    status = status_of(mount)
    proc = f"/proc/{status['pid']}"
    with open(f"{proc}/status", encoding="utf-8") as f:
        threads = next(int(line.split()[1]) for line in f if line.startswith("Threads:"))
    return {
        "rss_mib": mib_of(f"{proc}/smaps_rollup", "Rss:"),
        "pss_mib": mib_of(f"{proc}/smaps_rollup", "Pss:"),
        "descriptors": len(os.listdir(f"{proc}/fd")),
        "threads": threads,
        "disk_mib": disk_mib(store),
        "entries": int(status["entries"]),
        "handles": int(status["open_handles"]),
        "pending": int(status["pending_writes"]),
        "vnodes": int(status["virtual_nodes"]),
        "staged_mib": int(status["staged_bytes"]) / (1 << 20),
    }


def line_through(values):
    """The mean, and the rise from the first to the last of a line of least squares."""
    n = len(values)
    mean, middle = sum(values) / n, (n - 1) / 2
    over = sum((i - middle) * (v - mean) for i, v in enumerate(values))
    under = sum((i - middle) ** 2 for i in range(n))
    return mean, over / under * (n - 1) if under else 0.0


def picture(path, rows):
    width, height, left, gap = 900, 110, 130, 18
    parts = []
    for number, name in enumerate(LIMITS):
        values = [row[name] for row in rows]
        top, low = max(values), min(values)
        y0 = number * (height + gap) + gap
        scale = (height - 4) / (top - low if top > low else 1)
        points = " ".join(
            f"{left + i * width / max(1, len(values) - 1):.1f},"
            f"{y0 + height - 2 - (v - low) * scale:.1f}" for i, v in enumerate(values))
        parts.append(
            f'<rect x="{left}" y="{y0}" width="{width}" height="{height}" fill="#f4f4f4"/>'
            f'<line x1="{left + width / 2}" x2="{left + width / 2}" y1="{y0}" '
            f'y2="{y0 + height}" stroke="#bbb"/>'
            f'<polyline points="{points}" fill="none" stroke="#1f77b4"/>'
            f'<text x="4" y="{y0 + 14}" font-weight="bold">{name}</text>'
            f'<text x="4" y="{y0 + 34}">max {top:.1f}</text>'
            f'<text x="4" y="{y0 + height - 4}">min {low:.1f}</text>')
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 10}" '
                f'height="{len(LIMITS) * (height + gap) + gap}" '
                'font-family="sans-serif" font-size="12">'
                '<rect width="100%" height="100%" fill="white"/>'
                + "\n".join(parts) + "</svg>\n")


def judge(rows):
    half = rows[len(rows) // 2:]
    bad = 0
    for name, limit in LIMITS.items():
        mean, rise = line_through([row[name] for row in half])
        grown = rise > limit + PART * mean
        bad += grown
        print(f"{name:12} mean {mean:10.1f}  rise {rise:+9.1f}  may {limit + PART * mean:8.1f}"
              + ("  GROWN" if grown else ""))
    return bad


def main():
    mount, store, seconds, table, svg = sys.argv[1:]
    rows, begin = [], time.monotonic()
    with open(table, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f)
        out.writerow(["second", *LIMITS])
        while time.monotonic() - begin < float(seconds):
            rows.append(sample(mount, store))
            out.writerow([f"{time.monotonic() - begin:.1f}",
                          *(f"{v:.2f}" for v in rows[-1].values())])
            f.flush()
            time.sleep(1)
    picture(svg, rows)
    sys.exit(1 if judge(rows) else 0)


main()
