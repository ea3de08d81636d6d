"""`pachlet import` copies histories from one server to another, and only what is new when it is run again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import branches, commits, metadata, repos
from pachlet.client.connection import Connection, Message
from pachlet.client.files import delete_file, walk_file
from pachlet.client.get_file import get_bytes
from pachlet.client.importing.marks import COMMIT, FROM, ORIGIN, deployment_of
from pachlet.client.projects import create_project, inspect_project
from pachlet.client.put_file import from_bytes, put_file
from pachlet.testing import RunningServer
from tests.acceptance.typed import Terminal


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Connection]:
    """A server that answers what Pachyderm answers, and none of our own RPCs."""
    with (
        testing.server(tmp_path / "source", code=tmp_path, stock=True) as running,
        Connection(running.address) as connection,
    ):
        yield connection


@pytest.fixture
def own_source(tmp_path: Path) -> Iterator[Connection]:
    """A source that is pachlet, and can do what Pachyderm can't."""
    with (
        testing.server(tmp_path / "source", code=tmp_path) as running,
        Connection(running.address) as connection,
    ):
        yield connection


class Import:
    """Runs `pachlet import` and keeps what it said."""

    def __init__(self, source: Connection, server: RunningServer, folder: Path) -> None:
        self._source, self._server, self._folder = source, server, folder
        self.specs = folder / "specs"
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        out, err = io.StringIO(), io.StringIO()
        environ = {"PACHD_ADDRESS": self._server.address, "PACH_CONFIG": str(self._folder / "config.json")}
        session = Session(environ, out=out, err=err, input=io.BytesIO(), program="pachlet")
        status = main.run(
            session, ["import", "--from", self._source.address.url, "--specs", str(self.specs), *words]
        )
        self.out, self.err = out.getvalue(), err.getvalue()
        return status


@pytest.fixture
def run_import(source: Connection, server: RunningServer, tmp_path: Path) -> Import:
    return Import(source, server, tmp_path)


def put(connection: Connection, where: str, **files: str) -> str:
    """Put files as one commit; return its id."""
    put_file(connection, where, [from_bytes(f"/{path}", text.encode()) for path, text in files.items()])
    return str(commits.wait_commit(connection, where).commit.id)


def content(connection: Connection, commit: str) -> dict[str, bytes]:
    infos = walk_file(connection, f"{commit}:/")
    paths = [info.file.path for info in infos if not info.file.path.endswith("/")]
    return {path: get_bytes(connection, f"{commit}:{path}") for path in paths}


def history(connection: Connection, repo: str) -> list[Message]:
    return list(commits.list_commit(connection, repo, all=True, reverse=True))


def same(source: Connection, target: Connection, repo: str) -> None:
    """Check that a repo's copy is one: its commits with their content, parents, words, and its branches."""
    originals = history(source, repo)
    copies = {each.metadata[COMMIT]: each for each in history(target, repo)}
    assert list(copies) == [each.commit.id for each in originals]
    for each in originals:
        copy = copies[each.commit.id]
        assert (copy.description, copy.error) == (each.description, each.error)
        parent = copies[each.parent_commit.id].commit.id if each.HasField("parent_commit") else ""
        assert copy.parent_commit.id == parent
        there, here = f"{repo}@{copy.commit.id}", f"{repo}@{each.commit.id}"
        assert content(target, there) == content(source, here)
    assert {each.branch.name: each.head.id for each in branches.list_branch(target, repo)} == {
        each.branch.name: copies[each.head.id].commit.id for each in branches.list_branch(source, repo)
    }


def test_history_with_forks_errors_and_empty_commits_is_copied(
    source: Connection, connection: Connection, run_import: Import
) -> None:
    repos.create_repo(source, "a", description="all of it")
    put(source, "a@master", one="1", two="2", **{"dir/x,y": "odd", "dir/back\\slash": "odder"})
    put(source, "a@master", **{"one": "changed", "dir/z": "", "dir/x,y": "odd again"})
    delete_file(source, "a@master", ["/two"])
    bad = commits.start_commit(source, "a@master", description="went wrong")
    put_file(source, f"a@{bad.id}", [from_bytes("/bad", b"bad"), from_bytes("/one", b"spoilt")])
    commits.finish_commit(source, f"a@{bad.id}", error="out of luck")
    put(source, "a@master", three="3" * 10_000)
    branches.create_branch(source, "a@fork", head="master~4")
    put(source, "a@fork", forked="f")
    branches.create_branch(source, "a@empty")
    branches.create_branch(source, "a@same", head="master^")
    assert run_import() == 0, run_import.err
    assert run_import.out.startswith("default/a: 7 commits, ")
    same(source, connection, "default/a")
    assert repos.inspect_repo(connection, "a").description == "all of it"
    copies = history(connection, "a")
    assert {each.metadata[FROM] for each in copies} == {deployment_of(source)}
    assert [each.metadata.get(ORIGIN, "") for each in copies].count("AUTO") == 1


