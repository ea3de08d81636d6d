"""Check the schedule of a cron input: five fields, or a word such as @daily or @every 10s.

Upstream reads it with a Go library whose names and ranges these are.

Read next: schedule.py (when it fires), validate.py (who asks).
"""

from __future__ import annotations

import re

from pachlet.errors import Refused

_WORDS = {"@never", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
EVERY = re.compile(rf"@every (?:{DURATION.pattern})+")
ZONE = re.compile(r"(?:CRON_)?TZ=\S+\s+")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
PART = re.compile(r"(?:([*?])|(\w+)(?:-(\w+))?)(?:/([0-9]{1,9}))?")
_HINT = 'such as "0 6 * * *" (minute, hour, day, month, weekday), "@daily" or "@every 10s"'


def check_cron(spec: str) -> None:
    """Raise Refused for a schedule that can't be read."""
    text = spec.strip()
    if zone := ZONE.match(text):
        text = text[zone.end() :]
    if text.startswith("@"):
        if text not in _WORDS and not EVERY.fullmatch(text):
            raise _refusal(f"unrecognized descriptor: {text}")
        return
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise _refusal(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    for field, (name, lowest, highest, words) in zip(fields, FIELDS, strict=True):
        for part in field.split(","):
            _check_part(part, name, lowest, highest, words)


def _check_part(part: str, name: str, lowest: int, highest: int, words: list[str]) -> None:
    found = PART.fullmatch(part)
    if not found:
        raise _refusal(f"failed to parse the {name}: {part}")
    if found[4] is not None and int(found[4]) == 0:
        raise _refusal(f"step of range should be a positive number: {part}")
    if found[1]:
        return
    begin = _number(found[2], name, lowest, words)
    end = _number(found[3], name, lowest, words) if found[3] else begin
    if not lowest <= begin <= end <= highest:
        raise _refusal(f"the {name} goes from {lowest} to {highest}: {part}")


def _number(text: str, name: str, lowest: int, words: list[str]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + lowest
    if not re.fullmatch("[0-9]{1,9}", text):
        raise _refusal(f"failed to parse the {name}: {text}")
    return int(text)


def _refusal(why: str) -> Refused:
    return Refused(f"error parsing cron-spec: {why}", hint=_HINT)
