"""The whole company on a few made-up coins: what each kind of change runs, datum by datum, and that no more runs.

All pipelines of project crypto with their own code and images; of the models those that need no TensorFlow, since what
is counted is datums. Each change is committed as a user would, and every job of its job set is looked at.

Read next: test_main_job.py (a changed row, changed code), test_company.py (the last stages), ../../docs/crypto.md.
"""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.progress import Progress
from pachlet.cli.session import Session
from pachlet.client import pipelines
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.watch import head_of, wait_for
from pipelines.champions import settle
from pipelines.main_job import apply, ensure_repos
from tests.acceptance.made import contents, made
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import recorded
from tests.acceptance.worker_process import WorkerProcess
from tests.conftest import ROOT

PARAMS = ("naive/last", "drift/all", "linear/ridge", "svm/rbf1", "global/lad")
OWN = len(PARAMS) - 1  # models of one coin
POLICIES = ("promote", "trade", "monitor")
SILENT = Progress(io.StringIO(), live=False, colour=False)
INPUTS = ("prices", "params", "policy")
ASIDE = ("/raw/100 List.csv", "/raw/SYNTHETIC.txt")
"""No prices of a coin."""
DAILY = tuple(
    f"/raw/Synthcoin {name}.csv" for name in ("Aleph", "Alpha", "Beta", "Delta", "Epsilon", "Gamma")
)
PROMOTED = ("predict", "decide", "ledger", "monitor", "store", "report")
ONES = {"ledger": (1, 0), "monitor": (1, 0), "store": (1, 0), "report": (1, 0)}
"""Stages that gather all coins."""

Counts = dict[str, tuple[int, int]]
"""Datums processed and skipped, by pipeline; those without a job are not there."""


class Company:
    """A server with the company on it, and what is committed to it."""

    def __init__(self, connection: Connection, prices: Mapping[str, bytes]) -> None:
        self.connection = connection
        self.prices = dict(prices)

    def put(self, repo: str, files: Mapping[str, bytes]) -> Counts:
        """Commit files; return what that ran."""
        put_file(
            self.connection, f"{repo}@master", [from_bytes(path, content) for path, content in files.items()]
        )
        return self.counts(head_of(self.connection, f"{repo}@master"))

    def counts(self, id: str) -> Counts:
        done = wait_for(self.connection, [id])
        assert all(each.succeeded for each in done), done
        return {each.pipeline: (each.processed, each.skipped) for each in done}

    def type(self, *words: str) -> Counts:
        """Type a command that waits; return what that ran."""
        out, err = io.StringIO(), io.StringIO()
        environ = {"PACHD_ADDRESS": str(self.connection.address), "PACH_CONFIG": "/nowhere/config.json"}
        session = Session(environ, out=out, err=err, program="pachlet")
        words = (*words, "--reason", "a test", "--wait", "--project", "crypto")
        assert main.run(session, words) == 0, err.getvalue()
        found = {}
        for line in out.getvalue().splitlines():
            name, _, numbers = line.partition(": processed ")
            if numbers:
                done, skipped, failed = (part.split()[-1] for part in numbers.partition(";")[0].split(","))
                assert failed == "0", line
                found[name.strip()] = (int(done), int(skipped))
        return found


