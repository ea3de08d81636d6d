"""Kill -9 of companions, of what forks them, of their steps and of their server while they run datums: each output is
there once, as the last commit of the input says.

Read next: pachlet/worker/companion.py, ../acceptance/test_companions.py (each case by itself).
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection
from tests.acceptance.batching_step import batching_step
from tests.acceptance.processes import descendants
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import ended, last_job, pfs_input, put, tree

STEP = """
import os
from pathlib import Path
from pachlet.step import main

def run(inputs, out):
    name = os.environ["in"].rpartition("/")[2]
    sum(range(200_000))  # so that there is something to be killed
    (out / name).write_text((inputs / "in" / name).read_text().upper())

main(run, batching=True)
"""
NAMES = [f"/f{number:03}" for number in range(120)]


def victims(server: int) -> Iterator[tuple[str, int]]:
    """Yield what may be killed below a server, by kind."""
    for each in descendants(server):
        with suppress(OSError):
            words = Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")
            parent = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
            if any(word.endswith(b"companion_process.py") for word in words):
                yield "nursery" if parent == server else "companion", each
            elif b"batch.py" in words:
                yield "step", each


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="sample"), pytest.param(60, id="many", marks=pytest.mark.soak)]
)
def test_each_output_is_there_once_whatever_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    code, data = tmp_path / "code", tmp_path / "data"
    transform = batching_step(code, STEP, monkeypatch)
    before = (
        "from pathlib import Path; import pytest; from tests.acceptance.batching_step import batching_step; "
        f"batching_step(Path({str(code)!r}), {STEP!r}, pytest.MonkeyPatch())\n"
    )
    seed = 20261127 + int(os.environ.get("PACHLET_SOAK_SEED", "0"))
    chance, killed, moment = random.Random(seed), Counter[str](), threading.Event()
    spec = {
        "pipeline": {"name": "p"},
        "transform": transform,
        "input": pfs_input("in"),
        "parallelism_spec": {"constant": 2},
        "datum_set_spec": {"number": 40},
        "datum_tries": 20,  # a step that is killed counts as one that failed
    }
    text = ""
    while sum(killed.values()) < kills:
        with (
            ServerProcess(data, "--code", str(code), before=before) as server,
            Connection(server.address) as connection,
        ):
            if not text:
                repos.create_repo(connection, "in")
                pipelines.create_pipeline(connection, spec)
            while sum(killed.values()) < kills:
                text = f"text {chance.random()}"
                put(connection, "in@master", {name: f"{name} {text}" for name in NAMES})
                moment.wait(chance.uniform(0.1, 0.9))
                found = [*victims(server.process.pid), ("server", server.process.pid)]
                kinds = sorted({kind for kind, _ in found})
                kind = "companion" if "companion" in kinds and chance.random() < 0.5 else chance.choice(kinds)
                killed[kind] += 1
                if kind == "server":
                    server.kill()
                    break
                with suppress(ProcessLookupError):
                    os.kill(chance.choice([each for of, each in found if of == kind]), signal.SIGKILL)
                if chance.random() < 0.5:
                    assert ended(last_job(connection, "p")) == ("SUCCESS", len(NAMES), 0, 0, len(NAMES))
    with (
        ServerProcess(data, "--code", str(code), before=before) as server,
        Connection(server.address) as connection,
    ):
        assert ended(last_job(connection, "p")) == ("SUCCESS", len(NAMES), 0, 0, len(NAMES))
        assert {ended(each)[0] for each in jobs.list_job(connection, pipeline="p")} == {"SUCCESS"}
        assert tree(connection, "p@master") == {name: f"{name} {text}".upper() for name in NAMES}
        assert server.terminate() == 0
    print("kills:", dict(killed))
