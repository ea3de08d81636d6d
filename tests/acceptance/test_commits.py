"""Commits and commit sets: start and finish, what is read while, how they are listed, waited for and followed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pachlet.client import commits, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from pachlet.errors import FailedPrecondition, InvalidArgument, NotFound, PachletError, Refused
from pachlet.ids import is_commit_id, new_id
from tests.acceptance.words import (
    PFS,
    add,
    create_branch,
    delete,
    head,
    ids,
    modify,
    put,
    put_id,
    tree,
)


@pytest.fixture
def three(connection: Connection) -> list[str]:
    """A repo `a` with three commits on master; their ids, oldest first."""
    repos.create_repo(connection, "a")
    return [put_id(connection, "a@master", {"/x": str(number)}) for number in range(3)]


def test_commit_is_open_until_it_is_finished(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    started = commits.start_commit(connection, "a@master", description="mine")
    assert is_commit_id(started.id)
    put(connection, "a@master", {"/x": "1"})
    put(connection, f"a@{started.id}", {"/y": "2"})
    info = head(connection, "a@master")
    assert (info.commit.id, info.origin.kind, info.description) == (started.id, 1, "mine")
    assert not info.HasField("finishing")
    assert not info.HasField("details")
    assert tree(connection, "a@master") == {"/x": "1", "/y": "2"}
    commits.finish_commit(connection, "a@master", description="yours")
    info = commits.wait_commit(connection, "a@master")
    assert info.description == "yours"
    assert info.details.size_bytes == 2
    assert info.finished.seconds
    assert info.finished.nanos
    with pytest.raises(Refused, match=f"commit default/a@{started.id} has already finished"):
        commits.finish_commit(connection, "a@master")
    with pytest.raises(Refused, match=f"commit default/a@{started.id} has already finished"):
        put(connection, f"a@{started.id}", {"/z": "3"})


def test_commit_on_an_open_parent_is_refused(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    started = commits.start_commit(connection, "a@master")
    with pytest.raises(Refused, match=f"parent commit default/a@{started.id} has not been finished"):
        commits.start_commit(connection, "a@master")
    with pytest.raises(Refused, match="has not been finished") as refused:
        commits.start_commit(connection, "a@other", parent=started.id)
    assert refused.value.hint == f"pachctl finish commit a@{started.id} --project default"
    with pytest.raises(NotFound, match='branch "other" not found'):
        head(connection, "a@other")


def test_start_needs_a_branch_of_a_repo(connection: Connection) -> None:
    with pytest.raises(InvalidArgument, match="branch must be specified"):
        connection.call(PFS, "StartCommit", {"branch": {"repo": {"name": "a"}}})
    with pytest.raises(NotFound, match=r"^repo default/a not found$"):
        commits.start_commit(connection, "a@master")
    with pytest.raises(NotFound, match=r"^repo default/a not found$"):
        put(connection, "a@master", {"/x": "1"})


def test_parent_can_be_any_commit_of_the_repo(connection: Connection, three: list[str]) -> None:
    started = commits.start_commit(connection, "a@side", parent=three[0])
    info = head(connection, "a@side")
    assert (info.commit.id, info.parent_commit.id) == (started.id, three[0])
    assert tree(connection, "a@side") == {"/x": "0"}
    assert [each.id for each in head(connection, f"a@{three[0]}").child_commits] == [three[1], started.id]


def test_ancestry_counts_back_and_from_the_root(connection: Connection, three: list[str]) -> None:
    for name, expected in {
        "master": 2,
        "master^": 1,
        "master~": 1,
        "master^^": 0,
        "master^2": 0,
        "master~2": 0,
        "master.1": 0,
        "master.3": 2,
        f"{three[2]}^": 1,
        f"{three[1]}~1": 0,
        "master^0": 2,
    }.items():
        assert head(connection, f"a@{name}").commit.id == three[expected], name
    by_branch = {
        "commit": {"branch": {"repo": {"name": "a"}, "name": "master"}, "id": "^2"},
    }
    assert connection.call(PFS, "InspectCommit", by_branch).commit.id == three[0]
    for name in ("master^3", "master.0", "master.4", "master~99", "master^" + "9" * 5000):
        with pytest.raises(PachletError, match=r"not found|is no commit"):
            head(connection, f"a@{name}")


def test_commit_must_have_a_repo_and_a_name(connection: Connection) -> None:
    with pytest.raises(InvalidArgument, match="commit must have a repo"):
        connection.call(PFS, "InspectCommit", {"commit": {"id": new_id()}})
    with pytest.raises(InvalidArgument):
        connection.call(PFS, "InspectCommit", {"commit": {"repo": {"name": "a"}}})
    with pytest.raises(NotFound, match=r"^repo default/a not found$"):
        head(connection, f"a@{new_id()}")


def test_list_is_newest_first_and_can_be_cut(connection: Connection, three: list[str]) -> None:
    newest = three[::-1]
    create_branch(connection, "a@auto")
    auto = head(connection, "a@auto").commit.id
    assert ids(commits.list_commit(connection, "a")) == [auto, *newest]
    assert ids(commits.list_commit(connection, "a", reverse=True)) == [*three, auto]
    assert ids(commits.list_commit(connection, "a", number=2)) == [auto, newest[0]]
    assert ids(commits.list_commit(connection, "a", origin="USER")) == newest
    assert ids(commits.list_commit(connection, "a", origin="AUTO")) == [auto]
    assert ids(commits.list_commit(connection, "a", origin="USER", all=True)) == [auto, *newest]
    assert ids(commits.list_commit(connection)) == [auto, *newest]
    assert ids(commits.list_commit(connection, "a", to="master", since=three[0])) == newest[:2]
    assert ids(commits.list_commit(connection, "a", to="master^", number=1)) == [three[1]]
    assert [each.size_bytes_upper_bound for each in commits.list_commit(connection, "a")] == [0, 1, 1, 1]


def test_list_before_and_after_a_time(connection: Connection, three: list[str]) -> None:
    middle = head(connection, f"a@{three[1]}").started
    request = {"repo": {"name": "a"}, "started_time": middle}
    assert ids(connection.call(PFS, "ListCommit", request)) == [three[0]]
    assert ids(connection.call(PFS, "ListCommit", {**request, "reverse": True})) == [three[2]]


def test_list_refuses_what_makes_no_sense(connection: Connection, three: list[str]) -> None:
    repos.create_repo(connection, "b")
    put(connection, "b@master", {"/x": "1"})
    with pytest.raises(PachletError, match="cannot use `from` commit without `to` commit"):
        list(commits.list_commit(connection, "a", since="master"))
    with pytest.raises(PachletError, match="cannot use 'Reverse' while also using 'From' or 'To'"):
        list(commits.list_commit(connection, "a", to="master", reverse=True))
    other = {"repo": {"name": "a"}, "to": commit("default", "b@master")}
    with pytest.raises(PachletError, match="`from` and `to` commits need to be from repo default/a"):
        list(connection.call(PFS, "ListCommit", other))
    with pytest.raises(NotFound, match=r"^repo default/none not found$"):
        list(commits.list_commit(connection, "none"))


def test_subscription_replays_and_goes_on(connection: Connection, three: list[str]) -> None:
    followed = commits.subscribe_commit(connection, "a", branch="master", since=three[0], state="FINISHED")
    assert [next(followed).commit.id for _ in range(2)] == three[1:]
    put(connection, "a@other", {"/y": "1"})
    started = commits.start_commit(connection, "a@master")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, followed)
        assert not waiting.done()
        commits.finish_commit(connection, "a@master")
        info = waiting.result(10)
    assert (info.commit.id, info.HasField("finished")) == (started.id, True)
    followed.close()


def test_subscription_by_origin(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    create_branch(connection, "a@master")
    put(connection, "a@master", {"/x": "1"})
    everything = commits.subscribe_commit(connection, "a", branch="master")
    assert [next(everything).origin.kind for _ in range(2)] == [2, 1]
    users = commits.subscribe_commit(connection, "a", origin="USER")
    assert next(users).origin.kind == 1
    everything.close()
    users.close()


def test_subscription_ends_with_its_repo(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put(connection, "a@master", {"/x": "1"})
    followed = commits.subscribe_commit(connection, "a")
    next(followed)
    repos.delete_repo(connection, "a")
    repos.create_repo(connection, "a")
    put(connection, "a@master", {"/x": "1"})
    with pytest.raises(NotFound, match="deleted"):
        next(followed)


def test_wait_ends_when_the_commit_is_deleted(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    commits.start_commit(connection, "a@master")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(commits.wait_commit, connection, "a@master")
        repos.delete_repo(connection, "a")
        with pytest.raises(NotFound, match=r"was deleted|not found"):
            waiting.result(10)


def test_ready_means_that_everything_upstream_is_finished(connection: Connection) -> None:
    for name in ("a", "b"):
        repos.create_repo(connection, name)
    create_branch(connection, "b@master", "a@master")
    commits.start_commit(connection, "a@master")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(commits.inspect_commit, connection, "b@master", wait="READY")
        assert not waiting.done()
        commits.finish_commit(connection, "a@master")
        assert not waiting.result(10).HasField("finishing")


def test_wait_for_a_set_ends_with_its_last_commit(connection: Connection) -> None:
    for name in ("a", "b"):
        repos.create_repo(connection, name)
    create_branch(connection, "b@master", "a@master")
    commits.finish_commit(connection, "b@master")
    id = put_id(connection, "a@master", {"/x": "1"})
    seen = commits.inspect_commitset(connection, id, wait=True)
    assert next(seen).commit.repo.name == "a"
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, seen)
        assert not rest.done()
        commits.finish_commit(connection, "b@master")
        (last,) = rest.result(10)
    assert (last.commit.repo.name, last.commit.id, last.HasField("finished")) == ("b", id, True)
    with pytest.raises(NotFound, match="no commits found for commitset"):
        list(commits.inspect_commitset(connection, new_id()))


def test_commit_sets_are_listed_newest_first(connection: Connection, three: list[str]) -> None:
    connection.call(PFS, "CreateProject", {"project": {"name": "p"}})
    repos.create_repo(connection, "p/b")
    other = put_id(connection, "p/b@master", {"/x": "1"})
    sets = list(commits.list_commitset(connection, all_projects=True))
    assert [each.commit_set.id for each in sets] == [other, *three[::-1]]
    assert [each.commit_set.id for each in commits.list_commitset(connection)] == three[::-1]


def test_child_of_a_failed_commit_is_based_on_the_last_good_one(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put(connection, "a@master", {"/good": "1"})
    commits.start_commit(connection, "a@master")
    put(connection, "a@master", {"/bad": "2"})
    commits.finish_commit(connection, "a@master", error="broken")
    failed = commits.wait_commit(connection, "a@master")
    assert failed.error == "broken"
    assert tree(connection, "a@master") == {"/good": "1", "/bad": "2"}
    put(connection, "a@master", {"/next": "3"})
    assert tree(connection, "a@master") == {"/good": "1", "/next": "3"}
    assert head(connection, "a@master").parent_commit.id == failed.commit.id


def test_paths_that_clash_fail_the_commit(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    modify(connection, "a@master", add("/x", "1", "one"), add("/x", "2", "two"))
    assert commits.wait_commit(connection, "a@master").error == (
        "duplicate path output by different datums (/x from one and /x from two)"
    )
    modify(connection, "a@dir", add("/d", "1"), add("/d/f", "2"))
    assert commits.wait_commit(connection, "a@dir").error == "file / directory path collision (/d/f)"


def test_open_commit_over_an_unfinished_base_can_not_be_read(connection: Connection) -> None:
    for name in ("a", "b"):
        repos.create_repo(connection, name)
    create_branch(connection, "b@master", "a@master")
    put(connection, "a@master", {"/x": "1"})
    with pytest.raises(Refused, match=r"base commit default/b@.+ for commit default/b@.+ unfinished"):
        tree(connection, "b@master")


def test_failed_stream_leaves_no_trace(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    with pytest.raises(PachletError, match="globbing character"):
        modify(connection, "a@new", add("/x", "1"), add("/b*d", "2"))
    with pytest.raises(NotFound, match='branch "new" not found'):
        head(connection, "a@new")
    put(connection, "a@master", {"/x": "1"})
    with pytest.raises(PachletError, match="relative file paths"):
        modify(connection, "a@master", delete("/"), add("/../y", "2"))
    assert tree(connection, "a@master") == {"/x": "1"}
    commits.start_commit(connection, "a@open")
    with pytest.raises(PachletError, match="printable ASCII"):
        modify(connection, "a@open", add("/x", "1"), add("/ü", "2"))
    assert tree(connection, "a@open") == {}
    assert len(ids(commits.list_commit(connection, "a"))) == 2


def test_client_that_breaks_off_leaves_no_trace(connection: Connection) -> None:
    repos.create_repo(connection, "a")

    def messages() -> object:
        yield {"set_commit": commit("default", "a@master")}
        yield add("/x", "1")
        raise FailedPrecondition("the disk went away")

    with pytest.raises(FailedPrecondition, match="the disk went away"):
        connection.send(PFS, "ModifyFile", messages())  # type: ignore[arg-type]
    assert ids(commits.list_commit(connection, "a")) == []


def test_many_clients_at_once_lose_nothing(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    commits.start_commit(connection, "a@open")
    errors: list[BaseException] = []

    def client(number: int) -> None:
        try:
            with Connection(str(connection.address)) as own:
                for turn in range(4):
                    put(own, "a@shared", {f"/{number}/{turn}": "x"})
                    put(own, f"a@own-{number}", {f"/{turn}": "y"})
                    put(own, "a@open", {f"/{number}-{turn}": "z"})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(tree(connection, "a@shared")) == 32
    assert len(tree(connection, "a@open")) == 32
    for number in range(8):
        assert sorted(tree(connection, f"a@own-{number}")) == [f"/{turn}" for turn in range(4)]
    assert all(each.HasField("finished") for each in commits.list_commit(connection, "a", origin="USER")
               if each.commit.id != head(connection, "a@open").commit.id)  # fmt: skip
