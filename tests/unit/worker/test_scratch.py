"""What a step left is opened and removed for what it is, also while the step still changes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pachlet.errors import Refused
from pachlet.worker.scratch import empty, make_apart, open_file, read_file, remove, spread


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_text("secret")
    (tmp_path / "out" / "d").mkdir(parents=True)
    (tmp_path / "out" / "d" / "x").write_text("own")
    return tmp_path / "out"


def test_a_file_is_opened(out: Path) -> None:
    with open_file(out / "d" / "x") as file:
        assert file.read() == b"own"


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, path = os.read, out / "d" / "x"

    def append_and_read(descriptor: int, size: int) -> bytes:
        if path.stat().st_size == len("own"):
            with path.open("a") as file:
                file.write(", and more")
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", append_and_read)
    assert read_file(path, 100) == b"own, and more"
    path.write_text("own")
    assert read_file(path, 12) is None


def test_a_link_that_was_put_where_a_file_was_is_not_followed(out: Path) -> None:
    (out / "d" / "x").unlink()
    (out / "d" / "x").symlink_to("../../secret/x")
    with pytest.raises(Refused, match="x in /pfs/out was changed while it was collected"):
        open_file(out / "d" / "x")


def test_a_link_that_was_put_where_a_folder_was_is_not_followed(out: Path) -> None:
    (out / "d").rename(out / "e")
    (out / "d").symlink_to("../secret")
    with pytest.raises(Refused, match="x in /pfs/out was changed while it was collected"):
        open_file(out / "d" / "x")


def test_a_pipe_that_was_put_where_a_file_was_holds_up_nothing(out: Path) -> None:
    (out / "d" / "x").unlink()
    os.mkfifo(out / "d" / "x")
    with pytest.raises(Refused, match="it is no file any more"):
        open_file(out / "d" / "x")


def test_a_file_that_is_gone_is_a_sentence(out: Path) -> None:
    with pytest.raises(Refused, match="gone in /pfs/out was changed while it was collected: No such file"):
        open_file(out / "gone")


def test_removing_follows_no_link(out: Path) -> None:
    (out / "link").symlink_to("../secret")
    (out / "d" / "link").symlink_to("../../secret")
    empty(out, keep="d")
    assert [path.name for path in out.iterdir()] == ["d"]
    remove(out)
    assert not out.exists()
    assert (out.parent / "secret" / "x").read_text() == "secret"


def test_folders_of_any_depth_are_removed(out: Path) -> None:
    top = os.open(out, os.O_RDONLY)
    here = os.open(".", os.O_RDONLY)
    try:
        os.fchdir(top)
        for _ in range(5000):
            os.mkdir("deeper")
            os.chdir("deeper")
        Path("x").touch()
    finally:
        os.fchdir(here)
        os.close(here)
        os.close(top)
    empty(out)
    assert list(out.iterdir()) == []


def test_spreading_tells_the_file_system_and_asks_nothing_of_it(tmp_path: Path) -> None:
    spread(tmp_path / "not there")
    spread(tmp_path)
    if shutil.which("lsattr") is None:
        pytest.skip("nothing here shows the flags of a folder")
    shown = subprocess.run(["lsattr", "-d", tmp_path], capture_output=True, text=True)
    if shown.returncode:
        pytest.skip("this file system has no flags")
    assert "T" in shown.stdout.split()[0]


def test_a_folder_made_apart_has_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    spread(tmp_path)
    make_apart(tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").is_dir()
