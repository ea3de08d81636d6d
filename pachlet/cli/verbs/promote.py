"""promote, rollback, list promotion: choose the commit that what is deployed reads, with a reason; and go back.

    promote champions@master --to live --reason "beats the last one"
    rollback champions@live --reason "spreads doubled"

Read next: pachlet/client/promotions.py, docs/promote.md.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.output import as_json, counted
from pachlet.cli.session import Session
from pachlet.cli.verbs.waiting import report
from pachlet.client import promotions
from pachlet.client.branches import inspect_branch
from pachlet.client.connection import Message
from pachlet.client.promotions import Foreseen, Rerun
from pachlet.errors import NotFound, Refused, Usage
from pachlet.spec.times import format_time

_SHOWN = 5
"""So many changed files are named."""


def promote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("commit", metavar="repo@commit", help="what to promote: a commit, or a branch's head")
    parser.add_argument("--to", default="live", metavar="BRANCH", help="the branch to move (default: live)")
    _add_common(parser)


def promote(session: Session, arguments: Namespace) -> int:
    where = arguments.commit.partition("@")[0]
    branch = f"{where}@{arguments.to}"
    info = promotions.find_branch(session.connection, branch)
    commit = promotions.find_commit(session.connection, arguments.commit)
    return _move(session, arguments, branch, info, commit.commit.id, "promote")


def rollback_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("branch", metavar="repo@branch")
    parser.add_argument(
        "--to", default="", metavar="COMMIT", help="the commit to go back to (default: the one before)"
    )
    _add_common(parser)


def rollback(session: Session, arguments: Namespace) -> int:
    branch, repo = arguments.branch, arguments.branch.partition("@")[0]
    info = promotions.find_branch(session.connection, branch)
    if info is None:
        raise NotFound(f"there is no branch {branch}", hint=f"see `{session.program} list branch {repo}`")
    if arguments.to:
        head = promotions.find_commit(session.connection, f"{repo}@{arguments.to}").commit.id
    else:
        head = promotions.earlier(promotions.history(info), info.head.id)
        if not head:
            raise Refused(
                f"nothing is known of where {branch} was before",
                hint=f"name a commit with --to; `{session.program} list commit {repo}` shows them",
            )
        head = promotions.find_commit(session.connection, f"{repo}@{head}").commit.id
    return _move(session, arguments, branch, info, head, "rollback")


def list_promotion_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("branch", metavar="repo@branch")
    parser.add_argument("--raw", action="store_true", help="as JSON, a line each")
    flags.add_project(parser)


def list_promotion(session: Session, arguments: Namespace) -> None:
    info = inspect_branch(session.connection, arguments.branch)
    moves = promotions.history(info)
    for move in reversed(moves):
        if arguments.raw:
            session.print(as_json(vars(move)))
            continue
        here = "  (now)" if move is moves[-1] and move.head == info.head.id else ""
        session.print(f"{move.at}  {move.kind:<8} {move.head}  {move.by}: {move.why}{here}")
    if moves and moves[-1].head != info.head.id:
        session.say(f"{arguments.branch} is at {info.head.id}: it was moved by other means since")
    if not moves:
        session.say(f"nothing was promoted to {arguments.branch} yet")


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; it is kept with the branch")
    parser.add_argument("--dry-run", action="store_true", help="only say what would run")
    parser.add_argument("--wait", action="store_true", help="wait for what it sets off, and say how it went")
    flags.add_project(parser)


def _move(
    session: Session, arguments: Namespace, branch: str, info: Message | None, head: str, kind: str
) -> int:
    """Move the branch, or say what that would do; return the exit status."""
    connection = session.connection
    before = info.head.id if info is not None else ""
    if before == head:
        session.print(f"{branch} is at {head} already")
        return 0
    if arguments.dry_run:
        foreseen = promotions.foresee(connection, branch, head, before)
        _tell_foreseen(session, branch, foreseen, before, head)
        return 0
    if not arguments.reason.strip():
        raise Usage(f"a {'promotion' if kind == 'promote' else kind} has a reason", hint='add --reason "..."')
    readers = promotions.readers_of(connection, branch)
    newest = promotions.newest_jobs(connection, readers)
    at = format_time(int(time.time()) * 1_000_000_000)
    promotions.move(connection, branch, info, head, kind, arguments.reason.strip(), at)
    session.print(f"{branch}: {before or 'nothing'} -> {head}")
    if not readers:
        session.say(f"note: no pipeline reads {branch}")
    if not arguments.wait:
        return 0
    from pachlet.client.watch import wait_for

    sets = promotions.sets_since(connection, readers, newest)
    return report(session, wait_for(connection, sets, show=session.progress.jobs))


def _tell_foreseen(session: Session, branch: str, foreseen: Foreseen, before: str, head: str) -> None:
    session.print(f"{branch} would move: {before or 'nothing'} -> {head}")
    changed = foreseen.changed
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    session.print(f"files that differ: {', '.join(changed[:_SHOWN]) + more if changed else 'none'}")
    if not foreseen.direct:
        session.print(f"no pipeline reads {branch}")
    for each in foreseen.direct:
        session.print(f"{each.pipeline}: {_said(each)}")
    if foreseen.after:
        session.print(f"after that, where the output is different: {', '.join(foreseen.after)}")


def _said(rerun: Rerun) -> str:
    if rerun.is_never:
        return "does not start for this by itself; it reads the new commit in its next job"
    new = f"; {counted(rerun.unread, 'file')} that no datum reads yet" if rerun.unread else ""
    return f"{rerun.datums} of {rerun.total} datums read what is different{new}"
