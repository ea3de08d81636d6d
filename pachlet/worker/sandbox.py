"""Shut the calling process into a root of its own, from the inside.

Runs in the launcher's children only, right after they were cloned into new namespaces, so it is
single-threaded, uses the standard library alone and talks to the kernel directly. A user namespace is always
made, also for root: the same code serves everyone, the step may be shown any user id, and nothing it does can
need a privilege of the machine. Every mount is read-only but /tmp, /dev/shm and /pfs/out, /proc too: root
without any capability can still write to parts of /proc/sys that belong to the whole machine. All
capabilities are dropped, also from the bounding set, because with them a step can mount its inputs writable
again (measured: root in plain bubblewrap does).

Read next: launcher.py (who calls this), machine.py (who chooses the mounts).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SYS_MOUNT_SETATTR = 442  # the same on every architecture; glibc has a wrapper only since 2.36
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 4, 24, 36
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_LAST_CAPABILITY = 63
_CAP_HEADER = struct.pack("Ii", 0x20080522, 0)
HIDDEN = (
    "iomem kcore keys kmsg kpagecgroup kpagecount kpageflags latency_stats sched_debug slabinfo timer_list timer_stats "
    "vmallocinfo"
)
"""Files of /proc that tell of the kernel or of every process of the machine. A server of root's runs steps as root."""
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


class SandboxError(Exception):
    """The kernel refused a part of the sandbox; the message says which part and why."""


@dataclass
class Root:
    """What a step's root folder is made of. Sources are paths of the machine, targets those of the step."""

    at: str
    """A folder of the machine in which every target is there, as an empty folder or file."""
    binds: list[tuple[str, str]]
    """(source, target), shown read-only, in this order."""
    below_tmp: list[tuple[str, str]]
    """The same, for targets in /tmp, which the step can write to: their places are made there."""
    writable: list[tuple[str, str]]
    in_memory: list[str]
    """Folders that are file systems in memory, for this attempt alone."""
    in_memory_size: str
    """How much they may hold, as mount options; none is half of the machine's memory."""
    uid: int
    """Who the step is, as it sees itself; on the machine it is the server's user."""
    gid: int


def enter(root: Root, owner: tuple[int, int], secrets: Mapping[str, bytes]) -> None:
    """Make `root` the root of this process; `owner` is the user and group that it had before the clone.

    `secrets` are files by path, shown in file systems of their own that are nowhere but in memory.
    """
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{root.uid} {owner[0]} 1")
    _write("/proc/self/gid_map", f"{root.gid} {owner[1]} 1")
    socket.sethostname("pachlet")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount(root.at, root.at, None, _MS_BIND)
    for source, target in root.binds:
        _mount(source, root.at + target, None, _MS_BIND | _MS_REC)
    _mount("proc", root.at + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    for name in HIDDEN.split():
        if os.path.exists(f"{root.at}/proc/{name}"):
            _mount("/dev/null", f"{root.at}/proc/{name}", None, _MS_BIND)
    # No user namespaces inside: they would give back, within them, the privileges that are dropped below.
    _write(root.at + "/proc/sys/user/max_user_namespaces", "0")
    _set_attributes(root.at, _ATTR_RDONLY | _ATTR_NOSUID)
    _show_memory(root, root.at)
    for source, target in root.writable:
        _mount(source, root.at + target, None, _MS_BIND | _MS_REC)
        _set_attributes(root.at + target, _ATTR_NOSUID | _ATTR_NODEV)
    for source, target in root.below_tmp:
        _make_place(source, root.at + target)
        _mount(source, root.at + target, None, _MS_BIND | _MS_REC)
        _set_attributes(root.at + target, _ATTR_RDONLY | _ATTR_NOSUID)
    _show_secrets(root.at, secrets)
    os.chdir(root.at)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def _show_memory(root: Root, at: str) -> None:
    for folder in root.in_memory:
        _mount("tmpfs", at + folder, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode=1777{root.in_memory_size}")


def _show_secrets(at: str, secrets: Mapping[str, bytes]) -> None:
    folders = sorted({os.path.dirname(path) for path in secrets})
    for folder in folders:
        os.makedirs(at + folder, exist_ok=True)
        _mount("tmpfs", at + folder, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "mode=0700,size=4m")
    for path, value in secrets.items():
        descriptor = os.open(at + path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with open(descriptor, "wb") as file:
            file.write(value)
    for folder in folders:
        _set_attributes(at + folder, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)


def renew(root: Root) -> None:
    """Take from the next step what the one before may have left in the kernel; no process of it is there any more.

    Files in memory, and what processes share by System V's and POSIX' names.
    """
    _check(_libc.unshare(CLONE_NEWIPC), "unshare of IPC")
    for folder in root.in_memory:
        _check(_libc.umount2(_bytes(folder), _MNT_DETACH), f"umount of {folder}")
    _show_memory(root, "")


def raise_loopback() -> None:
    """Switch on `lo` in a network namespace that was just made."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def open_low_ports() -> None:
    """Let everyone use the ports below 1024 in a network namespace that was just made; call it before `enter`.

    Images are made for container engines, which allow that as well: a web server in one listens on port 80.
    """
    _write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")


def renounce_for_children() -> None:
    """See to it that whatever this process starts has no capability, for good; be out of reach for its debugger.

    This process keeps its own, to renew what its next step is shown: they end with `exec`, as there is none in the
    bounding set any more and none to be inherited.
    """
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clearing ambient capabilities")
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # this kernel knows no more of them
    held = ctypes.create_string_buffer(24)
    _check(_libc.capget(_CAP_HEADER, held), "asking for capabilities")
    effective, permitted, _, more_effective, more_permitted, _ = struct.unpack("6I", held.raw)
    kept = struct.pack("6I", effective, permitted, 0, more_effective, more_permitted, 0)
    _check(_libc.capset(_CAP_HEADER, kept), "leaving no capability to others")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "being undumpable")


def drop_privileges() -> None:
    """Give up every capability of this process itself."""
    _check(_libc.capset(_CAP_HEADER, bytes(24)), "dropping capabilities")


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel to send this process a signal when the thread that made it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "set the parent's death signal")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become a subreaper")


def _make_place(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    result = _libc.mount(_bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(data))
    _check(result, f"mount of {source or 'nothing'} on {target}")


def _set_attributes(path: str, attributes: int) -> None:
    record = struct.pack("QQQQ", attributes, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(_bytes(path)),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.c_char_p(record),
        ctypes.c_size_t(len(record)),
    )
    _check(result, f"mount_setattr of {path} (needs Linux 5.12)")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise SandboxError(f"{what}: {os.strerror(ctypes.get_errno())}")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as problem:
        raise SandboxError(f"write to {path}: {problem.strerror}") from None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)
