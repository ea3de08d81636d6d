"""Tables, times, sizes and bars look as pachctl's do."""

from __future__ import annotations

from argparse import Namespace

import pytest

from pachlet.cli.output import Table, bar, human_duration, in_full, show_list, size, when
from pachlet.cli.session import Session
from pachlet.wire import schema


@pytest.mark.parametrize(
    "count, shown",
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (1234, "1.205KiB"),
        (5_891, "5.753KiB"),
        (1024**2 * 3 // 2, "1.5MiB"),
        (1024**3 * 999, "999GiB"),
        (1024**4 * 1000, "1000TiB"),
    ],
)
def test_size_has_four_digits_and_binary_units(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    "seconds, shown",
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (3600 * 47, "47 hours"),
        (3600 * 24 * 2, "2 days"),
        (3600 * 24 * 13, "13 days"),
        (3600 * 24 * 14, "2 weeks"),
        (3600 * 24 * 90, "3 months"),
        (3600 * 24 * 365 * 3, "3 years"),
    ],
)
def test_durations_are_said_in_words(seconds: float, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_table_aligns_columns_and_ignores_colours_and_wide_letters(session: Session) -> None:
    table = Table(session, "NAME", "STATE", "NOTE")
    table.add("a", "\x1b[32mok\x1b[0m", "x")
    table.add("日本", "running", "y")
    table.show()
    assert session.out.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "NAME STATE   NOTE",
        "a    \x1b[32mok\x1b[0m      x",
        "日本 running y",
    ]


def test_table_keeps_a_row_on_its_line(session: Session) -> None:
    table = Table(session, "REASON")
    table.add("two\nlines")
    table.show()
    assert session.out.getvalue() == "REASON\ntwo lines\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "good, waiting, bad, cells",
    [(4, 0, 0, "▇▇▇▇▇▇▇▇"), (1, 1, 0, "▇▇▇▇░░░░"), (999, 0, 1, "▇▇▇▇▇▇▇▇"), (0, 0, 0, "        ")],
)
def test_bar_shows_shares(session: Session, good: int, waiting: int, bad: int, cells: str) -> None:
    assert bar(session, good, waiting, bad) == cells


def test_bar_ends_red_after_any_failure(terminal: Session) -> None:
    assert bar(terminal, 999, 0, 1).endswith("\x1b[31m▇\x1b[0m")


def test_times_in_full_and_missing() -> None:
    stamp = schema.message("google.protobuf.Timestamp")(seconds=1_700_000_000)
    assert in_full(stamp) == "2023-11-14T22:13:20Z"
    assert when(Namespace(full_timestamps=True), stamp) == "2023-11-14T22:13:20Z"
    assert when(Namespace(full_timestamps=False), stamp).endswith(" ago")
    assert when(Namespace(full_timestamps=False), type(stamp)()) == "-"


@pytest.mark.parametrize(
    "form, expected",
    [
        ("json", '{\n  "name": "a",\n  "type": "user"\n}\n'),
        ("yaml", "---\nname: a\ntype: user\n"),
    ],
)
def test_raw_shows_the_servers_answer(session: Session, form: str, expected: str) -> None:
    repo = schema.message("pfs_v2.Repo")(name="a", type="user")
    arguments = Namespace(raw=False, output=form)
    show_list(session, arguments, [repo], ("NAME",), lambda message: (message.name,))
    assert session.out.getvalue() == expected  # type: ignore[attr-defined]
