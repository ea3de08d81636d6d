"""Services: one process on one datum, reached at a port, and replaced by the next version without anybody noticing."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.lineage.asking import trace
from pachlet.client.watch import head_of
from pachlet.errors import InvalidArgument, Refused
from tests.acceptance.test_spouts import CRASHING, RUNNING, printed
from tests.acceptance.typed import Terminal
from tests.acceptance.words import PFS, PPS, job, pfs_input, put, tree, until

ROOT = Path(__file__).parents[2]
SERVE = """
import http.server, os, sys
if os.path.exists("/pfs/in/broken"):
    sys.exit(4)
text = open("/pfs/in/text").read().encode()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/end":
            os._exit(7)
        is_well = self.path != "/health" or not os.path.exists("/pfs/in/ill")
        self.send_response(200 if is_well else 500)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 200
Server(("0.0.0.0", 80), Handler).serve_forever()
"""


def service(name: str = "s", *, port: int = 80, code: str = SERVE, **more: Any) -> dict[str, Any]:
    transform = {"image": "alpine", "cmd": ["python3", "-c", code]}
    spec = {"pipeline": {"name": name}, "transform": transform, "service": {"internal_port": port}}
    return {**spec, "input": pfs_input("in", "/"), "datum_tries": 1, **more}


def annotated(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"pachlet/{name}": value for name, value in annotations.items()}}}


def serving(connection: Connection, times: int = 1) -> http.client.HTTPConnection:
    """Return a connection to a service once it has said so many times that it answers."""
    lines = connection.call(PPS, "GetLogs", {"pipeline": {"name": "s"}, "follow": True}, timeout=60)
    for _ in range(times):
        next(line for line in lines if line.message == "the service answers")
    return connect(connection)


def connect(connection: Connection, name: str = "s") -> http.client.HTTPConnection:
    found = pipelines.inspect_pipeline(connection, name).details.service
    assert found.ip == "127.0.0.1"
    return http.client.HTTPConnection(found.ip, found.external_port, timeout=60)


def get(client: http.client.HTTPConnection, path: str = "/") -> str:
    client.request("GET", path)
    return client.getresponse().read().decode()


def states(connection: Connection) -> list[str]:
    """Return the states of a service's jobs, newest first."""
    return [jobs.state_of(each).removeprefix("JOB_") for each in jobs.list_job(connection, pipeline="s")]


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/text": "one"})
    return connection


def replace(connection: Connection, **files: str) -> str:
    """Put files; return the id of the job that this makes."""
    put(connection, "in@master", {f"/{name}": text for name, text in files.items()})
    return head_of(connection, "in@master")


def test_a_service_answers_with_its_datum(repo: Connection, tmp_path: Path) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    assert get(client) == "one"
    client.close()
    info = pipelines.inspect_pipeline(repo, "s")
    told = Terminal(str(repo.address), tmp_path).ok("inspect", "pipeline", "s").out
    assert f"\nService: 127.0.0.1:{info.details.service.external_port} (port 80 of its step)\n" in told
    assert (info.type, info.state) == (3, RUNNING)
    assert states(repo) == ["RUNNING"]
    newest = next(jobs.list_job(repo, pipeline="s"))
    assert commits.wait_commit(repo, f"s@{newest.job.id}").HasField("finished")
    request = {"job": {"pipeline": {"name": "s"}, "id": newest.job.id}}
    (datum,) = repo.call(PPS, "ListDatum", request)
    assert [each.file.path for each in datum.data] == ["/"]
    assert list(repo.call(PFS, "Fsck", {})) == []
    graph = trace(repo, "in@master:/text", down=True)
    assert [(each.pipeline, each.job) for each in graph.runs_of(graph.root)] == [("s", newest.job.id)]


