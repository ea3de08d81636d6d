"""Files: what a write does, in order and at once; what every kind of read answers, to the byte."""

from __future__ import annotations

import http.server
import io
import random
import re
import tarfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pachlet.client import commits, files, repos
from pachlet.client.connection import MESSAGE_LIMIT, Connection
from pachlet.client.get_file import get_bytes, read_file
from pachlet.client.names import commit, file
from pachlet.client.put_file import from_bytes, put_file
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused, Unimplemented
from tests.acceptance.words import (
    PFS,
    add,
    create_branch,
    delete,
    head,
    modify,
    paths,
    put,
    put_id,
    tree,
)

A = "a@master"


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "a")
    return connection


# Writing.


def test_bytes_are_always_appended(repo: Connection) -> None:
    modify(repo, A, add("/x", "one "), add("/y", "y"), add("/x", "two "))
    modify(repo, A, add("x", "three"))
    assert tree(repo, A) == {"/x": "one two three", "/y": "y"}


def test_put_replaces_unless_told_to_append(repo: Connection) -> None:
    for text in ("first version", "second"):
        put(repo, A, {"/x": text})
    assert tree(repo, A) == {"/x": "second"}
    put(repo, A, {"/x": " third"}, append=True)
    assert tree(repo, A) == {"/x": "second third"}


def test_operations_apply_in_order(repo: Connection) -> None:
    put(repo, A, {"/d/old": "1", "/d/e/old": "2", "/d2/keep": "3"})
    modify(repo, A, add("/d/gone", "x"), delete("/d/"), add("/d/new", "4"), delete("/d2/none"))
    assert tree(repo, A) == {"/d/new": "4", "/d2/keep": "3"}
    modify(repo, A, delete("/d"), add("/d2/keep", "!"))
    assert tree(repo, A) == {"/d/new": "4", "/d2/keep": "3!"}  # without a slash a path is a file's
    modify(repo, A, add("/d/x", "5"), delete("/"), add("/only", "6"))
    assert tree(repo, A) == {"/only": "6"}


def test_deletion_is_of_one_tag(repo: Connection) -> None:
    modify(repo, A, add("/x", "mine", "one"))
    modify(repo, A, delete("/x"))
    assert tree(repo, A) == {"/x": "mine"}
    modify(repo, A, delete("/x", "one"))
    assert tree(repo, A) == {}


def test_empty_files_are_files(repo: Connection) -> None:
    modify(repo, A, {"add_file": {"path": "/none"}}, add("/empty", ""))
    assert tree(repo, A) == {"/none": "", "/empty": ""}
    assert list(read_file(repo, f"{A}:/none")) == [b""]  # python-pachyderm reads one message without asking
    assert [each.size_bytes for each in files.list_file(repo, f"{A}:/")] == [0, 0]


@pytest.mark.parametrize(
    "path, text",
    [
        ("/a*b", "globbing character (*) not allowed in path"),
        ("/a/../b", "relative file paths are not allowed"),
        ("./a", "relative file paths are not allowed"),
        ("/ü", "only printable ASCII characters allowed"),
        ("/a\nb", "only printable ASCII characters allowed"),
        ("/a\0b", "only printable ASCII characters allowed"),
        ("", "only printable ASCII characters allowed"),
        ("/" + "*" * 20_000, "globbing character (*) not allowed in path"),
    ],
)
def test_bad_paths_are_refused(repo: Connection, path: str, text: str) -> None:
    put(repo, A, {"/kept": "1"})
    for operation in (add(path, "x"), delete(path)):
        with pytest.raises(PachletError, match=re.escape(text)) as refused:
            modify(repo, A, operation)
        assert refused.value.message.startswith("path (")
    assert tree(repo, A) == {"/kept": "1"}


def test_directory_gets_no_bytes(repo: Connection) -> None:
    with pytest.raises(PachletError, match="is a directory"):
        modify(repo, A, add("/d/", "x"))


def test_stream_must_be_well_formed(repo: Connection) -> None:
    target = {"set_commit": commit("default", A)}
    for messages, text in (
        ([], "first message must be a commit"),
        ([add("/x", "1")], "first message must be a commit"),
        ([target, target], "cannot set commit"),
        ([target, {}], "unrecognized message type"),
        ([target, {"copy_file": {"dst": "/x"}}], "invalid CopyFile.Src: value is required"),
    ):
        with pytest.raises(PachletError, match=text):
            repo.send(PFS, "ModifyFile", messages)
    with pytest.raises(NotFound):
        head(repo, A)


