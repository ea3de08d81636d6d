"""Progress is redrawn in place on a terminal and told in lines elsewhere."""

from __future__ import annotations

import io
import re
from typing import Any

from pachlet.cli.progress import Progress
from pachlet.wire import schema


class Clock:
    """A clock that moves a second at each look, so that every drawing is due."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 1.0
        return self.time


def job(name: str, state: str, done: int = 0, total: int = 4, reason: str = "") -> Any:
    return schema.message("pps_v2.JobInfo")(
        job={"id": "1", "pipeline": {"name": name, "project": {"name": "p"}}},
        state=state,
        data_processed=done,
        data_total=total,
        reason=reason,
    )


def test_lines_tell_only_what_happened() -> None:
    out = io.StringIO()
    progress = Progress(out, live=False, clock=Hand())
    progress.jobs([job("a", "JOB_CREATED"), job("b", "JOB_CREATED")])
    progress.jobs([job("a", "JOB_RUNNING"), job("b", "JOB_CREATED")])
    progress.jobs([job("a", "JOB_RUNNING", 2), job("b", "JOB_CREATED")])
    progress.jobs([job("a", "JOB_SUCCESS", 4), job("b", "JOB_FAILURE", 1, reason="datum x failed")])
    progress.jobs([job("a", "JOB_SUCCESS", 4), job("b", "JOB_FAILURE", 1, reason="datum x failed")])
    progress.close()
    assert out.getvalue().splitlines() == [
        "p/a: running",
        "p/a: success (processed 4, skipped 0, failed 0 of 4)",
        "p/b: failure: datum x failed (processed 1, skipped 0, failed 0 of 4)",
    ]


def test_a_line_in_a_long_job_tells_how_many_datums_are_done() -> None:
    out = io.StringIO()
    clock = Hand()
    progress = Progress(out, live=False, clock=clock)
    jobs = [job("a", "JOB_SUCCESS", 4), job("b", "JOB_RUNNING", 1), job("c", "JOB_CREATED")]
    progress.jobs(jobs)
    clock.now = 60.0
    progress.jobs(jobs)
    assert out.getvalue().splitlines()[-1] == "1 of 3 jobs over, after about a minute; b: 1 of 4 datums"


def test_live_display_erases_exactly_what_it_drew() -> None:
    out = io.StringIO()
    progress = Progress(out, live=True, clock=Clock())
    progress.jobs([job("a", "JOB_RUNNING", 2), job("longer", "JOB_CREATED")])
    first = out.getvalue()
    assert first.splitlines()[:2] == [
        "a      ▇▇▇▇▇▇▇▇▇▇░░░░░░░░░░ processed 2, skipped 0, failed 0 of 4  running",
        "longer ░░░░░░░░░░░░░░░░░░░░ processed 0, skipped 0, failed 0 of 4  waiting",
    ]
    progress.line("said")
    assert out.getvalue() == first + "\x1b[3A\x1b[Jsaid\n"
    progress.close()
    assert out.getvalue() == first + "\x1b[3A\x1b[Jsaid\n"


def test_live_display_keeps_unfinished_jobs_in_sight() -> None:
    out = io.StringIO()
    progress = Progress(out, live=True, clock=Clock(), lines=2)
    progress.jobs([*(job(f"done{n}", "JOB_SUCCESS", 4) for n in range(5)), job("busy", "JOB_RUNNING")])
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["busy", "done0", "5"]


def test_drawing_too_often_is_left_out() -> None:
    out = io.StringIO()
    progress = Progress(out, live=True, clock=lambda: 1.0)
    progress.jobs([job("a", "JOB_RUNNING")])
    drawn = out.getvalue()
    progress.jobs([job("a", "JOB_RUNNING", 3)])
    assert out.getvalue() == drawn


def test_bytes_are_shown_live_with_their_share_and_rate() -> None:
    out = io.StringIO()
    advance = Progress(out, live=True, clock=Clock()).bytes("put", 2048)
    advance(1024)
    advance(1024)
    shown = out.getvalue().split("\x1b[1A\x1b[J")
    assert shown[0].startswith("put ▇▇▇▇▇▇▇▇▇▇░░░░░░░░░░ 1KiB of 2KiB, ")
    assert shown[1].startswith("put ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 2KiB of 2KiB, ")


def test_time_left_is_told_once_the_size_is_known() -> None:
    out = io.StringIO()
    total: list[int] = []
    advance = Progress(out, live=True, clock=Clock()).bytes("put", lambda: total[0] if total else None)
    advance(1024)
    total.append(1 << 20)
    advance(1024)
    advance(total[0] - 2048)
    shown = out.getvalue().split("\x1b[1A\x1b[J")
    assert shown[0].startswith("put 1KiB, ")
    assert re.fullmatch(r"put ░{20} 2KiB of 1MiB, \d+B/s, (\d+) minutes left\n", shown[1])
    assert "left" not in shown[2]


def test_nothing_is_silent_for_long_without_a_terminal() -> None:
    out, clock = io.StringIO(), Hand()
    progress = Progress(out, live=False, clock=clock)
    advance = progress.bytes("put", 40)
    for number in range(1, 41):
        clock.now = number / 2
        advance(1)
    told = out.getvalue().splitlines()
    assert told[0].startswith("put ")
    assert "4B of 40B" in told[0]  # after two seconds, then more rarely
    assert len(told) == 4
    progress.line("news")
    progress.step("still at it")
    assert out.getvalue().splitlines()[-1] == "news"
    clock.now += 31
    progress.step("still at it")
    assert out.getvalue().splitlines()[-1] == "still at it"


def test_job_that_is_stuck_is_told_once_with_what_it_waits_for() -> None:
    out, clock = io.StringIO(), Hand()
    progress = Progress(out, live=False, clock=clock)
    stuck = job("a", "JOB_STARTING", reason="waiting for a free worker (1 of 1 busy with p/b)")
    turn = job("c", "JOB_CREATED", reason="waiting for job x of p/a")
    for number in range(8):
        clock.now = number / 2
        progress.jobs([stuck, turn])
    assert out.getvalue().splitlines() == [
        "p/a: waiting: for a free worker (1 of 1 busy with p/b)",
    ]


def test_job_that_has_begun_may_wait_again() -> None:
    out, clock = io.StringIO(), Hand()
    progress = Progress(out, live=False, clock=clock)
    rest = job("a", "JOB_RUNNING", 1, reason="waiting for a free worker (2 of 2 busy with p/b)")
    for number in range(8):
        clock.now = number / 2
        progress.jobs([rest])
    progress.jobs([job("a", "JOB_RUNNING", 1)])
    assert out.getvalue().splitlines() == [
        "p/a: waiting: for a free worker (2 of 2 busy with p/b)",
        "p/a: running",
    ]
    shown = Progress(io.StringIO(), live=True, clock=Clock())
    assert shown._live_line(rest, 1).endswith("  waiting: for a free worker (2 of 2 busy with p/b)")


def test_a_job_that_has_no_datums_yet_tells_what_it_does() -> None:
    out = io.StringIO()
    clock = Hand()
    progress = Progress(out, live=False, clock=clock)
    jobs = [job("a", "JOB_RUNNING", 0, 0, "installing 14 pinned requirements")]
    progress.jobs(jobs)
    clock.now = 60.0
    progress.jobs(jobs)
    assert out.getvalue().splitlines() == [
        "p/a: running: installing 14 pinned requirements",
        "0 of 1 jobs over, after about a minute; a: installing 14 pinned requirements",
    ]
    assert progress._live_line(jobs[0], 1).endswith("  running: installing 14 pinned requirements")


def test_summary_says_that_its_time_is_what_went_by() -> None:
    out, clock = io.StringIO(), Hand()
    progress = Progress(out, live=False, clock=clock)
    clock.now = 60.0
    progress.jobs([job("a", "JOB_CREATED"), job("b", "JOB_CREATED")])
    assert out.getvalue() == "0 of 2 jobs over, after about a minute\n"


class Hand:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_bytes_are_silent_without_a_terminal() -> None:
    out = io.StringIO()
    Progress(out, live=False).bytes("put", 10)(10)
    assert out.getvalue() == ""
