"""Tables, times, sizes and bars look as pachctl's do."""

from __future__ import annotations

import io
from argparse import Namespace

import pytest

from pachlet.cli.output import Table, bar, human_duration, in_full, show_list, size, when
from pachlet.cli.session import Session
from pachlet.wire import schema


def printed(session: Session) -> str:
    """Return what a test's session has printed."""
    assert isinstance(session.out, io.StringIO)
    return session.out.getvalue()


INPUT = "(a:/* ⨯ b:/(*).json ⨯ 日本語:/)"


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


@pytest.mark.parametrize(
    "columns, lines",
    [
        (
            60,
            [
                "NAME INPUT                           STATE DESCRIPTION",
                f"ab   {INPUT} ok    Makes one of two.",
            ],
        ),
        (
            49,
            [
                "NAME INPUT                STATE DESCRIPTION",
                "ab   (a:/* ⨯ b:/(*).json… ok    Makes one of two.",
            ],
        ),
        (36, ["NAME INPUT     STATE DESCRIPTION", "ab   (a:/* ⨯ … ok    Makes one of t…"]),
        (27, ["NAME INPUT            STATE", "ab   (a:/* ⨯ b:/(*).… ok"]),
        (16, ["NAME INPUT STATE", "ab   (a:/… ok"]),
        (10, ["NAME STATE", "ab   ok"]),
    ],
)
def test_table_fits_a_narrow_terminal_as_far_as_its_elastic_columns_give(
    terminal: Session, monkeypatch: pytest.MonkeyPatch, columns: int, lines: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table(terminal, "NAME", "INPUT", "STATE", "DESCRIPTION", elastic=("INPUT", "DESCRIPTION"))
    table.add("ab", INPUT, "ok", "Makes one of two.")
    table.show()
    assert printed(terminal).splitlines() == lines


def test_table_cuts_wide_letters_and_the_longest_text(
    terminal: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    table = Table(terminal, "A", "TEXT", elastic=("TEXT",))
    for text in (
        "日本語日本語",
        "é" * 300_000,
        "e\N{COMBINING ACUTE ACCENT}" * 9,
    ):  # a walk from its end takes hours
        table.add("a", text)
    table.show()
    _, *cut = printed(terminal).splitlines()
    assert cut == ["a 日本語…", "a ééééééé…", "a " + "e\N{COMBINING ACUTE ACCENT}" * 7 + "…"]


def test_table_that_is_no_terminals_is_whole(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    table = Table(session, "NAME", "INPUT", elastic=("INPUT",))
    table.add("ab", "a long input of many words")
    table.show()
    assert "ab   a long input of many words" in printed(session)


def test_table_aligns_columns_and_ignores_colours_and_wide_letters(session: Session) -> None:
    table = Table(session, "NAME", "STATE", "NOTE")
    table.add("a", "\x1b[32mok\x1b[0m", "x")
    table.add("日本", "running", "y")
    table.show()
    assert printed(session).splitlines() == [
        "NAME STATE   NOTE",
        "a    \x1b[32mok\x1b[0m      x",
        "日本 running y",
    ]


def test_table_keeps_a_row_on_its_line(session: Session) -> None:
    table = Table(session, "REASON")
    table.add("two\nlines")
    table.show()
    assert printed(session) == "REASON\ntwo lines\n"


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
    assert printed(session) == expected
