"""pachlet backfill: the missing ticks of a span, in order, and again after it was broken off."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import backfill, commits, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.clock import FakeClock
from tests.acceptance.test_cron import LIST, at, hours, pipeline, ticks
from tests.acceptance.words import create, ended, head, last_job, tree

SPAN = ("--from", "2024-02-01", "--to", "2024-02-01T03:30:00Z")
OLD = hours("2024-02-01", 0, 1, 2, 3)


@pytest.fixture
def clock() -> FakeClock:
    return at("2024-03-01 10:30")


@pytest.fixture
def connection(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    """A connection to a server with pipeline `p`, whose cron input has ticked once."""
    with testing.server(tmp_path / "data", clock=clock) as running, Connection(running.address) as connection:
        create(connection, pipeline("@hourly", LIST))
        clock.advance(1800)
        ticks(connection, 1)
        yield connection


def typed(connection: Connection, *words: str) -> tuple[int, str, str]:
    """Type `pachlet backfill`; return its status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    session = Session(
        {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nowhere/config.json"},
        out=out,
        err=err,
        program="pachlet",
    )
    return main.run(session, ("backfill", *words)), out.getvalue(), err.getvalue()


def test_missing_ticks_are_made_in_order(connection: Connection) -> None:
    status, out, _ = typed(connection, "p", *SPAN, "--dry-run")
    assert (status, out) == (
        0,
        "tick: 4 ticks would be made, 2024-02-01T00:00:00Z to 2024-02-01T03:00:00Z\n",
    )
    status, out, _ = typed(connection, "p", *SPAN, "--wait")
    assert status == 0
    assert out.splitlines() == [
        "tick: 4 ticks made, 2024-02-01T00:00:00Z to 2024-02-01T03:00:00Z",
        "the jobs of 4 ticks are over, 0 without success",
    ]
    now = hours("2024-03-01", 11)
    assert ticks(connection, 5) == [*now, *OLD]
    assert head(connection, "p_tick@master").created_by not in ("", "pachlet")  # somebody asked for it
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 4, 0, 5)
    assert sorted(tree(connection, "p@master")) == [f"/{each}" for each in [*OLD, *now]]


def test_what_is_there_is_left(connection: Connection) -> None:
    typed(connection, "p", *SPAN)
    made = [each.commit.id for each in commits.list_commit(connection, repo="p_tick")]
    assert typed(connection, "p", *SPAN) == (0, "tick: no tick is missing\n", "")
    assert [each.commit.id for each in commits.list_commit(connection, repo="p_tick")] == made
    _, out, _ = typed(connection, "p", "--from", "2024-02-01T02:00:00Z", "--to", "2024-02-01T05:00:00+01:00")
    assert out == "tick: 1 tick made, 2024-02-01T04:00:00Z to 2024-02-01T04:00:00Z\n"


def test_backfill_that_was_broken_off_goes_on(connection: Connection) -> None:
    start, end = 1_706_745_600 * 10**9, 1_706_758_200 * 10**9

    def break_off(number: int, tick: str) -> None:
        if number == 3:
            raise KeyboardInterrupt

    [gap] = backfill.find_gaps(connection, "p", start, end)
    with pytest.raises(KeyboardInterrupt):
        backfill.fill(connection, gap, break_off)
    _, out, _ = typed(connection, "p", *SPAN)
    assert out == "tick: 2 ticks made, 2024-02-01T02:00:00Z to 2024-02-01T03:00:00Z\n"
    assert ticks(connection, 5)[1:] == OLD


def test_schedule_goes_on_as_if_there_had_been_no_backfill(connection: Connection, clock: FakeClock) -> None:
    typed(connection, "p", *SPAN)
    clock.advance(3600)
    assert ticks(connection, 6)[5:] == hours("2024-03-01", 12)


def test_overwritten_input_shows_its_newest_tick_again(connection: Connection, clock: FakeClock) -> None:
    create(connection, pipeline("@hourly", LIST, overwrite=True), update=True)
    clock.advance(3600)
    ticks(connection, 2)
    status, _, _ = typed(connection, "p", *SPAN, "--wait")
    assert status == 0
    newest = hours("2024-03-01", 12)
    assert list(tree(connection, "p_tick@master")) == [f"/{each}" for each in newest]
    assert list(tree(connection, "p@master")) == [f"/{each}" for each in newest]
    assert len(list(commits.list_commit(connection, repo="p_tick"))) == 8  # the first is that of the branch
    assert typed(connection, "p", *SPAN)[1] == "tick: no tick is missing\n"


def test_rhythm_of_every_is_counted_from_the_start(connection: Connection) -> None:
    spec = pipeline("@every 90m", LIST, start="2024-03-01T00:10:00Z")
    spec["pipeline"] = {"name": "q"}
    pipelines.create_pipeline(connection, spec)
    ticks(connection, 7, "q_tick")
    _, out, _ = typed(connection, "q", "--from", "2024-02-29T20:00:00Z", "--to", "2024-03-01T03:10:00Z")
    assert out == "tick: 3 ticks made, 2024-02-29T21:10:00Z to 2024-03-01T00:10:00Z\n"


def test_failed_jobs_of_ticks_are_told(connection: Connection) -> None:
    create(connection, pipeline("@hourly", "test $PACHLET_TICK_tick != 2024-02-01T01:00:00Z"), update=True)
    status, out, err = typed(connection, "p", *SPAN, "--wait")
    assert status == 1
    assert out.splitlines()[-1].endswith("3 without success")  # the broken tick stays among the datums
    assert any(line.startswith("tick 2 of 4: p@") for line in err.splitlines())


@pytest.mark.parametrize(
    "words, text",
    [
        (("p", "--from", "yesterday"), "'yesterday' is no time"),
        (("p", "--from", "2024-02-02", "--to", "2024-02-01"), "--to is before --from"),
        (("p", "--from", "2024-02-01", "--input", "tock"), "pipeline default/p has no cron input tock"),
        (("plain", "--from", "2024-02-01"), "pipeline doesn't have a cron input"),
        (("never", "--from", "2024-02-01"), "cron input tick ticks @never"),
        (("none", "--from", "2024-02-01"), "pipeline default/none not found"),
        (("p", "--from", "1990-01-01", "--to", "2024-01-01"), "more than 100000 ticks are missing"),
    ],
)
def test_what_can_not_be_filled_is_said(connection: Connection, words: tuple[str, ...], text: str) -> None:
    repos.create_repo(connection, "in")
    plain = pipeline("@hourly")
    plain = {**plain, "pipeline": {"name": "plain"}, "input": {"pfs": {"repo": "in", "glob": "/"}}}
    pipelines.create_pipeline(connection, plain)
    pipelines.create_pipeline(connection, {**pipeline("@never"), "pipeline": {"name": "never"}})
    before = len(list(commits.list_commit(connection, repo="p_tick")))
    status, out, err = typed(connection, *words)
    assert status > 0
    assert text in err
    assert out == ""
    assert len(list(commits.list_commit(connection, repo="p_tick"))) == before
