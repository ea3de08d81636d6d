"""What is refused, in the words and with the codes that Pachyderm's clients know: a row for each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from pachlet.ids import new_id
from pachlet.paths import FILESETS_REPO
from tests.acceptance.words import PFS, add, delete, modify, put

ROOT = Path(__file__).parent.parent.parent
TXN = "transaction_v2.API"
NONE = new_id()
OPEN = "open"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Repos: `a` with two branches, `b` made from it, `open` with an open commit, `empty`."""
    with (
        testing.server(tmp_path_factory.mktemp("refusals") / "data", code=ROOT) as running,
        Connection(running.address) as connection,
    ):
        for name in ("a", "b", OPEN, "empty"):
            repos.create_repo(connection, name)
        put(connection, "a@master", {"/x": "1", "/d/y": "1"})
        connection.call(PFS, "CreateBranch", {"branch": branch("a", "dev")})
        connection.call(PFS, "CreateBranch", {"branch": branch("empty", "master")})
        made = {"branch": branch("b", "master"), "provenance": [branch("a", "master")]}
        connection.call(PFS, "CreateBranch", made)
        connection.call(PFS, "StartCommit", {"branch": branch(OPEN, "master")})
        yield connection


def repo(name: str, project: str = "default") -> dict[str, Any]:
    return {"name": name, "type": "user", "project": {"name": project}}


def branch(name: str, of: str) -> dict[str, Any]:
    return {"repo": repo(name), "name": of}


def commit(name: str, id: str = "master") -> dict[str, Any]:
    return {"repo": repo(name), "id": id}


def file(path: str, name: str = "a") -> dict[str, Any]:
    return {"commit": commit(name), "path": path}


def trigger(**fields: Any) -> dict[str, Any]:
    return {"branch": branch("a", "t"), "trigger": fields}


REQUIRED = [
    ("DropCommitSet", "validate request"),
    ("FindCommits", "validate recv"),
    ("DeleteBranch", "validate request"),
    ("InspectProject", "validate request"),
    ("InspectProjectV2", "validate request"),
]
CRON = "error parsing cron-spec: expected exactly 5 fields, found 1: [x]"
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("CreateRepo", {"repo": repo(FILESETS_REPO)}, "INVALID_ARGUMENT", "repo name __filesets__ is reserved"),
    ("CreateRepo", {"repo": repo("x", "q")}, "NOT_FOUND", 'cannot create repo "x": project "q" not found'),
    ("CreateProject", {"project": {"name": "default"}}, "ALREADY_EXISTS", "project default already exists"),
    ("CreateProject", {"project": {"name": "q"}, "update": True}, "NOT_FOUND", 'project "q" not found'),
    ("DeleteProject", {"project": {"name": "q"}}, "NOT_FOUND", 'project "q" not found'),
    *(
        ("DeleteProject", {"project": {"name": "default"}, "force": force}, "FAILED_PRECONDITION",
         "cannot delete project default: repo default/a still exists")
        for force in (False, True)
    ),
    ("CreateBranch", {"branch": branch("a", "x"), "provenance": [branch("a", "master")]}, "UNKNOWN",
     "repo default/a cannot be in the provenance of its own branch"),
    ("CreateBranch", {"branch": branch("a", "master"), "provenance": [branch("b", "master")]}, "INTERNAL",
     "cycle detected because default/b@master is already in the subvenance of default/a@master"),
    ("CreateBranch", {"branch": branch("b", "y"), "provenance": [branch("a", "master")], "trigger": {"branch": "z"}},
     "UNKNOWN", "a branch cannot have both provenance and a trigger"),
    ("CreateBranch", {"branch": branch("b", "master"), "provenance": [branch("a", "master"), branch("a", "dev")]},
     "UNKNOWN", 'multiple branches from the same repo, "default/a", cannot participate in a DAG'),
    ("CreateBranch", {"branch": branch("a", "h"), "head": commit("b")}, "UNKNOWN",
     "branch and head commit must belong to the same repo"),
    ("CreateBranch", trigger(size="1B"), "UNKNOWN", "triggers must specify a branch to trigger on"),
    ("CreateBranch", trigger(branch="master", commits=-1), "UNKNOWN",
     "can't trigger on a negative number of commits"),
    ("CreateBranch", trigger(branch="master", size="x"), "UNKNOWN", "invalid trigger size: invalid size: 'x'"),
    ("CreateBranch", trigger(branch="master", cron_spec="x"), "UNKNOWN", f"invalid trigger cron spec: {CRON}"),
    ("CreateBranch", trigger(branch="master", rate_limit_spec="x"), "UNKNOWN",
     f"invalid trigger rate limit spec: {CRON}"),
    ("CreateBranch", trigger(branch="t"), "UNKNOWN", "triggers cannot form a loop"),
    ("InspectBranch", {"branch": branch("a", "no")}, "NOT_FOUND", 'branch "no" not found in repo default/a'),
    ("DeleteBranch", {"branch": branch("a", "no")}, "NOT_FOUND", 'branch "no" not found in repo default/a'),
    ("StartCommit", {}, "INVALID_ARGUMENT", "branch must be specified"),
    ("StartCommit", {"branch": branch("no", "master")}, "NOT_FOUND", "repo default/no not found"),
    ("StartCommit", {"branch": branch("a", new_id())}, "UNKNOWN", "branch name cannot be a UUID V4"),
    ("StartCommit", {"branch": branch("b", "master")}, "UNKNOWN",
     "cannot start a commit on an output branch: default/b@master"),
    ("InspectCommit", {}, "INVALID_ARGUMENT", "commit cannot be nil"),
    ("InspectCommit", {"commit": {"id": "x"}}, "INVALID_ARGUMENT", "commit must have a repo"),
    ("InspectCommit", {"commit": commit("a", NONE)}, "NOT_FOUND", f"commit default/a@{NONE} not found"),
    ("InspectCommit", {"commit": commit("a", "no")}, "NOT_FOUND", 'branch "no" not found in repo default/a'),
    ("ClearCommit", {"commit": commit("a")}, "UNKNOWN", "cannot clear finished commit"),
    ("ListCommit", {"repo": repo("a"), "from": commit("a")}, "UNKNOWN",
     "cannot use `from` commit without `to` commit"),
    ("ListCommit", {"repo": repo("a"), "to": commit("a"), "reverse": True}, "UNKNOWN",
     "cannot use 'Reverse' while also using 'From' or 'To'"),
    ("ListCommit", {"repo": repo("a"), "to": commit("b")}, "UNKNOWN",
     "`from` and `to` commits need to be from repo default/a"),
    ("InspectCommitSet", {"commit_set": {"id": NONE}}, "NOT_FOUND", f"no commits found for commitset {NONE}"),
    ("SquashCommitSet", {"commit_set": {"id": NONE}}, "NOT_FOUND", f"no commits found for commitset {NONE}"),
    ("FindCommits", {"start": commit(OPEN), "file_path": "/x"}, "UNAVAILABLE", "not finished"),
    *(
        (method, {"file": file("/", name), **page}, "UNKNOWN", text)
        for method in ("ListFile", "WalkFile")
        for name in ("a", "empty")
        for page, text in (
            ({"reverse": True}, "number must be > 0 when reverse is true"),
            ({"number": 100_001}, "cannot return more than 100000 files at a time"),
        )
    ),
    ("WalkFile", {"file": file("/no")}, "NOT_FOUND", "file /no not found in repo default/a at commit "),
    ("GetFile", {"file": file("/no*")}, "NOT_FOUND", "file /no* not found in repo default/a at commit "),
    ("GetFile", {"file": file("/**")}, "UNKNOWN", "matched multiple files. Use GetFileTAR instead"),
    ("GetFile", {"file": file("/d")}, "UNKNOWN",
     "cannot get directory or non-regular file. Use GetFileTAR instead"),
    ("RenewFileSet", {"file_set_id": NONE}, "UNKNOWN", "ttl (0) must be at least one second"),
    ("RenewFileSet", {"file_set_id": NONE, "ttl_seconds": 3600}, "UNKNOWN", "exceeds max ttl (1800s)"),
]  # fmt: skip


