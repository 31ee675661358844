#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""load.py MOUNT SECONDS SEED: everything at once, for so long.

Each worker is a process with a task of its own; what is read must be what somebody
wrote, whole. A call that fails otherwise than the task allows ends all with status 1.
"""
import errno
import mmap
import os
import random
import sys
import time

mount, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
end = time.monotonic() + seconds
KEYS = 1500
GONE = (errno.ENOENT,)


def content(number, size):
    head = b"%d %d\n" % (number, size)
    piece = bytes((number + i) % 251 for i in range(997))
    return (head + piece * (size // len(piece) + 1))[:max(size, len(head))]


def check(path, data):
    number, size = (int(word) for word in data.split(b"\n", 1)[0].split())
    if data != content(number, size):
        sys.exit(f"{path}: not what was written: {len(data)} bytes of {size}")


def tolerate(allowed, call, *args):
    try:
        return call(*args)
    except OSError as e:
        if e.errno not in allowed:
            sys.exit(f"{call.__name__}{args!r}: {e}")
        return None


def key(rnd):
    n = int(KEYS * rnd.random() ** 2)
    return f"{mount}/ns{n % 4}/d{n % 16}/k{n}"


def size_of(rnd):
    return min(int(rnd.lognormvariate(8, 2)), 2_000_000)


def write_file(path, data, rnd):
    with open(path, "wb", buffering=0) as f:
        middle = rnd.randrange(len(data))
        f.write(data[:middle])
        f.write(data[middle:])
        if rnd.random() < 0.05:
            os.fsync(f.fileno())


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def writer(rnd, me):
    path, data = key(rnd), content(rnd.randrange(1 << 30), size_of(rnd))
    if rnd.random() < 0.3:
        temporary = f"{os.path.dirname(path)}/.tmp{me}"
        write_file(temporary, data, rnd)
        # An entry that nobody has read yet is the first to go when there is no room.
        tolerate(GONE, os.rename, temporary, path)
    else:
        write_file(path, data, rnd)
    if rnd.random() < 0.2:
        tolerate(GONE, os.setxattr, path, "user.cache.ttl", b"%ds" % rnd.randrange(1, 60))


def reader(rnd, me):
    path = key(rnd)
    data = tolerate(GONE, read_file, path)
    if data is not None:
        check(path, data)


def large(rnd, _):
    """Of a size that the kernel may read itself (docs/passthrough.md), replaced while
    others read it through what they have opened."""
    path = f"{mount}/large/{rnd.randrange(6)}"
    if rnd.random() < 0.2:
        write_file(path, content(rnd.randrange(1 << 30), rnd.randrange(1 << 20, 5 << 20)), rnd)
    fd = tolerate(GONE, os.open, path, os.O_RDONLY)
    if fd is None:
        return
    how, size = rnd.random(), os.fstat(fd).st_size
    if how < 0.4:
        data = b"".join(iter(lambda: os.read(fd, 1 << 17), b""))
    elif how < 0.7:
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as pages:
            data = pages[:]
    else:
        half = rnd.randrange(size)
        behind = os.pread(fd, size - half, half)
        data = os.pread(fd, half, 0) + behind
    if rnd.random() < 0.1:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    check(path, data)


def lister(rnd, me):
    view = rnd.choice(["", ".memofs/view/ro/", ".memofs/view/max-age=1h,stale/"])
    directory = f"{mount}/ns{rnd.randrange(4)}/{view}d{rnd.randrange(16)}"
    for entry in tolerate(GONE, lambda: list(os.scandir(directory))) or []:
        if rnd.random() < 0.1:
            tolerate(GONE, os.stat, entry.path)
            tolerate(GONE + (errno.ENODATA,), os.getxattr, entry.path, "user.cache.hash")


def churner(rnd, me):
    top = f"{mount}/churn{me}"
    os.mkdir(top)
    for i in range(10):
        os.mkdir(f"{top}/{i}")
        write_file(f"{top}/{i}/f", content(i, 5000), rnd)
        os.symlink("f", f"{top}/{i}/l")
    os.rename(f"{top}/1", f"{top}/moved")
    os.setxattr(top, "user.cache.version", b"v%d" % rnd.randrange(3))
    write_file(f"{top}/versioned", content(1, 100), rnd)
    check(top, read_file(f"{top}/versioned"))
    os.setxattr(top, "user.cache.version", b"")
    for directory, dirs, files in os.walk(top, topdown=False):
        for name in files:
            tolerate(GONE, os.unlink, f"{directory}/{name}")
        for name in dirs:
            tolerate(GONE, os.rmdir, f"{directory}/{name}")
    os.rmdir(top)


def waiter(rnd, me):
    """Somebody computes, three wait for it; or it is given up."""
    name, good = f"w{me}-{rnd.randrange(1 << 30)}", rnd.random() < 0.8
    fd = os.open(f"{mount}/ns0/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    data = content(7, 3000)
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os.close(fd)
            path = f"{mount}/ns0/.memofs/view/wait=30s/{name}"
            got = tolerate(GONE, read_file, path)
            os._exit(0 if got == data or (got is None and not good) else 1)
        children.append(pid)
    time.sleep(rnd.random() * 0.05)
    if good:
        os.write(fd, data)
        os.close(fd)
    else:
        os.unlink(f"{mount}/ns0/{name}")
        os.close(fd)
    for pid in children:
        if os.waitpid(pid, 0)[1]:
            sys.exit(f"{name}: who waited got something else")
    tolerate(GONE, os.unlink, f"{mount}/ns0/{name}")


def failer(rnd, me):
    """A producer that fails publishes nothing."""
    path = f"{mount}/ns1/failed{me}"
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, b"half")
        os._exit(1)
    os.waitpid(pid, 0)
    if os.path.exists(path):
        sys.exit(f"{path}: published, and its producer has failed")


def looker(rnd, me):
    for name in ("stats", "stats.json", "metrics", "log", "status", "history.csv"):
        read_file(f"{mount}/.memofs/{name}")
    time.sleep(0.2)


def work(task, me):
    rnd = random.Random(f"{seed} {task.__name__} {me}")
    done = 0
    while time.monotonic() < end:
        task(rnd, me)
        done += 1
        time.sleep(0.002)  # the machine has others
    print(f"{task.__name__} {done}", flush=True)


def main():
    for ns in range(4):
        for d in range(16):
            os.makedirs(f"{mount}/ns{ns}/d{d}", exist_ok=True)
    os.makedirs(f"{mount}/large", exist_ok=True)
    tasks = [writer] * 4 + [reader] * 5 + [large] * 3
    tasks += [lister, churner, waiter, waiter, failer, looker]
    running = set()
    for me, task in enumerate(tasks):
        pid = os.fork()
        if pid == 0:
            work(task, me)
            os._exit(0)
        running.add(pid)
    while running:
        pid, status = os.wait()
        running.discard(pid)
        if status:
            for other in running:
                os.kill(other, 9)
            sys.exit(1)


main()
