"""A step gets the secrets that it was given, and nobody else does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet.worker.interface import Secrets, Session, Transform
from pachlet.worker.process import ProcessRunner

VALUE = "tell-nobody-7319"
NONE = Secrets()
GIVEN = Secrets(
    {"TOKEN": f"{VALUE}-env"}, {"/secrets/db/password": VALUE.encode(), "/secrets/db/key": b"\xff\0\n"}
)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    folder = tmp_path_factory.mktemp("code")
    runner = ProcessRunner(folder, folder / "envs")
    if reason := runner.probe():
        pytest.skip(f"no sandbox on this machine: {reason}")
    yield runner
    runner.close()


Open = Callable[..., Session]


@pytest.fixture
def open_session(runner: ProcessRunner, tmp_path: Path) -> Iterator[Open]:
    prepared = runner.prepare(runner.resolve("debian"), tmp_path / "snapshot", print)
    opened: list[Session] = []

    def open_one(script: str, secrets: Secrets = NONE, **fields: Any) -> Session:
        transform = Transform("debian", cmd=("sh", "-c", script), secrets=secrets, **fields)
        opened.append(runner.open(prepared, transform, tmp_path / "sessions" / str(len(opened)), {}))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


def lines_of(session: Session) -> list[str]:
    lines: list[str] = []
    session.run({}, lines.append, 60)
    return lines


def test_files_are_in_memory_for_their_owner_alone_and_can_not_be_changed(open_session: Open) -> None:
    script = (
        "exec 2>&1; cd /secrets/db; cat password; echo; wc -c < key; stat -c '%a %s' password; stat -f -c %T ."
        "; echo x > password; rm password; touch new; echo $TOKEN"
    )
    lines = lines_of(open_session(script, GIVEN))
    assert lines[:4] == [VALUE, "3", f"400 {len(VALUE)}", "tmpfs"]
    assert sum("Read-only file system" in line or "Permission denied" in line for line in lines) == 3
    assert lines[-1] == f"{VALUE}-env"


@pytest.mark.parametrize("user", ["", "nobody", "nobody:daemon"])
def test_the_step_can_read_them_whoever_it_is(open_session: Open, user: str) -> None:
    assert lines_of(open_session("cat /secrets/db/password", GIVEN, user=user)) == [VALUE]


@pytest.mark.parametrize("folder", ["/secrets", "/a/b/c", "/tmp/s", "/run/secrets", "/root/.ssh", "/opt/x"])
def test_a_folder_may_be_anywhere_that_is_not_shown_as_it_is(open_session: Open, folder: str) -> None:
    secrets = Secrets(files={f"{folder}/k": b"v", f"{folder}/deeper/k": b"w"})
    assert lines_of(open_session(f"cat {folder}/k {folder}/deeper/k", secrets)) == ["vw"]


@pytest.mark.parametrize("folder", ["/usr/share/s", "/pfs/in", "/proc", "/", "/tmp", "/etc", "/bin/../x"])
def test_a_folder_that_can_not_be_is_refused_with_a_sentence(open_session: Open, folder: str) -> None:
    outcome = open_session("true", Secrets(files={f"{folder}/k": b"v"})).run({}, print, 60)
    assert not outcome.ok
    assert outcome.reason.startswith("transform.secrets: the mount_path ")


def test_nothing_of_them_is_on_disk_or_in_what_other_processes_can_see(
    open_session: Open, tmp_path: Path
) -> None:
    session = open_session("echo up; read x < /pfs/in/go", GIVEN)
    (session.pfs / "in").mkdir()
    os.mkfifo(session.pfs / "in" / "go")
    other = open_session(
        "cat /secrets/db/password /proc/*/environ /proc/1/mem 2>/dev/null | tr '\\0' '\\n'; ls /"
    )
    seen: list[str] = []

    def look(line: str) -> None:
        seen.extend(lines_of(other))
        everything = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_fifo()]
        assert not [path for path in everything if VALUE.encode() in path.read_bytes()]
        threading.Thread(target=(session.pfs / "in" / "go").write_text, args=("\n",)).start()

    assert session.run({}, look, 60).ok
    assert VALUE not in "\n".join(seen)
    assert "secrets" not in seen
    assert VALUE not in (session.pfs / ".env").read_text()


def test_what_prints_them_by_accident_prints_nothing_of_them() -> None:
    assert VALUE not in repr(Transform("debian", secrets=GIVEN))


def test_without_a_sandbox_a_file_is_refused_and_a_variable_is_given(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "images" / "x").mkdir(parents=True)
    (code / "images" / "x" / "Dockerfile").write_text("FROM python:3.11-slim\nENV PFS_ROOT=/pfs\n")
    runner = ProcessRunner(code, tmp_path / "envs", sandbox=False)
    prepared = runner.prepare(runner.resolve("pachlet/x"), tmp_path / "snapshot", lambda line: None)
    for number, (secrets, expected) in enumerate(
        [
            (
                GIVEN,
                "transform.secrets with a mount_path can't be had on this machine, which allows no sandbox",
            ),
            (Secrets({"TOKEN": "t"}), ""),
        ]
    ):
        transform = Transform("pachlet/x", cmd=("sh", "-c", "test $TOKEN = t"), secrets=secrets)
        session = runner.open(prepared, transform, tmp_path / str(number), {})
        assert session.run({}, print, 60).reason == expected
        session.close()
    runner.close()
