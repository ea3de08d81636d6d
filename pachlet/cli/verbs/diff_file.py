"""diff file: which files differ between two commits, and how, line by line where both are text.

Read next: file.py.
"""

from __future__ import annotations

import difflib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import Table, coloured, size
from pachlet.cli.session import Session
from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.files import diff_file as differing
from pachlet.client.get_file import download_file, get_bytes
from pachlet.errors import PachletError, Usage

_FILE = 1  # FileType.FILE
_LARGEST = 1024 * 1024  # a larger file is only named: nobody reads such a diff


def diff_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("new", metavar="repo@branch-or-commit:path")
    parser.add_argument("old", nargs="?", default="", metavar="repo@branch-or-commit:path")
    parser.add_argument("-s", "--shallow", action="store_true", help="compare folders only by their hashes")
    parser.add_argument("--name-only", action="store_true", help="show only which files differ")
    parser.add_argument(
        "--diff-command", default="", metavar="CMD", help="a program that is given the old and the new file"
    )
    parser.add_argument("--old-project", default="", metavar="P", help="the project of the older file")
    flags.add_pager(parser)
    parser.add_argument("--full-timestamps", action="store_true", help="accepted; no times are shown")
    flags.add_project(parser)


def diff_file(session: Session, arguments: Namespace) -> None:
    connection = session.connection
    older = f"{arguments.old_project}/{arguments.old}" if arguments.old_project else arguments.old
    pairs = differing(connection, arguments.new, older, shallow=arguments.shallow)
    if arguments.name_only or arguments.shallow:
        _show_names(session, pairs)
        return
    for pair in pairs:
        old = pair.old_file if pair.HasField("old_file") else None
        new = pair.new_file if pair.HasField("new_file") else None
        if _FILE in (each.file_type for each in (old, new) if each is not None):
            if arguments.diff_command:
                _compare(session, arguments.diff_command, old, new)
                continue
            for line in _diff(connection, old, new):
                colour = {"+": "green", "-": "red"}.get(line[:1])
                session.print(coloured(session, colour, line) if colour else line)


def _compare(session: Session, command: str, old: Message | None, new: Message | None) -> None:
    """Run a program on the two files, in a folder that is gone afterwards."""
    import shlex
    import subprocess
    import tempfile
    from pathlib import Path

    session.out.flush()
    with tempfile.TemporaryDirectory() as folder:
        paths = ["/dev/null", "/dev/null"]
        for index, (side, info) in enumerate((("old", old), ("new", new))):
            if info is not None and info.file_type == _FILE:
                # Named as in the repo, so that the program's output can be read.
                paths[index] = str(Path(folder, side, info.file.path.lstrip("/")))
                download_file(session.connection, names.show_file(info.file), Path(paths[index]))
        try:
            ran = subprocess.run([*shlex.split(command), *paths], stdout=subprocess.PIPE, check=False)
        except (OSError, ValueError) as error:
            raise Usage(f"cannot run {command!r}: {error}") from None
    session.out.write(ran.stdout.decode(errors="replace"))
    if ran.returncode not in (0, 1):  # 1 is how diff says that there are differences
        raise PachletError(f"{command} ended with status {ran.returncode}")


def _show_names(session: Session, pairs: Iterator[Message]) -> None:
    table = Table(session, "OP", "SIZE   ", "NAME")
    for pair in pairs:
        for field, sign, colour in (("new_file", "+", "green"), ("old_file", "-", "red")):
            if pair.HasField(field):
                info = getattr(pair, field)
                table.add(coloured(session, colour, sign), size(info.size_bytes), info.file.path)
    table.show()


def _diff(connection: Connection, old: Message | None, new: Message | None) -> Iterator[str]:
    before, after = _lines(connection, old), _lines(connection, new)
    was = names.show_file(old.file) if old is not None else "/dev/null"
    becomes = names.show_file(new.file) if new is not None else "/dev/null"
    if before is None or after is None:
        yield f"{was} and {becomes} differ"
        return
    yield from difflib.unified_diff(before, after, was, becomes, lineterm="")


def _lines(connection: Connection, info: Message | None) -> list[str] | None:
    """Return the lines of a text file, none of a missing one, and None for what is no text or too large."""
    if info is None or info.file_type != _FILE:
        return []
    if info.size_bytes > _LARGEST:
        return None
    content = get_bytes(connection, names.show_file(info.file))
    try:
        return None if b"\0" in content else content.decode().splitlines()
    except UnicodeDecodeError:
        return None
