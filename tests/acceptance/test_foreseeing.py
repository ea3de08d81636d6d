"""What an update would do is said before it does it, and what it did afterwards, on the command line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import Unimplemented
from pachlet.testing import RunningServer
from tests.acceptance.words import create, ended, last_job, pfs_input, put, shell, tree

Type = Callable[..., tuple[str, str]]
DIGEST = "sha256:[0-9a-f]{12}"
GOOD = "tr a-z A-Z <$in >/pfs/out/$(basename $in)"


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "a", "/b": "b"})
    return connection


@pytest.fixture
def typed(server: RunningServer, tmp_path: Path) -> Type:
    """Type a command that succeeds; return what it printed and said beside that, without the word about its image."""

    def run(*words: str, spec: dict[str, Any] | None = None, status: int = 0) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        given = io.BytesIO(json.dumps(spec).encode())
        session = Session(
            {"PACHD_ADDRESS": server.address, "PACH_CONFIG": str(tmp_path / "config")}, out, err, given
        )
        assert main.run(session, words) == status, err.getvalue()
        session.close()
        said = err.getvalue().splitlines(keepends=True)
        return out.getvalue(), "".join(line for line in said if not line.startswith("warning: image alpine"))

    return run


def test_dry_run_says_how_many_would_run_and_changes_nothing(repo: Connection, typed: Type) -> None:
    spec = shell("p", GOOD, pfs_input("in"))
    out, err = typed("create", "pipeline", "--dry-run", spec=spec)
    assert (json.loads(out)["datum_tries"], err) == (1, "2 new\n")
    assert list(pipelines.list_pipeline(repo)) == []

    create(repo, spec)
    put(repo, "in@master", {"/c": "c"})
    last_job(repo, "p")
    pipelines.stop_pipeline(repo, "p")
    put(repo, "in@master", {"/d": "d", "/a": "other"})
    out, err = typed("update", "pipeline", "--dry-run", spec=spec)
    assert re.fullmatch(rf"2 kept, made by {DIGEST}, 1 new, 1 changed\n", err)
    _, err = typed("update", "pipeline", "--dry-run", "--reprocess", spec=spec)
    assert err == "1 new, 3 again as all are reprocessed\n"
    _, err = typed("update", "pipeline", "--dry-run", spec=shell("p", GOOD, pfs_input("in", "/(a|b)")))
    assert re.fullmatch(rf"1 kept, made by {DIGEST}, 1 changed, 1 dropped as their input is gone\n", err)
    out, _ = typed("update", "pipeline", "--dry-run", "-o", "json", spec=spec)
    plan = json.loads(out)
    assert plan["spec"]["pipeline"]["name"] == "p"
    assert plan["datums"]["runs"] == {"new": "1", "changed": "1"}
    assert list(plan["datums"]["kept"].values()) == ["2"]
    assert pipelines.inspect_pipeline(repo, "p").version == 1


def test_dry_run_refuses_what_would_be_refused(repo: Connection, typed: Type) -> None:
    _, err = typed("create", "pipeline", "--dry-run", spec=shell("p", GOOD, pfs_input("none")), status=1)
    assert "none" in err
    _, err = typed("create", "pipeline", "--dry-run", spec=shell("p", GOOD, pfs_input("in"), transform={"image": "pachlet/none"}))  # fmt: skip  # noqa: E501
    assert "2 new\nthe code can't be had: " in err


def test_update_says_what_is_kept_and_how_to_make_it_again(repo: Connection, typed: Type) -> None:
    create(repo, shell("p", "cat $in >/pfs/out/$(basename $in)", pfs_input("in")))
    out, err = typed("update", "pipeline", spec=shell("p", GOOD, pfs_input("in")))
    assert out == ""
    assert re.fullmatch(
        rf"p: 2 kept, made by {DIGEST}\np: other code than now made 2 of those kept; "
        r"`pachctl rerun pipeline p --reprocess --project default` makes them again\n",
        err,
    )
    last_job(repo, "p")
    typed("update", "pipeline", "--reprocess-glob", "/a", spec=shell("p", GOOD, pfs_input("in")))
    assert ended(last_job(repo, "p")) == ("SUCCESS", 1, 1, 0, 2)
    assert tree(repo, "p@master") == {"/a": "A", "/b": "b"}
    typed("update", "pipeline", "--reprocess-failed", spec=shell("p", GOOD, pfs_input("in")))
    assert ended(last_job(repo, "p")) == ("SUCCESS", 0, 2, 0, 2)
    typed("rerun", "pipeline", "p", "--reprocess")
    assert ended(last_job(repo, "p")) == ("SUCCESS", 2, 0, 0, 2)


def test_wait_commit_says_what_was_kept(repo: Connection, typed: Type) -> None:
    create(repo, shell("p", GOOD, pfs_input("in")))
    put(repo, "in@master", {"/c": "c"})
    for words in (("in@master", "--downstream"), ("p@master",)):
        _, err = typed("wait", "commit", *words)
        assert re.search(rf"^p: 2 kept, made by {DIGEST}, 1 new$", err, re.MULTILINE), words


def test_server_that_is_not_pachlet_is_asked_for_what_it_can(
    repo: Connection, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shell("p", GOOD, pfs_input("in"))
    create(repo, spec)
    call: Callable[..., Any] = Connection.call

    def as_pachyderm(self: Connection, service: str, *rest: Any, **more: Any) -> Any:
        if service.startswith("pachlet."):
            raise Unimplemented(f"unknown service {service}")
        answer = call(self, service, *rest, **more)
        if service.startswith("versionpb"):
            answer.additional = ""
        return answer

    monkeypatch.setattr(Connection, "call", as_pachyderm)
    out, err = typed("update", "pipeline", "--dry-run", spec=spec)
    assert json.loads(out)["pipeline"]["name"] == "p"
    assert "is not a pachlet server: it can't tell which datums would run" in err
    assert typed("update", "pipeline", "--reprocess-failed", spec=spec) == ("", "")
    assert ended(last_job(repo, "p")) == ("SUCCESS", 0, 2, 0, 2)
    _, err = typed("wait", "commit", "p@master")
    assert re.fullmatch(rf"p: 2 kept, made by {DIGEST}\n", err)
    _, err = typed("update", "pipeline", "--reprocess-glob", "/a", spec=spec, status=1)
    assert "can't run only some datums again" in err
