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


def test_list_pipeline_fits_the_terminal_and_is_whole_elsewhere(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns what pachctl's other columns leave is the start of each input, and no description."""
    both = {"cross": [pfs_input("in", f"/{name}", name=name) for name in ("a", "b")]}
    named = {**shell("wide", "true", both), "description": "Does a lot of things."}
    with Connection(server.address) as connection:
        create(connection, named)
    environ = {"PACHD_ADDRESS": server.address, "PACH_CONFIG": str(tmp_path / "config.json")}

    def shown(out: io.StringIO) -> list[str]:
        assert main.run(Session(environ, out=out, err=io.StringIO()), ["list", "pipeline", "wide"]) == 0
        return re.sub(r"\x1b\[\d+m", "", out.getvalue()).splitlines()

    monkeypatch.setenv("COLUMNS", "80")
    header, row = shown(Screen())
    assert (header.split()[-1], max(len(header), len(row)) <= 80) == ("ALERTS", True)
    assert "(default/" in row
    assert "…" in row
    header, row = shown(io.StringIO())
    assert header.split()[-1] == "DESCRIPTION"
    assert "(default/in:/a ⨯ default/in:/b)" in row
    assert row.endswith("Does a lot of things.")


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


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
    "name, transform, said, hint",
    [
        (
            "lost",
            {"cmd": ["nosuchcmd"]},
            "nosuchcmd is not in image alpine",
            "put it there, or change transform.cmd",
        ),
        (
            "nowhere",
            {"working_dir": "no/such"},
            "/no/such is not in image alpine",
            "put it there, or change transform.working_dir",
        ),
        (
            "who",
            {"user": "nobody-knows"},
            "transform.user nobody-knows is not known on this machine",
            "change its transform",
        ),
        ("idle", {"cmd": []}, "invalid pipeline transform, no command specified", "change its transform"),
    ],
)
def test_why_a_datum_could_not_be_started_is_in_its_logs_and_in_the_list(
    terminal: Terminal, name: str, transform: dict[str, Any], said: str, hint: str
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
    listed = terminal.ok("list", "pipeline", name)
    assert " crashing / failure" in listed.out
    assert f"{name}: {said} ({hint})" in listed.err
    assert f"\nState\tFAILED\nReason\t{said}\n" in terminal.ok("inspect", "datum", f"{name}@master", "/a").out


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


def test_a_datum_is_named_by_its_id_the_beginning_of_it_or_a_file(terminal: Terminal, logged: Any) -> None:
    job = f"talk@{logged.job.id}"
    ids = re.findall("[0-9a-f]{64}", terminal.ok("list", "datum", job).out)
    whole = {id: terminal.ok("inspect", "datum", job, id).out for id in ids}
    a = next(id for id, shown in whole.items() if shown.rstrip().endswith(":/a"))
    for name in (a, a[:20], "/a", "a/"):
        assert terminal.ok("inspect", "datum", job, name).out == whole[a]
        assert terminal.ok("logs", "-j", job, "--datum", name).out == "/pfs/in/a\nmore\n"
        assert terminal.ok("logs", "-p", "talk", "--datum", name).out == "/pfs/in/a\nmore\nagain /pfs/in/a\n"
    quiet = terminal.ok("logs", "-p", "talk", "--datum", "/a", "--since", "1us")
    assert (quiet.out, quiet.err) == (
        "",
        f"datum {a[:12]} has no such line; --worker shows what was done with it\n",
    )
    twice = {"cross": [pfs_input("in", name=name) for name in ("one", "two")]}
    terminal.ok("create", "pipeline", "--wait", given=json.dumps(shell("twice", "true", twice)))
    for words in ("inspect datum twice@master /a", "logs -p twice --datum /a"):
        done = terminal.run(*words.split())
        said = (
            r"several datums of (default/)?twice@\w{32} have /a: \w{12}, \w{12}, \w{12}; name one by its id"
        )
        assert (done.status, bool(re.search(said, done.err))) == (2, True), done.err


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
        ("inspect job talk@nowhere", 1, "nowhere"),
        ("inspect job talk", 2, "talk@master is that of its newest output"),
        ("wait job talk@master", 0, ""),
        ("logs -p talk --datum zzz", 1, " has no datum with zzz; `pachctl list datum "),
        ("logs -p absent --datum /a", 1, "pipeline default/absent not found"),
        ("inspect datum talk@master zzz", 1, " has no datum with zzz; `pachctl list datum default/talk@"),
        (f"logs -p talk --datum {'0' * 64}", 0, f"no line is of datum {'0' * 64}"),
        ("logs -p talk --inputs /nope", 0, "no line is of a datum that read /nope"),
    ],
)
def test_what_names_nothing_is_not_answered_in_silence(
    terminal: Terminal, logged: Any, words: str, status: int, said: str
) -> None:
    done = terminal.run(*words.split())
    assert (done.status, said in done.err) == (status, True), done.err


