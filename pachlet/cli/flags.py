"""The flags that many verbs share, with pachctl's letters.

Read next: output.py (what --raw and -o lead to).
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from pachlet.errors import Usage

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

_MOST_WORKERS = 1000  # each is a thread, and a process for the step
_LONGEST = 2**63 / 1e9  # the seconds of Go's longest duration


def add_project(parser: ArgumentParser) -> None:
    """--project: where names belong that do not say it themselves."""
    parser.add_argument("--project", default="", metavar="P", help="the project (default: the active one)")


def add_all_projects(parser: ArgumentParser) -> None:
    """-A: look into all projects."""
    parser.add_argument("-A", "--all-projects", action="store_true", help="look into all projects")


def add_raw(parser: ArgumentParser) -> None:
    """-o and --raw: the server's answer instead of a table."""
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the form of --raw (default: json)")
    parser.add_argument("--raw", action="store_true", help="show the server's answer as it is")


def add_output(parser: ArgumentParser) -> None:
    """-o, --raw and --full-timestamps: how the result is shown."""
    add_raw(parser)
    parser.add_argument(
        "--full-timestamps", action="store_true", help="show times in full, not as `3 minutes ago`"
    )


def add_force(parser: ArgumentParser) -> None:
    """-f: do it although something else depends on it."""
    parser.add_argument("-f", "--force", action="store_true", help="do it even if other things depend on it")


def add_pager(parser: ArgumentParser) -> None:
    """--no-pager: nothing is ever paged here."""
    parser.add_argument("--no-pager", action="store_true", help="accepted and not needed")


def folder(text: str) -> Path:
    """Read the name of a folder; an empty one, such as that of a shell's variable that is not set, is not `.`."""
    from pathlib import Path

    if not text:
        raise Usage("the name of a folder is empty", hint="write . for the one that you are in")
    return Path(text)


def workers(text: str) -> int:
    """Read how many datums may run at the same time."""
    number = whole(text)
    if not 0 <= number <= _MOST_WORKERS:
        raise Usage(
            f"{text} is no number of workers",
            hint=f"at most {_MOST_WORKERS}; 0 leaves all to `pachlet worker`",
        )
    return number


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise Usage(f"{text!r} is no whole number", hint="such as 10") from None


def history(text: str) -> int:
    """Read --history: `none`, `all` or a number of versions."""
    try:
        return {"none": 0, "all": -1}[text] if text in ("none", "all") else int(text)
    except ValueError:
        raise Usage(f"error parsing history flag {text!r}", hint="write none, all or a number") from None


def set_id(text: str) -> str:
    """Read the id of a commit set, which its jobs have, too; '' stays."""
    from pachlet.ids import is_commit_id

    if text and not is_commit_id(text):
        raise Usage(f"{text!r} is no id of a commit or job", hint="it has 32 hexadecimal digits")
    return text


def seconds(text: str) -> float:
    """Read a duration the way Go writes them: 24h, 1h30m, 15s, 200ms."""
    import re

    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    pattern = r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)"
    if text != "0" and not re.fullmatch(f"(?:{pattern})+", text, re.ASCII):
        raise Usage(f"error parsing duration {text!r}", hint="write it like 24h, 1h30m or 15s")
    total = sum(float(number) * units[unit] for number, unit in re.findall(pattern, text))
    if total > _LONGEST:
        raise Usage(f"error parsing duration {text!r}", hint="that is longer than 290 years")
    return total


def duration(text: str) -> timedelta:
    """Read a duration the way Go writes them, as a difference of times."""
    from datetime import timedelta

    return timedelta(seconds=seconds(text))


def count(text: str) -> int:
    """Read a number of things, which can't be negative nor more than a request can carry."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not (0 <= number < 2**31 and text.isascii()):
        raise Usage(f"{text!r} is no number of things", hint="write a whole number, such as 10")
    return number
