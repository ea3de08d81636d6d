"""Squash, drop, clear and forget: what goes, what stays, where branches stand after it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import branches, commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.lineage.asking import trace
from pachlet.client.lineage.text import tree as drawing
from pachlet.client.names import commit
from pachlet.errors import NotFound, PachletError, Refused
from tests.acceptance.words import (
    PFS,
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

NO_CHILDREN = (
    "cannot squash a commit that has no children as that would cause data loss, use the drop operation"
)


@pytest.fixture
def line(connection: Connection) -> Connection:
    """Repo a; b@master and c@master are downstream of a@master, one after the other."""
    for name in ("a", "b", "c"):
        repos.create_repo(connection, name)
    create_branch(connection, "b@master", "a@master")
    create_branch(connection, "c@master", "b@master")
    finish_below(connection)
    return connection


def finish_below(connection: Connection) -> None:
    """Finish what is open on b and c."""
    for name in ("b", "c"):
        if not head(connection, f"{name}@master").HasField("finishing"):
            commits.finish_commit(connection, f"{name}@master")
        commits.wait_commit(connection, f"{name}@master")


def change(connection: Connection, files: dict[str, str]) -> str:
    """Commit to a, and write what b makes of it; return the id of the set."""
    id = put_id(connection, "a@master", files)
    modify(connection, f"b@{id}", *[add(f"/made{path}", text) for path, text in files.items()])
    finish_below(connection)
    return id


def squash(connection: Connection, id: str) -> None:
    connection.call(PFS, "SquashCommitSet", {"commit_set": {"id": id}})


def drop(connection: Connection, id: str) -> None:
    connection.call(PFS, "DropCommitSet", {"commit_set": {"id": id}})


def one(connection: Connection, method: str, name: str, *, recursive: bool = False) -> None:
    connection.call(PFS, method, {"commit": commit("default", name), "recursive": recursive})


def sets(connection: Connection) -> list[str]:
    return [each.commit_set.id for each in commits.list_commitset(connection)]


def test_squashed_set_leaves_its_data_to_the_next(line: Connection) -> None:
    first, second, third = (change(line, {f"/{number}": number}) for number in "123")
    squash(line, second)
    assert ids(commits.list_commit(line, "a"))[:2] == [third, first]
    assert tree(line, "a@master") == {"/1": "1", "/2": "2", "/3": "3"}
    assert tree(line, "b@master") == {"/made/1": "1", "/made/2": "2", "/made/3": "3"}
    assert head(line, "a@master").parent_commit.id == first
    assert [each.id for each in commits.inspect_commit(line, f"a@{first}").child_commits] == [third]
    for name in ("a", "b", "c"):
        with pytest.raises(NotFound, match=rf"^commit default/{name}@{second} not found$"):
            commits.inspect_commit(line, f"{name}@{second}")
    with pytest.raises(NotFound, match=f"no commits found for commitset {second}"):
        squash(line, second)
    assert change(line, {"/4": "4"}) == sets(line)[0]
    assert tree(line, "b@master").keys() == {"/made/1", "/made/2", "/made/3", "/made/4"}


def test_head_can_not_be_squashed_but_dropped(line: Connection) -> None:
    first, second = (change(line, {f"/{number}": number}) for number in "12")
    with pytest.raises(Refused, match=f"{NO_CHILDREN} instead: default/a@{second}"):
        squash(line, second)
    with pytest.raises(Refused, match=f"^cannot drop a commit that has children: default/a@{first}"):
        drop(line, first)
    before = {name: len(list(commits.list_commit(line, name, all=True))) for name in "abc"}
    drop(line, second)
    after = {name: len(list(commits.list_commit(line, name, all=True))) for name in "abc"}
    assert after == {name: count - 1 for name, count in before.items()}
    for name in ("a", "b", "c"):
        assert head(line, f"{name}@master").commit.id == first
    assert tree(line, "a@master") == {"/1": "1"}
    assert change(line, {"/3": "3"}) == head(line, "c@master").commit.id
    assert tree(line, "a@master") == {"/1": "1", "/3": "3"}


def test_branch_left_without_a_head_gets_an_empty_commit(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    id = put_id(connection, "a@master", {"/x": "1"})
    create_branch(connection, "a@other", head=commit("default", f"a@{id}"))
    drop(connection, id)
    master, other = head(connection, "a@master"), head(connection, "a@other")
    assert master.commit.id == other.commit.id != id
    assert (master.origin.kind, master.HasField("finished"), master.HasField("parent_commit")) == (
        2,
        True,
        False,
    )
    assert tree(connection, "a@master") == {}
    assert repos.inspect_repo(connection, "a").details.size_bytes == 0


def test_open_commit_can_be_dropped_and_its_waiters_are_told(line: Connection) -> None:
    first = change(line, {"/1": "1"})
    started = commits.start_commit(line, "a@master")
    modify(line, f"a@{started.id}", add("/lost", "x"))
    drop(line, started.id)
    assert [head(line, f"{name}@master").commit.id for name in "abc"] == [first] * 3
    with pytest.raises(NotFound):
        modify(line, f"a@{started.id}", add("/lost", "x"))
    assert tree(line, "a@master") == {"/1": "1"}


def test_set_that_others_depend_on_stays(connection: Connection) -> None:
    for name in ("a", "b", "out"):
        repos.create_repo(connection, name)
    first = put_id(connection, "a@master", {"/x": "1"})
    create_branch(connection, "out@master", "a@master", "b@master")
    second = head(connection, "out@master").commit.id
    commits.finish_commit(connection, "out@master")
    put_id(connection, "a@master", {"/x": "2"})
    for act in (squash, drop):
        with pytest.raises(Refused) as caught:
            act(connection, first)
        assert f'commit set "{first}" cannot be dropped because it has subvenant commit sets: [' in str(
            caught.value
        )
        assert second in str(caught.value)


def test_squash_waits_for_the_child(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    id = put_id(connection, "a@master", {"/x": "1"})
    started = commits.start_commit(connection, "a@master")
    with pytest.raises(
        Refused, match=f"^cannot squash until child commit default/a@{started.id} is finished$"
    ):
        squash(connection, id)
    commits.finish_commit(connection, "a@master")
    commits.wait_commit(connection, "a@master")
    squash(connection, id)
    assert tree(connection, "a@master") == {"/x": "1"}


def test_child_that_failed_is_no_heir(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    first = put_id(connection, "a@master", {"/x": "1"})
    failed = commits.start_commit(connection, "a@master").id
    commits.finish_commit(connection, f"a@{failed}", error="no good")
    commits.wait_commit(connection, f"a@{failed}")
    with pytest.raises(Refused, match=f"child commit default/a@{failed} finished with an error"):
        squash(connection, first)
    last = put_id(connection, "a@master", {"/y": "2"})
    squash(connection, first)
    squash(connection, failed)
    assert ids(commits.list_commit(connection, "a")) == [last]
    assert tree(connection, "a@master") == {"/x": "1", "/y": "2"}


def test_single_commits_go_with_what_was_made_from_them(line: Connection) -> None:
    first, second = (change(line, {f"/{number}": number}) for number in "12")
    with pytest.raises(
        Refused, match=rf"cannot squash commit \(default/a@{first}\) with subvenance without rec"
    ):
        one(line, "SquashCommit", f"a@{first}")
    with pytest.raises(
        Refused, match=rf"cannot drop commit \(default/a@{second}\) with subvenance without rec"
    ):
        one(line, "DropCommit", f"a@{second}")
    with pytest.raises(Refused, match="cannot drop a commit that has children"):
        one(line, "DropCommit", f"a@{first}", recursive=True)
    with pytest.raises(Refused, match=NO_CHILDREN):
        one(line, "SquashCommit", f"a@{second}", recursive=True)
    one(line, "SquashCommit", f"c@{first}")
    assert [each.commit.repo.name for each in commits.inspect_commitset(line, first)] == ["a", "b"]
    one(line, "SquashCommit", f"a@{first}", recursive=True)
    one(line, "DropCommit", f"b@{second}", recursive=True)
    assert [each.commit.repo.name for each in commits.inspect_commitset(line, second)] == ["a"]
    assert tree(line, "a@master") == {"/1": "1", "/2": "2"}
    assert tree(line, "b@master") == {}


def test_source_dropped_whole_empties_what_is_below(connection: Connection) -> None:
    for name in ("a", "b"):
        repos.create_repo(connection, name)
    id = put_id(connection, "a@master", {"/x": "1"})
    create_branch(connection, "b@master", "a@master")
    commits.finish_commit(connection, "b@master")
    commits.wait_commit(connection, "b@master")
    one(connection, "DropCommit", f"a@{id}", recursive=True)
    source, below = head(connection, "a@master"), head(connection, "b@master")
    assert source.commit.id == below.commit.id
    assert (source.HasField("finished"), below.HasField("finishing")) == (True, False)
    assert [each.id for each in below.direct_provenance] == [source.commit.id]


def test_clear_gives_up_what_was_written(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    first = put_id(connection, "a@master", {"/x": "1"})
    started = commits.start_commit(connection, "a@master")
    modify(connection, f"a@{started.id}", add("/y", "2"))
    connection.call(PFS, "ClearCommit", {"commit": commit("default", f"a@{started.id}")})
    assert tree(connection, f"a@{started.id}") == {"/x": "1"}
    with pytest.raises(Refused, match="cannot clear finished commit"):
        connection.call(PFS, "ClearCommit", {"commit": commit("default", f"a@{first}")})


def forget(connection: Connection, repo: str, id: str) -> None:
    named = {"repo": {"name": {"project": {"name": "default"}, "name": repo}}, "id": id}
    connection.call(PFS, "ForgetCommit", {"commit": {"id": named}})


def test_forgotten_commit_has_no_files_and_its_child_has_all(line: Connection) -> None:
    first = change(line, {"/1": "1"})
    with pytest.raises(Refused, match=r"^Forget Commit: .*the branch head cannot be a forgotten commit"):
        forget(line, "b", first)
    with pytest.raises(
        Refused, match=r"^Forget Commit: the commit to be forgotten must be in an output repo$"
    ):
        forget(line, "a", first)
    second = change(line, {"/2": "2"})
    forget(line, "b", first)
    for method in ("GetFile", "InspectFile", "ListFile", "WalkFile"):
        with pytest.raises(Refused, match="the commit is forgotten"):
            read(line, method, f"b@{first}", "/made/1")
    assert commits.inspect_commit(line, f"b@{first}").commit.id == first
    assert tree(line, "b@master") == {"/made/1": "1", "/made/2": "2"}
    with pytest.raises(Refused, match="the branch head cannot be a forgotten commit"):
        create_branch(line, "b@old", head=commit("default", f"b@{first}"))
    with pytest.raises(Refused, match="the commit is forgotten"):
        commits.start_commit(line, "b@old", parent=first)
    with pytest.raises(Refused, match="the branch head cannot be a forgotten commit"):
        drop(line, second)


def read(connection: Connection, method: str, name: str, path: str) -> Any:
    answer = connection.call(PFS, method, {"file": {"commit": commit("default", name), "path": path}})
    return answer if method == "InspectFile" else list(answer)


def test_commit_with_an_open_child_is_not_forgotten(line: Connection) -> None:
    first = change(line, {"/1": "1"})
    put_id(line, "a@master", {"/2": "2"})
    with pytest.raises(Refused, match=r"^Forget Commit: direct descendants must be closed$"):
        forget(line, "b", first)


def test_job_goes_with_its_commits_and_later_ones_still_skip(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put_id(connection, "a@master", {"/x": "1"})
    create(connection, shell("copy", "cp /pfs/a/* /pfs/out/", pfs_input("a")))
    made = [put_id(connection, "a@master", {f"/{number}": number}) for number in "23"]
    assert ended(last_job(connection, "copy")) == ("SUCCESS", 1, 2, 0, 3)
    squash(connection, made[0])
    told = "\n".join(drawing(trace(connection, "copy@master:/2")))
    assert f"job   {made[0]}" in told
    assert "alpine" in told
    assert f"a@{made[0]}:/2 (deleted since)" in told
    assert made[0] not in [each.job.id for each in jobs.list_job(connection, pipeline="copy")]
    with pytest.raises(NotFound):
        jobs.inspect_job(connection, f"copy@{made[0]}")
    drop(connection, made[1])
    assert tree(connection, "copy@master") == {"/x": "1"}
    put_id(connection, "a@master", {"/4": "4"})
    assert ended(last_job(connection, "copy")) == ("SUCCESS", 1, 1, 0, 2)
    assert tree(connection, "copy@master") == {"/x": "1", "/4": "4"}


def test_running_job_of_a_dropped_commit_is_stopped(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    create(connection, shell("slow", "if test -e /pfs/a/x; then sleep 600; fi", pfs_input("a", "/")))
    id = put_id(connection, "a@master", {"/x": "1"})
    one(connection, "DropCommit", f"a@{id}", recursive=True)
    with pytest.raises(NotFound):
        jobs.inspect_job(connection, f"slow@{id}")
    put_id(connection, "a@master", {"/y": "1"})
    assert ended(last_job(connection, "slow"))[0] == "SUCCESS"
    assert branches.inspect_branch(connection, "slow@master").head.id != id


def test_output_of_a_job_dropped_alone_is_made_again(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put_id(connection, "a@master", {"/x": "1"})
    create(connection, shell("copy", "cp /pfs/a/* /pfs/out/", pfs_input("a")))
    first = branches.inspect_branch(connection, "copy@master").head.id
    one(connection, "DropCommit", f"copy@{first}")
    again = last_job(connection, "copy")
    assert again.job.id != first
    assert ended(again) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(connection, "copy@master") == {"/x": "1"}


def test_commit_that_updated_a_pipeline_stays(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    create(connection, shell("copy", "true", pfs_input("a")))
    spec = pipelines.inspect_pipeline(connection, "copy").spec_commit.id
    put_id(connection, "a@master", {"/x": "1"})
    last_job(connection, "copy")
    for act in (squash, drop):
        with pytest.raises(PachletError):
            act(connection, spec)
    drop(connection, branches.inspect_branch(connection, "a@master").head.id)
    with pytest.raises(
        Refused, match=f"cannot squash commit default/copy.spec@{spec} because it updated a pipel"
    ):
        drop(connection, spec)
