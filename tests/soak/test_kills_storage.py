"""Kill -9 in puts, commits, deletions and collections: what was acknowledged is there, nothing is half there.

Read next: storage_at_work.py (what is killed), ../unit/pfs/test_collecting_killed.py (every point of one collection).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pachlet.pfs.checking import Checker
from pachlet.pfs.records import CommitRecord
from tests.pfs_rooms import Rooms
from tests.soak.storage_at_work import PACK_SIZE, content

Files = dict[str, int]


class Model:
    """What must be there: for each repo its commits by id in order, and whether the last is open."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Files]] = {}
        self.open: set[str] = set()

    def apply(self, kind: str, name: str, files: Files, head: str) -> None:
        if kind == "create":
            self.repos[name] = {}
        elif kind == "delete":
            del self.repos[name]
            self.open.discard(name)
        elif kind in ("put", "start", "finish"):
            commits = self.repos[name]
            before = list(commits.values())[-1] if commits else {}
            id = list(commits)[-1] if name in self.open else head
            commits[id] = before | files if kind == "put" else before
            if kind == "start":
                self.open.add(name)
            elif kind == "finish":
                self.open.discard(name)

    def copy(self) -> Model:
        other = Model()
        other.repos = {name: dict(commits) for name, commits in self.repos.items()}
        other.open = set(self.open)
        return other


def found(rooms: Rooms) -> dict[str, list[tuple[dict[str, bytes], bool]]]:
    """Return the commits of every repo as they are: their files, and whether they are open."""
    with rooms.database.read() as db:
        there = {row["name"]: row["key"] for row in db.all("all_repos") if row["type"] == "user"}
        rows = {
            name: db.all("oldest_commits", repo=key, origin="", after=None, above=0, number=10_000)
            for name, key in there.items()
        }
    records = {name: [CommitRecord.of(row) for row in each] for name, each in rows.items()}
    return {name: [(rooms.read(each), each.is_open) for each in line] for name, line in records.items()}


def expected(model: Model) -> dict[str, list[tuple[dict[str, bytes], bool]]]:
    return {
        name: [
            (
                {path: content(number) for path, number in files.items()},
                name in model.open and id == list(commits)[-1],
            )
            for id, files in commits.items()
        ]
        for name, commits in model.repos.items()
    }


def check(folder: Path, model: Model, under_way: list[Any] | None) -> Model:
    """Compare a data directory with what it may hold; return the model that it holds."""
    rooms = Rooms(folder, PACK_SIZE)
    try:
        after = model.copy()
        if under_way:
            _, kind, name, files = under_way
            after.apply(kind, name, files, f"not acknowledged {len(model.repos.get(name, {}))}")
        now = found(rooms)
        assert now in (expected(model), expected(after))
        assert not list(Checker(rooms.database, rooms.store).check())
        rooms.collect()
        assert found(rooms) == now
        return after if now == expected(after) else model
    finally:
        rooms.close()


@pytest.mark.parametrize("kills", [pytest.param(6, id="sample"), pytest.param(1000, marks=pytest.mark.soak)])
def test_what_was_acknowledged_survives_any_kill(tmp_path: Path, kills: int) -> None:
    folder, model, chance = tmp_path / "data", Model(), random.Random(20261121)
    command = [sys.executable, "-m", "tests.soak.storage_at_work", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as forker:
        assert forker.stdin is not None
        assert forker.stdout is not None
        for number in range(kills):
            forker.stdin.write(f"{number}\n")
            under_way: list[Any] | None = None
            killer: threading.Timer | None = None
            while (line := forker.stdout.readline()) != "killed\n":
                assert line not in ("", "failed\n"), "a worker ended by itself"
                if line.strip().isdigit():
                    # Most die at work, some while the data directory is being opened.
                    killer = threading.Timer(chance.expovariate(8), os.kill, (int(line), signal.SIGKILL))
                    killer.start()
                    continue
                said = json.loads(line)
                if said[0] == "begin":
                    under_way = said
                else:
                    model.apply(*said[1:])
                    under_way = None
            assert killer is not None
            killer.join()
            model = check(folder, model, under_way)
        forker.stdin.close()
