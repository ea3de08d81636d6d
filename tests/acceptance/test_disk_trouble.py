"""A full disk and a damaged one: a clear error, nothing half done, and nothing else lost."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pachlet import errors, testing
from pachlet.client import commits
from pachlet.client.connection import Connection, Message
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.repos import create_repo, delete_repo
from pachlet.client.storage import check_chunks, collect_garbage, fsck
from pachlet.pfs import finishing
from pachlet.pfs.checking import Checker
from pachlet.pfs.finishing import Finisher
from pachlet.storage.diffs import Diff
from pachlet.testing import RunningServer
from tests.pfs_rooms import Rooms


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def put(connection: Connection, path: str, data: bytes) -> None:
    put_file(connection, "r@master", [from_bytes(path, data)])


LIST_HEAD = {"repo": {"name": "r", "type": "user"}, "number": 1}


def get(connection: Connection, path: str, id: str = "") -> bytes:
    branch = {"repo": {"name": "r", "type": "user"}, "name": "master"}
    file = {"commit": {"branch": branch, "id": id}, "path": path}
    return b"".join(each.value for each in connection.call("pfs_v2.API", "GetFile", {"file": file}))


def collect(connection: Connection, slack: int | None = None) -> Message:
    return collect_garbage(connection, lambda step: None, dry_run=False, grace=None, slack_percent=slack)


def test_a_full_disk_refuses_what_does_not_fit_and_loses_nothing(small_disk: Path) -> None:
    with testing.server(small_disk / "data") as server, Connection(server.address) as connection:
        create_repo(connection, "r")
        put(connection, "/before", noise(1, 1_000_000))
        with pytest.raises(errors.PachletError, match=r"no space left on the disk that holds .*packs"):
            put(connection, "/too-big", noise(2, 20_000_000))
        with pytest.raises(errors.PachletError, match="/too-big not found"):
            get(connection, "/too-big")
        assert get(connection, "/before") == noise(1, 1_000_000)
        # What the upload left over is garbage now, and collecting it needs no space.
        collect(connection)
        put(connection, "/after", noise(3, 3_000_000))
        assert get(connection, "/after") == noise(3, 3_000_000)
        assert not list(fsck(connection, zombies=False))
        assert check_chunks(connection) >= 2


def test_a_disk_that_is_full_to_the_last_byte_is_freed_by_deleting(small_disk: Path) -> None:
    with testing.server(small_disk / "data") as server, Connection(server.address) as connection:
        create_repo(connection, "r")
        create_repo(connection, "big")
        put(connection, "/kept", noise(1, 100_000))
        put_file(connection, "big@master", [from_bytes("/a", noise(2, 3_000_000))])
        with pytest.raises(errors.PachletError, match="no space left"):
            put(connection, "/too-big", noise(3, 20_000_000))
        # What the upload left over goes first: forgetting a repo takes a little space.
        collect(connection)
        delete_repo(connection, "big")
        report = collect(connection)
        assert report.disk_bytes_before - report.disk_bytes_after > 3_000_000
        put(connection, "/fits", noise(4, 3_000_000))
        assert get(connection, "/kept") == noise(1, 100_000)


def test_a_database_that_can_not_grow_refuses_and_goes_on_when_it_can(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    rooms.create_repo("r")
    before = rooms.put("r", [("/a", b"a")])
    with rooms.database.read() as db:
        pages = db.pragma("page_count")
    rooms.database._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(errors.Unavailable, match=r"can't write .*pachlet.db: database or disk is full"):
        rooms.put("r", [(f"/{i}", b"%d" % i) for i in range(3000)])
    assert rooms.read(rooms.head("r")) in ({"/a": b"a"}, rooms.read(before))
    rooms.database._writer.execute("PRAGMA max_page_count = 1000000")
    after = rooms.put("r", [("/b", b"b")])
    assert rooms.read(after)["/b"] == b"b"
    rooms.close()


def test_a_log_that_there_is_no_space_to_bring_in_stays(small_disk: Path) -> None:
    rooms = Rooms(small_disk / "data")
    rooms.create_repo("r")
    kept = rooms.put("r", [(f"/{i}", b"%d" % i) for i in range(3000)])
    before = rooms.database.size_on_disk()
    filler = small_disk / "filler"
    fill_up(filler)
    assert not rooms.database.cut_log()
    assert rooms.database.size_on_disk() >= before
    filler.unlink()
    assert rooms.database.cut_log()
    assert rooms.database.size_on_disk() < before
    assert rooms.read(kept)["/2999"] == b"2999"
    rooms.close()


def test_a_commit_that_there_is_no_space_to_settle_goes_on_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "_TRY_AGAIN", 0.01)
    is_full = True
    publish = Finisher._publish

    def publish_if_there_is_space(self: Finisher, *rest: Any) -> None:
        if is_full:
            raise errors.Unavailable("no space left on the disk that holds it")
        publish(self, *rest)

    monkeypatch.setattr(Finisher, "_publish", publish_if_there_is_space)
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        create_repo(connection, "r")
        put(connection, "/a", b"1")  # acknowledged, because it is safe
        put(connection, "/b", b"2")
        [info] = connection.call("pfs_v2.API", "ListCommit", LIST_HEAD)
        assert (info.HasField("finishing"), info.HasField("finished")) == (True, False)
        first = commits.inspect_commit(connection, "r@master^")
        assert first.error == "not finished yet: no space left on the disk that holds it"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(commits.wait_commit, connection, "r@master")
            is_full = False
            assert waiting.result(30).error == ""
        assert commits.inspect_commit(connection, "r@master^").error == ""
        assert (get(connection, "/a"), get(connection, "/b")) == (b"1", b"2")
        is_full = True
        put(connection, "/c", b"3")
    # It is no reason not to start, either.
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        is_full = False
        assert commits.wait_commit(connection, "r@master").error == ""
        assert get(connection, "/c") == b"3"


def test_a_commit_is_tried_again_whatever_went_wrong_the_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "_TRY_AGAIN", 0.01)
    troubles = [errors.Unavailable("no space left"), sqlite3.OperationalError("not thought of")]
    publish, is_done = Finisher._publish, threading.Event()

    def publish_in_the_end(self: Finisher, some: Sequence[Any]) -> None:
        if some and troubles:
            raise troubles.pop(0)
        publish(self, some)
        is_done.set()

    monkeypatch.setattr(Finisher, "_publish", publish_in_the_end)
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        create_repo(connection, "r")
        put(connection, "/a", b"1")
        assert is_done.wait(30)
        assert commits.wait_commit(connection, "r@master").error == ""
        assert get(connection, "/a") == b"1"


def test_a_disk_that_fills_while_a_commit_is_settled(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "_TRY_AGAIN", 0.05)
    with testing.server(small_disk / "data") as server, Connection(server.address) as connection:
        create_repo(connection, "r")
        settle, filler = Finisher._settle_some, small_disk / "filler"

        def fill_first(self: Finisher, keys: Sequence[int], staged: dict[int, Diff]) -> list[int]:
            if not filler.exists():
                fill_up(filler)
            return settle(self, keys, staged)

        with monkeypatch.context() as patch:
            patch.setattr(Finisher, "_settle_some", fill_first)
            names = {f"/{number:05}": b"%d" % number for number in range(300)}
            put_file(connection, "r@master", [from_bytes(path, data) for path, data in names.items()])
            [info] = connection.call("pfs_v2.API", "ListCommit", LIST_HEAD)
            assert info.error.startswith("not finished yet: ")
            assert "full" in info.error or "no space" in info.error
        filler.unlink()
        assert commits.wait_commit(connection, "r@master").error == ""
        assert get(connection, "/00007") == b"7"
        assert not list(fsck(connection, zombies=False))


def fill_up(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while out.write(bytes(size)):
                    pass


def test_a_flipped_bit_spoils_one_file_and_says_so(server: RunningServer, connection: Connection) -> None:
    create_repo(connection, "r")
    for number in range(3):
        put(connection, f"/{number}", noise(number, 50_000))
    [pack] = (server.data_dir / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    at = data.index(noise(1, 50_000)) + 25_000
    data[at] ^= 1
    pack.write_bytes(data)
    assert get(connection, "/0") == noise(0, 50_000)
    assert get(connection, "/2") == noise(2, 50_000)
    with pytest.raises(errors.Corrupt, match=rf"at offset \d+ of pack {pack} is damaged"):
        get(connection, "/1")
    with pytest.raises(errors.Corrupt, match="is damaged"):
        check_chunks(connection)
    # Garbage collection neither spreads the damage nor throws away what is around it.
    collect(connection, slack=0)
    assert get(connection, "/2") == noise(2, 50_000)
    # What is lost can be put again, and that heals every commit that has it.
    [old] = connection.call("pfs_v2.API", "ListCommit", LIST_HEAD)
    put(connection, "/again", noise(1, 50_000))
    for path in ("/1", "/again"):
        assert get(connection, path) == noise(1, 50_000)
    assert get(connection, "/1", old.commit.id) == noise(1, 50_000)
    collect(connection, slack=0)
    assert get(connection, "/1", old.commit.id) == noise(1, 50_000)
    assert not list(fsck(connection, zombies=False))
    assert check_chunks(connection) == 3
    assert not pack.exists() or not pack.stat().st_size


@pytest.mark.parametrize("left", [None, 0, 50_000])
def test_what_a_lost_pack_held_can_be_put_again(tmp_path: Path, left: int | None) -> None:
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        create_repo(connection, "r")
        put(connection, "/a", noise(1, 80_000))
        put(connection, "/b", noise(2, 90_000))
        [old] = connection.call("pfs_v2.API", "ListCommit", LIST_HEAD)
    [pack] = (tmp_path / "packs").glob("*.pack")
    if left is None:
        pack.unlink()
    else:
        pack.write_bytes(pack.read_bytes()[:left])
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        put(connection, "/unrelated", noise(3, 300_000))
        # The same bytes at the same path change no commit; what is stored they do.
        put(connection, "/a", noise(1, 80_000))
        put(connection, "/copy", noise(2, 90_000))
        for id in ("", old.commit.id):
            assert get(connection, "/a", id) == noise(1, 80_000)
            assert get(connection, "/b", id) == noise(2, 90_000)
        assert get(connection, "/copy") == noise(2, 90_000)
        collect(connection, slack=0)
        assert not list(fsck(connection, zombies=False))
        assert check_chunks(connection) == 3
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        assert get(connection, "/b", old.commit.id) == noise(2, 90_000)


def test_a_flipped_bit_in_a_tree_is_told_and_other_commits_are_whole(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    rooms.create_repo("r")
    rooms.create_repo("s")
    bad, good = rooms.put("r", [("/a", b"a")]), rooms.put("s", [("/b", b"b")])
    with rooms.database.read() as db:
        data = bytearray(db.value("get_node", hash=bad.root))
    data[-1] ^= 1
    with rooms.database.write() as db:
        db.many("delete_node", [(bad.root,)])
        db.many("add_node", [(bad.root, bytes(data))])
    rooms.close()
    rooms = Rooms(tmp_path)
    [fault] = Checker(rooms.database, rooms.store).check()
    assert f"r@{bad.commit.id}" in fault
    assert "is damaged" in fault
    assert rooms.read(good) == {"/b": b"b"}
    rooms.close()


def test_a_flipped_bit_in_the_database_is_an_error_and_never_other_bytes(tmp_path: Path) -> None:
    """Half of them in the first bytes of a page, which say where the rest of it is."""
    rooms = Rooms(tmp_path / "whole")
    rooms.create_repo("r")
    made = [rooms.put("r", [(f"/{i}", b"%d" % (i * n)) for i in range(200)]) for n in range(3)]
    held = [rooms.read(each) for each in made]
    rooms.close()
    whole, chance, errors_met = (tmp_path / "whole" / "pachlet.db").read_bytes(), random.Random(20261126), 0
    for number in range(16):
        folder = tmp_path / f"{number}"
        shutil.copytree(tmp_path / "whole", folder)
        at = chance.randrange(len(whole) // 4096) * 4096 + chance.randrange(100 if number % 2 else 4096)
        flipped = bytes([whole[at] ^ 1 << chance.randrange(8)])
        (folder / "pachlet.db").write_bytes(whole[:at] + flipped + whole[at + 1 :])
        try:
            rooms = Rooms(folder)
        except errors.Corrupt:
            errors_met += 1
            continue
        for commit, files in zip(made, held, strict=True):
            with contextlib.suppress(errors.PachletError):
                assert rooms.read(commit).items() <= files.items(), at
        try:
            errors_met += bool(list(Checker(rooms.database, rooms.store).check()))
            rooms.put("r", [("/n", b"")])
        except errors.PachletError:
            errors_met += 1
        rooms.close()
    assert errors_met > 0


@pytest.mark.parametrize(
    "change, said",
    [
        ("description = CAST(x'ff' AS TEXT)", r"pachlet.db is damaged: Could not decode to UTF-8"),
        ("metadata = '{\"a\": '", r"a row of the database is damaged: its JSON can't be read"),
    ],
)
def test_a_row_that_can_not_be_read_is_told_as_damage(
    server: RunningServer, connection: Connection, change: str, said: str
) -> None:
    create_repo(connection, "r")
    create_repo(connection, "s")
    put(connection, "/a", b"1")
    with contextlib.closing(sqlite3.connect(server.data_dir / "pachlet.db")) as database, database:
        database.execute(f"UPDATE repos SET {change} WHERE name = 's'")
    with pytest.raises(errors.Corrupt, match=said):
        list(connection.call("pfs_v2.API", "ListRepo", {}))
    assert get(connection, "/a") == b"1"
