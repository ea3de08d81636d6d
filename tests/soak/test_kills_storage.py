"""Kill -9 in puts, commits, transactions, squashes, collections, backups and restores.

What was acknowledged is there byte for byte, nothing that was not is half there, checks find nothing, and a collection
loses nothing. A backup is the one before or the new one; a restore is whole or not there.

Read next: storage_at_work.py (what is killed), ../unit/pfs/test_collecting_killed.py (every point of one collection).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from pachlet.pfs.checking import Checker
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.restoring import restore
from tests.pfs_rooms import Rooms
from tests.soak.storage_at_work import KINDS, PACK_SIZE, content
from tests.soak.storage_model import BACKUP, DATA, RESTORED, Model, Operation

History = dict[str, list[tuple[dict[str, bytes], bool]]]
"""The commits of every repo: their files, and whether they are open."""


def records(rooms: Rooms) -> dict[str, list[CommitRecord]]:
    """Return the commits of every repo, the oldest first."""
    with rooms.database.read() as db:
        keys = {row["name"]: row["key"] for row in db.all("all_repos") if row["type"] == "user"}
        rows = {
            name: db.all("oldest_commits", repo=key, origin="", after=None, above=0, number=10_000)
            for name, key in keys.items()
        }
    return {name: [CommitRecord.of(row) for row in line] for name, line in rows.items()}


def found(rooms: Rooms) -> History:
    """Return what is there."""
    return {
        name: [(rooms.read(each), each.is_open) for each in line] for name, line in records(rooms).items()
    }


def expected(model: Model) -> History:
    """Return what must be there."""
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


def check(folder: Path, model: Model, under_way: Operation | None) -> Model:
    """Compare the folder with what it may hold; return the model that it holds."""
    after = model.copy()
    if under_way:
        after.apply({**under_way, "head": f"not acknowledged {random.random()}"})
    rooms = Rooms(folder / DATA, PACK_SIZE)
    try:
        now = found(rooms)
        assert now in (expected(model), expected(after)), under_way
        assert not list(Checker(rooms.database, rooms.store).check())
        rooms.collect()
        assert found(rooms) == now
        holds = (after if now == expected(after) else model).copy()
        # Ids that nobody was told.
        lines = {name: [record.commit.id for record in line] for name, line in records(rooms).items()}
        holds.repos = {
            name: dict(zip(lines[name], line.values(), strict=True)) for name, line in holds.repos.items()
        }
    finally:
        rooms.close()
    kind = under_way["kind"] if under_way else ""
    holds.backup = model.backup
    if kind in ("backup", "restore"):
        holds.backup = check_backup(folder, [each for each in (model.backup, after.backup) if each])
    return holds


def check_backup(folder: Path, may_be: list[Model]) -> Model | None:
    """Restore the backup, if there is one, and compare it, and what a restore left that was killed."""
    for name in (BACKUP, RESTORED):
        if not (folder / name / "pachlet.db").exists():
            assert name == RESTORED or may_be[:-1] == []  # no backup was made before
            assert name == BACKUP or not (folder / name).exists()
            continue
        target = folder / RESTORED
        if name == BACKUP:
            target = folder / "restored to look at it"
            assert restore(folder / BACKUP, target, lambda step, done, total: None).faults == []
        rooms = Rooms(target, PACK_SIZE)
        there = found(rooms)
        assert not list(Checker(rooms.database, rooms.store).check())
        rooms.close()
        held = [each for each in may_be if expected(each) == there]
        assert held or name == RESTORED  # that may be of a backup before the last
        if name == BACKUP:
            kept = held[-1]
            shutil.rmtree(target)
    return kept if (folder / BACKUP / "pachlet.db").exists() else None


def test_what_a_worker_is_told_does_not_grow_with_the_backups_before() -> None:
    model = Model()
    model.apply({"kind": "create", "name": "a", "head": ""})
    lengths = []
    for _ in range(10):
        model.apply({"kind": "backup", "name": "a", "head": ""})
        lengths.append(len(model.encode()))
    assert len(set(lengths)) == 1
    assert Model.decode(model.encode()).encode() == model.encode()


def kill_soon(process: int, seconds: float) -> threading.Timer:
    killer = threading.Timer(seconds, os.kill, (process, signal.SIGKILL))
    killer.start()
    return killer


@pytest.mark.parametrize("kills", [pytest.param(14, id="sample"), pytest.param(1000, marks=pytest.mark.soak)])
def test_what_was_acknowledged_survives_any_kill(tmp_path: Path, kills: int) -> None:
    """Each worker has a kind of operation in which it dies, at a random moment of the time that the last such took."""
    first = int(os.environ.get("PACHLET_SOAK_SEED", "0"))
    model, chance, killed = Model(), random.Random(20261121 + first), Counter[str]()
    lasted: dict[str, float] = {}
    command = [sys.executable, "-m", "tests.soak.storage_at_work", str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as forker:
        assert forker.stdin is not None
        assert forker.stdout is not None
        for number in range(first, first + kills):
            forker.stdin.write(json.dumps([number, model.encode()]) + "\n")
            under_way: Operation | None = None
            killer: threading.Timer | None = None
            aim, patience, began = chance.choice(list(KINDS)), chance.randrange(4, 20), 0.0
            while (line := forker.stdout.readline()) != "killed\n":
                assert line not in ("", "failed\n"), f"a worker ended by itself in {under_way}"
                if line.strip().isdigit():
                    process = int(line)
                    if chance.random() < 0.1:  # while the data directory is being opened, or soon after
                        killer = kill_soon(process, chance.uniform(0, 0.3))
                    continue
                when, operation = json.loads(line)
                if when == "begin":
                    under_way, began = operation, time.monotonic()
                    patience -= 1
                    if killer is None and (operation["kind"] == aim or patience == 0):
                        killer = kill_soon(
                            process, chance.uniform(0, 1.2 * lasted.get(operation["kind"], 0.02))
                        )
                else:
                    lasted[operation["kind"]] = time.monotonic() - began
                    model.apply(operation)
                    under_way = None
            assert killer is not None
            killer.join()
            killed[under_way["kind"] if under_way else "between"] += 1
            model = check(tmp_path, model, under_way)
        forker.stdin.close()
    print("kills in:", dict(killed.most_common()))
