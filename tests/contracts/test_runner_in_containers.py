"""What every runner promises, kept by the one that runs images in containers: the suite of the process runner.

Left out are the tests of what only the process runner has: environments of its own, host images, its launcher.

Read next: test_runner.py (the suite), tests/container_engine.py.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet.errors import FailedPrecondition
from pachlet.worker.containers.engine import Engine, find_engine
from pachlet.worker.containers.runner import ContainerRunner
from pachlet.worker.installing import INSTALLS
from pachlet.worker.interface import Limits, Prepared, Secrets, Transform
from tests.contracts.test_runner import (  # noqa: F401
    LOCKER,
    WAIT,
    code,
    open_session,
    prepared,
    sh,
    test_a_kill_for_good_reaches_later_attempts_too,
    test_a_kill_from_another_thread_ends_the_attempt_in_hand,
    test_a_log_that_fails_ends_the_attempt,
    test_a_step_reads_its_inputs_and_writes_its_output,
    test_a_timeout_ends_a_step_that_prints_without_pause,
    test_a_timeout_ends_all_processes,
    test_a_very_long_line_is_passed_on_in_pieces,
    test_clear_gives_the_next_attempt_an_output_folder_that_it_can_write_to,
    test_clear_removes_whatever_a_step_left_and_nothing_else,
    test_close_removes_the_folder_and_may_be_called_twice,
    test_err_cmd_runs_on_the_same_folders,
    test_how_an_attempt_ends_is_its_outcome,
    test_lines_of_both_streams_are_passed_on_as_they_are,
    test_much_output_is_passed_on_whole,
    test_pfs_is_literal_and_holds_this_datum_only,
    test_processes_of_a_step_end_with_it,
    test_stdin_is_the_specs_lines,
    test_the_env_file_quotes_what_needs_it,
    test_the_locker_does_hold_its_lock,
    test_the_time_and_the_memory_of_an_attempt_are_told,
    test_the_working_folder_is_the_images_or_the_specs,
    test_there_is_a_loopback_and_no_other_network,
    test_two_sessions_side_by_side_see_their_own,
)


@pytest.fixture(scope="module")
def runner(code: Path, container_engine: Engine) -> Iterator[ContainerRunner]:  # noqa: F811
    runner = ContainerRunner(code, f"contracts {os.getpid()}", container_engine)  # the engine is shared
    yield runner
    runner._remove_left_over()


def test_inputs_can_not_be_changed(open_session):  # noqa: F811
    for script in (
        "echo x > /pfs/in/f",
        "rm /pfs/in/f",
        "touch /pfs/new",
        "mount -o remount,rw,bind /pfs",
        "umount /pfs/out",
    ):
        session = open_session(script)
        assert not session.run({}, lambda line: None).ok, script
        assert (session.pfs / "in" / "f").read_text() == "hello\n"


def test_the_environment_is_the_images_with_what_is_added(sh, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    _, lines = sh("env", cmd=("env",), env={"MINE": "m m", "STAGE": "two"})
    found = dict(line.split("=", 1) for line in lines)
    assert {
        "PFS_ROOT": "/pfs",
        "STAGE": "two",
        "MINE": "m m",
        "JOB": "j",
        "DATUM": "d",
    }.items() <= found.items()
    assert "SECRET_OF_THE_SERVER" not in found


def test_a_step_may_be_a_user_of_the_image(sh):  # noqa: F811
    outcome, lines = sh("whoami; touch /pfs/out/x", user="nobody")
    assert (outcome.ok, lines) == (True, ["nobody"])
    outcome, _ = sh("true", user="no-such-user")
    assert outcome.reason == "transform.user no-such-user is not known in the image"


def test_one_container_serves_datum_after_datum_and_is_made_anew_after_a_kill(open_session):  # noqa: F811
    session = open_session("hostname >> /pfs/out/name; [ ! -e /pfs/in/slow ] || sleep 1000")
    assert session.run({}, print).ok
    first = (session.out / "name").read_text()
    assert session.run({}, print).ok
    assert (session.out / "name").read_text() == first * 2
    (session.pfs / "in" / "slow").touch()
    assert session.run({}, print, 0.3).reason == "timed out after 0.3 seconds"
    (session.pfs / "in" / "slow").unlink()
    (session.out / "name").unlink()
    assert session.run({}, print).ok
    assert (session.out / "name").read_text() != first


def test_limits_of_memory_processes_and_disk_end_an_attempt(open_session):  # noqa: F811
    eat = ("python", "-c", "x = b'x' * 300_000_000")
    outcome = open_session(cmd=eat, limits=Limits(memory=128 << 20)).run({}, print, 60)
    assert outcome.reason.startswith("killed: used more than its limit of 128 MiB of memory (peak ")
    bomb = "for i in $(seq 100); do sleep 100 & done; wait"
    outcome = open_session(bomb, limits=Limits(processes=32)).run({}, lambda line: None, 60)
    assert not outcome.ok
    fill = "dd if=/dev/zero of=/pfs/out/x bs=1M count=64; sleep 1000"
    outcome = open_session(fill, limits=Limits(disk=16 << 20)).run({}, lambda line: None, 60)
    assert outcome.reason.startswith("killed: used more than its limit of 16 MiB of disk")


def test_secrets_reach_the_step_and_no_disk(runner, prepared, tmp_path):  # noqa: F811
    secrets = Secrets({"TOKEN": "t0ken"}, {"/var/secret/key": b"k3y"})
    script = "cat /var/secret/key; echo; echo $TOKEN; echo x > /var/secret/key"
    transform = Transform("pachlet/copy", cmd=("sh", "-c", script), secrets=secrets)
    session = runner.open(prepared, transform, tmp_path / "session", {})
    lines: list[str] = []
    session.run({}, lines.append)
    assert lines[:2] == ["k3y", "t0ken"]
    on_disk = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"t0ken" in content or b"k3y" in content for content in on_disk)
    session.close()


SERVER = """
import sys
from pathlib import Path
from pachlet.worker.containers.runner import ContainerRunner
from pachlet.worker.interface import Transform
folder = Path(sys.argv[1])
runner = ContainerRunner(folder, "killed")
image = "docker.io/library/python:3.11-slim-bookworm"
prepared = runner.prepare(runner.resolve(image), folder / "snapshot", print)
session = runner.open(prepared, Transform(image, cmd=("sh", "-c", sys.argv[2])), folder / "session", {})
session.run({}, lambda line: print(line, flush=True))
"""


def test_a_step_does_not_outlive_a_killed_server(container_engine, tmp_path):
    script = LOCKER + WAIT + "echo up; sleep 1000"
    command = [sys.executable, "-c", SERVER, str(tmp_path), script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        server.kill()
    lock = tmp_path / "session" / "pfs" / "out" / "lock"
    # flock waits until the last process that holds the lock is gone, and `timeout` says if none ever is.
    subprocess.run(["timeout", "30", "flock", str(lock), "true"], check=True)


@pytest.fixture
def unclosed() -> Iterator[None]:
    """Docker's client library leaves a socket unclosed where nobody listens; it is let go of here, and not later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def test_a_service_of_ours_that_is_killed_is_started_again(unclosed, container_engine, code, tmp_path):  # noqa: F811
    engine = find_engine("podman")
    assert engine.service is not None
    runner = ContainerRunner(code, f"killed service {os.getpid()}", engine)
    image = "docker.io/library/python:3.11-slim-bookworm"
    ready = runner.prepare(runner.resolve(image), tmp_path / "snapshot", print)
    script = "[ ! -e /pfs/in/slow ] || { echo up; exec sleep 1000; }"
    session = runner.open(ready, Transform(image, cmd=("sh", "-c", script)), tmp_path / "session", {})
    assert session.run({}, print).ok
    killed = engine.service.pid
    os.kill(killed, signal.SIGKILL)  # between two attempts
    while engine.service.pid == killed:  # or what is said to it next is still taken
        engine.service.pause(0.01)
    assert session.run({}, print).ok
    (session.pfs / "in").mkdir()
    (session.pfs / "in" / "slow").touch()

    def kill_service(line: str) -> None:
        assert line == "up"
        os.kill(engine.service.pid, signal.SIGKILL)

    outcome = session.run({}, kill_service, 60)
    assert not outcome.ok
    assert outcome.reason == "the container was ended from outside, or the service of its engine was"
    (session.pfs / "in" / "slow").unlink()
    assert session.run({}, print).ok
    mine = {"label": [f"pachlet.server={runner._owner}"]}
    running = container_engine.api.containers(filters=mine)
    assert len(running) == 1, running  # the one whose end was not seen runs no more
    session.close()
    assert container_engine.api.containers(filters=mine) == []
    runner.close()
    assert container_engine.api.containers(all=True, filters=mine) == []
    assert not engine.service.is_up


