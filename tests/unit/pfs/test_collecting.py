"""The garbage collector: it takes all that nothing needs, and nothing else, whoever is at work meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pachlet import errors
from pachlet.metadb.connect import Database, Transaction
from pachlet.pfs import collecting, index
from pachlet.pfs.checking import Checker
from pachlet.pfs.collecting import NO_SPACE, OPEN_COMMITS, SLACK_KEPT, UPLOADS, Progress
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage import chunks
from pachlet.storage.marking import Marks
from tests.pfs_rooms import Rooms

NO_GRACE = timedelta(0)


def noise(seed: int, size: int = 2000) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    rooms = Rooms(tmp_path / "data", pack_size=20_000)
    rooms.create_repo("keep")
    rooms.create_repo("drop")
    yield rooms
    rooms.close()


def test_collect_gives_back_all_that_a_deleted_repo_took(rooms: Rooms) -> None:
    kept = rooms.put("keep", [("/a", noise(1)), ("/b", noise(2))])
    before, nodes = rooms.packs(), rooms.hashes("nodes")
    rooms.put("drop", [(f"/{i}", noise(100 + i)) for i in range(100)])
    rooms.delete_repo("drop")
    report = rooms.collect()
    assert (report.chunks, report.chunk_bytes) == (100, 100 * 2048)
    assert report.packs_removed >= 9
    assert report.freed > 150_000
    assert rooms.packs() < before + 2048
    assert rooms.hashes("nodes") == nodes
    assert rooms.read(kept) == {"/a": noise(1), "/b": noise(2)}


def test_collect_finds_nothing_where_nothing_is_garbage(rooms: Rooms) -> None:
    rooms.put("keep", [("/a", noise(1)), ("/b", noise(2))])
    before = rooms.hashes("chunks"), rooms.hashes("nodes")
    report = rooms.collect()
    assert (report.chunks, report.nodes, report.packs_rewritten) == (0, 0, 0)
    assert (rooms.hashes("chunks"), rooms.hashes("nodes")) == before


def test_dry_run_says_what_would_go_and_why_the_rest_stays(rooms: Rooms) -> None:
    rooms.put("keep", [("/a", noise(1))])
    rooms.start("keep")
    rooms.put("keep", [("/open", noise(2))])
    rooms.put("drop", [(f"/{i}", noise(100 + i)) for i in range(50)])
    rooms.delete_repo("drop")
    before = rooms.hashes("chunks"), rooms.hashes("nodes"), rooms.packs()
    said = rooms.collect(dry_run=True)
    assert (rooms.hashes("chunks"), rooms.hashes("nodes"), rooms.packs()) == before
    assert said.kept[OPEN_COMMITS] == 2048
    done = rooms.collect()
    assert (said.chunks, said.chunk_bytes, said.nodes) == (done.chunks, done.chunk_bytes, done.nodes)
    assert said.kept[OPEN_COMMITS] == done.kept[OPEN_COMMITS]
    assert before[2] - rooms.packs() == pytest.approx(50 * 2048, abs=2048)


def test_a_pack_with_little_in_it_is_written_anew(rooms: Rooms) -> None:
    mixed = [(f"/{i}", noise(i)) for i in range(9)]
    rooms.put("drop", mixed[1:])
    kept = rooms.put("keep", mixed[:1])
    rooms.delete_repo("drop")
    report = rooms.collect()
    assert report.packs_rewritten == 1
    assert rooms.packs() <= 2048 + 3 * 16
    assert rooms.read(kept) == dict(mixed[:1])


def test_a_pack_that_is_mostly_in_use_stays_unless_no_slack_is_allowed(rooms: Rooms) -> None:
    files = [(f"/{i}", noise(i)) for i in range(9)]
    rooms.put("drop", files[:1])
    kept = rooms.put("keep", files[1:])
    rooms.delete_repo("drop")
    report = rooms.collect()
    assert report.chunks == 1
    assert (report.packs_rewritten, report.kept[SLACK_KEPT]) == (0, 2048)
    assert rooms.collect(slack=0).packs_rewritten == 1
    assert rooms.packs() <= 8 * 2048 + 3 * 16
    assert rooms.read(kept) == dict(files[1:])


def test_what_an_upload_has_put_stays_until_it_gives_up(rooms: Rooms) -> None:
    upload = rooms.upload([("/a", noise(1))])
    rooms.collect()
    rooms.write("keep", upload)
    rooms.collect()
    assert rooms.read(rooms.head("keep")) == {"/a": noise(1)}
    abandoned = rooms.upload([(f"/{i}", noise(50 + i)) for i in range(20)])
    abandoned.seal()
    rooms.collect()
    assert rooms.packs() > 20 * 2000
    del abandoned
    rooms.collect()
    assert rooms.packs() < 2 * 2100


def test_what_an_upload_has_recorded_ahead_stays_until_it_gives_up(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_FEW_ROWS", 3)
    files = [(f"/{i}", noise(i)) for i in range(10)]
    upload, before = rooms.upload(files), rooms.database.changes.count
    upload.prepare(rooms.database)
    assert rooms.database.changes.count - before == 4  # others could write in between
    assert (len(rooms.hashes("chunks")), rooms.collect().chunks) == (10, 0)
    rooms.write("keep", upload)
    del upload
    assert rooms.read(rooms.head("keep")) == dict(files)
    abandoned = rooms.upload([(f"/{i}", noise(50 + i)) for i in range(10)])
    abandoned.prepare(rooms.database)
    del abandoned
    assert (rooms.collect().chunks, len(rooms.hashes("chunks"))) == (10, 10)
    assert rooms.read(rooms.head("keep")) == dict(files)


def test_what_an_upload_found_there_already_stays(rooms: Rooms) -> None:
    rooms.put("drop", [("/a", noise(1))])
    upload = rooms.upload([("/same", noise(1))])
    rooms.delete_repo("drop")
    report = rooms.collect()
    assert (report.chunks, report.kept[UPLOADS]) == (0, 2048)
    rooms.write("keep", upload)
    del upload
    assert rooms.collect().chunks == 0
    assert rooms.read(rooms.head("keep")) == {"/same": noise(1)}


def test_what_was_copied_stays_although_its_source_is_gone(rooms: Rooms) -> None:
    source = rooms.put("drop", [("/a", noise(1))])
    upload = rooms.upload()
    with rooms.database.read() as db:
        upload.copy(rooms.files.open_commit(db, source), "/a", "/copy", append=False)
    rooms.delete_repo("drop")
    rooms.collect()
    rooms.write("keep", upload)
    assert rooms.read(rooms.head("keep")) == {"/copy": noise(1)}


def test_copying_what_was_collected_meanwhile_is_refused(rooms: Rooms) -> None:
    source = rooms.put("drop", [("/a", noise(1))])
    files = rooms.files.open_finished(source.root)
    assert files.file("/a")
    rooms.delete_repo("drop")
    rooms.collect(grace=0)
    with pytest.raises(errors.Unavailable, match="was deleted and collected"):
        rooms.upload().copy(files, "/a", "/copy", append=False)


def test_a_chunk_that_comes_back_while_it_is_forgotten_is_stored_again(rooms: Rooms) -> None:
    rooms.put("drop", [("/a", noise(1))])
    rooms.delete_repo("drop")
    collection = rooms.collector.collect(grace=NO_GRACE)
    for step in collection:
        if isinstance(step, Progress) and step.step == "marking":
            rooms.put("keep", [("/again", noise(1))])
    rooms.collect()
    assert rooms.read(rooms.head("keep")) == {"/again": noise(1)}


@pytest.mark.parametrize("when", ["marking", "forgetting trees", "forgetting chunks"])
def test_commits_made_during_a_collection_are_whole(rooms: Rooms, when: str) -> None:
    # The same files as before, so that nodes and chunks which are garbage by then are wanted again.
    files = [(f"/{i}", noise(i, 100)) for i in range(300)]
    rooms.put("drop", files)
    rooms.delete_repo("drop")
    is_first = True
    for step in rooms.collector.collect(grace=NO_GRACE):
        if isinstance(step, Progress) and step.step == when and is_first:
            is_first = False
            rooms.put("keep", files)
    assert not is_first
    assert rooms.read(rooms.head("keep")) == dict(files)
    rooms.collect()
    assert rooms.read(rooms.head("keep")) == dict(files)


def test_an_open_commit_written_during_a_collection_is_whole(rooms: Rooms) -> None:
    rooms.put("drop", [("/a", noise(1))])
    rooms.start("keep")
    rooms.delete_repo("drop")
    for step in rooms.collector.collect(grace=NO_GRACE):
        if isinstance(step, Progress) and step.step == "marking":
            rooms.put("keep", [("/again", noise(1))])
    rooms.finish("keep")
    rooms.collect()
    assert rooms.read(rooms.head("keep")) == {"/again": noise(1)}


def test_a_reader_from_before_is_waited_for(rooms: Rooms) -> None:
    record = rooms.put("drop", [("/a", noise(1))])
    reader = rooms.files.open_finished(record.root)
    rooms.delete_repo("drop")
    waits = 0
    for step in rooms.collector.collect(grace=timedelta(minutes=1)):
        if isinstance(step, Progress) and step.step.startswith("waiting for 1"):
            waits += 1
            if waits == 2:
                assert [entry.path for entry in reader.entries()] == ["/a"]
                del reader
    assert waits in (2, 3)
    assert not rooms.hashes("chunks")


def test_a_reader_is_not_waited_for_longer_than_the_grace_time(rooms: Rooms) -> None:
    record = rooms.put("drop", [("/a", noise(1))])
    [entry] = (reader := rooms.files.open_finished(record.root)).entries()
    rooms.delete_repo("drop")
    rooms.collect(grace=0.1)
    with pytest.raises(errors.Corrupt, match="is not in the store") as caught:
        list(rooms.files.read(entry.content))
    assert "just deleted" in caught.value.hint
    del reader


def test_a_commit_that_is_being_finished_is_waited_for_without_end(rooms: Rooms) -> None:
    lease = rooms.store.leases.publishing("a test")
    collection = rooms.collector.collect(grace=NO_GRACE)
    for step in collection:
        if isinstance(step, Progress) and "waiting" in step.step:
            lease.__exit__()
    assert not rooms.store.leases.held_since(rooms.store.leases.mark())


def test_one_collection_at_a_time(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "UPKEEP_PATIENCE", 0.01)
    first = rooms.collector.collect()
    next(first)
    with pytest.raises(errors.FailedPrecondition, match="is running"):
        rooms.collect()
    first.close()
    rooms.collect()


def damage(rooms: Rooms, hash: bytes, at: int = -1) -> None:
    """Flip a bit of a node."""
    with rooms.database.write() as db:
        data = bytearray(db.value("get_node", hash=hash))
        data[at] ^= 1
        db.many("delete_node", [(hash,)])
        db.many("add_node", [(hash, bytes(data))])


def test_a_damaged_tree_is_named_and_everything_else_collected(rooms: Rooms) -> None:
    bad = rooms.put("keep", [("/a", noise(1)), ("/b", noise(2))])
    rooms.create_repo("other")
    good = rooms.put("other", [("/c", noise(3))])
    rooms.put("drop", [("/d", noise(4))])
    rooms.delete_repo("drop")
    assert bad.root is not None
    damage(rooms, bad.root, 1)
    report = rooms.collect()
    assert report.faults == [
        f"commit default/keep@{bad.commit.id}: all files: node {bad.root.hex()} of a file tree is damaged"
    ]
    assert (report.chunks, report.nodes) == (1, 1)
    assert rooms.read(good) == {"/c": noise(3)}
    # What the damaged node still names is there.
    damage(rooms, bad.root, 1)
    assert rooms.read(bad) == {"/a": noise(1), "/b": noise(2)}


def test_what_lies_below_a_damaged_branch_stays(rooms: Rooms) -> None:
    files = [(f"/{i:04}", b"%d" % i) for i in range(1500)]
    record = rooms.put("keep", files)
    rooms.put("drop", [("/d", noise(4))])
    rooms.delete_repo("drop")
    assert record.root is not None
    damage(rooms, record.root, 1)  # the level of a branch: all its references are right
    nodes = rooms.hashes("nodes")
    assert rooms.collect().nodes == 1
    assert len(nodes - rooms.hashes("nodes")) == 1
    damage(rooms, record.root, 1)
    assert rooms.read(record) == dict(files)


def test_a_damaged_leaf_is_told_as_a_range_of_paths_and_healed_by_a_put(rooms: Rooms) -> None:
    files = [(f"/{i:04}", b"%d" % i) for i in range(1500)]
    first = rooms.put("keep", files)
    rooms.put("keep", [("/9999", b"last")])
    tree = rooms.files.open_finished(first.root).tree
    root = tree.load(first.root or b"")
    hash = root.refs[1].hash
    ends = [key.partition(b"\0")[0].decode() for key in root.keys[:2]]
    damage(rooms, hash)
    [fault] = rooms.collect().faults
    assert fault == (
        f"commit default/keep@{first.commit.id}: the files after {ends[0]} up to {ends[1]} "
        f"(and of 1 more commits of the repo): node {hash.hex()} of a file tree is damaged"
    )
    rooms.create_repo("again")
    rooms.put("again", files)
    assert rooms.collect().faults == []
    assert list(Checker(rooms.database, rooms.store).check()) == []


def test_large_commits_that_come_meanwhile_are_marked_in_nobodys_way(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers waited 4.5 s for the marks of a commit of 100,000 files, which were made in a write transaction."""
    monkeypatch.setattr(collecting, "_FEW_NODES", 2)
    counts = {"read in transactions": 0, "diffs in transactions": 0, "most": 0, "all": 0}
    get_node, add_diff, write = DatabaseIndex.get_node, Marks.add_diff, Database.write
    is_writing = False

    @contextlib.contextmanager
    def watched(self: Database) -> Iterator[Transaction]:
        nonlocal is_writing
        with write(self) as db:
            is_writing, counts["read in transactions"] = True, 0
            yield db
        is_writing = False
        counts["most"] = max(counts["most"], counts["read in transactions"])

    def counted(self: DatabaseIndex, hash: bytes) -> bytes:
        counts["read in transactions"] += is_writing
        counts["all"] += 1
        return get_node(self, hash)

    def counted_diff(self: Marks, data: bytes) -> None:
        counts["diffs in transactions"] += is_writing
        add_diff(self, data)

    files = [(f"/{i:05}", b"%d" % i) for i in range(5000)]
    rooms.put("drop", [("/d", noise(4))])
    rooms.delete_repo("drop")
    is_first = True
    for step in rooms.collector.collect(grace=NO_GRACE):
        if isinstance(step, Progress) and step.step == "marking" and is_first:
            is_first = False
            rooms.put("keep", files)
            rooms.create_repo("open")
            rooms.start("open")
            rooms.put("open", files)
            monkeypatch.setattr(DatabaseIndex, "get_node", counted)
            monkeypatch.setattr(Marks, "add_diff", counted_diff)
            monkeypatch.setattr(Database, "write", watched)
    assert counts["all"] > 30
    assert counts["most"] <= 2
    assert counts["diffs in transactions"] == 0
    monkeypatch.undo()
    assert rooms.read(rooms.head("keep")) == dict(files)
    assert rooms.read(rooms.head("open")) == dict(files)


