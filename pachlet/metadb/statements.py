"""Load the named SQL statements of `queries/*.sql`.

A statement starts with a line `-- name: what it is for`; its text runs to the next such line. SQL is kept out of Python
so that it can be read, and run by hand, as SQL.

Read next: queries/pfs.sql.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

_HEAD = re.compile(r"^-- (?P<name>[a-z_]+): .+$", re.MULTILINE)


def parse_statements(text: str) -> dict[str, str]:
    """Return the statements of one file by name; raise ValueError for a name used twice."""
    heads = list(_HEAD.finditer(text))
    statements: dict[str, str] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = text[head.end() : following.start() if following else len(text)].strip()
        if head["name"] in statements:
            raise ValueError(f"statement {head['name']} is there twice")
        statements[head["name"]] = body
    return statements


@functools.cache
def load_statements() -> dict[str, str]:
    """Return all statements by name."""
    statements: dict[str, str] = {}
    for file in sorted((Path(__file__).parent / "queries").glob("*.sql")):
        for name, text in parse_statements(file.read_text()).items():
            if name in statements:
                raise ValueError(f"statement {name} is in two files, one of them {file.name}")
            statements[name] = text
    return statements