def test_target_may_be_named_in_several_ways(repo: Connection) -> None:
    name = {"repo": {"name": "a"}}
    for number, target in enumerate(
        (
            {"branch": {**name, "name": "master"}},  # python-pachyderm's way: the repo in the branch
            {**name, "id": "master"},
            {**name, "branch": {**name, "name": "master"}},
        )
    ):
        repo.send(PFS, "ModifyFile", [{"set_commit": target}, add(f"/{number}", "x")])
    assert sorted(tree(repo, A)) == ["/0", "/1", "/2"]
    assert len(list(commits.list_commit(repo, "a"))) == 3


def test_copy_is_by_reference_and_rebased(repo: Connection) -> None:
    repos.create_repo(repo, "b")
    put(repo, A, {"/d/x": "1", "/d/e/y": "2", "/z": "3"})
    source = {"commit": commit("default", A), "path": "/d"}
    modify(repo, "b@master", {"copy_file": {"src": source, "dst": "/new"}})
    assert tree(repo, "b@master") == {"/new/x": "1", "/new/e/y": "2"}
    assert files.inspect_file(repo, "b@master:/new/e/y").hash == files.inspect_file(repo, f"{A}:/d/e/y").hash
    root = {"commit": commit("default", A), "path": "/"}
    modify(repo, "b@all", {"copy_file": {"src": root, "dst": "/"}})
    assert tree(repo, "b@all") == tree(repo, A)


def test_copy_replaces_or_appends(repo: Connection) -> None:
    put(repo, A, {"/x": "x", "/y": "y"})
    source = {"commit": commit("default", A), "path": "/x"}
    modify(repo, A, {"copy_file": {"src": source, "dst": "/y", "append": True}})
    assert tree(repo, A) == {"/x": "x", "/y": "yx"}
    modify(repo, A, {"copy_file": {"src": source, "dst": "/y"}})
    assert tree(repo, A) == {"/x": "x", "/y": "x"}
    missing = {"commit": commit("default", A), "path": "/none"}
    modify(repo, A, {"copy_file": {"src": missing, "dst": "/y"}})
    assert tree(repo, A) == {"/x": "x", "/y": "x"}
    with pytest.raises(NotFound, match='branch "none" not found'):
        modify(repo, A, {"copy_file": {"src": {"commit": commit("default", "a@none")}, "dst": "/y"}})


def test_copy_within_an_open_commit(repo: Connection) -> None:
    commits.start_commit(repo, A)
    put(repo, A, {"/x": "1"})
    modify(repo, A, {"copy_file": {"src": {"commit": commit("default", A), "path": "/x"}, "dst": "/y"}})
    assert tree(repo, A) == {"/x": "1", "/y": "1"}
    commits.finish_commit(repo, A)
    assert tree(repo, A) == {"/x": "1", "/y": "1"}


# URLs.


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = 7 if self.path == "/short" else 5
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"12345")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a web server that answers `12345`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def from_url(path: str, url: str) -> dict[str, Any]:
    return {"add_file": {"path": path, "url": {"URL": url}}}


def test_server_fetches_urls(repo: Connection, web: str) -> None:
    modify(repo, A, from_url("/x", f"{web}/x"), from_url("/x", f"{web}/y"), add("/y", "6"))
    assert tree(repo, A) == {"/x": "1234512345", "/y": "6"}


def test_url_that_fails_leaves_nothing(repo: Connection, web: str) -> None:
    with pytest.raises(Refused, match=re.escape(f'error retrieving content from "{web}/none": 404')):
        modify(repo, A, add("/y", "6"), from_url("/x", f"{web}/none"))
    with pytest.raises(PachletError, match="broke off after 5 of 7 bytes"):
        modify(repo, A, from_url("/x", f"{web}/short"))
    with pytest.raises(Refused, match=r'retrieving content from "http://127.0.0.1:1/": Connection refused$'):
        modify(repo, A, from_url("/x", "http://127.0.0.1:1/"))
    for url in ("http://[", "http://a..b/", "http:///x", "http://127.0.0.1:x/"):
        with pytest.raises(PachletError, match=r"error retrieving content") as refused:
            modify(repo, A, from_url("/x", url))
        assert refused.value.code != "INTERNAL"
    for url in ("ftp://host/x", "x"):
        with pytest.raises(Unimplemented, match="not implemented by pachlet"):
            modify(repo, A, from_url("/x", url))
    with pytest.raises(NotFound):
        head(repo, A)


