#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run `memofs top` in a terminal of its own, and see what it does with that.

usage: terminal.py MEMOFS PATH

Every wait is for something to happen, with a bound far beyond what it takes.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

MEMOFS, PATH = sys.argv[1:]
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
BOUND_S = 60


class Terminal:
    def __init__(self, columns, rows, **environment):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "LC_ALL")}
        env.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"}, **environment)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.execve(MEMOFS, [MEMOFS, "top", "--interval", "0.2s", PATH], env)

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, until):
        """Take what is written until `until` is in what is new."""
        end, at = time.monotonic() + BOUND_S, len(self.seen)
        while until not in self.seen[at:]:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {until!r} in {self.seen[at:]!r}"
            self.seen += os.read(self.master, 65536)
        return self.seen[at:]

    def end(self):
        """How it ended; what it wrote last is read meanwhile, or it could not."""
        end, pid, ready = time.monotonic() + BOUND_S, 0, True
        while not pid or ready:
            if not pid:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            ready, _, _ = select.select([self.master], [], [], 0.02)
            if ready:
                self.seen += os.read(self.master, 65536)
            assert time.monotonic() < end, "it does not end"
        assert self.seen.count(ENTER) == self.seen.count(LEAVE), "another screen is left"
        assert self.seen.rstrip().endswith(LEAVE) or LEAVE not in self.seen, self.seen[-200:]
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        return os.waitstatus_to_exitcode(status)


def frames(text):
    """Each screen as its lines, without escapes; the terminal adds a \\r to each."""
    for frame in text.split(b"\x1b[H")[1:]:
        yield re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", frame).decode().replace("\r", "").split("\n")


def quit_with_a_key():
    t = Terminal(80, 24)
    t.read(b"time saved")
    t.read(b"time saved")  # the next look
    assert ENTER in t.seen and b"\x1b[1m" in t.seen and "hit ratio" in t.seen.decode()
    os.write(t.master, b"x\x1b[Aq")
    os.write(t.master, b"q")
    assert t.end() == 0
    for lines in list(frames(t.seen))[:-1]:
        assert len(lines) <= 24 and all(len(line) <= 80 for line in lines), lines


def interrupt():
    t = Terminal(120, 40)
    t.read(b"time saved")
    os.write(t.master, b"\x03")
    assert t.end() == 0


def follow_its_size():
    t = Terminal(100, 30)
    t.read(b"time saved")
    t.resize(30, 8)
    os.kill(t.pid, signal.SIGWINCH)
    t.read(b"time saved")
    t.read(b"time saved")
    t.read(b"time saved")
    os.write(t.master, b"q")
    assert t.end() == 0
    lines = list(frames(t.seen))[-2]
    assert len(lines) <= 8 and all(len(line) <= 30 for line in lines), lines


def end_by_signals():
    for sig in signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1:
        t = Terminal(80, 24)
        t.read(b"time saved")
        os.kill(t.pid, sig)
        code = t.end()
        assert code == -sig, f"{sig}: it ended with {code}"


def plain():
    t = Terminal(80, 24, NO_COLOR="1", LC_ALL="C")
    t.read(b"time saved")
    os.write(t.master, b"q")
    assert t.end() == 0
    assert not re.search(rb"\x1b\[[1-9][0-9;]*m", t.seen), "there are colours"
    assert all(byte < 0x80 for byte in t.seen), "there are characters beyond ASCII"
    t = Terminal(80, 24, TERM="dumb")
    assert t.end() == 0
    assert b"time saved" in t.seen and b"\x1b" not in t.seen, "a dumb terminal got escapes"


for test in quit_with_a_key, interrupt, follow_its_size, end_by_signals, plain:
    test()
    print("ok", test.__name__, file=sys.stderr)
