"""The main job as a user runs it: from nothing to forecasts, again, after a changed row, after changed code.

On a few coins and without TensorFlow's models, since what is counted is datums; all of it runs in
../docs/test_readme.py, and on the published prices in the soak.

Read next: clone.py, test_whole_company.py.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.cli.progress import Progress
from pachlet.client import datums, jobs, logs, pipelines, watch
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.errors import PachletError
from pipelines import main_job
from pipelines.making import price_files
from tests.acceptance.clone import ROOT, Clone
from tests.acceptance.words import recorded

ONE_EACH = {
    "ingest",
    "audit",
    "standardise",
    "split",
    "backtest",
    "backtest-global",
    "train-global",
    "score",
    "compare",
    "train-naive",
    "train-linear",
    "train-svm",
} | {
    "predict",
    "decide",
    "ledger",
    "monitor",
    "store",
    "report",
}

# What one changed row runs where it is not one datum: one for each parameter file, or all that read a global model.
MORE = {"train-naive": 2, "backtest": 4, "predict": 4, "decide": 4}
MODELS = ("naive/last", "drift/all", "linear/ridge", "svm/rbf1", "global/lad")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    made = Clone(tmp_path / "clone")
    yield made
    made.stop()


def counts(text: str) -> dict[str, tuple[int, int, int]]:
    """Read `crypto/ingest  success: processed 1, skipped 2, failed 0` lines."""
    found = re.findall(
        r"^ *(?:crypto/|iris/)?([a-z-]+):? .*?processed (\d+), skipped (\d+), failed (\d+)", text, re.M
    )
    return {name: (int(done), int(kept), int(failed)) for name, done, kept, failed in found}


def test_main_job_runs_and_reruns_only_what_changed(clone: Clone) -> None:
    clone.keep_models(*MODELS)
    coins = clone.few_coins()
    first = clone.main_job("--data", coins)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "*** SYNTHETIC DATA ***" in first.stdout
    assert "Synthcoin Alpha" in first.stdout
    for name in ("overview.png", "png/synthcoin-alpha.png"):
        assert (clone.data_dir / "output" / "report" / name).read_bytes().startswith(b"\x89PNG")
    tree = first.stdout[first.stdout.index("where crypto/train-svm") :]
    for part in ("datum", "job ", "spec ", "pachlet/crypto-train-svm@sha256:", "crypto/prices@", ":/raw/"):
        assert part in tree
    everything = counts(first.stdout)
    assert set(everything) >= ONE_EACH

    again = clone.main_job("--data", coins)
    assert again.returncode == 0
    assert "nothing to recompute: 0 datums processed" in again.stdout

    check_verified(clone)
    check_changed_row(clone, everything)
    check_changed_code(clone, everything)
    check_changed_requirement(clone)


def check_verified(clone: Clone) -> None:
    """What `make verify` runs makes every file once more, and each is what is stored."""
    words = [sys.executable, "-m", "pipelines.verify", "--data-dir", clone.data_dir, "--port", "0"]
    done = subprocess.run(words, cwd=clone.folder, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(r"verified (\d+) of (\d+) files identical", last)
    assert found, done.stdout + done.stderr
    assert found[1] == found[2] != "0"
    assert done.returncode == 0


def check_changed_row(clone: Clone, everything: dict[str, tuple[int, int, int]]) -> None:
    """One changed row: that coin's datums, and those of the stages that gather or learn from all coins."""
    with Connection(clone.server()["address"], project="crypto") as crypto:
        raw = get_bytes(crypto, "prices@master:/raw/Synthcoin Alpha.csv")
    lines = raw.split(b"\r\n")
    changed = clone.folder / "changed.csv"
    price = re.compile(rb'^("[^"]+",)([0-9.]+,[0-9.]+,[0-9.]+),([0-9.]+)')
    lines[1] = price.sub(lambda m: m[1] + m[2] + b"," + m[2].split(b",")[1], lines[1])
    changed.write_bytes(b"\r\n".join(lines))
    assert changed.read_bytes() != raw
    told = clone.pachctl(
        *(
            "put",
            "file",
            "prices@master:/raw/Synthcoin Alpha.csv",
            "-f",
            changed,
            "--wait",
            "--project",
            "crypto",
        )
    )
    seen = {name: found for name, found in counts(told).items() if any(found)}  # some have no models to make
    assert set(seen) == ONE_EACH
    for name, (processed, skipped, failed) in seen.items():
        total = everything[name][0]
        run = MORE.get(name, 1)
        assert (processed, skipped, failed) == (run, total - run, 0), name


def check_changed_code(clone: Clone, everything: dict[str, tuple[int, int, int]]) -> None:
    """One changed line of a step: all of that stage's datums, and downstream none, as its output is the same."""
    step = clone.folder / "steps" / "crypto" / "train_linear.py"
    step.write_text(step.read_text() + "\n# one more line\n")
    told = clone.main_job().stdout
    assert re.search(r"train-linear: code changed \(steps/crypto/train_linear.py\), reprocessing", told)
    seen = counts(told)
    assert seen["train-linear"] == everything["train-linear"] == (4, 0, 0)
    assert {name: done for name, (done, _, _) in seen.items() if name != "train-linear"} == {
        "predict": 0,
        "decide": 0,
        "monitor": 0,
        "report": 0,
        "store": 0,
    }


