"""What is killed in test_kills_jobs.py: seven pipelines, a user who does not leave them alone, and what must be true.

`clean` tries again and again, since its code fails now and then, and recovers what is bad. `second` reads what it
wrote, so the two are a chain. `strict` fails with what is bad, and `after`, which reads it, can't run then. `sets`
takes several datums at a time. Nothing that any of them writes depends on when it ran, or how often. `desk` is a
service that answers with a file of its input, and `feed` a spout that writes a commit every second.

Read next: test_kills_jobs.py.
"""

from __future__ import annotations

import http.client
import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pachlet.client import commits, files, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from tests.acceptance.words import pfs_input, put, shell, tree

BEGINNING = "beginning to run user code"
NAMES = [*"abcdefgh", "bad1", "bad2"]
COPY = 'cp "$in" /pfs/out/'
FLAKY = f"case $in in */bad*) exit 1;; esac; sleep 0.02; [ $((RANDOM % 8)) -gt 0 ] || exit 7; {COPY}"
STRICT = f"sleep 0.02; case $in in */bad*) exit 1;; esac; {COPY}"
FORGIVE = "case $in in */bad*) exit 0;; esac; exit 1"
FEED = "while :; do date > /tmp/f; pachctl put file feed@master:/f -f /tmp/f; sleep 1; done"
DESK = """
import http.server
text = open("/pfs/in/a").read().encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 80), Handler).serve_forever()
"""
STANDING = ("desk", "feed")
REASONS = {
    "FAILURE": "datum ",
    "UNRUNNABLE": "unrunnable because the following upstream pipelines failed: default/",
    "KILLED": "all jobs killed because pipeline was ",
}
"""How the reason of a job begins that ended so; a user's own is STOPPED."""
STOPPED = "a user stopped it"


def specs(mark: str) -> dict[str, dict[str, Any]]:
    """Return the specs by the pipelines' names; whatever their steps run has `mark` in its environment."""
    bash = {"cmd": ["bash"], "env": {"MARK": mark}}
    recovering = {**bash, "err_cmd": ["bash"], "err_stdin": [FORGIVE]}
    made = [
        shell("clean", FLAKY, pfs_input("in"), transform=recovering, parallelism_spec={"constant": 2}),
        shell(
            "second", 'sed s/^/2/ "$clean" >/pfs/out/$(basename "$clean")', pfs_input("clean"), transform=bash
        ),
        shell("strict", STRICT, pfs_input("in"), transform=bash),
        shell("after", 'cp "$strict" /pfs/out/', pfs_input("strict"), transform=bash),
        shell("sets", COPY, pfs_input("in"), transform=bash, datum_set_spec={"number": 3}),
    ]
    found = {each["pipeline"]["name"]: {**each, "datum_tries": 8 if each is made[0] else 2} for each in made}
    serving = {"image": "debian:12", "cmd": ["python3", "-c", DESK], "env": {"MARK": mark}}
    desk = {"pipeline": {"name": "desk"}, "transform": serving, "input": pfs_input("in", "/")}
    feed = shell("feed", FEED, transform=bash, spout={})
    return {**found, "desk": {**desk, "service": {"internal_port": 80}}, "feed": feed}


def expected(name: str, read: Mapping[str, str]) -> dict[str, str]:
    """Return what a job of a pipeline that succeeded has written when it read these files."""
    if name == "clean":
        return {path: text for path, text in read.items() if "bad" not in path}
    if name == "second":
        return {path: f"2{text}" for path, text in read.items()}
    return dict(read)


SOURCE = {"clean": "in", "second": "clean", "strict": "in", "after": "strict", "sets": "in"}
"""The repo that each pipeline reads."""


def begin(connection: Connection, mark: str) -> None:
    """Create what there is to work on."""
    repos.create_repo(connection, "in")
    put(connection, "in@master", {f"/{name}": f"{name} 0" for name in NAMES[:5]})
    for spec in specs(mark).values():
        pipelines.create_pipeline(connection, spec)


def disturb(connection: Connection, chance: random.Random, mark: str) -> None:
    """Do one thing that a user may do at any time."""
    if chance.random() < 0.15:
        disturb_standing(connection, chance, mark)
        return
    name = chance.choice(list(SOURCE))
    what = chance.choices(("put", "delete", "update", "stop job", "stop", "restart"), (12, 1, 2, 2, 1, 2))[0]
    if what == "put":
        some = chance.sample(NAMES, chance.randint(1, 4))
        put(connection, "in@master", {f"/{each}": f"{each} {chance.random()}" for each in some})
    elif what == "delete":
        files.delete_file(
            connection, "in@master", [f"/{chance.choice(NAMES[1:])}"]
        )  # `desk` serves the first
    elif what == "update":
        pipelines.create_pipeline(connection, specs(mark)[name], update=True, reprocess=chance.random() < 0.5)
    elif what == "stop":
        pipelines.stop_pipeline(connection, name)
        pipelines.start_pipeline(connection, name)
    else:
        for info in jobs.list_job(connection, name, number=3):
            if not jobs.is_terminal(info) and what == "stop job":
                jobs.stop_job(connection, f"{name}@{info.job.id}", reason=STOPPED)
            elif not jobs.is_terminal(info):
                connection.call("pps_v2.API", "RestartDatum", {"job": info.job, "data_filters": []})


