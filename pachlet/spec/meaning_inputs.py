"""Find what can't be right in a spec's input: names, globs, their groups, schedules.

Read next: meaning.py (the rest of the spec), validate.py (what of this a server refuses), globs/glob.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pachlet.errors import PachletError, Refused
from pachlet.globs import Glob
from pachlet.paths import DEFAULT_PROJECT
from pachlet.spec.defaults import COMBINED
from pachlet.spec.positions import below, quoted
from pachlet.spec.remarks import Remarks
from pachlet.spec.schedule import Fields, parse_schedule
from pachlet.spec.triggers import CONDITIONS, check_condition

Object = Mapping[str, Any]

_GROUP = re.compile(r"\$(?:(\d+)|\{(\d+)\})", re.ASCII)
_WILD = frozenset("*?[]{}()!@+")
_LEAVES = ("pfs", "cron")


def check_input(remarks: Remarks, tree: Object, pipeline: Object) -> None:
    """Report all that can't be right in an input of a pipeline."""
    _check_names(remarks, {}, tree, "input")
    for node, path, around in _walk(tree, "input", ()):
        kinds = [kind for kind in ("pfs", *COMBINED, "cron") if node.get(kind) is not None]
        if len(kinds) > 1:
            problem = f"found both {kinds[0]} and {kinds[1]}, wanted one kind of input"
            remarks.say(
                "input",
                below(path, kinds[1]),
                problem,
                hint='put both into a "cross", if they belong together',
            )
        if not kinds:
            hint = 'such as "pfs": {"repo": "images", "glob": "/*"}'
            remarks.wanted("input", path, "one of pfs, cross, union, join, group and cron", hint=hint)
        for kind in kinds:
            inner = below(path, kind)
            if kind == "pfs":
                _check_pfs(remarks, node[kind], inner, around, pipeline)
            elif kind == "cron":
                _check_cron(remarks, node[kind], inner)
            elif not node[kind]:
                remarks.wanted("no-effect", inner, "inputs: of none come no datums")
            elif kind == "join" and len(node[kind]) == 1:
                remarks.say("no-effect", inner, "found a join of one input, wanted two or more")


def _walk(tree: Object, path: str, around: tuple[str, ...]) -> Iterator[tuple[Object, str, tuple[str, ...]]]:
    """Yield each input with its path and the kinds of the inputs that hold it."""
    yield tree, path, around
    for kind in COMBINED:
        for at, part in enumerate(tree.get(kind) or []):
            if isinstance(part, Mapping):
                yield from _walk(part, f"{path}.{kind}[{at}]", (*around, kind))


def _check_names(remarks: Remarks, taken: dict[str, str], tree: Object, path: str) -> None:
    """Report names that two inputs of one datum share; `taken` says where each was first."""
    for kind in _LEAVES:
        leaf = tree.get(kind)
        if leaf is not None:
            inner = below(path, kind)
            named = leaf.get("name") or (leaf.get("repo") if kind == "pfs" else "")
            where = below(inner, "name" if leaf.get("name") else "repo")
            if named in taken:
                problem = f"found the name {quoted(named)} again, wanted each input by a name of its own"
                hint = f'it is that of {taken[named]}; give one a "name"'
                remarks.say("input-name", where, problem, hint=hint)
            elif named:
                taken[named] = inner
            return
    later: dict[str, str] = {}
    for at, part in enumerate(tree.get("union") or []):
        # The parts of a union may share names with each other, but with nothing outside of it.
        within = dict(taken)
        _check_names(remarks, within, part or {}, f"{path}.union[{at}]")
        later.update(within)
    taken.update(later)
    for kind in ("cross", "join", "group"):
        for at, part in enumerate(tree.get(kind) or []):
            _check_names(remarks, taken, part or {}, f"{path}.{kind}[{at}]")


def _check_pfs(remarks: Remarks, pfs: Object, path: str, around: tuple[str, ...], pipeline: Object) -> None:
    repo = pfs.get("repo")
    if not repo:
        remarks.wanted("repo", below(path, "repo"), "the name of a repo", hint='such as "repo": "images"')
    name = pfs.get("name") or repo or ""
    if name in ("out", ".env", ".", "..") or "/" in name:
        where = below(path, "name" if pfs.get("name") else "repo")
        problem = f"found the name {quoted(name)}, wanted one that can stand in /pfs"
        remarks.say("input-name", where, problem, hint='give the input another "name"')
    if pfs.get("commit"):
        hint = "use a branch whose head is that commit"
        remarks.wanted("input-commit", below(path, "commit"), "no commit: an input is a branch", hint=hint)
    own = ((pipeline.get("project") or {}).get("name") or DEFAULT_PROJECT, pipeline.get("name"))
    if (pfs.get("project") or own[0], repo) == own and (pfs.get("repo_type") or "user") == "user":
        problem = f"found {quoted(repo or '')}, wanted a repo that the pipeline does not write itself"
        remarks.say("own-output", below(path, "repo"), problem)
    _check_s3(remarks, pfs, path, around)
    if pfs.get("trigger") is not None:
        _check_trigger(remarks, pfs["trigger"], below(path, "trigger"))
    groups = _check_glob(remarks, pfs, path)
    for field, kind in (("join_on", "join"), ("group_by", "group")):
        _check_key(remarks, pfs, path, around, groups, field, kind)
    if pfs.get("outer_join") and "join" not in around:
        hint = "it keeps files that have no partner in a join; delete it, or join"
        remarks.wanted("outer-join", below(path, "outer_join"), "it within a join only", hint=hint)


