"""Collections, one after the other, while threads write, copy, delete and read: nobody notices."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pachlet.pfs import index
from pachlet.pfs.checking import Checker
from tests.pfs_rooms import Rooms

# Few contents, so that what one thread deletes another one wants.
CONTENTS = [random.Random(i).randbytes(500 + 100 * i) for i in range(20)]
ROUNDS = 25


def write(rooms: Rooms, name: str, seed: int) -> dict[str, bytes]:
    """Put, read, copy and delete in one repo and a short-lived one; return what the repo must hold."""
    chance = random.Random(seed)
    held: dict[str, bytes] = {}
    for number in range(ROUNDS):
        files = {f"/{chance.randrange(6)}": chance.choice(CONTENTS) for _ in range(3)}
        held |= files
        record = rooms.put(name, list(files.items()))
        if number % 5 == 4:
            brief = f"{name}-{number}"
            rooms.create_repo(brief)
            rooms.put(brief, [("/brief", chance.choice(CONTENTS)), ("/own", b"%d %d" % (seed, number))])
            upload = rooms.upload()
            upload.copy(rooms.files.open_finished(rooms.head(brief).root), "/", "/copy", append=False)
            rooms.delete_repo(brief)
            held |= {"/copy/brief": b"", "/copy/own": b"%d %d" % (seed, number)}
            rooms.write(name, upload)
            held["/copy/brief"] = rooms.read(rooms.head(name))["/copy/brief"]
            assert held["/copy/brief"] in CONTENTS
        assert rooms.read(rooms.head(name)) == held
        assert rooms.read(record).keys() <= held.keys()
    return held


def test_nobody_notices_collections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_FEW_ROWS", 1)
    rooms = Rooms(tmp_path, pack_size=5000)
    names = ["a", "b", "c"]
    for name in names:
        rooms.create_repo(name)
    collections = 0
    with ThreadPoolExecutor(len(names)) as pool:
        writing = [pool.submit(write, rooms, name, seed) for seed, name in enumerate(names)]
        while not all(each.done() for each in writing):
            rooms.collect(slack=0, grace=5)
            collections += 1
        held = [each.result() for each in writing]
    assert collections > 3
    for name, content in zip(names, held, strict=True):
        assert rooms.read(rooms.head(name)) == content
    rooms.collect(slack=0)
    assert not list(Checker(rooms.database, rooms.store).check())
    for name, content in zip(names, held, strict=True):
        assert rooms.read(rooms.head(name)) == content
    rooms.close()