def disturb_standing(connection: Connection, chance: random.Random, mark: str) -> None:
    """Do what a user may do at any time with a pipeline whose process stands."""
    name = chance.choice(STANDING)
    if chance.random() < 0.5:
        pipelines.create_pipeline(connection, specs(mark)[name], update=True)
    else:
        pipelines.stop_pipeline(connection, name)
        pipelines.start_pipeline(connection, name)


@dataclass
class Told:
    """What a dead server's database says: it may grow, and none of it may change."""

    ended: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    """How each job ended, by the names of its pipeline and itself."""
    begun: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often each datum that is recorded of a job had begun, by the job's key and its own id."""
    unfinished: int = 0

    def check_later(self, later: Told) -> None:
        """See that what was told is told still."""
        assert self.ended.items() <= later.ended.items(), "a job ended twice"
        assert self.begun.items() <= later.begun.items(), "a datum that was recorded ran again"


def read_told(data_dir: Path) -> Told:
    """Read the database of a dead server."""
    with closing(sqlite3.connect(data_dir / "pachlet.db")) as database:
        ended = database.execute(
            "SELECT p.name, j.id, j.version, j.state, j.reason, j.started, j.finished, total, processed, skipped, "
            "failed, recovered, restarts FROM jobs j JOIN pipelines p ON p.key = j.pipeline "
            "WHERE j.state IN ('success', 'failure', 'killed', 'unrunnable')"
        )
        told = Told({(row[0], row[1]): row[2:] for row in ended})
        begun = database.execute(
            "SELECT j.key, d.id, count(*) FROM datums d JOIN jobs j ON j.key = d.job "
            "JOIN logs l ON l.datum = d.id AND l.job = j.id AND l.pipeline = j.pipeline "
            "WHERE message = ? GROUP BY 1, 2",
            (BEGINNING,),
        )
        told.begun = {(key, id): times for key, id, times in begun}
        ((told.unfinished,),) = database.execute(
            "SELECT count(*) FROM jobs j JOIN pipelines p ON p.key = j.pipeline WHERE p.name <> 'desk' "
            "AND j.state NOT IN ('success', 'failure', 'killed', 'unrunnable')"
        )
    return told


def check_standing(connection: Connection, seconds: float) -> None:
    """Wait until the service answers with the newest input and the spout writes again."""
    for name in STANDING:  # its user may have died between stopping and starting it
        pipelines.start_pipeline(connection, name)
    expected, port = tree(connection, "in@master")["/a"], 0
    lines = connection.call(
        "pps_v2.API", "GetLogs", {"pipeline": {"name": "desk"}, "follow": True}, timeout=seconds
    )
    for _ in lines:
        port = pipelines.inspect_pipeline(connection, "desk").details.service.external_port
        if port and _answer(port) == expected:
            break
    else:
        raise AssertionError(f"the service does not answer with {expected}")
    newest = next(iter(commits.list_commit(connection, repo="feed", all=True)), None)
    request = {"repo": {"name": "feed", "type": "user"}, "branch": "master", "state": 4, "origin_kind": 1}
    written = connection.call("pfs_v2.API", "SubscribeCommit", request, timeout=seconds)
    assert any(newest is None or each.commit.id != newest.commit.id for each in written)


def _answer(port: int) -> str:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.request("GET", "/")
        return client.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        client.close()


def check_all_ended(connection: Connection, seconds: float) -> dict[str, int]:
    """Wait until every job has ended and see that all that they say is true; return how many ended how."""
    counts: dict[str, int] = {}
    for name in SOURCE:
        for listed in list(jobs.list_job(connection, name, history=-1)):
            request = {"job": listed.job, "wait": True, "details": True}
            try:
                info = connection.call("pps_v2.API", "InspectJob", request, timeout=seconds)
            except PachletError as error:
                now = jobs.inspect_job(connection, f"{name}@{listed.job.id}")
                raise AssertionError(f"a job does not end: {error}; {now}") from None
            state = jobs.state_of(info).removeprefix("JOB_")
            check_job(connection, name, info, state)
            counts[state.lower()] = counts.get(state.lower(), 0) + 1
    for info in pipelines.list_pipeline(connection):
        assert "middle of a job" not in info.reason
    return counts


def check_job(connection: Connection, name: str, info: Any, state: str) -> None:
    """See that a job's numbers add up, its datums are there once and its output is what its input says."""
    id = info.job.id
    sums = [info.data_processed, info.data_skipped, info.data_failed, info.data_recovered]
    datums = [each.datum.id for each in connection.call("pps_v2.API", "ListDatum", {"job": info.job})]
    assert len(datums) == len(set(datums)) == sum(sums), info
    if state == "SUCCESS":
        read = tree(connection, f"{SOURCE[name]}@{id}")
        assert sum(sums) == info.data_total == len(read), info
        assert (info.reason, info.data_failed) == ("", 0)
        assert tree(connection, f"{name}@{id}") == expected(name, read)
        return
    assert info.reason.startswith((REASONS[state], STOPPED)), info
    if state == "FAILURE":
        assert name == "strict"
        assert sum(sums) == info.data_total > 0 < info.data_failed, info
