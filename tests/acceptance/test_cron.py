"""Cron inputs: ticks as commits, exactly those of the schedule, whatever happens to pipeline and server meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.clock import FakeClock
from pachlet.errors import PachletError, Refused
from tests.acceptance.words import (
    PFS,
    PPS,
    create,
    ended,
    job,
    last_job,
    pfs_input,
    put,
    put_id,
    shell,
    tree,
)

HOUR, DAY = 3600, 24 * 3600
LIST = "ls /pfs/tick > /pfs/out/$PACHLET_TICK_tick; test $tick = /pfs/tick/$PACHLET_TICK_tick"


def at(text: str) -> FakeClock:
    """A clock that stands at a time, such as `2024-03-30 10:00`."""
    time = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    return FakeClock(time * 1_000_000_000)


@pytest.fixture
def clock() -> FakeClock:
    return at("2024-03-01 10:30")


@pytest.fixture
def connection(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    """A connection to a server whose time the test moves."""
    with testing.server(tmp_path / "data", clock=clock) as running, Connection(running.address) as connection:
        yield connection


def cron(spec: str, **more: Any) -> dict[str, Any]:
    return {"cron": {"name": "tick", "spec": spec, **more}}


def pipeline(spec: str, script: str = "true", catch_up: str = "", **more: Any) -> dict[str, Any]:
    """The spec of pipeline `p` with a cron input `tick`."""
    made = shell("p", script, cron(spec, **more))
    return {**made, "metadata": {"annotations": {"pachlet/catch-up": catch_up}}} if catch_up else made


def ticks(connection: Connection, count: int, repo: str = "p_tick") -> list[str]:
    """Return the file that each of the first so many commits of a cron repo brought, once they are there."""
    request = {
        "repo": {"name": repo, "type": "user"},
        "branch": "master",
        "state": 4,
        "origin_kind": 1,
        "all": False,
    }
    found: list[str] = []
    before: set[str] = set()
    subscription = connection.call(PFS, "SubscribeCommit", request, timeout=60)
    while len(found) < count:
        now = set(tree(connection, f"{repo}@{next(subscription).commit.id}"))
        [new] = now - before or {max(now)}
        found.append(new[1:])
        before = now
    subscription.close()
    return found


def is_quiet(connection: Connection, count: int, repo: str = "p_tick") -> bool:
    """Tell whether a cron repo has so many ticks and no more: one by hand is made after all that are due."""
    connection.call(PPS, "RunCron", {"pipeline": {"name": repo.partition("_")[0]}})
    listed = commits.list_commit(connection, repo=repo)
    return sum(each.origin.kind == 1 for each in listed) == count + 1


def hours(day: str, *numbers: int) -> list[str]:
    return [f"{day}T{number:02}:00:00Z" for number in numbers]


def test_ticks_become_files_that_the_step_sees(connection: Connection, clock: FakeClock) -> None:
    created = create(connection, pipeline("@hourly", LIST))
    assert ended(created) == ("SUCCESS", 0, 0, 0, 0)
    [repo] = [each for each in repos.list_repo(connection) if each.repo.name == "p_tick"]
    assert repo.description == "Cron tick repo for pipeline default/p."
    clock.advance(HOUR)
    assert ticks(connection, 1) == hours("2024-03-01", 11)
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
    clock.advance(HOUR)
    assert ticks(connection, 2) == hours("2024-03-01", 11, 12)
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 1, 0, 2)
    # A tick is a datum of its own, which sees no other.
    assert tree(connection, "p@master") == {f"/{each}": f"{each}\n" for each in hours("2024-03-01", 11, 12)}
    assert tree(connection, "p_tick@master") == {f"/{each}": "" for each in hours("2024-03-01", 11, 12)}
    info = pipelines.inspect_pipeline(connection, "p")
    assert (info.details.input.cron.repo, info.details.input.cron.spec) == ("p_tick", "@hourly")
    assert info.details.input.cron.start.ToJsonString().startswith("2024-03-01T10:30:00.")


def test_overwrite_keeps_the_newest_tick_alone(connection: Connection, clock: FakeClock) -> None:
    create(connection, pipeline("@hourly", "ls /pfs/tick > /pfs/out/seen", overwrite=True))
    clock.advance(2 * HOUR)
    assert ticks(connection, 2) == hours("2024-03-01", 11, 12)
    assert list(tree(connection, "p_tick@master")) == ["/2024-03-01T12:00:00Z"]
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(connection, "p@master") == {"/seen": "2024-03-01T12:00:00Z\n"}


def test_every_missed_tick_since_the_start_has_a_commit_and_a_job(
    connection: Connection, clock: FakeClock
) -> None:
    """A hundred and twenty of them, in order; the newest is not waited for by the others' jobs."""
    pipelines.create_pipeline(connection, pipeline("*/5 * * * *", start="2024-03-01T00:30:00Z"))
    found = ticks(connection, 120)
    assert found[:2] == ["2024-03-01T00:35:00Z", "2024-03-01T00:40:00Z"]
    assert found[-1] == "2024-03-01T10:30:00Z"
    assert found == sorted(found)
    assert is_quiet(connection, 120)
    made = [each.job.id for each in jobs.list_job(connection, "p")]
    assert len(made) == len(set(made)) == 122  # that of the creation, and that of the tick by hand
    [line] = [each.message for each in logs(connection) if "at once" in each.message][:1]
    assert line == "cron input tick: 100 ticks are made at once, 2024-03-01T00:35:00Z to 2024-03-01T08:50:00Z"


