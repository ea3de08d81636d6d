"""An upload is measured against the head before the write transaction, and holds whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet.metadb.connect import Transaction
from pachlet.pfs.uploads import write_upload
from pachlet.storage.diffs import Diff
from tests.pfs_rooms import Rooms, repo

FILES = [(f"/d/{number:03}", b"%d" % number) for number in range(300)]


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    rooms = Rooms(tmp_path)
    rooms.create_repo("a")
    yield rooms
    rooms.close()


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of files in each diff that is staged."""
    numbers: list[int] = []
    run = Transaction.run

    def count(self: Transaction, statement: str, /, **values: bytes) -> int:
        if statement == "add_staged":
            numbers.append(len(list(Diff.decode(values["diff"]).changes())))
        return run(self, statement, **values)

    monkeypatch.setattr(Transaction, "run", count)
    return numbers


def put(
    rooms: Rooms, files: list[tuple[str, bytes]], *, meanwhile: list[tuple[str, bytes]] | None = None
) -> None:
    upload = rooms.upload(files)
    upload.seal()
    upload.compare_with_head(rooms.files, repo("a"), "", "master")
    if meanwhile is not None:
        rooms.put("a", meanwhile)
    write_upload(rooms.transactions, upload, repo("a"), "", "master")


def test_only_what_changed_is_staged(rooms: Rooms, staged: list[int]) -> None:
    put(rooms, FILES)
    first = rooms.head("a")
    put(rooms, FILES)
    put(rooms, [*FILES[:-1], ("/d/299", b"new"), ("/more", b"")])
    assert staged == [300, 0, 2]
    assert first.root != rooms.head("a").root
    assert rooms.read(rooms.head("a")) == dict(FILES) | {"/d/299": b"new", "/more": b""}
    assert rooms.read(first) == dict(FILES)


def test_another_commit_in_between_counts(rooms: Rooms, staged: list[int]) -> None:
    put(rooms, FILES)
    put(rooms, FILES, meanwhile=[("/d/000", b"theirs"), ("/theirs", b"x")])
    assert staged == [300, 2, 300]
    assert rooms.read(rooms.head("a")) == dict(FILES) | {"/theirs": b"x"}


def test_open_commit_gets_everything(rooms: Rooms, staged: list[int]) -> None:
    put(rooms, FILES)
    rooms.start("a")
    put(rooms, [("/d/000", b"changed")])
    put(rooms, FILES)
    rooms.finish("a")
    assert staged == [300, 1, 300]
    assert rooms.read(rooms.head("a")) == dict(FILES)


def test_append_is_no_replacement(rooms: Rooms) -> None:
    put(rooms, FILES)
    upload = rooms.upload()
    upload.add("/d/001", [b"1"])
    upload.compare_with_head(rooms.files, repo("a"), "", "master")
    write_upload(rooms.transactions, upload, repo("a"), "", "master")
    assert rooms.read(rooms.head("a"))["/d/001"] == b"11"
