"""Experiments as pipelines: what runs when a value, an experiment or a coin comes, what fails alone, and a killed run.

The coins' series are put where standardise would put them; everything after that is the project's own specs and code.

Read next: ../steps/test_experiment.py (the stages alone), ../../docs/tutorials/experiments.md.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pachlet import testing
from pachlet.cli.code import code_under
from pachlet.client import jobs
from pachlet.client.apply import apply_specs
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.watch import wait_for, wait_until_idle
from pipelines.main_job import ensure_repos, specs_of
from steps.crypto import standardise
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.test_company import counts
from tests.acceptance.test_durability import begun, recorded
from tests.acceptance.test_remote_worker import Gate
from tests.acceptance.words import PPS, ended, last_job, put, put_id
from tests.conftest import ROOT

PROJECT = "crypto-experiment"
SHARED = {"lags": 3, "min_rows": 40, "refit_every": 1}
RIDGE = {"family": "linear", "alpha": [1, 10]}
LAD = {"family": "global", "method": "lad", "ridge": 1, "features": ["lags", "market"]}
SPLIT = {"test_days": 60, "refit_days": 30, "min_train": 60}


def series(number: int, days: int = 130) -> str:
    """A coin's series.csv."""
    moves = np.random.default_rng(number).normal(0, 0.05, days)
    index = pd.date_range("2017-01-01", periods=days, freq="D")
    frame = standardise.standardise(pd.Series(100 * np.exp(np.cumsum(moves)), index=index))
    rows = [",".join(standardise.cells(day)) for day in frame.itertuples()]
    return "\n".join([",".join(standardise.COLUMNS), *rows]) + "\n"


def begin(connection: Connection, coins: int, gate: Gate | None = None, **experiments: str) -> None:
    """Make the repos that are read, with coins and experiments, and the project's pipelines.

    With a gate, each back-test of a coin's own model waits there.
    """
    for project, repo in (("crypto", "standardise"), (PROJECT, "experiments")):
        with Connection(str(connection.address), project=project) as other:
            ensure_repos(other, {repo: ""})
    put(connection, "crypto/standardise@master", {f"/coin{n}/series.csv": series(n) for n in range(coins)})
    files = {f"/{name}.json": text for name, text in experiments.items()}
    if files:
        put(connection, f"{PROJECT}/experiments@master", files)
    specs = [
        gated(spec, gate) if gate and spec["pipeline"]["name"] == "backtest" else spec
        for spec in specs_of(PROJECT)
    ]
    with Connection(str(connection.address), project=PROJECT) as other:
        apply_specs(other, specs, code_under(ROOT))


def experiment(*methods: Any, **more: Any) -> str:
    content = {"schema": "crypto.experiment/1", "split": SPLIT, "shared": SHARED, "methods": list(methods)}
    return json.dumps({**content, **more})


def propose(connection: Connection, **experiments: str) -> dict[str, tuple[int, int, int]]:
    """Put experiments; return how many datums each job processed, skipped and failed."""
    files = {f"/{name}.json": text for name, text in experiments.items()}
    return counts(connection, put_id(connection, f"{PROJECT}/experiments@master", files))


