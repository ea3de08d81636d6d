"""Logs: what a job's code printed and what the engine says of it, live and later."""

from __future__ import annotations

import base64
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.storage import collect_garbage
from pachlet.clock import FakeClock
from pachlet.errors import InvalidArgument, NotFound, PachletError
from tests.acceptance.words import PPS, create, last_job, pfs_input, put, shell

SCRIPT = "for n in 1 2 3; do echo $in line $n; done; echo oops >&2"


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/b": "2"})
    return connection


def logs(connection: Connection, **request: Any) -> list[Any]:
    return list(connection.call(PPS, "GetLogs", request))


def printed(lines: list[Any]) -> list[str]:
    return [each.message for each in lines if each.user]


def test_lines_are_those_of_the_code_in_order(repo: Connection) -> None:
    info = create(repo, shell("p", SCRIPT, pfs_input("in")))
    lines = logs(repo, job=info.job)
    for path in ("/pfs/in/a", "/pfs/in/b"):
        of_datum = [text for text in printed(lines) if path in text]
        assert of_datum == [f"{path} line {number}" for number in (1, 2, 3)]
    assert printed(lines).count("oops") == 2
    assert sum(each.message == "beginning to run user code" for each in lines) == 2
    assert sum(each.message.startswith("finished running user code after ") for each in lines) == 2
    times = [each.ts.ToNanoseconds() for each in lines]
    assert len(set(times)) == len(times)
    for line in lines:
        assert (line.pipeline_name, line.project_name, line.job_id) == ("p", "default", info.job.id)
        assert bool(line.datum_id) != line.master
        assert not (line.master and line.user)


def test_debug_says_what_each_try_was_given_and_how_it_ended(repo: Connection) -> None:
    debug = {"transform": {"debug": True}}
    info = create(repo, shell("p", "echo x >/pfs/out/$PACH_DATUM_ID", pfs_input("in", "/"), **debug))
    said = [each.message for each in logs(repo, job=info.job) if not each.master]
    assert said[0] == "2 input files, 2 bytes, laid out below /pfs"
    assert said[3].startswith("exit status 0, peak memory ")
    assert said[4] == "1 output files found in /pfs/out"


def test_lines_can_be_chosen(repo: Connection) -> None:
    info = create(repo, shell("p", SCRIPT, pfs_input("in")))
    everything = logs(repo, pipeline={"name": "p"})
    assert logs(repo, job=info.job) == everything
    masters = logs(repo, job=info.job, master=True)
    assert masters == [each for each in everything if each.master] != []
    assert any(each.message == "2 new" for each in masters)
    (first, _) = repo.call(PPS, "ListDatum", {"job": info.job})
    of_datum = logs(repo, datum={"id": first.datum.id, "job": info.job})
    assert of_datum == [each for each in everything if each.datum_id == first.datum.id] != []
    assert logs(repo, job=info.job, tail=3) == everything[-3:]
    assert logs(repo, job=info.job, since={"nanos": 1}) == []


def test_live_lines_are_the_stored_ones_and_end_with_the_job(repo: Connection) -> None:
    pipelines.create_pipeline(repo, shell("p", f"{SCRIPT}; sleep 0.1; echo late", pfs_input("in")))
    job = next(repo.call(PPS, "ListJob", {"pipeline": {"name": "p"}})).job
    live = logs(repo, job=job, follow=True)
    assert printed(live).count("late") == 2
    assert live == logs(repo, job=last_job(repo, "p").job)
    assert logs(repo, job=job, follow=True) == live


def test_follower_of_a_pipeline_sees_its_next_job(repo: Connection) -> None:
    first = create(repo, shell("p", "echo hello", pfs_input("in")))
    followed = repo.call(PPS, "GetLogs", {"pipeline": {"name": "p"}, "follow": True})
    seen = [next(followed) for _ in logs(repo, job=first.job)]
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, followed)
        put(repo, "in@master", {"/c": "3"})
        assert following.result(10).job_id == last_job(repo, "p").job.id != seen[0].job_id
    followed.close()


def test_failure_is_in_the_log(repo: Connection) -> None:
    info = create(repo, shell("p", "echo it broke; exit 4", pfs_input("in", "/a")))
    lines = [each.message for each in logs(repo, job=info.job)]
    assert "it broke" in lines
    assert "attempt 1 of 1 failed: exit status 4" in lines
    assert any("failed 1" in line for line in lines)


def test_odd_output_is_kept(repo: Connection) -> None:
    script = r"printf 'no newline'; printf '\n\n'; printf 'b\303\274cher \377\n'; head -c 200000 /dev/zero | tr '\0' x"
    info = create(repo, shell("p", script, pfs_input("in", "/a")))
    lines = printed(logs(repo, job=info.job))
    assert lines[0] == "no newline"
    assert any(line.startswith("bücher") for line in lines)
    assert "".join(lines).count("x") == 200_000


