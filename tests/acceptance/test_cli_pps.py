"""PPS from the command line: warnings, reasons, logs, waits, and events for programs."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.testing import RunningServer
from tests.acceptance.typed import Terminal
from tests.acceptance.words import create, pfs_input, put, shell
from tests.unit.cli.test_waiting import Watched

IN = pfs_input("in")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all of them; each test has pipelines of its own."""
    with testing.server(tmp_path_factory.mktemp("pps") / "data") as running:
        with Connection(running.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", {"/a": "1", "/b": "2"})
        yield running


@pytest.fixture
def terminal(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(server.address, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(
    "name, more, said",
    [
        (
            "other",
            {},
            "image alpine is no folder of images/: its command runs on this machine's own programs",
        ),
        (
            "none",
            {"image": "pachlet/none"},
            "pipeline none can't run: image pachlet/none: there is no images/none",
        ),
        (
            "large",
            {"memory": "900G"},
            "pipeline large can't run: its workers ask for 900 GB of memory, and this ",
        ),
    ],
)
def test_create_warns_and_list_says_why(
    terminal: Terminal, name: str, more: dict[str, str], said: str
) -> None:
    asked = {"resource_requests": {"memory": more["memory"]}} if "memory" in more else {}
    spec = shell(name, "true", IN, transform={"image": more.get("image", "alpine")}, **asked)
    done = terminal.ok("create", "pipeline", given=json.dumps(spec))
    assert done.err.startswith(f"warning: {said}")
    assert not done.out
    terminal.run("wait", "commit", f"{name}@master")
    listed = terminal.ok("list", "pipeline", name)
    reason = said.removeprefix(f"pipeline {name} can't run: ")
    assert f"{name}: {reason}" in listed.err
    assert (" crashing / failure" in listed.out) is bool(more)


@pytest.mark.parametrize(
    "name, transform, said",
    [
        ("lost", {"cmd": ["nosuchcmd"]}, "nosuchcmd is not in image alpine"),
        ("nowhere", {"working_dir": "/no/such"}, "/no/such is not in image alpine"),
        ("who", {"user": "nobody-knows"}, "transform.user nobody-knows is not known on this machine"),
        ("idle", {"cmd": []}, "invalid pipeline transform, no command specified"),
    ],
)
def test_why_a_datum_could_not_be_started_is_in_its_logs_and_in_the_list(
    terminal: Terminal, name: str, transform: dict[str, Any], said: str
) -> None:
    spec = shell(name, "true", pfs_input("in", "/a"), transform=transform)
    terminal.ok("create", "pipeline", given=json.dumps(spec))
    terminal.run("wait", "commit", f"{name}@master")
    assert terminal.ok("logs", "-p", name).out.splitlines() == [said]
    (line,) = [
        each for each in terminal.ok("logs", "-p", name, "--master").out.splitlines() if "job failed" in each
    ]
    assert line.startswith("job failed: datum ")
    assert line.endswith(f" failed: {said}")
    assert f"failure: {said[:20]}" in terminal.ok("list", "job", "-p", name).out


def test_version_says_how_limits_are_kept(terminal: Terminal) -> None:
    rows = dict(line.split(maxsplit=1) for line in terminal.ok("version").out.splitlines())
    assert {"pachd", "runner", "limits"} < rows.keys()
    assert "memory" in rows["limits"]


@pytest.fixture(scope="module")
def logged(server: RunningServer) -> Any:
    """A pipeline with two jobs that have printed lines."""
    with Connection(server.address) as connection:
        first = create(connection, shell("talk", 'echo "$in"; echo more', IN))
        create(connection, shell("talk", 'echo "again $in"', IN), update=True, reprocess=True)
    return first


def test_logs(terminal: Terminal, logged: Any) -> None:
    def lines(*words: str) -> list[str]:
        return terminal.ok("logs", *words).out.splitlines()

    id, again = logged.job.id, ["again /pfs/in/a", "again /pfs/in/b"]
    told = lines("--job", f"talk@{id}")
    assert sorted(told) == ["/pfs/in/a", "/pfs/in/b", "more", "more"]
    assert lines("--pipeline", "talk", "--job", id) == told
    everything = lines("--pipeline", "talk")
    assert (everything[:4], sorted(everything[4:])) == (told, again)
    for number in (1, 3, 100):
        assert lines("-p", "talk", "--tail", str(number)) == everything[-number:]
    assert lines("-p", "talk", "--since", "1h") == everything
    assert lines("-p", "talk", "--since", "1us") == []
    assert lines("-j", f"talk@{id}", "--inputs", "/b") == ["/pfs/in/b", "more"]
    assert lines("-j", f"talk@{id}", "-f") == told  # ends, as the job has
    master, worker = lines("-j", f"talk@{id}", "--master"), lines("-j", f"talk@{id}", "--worker")
    assert "processed 2, skipped 0, failed 0, recovered 0 of 2 datums" in master
    assert worker.count("beginning to run user code") == 2
    assert not {*master} & {*worker, *told}
    raw = json.JSONDecoder().raw_decode(terminal.ok("logs", "-j", f"talk@{id}", "--raw").out)[0]
    assert (raw["pipeline_name"], raw["job_id"]) == ("talk", id)
    listed = terminal.ok("list", "datum", f"talk@{id}", "--raw").out
    datum = json.JSONDecoder().raw_decode(listed)[0]["datum"]["id"]
    assert len(lines("-j", f"talk@{id}", "--datum", datum)) == 2
    refused = terminal.run("logs", "-p", "talk", "-j", f"talk@{id}")
    assert (refused.status, "only one of pipeline or job" in refused.err) == (2, True)
    absent = terminal.run("logs", "-p", "absent")
    assert (absent.status, "default/absent: not found" in absent.err) == (1, True)


@pytest.mark.parametrize(
    "words, status, said",
    [
        ("draw pipeline -c nonsense", 2, "'nonsense' is no id of a commit or job"),
        ("list pipeline -c nonsense", 2, "'nonsense' is no id of a commit or job"),
        (f"draw pipeline -c {'4' * 32}", 0, f"no pipeline had a job in {'4' * 32}"),
        ("draw pipeline --box-width -3", 2, "'-3' is no number of things"),
        ("list job zzzz", 2, "'zzzz' is no id of a commit or job"),
        (f"list job {'4' * 32}", 0, f"no job has the id {'4' * 32}"),
        ("list job --history banana", 2, "error parsing history flag 'banana'"),
        ("list job --state sucess", 2, "finishing, unrunnable; did you mean success?"),
        ("logs -p talk --datum zzz", 2, "'zzz' is no id of a datum"),
        (f"logs -p talk --datum {'0' * 64}", 0, f"no line is of datum {'0' * 64}"),
        ("logs -p talk --inputs /nope", 0, "no line is of a datum that read /nope"),
    ],
)
def test_what_names_nothing_is_not_answered_in_silence(
    terminal: Terminal, logged: Any, words: str, status: int, said: str
) -> None:
    done = terminal.run(*words.split())
    assert (done.status, said in done.err) == (status, True), done.err


@pytest.mark.parametrize("verb", ["stop", "start", "rerun"])
def test_whoever_waits_for_the_server_is_told(server: RunningServer, verb: str) -> None:
    """The database is held by somebody else, until a line has been written."""
    with Connection(server.address) as connection:
        pipelines.create_pipeline(connection, shell("held", "true", IN), update=True)
    said = Watched()
    session = Session({"PACHD_ADDRESS": server.address}, out=io.StringIO(), err=said, input=io.BytesIO())
    session.progress.patience = 0.01
    statuses: list[int] = []
    with closing(sqlite3.connect(server.data_dir / "pachlet.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        typing = threading.Thread(
            target=lambda: statuses.append(main.run(session, [verb, "pipeline", "held"]))
        )
        typing.start()
        assert said.written.wait(30)
        database.execute("ROLLBACK")
        typing.join()
    assert statuses == [0]
    assert said.getvalue().startswith(f"waiting for {server.address}, less than a second\n")


def test_what_is_so_of_many_pipelines_is_said_once(terminal: Terminal, tmp_path: Path) -> None:
    specs = [shell(f"many{number}", "true", IN) for number in range(4)]
    done = terminal.ok("create", "pipeline", given="\n".join(map(json.dumps, specs)))
    (warning,) = done.err.splitlines()
    assert warning.startswith("warning: image alpine is no folder")
    assert warning.endswith(" (4 pipelines)")
    said = terminal.ok("create", "pipeline", given=json.dumps(shell("single", "true", IN))).err
    assert said.endswith(" (pipeline single)\n")
    for name in ("applied1", "applied2"):
        (tmp_path / f"{name}.json").write_text(json.dumps(shell(name, "true", IN)))
    (said,) = terminal.ok("apply", str(tmp_path)).err.splitlines()
    assert said.endswith(" (pipelines applied1, applied2)")
    broken = shell("broken", "true", IN, transform={"image": "pachlet/none"})
    terminal.ok("create", "pipeline", given=json.dumps(broken))
    for name in ("many0", "many1", "many2", "many3", "broken"):
        terminal.run("wait", "commit", f"{name}@master")
    lines = terminal.ok("list", "pipeline").err.splitlines()
    (place,) = (place for place, line in enumerate(lines) if " pipelines: image alpine is no" in line)
    assert any("broken" in line for line in lines[:place])
    assert len([line for line in lines if "image alpine is no" in line]) == 1


def test_what_a_failed_step_printed_is_shown_so_that_a_terminal_bears_it(terminal: Terminal) -> None:
    script = (
        "for i in $(seq 12); do echo line $i; done; printf '\\033[2Jcleared\\n';"
        " head -c 9000 /dev/zero | tr '\\0' x; exit 1"
    )
    spec = shell("loud", script, pfs_input("in", "/"), datum_tries=1)
    done = terminal.run("create", "pipeline", "--wait", given=json.dumps(spec))
    assert done.status == 1
    said = [line.removeprefix("  | ") for line in done.err.splitlines() if line.startswith("  | ")]
    assert re.fullmatch(r"\.\.\. \d+ earlier lines", said[0])
    assert r"\x1b[2Jcleared" in said
    assert f"{'x' * 200}... and 8800 more characters" in said
    assert "\x1b" not in done.err


def test_a_program_is_told_in_events(terminal: Terminal) -> None:
    spec = json.dumps(shell("watched", "true", IN))
    done = terminal.ok("create", "pipeline", "--wait", "--events", given=spec)
    events = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert events[-1].pop("job")
    assert events[-1] == {
        "event": "job",
        "project": "default",
        "pipeline": "watched",
        "state": "success",
        "reason": "",
        "processed": 2,
        "skipped": 0,
        "failed": 0,
        "recovered": 0,
        "total": 2,
    }
    assert done.out == "watched: processed 2, skipped 0, failed 0\n"
