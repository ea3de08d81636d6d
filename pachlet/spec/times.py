"""Read and write times as specs and the names of ticks have them: RFC 3339, to the nanosecond.

Read next: schedule.py.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_NANOS = 1_000_000_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LARGEST = 2**63 - 1


def parse_time(text: str) -> int | None:
    """Return nanoseconds since 1970 (the nearest that 64 bits hold), or None for what is no time."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(found[1].upper() + found[3].upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    time = (since.days * 86400 + since.seconds) * _NANOS + int((found[2] or "").ljust(9, "0"))
    return max(-_LARGEST, min(time, _LARGEST))


def format_time(time: int) -> str:
    """Return a time in UTC, with as much of a second as it has."""
    whole, part = divmod(time, _NANOS)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{part:09}".rstrip("0") + "Z" if part else f"{text}Z"
