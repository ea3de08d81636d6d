"""Words that specs no longer have, or never had but are often written, and what to write now.

Tutorials for Pachyderm 1.x are still what a search finds first, so their words get a better answer than
"unknown".

Read next: check.py (who asks).
"""

from __future__ import annotations

from pachlet.spec.fields import SPEC, fields

_GONE = "delete it: 2.x has no such field and needs none"

_OLD_WORDS: dict[str, dict[str, str]] = {
    SPEC: {
        "standby": 'write "autoscaling": true',
        "chunk_spec": 'write "datum_set_spec" with number or size_bytes',
        "enable_stats": "delete it: 2.x always keeps what it did with each datum",
        "cache_size": _GONE,
        "max_queue_size": _GONE,
        "batch": _GONE,
        "incremental": _GONE,
        "hashtree_spec": _GONE,
        "inputs": 'write "input" with one of pfs, cross, union, join, group or cron',
        "pipeline_name": 'write "pipeline": {"name": "..."}',
        "name": 'write "pipeline": {"name": "..."}',
        "project": 'write "pipeline": {"project": {"name": "..."}, "name": "..."}',
        "parallelism": 'write "parallelism_spec": {"constant": 1}',
        "output_repo": "delete it: the output repo has the pipeline's name",
        "schema": _GONE,
    },
    "pps_v2.Pipeline": {"namespace": 'write "project": {"name": "..."}'},
    "pps_v2.Input": {
        "atom": 'write "pfs": its fields are the same',
        "git": "2.x has no git input: put the files into a repo, then read that with pfs",
    },
    "pps_v2.PFSInput": {"from_commit": "delete it: a job reads the commit that made it run"},
    "pps_v2.ParallelismSpec": {
        "strategy": 'write {"constant": 1} alone',
        "coefficient": '2.x has no coefficient; write {"constant": 1}',
    },
    "pps_v2.Transform": {
        "build": 'build the image before, and name it in "image"',
        "command": 'write "cmd"',
        "args": 'write them after the command in "cmd"',
        "script": 'write "cmd": ["sh"] and the script\'s lines in "stdin"',
    },
    "pps_v2.Spout": {
        "overwrite": "delete it: the spout's own code puts or appends",
        "marker": "2.x has no marker: keep the place in a file of the output repo",
    },
}


def advice(message: str, key: str) -> str:
    """Return what to do about a key that a message does not have, or "" if nobody knows."""
    if told := _OLD_WORDS.get(message, {}).get(key):
        return told
    if message != SPEC and key in fields(SPEC):
        return "it belongs at the top of the spec"
    homes = [
        (home.name, home.message) for home in dict.fromkeys(fields(SPEC).values()) if home.kind == "object"
    ]
    homes.append(("input.pfs", "pps_v2.PFSInput"))
    places = [place for place, home in homes if key in fields(home) and home != message]
    return f"it belongs within {places[0]}" if len(places) == 1 else ""
