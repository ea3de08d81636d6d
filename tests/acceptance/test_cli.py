"""The command line against a running server: what users type, in the order in which they type it."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.cli.verbs.stop import stop_server
from pachlet.client import put_file
from pachlet.client.running import Running, find_server
from pachlet.errors import PachletError
from pachlet.testing import RunningServer
from tests.acceptance.server_process import ServerProcess

PACHCTL = [sys.executable, "-m", "pachlet.cli.main"]


class Run:
    """One command's end: its exit status and what it wrote."""

    def __init__(self, environ: dict[str, str], words: tuple[str, ...], given: bytes) -> None:
        self._bytes = io.BytesIO()
        out = io.TextIOWrapper(self._bytes, encoding="utf-8", write_through=True)
        err = io.StringIO()
        session = Session(environ, out=out, err=err, input=io.BytesIO(given))
        self.status = main.run(session, words)
        self.bytes = self._bytes.getvalue()
        self.out = self.bytes.decode(errors="replace")
        self.err = err.getvalue()
        out.detach()

    @property
    def rows(self) -> list[list[str]]:
        """The words of each line below the header."""
        return [line.split() for line in self.out.splitlines()[1:]]


Type = Callable[..., Run]


@pytest.fixture
def environ(server: RunningServer, tmp_path: Path) -> dict[str, str]:
    return {"PACHD_ADDRESS": server.address, "PACH_CONFIG": str(tmp_path / "config.json")}


@pytest.fixture
def fail(environ: dict[str, str]) -> Type:
    """Type a command that may fail."""
    return lambda *words, given=b"": Run(environ, words, given)


