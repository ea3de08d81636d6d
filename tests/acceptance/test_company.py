"""The company's last stages as pipelines: what runs when a forecast, a policy or the live champions change.

The stages before them are stood in for by input repos with a small company's files; code and specs are the real ones.

Read next: ../steps/company.py (the files), ../steps/test_decide.py (the steps alone).
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.code import code_under
from pachlet.cli.session import Session
from pachlet.client import branches, jobs, names, pipelines
from pachlet.client.apply import apply_specs
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.watch import head_of, outcome, wait_for, wait_until_idle
from pipelines.main_job import ensure_repos, passed_over
from steps.crypto.store import creation
from steps.crypto.tables import TABLES
from tests.acceptance.test_cron import at
from tests.conftest import ROOT
from tests.steps.company import Company, day
from tests.steps.test_monitor import DAYS, healthy, walk

REPOS = (
    "audit",
    "standardise",
    "predict",
    "backtest",
    "backtest-global",
    "champions",
    "compare",
    "score",
    "policy",
)
COINS = ("acoin", "bcoin", "ccoin")


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path / "files")
    for number, slug in enumerate(COINS):
        healthy(made, slug, walk(number))
        made.backtest(slug, "m.1", walk(number), say=lambda n: 1.02)
        made.backtest(slug, "global.1", walk(number), repo="backtest-global")
        made.score(slug, naive_last={"n": 30, "rel_mae": 1.0})
    return made


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "egress").mkdir()
    clock = at("2018-02-05 10:00")  # the day after the last of walk()
    with testing.server(tmp_path / "data", code=ROOT, clock=clock, egress_dir=tmp_path / "egress") as running:
        yield running.address


@pytest.fixture
def crypto(address: str, company: Company) -> Iterator[Connection]:
    """The company's repos with its files, and a branch live of its champions."""
    with Connection(address, project="crypto") as connection:
        ensure_repos(connection, dict.fromkeys(REPOS, ""))
        for repo in REPOS:
            put(connection, company, repo)
        branches.create_branch(connection, "champions@live", head="master")
        yield connection


def put(connection: Connection, company: Company, repo: str) -> str:
    """Put a stage's files as they are now; return the id of the commit."""
    folder = company.pfs / repo
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    put_file(
        connection,
        f"{repo}@master",
        [from_bytes(f"/{path.relative_to(folder)}", path.read_bytes()) for path in paths],
    )
    return head_of(connection, f"{repo}@master")


def spec_of(name: str, **changes: Any) -> dict[str, Any]:
    return {**json.loads((ROOT / "pipelines" / "crypto" / f"{name}.json").read_text()), **changes}