# Reading.


def test_reading_with_an_offset(repo: Connection) -> None:
    put(repo, A, {"/x": "0123456789"})
    for offset in (0, 3, 9, 10):
        assert get_file_from(repo, offset) == b"0123456789"[offset:]
    with pytest.raises(InvalidArgument, match="offset cannot be negative"):
        get_file_from(repo, -1)


def get_file_from(connection: Connection, offset: int) -> bytes:
    return b"".join(read_file(connection, f"{A}:/x", offset=offset))


def test_one_file_is_wanted(repo: Connection) -> None:
    put(repo, A, {"/d/x": "1", "/d/y": "2", "/z": "3"})
    assert get_bytes(repo, f"{A}:/z*") == b"3"
    assert get_bytes(repo, f"{A}:/d/@(x|q)") == b"1"
    with pytest.raises(Refused, match=r"matched multiple files. Use GetFileTAR instead"):
        get_bytes(repo, f"{A}:/d/*")
    for path in ("/d", "/", "/d/"):
        with pytest.raises(
            Refused, match=r"cannot get directory or non-regular file. Use GetFileTAR instead"
        ):
            get_bytes(repo, f"{A}:{path}")


def test_missing_files_have_the_text_that_clients_look_for(repo: Connection) -> None:
    id = put_id(repo, A, {"/x": "1"})
    for method in ("GetFile", "InspectFile", "WalkFile", "GetFileTAR"):
        with pytest.raises(NotFound, match=f"^file none/y not found in repo default/a at commit {id}$"):
            drain(repo, method, {"file": {"commit": commit("default", A), "path": "none/y"}})
        with pytest.raises(NotFound, match=r'^branch "x" not found in repo default/none$'):
            drain(repo, method, {"file": {"commit": commit("default", "none@x"), "path": "y"}})
    assert list(files.list_file(repo, f"{A}:/none")) == []


def drain(connection: Connection, method: str, request: dict[str, Any]) -> None:
    answer = connection.call(PFS, method, request)
    if isinstance(answer, Iterator):
        list(answer)


def test_info_of_files_and_directories(repo: Connection) -> None:
    put(repo, A, {"/d/x": "123"})
    for path in ("/d", "d", "/d/", "d/"):
        info = files.inspect_file(repo, f"{A}:{path}")
        assert (info.file.path, info.file_type, info.size_bytes) == ("/d/", 2, 3)
    for path in ("/d/x", "d/x", "/d/x/"):
        info = files.inspect_file(repo, f"{A}:{path}")
        assert (info.file.path, info.file_type, info.size_bytes) == ("/d/x", 1, 3)
        assert info.file.datum == "default"
        assert len(info.hash) == 32
    assert info.committed == head(repo, A).finishing
    assert files.inspect_file(repo, f"{A}:/").file.path == "/"
    commits.start_commit(repo, A)
    assert not files.inspect_file(repo, f"{A}:/d/x").HasField("committed")


def test_same_content_has_the_same_hash(repo: Connection) -> None:
    put(repo, A, {"/one/x": "same", "/two/x": "same"})
    put(repo, "a@other", {"/one/x": "same", "/else": "other"})
    places = (f"{A}:/one", f"{A}:/two", "a@other:/one")
    assert len({files.inspect_file(repo, f"{place}/x").hash for place in places}) == 1
    assert len({files.inspect_file(repo, place).hash for place in places[::2]}) == 1


def test_one_tag_can_be_read(repo: Connection) -> None:
    modify(repo, A, add("/x", "mine", "one"))
    name = {"commit": commit("default", A), "path": "/x"}
    (piece,) = repo.call(PFS, "GetFile", {"file": {**name, "datum": "one"}})
    assert piece.value == b"mine"
    with pytest.raises(NotFound, match="file /x not found"):
        list(repo.call(PFS, "GetFile", {"file": {**name, "datum": "two"}}))


def test_lists_and_walks_are_sorted_by_bytes(repo: Connection) -> None:
    put(repo, A, {"/a/b/file3.dat": "", "/a/file2.dat": "", "/a.txt": "", "/a0": "", "/B": ""})
    assert paths(files.list_file(repo, f"{A}:/")) == ["/B", "/a.txt", "/a/", "/a0"]
    assert paths(files.list_file(repo, f"{A}:/a.txt")) == ["/a.txt"]
    assert paths(files.list_file(repo, f"{A}:a/b")) == ["/a/b/file3.dat"]
    assert paths(files.walk_file(repo, f"{A}:/a")) == ["/a/", "/a/b/", "/a/b/file3.dat", "/a/file2.dat"]
    assert paths(files.walk_file(repo, f"{A}:")) == [
        "/",
        "/B",
        "/a.txt",
        "/a/",
        "/a/b/",
        "/a/b/file3.dat",
        "/a/file2.dat",
        "/a0",
    ]