def made_up(folder: Path, days: int) -> dict[str, bytes]:
    """Price files of made-up coins that all end on the same day; four of them are usable."""
    command = [
        sys.executable,
        ROOT / "data" / "synthetic_coins.py",
        folder,
        "--coins",
        "5",
        "--days",
        str(days),
    ]
    subprocess.run(command, check=True)
    return {f"/raw/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}


def a_day_more(content: bytes) -> bytes:
    """The same file with one more day, two percent higher."""
    header, newest, *rest = content.split(b"\r\n")
    cells = newest.decode().split('",')
    day = date(2017, 9, 22) + timedelta(days=1)
    price = float(cells[1].split(",")[3]) * 1.02
    line = f'"{day:%b %d, %Y}",{price},{price},{price},{price},"1,000","1,000"'
    return b"\r\n".join([header, line.encode(), newest, *rest])


def chosen() -> dict[str, bytes]:
    """The parameters and policies, as `contents` has them."""
    files = [*(f"params:/{name}.json" for name in PARAMS), *(f"policy:/{name}.json" for name in POLICIES)]
    return {file: (ROOT / "data" / file.replace(":/", "/")).read_bytes() for file in files}


def begin(connection: Connection, inputs: Mapping[str, bytes]) -> None:
    """Make the input repos and put what they hold, as `contents` has it."""
    ensure_repos(connection, dict.fromkeys((*INPUTS, "champions"), ""))
    for repo in INPUTS:
        own = {
            path.partition(":")[2]: content for path, content in inputs.items() if path.startswith(f"{repo}:")
        }
        put_file(connection, f"{repo}@master", [from_bytes(path, content) for path, content in own.items()])


def forecast(connection: Connection) -> None:
    """Do what the main job does: all pipelines, the first champions promoted."""
    settle(connection, ["crypto"], lambda first: apply(connection, SILENT, before_live=first), SILENT)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """The company at work. The first test looks at it, the second changes it."""
    tmp_path = tmp_path_factory.mktemp("company")
    with (
        testing.server(tmp_path / "data", code=ROOT) as running,
        Connection(running.address, project="crypto") as connection,
    ):
        prices = made_up(tmp_path / "made", 130)
        begin(connection, {f"prices:{path}": content for path, content in prices.items()} | chosen())
        forecast(connection)
        made = Company(connection, prices)
        yield made


def test_killed_on_its_way_and_made_from_its_inputs_alone_it_is_the_same(
    company: Company, tmp_path: Path
) -> None:
    """The input repos are copied to an empty server; a worker is killed, and then the server, in the middle of it."""
    every = [info.pipeline.name for info in pipelines.list_pipeline(company.connection)]
    inputs = contents(company.connection, INPUTS)
    calm = made(company.connection, every)
    with (
        ServerProcess(tmp_path / "again", "--workers", "1") as server,
        Connection(server.address, project="crypto") as crypto,
    ):
        begin(crypto, inputs)
        apply(crypto, SILENT, before_live=True)
        worker = WorkerProcess(server.address, tmp_path / "again", tmp_path / "worker")
        recorded(crypto, "train-linear", 1)
        assert worker.end(signal.SIGKILL) == -signal.SIGKILL
        recorded(crypto, "backtest", 3)
        server.kill()
    with ServerProcess(tmp_path / "again") as server, Connection(server.address, project="crypto") as crypto:
        forecast(crypto)
        again = made(crypto, every)
        assert again.keys() == calm.keys()
        assert [path for path in calm if again[path] != calm[path]] == []
        assert server.terminate() == 0


def test_each_change_runs_its_datums_and_no_others(company: Company) -> None:
    """Four usable coins and four models of one coin (naive and drift are one stage's), and one of all coins."""
    check_a_model_more(company)
    check_a_coin_more(company)
    check_a_policy(company)
    check_a_day_more(company)
    check_a_promotion(company)
    check_no_coin_left(company)


def check_a_model_more(company: Company) -> None:
    """Its own back-tests and trainings; what gathers a coin's models; prices and all other models are left alone."""
    svm = json.loads((ROOT / "data/params/svm/rbf1.json").read_text())
    assert company.put("params", {"/svm/second.json": json.dumps({**svm, "C": 0.1}).encode()}) == {
        "backtest": (4, 4 * OWN),
        "backtest-global": (0, 1),
        "train-naive": (0, 8),
        "train-linear": (0, 4),
        "train-svm": (4, 4),
        "train-boosting": (0, 0),
        "train-lstm": (0, 0),
        "train-global": (0, 1),
        "score": (4, 0),
        "compare": (1, 0),
        "predict": (4, 0),
        "decide": (4, 0),
        **ONES,
    }
    [row] = [
        r
        for r in get_bytes(company.connection, "compare@master:/leaderboard.csv").decode().splitlines()
        if r.startswith("svm.second,")
    ]
    assert row


def check_a_coin_more(company: Company) -> None:
    """The coin's own datums; the model of all coins is another, and so are its scores and forecasts for every coin."""
    content = company.prices["/raw/Synthcoin Alpha.csv"]
    lines = content.split(b"\r\n")
    company.prices["/raw/Newcoin.csv"] = b"\r\n".join(
        [lines[0], *lines[5:]]
    )  # Alpha's, until some days before
    assert company.put("prices", {"/raw/Newcoin.csv": company.prices["/raw/Newcoin.csv"]}) == {
        "ingest": (1, 8),
        "audit": (1, 0),
        "standardise": (1, 4),
        "split": (1, 4),
        "backtest": (5, 4 * 5),
        "backtest-global": (1, 0),
        "train-naive": (2, 8),
        "train-linear": (1, 4),
        "train-svm": (2, 8),
        "train-boosting": (0, 0),
        "train-lstm": (0, 0),
        "train-global": (1, 0),
        "score": (5, 0),
        "compare": (1, 0),
        "predict": (5, 0),
        "decide": (5, 0),
        **ONES,
    }


def check_a_policy(company: Company) -> None:
    """What a policy says is read by who follows it; where that comes to the same, nothing after it runs."""
    trade = json.loads((ROOT / "data/policy/trade.json").read_text())
    assert company.put("policy", {"/trade.json": json.dumps({**trade, "max_loss": 0.151}).encode()}) == {
        "compare": (0, 1), "decide": (5, 0), "ledger": (1, 0), "monitor": (0, 1), "store": (0, 1), "report": (0, 1),
    }  # fmt: skip
    gate = json.loads((ROOT / "data/policy/promote.json").read_text())
    assert company.put("policy", {"/promote.json": json.dumps({**gate, "min_gain": 0.006}).encode()}) == {
        "compare": (1, 0), "decide": (0, 5), "ledger": (0, 1), "monitor": (0, 1), "store": (0, 1), "report": (0, 1),
    }  # fmt: skip


def check_a_day_more(company: Company) -> None:
    """All of the coins that have a new day; the newcomer has none, and only what is of all coins changes for it."""
    files = {path: a_day_more(company.prices[path]) for path in DAILY}
    assert company.put("prices", files) == {
        "ingest": (len(DAILY), 9 - len(DAILY)),
        "audit": (1, 0),
        "standardise": (4, 1),
        "split": (4, 1),
        "backtest": (20, 5),
        "backtest-global": (1, 0),
        "train-naive": (8, 2),
        "train-linear": (4, 1),
        "train-svm": (8, 2),
        "train-boosting": (0, 0),
        "train-lstm": (0, 0),
        "train-global": (1, 0),
        "score": (4, 1),
        "compare": (1, 0),
        "predict": (5, 0),
        "decide": (5, 0),
        **ONES,
    }


def check_a_promotion(company: Company) -> None:
    """A proposed verdict runs nothing; promoted, the forecasts and what reads them; taken back, all is as it was."""
    proposed = contents(company.connection, ["champions"])
    for path, content in proposed.items():
        verdict = json.loads(content)
        verdict["h"]["1"]["champion"] = "drift.all"
        proposed[path] = json.dumps(verdict).encode()
    assert len(proposed) == 4
    before = made(company.connection, PROMOTED)
    assert (
        company.put("champions", {path.partition(":")[2]: content for path, content in proposed.items()})
        == {}
    )
    # The newcomer has no verdict yet.
    promoted = {"predict": (4, 1), "decide": (4, 1), **ONES}
    assert company.type("promote", "champions@master") == promoted
    assert made(company.connection, PROMOTED) != before
    said = json.loads(get_bytes(company.connection, "predict@master:/synthcoin-alpha.json"))
    assert said["champions_commit"] == head_of(company.connection, "champions@live")
    models = {step["model"]: step["model_commit"] for step in said["forecast"]}
    assert models["drift.all"] == head_of(company.connection, "train-naive@master")
    assert company.type("rollback", "champions@live") == promoted
    assert made(company.connection, PROMOTED) == before


def check_no_coin_left(company: Company) -> None:
    """Where no file can be read any more, nothing fails: the monitor says so, and the report names the files."""
    files = dict.fromkeys(path for path in company.prices if path.startswith("/raw/") and path not in ASIDE)
    found = company.put("prices", dict.fromkeys(files, b"\x89PNG no prices"))
    assert {name for name, counts in found.items() if counts[0]} == {"ingest", "audit", "monitor", "report"}
    alerts = [
        json.loads(line)
        for line in get_bytes(company.connection, "monitor@master:/alerts.jsonl").splitlines()
    ]
    assert alerts[0]["kind"] == "no_coin"
    assert {alert["kind"] for alert in alerts[1:]} == {"unreadable_file"}
    assert len(alerts) == 1 + len(files)
    page = get_bytes(company.connection, "report@master:/index.html").decode()
    assert "There is no coin to look at" in page
    assert "Newcoin" in page
