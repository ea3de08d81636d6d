"""Commits arrive as fast as they are worked off, above a chain of pipelines and above a fan of them, for minutes.

Every commit set ends, in the order in which it began, with its own content in every pipeline; and afterwards the server
has as many threads, descriptors and processes as after the first few sets, and no more memory than a stated bound.

The soak keeps a few sets in flight on each of the two repos, so the rate is the highest that is sustained, and it says
which that is. Each job has one new datum, which is a process in a sandbox.

Read next: test_load.py (readers and a writer), benchmarks/many_pipelines.py (what a job costs without its step).
"""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.jobs import state_of
from pachlet.client.watch import head_of
from tests.acceptance.processes import descendants
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import pfs_input, put, tree

FILES = 10
"""So many files there are in each repo; a commit puts a new one in the place of one of them."""
IN_FLIGHT = 3
"""So many sets of a repo are not awaited yet."""
THREADS, DESCRIPTORS = 16, 128
"""So many more it may have: pools fill as they are needed, and a connection to the database has two descriptors. What
leaks leaks thousands."""
MEMORY = 80 << 20
"""So many bytes more it may hold: its cache of nodes of file trees, which fills, has 64 MiB."""


@dataclass(frozen=True)
class Size:
    """How large a load is."""

    chain: int
    fan: int
    warm: Callable[[int, float], bool]
    """Whether the first part is over, after so many commits of a repo and seconds."""
    over: Callable[[int, float], bool]


SAMPLE = Size(3, 4, lambda commits, seconds: commits >= 3, lambda commits, seconds: commits >= 6)
SOAK = Size(20, 50, lambda commits, seconds: seconds >= 30, lambda commits, seconds: seconds >= 120)


@dataclass(frozen=True)
class Holding:
    """What a process holds."""

    threads: int
    descriptors: int
    processes: int
    memory: int

    @classmethod
    def of(cls, server: ServerProcess) -> Holding:
        """Look at a server that has nothing to do."""
        place = Path(f"/proc/{server.process.pid}")
        pages = int((place / "statm").read_text().split()[1])
        return cls(
            len(os.listdir(place / "task")),
            len(os.listdir(place / "fd")),
            len(descendants(server.process.pid)),
            pages * os.sysconf("SC_PAGESIZE"),
        )


@dataclass
class Source:
    """A repo that commits arrive in."""

    repo: str
    pipelines: list[str]
    address: str
    content: dict[str, str] = field(default_factory=dict)
    sets: list[str] = field(default_factory=list)

    def work(self, is_over: Callable[[int, float], bool], seed: int) -> None:
        """Commit until it is over, a few sets ahead of the one that is awaited."""
        chance, began, made = random.Random(seed), time.monotonic(), 0
        waiting: deque[str] = deque()
        with Connection(self.address) as connection:
            while not is_over(made, time.monotonic() - began):
                path, text = f"/{chance.randrange(FILES)}", f"{self.repo} {len(self.sets)}"
                put(connection, f"{self.repo}@master", {path: text})
                self.content[path] = text
                self.sets.append(head_of(connection, f"{self.repo}@master"))
                waiting.append(self.sets[-1])
                made += 1
                if len(waiting) == IN_FLIGHT:
                    commits.wait_commitset(connection, waiting.popleft())
            for each in waiting:
                commits.wait_commitset(connection, each)


def copy(name: str, repo: str) -> dict[str, Any]:
    """Make the spec of a pipeline that copies each file of a repo, a datum for each."""
    transform = {"image": "alpine", "cmd": ["cp", "-r", "/pfs/in/.", "/pfs/out/"]}
    return {
        "pipeline": {"name": name},
        "transform": transform,
        "input": pfs_input(repo, name="in"),
    }


def build(connection: Connection, size: Size, address: str) -> list[Source]:
    """Make the chain and the fan."""
    chain = Source("chain", [f"chain-{each}" for each in range(size.chain)], address)
    fan = Source("fan", [f"fan-{each}" for each in range(size.fan)], address)
    for source in (chain, fan):
        repos.create_repo(connection, source.repo)
    for name, above in zip(chain.pipelines, [chain.repo, *chain.pipelines], strict=False):
        pipelines.create_pipeline(connection, copy(name, above))
    for name in fan.pipelines:
        pipelines.create_pipeline(connection, copy(name, fan.repo))
    for name in (*chain.pipelines, *fan.pipelines):
        commits.wait_commitset(connection, head_of(connection, f"{name}@master"))
    return [chain, fan]


def rounds(sources: list[Source], is_over: Callable[[int, float], bool], seed: int) -> float:
    """Let both repos have their commits at once; return how many jobs ended in a second."""
    began, before = time.monotonic(), [len(each.sets) for each in sources]
    with ThreadPoolExecutor(len(sources)) as pool:
        for each in [pool.submit(source.work, is_over, seed) for source in sources]:
            each.result()
    made = sum((len(each.sets) - n) * len(each.pipelines) for each, n in zip(sources, before, strict=True))
    return made / (time.monotonic() - began)


def moments(infos: list[Any]) -> Iterator[int]:
    """Yield when each job was finished."""
    for info in infos:
        yield info.finished.ToNanoseconds()


def check(connection: Connection, source: Source) -> None:
    """See that every set ended as it should have, in order, in every pipeline."""
    assert tree(connection, f"{source.repo}@master") == source.content
    for name in source.pipelines:
        done = [info for info in jobs.list_job(connection, pipeline=name) if info.job.id in set(source.sets)]
        done.reverse()
        assert [info.job.id for info in done] == source.sets
        assert {state_of(info) for info in done} == {"JOB_SUCCESS"}
        assert {info.data_processed for info in done} == {1}, "one new file is one datum"
        ended = list(moments(done))
        assert ended == sorted(ended)
        assert tree(connection, f"{name}@master") == source.content
    for each in source.sets:
        found = list(commits.inspect_commitset(connection, each))
        assert all(info.HasField("finished") and not info.error for info in found)


@pytest.mark.parametrize(
    "size", [pytest.param(SAMPLE, id="sample"), pytest.param(SOAK, marks=pytest.mark.soak)]
)
def test_sets_end_in_order_and_nothing_leaks(
    tmp_path: Path, size: Size, capsys: pytest.CaptureFixture[str]
) -> None:
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        sources = build(connection, size, server.address)
        rounds(sources, size.warm, seed=20261126)
        warm = Holding.of(server)
        rate = rounds(sources, size.over, seed=20261127)
        end = Holding.of(server)
        with capsys.disabled():
            print(f"\n{rate:.1f} jobs a second, each with a new datum; {warm} -> {end}")
        for source in sources:
            check(connection, source)
        assert end.threads <= warm.threads + THREADS
        assert end.descriptors <= warm.descriptors + DESCRIPTORS
        assert end.processes <= warm.processes + 1  # one that ends may still be there
        assert end.memory <= warm.memory + MEMORY
        assert server.terminate() == 0
