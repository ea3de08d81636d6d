"""purge: remove the bytes of files everywhere, and leave a tombstone that says who did it, when and why.

Read next: pachlet/client/purging.py, docs/purge.md.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator

from pachlet.cli import flags
from pachlet.cli.output import Table, counted, in_full, show_one, show_raw, size, wants_raw
from pachlet.cli.session import Session
from pachlet.client import names, purging
from pachlet.client.connection import Message
from pachlet.errors import Refused, Usage

_SHOWN = 20


def purge_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "place", nargs="*", metavar="repo@commit:/path", help="a file, or a folder with all that is below"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; must be said")
    parser.add_argument("--author", default="", metavar="WHO", help="on whose behalf (default: USER@HOST)")
    parser.add_argument(
        "--include-shared",
        action="store_true",
        help="also where other files share a part of the bytes; these can't be read whole any more",
    )
    parser.add_argument(
        "--include-logs", action="store_true", help="also rewrite the log lines that quote the files"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("-y", "--yes", action="store_true", help="don't ask")
    parser.add_argument("--list", action="store_true", help="show what was purged, by whom and why")
    parser.add_argument("--lift", metavar="ID", help="let the bytes of a purge be stored again")
    flags.add_raw(parser)
    flags.add_project(parser)


def purge(session: Session, arguments: Namespace) -> None:
    if bool(arguments.place) + arguments.list + bool(arguments.lift) != 1:
        raise Usage("name the files to purge, or give --list or --lift ID")
    if arguments.list:
        _list(session, arguments)
    elif arguments.lift:
        done = purging.lift_purge(session.connection, arguments.lift)
        session.print(f"the bytes of purge {done.id} may be stored again; what is gone stays gone")
    else:
        _purge(session, arguments)


def _purge(session: Session, arguments: Namespace) -> None:
    for place in arguments.place:
        if not names.file(session.connection.project, place)["path"]:
            raise Usage(f"{place} names no file", hint=f"write {place}:/path, or {place}:/ for all of it")
    if not arguments.reason and not arguments.dry_run:
        raise Usage("a purge needs a reason", hint='say why: --reason "..."')
    if arguments.dry_run or not arguments.yes:
        report = _ask(session, arguments, dry_run=True)
        derived = _derived(session, arguments, report)
        if arguments.dry_run:
            show_one(session, arguments, report, lambda report: _plan(report, derived))
            return
        for line in _plan(report, derived):
            session.say(line)
        if not session.confirm("These bytes can't be brought back. Are you sure?"):
            raise Refused("nothing was purged")
    report = _ask(session, arguments, dry_run=False)
    show_one(session, arguments, report, _done)


def _ask(session: Session, arguments: Namespace, *, dry_run: bool) -> Message:
    report = purging.purge(
        session.connection,
        arguments.place,
        lambda progress: session.progress.step(f"{progress.step} {progress.done or ''}".strip()),
        reason=arguments.reason or "a look at what would go",
        who=arguments.author,
        include_shared=arguments.include_shared,
        include_logs=arguments.include_logs,
        dry_run=dry_run,
    )
    session.progress.close()
    return report


def _derived(session: Session, arguments: Namespace, report: Message) -> list[str]:
    known = (f"{_repo(each)}:{each.file.path}" for each in [*report.files, *report.sharing])
    return purging.made_of(session.connection, arguments.place, known)


def _list(session: Session, arguments: Namespace) -> None:
    found = purging.list_purges(session.connection)
    if wants_raw(arguments):
        show_raw(session, arguments, found)
        return
    table = Table(session, "ID", "TIME", "AUTHOR", "WHAT", "STATE", "REASON")
    for each in found:
        more = f" and {len(each.places) - 1} more" if len(each.places) > 1 else ""
        state = f"lifted by {each.lifted_by}" if each.HasField("lifted") else "" if each.is_done else "begun"
        table.add(
            each.id, in_full(each.time), each.author, each.places[0] + more, state or "done", each.reason
        )
    table.show()


def _plan(report: Message, derived: list[str]) -> Iterator[str]:
    yield f"would be purged: {size(report.bytes)} in {counted(report.chunks, 'chunk')}, which are"
    yield from _files(report.files)
    if report.sharing:
        yield "files of which these bytes are a part, and which could not be read whole any more:"
        yield from _files(report.sharing)
        yield "  name them, too, if all of them is to go; or --include-shared takes just the part that they share"
    if derived:
        yield "made of it, and not purged with it; see whether they tell what is to be forgotten:"
        yield from _some(f"  {each}" for each in derived)
    yield from _notes(report, "--include-logs rewrites them")


def _done(report: Message) -> Iterator[str]:
    done = report.purge
    chunks, times = counted(report.chunks, "chunk"), counted(report.overwritten, "time")
    yield f"purged: {size(report.bytes)} in {chunks}, overwritten {times}; they were"
    yield from _files(report.files)
    if report.sharing:
        yield "can't be read whole any more:"
        yield from _files(report.sharing)
    yield from _notes(report, "they were rewritten if --include-logs was given")
    yield f"purge {done.id}, {in_full(done.time)}, by {done.author}: {done.reason}"
    yield "backups that were taken before hold these bytes until you delete them; take the next into an empty folder"


def _notes(report: Message, remedy: str) -> Iterator[str]:
    if report.quoted:
        lines = sum(each.lines for each in report.quoted)
        yield f"quoted in {counted(lines, 'line')} of logs or reasons ({remedy}):"
        yield from _some(
            f"  {each.pipeline or 'a pipeline that is gone'}@{each.job}: {each.lines}"
            for each in report.quoted
        )
    if report.quotes_cut:
        yield "the files are large: not all of their lines were looked for in logs"
    if report.uploads:
        yield f"in {counted(report.uploads, 'upload')} or datums in progress, which will fail"
    if report.running_jobs:
        running = counted(report.running_jobs, "job") + (" runs" if report.running_jobs == 1 else " run")
        yield f"{running}: what their datums were given lies in scratch folders until they end"


def _files(files: Iterable[Message]) -> Iterator[str]:
    lines = []
    for each in files:
        where = f"file set {each.file_set}" if each.file_set else f"{_repo(each)}@{each.file.commit.id}"
        count = f", {each.commits} commits" if each.commits > 1 else ""
        lines.append(f"  {where}:{each.file.path} ({size(each.size_bytes)}{count})")
    return _some(lines)


def _repo(file: Message) -> str:
    return names.show_repo(file.file.commit.repo)


def _some(lines: Iterable[str]) -> Iterator[str]:
    every = list(lines)
    yield from every[:_SHOWN]
    if len(every) > _SHOWN:
        yield f"  and {len(every) - _SHOWN} more (--raw shows all)"