def _check_trigger(remarks: Remarks, trigger: Object, path: str) -> None:
    """Report conditions that can't be read, and those that come to nothing."""
    for field in CONDITIONS:
        try:
            check_condition(field, trigger.get(field))
        except PachletError as error:
            remarks.refused("trigger", below(path, field), error)
    others = [field for field in CONDITIONS if field != "cron_spec" and trigger.get(field)]
    if trigger.get("cron_spec"):
        for field in others:
            what = "cron_spec or the other conditions: with cron_spec the clock alone decides"
            remarks.wanted("no-effect", below(path, field), what)
    elif not others and not trigger.get("all"):
        hint = 'such as "size": "100M" or "commits": 10'
        what = "a size, a number of commits or a schedule: without one it never fires, and the pipeline never runs"
        remarks.wanted("no-effect", path, what, hint=hint)


def _check_glob(remarks: Remarks, pfs: Object, path: str) -> int | None:
    """Report a glob that can't be read; return the number of its groups, None if that is not known."""
    where = below(path, "glob")
    glob = pfs.get("glob")
    if not glob:
        hint = 'such as "/" for all files in one datum, "/*" for a datum of each file or directory at the top'
        remarks.wanted("glob", where, "a glob", hint=hint)
        return None
    try:
        return Glob(glob).group_count
    except Refused as error:
        remarks.refused("glob", where, error)
        return None


def _check_key(
    remarks: Remarks,
    pfs: Object,
    path: str,
    around: tuple[str, ...],
    groups: int | None,
    field: str,
    kind: str,
) -> None:
    """Check that join_on is there in a join and means groups of the glob; group_by likewise.

    A glob that is one path has one key, whatever it says: so are whole commits grouped, those that are empty left out.
    """
    key, where = pfs.get(field), below(path, field)
    rule = field.replace("_", "-")
    if not key:
        if around[-1:] == (kind,):
            hint = f'put a part of the glob in brackets, "/(*).csv", and write "{field}": "$1"'
            what = "joined on" if kind == "join" else "grouped by"
            remarks.wanted(
                rule, where, f"what the files are {what}: without it each goes with each", hint=hint
            )
        return
    if kind not in around:
        remarks.wanted("no-effect", where, f"it within a {kind} only", hint="delete it, or use the " + kind)
    used = [int(found[1] or found[2]) for found in _GROUP.finditer(key) if len(found[0]) < 9]
    if not used and (kind == "join" or _WILD & set(pfs.get("glob") or "*")):
        hint = 'write "$1" for the first group of the glob'
        remarks.wanted(rule, where, "a group of the glob: this is the same for all files", hint=hint)
    elif used and groups is not None and max(used) > groups:
        have = {0: "no group", 1: "one group"}.get(groups, f"{groups} groups")
        hint = "put a part of the glob in brackets: /(*).csv"
        problem = f"found ${max(used)}, wanted a group that the glob has: {quoted(pfs['glob'])} has {have}"
        remarks.say(rule, where, problem, hint=hint)


def _check_s3(remarks: Remarks, pfs: Object, path: str, around: tuple[str, ...]) -> None:
    if not pfs.get("s3"):
        return
    where = below(path, "s3")
    if pfs.get("glob") != "/":
        hint = "the S3 gateway shows whole commits"
        remarks.wanted("s3", below(path, "glob"), 'the glob "/", as the input is read by S3', hint=hint)
    for other in ("lazy", "empty_files"):
        if pfs.get(other):
            problem = f"found both s3 and {other}, wanted one of them"
            remarks.say("s3", below(path, other), problem, hint="by S3 no files are laid out")
    if kind := next((each for each in around if each in ("join", "group", "union")), ""):
        remarks.say("s3", where, f"S3 inputs in {kind} expressions are not supported")


def _check_cron(remarks: Remarks, cron: Object, path: str) -> None:
    name = cron.get("name") or ""
    if not name:
        remarks.wanted(
            "input-name", below(path, "name"), "a name for the ticks", hint='such as "name": "tick"'
        )
    elif name in ("out", ".env", ".", "..") or "/" in name:
        problem = f"found the name {quoted(name)}, wanted one that can stand in /pfs"
        remarks.say("input-name", below(path, "name"), problem)
    try:
        schedule = parse_schedule(cron.get("spec") or "")
        if isinstance(schedule, Fields) and schedule.is_never:
            hint = "the input never ticks; for one that only `run cron` ticks, write @never"
            remarks.wanted("no-effect", below(path, "spec"), "a day that some month has", hint=hint)
    except PachletError as error:
        remarks.refused("cron", below(path, "spec"), error)
