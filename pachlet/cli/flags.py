"""The flags that many verbs share, with pachctl's letters.

Read next: output.py (what --raw and -o lead to).
"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta

from pachlet.errors import Usage


def add_project(parser: ArgumentParser) -> None:
    """--project: where names belong that do not say it themselves."""
    parser.add_argument("--project", default="", metavar="P", help="the project (default: the active one)")


def add_all_projects(parser: ArgumentParser) -> None:
    """-A: look into all projects."""
    parser.add_argument("-A", "--all-projects", action="store_true", help="look into all projects")


def add_output(parser: ArgumentParser) -> None:
    """-o, --raw and --full-timestamps: how the result is shown."""
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the form of --raw (default: json)")
    parser.add_argument("--raw", action="store_true", help="show the server's answer as it is")
    parser.add_argument(
        "--full-timestamps", action="store_true", help="show times in full, not as `3 minutes ago`"
    )


def add_force(parser: ArgumentParser) -> None:
    """-f: do it although something else depends on it."""
    parser.add_argument("-f", "--force", action="store_true", help="do it even if other things depend on it")


def history(text: str) -> int:
    """Read --history: `none`, `all` or a number of versions."""
    try:
        return {"none": 0, "all": -1}[text] if text in ("none", "all") else int(text)
    except ValueError:
        raise Usage(f"error parsing history flag {text!r}", hint="write none, all or a number") from None


def duration(text: str) -> timedelta:
    """Read a duration the way Go writes them: 24h, 1h30m, 15s, 200ms."""
    import re

    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6}
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|us|m|s))+|0", text):
        raise Usage(f"error parsing duration {text!r}", hint="write it like 24h, 1h30m or 15s")
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|us|m|s)", text)
    return timedelta(seconds=sum(float(number) * units[unit] for number, unit in parts))
