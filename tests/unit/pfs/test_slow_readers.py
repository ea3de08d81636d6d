"""Streams about what is stored: whoever stops reading one in the middle keeps no collection waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pachlet.api.check_service import CheckService
from pachlet.api.storage_service import StorageService
from pachlet.config import DataDir
from pachlet.pfs.collecting import Progress
from pachlet.storage.packs import pack_numbers, pack_path
from pachlet.wire import schema
from tests.pfs_rooms import Rooms


def fsck(rooms: Rooms, folder: Path) -> Iterator[Any]:
    service = CheckService()
    service.database, service.files = rooms.database, rooms.files
    return service.Fsck(schema.message("pfs_v2.FsckRequest")(zombie_all=True), None)  # type: ignore[arg-type]


def du(rooms: Rooms, folder: Path) -> Iterator[Any]:
    service = StorageService(DataDir(folder), rooms.database, rooms.store, rooms.purger)
    return service.DiskUsage(schema.message("pachlet.v1.DiskUsageRequest")(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [fsck, du])
def test_a_stream_that_is_read_slowly_keeps_no_collection_waiting(
    tmp_path: Path, stream: Callable[[Rooms, Path], Iterator[Any]]
) -> None:
    rooms = Rooms(tmp_path, pack_size=1000)
    for name in "ab":
        rooms.create_repo(name)
        rooms.put(name, [(f"/{number}", bytes([number]) * 700 + name.encode()) for number in range(3)])
    lost = pack_numbers(rooms.store.directory)[0]
    pack_path(rooms.store.directory, lost).unlink()
    answers = stream(rooms, tmp_path)
    next(answers)
    # Ends at once if it waits for nobody, and else not before the answers are read.
    steps = [step.step for step in rooms.collector.collect(grace=timedelta(0)) if isinstance(step, Progress)]
    assert not [step for step in steps if "waiting" in step]
    assert list(answers)
    rooms.close()
