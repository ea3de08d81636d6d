"""What every runner promises (pachlet/worker/interface.py), with real processes."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet.errors import FailedPrecondition
from pachlet.worker.interface import Outcome, Prepared, Session, Transform
from pachlet.worker.process import ProcessRunner

BASE = "FROM python:3.11-slim-bookworm\nENV PFS_ROOT=/pfs STAGE=one\nWORKDIR /app\n"
STAGE = "FROM pachlet/base\nCOPY steps/copy.py /app/steps/copy.py\n"
COPY = """
import os
from pathlib import Path
root = Path(os.environ["PFS_ROOT"])
for source in sorted((root / "in").iterdir()):
    (root / "out" / source.name).write_text(source.read_text().upper())
print("copied by", os.environ["STAGE"])
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("code")
    for name, text in {
        "images/base/Dockerfile": BASE,
        "images/copy/Dockerfile": STAGE,
        "images/folder/Dockerfile": "FROM python:3.11-slim-bookworm\nWORKDIR /app\nWORKDIR /opt/made/here\n",
        "images/bare/Dockerfile": "FROM python:3.11-slim-bookworm\n",
        "steps/copy.py": COPY,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def runner(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(code, tmp_path_factory.mktemp("envs"))
    if reason := runner.probe():
        pytest.skip(f"no sandbox on this machine: {reason}")
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def prepared(runner: ProcessRunner, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    image = runner.resolve("pachlet/copy")
    return runner.prepare(image, tmp_path_factory.mktemp("snapshots") / "copy", lambda line: None)


Shell = Callable[..., tuple[Outcome, list[str]]]


@pytest.fixture
def open_session(
    runner: ProcessRunner, prepared: Prepared, tmp_path: Path
) -> Iterator[Callable[..., Session]]:
    """Open sessions for shell scripts (or for `cmd`) with one input file, /pfs/in/f."""
    opened: list[Session] = []

    def open_one(script: str = "", **fields: Any) -> Session:
        fields = {"cmd": ("sh", "-c", script), **fields}
        folder = tmp_path / f"session-{len(opened)}"
        session = runner.open(prepared, Transform("pachlet/copy", **fields), folder, {"JOB": "j"})
        opened.append(session)
        (session.pfs / "in").mkdir()
        (session.pfs / "in" / "f").write_text("hello\n")
        return session

    yield open_one
    for session in opened:
        session.close()


@pytest.fixture
def sh(open_session: Callable[..., Session]) -> Shell:
    """Run one shell script as a datum; return its outcome and its lines."""

    def run(script: str = "", timeout: float | None = 60, **fields: Any) -> tuple[Outcome, list[str]]:
        lines: list[str] = []
        outcome = open_session(script, **fields).run({"DATUM": "d"}, lines.append, timeout)
        return outcome, lines

    return run


# What a step sees


def test_a_step_reads_its_inputs_and_writes_its_output(open_session):
    session = open_session(cmd=("python", "-m", "steps.copy"))
    lines: list[str] = []
    outcome = session.run({}, lines.append)
    assert (outcome.ok, outcome.reason, outcome.exit_code) == (True, "", 0)
    assert lines == ["copied by one"]
    assert [path.name for path in session.out.iterdir()] == ["f"]
    assert (session.out / "f").read_text() == "HELLO\n"


def test_pfs_is_literal_and_holds_this_datum_only(sh):
    outcome, lines = sh("cd /pfs && ls -A && cat in/f && pwd")
    assert outcome.ok
    assert lines == [".env", "in", "out", "hello", "/pfs"]


def test_inputs_can_not_be_changed(open_session):
    attempts = {
        "echo x > /pfs/in/f": "Read-only file system",
        "rm /pfs/in/f": "Read-only file system",
        "chmod 777 /pfs/in/f": "Read-only file system",
        "touch /pfs/new": "Read-only file system",
        "ln /pfs/in/f /pfs/out/f": "cross-device",
        "mount -o remount,rw,bind /pfs": "",
        "umount /pfs/out": "",
        "unshare -Urm true": "",
        "echo x > /proc/sys/kernel/hostname": "Read-only file system",
        "touch /app/x": "Read-only file system",
        "touch /etc/x": "Read-only file system",
    }
    for script, said in attempts.items():
        session = open_session(script)
        lines: list[str] = []
        outcome = session.run({}, lines.append)
        assert not outcome.ok, script
        assert said in "\n".join(lines), script
        assert (session.pfs / "in" / "f").read_text() == "hello\n"


def test_nothing_else_of_the_machine_is_seen(sh, tmp_path, code):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    hidden = [secret, code, Path(__file__), "/etc/shadow", "/etc/ssl/private", "/sys", "/run", "/boot"]
    for path in hidden:
        assert not sh(f"ls -d '{path}'")[0].ok, path
    own = {"app", "pfs", "dev", "etc", "proc", "tmp", "usr", "var"}
    programs = {"bin", "lib", "lib32", "lib64", "libx32", "nix", "sbin"}
    interpreter = {Path(sys.base_prefix).parts[1]}
    seen = set(sh("ls -A /")[1])
    assert own <= seen <= own | programs | interpreter


def test_the_images_own_environment_is_the_python_of_a_step(sh, prepared):
    script = "import sys; print(sys.prefix); print(sys.version_info[:2])"
    assert sh(cmd=("python", "-c", script))[1] == [str(prepared.environment), "(3, 11)"]
    assert not sh(f"touch {prepared.environment}/x")[0].ok


def test_a_step_sees_its_own_processes_only(sh):
    outcome, lines = sh("ls -d /proc/[0-9]*")
    assert outcome.ok
    assert [line for line in lines if int(line.rpartition("/")[2]) > 20] == []


def test_the_environment_is_made_from_nothing(sh, prepared, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    _, lines = sh("env", cmd=("env",), env={"MINE": "m m", "STAGE": "two"})
    found = dict(line.split("=", 1) for line in lines)
    path = found.pop("PATH")
    assert path.startswith(f"{prepared.environment}/bin:")
    assert "/usr/bin" in path.split(":")
    assert found == {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PFS_ROOT": "/pfs",
        "STAGE": "two",
        "MINE": "m m",
        "JOB": "j",
        "DATUM": "d",
        "PPS_WORKER_GRPC_PORT": "1080",
        "PACHLET_DATUMS_PORT": "1080",
    }


def test_the_env_file_quotes_what_needs_it(open_session):
    session = open_session("cat /pfs/.env", env={"A": "it's # a\nb", "B": "/pfs/in/f"})
    session.run({}, lambda line: None)
    assert (session.pfs / ".env").read_text() == "A='it\\'s # a\nb'\nB=/pfs/in/f\nJOB=j\n"


def test_the_working_folder_is_the_images_or_the_specs(sh):
    assert sh("pwd")[1] == ["/app"]
    assert sh("pwd", working_dir="/pfs/in")[1] == ["/pfs/in"]
    outcome, _ = sh("pwd", working_dir="/nowhere")
    assert (outcome.ok, outcome.reason) == (False, "/nowhere is not in image pachlet/copy")


def test_workdir_makes_its_folder_as_in_docker(runner, tmp_path):
    """Also where nothing is copied; import dvc writes such an image for a stage without code of its own."""
    prepared = runner.prepare(runner.resolve("pachlet/folder"), tmp_path / "snapshot", print)
    transform = Transform("pachlet/folder", cmd=("sh",), stdin=("pwd; ls -d /app",))
    session = runner.open(prepared, transform, tmp_path / "s", {})
    lines: list[str] = []
    outcome = session.run({}, lines.append)
    session.close()
    assert (outcome.reason, lines) == ("", ["/opt/made/here", "/app"])


def test_a_step_may_be_another_user(sh):
    outcome, lines = sh("whoami; touch /pfs/out/x", user="nobody")
    assert (outcome.ok, lines) == (True, ["nobody"])
    outcome, _ = sh("true", user="no-such-user")
    assert outcome.reason == "transform.user no-such-user is not known on this machine"


def test_there_is_a_loopback_and_no_other_network(sh):
    script = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname())\n"
        "try:\n    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))\n"
        "except OSError as problem:\n    print(problem.strerror)\n"
    )
    assert sh(cmd=("python", "-W", "ignore", "-c", script))[1] == ["Network is unreachable"]


# How an attempt ends


@pytest.mark.parametrize(
    "script, fields, expected",
    [
        ("exit 0", {}, (True, "", 0)),
        ("exit 3", {}, (False, "exit status 3", 3)),
        ("exit 3", {"accept_return_code": (2, 3)}, (True, "", 3)),
        ("kill -9 $$", {}, (False, "signal: killed", None)),
        ("kill -TERM $$", {}, (False, "signal: terminated", None)),
        ("", {"cmd": ("no-such-program", "x")}, (False, "no-such-program is not in image pachlet/copy", 127)),
        ("", {"cmd": ("/etc/passwd",)}, (False, "/etc/passwd: Permission denied", 126)),
        ("", {"cmd": ()}, (False, "invalid pipeline transform, no command specified", None)),
    ],
)
def test_how_an_attempt_ends_is_its_outcome(sh, script, fields, expected):
    outcome, _ = sh(script, **fields)
    assert (outcome.ok, outcome.reason, outcome.exit_code) == expected


def test_lines_of_both_streams_are_passed_on_as_they_are(sh):
    outcome, lines = sh("printf 'one\\n\\ntw'; printf 'o\\nno end'; printf '\\377\\n' >&2")
    assert outcome.ok
    assert sorted(lines) == sorted(["one", "", "two", "no end", "�"])


def test_much_output_is_passed_on_whole(sh):
    _, lines = sh("seq 200000")
    assert lines == [str(number) for number in range(1, 200001)]


def test_stdin_is_the_specs_lines(sh):
    _, lines = sh(cmd=("bash",), stdin=("echo one", "cat", "last"))
    assert lines == ["one", "last"]
    outcome, _ = sh(cmd=("true",), stdin=("x" * 1_000_000,))
    assert outcome.ok  # that nobody reads it is no error
    assert sh("cat; echo end")[1] == ["end"]


def test_the_time_and_the_memory_of_an_attempt_are_told(sh):
    outcome, _ = sh(cmd=("python", "-c", "x = b'x' * 80_000_000"))
    assert outcome.ok
    assert 80_000_000 < outcome.peak_memory < 400_000_000
    assert outcome.seconds > 0


def test_err_cmd_runs_on_the_same_folders(open_session):
    session = open_session(
        "echo part > /pfs/out/x; exit 1", err_cmd=("sh",), err_stdin=("cat /pfs/out/x /pfs/in/f",)
    )
    lines: list[str] = []
    assert not session.run({}, lines.append).ok
    assert session.run_err_cmd({}, lines.append).ok
    assert lines == ["part", "hello"]


# Nothing outlives an attempt

LOCKER = (
    "setsid sh -c 'exec 9>/pfs/out/lock; flock 9; echo > /pfs/out/up; exec sleep 1000' > /dev/null 2>&1 & "
)
WAIT = "while [ ! -e /pfs/out/up ]; do :; done; "


def assert_unlocked(path: Path) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_locker_does_hold_its_lock(open_session):
    """Shows that the next tests can fail."""
    session = open_session(LOCKER + WAIT + "echo up; sleep 1000")

    def look(line: str) -> None:
        with pytest.raises(BlockingIOError):
            assert_unlocked(session.out / "lock")
        session.kill()

    assert not session.run({}, look).ok
    assert_unlocked(session.out / "lock")


def test_processes_of_a_step_end_with_it(open_session):
    session = open_session(LOCKER + WAIT + "exit 0")
    assert session.run({}, print, 60).ok
    assert_unlocked(session.out / "lock")


def test_a_timeout_ends_all_processes(open_session):
    session = open_session(LOCKER + WAIT + "sleep 1000")
    outcome = session.run({}, print, 0.3)
    assert (outcome.ok, outcome.reason, outcome.exit_code) == (False, "timed out after 0.3 seconds", None)
    assert outcome.seconds >= 0.3
    assert_unlocked(session.out / "lock")


def test_a_timeout_ends_a_step_that_prints_without_pause(open_session):
    session = open_session('yes "$(printf %01000d 0)"')
    lines: list[str] = []
    pause = threading.Event()

    def be_slow(line: str) -> None:
        lines.append(line)
        assert len(lines) < 3000, "it was not ended"
        pause.wait(0.001)  # so that the pipe is always full

    assert session.run({}, be_slow, 0.3).reason == "timed out after 0.3 seconds"
    # The last one was cut by the end; on a very busy machine it is the only one, if the step has begun at all.
    assert set(lines[:-1]) <= {"0" * 1000}


def test_a_very_long_line_is_passed_on_in_pieces(sh):
    _, lines = sh("head -c 1000000 /dev/zero | tr '\\0' x")
    assert "".join(lines) == "x" * 1_000_000
    assert max(map(len, lines)) < 100_000


def test_a_kill_from_another_thread_ends_the_attempt_in_hand(open_session):
    session = open_session(LOCKER + WAIT + "echo up; sleep 1000")
    killer: list[threading.Thread] = []

    def kill(line: str) -> None:
        killer.append(threading.Thread(target=session.kill, args=("stopped by a test",)))
        killer[0].start()

    outcome = session.run({}, kill, 60)
    killer[0].join()
    assert (outcome.ok, outcome.reason) == (False, "stopped by a test")
    assert_unlocked(session.out / "lock")
    session.kill("nothing is in hand")
    (session.out / "up").unlink()
    assert session.run({}, lambda line: session.kill("again"), 60).reason == "again"


def test_a_log_that_fails_ends_the_attempt(open_session):
    session = open_session(LOCKER + WAIT + "echo up; sleep 1000")

    def fail(line: str) -> None:
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        session.run({}, fail, 60)
    assert_unlocked(session.out / "lock")


def test_a_kill_for_good_reaches_later_attempts_too(open_session):
    session = open_session("sleep 1000")
    session.kill("the job was stopped", for_good=True)
    assert session.run({}, print, 60).reason == "the job was stopped"
    assert session.run({}, print, 60).reason == "the job was stopped"


SERVER = """
import sys
from pathlib import Path
from pachlet.worker.interface import Transform
from pachlet.worker.process import ProcessRunner
folder = Path(sys.argv[1])
runner = ProcessRunner(folder, folder / "envs", sandbox=sys.argv[2] == "sandbox")
if sys.argv[2] == "sandbox":
    prepared = runner.prepare(runner.resolve("debian"), folder / "snapshot", print)
else:
    (folder / "images" / "x").mkdir(parents=True)
    (folder / "images" / "x" / "Dockerfile").write_text("FROM python:3.11-slim\\nENV PFS_ROOT=/pfs\\n")
    prepared = runner.prepare(runner.resolve("pachlet/x"), folder / "snapshot", lambda line: None)
session = runner.open(prepared, Transform("x", cmd=("sh", "-c", sys.argv[3])), folder / "session", {})
session.run({}, lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("kind", ["sandbox", "plain"])
def test_a_step_does_not_outlive_a_killed_server(runner, tmp_path, kind):
    out = tmp_path / "session" / "pfs" / "out"
    script = (LOCKER + WAIT + "echo up; sleep 1000").replace(
        "/pfs/out", "/pfs/out" if kind == "sandbox" else str(out)
    )
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), kind, script],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        server.send_signal(signal.SIGKILL)
    # flock waits until the last process that holds the lock is gone, and `timeout` says if none ever is.
    subprocess.run(["timeout", "30", "flock", str(out / "lock"), "true"], check=True)


# Sessions


def test_two_sessions_side_by_side_see_their_own(open_session):
    one = open_session("echo ready; while [ ! -e /pfs/in/go ]; do :; done; cat /pfs/in/f")
    two = open_session("cat /pfs/in/f; ls /pfs/in")
    (one.pfs / "in" / "f").write_text("one\n")
    (two.pfs / "in" / "f").write_text("two\n")
    lines: list[str] = []

    def meanwhile(line: str) -> None:
        lines.append(line)
        if line == "ready":
            assert two.run({}, lines.append, 60).ok
            (one.pfs / "in" / "go").touch()  # what is put into the folder is seen at once

    assert one.run({}, meanwhile, 60).ok
    assert lines == ["ready", "two", "f", "one"]


def test_clear_removes_whatever_a_step_left_and_nothing_else(open_session, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (elsewhere / "kept").touch()
    session = open_session(
        f"cd /pfs/out; mkdir -p a/b; touch a/b/c; ln -s {elsewhere} a/link; ln -s {elsewhere} link; chmod 0 a/b a"
    )
    assert session.run({}, print, 60).ok
    session.clear()
    assert [path.name for path in session.pfs.iterdir()] == ["out"]
    assert list(session.out.iterdir()) == []
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    assert session.run({}, print, 60).ok


def test_clear_gives_the_next_attempt_an_output_folder_that_it_can_write_to(open_session):
    """A step has no privilege, so this holds for root too."""
    session = open_session("mkdir /pfs/out/x && chmod 0 /pfs/out")
    assert session.run({}, print, 60).ok
    session.clear()
    assert session.run({}, print, 60).ok


def test_the_probe_leaves_nothing_and_removes_what_a_killed_one_left(code, tmp_path):
    left = tmp_path / "probe" / "root" / "dev"
    left.mkdir(parents=True)
    runner = ProcessRunner(code, tmp_path)
    try:
        runner.probe()
    finally:
        runner.close()
    assert [path.name for path in tmp_path.iterdir()] == ["probe.lock"]


def test_close_removes_the_folder_and_may_be_called_twice(open_session, tmp_path):
    session = open_session("true")
    session.run({}, print, 60)
    session.close()
    assert list(tmp_path.iterdir()) == []
    session.close()


def test_the_sandbox_is_made_anew_after_the_launcher_died(code, tmp_path, runner):
    own = ProcessRunner(code, tmp_path / "envs")
    prepared = own.prepare(own.resolve("debian"), tmp_path / "snapshot", print)
    session = own.open(prepared, Transform("debian", cmd=("true",)), tmp_path / "session", {})
    assert session.run({}, print, 60).ok
    program = own.launcher()._program
    program.kill()
    program.wait()
    assert session.run({}, print, 60).ok
    session.close()
    own.close()


# Images


def test_what_ran_is_in_the_provenance(prepared, runner):
    facts = prepared.provenance
    assert facts["sandbox"] == "namespaces"
    assert facts["python"] == "3.11"
    assert facts["python_version"].startswith("3.11.")
    assert facts["packages"] == []
    assert facts["environment"].startswith("sha256:")
    assert facts["dockerfiles"] == ["images/copy/Dockerfile", "images/base/Dockerfile"]


def test_a_host_image_runs_the_machines_own_programs(runner, tmp_path):
    prepared = runner.prepare(runner.resolve("ubuntu:20.04"), tmp_path / "snapshot", print)
    session = runner.open(
        prepared, Transform("ubuntu:20.04", cmd=("bash",), stdin=("pwd",)), tmp_path / "s", {}
    )
    lines: list[str] = []
    assert session.run({}, lines.append, 60).ok
    assert lines == ["/"]
    session.close()


# Without a sandbox


@pytest.fixture(scope="module")
def plain(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(code, tmp_path_factory.mktemp("envs"), sandbox=False)
    yield runner
    runner.close()


def test_without_a_sandbox_an_image_that_reads_pfs_root_runs(plain, tmp_path):
    prepared = plain.prepare(plain.resolve("pachlet/copy"), tmp_path / "snapshot", lambda line: None)
    assert prepared.provenance["sandbox"] == "none (the server was told to make no sandbox)"
    transform = Transform("pachlet/copy", cmd=("python", "-m", "steps.copy"))
    session = plain.open(prepared, transform, tmp_path / "session", {})
    (session.pfs / "in").mkdir()
    (session.pfs / "in" / "f").write_text("hello\n")
    assert session.run({}, print, 60).ok
    assert (session.out / "f").read_text() == "HELLO\n"
    session.close()


@pytest.mark.parametrize("image", ["pachlet/bare", "ubuntu:20.04"])
def test_without_a_sandbox_every_other_image_is_refused(plain, tmp_path, image):
    with pytest.raises(FailedPrecondition, match="the server was told to make no sandbox") as refused:
        plain.prepare(plain.resolve(image), tmp_path / "snapshot", print)
    assert "PFS_ROOT" in refused.value.hint


@pytest.mark.parametrize("ending", ["exit 0", "sleep 1000"])
def test_without_a_sandbox_nothing_outlives_an_attempt_either(plain, tmp_path, ending):
    prepared = plain.prepare(plain.resolve("pachlet/copy"), tmp_path / "snapshot", lambda line: None)
    script = (
        (LOCKER + WAIT).replace("/pfs", "$PFS_ROOT").replace("sh -c '", 'sh -c "').replace("1000'", '1000"')
    )
    session = plain.open(
        prepared, Transform("x", cmd=("sh", "-c", script + ending)), tmp_path / "session", {}
    )
    outcome = session.run({}, print, 0.5 if ending == "sleep 1000" else 60)
    assert outcome.reason in ("", "timed out after 0.5 seconds")
    assert (session.out / "up").exists()
    assert_unlocked(session.out / "lock")
    session.close()
