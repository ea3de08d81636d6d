"""writing.md: what becomes of a file when another is written to its path, as a server shows that does it.

Read next: tests/acceptance/test_files.py (the same, call by call), pages.py.
"""

from __future__ import annotations

import io
import shlex
import tempfile
from pathlib import Path

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes

_HEAD = """# Writing to a path that is taken

Made by `make docs`: each line was typed at a server. A put **replaces**, as on a Pachyderm since version 2; `-a`
appends, and `-v` says which of the two it was. Commits that are finished stay as they are.

| The file before | Typed (`<<< TEXT` is what is put) | Said | The file then |
| --- | --- | --- | --- |
"""
_TAIL = """
Underneath, the API appends: a client that replaces sends the deletion and the bytes in one stream, which is one step.
So a program that sends `add_file` alone, without `delete_file` before it, appends.

Two datums of a job that write the same path are no case for a rule: the job fails, and its reason names the path and
both datums ([test](../tests/acceptance/test_pipelines_run.py)). A file where a folder is fails its commit likewise.
"""
_CASES: list[tuple[str, list[str]]] = [
    ("", ["put file r@master:/a -v <<< new"]),
    ("", ["put file r@master:/a -a -v <<< new"]),
    ("old", ["put file r@master:/a -v <<< new"]),
    ("old", ["put file r@master:/a -a -v <<< new"]),
    ("old", ["put file r@master:/a -v <<< "]),
    ("old", ["put file r@master:/a -v <<< old"]),
    (
        "old",
        ["start commit r@master", "put file r@master:/a -v <<< new", "put file r@master:/a -a -v <<< er"],
    ),
    ("old", ["start commit r@master", "delete file r@master:/a", "put file r@master:/a -a -v <<< new"]),
    ("old", ["copy file r@master:/b r@master:/a"]),
    ("old", ["copy file -a r@master:/b r@master:/a"]),
]


class _Terminal:
    """Where commands are typed at one server."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._environ = {"PACHD_ADDRESS": address, "PACH_CONFIG": str(folder / "config.json")}

    def type(self, line: str) -> str:
        """Type a command; return what it printed."""
        command, _, given = line.partition(" <<< ")
        out, err = io.StringIO(), io.StringIO()
        session = Session(self._environ, out=out, err=err, input=io.BytesIO(given.encode()))
        if main.run(session, shlex.split(command)):
            raise RuntimeError(f"{line}: {err.getvalue()}")
        return out.getvalue().strip()

    def content(self, file: str) -> str:
        """Return what a file holds."""
        with Connection(self._address) as connection:
            return get_bytes(connection, file).decode()


def page() -> str:
    """Return the page."""
    with (
        tempfile.TemporaryDirectory() as name,
        testing.server(Path(name) / "data", code=Path(name)) as running,
    ):
        terminal = _Terminal(running.address, Path(name))
        return _HEAD + "".join(_row(terminal, before, lines) for before, lines in _CASES) + _TAIL


def _row(terminal: _Terminal, before: str, lines: list[str]) -> str:
    terminal.type("create repo r")
    terminal.type("put file r@master:/b <<< other")
    if before:
        terminal.type(f"put file r@master:/a <<< {before}")
    said = [terminal.type(line) for line in lines]
    if lines[0].startswith("start commit"):
        terminal.type("finish commit r@master")
        said = said[1:]  # the first is the commit's id
    after = terminal.content("r@master:/a")
    terminal.type("delete repo r")
    typed = "<br>".join(f"`{line}`" for line in lines)
    told = "<br>".join(f"`{each}`" for each in said if each) or "nothing"
    return f"| {_shown(before) if before else 'none'} | {typed} | {told} | {_shown(after)} |\n"


def _shown(text: str) -> str:
    return f"`{text}`" if text else "empty"