def test_what_a_killed_server_left_is_removed_by_the_next_of_its_kind(container_engine, code):  # noqa: F811
    for owner in ("one", "two"):
        container_engine.api.create_container(
            "docker.io/library/python:3.11-slim-bookworm", ["true"], labels={"pachlet.server": owner}
        )
    ContainerRunner(code, "one", container_engine)
    left = {each["Labels"].get("pachlet.server") for each in container_engine.api.containers(all=True)}
    assert "one" not in left
    assert "two" in left


def test_a_moved_tag_is_another_digest(runner, container_engine, tmp_path):
    base = "docker.io/library/python:3.11-slim-bookworm"
    made = container_engine.api.create_container(base, ["true"])
    container_engine.api.tag(base, "localhost/moving", "1")
    before = runner.resolve("localhost/moving:1")
    container_engine.api.commit(made["Id"], "localhost/moving", "1", message="moved")
    after = runner.resolve("localhost/moving:1")
    assert before.digest != after.digest
    # What began with the first goes on with the first.
    said: list[str] = []
    ran = runner.prepare(before, tmp_path / "snapshot", said.append)
    assert ran.provenance["image_id"] == before.digest
    assert said == []


def test_an_image_that_can_not_be_had_is_a_sentence(runner, tmp_path):
    image = runner.resolve("localhost/no-such-image:1")
    with pytest.raises(
        FailedPrecondition, match="image localhost/no-such-image:1 can't be pulled: "
    ) as refused:
        runner.prepare(image, tmp_path / "snapshot", lambda line: None)
    assert "registry" in refused.value.hint


