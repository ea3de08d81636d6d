"""gc, du, fsck, backup and restore, as an owner of data types them."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from pachlet import testing
from pachlet.api import stalls
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client.backup import back_up
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.errors import PachletError
from pachlet.storage import chunks
from pachlet.testing import RunningServer

Type = Callable[..., "Ran"]


class Ran:
    """What a command answered."""

    def __init__(self, address: str, folder: Path, words: tuple[str, ...], given: bytes) -> None:
        environ = {"PACHD_ADDRESS": address, "PACH_CONFIG": str(folder / "config.json")}
        out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
        self.status = main.run(Session(environ, out=out, err=err, input=io.BytesIO(given)), words)
        self.raw: bytes = out.buffer.getvalue()  # type: ignore[attr-defined]
        self.out, self.err = self.raw.decode(errors="replace"), err.getvalue()


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str], Type]:
    """Return how to type commands for the server at an address."""
    return lambda address: lambda *words, given=b"": Ran(address, tmp_path, words, given)


@pytest.fixture
def type(at: Callable[[str], Type], server: RunningServer) -> Type:
    return at(server.address)


def noise(seed: int, size: int = 100_000) -> bytes:
    return random.Random(seed).randbytes(size)


def put(type: Type, where: str, data: bytes) -> None:
    ran = type("put", "file", where, given=data)
    assert ran.status == 0, ran.err


def test_gc_gives_back_what_a_deleted_repo_took(type: Type, server: RunningServer) -> None:
    for repo in ("keep", "drop"):
        assert type("create", "repo", repo).status == 0
        put(type, f"{repo}@master:/same", noise(0))
    put(type, "drop@master:/own", noise(1, 300_000))
    usage = {row[1]: row for row in (line.split() for line in type("du").out.splitlines()[1:3])}
    assert usage["drop"][3:5] == ["390.6KiB", "488.3KiB"]
    unique, shared = (float(cell.removesuffix("KiB")) for cell in usage["drop"][5:])
    assert (unique, shared) == (pytest.approx(293, abs=1), pytest.approx(97.7, abs=1))
    assert type("delete", "repo", "drop").status == 0
    said = type("gc", "--dry-run")
    assert "chunks would be forgotten: 1 (293" in said.out
    assert "  files of commits: 97.7KiB" in said.out
    packs = server.data_dir / "packs"
    before = sum(path.stat().st_size for path in packs.iterdir())
    done = type("gc", "--raw")
    report = json.loads(done.out)
    assert report["chunks"] == "1"
    assert sum(path.stat().st_size for path in packs.iterdir()) < before - 290_000
    assert type("get", "file", "keep@master:/same").status == 0
    assert "no repo needs" in type("du").out


def test_fsck_says_what_is_damaged(type: Type, server: RunningServer) -> None:
    assert type("create", "repo", "r").status == 0
    put(type, "r@master:/a", noise(1))
    put(type, "r@master:/b", noise(2))
    clean = type("fsck", "--read")
    assert (clean.status, clean.out) == (0, "No errors found.\n")
    [pack] = (server.data_dir / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[-1] ^= 4  # a bit of /b
    pack.write_bytes(data)
    damaged = type("fsck", "--read")
    assert damaged.status == 1
    assert f"of pack {pack} is damaged" in damaged.err
    assert type("get", "file", "r@master:/a").out.encode() != b""
    failed = type("get", "file", "r@master:/b")
    assert failed.status == 1
    assert "is damaged" in failed.err
    assert "Traceback" not in failed.err
    pack.write_bytes(data[:-1])
    cut = type("fsck")
    assert cut.status == 1
    assert f"pack {pack} ends at" in cut.out


def test_a_backup_is_taken_while_serving_and_restored(
    at: Callable[[str], Type], server: RunningServer, tmp_path: Path
) -> None:
    type = at(server.address)
    folder, target = tmp_path / "backup", tmp_path / "restored"
    assert type("create", "repo", "r").status == 0
    put(type, "r@master:/a", noise(1))
    first = type("backup", str(folder))
    assert first.status == 0, first.err
    put(type, "r@master:/b", noise(2))
    put(type, "r@master:/a", noise(3))
    again = type("backup", str(folder))
    assert "were new" in again.out
    put(type, "r@master:/later", b"not in the backup")
    restored = type("restore", str(folder), "--data-dir", str(target))
    assert restored.status == 0, restored.err
    assert "all 3 chunks" in restored.out
    with testing.server(target) as other:
        there = at(other.address)
        listed = [word for word in there("list", "file", "r@master").out.split() if word.startswith("/")]
        assert listed == ["/a", "/b"]
        assert there("list", "commit", "r").out.count("USER") == 3
        assert there("fsck", "--read").out == "No errors found.\n"
        put(there, "r@master:/c", b"goes on")
        refused = there("backup", str(folder))
        assert refused.status == 1
        assert "a backup of another data directory" in refused.err


def test_a_backup_to_where_no_folder_can_be_is_told(type: Type) -> None:
    done = type("backup", "/proc/backup")
    said = "cannot write to /proc/backup: No such file or directory; choose another folder\n"
    assert (done.status, done.err) == (1, said)


def test_a_second_backup_sends_only_what_is_new(type: Type, tmp_path: Path, server: RunningServer) -> None:
    assert type("create", "repo", "r").status == 0
    put(type, "r@master:/a", noise(1, 5_000_000))
    type("gc")  # begins a new pack
    type("backup", str(tmp_path / "backup"))
    packs = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "backup" / "packs").iterdir()}
    put(type, "r@master:/b", noise(2))
    type("backup", str(tmp_path / "backup"))
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "backup" / "packs").iterdir()}
    assert len(now) == len(packs) + 1
    assert packs.items() <= now.items()
    # What is collected here goes there too.
    type("delete", "repo", "r")
    type("gc")
    type("backup", str(tmp_path / "backup"))
    assert not list((tmp_path / "backup" / "packs").iterdir())


def test_a_restore_refuses_what_is_in_the_way_and_a_database_that_does_not_open(
    type: Type, tmp_path: Path
) -> None:
    folder, target = tmp_path / "backup", tmp_path / "restored"
    assert type("create", "repo", "r").status == 0
    put(type, "r@master:/a", noise(1))
    type("backup", str(folder))
    nothing = type("restore", str(tmp_path / "nowhere"), "--data-dir", str(target))
    assert "holds no whole backup" in nothing.err
    target.mkdir()
    (target / "mine").touch()
    assert "is there already" in type("restore", str(folder), "--data-dir", str(target)).err
    (target / "mine").unlink()
    (folder / "pachlet.db").write_bytes(b"no database" * 1000)
    damaged = type("restore", str(folder), "--data-dir", str(target))
    assert damaged.status == 1
    assert "can't be opened" in damaged.err
    assert not list(target.iterdir())
    assert not target.with_name("restored.restoring").exists()


def test_a_data_directory_is_no_backup(at: Callable[[str], Type], tmp_path: Path) -> None:
    """What was written last is in its write-ahead log, so a copy of the rest would lack it and say nothing."""
    data, target = tmp_path / "served", tmp_path / "restored"
    with testing.server(data) as running:
        type = at(running.address)
        assert type("create", "repo", "r").status == 0
        copied = tmp_path / "copied"
        copied.mkdir()
        for each in data.glob("pachlet.db*"):
            shutil.copy(each, copied)
        for source in (data, copied):
            refused = type("restore", str(source), "--data-dir", str(target))
            assert refused.status == 1
            assert f"{source} is a data directory, not a backup; serve it as it is" in refused.err
    assert not target.exists()


def test_a_restore_says_what_can_not_be_read_or_written(
    type: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type("create", "repo", "r").status == 0
    assert type("backup", str(tmp_path / "backup")).status == 0
    assert "/ is there already" in type("restore", str(tmp_path / "backup"), "--data-dir", "/").err
    monkeypatch.setattr(Path, "mkdir", refuse)
    refused = type("restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "new"))
    assert f"can't restore to {tmp_path}/new: Permission denied" in refused.err
    assert refused.err.endswith("see whose the folders and files are\n")
    monkeypatch.setattr(Path, "is_file", refuse)  # as of a folder that others may not enter
    refused = type("restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "new"))
    assert refused.err == f"cannot read {tmp_path}/backup/pachlet.db: Permission denied; see whose it is\n"


def refuse(path: Path, *_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_what_is_damaged_is_told_by_backup_and_restore_and_all_the_rest_comes_back(
    at: Callable[[str], Type], tmp_path: Path
) -> None:
    data, folder, target = tmp_path / "data", tmp_path / "backup", tmp_path / "restored"
    files = {"r": ("/a", "/b"), "cut": ("/c", "/d"), "gone": ("/e",), "tree": ("/f",)}
    contents = {path: noise(seed) for seed, path in enumerate(path for own in files.values() for path in own)}
    with testing.server(data) as server:
        type = at(server.address)
        for repo, paths in files.items():
            assert type("create", "repo", repo).status == 0
            for path in paths:
                put(type, f"{repo}@master:{path}", contents[path])
            type("gc")  # each repo has a pack of its own
        assert type("backup", str(tmp_path / "before")).status == 0
    r, cut, gone, _ = sorted((data / "packs").iterdir())
    flip(r, r.stat().st_size - 1)  # of /b
    cut.write_bytes(cut.read_bytes()[:150_000])  # in the middle of /d
    gone.unlink()
    with sqlite3.connect(data / "pachlet.db") as database:
        query = "SELECT root FROM commits c JOIN repos r ON r.key = c.repo WHERE r.name = 'tree'"
        [(root,)] = database.execute(query)
        database.execute("UPDATE nodes SET data = x'4c' WHERE hash = ?", (root,))
    database.close()
    lost = [f"/{name}: " for name in "bde"] + [": all files: "]
    with testing.server(data) as server:
        saved = at(server.address)("backup", str(folder))
        assert saved.status == 1
        told = [line for line in saved.out.splitlines() if line.startswith("Error: commit default/")]
        assert [sum(part in line for line in told) for part in lost] == [1] * 4
        # What an earlier backup has whole is not sent again, and so is no loss to the next one.
        [only] = [
            line
            for line in at(server.address)("backup", str(tmp_path / "before")).out.splitlines()
            if line.startswith("Error: commit")
        ]
        assert ": all files: " in only
    restored = at("127.0.0.1:1")("restore", str(folder), "--data-dir", str(target))
    assert restored.status == 1
    assert [sum(part in line for line in restored.out.splitlines()) for part in lost] == [1] * 4
    assert ".restoring" not in restored.out
    with testing.server(target) as server:
        type = at(server.address)
        for path, where in (("/a", "r"), ("/c", "cut")):
            assert type("get", "file", f"{where}@master:{path}").raw == contents[path]
        for path, where in (("/b", "r"), ("/d", "cut"), ("/e", "gone")):
            assert type("get", "file", f"{where}@master:{path}").status == 1
            put(type, f"{where}@master:{path}", contents[path])
            assert type("get", "file", f"{where}@master:{path}").raw == contents[path]
        type("create", "repo", "tree2")
        put(type, "tree2@master:/f", contents["/f"])
        assert type("get", "file", "tree@master:/f").raw == contents["/f"]
        assert type("fsck", "--read").out == "No errors found.\n"
    whole = at("127.0.0.1:1")("restore", str(tmp_path / "before"), "--data-dir", str(tmp_path / "whole"))
    assert whole.status == 1
    assert ": all files: " in whole.out
    assert "/b" not in whole.out


def test_gc_and_du_meet_a_damaged_tree_and_say_so(type: Type, server: RunningServer) -> None:
    for repo in ("r", "s", "drop"):
        assert type("create", "repo", repo).status == 0
        put(type, f"{repo}@master:/{repo}", noise(len(repo)))
    type("delete", "repo", "drop")
    with sqlite3.connect(server.data_dir / "pachlet.db") as database:
        query = "SELECT root FROM commits c JOIN repos r ON r.key = c.repo WHERE r.name = 'r'"
        [(root,)] = database.execute(query)
        database.execute("UPDATE nodes SET data = substr(data, 1, length(data) - 1) WHERE hash = ?", (root,))
    database.close()
    ran = type("gc")
    assert ran.status == 1
    assert "chunks forgotten: 1 " in ran.out
    assert "Error: commit default/r@" in ran.out
    used = type("du")
    assert used.status == 1
    assert "1 pieces of trees are damaged" in used.err
    assert type("get", "file", "s@master:/s").raw == noise(1)


def unread(connection: Connection, method: str, request: dict[str, Any]) -> Any:
    """Call a method of pachlet's own and read the first answer only."""
    answers = connection.call("pachlet.v1.Storage", method, request)
    next(answers)
    return answers


