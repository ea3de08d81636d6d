"""Take system calls away from the calling process and all that it will start, for good.

A step has namespaces of its own and no capability, and most calls come to nothing by that. What is taken away here is
what neither of them stops: the kernel's log where everyone may read it; keys, for which the machine would start a
program outside of the sandbox; rings of requests, page faults, processor events and programs for the kernel, in which
most ways out of sandboxes were found; sockets to the hypervisor, which belong to no network namespace; typing on a
terminal that somebody else reads.

The filter is a program for the kernel's own little machine (seccomp). Set once for a sandbox, it is run for each call
of a step, which costs tens of nanoseconds. Programs learn that there is no such call, as on an older kernel.

Read next: sandbox.py (the other walls), guard.py (who asks for this one).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pachlet.worker.sandbox import SandboxError

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ARGUMENTS = 16
"""Where these lie in what a filter looks at; each argument has 8 bytes, of which all that is looked at has 4."""
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_FILTER, _WITHOUT_SLOWING_DOWN = 1, 4

_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_NETLINK", 16))
_TYPING = (0x5412, 0x541C)
"""TIOCSTI, and TIOCLINUX, which pastes."""
_RINGS = (425, 426, 427)
_X32 = 0x40000000


@dataclass(frozen=True)
class _Calls:
    """The numbers of calls on one architecture, which has a number itself."""

    architecture: int
    absent: tuple[int, ...]
    """syslog, add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd; 32 bits have socketcall as well."""
    socket: int
    ioctl: int
    least_absent: int = _X32
    """From here on there is none."""


_X86 = _Calls(0xC000003E, (103, 248, 249, 250, 298, 321, 323), socket=41, ioctl=16)
_X86_OF_32_BITS = _Calls(0x40000003, (103, 286, 287, 288, 336, 357, 374, 102), socket=359, ioctl=54)
_ARM = _Calls(0xC00000B7, (116, 217, 218, 219, 241, 280, 282), socket=198, ioctl=29)
_RISCV = _Calls(0xC00000F3, (116, 217, 218, 219, 241, 280, 282), socket=198, ioctl=29)
_KINDS = {"x86_64": (_X86, _X86_OF_32_BITS), "aarch64": (_ARM,), "riscv64": (_RISCV,)}
_SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277}


def take_away() -> None:
    """Set the filter; it needs no privilege, but that this process can gain none (PR_SET_NO_NEW_PRIVS).

    Raises:
        SandboxError: this kernel has no filters, or there is none for this machine.
    """
    machine = os.uname().machine
    program = make_filter(kinds_of(machine))
    held = ctypes.create_string_buffer(program, len(program))
    record = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(_SECCOMP[machine]),
        ctypes.c_long(_SET_FILTER),
        ctypes.c_long(_WITHOUT_SLOWING_DOWN),
        record,
    )
    if result != 0:
        raise SandboxError(f"a filter of system calls: {os.strerror(ctypes.get_errno())}")


def kinds_of(machine: str) -> tuple[_Calls, ...]:
    """Return the kinds of programs that a machine runs.

    Raises:
        SandboxError: the numbers of its calls are not known here.
    """
    if machine not in _KINDS:
        raise SandboxError(
            f"a filter of system calls: there is none for {machine}, only for {', '.join(_KINDS)}"
        )
    return _KINDS[machine]


def make_filter(kinds: Iterable[_Calls]) -> bytes:
    """Return the filter's program: for each kind its rules, and programs of any other kind can do nothing."""
    cases = b"".join(_if(_EQUAL, each.architecture, _rules(each)) for each in kinds)
    return _load(_ARCHITECTURE) + cases + _fail(errno.ENOSYS)


def _rules(calls: _Calls) -> bytes:
    found = _load(_NUMBER) + _if(_AT_LEAST, calls.least_absent, _fail(errno.ENOSYS))
    for each in (*calls.absent, *_RINGS):
        found += _if(_EQUAL, each, _fail(errno.ENOSYS))
    found += _if(_EQUAL, calls.socket, _only(0, _FAMILIES, _fail(errno.EAFNOSUPPORT)))
    found += _if(_EQUAL, calls.ioctl, _all_but(1, _TYPING, _fail(errno.EPERM)))
    return found + _allow()


def _only(argument: int, allowed: Iterable[int], otherwise: bytes) -> bytes:
    cases = b"".join(_if(_EQUAL, each, _allow()) for each in allowed)
    return _load(_ARGUMENTS + 8 * argument) + cases + otherwise


def _all_but(argument: int, refused: Iterable[int], otherwise: bytes) -> bytes:
    cases = b"".join(_if(_EQUAL, each, otherwise) for each in refused)
    return _load(_ARGUMENTS + 8 * argument) + cases + _allow()


def _if(compare: int, value: int, then: bytes) -> bytes:
    """Do `then`, which must end in an answer, where what was loaded compares so; go on after it elsewhere."""
    return _jump(compare, value, 0, len(then) // 8) + then


def _jump(compare: int, value: int, if_so: int, if_not: int) -> bytes:
    return struct.pack("HBBI", compare, if_so, if_not, value)


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", _LOAD, 0, 0, offset)


def _allow() -> bytes:
    return struct.pack("HBBI", _RETURN, 0, 0, _ALLOW)


def _fail(number: int) -> bytes:
    return struct.pack("HBBI", _RETURN, 0, 0, _FAIL | number)
