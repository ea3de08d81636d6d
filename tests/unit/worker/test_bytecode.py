"""Environments have the bytecode of the same files from one another, and the rest is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pachlet.worker.bytecode import compile_command, share_bytecode


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Packages that are compiled; below a folder `tests`, which does not make all of them tests."""
    packages = tmp_path / "tests" / "first"
    for name in ("coins.py", "deep/er.py", "deep/tests/of_it.py", "deep/not_of.3.py"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(f"NAME = {name!r}\n")
    (packages / "wrong.py").write_text("print 'of Python 2'\n")
    compiled(packages)
    return packages


def compiled(packages: Path) -> None:
    done = subprocess.run(
        compile_command(Path(sys.executable), packages), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")  # for the file that is wrong


def bytecode(packages: Path) -> dict[str, int]:
    """Return what is compiled: the number of each file."""
    tag = f".{sys.implementation.cache_tag}.pyc"
    found = packages.rglob(f"*{tag}")
    return {
        str((each.parent.parent / each.name).relative_to(packages)).removesuffix(tag): each.stat().st_ino
        for each in found
    }


def test_all_is_compiled_but_the_tests_of_packages_and_what_can_not_be(first: Path) -> None:
    assert set(bytecode(first)) == {"coins", "deep/er", "deep/not_of.3"}


def test_the_same_files_share_bytecode_and_like_ones_do_not(first: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    (second / "deep").mkdir(parents=True)
    os.link(first / "coins.py", second / "coins.py")
    os.link(first / "deep" / "er.py", second / "deep" / "er.py")
    (second / "deep" / "not_of.3.py").write_bytes((first / "deep" / "not_of.3.py").read_bytes())
    (second / "new.py").write_text("NAME = 'new'\n")
    (second / "wrong.py").write_text("(")

    share_bytecode(second, [tmp_path / "gone", first])
    shared = bytecode(second)
    assert set(shared) == {"coins", "deep/er"}
    assert shared.items() <= bytecode(first).items()

    compiled(second)
    assert set(bytecode(second)) == {"coins", "deep/er", "deep/not_of.3", "new"}
    assert shared.items() <= bytecode(second).items()  # found to be up to date


def test_an_error_names_the_file_of_its_own_environment(first: Path, tmp_path: Path) -> None:
    (first / "faulty.py").write_text("def fail():\n    1 / 0\n")
    compiled(first)
    second = tmp_path / "second"
    second.mkdir()
    os.link(first / "faulty.py", second / "faulty.py")
    share_bytecode(second, [first])
    command = [sys.executable, "-B", "-c", "import faulty; print(faulty.__cached__); faulty.fail()"]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(second)}, capture_output=True, text=True, check=False
    )
    assert Path(done.stdout.strip()).samefile(first / "__pycache__" / Path(done.stdout.strip()).name)
    assert f'File "{second}/faulty.py", line 2, in fail' in done.stderr
