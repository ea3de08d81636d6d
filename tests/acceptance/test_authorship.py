"""Every commit says who made it, from what and why; one of the engine's, what set it off."""

from __future__ import annotations

import io
import os
import platform
import pwd
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import branches, commits, pipelines, repos
from pachlet.client.authorship import HEADER, sources
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.transactions import finish_transaction, start_transaction
from pachlet.errors import Usage
from tests.acceptance.words import create, head, pfs_input, put, put_id, shell

Type = Callable[..., str]
ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{platform.node()}"


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    data = tmp_path_factory.mktemp("data")
    with testing.server(data) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        yield connection


@pytest.fixture
def typed(connection: Connection) -> Type:
    """Type a command that succeeds; return what it printed."""

    def run(*words: str, given: bytes = b"") -> str:
        out, err = io.StringIO(), io.StringIO()
        session = Session({"PACHD_ADDRESS": str(connection.address)}, out, err, io.BytesIO(given))
        assert main.run(session, words) == 0, err.getvalue()
        session.close()
        return out.getvalue()

    return run


def test_put_file_says_who_from_where_and_why(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("1\n")
    typed("put", "file", "in@master", "-f", str(file), "-m", "the prices of May")
    listed = typed("list", "commit", "in@master", "-n", "1").splitlines()
    assert listed[0].split()[-2:] == ["CREATOR", "DESCRIPTION"]
    assert re.search(rf" {re.escape(ME)} +the prices of May *$", listed[1])
    told = typed("inspect", "commit", "in@master")
    assert "Description: the prices of May\n" in told
    assert f"Author: {ME}\n" in told
    assert f"Source: {platform.node()}:{file}\n" in told


def test_copies_and_deletions_have_an_author_too(typed: Type, connection: Connection) -> None:
    put(connection, "in@copied", {"/a": "1"})
    for words in (("copy", "file", "in@copied:/a", "in@copied:/b"), ("delete", "file", "in@copied:/b")):
        typed(*words)
        assert head(connection, "in@copied").metadata["author"] == ME


def test_commits_are_found_by_their_author(typed: Type, connection: Connection) -> None:
    repos.create_repo(connection, "hers")
    put(connection, "hers@master", {"/a": "1"})
    typed("edit", "metadata", "commit", "hers@master", "edit", 'author="Ada Lovelace@engine"')
    hers = head(connection, "hers@master").commit.id
    put(connection, "hers@master", {"/b": "2"})
    mine = head(connection, "hers@master").commit.id

    def found(*words: str) -> list[str]:
        return [line.split()[2] for line in typed("list", "commit", *words).splitlines()[1:]]

    assert found("hers", "--author", "lovelace") == found("--author", "Ada Lovelace@engine") == [hers]
    assert found("hers", "--author", ME) == [mine]
    assert found(hers, "--author", "ada") == [hers]
    assert found(hers, "--author", ME) == found("hers", "--author", "Charles") == []
    assert found("--author", ME, "-n", "1") == [mine]
    assert hers not in found("-A", "--author", ME)


def test_a_streams_and_a_urls_source(typed: Type, connection: Connection) -> None:
    typed("put", "file", "in@stream:/a", "-f", "-", given=b"a")
    assert head(connection, "in@stream").metadata["source"] == f"{platform.node()}:a stream"
    page = "http://user:password@127.0.0.1:1/x?key=secret"
    commit = commits.start_commit(connection, "in@url")
    assert head(connection, "in@url").metadata["author"] == ME
    commits.finish_commit(connection, f"in@{commit.id}")
    assert sources([page, page, "/a"]) == f"http://127.0.0.1:1/x, {platform.node()}:/a"
    assert sources(["/data/1.csv", "/data/more/2.csv"]) == f"{platform.node()}:/data"


def test_of_pipelines_that_are_made_together_each_names_its_own_spec(connection: Connection) -> None:
    repos.create_repo(connection, "one")
    transaction = start_transaction(connection)
    with Connection(str(connection.address), transaction=transaction) as inside:
        for name, source in (("first", "one"), ("second", "first")):
            pipelines.create_pipeline(inside, shell(name, "true", pfs_input(source)))
    finish_transaction(connection, transaction)
    for name in ("first", "second"):
        assert head(connection, f"{name}@master").metadata["trigger"] == f"default/{name}.spec@master"
        assert head(connection, f"{name}.spec@master").created_by == ME
    put_file(connection, "one@master", [from_bytes("/a", b"")])
    assert head(connection, "second@master").metadata["trigger"] == "default/one@master"


def test_a_message_has_an_end(connection: Connection) -> None:
    with pytest.raises(Usage, match="the message has 5000 bytes, more than 4000"):
        put_file(connection, "in@master", [from_bytes("/a", b"")], message="x" * 5000)


def test_a_pipelines_commit_says_what_set_it_off(connection: Connection, typed: Type) -> None:
    put(connection, "in@data", {"/a": "a"})
    spec = shell("copy", "cp /pfs/in/* /pfs/out", pfs_input("in", branch="data"))
    pipelines.create_pipeline(connection, spec, message="a first try")
    create(connection, spec, update=True)
    version = head(connection, "copy.spec@master^")
    assert (version.description, version.created_by) == ("a first try", ME)
    assert "Trigger: default/copy.spec@master\n" in typed("inspect", "commit", "copy@master")
    id = put_id(connection, "in@data", {"/b": "b"})
    told = typed("inspect", "commit", f"copy@{id}")
    assert "Trigger: default/in@data\n" in told
    assert "after default/in@data" in typed("list", "commit", "copy@master", "-n", "1")
    commits.wait_commit(connection, f"copy@{id}")
    assert head(connection, f"copy@{id}").metadata["image"].startswith("alpine@sha256:")
    pipelines.rerun_pipeline(connection, "copy")
    assert head(connection, "copy@master").metadata["trigger"] == "default/copy.spec@master"
    assert head(connection, "copy.spec@master").created_by == ME
    pipelines.stop_pipeline(connection, "copy")
    pipelines.start_pipeline(connection, "copy")
    assert head(connection, "copy@master").created_by == ME


def test_a_tick_says_which_schedule_made_it(tmp_path: Path) -> None:
    """The schedule's ticks are nobody's; one by hand is of whoever asked for it."""
    with testing.server(tmp_path) as running, Connection(running.address) as connection:
        cron = {"cron": {"name": "tick", "spec": "@hourly", "start": "2001-01-01T00:00:00Z"}}
        stopped = {**shell("p", "true", cron), "metadata": {"annotations": {"pachlet/catch-up": "last"}}}
        pipelines.create_pipeline(connection, stopped)
        ticks = commits.subscribe_commit(connection, "p_tick", branch="master", origin="USER")
        assert next(ticks).metadata["source"] == "the schedule @hourly"
        pipelines.run_cron(connection, "p")
        assert next(ticks).metadata["author"] == ME


class Elsewhere(Connection):
    """A connection to a Pachyderm that is not pachlet: it reads no header of ours."""

    between: Callable[[], None] = staticmethod(lambda: None)

    def send(self, service: str, method: str, requests: Any, **more: Any) -> Any:
        more["metadata"] = [each for each in more.get("metadata", ()) if each[0] != HEADER]
        answer = super().send(service, method, requests, **more)
        self.between()
        return answer


def test_on_a_pachyderm_the_metadata_of_the_commit_says_it(connection: Connection) -> None:
    with Elsewhere(str(connection.address)) as other:
        other.is_pachlet = False
        for name in ("/1", "/2"):  # a branch that begins, and one that goes on
            put_file(other, "in@elsewhere", [from_bytes(name, b"")], message="why")
            found = head(connection, "in@elsewhere").metadata
            assert (found["author"], found["message"]) == (ME, "why")

        # Another commit comes in between: whose is whose can't be told.
        other.between = lambda: put(connection, "in@elsewhere", {"/3": ""})
        put_file(other, "in@elsewhere", [from_bytes("/4", b"")], message="why")
        newest = head(connection, "in@elsewhere")
        parent = head(connection, f"in@{newest.parent_commit.id}")
        assert "message" not in newest.metadata
        assert dict(parent.metadata) == {}
    branches.delete_branch(connection, "in@elsewhere")
