"""Prices that come by the clock: an archive lived through day by day, and an exchange asked each day.

What is held is what runs and what does not: the stages until the audit, with their own code, on a server whose time the
test moves.

Read next: ../steps/test_fetch.py (the steps alone), ../../pipelines/live.py.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli.code import code_under
from pachlet.cli.progress import Progress
from pachlet.client import backfill, jobs, pipelines
from pachlet.client.apply import apply_specs
from pachlet.client.connection import Connection
from pachlet.client.files import walk_file
from pachlet.client.watch import wait_for, wait_until_idle
from pachlet.clock import FakeClock
from pachlet.spec.times import parse_time
from pipelines.live import PROJECT, put_coins, specs_in
from pipelines.main_job import ensure_repos
from tests.acceptance.test_cron import at
from tests.acceptance.words import put_id
from tests.conftest import ROOT
from tests.local_exchange import Exchange, exchange

HEADER = "Date,Open,High,Low,Close,Volume,Market Cap"
STAGES = ("prices", "ingest", "audit")
LAST = date(2017, 9, 22)


@pytest.fixture
def clock() -> FakeClock:
    return at("2017-09-20 10:00")


@pytest.fixture
def address(tmp_path: Path, clock: FakeClock) -> Iterator[str]:
    with testing.server(tmp_path / "data", code=ROOT, clock=clock) as running:
        yield running.address


def prices(first: date, last: date = LAST) -> str:
    """Return a price file of the days from `first` to `last`, newest first."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rows = [f"{day},1,3,1,{2 + day.toordinal() % 5 / 10},1000,-" for day in reversed(days)]
    return "\n".join([HEADER, *rows]) + "\n"


def apply(connection: Connection, **environ: str) -> None:
    """Make the first stages of the connection's project; `environ` is for the one that brings prices."""
    specs: list[Any] = []
    for spec in specs_in(connection.project):
        if spec["pipeline"]["name"] == "prices" and environ:
            spec = {**spec, "transform": {**spec["transform"], "env": environ}}
        if spec["pipeline"]["name"] in STAGES:
            specs.append(spec)
    apply_specs(connection, specs, code_under(ROOT))
    wait_until_idle(connection, [connection.project])


def counts(connection: Connection, id: str) -> dict[str, tuple[int, int, int]]:
    """Return how many datums each job of a set processed, skipped and failed, once all are over."""
    outcomes = wait_for(connection, [id])
    return {each.pipeline: (each.processed, each.skipped, each.failed) for each in outcomes}


def tick(connection: Connection) -> str:
    """Make a tick by hand; return the id of its job set."""
    pipelines.run_cron(connection, "prices")
    return str(next(jobs.list_job(connection, "prices")).job.id)


def hashes(connection: Connection, repo: str) -> dict[str, bytes]:
    found = walk_file(connection, f"{repo}@master:/")
    return {info.file.path: info.hash for info in found if not info.file.path.endswith("/")}


def test_an_archive_is_lived_through_day_by_day(address: str, clock: FakeClock) -> None:
    with Connection(address, project="crypto-daily") as connection:
        ensure_repos(connection, {"archive": ""})
        apply(connection)
        archive = {
            "/Old.csv": prices(date(2017, 6, 1), date(2017, 8, 20)),
            "/Steady.csv": prices(date(2017, 6, 1)),
            "/Young.csv": prices(date(2017, 9, 18)),
        }
        put_id(connection, "crypto-daily/archive@master", archive)
        wait_until_idle(connection, ["crypto-daily"])
        start, end = parse_time("2017-09-17T00:00:00Z"), parse_time("2017-09-20T00:00:00Z")
        assert start is not None
        assert end is not None
        [gap] = backfill.find_gaps(connection, "prices", start, end)
        days = backfill.fill(connection, gap, lambda *_: None)
        assert [counts(connection, day) for day in days] == [
            {"prices": (1, 0, 0), "ingest": (2, 0, 0), "audit": (1, 0, 0)},  # what was over by the 17th
            {"prices": (1, 0, 0), "ingest": (1, 1, 0), "audit": (1, 0, 0)},  # a day of Steady
            {"prices": (1, 0, 0), "ingest": (2, 1, 0), "audit": (1, 0, 0)},  # and the first of Young
        ]
        before = {repo: hashes(connection, repo) for repo in STAGES}
        # A second tick of the 19th, as its commit would be made again: nothing is different, so nothing runs.
        [twice] = backfill.fill(connection, gap.__class__(gap.cron, gap.missing[-1:], set()), lambda *_: None)
        assert counts(connection, twice)["ingest"] == (0, 3, 0)
        # On the 20th, by hand, at ten; and once more the same day: only the step that brings prices looks.
        assert counts(connection, tick(connection)) == {
            "prices": (1, 0, 0),
            "ingest": (2, 1, 0),
            "audit": (1, 0, 0),
        }
        clock.advance(3600)
        now = {repo: hashes(connection, repo) for repo in STAGES}
        assert counts(connection, tick(connection)) == {
            "prices": (1, 0, 0),
            "ingest": (0, 3, 0),
            "audit": (0, 1, 0),
        }
        assert {repo: hashes(connection, repo) for repo in STAGES} == now != before


@pytest.fixture
def market() -> Iterator[Exchange]:
    with exchange() as serving:
        yield serving


def test_an_exchange_is_asked_each_day(address: str, clock: FakeClock, market: Exchange) -> None:
    market.first = {"BTC-USD": date(2024, 1, 1), "ETH-USD": date(2024, 2, 1), "SOL-USD": date(2024, 3, 1)}
    clock.advance((date(2024, 3, 20) - date(2017, 9, 20)).days * 24 * 3600)
    with Connection(address, project=PROJECT) as connection:
        ensure_repos(connection, {"coins": ""})
        progress = Progress(io.StringIO(), live=False, colour=False)
        put_coins(connection, ["btc", "NOPE"], progress)
        apply(connection, PRICES_URL=market.url)
        assert counts(connection, tick(connection))["ingest"] == (1, 0, 0)
        assert list(hashes(connection, "prices")) == ["/raw/Bitcoin.csv"]  # the other is not an exchange's
        put_coins(connection, ["BTC", "ETH", "SOL"], progress)
        wait_until_idle(connection, [PROJECT])
        newest = next(jobs.list_job(connection, "ingest")).job.id
        assert counts(connection, newest)["ingest"] == (2, 1, 0)  # only the coins that are new
        assert sorted(hashes(connection, "prices")) == [
            "/raw/Bitcoin.csv",
            "/raw/Ethereum.csv",
            "/raw/SOL.csv",
        ]
        clock.advance(3600)
        assert counts(connection, tick(connection))["ingest"] == (0, 3, 0)  # the same day
        clock.advance(24 * 3600)
        wait_until_idle(connection, [PROJECT])
        assert counts(connection, tick(connection))["prices"] == (3, 0, 0)