def board(connection: Connection, name: str) -> list[dict[str, str]]:
    text = get_bytes(connection, f"rank@master:/{name}/leaderboard.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_what_an_experiment_adds_runs_and_no_more(tmp_path: Path) -> None:
    with (
        testing.server(tmp_path / "data", code=ROOT, workers=1) as running,
        Connection(running.address, project=PROJECT) as connection,
    ):
        begin(connection, 3, one=experiment(RIDGE, LAD, impact=True))
        done = {each.pipeline: each for each in wait_until_idle(connection, [PROJECT])}
        # Two values of alpha; one model for all coins, and it without each of its groups.
        assert {name: each.processed for name, each in done.items()} == {
            "grid": 1, "split": 3, "backtest": 2 * 3, "backtest-global": 3, "rank": 1,
        }  # fmt: skip
        assert [row["status"] for row in board(connection, "one")] == ["ok"] * 5
        table = get_bytes(connection, "rank@master:/one/impact.csv").decode()
        assert Counter(row["group"] for row in csv.DictReader(io.StringIO(table))) == {"lags": 2, "market": 2}
        before = get_bytes(connection, "rank@master:/one/leaderboard.csv")

        # A value more: its datums, one a coin. Another experiment: its own. One that can't be understood is refused
        # before anything runs, and stands in no other's way.
        more = experiment({**RIDGE, "alpha": [1, 10, 100]}, LAD, impact=True)
        wrong = experiment({**LAD, "features": ["wether"]})
        assert propose(connection, one=more, two=experiment(LAD), bad=wrong) == {
            "grid": (3, 0, 0), "split": (3, 3, 0), "backtest": (3, 6, 0), "backtest-global": (1, 3, 0),
            "rank": (3, 0, 0),
        }  # fmt: skip
        assert [len(board(connection, name)) for name in ("one", "two")] == [6, 1]
        said = "experiments/bad.json, method 1 (global.lad): there is no feature group 'wether'; known: lags"
        [row] = board(connection, "bad")
        assert row["status"].startswith(f"refused: {said}")
        written = [
            line.message
            for line in connection.call(PPS, "GetLogs", {"job": last_job(connection, "grid").job})
        ]
        assert any(said in line for line in written)
        assert not any("Traceback" in line for line in written)

        # A coin more: its datums in both, and what learns from all coins.
        id = put_id(connection, "crypto/standardise@master", {"/coin3/series.csv": series(3)})
        assert counts(connection, id) == {
            "split": (2, 6, 0), "backtest": (3, 9, 0), "backtest-global": (4, 0, 0), "rank": (2, 1, 0),
        }  # fmt: skip
        stands = get_bytes(connection, "rank@master:/one/leaderboard.csv")
        assert stands != before

        # What breaks on the data breaks alone: its row says that it is missing.
        odd = experiment({**LAD, "rows": ["", "CAST(slug AS INTEGER) > 3"]})
        found = propose(connection, bad=odd)
        assert (found["grid"], found["backtest-global"]) == ((1, 2, 0), (1, 4, 0))
        assert [row["status"] for row in board(connection, "bad")] == ["ok", "missing"]
        assert get_bytes(connection, "rank@master:/one/leaderboard.csv") == stands

        # So does a coin: it is left out of the tables, which would else be those of before, and nobody told.
        id = put_id(connection, "crypto/standardise@master", {"/coin0/series.csv": "date\nyesterday\n"})
        found = {each.pipeline: each for each in wait_for(connection, [id])}
        assert (found["split"].recovered, found["split"].state) == (3, "JOB_SUCCESS")
        assert [row["coins_1d"] for row in board(connection, "two")] == ["3"]


# A trial that asks for leave to begin.
GATED = """
import socket, sys
from pathlib import Path
from pachlet.step import main
from steps.crypto import trial

def run(inputs: Path, out: Path) -> None:
    with socket.create_connection(("127.0.0.1", {port})) as gate:
        gate.sendall(b"here\\n")
        gate.recv(1) or sys.exit("the test is over")
    trial.run(inputs, out)

main(run, batching=True)
"""


def gated(spec: dict[str, Any], gate: Gate) -> dict[str, Any]:
    """Let a pipeline of trials wait at a gate before each datum, one after the other."""
    transform = {**spec["transform"], "cmd": ["python", "-c", GATED.format(port=gate.port)]}
    return {
        **spec,
        "transform": transform,
        "metadata": {"annotations": {"pachlet/network": "allow"}},
        "parallelism_spec": {"constant": 1},
    }


def datums_of(connection: Connection, job: Any) -> set[str]:
    """Return the datums of a job that are recorded."""
    return {each.datum.id for each in connection.call(PPS, "ListDatum", {"job": job})}


def test_a_run_that_was_killed_goes_on_with_the_trials_that_are_missing(tmp_path: Path) -> None:
    total, passed = 2 * 2, 2
    with closing(Gate(seconds=300)) as gate:
        with (
            ServerProcess(tmp_path / "data") as server,
            Connection(server.address, project=PROJECT) as connection,
        ):
            begin(connection, 2, gate, one=experiment(RIDGE))
            job = next(jobs.list_job(connection, "backtest")).job
            for _ in range(passed):
                gate.let_pass()
            with gate.meet():  # the next is in the middle, and those before are soon on disk
                while len(datums_of(connection, job)) < passed:
                    pass
                server.kill()
        known = recorded(tmp_path / "data")
        with (
            ServerProcess(tmp_path / "data") as server,
            Connection(server.address, project=PROJECT) as connection,
        ):
            ids = datums_of(connection, job)
            before = {id: times for id, times in known.items() if id in ids}
            assert len(before) == passed
            for _ in range(total - len(before)):
                gate.let_pass()
            assert ended(last_job(connection, "backtest")) == ("SUCCESS", total, 0, 0, total)
            starts = Counter(begun(connection, job))
            assert {id: starts[id] for id in before} == before  # what was done is not done again
            assert set(starts) == datums_of(connection, job)
            wait_until_idle(connection, [PROJECT])
            assert [row["status"] for row in board(connection, "one")] == ["ok"] * 2
            assert server.terminate() == 0
