"""Say what differs between how two files came about: data, parameters, spec, code, packages, machine.

Both are followed upwards side by side, the nearest first; where two inputs have the same hash there is no cause, so
what is behind them is not looked at. Two runs are compared by what was recorded of them; inputs meet by repo and path,
the datums behind two folders by id.

Read next: asking.py (what is followed), pachlet/pps/recording.py (what was recorded).
"""

from __future__ import annotations

import json
import shlex
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pachlet.client.commits import inspect_commit, last_change
from pachlet.client.connection import Connection
from pachlet.client.files import diff_file
from pachlet.client.get_file import get_bytes
from pachlet.client.lineage.asking import commit_of, trace
from pachlet.client.lineage.graph import Commit, File, Graph, Run
from pachlet.client.pipelines import ALL_VERSIONS, list_pipeline
from pachlet.client.ran import machine
from pachlet.errors import PachletError

LIMIT = 200
_PARAMETERS = 64 * 1024
"""The most bytes of a JSON file whose fields are compared."""
_DIR = 2  # FileType.DIR
NOTHING = "-"


@dataclass(frozen=True)
class Cause:
    """One thing that differs."""

    depth: int
    """How many runs lie between it and the file that was asked for; 0 is its own run."""
    where: str
    """The pipeline, or the repo of what somebody put."""
    kind: str
    """data, parameter, spec, code, packages, seeds, machine or datums."""
    what: str
    """The file, field, or package; may be empty."""
    before: str
    after: str
    """NOTHING where there is none."""
    by: str = ""
    """Who changed it, and what they said of it."""


@dataclass(frozen=True)
class Blame:
    """What differs between two files, the nearest cause first."""

    before: str
    after: str
    is_same: bool
    """Whether the files themselves have the same content."""
    causes: tuple[Cause, ...]
    is_partial: bool
    """Whether there was more behind a folder than was compared."""


def blame(connection: Connection, before: str, after: str, *, limit: int = LIMIT) -> Blame:
    """Compare how two files, folders or commits came about; at most `limit` datums behind a folder (0: all).

    Raises:
        NotFound: one is not there.
    """
    graphs = (
        trace(connection, before, limit=limit),
        trace(connection, after, limit=limit),
    )
    comparison = _Comparison(connection, *graphs)
    causes = tuple(comparison.causes())
    one, other = graphs[0].root, graphs[1].root
    return Blame(str(one), str(other), one.hash == other.hash, causes, comparison.is_partial)


