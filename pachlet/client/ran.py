"""Say in words what a datum's record tells of the code that ran, and on what.

Read next: datums.py (where a record is read), pachlet/pps/recording.py (who writes it), docs/provenance.md.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

_SHORT = 12


def code_rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (what, in words) for all that a record says of how a datum was run; nothing for no record."""
    if not record:
        return
    facts = record["image"].get("provenance") or {}
    yield "Spec", f"version {record['version']}, commit {record['spec_commit']}"
    if record.get("cmd"):
        yield "Command", shlex.join(record["cmd"])
    if commit := git(facts):
        yield "Git Commit", commit
    if python := facts.get("python_version"):
        yield "Python", str(python)
    if packages := facts.get("packages"):
        yield "Packages", str(packages)
    if env := facts.get("env"):
        yield "Environment", " ".join(env)
    if seeds := facts.get("seeds"):
        yield "Seeds", " ".join(f"{name}={value}" for name, value in seeds.items())
    if where := machine(facts):
        yield "Machine", where
    yield "Sandbox", str(facts.get("sandbox", "-"))


def git(facts: Mapping[str, Any], *, short: bool = False) -> str:
    """Return the git commit of the code, and whether it was changed since; nothing if it is not known."""
    commit = str(facts.get("git_commit") or "")
    dirty = f" {'with' if short else 'dirty: with'} changes{'' if short else ' that are not committed'}"
    return f"{commit[:_SHORT] if short else commit}{dirty if facts.get('dirty') else ''}" if commit else ""


def machine(facts: Mapping[str, Any]) -> str:
    """Return the processor, and the GPUs if there are any."""
    found = facts.get("machine") or {}
    return ", ".join(str(each) for each in [found.get("cpu"), *found.get("gpus", [])] if each)
