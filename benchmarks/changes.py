"""What a change of the whole company takes, end to end: a day of prices for all coins, a coin more, a model more.

Each is put as a user types it, `put file --wait`, on a server where the main job has run. Beside the seconds stand the
processor's seconds of command, server, workers and steps together, which a busy machine changes little, and each
stage: its seconds, and the datums that it ran and skipped, which are held against what should have (stages.py). The
programs that the company follows have no such thing: a new day, coin or model is everything again, whose time
forecasts.py takes (one process, and Celery with a broker: redis, or RabbitMQ as theirs was).

Read next: main_job.py (who asks, and the first run), stages.py, forecasts.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.process_tree import cpu_seconds
from benchmarks.serving import settle, timed
from benchmarks.stages import Expected, after_a_coin, after_a_model, after_new_prices, inputs_of, show, stages
from pachlet.client import jobs
from pachlet.client.connection import Connection
from pachlet.client.watch import head_of, wait_for

ROOT = Path(__file__).parent.parent

Make = Callable[[Path, Path], None]


def show_changes(address: str, prices: Path, work: Path) -> list[str]:
    """Make the changes, one after the other, and print what each took; return what did not run as it should."""
    wrong: list[str] = []
    with Connection(address, project="crypto") as crypto:
        for what, repo, folder, make in (
            ("one new day of prices for all coins", "prices", "/raw", a_day_more),
            ("a new coin", "prices", "/raw", a_coin_more),
            ("a new parameter file", "params", "/svm", a_model_more),
        ):
            local = work / repo / folder[1:] / what.replace(" ", "-")
            local.mkdir(parents=True)
            make(prices, local)
            settle(work)
            before = cpu_seconds(os.getpid())
            words = f"put file --wait --project crypto -r {repo}@master:{folder} -f".split()
            seconds = timed(partial(type_it, address, [*words, str(local)]))
            cpu = cpu_seconds(os.getpid()) - before
            head = head_of(crypto, f"{repo}@master")
            done = wait_for(crypto, [head])
            assert all(each.succeeded for each in done), done
            print(f"\n{what}: {seconds:.1f} s end to end, {cpu:.1f} s of processors", flush=True)
            expected = {f"crypto/{name}": each for name, each in expected_of(crypto, make, local).items()}
            told = show(stages(jobs.inspect_jobset(crypto, head)), expected)
            wrong += [f"{what}: {each}" for each in told]
    return wrong


def expected_of(crypto: Connection, make: Make, local: Path) -> Expected:
    """Say what a change should have run, now that it is there."""
    now = inputs_of(crypto)
    if make is a_day_more:
        return after_new_prices(now, now.files - len(list(local.iterdir())))
    return after_a_coin(now) if make is a_coin_more else after_a_model(now, "svm")


def type_it(address: str, words: list[str]) -> None:
    program = Path(sys.executable).with_name("pachctl")
    environ = {**os.environ, "PACHD_ADDRESS": address}
    quiet = subprocess.DEVNULL
    subprocess.run([program, *words], check=True, stdout=quiet, stderr=quiet, env=environ)


def a_day_more(prices: Path, out: Path) -> None:
    """Each coin's file with one day more, at its last price and two percent."""
    for path in sorted(prices.glob("*.csv")):
        header, newest, *rest = path.read_bytes().split(b"\r\n")
        if b"Close" in header and newest:
            quoted, _, numbers = newest.decode().partition('",')
            day = datetime.strptime(quoted, '"%b %d, %Y').date() + timedelta(days=1)
            price = float(numbers.split(",")[3]) * 1.02
            line = f'"{day:%b %d, %Y}",{price},{price},{price},{price},-,-'
            (out / path.name).write_bytes(b"\r\n".join([header, line.encode(), newest, *rest]))


def a_coin_more(prices: Path, out: Path) -> None:
    """A coin's file without its newest days, under another name."""
    path = max(prices.glob("*.csv"), key=lambda each: (each.stat().st_size, each.name))
    header, *rows = path.read_bytes().split(b"\r\n")
    (out / "Another Coin.csv").write_bytes(b"\r\n".join([header, *rows[3:]]))


def a_model_more(prices: Path, out: Path) -> None:
    """A support vector machine with another C."""
    known = json.loads((ROOT / "data" / "params" / "svm" / "rbf1.json").read_text())
    (out / "another.json").write_text(json.dumps({**known, "C": 2 * known["C"]}))