def check_changed_requirement(clone: Clone) -> None:
    """A changed requirement of one image: that stage's one datum."""
    lock = clone.folder / "images" / "crypto-report" / "requirements.txt"
    lock.write_text(lock.read_text() + "# one more line\n")
    told = clone.main_job().stdout
    assert re.search(r"report: code changed \(images/crypto-report/requirements.txt\), reprocessing", told)
    assert counts(told) == {"report": (1, 0, 0)}


def test_kill_in_the_middle_of_the_main_job_loses_and_repeats_nothing(clone: Clone) -> None:
    clone.keep_models("naive/last", "svm/rbf1", "global/lad")
    coins = clone.few_coins()
    running = clone.start_main_job("--data", coins)
    recorded = wait_for_some_datums(clone, "train-svm", 2)
    pid = int(clone.server()["pid"])
    os.kill(pid, signal.SIGKILL)
    running.communicate(timeout=120)
    after = clone.main_job("--data", coins)
    assert after.returncode == 0, after.stdout + after.stderr
    with Connection(clone.server()["address"], project="crypto") as crypto:
        (job,) = jobs.list_job(crypto, pipeline="train-svm")
        assert jobs.state_of(job) == "JOB_SUCCESS"
        begun = Counter(
            line.datum_id
            for line in logs.get_logs(crypto, job=f"train-svm@{job.job.id}")
            if line.message == "beginning to run user code"
        )
        made = [info.datum.id for info in datums.list_datum(crypto, f"train-svm@{job.job.id}")]
    assert len(made) == len(set(made)) == 4
    assert {id: begun[id] for id in recorded} == dict.fromkeys(recorded, 1)
    assert "Synthcoin Alpha" in after.stdout


def wait_for_some_datums(clone: Clone, pipeline: str, count: int) -> list[str]:
    """Return the ids of the datums that a job has recorded, once there are some and before there are all."""
    address = wait_for_server(clone)
    with Connection(address, project="crypto") as crypto:
        next(iter(subscribe_when_there(crypto, pipeline)))
        return recorded(crypto, pipeline, count)


def wait_for_server(clone: Clone) -> str:
    while True:
        try:
            address = clone.server()["address"]
            with Connection(address) as connection:
                list(connection.call("pfs_v2.API", "ListProject", {}))
            return address
        except (OSError, ValueError, PachletError):
            continue


def subscribe_when_there(crypto: Connection, pipeline: str) -> Iterator[object]:
    while True:
        try:
            yield from jobs.subscribe_job(crypto, pipeline)
        except PachletError:
            continue


@pytest.mark.soak
def test_main_job_on_the_published_prices(clone: Clone, real_data: Path) -> None:
    done = clone.main_job("--data", real_data / "crypto" / "raw")
    assert done.returncode == 0, done.stdout + done.stderr
    with Connection(clone.server()["address"], project="crypto") as crypto:
        totals = json.loads(get_bytes(crypto, "audit@master:/totals.json"))
        summary = json.loads(get_bytes(crypto, "report@master:/summary.json"))
        outcomes = [watch.outcome(info) for info in jobs.list_job(crypto)]
    check_totals(totals, real_data)
    usable = [coin for coin in summary["coins"] if coin["forecast"]]
    assert len(usable) == 94
    for coin in usable:
        for step in coin["forecast"].values():
            prices = [step["lo80"], step["point"], step["hi80"]]
            assert all(math.isfinite(each) and each > 0 for each in prices), coin["slug"]
            assert prices == sorted(prices), coin["slug"]
    assert all(each.succeeded for each in outcomes)


def test_published_prices_add_up(real_data: Path, tmp_path: Path) -> None:
    """As far as the first stages, which repair and count: what is learnt of all coins takes minutes."""
    with (
        testing.server(tmp_path / "data", code=ROOT) as server,
        Connection(server.address, project="crypto") as crypto,
    ):
        main_job.put_crypto_data(
            crypto,
            price_files(real_data / "crypto" / "raw"),
            Progress(io.StringIO(), live=False, colour=False),
        )
        for name in ("ingest", "audit"):
            pipelines.create_pipeline(
                crypto, json.loads((ROOT / "pipelines/crypto" / f"{name}.json").read_text())
            )
        (ended,) = watch.wait_for(crypto, [watch.head_of(crypto, "audit@master")])[-1:]
        assert ended.succeeded, ended
        check_totals(json.loads(get_bytes(crypto, "audit@master:/totals.json")), real_data)


def check_totals(totals: dict[str, object], real_data: Path) -> None:
    """What was found in the published prices is what is known of them."""
    expected = json.loads((real_data / "crypto" / "EXPECTED.json").read_text())
    for key, value in expected.items():
        if not isinstance(value, dict | list):
            assert totals[key] == value, key
    assert totals["distinct_coins"] == 99
