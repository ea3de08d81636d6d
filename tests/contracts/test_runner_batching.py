"""Datum batching: one user process is handed datum after datum; with a real step, a real sandbox and real gRPC."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pachlet.worker.interface import Outcome, Prepared, Session, Transform
from pachlet.worker.process import ProcessRunner

ROOT = Path(__file__).parents[2]
STEP = """
import os
import threading
import time
from pachlet.step import BadInput, main

print("started", flush=True)

def chatter():
    while True:
        print("x" * 1000)

def run(inputs, out):
    text = (inputs / "in" / "f").read_text()
    print(os.environ["DATUM"], text, sorted(p.name for p in (inputs / "in").iterdir()))
    if text == "bad":
        raise BadInput("the file is bad")
    if text == "chatter":
        threading.Thread(target=chatter, daemon=True).start()
    if text == "worse":
        raise KeyError("worse")
    if text == "exit 0":
        raise SystemExit(0)
    if text == "exit 3":
        raise SystemExit(3)
    if text == "hang":
        print("hanging", flush=True)
        while True:
            time.sleep(60)
    if text == "env":
        print((inputs / ".env").read_text())
        print({key: value for key, value in os.environ.items() if key.startswith("in")})
    (out / "g").write_text(text.upper())

main(run, batching=True)
"""


IN_LINES = ("python", "shout.py")
BY_GRPC = ("env", "-u", "PACHLET_DATUMS_PORT", "python", "shout.py")
"""How the step asks for datums: as ours do here, and as ours do on a cluster and those of Pachyderm's clients do."""
both_ways = pytest.mark.parametrize("cmd", [IN_LINES, BY_GRPC], ids=["in-lines", "by-grpc"])


