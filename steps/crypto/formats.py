"""The files that crypto steps hand to one another: how they are written and read.

The same content must always be the same bytes, because Pachyderm skips a datum whose input hashes are
unchanged: keys are sorted, lines end in LF, floats are written by repr (the shortest text that reads back
as the same number), and nothing says when or where it was written.

Read next: ingest.py (the first step that writes them), standardise.py (the series that the models read).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pachlet.step import BadInput

FOLDS = "crypto.folds/2"
# What the stages from the back-test on hand to one another; ../../docs/crypto.md says what is in them.
SCORE = "crypto.score/1"
TRIAL = "crypto.trial/1"
REFUSAL = "crypto.refusal/1"
CHAMPION = "crypto.champion/1"
PROMOTE = "crypto.promote/1"
FORECAST = "crypto.forecast/2"


def number_text(value: float | None) -> str:
    """Write a number as a CSV cell: empty for null, repr for a float."""
    return "" if value is None else repr(value)


def write_json(path: Path, content: object) -> None:
    """Write canonical JSON; NaN and infinity are refused, since JSON has no word for them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_json_lines(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Write one canonical JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a header and rows of ready-made cells, LF-terminated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="\n")


def read_json(path: Path, schema: str) -> dict[str, Any]:
    """Read a JSON object and check that it is of the `schema` that the reader was written for."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} is not JSON ({error})") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise BadInput(f"{path.name} has schema {found!r}, but this step reads {schema!r}")
    return content


def refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python would read."""
    raise ValueError(f"{name} is no number")
