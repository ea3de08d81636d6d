"""lint: find all that is wrong with specs, without a server, and mend what has a plain meaning.

Read next: specs.py (the same check in create and update), pachlet/spec/rules.py (what is looked for),
pachlet/spec/mend.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pachlet.cli.mistakes import as_data, block
from pachlet.cli.output import Table, as_json, coloured
from pachlet.cli.session import Session
from pachlet.cli.verbs.specs import STDIN, spec_files
from pachlet.errors import PachletError, Usage

if TYPE_CHECKING:
    from pachlet.spec.lint import Linted
    from pachlet.spec.mend import Mended
    from pachlet.spec.problems import Problem

lint_status = "0 when there are no errors, 1 when there are some, 2 when the words are off."


def lint_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="file", help="a spec, a folder of specs, or - for the input"
    )
    parser.add_argument(
        "--fix", action="store_true", help="mend what has a plain meaning, and show what changed"
    )
    parser.add_argument(
        "--diff", "--dry-run", action="store_true", help="with or without --fix: show it and change nothing"
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--ignore", action="append", default=[], metavar="RULE", help="leave a rule out")
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="the form (default: text)"
    )
    parser.add_argument("--rules", action="store_true", help="show what is looked for")
    parser.add_argument("--schema", action="store_true", help="print a JSON Schema of specs, for editors")


def lint(session: Session, arguments: Namespace) -> int:
    from pachlet.spec.mend import mend
    from pachlet.spec.rules import RULES

    if arguments.rules or arguments.schema:
        return _about(session, arguments)
    if unknown := [each for each in arguments.ignore if each not in RULES]:
        raise Usage(f"there is no rule {unknown[0]!r}", hint=f"see `{session.program} lint --rules`")
    if not arguments.files:
        raise Usage("lint takes files, folders or -", hint=f"such as `{session.program} lint pipelines/`")
    sources = [source for path in arguments.files for source in spec_files(path)]
    mended = []
    for source in sources:
        # What is not text in UTF-8 is a finding, not a failure.
        mended.append(mend(session.read_bytes(source), STDIN if source == "-" else source))
    shown = [(each.after if arguments.fix or arguments.diff else each.before) for each in mended]
    if arguments.fix or arguments.diff:
        _show_changes(session, arguments, sources, mended)
    problems = [
        [each for each in linted.problems if each.rule.name not in arguments.ignore] for linted in shown
    ]
    _show(session, arguments, shown, problems)
    errors = [each for some in problems for each in some if arguments.strict or each.rule.severity == "error"]
    waiting = arguments.diff and any(each.is_changed for each in mended)
    return 1 if errors or waiting else 0


def _about(session: Session, arguments: Namespace) -> int:
    if arguments.schema:
        from pachlet.spec.json_schema import json_schema

        session.print(as_json(json_schema()))
        return 0
    from pachlet.spec.rules import RULES

    table = Table(session, "RULE", "SEVERITY", "WHAT SHOULD BE")
    for rule in RULES.values():
        table.add(rule.name, rule.severity, rule.about)
    table.show()
    return 0


def _show(
    session: Session, arguments: Namespace, linted: Sequence[Linted], problems: Sequence[Sequence[Problem]]
) -> None:
    pairs = [(each, problem) for each, some in zip(linted, problems, strict=True) for problem in some]
    if arguments.output == "json":
        told = session.say if _writes_text(arguments) else session.print
        told(as_json([as_data(each, problem) for each, problem in pairs]))
        return
    tell = session.say if _writes_text(arguments) else session.print
    for each, problem in pairs:
        for line in block(session, each, problem, named=True):
            tell(line)
    _summary(session, arguments, linted, [problem for _, problem in pairs])


def _summary(
    session: Session, arguments: Namespace, linted: Sequence[Linted], problems: Sequence[Problem]
) -> None:
    specs, files = sum(len(each.specs) for each in linted), len(linted)
    within = f"{_count(specs, 'spec')} of {_count(files, 'file')}"
    if not problems:
        if session.talkative:
            session.say(f"nothing is wrong with {within}")
        return
    errors = sum(each.rule.severity == "error" for each in problems)
    kinds = [(errors, "error"), (len(problems) - errors, "warning")]
    told = " and ".join(_count(number, kind) for number, kind in kinds if number)
    mends = sum(bool(each.edits) for each in problems)
    hint = f"; --fix mends {'it' if mends == len(problems) == 1 else mends}" if mends else ""
    session.say(f"{told} in {within}{hint}")


def _show_changes(
    session: Session, arguments: Namespace, sources: Sequence[str], mended: Sequence[Mended]
) -> None:
    """Show what a repair changes, and write it unless only a look was wanted."""
    tell = session.say if arguments.output == "json" else session.print
    for source, each in zip(sources, mended, strict=True):
        if source == "-" and not arguments.diff:
            session.out.write(each.after.text)
            continue
        if not each.is_changed:
            continue
        for line in each.diff():
            colour = {"+": "green", "-": "red"}.get(line[:1])
            tell(coloured(session, colour, line) if colour and line[:3] not in ("+++", "---") else line)
        if not arguments.diff:
            _write(source, each)


def _writes_text(arguments: Namespace) -> bool:
    """Tell whether the output is a mended text, so that nothing else may stand there."""
    return bool(arguments.fix and not arguments.diff and "-" in arguments.files)


def _write(source: str, mended: Mended) -> None:
    """Put the mended text in the file's place, in one step; its mode and its byte order mark stay."""
    if source.startswith(("http://", "https://")):
        raise Usage(f"{source} can't be changed from here", hint="get the file first")
    path = Path(source).resolve()
    try:
        marked = path.read_bytes().startswith(b"\xef\xbb\xbf")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".lint")
        with os.fdopen(handle, "wb") as out:
            out.write(mended.after.text.encode("utf-8-sig" if marked else "utf-8", "surrogatepass"))
        shutil.copymode(path, name)
        Path(name).replace(path)
    except OSError as error:
        raise PachletError(f"cannot write {source}: {error.strerror}") from None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