def test_a_pack_with_a_damaged_chunk_is_not_thrown_away(rooms: Rooms) -> None:
    files = [(f"/{i}", noise(i)) for i in range(9)]
    rooms.put("drop", files[2:])
    kept = rooms.put("keep", files[:2])
    [pack] = rooms.store.directory.glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[-10] ^= 1
    pack.write_bytes(data)
    rooms.delete_repo("drop")
    [fault] = rooms.collect().faults
    assert fault.startswith(f"commit default/keep@{kept.commit.id}: /1: the chunk at offset")
    assert pack.exists()
    with rooms.database.read() as db:
        files_now = rooms.files.open_commit(db, kept)
    assert b"".join(rooms.files.read(files_now.file("/0")[0].content)) == noise(0)
    with pytest.raises(errors.Corrupt, match="is damaged"):
        list(rooms.files.read(files_now.file("/1")[0].content))


def test_a_reader_follows_a_chunk_that_moves(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"/{i}", noise(i)) for i in range(9)]
    rooms.put("drop", files[1:])
    kept = rooms.put("keep", files[:1])
    with rooms.database.read() as db:
        [entry] = rooms.files.open_commit(db, kept).file("/0")
    digest = entry.content.chunks[0][0]
    place = rooms.store.find_published(digest)
    rooms.delete_repo("drop")
    rooms.collect()
    assert rooms.store.find_published(digest) != place
    # As if it had been looked up just before the move.
    index = DatabaseIndex(rooms.database)
    answers = iter([place, index.find_chunk(digest)])
    monkeypatch.setattr(DatabaseIndex, "find_chunk", lambda self, hash: next(answers))
    assert rooms.store.read(digest) == noise(0)


