"""The seed's own job (W7): every coin's newest 200 prices, 10 steps ahead, linear in time and by the seed's LSTM.

    python -m benchmarks.forecasts [--data FOLDER] [--models linear,lstm] [--coins 100] [--rounds 3]

Ours is timed as a user types it: `put file --wait` from the folder to the last committed forecast, with the server
running, its pipeline defined and no session warm; each forecast is sandboxed and has its provenance, which is looked
at. Then one coin gets a new price, and only that coin's forecast is made again, by a worker that is still warm.

Beside it, in the same round: one process that does all coins one after the other and records nothing (the limit), and
Celery with two workers on RabbitMQ and on redis, where they are installed (brokers.py): as it comes, and as the seed
sets it, where a worker process does one task and is replaced. The latter takes a few coins of a slow model only, and
says so. Celery beside the packages of an image: `python3.11 -m venv V`, then `V/bin/pip install celery[redis]` and
`--celery V/bin/python`.

Read next: forecast_models.py (what is run), forecast_celery.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.brokers import Addresses, Broker, installed_brokers
from benchmarks.comparing import LIMIT, OURS, Comparison
from benchmarks.serving import ROOT, load, price_folder, serving, settle, timed
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.config import default_envs
from pachlet.worker.interface import Prepared
from pachlet.worker.process import ProcessRunner

BASES = {"linear": "base-sklearn", "lstm": "base-tensorflow"}
COLD, WARM = {"linear": 8.0, "lstm": 120.0}, {"linear": 1.5, "lstm": 15.0}
"""Seconds: the targets for all coins with nothing warm, and for one coin after that."""
_ROWS = 400
_IMAGE = """ARG BASE=pachlet/{base}:1
FROM ${{BASE}}
COPY pachlet/step.py /app/pachlet/step.py
COPY forecast_models.py /app/forecast_models.py
WORKDIR /app
ENV OMP_NUM_THREADS=1
ENV OPENBLAS_NUM_THREADS=1
"""
_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_AS_IT_COMES, _AS_THE_SEED_SETS_IT = (), ("--max-tasks-per-child", "1")
_FRESH_COINS = {"linear": 100, "lstm": 10}
"""At most, where each has a process of its own: importing TensorFlow for each of 100 takes ten minutes."""


@dataclass(frozen=True)
class Model:
    """A model and the environment that its image has."""

    name: str
    code: Path
    prepared: Prepared

    @property
    def packages(self) -> Path:
        """The folder of the image's packages."""
        assert self.prepared.environment is not None
        return next(self.prepared.environment.glob("lib/python3.*/site-packages"))

    def alone(self, prices: Path, out: Path) -> None:
        """Do all coins in one process, one after the other."""
        assert self.prepared.environment is not None
        program = self.prepared.environment / "bin" / "python"
        words = [program, self.code / "forecast_models.py", self.name, "--all", prices, out]
        subprocess.run(words, check=True, env={**os.environ, **_THREADS})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time the seed's own job.")
    parser.add_argument("--data", type=Path, help="a folder of price files; default: made-up coins")
    parser.add_argument("--models", default="linear,lstm")
    parser.add_argument("--coins", type=int, default=100, help="at most")
    parser.add_argument("--rounds", type=int, default=3, help="of lstm there is one")
    parser.add_argument("--celery", type=Path, help="a Python of the images' version that has celery[redis]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        work = Path(name)
        prices = work / "prices"
        take_prices(prices, arguments.data, arguments.coins)
        brokers = installed_brokers() if arguments.celery else {}
        if arguments.celery is None:
            print("no Python with Celery was named (--celery), so it is not measured", flush=True)
        for each in arguments.models.split(","):
            model = make_model(each, work / each)
            celery = Celery(work, prices, model, arguments.celery)
            run(work, prices, model, arguments.rounds if each == "linear" else 1, celery, brokers)


def take_prices(folder: Path, data: Path | None, most: int) -> None:
    """Make a folder of price files, real ones where there are some."""
    folder.mkdir()
    if data is not None:
        source = price_folder(data)
        # as the seed does: a name with 100 in it is that of the list of coins
        found = sorted(each for each in source.glob("*.csv") if "100" not in each.name)[:most]
        for each in found:
            shutil.copy(each, folder / each.name)
        print(f"{len(found)} coins of {source}, {load()}", flush=True)
        return
    print(
        f"{most} made-up coins; real prices are not part of this repository (README.md says where they are)"
    )
    chance = random.Random(1)
    for number in range(most):
        price, rows = 10 ** chance.uniform(-3, 3), ["Date,Open,High,Low,Close,Volume,Market Cap"]
        for day in range(_ROWS):
            price *= 1 + chance.gauss(0, 0.04)
            rows.append(f'"day {day}",{price},{price},{price},{price},-,-')
        (folder / f"Made Up {number:03}.csv").write_text("\n".join(rows) + "\n")


def make_model(name: str, code: Path) -> Model:
    """Make a code folder with the image of a model, and its environment."""
    for each in (ROOT / "images").glob("base-*"):  # a base stands on others
        shutil.copytree(each, code / "images" / each.name)
    (code / "images" / name).mkdir()
    (code / "images" / name / "Dockerfile").write_text(_IMAGE.format(base=BASES[name]))
    (code / "pachlet").mkdir()
    shutil.copy(ROOT / "pachlet" / "step.py", code / "pachlet")
    shutil.copy(ROOT / "benchmarks" / "forecast_models.py", code)
    runner = ProcessRunner(code, default_envs())
    try:
        return Model(name, code, runner.prepare(runner.resolve(f"pachlet/{name}"), code / "snapshot", print))
    finally:
        runner.close()


def run(
    work: Path, prices: Path, model: Model, rounds: int, celery: Celery, brokers: Mapping[str, Broker]
) -> None:
    """Take the rounds of a model and print what they took."""
    every = Comparison(f"{model.name}, every coin, nothing warm")
    one = Comparison(f"{model.name}, one coin with a new price")
    for _ in range(rounds):
        plain, ours = work / "plain", work / "ours"
        plain.mkdir()
        every.times[LIMIT].append(timed(partial(model.alone, prices, plain)))
        take_our_turn(work, prices, model, ours, every, one)
        compare(plain, ours, model.name)
        for name, broker in brokers.items():
            with broker(work) as addresses:
                every.times[f"celery + {name}"].append(celery.take_turn(addresses, _AS_IT_COMES))
        for each in (plain, ours):
            shutil.rmtree(each)
    fewer = min(len(list(prices.iterdir())), _FRESH_COINS[model.name])
    fresh = Comparison("")
    for name, broker in brokers.items():  # once, for it takes a while
        with broker(work) as addresses:
            fresh.times[name].append(celery.take_turn(addresses, _AS_THE_SEED_SETS_IT, fewer))
    every.show(most_seconds=COLD[model.name])
    for name in fresh.times:
        took = fresh.median(name)
        print(
            f"    celery + {name}, a process for each task, {fewer} coins: {took:.2f} s, {took / fewer:.2f} s a coin"
        )
    one.show(most_seconds=WARM[model.name])


def take_our_turn(
    work: Path, prices: Path, model: Model, out: Path, every: Comparison, one: Comparison
) -> None:
    """Do all coins, and then one that has a new price; leave all forecasts of the first time in a folder."""
    with serving(work / "data", code=model.code) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "prices")
        spec = {
            "pipeline": {"name": model.name},
            "input": {"pfs": {"repo": "prices", "glob": "/*"}},
            "transform": {
                "image": f"pachlet/{model.name}",
                "cmd": ["python", "forecast_models.py", model.name],
                "datum_batching": True,
            },
            "parallelism_spec": {"constant": 2},
        }
        pipelines.create_pipeline(connection, spec)
        settle(work)
        every.times[OURS].append(
            timed(lambda: server.pachctl("put", "file", "--wait", "-r", "prices@master:/", "-f", prices))
        )
        server.pachctl("get", "file", "-r", f"{model.name}@master:/", "-o", out)
        source = sorted(prices.iterdir())[0]
        changed = work / "changed.csv"
        head, first, *rest = source.read_text().splitlines(keepends=True)
        changed.write_text("".join([head, first, first, *rest]))
        target = f"prices@master:/{source.name}"
        one.times[OURS].append(timed(lambda: server.pachctl("put", "file", "--wait", target, "-f", changed)))
        result = f"/{source.stem}.json"
        now = json.loads(get_bytes(connection, f"{model.name}@master:{result}"))
        assert len(now) == 10, f"{result} is no forecast"
        assert now != json.loads((out / result[1:]).read_text()), "the new price made no difference"
        check_provenance(server.address, f"{model.name}@master:{result}", source.name)
    shutil.rmtree(work / "data")


