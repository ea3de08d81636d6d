"""Many files are made by processes; what they say, and what happens without them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pachlet.api.file_makers import FileMakers, NewFiles, Write
from pachlet.api.new_files import create, replace
from pachlet.errors import PachletError, Refused, Unavailable

MANY = 300


def some(folder: Path, count: int = MANY) -> list[tuple[str, bytes]]:
    return [(f"{folder}/{number}", b"%d" % number) for number in range(count)]


def made(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.iterdir()}


def make(write: Write, *batches: Sequence[tuple[str, bytes]]) -> list[NewFiles]:
    done: list[NewFiles] = []
    with FileMakers(write, done.append) as makers:
        for batch in batches:
            makers.make(batch)
    return done


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    found = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    return found


def test_many_files_are_made_by_processes_that_end(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    files = some(tmp_path, 10 * MANY)
    batches = [files[at : at + MANY] for at in range(0, len(files), MANY)]
    assert make(create, *batches) == batches
    assert made(tmp_path) == dict(files)
    assert started
    assert all(process.returncode == 0 for process in started)


def test_few_files_need_no_process(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    files = some(tmp_path, 3)
    assert make(create, files) == [files]
    assert made(tmp_path) == dict(files)
    assert not started


def test_without_processes_files_are_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("too many processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    files = some(tmp_path)
    assert make(create, files) == [files]
    assert made(tmp_path) == dict(files)


def test_files_that_are_there_are_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    files = some(tmp_path)
    for path, _ in files[::2]:
        Path(path).write_bytes(b"old")
    make(replace, files)
    assert made(tmp_path) == dict(files)


@pytest.mark.parametrize("count", [3, MANY])
@pytest.mark.parametrize("write", [create, replace])
def test_a_file_that_cannot_be_made_is_named(tmp_path: Path, write: Write, count: int) -> None:
    files = some(tmp_path, count)
    obstacle = Path(files[1][0])
    obstacle.mkdir()
    with pytest.raises(Refused, match=rf"cannot write {obstacle}: (File exists|Is a directory)"):
        make(write, files)
    assert not list(tmp_path.glob(".get-*"))


def test_content_and_names_are_bytes_of_any_kind(tmp_path: Path) -> None:
    strange = os.fsdecode(bytes(tmp_path) + b"/\xff\n\xc3\xa9")
    files = [(strange, bytes(range(256)) * 1000), *some(tmp_path)]
    make(create, files)
    assert Path(strange).read_bytes() == files[0][1]


def test_a_process_that_ends_early_is_told_of(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    done: list[NewFiles] = []

    def go_on_after_a_kill() -> None:
        with FileMakers(create, done.append) as makers:
            makers.make(some(tmp_path))
            for process in started:
                process.send_signal(signal.SIGKILL)
                process.wait()
            for name in "abcdefgh":
                (tmp_path / name).mkdir()
                makers.make(some(tmp_path / name))

    with pytest.raises(PachletError) as caught:
        go_on_after_a_kill()
    assert isinstance(caught.value, Unavailable)
    assert "ended before its time" in caught.value.message
