#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# systemd.py SOCKET COMMAND...: runs the command as systemd would a service of
# Type=notify, Restart=on-failure and KillMode=mixed with a store of descriptors.
#
# What it says is printed, and "started PID" each time. When it dies, all that it has
# started is killed, and it is started anew with the descriptors that it gave away. Ends
# with it when it ends well.
import array
import ctypes
import os
import select
import signal
import socket
import sys

PR_SET_CHILD_SUBREAPER = 36
LISTEN_FIRST = 3
OUT_OF_THE_WAY = 100


def start(command, path, stored):
    pid = os.fork()
    if pid:
        print("started", pid, flush=True)
        return pid
    env = dict(os.environ, NOTIFY_SOCKET=path)
    if stored:
        env.update(LISTEN_FDS=str(len(stored)), LISTEN_PID=str(os.getpid()),
                   LISTEN_FDNAMES=":".join(stored))
    # Out of the way first: one may have the number that another gets.
    for i, fd in enumerate(stored.values()):
        os.dup2(fd, OUT_OF_THE_WAY + i)
    for i in range(len(stored)):
        os.dup2(OUT_OF_THE_WAY + i, LISTEN_FIRST + i, inheritable=True)
    os.closerange(LISTEN_FIRST + len(stored), 2 * OUT_OF_THE_WAY)
    os.execvpe(command[0], command, env)


def hear(s, stored):
    text, ancillary, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(16))
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    said = text.decode()
    print(said.replace("\n", " "), flush=True)
    fields = dict(line.split("=", 1) for line in said.splitlines())
    if "FDSTOREREMOVE" in fields and fields["FDNAME"] in stored:
        os.close(stored.pop(fields["FDNAME"]))
    if "FDSTORE" in fields:
        stored[fields["FDNAME"]] = fds[0]


# Its other processes have become children of this one.
def kill_the_rest():
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as f:
            rest = [int(pid) for pid in f.read().split()]
        if not rest:
            return
        for pid in rest:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def main():
    path, command = sys.argv[1], sys.argv[2:]
    stored = {}
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    while True:
        pid = start(command, path, stored)
        pidfd = os.pidfd_open(pid)
        while pidfd not in select.select([s, pidfd], [], [])[0]:
            hear(s, stored)
        while select.select([s], [], [], 0)[0]:
            hear(s, stored)
        os.close(pidfd)
        status = os.waitpid(pid, 0)[1]
        kill_the_rest()
        if status == 0:
            return


main()
