"""How pipelines are, many at once: summaries of projects, and who has worked for longer than was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import jobs, pipelines, projects, repos
from pachlet.client.connection import Connection
from pachlet.clock import FakeClock
from pachlet.errors import NotFound, Unimplemented
from tests.acceptance.words import PPS, create, pfs_input, put, shell

IN = pfs_input("in", project="default")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def repo(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    with testing.server(tmp_path, clock=clock) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        yield connection


def test_projects_are_summed_up(repo: Connection) -> None:
    for name in ("p", "empty"):
        projects.create_project(repo, name)
    create(repo, shell("good", "true", IN))
    create(repo, shell("bad", "exit 1", IN))
    create(repo, shell("crashing", "true", IN, transform={"image": "pachlet/none"}))
    create(repo, shell("paused", "true", IN))
    pipelines.stop_pipeline(repo, "paused")
    there = shell("there", "true", IN)
    there["pipeline"]["project"] = {"name": "p"}
    repo.call(PPS, "CreatePipeline", there)

    def summed(**request: object) -> list[tuple[str, int, int, int, int]]:
        return [
            (
                each.project.name,
                each.active_pipelines,
                each.paused_pipelines,
                each.failed_pipelines,
                each.unhealthy_pipelines,
            )
            for each in repo.call(PPS, "PipelinesSummary", request).summaries
        ]

    assert sorted(summed()) == [("default", 2, 1, 1, 2), ("p", 1, 0, 0, 0)]
    assert summed(projects=[{"name": "p"}, {"name": "empty"}]) == [("p", 1, 0, 0, 0)]
    with pytest.raises(NotFound, match='project "none" not found'):
        summed(projects=[{"name": "none"}])


def test_pipeline_that_works_for_longer_than_expected_is_told_of(repo: Connection, clock: FakeClock) -> None:
    slow = {"maximum_expected_uptime": "60s"}
    pipelines.create_pipeline(repo, shell("slow", "echo started; sleep 600", IN, **slow))
    create(repo, shell("quick", "true", IN, **slow))
    pipelines.create_pipeline(repo, shell("patient", "echo started; sleep 600", IN))
    for name in ("slow", "patient"):
        job = next(jobs.list_job(repo, name)).job
        lines = repo.call(PPS, "GetLogs", {"job": job, "follow": True})
        assert any(line.message == "started" for line in lines)
    assert list(repo.call(PPS, "CheckStatus", {"all": True})) == []
    clock.advance(90.5)
    (told,) = repo.call(PPS, "CheckStatus", {"all": True})
    assert (told.project.name, told.pipeline.name) == ("default", "slow")
    (alert,) = told.alerts
    assert alert.startswith("default/slow: Started running at 2023-11-14 22:13:20")
    assert alert.endswith("exceeded maximum uptime by 0:00:30")
    assert list(repo.call(PPS, "CheckStatus", {"project": {"name": "default"}})) == [told]
    assert list(repo.call(PPS, "CheckStatus", {"project": {"name": "other"}})) == []
    pipelines.stop_pipeline(repo, "slow")
    assert list(repo.call(PPS, "CheckStatus", {})) == []


def test_what_only_clusters_have_is_empty_or_named(repo: Connection) -> None:
    assert list(repo.call(PPS, "ListTask", {"group": {"namespace": "x"}})) == []
    with pytest.raises(Unimplemented, match="unimplemented"):
        repo.call(PPS, "RunPipeline", {"pipeline": {"name": "p"}})
    for method in ("GetKubeEvents", "QueryLoki"):
        with pytest.raises(Unimplemented, match=f"pps_v2.API/{method} is not implemented by pachlet"):
            list(repo.call(PPS, method, {}))
    for method in ("RunLoadTest", "RunLoadTestDefault"):
        with pytest.raises(Unimplemented, match=f"pps_v2.API/{method} is not implemented by pachlet"):
            repo.call(PPS, method, {})