def test_empty_commits_have_nothing(repo: Connection) -> None:
    create_branch(repo, A)
    for listed in (files.list_file, files.walk_file):
        assert list(listed(repo, f"{A}:/")) == []
    for pattern in ("/", "**", "/*"):
        assert list(files.glob_file(repo, f"{A}:{pattern}")) == []
    assert tree(repo, A) == {}


@pytest.mark.parametrize("method", ["ListFile", "WalkFile"])
def test_pages(repo: Connection, method: str) -> None:
    put(repo, A, {f"/{number}": "" for number in range(6)})
    root = {"file": {"commit": commit("default", A), "path": "/"}}
    everything = paths(repo.call(PFS, method, root))

    def page(**more: Any) -> list[str]:
        return paths(repo.call(PFS, method, {**root, **more}))

    marker = {"paginationMarker": {"path": "/2"}}
    assert page(number=3) == everything[:3]
    assert page(**marker) == ["/3", "/4", "/5"]
    assert page(**marker, number=2) == ["/3", "/4"]
    assert page(**marker, number=9, reverse=True)[:2] == ["/1", "/0"]
    assert page(number=2, reverse=True) == ["/5", "/4"]
    for more, text in (
        ({"reverse": True}, "number must be > 0 when reverse is true"),
        ({"number": 100_001}, "cannot return more than 100000 files at a time"),
        ({"number": -1}, "number cannot be negative"),
    ):
        with pytest.raises(PachletError, match=text):
            page(**more)


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("/", ["/"]),
        ("/*", ["/a/", "/b.csv", "/c.txt"]),
        ("*", ["/a/", "/b.csv", "/c.txt"]),
        ("/*.csv", ["/b.csv"]),
        ("/a/*", ["/a/b/", "/a/d.csv"]),
        ("/**.csv", ["/a/b/e.csv", "/a/d.csv", "/b.csv"]),
        ("/a/**", ["/a/b/", "/a/b/e.csv", "/a/d.csv"]),
        ("**", ["/a/", "/a/b/", "/a/b/e.csv", "/a/d.csv", "/b.csv", "/c.txt"]),
        ("/{b,c}.*", ["/b.csv", "/c.txt"]),
        ("/{a/d,b}.csv", ["/a/d.csv", "/b.csv"]),
        ("/[a-b]*", ["/a/", "/b.csv"]),
        ("/a[!b]d.csv", ["/a/d.csv"]),
        ("/?", ["/a/"]),
        ("/@(a|b)*/b", ["/a/b/"]),
        ("/!(a)", ["/b.csv", "/c.txt"]),
        ("/a/d.csv", ["/a/d.csv"]),
        ("/a/", ["/a/"]),
        ("/none/*", []),
    ],
)
def test_globs(repo: Connection, pattern: str, found: list[str]) -> None:
    put(repo, A, {"/a/b/e.csv": "", "/a/d.csv": "", "/b.csv": "", "/c.txt": ""})
    request = {"commit": commit("default", A), "pattern": pattern}
    assert paths(repo.call(PFS, "GlobFile", request)) == found


def test_globs_in_a_range_and_broken_ones(repo: Connection) -> None:
    put(repo, A, {f"/{letter}": "" for letter in "abcd"})
    request = {"commit": commit("default", A), "pattern": "/*"}
    assert paths(repo.call(PFS, "GlobFile", {**request, "path_range": {"lower": "/b", "upper": "/d"}})) == [
        "/b",
        "/c",
    ]
    for pattern in ("/[a", "/{a", "/@(a", "/[]"):
        with pytest.raises(PachletError) as refused:
            list(repo.call(PFS, "GlobFile", {**request, "pattern": pattern}))
        assert refused.value.code != "INTERNAL"


