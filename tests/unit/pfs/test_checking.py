"""Checks: a healthy data directory yields nothing, every kind of fault a sentence that names what is hurt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import errors
from pachlet.paths import META, USER, Branch, Repo
from pachlet.pfs import commits
from pachlet.pfs.checking import Checker
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.repos import create_repo
from pachlet.storage.hashing import chunk_hash
from tests.pfs_rooms import Rooms

DATA = [random.Random(i).randbytes(1000) for i in range(20)]


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    rooms = Rooms(tmp_path / "data", pack_size=5000)
    rooms.create_repo("r")
    rooms.put("r", [(f"/{i}", data) for i, data in enumerate(DATA)])
    rooms.start("r")
    rooms.put("r", [("/open", b"open")])
    yield rooms
    rooms.close()


@pytest.fixture
def checker(rooms: Rooms) -> Checker:
    return Checker(rooms.database, rooms.store)


def parents(rooms: Rooms) -> list[CommitRecord]:
    with rooms.database.read() as db:
        head = rooms.head("r")
        return [head, *commits.ancestors(db, head)]


def test_nothing_is_wrong_with_what_is_whole(checker: Checker) -> None:
    assert list(checker.check()) == []
    assert list(checker.check_datums()) == []
    assert checker.check_chunks(b"", None, read=True) == len(DATA) + 1


def test_chunks_are_checked_in_ranges_of_their_hashes(checker: Checker) -> None:
    hashes = sorted(chunk_hash(data) for data in [*DATA, b"open"])
    assert checker.check_chunks(hashes[3], hashes[7], read=False) == 4
    assert checker.check_chunks(hashes[3], None, read=True) == len(hashes) - 3
    assert checker.check_chunks(b"", hashes[3], read=True) == 3


def test_a_lost_row_of_the_index_names_the_commits(rooms: Rooms, checker: Checker) -> None:
    with rooms.database.write() as db:
        db.many("delete_chunk", [(chunk_hash(DATA[0]),), (chunk_hash(b"open"),)])
    finished, still_open = checker.check()
    [commit] = [each for each in parents(rooms) if not each.is_open]
    assert finished == f"commit default/r@{commit.commit.id}: /0: the index does not know the chunk"
    head = rooms.head("r").commit.id
    assert still_open == f"commit default/r@{head}: /open: the index does not know the chunk"


def test_a_lost_pack_is_named_with_its_files(rooms: Rooms, checker: Checker) -> None:
    pack = min(rooms.store.directory.iterdir())
    pack.unlink()
    first, hurt = checker.check()
    assert first == f"pack {pack} is missing: 5 chunks are lost"
    assert hurt.endswith(": /0, /1, /2, /3, /4: the pack that holds it is missing or cut short")
    with pytest.raises(
        errors.Corrupt, match=r"5 chunks are damaged: commit default/r@\w+: /0, /1, /2, /3, /4: "
    ):
        checker.check_chunks(b"", None, read=False)


def test_many_files_of_a_commit_are_counted(rooms: Rooms, checker: Checker) -> None:
    with rooms.database.write() as db:
        db.many("delete_chunk", [(chunk_hash(data),) for data in DATA])
    [fault] = checker.check()
    assert "/0, /1, /10, /11, /12, /13, /14, /15, /16, /17 and 10 more: the index does not know" in fault


def test_a_long_list_of_chunks_that_is_damaged_hurts_one_file(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    rooms.create_repo("r")
    upload = rooms.upload([("/small", b"1")])
    upload.add("/large", (random.Random(i).randbytes(1 << 20) for i in range(30)))
    record = rooms.write("r", upload)
    [lists] = [hash for hash in rooms.hashes("nodes") if hash != record.root]
    with rooms.database.write() as db:
        db.many("delete_node", [(lists,)])
    [fault] = Checker(rooms.database, rooms.store).check()
    assert fault.startswith(f"commit default/r@{record.commit.id}: /large: ")
    assert rooms.collect().faults == [fault]
    rooms.close()


def test_a_lost_node_is_told_for_each_commit(rooms: Rooms, checker: Checker) -> None:
    rooms.finish("r")
    with rooms.database.write() as db:
        db.many("delete_node", [(hash,) for hash in rooms.hashes("nodes")])
    faults = list(checker.check())
    assert len(faults) == 2
    assert all("lacks node" in fault for fault in faults)


def test_files_of_datums_that_meta_does_not_know_are_told(rooms: Rooms, checker: Checker) -> None:
    output, meta = Repo("default", "p", USER), Repo("default", "p", META)
    known, stranger = "a" * 64, "b" * 64
    with rooms.transactions.start() as txn:
        for repo in (output, meta):
            create_repo(txn, repo)
        writes = rooms.upload(), rooms.upload()
        writes[0].add("/x", [b"x"], known)
        writes[0].add("/y", [b"y"], stranger)
        writes[1].add(f"/meta/{known}/meta", [b"{}"], known)
        for repo, write in zip((output, meta), writes, strict=True):
            record = commits.start_commit(txn, Branch(repo, "master"))
            write.stage(txn, record)
            commits.start_finishing(txn, record)
    [fault] = checker.check_datums()
    assert fault.endswith(f"has files of datum {stranger}, which its meta commit does not know")
    assert list(checker.check_datums("default", "other", "")) == []