def test_second_run_copies_only_what_is_new(
    source: Connection, connection: Connection, run_import: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    repos.create_repo(source, "a")
    repos.create_repo(source, "b")
    put(source, "a@master", big="x" * 100_000)
    put(source, "b@master", one="1")
    assert run_import() == 0
    assert run_import() == 0
    assert run_import.out == "default/a: nothing new\ndefault/b: nothing new\n"
    put(source, "a@master", small="y")
    sent: list[int] = []
    real = Connection.send

    def counting(self: Connection, service: str, method: str, requests: Any, **rest: Any) -> Any:
        def counted() -> Iterator[Any]:
            for each in requests:
                sent.append(len(each.get("add_file", {}).get("raw", {}).get("value", b"")))
                yield each

        return real(self, service, method, counted(), **rest)

    monkeypatch.setattr(Connection, "send", counting)
    assert run_import() == 0
    assert run_import.out == "default/a: 1 new commit, 1B\ndefault/b: nothing new\n"
    assert sum(sent) == 1
    same(source, connection, "default/a")


@pytest.mark.parametrize("share", [3, 30])
def test_few_and_many_changed_files_are_copied_alike(
    source: Connection, connection: Connection, run_import: Import, share: int
) -> None:
    repos.create_repo(source, "a")
    put(source, "a@master", **{f"d{number % 3}/f{number}": f"{number} " * 90 for number in range(40)})
    assert run_import() == 0
    odd = {"back\\slash": "b", "co,mma": "c", "empty": "", "large": "l" * 300_000 if share < 30 else ""}
    put(
        source,
        "a@master",
        **odd,
        **{f"d{number % 3}/f{number}": f"{number}!" * 60 for number in range(share)},
    )
    assert run_import() == 0
    assert run_import.out.startswith("default/a: 1 new commit, ")
    same(source, connection, "default/a")


def test_run_that_broke_off_is_taken_up(
    source: Connection, connection: Connection, run_import: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    repos.create_repo(source, "a")
    for number in range(4):
        put(source, "a@master", **{f"f{number}": str(number)})
    calls = ("StartCommit", "EditMetadata", "ModifyFile", "FinishCommit", "CreateBranch", "CreateRepo")
    real_call, real_send = Connection.call, Connection.send
    left = 0

    def dies(method: str) -> None:
        nonlocal left
        if method in calls:
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

    def call(self: Connection, service: str, method: str, *rest: Any, **more: Any) -> Any:
        dies(method)
        return real_call(self, service, method, *rest, **more)

    def send(self: Connection, service: str, method: str, *rest: Any, **more: Any) -> Any:
        dies(method)
        return real_send(self, service, method, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "call", call)
        patched.setattr(Connection, "send", send)
        statuses = []
        for allowed in range(12):
            left = allowed
            statuses.append(run_import())
            if not statuses[-1]:
                break
    assert statuses[0] == 130
    assert statuses[-1] == 0
    same(source, connection, "default/a")


def test_repo_with_other_content_is_left_alone(
    source: Connection, connection: Connection, run_import: Import
) -> None:
    for each in (source, connection):
        repos.create_repo(each, "a")
        put(each, "a@master", one="1")
    before = [each.commit.id for each in history(connection, "a")]
    assert run_import() == 1
    assert run_import.err.startswith(
        "default/a is not copied whole: repo default/a is there with other content: commit "
    )
    assert run_import.err.count("\n") == 1
    assert [each.commit.id for each in history(connection, "a")] == before


def test_copy_that_was_written_to_is_no_copy_any_more(
    source: Connection, connection: Connection, run_import: Import
) -> None:
    repos.create_repo(source, "a")
    put(source, "a@master", one="1")
    assert run_import() == 0
    put(connection, "a@master", mine="!")
    assert run_import() == 1
    assert "is there with other content" in run_import.err
    assert content(connection, "a@master") == {"/one": b"1", "/mine": b"!"}


def test_server_is_not_imported_into_itself(
    connection: Connection, server: RunningServer, tmp_path: Path
) -> None:
    run = Import(connection, server, tmp_path)
    assert run() == 1
    assert "is the very server" in run.err


def test_open_commit_is_told_and_comes_later(
    source: Connection, connection: Connection, run_import: Import
) -> None:
    repos.create_repo(source, "a")
    put(source, "a@master", one="1")
    late = commits.start_commit(source, "a@master")
    assert run_import() == 0
    assert run_import.err == f"default/a: commit {late.id} is not finished at the source\n"
    assert len(history(connection, "a")) == 1
    commits.finish_commit(source, f"a@{late.id}")
    assert run_import() == 0
    same(source, connection, "default/a")


def test_a_purged_file_stops_its_repo_with_the_tombstone_and_no_other(
    own_source: Connection, connection: Connection, server: RunningServer, tmp_path: Path
) -> None:
    source, run_import = own_source, Import(own_source, server, tmp_path)
    repos.create_repo(source, "a")
    put(source, "a@master", before="1")
    put(source, "a@master", ada="Ada Lovelace, born 1815 in London")
    delete_file(source, "a@master", ["/ada"])
    repos.create_repo(source, "b")
    put(source, "b@master", other="2")
    type = Terminal(source.address.url, tmp_path)
    type.ok("purge", "a@master^:/ada", "--reason", "she asked", "--yes")
    for _ in "12":
        assert run_import() == 1
        said = run_import.err.splitlines()[-1]
        assert said.startswith("default/a is not copied whole: the bytes of this file are gone: default/a@")
        assert ":/ada was purged on " in said
        assert "she asked" in said
        same(source, connection, "default/b")
        assert content(connection, "a@master") == {"/before": b"1"}  # what was made before it is there
        assert commits.inspect_commit(connection, "a@master").HasField("finished")


def test_projects_metadata_and_triggers_come_along(
    source: Connection, connection: Connection, run_import: Import
) -> None:
    create_project(source, "crypto", description="coins")
    repos.create_repo(source, "crypto/a")
    put(source, "crypto/a@staging", one="1")
    metadata.edit_metadata(
        source,
        [
            metadata.edit("crypto", "commit", "a@staging", "add", "verified_by=me"),
            metadata.edit("crypto", "repo", "a", "add", "owner=me"),
        ],
    )
    branches.create_branch(
        source, "crypto/a@master", trigger={"branch": "staging", "commits": 1}, head="staging"
    )
    assert run_import() == 0
    same(source, connection, "crypto/a")
    assert inspect_project(connection, "crypto").description == "coins"
    assert repos.inspect_repo(connection, "crypto/a").metadata["owner"] == "me"
    assert commits.inspect_commit(connection, "crypto/a@staging").metadata["verified_by"] == "me"
    trigger = branches.inspect_branch(connection, "crypto/a@master").trigger
    assert (trigger.branch, trigger.commits) == ("staging", 1)


def spec(**more: Any) -> bytes:
    return json.dumps(
        {
            "pipeline": {"name": "copy"},
            "transform": {"image": "alpine", "cmd": ["true"]},
            "input": {"pfs": {"repo": "a", "glob": "/*"}},
            **more,
        }
    ).encode()


def create_pipeline(source: Connection, tmp_path: Path, *words: str, **more: Any) -> None:
    environ = {"PACHD_ADDRESS": str(source.address), "PACH_CONFIG": str(tmp_path / "other.json")}
    err = io.StringIO()
    session = Session(environ, out=io.StringIO(), err=err, input=io.BytesIO(spec(**more)))
    assert main.run(session, words) == 0, err.getvalue()


def test_specs_are_written_out_and_output_is_made_anew(
    source: Connection, connection: Connection, run_import: Import, tmp_path: Path
) -> None:
    repos.create_repo(source, "a")
    put(source, "a@master", one="1")
    create_pipeline(source, tmp_path, "create", "pipeline")
    create_pipeline(source, tmp_path, "update", "pipeline", description="second")
    assert run_import() == 0, run_import.err
    assert run_import.out.splitlines()[-1] == f"1 pipeline spec in {run_import.specs}"
    assert run_import.err.startswith("not copied, since pipelines make them: default/copy; `pachlet apply ")
    newest = run_import.specs / "default" / "copy.json"
    assert json.loads(newest.read_text())["description"] == "second"
    assert "description" not in json.loads(Path(f"{newest}.v1").read_text())
    assert [info.repo.name for info in repos.list_repo(connection)] == ["a"]
    create_pipeline(source, tmp_path, "update", "pipeline", description="third")
    assert run_import() == 0
    assert json.loads(newest.read_text())["description"] == "third"
    newest.write_text("{}")
    assert run_import() == 1
    assert f"{newest} is there and is no version of that pipeline's spec" in run_import.err
    commits.wait_commit(source, "copy@master")
    assert run_import("copy") == 0  # the output, as a plain repo
    assert "branch master depends on default/a@master, default/copy.spec@master" in run_import.err
    same(source, connection, "default/copy")


def test_repos_and_projects_can_be_chosen(
    source: Connection, connection: Connection, run_import: Import
) -> None:
    create_project(source, "crypto")
    for name in ("a", "b", "crypto/c"):
        repos.create_repo(source, name)
        put(source, f"{name}@master", one="1")
    assert run_import("b") == 0
    assert run_import("--project", "crypto") == 0
    shown = {
        f"{info.repo.project.name}/{info.repo.name}"
        for info in repos.list_repo(connection, all_projects=True)
    }
    assert shown == {"default/b", "crypto/c"}
    assert run_import("nope") == 1
    assert run_import.err.startswith("repo default/nope not found at ")
    assert run_import("--project", "nope") == 1