def logs(connection: Connection) -> Iterator[Any]:
    yield from connection.call(PPS, "GetLogs", {"pipeline": {"name": "p"}})


def test_start_in_the_future_is_waited_for(connection: Connection, clock: FakeClock) -> None:
    pipelines.create_pipeline(connection, pipeline("0 * * * *", start="2024-03-02T01:00:00+01:00"))
    clock.advance(13 * HOUR)
    assert is_quiet(connection, 0)
    clock.advance(2 * HOUR)
    assert ticks(connection, 2)[1:] == ["2024-03-02T01:00:00Z"]


@pytest.mark.parametrize(
    "catch_up, made",
    [
        ("all", [*hours("2024-03-01", 8, 9, 10)]),
        ("last", hours("2024-03-01", 10)),
        ("none", []),
    ],
)
def test_which_missed_ticks_are_made(
    connection: Connection, clock: FakeClock, catch_up: str, made: list[str]
) -> None:
    pipelines.create_pipeline(
        connection, pipeline("@hourly", start="2024-03-01T07:30:00Z", catch_up=catch_up)
    )
    ticks(connection, len(made))
    clock.advance(1800)  # no tick is missed that is made at its time
    assert ticks(connection, len(made) + 1) == [*made, *hours("2024-03-01", 11)]
    assert is_quiet(connection, len(made) + 1)
    said = [each.message for each in logs(connection) if "left out" in each.message]
    left = 3 - len(made)
    assert said == ([f"cron input tick: {left} ticks were missed and are left out"] if left else [])


@pytest.mark.parametrize("jumps", [[HOUR] * 5, [5 * HOUR]], ids=["hour by hour", "all at once"])
def test_a_schedule_ends_at_the_time_of_its_annotation(
    jumps: list[int], connection: Connection, clock: FakeClock
) -> None:
    spec = pipeline("@hourly")
    ending = {**spec, "metadata": {"annotations": {"pachlet/until": "2024-03-01T12:59:59Z"}}}
    create(connection, ending)
    for jump in jumps:
        clock.advance(jump)
        if clock.now() >= at("2024-03-01 12:00").now():
            assert ticks(connection, 2) == hours("2024-03-01", 11, 12)
    assert is_quiet(connection, 2)
    said = [
        line.message for line in connection.call(PPS, "GetLogs", {"pipeline": {"name": "p"}, "master": True})
    ]
    assert said.count("cron input tick: that was the last tick of its schedule") == 1
    # An update without an end goes on.
    pipelines.create_pipeline(connection, pipeline("@hourly", start="2024-03-01T14:30:00Z"), update=True)
    assert ticks(connection, 4)[3:] == hours("2024-03-01", 15)


def test_a_schedule_that_ended_with_ticks_that_are_left_out_has_no_last_one(connection: Connection) -> None:
    annotations = {"pachlet/catch-up": "none", "pachlet/until": "2024-03-01T09:00:00Z"}
    spec = {**pipeline("@hourly", start="2024-03-01T07:30:00Z"), "metadata": {"annotations": annotations}}
    pipelines.create_pipeline(connection, spec)
    request = {"pipeline": {"name": "p"}, "master": True, "follow": True}
    said = (line.message for line in connection.call(PPS, "GetLogs", request, timeout=60))
    assert next(each for each in said if "schedule" in each) == "cron input tick: its schedule has ended"


