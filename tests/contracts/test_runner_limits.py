"""An attempt keeps to its limits: by control groups where there are some, and by the watchdog where there are none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet.worker.interface import Limits, Outcome, Session, Transform
from pachlet.worker.process import ProcessRunner

MIB = 1 << 20
EAT = "import sys; x = bytearray(int(sys.argv[1]) << 20); print(len(x) >> 20)"
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module", params=["groups", "watchdog"])
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProcessRunner]:
    folder = tmp_path_factory.mktemp("code")
    runner = ProcessRunner(folder, folder / "envs", groups=request.param == "groups")
    try:
        if reason := runner.probe():
            pytest.skip(f"no sandbox on this machine: {reason}")
        if not os.path.exists(PYTHON):
            pytest.skip("the steps here are written for the system's own Python")
        if request.param == "groups" and not runner.means()["memory"].startswith("cgroup"):
            pytest.skip("no control group for memory can be had on this machine")
        yield runner
    finally:
        runner.close()


@pytest.fixture
def is_exact(runner: ProcessRunner) -> bool:
    """Whether the kernel keeps the limit, rather than someone who looks now and then."""
    return runner.means()["memory"].startswith("cgroup")


Open = Callable[..., Session]


@pytest.fixture
def open_session(runner: ProcessRunner, tmp_path: Path) -> Iterator[Open]:
    prepared = runner.prepare(runner.resolve("debian"), tmp_path / "snapshot", print)
    opened: list[None] = []
    with contextlib.ExitStack() as stack:

        def open_one(*cmd: str, **fields: Any) -> Session:
            limits = Limits(**{key: fields.pop(key) for key in list(fields) if key in Limits.__annotations__})
            transform = Transform("debian", cmd=cmd, limits=limits, **fields)
            opened.append(None)
            session = runner.open(prepared, transform, tmp_path / f"session-{len(opened)}", {})
            stack.callback(session.close)
            return session

        yield open_one


def run(session: Session, timeout: float = 60) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    return session.run({}, lines.append, timeout), lines


def test_more_memory_than_the_limit_ends_the_attempt_with_a_sentence(open_session: Open) -> None:
    outcome, _ = run(open_session(PYTHON, "-c", EAT, "400", memory=64 * MIB))
    assert not outcome.ok
    assert outcome.reason.startswith("killed: used more than its limit of 64 MiB of memory (peak ")


def test_the_sentence_names_the_limit_as_the_peak_where_the_kernel_keeps_it(
    open_session: Open, is_exact: bool
) -> None:
    if not is_exact:
        pytest.skip("a watchdog sees what is above the limit")
    outcome, _ = run(open_session(PYTHON, "-c", EAT, "400", memory=256 * MIB))
    assert outcome.reason == "killed: used more than its limit of 256 MiB of memory (peak 256 MiB)"


def test_less_memory_than_the_limit_is_no_matter(open_session: Open) -> None:
    outcome, lines = run(open_session(PYTHON, "-c", EAT, "64", memory=256 * MIB))
    assert (outcome.ok, lines) == (True, ["64"])
    assert outcome.peak_memory is not None
    assert 64 * MIB <= outcome.peak_memory < 200 * MIB


def test_the_peak_is_that_of_all_processes_together(open_session: Open) -> None:
    each = f"{PYTHON} -c 'import time; x = bytearray(60 << 20); print(1, flush=True); time.sleep(0.3)' & "
    outcome, _ = run(open_session("sh", "-c", each * 3 + "wait"))
    assert outcome.ok
    assert outcome.peak_memory is not None
    assert 180 * MIB <= outcome.peak_memory < 400 * MIB


def test_the_peak_is_that_of_this_attempt_not_of_the_one_before(open_session: Open) -> None:
    script = f"x=$(cat /pfs/in/f); exec {PYTHON} -c '{EAT}' $x"
    session = open_session("sh", "-c", script)
    peaks = []
    for number in ("200", "20"):
        session.clear()
        (session.pfs / "in").mkdir()
        (session.pfs / "in" / "f").write_text(number)
        peaks.append(run(session)[0].peak_memory)
    assert peaks[0] is not None
    assert peaks[1] is not None
    assert peaks[0] > 200 * MIB
    assert peaks[1] < 100 * MIB


def test_a_child_that_uses_too_much_ends_the_attempt_whose_parent_would_wait_for_ever(
    open_session: Open,
) -> None:
    hang = f"{PYTHON} -c '{EAT}; import time; time.sleep(1000)' 400; exec sleep 1000"
    outcome, _ = run(open_session("sh", "-c", hang, memory=64 * MIB))
    assert outcome.reason.startswith("killed: used more than its limit of 64 MiB of memory")


def test_files_in_memory_count_as_memory(open_session: Open) -> None:
    script = "head -c 400M /dev/zero > /dev/shm/x; sleep 1000"
    outcome, lines = run(open_session("sh", "-c", script + " & wait", memory=64 * MIB))
    assert not outcome.ok
    assert "memory" in outcome.reason or "No space left" in "\n".join(lines)


def test_a_memory_volume_is_in_memory_and_counts_as_that(open_session: Open) -> None:
    show = "stat -f -c %T /pfs/out /tmp"
    outcome, lines = run(open_session("sh", "-c", show, memory_volume=True))
    assert (outcome.ok, lines) == (True, ["tmpfs", "tmpfs"])
    assert run(open_session("sh", "-c", show))[1] != lines
    fill = "head -c 400M /dev/zero > /pfs/out/x; sleep 1000"
    outcome, _ = run(open_session("sh", "-c", fill, memory_volume=True, memory=64 * MIB))
    assert outcome.reason.startswith("killed: used more than its limit of 64 MiB of memory")


def test_close_leaves_no_memory_volume_behind(open_session: Open) -> None:
    session = open_session("touch", "/pfs/out/x", memory_volume=True)
    assert run(session)[0].ok
    folder = session.pfs.parent
    assert folder.is_relative_to("/dev/shm")
    session.close()
    assert not folder.exists()


# Disk


def test_many_files_past_the_limit_end_the_attempt(open_session: Open) -> None:
    script = "i=0; while :; do i=$((i+1)); head -c 1M /dev/zero > /pfs/out/$i; done"
    outcome, _ = run(open_session("sh", "-c", script, disk=20 * MIB))
    assert outcome.reason.startswith("killed: used more than its limit of 20 MiB of disk (")
    assert outcome.reason.endswith(" in /pfs/out and /tmp)")


@pytest.mark.parametrize("where", ["/pfs/out/x", "/tmp/x"])
def test_one_file_never_grows_past_the_limit(open_session: Open, where: str) -> None:
    session = open_session("sh", "-c", f"exec head -c 100M /dev/zero > {where}", disk=20 * MIB)
    outcome, _ = run(session)
    assert outcome.reason == "killed: a file grew past its limit of 20 MiB of disk"
    found = session.locate(where)
    assert found is not None
    assert Path(found).stat().st_size == 20 * MIB


def test_a_sparse_file_is_as_large_as_it_says(open_session: Open) -> None:
    outcome, _ = run(open_session("truncate", "-s", "1T", "/pfs/out/x", disk=20 * MIB))
    assert outcome.reason == "killed: a file grew past its limit of 20 MiB of disk"


def test_what_lies_in_a_closed_folder_counts_too(open_session: Open) -> None:
    script = "mkdir d; for i in 1 2 3; do head -c 15M /dev/zero > d/$i; done; chmod 0 d; exec sleep 1000"
    outcome, _ = run(open_session("sh", "-c", f"cd /pfs/out; {script}", disk=20 * MIB))
    assert outcome.reason.startswith("killed: used more than its limit of 20 MiB of disk (")


def test_what_was_deleted_and_is_still_open_counts_too(open_session: Open) -> None:
    hide = "".join(f"exec {n}>x; rm x; head -c 15M /dev/zero >&{n}; " for n in (3, 4, 5))
    outcome, _ = run(open_session("sh", "-c", f"cd /pfs/out; {hide} exec sleep 1000", disk=20 * MIB))
    assert outcome.reason.startswith("killed: used more than its limit of 20 MiB of disk (")


def test_what_was_removed_does_not_count(open_session: Open) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do head -c 9M /dev/zero > /tmp/x; rm /tmp/x; sleep 0.05; done"
    assert run(open_session("sh", "-c", script, disk=20 * MIB))[0].ok


# Processors and processes


BOMB = """
import os, signal
made = 0
while True:
    try:
        child = os.fork()
    except OSError as problem:
        print(made, problem.strerror)
        break
    if child == 0:
        signal.pause()
    made += 1
