"""What an attempt leaves behind in a sandbox that serves the next one is gone, and nobody can spoil it for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pachlet.worker.interface import Outcome, Session, Transform
from pachlet.worker.process import ProcessRunner

PYTHON = "/usr/bin/python3"
CALLS = """
import ctypes, os, resource, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
def number(*each):
    return tuple(ctypes.c_long(n) if isinstance(n, int) else n for n in each)
"""
LEAVE_AND_LOOK = {
    "files in memory": ("open('/dev/shm/x', 'w').write('x')", "print(os.listdir('/dev/shm'))", "[]"),
    "permissions of /dev/shm": (
        "os.chmod('/dev/shm', 0)",
        "print(oct(os.stat('/dev/shm').st_mode & 0o7777))",
        "0o1777",
    ),
    "files in /tmp": ("open('/tmp/x', 'w').write('x')", "print(os.listdir('/tmp'))", "[]"),
    "memory shared by a key": (
        "assert libc.shmget(77, 100, 0o1600) >= 0",
        "print(libc.shmget(77, 0, 0))",
        "-1",
    ),
    "a queue with a key": ("assert libc.msgget(77, 0o1600) >= 0", "print(libc.msgget(77, 0))", "-1"),
    "processes": (
        "os.fork() or (os.setsid(), signal.pause())",
        "print([each for each in os.listdir('/proc') if each.isdigit() and int(each) not in (1, os.getpid())])",
        "[]",
    ),
    "a listening socket": (
        "import socket; s = socket.create_server(('127.0.0.1', 4000)); os.fork() or signal.pause()",
        "import socket; print(bool(socket.create_server(('127.0.0.1', 4000))))",
        "True",
    ),
    "limits of process 1": (
        "resource.prlimit(1, resource.RLIMIT_FSIZE, (0, 0)); resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))",
        "print(resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0 and open('/pfs/out/x', 'w').write('x'))",
        "1",
    ),
    "signals to process 1": (
        "for each in range(1, 65):\n    if each not in (32, 33): os.kill(1, each)",
        "print('still here')",
        "still here",
    ),
}


@pytest.fixture(scope="module")
def open_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Session]]:
    folder = tmp_path_factory.mktemp("leftovers")
    runner = ProcessRunner(folder, folder / "envs")
    if reason := runner.probe():
        pytest.skip(f"no sandbox on this machine: {reason}")
    if not Path(PYTHON).exists():
        pytest.skip("the steps here are written for the system's own Python")
    prepared = runner.prepare(runner.resolve("debian"), folder / "snapshot", print)
    opened: list[Session] = []

    def open_one() -> Session:
        cmd = ("sh", "-c", f"exec {PYTHON} - < /pfs/in")
        session = runner.open(prepared, Transform("debian", cmd=cmd), folder / str(len(opened)), {})
        opened.append(session)
        return session

    yield open_one
    for each in opened:
        each.close()
    runner.close()


def give(session: Session, script: str) -> tuple[Outcome, list[str]]:
    session.clear()
    (session.pfs / "in").write_text(CALLS + script)
    lines: list[str] = []
    return session.run({}, lines.append, 60), lines


@pytest.mark.parametrize("what", LEAVE_AND_LOOK)
def test_nothing_of_an_attempt_is_there_for_the_next(open_session: Callable[[], Session], what: str) -> None:
    leave, look, expected = LEAVE_AND_LOOK[what]
    session = open_session()
    assert give(session, leave)[0].ok
    outcome, lines = give(session, look)
    assert (outcome.ok, lines) == (True, [expected])


def test_what_is_left_is_seen_while_it_is_there(open_session: Callable[[], Session]) -> None:
    """Shows that the looks above can see something."""
    session = open_session()
    for leave, look, expected in LEAVE_AND_LOOK.values():
        if look.startswith("print(os.listdir") or "get(77" in look:
            assert give(session, f"{leave}\n{look}")[1] != [expected]


def test_attempts_follow_one_another_under_the_same_guard(open_session: Callable[[], Session]) -> None:
    session = open_session()
    inodes = {give(session, "print(os.stat('/proc/self/ns/mnt').st_ino)")[1][0] for _ in range(3)}
    assert len(inodes) == 1


def test_a_step_holds_no_descriptor_of_the_guard(open_session: Callable[[], Session]) -> None:
    session = open_session()
    for _ in range(2):
        assert give(session, "print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")[1] == ["[0, 1, 2]"]


def test_a_step_can_do_nothing_to_the_guard_but_what_is_noticed(open_session: Callable[[], Session]) -> None:
    session = open_session()
    script = """
def try_out(what, *more):
    try:
        what(*more)
        print(what, more)
    except PermissionError:
        pass
print(libc.syscall(*number(101 if os.uname().machine == 'x86_64' else 117, 16, 1, 0, 0)))
for name in ("environ", "mem", "root/pfs/in"):
    try_out(open, f"/proc/1/{name}")
try_out(os.readlink, "/proc/1/fd/3")
try_out(os.setpriority, os.PRIO_PROCESS, 1, 19)
try_out(os.sched_setaffinity, 1, {min(os.sched_getaffinity(0))})
try_out(os.sched_setscheduler, 1, os.SCHED_BATCH, os.sched_param(0))
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
"""
    assert give(session, script)[1] == ["-1", "0" * 16]
