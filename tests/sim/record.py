#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Record a trace of builds: what a compiler cache is asked for by a project's history.

For each commit of HEAD's history, from the first on, every C file is asked for in the
order of the paths, as a build server asks that begins with an empty folder:

    key   of the flags and the preprocessed source (without line marks), as ccache's
    size  of the object file, bytes
    cost  seconds of CPU, user and system, that the compiler took: measured once a key,
          and less disturbed by what else runs than the seconds of a clock
    time  of the commit, in seconds from the first; requests of one build follow each
          other by 10 ms

--asan: after each build a second one by AddressSanitizer and UBSan, as tests/run.sh has
them: another worker that asks the same cache. --every N: each Nth commit alone. What a
file was measured at is added to --measured FILE, so that a recording that was cut off
goes on; one that is interrupted (SIGINT) writes the builds that it has. What does not
compile (a half of a series) is not asked for. The flags are the same for all commits;
headers of libraries are those of the machine.

Runs in a clone of its own. Minutes of CPU for each hundred commits at the least; use
nice(1).
"""
import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile

COMMON = ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64",
          '-DMEMOFS_VERSION="0"', '-DMEMOFS_LIBEXECDIR="/"', "-I.", "-fno-common",
          "-fno-omit-frame-pointer", "-w"]
PLAIN = ["-O2"]
ASAN = ["-O1", "-fsanitize=address,undefined"]
STEP_S = 0.01


def output_of(*args, **more):
    return subprocess.run(args, check=True, capture_output=True, **more).stdout


def library_flags():
    return output_of("pkg-config", "--cflags", "fuse3", "libxxhash", text=True).split()


class Sources:
    """A clone at one commit after the other, and its files as the compiler sees them."""

    def __init__(self, repository, folder):
        self.folder, self.known, self.at = folder, {}, None
        self.flags = COMMON + library_flags()
        subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout",
                        os.path.abspath(repository), folder], check=True)

    def git(self, *args):
        return output_of("git", "-C", self.folder, *args, text=True)

    def commits(self, every):
        lines = self.git("log", "--reverse", "--date-order", "--format=%H %ct").split("\n")
        return [(name, int(when)) for name, when in
                (line.split() for line in lines if line)][::every]

    def go_to(self, commit):
        if self.at:
            changed = set(self.git("diff", "--no-renames", "--name-only", self.at,
                                   commit).split("\n"))
            self.known = {path: (digest, needs) for path, (digest, needs)
                          in self.known.items() if not needs & changed}
        self.git("checkout", "-q", "--force", "--detach", commit)
        self.at = commit

    def files(self):
        return sorted(self.git("ls-files", "*.c").split())

    def digest(self, path):
        """Of the preprocessed source; None when a header is missing."""
        if path not in self.known:
            done = subprocess.run(
                self.flags + ["-E", "-P", "-MMD", "-MF", ".needs", path],
                cwd=self.folder, capture_output=True, check=False)
            if done.returncode:
                return None
            with open(f"{self.folder}/.needs", encoding="utf-8") as f:
                needs = set(f.read().replace("\\\n", " ").split(":", 1)[1].split())
            self.known[path] = (hashlib.sha256(done.stdout).hexdigest(), needs)
        return self.known[path][0]

    def compile(self, path, flags):
        """Bytes of the object and seconds of CPU; None when it does not compile."""
        child = subprocess.Popen(self.flags + flags + ["-c", path, "-o", ".object"],
                                 cwd=self.folder, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        if status:
            return None
        return (os.path.getsize(f"{self.folder}/.object"),
                round(used.ru_utime + used.ru_stime, 3))


class Measured:
    """What each key has cost, kept in a file from one call to the next."""

    def __init__(self, path):
        self.of, self.file = {}, None
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                self.of = {key: value for key, value in map(json.loads, f)}
        if path:
            self.file = open(path, "a", encoding="utf-8")

    def get(self, sources, path, flags):
        digest = sources.digest(path)
        if digest is None:
            return None, None
        key = f"{' '.join(flags)} {digest}"
        if key not in self.of:
            self.of[key] = sources.compile(path, flags)
            if self.file:
                print(json.dumps([key, self.of[key]]), file=self.file, flush=True)
        return key, self.of[key]


class Trace:
    def __init__(self):
        self.lines, self.numbers, self.last_s = [], {}, -1.0

    def build(self, when_s, asked):
        """`when_s` is when it begins, if the one before has ended by then."""
        begin = when_s if when_s > self.last_s + STEP_S else None
        for key, (size, cost) in asked:
            number = self.numbers.setdefault(key, len(self.numbers))
            if begin is not None:
                self.last_s, text = float(begin), str(begin)
            else:
                self.last_s, text = self.last_s + STEP_S, f"+{STEP_S}"
            begin = None
            self.lines.append(f"{text} {number} {size} {cost}\n")

    def write(self, path, head):
        with gzip.GzipFile(path, "wb", 9, mtime=0) as f:
            f.write(f"# {head}\n".encode())
            f.write("".join(self.lines).encode())


def record(args, folder):
    sources, measured, trace = Sources(args.repository, folder), Measured(args.measured), Trace()
    commits, done = sources.commits(args.every), 0
    try:
        for commit, when_s in commits:
            sources.go_to(commit)
            for flags in [PLAIN, ASAN] if args.asan else [PLAIN]:
                asked = [measured.get(sources, path, flags) for path in sources.files()]
                trace.build(when_s - commits[0][1], [a for a in asked if a[1]])
            done += 1
            print(f"{done} of {len(commits)} commits, {len(trace.lines)} requests, "
                  f"{len(trace.numbers)} objects", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {done} commits", file=sys.stderr)
    trace.write(args.trace, head_of(args, commits, done))


def head_of(args, commits, done):
    compiler = output_of("gcc", "--version", text=True).split("\n")[0]
    return (f"time key size cost: {done} builds, {'plain and asan' if args.asan else 'plain'}, "
            f"of each {args.every}. commit from {commits[0][0][:12]} to "
            f"{commits[done - 1][0][:12]}, by {compiler}")


def main():
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--every N] [--asan] [--measured FILE] REPOSITORY TRACE.gz",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--asan", action="store_true")
    parser.add_argument("--measured", metavar="FILE")
    parser.add_argument("repository", metavar="REPOSITORY")
    parser.add_argument("trace", metavar="TRACE.gz")
    with tempfile.TemporaryDirectory() as folder:
        record(parser.parse_args(), f"{folder}/sources")


main()