def test_tar_is_the_same_to_the_byte_however_its_files_were_read(repo: Connection) -> None:
    wanted = {f"/d{number % 7}/f{number:03}": f"{number}" * number for number in range(600)}
    wanted |= {"/large": "x" * 300_000, "/d3/none": "", "/d5/" + "long" * 30: "2", "/z": "y" * 70_000}
    put(repo, A, wanted)
    modify(repo, A, add("/d1/f001", "tagged", datum="t"), add("/d1/f001", "too", datum="u"))
    wanted["/d1/f001"] += "tagged" + "too"
    made = io.BytesIO()
    folders = {"/": b"", **{f"/d{number}/": b"" for number in range(7)}}
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in sorted(
            {**folders, **{path: text.encode() for path, text in wanted.items()}}.items()
        ):
            member = tarfile.TarInfo(path)
            member.mode, member.size = 0, len(content)
            member.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            archive.addfile(member, io.BytesIO(content))
    end = made.getvalue().rstrip(b"\0")
    sent = b"".join(each.value for each in repo.call(PFS, "GetFileTAR", {"file": file("default", f"{A}:/")}))
    assert sent.rstrip(b"\0") == end
    found = repo.call(PFS, "GetFileTAR", {"file": file("default", f"{A}:/d*/*")})
    with tarfile.open(fileobj=io.BytesIO(b"".join(each.value for each in found))) as archive:
        members = {each.name: archive.extractfile(each) for each in archive}
        read = {path: content.read().decode() for path, content in members.items() if content is not None}
    assert read == {path: text for path, text in wanted.items() if path.startswith("/d")}


def test_tar_holds_whole_trees_once(repo: Connection) -> None:
    put(repo, A, {"/a/b/e": "1", "/a/d": "22", "/c": "", f"/{'n' * 120}/{'m' * 120}": "long"})
    for path, names in {
        "/a": ["/a", "/a/b", "/a/b/e", "/a/d"],
        "/**": ["/a", "/a/b", "/a/b/e", "/a/d", "/c", f"/{'n' * 120}", f"/{'n' * 120}/{'m' * 120}"],
        "/a/*": ["/a/b", "/a/b/e", "/a/d"],
        "/c": ["/c"],
    }.items():
        pieces = repo.call(PFS, "GetFileTAR", {"file": file("default", f"{A}:{path}")})
        data = b"".join(each.value for each in pieces)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
        assert [each.name for each in members] == names
        assert {(each.mode, each.mtime) for each in members} == {(0, 0)}
        assert data.endswith(bytes(1024))


def test_large_file_comes_in_several_messages_and_whole(repo: Connection) -> None:
    content = random.Random(1).randbytes(22 * 1024 * 1024)
    put_file(repo, A, [from_bytes("/big", content)])
    pieces = list(read_file(repo, f"{A}:/big"))
    assert max(map(len, pieces)) < MESSAGE_LIMIT
    assert b"".join(pieces) == content
    assert b"".join(read_file(repo, f"{A}:/big", offset=21 * 1024 * 1024)) == content[21 * 1024 * 1024 :]
    before = (files.inspect_file(repo, f"{A}:/big").hash, len(content))
    put_file(repo, "a@again", [from_bytes("/copy", content)])
    info = files.inspect_file(repo, "a@again:/copy")
    assert (info.hash, info.size_bytes) == before


# Differences.


def changes(answers: Any) -> list[tuple[str, str]]:
    return [(each.old_file.file.path, each.new_file.file.path) for each in answers]


def test_diff_with_the_parent(repo: Connection) -> None:
    put(repo, A, {"/d/x": "1", "/d/y": "2", "/e/z": "3"})
    assert changes(files.diff_file(repo, f"{A}:/e")) == [("", "/e/"), ("", "/e/z")]
    modify(repo, A, delete("/d/x"), add("/d/y", "!"), add("/d/n", "4"))
    assert changes(files.diff_file(repo, f"{A}:/")) == [
        ("/", "/"),
        ("/d/", "/d/"),
        ("", "/d/n"),
        ("/d/x", ""),
        ("/d/y", "/d/y"),
    ]
    assert changes(files.diff_file(repo, f"{A}:/", shallow=True)) == [("/d/", "/d/")]
    assert changes(files.diff_file(repo, f"{A}:/e")) == []


def test_diff_of_two_files(repo: Connection) -> None:
    put(repo, A, {"/file1": "1"})
    put(repo, A, {"/file2": "2"})
    assert changes(files.diff_file(repo, f"{A}:/file1", f"{A}^:/file2")) == [("", "/file1")]
    assert changes(files.diff_file(repo, f"{A}:/file2", f"{A}:/file1")) == [("/file1", ""), ("", "/file2")]