"""


def test_a_fork_bomb_ends_at_the_limit(open_session: Open) -> None:
    outcome, lines = run(open_session(PYTHON, "-c", BOMB, processes=100))
    if outcome.ok:
        made, said = lines[0].split(" ", 1)
        assert said == "Resource temporarily unavailable"
        assert 90 < int(made) <= 100
    else:
        assert outcome.reason == "killed: had more than its limit of 100 processes and threads"


def test_fewer_processes_than_the_limit_are_no_matter(open_session: Open) -> None:
    script = "for i in $(seq 50); do sleep 0.2 & done; wait; echo all"
    assert run(open_session("bash", "-c", script, processes=100))[1] == ["all"]


def test_a_processor_is_all_that_a_limit_of_one_gives(open_session: Open) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one processor")
    spin = "import time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass"
    script = f"for i in 1 2 3 4; do {PYTHON} -c '{spin}' & done; wait; times"
    _, lines = run(open_session("bash", "-c", script, cpu=1.0))
    minutes, seconds = lines[-1].split()[0].rstrip("s").split("m")
    assert float(minutes) * 60 + float(seconds) < 1.5


def test_half_a_processor_is_kept_by_control_groups(open_session: Open, is_exact: bool) -> None:
    if not is_exact:
        pytest.skip("affinity gives whole processors")
    spin = "import os, time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(os.times().user)"
    _, lines = run(open_session(PYTHON, "-c", spin, cpu=0.5))
    assert float(lines[0]) < 0.75


# Control groups come and go


def test_no_control_group_outlives_its_session_or_runner(tmp_path: Path) -> None:
    runner = ProcessRunner(tmp_path, tmp_path / "envs")
    if not runner.means()["memory"].startswith("cgroup"):
        runner.close()
        pytest.skip("no control group for memory can be had on this machine")
    prepared = runner.prepare(runner.resolve("debian"), tmp_path / "snapshot", print)
    session = runner.open(prepared, Transform("debian", cmd=("true",)), tmp_path / "session", {})
    assert session.run({}, print).ok
    bases = runner.launcher().groups.folders  # type: ignore[union-attr]
    assert all([each.name for each in base.iterdir() if each.is_dir()] for base in bases)
    session.close()
    assert not any([each.name for each in base.iterdir() if each.is_dir()] for base in bases)
    runner.close()
    assert not any(base.exists() for base in bases)
