"""Client and server in one place: the server reads and writes the client's files, and nobody else's can make it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pachlet.client import files, local_files, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import download_file, get_bytes, get_folder
from pachlet.client.local_files import Pass, ask_for_pass, source_url, target_url
from pachlet.client.names import commit, file
from pachlet.client.put_file import LARGE, FromDisk, FromFolder, Put, from_bytes, put_file
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused
from pachlet.testing import RunningServer
from pachlet.wire import schema
from tests.acceptance.words import PFS, head, put, tree

A = "a@master"
REFUSED = "only for its own user"


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "a")
    return connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all kinds of files."""
    place = tmp_path / "source"
    for name, content in (
        ("a", b"a"),
        ("empty", b""),
        ("d/b & c?#%", b"strange"),
        ("d/e/deep", b"deep"),
        ("large", os.urandom(LARGE)),
        ("larger", os.urandom(5 * LARGE) * 2),
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    (place / "link").symlink_to("a")
    (place / "d" / "folder").symlink_to("e")
    (place / "d" / "e" / "circle").symlink_to(place)
    return place


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes the long way."""
    monkeypatch.setattr("pachlet.client.put_file.ask_for_pass", lambda connection: None)
    monkeypatch.setattr("pachlet.client.get_file.ask_for_pass", lambda connection: None)


def passed(connection: Connection) -> Pass:
    way = ask_for_pass(connection)
    assert way is not None
    return way


def modify(connection: Connection, metadata: Any, *messages: Any) -> None:
    connection.send(PFS, "ModifyFile", [{"set_commit": commit("default", A)}, *messages], metadata=metadata)


def from_file(path: Path, *, recursive: bool = False) -> dict[str, Any]:
    return {"add_file": {"path": "/x", "url": {"URL": source_url(path), "recursive": recursive}}}


def disk(folder: Path) -> dict[str, bytes]:
    return {
        each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()
    }


# Both ways are one.


def hashes(connection: Connection, name: str) -> dict[str, bytes]:
    return {each.file.path: each.hash for each in files.walk_file(connection, f"{name}:/")}


def test_both_ways_make_the_same_commits(
    repo: Connection, folder: Path, request: pytest.FixtureRequest
) -> None:
    (folder / "d" / "b & c?#%").rename(folder / "d" / "b & c#%")  # a name with ? can't be stored
    puts: list[Put] = [
        FromFolder("/all", folder),
        FromDisk("/one", folder / "larger"),
        FromDisk("/small", folder / "a"),
        from_bytes("/bytes", b"bytes"),
    ]

    def write(branch: str) -> list[dict[str, bytes]]:
        found = []
        for append in (False, False, True, False):
            puts[-1] = from_bytes("/bytes", b"bytes")
            put_file(repo, f"a@{branch}", puts, append=append)
            found.append(hashes(repo, f"a@{branch}"))
        return found

    short = write("short")
    request.getfixturevalue("streamed")
    assert write("long") == short
    assert short[0] == short[1] == short[3]
    assert short[2] != short[0]
    assert sorted(short[0]) == sorted(
        ["/", "/all/", "/all/d/", "/all/d/e/", "/all/d/folder/", "/bytes", "/one", "/small"]
        + [f"/all/{name}" for name in ("a", "empty", "large", "larger", "link", "d/b & c#%")]
        + ["/all/d/e/deep", "/all/d/folder/deep"]
    )


def test_a_put_leaves_alone_what_it_does_not_name(repo: Connection, tmp_path: Path) -> None:
    put(repo, A, {"/d/old": "1", "/d/x": "2"})
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "x").write_text("3")
    put_file(repo, A, [FromFolder("d", tmp_path / "new")])
    assert tree(repo, A) == {"/d/old": "1", "/d/x": "3"}


@pytest.mark.parametrize("way", ["short", "streamed"])
def test_gets_bring_back_what_was_put(
    repo: Connection, folder: Path, tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    (folder / "d" / "b & c?#%").unlink()
    (folder / "d" / "e" / "circle").unlink()
    put_file(repo, A, [FromFolder("/all", folder)])
    expected = disk(folder) | {"d/folder/deep": b"deep"}
    if way == "streamed":
        request.getfixturevalue("streamed")
    told: list[int] = []
    assert get_folder(repo, f"{A}:/all", tmp_path / "new" / "got", advance=told.append) == len(expected)
    assert disk(tmp_path / "new" / "got") == expected
    assert sum(told) >= sum(map(len, expected.values()))
    # Into a folder that is there: other files stay, links are replaced and not followed.
    got = tmp_path / "there"
    got.mkdir()
    (got / "other").write_text("other")
    (tmp_path / "victim").write_text("victim")
    (got / "a").symlink_to(tmp_path / "victim")
    get_folder(repo, f"{A}:/all", got)
    assert disk(got) == expected | {"other": b"other"}
    assert (tmp_path / "victim").read_text() == "victim"
    assert get_folder(repo, f"{A}:/all/larger", tmp_path / "one") == 1
    assert disk(tmp_path / "one") == {"larger": expected["larger"]}
    get_folder(repo, f"{A}:/all/la*", tmp_path / "some")
    assert sorted(disk(tmp_path / "some")) == ["all/large", "all/larger"]
    assert download_file(repo, f"{A}:/all/larger", tmp_path / "file", offset=7) == 10 * LARGE - 7
    assert (tmp_path / "file").read_bytes() == expected["larger"][7:]
    mode = (folder / "a").stat().st_mode
    assert {each.stat().st_mode for each in (tmp_path / "file", got / "a", tmp_path / "new/got/a")} == {mode}
    assert not list(tmp_path.rglob(".get-*"))


def test_the_server_does_it(
    repo: Connection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "d" / "b & c?#%").unlink()
    monkeypatch.setattr("pachlet.client.put_file.Blocks", None)  # the client reads nothing
    told: list[int] = []
    put_file(repo, A, [FromFolder("/", folder), FromDisk("/x", folder / "large")], advance=told.append)
    assert get_bytes(repo, f"{A}:/x") == (folder / "large").read_bytes()
    monkeypatch.setattr("pachlet.client.get_file._unpack", None)
    get_folder(repo, f"{A}:/", tmp_path / "got")
    assert (tmp_path / "got" / "x").stat().st_size == LARGE


def test_many_files_come_back_whatever_is_among_them(repo: Connection, tmp_path: Path) -> None:
    """Small files are read and written many at a time."""
    wanted = {f"d{number % 7}/f{number}": b"%d" % number for number in range(600)}
    wanted |= {"d3/same": wanted["d1/f1"], "d3/empty": b"", "d4/large": os.urandom(LARGE), "first": b"1"}
    put_file(repo, A, [from_bytes(f"/{path}", content) for path, content in wanted.items()])
    told: list[int] = []
    assert get_folder(repo, f"{A}:/", tmp_path / "new", advance=told.append) == len(wanted)
    assert sum(told) == sum(map(len, wanted.values()))
    (tmp_path / "there" / "d5").mkdir(parents=True)
    assert get_folder(repo, f"{A}:/", tmp_path / "there") == len(wanted)
    assert disk(tmp_path / "new") == disk(tmp_path / "there") == wanted
    assert not list(tmp_path.rglob(".get-*"))


# Failures leave nothing.


@pytest.mark.parametrize("way", ["short", "streamed"])
def test_unreadable_file_is_named_and_nothing_is_put(
    repo: Connection, tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    if way == "streamed":
        request.getfixturevalue("streamed")
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "b").symlink_to("missing")
    with pytest.raises(Refused, match=rf"cannot read {folder}/b: No such file or directory"):
        put_file(repo, A, [from_bytes("/first", b"1"), FromFolder("/", folder)])
    with pytest.raises(PachletError, match=rf"cannot read {tmp_path}/none: No such file or directory"):
        put_file(repo, A, [FromFolder("/", tmp_path / "none")])
    (folder / "b").unlink()
    (folder / "b*").touch()
    with pytest.raises(Refused, match=r"globbing character \(\*\) not allowed"):
        put_file(repo, A, [FromFolder("/", folder)])
    with pytest.raises(NotFound):
        head(repo, A)


def test_broken_off_put_leaves_nothing(
    repo: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller goes away while the server reads."""
    (folder / "d" / "b & c?#%").unlink()
    read = []

    def gone(context: Any) -> Any:
        def check() -> None:
            read.append(1)
            if len(read) > 2:
                context.cancel()
                raise Refused("the caller has gone")

        return check

    monkeypatch.setattr("pachlet.api.file_service.checker", gone)
    with pytest.raises(PachletError):
        put_file(repo, A, [FromFolder("/", folder)])
    with pytest.raises(NotFound):
        head(repo, A)


def test_get_that_fails_leaves_nothing(repo: Connection, server: RunningServer, tmp_path: Path) -> None:
    put_file(repo, A, [from_bytes("/d/a", b"a" * 1000), from_bytes("/d/b", os.urandom(1000))])
    (pack,) = (server.data_dir / "packs").iterdir()
    damaged = bytearray(pack.read_bytes())
    damaged[-1] ^= 1
    pack.write_bytes(damaged)
    with pytest.raises(PachletError, match="is damaged"):
        get_folder(repo, f"{A}:/", tmp_path / "new" / "got")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "b").write_text("before")
    with pytest.raises(PachletError, match="is damaged"):
        download_file(repo, f"{A}:/d/b", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "before"


def test_get_of_what_is_not_there_is_told_at_once(
    repo: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was transferred, so the stream that tells how far it is has no end to wait for."""
    monkeypatch.setattr(local_files, "_TIMEOUT", 3600.0)
    with pytest.raises(NotFound):
        download_file(repo, "r@master:/nope", tmp_path / "x", advance=lambda count: None)


def test_place_that_can_t_be_written_is_named(repo: Connection, tmp_path: Path) -> None:
    put(repo, A, {"/d/x": "1"})
    (tmp_path / "file").touch()
    with pytest.raises(PachletError, match=r"cannot write .*/file/got: "):
        get_folder(repo, f"{A}:/d", tmp_path / "file" / "got")
    (tmp_path / "there" / "x").mkdir(parents=True)
    with pytest.raises(PachletError, match=r"cannot write .*/there/x: Is a directory"):
        get_folder(repo, f"{A}:/d", tmp_path / "there")
    assert [each.name for each in (tmp_path / "there").iterdir()] == ["x"]
    put(repo, A, {f"/many/{number:03}": str(number) for number in range(600)})
    (tmp_path / "these" / "300").mkdir(parents=True)
    with pytest.raises(PachletError, match=r"cannot write .*/these/300: Is a directory"):
        get_folder(repo, f"{A}:/many", tmp_path / "these")
    got = disk(tmp_path / "these")
    assert got == {name: name.lstrip("0").encode() or b"0" for name in got}


def test_disk_that_is_full_is_told_however_the_bytes_come(
    repo: Connection, tmp_path: Path, streamed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(repo, A, {"/x": "1"})

    def full(handle: int, mode: str) -> Any:
        os.close(handle)
        return open("/dev/full", mode, buffering=0)

    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(PachletError, match=r"^cannot write .*/x: No space left on device$"):
        download_file(repo, f"{A}:/x", tmp_path / "x")
    assert list(tmp_path.glob("*x*")) == []


def test_device_is_written_to_and_stays(repo: Connection) -> None:
    put(repo, A, {"/x": "1"})
    before = os.stat(os.devnull)
    assert download_file(repo, f"{A}:/x", Path(os.devnull)) == 1
    assert os.stat(os.devnull).st_ino == before.st_ino


# Nobody else can have it done.


def test_without_proof_nothing_is_read(repo: Connection, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("secret")
    for metadata in (
        (),
        (("pachlet-local-proof", f"{'0' * 32}:{'0' * 64}"),),
        (("pachlet-local-proof", ""),),
    ):
        for url in (
            from_file(tmp_path / "x"),
            from_file(tmp_path / "none"),
            from_file(tmp_path, recursive=True),
        ):
            with pytest.raises(Refused, match=REFUSED):
                modify(repo, metadata, url)
    with pytest.raises(NotFound):
        head(repo, A)


def test_without_proof_nothing_is_written(repo: Connection, tmp_path: Path) -> None:
    put(repo, A, {"/x": "1"})
    for method, path in (("GetFile", "/x"), ("GetFileTAR", "/")):
        request = {"file": file("default", f"{A}:{path}"), "URL": target_url(tmp_path / "got")}
        with pytest.raises(Refused, match=REFUSED):
            list(repo.call(PFS, method, request))
    assert not (tmp_path / "got").exists()


def test_proof_is_for_one_call(repo: Connection, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    way = passed(repo)
    modify(repo, way.metadata, from_file(tmp_path / "x"))
    with pytest.raises(Refused, match=REFUSED):
        modify(repo, way.metadata, from_file(tmp_path / "x"))
    assert tree(repo, A) == {"/x": "1"}


def test_url_names_a_file_of_this_machine(repo: Connection, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    for url in (
        "file://elsewhere/x",
        "file:x",
        "file://",
        "file:///x%00y",
        f"file://{tmp_path}/x?mode=1",
        "file://[/x",
    ):
        with pytest.raises(InvalidArgument):
            modify(repo, passed(repo).metadata, {"add_file": {"path": "/x", "url": {"URL": url}}})
    with pytest.raises(Refused, match="is a folder"):
        modify(repo, passed(repo).metadata, from_file(tmp_path))
    modify(
        repo,
        passed(repo).metadata,
        {"add_file": {"path": "/x", "url": {"URL": f"FILE://localhost{tmp_path}/x"}}},
    )
    assert tree(repo, A) == {"/x": "1"}


@pytest.mark.parametrize(
    "name, mode, content",
    [
        ("id_rsa", 0o600, b"0" * 64),
        ("nonce-0", 0o600, b"0" * 64),
        (f"nonce-{'0' * 32}", 0o644, b"0" * 64),
        (f"nonce-{'0' * 32}", 0o600, b"PRIVATE KEY".ljust(64)),
        (f"nonce-{'0' * 32}", 0o600, b"0" * 65),
    ],
)
def test_client_reads_nothing_but_nonces(tmp_path: Path, name: str, mode: int, content: bytes) -> None:
    """A server could name any file."""
    path = tmp_path / name
    path.write_bytes(content)
    path.chmod(mode)
    assert local_files._read_nonce("0" * 32, path) is None
    link = tmp_path / "l" / f"nonce-{'0' * 32}"
    link.parent.mkdir()
    link.symlink_to(path)
    assert local_files._read_nonce("0" * 32, link) is None
    path.chmod(0o600)


def test_client_reads_its_own_nonces_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"nonce-{'0' * 32}"
    path.write_bytes(b"0" * 64)
    path.chmod(0o600)
    assert local_files._read_nonce("0" * 32, path) == b"0" * 64
    assert local_files._read_nonce("1" * 32, path) is None
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert local_files._read_nonce("0" * 32, path) is None


def test_client_streams_from_elsewhere(
    repo: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "d" / "b & c?#%").unlink()
    monkeypatch.setattr("pachlet.client.local_files.describe_place", lambda: "elsewhere")
    assert ask_for_pass(repo) is None
    put_file(repo, A, [FromFolder("/", folder)])
    assert get_bytes(repo, f"{A}:/a") == b"a"


def test_other_servers_get_the_bytes(repo: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pachyderm does not know the service; a server that is not on this machine is not asked."""
    (folder / "d" / "b & c?#%").unlink()
    for address in ("pach.example.org:30650", "127.0.0.1:1"):
        with Connection(address) as elsewhere:
            assert ask_for_pass(elsewhere) is None
    challenge = schema.method("pachlet.v1.LocalFiles", "Challenge")
    monkeypatch.setattr(local_files, "SERVICE", "pjs.API")
    monkeypatch.setattr(
        "pachlet.client.connection._method",
        lambda service, name: challenge if service == "pjs.API" else schema.method(service, name),
    )
    assert ask_for_pass(repo) is None
    put_file(repo, A, [FromFolder("/", folder)])
    assert get_bytes(repo, f"{A}:/d/e/deep") == b"deep"


def test_umask_of_another_kind_is_kept(
    repo: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are made as the client would make them; where the server would not, the client does it."""
    put(repo, A, {"/x": "1"})
    monkeypatch.setattr("pachlet.client.local_files.current_umask", lambda: 0o177)
    assert not passed(repo).makes_files_as_we_do
    get_folder(repo, f"{A}:/", tmp_path / "got")
    assert (tmp_path / "got" / "x").read_text() == "1"
