"""Spouts: a process that runs for ever and writes its pipeline's output itself, from inside, as clients do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import commits, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import NotFound, Refused, Unimplemented
from pachlet.testing import RunningServer
from tests.acceptance.words import PFS, PPS, create, ended, pfs_input, put, shell, tree, until

ROOT = Path(__file__).parents[2]
USER, AUTO = 1, 2
RUNNING, CRASHING = 2, 7
WRITE_ONCE = "echo hello > /tmp/f; pachctl put file s@master:/f -f /tmp/f && exec sleep 600"


def spout(name: str, script: str, **more: Any) -> dict[str, Any]:
    return shell(name, script, spout={}, **more)


def written(connection: Connection, repo: str = "s") -> Iterator[Any]:
    """Yield the commits that users made, each once it is finished, as they come."""
    request = {"repo": {"name": repo, "type": "user"}, "branch": "master", "state": 4, "origin_kind": USER}
    return iter(connection.call(PFS, "SubscribeCommit", request, timeout=60))


def printed(connection: Connection, text: str, name: str = "s") -> None:
    """Return once a pipeline's code has printed a line with a text."""
    for line in connection.call(PPS, "GetLogs", {"pipeline": {"name": name}, "follow": True}, timeout=60):
        if text in line.message:
            return
    raise AssertionError("the log ended")


def test_a_spout_writes_commits_of_its_own(connection: Connection) -> None:
    pipelines.create_pipeline(connection, spout("s", WRITE_ONCE))
    first = next(commits.list_commit(connection, repo="s", all=True))
    assert (first.origin.kind, first.HasField("finished")) == (AUTO, True)
    made = next(written(connection))
    assert tree(connection, "s@master") == {"/f": "hello\n"}
    assert [each.repo.type for each in made.direct_provenance] == ["spec"]
    origins = [each.origin.kind for each in commits.list_commit(connection, repo="s", all=True)]
    assert origins == [USER, AUTO]
    assert list(connection.call(PPS, "ListJob", {"pipeline": {"name": "s"}})) == []
    info = pipelines.inspect_pipeline(connection, "s")
    assert (info.type, info.state) == (2, RUNNING)  # a spout
    assert list(connection.call(PFS, "Fsck", {})) == []


def test_what_is_downstream_of_a_spout_runs_for_each_write(connection: Connection) -> None:
    pipelines.create_pipeline(connection, spout("s", WRITE_ONCE))
    id = next(written(connection)).commit.id
    info = create(connection, shell("copy", "cp /pfs/s/* /pfs/out/", pfs_input("s")))
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(connection, "copy@master") == {"/f": "hello\n"}
    put(connection, "s@master", {"/g": "from outside"})
    newest = next(commits.list_commit(connection, repo="copy", all=True)).commit.id
    commits.wait_commit(connection, f"copy@{newest}")
    assert newest != id
    assert tree(connection, "copy@master") == {"/f": "hello\n", "/g": "from outside"}


def test_a_spout_that_ends_is_started_again_and_says_why(connection: Connection) -> None:
    # It runs long enough to be seen running.
    pipelines.create_pipeline(connection, spout("s", "echo round; sleep 0.5; exit 3"))
    info = until(connection, "s", lambda info: info.state == CRASHING)
    assert info.reason == "user code ended: exit status 3"
    printed(connection, "it is started again in 0.5 s")  # the second time
    info = until(connection, "s", lambda info: info.state == RUNNING)
    assert info.reason == "started again; before, user code ended: exit status 3"


def test_a_spout_whose_code_can_not_be_had_says_so(connection: Connection) -> None:
    pipelines.create_pipeline(connection, spout("s", "true", transform={"image": "pachlet/nowhere"}))
    info = until(connection, "s", lambda info: info.state == CRASHING)
    assert "pachlet/nowhere" in info.reason