@pytest.fixture
def ok(fail: Type) -> Type:
    """Type a command that must work."""

    def typed(*words: str, given: bytes = b"") -> Run:
        run = fail(*words, given=given)
        assert run.status == 0, run.err
        return run

    return typed


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for name, text in (("a.txt", "a\n"), ("sub/b.txt", "b\n"), ("empty", "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def copy_spec(name: str = "copy", repo: str = "images", command: str = "cp -r /pfs/in/. /pfs/out/") -> bytes:
    spec = {
        "pipeline": {"name": name},
        "transform": {"image": "alpine", "cmd": ["sh", "-c", command]},
        "input": {"pfs": {"repo": repo, "glob": "/*", "name": "in"}},
    }
    return json.dumps(spec).encode()


def test_first_commands_of_the_tutorial_in_both_spellings(ok: Type, tmp_path: Path) -> None:
    picture = tmp_path / "liberty.png"
    picture.write_bytes(b"\x89PNG")
    assert ok("create-repo", "images").err == "note: today this is written `pachctl create repo images`\n"
    assert ok("create", "repo", "others", "-d", "more").out == ""
    assert [row[:2] for row in ok("list", "repo").rows] == [["default", "images"], ["default", "others"]]
    assert ok("put-file", "images", "master", "liberty.png", "-f", str(picture)).out == ""
    assert ok("put", "file", "images@master:/again.png", given=b"\x89PNG").out == ""
    assert ok("list", "file", "images@master").rows == [["4B", "/again.png"], ["4B", "/liberty.png"]]
    assert ok("list-file", "images", "master").rows == ok("list", "file", "images@master:/").rows
    assert ok("get", "file", "images@master:/liberty.png").bytes == b"\x89PNG"
    assert ok("get-file", "images", "master", "liberty.png").bytes == b"\x89PNG"
    assert [row[1] for row in ok("list", "commit", "images").rows] == ["images", "images"]
    inspected = ok("inspect", "commit", "images@master").out
    assert inspected.startswith("Commit: images@")
    assert "Size: 8B" in inspected


def test_pipeline_from_spec_to_logs(ok: Type, fail: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("create", "pipeline", given=copy_spec(command="echo seen; cp -r /pfs/in/. /pfs/out/"))
    first = ok("put", "file", "images@master:/a", "--wait", given=b"1")
    assert first.out == "copy: processed 1, skipped 0, failed 0\n"
    second = ok("put", "file", "images@master:/b", "--wait", given=b"2")
    said = r"copy: processed 1, skipped 1, failed 0; 1 kept, made by sha256:[0-9a-f]{12}, 1 new\n"
    assert re.fullmatch(said, second.out)
    assert "default/copy: success" in second.err
    assert ok("get", "file", "copy@master:/b").out == "2"
    jobs = ok("list", "job", "-p", "copy").rows
    identifier = jobs[0][2]
    assert ok("inspect", "job", f"copy@{identifier}").out.startswith(f"ID: {identifier}\nPipeline: copy\n")
    assert ok("inspect-job", identifier).out == ok("inspect", "job", f"copy@{identifier}").out
    assert ok("list", "job").rows[0][0] == identifier
    datums = ok("list", "datum", f"copy@{identifier}").rows
    assert sorted(row[2] for row in datums) == ["skipped", "success"]
    assert f"ID\t{datums[0][0]}" in ok("inspect", "datum", f"copy@{identifier}", datums[0][0]).out
    assert set(ok("logs", "-p", "copy").out.splitlines()) == {"seen"}
    assert ok("logs", f"--job=copy@{identifier}").out == "seen\n"
    (pipeline,) = ok("list", "pipeline").out.splitlines()[1:]
    assert re.match(r"default copy +1 +default/images:/\* +.*running / success", pipeline)
    assert ok("draw", "pipeline", "-o", "tree").out == "images (repo)\n└─ copy\n"
    assert "│ ✓ success │" in ok("draw", "pipeline").out.splitlines()
    assert ok("wait", "job", identifier).rows[0][2] == identifier
    again = fail("create", "pipeline", given=copy_spec())
    assert again.status == 1
    assert 'pipeline "copy" already exists' in again.err
    ok("delete", "pipeline", "copy")
    assert ok("list", "pipeline").rows == []


def test_failing_step_is_told_with_the_way_to_its_log(ok: Type, fail: Type) -> None:
    ok("create", "repo", "images")
    ok("create", "pipeline", given=copy_spec(command="echo out of luck >&2; exit 1"))
    run = fail("put", "file", "images@master:/a", "--wait", given=b"1")
    assert run.status == 1
    assert run.out == "copy: processed 0, skipped 0, failed 1\n"
    last = run.err.splitlines()[-1]
    assert re.match(
        r"copy: failure: .*datum .* failed.*; see `pachctl logs --project default --job copy@", last
    )
    command = last[last.index("pachctl logs") + len("pachctl ") : -1].split()
    assert "out of luck" in ok(*command).out


def test_put_without_readers_says_so(ok: Type) -> None:
    ok("create", "repo", "images")
    assert ok("put", "file", "images@master:/a", "--wait", given=b"1").out == "no pipeline reads this\n"


def test_put_says_what_it_did_when_asked(ok: Type, tree: Path) -> None:
    ok("create", "repo", "images")
    assert ok("put", "file", "images@master:/a", "-v", given=b"12345").out == "put /a (5B)\n"
    assert ok("put", "file", "images@master:/a", "-v", given=b"12").out == "replaced /a (5B -> 2B)\n"
    appended = ok("put", "file", "images@master:/a", "-a", "-v", given=b"345")
    assert appended.out == "appended to /a (2B -> 5B)\n"


def test_folders_go_in_and_come_out_unchanged(ok: Type, tree: Path, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "-r", "images@master:/", "-f", str(tree))
    out = tmp_path / "out"
    ok("get", "file", "-r", "images@master:/", "-o", str(out))
    listed = {path.relative_to(out): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert listed == {path.relative_to(tree): path.read_text() for path in tree.rglob("*") if path.is_file()}
    ok("get", "file", "images@master:/sub/b.txt", "-o", str(tmp_path / "one"))
    assert (tmp_path / "one").read_text() == "b\n"
    ok("delete", "file", "-r", "images@master:/sub")
    assert [row[1] for row in ok("list", "file", "images@master").rows] == ["/a.txt", "/empty"]
    diff = ok("diff", "file", "images@master:/", "images@master^:/").out
    assert "-b" in diff.splitlines()
    assert [row[1] for row in ok("glob", "file", "images@master^:/**.txt").rows] == ["/a.txt", "/sub/b.txt"]


def test_a_put_that_comes_to_nothing_is_told(ok: Type, fail: Type) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/f", given=b"1")
    for more in ((), ("--wait",), ("-v",)):
        run = fail("put", "file", "images@master:/f/g", *more, given=b"2")
        assert run.status == 1
        assert run.out == ""
        assert run.err.endswith(" failed: file / directory path collision (/f/g)\n")
    assert ok("put", "file", "images@master:/h", "-v", given=b"3").out == "put /h (1B)\n"
    ok("start", "commit", "images@master")  # which nobody can wait for
    assert ok("put", "file", "images@master:/i", "-v", given=b"4").out == "put /i (1B)\n"


@pytest.mark.parametrize("mine", ["/good", "/f/bad"])
def test_a_put_answers_for_its_own_commit_whoever_puts_after_it(
    ok: Type, fail: Type, monkeypatch: pytest.MonkeyPatch, mine: str
) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/f", given=b"1")

    def put(*arguments: Any, **more: Any) -> str:
        id = put_file.put_file(*arguments, **more)
        other = put_file.from_bytes("/f/too" if mine == "/good" else "/fine", b"3")
        put_file.put_file(arguments[0], arguments[1], [other])
        return id

    monkeypatch.setattr("pachlet.cli.verbs.put_file.put", put)
    if mine == "/good":
        assert ok("put", "file", f"images@master:{mine}", "-v", given=b"2").out == "put /good (1B)\n"
    else:
        assert "path collision (/f/bad)" in fail("put", "file", f"images@master:{mine}", given=b"2").err


def test_who_waits_for_an_open_commit_is_told_what_closes_it(ok: Type, fail: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("create", "repo", "made")
    ok("create", "branch", "made@master", "-p", "images@master")  # no pipeline finishes its commits
    first = ok("list", "commit", "made").rows[0][2]
    ok("put", "file", "images@master:/a", given=b"1")
    ok("finish", "commit", "made@master")  # which is complete once the one before it is
    said = f"note: default/made@{first} is open until somebody does `pachctl finish commit default/made@{first}`\n"
    run = fail("--rpc-timeout", "500ms", "wait", "commit", "made@master")
    assert run.status == 1
    assert run.err.startswith(said)
    ok("finish", "commit", f"made@{first}")
    assert ok("wait", "commit", "made@master").err == ""


def test_repos_of_a_project_that_is_not_there(ok: Type, fail: Type) -> None:
    assert ok("list", "repo").rows == []
    run = fail("list", "repo", "--project", "nope")
    assert (run.status, run.err) == (1, 'project "nope" not found; pachctl create project nope\n')


def test_what_a_deletion_leaves_is_told(ok: Type, fail: Type, tree: Path) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/", "-r", "-f", str(tree))
    assert fail("delete", "file", "images@master:/sub").err == (
        "note: /sub is a folder, and stays; -r deletes it with all that is in it\n"
    )
    assert (
        fail("delete", "file", "images@master:/nope").err == "note: there is no file /nope in images@master\n"
    )
    assert ok("get", "file", "images@master:/sub/b.txt").out == "b\n"
    assert fail("delete", "file", "images@master:/sub/b.txt").err == ""


def test_archives_are_unpacked(ok: Type, tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as out:
        out.add(tree, arcname=".")
    ok("create", "repo", "images")
    ok("put", "file", "images@master", "--untar", "-f", str(archive))
    assert ok("get", "file", "images@master:/sub/b.txt").out == "b\n"


@pytest.mark.parametrize("size", [512, 700, 1100, 1536, 1800, 2560, 3071])
def test_of_an_archive_that_is_cut_off_nothing_is_put(
    ok: Type, fail: Type, tmp_path: Path, size: int
) -> None:
    """The cut is behind a member, within a header or a file, or in the block that is the end."""
    (tmp_path / "tree").mkdir()
    for name in ("1", "2"):
        (tmp_path / "tree" / name).write_text(name)
    whole, cut = tmp_path / "whole.tar", tmp_path / "cut.tar"
    with tarfile.open(whole, "w", format=tarfile.GNU_FORMAT) as out:
        for name in ("tree", "tree/1", "tree/2"):  # 512, 1024 and 1024 bytes; what follows is the end
            out.add(tmp_path / name, arcname=name, recursive=False)
    cut.write_bytes(whole.read_bytes()[:size])
    ok("create", "repo", "images")
    run = fail("put", "file", "images@master:/c", "--untar", "-f", str(whole), "-f", str(cut))
    assert run.status == 1
    assert re.fullmatch(rf"{cut} is not a whole tar archive: .*; nothing was put\n", run.err)
    assert ok("list", "commit", "images").rows == []
    cut.write_bytes(whole.read_bytes()[:3072])
    ok("put", "file", "images@master:/c", "--untar", "-f", str(cut))
    assert ok("list", "file", "images@master:/c/tree").rows == [["1B", "/c/tree/1"], ["1B", "/c/tree/2"]]


def test_output_that_finds_no_room_is_told(ok: Type, environ: dict[str, str]) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/a", given=b"1")
    for words in (["list", "file", "images@master"], ["get", "file", "images@master:/a"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*PACHCTL, *words],
                stdout=full,
                stderr=subprocess.PIPE,
                env={**os.environ, **environ},
                check=False,
            )
        assert (done.returncode, done.stderr) == (1, b"cannot write the output: No space left on device\n")


def test_streams_that_are_closed_are_told_and_nothing_takes_their_place(
    ok: Type, environ: dict[str, str]
) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/a", given=b"1")

    def closed(stream: str, *words: str) -> tuple[int, bytes, bytes]:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {stream}&-', "sh", *PACHCTL, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **environ},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    cannot_read = b"cannot read the input: Bad file descriptor\n"
    assert closed("<", "put", "file", "images@master:/b") == (1, b"", cannot_read)
    assert closed("<", "get", "file", "images@master:/a") == (0, b"1", b"")
    status, _, said = closed("<", "delete", "all")
    assert status == 1
    assert said.endswith(b"[y/N] nothing was deleted\n")
    cannot_write = b"cannot write the output: Bad file descriptor\n"
    assert closed(">", "list", "repo") == (1, b"", cannot_write)
    assert closed(">", "get", "file", "images@master:/a") == (1, b"", cannot_write)
    assert closed(">", "create", "repo", "more") == (0, b"", b"")
    assert closed("2>", "get", "file", "images@master:/a") == (0, b"1", b"")
    assert closed("2>", "get", "file", "images@master:/b") == (1, b"", b"")
    assert [row[1] for row in ok("list", "file", "images@master").rows] == ["/a"]
    assert [row[1] for row in ok("list", "repo").rows] == ["images", "more"]


def test_a_get_goes_on_where_it_broke_off(ok: Type, fail: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/a", given=b"0123456789")
    part, words = tmp_path / "part", ("get", "file", "images@master:/a", "--retry", "-o")
    for there in (None, b"", b"0123", b"0123456789"):
        if there is not None:
            part.write_bytes(there)
        ok(*words, str(part))
        assert part.read_bytes() == b"0123456789"
    part.write_bytes(b"something longer")
    run = fail(*words, str(part))
    assert (run.status, part.read_bytes()) == (1, b"something longer")
    assert run.err.endswith(
        "part has 16 bytes, more than the 10 of images@master:/a; it is no beginning of that; get it without --retry\n"
    )


def test_failed_get_leaves_nothing_behind(ok: Type, fail: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/a", given=b"1")
    run = fail("get", "file", "images@master:/nope", "-o", str(tmp_path / "out"))
    assert run.status == 1
    assert run.err.startswith("file /nope not found in repo default/images at commit ")
    assert not (tmp_path / "out").exists()


def test_put_that_breaks_off_stores_nothing(ok: Type, fail: Type, tree: Path) -> None:
    ok("create", "repo", "images")
    (tree / "z").symlink_to(tree / "gone")  # read last
    run = fail("put", "file", "-r", "images@master:/", "-f", str(tree), "--progress", "false")
    assert run.status == 1
    assert run.err == f"cannot read {tree}/z: No such file or directory\n"
    assert ok("list", "commit", "images").rows == []


def test_branches_and_commits_by_hand(ok: Type, fail: Type) -> None:
    ok("create", "repo", "images")
    identifier = ok("start", "commit", "images@master", "-m", "by hand").out.strip()
    ok("put", "file", f"images@{identifier}:/a", given=b"1")
    run = fail("put", "file", f"images@{identifier}:/b", "--wait", given=b"1")
    assert run.status == 1
    assert run.err.startswith(
        f"commit default/images@{identifier} is open, so nothing downstream has started"
    )
    ok("finish", "commit", "images@master")
    ok("wait", "commit", "images@master")
    ok("create", "branch", "images@stable", "--head", "master")
    assert [row[0] for row in ok("list", "branch", "images").rows] == ["stable", "master"]
    assert f"Head Commit: images@{identifier}" in ok("inspect", "branch", "images@stable").out
    assert ok("get", "file", "images@stable:/b").out == "1"
    ok("delete", "branch", "images@stable")
    assert [row[0] for row in ok("list", "branch", "images").rows] == ["master"]


def test_projects_keep_names_apart(ok: Type) -> None:
    ok("create", "project", "crypto", "-d", "coins")
    ok("create", "repo", "images")
    ok("create", "repo", "images", "--project", "crypto")
    assert [row[0] for row in ok("list", "repo", "-A").rows] == ["default", "crypto"]
    assert [row[0] for row in ok("list", "repo", "--project", "crypto").rows] == ["crypto"]
    ok("put", "file", "crypto/images@master:/a", given=b"1")
    assert ok("list", "file", "images@master", "--project", "crypto").rows == [["1B", "/a"]]
    ok("delete", "project", "crypto", given=b"y\n")
    assert [row[:2] for row in ok("list", "project").rows] == [["*", "default"]]


def test_connect_is_remembered_for_all_clients(ok: Type, environ: dict[str, str], tmp_path: Path) -> None:
    address = environ.pop("PACHD_ADDRESS")
    ok("connect", f"grpc://{address}", "--alias", "here")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["v2"]["active_context"] == "here"
    assert config["v2"]["contexts"]["here"]["pachd_address"] == f"grpc://{address}"
    assert ok("version").rows[1][0] == "pachd"
    assert re.fullmatch(r"[0-9a-f]{32}\n", ok("inspect", "cluster").out)


@pytest.mark.parametrize(
    "words,said",
    [
        ("get file nope@master:/a", 'branch "master" not found in repo default/nope'),
        ("put file nope@master:/a", "repo default/nope not found"),
        ("inspect pipeline nope", "nope"),
        ("list commit nope", "repo default/nope not found"),
        ("create repo bad!name", "only alphanumeric characters"),
    ],
)
def test_errors_are_one_line_with_a_next_step(fail: Type, words: str, said: str) -> None:
    run = fail(*words.split())
    assert run.status == 1
    assert said in run.err
    assert run.err.count("\n") == 1
    assert "Traceback" not in run.err


def test_malformed_spec_is_told_with_its_place(fail: Type, tmp_path: Path) -> None:
    spec = tmp_path / "edges.json"
    spec.write_text('{\n  "pipeline": {"name": "edges"},\n  "transform": {"imag": "x"}\n}\n')
    run = fail("create", "pipeline", "-f", str(spec))
    assert run.status == 1
    assert f"{spec}:3:" in run.err
    assert "Traceback" not in run.err


def test_apply_and_trace_follow_data_and_code(ok: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/a", given=b"1")
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "1-second.json").write_bytes(copy_spec("second", "copy"))
    (specs / "2-copy.json").write_bytes(copy_spec())
    assert ok("apply", str(specs)).out == "copy: created\nsecond: created\n"
    head = ok("list", "commit", "second@master", "-n", "1").rows[0][2]
    ok("wait", "commit", head)
    assert ok("apply", str(specs)).out == "copy: unchanged\nsecond: unchanged\n"
    lines = ok("trace", "second@master:/a").out.splitlines()
    assert lines[0] == f"default/second@{head}:/a"
    assert re.match(r"└─ datum [0-9a-f]{12} of default/second version 1", lines[1])
    assert any("the machine's own programs" in line for line in lines)
    assert re.search(r"default/images@[0-9a-f]{32}:/a \(put by \S+ from .*, hash [0-9a-f]{12}\)", lines[-1])


def test_output_nobody_reads_ends_quietly(ok: Type, environ: dict[str, str], tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/big", given=b"x" * 10_000_000)
    command = [*PACHCTL, "get", "file", "images@master:/big"]
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_interrupt_ends_a_wait_quietly(ok: Type, environ: dict[str, str]) -> None:
    ok("create", "repo", "images")
    ok("create", "pipeline", given=copy_spec(command="sleep 300"))
    ok("put", "file", "images@master:/a", given=b"1")
    head = ok("list", "commit", "images@master").rows[0][2]
    with subprocess.Popen(
        [*PACHCTL, "wait", "commit", head], env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "default/copy: running\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 130
    ok("delete", "pipeline", "copy")


def test_who_stops_a_server_is_told_that_he_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def find(data_dir: Path) -> Running | None:
        found = find_server(data_dir)
        server.process.send_signal(signal.SIGSTOP)  # it ends once that is said, and no sooner
        return found

    def hear(line: str) -> None:
        said.append(line)
        server.process.send_signal(signal.SIGCONT)

    monkeypatch.setattr("pachlet.cli.verbs.stop.find_server", find)
    with ServerProcess(tmp_path / "data") as server:
        assert stop_server(tmp_path / "data", hear, silence=0)
        server.process.communicate()
    assert said == [
        f"waiting for the server (process {server.process.pid}) to end: it finishes what it is writing or building"
    ]


def test_stop_does_not_take_what_it_may_not_read_for_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PachletError, match=r"^cannot read .*/lock: Permission denied$"):
        stop_server(tmp_path)


def test_serve_and_stop_are_a_pair(tmp_path: Path) -> None:
    data, address = tmp_path / "data", tmp_path / "address"
    pachlet = shutil.which("pachlet", path=str(Path(sys.executable).parent)) or pytest.skip("not installed")
    serve = [pachlet, "serve", "--data-dir", str(data), "--port", "0", "--address-file", str(address)]
    stop = [pachlet, "stop", "--data-dir", str(data)]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert server.stderr.readline().startswith("pachlet serves on 127.0.0.1:")
        second = subprocess.run(serve, capture_output=True, text=True)
        assert second.returncode == 1
        assert "another server is running on" in second.stderr
        ran = subprocess.run(stop, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "pachlet has stopped\n")
    assert server.returncode == 0
    assert address.read_text().startswith("127.0.0.1:")
    again = subprocess.run(stop, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, f"no server runs on {data}\n")


def test_interrupt_of_a_put_from_a_pipe_stores_nothing(ok: Type, environ: dict[str, str]) -> None:
    """The program ends although a thread still waits for the pipe (a buffered one would abort the interpreter)."""
    ok("create", "repo", "images")
    with subprocess.Popen(
        [*PACHCTL, "put", "file", "images@master:/a", "-v"],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        os.set_blocking(process.stdin.fileno(), False)
        filled = 0
        while filled < 8 * 1024 * 1024:  # more than a pipe holds, so that the program has begun to read
            try:
                filled += os.write(process.stdin.fileno(), b"x" * 65536)
            except BlockingIOError:
                select.select([], [process.stdin], [])
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read() == b""
    assert ok("list", "commit", "images").rows == []


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_put_file_of_a_device_is_refused(ok: Type, fail: Type, device: str) -> None:
    ok("create", "repo", "r")
    refused = fail("put", "file", "r@master:/x", "-f", device)
    assert refused.status == 1
    assert f"cannot put {device}: it is a device, which may never end" in refused.err
    assert "head -c 1M" in refused.err
    assert fail("list", "file", "r@master").status == 1  # no commit was made
    ok("put", "file", "r@master:/nothing", "-f", "/dev/null")
    assert ok("get", "file", "r@master:/nothing").bytes == b""


def test_put_file_of_a_named_pipe_a_socket_or_a_folder_is_refused(
    ok: Type, fail: Type, tmp_path: Path
) -> None:
    ok("create", "repo", "r")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name, said in (
            ("pipe", "it is a named pipe, which may never end"),
            ("socket", "it is a socket, which may never end"),
            (".", "is a folder"),
        ):
            refused = fail("put", "file", "r@master:/x", "-f", str(tmp_path / name))
            assert refused.status in (1, 2)
            assert said in refused.err
        bad = fail("put", "file", "r@master:/", "-r", "-f", str(tmp_path))
        assert (bad.status, "it is neither a file nor a folder" in bad.err) == (1, True)


def test_put_file_of_a_pipe_that_the_shell_opened_is_what_comes_out_of_it(
    ok: Type, environ: dict[str, str]
) -> None:
    ok("create", "repo", "r")
    script = f"{' '.join(PACHCTL)} put file r@master:/x -f <(printf piped)"
    subprocess.run(["bash", "-c", script], env={**os.environ, **environ}, check=True)
    assert ok("get", "file", "r@master:/x").bytes == b"piped"


def test_wait_commit_of_a_failed_commit_says_so_with_its_status(ok: Type, fail: Type) -> None:
    ok("create", "repo", "r")
    ok("put", "file", "r@master:/x", given=b"1")
    assert ok("wait", "commit", "r@master").status == 0
    ok("start", "commit", "r@master")
    ok("put", "file", "r@master:/x/y", given=b"1")
    ok("finish", "commit", "r@master")
    for words in (("r@master",), ("--downstream", "r@master")):
        failed = fail("wait", "commit", *words)
        assert failed.status == 1
        assert "failed: file / directory path collision (/x/y)" in failed.err
    assert "Error: file / directory path collision" in fail("wait", "commit", "r@master").out