def test_whoever_waits_for_a_commit_is_told_how_far_its_job_is(server: RunningServer) -> None:
    with Connection(server.address) as connection:
        pipelines.create_pipeline(connection, shell("long", "exec sleep 600", IN))
        session, said = _impatient(server)
        typing = threading.Thread(target=lambda: main.run(session, ["wait", "commit", "long@master"]))
        typing.start()
        while not re.search(r"default/long@\w{32} is \w+, 0 \+ 0 / \d datums, ", said.getvalue()):
            assert said.written.wait(30)
            said.written.clear()
        pipelines.stop_pipeline(connection, "long")
        typing.join()


@pytest.mark.parametrize("verb", ["stop", "start", "rerun"])
def test_whoever_waits_for_the_server_is_told(server: RunningServer, verb: str) -> None:
    """The database is held by somebody else, until a line has been written."""
    with Connection(server.address) as connection:
        pipelines.create_pipeline(connection, shell("held", "true", IN), update=True)
    session, said = _impatient(server)
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


def _impatient(server: RunningServer) -> tuple[Session, Watched]:
    """Return a session that says at once what it waits for, and where."""
    said = Watched()
    session = Session({"PACHD_ADDRESS": server.address}, out=io.StringIO(), err=said, input=io.BytesIO())
    session.progress.patience = 0.01
    return session, said


def test_why_the_last_job_failed_is_in_the_list_of_pipelines(terminal: Terminal) -> None:
    names = ("sound", "failing", "below")
    for name, script, repo in zip(names, ("true", "exit 7", "true"), ("in", "in", "failing"), strict=True):
        terminal.ok("create", "pipeline", given=json.dumps(shell(name, script, pfs_input(repo))))
    for name in names:
        terminal.run("wait", "commit", f"{name}@master")
    (failing,) = [line for line in _said(terminal) if line.startswith("failing: its last job failed: datum ")]
    assert failing.endswith(" failed: exit status 7")
    (below,) = [line for line in _said(terminal) if line.startswith("below: ")]
    why = f"({failing.removeprefix('failing: its last job failed: ')})"
    said = r"below: unrunnable because the following upstream pipelines failed: default/failing@\w{32} "
    assert re.sub(said, "", below) == why
    terminal.ok("update", "pipeline", "--reprocess", given=json.dumps(shell("failing", "true", IN)))
    for name in names:
        terminal.run("wait", "commit", f"{name}@master")
    assert not [line for line in _said(terminal) if "failing" in line and "failed" in line]


def test_why_a_pipeline_crashes_is_said_once_although_its_last_job_failed_of_it(terminal: Terminal) -> None:
    spec = {**shell("p", "", IN), "transform": {"image": "alpine", "cmd": ["no-such-program"]}}
    terminal.ok("create", "pipeline", given=json.dumps(spec))
    terminal.run("wait", "commit", "p@master")
    why = "p: no-such-program is not in image alpine (put it there, or change transform.cmd)"
    assert [line for line in _said(terminal) if line.startswith("p: ")] == [why]


def _said(terminal: Terminal) -> list[str]:
    return terminal.ok("list", "pipeline").err.splitlines()


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