def test_an_end_that_is_no_time_is_refused(connection: Connection) -> None:
    spec = {**pipeline("@hourly"), "metadata": {"annotations": {"pachlet/until": "tomorrow"}}}
    with pytest.raises(Refused, match="the annotation pachlet/until is 'tomorrow'"):
        create(connection, spec)


def test_catch_up_that_is_no_word_is_refused(connection: Connection) -> None:
    with pytest.raises(Refused, match="the annotation pachlet/catch-up is 'some'"):
        pipelines.create_pipeline(connection, pipeline("@hourly", catch_up="some"))
    assert list(pipelines.list_pipeline(connection)) == []
    assert list(repos.list_repo(connection)) == []


def test_p5276_tick_by_hand_hides_no_missed_tick(tmp_path: Path, clock: FakeClock) -> None:
    data = tmp_path / "data"
    with testing.server(data, clock=clock) as running, Connection(running.address) as connection:
        pipelines.create_pipeline(connection, pipeline("@every 1h"))
        clock.advance(HOUR)
        ticks(connection, 1)
    clock.advance(3 * HOUR + 60)
    with testing.server(data, clock=clock) as running, Connection(running.address) as connection:
        pipelines.run_cron(connection, "p")
        assert ticks(connection, 5) == [
            "2024-03-01T11:30:00Z",
            "2024-03-01T12:30:00Z",
            "2024-03-01T13:30:00Z",
            "2024-03-01T14:30:00Z",
            "2024-03-01T14:31:00Z",
        ]
        clock.advance(HOUR)
        assert ticks(connection, 6)[5:] == ["2024-03-01T15:30:00Z"]  # the rhythm is the schedule's


def test_tick_by_hand_needs_a_cron_input(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    create(connection, shell("plain", "true", pfs_input("in")))
    with pytest.raises(Refused, match=r"^pipeline doesn't have a cron input$"):
        pipelines.run_cron(connection, "plain")
    with pytest.raises(PachletError, match="not found"):
        pipelines.run_cron(connection, "none")


def test_never_ticks_by_hand_only(connection: Connection, clock: FakeClock) -> None:
    create(connection, pipeline("@never", LIST))
    clock.advance(400 * DAY)
    pipelines.run_cron(connection, "p")
    assert ticks(connection, 1) == ["2025-04-05T10:30:00Z"]
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
    assert is_quiet(connection, 1)


def test_schedule_that_can_not_be_is_refused(connection: Connection) -> None:
    for spec, text in (
        ("* * * *", "error parsing cron-spec: expected exactly 5 fields, found 4"),
        ("@often", "error parsing cron-spec: unrecognized descriptor: @often"),
        ("TZ=Atlantis/Poseidonis @daily", "no time zone is named Atlantis/Poseidonis"),
        ("", "error parsing cron-spec"),
    ):
        with pytest.raises(PachletError, match="error parsing cron-spec") as refused:
            pipelines.create_pipeline(connection, pipeline(spec))
        assert text in refused.value.message
    assert list(repos.list_repo(connection)) == []


def test_datums_of_cron_inputs_are_listed_by_no_one_before(connection: Connection) -> None:
    with pytest.raises(Refused, match="can't list datums with a cron input, there will be no datums until"):
        list(connection.call(PPS, "ListDatum", {"input": cron("@hourly", repo="x")}))


def test_pipeline_takes_its_cron_repos_along(connection: Connection, clock: FakeClock) -> None:
    put_in(connection, "in")
    create(connection, pipeline("@hourly"))
    create(connection, shell("p", "true", cron("@daily", name="day", repo="in")), update=True)
    connection.call(PPS, "DeletePipeline", {"pipeline": {"name": "p"}, "keep_repo": True})
    # A repo that was there before is no tick repo, and the one of an earlier version goes, too.
    assert sorted(each.repo.name for each in repos.list_repo(connection)) == ["in", "p"]
    clock.advance(2 * DAY)
    repos.delete_repo(connection, "p")
    create(connection, pipeline("@hourly"))
    assert is_quiet(connection, 0)


def put_in(connection: Connection, repo: str) -> None:
    repos.create_repo(connection, repo)
    put(connection, f"{repo}@master", {"/a": "1", "/b": "2"})


def test_ticks_meet_files(connection: Connection, clock: FakeClock) -> None:
    """Crossed with a pfs input, each file meets each tick."""
    put_in(connection, "in")
    both = {"cross": [pfs_input("in"), cron("@daily")]}
    script = "cp /pfs/in/* /pfs/out/$(basename $in).$PACHLET_TICK_tick"
    create(connection, shell("p", script, both))
    clock.advance(DAY)
    ticks(connection, 1)
    assert ended(last_job(connection, "p")) == ("SUCCESS", 2, 0, 0, 2)
    put_id(connection, "in@master", {"/c": "3"})
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 2, 0, 3)
    assert sorted(tree(connection, "p@master")) == [f"/{each}.2024-03-02T00:00:00Z" for each in "abc"]


