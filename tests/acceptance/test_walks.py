"""Walk and search history: provenance both ways, commits that touched a file, summaries; names by picker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import branches, commits, projects, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from pachlet.errors import InvalidArgument, NotFound, PachletError, Unavailable, Unimplemented
from pachlet.server import Server
from pachlet.wire import schema
from tests.acceptance.words import PFS, create_branch, delete, head, modify, put, put_id


@pytest.fixture
def graph(connection: Connection) -> Connection:
    """A leads to B, B and E to C, C to D."""
    for name in "ABCDE":
        repos.create_repo(connection, name)
    create_branch(connection, "B@master", "A@master")
    create_branch(connection, "C@master", "B@master", "E@master")
    create_branch(connection, "D@master", "C@master")
    return connection


def repo(name: str, project: str = "default") -> dict[str, Any]:
    return {"name": {"project": {"name": project}, "name": name}}


def branch(name: str) -> dict[str, Any]:
    return {"name": {"repo": repo(name), "name": "master"}}


def at(name: str) -> dict[str, Any]:
    return {"branch_head": branch(name)}


def walk(connection: Connection, what: str, *start: dict[str, Any], **limits: int) -> list[str]:
    """Return the names of the repos that a walk comes to."""
    infos = connection.call(PFS, f"Walk{what}", {"start": start, **limits})
    return [(info.branch if "Branch" in what else info.commit).repo.name for info in infos]


def test_branches_are_walked_nearest_first_and_without_the_start(graph: Connection) -> None:
    assert walk(graph, "BranchProvenance", branch("D")) == ["C", "B", "E", "A"]
    assert walk(graph, "BranchSubvenance", branch("E"), branch("A")) == ["C", "D", "B", "C", "D"]
    assert walk(graph, "BranchProvenance", branch("A")) == []


def test_walks_keep_to_their_limits(graph: Connection) -> None:
    assert walk(graph, "BranchProvenance", branch("D"), max_depth=1) == ["C"]
    assert set(walk(graph, "BranchProvenance", branch("D"), max_depth=2)) == {"C", "B", "E"}
    assert len(walk(graph, "BranchProvenance", branch("D"), max_branches=3)) == 3
    assert len(walk(graph, "CommitProvenance", at("D"), max_commits=1, max_depth=2**63)) == 1


def test_commits_are_walked_through_all_their_sets(graph: Connection) -> None:
    put_id(graph, "A@master", {"/x": "1"})
    put_id(graph, "E@master", {"/x": "1"})
    assert sorted(walk(graph, "CommitProvenance", at("D"))) == ["A", "B", "C", "E"]
    assert len(walk(graph, "CommitSubvenance", at("E"), at("A"))) == 7


def test_commits_are_picked_in_every_way(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    repos.create_repo(connection, "b")
    made = [put_id(connection, "a@master", {"/x": str(number)}) for number in range(4)]
    create_branch(connection, "b@master", "a@master")

    def below(picker: dict[str, Any]) -> int:
        return len(walk(connection, "CommitSubvenance", picker))

    last = {"id": {"repo": repo("a"), "id": made[3]}}
    assert below(last) == below(at("a")) == 1
    assert below({"ancestor": {"start": last, "offset": 1}}) == 0
    assert below({"ancestor": {"start": {"ancestor": {"start": last, "offset": 0}}, "offset": 0}}) == 1
    assert below({"branch_root": {"branch": branch("a"), "offset": 3}}) == 1
    assert below({"branch_root": {"branch": branch("a"), "offset": 0}}) == 0
    for picker in (
        {"ancestor": {"start": last, "offset": 4}},
        {"branch_root": {"branch": branch("a"), "offset": 4}},
        {"id": {"repo": repo("a"), "id": "0" * 32}},
        {"branch_head": branch("none")},
        {"id": {"repo": repo("a", "nowhere"), "id": made[0]}},
    ):
        with pytest.raises(NotFound):
            below(picker)
    for picker in ({}, {"branch_head": {}}, {"id": {"id": made[0]}}, {"ancestor": {"offset": 1}}):
        with pytest.raises(InvalidArgument, match="picker cannot be nil"):
            below(picker)


def find(
    connection: Connection, path: str, start: str = "a@master", **more: Any
) -> tuple[list[str], str, int]:
    """Return the commits found, the last one searched, and how many were searched."""
    request = {"start": commit("default", start), "file_path": path, **more}
    *found, last = connection.call(PFS, "FindCommits", request)
    assert all(each.HasField("found_commit") for each in found)
    return [each.found_commit.id for each in found], last.last_searched_commit.id, last.commits_searched


def test_commits_that_touched_a_file_are_found(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    first = put_id(connection, "a@master", {"/x": "1", "/d/y": "1"})
    put_id(connection, "a@master", {"/other": "1"})
    changed = put_id(connection, "a@master", {"/x": "2"})
    modify(connection, "a@master", delete("/x"))
    gone = branches.inspect_branch(connection, "a@master").head.id
    put(connection, "a@master", {"/other": "2"})
    assert find(connection, "/x") == ([gone, changed, first], first, 5)
    assert find(connection, "x", limit=2) == ([gone, changed], changed, 3)
    assert find(connection, "/x", f"a@{changed}") == ([changed, first], first, 3)
    assert find(connection, "/d/y") == ([first], first, 5)
    assert find(connection, "/d")[0] == []
    assert find(connection, "/none") == ([], first, 5)
    with pytest.raises(
        InvalidArgument, match=r"^validate recv: invalid FindCommitsRequest.Start: value is req"
    ):
        list(connection.call(PFS, "FindCommits", {"file_path": "/x"}))


def test_open_commits_are_not_searched(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put_id(connection, "a@master", {"/x": "1"})
    started = commits.start_commit(connection, "a@master")
    with pytest.raises(Unavailable, match=f"commit default/a@{started.id} not finished"):
        find(connection, "/x")


class Hurried:
    """A call whose time runs out: of ten seconds it has used eight at the second look, nine at the third."""

    def __init__(self) -> None:
        self._left = [10.0, 2.0, 1.0]

    def time_remaining(self) -> float:
        return self._left.pop(0)


def test_search_ends_before_its_caller_gives_up(tmp_path: Path) -> None:
    with testing.server(tmp_path / "d") as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        made = [put_id(connection, "a@master", {"/x": str(number)}) for number in range(4)]
    server = Server(tmp_path / "d", host="127.0.0.1", port=0, workers=1, code=Path.cwd(), envs=tmp_path)
    request = schema.message("pfs_v2.FindCommitsRequest")(start=commit("default", "a@master"), file_path="/x")
    *found, last = server.services["pfs_v2.API"].FindCommits(request, Hurried())  # type: ignore[attr-defined]
    server.start()
    server.stop()
    assert [each.found_commit.id for each in found] == [made[3], made[2]]
    assert (last.last_searched_commit.id, last.commits_searched) == (made[2], 2)


def test_repos_are_listed_by_the_page_and_summed_up(connection: Connection) -> None:
    projects.create_project(connection, "other")
    for name in ("c", "a", "b"):
        repos.create_repo(connection, name)
    connection.call(PFS, "CreateRepo", {"repo": {"name": "z", "project": {"name": "other"}}})
    put(connection, "a@master", {"/x": "12345"})
    put(connection, "b@master", {"/x": "1"})

    def page(index: int, size: int) -> list[str]:
        listed = connection.call(PFS, "ListRepo", {"page": {"page_index": index, "page_size": size}})
        return [each.repo.name for each in listed]

    assert [page(index, 3) for index in range(3)] == [["a", "b", "c"], ["z"], []]
    answer = connection.call(PFS, "ReposSummary", {"projects": [{"name": "default"}, {"name": "other"}]})
    assert [(each.project.name, each.user_repo_count, each.size_bytes) for each in answer.summaries] == [
        ("default", 3, 6),
        ("other", 1, 0),
    ]
    with pytest.raises(NotFound):
        connection.call(PFS, "ReposSummary", {"projects": [{"name": "none"}]})


def test_project_comes_with_its_defaults(connection: Connection) -> None:
    answer = connection.call(PFS, "InspectProjectV2", {"project": {"name": "default"}})
    assert (answer.info.project.name, answer.defaults_json) == ("default", "{}")
    for method in ("InspectProject", "InspectProjectV2"):
        with pytest.raises(
            InvalidArgument, match=f"^validate request: invalid {method}Request.Project: value is"
        ):
            connection.call(PFS, method, {})
        with pytest.raises(NotFound, match='project "none" not found'):
            connection.call(PFS, method, {"project": {"name": "none"}})


def test_propagation_specs_are_shown_and_name_provenance(connection: Connection) -> None:
    for name in "abc":
        repos.create_repo(connection, name)
    never = [{"branch": {"repo": {"name": "a"}, "name": "master"}, "propagation_spec": {"never": True}}]
    create_branch(connection, "c@master", "a@master", "b@master", branch_propagation_specs=never)
    (shown,) = branches.inspect_branch(connection, "c@master").branch_propagation_specs
    assert (shown.branch.repo.name, shown.propagation_spec.never) == ("a", True)
    commits.finish_commit(connection, "c@master")
    before = head(connection, "c@master").commit.id
    put_id(connection, "a@master", {"/x": "1"})
    assert head(connection, "c@master").commit.id == before
    assert put_id(connection, "b@master", {"/x": "1"}) == head(connection, "c@master").commit.id
    with pytest.raises(PachletError, match="branch propagation spec must reference provenant branch"):
        create_branch(connection, "c@master", "b@master", branch_propagation_specs=never)


def test_what_is_switched_off_says_so(connection: Connection) -> None:
    for service in (PFS, "pps_v2.API"):
        with pytest.raises(Unimplemented, match=r"^the auth service is not activated$"):
            connection.call(service, "ActivateAuth", {})