def check_provenance(address: str, result: str, source: str) -> None:
    """See that a forecast leads back to the file that it was made from."""
    program = Path(sys.executable).with_name("pachlet")
    environ = {**os.environ, "PACHD_ADDRESS": address}
    told = subprocess.run([program, "trace", result], check=True, capture_output=True, text=True, env=environ)
    assert f"/{source}" in told.stdout, f"{result} does not lead to {source}"


def compare(plain: Path, ours: Path, name: str) -> None:
    """See that both made the same forecasts."""
    names = sorted(each.name for each in plain.iterdir())
    assert names == sorted(each.name for each in ours.iterdir()), "some forecasts are missing"
    for each in names:
        expected, found = (json.loads((folder / each).read_text()) for folder in (plain, ours))
        assert len(expected) == len(found), f"{each}: {len(found)} steps instead of {len(expected)}"
        if name == "linear":  # the network's sums depend on the order of threads
            assert expected == found, f"{each} is another forecast"


@dataclass(frozen=True)
class Celery:
    """Celery's workers and the seed's manager, beside the packages of a model's image."""

    work: Path
    prices: Path
    model: Model
    python: Path

    def take_turn(self, addresses: Addresses, words: Sequence[str], coins: int | None = None) -> float:
        """Return the seconds from the start of the manager, with workers that wait, to the last result."""
        out, sent = self.work / "celery", self.work / "sent"
        out.mkdir()
        sent.mkdir()
        for source in sorted(self.prices.iterdir())[:coins]:
            (sent / source.name).symlink_to(source)
        path = os.pathsep.join([str(ROOT), str(self.model.packages)])
        environ = {
            **os.environ,
            **_THREADS,
            "PYTHONPATH": path,
            "FORECAST_BROKER": addresses.broker,
            "FORECAST_RESULTS": addresses.results,
        }
        with self._workers(environ, words):
            manager = [self.python, "-m", "benchmarks.forecast_celery", self.model.name, sent, out]
            took = timed(lambda: subprocess.run(manager, check=True, env=environ, cwd=self.work))
        assert len(list(out.iterdir())) == len(list(sent.iterdir())), "some forecasts are missing"
        for each in (out, sent):
            shutil.rmtree(each)
        return took

    @contextlib.contextmanager
    def _workers(self, environ: Mapping[str, str], words: Sequence[str]) -> Iterator[None]:
        app = [self.python, "-m", "celery", "-A", "benchmarks.forecast_celery"]
        options = ["--concurrency", "2", "-O", "fair", "--prefetch-multiplier", "1", "--loglevel", "ERROR"]
        workers = subprocess.Popen(
            [*app, "worker", *options, *words],
            env=environ,
            cwd=self.work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            ask = [*app, "inspect", "ping", "--timeout", "1"]
            while subprocess.run(
                ask, env=environ, cwd=self.work, capture_output=True, check=False
            ).returncode:
                assert workers.poll() is None, "Celery's workers did not start"
            yield
        finally:
            workers.terminate()
            workers.wait()


if __name__ == "__main__":
    main()