def test_two_cron_inputs_tick_each_by_itself(connection: Connection, clock: FakeClock) -> None:
    both = {"union": [cron("@hourly", name="hour"), cron("@every 90m", name="often")]}
    create(connection, shell("p", "true", both))
    clock.advance(2 * HOUR)
    assert ticks(connection, 2, "p_hour") == hours("2024-03-01", 11, 12)
    assert ticks(connection, 1, "p_often") == hours("2024-03-01", 12)
    pipelines.run_cron(connection, "p")
    assert ticks(connection, 3, "p_hour")[2] == ticks(connection, 2, "p_often")[1] == "2024-03-01T12:30:00Z"


def test_repo_taken_away_stops_the_ticks_until_an_update(connection: Connection, clock: FakeClock) -> None:
    create(connection, pipeline("@hourly"))
    repos.delete_repo(connection, "p_tick", force=True)
    clock.advance(HOUR)
    info = until_reason(connection, "p")
    assert info.state == 7  # crashing
    assert "p_tick" in info.reason
    create(connection, pipeline("@hourly", start="2024-03-01T10:30:00Z"), update=True)
    assert ticks(connection, 1) == hours("2024-03-01", 11)


def until_reason(connection: Connection, name: str) -> Any:
    """Return the PipelineInfo of a pipeline once its log says that a cron input can't go on."""
    request = {"pipeline": {"name": name}, "follow": True}
    assert any("can't tick" in each.message for each in connection.call(PPS, "GetLogs", request, timeout=60))
    return pipelines.inspect_pipeline(connection, name)


# What may happen to a pipeline or its server, and what the schedule makes of it.


def test_update_goes_on_where_the_schedule_was(connection: Connection, clock: FakeClock) -> None:
    spec = {"start": "2024-03-01T08:30:00Z"}
    pipelines.create_pipeline(connection, pipeline("@hourly", **spec))
    assert ticks(connection, 2) == hours("2024-03-01", 9, 10)
    pipelines.create_pipeline(connection, pipeline("@hourly", "false", **spec), update=True)
    clock.advance(HOUR)
    assert ticks(connection, 3) == hours("2024-03-01", 9, 10, 11)
    # Another schedule goes on from there, too; an earlier start makes no tick again.
    pipelines.create_pipeline(connection, pipeline("0 */6 * * *", start="2024-02-01T00:00:00Z"), update=True)
    clock.advance(8 * HOUR)
    assert ticks(connection, 5)[3:] == hours("2024-03-01", 12, 18)
    assert is_quiet(connection, 5)


def test_update_without_a_start_begins_anew_as_upstream(connection: Connection, clock: FakeClock) -> None:
    pipelines.create_pipeline(connection, pipeline("@every 1h"))
    clock.advance(HOUR)
    ticks(connection, 1)
    clock.advance(1800)
    pipelines.create_pipeline(connection, pipeline("@every 1h"), update=True)
    clock.advance(HOUR)
    assert ticks(connection, 2) == ["2024-03-01T11:30:00Z", "2024-03-01T13:00:00Z"]


