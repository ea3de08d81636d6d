"""What Pachyderm's clients need on the wire and break without: branches, anchored texts, sizes, nothing left out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from pachlet import testing
from pachlet.client import commits, repos
from pachlet.client.connection import Connection
from pachlet.testing import RunningServer
from pachlet.wire import schema
from tests.acceptance.words import PFS, PPS, create, head, pfs_input, put, shell

ROOT = Path(__file__).parent.parent.parent
SDK, GO, OLD, OTHER = "pachyderm-sdk/2.12.2", "grpc-go/1.60", "python-pachyderm", "somebody's own"
LIMIT = 20 * 1024 * 1024


class Raw:
    """A client of our own making: any user agent, and messages as they are on the wire."""

    def __init__(self, address: str, agent: str, limit: int = LIMIT) -> None:
        sizes = [("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(address, options=[("grpc.primary_user_agent", agent), *sizes])

    def method(self, service: str, name: str) -> schema.Method:
        found = next(each for each in schema.services() if each.full_name == service)
        return next(each for each in found.methods if each.name == name)

    def call(self, service: str, name: str, request: dict[str, Any]) -> Any:
        """Return the answer, or the first of several."""
        about = self.method(service, name)
        kind = self.channel.unary_stream if about.server_streaming else self.channel.unary_unary
        stub = kind(f"/{service}/{name}", about.request.SerializeToString, about.response.FromString)
        answer = stub(about.request(**request), timeout=30)
        if not about.server_streaming:
            return answer
        first = next(answer)
        answer.cancel()
        return first

    def send(self, service: str, name: str, requests: list[dict[str, Any]]) -> Any:
        about = self.method(service, name)
        stub = self.channel.stream_unary(
            f"/{service}/{name}", about.request.SerializeToString, about.response.FromString
        )
        return stub(iter([about.request(**each) for each in requests]), timeout=30)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a repo, a pipeline and its job."""
    with testing.server(tmp_path_factory.mktemp("wire") / "data", code=ROOT) as running:
        with Connection(running.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", {"/a": "1"})
            put(connection, "in@master", {"/b": "1"})
            create(connection, shell("p", "cp /pfs/in/* /pfs/out/", pfs_input("in")))
        yield running


@pytest.fixture
def ask(filled: RunningServer) -> Iterator[Any]:
    """Make clients by user agent."""
    made = []

    def client(agent: str) -> Raw:
        made.append(Raw(filled.address, agent))
        return made[-1]

    yield client
    for each in made:
        each.channel.close()


REPO = {"name": "in", "type": "user"}
MASTER = {"repo": REPO, "name": "master"}
HEAD = {"repo": REPO, "id": "master"}
FILE = {"commit": HEAD, "path": "/a"}
JOB_QUERY = {"pipeline": {"name": "p"}}


def all_commits(message: Any) -> Iterator[Any]:
    """Yield every pfs_v2.Commit in a message."""
    if message.DESCRIPTOR.full_name == "pfs_v2.Commit":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                yield from all_commits(each)


WITH_COMMITS: list[tuple[str, dict[str, Any]]] = [
    ("InspectCommit", {"commit": HEAD}),
    ("ListCommit", {"repo": REPO}),
    ("ListCommitSet", {}),
    ("InspectFile", {"file": FILE}),
    ("ListFile", {"file": {**FILE, "path": "/"}}),
    ("WalkFile", {"file": {**FILE, "path": "/"}}),
    ("GlobFile", {"commit": HEAD, "pattern": "/*"}),
    ("DiffFile", {"new_file": {**FILE, "path": "/"}}),
    ("InspectBranch", {"branch": MASTER}),
    ("ListBranch", {"repo": REPO}),
    ("SubscribeCommit", {"repo": REPO, "state": 1}),
]


@pytest.mark.parametrize(
    "method, request_", WITH_COMMITS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_commits_branch_is_sent_to_whom_it_helps(ask: Any, method: str, request_: dict[str, Any]) -> None:
    for agent in (SDK, GO):
        found = list(all_commits(ask(agent).call(PFS, method, request_)))
        assert found, method
        assert not any(each.HasField("branch") for each in found)
        assert all(each.repo.project.name == "default" for each in found)
    for agent in (OLD, OTHER):
        found = list(all_commits(ask(agent).call(PFS, method, request_)))
        # A client of 2.7 takes the repo from nowhere else.
        assert all(each.branch.name == "master" and each.branch.repo == each.repo for each in found)
        assert all(each.branch.repo.project.name == "default" for each in found)


def test_what_start_commit_answers(filled: RunningServer, ask: Any) -> None:
    for agent, is_sent in ((SDK, False), (GO, False), (OLD, True)):
        ask(agent).call(PFS, "CreateRepo", {"repo": {"name": f"r{is_sent}", "type": "user"}, "update": True})
        answer = ask(agent).call(
            PFS,
            "StartCommit",
            {"branch": {"repo": {"name": f"r{is_sent}", "type": "user"}, "name": agent[:2]}},
        )
        assert answer.HasField("branch") is is_sent
        assert answer.repo.name == f"r{is_sent}"


def test_the_old_client_names_commits_by_branch_alone(ask: Any) -> None:
    """It never fills `Commit.repo`, whatever it asks."""
    client = ask(OLD)
    named = {"branch": {"repo": REPO, "name": "master"}, "id": ""}
    assert client.call(PFS, "InspectCommit", {"commit": named}).commit.repo.name == "in"
    id = client.call(PFS, "InspectCommit", {"commit": named}).parent_commit.id
    named["id"] = id
    assert client.call(PFS, "InspectCommit", {"commit": named}).commit.id == id
    assert client.call(PFS, "InspectFile", {"file": {"commit": named, "path": "a"}}).file.path == "/a"


ABSENT: list[tuple[str, dict[str, Any], str]] = [
    ("InspectFile", {"file": {"commit": HEAD, "path": "/x"}}, r"file .+ not found in repo .+ at commit .+"),
    (
        "InspectFile",
        {"file": {"commit": HEAD, "path": "x/"}},
        r"file x/ not found in repo default/in at commit \w{32}",
    ),
    (
        "InspectFile",
        {
            "file": {
                "commit": {"branch": {"repo": {"name": "no", "type": "user"}, "name": "master"}},
                "path": "/",
            }
        },
        r'branch "master" not found in repo default/no',
    ),
    (
        "InspectFile",
        {"file": {"commit": {"branch": {"repo": REPO, "name": "no"}}, "path": "/"}},
        r'branch "no" not found in repo default/in',
    ),
    ("InspectRepo", {"repo": {"name": "no", "type": "user"}}, r"repo default/no not found"),
    ("InspectBranch", {"branch": {"repo": REPO, "name": "no"}}, r'branch "no" not found in repo default/in'),
    ("InspectCommit", {"commit": {"repo": REPO, "id": "no"}}, r'branch "no" not found in repo default/in'),
    (
        "GetFile",
        {"file": {"commit": HEAD, "path": "/x"}},
        r"file /x not found in repo default/in at commit \w{32}",
    ),
]


@pytest.mark.parametrize("agent", [SDK, GO, OLD])
@pytest.mark.parametrize("method, request_, text", ABSENT)
def test_texts_that_clients_match_from_start_to_end(
    ask: Any, agent: str, method: str, request_: dict[str, Any], text: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask(agent).call(PFS, method, request_)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert re.fullmatch(text, refused.value.details()), refused.value.details()


COMMIT = (
    "commit.repo.project",
    "origin",
    "started",
    "finished",
    "finishing",
    "details",
    "created_at",
    "updated_at",
)
NEVER_OMITTED: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    (PFS, "InspectProject", {"project": {"name": "default"}}, ("project", "created_at")),
    (PFS, "ListProject", {}, ("project", "created_at")),
    (PFS, "InspectRepo", {"repo": REPO}, ("repo.project", "created", "details", "branches[].repo.project")),
    (PFS, "ListRepo", {}, ("repo.project", "created", "details", "branches[].repo.project")),
    (PFS, "InspectBranch", {"branch": MASTER},
     ("branch.repo.project", "head.repo.project", "subvenance[].repo.project")),
    (PFS, "ListBranch", {"repo": REPO}, ("branch.repo.project", "head.repo.project")),
    (PFS, "InspectCommit", {"commit": HEAD}, (*COMMIT, "parent_commit.repo.project")),
    (PFS, "ListCommit", {"repo": REPO}, COMMIT),
    (PFS, "InspectCommitSet", {"commit_set": {"id": ""}}, COMMIT),
    (PFS, "ListCommitSet", {},
     ("commit_set", "commits[].commit.repo.project", "commits[].origin", "commits[].started")),
    (PFS, "InspectFile", {"file": FILE}, ("file.commit.repo.project", "committed")),
    (PFS, "ListFile", {"file": {**FILE, "path": "/"}}, ("file.commit.repo.project", "committed")),
    (PFS, "DiffFile", {"new_file": {**FILE, "path": "/b"}}, ("new_file.file.commit.repo.project",)),
    (PPS, "InspectPipeline", {"pipeline": {"name": "p"}, "details": True},
     ("pipeline.project", "spec_commit.repo.project", "details.transform", "details.input.pfs",
      "details.created_at")),
    (PPS, "ListPipeline", {}, ("details.transform", "details.created_at")),  # unlike in 2.7, without being asked
    (PPS, "ListPipeline", {"details": True}, ("pipeline.project", "spec_commit.repo.project", "details.transform")),
    (PPS, "InspectJob", {"job": {"pipeline": {"name": "p"}, "id": ""}, "details": True},
     ("job.pipeline.project", "output_commit.repo.project", "stats.download_time", "stats.process_time",
      "stats.upload_time", "created", "started", "finished", "details.transform", "details.input")),
    (PPS, "ListJob", JOB_QUERY, ("job.pipeline.project", "output_commit.repo.project", "stats", "created")),
    (PPS, "ListJobSet", {}, ("job_set", "jobs[].job.pipeline.project", "jobs[].stats")),
    (PPS, "ListDatum", {"job": {"pipeline": {"name": "p"}, "id": ""}},
     ("datum.job.pipeline.project", "stats.process_time", "data[].file.commit.repo.project", "pfs_state.commit.repo")),
    ("admin_v2.API", "InspectCluster", {}, ()),
]  # fmt: skip


def is_there(message: Any, path: str) -> bool:
    """Tell whether each message along a path is on the wire; `name[]` is every one of a list that is not empty."""
    name, _, rest = path.partition(".")
    if name.endswith("[]"):
        found = getattr(message, name[:-2])
        return bool(found) and all(is_there(each, rest) for each in found)
    return message.HasField(name) and (not rest or is_there(getattr(message, name), rest))


@pytest.mark.parametrize(
    "service, method, request_, needed", NEVER_OMITTED, ids=[each[1] for each in NEVER_OMITTED]
)
def test_go_clients_read_through_nested_messages_without_looking(
    ask: Any, service: str, method: str, request_: dict[str, Any], needed: tuple[str, ...]
) -> None:
    client = ask(GO)
    job = client.call(PPS, "ListJob", JOB_QUERY).job.id
    for kind in ("job", "commit_set"):
        if kind in request_:
            request_ = {**request_, kind: {**request_[kind], "id": job}}
    answer = client.call(service, method, request_)
    missing = [path for path in needed if not is_there(answer, path)]
    assert not missing, answer


def test_a_commit_that_is_not_finished_has_what_there_is(ask: Any) -> None:
    client = ask(GO)
    client.call(PFS, "CreateRepo", {"repo": {"name": "open", "type": "user"}})
    client.call(PFS, "StartCommit", {"branch": {"repo": {"name": "open", "type": "user"}, "name": "master"}})
    info = client.call(
        PFS, "InspectCommit", {"commit": {"repo": {"name": "open", "type": "user"}, "id": "master"}}
    )
    assert all(is_there(info, path) for path in ("commit.repo.project", "origin", "started", "created_at"))
    assert not info.HasField("finishing")
    assert not info.HasField("finished")
    assert not info.HasField("parent_commit")


def test_times_have_seconds_and_nanoseconds(ask: Any) -> None:
    info = ask(OLD).call(PFS, "InspectCommit", {"commit": HEAD})
    for each in (info.started, info.finishing, info.finished):
        assert each.seconds > 0
        assert each.nanos > 0


def test_an_empty_piece_of_a_file_is_not_its_end(filled: RunningServer, ask: Any) -> None:
    client = ask(GO)
    client.call(PFS, "CreateRepo", {"repo": {"name": "pieces", "type": "user"}})
    target = {"repo": {"name": "pieces", "type": "user"}, "id": "master"}
    pieces = [{"add_file": {"path": "/f", "raw": {"value": each}}} for each in (b"one ", b"", b"two")]
    client.send(PFS, "ModifyFile", [{"set_commit": target}, *pieces])
    assert client.call(PFS, "GetFile", {"file": {"commit": target, "path": "/f"}}).value == b"one two"


def test_messages_of_up_to_20_mib_both_ways(filled: RunningServer, ask: Any) -> None:
    client = ask(OLD)
    client.call(PFS, "CreateRepo", {"repo": {"name": "large", "type": "user"}})
    block = hashlib.blake2b(b"seed").digest() * (1 << 14)  # 1 MiB
    target = {"repo": {"name": "large", "type": "user"}, "id": "master"}
    first, second = 19 * block, 3 * block
    pieces = [{"add_file": {"path": "/f", "raw": {"value": each}}} for each in (first, second)]
    client.send(PFS, "ModifyFile", [{"set_commit": target}, *pieces])
    about = client.method(PFS, "GetFile")
    stub = client.channel.unary_stream(
        f"/{PFS}/GetFile", about.request.SerializeToString, about.response.FromString
    )
    answers = [each.value for each in stub(about.request(file={"commit": target, "path": "/f"}), timeout=30)]
    assert len(answers) > 1
    assert max(map(len, answers)) <= LIMIT - (1 << 20)
    assert b"".join(answers) == first + second
    # As large as it may be: 20 MiB less what goes around the bytes.
    whole = (20 * block)[: LIMIT - 100]
    client.send(
        PFS, "ModifyFile", [{"set_commit": target}, {"add_file": {"path": "/g", "raw": {"value": whole}}}]
    )
    info = client.call(PFS, "InspectFile", {"file": {"commit": target, "path": "/g"}})
    assert info.size_bytes == len(whole)


def test_a_message_beyond_20_mib_is_refused_and_leaves_nothing(filled: RunningServer, ask: Any) -> None:
    client = ask(OLD)
    client.call(PFS, "CreateRepo", {"repo": {"name": "huge", "type": "user"}})
    target = {"repo": {"name": "huge", "type": "user"}, "id": "master"}
    messages = [{"add_file": {"path": "/f", "raw": {"value": each}}} for each in (b"1", bytes(LIMIT + 1))]
    with pytest.raises(grpc.RpcError) as refused:
        client.send(PFS, "ModifyFile", [{"set_commit": target}, *messages])
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with Connection(filled.address) as connection:
        assert list(commits.list_commit(connection, repo="huge")) == []


def test_an_empty_file_is_one_empty_message(filled: RunningServer, ask: Any) -> None:
    with Connection(filled.address) as connection:
        repos.create_repo(connection, "empty")
        put(connection, "empty@master", {"/e": ""})
        assert head(connection, "empty@master").details.size_bytes == 0
    file = {"commit": {"repo": {"name": "empty", "type": "user"}, "id": "master"}, "path": "/e"}
    assert ask(OLD).call(PFS, "GetFile", {"file": file}).value == b""


def test_a_project_may_be_left_out_everywhere(ask: Any) -> None:
    client = ask(SDK)
    for project in ({}, {"project": {}}, {"project": {"name": ""}}, {"project": {"name": "default"}}):
        repo = {**REPO, **project}
        assert client.call(PFS, "InspectRepo", {"repo": repo}).repo.project.name == "default"
        assert client.call(PFS, "InspectBranch", {"branch": {"repo": repo, "name": "master"}}).head.id
        assert client.call(PFS, "InspectCommit", {"commit": {"repo": repo, "id": "master"}}).commit.id
        assert client.call(
            PPS, "InspectPipeline", {"pipeline": {"name": "p", **project}}
        ).pipeline.project.name


def test_a_job_answers_with_its_output_commits_branch(ask: Any) -> None:
    """Neither generation of servers strips it there."""
    for agent in (SDK, GO, OLD):
        assert ask(agent).call(PPS, "ListJob", JOB_QUERY).output_commit.branch.name == "master"