def test_a_new_commit_is_served_once_it_answers_and_its_predecessor_succeeds(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    first = next(jobs.list_job(repo, pipeline="s")).job.id
    assert get(client) == "one"
    second = replace(repo, text="two")
    assert jobs.state_of(job(repo, "s", first)) == "JOB_SUCCESS"
    assert get(client) == "two"  # on the same connection
    assert states(repo) == ["RUNNING", "SUCCESS"]
    assert next(jobs.list_job(repo, pipeline="s")).job.id == second
    client.close()


def test_a_version_that_never_answers_leaves_the_one_before_serving(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    broken = job(repo, "s", replace(repo, broken="yes"))
    assert jobs.state_of(broken) == "JOB_FAILURE"
    assert broken.reason == "the service never answered; user code ended: exit status 4"
    assert get(client) == "one"
    info = until(repo, "s", lambda info: "never answered" in info.reason)
    assert info.state == RUNNING
    assert "the one before serves" in info.reason
    assert (
        "never answered" in commits.wait_commit(repo, f"s@{broken.job.id}").error
    )  # and it can be waited for
    client.close()


GATED = """
import subprocess, time
while open("/pfs/in/text").read() != "one" and " go " not in subprocess.getoutput("pachctl list repo"):
    time.sleep(0.05)
"""
"""Before it serves any text but the first, such a process waits until there is a repo named go."""


def started(connection: Connection, id: str) -> bool:
    """Return whether a job's process was started; wait until it is known."""
    name = {"pipeline": {"name": "s"}, "id": id}
    lines = connection.call(PPS, "GetLogs", {"job": name, "follow": True}, timeout=60)
    return any(line.message == "starting the service" for line in lines)


def test_of_several_commits_that_wait_the_newest_is_served(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service(code=GATED + SERVE))
    client = serving(repo)
    second = replace(repo, text="two")
    assert started(repo, second)
    third, fourth, fifth = (replace(repo, text=text) for text in ("three", "four", "five"))
    repos.create_repo(repo, "go")
    for passed_over in (third, fourth):
        info = job(repo, "s", passed_over)
        assert (jobs.state_of(info), info.reason) == ("JOB_SUCCESS", "")
        assert commits.wait_commit(repo, f"s@{passed_over}").error == ""
        assert not started(repo, passed_over)
    assert jobs.state_of(job(repo, "s", second)) == "JOB_SUCCESS"  # as the fifth has taken over
    assert get(client) == "five"
    assert states(repo) == ["RUNNING", *["SUCCESS"] * 4]
    assert next(jobs.list_job(repo, pipeline="s")).job.id == fifth
    client.close()


def test_a_version_that_was_starting_when_the_server_ended_is_started_again(tmp_path: Path) -> None:
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/text": "one"})
        pipelines.create_pipeline(connection, service(code=GATED + SERVE))
        serving(connection)
        second = replace(connection, text="two")
        assert started(connection, second)
    with testing.server(tmp_path) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "go")
        assert commits.wait_commit(connection, f"s@{second}").error == ""
        client = connect(connection)
        while get(client) != "two":
            client.close()
        assert states(connection)[0] == "RUNNING"
        client.close()


def test_a_service_that_is_not_well_is_not_let_through(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service(**annotated(health="/health")))
    client = serving(repo)
    more = annotated(**{"health": "/health", "answers-within": "1s"})
    pipelines.create_pipeline(repo, service(**more), update=True)
    ill = job(repo, "s", replace(repo, ill="yes", text="ill"))
    assert jobs.state_of(ill) == "JOB_FAILURE"
    assert ill.reason.endswith("it did not answer on port 80 within 1 s")
    assert get(client) == "one"
    client.close()


def test_a_service_that_ends_is_started_again(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    with pytest.raises(http.client.HTTPException):
        get(client, "/end")
    assert get(client) == "one"  # it waits until the service answers again
    client.close()
    printed(repo, "user code ended: exit status 7; the service is started again in")
    assert states(repo) == ["RUNNING"]


def test_an_update_is_served_once_it_answers(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    first = next(jobs.list_job(repo, pipeline="s")).job.id
    shouting = SERVE.replace(".read().encode()", ".read().upper().encode()")
    pipelines.create_pipeline(repo, service(code=shouting), update=True)
    assert jobs.state_of(job(repo, "s", first)) == "JOB_SUCCESS"
    assert get(client) == "ONE"
    client.close()


def test_stop_start_and_delete(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    first = next(jobs.list_job(repo, pipeline="s")).job.id
    port = client.port
    pipelines.stop_pipeline(repo, "s")
    assert jobs.state_of(job(repo, "s", first)) == "JOB_KILLED"
    pipelines.start_pipeline(repo, "s")
    second = next(jobs.list_job(repo, pipeline="s")).job.id
    assert second != first
    answered(repo, second)
    client = connect(repo)
    assert client.port == port
    assert get(client) == "one"
    client.close()
    pipelines.delete_pipeline(repo, "s")
    assert [each.repo.name for each in repos.list_repo(repo)] == ["in"]


def test_a_service_whose_job_was_stopped_says_so_and_how_it_serves_again(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    serving(repo).close()
    for end in ("StopJob", "DeleteJob"):
        last = next(jobs.list_job(repo, pipeline="s")).job
        repo.call(PPS, end, {"job": last})
        (listed,) = pipelines.list_pipeline(repo)
        assert listed.reason.startswith(
            "nothing serves: its job was stopped or deleted; `pachctl rerun pipeline s"
        )
        assert listed.details.reason == listed.reason
        pipelines.rerun_pipeline(repo, "s")
        answered(repo, next(jobs.list_job(repo, pipeline="s")).job.id)
        client = connect(repo)
        assert get(client) == "one"
        client.close()
        assert "nothing serves" not in pipelines.inspect_pipeline(repo, "s").reason


def answered(connection: Connection, id: str) -> None:
    """Return once the service of a job answers."""
    request = {"job": {"pipeline": {"name": "s"}, "id": id}, "follow": True}
    for line in connection.call(PPS, "GetLogs", request, timeout=60):
        if line.message == "the service answers":
            return
    raise AssertionError("it never did")


def test_a_service_comes_back_with_the_server_on_the_same_port(tmp_path: Path) -> None:
    ports = []
    for round in range(2):
        with testing.server(tmp_path, code=ROOT) as server, Connection(server.address) as connection:
            if not round:
                repos.create_repo(connection, "in")
                put(connection, "in@master", {"/text": "one"})
                pipelines.create_pipeline(connection, service())
            client = serving(connection, times=round + 1)
            assert get(client) == "one"
            ports.append(client.port)
            client.close()
            assert states(connection) == ["RUNNING"]
    assert ports[0] == ports[1]


def test_no_request_is_lost_in_ten_changes(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    serving(repo).close()
    is_over = threading.Event()
    seen: set[str] = set()
    failures: list[str] = []
    counts = [0]

    def ask(is_kept: bool) -> None:
        client = connect(repo)
        while not is_over.is_set():
            try:
                seen.add(get(client))
                counts[0] += 1
            except (OSError, http.client.HTTPException) as problem:
                failures.append(repr(problem))
                client.close()
            if not is_kept:
                client.close()
        client.close()

    threads = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    before = next(jobs.list_job(repo, pipeline="s")).job.id
    try:
        for number in range(10):
            after = replace(repo, text=f"version {number}")
            assert jobs.state_of(job(repo, "s", before)) == "JOB_SUCCESS"
            before = after
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert seen >= {f"version {number}" for number in range(9)}
    assert counts[0] > 100


def test_services_must_have_a_single_datum(repo: Connection) -> None:
    put(repo, "in@master", {"/more": "two"})
    pipelines.create_pipeline(repo, service(input=pfs_input("in", "/*")))
    failed = job(repo, "s", next(jobs.list_job(repo, pipeline="s")).job.id)
    assert jobs.state_of(failed) == "JOB_FAILURE"
    assert failed.reason.startswith("services must have a single datum")
    until(repo, "s", lambda info: info.state == CRASHING and "single datum" in info.reason)


def test_a_service_reaches_the_server_and_not_the_world(repo: Connection) -> None:
    code = (
        "import socket, subprocess; "
        "print(subprocess.getoutput('pachctl list repo | grep -o \"default *in\"'), socket.if_nameindex(), flush=True)"
        + SERVE
    )
    pipelines.create_pipeline(repo, service(code=code))
    client = serving(repo)
    assert get(client) == "one"
    client.close()
    said = [each.message for each in repo.call(PPS, "GetLogs", {"pipeline": {"name": "s"}}) if each.user]
    assert said == ["default in [(1, 'lo')]"]  # it knows the repo, and has no interface but its own


def test_a_port_that_is_taken_is_named_and_tried_again(repo: Connection) -> None:
    pipelines.create_pipeline(repo, service())
    client = serving(repo)
    taken = {"service": {"internal_port": 80, "external_port": client.port}}
    pipelines.create_pipeline(repo, service("t", **taken))
    info = until(repo, "t", lambda info: info.state == CRASHING)
    assert str(client.port) in info.reason
    pipelines.delete_pipeline(repo, "s")
    printed(repo, "the service answers", "t")
    client.close()


def test_a_spout_with_a_service_takes_what_is_sent_to_it(connection: Connection) -> None:
    code = """
import http.server, subprocess
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        subprocess.run(["pachctl", "put", "file", "s@master:/hook", "-f", "-"], input=body, check=True)
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
    spout = {"service": {"internal_port": 8080}}
    spec = {"pipeline": {"name": "s"}, "spout": spout, "transform": {"cmd": ["python3", "-c", code]}}
    pipelines.create_pipeline(connection, spec)
    printed(connection, "beginning to run user code")
    port = until(connection, "s", lambda info: info.details.spout.service.external_port)
    client = http.client.HTTPConnection("127.0.0.1", port.details.spout.service.external_port, timeout=60)
    client.request("POST", "/", body=b"hello")
    assert client.getresponse().status == 204
    client.close()
    assert tree(connection, "s@master") == {"/hook": "hello"}


@pytest.mark.parametrize(
    "change, text",
    [
        ({"service": {}}, "internal_port must be between"),
        ({"service": {"internal_port": 70000}}, "internal_port must be between"),
        ({"service": {"internal_port": 30653}}, "there, the code finds the server"),
        ({"service": {"internal_port": 80, "external_port": 70000}}, "external_port must be"),
        ({"input": None}, "must have an input"),
        (annotated(health="health"), "it is a path"),
        (annotated(**{"answers-within": "soon"}), "a number of seconds"),
        ({"parallelism_spec": {"constant": 2}}, "constant parallelism"),
    ],
)
def test_what_can_not_be(repo: Connection, change: dict[str, Any], text: str) -> None:
    spec = {key: value for key, value in {**service(), **change}.items() if value is not None}
    with pytest.raises((InvalidArgument, Refused), match=text):
        pipelines.create_pipeline(repo, spec)
