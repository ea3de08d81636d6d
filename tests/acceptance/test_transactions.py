"""Transactions: requests that are tried when they are sent, and done together when the transaction is finished."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from pachlet import testing
from pachlet.client import branches, commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.names import branch, commit
from pachlet.errors import AlreadyExists, InvalidArgument, NotFound, PachletError, Refused
from pachlet.testing import RunningServer
from pachlet.wire import schema
from tests.acceptance.words import (
    PPS,
    add,
    create,
    create_branch,
    ended,
    head,
    ids,
    last_job,
    modify,
    pfs_input,
    put_id,
    shell,
    tree,
)

TRANSACTION = "transaction_v2.API"


def start(connection: Connection, server: RunningServer) -> tuple[str, Connection]:
    """Open a transaction; return its id and a connection whose calls are in it."""
    id = connection.call(TRANSACTION, "StartTransaction", {}).id
    return id, Connection(server.address, transaction=id)


def finish(connection: Connection, id: str) -> Any:
    return connection.call(TRANSACTION, "FinishTransaction", {"transaction": {"id": id}})


def inspect(connection: Connection, id: str) -> Any:
    return connection.call(TRANSACTION, "InspectTransaction", {"transaction": {"id": id}})


def batch(connection: Connection, *requests: dict[str, Any]) -> Any:
    return connection.call(TRANSACTION, "BatchTransaction", {"requests": requests})


def names(connection: Connection) -> list[str]:
    return [each.repo.name for each in repos.list_repo(connection)]


def create_repo(name: str) -> dict[str, Any]:
    return {"create_repo": {"repo": {"name": name}}}


def test_nothing_is_visible_before_the_end_and_all_after_it(
    connection: Connection, server: RunningServer
) -> None:
    id, inside = start(connection, server)
    repos.create_repo(inside, "a")
    repos.create_repo(inside, "b")
    started = commits.start_commit(inside, "a@master")
    create_branch(inside, "b@master", "a@master")
    assert started.id == id
    assert names(connection) == names(inside) == []  # lists show what is, in and out of a transaction
    info = finish(connection, id)
    assert [each.ListFields()[0][0].name for each in info.requests] == [
        "create_repo",
        "create_repo",
        "start_commit",
        "create_branch",
    ]
    assert [each.commit.id for each in info.responses] == ["", "", id, ""]
    assert names(connection) == ["a", "b"]
    assert head(connection, "b@master").commit.id == id
    assert info.transaction.id == id


def test_transaction_that_can_not_hold_is_refused_and_can_be_sent_again(
    connection: Connection, server: RunningServer
) -> None:
    """A repo has one commit in a commit set, so creating a branch beside a started commit fails at once."""
    repos.create_repo(connection, "a")
    id, inside = start(connection, server)
    commits.start_commit(inside, "a@master")
    with pytest.raises(
        Refused, match=r"^error running request 2 of 2: inconsistent dependencies: cannot create"
    ):
        commits.start_commit(inside, "a@dev")
    assert len(inspect(connection, id).requests) == 1
    finish(connection, id)
    assert ids(commits.list_commit(connection, "a")) == [id]


def test_one_commit_set_for_two_inputs_makes_one_job(connection: Connection, server: RunningServer) -> None:
    for name in ("a", "b"):
        repos.create_repo(connection, name)
    both = {"cross": [pfs_input("a", "/"), pfs_input("b", "/")]}
    create(connection, shell("both", "cat /pfs/a/f /pfs/b/f >/pfs/out/f || true", both))
    id, inside = start(connection, server)
    started = [commits.start_commit(inside, f"{name}@master") for name in "ab"]
    finish(connection, id)
    for name, one in zip("ab", started, strict=True):
        modify(connection, f"{name}@{one.id}", add("/f", name))
        commits.finish_commit(connection, f"{name}@{one.id}")
    job = last_job(connection, "both")
    assert (job.job.id, ended(job)) == (id, ("SUCCESS", 1, 0, 0, 1))
    assert tree(connection, "both@master") == {"/f": "ab"}
    assert len(list(jobs.list_job(connection, pipeline="both"))) == 2


def test_requests_see_those_before_them(connection: Connection, server: RunningServer) -> None:
    id, inside = start(connection, server)
    repos.create_repo(inside, "a")
    with pytest.raises(AlreadyExists, match=r"^error running request 2 of 2: repo default/a already exists$"):
        repos.create_repo(inside, "a")
    started = commits.start_commit(inside, "a@master")
    commits.finish_commit(inside, f"a@{started.id}")
    assert repos.delete_repo(inside, "none") is True  # nobody knows before the end
    finish(connection, id)
    assert commits.wait_commit(connection, "a@master").commit.id == id


def test_end_fails_whole_when_the_world_has_moved_on(connection: Connection, server: RunningServer) -> None:
    id, inside = start(connection, server)
    repos.create_repo(inside, "a")
    repos.create_repo(inside, "b")
    repos.create_repo(connection, "b")
    with pytest.raises(AlreadyExists, match=r"^error running request 2 of 2: repo default/b already exists$"):
        finish(connection, id)
    assert names(connection) == ["b"]
    assert len(inspect(connection, id).requests) == 2  # still open: it can be finished once b is gone
    repos.delete_repo(connection, "b")
    finish(connection, id)
    assert names(connection) == ["a", "b"]


def test_other_calls_are_done_at_once(connection: Connection, server: RunningServer) -> None:
    repos.create_repo(connection, "a")
    _, inside = start(connection, server)
    put_id(inside, "a@master", {"/x": "1"})
    assert tree(connection, "a@master") == {"/x": "1"}


def test_transactions_are_listed_until_they_end(connection: Connection, server: RunningServer) -> None:
    first, inside = start(connection, server)
    second, _ = start(connection, server)
    repos.create_repo(inside, "a")

    def listed() -> list[str]:
        return [
            each.transaction.id
            for each in connection.call(TRANSACTION, "ListTransaction", {}).transaction_info
        ]

    assert listed() == [first, second]
    info = inspect(connection, first)
    assert (len(info.requests), len(info.responses), info.HasField("started"), info.version) == (
        1,
        1,
        True,
        1,
    )
    connection.call(TRANSACTION, "DeleteTransaction", {"transaction": {"id": second}})
    assert listed() == [first]
    finish(connection, first)
    assert listed() == []
    start(connection, server)
    connection.call(TRANSACTION, "DeleteAll", {})
    assert listed() == []
    for method in ("InspectTransaction", "DeleteTransaction", "FinishTransaction"):
        with pytest.raises(NotFound, match=f"^transactions {first} not found$"):
            connection.call(TRANSACTION, method, {"transaction": {"id": first}})
        with pytest.raises(
            InvalidArgument, match=rf"^validate request: invalid {method}Request.Transaction: value"
        ):
            connection.call(TRANSACTION, method, {})
    with pytest.raises(NotFound, match=f"^transactions {first} not found$"):
        repos.create_repo(inside, "c")


def test_transaction_survives_a_restart(tmp_path: Any) -> None:
    with testing.server(tmp_path / "d") as running, Connection(running.address) as connection:
        id, inside = start(connection, running)
        repos.create_repo(inside, "a")
        inside.close()
    with testing.server(tmp_path / "d") as running, Connection(running.address) as connection:
        finish(connection, id)
        assert names(connection) == ["a"]


def test_batch(connection: Connection) -> None:
    info = batch(
        connection,
        create_repo("a"),
        create_repo("b"),
        {"start_commit": {"branch": branch("default", "a@master")}},
        {
            "create_branch": {
                "branch": branch("default", "b@master"),
                "provenance": [branch("default", "a@master")],
            }
        },
    )
    assert [each.commit.id for each in info.responses] == ["", "", info.transaction.id, ""]
    assert [head(connection, f"{name}@master").commit.id for name in "ab"] == [info.transaction.id] * 2
    assert list(connection.call(TRANSACTION, "ListTransaction", {}).transaction_info) == []
    with pytest.raises(NotFound, match=r"^error running request 2 of 2: .*not found"):
        batch(connection, create_repo("c"), {"finish_commit": {"commit": commit("default", "none@x")}})
    with pytest.raises(
        Refused, match=r"^error running request 1 of 1: unrecognized transaction request type$"
    ):
        batch(connection, {})
    assert names(connection) == ["a", "b"]


def test_batch_squashes_and_deletes(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    first, _ = (put_id(connection, "a@master", {f"/{number}": number}) for number in "12")
    put_id(connection, "a@dev", {"/x": "1"})
    batch(
        connection,
        {"squash_commit_set": {"commit_set": {"id": first}}},
        {"delete_branch": {"branch": branch("default", "a@dev")}},
        {"delete_repo": {"repo": {"name": "none"}}},
    )
    assert tree(connection, "a@master") == {"/1": "1", "/2": "2"}
    assert [each.branch.name for each in branches.list_branch(connection, "a")] == ["master"]


@pytest.mark.parametrize("form", ["create_pipeline", "create_pipeline_v2", "create_pipeline_v2 json"])
def test_batch_creates_pipelines_in_every_form_of_the_clients(connection: Connection, form: str) -> None:
    spec = shell("copy", "cp /pfs/a/* /pfs/out/", pfs_input("a"))
    request = {
        "create_pipeline": {"create_pipeline": spec},
        "create_pipeline_v2": {"create_pipeline_v2": {"create_pipeline_request": spec}},
        "create_pipeline_v2 json": {
            "create_pipeline_v2": {"user_json": json.dumps(spec), "create_pipeline_request": spec}
        },
    }[form]
    started = {"start_commit": {"branch": branch("default", "a@master")}}
    id = batch(connection, create_repo("a"), started, request).transaction.id
    modify(connection, f"a@{id}", add("/x", "1"))
    commits.finish_commit(connection, "a@master")
    job = last_job(connection, "copy")
    assert (job.job.id, ended(job)) == (id, ("SUCCESS", 1, 0, 0, 1))
    assert tree(connection, "copy@master") == {"/x": "1"}


def test_pipeline_is_created_with_the_transaction(connection: Connection, server: RunningServer) -> None:
    repos.create_repo(connection, "a")
    id, inside = start(connection, server)
    spec = shell("copy", "cp /pfs/a/* /pfs/out/", pfs_input("a"))
    pipelines.create_pipeline(inside, spec)
    answer = inside.call(
        PPS,
        "CreatePipelineV2",
        {"create_pipeline_request_json": json.dumps(shell("two", "true", pfs_input("copy")))},
    )
    assert json.loads(answer.effective_create_pipeline_request_json)["pipeline"]["name"] == "two"
    with pytest.raises(AlreadyExists, match='pipeline "copy" already exists'):
        pipelines.create_pipeline(inside, spec)
    assert list(pipelines.list_pipeline(connection)) == []
    finish(connection, id)
    assert {last_job(connection, name).job.id for name in ("copy", "two")} == {id}


def test_job_is_stopped_with_the_transaction(connection: Connection, server: RunningServer) -> None:
    repos.create_repo(connection, "a")
    pipelines.create_pipeline(connection, shell("slow", "sleep 600", pfs_input("a", "/")))
    put_id(connection, "a@master", {"/x": "1"})
    job = next(jobs.list_job(connection, pipeline="slow"))
    id, inside = start(connection, server)
    stop = {"job": {"pipeline": {"name": "slow"}, "id": job.job.id}, "reason": "enough"}
    inside.call(PPS, "StopJob", stop)
    assert jobs.state_of(next(jobs.list_job(connection, pipeline="slow"))) != "JOB_KILLED"
    finish(connection, id)
    stopped = last_job(connection, "slow")
    assert (ended(stopped)[0], stopped.reason) == ("KILLED", "enough")
    connection.call(PPS, "StopJob", {"job": {"pipeline": {"name": "slow"}, "id": job.job.id}})
    update = {"job": {"pipeline": {"name": "slow"}, "id": job.job.id}, "state": "JOB_FAILURE"}
    with pytest.raises(Refused, match="has already finished"):
        batch(connection, {"update_job_state": update})


def test_commit_behind_what_it_was_made_before(connection: Connection) -> None:
    """A branch made in a transaction before its source moves is behind the source as it is at the end."""
    for name in ("a", "b"):
        repos.create_repo(connection, name)
    put_id(connection, "a@master", {"/x": "1"})
    info = batch(
        connection,
        {
            "create_branch": {
                "branch": branch("default", "b@master"),
                "provenance": [branch("default", "a@master")],
            }
        },
        {"start_commit": {"branch": branch("default", "a@master")}},
    )
    below = head(connection, "b@master")
    assert [each.id for each in below.direct_provenance] == [below.commit.id] == [info.transaction.id]


def test_key_is_taken_once_and_empty_is_none(connection: Connection, server: RunningServer) -> None:
    """The SDK sends the key empty once its transaction is over."""
    request = schema.message("pfs_v2.CreateRepoRequest")(repo={"name": "a"})
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(
            "/pfs_v2.API/CreateRepo",
            type(request).SerializeToString,
            schema.message("google.protobuf.Empty").FromString,
        )
        call(request, metadata=[("pach-transaction", "")])
        assert names(connection) == ["a"]
        twice = [("pach-transaction", "x"), ("pach-transaction", "y")]
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=twice)
    assert "multiple active transactions found in context" in caught.value.details()


def test_dry_run_of_a_pipeline_changes_nothing_in_a_transaction(
    connection: Connection, server: RunningServer
) -> None:
    repos.create_repo(connection, "a")
    id, inside = start(connection, server)
    pipelines.create_pipeline(inside, shell("copy", "true", pfs_input("a")), dry_run=True)
    assert len(inspect(connection, id).requests) == 0
    with pytest.raises(PachletError):
        pipelines.create_pipeline(inside, shell("copy", "true", pfs_input("none")), dry_run=True)
    finish(connection, id)
    assert list(pipelines.list_pipeline(connection)) == []
