"""Read pipeline specs for the verbs that take them with -f.

What is wrong with a spec is found here, all of it with file, line and column, before the server is asked; this is
the one thing that the command line takes from an engine room. What Pachyderm accepts and nobody can mean is
told and let through: a spec that runs there runs here.

Read next: pachlet/spec/lint.py, ../mistakes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pachlet.cli.session import Session
from pachlet.errors import NotFound, PachletError, Usage

STDIN = "standard input"

_SPECS = (".json", ".yaml", ".yml")
_PLACE = re.compile(r"(?<![\w./-])main:(?=[\d(])")
_TASTE = {"image-latest", "image-unpinned", "request-flag"}
"""Rules that only lint speaks of: what breaks them works."""


def read_specs(session: Session, source: str) -> list[dict[str, Any]]:
    """Return the specs in a file, at a URL or on the input ("-"): JSON or YAML, one, several or an array."""
    mendable = "" if source.startswith(("http://", "https://")) else source
    filename = STDIN if source == "-" else source
    return _checked(session, session.read_bytes(source), filename, source=mendable)


def rendered_specs(session: Session, template: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the specs that a template gives with arguments, each `key=value`."""
    return _checked(session, render(session, template, arguments), f"{template} (rendered)")


def render(session: Session, template: str, arguments: Sequence[str]) -> str:
    """Return what a template gives, as a JSON text."""
    from pachlet.client.templates import render_template

    pairs: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not key or not equals:
            raise Usage(f"{argument!r} is no argument of a template", hint="write --arg key=value")
        pairs[key] = value
    text = session.read_text(template)
    try:
        return render_template(session.connection, text, pairs)
    except PachletError as error:  # a server is sent no name of the file, and calls it main
        name = STDIN if template == "-" else template
        error.message = _PLACE.sub(lambda _: f"{name}:", error.message)
        raise


def _checked(
    session: Session, content: str | bytes, filename: str, *, source: str = ""
) -> list[dict[str, Any]]:
    from pachlet.cli.mistakes import mistakes
    from pachlet.spec.lint import lint

    linted = lint(content, filename)
    if linted.refused:
        raise mistakes(session, linted, linted.refused, source=source)
    for problem in linted.problems:
        if session.verbose or problem.rule.name not in _TASTE:
            hint = f"; {problem.hint}" if problem.hint else ""
            session.say(f"warning: {problem}{hint}")
    return [spec.json for spec in linted.specs]


def spec_files(path: str) -> Iterator[str]:
    """Yield the specs that a path means: itself, or all below it in the order of their names."""
    if not Path(path).is_dir():
        yield path
        return
    found = sorted(str(each) for each in Path(path).rglob("*") if _is_spec(each, Path(path)))
    if not found:
        raise NotFound(f"there is no spec in {path}", hint="specs are .json, .yaml or .yml files")
    yield from found


def _is_spec(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix in _SPECS and not hidden and path.is_file()
