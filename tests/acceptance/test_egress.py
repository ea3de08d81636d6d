"""Egress to object stores: through real pipelines to a real S3 server, with its failures, ends and restarts."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pachlet.server
from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import jobs, pipelines, repos, secrets
from pachlet.client.connection import Connection
from pachlet.client.logs import get_logs
from pachlet.client.names import commit, file
from pachlet.clock import FakeClock
from pachlet.errors import InvalidArgument, NotFound, Unavailable, Unimplemented
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import (
    PFS,
    create,
    ended,
    head,
    job,
    last_job,
    modify,
    pfs_input,
    put,
    put_id,
    shell,
    tree,
)
from tests.object_store import ObjectStore

COPY = "cp -r /pfs/in/. /pfs/out/"
IN = pfs_input("in", "/")


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    running = ObjectStore()
    yield running
    running.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("egress")


@pytest.fixture(scope="module")
def connection(
    store: ObjectStore, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connection]:
    with pytest.MonkeyPatch.context() as environ:
        for key, value in store.environ.items():
            environ.setenv(key, value)
        data = tmp_path_factory.mktemp("data")
        with testing.server(data, egress_dir=folder) as server, Connection(server.address) as connected:
            repos.create_repo(connected, "in")
            put(connected, "in@master", {"/a": "1", "/b c/d%.txt": "22"})
            yield connected


def to(url: str) -> dict[str, Any]:
    return {"egress": {"URL": url}}


def test_output_is_written_below_the_url_before_the_job_ends(
    connection: Connection, store: ObjectStore
) -> None:
    url = store.make_bucket("both")
    minio = f"{store.url.replace('http', 'minio')}/both/minio"
    for name, egress in (
        ("old", {"URL": f"{url}/old/"}),
        ("new", {"object_storage": {"url": f"{url}/new"}}),
        ("minio", {"URL": minio}),
    ):
        info = create(connection, shell(name, COPY, IN, egress=egress))
        assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
        assert egress.get("URL", "") == info.details.egress.URL
    expected = {"a": "1", "b c/d%.txt": "22"}
    assert store.files("both") == {
        f"{each}/{k}": v for each in ("old", "new", "minio") for k, v in expected.items()
    }
    said = [each.message for each in get_logs(connection, pipeline="old", master=True)]
    assert "egressing 2 files, 3 B, to s3://both/old/" in said
    assert "egressed 2 files, 3 B, to s3://both/old/" in said


def test_next_job_egresses_all_of_its_output(connection: Connection, store: ObjectStore) -> None:
    url = store.make_bucket("next")
    repos.create_repo(connection, "next-in")
    put(connection, "next-in@master", {"/a": "1", "/b": "2"})
    create(connection, shell("next", "cp /pfs/in/* /pfs/out/", pfs_input("next-in", name="in"), **to(url)))
    store.client.delete_object(Bucket="next", Key="a")
    put(connection, "next-in@master", {"/b": "3"})
    assert ended(last_job(connection, "next")) == ("SUCCESS", 1, 1, 0, 2)
    assert store.files("next") == {"a": "1", "b": "3"}


def test_pipeline_with_keys_of_its_own_is_let_in_by_them(connection: Connection, store: ObjectStore) -> None:
    url = store.make_bucket("own")
    text = {"metadata": {"name": "keys"}, "stringData": {"id": "theirs", "word": "secret"}}
    secrets.create_secret(connection, json.dumps(text).encode())
    taken = [
        {"name": "keys", "key": "id", "env_var": "AWS_ACCESS_KEY_ID"},
        {"name": "keys", "key": "word", "env_var": "AWS_SECRET_ACCESS_KEY"},
    ]
    assert "theirs" not in store.signers
    assert (
        ended(create(connection, shell("own", COPY, IN, transform={"secrets": taken}, **to(url))))[0]
        == "SUCCESS"
    )
    assert "theirs" in store.signers


def test_output_that_is_not_to_be_is_not_delivered(connection: Connection, store: ObjectStore) -> None:
    url = store.make_bucket("clash")
    repos.create_repo(connection, "clash-in")
    put(connection, "clash-in@master", {"/a": "1", "/b": "2"})
    script = "cat /pfs/in/* >/pfs/out/same"  # both datums write one path
    info = create(connection, shell("clash", script, pfs_input("clash-in", name="in"), **to(url)))
    assert ended(info)[0] == "FAILURE"
    assert "duplicate path output by different datums" in info.reason
    info = create(
        connection, shell("clash", "exit 1", pfs_input("clash-in", name="in"), **to(url)), update=True
    )
    assert ended(info)[0] == "FAILURE"
    assert store.keys("clash") == []


def test_job_says_that_it_waits_for_its_turn_to_egress(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store.make_bucket("turns")
    for key, value in store.environ.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(pachlet.server, "_DELIVERIES", 1)
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        with store.held():
            pipelines.create_pipeline(connection, shell("first", COPY, IN, **to(url)))
            assert store.reached.wait(30)
            pipelines.create_pipeline(connection, shell("second", COPY, IN, **to(url)))
            id = next(jobs.list_job(connection, pipeline="second")).job.id
            shown = (jobs.inspect_job(connection, f"second@{id}") for _ in range(10_000))
            info = next(each for each in shown if jobs.state_of(each) == "JOB_EGRESSING")
            assert info.reason == "waiting for its turn to egress"
        info = job(connection, "second", id)
        assert (ended(info)[0], info.reason) == ("SUCCESS", "")


def test_file_of_this_machine_lies_below_the_folder_that_the_server_names(
    connection: Connection, folder: Path
) -> None:
    assert ended(create(connection, shell("local", COPY, IN, **to("file:///deep/er"))))[0] == "SUCCESS"
    assert (folder / "deep/er/b c/d%.txt").read_text() == "22"


def test_what_can_not_be_written_on_this_machine_fails_the_job_at_once(
    connection: Connection, folder: Path, tmp_path: Path
) -> None:
    (folder / "linked").mkdir()
    (folder / "linked/b c").symlink_to(tmp_path)
    (folder / "file").write_text("")
    (folder / "occupied/a").mkdir(parents=True)
    for name, message in (
        ("linked", f"leads out of {folder}"),
        ("file/x", "file is a file"),
        ("occupied", "a is a folder"),
    ):
        info = create(connection, shell(name.replace("/", "-"), COPY, IN, **to(f"file:///{name}")))
        assert ended(info)[0] == "FAILURE"
        assert message in info.reason
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url, error, message",
    [
        ("ftp://host/path", Unimplemented, "unrecognized object store: ftp"),
        ("", InvalidArgument, "egress names no URL"),
        ("file://host/path", InvalidArgument, "names the machine host"),
        ("s3:///path", InvalidArgument, "names no bucket"),
        ("s3://bucket?colour=red", InvalidArgument, "the option colour, which means nothing"),
    ],
)
def test_url_that_means_nothing_is_refused(
    connection: Connection, url: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pipelines.create_pipeline(connection, shell("bad", COPY, IN, **to(url)))


def test_bucket_that_is_not_there_fails_the_job_at_once(connection: Connection) -> None:
    info = create(connection, shell("nowhere", COPY, IN, **to("s3://nowhere/x")))
    assert ended(info)[0] == "FAILURE"
    assert info.reason.startswith("egress failed: s3://nowhere/x: there is no bucket nowhere")
    assert head(connection, "nowhere@master").error == info.reason


def test_store_that_fails_is_asked_again_until_it_answers(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, clock = store.make_bucket("later"), FakeClock()
    for key, value in store.environ.items():
        monkeypatch.setenv(key, value)
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        store.fail = 3  # as often as it is asked in one go
        pipelines.create_pipeline(connection, shell("later", COPY, IN, **to(url)))
        info = wait_for_reason(connection, "later")
        assert jobs.state_of(info) == "JOB_EGRESSING"
        assert info.reason.startswith("egress is tried again: s3://later did not take /a: ")
        assert "503" in info.reason
        assert store.keys("later") == []
        clock.advance(2)
        assert ended(last_job(connection, "later")) == ("SUCCESS", 1, 0, 0, 1)
        assert store.files("later") == {"a": "1"}
        said = [each.message for each in get_logs(connection, pipeline="later", master=True)]
        assert any(each.endswith("; trying again in 1 s") for each in said)

        store.fail = 6
        id = put_id(connection, "in@master", {"/a": "2"})
        wait_for_reason(connection, "later")
        clock.advance(4000)
        info = job(connection, "later", id)
        assert ended(info)[0] == "FAILURE"
        assert info.reason.startswith("egress failed: it was tried for 60 minutes")
        assert store.fail == 0


def wait_for_reason(connection: Connection, pipeline: str) -> Any:
    """Return the newest job of a pipeline once its egress is to be tried again."""
    id = next(jobs.list_job(connection, pipeline=pipeline)).job.id
    for line in get_logs(connection, job=f"{pipeline}@{id}", master=True, follow=True):
        if "trying again" in line.message:
            break
    return jobs.inspect_job(connection, f"{pipeline}@{id}")


# Without a pipeline: the RPC, and URLs.


def test_rpc_delivers_a_commit_and_says_how_much(connection: Connection, store: ObjectStore) -> None:
    url = store.make_bucket("rpc")
    request = {"commit": commit("default", "in@master"), "object_storage": {"url": f"{url}/x"}}
    assert connection.call(PFS, "Egress", request).object_storage.bytes_written == 3
    assert store.files("rpc") == {"x/a": "1", "x/b c/d%.txt": "22"}
    with pytest.raises(NotFound, match="there is no bucket none"):
        connection.call(PFS, "Egress", {**request, "object_storage": {"url": "s3://none"}})
    store.fail = 6  # two files, each as often as it is tried
    with pytest.raises(Unavailable, match="503"):
        connection.call(PFS, "Egress", request)
    with pytest.raises(InvalidArgument, match="egress failed: it has no target"):
        connection.call(PFS, "Egress", {"commit": request["commit"]})


def test_files_are_read_to_a_url(connection: Connection, store: ObjectStore) -> None:
    url = store.make_bucket("read")
    for method, path, below in (
        ("GetFile", "/a", "one"),
        ("GetFileTAR", "/**", "all"),
        ("GetFileTAR", "/b*", "some"),
    ):
        request = {"file": file("default", f"in@master:{path}"), "URL": f"{url}/{below}"}
        assert len(b"".join(each.value for each in connection.call(PFS, method, request))) in (0, 1024)
    assert store.files("read") == {
        "one/a": "1",
        "all/a": "1",
        "all/b c/d%.txt": "22",
        "some/b c/d%.txt": "22",
    }
    for wrong, error, message in (
        ({"URL": f"{url}/x", "offset": 1}, InvalidArgument, "there can be no offset"),
        ({"URL": "ftp://host/x"}, Unimplemented, "unrecognized object store: ftp"),
        ({"URL": "s3://none/x"}, NotFound, "there is no bucket none"),
    ):
        with pytest.raises(error, match=message):
            list(connection.call(PFS, "GetFile", {"file": file("default", "in@master:/a"), **wrong}))


def test_objects_are_put(connection: Connection, store: ObjectStore) -> None:
    url = store.make_bucket("put")
    large = b"0123456789abcdef" * (1 << 20)
    for key, content in (("a/1", b"1"), ("a/b/2", b"2"), ("ax", b"3"), ("large", large)):
        store.client.put_object(Bucket="put", Key=key, Body=content)
    repos.create_repo(connection, "taken")
    environ = {"PACHD_ADDRESS": str(connection.address)}
    session = Session(environ, out=io.StringIO(), err=io.StringIO(), input=io.BytesIO())
    for words in (
        ["put", "file", "taken@master:/one", "-f", f"{url}/a/1"],
        ["put", "file", "taken@master:/all", "-r", "-f", f"{url}/a/"],
        ["put", "file", "taken@master:/begins", "-r", "-f", f"{url}/a"],
        ["put", "file", "taken@master:/large", "-f", f"{url}/large"],
    ):
        assert main.run(session, words) == 0, session.err
    expected = {
        "/all/1": "1",
        "/all/b/2": "2",
        "/begins/1": "1",
        "/begins/b/2": "2",
        "/begins/x": "3",
        "/one": "1",
    }
    with pytest.raises(NotFound, match="there is no object none in s3://put/none"):
        modify(connection, "taken@master", from_url("/x", f"{url}/none"))
    with pytest.raises(NotFound, match="no object of bucket put begins with 'none'"):
        modify(connection, "taken@master", from_url("/x", f"{url}/none", recursive=True))
    with pytest.raises(NotFound, match="there is no bucket none"):
        modify(connection, "taken@master", from_url("/x", "s3://none/x"))
    with pytest.raises(InvalidArgument, match="s3://put names no object"):
        modify(connection, "taken@master", from_url("/x", url))
    assert tree(connection, "taken@master") == {**expected, "/large": large.decode()}
    assert main.run(session, ["get", "file", "taken@master:/all", "-o", f"{url}/back"]) == 0
    assert store.get("put", "back/all/b/2") == b"2"


def from_url(path: str, url: str, **more: Any) -> dict[str, Any]:
    return {"add_file": {"path": path, "url": {"URL": url, **more}}}


# Large, ended, killed.


def test_large_file_is_sent_in_parts_with_bounded_memory(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, size = store.make_bucket("large"), 144 << 20
    for key, value in store.environ.items():
        monkeypatch.setenv(key, value)
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        script = f"yes 0123456789 | head -c {size} > /pfs/out/big; echo end > /pfs/out/small"
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        assert ended(create(connection, shell("quiet", script, IN)))[0] == "SUCCESS"
        before = highest_memory(server)
        assert ended(create(connection, shell("large", script, IN, **to(url))))[0] == "SUCCESS"
        assert highest_memory(server) - before < size * 3 / 4  # libraries, and what is under way
    found = store.client.head_object(Bucket="large", Key="big")
    assert (found["ContentLength"], found["ETag"].strip('"').partition("-")[2]) == (size, "18")
    body = store.client.get_object(Bucket="large", Key="big")["Body"]
    piece = b"0123456789\n" * 100_000
    at = 0
    while block := body.read(len(piece)):
        assert block == piece[: len(block)]
        at += len(block)
    assert (at, store.get("large", "small")) == (size, b"end\n")


def highest_memory(server: ServerProcess) -> int:
    """Return the most bytes that a server's process has had in memory at once."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize("way", ["stop", "timeout"])
