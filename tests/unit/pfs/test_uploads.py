"""An upload is measured against the head before the write transaction, and holds whatever happens in between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet.errors import Refused
from pachlet.metadb.connect import Row, Transaction
from pachlet.pfs.uploads import write_upload
from pachlet.storage.content import ONE_CHUNK
from pachlet.storage.diffs import Diff
from tests.pfs_rooms import Rooms, repo

FILES = [(f"/d/{number:03}", b"%d" % number) for number in range(300)]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


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


@pytest.mark.parametrize("replaces", [True, False])
def test_small_files_are_as_those_that_come_in_blocks(rooms: Rooms, *, replaces: bool) -> None:
    rooms.create_repo("b")
    files = [
        *FILES,
        ("/same", b"1"),
        ("/empty", b""),
        ("/large", noise(ONE_CHUNK)),
        ("/less", noise(ONE_CHUNK - 1)),
    ]
    for again in range(2):
        small, blocks = rooms.upload(), rooms.upload()
        for path, data in files:
            small.put_small(path, data, replaces=replaces)
            (blocks.replace if replaces else blocks.add)(path, [data[:1], b"", data[1:]])
        assert small.diff.encode() == blocks.diff.encode()
        made = [rooms.write(name, upload) for name, upload in (("a", small), ("b", blocks))]
        assert made[0].root == made[1].root
        copies = 1 if replaces else again + 1
        assert rooms.read(made[0]) == {path: data * copies for path, data in files}


@pytest.mark.parametrize("size", [1, ONE_CHUNK - 1, ONE_CHUNK, ONE_CHUNK + 1, 2 * ONE_CHUNK])
@pytest.mark.parametrize("block", [1000, ONE_CHUNK, 1 << 20])
def test_no_byte_of_a_file_is_lost_where_small_ones_end(rooms: Rooms, size: int, block: int) -> None:
    data = noise(size)
    upload = rooms.upload()
    upload.add("/x", (data[at : at + block] for at in range(0, size, block)))
    assert rooms.read(rooms.write("a", upload)) == {"/x": data}


def test_a_path_that_can_t_be_is_refused_among_others_too(rooms: Rooms) -> None:
    upload = rooms.upload()
    upload.put_small("/a", b"1", replaces=True)
    with pytest.raises(Refused, match="globbing character"):
        upload.put_small("/b*", b"2", replaces=True)


def test_a_commit_of_its_own_is_settled_from_what_was_staged_without_reading_it_again(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms.create_repo("b")
    changes = [("/d/299", b"new"), ("/more", b"")]
    for name in ("a", "b"):
        rooms.put(name, FILES)
    rooms.start("b")
    rooms.put("b", changes)
    rooms.finish("b")
    read, every = [], Transaction.all

    def note(self: Transaction, statement: str, /, **values: object) -> list[Row]:
        read.append(statement)
        return every(self, statement, **values)

    with monkeypatch.context() as unread:
        unread.setattr(Transaction, "all", note)
        unread.delattr(Diff, "decode")
        put(rooms, changes)
    assert read
    assert "staged_of_commit" not in read
    assert rooms.head("a").root == rooms.head("b").root
    assert rooms.read(rooms.head("a")) == dict(FILES) | dict(changes)