class _Comparison:
    def __init__(self, connection: Connection, before: Graph, after: Graph) -> None:
        self._connection = connection
        self._before = before
        self._after = after
        self._specs: dict[str, dict[int, dict[str, Any]]] = {}
        self.is_partial = before.is_cut or after.is_cut

    def causes(self) -> Iterator[Cause]:
        """Yield what differs, in the order of depth."""
        waiting = deque([(self._before.root, self._after.root, 0)])
        seen: set[tuple[str, str]] = set()
        ran: set[tuple[str, ...]] = set()
        while waiting:
            one, other, depth = waiting.popleft()
            key = (str(one), str(other))
            if key in seen or (depth and one.hash and one.hash == other.hash):
                continue
            seen.add(key)
            runs = self._before.runs_of(one), self._after.runs_of(other)
            if not any(runs):
                yield from self._put(one, other, depth)
                continue
            self.is_partial |= bool(one.not_shown or other.not_shown)
            pairs, alone = _matched(*runs)
            if not (one.not_shown or other.not_shown):
                yield from self._unmatched(alone, depth)
            for left, right in pairs:
                names = (left.pipeline, left.datum, left.job, right.datum, right.job)
                if names not in ran and (left.job, left.datum) != (right.job, right.datum):
                    ran.add(names)
                    yield from self._runs(left, right, depth)
                    both, others = self._inputs(left, right, depth)
                    yield from others
                    waiting.extend((a, b, depth + 1) for a, b in both)

    # What somebody put.

    def _put(self, one: File, other: File, depth: int) -> Iterator[Cause]:
        if one.is_gone or other.is_gone:
            if str(one) != str(other):
                yield Cause(depth, other.repo, "data", other.path, _state(one), _state(other))
            return
        try:
            found = list(diff_file(self._connection, str(other), str(one)))
        except PachletError:
            yield Cause(depth, other.repo, "data", other.path, _state(one), _state(other))
            return
        for each in found:
            new, old = each.new_file, each.old_file
            if _DIR in (new.file_type, old.file_type):
                continue
            path = new.file.path or old.file.path
            by = _by(self._putter(other, path))
            told = [_short(side.hash.hex()) if side.file.path else NOTHING for side in (old, new)]
            yield Cause(depth, other.repo, "data", path, told[0], told[1], by)
            is_small = max(old.size_bytes, new.size_bytes) <= _PARAMETERS
            if old.file.path and new.file.path and path.endswith(".json") and is_small:
                yield from self._parameters(one, other, old.file.path, new.file.path, depth)

    def _putter(self, file: File, path: str) -> Commit:
        """Return what is known of the commit that last changed, or deleted, a path at or below a file or folder."""
        if path == file.path or path in file.holds:
            return self._after.put_in(file, file.holds.index(path) if path in file.holds else None)
        where = f"{file.project}/{file.repo}@"
        try:
            id = last_change(self._connection, f"{where}{file.commit}:{path}")
            return commit_of(inspect_commit(self._connection, f"{where}{id}")) if id else Commit()
        except PachletError:  # it may be forgotten
            return Commit()

    def _parameters(self, one: File, other: File, old: str, new: str, depth: int) -> Iterator[Cause]:
        try:
            values = [
                json.loads(get_bytes(self._connection, f"{side.project}/{side.repo}@{side.commit}:{path}"))
                for side, path in ((one, old), (other, new))
            ]
        except (PachletError, ValueError):
            return
        for field, before, after in changed_fields(*values):
            yield Cause(depth, other.repo, "parameter", f"{new} {field}", before, after)

    # Runs.

    def _unmatched(self, alone: tuple[list[Run], list[Run]], depth: int) -> Iterator[Cause]:
        for run, graph, is_new in (
            *((run, self._before, False) for run in alone[0]),
            *((run, self._after, True) for run in alone[1]),
        ):
            read = ", ".join(f"{file.repo}:{file.path}" for file in graph.files_of(run)) or run.datum
            sides = (NOTHING, "added") if is_new else ("removed", NOTHING)
            yield Cause(depth, run.pipeline, "datums", read, *sides)

    def _runs(self, one: Run, other: Run, depth: int) -> Iterator[Cause]:
        where = other.pipeline

        def cause(kind: str, what: str, before: Any, after: Any, by: str = "") -> Cause:
            return Cause(depth, where, kind, what, _word(before), _word(after), by)

        if one.pipeline != other.pipeline:
            yield cause("spec", "pipeline", one.pipeline, other.pipeline)
        elif one.version != other.version:
            yield from self._versions(one, other, depth)
        if one.digest != other.digest:
            yield cause("code", "", one.code, other.code)
        for key in ("python_version", "runner"):
            if one.facts.get(key) != other.facts.get(key):
                yield cause("code", key, one.facts.get(key), other.facts.get(key))
        if one.facts.get("packages") != other.facts.get("packages"):
            yield from (cause("packages", *each) for each in self._packages(one, other))
        for name, before, after in changed_fields(one.facts.get("seeds", {}), other.facts.get("seeds", {})):
            yield cause("seeds", name, before, after)
        there, here = one.facts.get("machine") or {}, other.facts.get("machine") or {}
        if machine(one.facts) != machine(other.facts) or there.get("cpu_flags") != here.get("cpu_flags"):
            yield cause("machine", "", machine(one.facts), machine(other.facts))

    def _versions(self, one: Run, other: Run, depth: int) -> Iterator[Cause]:
        key = f"{other.project}/{other.pipeline}"
        spec = f"{key}.spec@{other.spec_commit}"
        by = _by(self._after.commits.get(spec, Commit()))
        if key not in self._specs:
            self._specs[key] = self._all_specs(key)
        specs = [self._specs[key].get(run.version) for run in (one, other)]
        before, after = f"version {one.version}", f"version {other.version}"
        fields = list(changed_fields(specs[0], specs[1])) if None not in specs else []
        if not fields:
            yield Cause(depth, other.pipeline, "spec", "", before, after, by)
        for field, old, new in fields:
            yield Cause(depth, other.pipeline, "spec", field, old, new, by)

    def _all_specs(self, pipeline: str) -> dict[int, dict[str, Any]]:
        """Return the effective specs of a pipeline by version; nothing of one that is deleted."""
        try:
            infos = list(list_pipeline(self._connection, pipeline, history=ALL_VERSIONS))
        except PachletError:
            return {}
        return {
            int(info.version): json.loads(info.effective_spec_json)
            for info in infos
            if info.effective_spec_json
        }

    def _packages(self, one: Run, other: Run) -> Iterator[tuple[str, str, str]]:
        lists = [self._installed(run) for run in (one, other)]
        if None in lists:
            yield "", str(one.facts.get("packages")), str(other.facts.get("packages"))
            return
        yield from changed_fields(lists[0], lists[1])

    def _installed(self, run: Run) -> dict[str, str] | None:
        """Return the versions of a run's packages by name; None if the list is not there any more."""
        place = f"{run.project}/{run.pipeline}.meta@{run.job}:/meta/{run.datum}/packages"
        try:
            lines = get_bytes(self._connection, place).decode().splitlines()
        except PachletError:
            return None
        return {name: version for name, _, version in (line.partition("==") for line in lines)}

    def _inputs(self, one: Run, other: Run, depth: int) -> tuple[list[tuple[File, File]], list[Cause]]:
        """Return inputs that meet, and causes for those that do not."""
        left = {(each.project, each.repo, each.path): each for each in self._before.files_of(one)}
        right = {(each.project, each.repo, each.path): each for each in self._after.files_of(other)}
        both = [(left[key], right[key]) for key in left if key in right]
        gone = [each for key, each in left.items() if key not in right]
        new = [each for key, each in right.items() if key not in left]
        if len(gone) == len(new) == 1:  # one file in the place of another
            return [*both, (gone[0], new[0])], []
        sides = [(each, _state(each), NOTHING) for each in gone] + [
            (each, NOTHING, _state(each)) for each in new
        ]
        return both, [
            Cause(depth, other.pipeline, "data", f"{each.repo}:{each.path}", before, after)
            for each, before, after in sides
        ]