def test_a_client_that_stalls_holds_nobody_up(
    type: Type, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "PATIENCE", 0.2)
    monkeypatch.setattr(chunks, "UPKEEP_PATIENCE", 10.0)
    assert type("create", "repo", "r").status == 0
    put(type, "r@master:/a", noise(1, 20_000_000))
    with Connection(server.address) as connection:
        backup = unread(connection, "Backup", {})  # more than what fits into gRPC's window is to come
        assert type("gc").status == 0
        with pytest.raises(PachletError):
            list(backup)
        # These are answered out of memory, so there is nothing to hold up.
        usage = unread(connection, "DiskUsage", {})
        assert type("gc", "--grace", "0s").status == 0
        assert usage.__next__() is not None


def test_a_backup_goes_into_no_folder_that_holds_other_things(type: Type, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    refused = type("backup", str(tmp_path / "photos"))
    assert "is not empty and holds no backup" in refused.err


@pytest.mark.parametrize("words", [("gc",), ("du",), ("backup", "somewhere")])
def test_a_server_that_is_not_pachlet_is_told_apart(
    at: Callable[[str], Type], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pachyderm = grpc.server(futures.ThreadPoolExecutor(1))
    port = pachyderm.add_insecure_port("127.0.0.1:0")
    pachyderm.start()
    ran = at(f"127.0.0.1:{port}")(*words)
    pachyderm.stop(None).wait()
    assert ran.status == 1
    assert f"127.0.0.1:{port} is not a pachlet server" in ran.err


def test_a_backup_that_is_broken_off_leaves_the_one_before_it_good(
    at: Callable[[str], Type], server: RunningServer, tmp_path: Path
) -> None:
    type, folder = at(server.address), tmp_path / "backup"
    assert type("create", "repo", "r").status == 0
    put(type, "r@master:/a", noise(1))
    assert type("backup", str(folder)).status == 0
    assert type("gc").status == 0  # what follows goes to a new pack
    put(type, "r@master:/b", noise(2, 3_000_000))

    class BrokenOff(Exception):
        pass

    def break_off_at(limit: int) -> Callable[[int], Callable[[int], None]]:
        sent = 0

        def advance(count: int) -> None:
            nonlocal sent
            sent += count
            if sent >= limit:
                raise BrokenOff

        return lambda total: advance

    with Connection(server.address) as connection:
        for limit in (1, 2_000_000, 3_050_000):
            with pytest.raises(BrokenOff):
                back_up(connection, folder, break_off_at(limit))
            target = tmp_path / f"restored {limit}"
            assert type("restore", str(folder), "--data-dir", str(target)).status == 0
            with testing.server(target) as other:
                found = at(other.address)("list", "file", "r@master").out
                assert "/a" in found
                assert "/b" not in found
        # The collector was let go, and what had arrived is not sent again.
        assert type("gc").status == 0
        summary = back_up(connection, folder, lambda total: lambda count: None)
    assert summary.sent < 1_000_000
    assert not list(folder.rglob("*.part"))
    target = tmp_path / "restored"
    assert type("restore", str(folder), "--data-dir", str(target)).status == 0
    with testing.server(target) as other:
        assert "/b" in at(other.address)("list", "file", "r@master").out


def test_a_backup_while_others_write_is_of_one_moment(
    at: Callable[[str], Type], server: RunningServer, tmp_path: Path
) -> None:
    type, folder = at(server.address), tmp_path / "backup"
    assert type("create", "repo", "r").status == 0
    written = 0

    def write(count: int) -> None:
        nonlocal written
        for _ in range(5):  # two files that belong together, one commit each time
            written += 1
            put_file(connection, "r@master", [from_bytes(f"/{name}", noise(written, 2000)) for name in "ab"])

    with Connection(server.address) as connection:
        write(0)
        back_up(connection, folder, lambda total: write)
    assert type("restore", str(folder), "--data-dir", str(tmp_path / "restored")).status == 0
    with testing.server(tmp_path / "restored") as other:
        there = at(other.address)
        assert there("list", "commit", "r").out.count("USER") == 5
        assert there("fsck", "--read").out == "No errors found.\n"
        assert (
            there("get", "file", "r@master:/a").raw
            == there("get", "file", "r@master:/b").raw
            == noise(5, 2000)
        )
