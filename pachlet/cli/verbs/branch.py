"""create, inspect, list and delete branch.

Read next: commit.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import in_full, show_list, show_one
from pachlet.cli.session import Session
from pachlet.client import branches
from pachlet.client.connection import Message
from pachlet.errors import Usage


def create_branch_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("branch", metavar="repo@branch")
    parser.add_argument(
        "-p",
        "--provenance",
        action="append",
        default=[],
        metavar="REPO@BRANCH,...",
        help="branches whose new commits make a new commit here",
    )
    parser.add_argument("--head", default="", metavar="COMMIT", help="the commit that the branch points at")
    parser.add_argument(
        "-t", "--trigger", default="", metavar="BRANCH", help="the branch that triggers this one"
    )
    parser.add_argument("--trigger-cron", default="", metavar="SPEC", help="trigger at these times")
    parser.add_argument("--trigger-size", default="", metavar="SIZE", help="trigger after this much new data")
    parser.add_argument(
        "--trigger-commits", type=flags.count, default=0, metavar="N", help="trigger after N commits"
    )
    parser.add_argument("--trigger-all", action="store_true", help="trigger only when all conditions hold")
    flags.add_project(parser)


def create_branch(session: Session, arguments: Namespace) -> None:
    trigger = {
        "branch": arguments.trigger,
        "cron_spec": arguments.trigger_cron,
        "size": arguments.trigger_size,
        "commits": arguments.trigger_commits,
        "all": arguments.trigger_all,
    }
    if (
        arguments.trigger_cron or arguments.trigger_size or arguments.trigger_commits
    ) and not arguments.trigger:
        raise Usage(
            "trigger condition specified without a branch to trigger on",
            hint="specify a branch with --trigger",
        )
    if arguments.trigger and arguments.provenance:
        raise Usage("cannot use provenance and triggers on the same branch")
    branches.create_branch(
        session.connection,
        arguments.branch,
        head=arguments.head,
        provenance=[name for given in arguments.provenance for name in given.split(",") if name],
        trigger=trigger if any(trigger.values()) else None,
    )


def inspect_branch_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("branch", metavar="repo@branch")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_branch(session: Session, arguments: Namespace) -> None:
    info = branches.inspect_branch(session.connection, arguments.branch)
    show_one(session, arguments, info, _lines)


def list_branch_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("repo")
    flags.add_project(parser)
    flags.add_output(parser)


def list_branch(session: Session, arguments: Namespace) -> None:
    infos = branches.list_branch(session.connection, arguments.repo)
    show_list(session, arguments, infos, ("BRANCH", "HEAD", "TRIGGER", "CREATOR", "CREATED"), _row)


def delete_branch_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("branch", metavar="repo@branch")
    flags.add_force(parser)
    flags.add_project(parser)


def delete_branch(session: Session, arguments: Namespace) -> None:
    branches.delete_branch(session.connection, arguments.branch, force=arguments.force)


def _row(info: Message) -> tuple[str, ...]:
    return (
        info.branch.name,
        info.head.id or "-",
        _trigger(info.trigger) if info.HasField("trigger") else "-",
        info.created_by or "-",
        in_full(info.created_at) if info.HasField("created_at") else "-",
    )


def _lines(info: Message) -> Iterator[str]:
    yield f"Name: {info.branch.repo.name}@{info.branch.name}"
    if info.HasField("head"):
        yield f"Head Commit: {info.head.repo.name}@{info.head.id}"
    if info.provenance:
        yield "Provenance: " + " ".join(f"{each.repo.name}@{each.name}" for each in info.provenance)
    if info.HasField("trigger"):
        yield f"Trigger: {_trigger(info.trigger)}"
    if info.created_by:
        yield f"Created by: {info.created_by}"
    if info.HasField("created_at"):
        yield f"Created at: {in_full(info.created_at)}"


def _trigger(trigger: Message) -> str:
    if trigger.cron_spec:
        return f"{trigger.branch} on Cron({trigger.cron_spec})"
    conditions = []
    if trigger.rate_limit_spec:
        conditions.append(f"Rate Limit({trigger.rate_limit_spec})")
    if trigger.size:
        conditions.append(f"Size({trigger.size})")
    if trigger.commits:
        conditions.append(f"Commits({trigger.commits})")
    return f"{trigger.branch} on {(' and ' if trigger.all else ' or ').join(conditions)}"