def test_stop_start_update_and_delete(connection: Connection) -> None:
    pipelines.create_pipeline(connection, spout("s", "echo one $$; exec sleep 600"))
    printed(connection, "one")
    pipelines.stop_pipeline(connection, "s")
    printed(connection, "finished running user code")
    assert pipelines.inspect_pipeline(connection, "s").stopped
    pipelines.create_pipeline(connection, spout("s", "echo two; exec sleep 600"), update=True)
    pipelines.start_pipeline(connection, "s")
    printed(connection, "two")
    pipelines.create_pipeline(connection, spout("s", "echo three; " + WRITE_ONCE), update=True)
    made = next(written(connection))
    kinds = [each.origin.kind for each in commits.list_commit(connection, repo="s", all=True)]
    assert kinds[0] == USER
    assert set(kinds[1:]) == {AUTO}
    assert made.direct_provenance[0].id == pipelines.inspect_pipeline(connection, "s").spec_commit.id
    pipelines.delete_pipeline(connection, "s")
    with pytest.raises(NotFound):
        repos.inspect_repo(connection, "s")


def test_a_spout_runs_again_when_the_server_does(tmp_path: Path) -> None:
    with testing.server(tmp_path, code=ROOT) as server, Connection(server.address) as connection:
        pipelines.create_pipeline(
            connection, spout("s", "date +%N > /tmp/f; " + WRITE_ONCE.partition(";")[2])
        )
        next(written(connection))
    with testing.server(tmp_path, code=ROOT) as server, Connection(server.address) as connection:
        found = written(connection)
        assert next(found).commit.id != next(found).commit.id


def test_a_spout_is_told_where_the_server_is(connection: Connection, server: RunningServer) -> None:
    script = "env | grep -e PACHD_PEER -e PPS_PIPELINE -e PPS_SPEC | sort; cat /pachctl/config.json; exec sleep 600"
    pipelines.create_pipeline(connection, spout("s", script))
    printed(connection, "active_context")
    lines = [
        line.message for line in connection.call(PPS, "GetLogs", {"pipeline": {"name": "s"}}) if line.user
    ]
    host, port = server.address.split(":")
    spec = pipelines.inspect_pipeline(connection, "s").spec_commit.id
    assert lines[:4] == [
        f"PACHD_PEER_SERVICE_HOST={host}",
        f"PACHD_PEER_SERVICE_PORT={port}",
        "PPS_PIPELINE_NAME=s",
        f"PPS_SPEC_COMMIT={spec}",
    ]
    assert f"grpc://{server.address}" in lines[4]


def test_a_spout_that_is_denied_the_network_reaches_the_server_all_the_same(connection: Connection) -> None:
    script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' > /tmp/f; " + WRITE_ONCE.partition(";")[2]
    annotations = {"annotations": {"pachlet/network": "deny"}}
    pipelines.create_pipeline(connection, spout("s", script, metadata=annotations))
    next(written(connection))
    assert tree(connection, "s@master") == {"/f": "lo\n"}  # the one interface that it has


def test_commits_of_several_calls(connection: Connection) -> None:
    script = (
        "pachctl start commit s@master; echo 1 > /tmp/a; pachctl put file s@master:/a -f /tmp/a;"
        "pachctl put file s@master:/b -f /tmp/a; pachctl finish commit s@master; exec sleep 600"
    )
    pipelines.create_pipeline(connection, spout("s", script))
    next(written(connection))
    assert tree(connection, "s@master") == {"/a": "1\n", "/b": "1\n"}


def test_what_can_not_be(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    with pytest.raises(Refused, match="must not have an input"):
        pipelines.create_pipeline(connection, {**spout("s", "true"), "input": pfs_input("in")})
    both = {**spout("s", "true"), "input": pfs_input("in"), "spout": {"service": {"internal_port": 80}}}
    with pytest.raises(Unimplemented, match="input"):
        pipelines.create_pipeline(connection, both)
    pipelines.create_pipeline(connection, shell("t", "true", pfs_input("in")))
    with pytest.raises(Refused, match="is a transform and can't become a spout"):
        pipelines.create_pipeline(connection, spout("t", "true"), update=True)
    with pytest.raises(Refused, match="cannot start a commit on an output branch"):
        commits.start_commit(connection, "t@master")


def test_only_the_last_lines_are_kept(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pachlet.pps.standing_log.KEPT_LINES", 40)
    pipelines.create_pipeline(connection, spout("s", "seq 1000; echo; echo the end; exec sleep 600"))
    printed(connection, "the end")
    found = [
        line.message for line in connection.call(PPS, "GetLogs", {"pipeline": {"name": "s"}}) if line.user
    ]
    assert found[-3:] == ["1000", "", "the end"]
    assert len(found) < 60