def test_job_that_is_ended_egresses_no_more(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    url, clock = store.make_bucket(way), FakeClock()
    for key, value in store.environ.items():
        monkeypatch.setenv(key, value)
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        with store.held():
            spec = shell("held", COPY, IN, job_timeout="3600s", **to(url))
            pipelines.create_pipeline(connection, spec)
            assert store.reached.wait(30)
            id = next(jobs.list_job(connection, pipeline="held")).job.id
            if way == "stop":
                jobs.stop_job(connection, f"held@{id}")
            else:
                clock.advance(3601)
            info = job(connection, "held", id)
        assert ended(info)[0] == "KILLED"
        assert ("job timed out" in info.reason) == (way == "timeout")
        put(connection, "in@master", {"/a": "2"})  # the next one is not kept waiting
        assert ended(last_job(connection, "held"))[0] == "SUCCESS"
        assert store.files(way) == {"a": "2"}


@pytest.mark.parametrize("way", ["kill", "terminate"])
def test_end_of_the_server_in_mid_egress_egresses_again(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    url = store.make_bucket(way)
    for key, value in store.environ.items():
        monkeypatch.setenv(key, value)
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {f"/{n}": str(n) for n in range(40)})
        with store.held():
            spec = shell("p", f"{COPY}; echo ran", pfs_input("in", "/*"), **to(url))
            pipelines.create_pipeline(connection, spec)
            assert store.reached.wait(60)
            getattr(server, way)()
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        info = last_job(connection, "p")
        assert ended(info) == ("SUCCESS", 40, 0, 0, 40)
        assert info.restart == 1
        assert store.files(way) == {str(n): str(n) for n in range(40)}
        said = [each.message for each in get_logs(connection, pipeline="p")]
        assert said.count("ran") == 40


def test_egress_without_its_packages_is_refused_when_the_pipeline_is_made(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(Unimplemented, match="egress to an object store needs the package obstore") as refused:
        pipelines.create_pipeline(connection, shell("bare", COPY, IN, **to("s3://x")))
    assert refused.value.hint == "pip install 'pachlet[egress]'"
