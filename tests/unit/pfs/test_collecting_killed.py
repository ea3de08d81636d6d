"""A collection that is killed: at every write that it makes, a copy of the folder is taken and opened.

What a kill leaves is what the files hold at that moment, so a copy is as good as a kill, and every point is tried.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet.pfs import collecting
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage.hashing import chunk_hash
from tests.pfs_rooms import Rooms


class Camera:
    """Copies a data directory around each call that writes to a pack, syncs or removes one, or ends a transaction."""

    def __init__(self, folder: Path, copies: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._copies, self._patch = folder, copies, patch
        self.taken: list[Path] = []

    def watch(self, rooms: Rooms) -> None:
        for name in ("pwritev", "fdatasync", "truncate"):
            self._patch.setattr(os, name, self._around(getattr(os, name)))
        self._patch.setattr(Path, "unlink", self._around(Path.unlink))
        end = type(rooms.database.changes).announce
        self._patch.setattr(type(rooms.database.changes), "announce", self._around(end))

    def stop(self) -> None:
        self._patch.undo()

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            self._take()
            result = call(*arguments, **named)
            self._take()
            return result

        return wrapped

    def _take(self) -> None:
        copy = self._copies / f"{len(self.taken):04}"
        shutil.copytree(self._folder, copy, ignore=shutil.ignore_patterns("*-shm"))
        self.taken.append(copy)


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(1500)


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
    camera = Camera(tmp_path / "data", tmp_path / "copies", monkeypatch)
    yield camera
    camera.stop()


def test_a_collection_may_be_killed_anywhere(
    tmp_path: Path, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_BATCH", 4)  # many transactions
    rooms = Rooms(tmp_path / "data", pack_size=5000)
    for name in ("keep", "drop"):
        rooms.create_repo(name)
    for number in range(6):  # packs that hold something of each
        rooms.put("drop", [(f"/{number}/{i}", noise(100 * number + i)) for i in range(6)])
        rooms.put("keep", [(f"/{number}", noise(10_000 + number))])
    rooms.put(
        "drop", [(f"/only/{i}", noise(i)) for i in range(20_000, 20_008)]
    )  # packs that hold nothing else
    expected = rooms.read(rooms.head("keep"))
    rooms.delete_repo("drop")
    camera.watch(rooms)
    report = rooms.collect()
    camera.stop()
    rooms.close()
    assert report.packs_removed
    assert report.packs_rewritten
    assert len(camera.taken) > 30
    for copy in camera.taken:
        again = Rooms(copy, pack_size=5000)
        assert again.read(again.head("keep")) == expected, copy
        again.collect()
        assert again.read(again.head("keep")) == expected, copy
        assert again.hashes("chunks") == {chunk_hash(data) for data in expected.values()}
        assert again.packs() < 1.3 * len(expected) * 1550 + 16 * 10
        index = DatabaseIndex(again.database)
        packs = {path.name for path in again.store.directory.iterdir()}
        for data in expected.values():
            place = index.find_chunk(chunk_hash(data))
            assert place is not None
            assert f"{place.pack:08}.pack" in packs
        again.close()
