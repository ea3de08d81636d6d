"""start, finish, inspect, list, wait and subscribe commit.

An id alone means the commit set: what one change set off in all repos.

Read next: drop_commit.py, find_commit.py, put_file.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from pachlet.cli import flags
from pachlet.cli.output import bar, coloured, show_list, show_one, show_raw, size, wants_raw, when
from pachlet.cli.session import Session
from pachlet.cli.verbs.waiting import refuse_failed, report, say_kept, wait_for_set
from pachlet.client import commits, jobs, names
from pachlet.client.connection import Message
from pachlet.client.watch import Outcome, head_of, outcome
from pachlet.errors import NotFound, Usage
from pachlet.ids import is_commit_id
from pachlet.paths import USER

_HEADER = ("PROJECT", "REPO", "COMMIT", "FINISHED", "SIZE", "ORIGIN", "CREATOR", "DESCRIPTION")
_SET_HEADER = ("ID", "SUBCOMMITS", "PROGRESS", "CREATED", "MODIFIED")
_ORIGINS = ("USER", "AUTO", "FSCK")


def start_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("branch", metavar="repo@branch")
    parser.add_argument("-p", "--parent", default="", metavar="COMMIT", help="the parent, if not the head")
    parser.add_argument("-m", "--message", "--description", default="", help="what the commit is about")
    flags.add_project(parser)


def start_commit(session: Session, arguments: Namespace) -> None:
    commit = commits.start_commit(
        session.connection, arguments.branch, parent=arguments.parent, description=arguments.message
    )
    session.print(commit.id)


def finish_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("commit", metavar="repo@branch-or-commit")
    parser.add_argument("-m", "--message", "--description", default="", help="what the commit is about")
    flags.add_force(parser)
    flags.add_project(parser)


def finish_commit(session: Session, arguments: Namespace) -> None:
    commits.finish_commit(
        session.connection, arguments.commit, description=arguments.message, force=arguments.force
    )


def inspect_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("commit", metavar="repo@branch-or-commit | id")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_commit(session: Session, arguments: Namespace) -> None:
    if is_commit_id(arguments.commit):
        _show(session, arguments, commits.inspect_commitset(session.connection, arguments.commit))
        return

    _show_one(session, arguments, commits.inspect_commit(session.connection, arguments.commit))


def list_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="", metavar="repo[@branch-or-commit] | id")
    parser.add_argument(
        "-f", "--from", dest="since", default="", metavar="COMMIT", help="stop before this one"
    )
    parser.add_argument("-n", "--number", type=flags.count, default=0, help="the most commits to list")
    parser.add_argument("--all", action="store_true", help="commits of all origins")
    parser.add_argument("-x", "--expand", action="store_true", help="list the commits of each commit set")
    parser.add_argument(
        "--author",
        default="",
        metavar="WHO",
        help="commits by whose author holds this, in all repos unless one is named (pachlet's own)",
    )
    parser.add_argument("--origin", choices=_ORIGINS, type=str.upper, help="commits of one origin")
    flags.add_project(parser)
    flags.add_all_projects(parser)
    flags.add_output(parser)


def list_commit(session: Session, arguments: Namespace) -> None:
    if arguments.all and arguments.origin:
        raise Usage("cannot specify both --all and --origin")
    if not arguments.what and not arguments.author:
        _list_sets(session, arguments)
    elif is_commit_id(arguments.what):
        for flag in ("since", "all", "origin"):
            if getattr(arguments, flag):
                raise Usage(f"cannot specify --{flag.replace('since', 'from')} when listing subcommits")
        _show(
            session,
            arguments,
            _first(arguments, _by(arguments, commits.inspect_commitset(session.connection, arguments.what))),
        )
    else:
        repo, _, to = arguments.what.partition("@")
        found = commits.list_commit(
            session.connection,
            repo,
            to=to,
            since=arguments.since,
            number=0 if arguments.author else arguments.number,
            all=arguments.all,
            origin=arguments.origin or "ORIGIN_KIND_UNKNOWN",
        )
        if not repo and not arguments.all_projects:
            here = session.connection.project
            found = (each for each in found if each.commit.repo.project.name == here)
        _show(session, arguments, _first(arguments, _by(arguments, found)))


wait_commit_status = "0 when the commits are finished, 1 when one of them failed, 2 when the words are off."


def wait_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("commit", metavar="repo@branch-or-commit | id")
    parser.add_argument(
        "--downstream", action="store_true", help="wait for all that it set off, too (pachlet's own)"
    )
    flags.add_project(parser)
    flags.add_output(parser)


def wait_commit(session: Session, arguments: Namespace) -> int | None:
    if not is_commit_id(arguments.commit) and not arguments.downstream:
        with session.progress.waiting(_who_finishes(session, arguments.commit)):
            info = commits.wait_commit(session.connection, arguments.commit)
        _show_one(session, arguments, info)
        say_kept(session, _jobs_of(session, info))
        refuse_failed([info])
        return None
    known = is_commit_id(arguments.commit)
    identifier = arguments.commit if known else head_of(session.connection, arguments.commit)
    outcomes = wait_for_set(session, identifier)
    session.progress.close()
    infos = list(commits.inspect_commitset(session.connection, identifier))
    _show(session, arguments, infos)
    status = None
    if session.verbose:
        status = report(session, outcomes)
    else:
        say_kept(session, outcomes)
    refuse_failed([info for info in infos if info.commit.id == identifier])
    return status


def _who_finishes(session: Session, commit: str) -> str | Callable[[], str]:
    """Return what a commit waits for: its job, or a text; say of one that no job finishes that somebody has to."""
    from pachlet.cli.verbs.job import how_far

    info = commits.inspect_commit(session.connection, commit)
    job = names.show_commit(info.commit) if _has_a_job(info) else ""
    while info.HasField("finishing") and not info.HasField("finished") and info.HasField("parent_commit"):
        info = commits.inspect_commit(session.connection, names.show_commit(info.parent_commit))
    if not info.HasField("finishing") and not _has_a_job(info):
        shown = names.show_commit(info.commit)
        session.say(f"note: {shown} is open until somebody does `{session.program} finish commit {shown}`")
    return (lambda: how_far(session, job)) if job else f"waiting for {commit}"


def _has_a_job(info: Message) -> bool:
    return any(each.repo.type == "spec" for each in info.direct_provenance)


def _jobs_of(session: Session, info: Message) -> list[Outcome]:
    """Return how the job went that made a commit, if one did."""
    if not _has_a_job(info):
        return []
    try:
        return [outcome(jobs.inspect_job(session.connection, names.show_commit(info.commit), details=False))]
    except NotFound:
        return []


def subscribe_commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", metavar="repo[@branch]")
    parser.add_argument(
        "--from", dest="since", default="", metavar="COMMIT", help="only commits after this one"
    )
    parser.add_argument("--new", action="store_true", help="only commits from now on")
    parser.add_argument("--all", action="store_true", help="commits of all origins")
    parser.add_argument("--origin", choices=_ORIGINS, type=str.upper, help="commits of one origin")
    flags.add_project(parser)
    flags.add_output(parser)


def subscribe_commit(session: Session, arguments: Namespace) -> None:
    if arguments.new and arguments.since:
        raise Usage("--new and --from cannot be used together")
    if arguments.all and arguments.origin:
        raise Usage("cannot specify both --all and --origin")
    repo, _, branch = arguments.what.partition("@")
    infos = commits.subscribe_commit(
        session.connection,
        repo,
        branch=branch,
        since=branch if arguments.new else arguments.since,
        all=arguments.all,
        origin=arguments.origin or "ORIGIN_KIND_UNKNOWN",
    )
    for index, info in enumerate(infos):  # each is shown as it comes
        if wants_raw(arguments):
            show_raw(session, arguments, [info])
        else:
            if index == 0:
                session.print(" ".join(_HEADER))
            session.print(" ".join(_row(session, arguments, info)).rstrip())
        session.out.flush()


def _list_sets(session: Session, arguments: Namespace) -> None:
    for flag in ("origin", "since"):
        if getattr(arguments, flag):
            raise Usage(f"cannot specify --{flag.replace('since', 'from')} when listing all commits")
    sets = commits.list_commitset(session.connection, all_projects=arguments.all_projects)
    if arguments.expand:
        _show(session, arguments, _first(arguments, (info for each in sets for info in each.commits)))
        return

    def row(info: Message) -> tuple[str, ...]:
        finished = [each for each in info.commits if each.HasField("finished")]
        bad = sum(bool(each.error) for each in finished)
        started = sorted((each.started for each in info.commits), key=lambda each: (each.seconds, each.nanos))
        return (
            info.commit_set.id,
            str(len(info.commits)),
            bar(session, len(finished) - bad, len(info.commits) - len(finished), bad),
            when(arguments, started[0]) if started else "-",
            when(arguments, started[-1]) if started else "-",
        )

    show_list(session, arguments, _first(arguments, sets), _SET_HEADER, row)


def _first(arguments: Namespace, infos: Iterable[Message]) -> Iterable[Message]:
    return islice(infos, arguments.number) if arguments.number else infos


def _by(arguments: Namespace, infos: Iterable[Message]) -> Iterable[Message]:
    """Leave out commits that the author asked for did not make."""
    asked = arguments.author.casefold()
    return (each for each in infos if asked in _author(each).casefold())


def _show(session: Session, arguments: Namespace, infos: Iterable[Message]) -> None:
    show_list(session, arguments, infos, _HEADER, lambda info: _row(session, arguments, info))


def _show_one(session: Session, arguments: Namespace, info: Message) -> None:
    def lines(info: Message) -> Iterator[str]:
        yield f"Commit: {info.commit.repo.name}@{info.commit.id}"
        yield f"Description: {info.description}".rstrip()
        if info.HasField("parent_commit"):
            yield f"Parent: {info.parent_commit.id}"
        yield f"Started: {when(arguments, info.started)}"
        if info.HasField("finished"):
            yield f"Finished: {when(arguments, info.finished)}"
        if info.HasField("details"):
            yield f"Size: {size(info.details.size_bytes)}"
        if info.error:
            yield f"Error: {info.error}"
        for key, value in sorted(info.metadata.items()):
            yield f"{key.replace('-', ' ').capitalize()}: {value}"

    show_one(session, arguments, info, lines)


def _row(session: Session, arguments: Namespace, info: Message) -> tuple[str, ...]:
    repo = info.commit.repo
    finished = when(arguments, info.finished) if info.HasField("finished") else "-"
    known = info.HasField("details")
    shown = size(info.details.size_bytes) if known else f"≤ {size(info.size_bytes_upper_bound)}"
    return (
        repo.project.name,
        repo.name if repo.type == USER else f"{repo.name}.{repo.type}",
        info.commit.id,
        coloured(session, "red", f"{finished} (error)") if info.error else finished,
        shown,
        _origin(info),
        _author(info) or "-",
        info.description or _why(info),
    )


def _author(info: Message) -> str:
    return str(info.created_by or info.metadata.get("author", ""))


def _why(info: Message) -> str:
    """Return what set off a commit of the engine's."""
    trigger = info.metadata.get("trigger", "")
    return f"after {trigger}" if trigger else ""


def _origin(info: Message) -> str:
    from pachlet.wire import schema

    return schema.enum_name("pfs_v2.OriginKind", info.origin.kind)
