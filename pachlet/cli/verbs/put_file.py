"""put file: local files, folders, URLs or standard input into a branch, as one commit.

The verb returns when the commit is finished, with status 1 if it can't be (a file where a folder is, say); upstream
does not wait for that, and says nothing. With --wait it returns when everything that the new commit set off is
finished, and says how much of it was done and how much was skipped.

Read next: pachlet/client/put_file.py (where files land), waiting.py.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import islice

from pachlet.cli import flags
from pachlet.cli.output import size
from pachlet.cli.session import Session
from pachlet.cli.verbs.waiting import refuse_failed, report, wait_for_set
from pachlet.client.authorship import sources
from pachlet.client.commits import inspect_commit, wait_commit
from pachlet.client.connection import Connection
from pachlet.client.files import find_file
from pachlet.client.measuring import Measure
from pachlet.client.put_file import Put, expand, plan
from pachlet.client.put_file import put_file as put
from pachlet.client.repos import inspect_repo
from pachlet.client.watch import head_of
from pachlet.errors import Usage

_MOST_NAMED = 20  # up to so many files each is named; more are only counted


def put_file_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", metavar="repo@branch-or-commit[:path]")
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="a file, a URL or - for standard input; may be repeated",
    )
    parser.add_argument(
        "-i", "--input-file", default="", metavar="LIST", help="a file that lists files, one per line"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="put all files of a folder")
    parser.add_argument("-a", "--append", action="store_true", help="append to files that are there already")
    parser.add_argument("-c", "--compress", action="store_true", help="compress on the way to the server")
    parser.add_argument(
        "-p", "--parallelism", type=flags.whole, default=10, metavar="N", help="accepted and not needed"
    )
    parser.add_argument(
        "-m", "--message", default="", help="what the commit is about, and why (pachlet's own)"
    )
    parser.add_argument(
        "--full-path", action="store_true", help="keep the whole path, not only its last part"
    )
    parser.add_argument("--untar", action="store_true", help="unpack .tar, .tar.gz and .tgz files")
    parser.add_argument(
        "--progress", nargs="?", const="true", default="", help="true or false (default: on a terminal)"
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait until all that reads this is finished (pachlet's own)"
    )
    flags.add_project(parser)


def put_file(session: Session, arguments: Namespace) -> int | None:
    where, _, path = arguments.target.partition(":")
    planned = plan(
        path,
        _sources(session, arguments),
        stdin=session.input,
        recursive=arguments.recursive,
        full_path=arguments.full_path,
        untar=arguments.untar,
    )
    # The members of an archive exist only while it is being read, so they are sent as they come.
    puts = [] if arguments.untar else list(planned)
    connection = session.connection
    inspect_repo(connection, where.partition("@")[0])  # before gigabytes travel to a repo that is not there
    named = _named(puts) if session.talkative else []
    before = _sizes(connection, where, named)
    is_shown = arguments.progress != "false"
    is_live = is_shown and session.progress.live
    measure = Measure(puts) if puts and (is_live or session.talkative) else None
    id = put(
        connection,
        where,
        puts or planned,
        append=arguments.append,
        compress=arguments.compress,
        message=arguments.message,
        source=_archives(arguments),
        advance=session.progress.bytes("put", measure.total if measure else None) if is_shown else None,
    )
    session.progress.close()
    # No answer of Pachyderm's says which commit a put made: there it is the branch's head, perhaps another's by now.
    made = f"{where.partition('@')[0]}@{id}" if id else where
    _refuse_failed(session, made, where)
    if measure is not None and session.talkative:
        lines = _told(connection, made, named, before, append=arguments.append)
        for line in lines if named else [_counted(where, *measure.wait())]:
            session.print(line)
    if not arguments.wait:
        return None
    return report(session, wait_for_set(session, head_of(connection, made)))


def _refuse_failed(session: Session, made: str, where: str) -> None:
    """Wait for the commit that was made, if one was, and refuse to go on if what was put can't be."""
    info = inspect_commit(session.connection, made)
    if info.HasField("finishing"):
        if not info.HasField("finished"):
            with session.progress.waiting(f"waiting until {where} is finished"):
                info = wait_commit(session.connection, made)
        refuse_failed([info])


def _sources(session: Session, arguments: Namespace) -> list[str]:
    if arguments.input_file:
        if arguments.file:
            raise Usage("-f and -i cannot be used together")
        listed = session.read_text(arguments.input_file).splitlines()
        named = [line.strip() for line in listed if line.strip()]
        if not named:
            raise Usage(f"{arguments.input_file} names no file")
        return named
    sources = arguments.file or ["-"]
    if sources.count("-") > 1:
        raise Usage("standard input can be put only once")
    if sources == ["-"] and not arguments.file and session.input.isatty():
        raise Usage("nothing to put", hint="name a file with -f, or give the bytes on standard input")
    return sources


def _archives(arguments: Namespace) -> str:
    """Return where archives are; their members are files of nowhere."""
    return sources(os.path.abspath(each) for each in arguments.file) if arguments.untar else ""


def _named(puts: list[Put]) -> list[str]:
    """Return the paths that are put, none if there are too many to name."""
    paths = [each.path for each in islice(expand(puts), _MOST_NAMED + 1)]
    return paths if len(paths) <= _MOST_NAMED else []


def _sizes(connection: Connection, where: str, paths: list[str]) -> dict[str, int]:
    """Return the sizes of the files that will be replaced."""
    found = {path: find_file(connection, f"{where}:{path}") for path in paths}
    return {path: int(info.size_bytes) for path, info in found.items() if info is not None}


def _counted(where: str, files: int, total: int | None) -> str:
    return f"put {files} files{f' ({size(total)})' if total is not None else ''} into {where}"


def _told(
    connection: Connection, where: str, paths: list[str], before: dict[str, int], *, append: bool
) -> Iterator[str]:
    for each in paths:
        info = find_file(connection, f"{where}:{each}")
        after = size(info.size_bytes) if info is not None else "size not known"
        path = "/" + each.lstrip("/")
        if each not in before:
            yield f"put {path} ({after})"
        else:
            done = "appended to" if append else "replaced"
            yield f"{done} {path} ({size(before[each])} -> {after})"
