"""File sets: files without a commit, which expire, can be laid over one another, added to a commit, read and cut up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import commits, repos
from pachlet.client.connection import Connection
from pachlet.client.names import branch, commit
from pachlet.client.storage import collect_garbage
from pachlet.clock import FakeClock
from pachlet.errors import NotFound, PachletError, Refused
from tests.acceptance.words import PFS, add, delete, head, modify, paths, put, tree

SET = "storage.Fileset"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def running(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "data")
        yield connection


def make(connection: Connection, *messages: dict[str, Any]) -> str:
    id: str = connection.send(PFS, "CreateFileSet", messages).file_set_id
    return id


def virtual(id: str) -> dict[str, Any]:
    return {"repo": {"name": "__filesets__", "type": "user"}, "id": id}


def read(connection: Connection, id: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in connection.call(SET, "ReadFileset", {"fileset_id": id}):
        found[each.path] = found.get(each.path, "") + each.data.value.decode()
    return found


def take(connection: Connection, name: str, kind: str = "TOTAL") -> str:
    request = {"commit": commit("default", name), "type": ["TOTAL", "DIFF"].index(kind)}
    id: str = connection.call(PFS, "GetFileSet", request).file_set_id
    return id


def lay(connection: Connection, *ids: str, ttl: int = 60) -> str:
    request = {"file_set_ids": ids, "ttl_seconds": ttl}
    id: str = connection.call(PFS, "ComposeFileSet", request).file_set_id
    return id


def add_to(connection: Connection, name: str, id: str) -> None:
    connection.call(PFS, "AddFileSet", {"commit": commit("default", name), "file_set_id": id})


def renew(connection: Connection, id: str, ttl: int) -> None:
    connection.call(PFS, "RenewFileSet", {"file_set_id": id, "ttl_seconds": ttl})


def shards(connection: Connection, id: str, **limits: int) -> list[tuple[str, str]]:
    found = connection.call(PFS, "ShardFileSet", {"file_set_id": id, **limits}).shards
    return [(each.lower, each.upper) for each in found]


def test_a_file_set_is_added_to_a_commit(running: Connection) -> None:
    put(running, "data@master", {"/old": "o", "/gone/x": "x"})
    made = make(running, add("/a", "1"), add("/b/c", "2"), add("/a", "3"), delete("/gone/"), add("/old", "+"))
    commits.start_commit(running, "data@master")
    add_to(running, "data@master", made)
    add_to(running, "data@master", made)  # it is not used up
    assert tree(running, "data@master") == {"/a": "1313", "/b/c": "22", "/old": "o++"}
    commits.finish_commit(running, "data@master")
    assert tree(running, "data@master") == {"/a": "1313", "/b/c": "22", "/old": "o++"}
    with pytest.raises(Refused, match=r"^commit default/data@\w+ has already finished$"):
        add_to(running, "data@master", made)


def test_a_file_set_is_read_as_a_commit(running: Connection) -> None:
    id = make(running, add("/dir/a", "1"), add("/b", "22"), add("/empty", ""))
    assert len(id) == 32
    info = running.call(PFS, "InspectCommit", {"commit": virtual(id)})
    assert (info.commit.id, info.details.size_bytes, info.commit.repo.name) == (id, 3, "__filesets__")
    assert info.HasField("finished")
    assert info.HasField("origin")
    listed = running.call(PFS, "ListFile", {"file": {"commit": virtual(id), "path": "/"}})
    assert paths(listed) == ["/b", "/dir/", "/empty"]
    found = running.call(PFS, "GlobFile", {"commit": virtual(id), "pattern": "/*/*"})
    assert paths(found) == ["/dir/a"]
    got = running.call(PFS, "GetFile", {"file": {"commit": virtual(id), "path": "/b"}})
    assert b"".join(each.value for each in got) == b"22"
    source = {"commit": virtual(id), "path": "/dir"}
    modify(running, "data@master", {"copy_file": {"src": source, "dst": "/copy"}})
    assert tree(running, "data@master") == {"/copy/a": "1"}
    with pytest.raises(PachletError, match="__filesets__"):  # but it is none
        running.call(PFS, "FinishCommit", {"commit": virtual(id)})
    with pytest.raises(PachletError, match=r"__filesets__ is reserved|reserved name"):
        repos.create_repo(running, "__filesets__")


def test_a_file_set_of_a_finished_commit(running: Connection) -> None:
    put(running, "data@master", {"/a": "1", "/b": "2", "/c": "3"})
    modify(running, "data@master", delete("/b"), add("/a", "+"), add("/d", "4"))
    assert read(running, take(running, "data@master")) == {"/a": "1+", "/c": "3", "/d": "4"}
    changes = take(running, "data@master", "DIFF")
    assert read(running, changes) == {"/a": "1+", "/d": "4"}
    # Laid over what was there before, the changes make what came of them.
    repos.create_repo(running, "again")
    commits.start_commit(running, "again@master")
    add_to(running, "again@master", take(running, "data@master^"))
    assert tree(running, "again@master") == {"/a": "1", "/b": "2", "/c": "3"}
    add_to(running, "again@master", changes)
    commits.finish_commit(running, "again@master")
    assert tree(running, "again@master") == {"/a": "1+", "/c": "3", "/d": "4"}


def test_a_file_set_of_an_open_commit_stays_as_it_was(running: Connection) -> None:
    put(running, "data@master", {"/a": "1"})
    commits.start_commit(running, "data@master")
    modify(running, "data@master", add("/a", "2"), add("/b", "b"))
    everything, changes = take(running, "data@master"), take(running, "data@master", "DIFF")
    modify(running, "data@master", delete("/"))
    commits.finish_commit(running, "data@master")
    assert tree(running, "data@master") == {}
    assert read(running, everything) == {"/a": "12", "/b": "b"}
    assert read(running, changes) == {"/a": "2", "/b": "b"}


def test_no_file_set_of_a_commit_whose_base_is_open(running: Connection) -> None:
    running.call(PFS, "CreateRepo", {"repo": {"name": "down", "type": "user"}})
    commits.start_commit(running, "data@master")
    running.call(
        PFS,
        "CreateBranch",
        {"branch": branch("default", "down@master"), "provenance": [branch("default", "data@master")]},
    )
    commits.finish_commit(running, "data@master")
    put(running, "data@master", {"/x": "1"})
    with pytest.raises(
        Refused, match=r"^base commit default/down@\w+ for commit default/down@\w+ unfinished$"
    ):
        take(running, "down@master")


def test_layers(running: Connection) -> None:
    put(running, "data@master", {"/a": "tree", "/t": "t"})
    whole = take(running, "data@master")
    one = make(running, add("/a", "1"), add("/b", "1"))
    two = make(running, delete("/a"), add("/a", "2"), add("/b", "2"))
    assert read(running, lay(running, one, two)) == {"/a": "2", "/b": "12"}
    assert read(running, lay(running, two, one)) == {"/a": "21", "/b": "21"}
    assert read(running, lay(running, whole, one)) == {"/a": "tree1", "/b": "1", "/t": "t"}
    assert read(running, lay(running, two, whole)) == {"/a": "2tree", "/b": "2", "/t": "t"}
    assert read(running, lay(running, lay(running, one, two), whole)) == {
        "/a": "2tree",
        "/b": "12",
        "/t": "t",
    }
    assert read(running, lay(running)) == {}
    with pytest.raises(NotFound):
        lay(running, one, "0" * 32)


def test_shards_cover_everything_once(running: Connection) -> None:
    id = make(running, *(add(f"/{name}", name * 10) for name in "abcdefg"))
    assert shards(running, id) == [("", "")]
    assert shards(running, id, num_files=3) == [("", "/d"), ("/d", "/g"), ("/g", "")]
    assert shards(running, id, size_bytes=20) == [("", "/c"), ("/c", "/e"), ("/e", "/g"), ("/g", "")]
    assert shards(running, id, num_files=1000, size_bytes=60) == [("", "/g"), ("/g", "")]
    assert shards(running, id, num_files=7, size_bytes=-1) == [("", "")]
    assert shards(running, make(running)) == [("", "")]
    found = []
    for lower, upper in shards(running, id, num_files=2):
        request = {"fileset_id": id, "filters": [{"path_range": {"lower": lower, "upper": upper}}]}
        found += [each.path for each in running.call(SET, "ReadFileset", request)]
    assert found == [f"/{name}" for name in "abcdefg"]


def test_a_path_with_two_tags_is_not_cut_through(running: Connection) -> None:
    id = make(running, add("/a", "1", "x"), add("/a", "2", "y"), add("/b", "3"))
    assert shards(running, id, num_files=1) == [("", "/b"), ("/b", "")]


def test_a_file_set_expires(running: Connection, clock: FakeClock) -> None:
    kept, lost = make(running, add("/a", "1")), make(running, add("/b", "noise"))
    clock.advance(590)
    renew(running, kept, 1800)
    assert read(running, lost) == {"/b": "noise"}
    clock.advance(20)
    with pytest.raises(NotFound, match=f"^no fileset {lost} found$") as refused:
        read(running, lost)
    assert "renew" in refused.value.hint
    for act in (
        lambda: renew(running, lost, 60),
        lambda: lay(running, kept, lost),
        lambda: shards(running, lost),
        lambda: list(running.call(PFS, "ListFile", {"file": {"commit": virtual(lost), "path": "/"}})),
        lambda: running.call(PFS, "InspectCommit", {"commit": virtual(lost)}),
    ):
        with pytest.raises(NotFound, match="no fileset"):
            act()
    assert read(running, kept) == {"/a": "1"}
    clock.advance(1800)
    with pytest.raises(NotFound):
        read(running, kept)


def test_what_has_expired_is_garbage(tmp_path: Path) -> None:
    clock = FakeClock()
    noise = "".join(chr(33 + (i * i) % 90) for i in range(5000))
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        id = make(connection, add("/a", noise))
        repos.create_repo(connection, "data")
        put(connection, "data@master", {"/b": "kept"})
        of_commit = take(connection, "data@master")
        repos.delete_repo(connection, "data")
        assert collect(connection).chunks == 0  # file sets are roots: a commit's files, too
        assert read(connection, id) == {"/a": noise}
        assert read(connection, of_commit) == {"/b": "kept"}
        clock.advance(1000)
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        until_gone(connection)
        report = collect(connection)
        assert report.chunks == 2
        assert report.nodes == 1


def collect(connection: Connection, *, dry_run: bool = False) -> Any:
    return collect_garbage(
        connection, lambda _: None, dry_run=dry_run, grace=timedelta(0), slack_percent=None
    )


def until_gone(connection: Connection) -> None:
    """Wait until the thread that deletes what has expired has done so: then a dry run finds garbage."""
    while not collect(connection, dry_run=True).chunks:
        pass


@pytest.mark.parametrize(
    "ttl, why",
    [
        (0, r"ttl \(0\) must be at least one second"),
        (-5, r"ttl \(-5\) must be at least one second"),
        (1801, r"ttl \(1801s\) exceeds max ttl \(1800s\)"),
        (2**62, "exceeds max ttl"),
    ],
)
def test_how_long_a_file_set_may_live(running: Connection, ttl: int, why: str) -> None:
    id = make(running, add("/a", "1"))
    with pytest.raises(Refused, match=why) as refused:
        renew(running, id, ttl)
    assert refused.value.code == "UNKNOWN"
    with pytest.raises(Refused, match=why):
        running.call(SET, "RenewFileset", {"fileset_id": id, "ttl_seconds": ttl})
    if ttl:  # none given means the usual one
        with pytest.raises(Refused, match=why):
            lay(running, id, ttl=ttl)


@pytest.mark.parametrize(
    "id, why",
    [
        ("", "too short to be Token len=0"),
        ("a" * 33, "too long to be Token len=33"),
        ("z" * 32, "is no hexadecimal number"),
        ("é" * 32, "is no hexadecimal number"),
    ],
)
def test_what_is_no_file_set(running: Connection, id: str, why: str) -> None:
    with pytest.raises(Refused, match=f"^parsing fileset.Token: .*{why}"):
        read(running, id)


def test_ids_as_upstream_spells_them(running: Connection) -> None:
    id = make(running, add("/a", "1"))
    assert read(running, f"{id}.{'0' * 64}") == {"/a": "1"}
    assert read(running, f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}") == {"/a": "1"}


def test_a_stream_that_is_wrong_makes_no_file_set(running: Connection) -> None:
    for wrong, why in (
        ({"set_commit": commit("default", "data@master")}, "cannot set commit"),
        ({}, "unrecognized message type"),
        (add("/a/../b", "1"), "relative file paths"),
        (add("/a*", "1"), "globbing character"),
        (add("/é", "1"), "only printable ASCII"),
        (add("/dir/", "1"), "is a directory"),
    ):
        with pytest.raises(PachletError, match=why):
            make(running, add("/ok", "1"), wrong)


def test_the_cache_keeps_the_file_sets_that_it_speaks_of(running: Connection, clock: FakeClock) -> None:
    kept, lost = make(running, add("/a", "1")), make(running, add("/b", "2"))
    value = {"type_url": "type.googleapis.com/x", "value": b"\x08\x01"}
    running.call(PFS, "PutCache", {"key": "k", "value": value, "file_set_ids": [kept], "tag": "jobs/1"})
    other = {"type_url": "other", "value": b""}
    running.call(PFS, "PutCache", {"key": "k", "value": other, "file_set_ids": [lost], "tag": "jobs/2"})
    found = running.call(PFS, "GetCache", {"key": "k"}).value
    assert (found.type_url, found.value) == ("type.googleapis.com/x", b"\x08\x01")  # the first stays
    clock.advance(4000)
    assert read(running, kept) == {"/a": "1"}
    with pytest.raises(NotFound):
        read(running, lost)
    running.call(PFS, "ClearCache", {"tag_prefix": "jobs/2"})
    assert running.call(PFS, "GetCache", {"key": "k"}).value.value
    running.call(PFS, "ClearCache", {"tag_prefix": "jobs/"})
    with pytest.raises(NotFound, match=r"^the cache has no value for key 'k'$"):
        running.call(PFS, "GetCache", {"key": "k"})
    with pytest.raises(NotFound):
        read(running, kept)


def test_the_cache_refuses_a_file_set_that_is_not_there(running: Connection) -> None:
    with pytest.raises(NotFound):
        running.call(PFS, "PutCache", {"key": "k", "file_set_ids": ["0" * 32]})
    with pytest.raises(NotFound, match="no value"):
        running.call(PFS, "GetCache", {"key": "k"})


def test_there_are_no_tasks(running: Connection) -> None:
    assert list(running.call(PFS, "ListTask", {"group": {"namespace": "storage"}})) == []


def test_a_file_set_lives_on_through_a_restart(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        id = make(connection, add("/a", "1"))
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        assert read(connection, id) == {"/a": "1"}
        repos.create_repo(connection, "data")
        commits.start_commit(connection, "data@master")
        add_to(connection, "data@master", id)
        commits.finish_commit(connection, "data@master")
        assert head(connection, "data@master").details.size_bytes == 1
