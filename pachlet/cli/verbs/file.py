"""list, inspect, glob, copy and delete file.

Read next: put_file.py, get_file.py, diff_file.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator

from pachlet.cli import flags
from pachlet.cli.output import show_list, show_one, size
from pachlet.cli.session import Session
from pachlet.client import files
from pachlet.client.connection import Message
from pachlet.errors import PachletError, Usage

_DIR = 2  # FileType.DIR
_MOST_LOOKED_AT = 20  # so many files that are to be deleted are looked for, to say which are not there


def list_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="repo@branch-or-commit[:path]")
    flags.add_project(parser)
    flags.add_output(parser)


def list_file(session: Session, arguments: Namespace) -> None:
    _show(session, arguments, files.list_file(session.connection, arguments.file))


def inspect_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="repo@branch-or-commit:path")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_file(session: Session, arguments: Namespace) -> None:
    def lines(info: Message) -> Iterator[str]:
        yield f"Path: {info.file.path}"
        yield f"Datum: {info.file.datum}"
        yield f"Type: {'dir' if info.file_type == _DIR else 'file'}"
        yield f"Size: {size(info.size_bytes)}"

    show_one(session, arguments, files.inspect_file(session.connection, arguments.file), lines)


def glob_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", metavar="repo@branch-or-commit:pattern")
    flags.add_project(parser)
    flags.add_output(parser)


def glob_file(session: Session, arguments: Namespace) -> None:
    _show(session, arguments, files.glob_file(session.connection, arguments.pattern))


def copy_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="repo@branch-or-commit:path")
    parser.add_argument("destination", metavar="repo@branch:path")
    parser.add_argument("-a", "--append", action="store_true", help="append to the destination")
    parser.add_argument("--src-project", default="", metavar="P", help="the project of the source")
    parser.add_argument("--dest-project", default="", metavar="P", help="the project of the destination")
    flags.add_project(parser)


def copy_file(session: Session, arguments: Namespace) -> None:
    files.copy_file(
        session.connection,
        _in_project(arguments.src_project, arguments.source),
        _in_project(arguments.dest_project, arguments.destination),
        append=arguments.append,
    )


def delete_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="repo@branch:path")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="delete folders with all that is in them"
    )
    flags.add_project(parser)


def delete_file(session: Session, arguments: Namespace) -> None:
    named = [file.partition(":") for file in arguments.files]
    commits = {commit for commit, _, _ in named}
    if len(commits) > 1:
        raise Usage("files of one branch can be deleted at a time", hint="give one command per branch")
    paths = [path for _, _, path in named]
    if not all(paths):
        raise Usage("the path of a file to delete is missing", hint="write REPO@BRANCH:/path")
    commit = commits.pop()
    notes = [] if arguments.recursive else list(_untouched(session, commit, paths))
    files.delete_file(session.connection, commit, paths, recursive=arguments.recursive)
    for note in notes:
        session.say(f"note: {note}")


def _untouched(session: Session, commit: str, paths: list[str]) -> Iterator[str]:
    """Say what a deletion leaves as it is; for a server, deleting what is not there is no error."""
    for path in paths[:_MOST_LOOKED_AT]:
        if path.endswith("/"):
            continue
        try:
            found = files.find_file(session.connection, f"{commit}:{path}")
        except PachletError:  # what can't be read yet can be deleted
            continue
        if found is None:
            yield f"there is no file {path} in {commit}"
        elif found.file_type == _DIR:
            yield f"{path} is a folder, and stays; -r deletes it with all that is in it"


def _show(session: Session, arguments: Namespace, infos: Iterable[Message]) -> None:
    # SIZE is as wide as any size, so that names stay in one column in a table of any length.
    show_list(
        session, arguments, infos, ("SIZE   ", "NAME"), lambda info: (size(info.size_bytes), info.file.path)
    )


def _in_project(project: str, name: str) -> str:
    return f"{project}/{name}" if project else name