def write_code(code: Path, *, installs: str = "", **more: str) -> Path:
    """Write the code of the image pachlet/shout; `installs` are lines of its Dockerfile, `more` more files."""
    for name, text in {
        "images/shout/Dockerfile": (
            "FROM python:3.11-slim-bookworm\n"
            f"{installs}"
            "COPY pachlet/step.py /app/pachlet/step.py\n"
            "COPY shout.py /app/shout.py\n"
            "WORKDIR /app\n"
            "ENV PFS_ROOT=/pfs\n"
        ),
        "shout.py": STEP,
        "pachlet/step.py": (ROOT / "pachlet" / "step.py").read_text(),
        **more,
    }.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    return code


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    code = write_code(tmp_path_factory.mktemp("code"))
    runner = ProcessRunner(code, tmp_path_factory.mktemp("envs"))
    if reason := runner.probe():
        pytest.skip(f"no sandbox on this machine: {reason}")
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def prepared(runner: ProcessRunner, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    snapshot = tmp_path_factory.mktemp("snapshots") / "shout"
    made = runner.prepare(runner.resolve("pachlet/shout"), snapshot, lambda line: None)
    # The step needs grpcio: our own environment has it, and no index is needed to make it.
    return dataclasses.replace(made, environment=Path(sys.prefix), python=Path(sys.base_prefix))


@pytest.fixture
def open_session(runner, prepared, tmp_path) -> Iterator[Callable[..., Session]]:
    opened: list[Session] = []

    def open_one(cmd: tuple[str, ...] = IN_LINES, batching: bool = True, **fields) -> Session:
        transform = Transform("pachlet/shout", cmd=cmd, datum_batching=batching, **fields)
        opened.append(runner.open(prepared, transform, tmp_path / f"session-{len(opened)}", {"JOB": "j"}))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


def give(
    session: Session, text: str, *, timeout: float | None = 60, **environ: str
) -> tuple[Outcome, list[str]]:
    """Run one datum whose only file holds `text`."""
    session.clear()
    (session.pfs / "in").mkdir()
    (session.pfs / "in" / "f").write_text(text)
    lines: list[str] = []
    return session.run({"DATUM": text, **environ}, lines.append, timeout), lines


@both_ways
def test_one_process_serves_datum_after_datum(open_session, cmd):
    session = open_session(cmd)
    outcome, lines = give(session, "one")
    assert (outcome.ok, outcome.reason, outcome.exit_code) == (True, "", None)
    assert lines == ["started", "one one ['f']"]
    assert (session.out / "g").read_text() == "ONE"
    outcome, lines = give(session, "two")
    assert outcome.ok
    assert lines == ["two two ['f']"]
    assert (session.out / "g").read_text() == "TWO"


@both_ways
def test_each_datum_gets_its_own_environment_and_env_file(open_session, cmd):
    session = open_session(cmd, env={"MINE": "m m"})
    give(session, "env", in_COMMIT="1", in_ONLY="x")
    _, lines = give(session, "env", in_COMMIT="2")
    assert lines == [
        "env env ['f']",
        "MINE='m m'",
        "JOB=j",
        "DATUM=env",
        "in_COMMIT=2",
        "",
        "{'in_COMMIT': '2'}",
    ]


@pytest.mark.parametrize(
    "text, reason, said",
    [
        ("bad", "the file is bad", "the file is bad"),
        ("worse", "KeyError: 'worse'", "Traceback (most recent call last):"),
    ],
)
@both_ways
def test_a_reported_error_fails_the_datum_and_restarts_the_process(open_session, cmd, text, reason, said):
    session = open_session(cmd)
    assert give(session, "one")[0].ok
    outcome, lines = give(session, text)
    assert (outcome.ok, outcome.reason) == (False, reason)
    assert said in lines
    outcome, lines = give(session, "two")
    assert outcome.ok
    assert lines[0] == "started"


@pytest.mark.parametrize(
    "text, reason, code", [("exit 0", "user code exited prematurely", 0), ("exit 3", "exit status 3", 3)]
)
def test_a_process_that_exits_before_the_end_fails_the_datum(open_session, text, reason, code):
    session = open_session()
    assert give(session, "one")[0].ok
    outcome, _ = give(session, text)
    assert (outcome.ok, outcome.reason, outcome.exit_code) == (False, reason, code)
    assert give(session, "two")[0].ok


def test_a_process_that_never_asks_fails_the_datum(open_session):
    outcome, lines = give(open_session(("echo", "hello")), "one")
    assert (outcome.reason, lines) == ("user code exited prematurely", ["hello"])
    outcome, _ = give(open_session(("no-such-program",)), "one")
    assert outcome.reason == "no-such-program is not in image pachlet/shout"
    outcome, _ = give(open_session(()), "one")
    assert outcome.reason == "invalid pipeline transform, no command specified"


def test_a_timeout_and_a_kill_end_the_datum_in_hand(open_session):
    session = open_session()
    assert give(session, "one")[0].ok
    outcome, _ = give(session, "hang", timeout=0.3)
    assert (outcome.ok, outcome.reason) == (False, "timed out after 0.3 seconds")
    assert give(session, "two")[0].ok

    session.clear()
    (session.pfs / "in").mkdir()
    (session.pfs / "in" / "f").write_text("hang")
    outcome = session.run(
        {"DATUM": "x"}, lambda line: session.kill("stopped") if line == "hanging" else None, 60
    )
    assert (outcome.ok, outcome.reason) == (False, "stopped")
    assert give(session, "three")[0].ok


def test_a_datum_ends_though_its_process_prints_on(open_session):
    session = open_session()
    pause, lines = threading.Event(), []

    def be_slow(line: str) -> None:
        lines.append(line)
        assert len(lines) < 5000, "the end of the datum was not seen"
        pause.wait(0.001)  # so that the pipe is always full

    for datum in ("chatter", "two"):
        session.clear()
        (session.pfs / "in").mkdir()
        (session.pfs / "in" / "f").write_text(datum)
        assert session.run({"DATUM": datum}, be_slow, 60).ok
        assert (session.out / "g").read_text() == datum.upper()


def test_err_cmd_runs_beside_the_process_that_stays(open_session):
    session = open_session(err_cmd=("cat", "/pfs/in/f"))
    assert not give(session, "bad")[0].ok
    lines: list[str] = []
    assert session.run_err_cmd({}, lines.append).ok
    assert lines == ["bad"]


@both_ways
def test_a_step_made_for_batching_runs_without_it_too(open_session, cmd):
    session = open_session(cmd, batching=False)
    outcome, lines = give(session, "one")
    assert (outcome.ok, outcome.exit_code) == (True, 0)
    assert lines == ["started", "one one ['f']"]
    outcome, lines = give(session, "bad")
    assert (outcome.ok, outcome.exit_code, lines[-1]) == (False, 1, "the file is bad")


def test_nextdatum_without_batching_is_refused_as_upstream_does(open_session):
    script = (
        "import grpc, os\n"
        "channel = grpc.insecure_channel('127.0.0.1:' + os.environ['PPS_WORKER_GRPC_PORT'])\n"
        "call = channel.unary_unary('/pachyderm.worker.Worker/NextDatum')\n"
        "try:\n    call(b'')\n"
        "except grpc.RpcError as refusal:\n    print(refusal.code().name, refusal.details())\n"
    )
    _, lines = give(open_session(("python", "-c", script), batching=False), "one")
    assert lines == ["UNKNOWN datum batching not enabled"]


def test_who_asks_in_lines_and_makes_no_sense_is_sent_away(open_session):
    script = (
        "import os, socket\n"
        "for text in (b'nonsense', b'[]', b'{\"other\": 1}'):\n"
        "    with socket.create_connection(('127.0.0.1', int(os.environ['PACHLET_DATUMS_PORT']))) as connection:\n"
        "        connection.sendall(b'pachlet datums 1\\n' + text + b'\\n')\n"
        "        print(connection.recv(100))\n"
    )
    _, lines = give(open_session(("python", "-c", script), batching=False), "one")
    assert lines == ["b''"] * 3
