"""Words that specs no longer have, or never had but are often written, and what to write now.

Tutorials for Pachyderm 1.x are still what a search finds first, so their words get a better answer than
"unknown", and most are mended by `pachlet lint --fix`.

Read next: check.py (who asks), source.py (how a word is replaced).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pachlet.spec.fields import SPEC, fields


@dataclass(frozen=True)
class OldWord:
    """What to do about a key that is no field any more."""

    advice: str
    rename: str = ""
    """The field that holds the same today."""
    drop: bool = False
    """Whether the key can go without a loss."""
    rewrite: Callable[[Any], dict[str, Any]] | None = None
    """Gives the fields that mean the same as this value; none if nobody knows."""


def _dropped(advice: str = "delete it: 2.x has no such field and needs none") -> OldWord:
    return OldWord(advice, drop=True)


def _named(value: Any) -> dict[str, Any]:
    return {"pipeline": {"name": value}} if isinstance(value, str) else {}


def _workers(value: Any) -> dict[str, Any]:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**32
    return {"parallelism_spec": {"constant": value}} if whole else {}


def _script(value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        return {}
    return {"cmd": ["sh"], "stdin": value.rstrip("\n").split("\n")}


_NAME = OldWord('write "pipeline": {"name": "..."}', rewrite=_named)

_OLD_WORDS: dict[str, dict[str, OldWord]] = {
    SPEC: {
        "standby": OldWord('write "autoscaling": true', rename="autoscaling"),
        "chunk_spec": OldWord('write "datum_set_spec" with number or size_bytes', rename="datum_set_spec"),
        "enable_stats": _dropped("delete it: 2.x always keeps what it did with each datum"),
        "cache_size": _dropped(),
        "max_queue_size": _dropped(),
        "batch": _dropped(),
        "incremental": _dropped(),
        "hashtree_spec": _dropped(),
        "inputs": OldWord('write "input" with one of pfs, cross, union, join, group or cron'),
        "pipeline_name": _NAME,
        "name": _NAME,
        "project": OldWord('write "pipeline": {"project": {"name": "..."}, "name": "..."}'),
        "parallelism": OldWord('write "parallelism_spec": {"constant": 1}', rewrite=_workers),
        "output_repo": _dropped("delete it: the output repo has the pipeline's name"),
        "schema": _dropped(),
    },
    "pps_v2.Pipeline": {"namespace": OldWord('write "project": {"name": "..."}')},
    "pps_v2.Input": {
        "atom": OldWord('write "pfs": its fields are the same', rename="pfs"),
        "git": OldWord("2.x has no git input: put the files into a repo, then read that with pfs"),
    },
    "pps_v2.PFSInput": {"from_commit": _dropped("delete it: a job reads the commit that made it run")},
    "pps_v2.ParallelismSpec": {
        "strategy": _dropped('write {"constant": 1} alone'),
        "coefficient": OldWord(
            '2.x has no coefficient; write {"constant": 1}', drop=True, rewrite=lambda _: {"constant": 1}
        ),
    },
    "pps_v2.Transform": {
        "build": OldWord('build the image before, and name it in "image"'),
        "command": OldWord('write "cmd"', rename="cmd"),
        "args": OldWord('write them after the command in "cmd"'),
        "script": OldWord('write "cmd": ["sh"] and the script\'s lines in "stdin"', rewrite=_script),
    },
    "pps_v2.Spout": {
        "overwrite": _dropped("delete it: the spout's own code puts or appends"),
        "marker": _dropped("2.x has no marker: keep the place in a file of the output repo"),
    },
}


def old_word(message: str, key: str) -> OldWord | None:
    """Return what to do about a key that a message does not have; None if nobody knows."""
    if told := _OLD_WORDS.get(message, {}).get(key):
        return told
    if message != SPEC and key in fields(SPEC):
        return OldWord("it belongs at the top of the spec")
    homes = [
        (home.name, home.message) for home in dict.fromkeys(fields(SPEC).values()) if home.kind == "object"
    ]
    homes.append(("input.pfs", "pps_v2.PFSInput"))
    places = [place for place, home in homes if key in fields(home) and home != message]
    return OldWord(f"it belongs within {places[0]}") if len(places) == 1 else None
