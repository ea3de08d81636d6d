"""Every command of the README runs, in a copy of the repository, and prints what the README shows.

What is changed on the way: the server's port, which is any free one here, and the commands that need the internet,
which have a stand-in. `make test` is not run in itself; that it is CI's is checked.

Read next: console.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet.cli.verbs.stop import stop_server
from tests.docs.console import Command, Shell, blocks, commands

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:30650"
SECONDS = 540.0
STAND_INS = {
    "git clone https://github.com/axsauze/crypto-ml ../crypto-ml": (
        "python data/synthetic_coins.py ../crypto-ml/crypto_ml/data/crypto"
    ),
}
MADE = (".git", ".venv", ".venvs", ".tools", ".pachlet", ".hypothesis", ".*_cache", "__pycache__")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of the repository with the environment that `make` made in the original."""
    if not (ROOT / ".venv" / "ready").exists():
        pytest.skip("the environment in .venv was not made by `make`, so `make run` would make one")
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for source in ("pyproject.toml", "uv.lock", ".ci/setup"):
        os.utime(folder / source, (0, 0))  # older than the environment, which must not be made anew from here
    yield folder
    stop_server(folder / ".pachlet")


def environ(clone: Path) -> dict[str, str]:
    """Return a new user's environment: a home of their own, nothing of the make or pytest that runs this."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "PACH", "PYTEST", "COV"))
    }
    return kept | {
        "PORT": "0",
        "PACH_CONFIG": str(clone.parent / "config.json"),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
    }


def test_every_command_of_the_readme_prints_what_it_shows(clone: Path) -> None:
    shell = Shell(clone, environ(clone), SECONDS)
    try:
        for kind, block in blocks(README):
            if kind == "console":
                for command in commands(block):
                    check(shell, clone, command)
            elif kind == "python":
                check_program(shell, clone, block)
    finally:
        shell.close()


def check(shell: Shell, clone: Path, command: Command) -> None:
    words = STAND_INS.get(command.words, command.words)
    printed, status = shell.run(with_address(words, clone))
    assert status == command.status, f"$ {command.words}\n{printed}"
    shown = Command(command.words, with_address(command.output, clone))
    assert shown.allows(printed), f"$ {command.words}\nshown:\n{shown.output}\nprinted:\n{printed}"


def check_program(shell: Shell, clone: Path, program: str) -> None:
    """Run a program of the README under the client that its first line names, where that is installed."""
    client = program.partition("\n")[0].split()[1]
    python = ROOT / ".venvs" / client / "bin" / "python"
    if client == "pachlet.step":
        check_step(shell, clone, program)
    elif python.exists():
        (clone / "program.py").write_text(with_address(program, clone))
        printed, status = shell.run(f"{python} program.py")
        assert (printed.strip(), status) == ("b'Alpha\\n'", 0), printed


def check_step(shell: Shell, clone: Path, program: str) -> None:
    for folder in ("pfs/letters", "pfs/out"):
        (clone / folder).mkdir(parents=True)
    (clone / "pfs" / "letters" / "a.txt").write_text("Alpha\n")
    (clone / "step.py").write_text(program)
    printed, status = shell.run("PFS_ROOT=pfs python step.py")
    assert status == 0, printed
    assert (clone / "pfs" / "out" / "a.txt").read_text() == "ALPHA\n"


def with_address(text: str, clone: Path) -> str:
    """Put the address of the copy's server in the place of the default one."""
    try:
        address = str(json.loads((clone / ".pachlet" / "server.json").read_text())["address"])
    except FileNotFoundError:
        return text
    host, _, port = address.partition(":")
    return text.replace(ADDRESS, address).replace(f'host="{host}", port=30650', f'host="{host}", port={port}')


def test_make_test_is_what_ci_runs() -> None:
    assert "`make test`" in README
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.M)


def test_readme_has_no_other_kind_of_block() -> None:
    assert {kind for kind, _ in blocks(README)} <= {"console", "python", "text"}


def test_python_files_in_the_readme_are_whole() -> None:
    for kind, block in blocks(README):
        if kind == "python":
            compile(block, "README.md", "exec")
