"""Fetch stage that replays an archive: each tick brings the days that were over by then.

So a past year can be lived through day by day, with every later stage seeing what it would have seen. The lines are
kept as they are, oddities and all, because what is repaired is the ingest stage's business. A line whose date can't
be read is always there, so that it is quarantined as it would have been. Two ticks of one day give the same bytes.

Read next: ticks.py, fetch.py (the same from an exchange), ingest.py (who reads it).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pachlet.step import main
from steps.crypto.prices import day_of_line, is_header
from steps.crypto.ticks import today


def run(inputs: Path, out: Path) -> None:
    """Write the archive's files as they were on the tick's day."""
    day = today(inputs / "tick")
    folder = out / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((inputs / "archive").iterdir()):
        if path.suffix.lower() != ".csv":
            (folder / path.name).write_bytes(path.read_bytes())
        elif known := known_by(path.read_bytes(), day):
            (folder / path.name).write_bytes(known)


def known_by(content: bytes, day: date) -> bytes:
    """Return the lines of a price file about days before `day`; nothing if there is none."""
    kept: list[bytes] = []
    has_day = False
    for line in content.splitlines(keepends=True):
        text = line.decode("utf-8", errors="replace").strip()
        found = None if not text or is_header(text) else day_of_line(text)
        if found is None or found < day:
            kept.append(line)
            has_day = has_day or found is not None
    return b"".join(kept) if has_day else b""


if __name__ == "__main__":
    main(run)
