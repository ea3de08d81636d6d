"""What a runner adds to each datum, beside a plain process and `podman run`.

    python -m benchmarks.runners [--datums 20] [--rounds 5]

The step is a shell that copies one small file. Each way takes a turn in each round, in an order that changes, for some
datums (fewer where each takes a container of its own); what counts is the median time of one. A runner's turn is as a
worker takes it: the folders emptied, the input laid out, the attempt run to its end. Where no container engine answers,
its ways are left out, and that is said.

Read next: ../pachlet/worker/interface.py, ../docs/containers.md.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from images.debian_base import REPOSITORY, TAG, import_debian_base
from pachlet.errors import PachletError
from pachlet.worker.containers.engine import Engine, find_engine
from pachlet.worker.containers.runner import ContainerRunner
from pachlet.worker.containers.service import podman_options
from pachlet.worker.containers.session import ContainerSession
from pachlet.worker.interface import Runner, Session, Transform
from pachlet.worker.process import ProcessRunner

SCRIPT = "cat /pfs/in/f > /pfs/out/f"
IMAGE = f"{REPOSITORY}:{TAG}"
FEW = 5
"""Datums a round of the ways that take a tenth of a second and more."""

Datum = Callable[[], None]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time what each runner adds to a datum.")
    parser.add_argument("--datums", type=int, default=20, help="datums of each way in a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name, contextlib.ExitStack() as stack:
        work = Path(name)
        ways = dict(plain(work / "plain"))
        ways |= stack.enter_context(by_processes(work / "process"))
        try:
            engine = find_engine()
        except PachletError as problem:
            print(f"no containers: {problem}")
        else:
            stack.callback(engine.close)
            import_debian_base(engine, print)
            ways |= stack.enter_context(by_containers(engine, work / "container"))
            ways |= dict(by_podman_run(engine, work / "podman"))
        show(measure(ways, arguments.datums, arguments.rounds))


def measure(ways: dict[str, tuple[Datum, bool]], datums: int, rounds: int) -> dict[str, list[float]]:
    """Take each way's turns; return the seconds of each datum but the first of a way, which makes what stays."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for datum, _ in ways.values():
        datum()
    chance = random.Random(1)
    for _ in range(rounds):
        order = list(ways)
        chance.shuffle(order)
        for way in order:
            datum, is_slow = ways[way]
            for _ in range(min(FEW, datums) if is_slow else datums):
                started = time.perf_counter()
                datum()
                times[way].append(time.perf_counter() - started)
    return times


def show(times: dict[str, list[float]]) -> None:
    """Print the medians, and each as a multiple of a plain process."""
    base = statistics.median(times[PLAIN])
    for way, each in times.items():
        median = statistics.median(each)
        print(f"{way:<44}{median * 1000:9.1f} ms a datum   {median / base:7.1f} times a plain process")


PLAIN = "a plain process"


def plain(folder: Path) -> Iterator[tuple[str, tuple[Datum, bool]]]:
    """Give the way of `subprocess` alone: what nothing can be faster than."""
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    script = SCRIPT.replace("/pfs", str(folder))

    def datum() -> None:
        (folder / "in" / "f").write_text("hello\n")
        subprocess.run(["sh", "-c", script], check=True)

    yield PLAIN, (datum, False)


@contextlib.contextmanager
def by_processes(folder: Path) -> Iterator[dict[str, tuple[Datum, bool]]]:
    """Give the process runner's way: a sandbox that stays with its worker."""
    runner = ProcessRunner(folder, folder / "envs")
    with contextlib.closing(runner):
        if reason := runner.probe():
            print(f"no sandbox: {reason}")
            yield {}
            return
        with contextlib.closing(opened(runner, folder, "debian")) as session:
            yield {"the process runner": (on(session), False)}


@contextlib.contextmanager
def by_containers(engine: Engine, folder: Path) -> Iterator[dict[str, tuple[Datum, bool]]]:
    """Give the container runner's two ways: a container that stays with its worker, and one for each datum."""
    runner = ContainerRunner(folder, f"benchmark {folder}", engine)
    warm = opened(runner, folder / "warm", IMAGE)
    fresh = opened(runner, folder / "fresh", IMAGE)
    assert isinstance(fresh, ContainerSession)
    fresh._launcher._has_shell = False  # as if the image had none
    with contextlib.closing(warm), contextlib.closing(fresh):
        yield {
            "the container runner, warm": (on(warm), False),
            "the container runner, image without a shell": (on(fresh), True),
        }


def by_podman_run(engine: Engine, folder: Path) -> Iterator[tuple[str, tuple[Datum, bool]]]:
    """Give the way of a shell script around the engine's command line."""
    if not engine.program:
        return
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    options = podman_options() if engine.name == "podman" else []
    limits = [
        word
        for each in engine.ulimits
        for word in ("--ulimit", f"{each['Name']}={each['Soft']}:{each['Hard']}")
    ]
    words = ["run", "--rm", "--network", "none", *limits, "--volume", f"{folder}:/pfs", IMAGE, "sh", "-c"]

    def datum() -> None:
        (folder / "in" / "f").write_text("hello\n")
        subprocess.run([engine.program, *options, *words, SCRIPT], check=True)

    yield f"{engine.name} run", (datum, True)


def opened(runner: Runner, folder: Path, image: str) -> Session:
    """Open a worker for the step."""
    prepared = runner.prepare(runner.resolve(image), folder / "snapshot", print)
    return runner.open(prepared, Transform(image, cmd=("sh", "-c", SCRIPT)), folder / "session", {})


def on(session: Session) -> Datum:
    """Return what a worker does for a datum."""

    def datum() -> None:
        session.clear()
        (session.pfs / "in").mkdir()
        (session.pfs / "in" / "f").write_text("hello\n")
        outcome = session.run({}, print)
        if not outcome.ok:
            raise SystemExit(outcome.reason)

    return datum


if __name__ == "__main__":
    main()
