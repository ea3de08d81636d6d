"""verify: run the datums of commits again and tell of each file whether it is what is stored.

Read next: pachlet/client/proofs.py, docs/verify.md.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from pachlet.cli import flags
from pachlet.cli.output import as_plain, coloured, human_duration, show_value
from pachlet.cli.session import Session
from pachlet.client import names, proofs
from pachlet.client.connection import Message
from pachlet.errors import Usage

verify_status = (
    "0 when every file is identical, 1 when one differs, 3 when one could not be verified or compared,"
    " 2 when the words are off."
)
_DIFFERS, _UNVERIFIED = 1, 3
_CANT = "can't verify"
_WORDS = {
    "identical": ("identical", "green"),
    "differs": ("differs", "red"),
    "not-comparable": ("not comparable", "yellow"),
}


def verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("commit", nargs="*", metavar="repo@branch-or-commit | job set")
    parser.add_argument("--all", action="store_true", help="the newest results of every pipeline")
    parser.add_argument("--deep", action="store_true", help="also the results that these were made from")
    parser.add_argument("-q", "--quiet", action="store_true", help="no line for a file that is identical")
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the findings as data")
    flags.add_project(parser)


def verify(session: Session, arguments: Namespace) -> int:
    if not arguments.commit and not arguments.all:
        raise Usage("name a commit or a job set", hint="or --all for the newest results of every pipeline")
    if arguments.commit and arguments.all:
        raise Usage("--all is the newest results of every pipeline; name no commit with it")
    told = _Told(session, arguments)
    answers = proofs.verify(session.connection, arguments.commit, all=arguments.all, deep=arguments.deep)
    for answer in answers:
        told.take(answer)
    session.progress.close()
    told.end()
    return told.status


class _Told:
    """What a server tells, as it is shown."""

    def __init__(self, session: Session, arguments: Namespace) -> None:
        self._session = session
        self._arguments = arguments
        self._counts: Counter[str] = Counter()
        self._has_trouble = False
        self._found: dict[str, list[Any]] = {"files": [], "steps": [], "commits": []}
        self._unverified: dict[str, Counter[str]] = defaultdict(Counter)

    @property
    def status(self) -> int:
        if self._counts["differs"]:
            return _DIFFERS
        return _UNVERIFIED if self._has_trouble or self._not_identical() else 0

    def take(self, answer: Message) -> None:
        """Take an answer, and show what is new in it."""
        self._counts.update(each.verdict for each in answer.files)
        self._has_trouble |= any(each.is_trouble for each in answer.commits)
        if self._arguments.output:
            for kind, found in self._found.items():
                found += map(as_plain, getattr(answer, kind))
        elif answer.files or answer.steps or answer.commits:
            self._session.progress.close()
            for line in self._lines(answer):
                self._session.print(line)
            self._session.out.flush()
        self._session.progress.step(_how_far(answer.progress))

    def end(self) -> None:
        """Show the sum of it."""
        identical, total = self._counts["identical"], sum(self._counts.values())
        if self._arguments.output:
            summary = {"files": total, **{each: self._counts[each] for each in (*_WORDS, "unverified")}}
            show_value(self._session, self._arguments.output, {**self._found, "summary": summary})
            return
        self._session.print(f"verified {identical} of {total} files identical")

    def _not_identical(self) -> int:
        return sum(self._counts.values()) - self._counts["identical"]

    def _lines(self, answer: Message) -> Iterator[str]:
        for file in answer.files:
            name = names.show_file(file.file)
            if file.verdict == "unverified":
                self._unverified[names.show_commit(file.file.commit)][file.reason] += 1
            elif file.verdict != "identical" or not self._arguments.quiet:
                word, colour = _WORDS[file.verdict]
                shown = coloured(self._session, colour, word)
                yield f"{shown}: {name}" + (f": {file.reason}" if file.reason else "")
        for step in answer.steps:
            yield _step_line(step)
        for commit in answer.commits:
            yield from self._commit_lines(commit)

    def _commit_lines(self, commit: Message) -> Iterator[str]:
        name = names.show_commit(commit.commit)
        if commit.reason:
            yield f"{_CANT if commit.is_trouble else 'nothing to verify'}: {name}: {commit.reason}"
            return
        for reason, number in self._unverified.pop(name, Counter()).items():
            yield f"{_CANT}: {name}, {_count(number, 'file')}: {reason}"
        total = commit.identical + commit.differing + commit.not_comparable + commit.unverified
        yield f"{name}: {commit.identical} of {_count(total, 'file')} identical, {_count(commit.datums, 'datum')}"


def _step_line(step: Message) -> str:
    name, datum = names.show_pipeline(step.pipeline), step.datum[:12]
    if step.is_deterministic:
        return (
            f"{name}, version {step.version}, gave the same twice here (datum {datum}): what is stored was made in"
            " another way"
        )
    what = f", first in {step.path}" if step.path else ""
    return f"{name}, version {step.version}, is not deterministic: datum {datum} gave two results here{what}"


def _how_far(progress: Message) -> str:
    left = ""
    if progress.HasField("seconds_left") and progress.datums < progress.datums_total:
        seconds = max(progress.seconds_left, 1.0)
        left = f", about {human_duration(seconds).lower().removeprefix('about ')} left"
    return f"ran {progress.datums} of {progress.datums_total} datums again{left}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
