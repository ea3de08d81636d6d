"""squash and delete commit, for a whole commit set, and their V2 forms for a single commit.

Squashing keeps the data, in the children; deleting loses it, and is only for commits without children.

Read next: commit.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client import commits
from pachlet.errors import Usage


def squash_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="the id that the set's commits share")


def squash_commit(session: Session, arguments: Namespace) -> None:
    commits.squash_commitset(session.connection, _set_id(session, arguments.id, "squash commitV2"))


delete_commit_arguments = squash_commit_arguments


def delete_commit(session: Session, arguments: Namespace) -> None:
    commits.drop_commitset(session.connection, _set_id(session, arguments.id, "delete commitV2"))


def squash_commitv2_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("commit", metavar="repo@branch-or-commit")
    parser.add_argument("-r", "--recursive", action="store_true", help="and all commits that depend on it")
    flags.add_project(parser)


def squash_commitv2(session: Session, arguments: Namespace) -> None:
    commits.squash_commit(session.connection, arguments.commit, recursive=arguments.recursive)


delete_commitv2_arguments = squash_commitv2_arguments


def delete_commitv2(session: Session, arguments: Namespace) -> None:
    commits.drop_commit(session.connection, arguments.commit, recursive=arguments.recursive)


def _set_id(session: Session, text: str, single: str) -> str:
    if "@" in text:
        raise Usage(
            f"{text} is one commit, and this verb takes the id of a commit set",
            hint=f"`{session.program} {single} {text}` is for one commit",
        )
    return flags.set_id(text)