def changed_fields(before: Any, after: Any, at: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (field, before, after) for each value of two JSON trees that differs; lists are values."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            name = f"{at}.{key}" if at else str(key)
            absent = object()
            one, other = before.get(key, absent), after.get(key, absent)
            if one is absent or other is absent:
                yield (
                    name,
                    NOTHING if one is absent else _word(one),
                    NOTHING if other is absent else _word(other),
                )
            elif one != other:
                yield from changed_fields(one, other, name)
    elif before != after:
        yield at, _word(before), _word(after)


def _matched(
    before: Sequence[Run], after: Sequence[Run]
) -> tuple[list[tuple[Run, Run]], tuple[list[Run], list[Run]]]:
    """Return the pairs of runs to compare, and those that one side has alone."""
    theirs = {(run.pipeline, run.datum): run for run in after}
    pairs = [
        (run, theirs.pop((run.pipeline, run.datum))) for run in before if (run.pipeline, run.datum) in theirs
    ]
    paired = {id(run) for run, _ in pairs}
    left, right = [run for run in before if id(run) not in paired], list(theirs.values())
    if len(left) == len(right) == 1:
        return [*pairs, (left[0], right[0])], ([], [])
    return pairs, (left, right)


def _word(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return shlex.join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _state(file: File) -> str:
    return "deleted since" if file.is_gone else _short(file.hash) or "there"


def _short(hash: str) -> str:
    return hash[:12]


def _by(commit: Commit) -> str:
    said = f'"{commit.message}"' if commit.message else ""
    return " ".join(part for part in (commit.author, said) if part)
