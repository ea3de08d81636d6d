"""Read pipeline specs for the verbs that take them with -f.

What is wrong with a spec is found here, with file, line and column, before the server is asked; this is the
one thing that the command line takes from an engine room.

Read next: pachlet/spec/parse.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.cli.session import Session


def read_specs(session: Session, source: str) -> list[dict[str, Any]]:
    """Return the specs in a file, at a URL or on the input ("-"): JSON or YAML, one, several or an array."""
    from pachlet.spec.parse import parse_specs

    text = session.read_text(source)
    return [spec.json for spec in parse_specs(text, "standard input" if source == "-" else source)]
