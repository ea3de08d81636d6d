"""get file: the bytes of one file to the output or to disk; with -r a folder, or all that a glob matches.

With the URL of an object store as its output, the server writes there what is got, at its whole path below the URL.

Read next: pachlet/client/get_file.py.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from functools import cache
from pathlib import Path
from typing import IO

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client import get_file as client
from pachlet.client.files import find_file
from pachlet.client.local_files import Advance
from pachlet.errors import Usage


def get_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="repo@branch-or-commit:path")
    parser.add_argument(
        "-o",
        "--output",
        default="",
        metavar="PATH",
        help="where to write, also s3://bucket/path (default: the output)",
    )
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="get a folder, or all that a glob matches"
    )
    parser.add_argument(
        "--offset", type=flags.whole, default=0, metavar="N", help="leave out the first N bytes"
    )
    parser.add_argument("--retry", action="store_true", help="append what is missing to a file that is there")
    parser.add_argument(
        "--progress", nargs="?", const="true", default="", help="true or false (default: on a terminal)"
    )
    flags.add_project(parser)


def get_file(session: Session, arguments: Namespace) -> None:
    connection = session.connection
    if "://" in arguments.output:
        client.get_to_url(connection, arguments.file, arguments.output)
    elif arguments.recursive:
        if not arguments.output:
            raise Usage(
                "an output path needs to be specified when using the --recursive flag", hint="add -o FOLDER"
            )
        advance = _advance(session, arguments)
        count = client.get_folder(connection, arguments.file, Path(arguments.output), advance=advance)
        if session.verbose:
            session.say(f"got {count} files")
    elif not arguments.output:
        client.get_file(connection, arguments.file, _bytes_out(session), offset=arguments.offset)
    else:
        _to_disk(session, arguments, Path(arguments.output))


def _to_disk(session: Session, arguments: Namespace, destination: Path) -> None:
    connection = session.connection
    advance = _advance(session, arguments)
    if arguments.retry and destination.exists():
        client.resume_file(connection, arguments.file, destination, advance=advance)
    else:
        client.download_file(
            connection, arguments.file, destination, offset=arguments.offset, advance=advance
        )


def _advance(session: Session, arguments: Namespace) -> Advance | None:
    """Return what shows the progress of a get, None if it is not to be seen."""
    if arguments.progress == "false":
        return None

    @cache
    def total() -> int | None:
        info = find_file(session.connection, arguments.file)  # not there for a glob, whose size nobody knows
        return int(info.size_bytes) - arguments.offset if info else None

    return session.progress.bytes("get", total)


def _bytes_out(session: Session) -> IO[bytes]:
    """Return the binary stream below the session's output, which has nothing of its own waiting."""
    session.out.flush()
    return getattr(session.out, "buffer", sys.stdout.buffer)