def refusal(connection: Connection, service: str, method: str, request: dict[str, Any]) -> PachletError:
    """Return the error that a call ends with."""

    def call() -> None:
        answer = connection.call(service, method, request)
        list(answer if hasattr(answer, "__next__") else ())

    with pytest.raises(PachletError) as refused:
        call()
    return refused.value


def test_what_is_refused_and_how(filled: Connection) -> None:
    for method, request, code, text in REFUSED:
        error = refusal(filled, PFS, method, request)
        assert (error.code, text in error.message) == (code, True), f"{method}: {error.message}"


def test_what_is_required_is_missed_before_anything_else(filled: Connection) -> None:
    for method, prefix in REQUIRED:
        error = refusal(filled, PFS, method, {})
        assert error.code == "INVALID_ARGUMENT"
        assert re.match(rf"^{prefix}: invalid {method}Request\.\w+: value is required$", error.message), (
            error.message
        )


def test_transactions_that_are_not_there_or_can_not_be(filled: Connection) -> None:
    for method in ("InspectTransaction", "DeleteTransaction"):
        error = refusal(filled, TXN, method, {"transaction": {"id": NONE}})
        assert (error.code, error.message) == ("NOT_FOUND", f"transactions {NONE} not found")
    twice = [{"start_commit": {"branch": branch("a", name)}} for name in ("master", "dev")]
    error = refusal(filled, TXN, "BatchTransaction", {"requests": twice})
    assert (
        "error running request 2 of 2: inconsistent dependencies: cannot create commit from" in error.message
    )
    assert "repo (default/a) already has a commit in this transaction" in error.message


def test_paths_and_messages_that_a_stream_may_not_hold(filled: Connection) -> None:
    set_commit = {"set_commit": commit("a")}
    for message, text in (
        (set_commit, "cannot set commit"),
        ({}, "unrecognized message type"),
        ({"copy_file": {"dst": "/q"}}, "CopyFile.Src: value is required"),
        ({"copy_file": {"src": {"commit": commit("a", NONE), "path": "/"}, "dst": "/q"}}, "not found"),
        *((make(path, *text), f"path ({path}) invalid: {why}")
          for path, why in (
              ("/a*", "globbing character (*) not allowed in path"),
              ("/a/../x", "relative file paths are not allowed"),
              ("/a/./x", "relative file paths are not allowed"),
              ("/\u00e9", "only printable ASCII characters allowed"),
          )
          for make, text in ((add, ("1",)), (delete, ()))),
    ):  # fmt: skip
        with pytest.raises(PachletError, match=re.escape(text)):
            modify(filled, "a@master", message)
    missing = {"copy_file": {"src": file("/no"), "dst": "/q"}}  # copies nothing
    modify(filled, "empty@master", missing)


def test_clients_of_pachyderm_1_are_told_why(filled: Connection) -> None:
    with grpc.insecure_channel(str(filled.address)) as channel:
        for service in ("pfs", "pps", "auth", "admin"):
            with pytest.raises(grpc.RpcError, match="your client appears to be an older version"):
                channel.unary_unary(f"/{service}.API/Anything")(b"")
