"""The filter of system calls: what it says of each call on each kind of machine, and that the kernel heeds it."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence

import pytest

from pachlet.worker import syscalls
from pachlet.worker.sandbox import SandboxError

X86, X86_OF_32_BITS, ARM, RISCV = 0xC000003E, 0x40000003, 0xC00000B7, 0xC00000F3
ALLOWED = 0


def judge(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """Run the filter as the kernel would; return the error of a call, or 0."""
    looked_at = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = syscalls.make_filter(syscalls.kinds_of(machine))
    rules: Sequence[tuple[int, int, int, int]] = list(struct.iter_unpack("=HBBI", program))
    at = loaded = 0
    while True:
        code, if_so, if_not, value = rules[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", looked_at, value)
        elif code == 0x06:
            assert value == 0x7FFF0000 or value >> 16 == 0x0005
            return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value}[code]
            at += if_so if holds else if_not


@pytest.mark.parametrize(
    "machine, architecture, taken_away, left",
    [
        ("x86_64", X86, (103, 248, 249, 250, 298, 321, 323, 425, 426, 427), (0, 1, 59, 101, 165, 435)),
        ("x86_64", X86_OF_32_BITS, (102, 103, 286, 287, 288, 336, 357, 374, 425), (3, 4, 11, 21, 298)),
        ("aarch64", ARM, (116, 217, 218, 219, 241, 280, 282, 425, 426, 427), (63, 64, 221, 103, 435)),
        ("riscv64", RISCV, (116, 217, 218, 219, 241, 280, 282, 425, 426, 427), (63, 64, 221, 103, 435)),
    ],
)
def test_the_calls_that_are_taken_away_are_not_there_and_others_are(
    machine: str, architecture: int, taken_away: Sequence[int], left: Sequence[int]
) -> None:
    assert {judge(machine, architecture, each) for each in taken_away} == {errno.ENOSYS}
    assert {judge(machine, architecture, each) for each in left} == {ALLOWED}


@pytest.mark.parametrize(
    "machine, architecture, number",
    [("x86_64", X86, 41), ("x86_64", X86_OF_32_BITS, 359), ("aarch64", ARM, 198), ("riscv64", RISCV, 198)],
)
def test_a_socket_is_of_a_family_that_a_network_namespace_holds(
    machine: str, architecture: int, number: int
) -> None:
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16):
        assert judge(machine, architecture, number, family) == ALLOWED
    for family in (40, 38, 17, 44, 31):
        assert judge(machine, architecture, number, family) == errno.EAFNOSUPPORT


def test_nobody_types_on_a_terminal_but_it_may_be_asked() -> None:
    assert judge("x86_64", X86, 16, 0, 0x5412) == errno.EPERM
    assert judge("x86_64", X86, 16, 0, 0x5412 | 7 << 32) == errno.EPERM  # the kernel looks at half of it
    assert judge("x86_64", X86, 16, 0, 0x5413) == ALLOWED


def test_programs_of_another_kind_can_do_nothing() -> None:
    assert judge("x86_64", X86, 0x40000000 | 1) == errno.ENOSYS
    assert judge("aarch64", 0x40000028, 4) == errno.ENOSYS


SET_AND_TRY = """
import ctypes, os, socket
from pachlet.worker.syscalls import take_away
libc = ctypes.CDLL(None, use_errno=True)
def try_syslog():
    libc.syscall(ctypes.c_long({syslog}), ctypes.c_long(10), None, ctypes.c_long(0))
    return ctypes.get_errno()
before = try_syslog()
libc.prctl(38, 1, 0, 0, 0)
take_away()
socket.socket().close()
try:
    socket.socket(17, socket.SOCK_RAW)
except OSError as problem:
    print(before, try_syslog(), problem.errno)
"""


def test_the_kernel_heeds_it() -> None:
    syslog = 103 if os.uname().machine == "x86_64" else 116
    command = [sys.executable, "-c", SET_AND_TRY.format(syslog=syslog)]
    before, after, family = map(int, subprocess.run(command, capture_output=True, check=True).stdout.split())
    assert (after, family) == (errno.ENOSYS, errno.EAFNOSUPPORT)
    assert before != errno.ENOSYS


def test_a_machine_without_a_filter_is_told_by_name() -> None:
    with pytest.raises(SandboxError, match="there is none for s390x, only for x86_64, aarch64, riscv64"):
        syscalls.kinds_of("s390x")
