"""Requests that make no sense: every RPC answers in a sentence, whatever a client sends."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from pachlet.ids import new_id
from pachlet.wire import schema
from tests.acceptance.words import PFS, PPS, create, head, pfs_input, put, shell

ROOT = Path(__file__).parent.parent.parent
RPCS = {
    PFS: "CreateRepo InspectRepo ListRepo DeleteRepo CreateProject InspectProject ListProject DeleteProject "
    "CreateBranch InspectBranch ListBranch DeleteBranch StartCommit FinishCommit InspectCommit "
    "ListCommit SubscribeCommit InspectCommitSet ListCommitSet GetFile GetFileTAR InspectFile ListFile WalkFile "
    "GlobFile DiffFile SquashCommitSet DropCommitSet SquashCommit DropCommit ClearCommit ForgetCommit FindCommits "
    "WalkCommitProvenance WalkCommitSubvenance WalkBranchProvenance WalkBranchSubvenance InspectProjectV2 ReposSummary",
    PPS: "CreatePipeline CreatePipelineV2 InspectPipeline ListPipeline InspectJob ListJob InspectJobSet "
    "ListJobSet SubscribeJob InspectDatum ListDatum GetLogs StopJob UpdateJobState",
    "transaction_v2.API": "BatchTransaction InspectTransaction DeleteTransaction FinishTransaction",
    "metadata.API": "EditMetadata",
    "admin_v2.API": "InspectCluster",
    "versionpb_v2.API": "GetVersion",
}
WORDS = ["", "a", "p", "master", "default", "user", "spec", "/", "/x", "/*", "*", "a*b", "^", "master^", ".1", "\0",
         "é\n", "{", "x" * 3000, "alpine", "pachlet/nope", "true", "1s", '{"pipeline": {"name": "p"}}']  # fmt: skip
NUMBERS = [0, 1, -1, 7, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]


@dataclass(frozen=True)
class Ids:
    """Ids of things that are there, so that a request gets beyond the first check."""

    commit: str
    job: str
    datum: str


def names(kind: str, ids: Ids) -> SearchStrategy[dict[str, Any]] | None:
    """Return names of things, most of which are there; None for other messages."""
    pick = st.sampled_from
    repo = pick([{"name": "a"}, {"name": "p"}, {"name": "p", "type": "meta"}, {"name": "none"}, {}])
    branch = st.fixed_dictionaries({"repo": repo, "name": pick(["master", "", "x", ids.commit, "^"])})
    pipeline = pick([{"name": "p"}, {"name": "p^"}, {"name": "p^9"}, {"name": "none"}, {}])
    some = [ids.commit, ids.job, "master", "master^", "", ".1", "^", "\0", new_id(), "x" * 3000]
    return {
        "pfs_v2.Repo": repo,
        "pfs_v2.Branch": branch,
        "pfs_v2.Commit": st.fixed_dictionaries({"id": pick(some)}, optional={"repo": repo, "branch": branch}),
        "pfs_v2.CommitSet": st.fixed_dictionaries({"id": pick(some)}),
        "pps_v2.Pipeline": pipeline,
        "pps_v2.Job": st.fixed_dictionaries({"pipeline": pipeline, "id": pick(some)}),
        "pps_v2.JobSet": st.fixed_dictionaries({"id": pick(some)}),
    }.get(kind)


def values(field: Any, depth: int, ids: Ids) -> SearchStrategy[Any]:
    """Return what may stand in one field, once."""
    kind = field.message_type
    if kind is not None:
        named = names(kind.full_name, ids)
        return messages(kind, depth - 1, ids) if named is None else named
    if field.enum_type is not None:
        return st.sampled_from([0, 1, 2, 77])
    if field.type == field.TYPE_STRING:
        return st.sampled_from([*WORDS, ids.datum])
    if field.type == field.TYPE_BYTES:
        return st.sampled_from([b"", b"\xff"])
    if field.type == field.TYPE_BOOL:
        return st.booleans()
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
        return st.sampled_from([0.0, -1.0, float("inf"), float("nan")])
    bits = 31 if field.type in (field.TYPE_INT32, field.TYPE_UINT32) else 63
    is_signed = field.type in (field.TYPE_INT32, field.TYPE_INT64)
    return st.sampled_from([n for n in NUMBERS if (is_signed or n >= 0) and -(2**bits) <= n < 2**bits])


def messages(kind: Any, depth: int, ids: Ids) -> SearchStrategy[dict[str, Any]]:
    """Return what may be a message, down to a depth; a field of a oneof comes alone."""
    fields = [each for each in kind.fields if depth > 0 or each.message_type is None]
    fields = [each for each in fields if each.name != "follow"]  # would not end
    groups: dict[str, list[Any]] = {}
    for field in fields:
        groups.setdefault(field.containing_oneof.name if field.containing_oneof else field.name, []).append(
            field
        )

    def some(group: list[Any]) -> SearchStrategy[tuple[str, Any] | None]:
        choices = [st.none()]
        for field in group:
            one = values(field, depth, ids)
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                one = st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=2)
            elif field.is_repeated:
                one = st.lists(one, max_size=2)
            choices.append(st.tuples(st.just(field.name), one))
        return st.one_of(choices)

    return st.tuples(*map(some, groups.values())).map(lambda found: dict(filter(None, found)))


def calls(ids: Ids) -> SearchStrategy[tuple[str, str, dict[str, Any]]]:
    """Return a call of any RPC with any request."""
    chosen = []
    for service in schema.services():
        for method in service.methods:
            if method.name in RPCS.get(service.full_name, "").split():
                request = messages(method.request.DESCRIPTOR, 4, ids)
                chosen.append(st.tuples(st.just(service.full_name), st.just(method.name), request))
    return st.one_of(chosen)


def test_no_request_meets_a_bug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with testing.server(tmp_path / "data", code=ROOT) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        put(connection, "a@master", {"/x": "1"})
        job = create(connection, shell("p", "cp /pfs/a/* /pfs/out/", pfs_input("a"))).job
        (datum,) = connection.call(PPS, "ListDatum", {"job": job})
        ids = Ids(head(connection, "a@master").commit.id, job.id, datum.datum.id)

        @settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(calls(ids))
        def call(chosen: tuple[str, str, dict[str, Any]]) -> None:
            service, method, request = chosen
            try:
                answers = connection.call(service, method, request, timeout=0.2)
                for _, _ in zip(range(20), answers if hasattr(answers, "__next__") else (), strict=False):
                    pass
            except PachletError as refused:
                said = refused
            else:
                said = PachletError("")
            assert said.code != "INTERNAL" or "cycle detected" in said.message, said.message
            assert "bug of pachlet" not in said.message
            assert "Traceback" not in said.message
            found = [each for each in caplog.records if each.levelno >= logging.ERROR]
            assert not found, found

        call()


def test_rpcs_that_are_not_there_say_their_name(connection: Connection) -> None:
    for service, method in ((PPS, "RunLoadTest"), (PPS, "RunLoadTestDefault")):
        with pytest.raises(PachletError, match=f"{method} is not implemented by pachlet$") as refused:
            connection.call(service, method, {})
        assert refused.value.code == "UNIMPLEMENTED"


def test_rpc_that_another_stands_for_names_it(connection: Connection) -> None:
    with pytest.raises(PachletError, match=r"^logs\.API/GetLogs is not implemented by pachlet") as refused:
        list(connection.call("logs.API", "GetLogs", {}))
    assert refused.value.code == "UNIMPLEMENTED"
    assert "pps_v2.API/GetLogs" in refused.value.hint


def test_long_names_fit_into_an_answer(connection: Connection) -> None:
    with pytest.raises(PachletError, match=r"^name \(é+ \.\.\. é+\) invalid: only") as refused:
        connection.call(PFS, "CreateRepo", {"repo": {"name": "é" * 50_000}})
    assert refused.value.code == "UNKNOWN"


def test_message_that_is_no_message(connection: Connection) -> None:
    with grpc.insecure_channel(str(connection.address)) as channel:
        call = channel.unary_unary(f"/{PFS}/InspectRepo")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"\xff\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "error unmarshalling request: it is no pfs_v2.InspectRepoRequest"


def test_unknown_service_of_the_health_check(connection: Connection) -> None:
    health = "grpc.health.v1.Health"
    assert connection.call(health, "Check", {}).status == 1
    with pytest.raises(PachletError) as refused:
        connection.call(health, "Check", {"service": "none"})
    assert refused.value.code == "NOT_FOUND"


def test_spec_that_is_no_spec_is_shown_where(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    for text, expected in (
        ("{", "request.json:1:2"),
        ('{"pipeline": {"name": "p"}, "imput": {}}', 'unknown field "imput"'),
        ('{"pipeline": {"name": "p"}, "datum_tries": "x"}', "datum_tries"),
        ("[]", "found nothing"),
    ):
        with pytest.raises(PachletError) as refused:
            connection.call(PPS, "CreatePipelineV2", {"create_pipeline_request_json": text})
        assert expected in refused.value.message
        assert refused.value.code == "INVALID_ARGUMENT"
    spec = {**shell("p", "true", pfs_input("in")), "datum_timeout": {"seconds": 2**62}}
    with pytest.raises(PachletError, match="could not make effective spec"):
        connection.call(PPS, "CreatePipeline", spec)


def test_caller_that_has_gone_is_no_error(connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
    repos.create_repo(connection, "a")
    put(connection, "a@master", {"/x": "1"})
    followed = connection.call(PFS, "SubscribeCommit", {"repo": {"name": "a"}})
    next(followed)
    followed.close()
    put(connection, "a@master", {"/y": "1"})
    assert head(connection, "a@master").commit.id
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