@pytest.mark.parametrize("catch_up", ["all", "last", "none"])
def test_server_that_was_down_for_three_days(tmp_path: Path, clock: FakeClock, catch_up: str) -> None:
    data = tmp_path / "data"
    with testing.server(data, clock=clock) as running, Connection(running.address) as connection:
        create(connection, pipeline("0 6 * * *", LIST, catch_up=catch_up))
        clock.advance(19 * HOUR + 1800)
        assert ticks(connection, 1) == ["2024-03-02T06:00:00Z"]
        last_job(connection, "p")
    clock.advance(3 * DAY + HOUR)
    with testing.server(data, clock=clock) as running, Connection(running.address) as connection:
        assert is_quiet(connection, {"all": 4, "last": 2, "none": 1}[catch_up])
        clock.advance(23 * HOUR)
        days = {"all": [3, 4, 5, None, 6], "last": [5, None, 6], "none": [None, 6]}[catch_up]
        by_hand = "2024-03-05T07:00:00Z"
        made = [f"2024-03-0{day}T06:00:00Z" if day else by_hand for day in (2, *days)]
        assert ticks(connection, len(made)) == made
        assert ended(last_job(connection, "p"))[0] == "SUCCESS"


@pytest.mark.parametrize(
    "start, made",
    [
        # Put forward on March 31 at 02:00, put back on October 27 at 03:00.
        ("2024-03-30 00:00", ["30T01:30", "01T00:30"]),
        ("2024-10-26 00:00", ["26T00:30", "27T00:30", "27T01:30", "28T01:30"]),
    ],
)
def test_server_down_over_a_change_of_the_clocks(tmp_path: Path, start: str, made: list[str]) -> None:
    data, clock = tmp_path / "data", at(start)
    with testing.server(data, clock=clock) as running, Connection(running.address) as connection:
        create(connection, pipeline("CRON_TZ=Europe/Berlin 30 2 * * *"))
    clock.advance(3 * DAY)
    with testing.server(data, clock=clock) as running, Connection(running.address) as connection:
        found = ticks(connection, len(made))
        assert [each[8:16] for each in found] == made
        assert is_quiet(connection, len(made))


def test_jobs_of_missed_ticks_see_one_tick_more_each(connection: Connection) -> None:
    pipelines.create_pipeline(connection, pipeline("@hourly", LIST, start="2024-03-01T07:30:00Z"))
    ticks(connection, 3)
    made = list(jobs.list_job(connection, "p"))[::-1]
    counts = [ended(job(connection, "p", each.job.id)) for each in made]
    assert counts[1:] == [("SUCCESS", 1, kept, 0, kept + 1) for kept in range(3)]


@pytest.mark.parametrize("catch_up", ["all", "last", "none"])
def test_stopped_pipeline_catches_up_once_it_is_started(
    connection: Connection, clock: FakeClock, catch_up: str
) -> None:
    create(connection, pipeline("@hourly", LIST, catch_up=catch_up))
    clock.advance(1800)
    assert ticks(connection, 1) == hours("2024-03-01", 11)
    last_job(connection, "p")
    pipelines.stop_pipeline(connection, "p")
    clock.advance(3 * HOUR + 600)
    before = len(list(jobs.list_job(connection, "p")))
    pipelines.run_cron(connection, "p")  # a tick, but no job, as upstream
    assert ticks(connection, 2)[1:] == ["2024-03-01T14:10:00Z"]
    assert len(list(jobs.list_job(connection, "p"))) == before
    pipelines.start_pipeline(connection, "p")
    missed = {"all": hours("2024-03-01", 12, 13, 14), "last": hours("2024-03-01", 14), "none": []}[catch_up]
    assert is_quiet(connection, 2 + len(missed))
    assert ticks(connection, 2 + len(missed))[2:] == missed
    clock.advance(50 * 60)
    after = ticks(connection, 4 + len(missed))
    assert after[-1] == "2024-03-01T15:00:00Z"
    assert ended(last_job(connection, "p"))[::4] == ("SUCCESS", 3 + len(missed))


def test_update_of_a_stopped_pipeline_leaves_it_stopped(connection: Connection, clock: FakeClock) -> None:
    spec = pipeline("@hourly", LIST, start="2024-03-01T10:30:00Z")
    create(connection, spec)
    pipelines.stop_pipeline(connection, "p")
    pipelines.create_pipeline(connection, spec, update=True)
    clock.advance(2 * HOUR)
    assert is_quiet(connection, 0)
    pipelines.start_pipeline(connection, "p")
    assert ticks(connection, 3)[1:] == hours("2024-03-01", 11, 12)
