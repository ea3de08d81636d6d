"""Branch triggers: what moves a branch to the head of another, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import branches, commits, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.clock import FakeClock
from pachlet.errors import PachletError, Refused
from tests.acceptance.words import create_branch, ended, head, last_job, pfs_input, put_id, shell, tree


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def repo(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    """A repo `a` with an empty branch `staging`, on a server whose time the test moves."""
    with testing.server(tmp_path / "data", clock=clock) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        create_branch(connection, "a@staging")
        yield connection


def triggered(connection: Connection, target: str = "master", **trigger: Any) -> None:
    create_branch(connection, f"a@{target}", trigger={"branch": "staging", **trigger})


def stage(connection: Connection, text: str = "x") -> str:
    """Put a file on staging; return the id of the commit once it has finished."""
    id = put_id(connection, "a@staging", {"/f": text})
    commits.wait_commit(connection, f"a@{id}")
    return id


def moved(connection: Connection, count: int, text: str = "x") -> list[bool]:
    """Make commits on staging; return after which of them master was at it."""
    return [stage(connection, f"{text}{number}") == head_id(connection) for number in range(count)]


def head_id(connection: Connection, branch: str = "master") -> str:
    return str(branches.inspect_branch(connection, f"a@{branch}").head.id)


def test_trigger_is_shown_and_kept_until_there_is_another(repo: Connection) -> None:
    triggered(repo, size="1K", commits=2, rate_limit_spec="@daily", all=True)
    create_branch(repo, "a@master")
    shown = branches.inspect_branch(repo, "a@master").trigger
    assert (shown.branch, shown.size, shown.commits, shown.rate_limit_spec, shown.all) == (
        "staging",
        "1K",
        2,
        "@daily",
        True,
    )
    triggered(repo, cron_spec="@hourly")
    shown = branches.inspect_branch(repo, "a@master").trigger
    assert (shown.cron_spec, shown.size, shown.commits, shown.all) == ("@hourly", "", 0, False)
    assert not branches.inspect_branch(repo, "a@staging").HasField("trigger")


@pytest.mark.parametrize(
    "trigger, text",
    [
        ({"branch": ""}, "triggers must specify a branch to trigger on"),
        ({"branch": "master"}, "triggers cannot form a loop"),
        ({"branch": "a b"}, "name (a b) invalid"),
        ({"size": "big"}, "invalid trigger size: invalid size: 'big'"),
        ({"size": "-1"}, "invalid trigger size"),
        ({"commits": -1}, "can't trigger on a negative number of commits"),
        ({"rate_limit_spec": "often"}, "invalid trigger rate limit spec: "),
        ({"cron_spec": "* *"}, "invalid trigger cron spec: "),
    ],
)
def test_trigger_that_can_not_be_is_refused(repo: Connection, trigger: dict[str, Any], text: str) -> None:
    with pytest.raises(PachletError) as caught:
        triggered(repo, **trigger)
    assert text in caught.value.message
    assert [each.branch.name for each in branches.list_branch(repo, "a")] == ["staging"]


def test_triggers_form_no_loop_and_have_no_provenance(repo: Connection) -> None:
    triggered(repo, "one", commits=1)
    triggered(repo, "two", branch="one", commits=1)
    with pytest.raises(Refused, match="triggers cannot form a loop"):
        triggered(repo, "staging", branch="two", commits=1)
    repos.create_repo(repo, "b")
    with pytest.raises(Refused, match="a branch cannot have both provenance and a trigger"):
        create_branch(repo, "b@master", "a@one", trigger={"branch": "x", "commits": 1})


def test_number_of_commits(repo: Connection) -> None:
    triggered(repo, commits=2)
    assert moved(repo, 6) == [False, True] * 3


def test_size(repo: Connection) -> None:
    triggered(repo, size="1K")
    assert stage(repo, "x" * 999) != head_id(repo)
    assert stage(repo, "x" * 1000) == head_id(repo)
    assert stage(repo, "x" * 1999) != head_id(repo)
    assert stage(repo, "x" * 2000) == head_id(repo)


def test_rate_limit(repo: Connection, clock: FakeClock) -> None:
    triggered(repo, rate_limit_spec="@every 1h")
    assert moved(repo, 2) == [False, False]
    clock.advance(3700)
    assert moved(repo, 2, "y") == [True, False]
    clock.advance(3700)
    assert moved(repo, 1, "z") == [True]


def test_any_condition_is_enough_unless_all_are_asked_for(repo: Connection) -> None:
    triggered(repo, "any", commits=2, size="100")
    triggered(repo, "all", commits=2, size="100", all=True)
    reached = []
    for text in ("1", "2", "3" * 200, "4"):
        id = stage(repo, text)
        reached.append((head_id(repo, "any") == id, head_id(repo, "all") == id))
    assert reached == [(False, False), (True, False), (True, True), (False, False)]


def test_chain_is_followed_and_what_does_not_fire_stops_it(repo: Connection) -> None:
    triggered(repo, "b", size="100")
    triggered(repo, "c", branch="b", size="200")
    triggered(repo, "other", branch="elsewhere", size="1")
    before = head_id(repo, "other")
    seen = []
    for size in (50, 100, 150, 200, 250):
        id = stage(repo, "x" * size)
        seen.append((head_id(repo, "b") == id, head_id(repo, "c") == id))
    assert seen == [(False, False), (True, False), (False, False), (True, True), (False, False)]
    assert head_id(repo, "other") == before


def test_branch_moved_by_hand_fires_nothing(repo: Connection) -> None:
    triggered(repo, commits=1)
    create_branch(repo, "a@aside")
    id = put_id(repo, "a@aside", {"/f": "x"})
    create_branch(repo, "a@staging", head={"repo": {"name": "a"}, "id": id})
    assert head_id(repo, "staging") == id
    assert head_id(repo) != id


def test_commit_with_an_error_fires_nothing(repo: Connection) -> None:
    triggered(repo, commits=1)
    started = commits.start_commit(repo, "a@staging")
    commits.finish_commit(repo, f"a@{started.id}", error="no good")
    commits.wait_commit(repo, f"a@{started.id}")
    assert head_id(repo) != started.id


def test_empty_commit_fires_too(repo: Connection) -> None:
    triggered(repo, commits=1)
    started = commits.start_commit(repo, "a@staging")
    commits.finish_commit(repo, f"a@{started.id}")
    commits.wait_commit(repo, f"a@{started.id}")
    assert head_id(repo) == started.id


def test_what_is_downstream_follows_in_a_set_of_its_own(repo: Connection) -> None:
    triggered(repo, commits=1)
    repos.create_repo(repo, "b")
    create_branch(repo, "b@master", "a@master")
    id = stage(repo)
    below = head(repo, "b@master")
    assert below.commit.id != id
    assert [(each.repo.name, each.id) for each in below.direct_provenance] == [("a", id)]
    assert commits.inspect_commit(repo, f"a@{below.commit.id}").commit.id == id


def test_cron_moves_at_its_ticks(repo: Connection, clock: FakeClock) -> None:
    triggered(repo, cron_spec="@every 1h")
    first = stage(repo, "1")
    assert head_id(repo) != first
    clock.advance(3601)
    wait_for_head(repo, first)
    second = stage(repo, "2")
    assert head_id(repo) == first
    clock.advance(100 * 3600)  # many ticks at once are one
    wait_for_head(repo, second)
    triggered(repo, cron_spec="@never")
    stage(repo, "3")
    clock.advance(3601)
    assert head_id(repo) == second


def wait_for_head(connection: Connection, id: str) -> None:
    """Return once master is at a commit: what is downstream of it gets a commit then."""
    names = [each.repo.name for each in repos.list_repo(connection)]
    if "probe" not in names:
        repos.create_repo(connection, "probe")
        create_branch(connection, "probe@master", "a@master")
    request = {"repo": {"name": "probe", "type": "user"}, "branch": "master", "all": True, "state": 1}
    for info in connection.call("pfs_v2.API", "SubscribeCommit", request, timeout=20):
        if any(each.id == id for each in info.direct_provenance):
            return
    raise AssertionError("the subscription ended")


def test_trigger_survives_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    with testing.server(tmp_path / "d", clock=clock) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        create_branch(connection, "a@staging")
        triggered(connection, cron_spec="@every 1h")
        id = stage(connection)
    clock.advance(3601)
    with testing.server(tmp_path / "d", clock=clock) as running, Connection(running.address) as connection:
        wait_for_head(connection, id)


def test_branch_goes_with_its_trigger(repo: Connection) -> None:
    triggered(repo, commits=1)
    branches.delete_branch(repo, "a@master")
    stage(repo)
    create_branch(repo, "a@master")
    assert not branches.inspect_branch(repo, "a@master").HasField("trigger")
    triggered(repo, commits=1)
    repos.delete_repo(repo, "a")
    assert [each.repo.name for each in repos.list_repo(repo)] == []


def test_pipeline_input_with_a_trigger(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put_id(connection, "a@master", {"/one": "1"})
    copy = "cp -r /pfs/a/* /pfs/out/ || true"
    spec = shell("copy", copy, pfs_input("a", "/", trigger={"commits": 2}))
    pipelines.create_pipeline(connection, spec)
    last_job(connection, "copy")
    branch = branches.inspect_branch(connection, "a@copy-trigger-1")
    assert (branch.trigger.branch, branch.trigger.commits) == ("master", 2)
    second = put_id(connection, "a@master", {"/two": "2"})
    third = put_id(connection, "a@master", {"/three": "3"})
    commits.wait_commit(connection, f"a@{third}")
    assert head_id(connection, "copy-trigger-1") == second
    assert ended(last_job(connection, "copy")) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(connection, "copy@master") == {"/one": "1", "/two": "2"}
    pipelines.create_pipeline(connection, spec, update=True)
    assert head_id(connection, "copy-trigger-1") == second


def test_pipeline_input_with_a_trigger_that_can_not_be(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    spec = shell("copy", "true", pfs_input("a", trigger={"size": "huge"}))
    with pytest.raises(PachletError, match="could not create/update trigger branch: invalid trigger size"):
        pipelines.create_pipeline(connection, spec)
    with pytest.raises(PachletError):
        pipelines.inspect_pipeline(connection, "copy")