def test_what_ran_is_in_the_provenance(prepared: Prepared, runner: ContainerRunner):  # noqa: F811
    facts = prepared.provenance
    assert facts["sandbox"] == "container"
    assert facts["engine"].startswith("podman ")
    assert facts["image_id"].startswith("sha256:")
    assert facts["machine"]["cpu"]
    assert facts["dockerfiles"] == ["images/copy/Dockerfile", "images/base/Dockerfile"]


def test_a_change_of_code_is_another_image_and_the_same_code_is_built_once(
    runner: ContainerRunner,
    code: Path,  # noqa: F811
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    said: list[str] = []
    runner.prepare(runner.resolve("pachlet/copy"), tmp_path / "one", lambda line: None)
    runner.prepare(runner.resolve("pachlet/copy"), tmp_path / "two", said.append)
    assert said == []
    caplog.set_level("INFO", INSTALLS)
    step = code / "steps" / "copy.py"
    text = step.read_text()
    try:
        step.write_text(text + "# changed\n")
        runner.prepare(runner.resolve("pachlet/copy"), tmp_path / "three", said.append)
    finally:
        step.write_text(text)
    assert [line.split(":")[0] for line in said] == ["building pachlet/copy"]  # its base is there already
    told = [each.getMessage() for each in caplog.records if each.name == INSTALLS]
    assert told[0].startswith("image pachlet/copy: building pachlet/copy")
    assert told[1].startswith("image pachlet/copy has its image in podman, made in ")
