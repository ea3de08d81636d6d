"""Branches: heads, provenance, what a change makes downstream, and what is refused."""

from __future__ import annotations

import re

import pytest

from pachlet.client import branches, commits, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused
from pachlet.ids import new_id
from tests.acceptance.words import PFS, create_branch, head, ids, put, put_id, tree


@pytest.fixture
def chain(connection: Connection) -> Connection:
    """Repos a, b and c, with c@master downstream of b@master downstream of a@master."""
    for name in ("a", "b", "c"):
        repos.create_repo(connection, name)
    create_branch(connection, "b@master", "a@master")
    create_branch(connection, "c@master", "b@master")
    return connection


def names(listed: object) -> list[str]:
    return [f"{each.repo.name}@{each.name}" for each in listed]  # type: ignore[attr-defined]


def test_new_branch_has_an_empty_finished_commit_of_the_engine(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    create_branch(connection, "a@master")
    info = head(connection, "a@master")
    assert (info.origin.kind, info.HasField("finished"), info.HasField("parent_commit")) == (2, True, False)
    assert tree(connection, "a@master") == {}


def test_branches_are_listed_newest_first(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    for name in ("master", "develop"):
        create_branch(connection, f"a@{name}")
    listed = [each.branch.name for each in branches.list_branch(connection, "a")]
    assert listed == ["develop", "master"]
    assert [each.branch.name for each in branches.list_branch(connection, "a", reverse=True)] == listed[::-1]
    assert len(list(connection.call(PFS, "ListBranch", {}))) == 2


def test_missing_branch_has_the_text_that_clients_look_for(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    for call in (branches.inspect_branch, branches.delete_branch):
        with pytest.raises(NotFound, match=r'^branch "x" not found in repo default/a$'):
            call(connection, "a@x")
    with pytest.raises(NotFound, match=r'^branch "x" not found in repo default/none$'):
        head(connection, "none@x")


@pytest.mark.parametrize("name", ["a b", "ä", "0" * 12 + "4" + "0" * 19, "a/b", "x.1"])
def test_branch_names_are_checked(connection: Connection, name: str) -> None:
    repos.create_repo(connection, "a")
    request = {"branch": {"repo": {"name": "a"}, "name": name}}
    for method in ("CreateBranch", "StartCommit"):
        with pytest.raises(PachletError, match=r"invalid|UUID"):
            connection.call(PFS, method, request)
    assert list(branches.list_branch(connection, "a")) == []


def test_branch_needs_a_name_and_a_repo(connection: Connection) -> None:
    with pytest.raises(InvalidArgument, match="branch cannot be nil"):
        connection.call(PFS, "CreateBranch", {})
    with pytest.raises(InvalidArgument, match="branch repo cannot be nil"):
        connection.call(PFS, "CreateBranch", {"branch": {"name": "x"}})
    with pytest.raises(NotFound, match="repo default/none not found"):
        create_branch(connection, "none@master")


def test_provenance_is_shown_both_ways_and_without_the_branch_itself(chain: Connection) -> None:
    middle, last = (branches.inspect_branch(chain, f"{name}@master") for name in "bc")
    assert (names(middle.provenance), names(middle.subvenance)) == (["a@master"], ["c@master"])
    assert (names(last.provenance), names(last.direct_provenance)) == (
        ["b@master", "a@master"],
        ["b@master"],
    )


def test_missing_provenance_is_created_in_the_same_commit_set(chain: Connection) -> None:
    first = head(chain, "a@master")
    assert first.commit.id == head(chain, "b@master").commit.id
    assert first.origin.kind == 2
    assert not head(chain, "b@master").HasField("finishing")  # an output branch waits for its content


def test_commit_moves_everything_downstream_in_one_set(chain: Connection) -> None:
    id = put_id(chain, "a@master", {"/x": "1"})
    assert [head(chain, f"{name}@master").commit.id for name in "abc"] == [id] * 3
    last = head(chain, "c@master")
    assert [(each.repo.name, each.id) for each in last.direct_provenance] == [("b", id)]
    assert [each.origin.kind for each in commits.inspect_commitset(chain, id)] == [1, 2, 2]
    assert [each.commit.repo.name for each in commits.inspect_commitset(chain, id)] == ["a", "b", "c"]


def test_diamond_has_one_commit_in_each_repo(connection: Connection) -> None:
    for name in ("top", "left", "right", "bottom"):
        repos.create_repo(connection, name)
    create_branch(connection, "left@master", "top@master")
    create_branch(connection, "right@master", "top@master")
    create_branch(connection, "bottom@master", "left@master", "right@master")
    id = put_id(connection, "top@master", {"/x": "1"})
    made = list(commits.inspect_commitset(connection, id))
    assert [each.commit.repo.name for each in made] == ["top", "left", "right", "bottom"]
    assert {each.id for each in made[-1].direct_provenance} == {id}
    # A longer way to the bottom: what is nearer must not be made before it.
    repos.create_repo(connection, "far")
    create_branch(connection, "far@master", "right@master")
    create_branch(connection, "bottom@master", "left@master", "far@master")
    id = put_id(connection, "top@master", {"/x": "2"})
    assert {each.id for each in head(connection, "bottom@master").direct_provenance} == {id}


def test_unchanged_branch_stands_for_itself_in_a_set(connection: Connection) -> None:
    for name in ("a", "b", "out"):
        repos.create_repo(connection, name)
    old = put_id(connection, "a@master", {"/x": "a"})
    put(connection, "b@master", {"/x": "b"})
    create_branch(connection, "out@master", "a@master", "b@master")
    id = put_id(connection, "b@master", {"/x": "b2"})
    assert head(connection, f"a@{id}").commit.id == old
    assert tree(connection, f"a@{id}") == {"/x": "a"}
    assert [(c.commit.repo.name, c.commit.id) for c in commits.inspect_commitset(connection, id)] == [
        ("a", old),
        ("b", id),
        ("out", id),
    ]
    with pytest.raises(NotFound, match=f"^commit default/a@{new_id()[:0]}[0-9a-f]{{32}} not found$"):
        head(connection, f"a@{new_id()}")


def test_provenance_is_replaced_each_time(chain: Connection) -> None:
    repos.create_repo(chain, "d")
    create_branch(chain, "c@master", "d@master")
    assert names(branches.inspect_branch(chain, "c@master").provenance) == ["d@master"]
    create_branch(chain, "c@master")
    assert names(branches.inspect_branch(chain, "c@master").provenance) == []
    before = head(chain, "c@master").commit.id
    put(chain, "d@master", {"/x": "1"})
    assert head(chain, "c@master").commit.id == before


def test_same_branch_again_makes_nothing_downstream(chain: Connection) -> None:
    put(chain, "a@master", {"/x": "1"})
    before = [head(chain, f"{name}@master").commit.id for name in "abc"]
    create_branch(chain, "a@master")
    create_branch(chain, "b@master", "a@master")
    assert [head(chain, f"{name}@master").commit.id for name in "abc"] == before


def test_moved_head_moves_what_is_downstream(chain: Connection) -> None:
    first = put_id(chain, "a@master", {"/x": "1"})
    put(chain, "a@master", {"/x": "2"})
    create_branch(chain, "a@master", head=commit("default", f"a@{first}"))
    assert tree(chain, "a@master") == {"/x": "1"}
    below = head(chain, "b@master")
    assert below.commit.id not in (first, head(chain, "a@master^").commit.id)
    assert [each.id for each in below.direct_provenance] == [first]


def test_branch_at_a_commit_shares_it(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    id = put_id(connection, "a@master", {"/x": "1"})
    branches.create_branch(connection, "a@copy", head="master")
    assert head(connection, "a@copy").commit.id == id
    put(connection, "a@copy", {"/y": "2"})
    assert (tree(connection, "a@master"), tree(connection, "a@copy")) == (
        {"/x": "1"},
        {"/x": "1", "/y": "2"},
    )
    repos.create_repo(connection, "b")
    with pytest.raises(Refused, match="branch and head commit must belong to the same repo"):
        branches.create_branch(connection, "b@master", head="a@master")


def test_impossible_provenance_is_refused_and_leaves_nothing(chain: Connection) -> None:
    with pytest.raises(PachletError, match=r"repo default/a cannot be in the provenance of its own branch"):
        create_branch(chain, "a@x", "a@master")
    circle = r"cycle detected because default/c@master is already in the subvenance of default/a@master"
    with pytest.raises(PachletError, match=circle):
        create_branch(chain, "a@master", "c@master")
    several = 'multiple branches from the same repo, "default/a", cannot participate in a DAG'
    with pytest.raises(PachletError, match=re.escape(several)):
        create_branch(chain, "c@master", "b@master", "a@other")
    assert names(each.branch for each in branches.list_branch(chain, "a")) == ["a@master"]
    assert names(branches.inspect_branch(chain, "c@master").direct_provenance) == ["b@master"]


def test_commit_on_an_output_branch_is_refused(chain: Connection) -> None:
    put(chain, "a@master", {"/x": "1"})
    with pytest.raises(Refused, match="cannot start a commit on an output branch: default/b@master"):
        commits.start_commit(chain, "b@master")


def test_output_branch_can_be_filled_by_hand(chain: Connection) -> None:
    id = put_id(chain, "a@master", {"/x": "1"})
    for older in ("b@master^", "b@master"):
        commits.finish_commit(chain, older)
    assert commits.wait_commit(chain, f"b@{id}").HasField("finished")


def test_child_that_waits_for_an_open_parent_finishes_with_it(chain: Connection) -> None:
    first = put_id(chain, "a@master", {"/x": "1"})
    second = put_id(chain, "a@master", {"/x": "2"})
    put(chain, f"b@{second}", {"/later": "2"})
    commits.finish_commit(chain, f"b@{second}")
    assert not head(chain, f"b@{second}").HasField("finished")
    commits.finish_commit(chain, f"b@{first}^")
    commits.finish_commit(chain, f"b@{first}")
    assert commits.wait_commit(chain, f"b@{second}").HasField("finished")
    assert tree(chain, f"b@{second}") == {"/later": "2"}


def test_edge_that_never_propagates(connection: Connection) -> None:
    for name in ("loud", "quiet", "out"):
        repos.create_repo(connection, name)
    quiet = {"repo": {"name": "quiet"}, "name": "master"}
    specs = [{"branch": quiet, "propagation_spec": {"never": True}}]
    create_branch(connection, "out@master", "loud@master", "quiet@master", branch_propagation_specs=specs)
    before = head(connection, "out@master").commit.id
    held = put_id(connection, "quiet@master", {"/x": "1"})
    assert head(connection, "out@master").commit.id == before
    put(connection, "loud@master", {"/x": "1"})
    assert held in {each.id for each in head(connection, "out@master").direct_provenance}


def test_deleted_branch_leaves_its_commits(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    id = put_id(connection, "a@master", {"/x": "1"})
    branches.delete_branch(connection, "a@master")
    assert tree(connection, f"a@{id}") == {"/x": "1"}
    assert head(connection, f"a@{id}").commit.branch.name == ""
    assert ids(commits.list_commit(connection, "a")) == [id]
    put(connection, "a@master", {"/y": "1"})
    assert tree(connection, "a@master") == {"/y": "1"}


def test_branch_that_another_depends_on_goes_by_force_only(chain: Connection) -> None:
    with pytest.raises(PachletError, match=r"default/b@master.*as subvenance"):
        branches.delete_branch(chain, "a@master")
    branches.delete_branch(chain, "a@master", force=True)
    assert names(branches.inspect_branch(chain, "b@master").provenance) == []