def test_logs_of_what_is_not_there(repo: Connection) -> None:
    info = create(repo, shell("p", "true", pfs_input("in")))
    create(repo, shell("q", "true", pfs_input("in")))
    for request, kind, text in (
        ({"pipeline": {"name": "none"}}, NotFound, "could not get pipeline information for default/none"),
        ({"job": {"pipeline": {"name": "p"}, "id": "0" * 32}}, NotFound, "could not get job information for"),
        ({"job": {"id": info.job.id}}, InvalidArgument, "pipeline must be specified for the given job"),
        ({"pipeline": {"name": "q"}, "job": info.job}, PachletError, "job is from the wrong pipeline"),
        ({"datum": {"id": "x"}}, InvalidArgument, "must specify the Job or Pipeline that the datum is from"),
        ({"job": info.job, "tail": -1}, InvalidArgument, "number cannot be negative"),
    ):
        with pytest.raises(kind, match=text) as refused:
            logs(repo, **request)
        assert refused.value.hint or kind is not NotFound
    with pytest.raises(InvalidArgument, match="must specify the Job or Pipeline that the datum is from"):
        logs(repo, data_filters=["/a"])


def files_of(connection: Connection, job: Any, path: str) -> Any:
    """Return what the FileInfo says of the file that a datum of the job read."""
    for datum in connection.call(PPS, "ListDatum", {"job": job}):
        for info in datum.data:
            if info.file.path == path:
                return info
    raise AssertionError(path)


def test_lines_are_chosen_by_the_data_that_was_read(repo: Connection) -> None:
    info = create(repo, shell("p", SCRIPT, pfs_input("in")))
    everything = logs(repo, job=info.job)
    digest = files_of(repo, info.job, "/a").hash
    wanted = [each.message for each in everything if each.datum_id and "/pfs/in/b" not in each.message]
    for name in ("/a", digest.hex(), base64.b64encode(digest).decode()):
        found = logs(repo, job=info.job, data_filters=[name])
        assert printed(found) == [f"/pfs/in/a line {n}" for n in (1, 2, 3)] + ["oops"]
        assert {(each.data[0].path, each.data[0].hash) for each in found} == {("/a", digest)}
        assert logs(repo, pipeline={"name": "p"}, data_filters=[name]) == found
        assert logs(repo, job=info.job, data_filters=[name], tail=2) == found[-2:]
    assert len({each for each in wanted if "line" in each}) == 3
    assert logs(repo, job=info.job, data_filters=["/a", "/b"]) == []
    assert logs(repo, job=info.job, data_filters=["/c"], tail=5) == []


def test_lines_of_data_are_followed_while_the_job_runs(repo: Connection) -> None:
    pipelines.create_pipeline(repo, shell("p", f"{SCRIPT}; sleep 0.1; echo late", pfs_input("in")))
    job = next(repo.call(PPS, "ListJob", {"pipeline": {"name": "p"}})).job
    live = logs(repo, job=job, follow=True, data_filters=["/a"])
    assert printed(live) == [*[f"/pfs/in/a line {n}" for n in (1, 2, 3)], "oops", "late"]
    assert live == logs(repo, job=last_job(repo, "p").job, data_filters=["/a"])


def test_p4321_lines_are_the_same_after_update_stop_and_restart(tmp_path: Path) -> None:
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1", "/b": "2"})
        info = create(connection, shell("p", SCRIPT, pfs_input("in")))
        before = logs(connection, job=info.job)
        assert len(printed(before)) == 8
        create(connection, shell("p", "true", pfs_input("in")), update=True)
        assert logs(connection, job=info.job) == before
        pipelines.stop_pipeline(connection, "p")
        assert logs(connection, job=info.job) == before
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        assert logs(connection, job=info.job) == before
        assert logs(connection, job=info.job, follow=True) == before
        collect_garbage(connection, lambda step: None, dry_run=False, grace=None, slack_percent=0)
        assert logs(connection, job=info.job) == before
        newest = last_job(connection, "p").job
        of_newest = logs(connection, job=newest)
        connection.call(PPS, "DeleteJob", {"job": info.job})  # they go with their job, and with nothing else
        with pytest.raises(NotFound, match="could not get job information for"):
            logs(connection, job=info.job)
        day = {"seconds": 24 * 3600}
        assert {each.job_id for each in logs(connection, pipeline={"name": "p"}, since=day)} & {
            info.job.id
        } == set()
        assert logs(connection, job=newest) == of_newest != []


def test_servers_own_log_is_kept_in_memory(repo: Connection, caplog: pytest.LogCaptureFixture) -> None:
    lines = logs(repo)
    assert any("serves" in each.message and "info pachlet.server" in each.message for each in lines)
    assert all(each.ts.seconds and not each.pipeline_name for each in lines)
    followed = repo.call(PPS, "GetLogs", {"follow": True, "tail": 1})
    assert next(followed) == lines[-1]
    logging.getLogger("pachlet.test").warning("a %s of the server", "line")
    assert next(followed).message == "warning pachlet.test: a line of the server"
    followed.close()
    assert [each.message for each in logs(repo, tail=1)] == ["warning pachlet.test: a line of the server"]


def test_a_pipelines_lines_are_those_of_a_day_and_a_jobs_are_all(tmp_path: Path) -> None:
    clock = FakeClock()
    with (
        testing.server(tmp_path, clock=clock) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        info = create(connection, shell("p", SCRIPT, pfs_input("in")))
        before = logs(connection, job=info.job)
        assert logs(connection, pipeline={"name": "p"}) == before
        clock.advance(25 * 3600)
        assert logs(connection, pipeline={"name": "p"}) == []
        assert logs(connection, pipeline={"name": "p"}, since={"seconds": 26 * 3600}) == before
        assert logs(connection, job=info.job) == before
        assert logs(connection, job=info.job, since={"seconds": 3600}) == []
        assert logs(connection) == []
