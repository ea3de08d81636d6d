"""What a step can reach and who can reach it: nobody, the server alone, or all that the machine can."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pachlet.errors import FailedPrecondition
from pachlet.worker.interface import SERVER_PORT, Outcome, Session, Transform
from pachlet.worker.process import ProcessRunner

ECHO = """
import socket, sys
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(1000):
            connection.sendall(sys.argv[2].encode() + data)
"""
CALL = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as connection:
    connection.sendall(b"hello")
    connection.shutdown(socket.SHUT_WR)
    print(connection.makefile().read())
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("envs"))
    if reason := runner.probe():
        pytest.skip(f"no sandbox on this machine: {reason}")
    yield runner
    runner.close()


Open = Callable[..., Session]


@pytest.fixture
def open_session(runner: ProcessRunner, tmp_path: Path) -> Iterator[Open]:
    opened: list[Session] = []

    def open_one(*cmd: str, **options: object) -> Session:
        prepared = runner.prepare(runner.resolve("alpine"), tmp_path / "snapshot", lambda line: None)
        folder = tmp_path / f"session-{len(opened)}"
        opened.append(runner.open(prepared, Transform("alpine", cmd), folder, {}, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


@contextlib.contextmanager
def running(session: Session) -> Iterator[list[Outcome]]:
    """Run a session's command in a thread, from its first line on; what it came to is there after the block."""
    outcomes: list[Outcome] = []
    is_up = threading.Event()
    thread = threading.Thread(target=lambda: outcomes.append(session.run({}, lambda line: is_up.set())))
    thread.start()
    try:
        assert is_up.wait(60)
        yield outcomes
    finally:
        session.kill("the test is over")
        thread.join()


def ask(session: Session, port: int, text: bytes) -> bytes:
    with session.connect(port) as connection:
        assert select.select([], [connection], [], 10)[1]
        connection.setblocking(True)
        connection.sendall(text)
        return connection.recv(1000)


@pytest.fixture
def outside() -> Iterator[int]:
    """The port of a server of this machine that answers once, with what it was told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"heard " + connection.makefile("rb").read())

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_two_steps_listen_on_one_port_and_each_is_reached(open_session: Open) -> None:
    sessions = [
        open_session("python3", "-c", ECHO, "80", name, network="inner", server="127.0.0.1:1")
        for name in ("one ", "two ")
    ]
    with running(sessions[0]), running(sessions[1]):
        assert [ask(session, 80, b"here") for session in sessions] == [b"one here", b"two here"]


def test_nobody_listens(open_session: Open) -> None:
    session = open_session("sh", "-c", "echo up; exec sleep 600", network="inner", server="127.0.0.1:1")
    with pytest.raises(ConnectionError, match="not running"):
        session.connect(80)
    with running(session) as outcomes, session.connect(80) as connection:
        assert select.select([], [connection], [], 10)[1]
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    assert outcomes[0].reason == "the test is over"
    with pytest.raises(ConnectionError):
        session.connect(80)


def test_a_step_that_stops_who_answers_for_it_holds_up_nobody(
    open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pachlet.worker.cells._ANSWER_SECONDS", 0.1)
    session = open_session(
        "sh", "-c", "kill -STOP -1; echo stopped; exec sleep 600", network="inner", server="127.0.0.1:1"
    )
    with running(session), pytest.raises(ConnectionError, match="can't be reached"):
        session.connect(80)


def test_a_step_reaches_the_server_and_no_other(open_session: Open, outside: int) -> None:
    lines: list[str] = []
    options = {"network": "inner", "server": f"127.0.0.1:{outside}"}
    assert not open_session("python3", "-c", CALL, str(outside), **options).run({}, lines.append).ok
    assert "refused" in lines[-1]
    outcome = open_session("python3", "-c", CALL, str(SERVER_PORT), **options).run({}, lines.append)
    assert (outcome.ok, lines[-1]) == (True, "heard hello")


def test_with_the_machines_network_a_step_reaches_all(open_session: Open, outside: int) -> None:
    lines: list[str] = []
    outcome = open_session("python3", "-c", CALL, str(outside), network="host").run({}, lines.append)
    assert (outcome.ok, lines[-1]) == (True, "heard hello")


def test_what_is_shown_lies_where_it_was_asked_for_and_can_not_be_changed(
    open_session: Open, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("read me\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("me too\n")
    shown = {
        "/pachctl/config.json": tmp_path / "note",
        "/tmp/deep/note": tmp_path / "note",
        "/opt/f": tmp_path / "folder",
    }
    script = "cat /pachctl/config.json /tmp/deep/note /opt/f/inner; echo x > /pachctl/config.json"
    lines: list[str] = []
    open_session("sh", "-c", script, shown=shown).run({}, lines.append)
    assert lines[:3] == ["read me", "read me", "me too"]
    assert "Read-only" in lines[3]


def test_without_a_sandbox_nobody_can_be_let_in(tmp_path: Path) -> None:
    runner = ProcessRunner(tmp_path, tmp_path / "envs", sandbox=False)
    prepared = None
    with pytest.raises(FailedPrecondition, match="can't be reached"):
        runner.open(prepared, Transform("a", ("true",)), tmp_path / "s", {}, network="inner")  # type: ignore[arg-type]
    runner.close()