def test_the_number_of_a_removed_pack_is_not_given_again(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    rooms.create_repo("drop")
    rooms.put("drop", [("/a", noise(1))])
    rooms.delete_repo("drop")
    rooms.collect()
    assert [path.stat().st_size for path in rooms.store.directory.iterdir()] == [0]
    rooms.close()
    rooms = Rooms(tmp_path)
    rooms.create_repo("keep")
    rooms.put("keep", [("/a", noise(2))])
    sizes = {path.name: path.stat().st_size for path in rooms.store.directory.iterdir()}
    assert sizes == {"00000001.pack": 0, "00000002.pack": 16 + 48 + 2000}
    rooms.close()


def test_empty_packs_do_not_pile_up_and_no_number_is_given_again(tmp_path: Path) -> None:
    given = []
    for round in range(6):
        rooms = Rooms(tmp_path)
        rooms.create_repo("drop")
        rooms.put("drop", [("/a", noise(round))])
        given.append(max(path.name for path in rooms.store.directory.iterdir()))
        rooms.delete_repo("drop")
        said, done = rooms.collect(dry_run=True), rooms.collect()
        assert (said.packs_removed, done.packs_removed) == (1, 1)
        assert [path.name for path in rooms.store.directory.iterdir()] == given[-1:]
        if round % 2:
            rooms.close()
            rooms = Rooms(tmp_path)
        assert rooms.collect().packs_removed == 0
        rooms.close()
    assert given == sorted(set(given))


@pytest.mark.parametrize("is_read", [False, True])
def test_what_is_told_is_what_the_files_have_become(tmp_path: Path, is_read: bool) -> None:
    rooms = Rooms(tmp_path)
    rooms.create_repo("drop")
    rooms.put("drop", [(f"/{i:05}", b"%d" % i) for i in range(5000)])
    reader = rooms.database.read() if is_read else contextlib.nullcontext()
    with reader as db:
        if db is not None:
            db.all("tree_roots")  # it sees this state until it ends
        rooms.delete_repo("drop")
        before = on_disk(rooms)
        report = rooms.collect()
        assert (report.disk_before, report.disk_after) == (before, on_disk(rooms))
        assert (on_disk(rooms) > 1_000_000) == is_read
    assert report.node_bytes > 200_000
    rooms.collect()
    assert on_disk(rooms) == rooms.database.size() + rooms.packs() < 400_000
    rooms.close()


def on_disk(rooms: Rooms) -> int:
    return rooms.packs() + sum(
        path.stat().st_size
        for path in rooms.database.path.parent.glob("pachlet.db*")
        if not path.name.endswith("-shm")
    )


def test_what_would_be_freed_is_garbage_and_not_the_log(rooms: Rooms) -> None:
    rooms.put("keep", [(f"/{i:05}", b"%d" % i) for i in range(5000)])
    files = on_disk(rooms)
    said = rooms.collect(dry_run=True)
    assert (said.freed, on_disk(rooms)) == (0, files)
    assert said.disk_after < files - 300_000
    rooms.collect()
    assert on_disk(rooms) <= said.disk_after


def test_the_tail_of_a_pack_is_cut_off_without_copying(rooms: Rooms) -> None:
    files = [(f"/{i}", noise(i)) for i in range(9)]
    kept = rooms.put("keep", files[:1])
    rooms.put("drop", files[1:])
    rooms.delete_repo("drop")
    rooms.database.cut_log()
    said, done = rooms.collect(dry_run=True), rooms.collect()
    assert (said.packs_rewritten, done.packs_rewritten) == (0, 0)
    assert rooms.packs() == 16 + 2048
    assert said.freed == pytest.approx(done.freed, abs=4096)
    assert rooms.read(kept) == dict(files[:1])


def test_what_can_not_be_written_anew_for_lack_of_space_stays(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [(f"/{i}", noise(i)) for i in range(9)]
    rooms.put("drop", files[2:])
    kept = rooms.put("keep", files[:2])
    rooms.delete_repo("drop")
    before = rooms.packs()
    write = os.pwritev
    written = 0

    def fill_up(handle: int, parts: list[bytes], offset: int) -> int:
        nonlocal written
        written += sum(map(len, parts))
        if written > 3000:
            raise OSError(errno.ENOSPC, "full")
        return write(handle, parts, offset)

    monkeypatch.setattr(os, "pwritev", fill_up)
    report = rooms.collect()
    monkeypatch.undo()
    assert (report.packs_rewritten, report.kept[NO_SPACE]) == (0, 7 * 2048)
    assert rooms.packs() == before
    assert rooms.read(kept) == dict(files[:2])
    assert rooms.collect().packs_rewritten == 1
    assert rooms.read(kept) == dict(files[:2])
