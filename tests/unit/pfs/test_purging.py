"""Purging: no byte of a file is left in the data directory, and everything else is as it was."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import zstandard

from pachlet.clock import Clock
from pachlet.errors import FailedPrecondition, InvalidArgument, Purged, Unavailable
from pachlet.metadb.connect import Database
from pachlet.pfs import index, purging
from pachlet.pfs.checking import Checker
from pachlet.pfs.collecting import Progress, _Collection
from pachlet.pfs.filesets import FileSets
from pachlet.pfs.index import chunk_key
from pachlet.pfs.purging import PurgeReport
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.uploads import Upload, place_upload
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.content import ONE_CHUNK
from pachlet.storage.hashing import chunk_hash
from pachlet.storage.packs import heads
from tests.pfs_rooms import Rooms, repo
from tests.unit.pfs.test_collecting_killed import Camera

SECRET = b"the name of the patient is Ada Lovelace, born 1815\n"


def noise(seed: int, size: int = 3000) -> bytes:
    return random.Random(seed).randbytes(size)


def text(seed: int, lines: int = 200) -> bytes:
    """Return bytes that compress well."""
    return b"".join(b"%d,%d,patient %d\n" % (seed, i, i % 7) for i in range(lines))


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    rooms = Rooms(tmp_path / "data", pack_size=20_000)
    rooms.create_repo("r")
    rooms.create_repo("other")
    yield rooms
    rooms.close()


def purge(rooms: Rooms, *named: tuple[CommitRecord, str], dry_run: bool = False, **more: bool) -> PurgeReport:
    *_, report = rooms.purger.purge(named, who="ada@host", why="her wish", dry_run=dry_run, **more)
    assert isinstance(report, PurgeReport)
    return report


def is_found(folder: Path, data: bytes) -> bool:
    """Tell whether bytes are anywhere in a folder: as they are, or in a zstd frame."""
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            if data in raw or any(data in each for each in _frames(raw)):
                return True
    return False


def _frames(raw: bytes) -> Iterator[bytes]:
    at = raw.find(zstandard.FRAME_HEADER)
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(raw[at:])
        at = raw.find(zstandard.FRAME_HEADER, at + 1)


@pytest.mark.parametrize(
    "data, neighbours",
    [
        pytest.param(noise(1), 0, id="alone"),
        pytest.param(noise(2, 300), 60, id="packed with small files"),
        pytest.param(text(3), 3, id="compressed"),
        pytest.param(noise(4, 3_000_000), 1, id="of several chunks"),
    ],
)
def test_no_byte_is_left(rooms: Rooms, tmp_path: Path, data: bytes, neighbours: int) -> None:
    files = [(f"/n{i}", noise(100 + i, 400)) for i in range(neighbours)]
    rooms.put("r", [("/first", b"first")])
    rooms.put("r", [*files, ("/secret", data)])
    last = rooms.put("r", [("/last", b"last")])
    probe = data[len(data) // 2 : len(data) // 2 + 64]
    assert is_found(tmp_path, probe)
    report = purge(rooms, (last, "/secret"))
    assert report.records == report.chunks
    assert not is_found(tmp_path, probe)
    with pytest.raises(Purged, match=r"secret was purged on .*Z by ada@host: her wish \(purge "):
        rooms.read(last)
    with rooms.database.read() as db:
        info = rooms.files.open_commit(db, last).info("/secret")
    assert info is not None
    assert info.size == len(data)
    assert not list(Checker(rooms.database, rooms.store).check())
    assert Checker(rooms.database, rooms.store).check_chunks(b"", None, read=True) == neighbours + 2
    rooms.collect(slack=0)
    with rooms.database.read() as db:
        opened = rooms.files.open_commit(db, last)
    for path, content in [*files, ("/first", b"first"), ("/last", b"last")]:
        [entry] = opened.file(path)
        assert b"".join(rooms.files.read(entry.content)) == content


def test_copies_in_all_repos_open_commits_and_file_sets_go(rooms: Rooms, tmp_path: Path) -> None:
    first = rooms.put("r", [("/a", SECRET)])
    rooms.put("r", [("/b", b"b")])
    rooms.put("other", [("/deep/copy", SECRET)])
    open_commit = rooms.start("r")
    rooms.put("r", [("/open", SECRET)])
    filesets = FileSets(rooms.database, rooms.transactions, rooms.files, Clock())
    filesets.create(rooms.upload([("/set", SECRET)]))
    report = purge(rooms, (first, "/a"))
    assert {(each.path, bool(each.fileset)) for each in report.holders.copies} == {
        ("/a", False),
        ("/deep/copy", False),
        ("/open", False),
        ("/set", True),
    }
    assert {each.path: each.commits for each in report.holders.copies}["/a"] == 2
    assert not is_found(tmp_path, SECRET)
    rooms.finish("r")
    assert open_commit.key == rooms.head("r").key
    with pytest.raises(Purged):
        rooms.read(rooms.head("r"))
    with pytest.raises(Purged):
        rooms.read(rooms.head("other"))


def test_what_shares_chunks_is_named_and_refused_unless_included(rooms: Rooms, tmp_path: Path) -> None:
    base = noise(5, 6_000_000)
    one = rooms.put("r", [("/v1", base)])
    rooms.put("r", [("/v2", base[:-1000] + noise(6, 1000))])
    with pytest.raises(FailedPrecondition, match=r"1 other files share .*:/v2"):
        purge(rooms, (one, "/v1"))
    assert [each.path for each in purge(rooms, (one, "/v1"), dry_run=True).holders.sharing] == ["/v2"]
    assert rooms.read(one) == {"/v1": base}
    report = purge(rooms, (one, "/v1"), include_shared=True)
    assert [each.path for each in report.holders.sharing] == ["/v2"]
    assert not is_found(tmp_path, base[1_000_000:1_000_100])
    assert is_found(tmp_path, noise(6, 1000))
    purge(rooms, (rooms.head("r"), "/v2"))
    assert not is_found(tmp_path, noise(6, 1000))


def test_the_same_bytes_are_refused_until_the_purge_is_lifted(rooms: Rooms) -> None:
    first = rooms.put("r", [("/a", SECRET)])
    started_before = rooms.upload([("/late", SECRET)])
    report = purge(rooms, (first, "/a"))
    assert report.uploads >= 1
    assert report.purge is not None
    with pytest.raises(Purged, match="may not be stored"):
        rooms.put("r", [("/again", SECRET)])
    with pytest.raises(Purged, match="/late: bytes of this file"):
        rooms.write("other", started_before)
    rooms.purger.lift(report.purge.id[:8], "ada@host")
    rooms.put("r", [("/again", SECRET)])
    assert rooms.read(rooms.head("r")) == {"/a": SECRET, "/again": SECRET}
    purge(rooms, (rooms.head("r"), "/again"))
    with pytest.raises(Purged):
        rooms.read(first)


def test_what_was_put_again_after_a_purge_can_be_lost_and_that_is_told(rooms: Rooms) -> None:
    def losses() -> list[str]:
        return list(Checker(rooms.database, rooms.store).check())

    report = purge(rooms, (rooms.put("r", [("/a", SECRET)]), "/a"))
    assert report.purge is not None
    rooms.purger.lift(report.purge.id, "ada@host")
    assert losses() == []  # lifted, but gone
    rooms.put("r", [("/again", SECRET)])
    assert losses() == []
    with rooms.database.write() as db:
        db.many("delete_chunk", [(chunk_hash(SECRET),)])
    told = losses()
    assert any("/again" in each for each in told), told
    purge(rooms, (rooms.put("other", [("/b", SECRET)]), "/b"))
    assert losses() == []  # purged again


def test_a_purge_that_broke_off_can_not_be_lifted_before_it_is_done(
    rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rooms.put("r", [("/a", SECRET)])
    with monkeypatch.context() as patch:
        patch.setattr(Database, "scrub", lambda self: False)
        patch.setattr(purging, "_PATIENCE", 0.0)
        with pytest.raises(Unavailable, match="log can't be cut off"):
            purge(rooms, (first, "/a"))
    with rooms.database.read() as db:
        [begun] = purging.all_purges(db)
    # The next start overwrites these bytes wherever they lie, so also where they were put again.
    with pytest.raises(FailedPrecondition, match="is not done, and would take what is put again"):
        rooms.purger.lift(begun.id, "ada@host")
    rooms.close()
    again = Rooms(tmp_path / "data")
    again.purger.lift(begun.id, "ada@host")
    again.put("r", [("/again", SECRET)])
    again.close()
    again = Rooms(tmp_path / "data")
    assert again.read(again.head("r"))["/again"] == SECRET
    again.close()


def test_a_purge_that_can_not_be_finished_keeps_nobody_from_the_rest(
    rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Iterator[object]:
        raise Unavailable("can't overwrite what is purged: a bad sector", hint="look at the disk's health")

    first = rooms.put("r", [("/a", SECRET), ("/b", b"b")])
    with monkeypatch.context() as patch:
        patch.setattr(purging, "wipe", broken)
        with pytest.raises(Unavailable, match="bad sector"):
            purge(rooms, (first, "/a"))
        rooms.close()
        again = Rooms(tmp_path / "data")
        assert "is not done: can't overwrite what is purged: a bad sector; look at" in caplog.text
        with pytest.raises(Purged):
            again.read(again.head("r"))
        assert again.read(again.put("other", [("/b", b"b")])) == {"/b": b"b"}
        with again.database.read() as db:
            assert [each.is_done for each in purging.all_purges(db)] == [False]
        again.close()
    again = Rooms(tmp_path / "data")
    with again.database.read() as db:
        assert [each.is_done for each in purging.all_purges(db)] == [True]
    assert not is_found(tmp_path, SECRET[:30])
    again.close()


def test_a_pack_that_is_begun_behind_the_turned_page_keeps_what_comes_into_it(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rooms.put("r", [("/a", SECRET)])
    turn_page, clear = ChunkStore.turn_page, _Collection._clear_packs
    uploads: list[Upload] = []

    def turn(store: ChunkStore) -> list[int]:
        idle = turn_page(store)
        rooms.put("r", [("/put and done", noise(1))])  # its pack is idle again, and goes on being written to
        return idle

    def late(self: _Collection, packs: Iterable[int]) -> Iterator[Progress]:
        uploads.append(rooms.upload([("/late", noise(2))]))
        return clear(self, packs)

    monkeypatch.setattr(ChunkStore, "turn_page", turn)
    monkeypatch.setattr(_Collection, "_clear_packs", late)
    rooms.collect()
    rooms.write("r", uploads.pop())
    assert rooms.read(rooms.head("r")) == {"/a": SECRET, "/put and done": noise(1), "/late": noise(2)}
    assert rooms.read(first) == {"/a": SECRET}


def test_an_upload_that_stored_the_bytes_before_the_purge_can_not_publish_them(
    rooms: Rooms, tmp_path: Path
) -> None:
    first = rooms.put("r", [("/a", noise(1))])
    upload = rooms.upload([("/b", SECRET)])  # pending, in no index
    with rooms.database.write() as db:
        db.many("bury_chunk", [(chunk_key(chunk_hash(SECRET)), "0" * 32)])
    with pytest.raises(Purged, match="while they were being put"):
        rooms.write("r", upload)
    assert rooms.head("r").key == first.key


def test_an_upload_that_found_the_bytes_before_the_purge_can_not_publish_them(rooms: Rooms) -> None:
    first = rooms.put("r", [("/a", SECRET), ("/other", noise(1))])
    upload = rooms.upload([("/fine", noise(2)), ("/b", SECRET)])
    upload.seal()
    assert purge(rooms, (first, "/a")).uploads == 1
    with pytest.raises(Purged, match="/b: bytes of this file were purged while they were being put"):
        rooms.write("r", upload)
    assert rooms.head("r").key == first.key
    rooms.put("other", [("/b", noise(1)), ("/c", noise(3))])  # what is found, and new, and not purged
    assert rooms.read(rooms.head("other")) == {"/b": noise(1), "/c": noise(3)}


def test_an_upload_that_recorded_the_bytes_ahead_of_the_purge_can_not_publish_them(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_FEW_ROWS", 1)
    upload = rooms.upload([("/fine", noise(2)), ("/b", SECRET)])
    upload.prepare(rooms.database)
    behind = rooms.upload([("/fine", noise(4)), ("/c", SECRET)])
    behind.seal()  # its chunks are recorded after the purge
    first = rooms.put("r", [("/a", SECRET)])
    purge(rooms, (first, "/a"))
    with pytest.raises(Purged, match="/c: bytes of this file were purged while they were being put"):
        behind.prepare(rooms.database)
    with (
        pytest.raises(Purged, match="/b: bytes of this file were purged while they were being put"),
        rooms.transactions.start() as txn,
    ):
        place_upload(txn, upload, repo("r"), "", "master")
    assert rooms.head("r").key == first.key


def test_the_file_is_named_whose_bytes_may_not_be_stored(rooms: Rooms) -> None:
    first = rooms.put("r", [("/a", SECRET), ("/other", noise(30))])
    purge(rooms, (first, "/a"), (first, "/other"))
    upload = rooms.upload([(f"/{number}", noise(number)) for number in range(20)])
    with rooms.database.read() as db:  # to refer to what was purged is allowed
        upload.copy(rooms.files.open_commit(db, first), "/other", "/copy", append=False)
    upload.put_small("/here", SECRET, replaces=True)
    upload.put_small("/behind", noise(20), replaces=True)
    with pytest.raises(
        Purged, match=r"/here: bytes of this file may not be stored any more: default/r@.*:/a"
    ):
        upload.seal()
    large = rooms.put("r", [("/large", noise(21, 3 * ONE_CHUNK))])
    purge(rooms, (large, "/large"))
    with pytest.raises(Purged, match=r"^/again: bytes of this file may not be stored any more"):
        rooms.upload([("/first", b"1"), ("/again", noise(21, 3 * ONE_CHUNK))])


def test_a_commit_that_appends_to_what_was_purged_is_finished(rooms: Rooms) -> None:
    first = rooms.put("r", [("/log", SECRET)])
    rooms.start("r")
    upload = rooms.upload()
    upload.add("/log", [b"appended"])
    rooms.write("r", upload)
    purge(rooms, (first, "/log"))
    rooms.finish("r")
    head = rooms.head("r")
    assert head.finished is not None
    assert head.error == ""
    assert head.size == len(SECRET) + len(b"appended")
    with pytest.raises(Purged):
        rooms.read(head)


def test_a_purge_wants_a_reason_bytes_and_something_left(rooms: Rooms) -> None:
    first = rooms.put("r", [("/a", SECRET), ("/empty", b"")])
    with pytest.raises(InvalidArgument, match="needs files, a reason and an author"):
        list(rooms.purger.purge([(first, "/a")], who="ada", why=" "))
    with pytest.raises(InvalidArgument, match="empty"):
        purge(rooms, (first, "/empty"))
    purge(rooms, (first, "/"))
    with pytest.raises(FailedPrecondition, match="nothing is left of it"):
        purge(rooms, (first, "/a"))


def test_torn_and_unpublished_records_are_wiped_too(rooms: Rooms, tmp_path: Path) -> None:
    first = rooms.put("r", [("/a", SECRET)])
    rooms.store.turn_page()
    [pack] = [path for path in rooms.store.directory.iterdir() if SECRET in path.read_bytes()]
    data = pack.read_bytes()
    # A copy that no index knows, a damaged head before another, and the beginning of a record that a kill tore.
    at = data.index(SECRET) - 48
    record = data[at : at + 48 + len(SECRET)]
    pack.write_bytes(data + record + b"garbage" + record + record[:80])
    purge(rooms, (first, "/a"))
    assert not is_found(tmp_path, SECRET[:30])
    fd = os.open(pack, os.O_RDONLY)
    assert [each.is_whole for each in heads(fd, pack.stat().st_size)][:2] == [True, True]
    os.close(fd)


def test_a_purge_may_be_killed_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = Rooms(tmp_path / "data", pack_size=5000)
    rooms.create_repo("r")
    rooms.create_repo("other")
    for number in range(4):
        rooms.put("r", [(f"/{number}/{i}", noise(10 * number + i, 700)) for i in range(3)])
    first = rooms.put("r", [("/secret", SECRET)])
    rooms.put("other", [("/copy", SECRET)])
    expected = {path: data for path, data in rooms.read(first).items() if path != "/secret"}
    camera = Camera(tmp_path / "data", tmp_path / "copies", monkeypatch)
    camera._take()  # killed before anything is written
    camera.watch(rooms)
    for name, around in (("pwrite", os.pwrite), ("ftruncate", os.ftruncate)):
        monkeypatch.setattr(os, name, camera._around(around))
    purge(rooms, (first, "/secret"))
    camera.stop()
    rooms.close()
    states = set()
    for copy in camera.taken:
        again = Rooms(copy, pack_size=5000)
        assert not list(Checker(again.database, again.store).check())
        is_gone = again.store.purged([chunk_hash(SECRET)]) is not None
        states.add(is_gone)
        assert is_found(copy, SECRET) != is_gone, copy
        with again.database.read() as db:
            files = again.files.open_commit(db, again.head("r"))
        for path, data in expected.items():
            [entry] = files.file(path)
            assert b"".join(again.files.read(entry.content)) == data
        again.close()
    assert states == {False, True}
