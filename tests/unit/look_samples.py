#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write stats.json, history.csv and top.json as a daemon would after a busy day.

usage: look_samples.py DIRECTORY [--hostile]
--hostile gives the namespaces and paths names that try to get out of a page.
The numbers are made up, and the same each time.
"""
import json
import math
import os
import random
import sys

FIELDS = """saved_s hits misses misses_absent misses_expired misses_too_old misses_damaged
bytes_read bytes_written published failed computed_s evicted evicted_bytes evicted_cost_s
expired expired_bytes reserved reserved_busy waits waited_s""".split()
NOW = 1763740000.0
GIB = 1 << 30

random.seed(7)


def step(length_s, at_s):
    """What happened in a step: much by day, little at night, a release at 14:00."""
    hour = at_s / 3600 % 24
    busy = max(0.05, math.sin((hour - 6) / 24 * 2 * math.pi)) * length_s
    if 14 <= hour < 14.5:
        busy *= 3
    hits = int(busy * 6 * random.uniform(0.7, 1.3))
    ratio = 0.86 + 0.08 * math.sin(at_s / 9000) - (0.3 if 14 <= hour < 14.3 else 0)
    misses = int(hits / ratio - hits)
    evicted = int(misses * 0.8) if hour > 13 else 0
    t = dict.fromkeys(FIELDS, 0)
    t.update(
        saved_s=round(hits * random.uniform(3, 5), 3), hits=hits, misses=misses,
        misses_absent=misses * 7 // 10, misses_expired=misses * 2 // 10,
        misses_too_old=misses - misses * 7 // 10 - misses * 2 // 10,
        bytes_read=hits * 180_000, bytes_written=misses * 310_000, published=misses,
        failed=misses // 50, computed_s=round(misses * 4.2, 3), evicted=evicted,
        evicted_bytes=evicted * 290_000, evicted_cost_s=round(evicted * 0.7, 3),
        expired=misses // 9, expired_bytes=misses // 9 * 150_000, reserved=misses,
        reserved_busy=misses // 12, waits=misses // 12, waited_s=round(misses / 12 * 2.5, 3))
    return t


def add(a, b, share=1.0):
    for k in FIELDS:
        a[k] += b[k] * share if k.endswith("_s") else int(b[k] * share)


def history():
    for length_s, count in ((3600, 24 * 20), (60, 24 * 60)):
        for i in range(count):
            at_s = (NOW // length_s - (count - 1 - i)) * length_s
            grown = min(1, (at_s - NOW + 20 * 86400) / (18 * 86400))
            yield length_s, at_s, step(length_s, at_s), int(18.4 * GIB * grown), int(4e5 * grown)


def buckets(values):
    return [[2.0 ** i, n] for i, n in values]


def latency(median_us, count):
    rows = []
    for i in range(20):
        at = math.log2(median_us) - i
        rows.append([2 ** i / 1e6, int(count * math.exp(-at * at / 2) / 2.5)])
    count = sum(n for _, n in rows)
    return {"count": count, "sum_s": count * median_us / 1e6, "buckets": rows}


def histogram(middle, width, scale=1.0, last=24):
    rows = []
    for i in range(last):
        n = int(60000 * math.exp(-(((i - middle) / width) ** 2)))
        rows.append([2 ** i * scale, n, n * 47_000])
    rows.append([None, 3, 141_000])
    return rows


def namespaces(hostile):
    names = ["build", "reports", "thumbnails", "ci", "models", "queries", "scratch", ""]
    if hostile:
        names = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>",
                 "'onmouseover='alert(1)", "&amp;&lt;", "a\u202eb\u001b[31mc\n",
                 "]]><!--", "http://evil.example/x.png", ""]
    total = dict.fromkeys(FIELDS, 0)
    for _, _, t, _, _ in history():
        add(total, t)
    shares = [0.44, 0.22, 0.13, 0.08, 0.06, 0.04, 0.02, 0.01]
    found = []
    for i, name in enumerate(names):
        own = dict.fromkeys(FIELDS, 0)
        add(own, total, shares[i])
        own["hits"] = int(own["hits"] * (1.2 - i * 0.13))
        found.append({
            "name": name, "entries": int(4e5 * shares[i]), "bytes": int(18.1 * GIB * shares[i]),
            "expired_entries": i * 100, "expired_bytes": i * 5_000_000,
            "quota_bytes": 3 * GIB if i == 2 else None, "total": own, "since_start": own})
    return total, found


def write(directory, hostile):
    total, found = namespaces(hostile)
    stats = {
        "version": "0.1.0", "time": NOW, "started": NOW - 275_000, "since": NOW - 20 * 86400,
        "total": total, "since_start": total,
        "store": {
            "size_bytes": 20 * GIB, "total_bytes": int(18.4 * GIB), "used_bytes": int(18.2 * GIB),
            "shared_bytes": GIB // 3, "dead_bytes": GIB // 5, "staged_bytes": GIB // 9,
            "entries": 401_233, "dirs": 12_034, "bytes": int(18.1 * GIB),
            "memory_bytes": 131 << 20, "db_disk_bytes": 611 << 20,
            "disk_avail_bytes": 190 * GIB, "max_entry_bytes": 10 * GIB,
            "min_free_bytes": 16 << 20, "policy": "gdsf"},
        "now": {"open_handles": 42, "pending_writes": 3, "waiting_opens": 5, "reservations": 4},
        "latency": {"lookup": latency(12, 9e6), "open": latency(20, 4e6),
                    "read": latency(40, 5e6), "write": latency(60, 9e5),
                    "close": latency(70, 8e5), "publish": latency(300, 4e5)},
        "census": {"time": NOW - 200, "complete": True, "age_s": histogram(15, 4),
                   "cost_s": histogram(11, 3, 0.001), "size_bytes": histogram(15, 4, 1, 30)},
        "namespaces": found}
    word = "<b>" if hostile else "build"
    where = [f"{found[i % 3]['name']}/x86_64/{word}/{'%032x' % random.getrandbits(128)}.o"
             for i in range(40)]
    top = {
        "time": NOW,
        "computing": [
            {"path": where[i], "owner": ["ci-17", "", "nightly@host-4"][i], "pid": 4000 + i,
             "since": NOW - [12, 95, 4000][i], "bytes": [3 << 20, 0, 1 << 30][i]}
            for i in range(3)],
        "waiting": [{"path": where[0], "waiters": 4}, {"path": where[2], "waiters": 1}],
        "hottest": [{"path": where[i + 4], "hits": 90_000 // (i + 1), "bytes": 47_000 * (i + 1),
                     "cost_s": 2.5, "saved_s": 2.5 * 90_000 // (i + 1)} for i in range(12)],
        "dearest": [{"path": where[i + 20], "hits": 30 * i, "bytes": 900_000, "cost_s": 7200 / (i + 1),
                     "saved_s": 30 * i * 7200 / (i + 1)} for i in range(12)]}
    os.makedirs(directory, exist_ok=True)
    for name, value in (("stats.json", stats), ("top.json", top)):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as out:
            json.dump(value, out)
            out.write("\n")
    with open(os.path.join(directory, "history.csv"), "w", encoding="utf-8") as out:
        out.write("step_s,time," + ",".join(FIELDS) + ",total_bytes,entries\n")
        for length_s, at_s, t, used, entries in history():
            row = [length_s, at_s] + [t[k] for k in FIELDS] + [used, entries]
            out.write(",".join(str(v) for v in row) + "\n")


write(sys.argv[1], "--hostile" in sys.argv[2:])
