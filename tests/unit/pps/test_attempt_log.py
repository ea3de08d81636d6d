"""The limit on what one attempt may print into the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.clock import FakeClock
from pachlet.pps import logbook
from pachlet.pps.logbook import AttemptLog, Source


class Written:
    """Stands in for the logbook: what reached it, as (is_user, text, time)."""

    def __init__(self) -> None:
        self.lines: list[tuple[bool, str, int | None]] = []

    def user(self, source: Source, message: str, time: int | None = None) -> None:
        self.lines.append((True, message, time))

    def worker(self, source: Source, message: str) -> None:
        self.lines.append((False, message, None))

    def of_user(self) -> list[str]:
        return [text for is_user, text, _ in self.lines if is_user]


def printed(lines: list[str]) -> list[str]:
    written: Any = Written()
    log = AttemptLog(written, FakeClock(), Source(1, "j", "d"))
    for line in lines:
        log.add(line)
    log.end()
    return list(written.of_user())


def test_up_to_the_limits_all_is_kept() -> None:
    lines = [str(number) for number in range(20_000)]
    assert printed(lines) == lines
    halves = ["é" * (1 << 18)] * 2  # 1 MiB and two newlines
    assert printed(halves) == halves


def test_of_many_lines_the_first_and_last_are_kept() -> None:
    lines = [f"{number:06}" for number in range(100_000)]
    kept = printed(lines)
    assert kept[:10_000] == lines[:10_000]
    assert kept[10_000] == "… 80000 lines (560000 bytes) left out"
    assert kept[10_001:] == lines[-10_000:]


@given(st.lists(st.text(max_size=12), max_size=60))
def test_what_is_kept_is_bounded_and_adds_up(lines: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logbook, "_KEPT_SIZE", 40)
        patch.setattr(logbook, "_KEPT_LINES", 5)
        kept = printed(lines)
    note = [number for number, text in enumerate(kept) if text.endswith("left out") and text not in lines]
    if not note:
        assert kept == lines
        return
    (at,) = note
    first, last = kept[:at], kept[at + 1 :]
    left_out = lines[len(first) : len(lines) - len(last)]
    assert lines == [*first, *left_out, *last]
    size = sum(len(line.encode()) + 1 for line in left_out)
    assert kept[at] == f"… {len(left_out)} lines ({size} bytes) left out"
    for part in (first, last):
        assert len(part) <= 5
        assert sum(len(line.encode()) + 1 for line in part) <= 40 + 49 * (len(part) == 1)


def test_the_last_lines_keep_their_times_and_their_coming_is_told() -> None:
    written: Any = Written()
    clock = FakeClock()
    log = AttemptLog(written, clock, Source(1, "j", "d"))
    for number in range(10_001):
        log.add(str(number))
    assert [(is_user, text) for is_user, text, _ in written.lines[9_999:]] == [
        (True, "9999"),
        (False, "user code prints much: what follows is shown when it ends, and only its last part"),
    ]
    before = clock.now()
    log.end()
    (_, text, time) = written.lines[-1]
    assert text == "10000"
    assert time is not None
    assert time < before


def test_a_batch_for_the_database_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    batches: list[int] = []

    class Database:
        def write(self) -> Any:
            return self

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *problem: object) -> None:
            pass

        def many(self, statement: str, lines: list[Any]) -> None:
            batches.append(len(lines))

    database: Any = Database()
    book = logbook.Logbook(database, FakeClock())
    for _ in range(100):
        book.user(Source(1, "j"), "x" * (1 << 16))
    book.close()
    assert sum(batches) == 100
    assert max(batches) <= 16
