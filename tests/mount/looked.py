#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a mount, path by path: names, attributes, contents, versions, views.

looked.py UID MOUNT >BEFORE    notes what that user sees
looked.py UID MOUNT BEFORE     looks again, and fails with what is not as it was

What cannot be had is noted by its error, so a user with fewer rights can look, too. Times
of entries and leases go on between two looks: what has ended by the second must be gone
there, and nothing else may be.
"""
import hashlib
import json
import mmap
import os
import stat
import sys
import time

# Not age and hits, which change by themselves: only that they are numbers.
ATTRIBUTES = ("ttl version expires created state hash cost writer key publish lease wait "
              "quota max-entry").split()
VIEWS = ("ro", "stale", "max-age=1h", "max-age=0", "since=@0", "max-age=0,stale", "pack",
         "pack,ro", "version=none")
# From here on numbers of nodes are given anew by each daemon.
VIRTUAL = 1 << 63
# Of a large directory all names, and of so many of them everything.
MANY = 60


def attempt(call, *args):
    """What it returns, or the name of its error."""
    try:
        return call(*args)
    except OSError as error:
        return os.strerror(error.errno)


def listed(names):
    """Sorted, or the error that is there in place of them."""
    return sorted(names) if isinstance(names, list) else names


def content(path, size):
    """A hash of what read(2) gives, which a map has to show as well."""
    fd = os.open(path, os.O_RDONLY)
    try:
        got = b"".join(iter(lambda: os.read(fd, 1 << 17), b""))
        assert len(got) == size, f"{path}: {len(got)} bytes of {size}"
        if got:
            with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as view:
                assert view[:] == got, f"{path}: the map differs"
    finally:
        os.close(fd)
    return hashlib.md5(got).hexdigest()


def attribute(path, name):
    return attempt(lambda: os.fsdecode(os.getxattr(path, name, follow_symlinks=False)))


def attributes(path):
    facts = {name: attribute(path, "user.cache." + name) for name in ATTRIBUTES}
    names = listed(attempt(lambda: os.listxattr(path, follow_symlinks=False)))
    facts["listed"] = names
    if isinstance(names, list):
        facts["values"] = [attribute(path, name) for name in names
                           if name != "user.cache.reservation"]
    facts["numbers"] = [attribute(path, "user.cache." + name)[:1].isdigit()
                        for name in ("age", "hits")]
    return facts


def lease(text):
    """A reservation's text, and apart from it when it ends: made from another clock each
    time, and not to the nanosecond the same. Why the last producer failed is the daemon's
    own to know."""
    words = text.split()
    if "failed" in words:
        words = words[:words.index("failed")]
    ends = [word for word in words if word.startswith("expires=")]
    return {"words": [word for word in words if word not in ends],
            "expires": ends[0][len("expires="):] if ends else None}


def ends(expires):
    """When an entry stops being a hit, by its attribute."""
    return float(expires) if expires[:1].isdigit() else float("inf")


def reservations(path):
    folder = path + "/.memofs/reservations"
    names = listed(attempt(os.listdir, folder))
    if not isinstance(names, list):
        return names
    found = {}
    for name in names[:MANY]:
        def read(name=name):
            with open(f"{folder}/{name}", encoding="utf-8") as text:
                return lease(text.read())
        found[name] = attempt(read)
    return found


class Look:
    def __init__(self, mount):
        self.mount, self.seen = mount, {}

    def note(self, path, whole=True):
        """The node at a path, unless it ends meanwhile; its mode, or None."""
        facts = {"at": time.time()}
        self.seen[path[len(self.mount):] or "/"] = facts
        end = ends(attribute(path, "user.cache.expires"))
        mode = self.node(path, whole, facts)
        if mode is not None and end <= time.time():
            facts["error"] = "it has ended"
        return mode

    def node(self, path, whole, facts):
        got = attempt(os.lstat, path)
        if isinstance(got, str):
            facts["error"] = got
            return None
        facts["stat"] = [got.st_ino, got.st_mode, got.st_nlink, got.st_uid, got.st_gid,
                         got.st_size, got.st_blocks]
        facts["times"] = [got.st_mtime_ns, got.st_ctime_ns]
        if stat.S_ISLNK(got.st_mode):
            facts["target"] = attempt(os.readlink, path)
        elif stat.S_ISREG(got.st_mode):
            facts["content"] = attempt(content, path, got.st_size)
        if whole:
            facts["attributes"] = attributes(path)
        return got.st_mode

    def walk(self, path, views=True):
        self.note(path)
        facts = self.seen[path[len(self.mount):] or "/"]
        kinds = attempt(lambda: {entry.name: (entry.is_dir(follow_symlinks=False),
                                              entry.is_symlink())
                                 for entry in os.scandir(path)})
        if isinstance(kinds, str):
            facts["names"] = kinds
            return
        facts["names"] = sorted(kinds)
        for at, name in enumerate(facts["names"]):
            below = f"{path}/{name}"
            if kinds[name][0]:
                self.walk(below, views)
                continue
            mode = self.note(below, at < MANY)
            assert mode is None or stat.S_ISLNK(mode) == kinds[name][1], below
        if views and os.path.isdir(path + "/.memofs"):
            self.controls(path, facts)

    def controls(self, path, facts):
        facts["reservations"] = reservations(path)
        versions = attempt(os.listdir, path + "/.memofs/versions")
        facts["versions"] = listed(versions)
        for version in versions if isinstance(versions, list) else []:
            self.walk(f"{path}/.memofs/versions/{version}", views=False)
        for view in VIEWS:
            below = f"{path}/.memofs/view/{view}"
            names = attempt(os.listdir, below)
            self.seen[below[len(self.mount):]] = {"at": time.time(), "names": listed(names)}
            for name in listed(names)[:MANY] if isinstance(names, list) else []:
                self.note(f"{below}/{name}")


# --- what may differ ----------------------------------------------------------------------


def ended(path, before, end):
    """Is it, or what it is in, to be missing at the end?"""
    while len(path) > 1:
        was = before.get(path, {})
        if "error" in was or ends(was.get("attributes", {}).get("expires", "")) <= end:
            return True
        path = path.rpartition("/")[0]
    return False


def lasting(facts, end):
    """Of the leases those that are still held, without their ends."""
    held = facts.get("reservations")
    if not isinstance(held, dict):
        return held
    return {name: got["words"] if isinstance(got, dict) else got for name, got in held.items()
            if not (isinstance(got, dict) and got["expires"] and float(got["expires"]) <= end)}


def shown(path, facts):
    """Of stat what a mount does not make up for itself."""
    if "stat" not in facts:
        return None
    ino, mode, *rest = facts["stat"]
    # Who may read a stream the read-only mount says in its mode; `content` shows it.
    if "/.memofs/view/pack" in path and stat.S_ISREG(mode):
        mode &= ~0o077
    return [ino if ino < VIRTUAL else VIRTUAL, mode, *rest]


def differences(before, now):
    end = time.time()
    for path in before.keys() | now.keys():
        was, is_now = before.get(path), now.get(path)
        if was is None:
            yield path, "is there, and was not"
        elif is_now is None or "error" in is_now:
            if not ended(path, before, end):
                yield path, f"is missing: {is_now}"
        elif ended(path, before, is_now["at"]):
            yield path, f"is there, and has ended: {was}"
        else:
            yield from different(path, was, is_now, before, end)


def different(path, was, is_now, before, end):
    for key in was.keys() | is_now.keys():
        a, b = was.get(key), is_now.get(key)
        if key == "at" or a == b:
            continue
        if key == "reservations":
            a, b = lasting(was, end), lasting(is_now, end)
        elif key == "stat":
            a, b = shown(path, was), shown(path, is_now)
        elif key == "attributes" and is_now.get("content") == "Permission denied":
            # Nor are attributes for who may not read, and of a stream it is in the mode.
            a = b if "/.memofs/view/pack" in path else a
        elif key == "names" and isinstance(a, list) and isinstance(b, list):
            a = [name for name in a if name in b or not ended(f"{path}/{name}", before, end)]
        if a != b:
            yield path, f"{key} was {a}, is {b}"


def main(argv):
    if int(argv[1]) != os.geteuid():
        os.setgroups([])
        os.setgid(int(argv[1]))
        os.setuid(int(argv[1]))
    look = Look(argv[2])
    look.walk(look.mount)
    if len(argv) == 3:
        json.dump(look.seen, sys.stdout)
        return 0
    with open(argv[3], encoding="utf-8") as noted:
        before = json.load(noted)
    found = sorted(differences(before, look.seen))
    for path, what in found[:40]:
        print(f"{path!r} {what}"[:600], file=sys.stderr)
    print(f"looked at {len(look.seen)} paths, {len(found)} differ", file=sys.stderr)
    return 1 if found or len(before) < 20 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