def apply(connection: Connection, *specs: Mapping[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Make pipelines; return the counts of their first jobs."""
    apply_specs(connection, [dict(spec) for spec in specs], code_under(ROOT))
    done = wait_until_idle(connection, ["crypto"])
    return {each.pipeline: (each.processed, each.skipped, each.failed) for each in done}


def counts(connection: Connection, id: str) -> dict[str, tuple[int, int, int]]:
    """Return how many datums each job of a set processed, skipped and failed."""
    return {each.pipeline: (each.processed, each.skipped, each.failed) for each in wait_for(connection, [id])}


def typed(connection: Connection, *words: str) -> list[str]:
    out, err = io.StringIO(), io.StringIO()
    server = {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nowhere/config.json"}
    assert main.run(Session(server, out=out, err=err, program="pachlet"), words) == 0, err.getvalue()
    return [line.partition(";")[0] for line in out.getvalue().splitlines()]


def test_what_changes_runs_and_no_more(crypto: Connection, company: Company, tmp_path: Path) -> None:
    stages = ("decide", "ledger", "monitor", "store", "nightly")
    apply(crypto, *map(spec_of, stages))
    assert json.loads(get_bytes(crypto, "ledger@master:/summary.json"))["trades"] == 0
    assert get_bytes(crypto, "monitor@master:/alerts.jsonl") == b""

    last = walk(1)[-1]
    company.forecast("bcoin", last=last, point=last * 1.03, low=last * 0.95, origin=DAYS - 1)
    assert counts(crypto, put(crypto, company, "predict")) == {
        "decide": (1, 2, 0),
        "monitor": (1, 0, 0),
        "store": (1, 0, 0),
    }
    assert json.loads(get_bytes(crypto, "decide@master:/bcoin.json"))["action"] == "buy"

    # A coin more: its own datums, and one of each stage that gathers all coins.
    healthy(company, "dcoin", walk(7))
    company.score("dcoin", naive_last={"n": 30, "rel_mae": 1.0})
    for repo in ("backtest", "standardise", "audit", "score"):
        wait_for(crypto, [put(crypto, company, repo)])
    forecasts = put(crypto, company, "predict")
    assert counts(crypto, forecasts)["decide"] == (1, 3, 0)

    company.policy("trade", min_edge_bps=500.0)
    id = put(crypto, company, "policy")
    assert counts(crypto, id) == {
        "decide": (4, 0, 0),
        "ledger": (1, 0, 0),
        "monitor": (0, 1, 0),
        "store": (1, 0, 0),
    }
    assert json.loads(get_bytes(crypto, "decide@master:/bcoin.json"))["action"] == "hold"

    path = tmp_path / "company.db"  # each row leads back to the commit that made it
    path.write_bytes(get_bytes(crypto, "store@master:/company.db"))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT DISTINCT pach_commit FROM forecasts").fetchall() == [(forecasts,)]
        assert database.execute("SELECT DISTINCT pach_commit FROM decisions").fetchall() == [(id,)]

    company.policy("trade")
    wait_for(crypto, [put(crypto, company, "policy")])
    company.champion("acoin", "m.1")
    assert counts(crypto, put(crypto, company, "champions")) == {}  # a verdict that nobody promoted
    assert typed(
        crypto, "promote", "champions@master", "--reason", "it earns", "--wait", "--project", "crypto"
    )[1:] == ["ledger: processed 1, skipped 0, failed 0", "monitor: processed 1, skipped 0, failed 0"]
    assert json.loads(get_bytes(crypto, "ledger@master:/summary.json"))["trades"] > 0
    assert b"other_champion_1d" in get_bytes(crypto, "monitor@master:/alerts.jsonl")
    typed(crypto, "rollback", "champions@live", "--reason", "after all", "--wait", "--project", "crypto")
    assert json.loads(get_bytes(crypto, "ledger@master:/summary.json"))["trades"] == 0

    # Accuracy is looked at by night, whatever came by day.
    assert [each.data_total for each in jobs.list_job(crypto, "nightly")] == [0]
    pipelines.run_cron(crypto, "nightly")
    wait_until_idle(crypto, ["crypto"])
    rows = get_bytes(crypto, "nightly@master:/accuracy.csv").decode().splitlines()
    assert (len(rows), rows[-1].split(",")[:4]) == (182, [day(DAYS), "3", "90", "1.0"])


def test_a_coin_that_breaks_is_named_and_the_others_go_on(
    address: str, company: Company, tmp_path: Path
) -> None:
    """One coin's prices break standardise: the job names it, the others come through, the monitor misses the one."""
    with Connection(address, project="crypto") as crypto:
        ensure_repos(crypto, dict.fromkeys(("ingest", *REPOS), ""))
        for repo in ("backtest", "backtest-global", "champions", "compare", "policy"):
            put(crypto, company, repo)
        branches.create_branch(crypto, "champions@live", head="master")
        (company.pfs / "predict" / "bcoin.json").unlink()
        put(crypto, company, "predict")
        for number, slug in enumerate(COINS):
            columns = "date,open,high,low,close,volume,market_cap,flags"
            rows = [f"{day(n)},,,,{close!r},1e6,," for n, close in enumerate(walk(number))]
            broken = ["no,prices"] if slug == "bcoin" else [columns, *rows]
            coins = company.pfs / "ingest" / "coins"
            coins.mkdir(parents=True, exist_ok=True)
            (coins / f"{slug}.csv").write_text("\n".join(broken) + "\n")
            named = {"slug": slug, "name": slug, "file": f"{slug}.csv", "segment_start": day(0)}
            universe = {"schema": "crypto.universe/1", **named}
            (company.pfs / "audit" / "universe" / f"{slug}.json").write_text(json.dumps(universe))
        put(crypto, company, "ingest")
        put(crypto, company, "audit")
        crypto.call("pfs_v2.API", "DeleteRepo", {"repo": names.repo("crypto", "standardise")})
        apply(crypto, spec_of("standardise"), spec_of("monitor"))
        job = next(jobs.list_job(crypto, "standardise"))
        assert (jobs.state_of(job), job.data_processed, job.data_recovered) == ("JOB_SUCCESS", 2, 1)
        said, following = passed_over(crypto, outcome(job))
        assert said == "crypto/standardise: /coins/bcoin.csv failed and is left out; the others go on"
        assert following.startswith("  next: pachlet debug datum --project crypto standardise@")
        [alert] = [
            json.loads(line) for line in get_bytes(crypto, "monitor@master:/alerts.jsonl").splitlines()
        ]
        assert (alert["severity"], alert["kind"], alert["slug"]) == ("error", "no_forecast", "bcoin")
        report = json.loads(get_bytes(crypto, "monitor@master:/report.json"))
        assert (sorted(report["coins"]), report["without_series"]) == (["acoin", "ccoin"], ["bcoin"])


def test_tables_reach_a_database_by_egress(crypto: Connection, tmp_path: Path) -> None:
    path = tmp_path / "egress" / "company.db"
    with closing(sqlite3.connect(path)) as database:
        for table in TABLES:
            database.execute(creation(table))
    store = spec_of("store")
    to_sql = {
        **store,
        "transform": {**store["transform"], "env": {"STORE": "json"}},
        "egress": {"sql_database": {"url": "sqlite:///company.db", "file_format": {"type": "JSON"}}},
    }
    apply(crypto, spec_of("decide"), to_sql)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT slug, h FROM forecasts ORDER BY slug").fetchall() == [
            (slug, 1) for slug in COINS
        ]
        [(commits, rows)] = database.execute("SELECT count(DISTINCT pach_commit), count(*) FROM decisions")
        assert (commits, rows) == (1, 3)
