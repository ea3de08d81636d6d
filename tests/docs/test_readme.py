"""Every command of the README runs, in a copy of the repository, and prints what the README shows.

What is changed on the way: the server's port, which is any free one here, and the commands that need the internet,
which have a stand-in. `make test` is not run in itself; that it is CI's is checked. `make verify` makes all again:
outside of the soak the LSTM's models and the report are; ../acceptance/test_main_job.py verifies all of a small job.

Read next: console.py, copies.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pachlet.cli.verbs.stop import WAITING
from tests.docs.console import Command, Shell, blocks, commands
from tests.docs.copies import environ

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:30650"
SECONDS = 840.0
STAND_INS = {
    "git clone https://github.com/axsauze/crypto-ml ../crypto-ml": (
        "python data/synthetic_coins.py ../crypto-ml/crypto_ml/data/crypto"
    ),
}
QUICKER = {"make verify": "pachlet verify --quiet train-lstm@master report@master --project crypto"}


@pytest.mark.parametrize(
    "stand_ins",
    [STAND_INS | QUICKER, pytest.param(STAND_INS, marks=pytest.mark.soak)],
    ids=["quicker", "whole"],
)
def test_every_command_of_the_readme_prints_what_it_shows(clone: Path, stand_ins: dict[str, str]) -> None:
    shell = Shell(clone, environ(clone), SECONDS)
    try:
        for kind, block in blocks(README):
            if kind == "console":
                for command in commands(block):
                    check(shell, clone, command, stand_ins)
            elif kind == "python":
                check_program(shell, clone, block)
    finally:
        shell.close()


def check(shell: Shell, clone: Path, command: Command, stand_ins: dict[str, str]) -> None:
    words = stand_ins.get(command.words, command.words)
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


def test_a_server_may_take_a_while_to_end_and_no_other_line_is_overlooked() -> None:
    stop = Command("make stop", "pachlet has stopped\n")
    waiting = WAITING.format(4711)
    assert stop.allows(f"{waiting}\npachlet has stopped\n")
    for printed in (
        f"{waiting}\n",
        f"{waiting}, and more\npachlet has stopped\n",
        "more\npachlet has stopped\n",
    ):
        assert not stop.allows(printed)


def test_make_test_is_what_ci_runs() -> None:
    assert "`make test`" in README
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.M)


def test_readme_has_no_other_kind_of_block() -> None:
    assert {kind for kind, _ in blocks(README)} <= {"console", "python", "text"}


def test_python_files_in_the_readme_are_whole() -> None:
    programs = [block for kind, block in blocks(README) if kind == "python"]
    assert programs
    assert all(compile(each, "README.md", "exec") for each in programs)
