"""find commit: the commits of a branch in which a file was added, changed or deleted, the newest first.

Read next: commit.py.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any

from pachlet.cli import flags
from pachlet.cli.output import as_plain
from pachlet.cli.session import Session
from pachlet.client import commits
from pachlet.client.connection import Message


def find_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="repo@branch-or-commit:path")
    parser.add_argument("--limit", type=flags.count, default=0, metavar="N", help="the most commits to find")
    parser.add_argument(
        "--timeout", type=flags.seconds, default=0.0, metavar="30s", help="how long to search, at most"
    )
    parser.add_argument("--json", action="store_true", help="show the answer as JSON")
    flags.add_project(parser)


def find_commit(session: Session, arguments: Namespace) -> None:
    answers = commits.find_commits(
        session.connection, arguments.file, limit=arguments.limit, timeout=arguments.timeout or None
    )
    if arguments.json:
        session.print(json.dumps(_collected(answers)))
        return
    found, last_searched = False, ""
    session.print("FOUND IN COMMITS")
    for answer in answers:
        if answer.HasField("found_commit"):
            found = True
            session.print(answer.found_commit.id)
            session.out.flush()  # the next one may be far back
        else:
            last_searched = answer.last_searched_commit.id
    if not found:
        session.print("no commits found.")
    session.print(f"\nLAST SEARCHED COMMIT\n{last_searched}")


def _collected(answers: Iterable[Message]) -> dict[str, Any]:
    """Return all answers as one, with the names that pachctl's JSON has."""
    every = list(answers)
    last = every[-1] if every and every[-1].HasField("last_searched_commit") else None
    return {
        "FoundCommits": [as_plain(each.found_commit) for each in every if each.HasField("found_commit")],
        "LastSearchedCommit": as_plain(last.last_searched_commit) if last is not None else None,
        "CommitsSearched": last.commits_searched if last is not None else 0,
    }
