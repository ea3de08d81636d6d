"""storage.Fileset: file sets read with filters, as bytes and as references to chunks; and the door where chunks are."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pachlet import testing
from pachlet.client.connection import Connection
from pachlet.clock import FakeClock
from pachlet.errors import NotFound, PachletError, Refused

SET = "storage.Fileset"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def running(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        yield connection


def append(path: str, data: bytes) -> dict[str, Any]:
    return {"append_file": {"path": path, "data": {"value": data}}}


def create(connection: Connection, *messages: dict[str, Any]) -> str:
    id: str = connection.send(SET, "CreateFileset", messages).fileset_id
    return id


def read(connection: Connection, id: str, *filters: dict[str, Any], **more: Any) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in connection.call(SET, "ReadFileset", {"fileset_id": id, "filters": filters, **more}):
        found[each.path] = found.get(each.path, b"") + each.data.value
    return found


def fetch(url: str, method: str = "GET") -> tuple[int, bytes]:
    parts = urlsplit(url)
    door = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        door.request(method, url.removeprefix(f"http://{parts.netloc}"))
        answer = door.getresponse()
        return answer.status, answer.read()
    finally:
        door.close()


def resolve(ref: Any) -> bytes:
    """Read a reference of the shape that ours have, as a client does."""
    whole = b""
    for each in ref.concat.refs:
        content = each.slice.inner.content_hash
        status, data = fetch(content.inner.http.url)
        assert status == 200
        assert hashlib.blake2b(data, digest_size=32).digest() == content.hash
        assert content.algo == 1
        whole += data[each.slice.start : each.slice.end]
    return whole


def first_url(connection: Connection, id: str) -> str:
    first = next(connection.call(SET, "ReadFilesetCDR", {"fileset_id": id}))
    url: str = first.ref.concat.refs[0].slice.inner.content_hash.inner.http.url
    return url


def test_append_delete_and_copy(running: Connection) -> None:
    one = create(running, append("/a", b"1"), append("/d/x", b"x"), append("/d/y", b"y"), append("/a", b"2"))
    assert read(running, one) == {"/a": b"12", "/d/x": b"x", "/d/y": b"y"}
    two = create(
        running,
        append("/n", b"n"),
        append("/old", b"old"),
        {"copy_file": {"fileset_id": one, "src": "/d"}},
        {"copy_file": {"fileset_id": one, "src": "/a", "dst": "/old"}},
        {"copy_file": {"fileset_id": one, "src": "/nowhere"}},
        {"delete_file": {"path": "/d/x"}},
        {"delete_file": {"path": "/n"}},
        append("/n", b""),
    )
    assert read(running, two) == {"/d/y": b"y", "/n": b"", "/old": b"12"}
    with pytest.raises(NotFound, match="no fileset"):
        create(running, {"copy_file": {"fileset_id": "0" * 32, "src": "/d"}})
    with pytest.raises(Refused, match="unrecognized message type"):
        create(running, {})
    with pytest.raises(Refused, match="relative file paths"):
        create(running, append("/../etc", b""))


def test_filters(running: Connection) -> None:
    id = create(running, *(append(path, b"x") for path in ("/a/1.csv", "/a/2.txt", "/b/1.csv", "/c", "/d")))

    def found(*filters: dict[str, Any]) -> list[str]:
        return list(read(running, id, *filters))

    def between(lower: str = "", upper: str = "") -> dict[str, Any]:
        return {"path_range": {"lower": lower, "upper": upper}}

    assert len(found({"path_regex": "/"})) == 5
    assert found({"path_regex": r"\.csv$"}) == ["/a/1.csv", "/b/1.csv"]
    assert found({"path_regex": "^/a"}, {"path_regex": "txt"}) == ["/a/2.txt"]
    assert found(between("/b", "/d")) == ["/b/1.csv", "/c"]
    assert found(between("/b"), between("", "/c")) == ["/b/1.csv"]
    assert found(between("/b"), {"path_regex": "csv"}) == ["/b/1.csv"]
    assert found(between("/c", "/b")) == []
    assert found(between("", "/b"), between("/c", "")) == []
    assert len(found({})) == 5
    with pytest.raises(Refused, match=r"^regular expression \(\[\) invalid"):
        found({"path_regex": "["})


def test_files_without_their_bytes(running: Connection) -> None:
    id = create(running, append("/a", b"1"), append("/b", b""))
    assert read(running, id, empty_files=True) == {"/a": b"", "/b": b""}


def test_a_large_file_comes_in_pieces(running: Connection) -> None:
    block = hashlib.blake2b(b"seed").digest() * 16384  # 1 MiB
    id = create(running, *(append("/big", block) for _ in range(25)))
    pieces = list(running.call(SET, "ReadFileset", {"fileset_id": id}))
    assert len(pieces) > 1
    assert {each.path for each in pieces} == {"/big"}
    assert b"".join(each.data.value for each in pieces) == 25 * block
    (answer,) = running.call(SET, "ReadFilesetCDR", {"fileset_id": id})
    assert len(answer.ref.concat.refs) > 1
    assert resolve(answer.ref) == 25 * block


def test_references_lead_to_the_bytes(running: Connection) -> None:
    files = {f"/{number}/file": b"%d" % number * 1000 for number in range(5)} | {"/empty": b""}
    id = create(running, *(append(path, data) for path, data in files.items()))
    answers = list(running.call(SET, "ReadFilesetCDR", {"fileset_id": id}))
    assert {each.path: resolve(each.ref) for each in answers} == files
    assert all(each.ref.WhichOneof("body") == "concat" for each in answers)
    some = running.call(SET, "ReadFilesetCDR", {"fileset_id": id, "filters": [{"path_regex": "/[12]/"}]})
    assert [each.path for each in some] == ["/1/file", "/2/file"]


def test_who_has_no_url_of_ours_gets_nothing(running: Connection, clock: FakeClock) -> None:
    url = first_url(running, create(running, append("/a", b"secret")))
    assert fetch(url) == (200, b"secret")
    assert fetch(url, "HEAD") == (200, b"")
    start, _, signature = url.rpartition("=")
    other = chr(ord(signature[0]) ^ 1) + signature[1:]
    before, _, after = url.partition("until=")
    later = f"{before}until={int(after.partition('&')[0]) + 1}&{after.partition('&')[2]}"
    for wrong in (
        f"{start}={other}",
        start + "=",
        url.partition("?")[0],
        later,
        url.replace("until=", "until=-"),
        url.replace("until=", "until=9" * 30),
        f"{url[: url.index('/', 7)]}/pachlet.db?{url.partition('?')[2]}",
        f"{url[: url.index('/', 7)]}//[?",
    ):
        status, said = fetch(wrong)
        assert status in (400, 403), wrong
        assert b"secret" not in said
        assert said.endswith(b"\n")
    assert fetch(url, "POST")[0] == 501
    clock.advance(24 * 3600 + 1)
    assert fetch(url) == (403, b"this URL has expired; ask for a new one\n")


def test_a_chunk_that_is_gone_is_told(running: Connection, tmp_path: Path) -> None:
    url = first_url(running, create(running, append("/a", b"text" * 100)))
    for pack in (tmp_path / "data" / "packs").iterdir():
        pack.write_bytes(b"\0" * pack.stat().st_size)
    status, said = fetch(url)
    assert status == 410
    assert b"is damaged" in said


def test_the_door_closes_with_the_server(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        url = first_url(connection, create(connection, append("/a", b"1")))
    with pytest.raises(OSError, match="refused"):
        fetch(url)


def test_compose_and_shard(running: Connection) -> None:
    one, two = create(running, append("/a", b"1")), create(running, append("/a", b"2"), append("/b", b"3"))
    both = running.call(SET, "ComposeFileset", {"fileset_ids": [one, two], "ttl_seconds": 60}).fileset_id
    assert read(running, both) == {"/a": b"12", "/b": b"3"}
    found = running.call(SET, "ShardFileset", {"fileset_id": both, "num_files": 1}).shards
    assert [(each.lower, each.upper) for each in found] == [("", "/b"), ("/b", "")]
    running.call(SET, "RenewFileset", {"fileset_id": both, "ttl_seconds": 60})
    with pytest.raises(PachletError, match="no fileset"):
        running.call(SET, "RenewFileset", {"fileset_id": "0" * 32, "ttl_seconds": 60})
