"""What two or more of the five documents ask for, one test each, on a small company: prices, a model, forecasts.

    prices /*  ->  clean /*  ->  forecast /*
    params /   ->  train /   ->  (cross, by branch live)

The steps are shell scripts, so that a test is about the engine; the same on the real steps is in test_main_job.py,
test_whole_company.py and test_company.py. A dashboard is asked for as well and comes with the console.

Read next: ../../docs/requirements.md (all that is asked for, and what shows it).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import branches, datums, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.watch import wait_for, wait_until_idle
from pachlet.clock import FakeClock
from tests.acceptance.test_cron import at
from tests.acceptance.test_remote_worker import Gate
from tests.acceptance.typed import Terminal
from tests.acceptance.words import create, ended, last_job, pfs_input, put, put_id, shell, tree
from tests.acceptance.worker_process import WorkerProcess
from tests.local_mail import mail_server

COINS = ("ada", "btc", "eth", "sol", "xmr")
CLEAN = "grep -q '^[0-9]*$' $prices || { echo $prices is no price; exit 1; }; cp $prices /pfs/out/"
TRAIN = "cat /pfs/params/scale > /pfs/out/model; echo $RANDOM_SEED >> /pfs/out/model"
FORECAST = "read scale < /pfs/train/model; read p < $clean; echo $((p * scale)) > /pfs/out/$(basename $clean)"

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture
def clock() -> FakeClock:
    return at("2024-03-01 10:30")


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock) -> Iterator[testing.RunningServer]:
    with testing.server(tmp_path / "data", clock=clock) as running:
        yield running


@pytest.fixture
def company(connection: Connection) -> Connection:
    """The company at work, its first model promoted."""
    for repo in ("prices", "params"):
        repos.create_repo(connection, repo)
    put(connection, "params@master", {"/scale": "2\n"})
    put(connection, "prices@master", {f"/{coin}": f"{10 + n}\n" for n, coin in enumerate(COINS)})
    create(connection, shell("clean", CLEAN, pfs_input("prices"), transform={"err_cmd": ["true"]}))
    create(
        connection, shell("train", TRAIN, pfs_input("params", "/"), transform={"env": {"RANDOM_SEED": "7"}})
    )
    branches.create_branch(connection, "train@live", head="master")
    inputs = {"cross": [pfs_input("clean"), pfs_input("train", "/", branch="live")]}
    create(connection, shell("forecast", FORECAST, inputs))
    return connection


@pytest.fixture
def terminal(server: testing.RunningServer, tmp_path: Path) -> Terminal:
    return Terminal(server.address, tmp_path)


def counts(connection: Connection, id: str) -> dict[str, tuple[int, int, int]]:
    done = wait_for(connection, [id])
    return {each.pipeline: (each.processed, each.skipped, each.failed) for each in done}


def test_i_it_runs_on_new_data_by_itself(company: Connection) -> None:
    id = put_id(company, "prices@master", {"/btc": "50\n", "/new": "1\n"})
    assert counts(company, id) == {"clean": (2, 4, 0), "forecast": (2, 4, 0)}
    assert tree(company, "forecast@master") == {
        "/ada": "20\n", "/btc": "100\n", "/eth": "24\n", "/new": "2\n", "/sol": "26\n", "/xmr": "28\n",
    }  # fmt: skip


def test_ii_it_runs_by_schedule_and_past_days_are_filled_in(
    company: Connection, clock: FakeClock, terminal: Terminal
) -> None:
    daily = {"cross": [{"cron": {"name": "tick", "spec": "0 1 * * *", "start": "2024-03-01T00:00:00Z"}},
                       pfs_input("forecast", "/", propagation_spec={"never": True})]}  # fmt: skip
    script = "for t in /pfs/tick/*; do cat /pfs/forecast/btc > /pfs/out/$(basename $t); done"
    pipelines.create_pipeline(company, shell("nightly", script, daily))
    clock.advance(24 * 3600)
    terminal.ok("wait", "commit", "nightly@master")
    wait_until_idle(company, ["default"])
    said = terminal.ok("backfill", "nightly", "--from", "2024-02-27", "--to", "2024-02-29", "--wait").out
    assert "the jobs of 2 ticks are over, 0 without success" in said
    days = [name[1:11] for name in sorted(tree(company, "nightly@master"))]
    assert days == ["2024-02-27", "2024-02-28", "2024-03-01", "2024-03-02"]
    assert (
        terminal.ok("backfill", "nightly", "--from", "2024-02-27", "--to", "2024-02-29").out
        == "tick: no tick is missing\n"
    )


def test_iii_a_failure_stops_what_depends_on_it_and_a_person_gets_a_mail(
    company: Connection, terminal: Terminal, tmp_path: Path
) -> None:
    with mail_server() as smtp:
        words = ("--once", "--smtp", smtp.at, "--mail-from", "us@example.org", "--mail-to", "ann@example.org")
        state = ("--state", str(tmp_path / "told"))
        terminal.ok("notify", *words, *state)
        pipelines.create_pipeline(
            company, shell("check", "test -s /pfs/params/scale", pfs_input("params", "/"))
        )
        create(company, shell("after", "true", pfs_input("check", "/")))
        id = put_id(company, "params@master", {"/scale": ""})
        states = {
            each.job.pipeline.name: jobs.state_of(each)
            for each in jobs.inspect_jobset(company, id, wait=True)
        }
        assert (states["check"], states["after"]) == ("JOB_FAILURE", "JOB_UNRUNNABLE")
        terminal.ok("notify", *words, *state)
        mail = smtp.next()
    assert "check" in mail["Subject"]
    assert mail["X-Recipients"] == "ann@example.org"
    assert "could not run because of it: default/after" in mail.get_content()


def test_iv_one_run_an_item_and_one_failure_an_item(company: Connection) -> None:
    id = put_id(company, "prices@master", {"/eth": "no price\n", "/sol": "99\n"})
    assert counts(company, id) == {"clean": (1, 3, 0), "forecast": (1, 3, 0)}
    job = f"clean@{id}"
    [left_out] = datums.list_datum(company, job, states=["RECOVERED"])
    assert left_out.data[0].file.path == "/eth"
    assert sorted(tree(company, "forecast@master")) == ["/ada", "/btc", "/sol", "/xmr"]


def test_v_training_is_apart_from_predicting_with_a_stored_model(company: Connection) -> None:
    model = tree(company, "train@master")["/model"]
    id = put_id(company, "prices@master", {"/btc": "50\n"})
    assert "train" not in counts(company, id)  # it is read, not made again
    assert tree(company, "train@master")["/model"] == model
    assert tree(company, "forecast@master")["/btc"] == "100\n"


def test_vi_a_model_is_compared_with_the_one_before_it_is_used(
    company: Connection, terminal: Terminal
) -> None:
    before = tree(company, "forecast@master")
    id = put_id(company, "params@master", {"/scale": "3\n"})
    assert counts(company, id) == {"train": (1, 0, 0)}
    assert tree(company, "forecast@master") == before  # nobody has approved it
    said = terminal.ok("promote", "train@master", "--dry-run").out
    assert "files that differ: /model" in said
    assert "default/forecast: 5 of 5 datums read what is different" in said
    terminal.ok("promote", "train@master", "--reason", "three is better than two", "--wait")
    assert tree(company, "forecast@master")["/btc"] == "33\n"
    terminal.ok("rollback", "train@live", "--reason", "it was not", "--wait")
    assert tree(company, "forecast@master") == before


def test_vii_which_data_code_and_parameters_made_this_forecast(
    company: Connection, terminal: Terminal
) -> None:
    tree_of_it = terminal.ok("trace", "forecast@master:/btc").out
    for part in (
        "default/prices@",
        ":/btc",
        "default/params@",
        "/scale",
        "default/train@",
        "default/clean@",
    ):
        assert part in tree_of_it
    assert not [coin for coin in COINS if coin != "btc" and f"/{coin}" in tree_of_it]
    spec = json.loads(terminal.ok("inspect", "pipeline", "train", "-o", "json").out)
    assert spec["details"]["transform"]["env"] == {"RANDOM_SEED": "7"}
    assert terminal.ok("verify", "forecast@master").status == 0  # made again, it is the same


def test_ix_the_load_is_spread_on_workers(tmp_path: Path) -> None:
    gate = Gate()
    with testing.server(tmp_path / "data", workers=0) as running, Connection(running.address) as connection:
        workers = [WorkerProcess(running.address, running.data_dir, tmp_path / f"worker{n}") for n in (1, 2)]
        repos.create_repo(connection, "in")
        put(connection, "in@master", {f"/{n}": "" for n in range(4)})
        pipelines.create_pipeline(
            connection, gate.spec(parallelism_spec={"constant": 2}, datum_set_spec={"number": 1})
        )
        for _ in range(2):
            # Each worker has one datum in hand at a time, and two are in hand here.
            with gate.meet() as first, gate.meet() as second:
                for met in (first, second):
                    met.sendall(b"go on\n")
        assert ended(last_job(connection, "p")) == ("SUCCESS", 4, 0, 0, 4)
        assert sorted(gate.runs) == [f"/pfs/in/{n}" for n in range(4)]
        assert [worker.end() for worker in workers] == [0, 0]
    gate.close()
